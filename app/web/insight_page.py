"""What the review has come to: a page of pictures, each with its table, and the same as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlmodel import Session
from starlette.responses import Response

from app import insight, projects, queue, sources
from app.accounts import Person
from app.errors import BadInputError, RefusedError
from app.insight import Cell, Insight, Picture, Row, Scope
from app.web import rights
from app.web.deps import Db, Now, Project, Who
from app.web.pictures import Bar, Line, draw
from app.web.queue import Fault, link_query
from app.web.render import as_json, page, url

router = APIRouter()

_MOST_KEPT = 50
_PERIODS = (("7 days", 7), ("30 days", 30), ("90 days", 90), ("a year", 365), ("all", None))


# ------------------------------------------------------------------------------------------------ what the page reads


@dataclass(frozen=True)
class TableRow:
    """One line of a picture's table: its name, its cells as (number, link), its accept rate in words."""

    name: str
    cells: list[tuple[int, str]]
    rate: str
    is_marked: bool


@dataclass(frozen=True)
class Figure:
    """One picture with its table."""

    picture: Picture
    svg: Markup
    rows: list[TableRow]


@dataclass(frozen=True)
class Period:
    """A link to another span of days: `Period("30 days", "/insight?since=…", True)`."""

    name: str
    url: str
    current: bool


@dataclass(frozen=True)
class InsightView:
    """What `insight.html` may read."""

    n_quarantined: int
    typed: dict[str, str]
    fault: Fault | None
    periods: list[Period]
    patch_sources: list[str]
    reviewers: list[str]
    said: str
    seen: Insight | None
    figures: list[Figure]
    facts: list[tuple[str, str, str]]
    all_url: str


@router.get("/insight")
def show_insight(request: Request, session: Db, project: Project, who: Who, now: Now) -> Response:
    """Intake, decisions, accept rates, reasons, times and what is left, as pictures with links to their lists."""
    query = dict(request.query_params)
    fault, seen = None, None
    try:
        seen = _look(request, session, project, who, now)
    except BadInputError as error:
        fault = Fault((error.where or "").removeprefix("field "), error.message)
    typed = {name: query.get(name, "").strip() for name in ("since", "until", "source", "by")}
    if seen is not None and not typed["since"]:
        typed["since"] = str(seen.scope.since or "")
    view = InsightView(
        n_quarantined=sources.count_quarantine(session, project),
        typed=typed,
        fault=fault,
        periods=_periods(query, now.date()),
        patch_sources=queue.list_patch_sources(session, project),
        reviewers=insight.list_reviewers(session, project) if _sees_others(session, who) else [who.name],
        said="" if seen is None else _span(seen.scope),
        seen=seen,
        figures=[] if seen is None else [figure_of(one, seen.release) for one in seen.pictures],
        facts=[] if seen is None else _facts(seen),
        all_url=url("/insight", since="all"),
    )
    return page(request, "insight.html", view, status=422 if fault else 200)


@router.get("/api/v1/insight")
def insight_json(request: Request, session: Db, project: Project, who: Who, now: Now) -> Response:
    """The numbers of the page: facts, and every picture's rows with the query of the list that each number counts."""
    seen = _look(request, session, project, who, now)
    return as_json(
        {
            "scope": {name: None if one is None else str(one) for name, one in asdict(seen.scope).items()},
            "decisions": seen.n,
            "in_bulk": seen.n_in_bulk,
            "time": asdict(seen.pace),
            "left": {**seen.left.waiting, "per_hour": seen.left.per_hour, "hours": seen.left.hours},
            "release": seen.release,
            "pictures": [picture_json(one) for one in seen.pictures],
        }
    )


def picture_json(picture: Picture) -> dict[str, object]:
    """`{"code": "sources", "series": […], "rows": [{"name", "cells": [{"n", "query"}]}], …}`."""
    return {
        "code": picture.code,
        "title": picture.title,
        "series": picture.series,
        "rows": [
            {"name": row.name, "cells": [_cell_json(cell) for cell in row.cells]}
            | ({"accept_rate": row.rate} if picture.has_rate else {})
            for row in picture.rows
        ],
        "more_rows": picture.n_more,
    }


def _cell_json(cell: Cell) -> dict[str, object]:
    return {"n": cell.n, "query": None if cell.wanted is None else cell.wanted.query()}


# ------------------------------------------------------------------------------------------------ parts of the page


class Kept:
    """What was counted last, for as long as nothing has changed: a page that is opened again costs no counting."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, Scope], tuple[str, Insight]] = {}

    def look(self, session: Session, project: int, scope: Scope, now: datetime) -> Insight:
        """As `insight.look`."""
        mark = insight.take_mark(session, project, now=now)
        kept, seen = self._seen.get((project, scope), ("", None))
        if seen is None or kept != mark:
            seen = insight.look(session, project, scope, now=now)
            if len(self._seen) >= _MOST_KEPT:
                self._seen.clear()
            self._seen[project, scope] = mark, seen
        return seen


def _look(request: Request, session: Session, project: int, who: Person, now: datetime) -> Insight:
    kept: Kept = request.app.state.insights
    scope = Scope.parse(dict(request.query_params), today=now.date())
    if scope.by not in {"", who.name} and not _sees_others(session, who):
        raise RefusedError("Figures of one person are for that person, and for whom the project's settings name.")
    return kept.look(session, project, scope, now)


def _sees_others(session: Session, who: Person) -> bool:
    return rights.sees_team(who, projects.get_opinions(session, who.project_id).team)


def figure_of(picture: Picture, release: int | None = None) -> Figure:
    """A picture as a page shows it; `release` is the one that a picture of its yield leads to."""
    lines = tuple(
        Line(
            row.name,
            _rate(picture, row),
            tuple(
                Bar(cell.n, _link(picture, cell, release, at), _says(picture, row, at, cell))
                for at, cell in enumerate(row.cells)
            ),
            row.is_marked,
        )
        for row in picture.rows
    )
    rows = [TableRow(line.name, [(bar.n, bar.url) for bar in line.bars], line.remark, line.is_marked) for line in lines]
    drawn = Markup() if picture.is_empty else draw(
        picture.code, picture.title, picture.says, tuple(map(str, picture.series)), lines, picture.in_time
    )  # fmt: skip
    return Figure(picture, drawn, rows)


def _says(picture: Picture, row: Row, at: int, cell: Cell) -> str:
    return f"{row.name}: {cell.n:,} {picture.series[at]}"


def _rate(picture: Picture, row: Row) -> str:
    return f"{row.rate:.0%}" if picture.has_rate and row.rate is not None else ""


def _link(picture: Picture, cell: Cell, release: int | None, series: int) -> str:
    if picture.code == "yields":
        return f"/releases/{release}#{'held' if series else 'h-datasets'}"
    return "" if cell.wanted is None else url("/queue", **link_query(cell.wanted))


def _periods(query: Mapping[str, str], today: date) -> list[Period]:
    kept = {name: query.get(name, "") for name in ("source", "by")}
    made = []
    for name, days in _PERIODS:
        since = "all" if days is None else str(today - timedelta(days - 1))
        is_default = days == insight.DAYS
        current = not query.get("until") and query.get("since", "") in ({since, ""} if is_default else {since})
        made.append(Period(name, url("/insight", since="" if is_default else since, **kept), current))
    return made


def _span(scope: Scope) -> str:
    if scope.since is None:
        return "since the first one" if scope.until is None else f"until {scope.until}"
    return f"from {scope.since} to {scope.until or 'now'}"


def _facts(seen: Insight) -> list[tuple[str, str, str]]:
    """What stands above the pictures: name, number, remark."""
    pace, left = seen.pace, seen.left
    hasty = f"{pace.n_hasty / pace.n:.0%} under 2 s" if pace.n else ""
    hours = "" if left.hours is None else f"{_duration(left.hours * 3600)} at {left.per_hour:,.0f} an hour"
    return [
        ("decisions", f"{seen.n:,}", f"{seen.n_in_bulk:,} in bulk" if seen.n_in_bulk else ""),
        ("median time", _seconds(pace.median_ms), f"of {pace.n:,} measured" if pace.n else "none was measured"),
        ("95 of 100 within", _seconds(pace.p95_ms), hasty),
        ("left", f"{left.waiting['pending']:,}", hours),
    ]


def _seconds(ms: float | None) -> str:
    return "-" if ms is None else _duration(ms / 1000)


def _duration(seconds: float) -> str:
    """`4.3 s`, `12 min`, `3.5 h`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"
