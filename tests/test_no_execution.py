"""Nothing that was ingested is executed: the package does not even hold the means (docs/decisions/0007)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "app"

CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
MODULES = {
    "code", "codeop", "ctypes", "dill", "libcst", "marshal", "multiprocessing", "pickle", "pty", "runpy", "shelve",
    "subprocess", "yaml",
}  # fmt: skip
ATTRIBUTES = {("os", name) for name in ("system", "popen", "execv", "execve", "execvp", "spawnv", "posix_spawn")} | {
    ("importlib", "import_module")
}
ALLOWED = {
    # The one process that Patchsift starts is its own worker, by constant arguments.
    ("serving.py", "subprocess"),
    # A large log is read by a child of the same program, which answers with tuples of texts and numbers.
    ("formats/reading.py", "marshal"),
    ("formats/reading.py", "multiprocessing"),
    ("formats/reading.py", "multiprocessing.connection"),
    # Lexers and parsers may take minutes on a text that was made for it: they run in a child that can be killed, are
    # sent tuples of texts and answer with numbers and names (docs/decisions/0026).
    ("lexing.py", "marshal"),
    ("lexing.py", "multiprocessing"),
    ("lexing.py", "multiprocessing.connection"),
    ("lexing.py", "multiprocessing.context"),
    # A spec is YAML: the safe loader, after a look at what it would unfold.
    ("spec_yaml.py", "yaml"),
    ("checks/spec.py", "yaml"),
    ("checks/syntax.py", "yaml"),
    ("diffs/yaml_colours.py", "yaml"),
    # One call of the C library, without arguments of ours: what a job left goes back to the system.
    ("worker.py", "ctypes"),
    # Late imports of libraries, by names from our own tables.
    ("checks/secrets.py", "importlib.import_module"),
    ("diffs/highlight.py", "importlib.import_module"),
}


def means_of_execution(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name.partition(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in MODULES:
                yield module
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{name.name}" for name in names if (module, name.name) in ATTRIBUTES)
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield name
            case ast.Attribute(value=ast.Name(id=module), attr=name) if (module, name) in ATTRIBUTES:
                yield f"{module}.{name}"
            case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                yield "shell=True"


def test_the_package_holds_no_means_to_run_what_came_in() -> None:
    found = {
        (path.relative_to(APP).as_posix(), means)
        for path in APP.rglob("*.py")
        for means in means_of_execution(path.read_text(encoding="utf-8"))
    }
    assert found <= ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "eval(script)",
        "import pickle",
        "from yaml import load",
        "os.system(line)",
        "from os import system",
        "run(line, shell=True)",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert list(means_of_execution(source))
