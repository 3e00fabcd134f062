"""The scaffold recipe: what is asked, what is answered, and what is held back."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.candidates import Candidate, Finding, Kind, Severity
from app.examples import Example, HeldBack, Split
from app.recipes import RECIPES, Judged
from app.recipes.llm import scaffold_sft
from app.recipes.prompt import get_template
from app.recipes.split import split_of

SCRIPT = """import libcst as cst
from libcst.codemod import VisitorBasedCodemodCommand


class RenameParser(VisitorBasedCodemodCommand):
    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        if original_node.value == "parser":
            return updated_node.with_changes(value="reader")
        return updated_node
"""
DIFF = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-parser = make()\n+reader = make()\n"

PATCH = Candidate(
    Kind.PATCH,
    "G3",
    issue="Call it reader, {please}: 100 % of it",
    target_files=("src/x.py", "src/y.py"),
    operations=({"name": "rename_variable", "a": {"c": 1, "b": "é"}}, "add_import"),
    diff=DIFF,
    script=SCRIPT,
    patch_source="LLMCore_polish_iteration_7",
)


def judged(candidate: Candidate = PATCH, revision: tuple[str, str] | None = None, *findings: Finding) -> Judged:
    verdict = "accept" if revision is None else "edit"
    return Judged(candidate, 7, verdict, revision, 31, findings, "5c" * 32, "9f" * 32, "log.jsonl", 12, 345)


def example(*args: object) -> Example:
    made = scaffold_sft(judged(*args))  # type: ignore[arg-type]
    assert isinstance(made, Example)
    return made


def reason(*args: object) -> str:
    made = scaffold_sft(judged(*args))  # type: ignore[arg-type]
    assert isinstance(made, HeldBack)
    assert made.candidate_id == 7
    assert made.message.endswith(".")
    return made.reason


def hold(place: str, code: str = "secret") -> Finding:
    return Finding(code, Severity.HOLD, place, "It looks like a secret.")


def test_the_prompt_tells_issue_files_and_operations_and_asks_for_a_script() -> None:
    prompt = example().prompt
    assert "### Issue\nCall it reader, {please}: 100 % of it\n" in prompt
    assert "### Target files\nsrc/x.py\nsrc/y.py\n" in prompt
    assert '### Operations\n- {"name":"rename_variable","a":{"c":1,"b":"é"}}\n- add_import\n' in prompt
    assert prompt.endswith("Answer with one LibCST codemod script and nothing else.\n")


def test_the_prompt_holds_neither_diff_nor_script_nor_patch_source() -> None:
    made = example()
    assert "@@" not in made.prompt
    assert "import libcst" not in made.prompt
    assert "polish_iteration" not in made.prompt


def test_an_accepted_patch_answers_with_the_script_as_it_was_logged() -> None:
    odd = SCRIPT.replace("\n", "\r\n") + "# no line end"
    assert example(replace(PATCH, script=odd)).completion == odd


def test_every_example_leads_back_to_its_line_decision_and_recipe() -> None:
    made = example()
    way = made.provenance
    assert (way.candidate_id, way.decision_id, way.verdict) == (7, 31, "accept")
    assert (way.source_name, way.line, way.offset_bytes, way.entry_digest) == ("log.jsonl", 12, 345, "9f" * 32)
    assert (way.recipe, way.template, way.answer, way.group) == ("llm/1", "scaffold/1", "script", "5c" * 32)
    assert made.id == "scaffold-" + "9f" * 10


def test_an_edited_script_is_the_answer() -> None:
    made = example(PATCH, ("script", SCRIPT + "# better\n"))
    assert made.completion == SCRIPT + "# better\n"
    assert (made.provenance.answer, made.provenance.verdict) == ("edited_script", "edit")


def test_an_edited_diff_is_asked_for_as_a_diff() -> None:
    made = example(PATCH, ("diff", DIFF))
    assert made.completion == DIFF
    assert made.prompt.endswith("Answer with a unified diff and nothing else.\n")
    assert (made.provenance.answer, made.provenance.template) == ("edited_diff", "scaffold_diff/1")


def test_what_the_log_does_not_tell_is_left_out_visibly() -> None:
    prompt = example(replace(PATCH, target_files=(), operations=())).prompt
    assert "### Target files\n(The log names none.)\n\n### Operations\n(The log names none.)\n" in prompt


def test_a_hash_is_no_completion() -> None:
    assert reason(replace(PATCH, script=None, script_hash="-0x1f")) == "hash_only"


def test_a_patch_without_a_script_has_no_completion() -> None:
    assert reason(replace(PATCH, script=None)) == "no_script"


@pytest.mark.parametrize("place", ["issue", "script:3", "diff:2", "operations[0].a", "extra.note"])
def test_a_finding_that_holds_wins_over_an_accepted_patch(place: str) -> None:
    assert reason(PATCH, None, hold(place)) == "secret"


def test_a_warning_holds_nothing() -> None:
    cut = Finding("diff_cut", Severity.WARNING, "diff:9", "The log cut this diff.")
    assert example(PATCH, None, cut).completion == SCRIPT


def test_a_script_that_does_not_leave_does_not_hold_an_edited_diff() -> None:
    gone = replace(PATCH, script=None, script_hash="0x1f")
    assert example(gone, ("diff", DIFF), hold("script_hash", "hash_only")).completion == DIFF


def test_an_edited_diff_that_is_cut_is_held() -> None:
    cut = Finding("diff_cut", Severity.WARNING, "diff:9", "The log cut this diff.")
    assert reason(PATCH, ("diff", DIFF), cut) == "diff_cut"


@pytest.mark.parametrize("script", [" ", "\n\t\n"])
def test_a_blank_script_is_held(script: str) -> None:
    assert reason(replace(PATCH, script=script)) == "empty"


@pytest.mark.parametrize("issue", ["", "N/A", "  \n"])
def test_a_patch_that_nobody_asked_for_is_held(issue: str) -> None:
    assert reason(replace(PATCH, issue=issue, operations=())) == "empty"


@pytest.mark.parametrize(("sign", "code"), [("\x00", "nul"), ("\ud83d", "lone_surrogate")])
@pytest.mark.parametrize("field", ["issue", "script"])
def test_what_no_file_can_hold_is_held(field: str, sign: str, code: str) -> None:
    assert reason(replace(PATCH, **{field: getattr(PATCH, field) + sign})) == code


@pytest.mark.parametrize(
    "told",
    [
        {"issue": f"Please apply this:\n\n{SCRIPT}"},
        {"issue": "> " + SCRIPT.replace("\n", "\n>     ")},
        {"issue": " ".join(SCRIPT.split())},
        {"issue": "\n".join(SCRIPT.splitlines()[3:])},
        {"operations": ({"name": "generic_code_edit", "parameters": {"code": SCRIPT}},)},
        {"operations": ({SCRIPT: 1},)},
        {"target_files": (SCRIPT,)},
    ],
    ids=["pasted", "quoted", "wrapped", "most lines", "in a parameter", "as a key", "as a path"],
)
def test_a_prompt_that_tells_its_answer_is_held(told: dict[str, object]) -> None:
    assert reason(replace(PATCH, **told)) == "answer_in_prompt"  # type: ignore[arg-type]


def test_an_issue_that_quotes_a_line_of_the_script_is_let_through() -> None:
    quoting = replace(PATCH, issue="It fails at\n    from libcst.codemod import VisitorBasedCodemodCommand")
    assert example(quoting).completion == SCRIPT


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=300)


@given(issue=texts, script=texts, before=texts, after=texts, told=st.booleans())
def test_no_prompt_ever_holds_its_answer(issue: str, script: str, before: str, after: str, told: bool) -> None:
    issue = before + script + after if told else issue
    candidate = replace(PATCH, issue=issue, script=script or None, operations=({"name": before},))
    made = scaffold_sft(judged(candidate))
    if isinstance(made, Example):
        assert " ".join(script.split()) not in " ".join(made.prompt.split())
        assert made.completion == script


@given(issue=texts)
def test_no_text_of_a_log_is_taken_for_a_placeholder(issue: str) -> None:
    assume(issue.strip() not in {"", "N/A"})
    for name in ("scaffold", "scaffold_diff"):
        template = get_template(name, 1, ("issue", "files", "operations"))
        first, _, second, _, third, _, last = template.parts
        assert (
            template.fill(issue, "{issue}", "{files}") == first + issue + second + "{issue}" + third + "{files}" + last
        )


def test_the_split_hangs_on_the_group_alone() -> None:
    first, other = judged(), judged(replace(PATCH, issue="Something else"))._replace(entry_digest="aa")
    one, two = scaffold_sft(first), scaffold_sft(other)
    assert isinstance(one, Example)
    assert isinstance(two, Example)
    assert one.split == two.split == split_of(bytes.fromhex("5c" * 32), 0)


def test_splits_are_dealt_eight_to_one_to_one_and_anew_by_another_seed() -> None:
    groups = [n.to_bytes(32) for n in range(5000)]
    dealt = [split_of(group, 0) for group in groups]
    assert [round(dealt.count(split) / 5000, 1) for split in Split] == [0.8, 0.1, 0.1]
    assert dealt != [split_of(group, 1) for group in groups]


def test_a_split_never_moves_between_versions() -> None:
    dealt = [split_of(n.to_bytes(32), 0) for n in range(100)]
    assert [n for n in range(100) if dealt[n] == Split.TEST] == [3, 12, 16, 38, 41, 70, 83, 98, 99]
    assert [n for n in range(100) if dealt[n] == Split.VALIDATION] == [67, 79, 89, 90]


def test_the_recipe_is_found_by_role_task_and_objective() -> None:
    assert RECIPES["llm", "scaffold", "sft"](judged(), 0) == example()
