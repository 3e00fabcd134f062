"""How often somebody may try: per account, per address, and all together.

Whoever fails on purpose under another's name must not keep that person out: from an address that somebody has come in
from lately, only what comes from there counts against them. Counted in this process's memory; of several web processes
each counts for itself (docs/accounts.md).
"""

import ipaddress

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import TooManyError

_PER_NAME, _PER_ADDRESS, _IN_ALL, _ONCE = "10/5minutes", "30/5minutes", "1000/5minutes", "1/5minutes"
# Whoever has one address of IPv6 has a network of them.
_NETWORK_BITS = 64


class Tries:
    """Tries to come in: `tries.take("10.0.0.7", "ann")` before each, `tries.forget(…)` after one that succeeded."""

    def __init__(self) -> None:
        self._counted = MovingWindowRateLimiter(MemoryStorage())
        self._of_name, self._of_address, self._in_all = map(parse, (_PER_NAME, _PER_ADDRESS, _IN_ALL))
        self._once = parse(_ONCE)

    def take(self, address: str, name: str = "", *, is_known: bool = False) -> None:
        """Count one.

        Args:
            address: where it comes from.
            name: who is meant; empty where nobody is named, as on the way back from a provider.
            is_known: whether that person has come in from there lately.

        Raises:
            TooManyError: there were too many; nobody is locked out for longer than five minutes.

        """
        wanted: list[tuple[RateLimitItem, str]] = []
        if name:
            wanted.append((self._of_name, _key_of(address, name)))
        if name and not is_known:
            wanted.append((self._of_name, f"name {_short(name)}"))
        wanted += [(self._of_address, f"address {_network_of(address)}"), (self._in_all, "all")]
        if not all(self._counted.hit(limit, key) for limit, key in wanted):
            raise TooManyError("That was tried too often. Wait five minutes, then try again.")

    def is_first_refusal(self, address: str, name: str) -> bool:
        """Whether this is to be told: one refusal in five minutes is, of a name from an address."""
        return self._counted.hit(self._once, f"told {_key_of(address, name)}")

    def forget(self, address: str, name: str) -> None:
        """Begin anew for an account whose owner came in from there."""
        self._counted.clear(self._of_name, _key_of(address, name))


def _key_of(address: str, name: str) -> str:
    return f"name {_short(name)} from {_network_of(address)}"


def _short(name: str) -> str:
    return name.lower()[:64]


def _network_of(address: str) -> str:
    """`"10.0.0.7"` → itself; `"2001:db8::7"` → `"2001:db8::/64"`."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004
        return address
    return str(ipaddress.ip_network((int(parsed), _NETWORK_BITS), strict=False))
