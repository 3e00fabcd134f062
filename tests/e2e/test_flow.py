"""A sitting by keyboard alone: decisions, reasons, undo and redo at random, a reload, and a network that goes away.

Small here; `PATCHSIFT_JOURNEY=200 python -m pytest tests/e2e/test_flow.py -k journey -s` walks two hundred decisions.
"""

import json
import os
import random
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.e2e.conftest import Trouble
from tests.e2e.test_pages import violations
from tests.e2e.test_walk import press, shown
from tests.logs import SCRIPT, line

pytestmark = pytest.mark.e2e

N_DECISIONS = int(os.environ.get("PATCHSIFT_JOURNEY", "40"))
AHEAD = 3
STATUS = {"a": "accepted", "x": "rejected", "s": "skipped", "f": "flagged"}
CODES = ("wrong_fix", "incomplete", "style")
DIFF = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n def first():\n-    return {0}\n+    return {0}_2\n"


def call(address: str, path: str, body: bytes | None = None, kind: str = "application/octet-stream") -> Any:
    with urlopen(Request(address + path, body, {"Content-Type": kind})) as answer:
        return json.load(answer)


def fill(address: str, n: int) -> None:
    lines = [
        line(f"Name thing {k}", successful_diff_summary=DIFF.format(f"name_{k}"), successful_script=f"{SCRIPT}# {k}\n")
        for k in range(n)
    ]
    call(address, "/api/v1/ingest?name=log.jsonl", b"\n".join(lines) + b"\n")


def ready(page: Page, n: int = AHEAD) -> None:
    """Wait until the next candidates are here and everything decided is stored."""
    until(page, f"fetched.size >= {n} && listWaiting().length === 0")


def until(page: Page, holds: str) -> None:
    """Wait for the scripts of the page; the page's own policy forbids Playwright's way."""
    while not page.evaluate(holds):
        page.wait_for_timeout(20)


@dataclass
class Sitting:
    """What ought to be so: the state of every candidate, what can be taken back, what can be done again."""

    n: int
    at: int = 1
    status: dict[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    past: list[int] = field(default_factory=list)
    undone: list[tuple[int, tuple[str, tuple[str, ...]]]] = field(default_factory=list)

    def decide(self, status: str, reasons: tuple[str, ...] = ()) -> None:
        self.status[self.at] = (status, reasons)
        self.past.append(self.at)
        left = [k for k in range(1, self.n + 1) if k not in self.status]
        self.at = next((k for k in left if k > self.at), left[0])

    def undo(self) -> None:
        self.at = self.past.pop()
        self.undone.append((self.at, self.status.pop(self.at)))

    def redo(self) -> None:
        _, (status, reasons) = self.undone.pop()
        self.decide(status, reasons)


def step(page: Page, sitting: Sitting, chance: random.Random) -> bool:
    """One random key that must be right now; True when it decided something."""
    assert shown(page) == sitting.at
    key = chance.choices("axsfuU", (40, 25, 10, 5, 14, 6))[0]
    if key == "u" and sitting.past:
        page.keyboard.press("u")
        sitting.undo()
    elif key == "U" and sitting.undone:
        page.keyboard.press("U")
        sitting.redo()
    elif key in STATUS:
        reasons: tuple[str, ...] = ()
        page.keyboard.press(key)
        if key == "x" and chance.random() < 0.5 and page.evaluate("findHeld() !== null && again !== null"):
            digit = chance.randrange(len(CODES))
            page.keyboard.press(str(digit + 1))
            if page.evaluate("one('.toast').textContent.includes(':')"):
                reasons = (CODES[digit],)
            else:  # the moment was over, and the digit marks what is on the screen now
                page.keyboard.press(str(digit + 1))
        sitting.decide(STATUS[key], reasons)
        sitting.undone.clear()
    else:
        return False
    return key not in "uU"


def states(address: str, n: int, most: int = 1) -> dict[int, tuple[str, tuple[str, ...]]]:
    found = {}
    for number in range(1, n + 1):
        opened = call(address, f"/api/v1/candidates/{number}")
        taken_back = {one["undoes"] for one in opened["history"]}
        standing = [one for one in opened["history"] if one["verdict"] != "undo" and one["id"] not in taken_back]
        assert len(standing) <= most, "decided twice"
        if opened["status"] != "pending":
            found[number] = (opened["status"], tuple(standing[-1]["reasons"]))
    return found


def test_a_journey_by_keyboard_ends_with_exactly_what_was_decided(
    page: Page, server: str, context: BrowserContext, trouble: Trouble
) -> None:
    sitting = Sitting(N_DECISIONS + 10)
    fill(server, sitting.n)
    chance = random.Random(6)
    page.goto("/queue/start")
    began, n = time.monotonic(), 0
    while n < N_DECISIONS:
        n += step(page, sitting, chance)
        if n == N_DECISIONS // 4:
            page.reload()
        if n == N_DECISIONS // 2 and not sitting.undone:
            n += go_on_alone(page, sitting, context, trouble)
    assert shown(page) == sitting.at
    ready(page)
    print(f"\n{n} decisions by keyboard in {time.monotonic() - began:.0f} s")

    assert states(server, sitting.n) == sitting.status


def go_on_alone(page: Page, sitting: Sitting, context: BrowserContext, trouble: Trouble) -> int:
    """The network goes, three more are decided, one taken back and decided otherwise; then it comes back."""
    assert shown(page) == sitting.at
    ready(page)
    context.set_offline(True)
    for key in ("a", "x"):
        page.keyboard.press(key)
        sitting.decide(STATUS[key])
        assert shown(page) == sitting.at
    page.keyboard.press("u")
    sitting.undo()
    assert shown(page) == sitting.at
    for key in ("s", "a"):
        page.keyboard.press(key)
        sitting.decide(STATUS[key])
        sitting.undone.clear()
        if key == "s":
            assert shown(page) == sitting.at
    shown(page)
    page.keyboard.press("f")
    sitting.decide(STATUS["f"])
    expect(page.get_by_role("heading", level=1)).to_have_text("No further candidate is here")
    expect(page.locator("[data-waiting]")).to_have_text("4 decisions wait")
    expect(page.locator("#outbox")).to_have_text("4 waiting for the server")
    assert violations(page) == []
    for keys in ("a", "p", "gq"):
        for key in keys:
            page.keyboard.press(key)
    expect(page.locator("#notice")).to_contain_text("There is no network")
    expect(page.locator("#notice")).to_contain_text("4 decisions wait here")
    context.set_offline(False)
    # The browser's console names the failed requests, rightly.
    trouble.found.clear()
    assert shown(page) == sitting.at
    return 5


def test_what_waits_survives_a_tab_that_goes_away_and_is_stored_once(
    page: Page, server: str, context: BrowserContext, trouble: Trouble
) -> None:
    fill(server, 6)
    page.goto("/candidates/1")
    shown(page)
    ready(page)
    context.route("**/api/v1/candidates/*/decisions", lambda route: route.abort())
    assert press(page, "a") == 2
    assert press(page, "x") == 3
    trouble.found.clear()
    page.close()

    context.unroute("**/api/v1/candidates/*/decisions")
    other = context.new_page()
    other.goto("/imports")
    expect(other.locator("#outbox")).to_have_text("Saved")
    assert states(server, 6) == {1: ("accepted", ()), 2: ("rejected", ())}


def test_without_a_network_nothing_is_decided_twice_and_no_key_leaves_the_page(
    page: Page, server: str, context: BrowserContext, trouble: Trouble
) -> None:
    fill(server, 3)
    for script in ("**/again.js*", "**/queue/ahead*"):  # nothing was fetched before the network went
        context.route(script, lambda route: route.abort())
    page.goto("/candidates/1")
    shown(page)
    context.set_offline(True)
    for keys in ("e", "p", "n", "gq"):
        for key in keys:
            page.keyboard.press(key)
        expect(page.locator("#notice")).to_contain_text("There is no network, or the server does not answer")
        page.evaluate("one('#notice').replaceChildren()")
    page.evaluate("for (let n = 0; n < 2; n += 1) one('button.accept').click()")
    expect(page.locator("#notice")).to_contain_text("Accepted #1 already; u takes that back.")
    expect(page.locator("#outbox")).to_have_text("1 waiting for the server")
    assert trouble.found == []
    context.unroute("**/again.js*")
    context.set_offline(False)
    expect(page.locator("h1 .dim")).to_have_text("#2")
    ready(page, 0)
    assert states(server, 3) == {1: ("accepted", ())}


def test_what_a_person_typed_and_set_is_there_again(page: Page, server: str, context: BrowserContext) -> None:
    fill(server, 3)
    page.goto("/candidates/1")
    shown(page)
    page.get_by_label("Comment", exact=True).fill("Half of the")
    with page.expect_response("**/api/v1/candidates/1/draft"):
        page.get_by_label("Comment", exact=True).press("Escape")
    with page.expect_response("**/preferences/wrap"):
        page.keyboard.press("w")
    page.evaluate("localStorage.clear(); sessionStorage.clear()")  # as if it were another browser
    other = context.new_page()
    other.goto("/candidates/1")
    shown(other)
    expect(other.get_by_label("Comment", exact=True)).to_have_value("Half of the")
    expect(other.locator("html")).to_have_class("no-wrap")

    context.route("**/api/v1/candidates/1/draft", lambda route: route.abort())
    other.get_by_label("Comment", exact=True).fill("Half of the names")
    until(other, "hasRemarks(1)")
    other.close()
    context.unroute("**/api/v1/candidates/1/draft")
    page.reload()
    expect(page.get_by_label("Comment", exact=True)).to_have_value("Half of the names")
    until(page, "!hasRemarks(1)")
    page.keyboard.press("e")
    expect(page.get_by_label("Comment", exact=True)).to_have_value("Half of the names")
    page.locator(".editor .cm-content").first.press("Control+End")
    page.keyboard.type("# said otherwise")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toast")).to_have_text("Edited #1")
    (edited,) = call(server, "/api/v1/candidates/1")["history"]
    assert (edited["n_seen"], edited["n_hunks"], edited["comment"]) == (1, 1, "Half of the names")
    assert 0 < edited["spent_ms"] < 600_000


def test_a_refused_decision_comes_back_and_keeps_the_others_moving(page: Page, server: str) -> None:
    fill(server, 6)
    page.goto("/candidates/1")
    shown(page)
    ready(page)
    body = json.dumps({"verdict": "skip", "version": 1, "key": "another"}).encode()
    page.get_by_label("Comment", exact=True).fill("not this one")
    page.keyboard.press("Escape")
    call(server, "/api/v1/candidates/1/decisions", body, "application/json")
    page.keyboard.press("a")

    # Whoever reads the next one goes on reading it.
    expect(page.locator("#refused")).to_contain_text("it is version 2 and skipped now")
    assert shown(page) == 2
    page.get_by_role("link", name="Look at it again").click()
    expect(page.locator("#candidate").get_by_role("alert")).to_contain_text("it is version 2 and skipped now")
    expect(page.locator("#candidate").get_by_role("alert")).to_contain_text("Your accept was not stored.")
    expect(page.get_by_label("Comment", exact=True)).to_have_value("not this one")
    assert shown(page) == 1
    # It belongs to its candidate: whoever goes on is not followed by it, and it is there again with the candidate.
    assert press(page, "n") == 2
    expect(page.locator("#refused > *")).to_have_count(0)
    page.goto("/candidates/1")
    expect(page.locator("[data-refused]")).to_contain_text("Your accept was not stored.")
    shown(page)
    ready(page)
    assert press(page, "x") == 2
    assert press(page, "a") == 3
    ready(page, 2)
    assert states(server, 6, most=2) == {1: ("rejected", ()), 2: ("accepted", ())}


def test_at_rest_the_editor_comes_by_itself(page: Page, server: str) -> None:
    fill(server, 1)
    page.goto("/candidates/1")

    expect(page.locator("link[rel=modulepreload]")).to_have_attribute("href", re.compile("/editor.js"))


STAGGERED = """async () => {
  const came = [];
  const wait = async (n) => {
    await new Promise((go) => setTimeout(go, n));
    await loadAgain();
    came.push(n);
  };
  await Promise.all([...Array(40).keys()].map(wait));
  return came;
}"""


def test_what_waits_for_a_file_goes_on_in_its_order(page: Page, server: str) -> None:
    # A comment that is left must not be sent before the letter that was typed last is kept.
    fill(server, 1)
    page.goto("/candidates/1")

    assert page.evaluate(STAGGERED) == list(range(40))


def rewrite(address: str, text: str, reasons: list[dict[str, Any]]) -> None:
    """Write a new version of the guideline."""
    call(address, "/api/v1/guideline", json.dumps({"text": text, "reasons": reasons}).encode(), "application/json")


def test_what_a_page_fetches_for_itself_holds_no_key(page: Page, server: str) -> None:
    fill(server, 6)
    waiting: list[Route] = []
    page.route("**/again.js*", lambda route: waiting.append(route))  # noqa: PLW0108  (Playwright reads its parameters)
    page.goto("/candidates/1")
    ready(page)
    assert not waiting, "a guideline that did not change needs nothing"
    assert page.evaluate("inFlight") == 0
    rewrite(server, "Mind the size.", call(server, "/api/v1/guideline")["reasons"])
    page.evaluate("orderedAt = -Infinity; fillAhead()")
    while not waiting:
        page.wait_for_timeout(20)

    assert press(page, "n") == 2
    assert press(page, "n") == 3
    waiting[0].continue_()
    expect(page.locator("#candidate")).to_have_attribute("data-guideline", "2")
    assert shown(page) == 3


def test_guidelines_that_change_are_there_with_the_next_candidate(page: Page, server: str) -> None:
    fill(server, 4)
    page.goto("/candidates/1")
    shown(page)
    ready(page)
    page.keyboard.press("d")
    reasons = [one | {"digit": None} for one in call(server, "/api/v1/guideline")["reasons"]]
    reasons.append({"code": "too_big", "label": "Too big", "digit": 9, "is_retired": False})
    rewrite(server, "Mind the size.", reasons)

    assert press(page, "a") == 2
    expect(page.locator("#guide")).to_contain_text("Mind the size.")
    expect(page.locator("#guide header a")).to_have_text("version 2")
    expect(page.locator("#candidate .hint")).to_contain_text("version 2 from here on")
    page.keyboard.press("9")
    expect(page.get_by_label("Too big")).to_be_checked()
    assert press(page, "x") == 3
    ready(page, 1)
    assert page.evaluate("[...fetched.values()].every(({ node }) => node.dataset.guideline === '2')")
    kept = [call(server, f"/api/v1/candidates/{number}")["history"][0] for number in (1, 2)]
    assert [(one["guideline"], one["reasons"]) for one in kept] == [(None, []), (2, ["too_big"])]


def test_what_was_fetched_beforehand_gives_way_to_what_changed(page: Page, server: str) -> None:
    fill(server, 4)
    page.goto("/candidates/1?status=all")
    shown(page)
    ready(page)
    body = json.dumps({"verdict": "edit", "version": 1, "key": "k", "edited": {"script": "import libcst\n"}}).encode()
    call(server, "/api/v1/candidates/2/decisions", body, "application/json")
    page.evaluate("orderedAt = -Infinity; fillSoon()")
    until(page, "fetched.get(2)?.version === 2")

    assert press(page, "a") == 2
    expect(page.locator(".history")).to_contain_text("Edit")


def test_reasons_hints_place_and_pace_are_told(page: Page, server: str) -> None:
    fill(server, 6)
    page.goto("/candidates/1")
    shown(page)
    ready(page)
    page.keyboard.press("x")
    expect(page.locator(".hint")).to_have_text("1-9 says why")
    until(page, "again !== null")
    page.keyboard.press("3")
    expect(page.locator(".toast")).to_have_text("Rejected #1: Style")
    expect(page.locator("#said")).to_have_text("Rejected #1: Style")
    expect(page.locator("#pace")).to_contain_text("2 of 6 in this sitting")
    expect(page.locator("#outbox")).to_have_text("Saved", timeout=4000)
    page.evaluate("seen = new Set(); sight.disconnect()")
    assert press(page, "a") == 3
    expect(page.locator(".hint")).to_have_text("1 of 1 changes unseen: u goes back")
    ready(page, 2)
    (rejected,) = call(server, "/api/v1/candidates/1")["history"]
    (blind,) = call(server, "/api/v1/candidates/2")["history"]
    assert (rejected["reasons"], rejected["n_seen"], rejected["n_hunks"]) == (["style"], 1, 1)
    assert (blind["n_seen"], blind["n_hunks"]) == (0, 1)
    assert 0 < rejected["spent_ms"] < 600_000
    assert violations(page) == []
    page.keyboard.press("e")
    expect(page.locator(".editor .cm-content").first).to_be_focused()
    page.keyboard.type("# said otherwise")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toast")).to_have_text("Edited #3")
    expect(page.locator("#pace")).to_contain_text("4 of 6 in this sitting")
    expect(page.locator("[data-left]")).to_have_text("3 left")


def test_the_palette_finds_commands_pages_and_candidates(page: Page, server: str) -> None:
    fill(server, 3)
    page.goto("/candidates/1")
    shown(page)
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Command, page")
    expect(field).to_be_focused()
    assert violations(page) == []
    field.fill("skip")
    expect(page.locator("#palette [role=option]").first).to_contain_text("Skip")
    page.keyboard.press("Enter")
    assert shown(page) == 2
    page.goto("/candidates/2?order=newest")
    shown(page)
    page.keyboard.press("Control+k")
    field.fill("3")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/candidates/3\?order=newest"))
    shown(page)
    page.set_viewport_size({"width": 900, "height": 400})
    for fold in ("c", "y"):
        page.keyboard.press(fold)
    expect(page.locator("#yields")).to_be_in_viewport()
    expect(page.locator("#yields-body")).to_be_in_viewport()
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page).to_have_url(re.compile("/queue$"))


def test_keys_are_changed_and_switched_off_by_each_person(page: Page, server: str) -> None:
    fill(server, 3)
    page.goto("/preferences")
    page.get_by_label("Accept", exact=True).fill("y")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="is the key of")).to_be_visible()
    page.get_by_label("Open or close what it yields").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. The keys are yours")).to_be_visible()
    page.goto("/candidates/1")
    shown(page)
    page.keyboard.press("a")
    assert shown(page) == 1
    expect(page.get_by_role("button", name="Accept")).to_have_attribute("title", "Accept (y)")
    assert press(page, "y") == 2

    page.goto("/preferences")
    assert violations(page) == []
    page.get_by_label("Keys without Ctrl do something").uncheck()
    page.get_by_role("button", name="Save").click()
    page.goto("/candidates/2")
    shown(page)
    for key in "yxsf1?":
        page.keyboard.press(key)
    assert shown(page) == 2
    expect(page.get_by_role("dialog")).to_be_hidden()
