"""The main job in a real browser: samples, ten decisions by keyboard, a dataset that a trainer's loader reads."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import serving

pytestmark = pytest.mark.e2e

READY = "document.readyState === 'complete' && performance.now() - paintedAt > PAINTED_MS && inFlight === 0"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The command that a user types, not the quicker server of the other tests."""
    with serving(tmp_path / "fresh") as address:
        yield address


def shown(page: Page) -> int:
    """The number of the candidate on the screen, once it takes keys."""
    number = page.locator("h1 .dim")
    expect(number).to_have_text(re.compile(r"^#\d+$"))
    while not page.evaluate(READY):
        page.wait_for_timeout(20)
    return int(number.inner_text()[1:])


def press(page: Page, key: str) -> int:
    """Press a key that goes to another candidate; gives the number of that one."""
    before = shown(page)
    page.keyboard.press(key)
    expect(page.locator("h1 .dim")).not_to_have_text(f"#{before}")
    return shown(page)


def test_ten_decisions_by_keyboard_become_a_dataset_that_loads(samples: Page, tmp_path: Path) -> None:
    page = samples
    page.get_by_role("link", name="Start reviewing").click()

    assert shown(page) == 1
    page.keyboard.press("2")
    expect(page.get_by_label("Incomplete")).to_be_checked()
    assert press(page, "x") == 2
    expect(page.locator(".toast")).to_have_text("Rejected #1")
    assert press(page, "a") == 3
    assert press(page, "a") == 4
    assert press(page, "s") == 5
    assert press(page, "f") == 6
    assert press(page, "a") == 7
    assert press(page, "u") == 6
    assert press(page, "a") == 7
    edit_with_codemirror(page)
    assert shown(page) == 8
    assert press(page, "a") == 9
    assert press(page, "x") == 10

    rows = export(page, tmp_path)

    # 2, 3, 6 and 8 were accepted and 7 was edited; 1 was rejected, and has no script either.
    assert len(rows) == 5
    assert [row for row in rows if "# looked over by a person" in row["completion"]]


def edit_with_codemirror(page: Page) -> None:
    shown(page)
    page.keyboard.press("e")
    expect(page.locator(".editor .cm-content")).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.type("# looked over by a person")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toast")).to_have_text("Edited #7")


def export(page: Page, folder: Path) -> list[dict[str, str]]:
    page.get_by_role("link", name="Exports").click()
    # The worker is a process of its own and gives way to others, so a busy machine needs time.
    with page.expect_download(timeout=60_000) as waited:
        page.get_by_role("button", name="Download").click()
    packed = folder / "dataset.zip"
    waited.value.save_as(packed)
    with zipfile.ZipFile(packed) as opened:
        opened.extractall(folder / "dataset")
    (manifest,) = (folder / "dataset").rglob("manifest.json")
    return load(manifest)


def load(manifest: Path) -> list[dict[str, str]]:
    import datasets

    datasets.disable_progress_bars()
    config = json.loads(manifest.read_text())["config"]
    loaded = datasets.load_dataset(str(manifest.parent), config, cache_dir=str(manifest.parent.parent / "cache"))
    return [row for split in loaded.values() for row in split]
