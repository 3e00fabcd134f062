"""What a page folds or leaves for later is all there, and said for what it is."""

import re

import pytest

from app.diffs.paging import FIRST_ROWS, split_next
from app.diffs.parse import parse
from app.diffs.render import Known, View, draw, render
from tests.diffs.test_render import shown_of
from tests.diffs.texts import with_header

HOLDER = re.compile(r'<div class="lz" hx-get="/c/diff\?view=\w+&amp;piece=(\d+)".*?</div>')


def in_one(pieces: list[str]) -> str:
    """What a reader has at the end, who opened and scrolled to everything."""
    return HOLDER.sub(lambda found: in_one([pieces[int(found[1])], *pieces[1:]]), pieces[0])


def edits(n: int, *, line: str = "total = {n} + {word}") -> str:
    """One word exchanged in each of `n` hunks."""
    return "".join(
        f"@@ -{n * 20 + 1},3 +{n * 20 + 1},3 @@\n a{n}\n-{line.format(n=n, word='first')}\n"
        f"+{line.format(n=n, word='second')}\n b\n"
        for n in range(n)
    )


@pytest.mark.parametrize("view", ["unified", "split"])
@pytest.mark.parametrize(
    "text",
    [
        with_header("@@ -0,0 +1,9000 @@\n" + "".join(f"+line {n}\n" for n in range(9000))),
        with_header("@@ -1 +1 @@\n-a\n+b\n" * 3000),
        "".join(with_header(f"@@ -1,2 +1,2 @@\n-{n} a\n+{n} b\n c\n").replace("x.py", f"{n}.py") for n in range(1500)),
        with_header("@@ -0,0 +1,4000 @@\n" + "+x\n" * 4000).replace("x.py", "yarn.lock") + with_header(edits(900)),
        "no diff at all\n" * 7000,
        with_header("@@ -0,0 +1 @@\n+x\n") + "prose\n" * 5000,
    ],
    ids=["one hunk", "many hunks", "many files", "a fold", "no diff", "a tail"],
)
def test_a_long_diff_comes_in_pieces_that_hold_all_of_it(text: str, view: View) -> None:
    doc = parse(text)
    pieces = draw(doc, view, address="/c")
    assert len(pieces) > 1
    assert pieces[0].count("<tr>") + pieces[0].count('"pl"') <= FIRST_ROWS + 64
    assert shown_of(in_one(pieces)) == shown_of(render(doc, view))


def test_the_pieces_of_a_long_diff_name_each_other_to_the_last() -> None:
    pieces = draw(parse(with_header("@@ -0,0 +1,9000 @@\n" + "+<div>\n" * 9000)), address="/c")
    following = [split_next(piece)[1] for piece in pieces[1:]]
    assert following == [*range(2, len(pieces)), None]
    assert all("piece=" not in split_next(piece)[0] for piece in pieces[1:])


def test_an_edit_made_many_times_is_shown_once_and_counted() -> None:
    html = render(parse(with_header(edits(6))))
    assert html.count("<details") == 2  # the header as logged, and the fold
    assert 'data-x="same edit × 6"' in html  # noqa: RUF001
    assert "Same edit × 5, 5 hunks: <del>first</del> → <ins>second</ins>" in html  # noqa: RUF001
    assert html.index("Same edit") > html.index('id="f1h1"')


def test_an_edit_made_many_times_in_one_hunk_is_folded_there() -> None:
    body = "".join(f"-use(first, {n})\n+use(second, {n})\n c{n}\n" for n in range(8))
    doc = parse(with_header("@@ -1,16 +1,16 @@\n" + body))
    for view in ("unified", "split"):
        html = render(doc, view)
        assert "Same edit × 7: <del>first" in html  # noqa: RUF001
        assert len(shown_of(html)[0]) == (24 if view == "unified" else 16)


@pytest.mark.parametrize(
    "text",
    [
        edits(2),
        "".join(f"@@ -{n * 9 + 1} +{n * 9 + 1} @@\n-a\n+    a\n" for n in range(5)),
        edits(5, line="total\u202e = {n} + {word}"),
        "".join(f"@@ -{n * 9 + 1} +{n * 9 + 1} @@\n-x = {n} + 1\n+x = {n} + 2{n}\n" for n in range(5)),
    ],
    ids=["two are no many", "indentation", "hidden characters", "different words"],
)
def test_what_must_be_seen_is_not_folded(text: str) -> None:
    assert '<details class="rp">' not in render(parse(with_header(text)))


@pytest.mark.parametrize(
    ("path", "n", "sentence"),
    [("x.py", 1200, "1,200 lines changed."), ("yarn.lock", 3, "A generated file, 3 lines changed."), ("x.py", 900, "")],
)
def test_a_large_or_generated_file_is_folded_beside_others_but_not_alone(path: str, n: int, sentence: str) -> None:
    file = with_header(f"@@ -0,0 +1,{n} @@\n" + "+x = 1\n" * n).replace("x.py", path)
    html = render(parse(file + with_header("@@ -1 +1 @@\n-a\n+b\n").replace("x.py", "y.py")))
    assert f"<summary>{sentence}" in html or not sentence
    assert ('<details class="fo">' in html) == bool(sentence)
    assert '<details class="fo">' not in render(parse(file))


@pytest.mark.parametrize(
    ("text", "badge"),
    [
        (with_header("@@ -1,2 +1,2 @@\n-a\r\n-b\r\n+a\n+b\n"), "line ends only"),
        (with_header("@@ -1 +1,2 @@\n-a b\n+a\n+    b\n"), "white space only"),
        (with_header("@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"), "end of file only"),
        ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "now executable"),
        ("diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+y\n", "symbolic link"),
    ],
)
def test_what_changed_beside_the_words_is_a_badge(text: str, badge: str) -> None:
    assert f'<span class="bg">{badge}</span>' in render(parse(text))


def test_lines_that_a_diff_leaves_out_can_be_asked_for_where_the_file_is_known() -> None:
    doc = parse(with_header("@@ -11 +11 @@\n-a\n+b\n@@ -60 +60 @@\n-a\n+b\n"))
    html = draw(doc, known=Known(n_lines={1: 61}), address="/c")[0]
    asked = re.findall(
        r'href="/c/context\?view=unified&amp;file=1&amp;first=(\d+)&amp;last=(\d+)&amp;take=(\w+)"', html
    )
    assert asked == [
        ("1", "10", "all"),
        *(("12", "59", take) for take in ("top", "bottom", "all")),
        ("61", "61", "all"),
    ]
    assert "context?" not in draw(doc, address="/c")[0]
