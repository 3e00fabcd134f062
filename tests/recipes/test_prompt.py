"""Templates: what may stand in one, and that a log's text goes in as it is."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadInputError
from app.examples import Dataset
from app.recipes import DATASETS
from app.recipes.prompt import (
    ABSENT,
    KINDS,
    MOST_CHARACTERS,
    Template,
    find_shipped,
    list_shipped,
    parse,
    parse_label,
    shipped,
)

REPAIR = "Repair it.\n{script}\nIt says {error}\n"
EVERY = [template for name in KINDS for template in list_shipped(name)]


# ------------------------------------------------------------------------------------------------ filling


def test_a_gap_is_filled_by_its_name_wherever_it_stands() -> None:
    made = parse("repair", "{error}: {script}\nagain {error}\n")

    assert made.gaps == ("error", "script")
    assert made.fill({"script": "x = 1", "error": "NameError"}) == "NameError: x = 1\nagain NameError\n"


@pytest.mark.parametrize("blank", [{}, {"error": ""}, {"error": " \n\t"}])
def test_what_the_log_does_not_hold_is_said_in_words(blank: dict[str, str]) -> None:
    assert parse("repair", REPAIR).fill({"script": "x"} | blank) == f"Repair it.\nx\nIt says {ABSENT}\n"


def test_a_value_without_a_gap_is_left_out() -> None:
    assert parse("repair", REPAIR).fill({"script": "a", "error": "b", "issue": "c"}) == "Repair it.\na\nIt says b\n"


@given(st.text(), st.text())
def test_text_of_a_log_is_never_read(script: str, error: str) -> None:
    filled = parse("repair", REPAIR).fill({"script": script + "{error}%s{0}", "error": error + "{script}"})

    assert filled == f"Repair it.\n{script}{{error}}%s{{0}}\nIt says {error}{{script}}\n"


@given(st.lists(st.sampled_from(["{script}", "{error}", "{issue}", "{ script }", "{0}", "{}", "%s", "\n", "é"])))
def test_a_prompt_ends_with_a_line_end_and_has_no_gap_left(parts: list[str]) -> None:
    filled = parse("repair", "{script}{error}" + "".join(parts)).fill({"script": "s", "error": "e"})

    assert filled.endswith("\n")
    assert not any(f"{{{gap}}}" in filled for gap in KINDS["repair"].gaps)


# ------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{script}\n{error}\n{eror}", r"Line 3 has a gap \{eror\} that repair does not know.*\{issue\}, \{files\}"),
        ("{script}{error}{Issue}", r"gap \{Issue\}"),
        ("{script}", r"cannot do without \{error\}\."),
        ("", r"cannot do without \{error\} and \{script\}"),
        ("{ script }{error}", r"cannot do without \{script\}"),
        ("{script}\n{{error}}", r"Line 2 says \{\{error\}\}\. A gap has one brace on each side: \{error\}"),
        ("{script}\n{error}\x00", "Line 2 holds a NUL character"),
        ("{script}{error}\ud83d", "Line 1 holds half a character"),
        ("{script}{error}" + "x" * MOST_CHARACTERS, "100,016 characters; 100,000 is the most"),
    ],
)
def test_what_cannot_be_a_template_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadInputError, match=sentence) as refused:
        parse("repair", text)

    assert refused.value.where == "field text"


def test_a_name_that_no_recipe_asks_for_is_refused() -> None:
    with pytest.raises(BadInputError, match="There are: scaffold, scaffold_diff, repair, polish, t5_spec"):
        parse("poem", "{issue}")


def test_line_ends_are_made_one_kind_and_the_last_is_added() -> None:
    assert parse("t5_spec", "a\r\nb\r{issue}").text == "a\nb\n{issue}\n"


def test_braces_that_are_no_gap_are_text() -> None:
    text = '{"a": {"b": 1}} { issue } {} {0} %(issue)s {issue}\n'

    assert parse("t5_spec", text).fill({"issue": "x"}) == '{"a": {"b": 1}} { issue } {} {0} %(issue)s x\n'


# ------------------------------------------------------------------------------------------------ names


def test_a_label_says_where_a_template_is_from() -> None:
    assert Template("repair", 2, "shipped", REPAIR).label == "repair/2"
    assert Template("repair", 3, "project", REPAIR).label == "repair/p3"
    assert parse_label("repair/2") == ("repair", "shipped", 2)
    assert parse_label("repair/p3") == ("repair", "project", 3)


@pytest.mark.parametrize("label", ["", "repair", "repair/", "repair/0", "repair/p", "repair/3p", "a/b/1", "repair/٣"])
def test_what_is_no_label_is_none(label: str) -> None:
    assert parse_label(label) is None


def test_the_digest_is_of_the_text() -> None:
    assert parse("repair", REPAIR).digest == hashlib.sha256(REPAIR.encode()).hexdigest()


# ------------------------------------------------------------------------------------------------ what ships


@pytest.mark.parametrize("template", EVERY, ids=lambda one: one.label)
def test_a_shipped_template_is_one_that_a_person_could_save(template: Template) -> None:
    read = parse(template.name, template.text, version=template.version, origin="shipped")

    assert read == template
    assert template.text.endswith("\n")
    assert template.text.isascii()


def test_each_name_has_a_shipped_template_and_the_newest_has_every_gap() -> None:
    assert list(shipped()) == list(KINDS)
    for name, form in KINDS.items():
        assert set(shipped()[name].gaps) == set(form.gaps)
        assert set(form.required) <= set(form.gaps)


def test_earlier_versions_stay() -> None:
    assert [one.label for one in list_shipped("scaffold")] == ["scaffold/2", "scaffold/1"]
    assert shipped()["scaffold"].version == 2
    earlier = find_shipped("scaffold", 1)
    assert earlier is not None
    # As release 0.1 filled it.
    assert earlier.digest == "3ccda633d85bac433bf181fc868172f802ca83b306a2c19904f8d5d57e461a6f"
    assert find_shipped("scaffold", 9) is None
    assert find_shipped("poem", 1) is None


def test_what_a_template_serves_are_datasets_that_recipes_make() -> None:
    known = {dataset.name for dataset in DATASETS}

    assert {served for form in KINDS.values() for served in form.serves} <= known
    assert all(Dataset(*served.split("/")).columns for form in KINDS.values() for served in form.serves)


def test_prefixes_of_small_models_leave_room_for_the_text() -> None:
    for name in ("t5_spec", "divot5_refiner", "divot5_unifier"):
        assert len(shipped()[name].text) < 100
