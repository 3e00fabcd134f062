"""What keeps an example out of a release, each time with a sentence that says why. Pure.

A gate holds back unless a curator let the row pass, by name and with a reason. What is known only beside the example is
`Given`; what is known only of all examples together (twins, splits, benchmarks) is decided by the caller, and worded
here.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from app import checks
from app.candidates import Finding, Severity
from app.checks.script import parse
from app.examples import ANSWERS, COLUMNS, QUESTIONS, Example, Hold
from app.gates import leak
from app.gates.sameness import is_same
from app.tokens import Budget, Count, measure


@dataclass(frozen=True, slots=True)
class Gate:
    """One reason to hold an example back.

    Attributes:
        code: lower case with underscores, as in filters, manifests and rulings; of a finding, the finding's code.
        title: for people, as a heading: "Answer in the prompt".
        why: a sentence: what it protects from.
        can_pass: whether a curator may let a row pass; False where there is nothing to let pass, or where what passes
            would break what a release promises.
    """

    code: str
    title: str
    why: str
    can_pass: bool = True


_NOTHING = False  # there is nothing to let pass

_ALL = (
    Gate("answer_in_prompt", "Answer in the prompt", "A model that is shown the answer learns to copy, not to solve."),
    Gate(
        "same_after_normalisation",
        "Chosen and rejected are the same",
        "A pair that differs in white space or comments alone teaches that one and the same code is good and bad.",
        _NOTHING,
    ),
    Gate("empty", "Empty", "An empty text teaches a model to say nothing, and some trainers stop at it.", _NOTHING),
    Gate("diff_cut", "Diff is cut", "A model that learns from half a diff learns to stop midway."),
    Gate("no_diff", "No diff", "What is to be learned from the changed lines cannot be: there are none.", _NOTHING),
    Gate("not_a_diff", "No diff but text", "A sentence that stands where a diff should be is no code.", _NOTHING),
    Gate("diff_malformed", "Malformed diff", "A diff whose headers lie applies to nothing, and may name any file."),
    Gate("no_old_code", "No old code", "A change that only adds has no code to find by its issue.", _NOTHING),
    Gate("hash_only", "Only a hash of the script", "A salted hash matches nothing: there is no text.", _NOTHING),
    Gate("no_script", "No script", "Without a script there is no answer to learn.", _NOTHING),
    Gate(
        "placeholder_score",
        "No score of its own",
        "A score that was copied or forced says nothing about the text beside it.",
        _NOTHING,
    ),
    Gate(
        "direction_unknown",
        "Direction of scores unknown",
        "Where nobody said whether more is better, a scorer may learn the opposite.",
        _NOTHING,
    ),
    Gate("core_unknown", "Core unknown", "Without the core that made the patch there is nothing to predict.", _NOTHING),
    Gate(
        "never_validated",
        "Never validated",
        "A success that the agent's own checks never passed may not work: the agent takes what is pending for true.",
    ),
    Gate("script_unparsable", "Script does not parse", "A model must not learn to write what no Python can read."),
    Gate("script_too_large", "Script too large to parse", "What was not parsed was not checked."),
    Gate("spec_not_yaml", "Spec is no YAML", "The agent's planner refuses what is no mapping of fields."),
    Gate("spec_cut", "Spec is cut", "A model that learns from half a spec learns to stop midway."),
    Gate("spec_not_plain", "Spec is not plain", "Anchors, tags and depth make a spec that its reader refuses."),
    Gate("refined_not_pairs", "Fingerprint cannot be read", "The agent drops what is no list of pairs."),
    Gate("refined_cut", "Fingerprint is cut", "A model that learns from half a text learns to stop midway."),
    Gate("unified_not_json", "Profile is no JSON", "The agent drops a profile that is no JSON object."),
    Gate("unified_cut", "Profile is cut", "A model that learns from half a text learns to stop midway."),
    Gate("secret", "Secret", "A model repeats the keys and passwords that it has seen, to anybody."),
    Gate("bidi", "Reordered text", "Text that reads in another order than it runs deceives whoever reviews it."),
    Gate("hidden", "Hidden text", "What a reviewer cannot see was not reviewed, and a model reads it all the same."),
    Gate("control", "Control characters", "They steer a terminal, and no code needs them."),
    Gate(
        "injection",
        "Text aimed at a model",
        "Chat control tokens break the trainer's structure, and orders in the text would be learned as such.",
    ),
    Gate("over_budget", "Over the token budget", "A model cuts what is too long, and then learns from what is left."),
    Gate("exact_duplicate", "Exact duplicate", "What stands twice counts twice, and is learned by heart."),
    Gate("near_duplicate", "Near-duplicate", "The same change in small variations outweighs all others."),
    Gate(
        "label_both", "Both labels", "One answer to one prompt that is both good and bad teaches nothing.", _NOTHING
    ),
    Gate("reviewers_disagree", "Reviewers disagree", "A label that people do not agree on teaches noise."),
    Gate("licence_unknown", "Licence unknown", "Code of unknown licence may not be yours to train on."),
    Gate("nul", "NUL character", "It ends a text for some programs, so not every trainer would read the same row."),
    Gate("lone_surrogate", "Half a character", "No UTF-8 file can hold it: the row cannot be written.", _NOTHING),
    Gate(
        "split_conflict",
        "Would stand in two splits",
        "A model that is tested on what it was trained on seems better than it is.",
        _NOTHING,
    ),
    Gate("contaminated", "Part of a benchmark", "A model that has seen a benchmark can no longer be measured by it."),
    Gate("left_out", "Left out by hand", "A person said that this row should not be in a release.", _NOTHING),
)  # fmt: skip

GATES: Mapping[str, Gate] = MappingProxyType({gate.code: gate for gate in _ALL})
"""Every gate by its code, in the order in which they are told."""

_ORDER = {code: n for n, code in enumerate(GATES)}


def title_of(code: str) -> str:
    """The heading of a gate: `"answer_in_prompt"` → `"Answer in the prompt"`; of an unknown one, its code in words."""
    gate = GATES.get(code)
    return code.replace("_", " ").capitalize() if gate is None else gate.title


# ------------------------------------------------------------------------------------------------ one example


@dataclass(frozen=True, slots=True)
class Given:
    """What a gate must know besides the example; one for all examples of a candidate.

    Attributes:
        licence: of the source, or None.
        licence_required: whether the release asks for one.
        disagree: the sentence about reviewers who disagree, or empty.
        budgets: what the target models take.
        counters: exact counters by `Budget.tokenizer`; without one the count is an estimate.
        diff: of the candidate as it stands: a question that holds it tells the answer, whatever the answer's form.
        alike: place of a text → the place at which an equal text of the candidate is reported: `checks.alike`.
    """

    licence: str | None = None
    licence_required: bool = False
    disagree: str = ""
    budgets: Sequence[Budget] = ()
    counters: Mapping[str, Count] = field(default_factory=dict)
    diff: str = ""
    alike: Mapping[str, str] = field(default_factory=dict)


def check(example: Example, judged_findings: Sequence[Finding], *, given: Given) -> list[Hold]:
    """Everything that holds an example back, in the order of `GATES`, each gate once; empty where nothing does.

    A finding counts where its severity is `HOLD` and its text went into the example (`Example.places`). What is wrong
    with a script as an answer (`never_validated`, `script_unparsable`, `script_too_large`) counts only where a model
    is to write one (`Example.code`); what is wrong with a diff counts where the diff went in, a warning or not.

    Args:
        example: as the recipe made it.
        judged_findings: of its candidate as it would leave: `Judged.findings`.
        given: what is known besides.
    """
    holds = [hold for rule in _RULES for hold in rule(example, given)]
    if judged_findings:
        holds += _findings(example, judged_findings, given)
    if example.code:
        holds += _code(example, judged_findings)
    if len(holds) > 1:
        holds = list({hold.gate: hold for hold in reversed(holds)}.values())
        holds.sort(key=lambda hold: _ORDER.get(hold.gate, len(_ORDER)))
    return holds


def _answer_in_prompt(example: Example, given: Given) -> Iterator[Hold]:
    asked = _question(example)
    if not asked:
        return
    answers = [column for column in _ANSWER_COLUMNS[example.dataset.objective] if example.text(column)]
    whole = [] if example.may_repeat else [one for one in answers if leak.holds_answer(asked, example.text(one))]
    if whole:
        yield Hold("answer_in_prompt", _whole_sentence(example, whole[0]))
    elif leak.holds_diff(asked, given.diff):
        yield Hold("answer_in_prompt", "The question holds the diff, which is what the answer has to make.")
    elif example.told:
        most = next((one for one in answers if leak.tells_most(example.told, example.text(one))), None)
        if most is not None:
            yield Hold("answer_in_prompt", f"The issue or an operation holds most lines of the {most}.")


def _whole_sentence(example: Example, column: str) -> str:
    """Also for whoever has to decide whether it may pass: a repair that only strips a code fence gives nothing away."""
    given = _GIVEN_SCRIPT.get(example.dataset.task)
    if given is None or leak.holds_answer("\n".join(example.told), example.text(column)):
        return f"The whole {column} stands in the question."
    return f"The {given} holds the whole {column}: only white space, or what stands around it, is different."


def _question(example: Example) -> str:
    return next((example.text(column) for column in example.dataset.columns if column in QUESTIONS), "")


def _same_after_normalisation(example: Example, given: Given) -> Iterator[Hold]:  # noqa: ARG001  as all rules
    # White space, comments and quotes are what a scorer of style is to tell apart.
    is_of_style = example.dataset.role == "scorer"
    if "rejected" in example.values and not is_of_style and is_same(example.text("chosen"), example.text("rejected")):
        message = "Chosen and rejected differ in nothing but white space, comments or the form of their quotes."
        yield Hold("same_after_normalisation", message)


def _unwritable(example: Example, given: Given) -> Iterator[Hold]:  # noqa: ARG001
    """Texts that are empty, or that a file cannot hold."""
    for column, value in example.values.items():
        texts = (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
        for text in texts:
            if not text or text.isspace():
                # Only the scorer asks nothing: its pairs are compared without a question.
                if column != "prompt" or example.templates:
                    yield Hold("empty", f"The {column} is empty.")
            elif not text.isascii() or "\x00" in text:
                yield from _characters(column, text)


def _negatives(example: Example, given: Given) -> Iterator[Hold]:  # noqa: ARG001
    """Code of other candidates, whose findings are not known here."""
    negatives = example.values.get("negatives")
    for text in negatives if isinstance(negatives, tuple) else ():
        for found in _read(text) if len(text) < _LONG else checks.read_text(text):
            yield Hold(found.code, f"In a negative: {found.message}")


_LONG = 4_000


@lru_cache(maxsize=2_048)
def _read(text: str) -> tuple[Finding, ...]:
    """What the checks see in one text; remembered, as the patches of one file share their negatives."""
    return checks.read_text(text)


def _characters(column: str, text: str) -> Iterator[Hold]:
    if "\x00" in text:
        yield Hold("nul", f"The {column} holds a NUL character, which ends a text for some programs.")
    try:
        text.encode()
    except UnicodeEncodeError:
        yield Hold("lone_surrogate", f"The {column} holds half a character, which no UTF-8 file can hold.")


def _over_budget(example: Example, given: Given) -> Iterator[Hold]:
    said = [
        f"{'' if measured.is_exact else 'Estimated '}{part.n_tokens:,} tokens of {part.limit:,} for the {part.what}; "
        f"{measured.name} cuts there."
        for measured in (measure(example, given.budgets, given.counters) if given.budgets else ())
        for part in measured.over
    ]
    if said:
        yield Hold("over_budget", " ".join(said))


def _people(example: Example, given: Given) -> Iterator[Hold]:  # noqa: ARG001
    """What people have not agreed on, or not said."""
    if given.disagree:
        yield Hold("reviewers_disagree", given.disagree)
    if given.licence_required and not given.licence:
        yield Hold("licence_unknown", "Nobody said under which licence this code is, and this release requires one.")


_RULES: tuple[Callable[[Example, Given], Iterator[Hold]], ...] = (
    _answer_in_prompt, _same_after_normalisation, _unwritable, _negatives, _over_budget, _people,
)  # fmt: skip
# Task → the script that its question rightly holds.
_GIVEN_SCRIPT = {"repair": "failing script", "polish": "script before the polish"}
_ANSWER_COLUMNS = {objective: tuple(c for c in columns if c in ANSWERS) for objective, columns in COLUMNS.items()}


# ------------------------------------------------------------------------------------------------ findings


# Warnings elsewhere, but not where the diff itself is what is learned.
_OF_A_DIFF = frozenset({"diff_cut", "no_diff", "not_a_diff"})
# What makes a script a bad answer; it may well be a bad example.
_OF_AN_ANSWER = frozenset({"never_validated", "script_unparsable", "script_too_large"})


def _findings(example: Example, findings: Sequence[Finding], given: Given) -> Iterator[Hold]:
    found: dict[str, list[Finding]] = {}
    places = example.places | {given.alike[place] for place in example.places if place in given.alike}
    flooded = _flooded(findings)
    for finding in findings:
        if _counts(finding, example, places) or finding.code in flooded:
            found.setdefault(finding.code, []).append(finding)
    for code, same in found.items():
        more = f", and at {len(same) - 1:,} more places" if len(same) > 1 else ""
        # What a cut diff means to the script beside it says nothing of an example that is made of the diff.
        message = same[0].message.partition(". ")[0] if code == "diff_cut" else same[0].message.removesuffix(".")
        yield Hold(code, f"{message}. It is at {same[0].place}{more}.")


def _counts(finding: Finding, example: Example, places: Set[str]) -> bool:
    if finding.code in _OF_A_DIFF:
        return "diff" in places
    if finding.severity is not Severity.HOLD:
        return False
    if finding.code in _OF_AN_ANSWER:
        # A run that never passed is told of at the run, and is one of its script.
        return bool(example.code) and "script" in places
    return _root(finding.place) in places


def _flooded(findings: Sequence[Finding]) -> frozenset[str]:
    """Codes of which not all findings are listed: what is not may well stand in any text."""
    if len(findings) < checks.MOST_FINDINGS:
        return frozenset()
    counted = Counter(finding.code for finding in findings if finding.code in checks.TEXT_CODES)
    return frozenset(code for code, n in counted.items() if n >= checks.MOST_FINDINGS)


def _root(place: str) -> str:
    """Which text a place is in: `attempt2:7` → `attempt2`, `samples[3].fingerprint` → `samples`."""
    return _END.split(place, maxsplit=1)[0]


_END = re.compile(r"[:.\[]")


def _code(example: Example, findings: Sequence[Finding]) -> Iterator[Hold]:
    """Columns that must parse and were not parsed as the candidate's script."""
    is_known = example.answer in _CHECKED or (
        "script" in example.places and any(finding.code in _OF_AN_ANSWER for finding in findings)
    )
    for column in () if is_known else example.code:
        fault = _find_fault(example.text(column))
        if fault is not None:
            yield Hold(fault.code, fault.message)


# Answers that are the candidate's script as it stands, which the checks have parsed.
_CHECKED = frozenset({"script", "edited_script"})


@lru_cache(maxsize=16)
def _find_fault(text: str) -> Finding | None:
    """Why a text does not parse, or None; remembered, as all objectives of a task share their answers."""
    parsed = parse(text) if text.strip() else None
    return parsed if isinstance(parsed, Finding) else None


# ------------------------------------------------------------------------------------------------ decided elsewhere


def duplicate_of(example_id: str) -> Hold:
    """Every column is equal to another row's of the same dataset: `duplicate_of("scaffold-sft-9f…")`."""
    return Hold("exact_duplicate", f"The same row, to the letter, is there already: {example_id}.")


def near_duplicate_of(candidate_id: int, likeness: float | None = None) -> Hold:
    """Nearly the same change as another candidate's, whose rows stay: `near_duplicate_of(7, 0.93)`."""
    alike = "" if likeness is None else f" ({likeness:.0%} alike)"
    return Hold("near_duplicate", f"Nearly the same change as candidate {candidate_id}{alike}, whose rows are there.")


def in_two_splits(first: str, second: str) -> Hold:
    """Its group would stand in two splits: `in_two_splits("train", "test")`."""
    message = f"Its issue or a near-duplicate of it stands in {first} already, and another in {second}."
    return Hold("split_conflict", f"{message} It would leak from one to the other.")


def contaminated_by(file: str, share: float | None = None) -> Hold:
    """A benchmark holds it: `contaminated_by("swe.jsonl", 0.4)`; without a share it is on the block list."""
    if share is None:
        return Hold("contaminated", f"{file} lists its repository and issue as part of a benchmark.")
    return Hold("contaminated", f"{share:.0%} of its word sequences stand in {file}.")


def left_out_by(name: str, reason: str = "") -> Hold:
    """A person left it out: `left_out_by("ana", "too trivial")`."""
    return Hold("left_out", f"{name} left it out: {reason.rstrip('.')}." if reason.strip() else f"{name} left it out.")
