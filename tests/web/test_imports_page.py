"""Uploads, reports and the quarantine: every file gets a sentence, every line its place."""

import gzip

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from app.db import Database
from app.models import CandidateRow, QuarantineRow
from app.settings import Settings
from app.web.imports import visible
from tests import test_archives as archives
from tests.logs import line
from tests.web.pages import HTMX, text

BROKEN = b'{"spec_issue_description": "<b>cut'
LOG = b"\n".join((line("One"), line("Two"), b"", line("One"), BROKEN)) + b"\n"


def zipped(name: str = "success_memory.jsonl") -> bytes:
    return archives.zipped({name: LOG if name.endswith(".jsonl") else b"Just notes."})


def upload(client: TestClient, *files: tuple[str, bytes]) -> tuple[int, str]:
    answer = client.post("/ingest", files=[("files", (name, content)) for name, content in files])
    return answer.status_code, text(answer.text)


def test_one_file_leads_to_a_report_that_adds_up(client: TestClient) -> None:
    answer = client.post("/ingest", files=[("files", ("log.jsonl", LOG))], follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/imports/1")
    seen = text(client.get("/imports/1").text)
    assert "4 entries = 2 new + 1 repeated + 1 quarantined. 1 blank line is not counted." in seen
    assert "5 " + str(len(b"".join(LOG.splitlines(keepends=True)[:4]))) in seen.replace(",", "")


def test_the_report_links_to_what_is_new_repeated_and_quarantined(client: TestClient) -> None:
    page = client.post("/ingest", files=[("files", ("log.jsonl", LOG))]).text

    assert 'href="/queue?status=all&amp;upload=1"' in page
    assert 'href="/candidates/1?status=all"' in page
    assert 'href="/quarantine/1"' in page
    assert client.get("/queue?status=all&upload=1").text.count("data-row") == 2


@pytest.mark.parametrize(
    ("name", "content", "code", "sentence"),
    [
        ("log.zip", zipped(), 200, "4 entries = 2 new"),
        ("cut.zip", zipped()[:-9], 422, "The zip is cut"),
        ("notes.zip", zipped("notes.txt"), 415, "notes.zip holds no log. Expected is a success log"),
        ("program", b"\x7fELF\x02\x01\x01" + bytes(60), 415, "program"),
        ("log.jsonl", "{}\n".encode("utf-16"), 415, "UTF-16"),
        ("empty.jsonl", b"", 200, "0 entries"),
        ("log.jsonl.gz", gzip.compress(LOG), 200, "4 entries = 2 new"),
        ("cut.jsonl.gz", gzip.compress(LOG)[:-12], 422, ""),
    ],
)
def test_every_kind_of_file_gets_a_sentence(
    client: TestClient, name: str, content: bytes, code: int, sentence: str
) -> None:
    status, seen = upload(client, (name, content))

    assert status == code or (code == 422 and status < 500)
    assert name in seen
    assert sentence in seen


def test_a_refused_file_does_not_cost_the_others(client: TestClient, db: Database) -> None:
    status, seen = upload(client, ("log.zip", zipped()[:-9]), ("program", b"\x7fELF"), ("good.jsonl", LOG))

    assert status == 200
    assert "log.zip The zip is cut" in seen
    assert "program program is a program." in seen
    assert "good.jsonl 4 2 1 1" in seen
    with db.read() as session:
        assert len(session.exec(select(CandidateRow)).all()) == 2


def test_a_large_file_becomes_a_job_with_a_page(settings: Settings, db: Database) -> None:
    from app.main import create_app

    small = settings.model_copy(update={"inline_bytes": 100})
    with TestClient(create_app(small, db), headers={"Sec-Fetch-Site": "same-origin"}) as client:
        answer = client.post("/ingest", files=[("files", ("log.jsonl", LOG))])
        fragment = client.get(answer.url.path, headers=HTMX).text

        assert answer.url.path == "/jobs/1"
        assert "Reading log.jsonl" in text(answer.text)
        assert 'hx-trigger="every 1s"' in fragment
        assert "log.jsonl queued" in text(client.get("/imports").text)

        stopped = client.post("/jobs/1/cancel")
        assert "cancelled" in text(stopped.text)
        assert "hx-trigger" not in stopped.text
        assert client.post("/jobs/1/cancel").status_code == 409


def test_a_file_name_is_text(client: TestClient) -> None:
    _, seen = upload(client, ("../../<img src=x>\x07.jsonl", LOG))

    assert "<img src=x>" in seen


def test_a_quarantined_line_shows_its_bytes_and_its_reason(client: TestClient) -> None:
    upload(client, ("log.jsonl", LOG))
    page = client.get("/quarantine/1").text

    assert "log.jsonl , line 5" in text(page)
    assert "&lt;b&gt;cut" in page
    assert "Quarantine 1" in text(client.get("/queue").text)
    assert "log.jsonl :5" in text(client.get("/quarantine").text)


def test_the_bytes_of_a_line_can_be_taken_away(client: TestClient) -> None:
    raw = b'{"a": "\xff\x00' + b"\xe2\x80\xae"
    upload(client, ("log.jsonl", raw + b"\n"))
    answer = client.get("/quarantine/1/raw")

    assert answer.content == raw
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_hides_in_shown_bytes() -> None:
    assert visible(b"a\xff\x00\xe2\x80\xae\x1b[31m\tb") == "a\\xff\\x00\\u202e\\x1b[31m\tb"


def test_a_corrected_line_becomes_a_candidate(client: TestClient, db: Database) -> None:
    upload(client, ("log.jsonl", LOG))
    fields = {"how": "corrected", "corrected": line("Made whole").decode()}
    answer = client.post("/quarantine/1/retry", data=fields, follow_redirects=False)

    assert answer.headers["location"] == "/candidates/3?status=all"
    with db.read() as session:
        assert session.get_one(CandidateRow, 3).title == "Made whole"
        row = session.get_one(QuarantineRow, 1)
        assert (row.raw, row.resolved_at is not None) == (BROKEN, True)
    assert "No line waits in quarantine." in text(client.get("/quarantine").text)
    assert "This line was read on" in text(client.get("/quarantine/1").text)


@pytest.mark.parametrize("corrected", ['{"still": "cut', "", "[1, 2]", "{}\n{}"])
def test_a_line_that_still_cannot_be_read_stays_with_what_was_typed(
    client: TestClient, db: Database, corrected: str
) -> None:
    upload(client, ("log.jsonl", LOG))
    answer = client.post("/quarantine/1/retry", data={"how": "corrected", "corrected": corrected})

    assert answer.status_code == 422
    assert "Still not read:" in text(answer.text)
    assert f"\n{corrected}</textarea>".replace('"', "&#34;") in answer.text
    with db.read() as session:
        assert session.get_one(QuarantineRow, 1).resolved_at is None


def test_retrying_as_it_was_says_again_why_not(client: TestClient) -> None:
    upload(client, ("log.jsonl", LOG))
    answer = client.post("/quarantine/1/retry", data={"how": "as_it_was", "corrected": "not looked at"})

    assert answer.status_code == 422
    assert "not looked at</textarea>" in answer.text


@pytest.mark.parametrize("path", ["/imports/9", "/quarantine/9", "/quarantine/9/raw", "/jobs/9"])
def test_what_is_not_there_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
