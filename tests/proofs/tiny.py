"""Tiny random models and tokenizers, made on the spot: what a proof trains, without a model from anywhere.

    python -m tests.proofs.tiny FOLDER

Two layers of 64 numbers each learn nothing in two steps; what counts is that the files reach them whole.
"""
# mypy: disable-error-code="import-not-found"

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

LONGEST = 32_768
END_OF_TURN = "<|im_end|>"
# ChatML, with the markers by which trainers find the answer.
CHAT = (
    "{%- for m in messages %}"
    "{%- if m.role == 'assistant' %}{{- '<|im_start|>assistant\\n' }}"
    "{% generation %}{{- m.content + '<|im_end|>\\n' }}{% endgeneration %}"
    "{%- else %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
_FILES, _CHARACTERS, _WORDS = 80, 40_000, 3_000


def main(folder: Path) -> None:
    """Write `lm`, `t5` and `bert` into a folder."""
    _llama(folder / "lm")
    _t5(folder / "t5")
    _bert(folder / "bert")


def _texts() -> Iterator[str]:
    """Python source, which is what most of the texts of an export are."""
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:_FILES]:
        yield path.read_text(encoding="utf-8", errors="replace")[:_CHARACTERS]


def _tokenizer(*special: str) -> Any:
    """Byte-level, so that every text comes back from it."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=_WORDS, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(_texts(), trainer)
    return made


def _llama(folder: Path) -> None:
    made = _tokenizer("<|endoftext|>", "<|im_start|>", END_OF_TURN, "<|pad|>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END_OF_TURN, pad_token="<|pad|>")
    tokenizer.chat_template = CHAT
    tokenizer.model_max_length = LONGEST
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LONGEST,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def _t5(folder: Path) -> None:
    made = _tokenizer("<pad>", "</s>", "<unk>")
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", made.token_to_id("</s>"))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", model_max_length=LONGEST
    )
    tokenizer.save_pretrained(folder)
    config = T5Config(
        vocab_size=len(tokenizer) + 64,  # room for words that are added to the vocabulary
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)


def _bert(folder: Path) -> None:
    made = _tokenizer("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=LONGEST,
    )
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=LONGEST,
    )
    BertModel(config).save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
