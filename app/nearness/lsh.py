"""Who may look alike, by keys that near-duplicates share with near certainty; and who does, exactly. Pure.

MinHash by rensa: 60 numbers in 12 bands of 5. Two sets of which 0.8 is common share a band with a chance of 0.99, two
of which half is common with 0.3, and each pair that shares one is compared exactly.
"""

import hashlib
from array import array
from collections.abc import Sequence
from typing import Generic, TypeVar

from rensa import RMinHash  # type: ignore[import-untyped]

from app.nearness.fingerprint import MOST, VERSION, Shingles, unpack

THRESHOLD = 0.8
BANDS, ROWS = 12, 5
_SEED = 20_260_301
# A key begins with the number of its band: those of one band lie together in a table.
_BAND_SHIFT = 59
# Where more shapes than this share a key, each is compared with the first of them only: looking like one of these ties
# as many together as looking at all, and a million that share a licence header would be compared for ever.
CROWD = 256


def version() -> int:
    """Names everything that fingerprints and keys hang on, the library's own algorithm included; never 0."""
    said = f"{VERSION} {BANDS} {ROWS} {_SEED} {THRESHOLD} {MOST} {CROWD} {RMinHash.ALGORITHM_VERSION}"
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=6).digest(), "big") + 1


def keys(sets: Sequence[Shingles]) -> list["array[int]"]:
    """The keys of each, from 0 to 2**63, one for each band, ascending; none of one that only an equal set is like."""
    flat = array("Q")
    ends = [0]
    for one in sets:
        flat.fromlist(unpack(one).tolist())
        ends.append(len(flat))
    if not flat:
        return [array("q") for _ in sets]
    rows = RMinHash.digest_matrix_from_flat_token_hashes(flat, ends, BANDS * ROWS, _SEED).to_rows()
    return [_bands(row) if is_compared(one) else array("q") for one, row in zip(sets, rows, strict=True)]


def is_compared(shingles: Shingles) -> bool:
    """Whether another than an equal set can be like this one."""
    n = len(shingles) // 4
    return n - 1 >= THRESHOLD * n


def _bands(row: Sequence[int]) -> "array[int]":
    packed = array("I", row).tobytes()
    size = ROWS * 4
    found = array("q")
    for band in range(BANDS):
        at = band * size
        digest = hashlib.blake2b(packed[at : at + size], digest_size=8).digest()
        found.append((band << _BAND_SHIFT) | int.from_bytes(digest, "big") >> (64 - _BAND_SHIFT))
    return found


def is_alike(one: frozenset[int], other: frozenset[int]) -> bool:
    """Whether at least 0.8 of all that two sets hold is common to both.

    Of a set that was cut to its smallest numbers, what counts are the smallest of both together.
    """
    small, large = sorted((len(one), len(other)))
    if small < THRESHOLD * large:
        return False
    common = one & other
    if large < MOST:
        return len(common) >= THRESHOLD * (small + large - len(common))
    both = sorted(one | other)[:MOST]
    return sum(number in common for number in both) >= THRESHOLD * len(both)


_Named = TypeVar("_Named", int, bytes)


class Sets(Generic[_Named]):
    """Names that are joined to sets, one after the other; the smallest stands for each set."""

    def __init__(self) -> None:
        self._above: dict[_Named, _Named] = {}

    def find(self, name: _Named) -> _Named:
        """What stands for the set that a name is in: itself, while it is joined to nothing."""
        above = self._above
        top = name
        while (following := above.get(top)) is not None:
            top = following
        while name != top:
            above[name], name = top, above[name]
        return top

    def join(self, one: _Named, other: _Named) -> bool:
        """Put two sets together; tells whether they were two."""
        low, high = sorted((self.find(one), self.find(other)))
        if low == high:
            return False
        self._above[high] = low
        return True

    def all(self) -> dict[_Named, list[_Named]]:
        """Every set of two or more, by what stands for it."""
        found: dict[_Named, list[_Named]] = {}
        for name in sorted(self._above):
            top = self.find(name)
            found.setdefault(top, [top]).append(name)
        return found
