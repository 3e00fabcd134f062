"""Recipes: a candidate and the decision on it → examples of one role. Pure, and versioned.

One file a role, one line in `ROLES`; whatever changes what a recipe yields raises its version.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

from app.candidates import Kind
from app.errors import BadInputError
from app.examples import Dataset, Example, HeldBack
from app.recipes import core_predictor, divot5_refiner, divot5_unifier, llm, retriever, scorer, t5_spec
from app.recipes.judged import Judged, Rival, Stranger
from app.recipes.prompt import Prompts

Gaps = list[tuple[str, str, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Role:
    """One model and what it learns from.

    Attributes:
        name: `llm`, `scorer`, ...
        version: of its recipe.
        datasets: what its recipe yields.
        kinds: the kinds of candidates that it reads.
        make: the recipe.
        gaps: what goes into the gaps of its templates, or None where it has none.
    """

    name: str
    version: int
    datasets: tuple[Dataset, ...]
    kinds: frozenset[Kind]
    make: Callable[[Judged, Prompts], Iterator[Example | HeldBack]]
    gaps: Callable[[Judged], Gaps] | None


def _role(recipe: ModuleType) -> Role:
    return Role(
        recipe.NAME,
        recipe.VERSION,
        recipe.DATASETS,
        recipe.KINDS,
        recipe.make,
        getattr(recipe, "gaps", None),
    )


ROLES: Mapping[str, Role] = {
    recipe.NAME: _role(recipe)
    for recipe in (llm, scorer, t5_spec, divot5_refiner, divot5_unifier, retriever, core_predictor)
}
DATASETS: tuple[Dataset, ...] = tuple(dataset for role in ROLES.values() for dataset in role.datasets)
VERSIONS: Mapping[str, int] = {role.name: role.version for role in ROLES.values()}


def make(judged: Judged, prompts: Prompts) -> Iterator[Example | HeldBack]:
    """Everything that one judged candidate yields, role by role, always in the same order."""
    for role in ROLES.values():
        if judged.candidate.kind in role.kinds:
            yield from role.make(judged, prompts)


def get_dataset(name: str) -> Dataset:
    """The dataset of a name: `"llm/scaffold/sft"`.

    Raises:
        BadInputError: no recipe makes one of this name.

    """
    found = next((one for one in DATASETS if one.name == name), None)
    if found is None:
        known = ", ".join(one.name for one in DATASETS)
        raise BadInputError(f"No dataset is called {name[:80]!r}; there are {known}.", where="field dataset")
    return found


__all__ = ["DATASETS", "ROLES", "VERSIONS", "Judged", "Rival", "Role", "Stranger", "get_dataset", "make"]
