"""The `divot5_unifier` role: the fingerprints of many samples → the one profile made of them. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import NoReturn

from app.candidates import Kind
from app.errors import BadInputError
from app.examples import Dataset, Example, HeldBack
from app.recipes.judged import Judged
from app.recipes.prompt import Prompts
from app.recipes.wording import is_positive, one_line

NAME = "divot5_unifier"
VERSION = 1

PROFILE = Dataset(NAME, "style", "seq2seq")
DATASETS = (PROFILE,)
KINDS = frozenset({Kind.STYLE_UNIFY})

_TEMPLATE = "divot5_unifier"
_OF_SAMPLE = ("fingerprint", "file_path", "weight")


def gaps(judged: Judged) -> list[tuple[str, str, dict[str, str]]]:
    """What is asked: one prompt, as (title, template, gap → text).

    Raises:
        BadInputError: JSON cannot say a value of a sample.

    """
    unify = judged.candidate.unify
    if unify is None:
        return []
    samples = one_line([_shown(sample) for sample in unify.samples]) if unify.samples else ""
    return [("Unified profile", _TEMPLATE, {"samples": samples})]


def make(judged: Judged, prompts: Prompts) -> Iterator[Example | HeldBack]:
    r"""The accepted or edited profile, on one line with its keys sorted, so that training sees one form.

    `{"indent_width": 4,\n  "error": null}` → `{"error": null, "indent_width": 4}`
    """
    stands = judged.stands.unify
    if not is_positive(judged) or stands is None:
        return
    if not stands.unified.strip():
        yield HeldBack(PROFILE, "empty", "The unified profile is empty, so there is nothing to learn.")
        return
    try:
        profile = _profile(stands.unified)
    except BadInputError as error:
        yield HeldBack(PROFILE, "unified_not_json", str(error))
        return
    if not profile or not stands.samples:
        what = "unified profile" if stands.samples else "list of samples"
        yield HeldBack(PROFILE, "empty", f"The {what} is empty, so there is nothing to learn.")
        return
    yield from _example(judged, prompts, profile)


def _example(judged: Judged, prompts: Prompts, profile: Mapping[str, object]) -> Iterator[Example | HeldBack]:
    try:
        asked, target = gaps(judged), one_line(profile, sort_keys=True)
    except BadInputError as error:
        yield HeldBack(PROFILE, "unified_not_json", f"The samples or the profile cannot be written out. {error}")
        return
    for _, name, values in asked:
        yield Example(
            PROFILE,
            f"{PROFILE.task}-{PROFILE.objective}-{judged.digest[:20]}",
            {"source": prompts[name].fill(values), "target": target},
            f"{NAME}/{VERSION}",
            (prompts[name].label,),
            "edited_unified" if judged.is_edited("unified") else "unified",
            frozenset({"samples", "unified"}),
        )


def _shown(sample: Mapping[str, object]) -> dict[str, object]:
    """What the agent tells its unifier of a sample, in its order; what a fork adds is not asked at work either."""
    return {key: sample[key] for key in _OF_SAMPLE if key in sample}


def _profile(text: str) -> dict[str, object]:
    try:
        profile = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"The unified profile is not JSON: {str(error)[:200]}.") from error
    if not isinstance(profile, dict):
        raise BadInputError("The unified profile must be a JSON object in braces.")
    return profile


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
