"""The queue and decisions: one keystroke each, nothing lost, nothing doubled, everything can be taken back."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError

from app import decisions, leases, queue, review
from app.db import Database
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import CandidateRow, DecisionRow, Status, Verdict, metadata
from app.queue import Filter
from app.review import Act
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import DIFF, SCRIPT, line, read, read_issues
from tests.people import hire


@pytest.fixture
def ids(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> list[int]:
    return read_issues(db, settings, project_id, tmp_path, "One", "Two", "Three")


@pytest.fixture
def act(db: Database, project_id: int, reviewer_id: int) -> "Actor":
    return Actor(db, project_id, reviewer_id)


class Actor:
    """A reviewer who acts, each time in a transaction of its own."""

    def __init__(self, db: Database, project_id: int, reviewer_id: int) -> None:
        self.db, self.project_id, self.reviewer_id = db, project_id, reviewer_id
        self.n = 0

    def __call__(self, candidate_id: int, verdict: str, **more: object) -> review.Outcome:
        self.n += 1
        with self.db.read() as session:
            version = review.get_candidate(session, self.project_id, candidate_id).version
        given = {"version": version, "key": f"key-{self.n}"} | more
        with self.db.write() as session:
            one = Act(verdict=Verdict(verdict), **given)  # type: ignore[arg-type]
            return review.decide(session, self.project_id, self.reviewer_id, candidate_id, one, now=NOON)

    def undo(self, key: str = "") -> review.Outcome:
        self.n += 1
        with self.db.write() as session:
            return review.undo(session, self.project_id, self.reviewer_id, key=key or f"undo-{self.n}", now=NOON)

    def status(self, candidate_id: int) -> str:
        with self.db.read() as session:
            return review.get_candidate(session, self.project_id, candidate_id).status

    def counts(self) -> dict[str, int]:
        with self.db.read() as session:
            return {status: n for status, n in decisions.count_by_status(session, self.project_id).items() if n}


@pytest.mark.parametrize(
    ("verdict", "status"),
    [("accept", "accepted"), ("reject", "rejected"), ("skip", "skipped"), ("flag", "flagged")],
)
def test_a_verdict_becomes_the_status(act: Actor, ids: list[int], verdict: str, status: str) -> None:
    outcome = act(ids[0], verdict)

    assert outcome.candidate.status == status
    assert outcome.candidate.version == 2
    assert act.counts() == {"pending": 2, status: 1}


def test_the_same_key_again_gets_the_first_answer(act: Actor, ids: list[int]) -> None:
    first = act(ids[0], "accept", key="once")

    again = act(ids[0], "accept", key="once", version=1)

    assert again.repeated
    assert again.decision is not None
    assert first.decision is not None
    assert again.decision.id == first.decision.id
    assert act.counts() == {"pending": 2, "accepted": 1}


def test_a_key_belongs_to_one_decision(act: Actor, ids: list[int]) -> None:
    act(ids[0], "accept", key="once")

    with pytest.raises(ConflictError, match="key was used"):
        act(ids[1], "accept", key="once")


def test_a_stale_version_is_refused_and_says_what_it_is_now(act: Actor, ids: list[int]) -> None:
    act(ids[0], "reject")

    with pytest.raises(ConflictError, match=r"local \(reject\).*version 1.*version 2 and rejected"):
        act(ids[0], "accept", version=1)

    assert act.status(ids[0]) == "rejected"


def test_undo_takes_back_one_after_the_other(act: Actor, ids: list[int]) -> None:
    act(ids[0], "accept")
    act(ids[1], "reject", reasons=("style",))
    act(ids[0], "flag")

    assert act.undo().candidate.id == ids[0]
    assert act.status(ids[0]) == "accepted"
    act.undo()
    act.undo()

    assert act.counts() == {"pending": 3}
    with pytest.raises(ConflictError, match="nothing left to undo"):
        act.undo()


def test_an_undo_sent_twice_takes_back_one(act: Actor, ids: list[int]) -> None:
    act(ids[0], "accept")
    act(ids[1], "accept")

    act.undo("same")
    assert act.undo("same").repeated

    assert act.counts() == {"pending": 2, "accepted": 1}


def test_an_edit_keeps_the_original_and_stores_the_text(act: Actor, db: Database, ids: list[int]) -> None:
    edited = SCRIPT.replace('"b"', '"c"')

    assert act(ids[0], "edit", edited=("script", edited)).candidate.status == Status.EDITED

    with db.read() as session:
        opened = review.open_candidate(session, act.project_id, ids[0])
        revision = decisions.find_standing_revision(session, session.get_one(CandidateRow, ids[0]))
    assert opened.said.script == SCRIPT
    assert revision is not None
    assert revision.text == edited


@pytest.mark.parametrize("sent", [SCRIPT, SCRIPT.replace("\n", "\r\n")])
def test_a_save_that_changes_nothing_is_no_edit(act: Actor, db: Database, ids: list[int], sent: str) -> None:
    outcome = act(ids[0], "edit", edited=("script", sent))

    assert outcome.decision is None
    assert act.status(ids[0]) == "pending"
    with db.read() as session:
        assert decisions.list_history(session, ids[0]) == []


def test_crlf_in_the_original_survives_an_edit(
    act: Actor, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    crlf = "import x\r\n\ra = 1\n"
    read(db, settings, project_id, tmp_path, line(successful_script=crlf) + b"\n")

    act(1, "edit", edited=("script", crlf.replace("a = 1", "a = 2")))

    with db.read() as session:
        revision = decisions.find_standing_revision(session, session.get_one(CandidateRow, 1))
    assert revision is not None
    assert revision.text == "import x\r\n\ra = 2\n"


def test_what_stands_is_the_edit_and_so_are_its_findings(act: Actor, db: Database, ids: list[int]) -> None:
    act(ids[0], "edit", edited=("script", "def broken(:\n"))

    with db.read() as session:
        opened = review.open_candidate(session, act.project_id, ids[0])
        assert "broken" in review.show(session, opened, "script")
    assert (opened.said.script, opened.stands.script) == (SCRIPT, "def broken(:\n")
    assert "script_unparsable" in {found.code for found in opened.findings}

    act.undo()
    with db.read() as session:
        opened = review.open_candidate(session, act.project_id, ids[0])
    assert opened.stands is opened.said


def test_an_undone_edit_no_longer_counts(act: Actor, db: Database, ids: list[int]) -> None:
    act(ids[0], "edit", edited=("script", "import other\n"))

    act.undo()

    with db.read() as session:
        assert decisions.find_standing_revision(session, session.get_one(CandidateRow, ids[0])) is None


def test_the_hunks_of_a_diff_can_be_edited(act: Actor, db: Database, ids: list[int]) -> None:
    with db.read() as session:
        rebuilt = review.rebuild_diff(review.open_candidate(session, act.project_id, ids[0]), 1, ["b\nc\n"])

    act(ids[0], "edit", edited=("diff", rebuilt))

    assert rebuilt == DIFF.replace("@@ -1 +1 @@", "@@ -1 +1,2 @@") + "+c\n"
    with db.read() as session:
        assert review.open_candidate(session, act.project_id, ids[0]).size == (2, 1)
        assert review.open_candidate(session, act.project_id, ids[1]).size == (1, 1)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"verdict": "edit"}, "An edit needs the edited text"),
        ({"verdict": "accept", "edited": ("script", "x")}, "only an edit has one"),
        ({"verdict": "edit", "edited": ("script", " \n")}, "empty"),
        ({"verdict": "edit", "edited": ("script", "a\x00b")}, "NUL character"),
        ({"verdict": "edit", "edited": ("spec", "x")}, "no text called"),
        ({"verdict": "reject", "reasons": ("nonsense",)}, "No reason is called"),
        ({"verdict": "accept", "reasons": ("style",)}, "Reasons say why a patch is rejected"),
        ({"verdict": "accept", "rating": 6}, "1 to 5"),
        ({"verdict": "accept", "comment": "x" * 10_001}, "10,000 characters"),
        ({"verdict": "accept", "comment": "a\ud800"}, "U\\+D800"),
        ({"verdict": "accept", "key": ""}, "A key is"),
        ({"verdict": "undo"}, "address of its own"),
    ],
)
def test_an_act_that_makes_no_sense_gets_a_sentence_and_stores_nothing(
    act: Actor, ids: list[int], given: dict[str, str], sentence: str
) -> None:
    with pytest.raises(BadInputError, match=sentence):
        act(ids[0], **given)

    assert act.counts() == {"pending": 3}


def test_a_candidate_of_another_project_does_not_exist_here(act: Actor, db: Database, ids: list[int]) -> None:
    with db.write() as session:
        act.project_id = review.ensure_project(session, "other", now=NOON).id or 0

    with pytest.raises(NotFoundError):
        act(ids[0], "accept")


def test_decisions_cannot_be_changed_or_removed(act: Actor, db: Database, ids: list[int]) -> None:
    act(ids[0], "accept")

    for statement in ("UPDATE decision SET comment = 'x'", "DELETE FROM decision"):
        with pytest.raises(DBAPIError, match="append-only"), db.write() as session:
            session.connection().execute(text(statement))


def test_the_chain_of_decisions_notices_a_changed_word(act: Actor, db: Database, ids: list[int]) -> None:
    act(ids[0], "accept", comment="fine")
    act(ids[1], "edit", edited=("script", "import other\n"))
    act.undo()
    with db.read() as session:
        assert decisions.verify_chain(session, act.project_id) is None

    with db.write() as session:
        session.connection().execute(text("UPDATE revision SET text = 'import evil'"))
    with db.read() as session:
        assert decisions.verify_chain(session, act.project_id) == 2


COVERED = {
    "decision": {column.name for column in metadata.tables["decision"].c} - {"id"},
    "revision": {"candidate_id", "field", "text", "digest"},
    "candidate": {"status", "agreement", "n_opinions", "settled_by"},
    "tally": {"n"},
}


def _other(value: object, kind: str) -> object:
    """As SQL, the same but for one bit or one character."""
    if "DATE" in kind:
        return "'2020-01-01 00:00:00.000000'"
    if value is None or isinstance(value, int):
        return ((value or 0) ^ 1) if kind == "INTEGER" else "'x'"
    if isinstance(value, bytes | memoryview):
        changed = (bytes([bytes(value)[0] ^ 1]) + bytes(value)[1:]).hex()
        return f"x'{changed}'" if kind == "BLOB" else f"decode('{changed}', 'hex')"
    said = json.dumps(value) if isinstance(value, list) else str(value)
    return "'[\"x\"]'" if isinstance(value, list) else f"'{said[:-1]}{chr(ord(said[-1]) ^ 1)}'" if said else "'x'"


def test_any_changed_column_is_noticed(act: Actor, db: Database, ids: list[int]) -> None:
    act(ids[0], "reject", comment="fine", reasons=("style",))
    act(ids[1], "edit", edited=("script", "import other\n"))
    act(ids[2], "accept")
    act.undo()
    with db.read() as session:
        changes = list(_changes(session.connection()))
    seen = {changed: _is_noticed(db, act.project_id, changed) for changed in changes}

    assert len(changes) > 60
    assert [changed for changed, noticed in seen.items() if not noticed] == []


def _changes(connection: Connection) -> Iterator[str]:
    """For each column of each row a statement that changes it."""
    for name, columns in COVERED.items():
        table = metadata.tables[name]
        for row in connection.execute(select(table)).mappings().all():
            here = " AND ".join(f"{key.name} = '{row[key.name]}'" for key in table.primary_key)
            for column in sorted(columns):
                kind = table.c[column].type.compile(dialect=connection.dialect)
                yield f"UPDATE {name} SET {column} = {_other(row[column], kind)} WHERE {here}"


def _is_noticed(db: Database, project_id: int, changed: str) -> bool:
    """Make a change behind the program's back, verify, and take it back."""
    with db.write() as session:
        for trigger in ("_update", "_delete") if db.is_sqlite else ("_change ON decision",):
            session.connection().exec_driver_sql(f"DROP TRIGGER decision_no{trigger}")
        try:
            session.connection().exec_driver_sql(changed)
        except DBAPIError:
            session.rollback()
            return True  # the database itself refuses it
        found = decisions.verify_chain(session, project_id) or decisions.find_false_state(session, project_id)
        session.rollback()
    return bool(found)


def test_the_original_decides_what_the_digest_covers(act: Actor, ids: list[int]) -> None:
    decision = act(ids[0], "accept").decision
    assert decision is not None
    changed = DecisionRow(**(decision.model_dump() | {"verdict": "reject"}))

    assert decisions.chain_digest(decision, None) == decision.digest
    assert decisions.chain_digest(changed, None) != decision.digest


# ------------------------------------------------------------------------------------------------ queue


def found(db: Database, project_id: int, **wanted: str) -> list[str]:
    with db.read() as session:
        return [row.title for row in queue.list_candidates(session, project_id, Filter.parse(wanted)).candidates]


@pytest.fixture
def varied(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    lines = [
        line("Fix termui prompt", spec_target_files=["click/termui.py"], user_rating=5),
        line("Add docs", spec_target_files=["docs/api.py"], patch_source="Unknown"),
        line("Über alles", timestamp_utc="2026-02-01T00:00:00+00:00", successful_diff_summary="-old_name\n+new_name\n"),
        line("Cut", successful_script="def (", successful_diff_summary=DIFF),
    ]
    read(db, settings, project_id, tmp_path, b"\n".join(lines))
    from app import prepare

    prepare.run(db)


@pytest.mark.usefixtures("varied")
@pytest.mark.parametrize(
    ("wanted", "titles"),
    [
        ({"q": "termui"}, ["Fix termui prompt"]),
        ({"q": "TERM prom"}, ["Fix termui prompt"]),
        ({"q": "new_name"}, ["Über alles"]),
        ({"q": "über"}, ["Über alles"]),
        ({"q": "NEAR( AND * OR"}, []),
        ({"q": "mig%ate"}, []),
        ({"file": "termui.py"}, ["Fix termui prompt"]),
        ({"file": "click/termui.py"}, ["Fix termui prompt"]),
        ({"file": "py termui"}, []),
        ({"source": "Unknown"}, ["Add docs"]),
        ({"rating": "5"}, ["Fix termui prompt"]),
        ({"since": "2026-02-01"}, ["Über alles"]),
        ({"until": "2026-02-01", "since": "2026-02-01"}, ["Über alles"]),
        ({"until": "2025-06-23"}, []),
        ({"finding": "script_unparsable"}, ["Cut"]),
        ({"order": "newest", "rating": "none"}, ["Cut", "Über alles", "Add docs"]),
        ({"status": "accepted"}, []),
    ],
)
def test_a_filter_finds_exactly(db: Database, project_id: int, wanted: dict[str, str], titles: list[str]) -> None:
    assert found(db, project_id, **wanted) == titles


@pytest.mark.parametrize(
    "wanted",
    [{"status": "done"}, {"order": "password"}, {"rating": "6"}, {"since": "yesterday"}, {"upload": "1; drop"}],
)
def test_a_filter_that_cannot_be_names_its_field(wanted: dict[str, str]) -> None:
    with pytest.raises(BadInputError) as caught:
        Filter.parse(wanted)

    assert caught.value.where == f"field {next(iter(wanted))}"


def test_a_filter_that_is_not_heard_is_refused() -> None:
    with pytest.raises(BadInputError, match="has no 'sorce'; it has status, kind, source"):
        Filter.parse({"sorce": "x", "after": "3"}, also=("after",))


@pytest.mark.parametrize("after", ["-1", "1e9", "9" * 5000, "NaN", "0x10", "\u0661"])
def test_a_cursor_that_is_none_is_refused(db: Database, project_id: int, after: str) -> None:
    with pytest.raises(BadInputError, match="whole number"), db.read() as session:
        queue.list_candidates(session, project_id, Filter(), after=after)


def test_pages_follow_each_other_without_gap_or_double(
    db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    read_issues(db, settings, project_id, tmp_path, *(f"Issue {n}" for n in range(7)))
    titles, after = [], ""
    with db.read() as session:
        while True:
            page = queue.list_candidates(session, project_id, Filter(order="newest"), after=after, limit=3)
            titles += [row.title for row in page.candidates]
            if page.after is None:
                break
            after = page.after

    assert titles == [f"Issue {n}" for n in reversed(range(7))]


def test_next_goes_on_and_comes_round_to_what_was_left(act: Actor, db: Database, ids: list[int]) -> None:
    pending = Filter(status="pending")
    act(ids[1], "accept")

    with db.read() as session:
        assert queue.find_next(session, act.project_id, pending, ids[0]) == ids[2]
        assert queue.find_next(session, act.project_id, pending, ids[2]) == ids[0]
        assert queue.find_next(session, act.project_id, pending, ids[2], back=True) == ids[0]
        assert queue.find_next(session, act.project_id, pending, ids[0], back=True) is None


def test_a_lease_is_taken_once_and_runs_out(db: Database, project_id: int, ids: list[int], reviewer_id: int) -> None:
    (other,) = hire(db, "bob")
    with db.write() as session:
        mine = leases.take_next(session, project_id, reviewer_id, Filter(status="pending"), now=NOON)
    with db.write() as session:
        theirs = leases.take_next(session, project_id, other, Filter(status="pending"), now=NOON)
    with db.write() as session:
        late = leases.take_next(session, project_id, other, Filter(status="pending"), now=NOON + leases.LEASE * 2)

    assert mine is not None
    assert theirs is not None
    assert late is not None
    assert (mine.candidate_id, theirs.candidate_id, late.candidate_id) == (ids[0], ids[1], ids[0])
    assert late.number == mine.number + 1


@pytest.mark.usefixtures("ids")
def test_counts_are_exact_up_to_the_cap(db: Database, project_id: int) -> None:
    with db.read() as session:
        assert str(queue.count_candidates(session, project_id, Filter(status="pending"))) == "3"
        assert str(queue.count_candidates(session, project_id, Filter(q="one"))) == "1"
    assert str(queue.Count(1000, capped=True)) == "1,000+"
