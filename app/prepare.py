"""What the worker makes of new candidates ahead of the reviewer: findings, rendered diffs and fingerprints.

All are pure functions of the entry, so whoever needs them sooner makes them on the spot (docs/decisions/0012).
"""

import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlmodel import Session, col

from app import checks, evidence, groups, ordering, search
from app.candidates import Candidate, Finding, Severity
from app.db import Database, insert_rows, lock_ingest
from app.models import CandidateRow, FindingRow, RenderingRow, Status
from app.nearness.fingerprint import Shingles, fingerprint

View = Literal["unified", "split", "script"]
_BATCH = 50
_BATCH_CHARACTERS = 2_000_000


@dataclass(frozen=True, slots=True)
class _Made:
    candidate_id: int
    said: Candidate
    findings: tuple[Finding, ...]
    pages: dict[str, str]
    shingles: Shingles

    @property
    def n_characters(self) -> int:
        return sum(map(len, self.pages.values()))


def render(
    candidate_id: int,
    candidate: Candidate,
    view: View,
    findings: Iterable[Finding] = (),
    told: Collection[int] = (),
) -> list[str]:
    """The HTML of one view of a candidate, `unified` or `split` diff or the `script`, in pieces; the page needs one.

    The others are asked for below the candidate's address, as they are scrolled to (`app.diffs.paging`). Each line of
    the diff that a finding names, or that is `told` of, has an anchor: `d41`.
    """
    from app import drawing  # noqa: PLC0415  (what only who draws needs at start)

    if view == "script":
        return [str(drawing.script(candidate.script))] if candidate.script else [""]
    lines = {*checks.lines_of(findings), *told}
    return drawing.candidate_views(candidate, [view], address_of(candidate_id), lines).get(view, [""])


def address_of(candidate_id: int) -> str:
    """Where a candidate's page is; pieces of its diff, and more context, are asked for below it."""
    return f"/candidates/{candidate_id}"


def place_of(view: str, piece: int) -> str:
    """The name under which a piece is stored: `unified` for the first, `unified/3` for the fourth."""
    return f"{view}/{piece}" if piece else view


def renderer_version() -> int:
    """The version that a stored rendering must have to be shown: it has anchors where these checks find something."""
    from app.diffs.render import RENDER_VERSION  # noqa: PLC0415

    return RENDER_VERSION * 1_000 + checks.CHECKS_VERSION


def run(
    db: Database,
    *,
    source_id: int | None = None,
    decided: bool = False,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Check and render every candidate that has not been yet, oldest first, in short transactions.

    Args:
        db: the database.
        source_id: only this source's candidates.
        decided: only those that anyone ever decided on.
        limit: stop after the batch in which this many are reached.
        progress: called after each batch with (done, total).

    Returns:
        How many were prepared.

    """
    wanted = _is_unchecked()
    if source_id is not None:
        wanted = (*wanted, col(CandidateRow.source_id) == source_id)
    if decided:
        wanted = (*wanted, col(CandidateRow.version) > 1)
    done, last, total = 0, 0, _count(db, wanted)
    while (limit is None or done < limit) and (ids := _unchecked(db, wanted, last)):
        last = ids[-1]
        for made in _batches(db, ids):
            with db.write() as session:
                _store(session, _still_true(session, made))
        done += len(ids)
        if progress is not None:
            progress(done, max(total, done))
    return done


def _batches(db: Database, ids: Sequence[int]) -> Iterator[list[_Made]]:
    """What was made of each candidate, few enough at a time that one transaction stays short."""
    batch: list[_Made] = []
    for candidate_id in ids:
        with db.read() as session:
            said = evidence.read_whole(session, candidate_id)
        batch.append(_make(candidate_id, said))
        if sum(one.n_characters for one in batch) > _BATCH_CHARACTERS:
            yield batch
            batch = []
    if batch:
        yield batch


def forget_old_checks(db: Database) -> None:
    """Mark candidates that an older version of the checks has seen, so that `run` sees them again."""
    with db.write() as session:
        session.execute(
            update(CandidateRow)
            .where(col(CandidateRow.checks_version).not_in([0, checks.CHECKS_VERSION]))
            .values(checks_version=0)
        )


def count_waiting(db: Database, *, most: int) -> int:
    """How many candidates have not been checked yet, counted up to `most`."""
    with db.read() as session:
        some = select(col(CandidateRow.id)).where(*_is_unchecked()).limit(most).subquery()
        n: int = session.execute(select(func.count()).select_from(some)).scalar_one()
    return n


def _count(db: Database, wanted: Iterable[ColumnElement[bool]]) -> int:
    with db.read() as session:
        n: int = session.execute(select(func.count()).select_from(CandidateRow).where(*wanted)).scalar_one()
    return n


def _is_unchecked() -> tuple[ColumnElement[bool], ...]:
    # What is a part of another candidate is checked and shown there.
    return (col(CandidateRow.checks_version) == 0, col(CandidateRow.status) != Status.JOINED)


def _unchecked(db: Database, wanted: Iterable[ColumnElement[bool]], after: int) -> Sequence[int]:
    number = col(CandidateRow.id)
    with db.read() as session:
        return (
            session.execute(select(number).where(*wanted, number > after).order_by(number).limit(_BATCH))
            .scalars()
            .all()
        )


def _make(candidate_id: int, candidate: Candidate) -> _Made:
    findings = checks.run(candidate)
    pages = _pages(candidate_id, candidate, findings)
    return _Made(candidate_id, candidate, findings, pages, fingerprint(candidate))


def _pages(candidate_id: int, candidate: Candidate, findings: Iterable[Finding]) -> dict[str, str]:
    from app import drawing  # noqa: PLC0415

    views = drawing.candidate_views(
        candidate, ("unified", "split"), address_of(candidate_id), checks.lines_of(findings)
    )
    pages = {place_of(view, n): piece for view, pieces in views.items() for n, piece in enumerate(pieces)}
    return pages | {"script": str(drawing.script(candidate.script))} if candidate.script else pages


def _still_true(session: Session, made: list[_Made]) -> list[_Made]:
    """Leave out what became a part meanwhile, or got one: it waits for the next run."""
    # Who joins or reads in stands in this line too, so nothing changes until this transaction ends.
    lock_ingest(session)
    ids = [one.candidate_id for one in made]
    rows = session.execute(select(CandidateRow).where(col(CandidateRow.id).in_(ids), *_is_unchecked())).scalars()
    found = {row.id: row for row in rows}
    return [one for one in made if (row := found.get(one.candidate_id)) and _is_told(session, row, one.said)]


def _is_told(session: Session, row: CandidateRow, said: Candidate) -> bool:
    # Joining leaves its mark where it has changed anything.
    return row.texts_digest is None or evidence.read_candidate(session, row).said == said


def _store(session: Session, made: list[_Made]) -> None:
    ids = [one.candidate_id for one in made]
    for table in (FindingRow, RenderingRow):
        session.execute(delete(table).where(col(table.candidate_id).in_(ids)))
    insert_rows(
        session,
        "finding",
        ("candidate_id", "code", "severity", "place", "message"),
        [
            (one.candidate_id, found.code, found.severity, found.place, found.message)
            for one in made
            for found in one.findings
        ],
    )
    version = renderer_version()
    insert_rows(
        session,
        "rendering",
        ("candidate_id", "view", "version", "html"),
        [
            (one.candidate_id, view, version, zlib.compress(html.encode(errors="replace")))
            for one in made
            for view, html in one.pages.items()
            if html
        ],
    )
    groups.note(session, [(one.candidate_id, one.shingles) for one in made])
    search.index_more(session, [(one.candidate_id, one.said) for one in made])
    ordering.keep(session, [(one.candidate_id, one.said, one.findings) for one in made])
    for one in made:
        # A list shows what calls for a look; what is only worth knowing stands on the page.
        codes = " ".join(dict.fromkeys(found.code for found in one.findings if found.severity is not Severity.NOTE))
        session.execute(
            update(CandidateRow)
            .where(col(CandidateRow.id) == one.candidate_id)
            .values(findings=codes, checks_version=checks.CHECKS_VERSION)
        )
