"""A page of rows in pieces: the first is sent with the page, each other one when it comes into view.

Nothing is refused, however long a diff is. A piece is sound HTML by itself; where one ends, a link stands that htmx
replaces by the next as it is scrolled to, and that leads there without JavaScript, too.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.diffs.lines import ROWS_PER_BLOCK, blocks

FIRST_ROWS = 2000
NEXT_ROWS = 1024
_HOLDER = '<div class="lz"'
_NEXT = re.compile(r'<div class="lz" hx-get="[^"]*piece=([0-9]+)" hx-trigger="revealed".*</div>\Z')


@dataclass(slots=True)
class Pages:
    """Where rows are written.

    Attributes:
        address: of a piece, without its number: `/candidates/5/diff?view=split&amp;piece=`; None to write one piece.
    """

    address: str | None
    _pieces: list[list[str]] = field(default_factory=lambda: [[]])
    _n_rows: list[int] = field(default_factory=lambda: [0])
    _next: dict[int, int] = field(default_factory=dict)
    _holders: list[tuple[int, int, int, bool]] = field(default_factory=list)  # piece, place in it, the piece it holds
    _at: int = 0
    _left: int = FIRST_ROWS
    _around: tuple[str, str] = ("", "")

    def put(self, *html: str) -> None:
        """Write what belongs to the row before it."""
        self._pieces[self._at] += html

    def rows(self, rows: Sequence[str], kind: str) -> None:
        """Write rows, in tables of `ROWS_PER_BLOCK`; a piece may end between two."""
        for start, block in zip(range(0, len(rows), ROWS_PER_BLOCK), _tables(rows, kind), strict=True):
            self.whole(block, min(ROWS_PER_BLOCK, len(rows) - start))

    def whole(self, html: str, n_rows: int = 1) -> None:
        """Write what may not be parted, in the next piece if this one is full."""
        if self.address is not None and self._left < n_rows and self._n_rows[self._at]:
            self._turn()
        self._left -= n_rows
        self._n_rows[self._at] += n_rows
        self.put(html)

    def fits(self, n_rows: int) -> bool:
        """Whether so many rows have room in this piece, or there is but one."""
        return self.address is None or n_rows <= self._left

    @contextmanager
    def inside(self, begin: str, again: str, end: str) -> Iterator[None]:
        """Write within an element; the next piece begins it again."""
        self.put(begin)
        self._around = (again, end)
        yield
        self._around = ("", "")
        self.put(end)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Write into a piece of its own, which comes when the fold around it is opened."""
        at, left, around = self._at, self._left, self._around
        self._hold(len(self._pieces), in_fold=True)
        self._begin()
        self._around = ("", "")
        yield
        self._at, self._left, self._around = at, left, around

    def _turn(self) -> None:
        again, end = self._around
        self.put(end)
        self._next[self._at] = len(self._pieces)
        self._hold(len(self._pieces), in_fold=False)
        self._begin()
        self.put(again)

    def _begin(self) -> None:
        self._at = len(self._pieces)
        self._pieces.append([])
        self._n_rows.append(0)
        self._left = NEXT_ROWS

    def _hold(self, piece: int, *, in_fold: bool) -> None:
        self._holders.append((self._at, len(self._pieces[self._at]), piece, in_fold))
        self.put("")

    def pieces(self) -> list[str]:
        """All pieces, the links between them filled in."""
        for piece, place, held, in_fold in self._holders:
            self._pieces[piece][place] = self._link(held, in_fold=in_fold)
        return ["".join(parts) for parts in self._pieces]

    def _link(self, piece: int, *, in_fold: bool) -> str:
        n_left, at = 0, piece
        while True:
            n_left += self._n_rows[at]
            if at not in self._next:
                break
            at = self._next[at]
        address = f"{self.address}{piece}"
        trigger = "toggle from:closest details once" if in_fold else "revealed"
        more = f'<a href="{address}">{n_left:,} more rows</a>'
        if piece in self._next:
            more += (
                f' <a href="{address}&amp;all=1" hx-get="{address}&amp;all=1" hx-target="closest .lz" '
                'hx-swap="outerHTML" data-aside data-key="X">Show all of them</a>'
            )
        return f'{_HOLDER} hx-get="{address}" hx-trigger="{trigger}" hx-swap="outerHTML" data-aside>{more}</div>'


def split_next(piece: str) -> tuple[str, int | None]:
    """A piece other than the first, without the link to the one that goes on; and that one's number, or None."""
    found = _NEXT.search(piece, max(piece.rfind(_HOLDER), 0))
    return (piece, None) if found is None else (piece[: found.start()], int(found[1]))


def _tables(rows: Sequence[str], kind: str) -> Iterator[str]:
    parts: list[str] = []
    for part in blocks(rows, kind):
        parts.append(part)
        if part == "</table></div>":
            yield "".join(parts)
            parts = []
