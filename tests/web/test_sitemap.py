"""What each role is shown: the bar, the menu and the tabs lead where the person may go, and no form asks in vain."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import compile_path

from app import accounts
from app.accounts import Checked, Person
from app.db import Database
from app.main import create_app
from app.models import Role
from app.settings import Settings
from app.web.rights import RIGHTS, may_call
from app.web.sitemap import GROUPS, groups_of

NAMES = {one.href for group in GROUPS for one in group.pages}
OF_SERVER = {"/server", "/retention"}
SHOWN = dict.fromkeys(Role, NAMES - OF_SERVER - {"/members", "/webhooks", "/audit"}) | {Role.ADMIN: NAMES - OF_SERVER}
ROUTES = {name: (name.partition(" ")[0], compile_path(name.partition(" ")[2])[0]) for name in RIGHTS}


def test_the_map_knows_where_one_is() -> None:
    ann = Person(1, "ann", 1, Role.ADMIN, is_admin=True)

    def here(path: str) -> list[str]:
        links = [one for group in groups_of(ann, path) for one in group.pages if one.current]
        return [f"{one.href} {one.current}" for one in links]

    assert here("/candidates/3") == ["/queue page"]
    assert here("/members/3") == ["/project true", "/members page"]
    assert here("/me") == ["/insight true", "/me page"]
    assert here("/releases/new") == ["/releases page"]
    assert here("/membership") == []


class _Asks(HTMLParser):
    """What a page can ask for, by its links and by the buttons that can be pressed: `{"GET /queue", "POST /undo"}`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._forms = {"": ""}
        self._form = ""
        self._is_off = False
        self._buttons: list[dict[str, str | None]] = []
        self.feed(page)
        for button in self._buttons:
            address = button.get("formaction") or self._forms.get(button["form"] or "", "")
            self.found |= {f"POST {address}"} if address and button.get("formmethod") != "get" else set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "a" and (named.get("href") or "").startswith("/"):
            self.found.add(f"GET {named['href']}")
        if tag == "form":
            self._form = named.get("id") or f"form {len(self._forms)}"
            self._forms[self._form] = (named.get("action") or "") if named.get("method") == "post" else ""
        if tag == "fieldset" and "disabled" in named:
            self._is_off = True
        if tag == "button" and named.get("type") != "button" and not self._is_off:
            self._buttons.append({"form": self._form, **named})

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form, self._is_off = "", False


@pytest.fixture
def app(settings: Settings, db: Database) -> FastAPI:
    return create_app(settings.model_copy(update={"host": "0.0.0.0"}), db)


@pytest.mark.parametrize("role", SHOWN)
def test_a_page_leads_a_person_nowhere_that_is_refused_them(
    app: FastAPI, db: Database, three: list[int], role: Role
) -> None:
    now = datetime.now(UTC)
    with db.write() as session:
        row = accounts.create(session, "ann", hashed="x", now=now)
        accounts.set_role(session, 1, row.id or 0, role)
        cookie = accounts.log_in(session, Checked(row.id or 0), address="", agent="", now=now)
    ann = Person(row.id or 0, "ann", 1, role)

    def is_refused(asked: str) -> bool:
        method, path = asked.split(" ", 1)
        found = [name for name, (of, pattern) in ROUTES.items() if of == method and pattern.match(urlsplit(path).path)]
        # The one with the fewest parameters: /releases/new before /releases/{number}.
        return not may_call(ann, min(found, key=lambda name: name.count("{"), default="GET /"))

    with TestClient(app, headers={"Sec-Fetch-Site": "same-origin"}, cookies={"patchsift": cookie}) as server:
        pages = {path: server.get(path) for path in (*NAMES, f"/candidates/{three[0]}", "/templates/scaffold")}
        queue = pages["/queue"].text
    menu = _Asks(queue[queue.index('id="menu"') :].partition("</nav>")[0]).found

    assert menu == {f"GET {one}" for one in SHOWN[role]}
    assert {path for path, answer in pages.items() if answer.status_code != 200} == NAMES - SHOWN[role]
    vain = {f"{path}: {one}" for path, answer in pages.items() for one in _Asks(answer.text).found if is_refused(one)}
    assert vain == set()
