"""What becomes of one line: ready to be stored, held with a reason, or blank; and of a whole file, read ahead."""

import gzip
import hashlib
import marshal
import re
from collections.abc import Generator, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from app.candidates import Candidate
from app.formats import stream, success_memory
from app.formats.lines import HeldError, parse_line

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from queue import Queue

_TITLE = 200
_CHANGED_CHARACTERS = 100_000
_LINES, _BYTES, _FRAMES = 500, 2 << 20, 4
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Ready(NamedTuple):
    """A line that was read: what the tables take of it, made outside the write lock.

    Attributes:
        line: the raw line and its place.
        digest: SHA-256 of the raw line.
        content: SHA-256 of what it says, see `success_memory.content_digest`.
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

    @property
    def title(self) -> str:
        """The first line of the issue, at most 200 characters."""
        return self.issue.strip().partition("\n")[0].strip()[:_TITLE] or "(no issue text)"

    @property
    def target(self) -> str:
        """The target files in one line, at most 200 characters."""
        return self.paths.replace("\n", ", ")[:_TITLE]


_LOGGED_AT = Ready._fields.index("logged_at")


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


def read_line(line: stream.Line, max_line_bytes: int) -> Read:
    """Read one line: `Line(1, 0, b'{"diff": "…"}', …)` → `Ready(…)`; never raises."""
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
        entry = parse_line(line.raw, first=line.number == 1, last=not line.ended)
        return Blank(line) if entry is None else _ready(line, digest, entry)
    except HeldError as error:
        return Held(line, digest, error.code, shown(error.message))


def _ready(line: stream.Line, digest: bytes, entry: dict[str, object]) -> Ready:
    said = success_memory.read(entry)
    content = success_memory.content_digest(entry)
    return Ready(
        line,
        digest,
        content,
        _group(said, content),
        said.kind.value,
        None if said.external_id is None else shown(said.external_id),
        shown(said.issue),
        shown("\n".join(said.target_files)),
        *_changes(said.diff or ""),
        said.generation,
        shown(said.patch_source),
        said.rating,
        said.logged_at,
        said.script is not None,
    )


def _group(said: Candidate, content: bytes) -> bytes:
    """Candidates of one issue share this digest, and so their split; one without an issue stands alone."""
    key = said.issue_id or " ".join(said.issue.split()).lower()
    if key in {"", "n/a"}:
        return content
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _changes(diff: str) -> tuple[str, int, int]:
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
    """

    path: Path
    packed: bool
    start: int
    number: int
    max_line_bytes: int
    overflow: Path


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
        for line in lines:
            yield read_line(line, share.max_line_bytes)
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
        return (0, tuple(read.line), *read[1:_LOGGED_AT], at, *read[_LOGGED_AT + 1 :])
    return (1 if isinstance(read, Held) else 2, tuple(read.line), *read[1:])


def _from_plain(told: tuple[Any, ...]) -> Read:
    kind, line, *rest = told
    place = stream.Line._make(line)
    if kind == 0:
        at = rest[_LOGGED_AT - 1]
        rest[_LOGGED_AT - 1] = None if at is None else datetime.fromisoformat(at)
        return Ready(place, *rest)
    return Held(place, *rest) if kind == 1 else Blank(place)
