"""What the program tells whoever runs it: plain lines for a terminal, or one JSON object a line for a log server.

No line holds a body, a cookie, a token or what somebody searched for. An address stands in it as the pattern of its
route; of a fault JSON lines hold the type and the places, but not its message, which may quote what came in.
"""

import json
import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime

_CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), 127) if number not in {9, 10}}


class JsonLines(logging.Formatter):
    """One object a line: `at`, `level`, `logger`, `message`, and what `extra={"said": {...}}` adds."""

    def format(self, record: logging.LogRecord) -> str:
        """`{"at": "2026-03-01T12:00:00.000Z", "level": "info", "logger": "patchsift.web", "message": ...}`."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        line |= getattr(record, "said", {})
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["fault"] = record.exc_info[0].__qualname__
            line["places"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(line, default=str)


class PlainLines(logging.Formatter):
    """The message, without what would move a terminal's cursor; of a fault the whole traceback."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the library's name)
        """`"the worker died"`."""
        return super().formatMessage(record).replace("\n", "\\n").translate(_CONTROL)


def _is_news(record: logging.LogRecord) -> bool:
    """A fault that the page of it has told already is told once."""
    return not (record.exc_info and getattr(record.exc_info[1], "is_told", False))


def set_up(form: str) -> None:
    """Send what all parts of the program say to standard error, as `text` or `json`.

    As text only what needs somebody's eyes; as JSON every request and job too.
    """
    told = logging.StreamHandler()
    told.setFormatter(JsonLines() if form == "json" else PlainLines())
    logging.basicConfig(level=logging.WARNING, handlers=[told], force=True)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    logging.getLogger("patchsift").setLevel(logging.INFO if form == "json" else logging.WARNING)


def teller(form: str, say: Callable[[str], None]) -> Callable[[str], None]:
    """What takes the facts of a start: `say` where a person reads them, else lines of the log: `"open http://…"`."""
    if form != "json":
        return say
    log = logging.getLogger("patchsift")
    return lambda line: log.info("%s", " ".join(line.split()))
