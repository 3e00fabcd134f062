"""The llm recipe: what one judgement gives to scaffold, repair and polish, and what it does not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.candidates import Attempt, Direction, Finding, Severity, Stage, Trace, Validity
from app.examples import Dataset, Example
from app.recipes import llm
from app.recipes.judged import Judged, Rival
from app.recipes.prompt import shipped
from tests.recipes.judgements import DIFF, SCRIPT, check_sound, examples, held, judge, patch, run

BROKEN, DRAFT, FINAL = SCRIPT + "# broken\n", SCRIPT + "# draft\n", SCRIPT
EDITED = SCRIPT + "# better\n"


def tried(script: str | None, validity: Validity = Validity.VALID, score: float | None = None, **more: Any) -> Attempt:
    kind = more.pop("kind", "execution")
    trace = Trace("name 're' is not defined", kind, "The script fails", "NameError")
    return Attempt(script, Stage.REPAIR, validity, score, trace=trace if validity is Validity.INVALID else None, **more)


def failed(script: str, score: float | None = None, **more: Any) -> Attempt:
    return tried(script, Validity.INVALID, score, **more)


def pending(script: str) -> Attempt:
    return tried(script, Validity.PENDING)


LADDER = run(
    failed(BROKEN, 0.25), pending(BROKEN + "#"), failed(BROKEN + "# 2\n"), tried(DRAFT, score=0.5), tried(FINAL)
)


def made(judged: Judged) -> dict[str, list[Example]]:
    """Examples by `task/objective`."""
    found: dict[str, list[Example]] = {}
    for one in examples(llm.make, judged):
        found.setdefault(f"{one.dataset.task}/{one.dataset.objective}", []).append(one)
    return found


def texts(found: list[Example], *columns: str) -> list[tuple[object, ...]]:
    return [tuple(one.values[column] for column in columns) for one in found]


# ------------------------------------------------------------------------------------------------ scaffold


def test_an_accepted_patch_without_a_run_gives_an_answer_and_a_label() -> None:
    found = made(judge(patch()))
    assert found.keys() == {"scaffold/sft", "scaffold/unpaired"}
    [sft], [label] = found.values()
    assert sft.values == {"prompt": sft.text("prompt"), "completion": SCRIPT}
    assert sft.id == "scaffold-sft-" + "5c" * 10
    assert (sft.answer, sft.recipe, sft.templates) == ("script", "llm/2", ("scaffold/2",))
    assert label.values == {"prompt": sft.text("prompt"), "completion": SCRIPT, "label": True}


def test_the_prompt_tells_issue_files_operations_and_phase_and_not_the_answer() -> None:
    told = replace(LADDER, phase={"operation_name": "rename", "parameters": {"to": "é{x}"}, "target_file": None})
    [sft] = made(judge(patch(issue="Call it {reader}: 100 % of it", run=told)))["scaffold/sft"]
    prompt = sft.text("prompt")
    for said in ("Call it {reader}: 100 % of it", "src/x.py", '{"name":"add_import"}', '{"to":"é{x}"}', "rename"):
        assert said in prompt
    for answer in ("@@", "import libcst", "polish_iteration", "None"):
        assert answer not in prompt
    assert prompt.endswith("\n")


def test_what_the_log_does_not_tell_is_left_out_visibly() -> None:
    [sft] = made(judge(patch(target_files=(), operations=())))["scaffold/sft"]
    assert sft.text("prompt").count("(The log holds none.)") >= 3


def test_a_script_is_answered_byte_for_byte() -> None:
    odd = SCRIPT.replace("\n", "\r\n") + "# no line end"
    [sft] = made(judge(patch(script=odd)))["scaffold/sft"]
    assert sft.values["completion"] == odd


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"script": None, "script_hash": "-0x1f"}, "hash_only"),
        ({"script": None}, "no_script"),
        ({"script": " \n"}, "no_script"),
        ({"issue": "N/A", "operations": ()}, "empty"),
    ],
)
def test_a_patch_without_question_or_answer_says_why(changes: dict[str, Any], gate: str) -> None:
    one = held(llm.make, judge(patch(**changes)))
    assert (one.dataset, one.gate) == (Dataset("llm", "scaffold", "sft"), gate)


def test_failed_attempts_of_the_run_are_rejected_with_their_evidence() -> None:
    found = made(judge(patch(run=LADDER)))
    pairs = found["scaffold/preference"]
    assert texts(pairs, "chosen", "rejected") == [(FINAL, BROKEN), (FINAL, BROKEN + "# 2\n")]
    assert pairs[0].evidence == "Same run, same target: failed at attempt 1 with NameError, valid at attempt 5."
    assert [one.id[-2:] for one in pairs] == ["-1", "-3"]
    assert texts(found["scaffold/unpaired"], "completion", "label") == [
        (FINAL, True),
        (BROKEN, False),
        (BROKEN + "# 2\n", False),
    ]


def test_without_evidence_there_is_no_pair() -> None:
    """The run ended in another script than the one that was accepted."""
    found = made(judge(patch(script=SCRIPT + "# other\n", run=LADDER)))
    assert "scaffold/preference" not in found
    assert found["scaffold/unpaired"][1].values["label"] is False


@pytest.mark.parametrize("kind", ["duplicate", "configuration", "agent", "original"])
def test_an_error_that_is_not_the_scripts_rejects_nothing(kind: str) -> None:
    found = made(judge(patch(run=run(failed(BROKEN, kind=kind), tried(FINAL)))))
    assert found.keys() == {"scaffold/sft", "scaffold/unpaired"}
    assert len(found["scaffold/unpaired"]) == 1


def test_what_waits_for_its_check_is_neither_valid_nor_invalid() -> None:
    found = made(judge(patch(run=run(pending(BROKEN), tried(FINAL)))))
    assert found.keys() == {"scaffold/sft", "scaffold/unpaired"}
    assert len(found["scaffold/unpaired"]) == 1


def test_a_pending_attempt_that_turns_valid_changes_exactly_its_rows() -> None:
    before = made(judge(patch(run=run(failed(BROKEN), pending(DRAFT), tried(FINAL)))))
    after = made(judge(patch(run=run(failed(BROKEN), tried(DRAFT), tried(FINAL)))))
    assert texts(before["repair/sft"], "completion") == [(FINAL,)]
    assert texts(after["repair/sft"], "completion") == [(DRAFT,)]
    assert before.keys() | {"polish/sft", "polish/unpaired"} == after.keys()
    assert before["scaffold/sft"] == after["scaffold/sft"]
    assert before["scaffold/preference"] == after["scaffold/preference"]


def test_an_attempt_that_was_tried_again_word_for_word_counts_once() -> None:
    found = made(judge(patch(run=run(failed(BROKEN), failed(BROKEN), tried(FINAL)))))
    assert len(found["repair/sft"]) == len(found["scaffold/preference"]) == 1


def test_a_script_that_failed_and_then_passed_is_not_rejected() -> None:
    found = made(judge(patch(run=run(failed(FINAL), failed(BROKEN), tried(FINAL)))))
    assert texts(found["scaffold/preference"], "rejected") == [(BROKEN,)]
    assert [one.values["completion"] for one in found["scaffold/unpaired"]] == [FINAL, BROKEN]


# ------------------------------------------------------------------------------------------------ edits and rejections


def test_an_edited_script_is_chosen_and_the_text_before_it_rejected() -> None:
    found = made(judge(patch(), "edit", revision=("script", EDITED)))
    assert texts(found["scaffold/sft"], "completion") == [(EDITED,)]
    assert texts(found["scaffold/preference"], "chosen", "rejected") == [(EDITED, SCRIPT)]
    assert texts(found["scaffold/unpaired"], "completion", "label") == [(EDITED, True)]
    [pair] = found["scaffold/preference"]
    assert (pair.answer, pair.id[-5:]) == ("edited_script", "-edit")
    assert "logged_script" in pair.places
    assert "A reviewer edited the script" in pair.evidence


def test_an_edited_diff_is_asked_for_as_a_diff_and_leaves_the_script_out() -> None:
    better = DIFF.replace("return b", "return c")
    found = made(judge(patch(run=LADDER), "edit", revision=("diff", better)))
    assert found.keys() == {"scaffold/sft", "scaffold/unpaired", "scaffold/preference", "scaffold/reward"}
    assert texts(found["scaffold/preference"], "chosen", "rejected") == [(better, DIFF)]
    [sft] = found["scaffold/sft"]
    assert (sft.answer, sft.templates, sft.code) == ("edited_diff", ("scaffold_diff/2",), ())
    assert "unified diff" in sft.text("prompt")


def test_a_diff_that_the_log_cut_is_not_rejected_for_it() -> None:
    found = made(judge(patch(diff_is_snippet=True), "edit", revision=("diff", DIFF.replace("b", "c"))))
    assert found.keys() == {"scaffold/sft", "scaffold/unpaired"}


def test_an_edit_is_the_target_of_every_step_of_its_run() -> None:
    found = made(judge(patch(run=LADDER), "edit", revision=("script", EDITED)))
    assert {one.values["completion"] for one in found["repair/sft"] + found["polish/sft"]} == {EDITED}
    assert (EDITED, FINAL) in texts(found["polish/preference"], "chosen", "rejected")
    assert found["repair/sft"][0].evidence.endswith("valid at attempt 4, as the reviewer left it.")


@pytest.mark.parametrize("reasons", [(), ("wrong_fix",), ("unclear", "unsafe")])
def test_a_rejected_patch_is_a_label_where_the_judgement_was_absolute(reasons: tuple[str, ...]) -> None:
    found = made(judge(patch(), "reject", reasons=reasons))
    assert found.keys() == {"scaffold/unpaired"}
    assert texts(found["scaffold/unpaired"], "completion", "label") == [(SCRIPT, False)]


@pytest.mark.parametrize("reasons", [("duplicate",), ("unclear",), ("duplicate", "unclear")])
def test_a_rejection_that_says_nothing_of_the_patch_is_no_label(reasons: tuple[str, ...]) -> None:
    assert made(judge(patch(), "reject", reasons=reasons)) == {}
    kept = made(judge(patch(run=LADDER), "reject", reasons=reasons))
    assert {one.values["label"] for one in kept["scaffold/unpaired"]} == {False}
    assert FINAL not in {one.values["completion"] for one in kept["scaffold/unpaired"]}


def rival(script: str | None, *findings: Finding, issue: str = "Return b", reasons: tuple[str, ...] = ()) -> Rival:
    return Rival(patch(script=script, issue=issue), 9, "77" * 32, reasons, findings)


def test_a_rejected_patch_with_the_very_same_prompt_is_the_worse_side() -> None:
    found = made(judge(patch(), rivals=(rival(BROKEN, reasons=("wrong_fix",)),)))
    [pair] = found["scaffold/preference"]
    assert (pair.values["chosen"], pair.values["rejected"]) == (SCRIPT, BROKEN)
    assert pair.id.endswith("-vs-" + "77" * 10)
    assert pair.evidence == "Same prompt: a reviewer accepted this script and rejected that of candidate 9 (wrong_fix)."


@pytest.mark.parametrize(
    "other",
    [
        rival(BROKEN, issue="Return c"),
        rival(BROKEN, reasons=("unclear",)),
        rival(SCRIPT + "\n"),
        rival(None),
        rival(BROKEN, Finding("secret", Severity.HOLD, "script:2", "A key.")),
    ],
)
def test_a_rejected_patch_that_proves_nothing_makes_no_pair(other: Rival) -> None:
    assert "scaffold/preference" not in made(judge(patch(), rivals=(other,)))


# ------------------------------------------------------------------------------------------------ repair and polish


def test_each_failed_attempt_leads_to_the_next_valid_one() -> None:
    found = made(judge(patch(run=LADDER)))
    assert texts(found["repair/sft"], "completion") == [(DRAFT,), (DRAFT,)]
    assert [one.id[-4:] for one in found["repair/sft"]] == ["-1-4", "-3-4"]
    first = found["repair/sft"][0]
    assert BROKEN.strip() in first.text("prompt")
    assert "name 're' is not defined" in first.text("prompt")
    assert {"attempt1", "trace1", "attempt4"} <= first.places
    assert first.answer == "attempt 4"


def test_failed_repairs_between_are_rejected() -> None:
    found = made(judge(patch(run=LADDER)))
    assert texts(found["repair/preference"], "chosen", "rejected") == [(DRAFT, BROKEN + "# 2\n")]
    labels = texts(found["repair/unpaired"], "completion", "label")
    assert labels == [(DRAFT, True), (BROKEN + "# 2\n", False), (DRAFT, True)]


def test_the_last_valid_script_before_the_final_one_is_polished() -> None:
    found = made(judge(patch(run=LADDER)))
    assert texts(found["polish/sft"], "completion") == [(FINAL,)]
    assert DRAFT.strip() in found["polish/sft"][0].text("prompt")
    assert (
        found["polish/sft"][0].evidence == "Same run, same target: valid at attempt 4, polished and valid at attempt 5."
    )


def test_a_polish_that_changed_nothing_is_none() -> None:
    assert "polish/sft" not in made(judge(patch(run=run(tried(FINAL + "\n"), tried(FINAL)))))


def test_a_run_without_a_valid_attempt_repairs_nothing() -> None:
    assert made(judge(patch(run=run(failed(BROKEN), pending(FINAL))))).keys() == {"scaffold/sft", "scaffold/unpaired"}


def test_a_run_without_issue_still_teaches_to_repair() -> None:
    found = list(llm.make(judge(patch(issue="", operations=(), run=LADDER)), shipped()))
    assert {one.dataset.task for one in found if isinstance(one, Example)} == {"repair", "polish"}


@pytest.mark.parametrize(
    ("direction", "good", "bad", "margin"),
    [
        (Direction.HIGHER, 0.75, 0.25, 0.5),
        (Direction.LOWER, 0.25, 0.75, 0.5),
        (Direction.HIGHER, 0.25, 0.75, None),
        (Direction.UNKNOWN, 0.75, 0.25, None),
        (Direction.HIGHER, None, 0.25, None),
    ],
)
def test_a_margin_is_the_difference_of_real_scores(
    direction: Direction, good: float | None, bad: float, margin: float | None
) -> None:
    ladder = run(failed(BROKEN, bad), tried(FINAL, score=good), direction=direction)
    [pair] = made(judge(patch(run=ladder)))["scaffold/reward"]
    assert pair.values["margin"] == margin


def test_a_placeholder_score_makes_no_margin() -> None:
    ladder = run(failed(BROKEN, 0.25), tried(FINAL, score=0.75, placeholder="copied"))
    [pair] = made(judge(patch(run=ladder)))["scaffold/reward"]
    assert pair.values["margin"] is None


# ------------------------------------------------------------------------------------------------ whatever a log says

scripts = st.sampled_from([None, "", BROKEN, DRAFT, FINAL, FINAL + "\n", "x = 1\n", "\ud800"])
attempts = st.builds(tried, scripts, st.sampled_from(Validity), st.none() | st.floats())


@given(
    st.lists(attempts, max_size=6),
    scripts,
    st.sampled_from(["accept", "edit", "reject"]),
    st.sampled_from(["script", "diff"]),
    st.sampled_from(["", "N/A", "Fix {x}", "\x00"]),
)
def test_whatever_a_log_says_what_is_yielded_is_sound(
    ladder: list[Attempt], script: str | None, verdict: str, field: str, issue: str
) -> None:
    revision = (field, EDITED) if verdict == "edit" else None
    judged = judge(patch(run=run(*ladder), script=script, issue=issue), verdict, revision=revision)
    check_sound(llm.make, judged)
    for one in examples_of(judged):
        assert one.text("chosen") == "" or one.text("chosen").rstrip("\n") != one.text("rejected").rstrip("\n")
        if verdict == "reject":
            assert one.dataset.objective == "unpaired"
            assert one.values["label"] is False


def examples_of(judged: Judged) -> list[Example]:
    return [one for one in llm.make(judged, shipped()) if isinstance(one, Example)]


def test_the_gaps_of_every_prompt_can_be_shown() -> None:
    found = llm.gaps(judge(patch(run=LADDER)))
    assert [(title, name) for title, name, _ in found] == [
        ("Scaffold", "scaffold"),
        ("Scaffold, answered with a diff", "scaffold_diff"),
        ("Repair of attempt 1", "repair"),
        ("Repair of attempt 3", "repair"),
        ("Polish of attempt 4", "polish"),
    ]
    assert found[2][2]["script"] == BROKEN
