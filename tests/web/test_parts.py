"""What a candidate was put together from: shown with its reasons, taken apart and joined by hand; its patch set."""

import html
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from jinja2 import meta
from sqlmodel import select
from starlette.testclient import TestClient

from app import ingest, joining
from app.candidates import Candidate, Kind, PatchSet, PostImage
from app.db import Database
from app.models import CandidateRow, DecisionRow
from app.settings import Settings
from app.web import parts
from app.web.render import environment
from tests.conftest import noon
from tests.logs import DIFF, SCRIPT, entry
from tests.web.pages import HTMX, live_parts, text

AT = "2025-06-24T13:13:42.343293+00:00"
DRAFT = SCRIPT.replace("import libcst as cst\n", "")
ERROR = "PatchApplicationError: Failed to apply LibCST script: Error executing LibCST script string: name 'cst'"
RUN = {
    "run_id": "20250624T131342_1",
    "timestamp_utc": AT,
    "spec": {"issue_description": "Fix the parser"},
    "outcome": "success",
    "patch_history": [[DRAFT, False, 0.4, ERROR], [SCRIPT, True, 0.8, None]],
}

Reader = Callable[[str, object, Mapping[str, str]], None]


@pytest.fixture
def read(db: Database, settings: Settings, project_id: int, tmp_path: Path) -> Reader:
    """Ingest a JSON value under a name, with files beside it, and join it to what is there."""

    def one(name: str, value: object, beside: Mapping[str, str]) -> None:
        folder = tmp_path / name.replace("/", "_")
        folder.mkdir()
        path = folder / Path(name).name
        lines = value if isinstance(value, list) else [value]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        files = {}
        for below, content in beside.items():
            files[below] = folder / below.replace("/", "_")
            files[below].write_text(content)
        ingest.read_file(db, settings, project_id, ingest.Upload(path, name, files=files), now=noon)
        joining.run(db, project_id)

    return one


@pytest.fixture
def whole(read: Reader, db: Database) -> int:
    """A success entry, its run, and its patch set with the file that the diff made: the number of what stands."""
    read("success_memory.jsonl", [entry(), entry("Name the reader", successful_script="import b\n")], {})
    read("run_1.json", RUN, {})
    spec = {"issue_description": "Fix the parser", "target_files": ["src/x.py"], "operations": []}
    said = {
        "patch_set_name": "feature/auto-patch-fix-1", "commit_title": "Auto-apply <b>", "original_spec": spec,
        "validator_results_summary": "Valid=True, Score=0.80", "patch_source": "LLMCore_polish_iteration_1",
        "generation_timestamp_utc": "2025-06-24T13:13:42.343293Z", "commit_builder_version": "0.1.0",
    }  # fmt: skip
    changelog = f"Issue: Fix the parser\n\nSummary of Operations:\n\nDiff Summary:\n{DIFF}"
    read("set/patch_meta.json", said, {"src/x.py": "b\n", "CHANGELOG_PATCH.md": changelog})
    return lead(db)


def lead(db: Database, title: str = "Fix the parser") -> int:
    with db.read() as session:
        wanted = select(CandidateRow).where(CandidateRow.kind == "patch", CandidateRow.title == title)
        return session.exec(wanted.where(CandidateRow.status != "joined")).one().id or 0


def form(page: str, action: str, field: str = "", value: str = "") -> dict[str, str]:
    """The hidden fields of the form that goes to this action, the one with this value where there are several."""
    for found in re.findall(rf'<form[^>]*action="[^"]*/{action}[^"]*".*?</form>', page, re.DOTALL):
        fields = dict(re.findall(r'name="(\w+)"\s+value="([^"]*)"', found))
        if not field or fields[field] == value:
            return {name: html.unescape(kept) for name, kept in fields.items()}
    raise AssertionError(action)


# ------------------------------------------------------------------------------------------------ parts


def test_each_part_says_where_it_stands_why_it_is_here_and_how_sure_that_is(client: TestClient, whole: int) -> None:
    found = text(client.get(f"/candidates/{whole}").text)

    assert "Evidence put together from 3 entries" in found
    assert "success entry success_memory.jsonl line 1 It stands for the whole." in found
    assert "run_1.json" in found
    assert "certain Both hold exactly the same script. Gives the attempts." in found
    assert "high Both hold" in found
    assert "Gives the patched files." in found


def test_a_candidate_of_one_entry_can_still_be_joined(client: TestClient, three: list[int]) -> None:
    found = client.get(f"/candidates/{three[0]}").text

    assert "Evidence 1 entry The same change as candidate no. Join" in text(found)
    assert "Take apart" not in found


def test_a_part_is_taken_apart_and_both_stand_for_themselves(client: TestClient, whole: int) -> None:
    page = client.get(f"/candidates/{whole}?status=all").text
    run = re.search(r'run <span class="dim">#(\d+)</span>', page)
    assert run is not None

    answer = client.post(
        f"/candidates/{whole}/split?status=all", data=form(page, "split", "part", run[1]), follow_redirects=False
    )

    assert (answer.status_code, answer.headers["location"]) == (303, f"/candidates/{whole}?status=all#parts")
    after = client.get(f"/candidates/{whole}").text
    assert "put together from 2 entries" in text(after)
    assert 'id="ladder"' not in after
    assert f"Split with #{run[1]}" in text(after), "the history"
    assert 'id="ladder"' in client.get(f"/candidates/{run[1]}").text


def test_undo_brings_a_part_back_and_says_so(client: TestClient, whole: int) -> None:
    page = client.get(f"/candidates/{whole}").text
    client.post(f"/candidates/{whole}/split", data=form(page, "split"))
    assert "put together from 2 entries" in text(client.get(f"/candidates/{whole}").text)

    client.post("/undo", data={"key": "undo-1"})

    after = text(client.get(f"/candidates/{whole}").text)
    assert "put together from 3 entries" in after
    assert "Undo of split" in after


def test_who_saw_the_candidate_before_it_was_taken_apart_must_look_again(client: TestClient, whole: int) -> None:
    seen = client.get(f"/candidates/{whole}").text
    client.post(f"/candidates/{whole}/split", data=form(seen, "split"))

    answer = client.post(f"/candidates/{whole}/join", data={**form(seen, "join"), "other": "2"})

    assert answer.status_code == 409


def test_a_form_sent_twice_is_one_decision(client: TestClient, db: Database, whole: int) -> None:
    sent = form(client.get(f"/candidates/{whole}").text, "split")

    for _ in range(2):
        assert client.post(f"/candidates/{whole}/split", data=sent, follow_redirects=False).status_code == 303

    with db.read() as session:
        assert len(session.exec(select(DecisionRow)).all()) == 1


def test_two_candidates_are_joined_by_number_and_one_stands_for_both(
    client: TestClient, db: Database, whole: int
) -> None:
    other = lead(db, "Name the reader")
    sent = form(client.get(f"/candidates/{whole}").text, "join")

    answer = client.post(f"/candidates/{whole}/join", data={**sent, "other": f"#{other}"}, follow_redirects=False)

    assert answer.status_code == 303
    after = text(client.get(answer.headers["location"]).text)
    assert "put together from 4 entries" in after
    assert "by hand A person joined them." in after


def test_who_opens_a_part_comes_to_its_whole(client: TestClient, db: Database, whole: int) -> None:
    with db.read() as session:
        hidden = session.exec(select(CandidateRow).where(CandidateRow.status == "joined")).first()
    assert hidden is not None

    answer = client.get(f"/candidates/{hidden.id}?status=all", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/candidates/{whole}?status=all#parts")


@pytest.mark.parametrize(
    ("action", "more", "status"),
    [
        ("join", {"other": "x"}, 422),
        ("join", {"other": "9999"}, 404),
        ("join", {"other": "1", "version": "9"}, 409),
        ("join", {"other": "1", "surplus": "1"}, 422),
        ("split", {"part": "9999"}, 404),
        ("split", {"part": "", "version": "1"}, 422),
    ],
)
def test_what_cannot_be_joined_or_split_is_a_sentence(
    client: TestClient, three: list[int], action: str, more: dict[str, str], status: int
) -> None:
    sent = {"version": "1", "key": "k", **more}

    answer = client.post(f"/candidates/{three[0]}/{action}", data=sent)

    assert answer.status_code == status


# ------------------------------------------------------------------------------------------------ patch set


def test_a_patch_set_shows_its_checks_and_whether_the_diff_fits_its_files(client: TestClient, whole: int) -> None:
    page = client.get(f"/candidates/{whole}").text

    assert "feature/auto-patch-fix-1 Auto-apply <b>" in text(page)
    assert "Its checks: Valid=True, Score=0.80" in text(page)
    assert "src/x.py 1 line As patched Before the change" in text(page)
    assert "Pre-image rebuilt: the diff fits the file." in text(page)
    assert "file-line-1" not in page
    assert live_parts(page) == []


@pytest.mark.parametrize(("side", "shown"), [("after", "b"), ("before", "a")])
def test_a_file_is_open_in_the_page_and_in_the_fragment_alike(
    client: TestClient, whole: int, side: str, shown: str
) -> None:
    query = f"?image=1&side={side}&status=all"
    page = client.get(f"/candidates/{whole}{query}").text
    fragment = client.get(f"/candidates/{whole}/patch-set{query}", headers=HTMX).text

    assert re.search(rf'<tr id="file-line-1"><td>1<td>{shown}</table>', page)
    assert fragment.strip() in page
    plain = client.get(f"/candidates/{whole}/patch-set{query}", follow_redirects=False)
    assert plain.headers["location"] == f"/candidates/{whole}{query}#patch-set"


def test_the_address_says_which_file_is_open_and_keeps_the_rest(client: TestClient, whole: int) -> None:
    shows = {**HTMX, "HX-Current-URL": f"http://testserver/candidates/{whole}?attempt=1&base=final&image=0"}

    opened = client.get(f"/candidates/{whole}/patch-set?image=1&side=before", headers=shows)
    closed = client.get(f"/candidates/{whole}/patch-set", headers=shows)

    assert opened.headers["HX-Replace-Url"] == f"/candidates/{whole}?attempt=1&base=final&image=1&side=before"
    assert closed.headers["HX-Replace-Url"] == f"/candidates/{whole}?attempt=1&base=final"


def test_the_changelog_is_shown_as_text(client: TestClient, whole: int) -> None:
    page = client.get(f"/candidates/{whole}?image=0").text

    assert "Diff Summary: --- a/x.py" in text(page)


@pytest.mark.parametrize("query", ["image=9", "image=x", "image=1&side=beside"])
def test_a_file_that_is_not_there_is_refused(client: TestClient, whole: int, query: str) -> None:
    assert client.get(f"/candidates/{whole}?{query}").status_code == 422


def test_a_candidate_without_a_patch_set_has_none_to_ask_for(client: TestClient, three: list[int]) -> None:
    assert client.get(f"/candidates/{three[0]}/patch-set", headers=HTMX).status_code == 404
    assert 'id="patch-set"' not in client.get(f"/candidates/{three[0]}?image=1").text


def _sentence(image: PostImage, diff: str | None, *, snippet: bool = False) -> str:
    patched = PatchSet("feature/x", "CBb", files=(image,))
    said = Candidate(Kind.PATCH, "CBb", diff=diff, diff_is_snippet=snippet, patch_set=patched)
    found = parts.build_set(7, said, {}, {})
    assert found is not None
    return found.files[0].before


@pytest.mark.parametrize(
    ("image", "diff", "sentence"),
    [
        (PostImage("src/x.py", "b\n"), DIFF, "Pre-image rebuilt: the diff fits the file."),
        (PostImage("src/x.py", "0\nb\n"), DIFF, "Pre-image rebuilt: the diff fits the file. Hunk 1 was found 1 line"),
        (PostImage("src/x.py", "B\n"), DIFF, "No pre-image: Hunk 1 does not fit"),
        (PostImage("src/x.py", "b\n"), None, "No pre-image: The log holds no diff."),
        (PostImage("src/x.py", "b\n"), "No textual changes.", "No pre-image: This is not a diff."),
        (PostImage("src/y.py", "b\n"), DIFF, "No pre-image: The diff speaks of no file y.py."),
        (PostImage("src/x.py", None), DIFF, "No pre-image: The file is not UTF-8."),
        (
            PostImage("x.py", "a\n"),
            "--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+a\n",
            "The diff fits the file and made all of it: nothing was there before.",
        ),
    ],
)
def test_the_pre_image_is_rebuilt_or_said_to_be_missing(image: PostImage, diff: str | None, sentence: str) -> None:
    assert _sentence(image, diff).startswith(sentence)


@pytest.mark.parametrize(("template", "reads"), [("_parts.html", "parts"), ("_patch_set.html", "patched")])
def test_a_part_of_the_page_reads_its_own_view_and_nothing_else(template: str, reads: str) -> None:
    made = environment()
    assert made.loader is not None
    source = made.loader.get_source(made, template)[0]

    assert meta.find_undeclared_variables(made.parse(source)) <= {reads, "url", "ui", "may", "dict"}
