"""Clusters of near-duplicates as a reviewer meets them: how many are like this one, who they are, the largest first.

Who is alike is said by `app.groups`; what a candidate is a part of speaks for it there.
"""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlmodel import Session, col

from app import gold, queue
from app.errors import BadInputError, NotFoundError
from app.models import CandidateRow, Status, metadata

MOST = 1_000

_candidate, _cluster = metadata.tables["candidate"], metadata.tables["cluster"]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Near-duplicates of each other: `Cluster(17, "Fix the parser", 37, {"pending": 36, "accepted": 1})`.

    Attributes:
        id: the smallest candidate in it.
        title: of that one.
        n: how many candidates there are.
        by_status: how many have which status.
    """

    id: int
    title: str
    n: int
    by_status: dict[str, int]


@dataclass(frozen=True, slots=True)
class Page:
    """Clusters of one page, and the cursor that the next page begins after, or None at the end."""

    clusters: list[Cluster]
    after: str | None


def list_clusters(session: Session, project_id: int, *, after: str = "", limit: int = 50) -> Page:
    """One page of a project's clusters, the largest first, by keyset.

    Raises:
        BadInputError: the cursor is none.

    """
    n = func.count()
    name = _cluster.c.cluster_id
    wanted = select(name, n).where(_cluster.c.project_id == project_id).group_by(name)
    if after:
        size, last = _cursor(after)
        wanted = wanted.having((n < size) | ((n == size) & (name > last)))
    rows = session.connection().execute(wanted.order_by(n.desc(), name).limit(limit + 1)).all()
    shown = {row[0]: row[1] for row in rows[:limit]}
    by_status: dict[int, dict[str, int]] = defaultdict(dict)
    counted = (
        select(name, _candidate.c.status, func.count())
        .join(_candidate, _candidate.c.id == _cluster.c.candidate_id)
        .where(name.in_(shown))
        .group_by(name, _candidate.c.status)
    )
    for number, status, count in session.connection().execute(counted):
        by_status[number][status] = count
    named = select(_candidate.c.id, _candidate.c.title).where(_candidate.c.id.in_(shown))
    titles = {row[0]: row[1] for row in session.connection().execute(named)}
    made = [Cluster(number, titles.get(number, ""), size, by_status[number]) for number, size in shown.items()]
    more = len(rows) > limit
    return Page(made, f"{made[-1].n}.{made[-1].id}" if more else None)


def _cursor(after: str) -> tuple[int, int]:
    size, _, last = after.partition(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in (size, last)):  # noqa: PLR2004
        raise BadInputError(f"after must be a cursor such as 37.17; it is {after[:40]!r}.", where="field after")
    return int(size), int(last)


def count_alike(session: Session, candidate_id: int) -> int:
    """How many other candidates are near-duplicates of this one, counted up to 1,000."""
    some = among_alike(candidate_id).limit(MOST + 1).subquery()
    n: int = session.connection().execute(select(func.count()).select_from(some)).scalar_one()
    return max(n - 1, 0)


def list_alike(
    session: Session, project_id: int, candidate_id: int, *, after: int = 0, limit: int = 20
) -> tuple[list[CandidateRow], int | None]:
    """The other candidates of a candidate's cluster by id, and the one that the next page begins after, if any.

    Raises:
        NotFoundError: the candidate has no near-duplicate in this project.

    """
    wanted = (
        select(CandidateRow)
        .where(
            col(CandidateRow.id).in_(among_alike(candidate_id)),
            col(CandidateRow.project_id) == project_id,
            col(CandidateRow.id) != candidate_id,
            col(CandidateRow.id) > after,
            col(CandidateRow.status) != Status.JOINED,
        )
        .order_by(col(CandidateRow.id))
        .limit(limit + 1)
    )
    rows = list(session.execute(wanted).scalars())
    if not rows and not after:
        raise NotFoundError(f"Nothing is known that is like candidate {candidate_id}.")
    # Gold that who asks is to judge unknowingly: its status would tell.
    hidden = gold.list_hidden(session, project_id, queue.who_asks(session))
    shown = [row for row in rows[:limit] if row.id not in hidden]
    return shown, rows[limit - 1].id if len(rows) > limit else None


def among_alike(candidate_id: int) -> Select[int]:
    """The candidates of the cluster of near-duplicates that one is in; none where it has no near-duplicate."""
    own = select(_cluster.c.cluster_id).where(_cluster.c.candidate_id == candidate_id).scalar_subquery()
    return select(_cluster.c.candidate_id).where(_cluster.c.cluster_id == own)
