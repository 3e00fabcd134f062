"""How well people agree, and what each may see of their own work; the same as JSON."""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from sqlmodel import Session
from starlette.responses import Response

from app import agreement, gold, guidelines, projects, review, sources
from app.accounts import Person
from app.agreement import Concord, Measure, Pair, Voice, Work
from app.gold import Gold, Score
from app.insight import Cell, Insight, Picture, Row, Scope
from app.web import rights
from app.web.api import JsonObject, read_as, takes
from app.web.deps import Db, Me, Now, Project, Who
from app.web.forms import Form
from app.web.insight_page import Figure, Kept, figure_of, picture_json
from app.web.queue import link_query
from app.web.render import as_json, page, see_other, url

router = APIRouter()

_DAYS = 90
_WEEKS = 26
_SHOWN = ("decided", "times")


@dataclass(frozen=True)
class PairRow:
    """Two people, with the list of what both judged."""

    pair: Pair
    kappa: str
    url: str


@dataclass(frozen=True)
class VoiceRow:
    """One person beside what was decided in the end."""

    voice: Voice
    judged_url: str
    url: str


@dataclass(frozen=True)
class AgreementView:
    """What `agreement.html` may read; pairs and voices are empty for whom the project does not show them."""

    n_quarantined: int
    asked: str
    concord: Concord
    alpha: str
    judged_url: str
    figures: list[Figure]
    is_shown: bool
    pairs: list[PairRow]
    voices: list[VoiceRow]
    gold: list[Gold]
    scores: list[Score]


@dataclass(frozen=True)
class MeView:
    """What `me.html` may read."""

    n_quarantined: int
    name: str
    since: date
    work: Work
    reasons: list[tuple[str, int]]
    voice: VoiceRow
    score: Score | None
    figures: list[Figure]


class KeptConcord:
    """What was computed last of each project, for as long as nobody decides: alpha takes a second."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, Concord]] = {}

    def look(self, session: Session, project: int) -> Concord:
        """As `agreement.look`."""
        mark = agreement.take_mark(session)
        kept, found = self._seen.get(project, (-1, None))
        if found is None or kept != mark:
            found = agreement.look(session, project)
            self._seen[project] = mark, found
        return found


@router.get("/agreement")
def show_agreement(request: Request, session: Db, project: Project, who: Who, now: Now) -> Response:
    """Alpha, what came of asking several people, what they differ on, and pairs for whom the project shows them."""
    said = projects.get_opinions(session, project)
    found = _look(request, session, project)
    is_shown = rights.sees_team(who, said.team)
    view = AgreementView(
        n_quarantined=sources.count_quarantine(session, project),
        asked=said.sentence,
        concord=found,
        alpha=_told(found.alpha),
        judged_url=url("/queue", status="all", q="agreement:no,settled,yes"),
        figures=[figure_of(one) for one in found.pictures],
        is_shown=is_shown,
        pairs=[_pair_row(one) for one in found.pairs] if is_shown else [],
        voices=[_voice_row(one) for one in found.voices] if is_shown else [],
        # Who would be given them must not read which they are.
        gold=gold.list_gold(session, project) if rights.may_settle(who) else [],
        scores=gold.list_scores(session, project, now=now) if is_shown else [],
    )
    return page(request, "agreement.html", view)


@router.get("/api/v1/agreement")
def agreement_json(request: Request, session: Db, project: Project, who: Who, now: Now) -> Response:
    """The numbers of the page; `pairs`, `people` and `gold` are null for whom the project does not show them."""
    by_name = rights.sees_team(who, projects.get_opinions(session, project).team)
    scores = [asdict(one) for one in gold.list_scores(session, project, now=now)] if by_name else None
    return as_json(concord_json(_look(request, session, project), by_name=by_name) | {"gold": scores})


def concord_json(found: Concord, *, by_name: bool) -> dict[str, object]:
    """`{"candidates": 120, "same": 101, "alpha": {"value": 0.71, …}, "pictures": […], "pairs": […], …}`."""
    pairs = [asdict(one) | {"kappa": one.kappa._asdict(), "wanted": one.wanted.query()} for one in found.pairs]
    return {
        "candidates": found.n,
        "same": found.n_same,
        "alpha": found.alpha._asdict(),
        "pictures": [picture_json(one) for one in found.pictures],
        "pairs": pairs if by_name else None,
        "more_pairs": found.n_more_pairs,
        "people": [asdict(one) for one in found.voices] if by_name else None,
    }


@router.get("/me")
def show_me(request: Request, session: Db, project: Project, who: Who, now: Now) -> Response:
    """What one may see of oneself: agreement with what was decided in the end, pace, reasons."""
    seen, voice, work = _mine(request, session, project, who, now)
    labels = guidelines.labels_of(session, project, {None}).get(None, {})
    view = MeView(
        n_quarantined=sources.count_quarantine(session, project),
        name=who.name,
        since=now.date() - timedelta(_DAYS - 1),
        work=work,
        reasons=[(labels.get(code, code), n) for code, n in work.reasons],
        voice=_voice_row(voice),
        score=_score(session, project, who, now),
        figures=[figure_of(one) for one in _pictures(session, project, who, seen)],
    )
    return page(request, "me.html", view)


@router.get("/api/v1/me")
def me_json(request: Request, session: Db, project: Project, who: Who, now: Now) -> Response:
    """The numbers of the page, of who asks and of nobody else."""
    seen, voice, work = _mine(request, session, project, who, now)
    return as_json(
        {
            "name": who.name,
            "role": who.role,
            "work": asdict(work) | {"reasons": dict(work.reasons)},
            "opinions": {"n": voice.n, "same": voice.n_same},
            "gold": None if (score := _score(session, project, who, now)) is None else asdict(score),
            "pictures": [picture_json(one) for one in _pictures(session, project, who, seen)],
        }
    )


@router.post("/candidates/{candidate_id}/gold")
def mark_gold(fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int) -> Response:
    """Make a decided candidate gold: people judge it unknowingly."""
    why = fields.allow({"why"}).one("why")
    gold.mark(session, review.get_candidate(session, project, candidate_id), me, why, now=now)
    return see_other(f"/candidates/{candidate_id}#gold")


@router.post("/candidates/{candidate_id}/gold/end")
def end_gold(session: Db, project: Project, now: Now, candidate_id: int) -> Response:
    """Give it to nobody any more."""
    gold.end(session, project, candidate_id, now=now)
    return see_other(f"/candidates/{candidate_id}")


class GoldIn(BaseModel):
    """Why what the candidate was decided as is right."""

    model_config = ConfigDict(extra="forbid", strict=True)

    why: str


@router.post("/api/v1/candidates/{candidate_id}/gold", openapi_extra=takes(GoldIn))
def post_gold(body: JsonObject, session: Db, project: Project, me: Me, now: Now, candidate_id: int) -> Response:
    """Make a decided candidate gold."""
    row = review.get_candidate(session, project, candidate_id)
    made = gold.mark(session, row, me, read_as(GoldIn, body).why, now=now)
    return as_json({"candidate": candidate_id, "verdict": made.verdict, "why": made.why})


@router.delete("/api/v1/candidates/{candidate_id}/gold")
def delete_gold(session: Db, project: Project, now: Now, candidate_id: int) -> Response:
    """Give it to nobody any more; answers stay."""
    gold.end(session, project, candidate_id, now=now)
    return Response(status_code=204)


def _mine(request: Request, session: Session, project: int, who: Person, now: datetime) -> tuple[Insight, Voice, Work]:
    kept: Kept = request.app.state.insights
    since = now.date() - timedelta(_DAYS - 1)
    voice = agreement.find_voice(session, project, who.reviewer_id, who.name)
    work = agreement.find_work(session, project, who.reviewer_id, datetime.combine(since, time.min, UTC))
    return kept.look(session, project, Scope(since=since, by=who.name), now), voice, work


def _score(session: Session, project: int, who: Person, now: datetime) -> Score | None:
    return next(iter(gold.list_scores(session, project, now=now, reviewer_id=who.reviewer_id)), None)


def _pictures(session: Session, project: int, who: Person, seen: Insight) -> list[Picture]:
    """What of insight is about one person, and how they judged gold over time."""
    shown = [one for one in seen.pictures if one.code in _SHOWN]
    weeks = gold.list_weeks(session, project, who.reviewer_id)
    if weeks:
        rows = tuple(Row(f"{monday}", (Cell(right), Cell(wrong))) for monday, right, wrong in weeks[-_WEEKS:])
        says = "Gold candidates by the week in which you judged them; which they are is not told beforehand."
        shown.append(Picture("gold", "Gold", says, "Week from", ("right", "wrong"), rows, in_time=True))
    return shown


def _look(request: Request, session: Session, project: int) -> Concord:
    kept: KeptConcord = request.app.state.concords
    return kept.look(session, project)


def _pair_row(pair: Pair) -> PairRow:
    return PairRow(pair, _told(pair.kappa), url("/queue", **link_query(pair.wanted)))


def _voice_row(voice: Voice) -> VoiceRow:
    return VoiceRow(voice, url("/queue", **link_query(voice.judged)), url("/queue", **link_query(voice.wanted)))


def _told(measure: Measure) -> str:
    """`0.71 (0.62 to 0.79)`, or the sentence that says why there is none."""
    if measure.value is None:
        return measure.why
    return f"{measure.value:.2f} ({measure.low:.2f} to {measure.high:.2f})"
