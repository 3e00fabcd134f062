"""Decisions as rows: an append-only, hash-chained log, the state that it says, and the counts kept of it."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import Session, col

from app.models import SHOWN, CandidateRow, DecisionRow, ReviewerRow, RevisionRow, Status, Verdict, metadata

STATUS_OF = {
    Verdict.ACCEPT: Status.ACCEPTED,
    Verdict.REJECT: Status.REJECTED,
    Verdict.EDIT: Status.EDITED,
    Verdict.SKIP: Status.SKIPPED,
    Verdict.FLAG: Status.FLAGGED,
}
_FIRST = bytes(32)

# What every decision asks is built once, and of tables where no object is needed: to build a statement, or an object,
# costs several times what SQLite needs to answer.
_candidate, _decision, _tally = (metadata.tables[name] for name in ("candidate", "decision", "tally"))
_COUNTS = select(_tally.c.status, _tally.c.n).where(_tally.c.project_id == bindparam("project"))
_ADD = (
    update(_tally)
    .where(_tally.c.project_id == bindparam("project"), _tally.c.status == bindparam("named"))
    .values(n=_tally.c.n + bindparam("change"))
)
_MOVE = (
    update(_candidate)
    .where(_candidate.c.id == bindparam("candidate"))
    .values(status=bindparam("named"), version=bindparam("next"), lease_by=None, lease_until=None)
)
_APPEND = insert(_decision)
_LAST_DIGEST = (
    select(_decision.c.digest)
    .where(_decision.c.project_id == bindparam("project"))
    .order_by(_decision.c.id.desc())
    .limit(1)
)
_BY_KEY = select(_decision.c.id).where(_decision.c.key == bindparam("key"))


def count_by_status(session: Session, project_id: int) -> dict[str, int]:
    """`{"pending": 381, "accepted": 7, …}`, every status that a list shows."""
    rows = session.connection().execute(_COUNTS, {"project": project_id})
    found: dict[str, int] = {status: n for status, n in rows}  # noqa: C416  (a row is no pair to `dict`)
    return {str(status): found.get(status, 0) for status in SHOWN}


def add_to_tally(session: Session, project_id: int, changes: Mapping[Status, int]) -> None:
    """Keep the maintained counts: `{Status.PENDING: -1, Status.ACCEPTED: 1}`; the rows came with the project."""
    named = [{"project": project_id, "named": status, "change": n} for status, n in changes.items() if n]
    if named:
        session.connection().execute(_ADD, named)


def list_history(session: Session, candidate_id: int) -> list[tuple[DecisionRow, str, RevisionRow | None]]:
    """Every decision on a candidate, oldest first, with the reviewer's name and the revision it carries."""
    rows = session.execute(
        select(DecisionRow, ReviewerRow.name, RevisionRow)  # type: ignore[call-overload]
        .join(ReviewerRow, col(ReviewerRow.id) == col(DecisionRow.reviewer_id))
        .outerjoin(RevisionRow, col(RevisionRow.id) == col(DecisionRow.revision_id))
        .where(col(DecisionRow.candidate_id) == candidate_id)
        .order_by(col(DecisionRow.id))
    )
    return [(decision, name, revision) for decision, name, revision in rows]


def find_standing(history: Iterable[DecisionRow], judged_from: int) -> DecisionRow | None:
    """The decision that counts: the last verdict that was not taken back and saw the texts of today.

    Args:
        history: every decision on the candidate, oldest first.
        judged_from: the first version of the candidate that has today's texts.

    """
    decisions = list(history)
    taken_back = {one.undoes_id for one in decisions if one.verdict == Verdict.UNDO}
    standing = [
        one
        for one in decisions
        if one.verdict in STATUS_OF and one.id not in taken_back and one.candidate_version >= judged_from
    ]
    return standing[-1] if standing else None


def status_of(session: Session, row: CandidateRow) -> Status:
    """What the decisions on a candidate say of it."""
    standing = find_standing((entry[0] for entry in list_history(session, row.id or 0)), row.judged_from)
    return Status.PENDING if standing is None else STATUS_OF[Verdict(standing.verdict)]


def find_standing_revision(session: Session, row: CandidateRow) -> RevisionRow | None:
    """The edit that counts, or None where the original does."""
    history = list_history(session, row.id or 0)
    standing = find_standing((entry[0] for entry in history), row.judged_from)
    return next((revision for decision, _, revision in history if decision is standing), None)


def find_by_key(session: Session, key: str) -> DecisionRow | None:
    """The decision that carries the client's key, or None."""
    known = session.connection().execute(_BY_KEY, {"key": key}).scalar()
    return None if known is None else session.get(DecisionRow, known)


def append(session: Session, decision: DecisionRow, revision: RevisionRow | None) -> None:
    """Add a decision to the end of the project's chain; its `id` and digests are set."""
    previous = session.connection().execute(_LAST_DIGEST, {"project": decision.project_id}).scalar()
    decision.previous_digest = _FIRST if previous is None else bytes(previous)
    decision.digest = chain_digest(decision, None if revision is None else revision.digest)
    values = {column.name: getattr(decision, column.name) for column in _decision.c if column.name != "id"}
    decision.id = session.connection().execute(_APPEND, values).inserted_primary_key[0]  # type: ignore[index]


def chain_digest(decision: DecisionRow, revision_digest: bytes | None) -> bytes:
    """SHA-256 over the previous decision's digest and this one's canonical JSON."""
    # What came later into the table stands in the digest only where it was said: older digests stay true.
    measured = {
        "other": decision.other_id, "seen": decision.n_seen, "hunks": decision.n_hunks, "spent": decision.spent_ms,
        "bulk": decision.bulk,
    }  # fmt: skip
    canonical = json.dumps(
        {name: value for name, value in measured.items() if value is not None}
        | {
            "candidate": decision.candidate_id,
            "version": decision.candidate_version,
            "reviewer": decision.reviewer_id,
            "verdict": decision.verdict,
            "key": decision.key,
            "reasons": decision.reasons,
            "comment": decision.comment,
            "rating": decision.rating,
            "revision": None if revision_digest is None else revision_digest.hex(),
            "undoes": decision.undoes_id,
            "at": decision.decided_at.astimezone(UTC).isoformat(),
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(decision.previous_digest + canonical.encode()).digest()


def verify_chain(session: Session, project_id: int) -> int | None:
    """The id of the first decision whose digest does not fit, or None where the whole chain holds."""
    previous = _FIRST
    rows = session.execute(
        select(DecisionRow, RevisionRow)
        .outerjoin(RevisionRow, col(RevisionRow.id) == col(DecisionRow.revision_id))
        .where(col(DecisionRow.project_id) == project_id)
        .order_by(col(DecisionRow.id))
    )
    for decision, revision in rows:
        digest = None if revision is None else hashlib.sha256(revision.text.encode()).digest()
        if bytes(decision.previous_digest) != previous or chain_digest(decision, digest) != bytes(decision.digest):
            return int(decision.id)
        previous = bytes(decision.digest)
    return None


def move(session: Session, row: CandidateRow, status: Status) -> None:
    """Give a candidate its next version and its status, end its lease, and keep the counts."""
    move_all(session, [(row, status)])


def move_all(session: Session, moves: Sequence[tuple[CandidateRow, Status]]) -> None:
    """As `move`, for several candidates of one project, each of them once."""
    if not moves:
        return
    changes: Counter[Status] = Counter()
    for row, status in moves:
        changes[Status(row.status)] -= 1
        changes[status] += 1
    numbered = [{"candidate": row.id, "named": status, "next": row.version + 1} for row, status in moves]
    session.connection().execute(_MOVE, numbered)
    for row, status in moves:
        moved = {"status": status, "version": row.version + 1, "lease_by": None, "lease_until": None}
        for name, value in moved.items():
            set_committed_value(row, name, value)
    add_to_tally(session, moves[0][0].project_id, changes)
