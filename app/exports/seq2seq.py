r"""Source and target, and the target once more for vocabularies that lose it: `t5_spec`, `divot5_refine` and the like.

The SentencePiece vocabularies of the classic T5 models know no line end and no brace, fold blanks, and drop those at
either end: YAML and JSON do not come back from them. `target_flat` says such characters in words that can be added to
the vocabulary, and `unflatten` is its exact inverse, also where a tokenizer puts blanks around the words or takes
them away.

Source: google-research/text-to-text-transfer-transformer#390, huggingface/transformers#6150.
"""

import re
from collections.abc import Mapping

from app.examples import Dataset
from app.exports.shape import ID, Column, Format, Row, ShapeError, one_row, one_table

SENTINELS: Mapping[str, str] = {
    "<nl>": "\n",
    "<ind>": "  ",
    "<sp>": " ",
    "<tab>": "\t",
    "<cr>": "\r",
    "<lb>": "{",
    "<rb>": "}",
    "<lt>": "<",
    "<bs>": "\\",
    "<hat>": "^",
    "<tilde>": "~",
    "<tick>": "`",
}
"""Word → what it stands for. A model's tokenizer must learn them: `tokenizer.add_tokens([*SENTINELS])`."""

_WORD = {text: word for word, text in SENTINELS.items()}
_SAID = "".join(re.escape(text) for text in _WORD if not text.isspace() or text in "\n\t\r")
# A single blank between two letters stays what it is; any other is said, or a vocabulary would fold it.
_TO_SAY = re.compile(rf"(?<=[^ {_SAID}]) (?=[^ {_SAID}])|( +)|([{_SAID}])")
_WORDS = re.compile(rf" *({'|'.join(SENTINELS)}) *")

INVERSE = f"""\
import re
words = {dict(SENTINELS)!r}
def unflatten(text):
    return re.sub(" *(" + "|".join(words) + ") *", lambda found: words[found[1]], text)
"""
"""`unflatten` for whoever reads the file without this program; the card shows it."""

CONFIGS = {"t5_spec": "t5_spec", "divot5_refiner": "divot5_refine", "divot5_unifier": "divot5_unify"}


def flatten(text: str) -> str:
    r"""A text in one line without a character that a classic vocabulary lacks: `"a:\n  b\n"` → `"a:<nl><ind>b<nl>"`."""
    return _TO_SAY.sub(_say, text)


def _say(found: re.Match[str]) -> str:
    blanks, one = found.groups()
    if blanks:
        return "<ind>" * (len(blanks) // 2) + "<sp>" * (len(blanks) % 2)
    return _WORD[one] if one else " "


def unflatten(text: str) -> str:
    r"""The text that was flattened: `"a:<nl> <ind> b <nl>"` → `"a:\n  b\n"`."""
    return _WORDS.sub(lambda found: SENTINELS[found[1]], text)


def row(example: Row) -> dict[str, object]:
    r"""`{"id": "…", "source": "normalise the spec\n…", "target": "task: a\n", "target_flat": "task: a<nl>"}`."""
    target = str(example["target"])
    return {"id": example["id"], "source": example["source"], "target": target, "target_flat": flatten(target)}


def check(row: Row) -> None:
    """Refuse a flat target from which the target does not come back.

    Raises:
        ShapeError: it does not.

    """
    if unflatten(str(row["target_flat"])) != row["target"]:
        raise ShapeError("The target does not come back from target_flat.")


def _config_of(form: Format, dataset: Dataset) -> str:
    return CONFIGS.get(dataset.role, f"{dataset.role}_{form.name}")


FORMAT = Format(
    name="seq2seq",
    alias="source-target",
    roles=frozenset(CONFIGS),
    objective="seq2seq",
    needs=("source", "target"),
    config_of=_config_of,
    tables=one_table(ID, Column("source"), Column("target"), Column("target_flat"), check=check),
    rows=one_row(row),
    trainers={
        "transformers": "Seq2SeqTrainer with tokenizer(source, text_target=target); with a SentencePiece vocabulary "
        "that loses line ends or braces, text_target=target_flat and tokenizer.add_tokens of its words.",
    },
    notes="Train on `target` where `tokenizer.decode(tokenizer(target).input_ids, skip_special_tokens=True)` gives it "
    "back, as byte-level vocabularies do (CodeT5, ByT5). Otherwise train on `target_flat` and turn what the model "
    f"writes back:\n\n```python\n{INVERSE}```",
)
