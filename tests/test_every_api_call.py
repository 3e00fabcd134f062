"""What the API describes is what it does, for sound calls and for hostile ones: no call ends in a fault of the server.

A few seconds by default; `PATCHSIFT_API_EXAMPLES=500` sends so many calls to every operation.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.openapi import from_asgi

from app.main import create_app
from app.models import Verdict
from tests.releasing import Desk, installed

_EXAMPLES = int(os.environ.get("PATCHSIFT_API_EXAMPLES", "0"))
_SEED = int(os.environ.get("PATCHSIFT_API_SEED", "1"))
# Of the checks those that hold for an API whose every refusal is a sentence: which refusal it is, is tested elsewhere.
_CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance", "unsupported_method", "allow_header_conformance",
)  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """Logs of every kind, every verdict, a release that is frozen and one in line."""
    with installed(request.param, request, tmp_path) as made:
        made.take()
        waiting = [row.id or 0 for row in made.candidates()]
        for number, verdict in zip(waiting, (Verdict.REJECT, Verdict.SKIP, Verdict.FLAG), strict=False):
            made.decide(number, verdict)
        for number in waiting[3:9]:
            made.decide(number)
        made.release(name="first")
        made.create(name="second")
        yield made


def test_no_call_of_the_api_ends_in_a_fault_or_in_what_is_not_described(desk: Desk) -> None:
    app = create_app(desk.settings, desk.db)
    schema = from_asgi("/api/v1/openapi.json", app, config=_config())
    faults: list[str] = []
    called: Counter[str] = Counter()

    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            faults.append(f"{event.label}: {event.info.format()}")
        elif isinstance(event, events.ScenarioFinished):
            called[str(event.label)] += len(event.recorder.cases)
            faults += _faults(event)

    assert "\n\n".join(faults) == ""
    described = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}
    assert described <= called.keys()
    print(sum(called.values()), "calls")


def _config() -> SchemathesisConfig:
    phases = {
        "examples": {"enabled": True},
        "coverage": {"enabled": _EXAMPLES > 0, "unexpected-methods": ["delete", "patch"]},
        "fuzzing": {"enabled": True},
        "stateful": {"enabled": _EXAMPLES > 0},
    }
    return SchemathesisConfig.from_dict(
        {
            "seed": _SEED,
            "workers": 1,
            "continue-on-failure": True,
            "phases": phases,
            "checks": {"enabled": False} | {name: {"enabled": True} for name in _CHECKS},
            "generation": {
                "max-examples": _EXAMPLES or 2,
                "database": "none",
                "deterministic": not _EXAMPLES,
                "no-shrink": True,
            },
            "headers": {"Sec-Fetch-Site": "same-origin"},
        }
    )


def _faults(event: events.ScenarioFinished) -> Iterator[str]:
    for case_id, checks in event.recorder.checks.items():
        for check in checks:
            if check.failure_info is None or _is_being_made(event, case_id):
                continue
            failure = check.failure_info.failure
            yield f"{event.label}: {failure.title}: {failure.message[:400]}\n{check.failure_info.code_sample[:600]}"


def _is_being_made(event: events.ScenarioFinished, case_id: str) -> bool:
    """A large download is answered 503 while it is made, which is no fault."""
    answer = event.recorder.interactions[case_id].response
    return answer is not None and answer.status_code == 503 and b'"being_made"' in (answer.content or b"")
