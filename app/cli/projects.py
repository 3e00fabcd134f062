"""patchsift project and benchmark: what a project says of its releases, and what must never be trained on."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.terminal import (
    DatabaseUrl,
    DataDir,
    Json,
    ProjectName,
    actor,
    bytes_of,
    filter_of,
    now,
    opened,
    print_json,
    say,
    settings_of,
    tell,
)
from app.errors import AppError

if TYPE_CHECKING:
    from sqlmodel import Session

    from app.projects import FileKind, ProjectFile, ProjectSettings

projects = typer.Typer(help="The project: how its releases are split, what its models take.")
benchmark = typer.Typer(help="The benchmark: what is kept for it, and files whose issues and texts stay out.")


AskedOpinions = Annotated[
    str,
    typer.Option(
        "--opinions",
        help='How many people judge a candidate, and which: {"asked": 2, "share": 0.1, "only": "finding:secret"}.',
    ),
]


class Use(StrEnum):
    """What a file of a benchmark holds."""

    BLOCK_LIST = "block-list"
    TEXTS = "texts"


# ------------------------------------------------------------------------------------------------ project


@projects.command("list")
def list_projects(
    as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """Every project, the oldest first."""
    from app import installations  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, _), db.read() as session:
        names = installations.list_names(session)
    if as_json:
        print_json({"projects": names})
        return
    for name in names:
        tell(name)


@projects.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Another project, with logs, candidates, members and releases of its own."""
    from app import audit, installations  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, None)) as (db, _), db.write() as session:
        made = installations.create_project(session, name, now=now())
        audit.note(session, actor(), "project create", now=now(), project_id=made.id, about={"name": name})
    say(f"Project {name!r} is there. Its members: patchsift user role NAME reviewer --project {name!r}")


@projects.command("rename")
def rename(
    name: Annotated[str, typer.Argument(help="What it is called now.")],
    to: Annotated[str, typer.Argument(help="What it is to be called.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Give a project another name; everything in it stays as it is."""
    from app import audit, installations  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, name)) as (db, project_id), db.write() as session:
        installations.rename_project(session, project_id, to)
        about = {"name": to, "before": name}
        audit.note(session, actor(), "project rename", now=now(), project_id=project_id, about=about)
    say(f"Project {name!r} is {to!r} now. Say so wherever PATCHSIFT_PROJECT or --project names it, then start anew.")


@projects.command("remove")
def remove_project(
    name: Annotated[str, typer.Argument(help="One that holds nothing.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Remove a project that is empty, such as one that was made by a slip of the hand."""
    from app import audit, installations  # noqa: PLC0415

    served = settings_of(data_dir, database_url, None)
    with (
        opened(settings_of(data_dir, database_url, name)) as (db, project_id),
        db.write() as session,
    ):
        installations.remove_project(session, project_id, served)
        audit.note(session, actor(), "project remove", now=now(), about={"name": name})
    say(f"Project {name!r} is removed.")


@projects.command("show")
def show(
    as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """The project's settings and files."""
    from app import projects as domain  # noqa: PLC0415

    settings = settings_of(data_dir, database_url, project)
    with opened(settings) as (db, project_id), db.read() as session:
        said, files = domain.get_settings(session, project_id), domain.list_files(session, project_id)
        told = domain.describe(session, project_id)
    if as_json:
        print_json(told)
        return
    _show(said)
    for one in files:
        _show_file(one)


def _show(said: "ProjectSettings") -> None:
    tell(said.plan.rule)
    for one in said.budgets:
        limits = (("question", one.question_tokens), ("answer", one.answer_tokens), ("together", one.total_tokens))
        told = ", ".join(f"{name} {n:,}" for name, n in limits if n is not None) or "no limit"
        tell(
            f"{one.role}: {one.name}: {told} tokens, " + (f"by {one.tokenizer[:12]}" if one.tokenizer else "estimated")
        )
    tell(said.opinions.sentence)
    tell("A licence is required." if said.licence_required else "A licence is not required.")
    over = said.overlap
    tell(
        f"Of a benchmark's texts: held back where over {over.share:.0%} of its {over.n}-grams are theirs; one that "
        f"more than {over.most_rows:,} rows hold does not count."
    )


def _show_file(one: "ProjectFile") -> None:
    tell(f"{one.kind.value:12}{one.n_bytes:>12,} bytes  {one.digest[:12]}  {one.name}")


@projects.command("set")
def change(
    licence_required: Annotated[
        bool | None,
        typer.Option("--licence-required/--no-licence-required", help="Hold back what comes without a licence."),
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Split by issue, repository or time.")] = "",
    seed: Annotated[int | None, typer.Option("--seed", help="Another one deals anew what was never released.")] = None,
    shares: Annotated[str, typer.Option("--shares", help="Of train, validation and test: 0.9,0.05,0.05.")] = "",
    validation_from: Annotated[
        str, typer.Option("--validation-from", help="By time: what is older trains. 2025-06-01T00:00:00Z.")
    ] = "",
    test_from: Annotated[
        str, typer.Option("--test-from", help="By time: from when on it tests. 2025-06-01T00:00:00Z.")
    ] = "",
    budgets: Annotated[
        list[str] | None,
        typer.Option(
            "--budget",
            help='What a model takes: {"role": "llm", "name": "qwen", "total_tokens": 8192}. One of the same role and '
            "name is replaced; repeatable.",
        ),
    ] = None,
    dropped: Annotated[
        list[str] | None, typer.Option("--drop-budget", help="A model's name whose budget goes; repeatable.")
    ] = None,
    opinions: AskedOpinions = "",
    overlap: Annotated[
        str, typer.Option("--overlap", help='When an example says too much of a benchmark: {"n": 13, "share": 0.1}.')
    ] = "",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Change settings; what is not named stays. Releases that were made keep theirs."""
    from app import projects as domain  # noqa: PLC0415

    split = {"by": by, "seed": seed, "validation_from": validation_from, "test_from": test_from}
    named: dict[str, object] = {key: value for key, value in split.items() if value not in ("", None)}
    if shares:
        named["shares"] = _shares(shares)
    changes: dict[str, object] = {"split": named} if named else {}
    if licence_required is not None:
        changes["licence_required"] = licence_required
    objects = {"opinions": opinions, "overlap": overlap}
    changes |= {name: _object(f"--{name}", said) for name, said in objects.items() if said}
    given = [_object("--budget", one) for one in budgets or ()]
    with opened(settings_of(data_dir, database_url, project), "project set") as (db, project_id), db.write() as session:
        if given or dropped:
            changes["budgets"] = _budgets(session, project_id, given, dropped or [])
        if not changes:
            raise AppError("Say what to change; project set --help lists it.")
        said = domain.change_settings(session, project_id, changes)
    if as_json:
        print_json(said.as_json())
        return
    _show(said)


def _shares(given: str) -> dict[str, str]:
    parts = given.split(",")
    if len(parts) != 3:  # noqa: PLR2004
        raise AppError("--shares are three numbers, of train, validation and test: 0.9,0.05,0.05.")
    return dict(zip(("train", "validation", "test"), parts, strict=True))


def _object(option: str, given: str) -> dict[str, Any]:
    """An option's JSON object, read as strictly as a log line."""
    from app.formats.lines import HeldError, parse_line  # noqa: PLC0415

    try:
        return parse_line(" ".join(given.split("\n")).encode(errors="surrogateescape"), first=True) or {}
    except HeldError as error:
        raise AppError(f"{option} is no JSON object: {error.message}") from error


def _budgets(
    session: "Session", project_id: int, given: list[dict[str, Any]], dropped: list[str]
) -> list[dict[str, Any]]:
    """The project's budgets with those given in place of theirs, and without those dropped."""
    from app import projects as domain  # noqa: PLC0415

    kept = [one.as_json() for one in domain.get_settings(session, project_id).budgets]
    unknown = set(dropped) - {str(one["name"]) for one in kept}
    if unknown:
        raise AppError(f"There is no budget called {sorted(unknown)[0]!r}; project show lists them.")
    replaced = {(one.get("role"), one.get("name")) for one in given}
    return [one for one in kept if (one["role"], one["name"]) not in replaced and one["name"] not in dropped] + given


@projects.command("tokenizer")
def set_tokenizer(
    path: Annotated[Path, typer.Argument(help="The model's tokenizer.json.")],
    role: Annotated[str, typer.Option("--role", help="Whose examples it counts: llm, scorer, ...")],
    name: Annotated[str, typer.Option("--name", help="The model's name, for people.")],
    question_tokens: Annotated[int | None, typer.Option("--question-tokens", help="The longest question.")] = None,
    answer_tokens: Annotated[int | None, typer.Option("--answer-tokens", help="The longest answer.")] = None,
    total_tokens: Annotated[int | None, typer.Option("--total-tokens", help="Both together.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Count exactly for a model: keep its tokenizer, and set what it takes. Without limits it only counts."""
    from app import projects as domain  # noqa: PLC0415
    from app import tokens  # noqa: PLC0415
    from app.projects import FileKind  # noqa: PLC0415

    content = tokens.read_tokenizer(path)
    limits = {"question_tokens": question_tokens, "answer_tokens": answer_tokens, "total_tokens": total_tokens}
    with (
        opened(settings_of(data_dir, database_url, project), "project tokenizer") as (db, project_id),
        db.write() as session,
    ):
        file = _keep(session, project_id, FileKind.TOKENIZER, f"{name}.json", content)
        budget = {"role": role, "name": name, "tokenizer": file.digest, **limits}
        said = domain.change_settings(session, project_id, {"budgets": _budgets(session, project_id, [budget], [])})
    if as_json:
        print_json(said.as_json())
        return
    _show(said)


def _keep(session: "Session", project_id: int, kind: "FileKind", name: str, content: bytes) -> "ProjectFile":
    from app import projects as domain  # noqa: PLC0415
    from app import review  # noqa: PLC0415

    me = review.ensure_local_reviewer(session, now=now()).id or 0
    return domain.add_file(session, project_id, me, kind, name, content, now=now())


# ------------------------------------------------------------------------------------------------ benchmark


@benchmark.command("freeze")
def freeze(
    filtered: Annotated[
        str, typer.Option("--filter", help="As in a queue's address; every issue that it finds is kept for it.")
    ],
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Put every issue that the filter finds into the benchmark, whole groups at a time, for ever.

    Exit 1 when some of them were in a release already: a benchmark that was trained on is none.
    """
    from app import releases  # noqa: PLC0415

    wanted = filter_of(filtered)
    if not wanted.query():
        raise AppError("This filter finds everything, and nothing would be left to train on. Name a field.")
    with opened(settings_of(data_dir, database_url, project), "benchmark freeze") as (db, project_id):
        with db.write() as session:
            found = releases.freeze_benchmark(session, project_id, wanted)
        with db.read() as session:
            total = releases.count_benchmark(session, project_id)
    if as_json:
        refused = [one.hex() for one in found.refused]
        print_json({"set": found.n_set, "already": found.n_already, "refused": refused, "issues": total})
    say(f"{found.n_set:,} issues are in the benchmark now, {found.n_already:,} were already; {total:,} in all.")
    if found.refused:
        say(f"{len(found.refused):,} issues were released for training, validation or test and stay where they are.")
        raise typer.Exit(1)


@benchmark.command("show")
def show_benchmark(
    as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """How many issues are kept for the benchmark, and the files whose issues and texts stay out of releases."""
    from app import projects as domain  # noqa: PLC0415
    from app import releases  # noqa: PLC0415
    from app.projects import FileKind  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        n = releases.count_benchmark(session, project_id)
        files = [one for one in domain.list_files(session, project_id) if one.kind is not FileKind.TOKENIZER]
    if as_json:
        print_json({"issues": n, "files": [one.as_json() for one in files]})
        return
    for one in files:
        _show_file(one)
    say(f"{n:,} issues are in the benchmark.")


@benchmark.command("add")
def add(
    path: Annotated[str, typer.Argument(help="A file, or - for standard input.")],
    use: Annotated[
        Use,
        typer.Option(
            "--as",
            help="block-list: names of issues, pull requests and commits, one a line, CSV or JSON. texts: the "
            "benchmark's own texts, as text or JSONL.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="What it is called; its own name otherwise.")] = "",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Give a file of a public benchmark; whatever names its issues or repeats its texts is held back from releases."""
    from app.projects import FileKind  # noqa: PLC0415

    kind = FileKind.BLOCK_LIST if use is Use.BLOCK_LIST else FileKind.BENCHMARK
    called = name or ("standard input" if path == "-" else Path(path).name)
    content = bytes_of(path)
    with (
        opened(settings_of(data_dir, database_url, project), "benchmark add") as (db, project_id),
        db.write() as session,
    ):
        file = _keep(session, project_id, kind, called, content)
    if as_json:
        print_json(file.as_json())
    say(f"{file.name} is kept as {file.digest[:12]}; the next release looks for it.")


@benchmark.command("remove")
def remove(
    digest: Annotated[str, typer.Argument(help="The start of a digest that `benchmark show` lists.")],
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    project: ProjectName = None,
) -> None:
    """Give up a file; releases that used it name its digest and stay as they are."""
    from app import projects as domain  # noqa: PLC0415
    from app.projects import FileKind  # noqa: PLC0415

    with (
        opened(settings_of(data_dir, database_url, project), "benchmark remove") as (db, project_id),
        db.write() as session,
    ):
        files = [one for one in domain.list_files(session, project_id) if one.kind is not FileKind.TOKENIZER]
        found = [one for one in files if digest and one.digest.startswith(digest.lower())]
        if len(found) != 1:
            raise AppError(f"{'Several files start' if found else 'No file starts'} with {digest[:64]!r}.")
        domain.remove_file(session, project_id, found[0].digest)
    if as_json:
        print_json(found[0].as_json())
    say(f"{found[0].name} is given up.")
