"""Two whole conversations that begin alike: what a reward model is trained from. No margins: see `reward_margin`.

Source: TRL 1.16, dataset types, conversational "preference" with an implicit prompt, recommended for RewardTrainer.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, ShapeError, one_row, one_table
from app.exports.turns import ASSISTANT, MESSAGES, USER, assistant, check_told_apart, check_turns, user

COLUMNS = (ID, Column("chosen", MESSAGES), Column("rejected", MESSAGES))


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "chosen": [{"role": "user", …}, {"role": "assistant", …}], "rejected": […]}`."""
    return {
        "id": example["id"],
        "chosen": [user(example["prompt"]), assistant(example["chosen"])],
        "rejected": [user(example["prompt"]), assistant(example["rejected"])],
    }


def check(row: Row) -> None:
    """Refuse other turns than user and assistant, conversations that begin differently, and two equal answers.

    Raises:
        ShapeError: it is such a row.

    """
    chosen, rejected = row["chosen"], row["rejected"]
    check_turns(chosen, USER, ASSISTANT)
    check_turns(rejected, USER, ASSISTANT)
    if isinstance(chosen, list) and isinstance(rejected, list) and chosen[0] != rejected[0]:
        raise ShapeError("Both conversations must begin with the same question.")
    check_told_apart(row)


FORMAT = Format(
    name="reward",
    alias="pairs",
    roles=LLM,
    objective="reward",
    needs=("prompt", "chosen", "rejected"),
    tables=one_table(*COLUMNS, check=check),
    rows=one_row(row),
    trainers={
        "TRL": "RewardTrainer takes it as it is, with num_labels=1. It drops whatever is longer than max_length.",
        "axolotl": "rl: dpo, split: train, type: chat_template.argilla_chat.",
    },
)
