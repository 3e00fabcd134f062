"""One table of keys: whatever the pages bind is in it, and whatever is in it is bound."""

import gzip
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.candidates import FINDING_CODES
from app.checks import CHECKS
from app.web.keys import KEYS
from app.web.render import STATIC, TEMPLATES

_BOUND = re.compile(r'data-key="([^"]+)"')
# These have no button: the scripts name them in their `actions`, or handle the keys that a page cannot give away.
_FIXED = {"Esc", "Ctrl+K"}
_ACTIONS = {
    "".join(name)
    for path in ("app.js", "review.js")
    for block in re.findall(r"actions(?: = |, )\{(.*?)\n\}", (STATIC / path).read_text(), re.DOTALL)
    # Also those that a list names, whose file comes with the first of them.
    for name in re.findall(r'^  "?([\w-]+)"?:|"([\w-]+)"(?=[^][]*\]\.map)', block, re.MULTILINE)
}


def bound(client: TestClient, path: str) -> set[str]:
    return set(_BOUND.findall(client.get(path).text))


def test_the_review_page_binds_every_key_of_the_table(client: TestClient, three: list[int]) -> None:
    table = [key for key in KEYS.values() if key.where in {"review", "everywhere"} and key.key not in _FIXED]
    buttons = {key.key for key in table if key.action not in _ACTIONS}

    assert bound(client, f"/candidates/{three[0]}") == buttons | set("123456789")
    assert {key.action for key in KEYS.values()} >= _ACTIONS


def test_every_key_that_a_page_binds_is_in_the_table(client: TestClient, three: list[int]) -> None:
    known = {key.key for key in KEYS.values()} | set("123456789")

    for path in ("/queue", f"/candidates/{three[0]}", f"/candidates/{three[0]}/edit", "/queue/done", "/imports"):
        assert bound(client, path) <= known, path


def test_the_sheet_and_the_tooltips_say_what_the_table_says(client: TestClient, three: list[int]) -> None:
    page = client.get(f"/candidates/{three[0]}").text

    for key in KEYS.values():
        assert f"<kbd>{key.key}</kbd>" in page
    assert 'title="Flag for a second look (f)"' in page


def test_no_key_decides_that_a_slip_of_the_hand_can_hit() -> None:
    decides = {KEYS[action].key for action in ("accept", "reject", "edit", "skip", "flag", "undo")}

    assert decides.isdisjoint({"Backspace", "Delete", "Enter", "Tab", " ", "ArrowLeft", "ArrowRight"})


def test_the_finding_filter_suggests_what_the_checks_can_say() -> None:
    sources = {Path(check.__code__.co_filename) for check in CHECKS}
    codes = {code for path in sources for code in re.findall(r'Finding\(\s*"([a-z_]+)"', path.read_text())}

    assert codes <= set(FINDING_CODES)


def test_no_template_or_script_names_another_host() -> None:
    for path in [*TEMPLATES.glob("*.html"), *STATIC.glob("*.js"), *STATIC.glob("*.css")]:
        assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", path.read_text()) == [], path.name


def test_a_person_changes_a_key_and_every_page_follows(client: TestClient, three: list[int]) -> None:
    answer = client.post("/preferences", data={"letters": "on", "accept": "v", "skip": ""}, follow_redirects=False)
    page = client.get(f"/candidates/{three[0]}").text

    assert answer.status_code == 303
    assert 'title="Accept (v)" data-key="v"' in page
    assert 'title="Skip"' in page
    assert 'data-key="s"' not in page
    client.post("/preferences", data={"as_it_came": "yes"})
    assert 'title="Accept (a)" data-key="a"' in client.get(f"/candidates/{three[0]}").text


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("accept", "x", "is the key of “Reject”"),
        ("accept", "3", "count reasons"),
        ("accept", "yes", "is no key"),
        ("accept", "g", "begins like"),
        ("palette", "p", "no field"),
    ],
)
def test_a_key_that_cannot_be_is_refused_in_a_sentence(client: TestClient, name: str, key: str, said: str) -> None:
    answer = client.post("/preferences", data={"letters": "on", name: key})

    assert answer.status_code == 422
    assert said in answer.text
    assert "Saved" not in client.get("/preferences").text


def test_without_letters_no_page_binds_a_key(client: TestClient, three: list[int]) -> None:
    client.post("/preferences", data={})

    assert bound(client, f"/candidates/{three[0]}") == set()


def test_what_a_browser_runs_before_the_first_decision_is_small(client: TestClient, three: list[int]) -> None:
    page = client.get(f"/candidates/{three[0]}").text
    scripts = re.findall(r'<script defer src="([^"]+)"', page)
    sizes = [len(gzip.compress(client.get(address).content, 5)) for address in scripts]

    assert len(scripts) == 4
    assert sum(sizes) <= 25_000
    assert b"// " not in client.get("/static/review.js").content.splitlines()[0]
