"""What the program tells whoever runs it: lines without secrets, figures without a login."""

import io
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from fastapi.testclient import TestClient

from app import jobs, logs
from app.db import Database
from app.errors import AppError
from app.main import create_app
from app.metrics import Meters
from app.settings import Settings
from tests.conftest import NOON


@pytest.fixture
def told() -> Iterator[io.StringIO]:
    """All that is logged, as JSON lines."""
    text = io.StringIO()
    listener = logging.StreamHandler(text)
    listener.setFormatter(logs.JsonLines())
    logger = logging.getLogger("patchsift")
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    yield text
    logger.removeHandler(listener)
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    """On SQLite alone: nothing here differs by database."""
    shutil.copy(sqlite_template, tmp_path / "patchsift.db")
    return Settings(data_dir=tmp_path, allowed_hosts="testserver")


def lines(told: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.getvalue().splitlines()]


def test_a_request_is_told_without_what_it_holds(settings: Settings, db: Database, told: io.StringIO) -> None:
    secrets = ["hunter2", "whatisought", "thecookie", "pst_thetoken", "theticket", "typedtext"]
    with TestClient(
        create_app(settings, db), headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False
    ) as client:
        client.cookies.set("patchsift", "thecookie")
        client.get("/queue?q=whatisought", headers={"Authorization": "Bearer pst_thetoken"})
        client.get("/come-in/theticket")
        client.post("/login", data={"name": "x", "password": "hunter2"})
        client.post("/api/v1/candidates/1/decisions", json={"verdict": "typedtext"})
        answer = client.get("/healthz", headers={"X-Request-Id": "from-the-proxy-1"})

    assert [secret for secret in secrets if secret in told.getvalue()] == []
    found = lines(told)
    assert [one["route"] for one in found if "route" in one] == [
        "/queue", "/come-in/{secret}", "/login", "/api/v1/candidates/{candidate_id}/decisions", "/healthz",
    ]  # fmt: skip
    assert {"at", "level", "logger", "message", "request", "method", "route", "status", "ms"} == set(found[0])
    assert len({one["request"] for one in found if "request" in one}) == 5
    assert (answer.headers["x-request-id"], found[-1]["request"]) == ("from-the-proxy-1", "from-the-proxy-1")


def test_a_fault_is_told_with_its_number_and_without_its_words(
    settings: Settings, db: Database, told: io.StringIO
) -> None:
    app = create_app(settings, db)

    @app.get("/boom/{name}")
    def boom(name: str) -> None:
        raise ValueError(name + "\nlevel: forged")

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/boom/hunter2", headers={"X-Request-Id": "a b"})

    [fault, request] = lines(told)
    assert "hunter2" not in told.getvalue()
    assert (fault["fault"], fault["level"], fault["message"]) == ("ValueError", "error", "GET /boom/{name} failed")
    assert "in boom" in fault["places"]
    assert request["status"] == answer.status_code == 500
    assert f"(request {fault['request']})" in answer.text
    assert fault["request"] == request["request"] != "a b"


def test_a_plain_line_stays_one_line() -> None:
    record = logging.LogRecord("patchsift", logging.ERROR, __file__, 1, "job %s", ("a\n\x1b[2Jb",), None)

    assert logs.PlainLines().format(record) == r"job a\n\x1b[2Jb"


def test_prometheus_reads_figures(settings: Settings, db: Database, project_id: int) -> None:
    meters = Meters(db)
    with TestClient(create_app(settings, db, meters)) as client:
        client.get("/healthz")
        client.request("BREW", "/nowhere")
    with db.write() as session:
        jobs.enqueue(session, project_id, "prepare", {}, now=NOON)
    meters.job("prepare", "done", 0.2)
    port = meters.listen("127.0.0.1:0")

    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        figures = answer.read().decode()

    assert 'patchsift_request_seconds_count{method="GET",route="/healthz",status="200"} 1.0' in figures
    assert 'patchsift_request_seconds_count{method="other",route="none",status="404"} 1.0' in figures
    assert 'patchsift_job_seconds_count{kind="prepare",state="done"} 1.0' in figures
    assert "patchsift_database_up 1.0" in figures
    assert 'patchsift_jobs{state="queued"} 1.0' in figures
    assert "patchsift_workers 0.0" in figures
    assert "process_resident_memory_bytes" in figures


@pytest.mark.parametrize("address", ["9464", "nowhere", "127.0.0.1:x", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_is_a_sentence(db: Database, address: str) -> None:
    with pytest.raises(AppError, match="PATCHSIFT_METRICS"):
        Meters(db).listen(address)
