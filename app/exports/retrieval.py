"""What the files of the retriever have in common: no ids, no column but those named, in the order named.

sentence-transformers takes every column that is no label for an input, by its place: an id would be trained as a query.
So the order of the lineage file is what leads a row back.

Source: sentence-transformers 6.2, training overview, dataset format.
"""

from app.examples import Dataset
from app.exports.shape import Format, LeftOutError, Row

ROLES = frozenset({"retriever"})
NEEDS = ("anchor", "positive")
NO_DUPLICATES = "batch_sampler=BatchSamplers.NO_DUPLICATES keeps rows of one issue out of each other's negatives."


def config_of(form: Format, dataset: Dataset) -> str:  # noqa: ARG001  (all are called alike)
    """`ret_pair`."""
    return form.name


def negatives_of(example: Row) -> list[str]:
    """Code that the issue does not mean, each once: no blank one, and none that is the positive or the anchor."""
    listed = example["negatives"]
    texts = [one for one in listed if isinstance(one, str) and one.strip()] if isinstance(listed, list | tuple) else []
    return [one for one in dict.fromkeys(texts) if one not in (example["positive"], example["anchor"])]


def some_negatives_of(example: Row) -> list[str]:
    """As `negatives_of`, one at least.

    Raises:
        LeftOutError: there is none.

    """
    found = negatives_of(example)
    if not found:
        raise LeftOutError("no_negatives")
    return found
