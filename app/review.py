"""One candidate with its evidence, and what people decide: decide, undo, join, split.

Decisions are append-only, state is derived.
"""

import hashlib
import time
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, exists, insert, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app import (
    asking,
    audit,
    checks,
    comments,
    decisions,
    drafts,
    editing,
    evidence,
    gold,
    guidelines,
    jobs,
    joining,
    prepare,
    projects,
    queue,
    turns,
)
from app.accounts import NOBODY
from app.candidates import Candidate, Finding, Kind, Severity
from app.db import LARGEST_ID, is_id, lock_chain, lock_ingest, lock_people
from app.decisions import Derived
from app.diffs.edit import normalise_edit
from app.diffs.merge import find_mark
from app.diffs.unicode import refuse_unstorable
from app.errors import BadInputError, ConflictError, NotFoundError, RefusedError
from app.evidence import Part, Told
from app.formats import SUCCESS
from app.formats.reading import changed_lines
from app.models import (
    Agreement,
    CandidateRow,
    DecisionRow,
    EntryRow,
    FindingRow,
    GoldAnswerRow,
    JobState,
    ProjectRow,
    ReviewerRow,
    RevisionRow,
    SourceRow,
    Status,
    Verdict,
    metadata,
)

_MOST_CHARACTERS = 10_000
_LONGEST_KEY = 200
UNDO_KIND = "undo"
"""The kind of job that takes back the rest of a bulk act."""
_SECONDS, _SOME = 0.03, 50
KIND_NAMES: Mapping[str, str] = {
    Kind.PATCH: "patch",
    Kind.SPEC: "spec",
    Kind.STYLE_REFINE: "fingerprint",
    Kind.STYLE_UNIFY: "profile",
}
"""What a candidate of each kind is called."""

_TEXTS = {
    Kind.PATCH: ("script", "diff"), Kind.SPEC: ("spec",), Kind.STYLE_REFINE: ("refined",),
    Kind.STYLE_UNIFY: ("unified",),
}  # fmt: skip

# What every decision asks is built once, and of tables where no object is needed: to build a statement, or an object,
# costs several times what SQLite needs to answer.
_candidate, _decision, _rendering, _tally = (
    metadata.tables[name] for name in ("candidate", "decision", "rendering", "tally")
)
_RENDERING = select(_rendering.c.html).where(
    _rendering.c.candidate_id == bindparam("candidate"),
    _rendering.c.view == bindparam("view"),
    _rendering.c.version == bindparam("version"),
)
_BY_ID = select(CandidateRow).where(col(CandidateRow.id) == bindparam("id"))
_STATE = select(
    _candidate.c.version,
    _candidate.c.status,
    _candidate.c.agreement,
    exists().where(_decision.c.key == bindparam("key")),
    comments.IS_BLOCKED,
).where(_candidate.c.id == bindparam("candidate"))
_SPOKEN = (
    select(CandidateRow, EntryRow, col(SourceRow.name))
    .join(EntryRow, col(EntryRow.candidate_id) == col(CandidateRow.id))
    .join(SourceRow, col(SourceRow.id) == col(EntryRow.source_id))
    .where(col(CandidateRow.id) == bindparam("candidate"), col(CandidateRow.project_id) == bindparam("project"))
    .order_by(col(EntryRow.id))
    .limit(1)
)


# ------------------------------------------------------------------------------------------------ one candidate


History = list[tuple[DecisionRow, str, RevisionRow | None]]


class Size(NamedTuple):
    """Lines that a diff adds and removes."""

    n_added: int
    n_removed: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A candidate with its evidence, as the review page shows it.

    Attributes:
        row: what lists show of it.
        said: what the log said.
        stands: the same with the edit that counts, or `said` itself: what an export takes.
        entry: the log line.
        source_name: the file it came from.
        findings: about what stands.
        history: every decision, oldest first, with the reviewer's name and the revision it carries; while it waits for
            opinions, only those of the person who looks.
        is_blind: whether it waits for opinions.
        parts: what it was put together from, besides its own entry.
        lead: the candidate that this one was joined with and is shown under, or None.
    """

    row: CandidateRow
    said: Candidate
    stands: Candidate
    entry: EntryRow
    source_name: str
    findings: list[Finding]
    history: History
    parts: tuple[Part, ...] = ()
    lead: int | None = None
    is_blind: bool = False

    @property
    def size(self) -> Size:
        """How many lines the diff that stands adds and removes."""
        if self.stands.diff == self.said.diff:
            return Size(self.row.n_added, self.row.n_removed)
        return Size(*changed_lines(self.stands.diff or "")[1:])

    @property
    def sides(self) -> History:
        """The opinions that were asked for, once all of them are there, side by side."""
        if self.row.agreement in {Agreement.NONE, Agreement.WAITING}:
            return []
        derived = decisions.derive((one for one, _, _ in self.history), self.row.judged_from)
        shown = {one.id for one in derived.opinions}
        return [entry for entry in self.history if entry[0].id in shown]


def answer(
    session: Session, project_id: int, reviewer_id: int, thread_id: int, text: str, *, key: str, now: datetime
) -> comments.Thread:
    """Say something in a thread, and tell whoever spoke there before, where they may see it.

    Raises:
        NotFoundError: there is no such thread.
        BadInputError: the comment is empty, too long or not storable.
        ConflictError: the key is another comment's.

    """
    before = comments.get_thread(session, project_id, thread_id)
    made = comments.answer(session, project_id, reviewer_id, thread_id, text, key=key, now=now)
    if len(made.said) > len(before.said):
        row = session.get_one(CandidateRow, made.row.candidate_id)
        lead = evidence.find_lead(session, row) if row.status == Status.JOINED else None
        hidden = {one.reviewer_id for one in made.said if asking.is_hidden(session, row, one.reviewer_id)}
        told = replace(made, said=[one for one in made.said if one.reviewer_id not in hidden])
        turns.tell_answer(session, lead or row.id or 0, reviewer_id, told, now=now)
    return made


def get_candidate(session: Session, project_id: int, candidate_id: int) -> CandidateRow:
    """The candidate.

    Raises:
        NotFoundError: no such candidate in this project.

    """
    row: CandidateRow | None = None
    if is_id(candidate_id):
        row = session.execute(_BY_ID, {"id": candidate_id}).scalar()
    if row is None or row.project_id != project_id:
        raise NotFoundError(f"There is no candidate {candidate_id} here.")
    return row


def open_candidate(session: Session, project_id: int, candidate_id: int) -> Opened:
    """A candidate with entry, findings and history; while it waits for opinions, with those of who asks alone.

    Raises:
        NotFoundError: no such candidate.

    """
    named = {"candidate": candidate_id, "project": project_id}
    found = session.execute(_SPOKEN, named).first() if is_id(candidate_id) else None
    if found is None:
        raise NotFoundError(f"There is no candidate {candidate_id} here.")
    row, entry, source_name = found
    if row.n_parts or entry.format != SUCCESS:
        told = evidence.read_candidate(session, row)
    else:
        said = replace(evidence.read_success(entry.raw), rating=row.rating, logged_at=row.logged_at)
        told = Told(said, entry, source_name, ())
    shown = _as_seen(session, row, queue.who_asks(session))
    if shown is not row:
        findings = list_findings(session, row, told.said)
        return Opened(shown, told.said, told.said, told.entry, told.source_name, findings, [], told.parts)
    # A first version is one that nobody has decided on, but for opinions that wait for others.
    history = decisions.list_history(session, candidate_id) if row.version > 1 or row.agreement else []
    stands = _with_edit(told.said, history, row.judged_from)
    findings = list_findings(session, row, told.said) if stands is told.said else _findings_of_edit(told.said, stands)
    lead = evidence.find_lead(session, row) if row.status == Status.JOINED else None
    is_blind = bool(history) and asking.is_blind(session, row)
    if is_blind:
        history = asking.seen_by(history, queue.who_asks(session))
    return Opened(row, told.said, stands, told.entry, told.source_name, findings, history, told.parts, lead, is_blind)


def _with_edit(
    said: Candidate, history: list[tuple[DecisionRow, str, RevisionRow | None]], judged_from: int
) -> Candidate:
    standing = decisions.find_standing((decision for decision, _, _ in history), judged_from)
    revision = next((edit for decision, _, edit in history if decision is standing), None)
    return said if revision is None else said.with_text(revision.field, revision.text)


def _findings_of_edit(said: Candidate, stands: Candidate) -> list[Finding]:
    """What the checks notice about an edited text; an edited diff is an answer without the script."""
    findings = checks.run(stands)
    if stands.diff == said.diff:
        return list(findings)
    return [found for found in findings if found.place.partition(":")[0] not in {"script", "script_hash"}]


def list_findings(session: Session, row: CandidateRow, said: Candidate) -> list[Finding]:
    """What the checks noticed: stored by the worker, or made on the spot where it has not been yet."""
    if row.checks_version != checks.CHECKS_VERSION:
        return list(checks.run(said))
    stored = session.execute(
        select(FindingRow).where(col(FindingRow.candidate_id) == row.id).order_by(col(FindingRow.id))
    ).scalars()
    return [Finding(one.code, Severity(one.severity), one.place, one.message) for one in stored]


def find_rendering(session: Session, candidate_id: int, view: str, version: int) -> str | None:
    """HTML that the worker made, or None."""
    named = {"candidate": candidate_id, "view": view, "version": version}
    html = session.connection().execute(_RENDERING, named).scalar()
    return None if html is None else zlib.decompress(html).decode()


def show(session: Session, opened: Opened, view: prepare.View, piece: int = 0, *, told: Collection[int] = ()) -> str:
    """The HTML of one view, or of a later piece of a long one: the worker's, or made now.

    Lines of the diff that are `told` of have an anchor, as those that findings name.

    Raises:
        NotFoundError: the view has fewer pieces.

    """
    number = opened.row.id or 0
    if opened.stands is opened.said and not told:
        place = prepare.place_of(view, piece)
        stored = find_rendering(session, number, place, prepare.renderer_version())
        if stored is not None:
            return stored
    pieces = prepare.render(number, opened.stands, view, opened.findings, told)
    if piece >= len(pieces):
        raise NotFoundError(f"The diff of candidate {number} has no piece {piece}: it may have been edited. Reload it.")
    return pieces[piece]


# ------------------------------------------------------------------------------------------------ decide


@dataclass(frozen=True, slots=True)
class Act:
    """What a reviewer did: one verdict on one version of a candidate.

    Attributes:
        verdict: `undo` is not among them; see `undo`.
        version: the candidate's version that the reviewer saw.
        key: the client's idempotency key; a repeat gets the first answer.
        reasons: codes of the project's list.
        comment: free text.
        rating: 1 to 5, or None.
        edited: `("script", text)` or `("diff", text)`; with `edit` only.
        n_seen: how many of the changes were on the screen before, of `n_hunks`; None where nobody measured.
        spent_ms: milliseconds from the painted candidate to the decision, or None.
        lease: the number of the lease that the reviewer was given, or None where nobody kept it.
        guideline: the version of the guideline that the page showed, or None for the one that stands.
    """

    verdict: Verdict
    version: int
    key: str
    reasons: tuple[str, ...] = ()
    comment: str = ""
    rating: int | None = None
    edited: tuple[str, str] | None = None
    n_seen: int | None = None
    n_hunks: int | None = None
    spent_ms: int | None = None
    lease: int | None = None
    guideline: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an act; `decision` is None where an edit changed nothing, `repeated` where the key was known.

    Where a bulk act was taken back, `bulk` names it, and `rest` is the job that goes on with it, if any. `late` is a
    decision that counts although its lease was over: nobody else had decided. `gold` is what the person is told who has
    judged a gold candidate: that is no decision.
    """

    decision: DecisionRow | None
    candidate: CandidateRow
    repeated: bool = False
    bulk: str | None = None
    rest: int | None = None
    late: bool = False
    gold: str = ""


def decide(
    session: Session,
    project_id: int,
    reviewer_id: int,
    candidate_id: int,
    act: Act,
    *,
    may_settle: bool = True,
    now: datetime,
) -> Outcome:
    """Record a reviewer's act on a candidate: the decision, one of several opinions, or the last word on them.

    Args:
        session: to write to.
        project_id: its project.
        reviewer_id: who decides.
        candidate_id: on what.
        act: what was decided.
        may_settle: whether this person may have the last word where several people were asked.
        now: aware UTC time.

    Raises:
        NotFoundError: no such candidate.
        RefusedError: all opinions are there, and the last word is a curator's.
        ConflictError: the candidate was decided or changed since this version was shown, or a comment blocks it.
        BadInputError: an unknown reason, a rating outside 1 to 5, an edit without text or a text without edit.

    """
    guideline = check_act(session, project_id, act)
    who = _Decider(project_id, reviewer_id, guideline, may_settle)
    if _may_look_first(session, project_id):
        found = _decide(session, who, candidate_id, act, now, is_in_line=False)
        if found is not None:
            return found
    else:
        lock_chain(session)
    found = _decide(session, who, candidate_id, act, now, is_in_line=True)
    assert found is not None  # noqa: S101  (nobody else decides now)
    return found


@dataclass(frozen=True, slots=True)
class _Decider:
    project_id: int
    reviewer_id: int
    guideline: int | None
    may_settle: bool


def _may_look_first(session: Session, project_id: int) -> bool:
    """Whether to look before standing in the line of all decisions, which is long where every step in it is a message.

    Where several opinions are asked, or some candidates are gold, what is seen depends on what others just said.
    """
    opinions = projects.get_opinions(session, project_id)
    return session.get_bind().dialect.name == "postgresql" and opinions.asked == 1 and not opinions.gold_share


def _decide(
    session: Session, who: _Decider, candidate_id: int, act: Act, now: datetime, *, is_in_line: bool
) -> Outcome | None:
    """As `decide`; in the line now or at the end, and then None where the candidate moved before its turn came."""
    reviewer_id = who.reviewer_id
    row = get_candidate(session, who.project_id, candidate_id)
    earlier = _find_earlier(session, act.key, act.verdict, candidate_id)
    if earlier is not None:
        return Outcome(earlier, row, repeated=True)
    if (answered := _answer_gold(session, row, reviewer_id, act, now)) is not None:
        return answered
    if row.version != act.version or row.status == Status.JOINED:
        raise _stale(session, row, act.version, _sent(act))
    is_late = act.lease is not None and not _is_running(row, reviewer_id, act.lease, now)
    if act.verdict in comments.LETS_IN:
        comments.refuse_blocked(session, candidate_id, asking.only_of(session, row, reviewer_id))
    asked = _asked(session, row, may_settle=who.may_settle)
    revision = None
    if act.edited is not None:
        revision = _revise(session, row, *act.edited, now)
        if revision is None:
            return Outcome(None, row)
    decision = _decision_of(row, reviewer_id, act, revision, now)
    decision.asked, decision.guideline = asked, who.guideline
    is_turn = turns.is_waiting(session, reviewer_id, candidate_id)
    if revision is not None:
        drafts.discard(session, reviewer_id, candidate_id)
    else:
        drafts.take_remarks(session, reviewer_id, candidate_id)
    session.flush()
    if not is_in_line and _has_moved(session, row, act):
        return None
    decisions.append(session, decision, revision)
    alone = Derived(decisions.STATUS_OF[act.verdict], decision)
    decisions.move(session, row, alone if asked is None else decisions.derive_row(session, row), of=decision)
    if is_turn:
        turns.finish(session, reviewer_id, [candidate_id], decision.id, now=now)
    return Outcome(decision, row, late=is_late)


def _has_moved(session: Session, row: CandidateRow, act: Act) -> bool:
    """Stand in line, and see whether anything is another than when it was looked at: then all is looked at again."""
    lock_chain(session)
    named = {"candidate": row.id, "one": row.id, "key": act.key}
    *now, is_blocked = session.connection().execute(_STATE, named).one()
    is_as_seen = now == [row.version, row.status, row.agreement, False]
    if is_as_seen and not (is_blocked and act.verdict in comments.LETS_IN):
        return False
    session.expire(row)
    return True


def _answer_gold(session: Session, row: CandidateRow, reviewer_id: int, act: Act, now: datetime) -> Outcome | None:
    """Keep what a person said who does not know that what is right is known; None where this is no such thing.

    The candidate stays as it is, and is shown to this person as before.
    """
    if not projects.get_opinions(session, row.project_id).gold_share:
        return None
    answered = gold.find_answer(session, act.key)
    if answered is not None and (answered.candidate_id, answered.reviewer_id) == (row.id, reviewer_id):
        return Outcome(None, _as_seen(session, row, reviewer_id), repeated=True, gold=gold.feedback(session, answered))
    if row.id not in gold.list_hidden(session, row.project_id, reviewer_id):
        return None
    made = GoldAnswerRow(
        project_id=row.project_id,
        candidate_id=row.id or 0,
        reviewer_id=reviewer_id,
        verdict=act.verdict,
        reasons=list(act.reasons),
        comment=act.comment,
        spent_ms=act.spent_ms,
        key=act.key,
        answered_at=now,
    )
    said = gold.feedback(session, gold.answer(session, made))
    # It is no decision, so it stands in the other chain.
    actor = audit.Actor(reviewer_id, session.get_one(ReviewerRow, reviewer_id).name, decisions.origin())
    about = {"candidate": row.id, "verdict": act.verdict, "answer": made.id}
    audit.note(session, actor, "judged gold", now=now, project_id=row.project_id, about=about)
    drafts.discard(session, reviewer_id, row.id or 0)
    return Outcome(None, _as_seen(session, row, reviewer_id), gold=said)


def _as_seen(session: Session, row: CandidateRow, viewer: int | None) -> CandidateRow:
    """A candidate as a person sees it: gold that is to be judged unknowingly looks as if it waited."""
    if row.status == Status.PENDING or row.id not in gold.list_hidden(session, row.project_id, viewer):
        return row
    hidden = {"status": Status.PENDING, "agreement": Agreement.NONE, "n_opinions": 0, "settled_by": None}
    return CandidateRow(**row.model_dump() | hidden)


def _decision_of(
    row: CandidateRow, reviewer_id: int, act: Act, revision: RevisionRow | None, now: datetime
) -> DecisionRow:
    return DecisionRow(
        project_id=row.project_id,
        candidate_id=row.id or 0,
        candidate_version=row.version,
        reviewer_id=reviewer_id,
        verdict=act.verdict,
        key=act.key,
        reasons=list(act.reasons),
        comment=act.comment,
        rating=act.rating,
        revision_id=None if revision is None else revision.id,
        n_seen=act.n_seen,
        n_hunks=act.n_hunks,
        spent_ms=act.spent_ms,
        decided_at=now,
    )


def _is_running(row: CandidateRow, reviewer_id: int, number: int, now: datetime) -> bool:
    ends = row.lease_until
    return row.lease_by == reviewer_id and row.lease_number == number and ends is not None and ends >= now


def _sent(act: Act) -> dict[str, object]:
    """What was sent and is not stored, for whoever sent it."""
    return {
        "verdict": act.verdict,
        "version": act.version,
        "reasons": list(act.reasons),
        "comment": act.comment,
        "rating": act.rating,
        "edited": None if act.edited is None else dict([act.edited]),
    }


def _asked(session: Session, row: CandidateRow, *, may_settle: bool) -> int | None:
    """Of how many opinions a decision would be one; 0 for the last word on them, None where one person decides."""
    if row.agreement == Agreement.WAITING:
        # What was asked of the first holds for all, whatever the project says since.
        return decisions.derive_row(session, row).asked
    if row.status == Status.PENDING:
        asked = asking.asked_of(session, row)
        return asked if asked > 1 else None
    if not row.agreement:
        return None
    if why := keeps_out(row, may_settle=may_settle):
        raise RefusedError(why)
    return 0


def keeps_out(row: CandidateRow, *, may_settle: bool) -> str:
    """Why a person cannot decide on a candidate although they review; empty where they can.

    `keeps_out(row, may_settle=False)` → "2 people have judged candidate 7; the last word on it is a curator's. …"
    """
    if may_settle or row.status == Status.PENDING or row.agreement in {Agreement.NONE, Agreement.WAITING}:
        return ""
    return (
        f"{row.n_opinions} people have judged candidate {row.id}; the last word on it is a curator's. Whoever was one "
        "of them can take that opinion back on the candidate's page, and then give another."
    )


def undo(session: Session, project_id: int, reviewer_id: int, *, key: str, of: str = "", now: datetime) -> Outcome:
    """Take back the reviewer's last act that stands; undo again and the one before it goes.

    Decisions that were made as one go as one: the first of them at once, the others by the job `Outcome.rest`.

    Args:
        session: to write to.
        project_id: theirs.
        reviewer_id: who takes back; only what this person decided.
        key: the client's idempotency key; a repeat gets the first answer.
        of: the key of the decision that is meant, where it need not be the last one; empty for the last.
        now: aware UTC time.

    Raises:
        ConflictError: nothing is left to take back, or the key is another decision's.

    """
    earlier = _begin_undo(session, project_id, key)
    if earlier is not None:
        return earlier
    last = _find_last(session, project_id, reviewer_id, of)
    bulk = None if of else _find_last_bulk(session, project_id, reviewer_id, 0 if last is None else last.id or 0)
    if bulk is not None:
        return _undo_bulk(session, project_id, reviewer_id, bulk, key, now)
    if last is None:
        if of and gold.find_answer(session, of) is not None:
            raise ConflictError("What you said of that candidate is kept, and stays: it was gold.")
        raise ConflictError("That decision was taken back already." if of else "There is nothing left to undo.")
    row = get_candidate(session, project_id, last.candidate_id)
    decision = DecisionRow(
        project_id=project_id,
        candidate_id=last.candidate_id,
        candidate_version=row.version,
        reviewer_id=reviewer_id,
        verdict=Verdict.UNDO,
        key=key,
        undoes_id=last.id,
        decided_at=now,
    )
    decisions.append(session, decision, None)
    turns.reopen(session, last.id or 0)
    if last.other_id is not None:
        joining.settle(session, project_id, [last.candidate_id, last.other_id])
    elif row.status != Status.JOINED:
        decisions.move(session, row, decisions.derive_row(session, row), of=last)
    return Outcome(decision, row)


def undo_bulk(session: Session, project_id: int, reviewer_id: int, bulk: str, *, key: str, now: datetime) -> Outcome:
    """Take back what was decided as one, whatever was decided since; or go on with that where it was broken off.

    Raises:
        ConflictError: nothing of it is left to take back, or the key is another decision's.

    """
    earlier = _begin_undo(session, project_id, key)
    return earlier or _undo_bulk(session, project_id, reviewer_id, bulk, key, now)


def _begin_undo(session: Session, project_id: int, key: str) -> Outcome | None:
    """What the same key brought before, or None; nobody else decides until the transaction ends."""
    _check_key(key)
    lock_ingest(session)
    lock_chain(session)
    earlier = _find_earlier(session, key, Verdict.UNDO)
    if earlier is None:
        return None
    row = get_candidate(session, project_id, earlier.candidate_id)
    bulk = None if earlier.bulk is None else decisions.bulk_name(decisions.job_of(earlier.bulk))
    rest = None if bulk is None else _find_rest(session, project_id, bulk)
    return Outcome(earlier, row, repeated=True, bulk=bulk, rest=rest)


def _find_last(session: Session, project_id: int, reviewer_id: int, of: str = "") -> DecisionRow | None:
    """The reviewer's last decision that stands, of those that were made one by one; or the one with the key `of`."""
    undoing = aliased(DecisionRow)
    last: DecisionRow | None = session.execute(
        select(DecisionRow)
        .where(
            col(DecisionRow.project_id) == project_id,
            col(DecisionRow.reviewer_id) == reviewer_id,
            col(DecisionRow.verdict) != Verdict.UNDO,
            col(DecisionRow.bulk).is_(None),
            ~exists().where(col(undoing.undoes_id) == col(DecisionRow.id)),
            *([col(DecisionRow.key) == of] if of else []),
        )
        .order_by(col(DecisionRow.id).desc())
        .limit(1)
    ).scalar()
    return last


def _find_last_bulk(session: Session, project_id: int, reviewer_id: int, after: int) -> str | None:
    """The reviewer's last bulk act that began after a decision, and that nobody has begun to take back."""
    last: tuple[int, str] | None = None
    for bulk, first in decisions.list_bulks(session, project_id, reviewer_id, after):
        is_later = first > (after if last is None else last[0])
        if is_later and not decisions.is_begun(session, decisions.undo_name(bulk)):
            last = first, bulk
    return None if last is None else last[1]


def _undo_bulk(session: Session, project_id: int, reviewer_id: int, bulk: str, key: str, now: datetime) -> Outcome:
    order = jobs.get_job(session, project_id, decisions.job_of(bulk))
    if _find_rest(session, project_id, bulk) is not None:
        raise ConflictError("That is being taken back already; its page says how far it is.")
    rest, began, last = None, time.perf_counter(), 0
    while some := decisions.list_to_take_back(session, bulk, after=last, limit=_SOME):
        take_back(session, some, reviewer_id, key, now, is_first=not last)
        last = some[-1].id or 0
        if time.perf_counter() - began > _SECONDS:
            break
    if not last:
        raise ConflictError("There is nothing left to undo of what was decided as one.")
    if order.state in {JobState.QUEUED, JobState.RUNNING}:
        jobs.cancel(session, project_id, order.id or 0, now=now).message = "Taken back before it ended."
    if decisions.list_to_take_back(session, bulk, after=last, limit=1):
        args: dict[str, object] = {"bulk": bulk, "reviewer": reviewer_id, "key": key, "address": decisions.origin()}
        rest = jobs.enqueue(session, project_id, UNDO_KIND, args, now=now).id
    lead = decisions.find_by_key(session, key)
    assert lead is not None  # noqa: S101  (it was stored above)
    return Outcome(lead, get_candidate(session, project_id, lead.candidate_id), bulk=bulk, rest=rest)


def take_back(
    session: Session, made: Sequence[DecisionRow], reviewer_id: int, key: str, now: datetime, *, is_first: bool = False
) -> None:
    """Take back some decisions of one bulk act; the first of all gets the key itself, the others keys made of it."""
    wanted = [f"{key}:{one.id}" for one in made]
    keys = [*([key] if is_first else []), *decisions.free_keys(session, wanted[is_first:])]
    bulk = decisions.undo_name(made[0].bulk or "")
    decisions.take_back(session, made, reviewer_id, keys, bulk=bulk, now=now)


def _find_rest(session: Session, project_id: int, bulk: str) -> int | None:
    """The job that takes back the rest of a bulk act, or None."""
    waiting = jobs.list_unfinished(session, project_id, UNDO_KIND)
    return next((job.id for job in waiting if job.args["bulk"] == bulk), None)


def check_act(session: Session, project_id: int, act: Act) -> int | None:
    """Refuse what makes no sense of any candidate; gives the version of the guideline that was read, for the decision.

    Raises:
        BadInputError: an unknown reason, a rating outside 1 to 5, an edit without text or a text without edit.

    """
    _check_key(act.key)
    if act.verdict not in decisions.STATUS_OF:
        raise BadInputError(f"{act.verdict} has an address of its own: POST /undo.", where="field verdict")
    guideline = guidelines.check_reasons(session, project_id, act.reasons, act.guideline)
    if act.reasons and act.verdict not in {Verdict.REJECT, Verdict.FLAG}:
        raise BadInputError(
            f"Reasons say why a patch is rejected or flagged; this is {act.verdict}. Take the marks off, or reject it.",
            where="field reasons",
        )
    if act.rating is not None and act.rating not in range(1, 6):
        raise BadInputError(f"A rating is 1 to 5; it is {act.rating}.", where="field rating")
    _check_measured(act)
    if len(act.comment) > _MOST_CHARACTERS:
        raise BadInputError(f"A comment holds at most {_MOST_CHARACTERS:,} characters.", where="field comment")
    refuse_unstorable("comment", act.comment)
    if (act.verdict == Verdict.EDIT) != (act.edited is not None):
        raise BadInputError("An edit needs the edited text, and only an edit has one.", where="field edited")
    return guideline


def _check_measured(act: Act) -> None:
    for name in ("n_seen", "n_hunks", "spent_ms", "lease", "guideline"):
        value = getattr(act, name)
        if value is not None and not 0 <= value <= LARGEST_ID:
            raise BadInputError(
                f"{name} is a whole number from 0 to {LARGEST_ID:,}; it is {value}.", where=f"field {name}"
            )
    if act.n_seen is not None and act.n_hunks is not None and act.n_seen > act.n_hunks:
        raise BadInputError(f"Of {act.n_hunks} changes, {act.n_seen} cannot have been seen.", where="field n_seen")


def _check_key(key: str) -> None:
    if not 0 < len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise BadInputError(f"A key is 1 to {_LONGEST_KEY} printable ASCII characters.", where="field key")


def _find_earlier(session: Session, key: str, verdict: Verdict, candidate_id: int | None = None) -> DecisionRow | None:
    """What this key brought before, or None; a key that brought anything else is refused."""
    known = decisions.find_by_key(session, key)
    if known is not None and (known.verdict != verdict or candidate_id not in {None, known.candidate_id}):
        raise ConflictError("This key was used for another decision; every decision needs a key of its own.")
    return known


def _stale(session: Session, row: CandidateRow, seen: int, yours: Mapping[str, object]) -> ConflictError:
    """The refusal of a write that saw an earlier version: what was sent, and what stands instead."""
    row, history = _told_of(session, row)
    last, who, revision = history[-1] if history else (None, "", None)
    said = evidence.read_candidate(session, row).said
    theirs: dict[str, object] = {
        "version": row.version,
        "status": row.status,
        "texts": dict(_with_edit(said, history, row.judged_from).texts),
        "joined_with": evidence.find_lead(session, row) if row.status == Status.JOINED else None,
        "decision": None,
    }
    if last is not None:
        theirs["decision"] = {
            "verdict": last.verdict,
            "by": who,
            "at": last.decided_at,
            "reasons": last.reasons,
            "comment": last.comment,
            "rating": last.rating,
            "edited": None if revision is None else {revision.field: revision.text},
        }
    both = {"yours": dict(yours), "theirs": theirs}
    return ConflictError(_changed(session, row, seen), where=f"candidate {row.id}", both=both)


def _told_of(session: Session, row: CandidateRow) -> tuple[CandidateRow, History]:
    """A candidate and its history as whoever is refused may know them."""
    viewer = queue.who_asks(session)
    history = [] if asking.is_hidden(session, row, viewer) else decisions.list_history(session, row.id or 0)
    return _as_seen(session, row, viewer), history


def _changed(session: Session, row: CandidateRow, seen: int) -> str:
    if row.status == Status.JOINED:
        lead = evidence.find_lead(session, row)
        return (
            f"Candidate {row.id} was joined with candidate {lead}: both speak of one change. "
            "Nothing of yours was stored; decide on that one."
        )
    row, history = _told_of(session, row)
    last = ""
    if history:
        decision, who, _ = history[-1]
        is_own = decision.reviewer_id == queue.who_asks(session)
        last = f" by {'you, elsewhere' if is_own else who} ({decision.verdict})"
    return (
        f"Candidate {row.id} was changed{last} after you opened it: you saw version {seen}, it is version "
        f"{row.version} and {row.status} now. Nothing of this was stored; look at it as it is now and decide anew."
    )


def check_edit(said: Candidate, field: str, submitted: str) -> tuple[list[Finding], Candidate]:
    """What the checks would notice about one of a candidate's texts, were it this, and the candidate with it.

    Raises:
        BadInputError: the candidate has no such text, or this one cannot be stored.

    """
    stands = said.with_text(field, _meant(said, field, submitted))
    return [found for found in checks.run(stands) if found.place.partition(":")[0] == field], stands


def _meant(said: Candidate, field: str, submitted: str) -> str:
    """The text that a person meant by what was sent, in a field that the candidate has."""
    texts = _TEXTS[said.kind]
    if field not in texts:
        raise BadInputError(
            f"A {KIND_NAMES[said.kind]} has no text called {field[:40]!r}; edit its {' or its '.join(texts)}.",
            where="field edited",
        )
    original = said.texts.get(field)
    if original is None:
        raise BadInputError(
            f"The log holds no {field} of this {KIND_NAMES[said.kind]}, so there is nothing to edit.",
            where=f"field {field}",
        )
    # No form carries a diff: its line ends are meant as they are.
    text = submitted if field == "diff" else normalise_edit(original, submitted)
    refuse_unstorable(f"edited.{field}", text)
    return text


def _revise(session: Session, row: CandidateRow, field: str, submitted: str, now: datetime) -> RevisionRow | None:
    """The edited text as a row, or None where nothing was changed."""
    said = evidence.read_candidate(session, row).said
    text = _meant(said, field, submitted)
    standing = decisions.find_standing_revision(session, row)
    current = standing.text if standing is not None and standing.field == field else said.texts[field]
    if text == current:
        return None
    if not text.strip():
        raise BadInputError(
            f"The edited text is empty. Reject the {KIND_NAMES[said.kind]} if nothing of it is right.",
            where=f"field {field}",
        )
    if (mark := find_mark(text, said.texts[field])) is not None:
        raise BadInputError(
            f"Line {mark} still marks where two edits met. Keep what is right, take the marks out, and save again.",
            where=f"{field}:{mark}",
        )
    if unreadable := checks.find_unreadable(said.with_text(field, text), field):
        raise BadInputError(f"{unreadable.message} Mend it and save again.", where=unreadable.place)
    digest = hashlib.sha256(text.encode()).digest()
    same = _find_equal(session, row, field, digest)
    if same is not None:
        return same
    revision = RevisionRow(candidate_id=row.id or 0, field=field, text=text, digest=digest, created_at=now)
    session.add(revision)
    session.flush()
    return revision


def _find_equal(session: Session, row: CandidateRow, field: str, digest: bytes) -> RevisionRow | None:
    """The very text as somebody else edited it: two who edit alike agree, and that shows by their revision."""
    wanted = select(RevisionRow).where(
        col(RevisionRow.candidate_id) == row.id, col(RevisionRow.field) == field, col(RevisionRow.digest) == digest
    )
    found: RevisionRow | None = session.execute(wanted.order_by(col(RevisionRow.id)).limit(1)).scalar()
    return found


def stands_at(opened: Opened, version: int) -> Candidate:
    """The candidate with the edit that counted when this version of it was shown."""
    seen = [one for one in opened.history if one[0].candidate_version < version]
    return _with_edit(opened.said, seen, opened.row.judged_from)


def rebuild_diff(opened: Opened, version: int, new: Sequence[str | None] | Mapping[str, str]) -> str:
    """The diff with other new sides of its hunks, or with other files; what nobody touched stays, byte for byte.

    Args:
        opened: the candidate.
        version: the one whose hunks were edited.
        new: one text a hunk, None for a hunk that is dropped; or path → the whole file after the change.

    Raises:
        BadInputError: there is no such diff, hunk or file, or nothing of the diff is left.

    """
    stands = stands_at(opened, version)
    if isinstance(new, Mapping):
        return editing.from_files(opened.said, stands, new)
    return editing.from_hunks(opened.said, stands, new)


# ------------------------------------------------------------------------------------------------ join and split


def join(
    session: Session,
    project_id: int,
    reviewer_id: int,
    candidate_id: int,
    other_id: int,
    *,
    version: int,
    key: str,
    now: datetime,
) -> Outcome:
    """Say that two candidates speak of one change; a decision like any other, which `undo` takes back.

    Raises:
        NotFoundError: one of them is not here.
        ConflictError: the candidate was changed since this version was shown, or the key is another decision's.
        BadInputError: the two are one, are joined already, or one of them is no patch.

    """
    earlier = _begin(session, project_id, candidate_id, Verdict.JOIN, key, version, other_id)
    if isinstance(earlier, Outcome):
        return earlier
    other = get_candidate(session, project_id, other_id)
    lead = evidence.find_lead(session, other)
    if lead is not None:
        other = get_candidate(session, project_id, lead)
    if other.id == candidate_id:
        raise BadInputError(f"Candidate {other_id} is this one, or joined with it already.", where="field other")
    if {earlier.kind, other.kind} != {Kind.PATCH}:
        raise BadInputError("Only patches are joined: the others have one entry each.", where="field other")
    return _say_of_two(session, earlier, reviewer_id, Verdict.JOIN, other, key, now)


def split(
    session: Session,
    project_id: int,
    reviewer_id: int,
    candidate_id: int,
    part_id: int,
    *,
    version: int,
    key: str,
    now: datetime,
) -> Outcome:
    """Say that a part speaks of another change than the candidate that it was joined with.

    Raises:
        NotFoundError: one of them is not here.
        ConflictError: the candidate was changed since this version was shown, or the key is another decision's.
        BadInputError: the one is no part of the other.

    """
    earlier = _begin(session, project_id, candidate_id, Verdict.SPLIT, key, version, part_id)
    if isinstance(earlier, Outcome):
        return earlier
    part = get_candidate(session, project_id, part_id)
    if evidence.find_lead(session, part) != candidate_id:
        raise BadInputError(f"{part_id} is no part of candidate {candidate_id}.", where="field part")
    return _say_of_two(session, earlier, reviewer_id, Verdict.SPLIT, part, key, now)


def _begin(
    session: Session, project_id: int, candidate_id: int, verdict: Verdict, key: str, version: int, other: int
) -> Outcome | CandidateRow:
    """The candidate, locked and of the version that was seen; or what the same key brought before."""
    _check_key(key)
    lock_ingest(session)
    lock_chain(session)
    row = get_candidate(session, project_id, candidate_id)
    known = _find_earlier(session, key, verdict, candidate_id)
    if known is not None:
        return Outcome(known, row, repeated=True)
    if row.version != version:
        raise _stale(session, row, version, {"verdict": verdict, "version": version, "other": other})
    return row


def _say_of_two(
    session: Session,
    row: CandidateRow,
    reviewer_id: int,
    verdict: Verdict,
    other: CandidateRow,
    key: str,
    now: datetime,
) -> Outcome:
    decision = DecisionRow(
        project_id=row.project_id,
        candidate_id=row.id or 0,
        candidate_version=row.version,
        reviewer_id=reviewer_id,
        verdict=verdict,
        key=key,
        other_id=other.id,
        decided_at=now,
    )
    decisions.append(session, decision, None)
    joining.tie(session, row.project_id, row.id or 0, other.id or 0)
    joining.settle(session, row.project_id, [row.id or 0])
    if row.version == decision.candidate_version:
        # It was decided on: who saw it before must look again, and its history is no longer empty.
        decisions.move(session, row, replace(decisions.derive_row(session, row), status=Status(row.status)))
    return Outcome(decision, row)


# ------------------------------------------------------------------------------------------------ project, reviewer


def ensure_project(session: Session, name: str, *, now: datetime) -> ProjectRow:
    """The project of this name, made when absent, once by however many ask at one instant."""
    wanted = select(ProjectRow).where(col(ProjectRow.name) == name)
    if session.execute(wanted).scalar() is None:
        lock_ingest(session)
    project = session.execute(wanted).scalar()
    if project is None:
        project = ProjectRow(name=name, created_at=now)
        session.add(project)
        session.flush()
        counted = [{"project_id": project.id, "status": status, "n": 0} for status in Status]
        session.connection().execute(insert(_tally), counted)
    return project


def ensure_local_reviewer(session: Session, *, now: datetime) -> ReviewerRow:
    """The one reviewer of a server that listens on loopback only."""
    wanted = select(ReviewerRow).where(col(ReviewerRow.name) == NOBODY)
    if session.execute(wanted).scalar() is None:
        lock_people(session)
    reviewer = session.execute(wanted).scalar()
    if reviewer is None:
        reviewer = ReviewerRow(name=NOBODY, created_at=now)
        session.add(reviewer)
        session.flush()
    return reviewer


def parse_verdict(value: str) -> Verdict:
    """`"accept"` → `Verdict.ACCEPT`.

    Raises:
        BadInputError: none of the five, to the letter.

    """
    if value not in [one.value for one in decisions.STATUS_OF]:
        raise BadInputError(
            f"verdict must be one of {', '.join(decisions.STATUS_OF)}; it is {value[:40]!r}.", where="field verdict"
        )
    return Verdict(value)
