"""Alpaca's columns with two answers, for LLaMA-Factory's stages dpo and rm.

Source: LLaMA-Factory 0.9.5, data/README.md, alpaca with `ranking`.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, ShapeError, check_pair, one_row, one_table
from app.exports.turns import SYSTEM


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "instruction": "…", "input": "", "system": "", "chosen": "import …", "rejected": "import …"}`."""
    return {
        "id": example["id"],
        "instruction": example["prompt"],
        "input": "",
        "system": "",
        "chosen": example["chosen"],
        "rejected": example["rejected"],
    }


def check(row: Row) -> None:
    """Refuse an input or a system prompt, which this format never writes, and two equal answers.

    Raises:
        ShapeError: it is such a row.

    """
    if row["input"] or row["system"]:
        raise ShapeError("The columns input and system must be empty.")
    check_pair(row)


FORMAT = Format(
    name="lf_alpaca_dpo",
    alias="preference-alpaca",
    roles=LLM,
    objective="preference",
    needs=("prompt", "chosen", "rejected"),
    tables=one_table(
        ID,
        Column("instruction"),
        Column("input", may_be_empty=True),
        SYSTEM,
        Column("chosen"),
        Column("rejected"),
        check=check,
    ),
    rows=one_row(row),
    trainers={
        "LLaMA-Factory": "ranking: true, columns: {prompt: instruction, query: input, system: system, chosen: chosen, "
        "rejected: rejected}; stage dpo, and stage rm for a reward model."
    },
)
