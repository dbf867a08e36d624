"""The gate in front of /mcp: it answers true HTTP 401 and 403, which MCP clients step up by.

Sources: MCP authorization (RS-06, RS-09 to RS-19), RFC 6750 section 3, RFC 9728 section 5.1.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from mcp_types import INVALID_REQUEST
from mcp_types.jsonrpc import JSONRPCRequest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from oauth_server.core.access import ANONYMOUS, NOBODY, SCOPE_KEY, Principal, operation_scope
from oauth_server.core.bearer import bearer_token
from oauth_server.core.challenges import challenge
from oauth_server.core.errors import (
    InsufficientScopeError,
    MethodNotAllowedError,
    OAuthError,
    PayloadTooLargeError,
    TemporarilyUnavailableError,
)
from oauth_server.core.refusal_log import refused
from oauth_server.core.resource_indicators import MCP_PATH
from oauth_server.core.scopes import missing
from oauth_server.core.services import Runtime, Services
from oauth_server.gate import batch
from oauth_server.gate.answers import in_form
from oauth_server.gate.caller import Caller
from oauth_server.gate.decoding import decode
from oauth_server.gate.fields import first, values
from oauth_server.gate.message import UndecodableError
from oauth_server.gate.negotiation import VERSION, answer_form, check_version, for_the_sdk
from oauth_server.store.errors import StoreUnavailableError

MAX_BODY = 4 * 1024 * 1024  # what the MCP SDK accepts
logger = logging.getLogger(__name__)


class Gate:
    """Lets a request through to MCP with its caller in the scope, or answers it.

    `page` makes the page for a refusal where a person's browser asked, None where a program did.
    """

    def __init__(self, app: Starlette, runtime: Runtime, page: Callable[[Scope, OAuthError], Response | None]) -> None:
        self._starlette = app
        self._app = _endpoint(app)
        self._runtime = runtime
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request to /mcp, or to /mcp/ which leads there."""
        if scope["path"] != MCP_PATH:
            await _without_slash(scope, send)
            return
        services = self._runtime.services
        try:
            await self._judge(services, scope, receive, send)
        except OAuthError as error:
            await self._refuse(services, scope, receive, send, error)
        except StoreUnavailableError as cause:
            logger.warning("the store is unavailable: %s", cause)
            await self._refuse(services, scope, receive, send, TemporarilyUnavailableError())

    async def _judge(self, services: Services, scope: Scope, receive: Receive, send: Send) -> None:
        settings, resources = services.deployment.settings, services.deployment.resources
        token = bearer_token(values(scope, b"authorization")) if settings.enabled else None
        if not settings.enabled:
            principal = NOBODY  # the tools say how to switch OAuth on
        elif token is None:
            # Where a token is required, its absence is answered before the body is read.
            if settings.require_auth:
                await self._refuse(services, scope, receive, send, _MissingTokenError())
                return
            principal = ANONYMOUS
        else:
            found = await services.tokens.verify(token, (resources.root, resources.mcp))
            principal = found.principal
        # A copy: what the layers around this one go by stays as it is.
        scope = {**scope, "app": self._starlette, SCOPE_KEY: principal}
        if token is not None:
            scope["user"] = Caller(token, found, services.deployment.issuer)
        if scope["method"] != "POST":
            # Every request stands alone: no stream to GET, no session to DELETE (TR-08, RFC 9110 section 15.5.6).
            raise MethodNotAllowedError("The MCP endpoint answers POST.")
        body = await _read(receive)
        if body is not None:
            await self._answer(services, scope, body, receive, send)

    async def _answer(self, services: Services, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Let the messages of a body through, if the caller holds the scope that each of them needs."""
        principal: Principal = scope[SCOPE_KEY]
        try:
            form = answer_form(scope)
            found = decode(body, batches=first(scope, VERSION) in {None, batch.VERSION})
            check_version(scope, found.request)
        except UndecodableError as error:
            await _undecodable(send, error)
            return
        for request in found.messages:
            if isinstance(request, JSONRPCRequest) and services.deployment.settings.enabled:
                try:
                    await _check_scope(services, principal, request.method, request.params or {})
                except InsufficientScopeError as error:
                    await self._refuse(services, scope, receive, send, error, request)
                    return
        several = isinstance(found.raw, list)
        scope, send = {**scope, "headers": for_the_sdk(scope)}, in_form(form, send, several=several)
        if several:
            await batch.answer(self._app, scope, found.raw, receive, send)
        else:
            await self._app(scope, batch.replay(found.body, receive), send)

    async def _refuse(
        self,
        services: Services,
        scope: Scope,
        receive: Receive,
        send: Send,
        error: OAuthError,
        request: JSONRPCRequest | None = None,
    ) -> None:
        reason = f"{error.check or 'request'}: {error.reason}"
        refused(logger, scope["method"], MCP_PATH, error.error, reason, route=MCP_PATH)
        if isinstance(error, _MissingTokenError) and scope["method"] != "GET":
            # How every client begins; the answer is made once.
            value = challenge(services.deployment, MCP_PATH, first(scope, b"host") or "", None, error.needed)
            await send({"type": "http.response.start", "status": 401, "headers": _no_token_head(value)})
            await send({"type": "http.response.body", "body": _NO_TOKEN})
            return
        fields: list[tuple[str, str]] = []
        if isinstance(error, TemporarilyUnavailableError):
            fields += error.headers().items()
        if isinstance(error, MethodNotAllowedError):
            fields.append(("Allow", "POST"))
        if error.status in (400, 401, 403):
            shown = None if isinstance(error, _MissingTokenError) else error
            needed = error.needed if isinstance(error, _MissingTokenError) else None
            value = challenge(services.deployment, MCP_PATH, first(scope, b"host") or "", shown, needed)
            fields.append(("WWW-Authenticate", value))
        page = self._page(scope, error) if scope["method"] == "GET" else None
        if page is not None:
            for name, value in fields:
                page.headers[name] = value
            await page(scope, receive, send)
            return
        await _send(send, error.status, fields, _body(error, request))


def _endpoint(app: Starlette) -> ASGIApp:
    """What serves MCP in FastMCP's app, with the app's own middleware, but without its routing.

    Which route it is, the gate knows already; what fails, `Observed` answers.
    """
    [found] = [route.app for route in app.routes if isinstance(route, Route) and route.path == MCP_PATH]
    for middleware, args, options in reversed(app.user_middleware):
        found = middleware(found, *args, **options)
    return found


class _MissingTokenError(OAuthError):
    """No access token was sent; the challenge then has no error code (RFC 6750 section 3.1)."""

    error = "invalid_token"
    status = 401
    default = "An access token is needed; the WWW-Authenticate header says where to get one."

    def __init__(self, needed: str | None = None) -> None:
        super().__init__(check="token")
        self.needed = needed


_NO_TOKEN = json.dumps(_MissingTokenError().body()).encode()
_JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


def _body(error: OAuthError, request: JSONRPCRequest | None) -> bytes:
    if request is not None:
        return json.dumps(_rpc_error(request, error)).encode()
    return _NO_TOKEN if isinstance(error, _MissingTokenError) else json.dumps(error.body()).encode()


def _rpc_error(request: JSONRPCRequest, error: OAuthError) -> dict[str, Any]:
    """The refusal as the answer to its request, so that a client that cannot step up shows the sentence."""
    told = {"code": INVALID_REQUEST, "message": error.description, "data": error.body()}
    return {"jsonrpc": "2.0", "id": request.id, "error": told}


async def _check_scope(services: Services, principal: Principal, method: str, params: Mapping[str, Any]) -> None:
    needed = operation_scope(services.deployment, method, params)
    if needed is None or not missing((needed,), principal.scope):
        return
    if not principal.authenticated:
        raise _MissingTokenError(needed)
    ceiling = await services.ceiling(principal)
    if ceiling is not None and missing((needed,), ceiling):
        # Stepping up cannot help this caller, so the sentence says who can.
        whose = "this client" if principal.of_client else "your account"
        raise InsufficientScopeError(
            (needed,), f"This needs the scope {needed}, which {whose} may not be granted; ask the owner."
        )
    raise InsufficientScopeError((needed,))


async def _read(receive: Receive) -> bytes | None:
    """The whole body, None when the client went away."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise PayloadTooLargeError(f"The request body is larger than {MAX_BODY} bytes.")
        if not message.get("more_body", False):
            return bytes(body)


async def _undecodable(send: Send, error: UndecodableError) -> None:
    refused(logger, "POST", MCP_PATH, "invalid_request", f"decode: {error}", route=MCP_PATH)
    await _send(send, error.status, [], json.dumps(error.answer()).encode())


async def _without_slash(scope: Scope, send: Send) -> None:
    """Point to the endpoint by its path alone: behind a proxy the scheme and host seen here are not the client's."""
    query = scope["query_string"]
    location = MCP_PATH.encode() + (b"?" + query if query else b"")
    raw = [(b"location", location), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": raw})
    await send({"type": "http.response.body", "body": b""})


@lru_cache(maxsize=64)
def _no_token_head(value: str) -> list[tuple[bytes, bytes]]:
    return _head([("WWW-Authenticate", value)], _NO_TOKEN)


def _head(fields: Iterable[tuple[str, str]], data: bytes) -> list[tuple[bytes, bytes]]:
    raw = [(name.lower().encode(), value.encode()) for name, value in fields]
    return [*raw, *_JSON, (b"content-length", b"%d" % len(data))]


async def _send(send: Send, status: int, fields: list[tuple[str, str]], data: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _head(fields, data)})
    await send({"type": "http.response.body", "body": data})
