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
from typing import Any

from app.candidates import Finding, Severity
from app.checks.reading import Passage, Reading

# Some plugins take time by the square of a line's length: a long line is cut, with room for a token on the edge.
_WINDOW = 2_000
_OVERLAP = 600
# Windows that open a gate are rare, even in megabytes of base64; a text made of nothing else is hostile, and is held
# back without a full look.
_MOST_WINDOWS = 4_000
# A run is letters, digits, `_`, `-` or anything beyond ASCII; nearly every token has one as long as this.
_RUN_LENGTH = 20
_RUN = b"x" * _RUN_LENGTH
_FIRST_NON_ASCII = 0x80
_TO_RUN = bytes(
    ord("x") if byte >= _FIRST_NON_ASCII or chr(byte).isalnum() or byte in b"_-" else 0x20 for byte in range(256)
)
_PLACEHOLDERS = frozenset(
    {"pass", "password", "passwd", "pwd", "secret", "token", "xxx", "xxxx", "example", "changeme"}
)


def runs_of(text: str) -> str:
    """The runs of 20 characters and more, parted by spaces: `"key = AKIA0123456789ABCDEF"` gives the key.

    Mapping characters to one and searching that is about twenty times faster than a regular expression.
    """
    coded = text.encode(errors="replace")
    mapped = coded.translate(_TO_RUN)
    runs: list[bytes] = []
    start = mapped.find(_RUN)
    while start >= 0:
        end = mapped.find(b" ", start)
        end = end if end >= 0 else len(mapped)
        runs.append(coded[start:end])
        start = mapped.find(_RUN, end)
    return b" ".join(runs).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Gate:
    """What must stand in a text for some finders to have a chance; one of these is enough.

    `Gate(in_run=("AKIA",))` opens for `"key = AKIA0123456789ABCDEF"`.

    Attributes:
        exact: literals, anywhere in the text.
        in_run: literals within a run (see `runs_of`).
        folded: literals anywhere, without regard to case.
        shape: a pattern, anywhere.
        folded_shape: a pattern, anywhere in the text after `casefold()`.
        run_shape: a pattern within a run.
        run_length: a run of so many characters; with `beside` a pattern that stands elsewhere in the text after
            `casefold()`.
    """

    exact: tuple[str, ...] = ()
    in_run: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    shape: re.Pattern[str] | None = None
    folded_shape: re.Pattern[str] | None = None
    run_shape: re.Pattern[str] | None = None
    run_length: int = 0
    beside: re.Pattern[str] | None = None

    def opens(self, text: str, folded: str, runs: str) -> bool:
        """Whether a text passes, given with `text.casefold()` and `runs_of(text)`."""
        # Loops, not any(): twenty-eight gates a candidate, and a generator costs more than the look itself.
        for literals, where in ((self.exact, text), (self.in_run, runs), (self.folded, folded)):
            for literal in literals:
                if literal in where:
                    return True
        for shape, where in ((self.shape, text), (self.folded_shape, folded), (self.run_shape, runs)):
            if shape is not None and shape.search(where):
                return True
        if not self.run_length or all(len(run) < self.run_length for run in runs.split()):
            return False
        return self.beside is None or self.beside.search(folded) is not None


_GITLAB = ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glcbt-", "glimt-", "glptt-", "glagent-", "gloas-")
# An assignment to such a name, in the library's words.
_ASSIGNED = re.compile(r"(?:key|pwd?|pass|password|token)[\"']?\]?[ =:]")
_AS_IBM = Gate(run_length=44, beside=_ASSIGNED)

PLUGINS: Mapping[str, Gate] = {
    "artifactory.ArtifactoryDetector": Gate(("AKC",), shape=re.compile(r"AP[\dA-F][a-zA-Z0-9]{8}")),
    "aws.AWSKeyDetector": Gate(in_run=("A3T", "ABIA", "ACCA", "AKIA", "ASIA"), folded=("aws",)),
    "azure_storage_key.AzureStorageKeyDetector": Gate(("AccountKey=",)),
    "basic_auth.BasicAuthDetector": Gate(shape=re.compile(r"://[^\s/?#\[\]@:]+:[^\s/?#\[\]@:]+@")),
    "cloudant.CloudantDetector": Gate(
        folded_shape=re.compile("cl(?:oudant|(?:ou)?[_-]?(?:api)?(?:key|pw|pass|token))")
    ),
    "discord.DiscordBotTokenDetector": Gate(shape=re.compile(r"\.[\w-]{6}\.[\w-]{27}")),
    "github_token.GitHubTokenDetector": Gate(in_run=("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    "gitlab_token.GitLabTokenDetector": Gate(in_run=(*_GITLAB, "GR1348941")),
    "ibm_cloud_iam.IbmCloudIamDetector": _AS_IBM,
    "ibm_cos_hmac.IbmCosHmacDetector": _AS_IBM,
    "jwt.JwtTokenDetector": Gate(("eyJ",)),
    "mailchimp.MailchimpDetector": Gate(in_run=("-us",)),
    "npm.NpmDetector": Gate((":_authToken=",)),
    "private_key.PrivateKeyDetector": Gate(("PRIVATE KEY", "PuTTY-User-Key-File-2")),
    "pypi_token.PypiTokenDetector": Gate(in_run=("pypi-AgE",)),
    "sendgrid.SendGridDetector": Gate(("SG.",)),
    "slack.SlackDetector": Gate(folded=("xox", "hooks.slack.com")),
    "softlayer.SoftlayerDetector": Gate(folded=("softlayer",), run_length=44, beside=_ASSIGNED),
    "square_oauth.SquareOAuthDetector": Gate(("sq0csp-",)),
    "stripe.StripeDetector": Gate(in_run=("k_live_",)),
    "telegram_token.TelegramBotTokenDetector": Gate(shape=re.compile(r":[\w-]{35}")),
    "twilio.TwilioKeyDetector": Gate(run_shape=re.compile("(?:AC|SK)[a-z0-9]{32}")),
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

OWN_RULES: Mapping[str, tuple[Gate, re.Pattern[str]]] = {
    "Anthropic API Key": (Gate(in_run=("sk-ant-",)), re.compile(r"\bsk-ant-[\w-]{20}", re.ASCII)),
    "OpenAI API Key": (
        Gate(in_run=("T3BlbkFJ", "sk-proj-", "sk-svcacct-", "sk-admin-")),
        re.compile(r"(?<=[A-Za-z0-9]{20})T3BlbkFJ[A-Za-z0-9]{20}|\bsk-(?:proj|svcacct|admin)-[\w-]{20}", re.ASCII),
    ),
    "Hugging Face Token": (Gate(in_run=("hf_",)), re.compile(r"\bhf_[A-Za-z0-9]{30}", re.ASCII)),
    "GitHub Fine-grained Token": (Gate(in_run=("github_pat_",)), re.compile(r"\bgithub_pat_\w{22}", re.ASCII)),
    "Google API Key": (Gate(in_run=("AIza",)), re.compile(r"\bAIza[\w-]{35}", re.ASCII)),
    "npm Token": (Gate(in_run=("npm_",)), re.compile(r"\bnpm_[A-Za-z0-9]{36}\b", re.ASCII)),
    "DigitalOcean Token": (Gate(in_run=("_v1_",)), re.compile(r"\bdo[opr]_v1_[a-f0-9]{64}", re.ASCII)),
    "Private Key": (Gate(("PRIVATE KEY",)), re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY")),
}
"""What the library does not know: kind → its gate, and a pattern of linear time."""

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
    for kind, (gate, pattern) in OWN_RULES.items():
        finders.setdefault(gate, []).append(partial(_kinds_by_rule, kind, pattern))
    return finders


_FINDERS = _by_gate()


def secret(reading: Reading) -> Iterator[Finding]:
    """Lines that hold what looks like a secret; the message names its kind, and never the secret.

    Removed and context lines of a diff count as well: they leave with it.
    """
    gates = _open_gates(reading.blob, reading.folded, _FINDERS)
    budget = _MOST_WINDOWS
    for passage in reading.passages if gates else ():
        told: set[tuple[int, str]] = set()
        for line, window, near in _suspects(passage, gates):
            budget -= 1
            if budget < 0:
                message = "So many places look like secrets that not all were searched. Read it before you let it pass."
                yield Finding("secret", Severity.HOLD, passage.place_of(line), message)
                break  # what stands in the next text is not known either, and is told the same
            for kind in (kind for gate in near for find in _FINDERS[gate] for kind in find(window)):
                if (line, kind) not in told:
                    told.add((line, kind))
                    message = f"This looks like a secret ({kind}). If it is real, revoke it where it was issued."
                    yield Finding("secret", Severity.HOLD, passage.place_of(line), message)


def _suspects(passage: Passage, gates: Iterable[Gate]) -> Iterator[tuple[int, str, list[Gate]]]:
    """Windows of lines that open a gate, with the line's number and the gates they open."""
    here = _open_gates(passage.text, passage.text.casefold(), gates)
    for line, window in _windows(passage) if here else ():
        near = _open_gates(window, window.casefold(), here)
        if near:
            yield line, window, near


def _open_gates(text: str, folded: str, gates: Iterable[Gate]) -> list[Gate]:
    runs = runs_of(text)
    return [gate for gate in gates if gate.opens(text, folded, runs)]


def _windows(passage: Passage) -> Iterator[tuple[int, str]]:
    """Pieces of lines with the line's number; a diff's lines come without their sign, which no token starts with."""
    is_diff = passage.place == "diff"
    for number, line in passage.lines():
        text = line[1:] if is_diff and line[:1] in {"+", "-", " "} else line
        for start in range(0, max(len(text) - _OVERLAP, 1), _WINDOW - _OVERLAP):
            yield number, text[start : start + _WINDOW]
