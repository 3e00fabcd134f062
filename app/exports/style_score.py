"""A script and how good its style is, from 0 to 1: a regression. Configs `style_score` and `rating_score`.

Source: transformers 5.23, `problem_type="regression"` with `num_labels=1`.
"""

from app.examples import Dataset
from app.exports.shape import ID, Column, Format, LeftOutError, Row, Scalar, ShapeError, one_row, one_table


def row(example: Row) -> dict[str, object]:
    """`{"id": "style-regression-9f…-2", "text": "import …", "score": 0.84}`.

    Raises:
        LeftOutError: the score is not from 0 to 1.

    """
    score = example["score"]
    if type(score) not in (int, float) or not 0 <= score <= 1:  # type: ignore[operator]
        raise LeftOutError("score_out_of_range")
    return {"id": example["id"], "text": example["text"], "score": float(score)}  # type: ignore[arg-type]


def check(row: Row) -> None:
    """Refuse a score that is not from 0 to 1.

    Raises:
        ShapeError: it is not.

    """
    if not 0 <= float(str(row["score"])) <= 1:
        raise ShapeError("A score must be from 0 to 1.")


def _config_of(form: Format, dataset: Dataset) -> str:  # noqa: ARG001  (all are called alike)
    return f"{dataset.task}_score"


FORMAT = Format(
    name="style_score",
    alias="text-score",
    roles=frozenset({"scorer"}),
    objective="regression",
    needs=("text",),
    config_of=_config_of,
    tables=one_table(ID, Column("text"), Column("score", Scalar.FLOAT64), check=check),
    rows=one_row(row),
    trainers={
        "transformers": 'Trainer with num_labels=1, problem_type="regression"; rename score to labels as you tokenise.'
    },
)
