"""Prompt, chosen and rejected as plain text: the file that TRL, axolotl and LLaMA-Factory train preferences from.

The prompt is always a column of its own: where a trainer has to find it as what both sides begin with, it is cut in the
middle of a word.

Source: TRL 1.16, dataset types, "preference" with an explicit prompt.
"""

from app.exports.shape import ID, LLM, Column, Format, Row, check_prompted_pair, one_row, one_table


def row(example: Row) -> dict[str, object]:
    r"""`{"id": "repair-preference-9f…", "prompt": "…\n", "chosen": "import …", "rejected": "import …"}`."""
    return {name: example[name] for name in ("id", "prompt", "chosen", "rejected")}


FORMAT = Format(
    name="dpo",
    alias="preference",
    roles=LLM,
    objective="preference",
    needs=("prompt", "chosen", "rejected"),
    is_plain=True,
    tables=one_table(ID, Column("prompt"), Column("chosen"), Column("rejected"), check=check_prompted_pair),
    rows=one_row(row),
    trainers={
        "TRL": "DPOTrainer takes it as it is, and so does RewardTrainer.",
        "axolotl": "rl: dpo, split: train, type: {field_prompt: prompt, field_chosen: chosen, field_rejected: "
        'rejected, prompt_format: "{prompt}", chosen_format: "{chosen}", rejected_format: "{rejected}"}.',
        "LLaMA-Factory": "ranking: true, columns: {prompt: prompt, chosen: chosen, rejected: rejected}; stage dpo.",
    },
)
