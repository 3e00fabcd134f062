"""The `llm` role: what the agent's language model learns from a judged patch. Pure.

The prompt is in this project's own words, and holds the issue, the target files and the operations. It never holds the
diff, the script or the patch source: the first two are the answer, the last is known only afterwards.
"""

import json
import re
from collections.abc import Iterator

import pydantic_core

from app.candidates import Finding, Severity
from app.examples import Example, HeldBack, Provenance
from app.recipes.judged import Judged, Told
from app.recipes.leak import holds_answer
from app.recipes.prompt import get_template
from app.recipes.split import split_of

NAME = "llm"
VERSION = 1
TEMPLATE_VERSION = 1
_GAPS = ("issue", "files", "operations")

SCRIPT, EDITED_SCRIPT, EDITED_DIFF = "script", "edited_script", "edited_diff"
_ABSENT = "(The log names none.)"
_NO_ISSUE = frozenset({"", "N/A"})
# Warnings beside a whole script; faults of a diff that is the answer itself.
_FAULTS_OF_A_DIFF = frozenset({"diff_cut", "not_a_diff", "no_diff"})
_TOLD = "The issue or an operation holds the answer, or most of its lines."
_OF_THE_SCRIPT = frozenset({"script", "script_hash"})
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_to_json = pydantic_core.to_json
_RECIPE = f"{NAME}/{VERSION}"


def scaffold_sft(judged: Judged, seed: int = 0) -> Example | HeldBack:
    """From an accepted or edited patch to one prompt and completion, or the reason why there is none.

    The completion is the script byte for byte as it was logged, or the text as a reviewer left it. An edited diff is
    an answer of its own kind, because the script no longer makes that change.

    Args:
        judged: the candidate with its decision.
        seed: deals the groups to the splits.
    """
    answer, completion = _answer(judged)
    told = judged.candidate
    fault = _fault(judged, answer, completion)
    if fault is not None:
        return HeldBack(judged.candidate_id, *fault)
    operations = _operations(told.operations)
    named = "\n".join(told.target_files)
    template = get_template("scaffold_diff" if answer == EDITED_DIFF else "scaffold", TEMPLATE_VERSION, _GAPS)
    issue = _ABSENT if told.issue.strip() in _NO_ISSUE else told.issue
    prompt = template.fill(issue, named or _ABSENT, operations or _ABSENT)
    if holds_answer(prompt, _told(told), len(told.issue) + len(named) + len(operations), completion):
        return HeldBack(judged.candidate_id, "answer_in_prompt", _TOLD)
    unstorable = _find_unstorable(prompt, completion)
    if unstorable is not None:
        return HeldBack(judged.candidate_id, *unstorable)
    return Example(
        id=f"scaffold-{judged.entry_digest[:20]}",
        role="llm",
        task="scaffold",
        objective="sft",
        prompt=prompt,
        completion=completion,
        split=split_of(bytes.fromhex(judged.group), seed),
        provenance=Provenance(
            judged.candidate_id,
            judged.source_name,
            judged.line,
            judged.offset_bytes,
            judged.entry_digest,
            judged.decision_id,
            judged.verdict,
            _RECIPE,
            template.name,
            judged.group,
            answer,
            judged.answer_from,
        ),
    )


def _answer(judged: Judged) -> tuple[str, str]:
    if judged.revision is None:
        return SCRIPT, judged.candidate.script or ""
    field, text = judged.revision
    return (EDITED_DIFF if field == "diff" else EDITED_SCRIPT), text


def _fault(judged: Judged, answer: str, completion: str) -> tuple[str, str] | None:
    """Why a patch yields no example, as far as it can be said without the prompt."""
    if answer == SCRIPT and not completion:
        if judged.candidate.script_hash:
            return "hash_only", "The log holds only a salted hash of the script, so there is no completion."
        return "no_script", "The log holds no script, so there is no completion."
    if judged.findings:
        for found in judged.findings:
            if _holds(found, answer):
                return found.code, found.message
    if not completion.strip():
        return "empty", "The completion is empty."
    if judged.candidate.issue.strip() in _NO_ISSUE and not judged.candidate.operations:
        return "empty", "The log holds neither an issue nor an operation, so there is nothing to prompt with."
    return None


def _holds(found: Finding, answer: str) -> bool:
    if answer != EDITED_DIFF:
        return found.severity is Severity.HOLD
    if found.place.partition(":")[0] in _OF_THE_SCRIPT:
        return False
    return found.severity is Severity.HOLD or found.code in _FAULTS_OF_A_DIFF


def _operations(operations: tuple[object, ...]) -> str:
    """One line an operation: a bare name as it is, anything else as JSON, its keys in the order of the log."""
    return "\n".join([f"- {one if isinstance(one, str) else _as_json(one)}" for one in operations])


def _as_json(operation: object) -> str:
    try:
        return _to_json(operation).decode()
    except ValueError:  # half a character: written as it is, it is found and named with the rest of the prompt
        return json.dumps(operation, ensure_ascii=False, separators=(",", ":"))


def _told(candidate: Told) -> Iterator[str]:
    """Every text that the prompt takes from the log; those inside operations as they read without JSON's escapes."""
    yield candidate.issue
    yield from candidate.target_files
    waiting: list[object] = list(candidate.operations)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value


def _find_unstorable(prompt: str, completion: str) -> tuple[str, str] | None:
    if prompt.isascii() and completion.isascii() and "\x00" not in prompt and "\x00" not in completion:
        return None
    for where, text in (("prompt", prompt), ("completion", completion)):
        found = _UNSTORABLE.search(text)
        if found and found[0] == "\x00":
            return "nul", f"The {where} holds a NUL character, which ends a text for some programs."
        if found:
            return "lone_surrogate", f"The {where} holds half a character, which no UTF-8 file can hold."
    return None
