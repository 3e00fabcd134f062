"""What docker-compose.yml starts, started here: its commands in its order, three web servers and two workers.

There is no container engine, so each service is a process with its environment; the database is a real PostgreSQL and
the proxy the real Caddy on the real Caddyfile, with this machine's addresses in place of the containers' names.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import psycopg
import pytest

from tests.crash.servers import ROOT
from tests.logs import line
from tests.servers import Postgres
from tests.test_deploy import CADDYFILE, COMPOSE, OURS, PATCHSIFT

pytestmark = pytest.mark.crash

N_WEB, N_WORKERS = 3, 2
N_LINES = 60
N_JOBS = 6
_DYNAMIC = re.compile(r"dynamic a app 8642 \{.*?\}", re.DOTALL)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class Started:
    """A service's process and what it says."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.said: list[str] = []
        self.running = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
        )
        assert self.running.stderr is not None
        threading.Thread(target=self.said.extend, args=(self.running.stderr,), daemon=True).start()

    def end(self) -> None:
        self.running.terminate()
        self.running.wait(timeout=60)
        assert self.running.stderr is not None
        self.running.stderr.close()


class Team:
    """Everything that compose starts."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.password = folder / "password"
        self.password.write_text("any: characters/@%\n")
        self.stack = contextlib.ExitStack()
        self.web: dict[int, Started] = {}
        self.workers: list[Started] = []
        self.port, self.health_port = free_port(), free_port()

    def environment(self, name: str, **more: str) -> dict[str, str]:
        """What compose gives a service, with the places of this machine."""
        said = {key: str(value) for key, value in OURS[name]["environment"].items()}
        return said | {
            "PATCHSIFT_DATA_DIR": str(self.folder),
            "PATCHSIFT_DATABASE_URL": self.url,
            "PATCHSIFT_DATABASE_PASSWORD_FILE": str(self.password),
            "PATCHSIFT_PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "PATCHSIFT_LOG_FORMAT": "json",
            "PATCHSIFT_METRICS": f"127.0.0.1:{free_port()}",
            **more,
        }

    def start(self, command: list[str], environment: dict[str, str]) -> Started:
        started = Started(command, environment)
        self.stack.callback(started.end)
        return started

    def up(self) -> None:
        """In the order of `depends_on`, each once the one before is healthy."""
        for _ in range(N_WEB):
            port = free_port()
            self.web[port] = self.start(
                [str(PATCHSIFT), *OURS["app"]["command"]],
                self.environment(
                    "app",
                    PATCHSIFT_PORT=str(port),
                    PATCHSIFT_TRUSTED_PROXIES="127.0.0.1",
                ),
            )
        self.healthy("app", PATCHSIFT_PORT=str(max(self.web)))
        self.workers += [
            self.start([str(PATCHSIFT), *OURS["worker"]["command"]], self.environment("worker"))
            for _ in range(N_WORKERS)
        ]
        self.healthy("worker")
        upstreams = "to " + " ".join(f"127.0.0.1:{port}" for port in self.web)
        (self.folder / "Caddyfile").write_text(_DYNAMIC.sub(upstreams, CADDYFILE))
        caddy = [str(Path(sys.executable).with_name("caddy")), "run", "--config", str(self.folder / "Caddyfile")]
        self.start(
            caddy,
            {
                "PATCHSIFT_SITE": f"http://127.0.0.1:{self.port}",
                "PATCHSIFT_HEADER_TIMEOUT": "1s",
                "PATCHSIFT_HEALTH_PORT": str(self.health_port),
                "XDG_DATA_HOME": str(self.folder),
                "XDG_CONFIG_HOME": str(self.folder),
            },
        )
        until = time.monotonic() + 60
        while True:
            try:
                self.ask("/healthz")
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.1)
            else:
                return

    def healthy(self, name: str, **more: str) -> None:
        """Run the service's own health check until it is content."""
        test = OURS[name]["healthcheck"]["test"]
        until = time.monotonic() + 120
        while True:
            checked = subprocess.run(
                [str(PATCHSIFT), *test[2:]],
                env={**os.environ, **self.environment(name, **more)},
                capture_output=True,
                text=True,
                check=False,
            )
            if checked.returncode == 0:
                return
            assert time.monotonic() < until, (checked.stderr, [web.said for web in self.web.values()])
            time.sleep(0.2)

    def ask(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        asked = Request(f"http://127.0.0.1:{self.port}{path}", data=body, headers=headers or {})
        with urlopen(asked, timeout=60) as answer:
            found = answer.read()
            return json.loads(found) if "json" in answer.headers["Content-Type"] else found.decode()

    def lines(self, started: Started) -> list[dict[str, Any]]:
        return [json.loads(one) for one in started.said if one.startswith("{")]


@pytest.fixture
def team(postgres: Postgres, tmp_path: Path) -> Iterator[Team]:
    made = Team(tmp_path, postgres.create_database("composed").replace("+psycopg", ""))
    with made.stack:
        made.up()
        yield made
    postgres.drop_database("composed")


def answers(team: Team, path: str, body: bytes) -> int:
    try:
        team.ask(path, body)
    except HTTPError as error:
        with error:
            return error.code
    return 200


def first_administrator(team: Team) -> str:
    """Come in by the link in the log, as an administrator would, and make a token."""
    until = time.monotonic() + 120
    links: list[str] = []
    while len(links) < N_WEB:
        assert time.monotonic() < until, links
        time.sleep(0.1)
        said = "".join(one for web in team.web.values() for one in list(web.said))
        links = re.findall(r"set up +http://127\.0\.0\.1:\d+(/come-in/[\w-]+)", said)
    chosen = {"name": "alice", "password": "correct horse battery", "again": "correct horse battery"}
    # The server that began last made the link that counts.
    assert [answers(team, link, urlencode(chosen).encode()) for link in links].count(200) == 1
    words = ["token", "create", "--user", "alice", "--name", "load", "--json"]
    for scope in ("read", "review", "ingest"):
        words += ["--scope", scope]
    made = subprocess.run(
        [str(PATCHSIFT), *words],
        env={**os.environ, **team.environment("app")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    token: str = json.loads(made.stdout)["token"]
    return f"Bearer {token}"


def test_what_compose_starts_works_as_one(team: Team) -> None:
    assert set(COMPOSE["services"]) == {"caddy", "app", "worker", "database"}
    with pytest.raises(HTTPError) as refused:
        team.ask("/api/v1/candidates")
    with refused.value as error:
        assert error.code == 401
    known = {"Authorization": first_administrator(team), "Content-Type": "application/json"}
    log = b"".join(line(f"Issue {n}") + b"\n" for n in range(N_LINES))
    report = team.ask("/api/v1/ingest?name=log.jsonl", log, headers=known)
    assert report["candidates"] == N_LINES

    decided, jobs = decide_from_everywhere(team, known)

    # Whoever came second was refused: one decision each, whichever server took it.
    assert sorted(decided) == list(range(1, N_LINES + 1))
    with psycopg.connect(team.url) as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT candidate_id) FROM decision").fetchone() == (
            N_LINES,
            N_LINES,
        )
    assert_jobs_ran_once(team, known, jobs)
    answering = [sum(one.get("status") == 200 for one in team.lines(web)) for web in team.web.values()]
    assert min(answering) > 0
    # A log server reads what they say, from the first line on.
    assert all(one.startswith("{") for each in (*team.web.values(), *team.workers) for one in each.said)
    assert_slow_headers_are_cut(team)
    with urlopen(f"http://127.0.0.1:{team.health_port}/", timeout=10) as answer:
        assert answer.read() == b"listening"


def decide_from_everywhere(team: Team, known: dict[str, str]) -> tuple[list[int], list[int]]:
    """Six clients that all want all, while uploads go in line for the workers."""
    decided: list[int] = []
    refused: list[int] = []
    jobs: list[int] = []

    def decide(client: int) -> None:
        for number in range(1, N_LINES + 1):
            body = {"verdict": "accept", "version": 1, "key": f"{client}-{number}"}
            try:
                team.ask(f"/api/v1/candidates/{number}/decisions", json.dumps(body).encode(), headers=known)
                decided.append(number)
            except HTTPError as error:
                with error:
                    refused.append(error.code)

    def upload(number: int) -> None:
        large = line(f"Upload {number}") + b"\n" + b" " * (5 << 19) + b"\n"
        jobs.append(team.ask(f"/api/v1/ingest?name=more{number}.jsonl", large, headers=known)["job"])

    threads = [threading.Thread(target=decide, args=(client,)) for client in range(6)]
    threads += [threading.Thread(target=upload, args=(number,)) for number in range(N_JOBS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refused) == {409}
    return decided, jobs


def assert_jobs_ran_once(team: Team, known: dict[str, str], jobs: list[int]) -> None:
    assert len(set(jobs)) == N_JOBS
    until = time.monotonic() + 120
    while {team.ask(f"/api/v1/jobs/{job}", headers=known)["state"] for job in jobs} != {"done"}:
        assert time.monotonic() < until
        time.sleep(0.2)
    ended = [one["job"] for worker in team.workers for one in team.lines(worker) if one.get("kind") == "ingest"]
    assert sorted(ended) == sorted(jobs)


def assert_slow_headers_are_cut(team: Team) -> None:
    """A client that never ends its headers is sent away by the proxy; the web server never meets it."""
    with socket.create_connection(("127.0.0.1", team.port), timeout=30) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert slow.recv(1 << 16).partition(b"\r\n")[0] in {b"", b"HTTP/1.1 408 Request Timeout"}
