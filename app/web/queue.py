"""The queue: what waits, by filters that stand in the URL."""

import shutil
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlmodel import Session
from starlette.responses import Response

from app import decisions, jobs, leases, queue, review, sources, syntax, views
from app.candidates import FINDING_CODES
from app.db import LARGEST_ID
from app.errors import AppError
from app.models import CandidateRow, JobRow, Status
from app.ordering import OLDEST, ORDERS, Order
from app.queue import Filter
from app.settings import Settings
from app.web import beside, rights
from app.web.deps import Db, Now, Project
from app.web.forms import MOST_TYPED, Form
from app.web.render import THEMES, page, see_other, url

router = APIRouter()

ROWS = 50
_MOST_VIEWS = 20
_MINE = "mine:waiting"
_YEAR_SECONDS = 365 * 24 * 3600
# Column → the order of the first press on its head.
_SORTING = {"Findings": "gravest", "Size": "smallest", "Score": "lowest", "Age": OLDEST}
# As people read a column: the oldest has the greatest age.
_DESCENDING = {OLDEST, "gravest", "highest", "largest"}
TABS = (
    Status.PENDING, Status.ACCEPTED, Status.EDITED, Status.REJECTED, Status.FLAGGED, Status.SKIPPED, Status.DISAGREED,
)  # fmt: skip


@dataclass(frozen=True)
class Tab:
    """One list with its count: `Tab("pending", "381", "/queue", True)`."""

    status: str
    n: str
    url: str
    current: bool


@dataclass(frozen=True)
class Head:
    """The head of a column: `Head("Size", "/queue?order=smallest", "", "smallest change first")`.

    Attributes:
        name: of the column.
        url: the list in this column's order; in the opposite one where it stands in it already.
        sorted: `ascending` or `descending` where the list stands in its order, else empty.
        label: what following the link does.
    """

    name: str
    url: str
    sorted: str
    label: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with a field of the filter."""

    field: str
    message: str


# What pages put into an address besides a filter: where one is, what was just decided, how it is shown.
_BESIDE_A_FILTER = (
    "after", "view", "last", "end", "field", "draft", "attempt", "base", "image", "side", "seen", "known", "empty",
    "whole", "hunk", "number", "at",
)  # fmt: skip


@dataclass(frozen=True)
class QueueView:
    """What `queue.html` may read."""

    n_quarantined: int
    tabs: list[Tab]
    views: list[Tab]
    save_url: str
    typed: dict[str, str]
    fault: Fault | None
    heads: dict[str, Head]
    orders: Mapping[str, Order]
    now: datetime
    candidates: list[CandidateRow]
    count: str
    query: dict[str, str]
    after: str | None
    first_url: str | None
    n_fresh: str
    fresh_url: str
    live_url: str | None
    patch_sources: list[str]
    checking: JobRow | None
    finding_codes: tuple[str, ...]
    kind_names: Mapping[str, str]
    search_fields: Mapping[str, list[syntax.Field]]
    n_filters: int
    is_empty: bool
    keeps_out: str
    here: beside.Here | None
    leases: dict[int, leases.Lease]
    server: str
    command: str


@dataclass(frozen=True)
class DoneView:
    """What `done.html` may read."""

    n_quarantined: int
    tabs: list[Tab]
    n_pending: int
    query: dict[str, str]
    held: list[leases.Lease]
    is_shared: bool
    undo_key: str
    said: str


def ingest_command(settings: Settings) -> str:
    """The command that brings a log into this very server: `patchsift ingest --data-dir /data PATH`."""
    return command_line(settings, "ingest", last="PATH")


def command_line(settings: Settings, *words: str, last: str = "") -> str:
    """A command about this very server: `command_line(settings, "export", last="DIR")` → `patchsift export … DIR`."""
    program = "patchsift" if shutil.which("patchsift") else str(Path(sys.executable).with_name("patchsift"))
    plain = Settings.model_construct()
    options = ["--data-dir", str(settings.data_dir)] if "data_dir" in settings.model_fields_set else []
    options += ["--database-url", '"$PATCHSIFT_DATABASE_URL"'] if settings.database_url else []
    options += ["--project", settings.project] if settings.project != plain.project else []
    return " ".join([program, *words, *options, *([last] if last else [])])


def wanted_of(request: Request) -> Filter:
    """The filter that a page's URL says: pending when no status is named, every status for `status=all`.

    A status in the search box counts instead.

    Raises:
        BadInputError: a value that the field cannot have.

    """
    named = dict(request.query_params)
    status = named.get("status", Status.PENDING)
    if any(term.field in {"status", "view", "turn", "mine"} for term in syntax.parse(named.get("q", ""))):
        # Whoever types a status means it, on whichever tab; a view brings its own, what was sent may be decided, and
        # what waits for others waits no more for who asks.
        status = "all"
    return Filter.parse(named | {"status": "" if status == "all" else status}, also=_BESIDE_A_FILTER)


def link_query(wanted: Filter) -> dict[str, str]:
    """The parameters that say the filter in a page's URL, as short as can be."""
    query = wanted.typed()
    status = query.pop("status", "all")
    return query if status == Status.PENDING else {"status": status} | query


@router.get("/")
def root() -> Response:
    """The queue is the first page."""
    return see_other("/queue")


@router.get("/queue")
def show_queue(request: Request, session: Db, project: Project, now: Now, after: str = "") -> Response:
    """One page of candidates, with filters and counts."""
    view, wanted = _view(request, session, project, after, now, known=None)
    return page(
        request,
        "queue.html",
        view,
        fragment="list",
        status=422 if view.fault else 200,
        # A wrong search is told in the list that it would have made, in the place that htmx asked for.
        headers=_clean(request, wanted, after)
        if view.fault is None
        else {"HX-Retarget": "#list", "HX-Reswap": "outerHTML"},
    )


@router.get("/queue/live")
def live(
    request: Request,
    session: Db,
    project: Project,
    now: Now,
    known: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
    seen: str = "",
    after: str = "",
    empty: str = "",
) -> Response:
    """What an open page asks every second: 204 while it is up to date, else the list as it is now."""
    if seen == queue.take_pulse(session, project).beat:
        return Response(status_code=204)
    view, _ = _view(request, session, project, after, now, known=known)
    return page(request, "queue.html", view, fragment="main" if empty else "list", status=422 if view.fault else 200)


def _view(
    request: Request, session: Session, project: int, after: str, now: datetime, *, known: int | None
) -> tuple[QueueView, Filter]:
    """The page, and the filter that it shows; `known` is the newest candidate when it was opened, None for now."""
    fault: Fault | None = None
    typed = {name: request.query_params.get(name, "") for name in queue.PARAMETERS}
    pulse = queue.take_pulse(session, project)
    known = pulse.newest if known is None else known
    try:
        wanted = wanted_of(request)
        found = queue.list_candidates(session, project, wanted, after=after, limit=ROWS)
    except AppError as error:
        fault = Fault((error.where or "").removeprefix("field "), error.message)
        wanted, found = Filter(status=Status.PENDING), queue.Page([], None)
    else:
        typed = dict.fromkeys(typed, "") | link_query(wanted)
    query, is_empty = link_query(wanted), not any(decisions.count_by_status(session, project).values())
    tabs = _tabs(session, project, wanted)
    saved = _views(session, project, wanted, tabs)
    live = {"after": after, "known": known, "seen": pulse.beat, "empty": "yes" if is_empty else ""}
    view = QueueView(
        n_quarantined=sources.count_quarantine(session, project),
        # One list is shown: where a view has its name, that is it.
        tabs=[replace(tab, current=False) for tab in tabs] if any(one.current for one in saved) else tabs,
        views=saved,
        save_url=save_url(wanted),
        typed=typed,
        fault=fault,
        heads=_heads(wanted),
        orders=ORDERS,
        now=now,
        candidates=found.candidates,
        count=next(tab.n for tab in tabs if tab.current),
        query=query,
        after=found.after,
        first_url=url("/queue", **query) if after else None,
        n_fresh="" if fault else _count_fresh(session, project, wanted, found, known),
        fresh_url=url("/queue", **query | {"order": "newest"}),
        live_url=None if fault else url("/queue/live", **query | live),
        patch_sources=queue.list_patch_sources(session, project),
        checking=jobs.find_unfinished(session, project, jobs.IN_BACKGROUND),
        finding_codes=FINDING_CODES,
        kind_names=review.KIND_NAMES,
        search_fields=syntax.GROUPS,
        n_filters=sum(bool(typed[name]) for name in typed if name not in {"status", "q", "order"}),
        is_empty=is_empty,
        keeps_out=_keeps_out(request, wanted),
        here=beside.of_queue(request, session),
        leases=leases.list_leases(session, [row.id or 0 for row in found.candidates], now=now),
        server=f"{request.url.scheme}://{request.url.netloc}",
        command=ingest_command(request.app.state.settings),
    )
    return view, wanted


def _keeps_out(request: Request, wanted: Filter) -> str:
    """Why nothing of this list can be decided by who looks at it; empty where it can."""
    if wanted.status != Status.DISAGREED or rights.may_settle(beside.person_of(request)):
        return ""
    return "The last word on these is a curator's."


def _count_fresh(session: Session, project: int, wanted: Filter, shown: queue.Page, known: int) -> str:
    """How many came since the page was opened and stand on another one: `"12"`, or empty for none."""
    fresh = queue.count_candidates(session, project, wanted, since=known)
    n = fresh.n - sum((row.id or 0) > known for row in shown.candidates)
    return str(replace(fresh, n=n)) if n else ""


def _clean(request: Request, wanted: Filter, after: str) -> dict[str, str]:
    """The address without the empty fields of the form, for htmx to put into the history."""
    return {"HX-Push-Url": url(request.url.path, **link_query(wanted), after=after)}


@router.get("/queue/start")
def start(request: Request, session: Db, project: Project) -> Response:
    """Go to the first candidate that the filter finds."""
    wanted = wanted_of(request)
    first = queue.find_next(session, project, wanted, 0, but=beside.but_held(request, session))
    return see_other(url("/queue/done" if first is None else f"/candidates/{first}", **link_query(wanted)))


@router.get("/queue/done")
def done(request: Request, session: Db, project: Project) -> Response:
    """Nothing waits in this filter."""
    return done_page(request, session, project, wanted_of(request))


def done_page(
    request: Request,
    session: Db,
    project: int,
    wanted: Filter,
    headers: dict[str, str] | None = None,
    said: str = "",
) -> Response:
    """The page, or for htmx the block, that stands where a candidate would; `said` is what was just done."""
    view = DoneView(
        n_quarantined=sources.count_quarantine(session, project),
        tabs=_tabs(session, project, wanted),
        n_pending=decisions.count_by_status(session, project)[Status.PENDING],
        query=link_query(wanted),
        held=beside.list_held(request, session, wanted),
        is_shared=beside.is_beside(request, session),
        undo_key=uuid.uuid4().hex,
        said=said,
    )
    return page(request, "done.html", view, fragment="candidate", headers=headers)


@router.post("/theme", max_body_size=MOST_TYPED)
def theme(fields: Form) -> Response:
    """Remember light, dark or what the system says."""
    sent = fields.allow({"theme", "back"})
    back = sent.one("back")
    response = see_other(back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/queue")
    if sent.one("theme") in THEMES:
        response.set_cookie("theme", sent.one("theme"), max_age=_YEAR_SECONDS, samesite="lax")
    return response


def save_url(wanted: Filter) -> str:
    """Where a filter is given a name."""
    return url("/views", **{"status": wanted.status or "all"} | link_query(wanted))


def _tabs(session: Session, project: int, wanted: Filter) -> list[Tab]:
    """What the filter finds of each status, and of all."""
    terms = [str(term) for term in syntax.parse(wanted.q)]
    is_mine = _MINE in terms and not wanted.status
    if is_mine:
        wanted = replace(wanted, q=" ".join(term for term in terms if term != _MINE))
    counts = queue.count_by_status(session, project, wanted)
    query = {name: value for name, value in link_query(wanted).items() if name != "status"}
    tabs = [
        Tab(
            status,
            str(counts[status]),
            url("/queue", status="" if status == Status.PENDING else status, **query),
            wanted.status == status,
        )
        for status in TABS
        # Of no use where one person decides on each.
        if status != Status.DISAGREED or counts[status].n or wanted.status == status
    ]
    mine = queue.count_answered(session, project, wanted)
    counted = [*counts.values(), mine]
    every = queue.Count(sum(one.n for one in counted), capped=any(one.capped for one in counted))
    tabs.append(Tab("all", str(every), url("/queue", status="all", **query), not wanted.status and not is_mine))
    if mine.n or is_mine:
        # Of no use where one person decides on each; of nobody else it says anything.
        asked = f"{query.get('q', '')} {_MINE}".strip()
        tabs.append(Tab("yours, waiting", str(mine), url("/queue", **query | {"q": asked}), is_mine))
    return tabs


def _views(session: Session, project: int, wanted: Filter, tabs: list[Tab]) -> list[Tab]:
    """The saved views with what each finds; of the one that is shown, the count is known."""
    shown = next(tab.n for tab in tabs if tab.current)
    return [
        Tab(
            one.name,
            shown if one.filter == wanted else str(queue.count_candidates(session, project, one.filter)),
            url("/queue", **link_query(one.filter)),
            one.filter == wanted,
        )
        for one in views.list_views(session, project)[:_MOST_VIEWS]
    ]


def _heads(wanted: Filter) -> dict[str, Head]:
    """The heads that sort: a second press turns the order round."""
    now = queue.order_of(wanted)
    heads = {}
    for name, first in _SORTING.items():
        is_here = first in {now.name, now.other}
        order = ORDERS[now.other if is_here else first]
        link = url("/queue", **link_query(replace(wanted, order="" if order.name == OLDEST else order.name)))
        falls = now.name in _DESCENDING
        heads[name] = Head(name, link, ("descending" if falls else "ascending") if is_here else "", order.label)
    return heads
