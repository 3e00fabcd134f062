"""What the checks say of a spec's YAML; the shapes are the agent's Spec, its grammar, and real output of its model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import checks
from app.candidates import Candidate, Finding, Kind, Severity, SpecPair
from app.checks.spec import FIELDS, GRAMMAR, PREDICTED, PROMPTED
from app.spec_yaml import MAX_CHARACTERS

SOUND = """\
issue_description: Use readline() on 2.x for fixup stream.
target_files:
- click/_compat.py
operations:
- name: generic_code_edit
  target_file: click/_compat.py
  edit_description: Use readline() on 2.x for fixup stream.
acceptance_tests:
- The existing tests that cover click/_compat.py still pass.
"""
OLDER = """\
<SPEC_YAML>
task: Added style and unstyle to docs.
target_symbols:
- click.termui.unstyle
operations:
- {}
acceptance: []
</SPEC_YAML>"""
REQUIRED = {
    "target_function_name": "f", "decorator_name": "cache", "source_function_name": "f", "start_line": 3,
    "end_line": 9, "new_method_name": "g", "target_name": "f", "new_docstring": "Say it.",
    "import_statement": "import os", "edit_description": "Say it.",
}  # fmt: skip


def candidate(yaml: str) -> Candidate:
    return Candidate(Kind.SPEC, "other", issue="Use readline()", spec=SpecPair(yaml))


def found(yaml: str) -> tuple[Finding, ...]:
    return checks.run(candidate(yaml))


def only(yaml: str) -> Finding:
    (finding,) = found(yaml)
    return finding


def operation(**parameters: object) -> str:
    """A sound spec but for its one operation; the operation begins in line 3, its parameters in line 4."""
    said = "".join(f"  {name}: {value}\n" for name, value in parameters.items() if name != "name")
    return f"issue_description: x\noperations:\n- name: {parameters['name']}\n{said}target_files: [x.py]\n"


def extract(start: object, end: object, name: str) -> str:
    return operation(
        name="extract_method", source_function_name="f", start_line=start, end_line=end, new_method_name=name
    )


def test_a_sound_spec_has_no_finding() -> None:
    assert found(SOUND) == ()
    assert found(SOUND.rstrip("\n")) == ()


@pytest.mark.parametrize("name", sorted(GRAMMAR))
@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_every_operation_of_the_grammar_with_its_parameters_is_sound(name: str, nested: bool) -> None:
    lines = "".join(f"{'    ' if nested else '  '}{key}: {REQUIRED[key]}\n" for key in GRAMMAR[name])
    body = f"  parameters:\n{lines}" if nested else lines
    assert found(f"issue_description: x\ntarget_files: [x.py]\noperations:\n- name: {name}\n{body}") == ()


@pytest.mark.parametrize("name", sorted((PREDICTED | PROMPTED) - set(GRAMMAR)))
def test_operations_of_the_other_vocabularies_are_known_and_have_no_rules(name: str) -> None:
    assert found(operation(name=name)) == ()


@pytest.mark.parametrize("name", ["generic_code_edit", "add_function"])
def test_the_older_spec_is_known_by_its_fields_inside_its_tags(name: str) -> None:
    assert found(OLDER.format(name)) == ()
    assert found(OLDER.format(name).replace("<SPEC_YAML>\n", "").replace("\n</SPEC_YAML>", "")) == ()


@pytest.mark.parametrize(
    ("yaml", "line", "says"),
    [
        ("", 1, "is empty"),
        ("# only a comment\n", 1, "is empty"),
        ("Fix the bug.", 1, "holds text"),
        ("- a\n- b\n", 1, "holds a list"),
        ("issue_description: a: b\n", 1, "mapping values are not allowed here"),
        ("issue_description: x\n\ttarget_files: []\n", 2, ""),
        ("a: b\n---\nc: d\n", 2, "another document"),
        ("issue_description: x\x00y\n", 1, "U+0000"),
        ("issue_description: \ud800\n", 1, "U+D800"),
        ("issue_description: 2024-01-40\n", 1, "cannot read"),
        ("```yaml\nissue_description: x\n```", 1, "without a code fence"),
        ("? [a, b]\n: c\n", 1, "not YAML"),
        (f"issue_description: 0x{'f' * 6000}\ntarget_files: {'9' * 6000}", 1, "cannot read"),
    ],
)
def test_what_is_no_mapping_of_yaml_is_held(yaml: str, line: int, says: str) -> None:
    finding = next(one for one in found(yaml) if one.code.startswith("spec"))

    assert (finding.code, finding.severity, finding.place) == ("spec_not_yaml", Severity.HOLD, f"spec:{line}")
    assert says in finding.message
    assert checks.find_unreadable(candidate(yaml), "spec") == finding


@pytest.mark.parametrize(
    ("yaml", "line"),
    [
        ("issue_description: x\nacceptance_tests:\n- 'the quote\n  goes on", 3),
        ("issue_description: x\ntarget_files:\n- x.py\noperations:\n- name: generic_code_edit\n  e", 6),
        ("issue_description: x\ntarget_files: [a.py, b", 2),
        ("issue_description: {a: b", 1),
        ('issue_description: "x\\', 1),
        ("Here it is:\n<SPEC_YAML>\ntask: x\ntarget_symbols: []\noperations:\n- add_i", 2),
    ],
)
def test_yaml_that_ends_inside_something_was_cut(yaml: str, line: int) -> None:
    finding = only(yaml)

    assert (finding.code, finding.severity, finding.place) == ("spec_cut", Severity.HOLD, f"spec:{line}")
    assert checks.find_unreadable(candidate(yaml), "spec") == finding


@pytest.mark.parametrize("lines", range(1, 8))
def test_a_cut_that_leaves_sound_yaml_is_seen_by_what_is_missing(lines: int) -> None:
    yaml = "\n".join(SOUND.split("\n")[:lines])
    codes = {one.code: one for one in found(yaml)}

    assert codes["spec_cut"].severity is Severity.WARNING
    assert codes["spec_cut"].place == f"spec:{lines}"
    assert checks.find_unreadable(candidate(yaml), "spec") is None


def test_a_spec_that_ends_its_last_line_or_has_an_order_of_its_own_is_not_taken_for_cut() -> None:
    assert found("issue_description: x\ntarget_files: [x.py]\noperations: []\n") == ()
    assert found("operations: []\ntarget_files: [x.py]\nissue_description: x") == ()


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        ("issue_description: &a x\ntarget_files: [*a]\n", "anchor"),
        ("issue_description: x\noperations: *ops\n", "alias"),
        ("issue_description: !!python/object/apply:os.system [id]\n", "tag"),
        ("issue_description: !mine x\n", "tag"),
        ("a: " + "[" * 40 + "]" * 40, "levels"),
        ("a: " + "[" * 3000, "levels"),
        ("a: x\n" + "b: y\n" * MAX_CHARACTERS, "longer"),
    ],
)
def test_yaml_that_could_grow_or_name_types_is_held(yaml: str, says: str) -> None:
    finding = only(yaml)

    assert (finding.code, finding.severity) == ("spec_not_plain", Severity.HOLD)
    assert says in finding.message


@pytest.mark.parametrize(
    ("yaml", "line", "says"),
    [
        ("target_files: [x.py]\nacceptance_tests: []\n", 1, "lacks issue_description"),
        ("issue_description: ''\ntarget_files: [x.py]\n", 1, "is blank"),
        ("issue_description: 2024-01-01\ntarget_files: [x.py]\n", 1, "it is a date (2024-01-01)"),
        ("issue_description: yes\ntarget_files: [x.py]\n", 1, "it is true or false (yes)"),
        ("issue_description:\ntarget_files: [x.py]\n", 1, "it is empty"),
        ("issue_description: [a]\ntarget_files: [x.py]\n", 1, "it is a list"),
        ("issue_description: x\ntarget_files: [x.py, 3]\n", 2, "this is a number (3)"),
        ("issue_description: x\ntarget_files: [x.py]\noperations: add_import\n", 3, "a list of operations; it is text"),
        ("issue_description: x\ntarget_files: [x.py]\nacceptance_tests: {a: b}\n", 3, "it is fields of its own"),
        ("issue_description: x\ntarget_files: [x.py]\nacceptance_test: []\n", 3, "Is it acceptance_tests?"),
        ("Here is the YAML:\nissue_description: x\ntarget_files: [x.py]\n", 1, "no field “Here is the YAML”"),
        ("issue_description: x\n1: y\ntarget_files: [x.py]\n", 2, "this one is a number (1)"),
        ("target_symbols: [a.b]\noperations: [add_import]\n", 1, "lacks task"),
        ("task: x\ntarget_symbols: a.b\n", 2, "target_symbols must be a list of texts; it is text"),
    ],
)  # fmt: skip
def test_a_field_that_the_spec_refuses_is_named_at_its_line(yaml: str, line: int, says: str) -> None:
    finding = only(yaml)

    assert (finding.code, finding.severity, finding.place) == ("spec_field", Severity.WARNING, f"spec:{line}")
    assert says in finding.message
    assert checks.find_unreadable(candidate(yaml), "spec") is None


@pytest.mark.parametrize(
    ("yaml", "line", "says"),
    [
        (operation(name="generic_code_edits", edit_description="x"), 3, "Is it generic_code_edit?"),
        (operation(name="reticulate"), 3, "“reticulate”"),
        (operation(name="''", edit_description="x"), 3, "no name"),
        (operation(name="[a]", edit_description="x"), 3, "no name"),
        (operation(name="generic_code_edit"), 3, "needs edit_description"),
        (operation(name="generic_code_edit", edit_description="' '"), 4, "is blank"),
        (operation(name="generic_code_edit", edit_description="3"), 4, "must be text; it is a number (3)"),
        (operation(name="generic_code_edit", parameters="now", edit_description="x"), 4, "parameters must be fields"),
        (operation(name="generic_code_edit", target_file="[x]", edit_description="x"), 4, "target_file must be text"),
        (operation(name="add_import", import_statement="os.path"), 4, "must begin as `import x`"),
        (operation(name="add_import", import_statement="importlib"), 4, "must begin as `import x`"),
        (operation(name="add_import", import_statement="from os"), 4, "must begin as `import x`"),
        (operation(name="add_decorator", target_function_name="f", decorator="x"), 3, "Here it is called decorator"),
        (operation(name="update_docstring", target_name="f"), 3, "needs new_docstring"),
        (extract(9, 9, "g"), 5, "less than end_line; they are 9 and 9"),
        (extract("x", 9, "g"), 5, "must be a line number, from 1; it is “x”"),
        (extract(0, 9, "g"), 5, "must be a line number, from 1; it is a number (0)"),
        (extract("1.5", 9, "g"), 5, "it is a number (1.5)"),
        (extract("true", 9, "g"), 5, "true or false"),
        (extract(3, 9, "a-b"), 7, "a name that Python takes"),
        (extract(3, 9, "class"), 7, "a name that Python takes"),
        ("issue_description: x\ntarget_files: [x.py]\noperations: [add_import]\n", 3, "this is text"),
        ("issue_description: x\ntarget_files: [x.py]\noperations:\n-\n", 4, "this is empty"),
        ("issue_description: x\ntarget_files: [x.py]\noperations:\n- target_file: x.py\n", 4, "no name"),
        (OLDER.format("add_imports"), 6, "Is it add_import?"),
    ],
)  # fmt: skip
def test_an_operation_that_the_planner_could_not_carry_out_is_named_at_its_line(
    yaml: str, line: int, says: str
) -> None:
    finding = only(yaml)

    assert (finding.code, finding.severity, finding.place) == ("spec_operation", Severity.WARNING, f"spec:{line}")
    assert says in finding.message


@pytest.mark.parametrize(
    "statement", ["import os", "import os.path as p", "from . import x", "from a.b import (c, d)", "from a import *"]
)
def test_an_import_may_have_every_form_that_python_has(statement: str) -> None:
    assert found(operation(name="add_import", import_statement=statement)) == ()


@pytest.mark.parametrize(
    ("yaml", "line"),
    [
        ("issue_description: x\nacceptance_tests: []\n", 1),
        ("issue_description: x\ntarget_files: []\n", 2),
        (operation(name="generic_code_edit", edit_description="x", target_file="y.py"), 5),
    ],
)
def test_files_that_the_spec_does_not_name_are_missing(yaml: str, line: int) -> None:
    finding = only(yaml)

    assert (finding.code, finding.severity, finding.place) == ("spec_files_missing", Severity.WARNING, f"spec:{line}")


@pytest.mark.parametrize(
    ("yaml", "line"),
    [
        (SOUND + "issue_description: again\n", 10),
        (operation(name="generic_code_edit", edit_description="x"), 0),
        ("issue_description: x\ntarget_files: [x.py]\noperations:\n- name: add_class\n  name: add_class\n", 5),
    ],
)
def test_a_key_that_stands_twice_is_found_at_any_depth(yaml: str, line: int) -> None:
    places = [one.place for one in found(yaml) if one.code == "spec_duplicate_key"]

    assert places == ([f"spec:{line}"] if line else [])


def test_findings_stand_in_the_order_of_the_lines() -> None:
    places = [int(one.place.partition(":")[2]) for one in found("a: 1\nb: 2\ntarget_files: [3]\nc: 4\n")]

    assert len(set(places)) == 4
    assert places == sorted(places)


def test_lines_end_where_ours_do_and_nowhere_else() -> None:
    assert only('issue_description: "a\u2028b\x85c"\r\ntarget_files: [x.py]\nmore: 1\n').place == "spec:3"


@pytest.mark.parametrize("kind", [Kind.PATCH, Kind.STYLE_REFINE])
def test_other_candidates_are_left_alone(kind: Kind) -> None:
    codes = {one.code for one in checks.run(Candidate(kind, "other", script="import x", spec=SpecPair("[")))}

    assert not [code for code in codes if code.startswith("spec_")]


def test_what_is_asked_of_patches_is_not_asked_of_a_spec() -> None:
    assert not {one.code for one in found(SOUND)} & {"no_diff", "no_script", "hash_only", "files_outside_spec"}


@pytest.mark.parametrize(
    ("yaml", "symbols", "code", "place"),
    [
        (SOUND + "# ghp_aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5\n", "", "secret", "spec:10"),
        (SOUND, "a\nghp_aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5", "secret", "symbols:2"),
        (SOUND.replace("fixup", "fix\u200bup", 1), "", "hidden", "spec:1"),
        (SOUND, "click.<|im_start|>", "injection", "symbols:1"),
    ],
)
def test_secrets_and_tricks_are_found_in_the_spec_and_its_symbols(
    yaml: str, symbols: str, code: str, place: str
) -> None:
    (finding,) = checks.run(Candidate(Kind.SPEC, "other", spec=SpecPair(yaml, symbols)))

    assert (finding.code, finding.place) == (code, place)


_LINES = st.sampled_from(
    [*(f"{field}:" for field in FIELDS), "- name: add_import", "  import_statement: os", "- ", "  - x", "a: 'b", "x: [",
     "issue_description: x", "- {name: [}", "\t", "---", "&a *a", "? ", "|", "  y: 3"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(_LINES).map("\n".join)))
def test_whatever_the_text_is_the_check_says_something_or_nothing(yaml: str) -> None:
    lines = yaml.count("\n") + 1

    for finding in found(yaml):
        field, _, line = finding.place.partition(":")
        assert field != "spec" or 1 <= int(line) <= lines
        assert finding.message.isprintable()


@pytest.mark.parametrize("yaml", ["{}", "issue_description:\ntarget_files: null\n"])
def test_a_spec_that_says_nothing_is_held(yaml: str) -> None:
    held = [one for one in found(yaml) if one.severity is Severity.HOLD]

    assert [(one.code, one.place) for one in held] == [("empty", "spec:1")]
