"""The word index over issue, paths and changed lines: FTS5 on SQLite, a tsvector on PostgreSQL, one meaning.

A query is a list of words; every word must occur, the start of a word is enough. No operator is special.
"""

import re

from sqlalchemy import ColumnElement, bindparam, column, literal_column, select, table, text
from sqlmodel import Session, col

from app.models import CandidateRow

_WORD = re.compile(r"[^\W_]+")
_MOST_WORDS = 20

_words = table("candidate_words", column("rowid"), column("candidate_id"), column("words"))
# What stands between letters and digits parts words on both databases: `foo_bar/baz.py` is four words.
_PARTED = r"regexp_replace(%s, '[^[:alnum:]]+', ' ', 'g')"
_POSTGRES_INSERT = (
    "INSERT INTO candidate_words (candidate_id, words) VALUES (%s, "
    f"setweight(to_tsvector('simple', {_PARTED}), 'A') || setweight(to_tsvector('simple', {_PARTED}), 'B') || "
    f"setweight(to_tsvector('simple', {_PARTED}), 'C'))"
)
_SQLITE_INSERT = "INSERT INTO candidate_words (rowid, issue, paths, changes) VALUES (?, ?, ?, ?)"


def index_words(session: Session, rows: list[tuple[int, str, str, str]]) -> None:
    """Index new candidates: `(candidate id, issue text, paths, changed lines)`."""
    if rows:
        sqlite = session.get_bind().dialect.name == "sqlite"
        session.connection().exec_driver_sql(_SQLITE_INSERT if sqlite else _POSTGRES_INSERT, rows)


def words_of(query: str) -> list[str]:
    """The words of a query: `"a AND NEAR(b_c"` → `["a", "and", "near", "b", "c"]`; at most 20."""
    return [word.lower() for word in _WORD.findall(query)][:_MOST_WORDS]


def matches(session: Session, query: str) -> ColumnElement[bool]:
    """A condition on candidates: every word of the query begins a word of issue, paths or changed lines."""
    words = words_of(query)
    if not words:
        return literal_column("1 = 0", type_=None)
    if session.get_bind().dialect.name == "sqlite":
        return _among_sqlite(" ".join(f'"{word}"*' for word in words))
    return _among_postgres(" & ".join(f"'{word}':*" for word in words))


def names_file(session: Session, path: str) -> ColumnElement[bool]:
    """A condition on candidates: the path, or a part of it (`termui.py`), is among the target files."""
    words = words_of(path)
    if not words:
        return literal_column("1 = 0", type_=None)
    if session.get_bind().dialect.name == "sqlite":
        return _among_sqlite(f'paths : "{" ".join(words)}"')
    return _among_postgres(" <-> ".join(f"'{word}':B" for word in words))


def _among_sqlite(expression: str) -> ColumnElement[bool]:
    found = select(_words.c.rowid).where(
        text("candidate_words MATCH :words").bindparams(bindparam("words", expression, unique=True))
    )
    return col(CandidateRow.id).in_(found)


def _among_postgres(expression: str) -> ColumnElement[bool]:
    wanted = text("words @@ to_tsquery('simple', :words)").bindparams(bindparam("words", expression, unique=True))
    return col(CandidateRow.id).in_(select(_words.c.candidate_id).where(wanted))
