"""What an open queue page asks every second: nothing new costs nothing, else the list as it is now."""

import html
import re

import pytest
from starlette.testclient import TestClient

from app.db import Database
from app.web.queue import ROWS
from tests.logs import line
from tests.web.pages import HTMX, decide, text


def live_url(page: str) -> str:
    """The address that a page asks."""
    found = re.search(r'data-live\s+hx-get="([^"]*)"', page)
    assert found is not None
    return html.unescape(found[1])


def push(client: TestClient, *issues: str) -> None:
    body = b"".join(line(issue) + b"\n" for issue in issues)
    assert client.post("/api/v1/ingest?name=pushed.jsonl", content=body).status_code == 200


def titles(page: str) -> list[str]:
    return re.findall(r"data-row dir=\"auto\">([^<]*)<", page)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("query", ["", "?order=newest", "?status=all&q=parser", "?after=1"])
def test_nothing_new_is_an_empty_answer(client: TestClient, query: str) -> None:
    address = live_url(client.get(f"/queue{query}").text)

    for _ in range(3):
        answer = client.get(address, headers=HTMX)
        assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.usefixtures("three")
def test_what_came_is_in_the_list_and_the_next_question_knows_it(client: TestClient) -> None:
    address = live_url(client.get("/queue").text)
    push(client, "New one")
    answer = client.get(address, headers=HTMX)

    assert answer.text.lstrip().startswith('<section id="list"')
    assert titles(answer.text) == ["Fix the parser", "Name the reader", "Drop the cache", "New one"]
    assert "HX-Push-Url" not in answer.headers
    assert live_url(answer.text) != address
    assert client.get(live_url(answer.text), headers=HTMX).status_code == 204


def test_decisions_and_joins_are_news(client: TestClient, three: list[int]) -> None:
    address = live_url(client.get("/queue").text)
    decide(client, three[0], "accept")
    answer = client.get(address, headers=HTMX)
    assert titles(answer.text) == ["Name the reader", "Drop the cache"]
    client.post("/api/v1/ingest?name=run_1.json", content=b'[["import libcst as cst\\nx = 1", true, 0.7, null, "x"]]')
    answer = client.get(live_url(answer.text), headers=HTMX)
    assert titles(answer.text)[-1] == "A run of 1 attempts"
    push(client, "Other")
    body = line("Of the run", successful_script="import libcst as cst\nx = 1")
    client.post("/api/v1/ingest?name=pushed.jsonl", content=body)
    answer = client.get(live_url(answer.text), headers=HTMX)

    assert titles(answer.text) == ["Name the reader", "Drop the cache", "Other", "Of the run"]


def test_what_came_onto_another_page_is_counted(client: TestClient) -> None:
    push(client, *(f"Issue {n:02}" for n in range(ROWS + 1)))
    first, last = client.get("/queue").text, client.get(f"/queue?after={ROWS}").text
    push(client, "New one", "New two")
    first = client.get(live_url(first), headers=HTMX).text
    assert "2 new, show" in text(first)
    assert "new, show" not in text(client.get(live_url(last), headers=HTMX).text)
    push(client, "New three")
    first = client.get(live_url(first), headers=HTMX).text

    assert "3 new, show" in text(first)
    assert 'href="/queue?order=newest"' in first
    assert len(titles(first)) == ROWS
    assert "new, show" not in text(client.get("/queue").text)


def test_only_what_the_filter_finds_counts(client: TestClient) -> None:
    push(client, *(f"Parser {n:02}" for n in range(ROWS)))
    page = client.get("/queue?q=parser").text
    push(client, "Lexer", "Parser once more")

    assert "1 new, show" in text(client.get(live_url(page), headers=HTMX).text)


def test_the_empty_page_becomes_the_list(client: TestClient) -> None:
    address = live_url(client.get("/queue").text)
    assert client.get(address, headers=HTMX).status_code == 204
    push(client, "One")
    answer = client.get(address, headers=HTMX)

    assert titles(answer.text) == ["One"]
    assert '<form class="filters"' in answer.text
    assert "<html" not in answer.text


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("query", ["known=-1", "known=9" + "9" * 30, "known=x", "status=done", "nonsense=1"])
def test_a_bad_question_is_refused(client: TestClient, query: str) -> None:
    assert client.get(f"/queue/live?{query}", headers=HTMX).status_code == 422


@pytest.mark.usefixtures("three")
def test_a_faulty_filter_asks_nothing(client: TestClient) -> None:
    assert "data-live" not in client.get("/queue?rating=nine").text


@pytest.mark.usefixtures("three")
def test_to_ask_changes_nothing(client: TestClient, db: Database) -> None:
    def state() -> list[object]:
        with db.read() as session:
            run = session.connection().exec_driver_sql
            return [run(f"SELECT * FROM {table} ORDER BY 1, 2").all() for table in ("candidate", "tally", "job")]

    before = state()
    client.get("/queue/live?seen=nothing", headers=HTMX)

    assert state() == before
