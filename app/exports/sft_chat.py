"""A conversation of two turns: user and assistant.

There is no system turn: the templates of several model families refuse one, and a prompt that says the same in both
formats can be compared. Source: TRL 1.16, dataset types, conversational language modelling.
"""

from app.exports.shape import Format, Row, ShapeError, check_texts

COLUMNS = ("id", "messages")
ROLES = ("user", "assistant")


def row(example: Row) -> dict[str, object]:
    """`{"id": "scaffold-9f…", "messages": [{"role": "user", "content": "…"}, {"role": "assistant", …}]}`."""
    return {
        "id": example["id"],
        "messages": [
            {"role": "user", "content": example["prompt"]},
            {"role": "assistant", "content": example["completion"]},
        ],
    }


def check(row: Row) -> None:
    """Refuse a row that is not `id` and two messages, user then assistant, with a role and a content each.

    Raises:
        ShapeError: it is not.

    """
    if tuple(row) != COLUMNS:
        raise ShapeError(f"The columns are {', '.join(row)}; they must be {', '.join(COLUMNS)}.")
    messages = row["messages"]
    if not row["id"] or not isinstance(messages, list) or len(messages) != len(ROLES):
        raise ShapeError("A conversation needs an id and two messages.")
    for message, role in zip(messages, ROLES, strict=True):
        check_texts(message, ("role", "content"))
        if message["role"] != role:
            raise ShapeError(f"The turns must be {', '.join(ROLES)}; this one is {message['role']}.")


FORMAT = Format(
    name="sft_chat",
    alias="messages",
    objective="sft",
    row=row,
    check=check,
    usage="TRL's SFTTrainer takes it as it is; set assistant_only_loss=True to keep the loss on the answer.",
)
