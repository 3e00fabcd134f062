"""A project's own templates: versions, what is in use since when, and what a candidate makes of one."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from app import prompting, review
from app.db import Database
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import ReviewerRow, Verdict
from app.prompting import Use
from app.recipes.prompt import ABSENT, KINDS, Template, parse, shipped
from app.review import Act
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import SCRIPT, read_issues
from tests.projects import Desk, piece, real_pieces

FIRST, SECOND = "One {issue}\n", "Two {issue}\n"


@pytest.fixture
def bob(db: Database) -> int:
    with db.write() as session:
        row = ReviewerRow(name="bob", created_at=NOON)
        session.add(row)
        session.flush()
        return row.id or 0


@pytest.fixture
def three(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> list[int]:
    return read_issues(db, settings, project_id, tmp_path, "Fix the parser", "Name the reader", "Drop the cache")


@pytest.fixture
def desk(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> Desk:
    return Desk(db, settings, project_id, tmp_path)


def save(db: Database, project_id: int, by: int, text: str, name: str = "scaffold", **more: object) -> Template:
    with db.write() as session:
        return prompting.save(session, project_id, by, name, text, now=NOON, **more)  # type: ignore[arg-type]


def decide(db: Database, project_id: int, by: int, number: int, verdict: Verdict, **more: object) -> None:
    with db.write() as session:
        row = review.get_candidate(session, project_id, number)
        act = Act(verdict, row.version, f"key {number}", **more)  # type: ignore[arg-type]
        review.decide(session, project_id, by, number, act, now=NOON)


# ------------------------------------------------------------------------------------------------ versions


def test_a_project_begins_with_what_ships(db: Database, project_id: int) -> None:
    with db.read() as session:
        assert prompting.get_prompts(session, project_id) == shipped()
        listed = prompting.list_versions(session, project_id, "scaffold")
        assert prompting.list_uses(session, project_id, "scaffold") == []

    assert [(one.label, one.in_use, one.may_be_used) for one in listed] == [
        ("scaffold/2", True, False),
        ("scaffold/1", False, False),
    ]


def test_a_saved_text_is_in_use_and_every_version_stays(db: Database, project_id: int, reviewer_id: int) -> None:
    made = [save(db, project_id, reviewer_id, text, comment=text[:3]) for text in (FIRST, SECOND)]

    assert [one.label for one in made] == ["scaffold/p1", "scaffold/p2"]
    with db.read() as session:
        prompts = prompting.get_prompts(session, project_id)
        listed = prompting.list_versions(session, project_id, "scaffold")
        assert prompting.find_version(session, project_id, "scaffold", 1) == made[0]
        assert prompting.find_version(session, project_id, "scaffold", 9) is None
    assert prompts == {**shipped(), "scaffold": made[1]}
    assert [(one.label, one.key, one.comment, one.reviewer, one.in_use, one.may_be_used) for one in listed] == [
        ("scaffold/p2", "p2", "Two", "local", True, False),
        ("scaffold/p1", "p1", "One", "local", False, True),
        ("scaffold/2", "2", "", "", False, True),
        ("scaffold/1", "1", "", "", False, False),
    ]
    assert listed[1].digest == made[0].digest
    assert listed[1].created_at == NOON


@pytest.mark.parametrize("text", [SECOND, SECOND.rstrip("\n"), SECOND.replace("\n", "\r\n")])
def test_a_text_that_is_in_use_already_changes_nothing(
    db: Database, project_id: int, reviewer_id: int, text: str
) -> None:
    save(db, project_id, reviewer_id, FIRST)
    made = save(db, project_id, reviewer_id, SECOND)

    assert save(db, project_id, reviewer_id, text, comment="again") == made
    with db.read() as session:
        assert len(prompting.list_uses(session, project_id, "scaffold")) == 2


def test_the_text_that_ships_is_not_copied_by_saving_it(db: Database, project_id: int, reviewer_id: int) -> None:
    assert save(db, project_id, reviewer_id, shipped()["scaffold"].text).label == "scaffold/2"


def test_going_back_is_an_act_that_the_history_keeps(db: Database, project_id: int, reviewer_id: int, bob: int) -> None:
    save(db, project_id, reviewer_id, FIRST)
    save(db, project_id, bob, SECOND)
    for hours, version in enumerate((1, 1, None, None, 2), 1):
        with db.write() as session:
            used = prompting.use(session, project_id, bob, "scaffold", version, now=NOON + timedelta(hours=hours))
            assert prompting.get_in_use(session, project_id, "scaffold") == used

    with db.read() as session:
        uses = prompting.list_uses(session, project_id, "scaffold")
    assert uses == [
        Use("scaffold/p2", "bob", NOON + timedelta(hours=5)),
        Use("shipped", "bob", NOON + timedelta(hours=3)),
        Use("scaffold/p1", "bob", NOON + timedelta(hours=1)),
        Use("scaffold/p2", "bob", NOON),
        Use("scaffold/p1", "local", NOON),
    ]
    assert save(db, project_id, bob, "Three {issue}\n").label == "scaffold/p3"


def test_each_template_has_versions_of_its_own(db: Database, project_id: int, reviewer_id: int) -> None:
    save(db, project_id, reviewer_id, FIRST)
    made = save(db, project_id, reviewer_id, "{script}{error}", "repair")

    assert made.label == "repair/p1"
    with db.read() as session:
        assert [one.label for one in prompting.get_prompts(session, project_id).values()][:4] == [
            "scaffold/p1", "scaffold_diff/2", "repair/p1", "polish/1",
        ]  # fmt: skip


def test_each_project_has_templates_of_its_own(db: Database, project_id: int, reviewer_id: int) -> None:
    with db.write() as session:
        other = review.ensure_project(session, "other", now=NOON).id or 0
    save(db, project_id, reviewer_id, FIRST)
    save(db, other, reviewer_id, SECOND)

    with db.read() as session:
        assert prompting.get_prompts(session, project_id)["scaffold"].text == FIRST
        assert prompting.get_prompts(session, other)["scaffold"].text == SECOND
        assert prompting.list_uses(session, other, "scaffold") == [Use("scaffold/p1", "local", NOON)]


def test_a_label_finds_the_text_that_a_release_was_made_with(db: Database, project_id: int, reviewer_id: int) -> None:
    made = save(db, project_id, reviewer_id, FIRST)
    save(db, project_id, reviewer_id, SECOND)
    with db.read() as session:
        found = {label: prompting.find_by_label(session, project_id, label) for label in ("scaffold/p1", "scaffold/1")}
        for unknown in ("scaffold/p9", "scaffold/9", "poem/1", "poem/p1", "nonsense", "scaffold/p999999999"):
            assert prompting.find_by_label(session, project_id, unknown) is None

    assert found["scaffold/p1"] == made
    assert found["scaffold/1"] is not None
    assert found["scaffold/1"].text.startswith("Write the codemod")


# ------------------------------------------------------------------------------------------------ refusals


def test_what_was_begun_before_another_version_is_not_lost_and_does_not_win(
    db: Database, project_id: int, reviewer_id: int, bob: int
) -> None:
    save(db, project_id, bob, FIRST, seen="scaffold/2")

    with pytest.raises(ConflictError, match="scaffold/p1 was put to use after you opened scaffold/2"):
        save(db, project_id, reviewer_id, SECOND, seen="scaffold/2")
    assert save(db, project_id, reviewer_id, SECOND, seen="scaffold/p1").label == "scaffold/p2"


@pytest.mark.parametrize(
    ("text", "comment", "where"),
    [
        ("no gap", "", "field text"),
        ("{issue}\x00", "", "field text"),
        ("{issue}", "x" * 2_001, "field comment"),
        ("{issue}", "a\x00", "field comment"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_stored(
    db: Database, project_id: int, reviewer_id: int, text: str, comment: str, where: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        save(db, project_id, reviewer_id, text, comment=comment)

    assert refused.value.where == where
    with db.read() as session:
        assert prompting.get_prompts(session, project_id) == shipped()


def test_what_is_not_there_is_said(db: Database, project_id: int, reviewer_id: int) -> None:
    with pytest.raises(NotFoundError, match="There are: scaffold, "):
        save(db, project_id, reviewer_id, FIRST, "poem")
    with db.write() as session:
        with pytest.raises(NotFoundError, match="scaffold/p1"):
            prompting.use(session, project_id, reviewer_id, "scaffold", 1, now=NOON)
        with pytest.raises(NotFoundError, match="poem"):
            prompting.use(session, project_id, reviewer_id, "poem", None, now=NOON)


@pytest.mark.parametrize(("chosen", "version"), [("repair/p3", 3), ("shipped", None), ("repair/1", None)])
def test_a_person_names_a_version_by_its_label(chosen: str, version: int | None) -> None:
    assert prompting.parse_choice("repair", chosen) == version


@pytest.mark.parametrize("chosen", ["", "p3", "3", "repair/2", "scaffold/p1", "repair/p0"])
def test_what_is_no_choice_is_refused(chosen: str) -> None:
    with pytest.raises(BadInputError, match=r"cannot be put to use\. Say repair/p1"):
        prompting.parse_choice("repair", chosen)


def test_two_who_save_at_once_write_two_versions(db: Database, project_id: int, reviewer_id: int) -> None:
    made: list[str] = []
    later = threading.Thread(target=lambda: made.append(save(db, project_id, reviewer_id, SECOND).label))
    with db.write() as session:
        first = prompting.save(session, project_id, reviewer_id, "scaffold", FIRST, now=NOON)
        later.start()
        later.join(0.2)
        assert made == []
    later.join()

    assert (first.label, made) == ("scaffold/p1", ["scaffold/p2"])


# ------------------------------------------------------------------------------------------------ preview


def test_a_preview_is_the_template_filled_with_the_candidate(db: Database, project_id: int, three: list[int]) -> None:
    made = parse("scaffold", "{issue}|{files}|{operations}|{style}")
    with db.read() as session:
        [(title, text)] = prompting.preview(session, project_id, made, three[1])

    assert title == "Scaffold"
    operation = '{"name":"rename_variable","old_name":"a","new_name":"b"}'
    assert text == f"Name the reader|src/x.py|- {operation}|{ABSENT}\n"


def test_without_a_candidate_the_next_accepted_one_is_taken(
    db: Database, project_id: int, reviewer_id: int, three: list[int]
) -> None:
    made = parse("scaffold", FIRST)

    def found(after: int = 0) -> int | None:
        with db.read() as session:
            return prompting.find_example(session, project_id, "scaffold", after)

    assert [found(after) for after in (0, three[0], three[2])] == [three[0], three[1], three[0]]
    decide(db, project_id, reviewer_id, three[1], Verdict.ACCEPT)
    assert [found(after) for after in (0, *three, 2**60)] == [three[1]] * 5
    decide(db, project_id, reviewer_id, three[2], Verdict.EDIT, edited=("script", SCRIPT + "# more\n"))
    decide(db, project_id, reviewer_id, three[0], Verdict.REJECT)
    assert [found(after) for after in (0, *three)] == [three[1], three[1], three[2], three[1]]
    with db.read() as session:
        assert prompting.preview(session, project_id, made) == [("Scaffold", "One Name the reader\n")]


def test_a_candidate_that_gives_no_such_prompt_gives_none(db: Database, project_id: int, three: list[int]) -> None:
    with db.read() as session:
        for name in ("repair", "polish", "t5_spec", "divot5_refiner", "divot5_unifier"):
            assert prompting.preview(session, project_id, shipped()[name], three[0]) == []
            assert prompting.find_example(session, project_id, name) is None
            assert prompting.preview(session, project_id, shipped()[name]) == []
        with pytest.raises(NotFoundError, match="no candidate 9999"):
            prompting.preview(session, project_id, shipped()["scaffold"], 9999)


def test_every_template_shows_itself_on_real_evidence(desk: Desk) -> None:
    desk.take(*real_pieces())
    with desk.db.read() as session:
        for name, form in KINDS.items():
            number = prompting.find_example(session, desk.project_id, name)
            assert number is not None, name
            shown = prompting.preview(session, desk.project_id, shipped()[name], number)
            assert shown
            bare = parse(name, "".join(f"{{{gap}}}" for gap in form.required))
            for _, text in [*shown, *prompting.preview(session, desk.project_id, bare, number)]:
                assert text.endswith("\n")
            assert any(ABSENT not in text for _, text in prompting.preview(session, desk.project_id, bare, number))


def test_a_repair_is_shown_once_for_each_attempt_that_failed(desk: Desk) -> None:
    desk.take(piece("run_20250628T002511_1817e5.json"))
    [row] = desk.rows()
    made = parse("repair", "<{script}>\n<{error}>")
    with desk.db.read() as session:
        shown = prompting.preview(session, desk.project_id, made, row.id)

    run = desk.said(row).run
    assert run is not None
    for title, text in shown:
        attempt = run.attempts[int(title.removeprefix("Repair of attempt ")) - 1]
        assert attempt.trace is not None
        assert text == f"<{attempt.script}>\n<{attempt.trace.text}>\n"
    assert shown


# ------------------------------------------------------------------------------------------------ the tables


def test_a_version_cannot_be_there_twice(db: Database, project_id: int, reviewer_id: int) -> None:
    save(db, project_id, reviewer_id, FIRST)
    copy = sql(
        "INSERT INTO template (project_id, name, version, text, digest, comment, reviewer_id, created_at) "
        "SELECT project_id, name, version, text, digest, comment, reviewer_id, created_at FROM template"
    )

    with pytest.raises(Exception, match=r"(?i)unique|made .* the same"), db.write() as session:
        session.connection().execute(copy)
