"""A folder that is there whole or not at all: written beside its place, synced, then renamed. Knows no format."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import BadInputError, NotStoredError

_CHUNK_BYTES = 1 << 16
CHECKSUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Written:
    """A file of the folder: `Written("README.md", "9f…", 1834, 0)`; rows are lines of JSONL."""

    path: str
    digest: str
    n_bytes: int
    n_rows: int


class LineFile:
    """A file that grows by lines; digest and counts are kept as it grows, and memory does not."""

    def __init__(self, path: Path, name: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._name = name
        self._file = path.open("xb", buffering=0)
        self._digest = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._n_waiting = self._n_bytes = self._n_rows = 0

    def add(self, line: bytes) -> None:
        """Append one line, its LF included."""
        self._waiting.append(line)
        self._n_waiting += len(line)
        if self._n_waiting > _CHUNK_BYTES:
            self._flush()

    def _flush(self) -> None:
        chunk = b"".join(self._waiting)
        self._digest.update(chunk)
        self._n_rows += len(self._waiting)
        self._n_bytes += len(chunk)
        self._waiting.clear()
        self._n_waiting = 0
        left = memoryview(chunk)
        with _stored(self._name):
            while left:
                left = left[self._file.write(left) :]

    def close(self) -> Written:
        """Write what waits, and sync."""
        with self._file:
            self._flush()
            os.fsync(self._file.fileno())
        return Written(self._name, self._digest.hexdigest(), self._n_bytes, self._n_rows)

    def abandon(self) -> None:
        """Close without writing what waits."""
        self._file.close()


class Folder:
    """A folder in the making.

    `with Folder(target) as folder:` gives a place to add files to; at the end of the block the folder is at its target
    with checksums, or, when the block raised, nothing is left of it.
    """

    def __init__(self, target: Path) -> None:
        self._target = target.absolute()
        self._open: dict[str, LineFile] = {}
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
            for file in self._open.values():
                file.abandon()
            shutil.rmtree(self._place, ignore_errors=True)

    def file(self, name: str) -> LineFile:
        """The line file of this name, made when it is asked for first: `file("jsonl/scaffold_sft_pc/train.jsonl")`."""
        found = self._open.get(name)
        if found is None:
            with _stored(self._target):
                found = self._open[name] = LineFile(self._place / name, name)
        return found

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
