"""Deciding many at once: what the page says before, what it refuses, what it tells afterwards; and its JSON twin."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from app import decisions
from app.db import Database
from app.queue import Filter
from app.settings import Settings
from app.web.bulk_page import in_words
from tests.web.pages import HTMX, decide, hidden, text


def send(client: TestClient, query: str = "", **typed: Any) -> Any:
    """Open the page of a filter and send its form as it stands, with what was typed."""
    page = client.get(f"/bulk{query}").text
    form = {"digest": hidden(page, "digest"), "key": hidden(page, "key"), "verdict": "accept", **typed}
    return client.post(f"/bulk{query}", data=form, follow_redirects=False)


def statuses(client: TestClient, three: list[int]) -> list[str]:
    return [client.get(f"/api/v1/candidates/{number}").json()["status"] for number in three]


def test_the_queue_leads_to_a_page_that_says_what_would_be_decided(client: TestClient, three: list[int]) -> None:
    decide(client, three[0], "reject")

    assert 'href="/bulk?status=all&amp;source=LLMCore_polish_iteration_1"' in (
        client.get("/queue?status=all&source=LLMCore_polish_iteration_1").text
    )
    seen = text(client.get("/bulk?status=all&source=LLMCore_polish_iteration_1").text)

    assert "Decide 3 candidates at once" in seen
    assert "Every candidate from LLMCore_polish_iteration_1 ." in seen
    assert "Found 3 Wait for a decision 2 Decided already 1" in seen
    assert "Decided already: 1 rejected. What you choose below takes the place of that." in seen
    assert "Fix the parser" in seen


def test_a_filter_is_said_in_words() -> None:
    typed = (
        'parser -finding:secret source:a,b issue:"no module" -docs -file:x.py -trace:spam -kind:spec -came:2026-11-01'
    )
    wanted = Filter.parse({"status": "pending", "q": typed})

    assert sorted(in_words(wanted)) == [
        "from a or b", "not of the kind spec", "that did not come in on 2026-11-01", "that does not hold docs",
        "that does not touch x.py", "that holds parser", "that is pending", 'whose issue holds "no module"',
        "whose trace does not hold spam", "without the finding secret",
    ]  # fmt: skip


def test_a_filter_that_finds_nothing_has_no_form(client: TestClient, three: list[int]) -> None:
    del three
    page = client.get("/bulk?q=nothing").text

    assert "Nothing is found by this filter." in text(page)
    assert 'name="count"' not in page
    assert client.get("/bulk?rating=NaN").status_code == 422


def test_all_are_decided_and_the_page_tells(client: TestClient, three: list[int], db: Database) -> None:
    answer = send(client, verdict="reject", count="3", reasons=["style", "unclear"], comment="One and all.")

    assert answer.status_code == 303
    seen = text(client.get(answer.headers["location"]).text)
    assert "3 rejected as one" in seen
    assert "Style Unclear" in seen.replace("Issue is unclear", "Unclear")
    assert "Every candidate that is pending ." in seen
    assert "Decided 3 Left out 0 Taken back 0" in seen
    assert statuses(client, three) == ["rejected"] * 3
    history = client.get(f"/candidates/{three[0]}").text
    assert f'<a href="{answer.headers["location"]}">as one of 3</a>' in history
    with db.read() as session:
        assert decisions.verify_chain(session, 1) is None


@pytest.mark.parametrize(
    ("typed", "status", "sentence"),
    [
        ({"count": "2"}, 422, "Type how many there are: it is 3, you typed '2'."),
        ({"count": ""}, 422, "nothing was typed"),
        ({"count": "3", "digest": "0"}, 409, "has changed since the page was shown: it is 3 now"),
        ({"count": "3", "verdict": ""}, 422, "Choose what to decide"),
        ({"count": "3", "verdict": "edit"}, 422, "an edit is of one candidate"),
        ({"count": "3", "reasons": "style"}, 422, "Reasons say why"),
        ({"count": "3", "key": ""}, 422, "A key is 1 to 200"),
    ],
)
def test_a_refusal_keeps_what_was_typed(
    client: TestClient, three: list[int], typed: dict[str, str], status: int, sentence: str
) -> None:
    answer = send(client, comment="Typed at length.", **typed)

    assert answer.status_code == status
    assert sentence in text(answer.text)
    assert ">Typed at length.</textarea>" in answer.text
    assert f'value="{typed["count"]}"' in answer.text
    assert ("checked" in answer.text) == bool(typed.get("verdict", "accept") in {"accept"})
    assert statuses(client, three) == ["pending"] * 3


def test_a_set_that_changed_is_shown_again_as_it_is(client: TestClient, three: list[int]) -> None:
    page = client.get("/bulk").text
    decide(client, three[1], "skip")

    form = {"digest": hidden(page, "digest"), "key": hidden(page, "key"), "verdict": "accept", "count": "3"}
    answer = client.post("/bulk", data=form)

    assert answer.status_code == 409
    assert "it is 2 now" in text(answer.text)
    assert "Decide 2 candidates at once" in text(answer.text)
    form |= {"digest": hidden(answer.text, "digest"), "count": "2"}
    assert "2 accepted as one" in text(client.post("/bulk", data=form).text)


def test_undo_takes_all_of_it_back_from_wherever(client: TestClient, three: list[int]) -> None:
    send(client, count="3")

    undone = client.post("/undo", data={"key": "u1"}, headers=HTMX)

    assert "Undone: 3 decisions that were made as one" in text(undone.text)
    assert statuses(client, three) == ["pending"] * 3

    address = send(client, count="3").headers["location"]
    decide(client, three[2], "reject")
    answer = client.post(f"{address}/undo", data={"key": "u2"})

    seen = text(answer.text)
    assert (answer.status_code, "taken back" in seen, "Undo all" in seen) == (200, True, False)
    assert "These stay as they are: what was decided on them since counts. #3 Drop the cache rejected" in seen
    assert statuses(client, three) == ["pending", "pending", "rejected"]
    # Without JavaScript the key leads to the page that tells.
    address = send(client, count="2").headers["location"]
    assert client.post("/undo", data={"key": "u3"}, follow_redirects=False).headers["location"] == address


def test_an_act_that_is_none_is_not_found(client: TestClient, three: list[int]) -> None:
    del three
    assert client.get("/bulk/99").status_code == 404
    assert client.get("/bulk/99999999999").status_code == 404
    assert client.post("/bulk/99/undo", data={"key": "u"}).status_code == 404


def test_the_api_decides_takes_back_and_tells(client: TestClient, three: list[int], settings: Settings) -> None:
    del settings
    body = {"filter": {"status": "pending"}, "verdict": "flag", "count": 3, "key": "k", "comment": "Look again."}

    wrong = client.post("/api/v1/bulk", json=body | {"count": 4})
    made = client.post("/api/v1/bulk", json=body)
    again = client.post("/api/v1/bulk", json=body)

    assert wrong.json()["error"]["where"] == "field count"
    assert (made.status_code, made.json()) == (200, again.json())
    assert made.json() | {"job": 0} == {
        "job": 0, "state": "done", "verdict": "flag", "found": 3, "decided": 3, "left_out": {}, "taken_back": 0,
        "message": "3 decided, 0 left out",
    }  # fmt: skip
    undone = client.post("/api/v1/undo", json={"key": "u"}).json()
    assert (undone["bulk"], undone["job"]) == (f"bulk-{made.json()['job']}", None)
    assert undone["said"] == "Undone: 3 decisions that were made as one"
    assert client.get(f"/api/v1/bulk/{made.json()['job']}").json()["taken_back"] == 3
    assert statuses(client, three) == ["pending"] * 3
    assert client.post("/api/v1/bulk", json=body | {"filter": {"stats": "x"}}).status_code == 422
