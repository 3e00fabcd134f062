"""What the candidate on screen yields: each example with its texts and gates, and a person's word on it."""

import json
from dataclasses import dataclass, replace
from datetime import datetime

from fastapi import APIRouter, Request
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict
from sqlmodel import Session
from starlette.responses import Response

from app import evidence, outlook, review, sources
from app.db import Database
from app.diffs.render import render_text
from app.errors import AppError, NotFoundError
from app.examples import Dataset, Hold, Value
from app.gates import GATES, title_of
from app.models import CandidateRow
from app.outlook import Outlook, Yielded
from app.rulings import LEFT_OUT, Ruling
from app.tokens import Measured, Part, estimate
from app.web.api import JsonObject, read_as, takes
from app.web.deps import AppDb, Db, Me, Now, Project
from app.web.forms import Form
from app.web.queue import link_query, wanted_of
from app.web.render import as_json, is_partial, page, see_other, url

router = APIRouter()

# A run may have failed very often; its examples of one kind are folded then.
_MOST_OPEN = 6
_LONGEST_SHOWN = 20_000
_MOST_NEAR = 12
_FIELDS = ("gate", "in_force", "digest", "reason")
_VERDICTS = {"accept": "Accepted", "edit": "Edited", "reject": "Rejected"}


# ------------------------------------------------------------------------------------------------ what pages may read


@dataclass(frozen=True)
class Column:
    """One column of an example: a text as it is drawn, or a value that is none; `n_hidden` characters are left out."""

    name: str
    text: Markup | None
    value: str
    n_characters: int
    n_tokens: int
    n_hidden: int


@dataclass(frozen=True)
class Heard:
    """What a gate says; `reason` is what was typed for letting it pass, when that was refused."""

    gate: str
    title: str
    why: str
    message: str
    can_pass: bool
    reason: str | None = None


@dataclass(frozen=True)
class Meter:
    """One count against the limit of a model."""

    model: str
    part: Part
    is_exact: bool


@dataclass(frozen=True)
class Word:
    """A word of a person that is in force; `counts` is False where it was said of other texts."""

    gate: str
    title: str
    said: Ruling
    counts: bool


@dataclass(frozen=True)
class Shown:
    """One example; `columns` is None until its texts are asked for."""

    id: str
    digest: str
    state: str
    answer: str
    evidence: str
    heard: list[Heard]
    words: list[Word]
    left_out: Ruling | None
    meters: list[Meter]
    n_characters: int
    n_tokens: int
    columns: list[Column] | None


@dataclass(frozen=True)
class Group:
    """The examples of one role, task and objective, and what is missing of them."""

    dataset: Dataset
    examples: list[Shown]
    missing: list[Heard]
    n_leave: int
    n_held: int
    is_open: bool


@dataclass(frozen=True)
class ExamplesView:
    """What `examples.html` may read.

    `address` is the page's own, for forms and links. `is_beside` tells that one example is put in again, and the counts
    beside it.
    """

    n_quarantined: int
    row: CandidateRow
    address: str
    query: dict[str, str]
    notice: str
    sentence: str
    split: str
    near: list[int]
    n_more_near: int
    has_benchmarks: bool
    releases: list[int]
    unlimited: list[str]
    groups: list[Group]
    is_beside: bool


@dataclass(frozen=True)
class TextsView:
    """What the block `texts` of `examples.html` may read."""

    address: str
    query: dict[str, str]
    one: Shown


class RulingIn(BaseModel):
    """A word on one example: `gate` is what it may pass, or `left_out`; `digest` is of the texts that were seen."""

    model_config = ConfigDict(extra="forbid", strict=True)

    gate: str
    in_force: bool
    digest: str
    reason: str = ""


# ------------------------------------------------------------------------------------------------ pages


@router.get("/candidates/{candidate_id}/examples")
def examples(request: Request, session: Db, project: Project, candidate_id: int) -> Response:
    """What a candidate yields; texts come when they are asked for."""
    found = outlook.look(session, project, candidate_id)
    if found is None:
        lead = evidence.find_lead(session, review.get_candidate(session, project, candidate_id))
        return see_other(url(f"/candidates/{lead}/examples", **link_query(wanted_of(request))))
    return page(request, "examples.html", _view(request, session, project, found), fragment="yields")


@router.get("/candidates/{candidate_id}/examples/{example_id}")
def texts(
    request: Request, session: Db, project: Project, candidate_id: int, example_id: str, whole: bool = False
) -> Response:
    """The very texts of one example, as a release would hold them."""
    found = outlook.look(session, project, candidate_id)
    one = None if found is None else found.find(example_id)
    if found is None or one is None:
        raise NotFoundError(f"Candidate {candidate_id} yields no example {example_id[:80]!r}.")
    if not is_partial(request):
        return page(request, "examples.html", _view(request, session, project, found, opened=example_id))
    drawn = replace(_shown(one), columns=_columns(one, None if whole else _LONGEST_SHOWN))
    view = TextsView(_address(candidate_id), link_query(wanted_of(request)), drawn)
    return page(request, "examples.html", view, fragment="texts")


@router.post("/candidates/{candidate_id}/examples/{example_id}/rulings")
def rule(
    request: Request, fields: Form, db: AppDb, project: Project, me: Me, now: Now, candidate_id: int, example_id: str
) -> Response:
    """Leave an example out, let it pass a gate, or take that back."""
    sent = fields.allow(_FIELDS)
    word = RulingIn(
        gate=sent.one("gate"),
        in_force=bool(sent.one("in_force")),
        digest=sent.one("digest"),
        reason=sent.one("reason").replace("\r\n", "\n"),
    )
    try:
        _rule(db, project, me, candidate_id, example_id, word, now)
    except AppError as error:
        return _refused(request, db, project, candidate_id, (example_id, word.gate, word.reason), error)
    if not is_partial(request):
        return see_other(f"{url(_address(candidate_id), **link_query(wanted_of(request)))}#yield-{example_id}")
    with db.read() as session:
        found = outlook.look(session, project, candidate_id)
        if found is None:
            raise NotFoundError(f"Candidate {candidate_id} has become a part of another.")
        view = replace(_view(request, session, project, found), is_beside=True)
    # Only what the word changes is put in; texts that lie open stay.
    return page(request, "examples.html", view, fragment="yields", headers={"HX-Reselect": f"#word-{example_id}"})


def _rule(
    db: Database, project: int, me: int, candidate_id: int, example_id: str, word: RulingIn, now: datetime
) -> None:
    # What comes of it is read afterwards: nobody else should wait for that.
    with db.write() as session:
        outlook.rule(
            session,
            project,
            me,
            candidate_id,
            example_id,
            word.gate,
            in_force=word.in_force,
            digest=word.digest,
            reason=word.reason,
            now=now,
        )


def _refused(
    request: Request, db: Database, project: int, candidate_id: int, typed: tuple[str, str, str], error: AppError
) -> Response:
    """The examples as they are now, the sentence that says why nothing was stored, and the reason that was typed."""
    with db.read() as session:
        found = outlook.look(session, project, candidate_id)
        if found is None:
            raise error
        view = replace(_view(request, session, project, found, typed=typed), notice=error.message)
    headers = {"HX-Retarget": "#yields-body", "HX-Reswap": "outerHTML", "HX-Reselect": "#yields-body"}
    return page(request, "examples.html", view, fragment="yields", status=error.status, headers=headers)


def _address(candidate_id: int) -> str:
    return f"/candidates/{candidate_id}/examples"


# ------------------------------------------------------------------------------------------------ view


def _view(
    request: Request,
    session: Session,
    project: int,
    found: Outlook,
    *,
    opened: str = "",
    typed: tuple[str, str, str] = ("", "", ""),
) -> ExamplesView:
    number = found.case.judged.candidate_id
    return ExamplesView(
        n_quarantined=sources.count_quarantine(session, project),
        row=review.get_candidate(session, project, number),
        address=_address(number),
        query=link_query(wanted_of(request)),
        notice="",
        sentence=_sentence(found),
        split=_split(found),
        near=found.near[:_MOST_NEAR],
        n_more_near=len(found.near[_MOST_NEAR:]),
        has_benchmarks=found.has_benchmarks,
        releases=found.releases,
        unlimited=_unlimited(found),
        groups=_groups(found, opened, typed),
        is_beside=False,
    )


def _sentence(found: Outlook) -> str:
    """`"If it is accepted, 5 examples leave and 2 are held back."`."""
    n_leave = sum(one.leaves for one in found.examples)
    n_held = len(found.examples) - n_leave
    said = "If it is accepted" if found.is_supposed else _VERDICTS[found.case.judged.verdict]
    leave = "1 example leaves" if n_leave == 1 else f"{n_leave:,} examples leave" if n_leave else "nothing leaves"
    held = f" and {n_held:,} {'is' if n_held == 1 else 'are'} held back" if n_held else ""
    return f"{said}{',' if found.is_supposed else ':'} {leave}{held}."


def _unlimited(found: Outlook) -> list[str]:
    """Roles with an example that no target model was named for."""
    return list(dict.fromkeys(one.made.example.dataset.role for one in found.examples if not one.measured))


def _split(found: Outlook) -> str:
    placed = found.placed
    return f"No split. {placed.why}" if placed.split is None else f"Split: {placed.split}. {placed.why}"


def _groups(found: Outlook, opened: str, typed: tuple[str, str, str]) -> list[Group]:
    datasets = dict.fromkeys(one.made.example.dataset for one in found.examples)
    return [
        _group(found, dataset, opened, typed) for dataset in datasets | dict.fromkeys(of for of, _ in found.missing)
    ]


def _group(found: Outlook, dataset: Dataset, opened: str, typed: tuple[str, str, str]) -> Group:
    mine = [one for one in found.examples if one.made.example.dataset == dataset]
    shown = [
        replace(
            _shown(one, typed, near=bool(found.near)),
            columns=_columns(one, None) if one.made.example.id == opened else None,
        )
        for one in mine
    ]
    n_leave = sum(one.leaves for one in mine)
    wanted = {one.id for one in shown} & {opened, typed[0]}
    missing = [_heard(hold) for of, hold in found.missing if of == dataset]
    return Group(
        dataset,
        shown,
        missing,
        n_leave,
        len(mine) - n_leave,
        is_open=len(mine) <= _MOST_OPEN or bool(wanted),
    )


def _shown(one: Yielded, typed: tuple[str, str, str] = ("", "", ""), *, near: bool = False) -> Shown:
    example = one.made.example
    heard = [_heard(hold) for hold in one.made.holds if hold.gate != LEFT_OUT]
    if near and not any(word.gate == "near_duplicate" for word in one.passed):
        message = "A release holds it back where another candidate of the cluster comes first."
        heard.append(_heard(Hold("near_duplicate", message)))
    if typed[0] == example.id:
        heard = [replace(each, reason=typed[2]) if each.gate == typed[1] else each for each in heard]
    return Shown(
        id=example.id,
        digest=one.made.digest.hex(),
        state="left out" if one.left_out else "leaves" if one.leaves else "held back",
        answer=example.answer.replace("_", " "),
        evidence=example.evidence,
        heard=heard,
        words=[Word(each.gate, title_of(each.gate), each, counts=True) for each in one.passed]
        + [Word(each.gate, title_of(each.gate), each, counts=False) for each in one.outdated],
        left_out=one.left_out,
        meters=[Meter(each.name, part, each.is_exact) for each in one.measured for part in _parts(each)],
        n_characters=one.made.n_characters,
        n_tokens=sum(estimate(text) for text in example.values.values() if isinstance(text, str)),
        columns=None,
    )


def _heard(hold: Hold) -> Heard:
    gate = GATES.get(hold.gate)
    return Heard(
        hold.gate,
        title_of(hold.gate),
        "" if gate is None else gate.why,
        hold.message,
        can_pass=gate is not None and gate.can_pass,
    )


def _parts(measured: Measured) -> list[Part]:
    """What is counted; of what nothing limits, only the sum says something."""
    parts = [part for part in (measured.question, measured.answer, measured.total) if part is not None]
    return [part for part in parts if part.limit is not None] or parts[-1:]


def _columns(one: Yielded, most: int | None) -> list[Column]:
    found: list[Column] = []
    for name, value in one.made.example.values.items():
        if isinstance(value, tuple):
            found += [_column(f"{name} {n}", text, most) for n, text in enumerate(value, 1)]
        else:
            found.append(_column(name, value, most))
    return found


def _column(name: str, value: Value, most: int | None) -> Column:
    if not isinstance(value, str):
        said = json.dumps(value, default=dict)
        return Column(name, None, said, 0, 0, 0)
    cut = value[:most]
    return Column(name, render_text(cut), "", len(value), estimate(value), len(value) - len(cut))


# ------------------------------------------------------------------------------------------------ JSON


@router.get("/api/v1/candidates/{candidate_id}/examples")
def get_examples(session: Db, project: Project, candidate_id: int) -> Response:
    """What a candidate yields by role, task and objective; `supposed` where nobody has decided on it yet."""
    found = outlook.look(session, project, candidate_id)
    if found is None:
        lead = evidence.find_lead(session, review.get_candidate(session, project, candidate_id))
        return as_json({"candidate": candidate_id, "joined_with": lead, "examples": [], "missing": []})
    return as_json(
        {
            "candidate": candidate_id,
            "supposed": found.is_supposed,
            "verdict": found.case.judged.verdict,
            "split": found.placed.split,
            "dealt": found.placed.dealt,
            "why": found.placed.why,
            "near": found.near,
            "releases": found.releases,
            "examples": [_example_json(one, found) for one in found.examples],
            "missing": [dataset._asdict() | hold._asdict() for dataset, hold in found.missing],
        }
    )


@router.post("/api/v1/candidates/{candidate_id}/examples/{example_id}/rulings", openapi_extra=takes(RulingIn))
def post_ruling(
    body: JsonObject, db: AppDb, project: Project, me: Me, now: Now, candidate_id: int, example_id: str
) -> Response:
    """Leave an example out, let it pass a gate, or take that back; 409 when its texts are not those of the digest."""
    _rule(db, project, me, candidate_id, example_id, read_as(RulingIn, body), now)
    with db.read() as session:
        found = outlook.look(session, project, candidate_id)
        one = None if found is None else found.find(example_id)
        return as_json({"example": None if found is None or one is None else _example_json(one, found)})


def _example_json(one: Yielded, found: Outlook) -> dict[str, object]:
    example = one.made.example
    return {
        "id": example.id,
        **example.dataset._asdict(),
        "values": example.values,
        "split": found.placed.split if one.leaves else None,
        "answer": example.answer,
        "recipe": example.recipe,
        "templates": example.templates,
        "evidence": example.evidence,
        "holds": [hold._asdict() for hold in one.made.holds],
        "passed": [_word_json(word) for word in one.passed],
        "tokens": [_measured_json(each) for each in one.measured],
        "left_out": one.left_out is not None,
        "left_out_by": None if one.left_out is None else _word_json(one.left_out),
        "digest": one.made.digest,
    }


def _word_json(word: Ruling) -> dict[str, object]:
    return {"gate": word.gate, "reason": word.reason, "by": word.by, "at": word.made_at}


def _measured_json(measured: Measured) -> dict[str, object]:
    parts = (measured.question, measured.answer, measured.total)
    return {
        "model": measured.name,
        "exact": measured.is_exact,
        "parts": [
            {"what": part.what, "tokens": part.n_tokens, "limit": part.limit, "over": part.is_over}
            for part in parts
            if part is not None
        ],
    }
