"""The attempts of a run on the review page: which one is looked at, against which other, and what each left behind."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from app import queue, review
from app.candidates import Attempt, Candidate, Direction, Frame, Run, Stage, Trace
from app.errors import BadInputError, NotFoundError
from app.web.deps import Db, Project
from app.web.queue import link_query, wanted_of
from app.web.render import is_partial, page, see_other, url

router = APIRouter()

LINE = "attempt-line-"
_MOST_STEPS = 100
_MOST_LINES = 200
_LONGEST_NOTE = 200
_SHORT_TEXT = 12
_PLAIN_SCORE = 1000
_DIRECTIONS = {
    Direction.HIGHER: "higher is better",
    Direction.LOWER: "lower is better",
    Direction.UNKNOWN: "which way is better is not known",
}
_KEPT = ("view", "attempt", "base", "image", "side")


class Base(StrEnum):
    """What the attempt on the screen is compared with; `b` goes through them in this order."""

    PREVIOUS = "previous"
    FINAL = "final"
    SCAFFOLD = "scaffold"


@dataclass(frozen=True)
class Rung:
    """One attempt as the list shows it.

    Attributes:
        number: from 1.
        attempt: what the log says.
        score: `0.64`, `no own score (copied)`, or `no score`.
        went_wrong: the kind of error in words, or empty.
        is_current: it is the one looked at.
        is_final: the last valid one, which became the patch.
    """

    number: int
    attempt: Attempt
    score: str
    went_wrong: str
    is_current: bool
    is_final: bool


@dataclass(frozen=True)
class Step:
    """One frame of a traceback, drawn; `line` is where the script has it, else None."""

    place: Markup
    line: int | None
    function: Markup
    code: Markup


@dataclass(frozen=True)
class Choice:
    """One base that can be chosen; `is_next` marks the one that the key goes to."""

    base: Base
    is_current: bool
    is_next: bool


@dataclass(frozen=True)
class Compared:
    """What changed between an attempt and its base: a heading, and the diff or the sentence that stands instead."""

    heading: str
    sentence: str = ""
    diff: Markup | None = None


@dataclass(frozen=True)
class Current:
    """The attempt that is looked at.

    Attributes:
        rung: the same as in the list.
        score: `score 0.64, higher is better (guessed)`, or why there is none.
        trace: its error text, or None.
        last_line: of the error text: what went wrong, in the tool's own words.
        error: the whole error text, drawn.
        is_error_long: whether it is folded below `last_line`.
        n_error_lines: how many lines it has.
        steps: of its traceback, outermost first; of a very long one the last.
        n_steps: how many frames the traceback has; those that are not listed stand in the error text.
        lines: lines of the script that the error speaks of and that are there.
        compared: against its base.
        script: the script, drawn; empty where there is none, or where it is the one that stands.
        n_script_lines: how many lines it has.
        stands: whether its script is the one that stands, which the page shows further down.
        is_script_open: whether the error points into it, or nothing else shows it.
        prompt: what the model was asked at this stage, where a capture recorded it.
    """

    rung: Rung
    score: str
    trace: Trace | None
    last_line: Markup
    error: Markup
    is_error_long: bool
    n_error_lines: int
    steps: list[Step]
    n_steps: int
    lines: tuple[int, ...]
    compared: Compared
    script: Markup
    n_script_lines: int
    stands: bool
    is_script_open: bool
    prompt: str


@dataclass(frozen=True)
class Ladder:
    """A run's attempts, one of them looked at.

    Attributes:
        page: the candidate's address without a query.
        query: the filter, for links.
        asked: what the address says of the ladder: `{"attempt": "3", "base": "final"}`.
        run: what the log says.
        direction: `higher is better (guessed)`.
        phase: the phase's open dict as pairs.
        rungs: the attempts in order.
        base: what the current one is compared with.
        bases: all that can be chosen.
        current: the one looked at.
        says: for the live region.
    """

    page: str
    query: dict[str, str]
    asked: dict[str, str]
    run: Run
    direction: str
    phase: list[tuple[str, str]]
    rungs: list[Rung]
    base: Base
    bases: list[Choice]
    current: Current
    says: str


@dataclass(frozen=True)
class LadderView:
    """What the block `ladder` of `review.html` may read."""

    ladder: Ladder


# ------------------------------------------------------------------------------------------------ routes


@router.get("/candidates/{candidate_id}/ladder")
def ladder(request: Request, session: Db, project: Project, candidate_id: int) -> Response:
    """The ladder with another attempt, or against another base."""
    query = link_query(wanted_of(request))
    asked = {name: request.query_params.get(name, "") for name in ("attempt", "base")}
    if not is_partial(request):
        return see_other(url(f"/candidates/{candidate_id}", **asked, **query) + "#ladder")
    found = build(candidate_id, review.open_candidate(session, project, candidate_id).stands, query, asked)
    if found is None:
        raise NotFoundError(f"The log holds no attempts of candidate {candidate_id}.")
    headers = {"HX-Replace-Url": address(request, candidate_id, query, **asked)}
    return page(request, "review.html", LadderView(found), fragment="ladder", headers=headers)


def address(request: Request, candidate_id: int, query: Mapping[str, str], **changed: object) -> str:
    """The page's address once a part of it was swapped: what else the browser's address says stays as it is.

    With `view="split"` while the browser shows `/candidates/7?attempt=3` → `/candidates/7?attempt=3&view=split`.
    """
    shown = urlsplit(request.headers.get("HX-Current-URL", ""))
    named = dict(parse_qsl(shown.query)) if shown.path == f"/candidates/{candidate_id}" else {}
    kept = {name: named[name] for name in _KEPT if name in named}
    return url(f"/candidates/{candidate_id}", **(kept | changed), **query)


# ------------------------------------------------------------------------------------------------ view


def build(candidate_id: int, stands: Candidate, query: dict[str, str], asked: Mapping[str, str]) -> Ladder | None:
    """The ladder of a candidate, or None where no run of it is known.

    Args:
        candidate_id: for links.
        stands: the candidate as it stands.
        query: the filter, for links.
        asked: `attempt`, a number from 1 (else the last valid one, else the last), and `base` (else the previous one).

    Raises:
        BadInputError: the run has no such attempt, or there is no such base.

    """
    run = stands.run
    if run is None or not run.attempts:
        return None
    final = _number_of_final(run)
    number = _asked_number(asked.get("attempt", ""), run, final)
    base = _asked_base(asked.get("base", ""))
    rungs = [_rung(n, attempt, number, final) for n, attempt in enumerate(run.attempts, 1)]
    current = _current(stands, run, rungs[number - 1], base, final)
    return Ladder(
        page=f"/candidates/{candidate_id}",
        query=query,
        asked={name: asked[name] for name in ("attempt", "base") if asked.get(name)},
        run=run,
        direction=_direction(run),
        phase=[(str(name), _plain(value)) for name, value in run.phase.items()],
        rungs=rungs,
        base=base,
        bases=_choices(base),
        current=current,
        says=_spoken(current, len(rungs)),
    )


def _number_of_final(run: Run) -> int | None:
    return next((n for n, attempt in enumerate(run.attempts, 1) if attempt is run.final), None)


def _asked_number(asked: str, run: Run, final: int | None) -> int:
    n = len(run.attempts)
    if not asked:
        return final or n
    number = queue.whole_number("attempt", asked)
    if not 1 <= number <= n:
        raise BadInputError(f"This run has the attempts 1 to {n}; there is no attempt {number}.", where="field attempt")
    return number


def _asked_base(asked: str) -> Base:
    try:
        return Base(asked or Base.PREVIOUS)
    except ValueError as error:
        raise BadInputError(
            f"base must be one of {', '.join(Base)}; it is {asked[:40]!r}.", where="field base"
        ) from error


def _choices(base: Base) -> list[Choice]:
    order = list(Base)
    following = order[(order.index(base) + 1) % len(order)]
    return [Choice(one, one is base, one is following) for one in order]


def _rung(number: int, attempt: Attempt, current: int, final: int | None) -> Rung:
    return Rung(
        number=number,
        attempt=attempt,
        score=_score(attempt),
        went_wrong="" if attempt.trace is None else attempt.trace.label,
        is_current=number == current,
        is_final=number == final,
    )


def _score(attempt: Attempt) -> str:
    if attempt.placeholder:
        return f"no own score ({attempt.placeholder})"
    if attempt.score is None:
        return "no score"
    return f"{attempt.score:.2f}" if abs(attempt.score) < _PLAIN_SCORE else f"{attempt.score:.3g}"


def _direction(run: Run) -> str:
    """Which way scores count; a guess is called one. No log says it: what is no guess was set by a person."""
    is_known = run.direction is Direction.UNKNOWN or run.direction_why.startswith("A person")
    return _DIRECTIONS[run.direction] + ("" if is_known else " (guessed)")


def _spoken(current: Current, n: int) -> str:
    rung, compared = current.rung, current.compared
    said = [f"Attempt {rung.number} of {n}: {rung.attempt.stage}, {rung.attempt.validity}", rung.went_wrong]
    return ". ".join(part.rstrip(".") for part in (*said, compared.heading, compared.sentence) if part) + "."


def _plain(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


# ------------------------------------------------------------------------------------------------ one attempt


def _current(stands: Candidate, run: Run, rung: Rung, base: Base, final: int | None) -> Current:
    from app import drawing  # noqa: PLC0415  (only where a candidate has attempts)
    from app.diffs.render import render_line, render_text  # noqa: PLC0415

    attempt, trace = rung.attempt, rung.attempt.trace
    n_lines = _n_lines(attempt.script)
    lines = _lines_in(trace, n_lines)
    compared = _compared(run, rung.number, base, final)
    is_shown_below = attempt.script is not None and attempt.script == stands.script and not lines
    has_own_score = attempt.score is not None and not attempt.placeholder
    text = "" if trace is None else trace.text.strip("\n")
    n_error_lines = _n_lines(text)
    return Current(
        rung=rung,
        score=f"score {rung.score}, {_direction(run)}" if has_own_score else rung.score,
        trace=trace,
        last_line=render_line(_last_line(text)),
        error=render_text(text) if text else Markup(),
        is_error_long=n_error_lines > _SHORT_TEXT or bool(trace and trace.frames),
        n_error_lines=n_error_lines,
        steps=[] if trace is None else [_step(frame, lines) for frame in trace.frames[-_MOST_STEPS:]],
        n_steps=0 if trace is None else len(trace.frames),
        lines=lines,
        compared=compared,
        script=drawing.script(attempt.script, anchor=LINE, notes=_notes(trace, lines))
        if attempt.script and not is_shown_below
        else Markup(),
        n_script_lines=n_lines,
        stands=is_shown_below,
        is_script_open=bool(lines) or not (compared.heading or is_shown_below),
        prompt=run.prompts.get(attempt.stage, ""),
    )


def _n_lines(text: str | None) -> int:
    return (text.rstrip("\n").count("\n") + 1) if text and text.strip("\n") else 0


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "")


def _lines_in(trace: Trace | None, n_lines: int) -> tuple[int, ...]:
    """The lines that an error speaks of, as far as the script has them: an error may speak of another text."""
    if trace is None:
        return ()
    return tuple(line for line in trace.script_lines if 1 <= line <= n_lines)[:_MOST_LINES]


def _step(frame: Frame, lines: Collection[int]) -> Step:
    from app.diffs.render import render_line  # noqa: PLC0415

    line = frame.script_line if frame.script_line in lines else None
    place = f"script, line {line}" if line else f"{frame.file}, line {frame.line}"
    return Step(render_line(place), line, render_line(frame.function), render_line(frame.code))


def _notes(trace: Trace | None, lines: Iterable[int]) -> dict[int, str]:
    """What stands below each line that an error speaks of: where it happened, the error; on the way there, the call."""
    if trace is None:
        return {}
    frames = {frame.script_line: frame for frame in trace.frames if frame.script_line is not None}
    innermost = next((frame.script_line for frame in reversed(trace.frames) if frame.script_line is not None), None)
    notes = {}
    for line in lines:
        said = _last_line(trace.text) or trace.label
        if line in frames and line != innermost:
            said = f"called from here, in {frames[line].function}" if frames[line].function else "called from here"
        notes[line] = said if len(said) <= _LONGEST_NOTE else said[: _LONGEST_NOTE - 1] + "…"
    return notes


def _compared(run: Run, number: int, base: Base, final: int | None) -> Compared:
    """The change between an attempt and its base, from the earlier one to the later one whichever is looked at."""
    other, missing = _number_of_base(run, number, base, final)
    if other is None or other == number:
        return Compared("", missing)
    earlier, later = sorted((number, other))
    heading = f"From attempt {earlier} to attempt {later}"
    old, new = run.attempts[earlier - 1].script, run.attempts[later - 1].script
    for n, text in ((number, run.attempts[number - 1].script), (other, run.attempts[other - 1].script)):
        if text is None:
            return Compared(heading, f"The agent recorded no script for attempt {n}, so there is nothing to compare.")
    if old == new:
        return Compared(heading, f"The same script as attempt {other}, to the letter.")
    return Compared(heading, diff=_interdiff(old or "", new or ""))


def _number_of_base(run: Run, number: int, base: Base, final: int | None) -> tuple[int | None, str]:
    """The base's number, and the sentence for when there is none, or when it is the attempt itself."""
    if base is Base.PREVIOUS:
        return (number - 1 or None), "This is the first attempt: nothing came before it."
    if base is Base.FINAL:
        missing = "No attempt of this run is valid, so there is no final one to compare with."
        return final, "This is the final attempt itself." if final else missing
    # A run begins with its scaffold, also where the history does not say so.
    scaffold = next((n for n, attempt in enumerate(run.attempts, 1) if attempt.stage is Stage.SCAFFOLD), 1)
    return scaffold, "This is the scaffold itself: nothing came before it."


def _interdiff(old: str, new: str) -> Markup:
    from app import drawing  # noqa: PLC0415
    from app.diffs.edit import diff_texts  # noqa: PLC0415

    return drawing.diff(diff_texts(old, new, "script.py"), prefix="attempt-")
