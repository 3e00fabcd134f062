"""Releases for programs: make, preview, look at, verify, compare, download; and what a project says of them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app import downloads, parcels, projects, recipes, releases
from app.errors import BadInputError
from app.parcels import Packed, Parcel
from app.releases import Spec
from app.web import description
from app.web.api import JsonObject, OptionalObject, job_json, read_as, takes
from app.web.deps import AppDb, Config, Db, Me, Now, Project
from app.web.files import send_file
from app.web.render import answer_error, as_json
from app.web.rights import about

router = APIRouter()
_MOST = 500
_MOST_NAMED = 100_000
_LARGEST = 10**9

Before = Annotated[int | None, Query(ge=1, le=_LARGEST)]
Limit = Annotated[int, Query(ge=1, le=_MOST)]


class ReleaseIn(BaseModel):
    """What a release is to hold; everything may be left out. `releases.Spec.parse` says what each may be."""

    model_config = ConfigDict(extra="forbid")

    key: str = ""
    name: str = ""
    filter: dict[str, str] | str = Field(default_factory=dict)
    seed: int | None = None
    split: dict[str, object] | None = None
    budgets: list[dict[str, object]] | None = None
    licence_required: bool | None = None
    overlap: dict[str, object] | None = None


class WithdrawIn(BaseModel):
    """Why a release must not be trained on any more."""

    model_config = ConfigDict(extra="forbid", strict=True)

    why: str


class ProjectIn(BaseModel):
    """Settings to change; of an object only the keys that are named. `projects.ProjectSettings` says what each is."""

    model_config = ConfigDict(extra="forbid")

    split: dict[str, object] | None = None
    budgets: list[dict[str, object]] | None = None
    licence_required: bool | None = None
    overlap: dict[str, object] | None = None
    opinions: dict[str, object] | None = None


# ------------------------------------------------------------------------------------------------ make, preview


@router.post(
    "/api/v1/releases",
    status_code=202,
    openapi_extra=takes(ReleaseIn, optional=True),
    responses=description.gives(description.Release, 202),
)
def post_release(request: Request, body: OptionalObject, session: Db, project: Project, me: Me, now: Now) -> Response:
    """Give a release its number and put it in line for the worker; `job` is where it stands."""
    key = body.pop("key", "")
    if not isinstance(key, str):
        raise BadInputError("key must be a text.", where="field key")
    made = releases.create(session, project, me, Spec.parse(body), now=now, key=key)
    about(request, number=made.number)
    return as_json(releases.as_json(made), 202)


@router.post(
    "/api/v1/releases/preview",
    openapi_extra=takes(ReleaseIn, optional=True),
    responses=description.gives(description.Job, 202),
)
def post_preview(
    body: OptionalObject,
    db: AppDb,
    config: Config,
    project: Project,
    now: Now,
    whole: bool = False,
    gate: str = "",
    dataset: str = "",
) -> Response:
    """What a release would hold, counted in the first 500 judged candidates; `whole=true` counts all, as a job."""
    spec = Spec.parse(body)
    if whole:
        with db.write() as session:
            return as_json(job_json(releases.start_preview(session, project, spec, now=now)), 202)
    # Not by the session that a POST gets: that one holds the write lock.
    with db.read() as session:
        made = releases.preview(session, config, project, spec, gate=gate, dataset=_dataset(dataset))
    return as_json(made.as_json())


def _dataset(name: str) -> str:
    return recipes.get_dataset(name).name if name else ""


# ------------------------------------------------------------------------------------------------ look at


@router.get("/api/v1/releases", responses=description.gives(description.Releases))
def get_releases(session: Db, project: Project, before: Before = None, limit: Limit = 50) -> Response:
    """Releases, the newest first; `before` is the number that the page before ended with."""
    rows = releases.list_releases(session, project, limit + 1, before)
    more = rows[limit - 1].number if len(rows) > limit else None
    return as_json({"releases": [releases.as_json(row) for row in rows[:limit]], "before": more})


@router.get("/api/v1/releases/{number}", responses=description.gives(description.Release))
def get_release(session: Db, project: Project, config: Config, number: str) -> Response:
    """A release by number, or `latest`, with its manifest."""
    return as_json(releases.describe(session, config, releases.get_release(session, project, number)))


@router.get("/api/v1/releases/{number}/held")
def get_held(
    session: Db,
    project: Project,
    config: Config,
    number: str,
    gate: str = "",
    dataset: str = "",
    after: Annotated[int, Query(ge=0, le=_LARGEST)] = 0,
    limit: Limit = 50,
) -> Response:
    """What was left out of a release and why; `after` is the cursor of the page before."""
    folder = releases.get_folder(config, releases.get_release(session, project, number))
    rows, more = releases.list_held(folder, gate=gate, dataset=_dataset(dataset), after=after, limit=limit)
    return as_json({"held": rows, "after": more})


@router.get("/api/v1/releases/{number}/files", responses=description.gives(description.Files))
def get_files(session: Db, project: Project, config: Config, number: str) -> Response:
    """The files of a release with their digests."""
    folder = releases.get_folder(config, releases.get_release(session, project, number))
    return as_json({"files": [one.as_json() for one in releases.list_files(folder)]})


@router.head("/api/v1/releases/{number}/files/{path:path}", include_in_schema=False)
@router.get("/api/v1/releases/{number}/files/{path:path}", responses=description.gives_bytes())
def get_file(request: Request, session: Db, project: Project, config: Config, number: str, path: str) -> Response:
    """One file that the manifest of a release names, and no other; a broken download can be resumed."""
    folder = releases.get_folder(config, releases.get_release(session, project, number))
    found = releases.get_file(folder, path)
    return send_file(request, folder / found.path, found.path.rpartition("/")[2], found.digest)


@router.head("/api/v1/releases/{number}/download", include_in_schema=False)
@router.get("/api/v1/releases/{number}/download", responses=description.gives_bytes())
def get_download(
    request: Request,
    db: AppDb,
    config: Config,
    project: Project,
    now: Now,
    number: str,
    role: str = "llm",
    task: str = "scaffold",
    objective: str = "sft",
    format: str = "",
    pack: str = "zip",
    everything: Annotated[bool, Query(alias="all")] = False,
    parquet: bool = False,
) -> Response:
    """One dataset of a release as a file, or `all`; 503 with the job while a large one is made: ask again."""
    # `pack` is zip, tar.gz, or a split for its rows alone; `parquet` adds it to a folder, and is the file of a split.
    named = format or downloads.first_format(role, task, objective)
    parcel = Parcel.parse(
        {"role": role, "task": task, "objective": objective, "format": named}
        | {"release": number, "pack": pack, "all": everything, "parquet": parquet}
    )
    found = parcels.obtain(db, config, project, parcel, now=now)
    if isinstance(found, Packed):
        return send_file(request, found.path, found.name, found.digest)
    message = f"The file is being made by job {found.id}. Ask again in a while."
    return answer_error(request, 503, "being_made", message, f"/api/v1/jobs/{found.id}")


# ------------------------------------------------------------------------------------------------ verify, withdraw


@router.get("/api/v1/releases/{number}/verify")
def get_verified(db: AppDb, project: Project, config: Config, number: str) -> Response:
    """What independent code says of the release's folder: `{"whole": true, "n_faults": 0, "faults": [], …}`."""
    with db.read() as session:
        row = releases.get_release(session, project, number)
    return as_json({"number": row.number, **releases.verify_release(config, row).as_json(), "folder": ""})


@router.get("/api/v1/releases/{first}/diff/{second}")
def get_difference(
    db: AppDb,
    project: Project,
    config: Config,
    first: str,
    second: str,
    limit: Annotated[int, Query(ge=1, le=_MOST_NAMED)] = 20,
) -> Response:
    """What was added, removed, changed and moved from one release to another; `limit` of each kind are named."""
    with db.read() as session:
        rows = [releases.get_release(session, project, number) for number in (first, second)]
    return as_json(releases.compare(config, rows[0], rows[1], limit).as_json())


@router.post(
    "/api/v1/releases/{number}/withdraw",
    openapi_extra=takes(WithdrawIn),
    responses=description.gives(description.Release),
)
def post_withdrawal(body: JsonObject, session: Db, project: Project, now: Now, number: int) -> Response:
    """Say that a release must not be trained on any more; its files stay."""
    return as_json(
        releases.as_json(releases.withdraw(session, project, number, read_as(WithdrawIn, body).why, now=now))
    )


# ------------------------------------------------------------------------------------------------ the project


@router.get("/api/v1/project", responses=description.gives(description.Project))
def get_project(session: Db, project: Project) -> Response:
    """The project's name, settings and files."""
    return as_json(projects.describe(session, project))


@router.patch(
    "/api/v1/project",
    openapi_extra=takes(ProjectIn),
    responses=description.gives(description.Project),
)
def patch_project(request: Request, body: JsonObject, session: Db, project: Project) -> Response:
    """Change settings; what is not named stays, and releases that were made keep theirs."""
    projects.change_settings(session, project, body)
    about(request, settings=", ".join(sorted(body)))
    return as_json(projects.describe(session, project))
