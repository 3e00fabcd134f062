"""What whoever runs a trained model must know: the prompt that it was trained on, and how the agent comes to use it.

A model answers as it learnt to only where its prompt is built as the training prompts were, byte for byte. Pure.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.exports.folder_card import Config
from app.recipes.prompt import ABSENT, KINDS

PROMPT_TEMPLATE = "prompt_template.json"
GGUF = "GGUF.md"
SCHEMA = 1

_PLAIN = "{prompt}{completion}"
_CHATS = frozenset({"sft_chat", "sft_pc_chat", "dpo_chat", "kto_chat", "reward", "reward_margin"})


def prompt_template(configs: Sequence[Config], templates: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> str:
    """The text of `prompt_template.json`.

    Args:
        configs: of the folder.
        templates: as a release's manifest lists them: name, version, origin, label, sha256, path.
        texts: label of a template → its text.

    """
    told = {
        "schema": SCHEMA,
        "gap": "A name in braces; what fills a gap is put in as it is, and braces in it mean nothing.",
        "absent": ABSENT,
        "configs": {config.name: _layout(config) for config in configs if config.has_texts},
        "templates": {one["label"]: _template(one, texts[one["label"]]) for one in templates if one["label"] in texts},
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _layout(config: Config) -> dict[str, object]:
    """How a prompt of a config is laid out, and where its answer ends."""
    name, objective = config.run.form.name, config.run.dataset.objective
    templates = sorted(config.facts.templates)
    if objective == "seq2seq":
        return {"templates": templates, "input": "{source}", "stop": "eos_token", "chat_template": None}
    if not templates:
        return {"templates": [], "input": "the text alone", "stop": None, "chat_template": None}
    if name in _CHATS or name not in {"sft_pc", "dpo", "kto", "agent_native"}:
        turns = [{"role": "user", "content": "{prompt}"}]
        return {"templates": templates, "messages": turns, "stop": "end of turn", "chat_template": "the model's own"}
    return {"templates": templates, "text": _PLAIN, "stop": "eos_token", "chat_template": None}


def _template(one: Mapping[str, Any], text: str) -> dict[str, object]:
    form = KINDS.get(one["name"])
    gaps = {} if form is None else {name: meaning for name, meaning in form.gaps.items() if f"{{{name}}}" in text}
    return {"path": one["path"], "sha256": one["sha256"], "text": text, "gaps": gaps}


# ------------------------------------------------------------------------------------------------ in the agent

_KEYS: Mapping[str, tuple[str, str, str]] = {
    "llm": (
        "`llm_model_path`",
        "`models.agent_llm_gguf`; for single steps `models.repair_llm_gguf`, `infill_llm_gguf`, `operations_llm_gguf`",
        "a GGUF file",
    ),
    "scorer": (
        "`scorer_model_path`",
        "`models.planner_scorer_gguf`",
        "a GGUF file; the agent has it score plans, not patches, so a model from here serves your own ranking",
    ),
    "t5_spec": ("`t5_spec_model_path`", "`models.t5_spec_normalizer_dir`", "the folder that the script wrote; no GGUF"),
    "divot5_refiner": (
        "`divot5_refiner_model_path`",
        "`models.divot5_style_refiner_dir`",
        "the folder that the script wrote; no GGUF",
    ),
    "divot5_unifier": (
        "`divot5_unifier_model_path`",
        "`models.divot5_style_unifier_dir`",
        "the folder that the script wrote; no GGUF",
    ),
    "retriever": (
        "`sentence_transformer_model_path`",
        "`models.sentence_transformer_model`",
        "the folder that the script wrote; no GGUF",
    ),
    "core_predictor": (
        "none",
        "`models.core_predictor_model`",
        "a joblib file; but its planner reads `core_predictor_model_path`, so that the key has no effect yet",
    ),
}
"""Role → the name in the agent's guide, the key in its `config.yaml`, and what to point it at."""

_STEPS = """\
# From a trained model to the agent

## Merge, convert, quantise

Training leaves an adapter beside the weights that it was trained on. llama.cpp converts whole models, so merge first:

```python
# python merge.py ADAPTER MERGED
import sys

from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

adapter, merged = sys.argv[1:]
AutoPeftModelForCausalLM.from_pretrained(adapter).merge_and_unload().save_pretrained(merged)
AutoTokenizer.from_pretrained(adapter).save_pretrained(merged)
```

```sh
python llama.cpp/convert_hf_to_gguf.py MERGED --outfile model-f16.gguf --outtype f16
llama.cpp/build/bin/llama-quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M
```

`convert_hf_to_gguf.py` fails on a folder with an adapter alone, for want of its `config.json`. To keep the adapter
apart: `python llama.cpp/convert_lora_to_gguf.py ADAPTER --base BASE_MODEL --outfile adapter.gguf`, and then
`--lora adapter.gguf` beside the base model's GGUF.

Build each prompt as `prompt_template.json` says, byte for byte. A model trained on plain text (`…_sft_pc`, `…_dpo`,
`…_kto`) is asked by completion, without a chat template; one trained on turns is asked by chat.

## Settings of the agent

Its guide calls the models by other names than its `config.yaml`. What counts is the key.

| role | in the guide | key in `config.yaml` | point it at |
|---|---|---|---|
"""


def gguf(configs: Sequence[Config]) -> str:
    """The text of `GGUF.md`: the way to a model file, and the settings for the roles of this folder."""
    roles = dict.fromkeys(config.run.dataset.role for config in configs)
    return _STEPS + "".join(f"| {role} | {' | '.join(_KEYS[role])} |\n" for role in roles)
