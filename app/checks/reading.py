"""A candidate as the checks read it: each costly view is made once, and only when a check asks for it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from app.candidates import Candidate, Kind
from app.checks.excerpts import excerpt
from app.checks.places import Places
from app.checks.sides import Change, Gate, Statement, changes_of, statements_of
from app.diffs.parse import DiffDoc, parse
from app.diffs.unicode import HiddenCharacter, hidden_characters

# Everything that ASCII text may hold without a trick in it: letters, and what ends a line or a column somewhere.
_PLAIN = bytes(range(0x20, 0x7F)) + b"\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f"
# A text may hold millions; after so many in all, a few of each text still say that it is not what it seems.
_MOST_CHARACTERS, _FEW_CHARACTERS = 50_000, 100
_KEY_LENGTH = 40
# Characters of a script that is read word by word.
MOST_SCRIPT = 1_000_000
# Texts of many lines, where a finding says which even if there is but one.
_NUMBERED = re.compile(r"diff|script|spec|symbols|snippet|refined|unified|attempt\d+|trace\d+|patched\[\d+\]")


class Passage(NamedTuple):
    """One text of a candidate and where it stands: `Passage("operations[0].target", "x.py")`."""

    place: str
    text: str

    def place_of(self, line: int) -> str:
        """Where a finding is: `diff:41`; only the field for a text of one line, such as an id."""
        return f"{self.place}:{line}" if "\n" in self.text or _NUMBERED.fullmatch(self.place) else self.place

    def lines(self) -> Iterator[tuple[int, str]]:
        r"""Each line with its number from 1; lines end at `\n` only, as everywhere."""
        return enumerate(self.text.split("\n"), 1)


class Reading:
    """One candidate under check.

    `Reading(Candidate(Kind.PATCH, "G2", issue="Fix x")).passages` gives `(Passage("issue", "Fix x"), ...)`.
    """

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate

    @cached_property
    def passages(self) -> tuple[Passage, ...]:
        """Every text of the candidate that is not empty, keys of nested values included; of equal evidence the first.

        Prompts that a capture recorded are left out: nothing is trained on them.
        """
        same = alike(self.candidate)
        parts = (*_passages(self.candidate), *_evidence(self.candidate))
        return tuple(passage for passage in parts if passage.text and passage.place not in same)

    @cached_property
    def blob(self) -> str:
        """All texts in one, so that one look tells whether a check has anything to do."""
        return "\n".join(passage.text for passage in self.passages)

    @cached_property
    def folded(self) -> str:
        """`blob` without regard to case."""
        return self.blob.casefold()

    @cached_property
    def deceptive(self) -> tuple[tuple[Passage, HiddenCharacter], ...]:
        """Characters that deceive a reader, each with its text; of a text with many, as many as can be counted."""
        found: list[tuple[Passage, HiddenCharacter]] = []
        for passage in self.passages if not is_plain(self.blob) else ():
            if not is_plain(passage.text):
                most = max(_MOST_CHARACTERS - len(found), _FEW_CHARACTERS)
                found += ((passage, character) for character in islice(hidden_characters(passage.text), most))
        return tuple(found)

    @cached_property
    def diff(self) -> DiffDoc:
        """The diff, parsed; the text is empty where the candidate has none."""
        return parse(self.candidate.diff or "", snippet=self.candidate.diff_is_snippet)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The hunks of the diff's Python files."""
        return changes_of(self.diff) if self.candidate.diff and self.candidate.kind is Kind.PATCH else ()

    @cached_property
    def test_changes(self) -> tuple[Change, ...]:
        """The hunks of the diff's tests."""
        return tuple(change for change in self.changes if self.places.is_test(change.file.path))

    @cached_property
    def places(self) -> Places:
        """What the paths of the spec tell of the diff's files."""
        return Places(self.candidate.target_files)

    def script_statements(self, gate: Gate) -> Sequence[Statement]:
        """The statements of a patch's script if `gate` opens for it, else none."""
        script = self.candidate.script or ""
        return self._script if self.candidate.kind is Kind.PATCH and gate.opens(script) else ()

    @cached_property
    def _script(self) -> Sequence[Statement]:
        script = self.candidate.script or ""
        return statements_of(script) if len(script) <= MOST_SCRIPT else ()


def alike(candidate: Candidate) -> dict[str, str]:
    """Which text of the evidence is equal to one before it, and at which place both are reported.

    Of a run whose attempts 2 and 4 are the candidate's script, and whose first two errors are one:
    `{"attempt2": "script", "trace2": "trace1", "attempt4": "script"}`. Texts are equal but for line ends at their end:
    the agent's own merging of scripts takes them off.
    """
    first = {(candidate.script or "").rstrip("\n"): "script"}
    same: dict[str, str] = {}
    for place, text in _evidence(candidate):
        told_at = first.setdefault(text.rstrip("\n"), place)
        if told_at != place and text:
            same[place] = told_at
    return same


def is_plain(text: str) -> bool:
    r"""Whether a text holds nothing but ordinary ASCII: `"a\n"` does, `"a\x1b[0m"` and `"é"` do not."""
    return text.isascii() and not text.encode().translate(None, _PLAIN)


def _passages(candidate: Candidate) -> Iterator[Passage]:
    for place in ("external_id", "issue_id", "issue"):
        yield Passage(place, getattr(candidate, place) or "")
    yield from _nested("target_files", candidate.target_files)
    yield from _nested("operations", candidate.operations)
    for place in ("diff", "script", "script_hash", "patch_source", "predicted_core"):
        yield Passage(place, getattr(candidate, place) or "")
    yield from _nested("extra", candidate.extra)
    if candidate.run is not None:
        yield from _nested("phase", candidate.run.phase)
    yield from _pair_passages(candidate)


def _evidence(candidate: Candidate) -> Iterator[Passage]:
    """What the run and the patch set beside a patch hold: attempts and their errors counted from 1, files from 0."""
    for n, attempt in enumerate(candidate.run.attempts if candidate.run is not None else (), 1):
        yield Passage(f"attempt{n}", attempt.script or "")
        yield Passage(f"trace{n}", "" if attempt.trace is None else attempt.trace.text)
    for n, image in enumerate(candidate.patch_set.files if candidate.patch_set is not None else ()):
        yield Passage(f"patched[{n}]", image.text or "")


def _pair_passages(candidate: Candidate) -> Iterator[Passage]:
    """The texts of a spec or style candidate."""
    if (spec := candidate.spec) is not None:
        yield Passage("symbols", spec.symbols)
        yield Passage("spec", spec.yaml)
    if (refine := candidate.refine) is not None:
        yield from (Passage("item", refine.item), Passage("place", refine.place), Passage("snippet", refine.snippet))
        yield Passage("stats", refine.stats)
        yield from _nested("draft", refine.draft)
        yield from (Passage("refined", refine.refined), Passage("polished", refine.polished or ""))
    if (unify := candidate.unify) is not None:
        yield from _nested("samples", unify.samples)
        yield Passage("unified", unify.unified)


def _nested(place: str, value: object) -> Iterator[Passage]:
    """Texts of a nested value in the order of the entry, without recursion: the depth is the log's choice."""
    waiting: list[tuple[str, object]] = [(place, value)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, str):
            yield Passage(where, value)
        elif isinstance(value, Mapping):
            for key, inner in reversed(list(value.items())):
                waiting += ((f"{where}.{_shown_key(key)}", inner), (where, key))
        elif isinstance(value, list | tuple):
            waiting += reversed([(f"{where}[{i}]", inner) for i, inner in enumerate(value)])


def _shown_key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() and len(key) < _KEY_LENGTH else excerpt(key)[:_KEY_LENGTH]
