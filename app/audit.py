"""The audit log: every change of state that is no decision, as an append-only, hash-chained row.

Decisions have a chain of their own (`app.decisions`) that says the same of them; here it is read like the log.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, SQLColumnExpression, String, case, cast, func, literal, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app import deeds, gold, projects
from app.db import lock_audit
from app.models import (
    Agreement,
    AuditRow,
    CandidateRow,
    DecisionRow,
    PartRow,
    ProjectRow,
    ReviewerRow,
    RevisionRow,
    Status,
    Verdict,
)

_FIRST = bytes(32)
_LONGEST = 200
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, and from where: `Actor(3, "ann", "10.0.0.7")`; a command's is `Actor(None, "root", "command")`."""

    reviewer_id: int | None
    name: str
    address: str


def note(
    session: Session,
    actor: Actor,
    what: str,
    *,
    now: datetime,
    project_id: int | None = None,
    about: Mapping[str, object] | None = None,
) -> None:
    """Add a row to the end of the chain, in the transaction of the change itself.

    `note(session, actor, "POST /releases", now=now, project_id=1, about={"number": 3})`. Nothing that was typed
    belongs into `about`: names and numbers only, no secret.
    """
    # Everything else is locked before this, or two changes of one row wait for each other.
    session.flush()
    lock_audit(session)
    wanted = select(col(AuditRow.id), col(AuditRow.digest)).order_by(col(AuditRow.id).desc()).limit(1)
    last, previous = session.execute(wanted).first() or (0, _FIRST)
    row = AuditRow(
        id=(last or 0) + 1,
        made_at=now,
        project_id=project_id,
        reviewer_id=actor.reviewer_id,
        who=actor.name,
        address=actor.address[:_LONGEST],
        what=what[:_LONGEST],
        about=dict(about or {}),
        previous_digest=bytes(previous),
        digest=b"",
    )
    row.digest = _digest(row)
    session.add(row)
    session.flush()


def _digest(row: AuditRow) -> bytes:
    said = {
        "id": row.id,
        "at": row.made_at.astimezone(UTC).isoformat(),
        "project": row.project_id,
        "reviewer": row.reviewer_id,
        "who": row.who,
        "address": row.address,
        "what": row.what,
        "about": row.about,
    }
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(bytes(row.previous_digest) + canonical.encode()).digest()


def verify(session: Session) -> int | None:
    """The id of the first row whose digest does not fit, or None where the whole chain holds."""
    previous = _FIRST
    for number, row in enumerate(scan(session, None), 1):
        fits = row.id == number and bytes(row.previous_digest) == previous
        if not fits or _digest(row) != bytes(row.digest):
            return row.id or 0
        previous = bytes(row.digest)
    return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is shown of the log; empty means all.

    Large and small letters are the same, and every word of `what` counts. `since` and `until` are days, both included,
    in UTC.
    """

    who: str = ""
    what: str = ""
    since: date | None = None
    until: date | None = None

    def narrow(self, found: Select[Any], project_id: int | None) -> Select[Any]:
        """The statement on the log with these conditions; of one project, or of all."""
        if project_id is not None:
            found = found.where(col(AuditRow.project_id) == project_id)
        said = (_says(word) for word in self.what.split())
        return found.where(*self.conditions(col(AuditRow.who), col(AuditRow.made_at)), *said)

    def conditions(
        self, who: SQLColumnExpression[str], at: SQLColumnExpression[datetime]
    ) -> Iterator[ColumnElement[bool]]:
        """Of whom and of when, as conditions on two columns."""
        if self.who:
            yield func.lower(who) == self.who.lower()
        if self.since is not None:
            yield at >= _start(self.since)
        if self.until is not None and self.until < date.max:
            yield at < _start(self.until + timedelta(days=1))


def _says(word: str) -> ColumnElement[bool]:
    """Whether a row says this word: in its sentence, as it is stored, or in its facts, such as to whom it was done."""
    what, facts = col(AuditRow.what), cast(col(AuditRow.about), String)
    found = [_has(what, word), _has(facts, json.dumps(word)[1:-1])]
    for key, name, value in deeds.find(word):
        is_it = what == key
        found.append(is_it & _has(facts, f"{json.dumps(name)}: {json.dumps(value)}") if name else is_it)
    return or_(*found)


def _has(text: SQLColumnExpression[str], word: str) -> ColumnElement[bool]:
    return func.lower(text).contains(word.lower(), autoescape=True)


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def list_page(
    session: Session, project_id: int | None, wanted: Wanted, *, before: int | None = None, limit: int = 100
) -> list[AuditRow]:
    """Rows, the newest first; `before` is the id that the page before ended with; of one project, or of all."""
    found = wanted.narrow(select(AuditRow).order_by(col(AuditRow.id).desc()).limit(limit), project_id)
    if before is not None:
        found = found.where(col(AuditRow.id) < before)
    return list(session.execute(found).scalars())


def as_json(row: "AuditRow | Decided") -> dict[str, object]:
    """`{"id": 7, "at": …, "who": "ann", "address": "10.0.0.7", "what": "POST /releases", "about": {…}, …}`."""
    return {
        "id": row.id, "at": row.made_at, "project": row.project_id, "who": row.who, "address": row.address,
        "what": row.what, "about": row.about, "reviewer": row.reviewer_id,
        "previous_digest": bytes(row.previous_digest), "digest": bytes(row.digest),
    }  # fmt: skip


def scan(session: Session, project_id: int | None, wanted: Wanted | None = None) -> Iterator[AuditRow]:
    """Every row that is wanted, in order, a few in memory at a time."""
    last, kept = 0, wanted or Wanted()
    while True:
        found = select(AuditRow).where(col(AuditRow.id) > last).order_by(col(AuditRow.id)).limit(_AT_ONCE)
        rows = session.execute(kept.narrow(found, project_id)).scalars().all()
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1].id or 0
        session.expunge_all()


# ------------------------------------------------------------------------------------------------ decisions

_UNTOLD = "an opinion"


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as the log shows a change; `as_json` takes either.

    `what` is the verdict, `about` the rest of what its digest covers. Of what the person who looks may not know yet,
    because others are still asked, or they are to judge it unknowingly, it says only who judged which candidate.
    """

    id: int
    made_at: datetime
    project_id: int
    reviewer_id: int
    who: str
    address: str
    what: str
    about: Mapping[str, object]
    previous_digest: bytes
    digest: bytes


def list_decided(
    session: Session,
    project_id: int | None,
    wanted: Wanted,
    viewer: int,
    *,
    before: int | None = None,
    limit: int = 100,
) -> list[Decided]:
    """As `list_page`, of the decisions; `viewer` is who looks."""
    found = _decisions(session, project_id, wanted, viewer).order_by(col(DecisionRow.id).desc()).limit(limit)
    if before is not None:
        found = found.where(col(DecisionRow.id) < before)
    return [_decided(row) for row in session.execute(found)]


def scan_decided(session: Session, project_id: int | None, wanted: Wanted, viewer: int) -> Iterator[Decided]:
    """As `scan`, of the decisions; `viewer` is who looks."""
    last, asked = 0, _decisions(session, project_id, wanted, viewer).order_by(col(DecisionRow.id)).limit(_AT_ONCE)
    while True:
        rows = [_decided(row) for row in session.execute(asked.where(col(DecisionRow.id) > last))]
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1].id
        session.expunge_all()


def _decisions(session: Session, project_id: int | None, wanted: Wanted, viewer: int) -> Select[Any]:
    """Each decision with the reviewer's name, the digest of its edit and whether it may be told."""
    ids = [project_id] if project_id is not None else [*session.execute(select(col(ProjectRow.id))).scalars()]
    others = (col(DecisionRow.reviewer_id) != viewer) & _is_of_one(col(DecisionRow.verdict))
    is_hidden = (others & _waits(session, ids)) | col(DecisionRow.candidate_id).in_(_unknown_gold(session, ids, viewer))
    what = case((is_hidden, literal(_UNTOLD)), else_=col(DecisionRow.verdict))
    found: Select[Any] = (
        select(DecisionRow, ReviewerRow.name, RevisionRow.digest, what)  # type: ignore[call-overload]
        .join(CandidateRow, col(CandidateRow.id) == col(DecisionRow.candidate_id))
        .join(ReviewerRow, col(ReviewerRow.id) == col(DecisionRow.reviewer_id))
        .outerjoin(RevisionRow, col(RevisionRow.id) == col(DecisionRow.revision_id))
        .where(*wanted.conditions(col(ReviewerRow.name), col(DecisionRow.decided_at)))
        .where(*(_has(what, word) for word in wanted.what.split()))
    )
    return found if project_id is None else found.where(col(DecisionRow.project_id) == project_id)


def _is_of_one(verdict: SQLColumnExpression[str]) -> ColumnElement[bool]:
    return verdict.not_in([Verdict.JOIN, Verdict.SPLIT])


def _waits(session: Session, ids: Sequence[int | None]) -> ColumnElement[bool]:
    """Candidates that wait for opinions, that may be asked of several next, or that are parts of such."""
    blind = [one for one in ids if projects.get_opinions(session, one or 0).asked > 1]
    lead = aliased(CandidateRow)
    of_lead = select(col(PartRow.candidate_id)).join(lead, col(lead.id) == col(PartRow.lead_id))

    def is_open(status: SQLColumnExpression[str], agreement: SQLColumnExpression[str]) -> ColumnElement[bool]:
        in_blind = col(CandidateRow.project_id).in_(blind)
        return (agreement == Agreement.WAITING) | ((status == Status.PENDING) & in_blind)

    is_part = col(CandidateRow.id).in_(of_lead.where(is_open(col(lead.status), col(lead.agreement))))
    return is_open(col(CandidateRow.status), col(CandidateRow.agreement)) | is_part


def _unknown_gold(session: Session, ids: Sequence[int | None], viewer: int) -> list[int]:
    return sorted({one for number in ids for one in gold.list_hidden(session, number or 0, viewer)})


def _decided(row: "Row[Any]") -> Decided:
    decision, name, revision, what = tuple(row)
    about: dict[str, object] = {"candidate": decision.candidate_id}
    if what != _UNTOLD:
        about |= {
            "version": decision.candidate_version, "key": decision.key, "reasons": decision.reasons,
            "comment": decision.comment, "rating": decision.rating,
            "revision": None if revision is None else bytes(revision).hex(), "undoes": decision.undoes_id,
            "other": decision.other_id, "seen": decision.n_seen, "hunks": decision.n_hunks,
            "spent": decision.spent_ms, "bulk": decision.bulk, "guideline": decision.guideline,
            "asked": decision.asked,
        }  # fmt: skip
    return Decided(
        decision.id, decision.decided_at, decision.project_id, decision.reviewer_id, name, decision.address or "", what,
        about, bytes(decision.previous_digest), bytes(decision.digest),
    )  # fmt: skip
