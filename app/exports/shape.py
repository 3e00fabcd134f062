"""What a training file may hold: exactly the columns that its trainer takes, because a stray one changes training.

A `Format` is a way to write examples of one objective. It says its tables (columns, order, types), how an example of a
release becomes rows of them, and what a row must keep besides; `app/exports/run.py` carries it out. Pure.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from app.examples import Dataset, Split

Row = Mapping[str, object]
Settings = Mapping[str, int]
"""What a first look over all rows decides, such as how many negatives a row has; empty for most formats."""


class ShapeError(ValueError):
    """A row that is not what its format promises: a fault of the exporter, never of the person who asked."""


class LeftOutError(Exception):
    """An example that a format cannot say. It is counted under its reason, a key of `LEFT_OUT`, and nothing is lost."""

    def __init__(self, reason: str) -> None:
        super().__init__(LEFT_OUT[reason])
        self.reason = reason


LEFT_OUT: Mapping[str, str] = {
    "empty": "A text that the format cannot do without is blank.",
    "same_text": "The chosen text is the rejected one.",
    "prompt_open": "The prompt does not end its line, so a tokenizer could join its last word to the answer.",
    "score_out_of_range": "The score is not from 0 to 1.",
    "no_margin": "Nobody knows how much better the chosen text scores.",
    "no_negatives": "No code is known that the issue does not mean.",
    "other_features": "Its features are not those of this program's version.",
    "no_test_rows": "No issue is in the test split, so there is nothing to search for.",
}
"""Why an example has no row in a format; the example stays in the release, and other formats may have it."""


# ------------------------------------------------------------------------------------------------ types


class Scalar(StrEnum):
    """What a single value is, named as Arrow names it."""

    STRING = "string"
    BOOL = "bool"
    INT64 = "int64"
    FLOAT64 = "float64"


_STRING = Scalar.STRING


@dataclass(frozen=True, slots=True)
class ListOf:
    """Values of one type: `str(ListOf(Scalar.STRING))` is `list<string>`."""

    of: "Kind"

    def __str__(self) -> str:
        return f"list<{self.of}>"


@dataclass(frozen=True, slots=True)
class Struct:
    """Named values in a fixed order: `struct<role: string, content: string>`."""

    fields: tuple[tuple[str, "Kind"], ...]

    def __str__(self) -> str:
        return f"struct<{', '.join(f'{name}: {kind}' for name, kind in self.fields)}>"


Kind = Scalar | ListOf | Struct


class Column(NamedTuple):
    """A column: `Column("prompt")`, `Column("label", Scalar.BOOL)`, `Column("system", may_be_empty=True)`.

    Attributes:
        name: as it stands in the file.
        kind: `str(kind)` is its type in Arrow's words.
        may_be_empty: whether a text may be `""`; any other text must hold something besides white space.
        nullable: whether a value may be missing. No column is today: a null becomes a tensor in no trainer.
    """

    name: str
    kind: Kind = Scalar.STRING
    may_be_empty: bool = False
    nullable: bool = False


def _anything(row: Row) -> None:
    """What the columns say is all that there is to say."""


@dataclass(frozen=True)
class Table:
    """The rows of one config.

    Attributes:
        columns: all of them, in order; every row and every shard has exactly these.
        check: what a row must keep besides its columns; raises `ShapeError`.
        once: columns by whose values a row stands once in the whole config; empty where rows may repeat.
    """

    columns: tuple[Column, ...]
    check: Callable[[Row], None] = _anything
    once: tuple[str, ...] = ()
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(column.name for column in self.columns))

    def validate(self, row: Row, *, is_safe: bool = False) -> None:
        """Refuse a row that has other columns, in another order, of another type, or against the format's rules.

        Args:
            row: as it will be written.
            is_safe: whether its texts are known to hold neither NUL nor half a character.

        Raises:
            ShapeError: it is such a row; the message names the column.

        """
        if tuple(row) != self.names:
            raise ShapeError(f"The columns are {', '.join(row)}; they must be {', '.join(self.names)}.")
        for name, kind, may_be_empty, nullable in self.columns:
            value = row[name]
            if not (value is None and nullable):
                _check(kind, value, name, may_be_empty, is_safe)
        self.check(row)


def _check(kind: Kind, value: object, at: str, may_be_empty: bool, is_safe: bool) -> None:
    if kind is _STRING:
        _check_text(value, at, may_be_empty, is_safe)
    elif isinstance(kind, ListOf):
        if type(value) is not list:
            raise ShapeError(f"The column {at} must be a list; it is {str(value)[:40]!r}.")
        for one in value:
            _check(kind.of, one, at, False, is_safe)
    elif isinstance(kind, Struct):
        if type(value) is not dict or tuple(value) != tuple(name for name, _ in kind.fields):
            raise ShapeError(f"The column {at} must hold {kind}; it holds {str(value)[:40]!r}.")
        for name, inner in kind.fields:
            _check(inner, value[name], name, False, is_safe)
    elif not _fits(kind, value):
        raise ShapeError(f"The column {at} must be {kind}; it is {str(value)[:40]!r}.")


def _fits(kind: Scalar, value: object) -> bool:
    """Whether a value is of a type and of no other: 1 is no truth value, and True no number."""
    if kind is Scalar.BOOL:
        return type(value) is bool
    if kind is Scalar.INT64:
        return type(value) is int and -(1 << 63) <= value < 1 << 63
    return type(value) is float and math.isfinite(value)


def _check_text(value: object, at: str, may_be_empty: bool, is_safe: bool) -> None:
    if type(value) is not str or (value.isspace() if value else not may_be_empty):
        raise ShapeError(f"The column {at} must be text that is not empty; it is {str(value)[:40]!r}.")
    if not is_safe and is_unsafe(value):
        raise ShapeError(f"The column {at} holds a NUL character or half a character.")


# ------------------------------------------------------------------------------------------------ safe texts

_NUL = "\x00"
_REPLACEMENT = "\ufffd"
_UNSAFE = dict.fromkeys((0, *range(0xD800, 0xE000)), _REPLACEMENT)


def is_unsafe(text: str) -> bool:
    """Whether a text holds a NUL, which ends it for some programs, or half a character, which UTF-8 cannot hold."""
    if _NUL in text:
        return True
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def made_safe(text: str) -> tuple[str, int]:
    r"""A text that every trainer reads alike, and how many characters it cost: `"a\x00b"` → `("a\ufffdb", 1)`."""
    if not is_unsafe(text):
        return text, 0
    n_unsafe = sum(ord(one) in _UNSAFE for one in text)
    return text.translate(_UNSAFE), n_unsafe


# ------------------------------------------------------------------------------------------------ formats


class Source(NamedTuple):
    """An example of a release: its row, made safe, and its split."""

    row: Row
    split: Split


class Made(NamedTuple):
    """A row, the table of the format that it belongs to (`""` where there is one), and the split of its file."""

    table: str
    split: Split
    row: dict[str, object]


class RowOrder(StrEnum):
    """In which order a file's rows stand."""

    RELEASE = "release"
    DIGEST = "sha256(id)"


def _task_and_name(form: "Format", dataset: Dataset) -> str:
    return f"{dataset.task}_{form.name}"


@dataclass(frozen=True)
class Format:
    """One way to write examples of an objective.

    Attributes:
        name: `sft_pc`; with the task the name of a config, `scaffold_sft_pc`.
        alias: the name that people give: `prompt-completion`.
        roles: whose examples it can write.
        objective: and which of them.
        needs: columns of the example that must hold text; chosen and rejected must differ where both are named.
        tables: the tables by the end of their config's name, `""` for one that is called as the format; they may hang
            on the settings.
        rows: an example → its rows. It raises `LeftOutError` where the format cannot say it.
        trainers: name of a trainer or tool → one line: how it takes the file.
        config_of: the name of its config for a dataset.
        prepare: a first look over all examples of a dataset, as they stream by; gives the settings.
        settings_of: the settings that a row was written with, as far as it shows them.
        order: `DIGEST` where a trainer reads in the order of the file and must not meet all good rows first.
        is_plain: True where a prompt is plain text that the answer follows at once, so that it must end its line.
        jsonl_only: True where those who take it take no Parquet, so that asking for it as Parquet is refused. A folder
            of all datasets has it as Parquet too: `datasets` reads all of a folder's configs with one reader.
        beside: files that go with it: name → text.
        notes: Markdown for the card, what a reader of the file must know.
    """

    name: str
    alias: str
    roles: frozenset[str]
    objective: str
    needs: tuple[str, ...]
    tables: Callable[[Settings], Mapping[str, Table]]
    rows: Callable[[Source, Settings], Iterable[Made]]
    trainers: Mapping[str, str]
    config_of: Callable[["Format", Dataset], str] = _task_and_name
    prepare: Callable[[Iterable[Source]], Settings] | None = None
    settings_of: Callable[[Row], Settings] = lambda _row: {}
    order: RowOrder = RowOrder.RELEASE
    is_plain: bool = False
    jsonl_only: bool = False
    beside: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""

    def serves(self, dataset: Dataset) -> bool:
        """Whether it can write the examples of a dataset."""
        return dataset.objective == self.objective and dataset.role in self.roles

    def config(self, dataset: Dataset, table: str = "") -> str:
        """The name that a loader asks for: `scaffold_sft_pc`; of a format with several tables, the table's."""
        return table or self.config_of(self, dataset)

    def check(self, row: Row, table: str = "", settings: Settings | None = None) -> None:
        """Refuse a row that is not what the format promises.

        Args:
            row: as it will be written.
            table: which of the tables, where there are several.
            settings: of the run; without them, what the row itself shows.

        Raises:
            ShapeError: it is not.

        """
        self.tables(self.settings_of(row) if settings is None else settings)[table].validate(row)

    @property
    def usage(self) -> str:
        """Lines for a card: which trainer takes it how."""
        return "\n".join(f"- {trainer}: {line}" for trainer, line in self.trainers.items())


def one_table(*columns: Column, check: Callable[[Row], None] = _anything) -> Callable[[Settings], Mapping[str, Table]]:
    """The tables of a format that has one, whatever the settings."""
    tables = {"": Table(columns, check)}
    return lambda _settings: tables


def one_row(row: Callable[[Row], dict[str, object]]) -> Callable[[Source, Settings], Iterable[Made]]:
    """The rows of a format that makes one of each example."""
    return lambda source, _settings: (Made("", source.split, row(source.row)),)


# ------------------------------------------------------------------------------------------------ what many keep


def check_prompt(row: Row) -> None:
    """Refuse a plain prompt that does not end its line.

    A tokenizer may join the last word of a prompt to the first of the answer; a line end keeps them apart.

    Raises:
        ShapeError: it does not.

    """
    if not str(row["prompt"]).endswith("\n"):
        raise ShapeError("A prompt must end its line.")


def check_pair(row: Row) -> None:
    """Refuse a pair of one text twice.

    White space else counts: a script that failed for its indentation differs from the repaired one in nothing else.

    Raises:
        ShapeError: chosen and rejected are the same text.

    """
    if is_same(str(row["chosen"]), str(row["rejected"])):
        raise ShapeError("The chosen text is the rejected one.")


def check_prompted_pair(row: Row) -> None:
    """Refuse a plain prompt that does not end its line, and a pair of one text twice.

    Raises:
        ShapeError: it is such a row.

    """
    check_prompt(row)
    check_pair(row)


def is_same(one: str, other: str) -> bool:
    """Whether two texts are one, but for line ends at their end."""
    return one.rstrip("\n") == other.rstrip("\n")


def margin_of(example: Row) -> float:
    """How much better the chosen text of an example scores: `0.23`.

    Raises:
        LeftOutError: nobody knows, or it is not better.

    """
    margin = example["margin"]
    if type(margin) not in (int, float) or not 0 < margin < math.inf:  # type: ignore[operator]
        raise LeftOutError("no_margin")
    return float(margin)  # type: ignore[arg-type]


ID = Column("id")
LLM = frozenset({"llm"})
