"""`patchsift` in processes of their own, forked from one that has imported it, so that a command costs what it does."""

import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_SECONDS = 300
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    ["app.main", "app.cli.people", "app.backups", "app.serving", "alembic.command", "psycopg"]
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        return json.loads(self.out)


def call(*words: object, given: bytes = b"", settings: dict[str, str] | None = None) -> Ended:
    """Run `patchsift` with these words in a process of its own."""
    named = {key: value for key, value in os.environ.items() if not key.startswith("PATCHSIFT_")}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("in", "out", "err")]
        files[0].write_bytes(given)
        asked = ([str(word) for word in words], named | (settings or {}), [str(path) for path in files])
        ran = FORKED.Process(target=_run, args=asked)
        ran.start()
        # A command that ought to be refused and serves instead would hold up all tests behind it.
        ran.join(_SECONDS)
        if ran.exitcode is None:
            ran.kill()
            ran.join()
        out, err = files[1].read_bytes().decode(errors="surrogateescape"), files[2].read_bytes().decode()
    assert "Traceback" not in err, err
    assert ran.exitcode is not None
    return Ended(ran.exitcode, out, err)


def _run(words: Sequence[str], settings: dict[str, str], files: Sequence[str]) -> None:
    """What the forked process does: a command's surroundings, then the command."""
    for number, path in enumerate(files):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115  (until it ends)
    os.environ.clear()
    os.environ.update(settings)
    os.chdir(ROOT)
    sys.argv = ["patchsift", *words]
    from app.cli import main

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
