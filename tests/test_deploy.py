"""What the Dockerfile and docker-compose.yml promise, as far as it can be seen without a container engine."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
OURS = {name: COMPOSE["services"][name] for name in ("app", "worker")}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
PATCHSIFT = Path(sys.executable).with_name("patchsift")


def instructions(name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in DOCKERFILE if line.startswith(f"{name} ")]


def assert_runs(words: list[str]) -> None:
    """The command and each of its options are known to the installed program."""
    options = [word for word in words if word.startswith("-")]
    command = [word for word in words if not word.startswith("-")]
    # Wide and plain, or the help breaks its words.
    helped = subprocess.run(
        [PATCHSIFT, *command, "--help"],
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert helped.returncode == 0, helped.stderr
    for option in options:
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", helped.stdout), f"patchsift {command} knows no {option}"


def test_compose_starts_a_web_server_a_worker_and_a_current_postgresql() -> None:
    assert set(COMPOSE["services"]) == {"app", "worker", "database"}
    image, version = COMPOSE["services"]["database"]["image"].split(":")
    assert image == "postgres"
    assert int(version) >= 17


@pytest.mark.parametrize("words", [service["command"] for service in OURS.values()], ids=list(OURS))
def test_the_services_run_commands_that_exist(words: list[str]) -> None:
    assert_runs(words)


@pytest.mark.parametrize("test", [service["healthcheck"]["test"] for service in OURS.values()], ids=list(OURS))
def test_the_health_checks_run_commands_that_exist(test: list[str]) -> None:
    assert test[:2] == ["CMD", "patchsift"]
    assert_runs(test[2:])


def test_the_image_runs_commands_that_exist() -> None:
    for line in [*instructions("CMD"), instructions("HEALTHCHECK")[0].partition(" CMD ")[2]]:
        words = [word for word in yaml.safe_load(line) if word != "patchsift"]
        assert_runs(words)


def test_every_environment_name_is_a_setting() -> None:
    names = {name for service in OURS.values() for name in service["environment"]}
    names |= {word.partition("=")[0] for line in instructions("ENV") for word in shlex.split(line)}
    ours = {name.removeprefix("PATCHSIFT_").lower() for name in names if name.startswith("PATCHSIFT_")}
    assert ours <= set(Settings.model_fields)
    assert {"data_dir", "database_url", "host", "port"} <= ours


def test_there_is_no_default_password() -> None:
    for service in COMPOSE["services"].values():
        passwords = [value for name, value in service["environment"].items() if "PASSWORD" in name]
        assert passwords
        assert all(value.startswith("${POSTGRES_PASSWORD:?") for value in passwords)
    assert all("@" not in url.partition("://")[2].partition(":")[2] for url in _database_urls())


def _database_urls() -> list[str]:
    return [service["environment"]["PATCHSIFT_DATABASE_URL"] for service in OURS.values()]


def test_without_accounts_the_port_is_published_to_this_machine_only() -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in OURS["app"]["ports"])
    assert "ports" not in OURS["worker"]
    assert "ports" not in COMPOSE["services"]["database"]
    assert str(OURS["app"]["ports"][0]).split(":")[-1] == OURS["app"]["environment"]["PATCHSIFT_PORT"]


@pytest.mark.parametrize("service", list(OURS.values()), ids=list(OURS))
def test_the_program_may_write_only_to_its_data(service: dict[str, Any]) -> None:
    assert service["user"] == "1000:1000"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["volumes"] == ["data:/data"]
    assert service["environment"]["PATCHSIFT_DATA_DIR"] == "/data"


def test_data_lies_in_named_volumes() -> None:
    mounted = {volume.partition(":")[0] for service in COMPOSE["services"].values() for volume in service["volumes"]}
    assert mounted == set(COMPOSE["volumes"])


def test_each_service_waits_until_the_one_before_it_is_healthy() -> None:
    assert OURS["app"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert OURS["worker"]["depends_on"] == {"app": {"condition": "service_healthy"}}
    assert all("healthcheck" in service for service in COMPOSE["services"].values())


def test_the_image_is_not_root_and_owns_its_data() -> None:
    assert instructions("USER") == ["1000:1000"]
    assert instructions("VOLUME") == ["/data"]
    assert any("--owner=1000" in line and "/data" in line for line in instructions("RUN"))


def test_the_image_is_built_from_files_that_are_here_and_not_ignored() -> None:
    copied = [line.split()[:-1] for line in instructions("COPY") if not line.startswith("--from")]
    sources = [source for sources in copied for source in sources]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    assert set(sources) == kept
    assert all((ROOT / source).exists() for source in sources)
