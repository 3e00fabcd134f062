"""Bytes to lines: split on LF and on nothing else, whatever the chunks; flat in memory."""

import gzip
import hashlib
import io
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import TooLargeError, UnsupportedError
from app.formats import stream
from app.formats.stream import Line, read_lines

NO_LIMIT = 1 << 40
BREAKS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"]


class Chunked(io.BytesIO):
    """A file that gives as many bytes at a time as it is told."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        super().__init__(content)
        self.sizes = sizes
        self.n = 0

    def read1(self, most: int | None = -1, /) -> bytes:
        self.n += 1
        return self.read(min(most or 0, self.sizes[self.n % len(self.sizes)]))


def lines_of(content: bytes, folder: Path, *, sizes: list[int] | None = None, limit: int = NO_LIMIT) -> list[Line]:
    return list(read_lines(Chunked(content, sizes or [stream.CHUNK]), max_line_bytes=limit, overflow=folder))


texts = st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"{}", "\u2028".encode(), b"\x00", b"\xff"])).map(b"".join)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary() | texts, sizes=st.lists(st.integers(1, 9), min_size=1))
def test_lines_are_the_bytes_between_line_feeds_whatever_the_chunks(
    content: bytes, sizes: list[int], tmp_path: Path
) -> None:
    lines = lines_of(content, tmp_path, sizes=sizes)

    parts = content.split(b"\n")
    assert [line.raw for line in lines] == (parts if parts[-1] else parts[:-1])
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert all(content[line.offset_bytes :].startswith(line.raw) for line in lines)
    assert b"".join(line.raw + b"\n" * line.ended for line in lines) == content


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=texts | st.lists(st.binary(max_size=30)).map(b"\n".join),
    sizes=st.lists(st.integers(1, 9), min_size=1),
    limit=st.integers(1, 12),
)
def test_no_byte_is_lost_where_lines_are_over_the_limit(
    content: bytes, sizes: list[int], limit: int, tmp_path: Path
) -> None:
    lines = lines_of(content, tmp_path, sizes=sizes, limit=limit)

    whole = [line.raw if line.overflow is None else (tmp_path / line.overflow).read_bytes() for line in lines]
    assert b"".join(raw + b"\n" * line.ended for raw, line in zip(whole, lines, strict=True)) == content
    assert [len(raw) for raw in whole] == [line.n_bytes for line in lines]
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert all(content.startswith(raw, line.offset_bytes) for raw, line in zip(whole, lines, strict=True))


@pytest.mark.parametrize("sign", BREAKS)
def test_signs_that_python_takes_for_line_ends_stay_inside_a_line(sign: str, tmp_path: Path) -> None:
    raw = f'{{"a": "x{sign}y"}}'.encode()

    assert [line.raw for line in lines_of(raw + b"\n" + raw, tmp_path)] == [raw, raw]


def test_a_stream_may_begin_in_the_middle_of_a_file(tmp_path: Path) -> None:
    content = b"one\ntwo\nthree"

    rest = list(read_lines(io.BytesIO(content[4:]), start=4, number=1, max_line_bytes=99, overflow=tmp_path))

    assert [(line.number, line.offset_bytes, line.raw) for line in rest] == [(2, 4, b"two"), (3, 8, b"three")]


def test_a_line_over_the_limit_lies_whole_in_a_file_named_by_its_digest(tmp_path: Path) -> None:
    long = b"x" * 300_000

    before, line, after = lines_of(b"a\n" + long + b"\nb\n", tmp_path, sizes=[65_536], limit=100_000)

    assert (before.raw, after.raw, after.number) == (b"a", b"b", 3)
    assert after.offset_bytes == 2 + len(long) + 1
    assert line.digest == hashlib.sha256(long).digest()
    assert line.overflow == hashlib.sha256(long).hexdigest()
    assert (tmp_path / line.overflow).read_bytes() == long
    assert line.raw == long[: 1 << 16]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_long_line_at_the_end_without_its_line_feed_is_whole_too(tmp_path: Path) -> None:
    [line] = lines_of(b"x" * 5000, tmp_path, sizes=[512], limit=1000)

    assert (line.n_bytes, line.ended) == (5000, False)


def test_a_gzip_that_breaks_off_in_an_overlong_line_says_so(tmp_path: Path) -> None:
    packed = gzip.compress(b"a\n" + random.Random(1).randbytes(300_000).replace(b"\n", b""))

    cut = gzip.GzipFile(fileobj=io.BytesIO(packed[: len(packed) // 2]))
    lines = list(read_lines(cut, max_line_bytes=1000, overflow=tmp_path))  # type: ignore[arg-type]

    assert lines[0].raw == b"a"
    assert [line.fault[0] for line in lines if line.fault] == ["truncated"]


@pytest.mark.parametrize("levels", [1, 9])
def test_gzip_is_told_by_its_bytes(levels: int) -> None:
    assert stream.is_gzip(gzip.compress(b"{}", levels))
    assert not stream.is_gzip(b"{}")


def test_members_of_a_gzip_are_read_one_after_the_other(tmp_path: Path) -> None:
    packed = gzip.compress(b"one\ntw") + gzip.compress(b"o\n")

    unpacked = gzip.GzipFile(fileobj=io.BytesIO(packed))
    assert [line.raw for line in read_lines(unpacked, max_line_bytes=99, overflow=tmp_path)] == [b"one", b"two"]  # type: ignore[arg-type]


def test_garbage_after_a_gzip_is_a_fault_and_the_lines_before_it_are_in(tmp_path: Path) -> None:
    unpacked = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(b"one\n") + b"garbage"))

    lines = list(read_lines(unpacked, max_line_bytes=99, overflow=tmp_path))  # type: ignore[arg-type]

    assert lines[0].raw == b"one"
    assert lines[-1].fault is not None
    assert lines[-1].fault[0] == "checksum"


def test_a_gzip_is_measured_without_keeping_it(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"x" * 100_000))

    assert stream.measure_gzip(path, max_bytes=100_000, max_ratio=2) == 100_000
    with pytest.raises(TooLargeError, match="unpacks to far more") as caught:
        stream.measure_gzip(path, max_bytes=99_999, max_ratio=2)
    assert caught.value.code == "bomb"


def test_a_cut_gzip_measures_what_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"x" * 100_000)[:-8])

    assert stream.measure_gzip(path, max_bytes=1 << 20, max_ratio=2) == 100_000


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"PK\x03\x04", "zip archive"),
        (b"\x7fELF", "a program"),
        (b"MZ\x90", "a program"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x89PNG\r\n", "a picture"),
        (b"SQLite format 3\x00", "SQLite"),
        (b"BZh9", "bzip2"),
        (b"\xfd7zXZ\x00", "xz archive"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        ("{}".encode("utf-16"), "UTF-8"),
        ("{}".encode("utf-16-be"), "UTF-8"),
        ("[]".encode("utf-16-le"), "UTF-8"),
        ("{}".encode("utf-32"), "UTF-8"),
        (b"  \n<html>", "HTML"),
        (b"\xef\xbb\xbf<?xml", "HTML"),
    ],
)
def test_what_is_no_log_is_refused_by_its_first_bytes(head: bytes, sentence: str) -> None:
    with pytest.raises(UnsupportedError, match=sentence):
        stream.refuse_other_kinds(head, head, "x.jsonl")


def test_a_log_is_not_refused() -> None:
    stream.refuse_other_kinds(b'{"a": "<html>"}', b'{"a": "PK\x03\x04"}', "x.jsonl")
    stream.refuse_other_kinds(b"", b"", "empty.jsonl")
    stream.refuse_other_kinds(b'<<<<<<< HEAD\n{"a": 1}', b"", "merged.jsonl")
