"""Findings about a candidate: what a reviewer should see, and what an export holds back. Pure.

One function a check; a new check is one function and one line in `CHECKS`. `CHECKS_VERSION` rises whenever a check
would say something else about the same candidate, so that stored findings can be made anew. What each finding means
and how often it is right stands in docs/findings.md.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

from app.candidates import Candidate, Finding, Kind, Severity
from app.checks import added, effect, ladder, patch, script, secrets, spec, special_cases, style, text, weakened
from app.checks.reading import Reading, alike
from app.checks.weights import weight

__all__ = [
    "CHECKS", "CHECKS_VERSION", "MOST_FINDINGS", "OF_LINES", "TEXT_CODES", "alike", "find_unreadable", "lines_of",
    "read_text", "run", "weight",
]  # fmt: skip

CHECKS_VERSION = 6
MOST_FINDINGS = 50
# A hostile text may hold millions; beyond this many the count says "at least".
_MOST_COUNTED = 1_000

_OF_ANY_TEXT: tuple[Callable[[Reading], Iterator[Finding]], ...] = (
    text.lone_surrogate,
    text.nul,
    text.bidi,
    text.hidden,
    text.control,
    text.injection,
    secrets.secret,
)
TEXT_CODES = frozenset(check.__name__ for check in _OF_ANY_TEXT)
"""Codes of findings about a text whatever it is: `secret`, `bidi`, ... Wherever it stands, it leaves with the row."""

CHECKS: tuple[Callable[[Reading], Iterator[Finding]], ...] = (
    patch.diff,
    patch.files_outside_spec,
    script.script,
    ladder.run,
    ladder.found_script,
    ladder.patched_files,
    spec.spec,
    style.refined,
    style.unified,
    weakened.test_removed,
    weakened.test_skipped,
    weakened.test_weakened,
    added.caught,
    added.silenced,
    added.debug_left,
    added.runs_code,
    added.opens_network,
    added.placeholder,
    special_cases.special_case,
    effect.effect,
    *_OF_ANY_TEXT,
)

OF_LINES = frozenset({
    "test_removed", "test_skipped", "test_weakened", "bare_except", "exception_swallowed", "check_silenced",
    "debug_left", "runs_code", "opens_network", "placeholder", "special_case", "format_only", "docs_only",
    "files_outside_spec", "script_unparsable", "no_codemod", "several_codemods",
}) | TEXT_CODES  # fmt: skip
"""Codes of findings about what a patch changes, each at a line of its diff or its script."""

# Text of a spec or style candidate → its check, and the findings after which nobody can tell what the text says.
_READ_BY = {"spec": spec.spec, "refined": style.refined, "unified": style.unified}
_UNREADABLE = frozenset({
    "spec_not_yaml", "spec_cut", "spec_not_plain", "refined_not_pairs", "refined_cut", "unified_not_json",
    "unified_cut",
})  # fmt: skip


def run(candidate: Candidate) -> tuple[Finding, ...]:
    """Everything the checks notice about a candidate, in the order of `CHECKS` and of the text; always the same.

    `run(Candidate(Kind.PATCH, "G1", diff="--- a/x.py…", script_hash="0x1f"))` gives, among others,
    `Finding("hash_only", Severity.HOLD, "script_hash", "The log holds only a salted hash of the script, …")`.

    At most `MOST_FINDINGS` of one code are listed; the last of them says how many more there are. Nothing is raised,
    whatever the candidate holds.
    """
    reading = Reading(candidate)
    return tuple(finding for check in CHECKS for finding in _capped(check(reading)))


def read_text(alone: str) -> tuple[Finding, ...]:
    r"""What they say of one text that no candidate is at hand for: `read_text("a\u202eb")` gives `bidi`."""
    reading = Reading(Candidate(Kind.PATCH, "other", issue=alone))
    return tuple(finding for check in _OF_ANY_TEXT for finding in _capped(check(reading)))


def lines_of(findings: Iterable[Finding], field: str = "diff") -> frozenset[int]:
    """The lines of one text that findings name: those at `diff:12`, `diff:40` and `script:3` give 12 and 40."""
    named = (one.place.partition(":") for one in findings)
    return frozenset(int(line) for name, _, line in named if name == field and line)


def find_unreadable(candidate: Candidate, field: str) -> Finding | None:
    """Why one of a candidate's texts cannot be read as what it must be, or None.

    `find_unreadable(spec.with_text("spec", "a: [1"), "spec")` gives the finding `spec_cut`; scripts and diffs are
    taken as they are.
    """
    check = _READ_BY.get(field)
    found = () if check is None else check(Reading(candidate))
    return next((one for one in found if one.code in _UNREADABLE and one.severity is Severity.HOLD), None)


def _capped(findings: Iterator[Finding]) -> Iterator[Finding]:
    found = list(islice(findings, _MOST_COUNTED + 1))
    totals = Counter(finding.code for finding in found)
    seen: Counter[str] = Counter()
    for finding in found:
        seen[finding.code] += 1
        n, total = seen[finding.code], totals[finding.code]
        if n == MOST_FINDINGS < total:
            least = "At least " if len(found) > _MOST_COUNTED else ""
            more = f"{least}{total - n:,} more like this are not listed."
            yield replace(finding, message=f"{finding.message} {more}")
        elif n <= MOST_FINDINGS:
            yield finding
