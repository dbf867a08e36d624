"""The revocation endpoint (RFC 7009 section 2)."""

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.errors import InvalidRequestError
from oauth_server.core.services import Services
from oauth_server.flow.http import NO_STORE, authorization_of, read_form


class Revoke:
    """The endpoint's handler."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def post(self, request: Request) -> Response:
        """Revoke a token of the client that asks. An unknown token is answered alike: it is no use to anyone."""
        form = await read_form(request)
        client = await self._services.client_authentication.authenticate(
            authorization_of(request), form.values, "token"
        )
        token = form.get("token")
        if token is None:
            raise InvalidRequestError("token is missing.")
        await self._services.grants.revoke(client, token)
        return Response(status_code=200, headers=NO_STORE)
