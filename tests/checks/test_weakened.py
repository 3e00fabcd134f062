"""What a patch takes from the tests. The diffs that name a project are from its history (BSD-3-Clause)."""

import pytest

from app import checks
from tests.checks.examples import patch
from tests.checks.test_added import hunk


def found(*lines: str, name: str = "test_core.py") -> list[tuple[str, str]]:
    candidate = patch(diff=hunk(*lines, name=name), target_files=(f"tests/{name}",))
    return [(one.code, one.place) for one in checks.run(candidate)]


ELAPSED = (
    # encode/httpx, tests/client/test_client.py: "Drop flaky timing tests", shortened.
    " async def test_elapsed_delay(server):",
    '     url = server.url.copy_with(path="/slow_response/100")',
    "     async with httpx.Client() as client:",
    "         response = await client.get(url)",
    "-    assert response.elapsed.total_seconds() == pytest.approx(0.1, rel=0.2)",
    "-",
    "-",
    "-@pytest.mark.asyncio",
    "-async def test_elapsed_delay_ignores_read_time(server):",
    '-    url = server.url.copy_with(path="/slow_response/100")',
    "-    async with httpx.Client() as client:",
    "-        async with client.stream('GET', url) as response:",
    "-            await response.read()",
    "-    assert response.elapsed.total_seconds() == pytest.approx(0.1, rel=0.2)",
    "+    assert response.elapsed.total_seconds() > 0.0",
)


def test_a_removed_test_and_a_looser_assertion_are_told_at_their_lines() -> None:
    assert found(*ELAPSED) == [("test_removed", "diff:12"), ("test_weakened", "diff:18")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("assert load(1) == [1, 2]", "assert load(1)"),
        ("assert load(1) == [1, 2]", "assert load(1) is not None"),
        ("assert reply.status == 200", "assert reply.status in (200, 500)"),
        ("assert len(rows) == 3", "assert len(rows) >= 1"),
        ("assert x == approx(y, abs=1e-9)", "assert x == approx(y, abs=0.1)"),
        ("self.assertAlmostEqual(x, y, places=7)", "self.assertAlmostEqual(x, y, places=1)"),
        ("self.assertEqual(x, 2)", "self.assertTrue(x)"),
        ("assert load(1) == 2", "assert True"),
    ],
)
def test_an_assertion_that_is_easier_to_meet_is_told(before: str, after: str) -> None:
    assert found(" def test_load():", f"-    {before}", f"+    {after}", " ") == [("test_weakened", "diff:6")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("assert load(1) == [1, 2]", "assert load(1) == [1, 2, 3]"),
        ("assert load(1)", "assert load(1) == 2"),
        ("assert x == approx(y, abs=0.1)", "assert x == approx(y, abs=1e-9)"),
        ("assert x == approx(y, abs=0.1)", "assert x == approx(y + 1, abs=0.1)"),
        ("assertEqual(x, 2)", "assert x == 2"),
        ("with pytest.warns(None):", "with warnings.catch_warnings():"),
    ],
)
def test_an_assertion_that_asks_for_as_much_is_not_told(before: str, after: str) -> None:
    assert found(" def test_load():", f"-    {before}", f"+    {after}", " ") == []


def test_an_assertion_that_is_only_taken_out_is_told() -> None:
    lines = (
        " def test_load():",
        "     x = load(1)",
        "     assert x.a",
        "-    assert x.b == 2",
        " ",
        " def test_save():",
    )

    assert found(*lines) == [("test_weakened", "diff:7")]


def test_a_test_written_anew_is_not_weakened() -> None:
    # pallets/click, tests/test_commands.py, shortened: two assertions became one that says more.
    assert found(
        "     @click.command()",
        '-    @click.option("--foo", type=click.INT, default=42)',
        "-    def other_cmd(ctx, foo):",
        '-        assert ctx.info_name == "other-cmd"',
        "-    result = runner.invoke(cli, [])",
        "-    assert not result.exception",
        '-    assert result.output == "42\\n"',
        '+    @click.option("-b", type=click.INT, default="15")',
        "+    def other_cmd(ctx, a, b, c):",
        "+        return ctx.info_name, a, b, c",
        "+    result = runner.invoke(cli, standalone_mode=False)",
        '+    assert result.return_value == ("other-cmd", 42, 15, ())',
        " ",
    ) == []  # fmt: skip


@pytest.mark.parametrize(
    "lines",
    [
        [
            "-def test_handler(test_client_factory):",
            "+def test_handler(test_client_factory: Factory) -> None:",
            "     pass",
        ],
        ["-def test_boolean_option(runner):", "-    assert a", "+def test_boolean_switch(runner):", "+    assert b"],
        ["-def test_a():", "-    assert a", " ", " b = 1", "+def test_a():", "+    assert a"],
        ["-def testing_tool():", "-    return 1", " "],
        [" def test_pass(runner):", "-    @pass_args", "-    def test1(foo, ctx):", "-        return foo", "     f()"],
    ],
    ids=["signature", "another test instead", "moved", "no test file's test", "a function within a test"],
)
def test_a_test_that_is_renamed_moved_or_replaced_is_not_removed(lines: list[str]) -> None:
    name = "tool.py" if "testing_tool" in lines[0] else "test_core.py"
    candidate = patch(diff=hunk(*lines, name=name), target_files=(name,))

    assert checks.run(candidate) == ()


def test_a_test_that_moves_to_another_file_is_not_removed() -> None:
    moved = ("def test_load():", "    assert load(1) == 2")
    diff = hunk(*(f"-{line}" for line in moved), " ", name="test_a.py")
    diff += hunk(" ", *(f"+{line}" for line in moved), name="test_b.py")

    assert checks.run(patch(diff=diff, target_files=("test_a.py", "test_b.py"))) == ()


@pytest.mark.parametrize(
    "lines",
    [
        ["+@pytest.mark.xfail", " def test_multicommand_chaining(runner):", "     pass"],
        ["+@pytest.mark.skipif(sys.platform == 'win32')", " def test_old():", "     pass"],
        ["+@unittest.skip('slow')", "+def test_new(self):", "+    self.assertTrue(f())"],
        [" def test_old():", "+    pytest.skip('flaky')", "     f()"],
        ["+pytestmark = pytest.mark.skip", " "],
        [" def test_old(self):", "+    self.skipTest('later')", "     f()"],
    ],
)
def test_a_test_that_no_longer_runs_is_told(lines: list[str]) -> None:
    assert [code for code, _ in found(*lines)] == ["test_skipped"]


@pytest.mark.parametrize(
    "lines",
    [
        ["+@pytest.mark.skipif(sys.platform == 'win32')", "+def test_new():", "+    assert f()"],
        ["+@pytest.mark.xfail(sys.platform == 'win32', reason='x')", "+def test_new():", "+    assert f()"],
        [" def test_old():", "+    if not has_brotli:", "+        pytest.skip('no brotli')", "     f()"],
        ["-@pytest.mark.skip", "+@pytest.mark.skip(reason='slow')", " def test_old():", "     f()"],
        ["+def skip(n):", "+    return n", "+skip_next = skip(1)"],
    ],
)
def test_a_skip_that_takes_nothing_away_is_not_told(lines: list[str]) -> None:
    assert found(*lines) == []
