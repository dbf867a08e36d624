"""The MCP endpoint of the flawed server: challenge, tokens, scopes, and the messages of both eras."""

import hashlib
import hmac
import json
from typing import Any

from flawed_documents import PUBLIC_PEM, SIGNER, TOKEN
from flawed_state import State
from jose import JWTError, jwt
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from oauth_server.compliance.checks.bearer import decode, encode

TRACE = 'Traceback (most recent call last):\n  File "/srv/app.py", line 7, in mcp\n'
META = "io.modelcontextprotocol/"
MODERN = "2026-07-28"
VERSIONS = {"2025-03-26", "2025-06-18", "2025-11-25", MODERN}
METHODS = {"server/discover", "initialize", "tools/list", "ping"}


class Resource:
    """The endpoint; `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.base = state, flaw, state.base

    def challenge(self, error: str = "", status: int = 401) -> Response:
        """Answer with the challenge, as this server's flaw has it."""
        well_known = f"{self.base}/.well-known/oauth-protected-resource"
        place = well_known if self.flaw == "prm-at-inserted-path" else f"{well_known}/mcp"
        place = f"{self.base}/elsewhere" if self.flaw == "challenge-resolves" else place
        name = "resource" if self.flaw == "challenge-resource-metadata" else "resource_metadata"
        scope = "mcp:read offline_access" if self.flaw == "challenge-no-offline-access" else "mcp:read"
        parts = [f'{name}="{place}"', f'scope="{scope}"']
        parts = parts[:1] if self.flaw == "challenge-scope" else parts
        parts = parts[1:] if self.flaw == "bearer-metadata" and error else parts
        parts += [f'scope="{scope}"'] if self.flaw == "challenge-syntax" else []
        parts += [f'error="{error}"'] if error and self.flaw != "bearer-invalid-token" else []
        value = f"Bearer {', '.join(parts)}"
        value = 'Basic realm="mcp"' if self.flaw == "challenge-scheme" else value
        value = f'Bearer scope="{scope}' if self.flaw == "challenge-unclosed" else value
        headers = {"WWW-Authenticate": value}
        if self.flaw == "challenge-not-html":
            return HTMLResponse("<!doctype html><form>", status, headers)
        return JSONResponse({"error": error or "unauthorized"}, status, headers)

    def accepts(self, token: str) -> bool:
        """Say whether a token is right; the flaws of verification are here."""
        if token == TOKEN:
            return self.flaw != "bearer-accepted"
        parts = token.split(".")
        if len(parts) != 3:
            return False
        algorithm = json.loads(decode(parts[0]))["alg"]
        if self.flaw == "bearer-unsigned" and algorithm == "none":
            return True
        if self.flaw == "bearer-tampered" and parts[:2] == TOKEN.split(".")[:2]:
            return True
        signed = encode(hmac.digest(PUBLIC_PEM, f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256))
        return self.flaw == "bearer-confused-algorithm" and algorithm == "HS256" and signed == parts[2]

    def claims(self, token: str) -> dict[str, Any] | None:
        """Return the claims of an access token of ours that is good for this endpoint."""
        try:
            if jwt.get_unverified_header(token).get("typ") != "at+jwt":
                return None
            options = {"verify_aud": False}
            claims = jwt.decode(token, SIGNER.public_key(), algorithms=["ES256"], issuer=self.base, options=options)
        except JWTError:
            return None
        grant = self.state.grants.get(claims.get("gid", ""))
        known = grant is not None and not grant.revoked
        return claims if known and claims.get("aud") in {self.base, f"{self.base}/mcp"} else None

    async def mcp(self, request: Request) -> Response:
        """Guard the endpoint, then answer the message."""
        origin = request.headers.get("origin")
        if origin not in {None, self.base} and self.flaw != "transport-origin":
            return PlainTextResponse("foreign origin", 403)
        if request.method == "OPTIONS" and self.flaw != "cors-preflight":
            return Response(status_code=204, headers={"Access-Control-Allow-Origin": self.base})
        if request.method in {"GET", "DELETE"}:
            if request.method == "GET" and self.flaw == "transport-get":
                return HTMLResponse("<!doctype html>")
            return PlainTextResponse("", 405, {"Allow": "POST"})
        if self.flaw == "leaks-traces" and await request.body() == b'{"jsonrpc": ':
            return PlainTextResponse(TRACE, 500)
        response = self.guard(request) or self.answer(request, await request.body())
        if origin:
            response.headers["Access-Control-Allow-Origin"] = origin
        if self.flaw != "cors-exposes-challenge":
            response.headers["Access-Control-Expose-Headers"] = "WWW-Authenticate"
        return response

    def guard(self, request: Request) -> Response | None:
        """Judge the credentials; None lets the request in."""
        credentials = request.headers.get("authorization", "")
        if self.flaw == "open":
            return None
        if self.flaw == "bearer-query" and (token := request.query_params.get("access_token")):
            return None if self.accepts(token) else self.challenge("invalid_token")
        if not credentials:
            status = 403 if self.flaw == "challenge-status" and request.method == "POST" else 401
            return self.challenge("invalid_token" if self.flaw == "challenge-no-error" else "", status)
        scheme, _, token = credentials.partition(" ")
        if scheme != "Bearer":
            return None if self.flaw == "bearer-other-scheme" else self.challenge()
        return self.judged(token)

    def judged(self, token: str) -> Response | None:
        """Judge a token; None lets it in."""
        if " " in token:
            return (
                PlainTextResponse("oops", 500)
                if self.flaw == "bearer-malformed"
                else self.challenge("invalid_request", 400)
            )
        status = 403 if self.flaw == "bearer-garbage" and "." not in token else 401
        claims = self.claims(token)
        if claims is not None and self.flaw != "bearer-accepted":
            allowed = {"mcp:read", "mcp:write"} & set(claims["scope"].split())
            return None if allowed else self.challenge("insufficient_scope", 403)
        return None if self.accepts(token) else self.challenge("invalid_token", status)

    def answer(self, request: Request, body: bytes) -> Response:
        """Answer a message of either era."""
        try:
            message = json.loads(body)
        except ValueError:
            return self.error(400, -32700, "Parse error")
        if not isinstance(message, dict):
            return self.error(400, -32600, "Invalid request")
        version = request.headers.get("mcp-protocol-version", "2025-03-26")
        if version not in VERSIONS:
            return self.error(400, -32022, "Unsupported protocol version", {"supported": sorted(VERSIONS)})
        refusal = self.modern(request, message) if version == MODERN else None
        if refusal is not None:
            return refusal
        if message.get("method") not in METHODS:
            return self.error(404 if version == MODERN else 200, -32601, "Method not found")
        return JSONResponse({"jsonrpc": "2.0", "id": message.get("id"), "result": self.result(message["method"])})

    def modern(self, request: Request, message: dict[str, Any]) -> Response | None:
        """Judge what each request of 2026-07-28 carries; None where it is right."""
        meta = (message.get("params") or {}).get("_meta") or {}
        if f"{META}protocolVersion" not in meta or f"{META}clientCapabilities" not in meta:
            return self.error(400, -32602, "Missing _meta")
        same = meta[f"{META}protocolVersion"] == request.headers.get("mcp-protocol-version")
        if not same or request.headers.get("mcp-method") != message.get("method"):
            return self.error(400, -32020, "Header mismatch")
        return None

    def result(self, method: str) -> dict[str, Any]:
        """Return the result of a method."""
        if method == "tools/list":
            return {"tools": [], "ttlMs": 0, "cacheScope": "private"}
        return {"supportedVersions": sorted(VERSIONS), "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}

    def error(self, status: int, code: int, message: str, data: dict[str, Any] | None = None) -> Response:
        """Return a JSON-RPC error."""
        error: dict[str, Any] = {"code": code, "message": message, **({"data": data} if data else {})}
        return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status)

    async def userinfo(self, request: Request) -> Response:
        """Ask for a token."""
        return JSONResponse({"sub": "u"}) if self.flaw == "userinfo-token" else self.challenge()
