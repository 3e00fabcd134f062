"""The edit page: a script, the new sides of a diff's hunks, a spec, a fingerprint or a profile, as text to edit."""

import uuid
from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlmodel import Session
from starlette.responses import Response

from app import queue, review, sources
from app.candidates import Finding
from app.diffs.edit import new_sides
from app.diffs.parse import parse
from app.errors import AppError, BadInputError
from app.models import Verdict
from app.queue import Filter
from app.web import kinds
from app.web.deps import AppDb, Db, Me, Now, Project
from app.web.forms import Fields, Form, Typed
from app.web.queue import link_query, wanted_of
from app.web.render import drawn, is_partial, page, see_other, url

router = APIRouter()

NOTHING_CHANGED = "Nothing was changed, so no edit was recorded."
# Field of the form → the text that it holds; a diff comes as one text a hunk.
_TEXTS = {f"edited_{name}": name for name in ("script", "spec", "refined", "unified")}
_FIELDS = ("version", "key", "comment", "rating", *_TEXTS)
_MANY = ("edited_hunk",)


@dataclass(frozen=True)
class Text:
    """One text of the edit page: the original, what to start from, and where it belongs."""

    label: str
    name: str
    language: str
    original: str
    current: str


@dataclass(frozen=True)
class EditView:
    """What `edit.html` may read."""

    n_quarantined: int
    opened: review.Opened
    issue: str
    field: str
    texts: list[Text]
    has_script: bool
    has_diff: bool
    diff: Markup
    pair: kinds.Pair | None
    table: kinds.Table | None
    findings: list[Finding]
    query: dict[str, str]
    next_url: str
    key: str
    typed: Typed
    notice: str


@dataclass(frozen=True)
class CheckView:
    """What the block `checks` of `edit.html` may read."""

    table: kinds.Table | None
    findings: list[Finding]


# ------------------------------------------------------------------------------------------------ edit


@router.get("/candidates/{candidate_id}/edit")
def edit(request: Request, session: Db, project: Project, candidate_id: int, field: str = "") -> Response:
    """The script, or the new side of every hunk, as text to edit."""
    view = _edit_view(session, project, candidate_id, wanted_of(request), field)
    if view.opened.lead is not None:
        return see_other(url(f"/candidates/{view.opened.lead}/edit", **view.query))
    return page(request, "edit.html", view)


@router.post("/candidates/{candidate_id}/edit")
def save(
    request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int
) -> Response:
    """Record the edit and go on; where it is refused, the page comes back with everything that was typed."""
    sent, wanted = fields.allow(_FIELDS, _MANY), wanted_of(request)
    try:
        act = _act(session, project, candidate_id, sent)
        outcome = review.decide(session, project, me, candidate_id, act, now=now)
    except AppError as error:
        if error.status == 404:  # noqa: PLR2004
            raise
        message, status = error.message, error.status
    else:
        if outcome.decision is not None:
            return see_other(_next_url(candidate_id, wanted))
        message, status = NOTHING_CHANGED, 200
    view = _typed_view(session, project, candidate_id, wanted, sent)
    return page(request, "edit.html", replace(view, typed=_typed(sent), notice=message), status=status)


@router.post("/candidates/{candidate_id}/check")
def check(request: Request, fields: Form, db: AppDb, project: Project, candidate_id: int) -> Response:
    """What the checks say of a text as it is typed; nothing is stored."""
    sent = fields.allow(_FIELDS, _MANY)
    # It only reads; as a dependency the session of a POST would take the write lock at every pause in typing.
    with db.read() as session:
        if not is_partial(request):
            view = _typed_view(session, project, candidate_id, wanted_of(request), sent)
            return page(request, "edit.html", replace(view, typed=_typed(sent)))
        name, texts = _sent_texts(sent)
        if name == "diff":
            raise BadInputError("Changed lines are checked when they are saved.", where="field edited_hunk")
        said = review.open_candidate(session, project, candidate_id).said
        found, stands = review.check_edit(said, name, texts[0])
        return page(request, "edit.html", CheckView(kinds.table_of(said, stands), found), fragment="checks")


def _typed_view(session: Session, project: int, candidate_id: int, wanted: Filter, sent: Fields) -> EditView:
    """The edit page with what was typed, and what the checks say of it."""
    name, typed = _sent_texts(sent)
    view = _edit_view(session, project, candidate_id, wanted, name)
    view = replace(
        view, texts=[replace(text, current=now) for text, now in zip(view.texts, typed, strict=False)], findings=[]
    )
    if name == "diff":
        return view
    try:
        found, stands = review.check_edit(view.opened.said, name, typed[0])
    except BadInputError:
        return view  # what cannot be stored is not checked either; the notice says why
    return replace(view, table=kinds.table_of(view.opened.said, stands), findings=found)


def _edit_view(session: Session, project: int, candidate_id: int, wanted: Filter, field: str) -> EditView:
    opened = review.open_candidate(session, project, candidate_id)
    pair = kinds.pair_of(opened.said, opened.stands, opened.findings)
    texts = {"script": _script_text(opened), "diff": _hunk_texts(opened)} if pair is None else _pair_text(opened, pair)
    field = field or next((name for name, found in texts.items() if found), next(iter(texts)))
    if not texts.get(field):
        raise BadInputError(
            f"The log holds no {field if field in texts else 'such text'} of candidate {candidate_id} to edit.",
            where="field field",
        )
    query = link_query(wanted)
    return EditView(
        n_quarantined=sources.count_quarantine(session, project),
        opened=opened,
        issue=opened.said.issue.strip() or "(no issue text)",
        field=field,
        texts=texts[field],
        has_script=bool(texts.get("script")),
        has_diff=bool(texts.get("diff")),
        diff=drawn(review.show(session, opened, "unified")),
        pair=pair,
        table=None if pair is None else pair.table,
        findings=[found for found in opened.findings if found.place.partition(":")[0] == field],
        query=query,
        next_url=_next_url(candidate_id, wanted),
        key=uuid.uuid4().hex,
        typed=Typed(),
        notice="",
    )


def _script_text(opened: review.Opened) -> list[Text]:
    original = opened.said.script
    if not original:
        return []
    return [Text("Script", "edited_script", "python", original, opened.stands.script or original)]


def _pair_text(opened: review.Opened, pair: kinds.Pair) -> dict[str, list[Text]]:
    original, current = opened.said.texts[pair.field], opened.stands.texts[pair.field]
    return {pair.field: [Text(pair.label, f"edited_{pair.field}", pair.language, original, current)]}


def _hunk_texts(opened: review.Opened) -> list[Text]:
    """One text a hunk; an edit that stands is the start where it has as many hunks as the original."""
    if not opened.said.diff:
        return []
    originals = new_sides(parse(opened.said.diff, snippet=opened.said.diff_is_snippet))
    edited = opened.stands.diff
    currents = originals if edited in (None, opened.said.diff) else new_sides(parse(edited))
    if len(currents) != len(originals):
        currents = originals
    return [
        Text(
            label=f"{side.path}, from line {side.start}" if side.start else side.path,
            name="edited_hunk",
            language="python" if side.path.endswith(".py") else "text",
            original=side.text,
            current=current.text,
        )
        for side, current in zip(originals, currents, strict=True)
    ]


def _act(session: Session, project: int, candidate_id: int, sent: Fields) -> review.Act:
    rating = sent.one("rating")
    return review.Act(
        verdict=Verdict.EDIT,
        version=queue.whole_number("version", sent.one("version")),
        key=sent.one("key"),
        comment=sent.one("comment").replace("\r\n", "\n"),
        rating=queue.whole_number("rating", rating) if rating else None,
        edited=_edited(session, project, candidate_id, sent),
    )


def _edited(session: Session, project: int, candidate_id: int, sent: Fields) -> tuple[str, str]:
    name, texts = _sent_texts(sent)
    return (name, texts[0]) if name != "diff" else (name, review.rebuild_diff(session, project, candidate_id, texts))


def _sent_texts(sent: Fields) -> tuple[str, tuple[str, ...]]:
    """Which text was edited, and what came for it: `("script", ("import x",))`; for a diff one text a hunk."""
    found = [(name, (text,)) for field, name in _TEXTS.items() if (text := sent.find(field)) is not None]
    hunks = sent.many("edited_hunk")
    if len(found) + bool(hunks) != 1:
        raise BadInputError(
            "An edit holds one text: the script, the spec, the fingerprint, the profile, or every hunk.",
            where="field edited",
        )
    return found[0] if found else ("diff", hunks)


def _typed(sent: Fields) -> Typed:
    return Typed(sent.one("comment"), sent.one("rating"))


def _next_url(candidate_id: int, wanted: Filter) -> str:
    return url(f"/candidates/{candidate_id}/next", **link_query(wanted), last=candidate_id)
