"""The token endpoint, revocation and introspection of the flawed server."""

import base64
import hashlib
import json
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from flawed_state import Client, Grant, State
from jose import JWTError, jwk, jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class RefusedError(Exception):
    """A request that is refused with a status and an error."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.status = error, status


class TokenEndpoints:
    """The endpoints; `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.base = state, flaw, state.base

    async def token(self, request: Request) -> Response:
        """Answer a token request."""
        headers = {} if self.flaw == "token-no-store" else dict(NO_STORE)
        try:
            answer, status = self.issue(await self.form(request), request), 200
        except RefusedError as refused:
            answer, status = {"error": refused.error}, refused.status
        if request.headers.get("authorization", "").startswith("Basic") and self.flaw != "token-basic-challenge":
            headers["WWW-Authenticate"] = 'Basic realm="token"'
        media_type = "text/html" if self.flaw == "token-error-json" and status != 200 else "application/json"
        body = "<p>Internal error</p>" if status == 500 else json.dumps(answer)
        return Response(body, status, headers, media_type)

    async def form(self, request: Request) -> dict[str, str]:
        """Read the form, or refuse the request."""
        if request.method != "POST":
            raise RefusedError("invalid_request", 400 if self.flaw == "token-get" else 405)
        if request.headers.get("content-type", "").startswith("application/json"):
            raise RefusedError("invalid_request", 500 if self.flaw == "token-json-body" else 400)
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True)
        names = [name for name, _ in pairs if name != "resource"]
        if len(names) != len(set(names)) and self.flaw != "client-first":
            raise RefusedError("invalid_grant" if self.flaw == "token-duplicate" else "invalid_request")
        form = dict(pairs)
        if self.flaw == "client-first":
            raise RefusedError("invalid_client", 401)
        if "grant_type" not in form:
            raise RefusedError("invalid_grant" if self.flaw == "token-missing-grant" else "invalid_request")
        if form["grant_type"] not in {"authorization_code", "refresh_token"}:
            raise RefusedError(
                "invalid_request" if self.flaw == "token-unsupported-grant" else "unsupported_grant_type"
            )
        return form

    def issue(self, form: dict[str, str], request: Request) -> dict[str, Any]:
        """Return the token response."""
        client = self.client(form, request)
        return self.redeem(form, client) if form["grant_type"] == "authorization_code" else self.rotate(form, client)

    # Client authentication

    def client(self, form: dict[str, str], request: Request) -> Client:
        """Authenticate the client (OAuth 2.1 section 2.4)."""
        header = request.headers.get("authorization", "")
        client_id, secret, method = form.get("client_id", ""), form.get("client_secret", ""), "none"
        if secret:
            method = "client_secret_post"
        if "client_assertion" in form:
            return self.asserted(form)
        if header.startswith("Basic "):
            if secret:
                raise RefusedError("invalid_request")
            method = "client_secret_basic"
            try:
                name, _, value = base64.b64decode(header[6:]).decode().partition(":")
            except ValueError:
                raise RefusedError("invalid_client", 401) from None
            client_id, secret = unquote_plus(name), unquote_plus(value)
        client = self.state.clients.get(client_id)
        if client is None:
            if self.flaw == "token-bogus-code" and not header:
                raise RefusedError("invalid_grant", 401)
            raise RefusedError("invalid_client", 400 if self.flaw == "token-basic-status" else 401)
        if method != client.method or not secrets.compare_digest(secret, client.secret):
            raise RefusedError("invalid_client", 401)
        return client

    def asserted(self, form: dict[str, str]) -> Client:
        """Authenticate by an assertion (RFC 7523)."""
        assertion = form["client_assertion"]
        try:
            claims, header = jwt.get_unverified_claims(assertion), jwt.get_unverified_header(assertion)
            client = self.state.clients[claims["sub"]]
            (key,) = client.metadata["jwks"]["keys"]
            jwt.decode(assertion, jwk.construct(key, "ES256"), algorithms=["ES256"], options={"verify_aud": False})
        except (JWTError, KeyError, ValueError):
            raise RefusedError("invalid_client", 401) from None
        right = claims["iss"] == claims["sub"] and claims["aud"] in {self.base, f"{self.base}/token"}
        fresh = claims["jti"] not in self.state.assertions and claims["exp"] > time.time()
        if header["alg"] != "ES256" or not right or not fresh:
            raise RefusedError("invalid_client", 401)
        self.state.assertions.add(claims["jti"])
        return client

    # Grants

    def redeem(self, form: dict[str, str], client: Client) -> dict[str, Any]:
        """Redeem a code (OAuth 2.1 section 4.1.3)."""
        code = self.state.codes.get(form.get("code", ""))
        if code is None or code.client is not client:
            raise RefusedError("invalid_grant")
        if form.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
            raise RefusedError("invalid_grant")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
            code.used = True
            raise RefusedError("invalid_grant")
        if code.used:
            if code.grant is not None:
                code.grant.revoked = True
            raise RefusedError("invalid_grant")
        if form.get("resource", code.resource) != code.resource:
            raise RefusedError("invalid_target")
        code.used = True
        code.grant = grant = Grant(client, code.scope, code.resource)
        self.state.grants[grant.grant_id] = grant
        answer = self.tokens(grant, grant.scope)
        if "openid" in grant.scope and self.flaw != "id-token-issued":
            answer["id_token"] = self.state.id_token(grant, code.nonce)
        return answer

    def rotate(self, form: dict[str, str], client: Client) -> dict[str, Any]:
        """Refresh (OAuth 2.1 section 4.3)."""
        token = form.get("refresh_token", "")
        grant = self.state.family_of(token)
        if grant is None or grant.client is not client or grant.revoked:
            raise RefusedError("invalid_grant")
        if token in grant.old:
            grant.revoked = True
            raise RefusedError("invalid_grant")
        scope = form.get("scope", " ".join(grant.scope)).split()
        if not set(scope) <= set(grant.scope):
            raise RefusedError("invalid_scope")
        if form.get("resource", grant.resource) != grant.resource:
            raise RefusedError("invalid_target")
        return self.tokens(grant, scope)

    def tokens(self, grant: Grant, scope: list[str]) -> dict[str, Any]:
        """Return a token response; the refresh token is replaced."""
        if grant.live:
            grant.old.add(grant.live)
        grant.live = secrets.token_urlsafe(16)
        return {
            "access_token": self.state.access_token(grant, scope),
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": " ".join(scope),
            "refresh_token": grant.live,
        }

    # Revocation and introspection

    async def revoke(self, request: Request) -> Response:
        """Revoke a token of the client's own (RFC 7009)."""
        form = dict(parse_qsl((await request.body()).decode()))
        try:
            client = self.client(form, request)
        except RefusedError:
            return JSONResponse({"error": "invalid_client"}, 401, {**NO_STORE, "WWW-Authenticate": 'Basic realm="t"'})
        token = form.get("token", "")
        grant = self.state.family_of(token) or self.grant_of(token)
        if grant is not None and grant.client is client:
            grant.revoked = True
        return Response(status_code=200, headers=NO_STORE)

    async def introspect(self, request: Request) -> Response:
        """Tell a confidential client about its own tokens (RFC 7662)."""
        form = dict(parse_qsl((await request.body()).decode()))
        try:
            client = self.client(form, request)
        except RefusedError:
            client = None
        if client is None or not client.secret:
            return JSONResponse({"error": "invalid_client"}, 401, {**NO_STORE, "WWW-Authenticate": 'Basic realm="t"'})
        token = form.get("token", "")
        grant = self.state.family_of(token) or self.grant_of(token)
        if grant is None or grant.client is not client or grant.revoked or token in grant.old:
            return JSONResponse({"active": False}, 200, NO_STORE)
        scope = " ".join(grant.scope)
        return JSONResponse({"active": True, "client_id": client.client_id, "scope": scope}, 200, NO_STORE)

    def grant_of(self, token: str) -> Grant | None:
        """Return the grant of an access token of ours."""
        return self.state.issued[token][0] if token in self.state.issued else None
