"""An issue, the code that it means and code that it does not: one row for each hard negative.

Source: sentence-transformers 6.2, loss overview, (anchor, positive, negative) triplets.
"""

from collections.abc import Iterator

from app.exports.retrieval import NEEDS, NO_DUPLICATES, ROLES, config_of, some_negatives_of
from app.exports.shape import Column, Format, Made, Row, Settings, ShapeError, Source, one_table


def rows(source: Source, settings: Settings) -> Iterator[Made]:  # noqa: ARG001  (all are called alike)
    r"""`{"anchor": "Fix x", "positive": "def f():\n    a", "negative": "def g(): …"}`, once a negative.

    Raises:
        LeftOutError: the example has no negative.

    """
    example = source.row
    for negative in some_negatives_of(example):
        row = {"anchor": example["anchor"], "positive": example["positive"], "negative": negative}
        yield Made("", source.split, row)


def check(row: Row) -> None:
    """Refuse a negative that is the positive.

    Raises:
        ShapeError: it is.

    """
    if row["negative"] == row["positive"]:
        raise ShapeError("The negative is the positive.")


FORMAT = Format(
    name="ret_triplet",
    alias="triplet",
    roles=ROLES,
    objective="contrastive",
    needs=NEEDS,
    config_of=config_of,
    tables=one_table(Column("anchor"), Column("positive"), Column("negative"), check=check),
    rows=rows,
    trainers={"sentence-transformers": f"MultipleNegativesRankingLoss or TripletLoss; {NO_DUPLICATES}"},
)
