"""Wiring only: settings in, an application out."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache, lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from app import __version__, accounts, installations, migrations, oidc, review
from app.accounts import Person
from app.audit import Actor
from app.db import Database, lock_ingest
from app.metrics import Meters
from app.models import Role
from app.settings import Settings
from app.web import (
    accounts_page,
    api,
    bulk_api,
    bulk_page,
    cluster_page,
    comments_page,
    description,
    diff_page,
    edit_page,
    examples_page,
    exports_page,
    guard,
    guidelines_page,
    imports,
    insight_page,
    jobs_page,
    keys,
    ladder,
    members_page,
    meter,
    oidc_page,
    opinions_page,
    parts,
    preferences_page,
    project_page,
    queue,
    releases_api,
    releases_page,
    render,
    retention_page,
    review_page,
    rights,
    team_api,
    team_page,
    templates_page,
    views_page,
    webhooks_page,
)

_PARTS = (
    queue,
    review_page,
    bulk_page,
    cluster_page,
    comments_page,
    edit_page,
    diff_page,
    examples_page,
    ladder,
    parts,
    imports,
    insight_page,
    opinions_page,
    exports_page,
    releases_page,
    project_page,
    preferences_page,
    guidelines_page,
    templates_page,
    views_page,
    webhooks_page,
    retention_page,
    jobs_page,
    accounts_page,
    members_page,
    oidc_page,
    api,
    bulk_api,
    releases_api,
    team_api,
    team_page,
)


class _Guarded(FastAPI):
    """The guard stands before everything, the answers to bugs and to oversized bodies included."""

    def build_middleware_stack(self) -> ASGIApp:
        return meter.Meter(guard.Guard(super().build_middleware_stack(), self.state.settings), self.state.meters)

    def openapi(self) -> dict[str, Any]:
        """What the API is, made once."""
        self.openapi_schema = self.openapi_schema or description.describe(self)
        return self.openapi_schema


# A line that is a comment and nothing else; no text in the scripts begins a line so.
_COMMENT = re.compile(rb"^[ \t]*(?://.*|/\*\*.*\*/)\n", re.MULTILINE)


@lru_cache
def _script(path: str, etag: str) -> bytes:  # noqa: ARG001  (another one once the file changes)
    return _COMMENT.sub(b"", (render.STATIC / path).read_bytes())


class _Static(StaticFiles):
    """Static files; a version in the address means that the bytes never change. Own scripts go without comments."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if path == Path(path).stem + ".js" and response.status_code == HTTPStatus.OK:
            etag = response.headers["etag"]
            response = Response(_script(path, etag), media_type="text/javascript", headers={"etag": etag})
        kept = "public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else "no-cache"
        response.headers["Cache-Control"] = kept
        return response


@cache
def _guarded_routes() -> list[BaseRoute]:
    """Every route behind the one check of rights; what FastAPI finds out about them holds for every application."""
    whole = APIRouter()
    for part in _PARTS:
        whole.include_router(part.router, dependencies=[Depends(rights.authorise, scope="function")])
    return whole.routes


def create_app(settings: Settings, db: Database | None = None, meters: Meters | None = None) -> FastAPI:
    """The web application on a database that is brought up to date first.

    Args:
        settings: limits, hosts, folders.
        db: the database, when the caller has opened it already.
        meters: count every request, where somebody reads the figures.

    """
    database = db or Database(settings, hurried=True)
    migrations.upgrade(database)
    now = datetime.now(UTC)
    with database.write() as session:
        # Several servers may start on an empty database at once, and one of them makes what all want.
        lock_ingest(session)
        project, _ = installations.take_project(session, settings, Actor(None, "server", "start"), now=now)
        local = review.ensure_local_reviewer(session, now=now)
        is_one_of = len(accounts.list_all_projects(session)) > 1
        called = project.name if is_one_of else ""
        anybody = Person(local.id or 0, local.name, project.id or 0, Role.ADMIN, is_admin=True, project=called)
        began_at = project.created_at

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    app = _Guarded(
        title="Patchsift",
        version=__version__,
        lifespan=lifespan,
        routes=_guarded_routes(),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        max_body_size=settings.max_upload_bytes,
    )
    app.state.settings = settings
    app.state.db = database
    app.state.meters = meters
    app.state.insights = insight_page.Kept()
    app.state.concords = opinions_page.KeptConcord()
    # Whose work waits in a browser: another database on the same port must not be sent it.
    app.state.began = f"{began_at:%Y%m%d%H%M%S%f}"
    app.state.personal = keys.Personal(database)
    app.state.provider = oidc.Provider.of(settings)
    app.state.door = rights.Door(settings, anybody)
    app.state.templates = render.environment(settings.data_dir / "cache" / __version__)
    app.mount("/static", _Static(directory=render.STATIC), name="static")
    render.add_handlers(app)
    app.add_middleware(GZipMiddleware, minimum_size=800, compresslevel=5)
    return app
