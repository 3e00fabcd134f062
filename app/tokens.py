"""How many tokens a text has for a model, and what a project's models can take. Pure, but for `read_tokenizer`.

By default the count is an estimate and is called one. It is exact where a project sets the `tokenizer.json` of its
model; no vocabulary ships with this program, and none is fetched.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from app.errors import BadInputError, NotFoundError, TooLargeError, UnsupportedError
from app.examples import ANSWERS, QUESTIONS, Example

_T = TypeVar("_T")

ROLES = ("llm", "scorer", "t5_spec", "divot5_refiner", "divot5_unifier", "retriever", "core_predictor")
"""The models that examples are for."""

Count = Callable[[str], int]
"""From a text to its number of tokens."""

MOST_BYTES = 64 << 20
"""The largest `tokenizer.json` that is read; those of models with 262,000 tokens have 33 MB."""

MOST_CHARACTERS = 2_000_000
"""Of a longer text the tokens are estimated: exact counting takes about a second for each million."""

# 18 fifths of a character are a token: 3.6, measured over code with six vocabularies (within 5 to 12 %).
_FIFTHS_A_TOKEN = 18
_LONGEST_TOKEN = 1_000
# How much longer normalisation may make a text; one character as three bytes is usual.
_MOST_GROWTH = 64
_MOST_TOKENS = 10_000_000
_LONGEST_NAME = 100
_WHERE = "field tokenizer"


def estimate(text: str) -> int:
    """About how many tokens a text has: its characters over 3.6, rounded up.

    `estimate("abc")` → 1, `estimate("x" * 36)` → 10, `estimate("x" * 37)` → 11, `estimate("")` → 0
    """
    return -(-len(text) * 5 // _FIFTHS_A_TOKEN)


# ------------------------------------------------------------------------------------------------ exact counts


class Counter:
    r"""Counts the tokens of one vocabulary, special ones that its file adds to every text included.

    `counter_of(path.read_bytes())("import libcst\n")` → 5

    Attributes:
        digest: SHA-256 hex of the `tokenizer.json`.
    """

    def __init__(self, digest: str, tokenizer: Any) -> None:  # noqa: ANN401  the library is optional
        self.digest = digest
        # A template may name the text itself many times; only what it adds is of interest.
        self._n_added = int(tokenizer.num_special_tokens_to_add(is_pair=False))
        tokenizer.post_processor = None
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> int:
        """How many tokens a text has; half a character counts as an unknown one.

        Raises:
            BadInputError: the file's rules fail on this text.

        """
        if len(text) > MOST_CHARACTERS:
            return estimate(text)
        whole = text if text.isascii() else text.encode(errors="replace").decode()
        encode = self._tokenizer.encode
        return _guarded(lambda: len(encode(whole, add_special_tokens=False)), "fails on a text") + self._n_added


def counter_of(content: bytes) -> Counter:
    """The counter for a `tokenizer.json`; asked again with the same bytes, the same one.

    Raises:
        UnsupportedError: the extra `tokenizers` is not installed.
        TooLargeError: the file is larger than `MOST_BYTES`.
        BadInputError: it is no `tokenizer.json`, or one made to exhaust the machine.

    """
    if len(content) > MOST_BYTES:
        raise _too_large(len(content))
    digest = hashlib.sha256(content).hexdigest()
    with _lock:
        if digest not in _counters:
            made = _guarded(lambda: Counter(digest, _load(content)), "cannot be read")
            while len(_counters) >= _MOST_COUNTERS:
                _counters.pop(next(iter(_counters)))
            _counters[digest] = made
        return _counters[digest]


def read_tokenizer(path: Path) -> bytes:
    """The bytes of a `tokenizer.json` on disk, for `counter_of`.

    Raises:
        NotFoundError: there is no such file, or it cannot be opened.
        BadInputError: it is no ordinary file.
        TooLargeError: it is larger than `MOST_BYTES`.

    """
    try:
        # A named pipe would wait for a writer for ever.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no path holds a NUL character"
        raise NotFoundError(f"The tokenizer {str(path)!r} cannot be read: {why}.", where=_WHERE) from error
    try:
        look = os.fstat(opened)
        if not stat.S_ISREG(look.st_mode):
            raise BadInputError(f"{str(path)!r} is no file. Name the model's tokenizer.json.", where=_WHERE)
        if look.st_size > MOST_BYTES:
            raise _too_large(look.st_size)
        with os.fdopen(opened, "rb", closefd=False) as file:
            return file.read(MOST_BYTES + 1)
    finally:
        os.close(opened)


_lock = Lock()
_counters: dict[str, Counter] = {}
# Each takes some ten times the size of its file.
_MOST_COUNTERS = 4


def _load(content: bytes) -> Any:  # noqa: ANN401
    tokenizer = _library().from_buffer(content)
    # What a file says of these would make counts wrong, or a text of any length out of a short one.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if getattr(tokenizer.model, "dropout", None) is not None:
        tokenizer.model.dropout = None  # tokens by chance: no two counts would be the same
    if tokenizer.normalizer is not None:
        _refuse_growth(json.loads(tokenizer.normalizer.__getstate__()))
    longest = max(map(len, tokenizer.get_vocab()), default=0)
    if longest > _LONGEST_TOKEN:
        raise _bad(f"holds a token of {longest:,} characters; {_LONGEST_TOKEN:,} is the most")
    return tokenizer


def _refuse_growth(normalizer: Mapping[str, Any]) -> None:
    """Replacements one after the other, each of one letter by two, fill any memory: 2, 4, 8 ... times the text."""
    growth, waiting = 1, [normalizer]
    while waiting:
        step = waiting.pop()
        waiting += step.get("normalizers") or ()
        written = str(step.get("content") or step.get("prepend") or "")
        if len(written) > _LONGEST_TOKEN:
            raise _bad(f"writes {len(written):,} characters into every text, which no model's does")
        if step.get("type") == "Replace":
            replaced = (step.get("pattern") or {}).get("String", "")
            growth *= max(1, -(-len(written) // max(len(replaced), 1)))
        if growth > _MOST_GROWTH:
            raise _bad("makes texts many times longer before it counts, which no model's does")


@cache
def _library() -> Any:  # noqa: ANN401
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415  (only where a project counts exactly)
    except ImportError as error:
        raise UnsupportedError(
            "Exact token counts need the extra tokenizers: pip install 'patchsift[tokenizers]'. "
            "Without it, leave the tokenizer empty, and tokens are estimated.",
            where=_WHERE,
        ) from error
    return Tokenizer


def _guarded(make: Callable[[], _T], fails: str) -> _T:
    """What a call of the library gives; its errors, and its panics where a file contradicts itself, as one error."""
    try:
        return make()
    except BaseException as error:
        # It raises `Exception` itself, and a panic is not even that, of a class that cannot be imported.
        is_its_own = type(error) is Exception or type(error).__name__ == "PanicException"
        if not is_its_own and not isinstance(error, ValueError | TypeError):
            raise
        raise _bad(f"{fails}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().partition("\n")[0][:200] or type(error).__name__).rstrip(".")


def _bad(what: str) -> BadInputError:
    return BadInputError(f"This tokenizer.json {what}.", where=_WHERE)


def _too_large(n_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"This tokenizer.json has {n_bytes:,} bytes; {MOST_BYTES:,} is the most that is read.", where=_WHERE
    )


# ------------------------------------------------------------------------------------------------ budgets


@dataclass(frozen=True, slots=True)
class Budget:
    """What one model takes, in tokens; None where nothing is known to cut.

    `Budget("t5_spec", "the agent's spec T5", question_tokens=1024, answer_tokens=512)`

    Attributes:
        role: whose examples it is for.
        name: the model's, for people; stands in the middle of a sentence.
        question_tokens: the longest question: prompt, source or anchor.
        answer_tokens: the longest answer: completion, chosen, rejected, target, positive, negative or text.
        total_tokens: the longest question and answer together.
        tokenizer: which `tokenizer.json` counts, by the name that the caller gives it; empty for an estimate.
    """

    role: str
    name: str
    question_tokens: int | None = None
    answer_tokens: int | None = None
    total_tokens: int | None = None
    tokenizer: str = ""

    def as_json(self) -> dict[str, str | int | None]:
        """The same as JSON: `{"role": "t5_spec", "name": "…", "question_tokens": 1024, …}`, every key always there."""
        return asdict(self)


def parse_budget(value: object) -> Budget:
    """The budget that `as_json` wrote, or that a person did: limits may be absent or null.

    Raises:
        BadInputError: no such role, no name, or a limit that is no whole number from 1; `where` names the field.

    """
    known = [field.name for field in fields(Budget)]
    if not isinstance(value, Mapping):
        raise BadInputError(f"A budget is an object with {', '.join(known)}.", where="field budgets")
    unknown = [str(key)[:40] for key in value if key not in known]
    if unknown:
        raise BadInputError(f"A budget has no {unknown[0]!r}. It has {', '.join(known)}.", where="field budgets")
    role, name, tokenizer = (_name(value, key) for key in ("role", "name", "tokenizer"))
    if role not in ROLES:
        raise BadInputError(f"role must be one of {', '.join(ROLES)}; it is {role!r}.", where="field role")
    if not name:
        raise BadInputError("A budget needs a name, so that people know which model cuts.", where="field name")
    question, answer, total = (_limit(value, key) for key in ("question_tokens", "answer_tokens", "total_tokens"))
    return Budget(role, name, question, answer, total, tokenizer)


def _name(value: Mapping[Any, object], key: str) -> str:
    said = value.get(key)
    text = "" if said is None else said
    if not isinstance(text, str) or len(text) > _LONGEST_NAME or not (text.isprintable() or not text):
        raise BadInputError(f"{key} must be one line of {_LONGEST_NAME} characters at most.", where=f"field {key}")
    return text.strip()


def _limit(value: Mapping[Any, object], key: str) -> int | None:
    said = value.get(key)
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, int) or not 1 <= said <= _MOST_TOKENS:
        raise BadInputError(
            f"{key} must be a whole number from 1 to {_MOST_TOKENS:,}, or null for no limit.", where=f"field {key}"
        )
    return said


DEFAULT_BUDGETS: tuple[Budget, ...] = (
    # The agent's spec normaliser: input cut at 1024 tokens, output at 512 (since d66d8e7, 2025-06-13).
    Budget("t5_spec", "the agent's spec model", question_tokens=1024, answer_tokens=512),
    # Its style refiner: input cut at 1024 tokens (e612f1d); of its output nothing is said, and seven pairs are short.
    Budget("divot5_refiner", "the agent's style refiner", question_tokens=1024),
    # Its style unifier: 4096 tokens in, 1024 out (7212f04).
    Budget("divot5_unifier", "the agent's style unifier", question_tokens=4096, answer_tokens=1024),
    # None for the others: the context of a GGUF model is a setting of the agent's user (`llm_params`), and of the
    # scorer, the retriever and the predictor it says nothing.
)
"""What the agent's own models cut, where its code says so; a project may change them and add its own."""


# ------------------------------------------------------------------------------------------------ measuring


class Part(NamedTuple):
    """One count against its limit: `Part("source", 1240, 1024)`; `"prompt and completion"` for both together."""

    what: str
    n_tokens: int
    limit: int | None

    @property
    def is_over(self) -> bool:
        """Whether the model would cut it."""
        return self.limit is not None and self.n_tokens > self.limit


class Measured(NamedTuple):
    """One example against one model.

    `measure(example, DEFAULT_BUDGETS)[0].question` → `Part("source", 1240, 1024)`

    Attributes:
        name: the budget's.
        question: of the column that asks; None where none does.
        answer: of the longest column that answers; None where none does.
        total: of both together; None where one of them is missing.
        is_exact: counted by the model's own vocabulary; else estimated.
    """

    name: str
    question: Part | None
    answer: Part | None
    total: Part | None
    is_exact: bool

    @property
    def over(self) -> list[Part]:
        """What the model would cut, in order; empty where it takes everything."""
        return [part for part in (self.question, self.answer, self.total) if part is not None and part.is_over]


def measure(example: Example, budgets: Sequence[Budget], counters: Mapping[str, Count] | None = None) -> list[Measured]:
    """An example against each budget of its role, in their order; empty where there is none.

    Tokens of question and answer are counted apart and added: at the seam a vocabulary may join two into one.

    Args:
        example: as a release would hold it.
        budgets: of all roles.
        counters: the exact counters, by `Budget.tokenizer`; where one is missing the count is an estimate.
    """
    mine = [budget for budget in budgets if budget.role == example.dataset.role]
    return [_measured(example, budget, (counters or {}).get(budget.tokenizer)) for budget in mine]


def _measured(example: Example, budget: Budget, counter: Count | None) -> Measured:
    count = estimate if counter is None else counter
    asked = next((column for column in example.dataset.columns if column in QUESTIONS), None)
    question = None if asked is None else Part(asked, count(example.text(asked)), budget.question_tokens)
    counts = [(count(text), column) for column, text in _answers(example)]
    longest = max(counts, key=lambda one: one[0], default=None)
    answer = None if longest is None else Part(longest[1], longest[0], budget.answer_tokens)
    total = None
    if question is not None and answer is not None:
        both = f"{question.what} and {answer.what}"
        total = Part(both, question.n_tokens + answer.n_tokens, budget.total_tokens)
    return Measured(budget.name, question, answer, total, counter is not None)


def _answers(example: Example) -> list[tuple[str, str]]:
    found = [(column, example.text(column)) for column in example.dataset.columns if column in ANSWERS]
    negatives = example.values.get("negatives")
    return found + [("negative", text) for text in (negatives if isinstance(negatives, tuple) else ())]
