"""The queue page: filters in the URL, counts, pages, and what a bad value gets."""

import pytest
from starlette.testclient import TestClient

from app import jobs
from app.db import Database
from app.settings import Settings
from app.web.queue import ROWS
from tests.conftest import NOON
from tests.logs import line
from tests.web.pages import HTMX, decide, text


def test_the_first_page_is_the_queue(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/queue")


def test_an_empty_installation_offers_three_ways_in(client: TestClient, settings: Settings) -> None:
    seen = text(client.get("/queue").text)

    assert "Load 12 sample patches" in seen
    assert "Drop success_memory.jsonl here" in seen
    # The very command for this server: the plain one would fill another database.
    assert f"patchsift ingest --data-dir {settings.data_dir}" in seen
    assert ("--database-url" in seen) == bool(settings.database_url)
    assert "curl --data-binary @success_memory.jsonl \\ 'http://testserver/api/v1/ingest?name=" in seen


def test_the_samples_fill_the_queue(client: TestClient) -> None:
    seen = text(client.post("/samples").text)

    assert "12 candidates" in seen
    assert "Fix binary mode stdio on Windows" in seen


def test_pending_is_what_the_queue_shows_first(client: TestClient, three: list[int]) -> None:
    decide(client, three[0], "accept")

    assert "Fix the parser" not in client.get("/queue").text
    assert "Fix the parser" in client.get("/queue?status=accepted").text
    assert "3 candidates" in text(client.get("/queue?status=all").text)


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ("q=parser", 1),
        ("file=x.py", 3),
        ("file=nothing.py", 0),
        ("source=LLMCore_polish_iteration_1", 3),
        ("since=2025-06-24&until=2025-06-24", 3),
        ("until=2025-06-23", 0),
        ("rating=none", 3),
        ("rating=5", 0),
        ("finding=secret", 0),
    ],
)
def test_every_filter_narrows_the_list(client: TestClient, three: list[int], query: str, n: int) -> None:
    del three
    page = client.get(f"/queue?{query}").text

    assert page.count("data-row") == n


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("status=done", "status must be one of pending,"),
        ("rating=NaN", "rating must be one of none, 1, 2, 3, 4, 5; it is 'NaN'."),
        ("since=yesterday", "since must be a day such as 2026-11-22; it is 'yesterday'."),
        ("order=password", "smallest, largest, alike; it is 'password'."),
        ("after=9" + "9" * 5000, "after must be a whole number"),
        ("upload=-1", "upload must be a whole number"),
    ],
)
def test_a_bad_value_is_answered_at_the_filter(client: TestClient, three: list[int], query: str, sentence: str) -> None:
    del three
    answer = client.get(f"/queue?{query}")

    assert answer.status_code == 422
    assert sentence in text(answer.text)
    assert "Clear the filter" in answer.text


@pytest.mark.parametrize("word", ["%", '"', "NEAR(", "a AND OR", "*", "x" * 10_000, "\x00", "'; DROP TABLE candidate"])
def test_any_search_is_literal_and_answered(client: TestClient, three: list[int], word: str) -> None:
    del three
    answer = client.get("/queue", params={"q": word})

    assert answer.status_code in {200, 422}


def test_pages_follow_each_other_without_overlap(client: TestClient) -> None:
    log = b"\n".join(line(f"Issue number {n:03}") for n in range(ROWS + 5))
    client.post("/api/v1/ingest?name=many.jsonl", content=log)

    first = client.get("/queue").text
    following = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
    second = client.get(following).text

    assert first.count("data-row") == ROWS
    assert second.count("data-row") == 5
    assert "Issue number 054" in second
    assert "first page" in second


def test_htmx_gets_the_list_alone_and_a_clean_address(client: TestClient, three: list[int]) -> None:
    del three
    answer = client.get("/queue?q=parser&file=&rating=", headers=HTMX)

    assert answer.text.lstrip().startswith('<section id="list"')
    assert answer.headers["HX-Push-Url"] == "/queue?q=parser"
    assert "HX-Request" in answer.headers["Vary"]


def test_rows_carry_the_filter_to_the_review_page(client: TestClient, three: list[int]) -> None:
    page = client.get("/queue?q=parser&order=newest").text

    assert f'href="/candidates/{three[0]}?q=parser&amp;order=newest"' in page


def test_start_goes_to_the_first_that_the_filter_finds(client: TestClient, three: list[int]) -> None:
    def start(query: str) -> str:
        return str(client.get(f"/queue/start{query}", follow_redirects=False).headers["location"])

    assert start("") == f"/candidates/{three[0]}"
    assert start("?order=newest") == f"/candidates/{three[2]}?order=newest"
    assert start("?q=nothing") == "/queue/done?q=nothing"


def test_the_theme_is_remembered_and_sends_nobody_elsewhere(client: TestClient) -> None:
    answer = client.post("/theme", data={"theme": "dark", "back": "//evil.example/"}, follow_redirects=False)

    assert answer.headers["location"] == "/queue"
    assert 'data-theme="dark"' in client.get("/queue").text
    assert 'data-theme="auto"' in client.get("/queue", headers={"Cookie": 'theme="><script>'}).text


def test_looking_changes_nothing(client: TestClient, db: Database, three: list[int]) -> None:
    def state() -> list[object]:
        with db.read() as session:
            run = session.connection().exec_driver_sql
            tables = ("candidate", "decision", "source", "entry", "tally", "job", "quarantine", "repeat")
            return [run(f"SELECT * FROM {table} ORDER BY 1, 2").all() for table in tables]

    before = state()
    for path in (
        "/queue", "/queue/start", "/queue/done", f"/candidates/{three[0]}", f"/candidates/{three[0]}/next",
        f"/candidates/{three[0]}/previous", f"/candidates/{three[0]}/edit", "/imports", "/imports/1", "/quarantine",
        "/exports", f"/candidates/{three[0]}?view=split", f"/candidates/{three[0]}/script",
    ):  # fmt: skip
        assert client.get(path).status_code == 200, path

    assert state() == before


@pytest.mark.usefixtures("three")
def test_the_queue_says_that_findings_are_still_being_made(client: TestClient, db: Database, project_id: int) -> None:
    assert "still being checked" not in client.get("/queue?status=all").text
    with db.write() as session:
        jobs.enqueue(session, project_id, jobs.IN_BACKGROUND, {}, now=NOON)

    assert "still being checked" in client.get("/queue?status=all").text
