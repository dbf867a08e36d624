"""The client configuration endpoint (RFC 7592 section 2)."""

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.bearer import bearer_token
from oauth_server.core.errors import InvalidTokenError, RegistrationTokenError
from oauth_server.core.services import Services
from oauth_server.flow.http import NO_STORE, json_reply, read_json_object
from oauth_server.flow.register import MAX_METADATA, challenged
from oauth_server.store.records import Client


class Configure:
    """The endpoint's handlers."""

    def __init__(self, services: Services) -> None:
        self._rules = services.client_configuration

    async def get(self, request: Request) -> Response:
        """Tell what is registered."""
        try:
            client, token = await self._client(request)
            return json_reply(self._rules.read(client, token))
        except InvalidTokenError as error:
            return challenged(request, error)

    async def put(self, request: Request) -> Response:
        """Replace what is registered."""
        try:
            client, _ = await self._client(request)
            metadata = await read_json_object(request, MAX_METADATA)
            return json_reply(await self._rules.replace(client, metadata))
        except InvalidTokenError as error:
            return challenged(request, error)

    async def delete(self, request: Request) -> Response:
        """Delete the client."""
        try:
            client, _ = await self._client(request)
            await self._rules.delete(client)
        except InvalidTokenError as error:
            return challenged(request, error)
        return Response(status_code=204, headers=NO_STORE)

    async def _client(self, request: Request) -> tuple[Client, str]:
        token = bearer_token(request.headers.getlist("authorization"))
        if token is None:
            raise RegistrationTokenError("A registration access token is needed.", reason="no bearer token")
        return await self._rules.authenticate(request.path_params["client_id"], token), token
