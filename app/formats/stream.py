"""Bytes of a log file to lines: plain or gzip, split on the byte 0x0A only, flat in memory.

`str.splitlines` would cut a record at U+2028, form feeds and eight other characters that occur inside strings.
"""

import gzip
import hashlib
import re
import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from app.errors import TooLargeError, UnsupportedError

CHUNK = 1 << 20
_RATIO_FROM = 64 << 20
_KEPT_OF_A_LONG_LINE = 1 << 16
_GZIP = b"\x1f\x8b"
_ZIP_END = b"PK\x05\x06"
_MAGIC = {
    b"PK\x03\x04": "a zip archive: unpack it and give its files",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"SQLite format 3": "a SQLite database",
    b"BZh": "a bzip2 archive: unpack it, or pack it with gzip",
    b"\xfd7zXZ": "an xz archive: unpack it, or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "a zstd archive: unpack it, or pack it with gzip",
}
# Not every "<": a log that a merge left unfinished begins with "<<<<<<< HEAD", and its entries are sound.
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<[a-zA-Z!?/]")
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"{\x00", b"\x00{", b"[\x00", b"\x00[")


class Line(NamedTuple):
    """One line of a file, or the fault that ended it.

    Attributes:
        number: from 1.
        offset_bytes: of the line's first byte in the unpacked file.
        raw: the line without its LF; of a line over the limit, its first 64 KiB.
        n_bytes: the length of the whole line without its LF.
        ended: an LF follows.
        digest: SHA-256 of a line over the limit, whose `raw` is not whole.
        overflow: the name of the file that holds such a line.
        fault: (code, sentence) when the stream broke here.
    """

    number: int
    offset_bytes: int
    raw: bytes
    n_bytes: int
    ended: bool
    digest: bytes | None = None
    overflow: str | None = None
    fault: tuple[str, str] | None = None


def refuse_other_kinds(head: bytes, tail: bytes, name: str) -> None:
    """Refuse what cannot be a log, by its first and last bytes, before anything is stored.

    Raises:
        UnsupportedError: the bytes are UTF-16, an archive, a program, a page; the message says what to do.

    """
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            raise UnsupportedError(f"{name} is {kind}. A log is JSONL (one JSON object a line), plain or gzip.")
    if head.startswith(_UTF16):
        raise UnsupportedError(f"{name} is not UTF-8 (it looks like UTF-16). Save it as UTF-8, then give it again.")
    if _MARKUP.match(head):
        raise UnsupportedError(f"{name} is an HTML or XML page, not JSONL. Was it saved from a login page?")
    if _ZIP_END in tail:
        raise UnsupportedError(f"{name} ends as a zip archive; a file that is two kinds at once is not read.")


def is_gzip(head: bytes) -> bool:
    """Whether the content is gzip, whatever the name says."""
    return head.startswith(_GZIP)


def measure_gzip(path: Path, *, max_bytes: int, max_ratio: int) -> int:
    """Unpacked size in bytes, found by unpacking into nothing.

    A cut or damaged file gives the size up to the fault.

    Raises:
        TooLargeError: more than `max_bytes`, or more than `max_ratio` times the packed size beyond 64 MiB.

    """
    packed, unpacked = path.stat().st_size, 0
    try:
        with gzip.open(path) as stream:
            while chunk := stream.read1(CHUNK):
                unpacked += len(chunk)
                if unpacked > max_bytes or (unpacked > _RATIO_FROM and unpacked > packed * max_ratio):
                    raise TooLargeError(
                        f"{path.name} unpacks to far more than it holds ({packed:,} bytes packed, over "
                        f"{unpacked:,} unpacked; the limits are {max_bytes:,} bytes and {max_ratio} times). "
                        "Unpack it yourself if it is sound.",
                        code="bomb",
                    )
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return unpacked
    return unpacked


def read_lines(
    stream: BinaryIO, *, start: int = 0, number: int = 0, max_line_bytes: int, overflow: Path
) -> Iterator[Line]:
    r"""The lines of a stream: `b'{}\n{}'` → `Line(1, 0, b'{}', 2, True)`, `Line(2, 3, b'{}', 2, False)`.

    Args:
        stream: unpacked bytes, at `start`; a `gzip.GzipFile` may break in the middle.
        start: the offset of the stream's next byte in the whole file.
        number: how many lines lie before it.
        max_line_bytes: a longer line that a chunk does not hold whole is yielded with `overflow` set, and is not
            held in memory.
        overflow: the folder that takes such lines whole.

    """
    rest, offset = b"", start
    chunks = _chunks(stream)
    for chunk in chunks:
        if isinstance(chunk, tuple):
            yield Line(number + 1, offset, rest, len(rest), ended=False, fault=chunk)
            return
        rest += chunk
        while True:
            *whole, rest = rest.split(b"\n")
            for raw in whole:
                number += 1
                yield Line(number, offset, raw, len(raw), ended=True)
                offset += len(raw) + 1
            if len(rest) <= max_line_bytes:
                break
            number += 1
            line, rest, fault = _spill(number, offset, rest, chunks, overflow)
            yield line
            offset += line.n_bytes + line.ended
            if fault is not None:
                yield Line(number + 1, offset, b"", 0, ended=False, fault=fault)
                return
    if rest:
        yield Line(number + 1, offset, rest, len(rest), ended=False)


def keep_whole(begun: bytes, rest: BinaryIO, max_bytes: int, overflow: Path) -> Line:
    r"""A whole file as one line: `b'[\n]\n'` → `Line(1, 0, b'[\n]\n', 4, False)`.

    Args:
        begun: its first bytes, all of them where they are no more than `max_bytes`.
        rest: what follows.
        max_bytes: a longer file goes to the folder `overflow`, as a longer line does.
        overflow: that folder.

    """
    if len(begun) <= max_bytes:
        return Line(1, 0, begun, len(begun), ended=False)
    overflow.mkdir(parents=True, exist_ok=True)
    digest, n_bytes, part = hashlib.sha256(begun), len(begun), overflow / f"file-{secrets.token_hex(8)}.part"
    with part.open("wb") as kept:
        kept.write(begun)
        while chunk := rest.read(CHUNK):
            digest.update(chunk)
            n_bytes += len(chunk)
            kept.write(chunk)
    whole = overflow / digest.hexdigest()
    part.replace(whole)
    kept_here = begun[:_KEPT_OF_A_LONG_LINE]
    return Line(1, 0, kept_here, n_bytes, ended=False, digest=digest.digest(), overflow=whole.name)


def _chunks(stream: BinaryIO) -> Iterator[bytes | tuple[str, str]]:
    read = getattr(stream, "read1", stream.read)
    try:
        while chunk := read(CHUNK):
            yield chunk
    except EOFError:
        yield "truncated", "The gzip file ends early: it was cut. The lines before the cut are in."
    except (gzip.BadGzipFile, zlib.error) as error:
        yield "checksum", f"The gzip file is damaged ({error}). The lines before the damage are in; check them."


def _spill(
    number: int, offset: int, begun: bytes, chunks: Iterator[bytes | tuple[str, str]], folder: Path
) -> tuple[Line, bytes, tuple[str, str] | None]:
    """Write a long line to a file, chunk by chunk; gives the line, what came after its LF, and what broke it off."""
    folder.mkdir(parents=True, exist_ok=True)
    digest, n_bytes, after, ended, fault = hashlib.sha256(begun), len(begun), b"", False, None
    part = folder / f"line-{number}-{offset}.part"
    with part.open("wb") as kept:
        kept.write(begun)
        for chunk in chunks:
            if isinstance(chunk, tuple):
                fault = chunk
                break
            piece, found, after = chunk.partition(b"\n")
            digest.update(piece)
            n_bytes += len(piece)
            kept.write(piece)
            if found:
                ended = True
                break
    whole = folder / digest.hexdigest()
    part.replace(whole)
    line = Line(
        number, offset, begun[:_KEPT_OF_A_LONG_LINE], n_bytes, ended, digest=digest.digest(), overflow=whole.name
    )
    return line, after, fault
