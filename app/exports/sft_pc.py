"""Prompt and completion as plain text: the file that TRL, axolotl and LLaMA-Factory all train from.

Source: TRL 1.16, dataset types, "prompt-completion": the loss is on the completion and its end token only.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, check_prompt, one_row, one_table


def row(example: Row) -> dict[str, object]:
    r"""`{"id": "scaffold-9f…", "prompt": "Write the codemod …\n", "completion": "import libcst as cst\n…"}`."""
    return {"id": example["id"], "prompt": example["prompt"], "completion": example["completion"]}


FORMAT = Format(
    name="sft_pc",
    alias="prompt-completion",
    roles=LLM,
    objective="sft",
    needs=("prompt", "completion"),
    is_plain=True,
    tables=one_table(ID, Column("prompt"), Column("completion"), check=check_prompt),
    rows=one_row(row),
    trainers={
        "TRL": "SFTTrainer takes it as it is; the loss is on the completion alone.",
        "axolotl": 'type: {field_instruction: prompt, field_output: completion, format: "{instruction}", '
        'no_input_format: "{instruction}"}.',
        "LLaMA-Factory": "columns: {prompt: prompt, response: completion}; it puts the prompt into its template.",
    },
)
