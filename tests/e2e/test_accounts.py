"""A team in real browsers, over plain http to another machine's name: what browsers make hardest.

The setup link, an invitation, decisions under one's own name, a comment, an edit, an undo, an end to a login.
"""

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from app.db import Database
from app.main import create_app
from app.serving import setup_link
from app.settings import Settings
from tests.e2e.conftest import Trouble, in_thread
from tests.e2e.test_editing import CONTENT, SAVED
from tests.e2e.test_walk import press, shown
from tests.servers import FAR_HOST

pytestmark = pytest.mark.e2e

PASSWORD = "seven quiet wonders"
PAGES = (
    "/queue", "/account", "/members", "/server", "/audit", "/agreement", "/me", "/webhooks", "/retention", "/project",
)  # fmt: skip


@pytest.fixture
def team(tmp_path: Path, sqlite_template: Path) -> Iterator[str]:
    """The setup link of a server that others can reach, and that nobody has an account on."""
    shutil.copy(sqlite_template, tmp_path / "patchsift.db")
    settings = Settings(data_dir=tmp_path, host="0.0.0.0", allowed_hosts=FAR_HOST)
    db = Database(settings)
    listening = socket.create_server(("127.0.0.1", 0))
    web = uvicorn.Server(uvicorn.Config(create_app(settings, db), log_level="warning", timeout_graceful_shutdown=3))
    with in_thread(lambda: web.run(sockets=[listening])):
        yield setup_link(settings, db, f"http://{FAR_HOST}:{listening.getsockname()[1]}")
        web.should_exit = True
    db.close()


def come_in(page: Page, link: str, name: str = "") -> None:
    """Choose a password by a link, and log in with it."""
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Set this server up" if name == "ada" else "Choose a password"
    )
    if name == "ada":
        page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Once more").fill(PASSWORD)
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert barriers(page) == []
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/queue")


def comment_and_edit(page: Page) -> None:
    """A comment by keys, and an edit that is saved."""
    here = page.url.partition("?")[0]
    for key in ("j", "r"):
        page.keyboard.press(key)
    page.get_by_label("Your comment").press_sequentially("Why?")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#diff #thread-1")).to_contain_text("Why?")
    page.goto(f"{here}/edit?field=script")
    page.locator(CONTENT).press("Control+Home")
    page.keyboard.type("# typed here\n")
    page.keyboard.press("Control+Enter")
    expect(page).to_have_url(SAVED)


def barriers(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{page.url}: {one['id']} {one['nodes'][0]['html'][:200]}" for one in found]


def lose_the_login(page: Page) -> None:
    """A decision without a login waits, and is sent after a new one."""
    page.goto("/candidates/9?status=all")
    assert shown(page) == 9
    page.context.clear_cookies()
    page.keyboard.press("a")
    link = page.locator("#notice").get_by_role("link", name="Log in")
    expect(link).to_have_attribute("href", re.compile(r"^/login\?next=%2Fcandidates%2F"))
    expect(page.locator("#outbox")).to_have_text("1 waiting for your login")
    expect(page.get_by_text("Accepted #9", exact=True)).to_be_hidden()
    link.click()
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/candidates/*")
    expect(page.locator("#outbox")).to_have_text("Saved")
    page.goto("/candidates/9?status=all")
    expect(page.locator(".history")).to_contain_text("Accept by ada")


def test_from_the_setup_link_to_a_login_that_is_ended(browser: Browser, team: str) -> None:
    address, trouble = team.partition("/come-in/")[0], Trouble()
    desks = [browser.new_context(base_url=address) for _ in range(2)]
    ada, bob = (desk.new_page() for desk in desks)
    for page in (ada, bob):
        trouble.watch(page)

    bob.goto("/queue")
    expect(bob).to_have_url(re.compile("/login"))
    come_in(ada, team, "ada")
    ada.get_by_role("button", name="Load 12 sample patches").click()
    ada.get_by_role("link", name="Start reviewing").wait_for()
    ada.goto("/members")
    ada.get_by_label("Name").fill("bob")
    ada.get_by_role("button", name="Add").click()
    come_in(bob, ada.get_by_role("status").locator("code").inner_text(), "bob")

    bob.locator(".button.primary", has_text="Start reviewing").click()
    bob.wait_for_url("**/candidates/*")
    first = bob.url
    second = press(bob, "a")
    assert bob.evaluate("window.isSecureContext") is False
    comment_and_edit(bob)
    assert press(bob, "u") == second
    ada.goto(f"/candidates/{second}")
    expect(ada.locator(".history li", has_text="bob")).to_have_count(2)
    expect(ada.locator(".history li", has_text="undo")).to_have_count(1)
    ada.goto(first)
    expect(ada.locator("main")).to_contain_text("bob")

    lose_the_login(ada)
    ada.set_viewport_size({"width": 390, "height": 844})
    for path in PAGES:
        ada.goto(path)
        for scheme in ("light", "dark"):
            ada.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert barriers(ada) == []
        assert ada.evaluate("document.documentElement.scrollWidth") <= 390, path
    # The bar has no room here: the menu leads everywhere, by keyboard too.
    ada.get_by_role("button", name="Menu").press("Enter")
    assert barriers(ada) == []
    ada.keyboard.press("Escape")
    expect(ada.get_by_role("navigation", name="All pages")).to_be_hidden()
    ada.keyboard.press("Enter")
    ada.get_by_role("link", name="Server").first.press("Enter")
    ada.wait_for_url("**/server")
    ada.get_by_role("button", name=re.compile("End the login of bob")).click()
    expect(ada.get_by_role("button", name=re.compile("End the login of bob"))).to_have_count(0)
    bob.goto("/queue")
    expect(bob).to_have_url(re.compile("/login"))
    # What cannot be taken back asks once more, on the narrow page too.
    ada.goto("/members")
    ada.locator("summary", has_text="Remove bob").press("Enter")
    assert barriers(ada) == []
    assert ada.evaluate("document.documentElement.scrollWidth") <= 390
    ada.get_by_role("button", name="Remove: bob").click()
    expect(ada.get_by_role("row", name="bob")).to_have_count(0)
    for desk in desks:
        desk.close()
    assert trouble.found == []
