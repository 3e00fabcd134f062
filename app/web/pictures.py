"""Pictures as SVG, drawn on the server by pygal: no script, no style of their own, every bar a link.

pygal puts a style sheet, scripts, tooltips and its own remarks into what it draws; all of it is taken out again, and
classes of `static/insight.css` say the colours, so that both themes and the content policy hold (docs/decisions/0032).
"""

import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from markupsafe import Markup

_WIDTH, _HEIGHT = 560, 260
_ROW_HEIGHT, _AXIS_HEIGHT = 26, 40
# A name in a log may hold what no XML can, such as the escape of a terminal.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FONT = 11
_LONGEST_NAME = 30
_NAME_START, _NAME_END = 11, 18
_MOST_TICKS, _MOST_NAMES = 5, 6
_KEPT = frozenset({"g", "rect", "path", "text"})
_ATTRIBUTES = frozenset({"x", "y", "width", "height", "d", "transform", "class"})
_NOT_DRAWN = ("overlay", "titles", "background")


class Bar(NamedTuple):
    """One part of a bar: its number, where it leads, and what it says: `LLMCore_scaffold: 31 accepted`."""

    n: int
    url: str
    says: str


class Line(NamedTuple):
    """One bar: its name, its remark (`78 %`), its parts by series, and whether it is marked."""

    name: str
    remark: str
    bars: tuple[Bar, ...]
    is_marked: bool = False


@lru_cache(256)
def draw(code: str, title: str, says: str, series: tuple[str, ...], lines: tuple[Line, ...], in_time: bool) -> Markup:
    """One picture as SVG.

    Args:
        code: names it within the page.
        title: what a screen reader is told first.
        says: and then.
        series: what the parts of a bar are; each is a class of the style sheet: `held back` is `s-held-back`.
        lines: the bars; from left to right where they follow each other in time, else from the top.
        in_time: whether they do.

    """
    ordered = lines if in_time else lines[::-1]
    plotted = fromstring(_plot(series, ordered, in_time=in_time))  # noqa: S314  (drawn here, of numbers and escaped names)
    drawn = Element(
        "svg",
        {
            "viewBox": plotted.attrib["viewBox"],
            "class": "drawn",
            "role": "group",
            "aria-labelledby": f"{code}-title",
            "aria-describedby": f"{code}-says",
        },
    )
    SubElement(drawn, "title", {"id": f"{code}-title"}).text = title
    SubElement(drawn, "desc", {"id": f"{code}-says"}).text = says
    bars = iter([[(line, line.bars[at]) for line in ordered] for at in range(len(series))])
    for child in plotted:
        _copy(child, drawn, series, bars)
    return Markup(tostring(drawn, encoding="unicode"))  # noqa: S704  (written out from a tree: every text is escaped)


def _plot(series: Sequence[str], ordered: Sequence[Line], *, in_time: bool) -> str:
    """What pygal draws of it."""
    import pygal  # noqa: PLC0415  (a tenth of a second, and only this page needs it)
    from pygal.style import Style  # noqa: PLC0415

    # pygal hooks a finder of its plugins into every import; it is of a kind that Python warns of, and none is used.
    sys.meta_path[:] = [one for one in sys.meta_path if type(one).__name__ != "PluginImportFixer"]

    names = [_label(line, in_time=in_time) for line in ordered]
    chart = (pygal.StackedBar if in_time else pygal.HorizontalStackedBar)(
        js=[],
        css=[],
        no_prefix=True,
        disable_xml_declaration=True,
        style=Style(label_font_size=_FONT, major_label_font_size=_FONT),
        show_legend=False,
        truncate_label=-1,
        width=_WIDTH,
        height=_HEIGHT if in_time else _AXIS_HEIGHT + _ROW_HEIGHT * len(names),
        margin=4,
        spacing=6,
        x_labels=names,
        x_labels_major=names[:: max(1, ceil(len(names) / _MOST_NAMES))] if in_time else None,
        show_minor_x_labels=not in_time,
        y_labels=_ticks(max(sum(bar.n for bar in line.bars) for line in ordered)),
    )
    for at, name in enumerate(series):
        chart.add(name, [line.bars[at].n for line in ordered])
    return _NOT_XML.sub("\ufffd", str(chart.render(is_unicode=True)))


def _label(line: Line, *, in_time: bool) -> str:
    if in_time:
        return line.name.partition(" ")[0]
    name = line.name
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_NAME_START]}…{name[-_NAME_END:]}"
    return f"{name} · {line.remark}" if line.remark else name


def _ticks(most: int) -> list[int]:
    """Round numbers from 0 to the most or a little beyond: 37 → `[0, 10, 20, 30, 40]`."""
    step = 1
    while step * _MOST_TICKS < most:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return list(range(0, max(most, 1) + step, step))


def _copy(element: Element, to: Element, series: Sequence[str], bars: Iterator[list[tuple[Line, Bar]]]) -> None:
    """Copy what is drawn and nothing else, with the bars as links; `bars` are those of the series to come."""
    tag, classes = element.tag.rpartition("}")[2], element.get("class", "").split()
    if tag not in _KEPT or any(name in classes for name in _NOT_DRAWN) or "text-overlay" in classes:
        return
    copied = SubElement(to, tag, {name: value for name, value in element.items() if name in _ATTRIBUTES})
    copied.text = element.text
    if "series" in classes:
        at = int(classes[1].removeprefix("serie-"))
        copied.set("class", f"series s-{series[at].replace(' ', '-')}")
        for bar, (line, part) in zip(element.iterfind(".//{*}rect"), next(bars), strict=True):
            _draw_bar(bar, copied, line, part)
        return
    for child in element:
        _copy(child, copied, series, bars)


def _draw_bar(rect: Element, to: Element, line: Line, part: Bar) -> None:
    if not part.n:
        return
    # The table beside the picture has the same links, so the way by keyboard is there and stays short.
    around = SubElement(to, "a", {"href": part.url, "tabindex": "-1"}) if part.url else SubElement(to, "g")
    SubElement(around, "title").text = part.says
    size = {name: rect.attrib[name] for name in ("x", "y", "width", "height")}
    SubElement(around, "rect", {"class": "bar marked" if line.is_marked else "bar", **size})
