"""The map of the pages: what stands together, and what of it a person may open."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.accounts import Person
from app.web.rights import may_call


@dataclass(frozen=True, slots=True)
class Link:
    """One page: `Link("/insight", "Insight", bar="Insight", action="go-insight")`.

    Attributes:
        href: its address.
        label: its name among those that it stands with.
        bar: its name in the bar at the top; empty where it is reached from its neighbours and by the menu.
        action: the key that goes there, or empty.
        more: what other addresses begin with that belong to it.
        current: `page` where the person is there, `true` in the bar where they are at one of its neighbours.
    """

    href: str
    label: str
    bar: str = ""
    action: str = ""
    more: tuple[str, ...] = ()
    current: str = ""

    def has(self, path: str) -> bool:
        """Whether an address is of this page: `/members` and `/members/3`, not `/membership`."""
        return any(path == one or path.startswith(f"{one}/") for one in (self.href, *self.more))


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that stand together; `tabs` names the row of them that stands on each, or is empty for none."""

    label: str
    pages: tuple[Link, ...]
    tabs: str = ""

    @property
    def is_here(self) -> bool:
        """Whether the person is at one of them."""
        return any(one.current == "page" for one in self.pages)


GROUPS = (
    Group(
        "Review",
        (
            Link("/queue", "Queue", "Queue", "go-queue", ("/candidates", "/bulk")),
            Link("/clusters", "Clusters"),
            Link("/views", "Views"),
        ),
    ),
    Group(
        "Figures",
        (
            Link("/insight", "Insight", "Insight", "go-insight"),
            Link("/agreement", "Agreement"),
            Link("/me", "Your figures"),
        ),
        "Figures",
    ),
    Group("Logs", (Link("/imports", "Imports", "Imports"), Link("/quarantine", "Quarantine", "Quarantine"))),
    Group(
        "Datasets",
        (
            Link("/releases", "Releases", "Releases", "go-releases"),
            Link("/exports", "Exports", "Exports", "go-exports"),
        ),
    ),
    Group(
        "Rules",
        (
            Link("/guidelines", "Guidelines", "Guidelines", "go-guidelines"),
            Link("/templates", "Templates", "Templates"),
        ),
    ),
    Group(
        "Project",
        (
            Link("/project", "Settings", "Project"),
            Link("/members", "Members"),
            Link("/webhooks", "Webhooks"),
            Link("/audit", "Audit"),
            Link("/server", "Server"),
            Link("/retention", "What is kept"),
        ),
        "Project and server",
    ),
    Group("You", (Link("/account", "Account"), Link("/preferences", "Keys", "", "go-preferences")), "You"),
)


def groups_of(person: Person, path: str) -> Sequence[Group]:
    """The groups with the pages that this person may open, and where in them `path` is."""
    return [
        replace(group, pages=tuple(_at(one, group, path) for one in group.pages if may_call(person, f"GET {one.href}")))
        for group in GROUPS
    ]


def _at(link: Link, group: Group, path: str) -> Link:
    if link.has(path):
        return replace(link, current="page")
    is_near = (
        bool(link.bar) and sum(1 for one in group.pages if one.bar) == 1 and any(one.has(path) for one in group.pages)
    )
    return replace(link, current="true") if is_near else link
