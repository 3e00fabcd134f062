"""Coming in by an OpenID provider: out to it, and back from it."""

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import RedirectResponse, Response

from app import accounts, audit
from app.accounts import Stranger
from app.errors import AppError, NotFoundError
from app.oidc import Begun, Provider
from app.settings import Settings
from app.web.accounts_page import LoginView, address_of, inside, set_cookie, tell_refused, tries
from app.web.deps import AppDb, Config, Now
from app.web.render import page, see_other
from app.web.rights import Door, cookie_of

router = APIRouter()
_MINUTES = 10


def provider_of(request: Request) -> Provider:
    """The provider that was set.

    Raises:
        NotFoundError: there is none.

    """
    found: Provider | None = request.app.state.provider
    if found is None:
        raise NotFoundError("Nobody comes in by a provider here: PATCHSIFT_OIDC_ISSUER is not set.")
    return found


def _back(request: Request, config: Settings) -> str:
    return _address(request, config, "/login/provider/return")


def _address(request: Request, config: Settings, path: str) -> str:
    return (config.public_url or str(request.base_url)).rstrip("/") + path


def _cookie(request: Request) -> str:
    return f"{cookie_of(request)}-oidc"


@router.get("/login/provider")
def go_to_provider(request: Request, config: Config, next: str = "") -> Response:
    """Out to the provider; the browser keeps what it must show when it comes back."""
    begun = Begun.make(inside(next))
    answer = RedirectResponse(provider_of(request).address(begun, _back(request, config)), status_code=303)
    answer.set_cookie(
        _cookie(request),
        str(begun),
        max_age=_MINUTES * 60,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


@router.get("/login/provider/out")
def go_out(request: Request, config: Config) -> Response:
    """Out to where the provider logs people out; it sends them back to the login, if it knows that address."""
    return RedirectResponse(provider_of(request).way_out(_address(request, config, "/login")), status_code=303)


@router.get("/login/provider/return")
def come_back(request: Request, db: AppDb, config: Config, now: Now) -> Response:
    """Back from the provider: in, where it names somebody who is known here."""
    provider, address = provider_of(request), address_of(request)
    target = "/queue"
    try:
        tries(request).take(address)
        begun = Begun.parse(request.cookies.get(_cookie(request), ""))
        target = inside(begun.next)
        named = provider.identify(begun, request.query_params, _back(request, config))
        agent = request.headers.get("user-agent", "")
        with db.write() as session:
            secret = _log_in(session, config, named, address, agent, now)
            accounts.end_shown(session, request.cookies.get(cookie_of(request), ""), now=now)
    except AppError as error:
        with db.write() as session:
            audit.note(session, audit.Actor(None, "somebody", address), "login refused", now=now)
        tell_refused(request, error)
        answer = page(request, "login.html", LoginView.of(config, target, "", error.message), status=error.status)
    else:
        door: Door = request.app.state.door
        door.look()
        answer = see_other(target)
        set_cookie(request, answer, secret)
    answer.delete_cookie(_cookie(request), secure=request.url.scheme == "https", httponly=True)
    return answer


def _log_in(session: Session, config: Settings, named: Stranger, address: str, agent: str, now: Now) -> str:
    person = accounts.find_by_subject(session, named.issuer, named.subject)
    if person is None:
        person = accounts.welcome(session, named, role=config.oidc_role, project=config.project, now=now)
        actor = audit.Actor(person.id, person.name, address)
        audit.note(session, actor, "came by the provider for the first time", now=now)
    secret = accounts.log_in(session, accounts.Checked(person.id or 0), address=address, agent=agent, now=now)
    audit.note(session, audit.Actor(person.id, person.name, address), "logged in by the provider", now=now)
    return secret
