"""What stands in a list and what comes next: the filter with its one parser, pages by keyset, counts.

A page, a queue, a saved view and a release mean the same by the same filter.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    false,
    func,
    or_,
    select,
    text,
    true,
    union_all,
)
from sqlmodel import Session, col

from app import comments, decisions, gold, guidelines, ordering, search, syntax
from app.candidates import FINDING_CODES, Kind
from app.db import LARGEST_ID, is_id
from app.errors import BadInputError
from app.formats.reading import shown
from app.models import (
    SEVERAL,
    SHOWN,
    Agreement,
    CandidateRow,
    ClusterRow,
    FindingRow,
    IssueGroupRow,
    ReviewerRow,
    SavedViewRow,
    SourceRow,
    Status,
    TurnRow,
    metadata,
)
from app.ordering import ORDERS, Order, Range
from app.syntax import Term

COUNT_CAP = 1000
_MOST_EARLIER_WORDS = 20

# What every decision asks is built once, and of tables where no object is needed.
_candidate, _decision = metadata.tables["candidate"], metadata.tables["decision"]
_FOLLOWING = (
    select(_candidate.c.id, _candidate.c.agreement)
    .where(
        _candidate.c.project_id == bindparam("project"),
        _candidate.c.status == bindparam("named"),
        _candidate.c.id > bindparam("after"),
    )
    .order_by(_candidate.c.id)
    .limit(1)
)
# At once where one person decides on each: the index is empty.
_ANSWERED = (
    select(func.count())
    .select_from(_candidate)
    .where(
        text(SEVERAL),
        _candidate.c.project_id == bindparam("project"),
        decisions.has_answered(bindparam("me", type_=_decision.c.reviewer_id.type)),
    )
)
_PULSE = select(
    select(func.max(_candidate.c.id)).scalar_subquery(),
    select(_candidate.c.checks_version)
    .where(_candidate.c.project_id == bindparam("project"), _candidate.c.status == Status.PENDING)
    .order_by(_candidate.c.id.desc())
    .limit(1)
    .scalar_subquery(),
)


# ------------------------------------------------------------------------------------------------ filter


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list, a queue and a link show; every field is a parameter of the URL, empty means all.

    `Filter.parse({"status": "pending", "q": "termui -finding:secret score:<0.4"})`

    A field that stands in `q` once and plainly, such as `source:Unknown`, is the parameter of its name: so each filter
    has one form. `boxed` remembers which of them were typed there, for the links and the box of a page.
    """

    status: str = ""
    kind: str = ""
    source: str = ""
    file: str = ""
    since: str = ""
    until: str = ""
    rating: str = ""
    finding: str = ""
    upload: str = ""
    delivery: str = ""
    like: str = ""
    q: str = ""
    order: str = ""
    boxed: str = field(default="", compare=False)

    @classmethod
    def parse(cls, query: Mapping[str, str], *, also: Iterable[str] | None = None) -> "Filter":
        """The filter that a query string says.

        Args:
            query: parameters by name.
            also: other names that may stand in it; any name not known is refused then, because a filter that is not
                heard gives a wrong list, or a wrong dataset. None where the query holds more than a filter.

        Raises:
            BadInputError: a value that the field cannot have, or an unknown name; `where` names the field.

        """
        if also is not None:
            _known(query, also)
        # As the columns hold it: a NUL is a sign there, and PostgreSQL refuses to be asked for one.
        named = {name: shown(query.get(name, "")).strip() for name in PARAMETERS}
        for name, read in _READERS.items():
            if named[name]:
                named[name] = read(name, named[name])
        if named["order"] == ordering.OLDEST:
            named["order"] = ""
        lifted = _lifted(named)
        boxed = [name for name in lifted if name not in {"q", "status"} and not named[name]]
        return cls(**named | lifted, boxed=" ".join(boxed))

    @classmethod
    def of(cls, terms: Iterable[Term], *, order: str = "") -> "Filter":
        """The filter in which all of these terms hold."""
        return cls.parse({"q": syntax.write(terms), "order": order})

    def terms(self) -> tuple[Term, ...]:
        """All that must hold, as terms of the search: the parameters too."""
        named = [Term(name, (value,)) for name in _LIFTED if (value := getattr(self, name))]
        return (*named, *syntax.parse(self.q))

    def query(self) -> dict[str, str]:
        """The parameters that are set: the one form, which is stored."""
        return {name: value for name in PARAMETERS if (value := getattr(self, name))}

    def typed(self) -> dict[str, str]:
        """The same with every field where it was typed: what stood in the search box stays there."""
        query = self.query()
        terms = [Term(name, (query.pop(name),)) for name in self.boxed.split()]
        return query | {"q": syntax.write([*syntax.parse(self.q), *terms])} if terms else query


PARAMETERS = tuple(one.name for one in fields(Filter) if one.name != "boxed")
"""What a filter's URL may say."""


@dataclass(frozen=True, slots=True)
class EarlierFilter(Filter):
    """A filter from before searches had fields: its words are sought in issue, paths and changed lines alone.

    Releases keep theirs, so that they can be made again.
    """

    def terms(self) -> tuple[Term, ...]:
        """All that must hold."""
        named = [Term(name, (value,)) for name in _LIFTED if (value := getattr(self, name))]
        return (*named, *(Term(search.LOGGED, (word,)) for word in syntax.words_of(self.q)[:_MOST_EARLIER_WORDS]))


def _known(query: Mapping[str, str], also: Iterable[str]) -> None:
    unknown = sorted(set(query) - {*PARAMETERS, *also})
    if unknown:
        raise BadInputError(
            f"A filter has no {unknown[0][:40]!r}; it has {', '.join(PARAMETERS)}.", where=f"field {unknown[0][:40]}"
        )


def _one_of(*names: str) -> Callable[[str, str], str]:
    def read(field: str, value: str) -> str:
        if value not in names:
            raise BadInputError(
                f"{field} must be one of {', '.join(names)}; it is {value[:40]!r}.", where=f"field {field}"
            )
        return value

    return read


_RATINGS = ("none", "1", "2", "3", "4", "5")
_READERS: Mapping[str, Callable[[str, str], str]] = {
    "status": _one_of(*SHOWN),
    "kind": _one_of(*Kind),
    "order": _one_of(*ORDERS),
    "rating": _one_of(*_RATINGS),
    "since": syntax.read_value,
    "until": syntax.read_value,
    "upload": syntax.read_value,
    "delivery": syntax.read_value,
    "like": syntax.read_value,
    "finding": syntax.read_value,
    "file": syntax.read_value,
}
_LIFTED = ("status", "kind", "source", "file", "since", "until", "rating", "finding", "upload", "delivery", "like")


def _lifted(named: Mapping[str, str]) -> dict[str, str]:
    """The parameters once more, with what `q` says plainly of one of them taken out of `q`."""
    terms = list(syntax.parse(named["q"]))
    if not terms:
        return {}
    found: dict[str, str] = {}
    for name in _LIFTED:
        plain = [term for term in terms if term.field == name and _is_plain(term)]
        values = sorted({term.values[0] for term in plain} | ({named[name]} if named[name] else set()))
        if plain:
            found[name] = values[0]
            terms = [term for term in terms if term not in plain] + [Term(name, (value,)) for value in values[1:]]
    return found | {"q": syntax.write(terms)}


def _is_plain(term: Term) -> bool:
    return not term.excluded and len(term.values) == 1 and (term.field != "rating" or term.values[0] in _RATINGS)


def whole_number(field: str, value: str) -> int:
    """`"17"` → 17.

    Raises:
        BadInputError: not digits 0 to 9, or larger than any id.

    """
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(LARGEST_ID)) and int(value) <= LARGEST_ID):
        raise BadInputError(f"{field} must be a whole number; it is {value[:40]!r}.", where=f"field {field}")
    return int(value)


# ------------------------------------------------------------------------------------------------ conditions


def conditions(session: Session, project_id: int, wanted: Filter) -> list[ColumnElement[bool]]:
    """The filter as conditions on candidates; the same for a page, a queue and an export.

    Of what waits for the opinions of several people, who asks (`asks`) is shown what has not got theirs.

    Raises:
        BadInputError: it names a view, a reviewer or a finding that there is not, or nothing that can be sought.

    """
    if not isinstance(wanted, EarlierFilter):
        _check(session, wanted)
    found: list[ColumnElement[bool]] = [_candidate.c.project_id == project_id]
    if not wanted.status:
        found.append(_candidate.c.status != Status.JOINED)
    terms = expand(session, project_id, wanted).terms()
    if wanted.q and not terms:  # an earlier filter of no words
        found.append(false())
    if wanted.status == Status.PENDING:
        found += _is_open_to(session)
    return [*found, *(_condition(session, project_id, term) for term in terms)]


def _check(session: Session, wanted: Filter) -> None:
    """A search that holds nothing to look for, or a finding that no check makes, would find what nobody meant."""
    if wanted.q and not syntax.parse(wanted.q):
        raise BadInputError(
            f"There is nothing to look for in {wanted.q[:40]!r}. Type a word or a field such as file:core.py.",
            where="field q",
        )
    for term in wanted.terms():
        for code in term.values if term.field == "finding" else ():
            if code not in FINDING_CODES and not _is_stored(session, code):
                where = "finding" if code == wanted.finding and "finding" not in wanted.boxed.split() else "q"
                raise BadInputError(_no_finding(code), where=f"field {where}")


def _is_stored(session: Session, code: str) -> bool:
    """Whether a check of an earlier version found it."""
    return bool(session.execute(select(exists().where(col(FindingRow.code) == code))).scalar_one())


def _no_finding(code: str) -> str:
    near = difflib.get_close_matches(code, FINDING_CODES, 3)
    if near:
        return f"No check finds {code[:40]!r}. Did you mean {' or '.join(near)}?"
    return f"No check finds {code[:40]!r}. They find secret, test_removed, hash_only and more: see docs/findings.md."


def _is_open_to(session: Session) -> list[ColumnElement[bool]]:
    me = who_asks(session)
    return [] if me is None else [~decisions.has_answered(me)]


def _condition(session: Session, project_id: int, term: Term) -> ColumnElement[bool]:
    find = _FINDERS.get(term.field)
    if find is None:
        some = [search.matches(session, term.field, value) for value in term.values]
    else:
        some = [find(session, project_id, value) for value in term.values]
    found = some[0] if len(some) == 1 else or_(*some)
    # What is not known, such as a score that is none, is not what was excluded.
    return found.is_not(true()) if term.excluded else found


def _number_in(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    asked = syntax.read_range(value)
    if asked is None:
        return column.is_(None)
    low, high = asked.low, asked.high
    if low is not None and low == high:
        return column == low
    found: list[ColumnElement[bool]] = []
    if low is not None:
        found.append(column >= low if asked.has_low else column > low)
    if high is not None:
        found.append(column <= high if asked.has_high else column < high)
    return found[0] if len(found) == 1 else found[0] & found[1]


_Finder = Callable[[Session, int, str], ColumnElement[bool]]


def _equal(name: str) -> _Finder:
    return lambda _session, _project, value: _candidate.c[name] == value


def _ranging(column: ColumnElement[Any]) -> _Finder:
    return lambda _session, _project, value: _number_in(column, value)


def _since(_: Session, __: int, day: str) -> ColumnElement[bool]:
    return _candidate.c.logged_at >= datetime.combine(date.fromisoformat(day), time.min, UTC)


def _until(_: Session, __: int, day: str) -> ColumnElement[bool]:
    return _candidate.c.logged_at < datetime.combine(date.fromisoformat(day) + timedelta(days=1), time.min, UTC)


def _finding(_: Session, __: int, code: str) -> ColumnElement[bool]:
    return exists().where(col(FindingRow.candidate_id) == _candidate.c.id, col(FindingRow.code) == code)


def _delivery(_: Session, __: int, number: str) -> ColumnElement[bool]:
    came = select(SourceRow.id).where(col(SourceRow.delivery_id) == int(number))  # type: ignore[call-overload]
    return _candidate.c.source_id.in_(came)


def _upload(_: Session, __: int, number: str) -> ColumnElement[bool]:
    return _candidate.c.source_id == int(number)


def _file(session: Session, _: int, path: str) -> ColumnElement[bool]:
    return search.names_file(session, path)


def _valid(_: Session, __: int, value: str) -> ColumnElement[bool]:
    if value == syntax.NEVER:
        return (_candidate.c.validity != "") & (_candidate.c.n_valid == 0)
    return _candidate.c.validity == ("" if value == syntax.NONE else value)


def _decided(*also: ColumnElement[bool]) -> ColumnElement[bool]:
    """Candidates with a decision that stands, of which more is asked."""
    return exists().where(_decision.c.candidate_id == _candidate.c.id, *decisions.stands(), *also)


def _on_days(column: ColumnElement[datetime], days: str) -> list[ColumnElement[bool]]:
    first, parted, last = days.partition("..")
    found: list[ColumnElement[bool]] = []
    if first:
        found.append(column >= datetime.combine(date.fromisoformat(first), time.min, UTC))
    if last or not parted:
        end = date.fromisoformat(last or first)
        found.append(column < datetime.combine(end, time.min, UTC) + timedelta(days=1))
    return found


def _decided_on(_: Session, __: int, days: str) -> ColumnElement[bool]:
    return _decided(*_on_days(_decision.c.decided_at, days))


def _came(_: Session, __: int, days: str) -> ColumnElement[bool]:
    return and_(*_on_days(_candidate.c.created_at, days))


def _spent(_: Session, __: int, seconds: str) -> ColumnElement[bool]:
    return _decided(_number_in(_decision.c.spent_ms / 1000.0, seconds))


def _seen(_: Session, __: int, share: str) -> ColumnElement[bool]:
    return _decided(_number_in(_decision.c.n_seen * 1.0 / func.nullif(_decision.c.n_hunks, 0), share))


def _bulk(_: Session, __: int, value: str) -> ColumnElement[bool]:
    return _decided(_decision.c.bulk.is_not(None) if value == "yes" else _decision.c.bulk.is_(None))


def _by(session: Session, _: int, name: str) -> ColumnElement[bool]:
    return _decided(_decision.c.reviewer_id == _reviewer_id(session, name, "by"))


def _reason(_: Session, __: int, code: str) -> ColumnElement[bool]:
    return _decided(cast(_decision.c.reasons, Text).contains(json.dumps(code), autoescape=True))


def _guideline(_: Session, __: int, versions: str) -> ColumnElement[bool]:
    return _decided(_number_in(func.coalesce(_decision.c.guideline, guidelines.FIRST.version), versions))


def _agreement(_: Session, __: int, value: str) -> ColumnElement[bool]:
    # As a literal, so that the index over these few is used.
    return and_(text(SEVERAL), _candidate.c.agreement == value)


def _opinion(_: Session, __: int, verdict: str) -> ColumnElement[bool]:
    return decisions.opines(_decision.c.verdict == verdict)


def _opinion_by(session: Session, _: int, name: str) -> ColumnElement[bool]:
    return decisions.opines(_decision.c.reviewer_id == _reviewer_id(session, name, "opinion_by"))


def _reviewer_id(session: Session, name: str, field: str) -> int:
    known = session.execute(select(ReviewerRow.id).where(col(ReviewerRow.name) == name)).scalar()  # type: ignore[call-overload]
    if known is None:
        raise BadInputError(f"{field}: there is no reviewer {name[:40]!r}.", where="field q")
    return int(known)


def _group(session: Session, project_id: int, value: str) -> ColumnElement[bool]:
    if len(value) == _DIGITS:
        own: bytes | None = bytes.fromhex(value)
    else:
        wanted = select(_candidate.c.group_digest).where(
            _candidate.c.project_id == project_id, _candidate.c.id == int(value)
        )
        own = session.connection().execute(wanted).scalar()
    if own is None:
        return false()
    of_project = col(IssueGroupRow.project_id) == project_id
    wanted = select(IssueGroupRow.group_key).where(of_project, col(IssueGroupRow.issue) == own)  # type: ignore[call-overload]
    key = session.execute(wanted).scalar() or own
    tied = select(IssueGroupRow.issue).where(of_project, col(IssueGroupRow.group_key) == key)  # type: ignore[call-overload]
    return _candidate.c.group_digest.in_([own, key]) | _candidate.c.group_digest.in_(tied)


def _like(_: Session, __: int, value: str) -> ColumnElement[bool]:
    own = select(col(ClusterRow.cluster_id)).where(col(ClusterRow.candidate_id) == int(value)).scalar_subquery()
    alike = select(col(ClusterRow.candidate_id)).where(col(ClusterRow.cluster_id) == own)
    return (_candidate.c.id == int(value)) | _candidate.c.id.in_(alike)


def _turn(session: Session, _: int, value: str) -> ColumnElement[bool]:
    """Sent to a person, or by the one who asks, and not done."""
    if value not in {syntax.ME, syntax.SENT}:
        named = select(ReviewerRow.id).where(col(ReviewerRow.name) == value)  # type: ignore[call-overload]
        known = session.execute(named).scalar()
        if known is None:
            raise BadInputError(f"turn: there is no reviewer {value[:40]!r}.", where="field q")
        return is_sent_to(known)
    me = who_asks(session)
    if me is None:
        raise BadInputError(f"turn:{value} means another list for everybody; name a person here.", where="field q")
    return (
        is_sent_to(me)
        if value == syntax.ME
        else exists().where(*_TURN, col(TurnRow.from_id) == me, col(TurnRow.read_at).is_(None))
    )


def _mine(session: Session, _: int, __: str) -> ColumnElement[bool]:
    """What waits for opinions and has that of the one who asks; of others' it says nothing."""
    me = who_asks(session)
    if me is None:
        raise BadInputError("mine: means another list for everybody; it is of no use here.", where="field q")
    return and_(text(SEVERAL), decisions.has_answered(me))


def _comment(session: Session, _: int, value: str) -> ColumnElement[bool]:
    me = session.info.get(_ASKS)
    if value == syntax.ME and me is None:
        raise BadInputError("comment:me means another list for everybody; it is of no use here.", where="field q")
    found = _candidate.c.id.in_(comments.matching(value, me))
    # While opinions are awaited nobody learns that others have said something.
    return found & ((_candidate.c.agreement != Agreement.WAITING) | _candidate.c.id.in_(comments.matching("me", me)))


_TURN = (col(TurnRow.candidate_id) == _candidate.c.id, col(TurnRow.done_at).is_(None))
_ASKS = "reviewer_id"


def is_sent_to(reviewer_id: int) -> ColumnElement[bool]:
    """What waits for this person because somebody sent it: a condition on candidates."""
    return exists().where(*_TURN, col(TurnRow.to_id) == reviewer_id)


def who_asks(session: Session) -> int | None:
    """Who asks in this session, as `asks` said it; None where nobody in particular does."""
    return session.info.get(_ASKS)


def asks(session: Session, reviewer_id: int) -> None:
    """Say who asks in this session: whom `turn:me` means, and whose opinions need not be asked for again."""
    session.info[_ASKS] = reviewer_id


_DIGITS = 64
_FINDERS: Mapping[str, _Finder] = {
    "status": _equal("status"),
    "kind": _equal("kind"),
    "source": _equal("patch_source"),
    "rating": _ranging(_candidate.c.rating),
    "score": _ranging(_candidate.c.score),
    "size": _ranging(_candidate.c.n_added + _candidate.c.n_removed),
    "attempts": _ranging(_candidate.c.n_attempts),
    "id": _ranging(_candidate.c.id),
    "since": _since,
    "until": _until,
    "finding": _finding,
    "upload": _upload,
    "delivery": _delivery,
    "file": _file,
    "valid": _valid,
    "by": _by,
    "agreement": _agreement,
    "opinion": _opinion,
    "opinion_by": _opinion_by,
    "reason": _reason,
    "guideline": _guideline,
    "decided": _decided_on,
    "spent": _spent,
    "seen": _seen,
    "bulk": _bulk,
    "came": _came,
    "group": _group,
    "like": _like,
    "turn": _turn,
    "mine": _mine,
    "comment": _comment,
}
"""How each field that holds no free text is found."""


# ------------------------------------------------------------------------------------------------ views in filters


def parse_stored(query: str) -> Filter:
    """The filter of a stored query string: `"status=pending&q=score%3A%3C0.4"`."""
    return Filter.parse(dict(parse_qsl(query)))


def expand(session: Session, project_id: int, wanted: Filter) -> Filter:
    """The same filter without `view:`: what each view stands for is written out.

    Raises:
        BadInputError: there is no such view, or one is excluded or offered beside another.

    """
    if isinstance(wanted, EarlierFilter) or "view:" not in wanted.q.lower():
        return wanted
    terms: list[Term] = []
    for term in wanted.terms():
        terms += _of_view(session, project_id, term) if term.field == "view" else (term,)
    return Filter.of(terms, order=wanted.order)


def _of_view(session: Session, project_id: int, term: Term) -> tuple[Term, ...]:
    if term.excluded or len(term.values) > 1:
        raise BadInputError("view: takes one view, and none can be excluded.", where="field q")
    found = select(SavedViewRow.query).where(  # type: ignore[call-overload]
        col(SavedViewRow.project_id) == project_id, col(SavedViewRow.name) == term.values[0]
    )
    query = session.execute(found).scalar()
    if query is None:
        raise BadInputError(f"There is no saved view {term.values[0][:100]!r} here.", where="field q")
    return parse_stored(query).terms()


# ------------------------------------------------------------------------------------------------ pages and counts


@dataclass(frozen=True, slots=True)
class Page:
    """Candidates of one page, and the cursor that the next page begins after, or None at the end."""

    candidates: list[CandidateRow]
    after: str | None


def order_of(wanted: Filter) -> Order:
    """The order that a filter's list stands in."""
    return ORDERS[wanted.order or ordering.OLDEST]


def list_candidates(session: Session, project_id: int, wanted: Filter, *, after: str = "", limit: int = 50) -> Page:
    """One page of the list, by keyset: the cost does not grow with depth.

    Raises:
        BadInputError: the cursor is none.

    """
    order = order_of(wanted)
    place = ordering.read_place(order, after) if after else None
    also = but_gold(session, project_id)
    found = list(_walk(session, project_id, wanted, ordering.ranges(order, place), limit + 1, also=also))
    rows = _rows(session, found[:limit])
    return Page(rows, ordering.write_place(order, rows[-1]) if len(found) > limit else None)


def but_gold(session: Session, project_id: int) -> list[ColumnElement[bool]]:
    """Gold that who asks is to judge unknowingly is in no list of theirs, nor counted there: its status would tell."""
    hidden = gold.list_hidden(session, project_id, who_asks(session))
    return [_candidate.c.id.not_in(hidden)] if hidden else []


def _walk(
    session: Session,
    project_id: int,
    wanted: Filter,
    along: Iterable[Range],
    limit: int,
    *,
    also: Iterable[ColumnElement[bool]] = (),
) -> Iterator[int]:
    """The ids of candidates in an order, range after range, up to a limit."""
    where = [*conditions(session, project_id, wanted), *also]
    # Where no status is asked for, each has its own walk along the index of an order, and they are merged.
    is_merged = not wanted.status and (order_of(wanted).column is not None or _is_plain_status(wanted))
    statuses = SHOWN if is_merged else ()
    for one in along:
        found = _first(session, [*where, *one.where], statuses, one, limit)
        yield from found
        limit -= len(found)
        if limit <= 0:
            return


def _first(
    session: Session, where: list[ColumnElement[bool]], statuses: Iterable[Status], along: Range, limit: int
) -> list[int]:
    def within(*also: ColumnElement[bool]) -> Select[Any]:
        named = [column.label(f"by{n}") for n, column in enumerate(along.columns)]
        sorts = (_sorted(column, down=along.down) for column in along.columns)
        return select(_candidate.c.id, *named).where(*where, *also).order_by(*sorts).limit(limit)

    found = within()
    if parts := [within(_candidate.c.status == status).subquery() for status in statuses]:
        merged = union_all(*(select(part) for part in parts)).subquery()
        sorts = [_sorted(merged.c[f"by{n}"], down=along.down) for n in range(len(along.columns))]
        found = select(merged).order_by(*sorts).limit(limit)
    return [row[0] for row in session.connection().execute(found)]


def first_of(where: Iterable[ColumnElement[bool]], along: Range) -> Select[Any]:
    """The numbers of candidates that meet all of this, in an order; for whoever takes the first of them."""
    sorts = (_sorted(column, down=along.down) for column in along.columns)
    return select(_candidate.c.id).where(*where).order_by(*sorts)


def _sorted(column: ColumnElement[Any], *, down: bool) -> ColumnElement[Any]:
    return column.desc() if down else column.asc()


def _rows(session: Session, ids: list[int]) -> list[CandidateRow]:
    found = session.execute(select(CandidateRow).where(col(CandidateRow.id).in_(ids))).scalars()
    rows = {row.id: row for row in found}
    return [rows[number] for number in ids]


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; `capped` when counting stopped at the cap."""

    n: int
    capped: bool = False

    def __str__(self) -> str:
        """`1,000+` for a capped count."""
        return f"{self.n:,}+" if self.capped else f"{self.n:,}"


def count_candidates(session: Session, project_id: int, wanted: Filter, *, since: int = 0) -> Count:
    """How many candidates a filter finds: from the tally where it can, else counted up to 1,000.

    Args:
        session: to read from.
        project_id: theirs.
        wanted: the filter.
        since: only those that came after the one with this id.

    """
    if not since and _is_plain_status(wanted):
        tally = _count_open(session, project_id)
        return Count(tally[wanted.status] if wanted.status else sum(tally.values()))
    where = (*conditions(session, project_id, wanted), *but_gold(session, project_id), _candidate.c.id > since)
    n = session.execute(select(_capped(where))).scalar_one()
    return Count(min(n, COUNT_CAP), capped=n > COUNT_CAP)


def _count_open(session: Session, project_id: int) -> dict[str, int]:
    """The tally, without what waits for the opinions of others and has that of who asks."""
    tally = decisions.count_by_status(session, project_id)
    me = who_asks(session)
    if me is not None:
        tally[Status.PENDING] -= session.connection().execute(_ANSWERED, {"project": project_id, "me": me}).scalar_one()
    return tally


def count_answered(session: Session, project_id: int, wanted: Filter) -> Count:
    """How many of a filter, whatever status it says, wait for others and have the opinion of who asks."""
    me = who_asks(session)
    if me is None:
        return Count(0)
    if _is_plain_status(wanted):
        return Count(session.connection().execute(_ANSWERED, {"project": project_id, "me": me}).scalar_one())
    where = [*conditions(session, project_id, replace(wanted, status="")), *but_gold(session, project_id)]
    n = session.execute(select(_capped([*where, and_(text(SEVERAL), decisions.has_answered(me))]))).scalar_one()
    return Count(min(n, COUNT_CAP), capped=n > COUNT_CAP)


def count_by_status(session: Session, project_id: int, wanted: Filter) -> dict[str, Count]:
    """How many candidates of each status a filter finds, whatever status it says; counted up to 1,000 each."""
    if _is_plain_status(wanted):
        return {status: Count(n) for status, n in _count_open(session, project_id).items()}
    where = [*conditions(session, project_id, replace(wanted, status="")), *but_gold(session, project_id)]
    mine = {Status.PENDING: _is_open_to(session)}
    counts = [_capped([*where, _candidate.c.status == status, *mine.get(status, [])]).label(status) for status in SHOWN]
    found = session.execute(select(*counts)).one()
    return {status: Count(min(n, COUNT_CAP), capped=n > COUNT_CAP) for status, n in zip(SHOWN, found, strict=True)}


def _is_plain_status(wanted: Filter) -> bool:
    return replace(wanted, status="", order="") == Filter()


def _capped(where: Iterable[ColumnElement[bool]]) -> ScalarSelect[int]:
    some = select(_candidate.c.id).where(*where).limit(COUNT_CAP + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Pulse:
    """What an open list compares to know whether it is out of date.

    Attributes:
        newest: every candidate that comes later has a larger id.
        beat: another one when candidates came, were joined or decided, or when the newest was checked.
    """

    newest: int
    beat: str


def take_pulse(session: Session, project_id: int) -> Pulse:
    """Look whether anything changed, at the cost of two indexed reads."""
    counts = decisions.count_by_status(session, project_id)
    newest, checked = session.connection().execute(_PULSE, {"project": project_id}).one()
    return Pulse(newest or 0, ".".join(map(str, (newest or 0, checked or 0, *counts.values()))))


def list_patch_sources(session: Session, project_id: int, limit: int = 50) -> list[str]:
    """The patch sources that occur, found by leaping along the index."""
    found: list[str] = []
    while len(found) < limit:
        wanted = select(func.min(CandidateRow.patch_source)).where(col(CandidateRow.project_id) == project_id)
        if found:
            wanted = wanted.where(col(CandidateRow.patch_source) > found[-1])
        following = session.execute(wanted).scalar()
        if following is None:
            break
        found.append(following)
    return found


def find_next(
    session: Session,
    project_id: int,
    wanted: Filter,
    after_id: int,
    *,
    back: bool = False,
    but: ColumnElement[bool] | None = None,
) -> int | None:
    """The candidate that follows (or goes before) in the queue; at the end the first one left, or None.

    Args:
        session: to read from.
        project_id: whose queue.
        wanted: the filter.
        after_id: where to go on from; 0 for the beginning.
        back: go the other way, and never round.
        but: pass over what meets this: what others have.

    """
    after_id = after_id if is_id(after_id) else 0
    skipped = [*but_gold(session, project_id), *([] if but is None else [but.is_not(true())])]
    if wanted.status and wanted == Filter(status=wanted.status) and not back and not skipped:
        named = {"project": project_id, "named": wanted.status, "after": after_id}
        row = session.connection().execute(_FOLLOWING, named).first()
        if row is not None and row.agreement != Agreement.WAITING:
            return int(row.id)
    order = order_of(wanted)
    place = ordering.find_place(session, order, after_id) if after_id else None
    behind = ordering.ranges(order, place, back=back)
    found = next(_walk(session, project_id, wanted, behind, 1, also=skipped), None)
    if found is None and not back:
        others = (*skipped, _candidate.c.id != after_id)
        found = next(_walk(session, project_id, wanted, ordering.ranges(order), 1, also=others), None)
    return found


def list_ahead(
    session: Session, project_id: int, wanted: Filter, after_id: int, limit: int = 8
) -> list[tuple[int, int]]:
    """What follows a candidate in the queue, as `find_next` goes: `[(6, 1), (9, 3)]`, each with its version."""
    found: list[int] = []
    following = find_next(session, project_id, wanted, after_id)
    while following is not None and following not in (after_id, *found) and len(found) < limit:
        found.append(following)
        following = find_next(session, project_id, wanted, following)
    versions = select(_candidate.c.id, _candidate.c.version).where(_candidate.c.id.in_(found))
    named = {number: version for number, version in session.connection().execute(versions)}  # noqa: C416
    return [(number, named[number]) for number in found if number in named]
