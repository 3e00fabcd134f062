"""The load test in small: real processes on PostgreSQL, and nothing is lost, doubled or answered with a fault."""

from pathlib import Path

from bench.team_load import Plan, run
from tests.servers import Postgres


def test_a_small_team_at_full_speed_loses_nothing(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.create_database("team_load", template="template_patchsift")
    plan = Plan(seconds=5, reviewers=6, every=0.5, webs=2, export_every=60, candidates=60, lines=100)
    outcome = run(plan, url, tmp_path)
    postgres.drop_database("team_load")

    assert outcome.faults == {}
    assert outcome.tally.n_broken == 0
    assert (outcome.lost, outcome.doubled, outcome.lock_errors) == ([], [], 0)
    assert outcome.chain_breaks_at is None
    assert {status for what, status in outcome.tally.answers if what == "decide"} == {200}
    assert len(outcome.tally.acknowledged) >= plan.reviewers
    assert outcome.unacknowledged == 0
