import pytest

from app.diffs.highlight import colours, colours_of, opening_of, plan
from app.diffs.parse import parse
from tests.diffs.texts import with_header


def _words(line: str, spans: list[tuple[int, int, str]]) -> list[tuple[str, str]]:
    return [(line[start:end], name) for start, end, name in spans]


def test_tokens_have_places_in_their_line() -> None:
    lines = ["def f(x):", "    return 'a' + 1  # one"]
    found = colours("python", lines)
    assert found is not None
    assert _words(lines[0], found[0]) == [("def", "k"), ("f", "f")]
    assert _words(lines[1], found[1]) == [("return", "k"), ("'a'", "s"), ("1", "m"), ("# one", "c")]


@pytest.mark.parametrize(
    "line", ["", "   ", "x = 1\r", "a\fb = 2", "x = '\u2028'", "\ud800 = 1", "\0", "\ufeffx = 1", "x" * 1001]
)
@pytest.mark.parametrize("language", ["python", "json", "toml", "bash"])
def test_an_odd_line_never_moves_the_colours_of_the_next(language: str, line: str) -> None:
    found = colours(language, ["", line, "# x" if language != "json" else "1"])
    assert found is not None
    assert len(found) == 3
    assert all(end <= len(line) for _, end, _ in found[1])
    assert [span[:2] for span in found[2]] == [(0, 1 if language == "json" else 3)]


@pytest.mark.parametrize(("language", "text"), [("", "x"), ("javascript", "let a"), ("python", "x\n" * 60_000)])
def test_what_cannot_be_coloured_safely_stays_plain(language: str, text: str) -> None:
    assert colours(language, text.split("\n")) is None


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("import os\n\ndef f():\n    return os.name", ""),
        ('    Return the name of the user, or none.\n\n    This is slow.\n    """\n    return user.name', '"""'),
        ("    it is said that the value is kept.\n    '''\n    x = 1\n    y = 2", "'''"),
        ('    """Say the name of it."""\n    x = f(1)\n    return x', ""),
        ("x", None),
    ],
)
def test_prose_at_the_start_of_a_piece_means_a_string(text: str, opening: str | None) -> None:
    assert opening_of([text.split("\n")]) == opening


def test_a_hunk_inside_a_docstring_is_coloured_as_a_string() -> None:
    body = (
        '     The name of the user that asked.\n-    It is slow.\n+    It is quite fast.\n     """\n     return name\n'
    )
    doc = parse(with_header("@@ -40,4 +40,4 @@\n" + body))
    piece = plan(doc)[0]
    assert piece is not None
    old, new = colours_of(piece)
    assert old is not None
    assert new is not None
    assert [name for _, _, name in new[0]] == ["s"]
    assert new[3][0][2] == "k"


def test_an_unclear_hunk_is_not_coloured() -> None:
    doc = parse(with_header("@@ -40 +40 @@\n-x\n+y\n"))
    piece = plan(doc)[0]
    assert piece is not None
    assert colours_of(piece) == (None, None)
