"""The small copy of real evidence, piece by piece, and everything that became of it in one text to compare."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

from sqlalchemy import select
from sqlmodel import Session, col

from app import evidence, ingest, intake, joining, prepare, review
from app.candidates import Candidate, Kind
from app.db import Database
from app.ingest import Upload
from app.models import CandidateRow, EntryRow, PartRow, Status
from app.settings import Settings
from tests.conftest import noon

EVIDENCE = Path(__file__).parent / "data" / "evidence"
Piece = tuple[str, bytes, dict[str, bytes]]
"""A file as it comes in: its name, its bytes, and the files that belong to it."""


@cache
def real_pieces() -> tuple[Piece, ...]:
    """Everything below `tests/data/evidence`, each success line a file of its own, as if the agent still ran."""
    found: list[Piece] = []
    for one in intake.walk(EVIDENCE).found:
        raw = one.path.read_bytes()
        if one.path.name == "success_memory.jsonl":
            found += [(one.name, line, {}) for line in raw.splitlines(keepends=True)]
        elif one.name != "truth.jsonl":
            found.append((one.name, raw, {name: path.read_bytes() for name, path in one.files.items()}))
    return tuple(found)


def success_line(project: str, number: int) -> Piece:
    """The line of a project's success log, counted from 1."""
    return [piece for piece in real_pieces() if piece[0].endswith(f"{project}/.agent_data/success_memory.jsonl")][
        number - 1
    ]


def piece(ending: str) -> Piece:
    """The one piece whose name ends so."""
    [found] = [one for one in real_pieces() if one[0].endswith(ending)]
    return found


def other_log(one: Piece, name: str, **changed: object) -> Piece:
    """The same success line in another log, some of its fields changed."""
    return name, json.dumps(json.loads(one[1]) | changed).encode() + b"\n", {}


class Desk:
    """An installation that evidence comes to."""

    def __init__(self, db: Database, settings: Settings, project_id: int, folder: Path) -> None:
        self.db, self.settings, self.project_id, self.folder = db, settings, project_id, folder
        self.n = 0

    def take(self, *pieces: Piece, join: bool = True) -> None:
        """Read these files, one after the other, and then join what came in."""
        for one in pieces:
            ingest.read_file(self.db, self.settings, self.project_id, self._upload(one), now=noon)
        if join:
            joining.run(self.db, self.project_id)

    def _upload(self, one: Piece) -> Upload:
        self.n += 1
        name, raw, files = one
        folder = self.folder / f"piece-{self.n}"
        for path, content in {"the file": raw, **files}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return Upload(folder / "the file", name, files={path: folder / path for path in files})

    def tell(self) -> list[str]:
        """Every candidate with all that is known of it, sorted by content; ids, versions and clocks left out."""
        prepare.run(self.db)
        with self.db.read() as session:
            rows = self._rows(session)
            digest = {row.id or 0: bytes(row.digest).hex() for row in rows}
            return sorted(_tell(session, row, digest) for row in rows)

    def rows(self) -> list[CandidateRow]:
        """The candidates that stand for themselves, in the order in which they came."""
        with self.db.read() as session:
            return [row for row in self._rows(session) if row.status != Status.JOINED]

    def only(self) -> CandidateRow:
        """The one patch that stands for itself."""
        [row] = [row for row in self.rows() if row.kind == Kind.PATCH]
        return row

    def _rows(self, session: Session) -> list[CandidateRow]:
        wanted = select(CandidateRow).where(col(CandidateRow.project_id) == self.project_id)
        return list(session.execute(wanted.order_by(col(CandidateRow.id))).scalars())

    def said(self, row: CandidateRow) -> Candidate:
        with self.db.read() as session:
            return evidence.read_candidate(session, session.get_one(CandidateRow, row.id)).said

    def parts(self, row: CandidateRow) -> list[evidence.Part]:
        with self.db.read() as session:
            return list(evidence.read_candidate(session, session.get_one(CandidateRow, row.id)).parts)

    def clusters(self) -> set[frozenset[str]]:
        """Which entries are one patch: the names of their files, a success line's with its time."""
        with self.db.read() as session:
            ids = [row.id or 0 for row in self._rows(session) if row.kind == Kind.PATCH]
            lead = {one.candidate_id: one.lead_id for one in session.execute(select(PartRow)).scalars()}
            units = evidence.read_units(session, ids)
        found: dict[int, set[str]] = {}
        for number in ids:
            found.setdefault(lead.get(number, number), set()).add(_named(units[number]))
        return set(map(frozenset, found.values()))


def _named(unit: evidence.Unit) -> str:
    if unit.entry.format != "success_memory":
        return unit.source_name
    return f"{unit.source_name} {json.loads(unit.entry.raw)['timestamp_utc']}"


def _tell(session: Session, row: CandidateRow, digest: dict[int, str]) -> str:
    number = row.id or 0
    raws = select(EntryRow.digest).where(col(EntryRow.candidate_id) == number)  # type: ignore[call-overload]
    own = {
        "content": digest[number],
        "status": row.status,
        "entries": sorted(bytes(one).hex() for one in session.execute(raws).scalars()),
    }
    if row.status == Status.JOINED:
        return json.dumps(own)
    told = evidence.read_candidate(session, row)
    named = ("kind", "title", "target", "generation", "patch_source", "rating", "n_added", "n_removed", "has_script")
    parts = session.execute(select(PartRow).where(col(PartRow.lead_id) == number).order_by(col(PartRow.place)))
    return json.dumps(
        own
        | {name: getattr(row, name) for name in (*named, "n_attempts", "n_parts", "findings")}
        | {
            "group": bytes(row.group_digest).hex(),
            "logged": str(row.logged_at),
            "parts": [
                (digest[one.candidate_id], digest[one.to_id], one.place, one.code, one.confidence, one.reason)
                for one in parts.scalars()
            ],
            "names": [f"{one.name} {one.place} {one.form}" for one in told.parts],
            "said": repr(replace(told.said, extra=dict(sorted(told.said.extra.items())))),
            "found": [repr(one) for one in review.list_findings(session, row, told.said)],
        }
    )
