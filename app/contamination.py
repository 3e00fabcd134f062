"""What of a benchmark stands in the candidates: by name, from a block list, and by words, from its texts. Pure.

A model that is trained on a benchmark's own answers scores well and has learned nothing. A *block list* names a
benchmark's issues, pull requests and base commits; a *benchmark* knows the runs of words in its texts. The person who
makes the release gives both (docs/decisions/0019-splits.md).
"""

import csv
import hashlib
import io
import json
import math
import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import chain, islice
from typing import Any, NamedTuple

from app.errors import BadInputError, TooLargeError
from app.splits import named, shortened

# --- names --------------------------------------------------------------------------------------------------------

# A name on GitHub has at most 39 and 100 characters. Everything is bounded, so that no text makes a search slow.
_OWNER, _NAME, _SHA = r"[A-Za-z0-9][A-Za-z0-9-]{0,38}", r"[\w.-]{1,100}", r"[0-9a-fA-F]{7,40}"
_START, _END = r"(?<![\w./-])", r"(?![\w])"
_ADDRESS = re.compile(
    rf"github\.com/(?:repos/)?({_OWNER})/({_NAME})/(?:issues|pulls?|commits?)/(?:([0-9]{{1,9}})|({_SHA})){_END}",
    re.IGNORECASE,
)
_SHORT = re.compile(rf"{_START}({_OWNER})/({_NAME})(?:#([0-9]{{1,9}})|@({_SHA})){_END}")
# SWE-bench: `pallets__flask-4045`; SWE-bench Pro: `instance_NodeBB__NodeBB-<commit>-v<commit>`.
_INSTANCE = re.compile(
    rf"{_START}(?:instance_)?({_OWNER})__([\w.-]{{1,100}}?)-(?:([0-9]{{1,9}})|([0-9a-fA-F]{{40}}))"
    rf"(?:-v[0-9a-f]{{1,40}})?{_END}"
)
_FORMS = (_ADDRESS, _SHORT, _INSTANCE)
_BARE = re.compile(rf"(?<![\w/#&])(?:#|GH-)([0-9]{{1,9}}){_END}", re.IGNORECASE)
_BARE_ID = re.compile(r"\s*(?:#|GH-)?([0-9]{1,9})\s*", re.IGNORECASE)
_COMMIT = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{40}(?![0-9A-Za-z])")
_NUMBERS = re.compile(r"[\s,;\[\]\"'#0-9]*")
_DIGITS = re.compile(r"(?<![0-9])[0-9]{1,9}(?![0-9])")
_LINE = re.compile(rf"({_NAME}(?:/{_NAME})?)(?:[\s,;]+|(?=[#@]))(?:#?([0-9]{{1,9}})|@?({_SHA})|(\*))")
_REMARK = re.compile(r"\s#\s.*")
_STARTS = re.compile(r"https?://|(?:www\.|api\.)?github\.com/", re.IGNORECASE)
_PARTS = re.compile(r"[\s,;]+")
_SPACE = re.compile(r"\s")
_LONGEST_LINE = 2_000
_FULL = 40
_PREFIX = 7

_REPOSITORY_FIELDS = ("repo", "repository", "repo_name", "project")
_OWNER_FIELDS = ("org", "owner")
_COMMIT_FIELDS = ("base_commit", "base_sha", "commit", "commit_sha", "commit_hash", "sha", "base")
_NUMBER_FIELDS = (
    "issue_number", "issue_numbers", "pull_number", "pull_numbers", "pr_number", "pr", "pull_request", "pull",
    "resolved_issues",
)  # fmt: skip
_NAMING_FIELDS = (
    "instance_id", "issue_url", "issue_link", "pr_url", "pr_link", "pull_request_url", "html_url", "url", "patch_url",
    "diff_url",
)  # fmt: skip
# In a block list these say it too; in an entry they may mean anything.
_LIST_FIELDS = (*_NUMBER_FIELDS, "number", "issue", "issues", "issue_id")
_KNOWN = frozenset({*_REPOSITORY_FIELDS, *_COMMIT_FIELDS, *_LIST_FIELDS, *_NAMING_FIELDS})


class _Named(NamedTuple):
    """One thing that a list or a candidate names: a number or a commit of a repository, or all of a repository."""

    repository: str
    number: int | None = None
    commit: str | None = None

    def __str__(self) -> str:
        if self.commit is not None:
            return f"{self.repository}@{self.commit[:12]}" if self.repository else self.commit[:12]
        return f"{self.repository}#{self.number}" if self.number is not None else f"all of {self.repository}"


class _Blocked(NamedTuple):
    what: _Named
    line: int


class BlockList:
    r"""Issues, pull requests and commits that must not be in a release.

    `BlockList.parse("pallets__flask-4045\npsf/requests#2148\n", "swe-bench.txt")`

    Two names of a repository are the same where one of them has no owner: a log's folder is called `flask`. A commit
    that is given in full is the same in every repository.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._numbers: dict[tuple[str, int], list[_Blocked]] = defaultdict(list)
        self._commits: dict[str, list[_Blocked]] = defaultdict(list)
        self._whole: dict[str, list[_Blocked]] = defaultdict(list)
        self._numbered: set[str] = set()
        self._all: set[_Named] = set()

    @classmethod
    def parse(cls, text: str, name: str) -> "BlockList":
        """A block list from a file's text.

        Args:
            text: one a line: `pallets__flask-4045`, `pallets/flask#4045`, `pallets/flask 4045`, a GitHub address,
                `pallets/flask@182ce3d`, `pallets/flask *` for a whole repository, `# a remark`; or CSV with a header,
                JSONL or JSON, with fields as in SWE-bench: `repo`, `instance_id`, `base_commit`, `issue_numbers`,
                `pull_number`.
            name: the file's name, for messages and reasons.

        Raises:
            BadInputError: lines that name nothing; `where` is the first (`swe-bench.txt:3`). Nothing is passed over: a
                name that is not blocked is trained on.

        """
        listed = cls(name)
        n_bad, first, shown = 0, 0, ""
        for line, given in _rows(text.removeprefix("\ufeff"), name):
            found = _of_line(given) if isinstance(given, str) else _of_fields(given)
            for what in found:
                listed._add(_Blocked(what, line))
            if not found and not n_bad:
                first, shown = line, given if isinstance(given, str) else f"fields {', '.join(given)}"
            n_bad += not found
        if n_bad:
            more = f" {n_bad - 1:,} more are like it." if n_bad > 1 else ""
            raise BadInputError(
                f"Line {first:,} of {name} names no issue, pull request or commit of a repository: "
                f"{shortened(shown)!r}.{more} Write pallets/flask#4045, pallets/flask@182ce3d or pallets__flask-4045; "
                "pallets/flask * is all of it.",
                where=f"{name}:{first}",
            )
        return listed

    def __len__(self) -> int:
        """How many names it holds."""
        return len(self._all)

    def blocks(self, repository: str, issue_id: str | None, issue_text: str, extra: Mapping[str, object]) -> str | None:
        """Why a candidate must stay out, as a sentence, or None.

        `blocks("flask", None, "Fixes #4045", {})` → `"swe-bench.txt, line 3, blocks pallets/flask#4045: the text of its
        issue names it."`

        Args:
            repository: as `splits.repository_of` says: `pallets/flask`, `flask`, or empty.
            issue_id: the tracker's id, or None.
            issue_text: the issue; a bare `#4045` in it counts only where the repository is the same.
            extra: the entry's other keys: `instance_id`, `base_commit`, `issue_url`, ...

        """
        repository = _known_as(repository)
        if whole := self._find(self._whole.get(_last(repository), ()), repository):
            return self._says(whole, "it comes from there")
        for what, how in self._names(repository, issue_id, issue_text, extra):
            if blocked := self._blocked(what):
                return self._says(blocked, how)
        return None

    def _add(self, blocked: _Blocked) -> None:
        what = blocked.what
        if what in self._all:
            return
        self._all.add(what)
        name = _last(what.repository)
        if what.commit is not None:
            self._commits[what.commit[:_PREFIX]].append(blocked)
        elif what.number is not None:
            self._numbers[name, what.number].append(blocked)
            self._numbered.add(name)
        else:
            self._whole[name].append(blocked)

    def _names(
        self, repository: str, issue_id: str | None, issue_text: str, extra: Mapping[str, object]
    ) -> Iterator[tuple[_Named, str]]:
        """What the candidate names, each with where it does, the surest first."""
        own = repository if _last(repository) in self._numbered else ""
        if issue_id:
            bare = _BARE_ID.fullmatch(issue_id)
            if bare and own:
                yield _Named(own, int(bare[1])), "its id names it"
            for what in _mentioned(issue_id):
                yield what, "its id names it"
        for key in (*_NAMING_FIELDS, *_NUMBER_FIELDS, *_COMMIT_FIELDS):
            if key in extra:
                for what in _of_field(key, extra[key], repository):
                    yield what, f"its field {key} names it"
        for what in _mentioned(issue_text):
            yield what, "the text of its issue names it"
        for bare in _BARE.finditer(issue_text) if own else ():
            yield _Named(own, int(bare[1])), "the text of its issue names it"

    def _blocked(self, what: _Named) -> _Blocked | None:
        if what.number is not None:
            return self._find(self._numbers.get((_last(what.repository), what.number), ()), what.repository)
        if what.commit is None:
            return None
        for blocked in self._commits.get(what.commit[:_PREFIX], ()):
            if _is_same_commit(what, blocked.what):
                return blocked
        return None

    @staticmethod
    def _find(blocked: Iterable[_Blocked], repository: str) -> _Blocked | None:
        return next((one for one in blocked if _is_same_repository(one.what.repository, repository)), None)

    def _says(self, blocked: _Blocked, how: str) -> str:
        return f"{self.name}, line {blocked.line:,}, blocks {blocked.what}: {how}."


def _known_as(repository: str) -> str:
    """`Pallets__flask` → `pallets/flask`."""
    name = named(repository)
    return name if "/" in name else name.replace("__", "/", 1)


def _last(repository: str) -> str:
    return repository.rpartition("/")[2]


def _is_same_repository(one: str, other: str) -> bool:
    if "/" in one and "/" in other:
        return one == other
    return bool(one) and _last(one) == _last(other)


def _is_same_commit(one: _Named, other: _Named) -> bool:
    if one.commit is None or other.commit is None:
        return False
    shorter, longer = sorted((one.commit, other.commit), key=len)
    is_full = len(shorter) == _FULL
    return longer.startswith(shorter) and (is_full or _is_same_repository(one.repository, other.repository))


def _mentioned(text: str) -> Iterator[_Named]:
    """What a text names together with its repository, and full commits."""
    for form in _FORMS:
        for match in form.finditer(text):
            owner, name, number, commit = match.groups()
            yield _as_named(f"{owner}/{name}", number, commit)
    for match in _COMMIT.finditer(text):
        yield _Named("", commit=match[0].lower())


def _as_named(repository: str, number: str | None, commit: str | None) -> _Named:
    repository = _known_as(repository)
    return _Named(repository, int(number)) if number else _Named(repository, commit=commit.lower() if commit else None)


def _of_line(given: str) -> list[_Named]:
    """`pallets/flask 4045` → `[_Named("pallets/flask", 4045)]`; a line of which a part names nothing names nothing."""
    if len(given) > _LONGEST_LINE:
        return []
    given = _REMARK.sub("", given).strip()
    parts = [given] if _LINE.fullmatch(given) else _PARTS.split(given)
    found = [_of_part(part) for part in parts]
    return [] if None in found else [what for what in found if what is not None]


def _of_part(given: str) -> _Named | None:
    line = _LINE.fullmatch(given)
    if line:
        what = _as_named(line[1], line[2], line[3])
        return what if what.repository else None
    is_name = _STARTS.match(given) or _INSTANCE.fullmatch(given) or _COMMIT.fullmatch(given)
    return next(_mentioned(given), None) if is_name else None


def _of_fields(given: Mapping[str, object]) -> list[_Named]:
    """Of a row of CSV or JSON: `{"repo": "pallets/flask", "instance_id": "pallets__flask-4045"}`."""
    row = {key.strip().lower(): value for key, value in given.items()}
    repository = next((name for key in _REPOSITORY_FIELDS if (name := _text_of(row.get(key)))), "")
    owner = next((name for key in _OWNER_FIELDS if (name := _text_of(row.get(key)))), "")
    repository = _known_as(f"{owner}/{repository}" if owner and repository and "/" not in repository else repository)
    keys = [key for key in (*_NAMING_FIELDS, *_LIST_FIELDS, *_COMMIT_FIELDS) if key in row]
    return list(dict.fromkeys(what for key in keys for what in _of_field(key, row[key], repository)))


def _of_field(key: str, value: object, repository: str) -> Iterator[_Named]:
    """What one field names; numbers and short commits only together with a repository."""
    for one in value if isinstance(value, list | tuple) else (value,):
        if key in _COMMIT_FIELDS:
            text = _text_of(one.get("sha") if isinstance(one, Mapping) else one)
            if re.fullmatch(_SHA, text) and (repository or len(text) == _FULL):
                yield _Named(repository, commit=text.lower())
            continue
        text = _text_of(one.get("number") if isinstance(one, Mapping) else one)
        if not _SPACE.search(text):  # a sentence names what it is not
            yield from _mentioned(text)
        if repository and key not in _NAMING_FIELDS and _NUMBERS.fullmatch(text):
            yield from (_Named(repository, int(number)) for number in _DIGITS.findall(text))


def _text_of(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 <= value < 10**9 else ""
    return value.strip() if isinstance(value, str) else ""


# --- files --------------------------------------------------------------------------------------------------------


def _rows(text: str, name: str) -> Iterator[tuple[int, str | Mapping[str, object]]]:
    """Line numbers from 1, each with the line, or with its fields; what says nothing is left out."""
    if _is_json(text, name):
        for place, given in _json(text, name):
            yield place, given if isinstance(given, dict | str) else ""
        return
    header = text.lstrip("\r\n").partition("\n")[0]
    delimiter = next((sign for sign in ",;\t" if _has_fields(header, sign)), None)
    if delimiter is not None:
        yield from _csv(text, delimiter, name)
        return
    for number, line in enumerate(_lines(text), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _has_fields(header: str, delimiter: str) -> bool:
    names = [name.strip(' \r"').lower() for name in header[:10_000].split(delimiter)]
    return bool(_KNOWN.intersection(names))


def _csv(text: str, delimiter: str, name: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    rows = csv.DictReader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=delimiter)
    skipped = text[: len(text) - len(text.lstrip("\r\n"))].count("\n")
    try:
        for row in rows:
            if any(row.values()):
                yield rows.line_num + skipped, {key: value for key, value in row.items() if isinstance(key, str)}
    except csv.Error as error:
        line = rows.reader.line_num + skipped
        raise BadInputError(
            f"Line {line:,} of {name} is no CSV that can be read ({error}). Keep the columns repo, instance_id, "
            "base_commit and the numbers; texts and patches are not needed.",
            where=f"{name}:{line}",
        ) from None


def _is_json(text: str, name: str) -> bool:
    if name.lower().endswith((".json", ".jsonl", ".ndjson")):
        return True
    start = text.lstrip()[:1]
    if start not in {"{", "["}:
        return False
    first = text.lstrip().partition("\n")[0]
    return _parsed(first) is not None or (_parsed(text) is not None)


def _json(text: str, name: str) -> Iterator[tuple[int, object]]:
    """The objects of JSONL, one a line, or of one JSON array or object, by their place in it."""
    whole = None if name.lower().endswith((".jsonl", ".ndjson")) else _parsed(text)
    if whole is not None:
        yield from enumerate(whole[0] if isinstance(whole[0], list) else [whole[0]], 1)
        return
    for number, line in enumerate(_lines(text), 1):
        if not line.strip():
            continue
        parsed = _parsed(line)
        if parsed is None:
            raise BadInputError(
                f"Line {number:,} of {name} is not JSON: {shortened(line)!r}. Write one object a line.",
                where=f"{name}:{number}",
            )
        yield number, parsed[0]


def _lines(text: str) -> Iterable[str]:
    """Lines as a line feed ends them, and nothing else; not all at a time."""
    return io.StringIO(text, newline="\n")


def _parsed(text: str) -> tuple[object] | None:
    try:
        return (json.loads(text),)
    except (ValueError, RecursionError):
        return None


def benchmark_texts(text: str, name: str) -> Iterator[str]:
    r"""The texts of one benchmark file: all text fields of JSON or JSONL, or the whole of anything else.

    `benchmark_texts('{"id": 1, "problem_statement": "…", "patch": "…"}\n', "swe-bench.jsonl")` → the two texts

    Raises:
        BadInputError: a `.json` or `.jsonl` file does not parse; `where` is the line (`swe-bench.jsonl:3`).

    """
    text = text.removeprefix("\ufeff")
    if not _is_json(text, name):
        yield text
        return
    for _, given in _json(text, name):
        waiting = [given]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                waiting.extend(reversed(value.values()))
            elif isinstance(value, list):
                waiting.extend(reversed(value))


# --- words --------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"\w+|[^\w\s]")
_LONGEST_KEPT = 64
_LONG, _PIECE = 1 << 16, 1 << 12
_MASK = 2**64 - 1
_BASE = 0x9E37_79B9_7F4A_7C15
_FIRST_SLOTS = 1 << 12
_MOST_COUNTED = 65_535
_MOST_ROWS = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Overlap:
    """When a candidate says too much of a benchmark. All of it stands in the manifest.

    Attributes:
        n: how many words and signs in a row are one n-gram.
        most_rows: an n-gram that more rows than this hold is everybody's, and says nothing.
        share: a row is flagged where more than this share of its n-grams is in the benchmark.
        most_grams: a benchmark with more different n-grams than this is refused; one takes 21 to 42 bytes.

    Raises:
        BadInputError: a number makes no sense; `where` names the field.

    """

    n: int = 13
    most_rows: int = 20
    share: float = 0.1
    most_grams: int = 5_000_000

    def __post_init__(self) -> None:
        for field, least, most in (("n", 2, 100), ("most_rows", 1, _MOST_COUNTED - 1), ("most_grams", 1, 50_000_000)):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise BadInputError(f"{field} is a whole number from {least:,} to {most:,}.", where=f"field {field}")
        if not isinstance(self.share, int | float) or isinstance(self.share, bool) or not 0 <= self.share < 1:
            raise BadInputError("share is a number from 0 to under 1: 0.1 is a tenth.", where="field share")

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> "Overlap":
        """From a form, an API call or a manifest: `{"n": "10"}`; what is left out has its default.

        Raises:
            BadInputError: a number makes no sense; `where` names the field.

        """
        found: dict[str, Any] = {}
        for field in fields(cls):
            value = given.get(field.name)
            if value is not None and value != "":
                found[field.name] = _number(value, float if field.name == "share" else int)
        return cls(**found)

    def as_json(self) -> dict[str, object]:
        """`{"n": 13, "most_rows": 20, "share": 0.1, "most_grams": 5000000}`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _number(value: object, kind: Callable[[str], float]) -> object:
    """A number that stands as text; what is none is left as it is, and refused by its field."""
    if not isinstance(value, str) or len(value) > _LONGEST_KEPT:
        return value
    try:
        return kind(value)
    except ValueError:
        return value


class Benchmark:
    """The n-grams of a benchmark: `learn` its texts, `count` every row once, then ask the `share` of each.

    A row is all that one issue says, not one candidate, and never one example.

    Memory hangs on the benchmark alone: 21 to 42 bytes an n-gram, half more while the table grows; 117 MB for the most
    that is taken by default.
    Words are told apart by BLAKE2 and runs of them by a rolling hash of 64 bits: the same on every machine.
    """

    def __init__(self, overlap: Overlap | None = None) -> None:
        self.overlap = overlap or Overlap()
        self.n_texts = self.n_short = self.n_counted = 0
        self._grams = _Grams()
        self._drop = pow(_BASE, self.overlap.n, _MASK + 1)

    def learn(self, text: str) -> None:
        """Take in one text of the benchmark; one with fewer words than an n-gram is counted as `n_short`.

        Raises:
            TooLargeError: more n-grams than `overlap.most_grams`.

        """
        self.n_texts += 1
        is_short = True
        for grams in self._of(text):
            is_short = is_short and not grams
            for gram in grams:
                self._grams.add(gram)
            if self._grams.n > self.overlap.most_grams:
                raise TooLargeError(
                    f"The benchmark has more than {self.overlap.most_grams:,} different runs of {self.overlap.n} "
                    "words. Give only its problem statements and patches, not whole files, or raise most_grams (42 MB "
                    "a million).",
                    where="field most_grams",
                )
        self.n_short += is_short

    def count(self, *texts: str, issue: bytes = b"") -> None:
        """The first pass: note which of the n-grams one row holds.

        Args:
            texts: all texts of one candidate.
            issue: its issue's key. Candidates of one issue are one row: else what a benchmark has in common with an
                issue that was tried often would seem to be everybody's. Empty is a row of its own.

        """
        self.n_counted += 1
        row = (int.from_bytes(issue[:4]) or 1) if issue else self.n_counted
        slots = {slot for text in texts for grams in self._of(text) for slot in self._grams.found(grams)}
        self._grams.count(slots, row & _MOST_ROWS)

    def share(self, *texts: str) -> float:
        """The second pass: which share of a row's n-grams, 0 to 1, stands in the benchmark and is not everybody's."""
        n = n_known = 0
        rows, most_rows = self._grams.rows, self.overlap.most_rows
        for text in texts:
            for grams in self._of(text):
                n += len(grams)
                n_known += sum([1 for slot in self._grams.found(grams) if rows[slot] <= most_rows])
        return n_known / n if n else 0.0

    def flags(self, *texts: str) -> str | None:
        """Why a row is contaminated, as a sentence, or None."""
        share = self.share(*texts)
        if share <= self.overlap.share:
            return None
        return (
            f"{math.floor(share * 1000) / 10:g} % of its runs of {self.overlap.n} words stand in the benchmark, and at "
            f"most {self.overlap.share * 100:g} % may."
        )

    def as_json(self) -> dict[str, object]:
        """For the manifest: the parameters, and how many texts, n-grams, everybody's and candidates there were."""
        return self.overlap.as_json() | {
            "texts": self.n_texts,
            "texts_too_short": self.n_short,
            "n_grams": self._grams.n,
            "n_grams_left_out": sum(1 for rows in self._grams.rows if rows > self.overlap.most_rows),
            "counted": self.n_counted,
        }

    def _of(self, text: str) -> Iterator[list[int]]:
        """The n-grams of a text in order, each as a number, a piece at a time."""
        n, drop = self.overlap.n, self._drop
        rolling, last, n_words = 0, [0] * n, 0
        for words in _pieces(text):
            codes = [_code(word) if len(word) <= _LONGEST_KEPT else _code_of(word) for word in words]
            grams = []
            for code, dropped in zip(codes, chain(last, codes), strict=False):
                rolling = (rolling * _BASE + code - dropped * drop) & _MASK
                grams.append(rolling or 1)
            yield grams[max(0, n - 1 - n_words) :]
            last = (last + codes)[-n:]
            n_words += len(codes)


def _pieces(text: str) -> Iterator[list[str]]:
    """The words of a text; those of a long one a few at a time, for a list of them takes ten times what it does."""
    if len(text) <= _LONG:
        yield _WORD.findall(text)
        return
    words = (found[0] for found in _WORD.finditer(text))
    while piece := list(islice(words, _PIECE)):
        yield piece


def _code_of(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.lower().encode(errors="surrogatepass"), digest_size=8).digest())


_code = lru_cache(maxsize=1 << 15)(_code_of)


class _Grams:
    """Which n-grams there are, in how many rows each, and which was the last: an open table of 14 bytes a slot."""

    def __init__(self) -> None:
        self.n = 0
        self._lay(_FIRST_SLOTS)

    def _lay(self, n_slots: int) -> None:
        self._mask = n_slots - 1
        self._keys = array("Q", [0]) * n_slots
        self.rows = array("H", [0]) * n_slots
        self._last = array("I", [0]) * n_slots

    def found(self, grams: Iterable[int]) -> list[int]:
        """The slots of those that there are."""
        keys, mask, slots = self._keys, self._mask, []
        for gram in grams:
            at = gram & mask
            while held := keys[at]:
                if held == gram:
                    slots.append(at)
                    break
                at = (at + 1) & mask
        return slots

    def add(self, gram: int) -> None:
        keys, mask = self._keys, self._mask
        at = gram & mask
        while held := keys[at]:
            if held == gram:
                return
            at = (at + 1) & mask
        keys[at] = gram
        self.n += 1
        if self.n * 3 > len(keys) * 2:
            self._grow()

    def _grow(self) -> None:
        """Only while texts are learned: no row was counted yet, or it is forgotten which was the last."""
        keys, rows = self._keys, self.rows
        self._lay(2 * len(keys))
        for gram, n_rows in zip(keys, rows, strict=True):
            if gram:
                at = gram & self._mask
                while self._keys[at]:
                    at = (at + 1) & self._mask
                self._keys[at], self.rows[at] = gram, n_rows

    def count(self, slots: Iterable[int], row: int) -> None:
        """One row more at these slots, but where the last one was the same.

        Rows of one issue come one after the other, or with others between them that hardly ever share an n-gram of the
        benchmark; what many share is counted too often, and is left out all the sooner.
        """
        for slot in slots:
            if self._last[slot] != row and self.rows[slot] < _MOST_COUNTED:
                self.rows[slot] += 1
                self._last[slot] = row
