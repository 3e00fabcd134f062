from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.diffs.highlight import colours_of, draw_script, plan_script
from app.diffs.yaml_colours import yaml_colours


def test_keys_numbers_words_and_quoted_texts_have_colours_and_prose_has_none() -> None:
    lines = ["issue: Fix it", "- n: 3", "  on: true", "- 'a: b'", "x: *y # note"]

    assert yaml_colours(lines[:1]) == [[(0, 5, "t")]]
    assert yaml_colours(lines[1:3]) == [[(2, 3, "t"), (5, 6, "m")], [(2, 4, "t"), (6, 10, "k")]]
    assert yaml_colours(lines[3:4]) == [[(2, 8, "s")]]
    assert yaml_colours(lines[4:]) == [[(0, 1, "t"), (3, 5, "d")]]


def test_a_text_of_many_lines_is_one_text() -> None:
    assert yaml_colours(["a: 'tests: x", "  (#2816)'", "b: y"]) == [
        [(0, 1, "t"), (3, 12, "s")],
        [(0, 10, "s")],
        [(0, 1, "t")],
    ]
    assert yaml_colours(["a: |", "  key: no key"])[1] == [(0, 13, "s")]


def test_from_a_fault_on_nothing_is_coloured() -> None:
    assert yaml_colours(["a: 1", "b: 'open", "c: 2"]) == [[(0, 1, "t"), (3, 4, "m")], [(0, 1, "t")], []]


def test_what_would_take_the_scanner_long_is_left_plain() -> None:
    assert yaml_colours(["a: 1" + " " * 30_000]) == [[]]
    assert len(yaml_colours(["a: " + "[1, " * 1_000])[0]) == 1 + 32


@given(
    st.lists(st.one_of(st.text(), st.sampled_from(["a: b", "- 'x", "  y: [1", "\x85k: v", "a\u2028b: c", "x: 1\r"])))
)
def test_spans_lie_within_their_lines_and_do_not_overlap(lines: list[str]) -> None:
    lines = [line.replace("\n", " ") for line in lines]
    found = yaml_colours(lines)

    assert len(found) == len(lines)
    for line, spans in zip(lines, found, strict=True):
        assert all(0 <= begin < end <= len(line) for begin, end, _ in spans)
        assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_a_spec_is_drawn_with_what_is_said_of_its_lines() -> None:
    text = "a: 1\nb: <x>\n"
    _, found = colours_of(plan_script(text, "yaml"))
    html = draw_script(text, found, anchor="S", notes={1: "odd", 2: "<bad>"}, soft={1})

    assert '<tr id="S1" class="hit soft"><td>1<td><i class=t>a</i>: <i class=m>1</i>' in html
    assert '<tr class="note soft"><td><td>odd' in html
    assert '<tr id="S2" class=hit>' in html
    assert "<tr class=note><td><td>&lt;bad&gt;" in html
