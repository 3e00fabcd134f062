"""What holds an example back, each gate by an example that it must hold and by one that it must not."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example as by_example
from hypothesis import given
from hypothesis import strategies as st

from app import checks, gates
from app.candidates import Attempt, Candidate, Finding, Run, Severity, Stage, Validity
from app.evidence import read_success
from app.examples import COLUMNS, Dataset, Example, Value
from app.gates import GATES, Given, check
from app.gates.leak import holds_answer, holds_diff, tells_most
from app.gates.sameness import is_same
from app.tokens import Budget
from tests.checks.examples import PATHS, VERSION, VERSION_SCRIPT, patch

EVIDENCE = Path(__file__).parent / "data" / "evidence"
NOTHING = Given()
HOLD, WARNING, NOTE = Severity.HOLD, Severity.WARNING, Severity.NOTE
# Parted, so that a scanner does not take this file for a leak.
AWS = "AKIA" + "IOSFODNN7EXAMPLE"


def sft(prompt: str = "Fix it.\nThis is 5.0-dev\n", completion: str = VERSION_SCRIPT, **more: object) -> Example:
    sound: dict[str, object] = {
        "templates": ("scaffold/1",), "answer": "script", "places": frozenset({"issue", "script"}),
        "code": ("completion",), "told": ("This is 5.0-dev",),
    }  # fmt: skip
    return made("llm/scaffold/sft", {"prompt": prompt, "completion": completion}, **(sound | more))


def pair(chosen: str, rejected: str, prompt: str = "Fix it.\n") -> Example:
    return made(
        "llm/repair/preference",
        {"prompt": prompt, "chosen": chosen, "rejected": rejected},
        templates=("repair/1",),
        places=frozenset({"attempt1", "attempt2"}),
        code=("chosen",),
        answer="attempt 2",
    )


def made(dataset: str, values: dict[str, Value], **more: object) -> Example:
    return Example(Dataset(*dataset.split("/")), f"{dataset}-9f", values, "llm/2", **more)  # type: ignore[arg-type]


def named(example: Example, *findings: Finding, given: Given = NOTHING) -> list[str]:
    return [hold.gate for hold in check(example, findings, given=given)]


def only(example: Example, *findings: Finding, given: Given = NOTHING) -> str:
    (hold,) = check(example, findings, given=given)
    return hold.message


# ------------------------------------------------------------------------------------------------ the list of gates


def test_every_gate_says_in_sentences_what_it_protects_from() -> None:
    assert [gate.code for gate in GATES.values()] == list(GATES)
    assert all(gate.why.endswith(".") and gate.title[0].isupper() for gate in GATES.values())
    assert len({gate.title for gate in GATES.values()}) == len(GATES)


@pytest.mark.parametrize(
    "code",
    [
        "answer_in_prompt", "same_after_normalisation", "empty", "diff_cut", "no_diff", "not_a_diff", "hash_only",
        "placeholder_score", "never_validated", "script_unparsable", "secret", "hidden", "bidi", "control", "injection",
        "over_budget", "exact_duplicate", "near_duplicate", "label_both", "reviewers_disagree", "licence_unknown",
        "nul", "lone_surrogate", "split_conflict", "contaminated", "left_out", "direction_unknown", "core_unknown",
        "no_old_code", "unified_not_json", "no_script",
    ],
)  # fmt: skip
def test_every_reason_that_a_row_can_have_is_a_gate(code: str) -> None:
    assert code in GATES


def codes_that_hold() -> Iterator[str]:
    """The codes that the checks give with `Severity.HOLD`, read from their source."""
    for path in Path(checks.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(ast.unparse(one) in {"Severity.HOLD", "hold"} for one in given):
                yield str(node.args[0].value)
    yield from checks.TEXT_CODES
    yield from ("refined_not_pairs", "refined_cut", "unified_not_json", "unified_cut")


def test_every_finding_that_holds_has_its_gate() -> None:
    found = set(codes_that_hold())

    assert {"no_script", "diff_malformed", "spec_cut", "empty", "secret"} <= found
    assert found <= set(GATES)


def test_a_gate_has_a_title_and_an_unknown_one_its_code() -> None:
    assert gates.title_of("answer_in_prompt") == "Answer in the prompt"
    assert gates.title_of("some_fork_s_code") == "Some fork s code"


def test_what_would_break_a_release_cannot_pass() -> None:
    assert not any(GATES[code].can_pass for code in ("empty", "hash_only", "lone_surrogate", "split_conflict"))
    assert GATES["secret"].can_pass
    assert GATES["answer_in_prompt"].can_pass


# ------------------------------------------------------------------------------------------------ all together


def test_a_sound_example_passes_with_all_that_is_known() -> None:
    given = Given(
        licence="MIT", licence_required=True, diff=VERSION, budgets=(Budget("llm", "Qwen", total_tokens=4096),)
    )

    assert check(sft(), checks.run(patch()), given=given) == []


def test_all_reasons_are_told_in_the_order_of_the_gates_each_once() -> None:
    row = sft("x = 1\n", "x = 1\n", code=())
    given = Given(licence_required=True, disagree="Ana accepted it, Ben did not.")
    findings = [Finding("injection", HOLD, "issue:1", "A lure."), Finding("secret", HOLD, "script:3", "A key.")]

    found = named(row, *findings, *findings, given=given)

    assert found == ["answer_in_prompt", "secret", "injection", "reviewers_disagree", "licence_unknown"]


# ------------------------------------------------------------------------------------------------ answer in the prompt


@pytest.mark.parametrize("prompt", [f"Fix:\n{VERSION_SCRIPT}", f"Fix: {' '.join(VERSION_SCRIPT.split())} soon"])
def test_an_answer_in_the_prompt_is_found_however_it_is_wrapped(prompt: str) -> None:
    assert only(sft(prompt)) == "The whole completion stands in the question."


@pytest.mark.parametrize("column", ["chosen", "rejected"])
def test_both_sides_of_a_pair_are_looked_for(column: str) -> None:
    texts = {"chosen": "x = first(1)\n", "rejected": "y = second(2)\n"}

    assert named(pair(**texts, prompt=f"Fix it:\n{texts[column]}")) == ["answer_in_prompt"]


@pytest.mark.parametrize(
    ("dataset", "question", "answer"),
    [("t5_spec/spec/seq2seq", "source", "target"), ("retriever/search/contrastive", "anchor", "positive")],
)
def test_a_target_and_a_positive_are_looked_for(dataset: str, question: str, answer: str) -> None:
    values: dict[str, Value] = {question: "Do:\ndef f(): pass\nnow", answer: "def f(): pass"}

    assert named(made(dataset, values)) == ["answer_in_prompt"]
    assert named(replace(made(dataset, values), may_repeat=True)) == []


def test_a_repair_that_only_takes_away_says_so() -> None:
    row = made(
        "llm/repair/sft",
        {"prompt": f"It failed:\n```python\n{VERSION_SCRIPT}```\n", "completion": VERSION_SCRIPT},
        templates=("repair/1",),
    )

    assert only(row).startswith("The failing script holds the whole completion: only white space")


def test_lines_of_the_answer_in_the_issue_are_found_and_those_of_a_failing_script_are_not() -> None:
    most = "\n".join(f"> {line}" for line in VERSION_SCRIPT.split("\n")[:14])

    assert only(sft(f"Fix:\n{most}\n", told=(most,))) == "The issue or an operation holds most lines of the completion."
    assert named(sft(f"Repair:\n{most}\n", told=("Fix it",))) == []


def test_a_prompt_with_the_diff_is_found_though_the_script_shares_no_line_with_it() -> None:
    prompt = f"Issue: This is 5.0-dev\nOperations: []\nDiff Summary:\n{VERSION}\n\n# Response:\n"

    assert (
        only(sft(prompt), given=Given(diff=VERSION))
        == "The question holds the diff, which is what the answer has to make."
    )
    assert named(sft("Issue: '5.0-dev' instead of '4.0' + docs\n- one\n"), given=Given(diff=VERSION)) == []


@pytest.mark.parametrize("diff", [VERSION, PATHS, "@@ -1,2 +1,2 @@\n x = 1\n-a\n+b\n", "@@ -1,2 +1 @@\n x = 1\n-y\n"])
def test_a_diff_is_known_again_in_a_prompt(diff: str) -> None:
    assert holds_diff(f"Fix:\n    {diff}\nnow", diff)
    assert not holds_diff("Fix:\n+ one more\n- one less\n- a + b\n", diff)


def test_half_of_a_diff_tells_and_a_quarter_does_not() -> None:
    hunks = [f"@@ -{n} +{n} @@\n-old_value = {n}0\n+new_value = {n}1\n" for n in range(1, 5)]

    assert holds_diff("".join(hunks[:2]), "".join(hunks))
    assert not holds_diff(hunks[0], "".join(hunks))


@given(st.text(min_size=1), st.text(), st.text())
@by_example("x", "", "")
@by_example("\ud800y z", "a ", " b")
def test_an_answer_is_found_between_any_texts(answer: str, before: str, after: str) -> None:
    assert holds_answer(f"{before} {answer} {after}", answer) == bool(answer.strip())
    assert holds_answer(f"{before}\n{answer.strip()}\n{after}", answer + "\n") == bool(answer.strip())


@given(st.text(), st.lists(st.text()), st.text())
def test_no_text_makes_the_measures_fail(question: str, told: list[str], answer: str) -> None:
    holds_answer(question, answer)
    tells_most(told, answer)
    holds_diff(question, answer)


def test_an_empty_answer_stands_nowhere() -> None:
    assert not holds_answer("any", "")
    assert not holds_answer("any", " \n")
    assert not tells_most(["any text of some length"], "")


# ------------------------------------------------------------------------------------------------ sameness


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1\n", "x = 1"),
        ("x = f(1, 2)\n", "x = f(\n    1,\n    2,\n)\n"),
        ("x = 'a'  # why\n", 'x = "a"\n'),
        ("# a\nx = 1\n", "x = 1\n# b\n"),
        ("x = (1)\n", "x = 1\n"),
        ("if a:\n  b()\n", "if a:\n\n    b()\n"),
        ("def f(:\n  x  # one\n", "def f(:\n    x\n"),
        ("a: 1\nb: 2\n", "a:  1\nb: 2\n\n"),
        ("x = '#1'  # a\n", "x = '#1'  # b\n"),
    ],
)
def test_texts_that_differ_in_form_alone_are_the_same(one: str, other: str) -> None:
    assert is_same(one, other)
    assert is_same(other, one)
    assert named(pair(one, other)) in (["same_after_normalisation"], ["same_after_normalisation", "script_unparsable"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1\n", "x = 2\n"),
        ("x = 'a b'\n", "x = 'ab'\n"),
        ("x = '#1'\n", "x = '#2'\n"),
        ("if a:\n    b()\nc()\n", "if a:\n    b()\n    c()\n"),
        ('def f():\n    """Say a."""\n', 'def f():\n    """Say  a."""\n'),
        ("x = a + b\n", "x = a - b\n"),
        ("x = (1,)\n", "x = (1)\n"),
        ("return x", "returnx"),
        ("- a\n+ b", "+ a\n- b"),
    ],
)
def test_texts_that_differ_in_substance_are_not_the_same(one: str, other: str) -> None:
    assert not is_same(one, other)
    assert not is_same(other, one)


@given(st.text(), st.text())
def test_sameness_never_fails_and_holds_for_a_text_and_itself(one: str, other: str) -> None:
    assert is_same(one, one + "\n") or not one.strip() or "\\" in one
    assert is_same(one, other) == is_same(other, one)


def test_a_text_too_deep_to_compare_as_trees_is_compared_by_words() -> None:
    deep = "x = " + "-" * 5_000 + "1\n"

    assert is_same(deep, deep + "\n")
    assert not is_same(deep, deep.replace("1", "2"))


# ------------------------------------------------------------------------------------------------ what is unwritable


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_text_is_held(text: str) -> None:
    assert only(sft(completion=text)) == "The completion is empty."
    assert named(sft(prompt=text)) == ["empty"]
    assert "empty" in named(pair("x = 1", text))


def test_a_scorer_asks_nothing_and_a_number_may_be_missing() -> None:
    row = made("scorer/style/reward", {"prompt": "", "chosen": "x = 1", "rejected": "y = 2", "margin": None})

    assert named(row) == []


@pytest.mark.parametrize(("text", "gate"), [("a\x00b = 1", "nul"), ("a\ud800b", "lone_surrogate")])
def test_characters_that_no_file_holds_are_found_in_any_column(text: str, gate: str) -> None:
    assert named(sft(completion=f"# é {text}", code=())) == [gate]
    assert named(sft(prompt=text)) == [gate]
    row = made("retriever/search/contrastive", {"anchor": "a", "positive": "b", "negatives": ("c", f"é{text}")})
    assert gate in named(row)


def test_letters_of_any_script_are_ordinary() -> None:
    assert named(sft(prompt="Füge 漢字 hinzu 🎉\n")) == []


def test_a_negative_is_read_as_nobody_has_its_findings_at_hand() -> None:
    row = made("retriever/search/contrastive", {"anchor": "a", "positive": "b", "negatives": ("c", f"key = '{AWS}'")})

    assert only(row).startswith("In a negative: This looks like a secret")


# ------------------------------------------------------------------------------------------------ budgets and people


def test_the_sentence_about_tokens_has_numbers_and_the_name() -> None:
    budgets = (
        Budget("t5_spec", "the agent's spec model", question_tokens=1024),
        Budget("llm", "other", total_tokens=1),
    )
    row = made("t5_spec/spec/seq2seq", {"source": "x" * 4464, "target": "a: 1"})

    said = only(row, given=Given(budgets=budgets))

    assert said == "Estimated 1,240 tokens of 1,024 for the source; the agent's spec model cuts there."
    assert named(replace(row, values={"source": "x" * 3686, "target": "a: 1"}), given=Given(budgets=budgets)) == []


def test_an_exact_count_is_not_called_an_estimate() -> None:
    budgets = (Budget("llm", "Qwen", answer_tokens=10, tokenizer="qwen"), Budget("llm", "Phi", total_tokens=20))

    said = only(sft(), given=Given(budgets=budgets, counters={"qwen": lambda _: 11}))

    assert said.startswith("11 tokens of 10 for the completion; Qwen cuts there. Estimated 186 tokens of 20")
    assert said.endswith("for the prompt and completion; Phi cuts there.")


def test_a_licence_is_asked_for_where_it_is_required() -> None:
    assert named(sft(), given=Given(licence_required=True)) == ["licence_unknown"]
    assert named(sft(), given=Given(licence=None)) == []


def test_disagreement_is_told_in_its_own_words() -> None:
    assert only(sft(), given=Given(disagree="Ana accepted it, Ben rejected it.")) == "Ana accepted it, Ben rejected it."


# ------------------------------------------------------------------------------------------------ findings


def test_a_finding_counts_where_its_text_went_in() -> None:
    secret = Finding("secret", HOLD, "attempt2:7", "A key.")

    assert named(sft(), secret) == []
    assert only(sft(places=frozenset({"attempt2"})), secret) == "A key. It is at attempt2:7."
    assert named(sft(places=frozenset({"attempt21", "attempt"})), secret) == []


@pytest.mark.parametrize(
    ("place", "root"),
    [
        ("samples[3].fingerprint", "samples"),
        ("operations[0]", "operations"),
        ("phase.description:2", "phase"),
        ("issue", "issue"),
    ],
)
def test_a_place_inside_a_text_is_the_text(place: str, root: str) -> None:
    assert named(sft(places=frozenset({root})), Finding("bidi", HOLD, place, "Turned.")) == ["bidi"]


def test_warnings_and_notes_hold_nothing() -> None:
    findings = [Finding("files_outside_spec", WARNING, "script:1", "x."), Finding("no_run", NOTE, "script", "x.")]

    assert named(sft(), *findings) == []


@pytest.mark.parametrize("code", ["diff_cut", "not_a_diff", "no_diff"])
def test_a_warning_about_the_diff_holds_where_the_diff_went_in(code: str) -> None:
    finding = Finding(code, WARNING, "diff:3", "Cut.")

    assert named(sft(places=frozenset({"issue", "diff"})), finding) == [code]
    assert named(sft(), finding) == []


@pytest.mark.parametrize("code", ["never_validated", "script_unparsable", "script_too_large"])
def test_what_makes_a_bad_answer_holds_where_it_is_the_answer(code: str) -> None:
    finding = Finding(code, HOLD, "script", "Bad.")

    assert named(sft(), finding) == [code]
    assert named(sft(code=()), finding) == []


def test_a_run_that_never_passed_holds_its_script() -> None:
    finding = Finding("never_validated", HOLD, "run", "None of the 3 attempts of its run passed.")

    assert named(sft(), finding) == ["never_validated"]
    assert named(sft(places=frozenset({"attempt2"})), finding) == []


def test_more_than_one_place_is_counted() -> None:
    findings = [Finding("secret", HOLD, f"script:{n}", "A key.") for n in (3, 9, 11)]

    assert only(sft(), *findings) == "A key. It is at script:3, and at 2 more places."


def test_a_finding_at_an_equal_text_counts() -> None:
    script = VERSION_SCRIPT + f"KEY = '{AWS}'\n"
    tried = Attempt(script, Stage.SCAFFOLD, Validity.VALID)
    candidate: Candidate = replace(patch(script=script), run=Run("objects", (tried,), outcome="success"))
    row = made("scorer/style/regression", {"text": script, "score": 0.5}, places=frozenset({"attempt1"}))

    findings = checks.run(candidate)

    assert named(row, *findings) == []
    assert named(row, *findings, given=Given(alike=checks.alike(candidate))) == ["secret"]


def test_where_not_all_findings_of_a_code_are_listed_it_counts_everywhere() -> None:
    attempts = tuple(Attempt(f"n = {n}\n\x1b[0m", Stage.REPAIR, Validity.INVALID) for n in range(60))
    candidate = replace(patch(), run=Run("objects", attempts))
    row = made("scorer/style/regression", {"text": "n = 59\n\x1b[0m", "score": 0.5}, places=frozenset({"attempt60"}))

    assert named(row, *checks.run(candidate)) == ["control"]


# ------------------------------------------------------------------------------------------------ code


def test_an_attempt_that_is_an_answer_must_parse() -> None:
    row = sft(completion="def f(:\n", answer="attempt 4", places=frozenset({"attempt4"}))

    assert only(row).startswith("This script does not parse as Python 3.")
    assert named(replace(row, code=())) == []
    assert named(pair("x = 1\n", "def f(:\n")) == []


def test_the_candidate_s_own_script_was_parsed_before() -> None:
    finding = next(one for one in checks.run(patch(script="def f(:\n")) if one.code == "script_unparsable")

    assert named(sft(completion="def f(:\n"), finding) == ["script_unparsable"]
    assert named(sft(completion="def f(:\n", answer="attempt 1"), finding) == ["script_unparsable"]


def test_a_diff_as_an_answer_is_no_python() -> None:
    row = sft(completion=VERSION, answer="edited_diff", places=frozenset({"issue", "diff"}), code=())

    assert named(row) == []


# ------------------------------------------------------------------------------------------------ decided elsewhere


def test_what_the_caller_decides_is_worded_here() -> None:
    holds = [
        gates.duplicate_of("scaffold-sft-9f"), gates.near_duplicate_of(7), gates.near_duplicate_of(7, 0.934),
        gates.in_two_splits("train", "test"), gates.contaminated_by("swe.jsonl"),
        gates.contaminated_by("swe.jsonl", 0.4),
        gates.left_out_by("ana"), gates.left_out_by("ana", "Too trivial."),
    ]  # fmt: skip

    assert all(hold.gate in GATES and hold.message.endswith(".") for hold in holds)
    assert holds[2].message == "Nearly the same change as candidate 7 (93% alike), whose rows are there."
    assert holds[-1].message == "ana left it out: Too trivial."


# ------------------------------------------------------------------------------------------------ whatever comes


VALUES = st.one_of(st.text(), st.booleans(), st.floats(), st.none(), st.lists(st.text()).map(tuple))


@given(st.sampled_from(sorted(COLUMNS)), st.data())
def test_nothing_makes_a_gate_fail_and_the_order_is_always_the_same(objective: str, draw: st.DataObject) -> None:
    values = {column: draw.draw(VALUES) for column in COLUMNS[objective]}
    places = frozenset(draw.draw(st.lists(st.sampled_from(["issue", "script", "diff", "attempt1"]))))
    code = tuple(column for column, value in values.items() if isinstance(value, str))
    row = Example(Dataset("llm", "repair", objective), "a", values, "llm/2", code=code, places=places, told=("a b",))
    findings = [Finding(one, HOLD, "script:1", "x.") for one in draw.draw(st.lists(st.sampled_from([*GATES, "new"])))]
    given = Given(diff=draw.draw(st.text()), budgets=(Budget("llm", "Qwen", 1, 1, 1),))

    found = check(row, findings, given=given)

    known = [hold.gate for hold in found if hold.gate in GATES]
    assert known == sorted(set(known), key=list(GATES).index)
    assert found == check(row, findings, given=given)


# ------------------------------------------------------------------------------------------------ real logs


def told_by_logs() -> Iterator[Candidate]:
    for path in sorted(EVIDENCE.rglob("success_memory.jsonl")):
        yield from (read_success(line) for line in path.read_bytes().splitlines() if line.strip())


def test_every_prompt_of_the_agent_s_own_builder_is_held_and_no_clean_one() -> None:
    """Its prompts hold the issue and the whole diff, its completions are the scripts."""
    logged = [one for one in told_by_logs() if one.diff and one.script and "@@" in one.diff]
    assert len(logged) > 5
    for one in logged:
        issue = f"Issue: {one.issue}\nOperations: []\nPatch Source: {one.patch_source}\n"
        row = sft(f"{issue}Diff Summary:\n{one.diff}\n\n# Response:\n", one.script or "", told=(one.issue,))

        assert named(row, given=Given(diff=one.diff or "")) == ["answer_in_prompt"]
        assert named(replace(row, values={**row.values, "prompt": issue}), given=Given(diff=one.diff or "")) == []


def test_a_pair_of_style_may_differ_in_white_space_alone() -> None:
    values: dict[str, Value] = {"prompt": "", "chosen": "x = 1\n", "rejected": "x  =  1\n", "margin": 0.5}
    pair = Example(Dataset("scorer", "style", "reward"), "style-reward-5c", values, "scorer/1")
    assert "same_after_normalisation" not in [one.gate for one in check(pair, (), given=Given())]
    same = Example(Dataset("llm", "scaffold", "reward"), "scaffold-reward-5c", values, "llm/2")
    assert "same_after_normalisation" in [one.gate for one in check(same, (), given=Given())]
