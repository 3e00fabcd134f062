"""Webhooks: decisions and releases told to other programs, signed, in order, at least once.

    decision, release ──collect──▶ posting (a row) ──send──▶ an endpoint

Decisions are append-only and numbered in the order of their commits, so they are their own outbox: a webhook keeps the
number of the last one that it has put in line, and no decision waits for any of it (docs/decisions/0041).
"""

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from sqlalchemy import ColumnElement, String, cast, delete, func, or_, select, update
from sqlmodel import Session, col

from app import posting
from app.db import Database, is_id, lock_project
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import (
    CandidateRow,
    DecisionRow,
    PostingRow,
    PostingState,
    ReleaseRow,
    ReleaseState,
    ReviewerRow,
    WebhookRow,
)
from app.posting import Allowed, NotSentError
from app.settings import Settings

EVENTS = ("decision", "release")
FORMER_SECRET = timedelta(hours=24)
PAUSES = tuple(timedelta(seconds=one) for one in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800))
"""How long an endpoint is left alone after its first failure, its second, ...; then the message is given up."""

_MOST_WEBHOOKS = 20
_AT_ONCE = 200
_TEST = "test"
_HELD = timedelta(minutes=2)
_TOLD_OF = (ReleaseState.FROZEN, ReleaseState.WITHDRAWN)


# ------------------------------------------------------------------------------------------------ endpoints


def add(
    session: Session,
    settings: Settings,
    project_id: int,
    reviewer_id: int | None,
    url: str,
    events: Iterable[str],
    *,
    now: datetime,
) -> WebhookRow:
    """A new endpoint, told of what happens from now on; its `secret` is shown to whoever adds it, and never again.

    Raises:
        BadInputError: the setting does not name its host, or an event that there is not.
        ConflictError: twenty there are, or this one.

    """
    posting.parse_url(url, Allowed.parse(settings.webhook_hosts))
    chosen = sorted(set(events))
    if not chosen or not set(chosen) <= set(EVENTS):
        raise BadInputError(f"A webhook is told of {' or '.join(EVENTS)}, or of both.", where="field events")
    lock_project(session, project_id)
    there = list_webhooks(session, project_id)
    if any(one.url == url for one in there):
        raise ConflictError("This address is told already.", where="field url")
    if len(there) >= _MOST_WEBHOOKS:
        raise ConflictError(f"A project has {_MOST_WEBHOOKS} webhooks at most; remove one first.")
    last = session.execute(select(func.max(DecisionRow.id))).scalar()
    row = WebhookRow(
        project_id=project_id, url=url, events=chosen, secret=posting.make_secret(), decisions_to=last or 0,
        reviewer_id=reviewer_id, made_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def list_webhooks(session: Session, project_id: int) -> list[WebhookRow]:
    """The project's endpoints, the oldest first."""
    wanted = select(WebhookRow).where(col(WebhookRow.project_id) == project_id).order_by(col(WebhookRow.id))
    return list(session.execute(wanted).scalars())


def get_webhook(session: Session, project_id: int, webhook_id: int) -> WebhookRow:
    """The endpoint.

    Raises:
        NotFoundError: no such one in this project.

    """
    row = session.get(WebhookRow, webhook_id) if is_id(webhook_id) else None
    if row is None or row.project_id != project_id:
        raise NotFoundError(f"There is no webhook {webhook_id} here.")
    return row


def _lock(session: Session, project_id: int, webhook_id: int) -> WebhookRow:
    """The endpoint, to change it: two who do, or a worker that puts messages in line for it, stand in line."""
    if is_id(webhook_id):
        session.get(WebhookRow, webhook_id, with_for_update=True)
    return get_webhook(session, project_id, webhook_id)


def remove(session: Session, project_id: int, webhook_id: int) -> None:
    """Forget an endpoint with everything that was sent to it."""
    row = _lock(session, project_id, webhook_id)
    session.execute(delete(PostingRow).where(col(PostingRow.webhook_id) == row.id))
    session.delete(row)


def switch(session: Session, project_id: int, webhook_id: int, *, on: bool) -> None:
    """Stop telling an endpoint, or go on where it was left: nothing that happened meanwhile is left out."""
    row = _lock(session, project_id, webhook_id)
    row.is_on = on
    session.add(row)


def rotate(session: Session, project_id: int, webhook_id: int, *, now: datetime) -> str:
    """A new secret, shown once; for a day every message is signed with the former one too."""
    row = _lock(session, project_id, webhook_id)
    row.former_secret, row.former_until = row.secret, now + FORMER_SECRET
    row.secret = posting.make_secret()
    session.add(row)
    return row.secret


def add_test(session: Session, project_id: int, webhook_id: int, *, now: datetime) -> PostingRow:
    """Put a message in line that says nothing but that it is a test."""
    row = _lock(session, project_id, webhook_id)
    made = _posting(row, f"test:{secrets.token_hex(8)}", _TEST, {"webhook": row.id}, now)
    session.add(made)
    session.flush()
    return made


# ------------------------------------------------------------------------------------------------ what was sent


def list_postings(session: Session, project_id: int, *, before: int | None = None, limit: int = 50) -> list[PostingRow]:
    """What was sent and what waits, the newest first; `before` is the id that the page before ended with."""
    wanted = (
        select(PostingRow)
        .join(WebhookRow, col(WebhookRow.id) == col(PostingRow.webhook_id))
        .where(col(WebhookRow.project_id) == project_id)
        .order_by(col(PostingRow.id).desc())
        .limit(limit)
    )
    if before is not None:
        wanted = wanted.where(col(PostingRow.id) < before)
    return list(session.execute(wanted).scalars())


@dataclass(frozen=True, slots=True)
class Line:
    """How much waits for an endpoint, in line or not yet put there, and the message that the rest waits for."""

    n: int
    head: PostingRow | None


def list_lines(session: Session, project_id: int) -> dict[int, Line]:
    """What waits for each endpoint, by its id; tests are in no line."""
    found = {}
    for hook in list_webhooks(session, project_id):
        in_line = select(func.count()).select_from(PostingRow).where(*_in_line(hook.id or 0))
        n = int(session.execute(in_line).scalar_one())
        if "decision" in hook.events:
            untold = select(func.count()).select_from(DecisionRow).where(*_after(hook))
            n += int(session.execute(untold).scalar_one())
        if "release" in hook.events:
            n += len(_untold(session, hook))
        found[hook.id or 0] = Line(n, _head(session, hook.id or 0))
    return found


def send_again(session: Session, project_id: int, posting_id: int, *, now: datetime) -> None:
    """Put a message in line once more, with its id and its text: the receiver sees that it is the same.

    Raises:
        NotFoundError: no such message in this project.
        ConflictError: it is in line already.

    """
    row = session.get(PostingRow, posting_id, with_for_update=True) if is_id(posting_id) else None
    if row is None:
        raise NotFoundError(f"There is no message {posting_id} here.")
    get_webhook(session, project_id, row.webhook_id)
    if row.state == PostingState.WAITING and row.attempts == 0:
        raise ConflictError(f"Message {posting_id} is in line already.")
    row.state, row.attempts, row.next_at, row.ended_at = PostingState.WAITING, 0, now, None
    session.add(row)


# ------------------------------------------------------------------------------------------------ put in line


def _posting(hook: WebhookRow, key: str, event: str, said: dict[str, object], now: datetime) -> PostingRow:
    body = {"type": event, "timestamp": _instant(now), "data": {"project": hook.project_id, **said}}
    return PostingRow(
        webhook_id=hook.id or 0, key=key, message_id=f"msg_{secrets.token_hex(16)}", event=event,
        body=json.dumps(body, separators=(",", ":")), next_at=now, made_at=now,
    )  # fmt: skip


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _collect(session: Session, hook: WebhookRow, now: datetime) -> None:
    """Put in line what happened since the last time; a key keeps anything from standing in line twice."""
    if "decision" in hook.events:
        rows = session.execute(
            select(DecisionRow, CandidateRow.title, CandidateRow.kind, ReviewerRow.name)  # type: ignore[call-overload]
            .join(CandidateRow, col(CandidateRow.id) == col(DecisionRow.candidate_id))
            .join(ReviewerRow, col(ReviewerRow.id) == col(DecisionRow.reviewer_id))
            .where(*_after(hook))
            .order_by(col(DecisionRow.id))
            .limit(_AT_ONCE)
        ).all()
        for decision, title, kind, name in rows:
            said = _decision_json(decision) | {"title": title, "kind": kind, "reviewer": name}
            session.add(_posting(hook, f"decision:{decision.id}", "decision.made", said, now))
            hook.decisions_to = decision.id
    if "release" in hook.events:
        for row in _untold(session, hook):
            session.add(
                _posting(hook, f"release:{row.id}:{row.state}", f"release.{row.state}", _release_json(row), now)
            )
    session.add(hook)
    session.flush()


def _after(hook: WebhookRow) -> tuple[ColumnElement[bool], ...]:
    return col(DecisionRow.id) > hook.decisions_to, col(DecisionRow.project_id) == hook.project_id


def _untold(session: Session, hook: WebhookRow) -> list[ReleaseRow]:
    told = select(PostingRow.key).where(col(PostingRow.webhook_id) == hook.id)  # type: ignore[call-overload]
    since = func.coalesce(col(ReleaseRow.withdrawn_at), col(ReleaseRow.frozen_at)) >= hook.made_at
    wanted = select(ReleaseRow).where(
        col(ReleaseRow.project_id) == hook.project_id,
        col(ReleaseRow.state).in_(_TOLD_OF),
        since,
        ("release:" + cast(col(ReleaseRow.id), String) + ":" + col(ReleaseRow.state)).not_in(told),
    )
    return list(session.execute(wanted.order_by(col(ReleaseRow.id)).limit(_AT_ONCE)).scalars())


def _decision_json(row: DecisionRow) -> dict[str, object]:
    # Of one of several opinions not what it says: others who are to judge may read where it is sent.
    said: tuple[object, ...] = (None, [], None) if row.asked else (row.verdict, row.reasons, row.rating)
    verdict, reasons, rating = said
    return {
        "id": row.id, "candidate": row.candidate_id, "candidate_version": row.candidate_version, "asked": row.asked,
        "verdict": verdict, "reasons": reasons, "rating": rating, "undoes": row.undoes_id,
        "decided_at": _instant(row.decided_at), "digest": bytes(row.digest).hex(),
    }  # fmt: skip


def _release_json(row: ReleaseRow) -> dict[str, object]:
    digest = row.manifest_digest
    return {
        "number": row.number, "name": row.name, "state": row.state, "counts": row.counts,
        "manifest_sha256": None if digest is None else bytes(digest).hex(), "withdrawn_why": row.withdrawn_why,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ sent


@dataclass(frozen=True, slots=True)
class _Sending:
    db: Database
    allowed: Allowed
    now: Callable[[], datetime]


def send_due(db: Database, settings: Settings, *, now: Callable[[], datetime]) -> int:
    """Put in line what happened, and send what is due, to each endpoint in order; gives how many messages arrived."""
    with db.read() as session:
        due = [row.id or 0 for row in session.execute(select(WebhookRow).where(col(WebhookRow.is_on))).scalars()]
        waiting = [one for one in due if _has_work(session, one, now())]
    sending = _Sending(db, Allowed.parse(settings.webhook_hosts), now)
    return sum(_serve(sending, webhook_id) for webhook_id in waiting)


def _has_work(session: Session, webhook_id: int, now: datetime) -> bool:
    """Asked of a reader first: an idle worker must not stand in the writers' line."""
    hook = session.get_one(WebhookRow, webhook_id)
    if _due_test(session, webhook_id, now) is not None:
        return True
    head = _head(session, webhook_id)
    if head is not None:
        return head.next_at <= now
    decided = select(DecisionRow.id).where(*_after(hook))  # type: ignore[call-overload]
    if "decision" in hook.events and session.execute(decided.limit(1)).scalar() is not None:
        return True
    return "release" in hook.events and bool(_untold(session, hook))


def _head(session: Session, webhook_id: int) -> PostingRow | None:
    wanted = select(PostingRow).where(*_in_line(webhook_id)).order_by(col(PostingRow.id)).limit(1)
    found: PostingRow | None = session.execute(wanted).scalar()
    return found


def _in_line(webhook_id: int) -> tuple[ColumnElement[bool], ...]:
    return *_waits(webhook_id), col(PostingRow.event) != _TEST


def _waits(webhook_id: int) -> tuple[ColumnElement[bool], ...]:
    return col(PostingRow.webhook_id) == webhook_id, col(PostingRow.state) == PostingState.WAITING


def _due_test(session: Session, webhook_id: int, now: datetime) -> PostingRow | None:
    """A test waits for nothing, and nothing waits for it."""
    is_due = col(PostingRow.event) == _TEST, col(PostingRow.next_at) <= now
    wanted = select(PostingRow).where(*_waits(webhook_id), *is_due).order_by(col(PostingRow.id)).limit(1)
    found: PostingRow | None = session.execute(wanted).scalar()
    return found


def _serve(sending: _Sending, webhook_id: int) -> int:
    """One endpoint: a test, then the oldest message, and none before that has arrived or was given up."""
    if not _take(sending, webhook_id):
        return 0
    try:
        n = int(_send_test(sending, webhook_id))
        while n < _AT_ONCE and _send_head(sending, webhook_id):
            n += 1
    finally:
        with sending.db.write() as session:
            session.execute(update(WebhookRow).where(col(WebhookRow.id) == webhook_id).values(held_until=None))
    return n


def _take(sending: _Sending, webhook_id: int) -> bool:
    """Whether this process serves the endpoint now: two that do would not keep the order."""
    now = sending.now()
    free = or_(col(WebhookRow.held_until).is_(None), col(WebhookRow.held_until) < now)
    with sending.db.write() as session:
        taken = session.execute(
            update(WebhookRow)
            .where(col(WebhookRow.id) == webhook_id, col(WebhookRow.is_on), free)
            .values(held_until=now + _HELD)
            .returning(col(WebhookRow.id))
        ).scalar()
        if taken is None:
            return False
        if _head(session, webhook_id) is None:
            _collect(session, session.get_one(WebhookRow, webhook_id), now)
    return True


def _send_test(sending: _Sending, webhook_id: int) -> bool:
    with sending.db.read() as session:
        hook, test = session.get(WebhookRow, webhook_id), _due_test(session, webhook_id, sending.now())
    return _send_one(sending, hook, test)


def _send_head(sending: _Sending, webhook_id: int) -> bool:
    """Send the oldest message that waits; False where there is none, it is not due, or it did not arrive."""
    with sending.db.read() as session:
        hook, head = session.get(WebhookRow, webhook_id), _head(session, webhook_id)
    return _send_one(sending, hook, head)


def _send_one(sending: _Sending, hook: WebhookRow | None, head: PostingRow | None) -> bool:
    now = sending.now()
    if hook is None or head is None or not hook.is_on or head.next_at > now:
        return False
    status, said = _send(sending, hook, head, now)
    arrived = status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    with sending.db.write() as session:
        row = session.get(PostingRow, head.id, with_for_update=True)
        if row is None:
            return False
        row.attempts, row.status, row.said = row.attempts + 1, status, said
        if arrived:
            row.state, row.ended_at = PostingState.SENT, now
        elif row.attempts > len(PAUSES):
            row.state, row.ended_at = PostingState.FAILED, now
        else:
            row.next_at = now + PAUSES[row.attempts - 1]
        session.add(row)
        values: dict[str, object] = {"held_until": now + _HELD}
        if status == HTTPStatus.GONE:
            values["is_on"] = False
        session.execute(update(WebhookRow).where(col(WebhookRow.id) == hook.id).values(**values))
    return arrived


def _send(sending: _Sending, hook: WebhookRow, row: PostingRow, now: datetime) -> tuple[int | None, str]:
    """The status of the answer, and what is told of it on the page."""
    body, seconds = row.body.encode(), int(now.timestamp())
    signed = [posting.sign(hook.secret, row.message_id, seconds, body)]
    if hook.former_secret and hook.former_until is not None and now < hook.former_until:
        signed.append(posting.sign(hook.former_secret, row.message_id, seconds, body))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Patchsift",
        "webhook-id": row.message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signed),
    }
    try:
        status = posting.post(hook.url, body, headers, sending.allowed)
    except (NotSentError, BadInputError) as error:
        return None, str(error)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return status, "It answered with another address; that is not followed."
    if status == HTTPStatus.GONE:
        return status, "It answered that it is gone, so it is switched off."
    return status, ""
