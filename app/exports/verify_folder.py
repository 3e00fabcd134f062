"""Verify a dataset folder that Patchsift wrote. One file, standard library only, Python 3.9 or newer.

    python verify.py [FOLDER]

It ships inside each folder as `verify.py`. FOLDER is where this file lies unless given. Every file is held against
`SHA256SUMS` and the manifest; every JSONL row against the columns and types of its config and against its line of
lineage; and no group of issues may stand in two splits. Parquet is held against its digest alone: reading it takes a
library. Nothing in the folder is executed.

Exit code 0: whole. 1: something is wrong, one line each.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

SUMS, MANIFEST = "SHA256SUMS", "manifest.json"
MOST_SHOWN = 100
_CHUNK = 1 << 20
_SEARCH = "beir"  # its files hold the code of every split, so that there is something to tell apart


def verify(folder: Path) -> Iterator[str]:
    """What is wrong with a folder, a sentence each: `"README.md: its bytes are not those that were written."`."""
    try:
        sums = {line[66:]: line[:64] for line in (folder / SUMS).read_text(encoding="utf-8").splitlines()}
        manifest = json.loads((folder / MANIFEST).read_bytes())
        yield from _check_files(folder, sums, manifest)
        places: dict[str, tuple[str, str]] = {}
        for config in manifest["configs"]:
            for split in config["splits"]:
                yield from _check_rows(folder, config, split, places)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f".: this cannot be read as a dataset folder: {type(error).__name__}: {error}"


def _check_files(folder: Path, sums: Mapping[str, str], manifest: Mapping[str, Any]) -> Iterator[str]:
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {SUMS}
    yield from (f"{path}: it is missing." for path in sorted(sums.keys() - there))
    yield from (f"{path}: {SUMS} does not name it." for path in sorted(there - sums.keys()))
    for path in sorted(there & sums.keys()):
        if _digest(folder / path) != sums[path]:
            yield f"{path}: its bytes are not those that were written."
    listed = {one["path"]: one["sha256"] for one in manifest["files"]}
    if listed != {path: digest for path, digest in sums.items() if path != MANIFEST}:
        yield f"{MANIFEST}: its list of files is not that of {SUMS}."


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _check_rows(
    folder: Path, config: Mapping[str, Any], split: str, places: dict[str, tuple[str, str]]
) -> Iterator[str]:
    """The rows of one config and split beside their lineage; `places` says of each group where it was seen first."""
    name, at = f"{config['config']}/{split}", ""
    n_rows = 0
    with (folder / "lineage" / f"{name}.jsonl").open("rb") as ways:
        for number, (placed, way_line) in enumerate(zip_longest(_lines(folder, name), ways)):
            if placed is None or way_line is None:
                yield f"jsonl/{name}: row {number + 1}: the rows and their lineage are not the same number."
                return
            at, line = placed
            row, way = json.loads(line), json.loads(way_line)
            n_rows += 1
            yield from (f"{at}: {fault}" for fault in _faults_of(row, way, number, config["columns"]))
            if config["format"] != _SEARCH:
                first, where = places.setdefault(way["group"], (split, at))
                if first != split:
                    yield f"{at}: its group stands in the split {first} too, at {where}."
    if n_rows != config["splits"][split]:
        yield f"jsonl/{name}: it has {n_rows} rows, and the manifest says {config['splits'][split]}."


def _lines(folder: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Each row with its place, `("jsonl/scaffold_sft_pc/train.jsonl:1", b"{…}")`: of one file, or of several."""
    alone = folder / "jsonl" / f"{name}.jsonl"
    for path in [alone] if alone.exists() else sorted((folder / "jsonl" / name).glob("*.jsonl")):
        with path.open("rb") as rows:
            for number, line in enumerate(rows):
                yield f"{path.relative_to(folder).as_posix()}:{number + 1}", line


def _faults_of(row: object, way: Mapping[str, Any], number: int, columns: Mapping[str, str]) -> Iterator[str]:
    if not isinstance(row, dict) or list(row) != list(columns):
        yield f"its columns must be {', '.join(columns)}."
        return
    for name, kind in columns.items():
        if not _is(kind, row[name]):
            yield f"its column {name} must be {kind}."
    if row.get("id", way["id"]) != way["id"] or way.get("row", number) != number:
        yield "its line of lineage is another row's."


def _is(kind: str, value: object) -> bool:
    """`_is("list<struct<role: string, content: string>>", [{"role": "user", "content": "…"}])` → True."""
    if kind.startswith("list<"):
        return isinstance(value, list) and all(_is(kind[5:-1], one) for one in value)
    if kind.startswith("struct<"):
        parts = dict(part.split(": ", 1) for part in _parts(kind[7:-1]))
        return isinstance(value, dict) and list(value) == list(parts) and all(_is(parts[n], value[n]) for n in parts)
    if kind == "float64":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is {"string": str, "bool": bool, "int64": int}[kind]


def _parts(text: str) -> list[str]:
    """The fields of a struct: `"a: list<x>, b: y"` → `["a: list<x>", "b: y"]`; commas inside brackets part nothing."""
    found, depth = [""], 0
    for sign in text:
        depth += (sign == "<") - (sign == ">")
        if sign == "," and not depth:
            found.append("")
        else:
            found[-1] += sign
    return [one.strip() for one in found]


def main(arguments: Sequence[str]) -> int:
    """The command: prints what is wrong and gives the exit code."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    n_faults = 0
    for fault in verify(folder):
        n_faults += 1
        if n_faults <= MOST_SHOWN:
            sys.stdout.write(f"{fault!a}\n" if not fault.isprintable() else f"{fault}\n")
    sys.stdout.write(f"{n_faults:,} faults.\n" if n_faults else "Whole.\n")
    return 1 if n_faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
