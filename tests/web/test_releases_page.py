"""Releases and the project's settings in the browser: preview, freeze, read, verify, compare, withdraw; errors."""

import html
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from app import projects, releases, worker
from app.db import Database
from app.models import ReleaseState
from app.projects import FileKind
from app.releases import Spec
from app.settings import Settings
from tests.conftest import NOON
from tests.logs import read_issues
from tests.web.pages import HTMX, decide, live_parts, text

ACCEPTED = (2, 3, 4, 7)
WRONG = {
    "seed=many": "A seed is a whole number",
    "status=pending": "Only accepted, edited and rejected candidates are released",
    "status=odd": "status must be one of",
    "rating=9": "rating must be one of",
    "since=never": "since must be a day",
    "by=moon": "Splits are made by issue, repository, time.",
    "by=time": "To split by time, say from when on",
    "by=time&validation_from=soon&test_from=2026-01-01": "is no instant",
    "count=77": "There is no job 77.",
    "count=x": "count must be a whole number",
}


@pytest.fixture
def judged(client: TestClient) -> TestClient:
    """The twelve samples, of which one is accepted that has only a hash, four that yield rows, and one is rejected."""
    client.post("/samples")
    for number in (1, *ACCEPTED):
        decide(client, number, "accept")
    decide(client, 5, "reject", reasons=["wrong_fix"])
    return client


@pytest.fixture
def frozen(judged: TestClient, db: Database, settings: Settings) -> TestClient:
    """The same, with release 1 made of it."""
    judged.post("/releases", data={"name": "first <b>"})
    work(db, settings)
    return judged


def work(db: Database, settings: Settings) -> None:
    worker.run(db, settings, stop=threading.Event().is_set, until_idle=True)


def cells(page: str, start: str) -> str:
    """What stands in the row of a table that begins with this."""
    rows = [text(row) for row in re.findall(r"<tr\b.*?</tr>", page, re.DOTALL)]
    return next(row for row in rows if row.startswith(start))


def manifest(settings: Settings, number: int) -> Any:
    (folder,) = (settings.data_dir / "releases").glob(f"*/{number}")
    return json.loads((folder / "manifest.json").read_bytes())


def state(db: Database, project_id: int, number: int) -> str:
    with db.read() as session:
        return releases.get_release(session, project_id, number).state


# ------------------------------------------------------------------------------------------------ preview


def test_the_list_begins_with_a_way_to_the_first_release(client: TestClient) -> None:
    page = client.get("/releases").text

    assert "No release yet." in text(page)
    assert 'href="/releases/new"' in page
    assert 'aria-current="page">Releases' in page


def test_the_page_comes_before_its_counts(judged: TestClient) -> None:
    page = judged.get("/releases/new").text
    part = judged.get("/releases/new", headers=HTMX | {"HX-Current-URL": "http://testserver/releases/new"})

    assert 'hx-get="/releases/new" hx-trigger="load"' in page
    assert "Rows" not in text(page)
    assert part.text.lstrip().startswith('<section id="preview"')
    assert "Rows" in text(part.text)
    # The address has not changed, so Back needs no second step.
    assert "HX-Push-Url" not in part.headers


def test_the_preview_says_what_a_release_would_hold(judged: TestClient, db: Database, settings: Settings) -> None:
    page = judged.get("/releases/new?preview=now").text
    judged.post("/releases", data={})
    work(db, settings)
    said = manifest(settings, 1)

    assert f"Rows {sum(one['rows'] for one in said['datasets'])} " in text(page)
    for one in said["datasets"]:
        name = f"{one['role']} / {one['task']} / {one['objective']}"
        assert cells(page, name).startswith(f"{name} {' '.join(str(n) for n in one['splits'].values())}".rstrip())
    assert "5 accepted, 1 rejected candidates" in text(page)
    assert "No issue, group or near-duplicate stands in two splits." in text(page)
    assert "Only a hash of the script. The log holds only a salted hash" in text(page)
    assert 'href="/candidates/1?status=all"' in page
    assert "scaffold-sft-" in page
    assert not live_parts(page)


def test_nothing_judged_says_what_to_do(client: TestClient) -> None:
    assert "Nothing is judged yet under this filter" in text(client.get("/releases/new?preview=now").text)


def test_the_preview_follows_the_form_and_its_address(judged: TestClient) -> None:
    answer = judged.get("/releases/new?name=&source=nobody&seed=7", headers=HTMX)

    assert "Nothing is judged yet under this filter" in text(answer.text)
    assert answer.headers["HX-Push-Url"] == "/releases/new?seed=7&source=nobody"
    page = judged.get(answer.headers["HX-Push-Url"]).text
    assert 'name="seed" value="7"' in " ".join(page.split())
    assert "<option selected>nobody</option>" in page


def test_held_rows_are_filtered_by_gate_and_dataset(judged: TestClient) -> None:
    whole = judged.get("/releases/new?preview=now").text
    [link] = set(re.findall(r'href="(/releases/new\?gate=hash_only#held)"', whole))
    by_gate = judged.get(link.partition("#")[0]).text
    elsewhere = judged.get("/releases/new?gate=hash_only&dataset=retriever/search/contrastive").text

    assert re.search(r'aria-current="true">Only a hash of the script \d', by_gate)
    assert "A salted hash matches nothing: there is no text." in text(by_gate)
    assert "The log holds only a salted hash" in text(by_gate)
    assert "The log holds only a salted hash" not in text(elsewhere)


def test_what_cannot_be_is_a_sentence_beside_what_was_typed(judged: TestClient) -> None:
    for query, sentence in WRONG.items():
        answer = judged.get(f"/releases/new?{query}&name=kept")
        part = judged.get(f"/releases/new?{query}", headers=HTMX)

        assert answer.status_code in {404, 422}, query
        assert sentence in text(answer.text)
        assert 'value="kept"' in answer.text
        assert (part.status_code, part.headers["HX-Retarget"]) == (answer.status_code, "#preview")


def test_days_of_a_split_by_time_begin_at_midnight(judged: TestClient) -> None:
    page = judged.get("/releases/new?by=time&validation_from=2026-01-01&test_from=2026-02-01").text

    assert 'class="notice bad" role="alert"' not in page
    assert "Held back" in text(page)


def test_everything_is_counted_by_a_job(judged: TestClient, db: Database, settings: Settings) -> None:
    judged.post("/releases", data={})
    work(db, settings)
    decide(judged, 8, "accept")
    answer = judged.post("/releases/preview", data={"name": "next"})
    assert answer.url.path == "/releases/new"
    assert "waits for the worker" in text(answer.text)
    assert 'hx-trigger="every 1s"' in answer.text
    work(db, settings)

    address = f"{answer.url.path}?{answer.url.query.decode()}"
    page = judged.get(address).text
    assert "Different from release 1" in text(page)
    assert "6 accepted, 1 rejected candidates" in text(page)
    # Another form than the one that was counted is counted anew.
    assert "Nothing is judged yet" in text(judged.get(f"{address}&source=nobody").text)


# ------------------------------------------------------------------------------------------------ freezing


def test_a_release_is_frozen_by_the_worker(judged: TestClient, db: Database, settings: Settings) -> None:
    answer = judged.post("/releases", data={"name": "nightly", "seed": "7"})
    assert answer.url.path == "/releases/1"
    assert "waits for the worker" in text(answer.text)
    assert "queued" in text(judged.get("/releases").text)
    work(db, settings)

    page = judged.get("/releases/1").text
    said = manifest(settings, 1)
    assert "Release 1: nightly frozen by local" in text(page)
    assert said["order"]["seed"] == 7
    assert f"Rows {sum(one['rows'] for one in said['datasets'])} " in text(page)
    assert "scaffold/" in page
    assert "export --release 1" in page
    assert "nightly frozen" in cells(judged.get("/releases").text, "1 ")
    assert not live_parts(page)


def test_the_button_makes_one_release_however_often_it_is_pressed(judged: TestClient) -> None:
    [key] = re.findall(r'name="key" value="(\w+)"', judged.get("/releases/new").text)
    pressed = [judged.post("/releases", data={"name": "nightly", "key": key}) for _ in range(2)]
    assert {answer.url.path for answer in pressed} == {"/releases/1"}

    other = judged.post("/releases", data={"name": "another", "key": key})
    assert other.status_code == 409
    assert "This key made release 1" in text(other.text)
    assert key not in other.text


def test_a_release_of_nothing_fails_with_a_sentence(client: TestClient, db: Database, settings: Settings) -> None:
    client.post("/releases", data={})
    work(db, settings)
    page = client.get("/releases/1")

    assert page.status_code == 200
    assert "failed" in text(page.text)
    assert "so there is nothing to export" in text(page.text)
    assert "so there is nothing to export" in text(client.get("/releases").text)


def test_a_release_that_is_cancelled_is_not_waited_for(judged: TestClient, db: Database, settings: Settings) -> None:
    page = judged.post("/releases", data={}).text
    [cancel] = re.findall(r'action="(/jobs/\d+/cancel)"', page)
    judged.post(cancel)

    assert "failed" in text(judged.get("/releases/1").text)
    judged.post("/releases", data={})
    work(db, settings)
    assert "frozen" in text(judged.get("/releases/2").text)


def test_a_form_that_cannot_be_makes_no_release(judged: TestClient, db: Database, project_id: int) -> None:
    for form in ({"seed": "many"}, {"name": "x" * 201}, {"status": "pending"}, {"number": "9"}):
        assert judged.post("/releases", data=form).status_code == 422, form
        assert judged.post("/releases/preview", data=form).status_code == 422, form

    with db.read() as session:
        assert releases.list_releases(session, project_id) == []


def test_releases_that_are_none_are_not_found(client: TestClient) -> None:
    for path in ("/releases/1", "/releases/x", "/releases/99999999999999999999", "/releases/1/verify", "/releases/-1"):
        assert client.get(path).status_code == 404, path
    assert client.get("/releases?before=x").status_code == 422
    assert client.post("/releases/1/withdraw", data={"why": "x"}).status_code == 404


# ------------------------------------------------------------------------------------------------ one release


def test_a_release_is_verified_and_a_fault_has_its_place(frozen: TestClient, settings: Settings) -> None:
    whole = frozen.get("/releases/1/verify", headers=HTMX).text
    assert whole.lstrip().startswith('<div id="verified"')
    assert "Whole." in text(whole)

    (readme,) = (settings.data_dir / "releases").glob("*/1/README.md")
    readme.write_text("<script>x</script>")
    broken = frozen.get("/releases/1/verify").text
    assert "Whole." not in text(broken)
    assert re.search(r"faults?\. README\.md", text(broken))


def test_a_release_too_large_for_a_page_is_left_to_the_terminal(
    frozen: TestClient, db: Database, project_id: int
) -> None:
    with db.write() as session:
        releases.get_release(session, project_id, 1).n_bytes = 2 << 30
    answer = frozen.get("/releases/1/verify", headers=HTMX)

    assert answer.status_code == 422
    assert "release verify 1" in answer.text


def test_a_release_is_compared_with_another(frozen: TestClient, db: Database, settings: Settings) -> None:
    assert "There is no other release yet." in text(frozen.get("/releases/1").text)
    decide(frozen, 8, "accept")
    frozen.post("/releases", data={})
    work(db, settings)
    page = frozen.get("/releases/2?against=1").text

    assert cells(page, "All datasets") != "All datasets 0 0 0 0"
    assert "From release 1 to release 2" in text(page)
    assert "The same rows, byte for byte" in text(frozen.get("/releases/2?against=2").text)
    assert frozen.get("/releases/2?against=9").status_code == 404


def test_held_rows_of_a_release_come_in_pages(frozen: TestClient, settings: Settings) -> None:
    (held,) = (settings.data_dir / "releases").glob("*/1/held_back.jsonl")
    first = json.loads(held.read_text().splitlines()[0])
    rows = [json.dumps(first | {"candidate": 1000 + n}) for n in range(60)]
    held.write_text("\n".join(rows) + "\n")
    seen: list[str] = []
    address: str | None = "/releases/1"
    while address:
        page = frozen.get(address).text
        seen += re.findall(r'href="/candidates/(1\d{3})\?', page)
        following = re.search(r'href="([^"#]*)#held" rel="next"', page)
        address = following[1].replace("&amp;", "&") if following else None

    assert seen == [str(1000 + n) for n in range(60)]
    assert "Nothing is held back for this." in text(frozen.get("/releases/1?gate=secret").text)


def test_files_are_those_of_the_manifest_and_no_others(frozen: TestClient, settings: Settings) -> None:
    said = manifest(settings, 1)
    for one in [*said["files"], {"path": "manifest.json"}, {"path": "SHA256SUMS"}]:
        answer = frozen.get(f"/releases/1/files/{one['path']}")
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment")
        assert len(answer.content) == one.get("bytes", len(answer.content))
    (folder,) = (settings.data_dir / "releases").glob("*/1")
    (folder / "beside.txt").write_text("x")
    for path in ("beside.txt", "../1/README.md", "%2e%2e/%2e%2e/%2e%2e/patchsift.db", "/etc/passwd", "", "examples"):
        assert frozen.get(f"/releases/1/files/{path}").status_code == 404, path


def test_a_release_without_its_folder_says_so(frozen: TestClient, settings: Settings) -> None:
    (folder,) = (settings.data_dir / "releases").glob("*/1")
    folder.rename(folder.with_name("gone"))
    answer = frozen.get("/releases/1")

    assert answer.status_code == 404
    assert "Bring it back from a backup." in text(answer.text)


def test_a_withdrawn_release_says_so_everywhere(frozen: TestClient, db: Database, project_id: int) -> None:
    without = frozen.post("/releases/1/withdraw", data={"why": " "})
    assert without.status_code == 422
    assert "Say why it is withdrawn" in text(without.text)
    assert state(db, project_id, 1) == ReleaseState.FROZEN

    page = frozen.post("/releases/1/withdraw", data={"why": "A key <b> was in it."}).text
    assert "do not train on it. A key <b> was in it." in text(page)
    assert "<b> was" not in page
    assert 'href="/exports?release=1"' not in page
    assert "Withdrawn: A key <b> was in it." in text(frozen.get("/releases").text)
    refusal = text(frozen.get("/exports?release=1").text)
    assert "Release 1 was withdrawn, so nobody should train on it: A key <b> was in it." in refusal
    assert frozen.post("/releases/1/withdraw", data={"why": "again"}).status_code == 409


# ------------------------------------------------------------------------------------------------ exports of a release


def test_an_export_comes_from_a_release(frozen: TestClient, settings: Settings) -> None:
    before = frozen.get("/exports?dataset=llm/scaffold/sft&release=1&source=ignored&seed=9").text
    decide(frozen, 8, "accept")
    after = frozen.get("/exports?dataset=llm/scaffold/sft&release=1").text
    rows = sum(
        one["rows"]
        for one in manifest(settings, 1)["datasets"]
        if (one["task"], one["objective"]) == ("scaffold", "sft")
    )

    assert f"Rows {rows} " in text(before)
    assert f"Rows {rows} " in text(after)
    assert 'href="/releases/1?gate=hash_only&amp;dataset=llm%2Fscaffold%2Fsft#held"' in after
    answer = frozen.post("/exports", data={"dataset": "llm/scaffold/sft", "release": "1", "source": "ignored"})
    assert f"Rows {rows} " in text(answer.text)
    assert "data-autostart" in answer.text
    assert "release 1" in text(frozen.get("/exports").text)
    missing = frozen.get("/exports?release=9")
    assert missing.status_code == 404
    assert "There is no release 9 here." in text(missing.text)


# ------------------------------------------------------------------------------------------------ the project


SPLITS = {
    "by": "issue", "seed": "7", "train": "0.7", "validation": "0.2", "test": "0.1", "licence_required": "yes",
    "n": "10", "most_rows": "20", "share": "0.2", "most_grams": "1000", "validation_from": "", "test_from": "",
}  # fmt: skip


def settings_of(db: Database, project_id: int) -> projects.ProjectSettings:
    with db.read() as session:
        return projects.get_settings(session, project_id)


def test_splits_licence_and_overlap_are_saved(client: TestClient, db: Database, project_id: int) -> None:
    page = client.post("/project/splits", data=SPLITS).text
    kept = settings_of(db, project_id)

    assert "Saved. Releases that were made keep theirs." in text(page)
    assert (kept.plan.seed, kept.plan.shares, kept.licence_required) == (7, (0.7, 0.2, 0.1), True)
    assert (kept.overlap.n, kept.overlap.share, kept.overlap.most_grams) == (10, 0.2, 1000)
    assert 'value="0.7"' in page
    timed = SPLITS | {"by": "time", "validation_from": "2026-01-01", "test_from": "2026-02-01"}
    assert 'value="2026-02-01"' in client.post("/project/splits", data=timed).text
    assert not live_parts(page)


def test_settings_that_cannot_be_stay_as_typed(client: TestClient, db: Database, project_id: int) -> None:
    wrong = (
        ("train", "0.9", "are 1 together"),
        ("train", "most", "The share of train is a number"),
        ("seed", "x", "A seed is a whole number"),
        ("by", "time", "To split by time"),
        ("n", "1", "n is a whole number"),
        ("share", "2", "share is a number"),
    )
    for field, value, sentence in wrong:
        answer = client.post("/project/splits", data=SPLITS | {field: value})

        assert answer.status_code == 422
        assert sentence in text(answer.text)
        assert f'value="{value}"' in answer.text
    assert settings_of(db, project_id) == projects.ProjectSettings()


def budgets(*rows: tuple[str, str, str]) -> dict[str, list[str]]:
    """A table of budgets: role, name, tokens of the question."""
    blank = [""] * len(rows)
    return {
        "role": [row[0] for row in rows],
        "name": [row[1] for row in rows],
        "question_tokens": [row[2] for row in rows],
        "answer_tokens": blank,
        "total_tokens": blank,
        "tokenizer": blank,
    }


def test_budgets_are_a_table(client: TestClient, db: Database, project_id: int) -> None:
    page = client.post(
        "/project/budgets", data=budgets(("llm", "Qwen", "8,192"), ("llm", "", "5"), ("scorer", "S", ""))
    )
    kept = settings_of(db, project_id).budgets

    assert [(one.role, one.name, one.question_tokens) for one in kept] == [("llm", "Qwen", 8192), ("scorer", "S", None)]
    assert 'value="Qwen"' in page.text
    wrong = client.post("/project/budgets", data=budgets(("llm", "Llama", "many")))
    assert wrong.status_code == 422
    assert "Row 1: question tokens is a whole number" in text(wrong.text)
    assert 'value="Llama"' in wrong.text
    assert client.post("/project/budgets", data=budgets(("queen", "Q", "1"))).status_code == 422
    uneven = budgets(("llm", "A", "1")) | {"name": ["A", "B"]}
    assert client.post("/project/budgets", data=uneven).status_code == 422
    assert settings_of(db, project_id).budgets == kept


def test_files_are_kept_listed_and_removed(client: TestClient, db: Database, project_id: int) -> None:
    good = {"files": ("swe <b>.txt", b"pallets/flask#4045\n")}
    page = client.post("/project/files", data={"kind": "block_list"}, files=good).text
    with db.read() as session:
        [kept] = projects.list_files(session, project_id)

    assert (kept.kind, kept.name) == (FileKind.BLOCK_LIST, "swe <b>.txt")
    assert "swe <b>.txt block list" in text(page)
    for kind, content in (("block_list", b"two words of nothing\n"), ("tokenizer", b"{}"), ("benchmark", b"\xff")):
        bad = client.post("/project/files", data={"kind": kind}, files={"files": ("bad.txt", content)})
        assert 400 <= bad.status_code < 500
        assert 'class="notice bad" role="alert"' in bad.text
    assert client.post("/project/files", data={"kind": "moon"}, files=good).status_code == 422
    gone = client.post("/project/files/remove", data={"digest": kept.digest}).text
    assert "The file is gone" in text(gone)
    assert client.post("/project/files/remove", data={"digest": kept.digest}).status_code == 404


def test_a_benchmark_is_frozen_once_its_size_was_seen(frozen: TestClient, db: Database, project_id: int) -> None:
    page = frozen.get("/project?benchmark=look&status=&q=").text
    [seen] = re.findall(r'name="seen" value="(\d+)"', page)
    with db.read() as session:
        assert releases.count_benchmark(session, project_id) == 0

    assert "were released for training, validation or test and stay there." in text(page)
    other = frozen.post("/project/benchmark", data={"seen": str(int(seen) + 1)})
    assert other.status_code == 409
    assert f"Meanwhile there are {seen} issues" in text(other.text)
    done = frozen.post("/project/benchmark", data={"seen": seen}).text
    assert f"{seen} issues are in the benchmark split." in text(done)
    with db.read() as session:
        assert releases.count_benchmark(session, project_id) == int(seen)
    for form in ({"seen": "1", "source": "nobody"}, {"seen": "1", "rating": "9"}):
        assert frozen.post("/project/benchmark", data=form).status_code == 422
    assert frozen.get("/project?benchmark=look&source=nobody").status_code == 422


# ------------------------------------------------------------------------------------------------ cost


def test_ten_more_releases_cost_no_more_queries(client: TestClient, db: Database, project_id: int) -> None:
    def make(n: int) -> None:
        for _ in range(n):
            with db.write() as session:
                row = releases.create(session, project_id, 1, Spec(), now=NOON)
                row.state = ReleaseState.FROZEN

    def queries() -> int:
        asked: list[str] = []

        def note(*args: Any) -> None:
            asked.append(args[2])

        event.listen(Engine, "before_cursor_execute", note)
        client.get("/releases")
        event.remove(Engine, "before_cursor_execute", note)
        return len(asked)

    make(2)
    queries()  # what is looked up once for all pages
    few = queries()
    make(10)
    assert queries() == few


def test_what_an_agent_wrote_is_only_shown(
    client: TestClient, db: Database, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    [number] = read_issues(db, settings, project_id, tmp_path, "<script>x()</script> ' onload=x {{ 7 * 7 }}")
    decide(client, number, "accept")
    page = client.get("/releases/new?preview=now").text

    assert "<script>x()</script> ' onload=x {{ 7 * 7 }}" in html.unescape(page)
    assert not live_parts(page)
