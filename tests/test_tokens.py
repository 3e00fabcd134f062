"""Token counts: the estimate, exact ones by a real tokenizer.json, and files that are made to do harm."""

import builtins
import json
import os
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from app import tokens
from app.errors import BadInputError, NotFoundError, TooLargeError, UnsupportedError
from app.examples import Dataset, Example, Value
from app.tokens import DEFAULT_BUDGETS, Budget, Part, counter_of, estimate, measure, parse_budget, read_tokenizer
from tests.checks.examples import VERSION_SCRIPT

Json = dict[str, Any]


def trained() -> Json:
    """A small vocabulary as a model has it: BPE over bytes, with a token that ends every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([VERSION_SCRIPT], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 0)])
    made: Json = json.loads(tokenizer.to_str())
    return made


SOUND = trained()


def as_bytes(**changed: object) -> bytes:
    return json.dumps(SOUND | changed).encode()


def example(dataset: str, **values: Value) -> Example:
    return Example(Dataset(*dataset.split("/")), "a", values, "r/1")


# ------------------------------------------------------------------------------------------------ the estimate


@pytest.mark.parametrize(
    ("n", "expected"), [(0, 0), (1, 1), (3, 1), (4, 2), (36, 10), (37, 11), (3_600_000, 1_000_000)]
)
def test_an_estimate_is_characters_over_3_6_rounded_up(n: int, expected: int) -> None:
    assert estimate("é" * n) == expected


@given(st.integers(0, 100_000))
def test_an_estimate_never_rounds_down(n: int) -> None:
    assert estimate("x" * n) == ceil(n * 10 / 36)


# ------------------------------------------------------------------------------------------------ exact counts


def test_a_counter_counts_what_the_model_would_be_given() -> None:
    library = Tokenizer.from_buffer(as_bytes())
    count = counter_of(as_bytes())

    for text in (VERSION_SCRIPT, "", "x", "漢字 🎉", "  \n"):
        assert count(text) == len(library.encode(text))
    assert count("") == 1


def test_the_same_bytes_give_the_same_counter_and_a_few_are_kept() -> None:
    first = counter_of(as_bytes())

    assert counter_of(as_bytes()) is first
    for n in range(10):
        counter_of(as_bytes(version="1.0", added_tokens=[*SOUND["added_tokens"], _added(f"<t{n}>", 400)]))
    assert len(tokens._counters) <= tokens._MOST_COUNTERS
    assert counter_of(as_bytes()).digest == first.digest


def _added(content: str, number: int) -> Json:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": number, "content": content, **flags}


@settings(max_examples=50)
@given(st.text())
def test_no_text_makes_a_counter_fail(text: str) -> None:
    assert counter_of(as_bytes())(text) >= 1


def test_half_a_character_is_counted_as_one_that_is_unknown() -> None:
    assert counter_of(as_bytes())("a\ud800b") == counter_of(as_bytes())("a?b")


def test_of_a_giant_text_the_tokens_are_estimated() -> None:
    text = "x" * (tokens.MOST_CHARACTERS + 1)

    assert counter_of(as_bytes())(text) == estimate(text)


def test_padding_truncation_and_chance_do_not_change_a_count() -> None:
    plain = counter_of(as_bytes())(VERSION_SCRIPT)
    padding = {
        "strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "</s>",
    }  # fmt: skip
    truncation = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    by_chance = SOUND["model"] | {"dropout": 0.9}

    changed = counter_of(as_bytes(padding=padding, truncation=truncation, model=by_chance))

    assert {changed(VERSION_SCRIPT) for _ in range(5)} == {plain}


def test_a_template_that_names_the_text_many_times_counts_it_once() -> None:
    many = processors.TemplateProcessing(single=" ".join(["$A"] * 50) + " </s>", special_tokens=[("</s>", 0)])
    library = Tokenizer.from_buffer(as_bytes())
    library.post_processor = many

    assert counter_of(library.to_str().encode())("x = 1") == counter_of(as_bytes())("x = 1")


# ------------------------------------------------------------------------------------------------ harmful files


def replacing(n: int) -> Json:
    steps = [normalizers.Replace("a", "aa") for _ in range(n)]
    made: Json = json.loads(normalizers.Sequence(steps).__getstate__())
    return made


def nested(n: int) -> Json:
    step = replacing(1)
    for _ in range(n):
        step = {"type": "Sequence", "normalizers": [step, *replacing(1)["normalizers"]]}
    return step


HARMFUL: dict[str, Callable[[], bytes]] = {
    "no bytes": lambda: b"",
    "no JSON": lambda: b"\xff\xfe\x00",
    "a list": lambda: b"[]",
    "something else": lambda: b'{"model_type": "t5"}',
    "deep": lambda: b"[" * 100_000,
    "deep model": lambda: as_bytes().replace(b'"BPE"', b"[" * 10_000),
    "half": lambda: as_bytes()[:-500],
    "a merge of nothing": lambda: as_bytes(model=SOUND["model"] | {"merges": [["nowhere", "to be"]]}),
    "unknown model": lambda: as_bytes(model={"type": "Magic"}),
    "doubling": lambda: as_bytes(normalizer=replacing(40)),
    "doubling, nested": lambda: as_bytes(normalizer=nested(20)),
    "a long insertion": lambda: as_bytes(normalizer={"type": "Prepend", "prepend": "x" * 5_000}),
    "a long token": lambda: as_bytes(added_tokens=[_added("x" * 2_000, 400)]),
    "an unknown expression": lambda: as_bytes(
        pre_tokenizer={"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated", "invert": False}
    ),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_file_that_is_no_tokenizer_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(BadInputError) as caught:
        counter_of(HARMFUL[name]())

    assert caught.value.message.startswith("This tokenizer.json ")
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    assert caught.value.where == "field tokenizer"


def test_rules_that_fail_on_a_text_are_an_error_of_the_file() -> None:
    backtracking = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    count = counter_of(as_bytes(pre_tokenizer=backtracking))

    with pytest.raises(BadInputError, match=r"fails on a text: .*retry-limit"):
        count("a" * 200 + "b")
    assert count("b") >= 1


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 10_000))
def test_damage_anywhere_is_refused_or_counts(damage: bytes, at: int) -> None:
    whole = as_bytes()
    at %= len(whole)
    with suppress(BadInputError):  # and nothing else
        assert counter_of(whole[:at] + damage + whole[at + len(damage) :])("x = 1") >= 0


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tokens, "MOST_BYTES", 100)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(as_bytes())

    for attempt in (lambda: counter_of(as_bytes()), lambda: read_tokenizer(path)):
        with pytest.raises(TooLargeError, match="100 is the most"):
            attempt()


def test_a_file_is_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(as_bytes())

    assert counter_of(read_tokenizer(path))("x") > 1


def test_what_is_no_file_is_refused_with_its_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(NotFoundError, match=r"absent.*No such file"):
        read_tokenizer(tmp_path / "absent")
    for name in ("pipe", ""):
        with pytest.raises(BadInputError, match="is no file"):
            read_tokenizer(tmp_path / name)


def test_without_the_extra_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    tokens._library.cache_clear()

    with pytest.raises(UnsupportedError, match=r"patchsift\[tokenizers\]"):
        counter_of(as_bytes(version="2.0"))


# ------------------------------------------------------------------------------------------------ budgets


@pytest.mark.parametrize("budget", [*DEFAULT_BUDGETS, Budget("llm", "Qwen", 1, None, 10_000_000, "qwen")])
def test_a_budget_comes_back_from_json(budget: Budget) -> None:
    assert parse_budget(json.loads(json.dumps(budget.as_json()))) == budget


def test_limits_may_be_absent() -> None:
    assert parse_budget({"role": "llm", "name": " Qwen "}) == Budget("llm", "Qwen")


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (None, "budgets"), ([], "budgets"), ({"role": "llm", "name": "x", "limit": 3}, "budgets"), ({1: 2}, "budgets"),
        ({"role": "gpt", "name": "x"}, "role"), ({"name": "x"}, "role"), ({"role": "llm"}, "name"),
        ({"role": "llm", "name": " "}, "name"), ({"role": "llm", "name": "a\nb"}, "name"),
        ({"role": "llm", "name": "x" * 101}, "name"), ({"role": "llm", "name": 7}, "name"),
        ({"role": "llm", "name": "x", "tokenizer": 7}, "tokenizer"),
        ({"role": "llm", "name": "x", "total_tokens": 0}, "total_tokens"),
        ({"role": "llm", "name": "x", "answer_tokens": True}, "answer_tokens"),
        ({"role": "llm", "name": "x", "question_tokens": "512"}, "question_tokens"),
        ({"role": "llm", "name": "x", "question_tokens": 1.5}, "question_tokens"),
        ({"role": "llm", "name": "x", "total_tokens": 10**9}, "total_tokens"),
    ],
)  # fmt: skip
def test_a_wrong_budget_is_refused_with_its_field(value: object, where: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_budget(value)

    assert caught.value.where == f"field {where}"
    assert caught.value.message.endswith(".")


def test_the_agent_s_own_limits_are_the_defaults() -> None:
    assert [(one.role, one.question_tokens, one.answer_tokens) for one in DEFAULT_BUDGETS] == [
        ("t5_spec", 1024, 512),
        ("divot5_refiner", 1024, None),
        ("divot5_unifier", 4096, 1024),
    ]


# ------------------------------------------------------------------------------------------------ measuring


def test_an_example_is_measured_against_the_models_of_its_role() -> None:
    row = example("t5_spec/spec/seq2seq", source="x" * 3_700, target="y" * 36)

    (found,) = measure(row, [*DEFAULT_BUDGETS, Budget("llm", "Qwen", 1, 1, 1)])

    assert found.question == Part("source", 1_028, 1_024)
    assert found.answer == Part("target", 10, 512)
    assert found.total == Part("source and target", 1_038, None)
    assert (found.over, found.is_exact) == ([Part("source", 1_028, 1_024)], False)


def test_the_longest_answer_counts() -> None:
    budget = Budget("llm", "Qwen", answer_tokens=5)
    row = example("llm/repair/preference", prompt="p", chosen="c" * 18, rejected="r" * 36)

    (found,) = measure(row, [budget])

    assert found.over == [Part("rejected", 10, 5)]


def test_a_hard_negative_is_an_answer_too() -> None:
    row = example("retriever/search/contrastive", anchor="a", positive="p", negatives=("n", "n" * 36))

    (found,) = measure(row, [Budget("retriever", "MiniLM", answer_tokens=9)])

    assert found.over == [Part("negative", 10, 9)]


def test_what_asks_nothing_has_no_question_and_features_have_no_tokens() -> None:
    budgets = [Budget("scorer", "s", 1, 1, 1), Budget("core_predictor", "c", 1, 1, 1)]

    (scored,) = measure(example("scorer/style/regression", text="t" * 36, score=0.5), budgets)
    (core,) = measure(example("core_predictor/core/classification", features={"a": 1}, core="LLMCore"), budgets)

    assert (scored.question, scored.answer, scored.total) == (None, Part("text", 10, 1), None)
    assert (core.question, core.answer, core.total, core.over) == (None, None, None, [])


def test_a_limit_is_met_by_as_many_tokens() -> None:
    (found,) = measure(
        example("llm/scaffold/sft", prompt="p" * 36, completion="c" * 36), [Budget("llm", "q", 10, 10, 20)]
    )

    assert found.over == []


def test_an_exact_counter_is_used_by_its_name() -> None:
    row = example("llm/scaffold/sft", prompt="p", completion=VERSION_SCRIPT)
    budgets = [Budget("llm", "a", tokenizer="mine"), Budget("llm", "b", tokenizer="gone"), Budget("llm", "c")]
    count = counter_of(as_bytes())

    exact, gone, estimated = measure(row, budgets, {"mine": count})

    assert exact.is_exact
    assert exact.answer == Part("completion", count(VERSION_SCRIPT), None)
    assert (gone.is_exact, estimated.is_exact) == (False, False)
    assert gone.answer == estimated.answer == Part("completion", estimate(VERSION_SCRIPT), None)
