"""Somebody else at the same queue, in a real browser: what is fetched beforehand, who took it, giving it back."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from app import gold, leases, review
from app.db import Database
from app.models import Verdict
from app.projects import change_settings
from app.review import Act
from app.settings import Settings
from tests.e2e.test_walk import READY, shown
from tests.people import hire


def now() -> datetime:
    return datetime.now(UTC)


def until(page: Page, is_so: Callable[[], bool]) -> None:
    for _ in range(600):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come to that")


def held(db: Database) -> dict[int, str]:
    with db.read() as session:
        found = leases.list_leases(session, range(1, 13), now=now())
    return {number: one.name for number, one in found.items()}


def test_a_page_keeps_what_comes_next_hears_who_took_it_over_and_gives_it_back(
    page: Page, samples: Page, tmp_path: Path
) -> None:
    db = Database(Settings(data_dir=tmp_path / "installation"))
    (bob,) = hire(db, "Bob")
    samples.reload()
    samples.get_by_role("button", name="Start reviewing").click()
    page.wait_for_url("**/candidates/1")
    until(page, lambda: page.evaluate("order.length === 3 && fetched.size === 3"))
    assert held(db) == dict.fromkeys((1, 2, 3, 4), "local")

    # One key paints what was fetched; what comes next is this page's again.
    with page.expect_response("**/queue/visit"):
        page.keyboard.press("a")
    expect(page.locator("#candidate")).to_have_attribute("data-id", "2")
    page.locator("#comment").fill("half a thought")
    with db.write() as session:
        leases.hold(session, 1, bob, 2, now=now(), take_over=True)
    # Told within seconds, although the page says only once a minute that it is there.
    expect(page.locator("#lease")).to_contain_text("Bob took this candidate over from you")
    expect(page.locator("#lease")).to_contain_text("Also here: Bob")
    assert page.locator("#comment").input_value() == "half a thought"
    page.locator("#comment").blur()
    page.keyboard.press("S")
    expect(page.get_by_label("What to look at")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("T")
    expect(page.locator("#lease .notice")).to_have_count(0)
    assert page.locator("#comment").input_value() == "half a thought"
    assert held(db)[2] == "local"

    # A page that is left says so; the editor would have ten seconds to say that it is there.
    page.goto("/imports")
    until(page, lambda: set(held(db)) <= {2})
    with db.read() as session:
        rest = leases.list_leases(session, range(1, 13), now=now())
    db.close()
    assert [(one.candidate_id, one.until - now() <= leases.GRACE) for one in rest.values()] in ([], [(2, True)])


AT_REST = """() => new Promise((go) => requestAnimationFrame(() => setTimeout(() => requestIdleCallback(
  () => requestIdleCallback(go)))))"""


def test_nothing_is_fetched_beforehand_that_is_not_held(page: Page, samples: Page, tmp_path: Path) -> None:
    db = Database(Settings(data_dir=tmp_path / "installation"))
    hire(db, "Bob")
    waiting: list[Route] = []
    page.route("**/lease.js*", lambda route: waiting.append(route))  # noqa: PLW0108  (Playwright reads its parameters)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    samples.goto("/candidates/1", wait_until="commit")
    until(page, lambda: bool(waiting))
    page.evaluate(AT_REST)
    waiting[0].continue_()

    until(page, lambda: page.evaluate("typeof fetched === 'object' && fetched.size === 3"))
    assert held(db) == dict.fromkeys((1, 2, 3, 4), "local")
    assert not [url for url in asked if "/queue/ahead" in url]
    db.close()


def test_what_is_taken_back_where_nothing_was_left_is_held(page: Page, samples: Page, tmp_path: Path) -> None:
    db = Database(Settings(data_dir=tmp_path / "installation"))
    hire(db, "Bob")
    samples.goto("/candidates/7")
    assert shown(page) == 7
    with page.expect_response("**/candidates/7/decisions"):
        page.keyboard.press("s")
    page.goto("/queue/done")
    expect(page.get_by_role("heading", name="Nothing is left")).to_be_visible()
    until(page, lambda: page.evaluate(READY))
    page.keyboard.press("u")
    assert shown(page) == 7

    until(page, lambda: 7 in held(db))
    until(page, lambda: page.evaluate("order.length > 0 && order.every(([number]) => fetched.has(number))"))
    ahead: list[int] = page.evaluate("order.map(([number]) => number)")
    assert set(ahead) <= set(held(db))
    db.close()


def test_what_was_decided_does_not_come_again_behind_gold(samples: Page, tmp_path: Path) -> None:
    page = samples
    db = Database(Settings(data_dir=tmp_path / "installation"))
    (bob,) = hire(db, "Bob")
    with db.write() as session:
        change_settings(session, 1, {"opinions": {"gold_share": 0.5}})
    with db.write() as session:
        review.decide(session, 1, bob, 1, Act(Verdict.REJECT, 1, "bob-1"), now=now())
        gold.mark(session, review.get_candidate(session, 1, 1), bob, "It hides the error.", now=now())
        me = review.ensure_local_reviewer(session, now=now()).id or 0
        # Where gold comes next, and behind gold by number this very candidate.
        first = next(number for number in range(2, 9) if gold.find_due(session, 1, me, number) == 1)
        for number in range(2, first):
            review.decide(session, 1, bob, number, Act(Verdict.ACCEPT, 1, f"bob-{number}"), now=now())
    db.close()
    page.goto(f"/candidates/{first}")
    until(page, lambda: page.evaluate("order[0]?.[0] === 1 && fetched.has(1)"))
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route(f"**/candidates/{first}/decisions", keep)

    assert shown(page) == first
    with page.expect_response("**/queue/visit"):
        page.keyboard.press("a")
    expect(page.locator("#candidate")).to_have_attribute("data-id", "1")
    until(page, lambda: bool(held))
    held[0].continue_()
    until(page, lambda: page.evaluate("listWaiting().length === 0"))
    # The answer of before is still fresh enough to be read once more.
    page.evaluate("latest.at = performance.now(); orderedAt = -Infinity; fillAhead()")
    until(page, lambda: page.evaluate("!isFilling && order.length > 0"))
    assert first not in [number for number, _ in page.evaluate("order")]
