"""Many decided at once in a real browser: by keyboard, never by one key, taken back as one; no barrier on the way."""

from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Trouble
from tests.e2e.test_pages import violations
from tests.e2e.test_walk import press, shown

pytestmark = pytest.mark.e2e


def test_all_of_a_list_are_decided_and_taken_back_as_one_step(samples: Page) -> None:
    page = samples
    page.get_by_role("link", name="Start reviewing").click()
    assert shown(page) == 1
    assert press(page, "x") == 2
    page.get_by_role("link", name="Queue", exact=True).first.click()
    page.get_by_role("link", name="Decide all 11").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Decide 11 candidates at once")

    # Return in the field of the count sends nothing while no verdict is chosen.
    page.get_by_label("Type how many there are").fill("12")
    page.keyboard.press("Enter")
    expect(page).to_have_url("/bulk")
    page.get_by_label("Accept").check()
    page.get_by_label("Type how many there are").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="it is 11, you typed '12'")).to_be_visible()
    expect(page.get_by_label("Accept")).to_be_checked()
    page.get_by_label("Type how many there are").fill("11")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("11 accepted as one")

    page.goto("/candidates/5?status=all")
    expect(page.get_by_text("as one of 11")).to_be_visible()
    assert press(page, "s") == 6
    assert press(page, "u") == 5
    expect(page.locator(".toast")).to_have_text("Undone: #5")
    page.keyboard.press("u")
    expect(page.locator(".toast")).to_have_text("Undone: 11 decisions that were made as one")
    assert shown(page) == 2
    assert press(page, "u") == 1
    page.goto("/queue")
    expect(page.locator(".tabs")).to_contain_text("pending 12")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_have_no_barrier(
    server: str, samples: Page, browser: Browser, theme: Literal["light", "dark"], trouble: Trouble
) -> None:
    samples.goto("/bulk?status=all")
    samples.get_by_label("Flag").check()
    samples.get_by_label("Type how many there are").fill("12")
    samples.keyboard.press("Enter")
    expect(samples.get_by_role("heading", level=1)).to_have_text("12 flagged as one")
    act = samples.url
    found = {}
    for width in (1400, 390):
        context = browser.new_context(
            base_url=server, color_scheme=theme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        page = context.new_page()
        trouble.watch(page)
        for path in ("/bulk?status=all", act, "/clusters"):
            page.goto(path)
            found[width, path] = violations(page)
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        context.close()
    assert not any(found.values()), found
