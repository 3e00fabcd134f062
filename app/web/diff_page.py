"""Parts of a diff that the review page leaves for later: pieces of a long one, and lines that the diff leaves out."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlmodel import Session
from starlette.responses import Response

from app import drawing, queue, review
from app.diffs.paging import split_next
from app.diffs.parse import parse
from app.diffs.render import STEP, View, context_html, gap_html
from app.errors import BadInputError, NotFoundError
from app.web.deps import Db, Project
from app.web.render import drawn, page, url

router = APIRouter()

_TAKES = ("top", "bottom", "all")
# As many lines at once as a page of rows holds: a file of a million is opened step by step.
_MOST_LINES = 5000


@dataclass(frozen=True)
class PieceView:
    """What `diff.html` may read: some rows of a candidate's diff, and the way back."""

    n_quarantined: int
    title: str
    back: str
    view: View
    rows: Markup


@router.get("/candidates/{candidate_id}/diff")
def piece(request: Request, session: Db, project: Project, candidate_id: int) -> Response:
    """A later piece of a long diff; with `all`, every one that follows it, too."""
    view, number = _view_of(request), _number(request, "piece")
    opened = review.open_candidate(session, project, candidate_id)
    html = review.show(session, opened, view, number) if number else ""
    if not number:
        raise NotFoundError("The first piece of a diff is on the candidate's page.")
    if request.query_params.get("all"):
        html = _all_from(session, opened, view, html)
    return _answer(request, opened, view, html)


def _all_from(session: Session, opened: review.Opened, view: View, html: str) -> str:
    parts = []
    html, following = split_next(html)
    while following is not None:
        parts.append(html)
        html, following = split_next(review.show(session, opened, view, following))
    return "".join([*parts, html])


@router.get("/candidates/{candidate_id}/context")
def context(request: Request, session: Db, project: Project, candidate_id: int) -> Response:
    """Lines that the diff leaves out, `first` to `last` of a file after the change; all, or some of them."""
    view, number = _view_of(request), _number(request, "file")
    first, last = _number(request, "first"), _number(request, "last")
    take = request.query_params.get("take", "all")
    if take not in _TAKES:
        raise BadInputError(f"take must be one of {', '.join(_TAKES)}; it is {take[:40]!r}.", where="field take")
    opened = review.open_candidate(session, project, candidate_id)
    said = opened.stands
    doc = parse(said.diff or "", snippet=said.diff_is_snippet)
    whole = drawing.wholes_of(said, doc).get(number) if said.diff == opened.said.diff else None
    if whole is None:
        raise NotFoundError(f"The whole of file {number} of this diff is not known: its patch set does not hold it.")
    lines = whole.after.removesuffix("\n").split("\n")
    if not 1 <= first <= last <= len(lines):
        raise BadInputError(f"The file has lines 1 to {len(lines):,}, not {first} to {last}.", where="field first")
    step = min(last - first + 1, _MOST_LINES if take == "all" else STEP)
    begin, end = (last - step + 1, last) if take == "bottom" else (first, first + step - 1)
    file = doc.files[number - 1]
    # What stands between two numbers of one unchanged line: what the hunks before it added and removed.
    moved = sum(len(h.old_lines) - len(h.new_lines) for h in file.hunks if (h.new_start or 0) < begin)
    colours = drawing.colour_lines(whole, begin, end, file.language)
    rows = context_html(lines[begin - 1 : end], colours, begin + moved, begin, view)
    address = f"/candidates/{candidate_id}"
    html = gap_html(address, view, number, first, begin - 1) + rows + gap_html(address, view, number, end + 1, last)
    return _answer(request, opened, view, html)


def _answer(request: Request, opened: review.Opened, view: View, html: str) -> Response:
    back = url(f"/candidates/{opened.row.id}", view=view) + "#diff"
    shown = PieceView(0, f"#{opened.row.id} {opened.row.title}", back, view, drawn(html))
    return page(request, "diff.html", shown, fragment="rows")


def _view_of(request: Request) -> View:
    asked = request.query_params.get("view", "unified")
    if asked not in {"unified", "split"}:
        raise BadInputError(f"view must be unified or split; it is {asked[:40]!r}.", where="field view")
    return "split" if asked == "split" else "unified"


def _number(request: Request, name: str) -> int:
    return queue.whole_number(name, request.query_params.get(name, ""))
