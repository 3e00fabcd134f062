"""Comments in a real browser: by keys alone, in the way of acceptance, resolved; hostile words; without JavaScript."""

import json
import re
from typing import Literal
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Trouble
from tests.e2e.test_flow import ready
from tests.e2e.test_pages import violations
from tests.e2e.test_walk import READY, press, shown
from tests.test_comments import HOSTILE

pytestmark = pytest.mark.e2e


def settled(page: Page) -> None:
    while not page.evaluate(READY):
        page.wait_for_timeout(20)


def test_a_comment_by_keys_blocks_acceptance_until_it_is_resolved(samples: Page) -> None:
    page = samples
    page.goto("/candidates/6")
    assert shown(page) == 6
    page.keyboard.press("j")
    page.keyboard.press("r")
    typed = page.get_by_label("Your comment")
    expect(typed).to_be_focused()
    # What is typed decides nothing, and is not left behind unsent.
    page.keyboard.type(f"a x s {HOSTILE}")
    page.get_by_label("Blocks acceptance").check()
    page.locator("#main").focus()
    page.keyboard.press("s")
    expect(page.locator("#notice")).to_contain_text("A comment is typed and not sent")
    typed.press("Control+Enter")

    thread = page.locator("#diff #thread-1")
    expect(thread).to_be_focused()
    expect(thread).to_contain_text(HOSTILE)
    assert page.evaluate("window.__xss") is None
    expect(page.get_by_role("button", name="Accept", disabled=True)).to_have_accessible_description(
        re.compile("^Accept and Edit wait")
    )
    page.keyboard.press("a")
    expect(page.locator("#notice")).to_contain_text("Comment 1 by local at config.py:170 (before) blocks acceptance")
    assert shown(page) == 6

    # On a line of its own, a few lines further down; then from one comment to the other.
    for key in ("J", "J", "r"):
        page.keyboard.press(key)
    expect(typed).to_be_focused()
    page.keyboard.type("Second.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#diff #thread-2")).to_be_focused()
    page.keyboard.press(",")
    expect(thread).to_be_focused()
    page.keyboard.press(".")
    expect(page.locator("#thread-2")).to_be_focused()
    page.keyboard.press("R")
    expect(page.locator("#comments")).to_be_focused()
    expect(page.locator("#comments")).to_contain_text("2 open")
    page.keyboard.press("m")
    expect(page.locator("#diff.split #thread-2")).to_be_visible()

    page.locator("#main").focus()
    page.keyboard.press(".")
    page.keyboard.press("r")
    expect(thread.get_by_label("Your answer")).to_be_focused()
    page.keyboard.type("Done.")
    page.keyboard.press("Control+Enter")
    expect(thread).to_contain_text("Done.")
    thread.get_by_role("button", name="Resolve").click()
    expect(thread).to_contain_text("resolved by local")
    expect(page.get_by_role("button", name="Accept", disabled=False)).to_be_visible()
    page.locator("#main").focus()
    settled(page)
    assert press(page, "a") == 7
    expect(page.locator(".toast")).to_have_text("Accepted #6")
    expect(page.locator("#outbox")).to_have_text("Saved")


def block(address: str) -> None:
    """Somebody comments after the page came."""
    body = {"field": "script", "at": 1, "text": "Not like this.", "key": "k", "blocks": True}
    sent = Request(
        f"{address}/api/v1/candidates/6/comments", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(sent):
        pass


def test_an_accept_that_waited_comes_back_with_the_sentence(samples: Page, server: str) -> None:
    page = samples
    page.goto("/candidates/6")
    ready(page)
    assert shown(page) == 6
    block(server)
    page.keyboard.press("a")
    expect(page.locator("#refused")).to_contain_text("Comment 1 by local at script:1 blocks acceptance")
    page.get_by_role("link", name="Look at it again").click()
    expect(page.locator("h1 .dim")).to_have_text("#6")
    expect(page.locator(".notice.bad").first).to_contain_text("Comment 1 by local at script:1 blocks acceptance")


def test_an_accept_that_is_refused_before_the_next_patch_is_here_stays(samples: Page, server: str) -> None:
    page = samples
    page.route("**/queue/ahead*", lambda route: route.abort())
    page.goto("/candidates/6")
    assert shown(page) == 6
    block(server)
    page.get_by_label("Comment", exact=True).fill("It is right")
    page.locator("#main").focus()
    page.keyboard.press("a")
    expect(page.locator("#candidate").get_by_role("alert")).to_contain_text(
        "Comment 1 by local at script:1 blocks acceptance"
    )
    settled(page)
    expect(page.get_by_label("Comment", exact=True)).to_have_value("It is right")
    assert shown(page) == 6
    assert press(page, "x") == 7
    expect(page.locator(".toast")).to_have_text("Rejected #6")
    expect(page.locator("#refused")).to_be_empty()


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_have_no_barrier_and_work_without_scripts(
    server: str, browser: Browser, theme: Literal["light", "dark"], trouble: Trouble
) -> None:
    plain = browser.new_page(base_url=server, java_script_enabled=False, viewport={"width": 390, "height": 800})
    plain.goto("/candidates/6")
    plain.get_by_role("link", name="Comment on a line").first.click()
    plain.get_by_role("link", name="@@ -188,10").click()
    plain.get_by_label("return self.from_mapping(obj)").check()
    plain.get_by_label("Your comment").fill(f"Why? {HOSTILE}")
    plain.get_by_label("Blocks acceptance").check()
    plain.get_by_role("button", name="Comment", exact=True).click()
    expect(plain.locator("#diff #thread-1")).to_contain_text("Why?")
    plain.get_by_role("link", name="Edit").click()
    expect(plain.locator("main")).to_contain_text("An edit waits for it too")
    plain.go_back()
    # It looks disabled, and says why when it is pressed.
    plain.get_by_role("button", name="Accept").click(force=True)
    expect(plain.locator(".notice.bad")).to_contain_text("blocks acceptance")
    plain.close()

    found = {}
    for path in (
        "/candidates/6",
        "/candidates/6?view=split",
        "/candidates/6/comments/new?hunk=f1h2",
        "/candidates/6/comments/1",
    ):
        for width in (1400, 390):
            page = browser.new_page(base_url=server, color_scheme=theme, viewport={"width": width, "height": 900})
            trouble.watch(page)
            page.goto(path)
            if width == 1400:
                found[path] = [f"{one['id']} {one['nodes'][0]['html'][:120]}" for one in violations(page)]
            is_wider = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            assert not is_wider, (path, width)
            narrow = page.locator("#diff .thread, #diff td:has(> .thread)").first
            assert "view" not in path or narrow.bounding_box()["width"] > 300, (path, width)  # type: ignore[index]
            assert page.evaluate("window.__xss") is None
            page.close()
    assert [one for one in found.items() if one[1]] == []
