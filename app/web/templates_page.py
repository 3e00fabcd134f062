"""Prompt templates: which are in use, an editor that shows them filled with a real candidate, and their history."""

from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict
from sqlmodel import Session
from starlette.responses import Response

from app import drawing, prompting, sources
from app.diffs.edit import diff_texts
from app.diffs.render import render_text
from app.errors import AppError, BadInputError, ConflictError
from app.prompting import Use, Version
from app.queue import whole_number
from app.recipes.prompt import KINDS, Form, Template, parse
from app.web.api import JsonObject, read_as, takes
from app.web.deps import AppDb, Db, Me, Now, Project
from app.web.forms import Fields
from app.web.forms import Form as Sent
from app.web.render import as_json, page, see_other, url

router = APIRouter()

_FIELDS = ("text", "comment", "seen", "candidate", "step")
# A run may have failed very often; each filled prompt holds a whole script.
_MOST_SHOWN = 5
_LONGEST_SHOWN = 50_000
_SAID = {
    "0": "Nothing was changed: this is what is in use.",
    "1": "Saved, and in use from now on.",
    "2": "In use from now on.",
}


# ------------------------------------------------------------------------------------------------ what pages may read


@dataclass(frozen=True)
class Listed:
    """One template in the list."""

    template: Template
    title: str
    serves: str
    since: Use | None


@dataclass(frozen=True)
class TemplatesView:
    """What `templates.html` may read."""

    n_quarantined: int
    rows: list[Listed]


@dataclass(frozen=True)
class Gap:
    """One gap that a template may have: what fills it, and how often the text has it."""

    name: str
    says: str
    is_required: bool
    n: int


@dataclass(frozen=True)
class Filled:
    """A prompt as a recipe would make it, drawn; `n_hidden` characters of a very long one are left out."""

    title: str
    text: Markup
    n_characters: int
    n_hidden: int


@dataclass(frozen=True)
class FilledView:
    """What the block `filled` of `template.html` may read.

    Attributes:
        fault: why the text cannot be saved, or the candidate not be shown; empty where both can.
        gaps: every gap that the template may have.
        base: the version that the text is compared with, or None where there is none.
        changes: what is different from it, drawn; None where nothing is.
        shown: number of the candidate that fills the template, or None.
        prompts: the template filled with it.
        n_more: how many more prompts this candidate gives.
    """

    fault: str
    gaps: list[Gap]
    base: Template | None
    changes: Markup | None
    shown: int | None
    prompts: list[Filled]
    n_more: int


@dataclass(frozen=True)
class TemplateView(FilledView):
    """What `template.html` may read.

    Attributes:
        name: of the template.
        form: what it may hold.
        in_use: the version that recipes fill.
        loaded: the version whose text the editor began with.
        typed: the form as it was sent, or as the page begins.
        said: what a button just did, or empty.
        versions: of this template, the newest first.
        uses: which was in use since when, the newest first.
    """

    n_quarantined: int
    name: str
    form: Form
    in_use: Template
    loaded: Template
    typed: dict[str, str]
    said: str
    versions: list[Version]
    uses: list[Use]


# ------------------------------------------------------------------------------------------------ pages


@router.get("/templates")
def list_templates(request: Request, session: Db, project: Project) -> Response:
    """Every template, which version of it is in use, and what it is for."""
    prompts = prompting.get_prompts(session, project)
    rows = [
        Listed(prompts[name], form.title, _serves(form), next(iter(prompting.list_uses(session, project, name)), None))
        for name, form in KINDS.items()
    ]
    return page(request, "templates.html", TemplatesView(sources.count_quarantine(session, project), rows))


@router.get("/templates/{name}")
def show_template(request: Request, session: Db, project: Project, name: str) -> Response:
    """One version of a template in the editor, compared with another, and filled with a candidate."""
    asked = request.query_params
    used = prompting.get_in_use(session, project, name)
    loaded = _version(session, project, name, asked.get("version", "")) or used
    base = _version(session, project, name, asked.get("against", ""))
    if base is None:
        base = _earlier(session, project, used) if loaded.label == used.label else used
    typed = {
        "text": loaded.text, "comment": "", "seen": used.label, "candidate": asked.get("candidate", ""), "step": "",
    }  # fmt: skip
    said = _SAID.get(asked.get("done", ""), "")
    return _template_page(request, session, project, used, loaded, base, typed, said=said)


@router.post("/templates/{name}")
def save(request: Request, fields: Sent, session: Db, project: Project, me: Me, now: Now, name: str) -> Response:
    """Write a version and use it; what cannot be saved stays in the editor."""
    typed = _typed(fields)
    used = prompting.get_in_use(session, project, name)
    try:
        made = prompting.save(
            session, project, me, name, typed["text"], typed["comment"], now=now, seen=typed["seen"] or None
        )
    except (BadInputError, ConflictError) as error:
        # Whoever has read what came between may save over it.
        kept = typed | ({"seen": used.label} if isinstance(error, ConflictError) else {})
        return _template_page(request, session, project, used, used, used, kept, error)
    done = "0" if made.label == used.label else "1"
    return see_other(url(f"/templates/{name}", candidate=typed["candidate"], done=done))


@router.post("/templates/{name}/preview")
def preview(request: Request, fields: Sent, db: AppDb, project: Project, name: str) -> Response:
    """The text as it is typed: what it lacks, what it changes, and what a candidate makes of it; nothing is stored."""
    typed = _typed(fields)
    with db.read() as session:
        used = prompting.get_in_use(session, project, name)
        return _template_page(request, session, project, used, used, used, typed)


@router.post("/templates/{name}/use")
def use(fields: Sent, session: Db, project: Project, me: Me, now: Now, name: str) -> Response:
    """Go back to an earlier version, or to the shipped one."""
    chosen = fields.allow(("version",)).one("version")
    prompting.use(session, project, me, name, prompting.parse_choice(name, chosen), now=now)
    return see_other(url(f"/templates/{name}", done="2"))


def _serves(form: Form) -> str:
    """`"llm/repair: sft, preference, unpaired, reward"`."""
    return form.serves[0].rpartition("/")[0] + ": " + ", ".join(one.rpartition("/")[2] for one in form.serves)


def _typed(fields: Fields) -> dict[str, str]:
    sent = fields.allow(_FIELDS)
    return {field: sent.one(field) for field in _FIELDS}


def _version(session: Session, project: int, name: str, key: str) -> Template | None:
    return prompting.get_by_label(session, project, f"{name}/{key}") if key else None


def _earlier(session: Session, project: int, template: Template) -> Template | None:
    """The version before this one; before the project's first stands the newest that shipped."""
    labels = [one.label for one in prompting.list_versions(session, project, template.name)]
    later = labels[labels.index(template.label) + 1 :] if template.label in labels else []
    return prompting.find_by_label(session, project, later[0]) if later else None


def _template_page(
    request: Request,
    session: Session,
    project: int,
    used: Template,
    loaded: Template,
    base: Template | None,
    typed: dict[str, str],
    error: AppError | None = None,
    *,
    said: str = "",
) -> Response:
    filled, typed, error = _filled(session, project, used.name, base, typed, error)
    view = TemplateView(
        **vars(filled),
        n_quarantined=sources.count_quarantine(session, project),
        name=used.name,
        form=KINDS[used.name],
        in_use=used,
        loaded=loaded,
        typed=typed,
        said=said,
        versions=prompting.list_versions(session, project, used.name),
        uses=prompting.list_uses(session, project, used.name),
    )
    if error is None:
        return page(request, "template.html", view, fragment="filled")
    # app.js takes an answer above 399 only where it says where it goes.
    told = {"HX-Retarget": "#filled"}
    return page(request, "template.html", view, fragment="filled", status=error.status, headers=told)


def _filled(
    session: Session, project: int, name: str, base: Template | None, typed: dict[str, str], error: AppError | None
) -> tuple[FilledView, dict[str, str], AppError | None]:
    """What the text gives; the form with the candidate that was found; and the first thing that is wrong."""
    text = typed["text"].replace("\r\n", "\n")
    view = FilledView("", _gaps(name, text), base, None, None, [], 0)
    try:
        made = parse(name, text)
        view = replace(view, changes=_changes(base, made))
        shown = _candidate(session, project, name, typed)
        found = [] if shown is None else prompting.preview(session, project, made, shown)
        prompts = [_draw(title, prompt) for title, prompt in found[:_MOST_SHOWN]]
        view = replace(view, shown=shown, prompts=prompts, n_more=len(found) - len(prompts))
        typed = typed | {"candidate": typed["candidate"] if shown is None else str(shown)}
    except AppError as refusal:
        error = error or refusal
    return replace(view, fault="" if error is None else error.message), typed, error


def _candidate(session: Session, project: int, name: str, typed: dict[str, str]) -> int | None:
    asked = typed["candidate"].strip()
    number = whole_number("candidate", asked) if asked else 0
    if number and not typed["step"]:
        return number
    return prompting.find_example(session, project, name, number)


def _gaps(name: str, text: str) -> list[Gap]:
    form = KINDS[name]
    return [Gap(gap, says, gap in form.required, text.count(f"{{{gap}}}")) for gap, says in form.gaps.items()]


def _changes(base: Template | None, made: Template) -> Markup | None:
    if base is None or base.text == made.text:
        return None
    return drawing.diff(diff_texts(base.text, made.text, f"{made.name}.txt"))


def _draw(title: str, prompt: str) -> Filled:
    cut = prompt[:_LONGEST_SHOWN]
    return Filled(title, render_text(cut), len(prompt), len(prompt) - len(cut))


# ------------------------------------------------------------------------------------------------ JSON


class TemplateIn(BaseModel):
    """A new text, or a version to go back to: exactly one of `text` and `use`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = None
    comment: str = ""
    seen: str | None = None
    use: str | None = None


@router.get("/api/v1/templates")
def get_templates(session: Db, project: Project) -> Response:
    """Every template that is in use, without its text."""
    prompts = prompting.get_prompts(session, project)
    return as_json({"templates": [prompting.as_json(prompts[name]) for name in KINDS]})


@router.get("/api/v1/templates/{name}")
def get_template(session: Db, project: Project, name: str, version: str = "") -> Response:
    """One template with its text and its history; `version` is `p3` of the project or `1` as it shipped."""
    found = _version(session, project, name, version) or prompting.get_in_use(session, project, name)
    listed = prompting.list_versions(session, project, name)
    return as_json(
        prompting.as_json(found) | {"text": found.text, "versions": [prompting.version_as_json(one) for one in listed]}
    )


@router.post("/api/v1/templates/{name}", openapi_extra=takes(TemplateIn))
def post_template(body: JsonObject, session: Db, project: Project, me: Me, now: Now, name: str) -> Response:
    """Write a version and use it, or go back to an earlier one; answers what is in use now."""
    given = read_as(TemplateIn, body)
    if (given.text is None) == (given.use is None):
        raise BadInputError("Send either text, a new version, or use, the label of an earlier one.", where="body")
    if given.text is not None:
        made = prompting.save(session, project, me, name, given.text, given.comment, now=now, seen=given.seen)
    else:
        made = prompting.use(session, project, me, name, prompting.parse_choice(name, given.use or ""), now=now)
    return as_json(prompting.as_json(made) | {"text": made.text})
