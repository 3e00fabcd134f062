"""Rules of this code that import contracts cannot say; each keeps away a fault that has happened elsewhere."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from fastapi.routing import APIRoute

APP = Path(__file__).parent.parent / "app"
MODULES = sorted(path for path in APP.rglob("*.py") if "versions" not in path.parts)
ROUTES = sorted((APP / "web").glob("*.py"))
BANNED_NAMES = {"util", "utils", "helper", "helpers", "manager", "service", "process", "handle", "data", "info", "obj"}


def name_of(path: Path) -> str:
    return path.relative_to(APP).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def attributes_of(path: Path, variable: str) -> list[str]:
    """What is used of a variable: `line 7: session.execute`."""
    return [
        f"line {node.lineno}: {variable}.{node.attr}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == variable
    ]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", ROUTES, ids=name_of)
def test_routes_hand_the_session_on_and_never_use_it(path: Path) -> None:
    assert attributes_of(path, "session") == []


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path) != "db.py"], ids=name_of)
def test_nobody_commits_but_the_database_module(path: Path) -> None:
    calls = [  # a commit of somebody's repository is another thing
        f"line {node.lineno}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"commit", "rollback"}
    ]

    assert calls == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nobody_prints_and_nobody_sleeps_in_a_request(path: Path) -> None:
    called = {
        node.func.id for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }

    assert "print" not in called
    if path in ROUTES:
        assert [one for one in attributes_of(path, "time") if one.endswith(".sleep")] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_time_is_asked_for_at_the_edge(path: Path) -> None:
    """What is handed an instant can be tested and repeated; naive times are never made."""
    edge = {"cli/terminal.py", "main.py", "serving.py", "worker.py", "ingest.py", "metrics.py"}
    edge |= {f"web/{name}.py" for name in ("deps", "api", "imports", "rights")}
    asked = [one for one in attributes_of(path, "datetime") if one.rpartition(".")[2] in {"now", "utcnow", "today"}]

    assert asked == [] or name_of(path) in edge
    assert not [one for one in asked if one.endswith(("utcnow", "today"))]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_and_every_public_function_says_what_it_is(path: Path) -> None:
    parsed = tree(path)
    if name_of(path).startswith("migrations/"):
        return
    silent = [
        f"line {node.lineno}: {node.name}"
        for node in parsed.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]

    assert ast.get_docstring(parsed)
    assert silent == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    long = [
        f"{one.name}: {one.end_lineno - one.lineno + 1} lines"
        for one in functions(path)
        if one.end_lineno and one.end_lineno - one.lineno >= 60
    ]

    assert long == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_and_no_function_has_a_name_that_says_nothing(path: Path) -> None:
    named = {path.stem, *(one.name.strip("_") for one in functions(path))}

    assert named & BANNED_NAMES == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nobody_swallows_what_is_not_known(path: Path) -> None:
    """`except Exception` hides faults: only the worker, which must outlive a job, and pools of processes may."""
    broad = [
        f"line {node.lineno}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    ]

    assert broad == [] or name_of(path) in {"worker.py"}


# ------------------------------------------------------------------------------------------------ routes


def routes() -> list[APIRoute]:
    from importlib import import_module

    parts = [path.stem for path in ROUTES if "APIRouter()" in path.read_text(encoding="utf-8")]
    routers = [import_module(f"app.web.{part}").router for part in parts]
    return [route for router in routers for route in router.routes if isinstance(route, APIRoute)]


@pytest.mark.parametrize("route", routes(), ids=lambda route: f"{min(route.methods)} {route.path}")
def test_a_route_has_one_method_a_docstring_and_runs_in_a_thread(route: APIRoute) -> None:
    import inspect

    assert route.methods is not None
    assert len(route.methods) == 1
    # Forms know GET and POST; the others are for programs, and HEAD also for who resumes a download.
    of_programs = {"PATCH", "PUT", "DELETE"} if route.path.startswith("/api/") else set()
    assert route.methods <= {"GET", "HEAD", "POST"} | of_programs
    assert (route.endpoint.__doc__ or "").strip().endswith(".")
    # An async route would block every other while the database works.
    assert not inspect.iscoroutinefunction(route.endpoint)


def test_every_module_of_routes_is_in_the_application() -> None:
    """A module that is forgotten when the application is wired has no pages."""
    wired = (APP / "main.py").read_text(encoding="utf-8")
    with_routes = [path.stem for path in ROUTES if "APIRouter()" in path.read_text(encoding="utf-8")]

    assert with_routes
    assert [name for name in with_routes if name not in wired] == []


@pytest.mark.parametrize("route", routes(), ids=lambda route: f"{min(route.methods)} {route.path}")
def test_a_body_is_read_before_the_write_lock_is_taken(route: APIRoute) -> None:
    """A sender that waits would hold the lock; FastAPI resolves what a route asks for in the order of its signature."""
    import inspect

    parameters = inspect.signature(route.endpoint, eval_str=True).parameters
    names = [name for name in parameters if name in {"body", "fields", "files", "session"}]

    assert "session" not in names or names[-1] == "session"


def test_the_session_ends_before_the_answer_begins() -> None:
    """With the default scope a failed commit would come after a 200 that was sent already."""
    from app.web.deps import Db

    _, depends = get_args(Db)
    assert depends.scope == "function"
