"""The MCP messages of the flawed server, in both eras."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

META = "io.modelcontextprotocol/"
MODERN = "2026-07-28"
VERSIONS = ["2025-03-26", "2025-06-18", "2025-11-25", MODERN]
METHODS = {"server/discover", "initialize", "tools/list", "ping"}
BOTH = frozenset({"mcp:read", "mcp:write"})
SESSION = "Mcp-Session-Id"


class Messages:
    """Answers one POST whose sender is let in; `flaw` is the one thing that is wrong."""

    def __init__(self, flaw: str) -> None:
        self.flaw = flaw
        self.counted = 0

    def answer(self, request: Request, body: bytes, scopes: frozenset[str]) -> Response:
        """Answer a message, or a batch where the version has them."""
        if refusal := self.unreadable(request, body):
            return refusal
        try:
            message = json.loads(body)
        except ValueError:
            return self.error(200 if self.flaw == "transport-invalid-json" else 400, -32700, "Parse error")
        version = request.headers.get("mcp-protocol-version", "2025-03-26")
        if isinstance(message, list):
            return self.batch(message, version)
        if version not in VERSIONS and self.flaw != "transport-version-refused":
            return self.unsupported(version)
        modern = MODERN in {version, self.meta(message).get(f"{META}protocolVersion")}
        refusal = self.modern(request, message) if modern else None
        return refusal or self.message(request, message, scopes, modern=modern)

    def unreadable(self, request: Request, body: bytes) -> Response | None:
        """Refuse what is not read at all."""
        if not request.headers.get("content-type", "").startswith("application/json"):
            return None if self.flaw == "transport-content-type" else PlainTextResponse("", 415)
        if request.headers["accept"] == "application/json":
            return PlainTextResponse("", 500 if self.flaw == "transport-accept" else 406)
        if len(body) > 1 << 20 and self.flaw == "transport-large-body":
            return PlainTextResponse("", 500)
        if body.count(b"[") > 100:
            return self.error(500 if self.flaw == "transport-deep-json" else 400, -32600, "Invalid request")
        return None

    def batch(self, messages: list[dict[str, Any]], version: str) -> Response:
        """Answer all, in 2025-03-26 alone."""
        if version != "2025-03-26" and self.flaw != "transport-no-batch":
            return self.error(400, -32600, "Invalid request")
        some = messages[:1] if self.flaw == "transport-batch" else messages
        return JSONResponse([{"jsonrpc": "2.0", "id": message["id"], "result": {}} for message in some])

    def unsupported(self, version: str) -> Response:
        """Name the versions that there are."""
        data = None if self.flaw == "transport-version-error" else {"supported": VERSIONS, "requested": version}
        return self.error(400, -32022, "Unsupported protocol version", data)

    def meta(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what each request carries since 2026-07-28."""
        found = (message.get("params") or {}).get("_meta")
        return found if isinstance(found, dict) else {}

    def modern(self, request: Request, message: Mapping[str, Any]) -> Response | None:
        """Judge what each request of 2026-07-28 carries; None where it is right."""
        meta, headers = self.meta(message), request.headers
        capable = f"{META}clientCapabilities" in meta or self.flaw == "transport-meta-missing"
        if f"{META}protocolVersion" not in meta or not capable:
            return self.error(400, -32602, "Missing _meta")
        name = (message.get("params") or {}).get("name")
        stated = headers.get("mcp-method")
        wrong = {
            "transport-version-mismatch": meta[f"{META}protocolVersion"] != headers.get("mcp-protocol-version"),
            "transport-header-missing": stated is None,
            "transport-header-mismatch": stated is not None and stated != message.get("method"),
            "transport-name-mismatch": headers.get("mcp-name") != name,
        }
        found = any(value for flaw, value in wrong.items() if flaw != self.flaw)
        return self.error(400, -32020, "Header mismatch") if found else None

    def message(
        self, request: Request, message: Mapping[str, Any], scopes: frozenset[str], *, modern: bool
    ) -> Response:
        """Answer one message."""
        method, named = str(message.get("method")), message.get("id")
        silent = self.flaw == "transport-id-null" and named is None
        sound = isinstance(named, (str, int)) and not isinstance(named, bool)
        if "id" in message and not (sound or silent or (named is not None and self.flaw == "transport-id-type")):
            return self.error(400, -32600, "Invalid request")
        if "id" not in message or silent:
            return JSONResponse({}, 200) if self.flaw == "transport-notification" else Response(status_code=202)
        missing = method not in METHODS or method == {"transport-discover": "server/discover"}.get(self.flaw)
        if missing and not (self.flaw == "transport-unknown-method" and modern):
            return self.error(404 if modern else 200, -32601, "Method not found")
        result = {"transport-initialize": {}}.get(self.flaw) if method == "initialize" else None
        result = self.result(message, scopes) if result is None else result
        headers = self.session(request) if method == "initialize" or self.flaw == "transport-no-session" else {}
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        if method == "tools/list":
            headers |= {} if self.flaw == "transport-sse-buffering" else {"X-Accel-Buffering": "no"}
            return Response(f"event: message\r\ndata: {json.dumps(reply)}\r\n\r\n", 200, headers, "text/event-stream")
        return JSONResponse(reply, 200, headers)

    def session(self, request: Request) -> dict[str, str]:
        """Open a session."""
        self.counted += 1
        value = {
            "session-visible-ascii": f"{secrets.token_urlsafe(16)} é",
            "session-random": f"{self.counted:032}",
            "session-same": "0" * 32,
            "session-short": secrets.token_hex(4),
        }.get(self.flaw, secrets.token_urlsafe(16))
        return {SESSION: value}

    def result(self, message: Mapping[str, Any], scopes: frozenset[str]) -> dict[str, Any]:
        """Return the result of a method."""
        common: dict[str, Any] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        if self.flaw == "transport-result-type":
            del common["resultType"]
        if self.flaw == "transport-cache-hints":
            common |= {"ttlMs": -1}
        if message["method"] == "tools/list":
            common |= {"cacheScope": "public"} if self.flaw == "transport-list-private" else {}
            return {"tools": [{"name": scope} for scope in sorted(scopes & BOTH)], **common}
        if message["method"] == "ping":
            return {}
        if message["method"] == "initialize":
            version = message["params"]["protocolVersion"]
            return {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}
        older = [] if self.flaw in {"transport-get-405", "transport-delete-405"} else VERSIONS[:-1]
        return {"supportedVersions": [*older, MODERN], "capabilities": {}, **common}

    def error(self, status: int, code: int, message: str, data: Any = None) -> Response:
        """Return a JSON-RPC error."""
        error: dict[str, Any] = {"code": code, "message": message, **({"data": data} if data else {})}
        return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status)
