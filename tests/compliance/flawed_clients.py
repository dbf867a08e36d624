"""Client authentication of the flawed server: secrets and assertions."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from flawed_state import Client, State
from jose import JWTError, jwk, jwt
from starlette.requests import Request

from oauth_server.compliance.jws import decode, public_pem


class RefusedError(Exception):
    """A request that is refused with a status and an error."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.status = error, status


# The switch that lets a confidential client go without its secret, by what it asks for.
BARE = {
    "authorization_code": "client-no-secret",
    "refresh_token": "refresh-needs-auth",
    "": "revoke-no-auth",
}


class Clients:
    """Authenticates clients (OAuth 2.1 section 2.4); `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.base = state, flaw, state.base

    def authenticate(self, form: dict[str, str], request: Request) -> Client:
        """Return the client of a request."""
        header = request.headers.get("authorization", "")
        fields = {**dict(parse_qsl(request.url.query)), **form} if self.flaw == "client-secret-in-query" else form
        client_id, secret, method = fields.get("client_id", ""), fields.get("client_secret", ""), "none"
        if secret:
            method = "client_secret_post"
        if "client_assertion" in form:
            return self.asserted(form)
        if header.startswith("Basic"):
            if secret and self.flaw != "client-two-methods":
                raise RefusedError("invalid_request")
            method = "client_secret_basic"
            client_id, secret = self.basic(header)
            if self.flaw == "client-basic-alone" and "client_id" not in form:
                raise RefusedError("invalid_client", 401)
        client = self.state.clients.get(client_id)
        if client is None:
            if self.flaw == "token-bogus-code" and not header:
                raise RefusedError("invalid_grant", 401)
            raise RefusedError("invalid_client", 400 if self.flaw == "token-basic-status" else 401)
        bare = BARE.get(form.get("grant_type", "")) == self.flaw and method == "none"
        if not bare:
            self.check_secret(client, method, secret, secret != form.get("client_secret", "") and not header)
        return client

    def basic(self, header: str) -> tuple[str, str]:
        """Return the credentials of a Basic header."""
        try:
            name, colon, value = base64.b64decode(header[6:], validate=True).decode().partition(":")
        except ValueError:
            name = colon = value = ""
        if not colon:
            raise RefusedError("invalid_client", 500 if self.flaw == "client-basic-malformed" else 401)
        if self.flaw == "client-basic-encoded":
            return name, value
        return unquote_plus(name), unquote_plus(value)

    def check_secret(self, client: Client, method: str, secret: str, by_query: bool) -> None:
        """Refuse a client that does not prove itself by its own method."""
        other = {method, client.method} <= {"client_secret_basic", "client_secret_post"}
        free = self.flaw == "client-method-registered" or by_query
        if method != client.method and not (other and free):
            raise RefusedError("invalid_client", 401)
        if not secrets.compare_digest(secret, client.secret) and self.flaw != "client-wrong-secret":
            raise RefusedError("invalid_client", 401)

    # Assertions

    def asserted(self, form: dict[str, str]) -> Client:
        """Authenticate by an assertion (RFC 7523)."""
        try:
            claims = jwt.get_unverified_claims(form["client_assertion"])
            subject = form["client_id"] if self.flaw == "assertion-sub-mismatch" else claims["sub"]
            client = self.state.clients[subject]
            self.check_signature(form["client_assertion"], client)
        except (JWTError, KeyError, ValueError):
            raise RefusedError("invalid_client", 401) from None
        if self.flaw == "assertion-works" or not self.right_claims(claims, client):
            raise RefusedError("invalid_client", 401)
        self.state.assertions.add(claims["jti"])
        return client

    def check_signature(self, assertion: str, client: Client) -> None:
        """Verify the signature; raises JWTError."""
        header = json.loads(decode(assertion.split(".", maxsplit=1)[0]))
        keys = client.metadata["jwks"]["keys"]
        if self.flaw == "assertion-no-kid" and "kid" not in header:
            keys = keys[-1:]
        (key,) = [key for key in keys if header.get("kid") in {None, key["kid"]}]
        if header["alg"] == "none" and self.flaw == "assertion-alg-none":
            return
        if header["alg"] == "HS256" and self.flaw == "assertion-confused":
            content, _, signature = assertion.rpartition(".")
            if hmac.digest(public_pem(key), content.encode(), hashlib.sha256) == decode(signature):
                return
        if header["alg"] == "ES256" and self.flaw == "assertion-wrong-key":
            return
        options = {f"verify_{name}": False for name in ("aud", "exp", "iat", "sub", "iss")}
        jwt.decode(assertion, jwk.construct(key, "ES256"), algorithms=["ES256"], options=options)

    def right_claims(self, claims: dict[str, Any], client: Client) -> bool:
        """Say whether it is about this client, for this server, and neither old nor used."""
        own = {self.base, f"{self.base}/token"}
        audience = claims["aud"]
        if self.flaw == "assertion-audience-list" and isinstance(audience, list):
            audience = next((item for item in audience if item in own), "")
        expiry = claims.get("exp", time.time() + 60 if self.flaw == "assertion-no-expiry" else 0)
        return (
            (claims["iss"] == client.client_id or self.flaw == "assertion-iss-mismatch")
            and ((isinstance(audience, str) and audience in own) or self.flaw == "assertion-wrong-audience")
            and (expiry > time.time() or (self.flaw == "assertion-expired" and "exp" in claims))
            and (claims["jti"] not in self.state.assertions or self.flaw == "assertion-replayed-jti")
        )
