"""A folder that is dropped or chosen comes in as a whole, and one page says what became of it."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.archives import NOT_WALKED
from tests.e2e.conftest import ROOT
from tests.logs import line
from tests.test_archives import zipped
from tests.test_intake import LOGS, PROJECT, lay

pytestmark = pytest.mark.e2e

# Of the seventeen files two lie where tools keep theirs, and two are called as no log is.
SENT = {"node_modules/a/success_memory.jsonl", ".git/config", "README.md", "src/x.py"} ^ PROJECT.keys()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with logs, patch sets and much else."""
    return lay(tmp_path / "shop", PROJECT)


def drop(page: Page, *paths: Path) -> None:
    """Drop files and folders from the file manager onto the page."""
    # The page answers a drag a moment later; a drop that comes before its answer is none.
    there = {
        "x": 600,
        "y": 500,
        "data": {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 19},
    }
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver"):
        session.send("Input.dispatchDragEvent", {"type": kind, **there})
    page.locator("body.dropping").wait_for()
    page.evaluate("() => new Promise((painted) => requestAnimationFrame(() => setTimeout(painted, 100)))")
    for kind in ("dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **there})


def expect_report(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.get_by_text("6 entries = 6 new + 0 repeated + 0 quarantined")).to_be_visible()
    files = page.get_by_role("region", name="Files", exact=True).get_by_role("link")
    expect(files).to_have_text([f"shop/{log}" for log in LOGS])
    expect(page.get_by_role("region", name="Files that could not be read")).to_contain_text("auto-patch-y-2")


def test_a_dropped_folder_comes_in_as_a_whole(page: Page, project: Path) -> None:
    page.goto("/imports")
    drop(page, project)

    expect_report(page, "shop")
    passed = page.get_by_role("region", name="Passed over")
    expect(passed).to_contain_text(f"{len(PROJECT) - len(SENT) - 2} further files")
    page.get_by_role("link", name="Start reviewing").click()
    page.locator("#candidate[data-says]").wait_for()
    page.goto("/imports")
    expect(page.get_by_role("row", name="shop 5 files 6 0 0")).to_be_visible()


def test_a_folder_that_is_chosen_comes_in_the_same(page: Page, project: Path) -> None:
    page.goto("/imports")
    page.get_by_label("Or choose a folder").set_input_files(project)

    expect_report(page, "shop")


def test_without_scripts_the_browser_sends_the_whole_folder(browser: Browser, server: str, project: Path) -> None:
    page = browser.new_page(base_url=server, java_script_enabled=False)
    page.goto("/imports")
    page.get_by_label("Or choose a folder").set_input_files(project)
    page.get_by_role("button", name="Import the folder").click()

    expect_report(page, "shop")
    expect(page.get_by_role("region", name="Passed over")).to_contain_text("Kept by a tool for itself")
    page.close()


def test_a_zip_is_unpacked(page: Page, tmp_path: Path) -> None:
    (tmp_path / "logs.zip").write_bytes(zipped({f"shop/{name}": content for name, content in PROJECT.items()}))
    page.goto("/imports")
    drop(page, tmp_path / "logs.zip")

    expect(page.get_by_role("heading", level=1)).to_have_text("logs.zip")
    expect(page.get_by_text("6 entries = 6 new")).to_be_visible()


def test_a_folder_and_files_beside_it_come_in_together(page: Page, project: Path, tmp_path: Path) -> None:
    (tmp_path / "more.zip").write_bytes(zipped({"success_memory.jsonl": line("Packed")}))
    (tmp_path / "other").write_bytes(line("Beside"))
    page.goto("/imports")
    drop(page, project, tmp_path / "more.zip", tmp_path / "other")

    expect(page.get_by_text("8 entries = 8 new")).to_be_visible()
    files = page.get_by_role("region", name="Files", exact=True).get_by_role("link")
    expect(files).to_have_text(["other", *(f"shop/{log}" for log in LOGS), "more.zip/success_memory.jsonl"])


def test_a_folder_without_logs_is_not_sent(page: Page, tmp_path: Path) -> None:
    page.goto("/imports")
    drop(page, lay(tmp_path / "notes", {"README.md": b"x", "src/x.py": b"y"}))

    expect(page.locator("#notice")).to_contain_text("Nothing in there is called as a log is")
    expect(page).to_have_url("/imports")


def test_the_browser_leaves_out_what_the_server_would_not_walk() -> None:
    script = (ROOT / "static" / "drop.js").read_text()
    listed = script.partition("NOT_WALKED = new Set([")[2].partition("]")[0]

    assert {name.strip().strip('"') for name in listed.split(",") if name.strip()} == NOT_WALKED
