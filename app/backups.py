"""Backups: a whole installation as a folder that can be verified, put back, or served as it is.

A backup of PostgreSQL is the same folder as one of SQLite: `patchsift.db` with every row as it stood at one moment,
the frozen releases, the lines that were too long for the database, `BACKUP.json`, `SHA256SUMS`. So a restore may go to
either database, and moving from one to the other is both at once.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, exists, func, select, update
from sqlmodel import Session, col

from app import __version__, audit, decisions, evidence, migrations, search
from app.candidates import Candidate
from app.db import Database, sqlite_module
from app.errors import BadInputError, ConflictError, NotStoredError
from app.formats.reading import changed_lines, shown
from app.models import (
    AuditRow,
    CandidateRow,
    DecisionRow,
    LoginRow,
    ProjectRow,
    ReleaseRow,
    ReleaseState,
    Status,
    TicketRow,
    metadata,
)  # fmt: skip
from app.settings import Settings

Progress = Callable[[str, int, int], None]

_DATABASE, _FACTS, _SUMS = "patchsift.db", "BACKUP.json", "SHA256SUMS"
_KEPT = ("releases", "overlong")
_CHUNK_ROWS = 200
_CHUNK_BYTES = 1 << 20
_PAGES = 16
_CUT = "{what} that the backup of {at} holds is not there any more: rows were cut off, or all of them made anew."


@dataclass(frozen=True, slots=True)
class Facts:
    """What a backup holds: `BACKUP.json`.

    Attributes:
        made_at: the moment it shows, as ISO 8601 text in UTC.
        version: of the program that made it.
        schema: of the database.
        rows: table → rows.
        chains: project → the digest of its last decision, in hexadecimal, or "" where nobody decided yet.
        audit: the digest of the last row of the audit log, or "" where there was none.
    """

    made_at: str
    version: str
    schema: str
    rows: dict[str, int]
    chains: dict[str, str]
    audit: str = ""


def back_up(
    db: Database, settings: Settings, target: Path, *, now: datetime, progress: Progress | None = None
) -> Facts:
    """Write a backup while people work; nobody waits for it.

    Args:
        db: what is backed up.
        settings: where its releases lie.
        target: a folder that is not there yet; it appears when the backup is whole and verified.
        now: the instant.
        progress: called with (what, done, total).

    Raises:
        ConflictError: the folder is there already.
        BadInputError: what was written does not verify; nothing is left of it.
        NotStoredError: the disk is full or read-only; nothing is left of it.

    """
    if target.exists():
        raise ConflictError(f"{target} is there already. Name a folder that is not; a backup is never written over.")
    with _room_in(target):
        return _back_up(db, settings, target, now, progress)


@contextmanager
def _room_in(folder: Path) -> Iterator[None]:
    """Say where there is no room to write, in a sentence."""
    try:
        yield
    except (OSError, sqlite_module().OperationalError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise NotStoredError(f"{folder} was not written, and nothing of it is left: {why}. Is there room?") from error


def _back_up(db: Database, settings: Settings, target: Path, now: datetime, progress: Progress | None) -> Facts:
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".tmp-{target.name}-{secrets.token_hex(4)}")
    half.mkdir(mode=0o700)
    try:
        _copy_database(db, half / _DATABASE, progress)
        copy = _opened(half)
        try:
            with copy.read() as session:
                facts = _facts(session, now)
                folders = _folders(session)
        finally:
            copy.close()
        _sweep(half)
        _copy_files(settings.data_dir, half, folders)
        (half / _FACTS).write_text(json.dumps(asdict(facts), indent=1, sort_keys=True) + "\n", encoding="utf-8")
        _write_sums(half)
        verify(half)
        _sync(half)
        half.rename(target)
        _sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return facts


def verify(folder: Path) -> Facts:
    """Whether a backup is whole: every file by its digest, the database's own check, every chain of decisions.

    Raises:
        BadInputError: it is not; the sentence names what is wrong.

    """
    facts = read_facts(folder)
    _check_sums(folder)
    connection = sqlite_module().connect(f"file:{folder / _DATABASE}?mode=ro&immutable=1", uri=True)
    try:
        told = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    finally:
        connection.close()
    if told != "ok":
        raise BadInputError(f"The database of the backup is damaged: {told}.", where=str(folder / _DATABASE))
    # On a copy: to open a database makes files beside it, and a backup stays as it is.
    place = folder.with_name(f".tmp-verify-{secrets.token_hex(4)}")
    place.mkdir(mode=0o700)
    try:
        shutil.copyfile(folder / _DATABASE, place / _DATABASE)
        db = _opened(place)
        try:
            with db.scan() as session:
                _check_chains(session, facts.chains, str(folder))
        finally:
            db.close()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return facts


def restore(folder: Path, db: Database, settings: Settings, *, progress: Progress | None = None) -> Facts:
    """Put a backup back, into an installation that holds nothing yet; the database may be of the other kind.

    Nobody is logged in afterwards, and no link to choose a password works: who was to be kept out since, is out.

    Raises:
        BadInputError: the backup is not whole.
        ConflictError: the database holds something already, or the backup was made by a newer program.

    """
    facts = verify(folder)
    if facts.schema > migrations.HEAD:
        raise ConflictError(
            f"The backup is at schema {facts.schema}, newer than this program's {migrations.HEAD}. Install Patchsift "
            f"{facts.version} or newer first."
        )
    place = settings.data_dir / f".tmp-restore-{secrets.token_hex(4)}"
    place.mkdir(parents=True, mode=0o700)
    try:
        shutil.copyfile(folder / _DATABASE, place / _DATABASE)
        source = _opened(place)
        try:
            migrations.upgrade(source)
            copy_rows(source, db, progress)
        finally:
            source.close()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    for name in _KEPT:
        if (folder / name).exists():
            shutil.copytree(folder / name, settings.data_dir / name, dirs_exist_ok=True)
    with db.scan() as session:
        _check_chains(session, facts.chains, str(folder))
    with db.write() as session:
        # Without a clock: a login ended when it was last seen, a link with the day on which it was made.
        session.execute(update(LoginRow).where(col(LoginRow.ended_at).is_(None)).values(ended_at=col(LoginRow.seen_at)))
        session.execute(update(TicketRow).values(ends_at=col(TicketRow.made_at)))
    return facts


def check_since(session: Session, facts: Facts, where: str) -> None:
    """Whether every chain goes on from where a backup ends: what was cut off its end leaves no other trace.

    Raises:
        BadInputError: one does not; the sentence names it.

    """
    for name, digest in facts.chains.items():
        # Wherever it stands: the project may have another name by now.
        held = exists().where(col(DecisionRow.digest) == bytes.fromhex(digest))
        if digest and not session.execute(select(held)).scalar():
            raise BadInputError(_CUT.format(what=f"the last decision of project {name}", at=facts.made_at), where=where)
    row = exists().where(col(AuditRow.digest) == bytes.fromhex(facts.audit))
    if facts.audit and not session.execute(select(row)).scalar():
        raise BadInputError(_CUT.format(what="the last row of the audit log", at=facts.made_at), where=where)


def copy_rows(source: Database, target: Database, progress: Progress | None = None) -> dict[str, int]:
    """Copy every row from one database to another that holds none, in one transaction: all of it, or nothing.

    Returns:
        Table → rows.

    Raises:
        ConflictError: the target holds logs or decisions already.

    """
    migrations.upgrade(target)
    copied: dict[str, int] = {}
    with source.scan() as reading, target.write() as writing:
        refuse_filled(writing, target)
        for table in reversed(metadata.sorted_tables):
            writing.execute(table.delete())
        for table in metadata.sorted_tables:
            total = _count(reading, table)
            copied[table.name] = 0
            for rows in _chunks(reading, table):
                writing.execute(table.insert(), rows)
                copied[table.name] += len(rows)
                if progress is not None:
                    progress(table.name, copied[table.name], total)
        if not target.is_sqlite:
            _set_sequences(writing)
        _index_words(writing)
    return copied


def _index_words(session: Session) -> None:
    """Fill the word index anew: each database has one of its own kind, which cannot be copied."""
    last = 0
    while True:
        after = select(CandidateRow).where(col(CandidateRow.id) > last).order_by(col(CandidateRow.id))
        rows = session.execute(after.limit(_CHUNK_ROWS)).scalars().all()
        if not rows:
            return
        last = rows[-1].id or 0
        units = evidence.read_units(session, [row.id or 0 for row in rows])
        search.index_words(session, [(number, *_texts(unit.said)) for number, unit in units.items()])
        checked = [row for row in rows if row.checks_version and row.status != Status.JOINED]
        search.index_more(session, [(row.id or 0, evidence.read_candidate(session, row).said) for row in checked])
        session.expunge_all()


def _texts(said: Candidate) -> tuple[str, str, str]:
    return shown(said.issue), shown("\n".join(said.target_files)), shown(changed_lines(said.diff or "")[0])


def move(source: Database, target: Database, progress: Progress | None = None) -> dict[str, int]:
    """Copy every row to another database, as `copy_rows`, and hold the chains of decisions against each other.

    Raises:
        ConflictError: the target holds logs or decisions already.
        BadInputError: a chain does not hold; nothing is used of the target then.

    """
    copied = copy_rows(source, target, progress)
    with source.scan() as session:
        chains = _chains(session)
    with target.scan() as session:
        _check_chains(session, chains, target.url.render_as_string(hide_password=True))
    return copied


def refuse_filled(session: Session, db: Database) -> None:
    """Refuse to write over what somebody has.

    Raises:
        ConflictError: there are sources, decisions, releases or accounts.

    """
    held = (("source", "logs"), ("decision", "decisions"), ("release", "releases"), ("audit", "an audit log"))
    for name, what in held:
        if _count(session, metadata.tables[name]):
            where = db.url.render_as_string(hide_password=True)
            raise ConflictError(f"{where} holds {what} already. A restore goes only to where nothing is yet.")


# ------------------------------------------------------------------------------------------------ the database


def _copy_database(db: Database, target: Path, progress: Progress | None) -> None:
    if not db.is_sqlite:
        copy = _opened(target.parent)
        try:
            copy_rows(db, copy, progress)
        finally:
            copy.close()
        return
    module = sqlite_module()
    source, copy_of = module.connect(db.path, isolation_level=None), module.connect(target)
    # One snapshot from the first page to the last: else the copy begins anew whenever somebody decides meanwhile.
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_schema").fetchone()

    def tell(_: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress("pages", total - remaining, total)

    try:
        source.backup(copy_of, pages=_PAGES, progress=tell)
        copy_of.execute("PRAGMA journal_mode=DELETE")
    finally:
        copy_of.close()
        source.close()


def _opened(folder: Path) -> Database:
    return Database(Settings(data_dir=folder, database_url=""))


def _sweep(folder: Path) -> None:
    """One file is left of a database that was closed."""
    module = sqlite_module()
    connection = module.connect(folder / _DATABASE)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    for path in folder.glob(f"{_DATABASE}?*"):
        path.unlink()


def _chunks(session: Session, table: Table) -> Iterator[list[dict[str, Any]]]:
    wanted = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_CHUNK_ROWS)
    for part in session.connection().execute(wanted).mappings().partitions(_CHUNK_ROWS):
        yield [dict(row) for row in part]


def _count(session: Session, table: Table) -> int:
    n: int = session.execute(select(func.count()).select_from(table)).scalar_one()
    return n


def _set_sequences(session: Session) -> None:
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        name = session.execute(select(func.pg_get_serial_sequence(table.name, column.name))).scalar()
        if name is not None:
            largest = session.execute(select(func.max(column))).scalar() or 0
            session.execute(select(func.setval(name, max(largest, 1), largest > 0)))


# ------------------------------------------------------------------------------------------------ facts and files


def read_facts(folder: Path) -> Facts:
    """`BACKUP.json` of a backup.

    Raises:
        BadInputError: there is none, or it is none of ours.

    """
    path = folder / _FACTS
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        facts = Facts(**said)
    except (OSError, ValueError, TypeError) as error:
        raise BadInputError(
            f"{folder} is no backup: {_FACTS} is not there or cannot be read.", where=str(path)
        ) from error
    return facts


def _facts(session: Session, now: datetime) -> Facts:
    rows = {table.name: _count(session, table) for table in metadata.sorted_tables}
    last = session.execute(select(col(AuditRow.digest)).order_by(col(AuditRow.id).desc()).limit(1)).scalar()
    end = "" if last is None else bytes(last).hex()
    return Facts(now.isoformat(), __version__, migrations.HEAD, rows, _chains(session), end)


def _chains(session: Session) -> dict[str, str]:
    chains = {}
    for project in session.execute(select(ProjectRow).order_by(col(ProjectRow.id))).scalars():
        last = session.execute(
            select(col(DecisionRow.digest))
            .where(col(DecisionRow.project_id) == project.id)
            .order_by(col(DecisionRow.id).desc())
            .limit(1)
        ).scalar()
        chains[project.name] = "" if last is None else bytes(last).hex()
    return chains


def _check_chains(session: Session, chains: dict[str, str], where: str) -> None:
    if _chains(session) != chains:
        raise BadInputError("The decisions do not end where the backup says.", where=where)
    for project in session.execute(select(ProjectRow)).scalars():
        broken = decisions.verify_chain(session, project.id or 0)
        if broken is not None:
            raise BadInputError(
                f"Decision {broken} of project {project.name} or the one before it was changed: its digest does not "
                "fit.",
                where=where,
            )
    broken = audit.verify(session)
    if broken is not None:
        raise BadInputError(
            f"Row {broken} of the audit log or the one before it was changed: its digest does not fit.", where=where
        )


def _folders(session: Session) -> list[Path]:
    """Where the files lie that the database speaks of, below the data folder."""
    there = (ReleaseState.FROZEN, ReleaseState.WITHDRAWN)
    rows = session.execute(
        select(col(ReleaseRow.project_id), col(ReleaseRow.number)).where(col(ReleaseRow.state).in_(there))
    )
    return [Path("releases", str(project), str(number)) for project, number in rows] + [Path("overlong")]


def _copy_files(data: Path, target: Path, folders: list[Path]) -> None:
    for folder in folders:
        if (data / folder).is_dir():
            shutil.copytree(data / folder, target / folder)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / _SUMS)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_sums(folder: Path) -> None:
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    (folder / _SUMS).write_text("".join(lines), encoding="utf-8")


def _check_sums(folder: Path) -> None:
    try:
        lines = (folder / _SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"The backup has no readable {_SUMS}.", where=str(folder)) from error
    said = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    if gone := sorted(set(said) - set(found)):
        raise BadInputError(f"The backup lacks {gone[0]}.", where=str(folder / gone[0]))
    if more := sorted(set(found) - set(said)):
        raise BadInputError(f"The backup holds {more[0]}, which {_SUMS} does not name.", where=str(folder / more[0]))
    for name, path in found.items():
        if _digest(path) != said[name]:
            raise BadInputError(f"{name} of the backup was changed: its digest does not fit.", where=str(path))


def _sync(folder: Path) -> None:
    for path in (*_files(folder), folder / _SUMS):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for path in (*(one for one in folder.rglob("*") if one.is_dir()), folder):
        _sync_folder(path)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
