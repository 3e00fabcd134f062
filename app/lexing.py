"""Lexers and parsers in a process of their own, which ends when a text makes one slow: it cannot be stopped otherwise.

The child is this program again: it imports the lexers and nothing of the database, is sent plain texts and answers with
numbers and names. It takes no more than `CPU_S` seconds of processor time for one page, by the operating system's own
limit, and is killed after `WALL_S` seconds in any case. What it had found until then counts; the rest is shown plain.
"""

import marshal
import math
import time
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from app.diffs.highlight import Piece, Sides, colours_of
from app.diffs.meaning import Only, Pieces, Texts, compare, compare_hunks

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

CPU_S = 2
WALL_S = 10.0
_START_S = 30.0
_TOLD_EVERY_S = 0.05
_PLAIN: Sides = (None, None)
_NOTHING = ""

Ask = Piece | Texts | Pieces
Answer = Sides | str


class Found(NamedTuple):
    """What came of some questions: colours for each piece, a word for each comparison, and whether the limit cut it."""

    sides: list[Sides]
    onlys: list[Only]
    is_late: bool


class Lexer:
    """One child, started when it is first needed and again after it ended."""

    def __init__(self, wall_s: float = WALL_S) -> None:
        self._wall_s = wall_s
        self._lock = Lock()
        self._child: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def ask(self, pieces: Sequence[Piece | None], compared: Sequence[Texts | Pieces | None] = ()) -> Found:
        """Colours of each piece, and what each comparison finds, in order; nothing for None and for what is late."""
        asked = [one for one in (*pieces, *compared) if one is not None]
        answers = iter(self._ask(asked))
        found = [next(answers, None) if one is not None else _NOTHING for one in (*pieces, *compared)]
        sides = [one if isinstance(one, tuple) else _PLAIN for one in found[: len(pieces)]]
        onlys = [Only(one) if isinstance(one, str) else Only.NOTHING for one in found[len(pieces) :]]
        return Found(sides, onlys, is_late=None in found)

    def _ask(self, asked: Sequence[Ask]) -> list[Answer]:
        # Who waits for a page of somebody else's that is slow must not wait for ever.
        if not asked or not self._lock.acquire(timeout=self._wall_s):
            return []
        try:
            found: list[Answer] = []
            for told in self._answers(asked):
                found += told
            return found
        finally:
            self._lock.release()

    def _answers(self, asked: Sequence[Ask]) -> Iterator[list[Answer]]:
        left = len(asked)
        try:
            pipe = self._ready()
            pipe.send_bytes(marshal.dumps([(type(one).__name__, tuple(one)) for one in asked]))
            until = time.monotonic() + self._wall_s
            while left:
                if not pipe.poll(max(until - time.monotonic(), 0)):
                    raise TimeoutError
                told: list[Answer] = marshal.loads(pipe.recv_bytes())  # noqa: S302  (from our own child)
                left -= len(told)
                yield told
        except (EOFError, OSError):  # it came to its limit, or cannot be started here
            self.stop()

    def _ready(self) -> "Connection":
        if self._pipe is not None and self._child is not None and self._child.is_alive():
            return self._pipe
        self.stop()
        import multiprocessing  # noqa: PLC0415  (only who colours something pays for it)

        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._child, self._pipe = context.Process(target=_serve, args=(theirs,), daemon=True), ours
        self._child.start()
        theirs.close()
        if not ours.poll(_START_S):
            raise TimeoutError
        ours.recv_bytes()
        return ours

    def stop(self) -> None:
        """End the child; the next piece starts another."""
        child, self._child = self._child, None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        if child is not None and child.pid is not None:
            child.kill()
            child.join()


LEXER = Lexer()
"""The one of this process."""


# ------------------------------------------------------------------------------------------------ the child


def _serve(pipe: "Connection") -> None:
    import signal  # noqa: PLC0415

    # Ctrl-C is for the parent; this process ends with it, when the pipe closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send_bytes(b"ready")
    while True:
        try:
            asked = marshal.loads(pipe.recv_bytes())  # noqa: S302  (from our own parent)
        except EOFError:
            return
        _limit_cpu()
        told: list[Answer] = []
        at = time.monotonic()
        for kind, values in asked:
            told.append(_answer(kind, values))
            if time.monotonic() - at > _TOLD_EVERY_S:
                pipe.send_bytes(marshal.dumps(told))
                told, at = [], time.monotonic()
        if told:
            pipe.send_bytes(marshal.dumps(told))


def _answer(kind: str, values: tuple[Any, ...]) -> Answer:
    if kind == Piece.__name__:
        return colours_of(Piece._make(values))
    if kind == Texts.__name__:
        return str(compare(*values))
    return str(compare_hunks(Pieces._make(values)))


def _limit_cpu() -> None:
    try:
        import resource  # noqa: PLC0415
    except ImportError:  # Windows has no such limit; there the parent's clock is the only one
        return
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = math.ceil(time.process_time()) + CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if most < 0 else min(wanted, most), most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
