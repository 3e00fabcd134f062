"""Webhooks of a project: which programs are told of decisions and releases, and what became of each message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response

from app import webhooks
from app.errors import AppError
from app.models import PostingRow, WebhookRow
from app.queue import whole_number
from app.settings import Settings
from app.web.deps import Config, Db, Me, Now, Project
from app.web.forms import Form
from app.web.render import page, see_other, url
from app.web.rights import about

router = APIRouter()
_PAGE = 50


@dataclass(frozen=True)
class WebhooksView:
    """What `webhooks.html` may read.

    Attributes:
        hooks: the endpoints.
        events: what an endpoint can be told of.
        chosen: of these what is ticked in the form.
        postings: messages with the address that they went to, the newest first.
        lines: what waits for each endpoint.
        older: the address of the page of older ones, empty on the last.
        allowed: the setting that names the hosts; empty where webhooks go nowhere.
        secret: a new secret, shown this once.
        secret_of: whose it is.
        typed: the address that was refused.
        fault: why.
    """

    hooks: Sequence[WebhookRow]
    events: Sequence[str]
    chosen: Sequence[str]
    postings: Sequence[tuple[PostingRow, str]]
    lines: Mapping[int, webhooks.Line]
    older: str
    allowed: str
    secret: str
    secret_of: str
    typed: str
    fault: str


def _show(
    request: Request,
    session: Session,
    config: Settings,
    project: int,
    *,
    before: int | None = None,
    secret: str = "",
    secret_of: str = "",
    typed: str = "",
    chosen: Sequence[str] = webhooks.EVENTS,
    fault: AppError | None = None,
) -> Response:
    hooks = webhooks.list_webhooks(session, project)
    addresses = {one.id: one.url for one in hooks}
    rows = webhooks.list_postings(session, project, before=before, limit=_PAGE + 1)
    view = WebhooksView(
        hooks=hooks,
        events=webhooks.EVENTS,
        chosen=chosen,
        postings=[(one, addresses[one.webhook_id]) for one in rows[:_PAGE]],
        lines=webhooks.list_lines(session, project),
        older=url("/webhooks", before=rows[_PAGE - 1].id) if len(rows) > _PAGE else "",
        allowed=config.webhook_hosts,
        secret=secret,
        secret_of=secret_of,
        typed=typed,
        fault="" if fault is None else fault.message,
    )
    return page(request, "webhooks.html", view, status=200 if fault is None else fault.status)


@router.get("/webhooks")
def show_webhooks(request: Request, session: Db, config: Config, project: Project, before: str = "") -> Response:
    """The project's webhooks, and what became of each message."""
    number = whole_number("before", before) if before else None
    return _show(request, session, config, project, before=number)


@router.post("/webhooks")
def add_webhook(
    request: Request, form: Form, session: Db, config: Config, project: Project, me: Me, now: Now
) -> Response:
    """Tell another program from now on; its secret is on the answer's page, and nowhere else."""
    fields = form.allow(("url",), many=("events",))
    address, chosen = fields.one("url").strip(), fields.many("events")
    try:
        made = webhooks.add(session, config, project, me, address, chosen, now=now)
    except AppError as error:
        return _show(request, session, config, project, typed=address, chosen=chosen, fault=error)
    about(request, webhook=made.id, to=urlsplit(made.url).hostname)
    return _show(request, session, config, project, secret=made.secret, secret_of=made.url)


@router.post("/webhooks/{webhook_id}")
def change_webhook(
    request: Request, form: Form, session: Db, config: Config, project: Project, now: Now, webhook_id: int
) -> Response:
    """Switch it on or off, send it a test, give it a new secret, or remove it."""
    asked = form.allow(("do",)).one("do")
    about(request, do=asked)
    if asked == "rotate":
        secret = webhooks.rotate(session, project, webhook_id, now=now)
        name = webhooks.get_webhook(session, project, webhook_id).url
        return _show(request, session, config, project, secret=secret, secret_of=name)
    if asked == "remove":
        webhooks.remove(session, project, webhook_id)
    elif asked == "test":
        webhooks.add_test(session, project, webhook_id, now=now)
    elif asked in {"on", "off"}:
        webhooks.switch(session, project, webhook_id, on=asked == "on")
    else:
        raise AppError("A webhook can be switched on or off, tested, removed, or given a new secret.", where="field do")
    return see_other("/webhooks")


@router.post("/webhooks/messages/{posting_id}")
def send_message_again(session: Db, project: Project, now: Now, posting_id: int) -> Response:
    """Send a message once more, with the id that it has."""
    webhooks.send_again(session, project, posting_id, now=now)
    return see_other("/webhooks")
