"""What a run's history says, in every form and with every liberty that savers and forks take."""

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.candidates import Attempt, Candidate, Direction, Kind, Run, Stage, Validity
from app.formats.given import Given
from app.formats.lines import HeldError
from app.formats.patch_history import content, read, recognises
from app.formats.traces import read_trace

Json = object
NOWHERE = Given()
WHERE = Given("click/.agent_data/patch_history/run_20250610T174954_ebe8db.json")


def script(name: str, edit: str = "pass") -> str:
    words = " ".join(f"{name.lower()}_{number}" for number in range(30))
    return f'import libcst as cst\n\nclass {name}(VisitorBasedCodemodCommand):\n    """{words}"""\n    {edit}\n'


DRAFT, FIXED, POLISHED = script("FixCommand", "no"), script("FixCommand"), script("FixCommand", "return None")
ERROR = "PatchApplicationError: Failed to apply LibCST script: Error executing LibCST script string: name 'no' is not"
FAILED: list[Json] = [DRAFT, False, 0.4, ERROR]
VALID: list[Json] = [FIXED, True, 0.5, None]
POLISH: list[Json] = [POLISHED, True, 0.9, None]
RUN: list[Json] = [FAILED, VALID, POLISH]
WRAPPED: dict[str, Json] = {
    "run_id": "20250610T174954_ebe8db",
    "timestamp_utc": "2025-06-10T17:49:54.329185+00:00",
    "phase": {"operation_name": "add_import", "target_file": "src/y.py", "parameters": {}},
    "spec": {
        "issue_description": "Fix x\n\nSoon.",
        "target_files": ["x.py", "y.py"],
        "operations": [{"name": "add_import"}],
        "acceptance_tests": ["x passes"],
    },
    "outcome": "success",
    "patch_source": "LLMCore_polish_iteration_1",
    "patch_history": RUN,
}


def as_objects(attempts: list[Json]) -> list[Json]:
    keys = ("script", "is_valid", "score", "traceback", "source")
    return [dict(zip(keys, one, strict=False)) for one in attempts if isinstance(one, list)]


def only(value: Json, where: Given = NOWHERE) -> Candidate:
    (candidate,) = read(value, where)
    return candidate


def run_of(value: Json, where: Given = NOWHERE) -> Run:
    run = only(value, where).run
    assert run is not None
    return run


def attempts_of(value: Json) -> tuple[Attempt, ...]:
    return run_of(value).attempts


def held(value: Json) -> HeldError:
    with pytest.raises(HeldError) as caught:
        read(value, NOWHERE)
    with pytest.raises(HeldError):
        content(value, NOWHERE)
    return caught.value


@pytest.mark.parametrize(
    "value",
    [
        RUN,
        as_objects(RUN),
        WRAPPED,
        [],
        [[None, False, 0.5]],
        [[None, None, None]],
        [["x", "pending_revalidation", "0.5", None, "LLMCore"]],
        [["x", "True", math.nan, None]],
        [["x"], VALID],
        [{"script": "x", "valid": True}],
        [{"is_valid": False, "error": "no"}],
        {"patch_history": []},
        {"patch_history": None},
    ],
)
def test_a_history_is_known_by_its_shape(value: Json) -> None:
    assert recognises(value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        None,
        "[]",
        7,
        {"run_a": RUN, "run_b": RUN},
        {"script": "x", "is_valid": True},
        [1, 2],
        ["a", "b", "c"],
        [["a", "b", "c"]],
        [["x", True]],
        [["x", True, 0.5, None, "a", "b"]],
        [[1, True, 0.5]],
        [["x", 1, 0.5]],
        [RUN, RUN],
        [{"script": "x"}],
        [{"is_valid": True}],
        [{"successful_script": "x", "successful_diff_summary": "y"}],
        [WRAPPED],
        FAILED,
    ],
)
def test_what_is_no_history_is_not_taken_for_one(value: Json) -> None:
    assert not recognises(value)


def test_tuples_say_what_was_tried() -> None:
    assert only(RUN, WHERE) == Candidate(
        Kind.PATCH,
        "tuples",
        script=POLISHED,
        logged_at=datetime(2025, 6, 10, 17, 49, 54, tzinfo=UTC),
        run=Run(
            "tuples",
            (
                Attempt(DRAFT, Stage.SCAFFOLD, Validity.INVALID, 0.4, trace=read_trace(ERROR, DRAFT)),
                Attempt(FIXED, Stage.REPAIR, Validity.VALID, 0.5),
                Attempt(POLISHED, Stage.POLISH, Validity.VALID, 0.9),
            ),
            "20250610T174954_ebe8db",
            direction=Direction.HIGHER,
            direction_why="The polished script scores 0.9, the unpolished one 0.5, so more is probably better.",
        ),
    )


def test_objects_and_tuples_say_the_same() -> None:
    assert run_of(as_objects(RUN)).attempts == run_of(RUN).attempts
    assert (only(as_objects(RUN)).generation, run_of(as_objects(RUN)).form) == ("objects", "objects")


def test_a_wrapped_run_says_what_it_was_for() -> None:
    said = only(WRAPPED)
    run = run_of(WRAPPED)

    assert (said.generation, said.issue, said.target_files) == ("wrapped", "Fix x\n\nSoon.", ("x.py", "y.py"))
    assert (said.operations, said.acceptance) == (({"name": "add_import"},), ("x passes",))
    assert (said.patch_source, said.script) == ("LLMCore_polish_iteration_1", POLISHED)
    assert said.logged_at == datetime(2025, 6, 10, 17, 49, 54, 329185, UTC)
    assert (said.external_id, said.issue_id, said.extra) == (None, None, {})
    assert (run.run_id, run.outcome, run.phase) == ("20250610T174954_ebe8db", "success", WRAPPED["phase"])
    assert run.attempts == run_of(RUN).attempts


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"spec": {"task": "Fix", "operations": ["a"], "acceptance": "b"}}, "issue", "Fix"),
        ({"spec": {"task": "Fix", "operations": ["a"], "acceptance": "b"}}, "acceptance", ("b",)),
        ({"spec": {"task": "Fix", "target_symbols": ["a"]}}, "extra", {"spec": {"target_symbols": ["a"]}}),
        ({"spec": {"issue_id": "GH-7"}}, "issue_id", "GH-7"),
        ({"spec": {"issue_id": 7}}, "issue_id", "7"),
        ({"spec": None}, "target_files", ("src/y.py",)),
        ({"spec": {}, "phase": {"target_files": ["z.py"], "target_file": "y.py"}}, "target_files", ("z.py",)),
        ({"spec": None, "issue": "Fix y", "target_files": "z.py"}, "issue", "Fix y"),
        ({"spec": None, "issue": "Fix y", "target_files": "z.py"}, "target_files", ("z.py",)),
        ({"spec": "issue_description: Fix", "phase": 3}, "extra", {"phase": 3, "spec": "issue_description: Fix"}),
        ({"model": "m", "attempts": 3}, "extra", {"attempts": 3, "model": "m"}),
        ({"id": 7}, "external_id", "7"),
        ({"patch_source": ""}, "patch_source", "Unknown"),
        ({"predicted_core": "LLMCore"}, "predicted_core", "LLMCore"),
        ({"timestamp_utc": None, "timestamp": "2025-06-24"}, "logged_at", datetime(2025, 6, 24, tzinfo=UTC)),
        ({"timestamp_utc": "today"}, "logged_at", datetime(2025, 6, 10, 17, 49, 54, tzinfo=UTC)),
        ({"timestamp_utc": "today", "run_id": "a"}, "logged_at", None),
    ],
)
def test_a_fork_wraps_its_runs_otherwise(change: dict[str, Json], field: str, value: Json) -> None:
    assert getattr(only(WRAPPED | change), field) == value


@pytest.mark.parametrize(
    ("name", "at", "run_id"),
    [
        ("run_20250610T174954_ebe8db.json", datetime(2025, 6, 10, 17, 49, 54, tzinfo=UTC), "20250610T174954_ebe8db"),
        ("a/b/run_20250610.json", datetime(2025, 6, 10, tzinfo=UTC), "20250610"),
        ("2025-06-10T17-49-54.123Z.json", datetime(2025, 6, 10, 17, 49, 54, tzinfo=UTC), "2025-06-10T17-49-54.123Z"),
        ("history 2025-06-10.json.gz", datetime(2025, 6, 10, tzinfo=UTC), "history 2025-06-10"),
        ("2025-06-10/history.json", None, "history"),
        ("run_20251310T174954.json", None, "20251310T174954"),
        ("run_9920250610.json", None, "run_9920250610"),
        ("2025-06-10.jsonl", datetime(2025, 6, 10, tzinfo=UTC), None),
        ("", None, None),
    ],
)
def test_the_file_name_may_say_when_a_run_was_and_its_id(name: str, at: datetime | None, run_id: str | None) -> None:
    assert (only(RUN, Given(name)).logged_at, run_of(RUN, Given(name)).run_id) == (at, run_id)


@pytest.mark.parametrize(
    ("logged", "validity"),
    [
        (True, Validity.VALID),
        ("True", Validity.VALID),
        (" true ", Validity.VALID),
        (False, Validity.INVALID),
        ("FALSE", Validity.INVALID),
        ("pending_revalidation", Validity.PENDING),
        ("yes", Validity.PENDING),
        ("", Validity.PENDING),
        (None, Validity.PENDING),
        (1, Validity.PENDING),
        (0, Validity.PENDING),
        ([], Validity.PENDING),
    ],
)
def test_validity_has_three_states_and_is_never_truthiness(logged: Json, validity: Validity) -> None:
    assert attempts_of([["x", logged, 0.5, None]])[0].validity is validity
    assert attempts_of([{"script": "x", "valid": logged}])[0].validity is validity


def test_an_object_that_does_not_say_whether_it_is_valid_is_pending() -> None:
    assert attempts_of([{"script": "x"}])[0].validity is Validity.PENDING


@pytest.mark.parametrize(
    ("logged", "score"),
    [
        (0.5, 0.5),
        (1, 1.0),
        ("0.5", 0.5),
        (17.5, 17.5),
        (-1, -1.0),
        (math.nan, None),
        (-math.inf, None),
        ("NaN", None),
        ("inf", None),
        ("good", None),
        (None, None),
        (True, None),
        ([0.5], None),
        (10**400, None),
    ],
)
def test_a_score_is_a_finite_number_or_none(logged: Json, score: float | None) -> None:
    assert attempts_of([["x", True, logged, None]])[0].score == score


def test_three_elements_have_no_error_text_and_a_fifth_is_a_label() -> None:
    assert attempts_of([["x", False, 0.5]]) == (Attempt("x", Stage.SCAFFOLD, Validity.INVALID, 0.5),)
    assert attempts_of([["x", False, 0.5, None, "LLMCore"]])[0].label == "LLMCore"
    assert attempts_of([["x", False, 0.5, ["a", 1]]])[0].trace == read_trace('["a", 1]', "x")


def test_what_attempts_hold_beyond_the_five_is_kept() -> None:
    assert only([FAILED, [*VALID, "a", "b", 3]]).extra == {"of_attempts": [{}, {"beyond": ["b", 3]}]}
    assert only([{"script": "x", "is_valid": True, "model": "m"}]).extra == {"of_attempts": [{"model": "m"}]}


def test_an_attempt_without_a_script_stands_in_the_ladder() -> None:
    said = only([[None, False, 0.7, ERROR], VALID, [None, False, 1.0, None]])

    assert said.run is not None
    assert [one.script for one in said.run.attempts] == [None, FIXED, None]
    assert said.script == FIXED


def test_the_script_is_the_last_valid_one_or_else_the_last() -> None:
    assert only([VALID, [POLISHED, False, 0.0, None]]).script == FIXED
    assert only([FAILED, [FIXED, "pending_revalidation", 0.4, None]]).script == FIXED


@pytest.mark.parametrize(
    ("history", "n_recorded"),
    [
        (RUN, [1, 1, 1]),
        ([one for one in RUN for _ in range(2)], [2, 2, 2]),
        ([FAILED, VALID, VALID, POLISH], [1, 2, 1]),
        ([FAILED, FAILED, FAILED], [3]),
        ([FAILED, [DRAFT, False, 0.4, ERROR + "x"]], [1, 1]),
        ([FAILED, [DRAFT, False, 0.3, ERROR]], [1, 1]),
        ([FAILED, VALID, FAILED], [1, 1, 1]),
        ([["x", False, math.nan, None], ["x", False, math.nan, None]], [2]),
    ],
)
def test_neighbours_that_are_alike_in_everything_are_one_attempt(history: list[Json], n_recorded: list[int]) -> None:
    assert [one.n_recorded for one in attempts_of(history)] == n_recorded


def test_a_doubled_run_has_the_stages_of_the_run() -> None:
    doubled = [one for one in RUN for _ in range(2)]

    assert [one.stage for one in attempts_of(doubled)] == [Stage.SCAFFOLD, Stage.REPAIR, Stage.POLISH]


OTHER = [[script("TypoCommand"), True, 0.3, None], [script("TypoCommand", "return 1"), True, 0.8, None]]


def test_two_runs_in_one_list_are_two_candidates_and_what_is_wrapped_around_speaks_of_the_last() -> None:
    first, last = read(WRAPPED | {"patch_history": [*OTHER, *RUN]}, WHERE)

    assert last == only(WRAPPED, WHERE)
    assert (first.script, first.issue, first.logged_at, first.patch_source) == (OTHER[1][0], "", None, "Unknown")
    assert first.run is not None
    assert (first.run.run_id, first.run.outcome, first.run.form) == ("20250610T174954_ebe8db#1", None, "wrapped")
    assert [one.run and one.run.run_id for one in read([*OTHER, *RUN], NOWHERE)] == [None, None]


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ([], "empty_history", r"holds no attempt: the agent clears its list"),
        ({"patch_history": []}, "empty_history", r"holds no attempt"),
        ({"patch_history": None}, "wrong_type", r'"patch_history" must be a list of attempts; here it is null\.'),
        ({"patch_history": {"a": 1}}, "wrong_type", r"here it is an object\."),
        ({"run_a": RUN, "run_b": RUN}, "not_history", r'holds "run_a", "run_b"\. Save each run as'),
        ({}, "not_history", r"holds no key at all"),
        ("x", "not_history", r"this is text\."),
        (None, "not_history", r"this is null\."),
        ([VALID, "x"], "not_attempt", r"^Attempt 2 of this history is text;"),
        ([VALID, None], "not_attempt", r"^Attempt 2 of this history is null;"),
        ([["x", True], VALID], "not_attempt", r"^Attempt 1 of this history is a list of 2;"),
        ([VALID, VALID, {"diff": "x"}], "not_attempt", r'^Attempt 3 of this history is an object with "diff";'),
        ([[3, True, 0.5, None]], "wrong_type", r"The script of attempt 1 must be text or null; here it is a number\."),
        ([{"script": ["x"], "is_valid": True}], "wrong_type", r"must be text or null; here it is a list\."),
    ],
)
def test_what_is_no_history_is_held_with_its_reason(value: Json, code: str, message: str) -> None:
    error = held(value)

    assert error.code == code
    assert error.args == (error.message,)
    with pytest.raises(HeldError, match=message):
        raise error


@pytest.mark.parametrize(
    ("same", "where"),
    [
        (RUN, WHERE),
        (as_objects(RUN), NOWHERE),
        ([one for one in RUN for _ in range(2)], NOWHERE),
        ([[DRAFT, "False", "0.4", ERROR], VALID, POLISH], NOWHERE),
        ([*as_objects([FAILED]), VALID, POLISH], NOWHERE),
        ([{**one, "timestamp": 7} for one in as_objects(RUN) if isinstance(one, dict)], NOWHERE),
    ],
)
def test_one_run_has_one_content_in_every_form(same: Json, where: Given) -> None:
    assert content(same, where) == content(RUN, NOWHERE)


def test_the_content_of_a_run_is_the_same_within_a_longer_list() -> None:
    assert content([*OTHER, *RUN], WHERE) == (*content(OTHER, NOWHERE), *content(RUN, NOWHERE))


def test_a_later_time_and_another_id_change_no_content() -> None:
    later = WRAPPED | {"timestamp_utc": "2026-01-01T00:00:00+00:00", "run_id": "n"}

    assert content(later, NOWHERE) == content(WRAPPED, WHERE)


@pytest.mark.parametrize(
    "other",
    [
        RUN,
        WRAPPED | {"outcome": "ValueError"},
        WRAPPED | {"spec": {"issue_description": "Fix y"}},
        WRAPPED | {"patch_history": [FAILED, VALID]},
        WRAPPED | {"patch_history": [FAILED, VALID, [POLISHED, True, 0.8, None]]},
        WRAPPED | {"patch_history": [FAILED, VALID, [POLISHED, None, 0.9, None]]},
    ],
)
def test_what_says_something_else_has_another_content(other: Json) -> None:
    assert content(other, NOWHERE) != content(WRAPPED, NOWHERE)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([DRAFT, ERROR])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["script", "is_valid", "score", "spec", "phase", "patch_history"]), inner)
    ),
    max_leaves=20,
)
ATTEMPTS = st.tuples(
    st.none() | st.sampled_from([DRAFT, FIXED, POLISHED, script("OtherCommand")]) | st.text(max_size=9),
    st.booleans() | st.sampled_from(["pending_revalidation", "true", None, 3]),
    st.sampled_from([0.0, 1.0, 0.5, None, "x"]),
    st.none()
    | st.sampled_from([ERROR, "DUPLICATE_DETECTED: x", "Heuristic fix applied, pending"])
    | st.text(max_size=9),
).map(list)


@given(VALUES | st.lists(ATTEMPTS, max_size=9), st.text(max_size=20))
def test_any_value_is_read_or_held_and_each_candidate_has_its_content(value: Json, name: str) -> None:
    try:
        candidates = read(value, Given(name))
    except HeldError as error:
        assert error.message[-1] == "."  # noqa: PT017 - most values are held
        return
    contents = content(value, Given(name))

    assert len(contents) == len(candidates) >= 1
    json.dumps(contents)
    assert all(one.run and one.run.attempts for one in candidates)


@given(st.lists(ATTEMPTS, min_size=1, max_size=9))
def test_no_attempt_is_lost_and_the_order_stays(attempts: list[list[Json]]) -> None:
    found = [one for candidate in read(attempts, NOWHERE) if candidate.run for one in candidate.run.attempts]

    assert [one.script for one in found for _ in range(one.n_recorded)] == [one[0] for one in attempts]
