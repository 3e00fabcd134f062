"""Hostile and damaged logs from `tests/data/nasty`, as cases."""

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# What a stored text must never become: a script, a request, a page's own markup. One text a way out of its place:
# of an element, an attribute, a text area, a style, a script; markup that htmx acts on; requests without any script;
# an address that runs; a template's syntax; characters that turn a line round or steer a terminal.
TEXTS = (
    "\"'`><img src=x onerror=window.__xss=1><svg/onload=window.__xss=1><script>window.__xss=1</script>",
    (
        "jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */oNcliCk=window.__xss=1 )//%0D%0A%0d%0a//"
        "</stYle/</titLe/</teXtarEa/</scRipt/--!>\\x3csVg/<sVg/oNloAd=window.__xss=1//>\\x3e"
    ),
    "</textarea></pre></template></option></select></script><!--]]>--><script>window.__xss=1</script>",
    "' hx-get='/undo' hx-trigger='load' x='><div hx-post=/undo hx-trigger=load hx-on:load=window.__xss=1></div>",
    "<img src=https://evil.test/i><link rel=stylesheet href=//evil.test/c><base href=//evil.test/>",
    "<iframe src=//evil.test></iframe><object data=//evil.test></object><video src=//evil.test autoplay>",
    "<meta http-equiv=refresh content='0;url=//evil.test'><form action=//evil.test><input type=image autofocus></form>",
    "x' style='background:url(//evil.test/s)' onfocus='window.__xss=1' autofocus tabindex=1 y='",
    "javascript:window.__xss=1//https://evil.test/",
    "[click](javascript:window.__xss=1) ![i](https://evil.test/m) <https://evil.test/a>",
    "{{7*7}}${7*7}#{7*7}<%= 7*7 %>{% raw %}{{''.__class__}}{% endraw %}",
    "\u202egnp.exe \u2066a\u2069 \u200b \x1b[31m\x1b]8;;https://evil.test\x07x x\u0301\u0302 </td>\x00",
)
FOLDER = Path(__file__).parent / "data" / "nasty"


@dataclass(frozen=True, slots=True)
class Case:
    """A hostile log, and what must become of it.

    Attributes:
        id: a short name.
        content: the log's bytes.
        expect: `accept`, `flag`, `quarantine` or `reject`, of its one hostile line or of the file.
        reason: why: `BAD_UTF8`, `SECRET`, ...
        line: the hostile line's number from 1.
        offset_bytes: where that line begins.
        name: what the file is called.
    """

    id: str
    content: bytes
    expect: str = "accept"
    reason: str = ""
    line: int = 0
    offset_bytes: int = 0
    name: str = "log.jsonl"

    def __str__(self) -> str:
        """The name, for the test's id."""
        return self.id


@cache
def unpack(name: str) -> list[dict[str, object]]:
    """The lines of one of the folder's files."""
    with gzip.open(FOLDER / name) as lines:
        return [json.loads(line) for line in lines]


def cases(name: str) -> list[Case]:
    """The cases of one of the folder's files."""
    fields = Case.__dataclass_fields__.keys()
    return [
        Case(**{key: value for key, value in row.items() if key in fields} | {"content": _bytes(row["content"])})  # type: ignore[arg-type]
        for row in unpack(name)
    ]


def _bytes(text: object) -> bytes:
    return str(text).encode("latin-1")
