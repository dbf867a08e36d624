"""The client registration endpoint (RFC 7591 section 3)."""

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.services import Services
from oauth_server.flow.http import json_reply, read_json_object


class Register:
    """The endpoint's handler."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def post(self, request: Request) -> Response:
        """Register a client."""
        metadata = await read_json_object(request)
        return json_reply(await self._services.registration.register(metadata), 201)
