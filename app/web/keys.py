"""The one table of keys: the buttons, their tooltips, the `?` sheet and `static/app.js` all read it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """One key and what it does.

    `Key("a", "accept", "Accept", "Decide", "review")`

    Attributes:
        key: as `KeyboardEvent.key` says it; a range such as `1-9` stands for reasons.
        action: the name that templates ask for.
        label: what the sheet and the tooltip say.
        group: heading in the sheet.
        where: the page that has it: `review`, `ladder` (review of a candidate with attempts), `long diff` (of one with
            thousands of rows), `queue`, `edit` or `everywhere`.
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
    Key("n", "next", "Next candidate", "Move", "review"),
    Key("p", "previous", "Previous candidate", "Move", "review"),
    Key("j", "down", "Next change, or row", "Move", "everywhere"),
    Key("k", "up", "Previous change, or row", "Move", "everywhere"),
    Key("g g", "top", "Top of the page", "Move", "everywhere"),
    Key("G", "bottom", "Bottom of the page", "Move", "everywhere"),
    Key("/", "search", "Search the queue", "Move", "everywhere"),
    Key("m", "view", "Unified or side by side", "Show", "review"),
    Key("X", "rest", "All the rows of a long diff", "Show", "long diff"),
    Key("c", "script", "Open or close the script", "Show", "review"),
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
