"""What an error text says: its kind by how it starts, its exception, its frames, and the lines of the script."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.candidates import Frame
from app.formats.traces import read_trace

SCRIPT = "\n".join(f"line_{number} = {number}" for number in range(1, 31))
APPLY = "PatchApplicationError: Failed to apply LibCST script: "
POLISH = "PatchApplicationError after polish: "
IN_CODEMOD = "Error during codemod transformation by 'FixCommand' (Desc: line 3 @ 4:5): "

# As the agent writes them, by start; the rest of each is arranged.
KINDS = [
    (APPLY + "Syntax error in LibCST script string: invalid syntax (<unknown>, line 4)", "syntax"),
    (APPLY + "Error parsing LibCST script string to find codemod class: No class inheriting from X", "no_codemod"),
    (APPLY + "Could not retrieve Codemod class 'FixCommand' after executing the script.", "no_codemod"),
    (APPLY + "Error executing LibCST script string: name 're' is not defined", "execution"),
    (APPLY + "Error instantiating codemod 'FixCommand': missing 1 argument", "instantiation"),
    (APPLY + "Error parsing original code: Syntax Error @ 3:1.", "original"),
    (APPLY + IN_CODEMOD + "'Module' object has no attribute 'source'", "transformation"),
    (APPLY + "something that no version says", "application"),
    (POLISH + IN_CODEMOD + "'Module' object has no attribute 'source'", "transformation"),
    ("Unexpected error applying polished script: 'NoneType' object has no attribute 'code'", "unexpected"),
    ("UnexpectedErrorApplyingPatch: AttributeError - 'NoneType' object has no attribute 'code'", "unexpected"),
    ("DUPLICATE_DETECTED: REUSE_EXISTING_HELPER", "duplicate"),
    ("PhaseConfigurationError: no target file", "configuration"),
    ("AgentError: no model is loaded", "agent"),
    ("Ruff found issues in 'x.py':\n/var/tmp/x.py:9:12: F821 Undefined name `y`", "ruff"),
    ("Pyright found 2 error(s) in 'x.py':\n/var/tmp/x.py:9:12 - error: no", "pyright"),
    ("Black-diff: Code in 'x.py' is not formatted", "black"),
    ("Black operational error: cannot read", "black"),
    ("Pytest failed (exit code 1) for targets 'tests' in temp project '/var/tmp/p'.", "pytest"),
    ("Heuristic fix applied, pending re-validation", "pending"),
    ("Traceback (most recent call last):\n  File \"/x.py\", line 1, in f\nKeyError: 'a'", "exception"),
    ("KeyError: 'a'", "exception"),
    ("SyntaxError: invalid syntax (<string>, line 2)", "syntax"),
    ("\nRuff found issues in 'x.py'", "ruff"),
    ("it went wrong", "other"),
    ("Caution: it went wrong", "other"),
    ("", "other"),
]


@pytest.mark.parametrize(("text", "kind"), KINDS, ids=[text[:90] for text, _ in KINDS])
def test_a_text_is_known_by_its_start(text: str, kind: str) -> None:
    trace = read_trace(text, SCRIPT)

    assert (trace.text, trace.kind) == (text, kind)
    assert trace.label[:1].isupper()
    assert "_" not in trace.label


def test_of_several_texts_the_first_decides_and_the_label_names_all() -> None:
    trace = read_trace(
        "Pyright found 1 error(s) in 'x.py':\n…\nRuff found issues in 'x.py':\n…\nPytest failed (1)", None
    )

    assert (trace.kind, trace.label) == ("pyright", "Pyright found errors; Ruff found issues; Tests failed")


def test_a_label_says_that_it_was_the_polished_script() -> None:
    assert read_trace(POLISH + IN_CODEMOD, None).label == "The codemod fails on the file (after polish)"


@pytest.mark.parametrize(
    ("text", "exception"),
    [
        ("UnexpectedErrorApplyingPatch: AttributeError - 'NoneType' object has no attribute 'code'", "AttributeError"),
        ("UnexpectedErrorApplyingPatch: libcst.ParserSyntaxError - no", "ParserSyntaxError"),
        ("PhaseConfigurationError: no target file", "PhaseConfigurationError"),
        ("requests.exceptions.ConnectTimeout: no answer", "ConnectTimeout"),
        (APPLY + "Error executing LibCST script string: name 're' is not defined", "PatchApplicationError"),
        (POLISH + "no", "PatchApplicationError"),
        (APPLY + "Syntax error in LibCST script string: invalid syntax (<unknown>, line 4)", "SyntaxError"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("Pytest failed (exit code 1)\nE       AttributeError: 'bool' object\nE   KeyError: 'a'", "AttributeError"),
        ("Pytest failed (exit code 5): no tests were found", None),
        ("Ruff found issues in 'x.py'", None),
        ("DUPLICATE_DETECTED: REUSE_EXISTING_HELPER", None),
        ("Note: nothing", None),
    ],
)
def test_the_exception_is_the_one_that_the_text_names(text: str, exception: str | None) -> None:
    assert read_trace(text, None).exception == exception


CHAINED = """\
PatchApplicationError: Failed to apply LibCST script: \n\
Traceback (most recent call last):
  File "/srv/agent/src/transformer/patch_applier.py", line 112, in apply_libcst_codemod_script
    transformed_tree = command_instance.transform_module(input_tree)
                       ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~^^^^^^^^^^^^
  File "<libcst_script>", line 8, in leave_Module
  File "<string>", line 6, in __init__
  File "/srv/agent/libcst/_nodes/base.py", line 118, in __post_init__
    self._validate()
  [Previous line repeated 2 more times]
libcst._nodes.base.CSTValidationError: Name 'a.b' is not a valid identifier.

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/agent/src/transformer/patch_applier.py", line 116, in apply_libcst_codemod_script
    raise PatchApplicationError(f"Error parsing original code: {e}")
src.transformer.exceptions.PatchApplicationError: Error during codemod transformation by 'X' (Desc: y): Name 'a.b'
"""


def test_a_chain_of_tracebacks_is_read_to_the_end() -> None:
    trace = read_trace(CHAINED, SCRIPT)

    assert (trace.kind, trace.exception, trace.script_lines) == ("transformation", "CSTValidationError", (8,))
    assert trace.frames == (
        Frame(
            "/srv/agent/src/transformer/patch_applier.py",
            112,
            "apply_libcst_codemod_script",
            "transformed_tree = command_instance.transform_module(input_tree)",
        ),
        Frame("<libcst_script>", 8, "leave_Module", "", 8),
        Frame("<string>", 6, "__init__"),
        Frame("/srv/agent/libcst/_nodes/base.py", 118, "__post_init__", "self._validate()"),
        Frame(
            "/srv/agent/src/transformer/patch_applier.py",
            116,
            "apply_libcst_codemod_script",
            'raise PatchApplicationError(f"Error parsing original code: {e}")',
        ),
    )


BROKEN = """\
PatchApplicationError: Failed to apply LibCST script: \n\
Traceback (most recent call last):
  File "/srv/agent/src/transformer/patch_applier.py", line 28, in apply_libcst_codemod_script
    script_ast = ast.parse(libcst_script_str)
  File "<unknown>", line 21
    ```
    ^
SyntaxError: invalid syntax

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/agent/src/transformer/patch_applier.py", line 29, in apply_libcst_codemod_script
    raise PatchApplicationError(f"Syntax error in LibCST script string: {e_syn}")
transformer.PatchApplicationError: Syntax error in LibCST script string: invalid syntax (<unknown>, line 21)
"""


def test_a_script_that_does_not_parse_is_linked_where_it_breaks_and_nowhere_else() -> None:
    trace = read_trace(BROKEN, SCRIPT)

    assert (trace.kind, trace.exception, trace.script_lines) == ("syntax", "SyntaxError", (21,))
    assert [(frame.line, frame.function, frame.code, frame.script_line) for frame in trace.frames[1:2]] == [
        (21, "", "```", 21)
    ]


def frame(file: str, line: int, code: str = "", function: str = "leave_Name") -> str:
    quoted = f"    {code}\n" if code else ""
    return f'Traceback (most recent call last):\n  File "{file}", line {line}, in {function}\n{quoted}NameError: no'


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (frame("<libcst_script>", 8), (8,)),
        (frame("<string>", 8), (8,)),
        (frame("<codemod>", 8), (8,)),
        # `<string>` is the script only where nothing else bears its name, and no dataclass made at run time.
        (frame("<libcst_script>", 8) + "\n" + frame("<string>", 9), (8,)),
        (frame("<string>", 8, "", "__init__"), (8,)),
        (frame("<string>", 8, "", "__init__").replace("NameError", '  File "x.py", line 1, in __post_init__\nNo'), ()),
        (frame("<unknown>", 8), ()),
        (frame("<frozen importlib._bootstrap>", 8), ()),
        (frame("/srv/agent/applier.py", 8), ()),
        # A fork that runs the script from a file: the line and its text both fit.
        (frame("/var/tmp/tmp1.py", 8, "line_8 = 8"), (8,)),
        (frame("/var/tmp/tmp1.py", 9, "line_8 = 8"), ()),
        (frame("<string>", 30), (30,)),
        (frame("<string>", 31), ()),
        (frame("<string>", 0), ()),
        (frame("<string>", 10**12), ()),
        (
            APPLY
            + "Syntax error in LibCST script string: unterminated string (detected at line 9) (<unknown>, line 7)",
            (7, 9),
        ),
        (APPLY + "Syntax error in LibCST script string: expected 'except' block @ 12:5", (12,)),
        (APPLY + "Syntax error in LibCST script string: expected ':' (<unknown>, line 31)", ()),
        (APPLY + "Error executing LibCST script string: bad escape (<string>, line 3)", (3,)),
        (APPLY + "Error parsing original code: Syntax Error @ 3:1 (<string>, line 3)", ()),
        (APPLY + IN_CODEMOD + "Syntax Error @ 3:13.", ()),
        (APPLY + IN_CODEMOD + "invalid syntax (<unknown>, line 3)", ()),
        (APPLY + IN_CODEMOD + "invalid syntax (<libcst_script>, line 3)", (3,)),
        # Ruff speaks of the patched file; only a fork lets it look at the script.
        ("Ruff found issues in 'x.py':\n/var/tmp/x.py:9:12: F821 Undefined name `y`\n", ()),
        (
            "Ruff found issues in '<libcst_script>':\n/var/tmp/x.py:9:12: F821 no\nx.py:4:1: E1 no\n --> x.py:2:1\n",
            (2, 4, 9),
        ),
        ("Pyright found 1 error(s) in '<script>':\n  /var/tmp/x.py:9:12 - error: no\n", (9,)),
    ],
)
def test_lines_of_the_script_are_linked_and_no_others(text: str, lines: tuple[int, ...]) -> None:
    assert read_trace(text, SCRIPT).script_lines == lines
    assert read_trace(text, None).script_lines == ()


PYTEST = """\
Pytest failed (exit code 1) for targets 'tests' in temp project '/var/tmp/p'.
    def test_client_header():
>       client = httpx.Client(headers=headers)
                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
tests/client/test_headers.py:30: \n\
httpx/_client.py:3: in __init__
    super().__init__(
E                       AttributeError: 'bool' object has no attribute 'decode'
httpx/_models.py:105: AttributeError
"""


def test_the_frames_of_a_test_report_are_read_too() -> None:
    trace = read_trace(PYTEST, SCRIPT)

    assert (trace.exception, trace.script_lines) == ("AttributeError", ())
    assert [(one.file, one.line, one.function) for one in trace.frames] == [
        ("tests/client/test_headers.py", 30, ""),
        ("httpx/_client.py", 3, "__init__"),
        ("httpx/_models.py", 105, ""),
    ]


GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "<string>", line 4, in leave_Module
  |     raise ExceptionGroup("both", [ValueError(1)])
  | ExceptionGroup: both (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "<string>", line 2, in f
    | ValueError: 1
    +------------------------------------
"""


def test_an_exception_group_is_read_through_its_branches() -> None:
    trace = read_trace(GROUP, SCRIPT)

    assert (trace.exception, trace.script_lines) == ("ValueError", (2, 4))
    assert trace.frames[0].code == 'raise ExceptionGroup("both", [ValueError(1)])'


PIECES = [
    *(text for text, _ in KINDS),
    CHAINED,
    BROKEN,
    PYTEST,
    GROUP,
    '  File "<string>", line 3, in f',
    "Traceback (most recent call last):",
    "During handling of the above exception, another exception occurred:",
    " @ 3:4",
    "\ud800",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(string.printable, max_size=30), max_size=6), st.text(max_size=20))
def test_any_text_is_read_and_kept_as_it_is(pieces: list[str], script: str) -> None:
    text = "\n".join(pieces)
    trace = read_trace(text, script)

    assert trace.text == text
    assert re.fullmatch(r"[a-z_]+", trace.kind)
    assert trace.script_lines == tuple(sorted(set(trace.script_lines)))
    assert all(1 <= line <= script.count("\n") + 1 for line in trace.script_lines)
    linked = {one.script_line for one in trace.frames} - {None}
    assert linked <= set(trace.script_lines)
