"""The one table of keys: the buttons, their tooltips, the `?` sheet and `static/app.js` all read it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from app import preferences
from app.db import AWAY, Database
from app.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Key:
    """One key and what it does.

    `Key("a", "accept", "Accept", "Decide", "review")`

    Attributes:
        key: as `KeyboardEvent.key` says it, or two after each other such as `g q`; a range such as `1-9` stands for
            reasons; empty where the person switched it off.
        action: the name that templates ask for.
        label: what the sheet and the tooltip say.
        group: heading in the sheet.
        where: the page that has it: `review`, `ladder` (review of a candidate with attempts), `beside` (of one
            that somebody else has), `queue`, `edit` or `everywhere`.
    """

    key: str
    action: str
    label: str
    group: str
    where: str


_TABLE = (
    Key("a", "accept", "Accept", "Decide", "review"),
    Key("x", "reject", "Reject", "Decide", "review"),
    Key("1-9", "reason", "A reason: before x or f, or right after x", "Decide", "review"),
    Key("e", "edit", "Edit", "Decide", "review"),
    Key("s", "skip", "Skip", "Decide", "review"),
    Key("f", "flag", "Flag for a second look", "Decide", "review"),
    Key("u", "undo", "Undo the last decision", "Decide", "review"),
    Key("U", "redo", "Do again what was undone", "Decide", "review"),
    Key("T", "take", "Take it over from whoever has it", "Decide", "beside"),
    Key("S", "send", "Send it to somebody", "Decide", "beside"),
    Key("n", "next", "Next candidate", "Move", "review"),
    Key("p", "previous", "Previous candidate", "Move", "review"),
    Key("j", "down", "Next change, or row", "Move", "everywhere"),
    Key("k", "up", "Previous change, or row", "Move", "everywhere"),
    Key("]", "next-file", "Next file of the diff", "Move", "review"),
    Key("[", "previous-file", "Previous file of the diff", "Move", "review"),
    Key("J", "next-line", "Next line of the diff or the script", "Move", "review"),
    Key("K", "previous-line", "Line before it", "Move", "review"),
    Key("g g", "top", "Top of the page", "Move", "everywhere"),
    Key("G", "bottom", "Bottom of the page", "Move", "everywhere"),
    Key("/", "search", "Search the queue", "Move", "everywhere"),
    Key("g q", "go-queue", "Go to the queue", "Go", "everywhere"),
    Key("g i", "go-insight", "Go to insight", "Go", "everywhere"),
    Key("g r", "go-releases", "Go to the releases", "Go", "everywhere"),
    Key("g e", "go-exports", "Go to the exports", "Go", "everywhere"),
    Key("g l", "go-guidelines", "Go to the guidelines", "Go", "everywhere"),
    Key("g k", "go-preferences", "Change these keys", "Go", "everywhere"),
    Key("r", "comment", "Comment on this line or change, or answer this comment", "Comments", "review"),
    Key(".", "next-comment", "Next comment", "Comments", "review"),
    Key(",", "previous-comment", "Comment before it", "Comments", "review"),
    Key("R", "comments", "All comments of the candidate", "Comments", "review"),
    Key("m", "view", "Unified or side by side", "Show", "review"),
    Key("i", "issue", "The whole issue", "Show", "review"),
    Key("t", "trace", "The error of the attempt", "Show", "ladder"),
    Key("w", "wrap", "Wrap long lines, or not", "Show", "review"),
    Key("o", "repeats", "Open or close the folded repeats", "Show", "review"),
    Key("X", "rest", "Everything: folds, and all the rows of a long diff", "Show", "review"),
    Key("c", "script", "Open or close the script", "Show", "review"),
    Key("d", "guidelines", "Open or close the guidelines", "Show", "review"),
    Key("y", "yields", "Open or close what it yields", "Show", "review"),
    Key("h", "earlier", "Earlier attempt", "Attempts", "ladder"),
    Key("l", "later", "Later attempt", "Attempts", "ladder"),
    Key("b", "base", "Compare with the previous, the final, the first", "Attempts", "ladder"),
    Key("Ctrl+K", "palette", "Commands, pages, a candidate by its number", "Move", "everywhere"),
    Key("?", "keys", "This list", "Show", "everywhere"),
    Key("Esc", "out", "Out of a comment or a rating, back to the keys", "Show", "review"),
    Key("Ctrl+Enter", "save", "Save the edit, then the next candidate", "In the editor", "edit"),
    Key("Esc", "leave", "Leave the editor", "In the editor", "edit"),
    Key("F7", "change", "Next change; with Shift the one before", "In the editor", "edit"),
    Key("F8", "take_back", "Take the change at the caret back", "In the editor", "edit"),
    Key("Ctrl+Shift+X", "drop", "Drop the hunk, or keep it after all", "In the editor", "edit"),
)

KEYS: Mapping[str, Key] = {key.action: key for key in _TABLE}
"""By action: templates ask for `keys[action]`."""

FIXED = frozenset({"reason", "palette", "out"} | {name for name, key in KEYS.items() if key.where == "edit"})
"""Actions whose keys stay: digits count reasons, and the others have no letter to be pressed by mistake."""

_SEEN_AFTER_SECONDS = 2.0


@lru_cache(64)
def _keys_of(changed: tuple[tuple[str, str], ...], has_letters: bool) -> Mapping[str, Key]:
    chosen = dict(changed)
    off = {name: "" for name in KEYS if not has_letters and (name not in FIXED or name == "reason")}
    return {name: replace(key, key=(chosen | off).get(name, key.key)) for name, key in KEYS.items()}


def of_person(chosen: preferences.Keys) -> Mapping[str, Key]:
    """The table as a person changed it; equal choices give the same object."""
    known = {name: key for name, key in chosen.changed.items() if name in KEYS and name not in FIXED}
    return _keys_of(tuple(sorted(known.items())), chosen.has_letters)


def check(typed: Mapping[str, str], *, has_letters: bool) -> preferences.Keys:
    """What a person typed for every action, as a choice: `{"accept": "y", "undo": ""}`; only what differs is kept.

    Raises:
        BadInputError: no key, one that is kept for something else, or the same twice; `where` names the action.

    """
    table = {name: key.key for name, key in KEYS.items() if key.where != "edit"} | dict(typed)
    for name, key in typed.items():
        if key:
            _check_key(name, key)
            _check_alone(name, key, table)
    changed = {name: key for name, key in typed.items() if key != KEYS[name].key}
    return preferences.Keys(changed, has_letters)


def _check_key(name: str, key: str) -> None:
    parts = key.split(" ")
    if len(parts) > 2 or not all(len(part) == 1 and part.isprintable() for part in parts):  # noqa: PLR2004
        raise BadInputError(
            f"{KEYS[name].label}: {key[:20]!r} is no key. Type one character, or two with a space between them, or "
            "nothing to switch it off.",
            where=f"field {name}",
        )
    if any(part in "123456789" for part in parts):
        raise BadInputError(f"{KEYS[name].label}: the digits 1 to 9 count reasons.", where=f"field {name}")


def _check_alone(name: str, key: str, table: Mapping[str, str]) -> None:
    for other, taken in table.items():
        is_beginning = taken.startswith(f"{key} ") or key.startswith(f"{taken} ")
        if other != name and taken and (taken == key or is_beginning):
            said = "is" if taken == key else "begins like"
            raise BadInputError(
                f"{KEYS[name].label}: {key!r} {said} the key of “{KEYS[other].label}”. Change one of them.",
                where=f"field {name}",
            )


class Personal:
    """What everybody set, as last read, so that a page costs no query; a change elsewhere is seen two seconds later."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._read: dict[int, tuple[float, Mapping[str, Key], bool]] = {}

    def keys_of(self, reviewer_id: int) -> Mapping[str, Key]:
        """The person's table."""
        return self._of(reviewer_id)[0]

    def wraps(self, reviewer_id: int) -> bool:
        """Whether long lines are wrapped for the person."""
        return self._of(reviewer_id)[1]

    def _of(self, reviewer_id: int) -> tuple[Mapping[str, Key], bool]:
        now = time.monotonic()
        read_at, keys, wraps = self._read.get(reviewer_id, (0.0, KEYS, True))
        if reviewer_id not in self._read or now - read_at > _SEEN_AFTER_SECONDS:
            try:
                with self._db.read() as session:
                    keys = of_person(preferences.read_keys(session, reviewer_id))
                    wraps = preferences.wraps(session, reviewer_id)
            except AWAY:  # the page that says so has keys too
                return keys, wraps
            self._read[reviewer_id] = (now, keys, wraps)
        return keys, wraps

    def forget(self, reviewer_id: int) -> None:
        """Read anew at the next page: this person has changed something."""
        self._read.pop(reviewer_id, None)
