"""Runs of the agent: the attempts that one change took, from scaffold to polish. The agent keeps them in memory only.

Three forms, whatever the saver made of the agent's list of tuples; forks leave elements out, or add some:

    tuples    [["import libcst …", false, 0.4, "PatchApplicationError: …"], …]      a fifth element is the source
    objects   [{"script": …, "is_valid": false, "score": 0.4, "traceback": …}, …]
    wrapped   {"run_id": …, "timestamp_utc": …, "phase": {…}, "spec": {…}, "outcome": …, "patch_history": […]}

The agent's list is never emptied between two runs that go well, so one file may hold several with nothing between
them; they are cut apart here. What is wrapped around such a list speaks of its last run.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import NamedTuple

from app.candidates import Candidate, Kind, Run, Validity
from app.formats.fields import first, instant, listed, loose_text, others, texts
from app.formats.given import Given
from app.formats.lines import HeldError
from app.formats.runs import Logged, cut_apart, once_each, run_of
from app.formats.traces import PENDING

FORMAT = "patch_history"

_HISTORY = "patch_history"
_SHORTEST, _LONGEST = 3, 5
_N_LOOKED_AT = 8
_SCRIPT = ("script", "patch_script", "code")
_VALID = ("is_valid", "valid", "validity")
_SCORE = ("score", "style_score")
_ERROR = ("traceback", "error", "error_traceback", "error_message")
_LABEL = ("source", "patch_source", "stage", "label")
_VALIDITIES = {True: Validity.VALID, False: Validity.INVALID, "true": Validity.VALID, "false": Validity.INVALID}
_VALIDITY_TEXT = re.compile(r"true|false|none|null|pending\w*", re.IGNORECASE)

_TIME = ("timestamp_utc", "timestamp")
_ISSUE = ("issue_description", "spec_issue_description", "issue", "task", "description")
_FILES = ("target_files", "spec_target_files")
_FILES_OF_PHASE = ("target_files", "target_file")
_OPERATIONS = ("operations",)
_ACCEPTANCE = ("acceptance_tests", "acceptance")
_ISSUE_ID = ("issue_id", "spec_issue_id")
_OF_SPEC = frozenset({*_ISSUE, *_FILES, *_OPERATIONS, *_ACCEPTANCE, *_ISSUE_ID})
_AROUND = frozenset({_HISTORY, *_TIME, "run_id", "phase", "spec", "outcome", "patch_source", "predicted_core", "id"})
# `run_20250610T174954_ebe8db.json`, `2025-06-10T17-49-54Z.json`, `2025-06-10.json`
_INSTANT = re.compile(r"(?<!\d)(20\d\d)(-?)(\d\d)\2(\d\d)(?:[T _-]?(\d\d)[:._-]?(\d\d)[:._-]?(\d\d))?(?!\d)")


def recognises(value: object) -> bool:
    """Whether a JSON value is a run's history, by its shape alone.

    `[["import libcst", true, 0.8, null]]` → True; `{"patch_history": []}` → True; `{"run_a": [[…]]}` → False. An empty
    list counts, so that `read` can say why it is empty.
    """
    if isinstance(value, dict):
        return _HISTORY in value
    # One attempt tells; what stands beside it and is none gets its own sentence from `read`.
    return isinstance(value, list) and (not value or any(map(_looks_like_attempt, value[:_N_LOOKED_AT])))


def read(value: object, given: Given) -> tuple[Candidate, ...]:
    """The runs of a history, each a candidate; most histories hold one.

    `[["a", false, 0.2, "…"], ["b", true, 0.6, None], ["c", true, 0.9, None]]` → one candidate with script `"c"` and a
    run of three attempts: scaffold, repair, polish.

    Of several runs only the last gets the file's time, its id, and what is wrapped around the list; the others get its
    id with a number, and no time. Attempts that stand several times in a row, alike in all that was logged, are
    one attempt with that count. What attempts hold beyond the five known fields stands in `extra["of_attempts"]`.

    Raises:
        HeldError: `empty_history`, `not_history`, `not_attempt`, or `wrong_type` for a script that is no text.

    """
    history = _history(value)
    run_id = loose_text(history.around.get("run_id")) or _id_in(given.name)
    *earlier, last = history.runs
    numbered = [
        _candidate(history.form, run, run_of(run, history.form, run_id and f"{run_id}#{number}"))
        for number, run in enumerate(earlier, 1)
    ]
    run = run_of(last, history.form, run_id, loose_text(history.around.get("outcome")))
    return (*numbered, _with_around(_candidate(history.form, last, run), run, history.around, given))


def content(value: object, given: Given) -> tuple[object, ...]:  # noqa: ARG001 - all readers are called alike
    """What each run of `read` says, as a JSON value, whatever its form.

    The same attempts as tuples, as objects, recorded twice, with `"true"` for true, under another file name, or in
    a list with other runs are equal. What is wrapped around them (issue, phase, outcome, …) counts; times and run id
    do not.
    """
    history = _history(value)
    contents: list[dict[str, object]] = [{"attempts": [_content(one) for one in run]} for run in history.runs]
    around = {key: one for key, one in history.around.items() if key not in {_HISTORY, "run_id", *_TIME}}
    if around:
        contents[-1]["around"] = around
    return tuple(contents)


def _content(one: Logged) -> list[object]:
    said: list[object] = [one.script, one.validity.value, one.score, one.error, one.label]
    extra = {key: value for key, value in one.extra.items() if key not in _TIME}
    return [*said, extra] if extra else said


class _History(NamedTuple):
    form: str
    runs: list[list[Logged]]
    around: Mapping[str, object]


def _history(value: object) -> _History:
    """A history's runs, at least one of at least one attempt, and the keys around it."""
    around = value if isinstance(value, dict) else {}
    attempts = around.get(_HISTORY) if _HISTORY in around else value
    if not isinstance(attempts, list):
        raise _not_history(value)
    if not attempts:
        raise HeldError(
            "empty_history",
            "This history holds no attempt: the agent clears its list when a phase fails. Save it before it does.",
        )
    form = "wrapped" if around else "objects" if isinstance(attempts[0], dict) else "tuples"
    logged = [_logged(attempt, number) for number, attempt in enumerate(attempts, 1)]
    return _History(form, cut_apart(once_each(logged)), around)


def _not_history(value: object) -> HeldError:
    if not isinstance(value, dict):
        return HeldError("not_history", f"A run's history is a list of attempts; this is {_name_of(value)}.")
    if _HISTORY in value:
        name = _name_of(value[_HISTORY])
        return HeldError("wrong_type", f'"{_HISTORY}" must be a list of attempts; here it is {name}.')
    return HeldError(
        "not_history",
        f'A run\'s history is a list of attempts, or an object with "{_HISTORY}"; this object holds {_keys(value)}. '
        "Save each run as a file or a line of its own.",
    )


def _looks_like_attempt(value: object) -> bool:
    if isinstance(value, dict):
        return any(key in value for key in _VALID) and any(key in value for key in (*_SCRIPT, *_ERROR))
    if not isinstance(value, list) or not _SHORTEST <= len(value) <= _LONGEST:
        return False
    script, valid, score, *rest = value
    is_validity = isinstance(valid, bool | None) or (isinstance(valid, str) and _VALIDITY_TEXT.fullmatch(valid))
    are_texts = all(isinstance(one, str | None) for one in (script, *rest))
    return bool(is_validity) and are_texts and isinstance(score, int | float | str | None)


def _logged(attempt: object, number: int) -> Logged:
    if isinstance(attempt, dict):
        return _from_object(attempt, number)
    if not isinstance(attempt, list):
        raise _not_attempt(number, f"is {_name_of(attempt)}")
    if len(attempt) < _SHORTEST:
        raise _not_attempt(number, f"is a list of {len(attempt)}")
    script, valid, score, error, label = [*attempt[:_LONGEST], None, None][:_LONGEST]
    beyond = {"beyond": attempt[_LONGEST:]} if len(attempt) > _LONGEST else {}
    return _made(number, script, valid, score, error, label, beyond)


def _from_object(attempt: Mapping[str, object], number: int) -> Logged:
    if not any(key in attempt for key in (*_VALID, *_SCRIPT)):
        raise _not_attempt(number, f"is an object with {_keys(attempt)}")
    keys = [next((key for key in keys if key in attempt), "") for keys in (_SCRIPT, _VALID, _SCORE, _ERROR, _LABEL)]
    script, valid, score, error, label = (attempt.get(key) if key else None for key in keys)
    extra = others(attempt, frozenset(keys))
    return _made(number, script, valid, score, error, label, extra)


def _not_attempt(number: int, what: str) -> HeldError:
    return HeldError(
        "not_attempt",
        f"Attempt {number} of this history {what}; an attempt is a list or an object of script, is_valid, score and "
        "traceback.",
    )


def _made(
    number: int, script: object, valid: object, score: object, error: object, label: object, extra: Mapping[str, object]
) -> Logged:
    if not isinstance(script, str | None):
        name = _name_of(script)
        raise HeldError("wrong_type", f"The script of attempt {number} must be text or null; here it is {name}.")
    said = valid.strip().lower() if isinstance(valid, str) else valid
    # A truthy text or number says nothing; 1 and 0 are no truth values of JSON.
    validity = _VALIDITIES[said] if isinstance(said, bool | str) and said in _VALIDITIES else Validity.PENDING
    text = loose_text(error)
    calls_pending = (isinstance(said, str) and said.startswith("pending")) or (text or "").startswith(PENDING)
    is_pending = validity is Validity.PENDING and calls_pending
    return Logged(script, validity, _score(score), text, loose_text(label) or "", is_pending, extra)


def _score(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        score = float(value)
    except (ValueError, OverflowError):
        return None
    return score if math.isfinite(score) else None


def _candidate(form: str, logged: Sequence[Logged], run: Run) -> Candidate:
    extra: dict[str, object] = {}
    if any(one.extra for one in logged):
        extra["of_attempts"] = [dict(one.extra) for one in logged]
    final = run.final or run.attempts[-1]
    return Candidate(Kind.PATCH, form, script=final.script, extra=extra, run=run)


def _with_around(candidate: Candidate, run: Run, around: Mapping[str, object], given: Given) -> Candidate:
    """The candidate of the last run with what the wrapping object and the file's name say of it."""
    phase, spec = _object(around.get("phase")), _object(around.get("spec"))
    # A fork may leave the spec's keys unwrapped.
    said = spec or around
    return replace(
        candidate,
        external_id=loose_text(around.get("id")),
        issue_id=loose_text(first(said, _ISSUE_ID)),
        issue=loose_text(first(said, _ISSUE)) or "",
        target_files=texts(first(said, _FILES)) or texts(first(phase, _FILES_OF_PHASE)),
        operations=listed(first(said, _OPERATIONS)),
        acceptance=texts(first(said, _ACCEPTANCE)),
        patch_source=loose_text(around.get("patch_source")) or "Unknown",
        predicted_core=loose_text(around.get("predicted_core")),
        logged_at=instant(first(around, _TIME))
        or _instant_in(PurePosixPath(given.name).name)
        or _instant_in(run.run_id),
        extra={**candidate.extra, **_unknown(around, spec)},
        run=replace(run, phase=phase),
    )


def _unknown(around: Mapping[str, object], spec: Mapping[str, object]) -> dict[str, object]:
    """What stands around a run or in its spec under keys that mean nothing here, and what is no spec or phase."""
    known = _AROUND if spec else _AROUND | _OF_SPEC
    unknown = others(around, known)
    unknown |= {key: around[key] for key in ("phase", "spec") if around.get(key) and not _object(around[key])}
    of_spec = others(spec, _OF_SPEC)
    return unknown | ({"spec": of_spec} if of_spec else {})


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _id_in(name: str) -> str | None:
    """The run's id in a file's name: `a/run_20250610T174954_ebe8db.json` → `20250610T174954_ebe8db`.

    A file of many lines is many runs, and says the id of none.
    """
    stem = PurePosixPath(name).name.removesuffix(".gz").removesuffix(".json")
    if not stem or stem.endswith((".jsonl", ".ndjson")):
        return None
    return stem.removeprefix("run_") if _INSTANT.match(stem.removeprefix("run_")) else stem


def _instant_in(name: str | None) -> datetime | None:
    found = _INSTANT.search(name or "")
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[n] or 0) for n in (1, 3, 4, 5, 6, 7))
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _keys(value: Mapping[str, object]) -> str:
    return ", ".join(sorted(map(json.dumps, value))[:8]) or "no key at all"


def _name_of(value: object) -> str:
    names = {str: "text", dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")
