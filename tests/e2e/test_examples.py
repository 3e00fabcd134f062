"""What a candidate yields, in a real browser: opened by a key, judged row by row, and never in the way of deciding."""

import json
import re
from typing import Any, Literal
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.conftest import Trouble
from tests.e2e.test_pages import violations
from tests.e2e.test_walk import press, shown
from tests.logs import SCRIPT, line

pytestmark = pytest.mark.e2e

SECRET = f'{SCRIPT}\nKEY = "{"AKIA" + "IOSFODNN7EXAMPLE"}"\n'
DIFF = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n def first():\n-    return {}\n+    return {}_2\n"


def send(address: str, path: str, body: bytes, kind: str = "application/octet-stream") -> Any:
    with urlopen(Request(address + path, body, {"Content-Type": kind})) as answer:
        return json.load(answer)


@pytest.fixture
def page(page: Page, server: str) -> Page:
    """Three patches, the first of which holds a key; the first is open for review."""
    lines = [
        line(
            f"Name the {word}",
            successful_diff_summary=DIFF.format(word, word),
            successful_script=SECRET + "# a long script\n" * 60 if word == "parser" else f"{SCRIPT}# {word}\n",
        )
        for word in ("parser", "reader", "writer")
    ]
    send(server, "/api/v1/ingest?name=log.jsonl", b"\n".join(lines) + b"\n")
    page.goto("/candidates/1")
    assert shown(page) == 1
    return page


def open_yields(page: Page) -> None:
    page.keyboard.press("y")
    page.locator("#yields-sum").wait_for()


def row(page: Page, task: str) -> Any:
    return page.locator(f"[id^='yield-{task}-']").first


def test_a_key_opens_it_and_an_example_is_left_out_and_let_pass(page: Page) -> None:
    open_yields(page)
    total = page.locator("#yields-sum strong")
    expect(total).to_have_text("If it is accepted, 2 examples leave and 2 are held back.")

    sft = row(page, "scaffold-sft")
    sft.get_by_text("The texts").click()
    expect(sft.locator(".diff.text").first).to_contain_text("Name the parser")
    sft.get_by_text("Let it pass").first.click()
    sft.get_by_label("Why it may").fill("The key of the manual.")
    sft.get_by_role("button", name="Let it pass").click()
    expect(total).to_have_text("If it is accepted, 3 examples leave and 1 is held back.")
    expect(sft).to_contain_text("Secret let pass by")
    expect(sft.get_by_role("button", name="Take back")).to_be_focused()
    expect(page.locator("#said")).to_have_text("If it is accepted, 3 examples leave and 1 is held back.")
    # What was being read stays open.
    expect(sft.locator(".diff.text").first).to_be_visible()

    search = row(page, "search-contrastive")
    search.get_by_role("button", name="Leave out").click()
    expect(total).to_have_text("If it is accepted, 2 examples leave and 2 are held back.")
    expect(search.get_by_role("button", name="Take in again")).to_be_focused()
    page.keyboard.press("Enter")
    expect(total).to_have_text("If it is accepted, 3 examples leave and 1 is held back.")
    expect(search).not_to_contain_text("Left out by")


def test_it_stays_open_on_the_next_candidate_and_deciding_goes_on(page: Page) -> None:
    open_yields(page)
    assert press(page, "a") == 2
    expect(page.locator("#yields")).to_have_attribute("open", "")
    expect(page.locator("#yields-sum strong")).to_have_text(re.compile("^If it is accepted, 4 examples leave"))
    assert press(page, "x") == 3
    page.keyboard.press("y")
    expect(page.locator("#yields")).not_to_have_attribute("open", "")
    assert press(page, "u") == 2
    expect(page.locator("#yields")).not_to_have_attribute("open", "")


def test_while_it_loads_a_key_decides_all_the_same(page: Page) -> None:
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route("**/candidates/1/examples*", hold)
    page.keyboard.press("y")
    while not waiting:
        page.wait_for_timeout(20)

    assert press(page, "a") == 2
    expect(page.locator("#yields-sum strong")).to_have_text(re.compile("^If it is accepted, 4 examples leave"))
    waiting[0].continue_()
    page.wait_for_timeout(300)
    # The late answer is the other candidate's, and lands nowhere.
    expect(page.locator("#yields-sum strong")).to_have_text(re.compile("^If it is accepted, 4 examples leave"))


def test_texts_that_changed_meanwhile_are_told_and_the_reason_stays(page: Page, server: str) -> None:
    open_yields(page)
    sft = row(page, "scaffold-sft")
    sft.get_by_text("Let it pass").first.click()
    sft.get_by_label("Why it may").fill("The key of the manual.")
    body = {"verdict": "edit", "version": 1, "key": "k1", "edited": {"script": SECRET.replace('"b"', '"c"')}}
    send(server, "/api/v1/candidates/1/decisions", json.dumps(body).encode(), "application/json")

    sft.get_by_role("button", name="Let it pass").click()

    expect(page.locator("#yields-body .notice")).to_contain_text("have changed since you saw them")
    expect(row(page, "scaffold-sft").get_by_label("Why it may")).to_have_value("The key of the manual.")
    row(page, "scaffold-sft").get_by_role("button", name="Let it pass").click()
    expect(row(page, "scaffold-sft")).to_contain_text("Secret let pass by")


def test_axe_finds_nothing_in_it(page: Page) -> None:
    open_yields(page)
    sft = row(page, "scaffold-sft")
    sft.get_by_text("The texts").click()
    expect(sft.locator(".diff.text").first).to_be_visible()
    sft.get_by_text("Let it pass").first.click()
    row(page, "search-contrastive").get_by_role("button", name="Leave out").click()
    expect(row(page, "search-contrastive")).to_contain_text("Left out by")

    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        assert [one["id"] + one["nodes"][0]["html"][:200] for one in violations(page)] == []
    page.goto("/candidates/1/examples")
    assert [one["id"] + one["nodes"][0]["html"][:200] for one in violations(page)] == []


@pytest.mark.parametrize("width", [1400, 390])
def test_it_keeps_to_the_width_of_the_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    open_yields(page)
    row(page, "scaffold-sft").get_by_text("The texts").click()
    expect(row(page, "scaffold-sft").locator(".diff.text").first).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.usefixtures("page")
def test_without_scripts_it_is_a_page_of_its_own(browser: Browser, server: str, trouble: Trouble) -> None:
    context = browser.new_context(base_url=server, java_script_enabled=False)
    plain = context.new_page()
    trouble.watch(plain)
    plain.goto("/candidates/1")
    plain.locator("#yields summary").click()
    plain.get_by_role("link", name="What this candidate yields").click()
    sft = plain.locator("[id^='yield-scaffold-sft-']")
    sft.get_by_text("The texts").click()
    sft.get_by_role("link", name="Show them").click()
    expect(sft.locator(".diff.text").first).to_contain_text("Name the parser")
    sft.get_by_text("Let it pass").first.click()
    sft.get_by_label("Why it may").fill("The key of the manual.")
    sft.get_by_role("button", name="Let it pass").click()
    expect(sft).to_contain_text("Secret let pass by")
    sft.get_by_role("button", name="Leave out").click()
    expect(sft).to_contain_text("Left out by")
    expect(plain.locator("#yields-sum strong")).to_have_text("If it is accepted, 2 examples leave and 2 are held back.")
    context.close()


def test_what_opens_to_be_typed_into_takes_the_keys(page: Page) -> None:
    """The first letter of a reason must not decide."""
    open_yields(page)
    sft = row(page, "scaffold-unpaired")
    sft.get_by_text("say why").click()
    page.keyboard.type("a fixture")
    expect(sft.locator("details[open] input[name=reason]").first).to_have_value("a fixture")
    assert shown(page) == 1
