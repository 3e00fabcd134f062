"""What is no longer needed and goes after a while: counted first, and never what a decision or a release rests on.

Entries, quarantine, candidates, decisions, revisions, rulings, releases and the audit log stay for ever
(docs/decisions/0042).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, tuple_
from sqlmodel import Session, SQLModel, col

from app import audit, kept
from app.audit import Actor
from app.db import Database
from app.models import DraftRow, JobRow, JobState, LoginRow, PostingRow, PostingState, TicketRow
from app.settings import Settings

_AT_ONCE = 500
# What came of these is written elsewhere, or is of no use once it is old. A release, a bulk decision, an export and a
# delivery lead to their job from a page.
_JOB_KINDS = ("prepare", "groups", "preview")
_ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of thing that goes.

    Attributes:
        name: `drafts`.
        says: what that is, and from when it counts.
        setting: the field of `Settings` that holds the days.
        days: how many; 0 keeps it for ever.
        n: how many things would go now.
        most_bytes: beyond this size the oldest go too; 0 is no limit.
    """

    name: str
    says: str
    setting: str
    days: int
    n: int
    most_bytes: int = 0

    @property
    def kept_for(self) -> str:
        """`"30 days, 20 GiB at most"`, `"for ever"`."""
        days = f"{self.days} days" if self.days else "for ever"
        return f"{days}, {self.most_bytes / (1 << 30):,.4g} GiB at most" if self.most_bytes else days

    @property
    def variable(self) -> str:
        """The environment's name of the setting: `PATCHSIFT_DRAFT_DAYS`."""
        return f"PATCHSIFT_{self.setting.upper()}"

    def as_json(self) -> dict[str, object]:
        """`{"name": "drafts", "days": 365, "setting": "PATCHSIFT_DRAFT_DAYS", "n": 3}`."""
        return {"name": self.name, "days": self.days, "setting": self.variable, "n": self.n}


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    says: str
    setting: str
    table: type[SQLModel]
    key: tuple[str, ...]

    def old(self, before: datetime) -> ColumnElement[bool]:
        """What is older than an instant."""
        return _OLD[self.name](before)


def _old_drafts(before: datetime) -> ColumnElement[bool]:
    return col(DraftRow.saved_at) < before


def _old_logins(before: datetime) -> ColumnElement[bool]:
    return or_(col(LoginRow.ended_at) < before, col(LoginRow.ends_at) < before)


def _old_tickets(before: datetime) -> ColumnElement[bool]:
    return or_(col(TicketRow.used_at) < before, col(TicketRow.ends_at) < before)


def _old_jobs(before: datetime) -> ColumnElement[bool]:
    kinds = and_(col(JobRow.kind).in_(_JOB_KINDS), col(JobRow.state).in_(_ENDED))
    return and_(kinds, col(JobRow.finished_at) < before)


def _old_messages(before: datetime) -> ColumnElement[bool]:
    # Of a release the message stays: it says that the release was told.
    ended = col(PostingRow.state).in_((PostingState.SENT, PostingState.FAILED))
    return and_(ended, col(PostingRow.event).not_like("release.%"), col(PostingRow.ended_at) < before)


_OLD = {
    "drafts": _old_drafts, "logins": _old_logins, "tickets": _old_tickets, "jobs": _old_jobs, "messages": _old_messages,
}  # fmt: skip
_KINDS = (
    _Kind("drafts", "Texts that were typed and never saved", "draft_days", DraftRow, ("reviewer_id", "candidate_id")),
    _Kind("jobs", "Checks, groupings and previews that have ended", "job_days", JobRow, ("id",)),
    _Kind("messages", "Messages to webhooks that have arrived or were given up", "message_days", PostingRow, ("id",)),
    _Kind("logins", "Logins that have ended", "login_days", LoginRow, ("id",)),
    _Kind("tickets", "Links to come in that were used or have run out", "login_days", TicketRow, ("digest",)),
)


def look(session: Session, settings: Settings, *, now: datetime) -> list[Rule]:
    """What would go now, counted; nothing is removed."""
    rows = [
        Rule(kind.name, kind.says, kind.setting, days, _count(session, kind, days, now))
        for kind in _KINDS
        for days in (int(getattr(settings, kind.setting)),)
    ]
    says = "Downloads that nobody asked for; the same address makes them again"
    n_files = kept.count_old(settings, now=now)
    return [*rows, Rule("downloads", says, "export_days", settings.export_days, n_files, settings.export_bytes)]


def _count(session: Session, kind: _Kind, days: int, now: datetime) -> int:
    if not days:
        return 0
    wanted = select(func.count()).select_from(kind.table).where(kind.old(now - timedelta(days=days)))
    return int(session.execute(wanted).scalar_one())


def run(db: Database, settings: Settings, actor: Actor, *, now: datetime) -> dict[str, int]:
    """Remove what is old enough, some at a time, and tell the audit log how many of what: `{"drafts": 3, …}`."""
    gone = {kind.name: sum(_remove(db, settings, kind, now)) for kind in _KINDS}
    gone["downloads"] = kept.sweep(settings, now=now)
    removed = {name: n for name, n in gone.items() if n}
    if removed:
        with db.write() as session:
            audit.note(session, actor, "retention run", now=now, about=removed)
    return gone


def _remove(db: Database, settings: Settings, kind: _Kind, now: datetime) -> Iterator[int]:
    days = int(getattr(settings, kind.setting))
    if not days:
        return
    old = kind.old(now - timedelta(days=days))
    columns: list[Any] = [getattr(kind.table, name) for name in kind.key]
    while True:
        with db.read() as session:
            keys = [tuple(row) for row in session.execute(select(*columns).where(old).limit(_AT_ONCE)).all()]
        if not keys:
            return
        named = columns[0].in_([key[0] for key in keys]) if len(columns) == 1 else tuple_(*columns).in_(keys)
        with db.write() as session:
            # Once more by age: a draft may have been typed into meanwhile.
            gone = session.execute(delete(kind.table).where(named, old).returning(*columns)).all()
        yield len(gone)
