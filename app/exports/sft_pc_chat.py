"""Prompt and completion as a conversation: the trainer's chat template is put around each.

Source: TRL 1.16, dataset types, conversational "prompt-completion".
"""

from app.exports.shape import ID, LLM, Column, Format, Row, one_row, one_table
from app.exports.turns import ASSISTANT, MESSAGES, USER, assistant, check_turns, user


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "prompt": [{"role": "user", …}], "completion": [{"role": "assistant", …}]}`."""
    return {
        "id": example["id"],
        "prompt": [user(example["prompt"])],
        "completion": [assistant(example["completion"])],
    }


def check(row: Row) -> None:
    """Refuse any other turns than one of the user and one of the assistant.

    Raises:
        ShapeError: there are others.

    """
    check_turns(row["prompt"], USER)
    check_turns(row["completion"], ASSISTANT)


FORMAT = Format(
    name="sft_pc_chat",
    alias="prompt-completion-chat",
    roles=LLM,
    objective="sft",
    needs=("prompt", "completion"),
    tables=one_table(ID, Column("prompt", MESSAGES), Column("completion", MESSAGES), check=check),
    rows=one_row(row),
    trainers={"TRL": "SFTTrainer takes it as it is; the loss is on the answer and its end of turn."},
)
