import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.diffs.highlight import colours_of, draw_script, plan_script
from app.diffs.lines import ROWS_PER_BLOCK
from app.diffs.parse import ADDED, BARE, MARKER, REMOVED, DiffDoc, parse
from app.diffs.render import View, render, render_line, render_text
from tests.diffs.texts import ODD_TEXTS, SAMPLES, with_header

_CELL = {"d": REMOVED, "a": ADDED, "nn": MARKER, "e": "empty", "": " "}


class _Page(HTMLParser):
    """What a reader of the page sees: table rows of (kind, text), and lines outside tables, boxes read back."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, str]]] = []
        self.lines: list[str] = []
        self.path: list[tuple[str, str]] = []
        self.feed(str(html))  # of Markup every slice would be escaped again
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        name = found.get("class", "")
        if tag == "b":
            self._put(chr(int(found["title"].split()[0][2:], 16)))
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append((_CELL[name], ""))
        elif name in {"pl", "h", "cm"}:
            self.lines.append("")
        if tag not in {"tr", "td"}:
            self.path.append((tag, name))

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if all(tag not in {"b", "summary", "s"} and name not in {"cx", "lz"} for tag, name in self.path):
            self._put(data)

    def _put(self, data: str) -> None:
        names = {name for _, name in self.path}
        if self.rows and any(tag == "table" for tag, _ in self.path):
            kind, text = self.rows[-1][-1]
            self.rows[-1][-1] = (kind, text + data)
        elif names & {"pl", "h", "cm"}:
            self.lines[-1] += data


def shown_of(html: str) -> tuple[list[list[tuple[str, str]]], list[str]]:
    """The rows of a page, and the lines outside of tables, as text."""
    page = _Page(html)
    return page.rows, page.lines


def _lines_of(doc: DiffDoc) -> list[str]:
    lines: list[str] = []
    for file in doc.files:
        lines += [*file.prose, *file.header]
        for hunk in file.hunks:
            lines += [*hunk.before, hunk.header]
    return [*lines, *doc.tail, *([doc.cut_mark] if doc.cut_mark else [])]


def _steps(doc: DiffDoc, index: int) -> list[tuple[str, str]]:
    """The steps of one side (1 old, 2 new) as (kind, text)."""
    steps: list[tuple[str, str]] = []
    for hunk in doc.hunks:
        markers = iter(hunk.markers)
        for kind, old, new in hunk.ops:
            place, lines = (old, hunk.old_lines) if index == 1 else (new, hunk.new_lines)
            if kind == MARKER:
                steps.append((kind, next(markers)))
            elif place >= 0:
                steps.append((" " if kind == BARE else kind, lines[place]))
    return steps


def _assert_all_shown(text: str, snippet: bool) -> None:
    doc = parse(text, snippet)
    unified = _Page(render(doc, "unified"))
    assert unified.lines == _lines_of(doc)
    split = _Page(render(doc, "split"))
    assert split.lines == _lines_of(doc)
    for index in (1, 2):
        other = ADDED if index == 1 else REMOVED
        shown = [row[-1] for row in unified.rows if row[-1][0] != other]
        assert [cell for cell in shown if cell[0] != MARKER] == [s for s in _steps(doc, index) if s[0] != MARKER]
        halves = [row[index * 2 - 1] if len(row) == 4 else row[-1] for row in split.rows]
        halves = [cell for cell in halves if cell[0] not in {"empty", other, MARKER}]
        assert halves == [step for step in _steps(doc, index) if step[0] != MARKER]
    markers = [marker for hunk in doc.hunks for marker in hunk.markers]
    assert [row[-1][1] for row in unified.rows if row[-1][0] == MARKER] == markers


@given(ODD_TEXTS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_character_of_a_text_is_on_the_page(text: str, snippet: bool) -> None:
    _assert_all_shown(text, snippet)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_character_of_a_logged_diff_is_on_the_page(name: str) -> None:
    _assert_all_shown(SAMPLES[name], "-cut" in name)


@pytest.mark.parametrize(
    "text",
    [
        "@@ -1 +1 @@\n-" + "x" * 5000 + "\n+" + "<&>\u202e\r" * 900 + "\n",
        "@@ -1,2 +1,2 @@\n-a\r\n-b\r\n+a\n+c\r\n",
        "@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n",
        "@@ -1,300 +1,300 @@\n" + "".join(f" {n}\n-a{n}\n+b{n}\n" for n in range(150)),
    ],
)
def test_long_lines_and_line_ends_are_all_on_the_page(text: str) -> None:
    _assert_all_shown(with_header(text), False)


@given(ODD_TEXTS)
@settings(max_examples=100, deadline=None)
def test_a_page_can_always_be_encoded_and_carries_no_markup_of_the_log(text: str) -> None:
    html = render(parse("<script>" + text))
    html.encode()
    assert "<script" not in html
    assert not re.search("[\x00\r\u202e\u200b]", html)


@pytest.mark.parametrize("path", ["<img src=x onerror=alert(1)>.py", '"><script>alert(1)</script>', "a\u202eyp.x"])
def test_a_path_is_only_text(path: str) -> None:
    html = render(parse(f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n"))
    assert "<img" not in html
    assert "<script" not in html
    assert "\u202e" not in html


def test_hunks_have_anchors_to_step_between() -> None:
    text = with_header("@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n-a\n+b\n") * 2
    html = render(parse(text), prefix="p")
    assert re.findall(r'id="(\w+)" data-hunk="(\w+)"', html) == [(a, a) for a in ("pf1h1", "pf1h2", "pf2h1", "pf2h2")]


def test_line_numbers_count_from_the_header_on_each_side() -> None:
    page = _Page(render(parse(with_header("@@ -7,2 +9,3 @@\n a\n-b\n+c\n+d\n"))))
    assert [[text for _, text in row[:2]] for row in page.rows] == [["7", "9"], ["8", ""], ["", "10"], ["", "11"]]


def test_changed_words_are_marked_on_both_sides() -> None:
    html = render(parse(with_header("@@ -1 +1 @@\n-total = first + 1\n+total = second + 1\n")))
    assert re.findall("<mark>(.*?)</mark>", html) == ["first", "second"]


@pytest.mark.parametrize("view", ["unified", "split"])
def test_a_huge_diff_is_drawn_in_blocks(view: View) -> None:
    html = render(parse(with_header("@@ -0,0 +1,1000 @@\n" + "+x\n" * 1000)), view)
    assert html.count('<div class="cv') == -(-1000 // ROWS_PER_BLOCK)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (with_header("@@ -1,5 +1,6 @@\n a\n-b\n+c"), "this hunk lacks 3 old and 4 new lines"),
        (with_header("@@ -1,9 +1 @@\n-b\n+c\n"), "it says 9 old and 1 new lines, here are 1 and 1"),
        (with_header("@@ -1 +1 @@\n-return 1+return 2"), "a line end was missing"),
        (with_header("@@ -1 +1 @@\n-a\n+\u202eb\n"), "U+202E RIGHT-TO-LEFT OVERRIDE"),
        (with_header("@@ -1,2 +1,2 @@\n-a\r\n-b\r\n+a\n+b\n"), "Line endings changed on 2 lines"),
        ("No textual changes detected for x.py", "This is not a diff."),
        ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "now executable"),
        ("diff --git a/x b/y\nrename from x\nrename to y\n", "No change of content."),
        ("diff --git a/x b/x\nnew file mode 100644\n", "New empty file."),
        ("diff --git a/x b/x\nBinary files a/x and b/x differ\n", "Binary file"),
    ],
)
def test_what_is_odd_is_said(text: str, sentence: str) -> None:
    assert sentence in render(parse(text))


def test_unedited_crlf_lines_get_no_boxes_and_keep_their_character() -> None:
    html = render(parse(with_header("@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n")))
    assert "CR</b>" not in html
    assert html.count('title="U+000D CARRIAGE RETURN"') == 3


def test_ordinary_letters_of_any_script_get_no_box() -> None:
    assert "<b" not in render(parse(with_header("@@ -1 +1 @@\n-مرحبا שלום\n+café 日本語\n")))


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_script_is_shown_whole_with_numbers(text: str) -> None:
    page = _Page(draw_script(text, colours_of(plan_script(text))[1]))
    lines = text.split("\n")
    assert [row[0][1] for row in page.rows] == [str(n + 1) for n in range(len(page.rows))]
    assert [row[1][1] for row in page.rows] == (lines[:-1] if lines[-1] == "" else lines)


def test_a_script_is_coloured_as_one_file() -> None:
    text = '"""Doc\nimport x\n"""\nimport y\n'
    html = draw_script(text, colours_of(plan_script(text))[1])
    assert html.count("<i class=k>import</i>") == 1


def test_what_is_said_of_a_line_of_a_script_stands_below_it() -> None:
    html = draw_script("a\nb\n", anchor="try-", notes={1: "a <b>\u202e"})
    rows = _Page(html).rows
    assert [[text for _, text in row] for row in rows] == [["1", "a"], ["", "a <b>\u202e"], ["2", "b"]]
    assert re.findall(r'<tr id="(.*?)"( class=hit)?>', html) == [("try-1", " class=hit"), ("try-2", "")]


@given(ODD_TEXTS)
@settings(max_examples=200, deadline=None)
def test_a_text_that_is_no_diff_is_shown_whole(text: str) -> None:
    assert _Page(render_text(text)).lines == text.removesuffix("\n").split("\n")
    assert _Page(f'<div class="pl">{render_line(text)}</div>').lines == [text]


def test_no_style_stands_in_the_markup() -> None:
    html = render(parse(SAMPLES["flask-cut.diff"], snippet=True), "split")
    assert not re.search(r"\s(style|on\w+)=", html)


def test_every_class_on_a_page_has_its_rule_in_the_style_sheet() -> None:
    css = (Path(__file__).parents[2] / "static" / "diff.css").read_text(encoding="utf-8")
    views: tuple[View, ...] = ("unified", "split")
    pages = [render(parse(text), view) for text in SAMPLES.values() for view in views]
    classes = {name for page in pages for names in re.findall(r'class="?([\w ]+)', page) for name in names.split()}
    unstyled = {"unified", "split", "script"}
    assert {name for name in classes - unstyled if not re.search(rf"\.{name}\b", css)} == set()


@pytest.mark.parametrize("body", ["\\\n" * 50_000, "-a\n\\\n+b\n\\\n" * 12_500, "+\u202e\n" * 50_000, "@@\n" * 10_000])
def test_a_text_made_to_be_slow_is_drawn_to_its_last_line(body: str) -> None:
    page = _Page(render(parse(with_header("@@ -1,9 +1,9 @@\n" + body))))
    assert len(page.rows) + len(page.lines) == body.count("\n") + 3


@pytest.mark.parametrize("bait", ["@", "`", "a.", "(", "[[", "{", '"', "f'{", "\\", "$(", "=", "\n ", "\"\"\"'''"])
@pytest.mark.parametrize("name", ["x.py", "x.json", "x.toml", "x.sh", "x.ini"])
def test_bait_for_lexers_is_only_text(name: str, bait: str) -> None:
    rows = ("+" + bait * (900 // len(bait))).replace("\n", "\n+") + "\n"
    doc = parse(f"--- a/{name}\n+++ b/{name}\n@@ -50 +50 @@\n" + rows * 3)
    page = _Page(render(doc))
    assert [row[-1][1] for row in page.rows] == list(doc.hunks[0].new_lines)
