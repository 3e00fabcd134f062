"""Lines of the capture log: a run from its steps in any order, pairs as their own logs have them, and bad lines."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.candidates import Attempt, Candidate, Direction, Kind, Run, Stage, Validity
from app.formats import READERS, digests, grows, recognise, spec_log, style_log
from app.formats.capture import content, is_run_event, read, read_run, recognises
from app.formats.given import Given
from app.formats.lines import HeldError
from app.formats.traces import read_trace

GIVEN = Given("capture.jsonl")
ID = "0f" * 16
SCRIPT = "import libcst as cst\n"
FAILED = "PatchApplicationError: Failed to apply LibCST script: Error executing LibCST script string: no re"

Line = dict[str, object]


def line(seq: int, event: str, **told: object) -> Line:
    """One line of a run, a second after the one before."""
    return {
        "patchsift_capture": 1,
        "event": event,
        "run": ID,
        "seq": seq,
        "at": f"2026-03-01T12:00:{seq:02}+00:00",
    } | told


ABOUT: Line = {
    "issue": "Fix x",
    "target_files": ["x.py"],
    "operations": [{"name": "rename"}],
    "phase": {"operation_name": "rename", "target_file": "x.py"},
    "model": "m",
    "score_direction": "higher",
}
RUN = [
    line(0, "run", **ABOUT),
    line(1, "prompt", stage="scaffold", text="Write."),
    line(2, "output", stage="scaffold", text="```"),
    line(3, "attempt", stage="scaffold", script="a", is_valid=False, score=0.2, traceback=FAILED),
    line(4, "attempt", stage="heuristic", script="b", is_valid="pending_revalidation", score=0.2),
    line(5, "prompt", stage="repair", text="It failed."),
    line(6, "prompt", stage="repair", text="It failed again.", model="n"),
    line(7, "attempt", stage="repair", script=SCRIPT, is_valid=True, score=0.8),
    line(8, "final", script=SCRIPT, diff="--- x.py\n", patch_source="LLMCore_repair_attempt_1", accepted=True),
    line(9, "end", outcome="success"),
]


def test_the_lines_of_a_run_say_one_thing_together() -> None:
    assert read_run(RUN, GIVEN) == Candidate(
        kind=Kind.PATCH,
        generation="capture",
        issue="Fix x",
        target_files=("x.py",),
        operations=({"name": "rename"},),
        diff="--- x.py\n",
        script=SCRIPT,
        patch_source="LLMCore_repair_attempt_1",
        logged_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        extra={
            "accepted": True,
            "events": [{"event": "prompt", "seq": 6, "model": "n"}],
            "model": "m",
            "outputs": {"scaffold": "```"},
        },
        run=Run(
            form="capture",
            attempts=(
                Attempt("a", Stage.SCAFFOLD, Validity.INVALID, 0.2, "", read_trace(FAILED, "a"), 1, "scaffold"),
                Attempt("b", Stage.HEURISTIC, Validity.PENDING, 0.2, "copied", None, 1, "heuristic"),
                Attempt(SCRIPT, Stage.REPAIR, Validity.VALID, 0.8, "", None, 1, "repair"),
            ),
            run_id=ID,
            outcome="success",
            phase={"operation_name": "rename", "target_file": "x.py"},
            direction=Direction.HIGHER,
            direction_why="The capture log says so: the agent's author set it.",
            prompts={"scaffold": "Write.", "repair": "It failed.", "repair 2": "It failed again."},
        ),
    )


# ------------------------------------------------------------------------------------------------ any order

texts = st.text(max_size=5)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
steps = st.one_of(
    st.fixed_dictionaries(
        {"event": st.just("attempt"), "script": st.none() | texts, "is_valid": anything},
        optional={"score": anything, "traceback": anything, "stage": st.sampled_from(["repair", "polish"]) | anything},
    ),
    st.fixed_dictionaries({"event": st.sampled_from(["prompt", "output"]), "stage": anything, "text": anything}),
    st.fixed_dictionaries({"event": st.just("final")}, optional={"script": texts, "diff": texts, "accepted": anything}),
    st.fixed_dictionaries({"event": st.just("end")}, optional={"outcome": anything, "error": anything}),
    st.fixed_dictionaries({"event": st.just("run")}, optional=dict.fromkeys([*ABOUT, "spec"], anything)),
    st.fixed_dictionaries({"event": st.just("new in version 2"), "what": anything}),
)


@st.composite
def shuffled_runs(draw: st.DrawFn) -> tuple[list[Line], list[Line]]:
    """The lines of a run, and the same in another order with some of them twice; now and then two claim one place."""
    told = draw(st.lists(steps, min_size=1, max_size=8))
    places = draw(st.lists(st.integers(0, 8), min_size=len(told), max_size=len(told)) | st.just(range(len(told))))
    lines = [line(seq, **step) for seq, step in zip(places, told, strict=True)]
    repeated = [dict(one) for one in draw(st.lists(st.sampled_from(lines)))]
    return lines, draw(st.permutations(lines + repeated))


@given(shuffled_runs())
def test_neither_order_nor_repeats_change_what_a_run_says(runs: tuple[list[Line], list[Line]]) -> None:
    lines, shuffled = runs

    assert read_run(shuffled, GIVEN) == read_run(lines, GIVEN)


def test_each_line_alone_is_as_much_of_the_run_as_it_says() -> None:
    alone = [read(one, GIVEN) for one in RUN]

    assert [one.generation for (one,) in alone] == ["capture"] * len(RUN)
    assert alone[0][0].issue == "Fix x"
    assert alone[3][0].script == "a"
    assert alone[8][0].diff == "--- x.py\n"


def test_all_lines_of_a_run_are_about_the_same_and_lines_of_another_are_not() -> None:
    of_one = {digests("capture", one, GIVEN) for one in RUN}

    assert len(of_one) == 1
    assert digests("capture", RUN[0] | {"run": "another"}, GIVEN) not in of_one


# ------------------------------------------------------------------------------------------------ the run's texts


@pytest.mark.parametrize(
    ("lines", "script"),
    [
        ([("attempt", "a", True), ("attempt", "b", False), ("final", "c", None)], "c"),
        ([("attempt", "a", True), ("attempt", "b", False)], "a"),
        ([("attempt", "a", True), ("attempt", "b", True), ("attempt", "c", "pending_revalidation")], "b"),
        ([("attempt", "a", False), ("attempt", "b", "pending_revalidation"), ("attempt", None, False)], "b"),
        ([("attempt", None, False)], None),
    ],
)
def test_the_script_is_the_final_one_else_the_last_valid_else_the_last(
    lines: list[tuple[str, str | None, object]], script: str | None
) -> None:
    told = [line(n, event, script=text, is_valid=valid) for n, (event, text, valid) in enumerate(lines)]

    assert read_run(told, GIVEN).script == script


@pytest.mark.parametrize(
    ("said", "validity"),
    [
        (True, Validity.VALID),
        (False, Validity.INVALID),
        ("pending_revalidation", Validity.PENDING),
        (None, Validity.PENDING),
        (1, Validity.PENDING),
        (0, Validity.PENDING),
        ("yes", Validity.PENDING),
        ([], Validity.PENDING),
        ("True", Validity.VALID),
        ("false", Validity.INVALID),
    ],
)
def test_validity_has_three_states(said: object, validity: Validity) -> None:
    run = read_run([line(0, "attempt", script="a", is_valid=said)], GIVEN).run

    assert run is not None
    assert [one.validity for one in run.attempts] == [validity]


@pytest.mark.parametrize("score", ["nan", "0.5", None, True, [0.5]])
def test_what_is_no_number_is_no_score(score: object) -> None:
    run = read_run([line(0, "attempt", script="a", is_valid=True, score=score)], GIVEN).run

    assert run is not None
    assert run.attempts[0].score is None


def stages(*labels: str | None) -> list[Stage]:
    told = [line(n, "attempt", script=f"a{n}", is_valid=False, stage=label) for n, label in enumerate(labels)]
    run = read_run(told, GIVEN).run
    assert run is not None
    return [one.stage for one in run.attempts]


def test_a_stage_is_what_the_agent_calls_it_and_is_guessed_where_it_says_nothing() -> None:
    assert stages("expand", "Repair", "LLMCore_polish_iteration_1") == [Stage.EXPAND, Stage.REPAIR, Stage.POLISH]
    assert stages("repair", "repair") == [Stage.REPAIR, Stage.REPAIR]
    assert stages(None, None) == [Stage.SCAFFOLD, Stage.REPAIR]


def test_attempts_that_an_agent_recorded_twice_are_counted() -> None:
    told = [line(n, "attempt", script=script, is_valid=False) for n, script in enumerate(["a", "a", "b"])]
    run = read_run(told, GIVEN).run

    assert run is not None
    assert [(one.script, one.n_recorded) for one in run.attempts] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize(
    ("attempt", "field", "value"),
    [
        ({"code": "a", "valid": True}, "script", "a"),
        ({"script": "a", "valid": True}, "validity", Validity.VALID),
        ({"script": "a", "is_valid": True, "style_score": 0.5}, "score", 0.5),
        ({"script": "a", "is_valid": False, "error": "no"}, "trace", read_trace("no", "a")),
        ({"script": "a", "is_valid": True, "source": "LLMCore"}, "label", "LLMCore"),
    ],
)
def test_an_adapted_history_may_name_its_fields_otherwise(attempt: Line, field: str, value: object) -> None:
    run = read_run([line(0, "attempt", **attempt)], GIVEN).run

    assert run is not None
    assert getattr(run.attempts[0], field) == value


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("higher", Direction.HIGHER),
        ("lower", Direction.LOWER),
        ("up", Direction.UNKNOWN),
        (["lower"], Direction.UNKNOWN),
    ],
)
def test_the_agents_author_may_say_how_scores_count(direction: object, expected: Direction) -> None:
    run = read_run([line(0, "run", score_direction=direction)], GIVEN).run

    assert run is not None
    assert run.direction is expected


VALID, INVALID = line(1, "attempt", script="a", is_valid=True), line(1, "attempt", script="a", is_valid=False)
FINAL = line(2, "final", script="a")


@pytest.mark.parametrize(
    ("lines", "cut_short"),
    [
        ([RUN[0]], True),
        ([INVALID], True),
        ([VALID], False),
        ([INVALID, FINAL], False),
        ([INVALID, line(3, "end")], True),
        ([INVALID, line(3, "end", outcome="PhaseFailure")], False),
        ([INVALID, line(3, "end", outcome="ValueError")], True),
        ([VALID, line(3, "end", outcome="KeyboardInterrupt", raised=True)], True),
        ([VALID, FINAL, line(3, "end", outcome="RuntimeError", raised=True)], True),
        ([line(3, "end", outcome="failed")], False),
    ],
)
def test_a_run_that_stopped_without_a_result_or_a_word_was_cut_short(lines: list[Line], cut_short: bool) -> None:
    run = read_run(lines, GIVEN).run

    assert run is not None
    assert run.cut_short is cut_short


SPEC: Line = {
    "issue_description": "Fix y",
    "target_files": ["y.py"],
    "operations": [{"name": "move"}],
    "acceptance_tests": ["t"],
    "issue_id": 7,
}


@pytest.mark.parametrize(
    ("about", "field", "value"),
    [
        ({"spec": SPEC}, "issue", "Fix y"),
        ({"spec": SPEC}, "target_files", ("y.py",)),
        ({"spec": SPEC}, "operations", ({"name": "move"},)),
        ({"spec": SPEC}, "acceptance", ("t",)),
        ({"spec": SPEC}, "issue_id", "7"),
        ({"spec": SPEC, "issue": "Fix x"}, "issue", "Fix x"),
        ({"spec": SPEC, "target_files": ["x.py"]}, "target_files", ("x.py",)),
        ({"spec": SPEC, "target_files": []}, "target_files", ("y.py",)),
        ({"phase": {"target_file": "z.py"}}, "target_files", ("z.py",)),
        ({"spec": "issue_description: Fix y"}, "extra", {"spec": "issue_description: Fix y"}),
        ({"issue": ["Fix", "x"]}, "issue", '["Fix", "x"]'),
        ({"target_files": "x.py"}, "target_files", ("x.py",)),
        ({"made_safe": ["issue: half a character"]}, "extra", {"made_safe": ["issue: half a character"]}),
        ({"seed": 1}, "extra", {"seed": 1}),
    ],
)
def test_what_a_run_is_about_stands_in_its_fields_its_spec_or_its_phase(about: Line, field: str, value: object) -> None:
    assert getattr(read_run([line(0, "run", **about)], GIVEN), field) == value


def test_a_phase_that_is_a_sentence_is_kept() -> None:
    run = read_run([line(0, "run", phase="Rename a to b")], GIVEN).run

    assert run is not None
    assert run.phase == {"description": "Rename a to b"}


@pytest.mark.parametrize("at", [None, "yesterday", 7, "0001-01-01T00:00:00+23:59"])
def test_a_time_that_cannot_be_read_is_passed_over(at: object) -> None:
    assert read_run([line(0, "run") | {"at": at}], GIVEN).logged_at is None
    assert read_run([line(0, "run") | {"at": at}, VALID], GIVEN).logged_at == datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    later = [one | {"patchsift_capture": 2, "new": 1} for one in RUN]
    said, before = read_run([*later, line(99, "tokens", n=5)], GIVEN), read_run(RUN, GIVEN)

    assert (said.script, said.diff, said.issue, said.run) == (before.script, before.diff, before.issue, before.run)
    assert {"event": "tokens", "seq": 99, "n": 5} in said.extra["events"]  # type: ignore[operator]


# ------------------------------------------------------------------------------------------------ pairs

SPEC_PAIR: Line = {
    "raw_issue_text": "Fix x",
    "context_symbols_string": "Relevant Project Symbols:",
    "yaml_spec_string": "issue_description: Fix x",
    "accepted_by_parser": True,
}
REFINE: Line = {
    "code_snippet": "x = 1",
    "raw_fingerprint_dict": {"indent": 4},
    "refined_output_string": '"indent": 4',
    "file_path": "x.py",
}
UNIFY: Line = {
    "per_sample_fingerprints": [{"fingerprint": {"indent": 4}, "file_path": "x.py", "weight": 0.5}],
    "unified_profile": {"indent_width": 4},
}
AT = "2026-03-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("event", "pair", "read_pair", "content_of"),
    [
        ("style_refine", REFINE, style_log.read_refine, style_log.content_refine),
        ("style_unify", UNIFY, style_log.read_unify, style_log.content_unify),
    ],
)
def test_a_style_pair_is_what_its_own_log_would_say(
    event: str,
    pair: Line,
    read_pair: Callable[[object, Given], tuple[Candidate, ...]],
    content_of: Callable[[object, Given], tuple[object, ...]],
) -> None:
    captured = {"patchsift_capture": 1, "event": event, "at": AT} | pair

    assert read(captured, GIVEN) == read_pair(pair | {"timestamp_utc": AT}, GIVEN)
    assert content(captured, GIVEN) == content_of(pair, GIVEN)


def test_a_spec_pair_is_what_its_own_log_would_say_but_for_its_origin() -> None:
    captured = {"patchsift_capture": 1, "event": "spec", "at": AT} | SPEC_PAIR
    [said], [logged] = read(captured, GIVEN), spec_log.read(SPEC_PAIR | {"timestamp_utc": AT}, GIVEN)

    assert said.spec is not None
    assert logged.spec is not None
    assert (said.spec.origin, replace(said.spec, origin="log")) == ("capture", logged.spec)
    assert (said.kind, said.issue, said.logged_at) == (logged.kind, logged.issue, logged.logged_at)
    assert content(captured, GIVEN) == spec_log.content(SPEC_PAIR, GIVEN)


def test_a_pair_stands_alone_and_a_step_belongs_to_others() -> None:
    pair = {"patchsift_capture": 1, "event": "spec", "at": AT} | SPEC_PAIR

    assert not is_run_event(pair)
    assert not grows("capture", pair)
    assert all(is_run_event(one) and grows("capture", one) for one in RUN)


# ------------------------------------------------------------------------------------------------ lines that are none


@pytest.mark.parametrize("value", [*RUN, {"patchsift_capture": 2}, {"patchsift_capture": None, "event": "spec"}])
def test_a_line_is_recognised_by_its_mark(value: object) -> None:
    assert recognises(value)
    assert recognise(value) == "capture"


@pytest.mark.parametrize(
    "value", [None, [], "patchsift_capture", ["patchsift_capture"], {}, {"event": "run"}, SPEC_PAIR]
)
def test_what_has_no_mark_is_no_line_of_this_log(value: object) -> None:
    assert not recognises(value)
    assert not is_run_event(value)


MARK: Line = {"patchsift_capture": 1}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (MARK, "missing_field"),
        (MARK | {"event": 7, "run": ID, "seq": 0}, "missing_field"),
        (MARK | {"event": "attempt", "seq": 0}, "missing_field"),
        (MARK | {"event": "attempt", "run": "", "seq": 0}, "missing_field"),
        (MARK | {"event": "attempt", "run": ID}, "missing_field"),
        (MARK | {"event": "attempt", "run": ID, "seq": True}, "missing_field"),
        (MARK | {"event": "attempt", "run": ID, "seq": 1.5}, "missing_field"),
        (MARK | {"event": "unheard of"}, "missing_field"),
        (line(0, "attempt", script=["a"], is_valid=True), "wrong_type"),
        (line(0, "final", script=7), "wrong_type"),
        (line(0, "final", diff={}), "wrong_type"),
        (MARK | {"event": "spec"}, "missing_field"),
        (MARK | {"event": "style_refine"}, "missing_field"),
        (MARK | {"event": "style_unify"}, "missing_field"),
        ([], "not_object"),
    ],
)
def test_a_line_that_lacks_what_its_event_needs_is_held(value: object, code: str) -> None:
    for reader in (read, content):
        with pytest.raises(HeldError, match=r"[a-z].*\.") as caught:
            reader(value, GIVEN)
        assert caught.value.code == code


@given(
    event=st.sampled_from(["spec", "style_refine", "style_unify", "run", "x"]) | anything,
    told=st.dictionaries(texts, anything),
)
def test_whatever_a_line_holds_it_is_read_or_held(event: object, told: Line) -> None:
    value = told | {"patchsift_capture": 1, "event": event, "run": ID, "seq": 0}
    try:
        found, contents = READERS["capture"].read(value, GIVEN), content(value, GIVEN)
    except HeldError as error:
        held = error
    else:
        assert len(found) == len(contents) == 1
        return
    assert held.message.endswith(".")
