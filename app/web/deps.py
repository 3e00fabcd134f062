"""What routes ask for, as annotated aliases that keep their signatures flat."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from app.accounts import Person
from app.db import Database
from app.deliveries import check_format
from app.errors import BadInputError, NotStoredError
from app.ingest import Upload
from app.queue import Filter, asks
from app.settings import Settings
from app.web import rights
from app.web.forms import Files, read_form
from app.web.rights import SAFE_METHODS

MOST_FILES_SENT = 5000
_CHUNK = 1 << 20
_DIGITS = 10


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


async def _sent(request: Request, config: Annotated[Settings, Depends(_settings)]) -> Sent:
    async with read_form(request, MOST_FILES_SENT) as sent:
        return await run_in_threadpool(_keep, config, Files.of(sent))


def _keep(config: Settings, sent: Files) -> Sent:
    fields = sent.fields.allow({"format", "left"})
    forced, left = check_format(fields.one("format")), fields.one("left") or "0"
    kept: list[Upload] = []
    if not (left.isascii() and left.isdigit() and len(left) < _DIGITS):
        raise BadInputError(f"left is a number of files; it is {left[:20]!r}.", where="field left")
    for file in sent.files:
        name = file.filename or "upload"
        path = spool(config, name)
        try:
            with path.open("wb") as target:
                while chunk := file.file.read(_CHUNK):
                    target.write(chunk)
        except BaseException:
            for one in (path, *(upload.path for upload in kept)):
                one.unlink(missing_ok=True)
            raise
        kept.append(Upload(path, name, origin="upload", format=forced))
    return Sent(kept, int(left))


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
