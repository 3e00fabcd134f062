"""Decisions as rows: an append-only, hash-chained log, the state that it says, and the counts kept of it."""

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter

from sqlalchemy import BindParameter, ColumnElement, FromClause, bindparam, exists, func, insert, select, update
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import Session, col

from app.models import SHOWN, Agreement, CandidateRow, DecisionRow, ReviewerRow, RevisionRow, Status, Verdict, metadata

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
_MOVED = ("status", "version", "agreement", "n_opinions", "settled_by", "lease_by", "lease_since", "lease_until")
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
    .values({name: bindparam(f"new_{name}") for name in _MOVED})
)
_APPEND = insert(_decision)
_LAST_DIGEST = (
    select(_decision.c.digest)
    .where(_decision.c.project_id == bindparam("project"))
    .order_by(_decision.c.id.desc())
    .limit(1)
)
_BY_KEY = select(_decision.c.id).where(_decision.c.key == bindparam("key"))
# Of the request that is answered: whoever decides in it, by whichever way, need not pass it on.
_ORIGIN: ContextVar[str] = ContextVar("origin", default="")
_LONGEST_ORIGIN = 200
_AT_ONCE = 500
_KEPT = ("status", "agreement", "n_opinions", "settled_by")
_BULK, _TAKEN_BACK = "bulk-", "-undo"


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


# ------------------------------------------------------------------------------------------------ what they say


@dataclass(frozen=True, slots=True)
class Derived:
    """What the decisions on a candidate come to.

    Attributes:
        status: where it stands.
        standing: the decision that counts; None where none does, or people disagree.
        agreement: what came of asking several people; `NONE` where one decides.
        opinions: the opinion of each person who was asked, oldest first; who passed it on has none.
        asked: how many are asked for; 1 where one person decides.
    """

    status: Status
    standing: DecisionRow | None = None
    agreement: Agreement = Agreement.NONE
    opinions: tuple[DecisionRow, ...] = ()
    asked: int = 1

    @property
    def settled_by(self) -> int | None:
        """The opinion that speaks for all of those who agree."""
        return self.standing.id if self.standing is not None and self.agreement is Agreement.YES else None


def list_standing(history: Iterable[DecisionRow], judged_from: int) -> list[DecisionRow]:
    """The verdicts that were not taken back and saw the texts of today, oldest first.

    Args:
        history: every decision on the candidate, oldest first.
        judged_from: the first version of the candidate that has today's texts.

    """
    decisions = list(history)
    taken_back = {one.undoes_id for one in decisions if one.verdict == Verdict.UNDO}
    return [
        one
        for one in decisions
        if one.verdict in STATUS_OF and one.id not in taken_back and one.candidate_version >= judged_from
    ]


def derive(history: Iterable[DecisionRow], judged_from: int) -> Derived:
    """What all decisions on a candidate come to (docs/decisions/0037).

    The last decision of one who decides alone counts, and so does a curator's last word. Else the last opinion of each
    person does, once there are as many as were asked for; a skip passes the candidate on and is no opinion.
    """
    standing = list_standing(history, judged_from)
    if not standing:
        return Derived(Status.PENDING)
    opinions = opinions_of(standing)
    alone = [one for one in standing if not one.asked]
    if alone:
        last = alone[-1]
        agreement = Agreement.NONE if last.asked is None else Agreement.SETTLED
        return Derived(STATUS_OF[Verdict(last.verdict)], last, agreement, opinions)
    asked = standing[-1].asked or 1
    if len(opinions) < asked:
        return Derived(Status.PENDING, None, Agreement.WAITING, opinions, asked)
    # Equal edits share their revision.
    if len({(one.verdict, one.revision_id) for one in opinions}) > 1:
        return Derived(Status.DISAGREED, None, Agreement.NO, opinions, asked)
    last = opinions[-1]
    return Derived(STATUS_OF[Verdict(last.verdict)], last, Agreement.YES, opinions, asked)


def opinions_of(standing: Iterable[DecisionRow]) -> tuple[DecisionRow, ...]:
    """Of verdicts that stand, the last of each person who was one of several, without those who passed it on."""
    last: dict[int, DecisionRow] = {}
    for one in standing:
        if one.asked:
            last.pop(one.reviewer_id, None)
            last[one.reviewer_id] = one
    return tuple(one for one in last.values() if one.verdict != Verdict.SKIP)


def find_standing(history: Iterable[DecisionRow], judged_from: int) -> DecisionRow | None:
    """The decision that counts, as `derive` says it."""
    return derive(history, judged_from).standing


def stands() -> tuple[ColumnElement[bool], ...]:
    """As `find_standing`, in SQL: what a row of `decision` meets beside its row of `candidate`."""
    later = _decision.alias()
    replaced = exists().where(
        later.c.candidate_id == _decision.c.candidate_id,
        later.c.id > _decision.c.id,
        later.c.verdict.in_(list(STATUS_OF)),
        _is_alone(later),
        ~_is_taken_back(later.c.id),
    )
    # Nothing has happened since to most of them: the candidate is the version that the decision made of it.
    is_last = _candidate.c.version == _decision.c.candidate_version + 1
    return (
        _decision.c.verdict.in_(list(STATUS_OF)),
        _decision.c.candidate_version >= _candidate.c.judged_from,
        (_is_alone(_decision) & (is_last | ~replaced)) | (_candidate.c.settled_by == _decision.c.id),
        ~_is_taken_back(_decision.c.id),
    )


def _is_alone(decision: FromClause) -> ColumnElement[bool]:
    return decision.c.asked.is_(None) | (decision.c.asked == 0)


def _is_taken_back(decision: ColumnElement[int]) -> ColumnElement[bool]:
    undo = _decision.alias()
    return exists().where(undo.c.undoes_id == decision)


def opines(*also: ColumnElement[bool]) -> ColumnElement[bool]:
    """In SQL: candidates on which an opinion counts, of which more is asked; see `counts_as_opinion`."""
    return is_told() & exists().where(_decision.c.candidate_id == _candidate.c.id, *counts_as_opinion(), *also)


def is_told() -> ColumnElement[bool]:
    """In SQL: candidates of which several people have judged, none of which waits: of those nobody may be told."""
    return _candidate.c.agreement.in_([Agreement.YES, Agreement.NO, Agreement.SETTLED])


def counts_as_opinion() -> tuple[ColumnElement[bool], ...]:
    """As `opinions_of`, in SQL: what a row of `decision` meets beside its row of `candidate`."""
    later = _decision.alias()
    replaced = exists().where(
        later.c.candidate_id == _decision.c.candidate_id,
        later.c.reviewer_id == _decision.c.reviewer_id,
        later.c.id > _decision.c.id,
        later.c.asked > 0,
        later.c.verdict.in_(list(STATUS_OF)),
        ~_is_taken_back(later.c.id),
    )
    return (
        _decision.c.asked > 0,
        _decision.c.verdict.in_([one for one in STATUS_OF if one is not Verdict.SKIP]),
        _decision.c.candidate_version >= _candidate.c.judged_from,
        ~_is_taken_back(_decision.c.id),
        ~replaced,
    )


def is_verdict() -> tuple[ColumnElement[bool], ...]:
    """In SQL: a row of `decision` that is a verdict, and was not taken back."""
    return _decision.c.verdict.in_(list(STATUS_OF)), ~_is_taken_back(_decision.c.id)


def has_answered(reviewer_id: int | BindParameter[int]) -> ColumnElement[bool]:
    """In SQL: candidates that wait for opinions and have this person's, or were passed on by this person."""
    return (_candidate.c.agreement == Agreement.WAITING) & exists().where(
        _decision.c.candidate_id == _candidate.c.id,
        _decision.c.reviewer_id == reviewer_id,
        _decision.c.asked > 0,
        _decision.c.verdict.in_(list(STATUS_OF)),
        _decision.c.candidate_version >= _candidate.c.judged_from,
        ~_is_taken_back(_decision.c.id),
    )


def derive_row(session: Session, row: CandidateRow) -> Derived:
    """What the decisions on a candidate come to."""
    return derive((entry[0] for entry in list_history(session, row.id or 0)), row.judged_from)


def find_standing_revision(session: Session, row: CandidateRow) -> RevisionRow | None:
    """The edit that counts, or None where the original does."""
    history = list_history(session, row.id or 0)
    standing = find_standing((entry[0] for entry in history), row.judged_from)
    return next((revision for decision, _, revision in history if decision is standing), None)


def find_by_key(session: Session, key: str) -> DecisionRow | None:
    """The decision that carries the client's key, or None."""
    known = session.connection().execute(_BY_KEY, {"key": key}).scalar()
    return None if known is None else session.get(DecisionRow, known)


def come_from(address: str) -> None:
    """Say where the decisions of this request come from: `come_from("10.0.0.7")`."""
    _ORIGIN.set(address[:_LONGEST_ORIGIN])


def origin() -> str:
    """Where the decisions of this request come from; empty where nobody said."""
    return _ORIGIN.get()


def append(session: Session, decision: DecisionRow, revision: RevisionRow | None) -> None:
    """Add a decision to the end of the project's chain; its `id`, digests and, if it has none, `address` are set."""
    decision.address = decision.address or origin() or None
    previous = session.connection().execute(_LAST_DIGEST, {"project": decision.project_id}).scalar()
    decision.previous_digest = _FIRST if previous is None else bytes(previous)
    decision.digest = chain_digest(decision, *((None,) if revision is None else (revision.digest, revision.field)))
    values = {column.name: getattr(decision, column.name) for column in _decision.c if column.name != "id"}
    decision.id = session.connection().execute(_APPEND, values).inserted_primary_key[0]  # type: ignore[index]


def append_all(session: Session, made: Sequence[DecisionRow]) -> None:
    """As `append`, for several decisions of one project without a revision; their `id` stays unset."""
    if not made:
        return
    previous = session.connection().execute(_LAST_DIGEST, {"project": made[0].project_id}).scalar()
    digest = _FIRST if previous is None else bytes(previous)
    for decision in made:
        decision.address = decision.address or origin() or None
        decision.previous_digest = digest
        decision.digest = digest = chain_digest(decision, None)
    columns = [column.name for column in _decision.c if column.name != "id"]
    session.connection().execute(_APPEND, [{name: getattr(one, name) for name in columns} for one in made])


def chain_digest(decision: DecisionRow, revision_digest: bytes | None, field: str | None = None) -> bytes:
    """SHA-256 over the previous decision's digest and this one's canonical JSON; `field` says which text was edited."""
    # What came later into the table stands in the digest only where it was said: older digests stay true.
    measured = {
        "other": decision.other_id, "seen": decision.n_seen, "hunks": decision.n_hunks, "spent": decision.spent_ms,
        "bulk": decision.bulk, "guideline": decision.guideline, "asked": decision.asked,
        "address": decision.address, "field": field,
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
    """The id of the first decision whose digest does not fit, or None where the whole chain holds.

    An edit must have the text that was decided, and both must belong to a candidate of the project.
    """
    previous = _FIRST
    asked = (
        select(DecisionRow, RevisionRow, col(CandidateRow.project_id))
        .join(CandidateRow, col(CandidateRow.id) == col(DecisionRow.candidate_id))
        .outerjoin(RevisionRow, col(RevisionRow.id) == col(DecisionRow.revision_id))
        .where(col(DecisionRow.project_id) == project_id)
        .order_by(col(DecisionRow.id))
    )
    with session.execute(asked.execution_options(yield_per=_AT_ONCE)) as rows:
        for decision, revision, owner in rows:
            is_next = bytes(decision.previous_digest) == previous and owner == project_id
            if not is_next or not _fits(decision, revision):
                return int(decision.id)
            previous = bytes(decision.digest)
    return None


def _fits(decision: DecisionRow, revision: RevisionRow | None) -> bool:
    if revision is None:
        return chain_digest(decision, None) == bytes(decision.digest)
    digest = hashlib.sha256(revision.text.encode()).digest()
    # Older ones do not say which text was edited.
    digests = chain_digest(decision, digest, revision.field), chain_digest(decision, digest)
    is_its = revision.candidate_id == decision.candidate_id and bytes(revision.digest) == digest
    return is_its and bytes(decision.digest) in digests


def find_false_state(session: Session, project_id: int) -> str:
    """The first candidate that says another thing than its decisions, or count that is not theirs, as a sentence.

    `"Candidate 7 is kept as accepted; its decisions come to rejected."`; empty where all is as it was decided.
    """
    mine = (col(CandidateRow.project_id) == project_id, col(CandidateRow.status) != Status.JOINED)
    asked = (
        select(CandidateRow.id, *(_candidate.c[name] for name in _KEPT), _candidate.c.judged_from, DecisionRow)  # type: ignore[call-overload]
        .outerjoin(DecisionRow, col(DecisionRow.candidate_id) == col(CandidateRow.id))
        .where(*mine)
        .order_by(col(CandidateRow.id), col(DecisionRow.id))
    )
    with session.execute(asked.execution_options(yield_per=_AT_ONCE)) as rows:
        for number, group in groupby(rows, key=itemgetter(0)):
            said = list(group)
            to = derive((row[-1] for row in said if row[-1] is not None), said[0].judged_from)
            kept = tuple(said[0][1 : 1 + len(_KEPT)])
            if kept != (to.status, to.agreement, len(to.opinions), to.settled_by):
                return f"Candidate {number} is kept as {kept[0]}; its decisions come to {to.status}."
    counted = select(_candidate.c.status, func.count()).where(_candidate.c.project_id == project_id)
    n = {status: count for status, count in session.connection().execute(counted.group_by(_candidate.c.status))}  # noqa: C416
    for status, count in session.connection().execute(_COUNTS, {"project": project_id}):
        if n.get(status, 0) != count:
            return f"The counts say that {count:,} candidates are {status}; there are {n.get(status, 0):,}."
    return ""


def move(session: Session, row: CandidateRow, to: Derived, *, of: DecisionRow | None = None) -> None:
    """Give a candidate the state that its decisions come to, end its lease, and keep the counts.

    It gets its next version; but one that waits for opinions, and still does after the one of `of` came or went, keeps
    its own: whoever else has it open judges the same texts.
    """
    is_open = of is not None and bool(of.asked) and row.status == to.status == Status.PENDING
    _move(session, [(row, to)], step=0 if is_open else 1)


def move_all(session: Session, moves: Sequence[tuple[CandidateRow, Derived]]) -> None:
    """As `move`, for several candidates of one project, each of them once."""
    _move(session, moves, step=1)


def _move(session: Session, moves: Sequence[tuple[CandidateRow, Derived]], step: int) -> None:
    if not moves:
        return
    changes: Counter[Status] = Counter()
    numbered = []
    for row, to in moves:
        changes[Status(row.status)] -= 1
        changes[to.status] += 1
        moved = {
            "status": to.status, "version": row.version + step, "agreement": to.agreement,
            "n_opinions": len(to.opinions), "settled_by": to.settled_by, "lease_by": None, "lease_since": None,
            "lease_until": None,
        }  # fmt: skip
        numbered.append({"candidate": row.id} | {f"new_{name}": value for name, value in moved.items()})
        for name, value in moved.items():
            set_committed_value(row, name, value)
    session.connection().execute(_MOVE, numbered)
    add_to_tally(session, moves[0][0].project_id, changes)


# ------------------------------------------------------------------------------------------------ made as one


def bulk_name(job_id: int) -> str:
    """What the decisions of a bulk act share: `12` → `"bulk-12"`; the job is its order."""
    return f"{_BULK}{job_id}"


def job_of(bulk: str) -> int:
    """The job of a bulk act, and of its undo: `"bulk-12-undo"` → 12."""
    return int(bulk.removeprefix(_BULK).removesuffix(_TAKEN_BACK))


def undo_name(bulk: str) -> str:
    """What the decisions share that take a bulk act back: `"bulk-12"` → `"bulk-12-undo"`."""
    return f"{bulk}{_TAKEN_BACK}"


def count_together(session: Session, bulks: Iterable[str]) -> dict[str, int]:
    """How many decisions were made as one, by the name that they share: `{"bulk-12": 37}`."""
    names = set(bulks)
    if not names:
        return {}
    wanted = select(_decision.c.bulk, func.count()).where(_decision.c.bulk.in_(names)).group_by(_decision.c.bulk)
    return {bulk: n for bulk, n in session.connection().execute(wanted)}  # noqa: C416  (a row is no pair to `dict`)


def is_begun(session: Session, bulk: str) -> bool:
    """Whether any decision has this name."""
    wanted = select(_decision.c.id).where(_decision.c.bulk == bulk).limit(1)
    return session.connection().execute(wanted).scalar() is not None


def list_bulks(session: Session, project_id: int, reviewer_id: int, after: int) -> list[tuple[str, int]]:
    """The bulk acts of a reviewer that have a decision after this one, each with its first decision."""
    mine = (
        select(_decision.c.bulk)
        .where(
            _decision.c.project_id == project_id,
            _decision.c.reviewer_id == reviewer_id,
            _decision.c.id > after,
            _decision.c.bulk.is_not(None),
            _decision.c.verdict != Verdict.UNDO,
        )
        .distinct()
    )
    names = session.connection().execute(mine).scalars().all()
    first = select(func.min(_decision.c.id)).where(_decision.c.bulk == bindparam("bulk"))
    return [(bulk, session.connection().execute(first, {"bulk": bulk}).scalar_one()) for bulk in names]


def free_keys(session: Session, wanted: Sequence[str]) -> list[str]:
    """These keys; in the place of one that another decision has, one that nobody has."""
    asked = select(_decision.c.key).where(_decision.c.key.in_(wanted))
    taken = set(session.connection().execute(asked).scalars())
    return [secrets.token_hex(16) if key in taken else key for key in wanted]


def list_to_take_back(session: Session, bulk: str, *, after: int = 0, limit: int) -> list[DecisionRow]:
    """The next decisions of a bulk act that were not taken back yet, in their order."""
    undoing = _decision.alias()
    wanted = (
        select(DecisionRow)
        .where(
            col(DecisionRow.bulk) == bulk,
            col(DecisionRow.id) > after,
            ~exists().where(undoing.c.undoes_id == col(DecisionRow.id)),
        )
        .order_by(col(DecisionRow.id))
        .limit(limit)
    )
    return list(session.execute(wanted).scalars())


def take_back(
    session: Session, made: Sequence[DecisionRow], reviewer_id: int, keys: Sequence[str], *, bulk: str, now: datetime
) -> None:
    """Take several decisions back, each on a candidate of its own.

    A candidate that somebody decided on afterwards, or whose texts are others now, stays as it is.

    Args:
        session: holds the locks of ingest and chain.
        made: what is taken back; none was before.
        reviewer_id: who takes it back.
        keys: one for each.
        bulk: what the undoing decisions share.
        now: aware UTC.

    """
    ids = [one.candidate_id for one in made]
    rows = {row.id: row for row in session.execute(select(CandidateRow).where(col(CandidateRow.id).in_(ids))).scalars()}
    histories: dict[int, list[DecisionRow]] = {number: [] for number in ids}
    asked = select(DecisionRow).where(col(DecisionRow.candidate_id).in_(ids)).order_by(col(DecisionRow.id))
    for one in session.execute(asked).scalars():
        histories[one.candidate_id].append(one)
    undoing, moves = [], []
    for one, key in zip(made, keys, strict=True):
        row = rows[one.candidate_id]
        undo = DecisionRow(
            project_id=one.project_id,
            candidate_id=one.candidate_id,
            candidate_version=row.version,
            reviewer_id=reviewer_id,
            verdict=Verdict.UNDO,
            key=key,
            undoes_id=one.id,
            bulk=bulk,
            decided_at=now,
        )
        undoing.append(undo)
        history = histories[one.candidate_id]
        if row.status != Status.JOINED and find_standing(history, row.judged_from) is one:
            moves.append((row, derive([*history, undo], row.judged_from)))
    append_all(session, undoing)
    move_all(session, moves)


def list_decided_since(session: Session, bulk: str, limit: int) -> list[int]:
    """The candidates of a bulk act on which somebody decided afterwards, and that stands."""
    later, undoing = _decision.alias(), _decision.alias()
    wanted = (
        select(_decision.c.candidate_id)
        .where(
            _decision.c.bulk == bulk,
            exists().where(
                later.c.candidate_id == _decision.c.candidate_id,
                later.c.id > _decision.c.id,
                later.c.verdict.in_([*STATUS_OF]),
                ~exists().where(undoing.c.undoes_id == later.c.id),
            ),
        )
        .order_by(_decision.c.candidate_id)
        .limit(limit)
    )
    return list(session.connection().execute(wanted).scalars())
