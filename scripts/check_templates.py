"""Reads every template and says what the content security policy, or the reader, would refuse.

The browser enforces most of this too, but silently and only on the pages that a test opens.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError

TEMPLATES = Path(__file__).parent.parent / "templates"

# What must not be found -> what to do. Jinja's own comments are taken out before the search.
FORBIDDEN = {
    r"<script(?![^>]*\ssrc=)[^>]*>(?!\s*</script>)": "no inline script: put it into static/ and name it with src",
    r"<style[\s>]": "no inline style: put it into static/app.css",
    r"\sstyle\s*=": "no style attribute: use a class",
    r"\son[a-z]+\s*=\s*[\"']": "no on… attribute: listen in static/",
    r"\shx-on[:\s=-]": "no hx-on: it needs eval",
    r"[\"']js:": "no js: values: they need eval",
    r"\shx-trigger=[\"'][^\"']*\[": "no filter in hx-trigger: it needs eval",
    r"javascript:": "no javascript: address",
    r"(?:src|href|action|hx-get|hx-post)\s*=\s*[\"'](?:https?:)?//": "no foreign host: pages work with the network cut",
    r"\|\s*safe\b": "no safe filter: text from a log is shown, never trusted",
    r"autoescape\s+false": "escaping stays on",
}
# A link that a person follows may leave; it says so by its rel.
LINK_OUT = re.compile(r"<a\s[^>]*rel=[\"'][^\"']*noreferrer[^>]*>")
COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def blank(found: re.Match[str]) -> str:
    """Keep the line count of what is taken out, so that later faults are named with their line."""
    return "\n" * found.group().count("\n")


def faults(path: Path) -> Iterator[str]:
    """Yield `"queue.html:12: no inline style: …"` for each fault of one template."""
    name = path.relative_to(TEMPLATES)
    if path.suffix != ".html":
        yield f"{name}:1: a template ends in .html"
        return
    source = path.read_text(encoding="utf-8")
    try:
        Environment(autoescape=True).parse(source)
    except TemplateSyntaxError as error:
        yield f"{name}:{error.lineno}: {error.message}"
        return
    text = LINK_OUT.sub(blank, COMMENT.sub(blank, source))
    for pattern, advice in FORBIDDEN.items():
        for found in re.finditer(pattern, text, re.IGNORECASE):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{name}:{line}: {advice}"


def main() -> int:
    """Print every fault; 1 if there is one."""
    paths = sorted(path for path in TEMPLATES.rglob("*") if path.is_file())
    found = [fault for path in paths for fault in faults(path)]
    print("\n".join(found) if found else f"{len(paths)} templates, no fault.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
