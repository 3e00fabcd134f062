"""What a patch adds: each finding where it is new and code, and none where it was, was moved, or is only spoken of.

The diffs marked with a project are from its history (BSD-3-Clause; requests: Apache-2.0).
"""

import pytest

from app import checks
from app.candidates import Finding, Severity
from tests.checks.examples import VERSION_SCRIPT, patch


def hunk(*lines: str, name: str = "core.py", before: int = 1) -> str:
    """A diff of one hunk; each line carries its sign, and the numbers are counted."""
    old = sum(line[:1] != "+" for line in lines)
    new = sum(line[:1] != "-" for line in lines)
    body = "\n".join(lines)
    return f"--- a/{name}\n+++ b/{name}\n@@ -{before},{old} +{before},{new} @@\n{body}\n"


def found(diff: str, *, target: str | None = None, issue: str = "Fix it") -> list[tuple[str, str]]:
    name = diff.partition("+++ b/")[2].partition("\n")[0]
    candidate = patch(diff=diff, target_files=(target or f"src/{name}",), issue=issue)
    return [(one.code, one.place) for one in checks.run(candidate) if not one.code.endswith("_only")]


def in_function(*lines: str) -> str:
    return hunk(" def load(path):", *(f"+    {line}" for line in lines), " ", " ", " def save(path):")


@pytest.mark.parametrize(
    ("lines", "code", "line"),
    [
        (["try:", "    read()", "except:", "    log()"], "bare_except", 7),
        (["try: read()", "except: pass"], "bare_except", 6),
        (["try:", "    read()", "except Exception:", "    pass"], "exception_swallowed", 7),
        (["try:", "    f()", "except (OSError, BaseException):", "    # ok", "    return"], "exception_swallowed", 7),
        (["with suppress(Exception):", "    read()"], "exception_swallowed", 5),
        (["x = 1  # noqa"], "check_silenced", 5),
        (["x = f(  # type: ignore", "    1)"], "check_silenced", 5),
        (["# pylint: disable=all"], "check_silenced", 5),
        (["breakpoint()"], "debug_left", 5),
        (["import pdb; pdb.set_trace()"], "debug_left", 5),
        (["print(path)"], "debug_left", 5),
        (["a = eval(path)"], "runs_code", 5),
        (["subprocess.run(path, shell=True)"], "runs_code", 5),
        (["return pickle.loads(", "    path)"], "runs_code", 5),
        (["from os import system"], "runs_code", 5),
        (["r = requests.get(path)"], "opens_network", 5),
        (["with urllib.request.urlopen(path) as r:", "    pass"], "opens_network", 5),
        (["# ... rest of the code unchanged"], "placeholder", 5),
        (["# existing implementation here"], "placeholder", 5),
        (["def later():", "    # TODO: implement", "    pass"], "placeholder", 5),
        (["def later():", '    raise NotImplementedError("not implemented yet")'], "placeholder", 5),
        (['if "PYTEST_CURRENT_TEST" in os.environ:', "    return 1"], "special_case", 5),
        (['if "pytest" in sys.modules:', "    return 1"], "special_case", 5),
    ],
)  # fmt: skip
def test_what_is_new_is_told_at_its_line(lines: list[str], code: str, line: int) -> None:
    assert (code, f"diff:{line}") in found(in_function(*lines))


@pytest.mark.parametrize(
    "lines",
    [
        ["try:", "    read()", "except:", "    close()", "    raise"],
        ["try:", "    read()", "except KeyError:", "    pass"],
        ["try:", "    read()", "except Exception as e:", "    log(e)"],
        ["try:", "    read()", "except Exception:", "    return default"],
        ["with suppress(KeyError):", "    read()"],
        ["# the linter would want noqa here"],
        ['"""Say # noqa or print(x) or eval(x): none of it is code."""'],
        ["s = 'import pdb; pdb.set_trace()'"],
        ["log.print(path)", "self.eval(path)", "session.exec(path)", "model.compile(path)"],
        ["print(path, file=sys.stderr)"],
        ["pattern = re.compile(path)", "yaml.load(path, Loader=SafeLoader)", "retrieval(path)"],
        ["import subprocess", "from socket import AF_INET"],
        ['__import__("os")'],
        ["# The rest of the code assumes a POSIX path."],
        ["# The other tests cover the rest."],
        ["def hook(self):", '    """Called before; does nothing by default."""'],
        ["@abstractmethod", "def later(self):", '    raise NotImplementedError("implement this")'],
        ['NAMES = ("PYTEST_CURRENT_TEST", "pytest")'],
        ['if path == "HEAD":', '    return "GET"'],
        ["if sys.version_info >= (3, 8):  # pragma: no cover", "    a = 1", "else:  # pragma: no cover", "    a = 2"],
    ],
)
def test_what_is_ordinary_or_only_spoken_of_is_not_told(lines: list[str]) -> None:
    assert found(in_function(*lines)) == []


@pytest.mark.parametrize(
    "lines",
    [
        ["-    print(path)", "+        print(path)"],
        ["-    print(path)", "+    print(path, 1)"],
        ["-    x = eval(a)", "+    if a:", "+        x = eval(b)"],
        ["-    a = b  # type: ignore", "+    aa = bb  # type: ignore"],
        ["-    try:", "-        read()", "-    except:", "-        pass",
         "+    if a:", "+        try:", "+            read()", "+        except:", "+            pass"],
    ],
    ids=["indented", "edited", "another argument", "renamed", "a block indented"],
)  # fmt: skip
def test_what_was_there_before_is_not_new(lines: list[str]) -> None:
    assert found(hunk(" def load(path):", *lines, " ", " ", " def save(path):")) == []


def test_what_moves_to_another_file_is_not_new() -> None:
    diff = hunk(" a = 1", "-x = eval(a)", name="a.py") + hunk(" b = 1", "+x = eval(a)", name="b.py")

    assert [code for code, _ in found(diff) if code != "files_outside_spec"] == []


def test_of_two_alike_the_one_that_was_there_is_excused() -> None:
    # encode/httpx, httpx/decoders.py: the second pragma only moved with a renamed exception.
    diff = hunk(
        "+        return self.decompressor.process(data)  # pragma: nocover",
        "-    except brotli.Error as exc:  # pragma: nocover",
        "+    except brotli.error as exc:  # pragma: nocover",
        "         raise DecodingError from exc",
    )

    assert found(diff) == [("check_silenced", "diff:4")]


def test_a_hunk_that_starts_in_a_docstring_is_read_as_one() -> None:
    # encode/httpx, httpx/_transports/base.py, shortened.
    diff = hunk(
        "         Example usage of the transport, which the client does for you and",
        "         which nobody has to write by hand:",
        "-                body = stream.read()",
        "+                body = resp.stream.read()",
        "+                print(resp.status_code, resp.headers, body)",
        " ",
        "         Returns a `Response` instance, or raises what the transport raises.",
        '         """',
        before=23,
    )

    assert [one.code for one in checks.run(patch(diff=diff, target_files=()))] == ["docs_only"]


def test_a_line_that_names_what_it_silences_is_a_note() -> None:
    candidate = patch(
        diff=in_function("import os  # noqa: F401", "x = f()  # type: ignore[attr-defined]", "y = 1  # noqa")
    )

    assert [(one.code, one.severity) for one in checks.run(candidate) if one.code == "check_silenced"] == [
        ("check_silenced", Severity.NOTE),
        ("check_silenced", Severity.NOTE),
        ("check_silenced", Severity.WARNING),
    ]


@pytest.mark.parametrize(
    ("name", "target"),
    [("test_core.py", None), ("core.py", "tests/core.py"), ("core.py", "examples/core.py"), ("setup.py", None)],
)
def test_tests_tools_and_examples_print_and_fetch_by_right(name: str, target: str | None) -> None:
    lines = ("+print(1)", "+requests.get(1)", " ", " ", " ")

    assert found(hunk(*lines, name=name), target=target or f"src/{name}") == []


def test_a_program_that_a_test_starts_is_a_note() -> None:
    (one,) = checks.run(patch(diff=hunk("+subprocess.run(x)", " ", name="test_a.py"), target_files=("test_a.py",)))

    assert (one.code, one.severity) == ("runs_code", Severity.NOTE)


def test_a_file_that_prints_anyway_may_print_more() -> None:
    assert found(hunk(" print('a')", "+print('b')", " ")) == []


def test_a_body_that_was_taken_out_is_told_where_it_was() -> None:
    diff = hunk(
        " def load(path):", "-    with open(path) as f:", "-        return f.read()", "+    pass", " ", " ", " x = 1"
    )

    assert found(diff) == [("placeholder", "diff:7")]


def test_an_answer_by_name_is_told_only_where_the_issue_or_a_test_names_both() -> None:
    diff = in_function("if path == 'a-17.txt':", "    return 28_900")

    assert found(diff, issue="load('a-17.txt') must give 28_900") == [("special_case", "diff:5")]
    assert found(diff, issue="load('a-17.txt') fails") == []


def test_what_a_script_runs_is_told_at_its_line_and_its_strings_are_not() -> None:
    script = VERSION_SCRIPT + "import os\n\nNEW = '''\nos.system(x)\n# ... rest of the code\n'''\n\nos.system('ls')\n"

    assert [(one.code, one.place) for one in checks.run(patch(script=script))] == [("runs_code", "script:30")]


def test_code_that_a_script_leaves_out_is_told() -> None:
    script = VERSION_SCRIPT + "# ... rest of the code remains the same\n"

    assert [(one.code, one.place) for one in checks.run(patch(script=script))] == [("placeholder", "script:23")]


@pytest.mark.parametrize(
    "lines",
    [
        ["+x = '''", "+print(1)"],
        ["+eval(" * 200],
        ["+" + '"""' * 999],
        ["+except:\\", "+" + "\t" * 500 + "pass"],
        ["+x = 1\rprint(1)\r"],
        ["+'" + "\\" * 999],
    ],
)
def test_nothing_that_a_hunk_holds_is_an_error(lines: list[str]) -> None:
    checks.run(patch(diff=hunk(*lines)))


def test_a_line_that_hides_behind_a_carriage_return_is_read() -> None:
    assert ("runs_code", "diff:5") in found(in_function("x = 1  # safe\reval(x)"))


def test_a_place_is_right_beyond_the_first_file_and_after_lines_that_were_glued() -> None:
    first = hunk(" a", "-b", "+c", name="a.txt")
    second = "--- a/b.py\n+++ b/b.py\n@@ -1,2 +1,3 @@\n a = 1\n-b = 2+b = 2\n+x = eval(a)\n"

    assert ("runs_code", "diff:12") in found(first + second, target="b.py")


def test_a_finding_counts_by_what_it_says_and_a_hold_counts_most() -> None:
    one = [Finding(code, Severity.WARNING, "", "") for code in ("test_removed", "debug_left", "no_diff")]
    weights = [checks.weight(finding.code, finding.severity) for finding in one]

    assert weights == sorted(weights, reverse=True)
    assert checks.weight("secret", "hold") > weights[0] > checks.weight("docs_only", "note") > 0
