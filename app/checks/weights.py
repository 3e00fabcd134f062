"""How grave a finding is, as one number: a queue that puts the gravest first sorts by it."""

from app.candidates import Severity

_OF_SEVERITY = {Severity.HOLD: 100, Severity.WARNING: 10, Severity.NOTE: 1}
# Warnings in the order in which they should be looked at: what makes a patch look better than it is, what it may do
# where it runs, what hides errors, what was left behind.
_OF_CODE = {
    "special_case": 60, "test_weakened": 60, "test_removed": 55, "test_skipped": 50,
    "runs_code": 45, "opens_network": 45, "placeholder": 40,
    "bare_except": 35, "exception_swallowed": 35, "files_outside_spec": 25, "debug_left": 20, "check_silenced": 15,
}  # fmt: skip


def weight(code: str, severity: str) -> int:
    """How much one finding counts when candidates are ordered by what was found.

    `weight("test_removed", "warning")` is 55, `weight("secret", "hold")` 100, any note 1. Whatever is held back counts
    more than any one warning: it cannot be trained on before somebody has looked. Among warnings those count most that
    make a patch look better than it is. Codes that are not known count by their severity alone.
    """
    if severity == Severity.WARNING:
        return _OF_CODE.get(code, _OF_SEVERITY[Severity.WARNING])
    return _OF_SEVERITY[Severity(severity)]
