"""What a recipe yields, what a gate holds back and what an export writes: the second noun of the pure ring."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

Value = str | bool | float | None | tuple[str, ...] | Mapping[str, int]
"""What a column of an example holds; `bool` for labels, `tuple` for hard negatives, a mapping for features."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sft": ("prompt", "completion"),
    "preference": ("prompt", "chosen", "rejected"),
    "unpaired": ("prompt", "completion", "label"),
    "reward": ("prompt", "chosen", "rejected", "margin"),
    "seq2seq": ("source", "target"),
    "regression": ("text", "score"),
    "contrastive": ("anchor", "positive", "negatives"),
    "classification": ("features", "core"),
}
"""Objective → the columns of its examples, in order, without the id. `margin` may be None; a prompt may be empty."""

QUESTIONS = frozenset({"prompt", "source", "anchor"})
"""Columns that ask; their text comes from a template and the log."""
ANSWERS = frozenset({"completion", "chosen", "rejected", "target", "positive", "text"})
"""Columns that answer; a model learns to write them, or to tell them apart."""


class Split(StrEnum):
    """Where an example goes; decided by its group, so that it never moves. `BENCHMARK` never enters training."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    BENCHMARK = "benchmark"


class Dataset(NamedTuple):
    """What examples are for: `Dataset("llm", "scaffold", "sft")`, written `llm/scaffold/sft`."""

    role: str
    task: str
    objective: str

    @property
    def name(self) -> str:
        """`"llm/scaffold/sft"`."""
        return "/".join(self)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its examples, without the id."""
        return COLUMNS[self.objective]


@dataclass(frozen=True, slots=True)
class Example:
    r"""One curated record of one role, task and objective.

    `Example(Dataset("llm", "scaffold", "sft"), "scaffold-sft-9f…", {"prompt": "…\n", "completion": "import …"}, …)`

    Attributes:
        dataset: what it is for.
        id: stays the same while the texts change: made of the candidate's digest and, where it has several, of what
            tells them apart.
        values: the columns of `dataset.columns`, in that order.
        recipe: name and version of the recipe: `llm/2`.
        templates: names and versions of the prompt templates used: `("repair/1",)`.
        answer: which text the answer is: `script`, `edited_script`, `edited_diff`, `attempt 4`, `edited_spec`.
        places: which texts of the candidate went in, named as findings name their place before the colon: `issue`,
            `target_files`, `operations`, `diff`, `script`, `attempt2`, `trace2`, `phase`, `spec`, `symbols`, `snippet`,
            `draft`, `refined`, `samples`, `unified`. A finding at one of these counts for the example.
        code: the columns that must parse as Python: what a model is to write. Not a rejected or a failing script.
        evidence: of a pair or a label, the sentence that says why: "Same run, same target: failed at attempt 2 with
            NameError, valid at attempt 4."; empty where the decision alone is.
        told: texts of the question that the log's author wrote; when most lines of the answer stand in them, the
            question tells the answer. A script that is to be repaired is none of them.
        may_repeat: True where the whole answer may rightly stand in the question: a draft that needed no change.
    """

    dataset: Dataset
    id: str
    values: Mapping[str, Value]
    recipe: str
    templates: tuple[str, ...] = ()
    answer: str = ""
    places: frozenset[str] = frozenset()
    code: tuple[str, ...] = ()
    evidence: str = ""
    told: tuple[str, ...] = ()
    may_repeat: bool = False

    def text(self, column: str) -> str:
        """The text of a column, empty where it holds none."""
        value = self.values.get(column)
        return value if isinstance(value, str) else ""


class HeldBack(NamedTuple):
    """Why a judged candidate yields no example where one could be expected.

    `HeldBack(Dataset("llm", "scaffold", "sft"), "hash_only", "The log holds only a salted hash of the script.")`
    """

    dataset: Dataset
    gate: str
    message: str


class Hold(NamedTuple):
    """One gate's word on one example: `Hold("secret", "The completion holds an AWS key (line 12).")`."""

    gate: str
    message: str


class Origin(NamedTuple):
    """The way back to bytes: `Origin("success_memory.jsonl", 12, 34567, "9f…")`.

    Attributes:
        source_name: the file's name as it was given.
        line: of the entry, from 1.
        offset_bytes: byte offset of that line in the (unpacked) file.
        digest: SHA-256 hex of the raw entry.
    """

    source_name: str
    line: int
    offset_bytes: int
    digest: str
