"""Which candidates must stay in one split: those of one issue, and near-duplicates of each other (docs/decisions/0018).

Near-duplicates make clusters of candidates, and clusters tie issues together. Only what is tied stands in a table: an
issue that is not in `issue_group` is a group of its own, a candidate that is not in `cluster` has no near-duplicate.

What preparing notes (`note`) is taken in by `keep_up`; `rebuild` makes everything anew. Both say the same in whatever
order candidates came, for who is alike hangs on two fingerprints alone, and of a crowd on who is in it.
"""

import secrets
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from sqlalchemy import func, select
from sqlmodel import Session, col

from app import evidence, ordering
from app.db import LARGEST_ID, Database, driver_sign, insert_rows, lock_ingest
from app.errors import BadInputError, ConflictError
from app.models import (
    CandidateRow,
    ClusterRow,
    IssueGroupRow,
    NearnessRow,
    NewFingerprintRow,
    ShapeRow,
    Status,
)
from app.nearness import engine, fingerprint, lsh
from app.nearness.fingerprint import Shingles

KIND = "groups"
"""The kind of job that makes a project's groups anew."""

Progress = Callable[[int, int], None]
Finder = Callable[[Progress], engine.Engine]
_Name = TypeVar("_Name", int, bytes)
_Move = tuple[bytes, bytes, bytes]

_ASKED = 900
_ROUND = 5_000
_FIRST, _LEAST, _MOST = 50, 100, 2_000
_SECONDS = 0.05
_SLICE = 5_000
_READ = 200
# More than this, and than a twentieth of what is here, is sooner made anew than added: keys are then written in order.
_MANY, _RATIO = 5_000, 20

_FINGERPRINT_COLUMNS = ("candidate_id", "project_id", "shape_id", "issue")
_CLUSTER_COLUMNS = ("candidate_id", "project_id", "cluster_id", "issue")
_BAND_COLUMNS = ("project_id", "key", "shape_id")
_GROUP_COLUMNS = ("project_id", "issue", "group_key")


# ------------------------------------------------------------------------------------------------ asking


def find_group(session: Session, project_id: int, issue: bytes) -> bytes:
    """The group that an issue is in, named by its smallest issue: itself, where nothing ties it to another."""
    return find_groups(session, project_id, [issue]).get(issue, issue)


def find_groups(session: Session, project_id: int, issues: Iterable[bytes]) -> dict[bytes, bytes]:
    """The groups of those issues that near-duplicates tie to others; who is absent is a group of its own."""
    wanted = "SELECT issue, group_key FROM issue_group WHERE project_id = {sign} AND issue IN ({signs})"
    return {bytes(issue): bytes(key) for issue, key in _ask(session, wanted, issues, project_id)}


def find_clusters(session: Session, ids: Iterable[int]) -> dict[int, int]:
    """Candidate → the smallest candidate of its cluster, for those that have a near-duplicate."""
    wanted = "SELECT candidate_id, cluster_id FROM cluster WHERE candidate_id IN ({signs})"
    return {row[0]: row[1] for row in _ask(session, wanted, ids)}


def list_cluster(session: Session, candidate_id: int, limit: int = 50) -> list[int]:
    """The candidates of one's cluster by id, itself among them; empty where it has no near-duplicate."""
    own = select(col(ClusterRow.cluster_id)).where(col(ClusterRow.candidate_id) == candidate_id).scalar_subquery()
    wanted = select(col(ClusterRow.candidate_id)).where(col(ClusterRow.cluster_id) == own)
    return list(session.execute(wanted.order_by(col(ClusterRow.candidate_id)).limit(limit)).scalars())


def list_merged(session: Session, project_id: int) -> Iterator[tuple[bytes, bytes]]:
    """Each issue that is tied to others as (group, issue), by group, in order; read as a stream."""
    wanted = (
        select(IssueGroupRow.group_key, IssueGroupRow.issue)  # type: ignore[call-overload]
        .where(col(IssueGroupRow.project_id) == project_id)
        .order_by(col(IssueGroupRow.group_key), col(IssueGroupRow.issue))
        .execution_options(yield_per=1000)
    )
    for key, issue in session.execute(wanted):
        yield bytes(key), bytes(issue)


def count_waiting(session: Session, project_id: int) -> int:
    """How many candidates wait to be looked at, of those that were prepared."""
    wanted = select(func.count()).select_from(NewFingerprintRow).where(col(NewFingerprintRow.project_id) == project_id)
    n: int = session.execute(wanted).scalar_one()
    return n


def is_outdated(session: Session, project_id: int) -> bool:
    """Whether the groups must be made anew: they never were, by another version, or that was broken off."""
    return _version(session, project_id) not in {None, lsh.version()}


def list_outdated(session: Session) -> list[int]:
    """The projects whose groups must be made anew."""
    wanted = select(col(NearnessRow.project_id)).where(col(NearnessRow.version) != lsh.version())
    return list(session.execute(wanted.order_by(col(NearnessRow.project_id))).scalars())


@dataclass(frozen=True, slots=True)
class Counts:
    """What near-duplicates tie together in a project.

    Attributes:
        clusters: how many clusters there are.
        candidates: how many candidates are in them.
        groups: how many groups hold several issues.
        issues: how many issues are in those.
    """

    clusters: int
    candidates: int
    groups: int
    issues: int

    def in_words(self) -> str:
        """`"clusters of near-duplicates: 3, with 9 candidates; groups of several issues: 2, with 5 issues"`."""
        return (
            f"clusters of near-duplicates: {self.clusters:,}, with {self.candidates:,} candidates; "
            f"groups of several issues: {self.groups:,}, with {self.issues:,} issues"
        )


def as_json(counts: Counts) -> dict[str, int]:
    """The counts, for a terminal or the API."""
    return asdict(counts)


def count(session: Session, project_id: int) -> Counts:
    """How much is tied together; looks at all of it."""
    found: list[int] = []
    for name, column in ((col(ClusterRow.cluster_id), ClusterRow), (col(IssueGroupRow.group_key), IssueGroupRow)):
        wanted = select(func.count(name.distinct()), func.count()).where(col(column.project_id) == project_id)
        found += session.execute(wanted).one()
    return Counts(*found)


def make_finder(folder: Path, options: Mapping[str, object]) -> Finder:
    """What finds near-duplicates, by what a job was told.

    `{}` → in this process; `{"engine": "bulk", "executor": "slurm", "tasks": 64, "options": {"time": "2:00:00",
    "partition": "cpu"}}` → by datatrove.

    Raises:
        AppError: there is no such engine or executor, or datatrove is not installed.

    """
    name = options.get("engine") or "process"
    if name == "process":
        return engine.InProcess
    if name != "bulk":
        raise BadInputError(f"There is no engine {str(name)[:40]!r}. There are: process, bulk.", where="field engine")
    from app.nearness.bulk import Bulk  # noqa: PLC0415  (an extra)

    executor, more = str(options.get("executor") or "local"), cast("Mapping[str, object]", options.get("options") or {})
    tasks = cast("int", options.get("tasks") or 2)
    Bulk(folder, executor=executor)
    return lambda progress: Bulk(folder, executor=executor, tasks=tasks, options=more, progress=progress)


def _version(session: Session, project_id: int) -> int | None:
    wanted = select(col(NearnessRow.version)).where(col(NearnessRow.project_id) == project_id)
    found: int | None = session.execute(wanted).scalar()
    return found


def _set_version(session: Session, project_id: int, version: int) -> None:
    sign = driver_sign(session)
    # Two first imports may end at once.
    session.connection().exec_driver_sql(
        f"INSERT INTO nearness (project_id, version) VALUES ({sign}, {sign}) "
        "ON CONFLICT (project_id) DO UPDATE SET version = excluded.version",
        (project_id, version),
    )


def _ask(session: Session, statement: str, values: Iterable[Any], *before: object) -> Iterator[Any]:
    """Rows of a statement in which `{signs}` stands for the values, a few hundred at a time, in their own order."""
    sign = driver_sign(session)
    left = iter(sorted(set(values)))
    while some := list(islice(left, _ASKED)):
        filled = statement.format(sign=sign, signs=", ".join([sign] * len(some)))
        result = session.connection().exec_driver_sql(filled, (*before, *some))
        if result.returns_rows:
            yield from result.fetchall()


def _tell(session: Session, statement: str, values: Iterable[Any], *before: object) -> None:
    for _ in _ask(session, statement, values, *before):
        pass


# ------------------------------------------------------------------------------------------------ what is new


def note(session: Session, made: Iterable[tuple[int, Shingles]]) -> None:
    """Remember the fingerprints of candidates that were prepared, until `keep_up` takes them in.

    What became a part of one of them leaves its cluster: its lead speaks for it.
    """
    found = list(made)
    sign = driver_sign(session)
    instead = "ON CONFLICT (project_id, candidate_id) DO UPDATE SET shingles = excluded.shingles"
    into = "INSERT INTO new_fingerprint (project_id, candidate_id, shingles)"
    statement = f"{into} SELECT project_id, id, {sign} FROM candidate WHERE id = {sign} {instead}"
    if found:
        session.connection().exec_driver_sql(statement, [(shingles, number) for number, shingles in found])
    parts = (
        "SELECT fingerprint.project_id, fingerprint.candidate_id, {sign} FROM part "
        "JOIN fingerprint ON fingerprint.candidate_id = part.candidate_id WHERE part.lead_id IN ({signs}) "
    )
    _tell(session, f"{into} {parts} {instead}", (number for number, _ in found), b"")


def keep_up(db: Database, project_id: int, *, progress: Progress | None = None) -> int:
    """Take in what was prepared since the last time, in short transactions.

    A crash at any point is made good by the next call. Where the groups must be made anew, nothing is done: that is a
    job (`is_outdated`).

    Args:
        db: the database.
        project_id: whose candidates.
        progress: called now and then with (candidates looked at, candidates to look at).

    Returns:
        How many candidates were looked at.

    """
    with db.read() as session:
        version, waiting = _version(session, project_id), count_waiting(session, project_id)
        shapes = select(func.count()).select_from(ShapeRow).where(col(ShapeRow.project_id) == project_id)
        is_much: bool = waiting > _MANY and waiting * _RATIO > session.execute(shapes).scalar_one()
    if not waiting or version not in {None, lsh.version()}:
        return 0
    if is_much:
        with suppress(ConflictError):
            return _Rebuild(db, project_id, engine.InProcess, progress).take_in()
        return 0
    if version is None:
        with db.write() as session:
            # Who came first may have said meanwhile that something is left to look at.
            lock_ingest(session)
            if _version(session, project_id) is None:
                _set_version(session, project_id, lsh.version())
    done, last = 0, -1
    keeper = _Keeper(db, project_id)
    while not keeper.is_over and (batch := _waiting(db, project_id, last)):
        last = max(batch)
        for n in keeper.take_in(batch):
            done += n
            if progress is not None:
                progress(done, max(waiting, done))
    keeper.renew()
    return done


def keep_up_all(db: Database, *, progress: Progress | None = None) -> int:
    """As `keep_up`, for every project."""
    with db.read() as session:
        waiting = list(session.execute(select(col(NewFingerprintRow.project_id)).distinct()).scalars())
    return sum(keep_up(db, project_id, progress=progress) for project_id in waiting)


class _Keeper:
    """Takes in what waits, in transactions that stay short, until all is made anew by somebody else.

    Clusters that may have fallen apart, for a shape of them is gone or is no longer among the first of a crowd, are
    looked at once, in the end. Until then the project counts as outdated, so that a crash in between is made good.
    """

    def __init__(self, db: Database, project_id: int) -> None:
        self.db = db
        self.project_id = project_id
        self.version = lsh.version()
        self.is_over = False
        self.pending: set[int] = set()

    def take_in(self, batch: Mapping[int, Shingles]) -> Iterator[int]:
        """Take in a batch; gives the size of each transaction."""
        keys = _Keys(batch.values())
        left, size = sorted(batch), _FIRST
        while left:
            some = left[:size]
            with self.db.write() as session:
                if not self._is_on(session):
                    return
                began = time.perf_counter()
                self._remember(session, _Step(session, self.project_id, keys).take(some, self.pending))
                spent = time.perf_counter() - began
            del left[:size]
            size = min(_MOST, max(_LEAST, int(size * min(2.0, _SECONDS / max(spent, 1e-4)))))
            yield len(some)

    def _is_on(self, session: Session) -> bool:
        lock_ingest(session)
        self.is_over = _version(session, self.project_id) != self.version
        return not self.is_over

    def _remember(self, session: Session, found: Set[int]) -> None:
        if found and not self.pending:
            self.version = _mark()
            _set_version(session, self.project_id, self.version)
        self.pending |= found

    def renew(self) -> None:
        """Look at what may have fallen apart."""
        if self.pending and not self.is_over:
            with self.db.write() as session:
                if self._is_on(session):
                    _Step(session, self.project_id, _Keys()).renew(self.pending)
                    _set_version(session, self.project_id, lsh.version())


def _mark() -> int:
    """A version that nobody else has: whoever wrote it is at work."""
    return -1 - secrets.randbelow(2**53)


def _waiting(db: Database, project_id: int, after: int) -> dict[int, Shingles]:
    wanted = (
        select(NewFingerprintRow.candidate_id, NewFingerprintRow.shingles)  # type: ignore[call-overload]
        .where(col(NewFingerprintRow.project_id) == project_id, col(NewFingerprintRow.candidate_id) > after)
        .order_by(col(NewFingerprintRow.candidate_id))
        .limit(_ROUND)
    )
    with db.read() as session:
        return {number: bytes(shingles) for number, shingles in session.execute(wanted)}


class _Keys:
    """The keys of fingerprints, each computed once."""

    def __init__(self, sets: Iterable[Shingles] = ()) -> None:
        found = sorted(set(sets))
        self._found = dict(zip(found, lsh.keys(found), strict=True))

    def of(self, shingles: Shingles) -> "array[int]":
        found = self._found.get(shingles)
        if found is None:
            [found] = lsh.keys([shingles])
            self._found[shingles] = found
        return found


# ------------------------------------------------------------------------------------------------ one step


class _Has(NamedTuple):
    """What the groups know of a candidate."""

    shape: int
    issue: bytes


class _Shapes:
    """Shapes by id, as `engine.compare` asks for them."""

    def __init__(self, session: Session, project_id: int) -> None:
        self._session = session
        self._project_id = project_id
        self._shingles: dict[int, Shingles] = {}
        self._sets: dict[int, frozenset[int]] = {}

    def load(self, ids: Iterable[int]) -> None:
        """Read those that are not here yet."""
        missing = [number for number in ids if number not in self._shingles]
        wanted = "SELECT id, shingles FROM shape WHERE project_id = {sign} AND id IN ({signs})"
        found = _ask(self._session, wanted, missing, self._project_id)
        self._shingles |= {number: bytes(one) for number, one in found}

    def get(self, number: int) -> Shingles:
        """The shingles of one."""
        if number not in self._shingles:
            self.load([number])
        return self._shingles[number]

    def get_name(self, number: int) -> int:
        """What equal shingles share."""
        return number

    def get_set(self, number: int) -> frozenset[int]:
        """The shingles as a set."""
        found = self._sets.get(number)
        if found is None:
            found = self._sets[number] = frozenset(fingerprint.unpack(self.get(number)))
        return found


@dataclass(frozen=True, slots=True)
class _Change:
    """What some candidates were to the groups, and what they are now.

    Attributes:
        before: what was known of those that changed.
        after: what is to be known; who is absent stands for itself no more.
        new: shapes that were not here.
        emptied: shapes that no other candidate has than those of `after`.
        left: clusters that lost a candidate and are still there.
        was_tied: whether one of those that changed was in a cluster.
    """

    before: Mapping[int, _Has]
    after: Mapping[int, _Has]
    new: Set[int]
    emptied: Set[int]
    left: Set[int]
    was_tied: bool

    @property
    def gone(self) -> Set[int]:
        """Shapes that nobody has any more."""
        return self.emptied - {one.shape for one in self.after.values()}

    @property
    def fresh(self) -> Set[int]:
        """Shapes that nobody of the others has."""
        return self.new | (self.emptied - self.gone)


class _Step:
    """One transaction that takes some candidates in.

    A cluster that only grows is left as it is, whatever its size; one that may have fallen apart has to be renewed.
    """

    def __init__(self, session: Session, project_id: int, keys: _Keys) -> None:
        self.session = session
        self.project_id = project_id
        self.keys = keys
        self.shapes = _Shapes(session, project_id)

    def take(self, ids: Sequence[int], pending: Set[int] = frozenset()) -> set[int]:
        """Take in what waits of these.

        Gives candidates whose clusters may have fallen apart, or that may be like more than before: `renew` has to be
        told of them. `pending` are those of whom it has to be told already.
        """
        change = self._read(ids)
        if not change.before and not change.after:
            return set()
        found = set(self._first_holders(self._move_shapes(change)).values())
        if change.emptied or not pending.isdisjoint(change.before):
            found |= change.left
        self._settle(change, set(), set())
        return found

    def renew(self, pending: Iterable[int]) -> None:
        """Look anew at the clusters of these candidates, and at who is like them."""
        dirty = set(find_clusters(self.session, pending).values())
        of_these = {one.shape for one in _read_fingerprints(self.session, pending).values()}
        self._settle(_Change({}, {}, set(), set(), set(), was_tied=True), of_these, dirty)

    def _settle(self, change: _Change, gained: Set[int], dirty: Set[int]) -> None:
        """Compare what must be, and make the tables say what comes of it; clusters that are dirty fall apart first."""
        loose = change.fresh | self._shapes_of(dirty)
        joined, standing = self._compare(loose, gained, change)
        members = self._members(loose, change, joined, standing)
        touched = {one.issue for one in (*change.before.values(), *members.values())}
        self._forget_clusters(dirty)
        _add_fingerprints(self.session, self.project_id, change.after)
        clusters = {*standing.values(), *change.left} - dirty
        tied = self._write_clusters(members, joined, clusters, change.left)
        if change.was_tied or dirty:
            moves = _untie(self.session, self.project_id, touched.union(*tied))
        else:
            moves = [move for issues in tied for move in _tie(self.session, self.project_id, issues)]
        ordering.regroup(self.session, self.project_id, moves)

    # -------------------------------------------------------------------------------------------- what changed

    def _read(self, ids: Sequence[int]) -> _Change:
        """What waits, against what is known; takes away what is known and no longer so."""
        taken = _take(self.session, self.project_id, ids)
        known, now = _read_fingerprints(self.session, taken), _read_now(self.session, taken)
        before = {number: one for number, one in known.items() if one != now.get(number)}
        after = {number: one for number, one in now.items() if one != known.get(number)}
        left = self._leave(tied := find_clusters(self.session, before))
        _tell(self.session, "DELETE FROM fingerprint WHERE candidate_id IN ({signs})", before)
        shapes = {one.shape: taken[number] for number, one in after.items()}
        new = _add_shapes(self.session, self.project_id, shapes)
        held = self._first_holders({one.shape for one in before.values()})
        return _Change(before, after, new, {one.shape for one in before.values()} - held.keys(), left, bool(tied))

    def _leave(self, found: Mapping[int, int]) -> set[int]:
        """Take candidates out of their clusters; gives these, by the names that they have without them."""
        _tell(self.session, "DELETE FROM cluster WHERE candidate_id IN ({signs})", found)
        left: set[int] = set()
        for number in sorted(set(found.values())):
            first = next(iter(self._list_first(number)), None)
            if first is not None:
                self._rename([number], first[0])
                left.add(first[0])
        return left

    def _first_holders(self, shapes: Iterable[int]) -> dict[int, int]:
        """Shape → the first candidate that has it, for those that one has."""
        wanted = (
            "SELECT id, (SELECT min(candidate_id) FROM fingerprint AS f "
            "WHERE f.project_id = shape.project_id AND f.shape_id = shape.id) "
            "FROM shape WHERE project_id = {sign} AND id IN ({signs})"
        )
        found = _ask(self.session, wanted, shapes, self.project_id)
        return {number: first for number, first in found if first is not None}

    def _keys_of(self, shapes: Iterable[int]) -> dict[int, set[int]]:
        """Key → those of the shapes that have it."""
        wanted = list(shapes)
        self.shapes.load(wanted)
        found: dict[int, set[int]] = defaultdict(set)
        for number in wanted:
            for key in self.keys.of(self.shapes.get(number)):
                found[key].add(number)
        return found

    def _move_shapes(self, change: _Change) -> set[int]:
        """Write down the keys of new shapes and clear away those that are gone.

        Gives the shapes that ceased to be among the first of a crowd, or became so.
        """
        came, went = self._keys_of(change.new), self._keys_of(change.gone)
        _delete_bands(self.session, self.project_id, went)
        rows: list[tuple[object, ...]] = [
            (self.project_id, key, number) for key, shapes in sorted(came.items()) for number in sorted(shapes)
        ]
        insert_rows(self.session, "band", _BAND_COLUMNS, rows)
        _tell(
            self.session,
            "DELETE FROM shape WHERE project_id = {sign} AND id IN ({signs})",
            change.gone,
            self.project_id,
        )
        moved: set[int] = set()
        for key, first in self._first_of(came.keys() | went.keys(), len(change.new)).items():
            now = first[: lsh.CROWD]
            before = sorted({*first, *went[key]} - came[key])[: lsh.CROWD]
            moved.update(set(before) ^ set(now))
        return moved - change.new - change.gone

    def _first_of(self, keys: Iterable[int], more: int = 0) -> dict[int, list[int]]:
        """Key → the shapes that have it, in order; of a crowd the first, and `more`."""
        wanted = (
            "SELECT key, shape_id FROM (SELECT key, shape_id, "
            "row_number() OVER (PARTITION BY key ORDER BY shape_id) AS place "
            "FROM band WHERE project_id = {sign} AND key IN ({signs})) AS ranked "
            f"WHERE place <= {lsh.CROWD + more} ORDER BY key, shape_id"
        )
        found: dict[int, list[int]] = {key: [] for key in keys}
        for key, number in _ask(self.session, wanted, found, self.project_id):
            found[key].append(number)
        return found

    # -------------------------------------------------------------------------------------------- what is compared

    def _shapes_of(self, clusters: Iterable[int]) -> set[int]:
        wanted = (
            "SELECT DISTINCT f.shape_id FROM cluster JOIN fingerprint AS f ON f.candidate_id = cluster.candidate_id "
            "WHERE cluster.cluster_id IN ({signs})"
        )
        return {number for (number,) in _ask(self.session, wanted, clusters)}

    def _compare(self, loose: Set[int], gained: Set[int], change: _Change) -> tuple[lsh.Sets[int], dict[int, int]]:
        """Who belongs together, as sets of shapes and of clusters (as -id); and shapes whose cluster stands → it.

        Loose shapes are in no cluster yet; those that are gained keep theirs, and may be like more than before.
        """
        fresh = loose | gained
        near = self._near(fresh)
        others = {number for found in near.values() for number in found} | gained
        others.update(one.shape for one in change.after.values())
        held = self._first_holders(others - loose)
        of_candidate = find_clusters(self.session, held.values())
        joined: lsh.Sets[int] = lsh.Sets()
        standing = {number: of_candidate[first] for number, first in held.items() if first in of_candidate}
        for number, cluster in standing.items():
            joined.join(-cluster, number)
        self.shapes.load({number for found in near.values() if len(found) <= 2 * lsh.CROWD for number in found})
        for found in near.values():
            for _ in engine.compare(self.shapes, found, joined, fresh=fresh):
                pass
        return joined, standing

    def _near(self, loose: Set[int]) -> dict[int, list[int]]:
        """Key → the shapes that have it, of those keys that one of these has; of a crowd those that are compared."""
        keys = self._keys_of(loose)
        near = self._first_of(keys, 1)
        wanted = "SELECT key, shape_id FROM band WHERE project_id = {sign} AND key IN ({signs})"
        # Who is among the first of a crowd is compared with all of it.
        crowds = [
            key for key, found in near.items() if len(found) > lsh.CROWD and not loose.isdisjoint(found[: lsh.CROWD])
        ]
        for key, number in _ask(self.session, wanted, crowds, self.project_id):
            near[key].append(number)
        return {key: sorted({*found, *keys[key]}) for key, found in near.items()}

    def _members(
        self, loose: Set[int], change: _Change, joined: lsh.Sets[int], standing: Container[int]
    ) -> dict[int, _Has]:
        """The candidates to be written: those of loose shapes, those that changed, and who stood alone beside them."""
        met = {number for numbers in joined.all().values() for number in numbers if number > 0}
        met.update(one.shape for one in change.after.values())
        shapes = loose | {number for number in met if number not in standing}
        wanted = (
            "SELECT candidate_id, shape_id, issue FROM fingerprint WHERE project_id = {sign} AND shape_id IN ({signs})"
        )
        found = _ask(self.session, wanted, shapes, self.project_id)
        return {number: _Has(shape, bytes(issue)) for number, shape, issue in found} | dict(change.after)

    # -------------------------------------------------------------------------------------------- what is written

    def _forget_clusters(self, clusters: Iterable[int]) -> None:
        _tell(self.session, "DELETE FROM cluster WHERE cluster_id IN ({signs})", clusters)

    def _write_clusters(
        self, members: Mapping[int, _Has], joined: lsh.Sets[int], clusters: Iterable[int], left: Set[int]
    ) -> list[set[bytes]]:
        """Write down each cluster that changed; gives, of each, issues that it ties together."""
        by_top: dict[int, tuple[dict[int, bytes], list[int]]] = defaultdict(lambda: ({}, []))
        for number, one in members.items():
            by_top[joined.find(one.shape)][0][number] = one.issue
        for number in clusters:
            by_top[joined.find(-number)][1].append(number)
        tied = []
        for found, standing in by_top.values():
            if found or len(standing) > 1 or not left.isdisjoint(standing):
                tied.append(self._write_cluster(found, standing))
        return [issues for issues in tied if len(issues) > 1]

    def _write_cluster(self, members: Mapping[int, bytes], clusters: Sequence[int]) -> set[bytes]:
        """One cluster: candidates that are written, and clusters that stand as they are but for their name."""
        issues = set(members.values())
        for number in clusters:
            [(_, issue)] = self._list_first(number)
            issues.add(issue)
        name = min([*members, *clusters])
        self._rename([number for number in clusters if number != name], name)
        _tell(self.session, "DELETE FROM cluster WHERE candidate_id IN ({signs})", members)
        rows: list[tuple[object, ...]] = [
            (number, self.project_id, name, issue) for number, issue in sorted(members.items())
        ]
        insert_rows(self.session, "cluster", _CLUSTER_COLUMNS, rows)
        if len(list_cluster(self.session, name, 2)) == 1:
            self._forget_clusters([name])
            return set()
        return issues

    def _list_first(self, cluster: int) -> list[tuple[int, bytes]]:
        """The first candidate of a cluster, and its issue; none where there is no such cluster any more."""
        wanted = select(ClusterRow.candidate_id, ClusterRow.issue)  # type: ignore[call-overload]
        of_this = wanted.where(col(ClusterRow.cluster_id) == cluster).order_by(col(ClusterRow.candidate_id)).limit(1)
        return [(number, bytes(issue)) for number, issue in self.session.execute(of_this)]

    def _rename(self, clusters: Iterable[int], name: int) -> None:
        renamed = "UPDATE cluster SET cluster_id = {sign} WHERE cluster_id IN ({signs})"
        _tell(self.session, renamed, clusters, name)


def _read_fingerprints(session: Session, ids: Iterable[int]) -> dict[int, _Has]:
    found = "SELECT candidate_id, shape_id, issue FROM fingerprint WHERE candidate_id IN ({signs})"
    return {number: _Has(shape, bytes(issue)) for number, shape, issue in _ask(session, found, ids)}


def _read_now(session: Session, found: Mapping[int, Shingles]) -> dict[int, _Has]:
    """What is to be known of those that stand for themselves and have anything to compare."""
    wanted = "SELECT id, group_digest FROM candidate WHERE status <> 'joined' AND id IN ({signs})"
    return {
        number: _Has(fingerprint.name(found[number]), bytes(issue))
        for number, issue in _ask(session, wanted, found)
        if found[number]
    }


def _take(session: Session, project_id: int, ids: Iterable[int]) -> dict[int, Shingles]:
    """What waits of these; it does so no longer."""
    gone = (
        "DELETE FROM new_fingerprint WHERE project_id = {sign} AND candidate_id IN ({signs}) "
        "RETURNING candidate_id, shingles"
    )
    return {number: bytes(one) for number, one in _ask(session, gone, ids, project_id)}


def _add_fingerprints(session: Session, project_id: int, found: Mapping[int, _Has]) -> None:
    rows: list[tuple[object, ...]] = [
        (number, project_id, one.shape, one.issue) for number, one in sorted(found.items())
    ]
    insert_rows(session, "fingerprint", _FINGERPRINT_COLUMNS, rows)


def _delete_bands(session: Session, project_id: int, shapes: Mapping[int, Iterable[int]]) -> None:
    """Forget who has which keys, given as key → shapes."""
    rows = [(project_id, key, number) for key, numbers in sorted(shapes.items()) for number in sorted(numbers)]
    sign = driver_sign(session)
    if rows:
        statement = f"DELETE FROM band WHERE project_id = {sign} AND key = {sign} AND shape_id = {sign}"
        session.connection().exec_driver_sql(statement, rows)


def _add_shapes(session: Session, project_id: int, shapes: Mapping[int, Shingles]) -> set[int]:
    """Write down those that are not here yet; gives them."""
    wanted = "SELECT id FROM shape WHERE project_id = {sign} AND id IN ({signs})"
    new = shapes.keys() - {number for (number,) in _ask(session, wanted, shapes, project_id)}
    rows: list[tuple[object, ...]] = [(project_id, number, shapes[number]) for number in sorted(new)]
    insert_rows(session, "shape", ("project_id", "id", "shingles"), rows)
    return new


# ------------------------------------------------------------------------------------------------ issues


def _tie(session: Session, project_id: int, issues: Set[bytes]) -> list[_Move]:
    """Put the groups of some issues together; gives what moved, nothing else changes."""
    known = find_groups(session, project_id, issues)
    groups = {known.get(issue, issue) for issue in issues}
    name = min(groups)
    if len(groups) == 1:
        return []
    before = {one: known.get(one, one) for one in issues} | _list_fellows(session, project_id, groups - {name})
    moved = "UPDATE issue_group SET group_key = {sign} WHERE project_id = {sign} AND group_key IN ({signs})"
    _tell(session, moved, groups - {name}, name, project_id)
    rows: list[tuple[object, ...]] = [(project_id, issue, name) for issue in sorted({*issues, name} - known.keys())]
    insert_rows(session, "issue_group", _GROUP_COLUMNS, rows, keep=True)
    return [(one, was, name) for one, was in before.items()]


def _untie(session: Session, project_id: int, issues: Iterable[bytes]) -> list[_Move]:
    """Find anew which issues are tied to these, or were; gives what moved."""
    known = find_groups(session, project_id, issues)
    before = {issue: issue for issue in issues} | _list_fellows(session, project_id, known.values())
    left = set(before)
    gone = "DELETE FROM issue_group WHERE project_id = {sign} AND issue IN ({signs})"
    _tell(session, gone, left, project_id)
    rows: list[tuple[object, ...]] = []
    moves: list[_Move] = []
    while left:
        group = _reach(session, project_id, left.pop())
        left -= group
        rows += [(project_id, issue, min(group)) for issue in sorted(group) if len(group) > 1]
        moves += [(issue, before.get(issue, issue), min(group)) for issue in group]
    insert_rows(session, "issue_group", _GROUP_COLUMNS, rows, keep=True)
    return moves


def _list_fellows(session: Session, project_id: int, groups: Iterable[bytes]) -> dict[bytes, bytes]:
    """The issues of some groups, each with its group."""
    wanted = "SELECT issue, group_key FROM issue_group WHERE project_id = {sign} AND group_key IN ({signs})"
    return {bytes(issue): bytes(key) for issue, key in _ask(session, wanted, groups, project_id)}


def _reach(session: Session, project_id: int, issue: bytes) -> set[bytes]:
    """All issues that clusters tie to one, step by step."""
    in_clusters = "SELECT DISTINCT cluster_id FROM cluster WHERE project_id = {sign} AND issue IN ({signs})"
    of_clusters = "SELECT DISTINCT issue FROM cluster WHERE cluster_id IN ({signs})"
    reached, new = {issue}, {issue}
    seen: set[int] = set()
    while new:
        clusters = {number for (number,) in _ask(session, in_clusters, new, project_id)} - seen
        seen |= clusters
        new = {bytes(one) for (one,) in _ask(session, of_clusters, clusters)} - reached
        reached |= new
    return reached


# ------------------------------------------------------------------------------------------------ all anew


def rebuild(db: Database, project_id: int, *, finder: Finder | None = None, progress: Progress | None = None) -> int:
    """Make a project's groups anew from what its candidates say.

    Meanwhile nothing is kept up, and `is_outdated` says so; what was there before stays until it is replaced. Broken
    off, it has to be begun again.

    Args:
        db: the database.
        project_id: whose groups.
        finder: makes what finds near-duplicates, given what it is to call now and then; in this process, unless told
            otherwise.
        progress: called now and then with (done, total), in candidates.

    Returns:
        How many candidates were looked at.

    Raises:
        ConflictError: another rebuild of the same project has begun since.

    """
    done = _Rebuild(db, project_id, finder or engine.InProcess, progress).run()
    return done + keep_up(db, project_id)


class _Rebuild:
    """Everything anew, in short transactions; whoever began last goes on, the others end."""

    def __init__(self, db: Database, project_id: int, finder: Finder, progress: Progress | None) -> None:
        self.db = db
        self.project_id = project_id
        self.finder = finder
        self.progress = progress
        self.at = (0, 0)
        self.mark = _mark()

    def run(self) -> int:
        """From what the candidates say."""
        self._begin()
        done = self._refresh()
        while self._clear("band", "project_id, key, shape_id"):
            pass
        self._regroup()
        return done

    def take_in(self) -> int:
        """From the fingerprints that are here and those that wait."""
        self._begin()
        done = 0
        while batch := _waiting(self.db, self.project_id, -1):
            for some in _some(sorted(batch), _MOST):
                with self._write() as session:
                    self._put(session, _take(session, self.project_id, some))
            done += len(batch)
            self.at = (done, done)
        self._regroup()
        return done

    def _begin(self) -> None:
        with self.db.write() as session:
            _set_version(session, self.project_id, self.mark)

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with self.db.write() as session:
            lock_ingest(session)
            if _version(session, self.project_id) != self.mark:
                raise ConflictError("Another rebuild of these groups has begun since; this one ends.")
            yield session
        self.tell()

    def tell(self, *_: int) -> None:
        """Say how far this is, which is where it may be told to stop."""
        if self.progress is not None:
            self.progress(*self.at)

    # -------------------------------------------------------------------------------------------- fingerprints

    def _refresh(self) -> int:
        """Read every candidate again."""
        with self.db.read() as session:
            of_project = col(CandidateRow.project_id) == self.project_id
            total = session.execute(select(func.count()).select_from(CandidateRow).where(of_project)).scalar_one()
        last, done = 0, 0
        while found := self._read_some(last):
            last = max(found)
            with self._write() as session:
                self._put(session, found)
            done += len(found)
            self.at = (done, max(total, done))
        return done

    def _read_some(self, after: int) -> dict[int, Shingles]:
        with self.db.read() as session:
            wanted = (
                select(CandidateRow)
                .where(col(CandidateRow.project_id) == self.project_id, col(CandidateRow.id) > after)
                .order_by(col(CandidateRow.id))
                .limit(_READ)
            )
            rows = list(session.execute(wanted).scalars())
            return {
                row.id or 0: b""
                if row.status == Status.JOINED
                else fingerprint.fingerprint(evidence.read_candidate(session, row).said)
                for row in rows
            }

    def _put(self, session: Session, found: Mapping[int, Shingles]) -> None:
        """Write down whose shape is which."""
        known, now = _read_fingerprints(session, found), _read_now(session, found)
        changed = [number for number, one in known.items() if one != now.get(number)]
        _tell(session, "DELETE FROM fingerprint WHERE candidate_id IN ({signs})", changed)
        after = {number: one for number, one in now.items() if one != known.get(number)}
        _add_shapes(session, self.project_id, {one.shape: found[number] for number, one in after.items()})
        _add_fingerprints(session, self.project_id, after)

    def _clear(self, table: str, key: str, only: str = "") -> int:
        """Delete some rows of the project; gives how many."""
        with self._write() as session:
            sign = driver_sign(session)
            some = f"SELECT {key} FROM {table} WHERE project_id = {sign} {only} LIMIT {_SLICE}"
            statement = f"DELETE FROM {table} WHERE ({key}) IN ({some})"
            return session.connection().exec_driver_sql(statement, (self.project_id,)).rowcount

    # -------------------------------------------------------------------------------------------- shapes

    def _regroup(self) -> None:
        """Compare all shapes with each other, and make the tables say what comes of it."""
        self._forget_shapes()
        self._write_bands()
        joined: lsh.Sets[int] = lsh.Sets()
        for one, other in self.finder(self.tell).find_pairs(self._shapes()):
            joined.join(one, other)
        self._write_clusters(joined)
        self._write_groups()
        with self._write() as session:
            _set_version(session, self.project_id, lsh.version())

    def _forget_shapes(self) -> None:
        """Clear away what nobody has any more."""
        held = "SELECT 1 FROM fingerprint AS f WHERE f.project_id = shape.project_id AND f.shape_id = shape.id"
        for some in self._pages("shape", "id, shingles", "id", (-1,), f"AND NOT EXISTS ({held})"):
            gone = {number: bytes(shingles) for number, shingles in some}
            went: dict[int, set[int]] = defaultdict(set)
            for (number, _), own in zip(gone.items(), lsh.keys(list(gone.values())), strict=True):
                for key in own:
                    went[key].add(number)
            with self._write() as session:
                _delete_bands(session, self.project_id, went)
                statement = "DELETE FROM shape WHERE project_id = {sign} AND id IN ({signs})"
                _tell(session, statement, gone, self.project_id)

    def _shapes(self) -> Iterator[tuple[int, Shingles]]:
        for some in self._pages("shape", "id, shingles", "id", (-1,)):
            yield from ((number, bytes(shingles)) for number, shingles in some)

    def _pages(
        self, table: str, columns: str, key: str, after: tuple[Any, ...], only: str = ""
    ) -> Iterator[Sequence[Any]]:
        """Rows of the project in the order of their key, which stands first, some at a time, each a look of its own."""
        while True:
            with self.db.read() as session:
                sign = driver_sign(session)
                statement = (
                    f"SELECT {columns} FROM {table} WHERE project_id = {sign} "
                    f"AND ({key}) > ({', '.join([sign] * len(after))}) {only} ORDER BY {key} LIMIT {_MOST}"
                )
                some = session.connection().exec_driver_sql(statement, (self.project_id, *after)).fetchall()
            if not some:
                return
            after = tuple(some[-1][: len(after)])
            yield some

    def _write_bands(self) -> None:
        """Write down the keys of all shapes, band for band in order, which touches each page of the table once."""
        shapes = array("q")
        bands = [array("q") for _ in range(lsh.BANDS)]
        for some in self._pages("shape", "id, shingles", "id", (-1,)):
            for (number, _), own in zip(some, lsh.keys([bytes(shingles) for _, shingles in some]), strict=True):
                shapes.extend([number] * bool(own))
                for band, key in zip(bands, own, strict=bool(own)):
                    band.append(key)
        for band in bands:
            for places in _some(sorted(range(len(band)), key=band.__getitem__), _SLICE):
                rows: list[tuple[object, ...]] = [(self.project_id, band[at], shapes[at]) for at in places]
                with self._write() as session:
                    insert_rows(session, "band", _BAND_COLUMNS, rows, keep=True)

    # -------------------------------------------------------------------------------------------- clusters, issues

    def _write_clusters(self, joined: lsh.Sets[int]) -> None:
        names = self._names(joined)
        after = -1
        for some in self._pages("fingerprint", "candidate_id, shape_id, issue", "candidate_id", (-1,)):
            wanted = {
                number: (name, bytes(issue))
                for number, shape, issue in some
                if (name := names.get(joined.find(shape))) is not None
            }
            self._change_clusters(after, some[-1][0], wanted)
            after = some[-1][0]
        self._change_clusters(after, LARGEST_ID, {})

    def _names(self, joined: lsh.Sets[int]) -> dict[int, int]:
        """What stands for a set of shapes, or a shape that several candidates have → the smallest candidate."""
        met = {number for members in joined.all().values() for number in members}
        names: dict[int, int] = {}
        rows = self._pages("fingerprint", "shape_id, candidate_id", "shape_id, candidate_id", (-1, -1))
        for shape, found in groupby((row for some in rows for row in some), key=itemgetter(0)):
            first, *more = (row[1] for row in islice(found, 2))
            if shape in met:
                top = joined.find(shape)
                names[top] = min(first, names.get(top, first))
            elif more:
                names[shape] = first
        return names

    def _change_clusters(self, after: int, last: int, wanted: Mapping[int, tuple[int, bytes]]) -> None:
        """Make the rows of the candidates above one, up to another, say what is wanted."""
        with self.db.read() as session:
            found = select(ClusterRow.candidate_id, ClusterRow.cluster_id, ClusterRow.issue).where(  # type: ignore[call-overload]
                col(ClusterRow.project_id) == self.project_id,
                col(ClusterRow.candidate_id) > after,
                col(ClusterRow.candidate_id) <= last,
            )
            known = {number: (cluster, bytes(issue)) for number, cluster, issue in session.execute(found)}
        new = {number: one for number, one in wanted.items() if known.get(number) != one}
        gone = {number for number, one in known.items() if wanted.get(number) != one}
        if new or gone:
            rows: list[tuple[object, ...]] = [(number, self.project_id, *one) for number, one in sorted(new.items())]
            with self._write() as session:
                _tell(session, "DELETE FROM cluster WHERE candidate_id IN ({signs})", gone)
                insert_rows(session, "cluster", _CLUSTER_COLUMNS, rows)

    def _write_groups(self) -> None:
        tied: lsh.Sets[bytes] = lsh.Sets()
        rows = self._pages("cluster", "cluster_id, candidate_id, issue", "cluster_id, candidate_id", (-1, -1))
        for _, found in groupby((row for some in rows for row in some), key=itemgetter(0)):
            first, *more = {bytes(row[2]) for row in found}
            for issue in more:
                tied.join(first, issue)
        wanted = {issue: name for name, issues in tied.all().items() for issue in issues}
        before: dict[bytes, bytes] = {}
        for some in self._pages("issue_group", "issue, group_key", "issue", (b"",)):
            known = {bytes(issue): bytes(name) for issue, name in some}
            gone = {issue for issue, name in known.items() if wanted.get(issue) != name}
            for issue in known.keys() - gone:
                del wanted[issue]
            with self._write() as session:
                statement = "DELETE FROM issue_group WHERE project_id = {sign} AND issue IN ({signs})"
                _tell(session, statement, gone, self.project_id)
                left = [(issue, known[issue], issue) for issue in gone - wanted.keys()]
                ordering.regroup(session, self.project_id, left)
            before |= {issue: known[issue] for issue in gone & wanted.keys()}
        for issues in _some(sorted(wanted), _SLICE):
            new: list[tuple[object, ...]] = [(self.project_id, issue, wanted[issue]) for issue in issues]
            with self._write() as session:
                insert_rows(session, "issue_group", _GROUP_COLUMNS, new)
                came = ((issue, before.get(issue, issue), wanted[issue]) for issue in issues)
                ordering.regroup(session, self.project_id, came)


def _some(names: Sequence[_Name], size: int) -> Iterator[Sequence[_Name]]:
    return (names[start : start + size] for start in range(0, len(names), size))
