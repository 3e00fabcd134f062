"""What is known of a change before its run, one typed column a feature, and the core whose patch was accepted.

`features.json` beside the rows says of each column what it is, what it may hold and when it is known.

Source: scikit-learn 1.9, HistGradientBoostingClassifier; the columns are those of `app/recipes/core_predictor.py`.
"""

import json

from app.examples import Dataset
from app.exports.shape import ID, Column, Format, LeftOutError, Row, Scalar, ShapeError, one_row, one_table
from app.recipes.core_predictor import CORES, FEATURES, MOST_COUNTED

NAMES = tuple(feature.name for feature in FEATURES)


def row(example: Row) -> dict[str, object]:
    """`{"id": "core-classification-9f…", "op_add_function": 0, …, "n_issue_lines": 12, "core": "LLMCore"}`.

    Raises:
        LeftOutError: the features are others than this version's.

    """
    features = example["features"]
    if not isinstance(features, dict) or tuple(features) != NAMES or example["core"] not in CORES:
        raise LeftOutError("other_features")
    return {"id": example["id"], **features, "core": example["core"]}


def check(row: Row) -> None:
    """Refuse a count below 0, more operations of a name than are counted, and a core of another name.

    Raises:
        ShapeError: it is such a row.

    """
    for name in NAMES:
        value = row[name]
        if not isinstance(value, int) or not 0 <= value <= (_most(name) or value):
            raise ShapeError(f"The column {name} must be a count; it is {str(value)[:40]}.")
    if row["core"] not in CORES:
        raise ShapeError(f"The core must be {' or '.join(CORES)}; it is {str(row['core'])[:40]!r}.")


def _most(name: str) -> int | None:
    return MOST_COUNTED if name.startswith("op_") else None


def features() -> list[dict[str, object]]:
    """`[{"name": "op_add_function", "kind": "count", "type": "int64", "minimum": 0, "maximum": 5, …}, …]`."""
    return [
        {
            "name": feature.name,
            "kind": "count",
            "type": str(Scalar.INT64),
            "minimum": 0,
            "maximum": _most(feature.name),
            "known": "before the run",
            "meaning": feature.meaning,
        }
        for feature in FEATURES
    ]


def _features_file() -> str:
    target = {"name": "core", "kind": "category", "type": str(Scalar.STRING), "values": list(CORES)}
    return json.dumps({"features": features(), "target": target}, indent=2, ensure_ascii=False) + "\n"


def _config_of(form: Format, dataset: Dataset) -> str:  # noqa: ARG001  (all are called alike)
    return form.name


FORMAT = Format(
    name="core_predictor",
    alias="features",
    roles=frozenset({"core_predictor"}),
    objective="classification",
    needs=("core",),
    config_of=_config_of,
    tables=one_table(ID, *(Column(name, Scalar.INT64) for name in NAMES), Column("core"), check=check),
    rows=one_row(row),
    beside={"features.json": _features_file()},
    trainers={
        "scikit-learn": "HistGradientBoostingClassifier on all columns but id and core; features.json says what they "
        "are, all whole numbers that are known before the run."
    },
)
