"""From decisions to a folder that a trainer loads: what is in it, what is not, and that it is whole or not at all."""

import hashlib
import json
import resource
import zipfile
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import downloads, evidence, jobs, joining, parcels, prepare, projects, queue, recipes, review
from app.db import Database
from app.downloads import Order
from app.errors import BadInputError, NotFoundError, NotStoredError
from app.examples import Example
from app.models import CandidateRow, JobRow, JobState, Verdict
from app.parcels import Parcel
from app.projects import FileKind
from app.queue import Filter
from app.recipes import Judged
from app.recipes.prompt import shipped
from app.review import Act
from app.settings import Settings
from app.tokens import counter_of
from tests.conftest import NOON
from tests.logs import DIFF, SCRIPT, entry, line, read
from tests.test_tokens import as_bytes

_keys = count()


class Desk:
    """An installation with a log in it, and a reviewer."""

    def __init__(self, db: Database, settings: Settings, project_id: int, reviewer_id: int, folder: Path) -> None:
        self.db, self.settings, self.project_id, self.reviewer_id = db, settings, project_id, reviewer_id
        self.folder = folder

    def read(self, *lines: bytes) -> list[int]:
        """Ingest lines; gives the ids of all candidates."""
        read(self.db, self.settings, self.project_id, self.folder, b"\n".join(lines) + b"\n")
        with self.db.read() as session:
            page = queue.list_candidates(session, self.project_id, Filter(), limit=1000)
        return [row.id or 0 for row in page.candidates]

    def decide(self, number: int, verdict: Verdict, edited: tuple[str, str] | None = None) -> int:
        with self.db.write() as session:
            version = session.get_one(CandidateRow, number).version
            act = Act(verdict, version, f"key-{next(_keys)}", edited=edited)
            outcome = review.decide(session, self.project_id, self.reviewer_id, number, act, now=NOON)
            assert outcome.decision is not None
            return outcome.decision.id or 0

    def undo(self) -> None:
        with self.db.write() as session:
            review.undo(session, self.project_id, self.reviewer_id, key=f"key-{next(_keys)}", now=NOON)

    def build(self, name: str = "out", order: Order | None = None) -> Path:
        target = self.folder / name
        downloads.build(self.db, self.settings, self.project_id, order or Order(), target)
        return target

    def order_job(self, order: Order | None = None) -> JobRow:
        with self.db.write() as session:
            return parcels.start(session, self.project_id, Parcel(order or Order()), now=NOON)

    def run(self, job: JobRow, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
        return parcels.run_job(self.db, self.settings, job, progress or (lambda _done, _total: None))


@pytest.fixture
def desk(db: Database, settings: Settings, project_id: int, reviewer_id: int, tmp_path: Path) -> Desk:
    return Desk(db, settings, project_id, reviewer_id, tmp_path)


def rows(folder: Path, config: str = "scaffold_sft_pc") -> dict[str, dict[str, Any]]:
    found = [
        json.loads(text) | {"split": path.stem}
        for path in sorted((folder / "jsonl" / config).glob("*.jsonl"))
        for text in path.read_bytes().splitlines()
    ]
    return {row["id"]: row for row in found}


def lineage(folder: Path) -> dict[int, dict[str, Any]]:
    found = [
        json.loads(text) | {"split": path.stem}
        for path in sorted((folder / "lineage").glob("*.jsonl"))
        for text in path.read_bytes().splitlines()
    ]
    return {row["candidate"]: row for row in found}


def held(folder: Path) -> dict[int, str]:
    lines = [json.loads(text) for text in (folder / "held_back.jsonl").read_bytes().splitlines()]
    return {one["candidate"]: one["reason"] for one in lines}


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())  # type: ignore[no-any-return]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def hash_only(issue: str) -> bytes:
    return line(issue, successful_script=None, successful_script_hash="-0x1f")


def test_a_script_that_a_run_holds_leaves_with_the_name_of_the_run(desk: Desk) -> None:
    run = {
        "timestamp_utc": "2025-06-24T13:13:42+00:00",
        "spec": {"issue_description": "Fix a", "target_files": ["src/x.py"], "operations": []},
        "patch_source": "LLMCore_polish_iteration_1",
        "patch_history": [[SCRIPT, True, 0.75, None]],
    }
    desk.read(hash_only("Fix a"), json.dumps(run).encode())
    joining.run(desk.db, desk.project_id)
    with desk.db.read() as session:
        (number,) = [row.id or 0 for row in queue.list_candidates(session, desk.project_id, Filter()).candidates]
    desk.decide(number, Verdict.ACCEPT)

    folder = desk.build()

    (row,) = rows(folder).values()
    assert row["completion"] == SCRIPT
    way = lineage(folder)[number]
    assert [(one["source"], one["line"]) for one in way["origins"]] == [("log.jsonl", 1), ("log.jsonl", 2)]


def test_only_what_was_accepted_or_edited_leaves(desk: Desk) -> None:
    one, two, three, four, five, six = desk.read(*(line(f"Issue {n}") for n in range(6)))
    accepted = desk.decide(one, Verdict.ACCEPT)
    edited = desk.decide(two, Verdict.EDIT, ("script", SCRIPT + "# better\n"))
    desk.decide(three, Verdict.REJECT)
    desk.decide(four, Verdict.SKIP)
    desk.decide(five, Verdict.ACCEPT)
    desk.undo()
    folder = desk.build()
    ways = lineage(folder)
    assert {number: way["decision"] for number, way in ways.items()} == {one: accepted, two: edited}
    assert {number: way["verdict"] for number, way in ways.items()} == {one: "accept", two: "edit"}
    completions = {row["completion"] for row in rows(folder).values()}
    assert completions == {SCRIPT, SCRIPT + "# better\n"}
    assert six not in ways


def test_the_newest_decision_that_stands_counts(desk: Desk) -> None:
    (number,) = desk.read(line())
    desk.decide(number, Verdict.EDIT, ("script", SCRIPT + "# one\n"))
    second = desk.decide(number, Verdict.EDIT, ("script", SCRIPT + "# two\n"))
    desk.decide(number, Verdict.EDIT, ("script", SCRIPT + "# three\n"))
    desk.undo()
    folder = desk.build()
    assert lineage(folder)[number]["decision"] == second
    assert [row["completion"] for row in rows(folder).values()] == [SCRIPT + "# two\n"]


def test_a_script_leaves_byte_for_byte_as_it_was_logged(desk: Desk) -> None:
    odd = SCRIPT.replace("\n", "\r\n") + '# é \U0001f600 \u2028 \x1c "\\" \t/ no line end'
    raw = line(successful_script=odd).replace(b"/ no", b"\\/ no")
    (number,) = desk.read(raw)
    desk.decide(number, Verdict.ACCEPT)
    folder = desk.build()
    assert [row["completion"] for row in rows(folder).values()] == [odd]
    [origin] = lineage(folder)[number]["origins"]
    assert origin == {"source": "log.jsonl", "line": 1, "offset": 0, "sha256": hashlib.sha256(raw).hexdigest()}


ODD_ENTRIES: tuple[dict[str, object], ...] = (
    {"spec_operations_details": [], "spec_operations_summary": ["add_import"]},
    {"spec_operations_details": None, "spec_operations_summary": ["add_import", "generic_code_edit"]},
    {"spec_operations_details": {"name": "not a list"}},
    {"spec_operations_details": None, "operations": [1, 1.10, 1e22, None, True, {"é": []}]},
    {"spec_target_files": None, "target_files": "src/y.py"},
    {"spec_target_files": ["src/y.py", 7]},
    {"spec_issue_description": "", "issue": "By another name"},
    {"successful_script": "", "script": SCRIPT + "# by another name"},
    {"extra": {"successful_script": "no", "spec_issue_description": "no"}},
    {"diff_embedding": [0.1] * 8, "script_embedding": [0.2] * 384},
)


def test_a_row_is_what_the_recipe_makes_of_the_entry_read_in_full(desk: Desk) -> None:
    lines = [json.dumps(entry(f"Issue {n}") | more).encode() for n, more in enumerate(ODD_ENTRIES)]
    for number in desk.read(b"\xef\xbb\xbf" + lines[0] + b"\r", *lines[1:]):
        desk.decide(number, Verdict.ACCEPT)
    prepare.run(desk.db)
    folder = desk.build()
    written, ways = rows(folder), lineage(folder)
    assert len(written) == len(lines)
    with desk.db.read() as session:
        for number, way in ways.items():
            said = evidence.read_whole(session, number)
            made = next(recipes.make(Judged(said, number, way["id"][-20:], "accept"), shipped()))
            assert isinstance(made, Example)
            row = written[way["id"]]
            assert {"prompt": row["prompt"], "completion": row["completion"]} == made.values


def test_counts_of_the_manifest_reconcile_with_the_files(desk: Desk) -> None:
    numbers = desk.read(*(line(f"Issue {n}") for n in range(12)), hash_only("Gone"), line("Cut \ud83d"))
    for number in numbers:
        desk.decide(number, Verdict.ACCEPT)
    desk.decide(numbers[0], Verdict.EDIT, ("script", SCRIPT + "# better\n"))
    desk.decide(numbers[1], Verdict.EDIT, ("script", "def broken(:\n"))
    folder = desk.build()
    told = manifest(folder)
    counts = told["counts"]
    assert (counts["accepted"], counts["edited"], counts["rows"], counts["held"]) == (12, 2, 11, 3)
    assert counts["held_by_reason"] == {"hash_only": 1, "lone_surrogate": 1, "script_unparsable": 1}
    assert Counter(held(folder).values()) == counts["held_by_reason"]
    written = rows(folder)
    assert sum(counts["splits"].values()) == len(written) == 11
    assert Counter(row["split"] for row in written.values()) == {k: n for k, n in counts["splits"].items() if n}
    assert written.keys() == {way["id"] for way in lineage(folder).values()}


def test_every_file_stands_in_the_checksums_and_the_manifest(desk: Desk) -> None:
    for number in desk.read(*(line(f"Issue {n}") for n in range(5))):
        desk.decide(number, Verdict.ACCEPT)
    folder = desk.build()
    files = contents(folder)
    sums = {text[66:]: text[:64] for text in (folder / "SHA256SUMS").read_text().splitlines()}
    assert sums == {path: hashlib.sha256(text).hexdigest() for path, text in files.items() if path != "SHA256SUMS"}
    for file in manifest(folder)["files"]:
        assert file["sha256"] == sums[file["path"]]
        assert file["bytes"] == len(files[file["path"]])
        assert file.get("rows", 0) == (files[file["path"]].count(b"\n") if file["path"].endswith(".jsonl") else 0)


def test_the_manifest_names_the_head_of_the_audit_chain(desk: Desk) -> None:
    one, two = desk.read(line("One"), line("Two"))
    desk.decide(one, Verdict.ACCEPT)
    last = desk.decide(two, Verdict.REJECT)
    told = manifest(desk.build(order=Order(seed=3, filter=Filter(source="LLMCore_polish_iteration_1"))))
    assert told["audit_head"]["decision"] == last
    assert told["as_of"] == NOON.isoformat()
    assert (told["seed"], told["filter"]) == (3, {"source": "LLMCore_polish_iteration_1"})
    assert (told["recipe"], told["templates"], told["format"]) == ("llm/2", ["scaffold/2"], "prompt-completion")


def unpacked(path: Path) -> dict[str, bytes]:
    """What is in a zip, below the one folder that has its name."""
    with zipfile.ZipFile(path) as packed:
        assert packed.testzip() is None
        return {name.removeprefix(f"{path.stem}/"): packed.read(name) for name in packed.namelist()}


def test_the_same_state_gives_the_same_bytes(desk: Desk) -> None:
    for number in desk.read(*(line(f"Issue {n}") for n in range(9)), hash_only("Gone")):
        desk.decide(number, Verdict.ACCEPT)
    assert contents(desk.build("one")) == contents(desk.build("two"))
    first, second = desk.run(desk.order_job()), desk.run(desk.order_job())
    packed = [unpacked(desk.settings.data_dir / result["file"]) for result in (first, second)]
    assert packed[0] == packed[1] == contents(desk.folder / "one")


def test_findings_that_the_worker_stored_and_those_made_now_hold_alike(desk: Desk) -> None:
    numbers = desk.read(line("One"), line("Two <|im_start|>system"), hash_only("Three"), line("Four \u202e"))
    for number in numbers:
        desk.decide(number, Verdict.ACCEPT)
    before = desk.build("before")
    assert prepare.run(desk.db) == len(numbers)
    assert held(before) == {numbers[1]: "injection", numbers[2]: "hash_only", numbers[3]: "bidi"}
    assert contents(desk.build("after")) == contents(before)


def test_an_edit_is_checked_as_it_leaves(desk: Desk) -> None:
    one, two = desk.read(line("One", successful_script="def broken(:\n"), line("Two"))
    desk.decide(one, Verdict.EDIT, ("script", SCRIPT))
    desk.decide(two, Verdict.EDIT, ("script", SCRIPT + "# <|im_end|>\n"))
    prepare.run(desk.db)
    folder = desk.build()
    assert held(folder) == {two: "injection"}
    assert lineage(folder).keys() == {one}


def test_an_edited_diff_leaves_as_a_diff(desk: Desk) -> None:
    (number,) = desk.read(line())
    desk.decide(number, Verdict.EDIT, ("diff", DIFF.replace("+b", "+c")))
    folder = desk.build()
    (row,) = rows(folder).values()
    assert row["completion"] == DIFF.replace("+b", "+c")
    assert "unified diff" in row["prompt"]
    assert lineage(folder)[number]["answer"] == "edited_diff"


def test_one_issue_is_in_one_split_and_more_candidates_move_no_row(desk: Desk) -> None:
    first = [line(f"Issue {n}", successful_script=SCRIPT + f"# {n} {k}\n") for n in range(30) for k in range(3)]
    for number in desk.read(*first):
        desk.decide(number, Verdict.ACCEPT)
    before = rows(desk.build("before"))
    by_issue: dict[str, set[str]] = {}
    for row in before.values():
        by_issue.setdefault(row["prompt"], set()).add(row["split"])
    assert len(by_issue) == 30
    assert all(len(splits) == 1 for splits in by_issue.values())
    assert len(set.union(*by_issue.values())) > 1
    more = [line(f"Issue {n}", successful_script=SCRIPT + f"# more {n}\n") for n in range(60)]
    for number in desk.read(*more)[90:]:
        desk.decide(number, Verdict.ACCEPT)
    after = rows(desk.build("after"))
    assert len(after) == 150
    assert {key: after[key] for key in before} == before


def test_a_filter_chooses_what_leaves(desk: Desk) -> None:
    one, two, three = desk.read(
        line("One", patch_source="Unknown"), line("Two, by termui"), line("Three", patch_source="Unknown")
    )
    for number in (one, two):
        desk.decide(number, Verdict.ACCEPT)
    desk.decide(three, Verdict.EDIT, ("script", SCRIPT + "# better\n"))
    chosen = {
        "source": Order(filter=Filter(source="Unknown")),
        "words": Order(filter=Filter(q="termui")),
        "status": Order(filter=Filter(status="edited")),
    }
    found = {name: lineage(desk.build(name, order)).keys() for name, order in chosen.items()}
    assert found == {"source": {one, three}, "words": {two}, "status": {three}}


def test_a_preview_says_what_a_build_then_writes(desk: Desk) -> None:
    numbers = desk.read(*(line(f"Issue {n}") for n in range(7)), hash_only("Gone"))
    for number in numbers:
        desk.decide(number, Verdict.ACCEPT)
    desk.decide(numbers[0], Verdict.EDIT, ("script", SCRIPT + "# better\n"))
    with desk.db.read() as session:
        seen = downloads.preview(session, desk.settings, desk.project_id, Order())
        listed = downloads.list_exports(session, desk.settings, desk.project_id)
    counts = manifest(desk.build())["counts"]
    assert (seen.accepted, seen.edited, seen.n_rows, seen.held, seen.whole) == (7, 1, 7, {"hash_only": 1}, True)
    assert {split: seen.rows[split] for split in seen.rows} == {k: n for k, n in counts["splits"].items() if n}
    assert listed[0] == {
        "role": "llm",
        "task": "scaffold",
        "objective": "sft",
        "formats": [
            "prompt-completion",
            "messages",
            "prompt-completion-chat",
            "instruction-output",
            "conversations",
            "agent",
        ],
        "n_rows": 7,
        "whole": True,
    }
    assert [(one["role"], one["task"], one["objective"]) for one in listed] == [tuple(one) for one in recipes.DATASETS]


def test_a_folder_that_holds_something_is_refused_and_left_alone(desk: Desk) -> None:
    desk.decide(desk.read(line())[0], Verdict.ACCEPT)
    taken, file, empty = desk.folder / "taken", desk.folder / "file", desk.folder / "empty"
    taken.mkdir()
    (taken / "notes.txt").write_text("mine")
    file.write_text("mine")
    empty.mkdir()
    for target in ("taken", "file"):
        with pytest.raises(BadInputError, match="Name a new folder"):
            desk.build(target)
    assert contents(taken) == {"notes.txt": b"mine"}
    assert file.read_text() == "mine"
    assert rows(desk.build("empty"))


def test_nothing_to_export_says_why_and_writes_nothing(desk: Desk) -> None:
    numbers = desk.read(hash_only("One"), hash_only("Two"), line("Three"))
    with pytest.raises(BadInputError, match="Nothing is accepted or edited yet"):
        desk.build()
    for number in numbers[:2]:
        desk.decide(number, Verdict.ACCEPT)
    with pytest.raises(BadInputError, match="2 accepted, all held back: hash_only 2"):
        desk.build()
    with pytest.raises(BadInputError, match="all held back"):
        desk.run(desk.order_job())
    assert sorted(path.name for path in desk.folder.iterdir()) == ["installation", "log.jsonl"]
    assert not list((desk.settings.data_dir / "exports").rglob("*"))


@pytest.mark.parametrize("stop", [jobs.CancelledError, KeyboardInterrupt])
def test_a_build_that_is_stopped_leaves_nothing(desk: Desk, stop: type[BaseException]) -> None:
    for number in desk.read(*(line(f"Issue {n}") for n in range(300))):
        desk.decide(number, Verdict.ACCEPT)

    def progress(done: int, _total: int) -> None:
        if done:
            raise stop

    before = sorted(desk.folder.rglob("*"))
    with pytest.raises(stop):
        downloads.build(desk.db, desk.settings, desk.project_id, Order(), desk.folder / "out", progress=progress)
    assert sorted(desk.folder.rglob("*")) == before
    with pytest.raises(stop):
        desk.run(desk.order_job(), progress)
    assert not list((desk.settings.data_dir / "exports").rglob("*"))


def test_a_full_disk_is_told_and_leaves_nothing(desk: Desk) -> None:
    for number in desk.read(*(line(f"Issue {n}") for n in range(300))):
        desk.decide(number, Verdict.ACCEPT)
    before = sorted(desk.folder.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(NotStoredError, match="could not be written: File too large"):
            desk.build()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(desk.folder.rglob("*")) == before


def test_a_job_that_died_is_built_again(desk: Desk) -> None:
    desk.decide(desk.read(line())[0], Verdict.ACCEPT)
    job = desk.order_job(Order(format="messages", seed=5))
    ruin = desk.settings.data_dir / "exports" / str(job.id) / ".tmp-half"
    ruin.mkdir(parents=True)
    (ruin / "train.jsonl").write_text("half")
    result = desk.run(job)
    assert [path.name for path in ruin.parent.iterdir()] == [f"patchsift-default-now-{job.id}-scaffold_sft_chat.zip"]
    assert (result["rows"], result["held"]) == (1, {})


def test_the_zip_holds_the_folder_and_its_digest_is_told(desk: Desk) -> None:
    for number in desk.read(*(line(f"Issue {n}") for n in range(4))):
        desk.decide(number, Verdict.ACCEPT)
    job = desk.order_job()
    result = desk.run(job)
    with desk.db.write() as session:
        jobs.finish(session, job.id or 0, JobState.DONE, "done", now=NOON, result=result)
    with desk.db.read() as session:
        path, name, digest = parcels.find_download(session, desk.settings, desk.project_id, job.id or 0)
    assert (name, digest) == (path.name, result["sha256"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == result["sha256"]
    assert path.stat().st_size == result["bytes"]
    folder = desk.build(path.stem)
    assert unpacked(path) == contents(folder)


@pytest.mark.parametrize("form", ["prompt-completion", "messages"])
def test_datasets_loads_exactly_the_rows(desk: Desk, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(desk.folder / "cache"))
    import datasets

    odd = '# \u2028 \x85 \x1c é {"id": null}\r\n'
    lines = [line(f"2026-01-0{n} fails", successful_script=SCRIPT + odd * n) for n in range(1, 10)]
    for number in desk.read(*lines, *(line(f"Issue {n}") for n in range(30)), hash_only("Gone")):
        desk.decide(number, Verdict.ACCEPT)
    order = Order(format=form)
    folder = desk.build(order=order)
    assert datasets.get_dataset_config_names(str(folder)) == [order.config]
    loaded = datasets.load_dataset(str(folder), order.config, cache_dir=str(desk.folder / "cache"))
    found = {row["id"]: row | {"split": split} for split in loaded for row in loaded[split]}
    assert found == rows(folder, order.config)
    assert {split: len(loaded[split]) for split in loaded} == {
        split: n for split, n in manifest(folder)["counts"]["splits"].items() if n
    }


def test_a_split_without_rows_has_no_file(desk: Desk) -> None:
    desk.decide(desk.read(line())[0], Verdict.ACCEPT)
    folder = desk.build()
    (file,) = (folder / "jsonl" / "scaffold_sft_pc").iterdir()
    assert (folder / "README.md").read_text().count("path: jsonl/") == 1
    assert f"{{split: {file.stem}, path: jsonl/scaffold_sft_pc/{file.name}}}" in (folder / "README.md").read_text()


def test_the_card_tells_counts_licences_and_lengths(desk: Desk) -> None:
    long = SCRIPT + "# padding\n" * 1000
    for number in desk.read(line("One"), line("Two", successful_script=long), hash_only("Gone")):
        desk.decide(number, Verdict.ACCEPT)
    folder = desk.build()
    text = (folder / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["configs"][0]["config_name"] == "scaffold_sft_pc"
    assert "3 accepted, 0 edited and 0 rejected\ncandidates gave 2 rows; 1 were held back." in text
    assert "| hash_only | 1 |" in text
    assert "| not stated | 2 |" in text
    longest = max(len(row["prompt"]) + len(row["completion"]) for row in rows(folder).values())
    told = manifest(folder)["tokens"]
    assert longest / 3.6 <= told["max"] <= longest / 3.6 + 8
    assert told["suggested_max_length"] == 4096
    assert "`max_length=4096`" in text


def test_lengths_are_exact_with_the_projects_own_tokenizer(desk: Desk) -> None:
    for number in desk.read(line("One"), line("Two")):
        desk.decide(number, Verdict.ACCEPT)
    with desk.db.write() as session:
        file = projects.add_file(
            session, desk.project_id, desk.reviewer_id, FileKind.TOKENIZER, "own.json", as_bytes(), now=NOON
        )
        budgets = [{"role": "llm", "name": "own", "tokenizer": file.name}]
        projects.change_settings(session, desk.project_id, {"budgets": budgets})
    folder = desk.build()
    count = counter_of(as_bytes())
    exact = max(count(row["prompt"]) + count(row["completion"]) for row in rows(folder).values())
    told = manifest(folder)["tokens"]
    assert (told["tokenizer"], told["sha256"]) == ("own.json", file.digest)
    assert exact <= told["max"] < exact + 8
    assert "counted with own.json" in (folder / "README.md").read_text()


def test_labels_that_are_all_the_same_are_warned_of(desk: Desk) -> None:
    for number in desk.read(*(line(f"Issue {n}", successful_script=f"{SCRIPT}\n# {n}\n") for n in range(4))):
        desk.decide(number, Verdict.ACCEPT)
    order = Order("llm", "scaffold", "unpaired", "unpaired")
    folder = desk.build("good", order)
    [warning] = manifest(folder)["warnings"]
    assert warning.startswith(
        f"All {manifest(folder)['labels']['train']['good']} rows of the train split are labelled good"
    )
    assert f"> **{warning}.**" in (folder / "README.md").read_text()
    done = desk.run(desk.order_job(order))
    assert done["warnings"] == [warning]


def test_an_export_that_is_not_there_is_not_found(desk: Desk) -> None:
    job = desk.order_job()
    with desk.db.read() as session:
        for number in (job.id or 0, 999):
            with pytest.raises(NotFoundError):
                parcels.find_download(session, desk.settings, desk.project_id, number)


def test_an_order_survives_its_way_through_a_job(desk: Desk) -> None:
    order = Order(format="messages", filter=Filter(status="edited", q="a b", source="Unknown"), seed=-4)
    assert Order.parse(desk.order_job(order).args) == order
    assert Order.parse({"format": "messages", "q": "x", "seed": "7"}) == Order(
        format="messages", filter=Filter(q="x"), seed=7
    )


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"role": "scorer"}, "field role"),
        ({"release": "3", "q": "x"}, "field release"),
        ({"format": "parquet"}, "field format"),
        ({"status": "skipped"}, "field status"),
        ({"status": "lost"}, "field status"),
        ({"seed": "x"}, "field seed"),
        ({"seed": str(2**70)}, "field seed"),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_its_field(query: dict[str, object], where: str) -> None:
    with pytest.raises(BadInputError) as refused:
        Order.parse(query)
    assert refused.value.where == where
