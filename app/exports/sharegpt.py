"""Turns from human and gpt: ShareGPT's columns.

Source: LLaMA-Factory 0.9.5, data/README.md; it skips with a warning what does not alternate strictly.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, ShapeError, one_row, one_table
from app.exports.turns import GPT, HUMAN, SYSTEM, TURNS, check_turns, gpt, human


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "conversations": [{"from": "human", …}, {"from": "gpt", …}], "system": ""}`."""
    return {
        "id": example["id"],
        "conversations": [human(example["prompt"]), gpt(example["completion"])],
        "system": "",
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
    name="sharegpt",
    alias="conversations",
    roles=LLM,
    objective="sft",
    needs=("prompt", "completion"),
    tables=one_table(ID, Column("conversations", TURNS), SYSTEM, check=check),
    rows=one_row(row),
    trainers={
        "LLaMA-Factory": "formatting: sharegpt, columns: {messages: conversations, system: system}.",
        "axolotl": "type: chat_template, field_messages: conversations, message_property_mappings: {role: from, "
        "content: value}, roles: {user: [human], assistant: [gpt]}, drop_system_message: true (or the empty system "
        "prompt becomes a turn).",
        "unsloth": "standardize_data_formats makes user and assistant of it.",
        "TRL": "trains it, but with human and gpt as roles and the loss on everything; use sft_chat.",
    },
)
