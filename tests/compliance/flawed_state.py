"""What the flawed server remembers: clients, codes, grants; and the tokens it makes of them."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import flawed_claims

USER, PASSWORD = "alice", "correct horse battery"


@dataclass
class Client:
    """A registered client."""

    client_id: str
    metadata: dict[str, Any]
    secret: str = ""
    management: str = ""

    @property
    def method(self) -> str:
        """How it authenticates."""
        return str(self.metadata["token_endpoint_auth_method"])


@dataclass
class Grant:
    """What a person granted to a client; its refresh tokens are a family, of which `live` is the last."""

    client: Client
    scope: list[str]
    resource: str
    grant_id: str = field(default_factory=lambda: secrets.token_urlsafe(8))
    live: str = ""
    old: set[str] = field(default_factory=set)
    revoked: bool = False
    revoked_access: set[str] = field(default_factory=set)


@dataclass
class Code:
    """A code, until it is redeemed; afterwards `grant` is what came of it."""

    client: Client
    redirect_uri: str
    challenge: str
    scope: list[str]
    resource: str
    nonce: str
    used: bool = False
    grant: Grant | None = None


class State:
    """All of it, in memory."""

    def __init__(self, base: str, flaw: str = "") -> None:
        self.base, self.flaw = base, flaw
        self.issued: dict[str, tuple[Grant, list[str]]] = {}  # access tokens
        self.clients: dict[str, Client] = {}
        self.codes: dict[str, Code] = {}
        self.grants: dict[str, Grant] = {}
        self.assertions: set[str] = set()
        self.deleted = 0

    def access_token(self, grant: Grant, scope: list[str], **claims: Any) -> str:
        """Sign an access token (RFC 9068); `claims` replace, None leaves out."""
        now = int(time.time())
        right = {
            "iss": self.base,
            "aud": grant.resource,
            "sub": "user-1",
            "client_id": grant.client.client_id,
            "scope": " ".join(scope),
            "jti": secrets.token_urlsafe(8),
            "gid": grant.grant_id,
            "iat": now,
            "exp": now + 3600,
        }
        token = flawed_claims.access_token({**right, **claims}, self.flaw)
        self.issued[token] = (grant, scope)
        return token

    def id_token(self, grant: Grant, nonce: str, **claims: Any) -> str:
        """Sign an ID token (OpenID Connect Core section 2)."""
        now = int(time.time())
        right = {"iss": self.base, "aud": grant.client.client_id, "sub": "user-1", "iat": now, "exp": now + 300}
        return flawed_claims.id_token({**right, **({"nonce": nonce} if nonce else {}), **claims}, self.flaw)

    def family_of(self, token: str) -> Grant | None:
        """Return the grant that a refresh token belongs to, live or replaced."""
        return next((grant for grant in self.grants.values() if token == grant.live or token in grant.old), None)
