"""Your turn: a candidate that one person sends to another with a sentence, until that one decides or says done.

An answer to somebody's comment is told in the same way; nobody waits for what becomes of that, so it never comes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, case, exists, false, func, or_, select, text, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.comments import Thread
from app.db import lock_chain
from app.errors import BadInputError, NotFoundError
from app.formats.reading import shown
from app.models import Agreement, CandidateRow, DecisionRow, ReviewerRow, Role, metadata

MOST_CHARACTERS = 500
_MOST_SHOWN = 100

_turn = metadata.tables["turn"]
_reviewer, _member = metadata.tables["reviewer"], metadata.tables["member"]
_someone = _reviewer.alias()
# Who may decide in a project: everybody, as long as nobody can come in by a password or a provider.
_REVIEWS = (
    _reviewer.c.disabled_at.is_(None),
    or_(
        _reviewer.c.is_admin,
        exists().where(
            _member.c.reviewer_id == _reviewer.c.id,
            _member.c.project_id == bindparam("project"),
            _member.c.role != Role.VIEWER,
        ),
        ~exists().where(or_(_someone.c.password.is_not(None), _someone.c.oidc_subject.is_not(None))),
    ),
)
_BY_NAME = select(_reviewer.c.id).where(func.lower(_reviewer.c.name) == bindparam("name"), *_REVIEWS)
_OTHERS = (
    select(_reviewer.c.name).where(*_REVIEWS, _reviewer.c.id != bindparam("but")).order_by(func.lower(_reviewer.c.name))
)
_IS_WAITING = select(
    exists().where(
        _turn.c.to_id == bindparam("me"),
        _turn.c.candidate_id == bindparam("candidate"),
        _turn.c.done_at.is_(None),
    )
)
# What every decision ends, and every undo may begin again.
_FINISH = (
    update(_turn)
    .where(
        _turn.c.to_id == bindparam("me"),
        _turn.c.candidate_id.in_(bindparam("ids", expanding=True)),
        _turn.c.done_at.is_(None),
    )
    .values(done_at=bindparam("now"), decision_id=bindparam("decision"))
)
# Who sends the same again says it better: there is one of them until it is done.
_SEND = text(
    "INSERT INTO turn (project_id, candidate_id, from_id, to_id, sentence, sent_at) "
    "VALUES (:project, :candidate, :sender, :receiver, :sentence, :now) "
    "ON CONFLICT (to_id, candidate_id, from_id) WHERE done_at IS NULL "
    "DO UPDATE SET sentence = excluded.sentence, sent_at = excluded.sent_at, read_at = NULL RETURNING id"
).bindparams(bindparam("now", type_=_turn.c.sent_at.type))
# What its sender has read the moment it was sent is an answer.
_TELL = text(
    "INSERT INTO turn (project_id, candidate_id, from_id, to_id, sentence, sent_at, read_at) "
    "VALUES (:project, :candidate, :sender, :receiver, :sentence, :now, :now) "
    "ON CONFLICT (to_id, candidate_id, from_id) WHERE done_at IS NULL DO NOTHING"
).bindparams(bindparam("now", type_=_turn.c.sent_at.type))
_IS_ANSWER = func.coalesce(_turn.c.read_at == _turn.c.sent_at, false())


@dataclass(frozen=True, slots=True)
class Turn:
    """One candidate that was sent.

    Attributes:
        number: its id.
        candidate_id: what was sent.
        title: the candidate's.
        sender: name of who sent it.
        receiver: name of whose turn it is.
        sentence: why.
        sent_at: when.
        done_at: when the receiver decided or said done; None while it waits.
        verdict: what they decided, empty where they only said done.
        is_answer: it was not sent: the sender answered the receiver's comment, which `sentence` names.
    """

    number: int
    candidate_id: int
    title: str
    sender: str
    receiver: str
    sentence: str
    sent_at: datetime
    done_at: datetime | None
    verdict: str
    is_answer: bool = False


# What somebody said of a candidate is not told, not even to who sent it, while others are to judge it too.
_verdict = case(
    (col(CandidateRow.agreement) == Agreement.WAITING, ""), else_=func.coalesce(col(DecisionRow.verdict), "")
)


def send(session: Session, row: CandidateRow, sender_id: int, receiver: str, sentence: str, *, now: datetime) -> Turn:
    """Send a candidate to a person, by name; sent again before it is done, the new sentence takes the old one's place.

    Raises:
        BadInputError: nobody has this name, or no sentence that can be kept; `where` names the field.

    """
    said = " ".join(sentence.split())
    if not 0 < len(said) <= MOST_CHARACTERS or any(not sign.isprintable() for sign in said):
        raise BadInputError(
            f"Say in a sentence of up to {MOST_CHARACTERS} characters what they should look at.", where="field sentence"
        )
    named = {"project": row.project_id, "name": shown(receiver).lower()}
    known = session.connection().execute(_BY_NAME, named).scalar()
    if known is None:
        raise BadInputError(f"There is no reviewer {receiver[:40]!r} to send it to.", where="field to")
    # What is sent while a decision on it is taken back is sent once: both would begin the same turn again.
    lock_chain(session)
    of = {"project": row.project_id, "candidate": row.id, "sender": sender_id, "receiver": known}
    number = session.connection().execute(_SEND, of | {"sentence": said, "now": now}).scalar_one()
    return _list(session, [_turn.c.id == number])[0]


def tell_answer(session: Session, candidate_id: int, sender_id: int, thread: Thread, *, now: datetime) -> None:
    """Tell whoever spoke in a thread before that it was answered; who has something of the sender to look at knows."""
    lock_chain(session)
    # What was said stays there: who reads this may not always see it.
    sentence = f"comment {thread.id} at {thread.place}"[:MOST_CHARACTERS]
    of = {"project": thread.row.project_id, "candidate": candidate_id, "sender": sender_id}
    for receiver in {one.reviewer_id for one in thread.said} - {sender_id}:
        session.connection().execute(_TELL, of | {"receiver": receiver, "sentence": sentence, "now": now})


def list_people(session: Session, project_id: int, but: int) -> list[str]:
    """The names of everybody else who reviews in a project, to send something to."""
    named = {"project": project_id, "but": but}
    return list(session.connection().execute(_OTHERS, named).scalars())


def count_waiting(session: Session, project_id: int, reviewer_id: int, but: int = 0) -> int:
    """How many wait for this person, on other candidates than `but`."""
    waiting = select(func.count()).where(*_waits_for(project_id, reviewer_id), _turn.c.candidate_id != but)
    return int(session.connection().execute(waiting).scalar_one())


def list_waiting(session: Session, project_id: int, reviewer_id: int, candidate_id: int | None = None) -> list[Turn]:
    """What waits for this person, the longest first; of one candidate where it is named."""
    of_one = [] if candidate_id is None else [_turn.c.candidate_id == candidate_id]
    return _list(session, [*_waits_for(project_id, reviewer_id), *of_one])


def list_sent(
    session: Session, project_id: int, reviewer_id: int, candidate_id: int | None = None, *, done: bool
) -> list[Turn]:
    """What this person sent: what waits with others, or what came back and was not read yet."""
    of_one = [] if candidate_id is None else [_turn.c.candidate_id == candidate_id]
    state = [_turn.c.done_at.is_not(None) if done else _turn.c.done_at.is_(None), _turn.c.read_at.is_(None)]
    return _list(session, [_turn.c.project_id == project_id, _turn.c.from_id == reviewer_id, *state, *of_one])


def is_waiting(session: Session, reviewer_id: int, candidate_id: int) -> bool:
    """Whether somebody sent this candidate to this person, who has not decided yet."""
    named = {"me": reviewer_id, "candidate": candidate_id}
    return bool(session.connection().execute(_IS_WAITING, named).scalar())


def finish(
    session: Session, reviewer_id: int, candidate_ids: Sequence[int], decision_id: int | None, *, now: datetime
) -> None:
    """This person decided on candidates: whoever sent one is told. Of many decided as one, no decision is named."""
    named = {"me": reviewer_id, "ids": list(candidate_ids), "decision": decision_id, "now": now}
    session.connection().execute(_FINISH, named)


def reopen(session: Session, decision_id: int) -> None:
    """A decision was taken back: what it ended waits again, but for what was sent anew meanwhile."""
    again = _turn.alias()
    anew = (
        select(again.c.id)
        .where(
            again.c.to_id == _turn.c.to_id,
            again.c.candidate_id == _turn.c.candidate_id,
            again.c.from_id == _turn.c.from_id,
            again.c.done_at.is_(None),
        )
        .exists()
    )
    waits = update(_turn).where(_turn.c.decision_id == decision_id, ~anew)
    unread = case((_IS_ANSWER, _turn.c.read_at), else_=None)
    session.connection().execute(waits.values(done_at=None, decision_id=None, read_at=unread))


def say_done(session: Session, project_id: int, reviewer_id: int, number: int, *, now: datetime) -> Turn:
    """The receiver is done with it, without a decision; said twice, it stays as it was.

    Raises:
        NotFoundError: nothing was sent to this person under this number.

    """
    mine = (_turn.c.id == number, _turn.c.project_id == project_id, _turn.c.to_id == reviewer_id)
    session.connection().execute(update(_turn).where(*mine, _turn.c.done_at.is_(None)).values(done_at=now))
    return _one(session, [*mine], f"Nothing was sent to you under the number {number}.")


def read(session: Session, project_id: int, reviewer_id: int, number: int, *, now: datetime) -> Turn:
    """The sender has read that it is done, or takes back what they sent and nobody has looked at.

    Raises:
        NotFoundError: this person sent nothing under this number.

    """
    mine = (_turn.c.id == number, _turn.c.project_id == project_id, _turn.c.from_id == reviewer_id)
    ended = {"done_at": func.coalesce(_turn.c.done_at, now), "read_at": now}
    session.connection().execute(update(_turn).where(*mine, _turn.c.read_at.is_(None)).values(ended))
    return _one(session, [*mine], f"You sent nothing under the number {number}.")


def _waits_for(project_id: int, reviewer_id: int) -> tuple[ColumnElement[bool], ...]:
    return (_turn.c.to_id == reviewer_id, _turn.c.done_at.is_(None), _turn.c.project_id == project_id)


def _one(session: Session, where: list[ColumnElement[bool]], missing: str) -> Turn:
    found = _list(session, where)
    if not found:
        raise NotFoundError(missing)
    return found[0]


def _list(session: Session, where: list[ColumnElement[bool]]) -> list[Turn]:
    sender, receiver = aliased(ReviewerRow), aliased(ReviewerRow)
    found = (
        select(
            _turn.c.id, _turn.c.candidate_id, col(CandidateRow.title), col(sender.name), col(receiver.name),
            _turn.c.sentence, _turn.c.sent_at, _turn.c.done_at, _verdict, _IS_ANSWER,
        )
        .select_from(_turn)
        .join(CandidateRow, col(CandidateRow.id) == _turn.c.candidate_id)
        .join(sender, col(sender.id) == _turn.c.from_id)
        .join(receiver, col(receiver.id) == _turn.c.to_id)
        .outerjoin(DecisionRow, col(DecisionRow.id) == _turn.c.decision_id)
        .where(*where)
        .order_by(_turn.c.sent_at, _turn.c.id)
        .limit(_MOST_SHOWN)
    )  # fmt: skip
    return [Turn(*row) for row in session.connection().execute(found)]
