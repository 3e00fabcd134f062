"""The card of a dataset folder: what `datasets` needs to load it, and what a person needs to trust it. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.examples import Example, HeldBack, Split
from app.exports.shape import Format

CHARACTERS_PER_TOKEN = 3.6
_BUCKET = 8
# The estimate is within 12 % of the tokenizers it was compared with.
_MARGIN = 1.15
_SHORTEST_MAX_LENGTH = 1024


class Lengths:
    """How long rows are, in estimated tokens; memory does not grow with them.

    After `add(3600)`, `at(0.5)` is 1000.
    """

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()

    def add(self, n_characters: int) -> None:
        """Count one row by the characters of its prompt and completion."""
        self._buckets[int(n_characters / (CHARACTERS_PER_TOKEN * _BUCKET))] += 1

    def at(self, share: float) -> int:
        """Tokens that this share of the rows does not exceed, to the next 8; 0 without rows."""
        left = share * self._buckets.total()
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return (bucket + 1) * _BUCKET
        return 0

    def max_length(self) -> int:
        """A power of two that no row reaches, as far as an estimate can say."""
        length = _SHORTEST_MAX_LENGTH
        while length < self.at(1) * _MARGIN:
            length *= 2
        return length


@dataclass(slots=True)
class Facts:
    """What the card says; filled while the files are written.

    Attributes:
        config: `scaffold_sft_pc`.
        rows: rows a split; a split without rows has no file and is absent.
        accepted: accepted candidates that the filter found.
        edited: edited candidates that it found.
        held: reason → how many were held back.
        licences: licence of a source, or "not stated" → rows from it.
        lengths: of the rows.
        seed: of the split.
        split_rule: in words.
        recipe: name and version.
        templates: names and versions in use.
    """

    config: str
    accepted: int = 0
    edited: int = 0
    rows: Counter[Split] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    lengths: Lengths = field(default_factory=Lengths)
    seed: int = 0
    split_rule: str = ""
    recipe: str = ""
    templates: set[str] = field(default_factory=set)

    def count(self, licence: str, made: Example | HeldBack) -> None:
        """Count what became of one judged candidate."""
        if isinstance(made, HeldBack):
            self.held[made.reason] += 1
            return
        self.rows[made.split] += 1
        self.licences[licence] += 1
        self.templates.add(made.provenance.template)
        self.lengths.add(len(made.prompt) + len(made.completion))


def write(facts: Facts, form: Format) -> str:
    """The text of README.md."""
    return "\n".join([*_front(facts), "", *_about(facts, form), *_counts(facts), *_lengths(facts)]) + "\n"


def _front(facts: Facts) -> list[str]:
    """The YAML that `datasets.load_dataset` reads: a split without rows is left out, because an empty file fails."""
    files = [
        f"  - {{split: {split}, path: jsonl/{facts.config}/{split}.jsonl}}" for split in Split if facts.rows[split]
    ]
    return [
        "---",
        "license: other",
        "language: [en]",
        "pretty_name: Reviewed patches",
        "task_categories: [text-generation]",
        f"size_categories: [{_size(facts.rows.total())}]",
        "tags: [code]",
        "configs:",
        f"- config_name: {facts.config}",
        "  default: true",
        "  data_files:",
        *files,
        "---",
    ]


def _size(n: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if n < limit:
            return name
    return "1M<n<10M"


def _about(facts: Facts, form: Format) -> list[str]:
    return [
        "# Reviewed patches",
        "",
        "Each row is one patch of a coding agent that a person accepted or edited: the prompt tells the issue, the",
        "target files and the operations; the completion is the LibCST script as it was logged, or the text as the",
        "reviewer left it. No prompt holds its answer.",
        "",
        "```python",
        "from datasets import load_dataset",
        f'load_dataset("path/to/this/folder", "{facts.config}")',
        "```",
        "",
        form.usage,
        "",
        "`lineage/` leads each row back to its log line, its decision, its recipe and its template. `held_back.jsonl`",
        "lists what was left out and why. `SHA256SUMS` covers every file: `sha256sum -c SHA256SUMS`.",
        "",
    ]


def _counts(facts: Facts) -> list[str]:
    rows = [f"| {split} | {facts.rows[split]:,} |" for split in Split if facts.rows[split]]
    held = [f"| {reason} | {n:,} |" for reason, n in sorted(facts.held.items())]
    licences = [f"| {name} | {n:,} |" for name, n in sorted(facts.licences.items())]
    return [
        "## Counts",
        "",
        f"{facts.accepted:,} accepted and {facts.edited:,} edited patches gave {facts.rows.total():,} rows;",
        f"{facts.held.total():,} were held back.",
        "",
        *_table("split", "rows", rows),
        f"Split by {facts.split_rule}. The seed is {facts.seed}.",
        "All rows of one issue are in one split, and a row stays where it is when others are added.",
        "",
        *(_table("held back because", "patches", held) if held else []),
        "## Licences",
        "",
        "The texts belong to the projects that they change. What the sources say of their licence:",
        "",
        *_table("licence", "rows", licences),
    ]


def _table(left: str, right: str, rows: list[str]) -> list[str]:
    return [f"| {left} | {right} |", "|---|---|", *rows, ""]


def _lengths(facts: Facts) -> list[str]:
    lengths = facts.lengths
    return [
        "## Lengths",
        "",
        f"Prompt and completion together, estimated at {CHARACTERS_PER_TOKEN} characters a token: half of the rows",
        f"have at most {lengths.at(0.5):,} tokens, 95 % at most {lengths.at(0.95):,}, the longest {lengths.at(1):,}.",
        "",
        f"Set `max_length={lengths.max_length()}` (TRL) or more: trainers drop or cut longer rows without a word,",
        "and TRL's default is 1,024.",
        "",
        "## Made with",
        "",
        f"Recipe {facts.recipe}, templates {', '.join(sorted(facts.templates))}.",
    ]


def statistics(facts: Facts) -> Mapping[str, object]:
    """The lengths for the manifest: `{"characters_per_token": 3.6, "p50": 424, "p95": 1096, "max": 5048, …}`."""
    lengths = facts.lengths
    return {
        "characters_per_token": CHARACTERS_PER_TOKEN,
        "p50": lengths.at(0.5),
        "p95": lengths.at(0.95),
        "max": lengths.at(1),
        "suggested_max_length": lengths.max_length(),
    }
