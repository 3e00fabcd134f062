"""Benchmarks: what a list names is blocked and nothing else, and their words are found again."""

import json
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contamination import Benchmark, BlockList, Overlap, benchmark_texts
from app.errors import BadInputError, TooLargeError

COMMIT = "182ce3dd15dfa3537391c3efaf9c3ff407d134d4"
OTHER = "0c4a1d2e3f405162738495a6b7c8d9e0f1a2b3c4"


def blocks(
    text: str,
    repository: str = "",
    issue: str = "",
    *,
    issue_id: str | None = None,
    extra: Mapping[str, object] | None = None,
    name: str = "list.txt",
) -> str | None:
    return BlockList.parse(text, name).blocks(repository, issue_id, issue, extra or {})


# --- block lists --------------------------------------------------------------------------------------------------

NUMBER_FORMS = [
    "pallets/flask#4045",
    "pallets/flask 4045",
    "Pallets/Flask   #4045",
    "pallets/flask,4045",
    "pallets/flask;4045\r",
    "pallets/flask#4045  # the one with the dot",
    "pallets__flask-4045",
    "instance_pallets__flask-4045",
    "pallets__flask 4045",
    "https://github.com/pallets/flask/issues/4045",
    "https://github.com/pallets/flask/pull/4045",
    "https://github.com/pallets/flask/pull/4045.patch",
    "https://api.github.com/repos/pallets/flask/issues/4045",
    "flask 4045",
    "flask#4045",
    "\ufeffpallets/flask#4045",
    "pallets__flask-4045,psf__requests-1  flask#2",
    "# SWE-bench lite\n\n   \npallets/flask#4045",
    "repo,number\npallets/flask,4045",
    '\n"repo";"pull_number"\n"pallets/flask";"4045"\n',
    "Instance_ID\npallets__flask-4045\n",
    "repo\tissue_numbers\tpatch\npallets/flask\t['12', '4045']\tdiff",
    'repo,instance_id,problem_statement\npallets/flask,pallets__flask-4045,"Two\nlines, and #1"\n',
    '{"repo": "pallets/flask", "pull_number": 4045}',
    '{"repo": "pallets/flask", "issue_numbers": ["12", "4045"], "problem_statement": "psf/requests#1"}',
    '{"instance_id": "pallets__flask-4045"}\n{"instance_id": "psf__requests-1"}\n',
    '{"org": "pallets", "repo": "flask", "number": 4045, "base": {"sha": "' + OTHER + '"}}',
    '{"org": "pallets", "repo": "flask", "resolved_issues": [{"number": 4045, "title": "x"}]}',
    '{"repo": "https://github.com/pallets/flask.git", "issue": "4045"}',
    '[{"repo": "pallets/flask", "number": 4045}]',
    '[\n  {"html_url": "https://github.com/pallets/flask/pull/4045"}\n]',
    '["pallets__flask-4045"]',
]


@pytest.mark.parametrize("text", NUMBER_FORMS)
def test_a_number_is_blocked_however_it_is_written(text: str) -> None:
    assert blocks(text, "pallets/flask", "It broke, see #4045.")
    assert blocks(text, "", issue_id="pallets__flask-4045")
    assert not blocks(text, "pallets/flask", "It broke, see #4046 and #404 and #40451.")
    assert not blocks(text, "pallets/click", "It broke, see #4045.", issue_id="4045", extra={"pr": 4045})
    assert not blocks(text, "", "It broke, see #4045.", issue_id="4045", extra={"pr": 4045})


COMMIT_FORMS = [
    f"pallets/flask@{COMMIT}",
    f"pallets/flask {COMMIT.upper()}",
    f"pallets/flask@{COMMIT[:7]}",
    f"https://github.com/pallets/flask/commit/{COMMIT}",
    f"repo,base_commit\npallets/flask,{COMMIT}\n",
    json.dumps({"repo": "pallets/flask", "base_commit": COMMIT, "version": "2.0"}),
    json.dumps({"org": "pallets", "repo": "flask", "base": {"sha": COMMIT, "ref": "main"}}),
    f"instance_pallets__flask-{COMMIT}-v0aaa",
]


@pytest.mark.parametrize("text", COMMIT_FORMS)
def test_a_commit_is_blocked_however_it_is_written(text: str) -> None:
    assert blocks(text, "flask", extra={"base_commit": COMMIT})
    assert blocks(text, "pallets/flask", extra={"commit": COMMIT[:10]})
    assert blocks(text, "", f"https://github.com/pallets/flask/commit/{COMMIT[:12]} broke it")
    assert not blocks(text, "pallets/flask", extra={"base_commit": OTHER})
    assert not blocks(text, "pallets/flask", extra={"base_commit": COMMIT[:6]})
    assert not blocks(text, "pallets/flask", extra={"message": COMMIT[:10], "base_commit": 182})
    assert not blocks(text, "pallets/click", extra={"base_commit": COMMIT[:10]})


def test_a_full_commit_is_the_same_in_every_repository_and_a_short_one_is_not() -> None:
    assert blocks(COMMIT, "me/my-flask", extra={"sha": COMMIT})
    assert blocks(f"pallets/flask@{COMMIT}", "me/my-flask", f"At {COMMIT} it worked.")
    assert not blocks(f"pallets/flask@{COMMIT}", "me/my-flask", f"At {COMMIT}0 it worked.")
    assert not blocks(f"pallets/flask@{COMMIT[:12]}", "me/my-flask", f"At {COMMIT} it worked.")


@pytest.mark.parametrize(
    ("listed", "repository", "same"),
    [
        ("pallets/flask", "pallets/flask", True),
        ("pallets/flask", "Pallets/Flask", True),
        ("pallets/flask", "flask", True),
        ("flask", "pallets/flask", True),
        ("pallets/flask", "pallets__flask", True),
        ("pallets/flask", "git@github.com:pallets/flask.git", True),
        ("pallets/flask", "me/flask", False),
        ("pallets/flask", "pallets", False),
        ("pallets/flask", "flask-login", False),
        ("pallets/flask", "", False),
        ("scikit-learn/scikit-learn", "scikit-learn", True),
    ],
)
def test_repositories_are_the_same_where_one_has_no_owner(listed: str, repository: str, same: bool) -> None:
    for text, issue in ((f"{listed} 7", "Fixes #7"), (f"{listed} *", "Anything")):
        assert bool(blocks(text, repository, issue)) is same


@pytest.mark.parametrize(
    ("issue", "found"),
    [
        ("#7", True),
        ("Fixes #7.", True),
        ("(GH-7)", True),
        ("gh-7", True),
        ("7", False),
        ("issue 7", False),
        ("&#7;", False),
        ("a#7", False),
        ("#7a", False),
        ("page/#7", False),
        ("##7", False),
        ("#70", False),
        ("psf/requests#7", False),
        ("https://github.com/psf/requests/issues/7", False),
        ("pallets/flask#7", True),
        ("pallets/flask#77", False),
        ("x/pallets/flask#7", False),
        ("see https://github.com/pallets/flask/issues/7#issuecomment-1", True),
        ("as in pallets__flask-7, but", True),
        ("as in mypallets__flask-7, but", False),
        ("as in pallets__flask-7b", False),
    ],
)
def test_only_what_names_the_issue_counts(issue: str, found: bool) -> None:
    assert bool(blocks("pallets/flask#7", "flask", issue)) is found


@pytest.mark.parametrize(
    ("issue_id", "found"),
    [("7", True), ("#7", True), (" GH-7 ", True), ("pallets/flask#7", True), ("TASK-7", False), ("77", False)],
)
def test_an_issues_id_counts(issue_id: str, found: bool) -> None:
    assert bool(blocks("pallets/flask#7", "flask", issue_id=issue_id)) is found


@pytest.mark.parametrize(
    ("extra", "how"),
    [
        ({"instance_id": "pallets__flask-7"}, "its field instance_id names it"),
        ({"issue_url": "https://github.com/pallets/flask/issues/7"}, "its field issue_url names it"),
        ({"pull_request": {"number": 7}}, "its field pull_request names it"),
        ({"issue_numbers": [3, "7"]}, "its field issue_numbers names it"),
        ({"pr": "#7"}, "its field pr names it"),
        ({"number": 7}, None),
        ({"attempt": 7}, None),
        ({"pr": 7.0}, None),
        ({"pr": True}, None),
        ({"pr": "7 of 9"}, None),
        ({"pr": [[7]]}, None),
        ({"url": "read pallets/flask#7 too"}, None),
    ],
)
def test_an_entrys_own_keys_count(extra: dict[str, object], how: str | None) -> None:
    expected = how and f"swe.txt, line 3, blocks pallets/flask#7: {how}."

    assert blocks("# mine\n\npallets/flask#7\n", "flask", extra=extra, name="swe.txt") == expected


def test_the_reason_names_the_list_and_the_line() -> None:
    text = f"repo,base_commit,number\nflask,,7\npsf/requests,{COMMIT},\n"

    assert blocks(text, "flask", "#7", name="a.csv") == (
        "a.csv, line 2, blocks flask#7: the text of its issue names it."
    )
    assert blocks(text, "", extra={"base_commit": COMMIT}, name="a.csv") == (
        "a.csv, line 3, blocks psf/requests@182ce3dd15df: its field base_commit names it."
    )
    assert blocks("django/django *", "django") == "list.txt, line 1, blocks all of django/django: it comes from there."


def test_each_name_is_counted_once() -> None:
    assert len(BlockList.parse("pallets/flask#7\npallets__flask-7\nflask 7\n", "x")) == 2
    assert len(BlockList.parse("# nothing yet\n", "x")) == 0
    assert len(BlockList.parse("", "x")) == 0


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("pallets/flask#7\npallets/flask\n", "x:2"),
        ("pallets/flask#7\n\nthe flask issue 7\n", "x:3"),
        ("7", "x:1"),
        ("pallets/flask 182ce", "x:1"),
        ("pallets/flask 7 8", "x:1"),
        ("a/b/c 7", "x:1"),
        ("pallets__flask-7,pallets__flask", "x:1"),
        ("my-pallets__flask-7b", "x:1"),
        ("see:https://github.com/pallets/flask/issues/7", "x:1"),
        (".git *", "x:1"),
        ("*", "x:1"),
        ('{"repo": "pallets/flask"}', "x:1"),
        ('{"repo": "pallets/flask", "number": 7}\n{"number": 7}\n', "x:2"),
        ('{"repo": "pallets/flask", "number": -7}', "x:1"),
        ('{"repo": "pallets/flask", "number": 7}\n{"repo": "pallets/fl', "x:2"),
        ('[{"repo": "a/b", "number": 7}, 7, [[]]]', "x:2"),
        ("repo,number\na/b,7\na/b,\n", "x:3"),
        ("repo,number,patch\na/b,7," + "x" * 200_000, "x:2"),
        ("x" * 1000, "x:1"),
        ("\x00\ud800", "x:1"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_a_line_that_names_nothing_is_refused(text: str, where: str) -> None:
    with pytest.raises(BadInputError) as caught:
        BlockList.parse(text, "x")

    assert caught.value.where == where
    assert len(caught.value.message) < 400


def test_all_lines_that_name_nothing_are_counted() -> None:
    with pytest.raises(BadInputError, match=r"Line 1 of x names .* 99 more are like it"):
        BlockList.parse("flask\n" * 100, "x")


@pytest.mark.parametrize("name", ["x", "x.csv", "x.json", "x.jsonl"])
@given(st.text() | st.lists(st.sampled_from([*NUMBER_FORMS, *COMMIT_FORMS, ",", "{", "[", '"', "\n"])).map("".join))
def test_any_text_is_a_list_or_refused(name: str, text: str) -> None:
    with suppress(BadInputError):
        BlockList.parse(text, name).blocks(text, text, text, {"base_commit": text, "pr": text})


# --- n-grams ------------------------------------------------------------------------------------------------------


def words(seed: int, n: int) -> str:
    drawn = random.Random(seed)
    return " ".join(f"w{drawn.randrange(10**6)}" for _ in range(n))


def learned(*texts: str, overlap: Overlap | None = None) -> Benchmark:
    benchmark = Benchmark(overlap)
    for text in texts:
        benchmark.learn(text)
    return benchmark


def test_an_excerpt_that_was_planted_is_found() -> None:
    sources = [words(seed, 300) for seed in range(20)]
    benchmark = learned(*sources)
    rows = [words(1000 + seed, 400) for seed in range(200)]
    planted = {
        at: f"{rows[at]}\n{' '.join(sources[at % 20].split(' ')[at : at + 100])}" for at in range(0, len(rows), 4)
    }
    rows = [planted.get(at, row) for at, row in enumerate(rows)]
    for row in rows:
        benchmark.count(row)

    assert {at for at, row in enumerate(rows) if benchmark.flags(row)} == set(planted)
    assert benchmark.flags(rows[0]) == ("18 % of its runs of 13 words stand in the benchmark, and at most 10 % may.")
    assert benchmark.as_json() == {
        "n": 13,
        "most_rows": 20,
        "share": 0.1,
        "most_grams": 5_000_000,
        "texts": 20,
        "texts_too_short": 0,
        "n_grams": 20 * 288,
        "n_grams_left_out": 0,
        "counted": 200,
    }


def test_what_many_rows_hold_is_everybodys() -> None:
    boilerplate, own = words(1, 60), words(2, 60)
    benchmark = learned(f"{boilerplate}\n{own}")
    for seed in range(21):
        benchmark.count(f"{boilerplate} {words(100 + seed, 20)}")
    benchmark.count(own)

    assert benchmark.share(boilerplate) == 0
    assert benchmark.flags(f"{boilerplate} {words(100, 20)}") is None
    assert benchmark.share(own) == 1
    assert benchmark.as_json()["n_grams_left_out"] == 48


@pytest.mark.parametrize(("n_rows", "share"), [(0, 1), (1, 1), (20, 1), (21, 0), (300, 0)])
def test_an_n_gram_is_left_out_from_one_row_too_many_on(n_rows: int, share: float) -> None:
    benchmark = learned(words(1, 40))
    for _ in range(n_rows):
        # Twice in one row is one row.
        benchmark.count(words(1, 40), words(1, 40))

    assert benchmark.share(words(1, 40)) == share


def test_the_candidates_of_one_issue_are_one_row() -> None:
    own = words(1, 60)
    benchmark = learned(own)
    for at in range(100):
        benchmark.count(own, issue=b"one issue" * 3)
        benchmark.count(words(at, 60)[:100], issue=b"%d" % at)

    assert benchmark.share(own) == 1
    for at in range(20):
        benchmark.count(own, issue=b"%04d" % at)
    assert benchmark.share(own) == 0


def test_n_grams_end_where_a_text_does() -> None:
    text = words(1, 26)
    first, second = text.split(" ")[:12], text.split(" ")[12:]
    benchmark = learned(text)

    assert benchmark.share(" ".join(first), " ".join(second)) == 1
    assert benchmark.share(" ".join(first)) == 0
    assert benchmark.share(" ".join(first), words(2, 14)) == 0
    assert benchmark.share() == benchmark.share("") == 0


def test_the_share_is_of_all_n_grams_of_the_row() -> None:
    text = words(1, 13)
    benchmark = learned(text)

    # 13 of the row's 22 words, one of its ten n-grams.
    assert benchmark.share(f"{text} {words(2, 9)}") == 0.1
    assert benchmark.flags(f"{text} {words(2, 9)}") is None
    assert benchmark.flags(f"{text} {words(2, 8)}")


def test_words_are_found_whatever_their_case_and_white_space() -> None:
    benchmark = learned("def Parse(self, text):\n    return self.READ(text)[0] + 'é'")

    assert benchmark.share("  DEF parse ( self,text ) :\treturn self . read(text) [0]+'É' ") == 1
    assert benchmark.share("def parse(self, text): return self.read(text)[1] + 'e'") < 0.5


@pytest.mark.parametrize("n", [2, 5, 13, 100])
def test_what_is_asked_for_is_done(n: int) -> None:
    text = words(3, 150)
    benchmark = learned(text, words(4, n - 1), overlap=Overlap(n=n, most_rows=1, share=0.5))

    assert benchmark.as_json() == {
        "n": n, "most_rows": 1, "share": 0.5, "most_grams": 5_000_000,
        "texts": 2, "texts_too_short": 1, "n_grams": 151 - n, "n_grams_left_out": 0, "counted": 0,
    }  # fmt: skip
    assert benchmark.share(text) == 1
    assert benchmark.share(" ".join(reversed(text.split(" ")))) == 0
    benchmark.count(text)
    assert benchmark.flags(text)
    benchmark.count(text)
    assert not benchmark.flags(text)


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=40).map(" ".join), max_size=4),
    st.lists(st.lists(st.sampled_from("abc"), max_size=40).map(" ".join), max_size=6),
    st.integers(2, 5),
    st.integers(1, 3),
)
def test_the_share_is_what_counting_by_hand_gives(sources: list[str], rows: list[str], n: int, most_rows: int) -> None:
    def grams(text: str) -> list[tuple[str, ...]]:
        found = text.split()
        return [tuple(found[at : at + n]) for at in range(len(found) - n + 1)]

    known = {gram for source in sources for gram in grams(source)}
    held = {gram: sum(gram in grams(row) for row in rows) for gram in known}
    benchmark = learned(*sources, overlap=Overlap(n=n, most_rows=most_rows))
    for row in rows:
        benchmark.count(row)

    assert benchmark.as_json()["n_grams"] == len(known)
    for row in rows:
        found = grams(row)
        counted = sum(held.get(gram, most_rows + 1) <= most_rows for gram in found)
        assert benchmark.share(row) == (counted / len(found) if found else 0)


def test_a_long_text_is_read_in_pieces_as_a_short_one_is_at_once() -> None:
    text = words(1, 30_000)
    assert len(text) > 1 << 16
    benchmark = learned(text)

    assert benchmark.as_json()["n_grams"] == 30_000 - 12
    assert benchmark.share(text[:60_000]) == 1
    assert benchmark.share(text) == 1
    # Every run is there, those across the seams too.
    for at in range(4096 - 13, 4096 + 1):
        assert benchmark.share(" ".join(text.split(" ")[at : at + 13])) == 1


def test_numbers_are_the_same_in_every_process() -> None:
    program = (
        "from app.contamination import Benchmark\n"
        "b = Benchmark()\n"
        "print([g for gs in b._of(' '.join(map(str, range(20)))) for g in gs])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }

    assert len(printed) == 1
    assert len(set(json.loads(printed.pop()))) == 8


def test_a_benchmark_of_too_many_words_is_refused() -> None:
    with pytest.raises(TooLargeError, match=r"more than 1,000 different runs of 13 words") as caught:
        learned(words(1, 1_100), overlap=Overlap(most_grams=1_000))

    assert caught.value.where == "field most_grams"
    assert learned(words(1, 1_012), overlap=Overlap(most_grams=1_000)).as_json()["n_grams"] == 1_000


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"n": 1}, "field n"),
        ({"n": 101}, "field n"),
        ({"n": "many"}, "field n"),
        ({"n": 13.5}, "field n"),
        ({"n": True}, "field n"),
        ({"n": [13]}, "field n"),
        ({"n": "9" * 5000}, "field n"),
        ({"most_rows": 0}, "field most_rows"),
        ({"most_rows": 65_535}, "field most_rows"),
        ({"most_grams": 0}, "field most_grams"),
        ({"most_grams": 10**9}, "field most_grams"),
        ({"share": 1}, "field share"),
        ({"share": -0.1}, "field share"),
        ({"share": "nan"}, "field share"),
        ({"share": "10 %"}, "field share"),
        ({"share": {}}, "field share"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_number_that_makes_no_sense_is_refused(given: dict[str, object], where: str) -> None:
    with pytest.raises(BadInputError) as caught:
        Overlap.parse(given)

    assert caught.value.where == where


def test_numbers_are_read_from_a_form_and_from_a_manifest() -> None:
    assert Overlap.parse({"n": "10", "most_rows": "", "share": "0.25", "other": 1}) == Overlap(n=10, share=0.25)
    assert Overlap.parse(Overlap(7, 3, 0, 9).as_json()) == Overlap(7, 3, 0, 9)
    assert Overlap.parse(learned("x").as_json()) == Overlap()


# --- files of a benchmark -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("one text\nof two lines", "issue.txt", ["one text\nof two lines"]),
        ("one text", "issue", ["one text"]),
        ("", "issue.md", [""]),
        ("{ not json }\n", "patch.diff", ["{ not json }\n"]),
        ("[section]\nkey = 1\n", "setup.cfg", ["[section]\nkey = 1\n"]),
        ('{"a": "x", "b": [1, "y", {"c": "z"}], "d": null}\n\n{"a": "w"}\n', "b.jsonl", ["x", "y", "z", "w"]),
        ('{"a": "x"}\r\n{"a": "y\\u2028z"}', "b.txt", ["x", "y\u2028z"]),
        ('\ufeff{"a": "x"}', "b.jsonl", ["x"]),
        ('[{"a": "x"},\n {"a": "y"}]', "b.json", ["x", "y"]),
        ('{\n "a": "x"\n}', "b.json", ["x"]),
        ('{"a": "x"}\n{"a": "y"}', "b.JSON", ["x", "y"]),
        ('"x"\n"y"', "b.jsonl", ["x", "y"]),
        ("\n\n", "b.jsonl", []),
    ],
)
def test_a_benchmarks_texts_are_read_from_either_form(text: str, name: str, expected: list[str]) -> None:
    assert list(benchmark_texts(text, name)) == expected


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"a": "x"}\n{"a": "y', "b.jsonl:2"),
        ('{"a": "x"}\n\nplain\n', "b.jsonl:3"),
        ("[" * 100_000, "b.jsonl:1"),
        ('{"a": ' + "1" * 5000 + "}", "b.jsonl:1"),
    ],
    ids=["cut", "plain", "deep", "long number"],
)
def test_a_line_that_is_no_json_is_refused(text: str, where: str) -> None:
    with pytest.raises(BadInputError) as caught:
        list(benchmark_texts(text, "b.jsonl"))

    assert caught.value.where == where


def test_a_benchmark_in_either_form_finds_the_same() -> None:
    issue, patch = words(1, 50), words(2, 50)
    as_rows = json.dumps({"instance_id": "a__b-1", "problem_statement": issue, "patch": patch})
    one = learned(*benchmark_texts(as_rows, "swe.jsonl"))
    other = learned(*benchmark_texts(issue, "1/issue.txt"), *benchmark_texts(patch, "1/fix.patch"))

    assert one.as_json() | {"texts": 2, "texts_too_short": 0} == other.as_json()
    assert one.share(issue, patch) == other.share(issue, patch) == 1


# --- hostile text -------------------------------------------------------------------------------------------------

HOSTILE = {
    "one word": "x" * 1_000_000,
    "NULs": "\x00" * 100_000,
    "surrogates": "\ud800 \udfff" * 30_000,
    "signs": "x#1/@-__." * 15_000,
    "owners": "a-" * 100_000 + "__b-1",
    "instances": "a__b-1-1-1." * 10_000,
    "numbers": "1" * 1_000_000 + "x",
    "lines": "\n" * 200_000 + "pallets/flask#8 x",
    "spaces": "x" + " " * 1_000_000 + "y",
    "hex": "0123456789abcdef" * 10_000,
    "quotes": '"' * 100_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_text_is_read_in_little_memory(text: str) -> None:
    listed = BlockList.parse("pallets/flask#7\n", "x")
    benchmark = learned(words(1, 100))
    tracemalloc.start()
    benchmark.count(text)
    assert benchmark.share(text) == 0
    assert listed.blocks("flask", text, text, {"pr": text, "base_commit": text, "url": text}) is None
    with pytest.raises(BadInputError) as caught:
        BlockList.parse(text, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(caught.value.message) < 400
    # Some copies of the text: of one word, as bytes and in small letters; of a list, the text and its line.
    assert peak < 6 * sys.getsizeof(text) + 2_000_000


def test_a_line_of_40_mb_is_read_in_little_memory() -> None:
    text = "x" * 40_000_000
    benchmark = learned(words(1, 100), text)
    listed = BlockList.parse("pallets/flask#7\n", "x")
    tracemalloc.start()
    benchmark.count(text)
    assert benchmark.share(f"{words(1, 100)} {text}") == 88 / 89
    assert listed.blocks("flask", None, text, {}) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 200_000_000


def test_hostile_text_may_be_a_benchmark() -> None:
    for text in HOSTILE.values():
        assert learned(text).share(text) in {0, 1}


def test_memory_hangs_on_the_benchmark_alone() -> None:
    benchmark = learned(words(1, 5_000))
    rows = [words(2 + seed, 200) for seed in range(50)]
    benchmark.count(*rows)
    tracemalloc.start()
    for at in range(500):
        benchmark.count(rows[at % 50])
        benchmark.share(rows[at % 50])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 200_000
    assert len(benchmark._grams.rows) * 14 <= 42 * 5_000
