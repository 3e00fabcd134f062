"""One signed message to one address outside: the only way by which the server itself speaks to another.

Only to hosts that the setting `webhook_hosts` names, only to the very addresses that were looked at, and never on to
where an answer points (docs/decisions/0041).
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import ipaddress
import re
import secrets
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.errors import BadInputError

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_SECONDS = 10.0
_WHOLE_SECONDS = 20.0
_LONGEST_URL = 500
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
# Ranges whose addresses stand for others, or for a site: what they lead to may be private.
_DETOURS = tuple(
    ipaddress.ip_network(one)
    for one in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0:0/96", "fec0::/10")
)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NotSentError(Exception):
    """The message did not arrive, or was not taken; says why in a sentence."""


# ------------------------------------------------------------------------------------------------ who may be spoken to


@dataclass(frozen=True, slots=True)
class Allowed:
    """Hosts that may be spoken to, and networks that may although they are private."""

    hosts: frozenset[str]
    networks: tuple[_Network, ...]

    @classmethod
    def parse(cls, text: str) -> "Allowed":
        """`Allowed.parse("hooks.example.org, ci.internal, 10.1.0.0/16")`: host names, and addresses or networks.

        Raises:
            BadInputError: neither a host name nor a network.

        """
        hosts, networks = set[str](), list[_Network]()
        for one in (part.strip().lower() for part in text.split(",")):
            if not one:
                continue
            try:
                networks.append(ipaddress.ip_network(one))
            except ValueError as error:
                if not _HOST.fullmatch(one):
                    message = f"PATCHSIFT_WEBHOOK_HOSTS names {one[:80]!r}, which is no host, address or network."
                    raise BadInputError(message) from error
                hosts.add(one)
        return cls(frozenset(hosts), tuple(networks))

    def has(self, address: _Address) -> bool:
        """Whether an address was named, alone or in a network."""
        return any(address.version == one.version and address in one for one in self.networks)

    def may_reach(self, address: _Address) -> bool:
        """Whether a connection to an address is in order: it is public, or it was named."""
        seen = getattr(address, "ipv4_mapped", None) or address
        if self.has(seen) or self.has(address):
            return True
        is_detour = any(seen.version == one.version and seen in one for one in _DETOURS)
        return seen.is_global and not seen.is_multicast and not is_detour


@dataclass(frozen=True, slots=True)
class Target:
    """An address on the web, taken apart."""

    scheme: str
    host: str
    port: int
    path: str


def parse_url(url: str, allowed: Allowed) -> Target:
    """`"https://hooks.example.org/in?a=1"` → where that is.

    Raises:
        BadInputError: not http or https, with a name and password, or of a host that the setting does not name.

    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadInputError("This is no address that a webhook can go to.", where="field url") from error
    host = (parts.hostname or "").lower()
    sound = (
        parts.scheme in {"http", "https"} and host and parts.username is None and url.isascii() and url.isprintable()
    )
    if not sound or len(url) > _LONGEST_URL or " " in url:
        raise BadInputError(
            "A webhook goes to an address like https://hooks.example.org/patchsift, without a name or password in it.",
            where="field url",
        )
    address = _as_address(host)
    if host not in allowed.hosts and not (address is not None and allowed.has(address)):
        message = f"Webhooks may not go to {host[:100]!r}; PATCHSIFT_WEBHOOK_HOSTS={host[:100]} lets them."
        raise BadInputError(message, where="field url")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)


def _as_address(host: str) -> _Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    return None


def _look_up(target: Target, allowed: Allowed) -> str:
    """The address to connect to, once every address of the host is in order."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotSentError(f"{target.host} has no address.") from error
    addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    for address in addresses:
        if not allowed.may_reach(address):
            raise NotSentError(f"{target.host} leads to {address}, which is private and not named in the setting.")
        if target.scheme == "http" and not allowed.has(address):
            raise NotSentError(f"{target.host} is outside, and would be spoken to in the clear: use https.")
    return str(addresses[0])


# ------------------------------------------------------------------------------------------------ signed


def make_secret() -> str:
    """A new secret of an endpoint: `whsec_` and 32 random bytes."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the signature of a message, by Standard Webhooks 1.0: HMAC-SHA256 over id, seconds and body."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise BadInputError("This is no secret of a webhook.") from error
    made = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(made.digest()).decode()


# ------------------------------------------------------------------------------------------------ sent


def post(url: str, body: bytes, headers: Mapping[str, str], allowed: Allowed) -> int:
    """Send a body and give the answer's status, whatever it is; the answer's content is not read.

    Raises:
        BadInputError: the setting does not name the host any more.
        NotSentError: no address in order, no connection, no answer in time.

    """
    target = parse_url(url, allowed)
    connection = _connect(target, _look_up(target, allowed))
    # Each byte may take ten seconds by the socket's own clock: the whole must not.
    watch = threading.Timer(_WHOLE_SECONDS, _break, (connection,))
    watch.start()
    try:
        connection.request("POST", target.path, body, dict(headers))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise NotSentError(f"{target.host} gave no answer: {type(error).__name__}.") from error
    finally:
        watch.cancel()
        connection.close()


def _connect(target: Target, address: str) -> http.client.HTTPConnection:
    """A connection to the address that was looked at, in the name of the host: it is not looked up again."""
    connection = http.client.HTTPConnection(target.host, target.port, timeout=_SECONDS)
    plain: socket.socket | None = None
    try:
        plain = socket.create_connection((address, target.port), timeout=_SECONDS)
        if target.scheme == "https":
            plain = ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)
    except OSError as error:
        if plain is not None:
            plain.close()
        raise NotSentError(f"{target.host} cannot be reached: {error.strerror or type(error).__name__}.") from error
    connection.sock = plain
    return connection


def _break(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)
