"""What the review and the edit page show of a spec and of style candidates: what was given, and what was made of it."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from app import drawing
from app.candidates import Candidate, Finding, Severity, SpecPair, StyleRefine, StyleUnify
from app.checks.style import FINGERPRINT, PROFILE, PROFILE_OF, Most, majority, read_pairs
from app.diffs.edit import diff_texts

FILES: Mapping[str, str] = {
    "script": "script.py",
    "spec": "spec.yaml",
    "refined": "fingerprint.txt",
    "unified": "profile.json",
}
"""The name that a text has in the diff of its edit; a diff is none."""

_SHOWN_OF_VALUE = 200
_LINE_OF = re.compile(r"[a-z]+:([0-9]{1,9})")


@dataclass(frozen=True)
class Symbol:
    """One symbol of the prompt: `Symbol("click.core.Context", "class code", "click/core.py:10-90", "", "0.49", …)`.

    Attributes:
        name: the qualified name.
        kind: `function code`, `method code`, `class code`, `docstring for …`, or empty.
        place: file and lines, or empty.
        signature: as the digest writes it, or empty.
        similarity: as written, or empty.
        snippet: the code, drawn, or empty.
    """

    name: str
    kind: str
    place: str
    signature: str
    similarity: str
    snippet: Markup

    @property
    def about(self) -> str:
        """`click/core.py:10-90, class code, similarity 0.49`."""
        similarity = f"similarity {self.similarity}" if self.similarity else ""
        return ", ".join(part for part in (self.place, self.kind, similarity) if part)


@dataclass(frozen=True)
class Cell:
    """One value of a table; `mark` says what is special about it, or is empty."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """One row of a table: `Row("quotes", [Cell("single"), Cell("double", "changed")])`; `n` equal ones are one."""

    name: str
    cells: list[Cell]
    n: int = 1


@dataclass(frozen=True)
class Table:
    """Values side by side: the heads of the columns after the first, and the rows."""

    heads: list[str]
    rows: list[Row]


@dataclass(frozen=True)
class Pair:
    """What a page may read of a spec or style candidate.

    Attributes:
        template: draws what was given.
        given: for the template: see `SpecGiven`, `RefineGiven` and `UnifyGiven`.
        field: the text that is edited: `spec`, `refined` or `unified`.
        label: its heading.
        language: `yaml` or `json`.
        text: the text that stands, drawn, each line with what the checks say of it.
        table: its values beside what they were made of, or None.
        change: the difference to the log's own text, or empty.
        facts: label and value for the margin.
        elsewhere: the findings that stand at no line of the text.
    """

    template: str
    given: object
    field: str
    label: str
    language: str
    text: Markup
    table: Table | None
    change: Markup
    facts: list[tuple[str, str]]
    elsewhere: list[Finding]


@dataclass(frozen=True)
class SpecGiven:
    """What a spec was made of, besides the issue.

    Attributes:
        symbols: those that the prompt describes.
        names: those that it only names.
        rest: what the symbols text says besides, such as earlier examples, or that nothing was found.
    """

    symbols: list[Symbol] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    rest: str = ""


@dataclass(frozen=True)
class RefineGiven:
    """What a refined fingerprint was made of: a code sample, with the counts of the stats block as pairs."""

    item: str
    place: str
    snippet: Markup
    stats: list[tuple[str, str]]


@dataclass(frozen=True)
class UnifyGiven:
    """What a profile was made of: the samples, each with its path as the row's name."""

    samples: Table


def pair_of(said: Candidate, stands: Candidate, findings: Sequence[Finding]) -> Pair | None:
    """What the pages show of a spec or style candidate, or None for a patch.

    Args:
        said: what the log says.
        stands: the same with the text that counts, or `said` itself.
        findings: about what stands.
    """
    if said.spec is not None:
        return _spec_pair(said.spec, stands, findings)
    if said.refine is not None and stands.refine is not None:
        return _refine_pair(said.refine, stands, findings)
    if said.unify is not None and stands.unify is not None:
        return _unify_pair(said.unify, stands, findings)
    return None


def table_of(said: Candidate, stands: Candidate) -> Table | None:
    """The values of a style candidate's text beside what they were made of, or None for other kinds."""
    if said.refine is not None:
        return _refined_table(said.refine, stands.texts["refined"])
    if said.unify is not None:
        return _unified_table(said.unify, stands.texts["unified"], majority(said.unify.samples))
    return None


def _spec_pair(said: SpecPair, stands: Candidate, findings: Sequence[Finding]) -> Pair:
    facts = [("Comes from", {"patch_set": "a patch set", "capture": "a capture log"}.get(said.origin, "a spec log"))]
    if said.accepted is not None:
        facts.append(("The agent's parser", "took it" if said.accepted else "refused it"))
    if said.error:
        facts.append(("Its error", said.error))
    text, elsewhere = _drawn(stands, "spec", "yaml", findings)
    return Pair(
        template="_spec.html",
        given=read_symbols(said.symbols, said.symbols_form),
        field="spec",
        label="Spec",
        language="yaml",
        text=text,
        table=None,
        change=_change(said.yaml, stands, "spec"),
        facts=facts,
        elsewhere=elsewhere,
    )


def _refine_pair(said: StyleRefine, stands: Candidate, findings: Sequence[Finding]) -> Pair:
    facts = [("Status", said.status)] if said.status else []
    if said.error:
        facts.append(("Error", said.error))
    text, elsewhere = _drawn(stands, "refined", "json", findings)
    return Pair(
        template="_style.html",
        given=RefineGiven(
            said.item,
            said.place,
            drawing.script(said.snippet, anchor="N"),
            read_stats(said.stats),
        ),
        field="refined",
        label="Refined fingerprint",
        language="json",
        text=text,
        table=_refined_table(said, stands.texts["refined"]),
        change=_change(said.refined, stands, "refined"),
        facts=facts,
        elsewhere=elsewhere,
    )


def _unify_pair(said: StyleUnify, stands: Candidate, findings: Sequence[Finding]) -> Pair:
    most = majority(said.samples)
    text, elsewhere = _drawn(stands, "unified", "json", findings)
    return Pair(
        template="_style.html",
        given=UnifyGiven(_samples_table(said.samples, most)),
        field="unified",
        label="Unified profile",
        language="json",
        text=text,
        table=_unified_table(said, stands.texts["unified"], most),
        change=_change(said.unified, stands, "unified"),
        facts=[("Error", said.error)] if said.error else [],
        elsewhere=elsewhere,
    )


# ------------------------------------------------------------------------------------------------ texts


def line_of(finding: Finding, name: str) -> int | None:
    """The line of a text that a finding speaks of: `spec:12` → 12 for `spec`; None where it names none."""
    found = _LINE_OF.fullmatch(finding.place)
    return int(found[1]) if found and finding.place.startswith(f"{name}:") else None


def _drawn(stands: Candidate, name: str, language: str, findings: Iterable[Finding]) -> tuple[Markup, list[Finding]]:
    """The text with what is said of its lines, and the findings that stand nowhere in it."""
    text = stands.texts[name]
    n_lines = text.removesuffix("\n").count("\n") + 1 if text else 0
    notes: dict[int, list[str]] = {}
    elsewhere: list[Finding] = []
    held: set[int] = set()
    for found in findings:
        line = line_of(found, name)
        if line is None or not 1 <= line <= n_lines:
            elsewhere.append(found)
            continue
        is_held = found.severity is Severity.HOLD
        notes.setdefault(line, []).append(f"{found.message} Exports hold it back." if is_held else found.message)
        held |= {line} if is_held else set()
    said = {line: "\n".join(messages) for line, messages in notes.items()}
    return drawing.script(text, language=language, anchor="S", notes=said, soft=said.keys() - held), elsewhere


def _change(original: str, stands: Candidate, name: str) -> Markup:
    edited = stands.texts[name]
    return Markup() if edited == original else drawing.diff(diff_texts(original, edited, FILES[name]), prefix="c")


# ------------------------------------------------------------------------------------------------ symbols

_HEAD, _NAMES_HEAD = "Relevant Project Symbols:", "Relevant Project Symbols FQNs:"
_SYMBOL = re.compile(r"  Symbol [0-9]{1,6}:")
_PART = re.compile(r"    (FQN|Type|File|Signature|Similarity|Snippet):(?: (.*))?")
_FENCE, _FIRST_INDENT = "      ---", "      "
_NAME_LIST = re.compile(r"\s*[\w.<>]+(?:\s*,\s*[\w.<>]+)+\s*")


def read_symbols(text: str, form: str) -> SpecGiven:
    """The symbols text of a prompt, in each of its forms.

    `read_symbols("click.echo|click.style", "bag")` gives `SpecGiven(names=["click.echo", "click.style"])`; of a context
    that was cut, what is whole and the last piece.
    """
    if form == "bag":
        return SpecGiven(names=[name for name in text.split("|") if name.strip()])
    lines = text.split("\n")
    head = lines[0].strip()
    if head == _HEAD:
        return _read_context(lines[1:])
    if head.startswith(_NAMES_HEAD):
        names = [name.strip() for name in head.removeprefix(_NAMES_HEAD).split(",")]
        return SpecGiven(names=[name for name in names if name], rest="\n".join(lines[1:]).strip("\n"))
    if _NAME_LIST.fullmatch(text):
        return SpecGiven(names=[name.strip() for name in text.split(",")])
    return SpecGiven(rest=text.strip("\n"))


def _read_context(lines: Sequence[str]) -> SpecGiven:
    symbols: list[Symbol] = []
    at = 0
    while at < len(lines) and _SYMBOL.fullmatch(lines[at]):
        at, found = _read_symbol(lines, at + 1)
        symbols.append(found)
    return SpecGiven(symbols=symbols, rest="\n".join(lines[at:]).strip("\n"))


def _read_symbol(lines: Sequence[str], at: int) -> tuple[int, Symbol]:
    parts: dict[str, str] = {}
    code: list[str] = []
    while at < len(lines) and (part := _PART.fullmatch(lines[at])):
        parts[part[1]] = part[2] or ""
        at += 1
        if part[1] == "Snippet":
            at, code = _read_snippet(lines, at)
            break
    return at, Symbol(
        name=parts.get("FQN", ""),
        kind=parts.get("Type", "").replace("_", " "),
        place=parts.get("File", ""),
        signature="" if parts.get("Signature") == "None" else parts.get("Signature", ""),
        similarity=parts.get("Similarity", ""),
        snippet=drawing.script("\n".join(code), anchor=f"Y{at}-") if any(map(str.strip, code)) else Markup(),
    )


def _read_snippet(lines: Sequence[str], at: int) -> tuple[int, list[str]]:
    """The lines between the fences; only the first was indented by the prompt. A fence in the code does not end it."""
    if at < len(lines) and lines[at] == _FENCE:
        at += 1
    begins = at
    while at < len(lines) and not (lines[at] == _FENCE and _ends_symbol(lines, at + 1)):
        at += 1
    code = list(lines[begins:at])
    if code:
        code[0] = code[0].removeprefix(_FIRST_INDENT)
    return min(at + 1, len(lines)), code


def _ends_symbol(lines: Sequence[str], at: int) -> bool:
    following = lines[at] if at < len(lines) else ""
    return not following.strip() or bool(_SYMBOL.fullmatch(following)) or not following.startswith(" ")


# ------------------------------------------------------------------------------------------------ style

_STATS_MARKS = frozenset({"STATS_START", "STATS_END"})


def read_stats(text: str) -> list[tuple[str, str]]:
    r"""The stats block as pairs: `"STATS_START\nindent_modal: 4\nSTATS_END"` → `[("indent_modal", "4")]`."""
    lines = (line.strip() for line in text.split("\n"))
    parted = (line.partition(":") for line in lines if line and line not in _STATS_MARKS)
    return [(name.strip(), value.strip()) for name, _, value in parted]


def _refined_table(said: StyleRefine, stands: str) -> Table:
    refined, edited = read_pairs(said.refined).by_key(), read_pairs(stands).by_key()
    keys = _ordered(FINGERPRINT, said.draft, refined, edited)
    is_edited = stands != said.refined
    rows = []
    for key in keys:
        cells = [_cell(said.draft, key), _compared(refined, key, said.draft, "changed")]
        rows.append(Row(key, [*cells, _compared(edited, key, refined, "edited")] if is_edited else cells))
    return Table(["Draft", "Refined", "Edited"] if is_edited else ["Draft", "Refined"], rows)


def _unified_table(said: StyleUnify, stands: str, most: Mapping[str, Most]) -> Table:
    unified = read_pairs(said.unified, is_object=True).by_key()
    edited = read_pairs(stands, is_object=True).by_key()
    is_edited = stands != said.unified
    of_field = {PROFILE_OF[key]: found for key, found in most.items()}
    rows = []
    for name in _ordered(PROFILE, {}, unified, edited):
        found = of_field.get(name)
        cells = [Cell("" if found is None else found.sentence), _against(unified, name, found)]
        if is_edited:
            now = _against(edited, name, found)
            has_changed = unified.get(name) != edited.get(name) or (name in unified) != (name in edited)
            cells.append(Cell(now.text, now.mark or ("edited" if has_changed else "")))
        rows.append(Row(name, cells))
    return Table(["Samples", "Profile", "Edited"] if is_edited else ["Samples", "Profile"], rows)


def _samples_table(samples: Sequence[Mapping[str, object]], most: Mapping[str, Most]) -> Table:
    rows = []
    for sample in samples:
        fingerprint = sample.get("fingerprint")
        values = fingerprint if isinstance(fingerprint, Mapping) else {}
        cells = [_cell(sample, "weight")]
        for key in FINGERPRINT:
            cell = _cell(values, key)
            found = most.get(key)
            is_off = found is not None and cell.text and found.is_against(values.get(key))
            cells.append(Cell(cell.text, "unlike most" if is_off else ""))
        rows.append(Row(_shown(sample.get("file_path", "no path")), cells))
    equal = Counter((row.name, tuple(row.cells)) for row in rows)
    return Table(["weight", *FINGERPRINT], [Row(name, list(cells), n) for (name, cells), n in equal.items()])


def _ordered(known: Sequence[str], *said: Mapping[str, object]) -> list[str]:
    """The keys that occur, those that are known first."""
    occurring = dict.fromkeys(key for one in said for key in one)
    return [*(key for key in known if key in occurring), *(key for key in occurring if key not in known)]


def _cell(said: Mapping[str, object], key: str) -> Cell:
    return Cell(_shown(said[key])) if key in said else Cell("")


def _compared(said: Mapping[str, object], key: str, before: Mapping[str, object], mark: str) -> Cell:
    if key not in said:
        return Cell("", "missing" if key in before else "")
    return Cell(_shown(said[key]), "" if key in before and before[key] == said[key] else mark)


def _against(said: Mapping[str, object], name: str, found: Most | None) -> Cell:
    cell = _cell(said, name)
    if found is None or said.get(name) is None:
        return cell
    return Cell(cell.text, "against the samples" if found.is_against(said[name]) else "")


def _shown(value: object) -> str:
    """A value for a cell: text as it is, all else as JSON, long ones cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_OF_VALUE else text[: _SHOWN_OF_VALUE - 1] + "…"
