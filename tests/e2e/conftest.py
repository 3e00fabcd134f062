"""A real server, a real browser, and a page that fails its test on anything a user should never meet."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.servers import chromium_args, find_chromium

ROOT = Path(__file__).parent.parent.parent
_ADDRESS = re.compile(r"https?://\S+:\d+")


@dataclass
class Trouble:
    """What a page did that it must not do."""

    found: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", lambda m: self._note("console", m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self._note("script", str(error)))
        page.on("dialog", lambda dialog: (self._note("dialog", dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self._look(request.url))

    def _look(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"data", "blob"} and parts.hostname not in {"localhost", "127.0.0.1"}:
            self._note("foreign request", address)

    def _note(self, kind: str, text: str) -> None:
        self.found.append(f"{kind}: {text}")


def start_server(folder: Path) -> tuple["subprocess.Popen[str]", str]:
    """`patchsift serve` on any free port; gives the process and its address."""
    command = [sys.executable, "-m", "app.cli", "serve", "--no-open", "--port", "0", "--data-dir", str(folder)]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if found := _ADDRESS.search(line):
            return running, found[0]
    raise AssertionError("".join(lines))


def stop_server(running: "subprocess.Popen[str]") -> None:
    running.terminate()
    running.communicate(timeout=30)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a fresh installation's server, worker included."""
    running, address = start_server(tmp_path / "installation")
    yield address
    stop_server(running)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(find_chromium()), args=chromium_args())
        yield started
        started.close()


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()


@pytest.fixture
def context(browser: Browser, server: str) -> Iterator[BrowserContext]:
    made = browser.new_context(base_url=server, viewport={"width": 1400, "height": 900})
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, trouble: Trouble) -> Iterator[Page]:
    """A page; whatever it did wrong fails the test at its end."""
    made = context.new_page()
    trouble.watch(made)
    yield made
    assert trouble.found == []


@pytest.fixture
def samples(page: Page) -> Page:
    """The queue with the twelve sample patches in it."""
    page.goto("/queue")
    page.get_by_role("button", name="Load 12 sample patches").click()
    page.get_by_role("link", name="Start reviewing").wait_for()
    return page
