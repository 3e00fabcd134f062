"""Tables: columns and constraints, no rules.

Table classes do not validate (docs/decisions/0004): only domain functions build them, from values that are
typed already. Fat text never stands in a table that lists read: raw bytes live in `entry`, rendered diffs in
`rendering`, edited texts in `revision`.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

# Alembic's batch mode on SQLite can drop only what has a name.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata: MetaData = SQLModel.metadata
_IN_BULK = text("bulk IS NOT NULL")


class Status(StrEnum):
    """What the last decisions say of a candidate.

    `JOINED`: it is a part of another one now, and stands in no list. `DISAGREED`: several people were asked and said
    different things, and a curator has not had the last word yet.
    """

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EDITED = "edited"
    SKIPPED = "skipped"
    FLAGGED = "flagged"
    JOINED = "joined"
    DISAGREED = "disagreed"


SHOWN = tuple(status for status in Status if status is not Status.JOINED)
"""What a list, a filter and a page know."""


class Agreement(StrEnum):
    """What came of asking several people about a candidate; `NONE` where one person decides."""

    NONE = ""
    WAITING = "waiting"
    YES = "yes"
    NO = "no"
    SETTLED = "settled"


class Verdict(StrEnum):
    """One reviewer's act; `UNDO` takes back an earlier one, `JOIN` and `SPLIT` say what belongs together."""

    ACCEPT = "accept"
    REJECT = "reject"
    EDIT = "edit"
    SKIP = "skip"
    FLAG = "flag"
    UNDO = "undo"
    JOIN = "join"
    SPLIT = "split"


class Role(StrEnum):
    """What a member of a project may do; each may what those before it may."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    CURATOR = "curator"
    ADMIN = "admin"


class JobState(StrEnum):
    """Where long work stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ReleaseState(StrEnum):
    """Where a release stands; only a frozen or a withdrawn one has a folder that anyone may read."""

    QUEUED = "queued"
    FREEZING = "freezing"
    FROZEN = "frozen"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class CommentAct(StrEnum):
    """What somebody did in a thread of comments."""

    SAY = "say"
    EDIT = "edit"
    RESOLVE = "resolve"
    REOPEN = "reopen"


class SourceState(StrEnum):
    """Whether every byte of a source has been accounted for."""

    READING = "reading"
    DONE = "done"
    FAILED = "failed"


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


SEVERAL = "agreement != ''"
"""Candidates that several people were asked about and have spoken of, as SQL for the same purpose."""

MOVED = "version > 1"
"""Candidates that were ever decided, as SQL: written so wherever an index over them is to be used."""


class ProjectRow(SQLModel, table=True):
    """A container; a fresh install has one. `settings` is read by `app.projects` alone; None means the defaults."""

    __tablename__ = "project"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    settings: dict[str, object] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    created_at: datetime


class ReviewerRow(SQLModel, table=True):
    """A person who decides; on loopback there is one local reviewer, who has no password.

    `password` is an Argon2id hash, `totp` the secret of the second factor and `totp_used` the last time step that was
    taken. `is_admin`: of the server, and so of every project. `oidc_issuer` and `oidc_subject`: whom a provider knows
    this person as.

    `preferences` holds what this person set for the pages, such as `{"keys": {"accept": "y"}}`; None: nothing yet.
    """

    __tablename__ = "reviewer"
    __table_args__ = (Index("uq_reviewer_oidc", "oidc_issuer", "oidc_subject", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    created_at: datetime
    password: str | None = None
    totp: str | None = None
    totp_used: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    is_admin: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    disabled_at: datetime | None = None
    oidc_issuer: str | None = None
    oidc_subject: str | None = None
    preferences: dict[str, object] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))


class MemberRow(SQLModel, table=True):
    """What a person may do in a project."""

    __tablename__ = "member"
    __table_args__ = (_one_of("role", Role),)

    project_id: int = Field(primary_key=True, foreign_key="project.id", sa_column_kwargs={"autoincrement": False})
    reviewer_id: int = Field(primary_key=True, foreign_key="reviewer.id", sa_column_kwargs={"autoincrement": False})
    role: str


class LoginRow(SQLModel, table=True):
    """A browser that somebody logged in with; `digest` is of the cookie's secret, which is stored nowhere."""

    __tablename__ = "login"
    __table_args__ = (Index("ix_login_reviewer", "reviewer_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    reviewer_id: int = Field(foreign_key="reviewer.id")
    project_id: int = Field(foreign_key="project.id")
    made_at: datetime
    seen_at: datetime
    ends_at: datetime
    ended_at: datetime | None = None
    address: str
    agent: str


class TokenRow(SQLModel, table=True):
    """What a program shows instead of a login; `digest` is of the secret, which was shown once."""

    __tablename__ = "token"
    __table_args__ = (Index("ix_token_reviewer", "reviewer_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    name: str
    reviewer_id: int = Field(foreign_key="reviewer.id")
    project_id: int = Field(foreign_key="project.id")
    scopes: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    made_at: datetime
    used_at: datetime | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None


class TicketRow(SQLModel, table=True):
    """A link that can be used once: to set the server up, or to come in and choose a password."""

    __tablename__ = "ticket"

    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    reviewer_id: int | None = Field(default=None, foreign_key="reviewer.id")
    made_at: datetime
    ends_at: datetime
    used_at: datetime | None = None


class RecoveryRow(SQLModel, table=True):
    """A code that takes the place of the second factor once: a row goes when its code is used.

    `digest` is of the code and of whose it is; the code itself was shown once.
    """

    __tablename__ = "recovery"
    __table_args__ = (Index("ix_recovery_reviewer", "reviewer_id"),)

    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    reviewer_id: int = Field(foreign_key="reviewer.id")


class AuditRow(SQLModel, table=True):
    """A change of state: who, what, when, from where. Append-only: triggers refuse UPDATE and DELETE.

    `digest` is SHA-256 over the previous row's digest and this row's canonical JSON. Decisions have a chain of their
    own, and are not here.
    """

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_project", "project_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    made_at: datetime
    project_id: int | None = None
    reviewer_id: int | None = None
    who: str
    address: str
    what: str
    about: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    previous_digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class DeliveryRow(SQLModel, table=True):
    """Files that came in together: a folder, an archive, a drop; each that was read is a source of its own.

    `passed`, `broken` and `refused` name the others, each as `{"name", "why", ...}`.
    """

    __tablename__ = "delivery"

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    name: str
    origin: str
    n_files: int = 0
    passed: list[dict[str, object]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    broken: list[dict[str, object]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    refused: list[dict[str, object]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    message: str | None = None
    created_at: datetime
    finished_at: datetime | None = None


class SourceRow(SQLModel, table=True):
    """Where bytes came from, and how far they have been read.

    `offset_bytes`, the counts and the rows they count are committed together, so a crash resumes here.
    `score_direction` is what a person said of its style scores; None leaves it to the guess of each run.
    """

    __tablename__ = "source"
    __table_args__ = (_one_of("state", SourceState),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    delivery_id: int | None = Field(default=None, index=True)
    name: str
    origin: str
    format: str
    head_digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    digest: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    n_bytes: int | None = Field(default=None, sa_column=Column(BigInteger))
    offset_bytes: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    n_lines: int = 0
    n_new: int = 0
    n_repeated: int = 0
    n_updated: int = 0
    n_quarantined: int = 0
    n_blank: int = 0
    state: str = SourceState.READING
    message: str | None = None
    licence: str | None = None
    score_direction: str | None = None
    created_at: datetime
    finished_at: datetime | None = None


class CandidateRow(SQLModel, table=True):
    """What a reviewer judges: the narrow columns that the queue, filters and lists need.

    `agreement`, `n_opinions` and `settled_by` are of candidates that several people were asked about: what came of it,
    how many opinions count, and the opinion that speaks for all where they agree.

    Each thing that a log says of a change is a row of its own; those that speak of one change are joined, and one of
    them leads (docs/decisions/0015). `n_parts` counts what a lead has taken in. `judged_from` is the first version
    whose texts are today's: a decision on an earlier one saw something else, and does not stand. `texts_digest` is of
    the texts that joining saw last; None where it has had nothing to say yet. `findings` names the codes that call for
    a look: warnings and holds. From `validity` on, the columns are what `app.ordering.columns` says of the whole
    evidence; None until the worker has looked.
    """

    __tablename__ = "candidate"
    __table_args__ = (
        _one_of("status", Status),
        Index("uq_candidate_digest", "project_id", "digest", unique=True),
        Index("ix_candidate_status", "project_id", "status", "id"),
        Index("ix_candidate_patch_source", "project_id", "patch_source", "id"),
        Index("ix_candidate_source", "source_id", "id"),
        # Who has what: few rows, and no other index changes when a lease is renewed.
        Index(
            "ix_candidate_leased",
            "project_id",
            "lease_by",
            sqlite_where=text("lease_by IS NOT NULL"),
            postgresql_where=text("lease_by IS NOT NULL"),
        ),
        # What lists are ordered by. New candidates have none of it, and so stand side by side in each of these.
        Index("ix_candidate_score", "project_id", "status", "score", "id"),
        Index("ix_candidate_mildness", "project_id", "status", "mildness", "id"),
        Index("ix_candidate_size", "project_id", "status", "n_changed", "id"),
        Index("ix_candidate_alike", "project_id", "status", "alike", "id"),
        Index(
            "ix_candidate_unchecked",
            "id",
            sqlite_where=text("checks_version = 0"),
            postgresql_where=text("checks_version = 0"),
        ),
        # What an export asks of a candidate's surroundings, and only of decided ones: to read a log costs nothing more.
        Index(
            "ix_candidate_moved_group",
            "project_id",
            "group_digest",
            "id",
            sqlite_where=text(MOVED),
            postgresql_where=text(MOVED),
        ),
        Index(
            "ix_candidate_moved_target",
            "project_id",
            "target",
            "id",
            sqlite_where=text(MOVED),
            postgresql_where=text(MOVED),
        ),
        # Empty where one person decides.
        Index(
            "ix_candidate_agreement",
            "project_id",
            "agreement",
            "id",
            sqlite_where=text(SEVERAL),
            postgresql_where=text(SEVERAL),
        ),
        Index(
            "uq_candidate_external",
            "source_id",
            "external_id",
            unique=True,
            sqlite_where=text("external_id IS NOT NULL"),
            postgresql_where=text("external_id IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    source_id: int = Field(foreign_key="source.id")
    kind: str
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    group_digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    external_id: str | None = None
    # What every new candidate starts with is the table's default: a bulk insert need not say it.
    status: str = Field(default=Status.PENDING, sa_column_kwargs={"server_default": Status.PENDING})
    version: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    title: str
    target: str
    generation: str
    patch_source: str
    rating: int | None = None
    logged_at: datetime | None = None
    n_added: int = 0
    n_removed: int = 0
    has_script: bool = False
    findings: str = Field(default="", sa_column_kwargs={"server_default": ""})
    checks_version: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    lease_by: int | None = None
    lease_since: datetime | None = None
    lease_until: datetime | None = None
    lease_number: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    n_attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    n_parts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    judged_from: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    agreement: str = Field(default=Agreement.NONE, sa_column_kwargs={"server_default": ""})
    n_opinions: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    settled_by: int | None = None
    texts_digest: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    validity: str = Field(default="", sa_column_kwargs={"server_default": ""})
    n_valid: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    score: float | None = None
    score_direction: str = Field(default="", sa_column_kwargs={"server_default": ""})
    n_changed: int | None = None
    mildness: int | None = None
    alike: int | None = Field(default=None, sa_column=Column(BigInteger))
    created_at: datetime


class PresenceRow(SQLModel, table=True):
    """What a person looks at: one row each, written with the lease. `since` when they came, `seen_at` when last."""

    __tablename__ = "presence"

    reviewer_id: int = Field(primary_key=True, foreign_key="reviewer.id", sa_column_kwargs={"autoincrement": False})
    project_id: int = Field(primary_key=True, foreign_key="project.id", sa_column_kwargs={"autoincrement": False})
    candidate_id: int = Field(foreign_key="candidate.id")
    since: datetime
    seen_at: datetime


class TurnRow(SQLModel, table=True):
    """A candidate that one person sent to another with a sentence.

    `done_at` is when that one decided, by `decision_id`, or said done; `read_at` when the sender has seen that.
    """

    __tablename__ = "turn"
    __table_args__ = (
        Index(
            "uq_turn_open",
            "to_id",
            "candidate_id",
            "from_id",
            unique=True,
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
        Index("ix_turn_candidate", "candidate_id"),
        Index("ix_turn_from", "from_id", "read_at"),
        Index("ix_turn_decision", "decision_id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    candidate_id: int = Field(foreign_key="candidate.id")
    from_id: int = Field(foreign_key="reviewer.id")
    to_id: int = Field(foreign_key="reviewer.id")
    sentence: str = Field(sa_column=Column(Text, nullable=False))
    sent_at: datetime
    done_at: datetime | None = None
    decision_id: int | None = Field(default=None, foreign_key="decision.id")
    read_at: datetime | None = None


class PartRow(SQLModel, table=True):
    """A candidate that speaks of the same change as another, which leads; why, and how sure that is.

    `to_id` is the one that it was joined to by that reason, which may be another part of the same lead; `place` counts
    the parts of a lead in the order in which their story is told.
    """

    __tablename__ = "part"
    __table_args__ = (Index("ix_part_lead", "lead_id"),)

    candidate_id: int = Field(primary_key=True, foreign_key="candidate.id", sa_column_kwargs={"autoincrement": False})
    lead_id: int = Field(foreign_key="candidate.id")
    to_id: int
    place: int
    code: str
    confidence: str
    reason: str


class ClueRow(SQLModel, table=True):
    """What a candidate may be joined by: two that share no key never belong together. See `app.assembly.keys`."""

    __tablename__ = "clue"
    __table_args__ = {"sqlite_with_rowid": False}

    project_id: int = Field(primary_key=True)
    key: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False))
    candidate_id: int = Field(primary_key=True)


class NewCluesRow(SQLModel, table=True):
    """Clues of one batch that joining has not looked at: pairs of key and candidate, 64 bits each.

    Written in a row as they come; `clue` gets them in the order of their keys, which is far cheaper.
    """

    __tablename__ = "new_clues"

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    pairs: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class EntryRow(SQLModel, table=True):
    """One log line, or one file that is an entry, exactly as written; never changed.

    An entry that speaks of several candidates stands once for each; `slice` says which of them it is, from 0.
    """

    __tablename__ = "entry"
    # Equal bytes have equal content, so they can only meet within one candidate; an index over all digests would
    # be written at random, which costs more than all other columns together.
    __table_args__ = (Index("uq_entry_digest", "candidate_id", "digest", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    source_id: int = Field(foreign_key="source.id")
    candidate_id: int = Field(foreign_key="candidate.id")
    line: int
    offset_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    raw: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    format: str = Field(default="success_memory", sa_column_kwargs={"server_default": "success_memory"})
    slice: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class AttachmentRow(SQLModel, table=True):
    """A file that came with an entry: the changelog and the patched files of a patch set, exactly as written."""

    __tablename__ = "attachment"

    entry_id: int = Field(primary_key=True, foreign_key="entry.id", sa_column_kwargs={"autoincrement": False})
    path: str = Field(primary_key=True)
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    raw: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class WatchedRow(SQLModel, table=True):
    """How far a file in a watched folder has been read, and what it is known by.

    `key` is the SHA-256 of where it lies, `digest` that of its first `offset_bytes` bytes: all that was read of it.
    `identity` names device and inode. `stamp` is how the file looked when nothing was left to read; empty where it
    must be looked at again.
    """

    __tablename__ = "watched"

    project_id: int = Field(primary_key=True, foreign_key="project.id")
    key: bytes = Field(sa_column=Column(LargeBinary, primary_key=True, nullable=False))
    source_id: int = Field(foreign_key="source.id")
    identity: str
    stamp: str
    offset_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class RepeatRow(SQLModel, table=True):
    """A line that was already here: where it stood, and which entry it repeats."""

    __tablename__ = "repeat"
    __table_args__ = (Index("ix_repeat_entry", "entry_id"),)

    source_id: int = Field(foreign_key="source.id", primary_key=True)
    line: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    offset_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    entry_id: int


class QuarantineRow(SQLModel, table=True):
    """A line that could not be read: raw bytes, place, reason; can be corrected and retried; never dropped.

    `overflow` names a file in the data folder that holds the whole line where it is over the line limit.
    """

    __tablename__ = "quarantine"
    __table_args__ = (
        Index("uq_quarantine_digest", "project_id", "digest", unique=True),
        Index("ix_quarantine_open", "project_id", "resolved_at", "id"),
        Index("ix_quarantine_source", "source_id", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    source_id: int = Field(foreign_key="source.id")
    line: int
    offset_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    n_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    code: str
    message: str
    raw: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    overflow: str | None = None
    resolved_at: datetime | None = None
    entry_id: int | None = None


class FindingRow(SQLModel, table=True):
    """Something a check noticed about a candidate."""

    __tablename__ = "finding"
    __table_args__ = (Index("ix_finding_code", "code", "candidate_id"), Index("ix_finding_candidate", "candidate_id"))

    id: int | None = Field(default=None, primary_key=True)
    candidate_id: int = Field(foreign_key="candidate.id")
    code: str
    severity: str
    place: str
    message: str


class RevisionRow(SQLModel, table=True):
    """The text as a reviewer edited it; the original stays in the entry."""

    __tablename__ = "revision"

    id: int | None = Field(default=None, primary_key=True)
    candidate_id: int = Field(foreign_key="candidate.id", index=True)
    field: str
    text: str = Field(sa_column=Column(Text, nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime


class DecisionRow(SQLModel, table=True):
    """One reviewer's act on one version of a candidate. Append-only: triggers refuse UPDATE and DELETE.

    `digest` is SHA-256 over the previous row's digest and this row's canonical JSON, so a change shows. `other_id` is
    the candidate that is joined or taken apart. `n_seen` of `n_hunks` changes were on the screen before it, `spent_ms`
    milliseconds passed there; None where nobody measured. Decisions that were made as one share their `bulk`.
    `guideline` is the version that stood then; None is the first one, or no verdict.
    `asked` is how many opinions were asked for where this is one of several, 0 where it is the last word on them.
    `address` is where it came from, such as `10.0.0.7`; None where it was made before that was kept.
    """

    __tablename__ = "decision"
    __table_args__ = (
        _one_of("verdict", Verdict),
        CheckConstraint("(verdict = 'undo') = (undoes_id IS NOT NULL)", name="undo"),
        CheckConstraint("(verdict = 'edit') = (revision_id IS NOT NULL)", name="edit"),
        Index("ix_decision_candidate", "candidate_id", "id"),
        Index("ix_decision_reviewer", "reviewer_id", "id"),
        Index("ix_decision_bulk", "bulk", "id", sqlite_where=_IN_BULK, postgresql_where=_IN_BULK),
    )

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    candidate_id: int = Field(foreign_key="candidate.id")
    candidate_version: int
    reviewer_id: int = Field(foreign_key="reviewer.id")
    verdict: str
    key: str = Field(unique=True)
    reasons: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    comment: str = Field(default="", sa_column=Column(Text, nullable=False))
    rating: int | None = None
    revision_id: int | None = Field(default=None, foreign_key="revision.id")
    undoes_id: int | None = Field(default=None, foreign_key="decision.id", unique=True)
    other_id: int | None = None
    n_seen: int | None = None
    n_hunks: int | None = None
    spent_ms: int | None = None
    bulk: str | None = None
    guideline: int | None = None
    asked: int | None = None
    address: str | None = None
    decided_at: datetime
    previous_digest: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    digest: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))


class GoldRow(SQLModel, table=True):
    """A candidate whose right verdict is known, and which people judge unknowingly; until `ended_at`."""

    __tablename__ = "gold"

    candidate_id: int = Field(primary_key=True, foreign_key="candidate.id", sa_column_kwargs={"autoincrement": False})
    project_id: int = Field(foreign_key="project.id", index=True)
    verdict: str
    why: str = Field(sa_column=Column(Text, nullable=False))
    reviewer_id: int = Field(foreign_key="reviewer.id")
    made_at: datetime
    ended_at: datetime | None = None


class GoldAnswerRow(SQLModel, table=True):
    """What a person said of a gold candidate, once. Append-only. `is_right` is 1, 0, or None for a skip."""

    __tablename__ = "gold_answer"
    __table_args__ = (Index("uq_gold_answer_person", "reviewer_id", "candidate_id", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    candidate_id: int = Field(foreign_key="gold.candidate_id")
    reviewer_id: int = Field(foreign_key="reviewer.id")
    verdict: str
    is_right: int | None = None
    reasons: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    comment: str = Field(default="", sa_column=Column(Text, nullable=False))
    spent_ms: int | None = None
    key: str = Field(unique=True)
    answered_at: datetime


class ThreadRow(SQLModel, table=True):
    """Where a comment was made: a line of a candidate's text as it was then. Never changed.

    `field` is one of the candidate's texts, `digest` of the whole of it; `at` counts its lines from 1. Of a diff,
    `path` and `is_new` name a side of a file, `number` the line in that file, and `place` counts the lines of that side
    from 0; elsewhere `place` is `at - 1`. `line`, `before` and `after` are what stood there.
    """

    __tablename__ = "thread"
    __table_args__ = (Index("ix_thread_candidate", "candidate_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    candidate_id: int = Field(foreign_key="candidate.id")
    candidate_version: int
    field: str
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: int
    path: str = ""
    is_new: bool = True
    number: int | None = None
    place: int
    line: str = Field(sa_column=Column(Text, nullable=False))
    before: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    after: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))


class CommentRow(SQLModel, table=True):
    """One act in a thread: something said, said better, settled or opened again. Append-only.

    `of_id` is the comment that an edit says better. The last row of a thread says where it stands: whether it is
    resolved, and whether it blocks acceptance until it is.
    """

    __tablename__ = "comment"
    __table_args__ = (_one_of("act", CommentAct), Index("ix_comment_thread", "thread_id", "id"))

    id: int | None = Field(default=None, primary_key=True)
    thread_id: int = Field(foreign_key="thread.id")
    act: str
    of_id: int | None = None
    text: str = Field(default="", sa_column=Column(Text, nullable=False))
    is_resolved: bool
    blocks: bool
    key: str = Field(unique=True)
    reviewer_id: int = Field(foreign_key="reviewer.id", index=True)
    made_at: datetime


class DraftRow(SQLModel, table=True):
    """What a person has typed and not decided yet: `texts` by field, a diff's as a list, one text a hunk.

    `version` is the candidate's when the typing began.
    """

    __tablename__ = "draft"

    reviewer_id: int = Field(primary_key=True, foreign_key="reviewer.id", sa_column_kwargs={"autoincrement": False})
    candidate_id: int = Field(primary_key=True, foreign_key="candidate.id", sa_column_kwargs={"autoincrement": False})
    version: int
    texts: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    saved_at: datetime


class SavedViewRow(SQLModel, table=True):
    """A filter with a name: a queue, a list and a link in one. `query` is its query string."""

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    name: str
    query: str = Field(sa_column=Column(Text, nullable=False))
    reviewer_id: int = Field(foreign_key="reviewer.id")
    made_at: datetime


class TallyRow(SQLModel, table=True):
    """Maintained counts, so that no page counts a million rows."""

    __tablename__ = "tally"

    project_id: int = Field(primary_key=True, foreign_key="project.id")
    status: str = Field(primary_key=True)
    n: int = 0


class RenderingRow(SQLModel, table=True):
    """HTML that the worker made ahead of the reviewer: `unified`, `split` or `script`, compressed with zlib.

    A row of another `version` than the renderer's is as good as absent.
    """

    __tablename__ = "rendering"

    candidate_id: int = Field(primary_key=True, foreign_key="candidate.id")
    view: str = Field(primary_key=True)
    version: int
    html: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class JobRow(SQLModel, table=True):
    """Long work, with progress; the worker claims it, and claims it again after a crash."""

    __tablename__ = "job"
    __table_args__ = (_one_of("state", JobState), Index("ix_job_state", "state", "id"))

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    kind: str
    state: str = JobState.QUEUED
    done: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    total: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    message: str = ""
    args: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    result: dict[str, object] | None = Field(default=None, sa_column=Column(JSON))
    cancel_requested: bool = False
    attempts: int = 0
    worker: str | None = None
    heartbeat_at: datetime | None = None
    created_at: datetime
    finished_at: datetime | None = None


class WorkerRow(SQLModel, table=True):
    """A worker that runs: seen every ten seconds, gone when it ends; one that died is not seen any more."""

    __tablename__ = "worker"

    name: str = Field(primary_key=True, max_length=200)
    started_at: datetime
    seen_at: datetime


class TemplateRow(SQLModel, table=True):
    """A project's own version of a prompt template; written once, never changed."""

    __tablename__ = "template"
    __table_args__ = (Index("uq_template_version", "project_id", "name", "version", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    name: str
    version: int
    text: str = Field(sa_column=Column(Text, nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    comment: str = Field(default="", sa_column=Column(Text, nullable=False))
    reviewer_id: int = Field(foreign_key="reviewer.id")
    created_at: datetime


class TemplateUseRow(SQLModel, table=True):
    """From when on a project fills which version of a template; the newest row counts, none means the shipped one.

    `version` is one of `template`, or None for the newest that ships with the program.
    """

    __tablename__ = "template_use"
    __table_args__ = (Index("ix_template_use_name", "project_id", "name", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    name: str
    version: int | None = None
    reviewer_id: int = Field(foreign_key="reviewer.id")
    created_at: datetime


class GuidelineRow(SQLModel, table=True):
    """A version of a project's guideline: the text and the reasons, both as they stood. Append-only.

    Versions count from 2: the first one, without a text and with the reasons that the program came with, has no row.
    """

    __tablename__ = "guideline"
    __table_args__ = (Index("uq_guideline_version", "project_id", "version", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    version: int
    text: str = Field(sa_column=Column(Text, nullable=False))
    reasons: list[dict[str, object]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    comment: str = Field(default="", sa_column=Column(Text, nullable=False))
    reviewer_id: int = Field(foreign_key="reviewer.id")
    created_at: datetime


class RulingRow(SQLModel, table=True):
    """A person's word on one example. Append-only: the last word on an example and a gate counts.

    `gate` names what lets it pass although it holds it back, or is `left_out`; `in_force` is False where it is taken
    back. `digest` is of the example's texts as the person saw them: a word does not count for other texts.
    """

    __tablename__ = "ruling"
    __table_args__ = (Index("ix_ruling_candidate", "candidate_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    candidate_id: int = Field(foreign_key="candidate.id")
    example: str
    gate: str
    in_force: bool
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    reason: str = Field(default="", sa_column=Column(Text, nullable=False))
    reviewer_id: int = Field(foreign_key="reviewer.id")
    made_at: datetime


class ReleaseRow(SQLModel, table=True):
    """A numbered, immutable set of examples; its folder is written once.

    `spec` is what was asked for, `counts` what came of it. `decisions_to` and `rulings_to` are the last ones that it
    saw. `manifest_digest` is of its manifest, which names every other file by digest.
    """

    __tablename__ = "release"
    __table_args__ = (
        _one_of("state", ReleaseState),
        Index("uq_release_number", "project_id", "number", unique=True),
    )

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    number: int
    name: str
    state: str = ReleaseState.QUEUED
    spec: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    counts: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    decisions_to: int = 0
    rulings_to: int = 0
    manifest_digest: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    n_bytes: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    job_id: int | None = None
    reviewer_id: int = Field(foreign_key="reviewer.id")
    message: str = ""
    created_at: datetime
    frozen_at: datetime | None = None
    withdrawn_at: datetime | None = None
    withdrawn_why: str = ""


class ReleasedRow(SQLModel, table=True):
    """Which release holds examples of which candidate, and the decision that let them in."""

    __tablename__ = "released"
    __table_args__ = {"sqlite_with_rowid": False}

    candidate_id: int = Field(primary_key=True, foreign_key="candidate.id", sa_column_kwargs={"autoincrement": False})
    release_id: int = Field(primary_key=True, foreign_key="release.id", sa_column_kwargs={"autoincrement": False})
    decision_id: int


class ProjectFileRow(SQLModel, table=True):
    """A file that a project gives to its releases: `tokenizer`, `block_list` or `benchmark`."""

    __tablename__ = "project_file"

    project_id: int = Field(primary_key=True, foreign_key="project.id", sa_column_kwargs={"autoincrement": False})
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True, nullable=False))
    kind: str
    name: str
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    reviewer_id: int = Field(foreign_key="reviewer.id")
    created_at: datetime


class LedgerRow(SQLModel, table=True):
    """Which split an issue was in when it was first released: it never moves.

    It counts for releases numbered `since` and later. `release_id` is the release that dealt it, None where a person
    set it as benchmark.
    """

    __tablename__ = "ledger"
    __table_args__ = {"sqlite_with_rowid": False}

    project_id: int = Field(primary_key=True, foreign_key="project.id", sa_column_kwargs={"autoincrement": False})
    issue: bytes = Field(sa_column=Column(LargeBinary, primary_key=True, nullable=False))
    split: str
    since: int
    release_id: int | None = Field(default=None, foreign_key="release.id", index=True)


class ShapeRow(SQLModel, table=True):
    """What candidates look like whose fingerprints are equal: the shingles, 4 bytes each in ascending order.

    `id` is made of the shingles. Candidates of one shape are always in one cluster, so only shapes are compared.
    """

    __tablename__ = "shape"

    project_id: int = Field(primary_key=True, foreign_key="project.id", sa_column_kwargs={"autoincrement": False})
    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False))
    shingles: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class FingerprintRow(SQLModel, table=True):
    """The shape of a candidate, and its issue, as the groups know them; a part has none, its lead speaks for it."""

    __tablename__ = "fingerprint"
    __table_args__ = (Index("ix_fingerprint_shape", "project_id", "shape_id", "candidate_id"),)

    candidate_id: int = Field(primary_key=True, foreign_key="candidate.id", sa_column_kwargs={"autoincrement": False})
    project_id: int = Field(foreign_key="project.id")
    shape_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    issue: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class NewFingerprintRow(SQLModel, table=True):
    """A candidate that the groups have to look at, with its shingles; none where it stands for itself no more."""

    __tablename__ = "new_fingerprint"
    __table_args__ = {"sqlite_with_rowid": False}

    project_id: int = Field(primary_key=True, foreign_key="project.id", sa_column_kwargs={"autoincrement": False})
    candidate_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    shingles: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class BandRow(SQLModel, table=True):
    """Shapes that share a key may be near-duplicates: one key for each band of the signature."""

    __tablename__ = "band"
    __table_args__ = {"sqlite_with_rowid": False}

    project_id: int = Field(primary_key=True, foreign_key="project.id", sa_column_kwargs={"autoincrement": False})
    key: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False))
    shape_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False))


class ClusterRow(SQLModel, table=True):
    """A candidate that has near-duplicates: its cluster, named by the smallest candidate in it, and its issue."""

    __tablename__ = "cluster"
    __table_args__ = (
        Index("ix_cluster_cluster", "cluster_id", "candidate_id"),
        Index("ix_cluster_issue", "project_id", "issue"),
    )

    candidate_id: int = Field(primary_key=True, foreign_key="candidate.id", sa_column_kwargs={"autoincrement": False})
    project_id: int = Field(foreign_key="project.id")
    cluster_id: int
    issue: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class IssueGroupRow(SQLModel, table=True):
    """An issue that near-duplicates tie to others; the smallest of them names the group.

    An issue that is not here is a group of its own.
    """

    __tablename__ = "issue_group"
    __table_args__ = (Index("ix_issue_group_key", "project_id", "group_key"), {"sqlite_with_rowid": False})

    project_id: int = Field(primary_key=True, foreign_key="project.id", sa_column_kwargs={"autoincrement": False})
    issue: bytes = Field(sa_column=Column(LargeBinary, primary_key=True, nullable=False))
    group_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class NearnessRow(SQLModel, table=True):
    """By which version of the fingerprints a project's groups were made; 0: they have to be made anew."""

    __tablename__ = "nearness"

    project_id: int = Field(primary_key=True, foreign_key="project.id", sa_column_kwargs={"autoincrement": False})
    version: int = Field(sa_column=Column(BigInteger, nullable=False))


class PostingState(StrEnum):
    """What became of a message to a webhook."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


class WebhookRow(SQLModel, table=True):
    """An endpoint that is told of decisions and releases; its messages are signed with `secret`.

    `decisions_to` is the last decision that was put in line for it; `held_until` says that a worker is at it.
    """

    __tablename__ = "webhook"
    __table_args__ = (UniqueConstraint("project_id", "url"),)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id")
    url: str
    events: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    secret: str
    former_secret: str | None = None
    former_until: datetime | None = None
    is_on: bool = True
    decisions_to: int = 0
    held_until: datetime | None = None
    reviewer_id: int | None = Field(default=None, foreign_key="reviewer.id")
    made_at: datetime


class PostingRow(SQLModel, table=True):
    """A message to a webhook, and what became of it. `key` names what it tells of, so that it is told once."""

    __tablename__ = "posting"
    __table_args__ = (
        _one_of("state", PostingState),
        UniqueConstraint("webhook_id", "key"),
        Index("ix_posting_waiting", "webhook_id", "state", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    webhook_id: int = Field(foreign_key="webhook.id")
    key: str
    message_id: str
    event: str
    body: str = Field(sa_column=Column(Text, nullable=False))
    state: str = PostingState.WAITING
    attempts: int = 0
    status: int | None = None
    said: str = ""
    next_at: datetime
    made_at: datetime
    ended_at: datetime | None = None
