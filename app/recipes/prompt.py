r"""Prompt templates: texts with named gaps, filled without reading what is filled in. Pure.

    Fix it.
    {issue}

A gap is a name in braces, without blanks. Braces, percent signs and gaps that stand in a log's own text stay as they
are, because a template is cut up before any text is put into it. Whatever else stands in a template is text, braces
and all. A gap that the log has nothing for says so in words: nothing is left out unseen, and nothing is made up.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from types import MappingProxyType

from app.errors import BadInputError

ABSENT = "(The log holds none.)"
"""What stands in a gap that the log has no text for."""

MOST_CHARACTERS = 100_000
"""The longest template; a model that reads more than this before the first word of a log is not known here."""

SHIPPED, PROJECT = "shipped", "project"

_GAP = re.compile(r"\{([A-Za-z_][A-Za-z_0-9]*)\}")
_DOUBLE = re.compile(r"\{(\{[A-Za-z_][A-Za-z_0-9]*\})\}")
_FILE = re.compile(r"([a-z0-9_]+)\.v([1-9][0-9]*)\.txt")
_LABEL = re.compile(r"([a-z0-9_]{1,40})/(p?)([1-9][0-9]{0,8})")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Template:
    r"""A prompt with gaps.

    `Template("greet", 1, "shipped", "Hi {who}!\n").fill({"who": "{x}"})` → `"Hi {x}!\n"`

    Attributes:
        name: what it is for, a key of `KINDS`.
        version: counted from 1, the shipped ones and a project's own apart.
        origin: `shipped` or `project`.
        text: the template as it is edited; ends with a line end.
    """

    name: str
    version: int
    origin: str
    text: str

    @property
    def label(self) -> str:
        """Name and version as lineage gives them: `repair/2`, a project's own `repair/p3`."""
        return f"{self.name}/{'p' if self.origin == PROJECT else ''}{self.version}"

    @cached_property
    def digest(self) -> str:
        """SHA-256 hex of the text's UTF-8 bytes."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def gaps(self) -> tuple[str, ...]:
        """The names of its gaps, each once, in the order in which they stand."""
        return tuple(dict.fromkeys(self._parts[1::2]))

    @cached_property
    def _parts(self) -> tuple[str, ...]:
        """Constant texts, and between them the names of gaps."""
        return tuple(_GAP.split(self.text))

    def fill(self, values: Mapping[str, str]) -> str:
        r"""The prompt; a gap whose value is blank or absent says `ABSENT`, a value without a gap is left out.

        `template.fill({"issue": "Fix x\n", "files": ""})` → `"…Fix x\n…(The log holds none.)…"`
        """
        parts = [*self._parts]
        for at in range(1, len(parts), 2):
            value = values.get(parts[at], "")
            parts[at] = value if value and not value.isspace() else ABSENT
        return "".join(parts)


Prompts = Mapping[str, Template]
"""The templates that a recipe fills, by name."""


# ------------------------------------------------------------------------------------------------ what there is


@dataclass(frozen=True, slots=True)
class Form:
    """What a template of one name may hold.

    Attributes:
        title: what it asks a model for, in a few words.
        gaps: name of each gap → one sentence on what fills it.
        required: the gaps that it cannot do without.
        serves: the datasets whose examples begin with it: `("llm/repair/sft", …)`.
    """

    title: str
    gaps: Mapping[str, str]
    required: tuple[str, ...]
    serves: tuple[str, ...]


_PLANNED = {
    "files": "The paths that the spec names, one a line.",
    "operations": "The spec's operations, one a line: bare names as they are, the others as JSON.",
    "phase": "The step of the agent's plan: operation, target file, parameters and description, as the run says them.",
}
_ISSUE = {"issue": "The issue's text, as it was logged."}
_SNIPPETS = {"snippets": "Code that the agent showed its model: qualified name and source."}
_STYLE = {"style": "Indent width, quotes and other habits of the project, as the run says them."}
_ASKED = _ISSUE | _PLANNED | _SNIPPETS | _STYLE


def _of_llm(task: str) -> tuple[str, ...]:
    return tuple(f"llm/{task}/{objective}" for objective in ("sft", "preference", "unpaired", "reward"))


KINDS: Mapping[str, Form] = MappingProxyType(
    {
        "scaffold": Form("Issue → script", _ASKED, ("issue",), _of_llm("scaffold")),
        "scaffold_diff": Form(
            "Issue → diff, where a reviewer edited the diff", _ASKED, ("issue",), _of_llm("scaffold")
        ),
        "repair": Form(
            "Failing script and its error → script",
            _ASKED
            | {
                "error": "The error that the failing script gave.",
                "script": "The failing script, whole, as it was tried.",
            },
            ("error", "script"),
            _of_llm("repair"),
        ),
        "polish": Form(
            "Valid script → polished script",
            _PLANNED | _STYLE | {"script": "The valid script before it was polished, whole."},
            ("script",),
            _of_llm("polish"),
        ),
        "t5_spec": Form(
            "Issue and symbols → YAML spec",
            _ISSUE | {"symbols": "The project's symbols that stood beside the issue, as they were logged."},
            ("issue",),
            ("t5_spec/spec/seq2seq",),
        ),
        "divot5_refiner": Form(
            "Code and draft fingerprint → refined fingerprint",
            {
                "snippet": "The code sample.",
                "draft": 'The draft fingerprint as "key": value pairs; what is null or an error is left out.',
            },
            ("snippet", "draft"),
            ("divot5_refiner/style/seq2seq",),
        ),
        "divot5_unifier": Form(
            "Fingerprints of many samples → one profile",
            {"samples": "A JSON list of fingerprint, file_path and weight, one for each sample."},
            ("samples",),
            ("divot5_unifier/style/seq2seq",),
        ),
    }
)
"""Every template by name, in the order of the page."""


@cache
def _shipped() -> dict[str, dict[int, Template]]:
    """Every version that ever shipped, by name; they stay, so that an old release can be made again."""
    found: dict[str, dict[int, Template]] = {name: {} for name in KINDS}
    for path in (files("app.recipes") / "templates").iterdir():
        named = _FILE.fullmatch(path.name)
        if named and named[1] in found:
            text = path.read_text(encoding="utf-8")
            found[named[1]][int(named[2])] = Template(named[1], int(named[2]), SHIPPED, text)
    return found


@cache
def shipped() -> dict[str, Template]:
    """The newest shipped version of each template, by name, in the order of `KINDS`. Do not change the dict."""
    return {name: versions[max(versions)] for name, versions in _shipped().items()}


def list_shipped(name: str) -> list[Template]:
    """Every shipped version of a template, the newest first; empty for a name that is not known."""
    return [one for _, one in sorted(_shipped().get(name, {}).items(), reverse=True)]


def find_shipped(name: str, version: int) -> Template | None:
    """One shipped version: `find_shipped("scaffold", 1)`."""
    return _shipped().get(name, {}).get(version)


def parse_label(label: str) -> tuple[str, str, int] | None:
    """Name, origin and version: `"repair/p3"` → `("repair", "project", 3)`; None where it is no label."""
    found = _LABEL.fullmatch(label)
    return None if found is None else (found[1], PROJECT if found[2] else SHIPPED, int(found[3]))


# ------------------------------------------------------------------------------------------------ reading one


def parse(name: str, text: str, *, version: int = 1, origin: str = PROJECT) -> Template:
    r"""A template as a person wrote it: `parse("t5_spec", "spec: {issue}")` → its text is `"spec: {issue}\n"`.

    Line ends become LF, and a missing last one is added: a prompt must end with one, or the trainer's tokenizer draws
    the border between prompt and answer in the middle of a token.

    Raises:
        BadInputError: no such template; an unknown gap; one that it cannot do without is missing; the text is too long
            or holds a character that no file can.

    """
    form = KINDS.get(name)
    if form is None:
        raise BadInputError(f"There is no template {name[:40]!r}. There are: {', '.join(KINDS)}.", where="field name")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    made = Template(name, version, origin, text)
    fault = _find_fault(made, form)
    if fault is not None:
        raise BadInputError(fault, where="field text")
    return made


def _find_fault(made: Template, form: Form) -> str | None:
    if len(made.text) > MOST_CHARACTERS:
        return f"The template has {len(made.text):,} characters; {MOST_CHARACTERS:,} is the most."
    found = _UNSTORABLE.search(made.text)
    if found is not None:
        what = "a NUL character" if found[0] == "\x00" else "half a character"
        line = made.text.count("\n", 0, found.start()) + 1
        return f"Line {line} holds {what}, which no prompt can hold. Remove it."
    return _find_gap_fault(made, form)


def _find_gap_fault(made: Template, form: Form) -> str | None:
    doubled = _DOUBLE.search(made.text)
    if doubled is not None:
        return f"Line {_line(made.text, doubled)} says {doubled[0]}. A gap has one brace on each side: {doubled[1]}."
    allowed = ", ".join(f"{{{gap}}}" for gap in form.gaps)
    for found in _GAP.finditer(made.text):
        if found[1] not in form.gaps:
            return (
                f"Line {_line(made.text, found)} has a gap {found[0][:60]} that {made.name} does not know. It knows "
                f"{allowed}. If it is no gap but text, put blanks inside the braces."
            )
    missing = [f"{{{gap}}}" for gap in form.required if gap not in made.gaps]
    if missing:
        return f"A {made.name} template cannot do without {' and '.join(missing)}. Say where it goes."
    return None


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1
