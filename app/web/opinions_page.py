"""How well people agree, and what each may see of their own work; the same as JSON."""

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response

from app import agreement, projects, sources
from app.accounts import Person
from app.agreement import Concord, Measure, Pair, Voice
from app.insight import Insight, Scope
from app.web import rights
from app.web.deps import Db, Now, Project, Who
from app.web.insight_page import Figure, Kept, figure_of, picture_json
from app.web.queue import link_query
from app.web.render import as_json, page, url

router = APIRouter()

_DAYS = 90
_SHOWN = ("decided", "reasons", "times")


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


@dataclass(frozen=True)
class MeView:
    """What `me.html` may read."""

    n_quarantined: int
    name: str
    since: date
    seen: Insight
    voice: VoiceRow
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
def show_agreement(request: Request, session: Db, project: Project, who: Who) -> Response:
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
    )
    return page(request, "agreement.html", view)


@router.get("/api/v1/agreement")
def agreement_json(request: Request, session: Db, project: Project, who: Who) -> Response:
    """The numbers of the page; `pairs` and `people` are null for whom the project does not show them."""
    said = projects.get_opinions(session, project)
    return as_json(concord_json(_look(request, session, project), by_name=rights.sees_team(who, said.team)))


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
    seen, voice = _mine(request, session, project, who, now)
    view = MeView(
        n_quarantined=sources.count_quarantine(session, project),
        name=who.name,
        since=now.date() - timedelta(_DAYS - 1),
        seen=seen,
        voice=_voice_row(voice),
        figures=[figure_of(one) for one in seen.pictures if one.code in _SHOWN],
    )
    return page(request, "me.html", view)


@router.get("/api/v1/me")
def me_json(request: Request, session: Db, project: Project, who: Who, now: Now) -> Response:
    """The numbers of the page, of who asks and of nobody else."""
    seen, voice = _mine(request, session, project, who, now)
    return as_json(
        {
            "name": who.name,
            "role": who.role,
            "decisions": seen.n,
            "time": asdict(seen.pace),
            "opinions": {"n": voice.n, "same": voice.n_same},
            "pictures": [picture_json(one) for one in seen.pictures if one.code in _SHOWN],
        }
    )


def _mine(request: Request, session: Session, project: int, who: Person, now: datetime) -> tuple[Insight, Voice]:
    kept: Kept = request.app.state.insights
    scope = Scope(since=now.date() - timedelta(_DAYS - 1), by=who.name)
    voice = agreement.find_voice(session, project, who.reviewer_id, who.name)
    return kept.look(session, project, scope, now), voice


def _look(request: Request, session: Session, project: int) -> Concord:
    kept: KeptConcord = request.app.state.concords
    return kept.look(session, project)


def _pair_row(pair: Pair) -> PairRow:
    return PairRow(pair, _told(pair.kappa), url("/queue", **link_query(pair.wanted)))


def _voice_row(voice: Voice) -> VoiceRow:
    return VoiceRow(voice, url("/queue", **link_query(voice.wanted)))


def _told(measure: Measure) -> str:
    """`0.71 (0.62 to 0.79)`, or the sentence that says why there is none."""
    if measure.value is None:
        return measure.why
    return f"{measure.value:.2f} ({measure.low:.2f} to {measure.high:.2f})"
