"""Take the pictures of docs/screenshots: every page, light and dark, on the sample patches.

python scripts/screenshots.py
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.request import Request, urlopen

from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.e2e.conftest import serving  # noqa: E402
from tests.servers import chromium  # noqa: E402

TARGET = ROOT / "docs/screenshots"
PAGES = {
    "queue": "/queue?status=all", "review": "/candidates/6", "side-by-side": "/candidates/6?view=split",
    "edit": "/candidates/8/edit", "yields": "/candidates/6/examples", "bulk": "/bulk?status=pending",
    "clusters": "/clusters", "views": "/views", "insight": "/insight?since=", "imports": "/imports",
    "agreement": "/agreement", "me": "/me",
    "report": "/imports/1", "quarantine": "/quarantine", "releases": "/releases", "release": "/releases/1",
    "release-preview": "/releases/new", "exports": "/exports", "templates": "/templates",
    "template": "/templates/scaffold", "project": "/project", "webhooks": "/webhooks", "retention": "/retention",
    "guidelines": "/guidelines",
    "preferences": "/preferences", "job": "/jobs/1",
    "comments": "/candidates/7", "comment": "/candidates/6/comments/new?hunk=f1h2",
}  # fmt: skip

GUIDELINE = """# What a good patch is

1. It does what the **issue** asks, and nothing else.
2. It keeps the tests, and adds one where behaviour changes.

> In doubt: flag it, and say what you doubt.
"""

PAGES_WITH_ACCOUNTS = {
    "account": "/account", "members": "/members", "server": "/server", "audit": "/audit",
    "side-by-side-queue": "/queue", "side-by-side-candidate": "/candidates/6",
}  # fmt: skip


def send(address: str, path: str, body: dict[str, object] | bytes) -> None:
    """POST to the API."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(address + path, content, headers), timeout=60):
        pass


def fill(page: Page, address: str) -> None:
    """The twelve samples, some of them decided, a line that cannot be read, a view, a release."""
    send(address, "/samples", b"")
    page.wait_for_timeout(3000)
    send(address, "/api/v1/ingest?name=broken.jsonl", b'{"issue": "cut her\n')
    for number, verdict in enumerate(("accept", "reject", "accept", "skip", "accept"), 1):
        send(address, f"/api/v1/candidates/{number}/decisions", {"verdict": verdict, "version": 1, "key": f"k{number}"})
    send(address, "/api/v1/guideline", {"text": GUIDELINE, "comment": "The first one"})
    said = {"field": "diff", "at": 8, "text": "Say why.", "key": "c", "blocks": True}
    send(address, "/api/v1/candidates/7/comments", said)
    send(address, "/api/v1/views", {"name": "Small ones", "filter": "status:pending size:<20"})
    send(address, "/api/v1/releases", {"name": "first"})
    page.wait_for_timeout(6000)


def invite(folder: Path, name: str, *options: str) -> str:
    """Add somebody; gives the path of their link."""
    command = [sys.executable, "-m", "app.cli", "user", "add", name, *options, "--data-dir", str(folder)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def come_in(page: Page, address: str, folder: Path) -> None:
    """Make an administrator and a few people, and log in."""
    link = invite(folder, "ada", "--admin", "--role", "admin")
    for name, role in (("bob", "curator"), ("charlie", "reviewer"), ("dora", "viewer")):
        invite(folder, name, "--role", role)
    page.goto(address + link)
    page.screenshot(path=TARGET / "choose-a-password.png")
    for label in ("Password", "Once more"):
        page.get_by_label(label).fill("seven quiet wonders")
    page.get_by_role("button", name="Take it").click()
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("seven quiet wonders")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/queue")
    page.goto(address + "/account")
    page.get_by_label("What it is for").fill("nightly import")
    page.get_by_role("checkbox", name="ingest").check()
    page.get_by_role("button", name="Make a token").click()
    page.goto(address + "/candidates/6")
    page.get_by_text("Send to somebody").click()
    page.get_by_label("To", exact=True).select_option("bob")
    page.get_by_label("What to look at").fill("please look at the second hunk")
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_text("Sent to bob").wait_for()


def look(page: Page, address: str, pages: Mapping[str, str]) -> None:
    """A picture of each page, light and dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for name, path in pages.items():
            answer = page.goto(address + path)
            page.wait_for_timeout(700)
            status = answer.status if answer else 0
            sys.stderr.write(f"{status} {path}\n")
            page.screenshot(path=TARGET / f"{name}{'-dark' if scheme == 'dark' else ''}.png")


def main() -> None:
    """Start a server on an empty folder, fill it, and look at every page."""
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        fill(page, address)
        look(page, address, PAGES)
        come_in(page, address, Path(folder))
        look(page, address, PAGES_WITH_ACCOUNTS)
        page.context.clear_cookies()
        look(page, address, {"login": "/login"})


if __name__ == "__main__":
    main()
