"""Saved views: a filter with a name, which is a queue, a link and `view:NAME` in any other filter."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlmodel import Session, col

from app.db import lock_project
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import ReviewerRow, SavedViewRow
from app.queue import Filter, conditions, expand, parse_stored
from app.syntax import Term

_LONGEST_NAME = 60
_MOST = 100


@dataclass(frozen=True, slots=True)
class View:
    """One saved view.

    Attributes:
        number: its id.
        name: unlike any other of the project.
        filter: what it stands for.
        who: the reviewer who saved it.
        made_at: when.
    """

    number: int
    name: str
    filter: Filter
    who: str
    made_at: datetime

    @property
    def term(self) -> str:
        """What says it in a search: `view:"Hard ones"`."""
        return str(Term("view", (self.name,)))

    def as_json(self) -> dict[str, object]:
        """`{"id": 3, "name": "Hard ones", "filter": {"status": "pending", …}, "query": "status=pending&…", …}`."""
        query = self.filter.query()
        return {
            "id": self.number,
            "name": self.name,
            "filter": query,
            "query": urlencode(query),
            "by": self.who,
            "made_at": self.made_at,
        }


def list_views(session: Session, project_id: int) -> list[View]:
    """Every view of a project, by name; there are 100 at most."""
    wanted = (
        select(SavedViewRow, col(ReviewerRow.name))
        .join(ReviewerRow, col(ReviewerRow.id) == col(SavedViewRow.reviewer_id))
        .where(col(SavedViewRow.project_id) == project_id)
        .order_by(func.lower(col(SavedViewRow.name)), col(SavedViewRow.id))
    )
    return [
        View(row.id or 0, row.name, parse_stored(row.query), who, row.made_at) for row, who in session.execute(wanted)
    ]


def get_view(session: Session, project_id: int, number: int) -> View:
    """One view.

    Raises:
        NotFoundError: no such view in this project.

    """
    found = next((one for one in list_views(session, project_id) if one.number == number), None)
    if found is None:
        raise NotFoundError(f"There is no saved view {number} here.")
    return found


def get_by_name(session: Session, project_id: int, name: str) -> View:
    """The view of this name.

    Raises:
        NotFoundError: no such view in this project.

    """
    found = next((one for one in list_views(session, project_id) if one.name == name), None)
    if found is None:
        raise NotFoundError(f"There is no saved view {name[:_LONGEST_NAME]!r} here.")
    return found


def save(
    session: Session,
    project_id: int,
    reviewer_id: int,
    name: str,
    wanted: Filter,
    *,
    now: datetime,
    instead: bool = False,
) -> View:
    """Give a filter a name. What another view in it stands for is written out.

    Args:
        session: to write to.
        project_id: whose.
        reviewer_id: who saves it.
        name: one line.
        wanted: the filter.
        now: the instant.
        instead: take the place of a view of that name.

    Raises:
        BadInputError: a name or a filter that cannot be, or too many views.
        ConflictError: the name is another view's.

    """
    name = _name(name)
    wanted = expand(session, project_id, wanted)
    conditions(session, project_id, wanted)
    lock_project(session, project_id)
    known = {one.name: one.number for one in list_views(session, project_id)}
    if name in known and not instead:
        raise ConflictError(f"There is a view {name!r} already. Give another name, or delete that one first.")
    if name not in known and len(known) >= _MOST:
        raise BadInputError(f"A project has {_MOST} saved views at most. Delete one first.", where="field name")
    row = session.get(SavedViewRow, known[name]) if name in known else None
    if row is None:
        row = SavedViewRow(project_id=project_id, name=name, query="", reviewer_id=reviewer_id, made_at=now)
        session.add(row)
    row.query, row.reviewer_id, row.made_at = urlencode(wanted.query()), reviewer_id, now
    session.flush()
    return get_by_name(session, project_id, name)


def rename(session: Session, project_id: int, number: int, name: str) -> View:
    """Give a view another name; filters that say the old one do not find it any more.

    Raises:
        BadInputError: a name that cannot be.
        ConflictError: the name is another view's.
        NotFoundError: no such view.

    """
    lock_project(session, project_id)
    view, name = get_view(session, project_id, number), _name(name)
    if any(one.name == name and one.number != number for one in list_views(session, project_id)):
        raise ConflictError(f"There is a view {name!r} already. Give another name.")
    session.get_one(SavedViewRow, view.number).name = name
    session.flush()
    return get_view(session, project_id, number)


def delete(session: Session, project_id: int, number: int) -> View:
    """Delete a view; gives what it was. Nothing that it shows is touched.

    Raises:
        NotFoundError: no such view.

    """
    lock_project(session, project_id)
    view = get_view(session, project_id, number)
    session.delete(session.get_one(SavedViewRow, view.number))
    session.flush()
    return view


def _name(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise BadInputError(f"A view's name is one line of 1 to {_LONGEST_NAME} characters.", where="field name")
    return name
