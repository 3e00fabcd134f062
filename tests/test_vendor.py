"""What lies in static/vendor/: unchanged, licensed, and an editor that keeps every byte under the strict policy."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.servers import chromium

ROOT = Path(__file__).parent.parent
VENDOR = ROOT / "static/vendor"
VERSIONS = json.loads((VENDOR / "VERSIONS.json").read_text(encoding="utf-8"))

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Editor</title><link rel=icon href=data:,>"
    "<main><h1>Edit</h1><div id=here></div></main><script type=module src=/page.js></script>"
)
PAGE_SCRIPT = """
import { openEditor } from "/editor.js";
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
window.calls = [];
window.open_ = (original, doc, before = null) => {
  window.editor?.destroy();
  const told = (name) => (what) => window.calls.push([name, what]);
  window.editor = openEditor({
    parent: document.querySelector("#here"), original, doc, before, language: "python", label: "Script",
    onSave: told("save"), onCancel: told("cancel"), onChange: told("change"),
  });
  window.editor.focus();
};
"""


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answers = {
            "/": (PAGE.encode(), "text/html"),
            "/page.js": (PAGE_SCRIPT.encode(), "text/javascript"),
            "/editor.js": ((VENDOR / "editor.js").read_bytes(), "text/javascript"),
        }
        body, kind = answers[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(site: str) -> Iterator[Page]:
    page = chromium().new_page()
    page.goto(site)
    page.wait_for_function("'open_' in window")
    yield page
    violations = page.evaluate("violations")
    page.close()
    assert violations == []


def test_every_vendored_file_has_the_digest_that_was_written_down() -> None:
    described = {"VERSIONS.json", "LICENSES.txt", *VERSIONS}
    assert {path.name for path in VENDOR.iterdir()} == described
    for name, facts in VERSIONS.items():
        content = (VENDOR / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (facts["bytes"], facts["sha256"]), name


def test_every_vendored_package_brings_its_licence() -> None:
    licences = (VENDOR / "LICENSES.txt").read_text(encoding="utf-8")
    for facts in VERSIONS.values():
        for package in facts.get("contains", {facts["package"]: facts["version"]}):
            assert package in licences


def test_the_bundle_holds_the_versions_that_are_pinned() -> None:
    pinned = json.loads((ROOT / "tools/editor/package.json").read_text(encoding="utf-8"))["dependencies"]
    built = {"htmx.org": VERSIONS["htmx.min.js"]["version"], **VERSIONS["editor.js"]["contains"]}
    assert "codemirror" not in built  # the npm package of that name is another program's old version
    assert {name: built[name] for name in pinned} == pinned


def test_the_lock_file_names_no_registry() -> None:
    lock = (ROOT / "tools/editor/package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert '"integrity"' in lock


@pytest.mark.e2e
@pytest.mark.parametrize(
    "text",
    [
        "a\r\nb\rc\n",
        "a\r\nb\r\n",
        "a\r\nb\n",
        "\r",
        "\n",
        "",
        "no newline at the end",
        "\x00\x0b\x0c\x1b\x85\u2028\u2029\ufeff\u202e\t \n",
    ],
)
def test_the_editor_gives_back_every_byte(page: Page, text: str) -> None:
    page.evaluate("text => open_(text)", text)
    assert page.evaluate("editor.getText()") == text
    assert page.evaluate("editor.isDirty()") is False


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("text", "typed"), [("a\r\nb\r\n", "x\r\na\r\nb\r\n"), ("a\nb\r\n", "x\na\nb\r\n"), ("a", "x\na")]
)
def test_a_new_line_ends_as_the_text_does(page: Page, text: str, typed: str) -> None:
    page.evaluate("text => open_(text)", text)
    page.keyboard.type("x")
    page.keyboard.press("Enter")
    assert page.evaluate("editor.getText()") == typed


@pytest.mark.e2e
def test_the_editor_is_styled_inside_its_shadow_root(page: Page) -> None:
    page.evaluate("open_('def f():\\n    pass\\n')")
    editor = page.get_by_role("textbox", name="Script")
    assert editor.evaluate("node => getComputedStyle(node.closest('.cm-editor')).display") == "flex"
    colours = editor.locator("span").evaluate_all("nodes => nodes.map(node => getComputedStyle(node).color)")
    assert len(set(colours)) > 1


@pytest.mark.e2e
def test_the_editor_shows_the_change_as_it_is_typed(page: Page) -> None:
    page.evaluate("open_('one\\ntwo\\n')")
    removed = page.locator(".cm-deletedLine")
    assert removed.count() == 0
    page.keyboard.type("1")
    assert removed.all_text_contents() == ["one"]
    page.get_by_label("Show changes").uncheck()
    assert removed.count() == 0


COMPARED = """
async () => {
  const { compareByLines } = await import("/editor.js");
  const lines = ["a\\n", "b\\n", "c\\r\\n", "dd\\n", "\\n", "x", "one two\\n", "one three\\n"];
  let seed = 7;
  const below = (n) => (seed = (seed * 48271) % 2147483647) % n;
  const text = () => Array.from({ length: below(14) }, () => lines[below(lines.length)]).join("");
  for (let round = 0; round < 5000; round++) {
    const [before, after] = [text(), text()];
    let [made, at, of] = ["", 0, 0];
    for (const { fromA, toA, fromB, toB } of compareByLines(before, after)) {
      if (fromA < at || fromA - at !== fromB - of) return [before, after];
      made += before.slice(at, fromA) + after.slice(fromB, toB);
      [at, of] = [toA, toB];
    }
    if (made + before.slice(at) !== after) return [before, after];
  }
  return null;
}
"""


@pytest.mark.e2e
def test_what_is_shown_as_changed_leads_from_one_text_to_the_other(page: Page) -> None:
    assert page.evaluate(COMPARED) is None


@pytest.mark.e2e
def test_a_change_is_taken_back_with_a_key(page: Page) -> None:
    page.evaluate("open_('one\\nTWO\\n', 'one\\nTWO\\nthree\\n', 'one\\ntwo\\n')")
    for key in ("F7", "F8"):
        page.keyboard.press(key)
    assert page.evaluate("editor.getText()") == "one\ntwo\n"
    page.keyboard.press("Control+z")
    page.get_by_label("from").select_option("the text in the log")
    assert page.locator(".cm-deletedLine").count() == 0
    assert page.evaluate("editor.getText()") == "one\nTWO\nthree\n"


@pytest.mark.e2e
def test_what_a_check_says_stands_at_its_line(page: Page) -> None:
    page.evaluate("open_('one\\ntwo\\n')")
    page.evaluate("editor.showNotes([{line: 2, severity: 'warning', message: 'Not so.'}])")
    assert page.locator(".cm-line:has-text('two') + .cm-note").all_text_contents() == ["Not so."]
    assert page.locator(".cm-lineNumbers .cm-marked").all_text_contents() == ["2"]


@pytest.mark.e2e
def test_keys_save_and_leave_and_say_whether_something_was_typed(page: Page) -> None:
    page.evaluate("open_('a')")
    for key in ("Escape", "b", "Escape", "Control+Enter"):
        page.keyboard.press(key)
    assert page.evaluate("calls") == [["cancel", False], ["change", True], ["cancel", True], ["save", "ba"]]


@pytest.mark.e2e
def test_tab_leaves_the_editor(page: Page) -> None:
    page.evaluate("open_('a')")
    page.keyboard.press("Tab")
    assert page.evaluate("editor.getText()") == "a"
    assert page.evaluate("document.activeElement.className") != "editor"


@pytest.mark.e2e
def test_closing_the_editor_leaves_nothing_behind(page: Page) -> None:
    page.evaluate("open_('a'); editor.destroy()")
    assert page.locator("#here").evaluate("node => node.childNodes.length") == 0
