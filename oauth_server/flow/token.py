"""The token endpoint (OAuth 2.1 section 3.2, RFC 6749 sections 4.1.3, 4.4, 5 and 6)."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oauth_server import metrics
from oauth_server.core import pkce
from oauth_server.core.capabilities import GRANT_TYPES
from oauth_server.core.client_authentication import Holding
from oauth_server.core.errors import (
    InvalidGrantError,
    InvalidRequestError,
    UnauthorizedClientError,
    UnsupportedGrantTypeError,
)
from oauth_server.core.policies import TOKEN_REQUESTS
from oauth_server.core.services import Services
from oauth_server.flow.http import Params, authorization_of, json_reply, read_form
from oauth_server.store.records import Client

# The parameter that a client known by its metadata document is judged by.
_HELD: Mapping[str, Holding] = {"authorization_code": "code", "refresh_token": "refresh_token"}


class Token:
    """The endpoint's handler."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def post(self, request: Request) -> Response:
        """Exchange a code, a refresh token or the client's own credentials for tokens."""
        form = await read_form(request)
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise InvalidRequestError("grant_type is missing.")
        if grant_type not in GRANT_TYPES:
            raise UnsupportedGrantTypeError
        # Asked before anything is used up: what could not be answered may be asked again.
        self._services.tokens.keys.require_signers()
        authorization, held = authorization_of(request), _HELD.get(grant_type)
        client = await self._services.client_authentication.authenticate(authorization, form.values, held)
        if client.confidential:
            self._services.rate_limits.take(TOKEN_REQUESTS, client.client_id)
        try:
            granted = await self._by_registration(client, grant_type, form)
        except InvalidGrantError:
            if not client.confidential:
                self._services.client_authentication.refused()
            raise
        metrics.TOKENS.add(grant_type)
        return json_reply(granted)

    async def _by_registration(self, client: Client, grant_type: str, form: Params) -> dict[str, Any]:
        clients = self._services.clients
        try:
            return await self._granted(client, grant_type, form)
        except UnauthorizedClientError:  # raised before anything is used up
            fresh = await clients.find(client.client_id) if clients.forget(client.client_id) else None
            if fresh is None:
                raise
            return await self._granted(fresh, grant_type, form)

    async def _granted(self, client: Client, grant_type: str, form: Params) -> dict[str, Any]:
        if grant_type not in client.grant_types:
            raise UnauthorizedClientError
        if grant_type == "client_credentials":
            return await self._services.client_credentials.issue(client, form.values, form.resources)
        if grant_type == "refresh_token":
            _require(form, "refresh_token")
            return await self._services.grants.refresh(client, form.values, form.resources)
        return await self._redeem(client, form)

    async def _redeem(self, client: Client, form: Params) -> dict[str, Any]:
        _require(form, "code")
        verifier = _require(form, "code_verifier")
        # code_verifier = 43*128unreserved (RFC 7636 section 4.1)
        if not pkce.valid_verifier(verifier):
            raise InvalidGrantError("code_verifier must be 43 to 128 letters, digits or -._~.")
        return await self._services.grants.redeem(client, form.values, form.resources)


def _require(form: Params, name: str) -> str:
    value = form.get(name)
    if value is None:
        raise InvalidRequestError(f"{name} is missing.")
    return value
