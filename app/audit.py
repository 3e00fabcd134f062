"""The audit log: every change of state that is no decision, as an append-only, hash-chained row.

Decisions have a chain of their own (`app.decisions`), which says who and when.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Select, select
from sqlmodel import Session, col

from app.db import lock_audit
from app.models import AuditRow

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
    """What is shown of the log; empty means all. `since` and `until` are days, both included, in UTC."""

    who: str = ""
    what: str = ""
    since: date | None = None
    until: date | None = None

    def narrow(self, found: Select[Any], project_id: int | None) -> Select[Any]:
        """The statement with these conditions; of one project, or of all."""
        if project_id is not None:
            found = found.where(col(AuditRow.project_id) == project_id)
        if self.who:
            found = found.where(col(AuditRow.who) == self.who)
        if self.what:
            found = found.where(col(AuditRow.what).contains(self.what, autoescape=True))
        if self.since is not None:
            found = found.where(col(AuditRow.made_at) >= _start(self.since))
        if self.until is not None and self.until < date.max:
            found = found.where(col(AuditRow.made_at) < _start(self.until + timedelta(days=1)))
        return found


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


def as_json(row: AuditRow) -> dict[str, object]:
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
