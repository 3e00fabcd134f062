"""What a project says of its releases: splits, what its models take, its files, its benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response

from app import asking, projects, queue, releases, review, sources
from app.candidates import FINDING_CODES
from app.contamination import Overlap
from app.errors import AppError, BadInputError, ConflictError
from app.opinions import MOST_ASKED, Opinions, Team
from app.projects import FileKind, ProjectFile, ProjectSettings
from app.releases import Frozen
from app.splits import By
from app.tokens import ROLES, Budget
from app.web.deps import Db, Me, Now, Project
from app.web.forms import Fields, Form, FormWithFiles
from app.web.releases_page import FILTER_FIELDS, midnight
from app.web.render import page, see_other
from app.web.rights import about

router = APIRouter()

_SHARES = ("train", "validation", "test")
_OVERLAP = tuple(field.name for field in fields(Overlap))
_SPLIT_FIELDS = ("by", "seed", *_SHARES, "validation_from", "test_from", "licence_required", *_OVERLAP)
_OPINION_FIELDS = tuple(field.name for field in fields(Opinions))
_BUDGET_FIELDS = tuple(field.name for field in fields(Budget))
_LIMITS = ("question_tokens", "answer_tokens", "total_tokens")
_BLANK_ROWS = 2
_DAY = len("2026-11-23")
_SAID = {
    "opinions": "Saved. What somebody has judged already keeps what was asked for then.",
    "splits": "Saved. Releases that were made keep theirs.",
    "budgets": "Saved. Releases that were made keep theirs.",
    "added": "The file is kept, and counts from the next release on.",
    "removed": "The file is gone; releases that used it name its digest.",
    "benchmark": "These issues are in the benchmark now, and will never be trained on.",
}
_KINDS: Mapping[str, str] = {
    FileKind.TOKENIZER: "tokenizer.json, for exact counts",
    FileKind.BLOCK_LIST: "block list of issues, pull requests and commits",
    FileKind.BENCHMARK: "benchmark texts, whose words must stay out",
}


@dataclass(frozen=True)
class ProjectView:
    """What `project.html` may read.

    Attributes:
        opinions: the form of the opinions, as it was sent or as it is stored.
        n_asked: how many of the pending candidates several people judge, and how many are pending.
        splits: the form of the splits, as it was sent or as it is stored.
        budgets: the rows of the form of the budgets, some of them empty.
        wanted: the filter of the benchmark's form.
        fault: what is wrong with what was sent.
        at: the section that it was sent from: `opinions`, `splits`, `budgets`, `files` or `benchmark`.
        said: what a button just did, or empty.
        files: what the project gave.
        n_benchmark: issues in the benchmark.
        plan: what freezing the filter would do, once that was asked.
    """

    n_quarantined: int
    opinions: Mapping[str, str]
    opinions_said: str
    n_asked: tuple[int, int]
    most_asked: int
    teams: tuple[str, ...]
    splits: Mapping[str, str]
    budgets: Sequence[Mapping[str, str]]
    roles: tuple[str, ...]
    tokenizers: list[str]
    by: tuple[str, ...]
    wanted: Mapping[str, str]
    fault: str
    at: str
    said: str
    files: list[ProjectFile]
    file_kinds: Mapping[str, str]
    n_benchmark: int
    plan: Frozen | None
    patch_sources: list[str]
    kind_names: Mapping[str, str]
    finding_codes: tuple[str, ...]


@router.get("/project")
def show(request: Request, session: Db, project: Project) -> Response:
    """Everything that the project says of its releases."""
    asked = request.query_params
    wanted = {name: asked.get(name, "").strip() for name in FILTER_FIELDS}
    done = asked.get("done", "")
    at = done if done in {"opinions", "splits", "budgets", "benchmark"} else "files" if done else ""
    if "benchmark" not in asked:
        return _project_page(request, session, project, wanted=wanted, at=at, said=_SAID.get(done, ""))
    try:
        plan = releases.preview_benchmark(session, project, _filter(wanted))
    except BadInputError as error:
        return _project_page(request, session, project, wanted=wanted, at="benchmark", error=error)
    return _project_page(request, session, project, wanted=wanted, at="benchmark", plan=plan)


@router.post("/project/opinions")
def change_opinions(request: Request, fields: Form, session: Db, project: Project) -> Response:
    """How many people judge a candidate, and which candidates."""
    sent = fields.allow(_OPINION_FIELDS)
    typed = {name: sent.one(name).strip() for name in _OPINION_FIELDS}
    try:
        said = typed | {"gold_told": typed["gold_told"] == "yes"}
        projects.change_settings(session, project, {"opinions": said})
        about(request, asked=typed["asked"], share=typed["share"], only=typed["only"])
    except BadInputError as error:
        return _project_page(request, session, project, opinions=typed, at="opinions", error=error)
    return see_other("/project?done=opinions#opinions")


@router.post("/project/splits")
def change_splits(request: Request, fields: Form, session: Db, project: Project) -> Response:
    """How groups are split, whether a licence is required, and when a benchmark is said."""
    sent = fields.allow(_SPLIT_FIELDS)
    typed = {name: sent.one(name).strip() for name in _SPLIT_FIELDS}
    split = {name: typed[name] for name in ("by", "seed")}
    split |= {name: midnight(typed[name]) for name in ("validation_from", "test_from") if typed[name]}
    changes = {
        "split": split | {"shares": {name: typed[name] for name in _SHARES}},
        "licence_required": typed["licence_required"] == "yes",
        "overlap": {name: typed[name] for name in _OVERLAP if typed[name]},
    }
    try:
        projects.change_settings(session, project, changes)
    except BadInputError as error:
        return _project_page(request, session, project, splits=typed, at="splits", error=error)
    return see_other("/project?done=splits#splits")


@router.post("/project/budgets")
def change_budgets(request: Request, fields: Form, session: Db, project: Project) -> Response:
    """What each model takes; a row without a name is left out."""
    rows = _rows(fields.allow((), many=_BUDGET_FIELDS))
    try:
        budgets = [_budget(row, number) for number, row in enumerate(rows, 1) if row["name"]]
        projects.change_settings(session, project, {"budgets": budgets})
    except AppError as error:
        return _project_page(request, session, project, budgets=rows, at="budgets", error=error)
    return see_other("/project?done=budgets#budgets")


@router.post("/project/files")
def add_file(request: Request, sent: FormWithFiles, session: Db, project: Project, me: Me, now: Now) -> Response:
    """Keep a tokenizer, a block list or a benchmark, once it was read as what it is given as."""
    kind, file = sent.fields.allow({"kind"}).one("kind"), sent.files[0]
    if kind not in list(FileKind):
        raise BadInputError(f"kind must be one of {', '.join(FileKind)}; it is {kind[:40]!r}.", where="field kind")
    content = file.file.read(projects.MOST_BYTES + 1)
    try:
        if not file.filename or len(sent.files) > 1:
            raise BadInputError("Choose a file first, and one at a time.", where="field files")
        projects.add_file(session, project, me, FileKind(kind), file.filename, content, now=now)
        about(request, name=file.filename, kind=kind)
    except AppError as error:
        return _project_page(request, session, project, at="files", error=error)
    return see_other("/project?done=added#files")


@router.post("/project/files/remove")
def remove_file(request: Request, fields: Form, session: Db, project: Project) -> Response:
    """Give up a file."""
    digest = fields.allow({"digest"}).one("digest")
    try:
        projects.remove_file(session, project, digest)
    except AppError as error:
        return _project_page(request, session, project, at="files", error=error)
    return see_other("/project?done=removed#files")


@router.post("/project/benchmark")
def freeze_benchmark(request: Request, fields: Form, session: Db, project: Project) -> Response:
    """Put issues into the benchmark, once a person has seen how many; more than were seen are not taken."""
    sent = fields.allow((*FILTER_FIELDS, "seen"))
    wanted = {name: sent.one(name) for name in FILTER_FIELDS}
    try:
        plan = releases.preview_benchmark(session, project, _filter(wanted))
        if str(plan.n_set) != sent.one("seen"):
            raise ConflictError(
                f"Meanwhile there are {plan.n_set:,} issues; you have seen {sent.one('seen') or 'none'}."
            )
        releases.freeze_benchmark(session, project, _filter(wanted))
    except AppError as error:
        shown = plan if isinstance(error, ConflictError) else None
        return _project_page(request, session, project, wanted=wanted, at="benchmark", error=error, plan=shown)
    return see_other("/project?done=benchmark#benchmark")


def _filter(wanted: Mapping[str, str]) -> queue.Filter:
    """The filter as a release reads it; what a release refuses, a benchmark takes: what nobody judged yet."""
    return releases.parse_filter({name: value for name, value in wanted.items() if value})


def _rows(sent: Fields) -> list[dict[str, str]]:
    """The rows of the table of budgets: every column comes as often as there are rows.

    Raises:
        BadInputError: one came more often than another.

    """
    columns = {name: sent.many(name) for name in _BUDGET_FIELDS}
    if len({len(column) for column in columns.values()}) > 1:
        raise BadInputError("The table of budgets came incomplete. Nothing was stored; load the page again.")
    return [
        dict(zip(columns, (value.strip() for value in row), strict=True)) for row in zip(*columns.values(), strict=True)
    ]


def _budget(row: Mapping[str, str], number: int) -> dict[str, object]:
    """One row as `parse_budget` takes it; an empty limit is none."""
    limits: dict[str, int | None] = {}
    for name in _LIMITS:
        text = row[name].replace(",", "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004
            what = name.replace("_", " ")
            raise BadInputError(
                f"Row {number}: {what} is a whole number, or empty for no limit.", where=f"field {name}"
            )
        limits[name] = int(text) if text else None
    return {**row, **limits}


def _project_page(
    request: Request,
    session: Session,
    project: int,
    *,
    opinions: Mapping[str, str] | None = None,
    splits: Mapping[str, str] | None = None,
    budgets: list[dict[str, str]] | None = None,
    wanted: Mapping[str, str] | None = None,
    at: str = "",
    said: str = "",
    error: AppError | None = None,
    plan: Frozen | None = None,
) -> Response:
    settings = projects.get_settings(session, project)
    files = projects.list_files(session, project)
    blank = dict.fromkeys(_BUDGET_FIELDS, "")
    view = ProjectView(
        n_quarantined=sources.count_quarantine(session, project),
        opinions=_shown_opinions(settings.opinions) if opinions is None else opinions,
        opinions_said=settings.opinions.sentence,
        n_asked=asking.count_asked(session, project),
        most_asked=MOST_ASKED,
        teams=tuple(Team),
        splits=_shown(settings) if splits is None else splits,
        budgets=[_shown_budget(one) for one in settings.budgets] + [blank] * _BLANK_ROWS
        if budgets is None
        else budgets,
        roles=ROLES,
        tokenizers=[one.name for one in files if one.kind is FileKind.TOKENIZER],
        by=tuple(By),
        wanted=wanted or dict.fromkeys(FILTER_FIELDS, ""),
        fault="" if error is None else error.message,
        at=at,
        said=said,
        files=files,
        file_kinds=_KINDS,
        n_benchmark=releases.count_benchmark(session, project),
        plan=plan,
        patch_sources=queue.list_patch_sources(session, project),
        kind_names=review.KIND_NAMES,
        finding_codes=FINDING_CODES,
    )
    return page(request, "project.html", view, status=error.status if error else 200)


def _shown(settings: ProjectSettings) -> dict[str, str]:
    """The settings as the form has them."""
    plan = settings.plan
    return {
        "by": plan.by,
        "seed": str(plan.seed),
        **{split: f"{share:.10g}" for split, share in plan.share_of.items()},
        "validation_from": plan.validation_from.isoformat()[:_DAY] if plan.validation_from else "",
        "test_from": plan.test_from.isoformat()[:_DAY] if plan.test_from else "",
        "licence_required": "yes" if settings.licence_required else "",
        **{name: str(value) for name, value in settings.overlap.as_json().items()},
    }


def _shown_opinions(said: Opinions) -> dict[str, str]:
    shown = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in said.as_json().items()}
    return shown | {"gold_told": "yes" if said.gold_told else ""}


def _shown_budget(budget: Budget) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in budget.as_json().items()}
