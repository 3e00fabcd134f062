"""A file that others write to, looked at from outside: what it is, what it begins with, where its last line ends.

Knows nothing of what the bytes mean.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, Self

from app.formats.stream import CHUNK

_HEAD_BYTES, _TAIL_BYTES = 1 << 12, 1 << 16
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})


class Hash(Protocol):
    """What `hashlib` makes; it has no public name there."""

    def update(self, more: bytes, /) -> None:
        """Take bytes in."""

    def digest(self) -> bytes:
        """Of all that was taken in so far."""

    def copy(self) -> "Hash":
        """One that goes on by itself."""


class Stamp(NamedTuple):
    """How files look from outside.

    Attributes:
        identity: device and inode of the first.
        text: a digest of these, of sizes and times of all.
        changed_at: when one of them changed last, in seconds since 1970 by the file system's clock.
    """

    identity: str
    text: str
    changed_at: float


def stamp_of(paths: Iterable[Path]) -> Stamp | None:
    """How files look, the first of which counts most; None where one of them is gone."""
    try:
        looks = [os.lstat(path) for path in paths]
    except OSError:
        return None
    told = "\n".join(
        f"{one.st_dev}:{one.st_ino}:{one.st_size}:{one.st_mtime_ns}:{one.st_ctime_ns}:{one.st_mode}" for one in looks
    )
    changed_at = max(max(one.st_mtime, one.st_ctime) for one in looks)
    return Stamp(_identity(looks[0]), hashlib.sha256(told.encode()).hexdigest(), changed_at)


def _identity(look: os.stat_result) -> str:
    return f"{look.st_dev}:{look.st_ino}"


def open_plain(path: Path, root: Path) -> "PlainFile | None":
    """Open a plain file below a folder, following no link and waiting for no writer; None where it is none (any more).

    Raises:
        OSError: it is there and cannot be opened.

    """
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        if not path.parent.resolve().is_relative_to(root):
            return None
        number = os.open(path, flags)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    look = os.fstat(number)
    if not stat.S_ISREG(look.st_mode):
        os.close(number)
        return None
    return PlainFile(os.fdopen(number, "rb", buffering=0), look)


class PlainFile:
    """An open file, as large as it was when it was opened; whoever writes to it goes on."""

    def __init__(self, opened: BinaryIO, look: os.stat_result) -> None:
        self._opened = opened
        self.identity = _identity(look)
        self.n_bytes = look.st_size
        self.head = self.read_at(0, _HEAD_BYTES)
        self.tail = self.read_at(max(0, self.n_bytes - _TAIL_BYTES), _TAIL_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def read_at(self, offset: int, most: int) -> bytes:
        """So many bytes from an offset, or all that are there."""
        self._opened.seek(offset)
        parts: list[bytes] = []
        while most > 0 and (chunk := self._opened.read(min(most, CHUNK))):
            parts.append(chunk)
            most -= len(chunk)
        return b"".join(parts)

    def span(self, start: int, end: int | None = None) -> "Span":
        """The bytes from one offset to another, or to wherever the file ends."""
        return Span(self._opened, start, end)

    def both_ends(self, offset: int) -> bytes:
        """A digest of what stands at the start, and just before an offset."""
        n_bytes = min(offset, _HEAD_BYTES)
        return hashlib.sha256(self.read_at(0, n_bytes) + self.read_at(offset - n_bytes, n_bytes)).digest()

    def begin(self, n_bytes: int, digest: bytes) -> Hash | None:
        """The hash of the first bytes, to go on with, if they have this SHA-256 and a line ends behind them."""
        found, span = hashlib.sha256(), self.span(0, n_bytes)
        while chunk := span.read(CHUNK):
            found.update(chunk)
        if span.at != n_bytes or found.digest() != digest:
            return None
        before, after = self._around(n_bytes)
        ends = before in {b"", b"\n"} or after in {b"", b"\r", b"\r\n"} or after[:1] == b"\n"
        return found if ends else None

    def rest_of_line(self, offset: int) -> bytes:
        """The line end at an offset, if the line before it has none yet."""
        before, after = self._around(offset)
        if before in {b"", b"\n"}:
            return b""
        return next((end for end in (b"\r\n", b"\n") if after.startswith(end)), b"")

    def _around(self, offset: int) -> tuple[bytes, bytes]:
        return self.read_at(max(0, offset - 1), min(offset, 1)), self.read_at(offset, 2)

    def end_of_lines(self, start: int, most: int) -> int | None:
        """Where the last line that has its end is over, or `start`; None where so many bytes at the end have none."""
        at = self.n_bytes
        while at > start:
            if at < self.n_bytes - most:
                return None
            begin = max(start, at - CHUNK)
            found = self.read_at(begin, at - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            at = begin
        return start


class Span:
    """The bytes of a file from one offset to another, as a stream, whatever else is read of it meanwhile."""

    def __init__(self, opened: BinaryIO, start: int, end: int | None) -> None:
        self._opened, self._end = opened, end
        self.at = start
        """How far it was read."""

    def read1(self, most: int) -> bytes:
        """Up to so many bytes, none at the end."""
        self._opened.seek(self.at)
        chunk = self._opened.read(most if self._end is None else min(most, self._end - self.at)) or b""
        self.at += len(chunk)
        return chunk

    read = read1
