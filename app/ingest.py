"""Streams a source into the database: entries and offset are committed together, candidates are assembled.

A batch is parsed outside the write lock and stored inside it in a few hundredths of a second, so nobody who reviews
meanwhile waits, and a crash at any point resumes at the committed offset.
"""

import gzip
import hashlib
import os
import stat
import time
import zlib
from array import array
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from sqlalchemy import bindparam, select, update
from sqlmodel import Session, col

from app import evidence, groups, jobs, joining, prepare
from app.db import Database, driver_sign, insert_rows, instants, lock_chain, lock_ingest
from app.decisions import add_to_tally
from app.errors import AppError, BadInputError, ConflictError
from app.formats import SUCCESS, reading, stream
from app.formats.given import Given
from app.formats.reading import Blank, Held, Read, Ready, Share
from app.models import EntryRow, SourceRow, SourceState, Status, metadata
from app.search import index_words
from app.settings import Settings
from app.sources import Report, get_quarantined, get_report

Progress = Callable[[int, int], None]

_HEAD_BYTES = 1 << 12
_TAIL_BYTES = 1 << 16
_FIRST_BATCH, _LARGEST_BATCH = 400, 1000
_BATCH_BYTES = 4 << 20
_WORTH_A_PROCESS = 32 << 20
_BATCH_SECONDS = 0.05
_TITLE = 200
_PREPARED_AT_ONCE = 60

_CANDIDATE_COLUMNS = (
    "id", "project_id", "source_id", "kind", "digest", "group_digest", "external_id", "title", "target", "generation",
    "patch_source", "rating", "logged_at", "n_added", "n_removed", "has_script", "n_attempts", "created_at",
)  # fmt: skip
_ENTRY_COLUMNS = ("id", "project_id", "source_id", "candidate_id", "line", "offset_bytes", "digest", "raw")
_OTHER_ENTRY_COLUMNS = (*_ENTRY_COLUMNS, "format", "slice")
_ATTACHMENT_COLUMNS = ("entry_id", "path", "digest", "raw")
_REPEAT_COLUMNS = ("source_id", "line", "offset_bytes", "entry_id")
_QUARANTINE_COLUMNS = (
    "project_id", "source_id", "line", "offset_bytes", "n_bytes", "digest", "code", "message", "raw", "overflow",
)  # fmt: skip
# Built once: of a small file it would cost more than all else.
_COUNTED = ("new", "repeated", "updated", "quarantined", "blank")
_source = metadata.tables["source"]
_ADVANCE = (
    update(_source)
    .where(_source.c.id == bindparam("source"), _source.c.offset_bytes == bindparam("before"))
    .values(offset_bytes=bindparam("after"), n_lines=bindparam("line"), format=bindparam("of_format"))
    .values({f"n_{name}": _source.c[f"n_{name}"] + bindparam(f"more_{name}") for name in _COUNTED})
)


# ------------------------------------------------------------------------------------------------ storing


@dataclass(slots=True)
class Counts:
    """What became of some lines; `new` counts entries, `updated` those of the repeated that brought another rating."""

    candidates: int = 0
    new: int = 0
    repeated: int = 0
    updated: int = 0
    quarantined: int = 0
    blank: int = 0


class _Known(NamedTuple):
    """A candidate that is here: its id, the rating in the log, and when it was first logged, as the driver takes it."""

    number: int
    rating: int | None
    logged_at: object


class _Batch:
    """One transaction's rows: what is here already is looked up once, the rest is inserted in bulk."""

    def __init__(self, session: Session, source: SourceRow, lines: list[Read], now: datetime) -> None:
        self.session = session
        self.project_id = source.project_id
        self.source_id = source.id or 0
        self.name = source.name
        self.instant = instants(session)
        self.now = self.instant(now)
        self.sign = driver_sign(session)
        ready = [line for line in lines if isinstance(line, Ready)]
        held = [line.digest for line in lines if isinstance(line, Held)]
        external = [line.external_id for line in ready if line.external_id is not None]
        contents = [one.content for line in ready for one in (line, *line.more)]
        found = self._find("digest, id, rating, logged_at", "candidate", "digest", contents, "project_id")
        self.candidates = {bytes(digest): _Known(*rest) for digest, *rest in found}
        known = [one.number for one in self.candidates.values()]
        found = self._find("candidate_id, digest, id, source_id", "entry", "candidate_id", known, "project_id")
        self.entries: dict[tuple[int, bytes], int] = {(of, bytes(digest)): number for of, digest, number, _ in found}
        self.came_in: dict[int, int] = {number: source_id for _, _, number, source_id in found}
        found = self._find("external_id", "candidate", "external_id", external, "source_id")
        self.external: set[str] = {row[0] for row in found}
        found = self._find("digest, entry_id", "quarantine", "digest", held, "project_id")
        self.quarantined: dict[bytes, int | None] = {bytes(digest): entry_id for digest, entry_id in found}
        self.next_candidate = self._next("candidate")
        self.next_entry = self._next("entry")
        self.counts = Counts()
        self.changes: dict[int, dict[str, object]] = {}
        self.rated: set[int] = set()
        self.rows: dict[str, list[tuple[object, ...]]] = {
            name: [] for name in ("candidate", "entry", "other entry", "attachment", "repeat", "quarantine")
        }
        self.words: list[tuple[int, str, str, str]] = []
        self.clues = array("q")
        for line in lines:
            self._place(line)

    def store(self) -> Counts:
        """Write everything that `_place` gathered."""
        insert_rows(self.session, "candidate", _CANDIDATE_COLUMNS, self.rows["candidate"])
        insert_rows(self.session, "entry", _ENTRY_COLUMNS, self.rows["entry"])
        insert_rows(self.session, "entry", _OTHER_ENTRY_COLUMNS, self.rows["other entry"])
        insert_rows(self.session, "attachment", _ATTACHMENT_COLUMNS, self.rows["attachment"])
        insert_rows(self.session, "repeat", _REPEAT_COLUMNS, self.rows["repeat"], keep=True)
        # A line that was held for its id may be here already: only then is it known after the look-up.
        insert_rows(self.session, "quarantine", _QUARANTINE_COLUMNS, self.rows["quarantine"], keep=True)
        index_words(self.session, self.words)
        if self.clues:
            insert_rows(self.session, "new_clues", ("project_id", "pairs"), [(self.project_id, self.clues.tobytes())])
        for number, rating in evidence.ratings(self.session, self.rated).items():
            self._change(number, "rating", rating)
        # In the order in which everything locks several candidates.
        for number, values in sorted(self.changes.items()):
            names = ", ".join(f"{name} = {self.sign}" for name in values)
            self.session.connection().exec_driver_sql(
                f"UPDATE candidate SET {names} WHERE id = {self.sign}", (*values.values(), number)
            )
        add_to_tally(self.session, self.project_id, {Status.PENDING: self.counts.candidates})
        return self.counts

    def find_entry(self, line: Ready) -> int:
        """The id of the entry that a line of this batch became, or repeats."""
        return self.entries[self.candidates[line.content].number, line.digest]

    def _find(self, columns: str, table: str, key: str, values: Sequence[object], within: str) -> list[Any]:
        """Rows of `table` whose `key` is among `values`; the driver's own rows, for this runs on every line."""
        if not values:
            return []
        scope = self.source_id if within == "source_id" else self.project_id
        signs = ", ".join([self.sign] * len(values))
        wanted = f"SELECT {columns} FROM {table} WHERE {within} = {self.sign} AND {key} IN ({signs})"
        return self.session.connection().exec_driver_sql(wanted, (scope, *values)).fetchall()  # type: ignore[return-value]

    def _next(self, table: str) -> int:
        found = self.session.connection().exec_driver_sql(f"SELECT max(id) FROM {table}").scalar()
        return (found or 0) + 1

    def _place(self, line: Read) -> None:
        if isinstance(line, Blank):
            self.counts.blank += 1
        elif isinstance(line, Held):
            self._hold(line)
        elif (known := self.candidates.get(line.content)) is not None:
            self._say_again(line, known)
        elif line.external_id is not None and line.external_id in self.external:
            message = (
                f"The id {line.external_id!r} stands in this file already with other content. "
                "Both are kept; give this line another id, or correct it, and retry."
            )
            self._hold(Held(line.line, line.digest, "id_conflict", message))
        else:
            self.counts.new += 1
            self._add(line)
            for one in line.more:
                self._place_more(one)

    def _say_again(self, line: Ready, known: _Known) -> None:
        """The same change once more: the same bytes, or another time, another order of keys, a rating given since."""
        entry_id = self.entries.get((known.number, line.digest))
        if entry_id is None and line.grows:
            self.counts.new += 1
            self._add_entry(line, known.number)
            if not self._see_time(line, known):
                self._add_clues(line, known.number)
            return
        if line.external_id is not None:
            self.external.add(line.external_id)
        self.counts.repeated += 1
        is_new = entry_id is None
        if entry_id is None:
            entry_id = self._add_entry(line, known.number)
        self.rows["repeat"].append((self.source_id, line.line.number, line.line.offset_bytes, entry_id))
        if line.rating is not None and line.rating != known.rating:
            # Also of an entry that is known: a rating may be set back to what it was.
            self.counts.updated += is_new
            self.rated.add(known.number)
        if line.format != SUCCESS and (is_new or self._stands_elsewhere(entry_id)):
            self.clues.extend((joining.GREW, known.number))
        self._see_time(line, known)

    def _stands_elsewhere(self, entry_id: int) -> bool:
        """Whether an entry came in under another name, which may say more of it, or less."""
        first = self.session.get(SourceRow, self.came_in.get(entry_id, self.source_id))
        return first is not None and first.name != self.name

    def _see_time(self, line: Ready, known: _Known) -> bool:
        """A change was logged when it was first logged, whichever of its entries comes first; tells a new time."""
        at: Any = self.instant(line.logged_at)
        before: Any = known.logged_at
        is_earlier = at is not None and (before is None or at < before)
        if is_earlier:
            known = known._replace(logged_at=at)
            self._change(known.number, "logged_at", at)
            self._add_clues(line, known.number)
        self.candidates[line.content] = known
        return is_earlier

    def _change(self, number: int, name: str, value: object) -> None:
        self.changes.setdefault(number, {})[name] = value

    def _place_more(self, one: Ready) -> None:
        """A further candidate of an entry that was counted already."""
        known = self.candidates.get(one.content)
        if known is None:
            self._add(one)
        elif (known.number, one.digest) not in self.entries:
            self._add_entry(one, known.number)
            self._see_time(one, known)

    def _hold(self, line: Held) -> None:
        entry_id = self.quarantined.get(line.digest)
        if entry_id is not None:
            self.counts.repeated += 1
            self.rows["repeat"].append((self.source_id, line.line.number, line.line.offset_bytes, entry_id))
            return
        self.counts.quarantined += 1
        if line.digest in self.quarantined:
            return
        self.quarantined[line.digest] = None
        place = (line.line.number, line.line.offset_bytes, line.line.n_bytes)
        why = (line.code, line.message)
        self.rows["quarantine"].append(
            (self.project_id, self.source_id, *place, line.digest, *why, line.line.raw, line.line.overflow)
        )

    def _add_entry(self, line: Ready, candidate_id: int) -> int:
        number = self.next_entry
        self.next_entry += 1
        self.entries[candidate_id, line.digest] = number
        place = (line.line.number, line.line.offset_bytes)
        row = (number, self.project_id, self.source_id, candidate_id, *place, line.digest, line.line.raw)
        if line.format == SUCCESS:
            self.rows["entry"].append(row)
        else:
            self.rows["other entry"].append((*row, line.format, line.piece))
        for path, raw in line.files:
            self.rows["attachment"].append((number, path, hashlib.sha256(raw).digest(), raw))
        return number

    def _add_clues(self, line: Ready, number: int) -> None:
        """What joining will look at; a step of a run that grew is looked at whatever it says."""
        for key in line.keys:
            self.clues.extend((key, number))
        if line.grows:
            self.clues.extend((joining.GREW, number))

    def _add(self, line: Ready) -> None:
        number = self.next_candidate
        self.next_candidate += 1
        self.counts.candidates += 1
        at = self.instant(line.logged_at)
        self.candidates[line.content] = _Known(number, line.rating, at)
        if line.external_id is not None:
            self.external.add(line.external_id)
        self.rows["candidate"].append((
            number, self.project_id, self.source_id, line.kind, line.content, line.group, line.external_id, line.title,
            line.target, line.generation, line.patch_source, line.rating, at,
            line.n_added, line.n_removed, line.has_script, line.n_attempts, self.now,
        ))  # fmt: skip
        self.words.append((number, line.issue, line.paths, line.changes))
        self._add_clues(line, number)
        self._add_entry(line, number)


def store(session: Session, source: SourceRow, lines: list[Read], now: datetime) -> Counts:
    """Store lines that were read, and move the source on behind the last of them.

    Args:
        session: a transaction that holds `lock_ingest`.
        source: where the lines stand; its offset is where the first of them begins.
        lines: at least one.
        now: an aware UTC instant.

    Raises:
        ConflictError: another program has read them meanwhile.

    """
    counts = _Batch(session, source, lines, now).store()
    source.format = source.format or next((line.format for line in lines if isinstance(line, Ready)), "")
    _advance(session, source, lines[-1].line, counts)
    return counts


def _advance(session: Session, source: SourceRow, last: stream.Line, counts: Counts) -> None:
    """Move the source's offset and counts on; refused when another import has moved them meanwhile."""
    after = last.offset_bytes + last.n_bytes + last.ended
    place = {"source": source.id, "before": source.offset_bytes, "after": after, "line": last.number}
    more = {f"more_{name}": getattr(counts, name) for name in _COUNTED}
    moved = session.connection().execute(_ADVANCE, {**place, **more, "of_format": source.format})
    if moved.rowcount != 1:
        raise ConflictError(f"{source.name} is being imported by another program right now; wait for it to end.")
    source.offset_bytes = after


# ------------------------------------------------------------------------------------------------ a whole file


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to be read.

    Attributes:
        path: where it lies.
        name: what it goes by, which is shown and never used as a path.
        origin: how it came: `file`, `upload`, `stdin`, `sample`, `watch`, ...
        licence: of what it holds, where known.
        format: the format, where a person said it; else it is recognised, value by value.
        files: what belongs to it: the other files of a patch set, by path below its folder.
        delivery: what it came in with, or None.
    """

    path: Path
    name: str
    origin: str = "file"
    licence: str | None = None
    format: str | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    delivery: int | None = None


def read_file(
    db: Database,
    settings: Settings,
    project_id: int,
    upload: Upload,
    *,
    now: Callable[[], datetime],
    progress: Progress | None = None,
) -> Report:
    """Read one JSONL file, plain or gzip, from where an earlier attempt was interrupted, or from the start.

    Args:
        db: the database.
        settings: limits, and the data folder that takes overlong lines.
        project_id: where its candidates go.
        upload: the file.
        now: gives an aware UTC instant.
        progress: called after each batch with (bytes read, bytes in all).

    Returns:
        What became of each line.

    Raises:
        UnsupportedError: the file is not JSONL at all; nothing was stored.
        TooLargeError: a gzip bomb; nothing was stored.
        BadInputError: the path is no regular file.
        ConflictError: another program imports the same file.

    """
    with open_regular(upload.path) as packed:
        head, tail, n_bytes = _ends(packed)
        is_packed = stream.is_gzip(head)
        if is_packed:
            n_bytes = stream.measure_gzip(
                upload.path, max_bytes=settings.max_unpacked_bytes, max_ratio=settings.max_ratio
            )
            head = _unpacked_head(packed)
    stream.refuse_other_kinds(head, tail, upload.name)
    source = _open_source(db, project_id, upload, hashlib.sha256(head).digest(), n_bytes, now())
    overflow = settings.data_dir / "overlong"
    share = Share(
        upload.path, is_packed, source.offset_bytes, source.n_lines, settings.max_line_bytes, overflow,
        source.name, upload.format,
    )  # fmt: skip
    with closing(_reader(share, head, upload, n_bytes)) as lines:
        _read_all(db, source, lines, now, progress)
    return get_report(db, source.id or 0)


def _reader(share: Share, head: bytes, upload: Upload, n_bytes: int) -> Generator[Read | bytes]:
    if upload.files or is_document(head):
        files = {path: file.read_bytes() for path, file in sorted(upload.files.items())}
        return reading.read_document(share, files)
    large = n_bytes - share.start > _WORTH_A_PROCESS
    return reading.read_ahead(share) if large else reading.read_share(share)


def is_document(head: bytes) -> bool:
    """Whether a file that begins so is one JSON value over many lines: a run, a patch set's `patch_meta.json`."""
    first, _, more = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    return first.strip() in {b"{", b"["} and bool(more)


def _unpacked_head(packed: BinaryIO) -> bytes:
    try:
        return gzip.GzipFile(fileobj=packed).read1(_HEAD_BYTES)
    except (EOFError, OSError, zlib.error):
        return b""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file without ever waiting for a writer.

    Raises:
        BadInputError: nothing is there, or it is a folder, a pipe or a device.

    """
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise BadInputError(f"{shown_name(str(path))} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise BadInputError(f"{shown_name(str(path))} is no regular file (a folder, a pipe or a device).")
    return os.fdopen(number, "rb", buffering=0)


def shown_name(name: str) -> str:
    """A file's name as it may be shown and stored: no control characters, and of a long one the end."""
    clean = name.encode(errors="backslashreplace").decode()
    shown = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in clean)
    return shown if len(shown) <= _TITLE else f"{shown[: _TITLE // 4]}…{shown[1 + _TITLE // 4 - _TITLE :]}"


def _ends(packed: BinaryIO) -> tuple[bytes, bytes, int]:
    head = packed.read(_HEAD_BYTES) or b""
    n_bytes = packed.seek(0, os.SEEK_END)
    packed.seek(max(0, n_bytes - _TAIL_BYTES))
    tail = packed.read(_TAIL_BYTES) or b""
    packed.seek(0)
    return head, tail, n_bytes


def _open_source(db: Database, project_id: int, upload: Upload, head: bytes, n_bytes: int, now: datetime) -> SourceRow:
    """The unfinished source of an interrupted attempt at the same file, or a new one."""
    name = shown_name(upload.name)
    with db.write() as session:
        found: SourceRow | None = session.execute(
            select(SourceRow)
            .where(
                col(SourceRow.project_id) == project_id,
                col(SourceRow.name) == name,
                col(SourceRow.head_digest) == head,
                col(SourceRow.n_bytes) == n_bytes,
                col(SourceRow.delivery_id) == upload.delivery,
                col(SourceRow.state) == SourceState.READING,
            )
            .order_by(col(SourceRow.id).desc())
        ).scalar()
        if found is not None:
            return found
        source = SourceRow(
            project_id=project_id,
            delivery_id=upload.delivery,
            name=name,
            origin=upload.origin,
            format=upload.format or "",
            head_digest=head,
            n_bytes=n_bytes,
            licence=upload.licence,
            created_at=now,
        )
        session.add(source)
        session.flush()
        return source


def _read_all(
    db: Database,
    source: SourceRow,
    lines: Iterator[Read | bytes],
    now: Callable[[], datetime],
    progress: Progress | None,
) -> None:
    size = _FIRST_BATCH
    while batch := list(_up_to(lines, size)):
        digest = batch.pop() if isinstance(batch[-1], bytes) else None
        read = cast("list[Read]", batch)
        with db.write() as session:
            began = time.perf_counter()
            lock_ingest(session)
            if read:
                store(session, source, read, now())
            if digest is not None:
                _finish(session, source, cast("bytes", digest), now())
            spent = time.perf_counter() - began
        size = min(_LARGEST_BATCH, max(20, int(len(batch) * min(2.0, _BATCH_SECONDS / max(spent, 1e-4)))))
        if progress is not None:
            progress(source.offset_bytes, source.n_bytes or source.offset_bytes)


def _finish(session: Session, source: SourceRow, digest: bytes, now: datetime) -> None:
    finished = session.get_one(SourceRow, source.id)
    finished.state = SourceState.DONE
    finished.digest = digest
    finished.finished_at = now
    session.add(finished)


def _up_to(lines: Iterator[Read | bytes], most: int) -> Iterator[Read | bytes]:
    n_bytes = 0
    for one in islice(lines, most):
        yield one
        n_bytes += 0 if isinstance(one, bytes) else len(one.line.raw)
        if n_bytes > _BATCH_BYTES:
            return


def receive(
    db: Database, settings: Settings, project_id: int, upload: Upload, *, now: Callable[[], datetime]
) -> Report:
    """Take an upload in: a small one is read at once, a large one by the worker, as a job that the report names.

    The upload's bytes are removed when they have been read, or refused.

    Raises:
        UnsupportedError: the file is not JSONL at all; nothing was stored.
        TooLargeError: a gzip bomb; nothing was stored.

    """
    if upload.path.stat().st_size <= settings.inline_bytes:
        try:
            report = read_file(db, settings, project_id, upload, now=now)
            finish(db, project_id, now=now)
            return get_report(db, report.source)
        finally:
            upload.path.unlink(missing_ok=True)
    try:
        _refuse_early(upload)
    except AppError:
        upload.path.unlink(missing_ok=True)
        raise
    args: dict[str, object] = {
        "path": str(upload.path), "name": upload.name, "origin": upload.origin, "format": upload.format,
    }  # fmt: skip
    with db.write() as session:
        job = jobs.enqueue(session, project_id, "ingest", args, now=now())
    return Report(0, shown_name(upload.name), 0, 0, 0, 0, 0, 0, 0, 0, job.state, None, job=job.id)


def _refuse_early(upload: Upload) -> None:
    with open_regular(upload.path) as packed:
        head, tail, _ = _ends(packed)
    if not stream.is_gzip(head):
        stream.refuse_other_kinds(head, tail, upload.name)


def finish(db: Database, project_id: int, *, now: Callable[[], datetime], progress: Progress | None = None) -> None:
    """Join what came in with what is here; check, render and group it at once where it is little, else queue that."""
    joining.run(db, project_id, progress=progress)
    if prepare.count_waiting(db, most=_PREPARED_AT_ONCE + 1) <= _PREPARED_AT_ONCE:
        prepare.run(db)
        groups.keep_up(db, project_id)
        return
    with db.write() as session:
        jobs.enqueue(session, project_id, jobs.IN_BACKGROUND, {}, now=now(), once=True)


def load_samples(db: Database, settings: Settings, project_id: int, *, now: Callable[[], datetime]) -> Report:
    """Bring in the twelve real patches that ship with the product; their provenance lies beside them."""
    upload = Upload(
        Path(__file__).parent / "samples" / "success_memory.jsonl",
        "12 sample patches",
        origin="sample",
        licence="BSD-3-Clause and Apache-2.0, see app/samples",
    )
    report = read_file(db, settings, project_id, upload, now=now)
    finish(db, project_id, now=now)
    return get_report(db, report.source)


# ------------------------------------------------------------------------------------------------ once more


def retry(
    session: Session, settings: Settings, project_id: int, quarantine_id: int, *, corrected: bytes | None, now: datetime
) -> int:
    """Read a quarantined line again, corrected or as it was; gives the id of its candidate.

    The quarantine row keeps the bytes as they came in; the entry holds the corrected ones.

    Raises:
        NotFoundError: no such line.
        ConflictError: it was resolved already.
        BadInputError: it still cannot be read; the message says why, and nothing was changed.

    """
    # In line with whoever reads logs in, joins or decides: the counts of the source and the candidates are theirs too.
    lock_ingest(session)
    lock_chain(session)
    row, source = get_quarantined(session, project_id, quarantine_id)
    if row.resolved_at is not None:
        raise ConflictError(f"Line {row.line} of {source.name} was resolved on {row.resolved_at:%Y-%m-%d %H:%M} UTC.")
    raw = row.raw if corrected is None else corrected.rstrip(b"\r\n")
    if corrected is None and row.overflow:
        raw = (settings.data_dir / "overlong" / row.overflow).read_bytes()
    line = stream.Line(row.line, row.offset_bytes, raw, len(raw), ended=True)
    read = reading.read_line(line, settings.max_line_bytes, given=Given(source.name))
    where = f"{source.name}:{row.line}: byte {row.offset_bytes}"
    if isinstance(read, Blank):
        raise BadInputError("The corrected line is blank; a log entry is a JSON object.", where=where)
    if isinstance(read, Held):
        raise BadInputError(read.message, where=where, code=read.code)
    batch = _Batch(session, source, [read], now)
    if batch.counts.quarantined:
        raise BadInputError(str(batch.rows["quarantine"][0][7]), where=where, code="id_conflict")
    counts = batch.store()
    row.resolved_at, row.entry_id = now, batch.find_entry(read)
    source.n_quarantined -= 1
    source.n_new += counts.new
    source.n_repeated += counts.repeated
    source.n_updated += counts.updated
    session.add_all([row, source])
    session.flush()
    joining.settle_new(session, project_id)
    return session.get_one(EntryRow, row.entry_id).candidate_id
