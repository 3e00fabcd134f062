"""Finding near-duplicates among all fingerprints at once: the one interface, and what needs nothing else. Pure."""

import tempfile
from array import array
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import IO, Protocol, cast

from app.nearness import fingerprint, lsh
from app.nearness.fingerprint import Shingles

Step = Callable[[int, int], None]
_BATCH = 2_000
_HELD = 4_096
_NO_KEYS = (0,) * (lsh.BANDS - 1)


class Engine(Protocol):
    """Finds who looks alike."""

    def find_pairs(self, fingerprints: Iterable[tuple[int, Shingles]]) -> Iterator[tuple[int, int]]:
        """Pairs of near-duplicates, the smaller number first, enough that joining them makes the clusters.

        Args:
            fingerprints: each with a number that names it; the numbers ascend. Equal fingerprints are allowed, but
                whoever has many of one gives it once.

        Yields:
            Pairs that are alike by `lsh.is_alike` and share a key; those that follow from others may be left out.

        """
        ...


class InProcess:
    """In this process: shingles lie in a temporary file, in memory about 150 bytes a fingerprint.

    Args:
        progress: called now and then with (done, total), of some unit.
        folder: where the temporary files go; None is the system's.

    """

    def __init__(self, progress: Step | None = None, folder: str | None = None) -> None:
        self._progress = progress
        self._folder = folder

    def find_pairs(self, fingerprints: Iterable[tuple[int, Shingles]]) -> Iterator[tuple[int, int]]:
        """As `Engine` says."""
        with Store(self._folder) as store:
            bands = store.fill(fingerprints)
            joined: lsh.Sets[int] = lsh.Sets()
            for number, band in enumerate(bands):
                for holders in shared(band):
                    for one, other in compare(store, holders, joined):
                        yield store.names[one], store.names[other]
                if self._progress is not None:
                    self._progress(number + 1, lsh.BANDS)


class Store:
    """Fingerprints in a temporary file, each found by its place in the order in which it came."""

    def __init__(self, folder: str | None = None) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `__exit__`)
        self.names = array("q")
        self._ends = array("q", [0])
        self._held: OrderedDict[int, frozenset[int]] = OrderedDict()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fill(self, fingerprints: Iterable[tuple[int, Shingles]]) -> list["array[int]"]:
        """Take all in; gives the keys of each band, 0 where a fingerprint has none."""
        bands = [array("q") for _ in range(lsh.BANDS)]
        batch: list[Shingles] = []
        for name, one in fingerprints:
            self.names.append(name)
            self._ends.append(self._ends[-1] + len(one))
            self._file.write(one)
            batch.append(one)
            if len(batch) == _BATCH:
                _add(bands, batch)
                batch = []
        _add(bands, batch)
        return bands

    def get_name(self, place: int) -> int:
        """What equal shingles share."""
        return fingerprint.name(self._read(place))

    def get_set(self, place: int) -> frozenset[int]:
        """The shingles of one; the last few thousand are kept at hand."""
        found = self._held.pop(place, None)
        if found is None:
            found = frozenset(fingerprint.unpack(self._read(place)))
            if len(self._held) >= _HELD:
                self._held.popitem(last=False)
        self._held[place] = found
        return found

    def _read(self, place: int) -> Shingles:
        self._file.seek(self._ends[place])
        return self._file.read(self._ends[place + 1] - self._ends[place])


def _add(bands: Sequence["array[int]"], batch: Sequence[Shingles]) -> None:
    for found in keys(batch):
        for band, key in zip(bands, found, strict=True):
            band.append(key)


def keys(batch: Sequence[Shingles]) -> Iterator[Sequence[int]]:
    """The keys of each in each band; where only an equal one is like it, one in the first band; 0 stands for none."""
    for one, found in zip(batch, lsh.keys(batch), strict=True):
        yield found or [fingerprint.name(one) if one else 0, *_NO_KEYS]


def shared(band: "array[int]") -> Iterator[list[int]]:
    """The places of those that share a key, for each key that several have."""
    order = sorted(range(len(band)), key=band.__getitem__)
    first = 0
    for at in range(1, len(order) + 1):
        if at < len(order) and band[order[at]] == band[order[first]]:
            continue
        if at - first > 1 and band[order[first]] != 0:
            yield order[first:at]
        first = at


class Shapes(Protocol):
    """Where shingles are found by number."""

    def get_name(self, number: int) -> int:
        """What equal shingles share."""
        ...

    def get_set(self, number: int) -> frozenset[int]:
        """The shingles."""
        ...


def compare(
    shapes: Shapes, holders: Sequence[int], joined: lsh.Sets[int], *, fresh: Container[int] | None = None
) -> Iterator[tuple[int, int]]:
    """Those of some that share a key who are alike and not joined yet, as pairs; joins them.

    Each is compared with each, but in a crowd only with the first of it by their names: what is found hangs on nothing
    but who is there.

    Args:
        shapes: knows them.
        holders: those that share a key.
        joined: what is known to belong together.
        fresh: those who were not compared with the others before; None for all.

    """
    if len(holders) > lsh.CROWD:
        equal = _by_name(shapes, holders)
        for first, *others in equal:
            yield from ((first, other) for other in others if joined.join(first, other))
        holders = [first for first, *_ in equal]
    sides: dict[int, list[int]] = {}
    for at, one in enumerate(holders):
        found = list(_compare(shapes, one, sides, joined, fresh))
        yield from found
        if found:
            sides = _sides((other for side in sides.values() for other in side), joined)
        if at < lsh.CROWD:
            sides.setdefault(joined.find(one), []).append(one)


def _by_name(shapes: Shapes, holders: Iterable[int]) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for one in sorted(holders):
        found.setdefault(shapes.get_name(one), []).append(one)
    return [found[name] for name in sorted(found)]


def _sides(numbers: Iterable[int], joined: lsh.Sets[int]) -> dict[int, list[int]]:
    """Those that are joined already, by what stands for them."""
    found: dict[int, list[int]] = {}
    for number in numbers:
        found.setdefault(joined.find(number), []).append(number)
    return found


def _compare(
    shapes: Shapes, one: int, sides: Mapping[int, Sequence[int]], joined: lsh.Sets[int], fresh: Container[int] | None
) -> Iterator[tuple[int, int]]:
    """Compare one with sides, of each of which all are joined already."""
    is_fresh = fresh is None or one in fresh
    for side in sides.values():
        if joined.find(one) == joined.find(side[0]):
            continue
        for other in side:
            if not (is_fresh or other in cast("Container[int]", fresh)):
                continue
            if lsh.is_alike(shapes.get_set(one), shapes.get_set(other)):
                joined.join(one, other)
                yield min(one, other), max(one, other)
                break
