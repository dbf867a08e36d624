"""Revocation and introspection of the flawed server."""

from typing import Any
from urllib.parse import parse_qsl

from flawed_clients import Clients, RefusedError
from flawed_state import Client, Grant, State
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Revocation:
    """The endpoints; `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.clients = state, flaw, Clients(state, flaw)

    async def asked(self, request: Request) -> tuple[Client | None, str]:
        """Return who asks, None for nobody, and about which token."""
        form = dict(parse_qsl((await request.body()).decode()))
        try:
            return self.clients.authenticate(form, request), form.get("token", "")
        except RefusedError:
            return None, form.get("token", "")

    def refused(self) -> Response:
        """Ask for credentials."""
        return JSONResponse({"error": "invalid_client"}, 401, {**NO_STORE, "WWW-Authenticate": 'Basic realm="t"'})

    async def revoke(self, request: Request) -> Response:
        """Revoke a token of the client's own (RFC 7009)."""
        if request.method == "GET":
            return Response(status_code=200 if self.flaw == "revoke-get" else 405)
        client, token = await self.asked(request)
        if client is None:
            return self.refused()
        if self.flaw == "revoke-wants-secret" and not client.secret:
            return JSONResponse({"error": "invalid_request"}, 400, NO_STORE)
        family, grant = self.state.family_of(token), self.grant_of(token)
        found = family or grant
        if found is None and self.flaw == "revoke-unknown":
            return JSONResponse({"error": "invalid_request"}, 400, NO_STORE)
        if found is not None and (found.client is client or self.flaw == "revoke-other-client"):
            self.end(found, token, refresh=family is not None)
        return Response(status_code=200, headers=NO_STORE)

    def end(self, grant: Grant, token: str, *, refresh: bool) -> None:
        """End a grant, or what the flaw leaves of that."""
        if refresh and self.flaw == "revoke-refresh":
            return
        if refresh and self.flaw == "revoke-ends-grant":
            grant.refresh_ended = True
        elif not refresh and self.flaw == "revoke-access":
            grant.revoked_access.add(token)
        else:
            grant.revoked = True

    async def introspect(self, request: Request) -> Response:
        """Tell a confidential client about its own tokens (RFC 7662)."""
        if request.method == "GET":
            return Response(status_code=200 if self.flaw == "introspect-get" else 405)
        client, token = await self.asked(request)
        if (client is None or not client.secret) and self.flaw != "introspect-unauthenticated":
            return self.refused()
        headers = {} if self.flaw == "introspect-no-store" else NO_STORE
        if not (self.state.family_of(token) or self.grant_of(token)) and self.flaw == "introspect-garbage":
            return JSONResponse({"error": "invalid_token"}, 400, headers)
        return JSONResponse(self.told(client, token), 200, headers)

    def told(self, client: Client | None, token: str) -> dict[str, Any]:
        """Return what this client is told of a token."""
        grant = self.state.family_of(token) or self.grant_of(token)
        own = grant is not None and (grant.client is client or self.flaw == "introspect-other-client" or client is None)
        if grant is None or not own or not self.lives(grant, token):
            return {"active": False, **({"reason": "unknown"} if self.flaw == "introspect-bare" else {})}
        active = "true" if self.flaw == "introspect-active" else True
        return {"active": active, "client_id": grant.client.client_id, "scope": " ".join(grant.scope)}

    def lives(self, grant: Grant, token: str) -> bool:
        """Say whether a token of this grant is good."""
        revoked = grant.revoked or token in grant.revoked_access
        return token not in grant.old and (not revoked or self.flaw == "introspect-revoked")

    def grant_of(self, token: str) -> Grant | None:
        """Return the grant of an access token of ours."""
        return self.state.issued[token][0] if token in self.state.issued else None
