"""Diffs whose truth is known: seeded edits in real Python sources of installed packages, the same in every run.

A change set holds one or more files before and after, and the diff between them, as git would write it. What an edit
does is what codemods and people do to code: an identifier gets another name throughout, lines come and go, a docstring
is rewritten, a call is laid out anew, every line of a block is changed a little while others are put between them.
"""

import ast
import difflib
import importlib.util
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGES = ("jinja2", "pygments", "starlette", "sqlalchemy", "hypothesis", "_pytest", "fastapi", "alembic", "uvicorn")
_LONGEST = 3000
_NAME = re.compile(r"\b[a-z][a-z_]{4,}\b")
_WORDS = [
    "value",
    "result",
    "reader",
    "source",
    "token",
    "buffer",
    "handler",
    "config",
    "option",
    "target",
    "index",
    "window",
    "cursor",
    "margin",
]


@dataclass(frozen=True)
class Change:
    """One file: its path, and its text before and after."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class ChangeSet:
    """What one patch does, and the diff that says so."""

    changes: tuple[Change, ...]
    diff: str

    @property
    def n_lines(self) -> int:
        return self.diff.count("\n")


def change_sets(n: int, seed: int = 1) -> list[ChangeSet]:
    """`n` change sets; sizes are spread as in public histories: half below some sixty lines, a few in the thousands."""
    chance = random.Random(seed)
    sources = _sources()
    return [_change_set(chance, sources) for _ in range(n)]


def large(n_rows: int, seed: int = 1) -> ChangeSet:
    """One change set of at least so many diff lines."""
    chance = random.Random(seed)
    sources = _sources()
    changes: list[Change] = []
    n, diffs = 0, []
    while n < n_rows:
        change = _change(chance, *chance.choice(sources), n_edits=40)
        diffs.append(diff_of(change))
        n += diffs[-1].count("\n")
        changes.append(change)
    return ChangeSet(tuple(changes), "".join(diffs))


@cache
def _sources() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            continue
        root = Path(spec.submodule_search_locations[0])
        for path in sorted(root.rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            # Tables of data are no code that anybody patches by hand.
            if 40 <= text.count("\n") <= _LONGEST and "\r" not in text and "_mapping" not in path.name:
                found.append((f"{name}/{path.relative_to(root).as_posix()}", text))
    return found


def _change_set(chance: random.Random, sources: list[tuple[str, str]]) -> ChangeSet:
    n_files = 1 if chance.random() < 0.55 else min(int(chance.paretovariate(1.1)) + 1, 20)
    changes = []
    for path, text in chance.sample(sources, n_files):
        change = _change(chance, path, text, n_edits=min(2 * int(chance.paretovariate(0.9)) + 2, 60))
        if change.before != change.after:
            changes.append(change)
    return ChangeSet(tuple(changes), "".join(map(diff_of, changes)))


def _change(chance: random.Random, path: str, text: str, *, n_edits: int) -> Change:
    lines = text.split("\n")
    for _ in range(n_edits):
        edit, tried = chance.choices(_EDITS, weights=_WEIGHTS)[0], [*lines]
        edit(chance, tried)
        # What is committed can be read as a rule; a line taken out of the end of a string is no edit that people make.
        if _is_python("\n".join(tried)):
            lines = tried
    return Change(path, text, "\n".join(lines))


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def diff_of(change: Change) -> str:
    """As git writes it: three lines of context, `a/` and `b/`."""
    old, new = ((side + "\n").split("\n")[:-1] for side in (change.before, change.after))
    head = f"diff --git a/{change.path} b/{change.path}\n"
    body = difflib.unified_diff(old, new, f"a/{change.path}", f"b/{change.path}", lineterm="")
    return head + "".join(line + "\n" for line in body)


# ------------------------------------------------------------------------------------------------ edits


def _rename(chance: random.Random, lines: list[str]) -> None:
    """One name, everywhere: what most codemods do."""
    names = _NAME.findall(lines[chance.randrange(len(lines))])
    if not names:
        return
    name, to = chance.choice(names), chance.choice(_WORDS)
    word = re.compile(rf"\b{name}\b")
    for i, line in enumerate(lines):
        lines[i] = word.sub(to, line)


def _insert(chance: random.Random, lines: list[str]) -> None:
    at, start, n = chance.randrange(len(lines)), chance.randrange(len(lines)), chance.randint(1, 6)
    lines[at:at] = lines[start : start + n]


def _delete(chance: random.Random, lines: list[str]) -> None:
    at = chance.randrange(len(lines))
    if len(lines) > 20:
        del lines[at : at + chance.randint(1, 6)]


def _words(chance: random.Random, lines: list[str]) -> None:
    """Another word in one line, be it code or prose."""
    at = chance.randrange(len(lines))
    lines[at] = _NAME.sub(lambda found: chance.choice(_WORDS) if chance.random() < 0.4 else found[0], lines[at])


def _block(chance: random.Random, lines: list[str]) -> None:
    """A stretch of lines, most of them changed a little, with others put between or taken out."""
    at, n = chance.randrange(len(lines)), chance.randint(3, 9)
    made: list[str] = []
    for line in lines[at : at + n]:
        if chance.random() < 0.2:
            made.append(line[: len(line) - len(line.lstrip())] + f"{chance.choice(_WORDS)} = {chance.randrange(999)}")
        if chance.random() < 0.85:
            made.append(_NAME.sub(lambda found: chance.choice(_WORDS) if chance.random() < 0.3 else found[0], line))
    lines[at : at + n] = made


def _layout(chance: random.Random, lines: list[str]) -> None:
    """A call in one line, laid out over several."""
    at = chance.randrange(len(lines))
    line = lines[at]
    if line.count("(") == 1 and line.rstrip().endswith(")") and ", " in line and '"' not in line and "'" not in line:
        head, _, rest = line.rstrip().partition("(")
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        lines[at : at + 1] = [f"{head}(", *(f"{indent}{part}," for part in rest[:-1].split(", ")), f"{indent[4:]})"]


def _indent(chance: random.Random, lines: list[str]) -> None:
    at, n = chance.randrange(len(lines)), chance.randint(2, 6)
    block = lines[at : at + n]
    lead = min((line[: len(line) - len(line.lstrip())] for line in block if line.strip()), key=len, default="")
    lines[at : at + n] = [f"{lead}if {chance.choice(_WORDS)}:", *(f"    {line}" if line else line for line in block)]


Edit = Callable[[random.Random, list[str]], None]
_EDITS: tuple[Edit, ...] = (_rename, _insert, _delete, _words, _block, _layout, _indent)
_WEIGHTS = (1, 3, 2, 5, 2, 3, 1)


def blocks(diff: str) -> Iterator[tuple[list[str], list[str]]]:
    """The replaced blocks of a diff, read by the simplest of means: runs of `-` and then `+` lines."""
    old: list[str] = []
    new: list[str] = []
    for line in [*diff.split("\n"), " "]:
        if line.startswith("-") and not line.startswith("--- ") and not new:
            old.append(line[1:])
        elif line.startswith("+") and not line.startswith("+++ ") and old:
            new.append(line[1:])
        else:
            if old and new:
                yield old, new
            old, new = ([line[1:]] if line.startswith("-") and not line.startswith("--- ") else []), []
