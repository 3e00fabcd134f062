"""Who is alike is found, in this process and by datatrove, and the same by both."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from app.errors import AppError
from app.nearness import lsh
from app.nearness.bulk import Bulk
from app.nearness.engine import Engine, InProcess
from app.nearness.fingerprint import unpack


def packed(numbers: Iterable[int]) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in sorted(set(numbers)))


def some(n: int, *, seed: int = 1, size: int = 60) -> list[tuple[int, bytes]]:
    """Sets of which a third are like an earlier one, from 0.6 to 1 of all in common."""
    chance = random.Random(seed)
    made: list[list[int]] = []
    for _ in range(n):
        if made and chance.random() < 0.35:
            new = list(chance.choice(made))
            for at in chance.sample(range(len(new)), chance.randint(0, 12)):
                new[at] = chance.randrange(2**32)
        else:
            new = [chance.randrange(2**32) for _ in range(size)]
        made.append(new)
    return [(10 * number, packed(one)) for number, one in enumerate(made)]


def clusters(engine: Engine, fingerprints: Iterable[tuple[int, bytes]]) -> list[list[int]]:
    joined: lsh.Sets[int] = lsh.Sets()
    for one, other in engine.find_pairs(fingerprints):
        assert one < other
        joined.join(one, other)
    return sorted(joined.all().values())


def brute(fingerprints: list[tuple[int, bytes]]) -> Iterator[tuple[int, int]]:
    sets = [(number, frozenset(unpack(one))) for number, one in fingerprints]
    for at, (number, one) in enumerate(sets):
        for before, other in sets[:at]:
            if one and lsh.is_alike(one, other):
                yield before, number


def test_nearly_all_that_is_alike_is_found_and_nothing_else() -> None:
    fingerprints = some(700)
    found = clusters(InProcess(), fingerprints)
    of = {number: top for top, *rest in found for number in (top, *rest)}
    wanted: lsh.Sets[int] = lsh.Sets()
    n_true = n_found = 0
    for one, other in brute(fingerprints):
        wanted.join(one, other)
        n_true += 1
        n_found += of.get(one) is not None and of.get(one) == of.get(other)

    assert n_true > 100
    assert n_found >= 0.98 * n_true
    whole = [set(members) for members in wanted.all().values()]
    assert all(any(set(one) <= other for other in whole) for one in found)


def test_equal_ones_are_found_however_small_and_empty_ones_never() -> None:
    small, large = packed([1, 2, 3, 4]), packed(range(50))
    fingerprints = [(1, small), (2, large), (3, b""), (4, small), (5, packed([1, 2, 3, 9])), (6, b""), (7, large)]

    assert clusters(InProcess(), fingerprints) == [[1, 4], [2, 7]]


@pytest.mark.parametrize("n", [0, 1])
def test_of_few_there_is_nothing_to_find(n: int) -> None:
    assert clusters(InProcess(), some(n)) == []


def test_many_that_are_all_alike_are_compared_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    n_compared = 0
    compare = lsh.is_alike

    def counted(one: frozenset[int], other: frozenset[int]) -> bool:
        nonlocal n_compared
        n_compared += 1
        return compare(one, other)

    monkeypatch.setattr(lsh, "is_alike", counted)
    fingerprints = [(number, packed([*range(200), 1000 + number])) for number in range(3_000)]
    fingerprints += [(number, packed(range(40))) for number in range(5_000, 9_000)]

    assert [len(one) for one in clusters(InProcess(), fingerprints)] == [3_000, 4_000]
    assert n_compared < 20_000


def test_of_a_crowd_that_is_not_alike_each_is_compared_with_the_first_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lsh, "CROWD", 4)
    # Half in common: some share a key, none is alike.
    fingerprints = [
        (number, packed([*range(60), *range(1000 * number, 1000 * number + 60)])) for number in range(1, 300)
    ]

    assert clusters(InProcess(), fingerprints) == []


def test_progress_is_told_and_can_stop_the_search() -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(InProcess(note).find_pairs(some(50)))
    assert seen == [(1, lsh.BANDS), (2, lsh.BANDS), (3, lsh.BANDS)]


def test_datatrove_finds_the_same(tmp_path: Path) -> None:
    fingerprints = [*some(400), (9_990, b""), (9_991, packed([1, 2, 3, 4])), (9_992, packed([1, 2, 3, 4]))]
    bulk = Bulk(tmp_path, tasks=3, options={"workers": 1})

    assert clusters(bulk, fingerprints) == clusters(InProcess(), fingerprints) != []
    assert list(tmp_path.iterdir()) == []


def test_an_executor_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="There are: local, slurm, ray"):
        Bulk(tmp_path, executor="dask")


def test_keys_are_those_of_their_band_and_of_equal_sets_equal() -> None:
    [keys, same, none] = lsh.keys([packed(range(100)), packed(range(100)), packed([1, 2, 3, 4])])

    assert list(keys) == sorted(keys) == list(same)
    assert len(keys) == lsh.BANDS
    assert all(0 <= key < 2**63 for key in keys)
    assert list(none) == []


def test_the_version_names_the_keys_of_today() -> None:
    """Whoever changes what fingerprints or keys are must raise `VERSION`: what is stored is compared with it."""
    [keys] = lsh.keys([packed(range(1, 50))])

    assert (lsh.version(), keys[0], keys[-1]) == (260844644714093, 32763849690252141, 6809510104794122960)


def test_sets_are_named_by_their_smallest() -> None:
    joined: lsh.Sets[bytes] = lsh.Sets()
    for number in range(20_000, 0, -1):
        joined.join(b"%06d" % number, b"%06d" % (number - 1))

    assert joined.find(b"020000") == b"000000"
    assert not joined.join(b"000007", b"011111")
    assert joined.all() == {b"000000": [b"%06d" % number for number in range(20_001)]}
