"""Hostile text in everything that is stored, and every page looked at in a browser: nothing runs, nothing leaves.

The pages are the application's routes. A page that the crawl does not come to fails the test: seed what it shows.
"""

import json
import re
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from urllib.parse import quote

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, BrowserContext, expect

from app import accounts
from app.db import Database
from app.main import create_app
from app.models import Verdict
from app.settings import Settings
from tests.crawling import Content, Form, Way, crawl, way_of, ways
from tests.e2e.conftest import Trouble, in_thread
from tests.hostile import TEXTS
from tests.logs import line
from tests.releasing import EVIDENCE, Desk
from tests.test_archives import zipped

pytestmark = pytest.mark.e2e

_PER_ROUTE = 2
_STRUCTURE = re.compile(r"[\w./:+@-]{0,80}")
# What these do ends the visit or shuts the others out.
_LEFT_ALONE = re.compile("/log|password|totp|come-in|/theme|/end$|/undo$|/cancel$|/delete$|/remove$|/retry$|/withdraw$")
_REPORT = "addEventListener('securitypolicyviolation', e => console.error('CSP', e.effectiveDirective, e.blockedURI))"


def poisoned(value: object, texts: Iterator[str]) -> object:
    """The same log with a hostile text after every text that is no name, no date and no digest."""
    if isinstance(value, dict):
        return {name: poisoned(one, texts) for name, one in value.items()}
    if isinstance(value, list):
        return [poisoned(one, texts) for one in value]
    if isinstance(value, str) and not _STRUCTURE.fullmatch(value):
        return f"{value}\n{next(texts)}"
    return value


def poison_folder(source: Path, target: Path) -> None:
    """Logs of every kind with hostile text in every text that they hold."""
    texts = cycle(TEXTS)
    shutil.copytree(source, target)
    for path in sorted(one for one in target.rglob("*") if one.is_file()):
        if path.suffix == ".json":
            path.write_text(json.dumps(poisoned(json.loads(path.read_text()), texts)))
        elif path.suffix == ".jsonl":
            rows = [json.dumps(poisoned(json.loads(one), texts)) for one in path.read_bytes().splitlines()[:6]]
            path.write_text("\n".join(rows) + "\n")
        else:
            path.write_text(path.read_text() + f"\n# {next(texts)}\n")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> tuple[Settings, list[str]]:
    """An installation in which everything that can hold a text holds a hostile one, and what no link leads to."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copy(sqlite_template, folder / "patchsift.db")
    settings = Settings(data_dir=folder, allowed_hosts="testserver")
    db = Database(settings)
    app = create_app(settings, db)
    with TestClient(app, headers={"Sec-Fetch-Site": "same-origin"}) as client:
        desk = Desk(db, settings, folder)
        unlinked = seed(desk, client, folder)
        seed_by_every_form(client, list(ways(app)))
        desk.work()
    return settings, unlinked


def test_no_stored_text_runs_or_leads_away_on_any_page(browser: Browser, hostile: tuple[Settings, list[str]]) -> None:
    settings, unlinked = hostile
    app = create_app(settings)
    known = list(ways(app))
    with listening(app) as address, browser.new_context(base_url=address) as context:
        visit = Visit(context)
        found, _ = crawl(known, address, visit.look, _PER_ROUTE, unlinked)

    assert "\n".join(visit.trouble.found) == ""
    # JSON and files are no pages: nothing that they hold is taken for one (tests/test_guard.py).
    unseen = [way.path for way, addresses in found.items() if not addresses and not way.path.startswith("/api/")]
    assert " ".join(unseen) == ""
    assert visit.n_pages > 40


class Visit:
    """A page in a browser that goes from address to address, and what it did on the way."""

    def __init__(self, context: BrowserContext) -> None:
        context.add_init_script(_REPORT)
        self._page = context.new_page()
        self.trouble = Trouble()
        self.trouble.watch(self._page)
        self.n_pages = 0

    def look(self, address: str) -> Content | None:
        """Open an address, and everything on it that can be opened; a file is fetched only."""
        page = self._page
        answer = page.request.get(address, max_redirects=0)
        kind = answer.headers.get("content-type", "")
        if answer.status >= 300 or "text/html" not in kind:
            return None
        before = len(self.trouble.found)
        page.goto(address, wait_until="load")
        page.locator("details").evaluate_all("all => all.forEach(details => { details.open = true })")
        expect(page.locator(".htmx-request")).to_have_count(0)
        if page.evaluate("window.__xss") is not None:
            self.trouble.found.append("ran")
        self.trouble.found[before:] = [f"{one} at {address}" for one in self.trouble.found[before:]]
        self.n_pages += 1
        return Content(address, page.content())


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The application at an address of its own."""
    port = socket.create_server(("127.0.0.1", 0))
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3))
    with in_thread(lambda: web.run(sockets=[port])):
        try:
            yield f"http://127.0.0.1:{port.getsockname()[1]}"
        finally:
            web.should_exit = True


def seed(desk: Desk, client: TestClient, folder: Path) -> list[str]:
    """What no form takes: logs and their names, decisions, drafts and releases; gives pages that no link leads to."""
    poison_folder(EVIDENCE, folder / "logs")
    desk.take(folder / "logs")
    lines = [
        line(
            f"{text} {number}",
            spec_target_files=[text],
            patch_source=text,
            spec_operations_details=[{text: text}, text],
        )
        for number, text in enumerate(TEXTS)
    ]
    broken = [b'{"spec_issue_description": "' + text.encode() for text in TEXTS[:2]]
    client.post(f"/api/v1/ingest?name={quote(TEXTS[0])}.jsonl", content=b"\n".join([*lines, *broken]))
    files = {f"{text[:100]}/patch_meta.json": b"{}" for text in TEXTS[:4]} | {f"{TEXTS[4][:90]}.jsonl": line("packed")}
    client.post(f"/api/v1/ingest?name={quote(TEXTS[2])}.zip", content=zipped(files))
    waiting = [row.id or 0 for row in desk.candidates()]
    for number, verdict, text in zip(
        waiting, cycle((Verdict.REJECT, Verdict.FLAG, Verdict.SKIP)), TEXTS[:6], strict=False
    ):
        body = {"verdict": verdict, "version": 1, "key": f"k{number}", "comment": text}
        assert client.post(f"/api/v1/candidates/{number}/decisions", json=body).status_code == 200
        desk_draft = {"version": 2, "texts": {"comment": text}}
        client.put(f"/api/v1/candidates/{number}/draft", json=desk_draft)
    for number in waiting[6:]:
        client.post(
            f"/api/v1/candidates/{number}/decisions", json={"verdict": "accept", "version": 1, "key": f"k{number}"}
        )
    for text in TEXTS[:2]:
        client.post("/api/v1/releases", json={"name": text})
        client.post("/api/v1/views", json={"name": text[:60], "filter": f'"{text[:30]}"'})
    client.post("/exports", data={"role": "llm", "task": "scaffold", "objective": "sft", "format": "prompt-completion"})
    desk.work()
    client.post("/api/v1/releases/2/withdraw", json={"why": TEXTS[0]})
    skipped = client.get("/api/v1/candidates?status=skipped").json()["candidates"]
    body = {
        "filter": {"status": "skipped"},
        "verdict": "flag",
        "count": len(skipped),
        "key": "many",
        "comment": TEXTS[1],
    }
    job = client.post("/api/v1/bulk", json=body).json()["job"]
    with desk.db.write() as session:
        name = accounts.create(session, "newcomer", now=datetime.now(UTC))
        ticket = accounts.make_ticket(session, name.id, now=datetime.now(UTC))
    talked = f"candidates/{waiting[-1]}/comments"
    began = client.post(f"/api/v1/{talked}", json={"field": "script", "at": 1, "text": TEXTS[0], "key": "talk"})
    assert began.status_code == 200, began.text
    thread = began.json()["id"]
    client.post(f"/api/v1/comments/{thread}/answers", json={"text": TEXTS[3], "key": "answer"})
    parts = ("script", "diff", "diff?view=split", "context", "ladder", "patch-set", "examples")
    fragments = [f"/candidates/{number}/{part}" for number in (waiting[0], waiting[-1]) for part in parts]
    return [f"/{talked}/{thread}", f"/bulk/{job}", f"/come-in/{ticket}", *fragments]


def seed_by_every_form(client: TestClient, known: list[Way]) -> None:
    """Hostile text typed into every field of every form that a page has: those of pages to come too."""

    def look(address: str) -> Content | None:
        answer = client.get(address, follow_redirects=False)
        is_page = answer.status_code == 200 and "text/html" in answer.headers["content-type"]
        return Content(address, answer.text) if is_page else None

    _, contents = crawl(known, "http://testserver", look, _PER_ROUTE)
    taken = Counter[str]()
    for content in contents:
        for form in content.forms:
            way = way_of(known, form.method, form.action)
            if way is None or not form.texts or _LEFT_ALONE.search(way.path) or taken[way.path] >= 3:
                continue
            text = TEXTS[taken[way.path]]
            taken[way.path] += 1
            client.post(form.action, data=_filled(form, text), follow_redirects=False)
            # Where the whole is too long or of the wrong kind for one field, the others are stored with it left alone.
            for name in form.texts:
                client.post(form.action, data={**dict(form.fields), name: text}, follow_redirects=False)
                client.post(form.action, data={**dict(form.fields), name: "<b onx=1>a"}, follow_redirects=False)


def _filled(form: Form, text: str) -> dict[str, str]:
    return {name: text if name in form.texts else value for name, value in form.fields}
