"""The word index over issue, paths, changed lines, scripts and tracebacks: FTS5 on SQLite, a tsvector on PostgreSQL.

One meaning on both: every word must occur, the start of a word is enough; the words of a phrase stand side by side. No
operator is special.

What a log line says by itself is indexed as it comes in (`index_words`): issue, paths and changed lines. The worker
adds the rest (`index_more`): scripts, tracebacks, and what the parts of a candidate say.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, bindparam, column, false, func, literal_column, select, table, text, union_all
from sqlmodel import Session, col

from app.candidates import Candidate
from app.formats.reading import changed_lines, shown
from app.models import CandidateRow
from app.syntax import is_phrase, words_of

LOGGED = "logged"
"""The field of words in issue, paths and changed lines, as each log line says them by itself."""

_MOST_CHARACTERS = 200_000

_words = table("candidate_words", column("rowid"), column("candidate_id"), column("words"))
_more = table("candidate_words_more", column("rowid"), column("candidate_id"), column("words"), column("traces"))
# What stands between letters and digits parts words on both databases: `foo_bar/baz.py` is four words.
_PARTED = r"regexp_replace(%s, '[^[:alnum:]]+', ' ', 'g')"
_VECTOR = f"to_tsvector('simple', {_PARTED})"
_POSTGRES_INSERT = (
    "INSERT INTO candidate_words (candidate_id, words) VALUES (%s, "
    f"setweight({_VECTOR}, 'A') || setweight({_VECTOR}, 'B') || setweight({_VECTOR}, 'C'))"
)
_SQLITE_INSERT = "INSERT INTO candidate_words (rowid, issue, paths, changes) VALUES (?, ?, ?, ?)"
_POSTGRES_MORE = (
    "INSERT INTO candidate_words_more (candidate_id, words, traces) VALUES (%s, "
    f"setweight({_VECTOR}, 'A') || setweight({_VECTOR}, 'B') || setweight({_VECTOR}, 'C') || "
    f"setweight({_VECTOR}, 'D'), {_VECTOR})"
)
_SQLITE_MORE = (
    "INSERT INTO candidate_words_more (rowid, issue, paths, changes, script, traces) VALUES (?, ?, ?, ?, ?, ?)"
)
# Field of a search → column of FTS5, and weight in the tsvector.
_TEXTS = {"issue": ("issue", "A"), "file": ("paths", "B"), "diff": ("changes", "C"), "script": ("script", "D")}


# ------------------------------------------------------------------------------------------------ filling


def index_words(session: Session, rows: list[tuple[int, str, str, str]]) -> None:
    """Index new candidates: `(candidate id, issue text, paths, changed lines)`."""
    if rows:
        session.connection().exec_driver_sql(_SQLITE_INSERT if _is_sqlite(session) else _POSTGRES_INSERT, rows)


def index_more(session: Session, told: Sequence[tuple[int, Candidate]]) -> None:
    """Index, or index anew, what the whole evidence says: `(candidate id, the whole story)`."""
    if not told:
        return
    has_parts = (col(CandidateRow.id).in_([number for number, _ in told]), col(CandidateRow.n_parts) > 0)
    leads = set(session.execute(select(col(CandidateRow.id)).where(*has_parts)).scalars())
    rows = [(number, *_texts(said, has_parts=number in leads)) for number, said in told]
    run = session.connection().exec_driver_sql
    if _is_sqlite(session):
        run("DELETE FROM candidate_words_more WHERE rowid = ?", [(row[0],) for row in rows])
        if worded := [row for row in rows if any(row[1:])]:
            run(_SQLITE_MORE, worded)
    else:
        run("DELETE FROM candidate_words_more WHERE candidate_id = %s", [(row[0],) for row in rows])
        run(_POSTGRES_MORE, rows)


def _texts(said: Candidate, *, has_parts: bool) -> tuple[str, str, str, str, str]:
    """Issue, paths and changes where parts may have brought others; scripts; tracebacks."""
    attempts = () if said.run is None else said.run.attempts
    scripts = (said.script or "", *(one.script or "" for one in attempts))
    traces = (one.trace.text for one in attempts if one.trace is not None)
    own = (said.issue, "\n".join(said.target_files), changed_lines(said.diff or "")[0]) if has_parts else ("", "", "")
    issue, paths, changes, script, trace = (_cut(one) for one in (*own, _lines(scripts), _lines(traces)))
    return issue, paths, changes, script, trace


def _lines(texts: Iterable[str]) -> str:
    """Every line once: the attempts of a run repeat each other."""
    return "\n".join(dict.fromkeys(chain.from_iterable(one.split("\n") for one in texts)))


def _cut(one: str) -> str:
    return shown(one[:_MOST_CHARACTERS])


# ------------------------------------------------------------------------------------------------ asking


def matches(session: Session, field: str, value: str) -> ColumnElement[bool]:
    """A condition on candidates: a text of this field holds the words, or the phrase in quotes.

    `matches(session, "script", "leave_Call")`, `matches(session, "", '"no module"')`

    Args:
        session: decides the database.
        field: `issue`, `file`, `diff`, `script` or `trace`; empty for all of them; or `LOGGED`.
        value: words, of which the start is enough, or a phrase in quotes.

    """
    words = words_of(value)
    if not words:
        return false()
    sought = [words] if is_phrase(value) else [[word] for word in words]
    found = [_among(session, field, some, prefix=not is_phrase(value)) for some in sought]
    return found[0] if len(found) == 1 else _all(found)


def names_file(session: Session, path: str) -> ColumnElement[bool]:
    """A condition on candidates: the path, or a part of it (`termui.py`), is among the target files."""
    return _among(session, "file", words_of(path), prefix=False)


def _all(conditions: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    first, *others = conditions
    for one in others:
        first &= one
    return first


def _among(session: Session, field: str, words: list[str], *, prefix: bool) -> ColumnElement[bool]:
    """Candidates in one of the two tables of which a text holds these words side by side."""
    if not words:
        return false()
    sources = [_words] * (field not in {"script", "trace"}) + [_more] * (field != LOGGED)
    ask: Callable[..., Any] = _ask_sqlite if _is_sqlite(session) else _ask_postgres
    asked = [ask(source, field, words, prefix=prefix) for source in sources]
    # The sign keeps SQLite from going through two lists of ids, each with each: it walks along the order instead.
    number = literal_column("+candidate.id") if _is_sqlite(session) else col(CandidateRow.id)
    found: ColumnElement[bool] = number.in_(asked[0] if len(asked) == 1 else union_all(*asked))
    return found


def _ask_sqlite(source: Any, field: str, words: list[str], *, prefix: bool) -> Any:  # noqa: ANN401
    name = "traces" if field == "trace" else _TEXTS[field][0] if field in _TEXTS else ""
    sought = f'{name + " : " if name else ""}"{" ".join(words)}"{"*" if prefix else ""}'
    wanted = text(f"{source.name} MATCH :words").bindparams(bindparam("words", sought, unique=True))
    return select(source.c.rowid).where(wanted)


def _ask_postgres(source: Any, field: str, words: list[str], *, prefix: bool) -> Any:  # noqa: ANN401
    # The words of a phrase stand in one text: end of the issue and first path are no neighbours.
    weights = [_TEXTS[field][1]] if field in _TEXTS else [*"ABCD"] if len(words) > 1 and field != "trace" else [""]
    sought = " | ".join(_side_by_side(words, ("*" if prefix else "") + weight) for weight in weights)
    where = [] if field == "trace" else [_has(source, "words", sought)]
    if source is _more and field in {"", "trace"}:
        where.append(_has(source, "traces", sought))
    found = where[0] if len(where) == 1 else where[0] | where[1]
    return select(source.c.candidate_id).where(found)


def _side_by_side(words: list[str], mark: str) -> str:
    return " <-> ".join(f"'{word}'{':' if mark else ''}{mark}" for word in words)


def _has(source: Any, name: str, sought: str) -> ColumnElement[bool]:  # noqa: ANN401
    found: ColumnElement[bool] = source.c[name].op("@@", is_comparison=True)(func.to_tsquery("simple", sought))
    return found


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
