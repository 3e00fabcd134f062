"""One folder with every dataset of a release, each in the formats that its trainers take first.

It is written from a release's folder alone, a dataset and a format at a time, in memory that does not grow with the
rows. The same release gives the same bytes.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from app import recipes
from app.errors import BadInputError
from app.examples import Dataset, Split
from app.exports import (
    LEFT_OUT,
    Format,
    Run,
    card,
    croissant,
    folder_card,
    formats_of,
    look,
    serving,
    snippets,
    trainer_files,
)
from app.exports.card import Vocabulary
from app.exports.folder import SHARD_BYTES, Folder, LineFile, Written
from app.exports.folder_card import Config
from app.exports.jsonl import JsonlRows, encode, parse
from app.exports.order import by_digest
from app.exports.parquet import ParquetRows
from app.exports.parquet import require as require_parquet
from app.exports.shape import Made, RowOrder, Table

SCHEMA = 1
PRIMARY = frozenset({
    "sft_pc", "sft_chat", "dpo", "dpo_chat", "kto", "reward", "seq2seq", "style_score", "style_pair", "ret_pair",
    "ret_triplet", "ret_nneg", "ret_score", "ir", "core_predictor",
})  # fmt: skip
"""The formats that are written unless every one is asked for: each trainer finds one of them that it takes as it is."""

_TOLD_EVERY = 100
_NUL = b"\\u0000"
_COPIED = ("held_back.jsonl", "leaks.json")

Row = dict[str, Any]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows are written.

    Attributes:
        every_format: every format of each dataset, not only the primary ones.
        parquet: Parquet beside the JSONL, which is always there.
        shard_bytes: about how long a file of rows may grow before another one is begun.
    """

    every_format: bool = False
    parquet: bool = False
    shard_bytes: int = SHARD_BYTES

    def check(self) -> None:
        """Refuse what cannot be written here.

        Raises:
            BadInputError: a shard of no size.
            UnsupportedError: Parquet without pyarrow.

        """
        if self.shard_bytes < 1:
            raise BadInputError("A file must be allowed to hold something.", where="field shard_bytes")
        if self.parquet:
            require_parquet()


@dataclass(slots=True)
class Contents:
    """What was written, and what was not: a dataset of which a format can say nothing has no file."""

    configs: list[Config] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    licences: dict[str, set[str]] = field(default_factory=dict)


def write(
    release: Path,
    said: Mapping[str, Any],
    target: Path,
    layout: Layout,
    *,
    number: int | None,
    vocabularies: Mapping[str, Vocabulary] | None = None,
    progress: Progress | None = None,
) -> list[Config]:
    """Write the folder; it appears whole or not at all.

    Args:
        release: the folder of the release.
        said: its manifest.
        target: the folder to make, which must be absent or empty.
        layout: how.
        number: of the release, or None where it was made for the purpose and has none.
        vocabularies: role → what its tokens are counted with; elsewhere they are estimated.
        progress: called with (done, total) examples; it may raise to stop.

    Returns:
        What `load_dataset` finds, the default config first.

    Raises:
        BadInputError: no row is left, or `target` is not empty.
        NotStoredError: the disk is full or read-only.

    """
    layout.check()
    with Folder(target) as folder:
        contents = _write_rows(release, said, folder, layout, number, vocabularies or {}, progress)
        if not contents.configs:
            told = ", ".join(f"{gate} {n:,}" for gate, n in said["held_by_gate"].items()) or "nothing was held back"
            raise BadInputError(f"There is no row that any format could say: {told}.", code="nothing_to_export")
        _copy(release, said, folder)
        _describe(release, folder, contents, said, layout, number)
    return contents.configs


def _write_rows(
    release: Path,
    said: Mapping[str, Any],
    folder: Folder,
    layout: Layout,
    number: int | None,
    vocabularies: Mapping[str, Vocabulary],
    progress: Progress | None,
) -> Contents:
    contents, done = Contents(), 0
    parts = list(_parts(said, layout))
    total = sum(sum(counts["splits"].values()) for _, _, counts in parts)
    for dataset, form, counts in parts:
        splits = [Split(one) for one in counts["splits"]]
        run = Run(form, dataset, look(form, read_sources(release, dataset, splits) if form.prepare else ()))
        facts = card.Facts(
            config=form.config(dataset),
            dataset=dataset,
            release=None if number is None else said["release"],
            rule=said["order"]["rule"],
            recipe=f"{dataset.role}/{said['recipes'][dataset.role]}",
            vocabulary=vocabularies.get(dataset.role),
        )
        files = Files(folder, run, facts, layout)
        for split in splits:
            for entry in read_rows(release, dataset, split, form.order):
                files.add(split, entry)
                done += 1
                if progress is not None and not done % _TOLD_EVERY:
                    progress(done, total)
                for origin in entry.way["origins"]:
                    contents.licences.setdefault(entry.way["licence"], set()).add(origin["source"])
        files.close()
        contents.runs.append(run)
        contents.configs += folder_card.configs_of(run, facts)
    return contents


def _parts(said: Mapping[str, Any], layout: Layout) -> Iterator[tuple[Dataset, Format, Mapping[str, Any]]]:
    counted: dict[tuple[str, ...], Any] = {
        (one["role"], one["task"], one["objective"]): one for one in said["datasets"]
    }
    for dataset in recipes.DATASETS:
        counts = counted.get(tuple(dataset))
        if counts is not None and counts["rows"]:
            for form in formats_of(dataset):
                if layout.every_format or form.name in PRIMARY:
                    yield dataset, form, counts


@dataclass(slots=True)
class _Rows:
    """Where the rows of one config and split go, and what is counted of them."""

    config: str
    split: Split
    jsonl: JsonlRows
    parquet: ParquetRows | None
    lineage: LineFile
    lengths: card.Lengths | None
    has_ids: bool
    n_rows: int = 0


class Files:
    """The files of one dataset in one format: JSONL, Parquet where it is wanted, and a line of lineage for each row.

        files = Files(folder, run, facts, layout)
        for entry in read_rows(release, dataset, split, form.order):
            files.add(split, entry)
        files.close()

    Args:
        folder: in the making.
        run: the format at work.
        facts: filled with what the card says.
        layout: how rows are written.
        is_alone: whether the folder holds nothing else, so that lineage need not say of which config it is.

    """

    def __init__(self, folder: Folder, run: Run, facts: card.Facts, layout: Layout, *, is_alone: bool = False) -> None:
        self._folder, self._run, self._facts, self._layout = folder, run, facts, layout
        self._is_alone = is_alone and len(run.tables) == 1
        self._rows: dict[tuple[str, Split], _Rows] = {}
        self._templates: list[str] = []
        # A row of these is a part of its example; elsewhere its texts are those of the example, whatever their shape.
        self._measures_rows = run.dataset.objective == "contrastive"

    def add(self, split: Split, entry: "Entry") -> None:
        """Write the rows of one example, and for each a line of lineage at the same place of its file.

        Where rows have no id of their own, or an example has several, the line says the row's number, counted from 0.
        """
        # What was parsed holds half a character never, and a NUL only where the line has its escape.
        for made in self._run.rows(entry.example, split, is_safe=_NUL not in entry.line):
            rows = self._rows.get((made.table, made.split)) or self._open(made)
            # The same columns in the same order are the same bytes.
            same = made.row == entry.example and (*made.row,) == (*entry.example,)
            line = entry.line if same else encode(made.row)
            rows.jsonl.add(line)
            if rows.parquet is not None:
                rows.parquet.add(made.row, len(line))
            rows.lineage.add(entry.way_line if rows.has_ids else encode({"row": rows.n_rows} | entry.way))
            self._count(made, entry, rows)

    def _open(self, made: Made) -> _Rows:
        config, table = self._run.form.config(self._run.dataset, made.table), self._run.tables[made.table]
        place = f"{config}/{made.split}"
        parquet = None
        if self._layout.parquet:
            parquet = ParquetRows(self._folder, f"data/{place}", table.columns, self._layout.shard_bytes)
        opened = self._rows[made.table, made.split] = _Rows(
            config,
            made.split,
            JsonlRows(self._folder, f"jsonl/{config}", made.split, self._layout.shard_bytes),
            parquet,
            self._folder.file(f"lineage/{made.split if self._is_alone else place}.jsonl"),
            self._facts.lengths.setdefault(config, self._facts.lengths_of(config)) if self._has_texts(table) else None,
            "id" in table.names,
        )
        return opened

    def _has_texts(self, table: Table) -> bool:
        """Whether a length means anything: a predictor reads numbers, and judgements of a search hold names alone."""
        return self._run.dataset.objective != "classification" and not set(table.names) <= card.IDS | {"score"}

    def _count(self, made: Made, entry: "Entry", rows: _Rows) -> None:
        """Count a row with its lineage."""
        rows.n_rows += 1
        self._facts.licences[entry.way["licence"]] += 1
        if entry.way["templates"] != self._templates:  # nearly always those of the row before
            self._templates = entry.way["templates"]
            self._facts.templates.update(self._templates)
        if rows.lengths is not None:
            rows.lengths.count(made.row if self._measures_rows else entry.example)

    def close(self) -> None:
        """Give every file its name, and tell how many rows each has."""
        for rows in self._rows.values():
            self._facts.files[rows.config, rows.split] = rows.n_rows
            self._facts.rows[rows.split] += rows.n_rows
            n = rows.jsonl.close()
            if n > 1:
                self._facts.shards[rows.config, rows.split] = n
            if rows.parquet is not None:
                rows.parquet.close()
        self._folder.close_files()


# ------------------------------------------------------------------------------------------------ a release's rows


def read_sources(release: Path, dataset: Dataset, splits: list[Split]) -> Iterator[tuple[Row, Split]]:
    """Every example of these splits, as they stand in a release's folder."""
    for split in splits:
        with release.joinpath("examples", *dataset, f"{split}.jsonl").open("rb") as rows:
            for row in rows:
                yield parse(row), split


class Entry(NamedTuple):
    """An example of a release and its lineage, and the lines that they stand in."""

    example: Row
    way: Row
    line: bytes
    way_line: bytes


def read_rows(release: Path, dataset: Dataset, split: Split, order: RowOrder) -> Iterator[Entry]:
    """Each example of a split with its lineage, in the order that a format asks for."""
    place = (*dataset, f"{split}.jsonl")
    with (
        release.joinpath("examples", *place).open("rb") as rows,
        release.joinpath("lineage", *place).open("rb") as ways,
    ):
        if order is RowOrder.RELEASE:
            for line, way_line in zip(rows, ways, strict=True):
                yield Entry(parse(line), parse(way_line), line, way_line)
            return
        for at, way_at in by_digest(_places(rows, ways)):
            rows.seek(at)
            ways.seek(way_at)
            line, way_line = rows.readline(), ways.readline()
            yield Entry(parse(line), parse(way_line), line, way_line)


def _places(rows: BinaryIO, ways: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """The id of each row, and at which byte it and its lineage begin."""
    at = way_at = 0
    for row, way in zip(rows, ways, strict=True):
        yield parse(way)["id"], at, way_at
        at += len(row)
        way_at += len(way)


# ------------------------------------------------------------------------------------------------ beside the rows


def _copy(release: Path, said: Mapping[str, Any], folder: Folder) -> None:
    """What a release says of itself goes along as it is: what was held back, leaks, templates, its manifest."""
    places = [*_COPIED, *(one["path"] for one in said["templates"])]
    for name, place in (*((one, one) for one in places), ("release.json", "manifest.json")):
        with (release / place).open("rb") as lines:
            copied = folder.file(name)
            for line in lines:
                copied.add(line)


def _describe(
    release: Path, folder: Folder, contents: Contents, said: Mapping[str, Any], layout: Layout, number: int | None
) -> None:
    configs = contents.configs
    beside = {name: text for config in configs for name, text in config.run.form.beside.items()}
    scripts, told_by_file = snippets.write(configs), trainer_files.write(configs)
    texts = {one["label"]: (release / one["path"]).read_text(encoding="utf-8") for one in said["templates"]}
    beside |= scripts | told_by_file
    beside["verify.py"] = files("app.exports").joinpath("verify_folder.py").read_text(encoding="utf-8")
    beside[serving.GGUF] = serving.gguf(configs)
    beside[serving.PROMPT_TEMPLATE] = serving.prompt_template(configs, said["templates"], texts)
    for name, text in beside.items():
        folder.add_text(name, text)
    licences = {name: sorted(sources) for name, sources in sorted(contents.licences.items())}
    folder.add_text("LICENCES.json", _pretty(licences))
    sections = (snippets.section(scripts), trainer_files.section(configs, told_by_file))
    text = folder_card.write(configs, said, number=number, parquet=layout.parquet, sections=sections)
    folder.add_text("README.md", text)
    folder.add_text(croissant.NAME, _croissant(contents, said, number, folder.close_files()))
    folder.add_text("manifest.json", _pretty(_manifest(contents, said, number, folder.close_files())))


def _croissant(contents: Contents, said: Mapping[str, Any], number: int | None, files: list[Written]) -> str:
    """Dated by the newest decision in it, so that the same release gives the same bytes."""
    return croissant.write(
        contents.configs,
        files,
        sorted(contents.licences),
        "reviewed-patches" if number is None else f"reviewed-patches-{number}",
        version=f"{number or 0}.0.0",
        made=str(said["decisions"]["as_of"] or "")[:10],
    )


def _manifest(
    contents: Contents, said: Mapping[str, Any], number: int | None, files: list[Written]
) -> dict[str, object]:
    """What the folder holds and what it was made from; examples that came in are rows, or left out with a reason."""
    return {
        "schema": SCHEMA,
        "kind": "dataset folder",
        "program": said["program"],
        "release": None if number is None else said["release"],
        **{name: said[name] for name in ("order", "decisions", "rulings", "checks", "recipes", "candidates")},
        "configs": [_config(one) for one in contents.configs],
        "without_rows": [_without(run) for run in contents.runs if all(one.run is not run for one in contents.configs)],
        **{name: said[name] for name in ("datasets", "held_by_gate", "licences", "leaks")},
        "files": [
            {"path": one.path, "sha256": one.digest, "bytes": one.n_bytes}
            | ({"rows": one.n_rows} if one.path.endswith((".jsonl", ".parquet")) else {})
            for one in files
        ],
    }


def _config(config: Config) -> dict[str, object]:
    run = config.run
    return {
        "config": config.name,
        **run.dataset._asdict(),
        "format": run.form.alias,
        "columns": {column.name: str(column.kind) for column in config.table.columns},
        "rows": sum(config.splits.values()),
        "splits": {str(split): n for split, n in config.splits.items()},
        "left_out": dict(run.left_out),
        "repeated": run.repeated[config.name],
        "made_safe": {"examples": run.n_safe_rows, "characters": run.n_safe_characters},
        "templates": sorted(config.facts.templates),
        "tokens": config.lengths.as_json() if config.has_texts else None,
        **labels_of(run),
    }


def labels_of(run: Run) -> dict[str, object]:
    """`{"labels": {"train": {"good": 30, "bad": 12}}, "warnings": []}`; empty where rows have no labels."""
    if not run.labels:
        return {}
    splits = [split for split in Split if run.labels[split, True] or run.labels[split, False]]
    labels = {str(one): {"good": run.labels[one, True], "bad": run.labels[one, False]} for one in splits}
    return {"labels": labels, "warnings": run.warnings}


def _without(run: Run) -> dict[str, object]:
    """`{"config": "reward_margin", "left_out": {"no_margin": 12}, "why": ["Nobody knows how much …"]}`."""
    return {
        "config": run.form.config(run.dataset),
        **run.dataset._asdict(),
        "format": run.form.alias,
        "left_out": dict(run.left_out),
        "why": [LEFT_OUT[reason] for reason in run.left_out],
    }


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
