"""Of which candidates several opinions are asked, and what of them may be seen while they are not all given."""

import hashlib
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, bindparam, false, func, or_, select, true
from sqlmodel import Session

from app import decisions, evidence, gold, projects, queue
from app.errors import BadInputError
from app.models import Agreement, CandidateRow, DecisionRow, RevisionRow, Status, Verdict, metadata
from app.opinions import SHARE_BYTES, Opinions
from app.queue import Filter

_candidate = metadata.tables["candidate"]
_MOST_COUNTED = 50_000
_FOUND = select(_candidate.c.id).where(_candidate.c.id == bindparam("candidate"))

History = list[tuple[DecisionRow, str, RevisionRow | None]]


def asked_of(session: Session, row: CandidateRow) -> int:
    """How many people are to judge a candidate of which nobody has given an opinion yet; 1: one person decides."""
    said = projects.get_opinions(session, row.project_id)
    if said.asked == 1 or said.is_in_share(bytes(row.digest)):
        return said.asked
    if not said.only:
        return 1
    try:
        where = queue.conditions(session, row.project_id, Filter.parse({"q": said.only}))
    except BadInputError:
        # An older version of this program took it: nobody is kept from deciding, and rather too many are asked.
        return said.asked
    found = session.connection().execute(_FOUND.where(*where), {"candidate": row.id}).first()
    return 1 if found is None else said.asked


def count_asked(session: Session, project_id: int) -> tuple[int, int]:
    """How many of the pending candidates several people judge, and how many are pending: `(23, 201)`.

    Of more than 50,000 the first is 0: to look at each takes too long for a page, and the share says it well enough.
    """
    n_pending = decisions.count_by_status(session, project_id)[Status.PENDING]
    said = projects.get_opinions(session, project_id)
    if said.asked == 1 or n_pending > _MOST_COUNTED:
        return 0, n_pending
    asked = session.execute(
        select(func.count()).where(
            _candidate.c.project_id == project_id,
            _candidate.c.status == Status.PENDING,
            or_(
                _candidate.c.agreement == Agreement.WAITING,
                _in_share(said),
                _is_sought(session, project_id, said.only),
            ),
        )
    ).scalar()
    return asked or 0, n_pending


def _in_share(said: Opinions) -> ColumnElement[bool]:
    below = said.share_below
    if below is None:
        return true()
    # The same on both databases: bytes are compared as numbers of one length.
    return func.substr(_candidate.c.digest, hashlib.sha256().digest_size - SHARE_BYTES + 1) < below


def _is_sought(session: Session, project_id: int, only: str) -> ColumnElement[bool]:
    if not only:
        return false()
    try:
        return and_(*queue.conditions(session, project_id, Filter.parse({"q": only})))
    except BadInputError:
        return true()


def list_of_several(session: Session, project_id: int, rows: Iterable[CandidateRow]) -> set[int]:
    """Those of some candidates of one project that several people judge, or have judged."""
    is_asked = projects.get_opinions(session, project_id).asked > 1
    return {row.id or 0 for row in rows if row.agreement or (is_asked and is_blind(session, row))}


def is_blind(session: Session, row: CandidateRow) -> bool:
    """Whether a candidate, or what it is a part of, waits for opinions: then nobody sees what others said of it."""
    if row.status == Status.JOINED and (lead := evidence.find_lead(session, row)) is not None:
        return is_blind(session, session.get_one(CandidateRow, lead))
    if row.agreement:
        return row.agreement == Agreement.WAITING
    return row.status == Status.PENDING and asked_of(session, row) > 1


def is_hidden(session: Session, row: CandidateRow, viewer: int | None) -> bool:
    """Whether a person may not see what others said of a candidate: it waits, or it is gold that they are to judge."""
    return is_blind(session, row) or row.id in gold.list_hidden(session, row.project_id, viewer)


def only_of(session: Session, row: CandidateRow, viewer: int) -> int | None:
    """Whose comments a person may see on a candidate: None for all, their own alone while others' are hidden."""
    return viewer if is_hidden(session, row, viewer) else None


def seen_by(history: History, viewer: int | None) -> History:
    """What a person may see of the history of a candidate that waits for opinions: what is theirs.

    What was said of what belongs together is of no verdict, and stays.
    """
    return [one for one in history if one[0].reviewer_id == viewer or _is_of_two(one[0], history)]


def _is_of_two(decision: DecisionRow, history: Sequence[tuple[DecisionRow, str, RevisionRow | None]]) -> bool:
    meant = decision
    if decision.verdict == Verdict.UNDO:
        meant = next((one for one, _, _ in history if one.id == decision.undoes_id), decision)
    return meant.verdict in {Verdict.JOIN, Verdict.SPLIT}
