"""Editing in a real browser: a crash loses nothing, two edits meet, a change is dropped by keyboard."""

import io
import json
import re
import zipfile
from urllib.request import urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.diffs.edit import diff_texts
from tests.e2e.conftest import Trouble
from tests.e2e.test_ladder import send
from tests.logs import SCRIPT, entry

pytestmark = pytest.mark.e2e

BEFORE = "".join(f"value_{n} = {n}\n" for n in range(40))
AFTER = BEFORE.replace("value_3 = 3\n", "value_3 = 'three'\n").replace("value_30 = 30\n", "value_30 = 'thirty'\n")
DIFF = diff_texts(BEFORE, AFTER, "x.py")
CONTENT = ".editor .cm-content"
SAVED = re.compile(r"^(?!.*/edit)")


def fill(address: str) -> None:
    """A patch with two hunks, joined with the patch set that holds its file."""
    said = {
        "patch_set_name": "feature/auto-patch-fix-1", "commit_title": "Auto-apply", "patch_source": "LLMCore",
        "original_spec": {"issue_description": "Fix the parser", "target_files": ["src/x.py"], "operations": []},
        "generation_timestamp_utc": "2025-06-24T13:13:42.343293Z", "commit_builder_version": "0.1.0",
    }  # fmt: skip
    changelog = f"Issue: Fix the parser\n\nSummary of Operations:\n\nDiff Summary:\n{DIFF}"
    log = entry(successful_diff_summary=DIFF, spec_target_files=["src/x.py"])
    with io.BytesIO() as made:
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("success_memory.jsonl", json.dumps(log) + "\n")
            folder = ".autopatches/feature/auto-patch-fix-1"
            archive.writestr(f"{folder}/patch_meta.json", json.dumps(said))
            archive.writestr(f"{folder}/CHANGELOG_PATCH.md", changelog)
            archive.writestr(f"{folder}/src/x.py", AFTER)
        send(address, "/api/v1/ingest?name=logs.zip", made.getvalue())


def stored(address: str) -> str:
    with urlopen(f"{address}/api/v1/candidates/3") as answer:
        history = json.load(answer)["history"]
    return str(history[-1]["edited"]["diff"])


def edited(address: str, script: str, version: int = 1) -> None:
    """Another person's edit of the script."""
    from urllib.request import Request

    body = {"verdict": "edit", "version": version, "key": f"other-{version}", "edited": {"script": script}}
    sent = Request(
        f"{address}/api/v1/candidates/3/decisions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(sent) as answer:
        assert answer.status == 200


@pytest.fixture
def filled(page: Page, server: str) -> Page:
    fill(server)
    page.goto("/candidates/3?status=all")
    expect(page.get_by_text("Pre-image rebuilt")).to_be_visible(timeout=20_000)
    return page


def test_a_crash_of_the_browser_loses_nothing_that_was_typed(
    filled: Page, browser: Browser, server: str, trouble: Trouble
) -> None:
    filled.goto("/candidates/3/edit?field=files")
    filled.locator(CONTENT).press("Control+Home")
    filled.keyboard.type("import one  # typed")
    expect(filled.locator("#kept")).to_have_text("Draft kept")
    filled.keyboard.type(", and on")
    expect(filled.get_by_role("heading", name="The diff that is stored")).to_be_visible()
    filled.context.close()  # as a crash does: what was typed in the last moment goes with the page, if at all

    context = browser.new_context(base_url=server)
    page = context.new_page()
    trouble.watch(page)
    page.goto("/candidates/3/edit")
    expect(page.locator(CONTENT)).to_contain_text("import one  # typed")
    expect(page.locator(".draft")).to_contain_text("Below stands what you typed until")
    page.get_by_role("button", name="Discard the draft").click()
    expect(page.locator(".draft")).to_have_count(0)
    expect(page.locator(CONTENT)).not_to_contain_text("import one")

    context.set_offline(True)
    page.locator(CONTENT).press("Control+Home")
    page.keyboard.type("import two")
    expect(page.locator("#kept")).to_contain_text("this browser keeps the draft")
    context.set_offline(False)
    trouble.found.clear()  # The browser's console names the failed request, rightly.
    page.reload()
    expect(page.locator(CONTENT)).to_contain_text("import two")
    page.locator(CONTENT).press("Control+Enter")
    expect(page).to_have_url(SAVED)
    assert stored(server).startswith("--- a/x.py\n+++ b/x.py\n@@ -1,7 +1,7 @@\n-value_0 = 0\n+import twovalue_0 = 0\n")
    with pytest.raises(Exception, match="404"):
        urlopen(f"{server}/api/v1/candidates/3/draft")
    context.close()


def test_a_change_is_dropped_with_a_key_and_an_error_stands_at_its_line(filled: Page, server: str) -> None:
    filled.goto("/candidates/3/edit?field=diff")
    first, second = filled.locator(".text").nth(0), filled.locator(".text").nth(1)
    expect(first.locator(CONTENT)).to_be_focused()
    filled.keyboard.press("Control+Shift+X")
    expect(first.get_by_role("checkbox", name="Drop this change")).to_be_focused()
    expect(first.locator(CONTENT)).to_be_hidden()
    expect(filled.locator(".rebuilt")).not_to_contain_text("three")
    filled.keyboard.press("Space")
    expect(first.locator(CONTENT)).to_be_visible()
    filled.keyboard.press("Space")
    second.locator(CONTENT).press("Control+Home")
    filled.keyboard.type("broken(:")
    expect(filled.locator("#checks")).to_contain_text("The file could not be read")
    expect(second.locator(".cm-note")).to_have_count(0)  # a hunk is no file: the sentence stands below the texts
    for _ in "broken(:":
        filled.keyboard.press("Backspace")
    expect(filled.locator("#checks .said")).to_have_count(0)
    second.locator(CONTENT).press("Control+Enter")
    expect(filled).to_have_url(SAVED)
    assert stored(server) == DIFF.replace(DIFF[DIFF.index("@@ -1,7") : DIFF.index("@@ -28,7")], "")


def test_two_edits_of_one_version_meet_and_nothing_typed_is_lost(filled: Page, server: str) -> None:
    filled.goto("/candidates/3/edit?field=script")
    filled.locator(CONTENT).press("Control+End")
    filled.keyboard.type("\n# mine")
    edited(server, SCRIPT.replace("import libcst as cst", "import libcst as cst  # theirs"))
    filled.keyboard.press("Control+s")

    expect(filled.locator("#conflict")).to_contain_text("The two do not touch")
    expect(filled.locator(CONTENT)).to_contain_text("cst  # theirs")
    expect(filled.locator(CONTENT)).to_contain_text("# mine")
    edited(server, SCRIPT.replace("import libcst as cst", "import libcst as lib"), version=2)
    filled.locator(CONTENT).press("Control+Home")
    filled.keyboard.type("# at the very start\n")
    filled.keyboard.press("Control+s")
    expect(filled.locator("#conflict")).to_contain_text("They meet at 1 place")
    expect(filled.locator(CONTENT)).to_contain_text("<<<<<<< theirs")
    for scheme in ("light", "dark"):
        filled.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        filled.set_viewport_size({"width": 390, "height": 800})
        found = Axe().run(filled).response["violations"]
        assert found == [], [
            (scheme, node["any"][0]["message"], node["html"]) for one in found for node in one["nodes"]
        ]
        assert filled.evaluate("document.documentElement.scrollWidth") <= 390
    filled.keyboard.press("Control+s")
    expect(filled.locator("#refusal")).to_contain_text("still marks where two edits met")


@pytest.mark.usefixtures("filled")
def test_without_scripts_two_edits_meet_and_a_draft_is_kept(browser: Browser, server: str, trouble: Trouble) -> None:
    context: BrowserContext = browser.new_context(base_url=server, java_script_enabled=False)
    page = context.new_page()
    trouble.watch(page)
    page.goto("/candidates/3/edit?field=diff")
    page.get_by_role("checkbox", name="Drop this change: x.py, from line 28").check()
    page.get_by_role("button", name="Keep as draft").click()
    expect(page.locator(".draft")).to_contain_text("Below stands what you typed until")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator(".rebuilt")).to_contain_text("three")
    expect(page.locator(".rebuilt")).not_to_contain_text("thirty")
    edited(server, SCRIPT + "# theirs\n")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.locator("#conflict")).to_contain_text("The two do not touch")
    page.get_by_role("button", name="Save and go on").click()
    expect(page).to_have_url(SAVED)
    assert stored(server) == DIFF[: DIFF.index("@@ -28,7")]
    context.close()


def test_enter_before_a_line_leaves_its_indentation(filled: Page) -> None:
    filled.goto("/candidates/3/edit?field=script")
    before = filled.locator(CONTENT)
    before.press("Control+Home")
    filled.keyboard.insert_text("def f():\n        return 1\n")
    before.press("Control+Home")
    for key in ("ArrowDown", "Home", "Home"):
        before.press(key)
    filled.keyboard.type("# note")
    before.press("Enter")
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        before.press(key)
    lines = filled.locator(f"{CONTENT} .cm-line").all_inner_texts()
    assert [line.rstrip("\n") for line in lines[:4]] == ["def f():", "# note", "", "        return 1"]
