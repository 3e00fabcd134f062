"""What a page leads to: its links and its forms, and which of the application's routes an address belongs to."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import compile_path

_LINKS = ("href", "hx-get", "src")
_TYPED = {"text", "search", "url", "email", ""}
_FIELDS = {"input", "textarea", "select", "button"}


@dataclass
class Form:
    """A form as a browser would send it, untouched; `texts` are the fields that a person types into."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class Content(HTMLParser):
    """The links and forms of a page."""

    def __init__(self, address: str, html: str) -> None:
        super().__init__()
        self.address = address
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._forms: dict[str, Form] = {}
        self._select = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.links += [self._whole(told[name]) for name in _LINKS if name in told]
        if "hx-post" in told or "formaction" in told:
            self.forms.append(Form(self._whole(told.get("hx-post") or told["formaction"]), "POST"))
        if tag == "form":
            form = Form(self._whole(told.get("action", self.address)), told.get("method", "get").upper())
            self.forms.append(form)
            self._forms[told.get("id", "")] = self._forms[""] = form
        if tag == "select":
            self._select = told.get("name", "")
        if tag == "option" and self._select:
            self._add(self._select, told.get("value", ""), told)
        if tag in _FIELDS and told.get("name"):
            self._add(told["name"], told.get("value", ""), told, typed=self._is_typed(tag, told))

    @staticmethod
    def _is_typed(tag: str, told: dict[str, str]) -> bool:
        return tag == "textarea" or (tag == "input" and told.get("type", "") in _TYPED)

    def _add(self, name: str, value: str, told: dict[str, str], *, typed: bool = False) -> None:
        form = self._forms.get(told.get("form", ""))
        if form is None:
            return
        if told.get("type") == "file":
            form.files.append(name)
        elif name not in dict(form.fields):
            form.fields.append((name, value))
            form.texts += [name] if typed else []

    def _whole(self, link: str) -> str:
        return urldefrag(urljoin(self.address, link))[0]


@dataclass(frozen=True)
class Way:
    """One method of one route."""

    method: str
    path: str
    parameters: tuple[str, ...]
    query: tuple[str, ...]

    def matches(self, address: str) -> bool:
        return compile_path(self.path)[0].match(urlsplit(address).path) is not None


def ways(app: FastAPI) -> Iterator[Way]:
    """Every route of an application, in the order in which they are tried."""
    for one in iter_route_contexts(app.routes):
        if isinstance(one.original_route, APIRoute):
            asked = sorted(_query(one.original_route.dependant))
            parameters = tuple(one.original_route.param_convertors)
            for method in sorted(one.methods or ()):
                yield Way(method, one.path or "", parameters, tuple(asked))


def way_of(known: Iterable[Way], method: str, address: str) -> Way | None:
    """The route that answers an address, or None."""
    return next((way for way in known if way.method == method and way.matches(address)), None)


def crawl(
    known: list[Way],
    base: str,
    look: Callable[[str], Content | None],
    per_route: int,
    also: Iterable[str] = (),
) -> tuple[dict[Way, list[str]], list[Content]]:
    """Look at every page that links lead to, from those without parameters on; a few of each route.

    Args:
        known: the application's routes.
        base: where the pages stand: `http://testserver`.
        look: what opens an address; None where it is no page.
        per_route: how many addresses of a route are opened.
        also: addresses that a script asks for, or that are handed to somebody.

    """
    found: dict[Way, list[str]] = {way: [] for way in known if way.method == "GET"}
    contents: list[Content] = []
    waiting = deque(base + path for path in (*(way.path for way in found if not way.parameters), *also))
    seen: set[str] = set()
    while waiting:
        address = waiting.popleft()
        way = way_of(found, "GET", address) if address.startswith(base) else None
        if way is None or address in seen or len(found[way]) >= per_route:
            continue
        seen.add(address)
        found[way].append(address)
        content = look(address)
        if content is not None:
            contents.append(content)
            waiting.extend(content.links)
    return found, contents


def _query(dependant: Dependant) -> set[str]:
    own = {one.alias for one in dependant.query_params}
    return own.union(*(_query(one) for one in dependant.dependencies))
