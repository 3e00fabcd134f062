"""Releases in a real browser: preview, freeze, the page of the release, verify, withdraw; and no barrier on the way."""

import re
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Trouble
from tests.e2e.test_pages import decide, send, violations

pytestmark = pytest.mark.e2e

PATHS = (
    "/releases", "/releases/new", "/releases/new?preview=now&gate=hash_only", "/releases/new?seed=x", "/releases/1",
    "/releases/1?gate=hash_only&against=2", "/releases/1/verify", "/releases/2", "/releases/9", "/project",
    "/project?benchmark=look&source=nobody", "/project?benchmark=look", "/exports?release=1", "/exports?release=2",
)  # fmt: skip


@pytest.fixture
def judged(server: str) -> str:
    """The address of a server with some samples judged."""
    send(server, "/samples", {})
    for number in (1, 2, 3, 4):
        decide(server, number, "accept")
    decide(server, 5, "reject", reasons=["wrong_fix"])
    return server


def freeze(page: Page, name: str) -> None:
    """Freeze everything under a name, and wait for the worker."""
    page.goto("/releases/new")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Freeze release").click()
    expect(page.get_by_role("button", name="Verify")).to_be_visible(timeout=60_000)


@pytest.mark.usefixtures("judged")
def test_from_a_preview_to_a_release_that_is_withdrawn(page: Page) -> None:
    page.goto("/queue")
    page.get_by_role("link", name="Releases", exact=True).click()
    page.get_by_role("link", name="New release").click()
    expect(page.locator("#preview .tiles")).to_contain_text("Held back")
    expect(page).to_have_url(re.compile(r"/releases/new$"))

    page.get_by_label("Seed of the split").fill("7")
    page.get_by_label("Seed of the split").blur()
    expect(page).to_have_url(re.compile(r"\?seed=7$"))
    page.get_by_role("link", name=re.compile("^Only a hash of the script")).click()
    expect(page).to_have_url(re.compile(r"seed=7&gate=hash_only"))
    expect(page.get_by_text("A salted hash matches nothing")).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Seed of the split")).to_have_value("7")
    # Enter previews: it must not freeze what nobody has looked at.
    page.get_by_label("Name").fill("nightly")
    page.get_by_label("Name").press("Enter")
    expect(page).to_have_url(re.compile(r"/releases/new\?.*name=nightly"))

    page.get_by_role("button", name="Freeze release 1").click()
    expect(page).to_have_url(re.compile(r"/releases/1$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Release 1: nightly")
    page.get_by_role("button", name="Verify").click(timeout=60_000)
    expect(page.locator("#verified")).to_contain_text("Whole.")
    page.get_by_role("link", name="llm / scaffold / sft", exact=True).click()
    expect(page.locator("#rows-llm-scaffold-sft")).to_be_visible()

    page.get_by_label("Reason").fill("A key was in it.")
    page.get_by_role("button", name="Withdraw release 1").click()
    expect(page.locator(".notice.bad")).to_contain_text("do not train on it")
    page.get_by_role("link", name="All releases").click()
    expect(page.get_by_role("row", name=re.compile("nightly"))).to_contain_text("withdrawn")


@pytest.mark.usefixtures("judged")
def test_exports_follow_the_release_that_is_chosen(page: Page) -> None:
    freeze(page, "")
    page.get_by_role("link", name="Counts and commands").click()

    expect(page.get_by_label("From", exact=True)).to_have_value("1")
    expect(page.get_by_label("Patch source")).to_be_hidden()
    page.get_by_label("From", exact=True).select_option("")
    expect(page).to_have_url(re.compile(r"/exports\?dataset="))
    expect(page.get_by_label("Patch source")).to_be_visible()


@pytest.fixture
def released(judged: str, browser: Browser) -> str:
    """A server with two releases, one of them withdrawn."""
    page = browser.new_page(base_url=judged)
    freeze(page, "first")
    freeze(page, "<b>second")
    page.get_by_label("Reason").fill("<i>why")
    page.get_by_role("button", name="Withdraw").click()
    page.close()
    return judged


def test_pages_of_releases_have_no_barrier_and_keep_to_their_width(browser: Browser, released: str) -> None:
    trouble, found = Trouble(), []
    schemes: list[tuple[Literal["light", "dark"], int]] = [("light", 1400), ("dark", 390)]
    for scheme, width in schemes:
        page = browser.new_page(base_url=released, color_scheme=scheme, viewport={"width": width, "height": 844})
        trouble.watch(page)
        for path in PATHS:
            page.goto(path)
            expect(page.get_by_text("Counting…")).to_be_hidden()
            page.evaluate("for (const folded of document.querySelectorAll('main details')) folded.open = true")
            found += [f"{scheme} {path}: {one['id']} {one['nodes'][0]['html'][:200]}" for one in violations(page)]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"{path} is wider than {width}")
        page.close()

    assert found == []
    assert trouble.found == []


def test_everything_works_without_scripts(browser: Browser, judged: str) -> None:
    page = browser.new_page(base_url=judged, java_script_enabled=False)
    page.goto("/releases/new")
    page.get_by_label("Name").fill("plain")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview .tiles")).to_contain_text("Held back")
    page.get_by_role("button", name="Freeze release 1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Release 1: plain")
    expect(page.get_by_role("button", name="Verify")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("Whole.")).to_be_visible()
    page.get_by_label("Reason").fill("no more")
    page.get_by_role("button", name="Withdraw release 1").click()
    expect(page.get_by_text("do not train on it")).to_be_visible()
    page.close()


def test_a_file_is_given_to_the_project_and_taken_back(page: Page) -> None:
    page.goto("/project")
    page.get_by_label("Add a").select_option("block_list")
    page.locator("input[type=file]").set_input_files(
        {"name": "swe.txt", "mimeType": "text/plain", "buffer": b"pallets/flask#4045\n"}
    )
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("row", name=re.compile(r"swe\.txt"))).to_be_visible()
    page.get_by_role("button", name="Remove swe.txt").click()
    expect(page.get_by_text("The file is gone")).to_be_visible()
