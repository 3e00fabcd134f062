import warnings

import pytest

from app import checks
from app.candidates import Candidate, Finding, Kind, Severity
from app.checks.script import MOST_BYTES
from tests.checks.examples import VERSION_SCRIPT, patch


def _only(script: str | None, script_hash: str | None = None) -> Finding:
    (finding,) = checks.run(patch(script=script, script_hash=script_hash))
    return finding


def test_an_entry_with_only_a_hash_has_nothing_to_train_on() -> None:
    found = _only(None, "-0x6f8a9e43811c011c")

    assert (found.code, found.severity, found.place) == ("hash_only", Severity.HOLD, "script_hash")


@pytest.mark.parametrize("script", [None, "", "\n \n"])
def test_an_entry_without_a_script_is_held(script: str | None) -> None:
    found = _only(script)

    assert (found.code, found.severity) == ("no_script", Severity.HOLD)


def test_a_script_that_does_not_parse_is_placed_on_its_line() -> None:
    found = _only(VERSION_SCRIPT.replace("replacement is None:", "replacement is None"))

    assert (found.code, found.severity, found.place) == ("script_unparsable", Severity.HOLD, "script:20")
    assert "expected ':'" in found.message


@pytest.mark.parametrize(
    "script",
    [
        "(" * 64_000,
        "-" * 200_000 + "1",
        "x" + ".a" * 100_000,
        "f'{" * 16_000,
        "x = 9" + "9" * 5_000,
        "[" * 90 + "1" + "]" * 90 + "".join(f"\n{' ' * i}if 1:" for i in range(150)),
    ],
    ids=["open brackets", "signs", "attributes", "nested f-strings", "a large number", "indents"],
)
def test_a_script_that_would_exhaust_the_parser_is_a_finding(script: str) -> None:
    codes = {finding.code for finding in checks.run(patch(script=script))}

    assert codes <= {"script_unparsable", "no_codemod"}
    assert codes


@pytest.mark.parametrize("script", ["a = 1\x00", "a = '\ud83d'"])
def test_a_script_that_no_file_can_hold_does_not_parse(script: str) -> None:
    assert "script_unparsable" in {finding.code for finding in checks.run(patch(script=script))}


def test_a_script_beyond_the_limit_is_not_parsed() -> None:
    assert _only("é" * (MOST_BYTES // 2 + 1)).code == "script_too_large"


def test_a_script_without_a_codemod_class_could_not_have_changed_a_file() -> None:
    found = _only("import libcst as cst\n\n\nclass Fix(cst.CSTTransformer):\n    pass\n")

    assert (found.code, found.severity) == ("no_codemod", Severity.WARNING)


@pytest.mark.parametrize(
    "base",
    ["VisitorBasedCodemodCommand", "codemod.VisitorBasedCodemodCommand", "cst.codemod.MatcherDecoratableCommand"],
)
def test_a_codemod_class_is_known_by_the_last_name_of_its_base(base: str) -> None:
    assert checks.run(patch(script=f"if True:\n    class Fix({base}):\n        pass\n")) == ()


def test_more_than_one_codemod_leaves_open_which_was_meant() -> None:
    second = VERSION_SCRIPT.partition("class ")[2].replace("ThisDevCommand", "Second")

    found = _only(VERSION_SCRIPT + "\n\nclass " + second)

    assert (found.code, found.severity, found.place) == ("several_codemods", Severity.WARNING, "script:25")
    assert "(ThisDevCommand, Second)" in found.message


def test_an_invalid_escape_in_a_script_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checks.run(patch(script=VERSION_SCRIPT + "PATTERN = '\\d'\n")) == ()


def test_a_spec_needs_neither_diff_nor_script() -> None:
    assert checks.run(Candidate(Kind.SPEC, "other", issue="Fix the parser")) == ()
