"""The edit page: a script, the new sides of a diff's hunks, whole files, a spec, a fingerprint or a profile, as text.

What a person types is kept as a draft; an edit of a version that is not today's is brought together with what came
since (docs/decisions/0033).
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlmodel import Session
from starlette.responses import Response

from app import drafts, drawing, editing, queue, review, sources
from app.candidates import Candidate, Finding, Severity
from app.checks.syntax import find_fault
from app.diffs.edit import diff_texts, normalise_edit
from app.diffs.merge import merge
from app.errors import AppError, BadInputError, ConflictError
from app.models import DraftRow, Verdict
from app.queue import Filter
from app.web import beside, comments_page, kinds, rights
from app.web.deps import AppDb, Db, Me, Now, Project, Who
from app.web.forms import Fields, Form, Typed
from app.web.queue import link_query, wanted_of
from app.web.render import drawn, is_partial, page, see_other, url

router = APIRouter()

NOTHING_CHANGED = "Nothing was changed, so no edit was recorded."
# Field of the form → the text that it holds; a diff comes as one text a hunk, or one a file.
_TEXTS = {f"edited_{name}": name for name in ("script", "spec", "refined", "unified")}
_LISTS = {"edited_hunk": "diff", "edited_file": "files"}
_FIELDS = ("version", "key", "comment", "rating", *_TEXTS)
_MANY = (*_LISTS, "drop_hunk")
_TABS = {"script": "Script", "diff": "Changed lines", "files": "Whole files"}
_LANGUAGES = {".py": "python", ".pyi": "python", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}
_LINE_OF = re.compile(r"[a-z]+:([0-9]{1,9})")
# A larger diff is drawn when it is saved, not at every pause in typing.
_MOST_DRAWN_LINES = 3_000


# ------------------------------------------------------------------------------------------------ shapes


@dataclass(frozen=True)
class Text:
    """One text of the edit page.

    Attributes:
        label: its heading.
        name: of the form's field.
        language: for its colours.
        original: the text as the log has it.
        current: what to start from.
        before: the text before the patch, or None where that is no question.
        path: of a hunk or a file, else empty.
        dropped: the hunk is taken out of the diff.
    """

    label: str
    name: str
    language: str
    original: str
    current: str
    before: str | None = None
    path: str = ""
    dropped: bool = False


@dataclass(frozen=True)
class Entered:
    r"""What a person entered: `Entered("diff", ("a\n", "b\n"), frozenset({1}))` drops the second hunk."""

    field: str
    texts: tuple[str, ...]
    dropped: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Said:
    """What a check says of a text; `text` is its number on the page and `line` the line, None where there is none."""

    code: str
    severity: str
    message: str
    place: str
    text: int | None
    line: int | None


@dataclass(frozen=True)
class Checked:
    """What the checks say of the texts, the values of a style candidate, and the diff as it would be stored."""

    said: list[Said]
    table: kinds.Table | None = None
    rebuilt: Markup = field(default_factory=Markup)


@dataclass(frozen=True)
class DraftNote:
    """The line about a draft: from when it is, and of which version; it is shown where that is today's."""

    at: datetime
    version: int
    is_shown: bool
    field: str


@dataclass(frozen=True)
class Met:
    """One text that two people edited: what each of them changed, drawn, and how many places are marked."""

    label: str
    theirs: Markup
    mine: Markup
    n_conflicts: int
    note: str


@dataclass(frozen=True)
class Conflict:
    """Two edits of one version: who came first with what, and where the two met."""

    who: str
    verdict: str
    version: int
    met: list[Met]
    n_conflicts: int
    apart: Markup

    @property
    def is_verdict(self) -> bool:
        """Whether the other one changed no text: the two differ in what they decided alone."""
        return self.verdict != Verdict.EDIT and not self.apart and not any(one.theirs or one.note for one in self.met)


@dataclass(frozen=True)
class EditView:
    """What `edit.html` may read; `blocked` names the comment that keeps an edit from being saved."""

    n_quarantined: int
    opened: review.Opened
    issue: str
    field: str
    tabs: list[tuple[str, str]]
    texts: list[Text]
    diff: Markup
    pair: kinds.Pair | None
    checked: Checked
    draft: DraftNote | None
    conflict: Conflict | None
    query: dict[str, str]
    next_url: str
    key: str
    typed: Typed
    notice: str
    beside: beside.Beside | None
    blocked: str = ""


@dataclass(frozen=True)
class CheckView:
    """What the block `checks` of `edit.html` may read."""

    checked: Checked


# ------------------------------------------------------------------------------------------------ look


@router.get("/candidates/{candidate_id}/edit")
def edit(
    request: Request, session: Db, project: Project, me: Me, candidate_id: int, field: str = "", draft: str = ""
) -> Response:
    """The texts to edit, with what this person typed before and did not save; `draft=1` takes up an older one."""
    kept = drafts.find_draft(session, me, candidate_id)
    opened = review.open_candidate(session, project, candidate_id)
    wanted = wanted_of(request)
    if opened.lead is not None:
        return see_other(url(f"/candidates/{opened.lead}/edit", field=field, **link_query(wanted)))
    view = _view(session, project, opened, wanted, field or _field_of(kept))
    blocked = comments_page.told_of(session, opened, me, view.query).blocked
    view = replace(view, beside=beside.of_candidate(request, session, opened.row), blocked=blocked)
    return page(request, "edit.html", view if kept is None else _with_draft(view, kept, take_up=bool(draft)))


@router.post("/candidates/{candidate_id}/check")
def check(request: Request, fields: Form, db: AppDb, project: Project, candidate_id: int) -> Response:
    """What the checks say of the texts as they are typed; nothing is stored."""
    sent = fields.allow(_FIELDS, _MANY)
    # It only reads; as a dependency the session of a POST would take the write lock at every pause in typing.
    with db.read() as session:
        opened, entered = review.open_candidate(session, project, candidate_id), _entered(sent)
        if is_partial(request):
            return page(request, "edit.html", CheckView(_check(opened, entered)), fragment="checks")
        return page(request, "edit.html", _entered_view(session, project, opened, wanted_of(request), sent, entered))


# ------------------------------------------------------------------------------------------------ keep


@router.post("/candidates/{candidate_id}/edit")
def save(
    request: Request, fields: Form, session: Db, project: Project, who: Who, now: Now, candidate_id: int
) -> Response:
    """Record the edit and go on; where it is refused, the page comes back with everything that was typed."""
    sent, wanted = fields.allow(_FIELDS, _MANY), wanted_of(request)
    opened, entered = review.open_candidate(session, project, candidate_id), _entered(sent)
    version = queue.whole_number("version", sent.one("version"))
    try:
        act = _act(opened, version, entered, sent)
        outcome = review.decide(
            session, project, who.reviewer_id, candidate_id, act, may_settle=rights.may_settle(who), now=now
        )
    except AppError as error:
        view = _entered_view(session, project, opened, wanted, sent, entered)
        view = replace(view, notice=error.message)
        if isinstance(error, ConflictError) and opened.lead is None and version != opened.row.version:
            view = _met_view(view, entered, version, who.reviewer_id)
        return page(request, "edit.html", view, status=error.status)
    if outcome.decision is None and not outcome.gold:
        view = _entered_view(session, project, opened, wanted, sent, entered)
        return page(request, "edit.html", replace(view, notice=NOTHING_CHANGED))
    return see_other(_next_url(candidate_id, wanted))


@router.post("/candidates/{candidate_id}/draft")
def keep(
    request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int
) -> Response:
    """Keep what was typed for later; for those without scripts, of whom nothing is kept as they type."""
    sent, wanted = fields.allow(_FIELDS, _MANY), wanted_of(request)
    opened, entered = review.open_candidate(session, project, candidate_id), _entered(sent)
    version = queue.whole_number("version", sent.one("version"))
    was = _texts(opened, review.stands_at(opened, version), entered.field)
    meant = [text.current for text in _with_entered(was, entered)]
    texts = _draft_of(replace(entered, texts=tuple(meant)), was)
    typed = {"comment": sent.one("comment"), "rating": sent.one("rating")}
    drafts.keep(session, me, opened.row, version=version, texts={**texts, **typed}, now=now)
    return see_other(url(f"/candidates/{candidate_id}/edit", field=entered.field, **link_query(wanted)))


@router.post("/candidates/{candidate_id}/draft/discard")
def discard(request: Request, fields: Form, session: Db, project: Project, me: Me, candidate_id: int) -> Response:
    """Throw away what was typed and not saved."""
    sent = fields.allow({"field"})
    review.get_candidate(session, project, candidate_id)
    drafts.discard(session, me, candidate_id)
    query = link_query(wanted_of(request))
    return see_other(url(f"/candidates/{candidate_id}/edit", field=sent.one("field"), **query))


def _act(opened: review.Opened, version: int, entered: Entered, sent: Fields) -> review.Act:
    rating = sent.one("rating")
    return review.Act(
        verdict=Verdict.EDIT,
        version=version,
        key=sent.one("key"),
        comment=sent.one("comment").replace("\r\n", "\n"),
        rating=queue.whole_number("rating", rating) if rating else None,
        edited=_edited(opened, version, entered),
    )


def _edited(opened: review.Opened, version: int, entered: Entered) -> tuple[str, str]:
    """The field that is stored, and its text: hunks and files make a diff."""
    if entered.field == "diff":
        return "diff", review.rebuild_diff(opened, version, _sides(entered))
    if entered.field == "files":
        pieces = editing.files_of(opened.said, review.stands_at(opened, version))
        if len(pieces) != len(entered.texts):
            raise BadInputError(f"There are {len(pieces)} whole files, but {len(entered.texts)} texts came.")
        files = {piece.path: text for piece, text in zip(pieces, entered.texts, strict=True)}
        return "diff", review.rebuild_diff(opened, version, files)
    return entered.field, entered.texts[0]


def _sides(entered: Entered) -> list[str | None]:
    return [None if number in entered.dropped else text for number, text in enumerate(entered.texts)]


def _entered(sent: Fields) -> Entered:
    """Which text was edited, and what came for it: `Entered("script", ("import x",))`."""
    found = [Entered(name, (text,)) for field, name in _TEXTS.items() if (text := sent.find(field)) is not None]
    found += [Entered(name, texts) for field, name in _LISTS.items() if (texts := sent.many(field))]
    if len(found) != 1:
        raise BadInputError(
            "An edit holds one text: the script, the spec, the fingerprint, the profile, every hunk, or every file.",
            where="field edited",
        )
    dropped = frozenset(queue.whole_number("drop_hunk", number) for number in sent.many("drop_hunk"))
    if dropped and (found[0].field != "diff" or max(dropped) >= len(found[0].texts)):
        raise BadInputError("There is no such hunk to drop.", where="field drop_hunk")
    return replace(found[0], dropped=dropped)


# ------------------------------------------------------------------------------------------------ checks


def _check(opened: review.Opened, entered: Entered) -> Checked:
    """What the checks say of what was entered, as far as it can be read."""
    if entered.field not in _LISTS.values():
        found, stands = review.check_edit(opened.said, entered.field, entered.texts[0])
        return Checked([_of_text(one) for one in found], kinds.table_of(opened.said, stands))
    said: list[Said] = []
    try:
        _, rebuilt = _edited(opened, opened.row.version, entered)
        said += [_of_diff(one) for one in review.check_edit(opened.said, "diff", rebuilt)[0]]
    except BadInputError as error:
        # What cannot be stored cannot be checked either.
        return Checked([Said("refused", Severity.WARNING, error.message, "", None, None)])
    pieces = editing.files_of(opened.said, opened.stands) if entered.field == "files" else []
    numbers = {piece.path: number for number, piece in enumerate(pieces)}
    for path, text in editing.after_files(opened.said, rebuilt):
        fault = find_fault(path, text)
        if fault is not None:
            place = path if fault.line is None else f"{path}:{fault.line}"
            message = f"The file could not be read: {fault.why}."
            said.append(Said("unreadable_file", Severity.WARNING, message, place, numbers.get(path), fault.line))
    is_small = rebuilt.count("\n") <= _MOST_DRAWN_LINES
    return Checked(said, rebuilt=drawing.diff(rebuilt, prefix="made") if is_small else Markup())


def _of_text(found: Finding) -> Said:
    line = _LINE_OF.fullmatch(found.place)
    return Said(found.code, found.severity, found.message, found.place, 0, None if line is None else int(line[1]))


def _of_diff(found: Finding) -> Said:
    return Said(found.code, found.severity, found.message, found.place, None, None)


# ------------------------------------------------------------------------------------------------ drafts


def _field_of(draft: DraftRow | None) -> str:
    """The field that a draft holds texts of, or empty."""
    return next((field for field in (draft.texts if draft else ()) if field in {*_TABS, *_TEXTS.values()}), "")


def _with_draft(view: EditView, draft: DraftRow, *, take_up: bool) -> EditView:
    """The page with what this person typed before; of an older version only a line says so, until it is taken up."""
    entered = _entered_before(draft, view)
    typed = Typed(str(draft.texts.get("comment", "")), str(draft.texts.get("rating", "")))
    if entered is None:
        return replace(view, typed=typed)
    note = DraftNote(draft.saved_at, draft.version, draft.version == view.opened.row.version, view.field)
    if note.is_shown:
        found = replace(view, texts=_with_entered(view.texts, entered, exactly=True), typed=typed)
        return view if found.texts == view.texts and typed == view.typed else replace(found, draft=note)
    if take_up:
        return _met_view(replace(view, typed=typed), entered, draft.version, draft.reviewer_id)
    return replace(view, draft=note)


def _entered_before(draft: DraftRow, view: EditView) -> Entered | None:
    """What a draft holds of the field that is shown; None where that is nothing, or nothing that fits."""
    found, field = draft.texts.get(view.field), view.field
    was = view.texts
    if draft.version != view.opened.row.version:
        was = _texts(view.opened, review.stands_at(view.opened, draft.version), field)
    if isinstance(found, str):
        return Entered(field, (found,))
    if isinstance(found, Mapping):
        return Entered(field, tuple(str(found.get(text.path, text.current)) for text in was))
    if not isinstance(found, list) or len(found) != len(was):
        return None
    dropped = draft.texts.get("dropped")
    return Entered(field, tuple(map(str, found)), frozenset(dropped if isinstance(dropped, list) else ()))


def _draft_of(entered: Entered, texts: Sequence[Text]) -> dict[str, object]:
    if entered.field == "diff":
        return {"diff": list(entered.texts), "dropped": sorted(entered.dropped)}
    if entered.field == "files":
        return {"files": {text.path: now for text, now in zip(texts, entered.texts, strict=False)}}
    return {entered.field: entered.texts[0]}


# ------------------------------------------------------------------------------------------------ two edits


def _met_view(view: EditView, entered: Entered, version: int, me: int) -> EditView:
    """The page with two edits of one version brought together, to be saved as an edit of today's version."""
    opened, field = view.opened, view.field
    was = _texts(opened, review.stands_at(opened, version), field)
    now = _texts(opened, opened.stands, field)
    last = opened.history[-1] if opened.history else None
    who, verdict = (
        ("the log", "")
        if last is None
        else ("you, elsewhere" if last[0].reviewer_id == me else last[1], last[0].verdict)
    )
    if len(was) != len(entered.texts) or [one.original for one in was] != [one.original for one in now]:
        # The one edited hunks that the other's diff does not have: nothing can be laid side by side.
        apart = _diff_of("yours.diff", "", _rebuilt(opened, version, entered))
        return replace(view, texts=now, conflict=Conflict(who, verdict, version, [], 0, apart), notice="")
    mine = _with_entered(was, entered)
    pairs = [_bring_together(*of_one) for of_one in zip(was, now, mine, strict=True)]
    met = [one for _, one in pairs if one is not None]
    conflict = Conflict(who, verdict, version, met, sum(one.n_conflicts for one in met), Markup())
    return replace(view, texts=[text for text, _ in pairs], conflict=conflict, notice="")


def _bring_together(was: Text, now: Text, mine: Text) -> tuple[Text, Met | None]:
    """One text with both edits in it, and how they met; None where nobody changed it."""
    merged = merge(was.current, now.current, mine.current)
    dropped = mine.dropped if mine.dropped != was.dropped else now.dropped
    note = ""
    if now.dropped != mine.dropped and (now.current, now.dropped) != (was.current, was.dropped) and mine != was:
        note = f"One of you dropped this change and the other did not: {'dropped' if dropped else 'kept'} for now."
    text = replace(now, current=merged.text, dropped=dropped)
    if (now.current, now.dropped) == (was.current, was.dropped) and mine == was:
        return text, None
    path = was.path or kinds.FILES.get(was.name.removeprefix("edited_"), was.label)
    theirs, yours = _diff_of(path, was.current, now.current), _diff_of(path, was.current, mine.current)
    return text, Met(was.label, theirs, yours, merged.n_conflicts + bool(note), note)


def _rebuilt(opened: review.Opened, version: int, entered: Entered) -> str:
    try:
        return _edited(opened, version, entered)[1]
    except BadInputError:
        return "\n".join(entered.texts)


def _diff_of(path: str, before: str, after: str) -> Markup:
    if before == after:
        return Markup()
    return drawing.diff(diff_texts(before, after, path), prefix=f"m{uuid.uuid4().hex[:6]}")


# ------------------------------------------------------------------------------------------------ view


def _entered_view(
    session: Session, project: int, opened: review.Opened, wanted: Filter, sent: Fields, entered: Entered
) -> EditView:
    """The page with what was entered, and what the checks say of it."""
    view = _view(session, project, opened, wanted, entered.field)
    view = replace(
        view,
        texts=_with_entered(view.texts, entered),
        typed=Typed(sent.one("comment"), sent.one("rating")),
    )
    try:
        return replace(view, checked=_check(opened, entered))
    except BadInputError:
        return replace(view, checked=Checked([]))  # what cannot be stored is not checked; the notice says why


def _with_entered(texts: Sequence[Text], entered: Entered, *, exactly: bool = False) -> list[Text]:
    """The texts with what was entered; a form has turned their line ends, a draft has not."""
    return [
        replace(text, current=now if exactly else _as_meant(text.current, now), dropped=number in entered.dropped)
        for number, (text, now) in enumerate(zip(texts, entered.texts, strict=False))
    ]


def _as_meant(current: str, entered: str) -> str:
    """An entered text with the line ends of what it was; as it is where it holds what cannot be stored."""
    try:
        return normalise_edit(current, entered)
    except BadInputError:
        return entered


def _view(session: Session, project: int, opened: review.Opened, wanted: Filter, field: str) -> EditView:
    number = opened.row.id or 0
    pair = kinds.pair_of(opened.said, opened.stands, opened.findings)
    texts = {name: _texts(opened, opened.stands, name) for name in (_TABS if pair is None else (pair.field,))}
    field = field or next((name for name, found in texts.items() if found), next(iter(texts)))
    if not texts.get(field):
        raise BadInputError(
            f"The log holds no {field if field in texts else 'such text'} of candidate {number} to edit.",
            where="field field",
        )
    query = link_query(wanted)
    found = [one for one in opened.findings if one.place.partition(":")[0] == field]
    return EditView(
        n_quarantined=sources.count_quarantine(session, project),
        opened=opened,
        issue=opened.said.issue.strip() or "(no issue text)",
        field=field,
        tabs=[(name, _TABS[name]) for name, there in texts.items() if there and name in _TABS],
        texts=texts[field],
        diff=drawn(review.show(session, opened, "unified")),
        pair=pair,
        checked=Checked([_of_text(one) for one in found], None if pair is None else pair.table),
        draft=None,
        conflict=None,
        query=query,
        next_url=_next_url(number, wanted),
        key=uuid.uuid4().hex,
        typed=Typed(),
        notice="",
        beside=None,
    )


def _texts(opened: review.Opened, stands: Candidate, field: str) -> list[Text]:
    """The texts of one field of the page: one, or one a hunk or file."""
    said = opened.said
    if field == "script":
        return [Text("Script", "edited_script", "python", said.script, stands.script or "")] if said.script else []
    if field == "diff":
        return [_piece(one, "edited_hunk") for one in editing.hunks_of(said, stands)]
    if field == "files":
        return [_piece(one, "edited_file") for one in editing.files_of(said, stands)]
    pair = kinds.pair_of(said, stands, opened.findings)
    if pair is None or pair.field != field:
        return []
    return [Text(pair.label, f"edited_{field}", pair.language, said.texts[field], stands.texts[field])]


def _piece(piece: editing.Piece, name: str) -> Text:
    return Text(
        label=f"{piece.path}, from line {piece.start}" if piece.start else piece.path,
        name=name,
        language=next((found for end, found in _LANGUAGES.items() if piece.path.endswith(end)), "text"),
        original=piece.original,
        current=piece.now,
        before=piece.before,
        path=piece.path,
        dropped=piece.dropped,
    )


def _next_url(candidate_id: int, wanted: Filter) -> str:
    return url(f"/candidates/{candidate_id}/next", **link_query(wanted), last=candidate_id)
