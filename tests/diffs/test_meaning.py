import pytest

from app.diffs.meaning import Only, compare, compare_hunks, pieces_of
from app.diffs.parse import parse
from tests.diffs.texts import with_header

HEAD = "import os\n\n\n"


@pytest.mark.parametrize(
    ("before", "after", "only"),
    [
        ("f(a, b)\n", "f(\n    a,\n    b,\n)\n", Only.LAYOUT),
        ("x = 'a'\n", 'x = "a"\n', Only.LAYOUT),
        ("x = 1  # one\n", "x = 1  # two\n", Only.COMMENTS),
        ('def f():\n    """One."""\n    return 1\n', 'def f():\n    """Two."""\n    return 1\n', Only.DOCSTRINGS),
        ("x = 1\n", "x = 2\n", Only.NOTHING),
        ("if a:\n    b()\n    c()\n", "if a:\n    b()\nc()\n", Only.NOTHING),
        ("x = (a, b)\n", "x = (a, b,)\n", Only.LAYOUT),
        ("x = (a)\n", "x = (a,)\n", Only.NOTHING),
        ("f(a)\n", "f(a,)\n", None),
        ("x = f'{a}'\n", 'x = f"{a}"\n', None),
        ("x = 'a' 'b'\n", "x = 'ab'\n", None),
        ("def f(:\n", "def f( :\n", Only.NOTHING),
        ("x = '''\n# a\n'''\n", "x = '''\n# b\n'''\n", Only.NOTHING),
    ],
)
def test_what_alone_a_change_touches(before: str, after: str, only: Only | None) -> None:
    whole = compare(before, after)
    assert whole is (Only.LAYOUT if only is None else only)
    old, new = (HEAD + side for side in (before, after))
    signed = [f"{sign}{line}\n" for sign, side in (("-", old), ("+", new)) for line in side.split("\n")[:-1]]
    counts = f"@@ -5,{old.count(chr(10))} +5,{new.count(chr(10))} @@\n"
    hunk = parse(with_header(counts + "".join(signed))).files[0]
    found = compare_hunks(pieces_of(hunk))
    # Of a piece less can be proven, and never anything else; its tokens may agree where no file could be read.
    assert found in {Only.NOTHING, whole} or before == "def f(:\n"
    assert found is only or only is None or before == "def f(:\n"


def test_a_piece_proves_nothing_where_it_may_stand_in_a_string() -> None:
    file = parse(with_header("@@ -40,2 +40,2 @@\n-x = 1  # a\n+x = 1  # b\n y\n")).files[0]
    assert compare_hunks(pieces_of(file)) in {Only.NOTHING, Only.COMMENTS}
    prose = parse(with_header("@@ -40,2 +40,2 @@\n-the value is kept  # a\n+the value is kept  # b\n y\n")).files[0]
    assert compare_hunks(pieces_of(prose)) is Only.NOTHING
