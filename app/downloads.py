"""What is downloaded: one dataset, of a release or as everything stands now, as a folder that a trainer loads.

The rows come from a release's folder. Where no release is named, one is made of today's decisions for the purpose, with
that dataset alone, and thrown away again: it has no number and the ledger of splits does not learn of it.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlmodel import Session

from app import dataset_folder, freeze, projects, recipes, releases
from app.dataset_folder import Files, Layout, labels_of, read_rows, read_sources
from app.db import Database
from app.errors import BadInputError, NotFoundError, UnsupportedError
from app.examples import Dataset, Split
from app.exports import LEFT_OUT, Run, card, formats_of, get_format, look
from app.exports.card import Vocabulary
from app.exports.folder import Folder, Written, refuse_target
from app.exports.jsonl import encode
from app.freeze import Facts, Progress
from app.projects import FileKind
from app.queue import Filter
from app.releases import Spec
from app.settings import Settings
from app.splits import Plan
from app.tokens import parse_budget

_PREVIEWED = 500


# ------------------------------------------------------------------------------------------------ what is asked for


@dataclass(frozen=True, slots=True)
class Order:
    """What to export, and how.

    `Order("llm", "scaffold", "sft", "prompt-completion", Filter(source="Unknown"), seed=7)`

    Attributes:
        role: the model that the examples are for.
        task: what it learns.
        objective: how it is trained.
        format: a format's name or alias.
        filter: which candidates, where no release is named; its status may be empty, `accepted`, `edited`, `rejected`.
        seed: deals the groups to the splits, where no release is named; None for the project's.
        release: `"3"`, `"latest"`, or empty for everything as it stands now.
    """

    role: str = "llm"
    task: str = "scaffold"
    objective: str = "sft"
    format: str = "prompt-completion"
    filter: Filter = field(default_factory=Filter)
    seed: int | None = None
    release: str = ""

    @classmethod
    def parse(cls, query: Mapping[str, object]) -> "Order":
        """The order that a form, a query string or a job's arguments say; what is absent has its default.

        Raises:
            BadInputError: no such recipe or format, a filter or seed that cannot be; `where` names the field.

        """
        wanted = query.get("filter")
        texts = {key: str(value) for key, value in (wanted if isinstance(wanted, Mapping) else query).items()}
        named = {
            name: str(query[name]) for name in ("role", "task", "objective", "format", "release") if query.get(name)
        }
        made = cls(**named, filter=Filter.parse(texts), seed=_seed(query.get("seed")))
        made.check()
        return made

    def check(self) -> None:
        """Refuse what cannot be exported.

        Raises:
            BadInputError: no such dataset or format, a status that is never exported, or a release and a filter.

        """
        if not get_format(self.format).serves(self.dataset):
            known = ", ".join(one.alias for one in formats_of(self.dataset))
            raise BadInputError(
                f"{self.format} cannot hold {self.role} {self.task} {self.objective} examples; there are {known}.",
                where="field format",
            )
        if self.release and (self.filter != Filter() or self.seed is not None):
            raise BadInputError(
                "A release has its filter and its seed already. Leave them out, or leave out the release.",
                where="field release",
            )
        if self.filter.status not in {"", "accepted", "edited", "rejected"}:
            raise BadInputError(
                f"Only accepted, edited and rejected patches are exported, and the filter asks for "
                f"{self.filter.status} ones. Clear the status.",
                where="field status",
            )

    def check_with(self, layout: Layout) -> None:
        """Refuse what cannot be exported so.

        Raises:
            BadInputError: as `check`, or Parquet of a format that nobody takes as Parquet.
            UnsupportedError: Parquet without pyarrow.

        """
        self.check()
        layout.check()
        if layout.parquet and get_format(self.format).jsonl_only:
            raise BadInputError(
                f"{self.format} is for readers of JSON Lines alone. Leave out Parquet.", where="field parquet"
            )

    @property
    def dataset(self) -> Dataset:
        """What is exported.

        Raises:
            BadInputError: no recipe makes it.

        """
        asked = Dataset(self.role, self.task, self.objective)
        if asked not in recipes.DATASETS:
            known = "; ".join(" ".join(one) for one in recipes.DATASETS)
            said = " ".join(asked)[:80]
            raise BadInputError(f"Nothing is exported as {said!r}; there is {known}.", where="field role")
        return asked

    @property
    def config(self) -> str:
        """The name that a loader asks for: `scaffold_sft_pc`; of a format with several files, the first file's."""
        return self.configs[0]

    @property
    def configs(self) -> tuple[str, ...]:
        """The names of all that is written: one, but of `beir` `("ir_corpus", "ir_queries", "ir_qrels")`."""
        return tuple(Run(get_format(self.format), self.dataset).configs)

    def as_json(self) -> dict[str, object]:
        """What `parse` reads back."""
        return {
            "role": self.role,
            "task": self.task,
            "objective": self.objective,
            "format": self.format,
            "filter": self.filter.query(),
            "seed": self.seed,
            "release": self.release,
        }

    @property
    def spec(self) -> Spec:
        """The release that is made for the purpose where none is named."""
        return Spec("", self.filter, {} if self.seed is None else {"split": {"seed": self.seed}})


def _seed(value: object) -> int | None:
    return None if value in (None, "") else Plan.parse({"seed": value}).seed


# ------------------------------------------------------------------------------------------------ counting


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would give.

    Attributes:
        accepted: accepted candidates looked at.
        edited: edited candidates looked at.
        rows: rows a split.
        held: gate → rows.
        whole: False when only the first 500 candidates were looked at.
    """

    accepted: int
    edited: int
    rows: Mapping[Split, int]
    held: Mapping[str, int]
    whole: bool

    @property
    def n_rows(self) -> int:
        """Rows in all splits."""
        return sum(self.rows.values())


def preview(
    session: Session, settings: Settings, project_id: int, order: Order, *, everything: bool = False
) -> Preview:
    """What an order would give: counted in the release that it names, or found by making it.

    Args:
        session: the database.
        settings: where releases lie.
        project_id: whose candidates.
        order: which dataset, of which release or of which candidates.
        everything: all datasets together; that of the order says nothing.

    Raises:
        BadInputError: the order cannot be carried out.
        NotFoundError: no such release.

    """
    order.check()
    wanted = recipes.DATASETS if everything else (order.dataset,)
    rows: Counter[Split] = Counter()
    held: Counter[str] = Counter()
    if order.release:
        row = releases.get_trainable(session, project_id, order.release)
        said = releases.read_manifest(releases.get_folder(settings, row))
        for counts in (_counts_of(said, one) for one in wanted):
            rows.update({Split(split): n for split, n in counts["splits"].items()})
            held.update(counts["held_by_gate"])
        told = said["candidates"]
        return Preview(told["accepted"], told["edited"], rows, held, whole=True)
    facts, whole = _facts(session, project_id, order, frozenset(wanted))
    for made in (facts.of(one) for one in wanted):
        rows.update(made.splits)
        held.update(made.held_by_gate)
    told = facts.candidates
    return Preview(told["accepted"], told["edited"], rows, held, whole=whole)


def _counts_of(manifest: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    for counts in manifest["datasets"]:
        if (counts["role"], counts["task"], counts["objective"]) == tuple(dataset):
            return dict(counts)
    return {"rows": 0, "splits": {}, "held": 0, "held_by_gate": {}, "passed_by_gate": {}}


def _facts(session: Session, project_id: int, order: Order, datasets: frozenset[Dataset]) -> tuple[Facts, bool]:
    asked = replace(releases.asked_for(session, project_id, order.spec), datasets=datasets)
    guard = projects.read_guard(session, project_id, asked.settings)
    counters = projects.counters(session, project_id, asked.settings)
    facts = Facts()
    for _ in freeze.settle(session, project_id, asked, guard, counters, facts, most=_PREVIEWED):
        pass
    return facts, len(freeze.list_ids(session, project_id, asked.filter, _PREVIEWED + 1)) <= _PREVIEWED


def first_format(role: str, task: str, objective: str) -> str:
    """The format that is meant where none is named.

    Raises:
        BadInputError: no format holds examples of this role and objective.

    """
    found = formats_of(Dataset(role, task, objective))
    if not found:
        raise BadInputError(f"No format holds {f'{role} {objective}'[:80]!r} examples.", where="field objective")
    return found[0].alias


def list_exports(session: Session, settings: Settings, project_id: int, release: str = "") -> list[dict[str, object]]:
    """Everything that can be exported: `[{"role": "llm", "task": "scaffold", …, "formats": […], "n_rows": 381}]`.

    Without a release the rows are counted in the first 500 judged candidates, and `whole` says whether these are all.
    """
    if release:
        row = releases.get_release(session, project_id, release)
        said = releases.read_manifest(releases.get_folder(settings, row))
        n_rows = {one: _counts_of(said, one)["rows"] for one in recipes.DATASETS}
        whole = True
    else:
        facts, whole = _facts(session, project_id, Order(), frozenset(recipes.DATASETS))
        n_rows = {one: facts.datasets[one].rows if one in facts.datasets else 0 for one in recipes.DATASETS}
    return [
        {
            **one._asdict(),
            "formats": [form.alias for form in formats_of(one)],
            "n_rows": n_rows[one],
            "whole": whole,
        }
        for one in recipes.DATASETS
    ]


# ------------------------------------------------------------------------------------------------ building


@dataclass(frozen=True, slots=True)
class Summary:
    """What a build wrote: `Summary(Path("out"), 381, {"train": 305, …}, 300, 84, {"hash_only": 3})`."""

    folder: Path
    rows: int
    splits: Mapping[str, int]
    accepted: int
    edited: int
    held: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def as_json(self) -> dict[str, object]:
        """The shape of `patchsift export --json`."""
        counts = {"splits": dict(self.splits), "held": dict(self.held), "left_out": dict(self.left_out)}
        return asdict(self) | {"folder": str(self.folder), "warnings": [*self.warnings]} | counts

    def sentence(self) -> str:
        """`"381 rows (305 train, 38 validation, 38 test) in out; 3 held back (3 hash_only)"`."""
        splits = ", ".join(f"{n:,} {split}" for split, n in self.splits.items())
        held = ", ".join(f"{n:,} {reason}" for reason, n in self.held.items())
        held = f"; held back: {held}" if held else ""
        unsaid = ", ".join(f"{n:,} {reason}" for reason, n in self.left_out.items())
        told = f"{self.rows:,} rows ({splits}) in {self.folder}{held}{f'; left out: {unsaid}' if unsaid else ''}"
        return ". ".join((told, *self.warnings))


@dataclass(frozen=True, slots=True)
class Whole:
    """What `build_all` wrote: `Whole(Path("out"), {"scaffold_sft_pc": {"train": 305, …}, …})`."""

    folder: Path
    configs: Mapping[str, Mapping[str, int]]
    warnings: Sequence[str] = ()

    def as_json(self) -> dict[str, object]:
        """The shape of `patchsift export --all --json`."""
        configs = {name: dict(splits) for name, splits in self.configs.items()}
        return {"folder": str(self.folder), "configs": configs, "warnings": [*self.warnings]}

    def sentence(self) -> str:
        """`"25 configs with 1,872 rows in out"`."""
        n_rows = sum(sum(splits.values()) for splits in self.configs.values())
        return ". ".join((f"{len(self.configs)} configs with {n_rows:,} rows in {self.folder}", *self.warnings))


def build(
    db: Database,
    settings: Settings,
    project_id: int,
    order: Order,
    out_dir: Path,
    layout: Layout | None = None,
    *,
    progress: Progress | None = None,
) -> Summary:
    """Write a dataset folder: rows a split, lineage, what was held back, card, manifest, checksums.

    It appears whole or not at all.

    Args:
        db: the database; it is read in one snapshot.
        settings: where releases lie.
        project_id: whose candidates.
        order: what to write.
        out_dir: the folder, which must be absent or empty.
        layout: whether Parquet too, and how long a file may grow.
        progress: called with (done, total); it may raise to stop.

    Raises:
        BadInputError: the order cannot be carried out, nothing is to be exported, or `out_dir` is not empty.
        NotFoundError: no such release.
        NotStoredError: the disk is full or read-only.
        UnsupportedError: Parquet is wanted and pyarrow is not installed.

    """
    layout = layout or Layout()
    order.check_with(layout)
    refuse_target(out_dir)
    with _released(db, settings, project_id, order, frozenset({order.dataset}), out_dir, progress) as (release, _):
        said = releases.read_manifest(release)
        with db.read() as session:
            counted = _vocabularies(session, project_id, said).get(order.role)
        return _write(release, said, order, out_dir, layout, counted, progress if order.release else None)


def build_all(
    db: Database,
    settings: Settings,
    project_id: int,
    order: Order,
    out_dir: Path,
    layout: Layout | None = None,
    *,
    progress: Progress | None = None,
) -> Whole:
    """Write one folder with every dataset that has rows, each in the formats that its trainers take first.

    It appears whole or not at all.

    Args:
        db: the database; it is read in one snapshot.
        settings: where releases lie.
        project_id: whose candidates.
        order: which release, or which candidates and seed; its dataset and format say nothing here.
        out_dir: the folder, which must be absent or empty.
        layout: which formats, and whether Parquet too.
        progress: called with (done, total); it may raise to stop.

    Raises:
        BadInputError: nothing is to be exported, or `out_dir` is not empty.
        NotFoundError: no such release.
        NotStoredError: the disk is full or read-only.
        UnsupportedError: Parquet is wanted and pyarrow is not installed.

    """
    layout = layout or Layout()
    layout.check()
    order.check()
    refuse_target(out_dir)
    datasets = frozenset(recipes.DATASETS)
    with _released(db, settings, project_id, order, datasets, out_dir, progress) as (place, number):
        said = releases.read_manifest(place)
        with db.read() as session:
            counted = _vocabularies(session, project_id, said)
        configs = dataset_folder.write(
            place, said, out_dir, layout, number=number, vocabularies=counted, progress=progress
        )
    warnings = [f"{one.name}: {warning}" for one in configs for warning in one.run.warnings]
    return Whole(out_dir, {one.name: {str(split): n for split, n in one.splits.items()} for one in configs}, warnings)


@contextmanager
def _released(
    db: Database,
    settings: Settings,
    project_id: int,
    order: Order,
    datasets: frozenset[Dataset],
    out_dir: Path,
    progress: Progress | None,
) -> Iterator[tuple[Path, int | None]]:
    """The folder and the number of the release that an order names; else of one that is made now and thrown away."""
    if order.release:
        with db.read() as session:
            row = releases.get_trainable(session, project_id, order.release)
        yield releases.get_folder(settings, row), row.number
        return
    out_dir.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".tmp-{out_dir.name[:100]}-", dir=out_dir.absolute().parent) as place:
        draft = Path(place) / "draft"
        with db.scan() as session, Folder(draft) as folder:
            asked = replace(releases.asked_for(session, project_id, order.spec), datasets=datasets)
            guard = projects.read_guard(session, project_id, asked.settings)
            counters = projects.counters(session, project_id, asked.settings)
            facts = freeze.build(session, project_id, asked, guard, counters, folder, progress=progress)
            if not facts.rows:
                raise BadInputError(releases.nothing(facts), code="nothing_to_export")
        yield draft, None


def _vocabularies(session: Session, project_id: int, said: Mapping[str, Any]) -> dict[str, Vocabulary]:
    """Role → the `tokenizer.json` that a release was frozen with, where the project still has it.

    Elsewhere tokens are estimated: no row hangs on it, so neither a file that was given up nor a library that is
    missing stops an export.
    """
    found: dict[str, Vocabulary] = {}
    settings = projects.get_settings(session, project_id)
    for budget in map(parse_budget, said["order"].get("budgets", ())):
        if budget.tokenizer and budget.role not in found:
            with suppress(NotFoundError, UnsupportedError):
                file = projects.get_file(session, project_id, FileKind.TOKENIZER, budget.tokenizer)
                counters = projects.counters(session, project_id, replace(settings, budgets=(budget,)))
                found[budget.role] = Vocabulary(file.name, file.digest, counters[budget.tokenizer])
    return found


def _write(
    release: Path,
    said: Mapping[str, Any],
    order: Order,
    out_dir: Path,
    layout: Layout,
    vocabulary: Vocabulary | None,
    progress: Progress | None,
) -> Summary:
    counts = _counts_of(said, order.dataset)
    if not counts["rows"]:
        told = ", ".join(f"{gate} {n:,}" for gate, n in counts["held_by_gate"].items()) or "nothing was held back"
        raise BadInputError(
            f"Release {said['release']['number']} has no row for {order.dataset.name}: {told}.",
            code="nothing_to_export",
        )
    form = get_format(order.format)
    splits = [Split(one) for one in counts["splits"]]
    run = Run(form, order.dataset, look(form, read_sources(release, order.dataset, splits) if form.prepare else ()))
    facts = card.Facts(
        config=order.config,
        dataset=order.dataset,
        release=said["release"] if order.release else None,
        rule=said["order"]["rule"],
        recipe=f"{order.role}/{said['recipes'][order.role]}",
        vocabulary=vocabulary,
    )
    done = 0
    with Folder(out_dir) as folder:
        written = Files(folder, run, facts, layout, is_alone=True)
        for split in splits:
            for entry in read_rows(release, order.dataset, split, form.order):
                written.add(split, entry)
                done += 1
                if progress is not None and not done % 100:
                    progress(done, counts["rows"])
        written.close()
        if not facts.rows:
            told = ", ".join(f"{LEFT_OUT[one]} {n:,} rows" for one, n in run.left_out.items())
            raise BadInputError(f"{form.alias} can say none of the rows. {told}.", code="nothing_to_export")
        for name, text in form.beside.items():
            folder.add_text(name, text)
        _write_held(release, order.dataset, folder)
        text = card.write(facts, form, said["candidates"], counts, run.warnings, parquet=layout.parquet)
        folder.add_text("README.md", text)
        manifest = _manifest(order, said, counts, facts, run, folder.close_files())
        folder.add_text("manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    told = said["candidates"]
    return Summary(
        out_dir,
        facts.rows.total(),
        _splits(facts),
        told["accepted"],
        told["edited"],
        counts["held_by_gate"],
        run.left_out,
        run.warnings,
    )


def _splits(facts: card.Facts) -> dict[str, int]:
    return {str(split): facts.rows[split] for split in Split if facts.rows[split]}


def _write_held(release: Path, dataset: Dataset, folder: Folder) -> None:
    """What was held back of this dataset; `reason` and `message` are the first gate's."""
    held = folder.file("held_back.jsonl")
    with (release / "held_back.jsonl").open("rb") as lines:
        for line in lines:
            row = json.loads(line)
            if row.pop("dataset") == dataset.name:
                first = row["gates"][0]
                held.add(encode({"reason": first["gate"], "message": first["message"], **row}))


def _manifest(
    order: Order, said: Mapping[str, Any], counts: Mapping[str, Any], facts: card.Facts, run: Run, files: list[Written]
) -> dict[str, object]:
    """What the folder holds and what it was made from."""
    return {
        "schema": said["schema"],
        "program": said["program"],
        "config": order.config,
        **order.dataset._asdict(),
        "format": get_format(order.format).alias,
        "release": facts.release,
        "order": said["order"],
        "filter": said["order"]["filter"],
        "seed": said["order"]["seed"],
        "split_rule": said["order"]["rule"],
        "as_of": said["decisions"]["as_of"],
        "audit_head": None
        if said["decisions"]["last"] is None
        else {"decision": said["decisions"]["last"], "digest": said["decisions"]["sha256"]},
        "recipe": facts.recipe,
        "templates": sorted(facts.templates),
        "checks": said["checks"],
        "counts": {
            "accepted": said["candidates"]["accepted"],
            "edited": said["candidates"]["edited"],
            "rejected": said["candidates"]["rejected"],
            "rows": facts.rows.total(),
            "splits": _splits(facts),
            "examples": counts["rows"],
            "left_out": dict(run.left_out),
            "repeated": dict(run.repeated),
            "made_safe": {"examples": run.n_safe_rows, "characters": run.n_safe_characters},
            "held": counts["held"],
            "held_by_reason": counts["held_by_gate"],
            "passed_by_reason": counts["passed_by_gate"],
        },
        "tokens": facts.lengths_of(order.config).as_json() if order.config in facts.lengths else None,
        **labels_of(run),
        "files": [
            {"path": one.path, "sha256": one.digest, "bytes": one.n_bytes}
            | ({"rows": one.n_rows} if one.path.endswith((".jsonl", ".parquet")) else {})
            for one in files
        ],
    }
