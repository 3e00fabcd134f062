"""The `retriever` role: an issue → the code that its accepted patch changes, as it was before. Pure.

Search runs before the change, so only the old side may be learnt: context and removed lines.
"""

from collections.abc import Iterator
from itertools import islice

from app.candidates import Candidate, Kind
from app.diffs.parse import DiffDoc, parse
from app.examples import Dataset, Example, HeldBack
from app.recipes.judged import Judged
from app.recipes.prompt import Prompts
from app.recipes.wording import is_positive, issue_of

NAME = "retriever"
VERSION = 1

SEARCH = Dataset(NAME, "search", "contrastive")
DATASETS = (SEARCH,)
KINDS = frozenset({Kind.PATCH})

N_NEGATIVES = 4


def make(judged: Judged, prompts: Prompts) -> Iterator[Example | HeldBack]:  # noqa: ARG001  (all recipes are called alike)
    r"""The issue, the code before the accepted or edited diff, and up to four pieces of code that it did not mean.

    Issue `Fix x` and `"@@ -1,2 +1,2 @@\n def f():\n-    a\n+    b\n"` → anchor `"Fix x"`, positive
    `"def f():\n    a"`. Hunks stand a blank line apart. A negative is code of the same file that a patch for another
    issue changed, and whole.
    """
    if judged.candidate.kind not in KINDS or not is_positive(judged):
        return
    anchor = issue_of(judged.candidate)
    if not anchor:
        yield HeldBack(SEARCH, "empty", "The log holds no issue, so there is nothing to search for.")
        return
    diff = judged.stands.diff or ""
    if not diff.strip():
        yield HeldBack(SEARCH, "no_diff", "The log holds no diff, so the code before it is not known.")
        return
    doc = _read(judged.stands)
    positive = _old_side(doc)
    if not positive:
        yield _held(doc)
        return
    negatives = tuple(islice(_negatives(judged, positive), N_NEGATIVES))
    yield Example(
        SEARCH,
        f"{SEARCH.task}-{SEARCH.objective}-{judged.digest[:20]}",
        {"anchor": anchor, "positive": positive, "negatives": negatives},
        f"{NAME}/{VERSION}",
        answer="edited_diff" if judged.is_edited("diff") else "diff",
        places=frozenset({"issue", "diff"}),
        evidence=_evidence(len(negatives)),
    )


def _read(candidate: Candidate) -> DiffDoc:
    return parse(candidate.diff or "", snippet=candidate.diff_is_snippet)


def _old_side(doc: DiffDoc) -> str:
    r"""The old lines of all hunks that have any, `\n` between lines, a blank line between hunks."""
    sides = ("\n".join(hunk.old_lines) for hunk in doc.hunks)
    return "\n\n".join(side for side in sides if side.strip())


def _held(doc: DiffDoc) -> HeldBack:
    if not doc.files:
        return HeldBack(SEARCH, "not_a_diff", "The log holds a sentence where the diff should be.")
    message = "The diff only adds lines and shows none that were there before, so there is no code to find."
    return HeldBack(SEARCH, "no_old_code", message)


def _negatives(judged: Judged, positive: str) -> Iterator[str]:
    """Code of strangers in their order, each once; what a log cut would tell itself by its end."""
    seen = {positive.strip()}
    for stranger in judged.strangers:
        doc = _read(stranger.candidate)
        side = _old_side(doc)
        if side.strip() not in seen and side and not doc.truncated:
            seen.add(side.strip())
            yield side


def _evidence(n_negatives: int) -> str:
    said = "The accepted diff changes this code"
    if not n_negatives:
        return f"{said}."
    what = "1 negative is" if n_negatives == 1 else f"{n_negatives} negatives are"
    return f"{said}; {what} code of the same file that other issues' patches change."
