"""Small judged candidates for the recipes of the small models, hostile ones too, and what holds of all they yield."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hypothesis import strategies as st

from app.candidates import (
    Attempt,
    Candidate,
    Direction,
    Kind,
    Run,
    SpecPair,
    Stage,
    StyleRefine,
    StyleUnify,
    Trace,
    Validity,
)
from app.examples import Example, HeldBack
from app.recipes.judged import Judged, Stranger
from app.recipes.prompt import shipped

DIGEST = "5c" * 32
SCRIPT = "import libcst as cst\n\nclass Rename(cst.CSTTransformer):\n    pass\n"
DIFF = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n def f():\n-    return a\n+    return b\n"
VALID, INVALID, PENDING = Validity.VALID, Validity.INVALID, Validity.PENDING


def patch(**more: Any) -> Candidate:
    """An accepted-looking patch with issue, operations, diff and script."""
    sound: dict[str, Any] = {
        "issue": "Return b",
        "target_files": ("src/x.py",),
        "operations": ({"name": "add_import"},),
        "diff": DIFF,
        "script": SCRIPT,
        "patch_source": "LLMCore_polish_iteration_1",
    }
    return Candidate(Kind.PATCH, "G6", **(sound | more))


def attempt(script: str | None, score: float | None, validity: Validity = VALID, placeholder: str = "") -> Attempt:
    trace = Trace("NameError: re", "execution", "The script fails", "NameError") if validity is INVALID else None
    return Attempt(script, Stage.REPAIR, validity, score, placeholder, trace)


def run(*attempts: Attempt, direction: Direction = Direction.HIGHER) -> Run:
    return Run("tuples", attempts, direction=direction)


def judge(candidate: Candidate, verdict: str = "accept", **more: Any) -> Judged:
    return Judged(candidate, 7, DIGEST, verdict, **more)


def stranger(number: int, diff: str | None, *, is_cut: bool = False) -> Stranger:
    return Stranger(patch(issue=f"Other {number}", diff=diff, diff_is_snippet=is_cut), number, f"{number:064x}")


Recipe = Callable[..., Iterator[Example | HeldBack]]


def examples(recipe: Recipe, judged: Judged) -> list[Example]:
    """What a recipe yields, none of it held back."""
    made = list(recipe(judged, shipped()))
    assert not [one for one in made if isinstance(one, HeldBack)]
    return [one for one in made if isinstance(one, Example)]


def held(recipe: Recipe, judged: Judged) -> HeldBack:
    """The one reason for which a recipe yields no example."""
    [one] = recipe(judged, shipped())
    assert isinstance(one, HeldBack)
    assert one.message.endswith(".")
    return one


def check_sound(recipe: Recipe, judged: Judged) -> None:
    """What holds whatever a log says: no empty text, unique ids, the same again, right columns, storable evidence."""
    made = list(recipe(judged, shipped()))
    assert list(recipe(judged, shipped())) == made
    found = [one for one in made if isinstance(one, Example)]
    assert len({(one.dataset, one.id) for one in found}) == len(found)
    for one in found:
        assert tuple(one.values) == one.dataset.columns
        assert one.id.startswith(f"{one.dataset.task}-{one.dataset.objective}-{DIGEST[:20]}")
        assert all(text.strip() for column, text in one.values.items() if isinstance(text, str) and column != "prompt")
        one.evidence.encode()
        json.dumps(one.values, allow_nan=False, default=dict)
    for other in made:
        if isinstance(other, HeldBack):
            other.message.encode()


# ------------------------------------------------------------------------------------------------ hostile candidates

_texts: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(
        ["", " ", "N/A", "\n", "\x00", "\ud800", "import re\n", "import re", "x" * 300, DIFF, "--- a\n+++"]
    ),
    st.text(max_size=30),
)
_numbers = st.one_of(st.floats(), st.integers(), st.sampled_from([10**400, -(10**400), 1e308, 5e-324, True, 0.5, 1]))
_keys: st.SearchStrategy[Any] = st.one_of(_texts, st.integers(), st.none(), st.tuples(st.integers()), st.just("name"))
_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=3)),
    max_leaves=6,
)

_dicts: st.SearchStrategy[dict[Any, Any]] = st.dictionaries(_keys, _values, max_size=4)
_attempts = st.builds(
    Attempt,
    st.one_of(st.none(), _texts),
    st.sampled_from(Stage),
    st.sampled_from(Validity),
    st.one_of(st.none(), st.floats(0, 1), _numbers),
    st.sampled_from(["", "", "copied", "forced"]),
)
_runs = st.builds(
    lambda attempts, direction: Run("objects", tuple(attempts), direction=direction),
    st.lists(_attempts, max_size=6),
    st.sampled_from(Direction),
)
_specs = st.builds(SpecPair, _texts, _texts)
_refines = st.builds(StyleRefine, _texts, _dicts, _texts)
_unifies = st.builds(
    lambda samples, unified: StyleUnify(tuple(samples), unified),
    st.lists(_dicts, max_size=3),
    st.one_of(
        _texts, st.builds(lambda value: json.dumps(value, skipkeys=True), _dicts), st.sampled_from(["{}", "[1]"])
    ),
)


def _fields(kind: Kind) -> Iterable[tuple[str, st.SearchStrategy[Any]]]:
    if kind is Kind.SPEC:
        yield "spec", _specs
    elif kind is Kind.STYLE_REFINE:
        yield "refine", _refines
    elif kind is Kind.STYLE_UNIFY:
        yield "unify", _unifies
    else:
        yield "run", st.one_of(st.none(), _runs)


def hostile(kind: Kind) -> st.SearchStrategy[Judged]:
    """Judged candidates of a kind that hold what no sound log holds."""
    candidates = st.builds(
        Candidate,
        st.just(kind),
        st.just("other"),
        issue=_texts,
        target_files=st.lists(_texts, max_size=2).map(tuple),
        operations=st.lists(_values, max_size=4).map(tuple),
        diff=st.one_of(st.none(), _texts),
        script=st.one_of(st.none(), _texts),
        script_hash=st.one_of(st.none(), _texts),
        patch_source=st.one_of(_texts, st.builds("LLMCore{}".format, _texts)),
        rating=st.one_of(st.none(), st.integers(-1, 7)),
        **dict(_fields(kind)),
    )
    field = {Kind.SPEC: "spec", Kind.STYLE_REFINE: "refined", Kind.STYLE_UNIFY: "unified"}.get(kind)
    edits = st.tuples(st.sampled_from([field] if field else ["script", "diff"]), _texts)
    return st.builds(
        lambda candidate, verdict, revision, rating, strangers: Judged(
            candidate,
            7,
            DIGEST,
            "edit" if revision else verdict,
            rating=rating,
            revision=revision,
            strangers=tuple(strangers),
        ),
        candidates,
        st.sampled_from(["accept", "reject"]),
        st.one_of(st.none(), edits),
        st.one_of(st.none(), st.integers(-1, 7)),
        st.lists(st.builds(stranger, st.integers(1, 9), st.one_of(st.none(), _texts)), max_size=6),
    )
