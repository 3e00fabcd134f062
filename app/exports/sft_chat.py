"""A conversation of two turns, user and assistant: the chat file that most trainers take.

Source: TRL 1.16, dataset types, conversational language modelling.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, one_row, one_table
from app.exports.turns import ASSISTANT, MESSAGES, USER, assistant, check_turns, user


def row(example: Row) -> dict[str, object]:
    """`{"id": "scaffold-9f…", "messages": [{"role": "user", "content": "…"}, {"role": "assistant", …}]}`."""
    return {"id": example["id"], "messages": [user(example["prompt"]), assistant(example["completion"])]}


def check(row: Row) -> None:
    """Refuse any other turns than one of the user and one of the assistant.

    Raises:
        ShapeError: there are others.

    """
    check_turns(row["messages"], USER, ASSISTANT)


FORMAT = Format(
    name="sft_chat",
    alias="messages",
    roles=LLM,
    objective="sft",
    needs=("prompt", "completion"),
    tables=one_table(ID, Column("messages", MESSAGES), check=check),
    rows=one_row(row),
    trainers={
        "TRL": "SFTTrainer takes it as it is; set assistant_only_loss=True to keep the loss on the answer.",
        "axolotl": "type: chat_template; the loss is on the answer.",
        "LLaMA-Factory": "formatting: sharegpt, columns: {messages: messages}, tags: {role_tag: role, content_tag: "
        "content, user_tag: user, assistant_tag: assistant, system_tag: system}.",
        "unsloth": "takes it as it is; train_on_responses_only keeps the loss on the answer.",
    },
)
