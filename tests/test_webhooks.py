"""Webhooks against a real HTTP server: signed, in order, again after a failure, and never where they may not go."""

import base64
import hashlib
import hmac
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from app import posting, webhooks
from app.cli import app
from app.db import Database
from app.errors import BadInputError, ConflictError
from app.main import create_app
from app.models import PostingState, Verdict, WebhookRow
from app.posting import Allowed, NotSentError
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import line
from tests.releasing import Desk

DOCUMENT = Path(__file__).parent.parent / "docs" / "webhooks.md"


@dataclass
class Receiver:
    """An endpoint: what came in, and what it answers."""

    url: str = ""
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    moved_to: str = ""

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.came]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
            if receiver.moved_to:
                self.send_header("Location", receiver.moved_to)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/in"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


class Hooked(Desk):
    """A desk that may post to this machine, and a clock that can be set."""

    def __init__(self, db: Database, settings: Settings) -> None:
        super().__init__(db, settings.model_copy(update={"webhook_hosts": "127.0.0.0/8"}), settings.data_dir)
        self.at = NOON

    def add(self, url: str, *events: str) -> WebhookRow:
        with self.db.write() as session:
            return webhooks.add(session, self.settings, self.project, self.ann, url, events or ("decision",), now=NOON)

    def send(self, **later: int) -> int:
        self.at += timedelta(**later)
        return webhooks.send_due(self.db, self.settings, now=lambda: self.at)

    def states(self) -> list[tuple[str, int | None]]:
        with self.db.read() as session:
            return [(one.state, one.status) for one in reversed(webhooks.list_postings(session, self.project))]


@pytest.fixture
def desk(db: Database, settings: Settings) -> Hooked:
    return Hooked(db, settings)


def signature(secret: str, headers: dict[str, str], body: bytes) -> str:
    """By the specification, in other words than the product's."""
    key = base64.b64decode(secret[len("whsec_") :])
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


# ------------------------------------------------------------------------------------------------ what is sent


def test_the_signature_is_that_of_the_specification() -> None:
    secret, sent = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'

    made = posting.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, sent)

    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_decisions_arrive_signed_in_their_order_and_once(desk: Hooked, receiver: Receiver) -> None:
    first, second = desk.read(line("One"), line("Two"))
    desk.decide(first)
    hook = desk.add(receiver.url)
    desk.decide(second, Verdict.REJECT, reasons=("style",))
    desk.undo()

    assert desk.send() == 2
    assert desk.send() == 0

    told = [json.loads(body) for _, body in receiver.came]
    assert [(one["type"], one["data"]["verdict"]) for one in told] == [
        ("decision.made", "reject"),
        ("decision.made", "undo"),
    ]
    assert told[0]["data"]["candidate"] == second
    assert told[0]["data"]["title"] == "Two"
    for headers, body in receiver.came:
        assert headers["webhook-signature"] == signature(hook.secret, headers, body)
        assert headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 2


def test_a_release_is_told_of_once_it_is_frozen_and_when_it_is_withdrawn(desk: Hooked, receiver: Receiver) -> None:
    from app import releases

    desk.read(line("One"))
    desk.accept_all()
    desk.add(receiver.url, "release")
    number = desk.create(name="first")
    assert desk.send() == 0
    desk.work()
    desk.send()
    with desk.db.write() as session:
        releases.withdraw(session, desk.project, number, "a leak", now=NOON)
    desk.send()
    desk.send()

    assert receiver.types() == ["release.frozen", "release.withdrawn"]
    assert json.loads(receiver.came[0][1])["data"]["number"] == number


def test_what_fails_is_sent_again_later_and_nothing_overtakes_it(desk: Hooked, receiver: Receiver) -> None:
    receiver.answers = [500, 503]
    first, second = desk.read(line("One"), line("Two"))
    desk.add(receiver.url)
    desk.decide(first)
    desk.decide(second)

    assert desk.send() == 0
    assert desk.send(seconds=4) == 0
    assert len(receiver.came) == 1
    assert desk.send(seconds=1) == 0
    assert desk.send(seconds=29) == 0
    assert desk.send(seconds=1) == 2

    assert [headers["webhook-id"] for headers, _ in receiver.came[:3]] == [receiver.came[0][0]["webhook-id"]] * 3
    assert [json.loads(body)["data"]["candidate"] for _, body in receiver.came] == [first, first, first, second]
    assert desk.states() == [(PostingState.SENT, 204), (PostingState.SENT, 204)]


def test_a_test_waits_for_nothing_and_nothing_for_it(desk: Hooked, receiver: Receiver) -> None:
    receiver.answers = [500]
    first, second = desk.read(line("One"), line("Two"))
    hook = desk.add(receiver.url)
    desk.decide(first)
    desk.send()
    desk.decide(second)
    with desk.db.write() as session:
        webhooks.add_test(session, desk.project, hook.id or 0, now=desk.at)
        line_of = webhooks.list_lines(session, desk.project)[hook.id or 0]
        assert (line_of.n, line_of.head and line_of.head.attempts) == (2, 1)
    assert desk.send() == 1
    assert receiver.types() == ["decision.made", "test"]

    with desk.db.write() as session:
        webhooks.add_test(session, desk.project, hook.id or 0, now=desk.at)
    receiver.answers = [500]
    assert desk.send(seconds=5) == 1
    assert receiver.types()[2:] == ["test", "decision.made"]
    assert desk.send() == 1


def test_the_receiver_of_the_documentation_takes_what_is_signed(desk: Hooked, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "receiver.py").write_text(program)
    secret = posting.make_secret()
    desk.at = datetime.now(UTC)
    with subprocess.Popen(
        [sys.executable, "receiver.py"], cwd=tmp_path, env={"PATCHSIFT_SECRET": secret, "PORT": "0"}, stdout=PIPE
    ) as running:
        assert running.stdout is not None
        try:
            port = int(running.stdout.readline().split()[-1])
            stranger = desk.add(f"http://127.0.0.1:{port}/stranger")
            known = desk.add(f"http://127.0.0.1:{port}/known")
            with desk.db.write() as session:
                session.get_one(WebhookRow, known.id).secret = secret
                for one in (stranger, known):
                    webhooks.add_test(session, desk.project, one.id or 0, now=desk.at)
            assert desk.send() == 1
            refused, arrived = running.stdout.readline(), running.stdout.readline()
        finally:
            running.terminate()
    assert (json.loads(arrived)["type"], refused) == ("test", b"refused\n")
    assert sorted(status or 0 for _, status in desk.states()) == [204, 403]


def test_what_never_arrives_is_given_up_told_and_can_be_sent_again(desk: Hooked, receiver: Receiver) -> None:
    receiver.answers = [500] * (len(webhooks.PAUSES) + 1)
    desk.add(receiver.url)
    desk.decide(desk.read(line("One"))[0])

    for _ in range(len(webhooks.PAUSES) + 1):
        desk.send(hours=9)
    assert desk.states() == [(PostingState.FAILED, 500)]
    assert desk.send(hours=9) == 0
    with desk.db.write() as session:
        (row,) = webhooks.list_postings(session, desk.project)
        webhooks.send_again(session, desk.project, row.id or 0, now=desk.at)

    assert desk.send() == 1


def test_two_secrets_sign_for_a_day_after_a_change_and_one_does_thereafter(desk: Hooked, receiver: Receiver) -> None:
    hook = desk.add(receiver.url)
    former = hook.secret
    with desk.db.write() as session:
        secret = webhooks.rotate(session, desk.project, hook.id or 0, now=NOON)
        webhooks.add_test(session, desk.project, hook.id or 0, now=NOON)
    desk.send()
    with desk.db.write() as session:
        webhooks.add_test(session, desk.project, hook.id or 0, now=NOON)
    desk.send(hours=25)

    (headers, body), (later, tested) = receiver.came
    assert headers["webhook-signature"].split() == [signature(secret, headers, body), signature(former, headers, body)]
    assert later["webhook-signature"] == signature(secret, later, tested)


def test_an_endpoint_that_is_gone_is_told_nothing_more(desk: Hooked, receiver: Receiver) -> None:
    receiver.answers = [410]
    desk.add(receiver.url)
    desk.decide(desk.read(line("One"))[0])

    desk.send()
    desk.send(hours=1)

    assert len(receiver.came) == 1


def test_a_second_worker_leaves_an_endpoint_to_the_first(desk: Hooked, receiver: Receiver) -> None:
    hook = desk.add(receiver.url)
    desk.decide(desk.read(line("One"))[0])
    with desk.db.write() as session:
        row = session.get_one(WebhookRow, hook.id)
        row.held_until = NOON + timedelta(minutes=1)
        session.add(row)

    assert desk.send() == 0
    assert desk.send(minutes=2) == 1


# ------------------------------------------------------------------------------------------------ where to


def test_an_answer_that_points_elsewhere_is_not_followed(desk: Hooked, receiver: Receiver) -> None:
    with receiving() as other:
        receiver.answers, receiver.moved_to = [307], other.url
        desk.add(receiver.url)
        desk.decide(desk.read(line("One"))[0])
        desk.send()

    assert other.came == []
    assert desk.states() == [(PostingState.WAITING, 307)]


ALLOWED = Allowed.parse("hooks.example.org, localhost, 10.1.0.0/16")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/in", "https://hooks.example.org.evil.test/", "https://evil.test/hooks.example.org",
        "https://hooks.example.org@evil.test/", "https://a:b@hooks.example.org/", "ftp://hooks.example.org/",
        "file:///etc/passwd", "https://127.0.0.1/", "https://10.2.0.1/", "https://[::1]/", "https://2130706433/",
        "https://0x7f.1/", "https://hooks.example.org:99999/", "https://hooks.example.org/\r\nX: y",
        "//hooks.example.org",
        "https://hooks.example.org\\@evil.test/", "https://[::ffff:127.0.0.1]/", "", "https://",
        "https://höoks.example.org/",
        "http://hooks.example.org/" + "a" * 600,
    ],
)  # fmt: skip
def test_a_host_that_the_setting_does_not_name_is_refused(url: str) -> None:
    with pytest.raises(BadInputError):
        posting.parse_url(url, ALLOWED)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True), ("10.1.2.3", True), ("10.2.2.3", False), ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("192.168.0.1", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False),
        ("fe80::1", False), ("fd00::1", False), ("::ffff:10.2.2.3", False), ("::ffff:10.1.2.3", True),
        ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False), ("fec0::1", False),
        ("64:ff9b:1::7f00:1", False), ("::ffff:0:7f00:1", False), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
    ],
)  # fmt: skip
def test_an_address_is_public_or_named(address: str, expected: bool) -> None:
    import ipaddress

    assert ALLOWED.may_reach(ipaddress.ip_address(address)) is expected


def test_a_name_that_leads_to_this_machine_is_refused_when_it_is_called(receiver: Receiver) -> None:
    """As a name does whose address was changed after it was allowed."""
    port = receiver.url.split(":")[2]

    with pytest.raises(NotSentError, match="private"):
        posting.post(f"http://localhost:{port}", b"{}", {}, ALLOWED)

    assert receiver.came == []


def test_the_address_that_was_looked_at_is_the_one_that_is_called(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that says one thing first and another the next time."""
    said = iter(["127.0.0.1", "127.0.0.2"])
    asked: list[object] = []

    def look_up(host: str, port: int, *_: object, **__: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(said), port))]

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: look_up(host, *a) if host == "hook.test" else real(host, *a, **k)
    )
    url = receiver.url.replace("127.0.0.1", "hook.test")

    assert posting.post(url, b"{}", {}, Allowed.parse("hook.test, 127.0.0.1")) == 204
    assert asked == ["hook.test"]
    assert receiver.came[0][0]["host"].startswith("hook.test:")


def test_without_the_setting_there_are_no_webhooks(desk: Hooked, receiver: Receiver) -> None:
    desk.add(receiver.url)
    desk.decide(desk.read(line("One"))[0])
    desk.settings = desk.settings.model_copy(update={"webhook_hosts": ""})

    assert desk.send() == 0
    assert receiver.came == []
    with pytest.raises(BadInputError, match="PATCHSIFT_WEBHOOK_HOSTS"):
        desk.add(receiver.url + "/other")


def test_the_same_address_twice_is_refused(desk: Hooked, receiver: Receiver) -> None:
    desk.add(receiver.url)

    with pytest.raises(ConflictError):
        desk.add(receiver.url)


# ------------------------------------------------------------------------------------------------ the page, the command


def test_the_page_adds_tests_rotates_and_removes_and_shows_a_secret_once(
    settings: Settings, db: Database, receiver: Receiver
) -> None:
    allowed = settings.model_copy(update={"webhook_hosts": "127.0.0.1"})
    with TestClient(create_app(allowed, db), headers={"Sec-Fetch-Site": "same-origin"}) as client:
        added = client.post("/webhooks", data={"url": receiver.url, "events": ["decision"]})

        def stored() -> list[WebhookRow]:
            with db.read() as session:
                return webhooks.list_webhooks(session, 1)

        (hook,) = stored()

        assert hook.secret in added.text
        assert hook.secret not in client.get("/webhooks").text
        assert client.post("/webhooks", data={"url": "https://evil.test/", "events": ["decision"]}).status_code == 422

        client.post(f"/webhooks/{hook.id}", data={"do": "test"})
        webhooks.send_due(db, allowed, now=lambda: datetime.now(UTC))
        assert receiver.types() == ["test"]
        assert "answered 204" in client.get("/webhooks").text
        client.post("/webhooks/messages/1")
        webhooks.send_due(db, allowed, now=lambda: datetime.now(UTC))
        assert receiver.types() == ["test", "test"]

        rotated = client.post(f"/webhooks/{hook.id}", data={"do": "rotate"})
        assert stored()[0].secret in rotated.text
        assert hook.secret not in rotated.text
        client.post(f"/webhooks/{hook.id}", data={"do": "off"})
        assert not stored()[0].is_on
        client.post(f"/webhooks/{hook.id}", data={"do": "remove"})
        assert stored() == []


def test_the_command_adds_lists_tests_and_removes(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ["--data-dir", str(settings.data_dir), "--database-url", settings.url]
    monkeypatch.setenv("PATCHSIFT_WEBHOOK_HOSTS", "127.0.0.1")

    def run(*args: str) -> Result:
        return CliRunner().invoke(app, ["webhook", *args, *where])

    added = run("add", receiver.url, "--events", "decision", "--json")
    assert added.exit_code == 0, added.output
    assert json.loads(added.stdout)["secret"].startswith("whsec_")
    assert json.loads(run("list", "--json").stdout)["webhooks"][0]["url"] == receiver.url
    assert run("test", "1").exit_code == 0
    assert receiver.types() == ["test"]
    receiver.answers = [500]
    assert run("test", "1").exit_code == 1
    assert run("remove", "1").exit_code == 0
    assert json.loads(run("list", "--json").stdout) == {"webhooks": []}
