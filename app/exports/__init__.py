"""Formats of training files: examples → rows, one pure file a format, one line here."""

from collections.abc import Mapping

from app.errors import BadInputError
from app.examples import Dataset
from app.exports import (
    agent_native,
    alpaca,
    ax_bt,
    core_predictor,
    dpo,
    dpo_chat,
    ir,
    kto,
    kto_chat,
    lf_alpaca_dpo,
    lf_dpo_chat,
    lf_kto,
    lf_sharegpt_dpo,
    openai_dpo,
    ret_nneg,
    ret_pair,
    ret_score,
    ret_triplet,
    reward,
    reward_margin,
    seq2seq,
    sft_chat,
    sft_pc,
    sft_pc_chat,
    sharegpt,
    style_pair,
    style_score,
)  # fmt: skip
from app.exports.run import Run, look
from app.exports.shape import LEFT_OUT, Format, Made, Row, ShapeError
from app.recipes import DATASETS

FORMATS: tuple[Format, ...] = tuple(
    module.FORMAT
    for module in (
        sft_pc, sft_chat, sft_pc_chat, alpaca, sharegpt, agent_native,
        dpo, dpo_chat, openai_dpo, lf_dpo_chat, lf_alpaca_dpo, lf_sharegpt_dpo,
        kto, kto_chat, lf_kto,
        reward, reward_margin, ax_bt,
        seq2seq,
        style_score, style_pair,
        ret_pair, ret_triplet, ret_nneg, ret_score, ir,
        core_predictor,
    )
)  # fmt: skip
"""Every format; of those of one dataset the first is the one that is meant where none is named."""

_BY_NAME: Mapping[str, Format] = {name: one for one in FORMATS for name in (one.name, one.alias)}


def get_format(name: str) -> Format:
    """The format of a name or alias: `prompt-completion` and `sft_pc` are one.

    Raises:
        BadInputError: no format is called so.

    """
    found = _BY_NAME.get(name)
    if found is None:
        known = ", ".join(one.alias for one in FORMATS)
        raise BadInputError(f"No format is called {name[:40]!r}; there are {known}.", where="field format")
    return found


def formats_of(dataset: Dataset) -> tuple[Format, ...]:
    """The formats that can write a dataset, the usual one first."""
    return tuple(one for one in FORMATS if one.serves(dataset))


def _configs() -> dict[str, tuple[Format, str]]:
    return {
        form.config(dataset, table): (form, table)
        for dataset in DATASETS
        for form in formats_of(dataset)
        for table in form.tables({})
    }


_BY_CONFIG: Mapping[str, tuple[Format, str]] = _configs()
CONFIGS: tuple[str, ...] = tuple(_BY_CONFIG)
"""Every config that an export can hold: `scaffold_sft_pc`, …, `ir_qrels`, …, `core_predictor`."""


def validate(config: str, row: Row) -> None:
    """Check a row of a config, such as `scaffold_sft_pc`, against its format: columns, order, types and rules.

    Raises:
        ShapeError: the row is not what the format promises.
        BadInputError: no format has this config.

    """
    found = _BY_CONFIG.get(config)
    if found is None:
        raise BadInputError(f"No config is called {config[:60]!r}.", where="field config")
    form, table = found
    form.check(row, table)


__all__ = [
    "CONFIGS", "FORMATS", "LEFT_OUT", "Format", "Made", "Row", "Run", "ShapeError", "formats_of", "get_format", "look",
    "validate",
]  # fmt: skip
