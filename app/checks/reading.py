"""A candidate as the checks read it: each costly view is made once, and only when a check asks for it."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from app.candidates import Candidate
from app.diffs.parse import DiffDoc, parse
from app.diffs.unicode import HiddenCharacter, hidden_characters

# Everything that ASCII text may hold without a trick in it: letters, and what ends a line or a column somewhere.
_PLAIN = bytes(range(0x20, 0x7F)) + b"\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f"
_EXCERPT_LENGTH = 80
_MOST_CHARACTERS = 50_000
_KEY_LENGTH = 40
_NUMBERED = frozenset({"diff", "script", "spec", "symbols", "snippet", "refined", "unified"})


class Passage(NamedTuple):
    """One text of a candidate and where it stands: `Passage("operations[0].target", "x.py")`."""

    place: str
    text: str

    def place_of(self, line: int) -> str:
        """Where a finding is: `diff:41`; only the field for a text of one line, such as an id."""
        return f"{self.place}:{line}" if self.place in _NUMBERED or "\n" in self.text else self.place

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
        """Every text of the candidate that is not empty, keys of nested values included."""
        return tuple(passage for passage in _passages(self.candidate) if passage.text)

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
        """Characters that deceive a reader, each with its text; 50,000 at most, as a text may hold millions."""
        if is_plain(self.blob):
            return ()
        found = (
            (passage, character)
            for passage in self.passages
            if not is_plain(passage.text)
            for character in hidden_characters(passage.text)
        )
        return tuple(islice(found, _MOST_CHARACTERS))

    @cached_property
    def diff(self) -> DiffDoc:
        """The diff, parsed; the text is empty where the candidate has none."""
        return parse(self.candidate.diff or "", snippet=self.candidate.diff_is_snippet)


def is_plain(text: str) -> bool:
    r"""Whether a text holds nothing but ordinary ASCII: `"a\n"` does, `"a\x1b[0m"` and `"é"` do not."""
    return text.isascii() and not text.encode().translate(None, _PLAIN)


def excerpt(text: str) -> str:
    r"""A piece of a hostile text, safe to print, 80 characters at most: `"a\x1b[2J\nb"` gives `"a\ufffd[2J b"`."""
    cut = re.sub(r"\s+", " ", text[: _EXCERPT_LENGTH + 1])
    shown = "".join(character if character.isprintable() else "\ufffd" for character in cut)
    return shown if len(shown) <= _EXCERPT_LENGTH else shown[: _EXCERPT_LENGTH - 1] + "…"


def _passages(candidate: Candidate) -> Iterator[Passage]:
    for place in ("external_id", "issue_id", "issue"):
        yield Passage(place, getattr(candidate, place) or "")
    yield from _nested("target_files", candidate.target_files)
    yield from _nested("operations", candidate.operations)
    for place in ("diff", "script", "script_hash", "patch_source", "predicted_core"):
        yield Passage(place, getattr(candidate, place) or "")
    yield from _nested("extra", candidate.extra)
    yield from _pair_passages(candidate)


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
