"""Downloads that are kept, and which of them go: those that nobody asked for in a while, and the oldest of too many.

Nothing is lost by it: the same address builds the same bytes again.

    exports/7/patchsift-….zip                     of a job, of everything as it stood
    exports/releases/1-3-…/llm-scaffold_sft_pc.zip, and what is known of it in ….zip.json
    …/.tmp-…                                      in the making, or left by a process that died
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from app.settings import Settings

_TOLD = ".json"
_DRAFT = ".tmp-"
_DRAFT_AGE = timedelta(days=1)
# Whoever was sent a file gets the time to fetch it, however little room there is.
_GRACE = timedelta(hours=1)


class _Kept(NamedTuple):
    """A file, when somebody last asked for it (seconds since 1970), and its size."""

    used: float
    path: Path
    n_bytes: int


def told_of(path: Path) -> Path:
    """Where it stands what is known of a packed file: written after the file, so where it is, the file is whole."""
    return path.with_name(f"{path.name}{_TOLD}")


def touch(path: Path) -> None:
    """Note that somebody asked for a file. The file keeps its date, which a download that is resumed may name."""
    told = told_of(path)
    with suppress(OSError):
        os.utime(told if told.exists() else path.parent)


def sweep(settings: Settings, *, now: datetime) -> int:
    """Remove what `count_old` counts, and what died in the making; gives how many files went.

    Args:
        settings: where exports lie, and both limits; 0 is none.
        now: the instant.

    """
    for draft in (settings.data_dir / "exports").glob(f"**/{_DRAFT}*"):
        if now.timestamp() - _modified(draft) > _DRAFT_AGE.total_seconds():
            shutil.rmtree(draft, ignore_errors=True)
    old = list(_list_old(settings, now))
    for one in old:
        _remove(one.path)
    return len(old)


def count_old(settings: Settings, *, now: datetime) -> int:
    """How many downloads are older than `export_days`, or the oldest of the rest beyond `export_bytes`."""
    return sum(1 for _ in _list_old(settings, now))


def _list_old(settings: Settings, now: datetime) -> Iterator[_Kept]:
    kept = sorted(_list(settings.data_dir / "exports"))
    left = sum(one.n_bytes for one in kept)
    for one in kept:
        age = timedelta(seconds=now.timestamp() - one.used)
        is_old = settings.export_days and age > timedelta(days=settings.export_days)
        is_too_much = settings.export_bytes and left > settings.export_bytes and age > _GRACE
        if is_old or is_too_much:
            left -= one.n_bytes
            yield one


def _list(place: Path) -> Iterator[_Kept]:
    for path in (*place.glob("[0-9]*/*"), *place.glob("releases/*/*")):
        if path.name.startswith(_DRAFT) or path.suffix == _TOLD:
            continue
        with suppress(OSError):
            look, told = path.stat(), told_of(path)
            used = _modified(told) if told.exists() else _modified(path.parent)
            yield _Kept(max(look.st_mtime, used), path, look.st_size)


def _modified(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _remove(path: Path) -> None:
    """What is known of it first: where that stands, the file is whole."""
    with suppress(OSError):
        told_of(path).unlink(missing_ok=True)
        path.unlink()
        path.parent.rmdir()  # unless something else is in it
