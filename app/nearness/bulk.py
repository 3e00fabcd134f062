"""Finding near-duplicates among many millions, on many processes or machines: files in, files out, by datatrove. Pure.

datatrove runs the steps (on this machine, by Slurm or by Ray), starts them again where one broke off, and knows which
are done. The steps themselves use the same keys and the same comparison as `engine`: datatrove's own MinHash hashes
words in another way and compares nothing exactly, so its clusters would be others.

`Sign` writes, for each part of the fingerprints, the keys of each band in order; `Pair` reads one band of all parts,
and compares those who share a key.
"""

import shutil
import struct
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from app.errors import AppError
from app.nearness import engine, fingerprint, lsh
from app.nearness.fingerprint import Shingles

EXECUTORS = ("local", "slurm", "ray")
_HEAD = struct.Struct("<qI")
_ENTRY = struct.Struct("<qqiq")
_PAIR = struct.Struct("<qq")
_BATCH = 2_000
_HELD = 4_096
_BLOCK = 1 << 16
_SECONDS = 2.0

_Entry = tuple[int, int, int, int]
"""Of a fingerprint: key, number, and where it lies: which part, at which byte."""


class Bulk:
    """An `engine.Engine` on datatrove.

    Args:
        folder: where its files go, a folder of its own below; for Slurm and Ray one that every machine sees.
        executor: one of `EXECUTORS`.
        tasks: how many parts the fingerprints are cut into.
        options: what else the executor takes: `workers`; for Slurm `time` and `partition`, which it needs.
        progress: called now and then with (steps done, steps).

    Raises:
        AppError: datatrove is not installed, or there is no such executor.

    """

    def __init__(
        self,
        folder: Path,
        *,
        executor: str = "local",
        tasks: int = 2,
        options: Mapping[str, object] | None = None,
        progress: engine.Step | None = None,
    ) -> None:
        self._executor = _find_executor(executor)
        self._folder = folder
        self._tasks = max(1, tasks)
        self._options = dict(options or {})
        self._progress = progress

    def find_pairs(self, fingerprints: Iterable[tuple[int, Shingles]]) -> Iterator[tuple[int, int]]:
        """As `engine.Engine` says."""
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="near-", dir=self._folder))
        try:
            _deal(fingerprints, folder, self._tasks)
            self._run(Sign(folder), self._tasks, folder / "logs" / "sign")
            self._run(Pair(folder, self._tasks), lsh.BANDS, folder / "logs" / "pair")
            joined: lsh.Sets[int] = lsh.Sets()
            for band in range(lsh.BANDS):
                for one, other in _read(folder / f"pairs-{band}", _PAIR):
                    if joined.join(one, other):
                        yield one, other
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, step: Callable[..., None], tasks: int, logs: Path) -> None:
        executor = self._executor(pipeline=[step], tasks=tasks, logging_dir=str(logs), **self._options)
        executor.run()
        # Slurm only takes the work in; the others come back when it is done.
        while left := executor.get_incomplete_ranks(skip_completed=True):
            if self._progress is not None:
                self._progress(tasks - len(left), tasks)
            time.sleep(_SECONDS)


def _find_executor(name: str) -> Callable[..., Any]:
    try:
        if name == "local":
            from datatrove.executor.local import LocalPipelineExecutor as Executor  # type: ignore[import-untyped] # noqa: PLC0415
        elif name == "slurm":
            from datatrove.executor.slurm import SlurmPipelineExecutor as Executor  # type: ignore[import-untyped] # noqa: PLC0415
        elif name == "ray":
            from datatrove.executor.ray import RayPipelineExecutor as Executor  # type: ignore[import-untyped] # noqa: PLC0415
        else:
            raise AppError(f"There is no executor {name[:40]!r}. There are: {', '.join(EXECUTORS)}.", code="executor")
    except ImportError as error:
        raise AppError(
            "The bulk engine needs datatrove: pip install 'patchsift[bulk]'.", code="missing_extra"
        ) from error
    found: Callable[..., Any] = Executor
    return found


def _deal(fingerprints: Iterable[tuple[int, Shingles]], folder: Path, tasks: int) -> None:
    """Write the fingerprints down in parts, one after the other in turn."""
    with ExitStack() as stack:
        parts = [stack.enter_context((folder / f"part-{part}").open("wb")) for part in range(tasks)]
        for at, (number, shingles) in enumerate(fingerprints):
            parts[at % tasks].write(_HEAD.pack(number, len(shingles)) + shingles)


class Sign:
    """The first step, for one part of the fingerprints."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, _: object, rank: int, *__: int) -> None:
        """Write the keys of each band, in order."""
        bands: list[list[_Entry]] = [[] for _ in range(lsh.BANDS)]
        batch: list[tuple[int, int, Shingles]] = []
        for one in self._fingerprints(rank):
            batch.append(one)
            if len(batch) == _BATCH:
                _sign(batch, bands, rank)
                batch = []
        _sign(batch, bands, rank)
        for band, entries in enumerate(bands):
            with (self._folder / f"band-{band}-{rank}").open("wb") as file:
                file.writelines(_ENTRY.pack(*one) for one in sorted(entries))

    def _fingerprints(self, rank: int) -> Iterator[tuple[int, int, Shingles]]:
        with (self._folder / f"part-{rank}").open("rb") as file:
            while head := file.read(_HEAD.size):
                number, n_bytes = _HEAD.unpack(head)
                at = file.tell() - _HEAD.size
                yield number, at, file.read(n_bytes)


def _sign(batch: list[tuple[int, int, Shingles]], bands: list[list[_Entry]], rank: int) -> None:
    for (number, at, _), keys in zip(batch, engine.keys([shingles for _, _, shingles in batch]), strict=True):
        for entries, key in zip(bands, keys, strict=True):
            if key:
                entries.append((key, number, rank, at))


class Pair:
    """The second step, for one band."""

    def __init__(self, folder: Path, tasks: int) -> None:
        self._folder = folder
        self._tasks = tasks

    def __call__(self, _: object, rank: int, *__: int) -> None:
        """Write the pairs that are alike among those who share a key of this band."""
        joined: lsh.Sets[int] = lsh.Sets()
        parts = [_read(self._folder / f"band-{rank}-{part}", _ENTRY) for part in range(self._tasks)]
        with _Parts(self._folder, self._tasks) as store, (self._folder / f"pairs-{rank}").open("wb") as file:
            for _, found in groupby(merge(*parts), key=itemgetter(0)):
                holders = {number: (part, at) for _, number, part, at in found}
                if len(holders) > 1:
                    store.places = holders
                    file.writelines(_PAIR.pack(*pair) for pair in engine.compare(store, sorted(holders), joined))


class _Parts:
    """Shingles by number, as `engine.compare` asks for them; the last few thousand are kept at hand."""

    def __init__(self, folder: Path, tasks: int) -> None:
        self._files: list[IO[bytes]] = [(folder / f"part-{part}").open("rb") for part in range(tasks)]
        self._held: OrderedDict[int, frozenset[int]] = OrderedDict()
        self.places: Mapping[int, tuple[int, int]] = {}

    def __enter__(self) -> "_Parts":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def get_name(self, number: int) -> int:
        """What equal shingles share."""
        return fingerprint.name(self._read(number))

    def get_set(self, number: int) -> frozenset[int]:
        """The shingles as a set."""
        found = self._held.pop(number, None)
        if found is None:
            found = frozenset(fingerprint.unpack(self._read(number)))
            if len(self._held) >= _HELD:
                self._held.popitem(last=False)
        self._held[number] = found
        return found

    def _read(self, number: int) -> Shingles:
        part, at = self.places[number]
        file = self._files[part]
        file.seek(at)
        _, n_bytes = _HEAD.unpack(file.read(_HEAD.size))
        return file.read(n_bytes)


def _read(path: Path, form: struct.Struct) -> Iterator[Any]:
    """The tuples of a file, read as they are asked for."""
    with path.open("rb") as file:
        while block := file.read(form.size * _BLOCK):
            yield from form.iter_unpack(block)
