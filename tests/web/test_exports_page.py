"""Exports: what they would give, why something is left out, the job and the file."""

import threading
import zipfile
from io import BytesIO

from starlette.testclient import TestClient

from app import worker
from app.db import Database
from app.settings import Settings
from tests.web.pages import HTMX, decide, text


def test_nothing_judged_says_what_to_do(client: TestClient) -> None:
    assert "Nothing is accepted or edited yet under this filter." in text(client.get("/exports").text)


def test_the_preview_counts_rows_and_what_is_held_back(client: TestClient) -> None:
    client.post("/samples")
    decide(client, 1, "accept")
    decide(client, 2, "accept")
    page = client.get("/exports").text

    assert "Rows 1 " in text(page)
    assert "hash only 1" in text(page)
    assert 'href="/queue?status=accepted&amp;finding=hash_only"' in page
    held = client.get("/queue?status=accepted&finding=hash_only").text
    assert "include samesite and secure" in held


def test_the_preview_follows_the_filter(client: TestClient) -> None:
    client.post("/samples")
    decide(client, 2, "accept")
    answer = client.get("/exports?source=nobody&format=messages&seed=", headers=HTMX)

    assert answer.text.lstrip().startswith('<section id="preview"')
    assert "Rows 0 " in text(answer.text)
    assert answer.headers["HX-Push-Url"] == "/exports?format=messages&source=nobody"


def test_an_order_that_cannot_be_is_a_sentence(client: TestClient) -> None:
    for query in ("dataset=scorer/none/sft", "format=parquet", "seed=many", "rating=9", "since=never"):
        answer = client.get(f"/exports?{query}")

        assert answer.status_code == 422
        assert 'class="notice bad"' in answer.text
    assert client.post("/exports", data={"format": "parquet"}).status_code == 422
    assert client.post("/exports", data={"reviewer_id": "1"}).status_code == 422


def test_an_export_is_a_job_whose_file_downloads(client: TestClient, db: Database, settings: Settings) -> None:
    client.post("/samples")
    for number in (2, 3, 4):
        decide(client, number, "accept")
    answer = client.post("/exports", data={"dataset": "llm/scaffold/sft", "format": "messages", "seed": ""})
    assert "Building the dataset" in text(answer.text)
    worker.run(db, settings, stop=threading.Event().is_set, until_idle=True)

    made = answer.url.path.rsplit("/", 1)[-1]
    page = client.get(f"/jobs/{made}?new=1").text
    assert "Rows 3 " in text(page)
    assert "data-autostart" in page
    assert "data-autostart" not in client.get(f"/jobs/{made}").text
    packed = client.get(f"/exports/{made}/download")
    assert packed.headers["content-disposition"].endswith('.zip"')
    with zipfile.ZipFile(BytesIO(packed.content)) as opened:
        assert any(name.endswith("manifest.json") for name in opened.namelist())
    part = client.get(f"/exports/{made}/download", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, packed.content[10:20])
    assert f'href="/jobs/{made}"' in client.get("/exports").text


def test_an_export_of_nothing_fails_with_a_sentence(client: TestClient, db: Database, settings: Settings) -> None:
    answer = client.post("/exports", data={"format": "messages"})
    worker.run(db, settings, stop=threading.Event().is_set, until_idle=True)

    seen = text(client.get(answer.url.path).text)
    assert "failed" in seen
    assert "Nothing is accepted or edited yet under this filter" in seen
    assert client.get(f"/exports/{answer.url.path.rsplit('/', 1)[-1]}/download").status_code == 404
