"""Recipes: a candidate and the decision on it → examples of one role, task and objective. Pure, and versioned.

A new recipe is one function and one line in `RECIPES`; whatever changes what a recipe yields raises its version.
"""

from collections.abc import Callable, Mapping

from app.examples import Example, HeldBack
from app.recipes import llm
from app.recipes.judged import Judged

Recipe = Callable[[Judged, int], Example | HeldBack]

RECIPES: Mapping[tuple[str, str, str], Recipe] = {
    ("llm", "scaffold", "sft"): llm.scaffold_sft,
}
"""By role, task and objective. The second argument of a recipe is the seed of the split."""

__all__ = ["RECIPES", "Judged", "Recipe"]
