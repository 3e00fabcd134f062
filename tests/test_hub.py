"""Pushing a release to the Hub: what a dry run says is what is sent, and what must not leave does not.

The Hub is a stand-in on loopback (tests/hub.py), the client the real huggingface_hub in a process of its own.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import releases
from app.errors import UnsupportedError
from app.hub import Offer, push
from tests.commands import Ended, call
from tests.conftest import NOON
from tests.hub import TOKEN, Hub
from tests.releasing import Desk, installed
from tests.test_release_cli import change, options


@pytest.fixture(scope="module")
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Release 1 with licences, 2 with rows whose licence nobody stated, 3 withdrawn."""
    with installed("sqlite", request, tmp_path_factory.mktemp("desk")) as made:
        made.read(*(change(f"Issue {n}") for n in range(4)), licence="MIT")
        made.accept_all()
        made.release()
        made.read(change("Issue 8"))
        made.accept_all()
        made.release()
        made.release()
        with made.db.write() as session:
            releases.withdraw(session, made.project, 3, "a secret in it", now=NOON)
        yield made


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.stop()


def send(desk: Desk, hub: Hub, *words: object, token: str = TOKEN, release: object = 1) -> Ended:
    given = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": token, "HF_HOME": str(desk.folder / "hf")}
    return call("push", "hub", "ann/patches", "--release", release, *words, *options(desk), settings=given)


def test_a_dry_run_says_what_would_be_sent_and_asks_nobody(desk: Desk, hub: Hub) -> None:
    ended = send(desk, hub, "--dry-run", "--json")
    assert ended.status == 0, ended.err
    told = ended.json
    assert (told["repo"], told["private"], told["release"], told["sent"]) == ("ann/patches", True, 1, None)
    assert {"README.md", "manifest.json", "SHA256SUMS", "held_back.jsonl"} <= set(told["files"])
    assert list(told["licences"]) == ["MIT"]
    assert told["rows"]["scaffold_sft_pc"] == 4
    assert told["bytes"] == sum(told["files"].values())
    assert hub.requests == []

    listed = send(desk, hub, "--dry-run", "--public")
    assert [line.split(maxsplit=1)[1] for line in listed.out.splitlines()] == list(told["files"])
    assert "Nothing was sent. To ann/patches: release 1:" in listed.err
    assert "licences: MIT" in listed.err
    assert "PUBLIC" in listed.err
    assert hub.requests == []


def test_what_is_sent_is_what_the_dry_run_said_in_one_commit(desk: Desk, hub: Hub) -> None:
    said = send(desk, hub, "--dry-run", "--json").json
    ended = send(desk, hub, "--json")

    assert ended.status == 0, ended.err
    assert ended.json["files"] == said["files"]
    there = hub.repos["ann/patches"]
    assert there["private"]
    assert there["commits"] == ["initial commit", "Release 1"]
    assert sizes(there) == said["files"]
    assert json.loads(there["files"]["manifest.json"])["release"]["number"] == 1
    assert not list(desk.settings.data_dir.glob(".tmp-*"))


def test_another_release_takes_the_place_of_the_first_and_its_files_go(desk: Desk, hub: Hub) -> None:
    send(desk, hub)
    hub.repos["ann/patches"]["files"]["jsonl/gone/train.jsonl"] = b"old"
    ended = send(desk, hub, "--allow-unknown-licence", "--json", release=2)

    assert ended.status == 0, ended.err
    assert ended.json["licences"]["not stated"] > 0
    there = hub.repos["ann/patches"]
    assert there["commits"] == ["initial commit", "Release 1", "Release 2"]
    assert sizes(there) == ended.json["files"]


@pytest.mark.parametrize(
    ("words", "release", "told"),
    [
        ((), 2, "nobody stated a licence"),
        (("--dry-run",), 2, "nobody stated a licence"),
        (("--allow-unknown-licence",), 3, "Release 3 is withdrawn (a secret in it)"),
        (("--dry-run", "--allow-unknown-licence"), 3, "Release 3 is withdrawn (a secret in it)"),
        ((), 9, "9"),
    ],
)
def test_what_must_not_leave_is_refused(desk: Desk, hub: Hub, words: tuple[str, ...], release: int, told: str) -> None:
    ended = send(desk, hub, *words, release=release)
    assert (ended.status, told in ended.err) == (1, True), ended.err
    assert (hub.requests, hub.repos) == ([], {})


@pytest.mark.parametrize(
    ("made", "words", "told"),
    [
        ({"private": True, "model.bin": b"x"}, (), "holds something else than a release"),
        ({"private": False}, (), "ann/patches is public, and a push changes no repository's visibility. Say --public"),
        ({"private": True}, ("--public",), "ann/patches is private"),
    ],
)
def test_a_repository_that_is_not_meant_is_left_as_it_is(
    desk: Desk, hub: Hub, made: dict[str, Any], words: tuple[str, ...], told: str
) -> None:
    hub.make("ann/patches", **made)
    ended = send(desk, hub, *words)
    assert (ended.status, told in ended.err) == (1, True), ended.err
    assert hub.repos["ann/patches"]["commits"] == ["initial commit"]


def test_who_is_not_known_or_may_not_write_is_told_so(desk: Desk, hub: Hub) -> None:
    assert "Nobody is logged in to the Hub. Run hf auth login" in send(desk, hub, token="").err
    assert "does not let this token write to ann/patches" in send(desk, hub, token="hf_other").err
    assert hub.repos == {}
    hub.stop()
    assert "The Hub cannot be reached" in send(desk, hub).err


def test_a_name_that_is_none_is_refused(desk: Desk) -> None:
    ended = call("push", "hub", "patches", "--release", 1, "--dry-run", *options(desk))
    assert (ended.status, "Say OWNER/NAME" in ended.err) == (1, True)


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UnsupportedError, match=r"patchsift\[hub\]"):
        push(Offer("a/b", True, 1, {}, {}, {}, 0), tmp_path)


def sizes(there: dict[str, Any]) -> dict[str, int]:
    return {name: len(text) for name, text in there["files"].items() if name != ".gitattributes"}
