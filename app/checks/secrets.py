"""Keys, tokens and passwords in a candidate, found by the plugins of detect-secrets and a few rules of our own.

The plugins are asked directly, one window of a line at a time; the library's own scanner is for files on disk. Its
entropy and keyword plugins report too much of ordinary code and stay out (`LEFT_OUT`). Importing the library takes
about 0.3 s, so each plugin hides behind a gate: cheap literals and shapes without which it cannot match. In clean
text no gate opens and nothing is imported.

Source: detect-secrets 1.5, `detect_secrets/plugins`; the token formats of GitHub, Anthropic, OpenAI, Hugging Face,
Google, npm and DigitalOcean as their documentation gives them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from itertools import groupby
from typing import Any

from app.candidates import Finding, Severity
from app.checks.reading import Passage, Reading

# Some plugins take time by the square of a line's length: a long line is cut, with room for a token on the edge.
_WINDOW = 2_000
_OVERLAP = 600
# Windows that open a gate are rare; a text made of nothing else is hostile, and is held back without a full look.
_MOST_WINDOWS = 1_000
_RUN = b"x" * 44
_FIRST_NON_ASCII = 0x80
_TO_RUN = bytes(
    ord("x") if byte >= _FIRST_NON_ASCII or chr(byte).isalnum() or byte in b"_-" else 0x20 for byte in range(256)
)
_PLACEHOLDERS = frozenset(
    {"pass", "password", "passwd", "pwd", "secret", "token", "xxx", "xxxx", "example", "changeme"}
)


def _has_long_run(text: str) -> bool:
    """Whether 44 letters, digits, `_` or `-` stand in a row; about twenty times faster than a regular expression."""
    return _RUN in text.encode(errors="replace").translate(_TO_RUN)


@dataclass(frozen=True, slots=True)
class Gate:
    """What must stand in a text for some finders to have a chance.

    `Gate(exact=("AKIA",))` opens for `"key = AKIA…"`.

    Attributes:
        exact: literals, one of which stands in the text.
        folded: literals in lower case, for plugins that disregard case.
        shape: finds something true in the text.
    """

    exact: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    shape: Callable[[str], object] | None = None

    def opens(self, text: str, folded: str, *, has_anchor: bool = True) -> bool:
        """Whether the text passes.

        Args:
            text: the text.
            folded: the text after `casefold()`.
            has_anchor: False where it is known that the text holds no `exact` literal of any gate.
        """
        if has_anchor and any(literal in text for literal in self.exact):
            return True
        if any(literal in folded for literal in self.folded):
            return True
        return self.shape is not None and bool(self.shape(text))


_GITLAB = ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glcbt-", "glimt-", "glptt-", "glagent-", "gloas-")
_CLOUDANT = re.compile(r"cl(?:ou(?:dant)?)?[_-]?(?:api)?(?:key|pw|pass|token)")


def _opens_for_ibm(text: str) -> bool:
    return _has_long_run(text) or _CLOUDANT.search(text.casefold()) is not None


_IBM = Gate(shape=_opens_for_ibm)
PLUGINS: Mapping[str, Gate] = {
    "artifactory.ArtifactoryDetector": Gate(("AKC",), shape=re.compile("AP[0-9A-F][a-zA-Z0-9]{8}").search),
    "aws.AWSKeyDetector": Gate(("A3T", "ABIA", "ACCA", "AKIA", "ASIA"), folded=("aws",)),
    "azure_storage_key.AzureStorageKeyDetector": Gate(("AccountKey=",)),
    "basic_auth.BasicAuthDetector": Gate(shape=re.compile(r"://[^\s/?#\[\]@:]+:[^\s/?#\[\]@:]+@").search),
    "cloudant.CloudantDetector": _IBM,
    "discord.DiscordBotTokenDetector": Gate(shape=re.compile(r"\.[\w-]{6}\.[\w-]{27}").search),
    "github_token.GitHubTokenDetector": Gate(("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    "gitlab_token.GitLabTokenDetector": Gate((*_GITLAB, "GR1348941")),
    "ibm_cloud_iam.IbmCloudIamDetector": _IBM,
    "ibm_cos_hmac.IbmCosHmacDetector": _IBM,
    "jwt.JwtTokenDetector": Gate(("eyJ",)),
    "mailchimp.MailchimpDetector": Gate(("-us",)),
    "npm.NpmDetector": Gate((":_authToken=",)),
    "private_key.PrivateKeyDetector": Gate(("PRIVATE KEY", "PuTTY-User-Key-File-2")),
    "pypi_token.PypiTokenDetector": Gate(("pypi-AgE",)),
    "sendgrid.SendGridDetector": Gate(("SG.",)),
    "slack.SlackDetector": Gate(folded=("xox", "hooks.slack.com")),
    "softlayer.SoftlayerDetector": _IBM,
    "square_oauth.SquareOAuthDetector": Gate(("sq0csp-",)),
    "stripe.StripeDetector": Gate(("k_live_",)),
    "telegram_token.TelegramBotTokenDetector": Gate(shape=re.compile(r":[\w-]{35}").search),
    "twilio.TwilioKeyDetector": Gate(shape=re.compile("(?:AC|SK)[a-z0-9]{32}").search),
}
"""The plugins that are asked, each behind its gate; a test draws matches of every plugin and shows that they pass."""

LEFT_OUT: Mapping[str, str] = {
    "high_entropy_strings.Base64HighEntropyString": "reports digests and identifiers",
    "high_entropy_strings.HexHighEntropyString": "reports digests",
    "keyword.KeywordDetector": "reports every assignment to a name such as password",
    "ip_public.IPPublicDetector": "an address is no secret",
    "openai.OpenAIDetector": "takes time by the cube of a line's length; the rule here finds the same keys",
}
"""Plugins of the library that are not asked, and why."""

OWN_RULES: Mapping[str, tuple[tuple[str, ...], re.Pattern[str]]] = {
    "Anthropic API Key": (("sk-ant-",), re.compile(r"\bsk-ant-[\w-]{20}", re.ASCII)),
    "OpenAI API Key": (
        ("T3BlbkFJ", "sk-proj-", "sk-svcacct-", "sk-admin-"),
        re.compile(r"(?<=[A-Za-z0-9]{20})T3BlbkFJ[A-Za-z0-9]{20}|\bsk-(?:proj|svcacct|admin)-[\w-]{20}", re.ASCII),
    ),
    "Hugging Face Token": (("hf_",), re.compile(r"\bhf_[A-Za-z0-9]{30}", re.ASCII)),
    "GitHub Fine-grained Token": (("github_pat_",), re.compile(r"\bgithub_pat_\w{22}", re.ASCII)),
    "Google API Key": (("AIza",), re.compile(r"\bAIza[\w-]{35}", re.ASCII)),
    "npm Token": (("npm_",), re.compile(r"\bnpm_[A-Za-z0-9]{36}\b", re.ASCII)),
    "DigitalOcean Token": (("dop_v1_", "doo_v1_", "dor_v1_"), re.compile(r"\bdo[opr]_v1_[a-f0-9]{64}", re.ASCII)),
    "Private Key": (("PRIVATE KEY",), re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY")),
}
"""What the library does not know: kind → literals of which every match holds one, and a pattern of linear time."""


_IN_A_URL = "basic_auth.BasicAuthDetector"
_Finder = Callable[[str], list[str]]


def _kinds_by_plugin(name: str, window: str) -> list[str]:
    plugin = _plugin(name)
    try:
        values = list(plugin.analyze_string(window))
    except RecursionError:  # a token that decodes to nested brackets is no token
        return []
    if name == _IN_A_URL:
        values = [value for value in values if not _is_placeholder(value)]
    return [str(plugin.secret_type)] if values else []


def _kinds_by_rule(kind: str, pattern: re.Pattern[str], window: str) -> list[str]:
    return [kind] if pattern.search(window) else []


@cache
def _plugin(name: str) -> Any:  # noqa: ANN401  the library has no types
    module, _, plugin = name.partition(".")
    return getattr(import_module(f"detect_secrets.plugins.{module}"), plugin)()


def _is_placeholder(password: str) -> bool:
    """Whether what stands for a password in a URL is only its name: `user:password@host`, `{user}:{password}@host`."""
    return password.casefold() in _PLACEHOLDERS or password[0] in "{<$%*" or len(set(password)) == 1


def _by_gate() -> dict[Gate, list[_Finder]]:
    finders: dict[Gate, list[_Finder]] = {}
    for name, gate in PLUGINS.items():
        finders.setdefault(gate, []).append(partial(_kinds_by_plugin, name))
    for kind, (literals, pattern) in OWN_RULES.items():
        finders.setdefault(Gate(literals), []).append(partial(_kinds_by_rule, kind, pattern))
    return finders


def _any_of(literals: Iterable[str]) -> re.Pattern[str]:
    """One pattern for many literals; sharing first letters makes it twice as fast as a plain alternation."""
    by_first = groupby(sorted(set(literals)), key=lambda literal: literal[0])
    return re.compile("|".join(f"{re.escape(c)}(?:{'|'.join(re.escape(one[1:]) for one in g)})" for c, g in by_first))


_FINDERS = _by_gate()
_ANCHORS = _any_of(literal for gate in _FINDERS for literal in gate.exact)


def secret(reading: Reading) -> Iterator[Finding]:
    """Lines that hold what looks like a secret; the message names its kind, and never the secret.

    Removed and context lines of a diff count as well: they leave with it.
    """
    waiting = _open_gates(reading.blob, reading.folded, _FINDERS)
    budget = _MOST_WINDOWS
    for passage in reading.passages if waiting else ():
        gates = _open_gates(passage.text, passage.text.casefold(), waiting)
        told: tuple[int, set[str]] = (0, set())
        for line, window in _windows(passage) if gates else ():
            near = _open_gates(window, window.casefold(), gates)
            budget -= bool(near)
            if budget < 0:
                message = "So many places look like secrets that not all were searched. Read it before you let it pass."
                yield Finding("secret", Severity.HOLD, passage.place_of(line), message)
                return
            told = told if told[0] == line else (line, set())
            for kind in dict.fromkeys(kind for gate in near for find in _FINDERS[gate] for kind in find(window)):
                if kind not in told[1]:
                    told[1].add(kind)
                    message = f"This looks like a secret ({kind}). If it is real, revoke it where it was issued."
                    yield Finding("secret", Severity.HOLD, passage.place_of(line), message)


def _open_gates(text: str, folded: str, gates: Iterable[Gate]) -> list[Gate]:
    has_anchor = _ANCHORS.search(text) is not None
    return [gate for gate in gates if gate.opens(text, folded, has_anchor=has_anchor)]


def _windows(passage: Passage) -> Iterator[tuple[int, str]]:
    """Pieces of lines with the line's number; a diff's lines come without their sign, which no token starts with."""
    is_diff = passage.place == "diff"
    for number, line in passage.lines():
        text = line[1:] if is_diff and line[:1] in {"+", "-", " "} else line
        for start in range(0, max(len(text) - _OVERLAP, 1), _WINDOW - _OVERLAP):
            yield number, text[start : start + _WINDOW]
