"""What tests read from a page, and the form that a browser would send."""

import html
import re
from html.parser import HTMLParser
from typing import Any

from starlette.testclient import TestClient

HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}


def hidden(page: str, name: str) -> str:
    """The value of a hidden field of the page."""
    found = re.search(rf'name="{name}"\s+value="([^"]*)"', page)
    assert found is not None, f"no field {name}"
    return html.unescape(found[1])


def text(page: str) -> str:
    """What a reader sees: no tags but those that colour code, one space between words."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"</?(i|mark)\b[^>]*>", "", page))).split())


class _Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in {"svg", "iframe", "object", "style", "base"} or (tag == "script" and not named.get("src")):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name in named if name.startswith("on") or name == "style"]
        if (named.get("src") or "/static/").startswith("/static/") and named.get("hx-trigger") != "load":
            return
        self.found.append(f"{tag} {named}")


def live_parts(page: str) -> list[str]:
    """What could run or load in the page and was not written by us."""
    parser = _Parts()
    parser.feed(page)
    return parser.found


def decide(client: TestClient, candidate_id: int, verdict: str, query: str = "", **more: Any) -> Any:
    """Open the candidate and send its form as it stands, with a verdict."""
    page = client.get(f"/candidates/{candidate_id}{query}").text
    form = {"verdict": verdict, "version": hidden(page, "version"), "key": hidden(page, "key"), **more}
    return client.post(f"/candidates/{candidate_id}/decisions{query}", data=form, follow_redirects=False)


def save(client: TestClient, candidate_id: int, query: str = "", **more: Any) -> Any:
    """Open the edit page and send its form with these texts."""
    page = client.get(f"/candidates/{candidate_id}/edit{query}").text
    form = {"version": hidden(page, "version"), "key": hidden(page, "key"), **more}
    return client.post(f"/candidates/{candidate_id}/edit{query}", data=form, follow_redirects=False)
