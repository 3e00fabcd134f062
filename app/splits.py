"""Which split an issue goes to, so that no group stands in two and nothing that was released ever moves. Pure.

A *group* is what must stay together: issues that near-duplicates tie to each other; its key is the smallest of theirs.
A *ledger* remembers the split of every issue that was in an earlier release. What it says stays; what is new is dealt;
what would pull a group into two splits is left out, with a sentence that says why (docs/decisions/0019-splits.md).
"""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple, Protocol

from app.errors import BadInputError
from app.examples import Split

SHARES: Mapping[Split, float] = {Split.TRAIN: 0.8, Split.VALIDATION: 0.1, Split.TEST: 0.1}
"""What a project that says nothing gets."""

_WHOLE = 2**64
_SUM_WITHIN = 1e-9
_LARGEST_SEED = 2**63 - 1
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
        """What a manifest says of it, and `parse` reads again: `{"by": "issue", "seed": 0, "shares": {…}, "rule": …}`."""
        told: dict[str, object] = {"by": self.by.value, "seed": self.seed, "shares": self.share_of}
        if self.validation_from is not None and self.test_from is not None and self.by is By.TIME:
            told["validation_from"] = _written(self.validation_from)
            told["test_from"] = _written(self.test_from)
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
            f"x is the first 8 bytes of SHA-256 of '{self.seed}:' and {{}} over 2^64: under {train:g} train, under "
            f"{float(Fraction(str(train)) + Fraction(str(validation))):g} validation, else test"
        )
        kept = "what an earlier release held keeps its split."
        if self.by is By.ISSUE:
            return f"By issue: {drawn.format('the group digest')}; {kept}"
        if self.by is By.REPOSITORY:
            return f"By repository: {drawn.format('the SHA-256 of its name')}; {kept}"
        assert self.validation_from is not None  # noqa: S101
        assert self.test_from is not None  # noqa: S101
        return (
            f"By time: groups whose newest instant is before {_written(self.validation_from)} train, before "
            f"{_written(self.test_from)} validate, the others test; {kept}"
        )


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
    raise NotImplementedError


def ledger_after(members: Iterable[Member], placed: Mapping[bytes, Placed]) -> dict[bytes, Split]:
    """What a release adds to the ledger: the issues that got a split and had none, issue key → split."""
    raise NotImplementedError


def repository_of(source_name: str, extra: Mapping[str, object]) -> str:
    """The repository that an entry comes from, in small letters; empty where nothing says it.

    `repository_of("projects/httpx/.agent_data/success_memory.jsonl", {})` → `"httpx"`;
    `repository_of("log.jsonl", {"repo": "https://github.com/pallets/flask.git"})` → `"pallets/flask"`
    """
    raise NotImplementedError


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


class Leaks:
    """What stands in more than one split of a release, told one example at a time.

    Args:
        store: keeps what was seen; here nothing grows with the number of examples.
        most: how many are named of each kind.

    """

    def __init__(self, store: Store, *, most: int = 20) -> None:
        raise NotImplementedError

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
            files: the paths that it changes.

        """
        raise NotImplementedError

    def report(self) -> "LeakReport":
        """What crosses, once all examples were told."""
        raise NotImplementedError


class Crossing(NamedTuple):
    """Of one kind, what stands in more than one split.

    Attributes:
        kind: `issues`, `groups`, `clusters`, `fingerprints` or `files`.
        n: how many keys.
        examples: the first of them, by key: its name (hex, number or path) and its splits, the trained first.
        may_cross: whether this is counted only.
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
        """What `leaks.json` holds."""
        raise NotImplementedError
