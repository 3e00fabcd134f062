"""An issue, the code that it means, and the same number of hard negatives in every row.

A row with fewer would need nulls, which no loss takes. So a first look over all examples finds the largest number that
loses none which has any negative; further negatives of the others are left out, and `ret_triplet` has them.

Source: sentence-transformers 6.2, loss overview, (anchor, positive, negative_1, …, negative_n).
"""

from collections.abc import Iterable, Iterator, Mapping

from app.exports.retrieval import NEEDS, NO_DUPLICATES, ROLES, config_of, negatives_of, some_negatives_of
from app.exports.shape import Column, Format, Made, Row, Settings, ShapeError, Source, Table

_BEFORE = 2


def prepare(sources: Iterable[Source]) -> Settings:
    """`{"negatives": 3}`: how many every row has; 1 where no example has any, and then no row is written."""
    return {"negatives": min(filter(None, (len(negatives_of(one.row)) for one in sources)), default=1)}


def tables(settings: Settings) -> Mapping[str, Table]:
    """`anchor`, `positive`, `negative_1`, … as many as were settled."""
    return {"": Table((Column("anchor"), Column("positive"), *map(Column, _names(settings))), check)}


def _names(settings: Settings) -> list[str]:
    return [f"negative_{n}" for n in range(1, settings.get("negatives", 1) + 1)]


def rows(source: Source, settings: Settings) -> Iterator[Made]:
    r"""`{"anchor": "Fix x", "positive": "def f():\n    a", "negative_1": "def g(): …", "negative_2": "…"}`.

    Raises:
        LeftOutError: the example has no negative.

    """
    example = source.row
    negatives = zip(_names(settings), some_negatives_of(example), strict=False)
    yield Made("", source.split, {"anchor": example["anchor"], "positive": example["positive"], **dict(negatives)})


def check(row: Row) -> None:
    """Refuse a negative that is the positive or stands twice.

    Raises:
        ShapeError: it is, or does.

    """
    codes = [value for name, value in row.items() if name != "anchor"]
    if len(set(codes)) != len(codes):
        raise ShapeError("A negative is the positive, or stands twice.")


FORMAT = Format(
    name="ret_nneg",
    alias="hard-negatives",
    roles=ROLES,
    objective="contrastive",
    needs=NEEDS,
    config_of=config_of,
    tables=tables,
    rows=rows,
    prepare=prepare,
    settings_of=lambda row: {"negatives": max(len(row) - _BEFORE, 1)},
    trainers={"sentence-transformers": f"MultipleNegativesRankingLoss; {NO_DUPLICATES}"},
)
