"""Codes and refresh tokens of the flawed server."""

import base64
import hashlib
import secrets
from typing import Any

from flawed_clients import RefusedError
from flawed_state import Client, Code, Grant, State


class Grants:
    """What codes and refresh tokens bring; `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.base = state, flaw, state.base

    def redeem(self, form: dict[str, str], client: Client) -> dict[str, Any]:
        """Redeem a code (OAuth 2.1 section 4.1.3)."""
        code = self.state.codes.get(form.get("code", ""))
        if code is None:
            raise RefusedError("invalid_grant")
        if code.client is not client and self.flaw != "token-code-other-client":
            code.used = code.used or self.flaw == "token-code-kept"
            raise RefusedError("invalid_grant")
        self.check_redirect(form, code)
        if not self.verified(form, code.challenge):
            code.used = True
            raise RefusedError("invalid_grant")
        if code.used and self.flaw != "token-code-replay":
            if code.grant is not None and self.flaw != "token-code-replay-revokes":
                code.grant.revoked = True
            if self.flaw == "replay-ends-all":
                self.end_all(code.client)
            raise RefusedError("invalid_grant")
        asked = form.get("resource", code.resource)
        flaw = "" if self.flaw == "resource-invalid-target" else self.flaw
        same = asked == code.resource or self.state.target([asked], flaw) == code.resource
        same = same or " " in code.resource  # for the flaw resource-one-token
        if not same and self.flaw != "resource-token-foreign":
            raise RefusedError("invalid_target")
        code.used = True
        more = ["mcp:write"] if self.flaw == "scope-granted-subset" and "mcp:write" not in code.scope else []
        code.grant = grant = Grant(client, [*code.scope, *more], code.resource)
        self.state.grants[grant.grant_id] = grant
        grant.live = secrets.token_urlsafe(16)
        answer = self.answer(grant, grant.scope, grant.live)
        if "openid" in grant.scope and self.flaw != "id-token-issued":
            answer["id_token"] = self.state.id_token(grant, code.nonce)
        return answer

    def end_all(self, client: Client) -> None:
        """End all that was granted to a client, its codes too."""
        for grant in self.state.grants.values():
            grant.revoked = grant.revoked or grant.client is client
        for code in self.state.codes.values():
            code.used = code.used or code.client is client

    def check_redirect(self, form: dict[str, str], code: Code) -> None:
        """Compare the redirect URI, where one is sent."""
        sent = form.get("redirect_uri")
        if sent is None and self.flaw in {"token-omitted-redirect", "redirect-not-compared"}:
            raise RefusedError("invalid_request")
        if self.flaw not in {"redirect-not-compared", "redirect-ignored"} and sent not in {None, code.redirect_uri}:
            raise RefusedError("invalid_request" if self.flaw == "token-wrong-redirect" else "invalid_grant")

    def verified(self, form: dict[str, str], challenge: str) -> bool:
        """Say whether the verifier is that of the challenge."""
        verifier = form.get("code_verifier")
        if not verifier:
            return self.flaw == ("pkce-missing-verifier" if verifier is None else "pkce-empty-verifier")
        if verifier == challenge and self.flaw == "pkce-challenge-as-verifier":
            return True
        if len(verifier) < 43 and self.flaw != "pkce-short-verifier":
            return False
        digest = hashlib.sha256(verifier.encode()).digest()
        hashed = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return hashed == challenge or (self.flaw == "pkce-wrong-verifier" and verifier != challenge)

    def own(self, client: Client) -> dict[str, Any]:
        """Issue a token to a client for itself."""
        grant = Grant(client, ["mcp:read"], f"{self.base}/mcp")
        self.state.grants[grant.grant_id] = grant
        return self.answer(grant, grant.scope, "")

    # Refresh

    def refresh(self, form: dict[str, str], client: Client) -> dict[str, Any]:
        """Refresh (OAuth 2.1 section 4.3)."""
        token = form.get("refresh_token", "")
        grant = self.family(token, client)
        if grant is None:
            raise RefusedError("invalid_request" if self.flaw == "refresh-garbage" else "invalid_grant")
        foreign = grant.client is not client and self.flaw != "refresh-other-client"
        if foreign or grant.revoked or grant.refresh_ended or self.flaw == "refresh-works":
            raise RefusedError("invalid_grant")
        scope = self.narrowed(form, grant)
        resource = form.get("resource", grant.resource)
        free = self.flaw in {"refresh-foreign-resource", "resource-ignored"}
        if resource != grant.resource and self.state.target([resource], self.flaw) != grant.resource and not free:
            raise RefusedError("invalid_target")
        live = self.rotated(grant, token)
        audience = resource if self.flaw == "refresh-foreign-resource" else grant.resource
        return self.answer(grant, scope, live, aud=audience)

    def family(self, token: str, client: Client) -> Grant | None:
        """Return the grant of a refresh token, or of whatever the flaw takes for one."""
        if self.flaw == "refresh-access-token" and token.count(".") == 2:
            return next(grant for grant in self.state.grants.values() if grant.client is client and not grant.revoked)
        return self.state.family_of(token)

    def narrowed(self, form: dict[str, str], grant: Grant) -> list[str]:
        """Return the scope of a refresh."""
        scope = form.get("scope", " ".join(grant.scope)).split()
        less = set(scope) < set(grant.scope)
        if less and self.flaw == "refresh-narrowing":
            return grant.scope
        if less and self.flaw == "refresh-scope-kept":
            grant.scope = scope
        if not set(scope) <= set(grant.scope) and self.flaw != "refresh-scope-widening":
            grant.revoked = self.flaw == "refresh-refusal-keeps"
            raise RefusedError("invalid_scope")
        return scope

    def rotated(self, grant: Grant, token: str) -> str:
        """Replace a refresh token; its predecessor gets the same successor, as long as that is unused."""
        lenient = self.flaw == "refresh-old-ends" or (self.flaw == "refresh-overlap" and not self.state.waited)
        if self.flaw == "refresh-rotates" or token.count(".") == 2:
            return grant.live
        if token in grant.twins and not self.state.waited:
            return token
        if token == grant.previous and self.flaw == "refresh-parallel":
            twin = secrets.token_urlsafe(16)
            grant.twins.add(twin)
            return twin
        if token == grant.previous and self.flaw == "refresh-grace":
            raise RefusedError("invalid_grant")
        if token == grant.previous and self.flaw != "refresh-race" and not lenient:
            return grant.live
        if token != grant.live and not lenient:
            grant.revoked = self.flaw != "refresh-reuse-revokes"
            raise RefusedError("invalid_grant")
        if lenient:
            grant.twins.add(grant.live)
        grant.old.add(token)
        grant.previous, grant.live = token, secrets.token_urlsafe(16)
        return grant.live

    def answer(self, grant: Grant, scope: list[str], refresh_token: str, **claims: Any) -> dict[str, Any]:
        """Return a token response."""
        members = {
            "access_token": self.state.access_token(grant, scope, **claims),
            "token_type": "JWT" if self.flaw == "token-response" else "Bearer",
            "expires_in": {"token-expires-in": "3600", "token-lifetime": 30 * 86400}.get(self.flaw, 3600),
            "scope": " ".join(scope),
            "refresh_token": refresh_token,
        }
        absent = {"token-scope-stated": "scope", "refresh-issued": "refresh_token"}.get(self.flaw)
        if self.flaw == "refresh-offline" and "offline_access" not in grant.scope:
            absent = "refresh_token"
        found = {name: value for name, value in members.items() if value and name != absent}
        return found | {"token-types": {"scope": scope}, "token-null-refresh": {"refresh_token": None}}.get(
            self.flaw, {}
        )
