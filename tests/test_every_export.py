"""Every dataset of a release in every format that can write it: rows, order, lineage, counts, and that it loads."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import downloads, evidence, recipes
from app.downloads import Order
from app.errors import BadInputError
from app.examples import Dataset
from app.exports import Format, Run, formats_of, validate
from app.exports.shape import RowOrder
from app.models import Verdict
from tests.logs import SCRIPT, line
from tests.releasing import Desk, Release, installed
from tests.test_releases import made_of

CASES = [(dataset, form) for dataset in recipes.DATASETS for form in formats_of(dataset)]
# The one pair of polished scripts here is a reviewer's edit, which nobody scored.
UNSAID = ("llm/polish/reward", "reward_margin")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """An installation with one release of all evidence, some of it rejected and some rated."""
    with installed("sqlite", request, tmp_path_factory.mktemp("exports")) as made:
        made.take()
        for number, title in enumerate(("Migrate various", "fix response bases")):
            made.decide(made.titled(title), Verdict.REJECT, reasons=("wrong_fix",), rating=number + 1)
        # One issue's code in another one's file: what the other one is not to find.
        for name in ("left", "right", "middle", "upper", "lower"):
            diff = f"--- a/src/x.py\n+++ b/src/x.py\n@@ -1,2 +1,2 @@\n def {name}():\n-    {name}_1\n+    {name}_2\n"
            script = f"{SCRIPT}\n\n# {name}\n"
            made.read(line(f"Mend {name} of the page", successful_diff_summary=diff, successful_script=script))
        polished = made.titled("The timeout is")
        with made.db.read() as session:
            script = evidence.read_whole(session, polished).script or ""
        made.decide(polished, Verdict.EDIT, edited=("script", f"{script}\n\nREVIEWED = True\n"))
        for example in made_of(made, polished):
            if example.startswith(("polish-preference", "polish-reward")):
                made.rule(example, "answer_in_prompt", "It is polished little.")
        made.accept_all()
        made.release(name="everything", seed=3)
        yield made


@pytest.fixture(scope="module")
def release(desk: Desk) -> Release:
    return desk.open(1)


def rows_in(path: Path) -> list[Row]:
    return [json.loads(text) for text in path.read_bytes().splitlines()]


def order_of(dataset: Dataset, form: Format) -> Order:
    return Order(*dataset, format=form.alias, release="1")


@pytest.mark.parametrize(("dataset", "form"), CASES, ids=[f"{one.name}-{form.name}" for one, form in CASES])
def test_every_dataset_leaves_in_every_format(
    desk: Desk, release: Release, dataset: Dataset, form: Format, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    if (dataset.name, form.name) == UNSAID:
        with pytest.raises(BadInputError, match=r"none of the rows.*Nobody knows how much better"):
            downloads.build(desk.db, desk.settings, desk.project, order_of(dataset, form), folder)
        assert not list(tmp_path.iterdir())
        return
    summary = downloads.build(desk.db, desk.settings, desk.project, order_of(dataset, form), folder)

    counts = json.loads((folder / "manifest.json").read_bytes())["counts"]
    examples = release.rows(dataset.name)
    n_rows, led_back = 0, set()
    for path in sorted(folder.glob("jsonl/*/*.jsonl")):
        config, rows = path.parent.name, rows_in(path)
        assert config in Run(form, dataset).configs
        beside = f"{config}/{path.name}" if len(Run(form, dataset).configs) > 1 else path.name
        ways = rows_in(folder / "lineage" / beside)
        assert len(ways) == len(rows)
        for number, (row, way) in enumerate(zip(rows, ways, strict=True)):
            validate(config, row)
            assert row.get("id", way["id"]) == way["id"] in examples
            assert way.get("row", number) == number
        n_rows += len(rows)
        led_back |= {way["id"] for way in ways}
        if form.order is RowOrder.DIGEST:
            assert rows == sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).digest())
    assert n_rows == counts["rows"] == summary.rows == sum(counts["splits"].values()) > 0
    if form.name != "ir":  # where a text of several examples leads back to the first of them
        assert len(led_back) + sum(counts["left_out"].values()) == counts["examples"] == len(examples)


@pytest.mark.parametrize("role", recipes.ROLES)
def test_a_folder_loads_under_the_names_of_its_card(desk: Desk, role: str, tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    dataset = recipes.ROLES[role].datasets[0]
    form = formats_of(dataset)[-1]
    folder = tmp_path / "out"
    downloads.build(desk.db, desk.settings, desk.project, order_of(dataset, form), folder)
    configs = [path.name for path in folder.glob("jsonl/*")]
    assert sorted(datasets.get_dataset_config_names(str(folder))) == sorted(configs)
    for config in configs:
        loaded = datasets.load_dataset(str(folder), config, cache_dir=str(tmp_path / "cache"))
        assert {name: split.num_rows for name, split in loaded.items()} == {
            path.stem: len(rows_in(path)) for path in folder.glob(f"jsonl/{config}/*.jsonl")
        }


def test_a_measure_of_search_asks_of_the_test_split_alone(desk: Desk, release: Release, tmp_path: Path) -> None:
    dataset = Dataset("retriever", "search", "contrastive")
    folder = tmp_path / "out"
    order = Order(*dataset, format="beir", release="1")
    downloads.build(desk.db, desk.settings, desk.project, order, folder)
    examples = release.rows(dataset.name)
    asked = {row["anchor"] for row in examples.values() if row["split"] == "test"}
    corpus, queries, judged = (
        rows_in(folder / "jsonl" / name / "test.jsonl") for name in ("ir_corpus", "ir_queries", "ir_qrels")
    )
    assert {row["text"] for row in queries} == asked
    assert {row["text"] for row in corpus} >= {row["positive"] for row in examples.values()}
    named = {row["_id"]: row["text"] for row in corpus}
    positives = {(row["anchor"], row["positive"]) for row in examples.values() if row["split"] == "test"}
    texts = {row["_id"]: row["text"] for row in queries}
    assert {(texts[row["query-id"]], named[row["corpus-id"]]) for row in judged} == positives


def test_the_features_of_the_predictor_are_told_beside_its_rows(desk: Desk, tmp_path: Path) -> None:
    order = Order("core_predictor", "core", "classification", format="features", release="1")
    downloads.build(desk.db, desk.settings, desk.project, order, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "features.json").read_bytes())
    [path, *_] = (tmp_path / "out").glob("jsonl/core_predictor/*.jsonl")
    for row in rows_in(path):
        assert [*row] == ["id", *(one["name"] for one in told["features"]), told["target"]["name"]]
        assert row["core"] in told["target"]["values"]


def test_a_format_of_another_role_is_refused_with_those_that_fit() -> None:
    with pytest.raises(BadInputError, match="there are text-score") as refused:
        Order("scorer", "style", "regression", format="messages").check()
    assert refused.value.where == "field format"
    with pytest.raises(BadInputError, match="there are chosen-rejected"):
        Order("scorer", "style", "reward", format="reward").check()


def test_what_is_meant_where_no_format_is_named_hangs_on_the_role() -> None:
    assert downloads.first_format("llm", "repair", "reward") == "pairs"
    assert downloads.first_format("scorer", "style", "reward") == "chosen-rejected"
    with pytest.raises(BadInputError):
        downloads.first_format("llm", "repair", "poetry")
