"""Releases for programs: what outsiders rely on, and that nothing leaves that the manifest does not name."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.models import ReleaseState
from tests.releasing import Desk, installed
from tests.test_api import assert_error
from tests.test_release_cli import change

RELEASES = "/api/v1/releases"
JSON = {"Content-Type": "application/json"}
ROWS = 4


class Api:
    """A client on an installation with four accepted candidates."""

    def __init__(self, desk: Desk, client: TestClient) -> None:
        self.desk, self.client = desk, client
        desk.read(*(change(f"Issue {n}") for n in range(ROWS)))
        desk.read(change("Gone", successful_script=None, successful_script_hash="-0x1f"))
        desk.accept_all()

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"{RELEASES}{path}", headers={name.replace("_", "-"): v for name, v in headers.items()})

    def post(self, path: str = "", body: object = None) -> Any:
        return self.client.post(f"{RELEASES}{path}", json=body)

    def release(self, **body: object) -> int:
        made = self.post(body=body)
        assert made.status_code == 202, made.text
        self.desk.work()
        number: int = made.json()["number"]
        return number


@pytest.fixture(params=["sqlite", "postgres"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    with (
        installed(request.param, request, tmp_path) as desk,
        TestClient(create_app(desk.settings, desk.db), headers={"Sec-Fetch-Site": "same-origin"}) as client,
    ):
        yield Api(desk, client)


@pytest.fixture(scope="module")
def frozen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One installation with two releases for all tests that only read, on SQLite."""
    folder = tmp_path_factory.mktemp("frozen")
    with (
        installed("sqlite", request, folder) as desk,
        TestClient(create_app(desk.settings, desk.db), headers={"Sec-Fetch-Site": "same-origin"}) as client,
    ):
        made = Api(desk, client)
        made.release(name="first", filter={"q": '"Issue 1"'})
        made.release(name="second")
        yield made


# ------------------------------------------------------------------------------------------------ make


def test_a_release_is_ordered_frozen_by_the_worker_and_looked_at(api: Api) -> None:
    ordered = api.post(body={"name": "nightly", "seed": 3, "filter": "status=accepted"})
    made = ordered.json()
    job = f"/api/v1/jobs/{made['job']}"

    assert ordered.status_code == 202
    assert (made["number"], made["name"], made["state"], made["counts"]) == (1, "nightly", "queued", {})
    assert {"state": "queued", "release": 1}.items() <= api.client.get(job).json().items()
    assert_error(api.get("/1/files"), 409, "conflict")
    api.desk.work()
    assert {"state": "done", "release": 1}.items() <= api.client.get(job).json().items()

    said = api.get("/latest").json()
    assert said["state"] == "frozen"
    assert said["counts"]["datasets"]["llm/scaffold/sft"] == {"rows": ROWS, "held": 1}
    assert said["manifest"]["order"]["filter"] == {"status": "accepted"}
    assert said["manifest"]["order"]["seed"] == 3
    assert "files" not in said["manifest"]
    assert said["by"] == "local"
    assert said["manifest_sha256"] == hashlib.sha256(api.get("/1/files/manifest.json").content).hexdigest()
    assert api.get("/1/verify").json()["whole"]


def test_a_release_needs_no_body(api: Api) -> None:
    assert api.client.post(RELEASES).json()["number"] == 1


def test_a_key_makes_one_release_however_often_it_is_sent(api: Api) -> None:
    body = {"key": "nightly-7", "name": "nightly"}
    made = [api.post("", body).json()["number"] for _ in range(3)]
    other = api.post("", body | {"name": "another"})

    assert made == [1, 1, 1]
    assert_error(other, 409, "conflict")
    assert "This key made release 1" in other.json()["error"]["message"]
    for wrong in (7, "k" * 201):
        assert_error(api.post("", {"key": wrong}), 422, "bad_input")
    assert [api.post("", {"name": "nightly"}).json()["number"] for _ in range(2)] == [2, 3]


def test_a_release_that_is_cancelled_before_it_began_keeps_no_other_waiting(api: Api) -> None:
    job = api.post().json()["job"]

    assert api.client.post(f"/api/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    assert {"state": "failed", "message": "Cancelled before it began."}.items() <= api.get("/1").json().items()
    assert api.desk.row(api.release()).state == ReleaseState.FROZEN


def test_a_preview_counts_what_a_release_then_holds_and_stores_nothing(api: Api) -> None:
    seen = api.post("/preview", {"filter": {"q": "Issue"}}).json()
    every = api.client.post(f"{RELEASES}/preview", params={"whole": "true"})
    api.desk.work()
    counted = api.client.get(f"/api/v1/jobs/{every.json()['id']}").json()
    api.release(filter={"q": "Issue"})

    assert api.get("").json()["releases"][0]["number"] == 1
    assert (every.status_code, counted["state"], counted["whole"]) == (202, "done", True)
    assert counted["held_by_gate"] == {"hash_only": 1} | counted["held_by_gate"]
    said = api.get("/1").json()["manifest"]
    assert [without_samples(one) for one in seen["datasets"]] == said["datasets"]
    assert seen["datasets"][0]["samples"][0]["row"]["prompt"]


def without_samples(counts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in counts.items() if key != "samples"}


def test_a_release_is_withdrawn_once_with_its_reason(api: Api) -> None:
    api.release()

    assert_error(api.post("/1/withdraw", {"why": " "}), 422, "bad_input")
    withdrawn = api.post("/1/withdraw", {"why": "wrong filter"}).json()

    assert (withdrawn["state"], withdrawn["withdrawn_why"]) == ("withdrawn", "wrong filter")
    assert_error(api.post("/1/withdraw", {"why": "again"}), 409, "conflict")
    assert_error(api.get("/latest"), 404, "not_found")
    assert api.get("/1/files/README.md").status_code == 200


HOSTILE = {
    "no object": b"[]",
    "NaN": b'{"seed": NaN}',
    "doubled key": b'{"seed": 1, "seed": 2}',
    "unknown": b'{"sed": 1}',
    "name that is a list": b'{"name": ["x"]}',
    "name of two lines": b'{"name": "a\\nb"}',
    "long name": b'{"name": "' + b"x" * 201 + b'"}',
    "half a character in the name": b'{"name": "\\ud800"}',
    "half a character in the filter": b'{"filter": {"q": "\\ud800"}}',
    "NUL in the filter": b'{"filter": {"q": "\\u0000"}}',
    "unknown field in the filter": b'{"filter": {"sta": "x"}}',
    "list in the filter": b'{"filter": {"q": ["x"]}}',
    "true in the filter": b'{"filter": {"rating": true}}',
    "filter that is a number": b'{"filter": 7}',
    "filter twice": b'{"filter": "q=a&q=b"}',
    "pending": b'{"filter": {"status": "pending"}}',
    "no seed": b'{"seed": "x"}',
    "large seed": b'{"seed": 99999999999999999999}',
    "split that is text": b'{"split": "issue"}',
    "split by moon": b'{"split": {"by": "moon"}}',
    "by time without instants": b'{"split": {"by": "time"}}',
    "shares over 1": b'{"split": {"shares": {"train": 0.9, "validation": 0.9, "test": 0.9}}}',
    "budgets": b'{"budgets": [1]}',
    "licence": b'{"licence_required": "yes"}',
    "overlap": b'{"overlap": {"n": 0}}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("path", ["", "/preview"])
def test_an_order_that_cannot_be_is_a_sentence_and_makes_nothing(frozen: Api, path: str, body: bytes) -> None:
    answer = frozen.client.post(RELEASES + path, content=body, headers=JSON)

    assert answer.status_code == 422, answer.text
    assert set(answer.json()["error"]) == {"code", "message", "where"}
    assert len(frozen.get("").json()["releases"]) == 2


# ------------------------------------------------------------------------------------------------ look at


def test_releases_are_listed_a_page_at_a_time(frozen: Api) -> None:
    first = frozen.get("?limit=1").json()
    second = frozen.get(f"?limit=1&before={first['before']}").json()

    assert [one["number"] for one in first["releases"] + second["releases"]] == [2, 1]
    assert (first["before"], second["before"]) == (2, None)


def test_held_back_rows_are_read_a_page_at_a_time(frozen: Api) -> None:
    whole = frozen.get("/2/held").json()
    found: list[object] = []
    after: int | None = 0
    while after is not None:
        page = frozen.get(f"/2/held?limit=1&after={after}").json()
        found, after = found + page["held"], page["after"]

    assert found == whole["held"]
    assert frozen.get("/2/held?gate=secret").json() == {"held": [], "after": None}
    [row] = frozen.get("/2/held?gate=hash_only&dataset=llm/scaffold/sft").json()["held"]
    assert row["gates"][0]["gate"] == "hash_only"
    assert_error(frozen.get("/2/held?dataset=moon"), 422, "bad_input")


def test_every_file_is_listed_and_is_what_its_digest_says(frozen: Api) -> None:
    folder = frozen.desk.open(2).folder
    listed = frozen.get("/2/files").json()["files"]

    assert {one["path"] for one in listed} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    for one in listed:
        answer = frozen.get(f"/2/files/{one['path']}")
        assert hashlib.sha256(answer.content).hexdigest() == one["sha256"]
        assert (len(answer.content), answer.headers["etag"]) == (one["bytes"], f'"{one["sha256"]}"')


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "",
        "examples",
        "%2e%2e/1/README.md",
        "..%2f1%2fREADME.md",
        "examples%2f..%2fREADME.md",
        "%2fetc%2fpasswd",
        "README.md%00",
        "%5c..%5cREADME.md",
    ],
)
def test_nothing_else_is_served(frozen: Api, path: str) -> None:
    assert_error(frozen.client.get(f"{RELEASES}/2/files/{path}"), 404, "not_found")


def test_a_file_outside_is_not_served_whatever_the_manifest_says(api: Api) -> None:
    api.release()
    folder = api.desk.open(1).folder
    said = json.loads((folder / "manifest.json").read_bytes())
    said["files"] += [{"path": path, "sha256": "0" * 64, "bytes": 1} for path in ("../../../patchsift.db", "link")]
    (folder / "manifest.json").write_text(json.dumps(said))
    (folder / "link").symlink_to("/etc/passwd")

    for path in ("..%2f..%2f..%2fpatchsift.db", "link"):
        assert_error(api.get(f"/1/files/{path}"), 404, "not_found")


def test_a_known_file_costs_nothing_and_a_broken_download_goes_on(frozen: Api) -> None:
    path = "/2/files/examples/llm/scaffold/sft/train.jsonl"
    whole = frozen.get(path)
    etag = whole.headers["etag"]

    assert frozen.get(path, if_none_match=etag).status_code == 304
    assert frozen.get(path, if_none_match=f'"x", W/{etag}').content == b""
    assert frozen.get(path, if_none_match='"x"').status_code == 200
    part = frozen.get(path, range="bytes=10-", if_range=etag)
    assert (part.status_code, part.content) == (206, whole.content[10:])
    assert frozen.get(path, range="bytes=10-", if_range='"x"').content == whole.content
    assert frozen.get(path, range="bytes=99999999-").status_code == 416


# ------------------------------------------------------------------------------------------------ download


def test_a_dataset_is_packed_once_and_is_the_same_for_ever(frozen: Api) -> None:
    first = frozen.get("/2/download?role=llm&task=scaffold&objective=sft&format=messages")
    again = frozen.get("/2/download?format=sft_chat")
    default = frozen.get("/latest/download")

    assert first.headers["content-type"] == "application/zip"
    assert 'filename="patchsift-default-release-2-scaffold_sft_chat.zip"' in first.headers["content-disposition"]
    assert again.content == first.content
    assert first.headers["etag"] == f'"{hashlib.sha256(first.content).hexdigest()}"'
    assert default.content != first.content
    with zipfile.ZipFile(io.BytesIO(first.content)) as packed:
        rows = [name for name in packed.namelist() if "/jsonl/scaffold_sft_chat/" in name]
        assert sum(packed.read(name).count(b"\n") for name in rows) == ROWS
    assert frozen.get("/2/download?format=messages", if_none_match=first.headers["etag"]).status_code == 304
    part = frozen.get("/2/download?format=messages", range="bytes=0-9")
    assert (part.status_code, part.content) == (206, first.content[:10])
    kept = frozen.desk.settings.data_dir / "exports" / "releases"
    assert {path.suffix for path in kept.rglob("*") if path.is_file()} == {".zip", ".json"}
    assert not list(kept.rglob(".tmp-*"))


def test_a_zip_that_cannot_be_built_is_told_and_leaves_nothing(api: Api) -> None:
    api.release()
    exports = api.desk.settings.data_dir / "exports"
    exports.mkdir(exist_ok=True)
    (exports / "releases").write_text("in the way")

    assert_error(api.get("/1/download"), 507, "not_stored")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("/2/download?role=moon", 422, "bad_input"),
        ("/2/download?objective=moon", 422, "bad_input"),
        ("/2/download?format=moon", 422, "bad_input"),
        ("/2/download?task=repair", 422, "nothing_to_export"),
        ("/7/download", 404, "not_found"),
        ("/7", 404, "not_found"),
        ("/0", 404, "not_found"),
        ("/-1", 404, "not_found"),
        ("/²", 404, "not_found"),
        ("/99999999999999999999", 404, "not_found"),
        ("/%00", 404, "not_found"),
        ("/7/files", 404, "not_found"),
        ("/7/held", 404, "not_found"),
        ("/7/verify", 404, "not_found"),
        ("/7/diff/1", 404, "not_found"),
        ("/1/diff/x", 404, "not_found"),
        ("/2/held?limit=0", 422, "bad_input"),
        ("/2/held?after=-1", 422, "bad_input"),
        ("?before=x", 422, "bad_input"),
        ("?limit=501", 422, "bad_input"),
    ],
)
def test_what_is_not_there_is_a_sentence(frozen: Api, query: str, status: int, code: str) -> None:
    assert_error(frozen.get(query), status, code)


def test_two_releases_are_compared(frozen: Api) -> None:
    found = frozen.get("/1/diff/latest").json()

    assert found["datasets"]["llm/scaffold/sft"] == {"added": ROWS - 1, "removed": 0, "changed": 0, "moved": 0}
    assert (found["before"], found["after"]) == ("release 1", "release 2")


def test_a_fault_is_told_with_its_place(api: Api) -> None:
    api.release()
    with (api.desk.open(1).folder / "README.md").open("ab") as file:
        file.write(b"more")

    said = api.get("/1/verify").json()

    assert (said["whole"], said["number"]) == (False, 1)
    assert {one["where"] for one in said["faults"]} == {"README.md"}
    assert str(api.desk.settings.data_dir) not in json.dumps(said)


# ------------------------------------------------------------------------------------------------ the project


def test_settings_are_changed_one_by_one(api: Api) -> None:
    before = api.client.get("/api/v1/project").json()
    changed = api.client.patch("/api/v1/project", json={"split": {"seed": 9}, "licence_required": True}).json()

    assert before["project"] == "default"
    assert changed["settings"]["split"]["shares"] == before["settings"]["split"]["shares"]
    assert (changed["settings"]["split"]["seed"], changed["settings"]["licence_required"]) == (9, True)
    assert api.client.get("/api/v1/project").json() == changed
    for body in ({"moon": 1}, {"split": {"by": "moon"}}, {"budgets": None}, {"split": 7}):
        assert_error(api.client.patch("/api/v1/project", json=body), 422, "bad_input")
    assert api.client.get("/api/v1/project").json() == changed


def test_the_api_describes_its_releases(frozen: Api) -> None:
    paths = frozen.client.get("/api/v1/openapi.json").json()["paths"]

    assert {"get", "post"} <= paths[RELEASES].keys()
    for path in ("", "/held", "/files", "/files/{path}", "/download", "/verify"):
        assert "get" in paths[f"{RELEASES}/{{number}}{path}"]
    body = paths[RELEASES]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"name", "filter", "seed", "split"} <= body["properties"].keys()
