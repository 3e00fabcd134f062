"""Take the pictures of docs/screenshots: every page, light and dark, of a team at work on the sample patches.

python scripts/screenshots.py
"""

import http.server
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app import accounts, audit, webhooks  # noqa: E402
from app.accounts import Checked, Person  # noqa: E402
from app.db import Database  # noqa: E402
from app.models import Role  # noqa: E402
from app.settings import Settings  # noqa: E402
from tests.e2e.conftest import serving  # noqa: E402
from tests.servers import chromium  # noqa: E402

TARGET = ROOT / "docs/screenshots"
PAGES = {
    "queue": "/queue?status=all", "review": "/candidates/6", "side-by-side": "/candidates/6?view=split",
    "edit": "/candidates/8/edit", "yields": "/candidates/6/examples", "bulk": "/bulk?status=pending",
    "clusters": "/clusters", "views": "/views", "insight": "/insight?since=", "imports": "/imports",
    "report": "/imports/1", "quarantine": "/quarantine", "releases": "/releases", "release": "/releases/1",
    "release-preview": "/releases/new", "exports": "/exports", "templates": "/templates",
    "template": "/templates/scaffold", "project": "/project", "guidelines": "/guidelines",
    "preferences": "/preferences", "job": "/jobs/1",
    "agreement": "/agreement", "me": "/me", "disagreed": "/queue?status=disagreed", "opinions": "/candidates/2",
    "comments": "/candidates/7", "comment": "/candidates/6/comments/new?hunk=f1h2",
    "thread": "/candidates/7/comments/1", "account": "/account", "members": "/members", "server": "/server",
    "audit": "/audit", "webhooks": "/webhooks", "retention": "/retention",
}  # fmt: skip

PEOPLE = {"ada": Role.ADMIN, "bob": Role.CURATOR, "charlie": Role.REVIEWER, "dora": Role.REVIEWER, "erik": Role.VIEWER}
# Who said what of which candidate; the fifth is settled by a curator, the ninth waits for a second opinion.
JUDGED = {
    1: {"charlie": "accept", "dora": "accept"},
    2: {"charlie": "accept", "dora": "reject"},
    3: {"charlie": "reject", "dora": "reject"},
    4: {"charlie": "accept", "dora": "accept"},
    5: {"charlie": "accept", "dora": "reject", "bob": "reject"},
    9: {"charlie": "accept"},
}
GUIDELINE = """# What a good patch is

1. It does what the **issue** asks, and nothing else.
2. It keeps the tests, and adds one where behaviour changes.

> In doubt: flag it, and say what you doubt.
"""


class Desk:
    """A served desk, and what each of its people shows to it."""

    def __init__(self, address: str, folder: Path) -> None:
        """Nobody is known there yet."""
        self.address = address
        self.logins: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._settings = Settings(data_dir=folder)
        self._db = Database(self._settings)

    def hire(self) -> str:
        """Make the people, with a login and a token each; gives the link of one who has not come in yet."""
        now = datetime.now(UTC)
        hashed = accounts.hash_password("nobody", "seven quiet wonders")
        with self._db.write() as session:
            for name, role in PEOPLE.items():
                row = accounts.create(session, name, now=now, hashed=hashed, is_admin=role == Role.ADMIN)
                accounts.set_role(session, 1, row.id or 0, role)
                person = Person(row.id or 0, name, 1, role, role == Role.ADMIN)
                scopes = list(accounts.SCOPES)
                self._tokens[name] = accounts.make_token(session, person, "command line", scopes, now=now)[1]
                known = Checked(row.id or 0)
                agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
                self.logins[name] = accounts.log_in(session, known, address="10.1.0.7", agent=agent, now=now)
                told = {"name": name, "role": str(role)}
                audit.note(session, audit.Actor(None, "root", "command"), "user add", now=now, project_id=1, about=told)
            late = accounts.create(session, "frida", now=now)
            accounts.set_role(session, 1, late.id or 0, Role.REVIEWER)
            return self.address + "/come-in/" + accounts.make_ticket(session, late.id, now=now)

    def subscribe(self, *urls: str) -> None:
        """Webhooks of decisions and releases."""
        with self._db.write() as session:
            for one in urls:
                webhooks.add(session, self._settings, 1, 1, one, webhooks.EVENTS, now=datetime.now(UTC))

    def send(self, of: str, path: str, body: object, method: str = "POST") -> None:
        """Ask the API as one of the people, or as nobody while everybody may come in."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if of:
            headers["Authorization"] = f"Bearer {self._tokens[of]}"
        with urlopen(Request(self.address + path, content, headers, method=method), timeout=60):
            pass

    def decide(self, of: str, candidate: int, verdict: str, version: int) -> None:
        """Say one word of one candidate."""
        key = f"{of}-{candidate}"
        said: dict[str, object] = {"verdict": verdict, "version": version, "key": key, "spent_ms": 9000}
        if verdict == "reject":
            said |= {"reasons": ["style"], "comment": "It changes more than the issue asks for."}
        self.send(of, f"/api/v1/candidates/{candidate}/decisions", said)

    def show(self, page: Page, name: str) -> None:
        """Come in as one of the people."""
        page.context.clear_cookies()
        page.context.add_cookies([{"name": "patchsift", "value": self.logins[name], "url": self.address}])


@contextmanager
def listening() -> Iterator[str]:
    """Another program that webhooks tell; gives its address."""

    class Heard(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Heard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/patchsift"
    server.shutdown()


def judge(desk: Desk) -> None:
    """What several people say of the same candidates."""
    for candidate, said in JUDGED.items():
        for name, verdict in said.items():
            # Who settles what two people differ on has read both.
            desk.decide(name, candidate, verdict, 2 if name == "bob" else 1)


def fill(page: Page, desk: Desk, hook: str) -> str:
    """The twelve samples and a team that is half through; gives the link of somebody who has not come in yet."""
    desk.send("", "/samples", b"")
    page.wait_for_timeout(3000)
    desk.send("", "/api/v1/ingest?name=broken.jsonl", b'{"issue": "cut her\n')
    link = desk.hire()
    desk.subscribe(hook, "https://ci.example.org/patchsift")
    desk.send("ada", "/api/v1/guideline", {"text": GUIDELINE, "comment": "The first one"})
    opinions = {"asked": 2, "gold_share": 0.1, "team": "curators"}
    desk.send("ada", "/api/v1/project", {"opinions": opinions}, "PATCH")
    judge(desk)
    # From here on one person decides most: what others say of a candidate is seen at once.
    desk.send("ada", "/api/v1/project", {"opinions": opinions | {"share": 0, "only": "finding:secret"}}, "PATCH")
    desk.send("bob", "/api/v1/candidates/3/gold", {"why": "It edits a test until it passes."})
    said = {"field": "diff", "at": 8, "text": "Say why this is caught.", "key": "c", "blocks": True}
    desk.send("charlie", "/api/v1/candidates/7/comments", said)
    desk.send("dora", "/api/v1/comments/1/answers", {"text": "The issue names it; I would keep it.", "key": "d"})
    for candidate, sentence in ((6, "please look at the second hunk"), (8, "is this within the issue?")):
        desk.send("charlie", f"/api/v1/candidates/{candidate}/turns", {"to": "ada", "sentence": sentence})
    desk.send("dora", "/api/v1/candidates/10/lease", {})
    desk.send("ada", "/api/v1/views", {"name": "Small ones", "filter": "status:pending size:<20"})
    desk.send("bob", "/api/v1/releases", {"name": "first"})
    page.wait_for_timeout(8000)
    return link


def look(page: Page, address: str, pages: Mapping[str, str], folder: Path = TARGET) -> None:
    """A picture of each page, light and dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for name, path in pages.items():
            answer = page.goto(address + path)
            page.wait_for_timeout(700)
            status = answer.status if answer else 0
            sys.stderr.write(f"{status} {path}\n")
            page.screenshot(path=folder / f"{name}{'-dark' if scheme == 'dark' else ''}.png")


@contextmanager
def busy() -> Iterator[tuple[Page, Desk, str]]:
    """A filled desk with a browser at it, and the link of somebody who has not come in yet."""
    with tempfile.TemporaryDirectory() as folder, listening() as hook, chromium() as browser:
        os.environ["PATCHSIFT_WEBHOOK_HOSTS"] = "127.0.0.1,ci.example.org"
        with serving(Path(folder)) as address:
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            desk = Desk(address, Path(folder))
            yield page, desk, fill(page, desk, hook)


def main() -> None:
    """Start a server on an empty folder, fill it, and look at every page as an administrator."""
    TARGET.mkdir(exist_ok=True)
    with busy() as (page, desk, link):
        desk.show(page, "ada")
        look(page, desk.address, PAGES)
        page.context.clear_cookies()
        look(page, desk.address, {"login": "/login", "choose-a-password": link.removeprefix(desk.address)})


if __name__ == "__main__":
    main()
