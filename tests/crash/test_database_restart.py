"""PostgreSQL goes away in the middle of requests and comes back: 503, nothing lost, nothing twice, and work goes on."""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError

import psycopg
import pytest

from app import decisions, ingest, migrations, review
from app.db import Database
from app.settings import Settings
from tests.conftest import noon
from tests.crash.servers import Server, cycles, serving
from tests.logs import line
from tests.servers import Postgres

pytestmark = pytest.mark.crash

RESTARTS = cycles(2)
N_CLIENTS = 4
N_LINES = 400


@pytest.fixture
def settings(postgres: Postgres, tmp_path: Path) -> Iterator[Settings]:
    """A PostgreSQL with patches to decide on."""
    made = Settings(
        data_dir=tmp_path, database_url=postgres.create_database("restarted", template="template_patchsift")
    )
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"".join(line(f"Issue {n}") + b"\n" for n in range(N_LINES)))
    db = Database(made)
    with db.write() as session:
        project_id = review.ensure_project(session, "default", now=noon()).id or 0
    ingest.read_file(db, made, project_id, ingest.Upload(log, "log.jsonl"), now=noon)
    db.close()
    yield made
    postgres.drop_database("restarted")


@dataclass
class Client:
    """Decides one candidate after the other, and sends again, with the same key, what got a 503."""

    ids: list[int]
    acknowledged: dict[str, int] = field(default_factory=dict)
    refusals: list[tuple[int, str | None]] = field(default_factory=list)
    longest: float = 0.0

    def work(self, server: Server, enough: threading.Event) -> None:
        chance = random.Random(self.ids[0])
        for number in self.ids:
            key = f"key-{number}"
            body = {"verdict": chance.choice(["accept", "reject"]), "version": 1, "key": key}
            while key not in self.acknowledged:
                if enough.is_set():
                    return
                began = time.monotonic()
                try:
                    answer = server.ask(f"/api/v1/candidates/{number}/decisions", body)
                    self.acknowledged[key] = answer["decision"]["id"]
                except HTTPError as error:
                    with error:
                        self.refusals.append((error.code, error.headers["Retry-After"]))
                    time.sleep(0.05)
                self.longest = max(self.longest, time.monotonic() - began)


def test_a_restart_of_postgresql_loses_nothing(settings: Settings, postgres: Postgres) -> None:
    clients = [Client(list(range(first, N_LINES + 1, N_CLIENTS))) for first in range(1, N_CLIENTS + 1)]
    enough = threading.Event()
    with serving(settings.data_dir, "--database-url", settings.database_url) as server:
        threads = [threading.Thread(target=client.work, args=(server, enough)) for client in clients]
        for thread in threads:
            thread.start()
        for _ in range(RESTARTS):
            wait_until_more(clients, server)
            postgres.crash()
            try:
                wait_until_refused(clients)
                page = refused_page(server)
            finally:
                postgres.start_again()
            assert "The database does not answer right now" in page
        wait_until_more(clients, server)
        enough.set()
        for thread in threads:
            thread.join()
        ready = server.ask("/readyz")
        # The worker beside the server outlives the restart as well.
        job = server.ask("/api/v1/ingest?name=more.jsonl", raw=line("Later") + b"\n" + b" " * 3_000_000)["job"]
        while (state := server.ask(f"/api/v1/jobs/{job}"))["state"] in {"queued", "running"}:
            time.sleep(0.05)

    assert ready["status"] == "ok"
    assert state["state"] == "done", state
    assert {refusal for client in clients for refusal in client.refusals} == {(503, "5")}
    assert max(client.longest for client in clients) < 10
    assert_stored(settings, {key: number for client in clients for key, number in client.acknowledged.items()})


def assert_stored(settings: Settings, acknowledged: dict[str, int]) -> None:
    with psycopg.connect(settings.url.replace("+psycopg", "")) as connection:
        stored: dict[str, int] = dict(connection.execute("SELECT key, id FROM decision").fetchall())
        doubled = connection.execute("SELECT candidate_id FROM decision GROUP BY 1 HAVING count(*) > 1").fetchall()
    assert acknowledged.items() <= stored.items()
    # Whoever was told to stop just then did not hear the last answer.
    assert len(stored) - len(acknowledged) <= N_CLIENTS
    assert doubled == []
    db = Database(settings)
    with db.read() as session:
        assert decisions.verify_chain(session, 1) is None
    assert migrations.current(db) == migrations.HEAD
    db.close()


def wait_until_more(clients: list[Client], server: Server) -> None:
    """Until each has had a few answers more."""
    wanted = [len(client.acknowledged) + 3 for client in clients]
    until = time.monotonic() + 120
    while any(len(client.acknowledged) < n for client, n in zip(clients, wanted, strict=True)):
        assert time.monotonic() < until, server.said[-5:]
        time.sleep(0.01)


def wait_until_refused(clients: list[Client]) -> None:
    before = sum(len(client.refusals) for client in clients)
    until = time.monotonic() + 120
    while sum(len(client.refusals) for client in clients) <= before:
        assert time.monotonic() < until
        time.sleep(0.01)


def refused_page(server: Server) -> str:
    """What a person sees meanwhile."""
    with pytest.raises(HTTPError) as refused:
        server.ask("/queue")
    with refused.value as error:
        assert error.code == 503
        return error.read().decode()
