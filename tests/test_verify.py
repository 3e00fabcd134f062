"""The verifier that ships inside a release: it finds nothing in a sound one, and each fault in a spoiled one."""

import ast
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import verifier
from app.examples import COLUMNS, Split
from app.verifier import verify
from tests.faults import FAULTS, Fault, Opened, gates_of, lineage_of
from tests.powers import only_what_permissions_allow

MODULE = Path(verifier.__file__)
Row = dict[str, Any]
SCRIPT = "import libcst as cst\n\n\nclass Change{n}(cst.CSTTransformer):\n    pass\n"
PROMPT = "Issue: number {n}\nFiles: src/x.py\nWrite a LibCST codemod.\n"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def split_of(group: str) -> str:
    """The rule of issue 4, written down once more: seed 7, shares 0.8, 0.1, 0.1."""
    at = int.from_bytes(hashlib.sha256(b"7:" + bytes.fromhex(group)).digest()[:8], "big") / 2**64
    return "train" if at < 0.8 else "validation" if at < 0.9 else "test"


def group_in(split: str, number: int) -> str:
    """The group of an issue of this number that the rule deals into this split."""
    groups = (sha256(f"group {number} {attempt}") for attempt in range(1000))
    return next(group for group in groups if split == "benchmark" or split_of(group) == split)


class Writer:
    """Writes a small release, with the logs that it came from beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "release-3"
        self.logs = folder / "logs"
        self.rows: dict[str, list[tuple[Row, Row]]] = {}
        self.held: list[Row] = []
        self.origins: dict[int, list[Row]] = {}
        self.about: dict[int, Row] = {}

    def candidate(self, number: int, split: str, verdict: str, group_of: int | None = None) -> None:
        of = group_of or number
        self.about[number] = {
            "split": split,
            "verdict": verdict,
            "group": group_in(split, of),
            "issue": sha256(f"{of}"),
        }

    def log(self) -> None:
        """Entries of all candidates: a success log, a packed one, and a run that is a whole file."""
        folder = self.logs / "flask" / ".agent_data"
        (folder / "patch_history").mkdir(parents=True)
        for name, numbers in (("success_memory.jsonl", (1, 2, 3, 4)), ("older.jsonl", (5, 6, 7, 8, 9, 10))):
            content = b""
            for line, number in enumerate(numbers, 1):
                raw = json.dumps({"spec_issue_description": f"number {number}", **self.success(number)}).encode()
                origin = {"source": f"flask/.agent_data/{name}", "line": line, "offset": len(content)}
                self.origins[number] = [{**origin, "sha256": hashlib.sha256(raw).hexdigest()}]
                content += raw + b"\n"
            path = folder / name
            if name == "older.jsonl":
                path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
        whole = json.dumps([["broken(", False, 0.2, "NameError"], [SCRIPT, True, 0.8, None]], indent=1).encode()
        (folder / "patch_history" / "run_1.json").write_bytes(whole + b"\n")
        run = {"source": ".agent_data/patch_history/run_1.json", "line": 1, "offset": 0}
        self.origins[1].append({**run, "sha256": hashlib.sha256(whole).hexdigest()})

    @staticmethod
    def success(number: int) -> Row:
        return {"successful_script": SCRIPT.format(n=number)} if number < 7 else {"successful_script_hash": "5c"}

    def row(self, dataset: str, number: int, values: Row, suffix: str = "", **more: object) -> None:
        role, task, objective = dataset.split("/")
        about = self.about[number]
        values = {"id": f"{task}-{objective}-{sha256(f'candidate {number}')[:20]}{suffix}", **values}
        dealt = "benchmark" if about["split"] == "benchmark" else "digest"
        told = {"id": values["id"], "sha256": "", "candidate": number, "decision": number * 2}
        told |= {"verdict": about["verdict"], "recipe": f"{role}/2", "templates": [f"{task}/1"], "answer": "script"}
        told |= {"issue": about["issue"], "group": about["group"], "cluster": None, "dealt": dealt}
        told |= {"origins": self.origins[number], "licence": "BSD-3-Clause", **more}
        self.rows.setdefault(f"{dataset}/{about['split']}", []).append((values, told))

    def hold(self, dataset: str, identity: str | None, number: int, *gates: str) -> None:
        named = [{"gate": gate, "message": f"It is held by {gate}."} for gate in gates]
        self.held.append({"dataset": dataset, "id": identity, "candidate": number, "gates": named})

    def write(self) -> Path:
        self.folder.mkdir()
        for split, rows in self.rows.items():
            for folder, index in (("examples", 0), ("lineage", 1)):
                path = self.folder / folder / f"{split}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(json.dumps(row[index]) + "\n" for row in rows), encoding="utf-8")
        (self.folder / "templates").mkdir()
        recipes = {split.split("/")[0]: 2 for split in self.rows}
        tasks = sorted({split.split("/")[1] for split in self.rows})
        for task in tasks:
            (self.folder / "templates" / f"{task}.v1.txt").write_text(f"The prompt of {task}: {{issue}}\n")
        (self.folder / "README.md").write_text("# A release\n")
        (self.folder / "verify.py").write_bytes(MODULE.read_bytes())
        (self.folder / "held_back.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.held))
        (self.folder / "leaks.json").write_text('{"issues": 0, "groups": 0, "fingerprints": 0, "files": 2}\n')
        (self.folder / "manifest.json").write_text(json.dumps(self.manifest(recipes, tasks)) + "\n")
        Opened(self.folder).seal()
        return self.folder

    def manifest(self, recipes: Row, tasks: list[str]) -> Row:
        names = sorted({split.rpartition("/")[0] for split in self.rows} | {row["dataset"] for row in self.held})
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        files: list[Row] = [{"path": path.relative_to(self.folder).as_posix()} for path in paths]
        files = [one | ({"rows": 0} if one["path"].endswith(".jsonl") else {}) for one in files]
        shipped = {"version": 1, "origin": "shipped"}
        templates = [{"name": task, **shipped, "path": f"templates/{task}.v1.txt"} for task in tasks]
        verdicts = [about["verdict"] for about in self.about.values()]
        shares = {"train": 0.8, "validation": 0.1, "test": 0.1}
        return {
            "schema": 2,
            "program": "patchsift 0.1.0",
            "release": {"number": 3, "name": "by hand"},
            "order": {"filter": {}, "seed": 7, "by": "issue", "shares": shares, "rule": "by digest", "budgets": [],
                      "licence_required": False, "decontamination": None},
            "decisions": {"last": 31, "sha256": "0" * 64, "as_of": "2026-11-23T00:00:00+00:00"},
            "rulings": {"last": 1},
            "checks": 4,
            "recipes": recipes,
            "templates": templates,
            "candidates": {name: verdicts.count(verdict) for name, verdict in
                           (("accepted", "accept"), ("edited", "edit"), ("rejected", "reject"))},
            "datasets": [dict(zip(("role", "task", "objective"), name.split("/"), strict=True))
                         | {"columns": ["id", *COLUMNS[name.split("/")[2]]]} for name in names],
            "held_by_gate": gates_of(self.held, "gates"),
            "leaks": {"issues": 0, "groups": 0, "fingerprints": 0, "files": 2},
            "files": files,
        }  # fmt: skip


def write_release(folder: Path) -> Path:
    """Ten candidates: all objectives, all splits, rows held back and rows that a curator let pass."""
    writer = Writer(folder)
    for number, split, verdict in (
        (1, "train", "accept"), (2, "train", "edit"), (4, "validation", "accept"), (5, "test", "accept"),
        (6, "benchmark", "accept"), (7, "train", "accept"), (8, "train", "accept"), (9, "train", "accept"),
        (10, "train", "accept"),
    ):  # fmt: skip
        writer.candidate(number, split, verdict)
    writer.candidate(3, "train", "reject", group_of=1)
    writer.log()
    for number in (1, 2, 4, 5, 6):
        _write_patch(writer, number)
    _write_pairs(writer)
    _write_others(writer)
    secret = {"gate": "secret", "reason": "It is the key of the documentation.", "by": "ada"}
    writer.row("llm/repair/sft", 1, {"prompt": "Repair: x\n", "completion": "import os\n"}, "-1-2", passed=[secret],
               answer="attempt 2", templates=["repair/1"])  # fmt: skip
    writer.hold("llm/scaffold/sft", None, 10, "hash_only")
    writer.hold("llm/repair/sft", f"repair-sft-{sha256('candidate 4')[:20]}-1-3", 4, "secret", "over_budget")
    writer.hold("scorer/style/regression", None, 4, "placeholder_score")
    return writer.write()


def _write_patch(writer: Writer, number: int) -> None:
    prompt, script = PROMPT.format(n=number), SCRIPT.format(n=number)
    edited = {"answer": "edited_script"} if number == 2 else {}
    script = f"# edited\n{script}" if edited else script
    writer.row("llm/scaffold/sft", number, {"prompt": prompt, "completion": script}, **edited)
    writer.row("llm/scaffold/unpaired", number, {"prompt": prompt, "completion": script, "label": True}, **edited)
    features = {"op_rename": number % 3, "n_issue_lines": number}
    core: Row = {"features": features, "core": "LLMCore"}
    writer.row("core_predictor/core/classification", number, core, templates=[], answer="")


def _write_pairs(writer: Writer) -> None:
    prompt, script = PROMPT.format(n=1), SCRIPT.format(n=1)
    pair: Row = {"prompt": prompt, "chosen": script, "rejected": "broken(\n"}
    why = {"evidence": "Same run, same target: failed at attempt 1 with NameError, valid at attempt 2."}
    writer.row("llm/scaffold/preference", 1, pair, "-1-2", **why)
    writer.row("llm/scaffold/reward", 1, pair | {"margin": 0.6}, "-1-2", **why)
    other = {"prompt": PROMPT.format(n=4), "chosen": "ok()\n", "margin": None}
    writer.row("llm/scaffold/reward", 4, pair | other, "-1-2", answer="attempt 2", **why)
    wrong = {"prompt": prompt, "completion": "broken(\n", "label": False}
    writer.row("llm/scaffold/unpaired", 1, wrong, "-1", answer="attempt 1")
    rejected = {"prompt": prompt, "completion": SCRIPT.format(n=3), "label": False}
    writer.row("llm/scaffold/unpaired", 3, rejected)
    style = {"prompt": "", "chosen": script, "rejected": "import cst\n", "margin": 0.25}
    writer.row("scorer/style/reward", 1, style, "-2-1", answer="attempt 2", templates=[], **why)


def _write_others(writer: Writer) -> None:
    writer.row("scorer/style/regression", 1, {"text": SCRIPT, "score": 0.75}, "-2", answer="attempt 2", templates=[])
    writer.row(
        "scorer/style/regression", 2, {"text": "import os\n", "score": 1.0}, "-1", answer="attempt 1", templates=[]
    )
    writer.row("scorer/rating/regression", 3, {"text": SCRIPT.format(n=3), "score": 0.0}, templates=[])
    writer.row("t5_spec/spec/seq2seq", 7, {"source": "Issue: 7\nSymbols: a\n", "target": "issue: 7\n"}, answer="spec")
    draft = {"source": 'Draft: "indent": 4\n', "target": '"indent": 4'}
    writer.row("divot5_refiner/style/seq2seq", 8, draft, answer="refined")
    writer.row("divot5_unifier/style/seq2seq", 9, {"source": "[]\n", "target": '{"indent": 4}'}, answer="unified")
    code: Row = {"anchor": "Names are wrong", "positive": "def f(a):\n", "negatives": ["def g(b):\n", "x = 1\n"]}
    writer.row("retriever/search/contrastive", 1, code, answer="diff", templates=[])
    code = {"anchor": "Übermut ☃\u2028", "positive": "def h():\n", "negatives": []}
    writer.row("retriever/search/contrastive", 2, code, answer="edited_diff", templates=[])


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound release; its logs lie beside it. Not to be changed."""
    return write_release(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound.parent, tmp_path / "copy")
    return tmp_path / "copy" / sound.name


@pytest.fixture
def release(folder: Path) -> Opened:
    return Opened(folder)


def logs_of(folder: Path) -> Path:
    return folder.parent / "logs"


# ------------------------------------------------------------------------------------------------ a sound release


def test_a_sound_release_has_no_fault(sound: Path) -> None:
    report = verify(sound)

    assert report.faults == []
    assert report.is_whole
    assert report.counts["held"] == 3
    assert report.counts["rows"] == sum(len(Opened(sound).rows(name)) for name in Opened(sound).examples())
    assert report.counts["files"] == sum(1 for path in sound.rglob("*") if path.is_file())


def test_the_sound_release_holds_what_there_is_to_check(sound: Path) -> None:
    """So that no check is passed by being never asked."""
    told = Opened(sound).manifest

    assert {dataset["objective"] for dataset in told["datasets"]} == set(COLUMNS) == set(verifier.COLUMNS)
    assert {split for dataset in told["datasets"] for split in dataset["splits"]} == set(verifier.SPLITS)
    assert any(dataset["passed_by_gate"] for dataset in told["datasets"])
    assert told["held_by_gate"]["secret"] == 1


def test_its_columns_are_the_products() -> None:
    assert dict(COLUMNS) == verifier.COLUMNS
    assert {split.value for split in Split} == set(verifier.SPLITS)


def test_an_empty_release_is_whole(release: Opened) -> None:
    for name in release.examples():
        release.path(name).unlink()
        release.path(lineage_of(name)).unlink()
    release.put("held_back.jsonl", [])
    told = release.manifest
    told["files"] = [one for one in told["files"] if not one["path"].startswith(("examples/", "lineage/"))]
    told |= {"datasets": [], "held_by_gate": {}, "candidates": dict.fromkeys(told["candidates"], 0)}
    told["decisions"] = {"last": None, "sha256": None, "as_of": None}
    release.seal_sums()

    assert verify(release.folder).faults == []


# ------------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_is_found(folder: Path, fault: Fault) -> None:
    fault.plant(folder)
    report = verify(folder)

    assert fault.code in report.n_by_code, report.faults
    assert not report.is_whole
    assert all(one.where and one.message.endswith((".", "?")) for one in report.faults)


def test_a_fault_of_meaning_is_seen_by_nothing_but_its_check(sound: Path, tmp_path: Path) -> None:
    """Sealing leaves digests and counts right, so it was no checksum that found the fault."""
    for number, fault in enumerate(one for one in FAULTS if one.seal == "all"):
        shutil.copytree(sound, tmp_path / str(number))
        fault.plant(tmp_path / str(number))
        found = set(verify(tmp_path / str(number)).n_by_code)

        assert not found & {"changed", "size", "sums", "lineage_digest"} - {fault.code}, fault.name


def test_there_are_enough_faults_and_no_two_of_one_name() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30


def test_any_byte_that_changes_is_noticed(sound: Path, tmp_path: Path) -> None:
    paths = [path for path in sorted(sound.rglob("*")) if path.is_file()]
    draw = random.Random(4)
    shutil.copytree(sound, tmp_path / "copy")
    for _ in range(150):
        path = tmp_path / "copy" / draw.choice(paths).relative_to(sound)
        before = path.read_bytes()
        after = bytearray(before)
        at = draw.randrange(len(before))
        after[at] = draw.choice([value for value in range(256) if value != before[at]])
        path.write_bytes(after)
        assert not verify(tmp_path / "copy").is_whole, (path.name, at, before[at], after[at])
        path.write_bytes(before)

    assert verify(tmp_path / "copy").is_whole


@pytest.mark.parametrize("name", ["manifest.json", "SHA256SUMS", "leaks.json"])
def test_a_small_file_that_is_cut_anywhere_is_noticed(folder: Path, name: str) -> None:
    path = folder / name
    content = path.read_bytes()
    for length in range(0, len(content), max(1, len(content) // 40)):
        path.write_bytes(content[:length])
        assert not verify(folder).is_whole


def test_a_fault_says_where_it_is(release: Opened) -> None:
    name, index, row, _ = release.first("sft", where=lambda row, _: "Change2" in row["completion"])
    release.change(name, index, completion="")
    release.seal()

    (fault,) = verify(release.folder).faults
    assert fault == ("empty_text", f"{name}:{index + 1}", "The column completion is empty.")
    assert row["completion"]


def test_many_faults_of_a_kind_are_counted(release: Opened) -> None:
    name = "examples/llm/scaffold/sft/train.jsonl"
    row, told = release.rows(name)[0], release.rows(lineage_of(name))[0]
    release.put(name, [row | {"completion": f"x = {number}\n"} for number in range(250)])
    release.put(lineage_of(name), [told] * 250)
    release.seal()
    report = verify(release.folder)

    assert report.n_by_code["id_twice"] == 1
    release.put(lineage_of(name), [told | {"recipe": "llm/1", "answer": "attempt 1"}] * 250)
    release.seal()
    report = verify(release.folder)
    assert report.n_by_code["recipe"] == 250
    assert len([one for one in report.faults if one.code == "recipe"]) == verifier.MOST_SHOWN


@pytest.mark.parametrize(
    ("gate", "code", "values"),
    [
        ("answer_in_prompt", "answer_in_prompt", {"prompt": "Do: x = 1\n", "completion": "x = 1\n"}),
        ("same_after_normalisation", "same_pair", {"chosen": "x = 1\n", "rejected": "x =  1\n"}),
        ("empty", "empty_text", {"completion": "\n"}),
    ],
)
def test_what_a_curator_let_pass_is_no_fault(release: Opened, gate: str, code: str, values: Row) -> None:
    objective = "preference" if "chosen" in values else "sft"
    name, index, _, _ = release.first(objective, where=lambda _, told: told["answer"] != "script" or "chosen" in values)
    release.change(name, index, **values)
    release.seal()
    assert code in verify(release.folder).n_by_code

    release.change(lineage_of(name), index, passed=[{"gate": gate, "reason": "It is right here.", "by": "ada"}])
    release.seal()
    assert verify(release.folder).faults == []


# ------------------------------------------------------------------------------------------------ back to the logs


def test_rows_are_followed_back_to_the_logs(sound: Path) -> None:
    report = verify(sound, logs=[logs_of(sound)])

    assert report.faults == []
    assert report.counts["origins"] == 10  # nine candidates have rows, one of them a run as well


def test_single_files_serve_as_logs(sound: Path) -> None:
    report = verify(sound, logs=[path for path in logs_of(sound).rglob("*") if path.is_file()])

    assert report.faults == []


def test_a_log_that_is_not_given_is_named(sound: Path) -> None:
    report = verify(sound, logs=[logs_of(sound) / "flask" / ".agent_data" / "success_memory.jsonl"])

    assert report.n_by_code == {"log_missing": 2}
    assert any("older.jsonl" in fault.message for fault in report.faults)


def test_a_log_that_is_not_there_cannot_be_read(sound: Path, tmp_path: Path) -> None:
    assert not verify(sound, logs=[tmp_path / "none"]).readable


@pytest.mark.parametrize("name", ["success_memory.jsonl", "older.jsonl.gz", "patch_history/run_1.json"])
def test_a_log_that_was_changed_is_noticed(folder: Path, name: str) -> None:
    path = logs_of(folder) / "flask" / ".agent_data" / name
    content = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    changed = content.replace(b"Change5", b"Change?").replace(b"Change1", b"Change?").replace(b"0.8", b"0.9")
    path.write_bytes(gzip.compress(changed) if name.endswith(".gz") else changed)

    assert set(verify(folder, logs=[logs_of(folder)]).n_by_code) == {"origin"}


def test_a_packed_log_that_is_cut_is_noticed(folder: Path) -> None:
    path = logs_of(folder) / "flask" / ".agent_data" / "older.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-30])

    assert "log_unreadable" in verify(folder, logs=[logs_of(folder)]).n_by_code


@pytest.mark.parametrize(("field", "value"), [("offset", 3), ("line", 3), ("sha256", "0" * 64)])
def test_a_wrong_origin_is_noticed(release: Opened, field: str, value: object) -> None:
    name, index, _, told = release.first("sft", where=lambda _, told: told["candidate"] == 2)
    release.change(lineage_of(name), index, origins=[told["origins"][0] | {field: value}])
    release.seal()

    assert set(verify(release.folder).n_by_code) == set()
    assert set(verify(release.folder, logs=[logs_of(release.folder)]).n_by_code) == {"origin"}


def test_an_answer_that_is_not_the_logs_is_noticed(release: Opened) -> None:
    name, index, row, _ = release.first("sft", where=lambda _, told: told["candidate"] == 4)
    release.change(name, index, completion=row["completion"].rstrip("\n"))
    release.seal()

    assert verify(release.folder).faults == []
    assert set(verify(release.folder, logs=[logs_of(release.folder)]).n_by_code) == {"not_as_logged"}


# ------------------------------------------------------------------------------------------------ as a program


def run_verify(*arguments: str, inside: Path) -> "subprocess.CompletedProcess[str]":
    """Run the verifier that lies in a release, with an interpreter that knows nothing but its standard library."""
    command = [sys.executable, "-I", "-S", "-B", "-W", "error", str(inside / "verify.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd="/")


def test_it_runs_inside_the_release_with_nothing_installed(sound: Path) -> None:
    ran = run_verify(inside=sound)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("Whole: ")
    assert ran.stdout.count("\n") == 1


def test_it_says_what_is_wrong(folder: Path) -> None:
    (folder / "README.md").write_text("# Another\n")
    ran = run_verify(str(folder), inside=folder)

    assert ran.returncode == 1
    assert (
        "README.md: Its bytes are not those that the manifest names: their SHA-256 differs. [changed]\n" in ran.stdout
    )


def test_it_answers_as_json(sound: Path) -> None:
    ran = run_verify(str(sound), "--json", "--logs", str(logs_of(sound)), inside=sound)
    told = json.loads(ran.stdout)

    assert (ran.returncode, told["whole"], told["faults"], told["n_faults"]) == (0, True, [], 0)
    assert told["checked"]["origins"] == 10


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", None),
        ("manifest.json", "no JSON"),
        ("manifest.json", "[]"),
        ("manifest.json", '{"schema": 1}'),
    ],
)
def test_what_is_no_release_gives_two(folder: Path, name: str, content: str | None) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)

    assert run_verify(str(folder), inside=folder).returncode == 2


def test_a_folder_that_is_not_there_gives_two(sound: Path, tmp_path: Path) -> None:
    assert run_verify(str(tmp_path / "none"), inside=sound).returncode == 2


def test_a_file_that_may_not_be_read_gives_two(folder: Path) -> None:
    (folder / "README.md").chmod(0)
    with only_what_permissions_allow():
        assert verifier.main([str(folder)]) == 2


def test_a_file_name_that_is_no_text_does_no_harm(folder: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n.jsonl")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such names")

    assert run_verify(str(folder), inside=folder).returncode == 1
    assert run_verify(str(folder), "--json", inside=folder).returncode == 1


def imports_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def test_it_is_one_file_of_python_39_and_its_standard_library() -> None:
    tree = ast.parse(MODULE.read_text(encoding="utf-8"), feature_version=(3, 9))

    assert {name.partition(".")[0] for name in imports_of(tree)} <= sys.stdlib_module_names | {"__future__"}


def test_whatever_a_manifest_holds_is_a_fault_and_no_exception(release: Opened) -> None:
    """Each value of the manifest is replaced by one of another kind, one after the other."""
    text = json.dumps(release.manifest)
    for path in paths_in(release.manifest):
        if path[0] in ("files", "datasets") and len(path) > 1 and path[1]:
            continue  # the first of them stands for all
        for value in (None, True, 10**30, [None], {"x": None}):
            told = json.loads(text)
            put(told, path, value)
            release.path("manifest.json").write_text(json.dumps(told) + "\n")
            verify(release.folder)


def test_whatever_a_row_holds_is_a_fault_and_no_exception(release: Opened) -> None:
    for objective in COLUMNS:
        name, index, row, told = release.first(objective)
        for file, kept in ((name, row), (lineage_of(name), told)):
            for path in paths_in(kept):
                for value in (None, 10**30, [None], {"gate": None}):
                    changed = json.loads(json.dumps(kept))
                    put(changed, path, value)
                    if changed == kept:
                        continue
                    release.change(file, index, **changed)
                    assert not verify(release.folder).is_whole
            release.change(file, index, **kept)


def test_whatever_a_held_row_holds_is_a_fault_and_no_exception(release: Opened) -> None:
    row = release.rows("held_back.jsonl")[1]
    for path in paths_in(row):
        for value in (True, 10**30, [None], {"x": None}):
            changed = json.loads(json.dumps(row))
            put(changed, path, value)
            release.change("held_back.jsonl", 1, **changed)
            assert "held_field" in verify(release.folder).n_by_code


def test_no_text_of_a_release_reaches_the_terminal_as_it_is(release: Opened) -> None:
    name = release.examples("sft")[0]
    release.change(name, 0, **{"\x1b[2J\u202e" + "x" * 5000: "x"})
    ran = run_verify(inside=release.folder)

    assert "\\x1b[2J\\u202exxx" in ran.stdout
    assert "\x1b" not in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) < 2000


def paths_in(value: Any) -> Iterator[tuple[Any, ...]]:
    """The ways to the values of nested lists and objects: the first and the last of each list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for number, (name, one) in enumerate(inner):
        if isinstance(value, dict) or number in (0, len(value) - 1):
            yield (name,)
            yield from ((name, *rest) for rest in paths_in(one))


def put(value: Any, path: tuple[Any, ...], new: object) -> None:
    for name in path[:-1]:
        value = value[name]
    value[path[-1]] = new
