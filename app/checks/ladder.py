"""What the run and the patch set beside a patch say against it: whether its script ever passed, and what is missing."""

from collections.abc import Iterator

from app.candidates import LOW, Attempt, Candidate, Finding, Kind, Run, Severity, Validity
from app.checks.excerpts import excerpt
from app.checks.reading import Reading
from app.diffs.apply import reverse


def run(reading: Reading) -> Iterator[Finding]:
    """What the run says: `no_run`, `never_validated`, `run_cut_short`.

    A success that the agent's checks never passed is held: the agent takes `pending_revalidation` for true, and after
    its last attempt returns the best of its history, whatever the checks said of it.
    """
    candidate = reading.candidate
    if candidate.kind is not Kind.PATCH:
        return
    if candidate.run is None:
        message = "No run of this patch is known: what was tried before it, and whether it passed, cannot be seen."
        yield Finding("no_run", Severity.NOTE, "run", message)
        return
    yield from _never_validated(candidate, candidate.run)
    if candidate.run.cut_short:
        outcome = candidate.run.outcome
        why = f"its outcome is {excerpt(outcome)}" if outcome else "its last attempt is not valid, and nothing says why"
        yield Finding("run_cut_short", Severity.WARNING, "run", f"This run stopped midway: {why}.")


def found_script(reading: Reading) -> Iterator[Finding]:
    """A script that only a weak join speaks for: `script_unsure`. Who accepts the patch accepts that it is its own."""
    origin = reading.candidate.found_in.get("script", "")
    if origin.endswith(LOW):
        message = f"The log holds no script of this patch. This one is from {excerpt(origin)}: does it make this diff?"
        yield Finding("script_unsure", Severity.WARNING, "script", message)


def patched_files(reading: Reading) -> Iterator[Finding]:
    """Patched files that are not what the diff made: they were reformatted, or changed, after it."""
    candidate = reading.candidate
    if candidate.kind is not Kind.PATCH or candidate.patch_set is None or not reading.diff.files:
        return
    if reading.diff.truncated or any(hunk.counts_wrong for hunk in reading.diff.hunks):
        return
    for image in candidate.patch_set.files:
        if image.text is None:
            continue
        before = reverse(reading.diff, image.text, image.path)
        if before.text is None and before.hunk is not None:
            message = f"The patched {excerpt(image.path)} is not what the diff made. {before.why}"
            yield Finding("post_image_differs", Severity.NOTE, "patch_set", message)


def _never_validated(candidate: Candidate, run: Run) -> Iterator[Finding]:
    same = [(n, one) for n, one in enumerate(run.attempts, 1) if _is_same(one, candidate.script)]
    if any(one.validity is Validity.VALID for _, one in same):
        return
    if same:
        n, last = same[-1]
        message = f"This script is attempt {n} of its run, and never passed the agent's checks: it is {last.validity}."
        yield Finding("never_validated", Severity.HOLD, "script", message)
    elif run.attempts and not any(one.validity is Validity.VALID for one in run.attempts):
        n = len(run.attempts)
        none = "The one attempt of its run did not pass" if n == 1 else f"None of the {n} attempts of its run passed"
        yield Finding("never_validated", Severity.HOLD, "run", f"{none} the agent's checks.")


def _is_same(attempt: Attempt, script: str | None) -> bool:
    """Whether an attempt tried this script; the agent's own merging of scripts takes the last line end off."""
    return bool(script and attempt.script) and (attempt.script or "").rstrip("\n") == (script or "").rstrip("\n")
