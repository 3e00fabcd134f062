from dataclasses import replace

import pytest

from app import checks
from app.candidates import (
    LOW,
    Attempt,
    Candidate,
    Finding,
    Kind,
    PatchSet,
    PostImage,
    Run,
    Severity,
    SpecPair,
    Stage,
    StyleRefine,
    StyleUnify,
    Validity,
)
from tests.checks.examples import VERSION, VERSION_SCRIPT, patch

AFTER = "".join(f"# {n}\n" for n in range(1, 82)) + "]\n\n\n__version__ = '5.0-dev'\n"
VALID, INVALID, PENDING = Validity.VALID, Validity.INVALID, Validity.PENDING


def _attempt(script: str | None, validity: Validity) -> Attempt:
    return Attempt(script, Stage.REPAIR, validity)


def _with_run(*attempts: Attempt, script: str | None = VERSION_SCRIPT, **more: object) -> list[Finding]:
    run = Run("tuples", attempts, **more)  # type: ignore[arg-type]
    return list(checks.run(replace(patch(script=script), run=run)))


def _with_set(*files: PostImage, diff: str | None = VERSION, **more: object) -> list[Finding]:
    candidate = replace(patch(diff=diff), patch_set=PatchSet("feature/x", "CBb", files=files), **more)  # type: ignore[arg-type]
    return list(checks.run(candidate))


# ------------------------------------------------------------------------------------------------ the run


@pytest.mark.parametrize(
    ("attempts", "said"),
    [
        ([_attempt(VERSION_SCRIPT, INVALID)], "This script is attempt 1 of its run, and never passed"),
        ([_attempt(VERSION_SCRIPT, PENDING)], "it is pending."),
        ([_attempt("x", VALID), _attempt(VERSION_SCRIPT, INVALID)], "This script is attempt 2 of its run"),
        ([_attempt(VERSION_SCRIPT, PENDING), _attempt(VERSION_SCRIPT, INVALID)], "it is invalid."),
        ([_attempt(VERSION_SCRIPT.removesuffix("\n"), INVALID)], "This script is attempt 1"),
        ([_attempt("x", INVALID), _attempt("y", PENDING)], "None of the 2 attempts of its run passed"),
        ([_attempt(None, INVALID)], "The one attempt of its run did not pass"),
    ],
    ids=["invalid", "pending", "another is valid", "twice", "a line end less", "none is valid", "without a script"],
)
def test_a_success_that_never_passed_the_checks_is_held(attempts: list[Attempt], said: str) -> None:
    (found,) = _with_run(*attempts)

    assert (found.code, found.severity) == ("never_validated", Severity.HOLD)
    assert said in found.message


@pytest.mark.parametrize(
    "attempts",
    [
        [_attempt(VERSION_SCRIPT, VALID)],
        [_attempt(VERSION_SCRIPT, PENDING), _attempt(VERSION_SCRIPT, VALID)],
        [_attempt(VERSION_SCRIPT, VALID), _attempt("polished", INVALID)],
        [_attempt(VERSION_SCRIPT, VALID), _attempt(VERSION_SCRIPT, INVALID)],
        [_attempt("another text, as a person edits it", VALID)],
        [],
    ],
    ids=["valid", "checked later", "polish failed", "passed once", "not an attempt", "no attempts"],
)
def test_a_script_that_passed_once_or_was_never_tried_is_not_held_for_it(attempts: list[Attempt]) -> None:
    assert _with_run(*attempts) == []


@pytest.mark.parametrize(
    ("outcome", "said"),
    [(None, "its last attempt is not valid, and nothing says why."), ("ValueError", "its outcome is ValueError.")],
)
def test_a_run_that_stopped_midway_is_a_warning(outcome: str | None, said: str) -> None:
    (found,) = _with_run(_attempt(VERSION_SCRIPT, VALID), cut_short=True, outcome=outcome)

    assert (found.code, found.severity, found.place) == ("run_cut_short", Severity.WARNING, "run")
    assert found.message.endswith(said)


def test_a_script_that_little_speaks_for_is_a_warning() -> None:
    sure = replace(patch(), found_in={"script": "run run_1.json"})
    unsure = replace(patch(), found_in={"script": f"run run_1.json{LOW}"})

    assert "script_unsure" not in {one.code for one in checks.run(sure)}
    (found,) = [one for one in checks.run(unsure) if one.code == "script_unsure"]
    assert (found.severity, found.place) == (Severity.WARNING, "script")
    assert "run_1.json" in found.message


def test_a_patch_without_a_run_is_noted() -> None:
    (found,) = checks.run(replace(patch(), run=None))

    assert (found.code, found.severity, found.place) == ("no_run", Severity.NOTE, "run")


def test_a_hostile_outcome_is_only_an_excerpt() -> None:
    (found,) = _with_run(_attempt(VERSION_SCRIPT, VALID), cut_short=True, outcome="\x1b[2J" + "x" * 10_000)

    assert len(found.message) < 200
    assert found.message.isprintable()


# ------------------------------------------------------------------------------------------------ the patch set


def test_a_patched_file_that_the_diff_fits_has_no_finding() -> None:
    assert _with_set(PostImage("click/__init__.py", AFTER)) == []


def test_a_patched_file_that_was_reformatted_after_the_diff_is_noted() -> None:
    (found,) = _with_set(PostImage("click/__init__.py", AFTER.replace("'", '"')))

    assert (found.code, found.severity, found.place) == ("post_image_differs", Severity.NOTE, "patch_set")
    assert found.message.startswith("The patched click/__init__.py is not what the diff made. Hunk 1 does not fit")


@pytest.mark.parametrize(
    ("image", "diff"),
    [
        (PostImage("click/__init__.py", None), VERSION),
        (PostImage("click/__init__.py", "x\n"), None),
        (PostImage("click/__init__.py", "x\n"), "No textual changes detected for 'x.py'."),
        (PostImage("click/__init__.py", "x\n"), VERSION.replace("4 @@", "9 @@")),
        (PostImage("click/__init__.py", "x\n"), VERSION.replace("__init__.py", "core.py")),
    ],
    ids=["no text", "no diff", "a sentence", "a wrong header", "another file"],
)
def test_where_the_diff_cannot_tell_nothing_is_said_of_the_patched_file(image: PostImage, diff: str | None) -> None:
    codes = {found.code for found in _with_set(image, diff=diff)}

    assert "post_image_differs" not in codes


def test_a_patched_file_that_the_spec_does_not_name_is_a_warning() -> None:
    (found,) = _with_set(PostImage("click/__init__.py", AFTER), PostImage("click/core.py", "x\n"))

    assert (found.code, found.severity, found.place) == ("files_outside_spec", Severity.WARNING, "patch_set")
    assert "does not name click/core.py, which the patch set holds" in found.message


def test_a_file_outside_the_spec_is_told_once_where_diff_and_patch_set_both_hold_it() -> None:
    found = _with_set(PostImage("click/__init__.py", AFTER), target_files=("click/core.py",))

    assert [(one.code, one.place) for one in found] == [("files_outside_spec", "diff:1")]


def test_a_patch_set_without_a_diff_is_still_compared_with_the_spec() -> None:
    found = _with_set(PostImage("core.py", "x\n"), diff=None)

    assert [one.code for one in found] == ["no_diff", "files_outside_spec"]


# ------------------------------------------------------------------------------------------------ other kinds


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate(Kind.SPEC, "spec_log", spec=SpecPair("issue_description: x\n")),
        Candidate(Kind.STYLE_REFINE, "refiner", refine=StyleRefine("x = 1\n", {}, '"indent": 4')),
        Candidate(Kind.STYLE_UNIFY, "unifier", unify=StyleUnify((), "{}")),
    ],
    ids=["spec", "style refine", "style unify"],
)
@pytest.mark.parametrize("beside", ["nothing", "a run and a patch set"])
def test_what_is_no_patch_needs_no_run(candidate: Candidate, beside: str) -> None:
    if beside != "nothing":
        files = (PostImage("elsewhere.py", "x\n"),)
        candidate = replace(
            candidate,
            target_files=("x.py",),
            run=Run("tuples", (_attempt("x", INVALID),), cut_short=True),
            patch_set=PatchSet("feature/x", "CBb", files=files),
        )

    codes = {found.code for found in checks.run(candidate)}

    assert codes.isdisjoint({"no_run", "never_validated", "run_cut_short", "post_image_differs", "files_outside_spec"})
