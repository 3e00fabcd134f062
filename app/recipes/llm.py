"""The `llm` role: what the agent's language model learns from a judged patch. Pure.

Three tasks: `scaffold` (the issue → the script), `repair` (a failing script and its error → the next valid script) and
`polish` (a valid script → the next valid, polished one). Each as `sft`, as pairs (`preference`, and `reward` with the
difference of their style scores) and as single labels (`unpaired`).

A pair needs evidence, and a label an absolute judgement: the agent's checks said no to an attempt, or a reviewer to a
patch for what it is. What only waits for its check (`pending_revalidation`) is neither; nor is the text before an edit
bad by itself, so it is a `rejected` but never a label.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pydantic_core

from app.candidates import Attempt, Candidate, Direction, Kind, Severity, Validity
from app.examples import Dataset, Example, HeldBack, Value
from app.recipes.judged import Judged, Rival
from app.recipes.prompt import Prompts

NAME = "llm"
VERSION = 2
KINDS = frozenset({Kind.PATCH})
_RECIPE = f"{NAME}/{VERSION}"
_OBJECTIVES = ("sft", "preference", "unpaired", "reward")
_SCAFFOLD, _REPAIR, _POLISH = (
    {objective: Dataset(NAME, task, objective) for objective in _OBJECTIVES}
    for task in ("scaffold", "repair", "polish")
)
DATASETS = tuple(dataset for task in (_SCAFFOLD, _REPAIR, _POLISH) for dataset in task.values())

SCRIPT, EDITED_SCRIPT, EDITED_DIFF = "script", "edited_script", "edited_diff"
_NO_ISSUE = frozenset({"", "N/A"})
# Errors that say nothing of the script: the duplicate guard flags almost every edit, the others are the agent's own.
_NOT_THE_SCRIPT = frozenset({"duplicate", "configuration", "agent", "original"})
# Reasons that speak of the desk's work, not of the patch.
_RELATIVE = frozenset({"duplicate", "unclear"})
_ASKED = frozenset({"issue", "target_files", "operations", "phase"})
_LONGEST_NAME = 60


def make(judged: Judged, prompts: Prompts) -> Iterator[Example | HeldBack]:
    """Every example of the three tasks that one judged patch gives, and why where one is missing.

    Args:
        judged: the candidate with its decision.
        prompts: the templates in use, by name.

    """
    story = _Story(judged, prompts)
    if judged.verdict == "reject":
        yield from _labels_of_rejected(story)
        return
    if (missing := _missing(judged)) is not None:
        yield HeldBack(_SCAFFOLD["sft"], *missing)
    else:
        yield from _scaffold(story)
    if not judged.is_edited("diff"):
        yield from _repair(story)
        yield from _polish(story)


def gaps(judged: Judged) -> list[tuple[str, str, dict[str, str]]]:
    """What goes into the gaps of which template for this candidate, with a title for a person.

    `[("Scaffold", "scaffold", {"issue": "Fix x", "files": "a.py", …}), ("Repair of attempt 2", "repair", {…})]`
    """
    asked = _asked(judged.candidate)
    found = [("Scaffold", "scaffold", asked), ("Scaffold, answered with a diff", "scaffold_diff", asked)]
    ladder = _Ladder(judged)
    found += [(f"Repair of attempt {one.n}", "repair", _to_repair(asked, one)) for one in ladder.failed()]
    if (pair := ladder.polish()) is not None:
        found.append((f"Polish of attempt {pair[0].n}", "polish", _to_polish(asked, pair[0])))
    return found


# ------------------------------------------------------------------------------------------------ the ladder


class _Rung(NamedTuple):
    """One attempt with its number from 1."""

    n: int
    attempt: Attempt

    @property
    def script(self) -> str:
        return self.attempt.script or ""

    @property
    def error(self) -> str:
        return self.attempt.trace.text if self.attempt.trace else ""

    @property
    def failure(self) -> str:
        """What it failed with, in few words: `NameError`, or `Ruff found issues`."""
        trace = self.attempt.trace
        return "" if trace is None else trace.exception or trace.label

    @property
    def is_valid(self) -> bool:
        return self.attempt.validity is Validity.VALID and bool(self.script.strip())

    @property
    def is_failed(self) -> bool:
        """The agent's checks said no to this very script. What waits for its check is not failed."""
        trace = self.attempt.trace
        return (
            self.attempt.validity is Validity.INVALID
            and bool(self.script.strip())
            and trace is not None
            and bool(trace.text.strip())
            and trace.kind not in _NOT_THE_SCRIPT
        )


class _Ladder:
    """The attempts of a candidate's run, as pairs are mined from them."""

    def __init__(self, judged: Judged) -> None:
        run = judged.candidate.run
        self.rungs = [_Rung(n, one) for n, one in enumerate(run.attempts if run else (), 1)]
        self.direction = run.direction if run else Direction.UNKNOWN
        self.script = judged.candidate.script or ""

    def failed(self) -> list[_Rung]:
        """Failed attempts; one that was tried again word for word with the same error stands once."""
        found = {(_bare(one.script), one.error): one for one in reversed(self.rungs) if one.is_failed}
        return sorted(found.values())

    def failed_scripts(self) -> list[_Rung]:
        """Failed attempts, one for each script that no valid attempt has."""
        passed = {_bare(one.script) for one in self.rungs if one.is_valid}
        found = {_bare(one.script): one for one in reversed(self.failed())}
        return sorted(one for text, one in found.items() if text not in passed)

    def next_valid(self, rung: _Rung) -> _Rung | None:
        """The first valid attempt after this one."""
        return next((one for one in self.rungs[rung.n :] if one.is_valid), None)

    def between(self, first: _Rung, last: _Rung) -> list[_Rung]:
        """Failed attempts between two others."""
        return [one for one in self.failed_scripts() if first.n < one.n < last.n]

    def final(self) -> _Rung | None:
        """The valid attempt that the candidate's script is, or None where the run holds none."""
        return next((one for one in reversed(self.rungs) if one.is_valid and _same(one.script, self.script)), None)

    def polish(self) -> tuple[_Rung, _Rung] | None:
        """The run's last valid attempt and the valid one before it, where the texts differ."""
        valid = [one for one in self.rungs if one.is_valid]
        if len(valid) < 2 or _same(valid[-2].script, valid[-1].script):  # noqa: PLR2004
            return None
        return valid[-2], valid[-1]


def _bare(script: str) -> str:
    """A script as it is compared: the agent's own merging takes the last line end off."""
    return script.rstrip("\n")


def _same(one: str, other: str) -> bool:
    return _bare(one) == _bare(other)


# ------------------------------------------------------------------------------------------------ what is asked


def _asked(told: Candidate) -> dict[str, str]:
    return {
        "issue": "" if told.issue.strip() in _NO_ISSUE else told.issue,
        "files": "\n".join(told.target_files),
        "operations": "\n".join(f"- {one if isinstance(one, str) else _json(one)}" for one in told.operations),
        "phase": "\n".join(f"{key}: {_plain(value)}" for key, value in _phase(told).items() if value not in (None, "")),
    }


def _phase(told: Candidate) -> Mapping[str, object]:
    return told.run.phase if told.run else {}


def _to_repair(asked: Mapping[str, str], rung: _Rung) -> dict[str, str]:
    return {**asked, "error": rung.error, "script": rung.script}


def _to_polish(asked: Mapping[str, str], rung: _Rung) -> dict[str, str]:
    return {name: asked[name] for name in ("files", "operations", "phase")} | {"script": rung.script}


def _plain(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    try:
        return pydantic_core.to_json(value).decode()
    except ValueError:  # half a character: written as it is, it is found and named with the rest of the prompt
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _texts_in(value: object) -> Iterator[str]:
    """Every text inside a nested value, as it reads without JSON's escapes."""
    waiting: list[object] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            waiting += [*one, *one.values()]
        elif isinstance(one, list | tuple):
            waiting += one


# ------------------------------------------------------------------------------------------------ building examples


class _Prompt(NamedTuple):
    """A filled prompt, which template made it, which texts went in, and which of them may tell the answer.

    A script that is to be repaired is none of these, nor is the error, which quotes it.
    """

    text: str
    template: str
    places: frozenset[str]
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """What is to be written: the text, what it is, and where its findings are."""

    text: str
    answer: str
    places: frozenset[str]
    rung: _Rung | None = None


class _Story:
    """A judged candidate while its examples are made."""

    def __init__(self, judged: Judged, prompts: Prompts) -> None:
        self.judged = judged
        self.prompts = prompts
        self.ladder = _Ladder(judged)
        self.asked = _asked(judged.candidate)
        told = judged.candidate
        self._told = (told.issue, *told.target_files, *_texts_in(told.operations), *_texts_in(_phase(told)))

    def scaffold(self) -> _Prompt:
        return self._fill("scaffold_diff" if self.judged.is_edited("diff") else "scaffold", self.asked, _ASKED)

    def repair(self, rung: _Rung) -> _Prompt:
        places = _ASKED | {f"attempt{rung.n}", f"trace{rung.n}"}
        return self._fill("repair", _to_repair(self.asked, rung), places)

    def polish(self, rung: _Rung) -> _Prompt:
        places = frozenset({"target_files", "operations", "phase", f"attempt{rung.n}"})
        return self._fill("polish", _to_polish(self.asked, rung), places)

    def _fill(self, name: str, values: Mapping[str, str], places: frozenset[str]) -> _Prompt:
        template = self.prompts[name]
        return _Prompt(template.fill(values), template.label, places, self._told)

    def final(self) -> _Target:
        """The candidate's script, or the text as a reviewer left it."""
        if self.judged.revision is not None:
            field, text = self.judged.revision
            answer = EDITED_DIFF if field == "diff" else EDITED_SCRIPT
            return _Target(text, answer, frozenset({field}))
        script = self.judged.candidate.script or ""
        return _Target(script, SCRIPT, frozenset({"script", "run"}), self.ladder.final())

    def target(self, rung: _Rung) -> _Target:
        """What a repair or a polish leads to: a valid attempt, unless a reviewer edited the script."""
        if self.judged.revision is not None:
            return self.final()
        if _same(rung.script, self.ladder.script):
            return _Target(rung.script, f"attempt {rung.n}", frozenset({"script", "run"}), rung)
        return _Target(rung.script, f"attempt {rung.n}", frozenset({f"attempt{rung.n}"}), rung)

    def one(
        self, dataset: Dataset, suffix: str, prompt: _Prompt, target: _Target, evidence: str = "", **values: Value
    ) -> Example:
        named: dict[str, Value] = {"prompt": prompt.text, **values}
        asks_for_python = target.answer != EDITED_DIFF and values.get("label") is not False
        return Example(
            dataset=dataset,
            id=f"{dataset.task}-{dataset.objective}-{self.judged.digest[:20]}{suffix}",
            values={column: named[column] for column in dataset.columns},
            recipe=_RECIPE,
            templates=(prompt.template,),
            answer=target.answer,
            places=prompt.places | target.places,
            code=("chosen" if "chosen" in named else "completion",) if asks_for_python else (),
            evidence=evidence,
            told=prompt.told,
        )

    def pair(
        self, datasets: Mapping[str, Dataset], suffix: str, prompt: _Prompt, target: _Target, other: "_Other"
    ) -> Iterator[Example]:
        """A pair twice: for preference training, and for a reward model with the difference of the scores."""
        texts = {"chosen": target.text, "rejected": other.text}
        wide = _Target(target.text, target.answer, target.places | other.places)
        yield self.one(datasets["preference"], suffix, prompt, wide, other.evidence, **texts)
        margin = _margin(target.rung, other.rung, self.ladder.direction)
        yield self.one(datasets["reward"], suffix, prompt, wide, other.evidence, **texts, margin=margin)

    def label(
        self,
        datasets: Mapping[str, Dataset],
        suffix: str,
        prompt: _Prompt,
        target: _Target,
        evidence: str,
        *,
        good: bool,
    ) -> Example:
        return self.one(datasets["unpaired"], suffix, prompt, target, evidence, completion=target.text, label=good)


class _Other(NamedTuple):
    """The rejected side of a pair, and why it is worse."""

    text: str
    places: frozenset[str]
    evidence: str
    rung: _Rung | None = None


def _margin(chosen: _Rung | None, rejected: _Rung | None, direction: Direction) -> float | None:
    """How much better the chosen script scores, where both scores are real and it does."""
    one, other = _score(chosen), _score(rejected)
    if one is None or other is None or direction is Direction.UNKNOWN:
        return None
    better = round(one - other if direction is Direction.HIGHER else other - one, 12)
    return better if better > 0 else None


def _score(rung: _Rung | None) -> float | None:
    return None if rung is None or rung.attempt.placeholder else rung.attempt.score


def _failed(rung: _Rung, valid: _Rung | None, edited: bool) -> str:
    """`"Same run, same target: failed at attempt 2 with NameError, valid at attempt 4."`."""
    to = "" if valid is None else f", valid at attempt {valid.n}"
    by = ", as the reviewer left it" if edited else ""
    return f"Same run, same target: failed at attempt {rung.n} with {rung.failure[:_LONGEST_NAME]}{to}{by}."


def _attempt(rung: _Rung, valid: _Rung | None, edited: bool) -> _Other:
    return _Other(rung.script, frozenset({f"attempt{rung.n}"}), _failed(rung, valid, edited), rung)


# ------------------------------------------------------------------------------------------------ scaffold


def _missing(judged: Judged) -> tuple[str, str] | None:
    """Why an accepted or edited patch gives nothing to scaffold; its run may still hold repairs."""
    told = judged.candidate
    if judged.revision is None and not (told.script or "").strip():
        if told.script_hash:
            return "hash_only", "The log holds only a salted hash of the script, so there is no completion."
        return "no_script", "The log holds no script, so there is no completion."
    if told.issue.strip() in _NO_ISSUE and not told.operations:
        return "empty", "The log holds neither an issue nor an operation, so there is nothing to prompt with."
    return None


def _scaffold(story: _Story) -> Iterator[Example]:
    prompt, final = story.scaffold(), story.final()
    yield story.one(_SCAFFOLD["sft"], "", prompt, final, completion=final.text)
    yield story.label(_SCAFFOLD, "", prompt, final, "A reviewer accepted it.", good=True)
    yield from _before_the_edit(story, _SCAFFOLD, prompt)
    if final.answer == EDITED_DIFF:
        return
    yield from _attempts_against(story, prompt, final)
    yield from _failed_labels(story, prompt)
    for rival in story.judged.rivals:
        if (other := _rejected(story, prompt, final, rival)) is not None:
            yield from story.pair(_SCAFFOLD, f"-vs-{rival.digest[:20]}", prompt, final, other)


def _attempts_against(story: _Story, prompt: _Prompt, final: _Target) -> Iterator[Example]:
    """Failed attempts of the very run that led to the accepted script."""
    reached = story.ladder.final()
    if reached is None:
        return
    for rung in story.ladder.failed_scripts():
        if not _same(rung.script, final.text):
            other = _attempt(rung, reached, final.answer == EDITED_SCRIPT)
            yield from story.pair(_SCAFFOLD, f"-{rung.n}", prompt, final, other)


def _before_the_edit(story: _Story, datasets: Mapping[str, Dataset], prompt: _Prompt) -> Iterator[Example]:
    revision = story.judged.revision
    if revision is None:
        return
    field, text = revision
    before = story.judged.candidate.texts.get(field, "")
    if before.strip() and not (field == "diff" and story.judged.candidate.diff_is_snippet) and not _same(before, text):
        evidence = f"A reviewer edited the {field}: the edit is chosen, the text before it rejected."
        other = _Other(before, frozenset({f"logged_{field}"}), evidence)
        yield from story.pair(datasets, "-edit", prompt, story.final(), other)


def _rejected(story: _Story, prompt: _Prompt, final: _Target, rival: Rival) -> _Other | None:
    """A rejected patch that answered the very same prompt."""
    told = rival.candidate
    if not (told.script or "").strip() or not _is_absolute(rival.reasons) or _same(told.script or "", final.text):
        return None
    if any(one.severity is Severity.HOLD and one.place.startswith("script") for one in rival.findings):
        return None
    if story.prompts["scaffold"].fill(_asked(told)) != prompt.text:
        return None
    why = f" ({', '.join(rival.reasons)})" if rival.reasons else ""
    evidence = f"Same prompt: a reviewer accepted this script and rejected that of candidate {rival.candidate_id}{why}."
    return _Other(told.script or "", frozenset(), evidence)


def _is_absolute(reasons: Iterable[str]) -> bool:
    """Whether a rejection says that the patch is bad: `unclear` and `duplicate` alone do not."""
    given = set(reasons)
    return not given or bool(given - _RELATIVE)


def _failed_labels(story: _Story, prompt: _Prompt, but: str = "") -> Iterator[Example]:
    """Each failed attempt as a completion that is not wanted."""
    for rung in story.ladder.failed_scripts():
        if not _same(rung.script, but):
            target = _Target(rung.script, f"attempt {rung.n}", frozenset({f"attempt{rung.n}"}))
            why = f"The agent's checks failed attempt {rung.n}: {rung.failure[:_LONGEST_NAME]}."
            yield story.label(_SCAFFOLD, f"-{rung.n}", prompt, target, why, good=False)


def _labels_of_rejected(story: _Story) -> Iterator[Example]:
    judged = story.judged
    told = judged.candidate
    if told.issue.strip() in _NO_ISSUE and not told.operations:
        return
    prompt, rejected = story.scaffold(), ""
    if (told.script or "").strip() and _is_absolute(judged.reasons):
        rejected = told.script or ""
        why = f" ({', '.join(judged.reasons)})" if judged.reasons else ""
        target = _Target(rejected, SCRIPT, frozenset({"script"}))
        yield story.label(_SCAFFOLD, "", prompt, target, f"A reviewer rejected it{why}.", good=False)
    yield from _failed_labels(story, prompt, rejected)


# ------------------------------------------------------------------------------------------------ repair and polish


def _repair(story: _Story) -> Iterator[Example]:
    """Each failed attempt with its error → the next valid script of the same run, or the text that a reviewer left."""
    for rung in story.ladder.failed():
        reached = story.ladder.next_valid(rung)
        if reached is None:
            continue
        prompt, target = story.repair(rung), story.target(reached)
        if not _same(rung.script, target.text):
            evidence = _failed(rung, reached, target.answer == EDITED_SCRIPT)
            yield from _step(story, _REPAIR, prompt, target, (rung, reached, evidence))


def _polish(story: _Story) -> Iterator[Example]:
    """The unpolished valid script → the final one."""
    found = story.ladder.polish()
    if found is None:
        return
    before, after = found
    prompt, target = story.polish(before), story.target(after)
    if not _same(before.script, target.text):
        evidence = f"Same run, same target: valid at attempt {before.n}, polished and valid at attempt {after.n}."
        yield from _step(story, _POLISH, prompt, target, (before, after, evidence))


def _step(
    story: _Story,
    datasets: Mapping[str, Dataset],
    prompt: _Prompt,
    target: _Target,
    mined: tuple[_Rung, _Rung, str],
) -> Iterator[Example]:
    """Every objective of one step of a run: from one attempt to a later, valid one."""
    start, reached, evidence = mined
    is_edited = target.answer == EDITED_SCRIPT
    suffix = f"-{start.n}-{reached.n}"
    yield story.one(datasets["sft"], suffix, prompt, target, evidence, completion=target.text)
    yield story.label(datasets, suffix, prompt, target, evidence, good=True)
    for rung in story.ladder.between(start, reached):
        if not _same(rung.script, target.text):
            other = _attempt(rung, reached, is_edited)
            yield from story.pair(datasets, f"{suffix}-{rung.n}", prompt, target, other)
            failed = _Target(rung.script, f"attempt {rung.n}", other.places)
            yield story.label(datasets, f"{suffix}-{rung.n}", prompt, failed, other.evidence, good=False)
    if is_edited and _same(reached.script, story.ladder.script) and not _same(reached.script, target.text):
        why = f"A reviewer edited the script of attempt {reached.n}: the edit is chosen, the text before it rejected."
        before = _Other(reached.script, frozenset({"logged_script"}), why)
        yield from story.pair(datasets, f"{suffix}-edit", prompt, target, before)
