"""The page of pictures: drawn without script or style, every bar a link, and the same numbers as JSON."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from starlette.testclient import TestClient

from app.db import Database
from app.models import ReleaseRow, ReleaseState
from tests.conftest import NOON
from tests.web.pages import decide, text


@pytest.fixture
def decided(client: TestClient, three: list[int]) -> list[int]:
    decide(client, three[0], "accept")
    decide(client, three[1], "reject", reasons=["style"])
    return three


def drawn(page: str, code: str) -> ElementTree.Element:
    """The picture of that name, as a tree."""
    figure = page.split(f'<figure class="picture" id="{code}"')[1].split("</figure>", maxsplit=1)[0]
    found = re.search(r"<svg viewBox.*</svg>", figure, re.DOTALL)
    assert found is not None
    return ElementTree.fromstring(found[0])


@pytest.mark.usefixtures("decided")
def test_a_bar_leads_to_its_list_and_so_does_its_number(client: TestClient) -> None:
    page = client.get("/insight?since=all").text
    bars = [(link.get("href"), link.findtext("title")) for link in drawn(page, "sources").iter("a")]

    source = "LLMCore_polish_iteration_1"
    assert bars == [
        (f"/queue?status=accepted&source={source}", f"{source}: 1 accepted"),
        (f"/queue?status=rejected&source={source}", f"{source}: 1 rejected"),
    ]
    assert f'<a href="/queue?status=accepted&amp;source={source}">1</a>' in page
    assert "50%" in text(page)


@pytest.mark.usefixtures("decided")
def test_what_is_drawn_holds_no_style_and_no_script(client: TestClient) -> None:
    page = client.get("/insight").text

    assert page.count('<svg viewBox="') > 5
    assert re.findall(r"<style|<script(?! defer src)|\sstyle=|xlink|<!--|kozea|onload", page, re.IGNORECASE) == []


def test_a_name_from_a_log_stays_text_in_a_picture(client: TestClient) -> None:
    from tests.logs import line

    name = "<script>alert(1)</script>\u202e & \"x\" 'y'"
    client.post("/api/v1/ingest?name=a.jsonl", content=line("One", patch_source=name))
    decide(client, 1, "accept")

    page = client.get("/insight").text
    assert "<script>alert" not in page
    assert [one.text for one in drawn(page, "sources").iter("title")][1] == f"{name}: 1 accepted"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("since=yesterday", "since must be a day such as 2026-11-22; it is 'yesterday'."),
        ("since=2026-11-22&until=2026-11-01", "until (2026-11-01) is before since (2026-11-22)."),
        ("by=nobody", "Nobody here is called 'nobody'."),
        ("colour=red", "These pictures have no 'colour'"),
        ("since=0001-01-01&until=9999-12-31", "until must be a day such as"),
        ("since=1971-01-01&until=9000-12-31", ""),
        ("until=1971-01-01", ""),
    ],
)
def test_a_bad_value_is_answered_on_the_page_and_in_json(client: TestClient, query: str, sentence: str) -> None:
    seen, told = client.get(f"/insight?{query}"), client.get(f"/api/v1/insight?{query}")

    assert (seen.status_code, told.status_code) == ((422, 422) if sentence else (200, 200))
    assert sentence in text(seen.text)
    assert sentence in told.json().get("error", {"message": ""})["message"]


def test_the_json_says_what_the_page_shows(client: TestClient, decided: list[int]) -> None:
    told: dict[str, Any] = client.get("/api/v1/insight", params={"since": "all"}).json()

    assert (told["decisions"], told["in_bulk"], told["left"]["pending"]) == (2, 0, len(decided) - 2)
    sources = next(one for one in told["pictures"] if one["code"] == "sources")
    assert sources["rows"][0]["accept_rate"] == 0.5
    assert sources["rows"][0]["cells"][0] == {
        "n": 1, "query": {"status": "accepted", "source": "LLMCore_polish_iteration_1"},
    }  # fmt: skip


def test_the_yield_is_that_of_the_newest_release(
    client: TestClient, db: Database, project_id: int, reviewer_id: int
) -> None:
    assert "No release yet." in text(client.get("/insight").text)
    with db.write() as session:
        for number, rows in ((1, 9), (2, 5)):
            counted = {
                "llm/scaffold/sft": {"rows": rows, "held": 1},
                "llm/repair/sft": {"rows": 2, "held": 0},
                "scorer/style/reward": {"rows": 3, "held": 4},
            }
            session.add(
                ReleaseRow(
                    project_id=project_id, number=number, name="", state=ReleaseState.FROZEN,
                    counts={"datasets": counted}, reviewer_id=reviewer_id, created_at=NOON,
                )
            )  # fmt: skip

    bars = [
        (link.get("href"), link.findtext("title")) for link in drawn(client.get("/insight").text, "yields").iter("a")
    ]
    assert sorted(bars) == [
        ("/releases/2#h-datasets", "llm: 7 rows"),
        ("/releases/2#h-datasets", "scorer: 3 rows"),
        ("/releases/2#held", "llm: 1 held back"),
        ("/releases/2#held", "scorer: 4 held back"),
    ]
