"""Decisions made as one: on everything that a filter finds, or on chosen candidates, with the count typed by hand.

The order is a job row: the candidates with the versions that were seen, and what is decided. Each candidate gets a
decision of its own; they share a name. It is written in short transactions, the first thousand at once and the rest by
the worker, and whoever decided meanwhile wins (docs/decisions/0031).
"""

import base64
import hashlib
import struct
import time
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app import asking, comments, decisions, jobs, queue, review, turns
from app.candidates import Severity
from app.db import Database, lock_chain, lock_ingest
from app.decisions import Derived
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import (
    Agreement,
    CandidateRow,
    DecisionRow,
    FindingRow,
    JobRow,
    JobState,
    ReviewerRow,
    Status,
    Verdict,
    metadata,
)
from app.queue import Filter

KIND = "bulk"
"""The kind of job that decides the rest of a bulk act."""

VERDICTS = (Verdict.ACCEPT, Verdict.REJECT, Verdict.SKIP, Verdict.FLAG)
AT_ONCE = 1_000
"""How many are decided, or taken back, before the request is answered; the worker does the others."""

_SAMPLE = 10
_TOLD = 100
_LONGEST_KEY = 180
# A transaction aims at half of the 50 ms that a reviewer may have to wait.
_SECONDS, _FIRST, _LEAST, _MOST = 0.025, 25, 10, 500

_candidate, _decision = metadata.tables["candidate"], metadata.tables["decision"]
# Left out for that reason; nobody learns that others have said something of it.
_IS_BLIND = _candidate.c.agreement == Agreement.WAITING

Report = Callable[[int, int], None]


# ------------------------------------------------------------------------------------------------ what is asked for


@dataclass(frozen=True, slots=True)
class Members:
    """Candidates with the versions that were seen, by id: `Members.of([(7, 1), (9, 3)])`."""

    ids: "array[int]"
    versions: "array[int]"

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> "Members":
        """From pairs of id and version, in any order."""
        ids, versions = array("q"), array("q")
        for number, version in sorted(pairs):
            ids.append(number)
            versions.append(version)
        return cls(ids, versions)

    def __len__(self) -> int:
        return len(self.ids)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Each id with its version."""
        return zip(self.ids, self.versions, strict=True)

    @property
    def digest(self) -> str:
        """SHA-256 over all of them: another one when a candidate came, went or changed."""
        return hashlib.sha256(self._bytes()).hexdigest()

    def packed(self) -> str:
        """As text for a job's row; most ids follow each other, so a hundred thousand take a few kilobytes."""
        return base64.b64encode(zlib.compress(self._bytes())).decode()

    @classmethod
    def unpack(cls, text: str) -> "Members":
        """What `packed` gave."""
        numbers = [one for (one,) in struct.iter_unpack("<I", zlib.decompress(base64.b64decode(text)))]
        half = len(numbers) // 2
        return cls(array("q", accumulate(numbers[:half])), array("q", numbers[half:]))

    def _bytes(self) -> bytes:
        steps = [after - before for before, after in pairwise((0, *self.ids))]
        return struct.pack(f"<{2 * len(self)}I", *steps, *self.versions)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a filter finds, for a person who is about to decide all of it.

    Attributes:
        members: every candidate with its version.
        by_status: how many have which status.
        n_again: how many wait for a decision although they were decided on before, which was taken back.
        grave: how many have which finding that exports hold back, the most frequent first.
        n_grave: how many have one at least.
        n_blocked: how many a comment keeps from being accepted.
        sample: the first of them.
    """

    members: Members
    by_status: dict[str, int]
    n_again: int
    grave: list[tuple[str, int]]
    n_grave: int
    n_blocked: int
    sample: list[CandidateRow]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a person decides of many at once.

    Attributes:
        verdict: accept, reject, skip or flag.
        count: what was typed: how many there are.
        key: the client's idempotency key; a repeat gets the first answer.
        digest: of the candidates that were shown; None where only the count is known.
        reasons: codes of the project's list.
        comment: free text, kept with every decision.
    """

    verdict: Verdict
    count: str
    key: str
    digest: str | None = None
    reasons: tuple[str, ...] = ()
    comment: str = ""


def find_members(session: Session, project_id: int, wanted: Filter) -> Members:
    """Every candidate that a filter finds, with its version."""
    found = select(_candidate.c.id, _candidate.c.version).where(*_conditions(session, project_id, wanted))
    return Members.of((row[0], row[1]) for row in session.connection().execute(found))


def _conditions(session: Session, project_id: int, wanted: Filter) -> list[ColumnElement[bool]]:
    return [*queue.conditions(session, project_id, wanted), *queue.but_gold(session, project_id)]


def survey(session: Session, project_id: int, wanted: Filter) -> Survey:
    """Look at everything that a filter finds; counted exactly, however much it is."""
    where = _conditions(session, project_id, wanted)
    members, by_status = [], Counter[str]()
    found = select(_candidate.c.id, _candidate.c.version, _candidate.c.status).where(*where)
    for number, version, status in session.connection().execute(found):
        members.append((number, version))
        by_status[status] += 1
    n_again = session.execute(_again(where)).scalar_one() if by_status[Status.PENDING] else 0
    grave, n_grave = _count_grave(session, project_id, wanted)
    blocked = _candidate.c.id.in_(comments.matching("blocking", None)) & ~_IS_BLIND
    n_blocked = session.execute(select(func.count(_candidate.c.id)).where(*where, blocked)).scalar_one()
    sample = queue.list_candidates(session, project_id, wanted, limit=_SAMPLE).candidates
    return Survey(Members.of(members), dict(by_status), n_again, grave, n_grave, n_blocked, sample)


def _again(where: Iterable[ColumnElement[bool]]) -> Select[Any]:
    """How many of these wait although somebody decided; what was joined has other versions too, and no verdict."""
    judged = col(DecisionRow.verdict).not_in([Verdict.UNDO, Verdict.JOIN, Verdict.SPLIT])
    decided = exists().where(col(DecisionRow.candidate_id) == _candidate.c.id, judged)
    waits = (_candidate.c.status == Status.PENDING) & (_candidate.c.version > 1) & ~_IS_BLIND
    return select(func.count()).select_from(_candidate).where(*where, waits, decided)


def _count_grave(session: Session, project_id: int, wanted: Filter) -> tuple[list[tuple[str, int]], int]:
    # Under a name of its own: the filter may ask for findings too.
    finding = aliased(FindingRow)
    among = select(_candidate.c.id).where(*_conditions(session, project_id, wanted))
    where = (col(finding.severity) == Severity.HOLD, col(finding.candidate_id).in_(among))
    n = func.count(col(finding.candidate_id).distinct())
    by_code = (
        select(col(finding.code), n).where(*where).group_by(col(finding.code)).order_by(n.desc(), col(finding.code))
    )
    grave = [(code, count) for code, count in session.execute(by_code)]
    return grave, session.execute(select(n).where(*where)).scalar_one() if grave else 0


# ------------------------------------------------------------------------------------------------ order


def order(
    db: Database, project_id: int, reviewer_id: int, asked: Ask, wanted: Filter | Members, *, now: datetime
) -> JobRow:
    """Decide on everything that a filter finds, or on chosen candidates, as one act.

    The first thousand are decided before this returns; the worker does the others.

    Args:
        db: written in several short transactions.
        project_id: whose candidates.
        reviewer_id: who decides.
        asked: verdict, count, key.
        wanted: the filter; or candidates with the versions that were seen.
        now: aware UTC.

    Returns:
        The job that stands for the act; the same one for the same key.

    Raises:
        BadInputError: the verdict, a reason or the comment cannot be, or the count is another one.
        ConflictError: the candidates are not those that were shown, or the key stands for something else.

    """
    named = wanted.query() if isinstance(wanted, Filter) else None
    with db.read() as session:
        queue.asks(session, reviewer_id)
        act, guideline = _checked(session, project_id, asked)
        known = _find_by_key(session, project_id, reviewer_id, asked, named)
        members = None if known is not None else _find_confirmed(session, project_id, asked, wanted)
    if members is not None:
        args: dict[str, object] = {
            "key": act.key, "reviewer": reviewer_id, "verdict": act.verdict, "reasons": list(act.reasons),
            "comment": act.comment, "guideline": guideline, "address": decisions.origin(), "filter": named,
            "n": len(members), "members": members.packed(),
        }  # fmt: skip
        with db.write() as session:
            lock_chain(session)
            known = _find_by_key(session, project_id, reviewer_id, asked, named)
            known = known or jobs.enqueue(session, project_id, KIND, args, now=now)
    assert known is not None  # noqa: S101
    go_on(db, known.id or 0, now=now)
    with db.read() as session:
        return jobs.get_job(session, project_id, known.id or 0)


def _checked(session: Session, project_id: int, asked: Ask) -> tuple[review.Act, int | None]:
    """The act that every candidate gets, once it makes sense, and the version of the guideline that stands."""
    if asked.verdict not in VERDICTS:
        raise BadInputError(
            f"Many at once can be decided by {', '.join(VERDICTS)}; an {asked.verdict} is of one candidate.",
            where="field verdict",
        )
    if len(asked.key) > _LONGEST_KEY:
        raise BadInputError(f"The key of many decisions has at most {_LONGEST_KEY} characters.", where="field key")
    act = review.Act(asked.verdict, 0, asked.key, asked.reasons, asked.comment)
    return act, review.check_act(session, project_id, act)


def _find_by_key(
    session: Session, project_id: int, reviewer_id: int, asked: Ask, named: Mapping[str, str] | None
) -> JobRow | None:
    """What this key brought before, or None; a key that brought anything else is refused."""
    wanted = select(JobRow).where(
        col(JobRow.project_id) == project_id,
        col(JobRow.kind) == KIND,
        JobRow.args["key"].as_string() == asked.key,  # type: ignore[attr-defined]
    )
    known: JobRow | None = session.execute(wanted.limit(1)).scalar()
    same = {"verdict": asked.verdict, "reviewer": reviewer_id, "filter": named}
    if known is not None and any(known.args[name] != said for name, said in same.items()):
        raise ConflictError("This key was used for another decision; every decision needs a key of its own.")
    return known


def _find_confirmed(session: Session, project_id: int, asked: Ask, wanted: Filter | Members) -> Members:
    """The candidates, once they are as many as was typed and the same that were shown."""
    now = (
        find_members(session, project_id, wanted) if isinstance(wanted, Filter) else _still(session, project_id, wanted)
    )
    if not len(now):
        raise BadInputError(
            "There is no candidate to decide on: none is found, or none is ticked.", where="field count"
        )
    if asked.digest is not None and asked.digest != now.digest:
        raise ConflictError(
            f"What this finds has changed since the page was shown: it is {len(now):,} now. Nothing was stored. "
            "Look at it again, then type the count anew.",
            where="field count",
        )
    typed = asked.count.strip().replace(",", "")
    if not (typed.isascii() and typed.isdigit() and len(typed) <= len(str(len(now))) and int(typed) == len(now)):
        said = f"you typed {asked.count.strip()[:20]!r}" if typed else "nothing was typed"
        raise BadInputError(
            f"Type how many there are: it is {len(now):,}, {said}. Nothing was stored.", where="field count"
        )
    return now


def _still(session: Session, project_id: int, seen: Members) -> Members:
    """Chosen candidates, each of which must be here and as it was seen."""
    versions: dict[int, int] = {}
    for start in range(0, len(seen), _MOST):
        found = select(_candidate.c.id, _candidate.c.version).where(
            _candidate.c.project_id == project_id,
            _candidate.c.id.in_(seen.ids[start : start + _MOST]),
            _candidate.c.status != Status.JOINED,
        )
        versions |= {row[0]: row[1] for row in session.connection().execute(found)}
    changed = [number for number, version in seen.pairs() if versions.get(number) != version]
    if changed:
        named = ", ".join(f"#{number}" for number in changed[:5]) + (" and more" if len(changed) > 5 else "")  # noqa: PLR2004
        raise ConflictError(
            f"Changed since the page was shown: {named}. Nothing was stored. Look at it again, then decide.",
            where="field members",
        )
    return seen


# ------------------------------------------------------------------------------------------------ run


def go_on(db: Database, job_id: int, *, now: datetime) -> None:
    """Do the next thousand of a bulk act, or of its undo, unless somebody else is at it; the worker does the others."""
    with db.write() as session:
        job = jobs.claim(session, "web", now=now, only=job_id)
    if job is None:
        return
    begun: list[int] = []
    state, message, result = JobState.DONE, "", None

    def report(done: int, total: int) -> None:
        begun.append(done)
        if done - begun[0] >= AT_ONCE:
            with db.write() as session:
                _put_back(session, job_id, done, total)
            raise jobs.StoppedError

    try:
        message, result = RUN[job.kind](db, job, report)
    except jobs.StoppedError:
        return
    except jobs.CancelledError:
        state, message = JobState.CANCELLED, "Cancelled. What was finished before stays."
    with db.write() as session:
        jobs.finish(session, job_id, state, message, now=now, result=result)


def _put_back(session: Session, job_id: int, done: int, total: int) -> None:
    jobs.put_back(session, job_id)
    job = session.get_one(JobRow, job_id)
    job.done, job.total = done, total


def run(db: Database, job: JobRow, report: Report) -> tuple[str, dict[str, object]]:
    """Decide what a bulk act has not decided yet, in short transactions; again after a crash, without doubling."""
    members = Members.unpack(str(job.args["members"]))
    bulk = decisions.bulk_name(job.id or 0)
    decisions.come_from(str(job.args.get("address", "")))
    with db.read() as session:
        mine = select(_decision.c.candidate_id).where(_decision.c.bulk == bulk)
        decided = set(session.connection().execute(mine).scalars())
    todo = [pair for pair in members.pairs() if pair[0] not in decided]
    left: dict[int, str] = {}
    done, size = len(decided), _FIRST
    report(done, len(members))
    while todo:
        some = todo[:size]
        with db.write() as session:
            began = time.perf_counter()
            left |= _decide_some(session, job, bulk, dict(some))
            spent = time.perf_counter() - began
        del todo[:size]
        done, size = done + len(some), _paced(len(some), spent)
        report(done, len(members))
    n = len(members) - len(left)
    told = [{"candidate": number, "why": why} for number, why in list(left.items())[:_TOLD]]
    result: dict[str, object] = {"decided": n, "left_out": len(left), "why": Counter(left.values()), "left": told}
    return f"{n:,} decided, {len(left):,} left out", result


def _paced(n: int, spent: float) -> int:
    """How many to take next, after so many took so many seconds."""
    return min(_MOST, max(_LEAST, int(n * min(2.0, _SECONDS / max(spent, 1e-4)))))


def _decide_some(session: Session, job: JobRow, bulk: str, seen: Mapping[int, int]) -> dict[int, str]:
    """Decide on these at the versions that were seen; gives those that were left out, and why."""
    lock_ingest(session)
    lock_chain(session)
    _refuse_cancelled(session, job)
    found = session.execute(select(CandidateRow).where(col(CandidateRow.id).in_(seen))).scalars()
    rows = {row.id or 0: row for row in found}
    right = [row for number, row in rows.items() if row.version == seen[number] and row.status != Status.JOINED]
    others = seen.keys() - {row.id for row in right}
    left = {number: "joined" if rows[number].status == Status.JOINED else "changed" for number in sorted(others)}
    several = asking.list_of_several(session, job.project_id, right)
    right = [row for row in right if row.id not in several]
    verdict, key = Verdict(str(job.args["verdict"])), str(job.args["key"])
    blocked = comments.list_blocked(session, [row.id or 0 for row in right]) if verdict in comments.LETS_IN else {}
    right = [row for row in right if row.id not in blocked]
    if left:
        # Where two are at it, because the one was taken for dead, what the other decided is no change.
        mine = select(_decision.c.candidate_id).where(_decision.c.bulk == bulk, _decision.c.candidate_id.in_(left))
        for number in session.connection().execute(mine).scalars().all():
            del left[number]
    # Of these each opinion is to be one's own, of what one has seen.
    left |= dict.fromkeys(sorted(several), "several opinions")
    left |= dict.fromkeys(blocked, "blocked")
    right.sort(key=lambda row: row.id or 0)
    keys = decisions.free_keys(session, [f"{key}:{row.id}" for row in right])
    made = [_decision_on(row, job, bulk, verdict, one) for row, one in zip(right, keys, strict=True)]
    decisions.append_all(session, made)
    decisions.move_all(session, [(row, Derived(decisions.STATUS_OF[verdict])) for row in right])
    turns.finish(session, cast("int", job.args["reviewer"]), [row.id or 0 for row in right], None, now=job.created_at)
    return left


def _decision_on(row: CandidateRow, job: JobRow, bulk: str, verdict: Verdict, key: str) -> DecisionRow:
    return DecisionRow(
        project_id=job.project_id,
        candidate_id=row.id or 0,
        candidate_version=row.version,
        reviewer_id=cast("int", job.args["reviewer"]),
        verdict=verdict,
        key=key,
        reasons=cast("list[str]", job.args["reasons"]),
        comment=str(job.args["comment"]),
        bulk=bulk,
        # An order of before guidelines had versions says nothing of one.
        guideline=cast("int | None", job.args.get("guideline")),
        # All of it was decided at once, by a person; when it was written down is another thing.
        decided_at=job.created_at,
    )


def _refuse_cancelled(session: Session, job: JobRow) -> None:
    # Asked here and not only at each report: who takes the act back must not be followed by another piece of it.
    asked = select(col(JobRow.cancel_requested)).where(col(JobRow.id) == job.id)
    if session.execute(asked).scalar_one():
        raise jobs.CancelledError


def run_undo(db: Database, job: JobRow, report: Report) -> tuple[str, dict[str, object]]:
    """Take back what is left of a bulk act, in short transactions; again after a crash, without doubling."""
    bulk, reviewer_id = str(job.args["bulk"]), cast("int", job.args["reviewer"])
    with db.read() as session:
        counted = decisions.count_together(session, [bulk, decisions.undo_name(bulk)])
    total, done = counted[bulk], counted.get(decisions.undo_name(bulk), 0)
    last, size = 0, _FIRST
    decisions.come_from(str(job.args.get("address", "")))
    report(done, total)
    while True:
        with db.write() as session:
            lock_ingest(session)
            lock_chain(session)
            began = time.perf_counter()
            some = decisions.list_to_take_back(session, bulk, after=last, limit=size)
            if not some:
                return f"{total:,} decisions taken back", {"taken_back": total}
            review.take_back(session, some, reviewer_id, str(job.args["key"]), job.created_at)
            spent = time.perf_counter() - began
        last, done, size = some[-1].id or 0, done + len(some), _paced(len(some), spent)
        report(done, total)


RUN: Mapping[str, Callable[[Database, JobRow, Report], tuple[str, dict[str, object]]]] = {
    KIND: run,
    review.UNDO_KIND: run_undo,
}


# ------------------------------------------------------------------------------------------------ what came of it


@dataclass(frozen=True, slots=True)
class Act:
    """A bulk act as it stands now.

    Attributes:
        job: its order.
        reviewer: who decided.
        decided: how many candidates were decided on.
        left: how many were left out, by reason: `changed`, `joined` or `blocked`; empty until all were looked at.
        told: the first of those, with what they are now.
        blocked: which of them a comment still keeps from being accepted: by candidate, the sentence that names it.
        taken_back: how many of the decisions were taken back.
        since: the first candidates that somebody decided on afterwards: these stay as they are when it is taken back.
        undoing: the job that takes back the rest of it, or None.
    """

    job: JobRow
    reviewer: str
    decided: int
    left: Mapping[str, int]
    told: list[CandidateRow]
    blocked: Mapping[int, str]
    taken_back: int
    since: list[CandidateRow]
    undoing: JobRow | None


def get_act(session: Session, project_id: int, job_id: int) -> Act:
    """What came of a bulk act.

    Raises:
        NotFoundError: no such act in this project.

    """
    job = _get_order(session, project_id, job_id)
    bulk = decisions.bulk_name(job_id)
    counted = decisions.count_together(session, [bulk, decisions.undo_name(bulk)])
    result = job.result or {}
    left = cast("list[dict[str, Any]]", result.get("left", []))
    undoing = jobs.list_unfinished(session, project_id, review.UNDO_KIND)
    return Act(
        job=job,
        reviewer=session.get_one(ReviewerRow, cast("int", job.args["reviewer"])).name,
        decided=counted.get(bulk, 0),
        left=cast("Mapping[str, int]", result.get("why", {})),
        told=_rows(session, [one["candidate"] for one in left]),
        blocked=comments.list_blocked(session, [one["candidate"] for one in left if one["why"] == "blocked"]),
        taken_back=counted.get(decisions.undo_name(bulk), 0),
        since=_rows(session, decisions.list_decided_since(session, bulk, _TOLD)),
        undoing=next((one for one in undoing if one.args["bulk"] == bulk), None),
    )


def undo(db: Database, project_id: int, reviewer_id: int, job_id: int, *, key: str, now: datetime) -> review.Outcome:
    """Take back a bulk act, whatever was decided since; as much as can be before this returns, the rest by the worker.

    Raises:
        NotFoundError: no such act in this project.
        ConflictError: it was another reviewer's, or nothing of it is left to take back.

    """
    with db.write() as session:
        job = _get_order(session, project_id, job_id)
        if job.args["reviewer"] != reviewer_id:
            raise ConflictError("Only who decided takes it back. Decide on the candidates themselves.")
        bulk = decisions.bulk_name(job_id)
        undone = review.undo_bulk(session, project_id, reviewer_id, bulk, key=key, now=now)
    return _go_on_undoing(db, undone, now)


def undo_last(
    db: Database, project_id: int, reviewer_id: int, *, key: str, of: str = "", now: datetime
) -> review.Outcome:
    """As `review.undo`; of a bulk act as much as can be before this returns, the rest by the worker.

    Raises:
        ConflictError: nothing is left to take back, or the key is another decision's.

    """
    with db.write() as session:
        undone = review.undo(session, project_id, reviewer_id, key=key, of=of, now=now)
    return _go_on_undoing(db, undone, now)


def _go_on_undoing(db: Database, undone: review.Outcome, now: datetime) -> review.Outcome:
    if undone.rest is not None:
        go_on(db, undone.rest, now=now)
    return undone


def sentence(session: Session, undone: review.Outcome) -> str:
    """What was taken back: `"Undone: 37 decisions that were made as one"`; empty for a single decision."""
    if undone.bulk is None:
        return ""
    n = decisions.count_together(session, [undone.bulk]).get(undone.bulk, 0)
    done = f"Undone: {n:,} {'decisions that were' if n != 1 else 'decision that was'} made as one"
    since = len(decisions.list_decided_since(session, undone.bulk, _TOLD))
    if not since:
        return done
    return f"{done}; {f'{since}' if since < _TOLD else f'{_TOLD} or more'} decided on since stay as they are"


def _get_order(session: Session, project_id: int, job_id: int) -> JobRow:
    job = jobs.get_job(session, project_id, job_id)
    if job.kind != KIND:
        raise NotFoundError(f"Job {job_id} decided nothing.")
    return job


def _rows(session: Session, ids: Sequence[int]) -> list[CandidateRow]:
    wanted = select(CandidateRow).where(col(CandidateRow.id).in_(ids)).order_by(col(CandidateRow.id))
    return list(session.execute(wanted).scalars()) if ids else []
