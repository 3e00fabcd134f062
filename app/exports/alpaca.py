"""Instruction, input, output: Alpaca's columns, for trainers that know no others.

The whole prompt is the instruction: templates of one's own do not part it into two. The input and the system prompt are
there and empty, because a null in either is read as the word "None" by some.

Source: LLaMA-Factory 0.9.5, data/README.md; axolotl 0.19, `type: alpaca`.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, ShapeError, one_row, one_table
from app.exports.turns import SYSTEM


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "instruction": "Write the codemod …", "input": "", "output": "import …", "system": ""}`."""
    return {
        "id": example["id"],
        "instruction": example["prompt"],
        "input": "",
        "output": example["completion"],
        "system": "",
    }


def check(row: Row) -> None:
    """Refuse an input or a system prompt: this format writes none.

    Raises:
        ShapeError: there is one.

    """
    if row["input"] or row["system"]:
        raise ShapeError("The columns input and system must be empty.")


FORMAT = Format(
    name="alpaca",
    alias="instruction-output",
    roles=LLM,
    objective="sft",
    needs=("prompt", "completion"),
    tables=one_table(
        ID, Column("instruction"), Column("input", may_be_empty=True), Column("output"), SYSTEM, check=check
    ),
    rows=one_row(row),
    trainers={
        "LLaMA-Factory": "takes it as it is; columns: {prompt: instruction, query: input, response: output, system: "
        "system}.",
        "axolotl": "type: alpaca.",
        "TRL": "has no loader for it; use sft_pc.",
    },
)
