"""Two scripts of one run and how much better the first one's style is: a reward model without a prompt.

Source: TRL 1.16, dataset types, "preference" with plain texts: RewardTrainer reads both from their beginning. It is no
file for DPOTrainer, which would take whatever both begin with for the prompt.
"""

from app.examples import Dataset
from app.exports.shape import (
    ID,
    Column,
    Format,
    LeftOutError,
    Row,
    Scalar,
    ShapeError,
    check_pair,
    margin_of,
    one_row,
    one_table,
)  # fmt: skip


def row(example: Row) -> dict[str, object]:
    """`{"id": "style-reward-9f…-2-4", "chosen": "import …", "rejected": "import …", "margin": 0.23}`.

    Raises:
        LeftOutError: the example has no margin, or one that no two scores from 0 to 1 have.

    """
    margin = margin_of(example)
    if margin > 1:
        raise LeftOutError("score_out_of_range")
    return {
        "id": example["id"],
        "chosen": example["chosen"],
        "rejected": example["rejected"],
        "margin": margin,
    }


def check(row: Row) -> None:
    """Refuse two equal texts, and a margin that is not above 0 and at most 1.

    Raises:
        ShapeError: it is such a row.

    """
    check_pair(row)
    if not 0 < float(str(row["margin"])) <= 1:
        raise ShapeError("A margin must be above 0, and at most 1.")


def _config_of(form: Format, dataset: Dataset) -> str:  # noqa: ARG001  (all are called alike)
    return f"{dataset.task}_pair"


FORMAT = Format(
    name="style_pair",
    alias="chosen-rejected",
    roles=frozenset({"scorer"}),
    objective="reward",
    needs=("chosen", "rejected"),
    config_of=_config_of,
    tables=one_table(ID, Column("chosen"), Column("rejected"), Column("margin", Scalar.FLOAT64), check=check),
    rows=one_row(row),
    trainers={"TRL": "RewardTrainer takes it as it is, with num_labels=1, and subtracts the margin in its loss."},
)
