"""What a person sets for the pages: every key of the one table, changed, switched off, or as it came; wrapping."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import preferences
from app.errors import BadInputError
from app.web.deps import AppDb, Me
from app.web.forms import Form
from app.web.keys import FIXED, KEYS, Key, check, of_person
from app.web.render import page, see_other

router = APIRouter()

_SAVED = {
    "yes": "Saved. The keys are yours on every machine.",
    "wrap": "Saved. Long lines are so for you on every machine.",
}
CHANGEABLE: Mapping[str, Key] = {name: key for name, key in KEYS.items() if name not in FIXED}


@dataclass(frozen=True)
class PreferencesView:
    """What `preferences.html` may read."""

    table: Mapping[str, Key]
    typed: Mapping[str, str]
    has_letters: bool
    fault: str
    at_fault: str
    said: str


@router.get("/preferences")
def show(request: Request, db: AppDb, me: Me, saved: str = "") -> Response:
    """The keys as they are for this person."""
    with db.read() as session:
        chosen = preferences.read_keys(session, me)
    typed = {name: key.key for name, key in of_person(preferences.Keys(chosen.changed)).items() if name in CHANGEABLE}
    said = _SAVED.get(saved, "")
    return page(request, "preferences.html", PreferencesView(CHANGEABLE, typed, chosen.has_letters, "", "", said))


@router.post("/preferences/wrap")
def save_wrap(request: Request, fields: Form, db: AppDb, me: Me) -> Response:
    """Keep whether long lines of a diff are wrapped; the key for it sends this too."""
    with db.write() as session:
        preferences.save_wrap(session, me, wrap=fields.allow({"wrap"}).one("wrap") == "yes")
    request.app.state.personal.forget(me)
    return see_other("/preferences?saved=wrap")


@router.post("/preferences")
def save(request: Request, fields: Form, db: AppDb, me: Me) -> Response:
    """Keep what was typed, or take everything back to how it came."""
    sent = fields.allow(("letters", "as_it_came", *CHANGEABLE))
    typed = {name: CHANGEABLE[name].key if (key := sent.find(name)) is None else key.strip() for name in CHANGEABLE}
    has_letters = sent.one("letters") == "on"
    try:
        chosen = preferences.Keys() if sent.find("as_it_came") is not None else check(typed, has_letters=has_letters)
    except BadInputError as error:
        at_fault = (error.where or "").removeprefix("field ")
        view = PreferencesView(CHANGEABLE, typed, has_letters, error.message, at_fault, "")
        return page(request, "preferences.html", view, status=error.status)
    with db.write() as session:
        preferences.save_keys(session, me, chosen)
    request.app.state.personal.forget(me)
    return see_other("/preferences?saved=yes")
