"""A project's own prompt templates: each version is written once, and one of them, or the shipped one, is in use.

Going back to an earlier version is an act of its own and stays in the history, so that what a release was made with
can be found for ever.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session, col

from app import decisions, recipes, review
from app.db import lock_project
from app.diffs.unicode import refuse_unstorable
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import CandidateRow, ReviewerRow, Status, TemplateRow, TemplateUseRow, Verdict
from app.recipes import Judged
from app.recipes.prompt import KINDS, PROJECT, SHIPPED, Form, Template, find_shipped, list_shipped, parse, parse_label
from app.recipes.prompt import shipped as shipped_prompts

_LONGEST_COMMENT = 2_000
_LISTED = 100
_LARGEST_NUMBER = 2**31 - 1
# How many candidates are looked at for one that a template can be shown with; each is read whole.
_TRIED = 40
_GLANCED = 500
# Templates for one step of a run: how many attempts there must be.
_ATTEMPTS = {"repair": 1, "polish": 2}
_JUDGED = (Status.ACCEPTED, Status.EDITED)
_VERDICTS = frozenset({Verdict.ACCEPT, Verdict.EDIT, Verdict.REJECT})


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a template as a list shows it, without its text.

    Attributes:
        label: `repair/p3`, or `repair/1` of a shipped one.
        version: its number; shipped ones and the project's own are counted apart.
        origin: `shipped` or `project`.
        digest: SHA-256 hex of the text.
        comment: what its author said of it.
        reviewer: who wrote it, or empty.
        created_at: when, or None where it came with the program.
        in_use: whether recipes fill it.
        may_be_used: whether `use` takes it; of the shipped ones only the newest.
    """

    label: str
    version: int
    origin: str
    digest: str
    comment: str
    reviewer: str
    created_at: datetime | None
    in_use: bool
    may_be_used: bool

    @property
    def key(self) -> str:
        """The label without the name, as an address holds it: `p3`, or `1` of a shipped one."""
        return self.label.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Use:
    """From when on which version was in use: `Use("repair/p2", "alice", noon)`; the shipped one is just `shipped`."""

    label: str
    reviewer: str
    since: datetime


# ------------------------------------------------------------------------------------------------ which there are


def get_form(name: str) -> Form:
    """What a template of this name may hold.

    Raises:
        NotFoundError: no recipe asks for one of this name.

    """
    form = KINDS.get(name)
    if form is None:
        raise NotFoundError(f"There is no template {name[:40]!r}. There are: {', '.join(KINDS)}.")
    return form


def get_prompts(session: Session, project_id: int) -> dict[str, Template]:
    """The templates that this project's recipes fill, by name: the shipped ones overlaid with its own."""
    newest = select(func.max(col(TemplateUseRow.id))).where(col(TemplateUseRow.project_id) == project_id)
    rows = session.execute(
        select(TemplateRow)
        .join(
            TemplateUseRow,
            (col(TemplateUseRow.project_id) == col(TemplateRow.project_id))
            & (col(TemplateUseRow.name) == col(TemplateRow.name))
            & (col(TemplateUseRow.version) == col(TemplateRow.version)),
        )
        .where(col(TemplateUseRow.id).in_(newest.group_by(col(TemplateUseRow.name))))
    ).scalars()
    return {**shipped_prompts(), **{row.name: _template(row) for row in rows if row.name in KINDS}}


def get_in_use(session: Session, project_id: int, name: str) -> Template:
    """The template of this name that recipes fill.

    Raises:
        NotFoundError: no recipe asks for one of this name.

    """
    get_form(name)
    return get_prompts(session, project_id)[name]


def find_version(session: Session, project_id: int, name: str, version: int) -> Template | None:
    """One of the project's own versions, or None."""
    if version > _LARGEST_NUMBER:
        return None
    row = session.execute(
        select(TemplateRow).where(
            col(TemplateRow.project_id) == project_id,
            col(TemplateRow.name) == name,
            col(TemplateRow.version) == version,
        )
    ).scalar()
    return None if row is None else _template(row)


def find_by_label(session: Session, project_id: int, label: str) -> Template | None:
    """The template that lineage names: `"repair/p3"` of the project, `"repair/1"` as it shipped; None where unknown."""
    named = parse_label(label)
    if named is None:
        return None
    name, origin, version = named
    return find_shipped(name, version) if origin == SHIPPED else find_version(session, project_id, name, version)


def get_by_label(session: Session, project_id: int, label: str) -> Template:
    """As `find_by_label`.

    Raises:
        NotFoundError: there is none.

    """
    found = find_by_label(session, project_id, label)
    if found is None:
        raise NotFoundError(f"There is no template {label[:60]!r} in this project.")
    return found


def list_versions(session: Session, project_id: int, name: str) -> list[Version]:
    """Every version of a template: the project's own, the newest first, then the shipped ones.

    Raises:
        NotFoundError: no recipe asks for one of this name.

    """
    used = get_in_use(session, project_id, name).label
    own = session.execute(
        select(  # type: ignore[call-overload]
            TemplateRow.version, TemplateRow.digest, TemplateRow.comment, ReviewerRow.name, TemplateRow.created_at
        )
        .join(ReviewerRow, col(ReviewerRow.id) == col(TemplateRow.reviewer_id))
        .where(col(TemplateRow.project_id) == project_id, col(TemplateRow.name) == name)
        .order_by(col(TemplateRow.version).desc())
        .limit(_LISTED)
    )
    found = []
    for version, digest, comment, reviewer, at in own:
        label = f"{name}/p{version}"
        is_used = label == used
        found.append(Version(label, version, PROJECT, bytes(digest).hex(), comment, reviewer, at, is_used, not is_used))
    for nth, one in enumerate(list_shipped(name)):
        is_used = one.label == used
        may = nth == 0 and not is_used
        found.append(Version(one.label, one.version, SHIPPED, one.digest, "", "", None, is_used, may))
    return found


def list_uses(session: Session, project_id: int, name: str) -> list[Use]:
    """What was in use, the newest first; before the first of them it was the shipped one."""
    rows = session.execute(
        select(TemplateUseRow.version, ReviewerRow.name, TemplateUseRow.created_at)  # type: ignore[call-overload]
        .join(ReviewerRow, col(ReviewerRow.id) == col(TemplateUseRow.reviewer_id))
        .where(col(TemplateUseRow.project_id) == project_id, col(TemplateUseRow.name) == name)
        .order_by(col(TemplateUseRow.id).desc())
        .limit(_LISTED)
    )
    return [Use(SHIPPED if version is None else f"{name}/p{version}", who, at) for version, who, at in rows]


def _template(row: TemplateRow) -> Template:
    return Template(row.name, row.version, PROJECT, row.text)


def as_json(template: Template) -> dict[str, object]:
    """Without its text: `{"name": "repair", "version": 3, "origin": "project", "gaps": ["issue", …], …}`."""
    form = KINDS[template.name]
    return {
        "name": template.name,
        "version": template.version,
        "origin": template.origin,
        "label": template.label,
        "digest": template.digest,
        "title": form.title,
        "gaps": template.gaps,
        "required": form.required,
        "allowed": dict(form.gaps),
        "serves": form.serves,
    }


def version_as_json(one: Version) -> dict[str, object]:
    """`{"label": "repair/p3", "origin": "project", "comment": "", "by": "local", "in_use": true, …}`."""
    return {
        "label": one.label,
        "version": one.version,
        "origin": one.origin,
        "digest": one.digest,
        "comment": one.comment,
        "by": one.reviewer,
        "created_at": one.created_at,
        "in_use": one.in_use,
    }


# ------------------------------------------------------------------------------------------------ changing them


def save(
    session: Session,
    project_id: int,
    reviewer_id: int,
    name: str,
    text: str,
    comment: str = "",
    *,
    now: datetime,
    seen: str | None = None,
) -> Template:
    """Write the project's next version of a template and use it; a text that is in use already changes nothing.

    Args:
        session: a write session.
        project_id: whose template.
        reviewer_id: who wrote it.
        name: which template.
        text: the whole of it.
        comment: what changed and why, or empty.
        now: aware UTC time.
        seen: the label that was in use when the author began; None where that does not matter.

    Returns:
        The template that is in use now.

    Raises:
        NotFoundError: no recipe asks for a template of this name.
        BadInputError: an unknown gap, a missing one, a text too long or that cannot be stored.
        ConflictError: another version was put to use after the author began.

    """
    get_form(name)
    made = parse(name, text)
    _check_comment(comment)
    # Two authors must not both write version 4.
    lock_project(session, project_id)
    used = get_in_use(session, project_id, name)
    if made.text == used.text:
        return used
    _refuse_overtaken(used, seen)
    made = replace(made, version=_newest_version(session, project_id, name) + 1)
    session.add(
        TemplateRow(
            project_id=project_id,
            name=name,
            version=made.version,
            text=made.text,
            digest=bytes.fromhex(made.digest),
            comment=comment.strip(),
            reviewer_id=reviewer_id,
            created_at=now,
        )
    )
    session.flush()
    _put_to_use(session, project_id, reviewer_id, name, made.version, now)
    return made


def _refuse_overtaken(used: Template, seen: str | None) -> None:
    if seen is not None and seen != used.label:
        raise ConflictError(
            f"{used.label} was put to use after you opened {seen[:60]}. Nothing was stored; look at what changed, then "
            "save again."
        )


def use(
    session: Session, project_id: int, reviewer_id: int, name: str, version: int | None, *, now: datetime
) -> Template:
    """Put one of the project's versions to use, or with None the newest shipped one; nothing where it is already.

    Raises:
        NotFoundError: no such template, or the project has no such version of it.

    """
    get_form(name)
    lock_project(session, project_id)
    wanted = shipped_prompts()[name]
    if version is not None:
        wanted = get_by_label(session, project_id, f"{name}/p{version}")
    if get_in_use(session, project_id, name).label != wanted.label:
        _put_to_use(session, project_id, reviewer_id, name, version, now)
    return wanted


def parse_choice(name: str, chosen: str) -> int | None:
    """Which version a person names for `use`: `"repair/p3"` → 3, `"shipped"` or the newest shipped label → None.

    Raises:
        NotFoundError: no recipe asks for a template of this name.
        BadInputError: neither; an older shipped version must be saved as one of the project's own.

    """
    get_form(name)
    newest = shipped_prompts()[name].label
    if chosen in {SHIPPED, newest}:
        return None
    named = parse_label(chosen)
    if named is None or named[0] != name or named[1] != PROJECT:
        raise BadInputError(
            f"{chosen[:60]!r} cannot be put to use. Say {name}/p1 for a version of this project, or {SHIPPED} for "
            f"{newest}; an older shipped text can be saved as a version of the project.",
            where="field version",
        )
    return named[2]


def _put_to_use(
    session: Session, project_id: int, reviewer_id: int, name: str, version: int | None, now: datetime
) -> None:
    session.add(
        TemplateUseRow(project_id=project_id, name=name, version=version, reviewer_id=reviewer_id, created_at=now)
    )
    session.flush()


def _newest_version(session: Session, project_id: int, name: str) -> int:
    wanted = select(func.max(col(TemplateRow.version))).where(
        col(TemplateRow.project_id) == project_id, col(TemplateRow.name) == name
    )
    return session.execute(wanted).scalar() or 0


def _check_comment(comment: str) -> None:
    if len(comment) > _LONGEST_COMMENT:
        raise BadInputError(
            f"The comment has {len(comment):,} characters; {_LONGEST_COMMENT:,} is the most.", where="field comment"
        )
    refuse_unstorable("comment", comment)


# ------------------------------------------------------------------------------------------------ looking at them


def preview(
    session: Session, project_id: int, template: Template, candidate_id: int | None = None
) -> list[tuple[str, str]]:
    r"""A template filled with a candidate: `[("Repair of attempt 2", "Repair a LibCST…\n")]`.

    A candidate that nobody has accepted is taken as if it were. Empty where nothing of it goes into this template.

    Args:
        session: a session.
        project_id: whose candidates.
        template: any text, saved or not.
        candidate_id: the candidate; None takes the first that `find_example` names, if there is one.

    Raises:
        NotFoundError: no such candidate.
        BadInputError: it holds a value that no prompt can say.

    """
    chosen = candidate_id if candidate_id is not None else find_example(session, project_id, template.name)
    if chosen is None:
        return []
    judged = _judged(session, project_id, chosen)
    return [(title, template.fill(values)) for title, values in _fillings(judged, template.name)]


def find_example(session: Session, project_id: int, name: str, after: int = 0) -> int | None:
    """The next accepted or edited candidate that fills what is required, or None; after the last the first again.

    Where nothing is accepted yet, one that waits will do. Looks at a few hundred candidates, not at all of them.
    """
    required = get_form(name).required
    for statuses in (_JUDGED, (Status.PENDING,)):
        for candidate_id in _likely(session, project_id, name, statuses, min(after, _LARGEST_NUMBER)):
            fillings = _fillings(_judged(session, project_id, candidate_id), name)
            if any(all(values.get(gap, "").strip() for gap in required) for _, values in fillings):
                return candidate_id
    return None


def _likely(session: Session, project_id: int, name: str, statuses: tuple[Status, ...], after: int) -> Iterator[int]:
    """Candidates that may go into a template, by the narrow columns alone: those after `after`, then the others."""
    least = _ATTEMPTS.get(name, 0)
    kinds = _role(name).kinds
    passed = col(CandidateRow.id) > after
    for side in (passed, ~passed):
        rows = [
            row
            for status in statuses
            for row in session.execute(
                select(CandidateRow.id, CandidateRow.kind, CandidateRow.n_attempts)  # type: ignore[call-overload]
                .where(col(CandidateRow.project_id) == project_id, col(CandidateRow.status) == status, side)
                .order_by(col(CandidateRow.id))
                .limit(_GLANCED)
            )
        ]
        found = sorted(number for number, kind, n_attempts in rows if kind in kinds and n_attempts >= least)
        yield from found[:_TRIED]


def _role(name: str) -> recipes.Role:
    return recipes.ROLES[get_form(name).serves[0].partition("/")[0]]


def _fillings(judged: Judged, name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """What goes into the gaps of the template of this name, with a title."""
    role = _role(name)
    if role.gaps is not None and judged.candidate.kind in role.kinds:
        yield from ((title, values) for title, wanted, values in role.gaps(judged) if wanted == name)


def _judged(session: Session, project_id: int, candidate_id: int) -> Judged:
    """A candidate as a recipe sees it, without what stands beside it: no prompt shows that."""
    if candidate_id > _LARGEST_NUMBER:
        raise NotFoundError(f"There is no candidate {candidate_id} here.")
    opened = review.open_candidate(session, project_id, candidate_id)
    standing = decisions.find_standing((one for one, _, _ in opened.history), opened.row.judged_from)
    edit = next((edit for one, _, edit in opened.history if one is standing), None)
    verdict = standing.verdict if standing is not None and standing.verdict in _VERDICTS else Verdict.ACCEPT
    return Judged(
        opened.said,
        candidate_id,
        bytes(opened.row.digest).hex(),
        str(verdict),
        revision=None if edit is None else (edit.field, edit.text),
    )
