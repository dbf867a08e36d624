"""How the flawed server judges access tokens: by what it issued, and by what its flaw lets in besides."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from flawed_documents import ID_SIGNER, PUBLIC_PEM, TOKEN
from flawed_state import State
from jose import jwk, jwt
from jose.exceptions import JOSEError

from oauth_server.compliance.jws import Jws, read

BOTH = frozenset({"mcp:read", "mcp:write"})


class Verifier:
    """Says which scopes a token holds here; None for a token that is refused."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.base = state, flaw, state.base

    def scopes(self, token: str) -> frozenset[str] | None:
        """Judge a token."""
        if token == TOKEN:
            return None if self.flaw == "bearer-accepted" else BOTH
        if token in self.state.issued:
            grant, scope = self.state.issued[token]
            own = grant.resource in {self.base, f"{self.base}/mcp"} or self.flaw == "resource-authorize-foreign"
            begins = self.flaw == "resource-prefix" and grant.resource.startswith(self.base)
            good = (own or begins) and not grant.revoked and self.flaw != "bearer-accepted"
            return frozenset(scope) if good else None
        if self.flaw == "bearer-refresh-token" and self.state.family_of(token):
            return BOTH
        parsed = read(token)
        return BOTH if parsed is not None and self.lets_in(token, parsed) else None

    def lets_in(self, token: str, parsed: Jws) -> bool:
        """Say whether the flaw lets a forgery in."""
        kid, algorithm = parsed.header.get("kid"), parsed.algorithm
        known = parsed.content in {issued.rpartition(".")[0] for issued in (*self.state.issued, TOKEN)}
        plain = set(parsed.header) <= {"alg", "kid", "typ"} and algorithm == "ES256"
        return {
            "bearer-unsigned": lambda: algorithm == "none",
            "bearer-tampered": lambda: known,
            "bearer-self-signed": lambda: plain and kid == "ec" and not known,
            "bearer-unknown-kid": lambda: plain and kid != "ec",
            "bearer-confused-algorithm": lambda: self.authenticated(parsed, PUBLIC_PEM),
            "bearer-kid-injection": lambda: self.looked_up(parsed, str(kid)),
            "bearer-jwk-header": lambda: self.verified(token, parsed.header.get("jwk")),
            "bearer-jku-header": lambda: self.verified(token, self.fetched(parsed.header)),
            "bearer-id-token": lambda: self.verified(token, ID_SIGNER.public_key().to_dict(), "RS256"),
        }.get(self.flaw, lambda: False)()

    def authenticated(self, parsed: Jws, secret: bytes) -> bool:
        """Verify an HMAC."""
        right = hmac.digest(secret, parsed.content.encode(), hashlib.sha256)
        return parsed.algorithm == "HS256" and right == parsed.signature

    def looked_up(self, parsed: Jws, kid: str) -> bool:
        """Verify with what stands in the file, or comes of the query, that kid is a part of."""
        secret = b"" if kid.endswith("/dev/null") else kid.partition("SELECT '")[2].partition("'")[0].encode()
        return self.authenticated(parsed, secret)

    def fetched(self, header: Mapping[str, Any]) -> Any:
        """Fetch the keys that jku leads to."""
        encoded = str(header.get("jku", "")).partition("base64,")[2]
        return json.loads(base64.b64decode(encoded))["keys"][0] if encoded else None

    def verified(self, token: str, key: Any, algorithm: str = "ES256") -> bool:
        """Verify with a key that came along."""
        if not isinstance(key, dict):
            return False
        try:
            jwt.decode(token, jwk.construct(key, algorithm), algorithms=[algorithm], options={"verify_aud": False})
        except JOSEError:
            return False
        return True
