"""What speaks of one change becomes one candidate, whatever came first; what people decided is never swallowed."""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlmodel import Session, col

from app import assembly, checks, decisions, evidence, joining, prepare, queue, review
from app.candidates import Candidate, Finding, Validity
from app.db import Database
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import CandidateRow, NewCluesRow, Status, Verdict
from app.review import Act, Outcome
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import DIFF, SCRIPT
from tests.projects import EVIDENCE, Desk, Piece, other_log, piece, real_pieces, success_line
from tests.test_db import together

AT = datetime(2025, 6, 24, 12, 0, 30, tzinfo=UTC)
OTHER_SCRIPT = SCRIPT.replace('"b"', '"c"')
BROKEN = SCRIPT.replace("updated_node", "node")
OTHER_DIFF = DIFF.replace("+b", "+c")
LONG_DIFF = DIFF.replace("@@ -1 +1 @@", "@@ -1,101 +1,101 @@") + " the same line\n" * 100
WORDY_DIFF = DIFF.replace("+b", "+retry_limit = backoff_seconds(jitter)")
SOURCE = "LLMCore_polish_iteration_1"
_keys = count()


# ------------------------------------------------------------------------------------------------ small evidence


def success(
    issue: str = "Fix x",
    *,
    script: str | None = SCRIPT,
    diff: str | None = DIFF,
    after: float = 0,
    name: str = "success_memory.jsonl",
    **more: object,
) -> Piece:
    """A line of a success log; one without a script is of the first generation, which cuts diffs and hashes scripts."""
    said: dict[str, object] = {
        "timestamp_utc": (AT + timedelta(seconds=after)).isoformat(),
        "spec_issue_id": None,
        "spec_issue_description": issue,
        "spec_target_files": ["src/x.py"],
    }
    if script is None:
        cut = diff[:1000] + "..." if diff and len(diff) > 1000 else diff
        said |= {"spec_operations_summary": ["rename"], "successful_diff_summary_snippet": cut}
        said |= {"successful_script_hash": "-0x6f8a9e43811c011c"}
    else:
        said |= {"spec_operations_details": [], "successful_diff_summary": diff, "successful_script": script}
    return name, json.dumps(said | {"patch_source": SOURCE} | more).encode() + b"\n", {}


Tried = tuple[str, object]


def run(*tried: Tried, after: float = 0, issue: str = "", name: str = "", form: str = "tuples") -> Piece:
    """A run's history, in a file whose name says when it was, as the agent's do."""
    at = AT + timedelta(seconds=after)
    attempts: list[object] = [
        {"script": script, "is_valid": valid, "score": 0.5, "traceback": None if valid is True else "Ruff found issues"}
        for script, valid in tried
    ]
    if form != "objects":
        attempts = [list(one.values()) for one in attempts if isinstance(one, dict)]
    said: object = attempts
    if issue:
        said = {
            "run_id": name or f"{at:%Y%m%dT%H%M%S}",
            "timestamp_utc": at.isoformat(),
            "spec": {"issue_description": issue, "target_files": ["src/x.py"]},
            "outcome": "success",
            "patch_source": SOURCE,
            "patch_history": attempts,
        }
    return name or f"patch_history/run_{at:%Y%m%dT%H%M%S}.json", json.dumps(said).encode(), {}


def patch_set(issue: str = "Fix x", diff: str = DIFF, *, after: float = 0, name: str = "fix-x-1234") -> Piece:
    """A folder below `.autopatches` as the second builder leaves it."""
    said = {
        "patch_set_name": f"feature/auto-patch-{name}",
        "commit_title": "Auto-apply patch",
        "original_spec": {"issue_description": issue, "target_files": ["src/x.py"], "operations": []},
        "validator_results_summary": "N/A",
        "patch_source": SOURCE,
        "generation_timestamp_utc": (AT + timedelta(seconds=after)).isoformat().replace("+00:00", "Z"),
        "commit_builder_version": "0.1.0",
    }
    changelog = f"Issue: {issue}\n\nSummary of Operations:\n\nDiff Summary:\n{diff}"
    files = {"CHANGELOG_PATCH.md": changelog.encode(), "src/x.py": b"b\n"}
    return f".autopatches/feature/auto-patch-{name}/patch_meta.json", json.dumps(said, indent=2).encode(), files


def captured(*steps: dict[str, object], run: str = "7f", first: int = 0) -> list[Piece]:
    """The steps of a captured run, each a push of its own, ten seconds after the one before."""
    return [
        (
            "capture.jsonl",
            json.dumps(
                {
                    "patchsift_capture": 1,
                    "run": run,
                    "seq": seq,
                    "at": (AT + timedelta(seconds=10 * seq)).isoformat(),
                    **step,
                }
            ).encode()
            + b"\n",
            {},
        )
        for seq, step in enumerate(steps, first)
    ]


BEGUN: dict[str, object] = {"event": "run", "issue": "Fix x", "target_files": ["src/x.py"]}
FAILED: dict[str, object] = {"event": "attempt", "stage": "scaffold", "script": BROKEN, "is_valid": False}
PASSED: dict[str, object] = {"event": "attempt", "stage": "repair", "script": SCRIPT, "is_valid": True, "score": 0.9}
FINAL: dict[str, object] = {"event": "final", "script": SCRIPT, "diff": DIFF, "accepted": True}
ENDED: dict[str, object] = {"event": "end", "outcome": "success"}


@pytest.fixture
def desk(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> Desk:
    return Desk(db, settings, project_id, tmp_path)


def another(desk: Desk) -> Desk:
    """The same installation with a project that nothing has come to."""
    with desk.db.write() as session:
        project = review.ensure_project(session, f"project {next(_keys)}", now=NOON)
    return Desk(desk.db, desk.settings, project.id or 0, desk.folder / f"project-{project.id}")


def arrive(desk: Desk, pieces: Sequence[Piece], *, one_by_one: bool) -> list[str]:
    """Everything that a project says once these came to it, joined after each or at the end."""
    here = another(desk)
    for some in [[one] for one in pieces] if one_by_one else [pieces]:
        here.take(*some)
    assert tally(here) == counted(here)
    return here.tell()


def tally(desk: Desk) -> dict[str, int]:
    with desk.db.read() as session:
        return decisions.count_by_status(session, desk.project_id)


def counted(desk: Desk) -> dict[str, int]:
    """The rows of each status, counted."""
    with desk.db.read() as session:
        wanted = (
            select(CandidateRow.status, func.count())  # type: ignore[call-overload]
            .where(col(CandidateRow.project_id) == desk.project_id)
            .group_by(col(CandidateRow.status))
        )
        found = {status: n for status, n in session.execute(wanted) if status != Status.JOINED}
    return dict.fromkeys(tally(desk), 0) | found


# ------------------------------------------------------------------------------------------------ in any order


def variants() -> list[Piece]:
    """What real logs also hold: one thing said twice, in other words, at another time, by another writer."""
    _, raw, _ = piece("run_20250630T172543_c8d89f.json")
    as_tuples = [[one[key] for key in ("script", "is_valid", "score", "traceback")] for one in json.loads(raw)]
    bare = [[*one[:3], None] for one in as_tuples]
    line = success_line("flask", 15)
    return [
        ("saved/run_20250630T172600.json", json.dumps(as_tuples).encode(), {}),
        ("saved/run_20250630T172700.json", json.dumps(bare).encode(), {}),
        ("saved/again.json", json.dumps(json.loads(raw), indent=1).encode(), {}),
        ("a copy without a time.json", raw, {}),
        ("a copy.jsonl", piece("run_20250611T191147_87f155.json")[1], {}),
        other_log(line, "rated.jsonl", user_rating=4),
        other_log(line, "rated_too.jsonl", user_rating=2, timestamp_utc="2025-06-30T17:25:42+00:00"),
        other_log(success_line("flask", 1), "later.jsonl", timestamp_utc="2025-06-11T19:11:49+00:00"),
        other_log(success_line("flask", 9), "named.jsonl", id="7"),
        *captured(BEGUN, FAILED, PASSED, FINAL, ENDED),
        *captured(BEGUN, PASSED, run="8a"),
        success(after=25),
        run((BROKEN, False), (SCRIPT, True)),
    ]


@pytest.fixture
def n_orders(db: Database) -> int:
    """Few on PostgreSQL, whose part in this is the same statements."""
    return 5 if db.is_sqlite else 2


def test_real_evidence_gives_the_same_in_every_order_and_twice_over(desk: Desk, n_orders: int) -> None:
    pieces = [*real_pieces(), *variants()]
    first = arrive(desk, pieces, one_by_one=False)

    for seed in range(n_orders):
        rng = random.Random(seed)
        shuffled = pieces * (1 + seed % 2)
        rng.shuffle(shuffled)
        assert arrive(desk, shuffled, one_by_one=seed % 3 == 1) == first


_ISSUES = st.sampled_from(["Fix x", "Fix y", "N/A"])
_SCRIPTS = st.sampled_from([SCRIPT, OTHER_SCRIPT])
_DIFFS = st.sampled_from([DIFF, OTHER_DIFF, LONG_DIFF])
_TIMES = st.sampled_from([0, 1, 2, 9, 12, 600, 3599, 3700, 7200])
_TRIES = st.lists(st.tuples(st.sampled_from([SCRIPT, OTHER_SCRIPT, BROKEN]), st.booleans()), min_size=1, max_size=3)


@st.composite
def small_pieces(draw: st.DrawFn) -> Piece:
    """A piece of evidence that has much in common with others of its kind; what is equal has an equal name."""
    kind = draw(st.sampled_from(["success", "hash", "run", "wrapped", "patch set", "captured"]))
    issue, diff, after = draw(_ISSUES), draw(_DIFFS), draw(_TIMES)
    if kind in {"success", "hash"}:
        return success(issue, script=draw(_SCRIPTS) if kind == "success" else None, diff=diff, after=after)
    if kind == "run":
        return run(*draw(_TRIES), after=after, form=draw(st.sampled_from(["tuples", "objects"])))
    if kind == "wrapped":
        return run(*draw(_TRIES), after=after, issue=issue, name=f"{after}.json")
    if kind == "patch set":
        return patch_set(issue, diff, after=after, name=f"{issue.replace('/', '')}-{len(diff)}-{after}")
    step = draw(st.sampled_from([BEGUN, FAILED, PASSED, FINAL, {**PASSED, "script": OTHER_SCRIPT}]))
    [told] = captured(step, run=draw(st.sampled_from(["1", "2"])), first=draw(st.integers(0, 3)))
    return told


@examples(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(small_pieces(), min_size=2, max_size=8), st.randoms(use_true_random=False), st.booleans())
def test_evidence_of_any_kind_gives_the_same_in_every_order(
    desk: Desk, pieces: list[Piece], rng: random.Random, one_by_one: bool
) -> None:
    shuffled = pieces + pieces[::2]
    rng.shuffle(shuffled)

    assert arrive(desk, shuffled, one_by_one=one_by_one) == arrive(desk, pieces, one_by_one=not one_by_one)


def test_what_belongs_together_is_joined_and_nothing_else(desk: Desk) -> None:
    desk.take(*real_pieces())
    expected = set()
    for told in (EVIDENCE / "truth.jsonl").read_text(encoding="utf-8").splitlines():
        one = json.loads(told)
        home = f"projects/{one['project']}/"
        names = [f"{home}.agent_data/patch_history/{one['run']}"] if one["run"] else []
        names += [f"{home}.autopatches/{one['patch_set']}/patch_meta.json"] if one["patch_set"] else []
        if one["entry"]:
            name, raw, _ = success_line(one["project"], one["entry"])
            names.append(f"{name} {json.loads(raw)['timestamp_utc']}")
        expected.add(frozenset(names))

    assert desk.clusters() == expected


def test_runs_that_tried_one_canned_script_are_not_looked_at_together(desk: Desk) -> None:
    runs = [run((BROKEN, False), (f"{SCRIPT}# {n}\n", True), after=60 * n) for n in range(20)]

    desk.take(*runs, join=False)

    assert joining.run(desk.db, desk.project_id) == 0
    assert len(desk.rows()) == 20


def test_a_script_that_a_crowd_holds_says_nothing_whoever_comes_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a model the agent writes one and the same script for everything."""
    monkeypatch.setattr(assembly, "_CROWDED", 4)
    crowd = [success(f"Fix {n}", diff=DIFF.replace("+b", f"+b{n}"), after=7200 * n) for n in range(5)]
    crowd += [run((BROKEN, False), (SCRIPT, True), after=7200 * n + 300) for n in range(5)]
    crowd.append(run((BROKEN, False), (SCRIPT, True), issue="Fix 2", after=7200 * 2 + 400))
    crowd.append(patch_set("Fix 3", DIFF.replace("+b", "+b3"), after=9e6))
    first = arrive(desk, crowd, one_by_one=False)

    for seed in range(4):
        shuffled = random.Random(seed).sample(crowd, len(crowd))
        assert arrive(desk, shuffled, one_by_one=seed % 2 == 0) == first
    parts = [part for told in first for part in json.loads(told).get("parts", ())]
    assert [part[3] for part in parts] == ["same_diff"]


def test_as_many_are_looked_at_together_as_there_is_room_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first = arrive(desk, real_pieces(), one_by_one=False)

    monkeypatch.setattr(joining, "_WIDEST", 3)

    assert arrive(desk, real_pieces(), one_by_one=False) == first


def test_a_stream_of_entries_that_share_little_is_not_read_again_and_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every ten seconds an entry that asks for a run, and every ten seconds a run: a chain without an end."""
    monkeypatch.setattr(joining, "_MOST", 1)
    read: list[int] = []
    read_units = evidence.read_units

    def count_read(session: Session, ids: Iterable[int]) -> dict[int, evidence.Unit]:
        found = list(ids)
        read.append(len(found))
        return read_units(session, found)

    desk.take(*(success(f"Fix {n}", script=None, diff=WORDY_DIFF, after=10 * n) for n in range(20)))
    desk.take(*(run((f"{SCRIPT}# {n}\n", True), after=10 * n + 3) for n in range(20)))
    monkeypatch.setattr(evidence, "read_units", count_read)
    desk.take(run((BROKEN, False), (SCRIPT, True), after=101))

    assert sum(read) <= 5
    assert len(desk.rows()) == 41


# ------------------------------------------------------------------------------------------------ what arrives later


@pytest.mark.parametrize(
    ("later", "confidence"),
    [
        pytest.param(run((BROKEN, False), (SCRIPT, True), issue="Fix x", after=30), "low", id="its run, by the issue"),
        pytest.param(run((BROKEN, False), (SCRIPT, True), after=1), "low", id="its run, by the moment"),
        pytest.param(success(after=9), "high", id="the same diff with a script"),
    ],
)
def test_an_entry_without_a_script_gets_it_when_it_comes(desk: Desk, later: Piece, confidence: str) -> None:
    desk.take(success(script=None))
    before = desk.only()

    desk.take(later)

    after = desk.only()
    assert (before.has_script, after.has_script) == (False, True)
    assert desk.said(after).script == SCRIPT
    assert [one.confidence for one in desk.parts(after)] == [confidence]


def test_a_cut_diff_is_whole_when_the_patch_set_comes(desk: Desk) -> None:
    desk.take(success(script=None, diff=LONG_DIFF))
    assert desk.said(desk.only()).diff_is_snippet

    desk.take(patch_set(diff=LONG_DIFF, after=2))

    said = desk.said(desk.only())
    assert (said.diff, said.diff_is_snippet) == (LONG_DIFF, False)
    assert said.found_in["diff"] == "patch set .autopatches/feature/auto-patch-fix-x-1234/patch_meta.json"
    assert said.patch_set is not None
    assert said.patch_set.files[0].text == "b\n"


def test_a_run_that_came_alone_becomes_a_part_when_its_success_comes(desk: Desk) -> None:
    desk.take(run((BROKEN, False), (SCRIPT, True)))
    alone = desk.only()
    assert (alone.n_attempts, alone.status) == (2, "pending")

    desk.take(success(after=5000))

    row = desk.only()
    assert row.id != alone.id
    assert (row.n_parts, row.n_attempts, row.title) == (1, 2, "Fix x")
    [part] = desk.parts(row)
    assert (part.unit, part.form, part.reason) == (alone.id, "run", "Both hold exactly the same script.")
    assert tally(desk) == counted(desk)
    assert tally(desk)["pending"] == 1


def test_a_patch_set_of_two_files_comes_with_its_spec(desk: Desk) -> None:
    desk.take(success(), patch_set())

    assert [(row.kind, row.n_parts) for row in desk.rows()] == [("patch", 1), ("spec", 0)]


def test_what_is_retried_from_quarantine_is_joined_at_once(desk: Desk) -> None:
    from app import ingest

    desk.take(run((SCRIPT, True)), ("broken.jsonl", b"broken\n", {}))

    with desk.db.write() as session:
        ingest.retry(session, desk.settings, desk.project_id, 1, corrected=success()[1].strip(), now=NOON)

    assert desk.only().n_parts == 1


def test_projects_do_not_mix(desk: Desk) -> None:
    other = another(desk)

    desk.take(success())
    other.take(run((SCRIPT, True)))

    assert desk.only().n_parts == 0
    assert other.only().n_parts == 0


# ------------------------------------------------------------------------------------------------ a captured run


def test_a_captured_run_grows_push_by_push(desk: Desk) -> None:
    begun, failed, passed, final, ended = captured(BEGUN, FAILED, PASSED, FINAL, ENDED)

    desk.take(begun, failed)
    row = desk.only()
    assert (row.title, row.n_attempts, row.has_script) == ("Fix x", 1, True)
    desk.take(passed, final, ended)

    grown = desk.only()
    assert (grown.id, grown.n_attempts, grown.n_parts) == (row.id, 2, 0)
    assert grown.version > row.version
    said = desk.said(grown)
    assert said.run is not None
    assert [one.validity for one in said.run.attempts] == [Validity.INVALID, Validity.VALID]
    assert (said.diff, said.script, said.run.outcome) == (DIFF, SCRIPT, "success")


def test_steps_that_come_in_another_order_and_twice_make_the_same_run(desk: Desk) -> None:
    steps = captured(BEGUN, FAILED, PASSED, FINAL, ENDED)
    first = arrive(desk, steps, one_by_one=True)

    assert arrive(desk, [*reversed(steps), *steps], one_by_one=True) == first
    assert arrive(desk, [("capture.jsonl", b"".join(raw for _, raw, _ in steps), {})], one_by_one=False) == first


def test_a_success_that_comes_after_a_captured_run_finds_it_by_what_all_its_steps_say(desk: Desk) -> None:
    steps = captured({**BEGUN, "issue": None}, FAILED, PASSED)

    for pieces in combinations_of_two(steps, success(script=None, after=0)):
        here = another(desk)
        for one in pieces:
            here.take(one)
        assert here.only().n_parts == 1


def combinations_of_two(steps: Sequence[Piece], entry: Piece) -> list[list[Piece]]:
    """The entry first, and the entry last."""
    return [[entry, *steps], [*steps, entry]]


# ------------------------------------------------------------------------------------------------ decided already


class Reviewer:
    """A person who decides, joins, splits and takes back."""

    def __init__(self, desk: Desk, reviewer_id: int) -> None:
        self.desk, self.reviewer_id = desk, reviewer_id

    def decide(self, row: CandidateRow, verdict: str = "accept", edited: tuple[str, str] | None = None) -> None:
        act = Act(Verdict(verdict), row.version, f"key-{next(_keys)}", edited=edited)
        with self.desk.db.write() as session:
            review.decide(session, self.desk.project_id, self.reviewer_id, row.id or 0, act, now=NOON)

    def join(self, row: CandidateRow, other: CandidateRow, key: str = "", version: int | None = None) -> Outcome:
        return self._say(review.join, row, other.id or 0, key, version)

    def split(self, row: CandidateRow, part: int, key: str = "", version: int | None = None) -> Outcome:
        return self._say(review.split, row, part, key, version)

    def _say(
        self, say: Callable[..., Outcome], row: CandidateRow, other: int, key: str, version: int | None
    ) -> Outcome:
        with self.desk.db.write() as session:
            return say(
                session, self.desk.project_id, self.reviewer_id, row.id or 0, other,
                version=row.version if version is None else version, key=key or f"key-{next(_keys)}", now=NOON,
            )  # fmt: skip

    def undo(self, key: str = "") -> Outcome:
        with self.desk.db.write() as session:
            key = key or f"key-{next(_keys)}"
            return review.undo(session, self.desk.project_id, self.reviewer_id, key=key, now=NOON)

    def verdicts(self, row: CandidateRow) -> list[str]:
        with self.desk.db.read() as session:
            return [decision.verdict for decision, _, _ in decisions.list_history(session, row.id or 0)]

    def exportable(self) -> int:
        """How many rows an export would hold."""
        from app import downloads

        with self.desk.db.read() as session:
            return downloads.preview(session, self.desk.settings, self.desk.project_id, downloads.Order()).n_rows


@pytest.fixture
def reviewer(desk: Desk, reviewer_id: int) -> Reviewer:
    return Reviewer(desk, reviewer_id)


@pytest.fixture
def sound(desk: Desk) -> Iterator[None]:
    """However a test ends, the counts are those of the rows, and no decision was changed."""
    yield
    assert tally(desk) == counted(desk)
    with desk.db.read() as session:
        assert decisions.verify_chain(session, desk.project_id) is None
        assert decisions.find_false_state(session, desk.project_id) == ""


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize("verdict", ["accept", "reject", "flag"])
def test_texts_that_are_new_must_be_judged_anew(desk: Desk, reviewer: Reviewer, verdict: str) -> None:
    desk.take(success(script=None))
    reviewer.decide(desk.only(), verdict)
    decided = desk.only()

    desk.take(run((BROKEN, False), (SCRIPT, True), issue="Fix x"))

    row = desk.only()
    assert (row.id, row.status, row.version > decided.version) == (decided.id, "pending", True)
    assert decided.version < row.judged_from <= row.version
    assert reviewer.verdicts(row) == [verdict]
    with pytest.raises(ConflictError, match="changed"):
        reviewer.decide(decided)


@pytest.mark.usefixtures("sound")
def test_what_must_be_judged_anew_is_not_exported(desk: Desk, reviewer: Reviewer) -> None:
    desk.take(success(diff=None))
    reviewer.decide(desk.only(), "edit", edited=("script", OTHER_SCRIPT))
    assert reviewer.exportable() == 1

    desk.take(success(after=60))

    row = desk.only()
    assert (row.status, reviewer.exportable()) == ("pending", 0)
    with desk.db.read() as session:
        opened = review.open_candidate(session, desk.project_id, row.id or 0)
    assert opened.stands is opened.said
    assert opened.history[0][2] is not None
    assert opened.history[0][2].text == OTHER_SCRIPT
    reviewer.decide(row)
    assert reviewer.exportable() == 1


@pytest.mark.usefixtures("sound")
def test_an_old_decision_does_not_stand_again_when_the_new_one_is_taken_back(desk: Desk, reviewer: Reviewer) -> None:
    desk.take(success(script=None))
    reviewer.decide(desk.only())
    desk.take(run((SCRIPT, True), issue="Fix x"))
    reviewer.decide(desk.only(), "reject")

    reviewer.undo()

    assert desk.only().status == "pending"


@pytest.mark.usefixtures("sound")
def test_attempts_that_are_new_leave_a_decision_as_it_is(desk: Desk, reviewer: Reviewer) -> None:
    desk.take(success())
    reviewer.decide(desk.only())
    decided = desk.only()

    desk.take(run((BROKEN, False), (SCRIPT, True)), patch_set())

    row = desk.only()
    assert (row.id, row.status, row.version, row.n_parts) == (decided.id, "accepted", decided.version, 2)
    assert row.n_attempts == 2
    assert reviewer.exportable() == 1


@pytest.mark.usefixtures("sound")
def test_what_is_decided_leads_whatever_joins_it(desk: Desk, reviewer: Reviewer) -> None:
    desk.take(run((BROKEN, False), (SCRIPT, True)))
    reviewer.decide(desk.only())
    decided = desk.only()

    desk.take(success())
    desk.take(success(script=None, after=40))

    row = desk.only()
    assert (row.id, row.n_parts, row.status) == (decided.id, 2, "pending")
    assert reviewer.verdicts(row) == ["accept"]


@pytest.mark.usefixtures("sound")
def test_two_that_are_decided_are_not_joined_by_themselves(desk: Desk, reviewer: Reviewer) -> None:
    desk.take(success(), run((SCRIPT, True)), join=False)
    for row in desk.rows():
        reviewer.decide(row)

    joining.run(desk.db, desk.project_id)
    desk.take(patch_set())

    assert [(row.status, row.n_parts) for row in desk.rows()] == [("accepted", 1), ("accepted", 0), ("pending", 0)]


@pytest.mark.usefixtures("sound")
def test_a_skipped_candidate_is_joined_as_a_pending_one_is(desk: Desk, reviewer: Reviewer) -> None:
    desk.take(run((SCRIPT, True)))
    reviewer.decide(desk.only(), "skip")

    desk.take(success())

    assert (desk.only().title, desk.only().status) == ("Fix x", "pending")


# ------------------------------------------------------------------------------------------------ by hand


@pytest.fixture
def two(desk: Desk) -> tuple[CandidateRow, CandidateRow]:
    """Two successes that have nothing in common."""
    desk.take(success(), success("Fix y", script=OTHER_SCRIPT, diff=OTHER_DIFF, after=9000))
    one, other = desk.rows()
    return one, other


@pytest.mark.usefixtures("sound")
def test_two_are_joined_by_hand_and_taken_apart_by_undo(
    desk: Desk, reviewer: Reviewer, two: tuple[CandidateRow, CandidateRow]
) -> None:
    outcome = reviewer.join(*two)

    row = desk.only()
    assert (row.id, row.n_parts, tally(desk)["pending"]) == (two[0].id, 1, 1)
    [part] = desk.parts(row)
    assert (part.unit, part.confidence, part.reason) == (two[1].id, "by hand", "A person joined them.")
    assert outcome.decision is not None
    assert (outcome.decision.verdict, outcome.decision.other_id) == ("join", two[1].id)
    with pytest.raises(ConflictError, match=f"joined with candidate {two[0].id}"):
        reviewer.decide(two[1])

    reviewer.undo()

    assert [(row.id, row.n_parts, row.status) for row in desk.rows()] == [
        (two[0].id, 0, "pending"), (two[1].id, 0, "pending"),
    ]  # fmt: skip
    assert tally(desk)["pending"] == 2


@pytest.mark.usefixtures("sound")
def test_a_part_is_split_by_hand_stays_apart_and_comes_back_by_undo(desk: Desk, reviewer: Reviewer) -> None:
    desk.take(success(), run((BROKEN, False), (SCRIPT, True)))
    [part] = desk.parts(desk.only())

    reviewer.split(desk.only(), part.unit)
    assert [(row.n_parts, row.n_attempts) for row in desk.rows()] == [(0, 0), (0, 2)]
    desk.take(success(after=60), run((SCRIPT, True), after=5))
    assert [(row.n_parts, row.n_attempts) for row in desk.rows()] == [(1, 1), (0, 2)]

    reviewer.undo()
    assert [row.n_parts for row in desk.rows() if row.title == "Fix x"] == [1]


@pytest.mark.usefixtures("sound")
def test_what_was_joined_by_hand_may_be_split_by_hand_and_joined_again(
    desk: Desk, reviewer: Reviewer, two: tuple[CandidateRow, CandidateRow]
) -> None:
    reviewer.join(*two)
    reviewer.split(desk.only(), two[1].id or 0)
    assert len(desk.rows()) == 2

    reviewer.join(desk.rows()[0], two[1])
    assert len(desk.rows()) == 1
    reviewer.undo()
    assert len(desk.rows()) == 2
    reviewer.undo()
    assert len(desk.rows()) == 1


@pytest.mark.usefixtures("sound")
def test_the_same_key_again_gets_the_first_answer(reviewer: Reviewer, two: tuple[CandidateRow, CandidateRow]) -> None:
    first = reviewer.join(*two, key="once")

    again = reviewer.join(*two, key="once")

    assert again.repeated
    assert again.decision is not None
    assert first.decision is not None
    assert again.decision.id == first.decision.id
    assert reviewer.verdicts(two[0]) == ["join"]


@pytest.mark.usefixtures("sound")
def test_a_key_belongs_to_one_decision(desk: Desk, reviewer: Reviewer, two: tuple[CandidateRow, CandidateRow]) -> None:
    reviewer.join(*two, key="once")

    with pytest.raises(ConflictError, match="key was used"):
        reviewer.split(desk.only(), two[1].id or 0, key="once")


@pytest.mark.usefixtures("sound")
def test_a_join_of_what_was_changed_since_is_refused(
    desk: Desk, reviewer: Reviewer, two: tuple[CandidateRow, CandidateRow]
) -> None:
    reviewer.decide(two[0])

    with pytest.raises(ConflictError, match=r"version 1.*version 2 and accepted"):
        reviewer.join(*two)

    assert len(desk.rows()) == 2


@pytest.mark.usefixtures("sound")
def test_two_that_are_decided_are_joined_by_hand_and_get_their_decisions_back(
    desk: Desk, reviewer: Reviewer, two: tuple[CandidateRow, CandidateRow]
) -> None:
    for row, verdict in zip(two, ("accept", "reject"), strict=True):
        reviewer.decide(row, verdict)

    one, other = desk.rows()
    reviewer.join(one, other)
    assert [row.status for row in desk.rows()] == ["accepted"]

    reviewer.undo()
    assert [row.status for row in desk.rows()] == ["accepted", "rejected"]
    assert {name: n for name, n in tally(desk).items() if n} == {"accepted": 1, "rejected": 1}


@pytest.mark.usefixtures("sound")
def test_a_candidate_is_joined_with_the_whole_that_a_part_belongs_to(desk: Desk, reviewer: Reviewer) -> None:
    desk.take(success(), run((SCRIPT, True)), success("Fix y", script=OTHER_SCRIPT, diff=OTHER_DIFF, after=9000))
    one, other = desk.rows()
    [part] = desk.parts(one)
    with desk.db.read() as session:
        joined = session.get_one(CandidateRow, part.unit)

    reviewer.join(other, joined)

    assert desk.only().n_parts == 2


@pytest.mark.usefixtures("sound")
def test_what_makes_no_sense_gets_a_sentence_and_stores_nothing(
    desk: Desk, reviewer: Reviewer, two: tuple[CandidateRow, CandidateRow]
) -> None:
    desk.take(("pairs.jsonl", piece("t5_spec_pairs.jsonl")[1].splitlines(keepends=True)[0], {}))
    spec = desk.rows()[-1]
    one, other = two

    with pytest.raises(BadInputError, match="joined with it already"):
        reviewer.join(one, one)
    with pytest.raises(BadInputError, match="Only patches"):
        reviewer.join(one, spec)
    with pytest.raises(BadInputError, match="no part of candidate"):
        reviewer.split(one, other.id or 0)
    with pytest.raises(NotFoundError):
        reviewer.split(one, 99)
    with pytest.raises(BadInputError, match="A key is"):
        reviewer.join(one, other, key="\n")

    assert reviewer.verdicts(one) == []
    assert len(desk.rows()) == 3


@pytest.mark.usefixtures("sound")
def test_lists_and_counts_follow_at_once(
    desk: Desk, reviewer: Reviewer, two: tuple[CandidateRow, CandidateRow]
) -> None:
    def listed() -> tuple[list[int | None], str]:
        with desk.db.read() as session:
            found = queue.list_candidates(session, desk.project_id, queue.Filter(status="pending")).candidates
            n = queue.count_candidates(session, desk.project_id, queue.Filter())
        return [row.id for row in found], str(n)

    assert listed() == ([two[0].id, two[1].id], "2")
    reviewer.join(*two)
    assert listed() == ([two[0].id], "1")
    reviewer.split(desk.only(), two[1].id or 0)
    assert listed() == ([two[0].id, two[1].id], "2")


def test_a_key_of_a_join_undoes_nothing(reviewer: Reviewer, two: tuple[CandidateRow, CandidateRow]) -> None:
    reviewer.join(*two, key="once")

    with pytest.raises(ConflictError, match="key was used"):
        reviewer.undo("once")


# ------------------------------------------------------------------------------------------------ checks, renderings


def test_what_is_shown_is_never_what_was_rendered_of_other_texts(desk: Desk) -> None:
    desk.take(success(script=None, diff=LONG_DIFF))
    prepare.run(desk.db)

    desk.take(patch_set(diff=LONG_DIFF, after=2))

    with desk.db.read() as session:
        opened = review.open_candidate(session, desk.project_id, desk.only().id or 0)
        assert review.show(session, opened, "unified") == prepare.render(opened.row.id or 0, opened.said, "unified")[0]
        assert "diff_cut" not in {found.code for found in opened.findings}


def test_what_was_checked_while_a_part_came_is_checked_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    later = [run((BROKEN, False), issue="Fix x", after=20), run((SCRIPT, "pending_revalidation"), after=30)]
    desk.take(success(), success("Fix y", script=None, diff=OTHER_DIFF, after=9000))
    check = checks.run

    def meanwhile(candidate: Candidate) -> tuple[Finding, ...]:
        if later:
            desk.take(later.pop())
        return check(candidate)

    monkeypatch.setattr(checks, "run", meanwhile)
    prepare.run(desk.db)
    prepare.run(desk.db)

    with desk.db.read() as session:
        for row in desk.rows():
            said = evidence.read_whole(session, row.id or 0)
            assert row.checks_version == checks.CHECKS_VERSION
            assert review.list_findings(session, row, said) == list(check(said))
    assert "never_validated" in desk.rows()[0].findings


# ------------------------------------------------------------------------------------------------ crashes, upgrades


@pytest.mark.parametrize("n_steps", [1, 2, 5])
def test_an_interrupted_joining_goes_on_where_it_stopped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, n_steps: int
) -> None:
    pieces = [*real_pieces()[:12], *variants()]
    first = arrive(desk, pieces, one_by_one=False)
    # One candidate a transaction, and a few batches a round: as many places to stop at as there can be.
    monkeypatch.setattr(joining, "_SECONDS", 0)
    monkeypatch.setattr(joining, "_ROUND", 4)
    steps: list[int] = []

    def stop(done: int, total: int) -> None:
        assert 0 < done <= total
        steps.append(done)
        if len(steps) == n_steps:
            raise KeyboardInterrupt

    desk.take(*pieces, join=False)
    with pytest.raises(KeyboardInterrupt):
        joining.run(desk.db, desk.project_id, progress=stop)
    joining.run(desk.db, desk.project_id)

    assert desk.tell() == first
    with desk.db.read() as session:
        assert session.execute(select(func.count()).select_from(NewCluesRow)).scalar_one() == 0


def test_two_programs_that_join_at_once_do_it_once(desk: Desk) -> None:
    first = arrive(desk, real_pieces(), one_by_one=False)
    desk.take(*real_pieces(), join=False)
    other = Database(desk.settings)
    databases = [desk.db, other]

    def join(number: int) -> None:
        joining.run(databases[number], desk.project_id)

    together(2, join)
    other.close()

    assert desk.tell() == first
    assert tally(desk) == counted(desk)


def test_what_came_in_before_there_were_clues_is_joined_with_what_comes_after(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command

    from app import migrations
    from app.migrations.alembic import config

    monkeypatch.setattr(joining, "_ROUND", 2)
    old = [success_line("flask", number) for number in range(1, 16)]
    runs = [one for one in real_pieces() if "/flask/" in one[0] and "patch_history" in one[0]]
    desk.take(*old, join=False)
    with desk.db.engine.begin() as connection:
        command.downgrade(config(connection), "0001")
    assert migrations.upgrade(desk.db)

    desk.take(*runs)

    assert desk.tell() == arrive(desk, [*old, *runs], one_by_one=False)


@pytest.mark.usefixtures("sound")
def test_a_lead_takes_the_rating_of_a_part_and_gives_it_back(desk: Desk, reviewer: Reviewer) -> None:
    """Two entries of one change, of which the log's owner rated one: it must not hang on which of them leads."""
    desk.take(success(script=None))
    desk.take(success(script=None, after=2, diff="--- a/y.py\n+++ b/y.py\n@@ -1 +1 @@\n-c\n+d\n", user_rating=4))
    rows = desk.rows()
    if len(rows) > 1:
        reviewer.join(rows[0], rows[1])
    row = desk.only()
    assert row.rating == 4
    with desk.db.read() as session:
        [part] = review.open_candidate(session, desk.project_id, row.id or 0).parts

    reviewer.split(row, part.unit)

    assert {one.rating for one in desk.rows()} == {None, 4}
