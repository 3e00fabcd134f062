"""What the checks say of a refined fingerprint and a unified profile; the shapes are what the agent's models give."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import checks
from app.candidates import Candidate, Finding, Kind, Severity, StyleRefine, StyleUnify
from app.checks.style import FINGERPRINT, PROFILE, PROFILE_OF, Most, Pair, majority, read_pairs

REFINED = (
    '"indent": 4, "quotes": "double", "linelen": 88, "snake_pct": 1.0, "camel_pct": 0.0, "screaming_pct": 0.0, '
    '"docstyle": "plain"'
)
FINGERPRINT_OF = {
    "indent": 4, "quotes": "double", "linelen": 88, "snake_pct": 0.9, "camel_pct": 0.1, "screaming_pct": 0.0,
    "docstyle": "plain",
}  # fmt: skip
PROFILE_OF_ALL: dict[str, Any] = {
    "indent_width": 4, "preferred_quotes": "double", "docstring_style": "plain", "max_line_length": 88,
    "identifier_snake_case_pct": 0.9, "identifier_camelCase_pct": 0.1, "identifier_UPPER_SNAKE_CASE_pct": 0.0,
    "directory_overrides": {"tests/": {"max_line_length": 72}}, "confidence_score": 0.7, "raw_analysis_summary": None,
    "error": None,
}  # fmt: skip
SAMPLES = (
    {"fingerprint": FINGERPRINT_OF, "file_path": "src/a.py", "weight": 0.7},
    {"fingerprint": {**FINGERPRINT_OF, "quotes": "single", "linelen": 79}, "file_path": "src/b.py", "weight": 0.2},
)


def refine(refined: str) -> Candidate:
    return Candidate(Kind.STYLE_REFINE, "other", refine=StyleRefine("x = 1\n", {"indent": 8}, refined))


def unify(unified: str | dict[str, Any], samples: tuple[dict[str, object], ...] = SAMPLES) -> Candidate:
    text = unified if isinstance(unified, str) else json.dumps(unified, indent=2)
    return Candidate(Kind.STYLE_UNIFY, "other", unify=StyleUnify(samples, text))


def only(candidate: Candidate) -> Finding:
    (finding,) = checks.run(candidate)
    return finding


# ------------------------------------------------------------------------------------------------ pairs


@pytest.mark.parametrize(
    "text", ['"indent": 4, "quotes": "a, b"', '{"indent": 4, "quotes": "a, b"}', ' {"indent":4,\n"quotes":"a, b"} ']
)
def test_pairs_are_read_with_and_without_braces(text: str) -> None:
    pairs = read_pairs(text)

    assert (pairs.fault, pairs.by_key()) == ("", {"indent": 4, "quotes": "a, b"})
    assert [text[pair.offset :].startswith(f'"{pair.key}"') for pair in pairs.read] == [True, True]


@pytest.mark.parametrize("stop", range(1, len(REFINED)))
def test_wherever_pairs_are_cut_the_cut_is_seen_and_nothing_is_made_up(stop: int) -> None:
    whole = read_pairs(REFINED).read
    pairs = read_pairs(REFINED[:stop])

    if pairs.fault:
        assert pairs.is_cut
        assert pairs.read == whole[: len(pairs.read)]
    else:
        # Half a number may be a number: `8` of `88`. All before the last pair is true.
        assert pairs.read[:-1] == whole[: len(pairs.read) - 1]
        assert len(pairs.read) < len(FINGERPRINT)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ('"indent": 4 "quotes": "double"', 12),
        ("indent: 4", 0),
        ('"indent": four, "linelen": 88', 10),
        ('"indent": NaN', 10),
        (f'"indent": {"9" * 5000}', 10),
        ('"indent": ' + "[" * 100_000, 10),
        ('"indent": 4, }', 13),
        ("", 0),
        ("  \n", 3),
        ("The fingerprint is good.", 0),
    ],
)
def test_what_is_no_pair_is_a_fault_at_its_place(text: str, at: int) -> None:
    pairs = read_pairs(text)

    assert pairs.fault
    assert (pairs.offset, pairs.is_cut) == (at, False)


@pytest.mark.parametrize("text", ['"indent": 4', "[]", '{"a": 1} {"b": 2}', '{"a": 1,}', "null"])
def test_an_object_is_one_object_and_nothing_else(text: str) -> None:
    pairs = read_pairs(text, is_object=True)

    assert pairs.fault
    assert not pairs.is_cut


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.lists(st.text()))))
def test_pairs_come_back_as_json_wrote_them(values: dict[str, object]) -> None:
    text = json.dumps(values, indent=2)

    assert read_pairs(text, is_object=True).by_key() == values
    if values:
        assert read_pairs(text[1:-1]).by_key() == values


@given(st.one_of(st.text(), st.text(alphabet='{}[]",:01.-tnf a\n\\')))
def test_any_text_is_read_or_has_a_fault_within_it(text: str) -> None:
    for is_object in (False, True):
        pairs = read_pairs(text, is_object=is_object)

        assert 0 <= pairs.offset <= len(text)
        assert all(isinstance(pair, Pair) and 0 <= pair.offset < len(text) for pair in pairs.read)


# ------------------------------------------------------------------------------------------------ refined


def test_a_sound_fingerprint_has_no_finding() -> None:
    assert checks.run(refine(REFINED)) == ()


@pytest.mark.parametrize(
    "cut", ['"indent": 4, "quotes": "double", "camel_pct": 0.', '"indent": 4, "qu', '"indent": 4,']
)
def test_a_fingerprint_that_was_cut_is_held(cut: str) -> None:
    finding = only(refine(cut))

    assert (finding.code, finding.severity, finding.place) == ("refined_cut", Severity.HOLD, "refined:1")
    assert checks.find_unreadable(refine(cut), "refined") == finding


@pytest.mark.parametrize("text", ["It looks fine.", "", "indent: 4", '"indent": "4" "quotes"'])
def test_what_is_no_list_of_pairs_is_held(text: str) -> None:
    finding = only(refine(text))

    assert (finding.code, finding.severity) == ("refined_not_pairs", Severity.HOLD)
    assert checks.find_unreadable(refine(text), "refined") == finding


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"indent": 4', '"indent": "4"', 'indent must be a whole number from 1 to 16; it is "4".'),
        ('"indent": 4', '"indent": 4.5', "it is 4.5"),
        ('"indent": 4', '"indent": true', "it is true"),
        ('"indent": 4', '"indent": 0', "it is 0"),
        ('"indent": 4', '"indent": null', "it is null"),
        ('"linelen": 88', '"linelen": 100000', "from 1 to 1,000"),
        ('"quotes": "double"', '"quotes": "mixed?"', "A draft may doubt; what is refined decides."),
        ('"docstyle": "plain"', '"docstyle": "sphinx"', "one of google, numpy"),
        ('"snake_pct": 1.0', '"snake_pct": 1.2', "a number from 0 to 1; it is 1.2"),
        ('"snake_pct": 1.0', '"snake_pct": -0.1', "a number from 0 to 1"),
        ('"camel_pct": 0.0', '"camel_pct": 0.4', "make up 1.40"),
        (', "docstyle": "plain"', "", "Missing: docstyle."),
        ('"linelen"', '"line_len"', "Is it linelen?"),
        ('"indent": 4', '"indent": 4, "indent": 2', "“indent” stands here a second time."),
    ],
)
def test_a_pair_that_no_fingerprint_has_is_named(old: str, new: str, says: str) -> None:
    found = checks.run(refine(REFINED.replace(old, new)))

    assert {(one.code, one.severity, one.place) for one in found} == {("refined_field", Severity.WARNING, "refined:1")}
    assert any(says in one.message for one in found)
    assert checks.find_unreadable(refine(REFINED.replace(old, new)), "refined") is None


def test_a_finding_names_the_line_of_its_pair() -> None:
    found = only(refine(REFINED.replace(", ", ",\n").replace('"plain"', '"sphinx"')))

    assert found.place == "refined:7"


# ------------------------------------------------------------------------------------------------ unified


def test_a_sound_profile_has_no_finding() -> None:
    assert checks.run(unify(PROFILE_OF_ALL)) == ()
    assert set(PROFILE) == {*PROFILE_OF_ALL, "details"}


@pytest.mark.parametrize("name", PROFILE_OF_ALL)
def test_every_field_of_a_profile_may_be_null(name: str) -> None:
    assert checks.run(unify({**PROFILE_OF_ALL, name: None})) == ()


@pytest.mark.parametrize("unified", ["{}", dict.fromkeys(PROFILE_OF_ALL), {"error": "the model gave no JSON"}])
def test_a_profile_that_says_nothing_is_held(unified: str | dict[str, Any]) -> None:
    found = next(one for one in checks.run(unify(unified)) if one.severity is Severity.HOLD)

    assert (found.code, found.place) == ("empty", "unified:1")


@pytest.mark.parametrize("refined", ["{}", '"indent": null, "quotes": null', '"language": "python"'])
def test_a_fingerprint_that_says_nothing_is_held(refined: str) -> None:
    found = next(one for one in checks.run(refine(refined)) if one.severity is Severity.HOLD)

    assert (found.code, found.place) == ("empty", "refined:1")


@pytest.mark.parametrize("text", ["", "\n", "null"])
def test_an_output_that_was_null_is_held(text: str) -> None:
    for candidate in (refine(text), unify(text)):
        assert [one.severity for one in checks.run(candidate)] == [Severity.HOLD]


@pytest.mark.parametrize(
    "overrides", [{}, {"tests/": {}}, [], [{"path_prefix": "tests/", "profile": {"max_line_length": 72}}]]
)
def test_overrides_are_keyed_by_prefix_or_a_list_as_the_prompt_asks(overrides: object) -> None:
    assert checks.run(unify({**PROFILE_OF_ALL, "directory_overrides": overrides})) == ()


@pytest.mark.parametrize("cut", ['{\n  "indent_width": 4,\n  "pref', '{"indent_width": 4', '{"a": {"b": [1, ', "{"])
def test_a_profile_that_was_cut_is_held(cut: str) -> None:
    finding = only(unify(cut))

    assert (finding.code, finding.severity) == ("unified_cut", Severity.HOLD)
    assert checks.find_unreadable(unify(cut), "unified") == finding


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '"indent_width": 4', "{'indent_width': 4}", '{"a": NaN}', '{"a": 1} x']
)
def test_what_is_no_json_object_is_held(text: str) -> None:
    finding = only(unify(text))

    assert (finding.code, finding.severity) == ("unified_not_json", Severity.HOLD)
    assert checks.find_unreadable(unify(text), "unified") == finding


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("indent_width", "4", "a whole number"),
        ("preferred_quotes", "mixed", "one of single, double"),
        ("docstring_style", "none", "one of google, numpy"),
        ("identifier_camelCase_pct", 40, "a number from 0 to 1"),
        ("identifier_camelCase_pct", 0.5, "make up 1.40"),
        ("confidence_score", "high", "a number from 0 to 1"),
        ("directory_overrides", [{"prefix": "tests/"}], "settings by path prefix"),
        ("raw_analysis_summary", "fine", "an object"),
        ("error", 3, "text"),
        ("target_python_version", "3.11", "no field “target_python_version”"),
        ("naming_convention_snake_case_weight", 1.0, "no field"),
        ("prefered_quotes", "double", "Is it preferred_quotes?"),
    ],
)
def test_a_field_that_no_profile_has_is_named_at_its_line(field: str, value: object, says: str) -> None:
    profile = {**PROFILE_OF_ALL, field: value}
    found = [one for one in checks.run(unify(profile)) if one.code == "unified_field"]
    lines = json.dumps(profile, indent=2).split("\n")
    line = next(n for n, text in enumerate(lines, 1) if text.startswith(f'  "{field}"'))

    assert any(says in one.message for one in found)
    assert {one.severity for one in found} == {Severity.WARNING}
    assert {one.place for one in found} <= {f"unified:{line}", "unified:6"}


def test_a_profile_without_a_field_says_which() -> None:
    profile = {key: value for key, value in PROFILE_OF_ALL.items() if key != "max_line_length"}

    assert only(unify(profile)).message == "Missing: max_line_length."


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("preferred_quotes", "single", 'preferred_quotes is "single", but the samples say "double" (78%).'),
        ("max_line_length", 79, "but the samples say 88 (78%)"),
        ("identifier_snake_case_pct", 0.5, "but the samples say 0.9 on average"),
    ],
)
def test_a_profile_against_its_samples_is_named(field: str, value: object, says: str) -> None:
    finding = only(unify({**PROFILE_OF_ALL, field: value}))

    assert (finding.code, finding.severity) == ("unified_disagrees", Severity.WARNING)
    assert says in finding.message


def test_samples_without_a_majority_leave_the_profile_free() -> None:
    samples = tuple({"fingerprint": {"linelen": length}, "weight": 1} for length in (79, 88, 100))

    assert checks.run(unify({**PROFILE_OF_ALL, "max_line_length": 120}, samples)) == ()


def test_the_majority_goes_by_weight() -> None:
    light = {"fingerprint": {"quotes": "single", "snake_pct": 0.0}, "weight": 0.1}
    samples = (light, light, {"fingerprint": {"quotes": "double", "snake_pct": 1.0}, "weight": 0.8})

    most = majority(samples)

    assert most["snake_pct"] == Most(0.8, 1.0, is_mean=True)
    assert most["quotes"].sentence == '"double" (80%)'


@pytest.mark.parametrize(
    "samples",
    [
        ({},),
        ({"fingerprint": None, "weight": 1},),
        ({"fingerprint": {"indent": None, "quotes": [], "linelen": True}},),
        ({"fingerprint": {"indent": 4}, "weight": 0},),
    ],
)
def test_odd_samples_are_no_trouble(samples: tuple[dict[str, object], ...]) -> None:
    assert all(not most.is_against(4) for most in majority(samples).values())
    assert checks.run(unify(PROFILE_OF_ALL, samples)) == ()


def test_odd_weights_count_as_the_agents_own_default() -> None:
    samples = tuple(
        {"fingerprint": {"indent": indent}, "weight": weight}
        for indent, weight in ((2, "heavy"), (2, -1), (4, float("nan")), (8, True), (8, 0.4))
    )

    assert majority(samples)["indent"].value == 2


# ------------------------------------------------------------------------------------------------ both


def test_what_is_asked_of_patches_is_not_asked_of_styles() -> None:
    assert {*PROFILE_OF} == {*FINGERPRINT}
    assert {one.code for one in (*checks.run(refine("")), *checks.run(unify("")))} == {
        "refined_not_pairs",
        "unified_not_json",
    }


@pytest.mark.parametrize(
    ("candidate", "place"),
    [
        (Candidate(Kind.STYLE_REFINE, "o", refine=StyleRefine("a\nb\u202e = 1", {}, REFINED)), "snippet:2"),
        (Candidate(Kind.STYLE_REFINE, "o", refine=StyleRefine("a", {"note": "\u202e"}, REFINED)), "draft.note"),
        (Candidate(Kind.STYLE_REFINE, "o", refine=StyleRefine("a", {}, REFINED + "\u202e")), "refined:1"),
        (Candidate(Kind.STYLE_REFINE, "o", refine=StyleRefine("a", {}, REFINED, polished="\u202e")), "polished"),
        (unify(json.dumps(PROFILE_OF_ALL, indent=2) + "\u202e"), "unified:17"),
        (unify(PROFILE_OF_ALL, ({"file_path": "a\u202e.py"},)), "samples[0].file_path"),
    ],
)
def test_tricks_are_found_wherever_they_stand(candidate: Candidate, place: str) -> None:
    assert [one.place for one in checks.run(candidate) if one.code == "bidi"] == [place]
