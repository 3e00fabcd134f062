"""Follows a folder while agents write into it: first all that is there, then each line when it is finished.

A walk through the folder says what there is; nothing else is believed. A file is known again by the SHA-256 of what was
read of it: as long as it begins with these bytes it has at most grown, whatever was renamed or replaced meanwhile; else
it is read again from its start, which doubles nothing, because contents are known (docs/decisions/0016).
"""

import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from app import ingest, intake
from app.candidates import Direction
from app.db import Database, does_not_answer, insert_rows, lock_ingest
from app.errors import AppError, BadInputError, ConflictError, TooLargeError
from app.formats import reading, stream
from app.formats.given import Given
from app.formats.reading import Held, Read, Ready, Share
from app.ingest import Counts, shown_name
from app.intake import PATCH_SET, Found
from app.models import SourceRow, SourceState, metadata
from app.plainfile import Hash, PlainFile, Stamp, open_plain, stamp_of
from app.settings import Settings

# Built once: a walk may find very many files, and a statement costs more to build than to run.
_source, _watched = (metadata.tables[name] for name in ("source", "watched"))
_OPEN = insert(_source).returning(_source.c.id)
_DIRECTION = select(_source.c.score_direction).where(_source.c.id == bindparam("source"))
_CLOSE = (
    update(_source)
    .where(_source.c.id == bindparam("source"))
    .values(state=SourceState.DONE, digest=bindparam("of_all"), n_bytes=bindparam("read"), finished_at=bindparam("at"))
)
_CUT_OFF = (
    update(_source)
    .where(_source.c.id == bindparam("source"), _source.c.state == SourceState.READING)
    .values(
        state=SourceState.FAILED,
        message="The file was changed before it was read to its end, and was then read again from its start.",
    )
)

PATIENCE = 2.0
"""Seconds for which a file must not have changed before what cannot be read in it counts as broken; half for a line."""

_BATCH_SECONDS, _BATCH_BYTES = 0.05, 4 << 20
_FIRST_BATCH, _SMALLEST_BATCH, _LARGEST_BATCH = 200, 20, 1000
# What it costs to store lines of one more file, in lines.
_A_FILE = 10
# A large file is compared from its start as often as that takes a tenth of the time.
_COMPARED_A_SECOND = 50 << 20
# Walks through very many files fill no more than this part of the time, and this where a folder has new names.
_WALKS_SHARE, _NEW_NAMES_SHARE = 0.1, 0.4
_MOST_FOLDERS = 1000
# Between two walks only the files are looked at that changed last.
_MOST_ALIVE = 500
_JOIN_SECONDS = 2
# For so many times its patience a single reading waits for what does not come to rest.
_ONCE_AT_MOST = 10
_ASKED = 500
_MOST_SET_FILES = 500
_MOST_WITHOUT_END = 256 << 20

_TOLD = float("inf")
_NEW, _GROWN, _REWRITTEN, _REFUSED = "new", "grown", "rewritten", "refused"


@dataclass(frozen=True, slots=True)
class Change:
    """A file that brought something, or cannot be read: `Change("p/success_memory.jsonl", "grown", 7, new=2)`.

    Attributes:
        name: as `intake.Found.name`.
        what: `new`, `grown`, or, where it was read again from its start, `truncated`, `rewritten` or `replaced`;
            `refused` where it cannot be read.
        source: what its lines belong to; 0 of one that is refused.
        new: entries, as a `Report` counts them; so are the others.
        message: why it is refused.
    """

    name: str
    what: str
    source: int = 0
    new: int = 0
    repeated: int = 0
    updated: int = 0
    quarantined: int = 0
    blank: int = 0
    message: str | None = None

    @property
    def entries(self) -> int:
        """How many lines came, blank ones aside."""
        return self.new + self.repeated + self.quarantined

    def as_json(self) -> dict[str, object]:
        """For programs: `{"name": "…", "what": "grown", "entries": 2, "new": 2, …}`."""
        return {"entries": self.entries, **asdict(self)}


class _Row(NamedTuple):
    """How far a file was read, as `WatchedRow` has it."""

    source_id: int
    identity: str
    stamp: str
    offset_bytes: int
    digest: bytes

    @property
    def place(self) -> tuple[int, int, bytes]:
        """What no other watcher may have changed meanwhile."""
        return self.source_id, self.offset_bytes, self.digest


class _Begun(NamedTuple):
    """The digest of a file's first bytes so far, to go on with, and what stood at both ends of them."""

    offset: int
    digest: Hash
    ends: bytes


@dataclass(slots=True)
class _Look:
    """A file, and what is remembered of it from one look to the next.

    Attributes:
        found: where it is, and what belongs to it.
        key: as `WatchedRow.key`.
        stamp: how it looked last.
        since: when it looked so first, by the clock that only goes forward.
        is_loaded: whether `row` and `source` are what the database has.
        row: how far it was read.
        source: what it is being read into.
        is_done: there is nothing more to do until it looks otherwise.
        waits: something in it will be taken, or held, if it stays as it is for a while.
        begun: saves reading it from its start.
        compared_at: when that was last done.
        doubt: since when there is a line that cannot be read, and where the lines that were there then were over.
        told: why it was refused last.
    """

    found: Found
    key: bytes
    stamp: Stamp
    since: float
    is_loaded: bool = False
    row: _Row | None = None
    source: SourceRow | None = None
    is_done: bool = False
    waits: bool = False
    begun: _Begun | None = None
    compared_at: float = -1e9
    doubt: tuple[float, int] | None = None
    told: str = ""

    def forget(self) -> None:
        """Ask the database again: another program has read the file, or nothing could be stored."""
        self.is_loaded = self.is_done = False
        self.row = self.source = self.begun = None


@dataclass(slots=True)
class _Reading:
    """One pass over a file: into which source, why, and what came of it."""

    look: _Look
    source: SourceRow
    what: str
    counts: Counts = field(default_factory=Counts)
    is_lost: bool = False


class _Piece(NamedTuple):
    """Lines of one pass that are stored together, and what is known of the file behind them.

    Attributes:
        of: the pass.
        lines: may be none, where only what is known of the file changed.
        offset: how many bytes of the file `digest` covers.
        digest: of these bytes.
        identity: of the file that they were read from.
        ends: whether this is the last piece of its pass.
        stamp: how the file looks, if nothing is left to do in it.
    """

    of: _Reading
    lines: list[Read]
    offset: int
    digest: bytes
    identity: str
    ends: bool
    stamp: str


class Watcher:
    """What one process knows of a folder."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        project_id: int,
        folder: Path,
        *,
        now: Callable[[], datetime],
        name: str = "",
        wanted: str | None = None,
        direction: Direction | None = None,
        stop: Callable[[], bool] = lambda: False,
        patience: float = PATIENCE,
    ) -> None:
        """Nothing is read before the first scan.

        Args:
            db: the database.
            settings: limits, and the data folder, which is never watched itself.
            project_id: where candidates go.
            folder: a project, or any folder above or below one.
            now: gives an aware UTC instant.
            name: what the names of its files begin with.
            wanted: the format, where a person said it; else it is recognised.
            direction: of style scores, where a person said it.
            stop: asked between two lines.
            patience: see `PATIENCE`.

        Raises:
            BadInputError: there is no such folder.

        """
        if not folder.is_dir():
            raise BadInputError(f"There is no folder {shown_name(str(folder))} to watch.")
        self._db, self._settings, self._project_id = db, settings, project_id
        self._root, self._name, self._wanted, self._direction = folder.resolve(), name, wanted, direction
        self._now, self._stop, self._patience = now, stop, patience
        own = settings.data_dir.resolve()
        self._own = own if own.is_relative_to(self._root) else None
        # Two machines may hold a folder of the same name in one PostgreSQL.
        self._place = "" if db.is_sqlite else socket.gethostname()
        self._seen = intake.Seen()
        self._looks: dict[Path, _Look] = {}
        self._by_identity: dict[str, _Look] = {}
        self._broken: dict[str, float] = {}
        self._folders: dict[Path, int | None] = {}
        self._walk_seconds = self._walked_at = 0.0
        self._size = _FIRST_BATCH
        # What came in before, and was not joined, because somebody was killed.
        self._is_to_join = True

    def scan(self, *, walk: bool = True) -> Iterator[Change]:
        """Read what is new.

        Args:
            walk: look for it everywhere in the folder; else only in files that are known and alive.

        Raises:
            BadInputError: the folder is gone.
            NotStoredError: the disk is full.

        """
        if walk:
            yield from self._walk()
        looks = list(self._looks.values())
        if not walk:
            looks.sort(key=lambda look: look.stamp.changed_at, reverse=True)
            looks = [look for number, look in enumerate(looks) if number < _MOST_ALIVE or not look.is_done]
        busy = [look for look in looks if self._is_to_read(look)]
        self._load([look for look in busy if not look.is_loaded])
        busy = [look for look in busy if not look.is_done]
        self._adopt([look for look in busy if look.row is None or look.row.identity != look.stamp.identity])
        yield from self._read(busy)

    def follow(self, wait: Callable[[float], object], *, poll: float = 0.5, once: bool = False) -> Iterator[Change]:
        """Scan again and again, and join what came in, until told to stop.

        Args:
            wait: called between two scans with how many seconds to wait.
            poll: these seconds.
            once: end when all that is there has been read; what changes all the time is waited for no longer than ten
                times the patience. Otherwise a fault of the database or of the folder is told, and waited out.

        Raises:
            AppError: with `once`, what a scan raises.

        """
        told, until = "", time.monotonic() + _ONCE_AT_MOST * self._patience
        while not self._stop():
            try:
                yield from self._scan_and_join(walk=once or self._is_to_walk())
                told = ""
            except (AppError, DBAPIError) as error:
                if once:
                    raise
                why = error.message if isinstance(error, AppError) else does_not_answer(self._db, error)
                if why != told:
                    told = why
                    yield Change(self._name, _REFUSED, message=why)
            if once and (not self._waits or time.monotonic() > until):
                return
            wait(poll)

    def _is_to_walk(self) -> bool:
        """Whether it is time for a walk again; sooner where a folder that holds logs got or lost a name."""
        passed = time.monotonic() - self._walked_at
        if passed * _NEW_NAMES_SHARE < self._walk_seconds:
            return False
        if passed * _WALKS_SHARE >= self._walk_seconds:
            return True
        return any(_names_at(folder) != at for folder, at in self._folders.items())

    def _scan_and_join(self, *, walk: bool) -> Iterator[Change]:
        joined_at = time.monotonic()
        for change in self.scan(walk=walk):
            self._is_to_join = self._is_to_join or change.source != 0
            yield change
            if time.monotonic() - joined_at > _JOIN_SECONDS:
                ingest.finish(self._db, self._project_id, now=self._now)
                joined_at = time.monotonic()
        if self._is_to_join:
            ingest.finish(self._db, self._project_id, now=self._now)
            self._is_to_join = False

    @property
    def _waits(self) -> bool:
        """Whether something will be taken, or held, if the folder stays as it is for a while."""
        is_untold = any(since != _TOLD for since in self._broken.values())
        return is_untold or any(look.waits and not look.is_done for look in self._looks.values())

    # -------------------------------------------------------------------------------------------- what there is

    def _walk(self) -> Iterator[Change]:
        """See which files there are."""
        began = time.monotonic()
        names_at = {folder: _names_at(folder) for folder in self._folders}
        taken = intake.walk(self._root, name=self._name, seen=self._seen)
        looks: dict[Path, _Look] = {}
        for found in taken.found:
            if self._own is not None and found.path.is_relative_to(self._own):
                continue
            look = self._looks.get(found.path)
            if look is not None:
                look.found = found
            elif (stamp := _look_at(found)) is not None:
                place = f"{self._place}\0".encode() + os.fsencode(found.path)
                look = _Look(found, hashlib.sha256(place).digest(), stamp, began)
            if look is not None:
                looks[found.path] = look
        self._looks = looks
        # One that was not known before is looked through once more.
        self._folders = {folder: names_at.get(folder) for folder in _folders_of(looks, self._root)}
        self._walked_at = time.monotonic()
        self._walk_seconds = self._walked_at - began
        yield from self._tell_broken({one.name: one.why for one in taken.broken}, began)

    def _tell_broken(self, broken: Mapping[str, str], at: float) -> Iterator[Change]:
        """Say once what is evidence and cannot be used, when it has been so for a while: it may be half written."""
        self._broken = {name: self._broken.get(name, at) for name in broken}
        for name, since in self._broken.items():
            if at - since >= self._patience:
                self._broken[name] = _TOLD
                yield Change(name, _REFUSED, message=broken[name])

    def _is_to_read(self, look: _Look) -> bool:
        """Whether a file looks otherwise, or was not done with."""
        stamp = _look_at(look.found)
        if stamp is None:
            return False
        if stamp != look.stamp:
            look.stamp, look.since, look.is_done = stamp, time.monotonic(), False
        return not look.is_done

    def _load(self, looks: Sequence[_Look]) -> None:
        """Ask the database how far these files were read."""
        for start in range(0, len(looks), _ASKED):
            some = looks[start : start + _ASKED]
            with self._db.read() as session:
                rows = _find_rows(session, self._project_id, [look.key for look in some])
                ids = [row.source_id for row in rows.values()]
                found = session.execute(select(SourceRow).where(col(SourceRow.id).in_(ids))).scalars()
                sources = {source.id: source for source in found}
            for look in some:
                look.row = rows.get(look.key)
                look.source = None if look.row is None else sources[look.row.source_id]
                look.is_loaded = True
                look.is_done = look.row is not None and look.row.stamp == look.stamp.text
                if look.row is not None:
                    self._by_identity[look.row.identity] = look

    def _adopt(self, looks: Sequence[_Look]) -> None:
        """Let a log that was renamed go on under its new name, which its device and inode tell."""
        moved: list[tuple[_Look, _Row, _Look]] = []
        for new in looks:
            old = self._by_identity.get(new.stamp.identity)
            if old is None or old is new or old.row is None or old.row.identity != new.stamp.identity:
                continue
            is_there = self._looks.get(old.found.path) is old and old.stamp.identity == old.row.identity
            if not is_there and self._begins_as(new, old.row):
                moved.append((old, old.row, new))
        if not moved:
            return
        both = [look for old, _, new in moved for look in (old, new)]
        with self._db.write() as session:
            lock_ingest(session)
            known = _find_rows(session, self._project_id, [old.key for old, _, _ in moved])
            is_ours = [(row, new) for old, row, new in moved if _place(known.get(old.key)) == row.place]
            kept = {new.key: row._replace(stamp="") for row, new in is_ours}
            _keep_rows(session, self._project_id, kept, instead_of=[look.key for look in both])
        for look in both:
            look.forget()
        self._load(both)

    def _begins_as(self, look: _Look, row: _Row) -> bool:
        opened = open_plain(look.found.path, self._root)
        if opened is None:
            return False
        with opened:
            return opened.begin(row.offset_bytes, row.digest) is not None

    # -------------------------------------------------------------------------------------------- reading

    def _read(self, looks: Iterable[_Look]) -> Iterator[Change]:
        group: list[_Piece] = []
        weight = n_bytes = 0
        for look in looks:
            if self._stop():
                break
            for piece in self._tried(look):
                if isinstance(piece, Change):
                    yield piece
                    continue
                group.append(piece)
                weight += _A_FILE + len(piece.lines)
                n_bytes += sum(len(line.line.raw) for line in piece.lines)
                if weight >= self._size or n_bytes > _BATCH_BYTES:
                    yield from self._store(group)
                    group, weight, n_bytes = [], 0, 0
        yield from self._store(group)

    def _tried(self, look: _Look) -> Iterator[_Piece | Change]:
        """The pieces of a file; what stands against reading it is said once, and costs the others nothing."""
        look.waits = False
        try:
            opened = open_plain(look.found.path, self._root)
            if opened is not None:
                with opened:
                    yield from self._pieces(look, opened)
            look.told = ""
        except AppError as error:
            look.is_done = True
            why = error.message
        except OSError as error:
            why = f"It cannot be read: {error.strerror}."
        else:
            return
        if why != look.told:
            look.told = why
            yield Change(look.found.name, _REFUSED, message=why)

    def _pieces(self, look: _Look, opened: PlainFile) -> Iterator[_Piece]:
        stream.refuse_other_kinds(opened.head, opened.tail, look.found.name)
        is_packed, most = stream.is_gzip(opened.head), self._settings.max_unpacked_bytes
        if not is_packed and look.found.format != PATCH_SET and not ingest.is_document(opened.head):
            yield from self._lines(look, opened)
        elif opened.n_bytes > most:
            raise TooLargeError(
                f"It holds {opened.n_bytes:,} bytes; the limit is {most:,} (PATCHSIFT_MAX_UNPACKED_BYTES)."
            )
        elif is_packed:
            yield from self._packed(look, opened)
        else:
            yield from self._whole(look, opened)

    def _reading(self, look: _Look, opened: PlainFile, what: str) -> _Reading:
        """A pass that goes on where the last one ended, or one into a source of its own."""
        if what == _GROWN and look.source is not None:
            return _Reading(look, look.source, what)
        source = SourceRow(
            project_id=self._project_id,
            name=shown_name(look.found.name),
            origin="watch",
            format=self._wanted or look.found.format or "",
            head_digest=hashlib.sha256(opened.head).digest(),
            score_direction=self._direction,
            created_at=self._now(),
        )
        return _Reading(look, source, what)

    def _batch(self, lines: Iterator[Read]) -> list[Read]:
        batch, n_bytes = [], 0
        for one in islice(lines, self._size):
            batch.append(one)
            n_bytes += len(one.line.raw)
            if n_bytes > _BATCH_BYTES:
                break
        return batch

    def _is_quiet(self, look: _Look) -> bool:
        """Whether the file has not changed for a while; the clock that stamps it may be ahead of ours."""
        has_been = max(time.time() - look.stamp.changed_at, time.monotonic() - look.since)
        return has_been >= self._patience

    def _may_hold(self, look: _Look, offset: int, end: int) -> bool:
        """Whether a line that cannot be read counts as broken, and not as one that is being written just now.

        Args:
            look: the file.
            offset: of the line.
            end: where the last line is over that has its end.

        """
        at = time.monotonic()
        if look.doubt is None or look.doubt[1] <= offset:
            look.doubt = (at, end)
        look.waits = not self._is_quiet(look) and at - look.doubt[0] < self._patience / 2
        return not look.waits

    def _done(self, look: _Look, *, is_compared: bool) -> str:
        """How the file looks, if nothing is left to do in it and its time of change is old enough to be believed.

        A file can change twice within one tick of its clock.
        """
        look.is_done = is_compared and not self._stop() and self._is_quiet(look)
        return look.stamp.text if look.is_done else ""

    @property
    def _overflow(self) -> Path:
        return self._settings.data_dir / "overlong"

    # -------------------------------------------------------------------------------------------- a log, line by line

    def _lines(self, look: _Look, opened: PlainFile) -> Iterator[_Piece]:
        row, began = look.row, time.monotonic()
        begun = self._begun(look, opened)
        of = self._reading(look, opened, _why(row, begun, opened))
        start, number, rest = 0, 0, b""
        digest: Hash = hashlib.sha256()
        if begun is None:
            look.doubt = None
        elif row is not None:
            start, number, digest = row.offset_bytes, of.source.n_lines, begun.copy()
            rest = opened.rest_of_line(start)
            digest.update(rest)
        # What is not read from its start was compared with what was read of it, or is to be at the next look.
        is_compared = begun is None or look.compared_at >= began
        finished = self._finished(look, opened, start + len(rest), number)
        batch = self._batch(finished)
        if not batch:
            yield from self._nothing_new(of, is_compared=is_compared)
        while batch:
            for one in batch:
                _feed(digest, one.line, self._overflow)
            last, so_far = batch[-1].line, digest.copy()
            offset = last.offset_bytes + last.n_bytes + last.ended
            look.begun = _Begun(offset, so_far, opened.both_ends(offset))
            following = self._batch(finished)
            ends = not following and not self._stop()
            stamp = self._done(look, is_compared=is_compared) if ends else ""
            yield _Piece(of, batch, offset, so_far.digest(), opened.identity, ends, stamp)
            batch = following

    def _nothing_new(self, of: _Reading, *, is_compared: bool) -> Iterator[_Piece]:
        """Keep in mind that there is nothing to do in a file, where that was not known."""
        look = of.look
        stamp, row = self._done(look, is_compared=is_compared), look.row
        if row is not None and of.what == _GROWN and stamp and stamp != row.stamp:
            yield _Piece(of, [], row.offset_bytes, row.digest, look.stamp.identity, ends=True, stamp=stamp)

    def _begun(self, look: _Look, opened: PlainFile) -> Hash | None:
        """The digest of what was read, if the file still begins so; None where it must be read from its start."""
        row, known = look.row, look.begun
        if row is None or opened.n_bytes < row.offset_bytes:
            return None
        is_due = time.monotonic() - look.compared_at >= row.offset_bytes / _COMPARED_A_SECOND
        is_same = known is not None and known.offset == row.offset_bytes and row.identity == opened.identity
        if known is not None and is_same and not is_due:
            return known.digest if known.ends == opened.both_ends(known.offset) else None
        begun = opened.begin(row.offset_bytes, row.digest)
        if begun is not None:
            look.compared_at = time.monotonic()
        return begun

    def _finished(self, look: _Look, opened: PlainFile, start: int, number: int) -> Iterator[Read]:
        """Every line that has its end, read; then the last one without, if it is whole all the same."""
        limit, given = self._settings.max_line_bytes, Given(shown_name(look.found.name))
        end = opened.end_of_lines(start, _MOST_WITHOUT_END)
        if end is None:
            raise TooLargeError(
                f"Its last {_MOST_WITHOUT_END:,} bytes hold no line end: this is no log, or it is damaged."
            )
        span = opened.span(start, end)
        lines = stream.read_lines(span, start=start, number=number, max_line_bytes=limit, overflow=self._overflow)  # type: ignore[arg-type]
        for line in lines:
            # A line of these that has no end was cut off while it was read.
            if self._stop() or not line.ended:
                return
            read = reading.read_line(line, limit, wanted=self._wanted, given=given)
            if isinstance(read, Held) and not self._may_hold(look, line.offset_bytes, end):
                return
            number = line.number
            yield read
        if end < opened.n_bytes <= end + limit:
            raw = opened.read_at(end, opened.n_bytes - end)
            yield from self._unfinished(look, stream.Line(number + 1, end, raw, len(raw), ended=False), given)

    def _unfinished(self, look: _Look, line: stream.Line, given: Given) -> Iterator[Read]:
        """The last line, which has no end: half of one waits. A file of one line may be a run, which never has one."""
        read = reading.read_line(line, self._settings.max_line_bytes, wanted=self._wanted, given=given)
        is_alone = line.offset_bytes == 0 and _may_be_one_value(look.found.name)
        if not isinstance(read, Ready) and not is_alone:
            return
        if (is_alone and isinstance(read, Ready)) or self._is_quiet(look):
            yield read
        else:
            look.waits = True

    # -------------------------------------------------------------------------------------------- a file as a whole

    def _whole(self, look: _Look, opened: PlainFile) -> Iterator[_Piece]:
        """A run, which is taken when it can be read; a patch set, when all of it has come to rest."""
        if look.found.format == PATCH_SET and not self._is_quiet(look):
            look.waits = True
            return
        limit = self._settings.max_line_bytes
        rest = opened.span(limit + 1)
        line = stream.keep_whole(opened.read_at(0, limit + 1), rest, limit, self._overflow)  # type: ignore[arg-type]
        given = Given(shown_name(look.found.name), self._beside(look.found))
        digest = line.digest or hashlib.sha256(line.raw).digest()
        for name, raw in given.files.items():
            digest = hashlib.sha256(digest + name.encode(errors="replace") + hashlib.sha256(raw).digest()).digest()
        wanted = look.found.format or self._wanted
        read = reading.read_line(line, limit, wanted=wanted, given=given, is_file=True)
        look.waits = not isinstance(read, Ready) and not self._is_quiet(look)
        if not look.waits:
            yield from self._as_one(look, opened, iter([read]), line.n_bytes, digest)

    def _beside(self, found: Found) -> Mapping[str, bytes]:
        """The other files of a patch set; they come into memory together, so not any number of them."""
        files: dict[str, bytes] = {}
        left = self._settings.max_line_bytes
        for name, path in sorted(found.files.items())[:_MOST_SET_FILES]:
            opened = open_plain(path, self._root)
            if opened is not None:
                with opened:
                    raw = opened.read_at(0, left + 1)
                if len(raw) <= left:
                    left -= len(raw)
                    files[name] = raw
        return files

    def _packed(self, look: _Look, opened: PlainFile) -> Iterator[_Piece]:
        """A packed log, when it has come to rest; from a copy, for it is read twice."""
        if not self._is_quiet(look):
            look.waits = True
            return
        limits, spool = self._settings, self._settings.data_dir / "uploads"
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=spool) as folder:
            copy, digest, n_bytes = Path(folder) / "packed", hashlib.sha256(), 0
            packed = opened.span(0)
            with copy.open("wb") as target:
                while chunk := packed.read(stream.CHUNK):
                    digest.update(chunk)
                    n_bytes += target.write(chunk)
            stream.measure_gzip(copy, max_bytes=limits.max_unpacked_bytes, max_ratio=limits.max_ratio)
            start, number = self._read_of_it(look, n_bytes, digest.digest())
            name = shown_name(look.found.name)
            share = Share(copy, True, start, number, limits.max_line_bytes, self._overflow, name, self._wanted)
            with closing(reading.read_share(share)) as read:
                lines = (one for one in read if not isinstance(one, bytes) and not self._stop())
                yield from self._as_one(look, opened, lines, n_bytes, digest.digest())

    def _read_of_it(self, look: _Look, n_bytes: int, digest: bytes) -> tuple[int, int]:
        """Where a packed log is read on: offset and number of lines, as it unpacks."""
        if look.source is None or not _is_of(look.row, n_bytes, digest):
            return 0, 0
        return look.source.offset_bytes, look.source.n_lines

    def _as_one(
        self, look: _Look, opened: PlainFile, lines: Iterator[Read], n_bytes: int, digest: bytes
    ) -> Iterator[_Piece]:
        """The pieces of a file that is known by all of its bytes, unless it was read already."""
        is_known = _is_of(look.row, n_bytes, digest)
        of = self._reading(look, opened, _NEW if look.row is None else _GROWN if is_known else _REWRITTEN)
        if is_known and of.source.state == SourceState.DONE:
            yield from self._nothing_new(of, is_compared=True)
            return
        batch = self._batch(lines)
        while batch:
            following = self._batch(lines)
            ends = not following and not self._stop()
            stamp = self._done(look, is_compared=True) if ends else ""
            yield _Piece(of, batch, n_bytes, digest, opened.identity, ends, stamp)
            batch = following

    # -------------------------------------------------------------------------------------------- storing

    def _store(self, pieces: Sequence[_Piece]) -> Iterator[Change]:
        """Commit lines, offsets and what is known of the files together; what failed is looked at anew."""
        if not pieces:
            return
        try:
            with self._db.write() as session:
                began = time.perf_counter()
                self._store_all(session, pieces)
                spent = time.perf_counter() - began
        except BaseException as error:
            for piece in pieces:
                piece.of.is_lost = True
                piece.of.look.forget()
            if not isinstance(error, ConflictError):
                raise
            return
        fits = int(self._size * min(2.0, _BATCH_SECONDS / max(spent, 1e-4)))
        self._size = min(_LARGEST_BATCH, max(_SMALLEST_BATCH, fits))
        for of in (piece.of for piece in pieces if piece.ends and not piece.of.is_lost):
            counts = asdict(of.counts)
            if any(counts.values()):
                del counts["candidates"]
                yield Change(of.look.found.name, of.what, of.source.id or 0, **counts)

    def _store_all(self, session: Session, pieces: Sequence[_Piece]) -> None:
        lock_ingest(session)
        known = _find_rows(session, self._project_id, [piece.of.look.key for piece in pieces])
        kept: dict[bytes, _Row] = {}
        for piece in pieces:
            of, look = piece.of, piece.of.look
            if of.is_lost or _place(known.get(look.key)) != _place(look.row):
                # Another watcher was here first.
                of.is_lost = True
                look.forget()
                continue
            self._store_one(session, piece)
            look.row = kept[look.key] = known[look.key] = _Row(
                of.source.id or 0, piece.identity, piece.stamp, piece.offset, piece.digest
            )
            look.source = of.source
            self._by_identity[piece.identity] = look
        _keep_rows(session, self._project_id, kept, instead_of=kept)

    def _store_one(self, session: Session, piece: _Piece) -> None:
        of, source = piece.of, piece.of.source
        if source.id is None:
            _open_source(session, source, of.look.row)
        if piece.lines:
            _add(of.counts, ingest.store(session, source, piece.lines, self._now()))
            source.n_lines = piece.lines[-1].line.number
        if piece.ends and (piece.lines or source.state != SourceState.DONE):
            _close_source(session, source, piece.digest, self._now())


# ------------------------------------------------------------------------------------------------ what is known


def _find_rows(session: Session, project_id: int, keys: Sequence[bytes]) -> dict[bytes, _Row]:
    if not keys:
        return {}
    columns = (_watched.c[name] for name in ("key", *_Row._fields))
    wanted = select(*columns).where(_watched.c.project_id == project_id, _watched.c.key.in_(keys))
    return {
        bytes(key): _Row(source_id, identity, stamp, offset_bytes, bytes(digest))
        for key, source_id, identity, stamp, offset_bytes, digest in session.connection().execute(wanted)
    }


def _keep_rows(session: Session, project_id: int, rows: Mapping[bytes, _Row], *, instead_of: Iterable[bytes]) -> None:
    mine = (_watched.c.project_id == project_id, _watched.c.key.in_(list(instead_of)))
    session.connection().execute(delete(_watched).where(*mine))
    insert_rows(
        session, "watched", ("project_id", "key", *_Row._fields), [(project_id, key, *row) for key, row in rows.items()]
    )


def _place(row: _Row | None) -> tuple[int, int, bytes] | None:
    return None if row is None else row.place


def _is_of(row: _Row | None, n_bytes: int, digest: bytes) -> bool:
    return row is not None and (row.offset_bytes, row.digest) == (n_bytes, digest)


def _look_at(found: Found) -> Stamp | None:
    return stamp_of((found.path, *found.files.values()))


def _names_at(folder: Path) -> int | None:
    """When a folder got or lost a name last."""
    try:
        return folder.lstat().st_mtime_ns
    except OSError:
        return None


def _folders_of(paths: Iterable[Path], root: Path) -> list[Path]:
    """The folders of these files and those above them, down from the root; of very many the upper ones."""
    found = {root}
    for parent in {path.parent for path in paths}:
        found.update(one for one in (parent, *parent.parents) if one.is_relative_to(root))
    return sorted(found, key=lambda folder: len(folder.parts))[:_MOST_FOLDERS]


def _why(row: _Row | None, begun: object, opened: PlainFile) -> str:
    """What happened to a log since it was read last."""
    if row is None:
        return _NEW
    if begun is not None:
        return _GROWN
    if opened.n_bytes < row.offset_bytes:
        return "truncated"
    return _REWRITTEN if opened.identity == row.identity else "replaced"


def _open_source(session: Session, source: SourceRow, former: _Row | None) -> None:
    """Add a source; one that the same file was being read into gets no more, but what a person said of it holds on."""
    if former is not None:
        session.connection().execute(_CUT_OFF, {"source": former.source_id})
        said = session.connection().execute(_DIRECTION, {"source": former.source_id}).scalar_one()
        source.score_direction = source.score_direction or said
    source.id = session.connection().execute(_OPEN, source.model_dump(exclude={"id"})).scalar_one()


def _close_source(session: Session, source: SourceRow, digest: bytes, now: datetime) -> None:
    """Note that everything was read that there is so far."""
    named = {"source": source.id, "read": source.offset_bytes, "of_all": digest, "at": now}
    session.connection().execute(_CLOSE, named)
    source.state = SourceState.DONE


def _add(counts: Counts, more: Counts) -> None:
    for name, n in asdict(more).items():
        setattr(counts, name, getattr(counts, name) + n)


def _feed(digest: Hash, line: stream.Line, overflow: Path) -> None:
    """Add a line as it stands in the file; an overlong one lies in a file of its own."""
    if line.overflow is None:
        digest.update(line.raw)
    else:
        with (overflow / line.overflow).open("rb") as whole:
            while chunk := whole.read(stream.CHUNK):
                digest.update(chunk)
    if line.ended:
        digest.update(b"\n")


def _may_be_one_value(name: str) -> bool:
    last = name.rpartition("/")[2].lower()
    return ".json" in last and ".jsonl" not in last
