"""Prompt, chosen and rejected as conversations.

Source: TRL 1.16, dataset types, conversational "preference" with an explicit prompt; axolotl takes the last message of
chosen and rejected only, and there is one.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, one_row, one_table
from app.exports.turns import ASSISTANT, MESSAGES, USER, assistant, check_told_apart, check_turns, user


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "prompt": [{"role": "user", …}], "chosen": [{"role": "assistant", …}], "rejected": […]}`."""
    return {
        "id": example["id"],
        "prompt": [user(example["prompt"])],
        "chosen": [assistant(example["chosen"])],
        "rejected": [assistant(example["rejected"])],
    }


def check(row: Row) -> None:
    """Refuse other turns than one user's and one assistant's on each side, and two equal answers.

    Raises:
        ShapeError: it is such a row.

    """
    check_turns(row["prompt"], USER)
    check_turns(row["chosen"], ASSISTANT)
    check_turns(row["rejected"], ASSISTANT)
    check_told_apart(row)


FORMAT = Format(
    name="dpo_chat",
    alias="preference-chat",
    roles=LLM,
    objective="preference",
    needs=("prompt", "chosen", "rejected"),
    tables=one_table(
        ID, Column("prompt", MESSAGES), Column("chosen", MESSAGES), Column("rejected", MESSAGES), check=check
    ),
    rows=one_row(row),
    trainers={
        "TRL": "DPOTrainer takes it as it is.",
        "axolotl": "rl: dpo, split: train, type: chat_template.default, field_messages: prompt.",
    },
)
