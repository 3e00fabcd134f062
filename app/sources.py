"""Where bytes came from and what became of them: reports, repeated lines, quarantine."""

import hashlib
from dataclasses import asdict, dataclass

from sqlalchemy import func, select
from sqlmodel import Session, col

from app.db import Database, is_id
from app.errors import AppError, NotFoundError
from app.models import AttachmentRow, CandidateRow, EntryRow, QuarantineRow, RepeatRow, SourceRow, Status


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a source's lines: entries = new + repeated + quarantined; blank lines are counted apart.

    `format` is that of the first line that was read, or empty where none was.

    `Report(1, "log.jsonl", 120, 118, 1, 0, 1, 0, 118, 3, "done", None)`
    """

    source: int
    name: str
    entries: int
    new: int
    repeated: int
    updated: int
    quarantined: int
    blank: int
    candidates: int
    flagged: int
    state: str
    message: str | None
    job: int | None = None
    format: str = ""

    def as_json(self) -> dict[str, object]:
        """The shape of the API's `report`."""
        return asdict(self)


def get_report(db: Database, source_id: int) -> Report:
    """What became of a source's lines, as it stands now.

    Raises:
        NotFoundError: no such source.

    """
    with db.read() as session:
        return report_of(session, get_source(session, source_id))


def get_source(session: Session, source_id: int) -> SourceRow:
    """The source.

    Raises:
        NotFoundError: no such source.

    """
    source = session.get(SourceRow, source_id) if is_id(source_id) else None
    if source is None:
        raise NotFoundError(f"There is no source {source_id}.")
    return source


def report_of(session: Session, source: SourceRow) -> Report:
    """The report of a source: its counts, and how many of its candidates carry a finding that holds them back."""
    own = (col(CandidateRow.source_id) == source.id, col(CandidateRow.status) != Status.JOINED)
    counts = (func.count(), func.count().filter(col(CandidateRow.findings) != ""))
    n_candidates, flagged = session.execute(select(*counts).select_from(CandidateRow).where(*own)).one()
    return _report(source, n_candidates, flagged)


def reports_of_delivery(session: Session, delivery_id: int) -> list[Report]:
    """The reports of the files that came in together, in the order in which they were read."""
    wanted = select(SourceRow).where(col(SourceRow.delivery_id) == delivery_id).order_by(col(SourceRow.id))
    found = list(session.execute(wanted).scalars())
    own = col(CandidateRow.source_id).in_(select(SourceRow.id).where(col(SourceRow.delivery_id) == delivery_id))  # type: ignore[call-overload]
    flagged = func.count().filter(col(CandidateRow.findings) != "")
    counts = {
        source_id: (n_candidates, n_flagged)
        for source_id, n_candidates, n_flagged in session.execute(
            select(CandidateRow.source_id, func.count(), flagged)  # type: ignore[call-overload]
            .where(own, col(CandidateRow.status) != Status.JOINED)
            .group_by(col(CandidateRow.source_id))
        )
    }
    return [_report(source, *counts.get(source.id, (0, 0))) for source in found]


def _report(source: SourceRow, n_candidates: int, flagged: int) -> Report:
    return Report(
        source=source.id or 0,
        name=source.name,
        entries=source.n_new + source.n_repeated + source.n_quarantined,
        new=source.n_new,
        repeated=source.n_repeated,
        updated=source.n_updated,
        quarantined=source.n_quarantined,
        blank=source.n_blank,
        candidates=n_candidates,
        flagged=flagged,
        state=source.state,
        message=source.message,
        format=source.format,
    )


def list_sources(session: Session, project_id: int, limit: int = 50) -> list[SourceRow]:
    """The newest sources first, but for those that came in together with others."""
    wanted = select(SourceRow).where(col(SourceRow.project_id) == project_id, col(SourceRow.delivery_id).is_(None))
    return list(session.execute(wanted.order_by(col(SourceRow.id).desc()).limit(limit)).scalars())


def list_repeats(session: Session, source_id: int, limit: int = 100) -> list[tuple[RepeatRow, int]]:
    """Repeated lines of a source, each with the candidate that it repeats."""
    found = session.execute(
        select(RepeatRow, EntryRow.candidate_id)  # type: ignore[call-overload]
        .join(EntryRow, col(EntryRow.id) == col(RepeatRow.entry_id))
        .where(col(RepeatRow.source_id) == source_id)
        .order_by(col(RepeatRow.line))
        .limit(limit)
    )
    return [(row, candidate_id) for row, candidate_id in found]


def list_quarantine(
    session: Session, project_id: int, *, source_id: int | None = None, after: int = 0, limit: int = 100
) -> list[tuple[QuarantineRow, str]]:
    """Lines that wait in quarantine, oldest first, each with its source's name; `after` is the last id seen."""
    wanted = (
        select(QuarantineRow, SourceRow.name)  # type: ignore[call-overload]
        .join(SourceRow, col(SourceRow.id) == col(QuarantineRow.source_id))
        .where(
            col(QuarantineRow.project_id) == project_id,
            col(QuarantineRow.resolved_at).is_(None),
            col(QuarantineRow.id) > after,
        )
        .order_by(col(QuarantineRow.id))
        .limit(limit)
    )
    if source_id is not None:
        wanted = wanted.where(col(QuarantineRow.source_id) == source_id)
    return [(row, name) for row, name in session.execute(wanted)]


def count_quarantine(session: Session, project_id: int) -> int:
    """How many lines wait in quarantine."""
    n: int = session.execute(
        select(func.count())
        .select_from(QuarantineRow)
        .where(col(QuarantineRow.project_id) == project_id, col(QuarantineRow.resolved_at).is_(None))
    ).scalar_one()
    return n


def get_quarantined(session: Session, project_id: int, quarantine_id: int) -> tuple[QuarantineRow, SourceRow]:
    """A quarantined line and its source.

    Raises:
        NotFoundError: no such line in this project.

    """
    row = session.get(QuarantineRow, quarantine_id) if is_id(quarantine_id) else None
    if row is None or row.project_id != project_id:
        raise NotFoundError(f"There is no quarantined line {quarantine_id}.")
    return row, session.get_one(SourceRow, row.source_id)


def verify_entries(session: Session, project_id: int) -> int:
    """Take the digest of every entry, and of every file that came with one, anew; gives how many entries there are.

    Raises:
        AppError: its bytes are not those that came in.

    """
    n = 0
    wanted = select(EntryRow.id, EntryRow.digest, EntryRow.raw).where(col(EntryRow.project_id) == project_id)  # type: ignore[call-overload]
    with session.execute(wanted.execution_options(yield_per=200)) as rows:
        for number, digest, raw in rows:
            if hashlib.sha256(raw).digest() != bytes(digest):
                raise AppError(f"Entry {number} was changed: its bytes do not fit its digest.")
            n += 1
    files = (
        select(EntryRow.id, AttachmentRow.path, AttachmentRow.digest, AttachmentRow.raw)  # type: ignore[call-overload]
        .join(EntryRow, col(EntryRow.id) == col(AttachmentRow.entry_id))
        .where(col(EntryRow.project_id) == project_id)
    )
    with session.execute(files.execution_options(yield_per=200)) as rows:
        for number, path, digest, raw in rows:
            if hashlib.sha256(raw).digest() != bytes(digest):
                raise AppError(f"The file {path} of entry {number} was changed: its bytes do not fit its digest.")
    return n
