"""Whether a candidate's script can be a completion: there, whole, Python, and one codemod. It is parsed, never run."""

import ast
import sys
from collections.abc import Iterator

from app.candidates import Finding, Kind, Severity
from app.checks.excerpts import excerpt
from app.checks.reading import Reading
from app.python_tree import parse_python

MOST_BYTES = 1_000_000
_BASES = frozenset({"VisitorBasedCodemodCommand", "MatcherDecoratableCommand"})
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_NAMES_SHOWN = 5


def script(reading: Reading) -> Iterator[Finding]:
    """What keeps the script from being trained on, or what is odd about it.

    A patch without a script has no completion. The agent's applier takes the first class that inherits from a codemod
    command, so none cannot have worked, and more than one leaves open which was meant.
    """
    candidate = reading.candidate
    if candidate.kind is not Kind.PATCH:
        return
    text = candidate.script or ""
    if not text.strip():
        yield _absent(candidate.script_hash)
    else:
        tree = parse(text)
        yield from (tree,) if isinstance(tree, Finding) else _codemods(tree)


def parse(text: str) -> ast.Module | Finding:
    """A text as Python, or the finding about it: `script_unparsable` or `script_too_large`, at `script`.

    `parse("import libcst")` gives a tree, `parse("def")` the finding that it does not parse. Nothing is raised.
    """
    if len(text) > MOST_BYTES or len(text.encode(errors="surrogatepass")) > MOST_BYTES:
        message = f"This script is larger than {MOST_BYTES:,} bytes, so it was not parsed."
        return Finding("script_too_large", Severity.HOLD, "script", f"{message} Read it before you let it pass.")
    try:
        return parse_python(text)
    except SyntaxError as error:
        return _unparsable(error.msg, error.lineno)
    except (ValueError, RecursionError, MemoryError) as error:
        return _unparsable(str(error) or "it is nested too deeply", None)


def _absent(script_hash: str | None) -> Finding:
    if script_hash:
        return Finding(
            "hash_only",
            Severity.HOLD,
            "script_hash",
            "The log holds only a salted hash of the script, which matches nothing: there is nothing to train on.",
        )
    return Finding("no_script", Severity.HOLD, "script", "The log holds no script: there is nothing to train on.")


def _unparsable(reason: str, line: int | None) -> Finding:
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    message = f"This script does not parse as {python}: {excerpt(reason)}."
    return Finding("script_unparsable", Severity.HOLD, f"script:{line}" if line else "script", message)


def _codemods(tree: ast.Module) -> Iterator[Finding]:
    found = [node for node in _classes(tree) if any(_name_of(base) in _BASES for base in node.bases)]
    if not found:
        message = "No class of this script inherits from a codemod command: it could not have changed a file."
        yield Finding("no_codemod", Severity.WARNING, "script", message)
    elif len(found) > 1:
        names = ", ".join(excerpt(node.name) for node in found[:_NAMES_SHOWN])
        more = f" and {len(found) - _NAMES_SHOWN:,} more" if len(found) > _NAMES_SHOWN else ""
        message = f"{len(found):,} classes of this script are codemods ({names}{more}): only the first one is applied."
        yield Finding("several_codemods", Severity.WARNING, f"script:{found[1].lineno}", message)


def _classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    """Every class in the order of the text; only statements are visited, so that a large expression costs nothing."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ClassDef):
            yield node
        inner = [child for block in _BLOCKS for child in getattr(node, block, ()) if isinstance(child, ast.AST)]
        waiting += reversed(inner)


def _name_of(base: ast.expr) -> str:
    return base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
