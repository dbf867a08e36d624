"""The token endpoint (OAuth 2.1 section 3.2, RFC 6749 sections 4.1.3, 5 and 6)."""

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core import pkce
from oauth_server.core.capabilities import GRANT_TYPES
from oauth_server.core.errors import (
    InvalidGrantError,
    InvalidRequestError,
    UnauthorizedClientError,
    UnsupportedGrantTypeError,
)
from oauth_server.core.services import Services
from oauth_server.flow.http import Params, authorization_of, json_reply, read_form
from oauth_server.store.records import Client


class Token:
    """The endpoint's handler."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def post(self, request: Request) -> Response:
        """Exchange a code or a refresh token for tokens."""
        form = await read_form(request)
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise InvalidRequestError("grant_type is missing.")
        if grant_type not in GRANT_TYPES:
            raise UnsupportedGrantTypeError
        client = await self._services.clients.authenticate(authorization_of(request), form.values)
        if grant_type not in client.grant_types:
            raise UnauthorizedClientError
        if grant_type == "refresh_token":
            _require(form, "refresh_token")
            return json_reply(await self._services.grants.refresh(client, form.values, form.resources))
        return json_reply(await self._redeem(client, form))

    async def _redeem(self, client: Client, form: Params) -> dict[str, object]:
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
