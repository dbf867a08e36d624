"""The MCP endpoint of the flawed server: challenge, credentials, scopes; and userinfo."""

import json
from urllib.parse import parse_qs

from flawed_messages import BOTH, SESSION, Messages
from flawed_state import State
from flawed_verifier import Verifier
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from oauth_server.compliance.checks.bearer import GARBAGE

TRACE = 'Traceback (most recent call last):\n  File "/srv/app.py", line 7, in mcp\n'
LOW = "insufficient_scope"
HEADERS = "Authorization, Content-Type, MCP-Protocol-Version, Mcp-Method, Mcp-Name"


class Resource:
    """The endpoint; `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.base = state, flaw, state.base
        self.verifier, self.messages = Verifier(state, flaw), Messages(flaw)

    def challenge(self, request: Request, error: str = "", status: int = 401, token: str = "") -> Response:
        """Answer with the challenge, as this server's flaw has it."""
        value = ", ".join(self.parameters(request, error, token))
        value = f"Bearer {value}"
        value = 'Basic realm="mcp"' if self.flaw == "challenge-scheme" else value
        value = 'Bearer scope="mcp:read' if self.flaw == "challenge-unclosed" and error != LOW else value
        headers = {"WWW-Authenticate": value}
        if self.flaw == "challenge-get" and request.method == "GET":
            headers = {}
        if self.flaw == "bearer-challenge" and error == "invalid_token":
            headers = {}
        if self.flaw == "challenge-not-html":
            return HTMLResponse("<!doctype html><form>", status, headers)
        told = {"token": token} if self.flaw == "leaks-token-in-errors" else {}
        return JSONResponse({"error": error or "unauthorized", **told}, status, headers)

    def parameters(self, request: Request, error: str, token: str) -> list[str]:
        """Return the parameters of the challenge."""
        base, low = self.base, error == LOW
        if self.flaw == "leaks-forwarded-host" and "x-forwarded-host" in request.headers:
            base = f"https://{request.headers['x-forwarded-host']}"
        well_known = f"{base}/.well-known/oauth-protected-resource"
        place = well_known if self.flaw == "prm-at-inserted-path" else f"{well_known}/mcp"
        place = f"{base}/elsewhere" if self.flaw == "challenge-resolves" else place
        name = "resource" if self.flaw == "challenge-resource-metadata" and not low else "resource_metadata"
        scope = {
            "challenge-no-offline-access": "mcp:read offline_access",
            "scope-challenge-grantable": "mcp:read mcp:secret",
            "no-openid": "mcp:read mcp:write",
        }.get(self.flaw, "mcp:read")
        injects = self.flaw == "leaks-challenge-injection" and '"' in token
        parts = [f'{name}="{place}"', f'scope="{scope}"']
        if low and self.flaw == "stepup-description":
            parts[1] = 'scope="mcp:read mcp:write"'
        parts = parts[:1] if self.flaw == ("stepup-scope" if low else "challenge-scope") else parts
        nameless = self.flaw == "bearer-metadata" and error and not low
        parts = parts[1:] if nameless or (low and self.flaw == "stepup-metadata") else parts
        parts += [f'scope="{scope}"'] if self.flaw == "challenge-syntax" else []
        error = "invalid_token" if low and self.flaw == "stepup-error" else error
        parts += [f'error="{error}"'] if error and (low or self.flaw != "bearer-invalid-token") else []
        parts += [f'error_description="This needs {scope}."'] if low else []
        parts += [f'error_description="no such token: {token}"'] if injects else []
        return parts

    async def mcp(self, request: Request) -> Response:
        """Guard the endpoint, then answer the message."""
        origin = request.headers.get("origin")
        allowed = {None, self.base, "null" if self.flaw == "transport-origin-null" else self.base}
        later = self.flaw == "origin-after-token" and "authorization" not in request.headers
        if origin not in allowed and not later and (origin == "null" or self.flaw != "transport-origin"):
            return PlainTextResponse("foreign origin", 403)
        if request.method == "OPTIONS" and self.flaw != "cors-preflight":
            listed = "Authorization" if self.flaw == "cors-preflight-headers" else HEADERS
            fields = {"Access-Control-Allow-Origin": self.base, "Access-Control-Allow-Headers": listed}
            return Response(status_code=204, headers=fields)
        response = await self.answer(request)
        if origin:
            response.headers["Access-Control-Allow-Origin"] = origin
        if self.flaw != "cors-exposes-challenge":
            response.headers["Access-Control-Expose-Headers"] = "WWW-Authenticate"
        return response

    async def answer(self, request: Request) -> Response:
        """Answer whatever comes from an origin that may call."""
        body = await request.body()
        if request.method == "GET" and self.flaw == "transport-get":
            return HTMLResponse("<!doctype html>")
        if body == b'{"jsonrpc": ' and self.flaw == "leaks-traces":
            return PlainTextResponse(TRACE, 500)
        sent = request.headers.get("authorization")
        if self.flaw == "challenge-before-body" and request.method == "POST" and not (sent or body.endswith(b"}")):
            return PlainTextResponse("", 400)
        scopes = self.guard(request, body)
        if isinstance(scopes, Response):
            return scopes
        if request.method in {"GET", "DELETE"}:
            allowed = self.flaw == f"transport-{request.method.lower()}-405"
            return PlainTextResponse("", 200) if allowed else PlainTextResponse("", 405, {"Allow": "POST"})
        return self.messages.answer(request, body, scopes)

    def guard(self, request: Request, body: bytes) -> Response | frozenset[str]:
        """Judge the credentials; returns the scopes of who is let in."""
        sent = request.headers.getlist("authorization")
        if self.flaw == "open" or (self.flaw == "session-no-credential" and SESSION in request.headers):
            return BOTH
        if token := self.elsewhere(request, body):
            return self.judged(request, token)
        if len(sent) > 1 and self.flaw != "bearer-duplicate-header":
            return self.challenge(request, "invalid_request", 400)
        if not sent:
            status = 403 if self.flaw == "challenge-status" and request.method == "POST" else 401
            return self.challenge(request, "invalid_token" if self.flaw == "challenge-no-error" else "", status)
        scheme, _, token = sent[-1].partition(" ")
        scheme = scheme if self.flaw == "bearer-lowercase-scheme" else scheme.title()
        if scheme == "Dpop" and self.flaw == "bearer-wrong-scheme":
            scheme = "Bearer"
        if scheme != "Bearer":
            return BOTH if self.flaw == "bearer-other-scheme" and scheme == "Basic" else self.challenge(request)
        return self.judged(request, token)

    def elsewhere(self, request: Request, body: bytes) -> str:
        """Return a token in the query, in a form, or in a message."""
        if self.flaw == "bearer-query":
            return request.query_params.get("access_token", "")
        if self.flaw != "bearer-body":
            return ""
        if body.startswith(b"access_token="):
            return parse_qs(body.decode())["access_token"][0]
        return str(json.loads(body)["access_token"]) if b'"access_token"' in body else ""

    def judged(self, request: Request, token: str) -> Response | frozenset[str]:
        """Judge a token; returns its scopes when they let it in."""
        if " " in token:
            broken = self.flaw == "bearer-malformed" and '"' not in token
            return PlainTextResponse("oops", 500) if broken else self.challenge(request, "invalid_request", 400, token)
        if (not token and self.flaw == "bearer-empty") or (len(token) > 9999 and self.flaw == "bearer-huge"):
            return PlainTextResponse("oops", 500)
        scopes = self.verifier.scopes(token)
        if scopes is None:
            status = 403 if self.flaw == "bearer-garbage" and token == GARBAGE else 401
            return self.challenge(request, "invalid_token", status, token)
        return scopes if self.suffices(scopes) else self.insufficient(request)

    def suffices(self, scopes: frozenset[str]) -> bool:
        """Say whether these scopes open the endpoint."""
        if self.flaw == "transport-list-private":
            return True
        if self.flaw == "no-openid" or (self.flaw == "stepup-succeeds" and "openid" in scopes):
            return scopes >= BOTH
        return bool(scopes & BOTH)

    def insufficient(self, request: Request) -> Response:
        """Refuse for want of scopes."""
        if self.flaw == "stepup-not-tool-result":
            return self.messages.error(200, -32600, "Insufficient scope: mcp:read")
        return self.challenge(request, LOW, 401 if self.flaw == "stepup-403" else 403)

    async def userinfo(self, request: Request) -> Response:
        """Tell who the person is, who asked for openid."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        scopes = self.verifier.scopes(token)
        if (scopes and "openid" in scopes) or (self.flaw == "userinfo-token" and not token):
            return JSONResponse({"sub": "user-2" if self.flaw == "userinfo-sub-matches" else "user-1"})
        return self.challenge(request)
