"""Releases, from what people decided to a folder that anyone can check: whole, explained, and the same once more."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from sqlmodel import col

from app import groups, jobs, prompting, recipes, releases, splits
from app.errors import BadInputError, ConflictError, NotFoundError
from app.examples import COLUMNS
from app.models import (
    CandidateRow,
    DecisionRow,
    FingerprintRow,
    JobRow,
    JobState,
    LedgerRow,
    ReleasedRow,
    ReleaseRow,
    ReleaseState,
    RevisionRow,
    Verdict,
)
from app.queue import Filter
from app.releases import Spec
from app.splits import Plan
from app.verifier import verify
from tests.conftest import NOON
from tests.faults import FAULTS
from tests.logs import SCRIPT, line
from tests.releasing import EVIDENCE, Desk, Row, installed

SFT = "llm/scaffold/sft"
ALL_DATASETS = {f"{one.role}/{one.task}/{one.objective}" for one in recipes.DATASETS}


def change(issue: str, like: str = "", **more: object) -> bytes:
    """A log line whose diff is that of every other line that is `like` it, and of no other."""
    word = (like or issue).replace(" ", "_")
    diff = f"--- a/src/x.py\n+++ b/src/x.py\n@@ -1,2 +1,2 @@\n def f():\n-    return {word}\n+    return {word}_2\n"
    script = f"{SCRIPT}\n\n# {issue}\n"
    return line(issue, **{"successful_diff_summary": diff, "successful_script": script} | more)


def run_of(issue: str, target: str, *tried: tuple[str, object, float | None, str | None], **more: object) -> bytes:
    """A run, whose last script ties it to the log line of its issue."""
    spec = {"issue_description": issue, "target_files": [target], "operations": []}
    at = "2025-06-24T13:13:42+00:00"
    return json.dumps(
        {"timestamp_utc": at, "spec": spec, "patch_history": [list(one) for one in tried]} | more
    ).encode()


@pytest.fixture
def desk(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[Desk]:
    """A fresh installation."""
    with installed(kind, request, tmp_path) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """The database that a test runs on."""
    return str(request.param)


# ------------------------------------------------------------------------------------------------ everything at once

_GAP = "{issue}"
LEFT_OUT = "The benchmark has it."
PASSED = "The issue is quoted, not answered."


def fill(desk: Desk) -> None:
    """Two releases of all evidence: accepted, edited, rejected, disputed, left out, let pass, benchmarked."""
    desk.take()
    with desk.db.write() as session:
        before = prompting.get_in_use(session, desk.project, "scaffold").text
        prompting.save(session, desk.project, desk.ann, "scaffold", f"In this project.\n{before}", now=NOON)
        releases.freeze_benchmark(session, desk.project, Filter(file="requests/auth.py"))
    numbers = [row.id or 0 for row in desk.candidates()]
    for number in numbers[:20]:
        desk.decide(number)
    desk.release(name="first", seed=5)

    edited = desk.titled("pytest.yield_fixture")
    with desk.db.read() as session:
        from app import evidence

        script = evidence.read_whole(session, edited).script or ""
        diff = evidence.read_whole(session, desk.titled("update blinker")).diff or ""
    desk.decide(edited, Verdict.EDIT, edited=("script", script + "\n\nREVIEWED = True\n"))
    desk.decide(desk.titled("update blinker"), Verdict.EDIT, edited=("diff", with_a_word(diff)))
    desk.decide(desk.titled("Migrate various"), Verdict.REJECT, reasons=("wrong_fix",))
    desk.decide(desk.titled("fix response bases"), Verdict.REJECT, reasons=("duplicate",))
    desk.decide(desk.titled("ACTIV"), Verdict.REJECT, by=desk.ben)
    desk.decide(desk.titled("ACTIV"), rating=5)
    desk.accept_all()
    [polished] = [one for one in made_of(desk, desk.titled("The timeout is")) if one.startswith("polish-sft")]
    desk.rule(polished, "answer_in_prompt", PASSED)
    desk.rule(made_of(desk, desk.titled("Allow loading"))[0], "left_out", LEFT_OUT)
    desk.release(name="everything", seed=5)


def with_a_word(diff: str) -> str:
    """The diff with a word more in its first added line."""
    lines = diff.split("\n")
    at = next(n for n, text in enumerate(lines) if text.startswith("+") and not text.startswith("+++"))
    return "\n".join([*lines[:at], f"{lines[at]}  # reviewed", *lines[at + 1 :]])


def made_of(desk: Desk, number: int) -> list[str]:
    """The ids of the examples that a candidate yields."""
    from app import yields

    with desk.db.read() as session:
        asked = releases.asked_for(session, desk.project, Spec())
        case = yields.find_case(session, desk.project, number)
        assert case is not None
        made = list(yields.make(case, yields.Terms(asked.prompts, asked.settings, {})))
    return [one.example.id for one in made if isinstance(one, yields.Made)]


@pytest.fixture(scope="module")
def lasting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Desk]]:
    """The installation with everything in it, made once a database, when it is asked for first."""
    made: dict[str, Desk] = {}
    with ExitStack() as opened:

        def get(kind: str) -> Desk:
            if kind not in made:
                folder = tmp_path_factory.mktemp(f"rich-{kind}")
                made[kind] = opened.enter_context(installed(kind, request, folder))
                fill(made[kind])
            return made[kind]

        yield get


@pytest.fixture
def rich(kind: str, lasting: Callable[[str], Desk]) -> Desk:
    return lasting(kind)


def test_everything_is_in_it_and_every_count_agrees(rich: Desk) -> None:
    row, release = rich.row(2), rich.open(2)

    found = verify(release.folder, logs=[EVIDENCE])
    assert found.is_whole, found.faults
    assert found.counts["origins"] > 40
    release.assert_sound()
    assert {name.partition(" ")[0] for name in release.rows()} == ALL_DATASETS
    counts: Any = row.counts
    assert counts["rows"] == len(release.rows()) == len(release.lineage()) == found.counts["rows"]
    assert counts["held"] == len(release.held) == found.counts["held"]
    assert counts["splits"] == Counter(one["split"] for one in release.rows().values())
    assert counts["candidates"] == release.manifest["candidates"] == {"accepted": 36, "edited": 2, "rejected": 2}
    assert counts["held_by_gate"] == release.manifest["held_by_gate"]
    assert row.decisions_to == release.manifest["decisions"]["last"]
    assert row.rulings_to == release.manifest["rulings"]["last"] == 2
    assert row.n_bytes == sum(path.stat().st_size for path in release.folder.rglob("*") if path.is_file())
    assert bytes(row.manifest_digest or b"").hex() == hashlib.sha256(
        (release.folder / "manifest.json").read_bytes()
    ).hexdigest()  # fmt: skip
    assert [path.name for path in release.folder.parent.iterdir() if path.name.startswith(".")] == []


def test_every_file_of_examples_loads_as_a_table(rich: Desk) -> None:
    import pyarrow.json

    release, n_rows = rich.open(2), 0
    for path in sorted((release.folder / "examples").rglob("*.jsonl")):
        table = pyarrow.json.read_json(path)
        assert table.column_names == ["id", *COLUMNS[path.parent.name]]
        n_rows += table.num_rows
    assert n_rows == len(release.rows())


def test_every_row_leads_to_its_line_its_decision_and_its_edit(rich: Desk) -> None:
    release = rich.open(2)
    with rich.db.read() as session:
        decisions = {one.id: one for one in session.execute(select(DecisionRow)).scalars()}
        revisions = {one.id: one.text for one in session.execute(select(RevisionRow)).scalars()}
        held_by = select(ReleasedRow).where(col(ReleasedRow.release_id) == rich.row(2).id)
        released = {one.candidate_id: one.decision_id for one in session.execute(held_by).scalars()}
    taken_back = {one.undoes_id for one in decisions.values()}
    newest = {one.candidate_id: one.id for _, one in sorted(decisions.items()) if one.id not in taken_back}
    raw = {path.relative_to(EVIDENCE.parent).as_posix(): path.read_bytes() for path in EVIDENCE.rglob("*.json*")}

    rows, edits = release.rows(), 0
    for name, way in release.lineage().items():
        decision = decisions[way["decision"]]
        assert way["decision"] == newest[way["candidate"]] == released[way["candidate"]]
        assert (decision.candidate_id, decision.verdict) == (way["candidate"], way["verdict"])
        for origin in way["origins"]:
            logged = raw[origin["source"]][origin["offset"] :]
            whole, first = logged.rstrip(b"\r\n"), logged.partition(b"\n")[0].rstrip(b"\r")
            assert origin["sha256"] in {hashlib.sha256(one).hexdigest() for one in (whole, first)}
        if way["answer"] in {"edited_script", "edited_diff"} and "completion" in rows[name]:
            edits += 1
            assert rows[name]["completion"] == revisions[decision.revision_id]
    assert edits >= 4
    assert released.keys() == {way["candidate"] for way in release.lineage().values()}


def test_the_words_of_people_are_kept_to_and_told(rich: Desk) -> None:
    release = rich.open(2)

    polished, disputed, left_out = (rich.titled(one) for one in ("The timeout is", "ACTIV", "Allow loading"))
    [way] = [one for one in release.lineage("llm/polish/sft").values() if one["candidate"] == polished]
    assert way["passed"] == [{"gate": "answer_in_prompt", "reason": PASSED, "by": "local"}]
    assert release.counts("llm/polish/sft")["passed_by_gate"] == {"answer_in_prompt": 1}
    assert "answer_in_prompt" in release.held_by(polished)
    assert release.held_by(disputed).keys() == {"reviewers_disagree"}
    assert LEFT_OUT in release.held_by(left_out)["left_out"]
    assert left_out in release.splits()
    duplicate, wrong = rich.titled("fix response bases"), rich.titled("Migrate various")
    of = {number: {one for one, way in release.lineage().items() if way["candidate"] == number} for number in
          (duplicate, wrong)}  # fmt: skip
    assert {name.partition(" ")[0] for name in of[duplicate]} == {"scorer/rating/regression"}
    assert {name.partition(" ")[0] for name in of[wrong]} == {"llm/scaffold/unpaired"}
    assert not any(release.rows()[name]["label"] for name in of[wrong])


def test_the_template_that_the_project_made_its_own_was_filled(rich: Desk) -> None:
    release = rich.open(2)

    [told] = [one for one in release.manifest["templates"] if one["name"] == "scaffold"]
    text = (release.folder / told["path"]).read_text()
    assert (told["origin"], told["version"], told["label"]) == ("project", 1, "scaffold/p1")
    assert told["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert text.startswith("In this project.\n")
    from_scripts = [
        release.rows(SFT)[name]["prompt"]
        for name, way in release.lineage(SFT).items()
        if way["answer"] != "edited_diff"
    ]
    assert from_scripts
    assert all(prompt.startswith("In this project.\n") for prompt in from_scripts)


def test_the_benchmark_is_never_trained_on_and_what_was_released_never_moves(rich: Desk) -> None:
    first, second = rich.open(1), rich.open(2)

    benchmark = {row.id for row in rich.candidates() if "requests/auth.py" in row.target}
    assert len(benchmark) == 2
    assert {number for number, split in second.splits().items() if split == "benchmark"} == benchmark
    before, after = first.splits(), second.splits()
    assert set(before.values()) == {"train", "validation", "test"}
    assert {number: after[number] for number in before if number in after} == {
        number: split for number, split in before.items() if number in after
    }
    dealt = Counter(way["dealt"] for way in second.lineage().values())
    assert dealt.keys() == {"digest", "ledger", "benchmark"}
    assert {way["dealt"] for way in first.lineage().values()} == {"digest"}


def test_two_releases_are_compared_row_by_row(rich: Desk) -> None:
    found = releases.compare(rich.settings, rich.row(1), rich.row(2))

    one = {name: way["sha256"] for name, way in rich.open(1).lineage().items()}
    two = {name: way["sha256"] for name, way in rich.open(2).lineage().items()}
    changed = sum(one[name] != two[name] for name in one.keys() & two.keys())
    assert found.totals == (len(two.keys() - one.keys()), len(one.keys() - two.keys()), changed, 0)
    assert found.totals[0] > 50
    assert {f"{dataset} {name}" for dataset, name, what in found.examples if what == "added"} <= two.keys() - one.keys()
    same = releases.compare(rich.settings, rich.row(2), rich.row(2))
    assert same.totals == (0, 0, 0, 0)


def test_both_databases_give_the_same_bytes(lasting: Callable[[str], Desk]) -> None:
    for number in (1, 2):
        assert lasting("sqlite").open(number).sums == lasting("postgres").open(number).sums


def restore(folder: Path, contents: dict[str, bytes]) -> None:
    """Make a folder what it was, and leave nothing beside it."""
    beside = [path for path in folder.parent.glob("*") if path != folder]
    for path in [*sorted(folder.rglob("*"), reverse=True), *beside]:
        if path.is_symlink() or not path.is_dir():
            if path.is_symlink() or path.relative_to(folder.parent).as_posix() not in contents or not path.is_file():
                path.unlink()
        elif path in beside:
            shutil.rmtree(path)
    for name, content in contents.items():
        path = folder.parent / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def test_every_fault_has_its_place_and_is_found(lasting: Callable[[str], Desk], tmp_path: Path) -> None:
    whole, copy = lasting("sqlite").open(2).folder, tmp_path / "2"
    contents = {
        path.relative_to(whole.parent).as_posix(): path.read_bytes() for path in whole.rglob("*") if path.is_file()
    }
    missed = {}
    for fault in FAULTS:
        restore(copy, contents)
        fault.plant(copy)
        found = verify(copy)
        if fault.code not in found.n_by_code or found.is_whole:
            missed[fault.name] = dict(found.n_by_code)
    assert missed == {}
    assert len(FAULTS) >= 30
    restore(copy, contents)
    assert verify(copy).is_whole


# ------------------------------------------------------------------------------------------------ step by step


def test_a_release_goes_from_the_line_to_a_folder(desk: Desk) -> None:
    numbers = desk.read(*(change(f"Issue {n}") for n in range(4)), change("Gone", successful_script=None))
    for number in numbers:
        desk.decide(number)
    first = desk.create(name=" nightly ", filter={"q": "Issue"})
    waiting = desk.row(first)
    assert (first, waiting.name, waiting.state, waiting.counts) == (1, "nightly", ReleaseState.QUEUED, {})
    with pytest.raises(ConflictError, match="queued"):
        releases.get_folder(desk.settings, waiting)
    with desk.db.read() as session:
        with pytest.raises(NotFoundError, match="no release yet"):
            releases.get_release(session, desk.project, "latest")
        with pytest.raises(NotFoundError):
            releases.get_release(session, desk.project, "9" * 40)
        with pytest.raises(ConflictError):
            releases.compare(desk.settings, waiting, waiting)

    desk.work()

    job = desk.job(first)
    assert (job.state, job.message) == (JobState.DONE, "Release 1: 16 rows")
    assert desk.open(first).splits().keys() == set(numbers[:4])
    second = desk.release(name="all")
    assert second.held_by(numbers[4]).keys() == {"no_script"}
    with desk.db.read() as session:
        assert [row.number for row in releases.list_releases(session, desk.project)] == [2, 1]
        assert [row.number for row in releases.list_releases(session, desk.project, before=2)] == [1]
        assert releases.get_release(session, desk.project, "latest").number == 2
        held, after = releases.list_held(second.folder, gate="no_script", limit=1)
        assert (len(held), after) == (1, None)
        [(split, row), *_] = releases.list_samples(second.folder, recipes.DATASETS[0])
        assert second.rows(SFT)[row["id"]] == row | {"split": split}


def test_nothing_to_release_says_why_and_leaves_nothing(desk: Desk) -> None:
    number, other = desk.read(change("One"), change("Two"))
    desk.decide(other, Verdict.REJECT, reasons=("duplicate",))

    def failed(**spec: object) -> str:
        made = desk.create(**spec)
        desk.work()
        row = desk.row(made)
        assert (row.state, desk.job(made).state) == (ReleaseState.FAILED, JobState.FAILED)
        assert desk.job(made).message == row.message
        assert not releases.folder_of(desk.settings, row).exists()
        return row.message

    assert failed(filter={"status": "accepted"}).startswith("Nothing is accepted or edited yet")
    assert failed() == "1 rejected, all held back: they yield nothing. No row is left to export."
    desk.decide(number)
    licences = failed(licence_required=True, filter={"status": "accepted"})
    assert licences.startswith("1 accepted, all held back: licence_unknown 4")
    with pytest.raises(BadInputError, match="Only accepted"):
        desk.create(filter={"status": "pending"})
    with desk.db.read() as session:
        for table in (LedgerRow, ReleasedRow):
            assert session.execute(select(func.count()).select_from(table)).scalar_one() == 0
    assert desk.release().number == 4


def test_a_freeze_looks_at_what_was_decided_and_waits_for_nothing_else(desk: Desk) -> None:
    decided, waiting = desk.read(change("One"), change("Two"))
    desk.decide(decided)
    with desk.db.write() as session:
        session.execute(update(CandidateRow).values(checks_version=0))
        session.execute(delete(FingerprintRow))

    number = desk.create()
    with desk.db.write() as session:
        job = jobs.claim(session, "here:1", now=NOON, only=desk.row(number).job_id)
        assert job is not None
    releases.run_job(desk.db, desk.settings, job, lambda _done, _total: None, now=lambda: NOON)

    with desk.db.read() as session:
        assert session.get_one(CandidateRow, decided).checks_version > 0
        assert session.get_one(CandidateRow, waiting).checks_version == 0
        assert session.execute(select(col(FingerprintRow.candidate_id))).scalars().all() == [decided]


def test_a_word_counts_for_the_texts_that_it_was_said_of(desk: Desk) -> None:
    secret = SCRIPT + '\n\nKEY = "AKIAIOSFODNN7EXAMPLQ"\n'
    plain, keyed = desk.read(change("Plain"), change("Keyed", successful_script=secret))
    for number in (plain, keyed):
        desk.decide(number)
    assert desk.release().held_by(keyed).keys() == {"secret"}
    [example] = [one for one in made_of(desk, keyed) if one.startswith("scaffold-sft")]

    desk.rule(example, "secret", "A key of the documentation.")
    passed = desk.release()
    assert passed.rows(SFT)[example]["completion"] == secret
    assert passed.lineage(SFT)[example]["passed"] == [
        {"gate": "secret", "reason": "A key of the documentation.", "by": "local"}
    ]
    assert passed.counts("llm/scaffold/unpaired")["held_by_gate"] == {"secret": 1}

    desk.decide(keyed, Verdict.EDIT, edited=("script", secret + "\nMORE = 1\n"))
    assert desk.release().held_by(keyed).keys() == {"secret"}
    desk.undo()
    assert example in desk.release().rows(SFT)
    desk.rule(example, "secret", "After all not.", in_force=False)
    assert desk.release().held_by(keyed).keys() == {"secret"}


def test_licences_and_budgets_hold_back_where_they_are_asked_for(desk: Desk) -> None:
    [free] = desk.read(change("Free"), licence="MIT")
    [unknown] = desk.read(change("Unknown"))
    for number in (free, unknown):
        desk.decide(number)

    licensed = desk.release(licence_required=True)
    assert licensed.splits().keys() == {free}
    assert licensed.manifest["licences"] == {"MIT": len(licensed.rows())}
    assert licensed.held_by(unknown).keys() == {"licence_unknown"}
    small = desk.release(budgets=[{"role": "llm", "name": "a small model", "question_tokens": 10}])
    assert small.manifest["held_by_gate"] == {"over_budget": 4}
    assert "a small model" in small.held_by(free)["over_budget"]
    assert {name.partition("/")[0] for name in small.rows()} == {"retriever", "core_predictor"}
    assert desk.release().splits().keys() == {free, unknown}


def test_filter_and_seed_choose_what_is_in_and_where(desk: Desk) -> None:
    numbers = desk.read(*(change(f"Issue {n}", patch_source="Unknown" if n % 2 else "LLMCore") for n in range(10)))
    for number in numbers:
        desk.decide(number)
    desk.decide(numbers[0], Verdict.REJECT)
    with desk.db.read() as session:
        issue = {row.id: bytes(row.group_digest) for row in desk.candidates()}

        def shown(**spec: object) -> releases.Preview:
            return releases.preview(session, desk.settings, desk.project, Spec.parse(spec), most=None)

        assert shown(filter="source=Unknown").facts.candidates == {"accepted": 5}
        assert shown(filter={"status": "rejected"}).facts.candidates == {"rejected": 1}
        assert shown(filter={"source": "LLMCore", "status": "accepted"}).facts.candidates == {"accepted": 4}
    half = {"train": 0.5, "validation": 0, "test": 0.5}
    release = desk.release(filter={"source": "Unknown"}, seed=7, split={"shares": half})
    plan = Plan(seed=7, shares=(0.5, 0, 0.5))
    assert release.splits() == {number: splits.deal(issue[number], plan) for number in numbers[1::2]}
    assert (release.manifest["order"]["filter"], release.manifest["order"]["seed"]) == ({"source": "Unknown"}, 7)


def test_by_repository_and_by_time(desk: Desk) -> None:
    days = ("2025-05-01", "2025-06-15", "2025-07-20")
    numbers = []
    for name in ("alpha", "beta", "gamma", "delta"):
        made = [
            change(f"{name} {day}", timestamp_utc=f"{day}T10:00:00+00:00", spec_target_files=[f"{name}.py"])
            for day in days
        ]
        numbers.append(desk.read(*made, name=f"{name}/.agent_data/success_memory.jsonl"))
    own = desk.read(change("Says it", repo="https://github.com/Beta/Gamma.git"), name="success_memory.jsonl")
    for number in [*chain.from_iterable(numbers), *own]:
        desk.decide(number)

    timed = {"by": "time", "validation_from": "2025-06-01T00:00:00Z", "test_from": "2025-07-01T00:00:00Z"}
    by_time = desk.preview(split=timed)
    assert {dataset.role for dataset, _ in by_time.facts.listed()} >= {"llm", "retriever"}
    assert by_time.facts.datasets[recipes.DATASETS[0]].splits == {"train": 4, "validation": 5, "test": 4}

    half = {"by": "repository", "seed": 3, "shares": {"train": 0.5, "validation": 0, "test": 0.5}}
    release = desk.release(split=half)
    found = release.splits()
    assert [len({found[number] for number in of}) for of in numbers] == [1, 1, 1, 1]
    assert set(found.values()) == {"train", "test"}
    plan = Plan.parse(half)
    names = ("alpha", "beta", "gamma", "delta", "beta/gamma")
    assert [found[of[0]] for of in (*numbers, own)] == [
        splits.deal(hashlib.sha256(name.encode()).digest(), plan) for name in names
    ]
    assert {way["dealt"] for way in release.lineage().values()} == {"repository"}


def test_a_release_is_made_again_byte_for_byte_whatever_was_decided_since(desk: Desk) -> None:
    numbers = desk.read(
        *(change(f"Issue {n}", timestamp_utc=f"2025-06-{n + 10}T10:00:00+00:00") for n in range(16)),
        change("Issue 0", "another", timestamp_utc="2025-09-01T10:00:00+00:00"),
        change("Issue 1", "third", patch_source="Other"),
    )
    for number in [*numbers[:2], *numbers[9:16]]:
        desk.decide(number)
    with desk.db.write() as session:
        releases.freeze_benchmark(session, desk.project, Filter(source="Other"))
    timed = {"by": "time", "validation_from": "2025-06-15T00:00:00Z", "test_from": "2025-07-01T00:00:00Z"}
    for spec in ({}, {"split": timed}, {"split": {"by": "repository"}}, {"filter": {"status": "accepted"}}):
        desk.release(**spec)
    before = [desk.open(number).sums for number in (1, 2, 3, 4)]
    assert any(row["negatives"] for row in desk.open(1).rows("retriever/search/contrastive").values())

    desk.undo()
    for number in numbers[2:9]:
        desk.decide(number, Verdict.REJECT, reasons=("wrong_fix",))
    for number in numbers[16:]:
        desk.decide(number, Verdict.REJECT)
    desk.decide(numbers[0], Verdict.EDIT, edited=("script", SCRIPT + "\nMORE = 1\n"), by=desk.ben)
    desk.rule(made_of(desk, numbers[9])[0], "left_out")
    with desk.db.write() as session:
        used = prompting.get_in_use(session, desk.project, "scaffold")
        prompting.save(session, desk.project, desk.ann, "scaffold", f"{used.text}\nAnd more.\n", now=NOON)
        releases.freeze_benchmark(session, desk.project, Filter(q="Issue"))

    again = [desk.rebuild(number) for number in (1, 2, 3, 4)]
    assert [one.differing for one in again] == [[], [], [], []]
    assert desk.release().sums not in before


# ------------------------------------------------------------------------------------------------ splits that stay


def seed_for(desk: Desk, *wanted: tuple[int, str]) -> int:
    """A seed that deals these candidates to these splits."""
    issue = {row.id: bytes(row.group_digest) for row in desk.candidates()}
    half = {"train": 0.5, "validation": 0, "test": 0.5}
    for seed in range(10_000):
        plan = Plan.parse({"seed": seed, "shares": half})
        if all(splits.deal(issue[number], plan) == split for number, split in wanted):
            return seed
    raise AssertionError(wanted)


def test_what_was_released_stays_and_what_would_touch_two_splits_is_held_back(desk: Desk) -> None:
    one, two, three = desk.read(change("One"), change("Two"), change("Three"))
    half = {"train": 0.5, "validation": 0, "test": 0.5}
    order: dict[str, Any] = {"split": {"shares": half, "seed": seed_for(desk, (one, "train"), (two, "test"))}}
    for number in (one, two, three):
        desk.decide(number)
    first = desk.release(**order)
    assert (first.splits()[one], first.splits()[two]) == ("train", "test")

    # Of the same issue, and alike: wherever the seed would deal them, they go where the first one is.
    other_seed = {"split": {"shares": half, "seed": seed_for(desk, (one, "test"), (three, "train"))}}
    more = desk.read(change("One", "other words"), change("Grown", "Three"))
    for number in more:
        desk.decide(number)
    grown = desk.release(**other_seed)
    assert {number: grown.splits()[number] for number in (one, two, three)} == first.splits()
    assert grown.splits()[more[0]] == "train"
    assert grown.held_by(more[1]).keys() == {"near_duplicate"}
    assert {way["dealt"] for way in grown.lineage().values()} == {"ledger"}

    # A new issue that is like one in train and like one in test: they become one group.
    tie, knot = desk.read(change("Tie", "One"), change("Tie", "Two"))
    for number in (tie, knot):
        desk.decide(number)
    tied = desk.release(**order)
    with desk.db.read() as session:
        keys = [bytes(session.get_one(CandidateRow, number).group_digest) for number in (one, two, tie)]
        assert len(set(groups.find_groups(session, desk.project, keys).values())) == 1
    assert tied.splits()[two] == "test"
    assert not {one, more[0], tie, knot} & tied.splits().keys()
    why = tied.held_by(one)["split_conflict"]
    assert why.startswith("Its group is in test and train since earlier releases, and it was in train.")
    assert "it is new" in tied.held_by(tie)["split_conflict"]
    assert tied.manifest["leaks"]["groups"] == 0
    assert desk.rebuild(1).n_files > 10


def test_a_benchmark_takes_whole_groups_and_nothing_that_was_released(desk: Desk) -> None:
    one, two, alike, late = desk.read(
        change("One"), change("Two", patch_source="Other"), change("Alike", "Two"), change("Late", patch_source="Late")
    )
    for number in (one, two, alike):
        desk.decide(number)
    with desk.db.write() as session:
        with pytest.raises(BadInputError, match="finds no candidate"):
            releases.freeze_benchmark(session, desk.project, Filter(source="Nobody"))
        assert releases.freeze_benchmark(session, desk.project, Filter(source="Other"))[:2] == (2, 0)
    with desk.db.write() as session:
        assert releases.freeze_benchmark(session, desk.project, Filter(source="Other"))[:2] == (0, 2)
        assert releases.count_benchmark(session, desk.project) == 2
    release = desk.release()
    assert release.splits()[two] == "benchmark"
    assert release.held_by(alike).keys() == {"near_duplicate"}
    assert release.counts(SFT)["splits"].keys() & {"benchmark"}
    found = release.splits()[one]
    with desk.db.write() as session:
        refused = releases.freeze_benchmark(session, desk.project, Filter(q="One"))
        assert (refused.n_set, len(refused.refused)) == (0, 1)
    assert desk.release().splits()[one] == found

    # While a release is being made it cannot be told any more.
    desk.decide(late)
    number = desk.create()
    with desk.db.write() as session, pytest.raises(ConflictError, match=f"Release {number} is being made"):
        releases.freeze_benchmark(session, desk.project, Filter(source="Late"))
    desk.work()
    with desk.db.write() as session:
        assert len(releases.freeze_benchmark(session, desk.project, Filter(source="Late")).refused) == 1

    # What is like something that was released for training is no benchmark either.
    new = desk.read(change("New", "Late", patch_source="New"))
    desk.decide(new[0])
    with desk.db.write() as session:
        refused = releases.freeze_benchmark(session, desk.project, Filter(source="New"))
        assert (refused.n_set, len(refused.refused)) == (0, 2)


# ------------------------------------------------------------------------------------------------ afterwards


def test_a_release_can_be_withdrawn_and_says_who_holds_what(desk: Desk) -> None:
    one, two = desk.read(change("One"), change("Two"))
    for number in (one, two):
        desk.decide(number)
    desk.release()
    desk.decide(two, Verdict.REJECT, reasons=("wrong_fix",))
    changed = desk.release()
    assert changed.splits().keys() == {one, two}
    assert {name.partition(" ")[0] for name, way in changed.lineage().items() if way["candidate"] == two} == {
        "llm/scaffold/unpaired"
    }
    desk.decide(two, Verdict.FLAG)
    assert desk.release().splits().keys() == {one}
    with desk.db.read() as session:
        assert releases.list_holding(session, one) == [1, 2, 3]
        assert releases.list_holding(session, two) == [1, 2]

    desk.undo()
    desk.undo()
    back = desk.release()
    with desk.db.read() as session:
        assert releases.list_holding(session, two) == [1, 2, 4]
    assert back.rows() == desk.open(1).rows()

    with desk.db.write() as session:
        with pytest.raises(BadInputError, match="Say why"):
            releases.withdraw(session, desk.project, 4, " \n", now=NOON)
        releases.withdraw(session, desk.project, 4, "It held a test.", now=NOON)
    with desk.db.write() as session:
        with pytest.raises(ConflictError, match="withdrawn"):
            releases.withdraw(session, desk.project, 4, "Again.", now=NOON)
        assert releases.get_release(session, desk.project, "latest").number == 3
        assert releases.list_holding(session, two) == [1, 2, 4]
    assert desk.row(4).withdrawn_why == "It held a test."
    assert desk.open(4).rows() == back.rows()
    assert desk.rebuild(4).differing == []


def test_a_preview_is_what_a_freeze_then_writes(desk: Desk) -> None:
    numbers = desk.read(
        *(change(f"Issue {n}") for n in range(6)), change("Alike", "Issue 3"), change("Gone", successful_script=None)
    )
    for number in numbers[:4]:
        desk.decide(number)
    first = desk.release()
    desk.decide(numbers[0], Verdict.EDIT, edited=("script", SCRIPT + "\nMORE = 1\n"))
    desk.decide(numbers[1], Verdict.REJECT)
    for number in numbers[4:]:
        desk.decide(number)

    with desk.db.write() as session:
        job = releases.start_preview(session, desk.project, Spec("next"), now=NOON)
    seen = desk.preview()
    capped = Spec()
    with desk.db.read() as session:
        some = releases.preview(session, desk.settings, desk.project, capped, most=3, gate="no_script")
    desk.work()
    with desk.db.read() as session:
        told: Any = session.get_one(JobRow, job.id).result
    release = desk.release()

    assert (some.whole, some.n_seen, some.held, some.difference) == (False, 3, [], None)
    assert seen.whole
    assert {f"{one.role}/{one.task}/{one.objective}": counts.rows for one, counts in seen.facts.listed()} == {
        f"{one['role']}/{one['task']}/{one['objective']}": one["rows"] for one in release.manifest["datasets"]
    }
    assert [one.as_json(dataset) for dataset, one in seen.facts.listed()] == release.manifest["datasets"]
    assert seen.held == release.held
    for dataset, samples in seen.samples.items():
        rows: dict[Any, Row] = dict(release.rows("/".join(dataset)))
        assert len(samples) == min(5, len(rows))
        assert all(rows[row["id"]] == row | {"split": split} for split, row in samples)
    assert seen.difference is not None
    found = releases.compare(desk.settings, desk.row(1), desk.row(2))
    assert seen.difference.totals == found.totals
    assert seen.difference.counts == found.counts
    assert found.totals[0]
    assert found.totals[1]
    assert told == json.loads(json.dumps(seen.as_json()))
    assert first.splits().keys() == set(numbers[:4])


def test_releases_in_line_are_made_one_after_the_other_and_one_may_leave_it(desk: Desk) -> None:
    numbers = desk.read(*(change(f"Issue {n}") for n in range(3)))
    for number in numbers:
        desk.decide(number)
    first, second, third = desk.create(name="one"), desk.create(name="two"), desk.create(name="three")
    with desk.db.write() as session:
        jobs.cancel(session, desk.project, desk.row(second).job_id or 0, now=NOON)
    desk.work()

    assert [desk.row(number).state for number in (first, second, third)] == ["frozen", "failed", "frozen"]
    assert desk.row(second).message == "Cancelled before it began."
    assert {way["dealt"] for way in desk.open(first).lineage().values()} == {"digest"}
    assert {way["dealt"] for way in desk.open(third).lineage().values()} == {"ledger"}

    # Asked to stop while it runs.
    running = desk.create()
    with desk.db.write() as session:
        session.execute(update(JobRow).where(col(JobRow.id) == desk.row(running).job_id).values(cancel_requested=True))
    desk.work()
    assert (desk.row(running).state, desk.row(running).message) == ("failed", "Cancelled.")
    assert desk.job(running).state == JobState.CANCELLED
    assert {path.name for path in desk.open(first).folder.parent.iterdir()} == {"1", "3"}


def left_behind(desk: Desk, number: int) -> None:
    """What a worker leaves that dies after it published the folder, and another that dies before."""
    with desk.db.write() as session:
        row = releases.get_release(session, desk.project, number)
        row.state = ReleaseState.FREEZING
        candidate = session.execute(select(CandidateRow).order_by(col(CandidateRow.id)).limit(1)).scalar_one()
        session.add(
            LedgerRow(
                project_id=desk.project, issue=bytes(candidate.group_digest), split="test",
                since=number + 1, release_id=row.id,
            )
        )  # fmt: skip
        session.add(ReleasedRow(candidate_id=candidate.id or 0, release_id=row.id or 0, decision_id=1))
        place = releases.folder_of(desk.settings, row)
    for folder in (place, place.with_name(f".tmp-{number}-abc")):
        (folder / "examples").mkdir(parents=True)
        (folder / "examples" / "half.jsonl").write_text("{")


@pytest.mark.parametrize("given_up", [False, True])
def test_what_a_dead_worker_left_is_made_anew_or_thrown_away(desk: Desk, given_up: bool) -> None:
    numbers = desk.read(*(change(f"Issue {n}") for n in range(3)))
    for number in numbers:
        desk.decide(number)
    number = desk.create()
    left_behind(desk, number)
    with desk.db.write() as session:
        if given_up:
            died = update(JobRow).where(col(JobRow.id) == session.get_one(ReleaseRow, 1).job_id)
            session.execute(died.values(attempts=3, state=JobState.RUNNING, heartbeat_at=NOON))

    desk.work()
    assert desk.row(number).state == (ReleaseState.FAILED if given_up else ReleaseState.FROZEN)
    last = desk.release()

    if given_up:
        assert desk.row(number).message.startswith("Given up after 3 attempts")
    kept = {str(last.number)} if given_up else {"1", "2"}
    assert {path.name for path in last.folder.parent.iterdir()} == kept
    with desk.db.read() as session:
        by = session.execute(select(LedgerRow.release_id).distinct()).scalars().all()  # type: ignore[call-overload]
        assert by == [last.number if given_up else 1]
        assert releases.list_holding(session, numbers[0]) == [int(name) for name in sorted(kept)]
    assert set(last.splits()) == set(numbers)
