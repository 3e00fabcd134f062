"""An issue beside code, and whether it means it: 1.0 for the positive, 0.0 for each hard negative.

Source: sentence-transformers 6.2, loss overview, (sentence_A, sentence_B) pairs with a similarity score.
"""

from collections.abc import Iterator

from app.exports.retrieval import NEEDS, ROLES, config_of, negatives_of
from app.exports.shape import Column, Format, Made, Row, Scalar, Settings, ShapeError, Source, one_table


def rows(source: Source, settings: Settings) -> Iterator[Made]:  # noqa: ARG001  (all are called alike)
    r"""`{"sentence1": "Fix x", "sentence2": "def f():\n    a", "score": 1.0}`, then a row for each negative."""
    example = source.row
    scored = [(example["positive"], 1.0), *((one, 0.0) for one in negatives_of(example))]
    for code, score in scored:
        yield Made("", source.split, {"sentence1": example["anchor"], "sentence2": code, "score": score})


def check(row: Row) -> None:
    """Refuse a score that is not from 0 to 1.

    Raises:
        ShapeError: it is not.

    """
    if not 0 <= float(str(row["score"])) <= 1:
        raise ShapeError("A score must be from 0 to 1.")


FORMAT = Format(
    name="ret_score",
    alias="sentence-pairs",
    roles=ROLES,
    objective="contrastive",
    needs=NEEDS,
    config_of=config_of,
    tables=one_table(Column("sentence1"), Column("sentence2"), Column("score", Scalar.FLOAT64), check=check),
    rows=rows,
    trainers={
        "sentence-transformers": "CoSENTLoss or CosineSimilarityLoss; a CrossEncoder with BinaryCrossEntropyLoss."
    },
)
