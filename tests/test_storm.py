"""Everybody at once: several roles do anything to the same few candidates, on two web servers and with two workers.

Small by default. `PATCHSIFT_STORM_SECONDS=120 pytest tests/test_storm.py -s` is a campaign, and
`PATCHSIFT_STORM_SEED` chooses another one.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlmodel import Session

from app import accounts, audit, decisions, groups, joining, prepare, releases, review, worker
from app.accounts import SCOPES, Person
from app.db import Database
from app.main import create_app
from app.models import CandidateRow, Role, Status
from app.releases import SHOWN
from app.settings import Settings
from tests.logs import line
from tests.projects import real_pieces
from tests.servers import Postgres

SECONDS = float(os.environ.get("PATCHSIFT_STORM_SECONDS", "4"))
SEED = int(os.environ.get("PATCHSIFT_STORM_SEED", "1"))
_PATIENCE_SECONDS = 120
ROLES = (Role.VIEWER, *[Role.REVIEWER] * 4, Role.CURATOR, Role.CURATOR, Role.ADMIN)
_LOGS = [
    *(b"".join(line(f"Issue {n}") + b"\n" for n in range(first, first + 4)) + b"broken\n" for first in (0, 2, 4)),
    *(raw for name, raw, files in real_pieces()[:6] if not files),
]


@dataclass
class Caller:
    """One person of a role, who does whatever comes to mind."""

    client: TestClient
    token: str
    names: list[str]
    dice: random.Random
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seen: dict[int, int] = field(default_factory=dict)

    def storm(self, ends: float) -> None:
        """Do one thing after another, until it is time."""
        while time.monotonic() < ends:
            if not self.seen or self.dice.random() < 0.1:
                self.look()
            else:
                self.dice.choice(ACTS)(self)

    def ask(
        self, method: str, path: str, body: object = None, told: Mapping[str, str] | None = None, **more: Any
    ) -> Any:
        shown = {"Authorization": f"Bearer {self.token}"} | dict(told or {})
        given: dict[str, Any] = {} if body is None else {"json": body}
        answer = self.client.request(method, path, headers=shown, follow_redirects=False, **given, **more)
        named = "/".join("N" if part.isdigit() else part for part in path.partition("?")[0].split("/"))
        self.answers[f"{method} {named}", answer.status_code] += 1
        if answer.status_code >= 500:
            self.faults.append(f"{method} {path} {body}: {answer.status_code} {answer.text[:300]}")
        return answer

    def look(self) -> None:
        """What there is, with the versions of this moment; they are old when they are used."""
        found = self.ask("GET", "/api/v1/candidates?limit=100").json()["candidates"]
        self.seen = {one["id"]: one["version"] for one in found}

    def any(self) -> tuple[int, int]:
        """Few of them are asked for often, so that people meet."""
        return self.dice.choice(sorted(self.seen.items())[:6])

    def key(self) -> str:
        """Now and then the key of somebody else."""
        return f"k{self.dice.randrange(10_000)}"


def _decide(me: Caller) -> None:
    number, version = me.any()
    verdict = me.dice.choice(["accept", "accept", "reject", "skip", "flag", "edit"])
    said: dict[str, object] = {"verdict": verdict, "version": version, "key": me.key()}
    if verdict == "edit":
        said["edited"] = {"script": f"done = {me.dice.randrange(3)}\n"}
    answer = me.ask("POST", f"/api/v1/candidates/{number}/decisions", said)
    if answer.status_code == 409:
        me.look()


def _undo(me: Caller) -> None:
    me.ask("POST", "/api/v1/undo", {"key": me.key()})


def _comment(me: Caller) -> None:
    number, _ = me.any()
    said = {"field": "script", "at": 1, "text": "Why?", "key": me.key(), "blocks": me.dice.random() < 0.5}
    me.ask("POST", f"/api/v1/candidates/{number}/comments", said)


def _settle(me: Caller) -> None:
    number, _ = me.any()
    for thread in me.ask("GET", f"/api/v1/candidates/{number}/comments").json().get("threads", [])[-3:]:
        at = f"/api/v1/comments/{thread['id']}"
        me.ask("POST", f"{at}/settle", {"act": me.dice.choice(["resolve", "resolve", "reopen"]), "key": me.key()})
        me.ask("POST", f"{at}/answers", {"text": "So.", "key": me.key()})


def _turn(me: Caller) -> None:
    number, _ = me.any()
    said = {"to": me.dice.choice(me.names), "sentence": "Look at this."}
    me.ask("POST", f"/api/v1/candidates/{number}/turns", said)
    found = me.ask("GET", "/api/v1/turns").json()
    for one in found.get("waiting", [])[:1]:
        me.ask("POST", f"/api/v1/turns/{one['id']}/done")
    for one in found.get("sent", [])[:1]:
        me.ask("POST", f"/api/v1/turns/{one['id']}/read")


def _draft(me: Caller) -> None:
    number, version = me.any()
    at = f"/api/v1/candidates/{number}/draft"
    me.ask("PUT", at, {"version": version, "texts": {"comment": "so far", "script": "x"}})
    if me.dice.random() < 0.3:
        me.ask("DELETE", at)


def _walk(me: Caller) -> None:
    number, version = me.any()
    dealt = me.dice.sample(sorted(me.seen), min(3, len(me.seen)))
    me.ask("POST", "/api/v1/queue/next")
    part = {"HX-Request": "true", "HX-Request-Type": "partial"} if me.dice.random() < 0.9 else {}
    me.ask("POST", "/queue/visit", {"candidate": number, "version": version, "dealt": dealt}, part)
    me.ask("POST", "/queue/leave", {"candidate": number, "dealt": dealt})
    me.ask("POST", f"/api/v1/candidates/{number}/lease", {"take_over": me.dice.random() < 0.5})


def _bulk(me: Caller) -> None:
    status = me.dice.choice(["pending", "accepted", "rejected", "skipped"])
    n = len(me.ask("GET", f"/api/v1/candidates?limit=500&status={status}").json()["candidates"])
    verdict = me.dice.choice(["accept", "reject", "skip"])
    me.ask("POST", "/api/v1/bulk", {"filter": {"status": status}, "verdict": verdict, "count": n, "key": me.key()})


def _belong(me: Caller) -> None:
    number, version = me.any()
    other, _ = me.any()
    said = {"other": other, "version": version, "key": me.key()}
    me.ask("POST", f"/api/v1/candidates/{number}/{me.dice.choice(['join', 'split'])}", said)


def _ingest(me: Caller) -> None:
    which = me.dice.randrange(len(_LOGS))
    me.ask("POST", f"/api/v1/ingest?name=log{which}.jsonl", content=_LOGS[which])


def _say(me: Caller) -> None:
    """What a project says of itself."""
    n = me.dice.randrange(4)
    me.ask("POST", "/api/v1/guideline", {"text": f"Rule {n}."})
    me.ask("POST", "/api/v1/views", {"name": f"View {n}", "filter": "status:pending", "replace": n > 1})
    for one in me.ask("GET", "/api/v1/views").json().get("views", [])[:1]:
        at = f"/api/v1/views/{one['id']}"
        me.ask("PATCH", at, {"name": f"View {n}"})
        me.ask("DELETE", at)
    asked, share = me.dice.choice([(1, 0.0), (1, 0.0), (2, 0.5), (1, 0.3)])
    me.ask("PATCH", "/api/v1/project", {"opinions": {"asked": asked, "gold_share": share}, "split": {"seed": n}})


def _gold(me: Caller) -> None:
    number, _ = me.any()
    at = f"/api/v1/candidates/{number}/gold"
    me.ask("POST", at, {"why": "It is so."})
    if me.dice.random() < 0.5:
        me.ask("DELETE", at)


def _release(me: Caller) -> None:
    made = me.ask("POST", "/api/v1/releases", {"key": me.key()})
    found = me.ask("GET", "/api/v1/releases").json().get("releases", [])
    if found and me.dice.random() < 0.3:
        me.ask("POST", f"/api/v1/releases/{me.dice.choice(found)['number']}/withdraw", {"why": "It holds a secret."})
    if made.status_code < 300 and me.dice.random() < 0.2:
        me.ask("POST", f"/api/v1/jobs/{made.json()['job']}/cancel")


def _server(me: Caller) -> None:
    """Who there is, and what they may do."""
    me.ask(
        "POST", "/members", data={"name": f"new{me.dice.randrange(6)}", "role": me.dice.choice(["viewer", "curator"])}
    )
    me.ask("POST", "/guidelines/panel", data={"open": "yes"})


ACTS: list[Callable[[Caller], None]] = [
    *[_decide] * 6, *[_undo] * 2, _comment, _settle, _turn, _draft, *[_walk] * 2, _bulk, _belong, _ingest, _say, _gold,
    _release, _server,
]  # fmt: skip


def _people(db: Database) -> list[tuple[str, str]]:
    """Name and token of somebody of each role."""
    now = datetime.now(UTC)
    found = []
    with db.write() as session:
        project = review.ensure_project(session, "default", now=now).id or 0
        for number, role in enumerate(ROLES):
            row = accounts.create(
                session, f"{role}{number}", hashed="no password", is_admin=role is Role.ADMIN, now=now
            )
            accounts.set_role(session, project, row.id or 0, role)
            person = Person(row.id or 0, row.name, project, role)
            found.append((row.name, accounts.make_token(session, person, "storm", list(SCOPES), now=now)[1]))
    return found


@contextmanager
def _working(db: Database, settings: Settings, n: int) -> Iterator[None]:
    """So many workers, until what is in line is done."""
    options = ["--data-dir", str(settings.data_dir), "--database-url", settings.database_url]
    command = [sys.executable, "-m", "app.cli", "worker", *options]
    said = settings.data_dir / "workers.log"
    with said.open("wb") as log:
        workers = [subprocess.Popen(command, stdout=log, stderr=log) for _ in range(n)]
        try:
            yield
            until = time.monotonic() + _PATIENCE_SECONDS
            while time.monotonic() < until and not _is_idle(db):
                time.sleep(0.1)
        finally:
            for one in workers:
                one.terminate()
            for one in workers:
                one.wait(60)
    print(said.read_text(errors="replace"))


def _is_idle(db: Database) -> bool:
    with db.read() as session:
        unended = text("SELECT count(*) FROM job WHERE state IN ('queued', 'running')")
        return bool(session.execute(unended).scalar_one() == 0)


def test_whatever_people_do_at_once_everything_adds_up(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.create_database("storm", template="template_patchsift")
    settings = Settings(data_dir=tmp_path, database_url=url, allowed_hosts="testserver")
    db = Database(settings)
    people = _people(db)
    names = [name for name, _ in people]
    with ExitStack() as stack:
        apps = [create_app(settings) for _ in range(2)]
        callers = [
            Caller(TestClient(apps[n % 2], raise_server_exceptions=False), token, names, random.Random(SEED + n))
            for n, (_, token) in enumerate(people)
        ]
        for number, raw in enumerate(_LOGS[:4]):
            callers[-1].ask("POST", f"/api/v1/ingest?name=log{number}.jsonl", content=raw)
        stack.enter_context(_working(db, settings, 2))
        ends = time.monotonic() + SECONDS
        with ThreadPoolExecutor(len(callers)) as pool:
            for done in [pool.submit(one.storm, ends) for one in callers]:
                done.result()
    answers = sum((one.answers for one in callers), Counter[tuple[str, int]]())
    print(*sorted(answers.items()), sep="\n")

    assert [fault for one in callers for fault in one.faults] == []
    with db.read() as session:
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert session.execute(text(deadlocks)).scalar_one() == 0
    assert_sound(db, settings)
    db.close()
    for app in apps:
        app.state.db.close()
    postgres.drop_database("storm")
    assert any(status == 200 and what.endswith("decisions") for what, status in answers)


# ------------------------------------------------------------------------------------------------ what must hold


def assert_sound(db: Database, settings: Settings) -> None:
    """Every chain holds, every count is that of its rows, and what is derived is what it would be made anew."""
    with db.read() as session:
        project = accounts.list_all_projects(session)[0].id or 0
        assert decisions.verify_chain(session, project) is None
        assert audit.verify(session) is None
        rows = session.execute(text("SELECT status, n FROM tally WHERE n > 0")).all()
        counted = session.execute(text("SELECT status, count(*) FROM candidate GROUP BY status")).all()
        assert dict(map(tuple, rows)) == dict(map(tuple, counted))
        for row in session.execute(select(CandidateRow)).scalars().all():
            _assert_derived(session, row)
        unended = session.execute(text("SELECT kind, state, message FROM job WHERE state IN ('queued', 'running')"))
        assert unended.all() == []
        faults = session.execute(text("SELECT kind, message FROM job WHERE message LIKE '%fault of the program%'"))
        assert faults.all() == []
        lines = "n_new + n_repeated + n_quarantined + n_blank"
        assert session.execute(text(f"SELECT * FROM source WHERE state <> 'done' OR {lines} <> n_lines")).all() == []
        made = [one for one in releases.list_releases(session, project, 1000) if one.state in SHOWN]
    for one in made:
        assert releases.verify_release(settings, one).faults == []
    prepare.run(db)
    groups.keep_up_all(db)
    before = _derived(db)
    with db.write() as session:
        joining.settle(session, project, [row[0] for row in session.execute(text("SELECT id FROM candidate"))])
    groups.rebuild(db, project)
    assert _derived(db) == before
    _assert_made_again(db, settings, project)


def _assert_made_again(db: Database, settings: Settings, project: int) -> None:
    """A release of all that was said is the same when it is made again; logs that came in since would change it."""
    with db.write() as session:
        me = accounts.list_people(session)[0].id or 0
        number = releases.create(session, project, me, releases.Spec(), now=datetime.now(UTC)).number
    worker.run(db, settings, stop=lambda: False, until_idle=True)
    with db.read() as session:
        state = releases.get_release(session, project, number).state
    # Nothing may be accepted at the end, and then there is nothing to release.
    if state in SHOWN:
        assert releases.rebuild(db, settings, project, number, settings.data_dir / "again").differing == []


def _assert_derived(session: Session, row: CandidateRow) -> None:
    found = decisions.derive_row(session, row)
    if row.status != Status.JOINED:
        stands = (row.status, row.agreement, row.n_opinions, row.settled_by)
        assert stands == (found.status, found.agreement, len(found.opinions), found.settled_by), row.id
    is_part = session.execute(text(f"SELECT count(*) FROM part WHERE candidate_id = {row.id}")).scalar_one()
    assert is_part == (row.status == Status.JOINED)


def _derived(db: Database) -> Mapping[str, list[Any]]:
    """What is kept beside what people said and logs hold, but may be made anew."""
    asked = {
        "candidate": "SELECT id, status, version, n_parts, title, judged_from FROM candidate",
        "part": "SELECT candidate_id, lead_id, place FROM part",
        "cluster": "SELECT candidate_id, cluster_id FROM cluster",
        "issue_group": "SELECT issue, group_key FROM issue_group",
    }
    with db.read() as session:
        return {name: sorted(map(repr, session.execute(text(one)).all())) for name, one in asked.items()}
