"""What a training file may hold: exactly the columns that its trainer takes, because a stray one changes training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Row = Mapping[str, object]


class ShapeError(ValueError):
    """A row that is not what its format promises: a fault of the exporter, never of the person who asked."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write examples of an objective.

    Attributes:
        name: the suffix of a config: `sft_pc` makes `scaffold_sft_pc`.
        alias: the name that people give: `prompt-completion`.
        objective: whose examples it can write.
        row: a release's example as a row, columns in the order of the file.
        check: raises `ShapeError` when a row is anything else than the format says.
        usage: a line for the card: how a trainer takes it.
    """

    name: str
    alias: str
    objective: str
    row: Callable[[Row], dict[str, object]]
    check: Callable[[Row], None]
    usage: str


def check_texts(row: Row, columns: tuple[str, ...]) -> None:
    """Check that a row has exactly these columns, in this order, and a text that is not empty in each.

    Raises:
        ShapeError: it has not.

    """
    if tuple(row) != columns:
        raise ShapeError(f"The columns are {', '.join(row)}; they must be {', '.join(columns)}.")
    for name in columns:
        value = row[name]
        if type(value) is not str or not value:
            raise ShapeError(f"The column {name} must be text that is not empty; it is {str(value)[:40]!r}.")
