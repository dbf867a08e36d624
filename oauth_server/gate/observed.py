"""The outermost layer: each request's id, its line in the log, its share of the metrics, and an answer whatever fails.

Sources: RFC 6749 section 5.2 (`server_error`), RFC 9110 sections 15.6.1 and 15.6.4.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable
from random import getrandbits
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oauth_server import metrics
from oauth_server.core.audit import caller_address, foreign_origin, request_id
from oauth_server.core.errors import EndingError, OAuthError, ServerError
from oauth_server.core.refusal_log import NO_ROUTE, shown_method, shown_path

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_HEADER = b"x-request-id"
logger = logging.getLogger("oauth_server.request")


class Observed:
    """Serves each request under an id, which its answer carries as X-Request-Id.

    `decorated`: adds to the answer to a request that failed what the layers within would have added.
    """

    def __init__(self, app: ASGIApp, decorated: Callable[[Scope, Send], Send]) -> None:
        self._app = app
        self._decorated = decorated

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        about = _id_of(scope)
        client = scope.get("client")
        contexts = (
            caller_address.set(client[0] if client else "unknown"),
            request_id.set(about),
            foreign_origin.set(""),
        )
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Another message and list: an answer made once serves many requests.
                message = {**message, "headers": [*message.get("headers", ()), (_HEADER, about.encode())]}
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except asyncio.CancelledError:
            if not status:
                await _fail(self._decorated(scope, answer), EndingError())
            raise
        except Exception:
            logger.exception("%s %s failed", scope["method"], shown_path(scope["path"]))
            if not status:
                await _fail(self._decorated(scope, answer), ServerError())
        finally:
            _tell(scope, status, time.perf_counter() - started)
            foreign_origin.reset(contexts[2])
            request_id.reset(contexts[1])
            caller_address.reset(contexts[0])


def route_of(scope: Scope) -> str:
    """The path of the route that served a request, with its parameters' names; "none" where there is none."""
    return getattr(scope.get("route"), "path", "") or NO_ROUTE


def _id_of(scope: Scope) -> str:
    """The id that a trusted proxy gave the request, else a new one."""
    client = scope.get("client")
    # uvicorn writes port 0 where a trusted proxy named the client, and no connection comes from that port.
    if client is not None and client[1] == 0:
        for name, value in scope["headers"]:
            if name == _HEADER and _WELL_FORMED.fullmatch(value):
                given: str = value.decode()
                return given
    return f"{getrandbits(96):024x}"  # to be told apart, not to be kept from anybody


def _tell(scope: Scope, status: int, seconds: float) -> None:
    if metrics.started():
        route = route_of(scope)
        metrics.REQUESTS.add(route, shown_method(scope["method"]), str(status))
        metrics.REQUEST_SECONDS.observe(seconds, route)
    if logger.isEnabledFor(logging.DEBUG):
        # No query: it may hold a code or a token.
        fields: dict[str, Any] = {
            "method": shown_method(scope["method"]),
            "path": shown_path(scope["path"]),
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
            "client": caller_address.get(),
        }
        logger.debug("%s %s %d in %.2f ms", *list(fields.values())[:4], extra={"fields": fields})


async def _fail(send: Send, error: OAuthError) -> None:
    body = json.dumps(error.body()).encode()
    raw = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if isinstance(error, EndingError):
        raw += ((name.lower().encode(), value.encode()) for name, value in error.headers().items())
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
