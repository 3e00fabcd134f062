"""Which things that the logs said speak of one change: by what evidence, in what order, and never against itself."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.assembly import (
    Cluster,
    Facts,
    Form,
    assemble,
    clue_of,
    facts,
    form_of,
    keys,
    keys_of,
    partition,
    sought,
)
from app.candidates import Attempt, Candidate, Kind, PatchSet, Run, Stage, Validity

NOON = datetime(2025, 6, 24, 12, 0, 30, tzinfo=UTC)
SOURCE = "LLMCore_polish_iteration_1"
SCRIPT, OTHER_SCRIPT = "import libcst  # rename a", "import libcst  # rename b"
WORDY_SCRIPT = "NEW = 'retry_limit backoff_seconds jitter'"


def diff(new: str = "b", *, n_context: int = 0) -> str:
    return f"--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+{new}\n" + " the same line\n" * n_context


DIFF, OTHER_DIFF = diff(), diff("c")
LONG = diff("retry_limit backoff_seconds jitter", n_context=100)
CUT = LONG[:1000] + "..."
WORDY = diff("retry_limit = backoff_seconds(jitter)")


def entry(
    script: str | None = SCRIPT,
    shown: str | None = DIFF,
    *,
    issue: str = "Fix x",
    after: float = 0,
    source: str = SOURCE,
) -> Candidate:
    """A success entry; one without a script is of the first generation, which cuts diffs."""
    return Candidate(
        Kind.PATCH,
        "G1" if script is None else "G2",
        issue=issue,
        target_files=("x.py",),
        diff=shown,
        diff_is_snippet=script is None,
        script=script,
        patch_source=source,
        logged_at=NOON + timedelta(seconds=after),
    )


def run(
    *attempts: tuple[str | None, Validity] | str,
    issue: str = "",
    after: float = 0,
    form: str = "tuples",
    name: str = "r",
) -> Candidate:
    """A run; a bare script is a valid attempt."""
    pairs = [(one, Validity.VALID) if isinstance(one, str) else one for one in attempts]
    tried = tuple(Attempt(script, Stage.UNKNOWN, validity) for script, validity in pairs)
    said = Run(form, tried, run_id=name)
    at = NOON + timedelta(seconds=after)
    return Candidate(Kind.PATCH, form, issue=issue, logged_at=at, run=said)


def failed(script: str = "import lib") -> tuple[str, Validity]:
    return script, Validity.INVALID


def patch_set(
    loose: str | None = DIFF,
    *,
    issue: str = "Fix x",
    after: float = 0,
    name: str = "feature/a",
    source: str = "Unknown",
) -> Candidate:
    return Candidate(
        Kind.PATCH,
        "CBb",
        issue=issue,
        target_files=("x.py",),
        patch_source=source,
        logged_at=NOON + timedelta(seconds=after),
        patch_set=PatchSet(name, "CBb", diff=loose, loose_diff=loose),
    )


def facts_of(said: Sequence[Candidate], *, first: int = 1) -> list[Facts]:
    return [facts(first + place, bytes([place]) * 32, one, None) for place, one in enumerate(said)]


def groups(clusters: Iterable[Cluster]) -> set[frozenset[int]]:
    return {frozenset(one.units) for one in clusters}


def joined(*said: Candidate) -> list[tuple[str, str]]:
    """The codes and confidences of what joins these candidates."""
    return [(one.code, one.confidence) for cluster in partition(facts_of(said)) for one in cluster.joins]


# ----------------------------------------------------------------------------------------------- two at a time


@pytest.mark.parametrize(
    ("said", "form"),
    [
        (entry(), Form.SUCCESS),
        (run(SCRIPT), Form.RUN),
        (run(SCRIPT, form="capture"), Form.CAPTURE),
        (patch_set(), Form.PATCH_SET),
    ],
)
def test_a_unit_is_what_it_holds(said: Candidate, form: Form) -> None:
    assert form_of(said) is form


@pytest.mark.parametrize(
    ("one", "other", "code", "confidence"),
    [
        (entry(), run(failed(), SCRIPT), "same_script", "certain"),
        (entry(), run(SCRIPT, issue="Fix y", after=9e6), "same_script", "certain"),
        (entry(), run(failed(SCRIPT), OTHER_SCRIPT), "same_script", "high"),
        (entry(), run(SCRIPT, form="capture"), "same_script", "certain"),
        (run(SCRIPT, OTHER_SCRIPT), run(failed(SCRIPT), OTHER_SCRIPT, form="capture"), "same_script", "certain"),
        (run(failed(), SCRIPT), run(failed(), SCRIPT, form="wrapped", issue="Fix x"), "same_attempts", "certain"),
        (run(failed(), SCRIPT), run(failed(), SCRIPT, form="objects", after=3599), "same_attempts", "certain"),
        (entry(), entry(issue=""), "same_script", "certain"),
        (entry(shown=None), entry(source="Unknown"), "same_script", "certain"),
        (entry(), entry(None), "same_diff", "high"),
        (entry(None), entry(None, issue="N/A", after=9e6), "same_diff", "high"),
        (entry(), patch_set(issue="N/A", after=9e6), "same_diff", "high"),
        (entry(), patch_set(DIFF.replace("@@\n", "@@\n  ")), "same_diff", "high"),
        (entry(), patch_set(None, after=3599), "same_issue", "low"),
        (entry(None, None), patch_set(), "same_issue", "low"),
        (entry(None), run(failed(), SCRIPT, issue=" Fix\n x", form="wrapped"), "same_issue", "low"),
        (entry(None, LONG[:1000]), entry(None, CUT), "same_issue", "low"),
        (entry(None, LONG[:1000]), entry(SCRIPT, LONG), "same_issue", "low"),
        (patch_set(), run(SCRIPT, issue="Fix x", form="wrapped"), "same_issue", "low"),
        (entry(None, WORDY), run(WORDY_SCRIPT, after=10), "same_moment", "low"),
        (entry(None, CUT), run(WORDY_SCRIPT, after=-10), "same_moment", "low"),
        (entry(None), run(SCRIPT, after=2), "same_moment", "low"),
    ],
)
def test_two_units_of_one_change_are_joined(one: Candidate, other: Candidate, code: str, confidence: str) -> None:
    assert joined(one, other) == [(code, confidence)]
    assert joined(other, one) == [(code, confidence)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(entry(), run(OTHER_SCRIPT, issue="Fix x"), id="none of the attempts is the entry's script"),
        pytest.param(entry(), entry(SCRIPT, OTHER_DIFF), id="one script, two diffs"),
        pytest.param(entry(), entry(OTHER_SCRIPT), id="one diff, two scripts"),
        pytest.param(entry(), entry(issue="Fix y"), id="one script for two issues"),
        pytest.param(entry(None), entry(None, issue="Fix y"), id="one diff for two issues"),
        pytest.param(replace(entry(), external_id="1"), replace(entry(), external_id="2"), id="the log has two ids"),
        pytest.param(entry(None), entry(None, diff("b ")), id="diffs that differ in white space alone"),
        pytest.param(entry(None), entry(None, OTHER_DIFF), id="two diffs"),
        pytest.param(entry(None, CUT), entry(None, LONG.replace("jitter", "jotter")), id="two beginnings"),
        pytest.param(entry(None, CUT), entry(None, CUT, after=3), id="two cut diffs, seconds apart"),
        pytest.param(entry(), patch_set(OTHER_DIFF), id="the patch set's diff is another"),
        pytest.param(entry(), patch_set(None, after=3601), id="more than an hour"),
        pytest.param(entry(), patch_set(issue="Fix y"), id="another issue"),
        pytest.param(run(SCRIPT), run(SCRIPT, after=3601, form="objects"), id="the same attempts at another time"),
        pytest.param(entry(issue="N/A"), patch_set(None, issue="N/A"), id="no issue at all"),
        pytest.param(entry(), patch_set(None, source="Other"), id="another patch source"),
        pytest.param(entry(), replace(patch_set(None), target_files=("y.py",)), id="other files"),
        pytest.param(entry(), replace(patch_set(None), logged_at=None), id="no time"),
        pytest.param(patch_set(None), patch_set(None, name="feature/b"), id="two patch sets"),
        pytest.param(run(failed(), SCRIPT), run(SCRIPT), id="two runs to one script"),
        pytest.param(entry(None), run(SCRIPT, failed(), issue="Fix x"), id="a run that ended in failure"),
        pytest.param(entry(None, WORDY), run(WORDY_SCRIPT, after=11), id="more than ten seconds"),
        pytest.param(entry(None, WORDY), run(SCRIPT), id="the script holds none of the diff's words"),
        pytest.param(entry(None), run(SCRIPT, after=3), id="nothing but three seconds"),
        pytest.param(entry(None), run(failed()), id="a failed run at the same moment"),
        pytest.param(entry(None, "No textual changes detected."), entry(None, "No textual changes detected.", after=9),
                     id="a sentence is no diff"),
    ],
)  # fmt: skip
def test_two_units_stay_two(one: Candidate, other: Candidate) -> None:
    assert joined(one, other) == []
    assert joined(other, one) == []


def test_midnight_sharp_is_a_date_and_no_moment() -> None:
    midnight = NOON.replace(hour=0, second=0)
    said = [replace(one, logged_at=midnight) for one in (entry(None, WORDY), run(WORDY_SCRIPT))]

    assert joined(*said) == []


def test_the_time_that_is_known_better_counts() -> None:
    one, other = facts_of([entry(None, None), patch_set(None)])
    late = facts(2, other.digest, patch_set(None), NOON + timedelta(hours=2))

    assert len(partition([one, other])) == 1
    assert len(partition([one, late])) == 2


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (entry(), run(SCRIPT), "Both hold exactly the same script."),
        (entry(), run(failed(SCRIPT)), "One of the run's attempts is exactly the entry's script."),
        (run(SCRIPT), run(SCRIPT, form="capture"), "Both tell the same attempts, script for script."),
        (entry(), entry(None), "Both hold exactly the same diff."),
        (entry(), patch_set(), "Both hold the same diff, white space aside."),
        (entry(), patch_set(None, after=300), "Logged 5 minutes apart, with the same issue and the same files."),
        (
            entry(None),
            replace(run(SCRIPT, issue="Fix x", after=0.4), patch_source=SOURCE),
            "Logged at the same time, with the same issue and the same patch source.",
        ),
        (
            entry(None, WORDY),
            run(WORDY_SCRIPT, after=-1),
            "Logged 1 second apart, and the run's script holds 3 of the 3 words that the diff brings in.",
        ),
        (entry(None), run(SCRIPT, after=2), "Logged 2 seconds apart, and no other is as near."),
    ],
)
def test_a_join_says_why(one: Candidate, other: Candidate, reason: str) -> None:
    (cluster,) = partition(facts_of([one, other]))

    assert [join.reason for join in cluster.joins] == [reason]


# ----------------------------------------------------------------------------------------------- several


def test_a_whole_story_is_one_cluster_led_by_the_fullest_entry() -> None:
    said = [
        run(failed(), SCRIPT, issue="Fix x", form="wrapped"),
        patch_set(),
        entry(None, shown=DIFF),
        entry(SCRIPT),
        run(failed(), SCRIPT),
    ]

    (cluster,) = partition(facts_of(said))

    assert cluster.lead == 4
    assert cluster.units == (4, 3, 2, 1, 5)
    assert [(join.unit, join.code) for join in cluster.joins] == [
        (1, "same_script"), (5, "same_script"), (3, "same_diff"), (2, "same_diff"),
    ]  # fmt: skip


def test_each_of_two_tries_at_one_issue_gets_its_own_patch_set_and_run() -> None:
    said = [
        entry(None, CUT),
        patch_set(None, name="feature/1"),
        run("x1", issue="Fix x"),
        entry(None, CUT, after=600),
        patch_set(None, name="feature/2", after=599),
        run("x2", issue="Fix x", after=601),
    ]

    assert groups(partition(facts_of(said))) == {frozenset({1, 2, 3}), frozenset({4, 5, 6})}


def test_a_run_in_between_does_not_make_one_of_two_successes() -> None:
    said = [entry(None, CUT), run("x1", issue="Fix x", after=10), entry(None, CUT, after=600)]

    for order in permutations(said):
        assert sorted(len(one.units) for one in partition(facts_of(order))) == [1, 2]


def test_a_run_in_between_must_fit_all() -> None:
    said = [entry(), entry(None), run(OTHER_SCRIPT, issue="Fix x")]

    assert groups(partition(facts_of(said))) == {frozenset({1, 2}), frozenset({3})}


def test_of_two_entries_with_one_script_a_run_goes_to_the_one_with_its_issue() -> None:
    said = [entry(issue="Fix y"), entry(after=60), run(SCRIPT, issue="Fix x")]

    assert groups(partition(facts_of(said))) == {frozenset({1}), frozenset({2, 3})}


def test_a_script_that_was_used_twice_gives_its_run_to_the_nearest() -> None:
    said = [entry(after=100), entry(shown=OTHER_DIFF), run(SCRIPT, after=90)]

    assert groups(partition(facts_of(said))) == {frozenset({1, 3}), frozenset({2})}


def test_a_run_that_ended_with_the_script_comes_before_one_that_only_tried_it() -> None:
    said = [entry(), run(failed(SCRIPT), OTHER_SCRIPT), run(failed(), SCRIPT, after=5000)]

    assert groups(partition(facts_of(said))) == {frozenset({1, 3}), frozenset({2})}


def test_where_few_words_speak_a_moment_that_fits_two_runs_fits_none() -> None:
    said = [entry(None), run(SCRIPT), run(OTHER_SCRIPT, after=1)]

    assert groups(partition(facts_of(said))) == {frozenset({1}), frozenset({2}), frozenset({3})}


@pytest.mark.parametrize("other", [entry(None, OTHER_DIFF), entry(None, issue="Fix y")])
def test_where_few_words_speak_a_moment_that_fits_two_changes_fits_none(other: Candidate) -> None:
    said = [entry(None), other, run(SCRIPT, after=1)]

    assert groups(partition(facts_of(said))) == {frozenset({1}), frozenset({2}), frozenset({3})}


def test_two_entries_about_one_change_share_its_run() -> None:
    said = [entry(None), entry(None, issue=""), run(SCRIPT, after=1), run(SCRIPT, after=2, form="objects")]

    assert groups(partition(facts_of(said))) == {frozenset({1, 2, 3, 4})}


def test_a_moment_with_a_crowd_says_nothing() -> None:
    others = [run(f"import libcst  # {number}") for number in range(64)]

    assert joined(entry(None, WORDY), run(WORDY_SCRIPT), *others[:-2]) == [("same_moment", "low")]
    assert joined(entry(None, WORDY), run(WORDY_SCRIPT), *others[:-1]) == []


def test_of_a_crowd_with_one_script_all_that_belongs_together_is_found() -> None:
    said = [entry(shown=diff(str(n % 10)), after=n) for n in range(600)] + [run(SCRIPT, after=300)]
    units = [facts(n, n.to_bytes(32, "big"), one, None) for n, one in enumerate(said)]
    random.Random(1).shuffle(units)

    clusters = partition(units)

    assert sorted(len(one.units) for one in clusters) == [60] * 9 + [61]


# ----------------------------------------------------------------------------------------------- people


def test_what_a_person_joined_is_joined_though_it_contradicts_itself() -> None:
    units = facts_of([entry(), entry(OTHER_SCRIPT, OTHER_DIFF), run(OTHER_SCRIPT)])

    (cluster,) = partition(units, together=frozenset({frozenset({1, 2})}), decided=frozenset({1, 2}))

    assert [(one.unit, one.to, one.code, one.confidence) for one in cluster.joins] == [
        (2, 1, "by_hand", "by hand"), (3, 2, "same_script", "certain"),
    ]  # fmt: skip
    assert cluster.joins[0].reason == "A person joined them."


@pytest.mark.parametrize(("one", "alone"), [(1, 3), (2, 2)])
def test_what_a_person_split_stays_apart_also_by_way_of_a_third(one: int, alone: int) -> None:
    units = facts_of([entry(), entry(None), run(SCRIPT)])

    clusters = partition(units, apart=frozenset({frozenset({one, 3})}))

    assert groups(clusters) == {frozenset({1, 2, 3} - {alone}), frozenset({alone})}


def test_apart_wins_over_together() -> None:
    pair = frozenset({frozenset({1, 2})})

    assert len(partition(facts_of([entry(), run(SCRIPT)]), together=pair, apart=pair)) == 2


def test_the_best_evidence_stands_first() -> None:
    units = facts_of([entry(), entry(None), patch_set(OTHER_DIFF, issue="Fix y")])

    (cluster,) = partition(units, together=frozenset({frozenset({2, 3})}))

    assert [(one.unit, one.to, one.code) for one in cluster.joins] == [(3, 2, "by_hand"), (2, 1, "same_diff")]


def test_pairs_with_a_unit_that_is_not_here_are_passed_over() -> None:
    pair = frozenset({frozenset({1, 99})})

    assert len(partition(facts_of([entry(), run(SCRIPT)]), together=pair, apart=pair)) == 1


def test_a_decision_is_never_swallowed_and_leads() -> None:
    units = facts_of([entry(), entry(None), run(SCRIPT)])

    assert groups(partition(units, decided=frozenset({1, 2}))) == {frozenset({1, 3}), frozenset({2})}
    assert groups(partition(units, decided=frozenset({2, 3}))) == {frozenset({1, 3}), frozenset({2})}
    assert [one.units for one in partition(units, decided=frozenset({3, 99}))] == [(3, 1, 2)]


# ----------------------------------------------------------------------------------------------- any order

# Few values of each, so that units agree and contradict each other in every way.
_SOME = st.sampled_from([None, b"a", b"b"])
_SCRIPTS = st.frozensets(st.sampled_from([b"s", b"t", b"u"]), max_size=2)
_SECONDS = st.sampled_from([0, 1, 2, 10, 11, 90, 3599, 3601, 9000])


@st.composite
def facts_in_any_shape(draw: st.DrawFn) -> Facts:
    form = draw(st.sampled_from(Form))
    attempted = form in {Form.RUN, Form.CAPTURE}
    scripts = draw(_SCRIPTS) if form is not Form.PATCH_SET else frozenset()
    script = min(scripts, default=None) if not attempted or draw(st.booleans()) else None
    digest = None if form is Form.RUN else draw(_SOME)
    return Facts(
        0,
        b"",
        form,
        script,
        scripts if attempted else frozenset({script} - {None}),  # type: ignore[arg-type]
        draw(_SOME) if attempted else None,
        None if form is Form.PATCH_SET else digest,
        digest,
        draw(_SOME),
        draw(_SOME),
        draw(st.frozensets(st.sampled_from(["x.py", "y.py"]), max_size=1)),
        draw(st.sampled_from(["", "p", "q"])),
        draw(st.one_of(st.none(), _SECONDS.map(lambda seconds: NOON + timedelta(seconds=seconds)))),
        draw(st.frozensets(st.sampled_from(["w", "v", "z"]))),
        draw(st.sampled_from(["", "n", "m"])),
        draw(st.booleans()) if attempted else True,
    )


_PAIRS = st.frozensets(st.frozensets(st.integers(0, 11), min_size=2, max_size=2), max_size=3)


def numbered(units: Sequence[Facts]) -> list[Facts]:
    return [replace(one, unit=place, digest=bytes([place]) * 32) for place, one in enumerate(units)]


UNITS = st.lists(facts_in_any_shape(), max_size=12).map(numbered)


def told(clusters: Iterable[Cluster], name: dict[int, int]) -> list[object]:
    """The clusters with every id replaced by what it names."""
    return [
        (
            [name[unit] for unit in one.units],
            [(name[join.unit], name[join.to], join.code, join.confidence, join.reason) for join in one.joins],
        )
        for one in clusters
    ]


@given(UNITS, _PAIRS, _PAIRS, st.frozensets(st.integers(0, 11), max_size=3), st.randoms(use_true_random=False))
def test_neither_order_nor_ids_matter(
    units: list[Facts],
    together: frozenset[frozenset[int]],
    apart: frozenset[frozenset[int]],
    decided: frozenset[int],
    rng: random.Random,
) -> None:
    new = list(range(100, 112))
    rng.shuffle(new)
    shuffled = [replace(one, unit=new[one.unit]) for one in units]
    rng.shuffle(shuffled)

    def renamed(pairs: frozenset[frozenset[int]]) -> frozenset[frozenset[int]]:
        return frozenset(frozenset(new[one] for one in pair) for pair in pairs)

    first = partition(units, together=together, apart=apart, decided=decided)
    again = partition(
        shuffled,
        together=renamed(together),
        apart=renamed(apart),
        decided=frozenset(new[one] for one in decided),
    )

    assert told(again, {new: old for old, new in enumerate(new)}) == told(first, {one: one for one in range(12)})


@given(UNITS, _PAIRS, _PAIRS, st.frozensets(st.integers(0, 11), max_size=3))
def test_every_unit_is_in_one_cluster_and_what_people_said_holds(
    units: list[Facts], together: frozenset[frozenset[int]], apart: frozenset[frozenset[int]], decided: frozenset[int]
) -> None:
    clusters = partition(units, together=together, apart=apart, decided=decided)
    where = {unit: one for one in clusters for unit in one.units}

    assert sorted(unit for one in clusters for unit in one.units) == list(range(len(units)))
    for one in clusters:
        reached = {one.lead}
        left = list(one.joins)
        while near := [join for join in left if join.to in reached]:
            reached.update(join.unit for join in near)
            left = [join for join in left if join not in near]
        assert one.units[0] == one.lead
        assert sorted(join.unit for join in one.joins) == sorted(one.units[1:])
        assert reached == set(one.units)
    for a, b in combinations(range(len(units)), 2):
        pair = frozenset({a, b})
        if pair in apart or (not together and pair <= decided):
            assert where[a] is not where[b]
        elif pair in together and not apart:
            assert where[a] is where[b]


@given(UNITS)
def test_no_cluster_contradicts_itself(units: list[Facts]) -> None:
    for cluster in partition(units):
        said = [units[unit] for unit in cluster.units]
        successes = [one for one in said if one.form is Form.SUCCESS]
        scripts = {one.script for one in successes if one.script}
        assert len(scripts) <= 1
        assert len({one.issue for one in successes if one.issue}) <= 1
        assert len({one.diff for one in said if one.diff}) <= 1
        assert len({one.name for one in said if one.form is Form.PATCH_SET and one.name}) <= 1
        assert len({one.ladder for one in said if one.form is Form.RUN and one.ladder}) <= 1
        for one in said:
            assert (
                one.form not in {Form.RUN, Form.CAPTURE}
                or not one.scripts
                or scripts
                <= frozenset().union(*(other.scripts for other in said if other.form in {Form.RUN, Form.CAPTURE}))
            )


def hanging_together(units: Sequence[Facts]) -> list[list[Facts]]:
    """The units that seek each other's keys, over any number of steps."""
    found: list[tuple[set[int], set[int], list[Facts]]] = []
    for one in units:
        held = set(keys(one))
        mine = (held, {wanted for key in held for wanted in sought(key)}, [one])
        for other in [each for each in found if not each[0].isdisjoint(mine[1])]:
            mine[0].update(other[0])
            mine[1].update(other[1])
            mine[2].extend(other[2])
            found.remove(other)
        found.append(mine)
    return [each for *_, each in found]


@given(UNITS)
def test_what_no_key_seeks_may_be_left_out(units: list[Facts]) -> None:
    piecewise = [one for some in hanging_together(units) for one in partition(some)]

    assert set(piecewise) == set(partition(units))


@given(UNITS)
def test_the_same_units_twice_over_give_the_same(units: list[Facts]) -> None:
    again = partition(units)

    assert again == partition(units)
    for key in {key for one in units for key in keys(one)}:
        assert key in range(-(2**63), 0)
        assert all(clue_of(one) == clue_of(key) and key in sought(one) for one in sought(key))


def test_a_stream_of_runs_does_not_hang_together() -> None:
    units = facts_of([run("import libcst  # canned", str(number), issue="Fix", after=number) for number in range(50)])

    assert len(hanging_together(units)) == 50
    assert len(hanging_together(facts_of([entry(str(number), after=number) for number in range(50)]))) == 50


def test_of_units_that_can_be_joined_each_finds_the_other() -> None:
    said = [entry(), run(SCRIPT), run(SCRIPT, form="capture"), patch_set(), entry(None), run(SCRIPT, issue="Fix x")]
    units = facts_of(said)

    for one, other in combinations(units, 2):
        if len(partition([one, other])) == 1:
            assert not keys(one).isdisjoint(wanted for key in keys(other) for wanted in sought(key))
            assert not keys(other).isdisjoint(wanted for key in keys(one) for wanted in sought(key))


@pytest.mark.parametrize("shown", [None, DIFF, LONG, CUT, "No textual changes detected.", "\ud83d\n@@ -1 +1 @@\n"])
@pytest.mark.parametrize("issue", ["Fix x", " ", "N/A", "Fix\n\tx\u2003y"])
@pytest.mark.parametrize("script", [SCRIPT, "", None])
def test_the_keys_of_an_entry_are_those_of_its_facts(script: str | None, issue: str, shown: str | None) -> None:
    timeless = replace(entry(script, shown, issue=issue), logged_at=None)

    for said in (entry(script, shown, issue=issue), replace(entry(SCRIPT, shown), diff_is_snippet=True), timeless):
        assert sorted(keys_of(said)) == sorted(keys(facts(1, b"", said, None)))


@pytest.mark.parametrize("said", [run(failed(), SCRIPT), run(SCRIPT, form="capture"), patch_set()])
def test_so_are_those_of_what_is_no_entry(said: Candidate) -> None:
    assert sorted(keys_of(said)) == sorted(keys(facts(1, b"", said, None)))


def test_what_only_asks_does_not_hang_together() -> None:
    """Entries without a script, one every ten seconds, all ask for a run."""
    bare = [entry(None, diff(str(n)), issue=f"Fix {n}", after=10 * n) for n in range(50)]

    assert len(hanging_together(facts_of(bare))) == 50


def test_a_clue_that_is_crowded_says_nothing() -> None:
    units = facts_of([entry(), run(SCRIPT, after=9e6)])
    [shared] = {clue_of(key) for key in keys(units[0])} & {clue_of(key) for key in keys(units[1])}

    assert len(partition(units)) == 1
    assert len(partition(units, crowded=frozenset({shared}))) == 2


def test_a_long_run_has_few_keys() -> None:
    (unit,) = facts_of([run(*(f"import libcst  # {number}" for number in range(500)))])

    assert len(keys(unit)) <= 64 + 4


# ----------------------------------------------------------------------------------------------- the story


def test_an_entry_without_a_script_gets_its_runs_last_valid_one() -> None:
    its_run = run(failed(), OTHER_SCRIPT, SCRIPT, failed())

    whole = assemble(entry(None), [(its_run, "run run_1.json")])

    assert whole.script == SCRIPT
    assert whole.run == its_run.run
    assert whole.found_in == {"script": "run run_1.json", "run": "run run_1.json"}


def test_a_run_without_a_valid_attempt_gives_no_script() -> None:
    assert assemble(entry(None), [(run(failed()), "run r")]).script is None


def test_what_the_lead_says_stays() -> None:
    lead = replace(entry(), issue_id="X-1", predicted_core="LLMCore", operations=("rename",), acceptance=("it works",))
    part = replace(
        entry(OTHER_SCRIPT, OTHER_DIFF, issue="Fix y", after=9, source="Other"),
        issue_id="X-2", target_files=("y.py",), operations=("move",), acceptance=("y",), predicted_core="DiffusionCore",
    )  # fmt: skip

    assert assemble(lead, [(part, "success entry log")]) == lead


def test_what_the_lead_lacks_comes_from_the_first_part_that_says_it() -> None:
    lead = Candidate(Kind.PATCH, "other", issue="N/A", script=SCRIPT)
    first = replace(patch_set(), operations=({"name": "rename"},), acceptance=("it works",))
    second = replace(entry(), issue="Fix y", issue_id="X-1", predicted_core="LLMCore")

    whole = assemble(lead, [(first, "patch set a"), (second, "entry b")])

    assert whole == replace(
        lead,
        issue="Fix x",
        issue_id="X-1",
        target_files=("x.py",),
        operations=({"name": "rename"},),
        acceptance=("it works",),
        diff=DIFF,
        patch_source=SOURCE,
        predicted_core="LLMCore",
        logged_at=NOON,
        patch_set=first.patch_set,
        found_in=dict.fromkeys(
            ("issue", "target_files", "operations", "acceptance", "diff", "logged_at", "patch_set"), "patch set a"
        )
        | dict.fromkeys(("issue_id", "patch_source", "predicted_core"), "entry b"),
    )


@pytest.mark.parametrize("shown", [CUT, LONG[:1000]])
def test_a_cut_diff_is_replaced_by_the_whole_one(shown: str) -> None:
    whole = assemble(entry(None, shown), [(entry(SCRIPT, LONG), "entry b")])

    assert (whole.diff, whole.diff_is_snippet) == (LONG, False)
    assert whole.found_in["diff"] == "entry b"


@pytest.mark.parametrize(
    ("shown", "other"),
    [
        pytest.param(CUT, LONG.replace("jitter", "jotter"), id="it does not go on as the cut one"),
        pytest.param("No textual changes detected for 'x.py'.", DIFF, id="the lead says a sentence"),
        pytest.param(DIFF, OTHER_DIFF, id="the lead's is not cut"),
    ],
)
def test_a_diff_that_stands_is_kept(shown: str, other: str) -> None:
    lead = entry(None, shown)

    assert assemble(lead, [(replace(entry(None, other), diff_is_snippet=False, run=None), "entry b")]).diff == lead.diff


def test_a_lead_that_is_a_run_or_a_patch_set_speaks_with_its_own_words() -> None:
    assert assemble(run(SCRIPT), []).script == SCRIPT
    assert assemble(patch_set(), []).diff == DIFF
    assert assemble(patch_set(), []).found_in == {}


def test_text_of_any_kind_is_taken() -> None:
    odd = entry("\ud83d", "@@ -1 +1 @@\n\ud83d\x00", issue="\ud83d\u2028")

    assert joined(odd, odd) == [("same_script", "certain")]


def test_an_entry_says_the_words_that_are_new_in_its_diff() -> None:
    (unit,) = facts_of(
        [entry(None, "--- a/old.py\n+++ b/new.py\n@@ -1,2 +1,2 @@\n def old(it):\n-    was\n+    old now_it is_so\n")]
    )

    assert unit.words == {"now_it", "is_so"}


def test_the_line_in_which_a_diff_was_cut_counts_for_nothing() -> None:
    shown = "@@ -1 +1 @@\n+whole\n" + " it\n" * 300
    (unit,) = facts_of([entry(None, shown[:992] + "\n+half_a_wo" + "...")])

    assert unit.words == {"whole"}
