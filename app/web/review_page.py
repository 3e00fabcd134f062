"""The review page: one candidate with everything known of it, and what a person decides."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlmodel import Session
from starlette.responses import Response

from app import bulk, clusters, decisions, drafts, gold, guidelines, outlook, projects, queue, review, sources
from app.accounts import Person
from app.candidates import Finding, Severity
from app.diffs.edit import diff_texts
from app.errors import AppError
from app.gold import Gold
from app.models import Agreement, CandidateRow, DecisionRow, RevisionRow, Status
from app.queue import Filter
from app.web import beside, comments_page, guidelines_page, kinds, ladder, parts, places, rights
from app.web.comments_page import Stretch
from app.web.deps import AppDb, Db, Me, Now, Project, Who
from app.web.forms import Fields, Form, Typed
from app.web.queue import done_page, link_query, wanted_of
from app.web.render import as_json, is_partial, page, see_other, url

router = APIRouter()

_YEAR_SECONDS = 365 * 24 * 3600
_ISSUE_LINES, _ISSUE_CHARACTERS = 12, 1200
_DONE = {
    Status.ACCEPTED: "Accepted", Status.REJECTED: "Rejected", Status.EDITED: "Edited", Status.SKIPPED: "Skipped",
    Status.FLAGGED: "Flagged", Status.PENDING: "Undone:", Status.DISAGREED: "Opinions differ on",
}  # fmt: skip
FIELDS = ("verdict", "version", "key", "comment", "rating", "guideline")

DiffView = Literal["unified", "split"]


@dataclass(frozen=True)
class Event:
    """One decision of the history, as it is shown."""

    decision: DecisionRow
    who: str
    undone: bool
    undoes: str | None
    together: int
    act: int | None
    reasons: list[str]
    field: str | None
    change: Markup


@dataclass(frozen=True)
class Operation:
    """One operation of the spec: its name, and the rest of the open dict as pairs."""

    name: str
    parts: list[tuple[str, str]]


@dataclass(frozen=True)
class ReviewView:
    """What `review.html` may read."""

    n_quarantined: int
    opened: review.Opened
    issue: str
    issue_rest: str
    pair: kinds.Pair | None
    findings: list[Finding]
    links: dict[str, str]
    chips: list[places.Chip]
    operations: list[Operation]
    digest: str
    diff: list[Stretch]
    is_live: bool
    view: DiffView
    script: list[Stretch] | None
    made: list[Stretch]
    told: comments_page.Told
    n_script_lines: int
    ladder: ladder.Ladder | None
    patched: parts.SetView | None
    parts: parts.PartsView | None
    n_alike: int
    history: list[Event]
    sides: list[Event]
    gold: Gold | None
    may_mark: bool
    mine: DecisionRow | None
    keeps_out: str
    left: str
    query: dict[str, str]
    guide: guidelines_page.Guide
    key: str
    undo_key: str
    typed: Typed
    notice: str
    said: str
    beside: beside.Beside | None


@dataclass(frozen=True)
class ScriptView:
    """What the block `script` of `review.html` may read."""

    opened: review.Opened
    script: list[Stretch]
    told: comments_page.Told


# ------------------------------------------------------------------------------------------------ look


@router.get("/candidates/{candidate_id}")
def candidate(
    request: Request, session: Db, project: Project, me: Me, candidate_id: int, last: str = "", end: str = ""
) -> Response:
    """One candidate; `last` is the one decided before it, for the line that offers to undo."""
    wanted = wanted_of(request)
    view = review_view(request, session, project, me, candidate_id, wanted)
    if view.opened.lead is not None:
        return see_other(url(f"/candidates/{view.opened.lead}", **view.query) + "#parts")
    if end:
        view = replace(view, notice="This filter finds no other candidate.")
    if last:
        said = review.get_candidate(session, project, queue.whole_number("last", last))
        view = replace(view, said=_sentence(session, said))
    block = "diff" if request.headers.get("HX-Target", "").endswith("#diff") else "candidate"
    shown = ladder.address(request, candidate_id, view.query, view=view.view) if block == "diff" else None
    headers = {"HX-Replace-Url": shown} if shown else None
    response = page(request, "review.html", view, fragment=block, headers=headers)
    if request.query_params.get("view") == view.view:
        response.set_cookie("view", view.view, max_age=_YEAR_SECONDS, samesite="lax", httponly=True)
    return response


@router.get("/candidates/{candidate_id}/script")
def script(request: Request, session: Db, project: Project, me: Me, candidate_id: int) -> Response:
    """The script of a candidate that came as a fragment."""
    if not is_partial(request):
        return see_other(f"/candidates/{candidate_id}#script")
    opened = review.open_candidate(session, project, candidate_id)
    told = comments_page.told_of(session, opened, me, link_query(wanted_of(request)))
    told, shown = comments_page.place(told, "script", review.show(session, opened, "script"))
    view = ScriptView(opened, shown, told)
    return page(request, "review.html", view, fragment="script")


@router.get("/queue/ahead")
def ahead(request: Request, session: Db, project: Project, after: str) -> Response:
    """What follows a candidate under the filter of the URL, and how many it finds; what the page fetches beforehand."""
    wanted = wanted_of(request)
    found = queue.list_ahead(session, project, wanted, queue.whole_number("after", after))
    left = queue.count_candidates(session, project, wanted)
    guideline = guidelines.get_standing(session, project)
    return as_json({"ahead": found, "left": left.n, "capped": left.capped, "guideline": guideline})


@router.get("/candidates/{candidate_id}/next")
def following(request: Request, session: Db, project: Project, candidate_id: int, last: str = "") -> Response:
    """Go on without deciding; at the end, to the first one left."""
    wanted = wanted_of(request)
    found = queue.find_next(session, project, wanted, candidate_id, but=beside.but_held(request, session))
    if found is None and last:
        return see_other(url("/queue/done", **link_query(wanted)))
    return _go(wanted, candidate_id, found, last)


@router.get("/candidates/{candidate_id}/previous")
def previous(request: Request, session: Db, project: Project, candidate_id: int) -> Response:
    """Go back without deciding."""
    wanted = wanted_of(request)
    return _go(wanted, candidate_id, queue.find_next(session, project, wanted, candidate_id, back=True))


def _go(wanted: Filter, here: int, found: int | None, last: str = "") -> Response:
    query = link_query(wanted)
    if found is None:
        return see_other(url(f"/candidates/{here}", **query, end="1"))
    return see_other(url(f"/candidates/{found}", **query, last=last))


# ------------------------------------------------------------------------------------------------ decide


@router.post("/candidates/{candidate_id}/decisions")
def decide(
    request: Request, fields: Form, db: AppDb, project: Project, who: Who, now: Now, candidate_id: int
) -> Response:
    """Record the verdict and show the next candidate: one request."""
    sent = fields.allow(FIELDS, {"reasons"})
    # Opened here: as a dependency the session would take the request through threads twice more.
    with db.write() as session:
        queue.asks(session, who.reviewer_id)
        return _decide(request, session, project, who, candidate_id, sent, now)


def _decide(
    request: Request, session: Session, project: int, who: Person, candidate_id: int, sent: Fields, now: datetime
) -> Response:
    wanted, me = wanted_of(request), who.reviewer_id
    try:
        act = _act(sent)
        outcome = review.decide(session, project, me, candidate_id, act, may_settle=rights.may_settle(who), now=now)
    except AppError as error:
        if error.status == 404:  # noqa: PLR2004
            raise
        return _refused(request, session, (project, me), candidate_id, sent, error)
    return _show_next(request, session, project, me, wanted, outcome)


@router.post("/undo")
def undo(request: Request, fields: Form, db: AppDb, project: Project, me: Me, now: Now) -> Response:
    """Take back the last act that stands, or the one with the key `of`, and show its candidate again."""
    wanted = wanted_of(request)
    sent = fields.allow({"key", "of"})
    outcome = bulk.undo_last(db, project, me, key=sent.one("key"), of=sent.one("of"), now=now)
    with db.read() as session:
        queue.asks(session, me)
        return _show_undone(request, session, project, me, wanted, outcome)


def _show_undone(
    request: Request, session: Session, project: int, me: int, wanted: Filter, outcome: review.Outcome
) -> Response:
    if outcome.bulk is not None and not is_partial(request):
        return see_other(f"/bulk/{decisions.job_of(outcome.bulk)}")
    address = url(f"/candidates/{outcome.candidate.id}", **link_query(wanted))
    if not is_partial(request):
        return see_other(url(f"/candidates/{outcome.candidate.id}", **link_query(wanted), last=outcome.candidate.id))
    view = review_view(request, session, project, me, outcome.candidate.id or 0, wanted)
    view = replace(view, said=bulk.sentence(session, outcome) or _sentence(session, outcome.candidate))
    return page(request, "review.html", view, fragment="candidate", headers={"HX-Push-Url": address})


def _show_next(
    request: Request, session: Session, project: int, me: int, wanted: Filter, outcome: review.Outcome
) -> Response:
    decided, number = outcome.candidate, outcome.candidate.id or 0
    found = beside.find_next(request, session, wanted, number)
    query = link_query(wanted)
    address = url("/queue/done" if found is None else f"/candidates/{found}", **query)
    if not is_partial(request):
        # At the end of a filter the candidate stays where a release is to be told of.
        tells = outlook.list_recalled(session, decided) if found is None and not outcome.gold else []
        end = url(f"/candidates/{number}", **query, last=number, end="1") if tells else address
        return see_other(end if found is None else url(f"/candidates/{found}", **query, last=number))
    if found is None:
        said = outcome.gold or _sentence(session, decided)
        return done_page(request, session, project, wanted, {"HX-Push-Url": address}, said)
    view = review_view(request, session, project, me, found, wanted)
    view = replace(view, said=outcome.gold or _sentence(session, decided))
    return page(request, "review.html", view, fragment="candidate", headers={"HX-Push-Url": address})


def _refused(
    request: Request, session: Session, where: tuple[int, int], candidate_id: int, sent: Fields, error: AppError
) -> Response:
    """The candidate as it is now, with everything that was typed and the sentence that says why nothing was stored."""
    wanted = wanted_of(request)
    typed = Typed(sent.one("comment"), sent.one("rating"), sent.many("reasons"))
    headers = {"HX-Retarget": "#candidate", "HX-Reswap": "outerHTML", "HX-Push-Url": "false"}
    pressed = sent.one("verdict")
    notice = f"Your {pressed} was not stored. {error.message}" if pressed in decisions.STATUS_OF else error.message
    again = replace(review_view(request, session, *where, candidate_id, wanted), typed=typed, notice=notice)
    return page(request, "review.html", again, fragment="candidate", status=error.status, headers=headers)


def _act(sent: Fields) -> review.Act:
    verdict = review.parse_verdict(sent.one("verdict"))
    rating, guideline = sent.one("rating"), sent.one("guideline")
    return review.Act(
        verdict=verdict,
        version=queue.whole_number("version", sent.one("version")),
        key=sent.one("key"),
        reasons=sent.many("reasons"),
        comment=sent.one("comment").replace("\r\n", "\n"),
        rating=queue.whole_number("rating", rating) if rating else None,
        guideline=queue.whole_number("guideline", guideline) if guideline else None,
    )


# ------------------------------------------------------------------------------------------------ view


def review_view(
    request: Request, session: Session, project: int, me: int, candidate_id: int, wanted: Filter
) -> ReviewView:
    """Everything that the page of a candidate shows."""
    opened = review.open_candidate(session, project, candidate_id)
    may_mark = opened.row.status in gold.RIGHT and _may_mark(request, session, project)
    view, query = _diff_view(request), link_query(wanted)
    pair = kinds.pair_of(opened.said, opened.stands, opened.findings)
    issue, rest = _parted(opened.said.issue.strip(), "" if pair else opened.row.title)
    told = comments_page.told_of(session, opened, me, query)
    diff = review.show(session, opened, view, told=comments_page.lines_of(told))
    told, stretches = comments_page.place(told, "diff", diff)
    told, made = (told, []) if pair is None else comments_page.place(told, pair.field, pair.text)
    # A fragment brings the script only when it is asked for: most of what would travel is never opened.
    shown = None
    if not (is_partial(request) and opened.row.has_script):
        told, shown = comments_page.place(told, "script", review.show(session, opened, "script"))
    addresses = {} if pair else places.links(session, opened, query, view, diff)
    return ReviewView(
        n_quarantined=0 if is_partial(request) else sources.count_quarantine(session, project),
        opened=opened,
        issue=issue,
        issue_rest=rest,
        pair=pair,
        findings=opened.findings if pair is None else pair.elsewhere,
        links=addresses,
        chips=places.chips(opened.findings, addresses),
        operations=[_operation(one) for one in opened.said.operations],
        digest=bytes(opened.entry.digest).hex(),
        diff=stretches,
        is_live="hx-get" in diff,
        view=view,
        script=shown,
        made=made,
        told=told,
        n_script_lines=(opened.stands.script or "").rstrip("\n").count("\n") + 1,
        ladder=None if pair else ladder.build(candidate_id, opened.stands, query, request.query_params),
        patched=None if pair else parts.build_set(candidate_id, opened.said, query, request.query_params),
        parts=None if pair else parts.build_parts(opened, query),
        n_alike=clusters.count_alike(session, candidate_id),
        history=_history(session, project, opened, opened.history),
        sides=_history(session, project, opened, opened.sides)[::-1],
        mine=_mine(session, opened),
        keeps_out=review.keeps_out(opened.row, may_settle=rights.may_settle(beside.person_of(request))),
        gold=gold.find(session, candidate_id) if may_mark else None,
        may_mark=may_mark,
        left=str(queue.count_candidates(session, project, wanted)),
        query=query,
        guide=guidelines_page.guide_of(session, project, None if is_partial(request) else me),
        key=uuid.uuid4().hex,
        undo_key=uuid.uuid4().hex,
        typed=Typed(*drafts.remarks(drafts.find_draft(session, me, candidate_id), opened.row.version)),
        notice="",
        said="",
        beside=beside.of_candidate(request, session, opened.row),
    )


def _diff_view(request: Request) -> DiffView:
    asked = request.query_params.get("view") or request.cookies.get("view")
    return "split" if asked == "split" else "unified"


def _sentence(session: Session, row: CandidateRow) -> str:
    """What was just done; of an edit, also why an export would hold it back, while it can still be mended."""
    done = f"{_DONE[Status(row.status)]} #{row.id}"
    if row.agreement == Agreement.WAITING:
        done = f"Opinion kept on #{row.id}, which waits for others"
    recalled = outlook.list_recalled(session, row)
    if recalled:
        done += f". {_named(recalled)} examples of it as it was decided before"
    if row.status != Status.EDITED:
        return done
    findings = review.open_candidate(session, row.project_id, row.id or 0).findings
    held = next((found for found in findings if found.severity == Severity.HOLD), None)
    return done if held is None else f"{done}, but exports hold it back: {held.message}"


def _named(numbers: list[int]) -> str:
    """`"Release 3 holds"`, `"Releases 2 and 3 hold"`."""
    if len(numbers) == 1:
        return f"Release {numbers[0]} holds"
    return f"Releases {', '.join(map(str, numbers[:-1]))} and {numbers[-1]} hold"


def _parted(issue: str, title: str) -> tuple[str, str]:
    """The first lines of an issue below its title, and the rest that is folded."""
    issue = issue.removeprefix(title).strip() if issue.partition("\n")[0].strip() == title else issue
    lines = issue.split("\n")
    first = "\n".join(lines[:_ISSUE_LINES])[:_ISSUE_CHARACTERS]
    return first, issue[len(first) :].lstrip("\n")


def _operation(said: object) -> Operation:
    if not isinstance(said, dict):
        return Operation(_plain(said), [])
    named = {str(key): value for key, value in said.items()}
    name = next((key for key in ("name", "type", "op", "operation") if isinstance(named.get(key), str)), None)
    title = "operation" if name is None else str(named.pop(name))
    return Operation(title, list(_pairs(named, "")))


def _pairs(named: Mapping[str, object], before: str) -> Iterable[tuple[str, str]]:
    """An open dict as lines: `{"parameters": {"target": "x"}}` → `("parameters.target", "x")`."""
    for key, value in named.items():
        if isinstance(value, dict) and value:
            yield from _pairs({str(inner): one for inner, one in value.items()}, f"{before}{key}.")
        else:
            yield f"{before}{key}", _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(map(_plain, value)) if isinstance(value, list | tuple) else repr(value)


def _bulks(opened: review.Opened) -> list[str]:
    return [decision.bulk for decision, _, _ in opened.history if decision.bulk is not None]


def _history(session: Session, project: int, opened: review.Opened, shown: review.History) -> list[Event]:
    """Some of the history, newest first; what was taken back is marked, what was edited shows the change."""
    if not shown:
        return []
    together = decisions.count_together(session, _bulks(opened))
    # A reason is called what it was called when it was given.
    versions = {decision.guideline for decision, _, _ in shown if decision.reasons}
    return _events(opened, shown, together, guidelines.labels_of(session, project, versions))


def _events(
    opened: review.Opened,
    shown: review.History,
    together: Mapping[str, int],
    labels: Mapping[int | None, Mapping[str, str]],
) -> list[Event]:
    undone = {decision.undoes_id for decision, _, _ in opened.history}
    verdicts = {decision.id: decision.verdict for decision, _, _ in opened.history}
    return [
        Event(
            decision=decision,
            who=who,
            undone=decision.id in undone,
            undoes=verdicts.get(decision.undoes_id) if decision.undoes_id else None,
            together=together.get(decision.bulk or "", 1),
            act=None if decision.bulk is None else decisions.job_of(decision.bulk),
            reasons=[labels.get(decision.guideline, {}).get(code, code) for code in decision.reasons],
            field=None if revision is None else revision.field,
            change=Markup() if revision is None else _change(opened, revision),
        )
        for decision, who, revision in reversed(list(shown))
    ]


def _may_mark(request: Request, session: Session, project: int) -> bool:
    """Whether this person may make a candidate gold, or see that it is; nobody where the project gives none."""
    return bool(projects.get_opinions(session, project).gold_share) and rights.may_settle(beside.person_of(request))


def _mine(session: Session, opened: review.Opened) -> DecisionRow | None:
    """What this person decided or said, which they can take back on this page; None where there is nothing."""
    me = queue.who_asks(session)
    said = decisions.list_standing((one for one, _, _ in opened.history), opened.row.judged_from)
    return next((one for one in reversed(said) if one.reviewer_id == me and one.bulk is None), None)


def _change(opened: review.Opened, revision: RevisionRow) -> Markup:
    """What an edit changed: the difference to the original; of a diff, the diff as it is now."""
    from app import drawing  # noqa: PLC0415  (only where a candidate was edited)

    text = revision.text
    if revision.field in kinds.FILES:
        text = diff_texts(opened.said.texts.get(revision.field, ""), revision.text, kinds.FILES[revision.field])
    return drawing.diff(text, prefix=f"r{revision.id}")
