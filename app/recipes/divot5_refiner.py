"""The `divot5_refiner` role: a code sample and its draft fingerprint → the refined fingerprint. Pure."""

from collections.abc import Iterator, Mapping

from app.candidates import Kind
from app.errors import BadInputError
from app.examples import Dataset, Example, HeldBack
from app.recipes.judged import Judged
from app.recipes.prompt import Prompts
from app.recipes.wording import is_positive, one_line

NAME = "divot5_refiner"
VERSION = 1

REFINED = Dataset(NAME, "style", "seq2seq")
DATASETS = (REFINED,)
KINDS = frozenset({Kind.STYLE_REFINE})

_TEMPLATE = "divot5_refiner"


def gaps(judged: Judged) -> list[tuple[str, str, dict[str, str]]]:
    """What is asked: one prompt, as (title, template, gap → text).

    Raises:
        BadInputError: JSON cannot say a value of the draft.

    """
    refine = judged.candidate.refine
    if refine is None:
        return []
    return [("Refined fingerprint", _TEMPLATE, {"snippet": refine.snippet, "draft": _pairs(refine.draft)})]


def make(judged: Judged, prompts: Prompts) -> Iterator[Example | HeldBack]:
    """The accepted or edited fingerprint, character by character; a draft that needed no change is its own."""
    stands = judged.stands.refine
    if not is_positive(judged) or stands is None:
        return
    if not stands.refined.strip():
        yield HeldBack(REFINED, "empty", "The refined fingerprint is empty, so there is nothing to learn.")
        return
    if not stands.snippet.strip():
        yield HeldBack(REFINED, "empty", "The code sample is empty, so there is nothing to tell a style from.")
        return
    try:
        asked = gaps(judged)
    except BadInputError as error:
        yield HeldBack(REFINED, "draft_unreadable", f"The draft fingerprint cannot be written out. {error}")
        return
    for _, name, values in asked:
        yield Example(
            REFINED,
            f"{REFINED.task}-{REFINED.objective}-{judged.digest[:20]}",
            {"source": prompts[name].fill(values), "target": stands.refined},
            f"{NAME}/{VERSION}",
            (prompts[name].label,),
            "edited_refined" if judged.is_edited("refined") else "refined",
            frozenset({"snippet", "draft", "refined"}),
            may_repeat=True,
        )


def _pairs(draft: Mapping[str, object]) -> str:
    """The draft as the agent writes it into its prompt: `{"indent": 4, "error": None}` → `'"indent": 4'`."""
    return ", ".join(
        f"{one_line(str(key))}: {one_line(value)}"
        for key, value in draft.items()
        if value is not None and key != "error"
    )
