"""Rows of the audit log as sentences: each change that is told has one, and words find it."""

import re
from pathlib import Path

import pytest

from app import audit, deeds
from app.audit import Actor
from app.db import Database
from app.web.rights import RIGHTS, SAFE_METHODS
from tests.conftest import NOON

FACTS = "name role do scopes of to user before folder files token number webhook asked"
CLI = Path(__file__).parents[1] / "app" / "cli"


def test_each_change_that_is_told_has_a_sentence() -> None:
    told = {route for route, right in RIGHTS.items() if right is not None and right.is_told}
    told = {route for route in told if route.split()[0] not in SAFE_METHODS}
    source = "".join(path.read_text() for path in CLI.glob("*.py"))
    told |= set(
        re.findall(
            r'(?:opened\((?:settings|settings_of\([^)]*\)), |note\(session, actor\(\), |_note\(\w+, )"([a-z -]+)"',
            source,
        )
    )
    assert {"POST /ingest", "user add", "db backup", "release withdraw"} <= told
    facts = dict.fromkeys(FACTS.split(), "x")
    unsaid = {what for what in told if deeds.tell(what, facts | _ids(what)) is None}
    assert unsaid == set()


def _ids(what: str) -> dict[str, str]:
    return dict.fromkeys(re.findall(r"\{(\w+)", what), "7")


@pytest.mark.parametrize(
    ("what", "about", "said"),
    [
        ("POST /server/people/{reviewer_id}", {"name": "ann", "do": "disable"}, "locked out ann"),
        ("POST /account/tokens", {"name": "nightly", "scopes": "ingest"}, "made the token 'nightly' (ingest)"),
        ("POST /account/totp", {}, "turned on the second factor"),
        ("POST /account/totp", {"refused": "403"}, "tried to turn on the second factor, and was refused (403)"),
        ("POST /api/v1/ingest", {"files": "a.jsonl", "by_token": "nightly"}, "ingested a.jsonl by the token 'nightly'"),
        ("POST /api/v1/ingest", {}, "ingested files"),
        ("POST /project/opinions", {"asked": "2"}, "asked for 2 opinions"),
        ("POST /members/{reviewer_id}", {"name": "ann", "role": "none"}, "took ann out of the project"),
        ("POST /members", {"name": "{0.x}", "role": "{"}, "made {0.x} { of the project"),
        ("something of another version", {"name": "ann"}, None),
    ],
)
def test_a_row_is_a_sentence(what: str, about: dict[str, object], said: str | None) -> None:
    assert deeds.tell(what, about) == said


def test_words_find_what_was_done_and_to_whom(db: Database) -> None:
    rows: list[tuple[str, dict[str, object]]] = [
        ("POST /server/people/{reviewer_id}", {"reviewer_id": "3", "name": "ann", "do": "disable"}),
        ("POST /server/people/{reviewer_id}", {"reviewer_id": "3", "name": "ann", "do": "admin"}),
        ("POST /api/v1/ingest", {"files": "Zoë_100%.jsonl", "by_token": "nightly"}),
    ]
    with db.write() as session:
        for what, about in rows:
            audit.note(session, Actor(None, "Root", ""), what, now=NOON, about=about)

        def found(*, who: str = "", what: str = "") -> list[int | None]:
            return [row.id for row in audit.list_page(session, None, audit.Wanted(who=who, what=what))]

        assert found(what="LOCKED out Ann") == found(what="disable") == [1]
        assert found(what="ann") == [2, 1]
        assert found(what="ingested") == found(what="NIGHTLY") == found(what="zoë") == found(what="100%") == [3]
        assert found(who="rOOT", what="administrator") == [2]
        assert found(what="ben") == found(who="ann") == []
