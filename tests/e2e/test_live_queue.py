"""An open queue page: what comes in appears by itself, and nobody loses the row that they are at."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.e2e.conftest import Trouble
from tests.logs import SCRIPT, line
from tests.watchers import Watch, watching

pytestmark = pytest.mark.e2e


class Push:
    """Sends lines to the server, as an agent does while it runs."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __call__(self, *issues: str) -> None:
        self.raw(b"".join(line(issue) + b"\n" for issue in issues))

    def raw(self, body: bytes) -> None:
        kind = {"Content-Type": "application/octet-stream"}
        with urlopen(Request(f"{self.address}/api/v1/ingest?name=pushed.jsonl", body, kind)) as answer:
            answer.read()

    def decide(self, number: int, verdict: str = "accept") -> None:
        body = json.dumps({"verdict": verdict, "version": 1, "key": f"{verdict}-{number}"}).encode()
        address = f"{self.address}/api/v1/candidates/{number}/decisions"
        with urlopen(Request(address, body, {"Content-Type": "application/json"})) as answer:
            answer.read()


@pytest.fixture
def push(server: str) -> Push:
    return Push(server)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / ".agent_data"
    folder.mkdir(parents=True)
    return folder / "success_memory.jsonl"


@pytest.fixture
def watch(server: str, tmp_path: Path, log: Path) -> Iterator[Watch]:
    """A watcher of the project, on the data folder that the server has."""
    del server, log
    with watching(tmp_path / "installation", tmp_path / "project") as running:
        yield running


def titles(page: Page) -> Locator:
    return page.locator("#list [data-row]")


def open_queue(page: Page, query: str = "") -> None:
    """Open the page and mark it, so that a reload would show."""
    page.goto(f"/queue{query}")
    page.evaluate("window.isSame = true")


def assert_not_reloaded(page: Page) -> None:
    assert page.evaluate("window.isSame") is True


@pytest.mark.usefixtures("watch")
def test_lines_appended_to_a_watched_log_appear_by_themselves(page: Page, push: Push, log: Path) -> None:
    push("First")
    open_queue(page)
    for n in range(3):
        with log.open("ab") as opened:
            opened.write(line(f"Appended {n}") + b"\n" + line("half")[:50])
        expect(titles(page)).to_have_text(["First", *(f"Appended {k}" for k in range(n + 1))])
        log.write_bytes(log.read_bytes()[:-50])

    expect(page.locator("#list .bar strong")).to_have_text("4")
    expect(page.locator(".tabs [aria-current]")).to_have_text("pending 4")
    expect(page.locator("#said")).to_have_text("4 candidates")
    assert_not_reloaded(page)


def test_the_empty_page_becomes_the_list(page: Page, push: Push) -> None:
    open_queue(page)
    expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
    push("One")
    expect(titles(page)).to_have_text(["One"])
    push("Two")
    expect(titles(page)).to_have_text(["One", "Two"])

    page.get_by_label("Search issues").fill("two")
    page.keyboard.press("Enter")
    expect(titles(page)).to_have_text(["Two"])
    assert_not_reloaded(page)


def test_only_what_the_filter_finds_appears(page: Page, push: Push) -> None:
    push("Fix the parser")
    open_queue(page, "?q=parser")
    push("Fix the lexer", "Fix the other parser")

    expect(titles(page)).to_have_text(["Fix the parser", "Fix the other parser"])
    expect(page.locator(".tabs [aria-current]")).to_have_text("pending 2")


def test_a_run_leaves_the_list_when_what_it_belongs_to_comes(page: Page, push: Push) -> None:
    open_queue(page)
    push.raw(json.dumps([[SCRIPT, True, 0.7, None, "x"]]).encode())
    expect(titles(page)).to_have_text([re.compile("A run of 1 attempts")])
    push("One")

    expect(titles(page)).to_have_text(["One"])
    expect(page.locator("#list .bar strong")).to_have_text("1")


def test_what_others_decide_leaves_the_list(page: Page, push: Push) -> None:
    push("One", "Two")
    open_queue(page)
    push.decide(1)

    expect(titles(page)).to_have_text(["Two"])
    expect(page.locator(".tabs")).to_contain_text("accepted 1")


@pytest.mark.parametrize("order", ["", "?order=newest"])
def test_the_row_with_the_focus_stays_where_it_is(page: Page, push: Push, order: str) -> None:
    push(*(f"Issue {n:02}" for n in range(30)))
    open_queue(page, order)
    for _ in range(4):
        page.keyboard.press("j")
    row = page.locator("#list tr:focus-within")
    before, name = row.bounding_box(), row.locator("[data-row]").inner_text()
    push("New one", "New two")
    expect(titles(page)).to_have_count(32)

    after = row.bounding_box()
    assert row.locator("[data-row]").inner_text() == name
    assert before is not None
    assert after is not None
    assert abs(after["y"] - before["y"]) < 1
    number = int(name.split()[1])
    page.keyboard.press("j")
    expect(row.locator("[data-row]")).to_have_text(f"Issue {number - 1 if order else number + 1:02}")
    assert_not_reloaded(page)


def test_the_focus_goes_to_the_next_row_when_its_own_has_left(page: Page, push: Push) -> None:
    push("One", "Two", "Three")
    open_queue(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("#list [data-row]:focus")).to_have_text("Two")
    push.decide(2)
    expect(titles(page)).to_have_text(["One", "Three"])

    expect(page.locator("#list [data-row]:focus")).to_have_text("Three")


def test_a_full_page_says_how_many_came(page: Page, push: Push) -> None:
    push(*(f"Issue {n:02}" for n in range(50)))
    open_queue(page)
    push("New one", "New two")
    expect(page.get_by_role("link", name="2 new, show")).to_be_visible()
    expect(titles(page)).to_have_count(50)
    push("New three")
    expect(page.get_by_role("link", name="3 new, show")).to_be_visible()
    expect(page.get_by_role("link", name="Next page")).to_be_visible()
    page.get_by_role("link", name="3 new, show").click()

    expect(titles(page).first).to_have_text("New three")
    expect(page.get_by_role("link", name=re.compile("new, show"))).to_have_count(0)


def test_the_keys_work_while_the_page_asks(page: Page, push: Push) -> None:
    push("One", "Two")
    waiting: list[Route] = []
    page.route("**/queue/live*", lambda route: waiting.append(route))  # noqa: PLW0108  (Playwright reads its parameters)
    with page.expect_request("**/queue/live*"):
        open_queue(page)
    page.keyboard.press("/")
    expect(page.get_by_label("Search issues")).to_be_focused()
    for route in waiting:
        route.continue_()
    page.unroute("**/queue/live*")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_label("Search issues")).to_be_focused()


def asked(page: Page) -> list[str]:
    """The addresses that the page asks for news, as they are asked."""
    found: list[str] = []
    page.on("request", lambda request: found.append(request.url) if "/queue/live" in request.url else None)
    return found


def test_a_hidden_page_does_not_ask(page: Page, push: Push) -> None:
    page.add_init_script("Object.defineProperty(document, 'hidden', { get: () => window.isAway === true });")
    page.clock.install()
    push("One")
    open_queue(page)
    page.evaluate("window.isAway = true")
    page.clock.run_for(1000)
    found = asked(page)
    page.clock.run_for(10_000)
    assert found == []
    push("Two")
    page.evaluate("window.isAway = false")
    page.clock.run_for(1000)

    expect(titles(page)).to_have_text(["One", "Two"])


def test_a_server_that_is_away_for_a_while_is_no_trouble(page: Page, push: Push, trouble: Trouble) -> None:
    page.clock.install()
    push("One")
    open_queue(page)
    page.route("**/queue/live*", lambda route: route.abort())
    with page.expect_event("console", lambda message: "Failed to fetch" in message.text):
        page.clock.run_for(1000)
    expect(page.locator("#notice")).to_be_empty()
    page.unroute("**/queue/live*")
    page.route("**/queue/live*", lambda route: route.fulfill(status=503, body="away"))
    with page.expect_response("**/queue/live*"):
        page.clock.run_for(1000)
    expect(page.locator("#notice")).to_be_empty()
    page.unroute("**/queue/live*")
    push("Two")
    page.clock.run_for(1000)

    expect(titles(page)).to_have_text(["One", "Two"])
    # The browser's own log says it, and nobody else.
    assert all("Failed to fetch" in one or "503" in one for one in trouble.found)
    trouble.found.clear()


def test_without_javascript_the_page_is_as_it_was(context: BrowserContext, server: str, push: Push) -> None:
    push("One")
    browser = context.browser
    assert browser is not None
    plain = browser.new_context(base_url=server, java_script_enabled=False)
    page = plain.new_page()
    page.goto("/queue")

    expect(titles(page)).to_have_text(["One"])
    expect(page.locator("[data-live]")).to_be_hidden()
    plain.close()
