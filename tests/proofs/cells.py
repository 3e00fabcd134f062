"""What is proved: which consumers take which format. Standard library only, since every environment imports it.

A cell is one dataset in one format with one consumer. A format that is not named here makes a cell that fails, so that
none is added without its proof.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

OK, FAILED, NOT_RUN = "ok", "failed", "not run"


class Environment(NamedTuple):
    """A set of packages that get along: the module that runs its proofs, and the packages whose versions count."""

    module: str
    packages: tuple[str, ...]


ENVIRONMENTS: Mapping[str, Environment] = {
    "trl": Environment(
        "tests.proofs.with_trl",
        ("torch", "transformers", "datasets", "trl", "peft", "sentence-transformers", "scikit-learn", "pyarrow"),
    ),
    "llamafactory": Environment(
        "tests.proofs.with_llamafactory", ("torch", "transformers", "datasets", "trl", "peft", "llamafactory")
    ),
    "axolotl": Environment("tests.proofs.with_axolotl", ("torch", "transformers", "datasets", "trl", "axolotl")),
}

SCRIPT, SCRIPTED = "script of the folder", "trl"
"""The folder's own script for a dataset, run as it lies there, and the environment that it is run in."""

LOAD = "datasets"
"""Every config is loaded, file by file, in each environment: each has another version of `datasets`."""

PROOFS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sft_pc": {"trl": ("SFTTrainer", "SFTTrainer + LoRA"), "llamafactory": ("sft",), "axolotl": ("sft",)},
    "sft_pc_chat": {"trl": ("SFTTrainer",)},
    "sft_chat": {
        "trl": ("SFTTrainer", "SFTTrainer, whole text"),
        "llamafactory": ("sft",),
        "axolotl": ("sft", "sft from Parquet"),
    },
    "alpaca": {
        "trl": ("SFTTrainer",),
        "llamafactory": ("sft", "sft from Parquet"),
        "axolotl": ("sft",),
    },
    "sharegpt": {"llamafactory": ("sft",), "axolotl": ("sft",)},
    "agent_native": {"trl": ("SFTTrainer",)},
    "dpo": {"trl": ("DPOTrainer", "RewardTrainer"), "llamafactory": ("dpo", "rm"), "axolotl": ("dpo",)},
    "dpo_chat": {"trl": ("DPOTrainer",), "axolotl": ("dpo",)},
    "lf_dpo_chat": {"llamafactory": ("dpo",), "axolotl": ("dpo",)},
    "lf_alpaca_dpo": {"llamafactory": ("dpo", "rm")},
    "lf_sharegpt_dpo": {"llamafactory": ("dpo",)},
    "openai_dpo": {"trl": ("schema of hosted services",)},
    "kto": {"trl": ("KTOTrainer",), "llamafactory": ("kto",), "axolotl": ("kto",)},
    "kto_chat": {"trl": ("KTOTrainer",)},
    "lf_kto": {"llamafactory": ("kto",)},
    "reward": {"trl": ("RewardTrainer",), "axolotl": ("dpo",)},
    "reward_margin": {"trl": ("RewardTrainer",)},
    "ax_bt": {"axolotl": ("reward",)},
    "ax_io": {"axolotl": ("sft",)},
    "seq2seq": {"trl": ("Seq2SeqTrainer", "Seq2SeqTrainer, flat")},
    "style_score": {"trl": ("Trainer, regression",)},
    "style_pair": {"trl": ("RewardTrainer",)},
    "ret_pair": {"trl": ("SentenceTransformerTrainer, MNRL",)},
    "ret_triplet": {"trl": ("SentenceTransformerTrainer, MNRL", "SentenceTransformerTrainer, triplet")},
    "ret_nneg": {"trl": ("SentenceTransformerTrainer, MNRL",)},
    "ret_score": {
        "trl": ("SentenceTransformerTrainer, CoSENT", "SentenceTransformerTrainer, cosine", "CrossEncoderTrainer")
    },
    "ir": {"trl": ("InformationRetrievalEvaluator",)},
    "core_predictor": {"trl": ("scikit-learn",)},
}
"""Format → environment → what trains with it there."""

COLUMNS: Mapping[str, str] = {
    "sft_pc": "id prompt completion",
    "sft_pc_chat": "id prompt completion",
    "sft_chat": "id messages",
    "alpaca": "id instruction input output system",
    "sharegpt": "id conversations system",
    "agent_native": "prompt completion",
    "dpo": "id prompt chosen rejected",
    "dpo_chat": "id prompt chosen rejected",
    "lf_dpo_chat": "id messages chosen rejected",
    "lf_alpaca_dpo": "id instruction input system chosen rejected",
    "lf_sharegpt_dpo": "id conversations system chosen rejected",
    "openai_dpo": "input preferred_output non_preferred_output",
    "kto": "id prompt completion label",
    "kto_chat": "id prompt completion label",
    "lf_kto": "id conversations system kto_tag",
    "reward": "id chosen rejected",
    "reward_margin": "id chosen rejected margin",
    "ax_bt": "id system input chosen rejected",
    "ax_io": "id segments",
    "seq2seq": "id source target target_flat",
    "style_score": "id text score",
    "style_pair": "id chosen rejected margin",
    "ret_pair": "anchor positive",
    "ret_triplet": "anchor positive negative",
    "ret_score": "sentence1 sentence2 score",
    "ir_corpus": "_id title text",
    "ir_queries": "_id text",
    "ir_qrels": "query-id corpus-id score",
}
"""Format, or config of a format with several → its columns in order, said once more than in the program: a stray one
trains something else, and no trainer says so."""


def columns_of(form: str, config: str, found: list[str]) -> list[str]:
    """The columns that a config must have; those that hang on the rows are taken as found and checked by the proof."""
    told = COLUMNS.get(config, COLUMNS.get(form))
    return found if told is None else told.split()


@dataclass(frozen=True)
class Export:
    """One dataset in one format, on disk.

    Attributes:
        dataset: `llm/scaffold/sft`.
        format: `sft_pc`.
        folder: where it lies.
        configs: config → split → rows, as the export's own manifest counts them.
        why: in place of a folder, why there is none.
        failed: whether that is a failure.
    """

    dataset: str
    format: str
    folder: str = ""
    configs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    why: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Cell:
    """One line of the table: `Cell("trl", "SFTTrainer", "llm/scaffold/sft", "sft_pc", 0)`; `export` is its number."""

    environment: str
    proof: str
    dataset: str
    format: str
    export: int
    result: str = ""
    rows: int = 0
    seconds: float = 0.0
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def plan(exports: list[Export], environments: list[str]) -> list[Cell]:
    """The cells of these environments; what none of them can prove has its line too."""
    return [cell for number, export in enumerate(exports) for cell in _cells(number, export, environments)]


def _cells(number: int, export: Export, environments: list[str]) -> list[Cell]:
    def cell(environment: str, proof: str, result: str = "", why: str = "") -> Cell:
        return Cell(environment, proof, export.dataset, export.format, number, result, why=why)

    if export.why:
        return [cell("-", "patchsift export", FAILED if export.failed else NOT_RUN, export.why)]
    known = PROOFS.get(export.format)
    if known is None:
        return [cell("-", "-", FAILED, "No proof is known for this format; add it to tests/proofs/cells.py.")]
    made = [cell(environment, proof) for environment in environments for proof in (LOAD, *known.get(environment, ()))]
    if not any(environment in known for environment in environments):
        made.append(cell("-", "-", NOT_RUN, f"Trained with by {', '.join(known)}: make prove-exports-all."))
    return made
