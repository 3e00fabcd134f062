"""Conversations of two turns, and whether the answer is good; in the order of their ids' digests, as `kto`.

Source: TRL 1.16, dataset types, conversational "unpaired preference".
"""

from app.exports.shape import ID, LLM, Column, Format, Row, RowOrder, Scalar, one_row, one_table
from app.exports.turns import ASSISTANT, MESSAGES, USER, assistant, check_turns, user


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "prompt": [{"role": "user", …}], "completion": [{"role": "assistant", …}], "label": true}`."""
    return {
        "id": example["id"],
        "prompt": [user(example["prompt"])],
        "completion": [assistant(example["completion"])],
        "label": example["label"],
    }


def check(row: Row) -> None:
    """Refuse any other turns than one of the user and one of the assistant.

    Raises:
        ShapeError: there are others.

    """
    check_turns(row["prompt"], USER)
    check_turns(row["completion"], ASSISTANT)


FORMAT = Format(
    name="kto_chat",
    alias="unpaired-chat",
    roles=LLM,
    objective="unpaired",
    needs=("prompt", "completion"),
    order=RowOrder.DIGEST,
    tables=one_table(
        ID, Column("prompt", MESSAGES), Column("completion", MESSAGES), Column("label", Scalar.BOOL), check=check
    ),
    rows=one_row(row),
    trainers={"TRL": "KTOTrainer takes it as it is, with a batch of two rows at least."},
)
