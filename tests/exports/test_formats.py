"""Rows as trainers read them: golden bytes, the columns of each, and refusal of whatever is no such row."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadInputError
from app.examples import Dataset, Split
from app.exports import CONFIGS, FORMATS, LEFT_OUT, Format, Run, ShapeError, formats_of, get_format, look, validate
from app.exports.jsonl import encode
from app.exports.shape import RowOrder
from app.recipes import DATASETS
from app.recipes.core_predictor import FEATURES
from tests.exports.sources import SOURCES, dataset_of, files_of, run_of, sources_of

GOLDEN = Path(__file__).parent / "golden"

each_format = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
MESSAGES = "list<struct<role: string, content: string>>"
MESSAGE = "struct<role: string, content: string>"
TURNS = "list<struct<from: string, value: string>>"
TURN = "struct<from: string, value: string>"
INPUT = f"struct<messages: {MESSAGES}, tools: list<string>, parallel_tool_calls: bool>"

COLUMNS: Mapping[str, str] = {
    "sft_pc": "id string, prompt string, completion string",
    "sft_chat": f"id string, messages {MESSAGES}",
    "sft_pc_chat": f"id string, prompt {MESSAGES}, completion {MESSAGES}",
    "alpaca": "id string, instruction string, input string, output string, system string",
    "sharegpt": f"id string, conversations {TURNS}, system string",
    "agent_native": "prompt string, completion string",
    "dpo": "id string, prompt string, chosen string, rejected string",
    "dpo_chat": f"id string, prompt {MESSAGES}, chosen {MESSAGES}, rejected {MESSAGES}",
    "openai_dpo": f"input {INPUT}, preferred_output {MESSAGES}, non_preferred_output {MESSAGES}",
    "lf_dpo_chat": f"id string, messages {MESSAGES}, chosen {MESSAGE}, rejected {MESSAGE}",
    "lf_alpaca_dpo": "id string, instruction string, input string, system string, chosen string, rejected string",
    "lf_sharegpt_dpo": f"id string, conversations {TURNS}, system string, chosen {TURN}, rejected {TURN}",
    "kto": "id string, prompt string, completion string, label bool",
    "kto_chat": f"id string, prompt {MESSAGES}, completion {MESSAGES}, label bool",
    "lf_kto": f"id string, conversations {TURNS}, system string, kto_tag bool",
    "reward": f"id string, chosen {MESSAGES}, rejected {MESSAGES}",
    "reward_margin": f"id string, chosen {MESSAGES}, rejected {MESSAGES}, margin float64",
    "ax_bt": "id string, system string, input string, chosen string, rejected string",
    "t5_spec": "id string, source string, target string, target_flat string",
    "divot5_refine": "id string, source string, target string, target_flat string",
    "divot5_unify": "id string, source string, target string, target_flat string",
    "style_score": "id string, text string, score float64",
    "rating_score": "id string, text string, score float64",
    "style_pair": "id string, chosen string, rejected string, margin float64",
    "ret_pair": "anchor string, positive string",
    "ret_triplet": "anchor string, positive string, negative string",
    "ret_nneg": "anchor string, positive string, negative_1 string, negative_2 string",
    "ret_score": "sentence1 string, sentence2 string, score float64",
    "ir_corpus": "_id string, title string, text string",
    "ir_queries": "_id string, text string",
    "ir_qrels": "query-id string, corpus-id string, score int64",
    "core_predictor": f"id string, {', '.join(f'{one.name} int64' for one in FEATURES)}, core string",
}
"""What the specification says of each file; a task's name before it where it is the language model's."""


def columns_of(config: str) -> str:
    """The columns of a config as the program says them, with two negatives where it has to choose."""
    form, dataset = next(
        (form, dataset) for dataset in DATASETS for form in formats_of(dataset) if config in Run(form, dataset).configs
    )
    table = Run(form, dataset, {"negatives": 2}).configs[config]
    return ", ".join(f"{one.name} {one.kind}" for one in table.columns)


# ------------------------------------------------------------------------------------------------ what there is


def test_every_config_has_the_columns_of_the_specification() -> None:
    found = {config: columns_of(config) for config in CONFIGS}
    assert found == {config: COLUMNS[re.sub(r"^(scaffold|polish|repair)_", "", config)] for config in CONFIGS}
    assert {re.sub(r"^(scaffold|polish|repair)_", "", config) for config in CONFIGS} == set(COLUMNS)


def test_no_two_datasets_or_formats_share_a_config() -> None:
    made = [config for dataset in DATASETS for form in formats_of(dataset) for config in Run(form, dataset).configs]
    assert len(made) == len(set(made)) == len(CONFIGS)


def test_every_dataset_has_a_format_and_every_format_a_dataset() -> None:
    assert all(formats_of(dataset) for dataset in DATASETS)
    assert all(any(form.serves(dataset) for dataset in DATASETS) for form in FORMATS)


def test_no_name_means_two_formats() -> None:
    names = Counter(name for form in FORMATS for name in {form.name, form.alias})
    assert set(names.values()) == {1}


PLAIN = {
    "prompt-completion": "sft_pc", "messages": "sft_chat", "preference": "dpo", "unpaired": "kto",
    "source-target": "seq2seq", "triplet": "ret_triplet", "beir": "ir", "agent": "agent_native",
}  # fmt: skip


@pytest.mark.parametrize(("alias", "name"), PLAIN.items())
def test_a_format_has_a_name_for_people_and_one_for_files(alias: str, name: str) -> None:
    assert get_format(alias) is get_format(name)


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInputError, match="prompt-completion, messages"):
        get_format("parquet")
    with pytest.raises(BadInputError, match="config"):
        validate("scaffold_parquet", {})


RESERVED = frozenset(
    {
        "labels", "input_ids", "attention_mask", "images", "image", "videos", "tools", "chat_template_kwargs",
        "conversations", "text", "messages", "margin", "label", "score", "scores", "completions",
    }
)  # fmt: skip
MEANT = {
    "messages": {"sft_chat", "lf_dpo_chat"},
    "conversations": {"sharegpt", "lf_sharegpt_dpo", "lf_kto"},
    "text": {"style_score", "ir"},
    "score": {"style_score", "ret_score", "ir"},
    "margin": {"reward_margin", "style_pair"},
    "label": {"kto", "kto_chat"},
}


@each_format
def test_a_name_that_trainers_know_stands_only_where_it_is_meant(form: Format) -> None:
    names = {name for table in run_of(form, sources_of(form)).tables.values() for name in table.names}
    assert {name for name in names & RESERVED if form.name not in MEANT.get(name, set())} == set()


@each_format
def test_a_file_without_ids_is_one_of_those_that_may_have_none(form: Format) -> None:
    tables = run_of(form, sources_of(form)).tables.values()
    forbidden = form.roles == {"retriever"} or form.name in {"openai_dpo", "agent_native"}
    assert all(("id" in table.names) is not forbidden for table in tables)
    assert all("id" not in table.names or table.names[0] == "id" for table in tables)


# ------------------------------------------------------------------------------------------------ the bytes


@each_format
def test_the_bytes_of_a_format_never_change(form: Format) -> None:
    written, _ = files_of(form, sources_of(form))
    named = written if len(written) > 1 else {form.name: next(iter(written.values()))}
    assert named == {name: (GOLDEN / f"{name}.jsonl").read_bytes() for name in named}


def test_no_golden_file_is_left_over() -> None:
    named = {form.name for form in FORMATS} - {"ir"} | {"ir_corpus", "ir_queries", "ir_qrels"}
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == named


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("datasets")


def as_arrow(kind: object) -> str:
    return str(kind).replace("float64", "double")


@each_format
def test_a_golden_file_loads_with_the_columns_and_types_that_it_promises(form: Format, home: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    run = run_of(form, sources_of(form))
    for config, table in run.configs.items():
        path = GOLDEN / f"{config if len(run.configs) > 1 else form.name}.jsonl"
        found = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(home / config))
        schema = {name: str(kind) for name, kind in zip(table.names, found.features.arrow_schema.types, strict=True)}
        assert found.column_names == list(table.names)
        said = {one.name: re.sub(r"\b(element|item): ", "", schema[one.name]) for one in table.columns}
        wanted = {one.name: as_arrow(one.kind) for one in table.columns}
        if form.name == "openai_dpo":  # an empty list says nothing of what it would hold
            said["input"] = said["input"].replace("list<null>", "list<string>")
        assert said == wanted
        assert found.num_rows == path.read_bytes().count(b"\n")


# ------------------------------------------------------------------------------------------------ refused

CHAT = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}]
OTHER = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "d"}]
TOLD = [{"from": "human", "value": "p"}, {"from": "gpt", "value": "c"}]
PC: dict[str, object] = {"id": "1", "prompt": "p\n", "completion": "c"}
PAIR: dict[str, object] = {"id": "1", "prompt": "p\n", "chosen": "c", "rejected": "r"}
HOSTED: dict[str, object] = {
    "input": {"messages": CHAT[:1], "tools": [], "parallel_tool_calls": True},
    "preferred_output": CHAT[1:],
    "non_preferred_output": OTHER[1:],
}
FEATURED: dict[str, object] = {"id": "1", **{one.name: 0 for one in FEATURES}, "core": "LLMCore"}
FLAT: dict[str, object] = {"id": "1", "source": "s", "target": "a\n", "target_flat": "a<nl>"}

RIGHT: list[tuple[str, dict[str, object]]] = [
    ("scaffold_sft_pc", PC),
    ("scaffold_sft_chat", {"id": "1", "messages": CHAT}),
    ("scaffold_alpaca", {"id": "1", "instruction": "i", "input": "", "output": "o", "system": ""}),
    ("scaffold_sharegpt", {"id": "1", "conversations": TOLD, "system": ""}),
    ("repair_dpo", PAIR),
    ("repair_openai_dpo", HOSTED),
    ("repair_lf_dpo_chat", {"id": "1", "messages": CHAT[:1], "chosen": CHAT[1], "rejected": OTHER[1]}),
    ("polish_kto", {**PC, "label": False}),
    ("polish_lf_kto", {"id": "1", "conversations": TOLD, "system": "", "kto_tag": True}),
    ("polish_reward", {"id": "1", "chosen": CHAT, "rejected": OTHER}),
    ("polish_reward_margin", {"id": "1", "chosen": CHAT, "rejected": OTHER, "margin": 0.1}),
    ("t5_spec", FLAT),
    ("rating_score", {"id": "1", "text": "t", "score": 0.0}),
    ("style_pair", {"id": "1", "chosen": "c", "rejected": "r", "margin": 1.0}),
    ("ret_pair", {"anchor": "a", "positive": "p"}),
    ("ret_nneg", {"anchor": "a", "positive": "p", "negative_1": "n"}),
    ("ret_nneg", {"anchor": "a", "positive": "p", "negative_1": "n", "negative_2": "m"}),
    ("ret_score", {"sentence1": "a", "sentence2": "b", "score": 1.0}),
    ("ir_corpus", {"_id": "d1", "title": "", "text": "t"}),
    ("ir_qrels", {"query-id": "q1", "corpus-id": "d1", "score": 1}),
    ("core_predictor", FEATURED),
]


@pytest.mark.parametrize(("config", "row"), RIGHT, ids=[f"{config}-{n}" for n, (config, _) in enumerate(RIGHT)])
def test_a_row_of_the_right_shape_passes_and_neither_more_nor_fewer_columns_do(
    config: str, row: dict[str, object]
) -> None:
    validate(config, row)
    first = next(iter(row))
    for wrong in (
        row | {"text_": "stray"},
        {name: value for name, value in row.items() if name != first},
        dict(reversed(row.items())),
        row | {first: None},
        row | {first: ["x"]},
        {},
    ):
        with pytest.raises(ShapeError):
            validate(config, wrong)


WRONG: list[tuple[str, dict[str, object]]] = [
    ("scaffold_sft_pc", PC | {"completion": ""}),
    ("scaffold_sft_pc", PC | {"completion": " \n"}),
    ("scaffold_sft_pc", PC | {"completion": None}),
    ("scaffold_sft_pc", PC | {"id": 1}),
    ("scaffold_sft_pc", PC | {"prompt": "p"}),
    ("scaffold_sft_pc", PC | {"completion": "a\x00"}),
    ("scaffold_sft_pc", PC | {"completion": "a\ud83d"}),
    ("scaffold_agent_native", {"prompt": "p", "completion": "c"}),
    ("scaffold_sft_chat", {"id": "1", "messages": CHAT[:1]}),
    ("scaffold_sft_chat", {"id": "1", "messages": CHAT[::-1]}),
    ("scaffold_sft_chat", {"id": "1", "messages": [*CHAT, *CHAT]}),
    ("scaffold_sft_chat", {"id": "1", "messages": [{"role": "system", "content": "s"}, *CHAT]}),
    ("scaffold_sft_chat", {"id": "", "messages": CHAT}),
    ("scaffold_sft_chat", {"id": "1", "messages": "p"}),
    ("scaffold_sft_chat", {"id": "1", "messages": []}),
    ("scaffold_sft_chat", {"id": "1", "messages": ["p", "c"]}),
    ("scaffold_sft_chat", {"id": "1", "messages": [CHAT[0] | {"name": "x"}, CHAT[1]]}),
    ("scaffold_sft_chat", {"id": "1", "messages": [dict(reversed(CHAT[0].items())), CHAT[1]]}),
    ("scaffold_sft_chat", {"id": "1", "messages": [CHAT[0], CHAT[1] | {"content": ""}]}),
    ("scaffold_sft_chat", {"id": "1", "messages": [CHAT[0], CHAT[1] | {"content": None}]}),
    ("scaffold_sft_pc_chat", {"id": "1", "prompt": CHAT, "completion": CHAT[1:]}),
    ("scaffold_alpaca", {"id": "1", "instruction": "i", "input": None, "output": "o", "system": ""}),
    ("scaffold_alpaca", {"id": "1", "instruction": "i", "input": "", "output": "o", "system": "s"}),
    ("scaffold_sharegpt", {"id": "1", "conversations": [*TOLD, TOLD[0]], "system": ""}),
    ("scaffold_sharegpt", {"id": "1", "conversations": CHAT, "system": ""}),
    ("repair_dpo", PAIR | {"rejected": "c"}),
    ("repair_dpo", PAIR | {"rejected": "c\n"}),
    ("repair_dpo", PAIR | {"prompt": "p"}),
    ("repair_dpo_chat", {"id": "1", "prompt": CHAT[:1], "chosen": CHAT[1:], "rejected": CHAT[1:]}),
    ("repair_openai_dpo", HOSTED | {"preferred_output": [*CHAT[1:], *OTHER[1:]]}),
    ("repair_openai_dpo", HOSTED | {"preferred_output": OTHER[1:]}),
    ("repair_openai_dpo", HOSTED | {"input": {"messages": CHAT[:1], "tools": ["t"], "parallel_tool_calls": True}}),
    ("repair_openai_dpo", HOSTED | {"input": {"messages": CHAT, "tools": [], "parallel_tool_calls": True}}),
    ("repair_lf_dpo_chat", {"id": "1", "messages": CHAT[:1], "chosen": CHAT[1:], "rejected": OTHER[1:]}),
    ("repair_lf_sharegpt_dpo", {"id": "1", "conversations": TOLD, "system": "", "chosen": TOLD[1], "rejected": {}}),
    ("polish_kto", PC | {"label": 1}),
    ("polish_kto", PC | {"label": "true"}),
    ("polish_lf_kto", {"id": "1", "conversations": TOLD, "system": "", "kto_tag": 0}),
    ("polish_reward", {"id": "1", "chosen": CHAT, "rejected": CHAT}),
    ("polish_reward", {"id": "1", "chosen": CHAT, "rejected": OTHER, "margin": 0.1}),
    ("polish_reward", {"id": "1", "chosen": CHAT, "rejected": [{"role": "user", "content": "q"}, OTHER[1]]}),
    ("polish_reward_margin", {"id": "1", "chosen": CHAT, "rejected": OTHER, "margin": 0.0}),
    ("polish_reward_margin", {"id": "1", "chosen": CHAT, "rejected": OTHER, "margin": None}),
    ("polish_ax_bt", {"id": "1", "system": "", "input": "i", "chosen": "c", "rejected": "c"}),
    ("t5_spec", FLAT | {"target_flat": "a"}),
    ("t5_spec", FLAT | {"target_flat": "a\n"} | {"target": "a"}),
    ("rating_score", {"id": "1", "text": "t", "score": 1}),
    ("rating_score", {"id": "1", "text": "t", "score": 1.1}),
    ("rating_score", {"id": "1", "text": "t", "score": float("nan")}),
    ("style_pair", {"id": "1", "chosen": "c", "rejected": "c", "margin": 1.0}),
    ("style_pair", {"id": "1", "chosen": "c", "rejected": "r", "margin": -0.5}),
    ("ret_pair", {"id": "1", "anchor": "a", "positive": "p"}),
    ("ret_pair", {"positive": "p", "anchor": "a"}),
    ("ret_triplet", {"anchor": "a", "positive": "p", "negative": "p"}),
    ("ret_nneg", {"anchor": "a", "positive": "p"}),
    ("ret_nneg", {"anchor": "a", "positive": "p", "negative_1": "n", "negative_3": "m"}),
    ("ret_nneg", {"anchor": "a", "positive": "p", "negative_1": "n", "negative_2": None}),
    ("ret_nneg", {"anchor": "a", "positive": "p", "negative_1": "n", "negative_2": "n"}),
    ("ret_score", {"sentence1": "a", "sentence2": "b", "score": -0.1}),
    ("ir_qrels", {"query-id": "q1", "corpus-id": "d1", "score": 0}),
    ("ir_qrels", {"query-id": "q1", "corpus-id": "d1", "score": True}),
    ("ir_corpus", {"_id": "d1", "title": "", "text": ""}),
    ("core_predictor", FEATURED | {"op_add_import": 6}),
    ("core_predictor", FEATURED | {"op_add_import": -1}),
    ("core_predictor", FEATURED | {"n_operations": 1.0}),
    ("core_predictor", FEATURED | {"n_operations": True}),
    ("core_predictor", FEATURED | {"core": "LLMCore_polish_iteration_1"}),
]  # fmt: skip


@pytest.mark.parametrize(("config", "row"), WRONG, ids=[f"{config}-{n}" for n, (config, _) in enumerate(WRONG)])
def test_a_row_of_another_shape_is_refused(config: str, row: dict[str, object]) -> None:
    with pytest.raises(ShapeError):
        validate(config, row)


# ------------------------------------------------------------------------------------------------ any text


def hostile(min_size: int = 0) -> st.SearchStrategy[str]:
    """Texts of everything that a release may hold, half characters and NUL among it."""
    odd = st.sampled_from([*"\x00\ud800\udfff\n\r\t {}<>\\^~`\u2028\u2029\x85\u00a0\ufeff\"'", "<nl>", "<lt>", "  "])
    return st.lists(odd | st.characters(exclude_categories=()), min_size=min_size, max_size=30).map("".join)


SCORES = st.none() | st.floats() | st.integers(-1, 2)
VALUES: Mapping[str, st.SearchStrategy[object]] = {
    "prompt": hostile() | hostile().map(lambda text: text + "\n"),
    "label": st.booleans(),
    "margin": SCORES,
    "score": SCORES,
    "negatives": st.lists(hostile(), max_size=4),
    "features": st.just(dict(SOURCES["classification"][0][0]["features"])) | st.just({"op_add_import": 1}),
    "core": st.sampled_from(["LLMCore", "DiffusionCore", "other", ""]),
}


@st.composite
def releases(draw: st.DrawFn, objective: str) -> list[tuple[dict[str, object], Split]]:
    columns = Dataset("", "", objective).columns
    n = draw(st.integers(0, 4))
    return [
        ({"id": f"x-{number}", **{name: draw(VALUES.get(name, hostile())) for name in columns}}, draw(splits))
        for number in range(n)
    ]


splits = st.sampled_from([Split.TRAIN, Split.VALIDATION, Split.TEST])


@each_format
@given(drawn=st.data())
def test_whatever_a_release_holds_is_written_right_or_counted(form: Format, drawn: st.DataObject) -> None:
    sources = drawn.draw(releases(form.objective))
    run = Run(form, dataset_of(form), look(form, sources))
    for row, split in sources:
        before = run.left_out.total()
        made = run.rows(row, split)
        assert bool(made) is (run.left_out.total() == before) or form.name == "ir"
        for one in made:
            form.check(one.row, one.table)
            validate(form.config(run.dataset, one.table), one.row)
            assert json.loads(encode(one.row)) == one.row
    assert run.left_out.keys() <= LEFT_OUT.keys()


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
def test_a_line_is_one_line_and_reads_back(row: dict[str, object]) -> None:
    line = encode(row)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == row


def test_half_a_character_is_never_written() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        encode({"id": "\ud83d"})


def test_the_order_by_digest_is_said_by_the_formats_that_are_read_from_end_to_end() -> None:
    assert {form.name for form in FORMATS if form.order is RowOrder.DIGEST} == {"kto", "kto_chat", "lf_kto"}
