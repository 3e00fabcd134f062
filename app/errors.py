"""Every error that a person can cause.

AppError              400  what you asked for cannot be done
|- NotKnownError      401  nobody known asks: log in first
|- RefusedError       403  this person may not do that here
|- NotFoundError      404  no such thing, or not yours to see
|- ConflictError      409  someone else changed it first
|- TooLargeError      413  more bytes than the limit allows
|- UnsupportedError   415  a kind of file or body that is not read here
|- BadInputError      422  the input does not parse; says where
|- TooManyError       429  too often in too short a time
|- UnavailableError   503  something that is asked for this does not answer
`- NotStoredError     507  the disk is full or read-only; nothing was stored

The message is a sentence for the person who caused the error: what, where, what to do. Anything else that
escapes a route is a bug and becomes a 500.
"""

import errno
from collections.abc import Mapping


class AppError(Exception):
    """What was asked for cannot be done.

    Args:
        message: a sentence for the person who asked: what is wrong and what to do.
        where: the place of the fault (`"log.jsonl:12: byte 3456"`, `"field verdict"`), or None.
        code: a short name that programs can test; the class has a default.
    """

    status = 400
    code = "bad_request"

    def __init__(self, message: str, *, where: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        if code is not None:
            self.code = code


class NotFoundError(AppError):
    """No such thing, or not this person's to see."""

    status = 404
    code = "not_found"


class ConflictError(AppError):
    """Someone else changed it first; what was typed is kept by the caller.

    Args:
        message: the sentence.
        where: the place of the fault, or None.
        code: a short name that programs can test.
        both: `yours`, what was sent and not stored, and `theirs`, what stands instead; None where nothing was written.
    """

    status = 409
    code = "conflict"

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        code: str | None = None,
        both: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, where=where, code=code)
        self.both = dict(both or {})


class TooLargeError(AppError):
    """More bytes than a limit allows; the message names the limit and its setting."""

    status = 413
    code = "too_large"


class UnsupportedError(AppError):
    """A kind of file or body that is not read here."""

    status = 415
    code = "unsupported"


class BadInputError(AppError):
    """The input does not parse; `where` says which field, file, line or byte."""

    status = 422
    code = "bad_input"


class NotStoredError(AppError):
    """The disk is full or read-only: nothing was stored, nothing typed is lost."""

    status = 507
    code = "not_stored"


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})


def not_stored(error: OSError) -> NotStoredError | None:
    """A full or read-only disk as a sentence, without a path; None where the fault is another one."""
    if error.errno not in _NO_ROOM:
        return None
    return NotStoredError(f"Nothing was stored: {error.strerror}. Free some space, then send it again.")


class NotKnownError(AppError):
    """Nobody known asks; who is must say so first."""

    status = 401
    code = "not_known"


class RefusedError(AppError):
    """This person may not do that here."""

    status = 403
    code = "refused"


class UnavailableError(AppError):
    """Something else that is needed for this does not answer right now."""

    status = 503
    code = "unavailable"


class TooManyError(AppError):
    """Too often in too short a time; the message says when to come again."""

    status = 429
    code = "too_many"
