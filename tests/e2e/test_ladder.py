"""The ladder in a real browser: walked with keys and with links, with and without scripts, and never jumping."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_walk import shown
from tests.logs import SCRIPT, entry

pytestmark = pytest.mark.e2e

_START = "PatchApplicationError: Failed to apply LibCST script: "
_BROKEN = SCRIPT.replace("class Change(VisitorBasedCodemodCommand):", "class Change(VisitorBasedCodemodCommand)")
_DRAFT = SCRIPT.replace("import libcst as cst\n", "")
_TRACEBACK = (
    'Traceback (most recent call last):\n  File "/srv/agent/tool.py", line 88, in apply\n    run(command)\n'
    '  File "<string>", line 6, in leave_Name\n    return updated_node.with_changes(value="b")\n'
    "NameError: name 'cst' is not defined"
)
REPAIRED = SCRIPT.replace('value="b"', 'value="b2"')
ATTEMPTS = [
    [_BROKEN, False, 0.0, f"{_START}Syntax error in LibCST script string: expected ':' (<unknown>, line 5)"],
    [_BROKEN, "pending_revalidation", 0.0, "Heuristic fix applied, pending re-validation"],
    [_DRAFT, False, 0.5, _TRACEBACK],
    [REPAIRED, True, 0.7, None],
    [SCRIPT, True, 0.9, None],
]


def send(address: str, path: str, body: bytes) -> Any:
    with urlopen(Request(address + path, body, {"Content-Type": "application/octet-stream"})) as answer:
        return json.load(answer)


def fill(address: str, attempts: list[list[object]]) -> None:
    """A success with its run, and another patch without one."""
    lines = [entry(), entry("Name the reader", successful_script="import b\n")]
    send(address, "/api/v1/ingest?name=log.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    send(address, "/api/v1/ingest?name=run_1.json", json.dumps({"run_id": "r1", "patch_history": attempts}).encode())


@pytest.fixture
def ladder(page: Page, server: str) -> Page:
    """A success with five attempts, open for review on a laptop's screen."""
    fill(server, ATTEMPTS)
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto("/candidates/1?status=all")
    shown(page)
    return page


def press(page: Page, key: str, number: int, base: str = "previous") -> None:
    """Press a key of the ladder; it then shows that attempt against that base."""
    shown(page)
    page.keyboard.press(key)
    expect(page.locator("#attempt > h3")).to_contain_text(f"Attempt {number} of ")
    expect(page.locator(".bases [aria-current]")).to_have_text(base)
    expect(page).to_have_url(re.compile(rf"[?&]attempt={number}&base={base}\b"))
    shown(page)


def test_h_and_l_walk_a_repair_from_its_scaffold_to_its_success(ladder: Page) -> None:
    page = ladder
    expect(page.locator("#attempt > h3")).to_contain_text("Attempt 5 of 5")
    for number in (4, 3, 2, 1):
        press(page, "h", number)
        expect(page.locator("#attempt > h3")).to_be_in_viewport()
    press(page, "h", 1)
    expect(page.locator(".trace")).to_contain_text("The script does not parse")
    expect(page.locator("#said")).to_have_text(re.compile("^Attempt 1 of 5: scaffold, invalid. The script does not"))

    press(page, "l", 2)
    expect(page.locator("#attempt")).to_contain_text("The same script as attempt 1, to the letter.")
    press(page, "l", 3)
    expect(page.locator(".trace")).to_contain_text("NameError: name 'cst' is not defined")
    press(page, "l", 4)
    expect(page.locator("#attempt > header h4")).to_have_text("From attempt 3 to attempt 4")
    press(page, "l", 5)
    expect(page.locator("#attempt .diff td.a")).to_contain_text('value="b"')
    expect(page.locator("#attempt")).to_contain_text("the one that stands")


def test_b_changes_the_base_and_the_next_attempt_keeps_it(ladder: Page) -> None:
    page = ladder
    press(page, "h", 4)
    press(page, "b", 4, "final")
    expect(page.locator("#attempt > header h4")).to_have_text("From attempt 4 to attempt 5")
    press(page, "b", 4, "scaffold")
    expect(page.locator("#attempt > header h4")).to_have_text("From attempt 1 to attempt 4")
    press(page, "h", 3, "scaffold")
    press(page, "b", 3, "previous")


def test_walking_moves_nothing_above_the_attempt_that_changes(ladder: Page) -> None:
    page = ladder
    press(page, "h", 4)
    places = set()
    for key, number in (("h", 3), ("h", 2), ("h", 1), ("l", 2), ("l", 3), ("l", 4), ("l", 5)):
        press(page, key, number)
        boxes = [page.locator(name).bounding_box() for name in ("#ladder", ".rungs", "#rung-later", "#attempt")]
        places.add(tuple(round(box["y"]) for box in boxes if box))

    assert len(places) == 1
    assert len(next(iter(places))) == 4


def test_the_address_says_what_is_shown_and_back_leaves_the_candidate(ladder: Page) -> None:
    page = ladder
    page.goto("/queue?status=all")
    page.get_by_role("link", name="Fix the parser").click()
    press(page, "h", 4)
    press(page, "h", 3)
    press(page, "b", 3, "final")
    page.keyboard.press("m")
    expect(page.locator("#diff.split")).to_be_visible()
    expect(page).to_have_url(re.compile(r"attempt=3&base=final&view=split"))

    page.reload()
    expect(page.locator("#attempt > h3")).to_contain_text("Attempt 3 of 5")
    expect(page.locator("#diff.split")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile(r"/queue\?status=all$"))


def test_a_frame_leads_to_its_line_of_the_script_and_back(ladder: Page) -> None:
    page = ladder
    press(page, "h", 4)
    press(page, "h", 3)
    page.get_by_role("link", name="script, line 6").click()
    line = page.locator("#attempt-line-6")
    expect(line).to_be_in_viewport()
    expect(line.locator("xpath=following-sibling::tr[1]")).to_contain_text("NameError: name 'cst' is not defined")

    page.go_back()
    expect(page.locator("#attempt > h3")).to_contain_text("Attempt 3 of 5")


def test_a_decision_after_a_walk_goes_on_to_the_next_candidate(ladder: Page) -> None:
    page = ladder
    page.goto("/candidates/1")
    press(page, "h", 4)
    page.get_by_label("Comment", exact=True).fill("The repair did it.")
    press_out = page.locator("main")
    press_out.focus()
    page.keyboard.press("h")
    expect(page.locator("#attempt > h3")).to_contain_text("Attempt 3 of 5")
    expect(page.get_by_label("Comment", exact=True)).to_have_value("The repair did it.")
    shown(page)
    page.keyboard.press("a")

    expect(page.locator("h1")).to_contain_text("Name the reader")
    expect(page.locator(".toast")).to_have_text("Accepted #1")
    expect(page.locator("#ladder")).to_have_count(0)


def test_a_long_run_scrolls_within_its_list_and_keeps_the_attempt_in_sight(page: Page, server: str) -> None:
    drafts: list[list[object]] = [
        [SCRIPT.replace('"b"', f'"b{n}"'), False, 0.1, f"{_START}Error executing LibCST script string: no {n}"]
        for n in range(80)
    ]
    fill(server, [*drafts, *ATTEMPTS[-1:]])
    page.goto("/candidates/1?status=all&attempt=40")
    shown(page)
    expect(page.locator("#rung-40")).to_be_in_viewport()
    for number in range(39, 33, -1):
        press(page, "h", number)
        expect(page.locator(f"#rung-{number}")).to_be_in_viewport()
    page.locator("#rung-30").click()
    expect(page.locator("#attempt > h3")).to_contain_text("Attempt 30 of 81")
    expect(page.locator("#rung-30")).to_be_focused()


def test_without_scripts_links_walk_and_choose_the_base(browser: Browser, server: str) -> None:
    fill(server, ATTEMPTS)
    page = browser.new_page(base_url=server, java_script_enabled=False)
    page.goto("/candidates/1?status=all")
    page.get_by_role("link", name="Earlier").click()
    expect(page.locator("#attempt > h3")).to_contain_text("Attempt 4 of 5")
    expect(page.locator("#rung-4")).to_be_in_viewport()
    page.get_by_role("link", name="final", exact=True).click()
    expect(page.locator("#attempt > header h4")).to_have_text("From attempt 4 to attempt 5")
    page.locator("#rung-3").click()
    page.get_by_role("link", name="script, line 6").click()
    expect(page.locator("#attempt-line-6")).to_be_in_viewport()
    expect(page).to_have_url(re.compile(r"attempt=3&base=final&status=all#attempt-line-6$"))
    page.close()


@pytest.fixture(params=[("light", 1400), ("dark", 1400), ("light", 390), ("dark", 390)], ids=str)
def looked_at(request: pytest.FixtureRequest, browser: Browser, server: str) -> Iterator[Page]:
    scheme, width = request.param
    page = browser.new_page(base_url=server, color_scheme=scheme, viewport={"width": width, "height": 844})
    yield page
    page.close()


def test_no_attempt_has_a_barrier_or_is_wider_than_the_screen(looked_at: Page, server: str) -> None:
    page = looked_at
    fill(server, ATTEMPTS)
    found: list[str] = []
    for query in ("attempt=1", "attempt=2", "attempt=3&base=final", "attempt=5&view=split"):
        page.goto(f"/candidates/1?{query}")
        found += [f"{query}: {one['id']} {one['nodes'][0]['html'][:200]}" for one in _barriers(page)]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"too wide: {query}")

    assert found == []


def _barriers(page: Page) -> list[dict[str, Any]]:
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return violations
