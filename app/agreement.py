"""How well the people agree who were asked for several opinions: counts with their lists, alpha, kappa, by person.

The coefficients are NLTK's (docs/decisions/0037); the intervals are a seeded bootstrap over candidates. Only candidates
of which all opinions are there count: of one that waits nobody may be told anything.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select, text
from sqlmodel import Session

from app import decisions, syntax
from app.insight import HASTY_MS, Cell, Picture, Row
from app.models import SEVERAL, Agreement, Status, Verdict, metadata
from app.queue import Filter
from app.syntax import Term

_candidate, _decision, _reviewer = (metadata.tables[name] for name in ("candidate", "decision", "reviewer"))
_SEED = 37
_RESAMPLED = 200
# A resample of more says little more and takes much longer; what its interval is too wide by is known.
_MOST_ALPHA, _MOST_KAPPA = 400, 100
_MOST_PAIRS = 20
_FEWEST = 2
_OUTCOMES: Mapping[Agreement, str] = {
    Agreement.YES: "all say the same",
    Agreement.SETTLED: "a curator had the last word",
    Agreement.NO: "they differ",
    Agreement.WAITING: "not all have spoken",
}
_VERDICTS = (Verdict.ACCEPT, Verdict.EDIT, Verdict.REJECT, Verdict.FLAG)

Unit = Mapping[str, str]
"""What each person said of one candidate: `{"ann": "accept", "ben": "edit"}`."""


class Measure(NamedTuple):
    """A coefficient with the interval that holds it 95 times of 100; or None and the sentence that says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people who judged the same candidates.

    Attributes:
        one: a name.
        other: another.
        n: candidates that both judged.
        n_same: of these with one verdict.
        kappa: Cohen's.
        wanted: the list of the candidates.
    """

    one: str
    other: str
    n: int
    n_same: int
    kappa: Measure
    wanted: Filter


@dataclass(frozen=True, slots=True)
class Voice:
    """What one person said as one of several: `Voice("ann", 35, 31, 28)`.

    Attributes:
        name: whose.
        n_judged: candidates of which all opinions are there.
        n: of these with a final verdict; those on which people still differ have none.
        n_same: of these with the verdict that the person had given.
    """

    name: str
    n_judged: int
    n: int
    n_same: int

    @property
    def wanted(self) -> Filter:
        """The list of the candidates with a final verdict."""
        return _list_of(Term("agreement", ("settled", "yes")), Term("opinion_by", (self.name,)))

    @property
    def judged(self) -> Filter:
        """The list of all of them."""
        return _list_of(Term("agreement", ("no", "settled", "yes")), Term("opinion_by", (self.name,)))


@dataclass(frozen=True, slots=True)
class Work:
    """What one person decided one by one and did not take back, opinions that wait or were outvoted among it.

    Attributes:
        n: decisions.
        n_measured: of these, how many were measured.
        median_ms: half took longer; None where none was measured.
        n_hasty: took less than 2 seconds.
        reasons: how often each was given, the most frequent first.
    """

    n: int
    n_measured: int
    median_ms: float | None
    n_hasty: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Concord:
    """How well people agree.

    Attributes:
        n: candidates of which all opinions are there.
        n_same: of these with one verdict and, where it is an edit, one text.
        alpha: Krippendorff's, over verdicts.
        pictures: what came of it, and what they differ on.
        pairs: who agrees with whom, those with most in common first.
        n_more_pairs: pairs that are left out.
        voices: by person, in the order of their names.
    """

    n: int
    n_same: int
    alpha: Measure
    pictures: tuple[Picture, ...]
    pairs: tuple[Pair, ...]
    n_more_pairs: int
    voices: tuple[Voice, ...]


def take_mark(session: Session) -> int:
    """Another one when anything was decided since."""
    return int(session.connection().execute(select(func.max(_decision.c.id))).scalar() or 0)


def look(session: Session, project_id: int) -> Concord:
    """How well people agree on a project's candidates, in one snapshot."""
    units: dict[int, dict[str, tuple[str, int | None]]] = defaultdict(dict)
    final: dict[int, str] = {}
    for number, status, name, verdict, revision in session.connection().execute(_opinions(project_id)):
        units[number][name] = verdict, revision
        final[number] = status
    said = [{name: verdict for name, (verdict, _) in unit.items()} for unit in units.values()]
    pairs = _pairs(said)
    return Concord(
        n=len(units),
        n_same=sum(len(set(unit.values())) == 1 for unit in units.values()),
        alpha=alpha(said),
        pictures=(_came_of(session, project_id), _differ_on(units.values())),
        pairs=tuple(_measured(said, *pair) for pair in pairs[:_MOST_PAIRS]),
        n_more_pairs=max(0, len(pairs) - _MOST_PAIRS),
        voices=_voices(units, final),
    )


def find_voice(session: Session, project_id: int, reviewer_id: int, name: str) -> Voice:
    """What one person said as one of several."""
    n_judged = n = n_same = 0
    mine = _opinions(project_id).where(_decision.c.reviewer_id == reviewer_id)
    for _, status, _, verdict, _ in session.connection().execute(mine):
        is_final = status in decisions.STATUS_OF.values()
        n_judged += 1
        n += is_final
        n_same += is_final and decisions.STATUS_OF[Verdict(verdict)] == status
    return Voice(name, n_judged, n, n_same)


def find_work(session: Session, project_id: int, reviewer_id: int, since: datetime) -> Work:
    """What one person decided since an instant."""
    asked = select(_decision.c.spent_ms, _decision.c.reasons).where(
        _decision.c.project_id == project_id,
        _decision.c.reviewer_id == reviewer_id,
        _decision.c.decided_at >= since,
        _decision.c.bulk.is_(None),
        *decisions.is_verdict(),
    )
    rows = session.connection().execute(asked).all()
    spent = [ms for ms, _ in rows if ms is not None]
    reasons = Counter(code for _, codes in rows for code in codes)
    n_hasty = sum(ms < HASTY_MS for ms in spent)
    return Work(len(rows), len(spent), median(spent) if spent else None, n_hasty, tuple(reasons.most_common()))


def _opinions(project_id: int) -> Select[Any]:
    """Every opinion that counts: candidate, its status, name, verdict, revision."""
    return (
        select(_candidate.c.id, _candidate.c.status, _reviewer.c.name, _decision.c.verdict, _decision.c.revision_id)
        .join_from(_candidate, _decision, _decision.c.candidate_id == _candidate.c.id)
        .join(_reviewer, _reviewer.c.id == _decision.c.reviewer_id)
        .where(
            _candidate.c.project_id == project_id, text(SEVERAL), decisions.is_told(), *decisions.counts_as_opinion()
        )
        .order_by(_candidate.c.id, _reviewer.c.name)
    )


def _voices(units: Mapping[int, Mapping[str, tuple[str, int | None]]], final: Mapping[int, str]) -> tuple[Voice, ...]:
    n_judged, n, n_same = Counter[str](), Counter[str](), Counter[str]()
    for number, unit in units.items():
        for name, (verdict, _) in unit.items():
            n_judged[name] += 1
            if final[number] in decisions.STATUS_OF.values():
                n[name] += 1
                n_same[name] += decisions.STATUS_OF[Verdict(verdict)] == final[number]
    return tuple(Voice(name, n_judged[name], n[name], n_same[name]) for name in sorted(n_judged))


# ------------------------------------------------------------------------------------------------ coefficients


def alpha(units: Sequence[Unit]) -> Measure:
    """Krippendorff's alpha over verdicts: 1 is perfect, 0 what chance alone would give, below 0 worse than chance."""
    shared = [unit for unit in units if len(unit) >= _FEWEST]
    why = _why_not(shared)
    return Measure(None, why=why) if why else _bootstrapped(shared, _alpha(), _MOST_ALPHA)


def kappa(units: Sequence[Unit], one: str, other: str) -> Measure:
    """Cohen's kappa of two people, over the candidates that both judged."""
    shared = [{one: unit[one], other: unit[other]} for unit in units if one in unit and other in unit]
    why = _why_not(shared)
    return Measure(None, why=why) if why else _bootstrapped(shared, _kappa(), _MOST_KAPPA)


def _why_not(shared: Sequence[Unit]) -> str:
    """The sentence that says why there is no coefficient, or empty where there is one."""
    if not shared:
        return "No candidate was judged by two people yet."
    if len(shared) < _FEWEST:
        return "Only one candidate was judged by two people: that says nothing of chance."
    if len({verdict for unit in shared for verdict in unit.values()}) == 1:
        return "Everybody said the same of every candidate, so agreement cannot be told from chance."
    try:
        from nltk.metrics import agreement  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        return "Alpha and kappa need a library: pip install 'patchsift[agreement]'."
    return ""


_Coefficient = Callable[[Sequence[Unit]], float]


def _alpha() -> _Coefficient:
    from nltk.metrics.agreement import AnnotationTask  # noqa: PLC0415  (over a second, and only this page needs it)

    return lambda units: float(AnnotationTask(_triples(units)).alpha())


def _kappa() -> _Coefficient:
    from nltk.metrics.agreement import AnnotationTask  # noqa: PLC0415

    return lambda units: float(AnnotationTask(_triples(units)).kappa())


def _triples(units: Iterable[Unit]) -> list[tuple[str, int, str]]:
    return [(name, number, verdict) for number, unit in enumerate(units) for name, verdict in unit.items()]


def _bootstrapped(units: Sequence[Unit], of: _Coefficient, most: int) -> Measure:
    """The coefficient of all, and the middle 95 % of what as many candidates drawn at random would give.

    Of more than `most` that many are drawn; their spread is wider by the root of the ratio, and is narrowed by it.
    """
    value = of(units)
    drawn = random.Random(_SEED)  # noqa: S311  (the same page twice shows the same interval)
    size = min(len(units), most)
    found = []
    for _ in range(_RESAMPLED):
        some = drawn.choices(units, k=size)
        # Where chance drew one verdict alone, there is no disagreement to be seen.
        is_one = len({verdict for unit in some for verdict in unit.values()}) == 1
        found.append(1.0 if is_one else of(some))
    found.sort()
    narrow = math.sqrt(size / len(units))
    low, high = (value + (found[at] - value) * narrow for at in (_RESAMPLED * 25 // 1000, _RESAMPLED * 975 // 1000))
    return Measure(value, min(low, value), min(1.0, max(high, value)))


# ------------------------------------------------------------------------------------------------ pairs, pictures


def _pairs(units: Iterable[Unit]) -> list[tuple[str, str]]:
    """Everybody who judged a candidate together with another, those with most in common first."""
    n = Counter[tuple[str, str]]()
    for unit in units:
        n.update(combinations(sorted(unit), 2))
    return [pair for pair, _ in sorted(n.items(), key=lambda one: (-one[1], one[0]))]


def _measured(units: Sequence[Unit], one: str, other: str) -> Pair:
    shared = [unit for unit in units if one in unit and other in unit]
    return Pair(
        one,
        other,
        len(shared),
        sum(unit[one] == unit[other] for unit in shared),
        kappa(units, one, other),
        _list_of(Term("opinion_by", (one,)), Term("opinion_by", (other,))),
    )


def _came_of(session: Session, project_id: int) -> Picture:
    counted = (
        select(_candidate.c.agreement, func.count())
        .where(_candidate.c.project_id == project_id, text(SEVERAL), _candidate.c.status != Status.JOINED)
        .group_by(_candidate.c.agreement)
    )
    n = {agreement: count for agreement, count in session.connection().execute(counted)}  # noqa: C416
    rows = tuple(
        Row(label, (Cell(n.get(one, 0), _list_of(Term("agreement", (one.value,)))),))
        for one, label in _OUTCOMES.items()
    )
    says = "Candidates that several people were asked about, and at least one has spoken of."
    return Picture("outcomes", "What came of asking several", says, "Outcome", ("candidates",), rows)


def _differ_on(units: Iterable[Mapping[str, tuple[str, int | None]]]) -> Picture:
    n = Counter[tuple[str, str]]()
    n_edits = 0
    for unit in units:
        verdicts = {verdict for verdict, _ in unit.values()}
        n.update(pair for pair in combinations(_VERDICTS, 2) if verdicts.issuperset(pair))
        n_edits += verdicts == {Verdict.EDIT} and len(set(unit.values())) > 1
    rows = [
        Row(
            f"{one} and {other}", (Cell(n[one, other], _list_of(*(Term("opinion", (v.value,)) for v in (one, other)))),)
        )
        for one, other in combinations(_VERDICTS, 2)
        if n[one, other]
    ]
    if n_edits:
        terms = [_said(one, excluded=one is not Verdict.EDIT) for one in _VERDICTS]
        differ = _list_of(*terms, Term("agreement", (Agreement.YES.value,), excluded=True))
        rows.append(Row("two different edits", (Cell(n_edits, differ),)))
    says = "Candidates of which one person said the one and another the other, settled since or not."
    return Picture("differences", "What people differ on", says, "Verdicts", ("candidates",), tuple(rows))


def _said(verdict: Verdict, *, excluded: bool = False) -> Term:
    return Term("opinion", (verdict.value,), excluded)


def _list_of(*terms: Term) -> Filter:
    return Filter.parse({"q": syntax.write(terms)})
