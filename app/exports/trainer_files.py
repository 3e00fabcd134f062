"""Settings for trainers that are told by a file: axolotl's YAML and LLaMA-Factory's `dataset_info.json`. Pure.

Both read the JSONL: each split is a file of its own, and a folder given to LLaMA-Factory would put them all into
training.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.examples import Split
from app.exports.folder_card import Config

Entry = dict[str, Any]

_DPO, _KTO = {"rl": "dpo"}, {"rl": "kto", "remove_unused_columns": False}
_OWN_TEMPLATE = {"chat_template": "tokenizer_default"}
# An empty column `system` would become an empty turn, which no answer was made for.
_NO_SYSTEM: Entry = {"drop_system_message": True}
_PLAIN: Entry = {
    "system_prompt": "",
    "field_instruction": "prompt",
    "field_output": "completion",
    "format": "{instruction}",
    "no_input_format": "{instruction}",
}
_PAIR: Entry = {
    "field_prompt": "prompt",
    "field_chosen": "chosen",
    "field_rejected": "rejected",
    "prompt_format": "{prompt}",
    "chosen_format": "{chosen}",
    "rejected_format": "{rejected}",
}
_LABEL: Entry = {
    "field_prompt": "prompt",
    "field_completion": "completion",
    "field_label": "label",
    "prompt_format": "{prompt}",
    "completion_format": "{completion}",
}
_SHAREGPT: Entry = {
    "type": "chat_template",
    "field_messages": "conversations",
    "message_property_mappings": {"role": "from", "content": "value"},
    "roles": {"user": ["human"], "assistant": ["gpt"]},
    **_NO_SYSTEM,
}
_REWARD: Entry = {
    "reward_model": True,
    "model_type": "AutoModelForSequenceClassification",
    "num_labels": 1,
    "chat_template": "chatml",
    "remove_unused_columns": False,
}
_AXOLOTL: Mapping[str, tuple[Entry, Entry]] = {
    "sft_pc": ({"type": _PLAIN}, {}),
    "sft_chat": ({"type": "chat_template"}, {}),
    "alpaca": ({"type": "alpaca"}, {}),
    "sharegpt": (_SHAREGPT, {}),
    "dpo": ({"split": "train", "type": _PAIR}, _DPO),
    "dpo_chat": (
        {"split": "train", "type": "chat_template.default", "field_messages": "prompt"},
        {**_DPO, **_OWN_TEMPLATE},
    ),
    "lf_dpo_chat": ({"split": "train", "type": "chat_template.default"}, {**_DPO, **_OWN_TEMPLATE}),
    "reward": ({"split": "train", "type": "chat_template.argilla_chat"}, {**_DPO, **_OWN_TEMPLATE}),
    "kto": ({"split": "train", "type": _LABEL}, _KTO),
    "ax_bt": ({"type": "bradley_terry.chat_template", **_NO_SYSTEM}, _REWARD),
}
"""Format → its entry below `datasets`, without the file, and what stands beside it."""

_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
_BOTH = {"chosen": "chosen", "rejected": "rejected"}
_TURNS = {"messages": "conversations", "system": "system"}
_ALPACA = {"prompt": "instruction", "query": "input", "system": "system"}
_LLAMAFACTORY: Mapping[str, Entry] = {
    "sft_pc": {"columns": {"prompt": "prompt", "response": "completion"}},
    "sft_chat": {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": _TAGS},
    "alpaca": {"columns": {**_ALPACA, "response": "output"}},
    "sharegpt": {"formatting": "sharegpt", "columns": _TURNS},
    "dpo": {"ranking": True, "columns": {"prompt": "prompt", **_BOTH}},
    "lf_dpo_chat": {
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "messages", **_BOTH},
        "tags": _TAGS,
    },
    "lf_alpaca_dpo": {"ranking": True, "columns": {**_ALPACA, **_BOTH}},
    "lf_sharegpt_dpo": {"formatting": "sharegpt", "ranking": True, "columns": {**_TURNS, **_BOTH}},
    "kto": {"columns": {"prompt": "prompt", "response": "completion", "kto_tag": "label"}},
    "lf_kto": {"formatting": "sharegpt", "columns": {**_TURNS, "kto_tag": "kto_tag"}},
}
"""Format → its entry in `dataset_info.json`, without the file."""

_STAGES = {"sft": "sft", "preference": "dpo", "unpaired": "kto"}
INFO = "llamafactory/dataset_info.json"


def write(configs: Sequence[Config]) -> dict[str, str]:
    """Path → text: `{"axolotl/scaffold_sft_pc.yml": "base_model: …", "llamafactory/dataset_info.json": "{…}"}`."""
    made = {
        f"axolotl/{config.name}.yml": _yaml(config)
        for config in configs
        if config.run.form.name in _AXOLOTL and Split.TRAIN in config.splits
    }
    listed = {name: entry for config in configs for name, entry in _entries(config)}
    return made | ({INFO: json.dumps(listed, indent=2) + "\n"} if listed else {})


def _yaml(config: Config) -> str:
    entry, beside = _AXOLOTL[config.run.form.name]
    told = {
        "base_model": "path/to/a/model",
        **({} if "reward_model" in beside else {"adapter": "lora", "lora_r": 16, "lora_alpha": 32}),
        **({} if "reward_model" in beside else {"lora_target_linear": True}),
        "datasets": [{"path": config.file_of(Split.TRAIN), "ds_type": "json", **_shards(config), **entry}],
        **beside,
        "sequence_len": config.lengths.max_length(),
        "excess_length_strategy": "raise",
        "val_set_size": 0,
        "output_dir": f"out/{config.name}",
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "num_epochs": 3,
        "optimizer": "adamw_torch",
        "lr_scheduler": "cosine",
        "learning_rate": 0.000005 if beside else 0.0002,
        "bf16": "auto",
    }
    head = f"# Set base_model, then, in this folder: axolotl train axolotl/{config.name}.yml\n"
    return head + "".join(f"{line}\n" for line in _lines(told))


def _shards(config: Config) -> Entry:
    """What axolotl must be told of a folder of files: their names."""
    n = config.facts.shards.get((config.name, Split.TRAIN))
    if n is None:
        return {}
    place = config.file_of(Split.TRAIN)
    return {"data_files": [f"{place}/train-{number:05}-of-{n:05}.jsonl" for number in range(n)], "split": "train"}


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Settings as lines of YAML; texts and flags stand as JSON has them, which YAML reads alike.

    `{"datasets": [{"path": "a", "roles": {"user": ["human"]}}]}` → `datasets:`, `- path: "a"`, `  roles:`, ...
    """
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield f"{name}:"
            yield from (f"  {line}" for line in _lines(value))
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{name}:"
            for one in value:
                first, *others = _lines(one)
                yield f"- {first}"
                yield from (f"  {line}" for line in others)
        else:
            yield f"{name}: {_number(value) if isinstance(value, float) else json.dumps(value)}"


def _number(value: float) -> str:
    """`0.000005`: `5e-06` is a text for many readers of YAML."""
    return f"{value:.10f}".rstrip("0")


def _entries(config: Config) -> list[tuple[str, Entry]]:
    """The train split under the config's name, and the validation split beside it, each by its own file."""
    entry = _LLAMAFACTORY.get(config.run.form.name)
    if entry is None:
        return []
    splits = {Split.TRAIN: config.name, Split.VALIDATION: f"{config.name}_validation"}
    return [
        (name, {"file_name": f"../{config.file_of(split)}", **entry})
        for split, name in splits.items()
        if split in config.splits
    ]


def section(configs: Sequence[Config], made: Mapping[str, str]) -> str:
    """The part of the card that says how to start both."""
    yamls = [path for path in made if path.startswith("axolotl/")]
    parts = ["## Trainers that are told by a file", ""]
    if yamls:
        parts += [
            "axolotl 0.19: set `base_model` in the config's file; a row longer than `sequence_len` stops it:",
            "",
            "```sh",
            *(f"axolotl train {path}" for path in yamls),
            "```",
            "",
        ]
    taken = [one for one in configs if one.run.form.name in _LLAMAFACTORY and Split.TRAIN in one.splits]
    if taken:
        one = taken[0]
        stage = _STAGES[one.run.dataset.objective]
        parts += [
            "LLaMA-Factory 0.9.5, in this folder; `llamafactory/dataset_info.json` knows "
            + ", ".join(f"`{name.name}`" for name in taken)
            + ":",
            "",
            "```sh",
            f"llamafactory-cli train --stage {stage} --do_train --finetuning_type lora --model_name_or_path MODEL \\",
            f"  --template TEMPLATE --dataset_dir llamafactory --dataset {one.name} \\",
            f"  --cutoff_len {one.lengths.max_length()} --output_dir out/{one.name}",
            "```",
        ]
    return "\n".join(parts)
