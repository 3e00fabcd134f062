"""What a project asks of its reviewers: the guideline, a Markdown text, and the reasons for a reject, with versions.

Text and reasons share one row of versions, so that one number, noted with every decision, says both. Nothing is ever
changed or removed: a reason that is not wanted any more is retired, and keeps its code for what was decided with it.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session, col

from app.db import LARGEST_ID, lock_chain
from app.diffs.unicode import refuse_unstorable
from app.errors import BadInputError, ConflictError, NotFoundError
from app.models import GuidelineRow, ReviewerRow, metadata

MOST_CHARACTERS = 50_000
MOST_REASONS = 60
LONGEST_LABEL, LONGEST_CODE, LONGEST_COMMENT = 60, 40, 2_000
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DIGITS = range(1, 10)
_LISTED = 200


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a patch is rejected or flagged: `Reason("wrong_fix", "Wrong fix", 1)`.

    Attributes:
        code: what decisions, filters and addresses hold; it never changes.
        label: what people read.
        digit: the key 1 to 9 that ticks it, or None.
        is_retired: it is not offered any more; what was decided with it keeps it.
    """

    code: str
    label: str
    digit: int | None = None
    is_retired: bool = False


FIRST_REASONS = (
    Reason("wrong_fix", "Wrong fix", 1),
    Reason("incomplete", "Incomplete", 2),
    Reason("style", "Style", 3),
    Reason("unsafe", "Unsafe", 4),
    Reason("duplicate", "Duplicate", 5),
    Reason("unrelated", "Changes what it should not", 6),
    Reason("bad_script", "Bad script", 7),
    Reason("unclear", "Issue is unclear", 8),
    Reason("other", "Other", 9),
)
"""What the first version of every project holds. Decisions point here, so this never changes."""


@dataclass(frozen=True, slots=True)
class Guideline:
    """One version of what a project asks of its reviewers.

    Attributes:
        version: from 1.
        text: Markdown; empty where nobody has written one.
        reasons: in the order in which they are shown, retired ones among them.
    """

    version: int
    text: str
    reasons: tuple[Reason, ...]

    @property
    def active(self) -> list[Reason]:
        """The reasons that are offered."""
        return [one for one in self.reasons if not one.is_retired]

    @property
    def labels(self) -> dict[str, str]:
        """Code → label, retired ones too: `{"wrong_fix": "Wrong fix", …}`."""
        return {one.code: one.label for one in self.reasons}

    def as_json(self) -> dict[str, object]:
        """`{"version": 3, "text": "…", "reasons": [{"code", "label", "digit", "is_retired"}, …]}`."""
        return {"version": self.version, "text": self.text, "reasons": [asdict(one) for one in self.reasons]}


FIRST = Guideline(1, "", FIRST_REASONS)


@dataclass(frozen=True, slots=True)
class Version:
    """A version as the history lists it.

    Attributes:
        version: its number.
        changed: what was changed in it: `text`, `reasons`, or both; nothing in the first.
        comment: why.
        reviewer: who wrote it, or empty of the first, which came with the program.
        created_at: when, or None of the first.
    """

    version: int
    changed: tuple[str, ...]
    comment: str
    reviewer: str
    created_at: datetime | None

    def as_json(self) -> dict[str, object]:
        """`{"version": 3, "changed": ["text"], "comment": "…", "by": "alice", "created_at": …}`."""
        return {
            "version": self.version,
            "changed": list(self.changed),
            "comment": self.comment,
            "by": self.reviewer,
            "created_at": self.created_at,
        }


_guideline = metadata.tables["guideline"]
# Every decision asks for it.
_STANDING = (
    select(_guideline.c.version, _guideline.c.reasons)
    .where(_guideline.c.project_id == bindparam("project"))
    .order_by(_guideline.c.version.desc())
    .limit(1)
)


# ------------------------------------------------------------------------------------------------ which there are


def get_guideline(session: Session, project_id: int, version: int | None = None) -> Guideline:
    """A version of the project's guideline; without a number the one that stands.

    Raises:
        NotFoundError: there is no such version.

    """
    if version == FIRST.version:
        return FIRST
    wanted = select(GuidelineRow).where(col(GuidelineRow.project_id) == project_id)
    if version is not None:
        wanted = wanted.where(col(GuidelineRow.version) == min(version, LARGEST_ID))
    row = session.execute(wanted.order_by(col(GuidelineRow.version).desc()).limit(1)).scalar()
    if row is not None:
        return Guideline(row.version, row.text, read_reasons(row.reasons))
    if version is None:
        return FIRST
    raise NotFoundError(f"The guideline of this project has no version {version}.")


def list_versions(session: Session, project_id: int) -> list[Version]:
    """The versions of the guideline, the newest first; of very many the newest 200."""
    rows = session.execute(
        select(GuidelineRow, ReviewerRow.name)  # type: ignore[call-overload]
        .join(ReviewerRow, col(ReviewerRow.id) == col(GuidelineRow.reviewer_id))
        .where(col(GuidelineRow.project_id) == project_id)
        .order_by(col(GuidelineRow.version).desc())
        .limit(_LISTED + 1)
    ).all()
    found: list[Version] = []
    for n, (row, name) in enumerate(rows[:_LISTED]):
        earlier = rows[n + 1][0] if n + 1 < len(rows) else None
        text, reasons = (
            (FIRST.text, FIRST_REASONS) if earlier is None else (earlier.text, read_reasons(earlier.reasons))
        )
        changes = {"text": row.text != text, "reasons": read_reasons(row.reasons) != reasons}
        changed = tuple(named for named, is_other in changes.items() if is_other)
        found.append(Version(row.version, changed, row.comment, name, row.created_at))
    if len(rows) <= _LISTED:
        found.append(Version(FIRST.version, (), "", "", None))
    return found


def labels_of(session: Session, project_id: int, versions: Collection[int | None]) -> dict[int | None, dict[str, str]]:
    """What the reasons were called in these versions; None is the first: `{None: {"style": "Style", …}}`."""
    wanted = {one for one in versions if one is not None}
    found: dict[int | None, dict[str, str]] = {None: FIRST.labels, FIRST.version: FIRST.labels}
    if wanted - found.keys():
        rows = session.execute(
            select(_guideline.c.version, _guideline.c.reasons).where(
                _guideline.c.project_id == project_id, _guideline.c.version.in_(wanted)
            )
        )
        found |= {version: {one.code: one.label for one in read_reasons(kept)} for version, kept in rows}
    return found


def get_labels(session: Session, project_id: int) -> dict[str, str]:
    """What every reason that the project ever had is called today, by code."""
    row = session.connection().execute(_STANDING, {"project": project_id}).first()
    return FIRST.labels if row is None else {one.code: one.label for one in read_reasons(row[1])}


def check_reasons(session: Session, project_id: int, codes: Sequence[str], shown: int | None = None) -> int | None:
    """Refuse reasons that were not offered.

    Args:
        session: to read from.
        project_id: whose reasons.
        codes: what was given.
        shown: the version that was read; None for the one that stands.

    Returns:
        The version of the guideline that was read; None while there is only the first.

    Raises:
        BadInputError: an unknown reason, or a retired one; or there is no such version.

    """
    stands = session.connection().execute(_STANDING, {"project": project_id}).first()
    read = None if stands is None else (int(stands[0]), stands[1])
    if shown is not None and shown != (FIRST.version if read is None else read[0]):
        read = _read_before(session, project_id, shown)
    if read is None and not codes:
        return None
    version, reasons = (None, FIRST_REASONS) if read is None else (read[0], read_reasons(read[1]))
    known = {one.code: one for one in reasons}
    offered = ", ".join(one.code for one in reasons if not one.is_retired) or "none"
    for code in codes:
        if code not in known:
            raise BadInputError(f"No reason is called {code[:40]!r}; there are {offered}.", where="field reasons")
        if known[code].is_retired:
            raise BadInputError(
                f"The reason {known[code].label} ({code}) is retired; there are {offered}.", where="field reasons"
            )
    return version


def _read_before(session: Session, project_id: int, shown: int) -> tuple[int, Sequence[Mapping[str, object]]] | None:
    """Number and reasons of a version that stands no more; None for the first."""
    if shown == FIRST.version:
        return None
    try:
        found = get_guideline(session, project_id, shown)
    except NotFoundError as error:
        raise BadInputError(error.message, where="field guideline") from None
    return found.version, [asdict(one) for one in found.reasons]


def get_standing(session: Session, project_id: int) -> int:
    """The number of the version that stands."""
    row = session.connection().execute(_STANDING, {"project": project_id}).first()
    return FIRST.version if row is None else int(row[0])


def read_reasons(kept: Iterable[Mapping[str, object]]) -> tuple[Reason, ...]:
    """Reasons as a row keeps them."""
    return tuple(Reason(**one) for one in kept)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ changing it


def save(
    session: Session,
    project_id: int,
    reviewer_id: int,
    *,
    text: str | None = None,
    reasons: Sequence[Reason] | None = None,
    comment: str = "",
    seen: int | None = None,
    now: datetime,
) -> Guideline:
    """Write the project's next version; what is not given stays, and what is the same already makes none.

    Args:
        session: a write session.
        project_id: whose guideline.
        reviewer_id: who writes it.
        text: the whole of it, Markdown; None to leave it.
        reasons: all of them in their order, retired ones too; None to leave them.
        comment: why.
        seen: the version that was on the screen; None where nobody looked.
        now: aware UTC.

    Returns:
        The version that stands now.

    Raises:
        BadInputError: the text is too long or cannot be stored, or a reason is missing, doubled or misshapen.
        ConflictError: somebody else wrote a version since `seen`.

    """
    # Two who save at once stand in line: the second is told of the first.
    lock_chain(session)
    before = get_guideline(session, project_id)
    if seen is not None and seen != before.version:
        raise ConflictError(
            f"The guideline is at version {before.version} now; you began with version {seen}. Nothing was stored. "
            "Compare yours with what came between, then save again."
        )
    made = Guideline(
        before.version + 1,
        before.text if text is None else check_text(text),
        before.reasons if reasons is None else check_list(reasons, before.reasons),
    )
    if (made.text, made.reasons) == (before.text, before.reasons):
        return before
    _append(session, project_id, reviewer_id, made, comment, now)
    return made


def _append(session: Session, project_id: int, reviewer_id: int, made: Guideline, comment: str, now: datetime) -> None:
    if len(comment) > LONGEST_COMMENT:
        raise BadInputError(f"A comment has at most {LONGEST_COMMENT:,} characters.", where="field comment")
    refuse_unstorable("comment", comment)
    row = GuidelineRow(
        project_id=project_id,
        version=made.version,
        text=made.text,
        reasons=[asdict(one) for one in made.reasons],
        comment=comment.strip(),
        reviewer_id=reviewer_id,
        created_at=now,
    )
    session.add(row)
    session.flush()


def check_text(text: str) -> str:
    r"""A guideline as it is kept: with `\n` between the lines.

    Raises:
        BadInputError: it is too long, or holds what cannot be stored.

    """
    text = text.replace("\r\n", "\n")
    if len(text) > MOST_CHARACTERS:
        raise BadInputError(
            f"A guideline has at most {MOST_CHARACTERS:,} characters; this has {len(text):,}.", where="field text"
        )
    refuse_unstorable("text", text)
    return text


def check_list(reasons: Sequence[Reason], before: Sequence[Reason]) -> tuple[Reason, ...]:
    """A list of reasons that may follow another one.

    Raises:
        BadInputError: a code or a label that cannot be, two of one code or one digit, or a code of before is missing.

    """
    if len(reasons) > MOST_REASONS:
        raise BadInputError(f"A project has at most {MOST_REASONS} reasons, retired ones too.", where="field reasons")
    found: dict[str, Reason] = {}
    digits: dict[int, str] = {}
    for one in reasons:
        _check_reason(one)
        if one.code in found:
            raise BadInputError(f"The code {one.code} stands twice in the list.", where="field reasons")
        if one.digit is not None and one.digit in digits:
            raise BadInputError(
                f"The digit {one.digit} ticks {digits[one.digit]} and {one.label}: change one of them.",
                where="field reasons",
            )
        if one.digit is not None:
            digits[one.digit] = one.label
        found[one.code] = one
    missing = [one for one in before if one.code not in found]
    if missing:
        raise BadInputError(
            f"The reason {missing[0].code} is missing: decisions may name it. Retire it instead.",
            where="field reasons",
        )
    return tuple(found.values())


def _check_reason(one: Reason) -> None:
    if not _CODE.fullmatch(one.code):
        raise BadInputError(
            f"A code is 1 to {LONGEST_CODE} small letters, digits and underscores, a letter first; it is "
            f"{one.code[: LONGEST_CODE + 1]!r}.",
            where="field code",
        )
    if not 0 < len(one.label) <= LONGEST_LABEL or not one.label.isprintable() or one.label != one.label.strip():
        raise BadInputError(
            f"The label of {one.code} is 1 to {LONGEST_LABEL} characters that can be seen.", where="field label"
        )
    if one.digit is not None and one.digit not in _DIGITS:
        raise BadInputError(f"The digit of {one.code} is 1 to 9, or none; it is {one.digit}.", where="field digit")
    if one.digit is not None and one.is_retired:
        raise BadInputError(f"{one.code} is retired, so no digit ticks it.", where="field digit")


def parse_reasons(given: object) -> list[Reason]:
    """Reasons as a file or the API gives them: `[{"code": "style", "label": "Style", "digit": 3}, …]`.

    Raises:
        BadInputError: it is no such list.

    """
    if isinstance(given, Mapping) and "reasons" in given:
        given = given["reasons"]
    if not isinstance(given, list):
        raise BadInputError("Reasons are a list of objects with code, label, digit and is_retired.", where="reasons")
    return [_parse_reason(one, n) for n, one in enumerate(given)]


def _parse_reason(given: object, n: int) -> Reason:
    where = f"reasons.{n}"
    if not isinstance(given, Mapping) or not given.keys() <= {"code", "label", "digit", "is_retired"}:
        raise BadInputError("A reason has code, label, digit and is_retired, and nothing else.", where=where)
    code, label = given.get("code"), given.get("label")
    digit, is_retired = given.get("digit"), given.get("is_retired", False)
    if not isinstance(code, str) or not isinstance(label, str) or not isinstance(is_retired, bool):
        raise BadInputError("A reason has a text as code and as label; is_retired is true or false.", where=where)
    if digit is not None and (not isinstance(digit, int) or isinstance(digit, bool)):
        raise BadInputError("The digit of a reason is a number from 1 to 9, or null.", where=where)
    return Reason(code, label, digit, is_retired)
