"""The order of rows that must not stand in the order in which they came. Pure."""

import hashlib
from collections.abc import Iterable, Iterator

_N_DIGEST = 16
_N_PLACE = 8
_N_ENTRY = _N_DIGEST + 2 * _N_PLACE


def by_digest(entries: Iterable[tuple[str, int, int]]) -> Iterator[tuple[int, int]]:
    """Places in the order of the SHA-256 of their rows' ids: `[("b", 0, 0), ("a", 70, 90)]` → `(0, 0)`, `(70, 90)`.

    A row takes 32 bytes of memory, whatever its length: a million of them fits beside everything else.

    Args:
        entries: id of a row, and its places in two files, as byte offsets or numbers.

    """
    buckets = [bytearray() for _ in range(256)]
    for name, first, second in entries:
        digest = hashlib.sha256(name.encode()).digest()
        buckets[digest[0]] += digest[:_N_DIGEST] + first.to_bytes(_N_PLACE) + second.to_bytes(_N_PLACE)
    for bucket in buckets:
        for entry in sorted(bytes(bucket[at : at + _N_ENTRY]) for at in range(0, len(bucket), _N_ENTRY)):
            yield int.from_bytes(entry[_N_DIGEST:-_N_PLACE]), int.from_bytes(entry[-_N_PLACE:])
        bucket.clear()
