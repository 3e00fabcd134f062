"""A person's word on one example: leave it out, or let it pass a gate by name and reason. Append-only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session, col

from app.db import lock_chain
from app.errors import BadInputError, ConflictError
from app.models import ReviewerRow, RulingRow

LEFT_OUT = "left_out"
_LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Ruling:
    """A word that is in force: `Ruling("scaffold-sft-9f…", "secret", "A test fixture.", "ann", b"…", 7, …)`.

    Attributes:
        example: the example's id.
        gate: what it lets pass, or `left_out`.
        reason: why.
        by: who said so.
        digest: of the example's texts then; for other texts the word does not count.
        ruling_id: its number.
        made_at: when it was said, aware UTC.
    """

    example: str
    gate: str
    reason: str
    by: str
    digest: bytes
    ruling_id: int
    made_at: datetime


def add(
    session: Session,
    project_id: int,
    reviewer_id: int,
    candidate_id: int,
    example: str,
    gate: str,
    *,
    in_force: bool,
    digest: bytes,
    reason: str,
    now: datetime,
) -> RulingRow:
    """Say a word on one example of a candidate, or take it back.

    Raises:
        BadInputError: a gate is to let it pass without a reason, or the reason is too long or cannot be stored.
        ConflictError: there is nothing to take back, or the same is in force already.

    """
    reason = reason.strip()
    if in_force and gate != LEFT_OUT and not reason:
        raise BadInputError("Say why this may pass: the manifest names the reason and you.", where="field reason")
    if len(reason) > _LONGEST_REASON:
        raise BadInputError(f"A reason holds at most {_LONGEST_REASON:,} characters.", where="field reason")
    if any(sign == "\x00" or "\ud800" <= sign <= "\udfff" for sign in reason):
        raise BadInputError("The reason holds a character that cannot be stored. Remove it.", where="field reason")
    # One at a time: a release names the last word that it saw, and none with a smaller number may come after it.
    lock_chain(session)
    standing = list_in_force(session, [candidate_id]).get((example, gate))
    stands = standing is not None and standing.digest == digest
    if stands == in_force:
        said = "is in force already" if in_force else "is not in force, so there is nothing to take back"
        raise ConflictError(f"That word on {example} {said}. Open the candidate again.")
    row = RulingRow(
        project_id=project_id,
        candidate_id=candidate_id,
        example=example,
        gate=gate,
        in_force=in_force,
        digest=digest,
        reason=reason,
        reviewer_id=reviewer_id,
        made_at=now,
    )
    session.add(row)
    session.flush()
    return row


def list_in_force(
    session: Session, candidate_ids: Iterable[int], *, upto: int | None = None
) -> dict[tuple[str, str], Ruling]:
    """The words that are in force on the examples of some candidates, by example and gate.

    Args:
        session: to read from.
        candidate_ids: whose.
        upto: only words up to this number, as an earlier release saw them.

    """
    ids = list(candidate_ids)
    if not ids:
        return {}
    wanted = (
        select(RulingRow, ReviewerRow.name)  # type: ignore[call-overload]
        .join(ReviewerRow, col(ReviewerRow.id) == col(RulingRow.reviewer_id))
        .where(col(RulingRow.candidate_id).in_(ids))
        .order_by(col(RulingRow.id))
    )
    if upto is not None:
        wanted = wanted.where(col(RulingRow.id) <= upto)
    found: dict[tuple[str, str], Ruling] = {}
    for row, by in session.execute(wanted):
        if row.in_force:
            found[row.example, row.gate] = Ruling(
                row.example, row.gate, row.reason, by, bytes(row.digest), row.id, row.made_at
            )
        else:
            found.pop((row.example, row.gate), None)
    return found


def newest(session: Session, project_id: int) -> int:
    """The number of the newest word in a project, 0 where there is none."""
    found = session.execute(select(func.max(RulingRow.id)).where(col(RulingRow.project_id) == project_id)).scalar()
    return int(found or 0)
