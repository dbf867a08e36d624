"""The guard in front of every route: which Host and Origin are served, CORS, HSTS.

Sources: MCP transports "Security Warning" (DNS rebinding, TR-13), RFC 9112 section 3.2, RFC 9110
section 5.5, the Fetch standard's CORS protocol, RFC 6797.
"""

import json
import logging
import re
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oauth_server.core import documents as d
from oauth_server.core.audit import foreign_origin
from oauth_server.core.deployment import Deployment
from oauth_server.core.hosts import is_loopback_host, is_loopback_origin
from oauth_server.core.refusal_log import refused, shown_host, shown_uri
from oauth_server.core.resource_indicators import MCP_PATH
from oauth_server.gate.fields import first, values

ANY_HOST = ("/healthz", "/routez", "/readyz")  # load balancers ask by address
ANY_ORIGIN = "/.well-known/"
# What a page of another origin may call: each answers to a credential in the request, and none to a cookie.
BEARER = (
    d.TOKEN_PATH,
    d.REGISTER_PATH,
    d.DEFAULT_TOKEN_PATH,
    d.DEFAULT_REGISTER_PATH,
    d.REVOKE_PATH,
    d.USERINFO_PATH,
)
EXPOSED = (
    "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id"
)
PREFLIGHT_SECONDS = "600"
# Host = uri-host [ ":" port ] (RFC 9110 section 7.2, RFC 3986 section 3.2.2)
_HOST = re.compile(
    r"(?P<name>\[[0-9A-Fa-f:.]+\]|\[v[0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?",
    re.ASCII,
)
logger = logging.getLogger(__name__)


class Guard:
    """Refuses requests for another host, and foreign origins at /mcp; answers preflights."""

    def __init__(self, app: ASGIApp, deployment: Deployment) -> None:
        self._app = app
        self._deployment = deployment

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # White space around a field's value is no part of it (RFC 9110 section 5.5); httptools hands on what trails.
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        path, hosts = scope["path"], values(scope, b"host")
        if not (len(hosts) == 1 and self._serves(hosts[0])):
            seen = f"Host {', '.join(map(shown_host, hosts))}"
            if _malformed(hosts, scope["http_version"]):
                await _refuse(scope, self._secured(send), 400, "The request needs one valid Host header field.", seen)
                return
            if path not in ANY_HOST:
                sentence = "This server does not answer to that Host; use the address of its issuer."
                await _refuse(scope, self._secured(send), 421, sentence, seen)
                return
        origin = first(scope, b"origin")
        if _is_mcp(path) and origin is not None and not self._admits(path, origin):
            sentence = "Browsers on this origin may not call this server (MCP_OAUTH_ALLOW_ORIGINS names them)."
            await _refuse(scope, self._secured(send), 403, sentence, f"Origin {shown_uri(origin)}")
            return
        # The outermost layer takes it back when the request is over.
        foreign_origin.set("" if origin in self._deployment.own_origins else origin or "")
        cors = self._cors(path, origin)
        if scope["method"] == "OPTIONS" and origin is not None and values(scope, b"access-control-request-method"):
            await _preflight(scope, self._secured(send), cors)
            return
        await self._app(scope, receive, self._decorated(send, cors, named=not path.startswith(ANY_ORIGIN)))

    def decorated(self, scope: Scope, send: Send) -> Send:
        """A `send` that adds to an answer what each answer to this request has: CORS, HSTS."""
        path = scope["path"]
        cors = self._cors(path, first(scope, b"origin"))
        return self._decorated(send, cors, named=not path.startswith(ANY_ORIGIN))

    def _serves(self, host: str) -> bool:
        """Whether a Host header is the issuer's, a resource's or a loopback name."""
        host = host.lower()
        if host in self._deployment.host_names:
            return True
        found = _HOST.fullmatch(host)
        return found is not None and is_loopback_host(found["name"].strip("[]"))

    def _cors(self, path: str, origin: str | None) -> str | None:
        """The Access-Control-Allow-Origin for this request; never with credentials."""
        if path.startswith(ANY_ORIGIN):
            return "*"
        return origin if origin is not None and self._admits(path, origin) else None

    def _admits(self, path: str, origin: str) -> bool:
        """Whether pages of this origin may call this path and read the answer."""
        bearer = _is_mcp(path) or path in BEARER
        if origin in self._deployment.origins:
            return bearer or path == d.TEST_PATH
        return bearer and self._deployment.admits_loopback_origins and is_loopback_origin(origin)

    def _secured(self, send: Send) -> Send:
        return self._decorated(send, None, named=False)

    def _decorated(self, send: Send, cors: str | None, *, named: bool) -> Send:
        secure = self._deployment.secure
        if cors is None and not secure:
            return send

        async def decorated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if cors is not None:
                    headers["Access-Control-Allow-Origin"] = cors
                    headers["Access-Control-Expose-Headers"] = EXPOSED
                    if named:
                        headers.add_vary_header("Origin")
                if secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        return decorated


def _is_mcp(path: str) -> bool:
    return path == MCP_PATH or path.startswith(f"{MCP_PATH}/")


def _malformed(hosts: Sequence[str], version: str) -> bool:
    """Whether what is no Host that is served, is none at all (RFC 9112 section 3.2)."""
    if not hosts:
        return version != "1.0"
    return len(hosts) > 1 or _HOST.fullmatch(hosts[0]) is None


async def _preflight(scope: Scope, send: Send, cors: str | None) -> None:
    fields = [("Vary", "Origin")]
    if cors is not None:
        wanted = first(scope, b"access-control-request-headers") or ""
        fields += [
            ("Access-Control-Allow-Origin", cors),
            ("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"),
            ("Access-Control-Expose-Headers", EXPOSED),
            ("Access-Control-Max-Age", PREFLIGHT_SECONDS),
        ]
        if wanted.isascii() and wanted.isprintable() and wanted:
            fields.append(("Access-Control-Allow-Headers", wanted))
    raw = [(name.lower().encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": 204, "headers": raw})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: Scope, send: Send, status: int, sentence: str, seen: str) -> None:
    # As ASCII: a header may hold line ends, which would forge lines of the log.
    reason = f"guard: {sentence} ({ascii(seen)[1:-1][:200]})"
    refused(logger, scope["method"], scope["path"], "invalid_request", reason)
    body = json.dumps({"error": "invalid_request", "error_description": sentence}).encode()
    raw = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
