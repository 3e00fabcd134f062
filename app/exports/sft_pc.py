"""Prompt and completion as plain text: the file that TRL, axolotl and LLaMA-Factory all train from.

Source: TRL 1.16, dataset types, "prompt-completion": the loss is on the completion and its end token only.
"""

from app.exports.shape import Format, Row, ShapeError, check_texts

COLUMNS = ("id", "prompt", "completion")


def row(example: Row) -> dict[str, object]:
    r"""`{"id": "scaffold-9f…", "prompt": "Write the codemod …\n", "completion": "import libcst as cst\n…"}`."""
    return {"id": example["id"], "prompt": example["prompt"], "completion": example["completion"]}


def check(row: Row) -> None:
    """Refuse a row that is not `id`, `prompt`, `completion`, with a prompt that ends its line.

    A tokenizer may join the last word of a prompt to the first of the completion; a line end keeps them apart.

    Raises:
        ShapeError: it is not.

    """
    check_texts(row, COLUMNS)
    if not str(row["prompt"]).endswith("\n"):
        raise ShapeError("A prompt must end its line.")


FORMAT = Format(
    name="sft_pc",
    alias="prompt-completion",
    objective="sft",
    row=row,
    check=check,
    usage="TRL's SFTTrainer takes it as it is; the loss is on the completion alone.",
)
