"""Near-duplicates: the clusters of a project, and one of them, to be looked at together and decided as one."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlmodel import Session
from starlette.responses import Response

from app import bulk, clusters, evidence, guidelines, queue, review, sources
from app.candidates import Candidate
from app.diffs.edit import diff_texts
from app.diffs.parse import parse
from app.errors import AppError, BadInputError
from app.guidelines import Reason
from app.models import CandidateRow, Status, Verdict
from app.web.bulk_page import VERDICTS, Typed, ask_of
from app.web.deps import AppDb, Db, Me, Now, Project
from app.web.forms import Fields, Form
from app.web.render import page, see_other

router = APIRouter()

_FIELDS = ("verdict", "count", "comment", "key")
_LISTED, _COMPARED = 50, 20
_MOST_CHARACTERS = 200_000


@dataclass(frozen=True)
class ClustersView:
    """What `clusters.html` may read."""

    n_quarantined: int
    clusters: list[clusters.Cluster]
    after: str | None
    is_first: bool


@dataclass(frozen=True)
class Member:
    """One candidate of a cluster beside the one that is shown.

    Attributes:
        row: what lists show of it.
        ticked: whether its box is ticked.
        same: the texts that both have to the letter: `["diff"]`.
        other: the texts that differ: `["script"]`.
        change: from the text that is shown to this one's, for the first that differs.
    """

    row: CandidateRow
    ticked: bool
    same: list[str]
    other: list[str]
    change: Markup


@dataclass(frozen=True)
class ClusterView:
    """What `cluster.html` may read."""

    n_quarantined: int
    shown: Member
    members: list[Member]
    n: str
    after: str
    following: int | None
    verdicts: Mapping[Verdict, str]
    reasons: list[Reason]
    key: str
    typed: Typed
    fault: str


@router.get("/clusters")
def show_clusters(request: Request, session: Db, project: Project, after: str = "") -> Response:
    """The clusters of near-duplicates, the largest first."""
    found = clusters.list_clusters(session, project, after=after, limit=_LISTED)
    view = ClustersView(sources.count_quarantine(session, project), found.clusters, found.after, is_first=not after)
    return page(request, "clusters.html", view)


@router.get("/clusters/{candidate_id}")
def show_cluster(request: Request, session: Db, project: Project, candidate_id: int, after: str = "") -> Response:
    """A candidate and those that are like it, with what differs, to be decided as one."""
    return page(request, "cluster.html", _view(session, project, candidate_id, after, Typed(), "", None))


@router.post("/clusters/{candidate_id}")
def decide(
    request: Request, fields: Form, db: AppDb, project: Project, me: Me, now: Now, candidate_id: int, after: str = ""
) -> Response:
    """Decide the ticked ones as one, once their count was typed; else the page again with what was typed."""
    sent = fields.allow(_FIELDS, {"reasons", "member"})
    try:
        asked = ask_of(sent, None)
        job = bulk.order(db, project, me, asked, bulk.Members.of(_members(sent).items()), now=now)
    except AppError as error:
        ticked = {value.partition(".")[0] for value in sent.many("member")}
        with db.read() as session:
            view = _view(session, project, candidate_id, after, Typed.of(sent), error.message, ticked)
        return page(request, "cluster.html", view, status=error.status)
    return see_other(f"/bulk/{job.id}")


def _members(sent: Fields) -> dict[int, int]:
    """The ticked candidates with the versions that were seen: `member=17.1` → `{17: 1}`."""
    found: dict[int, int] = {}
    for value in sent.many("member"):
        number, dot, version = value.partition(".")
        if not dot:
            raise BadInputError("A member is a candidate and its version, such as 17.1.", where="field member")
        found[queue.whole_number("member", number)] = queue.whole_number("member", version)
    return found


def _view(
    session: Session,
    project: int,
    candidate_id: int,
    after: str,
    typed: Typed,
    fault: str,
    ticked: Iterable[str] | None,
) -> ClusterView:
    """The page; `ticked` are the boxes that were ticked, None for those that wait for a decision."""
    row = review.get_candidate(session, project, candidate_id)
    at = queue.whole_number("after", after) if after else 0
    rows, following = clusters.list_alike(session, project, candidate_id, after=at, limit=_COMPARED)
    n = clusters.count_alike(session, candidate_id)
    said = evidence.read_candidate(session, row).said

    def is_ticked(one: CandidateRow) -> bool:
        return one.status == Status.PENDING if ticked is None else str(one.id) in ticked

    return ClusterView(
        n_quarantined=sources.count_quarantine(session, project),
        shown=Member(row, is_ticked(row), [], [], Markup()),
        members=[_member(one, is_ticked(one), said, evidence.read_candidate(session, one).said) for one in rows],
        n=f"{n:,}" if n < clusters.MOST else f"{n:,} or more",
        after=after,
        following=following,
        verdicts=VERDICTS,
        reasons=guidelines.get_guideline(session, project).active,
        key=uuid.uuid4().hex,
        typed=typed,
        fault=fault,
    )


def _member(row: CandidateRow, ticked: bool, shown: Candidate, said: Candidate) -> Member:
    names = [name for name in {**shown.texts, **said.texts} if shown.texts.get(name) or said.texts.get(name)]
    other = [name for name in names if shown.texts.get(name, "") != said.texts.get(name, "")]
    # The diff is what is judged: where it differs, nobody asks how the scripts do.
    other.sort(key=lambda name: name != "diff")
    texts = [one.texts.get(other[0], "") for one in (shown, said)] if other else ["", ""]
    return Member(row, ticked, [name for name in names if name not in other], other, _change(row, *texts))


def _change(row: CandidateRow, before: str, after: str) -> Markup:
    from app.diffs.render import render  # noqa: PLC0415  (only where something differs)

    if before == after or max(len(before), len(after)) > _MOST_CHARACTERS:
        return Markup()
    return render(parse(diff_texts(before, after, f"#{row.id}")), "unified", prefix=f"m{row.id}-")
