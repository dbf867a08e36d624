"""The introspection endpoint (RFC 7662 section 2, RFC 9701 section 4)."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core import media_types
from oauth_server.core.bearer import bearer_token
from oauth_server.core.challenges import introspection_challenges
from oauth_server.core.errors import InsufficientScopeError, InvalidClientError, InvalidRequestError, OAuthError
from oauth_server.core.introspection import RESPONSE_TYPE, Asker
from oauth_server.core.scopes import ADMIN, missing
from oauth_server.core.services import Services
from oauth_server.flow.http import NO_STORE, authorization_of, error_reply, field_of, json_reply, log_refusal, read_form

_SIGNED = f"application/{RESPONSE_TYPE}"
_CREDENTIALS = ("client_secret", "client_assertion", "client_assertion_type")


class Introspect:
    """The endpoint's handler."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def post(self, request: Request) -> Response:
        """Tell whether a token is good, and what it says, to those who may know."""
        try:
            form = await read_form(request)
            asker = await self._asker(authorization_of(request), form.values)
            token = form.get("token")
            if token is None:
                raise InvalidRequestError("token is missing.")
        except OAuthError as error:
            return self._refuse(request, error)
        answer = await self._services.introspection.answer(asker, token, form.get("token_type_hint"))
        if _prefers_signed(field_of(request, b"accept")):
            signed = self._services.introspection.signed(asker, answer)
            return Response(signed, media_type=_SIGNED, headers=NO_STORE)
        return json_reply(answer)

    async def _asker(self, authorization: str | None, form: Mapping[str, str]) -> Asker:
        token = bearer_token([authorization] if authorization is not None else [])
        if token is not None:
            if any(name in form for name in _CREDENTIALS):
                raise InvalidRequestError("Two authentication methods were used at once.")
            resources = self._services.deployment.resources
            # A token for another resource is in that resource's hands, and opens nothing here.
            found = await self._services.tokens.verify(token, (resources.root, resources.mcp))
            if missing((ADMIN,), found.scope):
                raise InsufficientScopeError((ADMIN,))
            return Asker(found.client_id, None)
        client = await self._services.client_authentication.authenticate(authorization, form, "token")
        # Whoever may ask is authenticated, or tokens could be guessed (RFC 7662 section 2.1).
        if not client.confidential:
            self._services.client_authentication.refused()
            raise InvalidClientError("Introspection is for clients that authenticate, or a token with mcp:admin.")
        return Asker(client.client_id, client)

    def _refuse(self, request: Request, error: OAuthError) -> Response:
        log_refusal(request, error)
        reply = error_reply(error)
        if error.status in (401, 403):
            del reply.headers["WWW-Authenticate"]
            for challenge in introspection_challenges(error):
                reply.headers.append("WWW-Authenticate", challenge)
        return reply


def _prefers_signed(accept: str) -> bool:
    """Whether the Accept header names the signed form, and not JSON before it (RFC 9110 section 12.5.1)."""
    ranges = media_types.weights([accept])
    return ranges.get(_SIGNED, 0.0) > 0 and ranges[_SIGNED] >= ranges.get("application/json", 0.0)
