"""Sending a dataset folder to a real S3-compatible server (SeaweedFS): whole, once, and never over something else."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from app.errors import AppError, BadInputError, ConflictError, NotFoundError, UnsupportedError
from app.storage import Place, Sent, Storage
from tests.releasing import Desk, installed
from tests.s3 import S3, keys, start_s3
from tests.test_release_cli import change, run

_folders = count()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    server = start_s3(tmp_path_factory.mktemp("s3"))
    server.make_bucket("models")
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def as_alice(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, **keys())


@pytest.fixture
def place() -> Place:
    """One that no other test has used."""
    return Place("models", f"patches/{next(_folders)}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "dataset", "one")


def be(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Work with these variables and no others."""
    for name in [one for one in os.environ if one.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def write(folder: Path, word: str) -> Path:
    """A folder as exports are: rows, a name that is not ASCII, a file that goes in several parts, manifest and sums."""
    texts = {"jsonl/c/train.jsonl": word, "über uns.md": word, "data/c/train.parquet": word * 3_000_000}
    for name, text in (texts | {"manifest.json": json.dumps(word)}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in sizes(folder)]
    (folder / "SHA256SUMS").write_text("".join(lines))


def sizes(folder: Path) -> dict[str, int]:
    found = sorted(one for one in folder.rglob("*") if one.is_file())
    return {one.relative_to(folder).as_posix(): one.stat().st_size for one in found}


def fetch(s3: S3, place: Place, name: str) -> bytes:
    import obstore
    from obstore.store import S3Store

    options = {"allow_http": True}
    store = S3Store(place.bucket, prefix=place.prefix, endpoint=s3.endpoint, client_options=options)  # type: ignore[arg-type]
    return bytes(obstore.get(store, name).bytes())


def test_a_folder_arrives_byte_for_byte_and_a_second_time_is_done_at_once(s3: S3, place: Place, folder: Path) -> None:
    steps: list[tuple[int, int]] = []
    sent = Storage(place, s3.endpoint).upload(folder, lambda done, total: steps.append((done, total)))

    total = sum(sizes(folder).values())
    assert sent == Sent(5, total, 0)
    assert steps[-1] == (total, total)
    assert len(steps) == 5
    assert Storage(place, s3.endpoint).look() == sizes(folder)
    assert all(fetch(s3, place, name) == (folder / name).read_bytes() for name in sizes(folder))
    assert Storage(place, s3.endpoint).upload(folder).n_there == 5


def test_who_may_only_read_is_told_so_unless_all_is_there(
    s3: S3, place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Storage(place, s3.endpoint).upload(folder)
    be(monkeypatch, **keys("bob"))
    assert Storage(place, s3.endpoint).upload(folder).n_there == 5
    with pytest.raises(AppError, match="does not let this key do that in s3://models/elsewhere"):
        Storage(Place("models", "elsewhere"), s3.endpoint).upload(folder)


@pytest.mark.parametrize("cut_at", range(5))
def test_an_upload_that_was_cut_has_no_sums_and_is_gone_on_with(
    s3: S3, place: Place, folder: Path, cut_at: int
) -> None:
    class CutError(Exception):
        pass

    done: list[int] = []

    def cut(n_bytes: int, _: int) -> None:
        if len(done) == cut_at:
            raise CutError
        done.append(n_bytes)

    with pytest.raises(CutError):
        Storage(place, s3.endpoint).upload(folder, cut)
    there = Storage(place, s3.endpoint).look()
    assert len(there) == cut_at + 1
    assert ("SHA256SUMS" in there) == (cut_at == 4)
    assert ("manifest.json" in there) == (cut_at >= 3)
    assert Storage(place, s3.endpoint).upload(folder).n_there == cut_at + 1
    assert Storage(place, s3.endpoint).look() == sizes(folder)


@pytest.mark.parametrize("other", ["two", "onE", "a file more", "half of two"])
def test_what_holds_something_else_is_left_as_it_is(s3: S3, place: Place, tmp_path: Path, other: str) -> None:
    there = write(tmp_path / "there", other if other in {"two", "onE"} else "one")
    if other == "a file more":
        (there / "more.txt").write_text("more")
        seal(there)
    if other == "half of two":  # of the same sizes, without the sums that would tell
        there = write(tmp_path / "half", "two")
        (there / "SHA256SUMS").unlink()
    Storage(place, s3.endpoint).upload(there)

    mine = write(tmp_path / "mine", "one")
    with pytest.raises(ConflictError, match=f"{place} holds something else already"):
        Storage(place, s3.endpoint).upload(mine)
    assert Storage(place, s3.endpoint).look() == sizes(there)
    assert all(fetch(s3, place, name) == (there / name).read_bytes() for name in sizes(there))


def test_a_place_beside_another_is_empty(s3: S3, folder: Path) -> None:
    Storage(Place("models", "a/bc"), s3.endpoint).upload(folder)
    assert Storage(Place("models", "a/b"), s3.endpoint).look() == {}


@pytest.mark.parametrize(
    ("variables", "bucket", "kind", "told"),
    [
        (keys("nobody"), "models", AppError, "does not take the key"),
        (keys("alice", "wrong"), "models", AppError, "does not take the key"),
        (keys(), "none-such", NotFoundError, "has no bucket none-such. Make it there"),
        ({"AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"}, "models", AppError, "No key for the storage is set"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    s3: S3, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], bucket: str, kind: type[AppError], told: str
) -> None:
    be(monkeypatch, **variables)
    with pytest.raises(kind, match=told) as caught:
        Storage(Place(bucket, "x"), s3.endpoint).look()
    assert "\n" not in caught.value.message
    assert "alice-secret" not in caught.value.message


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(AppError, match=r"http://127\.0\.0\.1:9 cannot be reached\. Look at --s3-endpoint"):
        Storage(Place("models", "x"), "http://127.0.0.1:9").look()


def test_the_environment_names_the_server(s3: S3, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        be(monkeypatch, **keys(), **{name: s3.endpoint})
        assert Storage(place).look() == {}
    be(monkeypatch, **keys(), AWS_ENDPOINT_URL_S3="http://127.0.0.1:9")
    assert Storage(place, s3.endpoint).look() == {}  # what was said wins


@pytest.mark.parametrize(
    "endpoint", ["x", "ftp://x", "http://", "http://a b", "http://x:99999", "http://[x", "http://x\n"]
)
def test_an_address_that_is_none_is_refused_before_the_library_sees_it(place: Place, endpoint: str) -> None:
    with pytest.raises(BadInputError, match="is no address of a server"):
        Storage(place, endpoint)


@pytest.mark.parametrize("address", ["s3://", "s3://x/y", "s3://Models/x", "s3:///x", "/tmp/x", "s3://a_b/x"])
def test_an_address_without_a_bucket_is_refused(address: str) -> None:
    with pytest.raises(BadInputError, match="names no bucket"):
        Place.parse(address)


@pytest.mark.parametrize(
    "address", ["s3://models", "s3://models/", "s3://models/a//b", "s3://models/../x", "s3://models/a\n"]
)
def test_an_address_without_a_folder_is_refused(address: str) -> None:
    with pytest.raises(BadInputError, match="names no folder"):
        Place.parse(address)


def test_an_address_is_read_and_written() -> None:
    assert Place.parse("s3://models/a/b/") == Place("models", "a/b")
    assert str(Place("models", "a/b")) == "s3://models/a/b"


def test_without_the_library_the_extra_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UnsupportedError, match=r"patchsift\[s3\]"):
        Storage(place)


# ------------------------------------------------------------------------------------------------ from a terminal


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "desk").mkdir()
    with installed("sqlite", request, tmp_path / "desk") as made:
        made.read(*(change(f"Issue {n}") for n in range(3)))
        made.accept_all()
        made.release()
        yield made


def test_an_export_to_storage_is_the_folder_that_an_export_here_writes(s3: S3, place: Place, desk: Desk) -> None:
    here = desk.folder / "here"
    assert run(desk, "export", "--release", "1", "--out", here).status == 0
    words = ("export", "--release", "1", "--out", place, "--s3-endpoint", s3.endpoint)
    ended = run(desk, *words, "--json")

    assert ended.status == 0, ended.err
    assert ended.json["folder"] == str(place)
    assert ended.json["sent"] == {"n_files": len(sizes(here)), "n_bytes": sum(sizes(here).values()), "n_there": 0}
    assert all(fetch(s3, place, name) == (here / name).read_bytes() for name in sizes(here))
    assert Storage(place, s3.endpoint).look() == sizes(here)
    again = run(desk, *words)
    assert (again.status, "lay there already" in again.err) == (0, True)
    assert "rows (" in again.err
    assert f"in {place}" in again.err
    assert not list(desk.settings.data_dir.glob(".tmp-*"))


def test_every_dataset_goes_too_and_another_release_is_refused(s3: S3, place: Place, desk: Desk) -> None:
    words = ("export", "--all", "--out", place, "--s3-endpoint", s3.endpoint)
    ended = run(desk, *words, "--release", "1")
    assert ended.status == 0, ended.err
    there = Storage(place, s3.endpoint).look()
    assert "SHA256SUMS" in there
    desk.read(change("Issue 9"))
    desk.accept_all()
    desk.release()
    refused = run(desk, *words, "--release", "2")
    assert (refused.status, "holds something else already" in refused.err) == (1, True)
    assert Storage(place, s3.endpoint).look() == there


def test_nothing_is_built_where_it_could_not_be_sent(s3: S3, desk: Desk) -> None:
    cases = {
        ("--out", "s3://none-such/x", "--s3-endpoint", s3.endpoint): "has no bucket",
        ("--out", "s3://models", "--s3-endpoint", s3.endpoint): "names no folder",
        ("--out", "x", "--s3-endpoint", s3.endpoint): "--s3-endpoint goes with --out s3://",
    }
    for words, told in cases.items():
        ended = run(desk, "export", *words)
        assert (ended.status, told in ended.err) == (1, True), ended.err
