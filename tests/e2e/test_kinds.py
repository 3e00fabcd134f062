"""Specs and style candidates in a real browser: keys, the editor and its check, narrow, dark, and without scripts."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_walk import press, shown
from tests.web.test_kinds import LINES, REFINED, YAML, refine_line, spec_line, unify_line

pytestmark = pytest.mark.e2e

SPEC, REFINE, UNIFY, CUT = 1, 2, 3, 4


@pytest.fixture
def kinds(page: Page, server: str, tmp_path: Path) -> Page:
    """A spec, a fingerprint, a profile and a cut spec, the first open for review."""
    log = tmp_path / "pairs.jsonl"
    log.write_bytes(
        b"\n".join([spec_line(), refine_line(), unify_line(), spec_line(yaml_spec_string=YAML[:160])]) + b"\n"
    )
    page.request.post(f"{server}/api/v1/ingest?name=pairs.jsonl", data=log.read_bytes())
    page.goto(f"/candidates/{SPEC}")
    shown(page)
    return page


def open_editor(page: Page, number: int) -> None:
    page.goto(f"/candidates/{number}/edit")
    expect(page.locator(".editor .cm-content")).to_be_focused()


@pytest.mark.parametrize("is_ahead", [True, False])
def test_keys_decide_on_every_kind_and_take_back(kinds: Page, *, is_ahead: bool) -> None:
    if not is_ahead:
        kinds.route("**/queue/ahead*", lambda route: route.abort())
        kinds.reload()
    assert press(kinds, "a") == REFINE
    expect(kinds.locator(".toast")).to_have_text("Accepted #1")
    assert press(kinds, "x") == UNIFY
    assert press(kinds, "u") == REFINE
    expect(kinds.locator("#said")).to_have_text(
        re.compile(r"^Undone: #2\. Candidate 2, Refined fingerprint, 0 findings")
    )
    assert press(kinds, "n") == UNIFY
    expect(kinds.locator(".toast")).to_be_hidden()
    assert press(kinds, "p") == REFINE


def test_a_symbol_opens_to_its_code(kinds: Page) -> None:
    kinds.get_by_text("click.testing.EchoingStdin").click()

    expect(kinds.get_by_text("class EchoingStdin(object):")).to_be_visible()


def test_what_the_check_says_follows_the_typing(kinds: Page) -> None:
    open_editor(kinds, SPEC)
    expect(kinds.locator("#checks")).to_contain_text("Nothing.")
    kinds.keyboard.press("Control+End")
    kinds.keyboard.type("priority: high")

    expect(kinds.locator(".cm-note-warning")).to_contain_text("no field “priority”")
    expect(kinds.locator("#checks .n")).to_have_text("1")
    kinds.keyboard.press("Control+Home")
    kinds.keyboard.press("Enter")
    expect(kinds.locator("#checks .where")).to_have_text("spec:10")
    kinds.keyboard.press("Control+End")
    for _ in "priority: high":
        kinds.keyboard.press("Backspace")
    expect(kinds.locator("#checks")).to_contain_text("Nothing.")
    expect(kinds.locator(".cm-note")).to_have_count(0)


def test_an_edit_of_the_yaml_shows_its_difference_and_is_saved(kinds: Page) -> None:
    kinds.keyboard.press("e")
    editor = kinds.locator(".editor .cm-content")
    expect(editor).to_be_focused()
    kinds.keyboard.press("Control+Home")
    kinds.keyboard.press("End")
    kinds.keyboard.type(" Now.")
    expect(kinds.locator(".cm-deletedLine")).to_have_text("issue_description: Use readline() on 2.x for fixup stream.")
    kinds.keyboard.press("Control+Enter")

    expect(kinds.locator(".toast")).to_have_text("Edited #1")
    kinds.goto(f"/candidates/{SPEC}?status=all")
    expect(kinds.locator("#made .diff.unified")).to_contain_text("fixup stream. Now.")


def test_yaml_that_cannot_be_read_is_not_saved_and_stays(kinds: Page) -> None:
    open_editor(kinds, SPEC)
    kinds.keyboard.press("Control+End")
    kinds.keyboard.type("- [")
    kinds.keyboard.press("Control+Enter")

    expect(kinds.locator("#refusal")).to_contain_text("Mend it and save again.")
    expect(kinds.locator(".editor .cm-content")).to_contain_text("- [")
    expect(kinds.locator(".cm-note-hold")).to_be_visible()


def test_values_are_compared_field_by_field_while_they_are_typed(kinds: Page) -> None:
    open_editor(kinds, REFINE)
    kinds.keyboard.press("Control+End")
    kinds.keyboard.press("Backspace")
    kinds.keyboard.type('ish"')

    docstyle = kinds.locator("#checks").get_by_role("row", name="docstyle")
    expect(docstyle).to_contain_text("plainish edited")
    expect(kinds.locator(".cm-note-warning")).to_contain_text("docstyle must be one of google")


def test_a_profile_is_edited_as_json(kinds: Page) -> None:
    open_editor(kinds, UNIFY)
    kinds.keyboard.press("Control+Home")
    kinds.keyboard.press("ArrowDown")
    kinds.keyboard.press("End")
    kinds.keyboard.press("ArrowLeft")
    kinds.keyboard.press("Backspace")
    kinds.keyboard.type("8")

    expect(kinds.locator(".cm-note-warning")).to_contain_text("indent_width is 8, but the samples say 4 (100%).")
    kinds.keyboard.press("Control+s")
    expect(kinds.locator(".toast")).to_have_text("Edited #3")


def test_a_cut_spec_says_so_at_its_line(kinds: Page) -> None:
    kinds.goto(f"/candidates/{CUT}")

    expect(kinds.locator(".facts")).to_contain_text("spec cut")
    expect(kinds.locator("#made .note").last).to_be_visible()


@pytest.mark.parametrize("number", [SPEC, REFINE, UNIFY, CUT])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_pages_are_readable_for_everybody(kinds: Page, number: int, scheme: str, width: int) -> None:
    kinds.set_viewport_size({"width": width, "height": 900})
    kinds.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for address in (f"/candidates/{number}", f"/candidates/{number}/edit"):
        kinds.goto(address)
        if address.endswith("edit"):
            expect(kinds.locator(".editor .cm-content")).to_be_focused()

        assert kinds.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = Axe().run(kinds)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.usefixtures("kinds")
def test_without_scripts_a_text_is_checked_edited_and_kept(browser: Browser, server: str) -> None:
    page = browser.new_page(base_url=server, java_script_enabled=False)
    page.goto(f"/candidates/{REFINE}")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Refined fingerprint", exact=True).fill(REFINED[:-3])
    page.get_by_label("Comment", exact=True).fill("half")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("What the checks say 1")).to_be_visible()
    expect(page.get_by_label("Comment", exact=True)).to_have_value("half")

    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_role("alert").filter(has_text="Mend it and save again.")).to_be_visible()
    page.get_by_label("Refined fingerprint", exact=True).fill(REFINED.replace("72", "79"))
    page.get_by_role("button", name="Save and go on").click()
    expect(page.locator(".toast")).to_have_text("Edited #2")
    page.close()


def test_the_queue_is_filtered_by_kind(kinds: Page) -> None:
    kinds.goto("/queue")
    kinds.get_by_text("Filters").click()
    kinds.get_by_label("Kind").select_option("profile")

    expect(kinds).to_have_url(re.compile(r"/queue\?kind=style_unify$"))
    expect(kinds.locator("[data-row]")).to_have_count(1)
    assert len(LINES) == 3
