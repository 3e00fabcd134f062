"""Splits: no group in two, nothing released moves, and what crosses is told."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import combinations, permutations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BadInputError
from app.examples import Split
from app.splits import By, InMemory, Leaks, Member, Placed, Plan, deal, ledger_after, place, repository_of

TRAIN, VALIDATION, TEST, BENCHMARK = Split.TRAIN, Split.VALIDATION, Split.TEST, Split.BENCHMARK
MAY = datetime(2025, 5, 1, tzinfo=UTC)
JUNE = datetime(2025, 6, 1, tzinfo=UTC)
JULY = datetime(2025, 7, 1, tzinfo=UTC)
BY_ISSUE = Plan()
BY_REPOSITORY = Plan(By.REPOSITORY)
BY_TIME = Plan(By.TIME, validation_from=JUNE, test_from=JULY)
PLANS = {"issue": BY_ISSUE, "repository": BY_REPOSITORY, "time": BY_TIME}


def key(number: int) -> bytes:
    return hashlib.sha256(b"issue %d" % number).digest()


def repository_in(split: Split) -> str:
    """A repository that the plans above deal to the split."""
    names = (f"project{number}" for number in range(1000))
    return next(name for name in names if deal(hashlib.sha256(name.encode()).digest(), BY_REPOSITORY) is split)


def group_in(split: Split) -> bytes:
    return next(key(number) for number in range(1000) if deal(key(number), BY_ISSUE) is split)


def splits_of(placed: dict[bytes, Placed]) -> list[Split | None]:
    return [one.split for one in placed.values()]


# --- dealing ------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32), st.integers(-(2**63) + 1, 2**63 - 1))
def test_the_shares_of_every_project_are_cut_where_they_always_were(key: bytes, seed: int) -> None:
    at = int.from_bytes(hashlib.sha256(b"%d:" % seed + key).digest()[:8])
    expected = TRAIN if at < 2**64 * 8 // 10 else VALIDATION if at < 2**64 * 9 // 10 else TEST

    assert deal(key, Plan(seed=seed)) is expected


def test_a_key_is_dealt_alike_for_ever() -> None:
    dealt = [deal(key(number), Plan(seed=7)).value[:2] for number in range(24)]

    assert "".join(dealt) == "tetrvavatrtrtrtrtrtrtrtrtrvavatrtrtrtrtetrvatrtr"


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.98, 0.01, 0.01), (1 / 3, 1 / 3, 1 / 3)])
def test_shares_are_met_on_many_groups(shares: tuple[float, float, float]) -> None:
    n = 20_000
    found = Counter(deal(key(number), Plan(seed=3, shares=shares)) for number in range(n))

    for split, share in zip((TRAIN, VALIDATION, TEST), shares, strict=True):
        # Five standard deviations.
        assert abs(found[split] - n * share) < 5 * (n * share * (1 - share)) ** 0.5


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((1.0, 0.0, 0.0), {TRAIN}),
        ((0.0, 1.0, 0.0), {VALIDATION}),
        ((0.0, 0.0, 1.0), {TEST}),
        ((0.5, 0.5, 0.0), {TRAIN, VALIDATION}),
        ((0.5, 0.0, 0.5), {TRAIN, TEST}),
        ((0.0, 0.5, 0.5), {VALIDATION, TEST}),
        ((0.7, 0.2, 0.1), {TRAIN, VALIDATION, TEST}),
        ((0.5, 0.4999999995, 0.0), {TRAIN, VALIDATION}),
    ],
)
def test_a_split_without_a_share_gets_nothing(shares: tuple[float, float, float], expected: set[Split]) -> None:
    assert {deal(key(number), Plan(shares=shares)) for number in range(500)} == expected


def test_another_seed_deals_anew() -> None:
    n = 20_000
    moved = sum(deal(key(number), Plan(seed=1)) is not deal(key(number), Plan(seed=2)) for number in range(n))

    assert abs(moved / n - (1 - 0.8**2 - 2 * 0.1**2)) < 0.02


# --- plans --------------------------------------------------------------------------------------------------------


def test_a_plan_that_says_nothing_has_the_defaults() -> None:
    assert Plan.parse({}) == Plan.parse({"by": "", "seed": "", "shares": None, "filter": {}}) == Plan()
    assert Plan().as_json() == {
        "by": "issue",
        "seed": 0,
        "shares": {"train": 0.8, "validation": 0.1, "test": 0.1},
        "rule": "By issue: x is the first 8 bytes of SHA-256 of '0:' and the group digest, over 2^64: under 0.8 train, "
        "under 0.8 + 0.1 validation, else test; what an earlier release held keeps its split.",
    }


@pytest.mark.parametrize(
    "plan",
    [
        *PLANS.values(),
        Plan(seed=-5, shares=(1.0, 0.0, 0.0)),
        Plan(By.REPOSITORY, 2**63 - 1, (0.7, 0.2, 0.1)),
        Plan(By.TIME, validation_from=JUNE.astimezone(timezone(timedelta(hours=5))), test_from=JUNE),
    ],
)
def test_a_plan_is_read_again_from_its_manifest(plan: Plan) -> None:
    again = Plan.parse(plan.as_json())

    assert again == plan
    assert again.as_json() == plan.as_json()
    assert plan.rule.count(".") >= 1


def test_a_form_may_give_numbers_as_text() -> None:
    plan = Plan.parse({"by": "issue", "seed": " 42 ", "shares": {"train": "0.9", "validation": "", "test": "0.1"}})

    assert plan == Plan(seed=42, shares=(0.9, 0.0, 0.1))


def test_only_a_plan_by_time_has_instants() -> None:
    assert Plan.parse({"by": "issue", "validation_from": "nonsense"}) == Plan()
    with pytest.raises(ValueError, match="by time"):
        _ = Plan().instants


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"by": "colour"}, "field by"),
        ({"by": ["issue"]}, "field by"),
        ({"seed": "4.5"}, "field seed"),
        ({"seed": 4.5}, "field seed"),
        ({"seed": True}, "field seed"),
        ({"seed": "9" * 5000}, "field seed"),
        ({"seed": 2**63}, "field seed"),
        ({"seed": -(2**63)}, "field seed"),
        ({"shares": [0.8, 0.1, 0.1]}, "field shares"),
        ({"shares": {"train": 0.8, "validation": 0.1}}, "field shares"),
        ({"shares": {"train": 0.8, "validation": 0.1, "test": 0.100001}}, "field shares"),
        ({"shares": {}}, "field shares"),
        ({"shares": {"train": 1, "tset": 0}}, "field shares.tset"),
        ({"shares": {"train": 1, "benchmark": 0}}, "field shares.benchmark"),
        ({"shares": {"train": 1.1, "validation": -0.1}}, "field shares.train"),
        ({"shares": {"train": 1, "validation": -0.1, "test": 0.1}}, "field shares.validation"),
        ({"shares": {"train": 0.8, "validation": 0.1, "test": "much"}}, "field shares.test"),
        ({"shares": {"train": 0.8, "validation": 0.1, "test": float("nan")}}, "field shares.test"),
        ({"shares": {"train": "inf"}}, "field shares.train"),
        ({"shares": {"train": 10**5000}}, "field shares.train"),
        ({"shares": {"train": True}}, "field shares.train"),
        ({"by": "time"}, "field validation_from"),
        ({"by": "time", "validation_from": JUNE.isoformat()}, "field test_from"),
        ({"by": "time", "validation_from": "", "test_from": JULY}, "field validation_from"),
        ({"by": "time", "validation_from": "yesterday", "test_from": JULY}, "field validation_from"),
        ({"by": "time", "validation_from": JUNE, "test_from": "2025-07-01T00:00:00"}, "field test_from"),
        ({"by": "time", "validation_from": JUNE, "test_from": "0001-01-01T00:00:00+05:00"}, "field test_from"),
        ({"by": "time", "validation_from": JULY, "test_from": JUNE}, "field test_from"),
        ({"by": "time", "validation_from": 17, "test_from": JUNE}, "field validation_from"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_plan_that_makes_no_sense_is_refused_by_field(given: dict[str, object], where: str) -> None:
    with pytest.raises(BadInputError) as caught:
        Plan.parse(given)

    assert caught.value.where == where
    assert caught.value.message.endswith(".")
    assert len(caught.value.message) < 300


# --- placing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [TRAIN, VALIDATION, TEST])
def test_a_new_group_goes_where_its_key_is_dealt(split: Split) -> None:
    group = group_in(split)
    placed = place([Member(group, group), Member(key(-1), group)], BY_ISSUE)

    assert set(placed.values()) == {Placed(split, "digest", "Dealt by the digest of its group.")}


@pytest.mark.parametrize("held", list(Split))
@pytest.mark.parametrize("own", [TRAIN, VALIDATION, TEST])
def test_by_issue_a_new_one_follows_what_was_released_of_its_group(held: Split, own: Split) -> None:
    group = group_in(own)
    placed = place([Member(group, group), Member(key(-1), group, held)], BY_ISSUE)

    assert splits_of(placed) == [held, held]
    assert placed[group].dealt == ("benchmark" if held is BENCHMARK else "ledger")
    assert placed[group].why.startswith("Its group ")
    assert placed[key(-1)].why.startswith("It ")


SEVERAL = [held for n in (2, 3, 4) for held in combinations(Split, n)]


@pytest.mark.parametrize("held", SEVERAL, ids="-".join)
@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
def test_of_a_group_that_was_released_in_several_splits_only_the_most_held_out_stays(
    held: tuple[Split, ...], plan: Plan
) -> None:
    stays = next(split for split in (BENCHMARK, TEST, VALIDATION, TRAIN) if split in held)
    for order in permutations([*held, None]):
        members = [Member(key(at), key(0), kept, "httpx", MAY) for at, kept in enumerate(order)]
        placed = place(members, plan)

        assert splits_of(placed) == [kept if kept is stays else None for kept in order]
        for kept, one in zip(order, placed.values(), strict=True):
            if kept is not stays:
                assert all(split in one.why for split in held)
                assert one.dealt == "ledger"


def test_what_is_left_out_says_why() -> None:
    members = [Member(key(0), key(0), TRAIN), Member(key(1), key(0), TEST), Member(key(2), key(0))]
    placed = place(members, BY_ISSUE)

    assert placed[key(0)].why == (
        "Its group is in test and train since earlier releases, and it was in train. What was released never moves, so "
        "only what is in test stays."
    )
    assert "and it is new." in placed[key(2)].why


@pytest.mark.parametrize("own", list(product((TRAIN, VALIDATION, TEST), repeat=2)), ids="-".join)
def test_by_repository_a_group_that_reaches_into_two_splits_keeps_the_most_held_out(own: tuple[Split, Split]) -> None:
    members = [Member(key(at), key(0), None, repository_in(split)) for at, split in enumerate(own)]
    stays = max(own, key=[TRAIN, VALIDATION, TEST].index)
    placed = place(members, BY_REPOSITORY)

    assert splits_of(placed) == [split if split is stays else None for split in own]
    assert {one.dealt for one in placed.values()} == {"repository"}


@pytest.mark.parametrize("held", list(Split))
@pytest.mark.parametrize("own", [TRAIN, VALIDATION, TEST])
def test_by_repository_what_was_released_stays_and_a_new_one_never_follows_into_another_split(
    held: Split, own: Split
) -> None:
    members = [Member(key(0), key(0), held, repository_in(TRAIN)), Member(key(1), key(0), None, repository_in(own))]
    placed = place(members, BY_REPOSITORY)

    assert splits_of(placed) == [held, own if own is held else None]


def test_by_repository_an_issue_that_stands_in_two_splits_is_left_out() -> None:
    train, test = repository_in(TRAIN), repository_in(TEST)
    torn = [Member(key(0), key(0), None, train), Member(key(0), key(0), None, test)]

    assert splits_of(place(torn, BY_REPOSITORY)) == [None]
    placed = place([*torn, Member(key(1), key(0), None, test), Member(key(2), key(0), None, train)], BY_REPOSITORY)
    assert splits_of(placed) == [None, TEST, None]
    assert placed[key(0)].why == (
        "Its group reaches into test and train, and its repository belongs to test and train. Only what belongs to "
        "test alone stays."
    )


def test_by_repository_an_issue_from_nowhere_is_left_out() -> None:
    placed = place([Member(key(0), key(0)), Member(key(1), key(0), None, repository_in(TRAIN))], BY_REPOSITORY)

    assert splits_of(placed) == [None, TRAIN]
    assert placed[key(0)].why.startswith("No repository:")
    assert place([Member(key(0), key(0), TEST)], BY_REPOSITORY)[key(0)].split is TEST


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (JUNE - timedelta(microseconds=1), TRAIN),
        (JUNE, VALIDATION),
        (JULY - timedelta(microseconds=1), VALIDATION),
        (JULY, TEST),
        (JULY.astimezone(timezone(timedelta(hours=-9))), TEST),
        (datetime.min.replace(tzinfo=UTC), TRAIN),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))), TEST),
    ],
)
def test_by_time_the_newest_instant_places_the_whole_group(newest: datetime, expected: Split) -> None:
    members = [
        Member(key(0), key(0), None, "", datetime.min.replace(tzinfo=UTC)),
        Member(key(1), key(0), None, "", newest),
        Member(key(2), key(0)),
    ]
    for order in permutations(members):
        assert set(place(order, BY_TIME).values()) == {
            Placed(expected, "time", "Placed by the newest instant of its group.")
        }


def test_by_time_a_group_without_any_is_left_out() -> None:
    placed = place([Member(key(0), key(0)), Member(key(1), key(0), TRAIN)], BY_TIME)

    assert splits_of(placed) == [None, TRAIN]
    assert placed[key(0)].why.startswith("No time:")


def test_by_time_what_was_released_stays_when_its_group_grows_newer() -> None:
    members = [Member(key(0), key(0), TRAIN, "", MAY), Member(key(1), key(0), None, "", JULY)]
    placed = place(members, BY_TIME)

    assert splits_of(placed) == [TRAIN, None]
    assert placed[key(1)].why == (
        "Its group is in train since an earlier release, but its newest instant belongs to test."
    )


def test_a_group_is_placed_by_itself() -> None:
    assert place([], BY_ISSUE) == {}
    with pytest.raises(ValueError, match="one group"):
        place([Member(key(0), key(0)), Member(key(1), key(1))], BY_ISSUE)


def test_a_ledger_takes_what_is_new_and_placed() -> None:
    members = [Member(key(0), key(0), TEST), Member(key(1), key(0)), Member(key(2), key(0))]
    placed = {key(0): Placed(TEST, "ledger", ""), key(1): Placed(TEST, "ledger", ""), key(2): Placed(None, "time", "")}

    assert ledger_after(members, placed) == {key(1): TEST}
    assert ledger_after([], placed) == {}


# --- growth -------------------------------------------------------------------------------------------------------

ISSUES = 12
NEW = st.tuples(st.just("new"), st.integers(0, ISSUES - 1), st.integers(0, 6), st.sampled_from([None, MAY, JUNE, JULY]))
TIE = st.tuples(st.just("tie"), st.integers(0, ISSUES - 1), st.integers(0, ISSUES - 1))
RELEASE = st.tuples(st.just("release"), st.sampled_from(list(PLANS)), st.integers(0, 1))
FREEZE = st.tuples(st.just("freeze"), st.integers(0, ISSUES - 1))
STEPS: st.SearchStrategy[list[tuple[Any, ...]]] = st.lists(st.one_of(NEW, TIE, RELEASE, FREEZE), max_size=40)


class World:
    """Issues, what ties them together, and what was released of them; grows a step at a time."""

    def __init__(self) -> None:
        self.members: dict[int, list[Member]] = {}
        self.group = list(range(ISSUES))
        self.ledger: dict[bytes, Split] = {}

    def new(self, issue: int, repository: int, newest_at: datetime | None) -> None:
        name = "" if repository == 0 else f"project{repository}"
        self.members.setdefault(issue, []).append(Member(key(issue), b"", None, name, newest_at))

    def tie(self, one: int, other: int) -> None:
        was, now = self.group[one], self.group[other]
        self.group = [now if group == was else group for group in self.group]

    def freeze(self, issue: int) -> None:
        self.ledger.setdefault(key(issue), BENCHMARK)

    def groups(self) -> list[list[Member]]:
        found: dict[int, list[Member]] = {}
        for issue, said in self.members.items():
            found.setdefault(self.group[issue], []).extend(said)
        return [
            [
                member._replace(group=min(one.issue for one in members), kept=self.ledger.get(member.issue))
                for member in members
            ]
            for members in found.values()
        ]

    def release(self, plan: Plan) -> None:
        before = dict(self.ledger)
        for members in self.groups():
            placed = place(members, plan)
            assert placed.keys() == {member.issue for member in members}
            assert len({one.split for one in placed.values()} - {None}) <= 1, "a group stands in two splits"
            for issue, one in placed.items():
                assert one.split in {before.get(issue, one.split), None}, "what was released moved"
                assert one.why.endswith(".")
                assert one.split is not BENCHMARK or one.dealt == "benchmark"
            self.ledger |= ledger_after(members, placed)
        assert {issue: self.ledger[issue] for issue in before} == before


def grown(steps: Sequence[tuple[Any, ...]], plans: dict[tuple[str, int], Plan]) -> World:
    world = World()
    for name, *arguments in steps:
        if name == "release":
            world.release(plans[arguments[0], arguments[1]])
        else:
            getattr(world, name)(*arguments)
    return world


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_no_group_stands_in_two_splits_and_nothing_released_moves_whatever_comes(steps: list[tuple[Any, ...]]) -> None:
    plans = {
        (name, seed): Plan(plan.by, seed, (0.4, 0.3, 0.3), plan.validation_from, plan.test_from)
        for name, plan in PLANS.items()
        for seed in (0, 1)
    }
    world = grown(steps, plans)
    for plan in plans.values():
        world.release(plan)


@given(st.lists(st.one_of(NEW, TIE), max_size=20), st.randoms(use_true_random=False), st.sampled_from(list(PLANS)))
@settings(max_examples=100, deadline=None)
def test_before_a_release_the_order_of_arrival_decides_nothing(
    steps: list[tuple[Any, ...]], random: Any, name: str
) -> None:
    shuffled = list(steps)
    random.shuffle(shuffled)
    one, other = grown(steps, {}), grown(shuffled, {})
    for world in (one, other):
        world.release(PLANS[name])

    assert one.ledger == other.ledger


# --- repositories -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source_name", "extra", "expected"),
    [
        ("projects/httpx/.agent_data/success_memory.jsonl", {}, "httpx"),
        ("projects/httpx/.agent_data/patch_history/run_1.json", {}, "httpx"),
        ("HTTPX/patch_history/run_1.json", {}, "httpx"),
        ("flask/.autopatches/feature/auto-patch-1/patch_meta.json", {}, "flask"),
        (r"C:\work\httpx\.agent_data\success_memory.jsonl", {}, "httpx"),
        ("./httpx/.agent_data/success_memory.jsonl", {}, "httpx"),
        ("httpx.tar.gz/.agent_data/success_memory.jsonl", {}, "httpx"),
        ("socket.io/.agent_data/success_memory.jsonl", {}, "socket.io"),
        (".agent_data/success_memory.jsonl", {}, ""),
        ("patch_history/run_1.json", {}, ""),
        ("success_memory.jsonl", {}, ""),
        ("run_20250610.json", {}, ""),
        ("patch_meta.json", {}, ""),
        ("httpx.jsonl", {}, "httpx"),
        ("httpx.jsonl.gz", {}, "httpx"),
        ("logs/run_1.json", {}, "logs"),
        ("logs/httpx/today.jsonl", {}, "httpx"),
        ("", {}, ""),
        ("/", {}, ""),
        ("..", {}, ""),
        (".jsonl", {}, ".jsonl"),
        ("x/.agent_data/a.jsonl", {"repository": "encode/httpx"}, "encode/httpx"),
        ("x/.agent_data/a.jsonl", {"repo": "Encode/HTTPX"}, "encode/httpx"),
        ("x/.agent_data/a.jsonl", {"project": "httpx"}, "httpx"),
        ("x/.agent_data/a.jsonl", {"project": "p", "repo": "r"}, "r"),
        ("x/.agent_data/a.jsonl", {"repository": " ", "repo": {"name": "r"}, "project": 7}, "x"),
        ("x/.agent_data/a.jsonl", {"project": "A project\nthat does much."}, "x"),
        ("x/.agent_data/a.jsonl", {"project": "p" * 201}, "x"),
        ("x/.agent_data/a.jsonl", {"repo": "\ud800\x00"}, "x"),
        ("", {"repo": "https://github.com/pallets/flask.git"}, "pallets/flask"),
        ("", {"repo": "https://secret:x@github.com/pallets/flask/"}, "pallets/flask"),
        ("", {"repo": "https://github.com/pallets/flask/issues/4045"}, "pallets/flask"),
        ("", {"repo": "https://gitlab.com/group/below/flask/-/tree/main"}, "group/below/flask"),
        ("", {"repo": "git@github.com:pallets/flask.git"}, "pallets/flask"),
        ("", {"repo": "ssh://git@github.com/pallets/flask"}, "pallets/flask"),
        ("", {"repo": "github.com/pallets/flask"}, "pallets/flask"),
        ("", {"repo": "/home/alice/work/httpx/"}, "httpx"),
        ("", {"repo": r"C:\work\httpx"}, "httpx"),
        ("", {"repo": "~/httpx"}, "httpx"),
    ],
)
def test_the_repository_is_told_by_the_entry_or_by_where_its_log_lies(
    source_name: str, extra: dict[str, object], expected: str
) -> None:
    assert repository_of(source_name, extra) == expected


@given(st.text(), st.dictionaries(st.sampled_from(["repository", "repo", "project"]), st.text() | st.none()))
def test_any_name_gives_a_repository_or_none(source_name: str, extra: dict[str, object]) -> None:
    found = repository_of(source_name, extra)

    assert found == repository_of(source_name, extra)
    assert not found.startswith("/")


# --- leaks --------------------------------------------------------------------------------------------------------


def test_a_clean_release_has_no_leak() -> None:
    leaks = Leaks(InMemory())
    leaks.add(TRAIN, key(0), key(0), 1, key(10), ("a.py", "b.py"))
    leaks.add(TRAIN, key(0), key(0), 1, key(10), ("a.py",))
    leaks.add(TEST, key(1), key(1), None, None, ("b.py",))
    report = leaks.report()

    assert report.is_clean
    assert report.counts == {"issues": 0, "groups": 0, "clusters": 0, "fingerprints": 0, "files": 1}
    assert report.as_json()["issues"] == {
        "crossing": 0, "says": "0 issues stand in more than one split.", "examples": [],
    }  # fmt: skip
    assert report.as_json()["files"] == {
        "crossing": 1,
        "says": "1 file stands in more than one split. They are only counted: one file may be changed for many issues. "
        "By repository, few or none do.",
        "examples": [{"key": "b.py", "splits": ["train", "test"]}],
    }


@pytest.mark.parametrize("kind", ["issues", "groups", "clusters", "fingerprints"])
def test_what_crosses_is_named(kind: str) -> None:
    leaks = Leaks(InMemory())
    for number, split in enumerate((TEST, BENCHMARK, TRAIN)):
        leaks.add(
            split,
            key(0 if kind == "issues" else number + 1),
            key(0 if kind == "groups" else number + 4),
            77 if kind == "clusters" else number,
            key(0 if kind == "fingerprints" else number + 7),
        )
    report = leaks.report()

    assert not report.is_clean
    assert report.counts == dict.fromkeys(report.counts, 0) | {kind: 1}
    assert report.as_json()[kind] == {
        "crossing": 1,
        "says": f"1 {kind[:-1]} stands in more than one split. There may be none: a model would be tested on what it "
        "was trained on.",
        "examples": [{"key": "77" if kind == "clusters" else key(0).hex(), "splits": ["train", "test", "benchmark"]}],
    }


def test_all_are_counted_and_the_first_are_named() -> None:
    leaks = Leaks(InMemory(), most=20)
    for split in (TEST, TRAIN):
        for number in range(12_000):
            leaks.add(split, key(number), key(number), files=(f"\udc80{number:05}.py",))
    report = leaks.report()

    assert report.counts == {"issues": 12_000, "groups": 12_000, "clusters": 0, "fingerprints": 0, "files": 12_000}
    named = {one.kind: [name for name, _ in one.examples] for one in report.crossings}
    assert named["issues"] == sorted(key(number).hex() for number in range(12_000))[:20]
    assert named["files"] == [rf"\xed\xb2\x80{number:05}.py" for number in range(20)]


def test_the_leak_report_itself_remembers_little() -> None:
    class Counting(InMemory):
        n = 0

        def add(self, kind: str, key: bytes, split: Split) -> None:  # noqa: ARG002
            self.n += 1

    store = Counting()
    leaks = Leaks(store)
    for number in range(30_000):
        for _ in range(3):
            leaks.add(TRAIN, key(number), key(number), number)

    assert len(leaks._lately) <= 10_000
    assert 90_000 <= store.n < 91_000
