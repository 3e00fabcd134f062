"""Formats of training files: examples → rows, one pure file a format, one line here."""

from collections.abc import Mapping

from app.errors import BadInputError
from app.exports import sft_chat, sft_pc
from app.exports.shape import Format, Row, ShapeError

FORMATS: tuple[Format, ...] = (sft_pc.FORMAT, sft_chat.FORMAT)
_BY_NAME: Mapping[str, Format] = {name: one for one in FORMATS for name in (one.name, one.alias)}


def get_format(name: str) -> Format:
    """The format of a name or alias: `prompt-completion` and `sft_pc` are one.

    Raises:
        BadInputError: no format is called so.

    """
    found = _BY_NAME.get(name)
    if found is None:
        known = ", ".join(one.alias for one in FORMATS)
        raise BadInputError(f"No format is called {name[:40]!r}; there are {known}.", where="field format")
    return found


def validate(config: str, row: Row) -> None:
    """Check a row of a config, such as `scaffold_sft_pc`, against its format.

    Raises:
        ShapeError: the row is not what the format promises.
        BadInputError: no format has this config.

    """
    get_format("_".join(config.split("_")[-2:])).check(row)


__all__ = ["FORMATS", "Format", "Row", "ShapeError", "get_format", "validate"]
