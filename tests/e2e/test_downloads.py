"""The download button in a real browser: the formats that fit, a download that starts, is cut, resumed and checked."""

import hashlib
import json
import re
import shlex
import tarfile
import zipfile
from http.client import HTTPResponse
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Trouble
from tests.e2e.test_pages import decide, send, violations
from tests.e2e.test_releases import freeze

pytestmark = pytest.mark.e2e


@pytest.fixture
def released(server: str, browser: Browser) -> str:
    """The address of a server with a release of some samples."""
    send(server, "/samples", {})
    for number in (1, 2, 3, 4):
        decide(server, number, "accept")
    decide(server, 5, "reject", reasons=["wrong_fix"])
    page = browser.new_page(base_url=server)
    freeze(page, "first")
    page.close()
    return server


def fetch(address: str, **headers: str) -> HTTPResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer: HTTPResponse = urlopen(Request(address, headers=named))
    return answer


def options(page: Page, label: str) -> list[str]:
    return page.get_by_label(label, exact=True).locator("option").all_inner_texts()


def save(page: Page, folder: Path) -> Path:
    """Press Download, and keep what comes under its name."""
    with page.expect_download(timeout=60_000) as waited:
        page.get_by_role("button", name="Download").click()
    target = folder / waited.value.suggested_filename
    waited.value.save_as(target)
    return target


def test_a_download_that_was_cut_is_resumed_and_its_digest_is_right(page: Page, released: str, tmp_path: Path) -> None:
    page.goto("/releases/1")
    page.get_by_label("Download", exact=True).select_option("llm/scaffold/sft messages")
    whole = save(page, tmp_path)
    assert whole.name == "patchsift-default-release-1-scaffold_sft_chat.zip"
    said = page.locator(".digest").inner_text()
    assert hashlib.sha256(whole.read_bytes()).hexdigest() == said
    # Going back and forth must not start it again.
    expect(page).not_to_have_url(re.compile("ready"))

    # The command that the page shows, cut and resumed as curl does it.
    page.get_by_text("From a terminal").click()
    first = page.locator(".commands code").inner_text().splitlines()[0]
    address = shlex.split(first)[-1]
    assert address.startswith(released)
    with fetch(address) as answer:
        n, etag = int(answer.headers["Content-Length"]), answer.headers["ETag"]
        part = answer.read(n // 2)
    with fetch(address, Range=f"bytes={len(part)}-", If_Range=etag) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {len(part)}-{n - 1}/{n}"
        part += answer.read()
    assert hashlib.sha256(part).hexdigest() == said == etag.strip('"')


@pytest.mark.usefixtures("released")
def test_only_the_formats_of_the_dataset_are_offered(page: Page, tmp_path: Path) -> None:
    page.goto("/exports?release=1")
    assert "messages" in options(page, "Format")
    page.get_by_label("Format").focus()
    page.get_by_label("Format").select_option("messages")
    expect(page).to_have_url(re.compile("format=messages"))
    expect(page.get_by_label("Format")).to_have_value("messages")
    expect(page.get_by_label("Format")).to_be_focused()

    page.get_by_label("Dataset").select_option("retriever/search/contrastive")
    expect(page.get_by_text("messages cannot hold these examples")).to_be_visible()
    expect(page.get_by_label("Format")).to_have_value(options(page, "Format")[0])
    assert "messages" not in options(page, "Format")
    page.get_by_label("Dataset").select_option("all")
    expect(page.get_by_label("Format")).to_have_count(0)
    page.locator("#pack").select_option("tar.gz")
    packed = save(page, tmp_path)
    assert packed.name == "patchsift-default-release-1.tar.gz"
    with tarfile.open(packed) as opened:
        assert any(name.endswith("README.md") for name in opened.getnames())


def test_one_split_is_one_file_and_everything_works_without_scripts(
    browser: Browser, released: str, tmp_path: Path
) -> None:
    page = browser.new_page(base_url=released, java_script_enabled=False)
    page.goto("/exports?release=1")
    page.get_by_label("Dataset").select_option("retriever/search/contrastive")
    page.get_by_role("button", name="Count").click()
    assert "messages" not in options(page, "Format")
    page.get_by_label("Dataset").select_option("llm/scaffold/sft")
    page.get_by_role("button", name="Count").click()
    assert "messages" in options(page, "Format")
    page.get_by_label("Format").select_option("messages")
    page.locator("#pack").select_option("train")
    rows = save(page, tmp_path)
    assert rows.name == "patchsift-default-release-1-scaffold_sft_chat-train.jsonl"
    assert all("messages" in json.loads(line) for line in rows.read_text().splitlines())
    page.close()


@pytest.mark.usefixtures("released")
def test_what_stands_now_is_a_job_with_its_link(page: Page, tmp_path: Path) -> None:
    page.goto("/exports")
    packed = save(page, tmp_path)
    assert zipfile.is_zipfile(packed)
    expect(page).to_have_url(re.compile(r"/jobs/\d+$"))
    assert hashlib.sha256(packed.read_bytes()).hexdigest() == page.locator(".digest").inner_text()


def test_the_pages_have_no_barrier_and_keep_to_their_width(browser: Browser, released: str) -> None:
    trouble, found = Trouble(), []
    for width in (1400, 390):
        page = browser.new_page(base_url=released, viewport={"width": width, "height": 844})
        trouble.watch(page)
        for path in ("/exports?release=1", "/exports?release=1&dataset=all", "/releases/1"):
            page.goto(path)
            if path.startswith("/exports"):
                page.get_by_role("button", name="Download").click()
                page.locator(".digest").wait_for()
                page.get_by_text("From a terminal").click()
            found += [f"{path}: {one['id']} {one['nodes'][0]['html'][:200]}" for one in violations(page)]
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                found.append(f"{path} is wider than {width}")
        page.close()
    assert found == []
    assert trouble.found == []
