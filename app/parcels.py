"""Downloads: a dataset, or all of them, as one file with a good name that can be fetched again and resumed.

What is packed of a release is kept, so that a broken download goes on where it ended: the same address gives the same
bytes. A small one is made while the browser waits; a large one is a job for the worker.
"""

import gzip
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from weakref import WeakValueDictionary

from sqlmodel import Session, col, select

from app import __version__, downloads, jobs, kept, projects, releases
from app.dataset_folder import Layout
from app.db import Database
from app.downloads import Order
from app.errors import BadInputError, NotFoundError, NotStoredError
from app.examples import Dataset, Split
from app.exports.folder import SHARD_BYTES
from app.freeze import Progress
from app.models import JobRow, JobState, ReleaseRow
from app.settings import Settings

JOB_KIND = "export"
SMALL_ROWS = 3000
"""Up to so many rows of a release a download is made while the browser waits, which takes about a second."""

ARCHIVES = ("zip", "tar.gz")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LOOKED_AT = 50
_NAMED = re.compile(r"[^A-Za-z0-9]+")


# ------------------------------------------------------------------------------------------------ what is asked for


@dataclass(frozen=True, slots=True)
class Parcel:
    """What to download, and as which kind of file: `Parcel(Order(release="3"), pack="tar.gz")`.

    Attributes:
        order: which dataset in which format; of everything only its release, filter and seed count.
        everything: all datasets in one folder.
        pack: `zip` or `tar.gz` for the folder, or a split: its rows alone, as one file.
        parquet: Parquet beside the JSONL; of a split alone, in place of it.
    """

    order: Order = field(default_factory=Order)
    everything: bool = False
    pack: str = "zip"
    parquet: bool = False

    @classmethod
    def parse(cls, query: Mapping[str, object]) -> "Parcel":
        """The parcel that a form, a query string or a job's arguments say; `all` and `parquet` may be true.

        Raises:
            BadInputError: the order cannot be carried out, or not be packed so.
            UnsupportedError: Parquet without pyarrow.

        """
        everything, parquet = (query.get(name) in {True, "true", "1"} for name in ("all", "parquet"))
        made = cls(Order.parse(query), everything, str(query.get("pack") or "zip"), parquet)
        made.check()
        return made

    def check(self) -> None:
        """Refuse what cannot be packed.

        Raises:
            BadInputError: the order cannot be carried out, or not be packed so.
            UnsupportedError: Parquet without pyarrow.

        """
        if self.everything:
            self.order.check()
            self.layout.check()
        else:
            self.order.check_with(self.layout)
        if self.pack in ARCHIVES:
            return
        known = ", ".join((*ARCHIVES, *Split))
        if self.pack not in set(Split):
            raise BadInputError(f"Nothing is packed as {self.pack[:40]!r}; there is {known}.", where="field pack")
        if self.everything or len(self.order.configs) > 1:
            what = "Everything" if self.everything else self.order.format
            raise BadInputError(
                f"{what} is several files; {self.pack} alone is one. Take zip or tar.gz.", where="field pack"
            )

    @property
    def layout(self) -> Layout:
        """How its rows are written; a split that is to be one file is never cut."""
        return Layout(parquet=self.parquet, shard_bytes=SHARD_BYTES if self.pack in ARCHIVES else sys.maxsize)

    @property
    def suffix(self) -> str:
        """How the file's name ends: `zip`, `tar.gz`, `jsonl`, `parquet`."""
        if self.pack in ARCHIVES:
            return self.pack
        return "parquet" if self.parquet else "jsonl"

    def name(self, project: str, place: str) -> str:
        """The file's name: `name("Flask", "release-3")` → `patchsift-flask-release-3-scaffold_sft_pc.zip`."""
        parts = ["patchsift", _plain(project), place]
        parts += [] if self.everything else [self.order.config]
        parts += (["parquet"] if self.parquet else []) if self.pack in ARCHIVES else [self.pack]
        return f"{'-'.join(parts)}.{self.suffix}"

    def as_json(self) -> dict[str, object]:
        """What `parse` reads back."""
        return {**self.order.as_json(), "all": self.everything, "pack": self.pack, "parquet": self.parquet}

    def query(self) -> dict[str, str]:
        """What asks `GET /api/v1/releases/{n}/download` for it."""
        asked = {"all": "true"} if self.everything else _named(self.order)
        return asked | {"pack": self.pack} | ({"parquet": "true"} if self.parquet else {})

    def words(self) -> list[str]:
        """What asks `patchsift export` for the same rows: `["--release", "3", "--role", "llm", …]`."""
        asked = {"release": self.order.release} | ({} if self.everything else _named(self.order))
        asked["filter"] = urlencode(self.order.filter.query())
        asked["seed"] = "" if self.order.seed is None else str(self.order.seed)
        options = [word for name, value in asked.items() if value for word in (f"--{name}", value)]
        return [*options, *(["--all"] if self.everything else []), *(["--parquet"] if self.parquet else [])]


def _named(order: Order) -> dict[str, str]:
    return {"role": order.role, "task": order.task, "objective": order.objective, "format": order.format}


def _plain(name: str) -> str:
    """A name that is safe as part of a file's name anywhere: `"Über uns/../x"` → `"ber-uns-x"`."""
    return _NAMED.sub("-", name).strip("-").lower()[:60] or "project"


@dataclass(frozen=True, slots=True)
class Packed:
    """A file that is ready: where it lies, what it is to be called, its SHA-256, its size, and what is in it."""

    path: Path
    name: str
    digest: str
    n_bytes: int
    rows: int
    splits: Mapping[str, int]
    held: Mapping[str, int]
    warnings: Sequence[str] = ()


# ------------------------------------------------------------------------------------------------ of a release


def obtain(db: Database, settings: Settings, project_id: int, parcel: Parcel, *, now: datetime) -> Packed | JobRow:
    """The file of a release, made now where it is small; else the job that makes it.

    Raises:
        BadInputError: it cannot be carried out, or the release holds no row of it.
        NotFoundError: no such release.
        ConflictError: the release has no files, or was withdrawn.
        NotStoredError: the disk is full or read-only.

    """
    parcel.check()
    with db.read() as session:
        row = releases.get_trainable(session, project_id, parcel.order.release)
        found = find(settings, row, projects.get_name(session, project_id), parcel)
    if found is not None:
        return found
    if count_rows(settings, row, parcel) <= SMALL_ROWS:
        return make(db, settings, row, parcel)
    with db.write() as session:
        return start(session, project_id, parcel, now=now)


def find(settings: Settings, row: ReleaseRow, project_name: str, parcel: Parcel) -> Packed | None:
    """What was packed before, or None."""
    target = _target(settings, row, parcel)
    try:
        said = json.loads(kept.told_of(target).read_bytes())
        if target.stat().st_size != said["bytes"] or "warnings" not in said:
            return None
    except (OSError, ValueError):
        return None
    kept.touch(target)
    return _packed(target, row, project_name, parcel, said)


def count_rows(settings: Settings, row: ReleaseRow, parcel: Parcel) -> int:
    """How many examples of the release are read for it."""
    said = releases.read_manifest(releases.get_folder(settings, row))
    wanted = parcel.order.dataset
    counted = {Dataset(one["role"], one["task"], one["objective"]): one["rows"] for one in said["datasets"]}
    return sum(counted.values()) if parcel.everything else counted.get(wanted, 0)


def make(
    db: Database, settings: Settings, row: ReleaseRow, parcel: Parcel, *, progress: Progress | None = None
) -> Packed:
    """Pack it, once however many ask at the same time, and keep it.

    Args:
        db: the database, for the project's name.
        settings: where releases and exports lie.
        row: the release.
        parcel: what of it.
        progress: called with (done, total); it may raise to stop.

    Raises:
        BadInputError: it cannot be carried out, or the release holds no row of it.
        ConflictError: the release has no files.
        NotStoredError: the disk is full or read-only.

    """
    releases.get_folder(settings, row)
    target = _target(settings, row, parcel)
    with db.read() as session:
        project_name = projects.get_name(session, row.project_id)
    with _alone(target):
        found = find(settings, row, project_name, parcel)
        if found is not None:
            return found
        try:
            said = _make(db, settings, row, project_name, parcel, target, progress)
        except OSError as error:
            name = name_of(row, project_name, parcel)
            raise NotStoredError(f"{name} was not built: {error.strerror or error}. Free some space.") from error
    return _packed(target, row, project_name, parcel, said)


def _make(
    db: Database,
    settings: Settings,
    row: ReleaseRow,
    project_name: str,
    parcel: Parcel,
    target: Path,
    progress: Progress | None,
) -> dict[str, Any]:
    target.parent.mkdir(parents=True, exist_ok=True)
    numbered = replace(parcel, order=_of_number(parcel.order, row.number))
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=target.parent) as draft:
        folder = Path(draft) / _stem(parcel, project_name, f"release-{row.number}")
        said = _build(db, settings, row.project_id, numbered, folder, progress)
        made = Path(draft) / f"packed.{parcel.suffix}"
        said |= _pack(folder, made, parcel)
        told = Path(draft) / "packed.json"
        told.write_text(json.dumps(said), encoding="utf-8")
        made.replace(target)
        told.replace(kept.told_of(target))
    return said


def _of_number(order: Order, number: int) -> Order:
    """The same of a release by its number: `latest` may be another one by now."""
    return Order(order.role, order.task, order.objective, order.format, release=str(number))


def _target(settings: Settings, row: ReleaseRow, parcel: Parcel) -> Path:
    # By the manifest's digest and not by the number: an older database may be brought back, and a number given anew.
    # By the version too: a later one may write a format differently.
    frozen = bytes(row.manifest_digest or b"").hex()[:16]
    place = settings.data_dir / "exports" / "releases" / f"{row.project_id}-{row.number}-{frozen}-{__version__}"
    what = "all" if parcel.everything else f"{parcel.order.role}-{parcel.order.config}"
    of_split = ("-parquet" if parcel.parquet else "") if parcel.pack in ARCHIVES else f".{parcel.pack}"
    return place / f"{what}{of_split}.{parcel.suffix}"


def name_of(row: ReleaseRow, project_name: str, parcel: Parcel) -> str:
    """What the file of a release is called: `patchsift-flask-release-3-scaffold_sft_pc.zip`."""
    return parcel.name(project_name, f"release-{row.number}")


def _packed(target: Path, row: ReleaseRow, project_name: str, parcel: Parcel, said: Mapping[str, Any]) -> Packed:
    name = name_of(row, project_name, parcel)
    return _of(target, name, said)


def _of(target: Path, name: str, said: Mapping[str, Any]) -> Packed:
    told = (said[one] for one in ("sha256", "bytes", "rows", "splits", "held", "warnings"))
    return Packed(target, name, *told)


_locks: WeakValueDictionary[Path, Any] = WeakValueDictionary()
_guard = threading.Lock()


def _alone(target: Path) -> Any:  # noqa: ANN401  (the type of a lock has no name)
    """A lock for whoever makes this file; large ones are made by the worker alone, so one of this process is enough."""
    with _guard:
        return _locks.setdefault(target, threading.Lock())


# ------------------------------------------------------------------------------------------------ building, packing


def _build(
    db: Database, settings: Settings, project_id: int, parcel: Parcel, folder: Path, progress: Progress | None
) -> dict[str, Any]:
    order = parcel.order
    if not parcel.everything:
        summary = downloads.build(db, settings, project_id, order, folder, parcel.layout, progress=progress)
        told = {"splits": dict(summary.splits), "held": dict(summary.held), "warnings": [*summary.warnings]}
        return {"rows": summary.rows, **told}
    whole = downloads.build_all(db, settings, project_id, order, folder, parcel.layout, progress=progress)
    n_rows = sum(sum(splits.values()) for splits in whole.configs.values())
    return {"rows": n_rows, "splits": {}, "held": {}, "warnings": [*whole.warnings]}


def _stem(parcel: Parcel, project_name: str, place: str) -> str:
    return parcel.name(project_name, place).removesuffix(f".{parcel.suffix}")


def _pack(folder: Path, target: Path, parcel: Parcel) -> dict[str, Any]:
    """Make one file of a folder: `{"sha256": "9f…", "bytes": 83412}`, with the rows where it is one split."""
    said: dict[str, Any] = {}
    if parcel.pack == "zip":
        _zip(folder, target)
    elif parcel.pack == "tar.gz":
        _tar(folder, target)
    else:
        said = _take_split(folder, target, parcel)
    with target.open("rb+") as written:
        digest = file_digest(written, "sha256").hexdigest()
        os.fsync(written.fileno())
    return said | {"sha256": digest, "bytes": target.stat().st_size}


def _zip(folder: Path, target: Path) -> None:
    """Pack a folder without compression, which differs between zlib versions; the same folder gives the same bytes."""
    with zipfile.ZipFile(target, "x", zipfile.ZIP_STORED) as packed:
        for path in _files(folder):
            entry = zipfile.ZipInfo(_inside(folder, path), _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, packed.open(entry, "w") as packing:
                shutil.copyfileobj(source, packing, 1 << 20)


def _tar(folder: Path, target: Path) -> None:
    """Pack and compress a folder; on one machine the same folder gives the same bytes."""
    with (
        target.open("xb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as packed,
    ):
        for path in _files(folder):
            entry = tarfile.TarInfo(_inside(folder, path))
            entry.size = path.stat().st_size
            with path.open("rb") as source:
                packed.addfile(entry, source)


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.rglob("*") if one.is_file())


def _inside(folder: Path, path: Path) -> str:
    return f"{folder.name}/{path.relative_to(folder).as_posix()}"


def _take_split(folder: Path, target: Path, parcel: Parcel) -> dict[str, Any]:
    said = json.loads((folder / "manifest.json").read_bytes())["counts"]["splits"]
    if parcel.pack not in said:
        raise BadInputError(
            f"There is no {parcel.pack} row of {parcel.order.dataset.name}; there are rows for {', '.join(said)}.",
            where="field pack",
            code="nothing_to_export",
        )
    files = "data/{}/{}-00000-of-00001.parquet" if parcel.parquet else "jsonl/{}/{}.jsonl"
    (folder / files.format(parcel.order.config, parcel.pack)).replace(target)
    return {"rows": said[parcel.pack], "splits": {parcel.pack: said[parcel.pack]}}


# ------------------------------------------------------------------------------------------------ as a job


def start(session: Session, project_id: int, parcel: Parcel, *, now: datetime) -> JobRow:
    """Put it in line for the worker; one of a release that is in line already is given back instead.

    Raises:
        BadInputError: it cannot be carried out.
        ConflictError: the release was withdrawn.

    """
    parcel.check()
    asked = parcel.as_json()
    if parcel.order.release:
        row = releases.get_trainable(session, project_id, parcel.order.release)
        asked = replace(parcel, order=_of_number(parcel.order, row.number)).as_json()
        waiting = select(JobRow).where(
            col(JobRow.project_id) == project_id,
            col(JobRow.kind) == JOB_KIND,
            col(JobRow.state).in_((JobState.QUEUED, JobState.RUNNING)),
        )
        found: JobRow
        for found in session.execute(waiting).scalars():
            if found.args == asked and not found.cancel_requested:
                return found
    return jobs.enqueue(session, project_id, JOB_KIND, asked, now=now)


def note(
    session: Session, settings: Settings, project_id: int, parcel: Parcel, packed: Packed, *, now: datetime
) -> JobRow:
    """The job that stands for a file of a release which was made, or found, while somebody waited; one for all times.

    So what was downloaded is among what was made before, like what the worker made.
    """
    row = releases.get_trainable(session, project_id, parcel.order.release)
    asked = replace(parcel, order=_of_number(parcel.order, row.number)).as_json()
    for known in jobs.list_jobs(session, project_id, JOB_KIND, _LOOKED_AT):
        if known.args == asked and (known.result or {}).get("sha256") == packed.digest:
            return known
    job = jobs.enqueue(session, project_id, JOB_KIND, asked, now=now)
    job.state, job.done, job.total, job.finished_at = JobState.DONE, packed.rows, packed.rows, now
    job.result = _told(settings, packed)
    session.flush()
    return job


def run_job(db: Database, settings: Settings, job: JobRow, reporter: Progress) -> dict[str, object]:
    """Build what a job asks for, and pack it; an earlier attempt that died is thrown away first.

    Returns:
        `{"file": "exports/7/patchsift-….zip", "name": "patchsift-….zip", "sha256": "9f…", "bytes": 83412, "rows": 381,
        "splits": {"train": 305, …}, "held": {"hash_only": 3}, "warnings": []}`; the path is relative to the
        data folder.

    Raises:
        BadInputError: the order cannot be carried out, or no row is left.
        NotFoundError: no such release.
        NotStoredError: the disk is full or read-only.

    """
    parcel = Parcel.parse(job.args)
    if parcel.order.release:
        with db.read() as session:
            row = releases.get_trainable(session, job.project_id, parcel.order.release)
        packed = make(db, settings, row, parcel, progress=reporter)
    else:
        packed = _make_of_now(db, settings, job, parcel, reporter)
    return _told(settings, packed)


def _told(settings: Settings, packed: Packed) -> dict[str, object]:
    return {
        "file": packed.path.relative_to(settings.data_dir).as_posix(),
        "name": packed.name,
        "sha256": packed.digest,
        "bytes": packed.n_bytes,
        "rows": packed.rows,
        "splits": dict(packed.splits),
        "held": dict(packed.held),
        "warnings": [*packed.warnings],
    }


def _make_of_now(db: Database, settings: Settings, job: JobRow, parcel: Parcel, reporter: Progress) -> Packed:
    place = settings.data_dir / "exports" / str(job.id)
    shutil.rmtree(place, ignore_errors=True)
    with db.read() as session:
        project_name = projects.get_name(session, job.project_id)
    target = place / parcel.name(project_name, f"now-{job.id}")
    try:
        place.mkdir(parents=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=place) as draft:
            folder = Path(draft) / _stem(parcel, project_name, f"now-{job.id}")
            said = _build(db, settings, job.project_id, parcel, folder, reporter)
            made = Path(draft) / f"packed.{parcel.suffix}"
            said |= _pack(folder, made, parcel)
            made.replace(target)
    except OSError as error:
        shutil.rmtree(place, ignore_errors=True)
        raise NotStoredError(f"{target.name} was not built: {error.strerror or error}. Free some space.") from error
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return _of(target, target.name, said)


def find_download(session: Session, settings: Settings, project_id: int, job_id: int) -> tuple[Path, str, str]:
    """The file of a finished export: path, name and SHA-256.

    Raises:
        NotFoundError: no such export in this project, or it is not finished, or its file was removed.
        ConflictError: its release was withdrawn since.

    """
    job = jobs.get_job(session, project_id, job_id)
    made = job.result or {}
    if job.kind != JOB_KIND or not made.get("file"):
        raise NotFoundError(f"Job {job_id} has no file to download.")
    if job.args.get("release"):
        releases.get_trainable(session, project_id, str(job.args["release"]))
    path = settings.data_dir / str(made["file"])
    if not path.is_file():
        raise NotFoundError(
            f"The file of export {job_id} was removed. Export again; the same state gives the same file."
        )
    kept.touch(path)
    return path, str(made["name"]), str(made["sha256"])
