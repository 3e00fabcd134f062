"""Saved views: a page to save, rename and delete them, and their JSON twin."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from sqlmodel import Session
from starlette.responses import Response

from app import queue, releases, sources, views
from app.errors import AppError
from app.queue import Filter
from app.views import View
from app.web.api import JsonObject, read_as, takes
from app.web.deps import Db, Me, Now, Project
from app.web.forms import Form
from app.web.queue import link_query, save_url, wanted_of
from app.web.render import as_json, page, see_other, url
from app.web.rights import about

router = APIRouter()


@dataclass(frozen=True)
class Shown:
    """One view as a page lists it: its queue, what it finds, and its filter in words."""

    view: View
    url: str
    count: str
    text: str


@dataclass(frozen=True)
class ViewsView:
    """What `views.html` may read; `wanted` is the filter that may be saved, None where none was brought along."""

    n_quarantined: int
    views: list[Shown]
    wanted: str | None
    save_url: str
    queue_url: str
    typed: str
    fault: str
    at: int


def text_of(wanted: Filter) -> str:
    """A filter as it could be typed into the search: `status:pending score:<0.4`; and its order."""
    return " ".join([*map(str, wanted.terms()), *([f"({queue.order_of(wanted).label})"] if wanted.order else [])])


@router.get("/views")
def show_views(request: Request, session: Db, project: Project) -> Response:
    """Every view; with a filter in the address, the form that saves it."""
    return _page(request, session, project, wanted_of(request) if request.query_params else None)


@router.post("/views")
def save_view(request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now) -> Response:
    """Save the filter of the address under the name of the form."""
    sent, wanted = fields.allow({"name"}), wanted_of(request)
    try:
        made = views.save(session, project, me, sent.one("name"), wanted, now=now)
        about(request, name=made.name)
    except AppError as error:
        return _page(request, session, project, wanted, typed=sent.one("name"), fault=error)
    return see_other(url("/queue", **link_query(made.filter)))


@router.post("/views/{number}")
def rename_view(request: Request, fields: Form, session: Db, project: Project, number: int) -> Response:
    """Give a view another name."""
    name = fields.allow({"name"}).one("name")
    views.get_view(session, project, number)
    try:
        views.rename(session, project, number, name)
        about(request, name=name)
    except AppError as error:
        return _page(request, session, project, None, typed=name, fault=error, at=number)
    return see_other("/views")


@router.post("/views/{number}/delete")
def delete_view(fields: Form, session: Db, project: Project, number: int) -> Response:
    """Delete a view."""
    fields.allow(())
    views.delete(session, project, number)
    return see_other("/views")


def _page(
    request: Request,
    session: Session,
    project: int,
    wanted: Filter | None,
    *,
    typed: str = "",
    fault: AppError | None = None,
    at: int = 0,
) -> Response:
    query = {} if wanted is None else link_query(wanted)
    view = ViewsView(
        n_quarantined=sources.count_quarantine(session, project),
        views=[_shown(session, project, one) for one in views.list_views(session, project)],
        wanted=None if wanted is None else text_of(wanted) or "every candidate",
        save_url="" if wanted is None else save_url(wanted),
        queue_url=url("/queue", **query),
        typed=typed,
        fault="" if fault is None else fault.message,
        at=at,
    )
    return page(request, "views.html", view, status=200 if fault is None else fault.status)


def _shown(session: Session, project: int, view: View) -> Shown:
    count = str(queue.count_candidates(session, project, view.filter))
    return Shown(view, url("/queue", **link_query(view.filter)), count, text_of(view.filter) or "every candidate")


# ------------------------------------------------------------------------------------------------ JSON


class ViewIn(BaseModel):
    """A view to save; `filter` is an object of fields or text, as for a release; `replace` takes one's place."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    filter: Mapping[str, object] | str
    replace: bool = False


class NameIn(BaseModel):
    """Another name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str


@router.get("/api/v1/views")
def get_views(session: Db, project: Project) -> Response:
    """Every saved view, by name."""
    return as_json({"views": [one.as_json() for one in views.list_views(session, project)]})


@router.post("/api/v1/views", status_code=201, openapi_extra=takes(ViewIn))
def post_view(request: Request, body: JsonObject, session: Db, project: Project, me: Me, now: Now) -> Response:
    """Give a filter a name."""
    given = read_as(ViewIn, body)
    wanted = releases.parse_filter(given.filter)
    made = views.save(session, project, me, given.name, wanted, now=now, instead=given.replace)
    about(request, name=made.name)
    return as_json(made.as_json(), 201)


@router.patch("/api/v1/views/{number}", openapi_extra=takes(NameIn))
def patch_view(request: Request, body: JsonObject, session: Db, project: Project, number: int) -> Response:
    """Give a view another name."""
    renamed = views.rename(session, project, number, read_as(NameIn, body).name)
    about(request, name=renamed.name)
    return as_json(renamed.as_json())


@router.delete("/api/v1/views/{number}")
def delete_view_json(session: Db, project: Project, number: int) -> Response:
    """Delete a view; answers what it was."""
    return as_json(views.delete(session, project, number).as_json())
