"""What a candidate yields, on its page and in the API: the very texts that leave, and what a person says of them."""

import hashlib
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic_core
import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from app import projects
from app.db import Database
from app.main import create_app
from app.models import Verdict
from app.projects import FileKind
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import DIFF, SCRIPT, line
from tests.releasing import Desk
from tests.test_tokens import as_bytes
from tests.web.pages import HTMX, decide, hidden, live_parts, text

Json = dict[str, Any]
SECRET = f'{SCRIPT}\nKEY = "{"AKIA" + "IOSFODNN7EXAMPLE"}"\n'
OTHER = SCRIPT.replace('"b"', '"c"')


@pytest.fixture
def desk(db: Database, settings: Settings, tmp_path: Path) -> Desk:
    return Desk(db, settings, tmp_path)


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    app = create_app(desk.settings, desk.db)
    with TestClient(app, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False) as made:
        yield made


def examples(client: TestClient, number: int) -> Json:
    answer = client.get(f"/api/v1/candidates/{number}/examples")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def example(client: TestClient, number: int, task: str = "scaffold", objective: str = "sft") -> Json:
    [found] = [
        one for one in examples(client, number)["examples"] if (one["task"], one["objective"]) == (task, objective)
    ]
    return dict(found)


def fragment(client: TestClient, number: int, path: str = "") -> str:
    answer = client.get(f"/candidates/{number}/examples{path}", headers=HTMX)
    assert answer.status_code == 200, answer.text
    return answer.text


def send(client: TestClient, number: int, one: Json, gate: str = "left_out", **more: Any) -> Any:
    body = {"gate": gate, "in_force": True, "digest": one["digest"]} | more
    return client.post(f"/api/v1/candidates/{number}/examples/{one['id']}/rulings", json=body)


def post(client: TestClient, number: int, one: Json, gate: str = "left_out", **more: Any) -> Any:
    """The form, by htmx where `headers` says so."""
    headers = more.pop("headers", {})
    form = {"gate": gate, "in_force": "yes", "digest": one["digest"]} | more
    return client.post(f"/candidates/{number}/examples/{one['id']}/rulings", data=form, headers=headers)


def drawn(page: str) -> list[str]:
    """The texts on the page, as they were before they were drawn."""
    found = []
    page = re.sub(r"<summary>.*?</summary>", "", page)  # "1,494 more characters" of a very long line
    for block in re.findall(r'<div class="diff text">(.*?)</div></div></div>', page, re.DOTALL):
        lines = re.findall(r'<div class="pl">(.*?)</div>', block + "</div></div>", re.DOTALL)
        found.append(html.unescape("\n".join(re.sub(r"<[^>]*>", "", one) for one in lines)))
    return found


# ------------------------------------------------------------------------------------------------ what is shown


def test_what_is_shown_is_to_the_letter_what_a_release_holds(desk: Desk, client: TestClient) -> None:
    desk.take()
    numbers = [row.id or 0 for row in desk.candidates()]
    desk.accept_all()
    shown = {number: examples(client, number) for number in numbers}
    release = desk.release()

    held = {one["sha256"]: one for one in release.lineage().values()}
    rows = release.rows()
    lines = {row for path in (release.folder / "examples").rglob("*.jsonl") for row in path.read_bytes().splitlines()}
    n_compared = 0
    for number, told in shown.items():
        for one in told["examples"]:
            raw = pydantic_core.to_json({"id": one["id"], **one["values"]})
            assert hashlib.sha256(raw).hexdigest() == one["digest"]
            name = f"{one['role']}/{one['task']}/{one['objective']} {one['id']}"
            if one["holds"] or name not in rows:
                assert name not in rows
                continue
            assert raw in lines
            assert held[one["digest"]]["candidate"] == number
            assert rows[name]["split"] == one["split"]
            n_compared += 1
    assert n_compared == len(rows) > 100
    # Only what must know the other candidates may hold back more than was told here.
    told_of = {(number, one["id"]): one for number, told in shown.items() for one in told["examples"]}
    for row in release.held:
        if row["id"] is not None:
            gates = {gate["gate"] for gate in row["gates"]}
            alone = {gate["gate"] for gate in told_of[row["candidate"], row["id"]]["holds"]}
            assert alone <= gates <= alone | {"near_duplicate", "exact_duplicate"}


def test_the_texts_on_the_page_are_the_columns_to_the_letter(desk: Desk, client: TestClient) -> None:
    desk.take()
    seen: set[str] = set()
    for row in desk.candidates()[::3]:
        for one in examples(client, row.id or 0)["examples"]:
            name = f"{one['role']}/{one['task']}/{one['objective']}"
            if name in seen:
                continue
            seen.add(name)
            values = [text for value in one["values"].values() for text in (value if type(value) is list else [value])]
            wanted = [text.removesuffix("\n") for text in values if isinstance(text, str)]
            assert drawn(fragment(client, row.id or 0, f"/{one['id']}?whole=1")) == wanted
    assert len(seen) >= 12


def test_what_nobody_decided_on_shows_what_it_would_yield(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())

    told = examples(client, number)
    assert told["supposed"] is True
    assert {(one["role"], one["task"], one["objective"]) for one in told["examples"]} == {
        ("llm", "scaffold", "sft"), ("llm", "scaffold", "unpaired"), ("retriever", "search", "contrastive"),
        ("core_predictor", "core", "classification"),
    }  # fmt: skip
    assert "If it is accepted, 3 examples leave and 1 is held back." in text(fragment(client, number))
    desk.decide(number)
    assert examples(client, number)["supposed"] is False
    assert "Accepted: 3 examples leave and 1 is held back." in text(fragment(client, number))


def test_a_rejected_candidate_yields_its_label_alone(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())
    desk.decide(number, Verdict.REJECT)

    [one] = examples(client, number)["examples"]
    assert (one["objective"], one["values"]["label"]) == ("unpaired", False)
    assert "Rejected: 1 example leaves." in text(fragment(client, number))


def test_an_edit_is_what_leaves(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())
    desk.decide(number, Verdict.EDIT, edited=("script", OTHER))

    one = example(client, number)
    assert (one["answer"], one["values"]["completion"]) == ("edited_script", OTHER)
    assert OTHER.strip() in drawn(fragment(client, number, f"/{one['id']}"))[1]


def test_what_is_missing_says_why(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line(successful_script=None, successful_script_hash="-0x1f", successful_diff_summary="None."))

    missing = {(one["task"], one["objective"]): one["gate"] for one in examples(client, number)["missing"]}
    assert missing["scaffold", "sft"] == "hash_only"
    assert missing["search", "contrastive"] in {"no_diff", "not_a_diff"}
    page = text(fragment(client, number))
    assert "Only a hash of the script" in page
    assert "missing" in page


def test_near_duplicates_are_named_with_links(desk: Desk, client: TestClient) -> None:
    body = "".join(f"-    old_{n} = {n}\n+    new_{n} = {n + 1}\n" for n in range(12))
    diff = f"--- a/x.py\n+++ b/x.py\n@@ -1,12 +1,12 @@\n{body}"
    first, second = desk.read(*(line(f"Fix {n}", successful_diff_summary=diff) for n in (1, 2)))
    desk.work()

    assert examples(client, first)["near"] == [second]
    assert f'<a href="/candidates/{second}">#{second}</a>' in fragment(client, first)


@pytest.mark.parametrize(
    "plan",
    [
        {"by": "issue", "seed": 3},
        {"by": "repository", "seed": 4},
        {"by": "time", "validation_from": "2025-06-01T00:00:00Z", "test_from": "2026-01-01T00:00:00Z"},
    ],
)
def test_the_split_told_beforehand_is_the_one_it_goes_to(desk: Desk, client: TestClient, plan: Json) -> None:
    changes = {word: f"--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-{word}_one\n+{word}_two\n" for word in "abcdef"}
    lines = [line(f"Fix {word}", successful_diff_summary=diff) for word, diff in changes.items()]
    numbers = [number for one in lines for number in desk.read(one)]
    with desk.db.write() as session:
        projects.change_settings(session, desk.project, {"split": plan})
    told = {number: examples(client, number) for number in numbers}
    assert {one["dealt"] for one in told.values()} == {"digest" if plan["by"] == "issue" else plan["by"]}

    desk.accept_all()
    splits = desk.release().splits()
    assert splits == {number: told[number]["split"] for number in splits}
    assert splits


def test_what_a_block_list_names_is_held_back_and_benchmarks_are_told_of(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line("See https://github.com/pallets/flask/issues/4045"))
    assert "benchmarks" not in text(fragment(client, number))
    with desk.db.write() as session:
        for kind, content in ((FileKind.BLOCK_LIST, b"pallets/flask#4045\n"), (FileKind.BENCHMARK, b'"words"\n')):
            projects.add_file(session, desk.project, desk.ann, kind, f"{kind}.txt", content, now=NOON)

    assert [hold["gate"] for hold in example(client, number)["holds"]] == ["contaminated"]
    assert "A release also compares its words with the benchmarks of the project." in text(fragment(client, number))


def test_tokens_are_counted_against_the_models_of_the_project(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())
    with desk.db.write() as session:
        given = projects.add_file(session, desk.project, desk.ann, FileKind.TOKENIZER, "t.json", as_bytes(), now=NOON)
        budgets: list[Json] = [
            {"role": "llm", "name": "small", "question_tokens": 20, "answer_tokens": 5_000},
            {"role": "llm", "name": "counted", "total_tokens": 9_000, "tokenizer": given.digest},
        ]
        projects.change_settings(session, desk.project, {"budgets": budgets})

    small, counted = example(client, number)["tokens"]
    assert (small["model"], small["exact"], counted["exact"]) == ("small", False, True)
    assert [part["over"] for part in small["parts"]] == [True, False, False]
    assert example(client, number)["holds"][0]["gate"] == "over_budget"
    page = fragment(client, number)
    seen = text(page)
    assert "over budget" in seen
    assert "for small, estimated" in seen
    assert "for counted, exact" in seen
    assert '<meter min="0"' in page
    assert "names no target model of retriever, core_predictor" in seen


def test_hostile_texts_are_text(desk: Desk, client: TestClient) -> None:
    hostile = "<script>alert(1)</script> {{ 7 * 7 }} \u202eabc\u202c </textarea>"
    [number] = desk.read(line(hostile, successful_script=f"{SCRIPT}# {hostile}\n", patch_source=hostile))
    one = example(client, number)

    for page in (fragment(client, number), fragment(client, number, f"/{one['id']}")):
        assert live_parts(page) == []
    page = fragment(client, number, f"/{one['id']}")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }}" in page
    assert "U+202E" in page
    assert "\u202e" not in page


def test_a_long_text_is_clipped_until_it_is_asked_for_whole(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line(successful_script=SCRIPT + "# more\n" * 5_000))
    one = example(client, number)

    page = fragment(client, number, f"/{one['id']}")
    assert len(drawn(page)[1]) == 20_000
    assert f"Show all: {len(one['values']['completion']) - 20_000:,} more characters" in text(page)
    assert drawn(fragment(client, number, f"/{one['id']}?whole=1"))[1] == one["values"]["completion"].rstrip("\n")
    # Without scripts the link leads to a page that has it all.
    assert drawn(client.get(f"/candidates/{number}/examples/{one['id']}").text)[1].endswith("# more")


def test_the_review_page_brings_none_of_it_until_it_is_opened(desk: Desk, client: TestClient) -> None:
    first, _ = desk.read(line("Fix a"), line("Fix b"))
    seen: list[str] = []

    def note(*args: Any) -> None:
        seen.append(str(args[2]))

    event.listen(Engine, "before_cursor_execute", note)
    page = client.get(f"/candidates/{first}").text
    decide(client, first, "accept")
    event.remove(Engine, "before_cursor_execute", note)

    assert f'hx-get="/candidates/{first}/examples"' in page
    assert f'<a href="/candidates/{first}/examples">' in page
    assert not [statement for statement in seen if "released" in statement or "ruling" in statement]


def test_a_part_of_another_candidate_leads_there(desk: Desk, client: TestClient) -> None:
    first, second = desk.read(line("Fix a"), line("Fix b"))
    body = {"other": second, "version": 1, "key": "k"}
    lead = client.post(f"/api/v1/candidates/{first}/join", json=body).json()
    assert lead["releases"] == []
    numbers = {row.id for row in desk.candidates()}
    [part] = {first, second} - numbers
    [whole] = numbers

    assert client.get(f"/candidates/{part}/examples").headers["location"] == f"/candidates/{whole}/examples"
    told = examples(client, part)
    assert (told["joined_with"], told["examples"]) == (whole, [])


@pytest.mark.parametrize("path", ["/candidates/99/examples", "/api/v1/candidates/99/examples"])
def test_what_is_not_there_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
    assert client.get(f"/candidates/{10**30}/examples").status_code == 404


def test_an_unknown_example_is_not_found(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())

    assert client.get(f"/candidates/{number}/examples/none", headers=HTMX).status_code == 404
    assert send(client, number, {"id": "none", "digest": ""}).status_code == 404


def test_the_api_describes_them(client: TestClient) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]

    assert "get" in paths["/api/v1/candidates/{candidate_id}/examples"]
    body = paths["/api/v1/candidates/{candidate_id}/examples/{example_id}/rulings"]["post"]["requestBody"]
    assert set(body["content"]["application/json"]["schema"]["required"]) == {"gate", "in_force", "digest"}


# ------------------------------------------------------------------------------------------------ words of people


def test_an_example_is_left_out_and_taken_in_again(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())
    desk.decide(number)

    left = send(client, number, example(client, number), reason="Too trivial.").json()["example"]
    assert (left["left_out"], left["left_out_by"]["reason"], left["split"]) == (True, "Too trivial.", None)
    assert [hold["gate"] for hold in left["holds"]] == ["left_out"]
    assert "Left out by" in text(fragment(client, number))
    assert "left_out" in desk.release().held_by(number)

    again = send(client, number, left, in_force=False).json()["example"]
    assert (again["left_out"], again["holds"]) == (False, [])
    assert f"llm/scaffold/sft {again['id']}" in desk.release().rows()


def test_what_was_left_out_stays_out_and_comes_in_again_whatever_its_texts(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())
    desk.decide(number)
    send(client, number, example(client, number))
    desk.decide(number, Verdict.EDIT, edited=("script", OTHER))

    edited = example(client, number)
    assert edited["left_out"] is True
    assert send(client, number, edited, in_force=False).json()["example"]["left_out"] is False


def test_a_gate_is_passed_by_name_and_reason_for_these_texts_alone(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line(successful_script=SECRET))
    desk.decide(number)
    one = example(client, number)
    assert [hold["gate"] for hold in one["holds"]] == ["secret"]

    passed = send(client, number, one, "secret", reason="The key of AWS's own manual.").json()["example"]
    assert (passed["holds"], passed["passed"][0]["reason"]) == ([], "The key of AWS's own manual.")
    release = desk.release()
    [row] = [row for row in release.lineage("llm/scaffold/sft").values() if row["candidate"] == number]
    assert [word["gate"] for word in row["passed"]] == ["secret"]

    desk.decide(number, Verdict.EDIT, edited=("script", SECRET.replace('"b"', '"c"')))
    edited = example(client, number)
    assert ([hold["gate"] for hold in edited["holds"]], edited["passed"]) == (["secret"], [])
    assert "was let pass, for other texts than these," in text(fragment(client, number))
    assert send(client, number, edited, "secret", in_force=False).status_code == 200
    assert "was let pass" not in text(fragment(client, number))


@pytest.mark.parametrize(
    ("gate", "more", "status"),
    [
        ("secret", {}, 422),  # without a reason
        ("secret", {"reason": "  "}, 422),
        ("secret", {"reason": "x" * 2_001}, 422),
        ("secret", {"reason": "a\x00b"}, 422),
        ("secret", {"reason": "ok", "digest": "0" * 64}, 409),  # other texts
        ("secret", {"reason": "ok", "digest": ""}, 409),
        ("secret", {"in_force": False}, 409),  # there is nothing to take back
        ("left_out", {"in_force": False}, 409),
        ("bidi", {"reason": "ok"}, 409),  # it does not hold this one back
        ("empty", {"reason": "ok"}, 422),  # nobody can let it pass
        ("no_such_gate", {"reason": "ok"}, 422),
        ("secret", {"reason": 7}, 422),
        ("secret", {"reason": "ok", "by": "ann"}, 422),
    ],
)
def test_a_word_that_cannot_be_is_refused_with_a_sentence(
    desk: Desk, client: TestClient, gate: str, more: Json, status: int
) -> None:
    [number] = desk.read(line(successful_script=SECRET))
    before = examples(client, number)

    answer = send(client, number, example(client, number), gate, **more)

    assert answer.status_code == status
    assert answer.json()["error"]["message"].endswith((".", ")"))
    assert examples(client, number) == before


def test_the_same_word_twice_is_told(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())
    one = example(client, number)

    assert send(client, number, one).status_code == 200
    assert send(client, number, one).status_code == 409


def test_a_near_duplicate_may_pass_before_a_release_hears_of_it(desk: Desk, client: TestClient) -> None:
    body = "".join(f"-    old_{n} = {n}\n+    new_{n} = {n + 1}\n" for n in range(12))
    diff = f"--- a/x.py\n+++ b/x.py\n@@ -1,12 +1,12 @@\n{body}"
    numbers = desk.read(
        *(line(f"Fix {n}", successful_diff_summary=diff, successful_script=f"{SCRIPT}# {n}\n") for n in (1, 2))
    )
    desk.work()
    desk.accept_all()
    assert "near_duplicate" in desk.release().held_by(numbers[1])

    page = fragment(client, numbers[1])
    assert 'name="gate" value="near_duplicate"' in page
    one = example(client, numbers[1])
    assert send(client, numbers[1], one, "near_duplicate", reason="Both are wanted.").status_code == 200
    assert desk.release().held_by(numbers[1]) == {}


# ------------------------------------------------------------------------------------------------ forms


def test_forms_work_without_scripts(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())
    one = example(client, number)

    page = client.get(f"/candidates/{number}/examples?q=fix").text
    assert f'action="/candidates/{number}/examples/{one["id"]}/rulings?q=fix"' in page
    answer = post(client, number, one)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/candidates/{number}/examples#yield-{one['id']}"
    assert "Take in again" in client.get(f"/candidates/{number}/examples").text
    assert post(client, number, one, in_force="").status_code == 303
    assert "Take in again" not in client.get(f"/candidates/{number}/examples").text


def test_by_htmx_only_what_the_word_changes_is_put_in(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())
    one = example(client, number)

    answer = post(client, number, one, headers=HTMX)

    assert answer.status_code == 200
    assert answer.headers["HX-Reselect"] == f"#word-{one['id']}"
    assert re.search(r'id="yields-sum"\s+hx-swap-oob="true"', answer.text)
    assert 'id="n-llm-scaffold-sft" hx-swap-oob="true"' in answer.text
    assert "hx-swap-oob" not in fragment(client, number)
    assert "If it is accepted, 2 examples leave and 2 are held back." in text(answer.text)


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_changed_texts_are_told_with_what_is_there_now_and_nothing_typed_is_lost(
    desk: Desk, client: TestClient, headers: dict[str, str]
) -> None:
    [number] = desk.read(line(successful_script=SECRET))
    seen = example(client, number)
    desk.decide(number, Verdict.EDIT, edited=("script", SECRET.replace('"b"', '"c"')))

    answer = post(client, number, seen, "secret", reason='A <fixture> "key".', headers=headers)

    assert answer.status_code == 409
    assert "have changed since you saw them" in text(answer.text)
    assert 'value="A &lt;fixture&gt; &#34;key&#34;."' in answer.text
    assert example(client, number)["digest"] in answer.text
    assert seen["digest"] not in answer.text
    if headers:
        assert (answer.headers["HX-Retarget"], answer.headers["HX-Reselect"]) == ("#yields-body", "#yields-body")
    assert example(client, number)["passed"] == []


def test_a_field_that_the_form_does_not_have_is_refused(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())

    assert post(client, number, example(client, number), by="ann").status_code == 422


# ------------------------------------------------------------------------------------------------ recall


def test_whoever_changes_a_decision_is_told_which_releases_hold_it(desk: Desk, client: TestClient) -> None:
    number, other = desk.read(line("Fix a"), line("Fix b", successful_diff_summary=DIFF.replace("b", "c")))
    desk.decide(number)
    first = desk.release().number
    desk.decide(other)
    second = desk.release().number
    assert client.get(f"/api/v1/candidates/{number}").json()["releases"] == [first, second]
    assert client.get(f"/api/v1/candidates/{other}").json()["releases"] == [second]

    page = decide(client, number, "reject", "?status=accepted")
    sentence = f"Releases {first} and {second} hold examples of it as it was decided before"
    assert sentence in text(client.get(page.headers["location"]).text)

    undone = client.post("/api/v1/undo", json={"key": "u1"}).json()
    assert undone["releases"] == [first, second]
    # It is decided again as the releases hold it.
    assert sentence not in text(client.get(f"/candidates/{number}?last={number}").text)

    body = {"verdict": "reject", "version": 4, "key": "d1"}
    assert client.post(f"/api/v1/candidates/{number}/decisions", json=body).json()["releases"] == [first, second]


def test_at_the_end_of_a_filter_the_releases_are_told_too(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())
    desk.decide(number)
    desk.release()

    page = client.get(f"/candidates/{number}?status=accepted").text
    form = {"verdict": "reject", "version": "2", "key": hidden(page, "key")}
    partial = client.post(f"/candidates/{number}/decisions?status=accepted", data=form, headers=HTMX)
    assert "Release 1 holds examples of it as it was decided before" in text(partial.text)
    client.post("/api/v1/undo", json={"key": "u1"})

    plain = decide(client, number, "reject", "?status=accepted")
    assert "Release 1 holds examples of it" in text(client.get(plain.headers["location"]).text)


def test_a_first_decision_has_no_release_to_tell_of(desk: Desk, client: TestClient) -> None:
    [number] = desk.read(line())

    body = {"verdict": "accept", "version": 1, "key": "d1"}
    assert client.post(f"/api/v1/candidates/{number}/decisions", json=body).json()["releases"] == []
    assert json.loads(client.get(f"/api/v1/candidates/{number}").text)["releases"] == []
