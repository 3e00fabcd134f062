"""A search to measure a retriever by, in BEIR's files `ir_corpus`, `ir_queries` and `ir_qrels`, all in split `test`.

The queries are the issues of the test split, each once; the corpus is every piece of code that any example of any split
names, positive or negative, each once: what training has seen stands there to be told apart. Names are made of the
text, so that the same code has the same name in every release.

Source: BEIR, dataset format; sentence-transformers 6.2, InformationRetrievalEvaluator.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from app.examples import Split
from app.exports.retrieval import NEEDS, ROLES, config_of, negatives_of
from app.exports.shape import Column, Format, LeftOutError, Made, Row, Scalar, Settings, ShapeError, Source, Table

CORPUS, QUERIES, QRELS = "ir_corpus", "ir_queries", "ir_qrels"
_N_DIGITS = 20


def prepare(sources: Iterable[Source]) -> Settings:
    """`{"queries": 12}`: examples of the test split; without any there is nothing to measure, and no row is written."""
    return {"queries": sum(one.split == Split.TEST for one in sources)}


def _check_relevance(row: Row) -> None:
    if row["score"] != 1:
        raise ShapeError("A relevance must be 1; what is not relevant is not listed.")


_TABLES = {
    CORPUS: Table((Column("_id"), Column("title", may_be_empty=True), Column("text")), once=("_id",)),
    QUERIES: Table((Column("_id"), Column("text")), once=("_id",)),
    QRELS: Table(
        (Column("query-id"), Column("corpus-id"), Column("score", Scalar.INT64)),
        _check_relevance,
        once=("query-id", "corpus-id"),
    ),
}


def tables(settings: Settings) -> Mapping[str, Table]:  # noqa: ARG001  (all are called alike)
    """The three tables."""
    return _TABLES


def name_of(text: str, kind: str) -> str:
    """`name_of("def f(): …", "d")` → `"d9f3a…"`, the same wherever the text is."""
    return kind + hashlib.sha256(text.encode()).hexdigest()[:_N_DIGITS]


def rows(source: Source, settings: Settings) -> Iterator[Made]:
    """`{"_id": "d9f…", "title": "", "text": "def f(): …"}` of each piece of code; of a test example its query as well.

    Raises:
        LeftOutError: no example is in the test split.

    """
    if not settings.get("queries"):
        raise LeftOutError("no_test_rows")
    example = source.row
    positive = str(example["positive"])
    for code in (positive, *negatives_of(example)):
        yield Made(CORPUS, Split.TEST, {"_id": name_of(code, "d"), "title": "", "text": code})
    if source.split == Split.TEST:
        query = name_of(str(example["anchor"]), "q")
        yield Made(QUERIES, Split.TEST, {"_id": query, "text": example["anchor"]})
        yield Made(QRELS, Split.TEST, {"query-id": query, "corpus-id": name_of(positive, "d"), "score": 1})


FORMAT = Format(
    name="ir",
    alias="beir",
    roles=ROLES,
    objective="contrastive",
    needs=NEEDS,
    config_of=config_of,
    tables=tables,
    rows=rows,
    prepare=prepare,
    trainers={"sentence-transformers": "InformationRetrievalEvaluator, of the three files as dicts by _id."},
)
