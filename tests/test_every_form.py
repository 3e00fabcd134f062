"""No address and no form of a page ends in a fault of the server, whatever is typed into it.

The addresses come from the application's routes, the forms from its pages. A few seconds by default;
`PATCHSIFT_FORM_CALLS=20000` sends so many.
"""

import os
import random
import traceback
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.models import Verdict
from app.queue import Filter
from tests.crawling import Content, Form, Way, crawl, way_of, ways
from tests.logs import line
from tests.releasing import Desk, installed

_CALLS = int(os.environ.get("PATCHSIFT_FORM_CALLS", "250"))
_SEED = int(os.environ.get("PATCHSIFT_FORM_SEED", "1"))
_PER_ROUTE = 3

# As they stand in an address or a form's body: bytes that are no text, numbers that are none or too large, half a
# character, what a search or a path could stumble over.
HOSTILE = (
    b"", b"0", b"-1", b"1", b"2", b"9" * 5000, b"2147483648", b"9223372036854775807", b"9223372036854775808", b"1e400",
    b"NaN", b"-0", b"1_0", b" 1 ", b"0x1", "²".encode(), b"\xd9\xa1", b"1.5", b"true", b"null", b"None", b"[]", b"{}",
    b"\x00", b"a\x00b", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "\u202e\u2066x".encode(), "🙂".encode(),
    b"..", b"../../etc/passwd", b"%2e%2e%2f", b"C:\\x::$DATA", b"//evil.test/", b"/\\evil.test", b"https://evil.test/",
    b"\r\nSet-Cookie: a=b", b"<script>window.__xss=1</script>", b"' OR 1=1 --", b"%", b"_", b"*", b'"', b"'", b"(",
    b"NEAR(", b"-", b":", b"a:", b":a", b"-finding:", b"score:<", b"score:>=1e999", b"size:1..", b"since:2026-13-45",
    b"0001-01-01", b"9999-12-31", b"9999-12-31T23:59:59Z", b"2026-02-30", b"accept", b"Accept ", b"accept,reject",
    b"undo", b"edit", b"latest", b"{{7*7}}", b"${7*7}", b"\n", b"\t", b"a" * 20_000, b"[" * 5000, b'{"a":' * 500,
    "İ".encode(), "ß".encode(), b"\xe2\x80\xa8", b"--- a/x\n+++ b/x\n@@ -1,999999999 +1 @@\n-a\n+b\n",
)  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """Logs of every kind, a line in quarantine, verdicts, a release, a saved view."""
    with installed(request.param, request, tmp_path) as made:
        made.take()
        made.read(line("One"), b'{"cut": "her')
        waiting = [row.id or 0 for row in made.candidates()]
        for number, verdict in zip(waiting, (Verdict.REJECT, Verdict.SKIP, Verdict.FLAG), strict=False):
            made.decide(number, verdict)
        for number in waiting[3:6]:
            made.decide(number)
        made.release(name="first")
        yield made


# Of a body that is cut off in a file Starlette leaves the file to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_page_and_no_form_ends_in_a_fault(desk: Desk) -> None:
    app = create_app(desk.settings, desk.db)
    known = list(ways(app))
    with TestClient(app, headers={"Sec-Fetch-Site": "same-origin"}) as client:
        client.post("/views", data={"name": "mine", "filter": "status:pending"})
        found = _forms(client, known)
        tried = _Tried(client, random.Random(_SEED))
        for number in range(_CALLS):
            tried.call(known[number % len(known)], found)

    assert "\n".join(tried.faults) == ""
    assert {(way.method, way.path) for way in known} == tried.called


def _forms(client: TestClient, known: list[Way]) -> dict[Way, list[Form]]:
    """The forms of the pages that lead from one to another, by the route that takes them, and the pages themselves."""

    def look(address: str) -> Content | None:
        answer = client.get(address)
        assert answer.status_code < 500, address
        is_page = "text/html" in answer.headers.get("content-type", "")
        return Content(str(answer.url), answer.text) if is_page else None

    pages, contents = crawl(known, "http://testserver", look, _PER_ROUTE)
    found = {way: [Form(address, "GET") for address in pages.get(way, ())] for way in known}
    for form in (form for content in contents for form in content.forms):
        taker = way_of(known, form.method, form.action)
        if taker is not None and len(found[taker]) < _PER_ROUTE:
            found[taker].append(form)
    return found


class _Tried:
    """Calls with one thing wrong, or everything."""

    def __init__(self, client: TestClient, chance: random.Random) -> None:
        self._client, self._chance = client, chance
        self.called: set[tuple[str, str]] = set()
        self.faults: list[str] = []

    def call(self, way: Way, found: dict[Way, list[Form]]) -> None:
        """One call of a route."""
        chance = self._chance
        form = chance.choice(found[way]) if found[way] else Form("", way.method)
        path = urlsplit(form.action).path if form.action and chance.random() < 0.7 else self._path(way)
        address = f"{path}?{self._query(way)}" if chance.random() < 0.5 else path
        headers = {"HX-Request": "true", "HX-Request-Type": "partial"} if chance.random() < 0.3 else {}
        kind, content = ("", b"") if way.method in {"GET", "HEAD"} else self._body(form)
        headers |= {"Content-Type": kind} if kind else {}
        self.called.add((way.method, way.path))
        said = f"{way.method} {address[:300]} {kind} {content[:500]!r}"
        try:
            answer = self._client.request(way.method, address, content=content, headers=headers, follow_redirects=False)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is the fault that is looked for)
            self.faults.append(f"{said}\n    {_told(error)}")
            return
        is_fault = answer.status_code >= 500 and not (answer.status_code == 503 and b"being_made" in answer.content)
        leads_away = urlsplit(answer.headers.get("location", "")).netloc not in {"", "testserver"}
        if is_fault or leads_away:
            self.faults.append(f"{answer.status_code} {said}")

    def _path(self, way: Way) -> str:
        path = way.path
        for name in way.parameters:
            for form in (f"{{{name}}}", f"{{{name}:path}}"):
                path = path.replace(form, quote(self._chance.choice(HOSTILE)[:2000], safe=""))
        return path

    def _query(self, way: Way) -> str:
        names = [*way.query, *(one.name for one in fields(Filter)), "next", "gate", "x"]
        chosen = self._chance.choices(names, k=self._chance.randint(1, 3))
        return urlencode([(name, self._chance.choice(HOSTILE)) for name in chosen])

    def _body(self, form: Form) -> tuple[str, bytes]:
        """A form as its page sends it but for one to three fields; or something that is no such form."""
        chance = self._chance
        pairs: list[tuple[str, bytes]] = [(name, value.encode()) for name, value in form.fields]
        for _ in range(chance.randint(1, 3)):
            wrong = chance.choice(HOSTILE)
            turn = chance.random()
            if pairs and turn < 0.6:
                at = chance.randrange(len(pairs))
                pairs[at] = (pairs[at][0], wrong)
            elif pairs and turn < 0.75:
                pairs.pop(chance.randrange(len(pairs)))
            elif pairs and turn < 0.85:
                pairs.append((chance.choice(pairs)[0], wrong))
            else:
                pairs.append((chance.choice(("x", "verdict", "version", "reviewer_id", "")), wrong))
        turn = chance.random()
        if form.files or turn < 0.1:
            return _multipart(pairs, form.files or ["file"], chance)
        if turn < 0.15:
            return chance.choice(("application/json", "text/plain", "multipart/form-data", "/;=")), b'{"a": 1}'
        return "application/x-www-form-urlencoded", urlencode(pairs).encode()


def _told(error: Exception) -> str:
    """What went wrong, and where in our own code."""
    own = [one for one in traceback.extract_tb(error.__traceback__) if "/app/" in one.filename]
    return " < ".join([repr(error)[:300], *(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(own))])


def _multipart(pairs: list[tuple[str, bytes]], files: list[str], chance: random.Random) -> tuple[str, bytes]:
    parts = [b'Content-Disposition: form-data; name="%s"\r\n\r\n%s' % (name.encode(), value) for name, value in pairs]
    for name in files:
        called, content = chance.choice(HOSTILE)[:300].replace(b'"', b"").replace(b"\r\n", b""), chance.choice(HOSTILE)
        parts.append(
            b'Content-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s' % (name.encode(), called, content)
        )
    whole = b"".join(b"--bound\r\n%s\r\n" % part for part in parts) + b"--bound--\r\n"
    return "multipart/form-data; boundary=bound", whole[: chance.choice((len(whole), len(whole), len(whole) - 20))]
