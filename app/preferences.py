"""What a person set for the pages, kept with the person: which keys do what, which panels are open, wrapping."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import select, update
from sqlmodel import Session, col

from app.models import ReviewerRow


@dataclass(frozen=True, slots=True)
class Keys:
    """Which keys a person wants: `Keys({"accept": "y", "undo": ""}, True)`.

    Attributes:
        changed: action → key, where it is another than the table's; empty for switched off.
        has_letters: whether keys without a modifier do anything at all (WCAG 2.1.4).
    """

    changed: Mapping[str, str] = field(default_factory=dict)
    has_letters: bool = True


def read_keys(session: Session, reviewer_id: int) -> Keys:
    """A person's keys; nothing changed where nothing, or nothing readable, was kept."""
    kept = _read(session, reviewer_id)
    changed = kept.get("keys")
    named = changed if isinstance(changed, dict) else {}
    return Keys({str(name): str(key) for name, key in named.items()}, kept.get("letters") is not False)


def save_keys(session: Session, reviewer_id: int, keys: Keys) -> None:
    """Keep a person's keys; whatever else was set stays."""
    kept = _lock(session, reviewer_id) | {"keys": dict(keys.changed), "letters": keys.has_letters}
    session.execute(update(ReviewerRow).where(col(ReviewerRow.id) == reviewer_id).values(preferences=kept))


def is_open(session: Session, reviewer_id: int, panel: str) -> bool:
    """Whether a person left a panel of the review page open: `is_open(session, 1, "guidelines")`."""
    panels = _read(session, reviewer_id).get("panels")
    return isinstance(panels, dict) and panels.get(panel) is True


def save_open(session: Session, reviewer_id: int, panel: str, *, opened: bool) -> None:
    """Keep whether a panel is open; whatever else was set stays."""
    kept = _lock(session, reviewer_id)
    panels = kept.get("panels")
    made = kept | {"panels": (panels if isinstance(panels, dict) else {}) | {panel: opened}}
    session.execute(update(ReviewerRow).where(col(ReviewerRow.id) == reviewer_id).values(preferences=made))


def wraps(session: Session, reviewer_id: int) -> bool:
    """Whether long lines of a diff are wrapped for a person, as they are at first."""
    return _read(session, reviewer_id).get("wrap") is not False


def save_wrap(session: Session, reviewer_id: int, *, wrap: bool) -> None:
    """Keep whether long lines are wrapped; whatever else was set stays."""
    kept = _lock(session, reviewer_id) | {"wrap": wrap}
    session.execute(update(ReviewerRow).where(col(ReviewerRow.id) == reviewer_id).values(preferences=kept))


def _lock(session: Session, reviewer_id: int) -> dict[str, object]:
    """What was set, until the transaction ends: two pages that set something at one instant keep both."""
    return _read(session, reviewer_id, lock=True)


def _read(session: Session, reviewer_id: int, *, lock: bool = False) -> dict[str, object]:
    wanted = select(col(ReviewerRow.preferences)).where(col(ReviewerRow.id) == reviewer_id)
    found: object = session.execute(wanted.with_for_update(key_share=True) if lock else wanted).scalar()
    return dict(found) if isinstance(found, dict) else {}
