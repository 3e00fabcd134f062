"""Coming in over HTTP: the setup link, the login, tokens, members, the audit log."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from fastapi.testclient import TestClient

from app import accounts, audit, decisions, projects, review
from app.accounts import SCOPES, Person
from app.db import Database
from app.errors import TooManyError
from app.logs import JsonLines
from app.main import create_app
from app.models import Role
from app.settings import Settings
from app.web.accounts_page import inside
from app.web.forms import MOST_TYPED
from app.web.limits import Tries
from app.web.rights import RIGHTS
from tests.conftest import NOON
from tests.logs import read_issues
from tests.loops import run_async
from tests.web.pages import HTMX, hidden, text

PASSWORD = "seven quiet wonders"
HASHED = accounts.hash_password("nobody", PASSWORD)


@pytest.fixture
def server(settings: Settings, db: Database) -> Iterator[TestClient]:
    """A server that others can reach, as a browser sees it."""
    reached = settings.model_copy(update={"host": "0.0.0.0"})
    with TestClient(create_app(reached, db), headers={"Sec-Fetch-Site": "same-origin"}) as made:
        yield made


def person(db: Database, name: str, role: Role, *, is_admin: bool = False) -> int:
    with db.write() as session:
        project = review.ensure_project(session, "default", now=NOON).id or 0
        row = accounts.create(session, name, hashed=HASHED, is_admin=is_admin, now=NOON)
        accounts.set_role(session, project, row.id or 0, role)
        return row.id or 0


def log_in(server: TestClient, name: str, password: str = PASSWORD, next: str = "/queue") -> int:
    form = {"name": name, "password": password, "code": "", "next": next}
    return int(server.post("/login", data=form, follow_redirects=False).status_code)


def be(server: TestClient, cookie: str) -> None:
    """Go on as whoever has this cookie."""
    server.cookies.clear()
    server.cookies.set("patchsift", cookie)


def test_a_new_server_lets_nobody_in_but_by_its_link(server: TestClient, db: Database) -> None:
    assert server.get("/queue", follow_redirects=False).headers["location"] == "/login?next=%2Fqueue"
    assert server.get("/api/v1/candidates").status_code == 401
    with db.write() as session:
        secret = accounts.make_ticket(session, None, now=NOON)
    assert server.get(f"/come-in/{secret}").status_code == 404  # it has run out since NOON
    with db.write() as session:
        from datetime import UTC, datetime

        secret = accounts.make_ticket(session, None, now=datetime.now(UTC))

    assert "Set this server up" in server.get(f"/come-in/{secret}").text
    form = {"name": "root-9", "password": PASSWORD, "again": PASSWORD}
    refused = server.post(f"/come-in/{secret}", data=form | {"again": "x"})
    assert (refused.status_code, "The two passwords differ" in refused.text, PASSWORD in refused.text) == (
        422,
        True,
        False,
    )
    assert "The password is yours from now on" in server.post(f"/come-in/{secret}", data=form).text
    assert server.post(f"/come-in/{secret}", data=form).status_code == 404

    assert log_in(server, "root-9", "wrong") == 401
    assert log_in(server, "ROOT-9") == 303
    assert "root-9" in server.get("/queue").text
    cookie = server.cookies["patchsift"]
    assert server.post("/logout", follow_redirects=False).headers["location"] == "/login"
    be(server, cookie)
    assert server.get("/queue", follow_redirects=False).status_code == 303


def test_the_cookie_is_out_of_the_reach_of_scripts(server: TestClient, db: Database) -> None:
    person(db, "ann", Role.REVIEWER)
    form = {"name": "ann", "password": PASSWORD, "code": "", "next": ""}
    said = server.post("/login", data=form, follow_redirects=False).headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=lax" in said
    safe = server.post("https://testserver/login", data=form, follow_redirects=False).headers["set-cookie"]
    assert "Secure" in safe
    assert safe.startswith("__Host-patchsift=")
    assert server.get("https://testserver/queue", follow_redirects=False).status_code == 200


def test_this_machine_is_open_until_somebody_has_a_password(client: TestClient, db: Database) -> None:
    assert client.get("/queue").status_code == 200
    person(db, "ann", Role.REVIEWER)
    client.app.state.door.look()  # type: ignore[attr-defined]
    assert client.get("/queue", follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("/releases/3?x=1", "/releases/3?x=1"), ("", "/queue"), ("//evil.example", "/queue"),
        ("/\\evil.example", "/queue"),
        ("https://evil.example", "/queue"), ("javascript:alert(1)", "/queue"), ("/\tx", "/queue"), ("/login", "/queue"),
        ("/a\r\nSet-Cookie: x=1", "/queue"),
    ],
)  # fmt: skip
def test_after_the_login_nobody_is_sent_elsewhere(asked: str, given: str) -> None:
    assert inside(asked) == given


def test_who_tries_too_often_waits_and_is_told_to_the_log(
    server: TestClient, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    person(db, "ann", Role.REVIEWER)
    person(db, "ben", Role.REVIEWER)
    assert {log_in(server, "Ann", "wrong") for _ in range(10)} == {401}
    late = server.post("/login", data={"name": "ann", "password": PASSWORD})
    assert (late.status_code, late.headers["Retry-After"]) == (429, "300")
    assert log_in(server, "ann") == 429
    assert log_in(server, "hunter2", "wrong") == 401
    with db.read() as session:
        rows = list(audit.scan(session, None, audit.Wanted(who="ANN", what="held back")))
    assert [row.what for row in rows] == ["login held back"]
    assert log_in(server, "ben") == 303

    said = [json.loads(JsonLines().format(row)) for row in caplog.records if row.name == "patchsift.login"]
    assert [(row["status"], row.get("name")) for row in said] == [
        *[(401, "ann")] * 10,
        *[(429, "ann"), (429, None)],
        (401, None),
    ]
    assert {row["message"] for row in said} == {"login refused from testclient"}
    assert {row["address"] for row in said} == {"testclient"}


def test_nobody_is_kept_out_by_others_who_try_their_name(server: TestClient, db: Database) -> None:
    person(db, "ann", Role.REVIEWER)
    person(db, "ben", Role.REVIEWER)
    assert log_in(server, "ann") == 303
    strangers = [TestClient(server.app, client=(f"10.0.0.{n}", 1), headers={"Sec-Fetch-Site": "none"}) for n in (1, 2)]
    assert {log_in(strangers[0], "ann", "wrong") for _ in range(9)} == {401}
    assert [log_in(one, "ann", "wrong") for one in strangers] == [429, 429]
    assert log_in(strangers[1], "ben") == 303
    assert log_in(server, "ann") == 303


def test_one_who_has_a_whole_network_has_one_address() -> None:
    tries = Tries()
    for number in range(30):
        tries.take(f"2001:db8:0:7::{number:x}", f"name {number}")
    with pytest.raises(TooManyError):
        tries.take("2001:db8:0:7:ffff::1", "another")
    tries.take("2001:db8:0:8::1", "another")


def test_the_admin_of_one_project_does_not_become_somebody_else(server: TestClient, db: Database) -> None:
    """A link to choose a password is the whole account, on the whole server."""
    person(db, "ann", Role.ADMIN)
    with db.write() as session:
        accounts.create(session, "root", is_admin=True, now=NOON)
        accounts.create(session, "boss@x.example", is_admin=True, now=NOON).oidc_subject = "17"
    log_in(server, "ann")
    for name in ("root", "boss@x.example"):
        added = server.post("/members", data={"name": name, "role": "viewer"})
        assert (added.status_code, name in added.text, "/come-in/" in added.text) == (200, True, False)
    assert server.post("/members", data={"name": "ann", "role": "viewer"}).status_code == 403


def test_a_token_of_an_administrator_is_of_one_project(server: TestClient, db: Database) -> None:
    number = person(db, "root", Role.ADMIN, is_admin=True)
    with db.write() as session:
        row = accounts.get_reviewer(session, number)
        here = accounts.list_projects(session, row)[0][0].id or 0
        there = review.ensure_project(session, "next door", now=NOON).id or 0
        audit.note(session, audit.Actor(number, "root", ""), "POST /releases", now=NOON, project_id=there)
        audit.note(session, audit.Actor(number, "root", ""), "POST /views", now=NOON, project_id=here)
        owner = Person(number, "root", here, Role.ADMIN)
        secret = accounts.make_token(session, owner, "all", list(SCOPES), now=NOON)[1]
    shown = {"Authorization": f"Bearer {secret}"}
    log = server.get("/audit.jsonl", headers=shown).text
    assert [json.loads(line)["what"] for line in log.splitlines()] == ["POST /views"]
    assert server.post("/members", data={"name": "mole", "role": "admin"}, headers=shown).status_code == 404
    assert "/come-in/" not in server.post("/members", data={"name": "local", "role": "viewer"}, headers=shown).text
    with db.read() as session:
        assert "mole" not in [one.name for one in accounts.list_people(session)]


def test_a_second_factor_is_set_up_and_changed_by_who_knows_the_password(server: TestClient, db: Database) -> None:
    number = person(db, "ann", Role.REVIEWER)
    log_in(server, "ann")
    secret, other = pyotp.random_base32(), pyotp.random_base32()

    def set_up(secret: str, old: str) -> int:
        form = {"secret": secret, "code": pyotp.TOTP(secret).now(), "old": old}
        return int(server.post("/account/totp", data=form, follow_redirects=False).status_code)

    typed = {"secret": secret, "code": "000000", "old": PASSWORD}
    mistyped = server.post("/account/totp", data=typed)
    assert (mistyped.status_code, hidden(mistyped.text, "secret")) == (422, secret)
    invented = hidden(server.post("/account/totp", data=typed | {"secret": "A" * 17}).text, "secret")
    assert invented not in {secret, "A" * 17}
    assert [set_up(secret, "wrong"), set_up(secret, PASSWORD), set_up(other, PASSWORD)] == [401, 200, 409]
    with db.read() as session:
        assert accounts.get_reviewer(session, number).totp == secret


def test_recovery_codes_are_shown_once_and_renewed_by_who_has_one(server: TestClient, db: Database) -> None:
    person(db, "ann", Role.REVIEWER)
    log_in(server, "ann")
    secret = pyotp.random_base32()

    def codes(path: str, **form: str) -> list[str]:
        return re.findall(r"\d{4}(?:-\d{4}){4}", server.post(path, data={"old": PASSWORD, **form}).text)

    first = codes("/account/totp", secret=secret, code=pyotp.TOTP(secret).now())
    shown = server.get("/account").text
    assert (len(first), "10 recovery codes" in text(shown), first[0] in shown) == (10, True, False)
    second = codes("/account/totp/codes", code=first[0])
    assert (len(second), set(first) & set(second)) == (10, set())
    assert codes("/account/totp/codes", code=first[1]) == []
    form = {"name": "ann", "password": PASSWORD, "code": second[0], "next": ""}
    came = [server.post("/login", data=form, follow_redirects=False).status_code for _ in "ab"]
    assert came == [303, 401]
    with db.read() as session:
        rows = list(audit.scan(session, None, audit.Wanted(what="recovery")))
    assert [row.what for row in rows] == [
        *["POST /account/totp/codes"] * 2,
        "logged in by a recovery code",
    ]
    assert not any(code in str(row.about) for row in rows for code in (*first, *second))


def test_a_code_that_was_shown_for_anything_is_used_up(server: TestClient, db: Database) -> None:
    number = person(db, "ann", Role.REVIEWER)
    log_in(server, "ann")
    secret = pyotp.random_base32()
    with db.write() as session:
        accounts.get_reviewer(session, number).totp = secret
    code = pyotp.TOTP(secret).now()
    changed = {"old": PASSWORD, "code": code, "password": "another of these", "again": "another of these"}
    assert server.post("/account/password", data=changed, follow_redirects=False).status_code == 303
    form = {"name": "ann", "password": "another of these", "code": code, "next": ""}
    assert server.post("/login", data=form, follow_redirects=False).status_code == 401


def test_who_comes_in_anew_leaves_no_login_behind(server: TestClient, db: Database) -> None:
    person(db, "ann", Role.REVIEWER)
    log_in(server, "ann")
    before = server.cookies["patchsift"]
    assert log_in(server, "ann") == 303
    be(server, before)
    assert server.get("/queue", follow_redirects=False).status_code == 303


def test_what_was_refused_is_told_as_refused(server: TestClient, db: Database) -> None:
    person(db, "root", Role.ADMIN, is_admin=True)
    log_in(server, "ROOT")
    wrong = {"old": "wrong", "password": "another of these", "again": "another of these"}
    assert server.post("/account/password", data=wrong).status_code == 401
    server.post("/members", data={"name": "cleo", "role": "viewer"})
    rows = [json.loads(line) for line in server.get("/audit.jsonl").text.splitlines()]
    assert [(row["who"], row["what"], row["about"].get("refused")) for row in rows] == [
        ("root", "logged in", None), ("root", "POST /account/password", "401"), ("root", "POST /members", None),
    ]  # fmt: skip


def test_nothing_is_read_of_whom_nobody_knows(server: TestClient) -> None:
    """Neither kept in memory nor on the disk: a form could be 200 MB, and there may be many."""
    read: dict[str, int] = {}
    for name, right in RIGHTS.items():
        method, _, path = name.partition(" ")
        if method in {"POST", "PUT", "PATCH"}:
            sent = swallow(server.app, method, re.sub(r"\{[^}]+\}", "1", path))
            assert sent[1] == (401 if right else 413), name
            read[name] = sent[0]
    assert {name for name, n in read.items() if n} == {name for name, right in RIGHTS.items()
                                                       if right is None and name.startswith("POST")}  # fmt: skip
    assert max(read.values()) <= 2 * MOST_TYPED


def swallow(app: Any, method: str, path: str) -> tuple[int, int]:
    """How many bytes are read of a form that has no end, and the status."""
    read, status = 0, 0
    kind = b"multipart/form-data; boundary=x" if path in {"/ingest", "/project/files"} else b"application/json"
    kind = kind if "/api/" in path or kind.startswith(b"multi") else b"application/x-www-form-urlencoded"

    async def receive() -> dict[str, Any]:
        nonlocal read
        if read > 1_000_000:
            return {"type": "http.disconnect"}
        body = b"--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n" if not read else b""
        body = (body if kind.startswith(b"multi") else b"") + b"a" * 10_000
        read += len(body)
        return {"type": "http.request", "body": body, "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = [(b"host", b"testserver"), (b"content-type", kind), (b"sec-fetch-site", b"same-origin")]
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "client": ("10.0.0.1", 1), "server": ("testserver", 80), "scheme": "http",
        "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    run_async(app(scope, receive, send))
    return read, status


def test_a_login_that_ended_loses_nothing_that_was_typed(
    server: TestClient, db: Database, settings: Settings, tmp_path: Path
) -> None:
    number = person(db, "ann", Role.REVIEWER)
    with db.read() as session:
        project = accounts.list_projects(session, accounts.get_person(session, "ann"))[0][0].id or 0
    (candidate,) = read_issues(db, settings, project, tmp_path, "Fix the parser")
    log_in(server, "ann")
    page = server.get(f"/candidates/{candidate}").text
    with db.write() as session:
        accounts.end_logins(session, number, now=NOON)
    form = {"verdict": "accept", "version": hidden(page, "version"), "key": hidden(page, "key")}
    refused = server.post(f"/candidates/{candidate}/decisions", data=form, headers=HTMX)
    assert refused.status_code == 401
    assert refused.headers["HX-Retarget"] == "#notice"
    assert "nothing typed is lost" in refused.text
    log_in(server, "ann")
    assert server.post(f"/candidates/{candidate}/decisions", data=form, headers=HTMX).status_code == 200
    with db.read() as session:
        assert [name for _, name, _ in decisions.list_history(session, candidate)] == ["ann"]


def test_a_token_is_shown_once_and_does_what_it_may(server: TestClient, db: Database) -> None:
    person(db, "ann", Role.REVIEWER)
    log_in(server, "ann")
    made = server.post("/account/tokens", data={"name": "<b>nightly</b>", "scopes": ["ingest", "read"], "days": "30"})
    (secret,) = re.findall(r"<code>(pst_[\w-]{43})</code>", made.text)
    assert secret not in server.get("/account").text
    server.cookies.clear()
    shown = {"Authorization": f"Bearer {secret}"}
    assert server.get("/api/v1/candidates", headers=shown).status_code == 200
    assert server.post("/api/v1/ingest?name=a.jsonl", content=b"", headers=shown).status_code < 400
    assert (
        server.post("/api/v1/undo", headers=shown).json()["error"]["message"].startswith("This token may not do that")
    )
    assert (invented := server.get("/api/v1/candidates", headers={"Authorization": "Bearer pst_x"})).status_code == 401
    assert invented.json()["error"]["message"].startswith("There is no such token here.")
    log_in(server, "ann")
    assert server.post("/account/tokens", data={"name": "x", "scopes": ["read", "curate"]}).status_code == 403
    assert 'value="review"' in server.get("/account").text
    assert 'value="curate"' not in server.get("/account").text
    number = re.findall(r"/account/tokens/(\d+)/end", server.get("/account").text)[0]
    server.post(f"/account/tokens/{number}/end")
    server.cookies.clear()
    ended = server.get("/api/v1/candidates", headers=shown)
    assert (ended.status_code, "<b>nightly</b>" in ended.json()["error"]["message"]) == (401, True)
    assert " ended on 20" in ended.json()["error"]["message"]


def test_a_token_makes_no_other_and_changes_no_password(server: TestClient, db: Database) -> None:
    number = person(db, "root", Role.ADMIN, is_admin=True)
    with db.write() as session:
        owner = Person(number, "root", 1, Role.ADMIN, is_admin=True)
        secret = accounts.make_token(session, owner, "all", list(SCOPES), now=NOON)[1]
    shown = {"Authorization": f"Bearer {secret}"}
    for path in ("/account/tokens", "/account/password", "/account/totp", "/server/people", "/account/project"):
        refused = server.post(path, data={}, headers=shown)
        assert (refused.status_code, "for people who log in" in refused.text) == (403, True)
    log_in(server, "root")
    assert text(server.get("/server").text).count("never") == 0  # its last use stands there


def test_no_secret_gets_into_a_log(
    server: TestClient, db: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    person(db, "ann", Role.REVIEWER)
    log_in(server, "ann")
    made = server.post("/account/tokens", data={"name": "nightly", "scopes": ["read"]})
    (token,) = re.findall(r"<code>(pst_[\w-]{43})</code>", made.text)
    cookie = server.cookies["patchsift"]

    def break_down(*_: object, **__: object) -> None:
        raise OSError("the disk is on fire")

    for name in ("find_token", "find_login", "get_ticket", "check_password", "hash_password"):
        monkeypatch.setattr(accounts, name, break_down)
    with TestClient(server.app, raise_server_exceptions=False, cookies={"patchsift": cookie}) as broken:
        answers = [
            broken.get("/queue"),
            broken.get("/queue", headers={"Authorization": f"Bearer {token}"}),
            broken.get(f"/come-in/{token}"),
            broken.post("/login", data={"name": "ann", "password": PASSWORD}),
        ]
    assert [one.status_code for one in answers] == [500] * 4
    assert "the disk is on fire" in caplog.text
    assert [one for one in (cookie, token, PASSWORD) if one in caplog.text] == []


def test_a_name_that_nobody_has_is_not_kept(server: TestClient, db: Database) -> None:
    person(db, "root", Role.ADMIN, is_admin=True)
    log_in(server, PASSWORD, "root")
    log_in(server, "root", "wrong")
    log_in(server, "root")
    rows = [json.loads(line) for line in server.get("/audit.jsonl?what=refused").text.splitlines()]
    assert [row["who"] for row in rows] == ["somebody", "root"]


def test_members_come_by_link_and_their_role_counts_at_once(server: TestClient, db: Database) -> None:
    root = person(db, "root", Role.ADMIN, is_admin=True)
    log_in(server, "root")
    added = server.post("/members", data={"name": "cleo", "role": "viewer"}).text
    (path,) = re.findall(r"http://testserver(/come-in/[\w-]{43})", added)
    number = re.findall(r'action="/members/(\d+)"', added)[0]
    admin = server.cookies["patchsift"]
    server.cookies.clear()
    assert "You will be" in server.get(path).text
    server.post(path, data={"name": "", "password": PASSWORD, "again": PASSWORD})
    assert log_in(server, "cleo") == 303
    cleo = server.cookies["patchsift"]
    refused = server.get("/releases/new")
    assert (refused.status_code, "This is for a curator" in refused.text) == (403, True)

    be(server, admin)
    server.post(f"/members/{number}", data={"role": "curator", "do": "change"})
    be(server, cleo)
    assert server.get("/releases/new").status_code == 200
    be(server, admin)
    server.post(f"/members/{number}", data={"role": "curator", "do": "remove"})
    be(server, cleo)
    assert server.get("/queue", follow_redirects=False).status_code == 303
    be(server, admin)
    assert server.post(f"/members/{root + 50}", data={"role": "viewer", "do": "change"}).status_code == 404

    log = text(server.get("/audit").text)
    for what in (
        "logged in",
        "made cleo curator of the project",
        "took cleo out of the project",
        "chose a password by a link",
    ):
        assert what in log
    rows = [json.loads(line) for line in server.get("/audit.jsonl").text.splitlines()]
    assert [row["who"] for row in rows if row["what"] == "logged in"] == ["root", "cleo"]
    assert PASSWORD not in server.get("/audit.jsonl").text


def test_the_server_page_is_for_administrators(server: TestClient, db: Database) -> None:
    person(db, "root", Role.ADMIN, is_admin=True)
    ann = person(db, "ann", Role.ADMIN)
    log_in(server, "ann")
    assert server.get("/server").status_code == 403
    log_in(server, "root")
    assert "next door" in server.post("/server/projects", data={"name": "next door"}).text
    assert "next door" in server.get("/account").text
    server.post("/account/project", data={"project": "next door"})
    assert "next door" in text(server.get("/members").text)
    with db.read() as session:
        default, other = (project.id for project in accounts.list_all_projects(session))
    renamed = server.post("/server/projects", data={"name": "over the way", "project": other}, follow_redirects=False)
    assert (renamed.status_code, "over the way" in text(server.get("/members").text)) == (303, True)
    for number, name, said in (
        (other, "default", "There is a project default already."),
        (default, "ours", "The server is started with the project default"),
        (9999, "ours", "There is no project 9999."),
        ("", "over the way", "There is a project over the way already."),
    ):
        assert said in text(server.post("/server/projects", data={"name": name, "project": number}).text)
    shown = server.get("/server").text
    assert "Lock out: ann" in text(shown)
    server.post(f"/server/people/{ann}", data={"do": "disable"})
    assert "locked out" in server.get("/server").text
    assert "Lock out: ann" not in text(server.get("/server").text)
    refused = server.post(f"/server/people/{ann}", data={"do": "link"})
    assert (refused.status_code, "Let them in again first" in refused.text) == (409, True)
    assert "commands" in text(shown)  # what is said of local
    assert log_in(server, "ann") == 401


def test_who_may_enter_several_projects_sees_which_one_this_is(server: TestClient, db: Database) -> None:
    person(db, "root", Role.ADMIN, is_admin=True)
    ann = person(db, "ann", Role.REVIEWER)

    def here(name: str) -> str | None:
        assert log_in(server, name) == 303
        found = re.search(r'class="here".*?<bdi>(.*?)</bdi>', server.get("/queue").text, re.DOTALL)
        return found and found[1]

    assert [here("root"), here("ann")] == [None, None]
    with db.write() as session:
        other = review.ensure_project(session, "next door", now=NOON).id or 0
    assert [here("root"), here("ann")] == ["default", None]
    with db.write() as session:
        accounts.set_role(session, other, ann, "viewer")
    assert here("ann") == "default"
    assert server.post("/account/project", data={"project": "next door"}).status_code == 200
    assert "<bdi>next door</bdi>" in server.get("/queue").text


def test_the_log_of_decisions_says_who_and_from_where_and_tells_nothing_too_early(
    server: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    person(db, "root", Role.ADMIN, is_admin=True)
    person(db, "ann", Role.REVIEWER)
    alone, asked, many = read_issues(db, settings, project_id, tmp_path, "One", "Two", "Three")
    log_in(server, "ann")
    said = {"verdict": "reject", "version": 1, "key": "k1", "reasons": ["style"], "comment": "says too much"}
    server.post(f"/api/v1/candidates/{alone}/decisions", json=said)
    server.post("/api/v1/undo", json={"key": "k2"})
    server.post(f"/api/v1/candidates/{alone}/decisions", json={"verdict": "flag", "version": 3, "key": "k5"})
    server.post("/api/v1/bulk", json={"verdict": "skip", "count": 1, "filter": {"q": "Three"}, "key": "k3"})
    with db.write() as session:
        projects.change_settings(session, project_id, {"opinions": {"asked": 2}})
    server.post(f"/api/v1/candidates/{asked}/decisions", json=said | {"key": "k4"})

    log_in(server, "root")
    rows = [json.loads(line) for line in server.get("/audit.jsonl?log=decisions").text.splitlines()]

    told = [(row["who"], row["address"], row["what"], row["about"]["candidate"]) for row in rows]
    assert told == [
        ("ann", "testclient", "reject", alone),
        ("ann", "testclient", "undo", alone),
        ("ann", "testclient", "flag", alone),
        ("ann", "testclient", "skip", many),
        ("ann", "testclient", "an opinion", asked),
    ]
    assert rows[0]["about"]["comment"] == "says too much"
    assert rows[4]["about"] == {"candidate": asked}
    shown = server.get("/audit?log=decisions&who=ann&what=reject").text
    assert ("says too much" in shown, text(shown).count("style"), "an opinion" in shown) == (False, 1, False)
    assert server.get("/audit?log=else").status_code == 422
    with db.read() as session:
        assert decisions.verify_chain(session, project_id) is None
