"""What formats have in common: types in words, safe texts, flat texts, the order by digest, and the first look."""

import hashlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.examples import Dataset, Split
from app.exports import LEFT_OUT, Run, get_format, look
from app.exports.core_predictor import features
from app.exports.order import by_digest
from app.exports.seq2seq import INVERSE, SENTINELS, flatten, unflatten
from app.exports.shape import ListOf, Scalar, Struct, is_unsafe, made_safe
from app.recipes.core_predictor import FEATURES
from tests.exports.test_formats import hostile

SEARCH = Dataset("retriever", "search", "contrastive")
SFT = Dataset("llm", "scaffold", "sft")


def test_a_type_says_its_name_as_arrow_does() -> None:
    kind = ListOf(Struct((("role", Scalar.STRING), ("weights", ListOf(Scalar.FLOAT64)))))
    assert str(kind) == "list<struct<role: string, weights: list<float64>>>"


# ------------------------------------------------------------------------------------------------ safe texts


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("", ("", 0)),
        ("é\u2028\U0001f600", ("é\u2028\U0001f600", 0)),
        ("a\x00b\x00", ("a\ufffdb\ufffd", 2)),
        ("\ud83d", ("\ufffd", 1)),
        ("\ud800x\udfff\x00", ("\ufffdx\ufffd\ufffd", 3)),
    ],
)
def test_a_character_that_no_file_should_hold_is_replaced_and_counted(text: str, safe: tuple[str, int]) -> None:
    assert made_safe(text) == safe


@given(hostile())
def test_a_safe_text_is_safe_and_as_long_as_it_was(text: str) -> None:
    safe, n = made_safe(text)
    assert not is_unsafe(safe)
    assert len(safe) == len(text)
    assert n == sum(one == "\x00" or "\ud800" <= one <= "\udfff" for one in text)
    assert (safe == text) is (n == 0)


def test_a_run_counts_what_it_made_safe() -> None:
    run = Run(get_format("sft_pc"), SFT)
    (made,) = run.rows({"id": "1", "prompt": "a\x00\n", "completion": "b\x00\ud800"}, Split.TRAIN)
    assert made.row == {"id": "1", "prompt": "a\ufffd\n", "completion": "b\ufffd\ufffd"}
    assert (run.n_safe_rows, run.n_safe_characters) == (1, 3)
    negatives = Run(get_format("ret_triplet"), SEARCH)
    rows = negatives.rows({"anchor": "a", "positive": "p", "negatives": ["n\x00", "m"]}, Split.TRAIN)
    assert [one.row["negative"] for one in rows] == ["n\ufffd", "m"]
    assert (negatives.n_safe_rows, negatives.n_safe_characters) == (1, 1)


# ------------------------------------------------------------------------------------------------ left out


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        ("sft_pc", {"prompt": "p\n", "completion": " \n"}, "empty"),
        ("sft_pc", {"prompt": "p", "completion": "c"}, "prompt_open"),
        ("sft_chat", {"prompt": "p", "completion": "c"}, None),
        ("dpo", {"prompt": "p\n", "chosen": "c\n", "rejected": "c"}, "same_text"),
        ("dpo", {"prompt": "p\n", "chosen": "  c", "rejected": "c"}, None),
        ("reward", {"prompt": "p", "chosen": "c", "rejected": "r", "margin": None}, None),
        ("reward_margin", {"prompt": "p", "chosen": "c", "rejected": "r", "margin": None}, "no_margin"),
        ("style_score", {"text": "t", "score": 1.5}, "score_out_of_range"),
        ("ret_triplet", {"anchor": "a", "positive": "p", "negatives": ["p", " ", "a"]}, "no_negatives"),
        ("ret_score", {"anchor": "a", "positive": "p", "negatives": []}, None),
        ("core_predictor", {"features": {"op_add_import": 1}, "core": "LLMCore"}, "other_features"),
    ],
)
def test_what_a_format_cannot_say_is_counted_by_its_reason(name: str, row: dict[str, object], reason: str) -> None:
    run = Run(get_format(name), SFT)
    made = run.rows({"id": "1", **row}, Split.TRAIN)
    assert (run.left_out, bool(made)) == (({reason: 1}, False) if reason else ({}, True))
    assert run.left_out.keys() <= LEFT_OUT.keys()


def test_labels_are_counted_by_split() -> None:
    run = Run(get_format("lf_kto"), SFT)
    for label, split in ((True, Split.TRAIN), (False, Split.TRAIN), (True, Split.TRAIN), (False, Split.TEST)):
        run.rows({"id": "1", "prompt": "p", "completion": "c", "label": label}, split)
    assert run.labels == {(Split.TRAIN, True): 2, (Split.TRAIN, False): 1, (Split.TEST, False): 1}
    assert not run.warnings
    run.labels[Split.TRAIN, True] = 0
    assert run.warnings[0].startswith("All 1 rows of the train split are labelled bad and none good")


# ------------------------------------------------------------------------------------------------ the first look


def searches(*counts: int) -> list[tuple[dict[str, object], Split]]:
    return [
        ({"id": str(n), "anchor": f"a{n}", "positive": f"p{n}", "negatives": [f"n{i}" for i in range(k)]}, Split.TRAIN)
        for n, k in enumerate(counts)
    ]


@pytest.mark.parametrize(
    ("counts", "k", "n_rows"), [((3, 0, 2, 4), 2, 3), ((1,), 1, 1), ((4, 4), 4, 2), ((0, 0), 1, 0), ((), 1, 0)]
)
def test_every_row_has_the_most_negatives_that_lose_none(counts: tuple[int, ...], k: int, n_rows: int) -> None:
    form = get_format("ret_nneg")
    sources = searches(*counts)
    run = Run(form, SEARCH, look(form, iter(sources)))
    made = [one.row for row, split in sources for one in run.rows(row, split)]
    names = ("anchor", "positive", *(f"negative_{n}" for n in range(1, k + 1)))
    assert run.tables[""].names == names
    assert [tuple(row) for row in made] == [names] * n_rows
    assert run.left_out.total() == len(counts) - n_rows


def test_without_a_test_split_there_is_nothing_to_search_for() -> None:
    form = get_format("beir")
    run = Run(form, SEARCH, look(form, searches(2, 3)))
    assert [run.rows(row, split) for row, split in searches(2, 3)] == [[], []]
    assert run.left_out == {"no_test_rows": 2}


# ------------------------------------------------------------------------------------------------ flat texts


@given(hostile() | st.text("ab <>nl{}\n\\", max_size=40))
@example("<nl>")
@example("<lt>nl>")
@example(" <nl> ")
@example("a  <  b ")
def test_a_flat_text_comes_back(text: str) -> None:
    flat = flatten(text)
    assert unflatten(flat) == text
    assert not set("\n\r\t{}\\^~`") & set(flat)
    assert "  " not in flat
    assert flat == flat.strip(" ")


@given(st.text("ab <>nl{}\n\\", max_size=40))
def test_blanks_that_a_tokenizer_puts_around_the_words_do_no_harm(text: str) -> None:
    flat = flatten(text)
    for word in SENTINELS:
        flat = flat.replace(word, f" {word}  ")
    assert unflatten(flat) == text


def test_a_flat_text_reads_as_one_line_of_yaml() -> None:
    assert flatten("a:\n  b: {c}\n") == "a:<nl><ind>b:<sp><lb>c<rb><nl>"


@given(hostile())
def test_the_inverse_on_the_card_is_the_programs_own(text: str) -> None:
    found: dict[str, object] = {}
    exec(INVERSE, found)
    assert found["unflatten"](flatten(text)) == text  # type: ignore[operator]


# ------------------------------------------------------------------------------------------------ the rest


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True))
def test_rows_stand_in_the_order_of_their_ids_digests(names: list[str]) -> None:
    found = list(by_digest((name, n, n * 7) for n, name in enumerate(names)))
    wanted = sorted(range(len(names)), key=lambda n: hashlib.sha256(names[n].encode()).digest())
    assert found == [(n, n * 7) for n in wanted]


def test_each_feature_is_told_in_the_order_of_its_columns() -> None:
    told = features()
    assert [one["name"] for one in told] == [one.name for one in FEATURES]
    assert {one["known"] for one in told} == {"before the run"}
    told_file = json.loads(get_format("core_predictor").beside["features.json"])
    assert told_file["features"] == told
