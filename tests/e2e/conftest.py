"""A real server, a real browser, and a page that fails its test on anything a user should never meet."""

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Response, expect

from app import worker
from app.db import Database
from app.main import create_app
from app.settings import Settings
from tests.servers import FAR_HOST, chromium

ROOT = Path(__file__).parent.parent.parent
_ADDRESS = re.compile(r"https?://\S+:\d+")


@dataclass
class Trouble:
    """What a page did that it must not do."""

    found: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._read)
        page.on("pageerror", lambda error: self._note("script", str(error)))
        page.on("dialog", self._refuse)
        page.on("request", lambda request: self._look(request.url))
        page.on("response", self._check)

    def _read(self, message: ConsoleMessage) -> None:
        # The browser says this of every answer above 399, asked for or not; `_check` knows which were not.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self._note("console", message.text)

    def _check(self, response: Response) -> None:
        is_part = response.request.resource_type not in {"document", "fetch"}
        if response.status >= 500 or (response.status >= 400 and is_part):
            self._note("answer", f"{response.status} {response.url}")

    def _refuse(self, dialog: Dialog) -> None:
        self._note("dialog", dialog.message)
        dialog.dismiss()

    def _look(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"data", "blob"} and parts.hostname not in {"localhost", "127.0.0.1", FAR_HOST}:
            self._note("foreign request", address)

    def _note(self, kind: str, text: str) -> None:
        self.found.append(f"{kind}: {text}")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`patchsift serve` on any free port, worker included; gives its address."""
    command = [sys.executable, "-m", "app.cli", "serve", "--no-open", "--port", "0", "--data-dir", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield _address(running)
        finally:
            running.terminate()


def _address(running: "subprocess.Popen[str]") -> str:
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if found := _ADDRESS.search(line):
            _wait_for(found[0])
            return found[0]
    raise AssertionError("".join(lines))


def _wait_for(address: str) -> None:
    """The address is printed a moment before it answers."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            with urlopen(f"{address}/healthz"):
                return
        except URLError:
            time.sleep(0.05)
    raise AssertionError(address)


@contextmanager
def in_thread(run: Callable[[], None]) -> Iterator[None]:
    """Run something beside the block; the block has to bring it to its end."""
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.fixture
def server(tmp_path: Path, sqlite_template: Path) -> Iterator[str]:
    """The address of a fresh installation, web and worker; quicker than `serving`, because it runs in this process."""
    folder = tmp_path / "installation"
    folder.mkdir()
    shutil.copy(sqlite_template, folder / "patchsift.db")
    settings = Settings(data_dir=folder)
    over = threading.Event()
    db = Database(settings)
    listening = socket.create_server(("127.0.0.1", 0))
    web = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="warning", timeout_graceful_shutdown=3))
    with (
        in_thread(lambda: worker.run(db, settings, stop=over.is_set)),
        in_thread(lambda: web.run(sockets=[listening])),
    ):
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        web.should_exit = True
    db.close()


@pytest.fixture(scope="session")
def browser() -> Browser:
    return chromium()


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()


@pytest.fixture
def context(browser: Browser, server: str) -> Iterator[BrowserContext]:
    made = browser.new_context(base_url=server, viewport={"width": 1400, "height": 900})
    made.set_default_timeout(15_000)
    expect.set_options(timeout=15_000)
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
