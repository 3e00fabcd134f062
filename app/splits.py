"""Which split an issue goes to, so that no group stands in two and nothing that was released ever moves. Pure.

A *group* is what must stay together: issues that near-duplicates tie to each other; its key is the smallest of theirs.
A *ledger* remembers the split of every issue that was in an earlier release. What it says stays; what is new is dealt;
what would pull a group into two splits is left out, with a sentence that says why (docs/decisions/0019-splits.md).
"""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from app.errors import BadInputError
from app.examples import Split

SHARES: Mapping[Split, float] = {Split.TRAIN: 0.8, Split.VALIDATION: 0.1, Split.TEST: 0.1}
"""What a project that says nothing gets."""

_WHOLE = 2**64
_SUM_WITHIN = 1e-9
_LARGEST_SEED = 2**63 - 1
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_SHOWN = 40
_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_HELD_OUT = (Split.BENCHMARK, Split.TEST, Split.VALIDATION, Split.TRAIN)
"""The most held-out first: what must not be trained on is given up last."""


class By(StrEnum):
    """What is dealt: groups of issues, whole repositories, or stretches of time."""

    ISSUE = "issue"
    REPOSITORY = "repository"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Plan:
    """How the issues of a release are split.

    `Plan.parse({"by": "issue", "seed": 7, "shares": {"train": 0.9, "validation": 0.05, "test": 0.05}})`

    Attributes:
        by: what is dealt.
        seed: any whole number of 64 bits; another one deals everything that was never released anew.
        shares: of train, validation and test, each 0 to 1, together 1. By time they play no part.
        validation_from: by time: groups whose newest instant lies before it train. Aware.
        test_from: by time: groups before it validate, the others test. Aware.

    Raises:
        BadInputError: a field is missing or makes no sense; `where` names it.

    """

    by: By = By.ISSUE
    seed: int = 0
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    validation_from: datetime | None = None
    test_from: datetime | None = None

    def __post_init__(self) -> None:
        _check_seed(self.seed)
        _check_shares(self.shares)
        if self.by is By.TIME:
            _check_instants(self.validation_from, self.test_from)

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> "Plan":
        """A plan from a form, an API call or a manifest; what is left out has its default, other keys are passed over.

        Args:
            given: `{"by": "time", "validation_from": "2025-06-01T00:00:00Z", "test_from": "2025-07-01T00:00:00Z"}`;
                numbers may stand as text.

        Raises:
            BadInputError: a field makes no sense; `where` names it (`field shares.train`).

        """
        by = _by(given.get("by"))
        is_by_time = by is By.TIME
        return cls(
            by,
            _seed(given.get("seed")),
            _shares(given.get("shares")),
            _instant(given.get("validation_from"), "validation_from") if is_by_time else None,
            _instant(given.get("test_from"), "test_from") if is_by_time else None,
        )

    def as_json(self) -> dict[str, object]:
        """What a manifest says of it, and `parse` reads: `{"by": "issue", "seed": 0, "shares": {…}, "rule": "…"}`."""
        told: dict[str, object] = {"by": self.by.value, "seed": self.seed, "shares": self.share_of}
        if self.by is By.TIME:
            told["validation_from"], told["test_from"] = map(_written, self.instants)
        return told | {"rule": self.rule}

    @property
    def share_of(self) -> dict[str, float]:
        """`{"train": 0.8, "validation": 0.1, "test": 0.1}`."""
        return dict(zip((split.value for split in SHARES), self.shares, strict=True))

    @property
    def rule(self) -> str:
        """One sentence that tells a reader of the release how to deal again."""
        train, validation, _ = self.shares
        drawn = (
            f"x is the first 8 bytes of SHA-256 of '{self.seed}:' and {{}}, over 2^64: under {train} train, under "
            f"{train} + {validation} validation, else test"
        )
        kept = "what an earlier release held keeps its split."
        if self.by is By.ISSUE:
            return f"By issue: {drawn.format('the group digest')}; {kept}"
        if self.by is By.REPOSITORY:
            return f"By repository: {drawn.format('the SHA-256 of its name')}; {kept}"
        validation_from, test_from = map(_written, self.instants)
        return (
            f"By time: groups whose newest instant is before {validation_from} train, before {test_from} validation, "
            f"else test; {kept}"
        )

    @property
    def instants(self) -> tuple[datetime, datetime]:
        """From when on groups validate, and from when on they test; only of a plan by time."""
        if self.validation_from is None or self.test_from is None:
            raise ValueError("only a plan by time has instants")
        return self.validation_from, self.test_from


class Member(NamedTuple):
    """One issue of a group, or what one repository says of it; an issue may stand several times.

    Attributes:
        issue: its key, 32 bytes.
        group: the group's key: the smallest issue key in it.
        kept: the split that the ledger remembers, or None.
        repository: where it comes from (`repository_of`); empty where nobody knows.
        newest_at: the latest instant that the logs name for it, aware, or None.
    """

    issue: bytes
    group: bytes
    kept: Split | None = None
    repository: str = ""
    newest_at: datetime | None = None


class Placed(NamedTuple):
    """Where an issue goes.

    Attributes:
        split: None where it is left out (quarantined).
        dealt: what decided: `digest`, `ledger`, `benchmark`, `time` or `repository`.
        why: a sentence.
    """

    split: Split | None
    dealt: str
    why: str


def deal(key: bytes, plan: Plan) -> Split:
    """`deal(bytes(32), Plan())` is the same split for ever; another seed deals anew.

    Args:
        key: a group's key, or the SHA-256 of a repository's name; 32 bytes.
        plan: its seed and shares count.

    """
    at = int.from_bytes(hashlib.sha256(b"%d:" % plan.seed + key).digest()[:8])
    train, validation, test = plan.shares
    if at < round(train * _WHOLE) or not (validation or test):
        return Split.TRAIN
    # A split without a share gets nothing, however the other two were rounded.
    if test and (not validation or at >= round((train + validation) * _WHOLE)):
        return Split.TEST
    return Split.VALIDATION


def place(members: Sequence[Member], plan: Plan) -> dict[bytes, Placed]:
    """Where each issue of one group goes: at most one split for all, and never another than before.

    Args:
        members: all members of one group, those of the ledger among them even where the release has no row of theirs.
        plan: how what is new is dealt.

    Returns:
        Issue key → where it goes, in the order of `members`.

    Raises:
        ValueError: the members are not of one group.

    """
    if len({member.group for member in members}) > 1:
        raise ValueError("the members are not of one group")
    kept = {member.issue: member.kept for member in members if member.kept is not None}
    held = _by_holding_out(kept.values())
    if len(held) > 1:
        return {member.issue: _torn(kept.get(member.issue), held) for member in members}
    wanted = _wanted(members, plan, held)
    stays = held or _by_holding_out(split for splits in wanted.values() for split in splits)
    return {
        issue: _remembered(kept[issue], is_own=True) if issue in kept else _new(splits, stays, bool(held), plan)
        for issue, splits in wanted.items()
    }


def ledger_after(members: Iterable[Member], placed: Mapping[bytes, Placed]) -> dict[bytes, Split]:
    """What a release adds to the ledger: the issues that got a split and had none, issue key → split.

    Args:
        members: of any groups. Give only those of whose issue the release holds a row: what nobody got may still move.
        placed: what `place` said of them.

    """
    added = {}
    for member in members:
        split = placed[member.issue].split
        if member.kept is None and split is not None:
            added[member.issue] = split
    return added


def _wanted(members: Sequence[Member], plan: Plan, held: Sequence[Split]) -> dict[bytes, frozenset[Split]]:
    """Where each issue would go by itself: to none where nothing is known, to several where it stands in several."""
    wanted: dict[bytes, frozenset[Split]] = {}
    newest = max((member.newest_at for member in members if member.newest_at is not None), default=None)
    for member in members:
        wanted[member.issue] = wanted.get(member.issue, frozenset()) | _natural(member, plan, held, newest)
    return wanted


def _natural(member: Member, plan: Plan, held: Sequence[Split], newest: datetime | None) -> frozenset[Split]:
    if plan.by is By.ISSUE:
        return frozenset(held) or frozenset({deal(member.group, plan)})
    if plan.by is By.TIME:
        return frozenset() if newest is None else frozenset({_in_time(newest, plan)})
    if not member.repository:
        return frozenset()
    name = member.repository.encode(errors="surrogatepass")
    return frozenset({deal(hashlib.sha256(name).digest(), plan)})


def _in_time(newest: datetime, plan: Plan) -> Split:
    validation_from, test_from = plan.instants
    if newest < validation_from:
        return Split.TRAIN
    return Split.VALIDATION if newest < test_from else Split.TEST


def _by_holding_out(splits: Iterable[Split]) -> list[Split]:
    """Each once, the most held-out first."""
    found = set(splits)
    return [split for split in _HELD_OUT if split in found]


# --- what is said of it -------------------------------------------------------------------------------------------

_DEALT = {By.ISSUE: "digest", By.REPOSITORY: "repository", By.TIME: "time"}
_WHY = {
    By.ISSUE: "Dealt by the digest of its group.",
    By.REPOSITORY: "Dealt by the name of its repository.",
    By.TIME: "Placed by the newest instant of its group.",
}
_UNKNOWN = {
    By.REPOSITORY: "No repository: nothing says where it comes from. Give its entries a field repository, or split by "
    "issue.",
    By.TIME: "No time: no entry of its group has one that can be read. Split by issue to have it.",
}
_OWN = {By.ISSUE: "group", By.REPOSITORY: "repository", By.TIME: "newest instant"}


def _remembered(split: Split, *, is_own: bool) -> Placed:
    who = "It" if is_own else "Its group"
    if split is Split.BENCHMARK:
        return Placed(split, "benchmark", f"{who} belongs to the frozen benchmark.")
    return Placed(split, "ledger", f"{who} is in {split} since an earlier release.")


def _torn(kept: Split | None, held: Sequence[Split]) -> Placed:
    """Of a group that earlier releases put into several splits: only the most held-out one keeps what it has."""
    if kept == held[0]:
        return _remembered(kept, is_own=True)
    before = f"it was in {kept}" if kept else "it is new"
    why = (
        f"Its group is in {_listed(held)} since earlier releases, and {before}. What was released never moves, so only "
        f"what is in {held[0]} stays."
    )
    return Placed(None, "ledger", why)


def _new(wanted: frozenset[Split], stays: Sequence[Split], is_held: bool, plan: Plan) -> Placed:
    dealt = _DEALT[plan.by]
    if not wanted:
        return Placed(None, dealt, _UNKNOWN[plan.by])
    if wanted == {stays[0]}:
        return _remembered(stays[0], is_own=False) if is_held else Placed(stays[0], dealt, _WHY[plan.by])
    own = f"its {_OWN[plan.by]} belongs to {_listed(_by_holding_out(wanted))}"
    if is_held:
        why = f"Its group is in {stays[0]} since an earlier release, but {own}."
    else:
        why = f"Its group reaches into {_listed(stays)}, and {own}. Only what belongs to {stays[0]} alone stays."
    return Placed(None, dealt, why)


def _listed(splits: Sequence[Split]) -> str:
    """`[TEST, VALIDATION, TRAIN]` → `test, validation and train`."""
    return " and ".join([", ".join(splits[:-1]), splits[-1]] if len(splits) > 1 else splits)


# --- what a plan is made of ---------------------------------------------------------------------------------------


def _by(given: object) -> By:
    if given is None or given == "":
        return By.ISSUE
    if isinstance(given, str) and given in set(By):
        return By(given)
    raise BadInputError(f"Splits are made by {', '.join(By)}. {_quoted(given)} is none of them.", where="field by")


def _seed(given: object) -> int:
    if given is None or given == "":
        return 0
    if isinstance(given, str) and _WHOLE_NUMBER.fullmatch(given):
        return int(given)
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    raise BadInputError(f"A seed is a whole number, as 0 or 42, not {_quoted(given)}.", where="field seed")


def _shares(given: object) -> tuple[float, float, float]:
    if given is None:
        train, validation, test = SHARES.values()
        return train, validation, test
    if not isinstance(given, Mapping):
        raise BadInputError("Shares are given as train, validation and test, each 0 to 1.", where="field shares")
    unknown = [str(name) for name in given if name not in set(SHARES)]
    if unknown:
        raise BadInputError(
            f"Shares are of train, validation and test. {_quoted(unknown[0])} is none of them.",
            where=f"field shares.{shortened(unknown[0])}",
        )
    train, validation, test = (_share(given.get(split.value), split) for split in SHARES)
    return train, validation, test


def _share(given: object, split: Split) -> float:
    if given is None or given == "":
        return 0.0
    if isinstance(given, int | float | str) and not isinstance(given, bool):
        try:
            return float(given)
        except (ValueError, OverflowError):
            pass
    raise BadInputError(
        f"The share of {split} is a number from 0 to 1, not {_quoted(given)}.", where=f"field shares.{split}"
    )


def _instant(given: object, field: str) -> datetime | None:
    if given is None or given == "":
        return None
    if isinstance(given, datetime):
        return given
    try:
        return datetime.fromisoformat(str(given))
    except ValueError:
        raise BadInputError(
            f"{_quoted(given)} is no instant. Write it as 2025-06-01T00:00:00Z.", where=f"field {field}"
        ) from None


def _check_seed(seed: int) -> None:
    if not -_LARGEST_SEED <= seed <= _LARGEST_SEED:
        raise BadInputError(f"A seed is at most {_LARGEST_SEED:,}, with or without a minus.", where="field seed")


def _check_shares(shares: Sequence[float]) -> None:
    for split, share in zip(SHARES, shares, strict=True):
        if not 0 <= share <= 1:  # not a number is not between them either
            raise BadInputError(
                f"The share of {split} is a number from 0 to 1, not {share:g}.", where=f"field shares.{split}"
            )
    total = math.fsum(shares)
    if abs(total - 1) > _SUM_WITHIN:
        raise BadInputError(
            f"The shares of train, validation and test are 1 together, not {total:.10g}.", where="field shares"
        )


def _check_instants(validation_from: datetime | None, test_from: datetime | None) -> None:
    for field, instant in (("validation_from", validation_from), ("test_from", test_from)):
        if instant is None:
            raise BadInputError(
                f"To split by time, say from when on groups are held out: {field} is missing.", where=f"field {field}"
            )
        if instant.tzinfo is None or instant.utcoffset() is None:
            raise BadInputError(
                f"{field} needs a time zone, or it means another instant elsewhere: "
                f"{instant.isoformat(timespec='seconds')}Z is UTC.",
                where=f"field {field}",
            )
        if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
            raise BadInputError(
                f"{field} lies in the years {_FIRST_YEAR} to {_LAST_YEAR}, not {instant.year}.", where=f"field {field}"
            )
    if validation_from and test_from and validation_from > test_from:
        raise BadInputError("Validation begins before the test does, or with it.", where="field test_from")


def _written(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _quoted(given: object) -> str:
    """`'tset'`, and of what is long its beginning."""
    if isinstance(given, int) and abs(given) > _LARGEST_SEED:
        return "a number that long"
    return repr(given if isinstance(given, int | float | None) else shortened(str(given)))


def shortened(text: str) -> str:
    """The first 40 characters, with three dots where there were more."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


# --- repositories -------------------------------------------------------------------------------------------------

_NAMING = ("repository", "repo", "project")
_HOMES = frozenset({".agent_data", ".autopatches", "patch_history"})
_ENDINGS = re.compile(r"(?:\.(?:jsonl|ndjson|json|log|txt|gz|tgz|tar|zip))+\Z")
_ADDRESS = re.compile(r"(?:[a-z+]+://[^/]*/|[^/@\s]+@[^/:\s]+:|(?:www\.)?git(?:hub|lab)\.com/)", re.IGNORECASE)
_BELOW_ADDRESS = re.compile(r"/(?:-|issues|pulls?|tree|blob|commits?)(?:/|\Z)")
_LOCAL = re.compile(r"[/~]|[a-z]:/", re.IGNORECASE)
_LONGEST_NAME = 200
# The agent names its logs alike in every repository.
_SAYS_NOTHING = re.compile(r"(?:success_memory|patch_meta|patch_history|run_.*)?\Z")


def repository_of(source_name: str, extra: Mapping[str, object]) -> str:
    """The repository that an entry comes from, in small letters; empty where nothing says it.

    `repository_of("projects/httpx/.agent_data/success_memory.jsonl", {})` → `"httpx"`;
    `repository_of("log.jsonl", {"repo": "https://github.com/Pallets/flask.git"})` → `"pallets/flask"`

    What the entry says itself comes first (`repository`, `repo`, `project`), then the folder in which the agent's own
    folders lie, then the folder in which the file lies, then the file's name. It is better to take two repositories for
    one than one for two: then what belongs together may stand in two splits.

    Args:
        source_name: the file's name as it was given, with its folders.
        extra: the entry's keys that no reader knows.

    """
    for key in _NAMING:
        value = extra.get(key)
        name = named(value) if isinstance(value, str) else ""
        if name:
            return name
    return _of_path([part for part in source_name.replace("\\", "/").split("/") if part not in {"", ".", ".."}])


def named(text: str) -> str:
    """What a text calls a repository, in small letters; empty where it is no name.

    `git@github.com:Pallets/flask.git` → `pallets/flask`; of a path on somebody's machine, the last folder.
    """
    text = text.strip().replace("\\", "/")
    if len(text) > _LONGEST_NAME or not text.isprintable():
        return ""
    address = _ADDRESS.match(text)
    if address:
        text = _BELOW_ADDRESS.split(text[address.end() :])[0]
    elif _LOCAL.match(text):
        text = text.rstrip("/").rpartition("/")[2]
    return text.strip("/").removesuffix(".git").rstrip("/").lower()


def _of_path(parts: Sequence[str]) -> str:
    homes = [at for at, part in enumerate(parts) if part in _HOMES]
    folders = parts[: homes[0]] if homes else parts[:-1]
    if folders:
        return _without_ending(folders[-1])
    name = "" if homes or not parts else _without_ending(parts[-1])
    return "" if _SAYS_NOTHING.match(name) else name


def _without_ending(name: str) -> str:
    """`flask.tar.gz` → `flask`: an archive is named like the folder that was packed."""
    return _ENDINGS.sub("", name.lower()) or name.lower()


# --- leaks --------------------------------------------------------------------------------------------------------


class Store(Protocol):
    """Where the leak report keeps which key stands in which splits; a database's temporary table, or a dict."""

    def add(self, kind: str, key: bytes, split: Split) -> None:
        """Note that the key stands in the split; once more changes nothing."""

    def crossing(self, kind: str) -> Iterator[tuple[bytes, tuple[Split, ...]]]:
        """The keys that stand in more than one split, by key, each with its splits in any order."""


class InMemory:
    """A `Store` for previews and tests: flat it is not."""

    def __init__(self) -> None:
        self._splits: dict[str, dict[bytes, set[Split]]] = defaultdict(dict)

    def add(self, kind: str, key: bytes, split: Split) -> None:
        """Note that the key stands in the split."""
        self._splits[kind].setdefault(key, set()).add(split)

    def crossing(self, kind: str) -> Iterator[tuple[bytes, tuple[Split, ...]]]:
        """The keys that stand in more than one split, by key."""
        for key, splits in sorted(self._splits[kind].items()):
            if len(splits) > 1:
                yield key, tuple(splits)


class Crossing(NamedTuple):
    """Of one kind, what stands in more than one split.

    Attributes:
        kind: `issues`, `groups`, `clusters`, `fingerprints` or `files`.
        n: how many keys.
        examples: the first of them, by key: its name (hex, number or path) and its splits, the trained one first.
        may_cross: whether this is only counted.
        says: a sentence.
    """

    kind: str
    n: int
    examples: tuple[tuple[str, tuple[Split, ...]], ...]
    may_cross: bool
    says: str


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What `Leaks` found, one `Crossing` a kind."""

    crossings: tuple[Crossing, ...]

    @property
    def counts(self) -> dict[str, int]:
        """`{"issues": 0, "groups": 0, "clusters": 0, "fingerprints": 0, "files": 12}`, for the manifest."""
        return {one.kind: one.n for one in self.crossings}

    @property
    def is_clean(self) -> bool:
        """Whether nothing crosses that must not."""
        return not any(one.n for one in self.crossings if not one.may_cross)

    def as_json(self) -> dict[str, object]:
        """What `leaks.json` holds: `{"clean": true, "issues": {"crossing": 0, "says": "…", "examples": []}, …}`."""
        told: dict[str, object] = {"clean": self.is_clean}
        for one in self.crossings:
            examples = [{"key": name, "splits": [split.value for split in splits]} for name, splits in one.examples]
            told[one.kind] = {"crossing": one.n, "says": one.says, "examples": examples}
        return told


class Leaks:
    """What stands in more than one split of a release, told one example at a time.

    Args:
        store: keeps what was seen; here nothing grows with the number of examples.
        most: how many are named of each kind.

    """

    def __init__(self, store: Store, *, most: int = 20) -> None:
        self._store = store
        self._most = most
        # One issue yields many examples, one after the other: most of what comes was just written.
        self._lately: set[tuple[str, bytes, Split]] = set()

    def add(
        self,
        split: Split,
        issue: bytes,
        group: bytes,
        cluster: int | None = None,
        fingerprint: bytes | None = None,
        files: Iterable[str] = (),
    ) -> None:
        """Note one example and everything by which it could be known again.

        Args:
            split: where it goes.
            issue: its issue's key.
            group: its group's key.
            cluster: its near-duplicate cluster's number, or None.
            fingerprint: the digest of its normalised patch, or None.
            files: the paths that it changes; where there are many repositories, with their names before.

        """
        self._note("issues", issue, split)
        self._note("groups", group, split)
        if cluster is not None:
            self._note("clusters", b"%d" % cluster, split)
        if fingerprint is not None:
            self._note("fingerprints", fingerprint, split)
        for file in files:
            self._note("files", file.encode(errors="surrogatepass"), split)

    def report(self) -> LeakReport:
        """What crosses, once all examples were told."""
        return LeakReport(tuple(self._crossing(kind) for kind in _NAMED))

    def _note(self, kind: str, key: bytes, split: Split) -> None:
        if (kind, key, split) in self._lately:
            return
        if len(self._lately) >= _LATELY:
            self._lately.clear()
        self._lately.add((kind, key, split))
        self._store.add(kind, key, split)

    def _crossing(self, kind: str) -> Crossing:
        n, examples = 0, []
        for key, splits in self._store.crossing(kind):
            n += 1
            if n <= self._most:
                examples.append((_NAMED[kind](key), tuple(reversed(_by_holding_out(splits)))))
        may_cross = kind == "files"
        return Crossing(kind, n, tuple(examples), may_cross, _says(kind, n, may_cross=may_cross))


_LATELY = 10_000
_NAMED: Mapping[str, Callable[[bytes], str]] = {
    "issues": bytes.hex,
    "groups": bytes.hex,
    "clusters": bytes.decode,
    "fingerprints": bytes.hex,
    "files": lambda key: key.decode(errors="backslashreplace"),
}


def _says(kind: str, n: int, *, may_cross: bool) -> str:
    count = f"{n:,} {kind if n != 1 else kind[:-1]} {'stand' if n != 1 else 'stands'} in more than one split."
    if may_cross:
        return f"{count} They are only counted: one file may be changed for many issues. By repository, few or none do."
    return f"{count} There may be none: a model would be tested on what it was trained on." if n else count
