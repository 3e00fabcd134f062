"""Pages, fragments and errors: the one place that turns values into a response."""

import dataclasses
import hashlib
import json
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, lru_cache
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from jinja2.runtime import Macro
from markupsafe import Markup
from sqlalchemy.exc import DataError, DBAPIError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app import __version__
from app.accounts import Person
from app.db import AWAY, is_full, reason_of
from app.errors import AppError, ConflictError, NotKnownError, NotStoredError, not_stored
from app.settings import Settings
from app.web.keys import KEYS, Key
from app.web.meter import route_of
from app.web.rights import may_call
from app.web.sitemap import groups_of

PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel the two folders lie inside the package, in a checkout beside it.
ROOT = PACKAGE if (PACKAGE / "templates").is_dir() else PACKAGE.parent
TEMPLATES, STATIC = ROOT / "templates", ROOT / "static"

VARY = "HX-Request, HX-Request-Type, Cookie"
THEMES = ("auto", "light", "dark")
_SURROGATES = re.compile("[\ud800-\udfff]")
_OF_NAMES = ("tip", "kbd", "verdict", "status", "chip")
_AGES = ((31_557_600, "y"), (86_400, "d"), (3_600, "h"), (60, "min"), (0, "s"))
_UNITS = ("bytes", "kB", "MB", "GB")

log = logging.getLogger("patchsift")


# ------------------------------------------------------------------------------------------------ what templates use


def url(path: str, /, **query: object) -> str:
    """A link; parameters that are empty are left out: `url("/queue", q="a b", status="")` → `/queue?q=a+b`."""
    kept = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept)}" if kept else path


@lru_cache
def asset(name: str) -> str:
    """A static file's address with its digest, so that browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def _instant(at: datetime | None) -> str:
    if at is None:
        return ""
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), utc.strftime("%Y-%m-%d %H:%M"))


def _moment(at: datetime) -> str:
    """To the second, with the zone."""
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), utc.strftime("%Y-%m-%d %H:%M:%S UTC"))


def _age(at: datetime, now: datetime) -> str:
    """How long ago: `3 d`; the exact instant stands in the tag."""
    seconds = max(0, int((now - at).total_seconds()))
    size, unit = next((size, unit) for size, unit in _AGES if seconds >= size)
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="came in {}">{:,} {}</time>').format(
        utc.isoformat(), utc.strftime("%Y-%m-%d %H:%M"), seconds // max(1, size), unit
    )


def _lasting(since: datetime, now: datetime) -> str:
    """How long something has been so: `5 min`; the exact instant stands in the tag."""
    minutes = max(0, int((now - since).total_seconds())) // 60
    said = "less than a minute" if minutes < 1 else f"{minutes} min" if minutes < 60 else f"{minutes // 60} h"  # noqa: PLR2004
    utc = since.astimezone(UTC)
    return Markup('<time datetime="{}" title="since {}">{}</time>').format(
        utc.isoformat(), utc.strftime("%Y-%m-%d %H:%M UTC"), said
    )


def _commas(number: int) -> str:
    return f"{number:,}"


def _bytes(number: float) -> str:
    for unit in _UNITS:
        if number < 1000 or unit == _UNITS[-1]:  # noqa: PLR2004
            return f"{number:,.0f} {unit}" if unit == _UNITS[0] else f"{number:,.1f} {unit}"
        number /= 1000
    raise AssertionError


class _Compiled(FileSystemBytecodeCache):
    """Compiled templates between starts; where there is no room for them, pages are shown all the same."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep one, or go without."""
        with suppress(OSError):
            super().dump_bytecode(bucket)


def environment(folder: Path | None = None) -> Environment:
    """The templates' environment, one for the process; `folder` keeps compiled templates between starts."""
    made = _made()
    if folder is not None and made.bytecode_cache is None:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made.bytecode_cache = _Compiled(str(folder))
    if "ui" not in made.globals:
        made.globals["ui"] = _parts(made.get_template("_ui.html").module)
    return made


@cache
def _made() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"url": url, "asset": asset, "version": __version__, "keys": KEYS}
    made.filters |= {
        "instant": _instant,
        "moment": _moment,
        "age": _age,
        "lasting": _lasting,
        "commas": _commas,
        "bytes": _bytes,
    }
    return made


@lru_cache(32)
def _ui_with(made: Environment, keys: tuple[Key, ...]) -> SimpleNamespace:
    """The macros for a person's keys."""
    return _parts(made.get_template("_ui.html").make_module({"keys": {key.action: key for key in keys}}))


def _parts(module: object) -> SimpleNamespace:
    """The macros of `_ui.html`; what depends on names alone is made once: a page asks for thirty of them."""
    macros = {name: macro for name, macro in vars(module).items() if isinstance(macro, Macro)}
    return SimpleNamespace(**macros | {name: lru_cache(256)(macros[name]) for name in _OF_NAMES})


def drawn(html: str) -> Markup:
    """The one place that trusts HTML: it was made by `app.diffs.render`, which escapes every character of a log."""
    return Markup(html)  # noqa: S704


# ------------------------------------------------------------------------------------------------ responses


def is_partial(request: Request) -> bool:
    """Whether htmx asks for a fragment and not for a page."""
    return request.headers.get("HX-Request-Type") == "partial"


def page(
    request: Request,
    template: str,
    view: object,
    *,
    fragment: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A page, or for htmx one block of it: the two cannot differ, because the block is the page's.

    Args:
        request: decides between page and fragment, and carries the theme.
        template: the page's file.
        view: a dataclass; its fields are all that the template may read.
        fragment: the block that htmx gets.
        status: the true one, for errors too.
        headers: further headers.

    """
    if status >= HTTPStatus.BAD_REQUEST:
        request.state.refused = status
    found = request.app.state.templates.get_template(template)
    theme = request.cookies.get("theme", THEMES[0])
    values = {field.name: getattr(view, field.name) for field in dataclasses.fields(view)}  # type: ignore[arg-type]
    values |= {"path": request.url.path, "theme": theme if theme in THEMES else THEMES[0]}
    values |= _of_person(request, found.environment)
    if fragment is not None and is_partial(request):
        html = "".join(found.blocks[fragment](found.new_context(values)))
    else:
        html = found.render(values)
    sent = {"Vary": VARY, **_AGAIN.get(status, {}), **(headers or {})}
    return HTMLResponse(_SURROGATES.sub("\ufffd", html), status_code=status, headers=sent)


def _of_person(request: Request, made: Environment) -> dict[str, object]:
    """What every page knows of who asks: nobody where they are yet to say so."""
    person: Person | None = getattr(request.state, "person", None)
    state = request.app.state
    keys = KEYS if person is None else state.personal.keys_of(person.reviewer_id)
    desk = "" if person is None else f"{person.project_id}.{person.reviewer_id}.{state.began}"
    wraps = person is None or state.personal.wraps(person.reviewer_id)
    return {
        "me": person,
        "may": lambda name: person is not None and may_call(person, name),
        "desk": desk,
        "keys": keys,
        "wraps": wraps,
        "sitemap": () if person is None else groups_of(person, request.url.path),
        "ui": _ui_with(made, tuple(keys.values())),
    }


def see_other(address: str) -> Response:
    """Go there by GET; what a plain form gets after its POST."""
    return RedirectResponse(address, status_code=303, headers={"Vary": VARY})


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer in ASCII, so that half a character in a log cannot break it."""
    return Response(
        json.dumps(value, separators=(",", ":"), default=_plain) + "\n", status, headers, media_type="application/json"
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)


# ------------------------------------------------------------------------------------------------ errors


@dataclasses.dataclass(frozen=True)
class ErrorView:
    """What `error.html` may read."""

    status: int
    title: str
    message: str
    where: str | None
    login: str


_TITLES = {
    400: "That cannot be done",
    401: "Log in first",
    403: "Refused",
    404: "Not found",
    405: "Not that way",
    409: "Changed meanwhile",
    413: "Too large",
    415: "Not a kind that is read here",
    421: "Not the name of this server",
    422: "That cannot be done",
    429: "Too often",
    503: "Not available right now",
    507: "Not stored",
}
SENTENCES = {
    404: "There is nothing at this address. The queue is at /queue.",
    405: "This address does not take that method.",
    413: "This is more than the server takes at once (PATCHSIFT_MAX_UPLOAD_BYTES). `patchsift ingest` reads any size.",
}

# What an answer of this status says besides.
_WITH = {401: {"WWW-Authenticate": "Bearer"}}
_AGAIN = {429: {"Retry-After": "300"}, 503: {"Retry-After": "5"}}
_CODES = {404: "not_found", 405: "bad_method", 413: "too_large"}


def answer_error(
    request: Request,
    status: int,
    code: str,
    message: str,
    where: str | None = None,
    both: Mapping[str, object] | None = None,
    more: Mapping[str, str] | None = None,
) -> Response:
    """One error, in the shape that the caller reads: JSON, a notice for htmx, or a page.

    `both` are the two texts of a stale write, for programs; a page shows what stands around what was typed.
    `more` are headers.
    """
    headers = dict(more or {}) | _WITH.get(status, {}) | _AGAIN.get(status, {})
    if request.url.path.startswith("/api/"):
        return as_json({"error": {"code": code, "message": message, "where": where, **(both or {})}}, status, headers)
    if is_partial(request):
        headers |= {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML", "HX-Push-Url": "false"}
    login = url("/login", next=_page_of(request)) if status == HTTPStatus.UNAUTHORIZED else ""
    view = ErrorView(status, _TITLES.get(status, "Something went wrong"), message, where, login)
    return page(request, "error.html", view, fragment="sentence", status=status, headers=headers)


def _app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)  # noqa: S101
    if isinstance(error, NotKnownError) and not request.url.path.startswith("/api/"):
        if request.method == "GET" and not is_partial(request):
            return see_other(url("/login", next=_address(request)))
        message = (
            "Your login has ended, and this was not stored. Log in again in another tab, then come back and send it "
            "once more: nothing typed is lost."
        )
        return answer_error(request, 401, error.code, message)
    if isinstance(error, NotStoredError):
        config: Settings = request.app.state.settings
        log.error("%s %s, data folder %s: %s", request.method, route_of(request.scope), config.data_dir, error.message)
    both = error.both if isinstance(error, ConflictError) else None
    return answer_error(request, error.status, error.code, error.message, error.where, both)


def _page_of(request: Request) -> str:
    """The page that a request was made from: `"/candidates/7?status=all"`; the queue where nothing says it."""
    shown = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer") or "/queue")
    return (shown.path or "/queue") + (f"?{shown.query}" if shown.query else "")


def _address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    message = SENTENCES.get(error.status_code, str(error.detail))
    code = _CODES.get(error.status_code, "http")
    return answer_error(request, error.status_code, code, message, more=error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    """Name the field and what it should be; never give back what was typed, which may be a password."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return answer_error(request, 422, "bad_input", f"{field}: {first['msg']}.", f"field {field}")


def _unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, AWAY)  # noqa: S101
    if isinstance(error, DBAPIError) and is_full(error):
        return _app_error(request, NotStoredError(f"The database says '{reason_of(error)}'. Free some space first."))
    log.error("database: %s", reason_of(error))
    message = (
        "The database does not answer right now, so this may not have been stored. Try again in a few seconds: a "
        "decision that is sent twice counts once."
    )
    return answer_error(request, 503, "unavailable", message)


def _not_storable(request: Request, error: Exception) -> Response:
    """What PostgreSQL refuses to be asked for or to hold, and SQLite does not: a NUL, a number beyond its column."""
    route = route_of(request.scope)
    log.warning("%s %s holds what the database cannot: %s", request.method, route, type(error).__name__)
    message = "A text holds a NUL character, or a number is larger than any here. Nothing was stored."
    return answer_error(request, 422, "bad_input", message)


def _bug(request: Request, error: Exception) -> Response:
    number = request.scope["state"]["request_id"]
    # Or the web server would tell it once more.
    vars(error)["is_told"] = True
    log.error(
        "%s %s failed", request.method, route_of(request.scope), exc_info=error, extra={"said": {"request": number}}
    )
    message = f"This is a fault of the server, not yours; its log says more (request {number}). Nothing was stored."
    return answer_error(request, 500, "bug", message)


def _file_error(request: Request, error: Exception) -> Response:
    """A disk that is full; every other trouble with files is a bug."""
    assert isinstance(error, OSError)  # noqa: S101
    told = not_stored(error)
    return _bug(request, error) if told is None else _app_error(request, told)


def add_handlers(app: FastAPI) -> None:
    """Every error of every route comes here."""
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    for away in AWAY:
        app.add_exception_handler(away, _unavailable)
    app.add_exception_handler(DataError, _not_storable)
    app.add_exception_handler(OSError, _file_error)
    app.add_exception_handler(Exception, _bug)
