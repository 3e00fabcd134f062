"""Many decisions as one: what a filter finds, the count typed by hand, and what came of it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response

from app import bulk, guidelines, jobs, queue, review, sources
from app.candidates import Severity
from app.errors import AppError, BadInputError
from app.guidelines import Reason
from app.models import SHOWN, JobRow, JobState, Status, Verdict
from app.queue import Filter
from app.syntax import Term
from app.web.deps import AppDb, Db, Me, Now, Project
from app.web.forms import Fields, Form
from app.web.queue import link_query, wanted_of
from app.web.render import is_partial, page, see_other
from app.web.rights import about

router = APIRouter()

VERDICTS = {
    Verdict.ACCEPT: "Accept", Verdict.REJECT: "Reject", Verdict.SKIP: "Skip", Verdict.FLAG: "Flag",
}  # fmt: skip
DONE = {
    Verdict.ACCEPT: "accepted", Verdict.REJECT: "rejected", Verdict.SKIP: "skipped", Verdict.FLAG: "flagged",
}  # fmt: skip
_DECIDED = tuple(status for status in SHOWN if status is not Status.PENDING)
_FIELDS = ("verdict", "count", "comment", "digest", "key")
_WORDS = {
    "": "that holds {}", "status": "that is {}", "kind": "of the kind {}", "source": "from {}",
    "file": "that touches {}", "since": "logged from {}", "until": "logged until {}", "rating": "rated {} in the log",
    "finding": "with the finding {}", "upload": "of import {}", "delivery": "of delivery {}", "like": "like #{}",
    "score": "with a style score of {}", "size": "of {} changed lines", "attempts": "of {} attempts",
    "id": "numbered {}", "valid": "whose script is {}", "by": "decided by {}", "reason": "for the reason {}",
    "guideline": "decided under guideline {}", "comment": "with comments: {}",
    "group": "of the group of {}", "view": "of the view {}", "decided": "decided on {}", "came": "that came in on {}",
    "spent": "decided after {} seconds", "seen": "of whose changes was seen: {}",
    "bulk": "decided with others: {}",
}  # fmt: skip
# What begins otherwise takes a "not" in front.
_NOT = {
    "that holds": "that does not hold", "that is": "that is not", "that touches": "that does not touch",
    "that came": "that did not come", "with": "without", "whose script is": "whose script is not",
    "of whose changes was": "of whose changes was not",
}  # fmt: skip
_WHY = {
    "several opinions": "for several people to judge, each by itself",
    "changed": "changed after the page was shown: somebody else was faster",
    "joined": "joined with another candidate meanwhile",
    "blocked": "kept from acceptance by a comment that is not resolved",
}


@dataclass(frozen=True)
class Typed:
    """What a person typed; given back when it was refused."""

    verdict: str = ""
    count: str = ""
    comment: str = ""
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, sent: Fields) -> "Typed":
        """What came in a form."""
        return cls(sent.one("verdict"), sent.one("count"), sent.one("comment"), sent.many("reasons"))


@dataclass(frozen=True)
class BulkView:
    """What `bulk.html` may read."""

    n_quarantined: int
    words: list[str]
    query: dict[str, str]
    n: int
    survey: bulk.Survey
    n_pending: int
    decided: dict[str, int]
    grave: Severity
    digest: str
    verdicts: Mapping[Verdict, str]
    reasons: list[Reason]
    key: str
    typed: Typed
    fault: str
    checking: JobRow | None


@dataclass(frozen=True)
class ActView:
    """What `bulk_act.html` may read."""

    n_quarantined: int
    act: bulk.Act
    n: int
    done: str
    reasons: list[str]
    words: list[str] | None
    query: dict[str, str]
    progress: JobRow | None
    why: list[tuple[str, int]]
    n_rest: int
    undo_key: str


def in_words(wanted: Filter) -> list[str]:
    """A filter as a person says it, one part after the other.

    `status=pending&q=-finding:secret` → `["that is pending", "without the finding secret"]`
    """
    return [_term_in_words(term) for term in wanted.terms()]


def _term_in_words(term: Term) -> str:
    words = _WORDS.get(term.field, f"whose {term.field} holds {{}}").format(" or ".join(term.values))
    if not term.excluded:
        return words
    begin = next((begin for begin in _NOT if words.startswith(f"{begin} ")), None)
    if begin is not None:
        return _NOT[begin] + words.removeprefix(begin)
    return words.replace(" holds ", " does not hold ", 1) if words.startswith("whose ") else f"not {words}"


def ask_of(sent: Fields, digest: str | None) -> bulk.Ask:
    """What a form asks for.

    Raises:
        BadInputError: no verdict was chosen, or it is none.

    """
    if not sent.one("verdict"):
        raise BadInputError("Choose what to decide: accept, reject, skip or flag.", where="field verdict")
    return bulk.Ask(
        verdict=review.parse_verdict(sent.one("verdict")),
        count=sent.one("count"),
        key=sent.one("key"),
        digest=digest,
        reasons=sent.many("reasons"),
        comment=sent.one("comment").replace("\r\n", "\n"),
    )


# ------------------------------------------------------------------------------------------------ ask


@router.get("/bulk")
def ask(request: Request, session: Db, project: Project) -> Response:
    """What a filter finds, and the form to decide all of it."""
    return page(request, "bulk.html", _view(session, project, wanted_of(request), Typed(), ""))


@router.post("/bulk")
def order(request: Request, fields: Form, db: AppDb, project: Project, me: Me, now: Now) -> Response:
    """Decide everything that the filter finds, once the count was typed; else the page again with what was typed."""
    sent, wanted = fields.allow(_FIELDS, {"reasons"}), wanted_of(request)
    try:
        # In transactions of its own: thousands of decisions in one would let every reviewer wait.
        job = bulk.order(db, project, me, ask_of(sent, sent.one("digest")), wanted, now=now)
        about(request, verdict=sent.one("verdict"), job=job.id)
    except AppError as error:
        with db.read() as session:
            queue.asks(session, me)
            view = _view(session, project, wanted, Typed.of(sent), error.message)
        return page(request, "bulk.html", view, status=error.status)
    return see_other(f"/bulk/{job.id}")


def _view(session: Session, project: int, wanted: Filter, typed: Typed, fault: str) -> BulkView:
    found = bulk.survey(session, project, wanted)
    return BulkView(
        n_quarantined=sources.count_quarantine(session, project),
        words=in_words(wanted),
        query=link_query(wanted),
        n=len(found.members),
        survey=found,
        n_pending=found.by_status.get(Status.PENDING, 0),
        decided={status: found.by_status[status] for status in _DECIDED if status in found.by_status},
        grave=Severity.HOLD,
        digest=found.members.digest,
        verdicts=VERDICTS,
        reasons=guidelines.get_guideline(session, project).active,
        key=uuid.uuid4().hex,
        typed=typed,
        fault=fault,
        checking=jobs.find_unfinished(session, project, jobs.IN_BACKGROUND),
    )


# ------------------------------------------------------------------------------------------------ what came of it


@router.get("/bulk/{job_id}")
def act(request: Request, session: Db, project: Project, job_id: int) -> Response:
    """What was decided as one, what was left out and why, and what was taken back since."""
    found = bulk.get_act(session, project, job_id)
    asked = found.job.args["filter"]
    wanted = Filter.parse(asked) if isinstance(asked, Mapping) else None
    reasons = cast("list[str]", found.job.args["reasons"])
    version = cast("int | None", found.job.args.get("guideline"))
    named = guidelines.labels_of(session, project, [version])[version]
    view = ActView(
        n_quarantined=0 if is_partial(request) else sources.count_quarantine(session, project),
        act=found,
        n=int(str(found.job.args["n"])),
        done=DONE[Verdict(str(found.job.args["verdict"]))],
        reasons=[named.get(code, code) for code in reasons],
        words=None if wanted is None else in_words(wanted),
        query={} if wanted is None else link_query(wanted),
        progress=found.undoing or (found.job if found.job.state in {JobState.QUEUED, JobState.RUNNING} else None),
        why=[(_WHY[code], n) for code, n in found.left.items()],
        n_rest=found.decided - found.taken_back,
        undo_key=uuid.uuid4().hex,
    )
    return page(request, "bulk_act.html", view, fragment="act")


@router.post("/bulk/{job_id}/undo")
def undo(fields: Form, db: AppDb, project: Project, me: Me, now: Now, job_id: int) -> Response:
    """Take all of it back as one, whatever was decided since."""
    bulk.undo(db, project, me, job_id, key=fields.allow({"key"}).one("key"), now=now)
    return see_other(f"/bulk/{job_id}")
