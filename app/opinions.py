"""What a project says of several opinions: of how many people, and on which candidates. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from math import ceil
from typing import Any

from app import syntax
from app.candidates import FINDING_CODES
from app.errors import BadInputError

MOST_ASKED = 9
SHARE_BYTES = 8
_LONGEST_FILTER = 1_000


class Team(StrEnum):
    """Who sees figures of each person by name; everybody sees their own, and those of all together."""

    ADMINS = "admins"
    CURATORS = "curators"
    EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True)
class Opinions:
    """How many people judge a candidate, none of them knowing what the others said.

    `Opinions(asked=2, share=0.1, only="finding:secret")`: two for a tenth of all and for all with a secret.

    Attributes:
        asked: how many people are asked; 1 where one person decides, as everywhere at first.
        share: of which share of the candidates, 0 to 1; which ones, their digests say, so it never changes.
        only: and of which besides, as a search; empty for no others.
        gold_share: which share of what a queue gives are gold candidates, 0 to 0.5.
        gold_told: whether a person is told at once how a gold candidate was to be judged.
        team: who sees figures of each person by name.
    """

    asked: int = 1
    share: float = 1.0
    only: str = ""
    gold_share: float = 0.0
    gold_told: bool = True
    team: Team = Team.ADMINS

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> "Opinions":
        """From what a project stores, or a person sent; what is left out has its default.

        Raises:
            BadInputError: a value that cannot be; `where` names the field.

        """
        names = [one.name for one in fields(cls)]
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise BadInputError(
                f"opinions have no {str(unknown[0])[:40]!r}; they have {', '.join(names)}.",
                where=f"field {str(unknown[0])[:40]}",
            )
        made = cls()
        for name, value in given.items():
            made = replace(made, **{name: _READ[name](name, value)})
        return made

    def as_json(self) -> dict[str, object]:
        """`{"asked": 2, "share": 0.1, "only": "finding:secret"}`."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"team": self.team.value}

    def is_in_share(self, digest: bytes) -> bool:
        """Whether a candidate is in the share; one and the same answer for ever, and a larger share holds a smaller."""
        # The last bytes: splits and groups are dealt by other digests, and nothing else asks for these.
        return int.from_bytes(digest[-SHARE_BYTES:]) < self.share * (1 << 8 * SHARE_BYTES)

    @property
    def share_below(self) -> bytes | None:
        """What the last eight bytes of a digest are below, where it is in the share; None: every digest is."""
        below = ceil(self.share * (1 << 8 * SHARE_BYTES))
        return None if below >> 8 * SHARE_BYTES else below.to_bytes(SHARE_BYTES)

    @property
    def sentence(self) -> str:
        """For people: "2 people judge 0.1 of the candidates, and what this finds: finding:secret; …"."""
        return self._who_judges + (
            f" Of what a queue gives, {self.gold_share:.3g} are gold." if self.gold_share else ""
        )

    @property
    def _who_judges(self) -> str:
        if self.asked == 1:
            return "One person decides on each candidate."
        also = f"what this finds: {self.only}" if self.only else ""
        if not self.share:
            return f"{self.asked} people judge {also or 'no candidate'}; one person decides on each other."
        of = (
            "every candidate" if self.share == 1 else f"{self.share:.3g} of the candidates" + (also and f", and {also}")
        )
        return f"{self.asked} people judge {of}" + ("." if self.share == 1 else "; one person decides on each other.")


# As the page calls them; `where` names the field.
_CALLED = {
    "asked": "The number of people who judge a candidate",
    "share": "The share of the candidates",
    "gold_share": "The share of gold",
}


def _asked(name: str, value: object) -> int:
    number = _number(name, value, 1, MOST_ASKED)
    if number != int(number):
        raise BadInputError(f"{_CALLED[name]} is a whole number from 1 to {MOST_ASKED}.", where=f"field {name}")
    return int(number)


def _number(name: str, value: object, least: float, most: float) -> float:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or not least <= number <= most:
        raise BadInputError(
            f"{_CALLED[name]} is a number from {least:g} to {most:g}; it is {str(value)[:40]!r}.", where=f"field {name}"
        )
    return number


def _only(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_FILTER:
        raise BadInputError(f"{name} is a search, such as finding:secret.", where=f"field {name}")
    terms = syntax.parse(value)
    if value.strip() and not terms:
        raise BadInputError(f"{name} has no word and no field in it.", where=f"field {name}")
    unknown = [code for term in terms if term.field == "finding" for code in term.values if code not in FINDING_CODES]
    if unknown:
        raise BadInputError(f"{name}: no check finds {unknown[0][:40]!r}.", where=f"field {name}")
    told = next((term.field for term in terms if term.field in _TOLD), "")
    if told:
        raise BadInputError(
            f"{name}: {told}: is what people said of a candidate, and they are asked before anybody did.",
            where=f"field {name}",
        )
    return syntax.write(terms)


# What people said already, and views, which change under one's hands.
_TOLD = frozenset(
    {"status", "by", "reason", "decided", "spent", "seen", "bulk", "view", "agreement", "opinion", "opinion_by"}
)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadInputError(f"{name} is true or false; it is {str(value)[:40]!r}.", where=f"field {name}")
    return value


def _team(name: str, value: object) -> Team:
    if value not in [one.value for one in Team]:
        raise BadInputError(
            f"{name} must be one of {', '.join(Team)}; it is {str(value)[:40]!r}.", where=f"field {name}"
        )
    return Team(str(value))


_READ: Mapping[str, Callable[[str, object], Any]] = {
    "asked": _asked,
    "share": lambda name, value: _number(name, value, 0, 1),
    "only": _only,
    "gold_share": lambda name, value: _number(name, value, 0, 0.5),
    "gold_told": _flag,
    "team": _team,
}
