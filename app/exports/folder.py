"""A folder that is there whole or not at all: written beside its place, synced, then renamed. Knows no format."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from app.errors import BadInputError, NotStoredError

_CHUNK_BYTES = 1 << 17
SHARD_BYTES = 500_000_000
"""How long a file of rows may grow, about; `datasets` cuts its own at the same size."""
CHECKSUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Written:
    """A file of the folder: `Written("README.md", "9f…", 1834, 0)`; rows are lines of JSONL, or rows of Parquet."""

    path: str
    digest: str
    n_bytes: int
    n_rows: int


class ByteFile:
    """A file that grows; digest and size are kept as it does. Writers of binary formats take it for an open file."""

    closed = False

    def __init__(self, path: Path, name: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._file = path.open("xb", buffering=0)
        self._digest = hashlib.sha256()
        self._written: Written | None = None
        self.n_bytes = self.n_rows = 0

    def write(self, chunk: bytes) -> int:
        """Append bytes, all of them; of an abandoned file, none: whoever writes to it may end only later."""
        if self._file.closed:
            return len(chunk)
        self._digest.update(chunk)
        left = memoryview(chunk)
        with _stored(self.name):
            while left:
                left = left[self._file.write(left) :]
        self.n_bytes += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        """Where the next byte goes."""
        return self.n_bytes

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> Written:
        """Sync; the file is whole. Asked again, it says the same."""
        if self._written is None:
            self.flush()
            with _stored(self.name), self._file:
                os.fsync(self._file.fileno())
            self._written = Written(self.name, self._digest.hexdigest(), self.n_bytes, self.n_rows)
        return self._written

    def abandon(self) -> None:
        """Close without writing what waits."""
        self._file.close()


class LineFile(ByteFile):
    """A file that grows by lines, many of which are written at once; memory does not grow with it."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        self._waiting: list[bytes] = []
        self._n_waiting = 0

    def add(self, line: bytes) -> None:
        """Append one line, its LF included."""
        self._waiting.append(line)
        self._n_waiting += len(line)
        if self._n_waiting > _CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait."""
        waiting, self._waiting, self._n_waiting = self._waiting, [], 0
        self.n_rows += len(waiting)
        self.write(b"".join(waiting))


_File = TypeVar("_File", bound=ByteFile)


class Folder:
    """A folder in the making.

    `with Folder(target) as folder:` gives a place to add files to; at the end of the block the folder is at its target
    with checksums, or, when the block raised, nothing is left of it.
    """

    def __init__(self, target: Path) -> None:
        self._target = target.absolute()
        self._open: dict[str, LineFile] = {}
        self._parts: dict[str, ByteFile] = {}
        self._written: list[Written] = []

    def __enter__(self) -> Self:
        refuse_target(self._target)
        with _stored(self._target):
            self._target.parent.mkdir(parents=True, exist_ok=True)
            made = tempfile.mkdtemp(prefix=f".tmp-{self._target.name[:100]}-", dir=self._target.parent)
        self._place = Path(made)
        self._place.chmod(0o755)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                with _stored(self._target):
                    self._publish()
        finally:
            for file in (*self._open.values(), *self._parts.values()):
                file.abandon()
            shutil.rmtree(self._place, ignore_errors=True)

    def file(self, name: str) -> LineFile:
        """The line file of this name, made when it is asked for first: `file("jsonl/scaffold_sft_pc/train.jsonl")`."""
        found = self._open.get(name)
        if found is None:
            with _stored(self._target):
                found = self._open[name] = LineFile(self._place / name, name)
        return found

    def part(self, name: str, kind: type[_File]) -> _File:
        """A new file that gets its name from `keep`: `part("data/scaffold_sft_pc/train.0.part", ByteFile)`."""
        with _stored(self._target):
            made = kind(self._place / name, name)
        self._parts[name] = made
        return made

    def keep(self, file: ByteFile, name: str) -> None:
        """End a part, under the name that it is to have: how many there are may show at the end only."""
        with _stored(self._target):
            written = self._parts.pop(file.name).close()
            (self._place / name).parent.mkdir(exist_ok=True)
            (self._place / file.name).rename(self._place / name)
        self._written.append(replace(written, path=name))

    def close_files(self) -> list[Written]:
        """End every file; gives what has been written so far, by name."""
        with _stored(self._target):
            while self._open:
                self._written.append(self._open.popitem()[1].close())
        return sorted(self._written, key=lambda one: one.path)

    def add_text(self, name: str, text: str) -> None:
        """Add a whole file."""
        self.file(name).add(text.encode())

    def _publish(self) -> None:
        sums = "".join(f"{one.digest}  {one.path}\n" for one in self.close_files())
        self.add_text(CHECKSUMS, sums)
        self.close_files()
        for folder in sorted({self._place, *(path for path in self._place.rglob("*") if path.is_dir())}):
            _sync(folder)
        if self._target.exists():
            self._target.rmdir()
        self._place.rename(self._target)
        _sync(self._target.parent)


def refuse_target(target: Path) -> None:
    """Refuse a place that holds something already.

    Raises:
        BadInputError: it is a file, or a folder that is not empty.

    """
    if target.is_dir() and not target.is_symlink():
        if any(target.iterdir()):
            raise BadInputError(f"{target} is not empty, and an export never overwrites. Name a new folder.")
    elif target.exists() or target.is_symlink():
        raise BadInputError(f"{target} is no folder. Name a new folder.")


@contextlib.contextmanager
def _stored(target: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotStoredError(
            f"{target} could not be written: {error.strerror or error}. Nothing was left of the export; free some "
            "space or name another folder."
        ) from error


def _sync(folder: Path) -> None:
    """Make a folder's list of names durable, where the system has folders that can be synced."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
