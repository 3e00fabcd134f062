"""Comments on lines: the form, the threads where their lines are drawn, the list of a candidate's comments."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fastapi import APIRouter, Request
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict
from sqlmodel import Session
from starlette.responses import Response

from app import asking, comments, evidence, queue, review, sources
from app.comments import Draft, Thread
from app.diffs.anchors import parted
from app.diffs.follow import Spot, spots
from app.diffs.parse import DiffDoc, parse
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import CandidateRow, CommentAct
from app.web.api import JsonObject, read_as, takes
from app.web.deps import Db, Me, Now, Project
from app.web.forms import Fields, Form
from app.web.queue import link_query, wanted_of
from app.web.render import as_json, drawn, is_partial, page, see_other, url

router = APIRouter()

_FIELDS = ("field", "at", "side", "hunk", "digest", "text", "blocks", "key")
_ANCHORS = {"diff": "d", "script": "L", "spec": "S", "refined": "S", "unified": "S"}
_MOST_ROWS = 3_000


# ------------------------------------------------------------------------------------------------ what pages may read


@dataclass(frozen=True)
class Stretch:
    """Drawn rows, and the threads that stand behind the last of them."""

    html: Markup
    threads: list[Thread]
    n_columns: int


@dataclass(frozen=True)
class Told:
    """A candidate's comments, as its page shows them.

    Attributes:
        candidate: its number.
        threads: all of them.
        listed: numbers of those that the list shows whole, because the page draws no line for them.
        blocked: the sentence that says why it cannot be accepted, or empty.
        query: the filter in the address.
        key: for the next form.
    """

    candidate: int
    threads: list[Thread]
    listed: frozenset[int]
    blocked: str
    query: Mapping[str, str]
    key: str

    @property
    def n_open(self) -> int:
        """How many are not resolved."""
        return sum(not one.is_resolved for one in self.threads)


@dataclass(frozen=True)
class Choice:
    """A line that may be commented on: `Choice(41, "57", "+", "x = 1", True)`."""

    at: int
    number: str
    sign: str
    text: str
    is_chosen: bool


@dataclass(frozen=True)
class NewView:
    """What `comment_new.html` may read.

    Attributes:
        row: the candidate.
        field: the text that is commented on.
        fields: every text that may be.
        hunks: of a diff, the anchor and the heading of each hunk.
        hunk: the one whose lines are shown, or empty.
        choices: the lines to choose from.
        chosen: the line that is commented on, or None.
        digest: of the text.
        typed: what was typed.
        blocks: whether it is marked.
        n_lines: how many lines the text has.
    """

    n_quarantined: int
    row: CandidateRow
    field: str
    fields: list[str]
    hunks: list[tuple[str, str]]
    hunk: str
    choices: list[Choice]
    chosen: Choice | None
    n_lines: int
    digest: str
    side: str
    typed: str
    blocks: bool
    key: str
    fault: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class ThreadView:
    """What `thread.html` may read."""

    n_quarantined: int
    thread: Thread
    told: Told


@dataclass(frozen=True)
class Asked:
    """What is to be commented on, as an address or a form says it."""

    field: str = ""
    at: int | None = None
    side: str = ""
    hunk: str = ""
    number: int | None = None
    text: str = ""
    blocks: bool = False
    digest: str = ""
    key: str = ""


def told_of(session: Session, opened: review.Opened, me: int, query: Mapping[str, str]) -> Told:
    """The comments of a candidate; which of them the list shows whole is said by `place`."""
    earlier = [opened.said.texts, *({edit.field: edit.text} for _, _, edit in opened.history if edit is not None)]
    only = asking.only_of(session, opened.row, me)
    threads = comments.list_threads(session, opened.row, opened.stands, earlier, only=only)
    blocking = next((one for one in threads if one.is_blocking), None)
    listed = frozenset(one.id for one in threads if one.at is None)
    blocked = "" if blocking is None else comments.in_the_way(blocking)
    return Told(opened.row.id or 0, threads, listed, blocked, query, uuid.uuid4().hex)


def lines_of(told: Told) -> frozenset[int]:
    """The lines of the diff that must be drawn with an anchor."""
    return frozenset(one.at for one in told.threads if one.row.field == "diff" and one.at is not None)


def place(told: Told, field: str, html: str) -> tuple[Told, list[Stretch]]:
    """Drawn rows with the threads where their lines are; those that find none there are listed whole."""
    here = {f"{_ANCHORS[field]}{one.at}": one.at for one in told.threads if one.row.field == field and one.at}
    if not here:
        return told, [Stretch(drawn(html), [], 0)] if html else []
    made = []
    placed: set[int | None] = set()
    for part in parted(html, here):
        at = {here[name] for name in part.ids}
        placed |= at
        threads = [one for one in told.threads if one.row.field == field and one.at in at]
        made.append(Stretch(drawn(part.html), threads, part.n_columns))
    left = [one.id for one in told.threads if one.row.field == field and one.at not in placed]
    return replace(told, listed=told.listed | {*left}), made


# ------------------------------------------------------------------------------------------------ begin


@router.get("/candidates/{candidate_id}/comments/new")
def new(
    request: Request,
    session: Db,
    project: Project,
    candidate_id: int,
    field: str = "",
    hunk: str = "",
    side: str = "",
    number: str = "",
    at: str = "",
) -> Response:
    """The form to comment on a line; `hunk` with `side` and `number`, or `at`, say which, else one is chosen there."""
    opened = review.open_candidate(session, project, candidate_id)
    asked = Asked(
        field=field,
        hunk=hunk,
        side=side,
        at=queue.whole_number("at", at) if at else None,
        number=queue.whole_number("number", number) if number else None,
    )
    view = _new_view(request, session, project, opened, asked)
    return page(request, "comment_new.html", view, fragment="form")


@router.post("/candidates/{candidate_id}/comments")
def begin(
    request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int
) -> Response:
    """Begin a thread on a line; what is refused comes back with everything that was typed."""
    opened = review.open_candidate(session, project, candidate_id)
    sent = fields.allow(_FIELDS)
    asked = _asked(sent)
    try:
        number = comments.begin(session, opened.row, me, _draft(sent, asked), opened.stands, now=now)
    except (BadInputError, ConflictError) as error:
        # Of a text that was changed meanwhile the line has to be chosen again.
        again = replace(asked, at=None, hunk="") if isinstance(error, ConflictError) else asked
        view = replace(_new_view(request, session, project, opened, again), fault=error.message)
        return page(request, "comment_new.html", view, fragment="form", status=error.status)
    return _answered(request, session, project, me, candidate_id, number)


def _asked(sent: Fields) -> Asked:
    at = sent.one("at")
    return Asked(
        field=sent.one("field"),
        at=queue.whole_number("at", at) if at else None,
        side=sent.one("side"),
        hunk=sent.one("hunk"),
        text=sent.one("text").replace("\r\n", "\n"),
        blocks=sent.one("blocks") == "yes",
        digest=sent.one("digest"),
        key=sent.one("key"),
    )


def _draft(sent: Fields, asked: Asked) -> Draft:
    if asked.at is None:
        raise BadInputError("Choose the line that the comment is about.", where="field at")
    return Draft(
        asked.field, asked.at, asked.text, sent.one("key"), asked.digest, asked.side != "old", asked.blocks
    )  # fmt: skip


def _new_view(request: Request, session: Session, project: int, opened: review.Opened, asked: Asked) -> NewView:
    texts = {name: text for name, text in opened.stands.texts.items() if name in _ANCHORS and text}
    # As the page shows them, the diff first.
    names = [name for name in _ANCHORS if name in texts]
    if not names:
        raise NotFoundError(f"Candidate {opened.row.id} has no text whose lines could be commented on.")
    name = asked.field or names[0]
    if name not in texts:
        raise BadInputError(f"This candidate has no text called {name[:40]!r}.", where="field field")
    text = texts[name]
    if name == "diff":
        hunks, hunk, choices = _hunk_choices(parse(text, snippet=opened.stands.diff_is_snippet), asked)
    else:
        hunks, hunk, choices = [], "", _line_choices(text, asked.at)
    return NewView(
        n_quarantined=0 if is_partial(request) else sources.count_quarantine(session, project),
        row=opened.row,
        field=name,
        fields=names,
        hunks=hunks,
        hunk=hunk,
        choices=choices if len(choices) <= _MOST_ROWS else [],
        chosen=next((one for one in choices if one.is_chosen), None),
        n_lines=text.count("\n") + 1,
        digest=comments.digest_of(text).hex(),
        side=asked.side,
        typed=asked.text,
        blocks=asked.blocks,
        key=asked.key or uuid.uuid4().hex,
        fault="",
        query=link_query(wanted_of(request)),
    )


def _line_choices(text: str, at: int | None) -> list[Choice]:
    lines = text.removesuffix("\n").split("\n")
    return [Choice(n, str(n), "", line, n == at) for n, line in enumerate(lines, 1)]


def _hunk_choices(doc: DiffDoc, asked: Asked) -> tuple[list[tuple[str, str]], str, list[Choice]]:
    """The hunks, which of them is open, and its lines."""
    hunks = [
        (f"f{n}h{m}", f"{file.path} {part.header}")
        for n, file in enumerate(doc.files, 1)
        for m, part in enumerate(file.hunks, 1)
    ]
    every = spots(doc)
    hunk = asked.hunk or next((_hunk_of(one) for one in every if one.at == asked.at), "")
    if len(hunks) == 1:
        hunk = hunks[0][0]
    here = [one for one in every if _hunk_of(one) == hunk]
    at = asked.at or _meant(here, asked)
    found: dict[int, Choice] = {}
    both = {one.at for one in here if one.is_new} & {one.at for one in here if not one.is_new}
    for one in here:
        if one.at not in found:
            sign = " " if one.at in both else "+" if one.is_new else "-"
            number = "" if one.number is None else str(one.number)
            found[one.at] = Choice(one.at, number, sign, one.text, one.at == at)
    return hunks, hunk, list(found.values())


def _hunk_of(spot: Spot) -> str:
    return f"f{spot.file}h{spot.hunk}"


def _meant(here: Sequence[Spot], asked: Asked) -> int | None:
    """The line with the number that was asked for; of a hunk without one its first changed line."""
    if not asked.side:
        return None
    side = [one for one in here if one.is_new is (asked.side != "old")]
    if asked.number is not None:
        return next((one.at for one in side if one.number == asked.number), None)
    unchanged = {one.at for one in here if one.is_new} & {one.at for one in here if not one.is_new}
    return next((one.at for one in here if one.at not in unchanged), None)


# ------------------------------------------------------------------------------------------------ go on


@router.get("/candidates/{candidate_id}/comments/{thread_id}")
def thread(request: Request, session: Db, project: Project, me: Me, candidate_id: int, thread_id: int) -> Response:
    """One thread by itself, with what else was said about the candidate."""
    return _thread_page(request, session, project, me, candidate_id, thread_id)


@router.post("/candidates/{candidate_id}/comments/{thread_id}/answers")
def answer(
    request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int, thread_id: int
) -> Response:
    """Say something in a thread."""
    _check_seen(session, project, me, thread_id, candidate_id)
    sent = fields.allow(("text", "key"))
    review.answer(session, project, me, thread_id, sent.one("text"), key=sent.one("key"), now=now)
    return _answered(request, session, project, me, candidate_id, thread_id)


@router.post("/candidates/{candidate_id}/comments/{thread_id}/edit")
def edit(
    request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int, thread_id: int
) -> Response:
    """Say better what one has said; of the first comment also whether it blocks acceptance."""
    _check_seen(session, project, me, thread_id, candidate_id)
    sent = fields.allow(("comment", "text", "blocks", "key"))
    comments.edit(
        session,
        project,
        me,
        queue.whole_number("comment", sent.one("comment")),
        sent.one("text"),
        blocks=sent.one("blocks") == "yes",
        key=sent.one("key"),
        now=now,
    )
    return _answered(request, session, project, me, candidate_id, thread_id)


@router.post("/candidates/{candidate_id}/comments/{thread_id}/settle")
def settle(
    request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int, thread_id: int
) -> Response:
    """Resolve a thread, or open it again."""
    _check_seen(session, project, me, thread_id, candidate_id)
    sent = fields.allow(("act", "key"))
    comments.settle(session, project, me, thread_id, _act(sent.one("act")), key=sent.one("key"), now=now)
    return _answered(request, session, project, me, candidate_id, thread_id)


def _check_seen(session: Session, project: int, me: int, thread_id: int, candidate_id: int | None = None) -> None:
    """Refuse a thread that this person may not see, or of another candidate; of a part it is also its lead's."""
    thread = comments.get_thread(session, project, thread_id)
    row = review.get_candidate(session, project, thread.row.candidate_id)
    if candidate_id not in {None, row.id, evidence.find_lead(session, row)}:
        raise NotFoundError(f"There is no comment {thread_id} on candidate {candidate_id}.")
    if asking.only_of(session, row, me) not in {None, thread.said[0].reviewer_id}:
        raise NotFoundError(f"There is no comment {thread_id} here.")


def _act(value: str) -> CommentAct:
    if value not in {CommentAct.RESOLVE, CommentAct.REOPEN}:
        raise BadInputError(f"act is resolve or reopen; it is {value[:40]!r}.", where="field act")
    return CommentAct(value)


def _answered(request: Request, session: Session, project: int, me: int, candidate_id: int, thread_id: int) -> Response:
    """The thread as it is now and the list of all; a plain form goes back to the candidate."""
    if not is_partial(request):
        return see_other(url(f"/candidates/{candidate_id}", **link_query(wanted_of(request))) + f"#thread-{thread_id}")
    return _thread_page(request, session, project, me, candidate_id, thread_id)


def _thread_page(
    request: Request, session: Session, project: int, me: int, candidate_id: int, thread_id: int
) -> Response:
    opened = review.open_candidate(session, project, candidate_id)
    told = told_of(session, opened, me, link_query(wanted_of(request)))
    found = next((one for one in told.threads if one.id == thread_id), None)
    if found is None:
        raise NotFoundError(f"There is no comment {thread_id} on candidate {candidate_id}.")
    n_quarantined = 0 if is_partial(request) else sources.count_quarantine(session, project)
    return page(request, "thread.html", ThreadView(n_quarantined, found, told), fragment="said")


# ------------------------------------------------------------------------------------------------ JSON


class CommentIn(BaseModel):
    """A comment on a line of a text: `at` counts its lines from 1; of a diff also `side`, `new` or `old`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    field: str
    at: int
    text: str
    key: str
    side: Literal["new", "old"] = "new"
    blocks: bool = False
    digest: str = ""


class AnswerIn(BaseModel):
    """Something said in a thread."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str
    key: str


class SettleIn(BaseModel):
    """`act` is `resolve` or `reopen`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    act: str
    key: str


class EditIn(BaseModel):
    """A comment said better; `blocks` is of the first of a thread alone."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str
    key: str
    blocks: bool | None = None


@router.get("/api/v1/candidates/{candidate_id}/comments")
def get_comments(session: Db, project: Project, me: Me, candidate_id: int) -> Response:
    """The threads of a candidate with the line where each is now, and the sentence that blocks acceptance, if any."""
    told = told_of(session, review.open_candidate(session, project, candidate_id), me, {})
    return as_json({"threads": [one.as_json() for one in told.threads], "blocked": told.blocked or None})


@router.post("/api/v1/candidates/{candidate_id}/comments", openapi_extra=takes(CommentIn))
def post_comment(body: JsonObject, session: Db, project: Project, me: Me, now: Now, candidate_id: int) -> Response:
    """Begin a thread; the same key gets the same thread, another `digest` of the text 409."""
    opened = review.open_candidate(session, project, candidate_id)
    given = read_as(CommentIn, body)
    draft = Draft(
        given.field, given.at, given.text, given.key, given.digest, is_new=given.side == "new", blocks=given.blocks
    )
    number = comments.begin(session, opened.row, me, draft, opened.stands, now=now)
    return _thread_json(session, project, me, candidate_id, number)


@router.post("/api/v1/comments/{thread_id}/answers", openapi_extra=takes(AnswerIn))
def post_answer(body: JsonObject, session: Db, project: Project, me: Me, now: Now, thread_id: int) -> Response:
    """Say something in a thread."""
    _check_seen(session, project, me, thread_id)
    given = read_as(AnswerIn, body)
    made = review.answer(session, project, me, thread_id, given.text, key=given.key, now=now)
    return _thread_json(session, project, me, made.row.candidate_id, thread_id)


@router.post("/api/v1/comments/{thread_id}/settle", openapi_extra=takes(SettleIn))
def post_settle(body: JsonObject, session: Db, project: Project, me: Me, now: Now, thread_id: int) -> Response:
    """Resolve a thread, or open it again."""
    _check_seen(session, project, me, thread_id)
    given = read_as(SettleIn, body)
    made = comments.settle(session, project, me, thread_id, _act(given.act), key=given.key, now=now)
    return _thread_json(session, project, me, made.row.candidate_id, thread_id)


@router.post("/api/v1/comments/{comment_id}/edit", openapi_extra=takes(EditIn))
def post_edit(body: JsonObject, session: Db, project: Project, me: Me, now: Now, comment_id: int) -> Response:
    """Say better what one has said; `comment_id` is of the comment, not of its thread."""
    _check_seen(session, project, me, comments.get_thread_of(session, project, comment_id).id)
    given = read_as(EditIn, body)
    made = comments.edit(session, project, me, comment_id, given.text, blocks=given.blocks, key=given.key, now=now)
    return _thread_json(session, project, me, made.row.candidate_id, made.id)


def _thread_json(session: Session, project: int, me: int, candidate_id: int, thread_id: int) -> Response:
    told = told_of(session, review.open_candidate(session, project, candidate_id), me, {})
    return as_json(next(one.as_json() for one in told.threads if one.id == thread_id))
