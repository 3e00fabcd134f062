"""The `t5_spec` role: an issue and the project's symbols → the YAML spec, as its T5 model is asked for it. Pure."""

from collections.abc import Iterator

from app.candidates import Kind
from app.examples import Dataset, Example, HeldBack
from app.recipes.judged import Judged
from app.recipes.prompt import Prompts
from app.recipes.wording import is_positive, issue_of

NAME = "t5_spec"
VERSION = 1

SPEC = Dataset(NAME, "spec", "seq2seq")
DATASETS = (SPEC,)
KINDS = frozenset({Kind.SPEC})

_TEMPLATE = "t5_spec"


def gaps(judged: Judged) -> list[tuple[str, str, dict[str, str]]]:
    """What is asked: one prompt, as (title, template, gap → text); a spec of a patch set has no symbols to show."""
    spec = judged.candidate.spec
    if spec is None:
        return []
    return [("Spec", _TEMPLATE, {"issue": issue_of(judged.candidate), "symbols": spec.symbols})]


def make(judged: Judged, prompts: Prompts) -> Iterator[Example | HeldBack]:
    """The accepted or edited spec, its YAML character for character as it stands.

    An issue that the YAML repeats does not give the answer away: the model is to copy it there.
    """
    stands = judged.stands.spec
    if not is_positive(judged) or stands is None:
        return
    for _, name, values in gaps(judged):
        if not stands.yaml.strip():
            yield HeldBack(SPEC, "empty", "The spec is empty, so there is nothing to learn.")
        elif not values["issue"]:
            yield HeldBack(SPEC, "empty", "The log holds no issue, so there is nothing to make a spec of.")
        else:
            yield Example(
                SPEC,
                f"{SPEC.task}-{SPEC.objective}-{judged.digest[:20]}",
                {"source": prompts[name].fill(values), "target": stands.yaml},
                f"{NAME}/{VERSION}",
                (prompts[name].label,),
                "edited_spec" if judged.is_edited("spec") else "spec",
                frozenset({"issue", "symbols", "spec"}),
            )
