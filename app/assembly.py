"""Which things that the logs said speak of one change, and the one story that they tell together. Pure.

A *unit* is one thing that a log said of a patch: a success entry, a run, a patch set, a captured run. Units of one
change become one cluster. The clusters hang on the set of units alone: not on the order in which they came, nor on
the ids that they got.

How: two units that share a clue (`keys`) are compared, the best evidence first: the same script or the same attempts,
the same diff, the same issue at nearly the same time, the same moment. The strongest bonds are taken first, and one
that would put together what contradicts itself, as two scripts of one success, is left out.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from itertools import combinations, product
from typing import Any

from app.candidates import Candidate, Run, Validity
from app.diffs.parse import SNIPPET_LENGTH

# How far apart in time, in seconds, two units of one issue may be, and one run that was saved twice; two success
# entries about one success; an entry and a run that only the moment joins; and the same where hardly any word speaks
# for it.
_HOUR = 3600
_TWIN_SPAN = 2
_MOMENT_SPAN = 10
_THIN_SPAN = 2
# Of the words that a diff brings in, this share must stand in the script that is said to have made it. In 171 real
# pairs it was all of them; of 72,033 false ones, 40 came that far with three words or more, 1,800 with fewer.
_SHARE_OF_WORDS = 0.9
_FEW_WORDS = 3
# Diffs of this many characters, white space aside, must begin alike. A cut diff is hardly ever shorter.
_START_LENGTH = 400
_MAX_SCRIPT_KEYS = 64
# Where more units than this share a clue, each is compared with its neighbours only; a moment says nothing any more.
_CROWD = 200
_CROWDED, _CROWDED_MOMENT = 400, 64
_NEIGHBOURS = 3

_DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)
_WORD = re.compile(r"\w{3,}")
_DIFF_LINE = re.compile(r"^(?:@@ -|diff --git )", re.MULTILINE)


class Form(StrEnum):
    """What a unit is."""

    SUCCESS = "success"
    RUN = "run"
    PATCH_SET = "patch_set"
    CAPTURE = "capture"


# Which of a cluster's units stands for it.
_STANDING = {Form.SUCCESS: 0, Form.CAPTURE: 1, Form.PATCH_SET: 2, Form.RUN: 3}
_ATTEMPTED = frozenset({Form.RUN, Form.CAPTURE})
# Which name the issue as the agent's spec does: of one change, all in the same words.
_NAMING = frozenset({Form.SUCCESS, Form.PATCH_SET})


@dataclass(frozen=True, slots=True)
class Facts:
    """What joining needs to know of one unit. Texts stand here as SHA-256.

    Attributes:
        unit: its database id: only names it, never decides.
        digest: its content's digest: breaks every tie.
        form: what it is.
        script: the final script: a success entry's own, the last valid one of a run.
        scripts: of every attempt, and `script`.
        ladder: the whole sequence of attempts, scripts and validity; equal where one run was saved in two forms.
        diff: the whole diff, exactly; None where there is none, it was cut, or its white space may be damaged.
        loose_diff: the whole diff without any white space.
        start: how the diff begins, white space aside, cut or not; None where it is too short to say.
        issue: the issue's text, white space folded; None where there is none.
        files: the paths that the spec names.
        source: the patch source; empty where unknown.
        at: when it was logged, aware, or None.
        words: of a success entry without a script, the words that its diff brings in; of a run without an issue, the
            words of its final script; else empty.
        name: a run's id, a patch set's name, or empty.
        succeeded: whether a success can have come of it: False for a run that did not end with a valid attempt.
        says: of a success entry, what it says of each thing, None where nothing: two that say different things of one
            are never one, for what the one says would be hidden behind the other.

    """

    unit: int
    digest: bytes
    form: Form
    script: bytes | None = None
    scripts: frozenset[bytes] = frozenset()
    ladder: bytes | None = None
    diff: bytes | None = None
    loose_diff: bytes | None = None
    start: bytes | None = None
    issue: bytes | None = None
    files: frozenset[str] = frozenset()
    source: str = ""
    at: datetime | None = None
    words: frozenset[str] = frozenset()
    name: str = ""
    succeeded: bool = True
    says: tuple[bytes | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Join:
    """Why a unit is in its cluster.

    Attributes:
        unit: the unit that was joined.
        to: the unit that it was joined to.
        reason: a sentence for people.
        confidence: `certain`, `high`, `low` or `by hand`.
        code: `same_script`, `same_attempts`, `same_diff`, `same_issue`, `same_moment` or `by_hand`.

    """

    unit: int
    to: int
    reason: str
    confidence: str
    code: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """The units of one change.

    Attributes:
        lead: the unit that stands for it.
        units: the lead, then the others in the order in which they have a say.
        joins: one for each unit but the lead, the best evidence first.

    """

    lead: int
    units: tuple[int, ...]
    joins: tuple[Join, ...] = ()


class _Rank(IntEnum):
    """Kinds of evidence, the best first."""

    BY_HAND = 0
    SCRIPT = 1
    LADDER = 2
    TRIED = 3
    DIFF = 4
    LOOSE_DIFF = 5
    ISSUE = 6
    MOMENT = 7


_CODES = {
    _Rank.BY_HAND: ("by_hand", "by hand"),
    _Rank.SCRIPT: ("same_script", "certain"),
    _Rank.LADDER: ("same_attempts", "certain"),
    _Rank.TRIED: ("same_script", "high"),
    _Rank.DIFF: ("same_diff", "high"),
    _Rank.LOOSE_DIFF: ("same_diff", "high"),
    _Rank.ISSUE: ("same_issue", "low"),
    _Rank.MOMENT: ("same_moment", "low"),
}


# --- what a unit says ---------------------------------------------------------------------------------------------


def form_of(said: Candidate) -> Form:
    """What a unit is, by what it holds: `Candidate(…, run=Run("tuples", …))` → `Form.RUN`."""
    if said.run is not None:
        return Form.CAPTURE if said.run.form == "capture" else Form.RUN
    return Form.SUCCESS if said.patch_set is None else Form.PATCH_SET


def facts(unit: int, digest: bytes, said: Candidate, at: datetime | None, *, is_for_keys: bool = False) -> Facts:
    """What joining needs to know of a unit.

    Args:
        unit: its database id.
        digest: its content's digest.
        said: what it says; its kind is `patch`.
        at: when it was logged, where that is known better than `said.logged_at`.
        is_for_keys: leave out what `keys` does not ask for: to find the words of a script costs as much as the rest.

    """
    form = form_of(said)
    script = _final_script(said)
    tried = [] if said.run is None else [one.script for one in said.run.attempts if one.script]
    whole = None if form is Form.PATCH_SET else _whole_diff(said)
    loose = _bare(_shown_diff(said))
    is_whole = form is Form.PATCH_SET or whole is not None
    issue = "" if _is_blank(said.issue) else " ".join(said.issue.split())
    return Facts(
        unit,
        digest,
        form,
        _sha(script),
        frozenset(_digest(one) for one in (*tried, script) if one),
        _ladder(said.run),
        _sha(whole),
        _digest_of(loose) if loose and is_whole else None,
        _digest_of(loose[:_START_LENGTH]) if len(loose) >= _START_LENGTH else None,
        _sha(issue),
        frozenset(said.target_files),
        "" if said.patch_source == "Unknown" else said.patch_source,
        at or said.logged_at,
        frozenset() if is_for_keys else _words(form, said, script),
        said.patch_set.name if said.patch_set else (said.run.run_id or "") if said.run else "",
        _succeeded(said),
        _says(said) if form is Form.SUCCESS and not is_for_keys else (),
    )


def _says(said: Candidate) -> tuple[bytes | None, ...]:
    operations = [one for one in said.operations if isinstance(one, dict)]
    return (
        _sha(said.external_id),
        None if _is_blank(said.issue) else _sha(said.issue),
        _sha("\n".join(said.target_files)),
        _sha(repr(operations) if operations else None),
        None if _is_cut(said) else _sha(said.diff),
        None if said.patch_source == "Unknown" else _sha(said.patch_source),
        # Of what no generation has, silence says something too.
        _sha(repr(said.extra)),
    )


def keys(facts: Facts) -> frozenset[int]:
    """The clues of a unit, each with how it is held, as 64-bit numbers with a sign, all of them negative.

    Two units can be joined only where one holds what a key of the other seeks (`sought`). A clue that very many may
    have, as a script has all runs that tried it, most only wait by: what waits does not find what waits.
    """
    return frozenset(number | role for role, number in _clues(facts))


def keys_of(said: Candidate) -> tuple[int, ...]:
    """As `keys(facts(…))`, for a fraction of its cost where it is a success entry, as most units are."""
    if said.run is not None or said.patch_set is not None:
        return tuple(keys(facts(0, b"", said, None, is_for_keys=True)))
    loose = b"" if _is_cut(said) else _bare(_shown_diff(said))
    diff = _digest_of(loose) if loose else None
    issue = None if _is_blank(said.issue) else _digest(" ".join(said.issue.split()))
    if not said.script:
        return tuple(keys(Facts(0, b"", Form.SUCCESS, loose_diff=diff, issue=issue, at=said.logged_at)))
    # What `_clues` says of an entry that holds its script.
    found: tuple[int, ...]
    script = _number(_SCRIPT, _digest(said.script))
    found = (script | _Role.SEEKS,)
    if diff:
        found += (_number(_DIFF, diff) | _Role.WAITS,)
    if issue and said.logged_at is not None:
        found += (_number(_ISSUE, issue, _seconds(said.logged_at) // _HOUR) | _Role.WAITS,)
    return found


def sought(key: int) -> tuple[int, ...]:
    """The keys of those that can be joined by this one; each of them seeks it, too."""
    role, clue = key & _ROLES, key & ~_ROLES
    if role == _Role.MEETS:
        return (key,)
    if role == _Role.WAITS:
        return (clue | (_Role.ASKS if key & _OF_A_MOMENT else _Role.SEEKS),)
    return (clue | _Role.WAITS,) if role == _Role.ASKS else (clue | _Role.WAITS, key)


def clue_of(key: int) -> int:
    """The key without how it is held: one number for all who hold the clue."""
    return key & ~_ROLES


def most_holders(key: int) -> int:
    """How many may hold a key until its clue says nothing any more: few a moment, many a script that was canned."""
    return _CROWDED_MOMENT if key & _OF_A_MOMENT else _CROWDED


def may_belong(one: Facts, other: Facts) -> bool:
    """Whether anything speaks for it that two units, which found each other by a key, are about one change."""
    return _rank(one, other) is not None


class _Role(IntEnum):
    """How a unit holds a clue: `ASKS` looks for what waits, `SEEKS` for what seeks too."""

    MEETS = 0
    ASKS = 1
    WAITS = 2
    SEEKS = 3


_ROLES = 3
# Kinds of clues, as numbers that keep equal digests of two kinds apart.
_SCRIPT, _DIFF, _ATTEMPTS = 0x1F83D9ABFB41BD6B, 0x2B0E61C8A5D3F947, 0x3C6EF372FE94F82B
_ISSUE, _MOMENT = 0x510E527FADE682D1, 0x6A09E667F3BCC909
# 63 bits but for one that tells a moment and two for the role; and what spreads hours and moments over them.
_BITS, _LEAST, _SPREAD, _OF_A_MOMENT = (1 << 63) - 8, -(1 << 63), 0x9E3779B97F4A7C15, 4


def _number(kind: int, digest: bytes = b"", time: int = 0) -> int:
    return (int.from_bytes(digest[:8]) + kind + time * _SPREAD & _BITS) + _LEAST


_Held = tuple[_Role, int]


def _clues(facts: Facts) -> Iterator[_Held]:
    """Each with how it is held: two units that both wait by a clue are not joined by it."""
    final = _Role.WAITS if facts.form is Form.RUN else _Role.SEEKS
    if facts.script:
        yield final, _number(_SCRIPT, facts.script)
    for script in sorted(facts.scripts - {facts.script})[: _MAX_SCRIPT_KEYS - 1]:
        yield _Role.WAITS, _number(_SCRIPT, script)
    if facts.loose_diff:
        yield (_Role.WAITS if facts.script else _Role.SEEKS), _number(_DIFF, facts.loose_diff)
    if facts.ladder:
        yield (_Role.WAITS if facts.at else _Role.SEEKS), _number(_ATTEMPTS, facts.ladder)
    if facts.at is not None:
        yield from _clues_of_time(facts, _seconds(facts.at))


def _clues_of_time(facts: Facts, seconds: int) -> Iterator[_Held]:
    """Clues that hold for a while: who waits, waits at its own time; who seeks, looks around."""
    hour, slot = seconds // _HOUR, seconds // _MOMENT_SPAN
    if facts.ladder:
        for one in (hour, hour + 1):
            yield _Role.MEETS, _number(_ATTEMPTS, facts.ladder, one)
    is_bare = facts.form is Form.SUCCESS and facts.script is None
    if facts.issue and (is_bare or facts.form in {Form.PATCH_SET, Form.CAPTURE}):
        for one in (hour - 1, hour, hour + 1):
            yield _Role.SEEKS, _number(_ISSUE, facts.issue, one)
    elif facts.issue:
        yield _Role.WAITS, _number(_ISSUE, facts.issue, hour)
    # Midnight sharp is a date without a time.
    if seconds % _DAY == 0:
        return
    if is_bare:
        for one in (slot - 1, slot, slot + 1):
            yield _Role.ASKS, _number(_MOMENT, time=one) | _OF_A_MOMENT
    elif facts.form in _ATTEMPTED and facts.script and not facts.issue and facts.succeeded:
        yield _Role.WAITS, _number(_MOMENT, time=slot) | _OF_A_MOMENT


def _seconds(at: datetime) -> int:
    return int((at - _EPOCH).total_seconds() // 1)


def _final_script(said: Candidate) -> str | None:
    """The script that the change was made with, as far as the unit knows."""
    if said.run is None:
        return said.script or None
    final = said.run.final
    if said.run.form == "capture" and said.script:
        return said.script
    return None if final is None else final.script


def _ladder(run: Run | None) -> bytes | None:
    if run is None or not any(one.script for one in run.attempts):
        return None
    digest = hashlib.sha256()
    for one in run.attempts:
        digest.update(_digest(one.script or "") + one.validity.encode())
    return digest.digest()


def _succeeded(said: Candidate) -> bool:
    if said.run is None:
        return True
    if not said.run.attempts:
        return said.script is not None
    return said.run.attempts[-1].validity is Validity.VALID


def _is_blank(issue: str) -> bool:
    return not issue or issue.isspace() or ("N/A" in issue and issue.strip() == "N/A")


def _is_cut(said: Candidate) -> bool:
    return said.diff_is_snippet and said.diff is not None and len(said.diff) >= SNIPPET_LENGTH


def _whole_diff(said: Candidate) -> str | None:
    """The diff, where it is one and was not cut."""
    is_whole = said.diff is not None and not _is_cut(said) and _DIFF_LINE.search(said.diff) is not None
    return said.diff if is_whole else None


def _shown_diff(said: Candidate) -> str:
    """The diff as far as it goes, also where it is good for comparing only."""
    if said.patch_set is not None and said.run is None:
        text = said.patch_set.loose_diff or said.patch_set.diff or ""
    else:
        text = said.diff or ""
    if not _DIFF_LINE.search(text):
        return ""
    return text[:SNIPPET_LENGTH] if _is_cut(said) else text


def _words(form: Form, said: Candidate, script: str | None) -> frozenset[str]:
    if form is Form.SUCCESS and script is None:
        return _new_words(_shown_diff(said), is_cut=_is_cut(said))
    if form in _ATTEMPTED and script is not None and _is_blank(said.issue):
        return frozenset(_WORD.findall(script))
    return frozenset()


def _new_words(diff: str, *, is_cut: bool) -> frozenset[str]:
    """The words of the lines that a diff adds which stand in none of its other lines."""
    lines = diff.split("\n")
    if is_cut:
        # It ends in the midst of a word.
        lines.pop()
    added: set[str] = set()
    known: set[str] = set()
    for line in lines:
        if not line.startswith(("+++ ", "--- ")):
            (added if line.startswith("+") else known).update(_WORD.findall(line))
    return frozenset(added - known)


def _bare(text: str) -> bytes:
    """The text without any white space."""
    return text.encode(errors="surrogatepass").translate(None, b" \t\n\r\x0b\x0c")


def _digest_of(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def _sha(text: str | None) -> bytes | None:
    return _digest(text) if text else None


# --- what belongs together ----------------------------------------------------------------------------------------


def partition(
    units: Sequence[Facts],
    *,
    together: frozenset[frozenset[int]] = frozenset(),
    apart: frozenset[frozenset[int]] = frozenset(),
    decided: frozenset[int] = frozenset(),
    crowded: frozenset[int] = frozenset(),
) -> tuple[Cluster, ...]:
    """Which units speak of one change.

    Args:
        units: in any order. What shares no key with them may be left out: it changes nothing.
        together: pairs of units that a person joined; a pair with a unit that is not here is passed over.
        apart: pairs of units that a person split; they win over `together`.
        decided: units that people decided on; two of them come together only where `together` says so.
        crowded: clues (see `clue_of`) that so many units hold that they say nothing any more.

    Returns:
        Every unit in one cluster, in an order that hangs on the units alone.

    """
    # From here on a unit is its place in this list: as good as its digest to order by, and cheaper.
    known = sorted(units, key=lambda one: (one.digest, one.at or _NEVER, one.unit))
    at = {one.unit: place for place, one in enumerate(known)}
    standing = [_standing(one, is_decided=one.unit in decided) for one in known]
    roots = _Clusters(known)
    roots.keep_apart(sorted(_places(apart, at)))
    roots.mark_decided(at[one] for one in decided if one in at)
    bonds = [(_Rank.BY_HAND, False, 0.0, *pair) for pair in sorted(_places(together, at))]
    taken = [bond for bond in bonds + sorted(_bonds(known, crowded)) if roots.join(bond)]
    return tuple(_clusters(known, standing, roots, taken))


_Bond = tuple[_Rank, bool, float, int, int]
"""Rank, whether the issues differ, seconds between them, and the places of the two units: sorts best first."""


def _places(pairs: Iterable[frozenset[int]], at: Mapping[int, int]) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for pair in pairs:
        if all(one in at for one in pair):
            found.update(combinations(sorted(at[one] for one in pair), 2))
    return found


def _standing(one: Facts, *, is_decided: bool) -> tuple[Any, ...]:
    """What makes a unit stand for its cluster: the smallest does."""
    lacks = (one.script is None, one.loose_diff is None)
    return (not is_decided, _STANDING[one.form], *lacks, one.at or _NEVER, one.digest, one.unit)


def _bonds(known: Sequence[Facts], crowded: frozenset[int]) -> list[_Bond]:
    found: list[_Bond] = []
    for i, j in _met(known, crowded):
        rank = _rank(known[i], known[j])
        if rank is not None:
            gap = _gap(known[i], known[j])
            strangers = known[i].issue != known[j].issue
            found.append((rank, strangers, float("inf") if gap is None else gap, i, j))
    return _without_guesses(known, found)


def _met(known: Sequence[Facts], crowded: frozenset[int]) -> set[tuple[int, int]]:
    """The pairs that share a clue by which at least one of them seeks; of a crowd, only neighbours."""
    seeking: dict[int, list[int]] = defaultdict(list)
    waiting: dict[int, list[int]] = defaultdict(list)
    asking: dict[int, list[int]] = defaultdict(list)
    held_by = {_Role.WAITS: waiting, _Role.ASKS: asking}
    for place, one in enumerate(known):
        for role, number in _clues(one):
            if number not in crowded:
                held_by.get(role, seeking)[number].append(place)
    met: set[tuple[int, int]] = set()
    for clue, askers in asking.items():
        others = waiting.get(clue, [])
        if len(askers) + len(others) <= _CROWDED_MOMENT:
            met.update((min(pair), max(pair)) for pair in product(askers, others))
    for clue, seekers in seeking.items():
        others = waiting.get(clue, [])
        if (len(seekers) + len(others)) * len(seekers) > _CROWD**2:
            met.update(_neighbours(known, seekers, others))
        else:
            met.update(combinations(seekers, 2))
            met.update((min(pair), max(pair)) for pair in product(seekers, others))
    return met


def _neighbours(known: Sequence[Facts], seekers: Sequence[int], others: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Each seeker with those next to it, seekers and others: first by time alone, then by diff and time."""
    is_seeker = set(seekers)
    for places in (seekers, [*seekers, *others]):
        by_time = sorted(places, key=lambda one: (known[one].at or _NEVER, one))
        by_diff = sorted(by_time, key=lambda one: known[one].loose_diff or b"")
        for line in (by_time, by_diff):
            for step in range(1, _NEIGHBOURS + 1):
                for pair in zip(line, line[step:], strict=False):
                    if not is_seeker.isdisjoint(pair):
                        yield min(pair), max(pair)


def _rank(one: Facts, other: Facts) -> _Rank | None:
    """What speaks for it that two units are about one change; contradictions are looked at later."""
    a, b = sorted((one, other), key=lambda each: _STANDING[each.form])
    if a.ladder is not None and a.ladder == b.ladder and (_gap(a, b) or 0) <= _HOUR:
        return _Rank.LADDER
    if a.form is b.form and a.form in _ATTEMPTED:
        return None
    return _same_script(a, b) or _same_diff(a, b) or _same_issue(a, b) or _same_moment(a, b)


def _same_script(a: Facts, b: Facts) -> _Rank | None:
    if a.script is None:
        return None
    if a.script == b.script:
        return _Rank.SCRIPT
    return _Rank.TRIED if a.form is Form.SUCCESS and a.script in b.scripts else None


def _same_diff(a: Facts, b: Facts) -> _Rank | None:
    if a.diff is not None and a.diff == b.diff:
        return _Rank.DIFF
    is_loose = Form.PATCH_SET in {a.form, b.form} and a.loose_diff is not None and a.loose_diff == b.loose_diff
    return _Rank.LOOSE_DIFF if is_loose else None


def _same_issue(a: Facts, b: Facts) -> _Rank | None:
    if a.issue is None or a.issue != b.issue or not (a.succeeded and b.succeeded):
        return None
    gap = _gap(a, b)
    are_near = gap is not None and gap <= (_TWIN_SPAN if a.form is b.form else _HOUR)
    are_near = are_near and (not a.files or not b.files or not a.files.isdisjoint(b.files))
    return _Rank.ISSUE if are_near and (not a.source or not b.source or a.source == b.source) else None


def _same_moment(a: Facts, b: Facts) -> _Rank | None:
    if a.form is not Form.SUCCESS or a.script or b.form not in _ATTEMPTED or b.issue or not b.succeeded:
        return None
    gap = _gap(a, b)
    near = _THIN_SPAN if len(a.words) < _FEW_WORDS else _MOMENT_SPAN
    if gap is None or gap > near or len(a.words & b.words) < _SHARE_OF_WORDS * len(a.words):
        return None
    return _Rank.MOMENT


def _gap(a: Facts, b: Facts) -> float | None:
    return None if a.at is None or b.at is None else abs((a.at - b.at).total_seconds())


def _without_guesses(known: Sequence[Facts], bonds: Sequence[_Bond]) -> list[_Bond]:
    """Leave out a moment that few words speak for, where another run or another change is as near."""
    meets: dict[int, list[int]] = defaultdict(list)
    for rank, _, _, i, j in bonds:
        if rank is _Rank.MOMENT:
            meets[i].append(j)
            meets[j].append(i)

    def is_guess(i: int, j: int) -> bool:
        entry, run = (i, j) if known[i].form is Form.SUCCESS else (j, i)
        if len(known[entry].words) >= _FEW_WORDS:
            return False
        return any(known[one].ladder != known[run].ladder for one in meets[entry]) or any(
            one != entry and not _are_twins(known[one], known[entry]) for one in meets[run]
        )

    return [bond for bond in bonds if bond[0] is not _Rank.MOMENT or not is_guess(bond[3], bond[4])]


def _are_twins(a: Facts, b: Facts) -> bool:
    return _rank(a, b) is not None and _are_one(_claims(a), _claims(b))


_Claims = dict[object, frozenset[object]]


def _claims(one: Facts) -> _Claims:
    """What a change has one of. Where two sides say something of it, one must say no more than the other."""
    is_success = one.form is Form.SUCCESS
    said: dict[object, object] = {
        "script": one.script if is_success else None,
        # Without a model the agent writes one and the same script for everything: the issue tells the entries apart.
        "issue": one.issue if one.form in _NAMING else None,
        "diff": one.diff,
        "loose diff": one.loose_diff,
        "start": one.start,
        "patch set": one.name if one.form is Form.PATCH_SET else None,
        # Of one run that was saved twice, both must tell the same; one captured may tell more or less of it.
        ("ladder", one.form): one.ladder,
        **dict(enumerate(one.says)),
    }
    found: _Claims = {name: frozenset({value}) for name, value in said.items() if value}
    if one.form in _ATTEMPTED and one.scripts:
        found["tried"] = one.scripts
    return found


def _are_one(a: _Claims, b: _Claims) -> bool:
    both = a.keys() & b.keys()
    if any(not (a[name] <= b[name] or b[name] <= a[name]) for name in both):
        return False
    return not any(
        one["script"].isdisjoint(other["tried"])
        for one, other in ((a, b), (b, a))
        if "script" in one and "tried" in other
    )


class _Clusters:
    """The clusters as they grow, each known by the place of one of its units: its root."""

    def __init__(self, known: Sequence[Facts]) -> None:
        self._known = known
        self._parent = list(range(len(known)))
        self._claims: dict[int, _Claims] = {}
        self._with_success = {place for place, one in enumerate(known) if one.form is Form.SUCCESS}
        self._decided: set[int] = set()
        self._strangers: dict[int, set[int]] = {}

    def mark_decided(self, places: Iterable[int]) -> None:
        self._decided.update(places)

    def keep_apart(self, pairs: Iterable[tuple[int, int]]) -> None:
        for one, other in pairs:
            self._strangers.setdefault(one, set()).add(other)
            self._strangers.setdefault(other, set()).add(one)

    def find(self, place: int) -> int:
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place

    def join(self, bond: _Bond) -> bool:
        """Put the clusters of a bond's two units together; False where they are one already or must not be."""
        a, b = self.find(bond[3]), self.find(bond[4])
        if a == b or not self._may_meet(a, b) or not (bond[0] is _Rank.BY_HAND or self._agree(a, b, bond)):
            return False
        self._parent[b] = a
        mine, yours = self._claims_of(a), self._claims_of(b)
        self._claims[a] = mine | {name: mine.get(name, frozenset()) | said for name, said in yours.items()}
        for marked in (self._with_success, self._decided):
            if b in marked:
                marked.add(a)
        if b in self._strangers:
            self.keep_apart([(a, other) for other in self._strangers[b]])
        return True

    def _claims_of(self, root: int) -> _Claims:
        if root not in self._claims:
            self._claims[root] = _claims(self._known[root])
        return self._claims[root]

    def _may_meet(self, a: int, b: int) -> bool:
        return all(self.find(one) != b for one in self._strangers.get(a, ()))

    def _agree(self, a: int, b: int, bond: _Bond) -> bool:
        if (a in self._decided and b in self._decided) or not _are_one(self._claims_of(a), self._claims_of(b)):
            return False
        # A run or a patch set between two successes does not make them one: they need a bond of their own.
        if a not in self._with_success or b not in self._with_success:
            return True
        return all(self._known[place].form is Form.SUCCESS for place in bond[3:])


def _clusters(
    known: Sequence[Facts], standing: Sequence[tuple[Any, ...]], roots: _Clusters, taken: Sequence[_Bond]
) -> Iterator[Cluster]:
    members: dict[int, list[int]] = defaultdict(list)
    for place in sorted(range(len(known)), key=standing.__getitem__):
        members[roots.find(place)].append(place)
    beside: dict[int, list[int]] = defaultdict(list)
    for number, bond in enumerate(taken):
        beside[bond[3]].append(number)
        beside[bond[4]].append(number)
    for places in members.values():
        joins = sorted(_outward(places[0], taken, beside))
        yield Cluster(
            known[places[0]].unit,
            tuple(known[one].unit for one in places),
            tuple(_join(known[one], known[other], taken[number]) for number, one, other in joins),
        )


def _outward(lead: int, taken: Sequence[_Bond], beside: Mapping[int, Sequence[int]]) -> Iterator[tuple[int, int, int]]:
    """The bonds that hold a cluster, each as its number, the unit further from the lead, and the nearer one."""
    seen = {lead}
    edge = [lead]
    while edge:
        place = edge.pop()
        for number in beside.get(place, ()):
            other = sum(taken[number][3:]) - place
            if other not in seen:
                seen.add(other)
                edge.append(other)
                yield number, other, place


def _join(one: Facts, other: Facts, bond: _Bond) -> Join:
    code, confidence = _CODES[bond[0]]
    return Join(one.unit, other.unit, _reason(bond[0], one, other), confidence, code)


def _reason(rank: _Rank, one: Facts, other: Facts) -> str:
    """Why two units are together, for the page that shows them side by side."""
    if rank is _Rank.ISSUE:
        return _issue_reason(one, other)
    if rank is _Rank.MOMENT:
        entry, run = (one, other) if one.form is Form.SUCCESS else (other, one)
        n_there, n_all = len(entry.words & run.words), len(entry.words)
        words = f"the run's script holds {n_there} of the {n_all} words that the diff brings in"
        alone = "no other is as near"
        return f"Logged {_nearness(one, other)}, and {words if n_all else alone}."
    return {
        _Rank.BY_HAND: "A person joined them.",
        _Rank.SCRIPT: "Both hold exactly the same script.",
        _Rank.LADDER: "Both tell the same attempts, script for script.",
        _Rank.TRIED: "One of the run's attempts is exactly the entry's script.",
        _Rank.DIFF: "Both hold exactly the same diff.",
        _Rank.LOOSE_DIFF: "Both hold the same diff, white space aside.",
    }[rank]


def _issue_reason(one: Facts, other: Facts) -> str:
    same = ["the same issue"]
    if one.files and other.files:
        same.append("the same files" if one.files == other.files else "a file in common")
    if one.source and other.source:
        same.append("the same patch source")
    said = ", ".join(same[:-1]) + " and " + same[-1] if len(same) > 1 else same[0]
    return f"Logged {_nearness(one, other)}, with {said}."


def _nearness(one: Facts, other: Facts) -> str:
    seconds = round(_gap(one, other) or 0)
    if seconds < 1:
        return "at the same time"
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds} second{'s' * (seconds > 1)} apart"
    return f"{seconds // 60} minutes apart"


# --- the story that they tell --------------------------------------------------------------------------------------


def assemble(lead: Candidate, parts: Sequence[tuple[Candidate, str]]) -> Candidate:
    """A lead with what it does not say filled in from its parts; what it does say stays.

    `assemble(entry without a script, [(its run, "run run_1.json")])` → the entry with the run's last valid script, the
    run, and `found_in == {"script": "run run_1.json", "run": "run run_1.json"}`.

    Args:
        lead: the candidate that stands for the cluster.
        parts: the others with the names of where they came from; the first one that says a thing is believed.

    """
    filled: dict[str, object] = {}
    found = dict(lead.found_in)
    for name, says in _SAYS.items():
        own = says(lead)
        if own is not None:
            if getattr(lead, name) is None:
                filled[name] = own  # Its own run or patch set says it.
            continue
        for part, origin in parts:
            value = says(part)
            if value is not None and _continues(name, lead, value):
                filled[name] = value
                found[name] = origin
                break
    if "diff" in filled:
        filled["diff_is_snippet"] = False
    return replace(lead, **filled, found_in=found) if filled else lead  # type: ignore[arg-type]


def _continues(name: str, lead: Candidate, value: object) -> bool:
    """Whether a text may stand for the lead's: a sentence instead of a diff stays, and a cut diff must go on."""
    if name != "diff" or lead.diff is None:
        return True
    return _is_cut(lead) and str(value).startswith(lead.diff[:SNIPPET_LENGTH])


def _diff_said(said: Candidate) -> str | None:
    whole = _whole_diff(said)
    return said.patch_set.diff if whole is None and said.patch_set is not None else whole


# What a candidate says of itself, by field; None where it says nothing.
_SAYS: Mapping[str, Callable[[Candidate], object]] = {
    "script": _final_script,
    "diff": _diff_said,
    "issue": lambda said: None if _is_blank(said.issue) else said.issue,
    "issue_id": lambda said: said.issue_id,
    "target_files": lambda said: said.target_files or None,
    "operations": lambda said: said.operations or None,
    "acceptance": lambda said: said.acceptance or None,
    "patch_source": lambda said: None if said.patch_source in {"", "Unknown"} else said.patch_source,
    "predicted_core": lambda said: said.predicted_core,
    "logged_at": lambda said: said.logged_at,
    "run": lambda said: said.run,
    "patch_set": lambda said: said.patch_set,
}
