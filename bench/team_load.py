"""Fifty reviewers at one PostgreSQL: each decides once in five seconds, while a log is read and datasets are exported.

    python -m bench.team_load [--seconds 120] [--reviewers 50] [--every 5] [--webs 2] [--export-every 60]
    python -m bench.team_load --seconds 1800

A PostgreSQL from the wheel, real web processes and a worker, every reviewer with a token and a keep-alive connection.
A reviewer does what the page does: decides, says what is looked at now and is given what comes next, fetches that. The
log is read by `patchsift ingest` at full speed; a release is frozen and its dataset made once a minute. Printed at the
end: how long a decision took, answers above 499, lock errors, decisions that were acknowledged and are not in the table
or are there twice, and the memory of the processes at the beginning and at the end.
"""

import argparse
import http.client
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import text

from app import accounts, decisions, migrations, review
from app.accounts import SCOPES, Person
from app.db import Database
from app.models import Role
from app.settings import Settings
from bench import logs
from bench.servers import free_port

ROOT = Path(__file__).resolve().parent.parent
_PATIENCE_S = 120
_LINES = 1000
_LOCKS = re.compile(r"lock timeout|deadlock|LockNotAvailable|DeadlockDetected|database is locked", re.IGNORECASE)
_AHEAD = re.compile(r'data-ahead="(.*?)"')


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    seconds: float = 120
    reviewers: int = 50
    every: float = 5
    webs: int = 2
    export_every: float = 60
    candidates: int = 3_000


@dataclass
class Tally:
    """What happened; reviewers write into it side by side."""

    guard: threading.Lock = field(default_factory=threading.Lock)
    decide_s: list[float] = field(default_factory=list)
    other_s: dict[str, list[float]] = field(default_factory=dict)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    acknowledged: dict[str, tuple[int, int]] = field(default_factory=dict)
    n_broken: int = 0
    n_idle: int = 0
    n_exports: int = 0
    n_lines: int = 0

    def note(self, what: str, status: int, spent: float) -> None:
        with self.guard:
            self.answers[what, status] += 1
            (self.decide_s if what == "decide" else self.other_s.setdefault(what, [])).append(spent)


@dataclass(frozen=True)
class Outcome:
    """What the load came to."""

    tally: Tally
    lost: list[str]
    doubled: list[int]
    unacknowledged: int
    lock_errors: int
    chain_breaks_at: int | None
    rss_begin: dict[str, int]
    rss_end: dict[str, int]

    @property
    def faults(self) -> dict[tuple[str, int], int]:
        """Answers above 499, by what was asked and status."""
        return {named: n for named, n in self.tally.answers.items() if named[1] >= 500 and n}


class Caller:
    """One keep-alive connection with a token."""

    def __init__(self, port: int, token: str, tally: Tally) -> None:
        self._port, self._tally = port, tally
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(self, what: str, method: str, path: str, body: object = None, *, part: bool = False) -> tuple[int, bytes]:
        """Send one request; status 0 where the connection broke."""
        more = {"HX-Request": "true", "HX-Request-Type": "partial"} if part else {}
        sent = None if body is None else json.dumps(body)
        began = time.perf_counter()
        # A kept connection may have been closed meanwhile; a second time is a fault. A decision has its key.
        for _ in range(2):
            try:
                self._connection.request(method, path, sent, self._headers | more)
                answer = self._connection.getresponse()
                found = answer.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                continue
            self._tally.note(what, answer.status, time.perf_counter() - began)
            return answer.status, found
        with self._tally.guard:
            self._tally.n_broken += 1
        return 0, b""


class Reviewer(threading.Thread):
    """Decides once in so many seconds, as the page does it."""

    def __init__(self, number: int, caller: Caller, tally: Tally, plan: Plan, ends: float) -> None:
        super().__init__(daemon=True)
        self._number, self._caller, self._tally = number, caller, tally
        self._every, self._ends = plan.every, ends
        self._phase = plan.every * number / plan.reviewers
        self._ahead: list[tuple[int, int]] = []

    def run(self) -> None:
        time.sleep(self._phase)
        at = self._next()
        due = time.monotonic()
        for turn in itertools.count():
            due = max(due + self._every, time.monotonic())
            if due > self._ends:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            if at is None:
                with self._tally.guard:
                    self._tally.n_idle += 1
            else:
                self._decide(at, turn)
            at = self._next()
            if at is not None:
                self._visit(at)

    def _decide(self, at: tuple[int, int], turn: int) -> None:
        key = f"load-{self._number}-{turn}"
        verdict = ("accept", "accept", "reject", "skip")[turn % 4]
        said = {"verdict": verdict, "version": at[1], "key": key}
        status, found = self._caller.call("decide", "POST", f"/api/v1/candidates/{at[0]}/decisions", said)
        if status == 200:
            with self._tally.guard:
                self._tally.acknowledged[key] = (json.loads(found)["decision"]["id"], at[0])

    def _next(self) -> tuple[int, int] | None:
        if self._ahead:
            return self._ahead.pop(0)
        status, found = self._caller.call("next", "POST", "/api/v1/queue/next")
        if status != 200:
            return None
        candidate = json.loads(found)["candidate"]
        return candidate["id"], candidate["version"]

    def _visit(self, at: tuple[int, int]) -> None:
        said = {"candidate": at[0], "version": at[1], "dealt": [one[0] for one in self._ahead]}
        status, found = self._caller.call("visit", "POST", "/queue/visit", said, part=True)
        ahead = _AHEAD.search(found.decode()) if status == 200 else None
        known = {one[0] for one in self._ahead}
        self._ahead = [] if ahead is None else [(one[0], one[1]) for one in json.loads(ahead[1])]
        for number, _ in self._ahead:
            if number not in known:
                self._caller.call("page", "GET", f"/candidates/{number}", part=True)


class Exporter(threading.Thread):
    """Freezes a release and has its dataset made, once in so many seconds."""

    def __init__(self, caller: Caller, tally: Tally, plan: Plan, ends: float) -> None:
        super().__init__(daemon=True)
        self._caller, self._tally, self._every, self._ends = caller, tally, plan.export_every, ends

    def run(self) -> None:
        time.sleep(min(5.0, self._every / 2))
        for number in itertools.count(1):
            due = time.monotonic() + self._every
            self._export(number)
            if due > self._ends:
                return
            time.sleep(max(0.0, due - time.monotonic()))

    def _export(self, number: int) -> None:
        status, found = self._caller.call("release", "POST", "/api/v1/releases", {"name": f"load {number}"})
        if status != 202:
            return
        made = json.loads(found)["number"]
        path = f"/api/v1/releases/{made}/download?role=llm&task=scaffold&objective=sft&format=messages"
        while time.monotonic() < self._ends + _PATIENCE_S:
            state = json.loads(self._caller.call("release", "GET", f"/api/v1/releases/{made}")[1] or b"{}").get("state")
            if state == "frozen":
                # 503 with Retry-After while it is made: what a client of a large download expects, and no fault.
                status, _ = self._caller.call("download", "HEAD", path)
                if status != 503:
                    self._tally.n_exports += status == 200
                    return
                self._tally.answers["download", 503] -= 1
            elif state == "failed":
                return
            time.sleep(0.5)


class Reading(threading.Thread):
    """Writes log after log of a thousand lines and gives each to `patchsift ingest`, until it is told to stop."""

    def __init__(self, lines: Iterator[bytes], command: list[str], tally: Tally, folder: Path) -> None:
        super().__init__(daemon=True)
        self._lines, self._command, self._tally, self._folder = lines, command, tally, folder
        self.over = threading.Event()

    def run(self) -> None:
        for number in itertools.count():
            if self.over.is_set():
                return
            path = self._folder / f"more-{number}.jsonl"
            path.write_bytes(b"".join(line + b"\n" for line in itertools.islice(self._lines, _LINES)))
            with (self._folder / "ingest.log").open("ab") as said:
                command = [*self._command, str(path)]
                subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=said, check=True)
            path.unlink()
            self._tally.n_lines += _LINES


# ------------------------------------------------------------------------------------------------ the desk


def _people(db: Database, n: int) -> list[str]:
    """Tokens of so many reviewers, and one of a curator behind them."""
    now = datetime.now(UTC)
    found = []
    with db.write() as session:
        project = review.ensure_project(session, "default", now=now).id or 0
        for number in range(n + 1):
            role = Role.REVIEWER if number < n else Role.CURATOR
            row = accounts.create(session, f"reviewer-{number}", hashed="no password", now=now)
            accounts.set_role(session, project, row.id or 0, role)
            person = Person(row.id or 0, row.name, project, role)
            scopes = [one for one in SCOPES if one != "admin"]
            found.append(accounts.make_token(session, person, "load", scopes, now=now)[1])
    return found


@contextmanager
def _spawn(command: list[str], said: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=said)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(60)


def _await(port: int, child: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and child.poll() is None:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", "/healthz")
                if connection.getresponse().read():
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"no server answers on port {port}")


def _rss(children: dict[str, "subprocess.Popen[bytes]"]) -> dict[str, int]:
    """Resident memory of each process in MB."""
    found = {}
    for name, child in children.items():
        status = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8")
        size = re.search(r"VmRSS:\s+(\d+) kB", status)
        found[name] = 0 if size is None else int(size[1]) // 1024
    return found


def run(plan: Plan, url: str, folder: Path) -> Outcome:
    """Put the load on a desk in an empty database.

    Args:
        plan: how much.
        url: of a PostgreSQL database.
        folder: an empty one.

    """
    db = Database(Settings(data_dir=folder / "desk", database_url=url))
    migrations.upgrade(db)
    tokens = _people(db, plan.reviewers)
    lines = logs.entries(sys.maxsize)
    first = folder / "first.jsonl"
    first.write_bytes(b"".join(line + b"\n" for line in itertools.islice(lines, plan.candidates)))
    where = ["--data-dir", str(folder / "desk"), "--database-url", url]
    program = [sys.executable, "-m", "app.cli"]
    tally = Tally()
    reading = Reading(lines, [*program, "ingest", *where], tally, folder)
    subprocess.run([*program, "ingest", *where, str(first)], cwd=ROOT, capture_output=True, check=True)
    with ExitStack() as stack:
        said = stack.enter_context((folder / "servers.log").open("wb"))
        children = {"worker": stack.enter_context(_spawn([*program, "worker", *where], said))}
        ports = [free_port() for _ in range(plan.webs)]
        for number, port in enumerate(ports, 1):
            serve = [*program, "serve", "--no-open", "--no-worker", "--port", str(port), *where]
            children[f"web {number}"] = stack.enter_context(_spawn(serve, said))
            _await(port, children[f"web {number}"])
        callers = [
            stack.enter_context(closing(Caller(ports[n % plan.webs], token, tally))) for n, token in enumerate(tokens)
        ]
        for caller in callers:
            caller.call("warm", "GET", "/api/v1/turns")
        ends = time.monotonic() + plan.seconds
        workers: list[threading.Thread] = [
            Reviewer(n, caller, tally, plan, ends) for n, caller in enumerate(callers[: plan.reviewers])
        ]
        workers += [Exporter(callers[-1], tally, plan, ends), reading]
        for one in workers:
            one.start()
        time.sleep(min(10.0, plan.seconds / 4))
        begin = _rss(children)
        for one in workers[: plan.reviewers]:
            one.join()
        end = _rss(children)
        reading.over.set()
        for one in workers[plan.reviewers :]:
            one.join(_PATIENCE_S)
    return _judge(db, tally, folder, begin, end)


def _judge(db: Database, tally: Tally, folder: Path, begin: dict[str, int], end: dict[str, int]) -> Outcome:
    with db.read() as session:
        run = session.connection().execute
        rows = {row[0]: (row[1], row[2]) for row in run(text("SELECT key, id, candidate_id FROM decision"))}
        twice = run(text("SELECT candidate_id FROM decision GROUP BY candidate_id HAVING count(*) > 1"))
        doubled = [row[0] for row in twice]
        deadlocks = run(text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")).scalar_one()
        broken = decisions.verify_chain(session, 1)
    db.close()
    lost = [key for key, (number, at) in tally.acknowledged.items() if rows.get(key) != (number, at)]
    said = [path.read_text(errors="replace") for path in (folder / "servers.log", folder / "ingest.log")]
    told = sum(len(_LOCKS.findall(one)) for one in said)
    return Outcome(tally, lost, doubled, len(rows) - len(tally.acknowledged), told + int(deadlocks), broken, begin, end)


# ------------------------------------------------------------------------------------------------ what is said


def _quantiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return f"{len(seconds)} calls"
    found = statistics.quantiles(seconds, n=100)
    return ", ".join(f"p{n} {1000 * found[n - 1]:,.0f} ms" for n in (50, 95, 99)) + f" ({len(seconds):,} calls)"


def tell(plan: Plan, outcome: Outcome) -> Iterator[str]:
    """What the load came to, line by line."""
    tally = outcome.tally
    statuses: dict[str, dict[int, int]] = {}
    for (what, status), n in sorted(tally.answers.items()):
        if n:
            statuses.setdefault(what, {})[status] = n
    yield f"{plan.reviewers} reviewers, one decision each {plan.every:g} s, {plan.seconds:g} s; {plan.webs} web servers"
    yield f"decide      {_quantiles(tally.decide_s)}"
    for what, seconds in sorted(tally.other_s.items()):
        if what != "warm":
            yield f"{what:<11} {_quantiles(seconds)}"
    yield f"answers     {statuses}"
    n_faults = sum(outcome.faults.values())
    yield f"5xx         {n_faults}, broken connections {tally.n_broken}, lock errors {outcome.lock_errors}"
    yield (
        f"decisions   {len(tally.acknowledged):,} acknowledged, {len(outcome.lost)} lost, "
        f"{len(outcome.doubled)} doubled, {outcome.unacknowledged} stored without an answer; "
        f"the chain {'holds' if outcome.chain_breaks_at is None else 'BREAKS'}"
    )
    yield f"meanwhile   {tally.n_lines:,} log lines read, {tally.n_exports} exports made"
    yield f"idle        {tally.n_idle} times a reviewer found nothing to decide"
    for name, begin in outcome.rss_begin.items():
        yield f"memory      {name}: {begin} MB at the beginning, {outcome.rss_end[name]} MB at the end"
    yield f"machine     {os.cpu_count()} processors, load {' '.join(f'{one:.1f}' for one in os.getloadavg())}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    plain = Plan()
    for name in ("seconds", "every", "export_every"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(plain, name))
    for name in ("reviewers", "webs", "candidates"):
        parser.add_argument(f"--{name}", type=int, default=getattr(plain, name))
    given: dict[str, Any] = vars(parser.parse_args())
    plan = Plan(**given)
    from tests.servers import start_postgres

    with tempfile.TemporaryDirectory(prefix="patchsift-load-") as name:
        folder = Path(name)
        # The server's own account must reach its folder.
        folder.chmod(0o755)
        (folder / "server").mkdir()
        server = start_postgres(folder / "server")
        outcome = run(plan, server.create_database("load"), folder)
        print(*tell(plan, outcome), sep="\n", flush=True)
        if outcome.faults or outcome.lock_errors:
            print((folder / "servers.log").read_text(errors="replace")[-4000:])
        server.stop()
    sys.exit(bool(outcome.faults or outcome.lost or outcome.doubled or outcome.lock_errors))


if __name__ == "__main__":
    main()
