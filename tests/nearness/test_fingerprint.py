"""What a change looks like: names, numbers and places do not matter, everything else does."""

import json
import keyword
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import formats
from app.candidates import Candidate, Kind, SpecPair, StyleRefine, StyleUnify
from app.formats.given import Given
from app.nearness import lsh
from app.nearness.fingerprint import FEWEST, MOST, fingerprint, name, unpack
from tests.test_groups import FIX, OTHER, renamed

SAMPLES = Path(formats.__file__).parent.parent / "samples" / "success_memory.jsonl"


def patch(hunk: str, head: str = "--- a/x.py\n+++ b/x.py\n@@ -1,9 +1,9 @@\n", **more: object) -> Candidate:
    return Candidate(kind=Kind.PATCH, generation="G6", diff=head + hunk, **more)  # type: ignore[arg-type]


def of(hunk: str, **more: str) -> frozenset[int]:
    return frozenset(unpack(fingerprint(patch(hunk, **more))))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(renamed(FIX), id="other names"),
        pytest.param(FIX.replace("utf-8", "latin-1"), id="another string"),
        pytest.param(FIX.replace("    ", "  "), id="other indentation"),
        pytest.param(" def before():\n" + FIX + " return 7\n", id="more context"),
        pytest.param(FIX.replace("\n+", "\n+\n+"), id="blank lines"),
    ],
)
def test_the_same_change_looks_the_same(other: str) -> None:
    assert of(other) == of(FIX)


def test_where_it_stands_does_not_matter() -> None:
    assert of(FIX, head="--- a/y.py\n+++ b/z.py\n@@ -70,12 +90,3 @@ class Y:\n") == of(FIX)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(OTHER, id="another fix"),
        pytest.param(FIX.replace("-", "?").replace("+", "-").replace("?", "+"), id="undone"),
        pytest.param(FIX.replace("-", "+"), id="only added"),
    ],
)
def test_another_change_looks_different(other: str) -> None:
    assert not lsh.is_alike(of(other), of(FIX))


def test_a_name_that_comes_again_is_not_a_new_one() -> None:
    again = "".join(f"+first{n} = {{first{n}: [first{n}]}}\n" for n in range(4))
    new = "".join(f"+first{n} = {{other{n}: [third{n}]}}\n" for n in range(4))

    assert of(again) != of(new)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-version = 1\n+version = 2\n", "-version = 1\n+version = 3\n"),
        ("-a\n+b\n", "-a\n+c\n"),
        ("+import os\n", "+import re\n"),
        ("+    name=name,\n+    paths=paths,\n" * 9, "+    left=left,\n+    right=right,\n" * 9),
    ],
)
def test_a_small_change_is_like_its_equal_only(one: str, other: str) -> None:
    assert 0 < len(of(one)) < FEWEST
    assert of(one) == of(one.replace("+", "+  "))
    assert not of(one) & of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("from x.errors import (\n", "from y.compat import (\n", id="imports are what a change is about"),
        pytest.param("# We count the bytes of the head\n", "# Someone wrote this for older files\n", id="sentences"),
    ],
)
def test_words_that_tell_are_not_folded(one: str, other: str) -> None:
    lines = [f"+{one}" * 2, f"+{other}" * 2]
    body = "".join(f"+x{n}.call({n})\n" for n in range(3))

    assert of(lines[0] + body) != of(lines[1] + body)


def test_of_a_change_without_a_diff_the_script_speaks_unfolded() -> None:
    script = "\n".join(f"def leave_{n}(self, node): return node.with_changes(value='{n}')" for n in range(9))
    one = Candidate(kind=Kind.PATCH, generation="G6", script=script)
    sentence = Candidate(kind=Kind.PATCH, generation="G6", diff="- No diff could be made.", script=script)
    other = Candidate(kind=Kind.PATCH, generation="G6", script=script.replace("node", "tree"))

    assert fingerprint(one) == fingerprint(sentence) != b""
    assert not lsh.is_alike(*(frozenset(unpack(fingerprint(each))) for each in (one, other)))


def test_specs_and_styles_are_known_by_their_words() -> None:
    words = " ".join(f"word{n}" for n in range(40))
    spec = Candidate(kind=Kind.SPEC, generation="t5", issue=words, spec=SpecPair(yaml="a: 1\n"))
    refine = Candidate(kind=Kind.STYLE_REFINE, generation="d", refine=StyleRefine(snippet=words, draft={}, refined=""))
    samples = tuple({"fingerprint": {"n": n}, "file_path": f"x{n}.py", "weight": n} for n in range(9))
    unify = Candidate(kind=Kind.STYLE_UNIFY, generation="d", unify=StyleUnify(samples=samples, unified="{}"))
    turned = tuple(dict(reversed(one.items())) for one in samples)
    found = [unpack(fingerprint(one)) for one in (spec, refine, unify)]

    assert all(len(one) >= FEWEST for one in found)
    assert not set(found[0]) & set(found[1])
    assert fingerprint(unify) == fingerprint(
        Candidate(kind=Kind.STYLE_UNIFY, generation="d", unify=StyleUnify(samples=turned, unified="{}"))
    )


@pytest.mark.parametrize("said", [patch(""), patch("+\n-   \n"), Candidate(kind=Kind.PATCH, generation="G6")])
def test_of_nothing_there_is_no_fingerprint(said: Candidate) -> None:
    assert fingerprint(said) == b""


def test_no_two_of_the_real_samples_are_taken_for_the_same() -> None:
    said = [formats.read_entries(formats.SUCCESS, [(line, Given())], 0) for line in SAMPLES.read_bytes().splitlines()]
    sets = [frozenset(unpack(fingerprint(one))) for one in said]

    assert len(sets) == 12
    assert not [(a, b) for a in range(12) for b in range(a) if lsh.is_alike(sets[a], sets[b])]


# ------------------------------------------------------------------------------------------------ hostile


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("+" + "x = y(1)\n+" * 4_000_000, id="40 MB"),
        pytest.param("+" + '"\\' * 1_000_000, id="strings that never end"),
        pytest.param("+" + "'" * 2_000_000, id="nothing but quotes"),
        pytest.param("+" + "".join(chr(32 + n % 50_000) for n in range(500_000)), id="all characters"),
        pytest.param("+" + "\x00\x01\ud800\u202e" * 100_000, id="noise"),
        pytest.param("+\n" * 1_000_000, id="blank lines"),
        pytest.param("+" + "a" * 3_000_000, id="one word"),
        pytest.param("--- a\n+++ b\n" * 500_000, id="headers"),
    ],
)
def test_a_hostile_patch_costs_little_and_is_cut(text: str) -> None:
    found = unpack(fingerprint(patch(text)))

    assert len(found) <= MOST


def test_of_a_large_change_the_smallest_numbers_stand_for_all() -> None:
    lines = [f"+from pack{n} import thing{n}, other{n % 7}\n" for n in range(4_000)]
    one, near, far = "".join(lines), "".join(lines[:3_700]), "".join(lines[:2_000])

    assert len(of(one)) == len(of(near)) == MOST
    assert lsh.is_alike(of(one), of(near))
    assert not lsh.is_alike(of(one), of(far))


@given(st.text(max_size=300))
def test_any_text_has_a_fingerprint_of_the_right_form(text: str) -> None:
    found = list(unpack(fingerprint(patch(text))))

    assert found == sorted(set(found))
    assert 0 < name(fingerprint(patch(text))) < 2**63


@given(st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), min_size=8, max_size=20))
def test_other_names_never_make_another_change(names: list[str]) -> None:
    code = "".join(f"+if {one}.run({n}) in {{{one}}}: {names[n - 1]}[{n}] = not {one}\n" for n, one in enumerate(names))
    other = code
    for old, new in (("alpha", "a_1"), ("beta", "b_2"), ("gamma", "Gamma"), ("delta", "größe")):
        other = other.replace(old, new)
    assert not {"a_1", "b_2", "Gamma"} & set(keyword.kwlist)

    assert of(other) == of(code)


def test_json_that_is_no_text_is_no_fault() -> None:
    samples = ({"fingerprint": {"x": json.loads("[1, null]")}, "file_path": None},)

    assert fingerprint(Candidate(kind=Kind.STYLE_UNIFY, generation="d", unify=StyleUnify(samples=samples, unified="")))
