"""Gold candidates: their right verdict is known, and people judge them unknowingly, so that drift shows.

An answer is no decision: it stands in a table of its own, nothing is trained on it, and it changes nothing of the
candidate, which was decided before (docs/decisions/0037).
"""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import exists, func, select, update
from sqlmodel import Session, col

from app import projects
from app.db import lock_chain
from app.diffs.unicode import refuse_unstorable
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import CandidateRow, GoldAnswerRow, GoldRow, ReviewerRow, Status, Verdict, metadata

RIGHT = {Status.ACCEPTED: Verdict.ACCEPT, Status.EDITED: Verdict.EDIT, Status.REJECTED: Verdict.REJECT}
"""What is right of a candidate that is decided so."""
_MOST_CHARACTERS = 2_000
_LATELY = timedelta(days=30)
_SHARE_BITS = 64

_gold, _answer, _decision = (metadata.tables[name] for name in ("gold", "gold_answer", "decision"))


# ------------------------------------------------------------------------------------------------ mark


@dataclass(frozen=True, slots=True)
class Gold:
    """A candidate that is gold: `Gold(7, "Fix the parser", "reject", "It hides the error.", "kim", 5, 3)`.

    Attributes:
        candidate_id: which.
        title: the candidate's.
        verdict: the right one.
        why: a sentence.
        by: who marked it.
        n: how often it was judged.
        n_right: rightly.
    """

    candidate_id: int
    title: str
    verdict: str
    why: str
    by: str
    n: int
    n_right: int


def mark(session: Session, row: CandidateRow, reviewer_id: int, why: str, *, now: datetime) -> GoldRow:
    """Make a decided candidate gold: what it is decided as is right.

    Raises:
        BadInputError: it is not accepted, edited or rejected, or there is no sentence that says why.
        ConflictError: it is gold already.

    """
    said = why.strip()
    # What is right is what it is decided as when it is marked, and nobody decides meanwhile.
    lock_chain(session)
    session.refresh(row, ["status"])
    if row.status not in RIGHT:
        raise BadInputError(
            f"Candidate {row.id} is {row.status}. Decide on it first: what is right is what it was decided as.",
            where="field why",
        )
    if not 0 < len(said) <= _MOST_CHARACTERS:
        raise BadInputError(
            f"Say in up to {_MOST_CHARACTERS:,} characters why this is right: who was wrong reads it.",
            where="field why",
        )
    refuse_unstorable("why", said)
    known = session.get(GoldRow, row.id)
    if known is not None and known.ended_at is None:
        raise ConflictError(f"Candidate {row.id} is gold already.")
    made = known or GoldRow(candidate_id=row.id or 0, project_id=row.project_id, verdict="", why="", reviewer_id=0,
                            made_at=now)  # fmt: skip
    made.verdict, made.why, made.reviewer_id = RIGHT[Status(row.status)], said, reviewer_id
    made.made_at, made.ended_at = now, None
    session.add(made)
    session.flush()
    return made


def end(session: Session, project_id: int, candidate_id: int, *, now: datetime) -> None:
    """Give it to nobody any more; answers stay.

    Raises:
        NotFoundError: the candidate is not gold.

    """
    mine = (_gold.c.candidate_id == candidate_id, _gold.c.project_id == project_id, _gold.c.ended_at.is_(None))
    if session.connection().execute(update(_gold).where(*mine).values(ended_at=now)).rowcount == 0:
        raise NotFoundError(f"Candidate {candidate_id} is not gold.")


def find(session: Session, candidate_id: int) -> Gold | None:
    """The candidate as gold, or None."""
    return next(iter(_list(session, _gold.c.candidate_id == candidate_id)), None)


def list_gold(session: Session, project_id: int) -> list[Gold]:
    """All that is given to people, in order."""
    return _list(session, _gold.c.project_id == project_id)


def _list(session: Session, which: object) -> list[Gold]:
    found = (
        select(
            _gold.c.candidate_id, col(CandidateRow.title), _gold.c.verdict, _gold.c.why, col(ReviewerRow.name),
            func.count(_answer.c.is_right), func.coalesce(func.sum(_answer.c.is_right), 0),
        )
        .join(CandidateRow, col(CandidateRow.id) == _gold.c.candidate_id)
        .join(ReviewerRow, col(ReviewerRow.id) == _gold.c.reviewer_id)
        .outerjoin(_answer, _answer.c.candidate_id == _gold.c.candidate_id)
        .where(which, _gold.c.ended_at.is_(None))  # type: ignore[arg-type]
        .group_by(_gold.c.candidate_id, col(CandidateRow.title), _gold.c.verdict, _gold.c.why, col(ReviewerRow.name))
        .order_by(_gold.c.candidate_id)
    )  # fmt: skip
    return [Gold(*row) for row in session.connection().execute(found)]


# ------------------------------------------------------------------------------------------------ give


def list_hidden(session: Session, project_id: int, reviewer_id: int | None) -> frozenset[int]:
    """The gold candidates whose answer this person must not see; none at once where the project gives none.

    Those who marked one, or decided on it, know it. Who answered knows it too, if the project tells.
    """
    said = projects.get_opinions(session, project_id)
    if not said.gold_share or reviewer_id is None:
        return frozenset()
    return _list_hidden(session, project_id, reviewer_id, but_answered=said.gold_told)


def _list_hidden(session: Session, project_id: int, reviewer_id: int, *, but_answered: bool) -> frozenset[int]:
    decided = exists().where(_decision.c.candidate_id == _gold.c.candidate_id, _decision.c.reviewer_id == reviewer_id)
    answered = exists().where(_answer.c.candidate_id == _gold.c.candidate_id, _answer.c.reviewer_id == reviewer_id)
    found = select(_gold.c.candidate_id).where(
        _gold.c.project_id == project_id, _gold.c.ended_at.is_(None), _gold.c.reviewer_id != reviewer_id, ~decided,
        *([~answered] if but_answered else []),
    )  # fmt: skip
    return frozenset(session.connection().execute(found).scalars())


def find_due(session: Session, project_id: int, reviewer_id: int, after: int) -> int | None:
    """The gold candidate that a queue gives this person after another candidate; None where it gives an ordinary one.

    The same until the person answers: what a page was promised beforehand comes.
    """
    share = projects.get_opinions(session, project_id).gold_share
    if not share:
        return None
    open_ = _list_hidden(session, project_id, reviewer_id, but_answered=True)
    step = f"{reviewer_id}:{after}:{_count_answers(session, reviewer_id)}"
    if not open_ or _dice(step) >= share:
        return None
    return min(open_, key=lambda number: _dice(f"{reviewer_id}:{number}"))


def resume(session: Session, project_id: int, reviewer_id: int, after: int) -> int:
    """Where a walk goes on behind a candidate: behind gold, from where this person was before."""
    answered = select(_answer.c.id).where(_answer.c.candidate_id == after, _answer.c.reviewer_id == reviewer_id)
    if not after:
        return after
    is_gold = session.connection().execute(answered).first() is not None
    # What comes behind it is asked for while it is looked at, before there is an answer.
    is_gold = is_gold or after in list_hidden(session, project_id, reviewer_id)
    return find_last(session, project_id, reviewer_id) if is_gold else after


def find_last(session: Session, project_id: int, reviewer_id: int) -> int:
    """The candidate that this person decided on last, 0 where there is none."""
    last = (
        select(_decision.c.candidate_id)
        .where(_decision.c.reviewer_id == reviewer_id, _decision.c.project_id == project_id)
        .order_by(_decision.c.id.desc())
        .limit(1)
    )
    return int(session.connection().execute(last).scalar() or 0)


def _count_answers(session: Session, reviewer_id: int) -> int:
    return int(
        session.connection().execute(select(func.count()).where(_answer.c.reviewer_id == reviewer_id)).scalar_one()
    )


def _dice(step: str) -> float:
    """A number from 0 to 1 that is always the same for the same step."""
    return int.from_bytes(hashlib.sha256(step.encode()).digest()[: _SHARE_BITS // 8]) / (1 << _SHARE_BITS)


# ------------------------------------------------------------------------------------------------ answer


def find_answer(session: Session, key: str) -> GoldAnswerRow | None:
    """What the client's key brought before, or None."""
    found: GoldAnswerRow | None = session.execute(select(GoldAnswerRow).where(col(GoldAnswerRow.key) == key)).scalar()
    return found


def answer(session: Session, answered: GoldAnswerRow) -> GoldAnswerRow:
    """Keep what a person said of a gold candidate; a skip is neither right nor wrong.

    Raises:
        ConflictError: this person has answered before.

    """
    known = select(_answer.c.id).where(
        _answer.c.candidate_id == answered.candidate_id, _answer.c.reviewer_id == answered.reviewer_id
    )
    if session.connection().execute(known).first() is not None:
        raise ConflictError(f"You have judged candidate {answered.candidate_id} already.")
    right = session.get_one(GoldRow, answered.candidate_id).verdict
    answered.is_right = None if answered.verdict == Verdict.SKIP else int(answered.verdict == right)
    session.add(answered)
    session.flush()
    return answered


def feedback(session: Session, answered: GoldAnswerRow) -> str:
    """What the person is told: what is right and why; where the project tells nothing, only that it is kept."""
    made = session.get_one(GoldRow, answered.candidate_id)
    if not projects.get_opinions(session, made.project_id).gold_told:
        return f"Kept: {answered.verdict} #{answered.candidate_id}"
    if answered.is_right is None:
        return f"#{answered.candidate_id} was a gold candidate: {made.verdict} is right. {made.why}"
    judged = "rightly" if answered.is_right else f"and {made.verdict} is right"
    return f"#{answered.candidate_id} was a gold candidate: you said {answered.verdict}, {judged}. {made.why}"


# ------------------------------------------------------------------------------------------------ drift


@dataclass(frozen=True, slots=True)
class Score:
    """How one person judged gold: all of it, and of the last 30 days."""

    name: str
    n: int
    n_right: int
    n_lately: int
    n_right_lately: int


def list_scores(session: Session, project_id: int, *, now: datetime, reviewer_id: int | None = None) -> list[Score]:
    """How people judged gold, by name; of one person where named."""
    lately = _answer.c.answered_at >= now - _LATELY
    mine = [] if reviewer_id is None else [_answer.c.reviewer_id == reviewer_id]
    found = (
        select(
            col(ReviewerRow.name),
            func.count(_answer.c.is_right),
            func.coalesce(func.sum(_answer.c.is_right), 0),
            func.count(_answer.c.is_right).filter(lately),
            func.coalesce(func.sum(_answer.c.is_right).filter(lately), 0),
        )
        .select_from(_answer)
        .join(ReviewerRow, col(ReviewerRow.id) == _answer.c.reviewer_id)
        .where(_answer.c.project_id == project_id, *mine)
        .group_by(col(ReviewerRow.name))
        .order_by(col(ReviewerRow.name))
    )
    return [Score(*row) for row in session.connection().execute(found)]


def list_weeks(session: Session, project_id: int, reviewer_id: int) -> list[tuple[date, int, int]]:
    """One person's answers by week, its Monday first: `[(2026-11-16, 7, 1), …]`, right and wrong."""
    asked = select(_answer.c.answered_at, _answer.c.is_right).where(
        _answer.c.project_id == project_id, _answer.c.reviewer_id == reviewer_id, _answer.c.is_right.is_not(None)
    )
    weeks: dict[date, list[int]] = {}
    for at, is_right in session.connection().execute(asked.order_by(_answer.c.id)):
        monday = at.date() - timedelta(days=at.weekday())
        weeks.setdefault(monday, [0, 0])[not is_right] += 1
    return [(monday, right, wrong) for monday, (right, wrong) in sorted(weeks.items())]
