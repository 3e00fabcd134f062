"""What becomes of one line: ready to be stored, held with a reason, or blank; and of a whole file, read ahead."""

import gzip
import hashlib
import marshal
import re
from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from app import assembly, formats
from app.candidates import Candidate, Kind
from app.formats import stream
from app.formats.given import Given
from app.formats.lines import Blank as BlankLine
from app.formats.lines import HeldError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from queue import Queue

_TITLE = 200
_CHANGED_CHARACTERS = 100_000
_LINES, _BYTES, _FRAMES = 500, 2 << 20, 4
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CLASS = re.compile(r"^class\s+(\w{1,80})", re.MULTILINE)
_NOTHING_GIVEN = Given()


class Ready(NamedTuple):
    """A line that was read: what the tables take of it, made outside the write lock.

    Attributes:
        line: the raw line and its place.
        digest: SHA-256 of the raw line.
        content: SHA-256 of what it says, see `formats.digests`.
        group: SHA-256 that it shares with what must stay in one split with it.
        kind: of candidate.
        external_id: the log's own id, or None.
        issue: the issue text, as a database takes it.
        paths: target files, one a line.
        changes: the diff's changed lines without their signs.
        n_added: how many lines the diff adds.
        n_removed: how many it removes.
        generation: the writer's, by its keys.
        patch_source: as logged.
        rating: 1 to 5, or None.
        logged_at: aware UTC, or None.
        has_script: whether the script is there.
        format: of the entry.
        piece: which of the candidates that the entry speaks of this is, from 0.
        keys: what it may be joined by, see `assembly.keys`.
        n_attempts: how many attempts a run holds.
        label: the title where there is no issue text.
        grows: whether further entries may add to the candidate.
        more: the other candidates that the entry speaks of.
        files: what came with the entry: path and bytes.
    """

    line: stream.Line
    digest: bytes
    content: bytes
    group: bytes
    kind: str
    external_id: str | None
    issue: str
    paths: str
    changes: str
    n_added: int
    n_removed: int
    generation: str
    patch_source: str
    rating: int | None
    logged_at: datetime | None
    has_script: bool
    format: str = formats.SUCCESS
    piece: int = 0
    keys: tuple[int, ...] = ()
    n_attempts: int = 0
    label: str = ""
    grows: bool = False
    more: tuple["Ready", ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()

    @property
    def title(self) -> str:
        """See `title_of`."""
        return _title(self.issue, self.label)

    @property
    def target(self) -> str:
        """The target files in one line, at most 200 characters."""
        return self.paths.replace("\n", ", ")[:_TITLE]


_LOGGED_AT, _MORE = Ready._fields.index("logged_at"), Ready._fields.index("more")


class Held(NamedTuple):
    """A line that goes to quarantine, with its reason."""

    line: stream.Line
    digest: bytes
    code: str
    message: str


class Blank(NamedTuple):
    """A line of white space."""

    line: stream.Line


Read = Ready | Held | Blank


def shown(text: str) -> str:
    """Text as a database takes it: NUL and lone surrogates, which some refuse, become visible signs.

    Only for columns that are searched and listed; the entry keeps the bytes.
    """
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub(lambda found: "\u2400" if found[0] == "\x00" else "\ufffd", text)


def read_line(
    line: stream.Line,
    max_line_bytes: int,
    *,
    wanted: str | None = None,
    given: Given = _NOTHING_GIVEN,
    is_file: bool = False,
) -> Read:
    """Read one line, or one file that is an entry: `Line(1, 0, b'{"diff": "…"}', …)` → `Ready(…)`; never raises.

    Args:
        line: the bytes and their place.
        max_line_bytes: a longer one is held.
        wanted: the format, where a person said it; else it is recognised.
        given: what stands beside the bytes.
        is_file: it is a whole file over many lines.

    """
    digest = line.digest or hashlib.sha256(line.raw).digest()
    if line.fault:
        if not line.raw:
            # A break between two lines has no bytes of its own: by its digest it must not pass for another file's.
            digest = hashlib.sha256(f"{line.fault[1]} {line.offset_bytes}".encode()).digest()
        return Held(line, digest, *line.fault)
    if line.n_bytes > max_line_bytes:
        message = f"The line holds {line.n_bytes:,} bytes; the limit is {max_line_bytes:,} (PATCHSIFT_MAX_LINE_BYTES)."
        return Held(line, digest, "line_too_long", message)
    try:
        value = formats.parse(line.raw, first=line.number == 1, last=not line.ended, wanted=wanted)
        if value is BlankLine.LINE:
            return Blank(line)
        name = wanted or formats.recognise(value)
        if is_file and name in {None, formats.SUCCESS}:
            formats.refuse_pretty(value)
        if name is None:
            raise formats.unknown(value)
        said = formats.READERS[name].read(value, given)
        contents = formats.digests(name, value, given)
        grows = formats.grows(name, value)
    except HeldError as error:
        return Held(line, digest, error.code, shown(error.message))
    made = [_ready(line, digest, contents[piece], one, name, piece, grows) for piece, one in enumerate(said)]
    if len(made) == 1 and not given.files:
        return made[0]
    return made[0]._replace(more=tuple(made[1:]), files=tuple(given.files.items()))


def _ready(
    line: stream.Line,
    digest: bytes,
    content: bytes,
    said: Candidate,
    name: str,
    piece: int,
    grows: bool,
) -> Ready:
    return Ready(
        line,
        digest,
        content,
        group_digest(said, content),
        said.kind.value,
        None if said.external_id is None else shown(said.external_id),
        shown(said.issue),
        shown("\n".join(said.target_files)),
        *_changes(said),
        said.generation,
        shown(said.patch_source),
        said.rating,
        said.logged_at,
        said.script is not None,
        name,
        piece,
        assembly.keys_of(said) if said.kind is Kind.PATCH else (),
        0 if said.run is None else len(said.run.attempts),
        _label(said),
        grows,
    )


def title_of(said: Candidate) -> str:
    """What a list calls a candidate: the first line of its issue, or what it is; at most 200 characters.

    `"Fix the parser"`, `"Style of test_x (function)"`, `"A run of 8 attempts: class RenameFlag"`.
    """
    return _title(shown(said.issue), _label(said))


def _title(issue: str, label: str) -> str:
    return issue.strip().partition("\n")[0].strip()[:_TITLE] or label[:_TITLE] or "(no issue text)"


def _label(said: Candidate) -> str:
    if said.issue and not said.issue.isspace():
        return ""
    if said.refine is not None:
        return shown(f"Style of {said.refine.item or said.refine.place or 'a snippet'}")
    if said.unify is not None:
        return f"Profile of {len(said.unify.samples):,} fingerprints"
    if said.run is not None:
        named = _CLASS.search(said.script or "")
        return shown(f"A run of {len(said.run.attempts):,} attempts" + (f": class {named[1]}" if named else ""))
    return ""


def group_digest(said: Candidate, content: bytes) -> bytes:
    """Candidates of one issue share this digest, and so their split; one without an issue stands alone."""
    key = said.issue_id or " ".join(said.issue.split()).lower()
    if key in {"", "n/a"}:
        return content
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _changes(said: Candidate) -> tuple[str, int, int]:
    """What is searched of the answer, and how many lines the diff adds and removes."""
    if said.kind is not Kind.PATCH:
        return shown("\n".join(said.texts.values())[:_CHANGED_CHARACTERS]), 0, 0
    return changed_lines(said.diff or "")


def changed_lines(diff: str) -> tuple[str, int, int]:
    """The changed lines with their signs, which search passes over, and how many were added and removed.

    File headers begin with a sign too: they are kept, and not counted.
    """
    changes = "\n".join([line for line in diff.split("\n") if line and line[0] in "+-"])
    lines = "\n" + changes
    n_added = lines.count("\n+") - lines.count("\n+++ ")
    n_removed = lines.count("\n-") - lines.count("\n--- ")
    return shown(changes[:_CHANGED_CHARACTERS]), n_added, n_removed


# ------------------------------------------------------------------------------------------------ a file


class Share(NamedTuple):
    """The part of a file that is to be read: where it begins, and the limits.

    Attributes:
        path: the file, plain or gzip.
        packed: whether it is gzip.
        start: offset of the first byte wanted, in the unpacked file.
        number: how many lines lie before it.
        max_line_bytes: a longer line is held.
        overflow: the folder that takes such lines whole.
        name: the file's name as it was given.
        wanted: the format, where a person said it.
    """

    path: Path
    packed: bool
    start: int
    number: int
    max_line_bytes: int
    overflow: Path
    name: str = ""
    wanted: str | None = None


class Digesting:
    """A stream that takes the SHA-256 of all that passes through it."""

    def __init__(self, inner: BinaryIO) -> None:
        self._read = getattr(inner, "read1", inner.read)
        self.digest = hashlib.sha256()

    def read1(self, most: int) -> bytes:
        """Up to `most` bytes, as soon as there are some."""
        chunk: bytes = self._read(most) or b""
        self.digest.update(chunk)
        return chunk

    read = read1


def read_share(share: Share) -> Generator[Read | bytes]:
    """Every line of the share, read; last, the SHA-256 of the whole unpacked file, its beginning included."""
    with share.path.open("rb", buffering=0) as packed:
        unpacked = Digesting(gzip.GzipFile(fileobj=packed) if share.packed else packed)  # type: ignore[arg-type]
        skip = share.start
        while skip > 0:
            skip -= len(unpacked.read1(min(skip, stream.CHUNK)))
        lines = stream.read_lines(
            unpacked,  # type: ignore[arg-type]
            start=share.start,
            number=share.number,
            max_line_bytes=share.max_line_bytes,
            overflow=share.overflow,
        )
        given = Given(share.name)
        for line in lines:
            yield read_line(line, share.max_line_bytes, wanted=share.wanted, given=given)
        yield unpacked.digest.digest()


def read_document(share: Share, files: Mapping[str, bytes]) -> Generator[Read | bytes]:
    """A file that is one entry over many lines; last, its SHA-256.

    Args:
        share: the file, from its start.
        files: what came with it.

    """
    with share.path.open("rb", buffering=0) as packed:
        unpacked = Digesting(gzip.GzipFile(fileobj=packed) if share.packed else packed)  # type: ignore[arg-type]
        begun = bytearray()
        while len(begun) <= share.max_line_bytes and (chunk := unpacked.read1(stream.CHUNK)):
            begun += chunk
        line = stream.keep_whole(bytes(begun), unpacked, share.max_line_bytes, share.overflow)  # type: ignore[arg-type]
        given = Given(share.name, files)
        yield read_line(line, share.max_line_bytes, wanted=share.wanted, given=given, is_file=True)
        yield unpacked.digest.digest()


# ------------------------------------------------------------------------------------------------ ahead


def read_ahead(share: Share) -> Generator[Read | bytes]:
    """As `read_share`, from a child process that reads on while the caller stores what came before.

    The child is started anew, not forked: the caller may hold a database open. What it says comes as `marshal` frames,
    which cost a tenth of pickles; both ends are the same program.

    Raises:
        RuntimeError: the child died.

    """
    import multiprocessing  # noqa: PLC0415  (only a large file pays for these)
    from queue import Queue  # noqa: PLC0415
    from threading import Thread  # noqa: PLC0415

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_tell, args=(share, theirs), daemon=True)
    child.start()
    theirs.close()
    frames: Queue[bytes] = Queue(maxsize=_FRAMES)
    Thread(target=_hear, args=(ours, frames), daemon=True).start()
    try:
        while frame := frames.get():
            for told in marshal.loads(frame):  # noqa: S302  (from our own child)
                yield told if isinstance(told, bytes) else _from_plain(told)
        child.join()
        if child.exitcode:
            message = f"The process that reads the log ended with {child.exitcode}."
            raise RuntimeError(message)
    finally:
        child.kill()
        child.join()


def _hear(ours: "Connection", frames: "Queue[bytes]") -> None:
    """Take frames out of the pipe as they come, so that the child need not wait; an empty one says that it ended."""
    try:
        while True:
            frames.put(ours.recv_bytes())
    except (EOFError, OSError):
        frames.put(b"")


def _tell(share: Share, theirs: "Connection") -> None:
    read = read_share(share)
    while batch := [one if isinstance(one, bytes) else _to_plain(one) for one in _up_to(read)]:
        theirs.send_bytes(marshal.dumps(batch))


def _up_to(read: Iterator[Read | bytes]) -> Iterator[Read | bytes]:
    n_bytes = 0
    for one in islice(read, _LINES):
        yield one
        n_bytes += 0 if isinstance(one, bytes) else len(one.line.raw)
        if n_bytes > _BYTES:
            return


def _to_plain(read: Read) -> tuple[object, ...]:
    """What `marshal` takes: tuples, texts and numbers."""
    if isinstance(read, Ready):
        at = None if read.logged_at is None else read.logged_at.isoformat()
        more = tuple(map(_to_plain, read.more))
        return (0, tuple(read.line), *read[1:_LOGGED_AT], at, *read[_LOGGED_AT + 1 : _MORE], more, *read[_MORE + 1 :])
    return (1 if isinstance(read, Held) else 2, tuple(read.line), *read[1:])


def _from_plain(told: tuple[Any, ...]) -> Read:
    kind, line, *rest = told
    place = stream.Line._make(line)
    if kind == 0:
        at = rest[_LOGGED_AT - 1]
        rest[_LOGGED_AT - 1] = None if at is None else datetime.fromisoformat(at)
        rest[_MORE - 1] = tuple(map(_from_plain, rest[_MORE - 1]))
        return Ready(place, *rest)
    return Held(place, *rest) if kind == 1 else Blank(place)
