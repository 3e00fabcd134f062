"""System, input and two answers: axolotl's reward model after Bradley and Terry.

Source: axolotl 0.19, `prompt_strategies/bradley_terry/chat_template.py`. The column of the system prompt is asked for;
axolotl makes a turn of it even where it is empty, unless `drop_system_message` is set.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, ShapeError, check_pair, one_row, one_table
from app.exports.turns import SYSTEM


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "system": "", "input": "Repair …", "chosen": "import …", "rejected": "import …"}`."""
    return {
        "id": example["id"],
        "system": "",
        "input": example["prompt"],
        "chosen": example["chosen"],
        "rejected": example["rejected"],
    }


def check(row: Row) -> None:
    """Refuse a system prompt, which this format never writes, and two equal answers.

    Raises:
        ShapeError: it is such a row.

    """
    if row["system"]:
        raise ShapeError("The column system must be empty.")
    check_pair(row)


FORMAT = Format(
    name="ax_bt",
    alias="pairs-axolotl",
    roles=LLM,
    objective="reward",
    needs=("prompt", "chosen", "rejected"),
    tables=one_table(ID, SYSTEM, Column("input"), Column("chosen"), Column("rejected"), check=check),
    rows=one_row(row),
    trainers={
        "axolotl": "reward_model: true, num_labels: 1, model_type: AutoModelForSequenceClassification, "
        "type: bradley_terry.chat_template, drop_system_message: true (or the empty system prompt becomes a turn)."
    },
)
