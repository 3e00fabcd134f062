"""Proofs with TRL, PEFT, the trainers of transformers and Sentence Transformers, and scikit-learn.

Two assertions stand in each: no row is lost, and what the loss is on, decoded, is exactly the answer and its end.
They look at what the collator hands to the model, after whatever a trainer cuts.
"""
# mypy: disable-error-code="import-not-found,import-untyped"

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    DataCollatorWithPadding,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
)
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from tests.proofs.harness import (
    BATCH,
    SHORT_TOKENS,
    STEPS,
    Case,
    be_quiet,
    expect,
    expect_finite,
    expect_texts,
    power_of_two,
    run,
    short_enough,
    size_of,
)
from tests.proofs.tiny import END_OF_TURN

IGNORED = -100
Row = Mapping[str, Any]
ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)


# ------------------------------------------------------------------------------------------------ what they share


def arguments(case: Case) -> dict[str, Any]:
    """Two steps on the CPU; what differs from the defaults would not run there."""
    return {
        "output_dir": str(case.scratch),
        "max_steps": STEPS,
        "per_device_train_batch_size": BATCH,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "learning_rate": 1e-3,
    }


def trl_arguments(case: Case, longest: int) -> dict[str, Any]:
    """TRL's, with a length that no row reaches: its default would drop or cut the long ones, and not say so."""
    return arguments(case) | {"gradient_checkpointing": False, "max_length": power_of_two(longest + 8)}


def language_model(case: Case) -> tuple[Any, Any]:
    """The tiny model and its tokenizer."""
    place = case.tiny / "lm"
    return AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32), AutoTokenizer.from_pretrained(place)


def measure(tokenizer: Any, texts: Iterable[str]) -> int:
    """Tokens of the longest text."""
    return max(len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"])


def finish(trainer: Any, n_rows: int) -> int:
    """Train, and check that no row was lost on the way and that each step had a loss."""
    expect("rows that the trainer kept", len(trainer.train_dataset), n_rows)
    short = short_enough(map(size_of, trainer.train_dataset), SHORT_TOKENS)
    if len(short) < n_rows:
        trainer.train_dataset = trainer.train_dataset.select(short)
    trainer.train()
    expect_finite(step["loss"] for step in trainer.state.log_history if "loss" in step)
    return n_rows


def batches(trainer: Any) -> Iterable[Any]:
    """What the collator makes of each row alone."""
    return (trainer.data_collator([row]) for row in trainer.train_dataset)


def decode(tokenizer: Any, ids: Iterable[int]) -> str:
    return str(tokenizer.decode([int(one) for one in ids], clean_up_tokenization_spaces=False))


def masked(tokenizer: Any, ids: Any, mask: Any) -> str:
    """The text of the tokens where the mask says so."""
    return decode(tokenizer, ids[mask.bool()])


def text_of(turns: Any) -> str:
    """What stands in a text, or the text of the last turn of a conversation."""
    return turns if isinstance(turns, str) else str(turns[-1]["content"])


def ended(turns: Any) -> str:
    """What a model must learn to write: the text and its end, as the chat template or the trainer writes it."""
    return text_of(turns) + END_OF_TURN + ("" if isinstance(turns, str) else "\n")


def rendered(tokenizer: Any, turns: Any) -> str:
    return turns if isinstance(turns, str) else str(tokenizer.apply_chat_template(turns, tokenize=False))


# ------------------------------------------------------------------------------------------------ fine-tuning


def sft(case: Case, rows: Any, answers: list[str], **more: Any) -> int:
    """Train on rows; the loss must be on exactly these answers."""
    model, tokenizer = language_model(case)
    longest = measure(tokenizer, (_whole(tokenizer, row) for row in rows))
    config = SFTConfig(**trl_arguments(case, longest), **more.pop("config", {}))
    trainer = SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer, **more)
    labels = (batch["labels"][0] for batch in batches(trainer))
    expect_texts("answer learnt", (decode(tokenizer, ids[ids != IGNORED]) for ids in labels), answers)
    finish(trainer, len(rows))
    trainer.save_model(str(case.scratch))
    return len(rows)


def _whole(tokenizer: Any, row: Row) -> str:
    if "messages" in row:
        return rendered(tokenizer, row["messages"])
    if isinstance(row["prompt"], str):
        return str(row["prompt"] + row["completion"])
    return rendered(tokenizer, row["prompt"] + row["completion"])


def sft_completion(case: Case) -> int:
    """Prompt and completion, as texts or as turns."""
    rows = case.rows()
    return sft(case, rows, [ended(row["completion"]) for row in rows])


def sft_lora(case: Case) -> int:
    """The same with an adapter, which must be there afterwards."""
    from peft import LoraConfig

    rows = case.rows()
    adapter = LoraConfig(r=4, target_modules=["q_proj", "v_proj"])
    n_rows = sft(case, rows, [ended(row["completion"]) for row in rows], peft_config=adapter)
    expect("adapter saved", (case.scratch / "adapter_model.safetensors").is_file(), True)
    return n_rows


def sft_answers(case: Case) -> int:
    """A conversation, with the loss on the answer alone."""
    rows = case.rows()
    config = {"assistant_only_loss": True}
    return sft(case, rows, [ended(row["messages"]) for row in rows], config=config)


def sft_conversations(case: Case) -> int:
    """A conversation, as the trainer takes it by default: with the loss on all of it."""
    rows = case.rows()
    _, tokenizer = language_model(case)
    return sft(case, rows, [rendered(tokenizer, row["messages"]) for row in rows])


def sft_alpaca(case: Case) -> int:
    """Alpaca's columns by Alpaca's template, which is what trainers that know them do."""
    rows = case.rows()
    answers = [row["output"] + END_OF_TURN for row in rows]
    shaped = rows.map(
        lambda row: {"prompt": ALPACA.format(**row), "completion": row["output"]}, remove_columns=rows.column_names
    )
    return sft(case, shaped, answers)


def sft_agent(case: Case) -> int:
    """Read as the agent's own script reads: a line at a time, by its two keys; then trained as it means to."""
    from datasets import Dataset

    read = []
    for path in case.jsonl():
        with path.open(encoding="utf-8") as lines:
            read += [json.loads(line) for line in lines]
    expect("keys", {tuple(row) for row in read}, {("prompt", "completion")})
    expect("lines", len(read), case.count())
    return sft(case, Dataset.from_list(read), [row["completion"] + END_OF_TURN for row in read])


# ------------------------------------------------------------------------------------------------ preferences


def dpo(case: Case) -> int:
    """Prompt, chosen, rejected."""
    rows = case.rows()
    model, tokenizer = language_model(case)
    longest = measure(tokenizer, chain.from_iterable(_both(tokenizer, row) for row in rows))
    trainer = DPOTrainer(
        model=model, args=DPOConfig(**trl_arguments(case, longest)), train_dataset=rows, processing_class=tokenizer
    )
    made = [
        [masked(tokenizer, ids, mask) for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)]
        for batch in batches(trainer)
    ]
    expect_texts("chosen", (chosen for chosen, _ in made), (ended(row["chosen"]) for row in rows))
    expect_texts("rejected", (rejected for _, rejected in made), (ended(row["rejected"]) for row in rows))
    return finish(trainer, len(rows))


def _both(tokenizer: Any, row: Row) -> list[str]:
    prompt = row.get("prompt")
    return [rendered(tokenizer, prompt + row[side] if prompt else row[side]) for side in ("chosen", "rejected")]


def kto(case: Case) -> int:
    """Prompt, completion, label; rows are taken in the order of the file, so it comes shuffled."""
    rows = case.rows()
    model, tokenizer = language_model(case)
    longest = 2 * measure(tokenizer, (_whole(tokenizer, row) for row in rows))  # its other half is another's answer
    trainer = KTOTrainer(
        model=model, args=KTOConfig(**trl_arguments(case, longest)), train_dataset=rows, processing_class=tokenizer
    )
    made = list(batches(trainer))
    answers = (masked(tokenizer, batch["input_ids"][0], batch["completion_mask"][0]) for batch in made)
    expect_texts("answer", answers, (ended(row["completion"]) for row in rows))
    expect("labels", [bool(batch["label"][0]) for batch in made], list(rows["label"]))
    return finish(trainer, len(rows))


def reward(case: Case) -> int:
    """Two conversations, or two texts with or without a prompt; the margin too, where there is one."""
    rows = case.rows()
    _, tokenizer = language_model(case)
    model = AutoModelForSequenceClassification.from_pretrained(case.tiny / "lm", num_labels=1, dtype=torch.float32)
    longest = measure(tokenizer, chain.from_iterable(_both(tokenizer, row) for row in rows))
    trainer = RewardTrainer(
        model=model, args=RewardConfig(**trl_arguments(case, longest)), train_dataset=rows, processing_class=tokenizer
    )
    made = list(batches(trainer))
    for place, side in enumerate(("chosen", "rejected")):
        read = (masked(tokenizer, batch["input_ids"][place], batch["attention_mask"][place]) for batch in made)
        expect_texts(side, read, (_judged(tokenizer, row, side) for row in rows))
    if "margin" in rows.column_names:
        read_margins = torch.cat([batch["margin"] for batch in made])
        expect("margins", torch.allclose(read_margins, torch.tensor(rows["margin"][:], dtype=torch.float)), True)
    return finish(trainer, len(rows))


def _judged(tokenizer: Any, row: Row, side: str) -> str:
    if isinstance(row[side], str):
        return str((row.get("prompt") or "") + row[side] + END_OF_TURN)
    return rendered(tokenizer, row[side])


# ------------------------------------------------------------------------------------------------ texts to texts


def seq2seq(case: Case) -> int:
    """Source and target."""
    return _seq2seq(case, "target", ())


def seq2seq_flat(case: Case) -> int:
    """Source and the target that a vocabulary without line ends and braces can say, its words added to it."""
    rows = case.rows()
    words = sorted({word for text in rows["target_flat"] for word in _words(text)})
    return _seq2seq(case, "target_flat", words)


def _words(text: str) -> Iterable[str]:
    return (f"<{part.split('>')[0]}>" for part in text.split("<")[1:] if ">" in part)


def _seq2seq(case: Case, column: str, words: Iterable[str]) -> int:
    rows = case.rows()
    tokenizer = AutoTokenizer.from_pretrained(case.tiny / "t5")
    model = AutoModelForSeq2SeqLM.from_pretrained(case.tiny / "t5")
    tokenizer.add_tokens(list(words))
    model.resize_token_embeddings(len(tokenizer))
    encoded = rows.map(
        lambda batch: tokenizer(batch["source"], text_target=batch[column]),
        batched=True,
        remove_columns=rows.column_names,
    )
    config = Seq2SeqTrainingArguments(**arguments(case), predict_with_generate=True, generation_max_length=8)
    trainer = Seq2SeqTrainer(
        model=model,
        args=config,
        train_dataset=encoded,
        eval_dataset=encoded.select(range(1)),
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        processing_class=tokenizer,
    )
    made = list(batches(trainer))
    ends = tokenizer.eos_token
    for what, name in (("input_ids", "source"), ("labels", column)):
        read = (decode(tokenizer, batch[what][0]) for batch in made)
        expect_texts(name, read, (text + ends for text in rows[name]))
    finish(trainer, len(rows))
    trainer.evaluate()
    return len(rows)


# ------------------------------------------------------------------------------------------------ scores


def regression(case: Case) -> int:
    """A text and a score from 0 to 1."""
    rows = case.rows()
    tokenizer = AutoTokenizer.from_pretrained(case.tiny / "bert")
    model = AutoModelForSequenceClassification.from_pretrained(
        case.tiny / "bert", num_labels=1, problem_type="regression"
    )
    encoded = rows.map(
        lambda batch: {**tokenizer(batch["text"]), "labels": batch["score"]},
        batched=True,
        remove_columns=rows.column_names,
    )
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**arguments(case)),
        train_dataset=encoded,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    made = list(batches(trainer))
    read = (decode(tokenizer, batch["input_ids"][0]) for batch in made)
    expect_texts("text", read, (f"[CLS]{text}[SEP]" for text in rows["text"]))
    scores = torch.cat([batch["labels"] for batch in made])
    expect("scores", torch.allclose(scores, torch.tensor(rows["score"][:], dtype=scores.dtype)), True)
    return finish(trainer, len(rows))


def scikit(case: Case) -> int:
    """Features that are known before the run, and the core that succeeded."""
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = case.rows()
    [found] = case.folder.rglob("features.json")
    told = json.loads(found.read_bytes())
    names, target = [one["name"] for one in told["features"]], told["target"]["name"]
    expect("columns", rows.column_names, ["id", *names, target])
    frame = rows.to_pandas()
    model = HistGradientBoostingClassifier(max_iter=STEPS).fit(frame[names], frame[target])
    expect("rows predicted", len(model.predict(frame[names])), len(rows))
    expect("nulls", int(pd.isna(frame).sum().sum()), 0)
    expect("classes", set(model.classes_) <= set(told["target"]["values"]), True)
    return len(rows)


# ------------------------------------------------------------------------------------------------ search


def encoder(case: Case) -> Any:
    """A sentence model of the tiny encoder."""
    from sentence_transformers import SentenceTransformer, models

    words = models.Transformer(str(case.tiny / "bert"))
    return SentenceTransformer(modules=[words, models.Pooling(words.get_word_embedding_dimension())], device="cpu")


def sentences(columns: tuple[str, ...], loss: str) -> Callable[[Case], int]:
    """Train with a loss on exactly these columns, in this order; `negative_…` stands for as many as there are."""

    def prove(case: Case) -> int:
        from sentence_transformers import (
            SentenceTransformerTrainer,
            SentenceTransformerTrainingArguments,
            losses,
        )

        rows = case.rows()
        wanted = [name for name in columns if name != "negative_…"]
        if "negative_…" in columns:
            wanted += [f"negative_{n}" for n in range(1, len(rows.column_names) - len(wanted) + 1)]
        expect("columns", rows.column_names, wanted)
        model = encoder(case)
        model.max_seq_length = power_of_two(max(size_of(row) for row in rows) * 3)
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(**arguments(case)),
            train_dataset=rows,
            loss=getattr(losses, loss)(model),
        )
        _expect_read(trainer, rows, model.tokenizer)
        return finish(trainer, len(rows))

    return prove


def _expect_read(trainer: Any, rows: Any, tokenizer: Any) -> None:
    """Every text must reach the model whole, in its own place."""
    texts = [name for name in rows.column_names if name != "score"]
    made = [trainer.data_collator([row]) for row in rows]
    for place, name in enumerate(texts):
        keys = [key for key in made[0] if key.endswith("input_ids")]
        expect("texts a row", len(keys), len(texts))
        read = (decode(tokenizer, batch[keys[place]][0]) for batch in made)
        expect_texts(name, read, (f"[CLS]{text}[SEP]" for text in rows[name]))


def cross_encoder(case: Case) -> int:
    """The same pairs and scores for a model that reads both texts at once."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

    rows = case.rows()
    model = CrossEncoder(str(case.tiny / "bert"), num_labels=1, device="cpu")
    trainer = CrossEncoderTrainer(
        model=model,
        args=CrossEncoderTrainingArguments(**arguments(case)),
        train_dataset=rows,
        loss=BinaryCrossEntropyLoss(model),
    )
    return finish(trainer, len(rows))


def search(case: Case) -> int:
    """A search benchmark: every judgement leads to a question and to a text, and the evaluator takes all three."""
    from sentence_transformers.evaluation import InformationRetrievalEvaluator

    corpus, queries, judged = (case.rows(name) for name in ("ir_corpus", "ir_queries", "ir_qrels"))
    texts = {row["_id"]: f"{row['title']}\n{row['text']}" for row in corpus}
    asked = {row["_id"]: row["text"] for row in queries}
    relevant: dict[str, set[str]] = {}
    for row in judged:
        expect("question known", row["query-id"] in asked, True)
        expect("text known", row["corpus-id"] in texts, True)
        relevant.setdefault(row["query-id"], set()).add(row["corpus-id"])
    expect("questions judged", set(relevant), set(asked))
    model = encoder(case)
    model.max_seq_length = 512  # what an encoder reads of a long text
    found = InformationRetrievalEvaluator(asked, texts, relevant, name="export", batch_size=BATCH)(model)
    expect("measured", "export_cosine_ndcg@10" in found, True)
    return len(corpus) + len(queries) + len(judged)


# ------------------------------------------------------------------------------------------------ hosted services


def hosted(case: Case) -> int:
    """No service can be asked from here, so each line is held against what OpenAI and Together say they accept.

    OpenAI: `input` with messages that end with the user's, and no key but `messages`, `tools`, `parallel_tool_calls`.
    Both: the outputs are lists of exactly one message of the assistant, with a text, and they differ.
    """
    n_rows = 0
    for path in case.jsonl():
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
            row = json.loads(line)
            expect("keys", [*row], ["input", "preferred_output", "non_preferred_output"])
            expect("keys of the input", {*row["input"]} - {"messages", "tools", "parallel_tool_calls"}, set())
            expect("tools", row["input"]["tools"], [])
            messages = row["input"]["messages"]
            _expect_messages(messages)
            expect("who speaks last", messages[-1]["role"], "user")
            for side in ("preferred_output", "non_preferred_output"):
                _expect_messages(row[side])
                expect(f"roles of {side}", [one["role"] for one in row[side]], ["assistant"])
            expect("outputs that differ", row["preferred_output"] != row["non_preferred_output"], True)
            n_rows += 1
    expect("rows", n_rows, case.count())
    return n_rows


def _expect_messages(messages: list[Row]) -> None:
    for one in messages:
        expect("keys of a message", sorted(one), ["content", "role"])
        expect("role known", one["role"] in {"system", "user", "assistant"}, True)
        expect("a text that is not blank", isinstance(one["content"], str) and bool(one["content"].strip()), True)


PAIR, TRIPLET = ("anchor", "positive"), ("anchor", "positive", "negative")
SCORED = ("sentence1", "sentence2", "score")
MNRL = "MultipleNegativesRankingLoss"
PROOFS: Mapping[tuple[str, str], Callable[[Case], int]] = {
    ("sft_pc", "SFTTrainer"): sft_completion,
    ("sft_pc", "SFTTrainer + LoRA"): sft_lora,
    ("sft_pc_chat", "SFTTrainer"): sft_completion,
    ("sft_chat", "SFTTrainer"): sft_answers,
    ("sft_chat", "SFTTrainer, whole text"): sft_conversations,
    ("alpaca", "SFTTrainer"): sft_alpaca,
    ("agent_native", "SFTTrainer"): sft_agent,
    ("dpo", "DPOTrainer"): dpo,
    ("dpo", "RewardTrainer"): reward,
    ("dpo_chat", "DPOTrainer"): dpo,
    ("kto", "KTOTrainer"): kto,
    ("kto_chat", "KTOTrainer"): kto,
    ("reward", "RewardTrainer"): reward,
    ("reward_margin", "RewardTrainer"): reward,
    ("style_pair", "RewardTrainer"): reward,
    ("seq2seq", "Seq2SeqTrainer"): seq2seq,
    ("seq2seq", "Seq2SeqTrainer, flat"): seq2seq_flat,
    ("style_score", "Trainer, regression"): regression,
    ("ret_pair", "SentenceTransformerTrainer, MNRL"): sentences(PAIR, MNRL),
    ("ret_triplet", "SentenceTransformerTrainer, MNRL"): sentences(TRIPLET, MNRL),
    ("ret_triplet", "SentenceTransformerTrainer, triplet"): sentences(TRIPLET, "TripletLoss"),
    ("ret_nneg", "SentenceTransformerTrainer, MNRL"): sentences((*PAIR, "negative_…"), MNRL),
    ("ret_score", "SentenceTransformerTrainer, CoSENT"): sentences(SCORED, "CoSENTLoss"),
    ("ret_score", "SentenceTransformerTrainer, cosine"): sentences(SCORED, "CosineSimilarityLoss"),
    ("ret_score", "CrossEncoderTrainer"): cross_encoder,
    ("ir", "InformationRetrievalEvaluator"): search,
    ("openai_dpo", "schema of hosted services"): hosted,
    ("core_predictor", "scikit-learn"): scikit,
}

if __name__ == "__main__":
    be_quiet()
    run(PROOFS, "trl")
