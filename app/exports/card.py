"""The card of a dataset folder: what `datasets` needs to load it, and what a person needs to trust it. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.examples import Dataset, Split
from app.exports.shape import Format

CHARACTERS_PER_TOKEN = 3.6
_BUCKET = 8
# The estimate is within 12 % of the tokenizers it was compared with.
_MARGIN = 1.15
# Columns of rows whose texts a model reads apart from each other.
_APART = ("source", "anchor", "sentence1")
# What a chat template adds to a row that was counted exactly.
_TEMPLATE_TOKENS = 64
IDS = frozenset({"id", "_id", "query-id", "corpus-id"})
"""Columns that name a row or a text, and are no text."""
_SHORTEST_MAX_LENGTH = 1024
DEFAULTS = {512: "axolotl", 1024: "TRL", 2048: "LLaMA-Factory"}
"""What trainers cut or drop at where nobody tells them a length, in tokens."""


CACHED = (
    "`datasets` keeps what it has read under the folder's path. Give each release a folder of a new name, or ask with",
    '`download_mode="force_redownload"`; else you may train on the rows of an earlier one.',
)
"""Lines for a card: what happens to who writes another release over this one."""


class Vocabulary(NamedTuple):
    """The `tokenizer.json` of a model: `Vocabulary("qwen.json", "9f…", count)`; `count` gives the tokens of a text."""

    name: str
    digest: str
    count: Callable[[str], int]


class Lengths:
    """How long rows are, in tokens; memory does not grow with them.

    After `add(3600)`, `at(0.5)` is 1000.

    Attributes:
        vocabulary: what the tokens were counted with; without one they are estimated.
    """

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary
        self._buckets: Counter[int] = Counter()

    def add(self, n_characters: int) -> None:
        """Count one row by the characters of its prompt and completion."""
        self._buckets[int(n_characters / (CHARACTERS_PER_TOKEN * _BUCKET))] += 1

    def count(self, texts: Mapping[str, object]) -> None:
        """Count one row by its texts."""
        if self.vocabulary is None:
            self.add(length_of(texts))
        else:
            self._buckets[max(length_of(texts, self.vocabulary.count) - 1, 0) // _BUCKET] += 1

    def at(self, share: float) -> int:
        """Tokens that this share of the rows does not exceed, to the next 8; 0 without rows."""
        left = share * self._buckets.total()
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return (bucket + 1) * _BUCKET
        return 0

    def beyond(self, length: int) -> int:
        """How many rows a trainer would drop or cut at this length, a multiple of 8."""
        return sum(n for bucket, n in self._buckets.items() if bucket * _BUCKET >= length)

    def as_json(self) -> dict[str, object]:
        """`{"characters_per_token": 3.6, "p50": 424, …, "max": 5048, "lost_at": {"512": 12, …}, …}`.

        With a vocabulary `{"tokenizer": "qwen.json", "sha256": "9f…", "p50": 431, …}`.
        """
        exact = self.vocabulary
        return {
            **(
                {"characters_per_token": CHARACTERS_PER_TOKEN}
                if exact is None
                else {"tokenizer": exact.name, "sha256": exact.digest}
            ),
            "p50": self.at(0.5),
            "p95": self.at(0.95),
            "p99": self.at(0.99),
            "max": self.at(1),
            "lost_at": {str(length): self.beyond(length) for length in DEFAULTS},
            "suggested_max_length": self.max_length(),
        }

    def max_length(self) -> int:
        """A power of two that no row reaches, as far as an estimate can say, with room for a chat template's words."""
        longest = self.at(1) * _MARGIN if self.vocabulary is None else self.at(1) + _TEMPLATE_TOKENS
        length = _SHORTEST_MAX_LENGTH
        while length < longest:
            length *= 2
        return length

    @property
    def words(self) -> str:
        """How the tokens were counted, in the middle of a sentence."""
        if self.vocabulary is None:
            return f"estimated at {CHARACTERS_PER_TOKEN} characters a token"
        return f"counted with {self.vocabulary.name}"


@dataclass(slots=True)
class Facts:
    """What the card says; filled while the files are written.

    Attributes:
        config: `scaffold_sft_pc`.
        dataset: what the rows are for.
        release: number and name, or None where the folder is of no release.
        rule: how groups were split, in words.
        recipe: name and version.
        rows: rows a split; a split without rows has no file and is absent.
        files: rows of each config and split.
        shards: config and split → into how many files the JSONL went, where it is more than one.
        licences: licence of a source, or "not stated" → rows from it.
        lengths: of the rows of each config that has texts.
        templates: names and versions in use.
        vocabulary: what tokens are counted with; None where they are estimated.
    """

    config: str
    dataset: Dataset
    release: Mapping[str, object] | None
    rule: str
    recipe: str
    rows: Counter[Split] = field(default_factory=Counter)
    files: Counter[tuple[str, Split]] = field(default_factory=Counter)
    shards: dict[tuple[str, Split], int] = field(default_factory=dict)
    licences: Counter[str] = field(default_factory=Counter)
    lengths: dict[str, Lengths] = field(default_factory=dict)
    templates: set[str] = field(default_factory=set)
    vocabulary: Vocabulary | None = None

    def lengths_of(self, config: str) -> Lengths:
        """How long the rows of a config are; of one without texts nothing is known."""
        return self.lengths.get(config) or Lengths(self.vocabulary)


def length_of(texts: Mapping[str, object], measure: Callable[[str], int] = len) -> int:
    """How long the longest text is that a trainer makes of an example or a row: what must fit its `max_length`.

    Of a pair that is the prompt with the longer answer; of texts that a model reads apart from each other, the longest.
    """
    sizes = {name: measure(text) for name, text in texts.items() if type(text) is str and name not in IDS}
    if "chosen" in sizes:
        return sizes.get("prompt", 0) + max(sizes["chosen"], sizes["rejected"])
    if any(name in sizes for name in _APART):
        return max(sizes.values())
    return sum(sizes.values())


def write(
    facts: Facts,
    form: Format,
    candidates: Mapping[str, int],
    counts: Mapping[str, Any],
    warnings: Sequence[str] = (),
    *,
    parquet: bool = False,
) -> str:
    """The text of README.md.

    Args:
        facts: of the files.
        form: the format of the rows.
        candidates: how many were judged how: `{"accepted": 300, "edited": 84, "rejected": 12}`.
        counts: of the dataset, as a release's manifest has them.
        warnings: what makes training from these rows worth little.
        parquet: whether the rows are there as Parquet too.

    """
    told = [*_front(facts, parquet), "", *_about(facts, form), *warned(warnings), *_counts(facts, candidates, counts)]
    return "\n".join((*told, *_lengths(facts))) + "\n"


def warned(warnings: Sequence[str]) -> list[str]:
    """Lines that nobody who reads the card overlooks; none without a warning."""
    return [f"> **{one}.**\n" for one in warnings]


def path_of(facts: Facts, config: str, split: Split, *, parquet: bool) -> str:
    """Where the rows of a config lie, as a card says it: Parquet, or JSONL in one file or in a folder of several."""
    if parquet:
        return f"data/{config}/{split}-*"
    several = (config, split) in facts.shards
    return f"jsonl/{config}/{split}/*" if several else f"jsonl/{config}/{split}.jsonl"


def _front(facts: Facts, parquet: bool) -> list[str]:
    """The YAML that `datasets.load_dataset` reads: a split without rows is left out, because an empty file fails."""
    files = [
        line
        for config in dict.fromkeys(config for config, _ in facts.files)
        for line in (
            f"- config_name: {config}",
            *(["  default: true"] if config == facts.config else []),
            "  data_files:",
            *(
                f"  - {{split: {split}, path: {path_of(facts, config, split, parquet=parquet)}}}"
                for split in Split
                if facts.files[config, split]
            ),
        )
    ]
    return [
        "---",
        "license: other",
        "language: [en]",
        f"pretty_name: Reviewed patches, {facts.dataset.name}",
        "task_categories: [text-generation]",
        f"size_categories: [{size_of(facts.rows.total())}]",
        "tags: [code]",
        "configs:",
        *files,
        "---",
    ]


def size_of(n: int) -> str:
    """The Hub's word for a number of rows: `size_of(5)` → `"n<1K"`."""
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if n < limit:
            return name
    return "1M<n<10M"


def _about(facts: Facts, form: Format) -> list[str]:
    return [
        "# Reviewed patches",
        "",
        f"Examples for {facts.dataset.name}, made of a coding agent's logs that people reviewed patch by patch. Texts",
        "are as they were logged, or as the reviewer left them. No prompt holds its answer.",
        "",
        "```python",
        "from datasets import load_dataset",
        f'load_dataset("path/to/this/folder", "{facts.config}")',
        "```",
        "",
        *CACHED,
        "",
        form.usage,
        "",
        *([form.notes, ""] if form.notes else []),
        "`lineage/` leads each row back to its log line, its decision, its recipe and its template. `held_back.jsonl`",
        "lists what was left out and why. `SHA256SUMS` covers every file: `sha256sum -c SHA256SUMS`.",
        "",
        "This folder is one dataset in one format, and the lines above say what to set. Scripts that train from it,",
        "files of other trainers and `verify.py` come with all datasets together: `patchsift export --all`, or",
        "*everything* on the page of exports.",
        "",
    ]


def _counts(facts: Facts, candidates: Mapping[str, int], counts: Mapping[str, Any]) -> list[str]:
    rows = [f"| {split} | {facts.rows[split]:,} |" for split in Split if facts.rows[split]]
    held = [f"| {reason} | {n:,} |" for reason, n in sorted(counts["held_by_gate"].items())]
    licences = [f"| {name} | {n:,} |" for name, n in sorted(facts.licences.items())]
    return [
        "## Counts",
        "",
        f"{candidates['accepted']:,} accepted, {candidates['edited']:,} edited and {candidates['rejected']:,} rejected",
        f"candidates gave {facts.rows.total():,} rows; {counts['held']:,} were held back.",
        "",
        *table("split", "rows", rows),
        facts.rule,
        "All rows of one issue and of its near-duplicates are in one split.",
        "",
        *(table("held back because", "rows", held) if held else []),
        "## Licences",
        "",
        "The texts belong to the projects that they change. What the sources say of their licence:",
        "",
        *table("licence", "rows", licences),
    ]


def table(left: str, right: str, rows: list[str]) -> list[str]:
    """A Markdown table of two columns."""
    return [f"| {left} | {right} |", "|---|---|", *rows, ""]


def _lengths(facts: Facts) -> list[str]:
    lengths = facts.lengths_of(facts.config)
    return [
        "## Lengths",
        "",
        f"Prompt and completion together, {lengths.words}: half of the rows",
        f"have at most {lengths.at(0.5):,} tokens, 95 % at most {lengths.at(0.95):,}, 99 % at most",
        f"{lengths.at(0.99):,}, the longest {lengths.at(1):,}.",
        "",
        *table(
            "cut or dropped at", "rows", [f"| {n:,} ({who}) | {lengths.beyond(n):,} |" for n, who in DEFAULTS.items()]
        ),
        f"Set `max_length={lengths.max_length()}` (TRL) or more: trainers drop or cut longer rows without a word,",
        "and TRL's default is 1,024.",
        "",
        "## Made with",
        "",
        f"Recipe {facts.recipe}, templates {', '.join(sorted(facts.templates))}.",
    ]
