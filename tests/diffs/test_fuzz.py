"""What a reader gets of a diff is the stored text, character by character, whatever it holds.

PATCHSIFT_FUZZ=10000 python -m pytest -q tests/diffs/test_fuzz.py
"""

import difflib
import os
from html.parser import HTMLParser

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.diffs.edit import diff_texts
from app.diffs.highlight import colours_of, plan
from app.diffs.parse import BARE, MARKER, parse
from app.diffs.render import Known, draw
from tests.diffs.test_folds import in_one
from tests.diffs.texts import ODD_TEXTS

N = int(os.environ.get("PATCHSIFT_FUZZ", "50"))

_LINES = st.lists(
    st.sampled_from(
        [
            "x = first(1)", "x = second(1)", "    return first", "    return second", '    """Say it.', '"""', "# note",
            "", " ", "\tx", "a\fb", "a\u2028b", "a\r", "\u202e", "<i>&amp;</i>", "--- a", "+++ b", "@@ -1 +1 @@",
            "\\ No newline", "'" * 3, "x" * 2100, "\ud800", "\0",
        ]
    )
    | st.text(alphabet=st.characters(codec=None, exclude_categories=(), exclude_characters="\n"), max_size=8),
    max_size=8,
)  # fmt: skip
_PATHS = st.sampled_from(["x.py", "y.py", "a/b.toml", "yarn.lock", "c.txt", "d.ini"])


@st.composite
def _files(draw_one: st.DrawFn) -> str:
    """The diff of a file, by our own hand or as the agent's difflib makes it, which sticks lines together."""
    path, old, new = draw_one(_PATHS), draw_one(_LINES), draw_one(_LINES)
    times = draw_one(st.sampled_from([1] * 60 + [2, 2, 40, 300]))
    texts = ["\n".join(side * times) + draw_one(st.sampled_from(["", "\n"])) for side in (old, new)]
    if draw_one(st.booleans()):
        return diff_texts(texts[0], texts[1], path)
    before, after = (text.splitlines(keepends=True) for text in texts)
    return "".join(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", n=draw_one(st.sampled_from([0, 3]))))


@st.composite
def _diffs(draw_one: st.DrawFn) -> str:
    text = "".join(draw_one(st.lists(_files() | ODD_TEXTS, max_size=3)))
    cut = draw_one(st.sampled_from([None, None, 1000, 300]))
    return text if cut is None else text[:cut] + ("..." if len(text) > cut else "")


class _Reader(HTMLParser):
    """The lines of a page in their order, as (kind of cell, text); what cannot be seen, read back from its box."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []
        self.path: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "b":
            self._put(chr(int(found["title"].split()[0][2:], 16)))
        if tag == "tr" or found.get("class") in {"pl", "h", "cm"}:
            self.lines.append(("line", ""))
        elif tag == "td":
            self.lines[-1] = (found.get("class", ""), "")  # the last cell holds the line
        if tag not in {"tr", "td"}:
            self.path.append((tag, found.get("class", "")))

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if not any(tag in {"b", "summary", "s", "p", "h3"} or name in {"cx", "lz"} for tag, name in self.path):
            self._put(data)

    def _put(self, data: str) -> None:
        if any(tag == "table" or name in {"pl", "h", "cm"} for tag, name in self.path):
            kind, text = self.lines[-1]
            self.lines[-1] = (kind, text + data)


@given(_diffs(), st.booleans())
@settings(max_examples=N, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_text_of_the_page_is_the_stored_text(text: str, snippet: bool) -> None:
    doc = parse(text, snippet)
    known = Known(
        [(None, None) if piece is None else colours_of(piece) for piece in plan(doc)],
        n_lines={number: 99 for number, _ in enumerate(doc.files, 1)},
    )
    page = _Reader(in_one(draw(doc, "unified", known, address="/c")))
    # A line that lost its space has none in the stored text, and some lines were stuck together there.
    bare = iter([kind == BARE for hunk in doc.hunks for kind, _, _ in hunk.ops if kind != MARKER])
    rows = iter([kind for hunk in doc.hunks for kind, _, _ in hunk.ops])
    shown = []
    for kind, line in page.lines:
        if kind == "line" or next(rows) == MARKER:
            shown.append(line)
        else:
            shown.append(line if next(bare) else {"d": "-", "a": "+"}.get(kind, " ") + line)
    assert "".join(shown) == text.replace("\n", "")
    n_joined = sum(len(hunk.joined) for hunk in doc.hunks)
    assert len(shown) - n_joined - bool(doc.cut_mark) == text.count("\n") + (not doc.final_newline and bool(text))
