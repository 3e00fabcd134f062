"""What the Dockerfile and docker-compose.yml promise, as far as it can be seen without a container engine."""

import configparser
import os
import re
import shlex
import subprocess
import sys
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
OURS = {name: COMPOSE["services"][name] for name in ("app", "worker")}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
CADDYFILE = (ROOT / "Caddyfile").read_text(encoding="utf-8")
SERVER = ROOT / "docs/examples/server"
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


def test_compose_starts_a_proxy_a_web_server_a_worker_and_a_current_postgresql() -> None:
    assert set(COMPOSE["services"]) == {"caddy", "app", "worker", "database"}
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
    ours = {
        name.removeprefix("PATCHSIFT_").removesuffix("_FILE").lower() for name in names if name[:10] == "PATCHSIFT_"
    }
    assert ours <= set(Settings.model_fields)
    assert {"data_dir", "database_url", "host", "port"} <= ours


def test_the_password_stands_in_a_file_alone() -> None:
    [(name, secret)] = COMPOSE["secrets"].items()
    assert secret == {"file": f"./secrets/{name}"}
    for service in (*OURS.values(), COMPOSE["services"]["database"]):
        said = {key: value for key, value in service["environment"].items() if "PASSWORD" in key}
        assert list(said.values()) == [f"/run/secrets/{name}"]
        assert all(key.endswith("_FILE") for key in said)
        assert service["secrets"] == [name]
    assert all("@" not in url.partition("://")[2].partition(":")[2] for url in _database_urls())


def _database_urls() -> list[str]:
    return [service["environment"]["PATCHSIFT_DATABASE_URL"] for service in OURS.values()]


def test_every_setting_can_be_said_without_editing_compose() -> None:
    """`.env` reaches web server and worker whole; its example names all settings that compose does not need itself."""
    assert all(service["env_file"] == [{"path": ".env"}] for service in OURS.values())
    named = re.findall(r"^#?(PATCHSIFT_\w+)=(.*)$", EXAMPLE, re.MULTILINE)
    said = {name.removeprefix("PATCHSIFT_").lower(): value for name, value in named}
    of_compose = {name for name in said if name not in Settings.model_fields}
    assert of_compose == {"site", "backups", "hsts", "network"}
    assert all(f"${{PATCHSIFT_{name.upper()}:" in str(COMPOSE) for name in of_compose)
    fixed = {key.removeprefix("PATCHSIFT_").removesuffix("_FILE").lower() for key in OURS["app"]["environment"]}
    # Whoever lets everybody in has to know more than this file says.
    assert set(Settings.model_fields) - fixed - set(said) == {"allow_open"}
    assert not fixed & set(said)
    there = {name: value for name, value in said.items() if name in Settings.model_fields and value}
    assert {name: str(getattr(Settings(**{name: value}), name)) for name, value in there.items()} == {
        name: str(Settings.model_fields[name].default) for name in there
    }


def test_only_the_proxy_can_be_reached_and_only_it_is_believed() -> None:
    services = COMPOSE["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"caddy"}
    address = services["caddy"]["networks"]["inside"]["ipv4_address"]
    assert OURS["app"]["environment"]["PATCHSIFT_TRUSTED_PROXIES"] == address
    [given] = COMPOSE["networks"]["inside"]["ipam"]["config"]
    network, given_out = (IPv4Network(_network(given[name])) for name in ("subnet", "ip_range"))
    # Nobody else is ever given the address that is believed.
    assert given_out.subnet_of(network)
    assert ip_address(_network(address)) in network
    assert ip_address(_network(address)) not in given_out
    assert "PATCHSIFT_ALLOW_OPEN" not in OURS["app"]["environment"]
    assert f"dynamic a app {OURS['app']['environment']['PATCHSIFT_PORT']} " in CADDYFILE


def _network(said: str) -> str:
    return said.replace("${PATCHSIFT_NETWORK:-172.30.86}", "172.30.86")


def test_nothing_fills_the_disk_or_the_memory() -> None:
    for name, service in COMPOSE["services"].items():
        assert {"max-size", "max-file"} == set(service["logging"]["options"]), name
        assert service["mem_limit"], name


@pytest.mark.parametrize("file", [ROOT / "Caddyfile", SERVER / "Caddyfile"], ids=["compose", "server"])
def test_the_proxy_reads_the_file_that_is_here(file: Path) -> None:
    """The real Caddy, on the file as it is."""
    caddy = COMPOSE["services"]["caddy"]
    assert caddy["volumes"][0] == "./Caddyfile:/etc/caddy/Caddyfile:ro"
    told = subprocess.run(
        [Path(sys.executable).with_name("caddy"), "validate", "--adapter", "caddyfile", "--config", file],
        env={**os.environ, "PATCHSIFT_SITE": "patchsift.example"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert caddy["healthcheck"]["test"][-1] == "http://127.0.0.1:8090/"
    assert "http://127.0.0.1:{$PATCHSIFT_HEALTH_PORT:8090} {" in CADDYFILE


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_nobody_gains_powers(service: dict[str, Any]) -> None:
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@pytest.mark.parametrize("service", list(OURS.values()), ids=list(OURS))
def test_the_program_may_write_only_to_its_data(service: dict[str, Any]) -> None:
    assert service["user"] == "1000:1000"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service["volumes"]) <= {"data:/data", "${PATCHSIFT_BACKUPS:-backups}:/backups"}
    assert service["tmpfs"] == ["/tmp:size=1g"]
    assert service["environment"]["PATCHSIFT_DATA_DIR"] == "/data"


def test_data_lies_in_named_volumes() -> None:
    volumes = [volume for service in COMPOSE["services"].values() for volume in service["volumes"]]
    mounted = {re.sub(r"^\$\{\w+:-(\w+)\}", r"\1", volume).partition(":")[0] for volume in volumes}
    assert mounted - {"./Caddyfile"} == set(COMPOSE["volumes"])


def test_each_service_waits_until_the_one_before_it_is_healthy() -> None:
    assert OURS["app"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert OURS["worker"]["depends_on"] == {"app": {"condition": "service_healthy"}}
    assert COMPOSE["services"]["caddy"]["depends_on"] == {"app": {"condition": "service_healthy"}}
    assert all("healthcheck" in service for service in COMPOSE["services"].values())


def test_the_image_is_not_root_and_owns_its_data() -> None:
    assert instructions("USER") == ["1000:1000"]
    assert instructions("VOLUME") == ["/data"]
    assert any("--owner=1000" in line and "/data /backups" in line for line in instructions("RUN"))


def test_the_image_is_built_from_files_that_are_here_and_not_ignored() -> None:
    copied = [line.split()[:-1] for line in instructions("COPY") if not line.startswith("--from")]
    sources = [source for sources in copied for source in sources]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    assert set(sources) == kept
    assert all((ROOT / source).exists() for source in sources)


def test_the_unit_for_a_server_without_containers_starts_what_exists() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((SERVER / "patchsift.service").read_text(encoding="utf-8"))
    said = dict(unit["Service"])
    program, *words = shlex.split(said["ExecStart"])
    assert program.endswith("/patchsift")
    assert_runs(words)
    file = (SERVER / Path(said["EnvironmentFile"]).name).read_text(encoding="utf-8")
    settings = dict(re.findall(r"^#?PATCHSIFT_(\w+)=(.*)$", file, re.MULTILINE))
    assert {name.removesuffix("_FILE").lower() for name in settings} <= set(Settings.model_fields)
    assert settings["DATA_DIR"] == f"/var/lib/{said['StateDirectory']}"
    there = f"{settings['HOST']}:{settings['PORT']}"
    assert all(there in (SERVER / name).read_text(encoding="utf-8") for name in ("nginx.conf", "Caddyfile"))
    # Behind a proxy of the same machine, and nobody in without a name.
    assert not Settings(host=settings["HOST"], public_url=settings["PUBLIC_URL"]).is_private


def test_the_docs_name_the_files_that_are_here() -> None:
    named = re.findall(r"\(examples/server/([\w.]+)\)", (ROOT / "docs/operation.md").read_text(encoding="utf-8"))
    assert set(named) == {path.name for path in SERVER.iterdir()}
