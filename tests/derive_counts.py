"""How many examples a folder of logs yields when everything in it is accepted and nothing edited: a second opinion.

Standard library only, and nothing of `app`: it reads the raw files and counts by what is written of the formats and of
the recipes, so that a fault of the product shows as a difference. Run it on a folder with `projects/` and `pairs/`:

    python tests/derive_counts.py tests/data/evidence

Keys: `llm/scaffold/sft` counts the examples of a dataset before any gate; `held/<dataset>/<gate>` the candidates that
yield none where one could be expected; `gate/<dataset>/<gate>` the examples that a gate holds, where files tell.
"""

import ast
import json
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

JOIN_SECONDS = 60
SNIPPET = 1000
TRUE, FALSE, PENDING = "true", "false", "pending"
_FILE_TIME = re.compile(r"(\d{8}T\d{6})")
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,\d+)? @@")
# What an attempt failed with when it was not the script's own fault.
_NOT_THE_SCRIPT = ("DUPLICATE_DETECTED", "PhaseConfigurationError", "AgentError")
# A score of 0.0 that stands there without a look at the script's style.
_NOT_SCORED = ("DUPLICATE_DETECTED", "PatchApplicationError after polish", "Unexpected error applying polished script")


class Tried(NamedTuple):
    """One attempt: script, what the checks said, style score, error text."""

    script: str
    validity: str
    score: float | None
    error: str

    @property
    def is_valid(self) -> bool:
        return self.validity == TRUE and bool(self.script.strip())

    @property
    def is_failed(self) -> bool:
        """The checks said no to this script, for the script's own sake."""
        is_own = bool(self.error.strip()) and not self.error.startswith(_NOT_THE_SCRIPT)
        return self.validity == FALSE and bool(self.script.strip()) and is_own and "original code" not in self.error


@dataclass
class Change:
    """Everything that the files say of one change."""

    project: str
    issue: str = ""
    n_operations: int = 0
    script: str = ""
    has_hash: bool = False
    diff: str = ""
    is_snippet: bool = False
    patch_source: str = ""
    rating: int | None = None
    at: datetime | None = None
    tried: list[Tried] = field(default_factory=list)
    n_files: int = 0
    name: str = ""

    @property
    def final(self) -> str:
        """The last valid script of the run, else the last that was tried."""
        valid = [one for one in self.tried if one.is_valid]
        return (valid or self.tried)[-1].script if self.tried else ""


# ------------------------------------------------------------------------------------------------ reading


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for raw in path.read_bytes().split(b"\n"):
        if raw.strip():
            said = json.loads(raw)
            assert isinstance(said, dict), f"{path}: a line that is no object"
            yield said


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _entries(path: Path, project: str) -> Iterator[Change]:
    """The success log: the same content again, whatever its time, rating and embeddings, is the same change."""
    seen = set()
    for number, said in enumerate(_lines(path), 1):
        aside = {"timestamp_utc", "user_rating", "diff_embedding", "script_embedding"}
        content = json.dumps({key: value for key, value in said.items() if key not in aside}, sort_keys=True)
        if content in seen:
            continue
        seen.add(content)
        operations = said.get("spec_operations_details", said.get("spec_operations_summary")) or []
        snippet = said.get("successful_diff_summary_snippet")
        yield Change(
            project,
            issue=said.get("spec_issue_description") or "",
            n_operations=len(operations),
            script=said.get("successful_script") or "",
            has_hash="successful_script_hash" in said,
            diff=said.get("successful_diff_summary") or snippet or "",
            is_snippet=snippet is not None,
            patch_source=said.get("patch_source") or "Unknown",
            rating=said.get("user_rating"),
            at=_instant(said["timestamp_utc"]),
            n_files=len(said.get("spec_target_files") or []),
            name=str(number),
        )


def _runs(folder: Path, project: str) -> Iterator[Change]:
    for path in sorted(folder.glob("*.json")):
        said = json.loads(path.read_bytes())
        around = said if isinstance(said, dict) else {}
        spec = around.get("spec") or {}
        stamp = _FILE_TIME.search(path.name)
        assert stamp, f"{path}: no time in the name"
        yield Change(
            project,
            issue=spec.get("issue_description") or "",
            n_operations=len(spec.get("operations") or []),
            patch_source=around.get("patch_source") or "Unknown",
            at=datetime.strptime(stamp[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC),
            tried=_attempts(around.get("patch_history", said)),
            n_files=len(spec.get("target_files") or []),
            name=path.name,
        )


def _attempts(history: list[Any]) -> list[Tried]:
    """The attempts of any of the three serialisations; what was recorded twice in a row is one."""
    found: list[Tried] = []
    for said in history:
        named = ("script", "is_valid", "score", "traceback")
        script, valid, score, error = [said.get(name) for name in named] if isinstance(said, dict) else said
        validity = {True: TRUE, False: FALSE, "true": TRUE, "false": FALSE}.get(valid, PENDING)
        one = Tried(script or "", validity, score, error or "")
        if not found or found[-1] != one:
            found.append(one)
    return found


def _patch_sets(folder: Path, project: str) -> Iterator[Change]:
    for path in sorted(folder.rglob("patch_meta.json")):
        said = json.loads(path.read_bytes())
        spec = said["original_spec"]
        log = path.with_name("CHANGELOG_PATCH.md")
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        diff = text.partition("Diff Summary:")[2]
        # The newest writer puts two blanks behind every \n that stands in the code: only a diff with none is whole.
        diff = "" if text.startswith("- ") and "\\n  " in diff else diff
        yield Change(
            project,
            issue=spec.get("issue_description") or "",
            n_operations=len(spec.get("operations") or []),
            diff=diff.strip("\n"),
            patch_source=said.get("patch_source") or "Unknown",
            at=_instant(said["generation_timestamp_utc"]),
            n_files=len(spec.get("target_files") or []),
            name=str(path.parent.relative_to(folder)),
        )


# ------------------------------------------------------------------------------------------------ joining


class Joined(NamedTuple):
    """The changes of all projects, every patch set, and which run and which set an entry took."""

    changes: list[Change]
    patch_sets: list[Change]
    links: set[tuple[str, str, str]]


def join(folder: Path) -> Joined:
    """Runs and patch sets put to their entries, project by project; what has no entry stands for itself."""
    changes: list[Change] = []
    every_set: list[Change] = []
    links: set[tuple[str, str, str]] = set()
    for path in sorted(folder.glob("projects/*/.agent_data/success_memory.jsonl")):
        project = path.parents[1].name
        entries = list(_entries(path, project))
        runs = list(_runs(path.parent / "patch_history", project))
        sets = list(_patch_sets(path.parents[1] / ".autopatches", project))
        every_set += sets
        alone = [run for run in runs if not _join_run(run, entries, links)]
        orphans = [one for one in sets if not _join_set(one, entries, links)]
        changes += [*entries, *alone, *orphans]
    for change in changes:
        change.script = change.script or change.final
    return Joined(changes, every_set, links)


def _join_run(run: Change, entries: list[Change], links: set[tuple[str, str, str]]) -> bool:
    """Whether a run that ends well has its entry: the same last script, and where the log holds only its hash the time.

    The agent logs nothing of a run that found no valid script at its end.
    """
    if not run.tried or not run.tried[-1].is_valid:
        return False
    last = run.tried[-1].script.rstrip("\n")
    found = [one for one in entries if one.script and one.script.rstrip("\n") == last]
    if not found:
        found = [one for one in entries if one.has_hash and not one.script and _are_near(one, run)]
    free = [one for one in found if not one.tried]
    if not free:
        return False
    entry = min(free, key=lambda one: _gap(one, run))
    entry.tried = run.tried
    links.add((run.project, entry.name, run.name))
    return True


def _join_set(one: Change, entries: list[Change], links: set[tuple[str, str, str]]) -> bool:
    """Whether a patch set has its entry: the same issue and source, the nearest in time."""
    found = [
        entry
        for entry in entries
        if entry.issue.strip() == one.issue.strip()
        and one.patch_source in {entry.patch_source, "Unknown"}
        and _are_near(entry, one)
    ]
    if not found:
        return False
    entry = min(found, key=lambda other: _gap(other, one))
    if entry.is_snippet and one.diff:
        entry.diff, entry.is_snippet = one.diff, False
    links.add((one.project, entry.name, one.name))
    return True


def _gap(one: Change, other: Change) -> float:
    assert one.at
    assert other.at
    return abs((one.at - other.at).total_seconds())


def _are_near(one: Change, other: Change) -> bool:
    return _gap(one, other) <= JOIN_SECONDS


# ------------------------------------------------------------------------------------------------ counting


def derive(folder: Path) -> dict[str, int]:
    """The counts of a folder with `projects/` and `pairs/`, by the keys that the module explains; sorted."""
    counts: Counter[str] = Counter()
    joined = join(folder)
    for change in joined.changes:
        counts.update(_llm(change))
        counts.update(_scorer(change))
        counts.update(_retriever(change))
        counts.update(_core(change))
    counts.update(_specs(folder, joined.patch_sets))
    counts.update(_refined(folder))
    counts.update(_unified(folder))
    return dict(sorted(counts.items()))


def _has_issue(issue: str) -> bool:
    return issue.strip() not in {"", "N/A"}


def _same(one: str, other: str) -> bool:
    return one.rstrip("\n") == other.rstrip("\n")


def _llm(change: Change) -> Iterator[str]:
    if not change.script.strip():
        yield f"held/llm/scaffold/sft/{'hash_only' if change.has_hash else 'no_script'}"
        return
    if not _has_issue(change.issue) and not change.n_operations:
        yield "held/llm/scaffold/sft/empty"
    else:
        yield from _scaffold(change)
    yield from _repairs(change)
    yield from _polish(change)


def _scaffold(change: Change) -> Iterator[str]:
    yield "llm/scaffold/sft"
    yield "llm/scaffold/unpaired"
    reached = any(one.is_valid and _same(one.script, change.script) for one in change.tried)
    if change.tried and not reached:
        yield "gate/llm/scaffold/sft/never_validated"
        yield "gate/llm/scaffold/unpaired/never_validated"
    for n in _bad(change.tried):
        yield "llm/scaffold/unpaired"
        if reached and not _same(change.tried[n].script, change.script):
            yield from _pair("scaffold")


def _failed(tried: list[Tried]) -> list[int]:
    """Where an attempt failed; what was tried again word for word, and failed in the same way, stands once."""
    found: dict[tuple[str, str], int] = {}
    for n, one in enumerate(tried):
        if one.is_failed:
            found.setdefault((one.script.rstrip("\n"), one.error), n)
    return list(found.values())


def _bad(tried: list[Tried]) -> list[int]:
    """Where a script failed that passed nowhere in the run; each script once."""
    passed = {one.script.rstrip("\n") for one in tried if one.is_valid}
    found: dict[str, int] = {}
    for n in _failed(tried):
        found.setdefault(tried[n].script.rstrip("\n"), n)
    return [n for script, n in found.items() if script not in passed]


def _pair(task: str) -> Iterator[str]:
    yield f"llm/{task}/preference"
    yield f"llm/{task}/reward"


def _repairs(change: Change) -> Iterator[str]:
    tried = change.tried
    for i in _failed(tried):
        j = next((n for n in range(i + 1, len(tried)) if tried[n].is_valid), None)
        if j is None or _same(tried[i].script, tried[j].script):
            continue
        yield "llm/repair/sft"
        yield "llm/repair/unpaired"
        yield from _between(tried, i, j, "repair")


def _polish(change: Change) -> Iterator[str]:
    tried = change.tried
    valid = [n for n, one in enumerate(tried) if one.is_valid]
    if len(valid) < 2 or _same(tried[valid[-2]].script, tried[valid[-1]].script):
        return
    yield "llm/polish/sft"
    yield "llm/polish/unpaired"
    yield from _between(tried, valid[-2], valid[-1], "polish")


def _between(tried: list[Tried], first: int, last: int, task: str) -> Iterator[str]:
    """What each script yields that failed between two attempts."""
    for n in _bad(tried):
        if first < n < last:
            yield f"llm/{task}/unpaired"
            yield from _pair(task)


# ------------------------------------------------------------------------------------------------ style scores


def _scorer(change: Change) -> Iterator[str]:
    if isinstance(change.rating, int) and 1 <= change.rating <= 5:
        yield "scorer/rating/regression" if change.script.strip() else "held/scorer/rating/regression/hash_only"
    if not any(one.script.strip() for one in change.tried):
        return
    scores = _own_scores(change.tried)
    if not scores:
        yield "held/scorer/style/regression/placeholder_score"
        return
    direction = find_direction(change.tried)
    if not direction:
        yield "held/scorer/style/regression/direction_unknown"
        return
    by_text: dict[str, float] = {}
    for script, score in scores:
        by_text.setdefault(script.rstrip("\n"), score)
    best = max(direction * score for score in by_text.values())
    for score in by_text.values():
        yield "scorer/style/regression"
        if direction * score < best:
            yield "scorer/style/reward"


def _own_scores(tried: list[Tried]) -> list[tuple[str, float]]:
    """Scripts with a score that was really taken of them."""
    found = []
    for before, one in pairwise([None, *tried]):
        assert one
        if one.validity == PENDING or one.score is None or not one.script.strip():
            continue
        if one.score == 0 and one.error.startswith(_NOT_SCORED):
            continue
        if before and _is_heuristic_checked_at_once(before, one):
            continue
        found.append((one.script, one.score))
    return found


def _is_heuristic_checked_at_once(before: Tried, one: Tried) -> bool:
    """The rule that deletes commas before closing brackets: its result was stored with the score before it."""
    if before.validity != FALSE or one.score != before.score or one.script.count(",") >= before.script.count(","):
        return False
    return re.sub(r"[,\s]", "", one.script) == re.sub(r"[,\s]", "", before.script)


def find_direction(tried: list[Tried]) -> int:
    """1 where more is better, -1 for a penalty, 0 where the run does not tell.

    A script that does not parse has the worst score; where none was tried, a polish makes a script better.
    """
    own = {id(one) for one in tried if one.score is not None and one.validity != PENDING}
    worst = {one.score for one in tried if id(one) in own and _is_unscorable(one) and one.score in {0, 1}}
    if worst:
        return 0 if len(worst) > 1 else 1 if 0 in worst else -1
    for before, one in reversed(list(pairwise(tried))):
        if before.is_valid and one.is_valid and None not in {before.score, one.score} and before.score != one.score:
            return 1 if (one.score or 0) > (before.score or 0) else -1
    return 0


def _is_unscorable(one: Tried) -> bool:
    return one.validity == FALSE and not one.error.startswith(_NOT_SCORED) and not _parses(one.script)


def _parses(script: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(script)
    except (SyntaxError, ValueError):
        return False
    return True


# ------------------------------------------------------------------------------------------------ the other models


def _retriever(change: Change) -> Iterator[str]:
    name = "retriever/search/contrastive"
    if not _has_issue(change.issue):
        yield f"held/{name}/empty"
    elif not change.diff.strip():
        yield f"held/{name}/no_diff"
    elif not _HUNK.search(change.diff):
        yield f"held/{name}/not_a_diff"
    elif not _has_old_side(change.diff):
        yield f"held/{name}/no_old_code"
    else:
        yield name
        if change.is_snippet and len(change.diff) >= SNIPPET:
            yield f"gate/{name}/diff_cut"


def _has_old_side(diff: str) -> bool:
    is_inside = False
    for line in diff.split("\n"):
        if line.startswith(("--- ", "+++ ", "@@")):
            is_inside = bool(_HUNK.match(line))
        elif is_inside and line[:1] in {" ", "-"} and line[1:].strip():
            return True
    return False


def _core(change: Change) -> Iterator[str]:
    name = "core_predictor/core/classification"
    if not change.patch_source.startswith(("LLMCore", "DiffusionCore")):
        yield f"held/{name}/core_unknown"
    elif not _has_issue(change.issue) and not change.n_operations and not change.n_files:
        yield f"held/{name}/empty"
    else:
        yield name


def _pairs(folder: Path, key: str) -> Iterator[dict[str, Any]]:
    """Lines of the pairs that hold this key, each content once."""
    seen = set()
    for path in sorted(folder.glob("pairs/*.jsonl")):
        for said in _lines(path):
            content = json.dumps({name: one for name, one in said.items() if "timestamp" not in name}, sort_keys=True)
            if key in said and content not in seen:
                seen.add(content)
                yield said


def _specs(folder: Path, patch_sets: list[Change]) -> Iterator[str]:
    name = "t5_spec/spec/seq2seq"
    for said in _pairs(folder, "yaml_spec_string"):
        is_whole = (said["yaml_spec_string"] or "").strip() and _has_issue(said["raw_issue_text"])
        yield name if is_whole else f"held/{name}/empty"
    for one in patch_sets:
        yield name if _has_issue(one.issue) else f"held/{name}/empty"


def _refined(folder: Path) -> Iterator[str]:
    name = "divot5_refiner/style/seq2seq"
    for said in _pairs(folder, "refined_output_string"):
        is_whole = (said["refined_output_string"] or "").strip() and said["code_snippet"].strip()
        yield name if is_whole else f"held/{name}/empty"


def _unified(folder: Path) -> Iterator[str]:
    name = "divot5_unifier/style/seq2seq"
    for said in _pairs(folder, "unified_profile"):
        profile = said["unified_profile"]
        if not profile:
            yield f"held/{name}/empty"
        else:
            yield name if isinstance(profile, dict) else f"held/{name}/unified_not_json"


# ------------------------------------------------------------------------------------------------ the key to the joins


def check_joins(folder: Path) -> tuple[int, int]:
    """How many joins the folder's own key lists, and how many of these and of the derived ones are not both there."""
    told = set()
    joined = join(folder)
    if (folder / "manifest.jsonl").exists():
        at = {(one.project, str(one.at)): one.name for one in joined.changes if one.has_hash or one.diff}
        for row in _lines(folder / "manifest.jsonl"):
            entry = at.get((row["project"], str(_instant(row["logged_at"])))) if row.get("logged") else None
            told |= {
                (row["project"], entry, row[key]) for key in ("patch_history", "patch_set") if entry and key in row
            }
    else:
        for row in _lines(folder / "truth.jsonl"):
            entry = row["entry"]
            told |= {(row["project"], str(entry), row[key]) for key in ("run", "patch_set") if entry and row[key]}
    return len(told), len(told ^ joined.links)


def main() -> None:
    """Print the counts of the folder that is named."""
    folder = Path(sys.argv[1])
    print(json.dumps(derive(folder), indent=2))
    print("joins listed, joins that differ:", *check_joins(folder), file=sys.stderr)


if __name__ == "__main__":
    main()
