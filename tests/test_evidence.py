"""What is known of a candidate of each kind: its own entry, its parts, and the bytes that they stand in."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import Session

from app import evidence, joining, prepare, review, sources
from app.candidates import Direction, Kind, Stage, Validity
from app.db import Database
from app.errors import AppError, BadInputError
from app.evidence import Told
from app.models import CandidateRow
from app.settings import Settings
from tests.projects import Desk, Piece, other_log, piece, success_line

FLASK, REQUESTS = "projects/flask/", "projects/requests/"
LOG = f"{FLASK}.agent_data/success_memory.jsonl"


@pytest.fixture
def desk(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> Desk:
    return Desk(db, settings, project_id, tmp_path)


def told(desk: Desk, kind: Kind = Kind.PATCH) -> Told:
    """Everything that is known of the one candidate of a kind."""
    [row] = [row for row in desk.rows() if row.kind == kind]
    with desk.db.read() as session:
        return evidence.read_candidate(session, session.get_one(CandidateRow, row.id))


# ------------------------------------------------------------------------------------------------ kinds


def test_a_success_alone_is_its_line(desk: Desk) -> None:
    desk.take(success_line("flask", 1))

    one = told(desk)

    assert (one.source_name, one.entry.line, one.parts) == (LOG, 1, ())
    assert (one.said.generation, one.said.script, one.said.run, one.said.found_in) == ("G1", None, None, {})
    assert one.entry.raw == success_line("flask", 1)[1].strip()


def test_a_success_with_its_run_and_its_patch_set_is_one_story(desk: Desk) -> None:
    history, patch_set = piece("run_20250613T101325_86a266.json"), piece("TASK-729-9614/patch_meta.json")
    desk.take(success_line("flask", 5), history, patch_set)

    one = told(desk)

    assert one.source_name == LOG
    assert [(part.form, part.name, part.place, part.confidence) for part in one.parts] == [
        ("patch set", patch_set[0], "", "high"),
        ("run", history[0], "", "low"),
    ]
    assert one.parts[0].reason == "Both hold the same diff, white space aside."
    assert one.said.run is not None
    assert one.said.run.final is not None
    assert one.said.script == one.said.run.final.script
    assert one.said.found_in["script"].startswith(f"run {history[0]}")
    assert one.said.patch_set is not None
    assert (one.said.patch_set.generation, [file.path for file in one.said.patch_set.files]) == ("CBa", ["setup.py"])
    # What the line says stays, and its diff is whole: it was too short to be cut.
    assert one.said.diff == json.loads(success_line("flask", 5)[1])["successful_diff_summary_snippet"]


def test_a_run_alone_is_its_attempts(desk: Desk) -> None:
    desk.take(piece("run_20250620T204316_c9a52e.json"))

    one = told(desk)

    assert one.said.run is not None
    assert (one.said.run.form, one.said.run.run_id) == ("tuples", "20250620T204316_c9a52e")
    assert len(one.said.run.attempts) == desk.only().n_attempts == 13
    assert one.said.run.attempts[0].stage is Stage.SCAFFOLD
    assert one.said.run.attempts[-1].validity is Validity.INVALID
    assert str(one.said.logged_at) == "2025-06-20 20:43:16+00:00"


def test_a_patch_set_without_a_success_line_is_a_patch_and_a_spec(desk: Desk) -> None:
    desk.take(piece("second-commit-fixe-8495/patch_meta.json"))

    patch, spec = told(desk), told(desk, Kind.SPEC)

    assert patch.said.patch_set is not None
    assert patch.said.patch_set.name == "feature/auto-patch-second-commit-:-fixe-8495"
    assert patch.said.diff == patch.said.patch_set.diff
    assert (patch.said.patch_source, patch.said.target_files) == ("LLMCore_polish_iteration_3", ("requests/auth.py",))
    assert spec.said.spec is not None
    assert spec.said.spec.origin == "patch_set"
    assert spec.said.spec.yaml.startswith("issue_description:")
    assert spec.entry.raw == patch.entry.raw


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("t5_spec_pairs.jsonl", Kind.SPEC),
        ("divot5_refiner_pairs.jsonl", Kind.STYLE_REFINE),
        ("divot5_unifier_pairs.jsonl", Kind.STYLE_UNIFY),
    ],
)
def test_a_pair_is_its_line(desk: Desk, name: str, kind: Kind) -> None:
    path, raw, _ = piece(name)
    lines = raw.splitlines()
    desk.take((path, raw, {}))

    rows = desk.rows()

    assert [row.kind for row in rows] == [kind] * len(lines)
    with desk.db.read() as session:
        for row, line in zip(rows, lines, strict=True):
            one = evidence.read_candidate(session, row)
            assert (one.entry.raw, one.parts) == (line, ())
            logged = json.loads(line)
            answer = logged.get("yaml_spec_string") or logged.get("refined_output_string") or logged["unified_profile"]
            [said] = one.said.texts.values()
            # Older specs stand between tags.
            assert said in (answer if isinstance(answer, str) else json.dumps(answer, indent=2))


def test_a_captured_run_is_all_its_lines(desk: Desk) -> None:
    steps: list[dict[str, object]] = [
        {"event": "run", "issue": "Fix x", "score_direction": "lower"},
        {"event": "prompt", "stage": "scaffold", "text": "Write a script."},
        {"event": "attempt", "stage": "scaffold", "script": "import libcst", "is_valid": True, "score": 0.1},
    ]
    lines = [json.dumps({"patchsift_capture": 1, "run": "a", "seq": n, "at": "2025-06-24T12:00:00Z", **step})
             for n, step in enumerate(steps)]  # fmt: skip
    desk.take(*(("capture.jsonl", line.encode(), {}) for line in lines))

    one = told(desk)

    assert one.said.run is not None
    assert one.said.run.direction is Direction.LOWER
    assert dict(one.said.run.prompts) == {"scaffold": "Write a script."}
    assert (one.said.issue, one.said.script) == ("Fix x", "import libcst")


# ------------------------------------------------------------------------------------------------ which entry counts


def test_of_runs_that_say_the_same_the_fullest_is_told(desk: Desk) -> None:
    name, raw, _ = piece("run_20250630T172543_c8d89f.json")
    attempts = json.loads(raw)
    as_tuples = json.dumps([list(one.values()) for one in attempts]).encode()
    desk.take(("saved/run_20250630T172600.json", as_tuples, {}), (name, raw, {}))

    one = told(desk)

    assert one.said.run is not None
    assert (one.said.run.form, one.source_name) == ("objects", name)
    assert desk.only().generation == "objects"
    assert str(desk.only().logged_at) == "2025-06-30 17:25:43+00:00"


def test_of_files_with_the_same_bytes_the_one_counts_that_tells_the_time(desk: Desk) -> None:
    name, raw, _ = piece("run_20250613T085646_66b7e6.json")
    attempts = json.dumps(json.loads(raw)["patch_history"]).encode()
    desk.take(success_line("flask", 4), ("a.jsonl", attempts, {}), (f"runs/{name.rpartition('/')[2]}", attempts, {}))

    one = told(desk)

    assert [(part.name, part.place) for part in one.parts] == [("runs/run_20250613T085646_66b7e6.json", "")]
    assert one.said.run is not None
    assert one.said.run.run_id == "20250613T085646_66b7e6"
    assert one.said.found_in["run"].startswith("run runs/run_20250613T085646_66b7e6.json")
    with desk.db.read() as session:
        assert sources.get_source(session, one.parts[0].source_id).name == "runs/run_20250613T085646_66b7e6.json"


def test_a_rating_counts_whichever_log_gives_it(desk: Desk) -> None:
    line = success_line("flask", 15)
    desk.take(line, other_log(line, "a.jsonl", user_rating=2), other_log(line, "b.jsonl", user_rating=4))
    desk.take(other_log(line, "b.jsonl", user_rating=3))

    assert told(desk).said.rating == desk.only().rating == 3


def test_a_person_says_which_way_scores_count(desk: Desk) -> None:
    desk.take(success_line("flask", 15), piece("run_20250630T172543_c8d89f.json"))
    prepare.run(desk.db)

    with desk.db.write() as session:
        evidence.set_direction(session, [2], Direction.LOWER)

    one = told(desk)
    assert one.said.run is not None
    assert one.said.run.direction is Direction.LOWER
    assert one.said.run.direction_why == "A person set it for this source."
    assert desk.only().checks_version == 0
    assert joining.run(desk.db, desk.project_id) == 0


@pytest.mark.parametrize(("value", "direction"), [("", None), ("higher", Direction.HIGHER), ("lower", Direction.LOWER)])
def test_a_direction_is_one_of_two_or_the_guess(value: str, direction: Direction | None) -> None:
    assert evidence.parse_direction(value) is direction


def test_another_direction_is_refused() -> None:
    with pytest.raises(BadInputError, match="'sideways'"):
        evidence.parse_direction("sideways")


# ------------------------------------------------------------------------------------------------ bytes


def attached(session: Session) -> dict[str, bytes]:
    found = session.connection().execute(text("SELECT path, raw FROM attachment"))
    return {path: bytes(raw) for path, raw in found}


PATCH_SETS = [
    piece("changed-teardown-err-5215/patch_meta.json"),
    piece("TASK-504-5882/patch_meta.json"),
    piece("yield_fixture-4542/patch_meta.json"),
]


@pytest.mark.parametrize("one", PATCH_SETS, ids=["CBa", "CBb", "CBc"])
def test_the_files_of_a_patch_set_are_kept_byte_for_byte(desk: Desk, one: Piece) -> None:
    desk.take(one)

    with desk.db.read() as session:
        assert attached(session) == one[2]
    said = told(desk).said
    assert said.patch_set is not None
    assert {file.path: (file.text or "").encode() for file in said.patch_set.files} == {
        path: raw for path, raw in one[2].items() if path != "CHANGELOG_PATCH.md"
    }
    assert (said.patch_set.changelog or "").encode() == one[2]["CHANGELOG_PATCH.md"]


def test_a_patched_file_that_is_no_text_is_kept_too(desk: Desk) -> None:
    name, raw, files = PATCH_SETS[0]
    desk.take((name, raw, files | {"logo.png": b"\x89PNG\xff"}))

    said = told(desk).said

    assert said.patch_set is not None
    assert [file.path for file in said.patch_set.files if file.text is None] == ["logo.png"]
    with desk.db.read() as session:
        assert attached(session)["logo.png"] == b"\x89PNG\xff"


def test_every_byte_fits_its_digest(desk: Desk) -> None:
    desk.take(success_line("flask", 2), *PATCH_SETS)

    with desk.db.read() as session:
        # A patch set stands twice: as a patch, and as the spec that it was made for.
        assert sources.verify_entries(session, desk.project_id) == 7


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("entry", r"Entry 1 was changed: its bytes do not fit its digest\."),
        ("attachment", r"CHANGELOG_PATCH\.md of entry 2 was changed: its bytes do not fit its digest\."),
    ],
)
def test_bytes_that_were_changed_are_noticed(desk: Desk, table: str, sentence: str) -> None:
    desk.take(success_line("flask", 2), PATCH_SETS[0])
    whose = {"entry": "id = 1", "attachment": "path = 'CHANGELOG_PATCH.md'"}[table]
    with desk.db.write() as session:
        session.connection().execute(text(f"UPDATE {table} SET raw = :raw WHERE {whose}"), {"raw": b"x"})

    with desk.db.read() as session, pytest.raises(AppError, match=sentence):
        sources.verify_entries(session, desk.project_id)


def test_the_bytes_of_another_project_are_not_this_ones(desk: Desk) -> None:
    from tests.conftest import NOON

    desk.take(PATCH_SETS[0])
    with desk.db.write() as session:
        other = review.ensure_project(session, "other", now=NOON).id or 0
        session.connection().execute(text("UPDATE attachment SET raw = :raw"), {"raw": b"x"})

    with desk.db.read() as session:
        assert sources.verify_entries(session, other) == 0
