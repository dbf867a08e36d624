"""The UserInfo endpoint (OpenID Connect Core 1.0 section 5.3)."""

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.bearer import bearer_token
from oauth_server.core.challenges import userinfo_challenge
from oauth_server.core.errors import InsufficientScopeError, InvalidTokenError, OAuthError
from oauth_server.core.services import Services
from oauth_server.core.tokens import AccessToken
from oauth_server.flow.http import json_reply, log_refusal


class Userinfo:
    """The endpoint's handler, for GET and POST."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        """Tell the claims that the token's scopes open."""
        try:
            token = bearer_token(request.headers.getlist("authorization"))
            if token is None:
                log_refusal(request, InvalidTokenError("token", "the request has no access token"))
                return json_reply(
                    {"error": "invalid_token", "error_description": "An access token is needed."},
                    401,
                    {"WWW-Authenticate": userinfo_challenge()},
                )
            found = await self._services.tokens.verify(token)
            if found.of_client:
                raise InvalidTokenError("user", "the token is a client's own, and tells of no person")
            if "openid" not in found.scope:
                raise InsufficientScopeError(("openid",))
            return json_reply(await self._claims(found))
        except OAuthError as error:
            log_refusal(request, error)
            return json_reply(error.body(), error.status, {"WWW-Authenticate": userinfo_challenge(error)})

    async def _claims(self, token: AccessToken) -> dict[str, str]:
        user = await self._services.users.by_id(token.subject)
        if user is None or user.disabled:
            raise InvalidTokenError("user", "the user is gone or disabled")
        claims = {"sub": user.user_id}
        if "profile" in token.scope:
            claims |= {"preferred_username": user.username, "name": user.display_name or user.username}
        if "email" in token.scope and user.email:
            claims["email"] = user.email
        return claims
