"""Preferences as hosted services take them: OpenAI, Azure, Together, Fireworks.

Each output is exactly one message, and there is no further key, so no id: the order of the lineage file leads a row
back. Services refuse a file that mixes shapes, or one of fewer than ten rows (OpenAI) or three (Fireworks).

Source: OpenAI, direct preference optimization, and Together's preference format, as of 2026-11.
"""

from app.exports.shape import LLM, Column, Format, ListOf, Row, Scalar, ShapeError, Struct, one_row, one_table
from app.exports.turns import ASSISTANT, MESSAGES, USER, assistant, check_turns, user

INPUT = Struct((("messages", MESSAGES), ("tools", ListOf(Scalar.STRING)), ("parallel_tool_calls", Scalar.BOOL)))


def row(example: Row) -> dict[str, object]:
    """`{"input": {"messages": […], "tools": [], …}, "preferred_output": […], "non_preferred_output": […]}`."""
    return {
        "input": {"messages": [user(example["prompt"])], "tools": [], "parallel_tool_calls": True},
        "preferred_output": [assistant(example["chosen"])],
        "non_preferred_output": [assistant(example["rejected"])],
    }


def check(row: Row) -> None:
    """Refuse other turns than one user's and one assistant's on each side, tools, and two equal outputs.

    Raises:
        ShapeError: it is such a row.

    """
    asked = row["input"]
    if not isinstance(asked, dict) or asked["tools"]:
        raise ShapeError("There are no tools.")
    check_turns(asked["messages"], USER)
    check_turns(row["preferred_output"], ASSISTANT)
    check_turns(row["non_preferred_output"], ASSISTANT)
    if row["preferred_output"] == row["non_preferred_output"]:
        raise ShapeError("The preferred output is the other one.")


FORMAT = Format(
    name="openai_dpo",
    alias="preference-openai",
    roles=LLM,
    objective="preference",
    needs=("prompt", "chosen", "rejected"),
    jsonl_only=True,
    tables=one_table(
        Column("input", INPUT),
        Column("preferred_output", MESSAGES),
        Column("non_preferred_output", MESSAGES),
        check=check,
    ),
    rows=one_row(row),
    trainers={"OpenAI, Azure, Together, Fireworks": "upload the JSONL file as it is; method dpo."},
)
