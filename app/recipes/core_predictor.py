"""The `core_predictor` role: what is known of a change before the run → which core's patch was accepted. Pure.

Only counts leave, never text. What a run shows (attempts, scores, the diff's size) would tell the answer.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from app.candidates import Candidate, Kind
from app.examples import Dataset, Example, HeldBack
from app.recipes.judged import Judged
from app.recipes.prompt import Prompts
from app.recipes.wording import is_positive, issue_of, quoted

NAME = "core_predictor"
VERSION = 1

CORE = Dataset(NAME, "core", "classification")
DATASETS = (CORE,)
KINDS = frozenset({Kind.PATCH})

CORES = ("DiffusionCore", "LLMCore")
"""What there is to predict."""

OPERATIONS = (
    "add_function", "extract_method", "rename_variable", "add_decorator", "add_import", "remove_import",
    "change_function_signature", "modify_function_logic", "add_class", "modify_class_structure", "delete_file",
    "create_file", "add_comments", "remove_comments", "refactor_conditional", "optimize_loop",
    "replace_string_literal", "format_code_style", "unknown_operation",
)  # fmt: skip
"""The names that the agent's predictor counts, in its order; any other is counted by `n_operations` alone."""

MOST_COUNTED = 5
"""The agent counts no operation oftener."""


class Feature(NamedTuple):
    """A column of the features, a whole number from 0: `Feature("op_add_import", "Operations named add_import …")`."""

    name: str
    meaning: str


FEATURES = (
    *(Feature(f"op_{name}", f"Operations of the spec named {name}, {MOST_COUNTED} at most.") for name in OPERATIONS),
    Feature("n_operations", "All operations of the spec, whatever their names."),
    Feature("n_target_files", "Files that the spec names."),
    Feature("n_issue_characters", "Characters of the issue's text; 0 where the log holds none."),
    Feature("n_issue_lines", "Lines of the issue's text; 0 where the log holds none."),
)
"""The features of an example, in order; all are known before the run."""

_CORE = re.compile(rf"({'|'.join(CORES)})(?![A-Za-z0-9])")


def make(judged: Judged, prompts: Prompts) -> Iterator[Example | HeldBack]:  # noqa: ARG001  (all recipes are called alike)
    """The features of an accepted or edited patch, and the core that made it.

    `LLMCore_polish_iteration_1` and two operations `add_import` → `{"op_add_import": 2, …}` and `LLMCore`. No finding
    can hold a row back, as no text goes in.
    """
    candidate = judged.candidate
    if candidate.kind not in KINDS or not is_positive(judged):
        return
    core = _CORE.match(candidate.patch_source)
    if core is None:
        message = f"The log calls the patch source {quoted(candidate.patch_source)}, which names no core."
        yield HeldBack(CORE, "core_unknown", message)
        return
    features = features_of(candidate)
    if not any(features.values()):
        message = "The log holds no issue, no operation and no target file, so there is nothing to predict from."
        yield HeldBack(CORE, "empty", message)
        return
    yield Example(
        CORE,
        f"{CORE.task}-{CORE.objective}-{judged.digest[:20]}",
        {"features": features, "core": core[1]},
        f"{NAME}/{VERSION}",
        answer="patch_source",
        evidence=f"The patch source is {quoted(candidate.patch_source)}.",
    )


def features_of(candidate: Candidate) -> dict[str, int]:
    """The values of `FEATURES`, by name and in that order."""
    named = Counter(filter(None, map(name_of, candidate.operations)))
    issue = issue_of(candidate)
    values = (
        *(min(named[name], MOST_COUNTED) for name in OPERATIONS),
        len(candidate.operations),
        len(candidate.target_files),
        len(issue),
        issue.rstrip("\n").count("\n") + 1 if issue else 0,
    )
    return {feature.name: value for feature, value in zip(FEATURES, values, strict=True)}


def name_of(operation: object) -> str:
    """An operation's name: it is one (G1, G2), or an open dict that holds one; empty for anything else."""
    name = operation.get("name") if isinstance(operation, dict) else operation
    return name if isinstance(name, str) else ""
