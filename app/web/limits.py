"""How often somebody may try: per account, per address, and all together.

Counted in this process's memory; of several web processes each counts for itself (docs/accounts.md).
"""

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import TooManyError

_PER_NAME, _PER_ADDRESS, _IN_ALL = "10/5minutes", "30/5minutes", "1000/5minutes"


class Tries:
    """Tries to come in: `tries.take("ann", "10.0.0.7")` before each, `tries.forget("ann")` after one that succeeded."""

    def __init__(self) -> None:
        self._counted = MovingWindowRateLimiter(MemoryStorage())
        self._of_name, self._of_address, self._in_all = map(parse, (_PER_NAME, _PER_ADDRESS, _IN_ALL))

    def take(self, name: str, address: str) -> None:
        """Count one.

        Raises:
            TooManyError: there were too many; nobody is locked out for longer than five minutes.

        """
        wanted: list[tuple[RateLimitItem, str]] = [
            (self._of_name, f"name {name.lower()[:64]}"), (self._of_address, f"address {address}"),
            (self._in_all, "all"),
        ]  # fmt: skip
        if not all(self._counted.hit(limit, key) for limit, key in wanted):
            raise TooManyError("That was tried too often. Wait five minutes, then try again.")

    def forget(self, name: str) -> None:
        """Begin anew for an account whose owner came in."""
        self._counted.clear(self._of_name, f"name {name.lower()[:64]}")
