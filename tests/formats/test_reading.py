"""What becomes of the lines of a file, in this process and read ahead in another."""

import gzip
import hashlib
from itertools import islice
from pathlib import Path

import pytest

from app.formats.reading import Blank, Held, Ready, Share, read_ahead, read_line, read_share
from app.formats.stream import Line
from tests.logs import line

MIXED = (
    line("One", user_rating=4, id="x")
    + b"\n\nbroken\n"
    + line("cut \ud83d", timestamp_utc="never")
    + b"\r\n"
    + b"x" * 3000
    + b"\n"
    + line("Über", spec_target_files=["a.py", "b.py"])
)


def share_of(folder: Path, content: bytes, **more: object) -> Share:
    path = folder / "log.jsonl"
    path.write_bytes(content)
    packed = content.startswith(b"\x1f\x8b")
    return Share(path, packed, 0, 0, 2500, folder / "overlong")._replace(**more)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [MIXED, gzip.compress(MIXED), gzip.compress(MIXED)[:-30], b""])
def test_reading_ahead_says_the_same(tmp_path: Path, content: bytes) -> None:
    share = share_of(tmp_path, content)

    assert list(read_ahead(share)) == list(read_share(share))


def test_a_share_ends_with_the_digest_of_the_whole_file(tmp_path: Path) -> None:
    first = MIXED.index(b"\n") + 1

    *rest, digest = read_share(share_of(tmp_path, MIXED, start=first, number=1))

    assert digest == hashlib.sha256(MIXED).digest()
    assert [type(one) for one in rest] == [Blank, Held, Ready, Held, Ready]
    assert [one.line.number for one in rest if not isinstance(one, bytes)] == [2, 3, 4, 5, 6]


def test_whoever_stops_listening_leaves_no_process_behind(tmp_path: Path) -> None:
    import multiprocessing

    before = multiprocessing.active_children()
    reading = read_ahead(share_of(tmp_path, (line("One") + b"\n") * 5000, max_line_bytes=1 << 20))
    assert len(list(islice(reading, 10))) == 10

    reading.close()

    assert set(multiprocessing.active_children()) <= set(before)


def test_changed_lines_are_counted_without_the_headers() -> None:
    diff = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,3 @@\n-old\n+new\n+--- more\n same\n"

    read = read_line(Line(1, 0, line(successful_diff_summary=diff), 1, True), 1 << 20)

    assert isinstance(read, Ready)
    assert (read.n_added, read.n_removed) == (2, 1)
    assert "same" not in read.changes


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ({"issue": "Fix  the\nparser"}, {"issue": "fix the parser"}, True),
        ({"issue": "a", "spec_issue_id": "X-1"}, {"issue": "b", "spec_issue_id": "X-1"}, True),
        ({"issue": "a"}, {"issue": "b"}, False),
        ({"issue": "N/A", "patch_source": "p"}, {"issue": "N/A", "patch_source": "q"}, False),
    ],
)
def test_candidates_of_one_issue_share_a_group(one: dict[str, str], other: dict[str, str], together: bool) -> None:
    groups = []
    for given in (one, other):
        read = read_line(Line(1, 0, line(**given), 1, True), 1 << 20)
        assert isinstance(read, Ready)
        groups.append(read.group)

    assert (groups[0] == groups[1]) == together
