import importlib
import inspect
import pkgutil
import random
import re
import string

import detect_secrets.plugins
import pytest
from detect_secrets.plugins.base import BasePlugin
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import checks
from app.checks.secrets import LEFT_OUT, OWN_RULES, PLUGINS, runs_of
from tests.checks.examples import VERSION, VERSION_SCRIPT, patch

# Parted, so that a scanner does not take this file for a leak.
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
SECRETS = {
    "AWS Access Key": AWS,
    "GitHub Token": "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345",
    "Private Key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "Anthropic API Key": "sk-" + "ant-api03-" + "A" * 80,
    "Slack Token": "xox" + "b-123456789012-123456789012-" + "a" * 24,
    "Basic Auth Credentials": "postgres" + "://user:hunter2@db.internal:5432/prod",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0." + "c2lnbmF0dXJlc2lnbmF0dXJl",
    "OpenAI API Key": "sk-" + "proj-" + "Ab1_" * 12,
    "Hugging Face Token": "hf_" + "aB3dE" * 7,
}


@pytest.mark.parametrize(("kind", "value"), SECRETS.items(), ids=SECRETS.keys())
def test_a_secret_is_named_by_its_kind_and_never_shown(kind: str, value: str) -> None:
    (found,) = checks.run(patch(issue=f"Fix the login.\nIt fails with {value} since Monday."))

    assert (found.code, found.place) == ("secret", "issue:2")
    assert f"({kind})" in found.message
    assert value[:12] not in found.message


@pytest.mark.parametrize("sign", ["+", "-", " "])
def test_a_secret_on_any_line_of_a_diff_leaves_with_it(sign: str) -> None:
    diff = VERSION.replace("@@ -82,4 +82,4 @@", "@@ -82,9 +82,9 @@") + f"{sign}KEY = '{AWS}'\n"

    found = [finding for finding in checks.run(patch(diff=diff)) if finding.code == "secret"]

    assert [finding.place for finding in found] == ["diff:9"]


def test_secrets_are_found_in_the_script_and_in_unknown_keys() -> None:
    found = checks.run(patch(script=VERSION_SCRIPT + f"KEY = '{AWS}'\n", extra={"env": {"KEY": AWS}}))

    assert [finding.place for finding in found] == ["script:23", "extra.env.KEY"]


@pytest.mark.parametrize("at", [0, 1_990, 2_500, 50_000])
def test_a_secret_anywhere_in_a_long_line_is_found_once(at: int) -> None:
    line = "x, " * 20_000
    found = checks.run(patch(issue=line[:at] + " " + SECRETS["GitHub Token"] + " " + line[at:]))

    assert [(finding.code, finding.place) for finding in found] == [("secret", "issue")]


@pytest.mark.parametrize(
    "text",
    [
        "proxies = {'http': 'http://user:password@localhost:3128'}",
        'url = f"https://{user}:{password}@example.org/"',
        "git clone ssh://git@example.org/click.git; see https://example.org/a:b/c@d",
        "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "def test_echo_via_pager_keeps_colors_when_output_is_not_a_terminal(runner, token, key): pass",
        "hf_hub_download(repo_id=...); sk-learn; APACHE LICENSE; ASIA; data-us-east",
    ],
)
def test_ordinary_code_holds_no_secret(text: str) -> None:
    assert checks.run(patch(issue=text)) == ()


def test_random_secrets_of_seven_kinds_are_all_found() -> None:
    chance = random.Random(20)

    def some(n: int, alphabet: str = string.ascii_letters + string.digits) -> str:
        return "".join(chance.choices(alphabet, k=n))

    makers = (
        lambda: "AK" + "IA" + some(16, string.ascii_uppercase + string.digits),
        lambda: "gh" + chance.choice("pousr") + "_" + some(36),
        lambda: "sk-" + "ant-api03-" + some(93),
        lambda: "xox" + f"b-{some(12, string.digits)}-{some(12, string.digits)}-{some(24)}",
        lambda: "hf" + "_" + some(34),
        lambda: "post" + f"gresql://{some(6)}:{some(14)}@db.example.org/app",
        lambda: "-----BEGIN " + chance.choice(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "]) + "PRIVATE KEY-----",
    )
    lines = [f"value = '{makers[i % 7]()}'" for i in range(210)]

    missed = [line for line in lines if not checks.run(patch(script=f"{VERSION_SCRIPT}{line}\n"))]

    assert missed == []


def test_a_text_made_of_near_secrets_is_held_without_a_full_look() -> None:
    (found,) = checks.run(patch(issue="eyJ!\n" * 4_500))

    assert (found.code, found.place) == ("secret", "issue:4001")
    assert "not all were searched" in found.message


def _plugin_classes() -> dict[str, type[BasePlugin]]:
    modules = [
        importlib.import_module(f"detect_secrets.plugins.{m.name}")
        for m in pkgutil.iter_modules(detect_secrets.plugins.__path__)
    ]
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": plugin
        for module in modules
        for name, plugin in vars(module).items()
        if inspect.isclass(plugin) and issubclass(plugin, BasePlugin) and not inspect.isabstract(plugin)
        if plugin.__module__ == module.__name__
    }


def test_every_plugin_of_the_library_is_asked_or_left_out_for_a_reason() -> None:
    assert set(_plugin_classes()) == set(PLUGINS) | set(LEFT_OUT)


def _patterns(name: str) -> list[re.Pattern[str]]:
    return list(getattr(_plugin_classes()[name], "denylist", ()))


PATTERNS = [
    pytest.param(name, pattern, id=f"{name.partition('.')[2]}-{i}")
    for name in PLUGINS
    for i, pattern in enumerate(_patterns(name))
]


@pytest.mark.parametrize(("name", "pattern"), PATTERNS)
def test_whatever_a_plugin_matches_passes_its_gate(name: str, pattern: re.Pattern[str]) -> None:
    @settings(max_examples=25, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(pattern))
    def passes(text: str) -> None:
        assert PLUGINS[name].opens(text, text.casefold(), runs_of(text))

    passes()


@pytest.mark.parametrize("kind", OWN_RULES)
def test_whatever_a_rule_matches_passes_its_gate(kind: str) -> None:
    gate, pattern = OWN_RULES[kind]

    @settings(max_examples=25, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(re.compile(pattern.pattern.replace("(?<=[A-Za-z0-9]{20})", "[A-Za-z0-9]{20}"), pattern.flags)))
    def passes(text: str) -> None:
        assert gate.opens(text, text.casefold(), runs_of(text))

    passes()


def test_the_rule_for_openai_keys_finds_what_the_plugin_finds() -> None:
    (pattern,) = _patterns("openai.OpenAIDetector")

    @settings(max_examples=50, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(pattern, fullmatch=True))
    def finds(key: str) -> None:
        assert OWN_RULES["OpenAI API Key"][1].search(key)

    finds()
