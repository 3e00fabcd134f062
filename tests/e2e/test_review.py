"""Keys, Back, focus, conflicts and the way without scripts, in a real browser."""

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import Trouble
from tests.e2e.test_walk import press, shown
from tests.logs import line

pytestmark = pytest.mark.e2e


@pytest.fixture
def reviewing(samples: Page) -> Page:
    """The first sample, open for review."""
    samples.get_by_role("link", name="Start reviewing").click()
    shown(samples)
    return samples


def test_back_goes_through_the_candidates_and_the_filtered_queue(samples: Page) -> None:
    page = samples
    page.get_by_label("Search issues, files").fill("cookie")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/queue\?q=cookie$"))
    page.get_by_role("link", name="include samesite and secure").click()
    assert shown(page) == 1
    second = press(page, "a")
    third = press(page, "s")
    assert second != third

    page.go_back()
    expect(page.locator("h1 .dim")).to_have_text(f"#{second}")
    page.go_back()
    expect(page.locator("h1 .dim")).to_have_text("#1")
    expect(page.get_by_text("accepted", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Search issues, files")).to_have_value("cookie")
    page.go_forward()
    expect(page.locator("h1 .dim")).to_have_text("#1")
    assert shown(page) == 1


def test_a_decision_moves_focus_to_the_content_and_is_announced(reviewing: Page) -> None:
    press(reviewing, "a")

    expect(reviewing.get_by_role("main")).to_be_focused()
    expect(reviewing.locator("#said")).to_have_text(re.compile(r"^Accepted #1\. Candidate 2: "))
    expect(reviewing).to_have_title(re.compile(r"^#2 "))


def test_a_held_key_decides_once(reviewing: Page) -> None:
    reviewing.keyboard.down("s")
    for _ in range(20):
        reviewing.keyboard.down("s")
    reviewing.keyboard.up("s")

    assert shown(reviewing) == 2


def test_keys_are_letters_while_a_comment_is_typed(reviewing: Page) -> None:
    reviewing.get_by_label("Comment", exact=True).click()
    reviewing.keyboard.type("axes of a fuse?")

    assert shown(reviewing) == 1
    expect(reviewing.get_by_label("Comment", exact=True)).to_have_value("axes of a fuse?")


def test_keys_with_a_modifier_belong_to_the_browser(reviewing: Page) -> None:
    for key in ("Control+a", "Alt+x", "Meta+s", "Backspace", "Enter", "ArrowRight"):
        reviewing.keyboard.press(key)

    assert shown(reviewing) == 1


def test_n_and_p_walk_without_deciding(reviewing: Page) -> None:
    assert press(reviewing, "n") == 2
    assert press(reviewing, "n") == 3
    assert press(reviewing, "p") == 2
    expect(reviewing.get_by_text("12 left")).to_be_visible()


def test_m_shows_both_sides_and_the_next_candidate_remembers(reviewing: Page) -> None:
    reviewing.get_by_label("Comment", exact=True).fill("half a thought")
    reviewing.get_by_role("heading", level=1).click()
    reviewing.keyboard.press("m")
    expect(reviewing.locator("#diff .sp").first).to_be_visible()
    expect(reviewing.get_by_label("Comment", exact=True)).to_have_value("half a thought")
    expect(reviewing).to_have_url(re.compile("view=split"))

    press(reviewing, "n")
    expect(reviewing.locator("#diff .sp").first).to_be_visible()


def test_j_and_k_step_through_the_changes(reviewing: Page) -> None:
    reviewing.keyboard.press("j")
    expect(reviewing.locator("[data-hunk]").nth(0)).to_be_focused()
    reviewing.keyboard.press("j")
    expect(reviewing.locator("[data-hunk]").nth(1)).to_be_focused()
    reviewing.keyboard.press("k")
    expect(reviewing.locator("[data-hunk]").nth(0)).to_be_focused()


def test_c_opens_the_script_and_it_stays_open_for_the_next(reviewing: Page) -> None:
    press(reviewing, "n")
    reviewing.keyboard.press("c")
    expect(reviewing.locator("#script .script")).to_be_visible()

    press(reviewing, "n")
    expect(reviewing.locator("#script .script")).to_be_visible()


def test_a_slash_searches_and_a_question_mark_lists_the_keys(reviewing: Page) -> None:
    reviewing.keyboard.press("?")
    expect(reviewing.get_by_role("dialog")).to_contain_text("Flag for a second look")
    reviewing.keyboard.press("a")
    reviewing.keyboard.press("Escape")
    assert shown(reviewing) == 1
    reviewing.keyboard.press("/")
    expect(reviewing.get_by_label("Search issues, files")).to_be_focused()


def test_a_candidate_that_someone_else_decided_keeps_what_was_typed(reviewing: Page, context: BrowserContext) -> None:
    other = context.new_page()
    other.goto("/candidates/1")
    press(other, "a")

    reviewing.get_by_label("Comment", exact=True).fill("I would not")
    reviewing.get_by_role("button", name="Reject").click()
    reviewing.locator("#refused").get_by_role("link", name="Look at it again").click()

    alert = reviewing.locator("#candidate").get_by_role("alert")
    expect(alert).to_contain_text("you saw version 1, it is version 2 and accepted now")
    expect(reviewing.get_by_label("Comment", exact=True)).to_have_value("I would not")
    reviewing.get_by_role("button", name="Reject").click()
    expect(reviewing.locator(".toast")).to_have_text("Rejected #1")


def test_a_server_that_is_gone_loses_nothing_that_was_typed(
    reviewing: Page, context: BrowserContext, trouble: Trouble
) -> None:
    reviewing.get_by_label("Comment", exact=True).fill("a long thought")
    context.set_offline(True)
    reviewing.get_by_role("button", name="Accept").click()

    expect(reviewing.get_by_text("1 waiting for the server")).to_be_visible()
    context.set_offline(False)
    trouble.found.clear()  # The browser's console names the failed request, rightly.
    expect(reviewing.get_by_text("Saved", exact=True)).to_be_visible()
    reviewing.goto("/candidates/1?status=all")
    expect(reviewing.locator(".history")).to_contain_text("a long thought")


def test_an_edit_that_changes_nothing_says_so_and_stays(reviewing: Page) -> None:
    press(reviewing, "n")
    reviewing.keyboard.press("e")
    expect(reviewing.locator(".editor .cm-content")).to_be_focused()
    reviewing.keyboard.press("Control+Enter")

    expect(reviewing.locator("#refusal")).to_have_text("Nothing was changed, so no edit was recorded.")
    reviewing.keyboard.press("Escape")
    assert shown(reviewing) == 2
    expect(reviewing.get_by_text("History")).to_be_hidden()


def test_the_changed_lines_of_a_patch_can_be_edited_hunk_by_hunk(reviewing: Page) -> None:
    reviewing.keyboard.press("e")
    editors = reviewing.locator(".editor .cm-content")
    expect(editors.first).to_be_focused()
    assert editors.count() == 2
    reviewing.keyboard.press("Control+Home")
    reviewing.keyboard.type("# seen\n")
    reviewing.get_by_role("button", name="Save and go on").click()

    expect(reviewing.locator(".toast")).to_have_text("Edited #1")
    reviewing.goto("/candidates/1?status=all")
    reviewing.get_by_text("The diff as edited").click()
    expect(reviewing.locator(".history .diff")).to_contain_text("# seen")


def test_colours_follow_the_switch_and_are_remembered(samples: Page) -> None:
    samples.get_by_label("Colours").select_option("dark")
    expect(samples.locator("html")).to_have_attribute("data-theme", "dark")
    samples.reload()
    expect(samples.locator("html")).to_have_attribute("data-theme", "dark")


def test_without_scripts_plain_forms_decide_edit_undo_and_export(browser: Browser, server: str) -> None:
    page = browser.new_page(base_url=server, java_script_enabled=False)
    page.goto("/queue")
    page.get_by_role("button", name="Load 12 sample patches").click()
    page.get_by_role("link", name="Start reviewing").click()
    page.locator("label", has_text="Wrong fix").click()
    page.get_by_role("button", name="Reject").click()
    expect(page.locator(".toast")).to_have_text("Rejected #1")

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Script", exact=True).fill("import libcst as cst\n")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.locator(".toast")).to_have_text("Edited #2")

    page.get_by_role("button", name="Undo").click()
    expect(page.locator("h1 .dim")).to_have_text("#2")
    expect(page.get_by_text("(taken back)")).to_be_visible()
    page.get_by_role("button", name="Accept").click()

    page.get_by_role("link", name="Exports").click()
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as waited:
        page.get_by_role("link", name="Download").click(timeout=20_000)
    assert waited.value.suggested_filename.endswith(".zip")
    page.close()


def test_a_dropped_file_is_imported_wherever_it_falls(page: Page) -> None:
    page.goto("/imports")
    page.evaluate(
        """(text) => {
            const files = new DataTransfer();
            files.items.add(new File([text], "log.jsonl"));
            document.body.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: files}));
        }""",
        line("dropped").decode() + "\n{broken\n",
    )

    expect(page.get_by_role("heading", level=1)).to_have_text("log.jsonl")
    expect(page.get_by_text("2 entries = 1 new + 0 repeated + 1 quarantined")).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
def test_the_guideline_covers_nothing_and_the_diff_has_most_of_the_screen(
    samples: Page, width: int, height: int
) -> None:
    page = samples
    page.set_viewport_size({"width": width, "height": height})
    page.goto("/candidates/6?view=split")
    shown(page)
    page.keyboard.press("d")
    expect(page.locator("#guide")).to_be_visible()
    page.keyboard.press("j")
    guide, diff, bar = (
        page.locator(one).evaluate("one => one.getBoundingClientRect().toJSON()")
        for one in ("#guide", "#diff [data-hunk][aria-current]", ".decide")
    )
    assert diff["right"] <= guide["left"] or guide["bottom"] <= diff["top"] < bar["top"]
    # The bar at the foot leaves most of the screen, and with the guideline open still half of it.
    taken = guide["height"] if width < 900 else 0
    assert bar["bottom"] == height
    assert bar["top"] - taken >= height / 2
