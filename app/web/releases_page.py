"""Releases: what the next one would hold, the numbered ones and all that is in them, verified, compared, withdrawn."""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response

from app import gates, jobs, projects, queue, releases, review, sources
from app.candidates import FINDING_CODES
from app.errors import AppError, BadInputError, ConflictError, NotFoundError
from app.examples import Dataset, Split
from app.exports import formats_of
from app.models import JobRow, JobState, ReleaseRow, ReleaseState
from app.queue import PARAMETERS
from app.releases import Spec
from app.settings import Settings
from app.splits import Plan
from app.web.deps import AppDb, Config, Db, Me, Now, Project
from app.web.files import send_file
from app.web.forms import Fields, Form
from app.web.queue import command_line
from app.web.render import is_partial, page, see_other, url
from app.web.rights import about

router = APIRouter()

FILTER_FIELDS = tuple(name for name in PARAMETERS if name != "order")
_SPLIT_FIELDS = ("by", "validation_from", "test_from")
_FIELDS = ("name", "seed", *_SPLIT_FIELDS, *FILTER_FIELDS)
_LISTED = 50
_HELD_ROWS = 25
_FAULTS = 50
_LONGEST_SHOWN = 800
_DAY = len("2026-11-23")
_UNFINISHED = (ReleaseState.QUEUED, ReleaseState.FREEZING)
_ENDED = (JobState.FAILED, JobState.CANCELLED)
# Above this reading every byte again takes minutes, and belongs on a command line.
_MOST_VERIFIED = 1 << 30


# ------------------------------------------------------------------------------------------------ what pages may read


@dataclass(frozen=True)
class Column:
    """One column of a row: its text, clipped, and how many characters of it are not shown."""

    name: str
    text: str
    n_hidden: int


@dataclass(frozen=True)
class Sample:
    """One row of a dataset as a trainer will read it."""

    split: str
    id: str
    columns: list[Column]


@dataclass(frozen=True)
class Listed:
    """One dataset with its counts; `splits` in the order of `Counted.splits`, None where it has no row there."""

    dataset: Dataset
    rows: int
    splits: list[int | None]
    held: int
    held_url: str
    samples: list[Sample]


@dataclass(frozen=True)
class Counted:
    """All datasets of a release or a preview, as a table.

    Attributes:
        splits: the columns: those that have a row.
        totals: rows a split.
        rows: of all datasets.
        held: rows held back, of all datasets.
        candidates: by verdict.
        datasets: one a line.
        passed: gates that a curator let rows pass, by title, and how many.
        leaks: what must not stand in two splits, and how many do.
        n_leaks: these together.
        n_files: source files that several splits touch, which may be.
    """

    splits: list[str]
    totals: dict[str, int]
    rows: int
    held: int
    candidates: dict[str, int]
    datasets: list[Listed]
    passed: list[tuple[str, int]]
    leaks: list[tuple[str, int]]
    n_leaks: int
    n_files: int


@dataclass(frozen=True)
class Chip:
    """One gate that can be asked for: its title, how many rows it holds back, and the link."""

    title: str
    n: int
    url: str
    is_current: bool


@dataclass(frozen=True)
class HeldRow:
    """One row that is held back, the candidate it would be made of, and why, as (title, sentence)."""

    dataset: str
    id: str | None
    candidate: int
    why: list[tuple[str, str]]


@dataclass(frozen=True)
class HeldList:
    """Rows that are held back: some of `n`, by gate and dataset.

    Attributes:
        n: how many there are with this gate and dataset.
        rows: those of this page.
        chips: the gates, the commonest first.
        dataset: the one that is asked for, or empty.
        gate: title of the one that is asked for, or empty.
        gate_why: what that gate protects from.
        all_url: without gate and dataset.
        no_dataset_url: with the gate alone.
        first_url: the first page, where this is another.
        next_url: the following page.
        most: how many a preview keeps; 0 where there are pages.
    """

    n: int
    rows: list[HeldRow]
    chips: list[Chip]
    dataset: str
    gate: str
    gate_why: str
    all_url: str
    no_dataset_url: str
    first_url: str | None
    next_url: str | None
    most: int


@dataclass(frozen=True)
class Changes:
    """What is different between two sets of rows: a line a dataset, and the first rows of each kind."""

    before: str
    after: str
    totals: Sequence[int]
    datasets: list[tuple[str, Sequence[int]]]
    examples: list[tuple[str, list[tuple[str, str]]]]


@dataclass(frozen=True)
class ListRow:
    """One release in the list."""

    row: ReleaseRow
    state: str
    rows: int
    held: int
    author: str


@dataclass(frozen=True)
class ReleasesView:
    """What `releases.html` may read."""

    n_quarantined: int
    rows: list[ListRow]
    is_busy: bool
    address: str
    next_url: str | None


@dataclass(frozen=True)
class PreviewView:
    """What `release_preview.html` may read.

    Attributes:
        typed: the form as it was sent.
        plan: the project's own split.
        number: of the release that this would become.
        key: lets a button that is pressed twice make one release.
        lazy: whether the preview comes after the page.
        job: that counts everything, while it runs or when it failed.
        address: this very preview, with its job, for asking again.
        n_seen: candidates looked at.
        whole: whether these are all.
        last: number of the last release, or None.
    """

    n_quarantined: int
    typed: dict[str, str]
    patch_sources: list[str]
    kind_names: Mapping[str, str]
    finding_codes: tuple[str, ...]
    n_filters: int
    plan: Plan
    number: int
    key: str
    fault: str
    lazy: bool
    job: JobRow | None
    address: str
    n_seen: int
    whole: bool
    last: int | None
    counted: Counted | None
    held: HeldList | None
    changes: Changes | None


@dataclass(frozen=True)
class Said:
    """What the verifier said of a release."""

    is_whole: bool
    counts: Mapping[str, int]
    n_faults: int
    faults: list[tuple[str, str]]


@dataclass(frozen=True)
class Offered:
    """One dataset that can be downloaded, and in which formats, as (value of the form, name)."""

    label: str
    rows: int
    formats: list[tuple[str, str]]


@dataclass(frozen=True)
class Kept:
    """What a frozen release says of itself: its manifest, read for a page."""

    manifest: Mapping[str, Any]
    counted: Counted
    held: HeldList
    settings: list[tuple[str, str]]
    files: list[Mapping[str, Any]]
    n_bytes: int
    offers: list[Offered]
    export_command: str
    verify_command: str


@dataclass(frozen=True)
class ReleaseView:
    """What `release.html` may read."""

    n_quarantined: int
    row: ReleaseRow
    state: str
    author: str
    job: JobRow | None
    is_running: bool
    message: str
    kept: Kept | None
    others: list[ReleaseRow]
    against: str
    changes: Changes | None
    verified: Said | None
    typed: dict[str, str]
    fault: str


# ------------------------------------------------------------------------------------------------ the list


@router.get("/releases")
def list_releases(request: Request, session: Db, project: Project, before: str = "") -> Response:
    """Every release, the newest first."""
    start = queue.whole_number("before", before) if before else None
    found = releases.list_releases(session, project, _LISTED + 1, start)
    one_each = {row.reviewer_id: row for row in found}
    names = {number: releases.get_author(session, row) for number, row in one_each.items()}
    rows = [_listed(session, project, row, names[row.reviewer_id]) for row in found[:_LISTED]]
    more = len(found) > _LISTED
    view = ReleasesView(
        n_quarantined=0 if is_partial(request) else sources.count_quarantine(session, project),
        rows=rows,
        is_busy=any(one.state in _UNFINISHED for one in rows),
        address=url("/releases", before=before),
        next_url=url("/releases", before=rows[-1].row.number) if more else None,
    )
    return page(request, "releases.html", view, fragment="list")


@router.post("/releases")
def create(request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now) -> Response:
    """Give the release its number and put it in line for the worker."""
    sent = fields.allow((*_FIELDS, "key"))
    typed = {name: sent.one(name).strip() for name in _FIELDS}
    try:
        row = releases.create(session, project, me, _spec(typed), now=now, key=sent.one("key"))
        about(request, number=row.number)
    except (BadInputError, ConflictError) as error:
        return _preview_page(request, session, project, typed, error)
    return see_other(f"/releases/{row.number}")


def _listed(session: Session, project: int, row: ReleaseRow, author: str) -> ListRow:
    rows, held = row.counts.get("rows", 0), row.counts.get("held", 0)
    return ListRow(
        row=row,
        state=_state(row, _find_job(session, project, row)),
        rows=rows if isinstance(rows, int) else 0,
        held=held if isinstance(held, int) else 0,
        author=author,
    )


def _find_job(session: Session, project: int, row: ReleaseRow) -> JobRow | None:
    """The job that freezes a release, while that is not over."""
    return jobs.get_job(session, project, row.job_id) if row.job_id and row.state in _UNFINISHED else None


def _state(row: ReleaseRow, job: JobRow | None) -> str:
    """Where a release stands; one whose job was cancelled before it began will never be frozen."""
    return ReleaseState.FAILED if job is not None and job.state in _ENDED else row.state


# ------------------------------------------------------------------------------------------------ the preview


@router.get("/releases/new")
def new(request: Request, session: Db, project: Project) -> Response:
    """What a release would hold now, counted by making it."""
    typed = {name: request.query_params.get(name, "") for name in _FIELDS}
    return _preview_page(request, session, project, typed)


@router.post("/releases/preview")
def count(request: Request, fields: Form, session: Db, project: Project, now: Now) -> Response:
    """Put a preview of every candidate in line for the worker."""
    typed = _typed(fields)
    try:
        job = releases.start_preview(session, project, _spec(typed), now=now)
    except BadInputError as error:
        return _preview_page(request, session, project, typed, error)
    return see_other(url("/releases/new", **typed, count=job.id))


def _typed(sent: Fields) -> dict[str, str]:
    allowed = sent.allow(_FIELDS)
    return {name: allowed.one(name).strip() for name in _FIELDS}


def _spec(typed: Mapping[str, str]) -> Spec:
    """The release that the form says: `{"name": "nightly", "source": "LLMCore", "seed": "7", …}`."""
    split = {name: midnight(typed[name]) if name != "by" else typed[name] for name in _SPLIT_FIELDS if typed[name]}
    return Spec.parse(
        {
            "name": typed["name"],
            "filter": {name: typed[name] for name in FILTER_FIELDS if typed[name]},
            "seed": typed["seed"],
        }
        | ({"split": split} if split else {})
    )


def midnight(day: str) -> str:
    """A day as a date field sends it begins at midnight UTC."""
    return f"{day}T00:00:00Z" if len(day) == _DAY else day


def _preview_page(
    request: Request, session: Session, project: int, typed: dict[str, str], error: AppError | None = None
) -> Response:
    asked = request.query_params
    partial, job, told = is_partial(request), None, None
    # The first look costs seconds: the page comes at once and the counts after it. An address with anything in it is
    # answered whole, so that it works without scripts.
    lazy = error is None and not partial and not asked
    if error is None and not lazy:
        try:
            job, told = _told(request, session, project, _spec(typed))
        except AppError as refusal:
            error = refusal
    counting = asked.get("count", "") if job is not None or told is not None else ""
    last = releases.find_latest(session, project)
    view = PreviewView(
        n_quarantined=0 if partial else sources.count_quarantine(session, project),
        typed=typed,
        patch_sources=queue.list_patch_sources(session, project),
        kind_names=review.KIND_NAMES,
        finding_codes=FINDING_CODES,
        n_filters=sum(bool(typed[name]) for name in FILTER_FIELDS),
        plan=projects.get_settings(session, project).plan,
        number=releases.next_number(session, project),
        key=uuid.uuid4().hex,
        fault="" if error is None else error.message,
        lazy=lazy,
        job=job,
        address=url("/releases/new", **typed, count=counting),
        n_seen=0 if told is None else sum(told["candidates"].values()),
        whole=told is not None and told["whole"],
        last=None if last is None else last.number,
        **_drawn(told, typed, asked.get("gate", ""), asked.get("dataset", ""), counting),
    )
    address = url("/releases/new", **typed)
    headers = {"HX-Push-Url": address} if not counting and _is_elsewhere(request, address) else {}
    if error is not None:
        headers |= {"HX-Retarget": "#preview", "HX-Reswap": "outerHTML"}
    return page(
        request,
        "release_preview.html",
        view,
        fragment="preview",
        status=error.status if error else 200,
        headers=headers,
    )


def _is_elsewhere(request: Request, address: str) -> bool:
    """Whether the browser's address is another: what is loaded by itself must leave no second step back."""
    shown = request.headers.get("HX-Current-URL", "")
    return not shown.endswith(address)


def _told(request: Request, session: Session, project: int, spec: Spec) -> tuple[JobRow | None, dict[str, Any] | None]:
    """The preview: what a job counted, the job itself while it has not, or the first candidates counted now."""
    asked = request.query_params
    if counting := asked.get("count", ""):
        job = jobs.get_job(session, project, queue.whole_number("count", counting))
        if job.kind == releases.PREVIEW_KIND and job.args == spec.as_json():
            return (None, dict(job.result)) if job.result else (job, None)
    config: Settings = request.app.state.settings
    gate, dataset = asked.get("gate", ""), asked.get("dataset", "")
    return None, releases.preview(session, config, project, spec, gate=gate, dataset=dataset).as_json()


def _drawn(
    told: Mapping[str, Any] | None, typed: Mapping[str, str], gate: str, dataset: str, counting: str
) -> dict[str, Any]:
    """What the page shows of a preview."""
    if told is None:
        return {"counted": None, "held": None, "changes": None}

    def link(gate: str, dataset: str) -> str:
        # Something must stand in the address, or the counts would come after the page again.
        now = "" if gate or dataset or counting else "now"
        return url("/releases/new", **typed, count=counting, gate=gate, dataset=dataset, preview=now) + "#held"

    samples = {_name(one): [(s["split"], s["row"]) for s in one["samples"]] for one in told["datasets"]}
    counted = _count(told, samples, lambda name: link("", name))
    kept = [one for one in told["held"] if _is_asked(one, gate, dataset)]
    held = _held(told, kept[:_HELD_ROWS], gate, dataset, link, most=_HELD_ROWS)
    difference = told["difference"]
    return {"counted": counted, "held": held, "changes": None if difference is None else _changes(difference)}


def _is_asked(row: Mapping[str, Any], gate: str, dataset: str) -> bool:
    return (not dataset or row["dataset"] == dataset) and (not gate or any(g["gate"] == gate for g in row["gates"]))


# ------------------------------------------------------------------------------------------------ one release


@router.get("/releases/{number}")
def show(request: Request, session: Db, project: Project, config: Config, number: str) -> Response:
    """Everything about one release; while it is being frozen, how far that is."""
    return _release_page(request, session, config, project, number)


@router.get("/releases/{number}/verify")
def verify(request: Request, db: AppDb, project: Project, config: Config, number: str) -> Response:
    """What the independent verifier says of a release, reading every byte of it again."""
    with db.read() as session:
        row = releases.get_release(session, project, number)
        folder, n_bytes = releases.get_folder(config, row), row.n_bytes
    if n_bytes > _MOST_VERIFIED:
        raise BadInputError(f"This release is large. Verify it in a terminal: {_verify_command(config, row)}")
    said = _said(releases.verify(folder))
    with db.read() as session:
        return _release_page(request, session, config, project, number, verified=said, fragment="verified")


@router.post("/releases/{number}/withdraw")
def withdraw(
    request: Request, fields: Form, session: Db, project: Project, config: Config, now: Now, number: int
) -> Response:
    """Say that a release must not be trained on, and why."""
    typed = {"why": fields.allow({"why"}).one("why")}
    try:
        releases.withdraw(session, project, number, typed["why"], now=now)
    except BadInputError as error:
        return _release_page(request, session, config, project, str(number), typed=typed, error=error)
    return see_other(f"/releases/{number}")


@router.get("/releases/{number}/files/{path:path}")
def download(request: Request, session: Db, project: Project, config: Config, number: str, path: str) -> Response:
    """One file of a release: one that its manifest names, and no other; a broken download can be resumed."""
    row = releases.get_release(session, project, number)
    folder = releases.get_folder(config, row)
    listed = {str(one["path"]): str(one["sha256"]) for one in _files(folder, releases.read_manifest(folder))}
    if path not in listed:
        raise NotFoundError(f"Release {row.number} has no file {path[:200]!r}.")
    name = f"release-{row.number}-{path.replace('/', '-')}"
    return send_file(request, folder / path, name, listed[path])


def _release_page(
    request: Request,
    session: Session,
    config: Settings,
    project: int,
    number: str,
    *,
    verified: Said | None = None,
    typed: dict[str, str] | None = None,
    error: AppError | None = None,
    fragment: str = "release",
) -> Response:
    row = releases.get_release(session, project, number)
    job = _find_job(session, project, row)
    state = _state(row, job)
    kept = _kept(request, config, row) if row.state in releases.SHOWN else None
    against, changes = request.query_params.get("against", ""), None
    if against and kept is not None:
        changes = _changes(releases.compare(config, releases.get_release(session, project, against), row).as_json())
    shown = [one for one in releases.list_releases(session, project) if one.state in releases.SHOWN]
    view = ReleaseView(
        n_quarantined=0 if is_partial(request) else sources.count_quarantine(session, project),
        row=row,
        state=state,
        author=releases.get_author(session, row),
        job=job,
        is_running=state in _UNFINISHED,
        message=row.message or (job.message if job is not None and state == ReleaseState.FAILED else ""),
        kept=kept,
        others=[one for one in shown if one.number != row.number],
        against=against,
        changes=changes,
        verified=verified,
        typed=typed or {"why": ""},
        fault="" if error is None else error.message,
    )
    return page(request, "release.html", view, fragment=fragment, status=error.status if error else 200)


def _kept(request: Request, config: Settings, row: ReleaseRow) -> Kept:
    folder = releases.get_folder(config, row)
    manifest = releases.read_manifest(folder)
    asked = request.query_params
    gate, dataset = asked.get("gate", ""), asked.get("dataset", "")
    after = queue.whole_number("after", asked["after"]) if asked.get("after") else 0

    def link(gate: str, dataset: str, after: int | str = "") -> str:
        return url(f"/releases/{row.number}", gate=gate, dataset=dataset, after=after) + "#held"

    samples = {
        _name(one): [(str(split), values) for split, values in releases.list_samples(folder, _dataset(one))]
        for one in manifest["datasets"]
    }
    rows, following = releases.list_held(folder, gate=gate, dataset=dataset, after=after, limit=_HELD_ROWS)
    held = _held(
        manifest, rows, gate, dataset, link,
        first_url=link(gate, dataset) if after else None,
        next_url=None if following is None else link(gate, dataset, following),
    )  # fmt: skip
    files = _files(folder, manifest)
    return Kept(
        manifest=manifest,
        counted=_count(manifest, samples, lambda name: link("", name)),
        held=held,
        settings=_settings(manifest),
        files=files,
        n_bytes=row.n_bytes,
        offers=_offers(manifest),
        export_command=command_line(config, "export", "--release", str(row.number), "--out", "FOLDER"),
        verify_command=_verify_command(config, row),
    )


def _offers(manifest: Mapping[str, Any]) -> list[Offered]:
    """What of the release can be downloaded: datasets with rows, each in the formats that hold it."""
    offers = []
    for one in manifest["datasets"]:
        name = " · ".join(_dataset(one))
        formats = [(f"{_name(one)} {form.alias}", f"{name}: {form.alias}") for form in formats_of(_dataset(one))]
        if one["rows"] and formats:
            offers.append(Offered(name, one["rows"], formats))
    return offers


def _verify_command(config: Settings, row: ReleaseRow) -> str:
    return command_line(config, "release", "verify", str(row.number))


def _files(folder: Path, manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every file of a release: those that its manifest names, the manifest itself and the list of checksums."""
    beside = [
        {"path": name, "sha256": "", "bytes": (folder / name).stat().st_size}
        for name in ("manifest.json", "SHA256SUMS")
        if (folder / name).is_file()
    ]
    return [*beside, *manifest["files"]]


def _settings(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the release was made with, as names and sentences."""
    order, decisions = manifest["order"], manifest["decisions"]
    chosen = ", ".join(f"{name} {value}" for name, value in order["filter"].items())
    guarded = order["decontamination"]
    listed = ", ".join(one["name"] for one in guarded["files"]) if guarded else ""
    return [
        ("Candidates", chosen or "all that were judged"),
        ("Splits", order["rule"]),
        ("Shares", ", ".join(f"{split} {share:g}" for split, share in order["shares"].items())),
        ("Seed", str(order["seed"])),
        ("Decisions", f"up to {decisions['last']}, of {_minute(decisions['as_of'])}" if decisions["last"] else "none"),
        ("Budgets", "; ".join(map(_budget, order["budgets"])) or "none"),
        ("Licence", "required" if order["licence_required"] else "not required"),
        ("Kept out", listed or "no block list, no benchmark"),
        ("Recipes", ", ".join(f"{name}/{version}" for name, version in manifest["recipes"].items())),
        ("Checks", f"version {manifest['checks']}"),
        ("Made by", manifest["program"]),
    ]


def _budget(budget: Mapping[str, Any]) -> str:
    """`"the agent's spec model (t5_spec): question 1,024, answer 512"`."""
    limits = [
        f"{part} {budget[f'{part}_tokens']:,}" for part in ("question", "answer", "total") if budget[f"{part}_tokens"]
    ]
    return f"{budget['name']} ({budget['role']}): {', '.join(limits) or 'no limit'}"


def _minute(instant: str) -> str:
    """`"2026-03-01T12:00:00+00:00"`, which is UTC in every manifest, → `"2026-03-01 12:00 UTC"`."""
    return f"{instant[:16].replace('T', ' ')} UTC"


def _said(report: Any) -> Said:  # noqa: ANN401  the verifier's own report
    faults = [(fault.where, fault.message) for fault in report.faults[:_FAULTS]]
    return Said(report.is_whole, report.counts, sum(report.n_by_code.values()), faults)


# ------------------------------------------------------------------------------------------------ shared drawing


def _name(counts: Mapping[str, Any]) -> str:
    return _dataset(counts).name


def _dataset(counts: Mapping[str, Any]) -> Dataset:
    return Dataset(counts["role"], counts["task"], counts["objective"])


def _count(
    told: Mapping[str, Any],
    samples: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]],
    link: Callable[[str], str],
) -> Counted:
    """The datasets of a manifest, or of a preview, which has the same shape."""
    used = [split.value for split in Split if any(split.value in one["splits"] for one in told["datasets"])]
    leaks = dict(told["leaks"])
    passed: Counter[str] = Counter()
    for one in told["datasets"]:
        passed.update(one["passed_by_gate"])
    n_files = leaks.pop("files", 0)
    return Counted(
        splits=used,
        totals={split: sum(one["splits"].get(split, 0) for one in told["datasets"]) for split in used},
        rows=sum(one["rows"] for one in told["datasets"]),
        held=sum(one["held"] for one in told["datasets"]),
        candidates=dict(told["candidates"]),
        datasets=[
            Listed(
                dataset=_dataset(one),
                rows=one["rows"],
                splits=[one["splits"].get(split) for split in used],
                held=one["held"],
                held_url=link(_name(one)),
                samples=[_sample(split, row) for split, row in samples.get(_name(one), ())],
            )
            for one in told["datasets"]
        ],
        passed=[(gates.title_of(gate), n) for gate, n in passed.most_common()],
        leaks=sorted(leaks.items()),
        n_leaks=sum(leaks.values()),
        n_files=n_files,
    )


def _sample(split: str, row: Mapping[str, Any]) -> Sample:
    return Sample(split, str(row["id"]), [_column(name, value) for name, value in row.items() if name != "id"])


def _column(name: str, value: object) -> Column:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    return Column(name, text[:_LONGEST_SHOWN], max(0, len(text) - _LONGEST_SHOWN))


def _held(
    told: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]],
    gate: str,
    dataset: str,
    link: Callable[[str, str], str],
    *,
    first_url: str | None = None,
    next_url: str | None = None,
    most: int = 0,
) -> HeldList:
    of = [one for one in told["datasets"] if not dataset or _name(one) == dataset]
    by_gate: Counter[str] = Counter()
    for one in of:
        by_gate.update(one["held_by_gate"])
    known = gates.GATES.get(gate)
    return HeldList(
        n=by_gate[gate] if gate else sum(one["held"] for one in of),
        rows=[
            HeldRow(
                row["dataset"],
                row["id"],
                row["candidate"],
                [(gates.title_of(one["gate"]), one["message"]) for one in row["gates"]],
            )
            for row in rows
        ],
        chips=[Chip(gates.title_of(code), n, link(code, dataset), code == gate) for code, n in by_gate.most_common()],
        dataset=dataset,
        gate=gates.title_of(gate) if gate else "",
        gate_why="" if known is None else known.why,
        all_url=link("", ""),
        no_dataset_url=link(gate, ""),
        first_url=first_url,
        next_url=next_url,
        most=most,
    )


def _changes(told: Mapping[str, Any]) -> Changes:
    names = ("added", "removed", "changed", "moved")
    examples: dict[str, list[tuple[str, str]]] = {}
    for one in told["examples"]:
        examples.setdefault(one["what"], []).append((one["dataset"], one["id"]))
    return Changes(
        before=told["before"],
        after=told["after"],
        totals=[told[name] for name in names],
        datasets=[(dataset, [counts[name] for name in names]) for dataset, counts in told["datasets"].items()],
        examples=list(examples.items()),
    )
