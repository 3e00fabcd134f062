"""Forms as they were sent: every field once and known, or refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.errors import AppError, BadInputError


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a form in their order: `Fields((("verdict", "reject"), ("reasons", "style")))`."""

    pairs: tuple[tuple[str, str], ...]

    def allow(self, once: Iterable[str], many: Iterable[str] = ()) -> "Fields":
        """The same form, once it holds nothing but what its page has.

        Raises:
            BadInputError: a field that the page does not have; nothing is taken from it.
            AppError: a field twice that stands on the page once.

        """
        known, repeated = set(once), set(many)
        seen: set[str] = set()
        for name, _ in self.pairs:
            if name not in known | repeated:
                raise BadInputError(f"There is no field {name[:40]!r} in this form.", where=f"field {name[:40]}")
            if name in seen and name not in repeated:
                raise AppError(f"The field {name} came more than once; which one counts?", where=f"field {name}")
            seen.add(name)
        return self

    def one(self, name: str) -> str:
        """The field's value, empty when it did not come."""
        return next((value for field, value in self.pairs if field == name), "")

    def find(self, name: str) -> str | None:
        """The field's value, or None when it did not come."""
        return next((value for field, value in self.pairs if field == name), None)

    def many(self, name: str) -> tuple[str, ...]:
        """Every value of a field that may come more than once."""
        return tuple(value for field, value in self.pairs if field == name)


@dataclass(frozen=True)
class Typed:
    """What a person typed; given back when a decision was refused."""

    comment: str = ""
    rating: str = ""
    reasons: tuple[str, ...] = ()


async def _fields(request: Request) -> Fields:
    sent = await request.form()
    pairs = []
    for name, value in sent.multi_items():
        if not isinstance(value, str):
            raise BadInputError(f"The field {name[:40]!r} takes text, not a file.", where=f"field {name[:40]}")
        pairs.append((name, value))
    return Fields(tuple(pairs))


# Ask for it before the session: a slow sender must not hold the write lock.
Form = Annotated[Fields, Depends(_fields)]
