"""Prompt templates from a terminal: what goes to which output, and what a script may rely on."""

from pathlib import Path

import pytest

from app.recipes.prompt import KINDS, shipped
from tests.commands import call
from tests.test_cli import write

TEXT = "Spec it.\n{issue}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "fresh"
    assert call("db", "upgrade", "--data-dir", place).status == 0
    return place


def test_a_template_is_read_written_and_put_back(folder: Path, tmp_path: Path) -> None:
    at = ("--data-dir", folder)
    listed = call("template", "list", "--json", *at).json["templates"]
    assert [one["label"] for one in listed] == [one.label for one in shipped().values()]
    assert {one["name"] for one in listed} == set(KINDS)

    path = write(tmp_path / "spec.txt", b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    saved = call("template", "save", "t5_spec", path, "--comment", "shorter", "--json", *at)
    assert (saved.status, saved.json["label"]) == (0, "t5_spec/p1")
    again = call("template", "save", "t5_spec", "-", *at, given=TEXT.encode())
    assert "already; nothing was changed" in again.err

    shown = call("template", "show", "t5_spec", *at)
    assert shown.out == TEXT
    assert "t5_spec/p1; versions: t5_spec/p1, t5_spec/1" in shown.err
    assert call("template", "show", "t5_spec/1", "--json", *at).json["text"] == shipped()["t5_spec"].text

    assert "t5_spec/1 is in use now." in call("template", "use", "t5_spec", "shipped", *at).err
    versions = call("template", "show", "t5_spec", "--json", *at).json["versions"]
    assert [(one["label"], one["comment"], one["in_use"]) for one in versions] == [
        ("t5_spec/p1", "shorter", False),
        ("t5_spec/1", "", True),
    ]


@pytest.mark.parametrize(
    ("words", "given", "sentence"),
    [
        (["show", "poem"], b"", "There is no template 'poem'"),
        (["show", "t5_spec/p9"], b"", "There is no template 't5_spec/p9'"),
        (["save", "t5_spec", "-"], b"no gap", "cannot do without {issue}"),
        (["save", "t5_spec", "-"], b"\xff{issue}", "- is not UTF-8: byte 0 is 0xff"),
        (["save", "t5_spec", "nowhere.txt"], b"", "cannot be read"),
        (["use", "t5_spec", "t5_spec/p9"], b"", "There is no template 't5_spec/p9'"),
        (["use", "t5_spec", "newest"], b"", "cannot be put to use"),
    ],
)
def test_what_cannot_be_is_a_sentence(folder: Path, words: list[str], given: bytes, sentence: str) -> None:
    ended = call("template", *words, "--data-dir", folder, given=given)

    assert (ended.status, ended.out) == (1, "")
    assert sentence in ended.err
