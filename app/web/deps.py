"""What routes ask for, as annotated aliases that keep their signatures flat."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import Depends, File, Form, Request, UploadFile
from sqlmodel import Session

from app.accounts import Person
from app.db import Database
from app.deliveries import check_format
from app.errors import NotStoredError
from app.ingest import Upload
from app.queue import Filter, asks
from app.settings import Settings
from app.web import rights
from app.web.rights import SAFE_METHODS

_CHUNK = 1 << 20


# What only looks something up is async: FastAPI sends every other function to a thread, which costs more than it does.


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _database(request: Request) -> Database:
    db: Database = request.app.state.db
    return db


def _session(request: Request) -> Iterator[Session]:
    db: Database = request.app.state.db
    person: Person | None = getattr(request.state, "person", None)
    if request.method in SAFE_METHODS:
        with db.read() as session:
            asks(session, 0 if person is None else person.reviewer_id)
            yield session
        return
    with db.write() as session:
        asks(session, 0 if person is None else person.reviewer_id)
        yield session
        rights.tell(request, session)


def instant() -> datetime:
    """Now, for what a page shows."""
    return datetime.now(UTC)


async def _now() -> datetime:
    return instant()


async def _project(request: Request) -> int:
    person: Person = request.state.person
    return person.project_id


async def _me(request: Request) -> int:
    person: Person = request.state.person
    return person.reviewer_id


async def _who(request: Request) -> Person:
    person: Person = request.state.person
    return person


async def read_filter(request: Request) -> Filter:
    """The filter that the address says."""
    return Filter.parse(request.query_params, also=("after", "limit"))


def spool(settings: Settings, name: str) -> Path:
    """A new path for an upload's bytes; names given by people are never used as paths."""
    folder = settings.data_dir / "uploads"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise NotStoredError(f"{name} was not stored: {error.strerror}.") from error
    return folder / secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Sent:
    """What the drop zone sends: files, and how many of a folder's files the browser did not send."""

    uploads: list[Upload]
    n_left: int


def _sent(
    config: Annotated[Settings, Depends(_settings)],
    files: Annotated[list[UploadFile], File()],
    format: Annotated[str, Form()] = "",
    left: Annotated[int, Form(ge=0)] = 0,
) -> Sent:
    forced, kept = check_format(format), []
    for file in files:
        name = file.filename or "upload"
        path = spool(config, name)
        with path.open("wb") as target:
            while chunk := file.file.read(_CHUNK):
                target.write(chunk)
        kept.append(Upload(path, name, origin="upload", format=forced))
    return Sent(kept, left)


async def _body(request: Request, config: Annotated[Settings, Depends(_settings)]) -> AsyncIterator[Path]:
    path = spool(config, "The body")
    try:
        with path.open("wb") as target:
            async for chunk in request.stream():
                target.write(chunk)
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


Config = Annotated[Settings, Depends(_settings)]
AppDb = Annotated[Database, Depends(_database)]
# scope="function": the commit comes before the response. The default commits after the browser has its answer,
# so a failed commit would be shown as success.
Db = Annotated[Session, Depends(_session, scope="function")]
Now = Annotated[datetime, Depends(_now)]
Project = Annotated[int, Depends(_project)]
Me = Annotated[int, Depends(_me)]
Who = Annotated[Person, Depends(_who)]
Query = Annotated[Filter, Depends(read_filter)]
Uploads = Annotated[Sent, Depends(_sent)]
Body = Annotated[Path, Depends(_body)]
