"""Who comes in: passwords, second factors, logins, tokens and links, on both databases."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import date, timedelta
from itertools import product
from threading import Barrier
from typing import Any

import pyotp
import pytest
from sqlmodel import Session

from app import accounts, audit, turns
from app.accounts import IDLE, LIFETIME, Person
from app.audit import Actor
from app.db import Database
from app.errors import BadInputError, ConflictError, NotFoundError, NotKnownError, RefusedError
from app.models import AuditRow, ReviewerRow, Role
from tests.conftest import NOON

PASSWORD = "seven quiet wonders"
HASHED = accounts.hash_password("ann", PASSWORD)


@pytest.fixture
def ann(db: Database, project_id: int) -> ReviewerRow:
    """A reviewer of the project who has a password."""
    with db.write() as session:
        row = accounts.create(session, "ann", hashed=HASHED, now=NOON)
        accounts.set_role(session, project_id, row.id or 0, "reviewer")
    return row


def come_in(db: Database, code: str = "", at: timedelta = timedelta(0), password: str = PASSWORD) -> str:
    with db.read() as session:
        checked = accounts.check_password(session, "Ann", password, code, now=NOON + at)
    with db.write() as session:
        return accounts.log_in(session, checked, address="10.0.0.7", agent="Firefox", now=NOON + at)


def who(db: Database, secret: str, at: timedelta = timedelta(0)) -> Person | None:
    with db.read() as session:
        found = accounts.find_login(session, secret, now=NOON + at)
    return None if found is None else found[0]


def test_a_login_lasts_until_it_is_ended_idle_or_old(db: Database, ann: ReviewerRow) -> None:
    secret = come_in(db)

    person = who(db, secret)
    assert person is not None
    assert (person.name, person.role, person.is_admin, person.scopes) == ("ann", Role.REVIEWER, False, None)
    assert who(db, secret, IDLE) is None
    for day in range(1, LIFETIME.days):
        with db.write() as session:
            accounts.touch(session, person.login_id or 0, now=NOON + timedelta(days=day))
        assert who(db, secret, timedelta(days=day)) is not None
    assert who(db, secret, LIFETIME) is None
    with db.write() as session:
        accounts.end_login(session, ann.id or 0, person.login_id or 0, now=NOON)
        with pytest.raises(NotFoundError):
            accounts.end_login(session, ann.id or 0, person.login_id or 0, now=NOON)
    assert who(db, secret) is None
    assert who(db, "") is who(db, secret + "x") is None


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    ("name", "password"), [("ann", "seven quiet wonder"), ("ben", PASSWORD), ("", ""), ("ann", ""), ("local", "")]
)
def test_what_does_not_belong_together_is_refused_alike(db: Database, name: str, password: str) -> None:
    with db.read() as session, pytest.raises(NotKnownError, match="do not belong together"):
        accounts.check_password(session, name, password, now=NOON)


def test_who_is_locked_out_is_out_at_once_and_keeps_the_password(
    db: Database, ann: ReviewerRow, project_id: int
) -> None:
    secret = come_in(db)
    with db.write() as session:
        row = session.get_one(ReviewerRow, ann.id)
        person = Person(row.id or 0, row.name, project_id, Role.REVIEWER)
        token = accounts.make_token(session, person, "import", ["ingest"], now=NOON)[1]
        assert accounts.find_token(session, token, now=NOON) is not None
        accounts.disable(session, row, now=NOON)

    assert who(db, secret) is None
    with db.read() as session:
        assert accounts.find_token(session, token, now=NOON) is None
    with pytest.raises(NotKnownError):
        come_in(db)
    with db.write() as session:
        accounts.enable(session, session.get_one(ReviewerRow, ann.id))
    assert who(db, come_in(db)) is not None
    assert who(db, secret) is None


def test_a_code_of_the_second_factor_is_taken_once(db: Database, ann: ReviewerRow) -> None:
    with db.write() as session:
        row = session.get_one(ReviewerRow, ann.id)
        secret, address = accounts.new_totp(row)
        assert address.startswith("otpauth://totp/Patchsift:ann?secret=")
        with pytest.raises(BadInputError, match="does not fit"):
            accounts.confirm_totp(session, row, secret, "000000", now=NOON)
        accounts.confirm_totp(session, row, secret, pyotp.TOTP(secret).at(NOON), now=NOON)
    later = timedelta(minutes=2)
    code = pyotp.TOTP(secret).at(NOON + later)

    with pytest.raises(NotKnownError):
        come_in(db, "", later)
    with pytest.raises(NotKnownError):
        come_in(db, pyotp.TOTP(secret).at(NOON), later)
    with db.read() as session:
        first, second = (
            accounts.check_password(session, "ann", PASSWORD, f" {code[:3]} {code[3:]}", now=NOON + later) for _ in "ab"
        )
    with db.write() as session:
        accounts.log_in(session, first, address="", agent="", now=NOON + later)
    # Two at once: both had the right code before either was in.
    with pytest.raises(NotKnownError), db.write() as session:
        accounts.log_in(session, second, address="", agent="", now=NOON + later)
    with pytest.raises(NotKnownError):
        come_in(db, code, later)


def test_a_recovery_code_takes_the_place_of_the_telephone_once(db: Database, ann: ReviewerRow) -> None:
    with db.write() as session:
        row = session.get_one(ReviewerRow, ann.id)
        secret, _ = accounts.new_totp(row)
        codes = accounts.confirm_totp(session, row, secret, pyotp.TOTP(secret).at(NOON), now=NOON)
        bob = accounts.create(session, "bob", hashed=row.password, now=NOON)
        bob.totp = secret
    assert len(set(codes)) == 10

    assert who(db, come_in(db, codes[0])) is not None
    with pytest.raises(NotKnownError):
        come_in(db, codes[0])
    with db.read() as session:
        first, second = (
            accounts.check_password(session, "ann", PASSWORD, codes[1].replace("-", " "), now=NOON) for _ in "ab"
        )
        assert accounts.count_recovery_codes(session, session.get_one(ReviewerRow, ann.id)) == 9
        with pytest.raises(NotKnownError):  # a code is of one person
            accounts.check_password(session, "bob", PASSWORD, codes[2], now=NOON)
    with db.write() as session:
        accounts.log_in(session, first, address="", agent="", now=NOON)
    # Two at once: both showed the code before either was in.
    with pytest.raises(NotKnownError), db.write() as session:
        accounts.log_in(session, second, address="", agent="", now=NOON)

    with db.write() as session:
        later = accounts.make_recovery_codes(session, session.get_one(ReviewerRow, ann.id))
    with pytest.raises(NotKnownError):
        come_in(db, codes[2])
    with db.write() as session:
        accounts.remove_totp(session, session.get_one(ReviewerRow, ann.id))
    with db.read() as session:
        assert accounts.count_recovery_codes(session, session.get_one(ReviewerRow, ann.id)) == 0
    assert later[0] not in codes


def test_a_new_password_ends_every_login(db: Database, ann: ReviewerRow) -> None:
    secret = come_in(db)
    with db.write() as session:
        hashed = accounts.hash_password("ann", "another of these")
        accounts.set_password(session, session.get_one(ReviewerRow, ann.id), hashed, now=NOON)
    assert who(db, secret) is None
    assert come_in(db, password="another of these")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "12 to 200 characters"),
        ("x" * 201, "12 to 200 characters"),
        ("aaaaaaaaaaaaaaaa", "guessed first"),
        ("i am Ann, let me in", "hold the name of whose it is, ann:"),
        ("my patchsift word", "hold the word Patchsift"),
        ("password1234", "guessed first"),
        ("123456789012", "guessed first"),
        ("QwertyUiop12", "guessed first"),
        ("iloveyou1234", "guessed first"),
        ("letmeinletmein", "guessed first"),
    ],
)
def test_a_password_that_is_tried_first_is_none_and_the_rule_is_said(password: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        accounts.hash_password("ann", password)


@pytest.mark.parametrize("name", ["", "a b", "<b>", "-ann", "ann-", "a" * 65, "ann\n", "аnn"])  # noqa: RUF001
def test_what_is_no_name(db: Database, name: str) -> None:
    with db.write() as session, pytest.raises(BadInputError):
        accounts.create(session, name, now=NOON)


@pytest.mark.usefixtures("ann")
def test_a_name_is_taken_whatever_its_case(db: Database) -> None:
    with db.write() as session, pytest.raises(ConflictError, match="somebody called ANN"):
        accounts.create(session, "ANN", now=NOON)


def test_the_last_administrator_stays(db: Database, ann: ReviewerRow) -> None:
    with db.write() as session:
        row = session.get_one(ReviewerRow, ann.id)
        accounts.set_admin(session, row, is_admin=True)
        with pytest.raises(ConflictError):
            accounts.disable(session, row, now=NOON)
        with pytest.raises(ConflictError):
            accounts.set_admin(session, row, is_admin=False)
        accounts.create(session, "ben", hashed=HASHED, is_admin=True, now=NOON)
        accounts.disable(session, row, now=NOON)


def test_of_two_administrators_who_lock_each_other_out_at_one_instant_one_stays(db: Database) -> None:
    with db.write() as session:
        names = ("ada", "ben")
        ada, ben = (accounts.create(session, one, hashed=HASHED, is_admin=True, now=NOON).id for one in names)

    def lock_out(number: int | None) -> bool:
        try:
            with db.write() as session:
                accounts.disable(session, session.get_one(ReviewerRow, number), now=NOON)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(1) as pool:
        with db.write() as session:
            accounts.disable(session, session.get_one(ReviewerRow, ada), now=NOON)
            session.flush()
            other = pool.submit(lock_out, ben)
            # Long enough for it to end, if nothing holds it up.
            wait([other], timeout=0.5)
        assert not other.result()


def test_a_password_that_was_right_a_moment_ago_lets_nobody_in(db: Database, ann: ReviewerRow) -> None:
    with db.read() as session:
        checked = accounts.check_password(session, "ann", PASSWORD, now=NOON)
    with db.write() as session:
        hashed = accounts.hash_password("ann", "another of these")
        accounts.set_password(session, session.get_one(ReviewerRow, ann.id), hashed, now=NOON)
    with pytest.raises(NotKnownError), db.write() as session:
        accounts.log_in(session, checked, address="", agent="", now=NOON)


def test_a_link_ends_with_a_new_password_and_with_who_is_locked_out(db: Database, ann: ReviewerRow) -> None:
    with db.write() as session:
        row = session.get_one(ReviewerRow, ann.id)
        first = accounts.make_ticket(session, ann.id, now=NOON)
        accounts.set_password(session, row, HASHED, now=NOON)
        second = accounts.make_ticket(session, ann.id, now=NOON)
        accounts.create(session, "ben", hashed=HASHED, is_admin=True, now=NOON)
        accounts.disable(session, row, now=NOON)
        accounts.enable(session, row)
        for link in (first, second):
            with pytest.raises(NotFoundError):
                accounts.use_ticket(session, link, "", HASHED, now=NOON)


def test_where_all_come_by_a_provider_others_projects_stay_others(
    db: Database, ann: ReviewerRow, project_id: int
) -> None:
    with db.write() as session:
        session.get_one(ReviewerRow, ann.id).password = None
        session.get_one(ReviewerRow, ann.id).oidc_subject = "17"
        accounts.create(session, "stranger", now=NOON).oidc_subject = "18"
    with db.read() as session:
        assert turns.list_people(session, project_id, 0) == ["ann"]


def test_who_comes_back_into_a_project_does_not_find_their_tokens_alive(
    db: Database, ann: ReviewerRow, project_id: int
) -> None:
    with db.write() as session:
        person = Person(ann.id or 0, "ann", project_id, Role.REVIEWER)
        token = accounts.make_token(session, person, "import", ["ingest"], now=NOON)[1]
        accounts.remove_member(session, project_id, ann.id or 0, now=NOON)
        accounts.set_role(session, project_id, ann.id or 0, "reviewer")
        assert accounts.find_token(session, token, now=NOON) is None


def test_who_is_no_member_does_not_come_in_and_who_leaves_is_out(
    db: Database, ann: ReviewerRow, project_id: int
) -> None:
    secret = come_in(db)
    with db.write() as session:
        accounts.remove_member(session, project_id, ann.id or 0, now=NOON)
    assert who(db, secret) is None
    with pytest.raises(RefusedError, match="member of no project"):
        come_in(db)


def test_a_link_works_once(db: Database, ann: ReviewerRow) -> None:
    with db.write() as session:
        early = accounts.make_ticket(session, ann.id, now=NOON)
        secret = accounts.make_ticket(session, ann.id, now=NOON)
        hashed = accounts.hash_password("ann", "a password by link")
        with pytest.raises(NotFoundError):
            accounts.use_ticket(session, early, "", hashed, now=NOON)
        with pytest.raises(NotFoundError):
            accounts.get_ticket(session, secret, now=NOON + accounts.TICKET_LIFETIME)
        accounts.use_ticket(session, secret, "somebody else", hashed, now=NOON)
        with pytest.raises(NotFoundError):
            accounts.use_ticket(session, secret, "", hashed, now=NOON)
    assert come_in(db, password="a password by link")


def test_a_server_is_set_up_once(db: Database) -> None:
    with db.write() as session:
        assert not accounts.has_accounts(session)
        secret = accounts.make_ticket(session, None, now=NOON)
        person = accounts.use_ticket(session, secret, "root", HASHED, now=NOON)
        assert person.is_admin
        assert accounts.has_accounts(session)
        another = accounts.make_ticket(session, None, now=NOON)
        with pytest.raises(NotFoundError, match="set up already"):
            accounts.get_ticket(session, another, now=NOON)


def test_of_many_who_open_the_setup_link_at_one_instant_one_sets_it_up(db: Database) -> None:
    with db.write() as session:
        secret = accounts.make_ticket(session, None, now=NOON)
    ready = Barrier(6)

    def set_up(number: int) -> bool:
        ready.wait()
        try:
            with db.write() as session:
                accounts.use_ticket(session, secret, f"root{number}", HASHED, now=NOON)
        except NotFoundError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(set_up, range(6))) == [False] * 5 + [True]
    with db.read() as session:
        assert len([one for one in accounts.list_people(session) if one.is_admin]) == 1


def test_no_secret_stands_in_the_database(db: Database, ann: ReviewerRow, project_id: int) -> None:
    secret = come_in(db)
    with db.write() as session:
        person = Person(ann.id or 0, "ann", project_id, Role.REVIEWER)
        token = accounts.make_token(session, person, "import", ["ingest"], now=NOON)[1]
        ticket = accounts.make_ticket(session, ann.id, now=NOON)
        everything = "".join(
            str(tuple(row)) for table in ("reviewer", "login", "token", "ticket", "audit")
            for row in session.connection().exec_driver_sql(f"SELECT * FROM {table}")
        )  # fmt: skip
    assert not [one for one in (secret, token, ticket, PASSWORD) if one in everything or one[-12:] in everything]


# ------------------------------------------------------------------------------------------------ audit


def fill(session: Session) -> None:
    for number in range(3):
        audit.note(session, Actor(None, "ann", "10.0.0.7"), "POST /releases", now=NOON, about={"number": number})


CHANGES = {
    "id": "4", "made_at": "'2026-01-01 00:00:00.000000'", "project_id": "7", "reviewer_id": "7", "who": "'ben'",
    "address": "'10.0.0.8'", "what": "'POST /releasez'", "about": "'{\"number\": 8}'", "previous_digest": "digest",
    "digest": "previous_digest",
}  # fmt: skip
"""For each column of a row another value, as SQL."""


def test_a_changed_column_of_any_row_is_found(db: Database) -> None:
    assert CHANGES.keys() == set(AuditRow.__table__.columns.keys())  # type: ignore[attr-defined]
    changes = [f"UPDATE audit SET {column} = {value} WHERE id = " for column, value in CHANGES.items()]
    unseen = []
    with db.write() as session:
        fill(session)
        drops = ("audit_no_update", "audit_no_delete") if db.is_sqlite else ("audit_no_change ON audit",)
        for trigger in drops:
            session.connection().exec_driver_sql(f"DROP TRIGGER {trigger}")
        for change, row in product([*changes, "DELETE FROM audit WHERE id = "], (1, 2, 3)):
            point = session.begin_nested()
            session.connection().exec_driver_sql(f"{change}{row}")
            session.expire_all()
            if audit.verify(session) is None:
                unseen.append(f"{change}{row}")
            point.rollback()
        assert audit.verify(session) is None
    # The chain does not know how long it was: of what was cut off its end, a backup tells.
    assert unseen == ["DELETE FROM audit WHERE id = 3"]


def test_the_log_is_narrowed_to_what_is_asked_for(db: Database) -> None:
    with db.write() as session:
        fill(session)
        audit.note(session, Actor(None, "ben", ""), "POST /views", now=NOON + timedelta(days=1), project_id=1)
        day = NOON.date()

        def numbers(project: int | None = None, **asked: Any) -> list[int | None]:
            wanted = audit.Wanted(**asked)
            shown = [row.id for row in audit.list_page(session, project, wanted)]
            assert shown == [row.id for row in audit.scan(session, project, wanted)][::-1]
            return shown

        assert numbers() == [4, 3, 2, 1]
        assert numbers(1) == numbers(since=day + timedelta(days=1)) == numbers(who="ben") == [4]
        assert numbers(until=day) == numbers(what="releases") == numbers(since=day, until=day) == [3, 2, 1]
        assert numbers(until=date.max) == [4, 3, 2, 1]


def test_the_log_takes_no_change(db: Database) -> None:
    with db.write() as session:
        fill(session)
        assert audit.verify(session) is None
        rows = audit.list_page(session, None, audit.Wanted(who="ann", what="releases"))
        assert [row.about["number"] for row in rows] == [2, 1, 0]
        with pytest.raises(Exception, match="append-only"), session.begin_nested():
            session.connection().exec_driver_sql("UPDATE audit SET who = 'ben' WHERE id = 2")
        with pytest.raises(Exception, match="append-only"), session.begin_nested():
            session.connection().exec_driver_sql("DELETE FROM audit")
