"""Two people at one queue, over HTTP: who has what, taking over, giving back, sending, and coming back."""

import json
import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app import accounts, releases
from app.accounts import SCOPES, Person
from app.db import Database
from app.errors import BadInputError
from app.main import create_app
from app.models import Role
from app.settings import Settings
from tests.conftest import NOON
from tests.web.pages import text

Two = tuple[TestClient, TestClient]


@pytest.fixture
def two(settings: Settings, db: Database, project_id: int) -> Iterator[Two]:
    """Ada and Bob, each with a client of their own on one server."""
    found = []
    with db.write() as session:
        for name in ("Ada", "Bob"):
            row = accounts.create(session, name, hashed="x", now=NOON)
            accounts.set_role(session, project_id, row.id or 0, Role.REVIEWER)
            person = Person(row.id or 0, name, project_id, Role.REVIEWER)
            found.append(accounts.make_token(session, person, "all", list(SCOPES), now=NOON)[1])
    app = create_app(settings, db)
    with TestClient(app) as ada, TestClient(app) as bob:
        for client, secret in ((ada, found[0]), (bob, found[1])):
            client.headers |= {"Sec-Fetch-Site": "same-origin", "Authorization": f"Bearer {secret}"}
        yield ada, bob


def visit(client: TestClient, candidate: int, version: int = 1, **more: object) -> tuple[str, list[list[int]]]:
    """What an open page is told: the text of its line, and what it has beforehand."""
    said = {"candidate": candidate, "version": version} | more
    answer = client.post("/queue/visit", json=said, headers={"HX-Request-Type": "partial"})
    assert answer.status_code == 200, answer.text
    ahead = re.search(r'data-ahead="(.*?)"', answer.text)
    assert ahead is not None
    return text(answer.text), json.loads(ahead[1])


def test_each_gets_another_and_whoever_loses_one_is_told(two: Two, three: list[int]) -> None:
    ada, bob = two
    assert ada.post("/queue/start", follow_redirects=False).headers["location"] == f"/candidates/{three[0]}"
    assert bob.post("/queue/start", follow_redirects=False).headers["location"] == f"/candidates/{three[1]}"
    # Without JavaScript the next one is taken with the decision.
    went = ada.post(f"/candidates/{three[0]}/decisions", data={"verdict": "accept", "version": "1", "key": "k"})
    assert went.url.path == f"/candidates/{three[2]}"
    assert f"Others have one that it would find: Bob #{three[1]}" in text(ada.get("/queue/done").text)

    page = text(bob.get(f"/candidates/{three[2]}").text)
    assert "Ada has this candidate" in page
    assert "Also here: Ada" in page
    assert bob.get(f"/api/v1/candidates/{three[2]}").json()["lease"]["by"] == "Ada"
    refused = bob.post(f"/api/v1/candidates/{three[2]}/lease", json={})
    assert refused.status_code == 409
    assert refused.json()["error"]["lease"]["by"] == "Ada"

    # One click, what was typed comes along; the other is told at the next sign of their page.
    typed = {"comment": "half a thought", "version": "1", "key": "k2", "rating": "4", "reasons": ["style"]}
    taken = bob.post(f"/candidates/{three[2]}/take", data=typed)
    assert "half a thought" in taken.text
    assert "Ada has this candidate" not in text(taken.text)
    assert ada.get(f"/queue/held?candidate={three[2]}").json() == {"held": True}
    assert bob.get(f"/queue/held?candidate={three[2]}").json() == {"held": False}
    told, _ = visit(ada, three[2], had=True)
    assert "Bob took this candidate over from you less than a minute ago." in told
    assert "Bob has this candidate" in visit(ada, three[2])[0]
    assert "Take it over" in told

    assert ada.post(f"/api/v1/candidates/{three[2]}/lease", json={"take_over": True}).json()["lease"]["by"] == "Ada"
    assert ada.delete(f"/api/v1/candidates/{three[2]}/lease").status_code == 204
    assert ada.get(f"/api/v1/candidates/{three[2]}").json()["lease"] is None


def test_a_late_decision_counts_and_a_second_one_gets_both_texts(two: Two, three: list[int]) -> None:
    ada, bob = two
    lease = ada.post("/api/v1/queue/next").json()["lease"]
    bob.post(f"/api/v1/candidates/{three[0]}/lease", json={"take_over": True})
    said = {"verdict": "accept", "version": 1, "key": "a", "comment": "Ada's", "lease": lease["number"]}
    decided = ada.post(f"/api/v1/candidates/{three[0]}/decisions", json=said)
    late = bob.post(f"/api/v1/candidates/{three[0]}/decisions", json=said | {"key": "b", "comment": "Bob's"})

    assert decided.json()["late"] is True
    assert late.status_code == 409
    error = late.json()["error"]
    assert (error["yours"]["comment"], error["theirs"]["decision"]["comment"]) == ("Bob's", "Ada's")
    assert set(error["theirs"]["texts"]) == {"script", "diff"}
    told, _ = visit(bob, three[0])
    assert "Ada decided on it while you looked (accept): it is version 2 and accepted now." in told
    again = ada.post(f"/api/v1/candidates/{three[0]}/decisions", json=said | {"key": "a2"}).json()["error"]["message"]
    assert "was changed by you, elsewhere (accept)" in again
    # Nobody edited but bob: there is nothing to bring together.
    edit = {"version": "1", "key": "e", "edited_script": "import libcst\n"}
    met = text(bob.post(f"/candidates/{three[0]}/edit", data=edit).text)
    assert "Decided while you edited" in met
    assert ("The text was not changed" in met, "The diff is empty" in met) == (True, False)
    # The page says the same, around what was typed.
    form = {"verdict": "reject", "version": "1", "key": "c", "comment": "Bob's"}
    page = bob.post(f"/candidates/{three[0]}/decisions", data=form)
    assert page.status_code == 409
    assert "Your reject was not stored. Candidate" in text(page.text)
    assert "Bob&#39;s" in page.text
    assert "Ada&#39;s" in page.text


def test_a_page_has_what_comes_next_to_itself_until_it_is_left(two: Two, three: list[int]) -> None:
    ada, bob = two
    assert visit(ada, three[0])[1] == []
    assert bob.post("/api/v1/queue/next").json()["candidate"]["id"] == three[1]
    assert ada.get(f"/candidates/{three[0]}/next").url.path == f"/candidates/{three[2]}"
    here = text(bob.get("/queue").text)
    assert f"Ada on #{three[0]}" in here
    assert f"you on #{three[1]}" in here
    # A tab that is closed says so by itself, with the origin that the guard asks for.
    beacon = {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}
    left = json.dumps({"candidate": three[0], "dealt": []})
    assert ada.post("/queue/leave", content=left, headers=beacon).status_code == 403
    assert ada.post("/queue/leave", content=left, headers={"Content-Type": "application/json"}).status_code == 204
    assert [one["by"] for one in bob.get("/api/v1/presence").json()["present"]] == ["Bob"]


def test_what_is_sent_comes_first_and_comes_back(two: Two, three: list[int]) -> None:
    ada, bob = two
    said = {"to": "Bob", "sentence": "Please look at the second hunk"}
    assert "Sent to Bob" in text(ada.post(f"/candidates/{three[2]}/turns", data=said).text)
    for sent in ({"to": "Bob"}, {"to": "Eve", "sentence": "x"}):
        assert ada.post(f"/api/v1/candidates/{three[2]}/turns", json=sent).status_code == 422

    assert "Ada asks" in text(bob.get("/queue").text)
    assert bob.post("/queue/start", follow_redirects=False).headers["location"] == f"/candidates/{three[2]}"
    page = text(bob.get(f"/candidates/{three[2]}?q=turn:me").text)
    assert "Please look at the second hunk" in page
    found = bob.get("/api/v1/candidates?q=turn:me").json()["candidates"]
    assert [one["id"] for one in found] == [three[2]]
    with pytest.raises(BadInputError, match="no release can keep"):
        releases.parse_filter("turn:me")

    bob.post(f"/candidates/{three[2]}/decisions?q=turn:me", data={"verdict": "accept", "version": "1", "key": "k"})
    assert bob.get("/api/v1/turns").json()["waiting"] == []
    assert "Bob decided (accept)" in text(ada.get("/queue").text)
    (back,) = ada.get("/api/v1/turns").json()["back"]
    assert ada.post(f"/api/v1/turns/{back['id']}/read").json()["turn"]["verdict"] == "accept"
    assert ada.get("/api/v1/turns").json()["back"] == []
    assert bob.post(f"/turns/{back['id']}/read").status_code == 404


def test_one_person_alone_sees_nothing_of_it(client: TestClient, three: list[int]) -> None:
    page = client.get(f"/candidates/{three[0]}").text
    assert "lease.js" not in page
    assert 'id="turn"' not in page
    assert 'id="here"' not in client.get("/queue").text
