"""From what a person points at or drops to the files that readers take, each with why the others were passed over.

A folder is taken as a whole: hidden folders are walked, patch sets are found by their `patch_meta.json` at any depth,
logs are told from other JSON by a look at their first bytes. Nothing is read here beyond that, and nothing is stored.
"""

import json
import os
import re
import shutil
import stat
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from app import archives
from app.archives import NOT_WALKED, is_beside, make_folder, safe_name, shown
from app.errors import BadInputError, NotStoredError, TooLargeError
from app.formats import SUCCESS, recognise
from app.settings import Settings

PATCH_SET = "patch_set"
EXPECTED = (
    "Expected is a success log (success_memory.jsonl), an attempt history (patch_history), a patch set (a folder with "
    "patch_meta.json), a spec or style log, or a capture log: JSON or JSONL, plain or gzip"
)

_META, _CHANGELOG = "patch_meta.json", "CHANGELOG_PATCH.md"
_INDEX = "names.json"
_LOG_NAMES = ("patch_history", "success_memory")
_HOMES = (".agent_data", *_LOG_NAMES)
_HEAD_BYTES = 1 << 16
_LINES_LOOKED_AT = 50
_LISTED = 20
_MOST_FILES = 500_000
_DEEPEST = 100

_LOG_KEYS = frozenset({
    "successful_script", "successful_diff_summary", "successful_diff_summary_snippet", "successful_script_hash",
    "spec_issue_description", "raw_issue_text", "yaml_spec_string", "raw_fingerprint_dict",
    "refined_output_string", "_raw_draft_fp", "ai_fingerprint", "per_sample_fingerprints", "unified_profile",
    "patchsift_capture",
})  # fmt: skip
_ISSUE_KEYS = frozenset({"issue", "issue_description", "spec_issue_id"})
_DATASETS = (
    {"prompt", "completion"}, {"prompt", "chosen"}, {"chosen", "rejected"}, {"messages"}, {"instruction", "output"},
)  # fmt: skip
_ATTEMPT_FIELDS = 3
_OTHER_SUFFIXES = frozenset({
    ".md", ".rst", ".adoc", ".html", ".htm", ".css", ".pdf", ".doc", ".docx", ".odt", ".xls", ".xlsx", ".csv", ".tsv",
    ".py", ".pyi", ".ipynb", ".js", ".ts", ".sh", ".bat", ".toml", ".cfg", ".ini", ".lock", ".yaml", ".yml", ".xml",
    ".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".webp",
})  # fmt: skip
_OTHER_NAMES = frozenset({"readme", "license", "licence", "copying", "notice", "authors", "changelog", "makefile"})
_CUT_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)\Z")
_SIGNS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """One thing to read.

    `Found(Path("p/.agent_data/patch_history/run_1.json"), ".agent_data/patch_history/run_1.json")`

    Attributes:
        path: where its bytes lie.
        name: the path below what was given, with "/", safe to show and to store; never used as a path.
        format: `patch_set` for a `patch_meta.json`; None is to be recognised by content.
        files: the other files of a patch set, by path below its folder.
    """

    path: Path
    name: str
    format: str | None = None
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passed:
    """A file that is not read: `Passed("finetune_dataset.jsonl", "A built dataset, not a log: …")`.

    Attributes:
        name: as `Found.name`; of many alike, the first and how many more.
        why: a sentence.
        n_files: how many files this speaks of.
    """

    name: str
    why: str
    n_files: int = 1


@dataclass(frozen=True, slots=True)
class Intake:
    """What is in a folder, an archive or a drop; each part sorted by name.

    Attributes:
        found: what a reader takes.
        passed: what is no log.
        broken: what is evidence but cannot be used: a report counts it as not sound.
    """

    found: tuple[Found, ...]
    passed: tuple[Passed, ...] = ()
    broken: tuple[Passed, ...] = ()


class _Verdict(StrEnum):
    LOG = "log"
    DATASET = "A built dataset, not a log: it holds prompts and completions. Give the log that it was built from."
    OTHER = f"JSON, but no log that is known here. {EXPECTED}."
    BARE = "It holds no entry."
    GARBLED = f"It does not begin as JSON. {EXPECTED}."
    ARCHIVE = "An archive inside of what was given is not unpacked; give it by itself."


_OTHER_KIND = "No kind of file that logs come in (.jsonl, .json, .ndjson, .gz)."
_NO_LOG = "Left out: a document, program or picture by its name, without JSON. To read it all the same, give it alone."
_LINK = "A link; links are not followed."
_ODD = "A pipe, a socket or a device; only plain files are read."
_KEPT = "Kept by a tool for itself; not looked into."
_NO_META = f"{_CHANGELOG} stands here without {_META}: what the patch set was made for is lost."
_OF_ALL = frozenset({_OTHER_KIND, _LINK, _KEPT})


class Seen:
    """What files began with at earlier walks: one that has not changed since is not opened again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], _Verdict]] = {}

    def look(self, path: Path) -> _Verdict:
        """As `_look`."""
        at = path.lstat()
        now = (at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
        before = self._known.get(path)
        if before is None or before[0] != now:
            before = self._known[path] = (now, _look(path))
        return before[1]


class _File(NamedTuple):
    """A file before anybody looked into it.

    Attributes:
        name: as `Found.name`.
        path: where its bytes lie.
        why: the sentence for what is not even opened.
        is_broken: whether that is evidence that is lost.
        is_named: whether the person named this very file.
    """

    name: str
    path: Path
    why: str = ""
    is_broken: bool = False
    is_named: bool = False


# ------------------------------------------------------------------------------------------------ from outside


def point_at(path: Path, into: Path, settings: Settings, *, name: str = "") -> Intake:
    """Whatever a path names: a folder, an archive, a patch set's `patch_meta.json`, or a log.

    Args:
        path: may be a link.
        into: a folder to make, where an archive is unpacked; not made for anything else.
        settings: limits on archives.
        name: what the found names begin with; of a single file, its name.

    Raises:
        AppError: as `walk` and `unpack` raise them.

    """
    if path.is_dir():
        return walk(path, name=name)
    try:
        is_archive = path.is_file() and archives.is_archive(path)
    except OSError as error:
        raise BadInputError(f"{shown(str(path))} cannot be read: {error.strerror}.") from error
    if is_archive:
        return unpack(path, into, settings, name=name)
    name = name or shown(path.name)
    if path.name != _META:
        return Intake((Found(path, name),))
    files = next((one.files for one in walk(path.parent).found if one.name == _META), {})
    return Intake((Found(path, name, PATCH_SET, files),))


def walk(root: Path, *, name: str = "", most: int = _MOST_FILES, seen: Seen | None = None) -> Intake:
    """Everything in a folder, hidden folders included, links left alone.

    Args:
        root: a project, an `.agent_data`, an `.autopatches`, or any folder above or below these.
        name: what the found names begin with.
        most: more files than this are no project.
        seen: what earlier walks have seen, where there were any.

    Raises:
        BadInputError: there is no such folder.
        TooLargeError: it holds more than `most` files.

    """
    if not root.is_dir():
        raise BadInputError(f"There is no folder {shown(str(root))}.")
    files = []
    for file in _scan(root):
        files.append(file)
        if len(files) > most:
            raise TooLargeError(f"{shown(str(root))} holds more than {most:,} files. Point at the project itself.")
    return _sort_out(files, name, home=root.resolve().name, seen=seen)


def unpack(path: Path, into: Path, settings: Settings, *, name: str = "") -> Intake:
    """Everything in a zip, tar or tar.gz, whose files come to lie in a folder that is made for them.

    A folder that holds the whole archive already is used as it is, so a job that was interrupted goes on.

    Raises:
        AppError: as `archives.unpack` raises it; nothing stays behind.

    """
    if not (into / _INDEX).exists():
        shutil.rmtree(into, ignore_errors=True)
        _index(into, archives.unpack(path, into, settings), dropped=False)
    return placed(into, name=name)


def place_dropped(files: Sequence[tuple[str, Path]], into: Path) -> Intake:
    """Everything in a dropped folder, or files that were chosen one by one.

    Args:
        files: (the name that the browser gives, folders included; where the bytes lie). The bytes are moved.
        into: a folder to make; they come to lie there.

    Raises:
        BadInputError: a name is absolute or climbs; nothing was moved.
        NotStoredError: the folder cannot be made.

    """
    taken: dict[str, int] = {}
    named = [(_free(safe_name(name), taken), path) for name, path in files]
    make_folder(into)
    try:
        kept = [(name, into / f"{number:06}") for number, (name, _) in enumerate(named, 1)]
        for (_, path), (_, target) in zip(named, kept, strict=True):
            shutil.move(path, target)
        _index(into, archives.Unpacked(kept, ()), dropped=True)
    except OSError as error:
        shutil.rmtree(into, ignore_errors=True)
        raise NotStoredError(f"The files were not stored: {error.strerror}.") from error
    return placed(into)


def placed(into: Path, *, name: str = "") -> Intake:
    """What `unpack` or `place_dropped` laid into a folder, looked through again."""
    index = json.loads((into / _INDEX).read_text(encoding="utf-8"))
    named = index["dropped"]
    files = [_File(given, into / number, is_named=named and "/" not in given) for given, number in index["files"]]
    damaged = [_File(given, into, why, is_broken=True) for given, why in index["broken"]]
    found = _sort_out([*files, *damaged], name)
    n_beside = int(index["n_beside"])
    beside = (Passed(f"{n_beside:,} members", _KEPT, n_beside),) if n_beside else ()
    return replace(found, passed=(*found.passed, *beside))


def _index(into: Path, laid: archives.Unpacked, *, dropped: bool) -> None:
    """Write down which file is which; this comes last, so a folder that holds it is whole."""
    files = [(name, path.name) for name, path in laid.files]
    said = {"files": files, "broken": list(laid.broken), "n_beside": laid.n_beside, "dropped": dropped}
    part = into / f"{_INDEX}.part"
    part.write_text(json.dumps(said), encoding="utf-8")
    part.replace(into / _INDEX)


def _free(name: str, taken: dict[str, int]) -> str:
    """The name, with a number where another file has it already: two folders of one name were dropped together."""
    free = name
    while free in taken:
        taken[name] += 1
        free = f"{name} ({taken[name]})"
    taken[free] = 1
    return free


def _scan(root: Path) -> Iterator[_File]:
    folders = [(str(root), "")]
    while folders:
        folder, above = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = above + shown(entry.name)
                    if entry.is_dir(follow_symlinks=False) and entry.name not in NOT_WALKED:
                        folders.append((entry.path, f"{name}/"))
                    else:
                        yield _File(name, Path(entry.path), _why_not(entry))
        except OSError as error:
            yield _File(above or ".", Path(folder), f"It cannot be read: {error.strerror}.", is_broken=True)


def _why_not(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return _LINK
    if entry.is_dir():
        return _KEPT
    return "" if entry.is_file() else _ODD


# ------------------------------------------------------------------------------------------------ which is what


@dataclass(slots=True)
class _Sorting:
    """What has been made of the files so far; `sets` and `ruins` are the folders of patch sets, whole and not."""

    sets: dict[str, dict[str, Path]]
    ruins: frozenset[str]
    home: str
    look: Callable[[Path], _Verdict]
    found: list[Found] = field(default_factory=list)
    passed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    broken: list[Passed] = field(default_factory=list)

    def place(self, file: _File) -> None:
        """Give a file its place; a log inside of a patch set's folder stays a log."""
        folder, _, last = file.name.rpartition("/")
        owner, below = self._find_owner(file.name)
        if file.why or is_beside(file.name):
            self._pass(file, file.why or _KEPT)
        elif last == _META:
            return
        elif last == _CHANGELOG and folder in self.ruins:
            self.broken.append(Passed(folder or _CHANGELOG, _NO_META))
        elif owner is not None and not self._is_log_in_a_set(file):
            self.sets.get(owner, {})[below] = file.path
        else:
            self._judge(file)

    def _find_owner(self, name: str) -> tuple[str | None, str]:
        """The nearest patch set around a file, and the file's path below it."""
        folder = name
        while folder:
            folder = folder.rpartition("/")[0]
            if folder in self.sets or folder in self.ruins:
                return folder, name[len(folder) :].lstrip("/")
        return None, name

    def _is_log_in_a_set(self, file: _File) -> bool:
        if not _may_be_log(file.name):
            return False
        try:
            return self._is_wanted(file._replace(is_named=False), self.look(file.path))
        except OSError:
            return False

    def _judge(self, file: _File) -> None:
        if not file.is_named and not _may_be_log(file.name):
            self._pass(file, _OTHER_KIND)
            return
        try:
            verdict = self.look(file.path)
        except OSError as error:
            self._pass(file._replace(is_broken=True), f"It cannot be read: {error.strerror}.")
            return
        if file.is_named and verdict in {_Verdict.BARE, _Verdict.GARBLED} and _is_plainly_other(file.name):
            self._pass(file, _NO_LOG)
        elif self._is_wanted(file, verdict):
            self.found.append(Found(file.path, file.name))
        else:
            clear = file.is_named or _is_json(file.name) or verdict in {_Verdict.DATASET, _Verdict.ARCHIVE}
            self._pass(file, verdict.value if clear else _OTHER_KIND)

    def _is_wanted(self, file: _File, verdict: _Verdict) -> bool:
        """What is called a log is read unless it is plainly something else: a damaged log must not go unnoticed."""
        if verdict in {_Verdict.BARE, _Verdict.GARBLED}:
            return file.is_named or self._is_below(file.name, _HOMES)
        return verdict is _Verdict.LOG or (verdict is _Verdict.OTHER and self._is_below(file.name, _LOG_NAMES))

    def _is_below(self, name: str, begin: tuple[str, ...]) -> bool:
        return any(part.startswith(begin) for part in (self.home, *name.split("/")))

    def _pass(self, file: _File, why: str) -> None:
        if file.is_broken:
            self.broken.append(Passed(file.name, why))
        else:
            self.passed[why].append(file.name)


def _sort_out(files: Iterable[_File], prefix: str, *, home: str = "", seen: Seen | None = None) -> Intake:
    files = sorted(files)
    folders: dict[str, set[str]] = {_META: set(), _CHANGELOG: set()}
    for file in files:
        folder, _, last = file.name.rpartition("/")
        if last in folders and not file.why and not is_beside(file.name):
            folders[last].add(folder)
    sets: dict[str, dict[str, Path]] = {folder: {} for folder in folders[_META]}
    look = _look if seen is None else seen.look
    sorting = _Sorting(sets, frozenset(folders[_CHANGELOG] - folders[_META]), home, look)
    for file in files:
        sorting.place(file)
    for file in files:
        folder, _, last = file.name.rpartition("/")
        if last == _META and not file.why and folder in sets:
            sorting.found.append(Found(file.path, file.name, PATCH_SET, sets[folder]))
    begin = f"{prefix}/" if prefix else ""
    return Intake(
        tuple(
            Found(one.path, begin + one.name, one.format, one.files)
            for one in sorted(sorting.found, key=lambda one: one.name)
        ),
        tuple(_sum_up(sorting.passed, begin)),
        tuple(Passed(begin + one.name, one.why) for one in sorted(sorting.broken, key=lambda one: one.name)),
    )


def _sum_up(passed: Mapping[str, list[str]], begin: str) -> Iterator[Passed]:
    """One line a file, or one for all where that says enough."""
    for why, names in sorted(passed.items(), key=lambda one: one[1]):
        if len(names) == 1 or (len(names) <= _LISTED and why not in _OF_ALL):
            yield from (Passed(begin + name, why) for name in names)
        else:
            yield Passed(f"{begin}{names[0]} and {len(names) - 1:,} more", why, len(names))


def _is_json(name: str) -> bool:
    # Also `success_memory.jsonl.1`, as rotation leaves it.
    return ".json" in (last := name.rpartition("/")[2].lower()) or ".ndjson" in last


def _may_be_log(name: str) -> bool:
    if name.rpartition("/")[2].startswith(".") and not _is_json(name):
        return False  # .gitignore has no suffix either
    return _is_json(name) or Path(name).suffix.lower() in {"", ".gz", ".tgz", ".zip", ".tar", ".log", ".txt"}


def _is_plainly_other(name: str) -> bool:
    """Whether nobody calls a log so: `README.md`, `x.py`. What is called otherwise may be a damaged one."""
    path = Path(name.rpartition("/")[2].lower())
    return path.suffix in _OTHER_SUFFIXES or (not path.suffix and path.stem in _OTHER_NAMES)


# ------------------------------------------------------------------------------------------------ a look at the head


def _look(path: Path) -> _Verdict:
    """What a file's first 64 KiB are."""
    head = _read_head(path)
    if archives.find_kind(head) is not None:
        return _Verdict.ARCHIVE
    text = head.decode("utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig", errors="replace")
    values = []
    for value in _values(text.lstrip()):
        if _is_log(value):
            return _Verdict.LOG
        values.append(value)
    if any(isinstance(value, dict) and any(keys <= value.keys() for keys in _DATASETS) for value in values):
        return _Verdict.DATASET
    if any(isinstance(value, dict | list) and value for value in values):
        return _Verdict.OTHER
    return _Verdict.GARBLED if _Verdict.GARBLED in values else _Verdict.BARE


def _read_head(path: Path) -> bytes:
    """The first bytes, unpacked."""
    # Not blocked by a pipe and not led elsewhere by a link that took the file's place meanwhile.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(0, "it is no plain file")
        head = file.read(_HEAD_BYTES)
    if not head.startswith(b"\x1f\x8b") or archives.find_kind(head) is not None:
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, _HEAD_BYTES)
    except zlib.error:
        return head


def _values(text: str) -> Iterator[object]:
    """What may be read of a text: its lines, the last one mended, for it may be cut; then the whole as one value."""
    first, _, rest = text.partition("\n")
    if not rest or first.strip() not in {"[", "{"}:
        *lines, last = text.split("\n")
        yield from (_parse(line) for line in lines[:_LINES_LOOKED_AT] if line.strip())
        if last.strip():
            yield from _mended(last)
    if rest:
        # Lines that are no JSON have been counted as such.
        yield from (value for value in _mended(text) if first.strip() in {"[", "{"} or value is not _Verdict.GARBLED)


def _mended(text: str) -> Iterator[object]:
    """The value of a text, or what is left of it where it was cut: up to its last sign, then up to its last comma.

    `'[["import os", fal'` → garbled, `[["import os"]]`
    """
    value = _parse(text)
    yield value
    if value is not _Verdict.GARBLED:
        return
    closers: list[str] = []
    last, before, is_open = 0, "", False
    for found in _SIGNS.finditer(text):
        sign = found.group()
        is_open = sign.startswith('"') and found.end() == len(text) and not _is_closed(sign)
        if sign in {"[", "{"}:
            closers.append("]" if sign == "[" else "}")
        elif sign in {"]", "}"} and closers:
            closers.pop()
        if len(closers) > _DEEPEST:
            return
        if sign in {"[", "{", ","}:
            last, before = found.start() + (sign != ","), "".join(reversed(closers))
    escape = _CUT_ESCAPE.search(text) if is_open else None
    whole = text[: escape.start(1) if escape else None] + ('"' if is_open else "") + "".join(reversed(closers))
    for mended in (whole, text[:last] + before):
        value = _parse(mended)
        if value is not _Verdict.GARBLED:
            yield value


def _is_closed(string: str) -> bool:
    return len(string) > 1 and string.endswith('"') and (len(string) - len(string[:-1].rstrip("\\"))) % 2 == 1


def _parse(text: str) -> object:
    try:
        return json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return _Verdict.GARBLED


def _is_log(value: object) -> bool:
    """Whether a value, or what is left of one that was cut, is an entry; more careful than a reader that was asked to.

    A reader takes `{"script": …}` for an entry; in a project that is also how other programs are configured.
    """
    if isinstance(value, list):
        return _is_history(value) or any(isinstance(inner, dict) and _is_log(inner) for inner in value[:3])
    if not isinstance(value, dict):
        return False
    runs = [value.get("patch_history"), *list(value.values())[:3]]
    if not _LOG_KEYS.isdisjoint(value) or any(isinstance(run, list) and _is_history(run) for run in runs):
        return True
    known = recognise(value)
    return known == PATCH_SET or (known == SUCCESS and not _ISSUE_KEYS.isdisjoint(value))


def _is_history(value: list[object]) -> bool:
    """Whether a list is one of attempts: tuples, or objects; of a cut one the script alone may be left."""
    first = value[0] if value else None
    if isinstance(first, dict):
        return "script" in first and "is_valid" in first
    if not isinstance(first, list) or not first:
        return False
    if len(first) < _ATTEMPT_FIELDS:
        return isinstance(first[0], str) and "\n" in first[0] and ("libcst" in first[0] or "class " in first[0])
    script, is_valid = first[0], str(first[1]).lower()
    return (script is None or isinstance(script, str)) and is_valid in {"true", "false", "pending_revalidation"}
