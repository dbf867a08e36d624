"""/oauth/test: the smallest protected resource, to see a token work (RFC 6750, RFC 9728)."""

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from oauth_server.core.bearer import bearer_token
from oauth_server.core.challenges import challenge
from oauth_server.core.documents import TEST_PATH
from oauth_server.core.errors import (
    InsufficientScopeError,
    MethodNotAllowedError,
    OAuthError,
    TemporarilyUnavailableError,
)
from oauth_server.core.refusal_log import refused
from oauth_server.core.scopes import READ, missing
from oauth_server.core.services import Runtime
from oauth_server.store.errors import StoreUnavailableError

NO_STORE = {"Cache-Control": "no-store"}
logger = logging.getLogger(__name__)


class ProtectedTest:
    """Tells the caller what its token says, or challenges it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except OAuthError as error:
            self._note(request, error.error, f"{error.check}: {error.reason}")
            response = self._challenge(request, error)
        except StoreUnavailableError as cause:
            logger.warning("the store is unavailable: %s", cause)
            unavailable = TemporarilyUnavailableError()
            response = JSONResponse(unavailable.body(), 503, headers={**NO_STORE, **unavailable.headers()})
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        services = self._runtime.services
        if request.method not in ("GET", "HEAD"):
            error = MethodNotAllowedError("This endpoint answers GET.")
            self._note(request, error.error, f"method: {error.reason}")
            return JSONResponse(error.body(), 405, headers={**NO_STORE, "Allow": "GET, HEAD"})
        token = bearer_token(request.headers.getlist("authorization"))
        if token is None:
            if services.deployment.settings.require_auth:
                self._note(request, "invalid_token", "token: the request has no access token")
                return self._challenge(request, None)
            anonymous = {
                "authenticated": False,
                "sub": None,
                "client_id": None,
                "scope": READ,
                "aud": None,
                "exp": None,
            }
            return JSONResponse(anonymous, headers=NO_STORE)
        found = await services.tokens.verify(token, (services.deployment.resources.root,))
        if missing((READ,), found.scope):
            raise InsufficientScopeError((READ,))
        return JSONResponse(
            {
                "authenticated": True,
                "sub": found.subject,
                "client_id": found.client_id,
                "scope": " ".join(found.scope),
                "aud": found.audience,
                "exp": found.expires_at,
            },
            headers=NO_STORE,
        )

    @staticmethod
    def _note(request: Request, error: str, reason: str) -> None:
        refused(logger, request.method, TEST_PATH, error, reason, route=TEST_PATH)

    def _challenge(self, request: Request, error: OAuthError | None) -> Response:
        value = challenge(self._runtime.services.deployment, TEST_PATH, request.headers.get("host", ""), error)
        status = 401 if error is None else error.status
        body = {"error": "invalid_token", "error_description": "An access token is needed."}
        headers = {**NO_STORE, "WWW-Authenticate": value} if status in (400, 401, 403) else NO_STORE
        return JSONResponse(body if error is None else error.body(), status, headers=headers)
