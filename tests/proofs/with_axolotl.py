"""Proofs with axolotl: a YAML file of its own, its loader and its training, as its command line runs them."""
# mypy: disable-error-code="import-not-found,import-untyped"

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.proofs.harness import (
    BATCH,
    SHORT_CHARACTERS,
    STEPS,
    Case,
    be_quiet,
    expect,
    expect_finite,
    expect_texts,
    power_of_two,
    run,
    short_enough,
)
from tests.proofs.tiny import END_OF_TURN

IGNORED = -100
_USER, _SYSTEM = "<|im_start|>user\n", "<|im_start|>system"
Entry = dict[str, Any]
PLAIN: Entry = {
    "system_prompt": "",
    "field_instruction": "prompt",
    "field_output": "completion",
    "format": "{instruction}",
    "no_input_format": "{instruction}",
}
PAIR: Entry = {
    "field_prompt": "prompt",
    "field_chosen": "chosen",
    "field_rejected": "rejected",
    "prompt_format": "{prompt}",
    "chosen_format": "{chosen}",
    "rejected_format": "{rejected}",
}
LABEL: Entry = {
    "field_prompt": "prompt",
    "field_completion": "completion",
    "field_label": "label",
    "prompt_format": "{prompt}",
    "completion_format": "{completion}",
}
DPO, KTO = {"rl": "dpo"}, {"rl": "kto", "remove_unused_columns": False}
OWN_TEMPLATE = {"chat_template": "tokenizer_default"}
REWARD = {
    "reward_model": True,
    "model_type": "AutoModelForSequenceClassification",
    "num_labels": 1,
    "chat_template": "chatml",
    "remove_unused_columns": False,
}
ENTRIES: Mapping[str, tuple[Entry, Entry]] = {
    "sft_pc": ({"type": PLAIN}, {}),
    "sft_chat": ({"type": "chat_template"}, {}),
    "sharegpt": (
        {
            "type": "chat_template",
            "field_messages": "conversations",
            "message_property_mappings": {"role": "from", "content": "value"},
            "roles": {"user": ["human"], "assistant": ["gpt"]},
            "drop_system_message": True,  # or its empty column becomes an empty turn
        },
        {},
    ),
    "alpaca": ({"type": "alpaca"}, {}),
    "ax_io": ({"type": "input_output"}, {}),
    "dpo": ({"split": "train", "type": PAIR}, DPO),
    "dpo_chat": (
        {"split": "train", "type": "chat_template.default", "field_messages": "prompt"},
        {**DPO, **OWN_TEMPLATE},
    ),
    "lf_dpo_chat": ({"split": "train", "type": "chat_template.default"}, {**DPO, **OWN_TEMPLATE}),
    "reward": ({"split": "train", "type": "chat_template.argilla_chat"}, {**DPO, **OWN_TEMPLATE}),
    "kto": ({"split": "train", "type": LABEL}, KTO),
    "ax_bt": ({"type": "bradley_terry.chat_template", "drop_system_message": True}, REWARD),
}
"""Format → its entry below `datasets`, without the files, and what stands beside it in the YAML."""


def prove(*, parquet: bool = False) -> Callable[[Case], int]:
    """Load and train by the format's own lines of YAML."""

    def proof(case: Case) -> int:
        from axolotl.cli.args import TrainerCliArgs
        from axolotl.cli.config import load_cfg
        from axolotl.common.datasets import load_datasets, load_preference_datasets

        rows = case.rows()
        told = load_cfg(str(_write(case, parquet=parquet)))
        loader = load_preference_datasets if told.rl else load_datasets
        made = loader(cfg=told, cli_args=TrainerCliArgs())
        expect("rows that the loader kept", len(made.train_dataset), len(rows))
        _expect_answers(case, made.train_dataset, rows)
        short = short_enough((len(str(row)) for row in made.train_dataset), SHORT_CHARACTERS)
        made.train_dataset = made.train_dataset.select(short)
        _train(told, made, len(short))
        return len(rows)

    return proof


def _write(case: Case, *, parquet: bool) -> Path:
    import yaml

    entry, beside = ENTRIES[case.export.format]
    name = "rows.parquet" if parquet else "rows.jsonl"
    if parquet:
        import pyarrow
        from pyarrow import parquet as files

        files.write_table(pyarrow.concat_tables(map(files.read_table, case.parquet())), case.scratch / name)
    else:
        (case.scratch / name).write_bytes(b"".join(path.read_bytes() for path in case.jsonl()))
    dataset = {"path": str(case.scratch / name), "ds_type": "parquet" if parquet else "json", **entry}
    told = {
        "base_model": str(case.tiny / "lm"),
        "tokenizer_type": "PreTrainedTokenizerFast",
        "special_tokens": {"pad_token": "<|pad|>", "eos_token": END_OF_TURN},
        "datasets": [dataset],
        "dataset_prepared_path": str(case.scratch / "prepared"),
        "output_dir": str(case.scratch / "out"),
        "sequence_len": power_of_two(_longest(case)),
        "excess_length_strategy": "raise",
        "sample_packing": False,
        "pad_to_sequence_len": False,
        "val_set_size": 0,
        "micro_batch_size": BATCH,
        "gradient_accumulation_steps": 1,
        "max_steps": STEPS,
        "num_epochs": 1,
        "learning_rate": 1e-3,
        "optimizer": "adamw_torch",
        "lr_scheduler": "constant",
        "bf16": False,
        "fp16": False,
        "tf32": False,
        "flash_attention": False,
        "sdp_attention": True,
        "save_strategy": "no",
        "save_first_step": False,
        "logging_steps": 1,
        "dataset_num_proc": 0,  # in this process: each of its own would import everything again
        "dataloader_num_workers": 0,
        "use_tensorboard": False,
        **beside,
    }
    place = case.scratch / "proof.yml"
    place.write_text(yaml.safe_dump(told, sort_keys=False))
    return place


def _longest(case: Case) -> int:
    """Tokens that no row reaches: those of all that the longest row says, and some for its turns."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(case.tiny / "lm")
    return max(len(tokenizer(json.dumps(row, ensure_ascii=False))["input_ids"]) for row in case.rows()) + 64


def _expect_answers(case: Case, made: Any, rows: Any) -> None:
    """What its loader made: texts of a pair or a label as they are, or tokens with the loss on the answer alone."""
    columns = made.column_names
    if "labels" in columns:
        wanted = sorted(_answer(row) + END_OF_TURN for row in rows)
        expect_texts("answers", sorted(_decoded(case, made["labels"])), wanted)
        whole = _decoded(case, made["input_ids"])
        expect("rows with a turn that the export does not have", sum(_SYSTEM in text for text in whole), 0)
    elif "chosen_ids" in columns:
        for side in ("chosen", "rejected"):
            wanted = sorted(f"{row['input']}{END_OF_TURN}\n<|im_start|>assistant\n{row[side]}" for row in rows)
            read = [_bare(text).removeprefix(_USER) for text in _decoded(case, made[f"{side}_ids"])]
            expect_texts(side, sorted(read), [text.rstrip() for text in wanted])
    elif "chosen" in columns:
        _expect_pairs(made, rows)
    elif "completion" in columns:
        read = [f"{row['label']} {_text(row['completion']).rstrip()}" for row in made]
        expect_texts("answers", sorted(read), sorted(f"{row['label']} {row['completion'].rstrip()}" for row in rows))
    else:
        raise AssertionError(f"Nothing of {', '.join(columns)} is known to hold an answer.")


def _decoded(case: Case, rows: Iterable[Iterable[int]]) -> list[str]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(case.tiny / "lm")
    return [
        tokenizer.decode([one for one in ids if one != IGNORED], clean_up_tokenization_spaces=False) for ids in rows
    ]


def _expect_pairs(made: Any, rows: Any) -> None:
    """Both answers, wherever the loader put the end of the turn."""

    def pairs(those: Iterable[Mapping[str, Any]]) -> list[str]:
        return sorted(" | ".join(_bare(row[side]) for side in ("chosen", "rejected")) for row in those)

    expect_texts("pairs", pairs(made), pairs(rows))


def _bare(turns: Any) -> str:
    return _text(turns).rstrip().removesuffix(END_OF_TURN).rstrip()


def _text(turns: Any) -> str:
    """A text, or that of the last turn."""
    if isinstance(turns, list):
        turns = turns[-1]
    if isinstance(turns, dict):
        turns = turns["content"] if "content" in turns else turns["value"]
    return str(turns)


def _answer(row: Mapping[str, Any]) -> str:
    for column in ("completion", "output", "messages", "conversations", "segments"):
        if column in row:
            return _text(row[column])
    raise AssertionError(f"No column of {', '.join(row)} answers.")


def _train(told: Any, made: Any, n_rows: int) -> None:
    from axolotl.train import train

    _, _, trainer = train(cfg=told, dataset_meta=made)
    expect("rows that the trainer kept", len(trainer.train_dataset), n_rows)
    expect_finite(step["loss"] for step in trainer.state.log_history if "loss" in step)


PROOFS: Mapping[tuple[str, str], Callable[[Case], int]] = {
    **{(form, "sft"): prove() for form in ("sft_pc", "sft_chat", "sharegpt", "alpaca", "ax_io")},
    ("sft_chat", "sft from Parquet"): prove(parquet=True),
    **{(form, "dpo"): prove() for form in ("dpo", "dpo_chat", "lf_dpo_chat", "reward")},
    ("kto", "kto"): prove(),
    ("ax_bt", "reward"): prove(),
}

if __name__ == "__main__":
    be_quiet()
    run(PROOFS, "axolotl")
