"""ShareGPT's turns and whether the answer is good, for LLaMA-Factory; in the order of their ids' digests, as `kto`.

Source: LLaMA-Factory 0.9.5, data/README.md, sharegpt with `kto_tag`.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, RowOrder, Scalar, ShapeError, one_row, one_table
from app.exports.turns import GPT, HUMAN, SYSTEM, TURNS, check_turns, gpt, human


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "conversations": [{"from": "human", …}, {"from": "gpt", …}], "system": "", "kto_tag": true}`."""
    return {
        "id": example["id"],
        "conversations": [human(example["prompt"]), gpt(example["completion"])],
        "system": "",
        "kto_tag": example["label"],
    }


def check(row: Row) -> None:
    """Refuse any other turns than one of human and one of gpt, and a system prompt, which this format never writes.

    Raises:
        ShapeError: it is such a row.

    """
    check_turns(row["conversations"], HUMAN, GPT)
    if row["system"]:
        raise ShapeError("The column system must be empty.")


FORMAT = Format(
    name="lf_kto",
    alias="unpaired-conversations",
    roles=LLM,
    objective="unpaired",
    needs=("prompt", "completion"),
    order=RowOrder.DIGEST,
    tables=one_table(ID, Column("conversations", TURNS), SYSTEM, Column("kto_tag", Scalar.BOOL), check=check),
    rows=one_row(row),
    trainers={
        "LLaMA-Factory": "formatting: sharegpt, columns: {messages: conversations, system: system, kto_tag: kto_tag}; "
        "stage kto."
    },
)
