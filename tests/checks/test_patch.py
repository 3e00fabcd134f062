import pytest

from app import checks
from app.candidates import Finding, Severity
from tests.checks.examples import PATHS, VERSION, patch

HEAD = "--- a/x\n+++ b/x\n"


def _found(diff: str | None, *, snippet: bool = False, targets: tuple[str, ...] = ()) -> list[Finding]:
    return list(checks.run(patch(diff=diff, diff_is_snippet=snippet, target_files=targets)))


@pytest.mark.parametrize("diff", [None, "", " \n"])
def test_a_log_without_a_diff_is_a_warning(diff: str | None) -> None:
    (found,) = _found(diff)

    assert (found.code, found.severity) == ("no_diff", Severity.WARNING)


@pytest.mark.parametrize(
    "text",
    [
        "No textual changes detected for 'x.py' after patch application.",
        "PatchApplicationError: Failed to apply LibCST script: Syntax error in LibCST script string",
    ],
)
def test_a_sentence_instead_of_a_diff_is_quoted(text: str) -> None:
    (found,) = _found(text)

    assert (found.code, found.severity) == ("not_a_diff", Severity.WARNING)
    assert text[:40] in found.message


def test_a_cut_diff_says_where_it_was_cut_and_that_the_script_is_whole() -> None:
    assert len(PATHS) == 1_003

    (found,) = _found(PATHS, snippet=True)

    assert (found.code, found.severity, found.place) == ("diff_cut", Severity.WARNING, "diff:29")
    assert found.message.startswith("The log cut this diff after 1,000 characters. The script is whole")


def test_a_diff_that_ends_between_two_lines_of_its_last_hunk_is_cut() -> None:
    whole = VERSION.splitlines(keepends=True)

    (found,) = _found("".join(whole[:-1]))

    assert (found.code, found.place) == ("diff_cut", "diff:7")


@pytest.mark.parametrize(
    ("diff", "line"),
    [
        (HEAD + "@@ -1,999999999 +1,1 @@\n-a\n+b\n", 3),
        (HEAD + "@@ -1000000000000000000,1 +1,1 @@\n-a\n+b\n", 3),
        (HEAD + "@@ -1 +1 @@\n-a\n+b\n+c\n+d\n", 3),
        (HEAD + "@@ -1,9 +1,9 @@\n-a\n+b\n@@ -20 +20 @@\n-c\n+d\n", 3),
        (VERSION + HEAD + "@@ -1,1 +1,1 @@\n-a\n-b\n+c\n", 11),
    ],
    ids=["absurd count", "absurd start", "too many lines", "short in the middle", "second file"],
)
def test_a_hunk_header_that_lies_is_held_and_placed(diff: str, line: int) -> None:
    (found,) = _found(diff)

    assert (found.code, found.severity, found.place) == ("diff_malformed", Severity.HOLD, f"diff:{line}")


@pytest.mark.parametrize(
    "diff",
    [
        "--- a/../../../etc/passwd\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
        "--- a/x.py\n+++ b/src/../../x.py\n@@ -1 +1 @@\n-a\n+b\n",
        "--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n",
        "--- C:\\windows\\x\n+++ C:\\windows\\x\n@@ -1 +1 @@\n-a\n+b\n",
        'diff --git "a/..\\\\x" "b/..\\\\x"\n--- "a/..\\\\x"\n+++ "b/..\\\\x"\n@@ -1 +1 @@\n-a\n+b\n',
        "diff --git a/x b/../x\nsimilarity index 100%\nrename from x\nrename to ../x\n",
    ],
    ids=["up to etc", "up from a folder", "absolute", "drive", "quoted backslashes", "rename"],
)
def test_a_path_that_leaves_the_project_is_held(diff: str) -> None:
    (found,) = _found(diff)

    assert (found.code, found.severity, found.place) == ("diff_malformed", Severity.HOLD, "diff:1")


@pytest.mark.parametrize(
    "diff",
    [
        VERSION,
        HEAD + "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b",
        HEAD + "@@ -1 +1 @@\r\n-a\r\n+b\r\n",
        "\n" + HEAD + "@@ -1,2 +1,2 @@\n-a\r\n+b\rc\n d",
        "--- a/..x/y...z\n+++ b/..x/y...z\n@@ -1 +1 @@\n-a\n+see ../b\n",
        "--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+a\n",
        "diff --git a/i b/i\nGIT binary patch\nliteral 5\nMcmZQzWMT#Y01f~L\n\nliteral 0\nHcmV?d00001\n\n",
    ],
    ids=["real", "no final line end", "CRLF", "mixed ends", "dots in names", "new file", "binary"],
)
def test_a_sound_diff_has_no_finding(diff: str) -> None:
    assert _found(diff) == []


def test_a_changed_file_that_the_spec_does_not_name_is_a_warning() -> None:
    (found,) = _found(VERSION + HEAD + "@@ -1 +1 @@\n-a\n+b\n", targets=("click/__init__.py", "click/core.py"))

    assert (found.code, found.severity, found.place) == ("files_outside_spec", Severity.WARNING, "diff:9")
    assert "does not name x," in found.message
