"""The token endpoint of the flawed server: what it reads, and how it answers."""

import json
from typing import Any
from urllib.parse import parse_qsl

import anyio
from flawed_clients import Clients, RefusedError
from flawed_grants import Grants
from flawed_state import State
from starlette.requests import Request
from starlette.responses import Response

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
FORM = "application/x-www-form-urlencoded"
BODIES = {
    "application/json": "token-json-body",
    "multipart/form-data": "token-multipart",
    "text/plain": "token-text-plain",
}
LARGEST = 65536


class TokenEndpoints:
    """The endpoint; `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.base = state, flaw, state.base
        self.clients, self.grants = Clients(state, flaw), Grants(state, flaw)

    async def token(self, request: Request) -> Response:
        """Answer a token request."""
        if request.method == "OPTIONS":
            return self.preflight()
        try:
            form = await self.form(request)
            await self.race(form)
            answer, status = self.issue(form, request), 200
        except RefusedError as refused:
            answer, status = {"error": refused.error}, refused.status
            if self.flaw == "token-error-chars":
                answer["error_description"] = 'The parameter "code" is wrong.'
            if self.flaw == "token-invalid-grant-status" and refused.error == "invalid_grant":
                status = 401
        headers = {} if self.flaw == ("token-no-store-success" if status == 200 else "token-no-store") else {**NO_STORE}
        if request.headers.get("authorization", "").startswith("Basic") and self.flaw != "token-basic-challenge":
            headers["WWW-Authenticate"] = 'Basic realm="token"'
        media_type = "text/html" if self.flaw == "token-error-json" and status != 200 else "application/json"
        body = "<p>Internal error</p>" if status == 500 else json.dumps(answer)
        return Response(body, status, headers, media_type)

    def preflight(self) -> Response:
        """Answer a browser that asks whether it may ask."""
        if self.flaw == "token-cors":
            return Response(status_code=405)
        fields = {"Access-Control-Allow-Origin": self.base, "Access-Control-Allow-Headers": "content-type"}
        return Response(status_code=204, headers=fields)

    async def race(self, form: dict[str, str]) -> None:
        """Look at a code long before it is marked as used."""
        code = self.state.codes.get(form.get("code", ""))
        if self.flaw == "token-code-parallel" and code is not None and not code.used:
            await anyio.sleep(0.01)
            code.used = False

    async def form(self, request: Request) -> dict[str, str]:
        """Read the form, or refuse the request."""
        if request.method != "POST":
            raise RefusedError("invalid_request", {"token-get": 400, "token-get-404": 404}.get(self.flaw, 405))
        media_type = request.headers.get("content-type", "").partition(";")[0]
        if media_type != FORM:
            raise RefusedError("invalid_request", 500 if self.flaw == BODIES[media_type] else 400)
        body = await request.body()
        if len(body) > LARGEST:
            raise RefusedError("invalid_request", 500 if self.flaw == "token-large-body" else 413)
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        names = [name for name, _ in pairs if name != "resource"]
        if self.flaw == "client-first":
            raise RefusedError("invalid_client", 401)
        form = dict(pairs)
        if self.flaw == "client-order" and "client_assertion" not in form:
            self.clients.authenticate(form, request)
        if len(names) != len(set(names)):
            raise RefusedError("invalid_grant" if self.flaw == "token-duplicate" else "invalid_request")
        if self.flaw == "token-query":
            form = {**dict(parse_qsl(request.url.query)), **form}
        return self.granting(form)

    def granting(self, form: dict[str, str]) -> dict[str, str]:
        """Refuse grants that are not supported."""
        if "grant_type" not in form:
            raise RefusedError("invalid_grant" if self.flaw == "token-missing-grant" else "invalid_request")
        kind = form["grant_type"]
        if kind == "password" and self.flaw == "token-password-grant":
            raise RefusedError("invalid_grant")
        if kind == "client_credentials" and self.flaw == "client-credentials-invalid":
            raise RefusedError("invalid_request")
        known = {"authorization_code", "refresh_token"}
        known |= {"client_credentials"} if self.flaw == "token-client-credentials" else set()
        if kind not in known:
            raise RefusedError(
                "invalid_request"
                if self.flaw == "token-unsupported-grant" and ":" in kind
                else "unsupported_grant_type"
            )
        return form

    def issue(self, form: dict[str, str], request: Request) -> dict[str, Any]:
        """Return the token response."""
        client = self.clients.authenticate(form, request)
        if form["grant_type"] == "client_credentials":
            return self.grants.own(client)
        if form["grant_type"] == "authorization_code":
            return self.grants.redeem(form, client)
        return self.grants.refresh(form, client)
