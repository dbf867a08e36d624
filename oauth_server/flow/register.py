"""The client registration endpoint (RFC 7591 section 3)."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.bearer import bearer_token
from oauth_server.core.challenges import registration_challenge
from oauth_server.core.errors import InvalidTokenError
from oauth_server.core.services import Services
from oauth_server.flow.http import json_reply, log_refusal, read_json_object

# Twenty redirect URIs and every other member at a length that clients use; more is stored for nobody.
MAX_METADATA: Final = 16 * 1024  # bytes


class Register:
    """The endpoint's handler."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def post(self, request: Request) -> Response:
        """Register a client."""
        registration = self._services.registration
        try:
            token = self._token(request)
            metadata = await read_json_object(request, MAX_METADATA)
            return json_reply(await registration.register(metadata, initial_token=token), 201)
        except InvalidTokenError as error:
            return challenged(request, error)

    def _token(self, request: Request) -> str | None:
        """The initial access token; an empty one counts as none where anybody may register."""
        try:
            return bearer_token(request.headers.getlist("authorization"))
        except InvalidTokenError:
            if self._services.registration.is_open:
                return None
            raise


def challenged(request: Request, error: InvalidTokenError) -> Response:
    """The answer to a request without a token that counts; one without any is told no error code in the challenge."""
    log_refusal(request, error)
    said = error if "authorization" in request.headers else None
    return json_reply(error.body(), error.status, {"WWW-Authenticate": registration_challenge(said)})
