"""What every request passes first: host, origin, and the headers that every answer carries.

A tool on localhost without login is safe only while other sites cannot speak to it through the reviewer's browser.
"""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import LOOPBACK, Settings
from app.web.render import SENTENCES, answer_error
from app.web.rights import SAFE_METHODS

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Not `no-referrer`: with it browsers write `Origin: null` over every form, and on plain http, where they send no
# `Sec-Fetch-Site` either, nothing tells our own forms from another site's. Other sites are told nothing all the same.
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
# Browsers heed it on https and on this machine only, and complain on the console of every page elsewhere.
_ISOLATED = (b"cross-origin-opener-policy", b"same-origin")
_NOT_STORED = (b"cache-control", b"no-store")
_STATIC = "/static/"
_PORT = re.compile(r":\d+$")


class Guard:
    """Refuses foreign hosts and foreign sites, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.hosts = settings.hosts
        self.is_https = settings.public_url.startswith("https://")
        self.most_bytes = settings.max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        headers = Headers(scope=scope)
        more = self._headers(scope, headers)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in more if one[0] not in present)]
            await send(message)

        refusal = refuse(scope["method"], scope["path"], headers, self.hosts) or refuse_length(headers, self.most_bytes)
        if refusal is None:
            await self.app(scope, receive, send_with_headers)
            return
        status, code, message = refusal
        request = Request(scope, receive)
        await answer_error(request, status, code, message)(scope, receive, send_with_headers)

    def _headers(self, scope: Scope, headers: Headers) -> list[tuple[bytes, bytes]]:
        """What the answer to this request carries besides its own."""
        more = [*_RAW_HEADERS]
        if self.is_https or scope.get("scheme") == "https" or _host(headers) in LOOPBACK:
            more.append(_ISOLATED)
        return more if scope["path"].startswith(_STATIC) else [*more, _NOT_STORED]


def _host(headers: Headers) -> str:
    """`"Desk.example:8642"` → `"desk.example"`."""
    return _PORT.sub("", headers.get("host", "")).lower()


def refuse_length(headers: Headers, most_bytes: int) -> tuple[int, str, str] | None:
    """Why a request is refused that says beforehand that it is too large, or None; others are counted as they come."""
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()) or int(length[:20]) <= most_bytes:
        return None
    return 413, "too_large", SENTENCES[413]


def refuse(method: str, path: str, headers: Headers, hosts: frozenset[str]) -> tuple[int, str, str] | None:
    """Why a request is refused, as (status, code, sentence), or None.

    Under a foreign host the files of the page that says so are served: they are the same in every installation.

    Source: the Fetch Metadata Request Headers draft (`Sec-Fetch-Site`) and RFC 6454 (`Origin`); a client that sends
    neither is no browser.
    """
    host = headers.get("host", "")
    name = _host(headers)
    if name not in hosts and not (method in SAFE_METHODS and path.startswith(_STATIC)):
        message = (
            f"This server does not answer to the host name {name[:100]!r}. If it should, start it with "
            f"PATCHSIFT_ALLOWED_HOSTS={name[:100] or 'NAME'} (several: commas between, no ports)."
        )
        return 421, "host", message
    if method in SAFE_METHODS:
        return None
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    same = site in {"same-origin", "none"} if site is not None else origin is None or urlsplit(origin).netloc == host
    if same:
        return None
    return 403, "cross_site", "This request came from another site's page, so it was refused. Open Patchsift itself."
