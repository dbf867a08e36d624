"""What the flawed server remembers: clients, codes, grants; and the tokens it makes of them."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import flawed_claims

USER, PASSWORD = "alice", "correct horse battery"
SCOPES = {"mcp:read", "mcp:write", "openid", "offline_access"}
FOREIGN = "https://resource.invalid/mcp"


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
    previous: str = ""  # what `live` replaced, as long as that is unused
    twins: set[str] = field(default_factory=set)
    old: set[str] = field(default_factory=set)
    revoked: bool = False
    refresh_ended: bool = False
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
        self.waited = False  # for the flaw refresh-overlap: whether somebody waited

    def access_token(self, grant: Grant, scope: list[str], **claims: Any) -> str:
        """Sign an access token (RFC 9068); `claims` replace, None leaves out."""
        now = int(time.time())
        right = {
            "iss": self.base,
            "aud": grant.resource.split() if " " in grant.resource else grant.resource,
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
        return next(
            (grant for grant in self.grants.values() if token in {grant.live, *grant.old, *grant.twins} and token), None
        )

    def target(self, resources: list[str], flaw: str = "") -> str | None:
        """Return the audience of a request for these resources, None where one of them is not served here."""
        own = [f"{self.base}/mcp", self.base][flaw == "resource-metadata-value" :]
        if flaw == "resource-authorize-foreign" and resources:
            return resources[0]
        (only,) = resources if len(resources) == 1 else ("",)
        if flaw == "resource-prefix" and only.startswith(self.base) and "#" not in only:
            return only
        if flaw in {"resource-ignored", "resource-invalid-target"}:
            foreign = [item for item in resources if item == FOREIGN or flaw == "resource-ignored"]
            resources = [item for item in resources if item not in foreign]
        if flaw == "resource-two-one-foreign":
            resources = resources[:1]
        named = {self.spelt(item, flaw) for item in resources}
        if flaw == "resource-one-token" and len(named) > 1 and named <= set(own):
            return " ".join(sorted(named))
        return next(iter(named), own[0]) if named <= set(own) else None

    def spelt(self, resource: str, flaw: str) -> str:
        """Return a resource as it is compared."""
        if flaw == "resource-relative":
            resource = urljoin(self.base, resource)
        if flaw == "resource-fragment":
            resource = resource.partition("#")[0]
        if flaw != "resource-trailing-slash":
            resource = resource.removesuffix("/")
        start = len(self.base)
        return resource if flaw == "resource-upper-case" else resource[:start].lower() + resource[start:]

    def scope(self, fields: dict[str, list[str]], flaw: str) -> list[str]:
        """Return what an authorization request may be granted; nothing where it is refused."""
        asked = fields.get("scope", [""])[0]
        client = self.clients.get(fields["client_id"][0])
        unregistered = client is not None and "scope" not in client.metadata
        if (
            (flaw == "scope-unregistered" and unregistered)
            or (flaw == "scope-offline-access" and "offline_access" in asked)
            or (flaw == "scope-empty" and "scope" in fields and not asked)
        ):
            return []
        return [scope for scope in (asked or "mcp:read").split() if scope in SCOPES]
