"""As `reward`, with how much better the chosen answer scores; of the pairs of which that is known.

RewardTrainer looks for a margin in the first row of a batch, and takes all or none: it cannot read a null. Hence two
formats, each with the same columns in every release, and not a column that comes and goes.

Source: TRL 1.16, `trainer/reward_trainer.py`, `DataCollatorForPreference` and `compute_loss`.
"""

from app.exports.reward import COLUMNS
from app.exports.reward import check as check_reward
from app.exports.reward import row as reward_row
from app.exports.shape import LLM, Column, Format, Row, Scalar, ShapeError, margin_of, one_row, one_table


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "chosen": […], "rejected": […], "margin": 0.23}`.

    Raises:
        LeftOutError: the example has no margin.

    """
    return {**reward_row(example), "margin": margin_of(example)}


def check(row: Row) -> None:
    """Refuse what `reward` refuses, and a margin that is not above 0.

    Raises:
        ShapeError: it is such a row.

    """
    check_reward(row)
    if not float(str(row["margin"])) > 0:
        raise ShapeError("A margin must be above 0.")


FORMAT = Format(
    name="reward_margin",
    alias="pairs-margin",
    roles=LLM,
    objective="reward",
    needs=("prompt", "chosen", "rejected"),
    tables=one_table(*COLUMNS, Column("margin", Scalar.FLOAT64), check=check),
    rows=one_row(row),
    trainers={"TRL": "RewardTrainer takes it as it is, with num_labels=1, and subtracts the margin in its loss."},
)
