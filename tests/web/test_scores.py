"""Which way style scores count: guessed from each run, said by a person for a file or for all that came together."""

import json
from pathlib import Path

from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app import cli
from app.db import Database
from app.review import open_candidate
from app.settings import Settings
from tests.logs import SCRIPT, line

RUN = json.dumps([[SCRIPT + "\n1 +", False, 0.0, "SyntaxError"], [SCRIPT, True, 0.75, None]]).encode()


def directions(client: TestClient) -> set[str]:
    listed = client.get("/api/v1/candidates").json()["candidates"]
    runs = [client.get(f"/api/v1/candidates/{one['id']}").json()["run"] for one in listed]
    return {run["direction"] for run in runs if run}


def test_a_file_of_runs_asks_and_what_is_said_holds(client: TestClient) -> None:
    report = client.post("/api/v1/ingest", params={"name": "run_1.json"}, content=RUN).json()
    address = f"/imports/{report['source']}"
    assert "as guessed from each run" in client.get(address).text
    guessed = directions(client)

    answer = client.post(f"{address}/scores", data={"scores": "lower"}, follow_redirects=False)

    assert answer.status_code == 303
    assert directions(client) == {"lower"}
    assert '<option value="lower" selected>' in client.get(address).text
    client.post(f"{address}/scores", data={"scores": ""})
    assert directions(client) == guessed


def test_a_log_without_runs_does_not_ask(client: TestClient) -> None:
    report = client.post("/api/v1/ingest", params={"name": "log.jsonl"}, content=line() + b"\n").json()

    assert "guessed from each run" not in client.get(f"/imports/{report['source']}").text


def test_another_word_is_refused_with_a_sentence(client: TestClient) -> None:
    report = client.post("/api/v1/ingest", params={"name": "run_1.json"}, content=RUN).json()

    answer = client.post(f"/imports/{report['source']}/scores", data={"scores": "sideways"})

    assert answer.status_code == 422
    assert "more is better" in answer.text


def test_the_command_says_it_for_all_that_it_reads(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "patch_history"
    folder.mkdir(parents=True)
    (folder / "run_1.json").write_bytes(RUN)

    data = str(tmp_path / "data")
    read = CliRunner().invoke(cli.app, ["ingest", str(tmp_path / "runs"), "--scores", "lower", "--data-dir", data])

    assert read.exit_code == 0, read.output
    db = Database(Settings(data_dir=tmp_path / "data"))
    with db.read() as session:
        run = open_candidate(session, 1, 1).said.run
    db.close()
    assert run is not None
    assert run.direction == "lower"
