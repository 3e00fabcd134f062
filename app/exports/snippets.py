"""Scripts that train from a folder of datasets, filled with its names: one a config, short, for one trainer. Pure.

A script reads the folder that it lies in and takes the model from the command line, so nothing in it is to be edited.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template

from app.examples import Split
from app.exports import seq2seq
from app.exports.folder_card import Config

_MNRL = {"loss": "MultipleNegativesRankingLoss"}
_WORDS = {"words": repr([*seq2seq.SENTINELS])}
_OF: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "sft_pc": ("sft", {"only_loss": "completion_only_loss"}),
    "sft_pc_chat": ("sft", {"only_loss": "completion_only_loss"}),
    "sft_chat": ("sft", {"only_loss": "assistant_only_loss"}),
    "dpo": ("dpo", {}),
    "dpo_chat": ("dpo", {}),
    "kto": ("kto", {}),
    "kto_chat": ("kto", {}),
    "reward": ("reward", {}),
    "reward_margin": ("reward", {}),
    "style_pair": ("reward", {}),
    "seq2seq": ("seq2seq", _WORDS),
    "style_score": ("regression", {}),
    "ret_pair": ("sentences", _MNRL),
    "ret_triplet": ("sentences", _MNRL),
    "ret_nneg": ("sentences", _MNRL),
    "ret_score": ("sentences", {"loss": "CoSENTLoss"}),
    "core_predictor": ("features", {}),
}
"""Format → which script trains from it, and what is filled in besides names and lengths."""

_SEARCH, _PLAIN = "ir", "sft_pc"


def write(configs: Sequence[Config]) -> dict[str, str]:
    """Path → script: `{"snippets/scaffold_sft_pc.py": "# Fine-tune on …"}`.

    A config without a train split has none, and neither has one that only other trainers take; those of a search
    benchmark share one, which measures.
    """
    made = {}
    for config in configs:
        name = config.run.form.name
        if name in _OF and Split.TRAIN in config.splits:
            text, more = _OF[name]
            made[f"snippets/{config.name}.py"] = _fill(text, config, more)
            if name == _PLAIN:
                made[f"snippets/{config.name}_unsloth.py"] = _fill("unsloth", config, {})
        elif name == _SEARCH:
            made[f"snippets/{_SEARCH}.py"] = _read("search")
    return made


def _fill(name: str, config: Config, more: Mapping[str, str]) -> str:
    lengths = config.lengths
    told = {"config": config.name, "max_length": str(lengths.max_length()), "longest": f"{lengths.at(1):,}"}
    return Template(_read(name)).substitute(told, **more)


def _read(name: str) -> str:
    return (files("app.exports") / "snippet_texts" / f"{name}.txt").read_text(encoding="utf-8")


def section(made: Mapping[str, str]) -> str:
    """The part of the card that shows one script of each kind and names the others."""
    shown: dict[str, list[str]] = {}
    for path, text in made.items():
        shown.setdefault(_kind(text), []).append(path)
    parts = ["## Scripts that train", "", "Each reads this folder by itself and takes the model from the command line."]
    for kind, paths in shown.items():
        others = ", ".join(f"`{path}`" for path in paths[1:])
        parts += ["", f"### {kind}", "", f"`{paths[0]}`{f', and alike {others}' if others else ''}:"]
        parts += ["", "```python", made[paths[0]].rstrip(), "```"]
    return "\n".join(parts)


def _kind(text: str) -> str:
    """What a script trains with: the class that it makes last."""
    known = (
        "FastLanguageModel.from_pretrained",
        "SFTTrainer", "DPOTrainer", "KTOTrainer", "RewardTrainer", "Seq2SeqTrainer", "SentenceTransformerTrainer",
        "InformationRetrievalEvaluator", "HistGradientBoostingClassifier",
    )  # fmt: skip
    found = next((name for name in known if f"{name}(" in text), "Trainer")
    return "unsloth" if found.startswith("Fast") else found
