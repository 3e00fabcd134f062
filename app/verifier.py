"""Verify a Patchsift release from its manifest alone. One file, standard library only, Python 3.9 or newer.

    python verify.py [FOLDER] [--logs FILE_OR_FOLDER ...] [--json]

It ships inside each release as `verify.py` and shares no code with the program that wrote the release. FOLDER is where
this file lies unless given. With `--logs`, each row is followed back to the bytes of the agent's log that it came from.

Exit code 0: whole. 1: something is wrong, one line each: `place: sentence [code]`. 2: it cannot be read as a release.

From Python:

    report = verify(Path("release-3"), logs=[Path("logs")])
    report.is_whole, report.faults, report.counts, report.as_json()

It reads each file once and holds no more than a line of it; what must be compared across rows lies in a temporary
SQLite file that goes with the process. Nothing in a release is executed, and no symbolic link is followed.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import sqlite3
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, Optional

SCHEMA = 2
COLUMNS = {
    "sft": ("prompt", "completion"),
    "preference": ("prompt", "chosen", "rejected"),
    "unpaired": ("prompt", "completion", "label"),
    "reward": ("prompt", "chosen", "rejected", "margin"),
    "seq2seq": ("source", "target"),
    "regression": ("text", "score"),
    "contrastive": ("anchor", "positive", "negatives"),
    "classification": ("features", "core"),
}
SPLITS = ("train", "validation", "test", "benchmark")
REQUIRED = ("manifest.json", "README.md", "held_back.jsonl", "leaks.json", "verify.py", "SHA256SUMS")
UNLISTED = ("manifest.json", "SHA256SUMS")  # not in the manifest's `files`: it cannot hold its own digest
DEALT = ("digest", "ledger", "benchmark", "time", "repository")
BY = ("issue", "repository", "time")
CORES = ("LLMCore", "DiffusionCore")
CROSSINGS = (("issues", "issue", "an issue"), ("groups", "grp", "a group"), ("fingerprints", "cluster", "a cluster"))
MAY_REPEAT = ("divot5_refiner", "divot5_unifier")  # a draft may need no change
MOST_SHOWN = 100  # faults kept of one code; the rest are counted
_LONGEST_SHOWN = 1000
_MOST_NEGATIVES, _MOST_OPERATIONS = 4, 5
_LARGEST = 2**63 - 1
_DRAWN = 2**64  # a group's draw is below it
_CHUNK = 1 << 20
_BATCH = 1000
_TOLD_EVERY = 2000

_HEX64 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"([0-9a-f]{2}){8,64}")
_WORD = re.compile(r"[a-z0-9_]+")
_SUM = re.compile(rb"([0-9a-f]{64})  ([^\r\n]+)\n")
_TEMPLATE = re.compile(r"[a-z0-9_-]+/p?[0-9]+")
_ORIGINS = {"shipped": ("", "v"), "project": ("p", "p")}  # before a version in a label, and in a file's name

Progress = Callable[[str, int], None]


class Fault(NamedTuple):
    """Something that is wrong: `Fault("changed", "README.md", "Its bytes are not those that …")`."""

    code: str
    where: str
    message: str


class Report:
    """What a verification found.

    Attributes:
        faults: of each code the first 100, in the order in which they were found.
        n_by_code: how many of each code there are.
        counts: what was checked: files, bytes, datasets, rows, held, origins.
        readable: False where the folder could not be read as a release: then little was checked.

    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.faults: list[Fault] = []
        self.n_by_code: Counter[str] = Counter()
        self.counts = dict.fromkeys(("files", "bytes", "datasets", "rows", "held", "origins"), 0)
        self.readable = True

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.readable and not self.n_by_code

    def add(self, code: str, where: str, message: str) -> None:
        """Note a fault; beyond the first hundred of its code it is only counted."""
        self.n_by_code[code] += 1
        if self.n_by_code[code] <= MOST_SHOWN:
            self.faults.append(Fault(code, _plain(where), _plain(message)))

    def as_json(self) -> dict[str, object]:
        """The report as one JSON object."""
        return {
            "folder": self.folder,
            "whole": self.is_whole,
            "readable": self.readable,
            "checked": self.counts,
            "n_faults": sum(self.n_by_code.values()),
            "faults_by_code": dict(sorted(self.n_by_code.items())),
            "faults": [fault._asdict() for fault in self.faults],
        }


def verify(folder: Path, *, logs: Sequence[Path] = (), progress: Progress | None = None) -> Report:
    """Check a release folder: `verify(Path("release-3")).is_whole`. Raises nothing for what a release may hold.

    Args:
        folder: the release.
        logs: files (plain or gzip) or folders of them, to follow each row back to the bytes that it came from.
        progress: called now and then with the file that is being read and the rows so far.

    """
    report = Report(str(folder))
    try:
        with closing(_Ledger()) as ledger:
            _Release(Path(folder), report, ledger, progress or (lambda _path, _n_rows: None)).check(logs)
    except sqlite3.Error as error:
        report.readable = False
        report.add("no_room", ".", f"The temporary file (where TMPDIR says) cannot be written: {error}.")
    except OSError as error:  # a disk that fails, or a file that goes while it is read
        report.readable = False
        report.add("unreadable", str(error.filename or folder), f"It cannot be read: {error.strerror or error}.")
    return report


def _plain(text: str) -> str:
    """A text for a terminal: what a release calls its columns and files may hold control characters."""
    shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in shown)


# ------------------------------------------------------------------------------------------------ strict JSON


class _BadTextError(ValueError):
    """Text that a tolerant reader would bend."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
        raise _BadTextError("duplicate_key", f"The key {json.dumps(twice)} stands twice in one object.")
    return found


def _no_constant(name: str) -> object:
    raise _BadTextError("not_finite", f"{name} is no JSON; a number must be finite.")


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0:
        raise _BadTextError("not_finite", f"The number {digits[:40]} is too large to be held.")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def _parse(raw: bytes) -> object:
    """One JSON value of RFC 8259, without NUL and lone surrogates; raises `_BadTextError`."""
    try:
        text = raw.decode("utf-8")
        value: object = _DECODER.decode(text)
    except _BadTextError:
        raise
    except UnicodeDecodeError as error:
        raise _BadTextError("bad_utf8", f"Byte {error.start} of it is not UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise _BadTextError("bad_json", f"It is no JSON: {str(error)[:200] or 'nested too deep'}.") from error
    if "\\u" in text:  # only an escape brings in what follows
        _refuse_odd_characters(value)
    return value


def _refuse_odd_characters(value: object) -> None:
    for text in _texts_of(value):
        if "\0" in text:
            raise _BadTextError("nul", "A text holds a NUL character, which many databases and trainers cut at.")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            message = "A text holds half of a surrogate pair, which cannot be written as UTF-8."
            raise _BadTextError("surrogate", message) from error


def _texts_of(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(one)
            waiting.extend(one.values())


class _Lines:
    """The lines of a file with their LF, hashed as they are read; after the last, `digest` and sizes are the file's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_bytes = self.n_lines = 0
        self.ended = True
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            for line in stream:
                self._hash.update(line)
                self.n_bytes += len(line)
                self.n_lines += 1
                self.ended = line.endswith(b"\n")
                yield line

    @property
    def seen(self) -> _Seen:
        return _Seen(self._hash.hexdigest(), self.n_bytes, self.n_lines)


class _Seen(NamedTuple):
    """What a file was found to be."""

    sha256: str
    n_bytes: int
    n_lines: Optional[int]  # noqa: UP045  (evaluated by 3.9)


def _hash_file(path: Path) -> _Seen:
    found, n_bytes = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
            n_bytes += len(chunk)
    return _Seen(found.hexdigest(), n_bytes, None)


# ------------------------------------------------------------------------------------------------ across rows


class _Ledger:
    """What must be compared across rows: tables in a temporary file, which SQLite itself deletes."""

    def __init__(self) -> None:
        self.base = sqlite3.connect("", isolation_level=None)
        self.base.executescript("""
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000; PRAGMA temp_store = FILE;
            CREATE TABLE example (dataset, split, place, id, digest BLOB, may_repeat, asked BLOB, label,
                candidate, decision, verdict, issue, grp, cluster, prefix);
            CREATE TABLE held (dataset, place, id, candidate);
            CREATE TABLE origin (source, offset_bytes, line, sha256, place, script BLOB);
            CREATE TABLE entry (no INTEGER PRIMARY KEY, source, offset_bytes, line, sha256, place);
            CREATE TABLE found (no INTEGER PRIMARY KEY, line, script BLOB);
        """)
        self.base.execute("BEGIN")
        self._files: list[str] = []
        self._waiting: dict[str, list[tuple[object, ...]]] = {}

    def close(self) -> None:
        self.base.close()

    def place(self, path: str, line: int) -> int:
        """A number for a line of a file, in the order of reading."""
        if not self._files or self._files[-1] != path:
            self._files.append(path)
        return (len(self._files) - 1) << 40 | line

    def where(self, place: int) -> str:
        return f"{self._files[place >> 40]}:{place & (1 << 40) - 1}"

    def add(self, table: str, *row: object) -> None:
        waiting = self._waiting.setdefault(table, [])
        waiting.append(row)
        if len(waiting) >= _BATCH:
            self._write(table)

    def ask(self, question: str, *given: object) -> Iterator[tuple[Any, ...]]:
        for table in list(self._waiting):
            self._write(table)
        return iter(self.base.execute(question, given))

    def _write(self, table: str) -> None:
        rows = self._waiting.pop(table, [])
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self.base.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


# ------------------------------------------------------------------------------------------------ the manifest


class _Dataset(NamedTuple):
    """A dataset as the manifest tells it, read with care."""

    number: int
    role: str
    task: str
    objective: str
    told: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.role}/{self.task}/{self.objective}"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id", *COLUMNS[self.objective])


_ABSENT = object()
_NUMBER, _NAME, _MAP, _LIST, _FLAG = "a whole number", "a text", "an object", "a list", "true or false"
_SHAPE = {
    "program": _NAME, "release.number": _NUMBER, "release.name": _NAME, "order.filter": _MAP, "order.seed": _NUMBER,
    "order.by": _NAME, "order.rule": _NAME, "order.budgets": _LIST,
    "order.licence_required": _FLAG, "decisions": _MAP, "rulings": _MAP, "checks": _NUMBER, "recipes": _MAP,
    "templates": _LIST, "candidates.accepted": _NUMBER, "candidates.edited": _NUMBER, "candidates.rejected": _NUMBER,
    "datasets": _LIST, "held_by_gate": _MAP, "leaks.issues": _NUMBER, "leaks.groups": _NUMBER,
    "leaks.fingerprints": _NUMBER, "leaks.files": _NUMBER, "files": _LIST,
}  # fmt: skip
_DATASET_SHAPE = {"columns": _LIST, "rows": _NUMBER, "splits": _MAP, "held": _NUMBER, "held_by_gate": _MAP,
                  "passed_by_gate": _MAP}  # fmt: skip


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


_IS: dict[str, Callable[[object], bool]] = {
    _NUMBER: _is_count,
    _NAME: lambda value: isinstance(value, str),
    _MAP: lambda value: isinstance(value, dict),
    _LIST: lambda value: isinstance(value, list),
    _FLAG: lambda value: isinstance(value, bool),
}


def _at(value: object, path: str) -> Any:
    """`_at({"a": {"b": 1}}, "a.b")` → 1; absent → `_ABSENT`."""
    for name in path.split("."):
        value = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
    return value


def _faults_of_shape(value: object, shape: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(field, sentence) of each field that is missing or of another kind."""
    for path, kind in shape.items():
        found = _at(value, path)
        if found is _ABSENT:
            yield path, f"The field {path} is missing; it must be {kind}."
        elif not _IS[kind](found):
            yield path, f"The field {path} must be {kind}."


def _is_safe(path: str) -> bool:
    """Whether a path from the manifest stays in the folder, on every system."""
    if path != path.strip() or not path.isprintable():
        return False
    if any(sign in path for sign in '\\:*?"<>|'):
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


def _list_of(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _map_of(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


# ------------------------------------------------------------------------------------------------ one example


def _fold(text: str) -> str:
    return " ".join(text.split())


def _is_score(value: object) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def _is_features(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(_is_count(n) and n >= 0 for n in value.values())


_COLUMN_KINDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "label": (lambda value: isinstance(value, bool), "true or false"),
    "score": (_is_score, "a number with a decimal point from 0.0 to 1.0"),
    "margin": (lambda value: value is None or (isinstance(value, float) and value > 0), "null, or a number above 0.0"),
    "negatives": (
        lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
        "a list of texts",
    ),
    "features": (_is_features, "an object of whole numbers"),
    "core": (lambda value: value in CORES, f"one of {', '.join(CORES)}"),
}
_TEXT_KIND = (lambda value: isinstance(value, str), "a text")


def _faults_of_columns(dataset: _Dataset, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a row's columns and their types; a row with such a fault is looked at no further."""
    if tuple(row) != dataset.columns:
        yield "columns", f"It has the columns {', '.join(row)}; it must have {', '.join(dataset.columns)}, in order."
        return
    for column, value in row.items():
        is_right, kind = _COLUMN_KINDS.get(column, _TEXT_KIND)
        if not is_right(value):
            yield "type", f"The column {column} must be {kind}."


def _faults_of_texts(dataset: _Dataset, row: Mapping[str, Any], passed: Collection[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a row's texts, types being right; but for what a curator let pass by the gate's name."""
    for column, value in row.items():
        if not isinstance(value, str) or "empty" in passed:
            continue
        without_prompt = column == "prompt" and dataset.role == "scorer"  # it scores texts, whatever was asked
        if not value.strip() and not (without_prompt and value == ""):
            yield "empty_text", f"The column {column} is empty."
    for column in ("prompt", "source"):
        if row.get(column) and not row[column].endswith("\n"):
            yield "question_end", f"The {column} must end with a line end, where the answer begins."
    if not row["id"].startswith(f"{dataset.task}-{dataset.objective}-") or not _prefix_of(dataset, row):
        yield "id_form", f"The id must be {dataset.task}-{dataset.objective}- and 20 hexadecimal digits."
    yield from _faults_of_pair(dataset, row, passed)
    yield from _faults_of_repetition(dataset, row, passed)
    yield from _faults_of_features(row)


def _prefix_of(dataset: _Dataset, row: Mapping[str, Any]) -> str | None:
    """The candidate's digits in an id: `sft-scaffold-0a…` → `0a…`."""
    begin = len(dataset.task) + len(dataset.objective) + 2
    digits, rest = row["id"][begin : begin + 20], row["id"][begin + 20 :]
    is_right = re.fullmatch(r"[0-9a-f]{20}", digits) and (not rest or rest.startswith("-"))
    return str(digits) if is_right else None


def _faults_of_pair(dataset: _Dataset, row: Mapping[str, Any], passed: Collection[str]) -> Iterator[tuple[str, str]]:
    # White space is what a scorer of style is to tell apart.
    fold = str if dataset.role == "scorer" else _fold
    is_pair = "chosen" in row and "same_after_normalisation" not in passed
    if is_pair and fold(row["chosen"]) == fold(row["rejected"]):
        yield "same_pair", "The chosen and the rejected text differ in white space only."
    negatives = [_fold(one) for one in row.get("negatives", ())]
    if "" in negatives:
        yield "empty_text", "One of the negatives is empty."
    if len(negatives) > _MOST_NEGATIVES:
        yield "negatives", f"It has {len(negatives)} negatives; the most is {_MOST_NEGATIVES}."
    if len(set(negatives)) != len(negatives) or _fold(row.get("positive", "")) in negatives:
        yield "negatives", "A negative is equal to the positive, or stands twice."


def _asked_and_answered(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """The question and the answer that is judged, where a row has both."""
    question = next((row[name] for name in ("prompt", "source", "anchor") if name in row), "")
    answer = next((row[name] for name in ("completion", "chosen", "target", "positive") if name in row), "")
    return (question, answer) if question and answer else None


def _faults_of_repetition(
    dataset: _Dataset, row: Mapping[str, Any], passed: Collection[str]
) -> Iterator[tuple[str, str]]:
    both = _asked_and_answered(row)
    is_learnt = dataset.role not in MAY_REPEAT and row.get("label") is not False
    if both is None or not is_learnt or "answer_in_prompt" in passed:
        return
    question, answer = map(_fold, both)
    if answer and answer in question:
        yield "answer_in_prompt", "The whole answer stands in the question."


def _faults_of_features(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, n in row.get("features", {}).items():
        if name.startswith("op_") and n > _MOST_OPERATIONS:
            yield "type", f"The feature {name} is {n}; it is counted up to {_MOST_OPERATIONS}."


# ------------------------------------------------------------------------------------------------ one lineage row


def _is_hex64(value: object) -> bool:
    return isinstance(value, str) and _HEX64.fullmatch(value) is not None


def _is_key(value: object) -> bool:
    return isinstance(value, str) and _KEY.fullmatch(value) is not None


def _is_number_from(least: int) -> Callable[[object], bool]:
    return lambda value: _is_count(value) and value >= least  # type: ignore[operator]


def _is_filled(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


_LINEAGE: dict[str, tuple[Callable[[object], bool], str]] = {
    "id": (_is_filled, "a text"),
    "sha256": (_is_hex64, "64 hexadecimal digits"),
    "candidate": (_is_number_from(1), "a whole number from 1"),
    "decision": (_is_number_from(1), "a whole number from 1"),
    "verdict": (lambda value: value in ("accept", "edit", "reject"), "accept, edit or reject"),
    "recipe": (_is_filled, "a name and a version: llm/2"),
    "templates": (lambda value: isinstance(value, list) and all(map(_is_filled, value)), "a list of names"),
    "answer": (lambda value: isinstance(value, str), "a text"),
    "issue": (_is_key, "hexadecimal digits"),
    "group": (_is_key, "hexadecimal digits"),
    "cluster": (lambda value: value is None or _is_count(value), "a whole number or null"),
    "dealt": (lambda value: value in DEALT, f"one of {', '.join(DEALT)}"),
    "origins": (lambda value: isinstance(value, list) and bool(value), "a list that is not empty"),
}
_ORIGIN: dict[str, tuple[Callable[[object], bool], str]] = {
    "source": (_is_filled, "a text"),
    "line": (_is_number_from(1), "a whole number from 1"),
    "offset": (_is_number_from(0), "a whole number from 0"),
    "sha256": (_is_hex64, "64 hexadecimal digits"),
}
_PASS: dict[str, tuple[Callable[[object], bool], str]] = dict.fromkeys(
    ("gate", "reason", "by"), (_is_filled, "a text that is not empty")
)


def _faults_of_fields(
    value: object, fields: Mapping[str, tuple[Callable[[object], bool], str]], within: str = ""
) -> Iterator[tuple[str, str]]:
    told = _map_of(value)
    for name, (is_right, kind) in fields.items():
        if not is_right(told.get(name, _ABSENT)):
            yield "lineage_field", f"The field {within}{name} must be {kind}."


def _faults_of_lineage(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _faults_of_fields(row, _LINEAGE)
    for number, origin in enumerate(_list_of(row.get("origins"))):
        yield from _faults_of_fields(origin, _ORIGIN, f"origins[{number}].")
    if "passed" in row and not (isinstance(row["passed"], list) and row["passed"]):
        yield "lineage_field", "The field passed must be a list that is not empty, or be left out."
    for number, one in enumerate(_list_of(row.get("passed"))):
        yield from _faults_of_fields(one, _PASS, f"passed[{number}].")
    if "evidence" in row and not _is_filled(row["evidence"]):
        yield "lineage_field", "The field evidence must be a text that is not empty, or be left out."


def _faults_of_judgement(
    dataset: _Dataset, row: Mapping[str, Any], lineage: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """What the verdict and the answer do not allow, given sound fields."""
    verdict, answer, label = lineage["verdict"], lineage["answer"], row.get("label")
    is_edited = answer.startswith("edited_")
    may_be_rejected = dataset.objective == "unpaired" or (dataset.role, dataset.task) == ("scorer", "rating")
    if verdict == "reject" and not may_be_rejected:
        yield "rejected_used", "A rejected candidate's text is taken as right; only unpaired rows and ratings take one."
    if verdict == "reject" and label is True:
        yield "label_verdict", "The label is true, but the candidate was rejected."
    if label is False and verdict != "reject" and (is_edited or answer == "script"):
        yield "label_verdict", f"The label is false, but the verdict on this very text is {verdict}."
    if is_edited and verdict != "edit":
        yield "edit_verdict", f"The answer is {answer}, but the verdict is {verdict}, not edit."
    if verdict == "edit" and answer == "script" and dataset.role == "llm":
        yield "edit_dropped", "The reviewer edited this candidate, but the answer is the log's script."
    if dataset.objective in ("preference", "reward") and not lineage.get("evidence"):
        yield "no_evidence", "A pair must say what it rests on; the field evidence is missing."


# ------------------------------------------------------------------------------------------------ the release


class _Release:
    """A release folder under verification."""

    def __init__(self, folder: Path, report: Report, ledger: _Ledger, progress: Progress) -> None:
        self.folder = folder
        self.report = report
        self.ledger = ledger
        self.progress = progress
        self.sizes: dict[str, int] = {}  # of each ordinary file that is there
        self.odd: set[str] = set()  # what is there but is no ordinary file
        self.seen: dict[str, _Seen] = {}
        self.manifest: dict[str, Any] = {}
        self.files: dict[str, dict[str, Any]] = {}  # of the manifest, with a safe path
        self.datasets: dict[str, _Dataset] = {}
        self.limits: tuple[Fraction, Fraction] | None = None  # below which a draw trains, and validates
        self.templates: set[str] = set()
        self.n_held: Counter[str] = Counter()
        self.held_by_gate: dict[str, _Gates] = {}
        self.passed_by_gate: dict[str, _Gates] = {}
        self.features: dict[str, tuple[str, ...]] = {}

    def check(self, logs: Sequence[Path]) -> None:
        """Everything, in an order that a reader of the faults can follow."""
        if not self.folder.is_dir():
            self._unreadable("no_folder", ".", f"There is no folder {self.folder}.")
            return
        self._walk(self.folder, "")
        if self._read_manifest():
            self._check_manifest()
            self._check_datasets()
            self._check_held()
            self._check_leaks()
            self._check_across()
        self._check_files()
        self._check_sums()
        self._count_what_was_read()
        if logs and self.report.readable:
            _Logs(logs, self.report, self.ledger).check()

    def _unreadable(self, code: str, where: str, message: str) -> None:
        self.report.readable = False
        self.report.add(code, where, message)

    def _add(self, where: str, faults: Iterable[tuple[str, str]]) -> bool:
        """Note these faults of one place; whether there were any."""
        n_before = sum(self.report.n_by_code.values())
        for code, message in faults:
            self.report.add(code, where, message)
        return sum(self.report.n_by_code.values()) > n_before

    # -------------------------------------------------------------------------------------------- what is there

    def _walk(self, folder: Path, below: str) -> None:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._unreadable("unreadable", below or ".", f"The folder cannot be read: {error.strerror}.")
            return
        for entry in found:
            path = below + entry.name
            if entry.is_symlink():
                self.odd.add(path)
                self.report.add("symlink", path, "It is a symbolic link; a release holds ordinary files only.")
            elif entry.is_dir(follow_symlinks=False):
                self._walk(Path(entry.path), f"{path}/")
            elif entry.is_file(follow_symlinks=False):
                self._take_file(path, entry.stat(follow_symlinks=False).st_size)
            else:
                self.odd.add(path)
                self.report.add("not_a_file", path, "It is neither a file nor a folder.")

    def _take_file(self, path: str, size: int) -> None:
        try:
            (self.folder / path).open("rb").close()
        except OSError as error:
            self.odd.add(path)
            self._unreadable("unreadable", path, f"The file cannot be read: {error.strerror}.")
        else:
            self.sizes[path] = size

    def _hash(self, path: str) -> _Seen:
        """Digest and size of a file, read once."""
        if path not in self.seen:
            self.progress(path, self.report.counts["rows"])
            self.seen[path] = _hash_file(self.folder / path)
        return self.seen[path]

    def _load(self, path: str) -> object:
        """A file that is one JSON value, or None with a fault; to be called where the file is there."""
        raw = (self.folder / path).read_bytes()
        try:
            value = _parse(raw)
        except _BadTextError as error:
            self.report.add(error.code, path, str(error))
            return None
        if b"\r" in raw:
            self.report.add("crlf", path, "Its lines end in CR LF; they must end in LF.")
        if not raw.endswith(b"\n"):
            self.report.add("no_final_newline", path, "Its last line has no line end: was it cut?")
        return value

    # -------------------------------------------------------------------------------------------- the manifest

    def _read_manifest(self) -> bool:
        for path in REQUIRED:
            if path not in self.sizes and path not in self.odd:
                self.report.add("missing", path, "The file is missing; every release has it.")
        if "manifest.json" not in self.sizes:
            self.report.readable = False
            return False
        value = self._load("manifest.json")
        if not isinstance(value, dict):
            self._unreadable("manifest", "manifest.json", "It is not one JSON object, so nothing can be checked by it.")
            return False
        schema = value.get("schema")
        if not _is_count(schema) or schema != SCHEMA:
            shown = json.dumps(schema)[:40]
            message = f"The release has schema {shown}; this verifier knows {SCHEMA}. Use the release's own verify.py."
            self._unreadable("schema", "manifest.json: schema", message)
            return False
        self.manifest = value
        return True

    def _check_manifest(self) -> None:
        for field, message in _faults_of_shape(self.manifest, _SHAPE):
            self.report.add("manifest", f"manifest.json: {field}", message)
        self._check_decisions()
        self._take_files()
        self._take_templates()
        for number, told in enumerate(_list_of(self.manifest.get("datasets"))):
            self._take_dataset(f"manifest.json: datasets[{number}]", told)
        known = {path for dataset in self.datasets.values() for path in self._paths_of(dataset)}
        for path in self.files:
            if path.startswith(("examples/", "lineage/")) and path not in known:
                self.report.add("dataset", path, "No dataset of the manifest has this file among its splits.")
        self._check_shares()

    def _check_shares(self) -> None:
        shares, by = _at(self.manifest, "order.shares"), _at(self.manifest, "order.by")
        if by not in BY:
            self.report.add("manifest", "manifest.json: order.by", f"It must be one of {', '.join(BY)}.")
        numbers = [_map_of(shares).get(name) for name in ("train", "validation", "test")]
        if all(map(_is_share, numbers)):
            train, validation, _ = (Fraction(str(one)) for one in numbers)
            self.limits = train * _DRAWN, (train + validation) * _DRAWN
        elif by == "issue":
            message = "The shares of train, validation and test must be numbers from 0 to 1."
            self.report.add("manifest", "manifest.json: order.shares", message)

    def _check_decisions(self) -> None:
        told = _map_of(self.manifest.get("decisions"))
        last, rulings = told.get("last", _ABSENT), _at(self.manifest, "rulings.last")
        if last is not None and not _is_count(last):
            self.report.add("manifest", "manifest.json: decisions.last", "It must be a whole number or null.")
        if last is not None and not _is_hex64(told.get("sha256")):
            message = "It must be the digest of the chain of decisions, 64 hexadecimal digits."
            self.report.add("manifest", "manifest.json: decisions.sha256", message)
        if rulings is not None and not _is_count(rulings):
            self.report.add("manifest", "manifest.json: rulings.last", "It must be a whole number.")

    def _take_files(self) -> None:
        for number, told in enumerate(map(_map_of, _list_of(self.manifest.get("files")))):
            where = f"manifest.json: files[{number}]"
            path = str(told.get("path"))
            if not _is_safe(path):
                self.report.add("unsafe_path", where, f"{json.dumps(path)[:200]} is no plain path in the folder.")
            elif path in self.files or path in UNLISTED:
                self.report.add("listed_twice", where, f"{path} stands there twice, or must not stand there.")
            else:
                self.files[path] = told
                if not _is_hex64(told.get("sha256")) or not _is_count(told.get("bytes")):
                    self.report.add("manifest", where, "It must have a sha256 and a number of bytes.")
                if path.endswith(".jsonl") is not _is_count(told.get("rows")):
                    self.report.add("manifest", where, "Every .jsonl file, and no other, must have a number of rows.")

    def _take_templates(self) -> None:
        paths = set()
        for number, told in enumerate(map(_map_of, _list_of(self.manifest.get("templates")))):
            where = f"manifest.json: templates[{number}]"
            origin = told.get("origin")
            mark, sign = _ORIGINS.get(origin, ("?", "?")) if isinstance(origin, str) else ("?", "?")
            name, path = f"{told.get('name')}/{mark}{told.get('version')}", str(told.get("path"))
            if not _TEMPLATE.fullmatch(name) or name in self.templates:
                message = "It must have a name and a version of its own, and an origin: shipped or project."
                self.report.add("manifest", where, message)
            self.templates.add(name)
            paths.add(path)
            listed = self.files.get(path)
            if listed is None or path != f"templates/{told.get('name')}.{sign}{told.get('version')}.txt":
                self.report.add("template", where, f"The template {name} has no file of its name among the files.")
            elif listed.get("sha256") != told.get("sha256"):
                self.report.add("template", where, f"The template {name} has another digest than its file.")
        for path in self.files:
            if path.startswith("templates/") and path not in paths:
                self.report.add("template", path, "The manifest's templates do not name this file.")

    def _take_dataset(self, where: str, told: object) -> None:
        named = [str(_map_of(told).get(name)) for name in ("role", "task", "objective")]
        if not all(map(_WORD.fullmatch, named)) or named[2] not in COLUMNS:
            known = ", ".join(COLUMNS)
            self.report.add("dataset", where, f"It must have a role, a task and an objective, one of {known}.")
            return
        dataset = _Dataset(len(self.datasets), named[0], named[1], named[2], _map_of(told))
        for field, message in _faults_of_shape(told, _DATASET_SHAPE):
            self.report.add("manifest", f"{where}.{field}", message)
        if dataset.name in self.datasets:
            self.report.add("dataset", where, f"The dataset {dataset.name} stands there twice.")
            return
        if dataset.told.get("columns") != list(dataset.columns):
            self.report.add("columns", f"{where}.columns", f"They must be {', '.join(dataset.columns)}.")
        self.datasets[dataset.name] = dataset
        splits = _map_of(dataset.told.get("splits"))
        if any(split not in SPLITS or not _is_count(n) or n < 1 for split, n in splits.items()):
            message = f"It may name {', '.join(SPLITS)}, each with the number of its rows, from 1."
            self.report.add("counts", f"{where}.splits", message)
        if sum(n for n in splits.values() if _is_count(n)) != dataset.told.get("rows"):
            self.report.add("counts", f"{where}.rows", "It is not the sum of its splits.")

    def _paths_of(self, dataset: _Dataset) -> Iterator[str]:
        for split in SPLITS:
            if split in _map_of(dataset.told.get("splits")):
                yield f"examples/{dataset.name}/{split}.jsonl"
                yield f"lineage/{dataset.name}/{split}.jsonl"

    # -------------------------------------------------------------------------------------------- rows

    def _check_datasets(self) -> None:
        self.report.counts["datasets"] = len(self.datasets)
        for dataset in self.datasets.values():
            self.passed_by_gate[dataset.name] = _Gates()
            for split, n_told in _map_of(dataset.told.get("splits")).items():
                if split in SPLITS:
                    self._check_split(dataset, split, n_told)
            self.passed_by_gate[dataset.name].compare(
                dataset.told.get("passed_by_gate"), f"manifest.json: {dataset.name}: passed_by_gate", self.report
            )

    def _check_split(self, dataset: _Dataset, split: str, n_told: object) -> None:
        paths = [f"{folder}/{dataset.name}/{split}.jsonl" for folder in ("examples", "lineage")]
        for path in paths:
            if path not in self.files:
                self.report.add("missing", path, "The manifest counts its rows, but its files do not name it.")
        if any(path not in self.sizes for path in paths):
            return
        examples, lineages = (_Lines(self.folder / path) for path in paths)
        for line, (example, lineage) in enumerate(zip_longest(examples, lineages), 1):
            self._check_row(dataset, split, (paths[0], paths[1], line), example, lineage)
            if line % _TOLD_EVERY == 0:
                self.progress(paths[0], self.report.counts["rows"] + line)
        for path, lines in zip(paths, (examples, lineages)):
            self.seen[path] = lines.seen
            self._check_end(path, lines)
        self.report.counts["rows"] += examples.n_lines
        if examples.n_lines != n_told:
            self.report.add("counts", paths[0], f"It has {examples.n_lines} rows; the manifest says {n_told}.")

    def _check_end(self, path: str, lines: _Lines) -> None:
        if not lines.ended:
            message = "Its last line has no line end: was the file cut?"
            self.report.add("no_final_newline", f"{path}:{lines.n_lines}", message)

    def _read_line(self, path: str, line: int, raw: bytes) -> dict[str, Any] | None:
        """The object on a line, or None with a fault."""
        where = f"{path}:{line}"
        if not raw.strip():
            self.report.add("blank_line", where, "The line is blank.")
            return None
        if b"\r" in raw:
            self.report.add("crlf", where, "The line ends in CR LF, or holds a CR; lines end in LF.")
        try:
            value = _parse(raw[:-1] if raw.endswith(b"\n") else raw)
        except _BadTextError as error:
            self.report.add(error.code, where, str(error))
            return None
        if not isinstance(value, dict):
            self.report.add("bad_json", where, "The line is no JSON object.")
            return None
        return value

    def _check_row(
        self, dataset: _Dataset, split: str, at: tuple[str, str, int], example: bytes | None, lineage: bytes | None
    ) -> None:
        """One line of a dataset's file and the line of lineage beside it."""
        path, lineage_path, line = at
        row = None if example is None else self._read_line(path, line, example)
        told = None if lineage is None else self._read_line(lineage_path, line, lineage)
        if example is None:
            self.report.add("lineage_extra", f"{lineage_path}:{line}", "No example stands beside this lineage.")
        elif lineage is None:
            self.report.add("lineage_missing", f"{path}:{line}", "No lineage stands beside this example.")
        is_sound = told is not None and not self._add(f"{lineage_path}:{line}", _faults_of_lineage(told))
        passed = {one["gate"] for one in (told or {}).get("passed", ())} if is_sound else set()
        if row is None or self._add(f"{path}:{line}", _faults_of_columns(dataset, row)):
            return
        self._add(f"{path}:{line}", _faults_of_texts(dataset, row, passed))
        self._check_features(dataset, row, f"{path}:{line}")
        place = self.ledger.place(path, line)
        if is_sound and told is not None and example is not None:
            self._add(f"{lineage_path}:{line}", self._faults_beside(dataset, split, row, example, told))
            self.passed_by_gate[dataset.name].count([one["gate"] for one in told.get("passed", ())])
            self._keep_origins(dataset, row, told, place)
        self._keep(dataset, split, row, told if is_sound else None, place)

    def _faults_beside(
        self, dataset: _Dataset, split: str, row: Mapping[str, Any], example: bytes, told: Mapping[str, Any]
    ) -> Iterator[tuple[str, str]]:
        """What is wrong between an example, its lineage and the manifest."""
        if told["id"] != row["id"]:
            yield "lineage_id", f"It is of {told['id']}, but the example on this line is {row['id']}."
        if hashlib.sha256(example.rstrip(b"\n")).hexdigest() != told["sha256"]:
            yield "lineage_digest", "Its sha256 is not that of the example on this line."
        yield from _faults_of_judgement(dataset, row, told)
        yield from self._faults_of_names(told)
        yield from self._faults_of_split(split, told)
        is_required = _at(self.manifest, "order.licence_required") is True
        passed = {one["gate"] for one in told.get("passed", ())}
        if is_required and not _is_filled(told.get("licence")) and "licence_unknown" not in passed:
            yield "licence", "The release asks for a licence, but the field licence is empty."

    def _faults_of_names(self, told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        name, _, version = told["recipe"].rpartition("/")
        if str(_map_of(self.manifest.get("recipes")).get(name)) != version:
            yield "recipe", f"The manifest's recipes do not name {told['recipe']}."
        for template in told["templates"]:
            if template not in self.templates:
                yield "template", f"The manifest's templates do not name {template}."
        last = _at(self.manifest, "decisions.last")
        if not _is_count(last) or told["decision"] > last:
            yield "decision_late", f"Decision {told['decision']} is none of those up to {last} that the release holds."
        if "passed" in told and not _at(self.manifest, "rulings.last"):
            yield "ruling", "A gate was passed, but the manifest says that nobody ruled."

    def _faults_of_split(self, split: str, told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        dealt = told["dealt"]
        if dealt == "digest":
            expected = self._dealt_by_digest(told["group"])
            if expected is None:
                yield "split_rule", "It was dealt by digest, but the manifest has no seed or no shares to deal by."
            elif expected != split:
                yield "split_rule", f"By its group's digest it belongs in {expected}, not in {split}."
        elif dealt != "ledger" and (dealt == "benchmark") is not (split == "benchmark"):
            yield "split_rule", f"It was dealt by {dealt}, so it does not belong in {split}."
        elif dealt in BY and dealt != _at(self.manifest, "order.by"):
            yield "split_rule", f"It was dealt by {dealt}, but the manifest's order deals by something else."

    def _dealt_by_digest(self, group: str) -> str | None:
        seed = _at(self.manifest, "order.seed")
        if not _is_count(seed) or self.limits is None:
            return None
        drawn = hashlib.sha256(b"%d:" % seed + bytes.fromhex(group)).digest()[:8]
        at = int.from_bytes(drawn, "big")
        train, validation = self.limits
        return "train" if at < train else "validation" if at < validation else "test"

    def _check_features(self, dataset: _Dataset, row: Mapping[str, Any], where: str) -> None:
        names = tuple(row.get("features", ()))
        if names and self.features.setdefault(dataset.name, names) != names:
            self.report.add("columns", where, "Its features, or their order, are not those of the first row.")

    # -------------------------------------------------------------------------------------------- kept for later

    def _keep(
        self, dataset: _Dataset, split: str, row: Mapping[str, Any], told: Mapping[str, Any] | None, place: int
    ) -> None:
        values = json.dumps([row[name] for name in dataset.columns[1:]], sort_keys=True).encode()
        both = _asked_and_answered(row)
        asked = None if both is None else hashlib.sha256("\0".join(both).encode()).digest()[:16]
        label = row.get("label")
        told = told or {}
        # An observation may be made twice; a text that stands twice is learned by heart.
        is_observation = dataset.objective == "classification"
        may_repeat = is_observation or any(one["gate"] == "exact_duplicate" for one in told.get("passed", ()))
        lineage = [told.get(name) for name in ("candidate", "decision", "verdict", "issue", "group", "cluster")]
        digest = hashlib.sha256(values).digest()[:16]
        known = (dataset.number, split, place, row["id"], digest, may_repeat, asked, label)
        self.ledger.add("example", *known, *lineage, _prefix_of(dataset, row))

    def _keep_origins(self, dataset: _Dataset, row: Mapping[str, Any], told: Mapping[str, Any], place: int) -> None:
        script = None
        is_final = dataset.role == "llm" and row.get("label") is not False
        if is_final and (told["answer"], told["verdict"]) == ("script", "accept"):
            text = row.get("completion", row.get("chosen"))
            script = hashlib.sha256(text.encode()).digest() if isinstance(text, str) else None
        for origin in told["origins"]:
            kept = (origin["source"], origin["offset"], origin["line"], origin["sha256"], place, script)
            self.ledger.add("origin", *kept)

    # -------------------------------------------------------------------------------------------- held back, leaks

    def _check_held(self) -> None:
        path = "held_back.jsonl"
        self.held_by_gate = {name: _Gates() for name in self.datasets}
        total = _Gates()
        if path in self.sizes:
            lines = _Lines(self.folder / path)
            for number, raw in enumerate(lines, 1):
                row = self._read_line(path, number, raw)
                if row is not None and not self._add(f"{path}:{number}", self._faults_of_held(row)):
                    self._keep_held(row, self.ledger.place(path, number))
                    total.count([one["gate"] for one in row["gates"]])
            self.seen[path] = lines.seen
            self._check_end(path, lines)
            self.report.counts["held"] = lines.n_lines
        total.compare(self.manifest.get("held_by_gate"), "manifest.json: held_by_gate", self.report)
        for name, dataset in self.datasets.items():
            where = f"manifest.json: {name}: held"
            if self.n_held[name] != dataset.told.get("held"):
                message = f"{self.n_held[name]} rows of it are held back; the manifest says {dataset.told.get('held')}."
                self.report.add("counts", where, message)
            self.held_by_gate[name].compare(dataset.told.get("held_by_gate"), f"{where}_by_gate", self.report)

    def _keep_held(self, row: Mapping[str, Any], place: int) -> None:
        name = row["dataset"]
        self.held_by_gate[name].count([one["gate"] for one in row["gates"]])
        self.n_held[name] += 1
        self.ledger.add("held", self.datasets[name].number, place, row["id"], row["candidate"])

    def _faults_of_held(self, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        gates = row.get("gates")
        if str(row.get("dataset")) not in self.datasets:
            yield "held_field", "Its dataset is none of the manifest's."
        if not (row.get("id", _ABSENT) is None or _is_filled(row.get("id"))):
            yield "held_field", "The field id must be a text or null."
        if not _is_number_from(1)(row.get("candidate")):
            yield "held_field", "The field candidate must be a whole number from 1."
        if not (isinstance(gates, list) and gates):
            yield "held_field", "It must name the gates that hold it back."
        elif not all(_is_filled(_map_of(one).get(name)) for one in gates for name in ("gate", "message")):
            yield "held_field", "Each gate must have a name and a message."

    def _check_leaks(self) -> None:
        if "leaks.json" not in self.sizes:
            return
        value = self._load("leaks.json")
        if value is None:
            return
        for name in ("issues", "groups", "fingerprints", "files"):
            found, told = _crossing(_map_of(value).get(name)), _at(self.manifest, f"leaks.{name}")
            if found is None:
                self.report.add("leaks", "leaks.json", f"It does not count what crosses splits by {name}.")
            elif found != told:
                message = f"It counts {found} {name} that cross splits; the manifest says {told}."
                self.report.add("leaks", "leaks.json", message)
            if name != "files" and (found or told not in (0, _ABSENT)):
                self.report.add("leaks", "leaks.json", f"It says that {name} cross splits; none may.")

    # -------------------------------------------------------------------------------------------- across rows

    def _check_across(self) -> None:
        self.progress("(across rows)", self.report.counts["rows"])
        self._check_twice()
        self._check_crossings()
        self._check_candidates()
        where = self.ledger.where
        for place, held in self.ledger.ask(
            "SELECT e.place, h.place FROM held h JOIN example e ON e.dataset = h.dataset AND e.id = h.id"
        ):
            self.report.add("held_and_present", where(place), f"It is held back as well ({where(held)}).")
        for first, last in self.ledger.ask(
            "SELECT min(place), max(place) FROM example WHERE asked IS NOT NULL GROUP BY asked"
            " HAVING max(split = 'benchmark') AND min(split = 'benchmark') = 0"
        ):
            message = f"The same question and answer stand in the benchmark and outside it ({where(first)})."
            self.report.add("benchmark_used", where(last), message)
        for first, last in self.ledger.ask(
            "SELECT min(place), max(place) FROM example WHERE label IS NOT NULL GROUP BY dataset, asked"
            " HAVING min(label) <> max(label)"
        ):
            self.report.add("label_both", where(last), f"The same answer is labelled true and false ({where(first)}).")

    def _check_twice(self) -> None:
        where = self.ledger.where
        for code, column, rest, what in (
            ("id_twice", "id", "", "The same id"),
            ("row_twice", "digest", "WHERE NOT may_repeat", "The same row"),
        ):
            for first, last in self.ledger.ask(
                f"SELECT min(place), max(place) FROM example {rest} GROUP BY dataset, {column} HAVING count(*) > 1"
            ):
                self.report.add(code, where(last), f"{what} stands in this dataset already ({where(first)}).")
        for first, last in self.ledger.ask(
            "SELECT min(place), max(place) FROM held WHERE id IS NOT NULL GROUP BY dataset, id HAVING count(*) > 1"
        ):
            self.report.add("id_twice", where(last), f"The same id is held back already ({where(first)}).")

    def _check_crossings(self) -> None:
        where = self.ledger.where
        for name, column, what in CROSSINGS:
            n_crossing = 0
            for first, last, split, other in self.ledger.ask(
                f"SELECT min(place), max(place), min(split), max(split) FROM example WHERE {column} IS NOT NULL"
                f" GROUP BY {column} HAVING min(split) <> max(split)"
            ):
                n_crossing += 1
                message = f"Examples of {what} stand in {split} and in {other} ({where(first)})."
                self.report.add("crossing", where(last), message)
            told = _at(self.manifest, f"leaks.{name}")
            if n_crossing != told:
                message = f"{n_crossing} {name} cross splits by the lineage; the manifest says {told}."
                self.report.add("leaks", f"manifest.json: leaks.{name}", message)

    def _check_candidates(self) -> None:
        where = self.ledger.where
        for column, of, what in (
            ("decision", "candidate", "One candidate stands there by two decisions"),
            ("verdict", "candidate", "One candidate stands there with two verdicts"),
            ("issue", "candidate", "One candidate stands there with two issues"),
            ("grp", "candidate", "One candidate stands there with two groups"),
            ("prefix", "candidate", "One candidate stands there with two digests in the ids"),
            ("candidate", "prefix", "Two candidates have the same digest in their ids"),
            ("candidate", "decision", "One decision is said to be on two candidates"),
        ):
            for first, last in self.ledger.ask(
                f"SELECT min(place), max(place) FROM example WHERE candidate IS NOT NULL AND {of} IS NOT NULL"
                f" GROUP BY {of} HAVING min({column}) <> max({column})"
            ):
                self.report.add("candidate", where(last), f"{what} (compare {where(first)}).")
        self._count_candidates()

    def _count_candidates(self) -> None:
        """The manifest's judged candidates against those that rows name; a rejected one may have yielded nothing."""
        counts = dict(self.ledger.ask("SELECT verdict, count(DISTINCT candidate) FROM example GROUP BY verdict"))
        ((n_held_only,),) = self.ledger.ask(
            "SELECT count(DISTINCT candidate) FROM held WHERE candidate NOT IN"
            " (SELECT candidate FROM example WHERE candidate IS NOT NULL)"
        )
        told = _map_of(self.manifest.get("candidates"))
        n_missing = 0
        for verdict, name in (("accept", "accepted"), ("edit", "edited"), ("reject", "rejected")):
            n_told, n_found = told.get(name), counts.get(verdict, 0)
            if not _is_count(n_told):
                return
            if n_found > n_told:
                message = f"Rows of {n_found} {name} candidates are there; the manifest says {n_told}."
                self.report.add("candidates", f"manifest.json: candidates.{name}", message)
            n_missing += 0 if verdict == "reject" else max(0, n_told - n_found)
        if n_missing > n_held_only:
            message = (
                f"{n_missing} accepted or edited candidates have no example, but only {n_held_only} are held back. "
                "Every candidate that was accepted yields an example, or the reason why it does not."
            )
            self.report.add("candidates", "manifest.json: candidates", message)

    # -------------------------------------------------------------------------------------------- files, checksums

    def _check_files(self) -> None:
        missing = [path for path in self.files if path not in self.sizes]
        extra = [path for path in self.sizes if path not in self.files and path not in UNLISTED]
        if not self.manifest:
            missing, extra = [], []
        for path in missing:
            if path not in self.odd and path not in REQUIRED:  # those were looked for first of all
                self._report_missing(path, extra)
        for path in extra:
            self.report.add("extra", path, "The manifest's files do not name it.")
        for path in sorted(set(self.files) & set(self.sizes)):
            self._check_file(path, self.files[path])

    def _report_missing(self, path: str, extra: list[str]) -> None:
        told = self.files[path]
        for other in extra:
            if self.sizes[other] == told.get("bytes") and self._hash(other).sha256 == told.get("sha256"):
                extra.remove(other)
                self.report.add("renamed", path, f"The file is not there; {other} holds its bytes.")
                return
        self.report.add("missing", path, "The manifest names this file, but it is not there.")

    def _check_file(self, path: str, told: Mapping[str, Any]) -> None:
        found = self._hash(path)
        if found.n_bytes != told.get("bytes"):
            message = f"It has {found.n_bytes} bytes; the manifest says {told.get('bytes')}."
            self.report.add("size", path, message)
        if found.sha256 != told.get("sha256"):
            self.report.add("changed", path, "Its bytes are not those that the manifest names: their SHA-256 differs.")
        if path.endswith(".jsonl"):
            n_lines = self._count_lines(path) if found.n_lines is None else found.n_lines
            if n_lines != told.get("rows"):
                self.report.add("counts", path, f"It has {n_lines} lines; the manifest says {told.get('rows')}.")

    def _count_lines(self, path: str) -> int:
        with (self.folder / path).open("rb") as stream:
            return sum(1 for _ in stream)

    def _check_sums(self) -> None:
        if "SHA256SUMS" not in self.sizes:
            return
        listed = self._read_sums()
        for path, sha256 in listed.items():
            told = self.files.get(path, {}).get("sha256", sha256)
            if path not in self.sizes:
                if path not in self.files:
                    self.report.add("sums", "SHA256SUMS", f"It names {path}, which is not there.")
                continue
            if told != sha256:
                self.report.add("sums", "SHA256SUMS", f"For {path} it says another SHA-256 than the manifest.")
            elif path in self.files:
                continue  # compared with its bytes already
            if self._hash(path).sha256 != sha256:
                self.report.add("changed", path, "Its bytes are not those of SHA256SUMS: their SHA-256 differs.")
        for path in sorted({*self.sizes, *self.files} - set(listed) - {"SHA256SUMS"}):
            self.report.add("sums", "SHA256SUMS", f"It does not name {path}.")

    def _read_sums(self) -> dict[str, str]:
        listed: dict[str, str] = {}
        lines = _Lines(self.folder / "SHA256SUMS")
        for number, raw in enumerate(lines, 1):
            found = _SUM.fullmatch(raw)
            path = found[2].decode("utf-8", "replace") if found else ""
            if found is None or not _is_safe(path) or path in listed or path == "SHA256SUMS":
                message = "The line must be a SHA-256 in lower case, two blanks and a path that stands there once."
                self.report.add("sums", f"SHA256SUMS:{number}", message)
            else:
                listed[path] = found[1].decode()
        self.seen["SHA256SUMS"] = lines.seen
        return listed

    def _count_what_was_read(self) -> None:
        self.report.counts["files"] = len(self.seen)
        self.report.counts["bytes"] = sum(one.n_bytes for one in self.seen.values())


def _crossing(value: object) -> int | None:
    """How many cross, told as a number, a list of them, or an object with either as `crossing`."""
    if isinstance(value, dict):
        value = value.get("crossing", value.get("count"))
    if isinstance(value, list):
        return len(value)
    return value if _is_count(value) else None  # type: ignore[return-value]


class _Gates:
    """How often gates were named. A row may name one gate twice, for two texts: either way of counting is right."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.named: Counter[str] = Counter()

    def count(self, gates: Sequence[str]) -> None:
        self.rows.update(set(gates))
        self.named.update(gates)

    def compare(self, told: object, where: str, report: Report) -> None:
        if told not in (dict(self.rows), dict(self.named)):
            shown = ", ".join(f"{gate} {n}" for gate, n in sorted(self.rows.items())) or "none"
            report.add("counts", where, f"The rows name other gates, or other numbers of them: {shown}.")


# ------------------------------------------------------------------------------------------------ back to the logs


class _Logs:
    """The agent's logs, to see whether each entry that a row came from stands where its lineage says."""

    def __init__(self, given: Sequence[Path], report: Report, ledger: _Ledger) -> None:
        self.report = report
        self.ledger = ledger
        self.by_name: dict[str, list[tuple[tuple[str, ...], Path]]] = {}
        for path in given:
            if not path.exists():
                self.report.readable = False
                self.report.add("no_log", str(path), "There is no such file or folder of logs.")
            elif path.is_dir():
                for folder, _, names in os.walk(path):
                    for name in names:
                        self._take(Path(folder) / name)
            else:
                self._take(path)

    def _take(self, path: Path) -> None:
        parts = _parts_of(path.absolute().as_posix())
        self.by_name.setdefault(parts[-1], []).append((parts, path))

    def check(self) -> None:
        ask = self.ledger.ask
        list(ask("INSERT INTO entry SELECT NULL, source, offset_bytes, line, sha256, min(place) FROM origin"
                 " GROUP BY source, offset_bytes, line, sha256 ORDER BY source, offset_bytes"))  # fmt: skip
        sources = [(source, place) for source, place in ask("SELECT source, min(place) FROM entry GROUP BY source")]
        for source, place in sources:
            paths, is_named = self._files_of(source)
            for path in paths:
                self._look_up(source, path)
            self._report_missing(source, place, is_named)
        ((self.report.counts["origins"],),) = ask("SELECT count(*) FROM found")
        self._check_scripts()

    def _files_of(self, source: str) -> tuple[list[Path], bool]:
        """The logs whose paths share the longest end with a source's name, and whether they share all of it."""
        wanted = _parts_of(source)
        by_length: dict[int, list[Path]] = {}
        for parts, path in self.by_name.get(wanted[-1], []):
            length = 0
            for mine, other in zip(reversed(parts), reversed(wanted)):
                if mine != other:
                    break
                length += 1
            by_length.setdefault(length, []).append(path)
        longest = max(by_length, default=0)
        return by_length.get(longest, []), longest == len(wanted)

    def _look_up(self, source: str, path: Path) -> None:
        """Read one log and note which of the source's entries stand in it as the lineage says."""
        asked = self.ledger.ask(
            "SELECT no, offset_bytes, line, sha256 FROM entry WHERE source = ? AND no NOT IN (SELECT no FROM found)"
            " ORDER BY offset_bytes",
            source,
        )
        try:
            with _open_log(path) as stream:
                for no, line, script in _entries_at(stream, path, asked):
                    self.ledger.add("found", no, line, script)
        except (OSError, EOFError, zlib.error) as error:
            self.report.add("log_unreadable", str(path), f"The log cannot be read: {error}.")

    def _report_missing(self, source: str, place: int, is_named: bool) -> None:
        where, missing = self.ledger.where, "source = ? AND no NOT IN (SELECT no FROM found)"
        if is_named:
            for offset, at in self.ledger.ask(f"SELECT offset_bytes, place FROM entry WHERE {missing}", source):
                message = f"The entry at byte {offset} of {source} is not the one that this row came from."
                self.report.add("origin", where(at), message)
        elif any(self.ledger.ask(f"SELECT 1 FROM entry WHERE {missing} LIMIT 1", source)):
            self.report.add("log_missing", where(place), f"{source} is not among the logs that were given.")
        for line, told, at in self.ledger.ask(
            "SELECT f.line, e.line, e.place FROM found f JOIN entry e USING (no) WHERE f.line <> e.line AND source = ?",
            source,
        ):
            self.report.add("origin", where(at), f"Its entry stands in line {line} of {source}, not in line {told}.")

    def _check_scripts(self) -> None:
        for (place,) in self.ledger.ask(
            "SELECT o.place FROM origin o JOIN entry e USING (source, offset_bytes, line, sha256)"
            " JOIN found f USING (no)"
            " WHERE o.script IS NOT NULL AND f.script IS NOT NULL GROUP BY o.place HAVING max(o.script = f.script) = 0"
        ):
            message = "The answer is not, byte for byte, the script that the log holds as successful."
            self.report.add("not_as_logged", self.ledger.where(place), message)


def _parts_of(path: str) -> tuple[str, ...]:
    r"""`"a\\b.jsonl.gz"` → `("a", "b.jsonl")`."""
    plain = path.replace("\\", "/")
    plain = plain[:-3] if plain.endswith(".gz") else plain
    return tuple(part for part in plain.split("/") if part not in ("", ".")) or (plain,)


def _open_log(path: Path) -> Any:
    stream = path.open("rb")
    is_packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    if not is_packed:
        return stream
    stream.close()
    return gzip.open(path)


def _entries_at(
    stream: Iterable[bytes], path: Path, asked: Iterator[tuple[Any, ...]]
) -> Iterator[tuple[int, int, bytes | None]]:
    """(number, line, digest of its script) of each entry asked for that stands there; asked in the order of offsets."""
    waiting = next(asked, None)
    offset = 0
    for line, raw in enumerate(stream, 1):
        while waiting is not None and waiting[1] < offset:
            waiting = next(asked, None)
        if waiting is None:
            return
        digest = ""
        while waiting is not None and waiting[1] == offset:
            digest = digest or hashlib.sha256(_bare(raw)).hexdigest()
            if digest == waiting[3]:
                yield waiting[0], line, _script_of(_bare(raw))
            elif offset == 0 and waiting[3] in _digests_of_whole(path):
                yield waiting[0], line, None
            waiting = next(asked, None)
        offset += len(raw)


def _bare(raw: bytes) -> bytes:
    return raw[:-1] if raw.endswith(b"\n") else raw


def _digests_of_whole(path: Path) -> tuple[str, str]:
    """Of a log that is one entry over many lines: with and without the last LF."""
    whole = hashlib.sha256()
    last = b""
    with _open_log(path) as stream:
        while chunk := stream.read(_CHUNK):
            whole.update(last)
            whole.update(chunk[:-1])
            last = chunk[-1:]
    without = whole.copy()
    whole.update(last)
    if last != b"\n":
        without = whole
    return whole.hexdigest(), without.hexdigest()


def _script_of(raw: bytes) -> bytes | None:
    """The digest of the script that a success entry holds, or None where this is none, or it holds only a hash."""
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    script = entry.get("successful_script") if isinstance(entry, dict) else None
    if not isinstance(script, str) or not script.strip():
        return None
    return hashlib.sha256(script.encode("utf-8", "surrogatepass")).digest()


# ------------------------------------------------------------------------------------------------ the command


def _show_progress(path: str, n_rows: int) -> None:
    sys.stderr.write(f"\r\x1b[K{n_rows:,} rows, {_plain(path[:60])}")
    sys.stderr.flush()


def _print_report(report: Report) -> None:
    for fault in report.faults:
        sys.stdout.write(f"{fault.where}: {fault.message} [{fault.code}]\n")
    for code, n in report.n_by_code.items():
        if n > MOST_SHOWN:
            sys.stdout.write(f"… and {n - MOST_SHOWN:,} more of [{code}]\n")
    counts = report.counts
    told = f"{counts['rows']:,} rows and {counts['held']:,} held back in {counts['datasets']} datasets"
    told = f"{told}, {counts['files']:,} files, {counts['bytes']:,} bytes"
    if counts["origins"]:
        told = f"{told}, {counts['origins']:,} entries of the logs"
    n_faults = sum(report.n_by_code.values())
    verdict = "Whole" if report.is_whole else f"{n_faults:,} faults" if report.readable else "Not readable as a release"
    sys.stdout.write(f"{verdict}: {told}.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: prints what is wrong and gives the exit code."""
    parser = argparse.ArgumentParser(prog="verify.py", description="Verify a Patchsift release.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    parser.add_argument("--logs", nargs="+", type=Path, action="extend", default=[], metavar="FILE_OR_FOLDER")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    is_watched = sys.stderr.isatty()
    report = verify(given.folder, logs=given.logs, progress=_show_progress if is_watched else None)
    if is_watched:
        sys.stderr.write("\r\x1b[K")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    if given.json:
        sys.stdout.write(json.dumps(report.as_json()) + "\n")
    else:
        _print_report(report)
    return 2 if not report.readable else 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
