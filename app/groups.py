"""Which candidates must stay in one split: those of one issue, and near-duplicates of each other (docs/decisions/0018).

Near-duplicates make clusters of candidates, and clusters tie issues together. Only what is tied stands in a table: an
issue that is not in `issue_group` is a group of its own, a candidate that is not in `cluster` has no near-duplicate.
"""

from collections.abc import Callable, Iterable, Iterator

from sqlmodel import Session

from app.db import Database

KIND = "groups"
"""The kind of job that makes a project's groups anew."""

Progress = Callable[[int, int], None]


def find_group(session: Session, project_id: int, issue: bytes) -> bytes:
    """The group that an issue is in, named by its smallest issue: itself, where nothing ties it to another."""
    return find_groups(session, project_id, [issue]).get(issue, issue)


def find_groups(session: Session, project_id: int, issues: Iterable[bytes]) -> dict[bytes, bytes]:
    """The groups of those issues that near-duplicates tie to others; who is absent is a group of its own."""
    del session, project_id, issues
    return {}


def find_clusters(session: Session, ids: Iterable[int]) -> dict[int, int]:
    """Candidate → the smallest candidate of its cluster, for those that have a near-duplicate."""
    del session, ids
    return {}


def list_cluster(session: Session, candidate_id: int, limit: int = 50) -> list[int]:
    """The candidates of one's cluster by id, itself among them; empty where it has no near-duplicate."""
    del session, candidate_id, limit
    return []


def list_merged(session: Session, project_id: int) -> Iterator[tuple[bytes, bytes]]:
    """Each issue that is tied to others as (group, issue), by group, in order; read as a stream."""
    del session, project_id
    yield from ()


def count_waiting(session: Session, project_id: int) -> int:
    """How many candidates the groups have not looked at yet, of those that were prepared."""
    del session, project_id
    return 0


def is_outdated(session: Session, project_id: int) -> bool:
    """Whether the groups must be made anew: they never were, or by another version of the fingerprints."""
    del session, project_id
    return False


def keep_up(db: Database, project_id: int, *, progress: Progress | None = None) -> int:
    """Take in what was prepared since the last time, in short transactions; gives how many candidates."""
    del db, project_id, progress
    return 0


def rebuild(db: Database, project_id: int, *, progress: Progress | None = None) -> int:
    """Make a project's groups anew from what its candidates say; gives how many candidates were looked at."""
    del db, project_id, progress
    return 0
