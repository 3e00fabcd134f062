"""A conversation with two single answers: one preference file for both LLaMA-Factory and axolotl.

Source: LLaMA-Factory 0.9.5, sharegpt with `ranking`: an answer given as a list is skipped with a warning; axolotl 0.19,
`chat_template.default`.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, one_row, one_table
from app.exports.turns import ASSISTANT, MESSAGE, MESSAGES, USER, assistant, check_told_apart, check_turns, user


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "messages": [{"role": "user", …}], "chosen": {"role": "assistant", …}, "rejected": {…}}`."""
    return {
        "id": example["id"],
        "messages": [user(example["prompt"])],
        "chosen": assistant(example["chosen"]),
        "rejected": assistant(example["rejected"]),
    }


def check(row: Row) -> None:
    """Refuse other turns than one user's and one assistant's on each side, and two equal answers.

    Raises:
        ShapeError: it is such a row.

    """
    check_turns(row["messages"], USER)
    check_turns(row["chosen"], ASSISTANT)
    check_turns(row["rejected"], ASSISTANT)
    check_told_apart(row)


FORMAT = Format(
    name="lf_dpo_chat",
    alias="preference-messages",
    roles=LLM,
    objective="preference",
    needs=("prompt", "chosen", "rejected"),
    tables=one_table(
        ID, Column("messages", MESSAGES), Column("chosen", MESSAGE), Column("rejected", MESSAGE), check=check
    ),
    rows=one_row(row),
    trainers={
        "LLaMA-Factory": "formatting: sharegpt, ranking: true, columns: {messages: messages, chosen: chosen, rejected: "
        "rejected}, tags: {role_tag: role, content_tag: content, user_tag: user, assistant_tag: assistant}.",
        "axolotl": "rl: dpo, split: train, type: chat_template.default.",
    },
)
