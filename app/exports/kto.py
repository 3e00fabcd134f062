"""Prompt, completion and whether it is good: judgements of single answers.

KTO trainers read the file from its beginning to its end and compare what stands in one batch, so the rows stand in the
order of their ids' digests: neither the good nor the bad come first.

Source: TRL 1.16, dataset types, "unpaired preference".
"""

from app.exports.shape import ID, LLM, Column, Format, Row, RowOrder, Scalar, check_prompt, one_row, one_table


def row(example: Row) -> dict[str, object]:
    r"""`{"id": "scaffold-unpaired-9f…", "prompt": "…\n", "completion": "import …", "label": true}`."""
    return {name: example[name] for name in ("id", "prompt", "completion", "label")}


FORMAT = Format(
    name="kto",
    alias="unpaired",
    roles=LLM,
    objective="unpaired",
    needs=("prompt", "completion"),
    is_plain=True,
    order=RowOrder.DIGEST,
    tables=one_table(ID, Column("prompt"), Column("completion"), Column("label", Scalar.BOOL), check=check_prompt),
    rows=one_row(row),
    trainers={
        "TRL": "KTOTrainer takes it as it is, with a batch of two rows at least.",
        "axolotl": "rl: kto, remove_unused_columns: false, split: train, type: {field_prompt: prompt, "
        'field_completion: completion, field_label: label, prompt_format: "{prompt}", '
        'completion_format: "{completion}"}.',
        "LLaMA-Factory": "columns: {prompt: prompt, response: completion, kto_tag: label}; stage kto.",
    },
)
