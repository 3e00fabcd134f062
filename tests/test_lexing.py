from app.diffs.highlight import Piece, colours_of, plan_script
from app.diffs.meaning import Only, Texts
from app.lexing import Lexer

SCRIPT = plan_script("def f():\n    return 1\n")
# The INI lexer looks at each of these again from every place before it.
SLOW = Piece("ini", (), ("=" * 990,) * 100, (False, True), ("", ""), shared=True)


def test_a_child_finds_what_the_lexer_finds_here() -> None:
    lexer = Lexer()
    try:
        found = lexer.ask([SCRIPT, None, SCRIPT], [Texts("f(a, b)\n", "f(a,\n  b)\n"), None])
    finally:
        lexer.stop()
    assert found.sides == [colours_of(SCRIPT), (None, None), colours_of(SCRIPT)]
    assert found.onlys == [Only.LAYOUT, Only.NOTHING]
    assert not found.is_late


def test_a_slow_text_ends_the_child_and_not_the_next_page() -> None:
    lexer = Lexer(wall_s=0.2)
    try:
        found = lexer.ask([SLOW, SCRIPT], [Texts("a", "b")])
        assert found == ([(None, None)] * 2, [Only.NOTHING], True)
        assert lexer.ask([SCRIPT]).sides == [colours_of(SCRIPT)]
    finally:
        lexer.stop()
