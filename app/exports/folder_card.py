"""The card of a folder that holds many datasets: for `datasets`, and for a person. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.examples import Split
from app.exports import card
from app.exports.run import Run
from app.exports.shape import Table

_TASKS = {
    "llm": "text-generation",
    "scorer": "text-classification",
    "t5_spec": "text2text-generation",
    "divot5_refiner": "text2text-generation",
    "divot5_unifier": "text2text-generation",
    "retriever": "sentence-similarity",
    "core_predictor": "tabular-classification",
}


@dataclass(frozen=True, slots=True)
class Config:
    """One config of the folder.

    Attributes:
        name: what `load_dataset` asks for: `scaffold_sft_pc`.
        run: the format that wrote it, and what happened on the way.
        facts: what was counted meanwhile.
        table: its columns.
    """

    name: str
    run: Run
    facts: card.Facts
    table: Table

    @property
    def splits(self) -> dict[Split, int]:
        """Rows of each split that has any."""
        return {split: self.facts.files[self.name, split] for split in Split if self.facts.files[self.name, split]}

    @property
    def lengths(self) -> card.Lengths:
        """How long its rows are."""
        return self.facts.lengths_of(self.name)

    @property
    def has_texts(self) -> bool:
        """Whether a length means anything: a predictor reads numbers, and judgements of a search hold names alone."""
        return self.name in self.facts.lengths

    def file_of(self, split: Split) -> str:
        """Where the JSONL of a split lies: a file, or a folder of its own that holds several."""
        several = (self.name, split) in self.facts.shards
        return f"jsonl/{self.name}/{split}" if several else f"jsonl/{self.name}/{split}.jsonl"


def configs_of(run: Run, facts: card.Facts) -> list[Config]:
    """The configs with rows that a run wrote, in the order of its tables."""
    made = (Config(name, run, facts, table) for name, table in run.configs.items())
    return [one for one in made if one.splits]


def write(
    configs: Sequence[Config],
    said: Mapping[str, Any],
    *,
    number: int | None,
    parquet: bool,
    sections: Iterable[str] = (),
) -> str:
    """The text of README.md.

    Args:
        configs: all, the default one first.
        said: the manifest of the release.
        number: of the release, or None where the folder is of none.
        parquet: whether the rows are there as Parquet too.
        sections: further Markdown, each from its heading on.

    """
    warnings = [f"`{config.name}`: {one}" for config in configs for one in config.run.warnings]
    lines = [*_front(configs, parquet), "", *_about(configs, said, number), *card.warned(warnings), *_table(configs)]
    lines += _lengths(configs)
    lines += [*_held(said), *_licences(configs), *_notes(configs)]
    return "\n".join(lines) + "\n" + "".join(f"\n{one.rstrip()}\n" for one in sections)


def _front(configs: Sequence[Config], parquet: bool) -> list[str]:
    """The YAML that `datasets.load_dataset` reads: a split without rows is left out, because an empty file fails.

    All files are of one kind: `datasets` chooses one reader for the whole folder, by the first config's files.
    """
    files = [
        line
        for config in configs
        for line in (
            f"- config_name: {config.name}",
            *(["  default: true"] if config is configs[0] else []),
            "  data_files:",
            *(
                f"  - {{split: {split}, path: {card.path_of(config.facts, config.name, split, parquet=parquet)}}}"
                for split in config.splits
            ),
        )
    ]
    tasks = dict.fromkeys(_TASKS[config.run.dataset.role] for config in configs)
    return [
        "---",
        "license: other",
        "language: [en]",
        "pretty_name: Reviewed patches",
        f"task_categories: [{', '.join(tasks)}]",
        f"size_categories: [{card.size_of(sum(sum(one.splits.values()) for one in configs))}]",
        "tags: [code]",
        "configs:",
        *files,
        "---",
    ]


def _about(configs: Sequence[Config], said: Mapping[str, Any], number: int | None) -> list[str]:
    told = said["candidates"]
    name = said["release"]["name"]
    of = "everything as it stood" if number is None else f"release {number}" + (f", {name}" if name else "")
    return [
        "# Reviewed patches",
        "",
        f"Made of {of}: {told['accepted']:,} accepted, {told['edited']:,} edited and {told['rejected']:,} rejected",
        "candidates of a coding agent's logs, which people reviewed one by one. Texts are as they were logged, or as",
        "the reviewer left them. No prompt holds its answer.",
        "",
        "```python",
        "from datasets import load_dataset",
        f'load_dataset("path/to/this/folder", "{configs[0].name}")',
        "```",
        "",
        *card.CACHED,
        "",
        "`lineage/` leads each row back to its log line, its decision, its recipe and its template; it is never",
        "inside a training file. `held_back.jsonl` lists what was left out and why, `leaks.json` what was found across",
        "splits, `manifest.json` everything that was counted. `python verify.py` checks files, rows and lineage.",
        "",
        str(said["order"]["rule"]),
        "All rows of one issue and of its near-duplicates are in one split. Never train on `benchmark`.",
        "",
    ]


def _table(configs: Sequence[Config]) -> list[str]:
    splits = [split for split in Split if any(split in config.splits for config in configs)]
    rows = [
        f"| `{config.name}` | {config.run.dataset.name} | {', '.join(config.run.form.trainers)} | "
        + " | ".join(f"{config.splits.get(split, 0):,}" for split in splits)
        + " |"
        for config in configs
    ]
    return [
        "## Configs",
        "",
        f"| config | learns | for | {' | '.join(splits)} |",
        "|---|---|---|" + "---|" * len(splits),
        *rows,
        "",
    ]


def _lengths(configs: Sequence[Config]) -> list[str]:
    rows, words = [], []
    for config in configs:
        if config.has_texts:
            words.append(config.lengths.words)
            found = config.lengths
            told = [f"{found.at(share):,}" for share in (0.5, 0.95, 0.99, 1)]
            told += [f"{found.beyond(length):,}" for length in card.DEFAULTS]
            rows.append(f"| `{config.name}` | {' | '.join(told)} | **{found.max_length()}** |")
    lost = " | ".join(f"lost at {length:,}" for length in card.DEFAULTS)
    defaults = ", ".join(f"{length:,} is {who}'s" for length, who in card.DEFAULTS.items())
    return [
        "## Lengths",
        "",
        f"Tokens of prompt and answer together, {', or '.join(dict.fromkeys(words))}. Trainers",
        f"drop or cut longer rows without a word ({defaults} default). Set `max_length` as the last column says.",
        "",
        f"| config | p50 | p95 | p99 | max | {lost} | `max_length` |",
        "|---|---|---|---|---|" + "---|" * len(card.DEFAULTS) + "---|",
        *rows,
        "",
    ]


def _held(said: Mapping[str, Any]) -> list[str]:
    held = [f"| {reason} | {n:,} |" for reason, n in said["held_by_gate"].items()]
    return ["## Held back", "", *card.table("because", "rows", held)] if held else []


def _licences(configs: Sequence[Config]) -> list[str]:
    licences: Counter[str] = Counter()
    for facts in {id(config.facts): config.facts for config in configs}.values():
        licences.update(facts.licences)
    return [
        "## Licences",
        "",
        "The texts belong to the projects that they change. What the sources say of their licence is in",
        "`LICENCES.json`, source by source:",
        "",
        *card.table("licence", "rows", [f"| {name} | {n:,} |" for name, n in sorted(licences.items())]),
    ]


def _notes(configs: Sequence[Config]) -> list[str]:
    forms = {config.run.form.name: config.run.form for config in configs}
    usage = [
        line
        for form in forms.values()
        for line in (f"### {form.name}", "", form.usage, "", *([form.notes, ""] if form.notes else []))
    ]
    return ["## How trainers take them", "", *usage]
