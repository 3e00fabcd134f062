"""A release of everything holds exactly what the raw files yield by a second opinion that shares no code with it."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.derive_counts import derive
from tests.releasing import EVIDENCE, Desk, Release, installed


def counted(release: Release) -> dict[str, int]:
    """What a release counts, by the keys of `derive`.

    A row that a gate holds back has an id: the recipe made it, so it counts as an example. What a recipe could not
    make has none, and counts as held. Nothing else is added or left out, so the two must be equal.
    """
    made = Counter(name.partition(" ")[0] for name in release.rows())
    for row in release.held:
        if row["id"] is not None:
            made[row["dataset"]] += 1
        else:
            [gate] = row["gates"]
            made[f"held/{row['dataset']}/{gate['gate']}"] += 1
    return dict(sorted(made.items()))


def gated(release: Release) -> Counter[str]:
    """Examples that were made and are held back, by dataset and gate."""
    return Counter(
        f"gate/{row['dataset']}/{gate['gate']}"
        for row in release.held
        if row["id"] is not None
        for gate in row["gates"]
    )


def compare(folder: Path, release: Release) -> tuple[dict[str, int], dict[str, int]]:
    """What differs: (derived, counted), both empty where they agree.

    Of the gates, files alone tell only some: what they tell must be what the release says of the same gate.
    """
    derived = derive(folder)
    by_files = {key: n for key, n in derived.items() if not key.startswith("gate/")}
    told = {key: n for key, n in derived.items() if key.startswith("gate/")}
    gates_told = {key.rpartition("/")[2] for key in told}
    found = counted(release) | {key: n for key, n in gated(release).items() if key.rpartition("/")[2] in gates_told}
    expected = by_files | told
    return (
        {key: n for key, n in expected.items() if found.get(key) != n},
        {key: n for key, n in found.items() if expected.get(key) != n},
    )


@pytest.fixture(scope="module")
def everything(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with installed("sqlite", request, tmp_path_factory.mktemp("everything")) as desk:
        desk.take()
        desk.accept_all()
        yield desk


def test_a_release_of_everything_holds_what_the_files_yield(everything: Desk) -> None:
    release = everything.release(name="everything")

    assert compare(EVIDENCE, release) == ({}, {})
    assert sum(counted(release).values()) == len(release.rows()) + len(release.held)
    # What was made and is held back is so for a reason that files alone do not tell.
    assert {key.rpartition("/")[2] for key in gated(release)} == {"answer_in_prompt"}
    release.assert_sound()


def main() -> None:
    """Compare a folder of logs with a release of everything in it: `test_derived_counts.py LOGS RELEASE`."""
    derived, found = compare(Path(sys.argv[1]), Release(Path(sys.argv[2])))
    print(json.dumps({"derived": derived, "released": found}, indent=2))
    sys.exit(bool(derived or found))


if __name__ == "__main__":
    main()
