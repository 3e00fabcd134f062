"""Comments on lines of a candidate: threads that follow their line, are resolved, and may block acceptance till then.

A thread keeps the line as it was when it began (`app.diffs.follow` says where that is now); everything said or done
in it is a row of its own, and the last one says where the thread stands. What is said here goes into no training file.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Select, bindparam, exists, select, union_all
from sqlmodel import Session, col

from app.candidates import Candidate
from app.db import is_id, lock_chain
from app.diffs.follow import How, Kept, Spot, follow, follow_in_diff, keep, spots
from app.diffs.parse import parse
from app.diffs.unicode import refuse_unstorable
from app.errors import BadInputError, ConflictError, NotFoundError, RefusedError
from app.models import CandidateRow, CommentAct, CommentRow, PartRow, ReviewerRow, ThreadRow, Verdict, metadata

MOST_CHARACTERS = 10_000
LETS_IN = frozenset({Verdict.ACCEPT, Verdict.EDIT})
"""What a blocking comment stands in the way of: both take the candidate into a release."""

_LONGEST_KEY = 200
_TAKEN = "This key was used for another comment; every act needs a key of its own."
_QUOTED = 60
_LONGEST_LINE = 2_000

_thread, _comment, _part, _reviewer = (metadata.tables[name] for name in ("thread", "comment", "part", "reviewer"))
_later = _comment.alias()
_IS_LAST = ~exists().where(_later.c.thread_id == _comment.c.thread_id, _later.c.id > _comment.c.id)
_BLOCKS = (_IS_LAST, _comment.c.blocks.is_(True), _comment.c.is_resolved.is_(False))


def _blocking(among: ColumnElement[bool]) -> Select[int, int]:
    return (
        select(_thread.c.candidate_id, _thread.c.id)
        .join(_comment, _comment.c.thread_id == _thread.c.id)
        .where(among, *_BLOCKS)
        .order_by(_thread.c.id)
    )


# Every accept asks for it: of the candidate, and of what it was put together from.
_OF_ONE = _thread.c.candidate_id.in_(
    union_all(select(bindparam("one")), select(_part.c.candidate_id).where(_part.c.lead_id == bindparam("one")))
)
_BLOCKING_ONE = _blocking(_OF_ONE)
IS_BLOCKED = _BLOCKING_ONE.order_by(None).exists()
"""In SQL: anybody's comment stands in the way of the candidate that the parameter `one` names."""


# ------------------------------------------------------------------------------------------------ what there is


@dataclass(frozen=True, slots=True)
class Said:
    """One comment as it reads now.

    Attributes:
        id: its number.
        reviewer_id: who said it.
        who: their name.
        text: plain text, as last edited.
        at: when it was said.
        n_edits: how often it was said better since.
    """

    id: int
    reviewer_id: int
    who: str
    text: str
    at: datetime
    n_edits: int = 0

    def as_json(self) -> dict[str, object]:
        """`{"id": 7, "by": "ada", "text": "…", "at": …, "edits": 0}`."""
        return {"id": self.id, "by": self.who, "text": self.text, "at": self.at, "edits": self.n_edits}


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread as it stands, and where its line is now.

    Attributes:
        row: where it began.
        said: the comments, oldest first.
        is_resolved: it is settled.
        blocks: it stands in the way of acceptance until it is.
        settled: who resolved or reopened it last, and when; None where nobody has.
        how: what became of its line.
        at: the line of the text now, from 1; None where it is outdated.
        spot: of a diff, the line now; None elsewhere, and where it is outdated.
    """

    row: ThreadRow
    said: list[Said]
    is_resolved: bool
    blocks: bool
    settled: tuple[str, datetime] | None = None
    how: How = How.OUTDATED
    at: int | None = None
    spot: Spot | None = None

    @property
    def id(self) -> int:
        """Its number."""
        return self.row.id or 0

    @property
    def is_blocking(self) -> bool:
        """Whether it stands in the way now."""
        return self.blocks and not self.is_resolved

    @property
    def place(self) -> str:
        """Where it is now, or was: `src/x.py:12`, `src/x.py:12 (before)`, `script:7`."""
        number = self.row.number if self.spot is None else self.spot.number
        if self.row.field == "diff":
            line = f":{number}" if number is not None else ""
            return f"{self.row.path}{line}{'' if self.row.is_new else ' (before)'}"
        return f"{self.row.field}:{self.at or self.row.at}"

    def as_json(self) -> dict[str, object]:
        """`{"id": 3, "place": "src/x.py:12", "line": "x = 1", "how": "moved", "comments": […], …}`."""
        return {
            "id": self.id,
            "candidate": self.row.candidate_id,
            "version": self.row.candidate_version,
            "field": self.row.field,
            "place": self.place,
            "at": self.at,
            "line": self.row.line,
            "how": self.how,
            "resolved": self.is_resolved,
            "blocks": self.blocks,
            "comments": [one.as_json() for one in self.said],
        }


def list_threads(
    session: Session,
    row: CandidateRow,
    stands: Candidate,
    earlier: Iterable[Mapping[str, str]] = (),
    *,
    only: int | None = None,
) -> list[Thread]:
    """The threads of a candidate and of its parts, each with the line where it is now, in the order of their numbers.

    Args:
        session: to read from.
        row: the candidate.
        stands: its texts as they stand.
        earlier: texts by field that it has had: the log's, and each edit's.
        only: whose threads alone may be seen (`app.asking.only_of`); None for all.

    """
    candidate_id = row.id or 0
    of = select(col(PartRow.candidate_id)).where(col(PartRow.lead_id) == candidate_id)
    is_here = col(ThreadRow.candidate_id) == candidate_id
    wanted = is_here | col(ThreadRow.candidate_id).in_(of) if row.n_parts else is_here
    found = list(session.execute(select(ThreadRow).where(wanted).order_by(col(ThreadRow.id))).scalars())
    if not found:
        return []
    told = _read(session, [one.id or 0 for one in found])
    texts = _Texts(stands, [stands.texts, *earlier])
    made = [_thread_of(one, told[one.id or 0]) for one in found]
    return [_placed(one, texts) for one in made if only in {None, one.said[0].reviewer_id}]


def _read(session: Session, threads: Sequence[int]) -> dict[int, list[tuple[CommentRow, str]]]:
    rows = session.execute(
        select(CommentRow, ReviewerRow.name)  # type: ignore[call-overload]
        .join(ReviewerRow, col(ReviewerRow.id) == col(CommentRow.reviewer_id))
        .where(col(CommentRow.thread_id).in_(threads))
        .order_by(col(CommentRow.id))
    )
    told: dict[int, list[tuple[CommentRow, str]]] = {}
    for one, who in rows:
        told.setdefault(one.thread_id, []).append((one, who))
    return told


def _thread_of(row: ThreadRow, acts: Sequence[tuple[CommentRow, str]]) -> Thread:
    said: dict[int, Said] = {}
    settled = None
    for one, who in acts:
        if one.act == CommentAct.SAY:
            said[one.id or 0] = Said(one.id or 0, one.reviewer_id, who, one.text, one.made_at)
        elif one.act == CommentAct.EDIT:
            was = said[one.of_id or 0]
            said[was.id] = Said(was.id, was.reviewer_id, was.who, one.text, was.at, was.n_edits + 1)
        else:
            settled = who, one.made_at
    last = acts[-1][0]
    return Thread(row, list(said.values()), last.is_resolved, last.blocks, settled)


@dataclass(frozen=True, slots=True)
class _Texts:
    """A candidate's texts: as they stand, and those of before by digest."""

    stands: Candidate
    known: Sequence[Mapping[str, str]]
    by_digest: dict[tuple[str, bytes], str | None] = field(default_factory=dict)

    def find(self, name: str, digest: bytes) -> str | None:
        """The text that had this digest, or None where nobody has it any more."""
        if not self.by_digest:
            for texts in self.known:
                self.by_digest.update({(one, digest_of(text)): text for one, text in texts.items()})
        return self.by_digest.get((name, digest))


def _placed(thread: Thread, texts: _Texts) -> Thread:
    """The thread with the line where it is now."""
    row = thread.row
    now = texts.stands.texts.get(row.field)
    if now is None:
        return thread
    kept = Kept(row.place, row.line, tuple(row.before), tuple(row.after))
    then = texts.find(row.field, bytes(row.digest))
    spot: Spot | None = None
    if row.field == "diff":
        # A cut diff is one only as the log has it.
        snippet = texts.stands.diff_is_snippet
        old = None if then is None else parse(then, snippet=snippet)
        spot, how = follow_in_diff(kept, old, parse(now, snippet=snippet), row.path, is_new=row.is_new)
        at = None if spot is None else spot.at
    else:
        index, how = follow(kept, None if then is None else _lines(then), _lines(now))
        at = None if index is None else index + 1
    return Thread(row, thread.said, thread.is_resolved, thread.blocks, thread.settled, how, at, spot)


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def digest_of(text: str) -> bytes:
    """SHA-256 of a text, half characters and all."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


# ------------------------------------------------------------------------------------------------ in the way


def refuse_blocked(session: Session, candidate_id: int, only: int | None = None) -> None:
    """Refuse to let a candidate in while a comment stands in the way; `only` one of this person's, where that is given.

    Raises:
        ConflictError: names the comment.

    """
    for _, number in session.connection().execute(_BLOCKING_ONE, {"one": candidate_id}).all():
        thread = _get(session, session.get_one(ThreadRow, number))
        if only in {None, thread.said[0].reviewer_id}:
            raise ConflictError(in_the_way(thread), where=f"candidate {candidate_id}", code="blocked")


def list_blocked(session: Session, candidates: Collection[int]) -> dict[int, str]:
    """Which of these candidates a comment keeps from being accepted: by candidate, the sentence that names it."""
    if not candidates:
        return {}
    lead = select(_part.c.candidate_id, _part.c.lead_id).where(_part.c.lead_id.in_(candidates))
    leads = {part: of for part, of in session.connection().execute(lead)}  # noqa: C416  (a row is no pair to `dict`)
    ids = [*candidates, *leads]
    found: dict[int, str] = {}
    for candidate, thread in session.connection().execute(_blocking(_thread.c.candidate_id.in_(ids))):
        said = in_the_way(_get(session, session.get_one(ThreadRow, thread)))
        found.setdefault(leads.get(candidate, candidate), said)
    return found


def in_the_way(thread: Thread) -> str:
    """The sentence that names a comment which keeps its candidate from being accepted."""
    first = thread.said[0]
    quoted = " ".join(first.text.split())
    quoted = quoted if len(quoted) <= _QUOTED else quoted[: _QUOTED - 1] + "…"
    return (
        f"Comment {thread.id} by {first.who} at {thread.place} blocks acceptance: “{quoted}” Resolve it first; "
        "reject and skip are free."
    )


def matching(value: str, reviewer_id: int | None) -> ColumnElement[int]:
    """The candidates that `comment:` finds, as a selection of their numbers; a part's comments are its lead's.

    Args:
        value: `open`, `blocking`, `any`, or `me`.
        reviewer_id: who `me` is.
    """
    led = _part.alias()
    chosen = select(_thread.c.candidate_id).join(_comment, _comment.c.thread_id == _thread.c.id)
    if value == "open":
        chosen = chosen.where(_IS_LAST, _comment.c.is_resolved.is_(False))
    elif value == "blocking":
        chosen = chosen.where(*_BLOCKS)
    elif value == "me":
        chosen = chosen.where(_comment.c.reviewer_id == reviewer_id)
    return union_all(chosen, select(led.c.lead_id).where(led.c.candidate_id.in_(chosen)))  # type: ignore[return-value]


# ------------------------------------------------------------------------------------------------ said and done


@dataclass(frozen=True, slots=True)
class Draft:
    """A comment that somebody makes on a line.

    Attributes:
        field: `diff`, `script`, `spec`, `refined` or `unified`.
        at: the line of that text, from 1.
        is_new: of a diff, whether the side after the change is meant where the line is on both.
        digest: hex, of the text that was on the screen; empty where it does not matter.
        text: plain text.
        blocks: whether it stands in the way of acceptance.
        key: the client's; a repeat gets the first answer.
    """

    field: str
    at: int
    text: str
    key: str
    digest: str = ""
    is_new: bool = True
    blocks: bool = False


def begin(
    session: Session, row: CandidateRow, reviewer_id: int, draft: Draft, stands: Candidate, *, now: datetime
) -> int:
    """Begin a thread on a line of a candidate as it stands; gives its number.

    Raises:
        BadInputError: there is no such text or line, or the comment is empty, too long or not storable.
        ConflictError: the text is another one than was on the screen, or the key is another comment's.

    """
    known = _begin(session, draft.key, CommentAct.SAY)
    if known is not None:
        return _thread_begun(session, known, row, reviewer_id)
    text = stands.texts.get(draft.field)
    if text is None:
        raise BadInputError(f"This candidate has no text called {draft.field[:40]!r}.", where="field field")
    if draft.digest and draft.digest != digest_of(text).hex():
        raise ConflictError(
            "The text was edited since this page was shown, so the line may be another one. Nothing was stored; what "
            "you typed is kept. Choose the line again."
        )
    thread = _anchored(row, draft, text, snippet=stands.diff_is_snippet)
    session.add(thread)
    session.flush()
    _append(session, thread, None, CommentAct.SAY, reviewer_id, draft.key, now, text=draft.text, blocks=draft.blocks)
    return thread.id or 0


def _thread_begun(session: Session, known: CommentRow, row: CandidateRow, reviewer_id: int) -> int:
    """The thread that the same key began, where it is the same person's, on the same candidate."""
    began = session.get_one(ThreadRow, known.thread_id)
    if (began.candidate_id, known.reviewer_id) != (row.id, reviewer_id):
        raise ConflictError(_TAKEN)
    return known.thread_id


def _anchored(row: CandidateRow, draft: Draft, text: str, *, snippet: bool) -> ThreadRow:
    made = ThreadRow(
        project_id=row.project_id,
        candidate_id=row.id or 0,
        candidate_version=row.version,
        field=draft.field,
        digest=digest_of(text),
        at=draft.at,
        place=draft.at - 1,
        line="",
    )
    if draft.field == "diff":
        doc = parse(text, snippet=snippet)
        here = [one for one in spots(doc) if one.at == draft.at]
        if not here:
            raise BadInputError(f"Line {draft.at} of the diff is no line of a file.", where="field at")
        spot = next((one for one in here if one.is_new is draft.is_new), here[0])
        made.path, made.is_new, made.number = doc.files[spot.file - 1].path, spot.is_new, spot.number
        side = [one for one in spots(doc) if (one.file, one.is_new) == (spot.file, spot.is_new)]
        lines, made.place = [one.text for one in side], side.index(spot)
    else:
        lines = _lines(text)
        if not 1 <= draft.at <= len(lines):
            raise BadInputError(f"The text has lines 1 to {len(lines):,}, not {draft.at}.", where="field at")
    kept = keep(lines, made.place)
    made.line = _storable(kept.text)
    made.before, made.after = [*map(_storable, kept.before)], [*map(_storable, kept.after)]
    return made


def _storable(line: str) -> str:
    """A line as the database can hold it; one that it cannot is found again by its neighbours."""
    cut = line[:_LONGEST_LINE].replace("\x00", "\ufffd")
    return cut.encode(errors="replace").decode() if not cut.isascii() else cut


def answer(
    session: Session, project_id: int, reviewer_id: int, thread_id: int, text: str, *, key: str, now: datetime
) -> Thread:
    """Say something in a thread.

    Raises:
        NotFoundError: there is no such thread.
        BadInputError: the comment is empty, too long or not storable.
        ConflictError: the key is another comment's.

    """
    return _act(session, project_id, reviewer_id, thread_id, CommentAct.SAY, key, now, text=text)


def edit(
    session: Session,
    project_id: int,
    reviewer_id: int,
    comment_id: int,
    text: str,
    *,
    blocks: bool | None = None,
    key: str,
    now: datetime,
) -> Thread:
    """Say better what one has said; `blocks` is of the first comment of a thread alone, None leaves it as it is.

    Raises:
        NotFoundError: there is no such comment.
        RefusedError: it is another person's.
        BadInputError: the comment is empty, too long or not storable.
        ConflictError: the key is another comment's.

    """
    thread = get_thread_of(session, project_id, comment_id)
    if next(one for one in thread.said if one.id == comment_id).reviewer_id != reviewer_id:
        raise RefusedError("A comment is edited by whoever made it. Answer it, or resolve it.")
    is_first = thread.said[0].id == comment_id
    return _act(
        session, project_id, reviewer_id, thread.id, CommentAct.EDIT, key, now, text=text,
        of=comment_id, blocks=blocks if is_first else None,
    )  # fmt: skip


def settle(
    session: Session, project_id: int, reviewer_id: int, thread_id: int, act: CommentAct, *, key: str, now: datetime
) -> Thread:
    """Resolve a thread, or open it again; what it is already it stays, without a row.

    Raises:
        NotFoundError: there is no such thread.
        ConflictError: the key is another comment's.

    """
    return _act(session, project_id, reviewer_id, thread_id, act, key, now)


def get_thread(session: Session, project_id: int, thread_id: int) -> Thread:
    """A thread without the place of its line.

    Raises:
        NotFoundError: there is none in this project.

    """
    row = session.get(ThreadRow, thread_id) if is_id(thread_id) else None
    if row is None or row.project_id != project_id:
        raise NotFoundError(f"There is no comment {thread_id} here.")
    return _get(session, row)


def get_thread_of(session: Session, project_id: int, comment_id: int) -> Thread:
    """The thread in which a comment was made.

    Raises:
        NotFoundError: there is no such comment in this project.

    """
    row = session.get(CommentRow, comment_id) if is_id(comment_id) else None
    if row is None or row.act != CommentAct.SAY:
        raise NotFoundError(f"There is no comment {comment_id} here.")
    return get_thread(session, project_id, row.thread_id)


def _get(session: Session, row: ThreadRow) -> Thread:
    return _thread_of(row, _read(session, [row.id or 0])[row.id or 0])


def _act(
    session: Session,
    project_id: int,
    reviewer_id: int,
    thread_id: int,
    act: CommentAct,
    key: str,
    now: datetime,
    *,
    text: str = "",
    of: int | None = None,
    blocks: bool | None = None,
) -> Thread:
    known = _begin(session, key, act, thread_id)
    thread = get_thread(session, project_id, thread_id)
    is_so = {CommentAct.RESOLVE: thread.is_resolved, CommentAct.REOPEN: not thread.is_resolved}.get(act, False)
    if known is None and not is_so:
        _append(session, thread.row, thread, act, reviewer_id, key, now, text=text, of=of, blocks=blocks)
    return get_thread(session, project_id, thread_id)


def _begin(session: Session, key: str, act: CommentAct, thread_id: int | None = None) -> CommentRow | None:
    """What the same key brought before, or None; nobody decides or comments until the transaction ends."""
    if not 0 < len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise BadInputError(f"A key is 1 to {_LONGEST_KEY} printable ASCII characters.", where="field key")
    # An accept that was checked a moment ago must not pass a comment that blocks it.
    lock_chain(session)
    known: CommentRow | None = session.execute(select(CommentRow).where(col(CommentRow.key) == key)).scalar()
    if known is not None and (known.act != act or thread_id not in {None, known.thread_id}):
        raise ConflictError(_TAKEN)
    return known


def _append(
    session: Session,
    row: ThreadRow,
    before: Thread | None,
    act: CommentAct,
    reviewer_id: int,
    key: str,
    now: datetime,
    *,
    text: str = "",
    of: int | None = None,
    blocks: bool | None = None,
) -> None:
    text = text.replace("\r\n", "\n").strip()
    if act in {CommentAct.SAY, CommentAct.EDIT}:
        _check_text(text)
    is_resolved = act == CommentAct.RESOLVE or (before is not None and before.is_resolved and act != CommentAct.REOPEN)
    made = CommentRow(
        thread_id=row.id or 0,
        act=act,
        of_id=of,
        text=text,
        is_resolved=is_resolved,
        blocks=(before is not None and before.blocks) if blocks is None else blocks,
        key=key,
        reviewer_id=reviewer_id,
        made_at=now,
    )
    session.add(made)
    session.flush()


def _check_text(text: str) -> None:
    if not text:
        raise BadInputError("The comment is empty.", where="field text")
    if len(text) > MOST_CHARACTERS:
        raise BadInputError(
            f"A comment has at most {MOST_CHARACTERS:,} characters; this has {len(text):,}.", where="field text"
        )
    refuse_unstorable("text", text)
