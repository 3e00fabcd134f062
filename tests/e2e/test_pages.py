"""What holds on every page: no barrier, no foreign request, no error in the console, nothing wider than a phone."""

import json
from collections.abc import Iterator
from typing import Any, Literal
from urllib.request import Request, urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Trouble, serving
from tests.logs import line
from tests.test_archives import zipped
from tests.test_guidelines import HOSTILE as GUIDELINE

pytestmark = pytest.mark.e2e

HOSTILE = (
    "<script>window.__xss = 1</script>",
    "<img src=x onerror='window.__xss = 1'>",
    '"><svg onload=window.__xss=1>',
    "{{ 7 * 7 }} {% raw %} ${7*7}",
    "javascript:window.__xss=1",
    "\u202egnp.exe \u2066a\u2069 \u200b x\u0301\u0302\u0303",
    "' hx-get='/undo' hx-trigger='load' x='",
    "</textarea></pre></template><script>window.__xss=1</script>",
    "A" * 3000,
)
PATHS = (
    "/queue", "/queue?status=all&order=newest", "/queue?rating=nine", "/queue?q=nothing+has+this", "/candidates/1",
    "/candidates/2?view=split", "/candidates/1/edit", "/candidates/1/edit?field=diff", "/queue/done", "/imports",
    "/imports/1", "/imports/2", "/imports/deliveries/1", "/quarantine", "/quarantine/1", "/exports", "/jobs/1",
    "/guidelines", "/guidelines?version=1", "/preferences", "/candidates/999", "/nothing-here",
)  # fmt: skip


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with samples, hostile entries, quarantined and repeated lines, decisions and a finished export."""
    with serving(tmp_path_factory.mktemp("installation")) as address:
        fill(address)
        yield address


def fill(address: str) -> None:
    send(address, "/samples", {})
    hostile = b"\n".join(
        line(text, spec_target_files=[text], patch_source=text, spec_operations_details=[{text: text}, text])
        for text in HOSTILE
    )
    broken = b'{"spec_issue_description": "<script>window.__xss=1</script>\n'
    first = line("one more")
    send(address, "/api/v1/ingest?name=%3Cb%3Ehostile.jsonl", hostile + b"\n" + first + b"\n" + first + b"\n" + broken)
    files = {f"{text[:200]}/patch_meta.json": b"{}" for text in HOSTILE} | {"<b>.jsonl": line("packed"), "x.json": b"1"}
    send(address, "/api/v1/ingest?name=%3Cb%3E.zip", zipped(files | {"old/CHANGELOG_PATCH.md": b"x"}))
    send(address, "/api/v1/guideline", {"text": "\n\n".join(HOSTILE) + GUIDELINE, "comment": HOSTILE[1]})
    decide(address, 1, "reject", reasons=["style"], comment=HOSTILE[0])
    decide(address, 2, "accept")
    decide(address, 3, "edit", edited={"script": "import libcst as cst\n"})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(browser: Browser, busy: str, scheme: Literal["light", "dark"]) -> None:
    page = browser.new_page(base_url=busy, color_scheme=scheme)
    found = []
    for path in PATHS:
        page.goto(path)
        wait_for_editor(page, path)
        found += [f"{path}: {one['id']} {one['nodes'][0]['html'][:200]}" for one in violations(page)]
    page.close()

    assert found == []


def violations(page: Page) -> list[dict[str, Any]]:
    # The colours that a page comes to, not those on the way from one scheme to the other.
    page.emulate_media(reduced_motion="reduce")
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return found


def wait_for_editor(page: Page, path: str) -> None:
    if "/edit" in path:
        page.locator(".editor .cm-content").first.wait_for()


@pytest.mark.parametrize("width", [1400, 390])
def test_every_page_keeps_to_itself_and_to_its_width(browser: Browser, busy: str, width: int) -> None:
    page = browser.new_page(base_url=busy, viewport={"width": width, "height": 844})
    trouble = Trouble()
    trouble.watch(page)
    for path in PATHS:
        page.goto(path)
        wait_for_editor(page, path)
        page.wait_for_load_state("networkidle")
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            trouble.found.append(f"wider than {width}: {path}")
        if page.evaluate("window.__xss"):
            trouble.found.append(f"a text of a log ran: {path}")
    page.close()

    assert trouble.found == []


def test_hostile_entries_can_be_read_and_decided_and_stay_text(browser: Browser, busy: str) -> None:
    page = browser.new_page(base_url=busy)
    trouble = Trouble()
    trouble.watch(page)
    page.goto("/queue/start?upload=2")
    for _ in HOSTILE:
        number = page.locator("h1 .dim").inner_text()
        page.get_by_role("button", name="Skip").click()
        expect(page.locator(".toast")).to_have_text(f"Skipped {number}")
        assert page.evaluate("window.__xss") is None
    page.close()

    assert trouble.found == []


def send(address: str, path: str, body: object) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    with urlopen(Request(address + path, raw, {"Content-Type": kind})) as answer:
        answer.read()


def decide(address: str, candidate: int, verdict: str, **more: object) -> None:
    body = {"verdict": verdict, "version": 1, "key": f"{verdict}-{candidate}", **more}
    send(address, f"/api/v1/candidates/{candidate}/decisions", body)
