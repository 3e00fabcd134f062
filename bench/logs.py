"""A log of any length out of the sample patches, the same for everybody; and databases made of logs by the product.

    python -m bench.logs 100000 OUT.jsonl

Copy n of a sample has other names for files and identifiers, another issue and another time, so that it is another
candidate with other words; lengths stay what they are in real logs. Of a share of the entries there is a run too.
"""

import hashlib
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.db import Database
from app.settings import Settings
from bench.measure import tool
from bench.servers import environment

SAMPLES = Path(__file__).parent.parent / "app" / "samples" / "success_memory.jsonl"
_NAME = re.compile(r"\b[a-z]{5,}(?=[_(.])")
_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu", "xe")
_START = datetime(2025, 1, 1, tzinfo=UTC)


def entries(n: int) -> Iterator[bytes]:
    """`n` log lines without their newlines; line i is the same in every run."""
    samples = SAMPLES.read_bytes().splitlines()
    for number, line in zip(range(n), itertools.cycle(samples), strict=False):
        copy = number // len(samples)
        yield line if copy == 0 else _renamed(line, number, copy)


def _renamed(line: bytes, number: int, copy: int) -> bytes:
    entry = json.loads(line)
    for field in ("successful_diff_summary", "successful_diff_summary_snippet", "successful_script"):
        if entry.get(field):
            entry[field] = _NAME.sub(lambda found: _name(found.group(), copy), entry[field])
    entry["spec_target_files"] = [
        _NAME.sub(lambda f: _name(f.group(), copy), one) for one in entry["spec_target_files"]
    ]
    entry["spec_issue_description"] += f" ({number})"
    entry["timestamp_utc"] = (_START + timedelta(seconds=number)).isoformat()
    return json.dumps(entry, separators=(",", ":")).encode()


def runs(n: int, share: float) -> Iterator[bytes]:
    """Lines of a log of runs: of about this share of the first `n` entries, the attempts that led to each.

    A broken script, the same mended, and the entry's own; every third run is wrapped with its issue and time, as is
    each of an entry that lacks its script.
    """
    spare = next(script for line in SAMPLES.read_bytes().splitlines() if (script := _script(json.loads(line))))
    for number, line in enumerate(entries(n)):
        if hashlib.blake2b(b"run %d" % number, digest_size=8).digest() >= int(share * 2**64).to_bytes(8):
            continue
        entry = json.loads(line)
        script = _script(entry) or f"{spare}\n# {number}\n"
        attempts = [
            [script.replace("(", "((", 1), False, 0.0, "PatchApplicationError: Failed to apply: '(' was never closed"],
            [f"{script}\n", True, 0.7, None],
            [script, True, 0.9, None],
        ]
        wrapped = {
            "run_id": f"run-{number}",
            "timestamp_utc": entry["timestamp_utc"],
            "spec": {"issue_description": entry["spec_issue_description"]},
            "outcome": "success",
            "patch_history": attempts,
        }
        is_wrapped = number % 3 == 0 or not _script(entry)
        yield json.dumps(wrapped if is_wrapped else attempts, separators=(",", ":")).encode()


def _script(entry: dict[str, str]) -> str | None:
    return entry.get("successful_script")


def _name(word: str, copy: int) -> str:
    """Every fourth name changes, to one of as many letters: `_name("session", 7)` → `"tinodiv"`."""
    digest = hashlib.blake2b(f"{copy} {word}".encode(), digest_size=16).digest()
    if digest[0] % 4:
        return word
    return "".join(_SYLLABLES[byte % 16] for byte in digest[1:])[: len(word)]


def write(n: int, path: Path) -> Path:
    """The log as a file."""
    return _write(entries(n), path)


def write_runs(n: int, share: float, path: Path) -> Path:
    """The log of their runs as a file."""
    return _write(runs(n, share), path)


def _write(lines: Iterable[bytes], path: Path) -> Path:
    with path.open("wb") as target:
        target.writelines(line + b"\n" for line in lines)
    return path


def install(log: Path, folder: Path, cache: Path, *, prepare: int | None) -> int:
    """Ingest a log by command into a new data folder and let the first candidates be checked and rendered.

    Args:
        log: the file.
        folder: the data folder to make.
        cache: where compiled modules are kept.
        prepare: how many candidates the worker shall have prepared; None means all.

    Returns:
        How many candidates there are.

    """
    from app import decisions
    from app import prepare as preparing

    command = [tool("patchsift"), "ingest", log, "--json", "--data-dir", folder]
    status = subprocess.run(
        [str(part) for part in command], env=environment(cache), cwd="/", stdout=subprocess.DEVNULL, check=False
    ).returncode
    if status not in {0, 3}:
        sys.exit(f"{log} was not read: patchsift ended with {status}")
    db = Database(Settings(data_dir=folder))
    preparing.run(db, limit=prepare)
    with db.read() as session:
        n = sum(decisions.count_by_status(session, 1).values())
    db.close()
    return n


def main() -> None:
    n, out = sys.argv[1:]
    write(int(n), Path(out))


if __name__ == "__main__":
    main()
