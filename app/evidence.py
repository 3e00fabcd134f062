"""What the log says of a candidate: its own entries, and those of its parts, put together."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import exists, select, update
from sqlmodel import Session, col

from app import assembly, formats
from app.candidates import LOW, Candidate, Direction
from app.errors import BadInputError
from app.formats.given import Given
from app.models import AttachmentRow, CandidateRow, EntryRow, PartRow, RepeatRow, SourceRow

_IN_WORDS = {
    assembly.Form.SUCCESS: "success entry",
    assembly.Form.RUN: "run",
    assembly.Form.PATCH_SET: "patch set",
    assembly.Form.CAPTURE: "captured run",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that a log said, before anything is joined.

    Attributes:
        said: what it says; a score's direction is the source's where a person set one.
        entry: the entry that said it.
        source_name: where that first came in.
        place: where it is told from: the same bytes may stand in several files, of which one names the run's time.
    """

    said: Candidate
    entry: EntryRow
    source_name: str
    place: "Place"

    @property
    def name(self) -> str:
        """What it is, in short: `run projects/x/run_1.json`, `patch set feature/auto-patch-x-1`."""
        return f"{in_words(self.said)} {self.place.name}"


class Place(NamedTuple):
    """A place where an entry stands: `Place("projects/x/run_1.json", 1, 7)`.

    Attributes:
        name: the file.
        line: from 1.
        source_id: as what the file came in.
    """

    name: str
    line: int
    source_id: int


@dataclass(frozen=True, slots=True)
class Part:
    """One of the things that a candidate was put together from, as the page shows it.

    Attributes:
        unit: its own candidate's id.
        entry: its entry.
        source_id: as what the file that it stands in came in.
        name: that file.
        place: `line 12`, or empty for a file that is one entry.
        form: `success entry`, `run`, `patch set` or `captured run`.
        reason: why it is here, a sentence.
        confidence: `certain`, `high`, `low` or `by hand`.
    """

    unit: int
    entry: EntryRow
    source_id: int
    name: str
    place: str
    form: str
    reason: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that is known of a candidate: the whole story, the lead's own entry, and the parts."""

    said: Candidate
    entry: EntryRow
    source_name: str
    parts: tuple[Part, ...]


def in_words(said: Candidate) -> str:
    """What a unit is: `"patch set"`."""
    return _IN_WORDS[assembly.form_of(said)]


def read_units(session: Session, ids: Iterable[int]) -> dict[int, Unit]:
    """What each of these candidates' own entries say; parts are not looked at."""
    found: dict[int, list[_Entry]] = {}
    wanted = (
        select(EntryRow, SourceRow.name, SourceRow.score_direction)  # type: ignore[call-overload]
        .join(SourceRow, col(SourceRow.id) == col(EntryRow.source_id))
        .where(col(EntryRow.candidate_id).in_(list(ids)))
        .order_by(col(EntryRow.candidate_id), col(EntryRow.id))
    )
    for entry, name, direction in session.execute(wanted):
        own = Place(name, entry.line, entry.source_id)
        found.setdefault(entry.candidate_id, []).append(_Entry(entry, direction, {own}, {}))
    told = [one for entries in found.values() for one in entries]
    _add_repeats(session, told)
    _add_files(session, [one for one in told if one.row.format == formats.patch_set.FORMAT])
    return {number: _unit(entries) for number, entries in found.items()}


def read_candidate(session: Session, row: CandidateRow) -> Told:
    """Everything that is known of a candidate that stands for itself."""
    number = row.id or 0
    joined = [] if not row.n_parts else _parts(session, number)
    units = read_units(session, [number, *(part.candidate_id for part in joined)])
    return _told(row, units, joined)


def read_success(raw: bytes) -> Candidate:
    """What a stored success entry says by itself; it was read without fault when it came in."""
    return formats.read_entries(formats.SUCCESS, [(raw, Given())], 0)


def read_whole(session: Session, candidate_id: int) -> Candidate:
    """What the whole evidence says of a candidate."""
    return read_candidate(session, session.get_one(CandidateRow, candidate_id)).said


def parse_direction(value: str) -> Direction | None:
    """What a person says of style scores: `"higher"`, `"lower"`, or empty for the guess of each run.

    Raises:
        BadInputError: none of the three.

    """
    if value not in {"", Direction.HIGHER, Direction.LOWER}:
        raise BadInputError(
            f"Style scores count higher (more is better) or lower (a penalty); this says {value[:40]!r}.",
            where="field scores",
        )
    return Direction(value) if value else None


def find_direction(session: Session, source_ids: Iterable[int]) -> str | None:
    """What was said of the style scores of some sources: empty for nothing, None where they hold no runs."""
    ids = list(source_ids)
    has_runs = exists().where(col(CandidateRow.source_id) == col(SourceRow.id), col(CandidateRow.n_attempts) > 0)
    wanted = select(col(SourceRow.score_direction)).where(col(SourceRow.id).in_(ids), has_runs).limit(1)
    found = session.execute(wanted).first()
    return None if found is None else found[0] or ""


def set_direction(session: Session, source_ids: Iterable[int], direction: Direction | None) -> None:
    """Say which way the style scores of these sources count; None leaves it to the guess of each run.

    What hangs on it is checked and drawn anew by the next preparation.
    """
    ids = list(source_ids)
    said = None if direction is None else direction.value
    session.execute(update(SourceRow).where(col(SourceRow.id).in_(ids)).values(score_direction=said))
    own = select(col(CandidateRow.id)).where(col(CandidateRow.source_id).in_(ids))
    leads = select(col(PartRow.lead_id)).where(col(PartRow.candidate_id).in_(own))
    told = (col(CandidateRow.id).in_(own) & (col(CandidateRow.n_attempts) > 0)) | col(CandidateRow.id).in_(leads)
    session.execute(update(CandidateRow).where(told).values(checks_version=0))


def ratings(session: Session, ids: Iterable[int]) -> dict[int, int]:
    """The rating that the logs give each of these candidates.

    Of one file the last word counts, for the agent's web form rewrites ratings in place; of several files the best.
    """
    numbers = list(ids)
    if not numbers:
        return {}
    of_these = (col(EntryRow.candidate_id).in_(numbers), col(EntryRow.format) == formats.SUCCESS)
    entry, source, repeat = col(EntryRow.id), col(SourceRow.id), RepeatRow
    own = select(entry, source, SourceRow.name, EntryRow.line).join(SourceRow, source == col(EntryRow.source_id))  # type: ignore[call-overload]
    again = (
        select(entry, source, SourceRow.name, repeat.line)  # type: ignore[call-overload]
        .join(repeat, col(repeat.entry_id) == entry)
        .join(SourceRow, source == col(repeat.source_id))
    )
    said = [one for wanted in (own, again) for one in session.execute(wanted.where(*of_these))]
    told = {
        number: (candidate_id, read_success(bytes(raw)).rating)
        for number, candidate_id, raw in session.execute(
            select(EntryRow.id, EntryRow.candidate_id, EntryRow.raw).where(*of_these)  # type: ignore[call-overload]
        )
    }
    found: dict[int, dict[str, int]] = {}
    for number, _, name, _ in sorted(said, key=lambda one: (one[1], one[3])):
        candidate_id, rating = told[number]
        if rating is not None:
            found.setdefault(candidate_id, {})[name] = rating
    return {number: max(by_file.values()) for number, by_file in found.items()}


def put_together(
    units: Mapping[int, Unit], lead: int, parts: Sequence[int], *, at: datetime | None, unsure: Container[int] = ()
) -> Candidate:
    """The story that a lead and its parts tell, in their order; `unsure` are those that little speaks for."""
    own = replace(units[lead].said, logged_at=at)
    if not parts:
        return own
    named = [(units[number].said, units[number].name + (LOW if number in unsure else "")) for number in parts]
    return assembly.assemble(own, named)


def _told(row: CandidateRow, units: Mapping[int, Unit], joined: Sequence[PartRow]) -> Told:
    lead = units[row.id or 0]
    unsure = {part.candidate_id for part in joined if part.code == "same_moment"}
    ids = [part.candidate_id for part in joined]
    said = put_together(units, row.id or 0, ids, at=row.logged_at, unsure=unsure)
    parts = [_part(units[part.candidate_id], part) for part in joined]
    return Told(replace(said, rating=row.rating), lead.entry, lead.source_name, tuple(parts))


def _part(unit: Unit, row: PartRow) -> Part:
    name, line, source_id = unit.place
    place = f"line {line}" if line > 1 or unit.entry.format == formats.SUCCESS else ""
    form = in_words(unit.said)
    return Part(row.candidate_id, unit.entry, source_id, name, place, form, row.reason, row.confidence)


def find_lead(session: Session, row: CandidateRow) -> int | None:
    """The candidate that this one was joined with and is shown under, or None where it stands for itself."""
    found: int | None = session.execute(select(PartRow.lead_id).where(col(PartRow.candidate_id) == row.id)).scalar()  # type: ignore[call-overload]
    return found


def _parts(session: Session, lead_id: int) -> list[PartRow]:
    """The parts of a lead, in an order that does not hang on when each came: as joining left them."""
    wanted = (
        select(PartRow)
        .join(CandidateRow, col(CandidateRow.id) == col(PartRow.candidate_id))
        .where(col(PartRow.lead_id) == lead_id)
        .order_by(col(PartRow.place), col(CandidateRow.digest))
    )
    return list(session.execute(wanted).scalars())


class _Entry(NamedTuple):
    """An entry with what its source says of scores, everywhere that its bytes stand, and the files beside it."""

    row: EntryRow
    direction: str | None
    places: set[Place]
    files: dict[str, bytes]


def _add_repeats(session: Session, told: Sequence[_Entry]) -> None:
    by_id = {one.row.id: one for one in told}
    wanted = (
        select(RepeatRow.entry_id, SourceRow.name, RepeatRow.line, SourceRow.id)  # type: ignore[call-overload]
        .join(SourceRow, col(SourceRow.id) == col(RepeatRow.source_id))
        .where(col(RepeatRow.entry_id).in_(list(by_id)))
    )
    for number, *place in session.execute(wanted):
        by_id[number].places.add(Place(*place))


def _add_files(session: Session, told: Sequence[_Entry]) -> None:
    by_id = {one.row.id: one for one in told}
    if by_id:
        wanted = select(AttachmentRow).where(col(AttachmentRow.entry_id).in_(list(by_id)))
        for one in session.execute(wanted).scalars():
            by_id[one.entry_id].files[one.path] = bytes(one.raw)


def _unit(told: Sequence[_Entry]) -> Unit:
    # Of entries that say the same, the fullest is told, whichever came first: a run may have lost its tracebacks. Of
    # success entries, which differ in time and rating alone, a page shows the first and knows the others' place.
    is_success = told[0].row.format == formats.SUCCESS
    ordered = sorted(told, key=lambda one: (0 if is_success else -len(one.row.raw), bytes(one.row.digest)))
    said, place = _read(ordered)
    direction = ordered[0].direction
    if direction is not None and said.run is not None:
        run = replace(said.run, direction=Direction(direction), direction_why="A person set it for this source.")
        said = replace(said, run=run)
    shown = told[0] if is_success else ordered[0]
    own = next(one.name for one in shown.places if one.source_id == shown.row.source_id)
    return Unit(said, shown.row, own, place)


def _read(told: Sequence[_Entry]) -> tuple[Candidate, Place]:
    """What entries say, and where it is told from: of several files with the same bytes, one that tells the time."""
    row, _, places, files = told[0]
    names = sorted({one.name for one in places})
    if row.format == formats.SUCCESS:
        names = names[:1]  # There a file's name says nothing.
    others = [(bytes(one.row.raw), Given()) for one in told[1:]]
    read = [
        (formats.read_entries(row.format, [(bytes(row.raw), Given(name, files)), *others], row.slice), name)
        for name in names
    ]
    said, name = min(read, key=lambda one: (one[0].logged_at is None, one[1]))
    return said, min(one for one in places if one.name == name)
