"""An issue and the code that it means: `anchor`, `positive`; other rows of the batch are the negatives.

Source: sentence-transformers 6.2, loss overview, (anchor, positive) pairs.
"""

from app.exports.retrieval import NEEDS, NO_DUPLICATES, ROLES, config_of
from app.exports.shape import Column, Format, Row, one_row, one_table


def row(example: Row) -> dict[str, object]:
    r"""`{"anchor": "Fix x", "positive": "def f():\n    a"}`."""
    return {"anchor": example["anchor"], "positive": example["positive"]}


FORMAT = Format(
    name="ret_pair",
    alias="anchor-positive",
    roles=ROLES,
    objective="contrastive",
    needs=NEEDS,
    config_of=config_of,
    tables=one_table(Column("anchor"), Column("positive")),
    rows=one_row(row),
    trainers={"sentence-transformers": f"MultipleNegativesRankingLoss; {NO_DUPLICATES}"},
)
