"""One folder with every dataset of a release: what is in it, that all of it loads, and that Parquet says the same."""

import ast
import gc
import hashlib
import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import dataset_folder, downloads, recipes
from app.dataset_folder import Layout
from app.downloads import Order
from app.errors import BadInputError, NotStoredError, UnsupportedError
from app.examples import Dataset
from app.exports import FORMATS, Run, formats_of, validate
from app.exports.card import Lengths, length_of
from app.models import Verdict
from tests.logs import SCRIPT, line
from tests.releasing import Desk, installed
from tests.test_release_cli import run

Row = dict[str, Any]
SHARD_BYTES = 6_000


@pytest.fixture(scope="module")
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """An installation with one release of all evidence, some of it rejected and some rated."""
    with installed("sqlite", request, tmp_path_factory.mktemp("folders")) as made:
        made.take()
        for number, title in enumerate(("Migrate various", "fix response bases")):
            made.decide(made.titled(title), Verdict.REJECT, reasons=("wrong_fix",), rating=number + 1)
        for name in ("left", "right", "middle", "upper", "lower"):
            diff = f"--- a/src/x.py\n+++ b/src/x.py\n@@ -1,2 +1,2 @@\n def {name}():\n-    {name}_1\n+    {name}_2\n"
            script = f"{SCRIPT}\n\n# {name}\n"
            made.read(line(f"Mend {name} of the page", successful_diff_summary=diff, successful_script=script))
        made.accept_all()
        made.release(name="everything", seed=3)
        yield made


def build(desk: Desk, target: Path, layout: Layout | None = None, release: str = "1") -> Path:
    downloads.build_all(desk.db, desk.settings, desk.project, Order(release=release), target, layout)
    return target


@pytest.fixture(scope="module")
def folder(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the release with Parquet, in shards so small that some datasets have several."""
    dataset_folder_parquet = Layout(parquet=True)
    return build(desk, tmp_path_factory.mktemp("whole") / "out", dataset_folder_parquet)


@pytest.fixture(scope="module")
def plain(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without Parquet, in every format."""
    return build(desk, tmp_path_factory.mktemp("plain") / "out", Layout(every_format=True))


def read(folder: Path, place: str) -> Any:
    return json.loads((folder / place).read_bytes())


def rows_in(path: Path) -> list[Row]:
    return [json.loads(text) for text in path.read_bytes().splitlines()]


def front(folder: Path) -> Any:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------ what is in it


def test_every_dataset_that_has_rows_is_there_in_each_of_its_primary_formats(folder: Path) -> None:
    told = read(folder, "manifest.json")
    release = read(folder, "release.json")
    with_rows = {(one["role"], one["task"], one["objective"]) for one in release["datasets"] if one["rows"]}
    found = {(one["role"], one["task"], one["objective"]) for one in told["configs"]}
    assert found == with_rows
    assert {role for role, _, _ in found} == {*recipes.ROLES}
    assert {one["config"] for one in told["configs"]} == {path.name for path in (folder / "jsonl").iterdir()}
    assert {form.name for form in FORMATS} >= dataset_folder.PRIMARY


def test_every_format_is_written_when_it_is_asked_for(plain: Path) -> None:
    told = read(plain, "manifest.json")
    named = [one["config"] for one in (*told["configs"], *told["without_rows"])]
    assert len(set(named)) == len(named)
    with_rows = [Dataset(one["role"], one["task"], one["objective"]) for one in told["datasets"] if one["rows"]]
    assert set(named) == {config for one in with_rows for form in formats_of(one) for config in Run(form, one).configs}


def test_every_row_is_valid_and_leads_back_to_an_example(plain: Path, desk: Desk) -> None:
    release = desk.open(1)
    for one in read(plain, "manifest.json")["configs"]:
        examples = release.rows("/".join(one[name] for name in ("role", "task", "objective")))
        for split, n_rows in one["splits"].items():
            rows = rows_in(plain / "jsonl" / one["config"] / f"{split}.jsonl")
            ways = rows_in(plain / "lineage" / one["config"] / f"{split}.jsonl")
            assert len(rows) == len(ways) == n_rows
            for number, (row, way) in enumerate(zip(rows, ways, strict=True)):
                validate(one["config"], row)
                assert list(row) == list(one["columns"])
                assert row.get("id", way["id"]) == way["id"] in examples
                assert way.get("row", number) == number


def test_what_came_in_is_rows_or_left_out_with_a_reason(plain: Path) -> None:
    told = read(plain, "manifest.json")
    n_examples = {(one["role"], one["task"], one["objective"]): one["rows"] for one in told["datasets"]}
    for one in (*told["configs"], *told["without_rows"]):
        asked = n_examples[one["role"], one["task"], one["objective"]]
        led_back = {way["id"] for path in plain.glob(f"lineage/{one['config']}/*.jsonl") for way in rows_in(path)}
        if not one["config"].startswith("ir_"):
            assert len(led_back) + sum(one["left_out"].values()) == asked, one["config"]


def test_checksums_and_manifest_cover_every_file(folder: Path) -> None:
    files = contents(folder)
    sums = {text[66:]: text[:64] for text in (folder / "SHA256SUMS").read_text().splitlines()}
    assert sums == {path: hashlib.sha256(text).hexdigest() for path, text in files.items() if path != "SHA256SUMS"}
    listed = {one["path"]: one for one in read(folder, "manifest.json")["files"]}
    assert listed.keys() == files.keys() - {"SHA256SUMS", "manifest.json"}
    for path, one in listed.items():
        assert (one["sha256"], one["bytes"]) == (sums[path], len(files[path]))
        if path.endswith(".jsonl"):
            assert one["rows"] == files[path].count(b"\n")


def test_what_the_release_says_of_itself_goes_along(folder: Path, desk: Desk) -> None:
    release = desk.open(1).folder
    for place in ("held_back.jsonl", "leaks.json"):
        assert (folder / place).read_bytes() == (release / place).read_bytes()
    assert (folder / "release.json").read_bytes() == (release / "manifest.json").read_bytes()
    assert contents(folder / "templates") == contents(release / "templates")
    licences = read(folder, "LICENCES.json")
    assert all(sources for sources in licences.values())
    assert read(folder, "features.json")["target"]["name"] == "core"


def test_the_same_release_gives_the_same_bytes(desk: Desk, folder: Path, tmp_path: Path) -> None:
    assert contents(build(desk, tmp_path / "again", Layout(parquet=True))) == contents(folder)


def test_without_a_release_the_rows_are_those_of_today(desk: Desk, folder: Path, tmp_path: Path) -> None:
    whole = downloads.build_all(desk.db, desk.settings, desk.project, Order(seed=3), tmp_path / "now")
    told = read(tmp_path / "now", "manifest.json")
    assert told["release"] is None
    assert whole.configs == {one["config"]: one["splits"] for one in told["configs"]}
    texts = [
        sorted(row["completion"] for path in one.glob("jsonl/scaffold_sft_pc/*") for row in rows_in(path))
        for one in (tmp_path / "now", folder)
    ]
    assert texts[0] == texts[1]
    assert [path.name for path in tmp_path.iterdir()] == ["now"]


def test_a_folder_that_holds_something_is_refused(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BadInputError, match="Name a new folder"):
        build(desk, tmp_path)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_a_build_that_is_stopped_leaves_nothing(
    desk: Desk, tmp_path: Path, stop: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.exports.parquet._GROUP_ROWS", 1)
    monkeypatch.setattr("app.dataset_folder._TOLD_EVERY", 7)

    def progress(done: int, total: int) -> None:
        assert 0 < done <= total
        if done > 200:
            raise stop

    with pytest.raises(stop):
        downloads.build_all(
            desk.db,
            desk.settings,
            desk.project,
            Order(release="1"),
            tmp_path / "out",
            Layout(parquet=True),
            progress=progress,
        )
    gc.collect()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("n_bytes", [200, 5_000, 20_000])
def test_a_full_disk_is_told_and_leaves_nothing(
    desk: Desk, tmp_path: Path, n_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So small that a Parquet file meets the limit before the JSONL, which waits for more lines, does."""
    monkeypatch.setattr("app.exports.parquet._GROUP_ROWS", 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        with pytest.raises(NotStoredError, match="could not be written: File too large"):
            build(desk, tmp_path / "out", Layout(parquet=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    gc.collect()
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------ by the command


def test_the_command_writes_what_the_function_does(desk: Desk, folder: Path, tmp_path: Path) -> None:
    ended = run(desk, "export", "--release", "latest", "--all", "--parquet", "--out", tmp_path / "out", "--json")
    assert ended.status == 0
    assert contents(tmp_path / "out") == contents(folder)
    told = json.loads(ended.out)
    assert told["configs"] == {one["config"]: one["splits"] for one in read(folder, "manifest.json")["configs"]}


@pytest.mark.parametrize("words", [("--all", "--format", "messages"), ("--all", "--role", "llm"), ("--every-format",)])
def test_options_that_would_say_nothing_are_refused(desk: Desk, tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = run(desk, "export", "--release", "1", "--out", tmp_path / "out", *words)
    assert ended.status == 1
    assert "goes with" in ended.err
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------ that it loads


@pytest.mark.parametrize("kind", ["folder", "plain"])
def test_datasets_loads_every_config_with_exactly_its_rows(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    import datasets

    datasets.disable_progress_bars()
    place: Path = request.getfixturevalue(kind)
    told = read(place, "manifest.json")
    assert datasets.get_dataset_config_names(str(place)) == [one["config"] for one in told["configs"]]
    assert datasets.get_dataset_default_config_name(str(place)) == told["configs"][0]["config"]
    for one in told["configs"]:
        if one["task"] in {"scaffold", "polish"} or one["format"] == "agent":
            continue  # in the formats of another
        loaded = datasets.load_dataset(str(place), one["config"], cache_dir=str(tmp_path))
        assert {split: rows.num_rows for split, rows in loaded.items()} == one["splits"]
        for split, rows in loaded.items():
            assert rows.to_list() == rows_in(place / "jsonl" / one["config"] / f"{split}.jsonl")


def test_parquet_says_what_jsonl_says_and_nothing_of_a_library(folder: Path) -> None:
    import pyarrow.parquet as pq

    for one in read(folder, "manifest.json")["configs"]:
        for split in one["splits"]:
            shards = sorted(folder.glob(f"data/{one['config']}/{split}-*.parquet"))
            assert [path.name for path in shards] == [f"{split}-00000-of-00001.parquet"]
            table = pq.read_table(shards[0])
            assert table.to_pylist() == rows_in(folder / "jsonl" / one["config"] / f"{split}.jsonl")
            assert table.schema.metadata is None
            types = {
                name: str(kind).replace("element: ", "").replace("double", "float64")
                for name, kind in zip(table.schema.names, table.schema.types, strict=True)
            }
            assert types == one["columns"]
            column = pq.read_metadata(shards[0]).row_group(0).column(0)
            assert column.compression == "ZSTD"


def test_a_large_config_has_several_files_of_one_schema(
    desk: Desk, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr("app.exports.parquet._GROUP_ROWS", 2)
    place = build(desk, tmp_path / "out", Layout(parquet=True, shard_bytes=SHARD_BYTES))
    for one in read(place, "manifest.json")["configs"]:
        for split, n_rows in one["splits"].items():
            shards = sorted((place / "data" / one["config"]).glob(f"{split}-*"))
            n = len(shards)
            assert [path.name for path in shards] == [f"{split}-{k:05}-of-{n:05}.parquet" for k in range(n)]
            assert len({pq.read_schema(path) for path in shards}) == 1
            read_back = [row for path in shards for row in pq.read_table(path).to_pylist()]
            whole = folder / "jsonl" / one["config"] / f"{split}.jsonl"
            assert read_back == rows_in(whole)
            assert len(read_back) == n_rows
            _check_lines(place / "jsonl" / one["config"], split, whole.read_bytes())
    assert len(list(place.glob("data/*/*-of-00001.parquet"))) < len(list(place.glob("data/*/*-00000-*")))
    assert not list(place.rglob("*.part"))
    assert subprocess.run([sys.executable, "verify.py"], cwd=place, check=False).returncode == 0

    # Whoever is given a folder trains on every file in it.
    told = read(place, "llamafactory/dataset_info.json")["scaffold_sft_pc"]["file_name"]
    assert (place / "llamafactory" / told).resolve() == place / "jsonl" / "scaffold_sft_pc" / "train"
    [one] = yaml.safe_load((place / "axolotl" / "scaffold_sft_pc.yml").read_text())["datasets"]
    shards = sorted(place.glob("jsonl/scaffold_sft_pc/train/*"))
    assert [place / name for name in one["data_files"]] == shards
    assert len(shards) > 1


def _check_lines(folder: Path, split: str, whole: bytes) -> None:
    """One file where it fits, else a folder of files, each as long as it may be, that together say the same."""
    if len(whole) <= SHARD_BYTES:
        assert (folder / f"{split}.jsonl").read_bytes() == whole
        return
    shards = sorted((folder / split).iterdir())
    n = len(shards)
    assert [path.name for path in shards] == [f"{split}-{k:05}-of-{n:05}.jsonl" for k in range(n)]
    texts = [path.read_bytes() for path in shards]
    assert b"".join(texts) == whole
    for text, after in pairwise(texts):
        assert len(text) + len(after.partition(b"\n")[0]) >= SHARD_BYTES
        assert len(text) <= SHARD_BYTES or text.count(b"\n") == 1


def test_datasets_loads_what_is_in_several_files(desk: Desk, folder: Path, tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    order = Order("llm", "scaffold", "unpaired", format="unpaired", release="1")
    place = tmp_path / "out"
    downloads.build(desk.db, desk.settings, desk.project, order, place, Layout(shard_bytes=SHARD_BYTES))
    assert len(list(place.glob("jsonl/scaffold_kto/train/*"))) > 1
    loaded = datasets.load_dataset(str(place), "scaffold_kto", cache_dir=str(tmp_path / "cache"))
    for split, rows in loaded.items():
        assert rows.to_list() == rows_in(folder / "jsonl" / "scaffold_kto" / f"{split}.jsonl")


def test_without_pyarrow_a_sentence_says_what_to_install(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'patchsift\[parquet\]'"):
        build(desk, tmp_path / "out", Layout(parquet=True))
    assert not list(tmp_path.iterdir())
    assert build(desk, tmp_path / "out")


# ------------------------------------------------------------------------------------------------ how long rows are


def test_lengths_are_those_of_what_a_trainer_puts_in_one_sequence() -> None:
    assert length_of({"id": "x", "prompt": "12", "completion": "345"}) == 5
    assert length_of({"id": "x", "prompt": "12", "completion": "345", "label": True}) == 5
    assert length_of({"id": "x", "prompt": "12", "chosen": "345", "rejected": "6789"}) == 6
    assert length_of({"id": "x", "source": "12", "target": "345"}) == 3
    assert length_of({"anchor": "12", "positive": "3", "negative_1": "4567", "negative_2": "8"}) == 4
    assert length_of({"_id": "x", "title": "1", "text": "23"}) == 3
    assert length_of({"id": "x", "text": "12", "score": 0.5}) == 2


def test_rows_that_a_default_would_lose_are_counted() -> None:
    lengths = Lengths()
    for n_tokens in (100, 500, 520, 1000, 1030, 2047, 2048, 9000):
        lengths.add(round(n_tokens * 3.6))
    told = lengths.as_json()
    assert told["lost_at"] == {"512": 6, "1024": 4, "2048": 2}
    assert (told["p50"], told["max"], told["suggested_max_length"]) == (1008, 9008, 16384)


def test_the_card_says_of_each_config_what_to_set(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    for one in read(folder, "manifest.json")["configs"]:
        if one["role"] == "core_predictor" or one["config"] == "ir_qrels":
            assert one["tokens"] is None
            continue
        told = one["tokens"]
        cells = [f"`{one['config']}`", *(f"{told[name]:,}" for name in ("p50", "p95", "p99", "max"))]
        cells += [f"{n:,}" for n in told["lost_at"].values()] + [f"**{told['suggested_max_length']}**"]
        assert f"| {' | '.join(cells)} |" in text


def test_the_card_points_to_parquet_where_there_is_some(folder: Path, plain: Path) -> None:
    [first, *_] = front(folder)["configs"]
    assert first["data_files"][0]["path"] == f"data/{first['config_name']}/train-*"
    [first, *_] = front(plain)["configs"]
    assert first["data_files"][0]["path"] == f"jsonl/{first['config_name']}/train.jsonl"


def test_all_files_that_the_card_names_are_of_one_kind(desk: Desk, plain: Path, tmp_path: Path) -> None:
    """`datasets` chooses its reader by the first config and reads the others with it."""
    named = [
        front(plain)["configs"],
        front(build(desk, tmp_path / "out", Layout(every_format=True, parquet=True)))["configs"],
    ]
    assert [one["config_name"] for one in named[0]] == [one["config_name"] for one in named[1]]
    for configs, place, end in ((named[0], plain, "jsonl"), (named[1], tmp_path / "out", "parquet")):
        for one in (one for config in configs for one in config["data_files"]):
            found = list(place.glob(one["path"]))
            assert {path.suffix for path in found} == {f".{end}"}, one["path"]


# ------------------------------------------------------------------------------------------------ what trainers read


def configs(folder: Path) -> dict[str, Row]:
    return {one["config"]: one for one in read(folder, "manifest.json")["configs"]}


def test_every_primary_config_with_a_train_split_has_a_short_script_that_compiles(folder: Path) -> None:
    scripts = {path.stem: path.read_text() for path in (folder / "snippets").iterdir()}
    trained = {name for name, one in configs(folder).items() if "train" in one["splits"]}
    assert set(scripts) == trained | {"ir"} | {f"{name}_unsloth" for name in trained if name.endswith("_sft_pc")}
    card = (folder / "README.md").read_text()
    for name, text in scripts.items():
        ast.parse(text)
        assert "$" not in text
        assert len(text.splitlines()) <= 45
        config = name.removesuffix("_unsloth")
        assert f'"{config}"' in text or name == "ir"
        assert f"`snippets/{name}.py`" in card
        lengths = configs(folder).get(config, {}).get("tokens")
        if "max_length=" in text:
            assert f"max_length={lengths['suggested_max_length']}" in text  # type: ignore[index]


def test_axolotl_finds_its_file_and_the_length_to_set(plain: Path) -> None:
    paths = list((plain / "axolotl").iterdir())
    assert {path.stem.partition("_")[2] for path in paths} >= {"sft_pc", "sft_chat", "dpo", "dpo_chat", "kto", "reward"}
    for path in paths:
        told = yaml.safe_load(path.read_text())
        [one] = told["datasets"]
        [row, *_] = rows_in(plain / one["path"])
        assert told["sequence_len"] == configs(plain)[path.stem]["tokens"]["suggested_max_length"]
        assert type(told["learning_rate"]) is float
        assert one.get("drop_system_message", False) is path.stem.endswith(("_sharegpt", "_ax_bt"))
        shape = one["type"] if isinstance(one["type"], dict) else {}
        named = [column for key, column in shape.items() if key.startswith("field_")]
        assert {*named, one.get("field_messages", "id")} <= row.keys()


def test_llamafactory_finds_one_file_a_split_and_its_columns(plain: Path) -> None:
    told = read(plain, "llamafactory/dataset_info.json")
    assert {name for name in told if not name.endswith("_validation")} <= configs(plain).keys()
    for name, one in told.items():
        path = (plain / "llamafactory" / one["file_name"]).resolve()
        assert path.is_file()
        assert path == plain / "jsonl" / name.removesuffix("_validation") / (
            "validation.jsonl" if name.endswith("_validation") else "train.jsonl"
        )
        assert set(one["columns"].values()) <= rows_in(path)[0].keys()


def test_the_way_to_the_agent_names_the_key_of_every_role(folder: Path) -> None:
    text = (folder / "GGUF.md").read_text()
    for role in {one["role"] for one in configs(folder).values()}:
        assert f"\n| {role} | " in text
    for key in ("agent_llm_gguf", "t5_spec_normalizer_dir", "divot5_style_refiner_dir", "sentence_transformer_model"):
        assert f"`models.{key}`" in text
    ast.parse(text.split("```python\n")[1].split("```")[0])


def test_the_prompt_template_gives_the_prompts_of_the_rows(folder: Path) -> None:
    told = read(folder, "prompt_template.json")
    assert told["configs"].keys() == {name for name, one in configs(folder).items() if one["tokens"]}
    n_filled = 0
    for label, one in told["templates"].items():
        assert (folder / one["path"]).read_text() == one["text"]
        assert hashlib.sha256(one["text"].encode()).hexdigest() == one["sha256"]
        assert all(f"{{{gap}}}" in one["text"] for gap in one["gaps"]), label
    for name in ("scaffold_sft_pc", "repair_sft_pc"):
        for path in (folder / "jsonl" / name).iterdir():
            ways = rows_in(folder / "lineage" / name / path.name)
            for row, way in zip(rows_in(path), ways, strict=True):
                [label] = way["templates"]
                assert label in told["configs"][name]["templates"]
                parts = re.split(r"\{[a-z_]+\}", told["templates"][label]["text"])
                assert row["prompt"].startswith(parts[0])
                assert row["prompt"].endswith(parts[-1])
                n_filled += 1
    assert n_filled
    assert told["configs"]["scaffold_sft_pc"]["text"] == "{prompt}{completion}"
    assert told["configs"]["scaffold_sft_chat"]["messages"] == [{"role": "user", "content": "{prompt}"}]


@pytest.mark.parametrize("kind", ["folder", "plain"])
def test_croissant_describes_every_file_and_column(request: pytest.FixtureRequest, kind: str) -> None:
    place: Path = request.getfixturevalue(kind)
    told = read(place, "croissant.json")
    files = {one["@id"]: one for one in told["distribution"]}
    for path, one in files.items():
        assert one["sha256"] == hashlib.sha256((place / path).read_bytes()).hexdigest()
        assert one["contentUrl"] == path
    ids = [one["@id"] for one in _nodes(told) if "@type" in one and "@id" in one]
    assert len(set(ids)) == len(ids)
    assert len(told["recordSet"]) == len(files) == sum(len(one["splits"]) for one in configs(place).values())
    for one in told["recordSet"]:
        columns = configs(place)[one["@id"].split("/")[0]]["columns"]
        assert [field["name"] for field in one["field"]] == list(columns)
        sources = [leaf["source"] for field in one["field"] for leaf in field.get("subField", [field])]
        assert {source["fileObject"]["@id"] for source in sources} <= files.keys()
        assert {source["extract"]["column"] for source in sources} <= columns.keys()


def _nodes(value: Any) -> Iterator[Row]:
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(one)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the graph library below it
def test_the_reader_of_croissant_finds_no_fault_and_every_row(folder: Path) -> None:
    import mlcroissant

    told = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not told.metadata.issues.errors
    assert not told.metadata.issues.warnings
    for one in read(folder, "croissant.json")["recordSet"]:
        config, split = one["@id"].split("/")
        found = [_plain(row) for row in told.records(one["@id"])]
        assert found == rows_in(folder / "jsonl" / config / f"{split}.jsonl")


def _plain(value: Any) -> Any:
    """What its reader gives, with the names of columns for those of nodes and texts for bytes."""
    if isinstance(value, dict):
        return {name.split("/")[-1]: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


# ------------------------------------------------------------------------------------------------ verified


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the verifier that lies in the folder, with nothing but Python."""
    return subprocess.run(
        [sys.executable, "-I", str(folder / "verify.py")], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("kind", ["folder", "plain"])
def test_a_folder_verifies_itself(request: pytest.FixtureRequest, kind: str) -> None:
    ended = verify(request.getfixturevalue(kind))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Whole.\n", "")


def spoil_byte(place: Path) -> str:
    (place / "README.md").write_bytes((place / "README.md").read_bytes() + b" ")
    return "README.md: its bytes are not those that were written."


def spoil_column(place: Path) -> str:
    path = place / "jsonl" / "scaffold_sft_pc" / "train.jsonl"
    path.write_bytes(path.read_bytes().replace(b'{"id"', b'{"labels":"x","id"', 1))
    return "scaffold_sft_pc/train.jsonl:1: its columns must be id, prompt, completion."


def spoil_type(place: Path) -> str:
    path = place / "jsonl" / "scaffold_kto" / "train.jsonl"
    path.write_bytes(re.sub(rb'"label":(true|false)', b'"label":1', path.read_bytes(), count=1))
    return "its column label must be bool."


def spoil_lineage(place: Path) -> str:
    path = place / "lineage" / "scaffold_sft_pc" / "train.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    return "its line of lineage is another row's."


def spoil_split(place: Path) -> str:
    """A row of the train split, with its lineage, in another split too."""
    for top in ("jsonl", "lineage"):
        folder = place / top / "scaffold_sft_pc"
        line = (folder / "train.jsonl").read_bytes().splitlines(keepends=True)[0]
        with next(path for path in folder.iterdir() if path.name != "train.jsonl").open("ab") as other:
            other.write(line)
    return "stands in the split"


def spoil_count(place: Path) -> str:
    for top in ("jsonl", "lineage"):
        path = place / top / "scaffold_sft_pc" / "train.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    return "and the manifest says"


def spoil_list(place: Path) -> str:
    (place / "notes.txt").write_text("mine")
    return "notes.txt: SHA256SUMS does not name it."


def spoil_file(place: Path) -> str:
    (place / "leaks.json").unlink()
    return "leaks.json: it is missing."


def spoil_manifest(place: Path) -> str:
    (place / "manifest.json").write_text("[]")
    return "cannot be read as a dataset folder"


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_byte, spoil_column, spoil_type, spoil_lineage, spoil_split, spoil_count, spoil_list, spoil_file,
        spoil_manifest,
    ],
)  # fmt: skip
def test_a_folder_that_was_changed_says_where(folder: Path, tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    place = tmp_path / "copy"
    shutil.copytree(folder, place)
    said = spoil(place)
    ended = verify(place)
    assert ended.returncode == 1
    assert said in ended.stdout
    assert not ended.stderr
