"""What may be typed into a search, the one form of it, and what it finds on both databases."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import col

from app import groups, ingest, prepare, queue, releases, review, syntax
from app.db import Database
from app.errors import BadInputError
from app.models import SHOWN, CandidateRow, IssueGroupRow
from app.ordering import alike_of
from app.queue import Filter
from app.settings import Settings
from tests.conftest import NOON, noon
from tests.logs import line

# ------------------------------------------------------------------------------------------------ the one form


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("file:core.py  parser", {"file": "core.py", "q": "parser"}),
        ("score:<.4 -finding:Secret x", {"q": "x -finding:secret score:<0.4"}),
        ("STATUS:pending", {"status": "pending"}),
        ("status:pending,flagged", {"q": "status:flagged,pending"}),
        ('source:"LLM Core" "No  Module" -b a', {"source": "LLM Core", "q": '"no module" a -b'}),
        ("size:..5 size:7..7", {"q": "size:7 size:<=5"}),
        ("kind:spec kind:patch", {"kind": "patch", "q": "kind:spec"}),
        ("rating:4 rating:>=3 rating:none", {"rating": "4", "q": "rating:>=3 rating:none"}),
        ('issue:"A b" issue:A', {"q": 'issue:"a b" issue:A'}),
        (r'by:"A, \"B\""', {"q": r'by:"A, \"B\""'}),
        ("https://x std::y C:\\z foo.py:12 --flag a-b", {"q": "https://x std::y C:\\z foo.py:12 --flag a-b"}),
        ('a "b', {"q": 'a "b"'}),
        ("a a", {"q": "a"}),
        ("%", {"q": "%"}),
    ],
)
def test_a_search_has_one_form_which_reads_back_as_itself(typed: str, query: dict[str, str]) -> None:
    found = Filter.parse({"q": typed})

    assert found.query() == query
    assert Filter.parse(found.query()) == found
    assert Filter.of(found.terms()) == found or typed == "%"


def test_what_the_box_says_plainly_is_the_field_of_the_form() -> None:
    assert Filter.parse({"q": "source:Unknown a"}) == Filter.parse({"source": "Unknown", "q": "a"})
    assert Filter.parse({"source": "b", "q": "source:a"}) == Filter.parse({"source": "a", "q": "source:b"})


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("sorce:x", "There is no field 'sorce'. There are issue, file,"),
        ("score:high", "score: must be a number or a range such as <0.4, >=0.7, 0.4..0.7, or none; it is 'high'."),
        ("score:", "nothing stands behind the colon"),
        ("score:0.7..0.4", "score: must be"),
        ("score:1e99", "score: must be"),
        ("size:1.5", "size: must be a whole number or a range"),
        ("valid:maybe", "valid: must be one of valid, invalid, pending, never, none; it is 'maybe'."),
        ("since:soon", "since: must be a day such as 2026-11-22; it is 'soon'."),
        ("trace:%", "trace: must be a word"),
        ("upload:-1", "upload: must be a whole number"),
        ("group:abc", "group: must be a candidate's number"),
        (" ".join(map(str, range(51))), "A search takes 50 words"),
        ("_".join(map(str, range(51))), "A search takes 50 words"),
    ],
)
def test_what_cannot_be_is_named(typed: str, sentence: str) -> None:
    with pytest.raises(BadInputError, match=re.escape(sentence)) as caught:
        Filter.parse({"q": typed})

    assert caught.value.where == "field q"


def test_what_finds_nothing_that_is_meant_is_named(db: Database, project_id: int) -> None:
    with db.read() as session:
        for typed, sentence in (
            ("-", "There is nothing to look for in '-'. Type a word"),
            ("finding:secrets", "No check finds 'secrets'. Did you mean secret?"),
            ("-finding:nope", "No check finds 'nope'. They find secret, test_removed,"),
        ):
            with pytest.raises(BadInputError, match=re.escape(sentence)) as caught:
                queue.list_candidates(session, project_id, Filter.parse({"q": typed, "status": "pending"}))
            assert caught.value.where == "field q"
        with pytest.raises(BadInputError) as caught:
            queue.list_candidates(session, project_id, Filter.parse({"finding": "nope"}))
        assert caught.value.where == "field finding"


def test_a_link_keeps_what_was_typed_in_the_box_there() -> None:
    boxed = Filter.parse({"q": "finding:secret a", "file": "core.py"})

    assert boxed.typed() == {"file": "core.py", "q": "a finding:secret"}
    assert Filter.parse(boxed.typed()) == boxed == Filter.parse({"finding": "secret", "file": "core.py", "q": "a"})
    assert Filter.parse({"finding": "secret", "q": "status:pending"}).typed() == {
        "finding": "secret",
        "status": "pending",
    }


def test_every_field_has_an_example_that_it_takes() -> None:
    assert [syntax.parse(field.example)[0].field for field in syntax.FIELDS.values()] == [*syntax.FIELDS]
    assert set(syntax.STATUSES) == set(SHOWN)


# ------------------------------------------------------------------------------------------------ what it finds

RUN = [
    ["import libcst\nfirst_try = 1", False, 0.1, "Traceback:\nNameError: name 'spam' is not", "scaffold"],
    ["import libcst\nlast_try = 2", True, 0.35, None, "polish"],
]  # fmt: skip


@pytest.fixture
def shelf(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> None:
    """Four candidates: `Parser` with a run, `Docs`, `Lexer`, and a run of its own that waits."""
    lines = [
        line("Parser breaks on no module", successful_script="import libcst\nlast_try = 2", user_rating=5),
        line("Docs of the module", spec_target_files=["docs/api.py"], patch_source="Unknown"),
        line("Lexer", successful_diff_summary="--- a/y.py\n+++ b/y.py\n@@ -1,2 +1,2 @@\n-o\n-p\n+module no\n+q\n"),
    ]
    waiting = [["import os", "pending_revalidation", 0.9, "duplicate of an earlier one", "heuristic"]]
    for name, content in (
        ("log.jsonl", b"\n".join(lines)), ("run_1.json", json.dumps(RUN).encode()),
        ("run_2.json", json.dumps(waiting).encode()),
    ):  # fmt: skip
        path = tmp_path / name
        path.write_bytes(content)
        ingest.read_file(db, settings, project_id, ingest.Upload(path, name), now=noon)
    ingest.finish(db, project_id, now=noon)
    prepare.run(db)


def found(db: Database, project_id: int, q: str, **more: str) -> str:
    """First words of the titles, in the order of the list."""
    with db.read() as session:
        rows = queue.list_candidates(session, project_id, Filter.parse({"q": q, **more})).candidates
        return " ".join(row.title.split()[0] for row in rows)


# Search → first words of the titles that it finds.
FOUND = {
    '"no module"': "Parser",
    "module no": "Parser Docs Lexer",
    "-module -libcst": "A",
    '-"no module"': "Docs Lexer A",
    "first_try": "Parser",
    "parser first nameerror": "Parser",
    "issue:module": "Parser Docs",
    "diff:module": "Lexer",
    "issue:first": "",
    "script:last_try": "Parser",
    'script:"try 1"': "Parser",
    "trace:spam": "Parser",
    "trace:libcst": "",
    "file:docs,nothing": "Docs",
    "-file:docs -id:4..9": "Parser Lexer",
    "score:0.3..0.4": "Parser",
    "score:<0.4,none": "Parser Docs Lexer A",
    "-score:<0.4": "Docs Lexer A",
    "valid:valid": "Parser",
    "valid:pending": "A",
    "valid:never": "A",
    "valid:none": "Docs Lexer",
    "size:>2 kind:patch": "Lexer",
    "attempts:>1": "Parser",
    "rating:>=4": "Parser",
    "-rating:5 -rating:none": "",
    "group:1": "Parser Docs",
    "like:2": "Parser Docs",
    "id:1,3": "Parser Lexer",
    "finding:no_run": "Docs Lexer",
    "-finding:no_run source:Unknown": "A",
}


@pytest.mark.usefixtures("shelf")
def test_each_field_finds_exactly(db: Database, project_id: int) -> None:
    assert {typed: found(db, project_id, typed) for typed in FOUND} == FOUND


@pytest.mark.usefixtures("shelf")
def test_who_decided_and_why_is_found_until_it_is_taken_back(db: Database, project_id: int, reviewer_id: int) -> None:
    with db.write() as session:
        act = review.Act(verdict=review.parse_verdict("reject"), version=1, key="k1", reasons=("wrong_fix",))
        review.decide(session, project_id, reviewer_id, 2, act, now=NOON)
    assert found(db, project_id, "by:local") == "Docs"
    assert found(db, project_id, "reason:wrong_fix") == "Docs"
    assert found(db, project_id, "reason:wrong-fix -status:rejected") == ""
    assert found(db, project_id, "reason:wrongXfix") == ""
    with pytest.raises(BadInputError, match="no reviewer 'Nobody'"):
        found(db, project_id, "by:Nobody")
    with db.write() as session:
        review.undo(session, project_id, reviewer_id, key="k2", now=NOON)

    assert found(db, project_id, "reason:wrong_fix") == ""


@pytest.mark.usefixtures("shelf")
def test_words_that_came_later_are_found_and_what_left_is_not(db: Database, project_id: int) -> None:
    with db.write() as session:
        session.get_one(CandidateRow, 1).checks_version = 0
    prepare.run(db)

    assert found(db, project_id, "script:first_try") == "Parser"


@pytest.mark.usefixtures("shelf")
def test_a_release_from_before_fields_finds_what_it_found_then(db: Database, project_id: int) -> None:
    def numbers(stored: dict[str, object]) -> list[int]:
        with db.read() as session:
            spec = releases.Spec.of_row(stored)
            assert spec.filter.query() == stored["filter"]
            where = queue.conditions(session, project_id, replace(spec.filter, status=""))
            return sorted(session.execute(select(col(CandidateRow.id)).where(*where)).scalars())

    for q, before, since in (("first_try", [], [1]), ("module -no", [1, 3], []), ('id:1 "docs', [], None)):
        assert numbers({"filter": {"q": q}}) == before
        if since is not None:
            assert numbers({"filter": {"q": q}} | {"syntax": 2}) == since


@pytest.mark.usefixtures("shelf")
def test_what_is_grouped_stands_side_by_side(db: Database, project_id: int) -> None:
    def alike() -> list[int | None]:
        with db.read() as session:
            return list(
                session.execute(select(col(CandidateRow.alike)).order_by(col(CandidateRow.id)).limit(3)).scalars()
            )

    def tie(number: int, to: bytes) -> None:
        row = session.get_one(CandidateRow, number)
        session.add(IssueGroupRow(project_id=project_id, issue=row.group_digest, group_key=to))
        row.alike = alike_of(to)

    # Parser and Docs have one diff and different issues.
    first, second, third = found = alike()
    assert first == second != third
    with db.write() as session:
        tie(3, groups.find_group(session, project_id, session.get_one(CandidateRow, 1).group_digest))
    assert len(set(alike())) == 1
    groups.rebuild(db, project_id)
    assert alike() == found
