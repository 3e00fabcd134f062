"""Where the review page shows what a finding names: from its place to an address."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlmodel import Session

from app import checks, prepare, review
from app.candidates import Finding
from app.web import ladder
from app.web.render import url

_TRIED = re.compile(r"(?P<text>attempt|trace)(?P<number>[0-9]{1,6})(?::(?P<line>[0-9]{1,9}))?")
_PATCHED = re.compile(r"patched\[([0-9]{1,6})\](?::[0-9]{1,9})?")
_SCRIPT = re.compile("script:([0-9]{1,9})")
# A text as a whole, by the section that shows it.
_SECTIONS = {"diff": "#diff", "script": "#script", "script_hash": "#script"}


@dataclass(frozen=True)
class Chip:
    """All findings of one code and severity: how many, and where the first of them is shown, or None."""

    code: str
    severity: str
    n: int
    address: str | None


def links(
    session: Session, opened: review.Opened, query: Mapping[str, str], view: prepare.View, html: str
) -> dict[str, str]:
    """Place of a finding → where the page shows it.

    `diff:41` → `#d41`, in a later piece of a long diff `/candidates/5/diff?view=split&piece=2#d41`; `script:7` →
    `/candidates/5#L7`; `attempt2:7` → `/candidates/5?attempt=2#attempt-line-7`, `trace2` → `…?attempt=2#attempt`; of
    the first patched file `patched[0]:3` → `…?image=1&side=after#patch-set`.

    Args:
        session: for the later pieces of a long diff.
        opened: the candidate.
        query: the filter in the address.
        view: of the diff.
        html: the diff as the page shows it.
    """
    number = opened.row.id or 0
    found = {place: at for one in opened.findings if (at := address_of(number, (place := one.place), query))}
    in_diff = _in_diff(session, opened, view, html, checks.lines_of(opened.findings))
    return found | {f"diff:{line}": at for line, at in in_diff.items()}


def address_of(candidate_id: int, place: str, query: Mapping[str, str]) -> str | None:
    """Where the page shows a place that is no line of the diff; None where it shows it nowhere, or anyway."""
    page = f"/candidates/{candidate_id}"
    if (named := _TRIED.fullmatch(place)) is not None:
        at = f"{ladder.LINE}{named['line']}" if named["line"] and named["text"] == "attempt" else "attempt"
        return url(page, attempt=named["number"], **query) + f"#{at}"
    if (named := _PATCHED.fullmatch(place)) is not None:
        return url(page, image=int(named[1]) + 1, side="after", **query) + "#patch-set"
    if (named := _SCRIPT.fullmatch(place)) is not None:
        return url(page, **query) + f"#L{named[1]}"
    return _SECTIONS.get(place)


def _in_diff(
    session: Session, opened: review.Opened, view: prepare.View, html: str, lines: Collection[int]
) -> dict[int, str]:
    found = {line: f"#d{line}" for line in lines if _is_in(html, line)}
    missing, number = set(lines) - found.keys(), opened.row.id or 0
    piece = 0
    while missing:
        piece += 1
        name = prepare.place_of(view, piece)
        html = review.find_rendering(session, number, name, prepare.renderer_version()) or ""
        if not html:
            break
        address = url(f"{prepare.address_of(number)}/diff", view=view, piece=piece)
        found |= {line: f"{address}#d{line}" for line in missing if _is_in(html, line)}
        missing -= found.keys()
    return found | dict.fromkeys(missing, "#diff")


def _is_in(html: str, line: int) -> bool:
    return f'id="d{line}"' in html


def chips(findings: Iterable[Finding], addresses: Mapping[str, str]) -> list[Chip]:
    """What was found, the gravest first, each code once."""
    by_kind: dict[tuple[str, str], list[Finding]] = {}
    for one in findings:
        by_kind.setdefault((one.code, one.severity), []).append(one)
    made = [
        Chip(code, severity, len(found), next((addresses[one.place] for one in found if one.place in addresses), None))
        for (code, severity), found in by_kind.items()
    ]
    return sorted(made, key=lambda chip: -checks.weight(chip.code, chip.severity))
