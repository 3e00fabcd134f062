"""What every request passes first: hosts, sites, headers."""

import re
from collections.abc import Iterator
from itertools import product

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

from app.db import Database
from app.main import create_app
from app.settings import Settings
from app.web.guard import CSP, refuse
from tests.installations import installation

HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "desk.example"})
SITES = ["same-origin", "none", "same-site", "cross-site", "", "Same-Origin", None]
ORIGINS = {
    None: True,
    "http://localhost:8642": True,
    "https://localhost:8642": True,
    "http://localhost": False,
    "http://localhost:9999": False,
    "http://evil.test": False,
    "http://localhost:8642.evil.test": False,
    "http://localhost:8642@evil.test": False,
    "null": False,
    "": False,
}


def verdict(method: str, host: str = "localhost:8642", path: str = "/queue", **headers: str | None) -> int | None:
    named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    refusal = refuse(method, path, Headers({"host": host, **named}), HOSTS)
    return None if refusal is None else refusal[0]


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8642", "127.0.0.1:1", "LOCALHOST:80", "[::1]:8642", "[::1]", "desk.example"],
)
def test_a_host_of_ours_is_answered(host: str) -> None:
    assert verdict("GET", host) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.test",
        "evil.test:8642",
        "localhost.evil.test",
        "localhost:8642:80",
        "localhost:evil",
        "localhost@evil.test",
        "127.0.0.2",
        "0.0.0.0",
        "localhost.",
        "localhost, evil.test",
        "desk.example.evil.test",
        "[::1]evil.test",
    ],
)
def test_another_host_is_refused_reading_too(host: str) -> None:
    assert verdict("GET", host) == 421
    assert verdict("POST", host, sec_fetch_site="same-origin") == 421
    assert verdict("GET", host, "/static/app.css") is None
    assert verdict("POST", host, "/static/app.css") == 421


@pytest.mark.parametrize(("site", "origin"), list(product(SITES, ORIGINS)))
def test_only_our_own_pages_and_programs_may_write(site: str | None, origin: str | None) -> None:
    allowed = site in {"same-origin", "none"} if site is not None else ORIGINS[origin]

    for method in ("POST", "PUT", "PATCH", "DELETE", "NONSENSE"):
        assert verdict(method, sec_fetch_site=site, origin=origin) == (None if allowed else 403)


@pytest.mark.parametrize(("site", "method"), list(product(SITES, ["GET", "HEAD", "OPTIONS"])))
def test_reading_is_open_to_links_from_elsewhere(site: str | None, method: str) -> None:
    assert verdict(method, sec_fetch_site=site, origin="http://evil.test") is None


# ------------------------------------------------------------------------------------------------ the application


@pytest.fixture(scope="module", params=["sqlite"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The application with a route that is broken; nothing here reaches the database."""
    with installation(request, tmp_path_factory.mktemp("guarded")) as (settings, db):
        app = create_app(settings, db)

        @app.get("/broken")
        def broken() -> None:
            raise RuntimeError

        with TestClient(app, raise_server_exceptions=False) as client:
            yield client


def unsafe_routes() -> list[tuple[str, str]]:
    from app.web import api, edit_page, exports_page, imports, jobs_page, ladder, parts, queue, review_page

    modules = (queue, review_page, edit_page, ladder, parts, imports, exports_page, jobs_page, api)
    routes = [route for module in modules for route in module.router.routes if isinstance(route, APIRoute)]
    return [
        (method, route.path) for route in routes for method in (route.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    ]


@pytest.mark.parametrize(("method", "path"), unsafe_routes())
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
    ],
)
def test_every_route_that_writes_refuses_other_sites(
    guarded: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = guarded.request(method, re.sub(r"\{\w+\}", "1", path), headers=headers)

    assert answer.status_code == 403
    assert "another site" in answer.text


def test_there_are_routes_that_write() -> None:
    assert {("POST", "/api/v1/ingest"), ("POST", "/undo"), ("POST", "/theme")} <= set(unsafe_routes())


ANSWERS = [
    ("GET", "/queue", 200),
    ("HEAD", "/queue", 405),
    ("GET", "/", 303),
    ("GET", "/healthz", 200),
    ("GET", "/api/v1/candidates", 200),
    ("GET", "/api/v1/openapi.json", 200),
    ("GET", "/nothing", 404),
    ("GET", "/static/nothing.js", 404),
    ("GET", "/static/app.css", 200),
    ("GET", "/api/v1/nothing", 404),
    ("DELETE", "/queue", 405),
    ("TRACE", "/queue", 405),
    ("GET", "/broken", 500),
    ("POST", "/api/v1/ingest", 413),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_carries_the_headers(guarded: TestClient, method: str, path: str, status: int) -> None:
    headers = {"Content-Length": "1000000000000000000"} if status == 413 else {}

    answer = guarded.request(method, path, headers=headers, follow_redirects=False)

    assert answer.status_code == status
    expected = {
        "content-security-policy": CSP,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    assert expected.items() <= dict(answer.headers).items()
    assert "server" not in answer.headers
    if not path.startswith("/static/"):
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("base", "public", "is_isolated"),
    [
        ("http://localhost:8642", "", True),
        ("http://127.0.0.1", "", True),
        ("http://desk.example:9811", "", False),
        ("https://desk.example", "", True),
        ("http://desk.example", "https://desk.example", True),
    ],
)
def test_a_header_that_browsers_complain_of_on_plain_http_is_left_out_there(
    settings: Settings, db: Database, base: str, public: str, *, is_isolated: bool
) -> None:
    named = settings.model_copy(update={"allowed_hosts": "desk.example", "public_url": public})
    with TestClient(create_app(named, db), base_url=base) as client:
        found = client.get("/healthz").headers.get("cross-origin-opener-policy")

    assert found == ("same-origin" if is_isolated else None)


def test_behind_a_proxy_of_this_machine_nobody_comes_in_without_a_name(settings: Settings, db: Database) -> None:
    for public, status in (("https://desk.example", 303), ("", 200), ("http://localhost:8642", 200)):
        named = settings.model_copy(update={"public_url": public})
        with TestClient(create_app(named, db), base_url="http://localhost", follow_redirects=False) as client:
            assert client.get("/queue").status_code == status


def test_a_foreign_host_gets_a_page_that_can_be_read(settings: Settings, db: Database) -> None:
    from app.web.render import asset

    everywhere = settings.model_copy(update={"host": "0.0.0.0"})
    with TestClient(create_app(everywhere, db), base_url="http://192.0.2.2:9811") as client:
        refused = client.get("/queue")
        style, posted = client.get(asset("app.css")), client.post(asset("app.css"))

    assert refused.status_code == posted.status_code == 421
    assert refused.text.count("PATCHSIFT_ALLOWED_HOSTS=192.0.2.2") == 1
    assert "<nav" not in refused.text
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")


def test_a_refusal_carries_the_headers_too(guarded: TestClient) -> None:
    for headers in ({"Host": "evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = guarded.post("/undo", headers=headers)

        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["cache-control"] == "no-store"


def test_the_policy_allows_nothing_but_our_own_files() -> None:
    policy = dict(part.strip().partition(" ")[::2] for part in CSP.split(";"))

    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


def test_a_static_file_with_its_digest_is_kept_for_ever(guarded: TestClient) -> None:
    from app.web.render import asset

    kept = guarded.get(asset("app.css"))

    assert kept.status_code == 200
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert guarded.get("/static/app.css").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pyproject.toml",
        "/static/%2e%2e/pyproject.toml",
        "/static/%2e%2e%2fpyproject.toml",
        "/static/%252e%252e/pyproject.toml",
        "/static/..%5cpyproject.toml",
        "/static//etc/passwd",
        "/static/%00",
        "/static/" + "a" * 5000,
    ],
)
def test_no_path_leads_out_of_the_static_folder(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code in {400, 404}


@pytest.mark.parametrize("path", ["//evil.test", "/\\evil.test", "//evil.test/..", "/queue/", "/%0d%0aX:1"])
def test_no_path_sends_a_browser_elsewhere(guarded: TestClient, path: str) -> None:
    answer = guarded.request("GET", "http://testserver" + path, follow_redirects=False)

    location = answer.headers.get("location", "/")
    assert location.startswith(("/", "http://testserver/"))
    assert not location.startswith(("//", "/\\"))
    assert "x" not in answer.headers


def test_a_further_host_is_answered_once_it_is_named(settings: Settings, db: Database) -> None:
    named = settings.model_copy(update={"allowed_hosts": "desk.example, Other.Example"})
    with TestClient(create_app(named, db)) as client:
        answers = {
            host: client.get("/healthz", headers={"Host": host}).status_code
            for host in ("desk.example", "other.example:80", "testserver")
        }

    assert answers == {"desk.example": 200, "other.example:80": 200, "testserver": 421}
