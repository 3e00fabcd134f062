"""Every request: a number of its own, a line in the log, a place in the figures."""

import logging
import re
import secrets
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Meters

log = logging.getLogger("patchsift.web")

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_GIVEN = re.compile(r"[A-Za-z0-9-]{8,64}")


def route_of(scope: Scope) -> str:
    """The pattern that a request fell under, `/candidates/{candidate_id}`; an address may hold secrets."""
    route = scope.get("route")
    return str(getattr(route, "path", None) or ("/static" if scope["path"].startswith("/static/") else "none"))


class Meter:
    """Stands before everything, so that refused requests count too.

    Args:
        app: what answers.
        meters: the figures, where somebody reads them.

    """

    def __init__(self, app: ASGIApp, meters: Meters | None) -> None:
        self.app = app
        self.meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and tell what became of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        number = given if _GIVEN.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = number
        status = 0
        began = time.perf_counter()

        async def send_with_number(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_number)
        finally:
            self._tell(scope, number, status, time.perf_counter() - began)

    def _tell(self, scope: Scope, number: str, status: int, seconds: float) -> None:
        method, route = scope["method"] if scope["method"] in _METHODS else "other", route_of(scope)
        if self.meters is not None:
            self.meters.request(method, route, status, seconds)
        said = {"request": number, "method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        log.info("%s %s %d", method, route, status, extra={"said": said})
