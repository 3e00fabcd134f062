"""Forms as they were sent: every field once and known, or refused."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile

from app.errors import AppError, BadInputError
from app.settings import MIB

MOST_TYPED = 64 * 1024
"""How many bytes a form has that nobody need be known for."""

_MOST_BYTES = 16 * MIB
# The form of the edit page holds a text and a mark for each hunk.
_MOST_FIELDS = 5_000


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


@asynccontextmanager
async def read_form(request: Request, most_files: int = 100) -> AsyncIterator[FormData]:
    """The form that is sent. Whoever needs it asks for it here: FastAPI would read it before the sender is known."""
    limits = {"max_files": most_files, "max_fields": _MOST_FIELDS, "max_part_size": _MOST_BYTES}
    async with request.form(**limits) as sent:
        yield sent


async def _fields(request: Request) -> Fields:
    async with read_form(request) as sent:
        return _texts(sent)


def _texts(sent: FormData) -> Fields:
    pairs = []
    for name, value in sent.multi_items():
        if not isinstance(value, str):
            raise BadInputError(f"The field {name[:40]!r} takes text, not a file.", where=f"field {name[:40]}")
        pairs.append((name, value))
    return Fields(tuple(pairs))


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a form, and its fields."""

    files: list[UploadFile]
    fields: Fields

    @classmethod
    def of(cls, sent: FormData) -> "Files":
        """The files of the field `files`; one that was left empty has no name.

        Raises:
            BadInputError: there is none, or a file came in another field.

        """
        files = [one for one in sent.getlist("files") if isinstance(one, UploadFile)]
        if not files:
            raise BadInputError("Choose a file first.", where="field files")
        others = [(name, value) for name, value in sent.multi_items() if name != "files"]
        return cls(files, _texts(FormData(others)))


async def _files(request: Request) -> AsyncIterator[Files]:
    async with read_form(request) as sent:
        yield Files.of(sent)


# Ask for it before the session: a slow sender must not hold the write lock.
Form = Annotated[Fields, Depends(_fields)]
FormWithFiles = Annotated[Files, Depends(_files)]
