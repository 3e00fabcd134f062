"""The `scorer` role: which script is the better style, by the scores of a run and by people's ratings. Pure.

A score belongs to one script of one run, so an attempt that failed teaches style as well as one that passed. What the
agent copied or forced is no score, and where nobody knows whether more or less is better there is none at all.
Every score leaves as one from 0 to 1 of which more is better.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from app.candidates import Attempt, Direction, Kind, Run, Validity
from app.examples import Dataset, Example, HeldBack, Value
from app.recipes.judged import Judged
from app.recipes.prompt import Prompts
from app.recipes.wording import is_positive

NAME = "scorer"
VERSION = 1

STYLE = Dataset(NAME, "style", "regression")
PAIRS = Dataset(NAME, "style", "reward")
RATING = Dataset(NAME, "rating", "regression")
DATASETS = (STYLE, PAIRS, RATING)
KINDS = frozenset({Kind.PATCH})

_RECIPE = f"{NAME}/{VERSION}"
_N_DIGITS = 12  # 1 - 0.9 is 0.09999999999999998
_BEST_RATING = 5
_N_NAMED = 20
_NO_SCORE = {"copied": "a copy of the score before it", "forced": "set by the agent"}


class _Scored(NamedTuple):
    """An attempt with a score of its own: its number from 1, its script, and from 0 to 1 how good the style is."""

    number: int
    script: str
    is_valid: bool
    style: float


def make(judged: Judged, prompts: Prompts) -> Iterator[Example | HeldBack]:  # noqa: ARG001  (all recipes are called alike)
    """The scored scripts of an accepted patch's run, the pairs among them, and the rated script.

    A run with scripts `a` at 0.5 and `b` at 0.9, more being better → two rows `(a, 0.5)` and `(b, 0.9)`, and the pair
    `b` over `a` with a margin of 0.4. A rating of 4 → `(script, 0.75)`, also of a rejected patch.

    Nothing comes of a patch whose diff a reviewer edited: no script makes that change.
    """
    if judged.candidate.kind not in KINDS or judged.is_edited("diff"):
        return
    if is_positive(judged) and judged.candidate.run is not None:
        yield from _of_run(judged, judged.candidate.run)
    yield from _rated(judged)


# ------------------------------------------------------------------------------------------------ the run's scores


def _of_run(judged: Judged, run: Run) -> Iterator[Example | HeldBack]:
    tried = [(number, one) for number, one in enumerate(run.attempts, 1) if (one.script or "").strip()]
    if not tried:
        return
    held = _find_fault(tried, run.direction)
    if held is not None:
        yield held
        return
    once: dict[str, _Scored] = {}
    for number, attempt in tried:
        if not _lack(attempt):
            one = _scored(number, attempt, run.direction)
            once.setdefault(one.script.rstrip("\n"), one)
    for one in once.values():
        evidence = f"Style {one.style:.4g} at attempt {one.number}{_how(run.direction)}."
        yield _example(judged, STYLE, f"-{one.number}", {"text": one.script, "score": one.style}, (one,), evidence)
    yield from _pairs(judged, list(once.values()), run.direction)


def _find_fault(tried: list[tuple[int, Attempt]], direction: Direction) -> HeldBack | None:
    """Why the scores of a run cannot be used, or None."""
    scored = [(number, one.score or 0) for number, one in tried if not _lack(one)]
    if not scored:
        named = [f"attempt {number}: {_lack(one)}" for number, one in tried[:_N_NAMED]]
        more = f", and {len(tried) - _N_NAMED:,} more" if len(tried) > _N_NAMED else ""
        message = f"No attempt of the run has a style score of its own ({'; '.join(named)}{more})."
        return HeldBack(STYLE, "placeholder_score", message)
    if direction is Direction.UNKNOWN:
        message = (
            "Nobody said whether more or less is better in this run's style scores, and the run does not tell. "
            "Say it for the source."
        )
        return HeldBack(STYLE, "direction_unknown", message)
    beyond = next((number for number, score in scored if not 0 <= score <= 1), None)
    if beyond is None:
        return None
    # One score beyond 0 to 1 says that the others count on another scale, too.
    message = f"The score of attempt {beyond} is not from 0 to 1, so nobody can tell what this run's scores count."
    return HeldBack(STYLE, "score_out_of_range", message)


def _lack(one: Attempt) -> str:
    """Why an attempt has no score of its own, or empty."""
    if one.validity is Validity.PENDING:
        return "not checked yet"
    if one.score is None or one.score != one.score:  # NaN alone differs from itself
        return "none"
    return _NO_SCORE.get(one.placeholder, one.placeholder)


def _scored(number: int, one: Attempt, direction: Direction) -> _Scored:
    logged = float(one.score or 0)
    style = round(1 - logged, _N_DIGITS) if direction is Direction.LOWER else logged
    return _Scored(number, one.script or "", one.validity is Validity.VALID, style)


def _pairs(judged: Judged, scored: list[_Scored], direction: Direction) -> Iterator[Example]:
    """The best script over each of a lower score; of several that are best a valid one, and the first."""
    best = max(scored, key=lambda one: (one.style, one.is_valid))
    for one in scored:
        margin = round(best.style - one.style, _N_DIGITS)
        if margin > 0:
            better, worse = _told_apart(best.style, one.style)
            evidence = (
                f"Same run: style {better} at attempt {best.number}, {worse} at attempt {one.number}{_how(direction)}."
            )
            values: dict[str, Value] = {
                "prompt": "", "chosen": best.script, "rejected": one.script, "margin": margin
            }  # fmt: skip
            yield _example(judged, PAIRS, f"-{one.number}-{best.number}", values, (best, one), evidence)


def _told_apart(better: float, worse: float) -> tuple[str, str]:
    short = (f"{better:.4g}", f"{worse:.4g}")
    return short if short[0] != short[1] else (repr(better), repr(worse))


def _how(direction: Direction) -> str:
    return " (1 less the logged penalty)" if direction is Direction.LOWER else ""


def _example(
    judged: Judged,
    dataset: Dataset,
    suffix: str,
    values: Mapping[str, Value],
    attempts: tuple[_Scored, ...],
    evidence: str,
) -> Example:
    return Example(
        dataset,
        f"{dataset.task}-{dataset.objective}-{judged.digest[:20]}{suffix}",
        values,
        _RECIPE,
        answer=f"attempt {attempts[0].number}",
        places=frozenset(place for one in attempts for place in _places(judged, one)),
        evidence=evidence,
    )


def _places(judged: Judged, one: _Scored) -> Iterator[str]:
    """Where findings about an attempt's script stand: at the patch's own script, too, where it is the same text."""
    yield f"attempt{one.number}"
    if judged.revision is None and one.script.rstrip("\n") == (judged.candidate.script or "").rstrip("\n"):
        yield "script"


# ------------------------------------------------------------------------------------------------ ratings


def _rated(judged: Judged) -> Iterator[Example | HeldBack]:
    rating = judged.rating
    if not isinstance(rating, int) or isinstance(rating, bool) or not 1 <= rating <= _BEST_RATING:
        return
    # The log's own rating was given to the script as it was logged; only a reviewer's can be of the edit.
    is_of_edit = judged.is_edited("script") and rating != judged.candidate.rating
    script = (judged.stands if is_of_edit else judged.candidate).script or ""
    if not script.strip():
        yield _no_script(judged, rating)
        return
    yield Example(
        RATING,
        f"{RATING.task}-{RATING.objective}-{judged.digest[:20]}",
        {"text": script, "score": (rating - 1) / (_BEST_RATING - 1)},
        _RECIPE,
        answer="edited_script" if is_of_edit else "script",
        places=frozenset({"script"}),
        evidence=f"Rated {rating} of {_BEST_RATING}.",
    )


def _no_script(judged: Judged, rating: int) -> HeldBack:
    if judged.candidate.script_hash and judged.candidate.script is None:
        message = f"The patch is rated {rating} of {_BEST_RATING}, but the log holds only a salted hash of its script."
        return HeldBack(RATING, "hash_only", message)
    return HeldBack(RATING, "empty", f"The patch is rated {rating} of {_BEST_RATING}, but the log holds no script.")
