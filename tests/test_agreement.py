"""Agreement: the coefficients of the books, their intervals, and a sentence where there is none."""

import pytest

from app.agreement import Unit, alpha, kappa
from tests.test_opinions import Team, team  # noqa: F401  (a fixture)

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C: alpha of nominal values is 0.743.
_ROWS = ("1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .")


def test_alpha_is_that_of_the_book() -> None:
    columns = zip(*(row.split() for row in _ROWS), strict=True)
    units: list[Unit] = [{str(n): said for n, said in enumerate(column) if said != "."} for column in columns]

    found = alpha(units)

    assert found.value == pytest.approx(0.743, abs=0.0005)
    assert found.low is not None
    assert found.high is not None
    assert 0.3 < found.low < 0.743 < found.high <= 1
    assert alpha(units) == found


def test_kappa_is_that_of_the_book() -> None:
    """Cohen's own form: 20 and 15 of 50 the same, 5 and 10 not: kappa 0.4."""
    units: list[Unit] = [
        {"a": one, "b": other}
        for one, other, n in (("yes", "yes", 20), ("yes", "no", 5), ("no", "yes", 10), ("no", "no", 15))
        for _ in range(n)
    ]

    found = kappa([*units, {"a": "yes"}, {"b": "no", "c": "no"}], "a", "b")

    assert found.value == pytest.approx(0.4)
    assert found.low is not None
    assert 0 < found.low < 0.4


@pytest.mark.parametrize(
    ("units", "why"),
    [
        ([], "No candidate was judged by two people yet."),
        ([{"a": "accept"}, {"a": "reject"}], "No candidate was judged by two people yet."),
        ([{"a": "accept"}, {"b": "reject"}], "No candidate was judged by two people yet."),
        ([{"a": "accept", "b": "reject"}], "Only one candidate"),
        ([{"a": "accept", "b": "accept"}] * 9, "Everybody said the same"),
    ],
)
def test_where_there_is_none_a_sentence_says_why(units: list[Unit], why: str) -> None:
    for found in (alpha(units), kappa(units, "a", "b")):
        assert found.value is None
        assert found.why.startswith(why)


def test_every_figure_counts_its_list(team: Team) -> None:  # noqa: F811
    from app import agreement
    from app.queue import list_candidates

    one, two, three = team.ids
    # Who changes their mind has one opinion, the later.
    team.says("ann", "reject", two)
    said = {"ann": {one: "accept", two: "flag"}, "ben": {one: "reject", two: "flag"}, "cleo": {three: "accept"}}
    for who, number, verdict in ((who, n, verdict) for who, all_ in said.items() for n, verdict in all_.items()):
        team.says(who, verdict, number)
    with team.db.read() as session:
        before = agreement.look(session, team.project)
    assert [(voice.name, voice.n_judged, voice.n) for voice in before.voices] == [("ben", 2, 1), ("local", 2, 1)]
    assert before.pairs[0].n == 2
    team.says("kim", "reject", one)

    with team.db.read() as session:
        found = agreement.look(session, team.project)
        cells = [row.cells[0] for picture in found.pictures for row in picture.rows]
        lists = [(cell.n, cell.wanted) for cell in cells] + [(pair.n, pair.wanted) for pair in found.pairs]
        lists += [(voice.n, voice.wanted) for voice in found.voices]
        lists += [(voice.n_judged, voice.judged) for voice in found.voices]
        for n, wanted in lists:
            assert wanted is not None
            assert n == len(list_candidates(session, team.project, wanted).candidates), wanted
    assert (found.n, found.n_same) == (2, 1)
    assert [(voice.name, voice.n, voice.n_same) for voice in found.voices] == [("ben", 2, 2), ("local", 2, 1)]
    assert [row.name for row in found.pictures[1].rows] == ["accept and reject"]
