"""Fifty reviewers for two minutes: real processes on PostgreSQL, and nothing is lost, doubled or answered with a fault.

`PATCHSIFT_LOAD_SECONDS=1800 python -m pytest tests/test_team_load.py` goes on for half an hour; how long a decision
takes is measured by `python -m bench.team_load`.
"""

import os
from pathlib import Path

from bench.team_load import Plan, run
from tests.servers import Postgres

_FLAT_MB = 60


def test_fifty_reviewers_lose_nothing_beside_ingest_and_export(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.create_database("team_load", template="template_patchsift")
    plan = Plan(seconds=float(os.environ.get("PATCHSIFT_LOAD_SECONDS", "120")))
    outcome = run(plan, url, tmp_path)
    postgres.drop_database("team_load")

    assert outcome.faults == {}
    assert outcome.tally.n_broken == 0
    assert (outcome.lost, outcome.doubled, outcome.lock_errors) == ([], [], 0)
    assert outcome.chain_breaks_at is None
    assert {status for what, status in outcome.tally.answers if what == "decide"} == {200}
    assert len(outcome.tally.acknowledged) >= plan.reviewers
    assert outcome.unacknowledged == 0
    assert outcome.tally.n_lines > 0
    assert outcome.tally.n_exports > 0
    grown = {name: outcome.rss_end[name] - begin for name, begin in outcome.rss_begin.items()}
    assert {name: n for name, n in grown.items() if n > _FLAT_MB} == {}
