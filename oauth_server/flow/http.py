"""What all endpoints share: strict parameters in, OAuth errors and pages out.

Sources: RFC 6749 sections 3.1, 3.2 and appendix B, RFC 9110.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from oauth_server.core import media_types
from oauth_server.core.errors import (
    AccessDeniedError,
    EndingError,
    InvalidClientError,
    InvalidRequestError,
    MethodNotAllowedError,
    OAuthError,
    PayloadTooLargeError,
    ServerError,
    TemporarilyUnavailableError,
)
from oauth_server.core.refusal_log import NO_ROUTE, refused, shown_method, shown_path
from oauth_server.flow import pages
from oauth_server.flow.deadlines import Deadline
from oauth_server.store.errors import StoreUnavailableError

MAX_BODY = 64 * 1024
MAX_FIELDS = 100
ANSWER_SECONDS = 15  # a request that is whole is answered by then, whatever it waits for
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
PAGE_HEADERS = {
    **NO_STORE,
    "Content-Security-Policy": pages.CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Under no-referrer Chromium posts "Origin: null", which a form's Origin check could not accept.
    "Referrer-Policy": "same-origin",
}
_NO_STORE = [(name.lower().encode(), value.encode()) for name, value in NO_STORE.items()]
_JSON = [*_NO_STORE, (b"content-type", b"application/json")]
_REDIRECT = [*_NO_STORE, (b"referrer-policy", b"no-referrer")]
_ONWARD = [*_NO_STORE, (b"referrer-policy", b"same-origin")]
_DEADLINE = "oauth_server.deadline"  # in the scope: when a request is to be answered
logger = logging.getLogger("oauth_server.flow")
Handler = Callable[[Request], Awaitable[Response]]


class Params(NamedTuple):
    """Request parameters: each at most once, empty ones omitted (RFC 6749 section 3.1); `resource` may repeat."""

    values: Mapping[str, str]
    resources: list[str]
    repeated: tuple[str, ...]

    def get(self, name: str) -> str | None:
        """The value, None where it was omitted."""
        return self.values.get(name)


def parse_pairs(raw: bytes) -> list[tuple[str, str]]:
    """Decode application/x-www-form-urlencoded; raises InvalidRequestError for too many, NUL, or what is not UTF-8."""
    try:
        text = raw.decode()
        if text.count("&") >= MAX_FIELDS:
            raise InvalidRequestError(f"There are more than {MAX_FIELDS} parameters.")
        if "\x00" in text or "%00" in text:
            raise InvalidRequestError("A parameter contains a NUL character.")
        return [_pair(piece) for piece in text.split("&") if piece]
    except ValueError:
        raise InvalidRequestError("The parameters are not valid UTF-8.") from None


def _pair(piece: str) -> tuple[str, str]:
    # As parse_qsl, which takes twice as long: little of what comes needs decoding.
    name, _, value = piece.partition("=")
    if "%" in name or "+" in name:
        name = unquote_to_bytes(name.replace("+", " ")).decode()
    if "%" in value or "+" in value:
        value = unquote_to_bytes(value.replace("+", " ")).decode()
    return name, value


def to_params(pairs: list[tuple[str, str]]) -> Params:
    """Sort the parameters; which ones came more than once is said, not judged."""
    values: dict[str, str] = {}
    repeated: dict[str, None] = {}
    resources: list[str] = []
    for name, value in pairs:
        if not value:  # MUST be treated as if it were omitted (RFC 6749 section 3.1), so it is no repetition either
            continue
        if name == "resource":
            resources.append(value)
        elif name in values:
            repeated[name] = None
        else:
            values[name] = value
    return Params(values, resources, tuple(repeated))


def check_once(params: Params) -> None:
    """Raise InvalidRequestError for a repeated parameter; its name may be a secret, so the log does not get it."""
    if params.repeated:
        said = f"The parameter {params.repeated[0][:40]} appears more than once."
        raise InvalidRequestError(said, reason="a parameter appears more than once")


async def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """The request body; raises PayloadTooLargeError beyond `limit` bytes without reading on.

    How long it takes to come is no time of the answer's: whoever does not bring it is told so by the connection (408).
    """
    length = field_of(request, b"content-length")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    deadline: Deadline = request.scope[_DEADLINE]
    deadline.pause()
    try:
        body, more = b"", True
        while more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > limit:
                raise _too_large(limit)
            more = message.get("more_body", False)
        return body
    finally:
        deadline.begin()


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The request body is larger than {limit // 1024} KiB.")


def field_of(request: Request, name: bytes) -> str:
    """The first header field of that name (in lower case), empty where there is none."""
    for known, value in request.scope["headers"]:
        if known == name:
            found: str = value.decode("latin-1")
            return found
    return ""


def media_type(request: Request) -> str:
    """The content type without parameters, in lower case; empty where there is none, or two that differ."""
    fields = request.scope["headers"]
    return media_types.named(value.decode("latin-1") for name, value in fields if name == b"content-type")


async def read_pairs(request: Request) -> list[tuple[str, str]]:
    """The pairs of a form body."""
    if media_type(request) != "application/x-www-form-urlencoded":
        raise InvalidRequestError("The request body must be application/x-www-form-urlencoded.")
    return parse_pairs(await read_body(request))


async def read_form(request: Request) -> Params:
    """The parameters of a form body; those of the query are ignored. Raises InvalidRequestError for repeated ones."""
    params = to_params(await read_pairs(request))
    check_once(params)
    return params


async def read_json_object(request: Request, limit: int = MAX_BODY) -> dict[str, Any]:
    """The JSON object of the body; raises InvalidRequestError for anything else."""
    if media_type(request) != "application/json":
        raise InvalidRequestError("The request body must be application/json.")
    try:
        value = json.loads((await read_body(request, limit)).decode("utf-8"))
    except (ValueError, RecursionError):
        raise InvalidRequestError("The request body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("The request body is not a JSON object.")
    return value


def authorization_of(request: Request) -> str | None:
    """The Authorization header; raises InvalidRequestError when there are two, of which neither could be believed."""
    values = [value for name, value in request.scope["headers"] if name == b"authorization"]
    if len(values) > 1:
        raise InvalidRequestError("The request has more than one Authorization header.")
    return values[0].decode("latin-1") if values else None


class _Prepared(Response):
    """An answer whose header fields need no more work than a copy."""

    def __init__(self, body: bytes, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        self.status_code, self.body, self.background = status, body, None
        self.raw_headers = [*fields, (b"content-length", b"%d" % len(body))]


def json_reply(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that nobody may keep."""
    reply = _Prepared(to_json(body, inf_nan_mode="null"), status, _JSON)
    if headers:
        reply.headers.update(headers)
    return reply


def page_reply(html: str, status: int = 200) -> Response:
    """An HTML page that nobody may keep, frame or extend."""
    return HTMLResponse(html, status, headers=PAGE_HEADERS)


def redirect_reply(location: str, *, after_post: bool) -> Response:
    """A redirect of the browser: 303 after a POST, so that a form with a password is never sent on (RFC 9700 4.12).

    To a path of this server the Referer goes along: where browsers send no Sec-Fetch-Site, a session path needs it.
    """
    fields = _ONWARD if location.startswith("/") else _REDIRECT
    return _Prepared(b"", 303 if after_post else 302, [*fields, (b"location", location.encode("latin-1"))])


def error_reply(error: OAuthError) -> Response:
    """The JSON error of RFC 6749 section 5.2; whoever is no client it knows is challenged (RFC 9110 section 15.5.2)."""
    headers: dict[str, str] = {}
    if isinstance(error, InvalidClientError):
        headers["WWW-Authenticate"] = 'Basic realm="token endpoint", charset="UTF-8"'
    if isinstance(error, TemporarilyUnavailableError):
        headers |= error.headers()
    return json_reply(error.body(), error.status, headers)


def navigated(request: Request) -> bool:
    """Whether a person opened this address in a browser (Fetch Metadata), rather than a program asking for it."""
    return request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"


def check_opened(request: Request) -> None:
    """Raise AccessDeniedError where a page of another site loads this address without opening it in a window.

    Images, frames, scripts and prefetched links show nothing. Browsers without Fetch Metadata send none of these
    fields, older ones not all of them; no page can leave them out.
    """
    fields = request.headers
    if fields.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return
    opened = (
        fields.get("sec-fetch-mode", "navigate") == "navigate"
        and fields.get("sec-fetch-dest", "document") == "document"
    )
    if opened and "sec-purpose" not in fields:
        return
    error = AccessDeniedError("Another site's page may not load this address; open it in a window of its own.")
    error.check = "check_opened"
    raise error


def error_page(error: OAuthError, host: str | None = None) -> Response:
    """The page for an error that must not, or cannot, be sent to a client; `host` is where it would have gone."""
    reply = page_reply(
        pages.message(
            title="This request cannot be served",
            text=error.description,
            hint="Go back to the application and try to connect again.",
            code=error.error,
            home=True,
            host=host,
        ),
        error.status,
    )
    if isinstance(error, TemporarilyUnavailableError):
        reply.headers.update(error.headers())
    return reply


def log_refusal(request: Request, error: OAuthError) -> None:
    """Note which check refused a request and why."""
    reason = f"{error.check or 'request'}: {error.reason}"
    route = getattr(request.scope.get("route"), "path", "") or NO_ROUTE
    refused(logger, request.method, request.scope["path"], error.error, reason, route=route)


class Endpoint:
    """One path: its methods, and every failure turned into the standard's error (a page where a person reads it)."""

    def __init__(self, *, page: bool = False, **methods: Handler) -> None:
        self._methods = {name.upper(): handler for name, handler in methods.items()}
        # Not for pages: a GET there may sign a code away, which a HEAD must not.
        if "GET" in self._methods and not page:
            self._methods.setdefault("HEAD", self._methods["GET"])
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            await self._show(request, EndingError())(scope, receive, send)
            raise
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        handler = self._methods.get(request.method)
        if handler is None:
            return self._not_allowed(request)
        deadline = request.scope[_DEADLINE] = Deadline(ANSWER_SECONDS)
        deadline.begin()
        try:
            return await handler(request)
        except asyncio.CancelledError:
            if not deadline.end():
                raise
            logger.warning("%s: no answer within %d seconds", _shown(request), ANSWER_SECONDS)
            busy = "The server was too busy to answer; try again in a few seconds."
            return self._show(request, TemporarilyUnavailableError(busy))
        except OAuthError as error:
            log_refusal(request, error)
            return self._show(request, error)
        except StoreUnavailableError as cause:
            logger.warning("%s: the store is unavailable: %s", _shown(request), cause)
            return self._show(request, TemporarilyUnavailableError())
        except ClientDisconnect:
            raise
        except Exception:
            logger.exception("%s failed", _shown(request))
            return self._show(request, ServerError())
        finally:
            deadline.end()

    def _show(self, request: Request, error: OAuthError) -> Response:
        return error_page(error) if self._page or navigated(request) else error_reply(error)

    def _not_allowed(self, request: Request) -> Response:
        allowed = ", ".join(self._methods)
        error = MethodNotAllowedError(f"This endpoint answers {allowed}, not {request.method[:20]}.")
        log_refusal(request, error)
        if navigated(request):
            html = pages.message(
                title="This address is for applications",
                text=f"A browser has nothing to do here: {error.description}",
                code=error.error,
                home=True,
            )
            reply = page_reply(html, error.status)
        else:
            reply = error_page(error) if self._page else error_reply(error)
        reply.headers["Allow"] = allowed
        return reply


def _shown(request: Request) -> str:
    return f"{shown_method(request.method)} {shown_path(request.scope['path'])}"
