"""The capture log of `static/patchsift_capture.py`: one line a step, all lines of a run one candidate.

    {"patchsift_capture": 1, "event": "run", "run": "<hex>", "seq": 0, "at": "…", "issue": "…", "target_files": […], …}
    {… "event": "prompt", "seq": 1, "stage": "scaffold", "text": "…", "model": "…"}          likewise "output"
    {… "event": "attempt", "stage": "repair", "script": "…", "is_valid": false, "score": 0.4, "traceback": "…"}
    {… "event": "final", "script": "…", "diff": "…", "patch_source": "…", "accepted": true}
    {… "event": "end", "outcome": "success"}
    {"patchsift_capture": 1, "event": "spec", "at": "…", "raw_issue_text": "…", …}           a line of a spec log
    {"patchsift_capture": 1, "event": "style_refine" or "style_unify", "at": "…", …}         a line of a style log

Lines come in any order, some of them twice, and some perhaps never: the agent was killed, or still runs. The version is
not asked for: a later one is read as far as it is known.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from app.candidates import Attempt, Candidate, Direction, Kind, Run, Stage, Validity
from app.formats import fields, runs, spec_log, style_log
from app.formats.given import Given
from app.formats.lines import HeldError
from app.formats.traces import PENDING

FORMAT = "capture"

_MARK = "patchsift_capture"
_ENVELOPE = frozenset({_MARK, "event", "run", "seq", "at"})
_PAIRS = ("spec", "style_refine", "style_unify")
_SCRIPT = ("script", "patch_script", "code")
_VALID = ("is_valid", "valid")
_SCORE = ("score", "style_score")
_ERROR = ("traceback", "error")
_TEXTS = {"attempt": _SCRIPT, "final": ("script", "diff")}
_LABEL = ("stage", "source", "label")
_ABOUT = ("issue", "issue_id", "target_files", "operations", "acceptance_tests", "phase", "score_direction")
_SHOWN = {
    "run": frozenset(_ABOUT),
    "final": frozenset({"script", "diff", "patch_source"}),
    "end": frozenset({"outcome", *_ERROR}),
    "prompt": frozenset({"stage", "text"}),
    "output": frozenset({"stage", "text"}),
    "attempt": frozenset({*_SCRIPT, *_VALID, *_SCORE, *_ERROR, *_LABEL}),
}
_OF_THE_RUN = ("run", "final", "end")
_STAGES = {
    "polish": Stage.POLISH,
    "heuristic": Stage.HEURISTIC,
    "repair": Stage.REPAIR,
    "expan": Stage.EXPAND,
    "scaffold": Stage.SCAFFOLD,
}
_VALIDITIES = {"true": Validity.VALID, "false": Validity.INVALID}
_NOTHING_TRIED = Attempt(None, Stage.UNKNOWN, Validity.PENDING)


def recognises(value: object) -> bool:
    """Whether a JSON value is a line of a capture log."""
    return isinstance(value, dict) and _MARK in value


def is_run_event(value: object) -> bool:
    """Whether a line tells of a run, to which other lines may add; a spec or style pair stands alone."""
    return recognises(value) and isinstance(value, dict) and value.get("event") not in _PAIRS


def read(value: object, given: Given) -> tuple[Candidate, ...]:
    """What one line says: a spec or style candidate, or as much of a run as this line tells.

    Raises:
        HeldError: `missing_field` or `wrong_type`, where the line lacks what its event needs.

    """
    if is_run_event(value):
        return (read_run([value], given),)
    line, pair = _line(value), _pair(value)
    if line["event"] == "spec":
        made = spec_log.read(pair, given)
        return tuple(replace(one, spec=one.spec and replace(one.spec, origin="capture")) for one in made)
    if line["event"] == "style_refine":
        return style_log.read_refine(pair, given)
    return style_log.read_unify(pair, given)


def content(value: object, given: Given) -> tuple[object, ...]:
    """What makes two lines one candidate: the run that they tell of, or the texts of a pair without its time."""
    line = _line(value)
    if is_run_event(value):
        return (["capture run", line["run"]],)
    pair = _pair(value)
    if line["event"] == "spec":
        return spec_log.content(pair, given)
    if line["event"] == "style_refine":
        return style_log.content_refine(pair, given)
    return style_log.content_unify(pair, given)


def read_run(values: Sequence[object], given: Given) -> Candidate:  # noqa: ARG001  (all readers are called alike)
    """What all lines of one run say together; the same for any order of them, and for any of them twice.

    `[{"event": "attempt", "script": "import libcst", "is_valid": True, …}, {"event": "run", "issue": "Fix x", …}]` →
    `Candidate(kind=Kind.PATCH, generation="capture", issue="Fix x", script="import libcst", run=Run("capture", …), …)`

    Raises:
        HeldError: one of the lines lacks what a run's line needs.

    """
    lines = _in_order(map(_line, values))
    about, final, end = (_together(lines, event) for event in _OF_THE_RUN)
    run = _run(lines, about, final, end)
    spec = about.get("spec")
    said = {**(spec if isinstance(spec, dict) else {}), **{key: one for key, one in about.items() if one != []}}
    return Candidate(
        kind=Kind.PATCH,
        generation=FORMAT,
        issue_id=fields.loose_text(said.get("issue_id")),
        issue=fields.loose_text(fields.first(said, ("issue", "issue_description"))) or "",
        target_files=fields.texts(said.get("target_files") or run.phase.get("target_file")),
        operations=fields.listed(said.get("operations")),
        diff=fields.loose_text(final.get("diff")),
        script=_script(final, run),
        patch_source=fields.loose_text(final.get("patch_source")) or "Unknown",
        logged_at=next((at for line in lines if (at := fields.instant(line.get("at"))) is not None), None),
        extra=_extra(lines, about, final, end),
        acceptance=fields.texts(said.get("acceptance_tests")),
        run=run,
    )


# ------------------------------------------------------------------------------------------------ lines


def _line(value: object) -> fields.Entry:
    """The line, checked: an event, and for a run's event the run and the place in it."""
    if not isinstance(value, dict):
        raise HeldError("not_object", "A line of a capture log is a JSON object in braces.")
    line: dict[str, object] = value
    event = line.get("event")
    if not isinstance(event, str):
        raise HeldError("missing_field", 'A line of a capture log says in "event" what happened; this one does not.')
    if event in _PAIRS:
        return line
    if not (isinstance(line.get("run"), str) and line["run"] and type(line.get("seq")) is int):
        raise HeldError(
            "missing_field",
            f'The event {json.dumps(event)} is one of a run: its line names the run in "run" (text) and its place in '
            'it in "seq" (a whole number). This one does not.',
        )
    for name in _TEXTS.get(event, ()):
        fields.text(line, (name,))
    return line


def _pair(value: object) -> dict[str, object]:
    """A pair's line as the pair logs have it."""
    line = _line(value)
    return fields.others(line, _ENVELOPE) | {"timestamp_utc": line.get("at")}


def _in_order(lines: Iterable[fields.Entry]) -> list[fields.Entry]:
    """The lines by their place in the run, each once; where two claim one place, time and text decide."""
    by_text = {json.dumps(line, sort_keys=True): line for line in lines}
    return [by_text[text] for text in sorted(by_text, key=lambda text: (*_place(by_text[text]), text))]


def _place(line: fields.Entry) -> tuple[int, str]:
    seq = line["seq"]
    return (seq if isinstance(seq, int) else 0), str(line.get("at"))


def _together(lines: Iterable[fields.Entry], event: str) -> dict[str, object]:
    """What the lines of one event say; what is said last counts."""
    found: dict[str, object] = {}
    for line in lines:
        if line["event"] == event:
            found |= {key: value for key, value in line.items() if key not in _ENVELOPE and value is not None}
    return found


# ------------------------------------------------------------------------------------------------ the run


def _run(lines: Sequence[fields.Entry], about: fields.Entry, final: fields.Entry, end: fields.Entry) -> Run:
    run_id, outcome = str(lines[0]["run"]), fields.loose_text(end.get("outcome"))
    logged = runs.once_each(_logged(line) for line in lines if line["event"] == "attempt")
    run = runs.run_of(logged, FORMAT, run_id, outcome) if logged else Run(FORMAT, (), run_id, outcome)
    last = run.attempts[-1] if run.attempts else _NOTHING_TRIED
    phase = about.get("phase")
    run = replace(
        run,
        attempts=tuple(map(_as_labelled, run.attempts)),
        phase=phase if isinstance(phase, dict) else {"description": phase} if phase else {},
        error=fields.loose_text(fields.first(end, _ERROR)) or "",
        cut_short=runs.is_cut_short(outcome, last) if end.get("raised") or not final else False,
        prompts=dict(_by_stage(lines, "prompt")),
    )
    if about.get("score_direction") not in ("higher", "lower"):
        return run
    why = "The capture log says so: the agent's author set it."
    return replace(run, direction=Direction(str(about["score_direction"])), direction_why=why)


def _logged(line: fields.Entry) -> runs.Logged:
    said, error = fields.first(line, _VALID), fields.loose_text(fields.first(line, _ERROR))
    # Only true is valid and only false is not: text such as "pending_revalidation", a number or nothing is neither.
    word = str(said).strip().lower() if isinstance(said, bool | str) else ""
    validity = _VALIDITIES.get(word, Validity.PENDING)
    calls_pending = word.startswith("pending") or (error or "").startswith(PENDING)
    return runs.Logged(
        fields.text(line, _SCRIPT),
        validity,
        _score(fields.first(line, _SCORE)),
        error,
        fields.loose_text(fields.first(line, _LABEL)) or "",
        is_pending=validity is Validity.PENDING and calls_pending,
    )


def _score(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _as_labelled(attempt: Attempt) -> Attempt:
    """The attempt at the stage that its label names, which here is the agent's own word for it."""
    named = next((stage for name, stage in _STAGES.items() if name in attempt.label.lower()), None)
    return attempt if named is None or attempt.stage is Stage.HEURISTIC else replace(attempt, stage=named)


def _script(final: fields.Entry, run: Run) -> str | None:
    """The final one, else the last valid one, else the last that was tried."""
    told = fields.text(final, ("script",))
    if told is not None:
        return told
    if run.final is not None:
        return run.final.script
    return next((one.script for one in reversed(run.attempts) if one.script), None)


def _by_stage(lines: Iterable[fields.Entry], event: str) -> Iterator[tuple[str, str]]:
    """Prompts or outputs: `repair`, and the next of that stage `repair 2`."""
    counts: dict[str, int] = {}
    for line in lines:
        if line["event"] == event:
            stage = fields.loose_text(line.get("stage")) or "unknown"
            counts[stage] = n = counts.get(stage, 0) + 1
            yield (stage if n == 1 else f"{stage} {n}"), fields.loose_text(line.get("text")) or ""


def _extra(lines: Sequence[fields.Entry], *of_the_run: Mapping[str, object]) -> dict[str, object]:
    """What has no place of its own: outputs, models, the writer's notes, events that are not known here."""
    found: dict[str, object] = {}
    for event, said in zip(_OF_THE_RUN, of_the_run, strict=True):
        found |= fields.others(said, _SHOWN[event] | {"made_safe"})
    if outputs := dict(_by_stage(lines, "output")):
        found["outputs"] = outputs
    if notes := [note for line in lines for note in fields.listed(line.get("made_safe"))]:
        found["made_safe"] = notes
    if events := [more for line in lines if (more := _more(line))]:
        found["events"] = events
    return {key: found[key] for key in sorted(found)}


def _more(line: fields.Entry) -> dict[str, object]:
    """What a step says beyond what is shown of it; an event that is not known here is kept whole."""
    event = str(line["event"])
    shown = _SHOWN.get(event)
    kept = fields.others(line, _ENVELOPE | (shown or frozenset()) | {"made_safe"})
    if event in _OF_THE_RUN or (shown is not None and not kept):
        return {}
    return {"event": event, "seq": line["seq"], **kept}
