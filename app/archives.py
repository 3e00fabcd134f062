"""The files of a zip or tar archive, unpacked into one folder under names of our own.

What an archive calls a file is shown and never used as a path, so nothing can be written elsewhere. An archive that
tries is refused whole all the same: whoever made it meant harm, or its names would lie.
"""

import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from app.errors import AppError, BadInputError, NotStoredError, TooLargeError, UnsupportedError
from app.settings import Settings

# What tools make and keep for themselves: never walked, never unpacked.
NOT_WALKED = frozenset({
    ".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", "__MACOSX", ".tox", ".nox", ".mypy_cache",
    ".pytest_cache", ".ruff_cache",
})  # fmt: skip

HEAD_BYTES = 4096
_CHUNK = 1 << 20
# The same bound as for a packed log: small files pack a hundredfold by nature.
_RATIO_FROM = 64 << 20
_LONGEST_NAME = 1000
_SHOWN = 80
_DRIVE = re.compile(r"[A-Za-z]:/")
_REST = "(the rest of the archive)"

_ZIP, _EMPTY_ZIP, _CENTRAL, _GZIP = b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02", b"\x1f\x8b"
_END = struct.Struct("<4s4H2LH")
_PLACE_64 = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL_BYTES = 46
_CENTRAL_AT_MOST = 1 << 12
_LONGEST_COMMENT = 1 << 16
_ENCRYPTED = 0x2041
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OverflowError, ValueError, struct.error)

_BLOCK = 512
_LONGEST_HEADER = 1 << 16
_FILES, _FOLDER, _NOTES, _LABEL = frozenset({b"0", b"\0", b"7"}), b"5", frozenset({b"x", b"L", b"K", b"g"}), b"V"


class Unpacked(NamedTuple):
    """What an archive held.

    Attributes:
        files: (name as shown, path below the folder that was given), in the archive's order.
        broken: (name as shown, sentence) of what is damaged; what could be read of it stands among the files.
        n_beside: how many members lie in folders that tools keep for themselves; they were left in the archive.
    """

    files: Sequence[tuple[str, Path]]
    broken: Sequence[tuple[str, str]]
    n_beside: int = 0


class _Member(NamedTuple):
    name: str
    chunks: Iterator[bytes]


class _CutError(Exception):
    """Nothing more can be read of an archive; the message is a sentence."""


@dataclass(slots=True)
class _Meter:
    """Counts what is unpacked, and stops before it is too much."""

    packed: int
    settings: Settings
    n_bytes: int = 0
    n_members: int = 0
    n_beside: int = 0
    names: set[str] = field(default_factory=set)

    def count_bytes(self, more: int) -> None:
        self.n_bytes += more
        most, ratio = self.settings.max_unpacked_bytes, self.settings.max_ratio
        if self.n_bytes > most or (self.n_bytes > _RATIO_FROM and self.n_bytes > self.packed * ratio):
            raise TooLargeError(
                f"The archive unpacks to far more than it holds ({self.packed:,} bytes packed, over {self.n_bytes:,} "
                f"unpacked; the limits are {most:,} bytes and {ratio} times). If it is sound, unpack it yourself and "
                "give the folder.",
                code="bomb",
            )

    def count_members(self, more: int) -> None:
        self.n_members += more
        most = self.settings.max_members
        if self.n_members > most:
            raise TooLargeError(
                f"The archive holds more than {most:,} members (PATCHSIFT_MAX_MEMBERS). Pack only .agent_data and "
                ".autopatches, or give the folder itself.",
                code="too_many_files",
            )

    def passes(self, name: str) -> bool:
        """Whether a member is left in the archive."""
        passes = is_beside(name)
        self.n_beside += passes
        return passes

    def take(self, name: str) -> str:
        """The name as it is shown, once."""
        safe = safe_name(name)
        if safe in self.names:
            raise BadInputError(
                f"The archive holds {safe[:_SHOWN]} twice; which of the two counts depends on who unpacks it.",
                code="doubled_name",
            )
        self.names.add(safe)
        return safe


# ------------------------------------------------------------------------------------------------ names


def safe_name(name: str) -> str:
    r"""A relative path as it may be shown and stored: `"./a//b\n.json"` → `"a/b\\n.json"`.

    A backslash divides folders as a slash does.

    Raises:
        BadInputError: the name is absolute, climbs with `..`, is empty or is longer than 1,000 characters.

    """
    parts = _parts(name)
    if not parts or len(name) > _LONGEST_NAME:
        raise BadInputError(f"A file's name is empty or longer than {_LONGEST_NAME:,} characters.", code="unsafe_name")
    return "/".join(shown(part) for part in parts)


def shown(part: str) -> str:
    r"""One part of a path with nothing in it that a page or a terminal would obey: `"a\nb"` → `"a\\nb"`."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in part)


def is_beside(name: str) -> bool:
    """Whether a name is of no interest: in a folder that a tool keeps for itself, or a Mac's shadow of a file."""
    *folders, last = name.split("/")
    return last.startswith("._") or not NOT_WALKED.isdisjoint(folders)


def _parts(name: str) -> list[str]:
    unified = name.replace("\\", "/")
    parts = [part for part in unified.split("/") if part not in {"", "."}]
    if unified.startswith("/") or _DRIVE.match(unified) or ".." in parts:
        raise BadInputError(
            f"The name {shown(name)[:_SHOWN]} points outside of the folder that it belongs to. Nothing was read.",
            code="unsafe_name",
        )
    return parts


# ------------------------------------------------------------------------------------------------ what it is


def find_kind(head: bytes) -> str | None:
    """Which archive begins with these bytes (512 or more): `"zip"`, `"tar"`, `"tar.gz"` or None."""
    if head.startswith((_ZIP, _EMPTY_ZIP)):
        return "zip"
    if head.startswith(_GZIP):
        try:
            inner = zlib.decompressobj(wbits=31).decompress(head, _BLOCK)
        except zlib.error:
            return None
        return "tar.gz" if _is_tar(inner) else None
    return "tar" if _is_tar(head) else None


def is_archive(path: Path) -> bool:
    """Whether a file's content is an archive that is read here, whatever its name."""
    with path.open("rb") as packed:
        return find_kind(packed.read(HEAD_BYTES)) is not None


def _is_tar(head: bytes) -> bool:
    return len(head) >= _BLOCK and head[0] != 0 and _has_checksum(head[:_BLOCK])


# ------------------------------------------------------------------------------------------------ unpacking


def unpack(path: Path, into: Path, settings: Settings) -> Unpacked:
    """Unpack a zip, tar or tar.gz, known by its content, into a folder that is made for it.

    Args:
        path: the archive.
        into: the folder to make; its files are called `000001`, `000002`, ...
        settings: limits on bytes, ratio and number of members.

    Returns:
        The files with the names that the archive gives them, and what is damaged.

    Raises:
        UnsupportedError: no archive, two kinds at once, encrypted, or it holds links, devices or sparse files.
        TooLargeError: more bytes, a higher ratio or more members than the settings allow.
        BadInputError: a zip that is cut; a name that is absolute, climbs or stands twice.
        NotStoredError: the disk is full. In every case nothing stays behind.

    """
    meter = _Meter(path.stat().st_size, settings)
    make_folder(into)
    try:
        with path.open("rb") as packed:
            return _write_all(_open(packed, meter), into)._replace(n_beside=meter.n_beside)
    except AppError:
        shutil.rmtree(into, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(into, ignore_errors=True)
        raise NotStoredError(f"The archive was not unpacked: {error.strerror}.") from error


def make_folder(into: Path) -> None:
    """Make a new folder that only this user may look into.

    Raises:
        NotStoredError: it is there already, or cannot be made.

    """
    try:
        into.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise NotStoredError(f"The folder {into.name} cannot be made: {error.strerror}.") from error


def check(path: Path, settings: Settings) -> None:
    """Refuse at once what `unpack` would refuse before it unpacks anything: a zip's whole list, a tar's first header.

    Raises:
        AppError: as `unpack`.

    """
    with path.open("rb") as packed:
        try:
            next(_open(packed, _Meter(path.stat().st_size, settings)), None)
        except _CutError as error:
            raise BadInputError(str(error), code="damaged_archive") from error


def _open(packed: BinaryIO, meter: _Meter) -> Iterator[_Member]:
    head = packed.read(HEAD_BYTES)
    kind = find_kind(head)
    ends_as_zip = _find_end(packed, meter.packed) is not None
    packed.seek(0)
    if kind is None:
        raise UnsupportedError("This is no zip, tar or tar.gz archive.")
    if ends_as_zip and (kind != "zip" or _is_tar(head)):
        raise UnsupportedError("The archive is a zip and a tar at once; what is in it depends on who unpacks it.")
    if kind == "zip":
        return _read_zip(packed, meter)
    return _Tar(cast("BinaryIO", GzipFile(fileobj=packed)) if kind == "tar.gz" else packed, meter).read_all()


def _write_all(members: Iterator[_Member], into: Path) -> Unpacked:
    files: list[tuple[str, Path]] = []
    broken: list[tuple[str, str]] = []
    name = _REST
    try:
        for member in members:
            name = member.name
            path = into / f"{len(files) + 1:06}"
            files.append((name, path))
            with path.open("wb") as target:
                try:
                    for chunk in member.chunks:
                        target.write(chunk)
                except _DAMAGED as error:
                    broken.append(
                        (name, f"It is damaged in the archive ({error}). What was read of it is in; check it.")
                    )
            name = _REST
    except _CutError as error:
        broken.append((name, str(error)))
    return Unpacked(files, broken)


# ------------------------------------------------------------------------------------------------ zip


def _find_end(packed: BinaryIO, n_bytes: int) -> tuple[int, tuple[int, int, int]] | None:
    """Where a zip's last part begins, and what it says: members, bytes of the list of members, where that begins.

    Only a part that ends where the file ends counts: anything after it would be read by one reader and not by another.
    """
    start = max(0, n_bytes - _LONGEST_COMMENT - _END.size)
    packed.seek(start)
    tail = packed.read()
    at = tail.rfind(_EMPTY_ZIP)
    if at < 0 or at + _END.size > len(tail):
        return None
    *_, n_members, n_list, offset, n_comment = _END.unpack_from(tail, at)
    if at + _END.size + n_comment != len(tail):
        return None
    if at >= _PLACE_64.size and tail[at - _PLACE_64.size :].startswith(b"PK\x06\x07"):
        return _find_end_64(tail, start, at)
    return start + at, (n_members, n_list, offset)


def _find_end_64(tail: bytes, start: int, at: int) -> tuple[int, tuple[int, int, int]] | None:
    """The same of a zip with large numbers; Python's reader takes these wherever they stand, so they count here too."""
    end = at - _PLACE_64.size - _END_64.size
    if end < 0 or not tail[end:].startswith(b"PK\x06\x06"):
        return None
    *_, n_members, n_list, offset = _END_64.unpack_from(tail, end)
    return start + end, (n_members, n_list, offset)


def _check_list(packed: BinaryIO, meter: _Meter) -> None:
    """Count the members before Python's reader builds an object for each; its own count may lie."""
    found = _find_end(packed, meter.packed)
    if found is None:
        raise BadInputError("The zip is cut or carries bytes after its end: pack it again.", code="damaged_archive")
    end, (n_members, n_list, offset) = found
    meter.count_members(n_members)
    if offset + n_list != end or n_list > (n_members + 1) * (_CENTRAL_BYTES + _CENTRAL_AT_MOST):
        raise BadInputError("The zip's list of members is not where it says: pack it again.", code="damaged_archive")
    packed.seek(offset)
    listed = packed.read(n_list)
    at = n_found = 0
    while listed[at : at + 4] == _CENTRAL and at + _CENTRAL_BYTES <= n_list:
        at += _CENTRAL_BYTES + sum(struct.unpack_from("<3H", listed, at + 28))
        n_found += 1
    if at != n_list or n_found != n_members:
        raise BadInputError("The zip's list of members is damaged: pack it again.", code="damaged_archive")


def _read_zip(packed: BinaryIO, meter: _Meter) -> Iterator[_Member]:
    _check_list(packed, meter)
    try:
        archive = zipfile.ZipFile(packed)
    except _DAMAGED as error:
        raise BadInputError(f"The zip cannot be read: {error}. Pack it again.", code="damaged_archive") from error
    wanted = [info for info in archive.infolist() if not meter.passes(info.filename)]
    named = [(info, meter.take(info.orig_filename)) for info in wanted if not _is_folder(info)]
    for info, name in named:
        _refuse_member(info, name, meter)
    # Python's reader gives no more of a member than the list says.
    meter.count_bytes(sum(info.file_size for info in wanted))
    for info, name in named:
        yield _Member(name, _read_member(archive, info))


def _is_folder(info: zipfile.ZipInfo) -> bool:
    if info.orig_filename.endswith(("/", "\\")):
        _parts(info.orig_filename)
        return True
    return False


def _refuse_member(info: zipfile.ZipInfo, name: str, meter: _Meter) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in {0, stat.S_IFREG}:
        raise _odd_member(name)
    if info.flag_bits & _ENCRYPTED:
        raise UnsupportedError(f"{name[:_SHOWN]} is encrypted in the archive. Pack it without a password.")
    if info.compress_type not in _METHODS:
        raise UnsupportedError(
            f"{name[:_SHOWN]} is packed by another method than deflate. Pack it with an ordinary zip."
        )
    if info.header_offset >= meter.packed:
        raise BadInputError("The zip's list of members is damaged: pack it again.", code="damaged_archive")


def _odd_member(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"{name[:_SHOWN]} is a link, a device or a sparse file in the archive; only plain files are read. Pack it "
        "without such members (tar: --dereference)."
    )


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(info) as member:
        while chunk := member.read(_CHUNK):
            yield chunk


# ------------------------------------------------------------------------------------------------ tar


class _Tar:
    """A tar, read once from front to back: Python's own reader takes a header of any size into memory."""

    def __init__(self, stream: BinaryIO, meter: _Meter) -> None:
        self._stream = stream
        self._meter = meter

    def read_all(self) -> Iterator[_Member]:
        """Every plain file with its bytes; what is not taken of them is skipped."""
        name, size = None, None
        while any(block := self._read(_BLOCK)):
            if not _has_checksum(block):
                raise _CutError(
                    f"The archive is damaged near its byte {self._meter.n_bytes:,}; what stands before is in."
                )
            kind, n_bytes = block[156:157], _number(block[124:136])
            if kind in _NOTES:
                long, size = self._read_note(kind, n_bytes, size)
                name = long or name
                continue
            self._meter.count_members(1)
            called, n_bytes = name or _name(block), n_bytes if size is None else size
            name, size = None, None
            body = self._read_body(n_bytes)
            if not self._meter.passes(called) and _is_plain(kind, called):
                yield _Member(self._meter.take(called), body)
            for _ in body:
                pass
        self._read_after_end()

    def _read(self, n_bytes: int) -> bytes:
        """Exactly so many bytes.

        Raises:
            _CutError: there are fewer, or the gzip stream is damaged.

        """
        try:
            taken = self._stream.read(n_bytes)
        except (EOFError, BadGzipFile, zlib.error) as error:
            raise _CutError(f"The archive is cut or damaged here ({error}); what stands before is in.") from error
        self._meter.count_bytes(len(taken))
        if len(taken) < n_bytes:
            raise _CutError("The archive ends early: it was cut. What stands before the cut is in.")
        return taken

    def _read_body(self, n_bytes: int) -> Iterator[bytes]:
        left = n_bytes
        while left:
            chunk = self._read(min(left, _CHUNK))
            left -= len(chunk)
            yield chunk
        self._read(-n_bytes % _BLOCK)

    def _read_note(self, kind: bytes, n_bytes: int, size: int | None) -> tuple[str | None, int | None]:
        """The name and the size that a header gives to the member after it."""
        if n_bytes > _LONGEST_HEADER:
            raise BadInputError(f"The archive holds a header of {n_bytes:,} bytes.", code="damaged_archive")
        body = b"".join(self._read_body(n_bytes))
        if kind == b"L":
            return _text(body), size
        if kind != b"x":
            return None, size
        said = _pax(body)
        if any(key.startswith(b"GNU.sparse") for key in said):
            raise _odd_member(_text(said.get(b"GNU.sparse.name", b"A member")))
        path = said.get(b"path")
        return (None if path is None else _text(path)), _decimal(said[b"size"]) if b"size" in said else size

    def _read_after_end(self) -> None:
        found = False
        try:
            while chunk := self._stream.read(_CHUNK):
                self._meter.count_bytes(len(chunk))
                found = found or any(chunk)
        except (EOFError, BadGzipFile, zlib.error) as error:
            raise _CutError(f"The archive is damaged after its end ({error}).") from error
        if found:
            raise _CutError("The archive carries bytes after its end, which were not read.")


def _has_checksum(block: bytes) -> bool:
    try:
        return _number(block[148:156]) == sum(block) - sum(block[148:156]) + 8 * 0x20
    except BadInputError:
        return False


def _number(digits: bytes) -> int:
    """A tar header's number: octal text, or big-endian after a byte 0x80."""
    if digits[0] == 0x80:  # noqa: PLR2004
        return int.from_bytes(digits[1:], "big")
    text = digits.partition(b"\0")[0].strip()
    if text.strip(b"01234567"):
        raise BadInputError("The archive holds a header that is none.", code="damaged_archive")
    return int(text or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:  # noqa: PLR2004
        raise BadInputError("The archive holds a header that is none.", code="damaged_archive")
    return int(digits)


def _pax(body: bytes) -> dict[bytes, bytes]:
    r"""`b"16 path=a/b.json\n"` → `{b"path": b"a/b.json"}`."""
    said, at = {}, 0
    while at < len(body):
        length = _decimal(body[at : at + 20].partition(b" ")[0])
        key, equals, value = body[at : at + length].partition(b" ")[2].partition(b"=")
        if not equals or not value.endswith(b"\n") or at + length > len(body):
            raise BadInputError("The archive holds a header that is none.", code="damaged_archive")
        said[key] = value[:-1]
        at += length
    return said


def _name(block: bytes) -> str:
    name = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="surrogateescape")


def _is_plain(kind: bytes, name: str) -> bool:
    """Whether a member is a file; a folder and a label are none, and what else there is, is refused."""
    if kind in _FILES and not name.endswith("/"):
        return True
    if kind in {_FOLDER, _LABEL} or kind in _FILES:
        _parts(name)
        return False
    raise _odd_member(shown(name))
