"""Two at one instant: nothing that was said is lost, nobody waits in a circle, and who comes second is told why."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session

from app import (
    accounts,
    audit,
    comments,
    drafts,
    gold,
    groups,
    ingest,
    jobs,
    leases,
    ordering,
    preferences,
    prepare,
    projects,
    releases,
    review,
    rulings,
    sources,
    turns,
    views,
    webhooks,
    worker,
)
from app.accounts import Checked, Stranger
from app.audit import Actor
from app.comments import Draft
from app.db import _AUDIT_LOCK, Database
from app.errors import AppError, NotKnownError
from app.models import JobRow, JobState, ReleaseState, Verdict
from app.queue import Filter
from app.review import Act
from app.settings import Settings
from tests.conftest import NOON, noon
from tests.logs import line
from tests.people import hire
from tests.racing import Race, at_one_instant
from tests.releasing import Desk


@pytest.fixture
def desk(db: Database, settings: Settings) -> Desk:
    made = Desk(db, settings.model_copy(update={"webhook_hosts": "127.0.0.0/8"}), settings.data_dir)
    made.read(line("Fix the parser"), line("Name the reader"))
    return made


def told(results: list[Any]) -> list[str]:
    """What people were told who came second, once; whatever else was raised fails the test."""
    for one in results:
        if isinstance(one, Exception) and not isinstance(one, AppError):
            raise one
    return [one.message for one in results if isinstance(one, AppError)]


# ------------------------------------------------------------------------------------------------ people


def test_a_name_a_stranger_and_a_membership_are_made_once(db: Database, project_id: int) -> None:
    ann, ben = (lambda session, name=name: accounts.create(session, name, now=NOON) for name in ("ann", "Ann"))
    assert told(at_one_instant(db, "reviewer", ann, ben)) in (
        ["There is somebody called ann already."], ["There is somebody called Ann already."]
    )  # fmt: skip

    stranger = Stranger("https://id.example.org", "7", "kim@example.org", "Kim")
    kim = lambda session: accounts.welcome(session, stranger, role="reviewer", project="default", now=NOON).id  # noqa: E731
    first, second = at_one_instant(db, "reviewer", kim, kim)
    assert first == second

    lou = hire(db, "lou")[0]
    join = lambda session: accounts.set_role(session, project_id, lou, "viewer")  # noqa: E731
    assert told(at_one_instant(db, "member", join, join)) == []
    leave = lambda session: accounts.remove_member(session, project_id, lou, now=NOON)  # noqa: E731
    rise = lambda session: accounts.set_role(session, project_id, lou, "curator")  # noqa: E731
    assert told(at_one_instant(db, "member", leave, rise)) == []


def test_a_login_that_began_with_the_password_of_before_ends_with_it(db: Database, project_id: int) -> None:
    ann = hire(db, "ann")[0]
    with db.write() as session:
        accounts.get_reviewer(session, ann).password = "before"
        accounts.set_role(session, project_id, ann, "viewer")

    def change(session: Session) -> None:
        accounts.set_password(session, accounts.get_reviewer(session, ann), "after", now=NOON)

    def come_in(session: Session) -> str:
        return accounts.log_in(
            session, Checked(ann, fitted="before", better="rehashed"), address="", agent="", now=NOON
        )

    at_one_instant(db, "login", change, come_in)

    with db.read() as session:
        assert accounts.get_reviewer(session, ann).password == "after"
        assert accounts.list_logins(session, ann, now=NOON) == []
    with pytest.raises(NotKnownError), db.write() as session:
        come_in(session)


def test_who_changes_one_row_does_not_wait_for_the_audit_log_in_a_circle(db: Database) -> None:
    ann = hire(db, "ann")[0]

    def enable(session: Session) -> None:
        accounts.enable(session, accounts.get_reviewer(session, ann))
        audit.note(session, Actor(None, "root", "command"), "enable", now=NOON)

    def end(session: Session) -> None:
        accounts.set_password(session, accounts.get_reviewer(session, ann), "new", now=NOON)
        audit.note(session, Actor(None, "root", "command"), "end", now=NOON)

    def disabled(session: Session) -> None:
        accounts.get_reviewer(session, ann).disabled_at = NOON

    with db.write() as session:
        disabled(session)
    with Race(db) as race, race.halted(f"SELECT pg_advisory_xact_lock({_AUDIT_LOCK})"):
        race.start(enable)
        race.start(end)
    assert told(race.results()) == []
    with db.read() as session:
        assert audit.verify(session) is None


# ------------------------------------------------------------------------------------------------ a project


def test_two_who_change_something_of_a_project_or_of_themselves_keep_both(desk: Desk) -> None:
    db, project = desk.db, desk.project
    seed = lambda session: projects.change_settings(session, project, {"split": {"seed": 7}})  # noqa: E731
    licence = lambda session: projects.change_settings(session, project, {"licence_required": True})  # noqa: E731
    assert told(at_one_instant(db, "project", seed, licence)) == []
    with db.read() as session:
        now = projects.get_settings(session, project)
        assert (now.plan.seed, now.licence_required) == (7, True)

    wrap = lambda session: preferences.save_wrap(session, desk.ann, wrap=False)  # noqa: E731
    panel = lambda session: preferences.save_open(session, desk.ann, "guidelines", opened=True)  # noqa: E731
    assert told(at_one_instant(db, "reviewer", wrap, panel)) == []
    with db.read() as session:
        assert (preferences.wraps(session, desk.ann), preferences.is_open(session, desk.ann, "guidelines")) == (
            False, True
        )  # fmt: skip


def test_a_view_and_a_webhook_are_made_once_and_a_secret_that_was_shown_works(desk: Desk) -> None:
    db, project = desk.db, desk.project
    save = lambda session: views.save(session, project, desk.ann, "Hard", Filter(q="parser"), now=NOON)  # noqa: E731
    assert told(at_one_instant(db, "saved_view", save, save)) == [
        "There is a view 'Hard' already. Give another name, or delete that one first."
    ]
    url = "http://127.0.0.1:9/in"
    add = lambda session: webhooks.add(  # noqa: E731
        session, desk.settings, project, desk.ann, url, ["decision"], now=NOON
    )
    results = at_one_instant(db, "webhook", add, add)
    assert told(results) == ["This address is told already."]
    hook = next(one.id for one in results if not isinstance(one, Exception))

    rotate = lambda session: webhooks.rotate(session, project, hook, now=NOON)  # noqa: E731
    shown = set(at_one_instant(db, "webhook", rotate, rotate))
    with db.read() as session:
        row = webhooks.get_webhook(session, project, hook)
        assert {row.secret, row.former_secret} == shown

    remove = lambda session: webhooks.remove(session, project, hook)  # noqa: E731
    with Race(db) as race, race.halted("LOCK TABLE posting IN SHARE MODE"):
        race.start(lambda session: webhooks.add_test(session, project, hook, now=NOON))
        race.start(remove)
    assert told(race.results()) == []


# ------------------------------------------------------------------------------------------------ a candidate


def test_an_accept_that_was_looked_at_a_moment_ago_does_not_pass_a_comment_that_blocks_it(desk: Desk) -> None:
    number = desk.candidates()[0].id or 0

    def block(session: Session) -> int:
        opened = review.open_candidate(session, desk.project, number)
        said = Draft("script", 1, "Close it.", "c1", blocks=True)
        return comments.begin(session, opened.row, desk.ben, said, opened.stands, now=NOON)

    def accept(session: Session) -> review.Outcome:
        return review.decide(session, desk.project, desk.ann, number, Act(Verdict.ACCEPT, 1, "d1"), now=NOON)

    with Race(desk.db) as race, race.halted("LOCK TABLE thread IN SHARE MODE"):
        race.start(block)
        race.start(accept)

    [said] = told(race.results())
    assert "blocks acceptance" in said


def test_what_is_typed_beside_a_decision_makes_nobody_wait_in_a_circle(desk: Desk) -> None:
    number = desk.candidates()[0].id or 0

    def keep(session: Session) -> None:
        row = review.get_candidate(session, desk.project, number)
        drafts.keep(session, desk.ann, row, version=1, texts={"comment": "so far"}, now=NOON)

    def decide(session: Session) -> review.Outcome:
        act = Act(Verdict.REJECT, 1, "once", reasons=("wrong_fix",))
        return review.decide(session, desk.project, desk.ann, number, act, now=NOON)

    with desk.db.write() as session:
        keep(session)
    with Race(desk.db) as race, race.halted("LOCK TABLE decision IN SHARE MODE"):
        race.start(decide)
        race.start(keep)
        race.start(decide)

    assert told(race.results()) == []
    assert [one.repeated for one in race.results() if one is not None] == [False, True]


def test_what_becomes_alike_while_people_review_makes_nobody_wait_in_a_circle(desk: Desk) -> None:
    desk.read(line("Read the settings once"))
    prepare.run(desk.db)
    issues = {row.id or 0: row.group_digest for row in desk.candidates()}
    with desk.db.read() as session:
        tied = groups.find_groups(session, desk.project, issues.values())
    moves = [(issues[number], tied.get(issues[number], issues[number]), b"alike") for number in (2, 3, 1)]

    def regroup(session: Session) -> None:
        ordering.regroup(session, desk.project, moves)

    def visit(session: Session) -> int:
        return leases.visit(session, desk.project, desk.ben, Filter(), 1, dealt=[2, 3], now=NOON).lease.number

    with Race(desk.db) as race, race.halted("SELECT 1 FROM candidate WHERE id = 3 FOR UPDATE"):
        race.start(regroup)
        race.start(visit)

    assert race.results() == [None, 1]
    assert {row.alike for row in desk.candidates()} == {ordering.alike_of(b"alike")}


def test_a_visit_that_is_to_give_gold_waits_for_nobody_who_is_at_it(desk: Desk) -> None:
    desk.read(*(line(f"Read the setting {n}") for n in range(10)))
    desk.decide(1, Verdict.REJECT, reasons=("wrong_fix",))
    with desk.db.write() as session:
        gold.mark(session, review.get_candidate(session, desk.project, 1), desk.ann, "It hides the error.", now=NOON)
        projects.change_settings(session, desk.project, {"opinions": {"gold_share": 0.5}})
    with desk.db.read() as session:
        here = next(n for n in range(2, 12) if gold.find_due(session, desk.project, desk.ben, n) == 1)

    def see(reviewer: int, number: int, *dealt: int) -> Callable[[Session], list[int]]:
        def visit(session: Session) -> list[int]:
            found = leases.visit(
                session, desk.project, reviewer, Filter(status="pending"), number, dealt=dealt, now=NOON
            )
            return [number for number, _ in found.ahead]

        return visit

    with Race(desk.db) as race, race.halted("LOCK TABLE presence IN SHARE MODE"):
        race.start(see(desk.ben, here))
        race.start(see(desk.ann, 1, here))

    assert told(race.results()) == []
    assert race.results()[0], "then what follows comes"


def test_gold_is_marked_once_and_a_turn_is_sent_once(desk: Desk) -> None:
    db, number = desk.db, desk.candidates()[0].id or 0
    desk.decide(number, Verdict.REJECT, reasons=("wrong_fix",))

    def mark(session: Session) -> str:
        row = review.get_candidate(session, desk.project, number)
        return gold.mark(session, row, desk.ann, "It hides the error.", now=NOON).verdict

    assert told(at_one_instant(db, "gold", mark, mark)) == [f"Candidate {number} is gold already."]
    desk.undo()

    def send(session: Session) -> int:
        row = review.get_candidate(session, desk.project, number)
        return turns.send(session, row, desk.ben, "local", "Look at it.", now=NOON).number

    def undo(session: Session) -> review.Outcome:
        return review.undo(session, desk.project, desk.ann, key="back", now=NOON)

    with db.write() as session:
        send(session)
    desk.decide(number, Verdict.FLAG)
    with Race(db) as race, race.halted("LOCK TABLE turn IN SHARE MODE"):
        race.start(send)
        race.start(undo)
    assert told(race.results()) == []
    with db.read() as session:
        assert len(turns.list_waiting(session, desk.project, desk.ann)) == 1


def test_a_line_of_the_quarantine_is_resolved_once_and_no_count_is_lost(desk: Desk) -> None:
    desk.read(b"broken")
    with desk.db.read() as session:
        [(held, _)] = sources.list_quarantine(session, desk.project)

    def retry(text: bytes) -> Any:
        return lambda session: ingest.retry(
            session, desk.settings, desk.project, held.id or 0, corrected=text, now=NOON
        )

    [said] = told(at_one_instant(desk.db, "candidate", retry(line("One")), retry(line("Two"))))
    assert "was resolved on" in said
    report = sources.get_report(desk.db, held.source_id)
    assert (report.entries, report.new, report.quarantined) == (1, 1, 0)


# ------------------------------------------------------------------------------------------------ work and releases


def test_a_release_is_withdrawn_once_and_no_word_comes_before_one_that_it_saw(desk: Desk) -> None:
    number = desk.candidates()[0].id or 0
    desk.decide(number)
    made = desk.create()
    desk.work()

    def withdraw(why: str) -> Any:
        return lambda session: releases.withdraw(session, desk.project, made, why, now=NOON)

    [said] = told(at_one_instant(desk.db, "release", withdraw("A secret."), withdraw("A leak.")))
    assert "is withdrawn; only a frozen one" in said

    def rule(example: str) -> Any:
        def add(session: Session) -> int:
            row = rulings.add(
                session, desk.project, desk.ann, number, example, rulings.LEFT_OUT, in_force=True, digest=b"1",
                reason="", now=NOON,
            )  # fmt: skip
            seen.append(rulings.newest(session, desk.project))
            return row.id or 0

        return add

    seen: list[int] = []
    first, second = at_one_instant(desk.db, "ruling", rule("one"), rule("two"))
    assert seen == sorted({first, second})
    assert told(at_one_instant(desk.db, "ruling", rule("three"), rule("three"))) == [
        "That word on three is in force already. Open the candidate again."
    ]


def test_a_job_that_is_cancelled_while_it_is_taken_is_one_or_the_other(desk: Desk) -> None:
    with desk.db.write() as session:
        number = jobs.enqueue(session, desk.project, "preview", {}, now=NOON).id or 0

    def take(session: Session) -> bool:
        return jobs.claim(session, "here:1", now=NOON, only=number) is not None

    def cancel(session: Session) -> str:
        return jobs.cancel(session, desk.project, number, now=NOON).state

    with Race(desk.db) as race, race.halted("LOCK TABLE job IN SHARE MODE"):
        race.start(take)
        race.start(cancel)

    with desk.db.read() as session:
        job = jobs.get_job(session, desk.project, number)
    assert race.results() == [True, "running"]
    assert (job.state, job.cancel_requested) == (JobState.RUNNING, True)


def test_a_worker_that_was_taken_for_dead_leaves_the_job_to_the_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = NOON + jobs.STALE + timedelta(seconds=1)

    def claim(who: str, at: Any) -> JobRow:
        with desk.db.write() as session:
            job = jobs.claim(session, who, now=at)
        assert job is not None
        return job

    def stall(*_: object) -> worker.Result:
        claim("there:2", later)
        return "Made", {}

    def report(_: object, __: object, ___: object, reporter: jobs.Reporter) -> worker.Result:
        claim("there:2", later)
        reporter(1, 2)
        raise AssertionError

    for kind in (stall, report):
        monkeypatch.setattr(worker, "KINDS", {"test": kind})
        with desk.db.write() as session:
            number = jobs.enqueue(session, desk.project, "test", {}, now=NOON).id or 0
        assert worker.run_one(desk.db, desk.settings, claim("here:1", NOON), lambda: False) == JobState.QUEUED
        with desk.db.write() as session:
            job = jobs.get_job(session, desk.project, number)
            assert (job.state, job.worker, job.message) == (JobState.RUNNING, "there:2", "")
            jobs.finish(session, number, JobState.DONE, "Made there", now=NOON)


def test_the_only_worker_that_is_left_waits_for_no_release_that_nobody_makes(desk: Desk) -> None:
    desk.decide(desk.candidates()[0].id or 0)
    first, second = desk.create(), desk.create()
    with desk.db.write() as session:
        gone = jobs.claim(session, "gone:1", now=noon())
        assert gone is not None
    with desk.db.write() as session:
        mine = jobs.claim(session, "here:1", now=noon())
    assert mine is not None

    assert worker.run_one(desk.db, desk.settings, mine, lambda: False) == JobState.QUEUED
    desk.work()

    assert [desk.row(one).state for one in (first, second)] == [ReleaseState.FROZEN, ReleaseState.FROZEN]
