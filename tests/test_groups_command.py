"""Groups from a terminal."""

from pathlib import Path

import pytest

from tests import logs
from tests.commands import call
from tests.test_cli import write
from tests.test_groups import FIX, OTHER, diff, renamed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "fresh"
    lines = [
        logs.line(issue, successful_diff_summary=diff(hunk))
        for issue, hunk in (("A", FIX), ("B", OTHER), ("C", renamed(FIX)))
    ]
    path = write(tmp_path / "log.jsonl", b"\n".join(lines) + b"\n")
    assert call("ingest", path, "--data-dir", found).status == 0
    return found


def test_groups_are_shown_and_made_anew(folder: Path) -> None:
    at = ("--data-dir", folder)
    shown = call("groups", "show", "--json", *at).json
    assert shown == {
        "clusters": 1, "candidates": 2, "groups": 1, "issues": 2, "waiting": 0, "outdated": False,
    }  # fmt: skip
    one = call("groups", "show", "1", "--json", *at).json
    assert one["cluster"] == [1, 3]
    assert call("groups", "show", "3", "--json", *at).json["group"] == one["group"]
    assert call("groups", "show", "2", *at).out.splitlines()[1:] == []

    made = call("groups", "rebuild", "--json", *at)
    assert made.json == {"looked_at": 3, "clusters": 1, "candidates": 2, "groups": 1, "issues": 2}
    assert "3 candidates: clusters of near-duplicates: 1, with 2 candidates" in made.err


def test_what_cannot_be_is_refused_with_a_sentence(folder: Path) -> None:
    at = ("--data-dir", folder)
    assert "There is no candidate 99" in call("groups", "show", "99", *at).err
    assert "There are: process, bulk" in call("groups", "rebuild", "--engine", "spark", *at).err
    assert "takes a JSON object" in call("groups", "rebuild", "--options", "[1]", *at).err
    assert "There are: local, slurm, ray" in call(
        "groups", "rebuild", "--engine", "bulk", "--executor", "dask", *at
    ).err  # fmt: skip
