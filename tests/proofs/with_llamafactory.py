"""Proofs with LLaMA-Factory: its own loader and its own trainers, with an adapter, as its command line runs them."""
# mypy: disable-error-code="import-not-found,import-untyped"

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
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
NAME = "proved"
Entry = dict[str, Any]
ROLES = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
PLAIN = {"prompt": "prompt", "response": "completion"}
ALPACA = {"prompt": "instruction", "query": "input", "response": "output", "system": "system"}
PAIR = {"chosen": "chosen", "rejected": "rejected"}
TURNS = {"messages": "conversations", "system": "system"}
ENTRIES: Mapping[str, Entry] = {
    "sft_pc": {"columns": PLAIN},
    "sft_chat": {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": ROLES},
    "alpaca": {"columns": ALPACA},
    "sharegpt": {"formatting": "sharegpt", "columns": TURNS},
    "dpo": {"ranking": True, "columns": {"prompt": "prompt", **PAIR}},
    "lf_dpo_chat": {
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "messages", **PAIR},
        "tags": ROLES,
    },
    "lf_alpaca_dpo": {
        "ranking": True,
        "columns": {"prompt": "instruction", "query": "input", "system": "system", **PAIR},
    },
    "lf_sharegpt_dpo": {"formatting": "sharegpt", "ranking": True, "columns": {**TURNS, **PAIR}},
    "kto": {"columns": {**PLAIN, "kto_tag": "label"}},
    "lf_kto": {"formatting": "sharegpt", "columns": {**TURNS, "kto_tag": "kto_tag"}},
}
"""Format → its entry in `dataset_info.json`, without the file."""


def prove(stage: str, *, parquet: bool = False) -> Callable[[Case], int]:
    """Load and train by a stage: `sft`, `dpo`, `rm` or `kto`."""

    def proof(case: Case) -> int:
        rows = case.rows()
        _put(case, parquet=parquet)
        words = _words(case, stage)
        _expect_labels(words, rows, stage)
        _put(case, parquet=parquet, short=True)
        _train(words)
        expect("adapter saved", (case.scratch / "out" / "adapter_model.safetensors").is_file(), True)
        state = json.loads((case.scratch / "out" / "trainer_state.json").read_bytes())
        expect_finite(step["loss"] for step in state["log_history"] if "loss" in step)
        return len(rows)

    return proof


def _put(case: Case, *, parquet: bool, short: bool = False) -> None:
    """All splits of a config as one file, and the entry that names it: a folder would do, in any order."""
    name = f"{'short' if short else 'all'}.{'parquet' if parquet else 'jsonl'}"
    if parquet:
        import pyarrow
        from pyarrow import parquet as files

        table = pyarrow.concat_tables(map(files.read_table, case.parquet()))
        kept = short_enough((len(str(row)) for row in table.to_pylist()), SHORT_CHARACTERS)
        files.write_table(table.take(kept) if short else table, case.scratch / name)
    else:
        lines = [line for path in case.jsonl() for line in path.read_bytes().splitlines(keepends=True)]
        kept = short_enough(map(len, lines), SHORT_CHARACTERS)
        (case.scratch / name).write_bytes(b"".join([lines[place] for place in kept] if short else lines))
    entry = {NAME: {"file_name": name, **ENTRIES[case.export.format]}}
    (case.scratch / "dataset_info.json").write_text(json.dumps(entry))


def _words(case: Case, stage: str) -> dict[str, Any]:
    """The arguments, as a YAML file for its command line would hold them."""
    return {
        "model_name_or_path": str(case.tiny / "lm"),
        "stage": stage,
        "do_train": True,
        "finetuning_type": "lora",
        "lora_target": "q_proj,v_proj",
        "lora_rank": 4,
        "dataset": NAME,
        "dataset_dir": str(case.scratch),
        "template": "chatml",
        "cutoff_len": power_of_two(_longest(case)),
        "output_dir": str(case.scratch / "out"),
        "overwrite_output_dir": True,
        "overwrite_cache": True,
        "max_steps": STEPS,
        "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": 1,
        "use_cpu": True,
        "report_to": "none",
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
    } | ({} if stage in {"sft", "rm"} else {"pref_beta": 0.1})


def _longest(case: Case) -> int:
    """Tokens that no row reaches: those of all that the longest row says, and some for its turns."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(case.tiny / "lm")
    return max(len(tokenizer(json.dumps(row, ensure_ascii=False))["input_ids"]) for row in case.rows()) + 64


def _expect_labels(words: dict[str, Any], rows: Any, stage: str) -> None:
    """What its loader makes of the file: as many rows, and the loss on the answers alone. It shuffles them."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from transformers import AutoTokenizer

    model, told, training, _, _ = get_train_args(dict(words))
    tokenizer = AutoTokenizer.from_pretrained(words["model_name_or_path"])
    template = get_template_and_fix_tokenizer(tokenizer, told)
    loader = "rm" if stage == "dpo" else stage
    made = get_dataset(template, model, told, training, stage=loader, tokenizer=tokenizer)["train_dataset"]
    expect("rows that the loader kept", len(made), len(rows))

    def learnt(ids: Iterable[int]) -> str:
        return str(tokenizer.decode([one for one in ids if one != IGNORED], clean_up_tokenization_spaces=False))

    if loader == "rm":
        read = [learnt(row["chosen_labels"]) + learnt(row["rejected_labels"]) for row in made]
        wanted = [_ended(row["chosen"]) + _ended(row["rejected"]) for row in rows]
    elif loader == "kto":
        read = [f"{bool(row['kto_tags'])} {learnt(row['labels'])}" for row in made]
        wanted = [f"{row['label' if 'label' in row else 'kto_tag']} {_ended(_answer(row))}" for row in rows]
    else:
        read = [learnt(row["labels"]) for row in made]
        wanted = [_ended(_answer(row)) for row in rows]
    expect_texts("answers", sorted(read), sorted(wanted))


def _answer(row: Mapping[str, Any]) -> Any:
    for column in ("completion", "output", "messages", "conversations"):
        if column in row:
            return row[column]
    raise AssertionError(f"No column of {', '.join(row)} answers.")


def _ended(turns: Any) -> str:
    """The text of the last turn, and how the chat template ends a turn."""
    if isinstance(turns, list):
        turns = turns[-1]
    if isinstance(turns, dict):
        turns = turns["content"] if "content" in turns else turns["value"]
    return f"{turns}{END_OF_TURN}\n"


def _train(words: dict[str, Any]) -> None:
    from llamafactory.train.tuner import run_exp

    run_exp(dict(words))


def stand_in(name: str) -> None:
    """Have a package that is imported and, for text, never used; there is no CPU build of it everywhere."""
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    sys.modules[name] = module


PROOFS: Mapping[tuple[str, str], Callable[[Case], int]] = {
    **{(form, "sft"): prove("sft") for form in ("sft_pc", "sft_chat", "alpaca", "sharegpt")},
    ("alpaca", "sft from Parquet"): prove("sft", parquet=True),
    **{(form, "dpo"): prove("dpo") for form in ("dpo", "lf_dpo_chat", "lf_alpaca_dpo", "lf_sharegpt_dpo")},
    **{(form, "rm"): prove("rm") for form in ("dpo", "lf_alpaca_dpo")},
    **{(form, "kto"): prove("kto") for form in ("kto", "lf_kto")},
}

if __name__ == "__main__":
    be_quiet()
    stand_in("torchaudio")
    run(PROOFS, "llamafactory")
