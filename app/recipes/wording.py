"""What the recipes of several roles say alike: verdicts that count, an issue, a value on one line. Pure."""

import json

from app.candidates import Candidate
from app.errors import BadInputError
from app.recipes.judged import Judged

_POSITIVE = frozenset({"accept", "edit"})
_NO_ISSUE = frozenset({"", "N/A"})
_LONGEST_QUOTED = 60


def is_positive(judged: Judged) -> bool:
    """Whether the decision takes the candidate, as it is or as the reviewer left it."""
    return judged.verdict in _POSITIVE


def issue_of(candidate: Candidate) -> str:
    """The issue's text exactly as logged, or empty where the log has none: the agent writes `N/A` then."""
    return "" if candidate.issue.strip() in _NO_ISSUE else candidate.issue


def one_line(value: object, *, sort_keys: bool = False) -> str:
    """A value as JSON on one line, letters as they are: `{"b": "é", "a": 1.0}` → `'{"b": "é", "a": 1.0}'`.

    Raises:
        BadInputError: JSON cannot say it: NaN, an infinity, a key that is no text, a number of thousands of digits, or
            a nesting deeper than any log's.

    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInputError(f"JSON cannot say this value: {str(error)[:200]}.") from error


def quoted(text: str) -> str:
    r"""A log's text inside a sentence, safe in every file: `"a\nb"` → `"'a\\nb'"`; at most 60 of its characters."""
    return ascii(text if len(text) <= _LONGEST_QUOTED else text[: _LONGEST_QUOTED - 3] + "...")
