"""Downloads of a release: as which file, under which name, resumed, made once, made by a job."""

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import downloads, kept, parcels, worker
from app.errors import BadInputError
from app.examples import Split
from app.exports import formats_of
from app.main import create_app
from app.parcels import Parcel
from app.recipes import DATASETS
from tests.releasing import installed
from tests.test_api import assert_error
from tests.test_releases_api import ROWS, Api

SFT = "/1/download?role=llm&task=scaffold&objective=sft&format=prompt-completion"


@pytest.fixture(scope="module")
def frozen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One installation with a release, and another that is withdrawn."""
    with (
        installed("sqlite", request, tmp_path_factory.mktemp("parcels")) as desk,
        TestClient(create_app(desk.settings, desk.db), headers={"Sec-Fetch-Site": "same-origin"}) as client,
    ):
        made = Api(desk, client)
        made.release(name="first")
        made.release(name="second")
        assert made.get("/2/download?pack=tar.gz").status_code == 200
        made.post("/2/withdraw", {"why": "A key <b> was in it."})
        yield made


@pytest.fixture
def large(frozen: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The same, where every dataset is too large to be made while the browser waits."""
    monkeypatch.setattr(parcels, "SMALL_ROWS", 0)
    return frozen


def name_of(answer: Any) -> str:
    said = answer.headers["content-disposition"]
    return str(said.partition('filename="')[2].removesuffix('"'))


def digest_of(answer: Any) -> str:
    return hashlib.sha256(answer.content).hexdigest()


def split_of(api: Api) -> str:
    """A split of the release that has rows."""
    return str(next(iter(json.loads(unzipped(api.get(SFT))["manifest.json"])["counts"]["splits"])))


def unzipped(answer: Any) -> dict[str, bytes]:
    folder = name_of(answer).removesuffix(".zip") + "/"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        return {name.removeprefix(folder): packed.read(name) for name in packed.namelist()}


def untarred(answer: Any) -> dict[str, bytes]:
    folder = name_of(answer).removesuffix(".tar.gz") + "/"
    found = {}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(answer.content))) as packed:
        for entry in packed.getmembers():
            opened = packed.extractfile(entry)
            assert opened is not None
            found[entry.name.removeprefix(folder)] = opened.read()
    return found


# ------------------------------------------------------------------------------------------------ which file


def test_one_folder_is_a_zip_or_a_tar_and_one_split_one_file(frozen: Api) -> None:
    split = split_of(frozen)
    zipped, tarred, alone = (frozen.get(f"{SFT}&pack={pack}") for pack in ("zip", "tar.gz", split))

    assert [name_of(one) for one in (zipped, tarred, alone)] == [
        "patchsift-default-release-1-scaffold_sft_pc.zip",
        "patchsift-default-release-1-scaffold_sft_pc.tar.gz",
        f"patchsift-default-release-1-scaffold_sft_pc-{split}.jsonl",
    ]
    inside = unzipped(zipped)
    assert untarred(tarred) == inside
    assert alone.content == inside[f"jsonl/scaffold_sft_pc/{split}.jsonl"]
    for one, kind in ((zipped, "application/zip"), (tarred, "application/gzip"), (alone, "application/jsonl")):
        assert one.headers["content-type"].partition(";")[0] == kind
        assert one.headers["content-length"] == str(len(one.content))
        assert one.headers["etag"] == f'"{digest_of(one)}"'


def test_parquet_is_beside_the_lines_and_of_one_split_in_their_place(frozen: Api) -> None:
    import pyarrow.parquet as pq

    split = split_of(frozen)
    zipped, alone = (frozen.get(f"{SFT}&parquet=true&pack={pack}") for pack in ("zip", split))
    assert [name_of(one) for one in (zipped, alone)] == [
        "patchsift-default-release-1-scaffold_sft_pc-parquet.zip",
        f"patchsift-default-release-1-scaffold_sft_pc-{split}.parquet",
    ]
    assert alone.headers["content-type"] == "application/vnd.apache.parquet"
    inside = unzipped(zipped)
    assert alone.content == inside[f"data/scaffold_sft_pc/{split}-00000-of-00001.parquet"]
    rows = [json.loads(line) for line in inside[f"jsonl/scaffold_sft_pc/{split}.jsonl"].splitlines()]
    assert pq.read_table(io.BytesIO(alone.content)).to_pylist() == rows
    assert b"path: data/scaffold_sft_pc/" in inside["README.md"]
    assert "pack=zip&amp;parquet=true" in frozen.client.get("/exports?release=1&pack=zip&parquet=1").text
    assert "data/ret_pair/" in "".join(unzipped(frozen.get("/1/download?all=true&parquet=true")))


def test_everything_is_one_folder(frozen: Api) -> None:
    zipped = frozen.get("/1/download?all=true")
    inside = unzipped(zipped)

    assert name_of(zipped) == "patchsift-default-release-1.zip"
    assert {"README.md", "manifest.json"} <= inside.keys()
    assert inside["README.md"].count(b"config_name: ") > 5
    assert name_of(frozen.get("/1/download?all=true&pack=tar.gz")) == "patchsift-default-release-1.tar.gz"


def test_what_was_withdrawn_is_refused_with_the_reason_even_where_it_was_made_before(frozen: Api) -> None:
    for pack in ("zip", "tar.gz"):
        answer = frozen.get(f"/2/download?pack={pack}")
        assert_error(answer, 409, "conflict")
        assert "A key <b> was in it." in answer.json()["error"]["message"]
    ordered = frozen.client.post("/exports", data={"release": "2"})
    assert ordered.status_code == 409
    page = frozen.client.get("/exports?release=2&pack=tar.gz").text
    assert "data-autostart" not in page
    assert "/2/download" not in page
    for shown in (page, ordered.text):
        assert "A key &lt;b&gt; was in it." in shown


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (f"{SFT.replace('prompt-completion', 'agent')}&parquet=true", "agent is for readers of JSON Lines alone"),
        (f"{SFT}&pack=rar", "there is zip, tar.gz, train"),
        ("/1/download?all=true&pack=train", "Everything is several files"),
        (f"{SFT}&pack=benchmark", "there are rows for"),
        ("/1/download?role=retriever&task=search&objective=contrastive&format=beir&pack=test", "beir is several files"),
        (
            "/1/download?objective=preference&format=messages",
            "messages cannot hold llm scaffold preference examples;",
        ),
    ],
)
def test_what_cannot_be_is_a_sentence_with_what_can(frozen: Api, query: str, said: str) -> None:
    answer = frozen.get(query)

    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]


def test_a_format_that_does_not_fit_names_those_that_do(frozen: Api) -> None:
    for dataset in DATASETS:
        fitting = [one.alias for one in formats_of(dataset)]
        query = "&".join(f"{name}={value}" for name, value in dataset._asdict().items())
        for wrong in {"messages", "features", "beir"} - set(fitting):
            answer = frozen.get(f"/1/download?{query}&format={wrong}")
            assert answer.status_code == 422
            assert f"there are {', '.join(fitting)}." in answer.json()["error"]["message"]


def test_a_parcel_survives_its_way_through_a_job() -> None:
    for pack in ("zip", "tar.gz", *Split):
        parcel = Parcel(downloads.Order(release="3", format="messages"), pack=pack)
        assert Parcel.parse(parcel.as_json()) == parcel
    everything = Parcel(downloads.Order(seed=4), everything=True)
    assert Parcel.parse(json.loads(json.dumps(everything.as_json()))) == everything
    with pytest.raises(BadInputError):
        Parcel(pack="rar").check()


# ------------------------------------------------------------------------------------------------ kept


def test_what_nobody_asks_for_goes_and_is_made_again_when_it_is_asked_for(frozen: Api) -> None:
    settings, now = frozen.desk.settings, datetime.now(UTC)
    answers = [frozen.get(f"{SFT}&pack={pack}") for pack in ("zip", "tar.gz")]
    kept_files = sorted((settings.data_dir / "exports").rglob("*scaffold_sft_pc.*"))
    draft = settings.data_dir / "exports" / "releases" / ".tmp-died"
    draft.mkdir()

    assert kept.sweep(settings, now=now) == 0
    assert kept.sweep(settings, now=now + timedelta(days=29)) == 0
    assert not draft.exists()
    # The zip was asked for last.
    long_ago = (now - timedelta(hours=2)).timestamp()
    for path in kept_files:
        os.utime(path, (long_ago, long_ago))
    frozen.get(f"{SFT}&pack=zip")
    few = settings.model_copy(update={"export_bytes": 1, "export_days": 0})
    assert kept.sweep(few, now=now) > 0
    left = {path.suffix for path in kept_files if path.exists()}
    assert left == {".zip", ".json"}
    assert kept.sweep(settings, now=now + timedelta(days=31)) > 0
    assert not any(path.exists() for path in kept_files)
    again = [frozen.get(f"{SFT}&pack={pack}") for pack in ("zip", "tar.gz")]
    assert [one.content for one in again] == [one.content for one in answers]


# ------------------------------------------------------------------------------------------------ resumed


@pytest.mark.parametrize("pack", ["zip", "tar.gz", "split"])
def test_a_cut_download_goes_on_where_it_ended(frozen: Api, pack: str) -> None:
    path = f"{SFT}&pack={split_of(frozen) if pack == 'split' else pack}"
    # A browser takes compressed answers; half of one could not be resumed.
    whole = frozen.get(path, accept_encoding="gzip, br")
    etag, n = whole.headers["etag"], len(whole.content)
    cut = n // 3

    rest = frozen.get(path, range=f"bytes={cut}-", if_range=etag, accept_encoding="gzip, br")
    assert (rest.status_code, rest.headers["content-range"]) == (206, f"bytes {cut}-{n - 1}/{n}")
    assert rest.headers["content-length"] == str(n - cut)
    assert hashlib.sha256(whole.content[:cut] + rest.content).hexdigest() == etag.strip('"')
    assert frozen.get(path, range="bytes=0-0").content == whole.content[:1]
    assert frozen.get(path, range="bytes=-5").content == whole.content[-5:]
    asked = frozen.client.head(f"/api/v1/releases{path}", headers={"Accept-Encoding": "identity"})
    assert (asked.status_code, asked.content) == (200, b"")
    assert (asked.headers["etag"], asked.headers["content-length"]) == (etag, str(n))


def test_another_file_is_sent_whole_and_a_known_one_not_at_all(frozen: Api) -> None:
    whole = frozen.get(SFT)
    etag = whole.headers["etag"]

    for other in ('"other"', f"W/{etag}"):
        changed = frozen.get(SFT, range="bytes=5-", if_range=other)
        assert (changed.status_code, changed.content) == (200, whole.content)
    beyond = frozen.get(SFT, range=f"bytes={len(whole.content)}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")
    assert frozen.get(SFT, if_none_match=etag).status_code == 304


def test_a_file_of_a_release_is_resumed_too(frozen: Api) -> None:
    path = "/releases/1/files/manifest.json"
    whole = frozen.client.get(path)
    part = frozen.client.get(path, headers={"Range": "bytes=10-", "If-Range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, whole.content[10:])


# ------------------------------------------------------------------------------------------------ made once


def test_two_who_ask_at_once_get_what_was_made_once(frozen: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made, real = [], downloads.build

    def counted(*args: Any, **named: Any) -> Any:
        made.append(args[3])
        return real(*args, **named)

    monkeypatch.setattr(downloads, "build", counted)
    path = "/1/download?format=alpaca"
    with ThreadPoolExecutor(4) as asking:
        answers = list(asking.map(lambda _: frozen.get(path), range(4)))

    assert {one.status_code for one in answers} == {200}
    assert len({one.content for one in answers}) == 1
    assert len(made) == 1


def test_a_kept_file_that_was_harmed_or_removed_is_made_again(frozen: Api) -> None:
    path = f"{SFT}&pack=tar.gz"
    whole = frozen.get(path)
    kept = next((frozen.desk.settings.data_dir / "exports" / "releases").rglob("llm-scaffold_sft_pc.tar.gz"))
    for harm in (lambda: kept.write_bytes(b"half"), kept.unlink, (kept.parent / f"{kept.name}.json").unlink):
        harm()
        assert frozen.get(path).content == whole.content


# ------------------------------------------------------------------------------------------------ large


def work(api: Api) -> None:
    worker.run(api.desk.db, api.desk.settings, stop=threading.Event().is_set, until_idle=True)


def test_a_large_one_is_a_job_that_every_asker_shares(large: Api) -> None:
    path = "/1/download?format=sharegpt"
    first, second = large.get(f"{path}"), large.get(f"{path}")

    assert_error(first, 503, "being_made")
    assert "retry-after" in first.headers
    assert first.json() == second.json()
    job = first.json()["error"]["where"]
    work(large)
    told = large.client.get(job).json()
    whole = large.get(f"{path}")
    assert (told["state"], told["rows"], told["sha256"]) == ("done", ROWS, digest_of(whole))
    assert name_of(whole) == told["name"] == "patchsift-default-release-1-scaffold_sharegpt.zip"


def test_a_job_that_fails_is_told_by_its_job(large: Api) -> None:
    answer = large.get(f"{SFT}&pack=benchmark")
    assert answer.status_code == 503
    work(large)
    told = large.client.get(answer.json()["error"]["where"]).json()
    assert told["state"] == "failed"
    assert "there are rows for" in told["message"]


def test_the_page_of_a_large_one_shows_its_job_and_then_the_link(large: Api) -> None:
    order = {"release": "1", "what": "llm/scaffold/sft agent", "pack": "tar.gz"}
    waiting = large.client.post("/exports", data=order)
    assert waiting.url.path.startswith("/jobs/")
    assert "waits for the worker" in waiting.text
    work(large)

    page = large.client.get(waiting.url.path).text
    name = "patchsift-default-release-1-scaffold_agent_native.tar.gz"
    link = f"{waiting.url.path.replace('/jobs/', '/exports/')}/download"
    packed = large.client.get(link)
    assert f'download="{name}"' in page
    assert f"curl -fL --retry 99 -C - -o {name} http://testserver{link}" in page
    assert digest_of(packed) in page
    assert name_of(packed) == name
    # Ordered again, it is there.
    assert large.client.post("/exports", data=order).url.path == "/exports"


def test_a_job_of_a_release_that_was_withdrawn_since_has_no_file_any_more(large: Api) -> None:
    number = large.release(name="third")
    job = large.client.post("/exports", data={"release": str(number)}).url.path
    work(large)
    assert large.client.get(f"{job.replace('/jobs/', '/exports/')}/download").status_code == 200
    large.post(f"/{number}/withdraw", {"why": "No more."})
    refused = large.client.get(f"{job.replace('/jobs/', '/exports/')}/download")
    assert refused.status_code == 409
    assert "No more." in refused.text


def test_what_was_downloaded_is_among_what_was_made_before_once(frozen: Api) -> None:
    for _ in range(2):
        form = {"release": "1", "dataset": "llm/scaffold/sft", "format": "prompt-completion", "pack": "tar.gz"}
        page = frozen.client.post("/exports", data=form)
        assert "ready=1" in str(page.url)
    earlier = page.text.partition("Made before")[2]

    (number,) = re.findall(r'href="/exports/(\d+)/download" download="[^"]*-scaffold_sft_pc.tar.gz"', earlier)
    assert "Nothing yet" not in earlier
    assert digest_of(frozen.client.get(f"/exports/{number}/download")) == digest_of(frozen.get(f"{SFT}&pack=tar.gz"))
