"""What the server keeps and for how long: counted, and removed when an administrator says so."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import retention
from app.retention import Rule
from app.web.deps import AppDb, Config, Db, Now
from app.web.forms import Form
from app.web.render import page, see_other, url
from app.web.rights import actor_of

router = APIRouter()


@dataclass(frozen=True)
class RetentionView:
    """What `retention.html` may read: the rules, and what was removed just now."""

    rules: list[Rule]
    removed: str


@router.get("/retention")
def show_retention(request: Request, session: Db, config: Config, now: Now, removed: str = "") -> Response:
    """How long what is kept, and how much of it would go now."""
    rules = retention.look(session, config, now=now)
    said = removed if removed.isascii() and removed.isdigit() else ""
    view = RetentionView(rules, said[:20])
    return page(request, "retention.html", view)


@router.post("/retention")
def run_retention(request: Request, form: Form, db: AppDb, config: Config, now: Now) -> Response:
    """Remove what is old enough."""
    form.allow(())
    gone = retention.run(db, config, actor_of(request), now=now)
    return see_other(url("/retention", removed=sum(gone.values())))
