"""Coming in by an OpenID provider: a real one, and fifteen ID tokens that are not right."""

import hmac
import json
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from pydantic import SecretStr

from app import accounts, review
from app.db import Database
from app.errors import AppError, NotKnownError, UnavailableError
from app.main import create_app
from app.oidc import Provider
from app.settings import Settings
from tests.conftest import NOON

SECRET = SecretStr("between us")
USERS = {
    "17": {"email": "Ann@x.example", "email_verified": True},
    "18": {"email": "ann@x.example", "email_verified": True},
    "19": {"email": "ann@x.example", "email_verified": False},
    "20": {"email": "new@x.example", "email_verified": True},
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider that runs by itself, as it is called."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    people = [f"--user-claims={json.dumps({'sub': sub, **claims})}" for sub, claims in USERS.items()]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true", *people]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        # It says so once it listens; whatever else it says is let go.
        next(line for line in running.stderr if f":{port}" in line)
        Thread(target=running.stderr.read, daemon=True).start()
        yield f"http://localhost:{port}"
        running.terminate()


@pytest.fixture
def serve(settings: Settings, db: Database, issuer: str) -> Iterator[Callable[..., TestClient]]:
    """Makes servers that others can reach, with that provider and other settings."""
    with db.write() as session:
        project = review.ensure_project(session, "default", now=NOON).id or 0
        row = accounts.create(session, "ann@x.example", now=NOON)
        accounts.set_role(session, project, row.id or 0, "reviewer")
    opened: list[TestClient] = []

    def make(**more: object) -> TestClient:
        given = {
            "host": "0.0.0.0",
            "oidc_issuer": issuer,
            "oidc_client_id": "desk",
            "oidc_client_secret": SECRET,
            **more,
        }
        opened.append(TestClient(create_app(settings.model_copy(update=given), db), follow_redirects=False))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def consent(location: str, sub: str) -> str:
    """Say at the provider who one is; gives the path that it sends the browser back to."""
    answer = httpx2.post(location, data={"sub": sub}, timeout=10)
    assert answer.status_code == 302, answer.text
    parts = urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}"


def come_in(client: TestClient, sub: str, next: str = "/releases") -> Any:
    begun = client.get("/login/provider", params={"next": next})
    return client.get(consent(begun.headers["location"], sub))


def test_who_is_known_by_a_verified_address_comes_in_and_is_known_by_the_subject(
    serve: Callable[..., TestClient], db: Database
) -> None:
    client = serve()
    begun = client.get("/login/provider", params={"next": "/releases"})
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    assert asked["redirect_uri"] == ["http://testserver/login/provider/return"]

    back = client.get(consent(begun.headers["location"], "17"))
    assert (back.status_code, back.headers.get("location")) == (303, "/releases"), back.text
    assert "ann@x.example" in client.get("/queue").text
    # Another subject of the same address is somebody else.
    other = serve()
    assert come_in(other, "18").status_code == 403
    with db.read() as session:
        assert accounts.get_person(session, "ann@x.example").oidc_subject == "17"


def test_who_logs_out_here_is_led_to_the_logout_of_the_provider(serve: Callable[..., TestClient], issuer: str) -> None:
    client = serve(public_url="https://desk.example")
    come_in(client, "17")
    out = client.post("/logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert out.headers["location"] == "/login?out=yes"
    assert 'href="/login/provider/out"' in client.get("/login?out=yes").text
    assert 'href="/login/provider/out"' not in client.get("/login").text

    led = client.get("/login/provider/out").headers["location"]
    assert led.startswith(f"{issuer}/oauth2/end_session?")
    said = parse_qs(urlsplit(led).query)
    assert said == {"client_id": ["desk"], "post_logout_redirect_uri": ["https://desk.example/login"]}
    assert httpx2.get(led, timeout=10).status_code == 200


def test_what_was_begun_elsewhere_or_used_before_is_refused(serve: Callable[..., TestClient]) -> None:
    client = serve()
    back = consent(client.get("/login/provider").headers["location"], "17")
    stranger = serve()
    assert "not begun in this browser" in stranger.get(back).text
    stranger.get("/login/provider")
    assert "belongs to another login" in stranger.get(back).text
    assert "another provider" in client.get(f"{back}&iss=https://evil.example").text
    # The refusal ended what was begun.
    assert client.get(back).status_code == 401
    begun = client.get("/login/provider")
    kept = dict(client.cookies)
    back = consent(begun.headers["location"], "17")
    assert client.get(back).status_code == 303
    replayed = serve()
    replayed.cookies.update({name: value for name, value in kept.items() if name.endswith("-oidc")})
    assert "used before" in replayed.get(back).text
    assert client.get("/login/provider/return?error=access_denied").status_code == 401


def test_many_come_back_in_the_same_minutes(serve: Callable[..., TestClient]) -> None:
    client = serve()
    assert {client.get("/login/provider/return").status_code for _ in range(12)} == {401}


@pytest.mark.parametrize(("sub", "role", "status"), [("20", "", 403), ("19", "", 403), ("20", "viewer", 303)])
def test_an_account_is_made_only_where_a_setting_says_so(
    serve: Callable[..., TestClient], db: Database, sub: str, role: str, status: int
) -> None:
    client = serve(oidc_role=role)
    assert come_in(client, sub).status_code == status
    with db.read() as session:
        names = [one.name for one in accounts.list_people(session) if "@" in one.name]
    assert names == (["ann@x.example", "new@x.example"] if role else ["ann@x.example"])
    if role:
        assert client.get("/releases/new").status_code == 403


def test_who_is_locked_out_does_not_come_in_by_the_provider(serve: Callable[..., TestClient], db: Database) -> None:
    assert come_in(serve(), "17").status_code == 303
    with db.write() as session:
        accounts.disable(session, accounts.get_person(session, "ann@x.example"), now=NOON)
    assert "locked out" in come_in(serve(), "17").text


def test_where_the_provider_is_the_only_way_no_password_is_taken(serve: Callable[..., TestClient]) -> None:
    client = serve(oidc_only=True)
    shown = client.get("/login").text
    assert "Log in by localhost" in shown
    assert 'name="password"' not in shown
    assert client.post("/login", data={"name": "ann@x.example", "password": "seven quiet wonders"}).status_code == 403


def test_a_provider_that_cannot_be_right(settings: Settings, serve: Callable[..., TestClient], issuer: str) -> None:
    with pytest.raises(AppError, match="https"):
        Provider.of(settings.model_copy(update={"oidc_issuer": "http://login.example"}))
    with pytest.raises(AppError, match="CLIENT_ID"):
        Provider.of(settings.model_copy(update={"oidc_issuer": issuer}))
    assert serve(oidc_issuer="http://localhost:1").get("/login/provider").status_code == 503
    # One that calls itself otherwise than it was asked for.
    renamed = serve(oidc_issuer=issuer.replace("localhost", "127.0.0.1") + "/")
    assert renamed.get("/login/provider").status_code == 503
    assert serve(oidc_issuer="").get("/login/provider").status_code == 404


# ------------------------------------------------------------------------------------------------ ID tokens

OURS, THEIRS, CURVE = RSAKey.generate_key(2048, {"kid": "1"}), RSAKey.generate_key(2048), ECKey.generate_key("P-256")
# A day, because the tests may come long after this file was read.
HEADER, NOW, DAY = {"alg": "RS256", "kid": "1"}, int(time.time()), 86_400
CLAIMS = {"iss": "https://login.example", "sub": "17", "aud": "desk", "exp": NOW + DAY, "iat": NOW, "nonce": "n"}


def token(key: Any = OURS, header: dict[str, Any] | None = None, **claims: Any) -> str:
    said = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(HEADER | (header or {}), said, key, algorithms=["RS256", "ES256"])


def packed(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """What the library refuses to make."""
    parts = f"{packed(header)}.{packed(CLAIMS)}"
    return f"{parts}.{packed(sign(parts.encode()))}"


def by_public_key(text: bytes) -> bytes:
    return hmac.digest(OURS.as_pem(private=False), text, "sha256")


def by_our_key(text: bytes) -> bytes:
    assert OURS.private_key is not None
    return OURS.private_key.sign(text, PKCS1v15(), SHA256())


TOKENS: dict[str, Callable[[], str]] = {
    "no signature": lambda: forged({"alg": "none"}, lambda _: b""),
    "signed with the public key": lambda: forged({"alg": "HS256", "kid": "1"}, by_public_key),
    "signed by somebody else": lambda: token(THEIRS),
    "brings its own key": lambda: token(THEIRS, {"jwk": THEIRS.as_dict(private=False)}),
    "names another key": lambda: token(THEIRS, {"kid": "2"}),
    "another algorithm": lambda: token(CURVE, {"alg": "ES256"}),
    "an extension that must be understood": lambda: forged(HEADER | {"crit": ["x"], "x": 1}, by_our_key),
    "for somebody else": lambda: token(aud="other"),
    "for us and others, without a party": lambda: token(aud=["desk", "other"]),
    "from somebody else": lambda: token(iss="https://login.example/"),
    "run out": lambda: token(exp=NOW - 300),
    "without an end": lambda: token(exp=None),
    "not yet": lambda: token(nbf=NOW + DAY),
    "of another login": lambda: token(nonce="m"),
    "of no login": lambda: token(nonce=None),
    "names nobody": lambda: token(sub=None),
    "names nothing": lambda: token(sub=""),
    "changed": lambda: token()[:-6] + "AAAAAA",
    "cut off": lambda: token().rpartition(".")[0],
    "nothing": lambda: "",
}


@pytest.fixture(scope="module")
def provider() -> Provider:
    keys = KeySet.import_key_set({"keys": [OURS.as_dict(private=False)]})
    return Provider("https://login.example", "desk", "", (time.monotonic(), {}, keys))


@pytest.mark.parametrize("case", TOKENS)
def test_an_id_token_that_is_not_right_names_nobody(provider: Provider, case: str) -> None:
    with pytest.raises(NotKnownError, match="cannot be trusted"):
        provider.read(TOKENS[case](), "n")


def test_one_that_is_right_names_somebody(provider: Provider) -> None:
    named = provider.read(token(email="a@x.example", email_verified="true", preferred_username="ann"), "n")
    assert provider.read(forged(HEADER, by_our_key), "n").subject == "17"
    assert (named.subject, named.email, named.name) == ("17", "", "ann")
    assert provider.read(token(email="a@x.example", email_verified=True), "n").email == "a@x.example"
    assert provider.read(token(aud=["desk"], azp="desk"), "n").issuer == "https://login.example"


def test_a_provider_that_is_silent_says_so_and_is_left_alone_for_a_while() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        provider = Provider(f"http://localhost:{mute.getsockname()[1]}", "desk", "")
        mute.close()
        with pytest.raises(UnavailableError, match="does not answer"):
            provider._look()
    asked: list[int] = []
    provider._ask = lambda: asked.append(1)  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(UnavailableError, match="does not answer"):
        provider._look()
    assert asked == []
