"""The JSON twin: what outsiders rely on, and that nothing that is sent makes it fail."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from app import worker
from app.db import Database
from app.main import create_app
from app.settings import Settings
from tests.installations import installation
from tests.logs import DIFF, SCRIPT, line
from tests.loops import run_async
from tests.test_archives import tarred, zipped

DECISIONS = "/api/v1/candidates/1/decisions"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def three(client: TestClient) -> TestClient:
    """A client whose installation holds three pending candidates."""
    give(client, b"\n".join(line(issue) for issue in ("One", "Two", "Three")))
    return client


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The same for the tests of what is refused: one installation for all of them, as none may change it."""
    folder = tmp_path_factory.mktemp("asked")
    with installation(request, folder) as (settings, db), TestClient(create_app(settings, db)) as made:
        give(made, b"\n".join(line(issue) for issue in ("One", "Two", "Three")))
        yield made
        assert counts(made) == {"pending": 3}


def give(client: TestClient, content: bytes, name: str = "log.jsonl") -> dict[str, Any]:
    answer = client.post("/api/v1/ingest", params={"name": name}, content=content)
    assert answer.status_code in {200, 202}, answer.text
    report: dict[str, Any] = answer.json()
    return report


def act(key: str = "key-1", **more: object) -> dict[str, object]:
    return {"verdict": "accept", "version": 1, "key": key} | more


def assert_error(answer: Any, status: int, code: str, *also: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "message", "where", *also}
    assert error["code"] == code
    assert error["message"].endswith((".", "?"))
    return error


def counts(client: TestClient) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in client.get("/api/v1/candidates").json()["candidates"]:
        found[one["status"]] = found.get(one["status"], 0) + 1
    return found


# ------------------------------------------------------------------------------------------------ ingest


def test_a_report_adds_up(client: TestClient) -> None:
    report = give(client, line("One") + b"\n\nbroken\n" + line("One") + b"\n" + line("Two"), "a.jsonl")

    expected = {"entries": 4, "new": 2, "repeated": 1, "quarantined": 1, "blank": 1, "candidates": 2, "job": None}
    assert expected.items() <= report.items()
    assert (report["name"], report["state"], report["updated"], report["flagged"]) == ("a.jsonl", "done", 0, 0)


def test_a_report_counts_what_is_flagged(client: TestClient) -> None:
    assert give(client, line("One", successful_diff_summary="a\x00b"))["flagged"] == 1


def test_a_gzip_body_is_read(client: TestClient) -> None:
    assert give(client, gzip.compress(line("One")), "a.jsonl.gz")["new"] == 1


def test_an_empty_body_is_a_report_of_nothing(client: TestClient) -> None:
    assert give(client, b"")["entries"] == 0


def test_no_body_stays_behind(client: TestClient, settings: Settings) -> None:
    give(client, line())
    client.post("/api/v1/ingest", content=b"\x7fELF")

    assert list((settings.data_dir / "uploads").iterdir()) == []


def test_a_file_name_is_shown_and_never_used(client: TestClient, settings: Settings) -> None:
    report = give(client, line(), "../../etc/\u202epasswd\x00\r\nX: 1")

    assert report["name"] == "../../etc/\\x202epasswd\\x00\\x0d\\x0aX: 1"
    assert not list(settings.data_dir.rglob("*passwd*"))


@pytest.fixture
def small(settings: Settings, db: Database) -> Iterator[TestClient]:
    """The application where every upload is large."""
    tight = settings.model_copy(update={"inline_bytes": 0, "max_upload_bytes": 1 << 20})
    with TestClient(create_app(tight, db)) as made:
        yield made


def test_a_large_upload_becomes_a_job_that_the_worker_ends(small: TestClient, settings: Settings, db: Database) -> None:
    answer = small.post("/api/v1/ingest", params={"name": "a.jsonl"}, content=line("One") + b"\nbroken\n")
    job = answer.json()["job"]
    assert answer.status_code == 202
    assert small.get(f"/api/v1/jobs/{job}").json()["state"] == "queued"

    worker.run(db, settings, stop=lambda: False, until_idle=True)

    ended = small.get(f"/api/v1/jobs/{job}").json()
    assert {"id": job, "kind": "ingest", "state": "done", "message": "2 lines: 1 new, 1 quarantined"}.items() <= (
        ended.items()
    )
    assert ended["done"] == ended["total"] > 0
    assert ended["report"]["new"] == 1
    assert small.get("/api/v1/candidates/1").json()["checked"]
    assert list((settings.data_dir / "uploads").iterdir()) == []


def test_a_large_upload_of_another_kind_is_refused_at_once(small: TestClient, settings: Settings) -> None:
    assert_error(small.post("/api/v1/ingest", content=b"\x7fELF" + bytes(99)), 415, "unsupported")
    assert_error(small.post("/api/v1/ingest", content=b"PK\x03\x04" + bytes(99)), 422, "damaged_archive")
    assert_error(small.post("/api/v1/ingest", content=zipped({"../x": b"x" * 999})), 422, "unsafe_name")
    assert_error(small.post("/api/v1/ingest", content=tarred({"/x": b"x" * 999})), 422, "unsafe_name")
    assert list((settings.data_dir / "uploads").iterdir()) == []


def test_more_bytes_than_the_limit_are_refused_and_not_kept(small: TestClient, settings: Settings) -> None:
    def chunks() -> Iterator[bytes]:
        yield from [line() + b"\n"] * 2000

    assert_error(small.post("/api/v1/ingest", content=b"x" * (1 << 21)), 413, "too_large")
    assert_error(small.post("/api/v1/ingest", content=chunks()), 413, "too_large")
    assert list((settings.data_dir / "uploads").glob("*")) == []


# ------------------------------------------------------------------------------------------------ candidates


def test_candidates_come_page_by_page(asked: TestClient) -> None:
    first = asked.get("/api/v1/candidates", params={"limit": 2}).json()
    second = asked.get("/api/v1/candidates", params={"limit": 2, "after": first["after"]}).json()

    assert [one["title"] for one in first["candidates"]] == ["One", "Two"]
    assert [one["title"] for one in second["candidates"]] == ["Three"]
    assert second["after"] is None


def test_a_candidate_in_a_list_has_what_outsiders_rely_on(asked: TestClient) -> None:
    one = asked.get("/api/v1/candidates").json()["candidates"][0]

    expected = {"id": 1, "kind": "patch", "status": "pending", "version": 1, "title": "One", "n_attempts": 0}
    assert expected.items() <= one.items()
    assert len(one["digest"]) == len(one["group"]) == 64
    assert one["findings"] == []
    assert datetime.fromisoformat(one["logged_at"]).tzinfo is not None


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ({"status": "pending"}, ["One", "Two", "Three"]),
        ({"status": "accepted"}, []),
        ({"kind": "patch", "q": "two"}, ["Two"]),
        ({"kind": "spec"}, []),
        ({"order": "newest"}, ["Three", "Two", "One"]),
        ({"q": 'NEAR("* AND'}, []),
        ({"q": "a" * 10_000}, []),
    ],
)
def test_a_filter_finds_what_it_says(asked: TestClient, query: dict[str, str], titles: list[str]) -> None:
    answer = asked.get("/api/v1/candidates", params=query)

    assert answer.status_code == 200
    assert [one["title"] for one in answer.json()["candidates"]] == titles


@pytest.mark.parametrize(
    "query",
    [
        {"q": "%"},
        {"q": "\u0000"},
        {"status": "gone"},
        {"order": "reviewer.password_hash"},
        {"rating": "6"},
        {"since": "yesterday"},
        {"upload": "x"},
        {"after": "-1"},
        {"after": "NaN"},
        {"after": "9" * 5000},
        {"after": "\u0661"},
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "9" * 5000},
    ],
)
def test_a_value_that_a_parameter_cannot_have_is_named(asked: TestClient, query: dict[str, str]) -> None:
    error = assert_error(asked.get("/api/v1/candidates", params=query), 422, "bad_input")

    assert error["where"] == f"field {next(iter(query))}"


def test_one_candidate_says_everything_that_is_known(asked: TestClient) -> None:
    one = asked.get("/api/v1/candidates/1").json()

    assert (one["issue"], one["diff"], one["script"]) == ("One", DIFF, SCRIPT)
    assert one["target_files"] == ["src/x.py"]
    assert one["operations"] == [{"name": "rename_variable", "old_name": "a", "new_name": "b"}]
    assert one["hunks"] == [{"path": "x.py", "start": 1, "text": "b\n", "dropped": False}]
    assert {"source": "log.jsonl", "line": 1, "offset_bytes": 0}.items() <= one["entry"].items()
    assert one["history"] == []


# ------------------------------------------------------------------------------------------------ queue


def test_the_next_candidate_comes_with_its_lease(three: TestClient) -> None:
    answer = three.post("/api/v1/queue/next").json()

    assert answer["candidate"]["title"] == "One"
    assert answer["lease"]["number"] == 1
    assert datetime.fromisoformat(answer["lease"]["until"]) > datetime.now().astimezone()


def test_the_queue_goes_on_until_nothing_waits(three: TestClient) -> None:
    seen = []
    while (answer := three.post("/api/v1/queue/next")).status_code == 200:
        candidate = answer.json()["candidate"]
        seen.append(candidate["title"])
        three.post(f"/api/v1/candidates/{candidate['id']}/decisions", json=act(f"key-{candidate['id']}"))

    assert seen == ["One", "Two", "Three"]
    assert (answer.status_code, answer.content) == (204, b"")


# ------------------------------------------------------------------------------------------------ decisions


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"verdict": "accept"}, "accepted"),
        ({"verdict": "reject", "reasons": ["style", "unsafe"], "comment": "no\u2028", "rating": 1}, "rejected"),
        ({"verdict": "edit", "edited": {"script": SCRIPT + "x = 1\n"}}, "edited"),
        ({"verdict": "edit", "edited": {"diff": DIFF.replace("+b", "+c")}}, "edited"),
        ({"verdict": "edit", "edited": {"hunks": ["c\n"]}}, "edited"),
        ({"verdict": "skip"}, "skipped"),
        ({"verdict": "flag"}, "flagged"),
    ],
)
def test_a_verdict_is_recorded(three: TestClient, more: dict[str, Any], status: str) -> None:
    answer = three.post(DECISIONS, json=act(**more)).json()

    assert (answer["candidate"]["status"], answer["candidate"]["version"]) == (status, 2)
    assert {"candidate": 1, "candidate_version": 1, "key": "key-1", "undoes": None}.items() <= answer[
        "decision"
    ].items()
    [stored] = three.get("/api/v1/candidates/1").json()["history"]
    assert answer["decision"].items() <= stored.items()
    assert {key: value for key, value in more.items() if key != "edited"}.items() <= stored.items()
    assert stored["reviewer"] == "local"


@pytest.mark.parametrize(
    ("edited", "stored"),
    [
        ({"script": "a = 1\r\nb = 2\n"}, {"script": "a = 1\nb = 2\n"}),
        ({"script": "\n\n  é\u2028\n\n"}, {"script": "\n\n  é\u2028\n\n"}),
        ({"diff": DIFF.replace("+b", "+c")}, {"diff": DIFF.replace("+b", "+c")}),
        ({"hunks": ["b\nc\n"]}, {"diff": "--- a/x.py\n+++ b/x.py\n@@ -1 +1,2 @@\n-a\n+b\n+c\n"}),
    ],
)
def test_an_edit_is_stored_to_the_byte(three: TestClient, edited: dict[str, Any], stored: dict[str, str]) -> None:
    three.post(DECISIONS, json=act(verdict="edit", edited=edited))

    assert three.get("/api/v1/candidates/1").json()["history"][0]["edited"] == stored


@pytest.mark.parametrize("edited", [{"script": SCRIPT}, {"diff": DIFF.replace("\n", "\r\n")}, {"hunks": ["b\n"]}])
def test_an_edit_that_changes_nothing_is_none(three: TestClient, edited: dict[str, Any]) -> None:
    answer = three.post(DECISIONS, json=act(verdict="edit", edited=edited)).json()

    assert answer["decision"] is None
    assert answer["message"] == "Nothing was changed, so no edit was recorded."
    assert answer["candidate"]["version"] == 1


def test_the_same_key_again_gets_the_first_answer(three: TestClient) -> None:
    first = three.post(DECISIONS, json=act()).json()
    again = three.post(DECISIONS, json=act()).json()

    assert again["decision"] == first["decision"]
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert counts(three) == {"accepted": 1, "pending": 2}


def test_a_stale_version_is_a_conflict(three: TestClient) -> None:
    three.post(DECISIONS, json=act(verdict="reject"))

    stale = act("key-2", comment="Good", lease=1)
    error = assert_error(three.post(DECISIONS, json=stale), 409, "conflict", "yours", "theirs")

    assert error["where"] == "candidate 1"
    assert error["yours"] == {
        "verdict": "accept", "version": 1, "reasons": [], "comment": "Good", "rating": None, "edited": None
    }  # fmt: skip
    assert (error["theirs"]["version"], error["theirs"]["status"]) == (2, "rejected")
    assert error["theirs"]["decision"]["by"] == "local"
    assert error["theirs"]["texts"] == {"script": SCRIPT, "diff": DIFF}
    assert counts(three) == {"rejected": 1, "pending": 2}


def test_undo_takes_back_one_after_the_other(three: TestClient) -> None:
    three.post(DECISIONS, json=act())
    three.post(DECISIONS, json=act("key-2", verdict="flag", version=2))

    assert three.post("/api/v1/undo", json={"key": "undo-1"}).json()["candidate"]["status"] == "accepted"
    assert three.post("/api/v1/undo", json={"key": "undo-1"}).json()["repeated"]
    assert three.post("/api/v1/undo").json()["candidate"]["status"] == "pending"
    assert_error(three.post("/api/v1/undo", json={}), 409, "conflict")


HOSTILE_BODIES = {
    "nothing": b"",
    "no object": b"[]",
    "text": b'"accept"',
    "cut": b'{"verdict": "acc',
    "not UTF-8": b'{"verdict": "\xff"}',
    "UTF-16": json.dumps(act()).encode("utf-16"),
    "NaN": b'{"verdict": "accept", "version": NaN, "key": "k"}',
    "too large a number": b'{"verdict": "accept", "version": 1e999, "key": "k"}',
    "integer of 5,000 digits": b'{"verdict": "accept", "version": ' + b"9" * 5000 + b', "key": "k"}',
    "100,000 brackets": b"[" * 100_000,
    "100,000 brackets inside": b'{"verdict": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "doubled key": b'{"verdict": "accept", "verdict": "reject", "version": 1, "key": "k"}',
    "doubled rating": b'{"verdict": "accept", "version": 1, "key": "k", "rating": 1, "rating": 5}',
    "lone surrogate in a key": b'{"verdict": "accept", "version": 1, "key": "\\ud800"}',
    "lone surrogate in a comment": b'{"verdict": "accept", "version": 1, "key": "k", "comment": "\\ud800"}',
    "lone surrogate in a name": b'{"verdict": "accept", "version": 1, "key": "k", "\\ud800": 1}',
    "lone surrogate in the verdict": b'{"verdict": "\\ud800", "version": 1, "key": "k"}',
    "lone surrogate in a reason": b'{"verdict": "reject", "version": 1, "key": "k", "reasons": ["\\udfff"]}',
    "lone surrogate in an edit": b'{"verdict": "edit", "version": 1, "key": "k", "edited": {"script": "\\ud800"}}',
    "lone surrogate in a field": b'{"verdict": "edit", "version": 1, "key": "k", "edited": {"\\ud800": "x"}}',
    "lone surrogate in a hunk": b'{"verdict": "edit", "version": 1, "key": "k", "edited": {"hunks": ["\\ud800"]}}',
}


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
def test_a_hostile_body_is_a_sentence_and_stores_nothing(asked: TestClient, body: bytes) -> None:
    answer = asked.post(DECISIONS, content=body, headers=JSON)

    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}
    assert counts(asked) == {"pending": 3}


@pytest.mark.parametrize(
    "more",
    [
        {"verdict": "accept\x00"},
        {"verdict": "accept,reject"},
        {"verdict": "Accept "},
        {"verdict": "undo"},
        {"verdict": ""},
        {"verdict": None},
        {"reviewer_id": 1},
        {"version": "1"},
        {"version": 1.0},
        {"version": True},
        {"key": ""},
        {"key": "k" * 201},
        {"key": "a\nb"},
        {"key": "é"},
        {"key": 7},
        {"reasons": ["nonsense"]},
        {"reasons": "style"},
        {"reasons": ["style"] * 21},
        {"comment": "a\x00b"},
        {"comment": "x" * 10_001},
        {"rating": 0},
        {"rating": 6},
        {"rating": "5"},
        {"edited": {"script": "x"}},
        {"verdict": "edit"},
        {"verdict": "edit", "edited": {}},
        {"verdict": "edit", "edited": {"script": "x", "diff": "y"}},
        {"verdict": "edit", "edited": {"title": "x"}},
        {"verdict": "edit", "edited": {"script": ["x"]}},
        {"verdict": "edit", "edited": {"script": " \n"}},
        {"verdict": "edit", "edited": {"script": "a\x00b"}},
        {"verdict": "edit", "edited": {"hunks": []}},
        {"verdict": "edit", "edited": {"hunks": ["a\n", "b\n"]}},
        {"verdict": "edit", "edited": {"hunks": "b\n"}},
    ],
)
def test_a_decision_that_cannot_be_names_the_field(asked: TestClient, more: dict[str, object]) -> None:
    error = assert_error(asked.post(DECISIONS, json=act() | more), 422, "bad_input")

    assert (error["where"] or "field ").startswith(("field ", "line "))
    assert counts(asked) == {"pending": 3}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_a_body_of_another_type_is_refused(asked: TestClient, kind: str) -> None:
    answer = asked.post(DECISIONS, content=json.dumps(act()), headers={"Content-Type": kind})

    assert_error(answer, 415, "unsupported")
    assert counts(asked) == {"pending": 3}


def test_a_body_with_a_byte_order_mark_and_line_ends_is_json(three: TestClient) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(act(), indent=2).encode()

    answer = three.post(DECISIONS, content=body, headers={"Content-Type": "Application/JSON; charset=utf-8"})

    assert answer.status_code == 200


# ------------------------------------------------------------------------------------------------ errors, description


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v2", 404),
        ("GET", "/api/v1/candidates/99", 404),
        ("GET", "/api/v1/candidates/99999999999999999999", 404),
        ("GET", "/api/v1/candidates/-1", 404),
        ("GET", "/api/v1/candidates/x", 422),
        ("GET", "/api/v1/candidates/%00", 422),
        ("GET", "/api/v1/jobs/99", 404),
        ("GET", "/api/v1/jobs/99999999999999999999", 404),
        ("POST", "/api/v1/jobs/99/cancel", 404),
        ("GET", "/api/v1/ingest", 405),
        ("PUT", "/api/v1/ingest", 405),
        ("DELETE", "/api/v1/candidates/1", 405),
        ("POST", "/api/v1/candidates", 405),
        ("TRACE", "/api/v1/candidates", 405),
        ("POST", "/api/v1/candidates/99999999999999999999/decisions", 404),
    ],
)
def test_every_error_has_one_shape(asked: TestClient, method: str, path: str, status: int) -> None:
    answer = asked.request(method, path, json=act() if path.endswith("decisions") else None)

    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) == {"code", "message", "where"}
    assert answer.json()["error"]["message"].endswith(".")


def test_a_fault_of_the_program_is_told_apart_and_says_nothing_of_the_inside(
    settings: Settings, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings, db)

    @app.get("/api/v1/broken")
    def broken() -> None:
        raise KeyError("secret detail")

    answer = TestClient(app, raise_server_exceptions=False).get("/api/v1/broken")

    assert_error(answer, 500, "bug")
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text


def test_the_api_describes_itself(client: TestClient) -> None:
    described = client.get("/api/v1/openapi.json").json()

    assert described["openapi"].startswith("3.")
    expected = {
        "/api/v1/ingest": "post",
        "/api/v1/candidates": "get",
        "/api/v1/candidates/{candidate_id}": "get",
        "/api/v1/queue/next": "post",
        "/api/v1/candidates/{candidate_id}/decisions": "post",
        "/api/v1/undo": "post",
        "/api/v1/jobs/{job_id}": "get",
        "/healthz": "get",
        "/readyz": "get",
    }
    assert {(path, method) for path, method in expected.items() if method in described["paths"][path]} == set(
        expected.items()
    )
    body = described["paths"]["/api/v1/candidates/{candidate_id}/decisions"]["post"]["requestBody"]
    assert {"verdict", "version", "key"} == set(body["content"]["application/json"]["schema"]["required"])


def test_no_page_of_documentation_from_elsewhere_is_served(client: TestClient) -> None:
    assert {client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")} == {404}


def test_health_and_readiness_answer(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok", "message": None}


def test_who_asks_whether_it_is_ready_is_not_told_where_the_database_is(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Database(Settings(data_dir=tmp_path, database_url="postgresql://me@127.0.0.1:1/none"))
    monkeypatch.setattr(client.app.state, "db", gone)  # type: ignore[attr-defined]

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert [word for word in ("127.0.0.1", "none", "postgresql", "me@") if word in answer.text] == []
    assert "127.0.0.1:1/none" in caplog.text


def test_a_job_can_be_cancelled_before_it_begins(small: TestClient) -> None:
    job = small.post("/api/v1/ingest", content=line()).json()["job"]

    assert small.post(f"/api/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    assert_error(small.post(f"/api/v1/jobs/{job}/cancel"), 409, "conflict")


# ------------------------------------------------------------------------------------------------ commit and answer


def scope_of(path: str, kind: str = "application/json") -> dict[str, Any]:
    headers = [(b"host", b"testserver"), (b"content-type", kind.encode())]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


def test_the_commit_comes_before_the_answer(three: TestClient, db: Database) -> None:
    order: list[str] = []
    event.listen(db.engine, "commit", lambda _: order.append("commit"))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(act()).encode(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        order.append(f"{message['type']} {message.get('status', '')}".strip())

    run_async(three.app(scope_of(DECISIONS), receive, send))  # type: ignore[arg-type]

    assert order[:2] == ["commit", "http.response.start 200"]


def test_a_commit_that_fails_is_not_answered_as_success(settings: Settings, db: Database) -> None:
    @event.listens_for(db.engine, "commit")
    def fail(_: object) -> None:
        raise OSError("the disk is gone")

    app = create_app_without_writing(settings, db)
    answer = TestClient(app, raise_server_exceptions=False).post("/api/v1/queue/next")

    assert answer.status_code == 500


def create_app_without_writing(settings: Settings, db: Database) -> Any:
    with contextlib.suppress(OSError):
        return create_app(settings, db)
    return None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (DECISIONS, "application/json"),
        ("/api/v1/undo", "application/json"),
        ("/api/v1/ingest", "application/octet-stream"),
        ("/candidates/1/decisions", "application/x-www-form-urlencoded"),
        ("/undo", "application/x-www-form-urlencoded"),
        ("/ingest", "multipart/form-data; boundary=x"),
    ],
)
def test_a_slow_sender_keeps_nobody_from_writing(three: TestClient, db: Database, path: str, kind: str) -> None:
    done: list[bool] = []

    async def receive() -> dict[str, Any]:
        if not done:
            await asyncio.to_thread(write)
            done.append(True)
            return {"type": "http.request", "body": b"{", "more_body": True}
        return {"type": "http.disconnect"}

    def write() -> None:
        with db.write() as session:
            session.connection().exec_driver_sql("SELECT 1")

    async def send(_: dict[str, Any]) -> None:
        return None

    async def ask() -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(three.app(scope_of(path, kind), receive, send), timeout=5)  # type: ignore[arg-type]

    run_async(ask())
    assert done


def test_the_body_of_an_upload_that_breaks_off_does_not_stay(three: TestClient, settings: Settings) -> None:
    async def receive() -> dict[str, Any]:
        if not (settings.data_dir / "uploads").exists() or not any((settings.data_dir / "uploads").iterdir()):
            return {"type": "http.request", "body": b"{", "more_body": True}
        return {"type": "http.disconnect"}

    async def send(_: dict[str, Any]) -> None:
        return None

    async def ask() -> None:
        with contextlib.suppress(Exception):
            await three.app(scope_of("/api/v1/ingest"), receive, send)  # type: ignore[arg-type]

    run_async(ask())
    assert list((settings.data_dir / "uploads").iterdir()) == []
    assert len(three.get("/api/v1/candidates").json()["candidates"]) == 3


def test_an_upload_through_the_command_and_the_api_is_one_source_of_truth(
    client: TestClient, settings: Settings, db: Database, project_id: int, tmp_path: Path
) -> None:
    from tests.logs import read

    read(db, settings, project_id, tmp_path, line("One"))

    assert give(client, line("One"))["repeated"] == 1


@pytest.mark.parametrize("number", [2**31 - 1, 2**31, 2**53, 10**30])
def test_a_number_that_no_column_holds_is_not_found(client: TestClient, number: int) -> None:
    assert client.get(f"/api/v1/candidates/{number}").status_code in {404, 422}
    assert client.get(f"/candidates/{number}").status_code in {404, 422}
    assert client.get(f"/api/v1/candidates?after={number}").status_code in {200, 422}


def test_what_was_measured_is_kept_with_the_decision_and_an_undo_names_the_one_it_means(
    three: TestClient,
) -> None:
    for n, number in enumerate((1, 2)):
        body = {"verdict": "accept", "version": 1, "key": f"k{n}", "n_seen": 2, "n_hunks": 5, "spent_ms": 1500}
        assert three.post(f"/api/v1/candidates/{number}/decisions", json=body).status_code == 200
    undone = three.post("/api/v1/undo", json={"key": "u", "of": "k0"}).json()
    again = three.post("/api/v1/undo", json={"key": "u2", "of": "k0"})

    assert undone["candidate"]["id"] == 1
    assert (again.status_code, "taken back already" in again.text) == (409, True)
    (kept, _) = three.get(f"/api/v1/candidates/{1}").json()["history"]
    assert (kept["n_seen"], kept["n_hunks"], kept["spent_ms"]) == (2, 5, 1500)


# ------------------------------------------------------------------------------------------------ what no fuzz may find


@pytest.mark.parametrize(
    "path",
    [
        "/candidates/2147483648/edit",
        "/candidates/9223372036854775808/edit",
        "/candidates/2147483648/previous",
        "/candidates/9223372036854775808/next",
        "/candidates/-2147483649/previous",
        "/api/v1/candidates/-2147483649/examples",
        "/api/v1/jobs/-9223372036854775809",
        "/imports/99999999999999999999",
        "/releases/99999999999999999999",
        "/queue?source=%00",
        "/queue?file=%00&finding=a%00b",
        "/api/v1/candidates?source=%00",
    ],
)
def test_a_number_or_a_character_that_no_database_holds_is_no_fault(client: TestClient, path: str) -> None:
    assert client.get(path).status_code < 500


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/login", {"name": "a\x00", "password": "b\x00", "code": ""}),
        ("/members", {"name": "a\x00", "role": "viewer"}),
        ("/views", {"name": "a\x00", "filter": "a\x00"}),
        ("/templates/scaffold", {"text": "a\x00", "comment": "b\x00"}),
    ],
)
def test_a_nul_in_a_form_is_no_fault(client: TestClient, path: str, fields: dict[str, str]) -> None:
    assert client.post(path, data=fields).status_code < 500


def test_a_nul_in_a_body_is_no_fault(client: TestClient) -> None:
    client.post("/api/v1/ingest", content=line("One"))

    sent = {"to": "a\x00", "sentence": "look"}
    assert client.post("/api/v1/candidates/1/turns", json=sent).status_code == 422
    assert client.get("/audit?who=%00&what=%00").status_code < 500


def test_a_method_that_an_address_does_not_take_is_answered_with_those_that_it_takes(client: TestClient) -> None:
    assert client.delete("/api/v1/bulk").headers["allow"] == "POST"


def test_the_description_holds_what_programs_call_and_the_one_shape_of_an_error(client: TestClient) -> None:
    said = client.get("/api/v1/openapi.json").json()

    assert {path for path in said["paths"] if not path.startswith("/api/")} == {"/healthz", "/readyz"}
    answers = [one["responses"] for methods in said["paths"].values() for one in methods.values()]
    assert {one["4XX"]["content"]["application/json"]["schema"]["$ref"] for one in answers} == {
        "#/components/schemas/Error"
    }
    assert "422" not in {status for one in answers for status in one}
    asked = {one["name"] for one in said["paths"]["/api/v1/candidates"]["get"]["parameters"]}
    assert {"q", "status", "kind", "after", "limit"} <= asked
