"""OpenID Connect: asking a provider who somebody is, by code with PKCE, state and nonce.

Source: OpenID Connect Core 1.0, 3.1; OpenID Connect Discovery 1.0, 4; RFC 7636 (PKCE); RFC 9207 (`iss` in the answer).
"""

import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from app.accounts import Stranger
from app.errors import AppError, NotFoundError, NotKnownError, UnavailableError
from app.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import OAuth2Client

# No `none`, and nothing that is signed with a secret which the client has as well.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_SCOPES = "openid email profile"
_KEPT_SECONDS = 3600.0
_SILENT_SECONDS = 10.0
_WAIT_SECONDS = 5.0
_LEEWAY_SECONDS = 60
_MOST_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Begun:
    """A login that was begun at the provider; the browser keeps it until it comes back.

    `next` is where to go on afterwards.
    """

    state: str
    nonce: str
    verifier: str
    next: str

    @classmethod
    def make(cls, target: str) -> "Begun":
        """Three fresh secrets of 256 bits."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, target)

    def __str__(self) -> str:
        return json.dumps([self.state, self.nonce, self.verifier, self.next])

    @classmethod
    def parse(cls, text: str) -> "Begun":
        """What `str` made.

        Raises:
            NotKnownError: it is nothing of the kind.

        """
        try:
            state, nonce, verifier, target = json.loads(text)
        except (ValueError, TypeError) as error:
            raise NotKnownError("The login was not begun in this browser, or too long ago. Begin again.") from error
        return cls(str(state), str(nonce), str(verifier), str(target))


@dataclass
class Provider:
    """The provider that the settings name; what it says of itself is kept for an hour."""

    issuer: str
    client_id: str
    client_secret: str
    _kept: tuple[float, Mapping[str, Any], Any] | None = None
    _silent_since: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, settings: Settings) -> "Provider | None":
        """The provider, or None where none is set.

        Raises:
            AppError: it would be asked without TLS, no client is set, or the extra is not installed.

        """
        if not settings.oidc_issuer:
            return None
        parts = urlsplit(settings.oidc_issuer)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise AppError("PATCHSIFT_OIDC_ISSUER must be an https address.")
        if not settings.oidc_client_id:
            raise AppError("PATCHSIFT_OIDC_ISSUER needs PATCHSIFT_OIDC_CLIENT_ID as well.")
        try:
            import authlib.integrations.httpx_client  # noqa: F401, PLC0415
        except ImportError as error:
            raise AppError("A login by OpenID needs more: pip install 'patchsift[oidc]'.") from error
        return cls(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret.get_secret_value())

    def address(self, begun: Begun, back: str) -> str:
        """Where to send the browser; `back` is the address that it comes back to."""
        said, _ = self._look()
        with self._client(back) as client:
            address, _ = client.create_authorization_url(
                said["authorization_endpoint"], begun.state, begun.verifier, nonce=begun.nonce
            )
        return str(address)

    def way_out(self, back: str) -> str:
        """Where to send a browser that is to be logged out at the provider; `back` is where it may come back to.

        Source: OpenID Connect RP-Initiated Logout 1.0, 2 and 3.

        Raises:
            NotFoundError: the provider names no such address.
            UnavailableError: it does not answer.

        """
        said, _ = self._look()
        address = str(said.get("end_session_endpoint") or "")
        if not address:
            raise NotFoundError("The provider logs nobody out by a link. Log out on its own pages.")
        asked = urlencode({"client_id": self.client_id, "post_logout_redirect_uri": back})
        return f"{address}{'&' if urlsplit(address).query else '?'}{asked}"

    def identify(self, begun: Begun, answered: Mapping[str, str], back: str) -> Stranger:
        """Who came back.

        Raises:
            NotKnownError: the answer does not belong to what was begun, or the provider does not say who it is.
            UnavailableError: the provider does not answer.

        """
        if not secrets.compare_digest(answered.get("state", "").encode(), begun.state.encode()):
            raise NotKnownError("This answer belongs to another login. Begin again.")
        if "code" not in answered:
            raise NotKnownError(
                f"The provider did not let you in: {answered.get('error', 'it does not say why')[:100]}."
            )
        if answered.get("iss", self.issuer) != self.issuer:
            raise NotKnownError("This answer comes from another provider than was asked.")
        from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415
        from httpx2 import HTTPError  # noqa: PLC0415

        said, _ = self._look()
        try:
            with self._client(back) as client:
                given = client.fetch_token(said["token_endpoint"], code=answered["code"], code_verifier=begun.verifier)
        except AuthlibBaseError as error:
            if error.error != "invalid_grant":
                raise UnavailableError(f"The provider does not take this server: {str(error.error)[:100]}.") from error
            raise NotKnownError("The provider did not take the code: it was used before, or is too old.") from error
        except (HTTPError, ValueError) as error:
            raise _silent() from error
        return self.read(str(given.get("id_token", "")), begun.nonce, str(given.get("access_token", "")))

    def read(self, token: str, nonce: str, access_token: str = "") -> Stranger:
        """Whom an ID token names, once every part of it is right.

        Raises:
            NotKnownError: signature, issuer, audience, times, nonce or another claim is not right.

        """
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415
        from joserfc import jwt  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        claimed = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self.client_id},
        }
        params = {"nonce": nonce, "client_id": self.client_id, "access_token": access_token}
        try:
            decoded = jwt.decode(token, self._keys_for(token), algorithms=list(ALGORITHMS))
            CodeIDToken(decoded.claims, decoded.header, claimed, params).validate(leeway=_LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise NotKnownError("The provider's word cannot be trusted: its ID token is not right.") from error
        claims = decoded.claims
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise NotKnownError("The provider's word cannot be trusted: its ID token names nobody.")
        email = str(claims.get("email", "")) if claims.get("email_verified") is True else ""
        return Stranger(self.issuer, subject, email, str(claims.get("preferred_username") or email)[:_MOST_CHARACTERS])

    def _keys_for(self, token: str) -> Any:  # noqa: ANN401  (joserfc's own type, which is imported when needed)
        """The provider's keys; asked for anew when the token names one that is not among them."""
        from joserfc.errors import JoseError  # noqa: PLC0415
        from joserfc.jws import extract_compact  # noqa: PLC0415

        _, keys = self._look()
        try:
            named = extract_compact(token.encode()).headers().get("kid")
        except (JoseError, ValueError):
            return keys
        if named is not None and named not in {key.kid for key in keys.keys} and self._kept is not None:
            # At most once a minute: whoever makes up names of keys must not make us ask for each.
            if time.monotonic() - self._kept[0] > _KEPT_SECONDS / 60:
                self._kept = None
            _, keys = self._look()
        return keys

    def _look(self) -> tuple[Mapping[str, Any], Any]:
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > _KEPT_SECONDS:
                self._kept = (time.monotonic(), *self._ask_patiently())
            return self._kept[1], self._kept[2]

    def _ask_patiently(self) -> tuple[Mapping[str, Any], Any]:
        """As `_ask`, but not again at once: everybody stands behind one who waits for a provider that is silent."""
        if self._silent_since is not None and time.monotonic() - self._silent_since < _SILENT_SECONDS:
            raise _silent()
        try:
            found = self._ask()
        except UnavailableError:
            self._silent_since = time.monotonic()
            raise
        self._silent_since = None
        return found

    def _ask(self) -> tuple[Mapping[str, Any], Any]:
        """What the provider says of itself, and its keys."""
        import httpx2  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415
        from joserfc.jwk import KeySet  # noqa: PLC0415

        try:
            with httpx2.Client(timeout=_WAIT_SECONDS, follow_redirects=False) as client:
                said = (
                    client.get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration").raise_for_status().json()
                )
                if said["issuer"] != self.issuer:
                    raise UnavailableError(
                        f"The provider calls itself {said['issuer']!r}; PATCHSIFT_OIDC_ISSUER must say the same."
                    )
                keys = KeySet.import_key_set(client.get(said["jwks_uri"]).raise_for_status().json())
        except (httpx2.HTTPError, ValueError, KeyError, TypeError, JoseError) as error:
            raise _silent() from error
        return said, keys

    def _client(self, back: str) -> "OAuth2Client":
        from authlib.integrations.httpx_client import OAuth2Client  # noqa: PLC0415

        return OAuth2Client(
            self.client_id,
            self.client_secret or None,
            token_endpoint_auth_method="client_secret_basic" if self.client_secret else "none",
            scope=_SCOPES,
            redirect_uri=back,
            code_challenge_method="S256",
            timeout=_WAIT_SECONDS,
        )


def _silent() -> UnavailableError:
    return UnavailableError("The provider that says who people are does not answer as it should. Try again later.")
