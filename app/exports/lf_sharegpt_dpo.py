"""ShareGPT's turns with two single answers, for LLaMA-Factory's stage dpo.

Source: LLaMA-Factory 0.9.5, data/README.md, sharegpt with `ranking`: an answer given as a list is skipped.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, ShapeError, one_row, one_table
from app.exports.turns import GPT, HUMAN, SYSTEM, TURN, TURNS, check_told_apart, check_turns, gpt, human


def row(example: Row) -> dict[str, object]:
    """`{"id": "…", "conversations": [{"from": "human", …}], "system": "", "chosen": {"from": "gpt", …}, …}`."""
    return {
        "id": example["id"],
        "conversations": [human(example["prompt"])],
        "system": "",
        "chosen": gpt(example["chosen"]),
        "rejected": gpt(example["rejected"]),
    }


def check(row: Row) -> None:
    """Refuse other turns than one of human and one of gpt on each side, a system prompt, and two equal answers.

    Raises:
        ShapeError: it is such a row.

    """
    check_turns(row["conversations"], HUMAN)
    check_turns(row["chosen"], GPT)
    check_turns(row["rejected"], GPT)
    if row["system"]:
        raise ShapeError("The column system must be empty.")
    check_told_apart(row)


FORMAT = Format(
    name="lf_sharegpt_dpo",
    alias="preference-conversations",
    roles=LLM,
    objective="preference",
    needs=("prompt", "chosen", "rejected"),
    tables=one_table(
        ID, Column("conversations", TURNS), SYSTEM, Column("chosen", TURN), Column("rejected", TURN), check=check
    ),
    rows=one_row(row),
    trainers={
        "LLaMA-Factory": "formatting: sharegpt, ranking: true, columns: {messages: conversations, system: system, "
        "chosen: chosen, rejected: rejected}."
    },
)
