"""Prompt and completion, and nothing else: the lines that the agent's own `build_finetune_dataset` writes.

Its fine-tuning script reads these two keys of each line. What differs is what the prompt holds: the agent puts the
whole diff into it, so that its model learns to copy; here no prompt holds its answer. A line has no id, so the order of
the lineage file is what leads a row back.
"""

from app.exports.shape import LLM, Column, Format, Row, check_prompt, one_row, one_table


def row(example: Row) -> dict[str, object]:
    r"""`{"prompt": "Write the codemod …\n", "completion": "import libcst as cst\n…"}`."""
    return {"prompt": example["prompt"], "completion": example["completion"]}


FORMAT = Format(
    name="agent_native",
    alias="agent",
    roles=LLM,
    objective="sft",
    needs=("prompt", "completion"),
    is_plain=True,
    jsonl_only=True,
    tables=one_table(Column("prompt"), Column("completion"), check=check_prompt),
    rows=one_row(row),
    trainers={"the agent": "its finetune_lora.py reads the train file in place of the one that it builds."},
)
