"""Guidelines: what the project asks of its reviewers, beside every diff, with an editor, a preview and a history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict
from sqlmodel import Session
from starlette.responses import Response

from app import drawing, guidelines, markdown, preferences, queue, sources
from app.diffs.edit import diff_texts
from app.errors import AppError, BadInputError, ConflictError
from app.guidelines import Guideline, Reason, Version
from app.web.api import JsonObject, read_as, takes
from app.web.deps import AppDb, Db, Me, Now, Project
from app.web.forms import Fields, Form
from app.web.render import as_json, page, see_other

router = APIRouter()

PANEL = "guidelines"
_FIELDS = ("text", "comment", "seen")
_COLUMNS = ("place", "code", "label", "digit", "state")
_STATES = ("offered", "retired")
_BLANK_ROWS = 3
_SAID = {"text": "Saved: reviewers see it from now on.", "same": "Nothing was changed.", "reasons": "Saved."}


# ------------------------------------------------------------------------------------------------ what pages may read


@dataclass(frozen=True)
class Guide:
    """What stands beside a diff: the version, its text as HTML, the reasons that are offered."""

    version: int
    html: Markup
    reasons: list[Reason]
    is_open: bool


@dataclass(frozen=True)
class PreviewView:
    """What the block `preview` of `guidelines.html` may read: the text as it is typed, and what it changes."""

    fault: str
    drawn: Markup
    base: Guideline
    changes: Markup


@dataclass(frozen=True)
class GuidelinesView(PreviewView):
    """What `guidelines.html` may read.

    Attributes:
        guide: the version that is shown.
        standing: the number of the one that stands.
        about: who wrote the shown one, when and why; None where that is past the list.
        changed: what it changed of the version before, drawn.
        typed: the forms as they were sent, or as the page begins.
        rows: the reasons as the form has them.
        at: which form `fault` and `said` are about.
    """

    n_quarantined: int
    guide: Guide
    standing: int
    about: Version | None
    changed: Markup
    typed: Mapping[str, str]
    rows: list[dict[str, str]]
    retired: list[Reason]
    at: str
    said: str
    versions: list[Version]


def guide_of(session: Session, project: int, me: int | None) -> Guide:
    """The guideline that stands; whether its panel is open is asked for where `me` looks at a whole page."""
    found = guidelines.get_guideline(session, project)
    is_open = me is not None and preferences.is_open(session, me, PANEL)
    return Guide(found.version, markdown.draw(found.text), found.active, is_open)


# ------------------------------------------------------------------------------------------------ pages


@router.get("/guidelines")
def show(request: Request, session: Db, project: Project, version: str = "", done: str = "") -> Response:
    """The guideline that stands, or an earlier version with what it changed; the editor, and every version."""
    shown = guidelines.get_guideline(session, project, queue.whole_number("version", version) if version else None)
    view = _view(session, project, shown)
    view = replace(view, at="reasons" if done == "reasons" else "text", said=_SAID.get(done, ""))
    return page(request, "guidelines.html", view, fragment="standing")


@router.post("/guidelines")
def save(request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now) -> Response:
    """Write the next version of the text; what cannot be saved stays in the editor."""
    typed = _typed(fields)
    try:
        made = guidelines.save(
            session, project, me, text=typed["text"], comment=typed["comment"], seen=_seen(typed), now=now
        )
    except (BadInputError, ConflictError) as error:
        return _refused(request, session, project, typed, error, at="text")
    return see_other(f"/guidelines?done={'same' if str(made.version) == typed['seen'] else 'text'}")


@router.post("/guidelines/preview")
def preview(request: Request, fields: Form, db: AppDb, project: Project) -> Response:
    """The text as it is typed, as reviewers would see it, and what it changes; nothing is stored."""
    typed = _typed(fields)
    with db.read() as session:
        view = _with_typed(_view(session, project, guidelines.get_guideline(session, project)), typed)
    return page(request, "guidelines.html", view, fragment="preview")


@router.post("/guidelines/reasons")
def save_reasons(request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now) -> Response:
    """Write the next version of the reasons, in the order of their places."""
    sent = fields.allow(("comment", "seen"), _COLUMNS)
    typed = {name: sent.one(name) for name in ("comment", "seen")}
    rows: list[dict[str, str]] = []
    try:
        rows = _rows(sent)
        made = guidelines.save(
            session, project, me, reasons=_reasons(rows), comment=typed["comment"], seen=_seen(typed), now=now
        )
    except (BadInputError, ConflictError) as error:
        return _refused(request, session, project, typed, error, at="reasons", rows=rows)
    return see_other(f"/guidelines?done={'same' if str(made.version) == typed['seen'] else 'reasons'}#reasons")


@router.post("/guidelines/panel")
def keep_panel(fields: Form, session: Db, me: Me) -> Response:
    """Remember whether the panel beside the diff is open, and go back to the candidate."""
    sent = fields.allow(("open", "back"))
    preferences.save_open(session, me, PANEL, opened=sent.one("open") == "yes")
    back = sent.one("back")
    return see_other(f"/candidates/{back}" if back.isascii() and back.isdigit() else "/guidelines")


def _typed(fields: Fields) -> dict[str, str]:
    sent = fields.allow(_FIELDS)
    return {name: sent.one(name).replace("\r\n", "\n") for name in _FIELDS}


def _seen(typed: Mapping[str, str]) -> int:
    return queue.whole_number("seen", typed["seen"])


def _rows(sent: Fields) -> list[dict[str, str]]:
    """The rows of the form in the order of their places; every column comes as often as there are rows."""
    columns = {name: sent.many(name) for name in _COLUMNS}
    if len({len(column) for column in columns.values()}) > 1:
        raise BadInputError("The list of reasons came incomplete. Nothing was stored; load the page again.")
    rows = [
        dict(zip(columns, (value.strip() for value in row), strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    return sorted(rows, key=lambda row: queue.whole_number("place", row["place"]) if row["place"] else len(rows))


def _reasons(rows: Sequence[Mapping[str, str]]) -> list[Reason]:
    found = []
    for row in rows:
        if not row["code"] and not row["label"]:
            continue
        if row["state"] not in _STATES:
            raise BadInputError(f"A reason is offered or retired; it is {row['state'][:40]!r}.", where="field state")
        is_retired = row["state"] == "retired"
        # What retires gives its digit back, without a second change to the form.
        digit = queue.whole_number("digit", row["digit"]) if row["digit"] and not is_retired else None
        found.append(Reason(row["code"], row["label"], digit, is_retired))
    return found


def _refused(
    request: Request,
    session: Session,
    project: int,
    typed: Mapping[str, str],
    error: AppError,
    *,
    at: str,
    rows: list[dict[str, str]] | None = None,
) -> Response:
    """The page with what was typed; whoever has read what came between may save over it."""
    standing = guidelines.get_guideline(session, project)
    view = _view(session, project, standing)
    kept = dict(typed)
    if isinstance(error, ConflictError):
        kept["seen"] = str(standing.version)
    view = _with_typed(view, kept) if at == "text" else replace(view, typed=dict(view.typed) | kept)
    view = replace(view, fault=error.message, at=at, rows=rows or view.rows)
    return page(request, "guidelines.html", view, fragment="preview", status=error.status)


def _view(session: Session, project: int, shown: Guideline) -> GuidelinesView:
    standing = guidelines.get_guideline(session, project)
    versions = guidelines.list_versions(session, project)
    before = guidelines.get_guideline(session, project, max(1, shown.version - 1))
    return GuidelinesView(
        fault="",
        drawn=markdown.draw(standing.text),
        base=standing,
        changes=Markup(),
        n_quarantined=sources.count_quarantine(session, project),
        guide=Guide(shown.version, markdown.draw(shown.text), shown.active, is_open=False),
        standing=standing.version,
        about=next((one for one in versions if one.version == shown.version), None),
        changed=_changes(before, shown),
        typed={"text": standing.text, "comment": "", "seen": str(standing.version)},
        rows=[_row(one, n) for n, one in enumerate(standing.reasons, 1)] + [_blank() for _ in range(_BLANK_ROWS)],
        retired=[one for one in shown.reasons if one.is_retired],
        at="",
        said="",
        versions=versions,
    )


def _with_typed(view: GuidelinesView, typed: Mapping[str, str]) -> GuidelinesView:
    view = replace(view, typed=typed, at="text")
    try:
        text = guidelines.check_text(typed["text"])
    except BadInputError as error:
        return replace(view, fault=error.message)
    return replace(view, drawn=markdown.draw(text), changes=_changes(view.base, replace(view.base, text=text)))


def _changes(before: Guideline, after: Guideline) -> Markup:
    """What one version changes of another, text and reasons as two files; empty where nothing is."""
    text = diff_texts(before.text, after.text, "guideline.md")
    reasons = diff_texts(_listed(before), _listed(after), "reasons.txt")
    return (
        drawing.diff(text + ("\n" if text and not text.endswith("\n") else "") + reasons)
        if text + reasons
        else Markup()
    )


def _listed(guideline: Guideline) -> str:
    return "".join(
        f"{one.digit or ' '} {one.code}: {one.label}{' (retired)' if one.is_retired else ''}\n"
        for one in guideline.reasons
    )


def _row(one: Reason, place: int) -> dict[str, str]:
    return {
        "place": str(place),
        "code": one.code,
        "label": one.label,
        "digit": str(one.digit or ""),
        "state": _STATES[one.is_retired],
    }


def _blank() -> dict[str, str]:
    return dict.fromkeys(_COLUMNS, "") | {"state": _STATES[0]}


# ------------------------------------------------------------------------------------------------ JSON


class GuidelineIn(BaseModel):
    """A new version: `text`, `reasons` or both; what is left out stays. `seen` is the version that it builds on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = None
    reasons: list[dict[str, str | int | bool | None]] | None = None
    comment: str = ""
    seen: int | None = None


@router.get("/api/v1/guideline")
def get_guideline(session: Db, project: Project, version: str = "") -> Response:
    """The guideline that stands, or an earlier version: text, reasons, and every version with who, when and why."""
    found = guidelines.get_guideline(session, project, queue.whole_number("version", version) if version else None)
    listed = [one.as_json() for one in guidelines.list_versions(session, project)]
    return as_json(found.as_json() | {"versions": listed})


@router.post("/api/v1/guideline", openapi_extra=takes(GuidelineIn))
def post_guideline(body: JsonObject, session: Db, project: Project, me: Me, now: Now) -> Response:
    """Write the next version; the same once more changes nothing, an older `seen` 409. Answers what stands."""
    given = read_as(GuidelineIn, body)
    if given.text is None and given.reasons is None:
        raise BadInputError("Send text, reasons, or both.", where="body")
    reasons = None if given.reasons is None else guidelines.parse_reasons(given.reasons)
    made = guidelines.save(
        session, project, me, text=given.text, reasons=reasons, comment=given.comment, seen=given.seen, now=now
    )
    return as_json(made.as_json())
