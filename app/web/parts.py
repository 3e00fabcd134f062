"""What a candidate was put together from, on the review page: its parts and why each is there, and its patch set."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlmodel import Session
from starlette.responses import Response

from app import drawing, evidence, queue, review
from app.candidates import Candidate, PatchSet, PostImage
from app.diffs.apply import Image, reverse
from app.diffs.parse import DiffDoc, parse
from app.diffs.render import render_text
from app.errors import BadInputError, NotFoundError
from app.evidence import Part
from app.formats import SUCCESS
from app.web.deps import Db, Me, Now, Project
from app.web.forms import Form
from app.web.ladder import address
from app.web.queue import link_query, wanted_of
from app.web.render import is_partial, page, see_other, url

router = APIRouter()

CHANGELOG = "CHANGELOG_PATCH.md"
_OWN = {SUCCESS: "success entry", "patch_history": "run", "patch_set": "patch set", "capture": "captured run"}
_FIELDS = {
    "issue_id": "issue id", "target_files": "target files", "patch_source": "patch source", "logged_at": "time",
    "predicted_core": "predicted core", "run": "attempts", "patch_set": "patched files",
    "acceptance": "acceptance tests",
}  # fmt: skip
_SIDES = ("after", "before")


@dataclass(frozen=True)
class PatchedFile:
    """One file of a patch set.

    Attributes:
        number: from 1; the changelog's is 0.
        path: below the project.
        n_lines: of the file, or None where it is no text.
        before: whether the diff fits the file, so that the file before the change is known; a sentence.
        has_before: whether it is.
        side: which side of it is shown: `after`, `before`, or empty.
        text: that side, drawn.
    """

    number: int
    path: str
    n_lines: int | None
    before: str
    has_before: bool
    side: str
    text: Markup


@dataclass(frozen=True)
class SetView:
    """A patch set: what the agent said of it, and its files; `page` and `query` are for links."""

    page: str
    query: dict[str, str]
    patch_set: PatchSet
    files: list[PatchedFile]


@dataclass(frozen=True)
class PatchSetView:
    """What the block `patch_set` of `review.html` may read."""

    patched: SetView


@dataclass(frozen=True)
class PartRow:
    """One part: what it gives that nothing else says, and the key that makes its form, sent twice, one decision."""

    part: Part
    gives: list[str]
    key: str


@dataclass(frozen=True)
class PartsView:
    """What a candidate was put together from.

    Attributes:
        page: the candidate's address without a query; `query` is the filter, for links.
        own: what the entry that stands for the whole is: `success entry`.
        name: the file that it stands in; `place` where: `line 12`, or empty.
        rows: the parts.
        version: the candidate's.
        key: of the form that joins another candidate.
    """

    page: str
    query: dict[str, str]
    own: str
    name: str
    place: str
    rows: list[PartRow]
    version: int
    key: str


# ------------------------------------------------------------------------------------------------ routes


@router.get("/candidates/{candidate_id}/patch-set")
def patch_set(request: Request, session: Db, project: Project, candidate_id: int) -> Response:
    """The patch set with one of its files open."""
    query = link_query(wanted_of(request))
    asked = {name: request.query_params.get(name, "") for name in ("image", "side")}
    if not is_partial(request):
        return see_other(url(f"/candidates/{candidate_id}", **asked, **query) + "#patch-set")
    said = review.open_candidate(session, project, candidate_id).said
    found = build_set(candidate_id, said, query, asked)
    if found is None:
        raise NotFoundError(f"The log holds no patch set of candidate {candidate_id}.")
    headers = {"HX-Replace-Url": address(request, candidate_id, query, **asked)}
    return page(request, "review.html", PatchSetView(found), fragment="patch_set", headers=headers)


@router.post("/candidates/{candidate_id}/join")
def join(
    request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int
) -> Response:
    """Say that another candidate speaks of the same change."""
    sent = fields.allow({"other", "version", "key"})
    outcome = review.join(
        session,
        project,
        me,
        candidate_id,
        queue.whole_number("other", sent.one("other").strip().removeprefix("#")),
        version=queue.whole_number("version", sent.one("version")),
        key=sent.one("key"),
        now=now,
    )
    return _back(request, session, outcome)


@router.post("/candidates/{candidate_id}/split")
def split(
    request: Request, fields: Form, session: Db, project: Project, me: Me, now: Now, candidate_id: int
) -> Response:
    """Say that a part speaks of another change."""
    sent = fields.allow({"part", "version", "key"})
    outcome = review.split(
        session,
        project,
        me,
        candidate_id,
        queue.whole_number("part", sent.one("part")),
        version=queue.whole_number("version", sent.one("version")),
        key=sent.one("key"),
        now=now,
    )
    return _back(request, session, outcome)


def _back(request: Request, session: Session, outcome: review.Outcome) -> Response:
    """The candidate again, or what it stands under now."""
    number = evidence.find_lead(session, outcome.candidate) or outcome.candidate.id
    return see_other(url(f"/candidates/{number}", **link_query(wanted_of(request))) + "#parts")


# ------------------------------------------------------------------------------------------------ view


def build_parts(opened: review.Opened, query: dict[str, str]) -> PartsView:
    """The parts of a candidate, and why each is there."""
    return PartsView(
        page=f"/candidates/{opened.row.id}",
        query=query,
        own=_OWN.get(opened.entry.format, opened.entry.format),
        name=opened.source_name,
        place=f"line {opened.entry.line:,}" if opened.entry.line > 1 or opened.entry.format == SUCCESS else "",
        rows=[PartRow(part, _given_by(part, opened.said), uuid.uuid4().hex) for part in opened.parts],
        version=opened.row.version,
        key=uuid.uuid4().hex,
    )


def _given_by(part: Part, said: Candidate) -> list[str]:
    """What the whole has from this part alone: `["script", "attempts"]`."""
    origin = f"{part.form} {part.name}"
    return [_FIELDS.get(field, field) for field, found in said.found_in.items() if found == origin]


def build_set(candidate_id: int, said: Candidate, query: dict[str, str], asked: Mapping[str, str]) -> SetView | None:
    """The patch set of a candidate, or None where none is known.

    Args:
        candidate_id: for links.
        said: the candidate as logged: an edit changed no file.
        query: the filter, for links.
        asked: `image`, the number of the file that is open (0 is the changelog), and `side`, `after` or `before`.

    Raises:
        BadInputError: there is no such file or side.

    """
    if said.patch_set is None:
        return None
    number, side = _asked(asked, said.patch_set)
    doc = parse(said.diff, snippet=said.diff_is_snippet) if said.diff else None
    files = [_file(n, image, doc, side if n == number else "") for n, image in enumerate(said.patch_set.files, 1)]
    if said.patch_set.changelog is not None:
        files.append(_changelog(said.patch_set.changelog, is_open=number == 0))
    return SetView(f"/candidates/{candidate_id}", query, said.patch_set, files)


def _asked(asked: Mapping[str, str], known: PatchSet) -> tuple[int | None, str]:
    side = asked.get("side") or "after"
    if side not in _SIDES:
        raise BadInputError(f"side must be one of {', '.join(_SIDES)}; it is {side[:40]!r}.", where="field side")
    if not asked.get("image"):
        return None, side
    number = queue.whole_number("image", asked["image"])
    if number > len(known.files):
        raise BadInputError(f"This patch set has no file {number}.", where="field image")
    return number, side


def _file(number: int, image: PostImage, doc: DiffDoc | None, side: str) -> PatchedFile:
    before = _before(image, doc)
    text = (before.text if side == "before" else image.text) if side else None
    return PatchedFile(
        number=number,
        path=image.path,
        n_lines=None if image.text is None else _n_lines(image.text),
        before=_said_of(before),
        has_before=bool(before.text),
        side=side if text is not None else "",
        text=_drawn(text, image.path) if text is not None else Markup(),
    )


def _before(image: PostImage, doc: DiffDoc | None) -> Image:
    if image.text is None:
        return Image(None, "The file is not UTF-8.")
    if doc is None:
        return Image(None, "The log holds no diff.")
    return reverse(doc, image.text, image.path)


def _said_of(before: Image) -> str:
    if before.text is None:
        return f"No pre-image: {before.why}"
    if not before.text:
        return "The diff fits the file and made all of it: nothing was there before."
    return f"Pre-image rebuilt: the diff fits the file. {before.why}".rstrip()


def _changelog(text: str, *, is_open: bool) -> PatchedFile:
    drawn = render_text(text) if is_open else Markup()
    return PatchedFile(0, CHANGELOG, _n_lines(text), "", has_before=False, side="after" if is_open else "", text=drawn)


def _drawn(text: str, path: str) -> Markup:
    if path.endswith((".py", ".pyi")):
        return drawing.script(text, anchor="file-line-")
    return drawing.script(text, language="text", anchor="file-line-")


def _n_lines(text: str) -> int:
    return text.removesuffix("\n").count("\n") + 1 if text else 0
