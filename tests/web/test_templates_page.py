"""Prompt templates in the browser and as JSON: edit, compare, fill with a candidate, go back."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app import prompting
from app.db import Database
from app.recipes.prompt import ABSENT, KINDS, shipped
from app.settings import Settings
from tests.logs import read_issues
from tests.web.pages import HTMX, decide, hidden, live_parts, text

SHORT = "Do it.\n{issue}\n{files}\n"


def textarea(page: str) -> str:
    """The text in the editor, as a browser takes it: without the first line end."""
    found = re.search(r'<textarea id="text"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def save(client: TestClient, typed: str = SHORT, name: str = "scaffold", **more: str) -> Any:
    page = client.get(f"/templates/{name}").text
    form = {"text": typed, "comment": "", "seen": hidden(page, "seen"), "candidate": "", **more}
    return client.post(f"/templates/{name}", data=form, follow_redirects=False)


def in_use(db: Database, project_id: int, name: str = "scaffold") -> str:
    with db.read() as session:
        return prompting.get_in_use(session, project_id, name).label


# ------------------------------------------------------------------------------------------------ pages


def test_the_list_names_every_template_and_what_is_in_use(client: TestClient) -> None:
    save(client)
    page = client.get("/templates").text

    for name in KINDS:
        assert f'href="/templates/{name}"' in page
    assert "scaffold/p1 project" in text(page)
    assert "repair/1 shipped" in text(page)
    assert 'aria-current="page">Templates' in page


@pytest.mark.parametrize("name", KINDS)
def test_a_page_shows_the_text_and_each_gap(client: TestClient, name: str) -> None:
    page = client.get(f"/templates/{name}").text

    assert textarea(page) == shipped()[name].text
    for gap, says in KINDS[name].gaps.items():
        assert f"{{{gap}}} there" in text(page)
        assert says in text(page)
    assert "No candidate here gives a prompt of this kind yet." in text(page)
    assert not live_parts(page)


def test_a_page_is_filled_with_a_candidate(client: TestClient, three: list[int]) -> None:
    first = client.get("/templates/scaffold").text
    named = client.get(f"/templates/scaffold?candidate={three[2]}").text

    assert f"Filled with candidate {three[0]}" in text(first)
    assert "### Issue Fix the parser" in text(first)
    assert f"### Project style {ABSENT}" in text(first)
    assert f"Filled with candidate {three[2]}" in text(named)
    assert "### Issue Drop the cache" in text(named)
    assert f'value="{three[2]}"' in named


def test_next_goes_from_one_accepted_candidate_to_the_next(client: TestClient, three: list[int]) -> None:
    for number in three[1:]:
        decide(client, number, "accept")
    form = {"text": SHORT, "comment": "mine", "seen": "scaffold/2", "step": "next"}
    second = client.post("/templates/scaffold/preview", data=form | {"candidate": str(three[1])})
    again = client.post("/templates/scaffold/preview", data=form | {"candidate": str(three[2])})

    assert f"Filled with candidate {three[2]}" in text(second.text)
    assert f"Filled with candidate {three[1]}" in text(again.text)
    assert textarea(again.text) == SHORT
    assert ">mine</textarea>" in again.text


def test_saving_puts_a_version_to_use(client: TestClient, db: Database, project_id: int) -> None:
    answer = save(client, SHORT.replace("\n", "\r\n"), comment="shorter", candidate="1")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/templates/scaffold?candidate=1&done=1"
    assert in_use(db, project_id) == "scaffold/p1"
    page = client.get("/templates/scaffold?done=1").text
    assert "Saved, and in use from now on." in text(page)
    assert textarea(page) == SHORT
    assert "scaffold/p1 in use shorter" in text(page)
    assert "Against scaffold/2" in text(page)
    assert "{phase} left out" in text(page)


def test_saving_what_is_in_use_says_that_nothing_changed(client: TestClient, db: Database, project_id: int) -> None:
    answer = save(client, shipped()["scaffold"].text)

    assert answer.headers["location"].endswith("done=0")
    assert "Nothing was changed" in text(client.get(answer.headers["location"]).text)
    assert in_use(db, project_id) == "scaffold/2"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("No gap <b>here</b>", "cannot do without {issue}"),
        ("{issue} {isue}", "Line 1 has a gap {isue}"),
        ("{issue}" + "x" * 100_000, "100,000 is the most"),
    ],
)
def test_what_cannot_be_saved_stays_in_the_editor(
    client: TestClient, db: Database, project_id: int, three: list[int], typed: str, sentence: str
) -> None:
    answer = save(client, typed, comment="why", candidate=str(three[1]))

    assert answer.status_code == 422
    assert sentence in text(answer.text)
    assert textarea(answer.text) == typed
    assert ">why</textarea>" in answer.text
    assert f'value="{three[1]}"' in answer.text
    assert in_use(db, project_id) == "scaffold/2"


def test_a_version_that_came_between_is_shown_and_then_saved_over(
    client: TestClient, db: Database, project_id: int
) -> None:
    save(client)
    refused = save(client, "Mine.\n{issue}\n", seen="scaffold/2")

    assert refused.status_code == 409
    assert "scaffold/p1 was put to use after you opened scaffold/2" in text(refused.text)
    assert textarea(refused.text) == "Mine.\n{issue}\n"
    assert "Against scaffold/p1" in text(refused.text)
    seen = hidden(refused.text, "seen")
    assert save(client, "Mine.\n{issue}\n", seen=seen).status_code == 303
    assert in_use(db, project_id) == "scaffold/p2"


def test_typing_shows_what_it_makes_and_stores_nothing(
    client: TestClient, db: Database, project_id: int, three: list[int]
) -> None:
    form = {"text": SHORT, "comment": "", "seen": "scaffold/2", "candidate": str(three[1])}
    answer = client.post("/templates/scaffold/preview", data=form, headers=HTMX)

    assert answer.text.lstrip().startswith('<div id="filled">')
    assert "Do it. Name the reader src/x.py" in text(answer.text)
    assert in_use(db, project_id) == "scaffold/2"


@pytest.mark.parametrize(
    ("more", "status", "sentence"),
    [
        ({"text": "{issue} {oops}"}, 422, "gap {oops}"),
        ({"candidate": "9999"}, 404, "There is no candidate 9999 here."),
        ({"candidate": "2147483646"}, 404, "There is no candidate 2147483646 here."),
        ({"candidate": "seven"}, 422, "candidate"),
        ({"text": ""}, 422, "cannot do without"),
    ],
)
def test_what_is_wrong_while_typing_is_a_sentence(
    client: TestClient, more: dict[str, str], status: int, sentence: str
) -> None:
    form = {"text": SHORT, "comment": "", "seen": "scaffold/2", "candidate": "", **more}
    partial = client.post("/templates/scaffold/preview", data=form, headers=HTMX)
    whole = client.post("/templates/scaffold/preview", data=form)

    assert (partial.status_code, whole.status_code) == (status, status)
    assert partial.headers["HX-Retarget"] == "#filled"
    assert sentence in text(partial.text)
    assert textarea(whole.text) == form["text"]


def test_a_candidate_in_the_address_that_is_not_there_is_said(client: TestClient) -> None:
    answer = client.get("/templates/scaffold?candidate=77")

    assert answer.status_code == 404
    assert "There is no candidate 77 here." in text(answer.text)
    assert textarea(answer.text) == shipped()["scaffold"].text


def test_versions_are_compared_and_an_earlier_one_is_edited_on(client: TestClient) -> None:
    save(client)
    save(client, SHORT + "{style}\n")
    page = client.get("/templates/scaffold?version=p1&against=1").text

    assert textarea(page) == SHORT
    assert "Against scaffold/1" in text(page)
    assert "In the editor: scaffold/p1" in text(page)
    assert hidden(page, "seen") == "scaffold/p2"
    newest = text(client.get("/templates/scaffold").text)
    assert "Against scaffold/p1" in newest
    assert "+1 −0" in newest  # noqa: RUF001  a minus sign


def test_going_back_is_a_button_for_each_version(client: TestClient, db: Database, project_id: int) -> None:
    save(client)
    save(client, SHORT + "{style}\n")
    page = client.get("/templates/scaffold").text
    assert re.findall(r'name="version"\s+value="([^"]*)"', page) == ["scaffold/p1", "scaffold/2"]

    for label in ("scaffold/p1", "scaffold/2", "scaffold/p2"):
        answer = client.post("/templates/scaffold/use", data={"version": label})
        assert "In use from now on." in text(answer.text)
        assert in_use(db, project_id) == label
    said = text(client.get("/templates/scaffold").text)
    assert re.search(r"since when .* scaffold/p2 by local .* shipped by local .* scaffold/p1 by local", said)


def test_what_is_not_there_is_404_and_what_is_not_a_field_422(client: TestClient) -> None:
    for address in ("/templates/poem", "/templates/scaffold?version=p7", "/templates/scaffold?against=9"):
        assert client.get(address).status_code == 404
    for address in ("/templates/poem", "/templates/poem/preview", "/templates/poem/use"):
        assert client.post(address, data={"version": "poem/1"} if "use" in address else {}).status_code == 404
    assert client.post("/templates/scaffold/use", data={"version": "scaffold/p7"}).status_code == 404
    assert client.post("/templates/scaffold/use", data={"version": "scaffold/1"}).status_code == 422
    assert client.post("/templates/scaffold/use", data={}).status_code == 422
    assert client.post("/templates/scaffold", data={"text": SHORT, "reviewer": "1"}).status_code == 422


def test_markup_in_templates_logs_and_comments_is_text(client: TestClient, three: list[int]) -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)>{issue}"
    save(client, bad, comment=bad)
    for page in (client.get("/templates/scaffold").text, client.get(f"/templates/scaffold?candidate={three[0]}").text):
        assert not live_parts(page)
        assert textarea(page) == bad + "\n"


def test_a_long_prompt_is_cut_on_the_page_and_says_so(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    [number] = read_issues(db, settings, project_id, tmp_path, "Long " + "word " * 20_000)
    page = text(client.get(f"/templates/scaffold?candidate={number}").text)

    assert re.search(r"Scaffold 10\d,\d{3} characters", page)
    assert re.search(r"5\d,\d{3} more characters are not shown", page)


# ------------------------------------------------------------------------------------------------ JSON


def test_the_api_lists_shows_saves_and_goes_back(client: TestClient, db: Database, project_id: int) -> None:
    listed = client.get("/api/v1/templates").json()["templates"]
    assert [(one["name"], one["label"]) for one in listed][:2] == [
        ("scaffold", "scaffold/2"),
        ("scaffold_diff", "scaffold_diff/2"),
    ]
    assert set(listed[0]["allowed"]) == set(KINDS["scaffold"].gaps)

    made = client.post("/api/v1/templates/scaffold", json={"text": SHORT, "comment": "c", "seen": "scaffold/2"})
    assert (made.status_code, made.json()["label"], made.json()["text"]) == (200, "scaffold/p1", SHORT)
    shown = client.get("/api/v1/templates/scaffold").json()
    assert shown["gaps"] == ["issue", "files"]
    assert shown["origin"] == "project"
    assert [(one["label"], one["in_use"], one["comment"]) for one in shown["versions"]] == [
        ("scaffold/p1", True, "c"),
        ("scaffold/2", False, ""),
        ("scaffold/1", False, ""),
    ]
    assert client.get("/api/v1/templates/scaffold?version=1").json()["text"].startswith("Write the codemod")

    back = client.post("/api/v1/templates/scaffold", json={"use": "shipped"})
    assert back.json()["label"] == in_use(db, project_id) == "scaffold/2"


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({}, 422, "body"),
        ({"text": SHORT, "use": "shipped"}, 422, "body"),
        ({"text": "none"}, 422, "field text"),
        ({"text": 7}, 422, "field text"),
        ({"text": "{issue}\ud800"}, 422, None),
        ({"text": SHORT, "seen": "scaffold/1"}, 409, None),
        ({"use": "scaffold/p9"}, 404, None),
        ({"use": "scaffold/1"}, 422, "field version"),
        ({"txt": SHORT}, 422, "field txt"),
    ],
)
def test_the_api_refuses_with_a_sentence(client: TestClient, body: Any, status: int, where: str | None) -> None:
    raw, kind = json.dumps(body), {"Content-Type": "application/json"}
    answer = client.post("/api/v1/templates/scaffold", content=raw, headers=kind)

    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    if where is not None:
        assert answer.json()["error"]["where"] == where


def test_the_api_knows_no_other_template(client: TestClient) -> None:
    assert client.get("/api/v1/templates/poem").status_code == 404
    assert client.post("/api/v1/templates/poem", json={"text": SHORT}).status_code == 404
    assert "/api/v1/templates/{name}" in client.get("/api/v1/openapi.json").json()["paths"]
