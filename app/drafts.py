"""What people have typed and not decided yet: kept until it is saved or thrown away, whatever the browser does."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, text
from sqlmodel import Session, col

from app.db import is_id
from app.errors import BadInputError
from app.models import CandidateRow, DraftRow, metadata

TEXTS = ("script", "spec", "refined", "unified", "comment", "rating")
"""Fields of a draft that hold one text; `diff` holds one a hunk, `dropped` numbers of hunks, `files` texts by path."""

_REMARKS = frozenset({"comment", "rating"})
_MOST_CHARACTERS = 16_000_000
_MOST_HUNKS = 100_000
# What is there already is only locked by it.
_BEGIN = text(
    "INSERT INTO draft (reviewer_id, candidate_id, version, texts, saved_at) "
    "VALUES (:reviewer, :candidate, :version, '{}', :now) "
    "ON CONFLICT (reviewer_id, candidate_id) DO UPDATE SET saved_at = excluded.saved_at"
).bindparams(bindparam("now", type_=metadata.tables["draft"].c.saved_at.type))


def find_draft(session: Session, reviewer_id: int, candidate_id: int) -> DraftRow | None:
    """What this person has typed about the candidate, or None."""
    return session.get(DraftRow, (reviewer_id, candidate_id)) if is_id(candidate_id) else None


def keep(
    session: Session,
    reviewer_id: int,
    candidate: CandidateRow,
    *,
    version: int,
    texts: Mapping[str, object],
    now: datetime,
) -> DraftRow:
    r"""Keep what a person has typed, in place of what these fields held before.

    `keep(session, 1, candidate, version=2, texts={"diff": ["a\n", "b\n"], "dropped": [1]}, now=now)`

    Args:
        session: a write session.
        reviewer_id: who typed.
        candidate: what it is about.
        version: the one that was on the screen. A draft of another version is replaced as a whole.
        texts: by field, see `TEXTS`; the fields that are not named stay as they are.
        now: aware UTC time.

    Raises:
        BadInputError: a field that no draft has, a value of another type, a version that is still to come, or too much.

    """
    _check(texts)
    if not 1 <= version <= candidate.version:
        raise BadInputError(
            f"Candidate {candidate.id} is at version {candidate.version}; there is no version {version}.",
            where="field version",
        )
    draft = _lock(session, reviewer_id, candidate.id or 0, version, now)
    kept = draft.texts if draft.version == version else {}
    draft.texts = {**kept, **texts}
    draft.version, draft.saved_at = version, now
    session.add(draft)
    session.flush()
    return draft


def _lock(session: Session, reviewer_id: int, candidate_id: int, version: int, now: datetime) -> DraftRow:
    """The draft, made where there is none. Two browsers that keep a first one at one instant stand in line.

    Nothing but the draft is locked: a decision forgets what was typed, and then waits for its turn and its candidate.
    """
    begun = {"reviewer": reviewer_id, "candidate": candidate_id, "version": version, "now": now}
    session.connection().execute(_BEGIN, begun)
    return session.get_one(DraftRow, (reviewer_id, candidate_id), populate_existing=True)


def remarks(draft: DraftRow | None, version: int) -> tuple[str, str]:
    """Comment and rating of a draft of this version, or two empty texts: `("so far", "4")`."""
    texts = draft.texts if draft is not None and draft.version == version else {}
    return str(texts.get("comment", "")), str(texts.get("rating", ""))


def take_remarks(session: Session, reviewer_id: int, candidate_id: int) -> None:
    """Forget comment and rating, which a decision holds now; texts that are still to be saved stay."""
    draft = session.get(DraftRow, (reviewer_id, candidate_id), with_for_update=True)
    if draft is None:
        return
    draft.texts = {name: text for name, text in draft.texts.items() if name not in _REMARKS}
    if draft.texts:
        session.add(draft)
    else:
        session.delete(draft)


def discard(session: Session, reviewer_id: int, candidate_id: int) -> None:
    """Forget what a person has typed about the candidate; nothing happens where that is nothing."""
    session.execute(
        delete(DraftRow).where(col(DraftRow.reviewer_id) == reviewer_id, col(DraftRow.candidate_id) == candidate_id)
    )


def _check(texts: Mapping[str, object]) -> None:
    for field, value in texts.items():
        if field in TEXTS:
            is_sound = isinstance(value, str)
        elif field == "diff":
            is_sound = _are(value, str)
        elif field == "dropped":
            is_sound = _are(value, int)
        else:
            is_sound = field == "files" and isinstance(value, Mapping) and _are(list(value.values()), str)
        if not is_sound:
            raise BadInputError(f"A draft has no such field {field[:40]!r}.", where=f"field texts.{field[:40]}")
    n = len(json.dumps(texts))
    if n > _MOST_CHARACTERS:
        raise BadInputError(f"A draft holds at most {_MOST_CHARACTERS:,} characters; this has {n:,}.", where="texts")


def _are(values: object, kind: type) -> bool:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) > _MOST_HUNKS:
        return False
    return all(isinstance(one, kind) and not isinstance(one, bool) for one in values)
