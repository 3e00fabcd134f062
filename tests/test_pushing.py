"""`POST /api/v1/ingest` while an agent runs: replays, pieces of a captured run, and what belongs together meets."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.db import Database
from app.models import CandidateRow, EntryRow, QuarantineRow
from tests.logs import SCRIPT, line

RUN = "0f" * 16


def push(client: TestClient, body: bytes, name: str = "pushed.jsonl", query: str = "") -> dict[str, Any]:
    answer = client.post(f"/api/v1/ingest?name={name}{query}", content=body)
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def listed(client: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/v1/candidates").json()["candidates"]
    return found


def step(seq: int, event: str, **told: object) -> bytes:
    """One line of a captured run."""
    said = {"patchsift_capture": 1, "event": event, "run": RUN, "seq": seq, "at": f"2026-03-01T12:00:{seq:02}+00:00"}
    return json.dumps(said | told).encode() + b"\n"


STEPS = [
    step(0, "run", issue="Fix x", target_files=["x.py"]),
    step(1, "prompt", stage="scaffold", text="Write."),
    step(2, "attempt", stage="scaffold", script="a", is_valid=False, score=0.2),
    step(3, "attempt", stage="repair", script="b", is_valid=False, score=0.3),
    step(4, "attempt", stage="repair", script=SCRIPT, is_valid=True, score=0.8),
    step(5, "final", script=SCRIPT, diff="--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n", accepted=True),
    step(6, "end", outcome="success"),
]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "packed"])
def test_a_push_three_times_is_a_push(client: TestClient, db: Database, pack: Any) -> None:
    body = pack(line("One") + b"\n" + line("Two") + b"\nbroken\n\n")
    reports = [push(client, body) for _ in range(3)]

    assert [(one["new"], one["repeated"], one["quarantined"], one["blank"]) for one in reports] == [
        (2, 0, 1, 1), (0, 2, 1, 1), (0, 2, 1, 1)
    ]  # fmt: skip
    assert all(one["entries"] == one["new"] + one["repeated"] + one["quarantined"] for one in reports)
    assert len(listed(client)) == 2
    with db.read() as session:
        assert len(session.execute(select(EntryRow)).all()) == 2
        assert len(session.execute(select(QuarantineRow)).all()) == 1


def test_pushes_at_once_double_nothing(client: TestClient, db: Database) -> None:
    bodies = [line(f"Issue {n}") + b"\n" + line("Shared") + b"\n" for n in range(12)] * 3

    def send(body: bytes) -> int:
        return client.post("/api/v1/ingest?name=pushed.jsonl", content=body).status_code

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(send, bodies))

    # The very same bytes at the very same time: whoever is second is told to come again.
    assert set(answers) <= {200, 409}
    assert all(push(client, body)["new"] == 0 for body in bodies[:12])
    assert len(listed(client)) == 13
    with db.read() as session:
        assert len(session.execute(select(EntryRow)).all()) == 13


def test_a_body_that_ends_inside_a_line_says_so(client: TestClient) -> None:
    whole = line("One") + b"\n" + line("Two")

    report = push(client, whole[:-10])

    assert (report["new"], report["quarantined"]) == (1, 1)
    assert push(client, whole)["new"] == 1
    assert [one["title"] for one in listed(client)] == ["One", "Two"]


@pytest.mark.parametrize("forced", ["", "&format=capture"])
@pytest.mark.parametrize("order", [range(7), range(6, -1, -1), (3, 0, 6, 2, 5, 1, 4)])
def test_a_run_that_is_pushed_step_by_step_is_one_candidate(client: TestClient, forced: str, order: range) -> None:
    for number in order:
        report = push(client, STEPS[number], "capture.jsonl", forced)
        assert (report["new"], report["quarantined"]) == (1, 0)
    once_more = push(client, b"".join(STEPS), "capture.jsonl", forced)

    assert (once_more["new"], once_more["repeated"]) == (0, 7)
    [candidate] = listed(client)
    assert (candidate["title"], candidate["n_attempts"], candidate["has_script"]) == ("Fix x", 3, True)
    opened = client.get(f"/api/v1/candidates/{candidate['id']}").json()
    assert opened["script"] == SCRIPT
    assert opened["diff"].startswith("--- a/x.py")


def test_each_step_that_comes_is_shown_at_once(client: TestClient) -> None:
    seen = []
    for one in STEPS:
        push(client, one, "capture.jsonl")
        [candidate] = listed(client)
        seen.append((candidate["n_attempts"], candidate["has_script"], candidate["checked"]))

    assert [n for n, _, _ in seen] == [0, 0, 1, 2, 3, 3, 3]
    assert all(checked for _, _, checked in seen)


def test_what_is_pushed_meets_what_it_belongs_to(client: TestClient, db: Database) -> None:
    push(client, b"".join(STEPS[:4]), "capture.jsonl")
    push(client, line("Fix x", successful_script=SCRIPT) + b"\n")
    push(client, b"".join(STEPS[4:]), "capture.jsonl")

    [candidate] = listed(client)
    assert (candidate["title"], candidate["n_attempts"]) == ("Fix x", 3)
    with db.read() as session:
        statuses = [row.status for row in session.execute(select(CandidateRow)).scalars()]
    assert sorted(statuses) == ["joined", "pending"]


def test_a_decided_candidate_keeps_its_decision_when_further_steps_come(client: TestClient) -> None:
    push(client, b"".join(STEPS[:6]), "capture.jsonl")
    [candidate] = listed(client)
    body = {"verdict": "accept", "version": candidate["version"], "key": "k"}
    assert client.post(f"/api/v1/candidates/{candidate['id']}/decisions", json=body).status_code == 200
    push(client, STEPS[6], "capture.jsonl")

    [candidate] = listed(client)
    assert candidate["status"] == "accepted"
