"""A small server that is right in everything an auditor can see, with one switch per flaw."""

import hashlib
import hmac
import html
import json
from urllib.parse import parse_qsl, urlsplit

import httpx2
from flawed_documents import PUBLIC_PEM, TOKEN, document
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from oauth_server.compliance.checks.bearer import decode, encode

TRACE = 'Traceback (most recent call last):\n  File "/srv/app.py", line 7, in mcp\n'
SAFE = {"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY"}
WELL_KNOWN = {
    "/.well-known/oauth-protected-resource": "prm-root",
    "/.well-known/oauth-protected-resource/mcp": "prm",
    "/.well-known/oauth-authorization-server": "asm",
    "/.well-known/openid-configuration": "oidc",
    "/jwks": "jwks",
}
ABSENT = {
    "prm-found": {"prm", "prm-root"},
    "prm-at-inserted-path": {"prm"},
    "prm-at-root": {"prm-root"},
    "asm-found": {"asm", "oidc"},
    "only-openid": {"asm"},
    "only-oauth": {"oidc"},
    "jwks-readable": {"jwks"},
}


class FlawedServer:
    """An ASGI application at `base` with at most one flaw; `deleted` counts withdrawn registrations."""

    def __init__(self, flaw: str = "", base: str = "https://mcp.example") -> None:
        self.flaw, self.base, self.deleted = flaw, base, 0
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        routes = [Route(path, self.well_known) for path in WELL_KNOWN]
        routes += [
            Route("/mcp", self.mcp, methods=["GET", "POST", "OPTIONS"]),
            Route("/authorize", self.authorize),
            Route("/token", self.token, methods=["GET", "POST"]),
            Route("/register", self.register, methods=["POST"]),
            Route("/register/1", self.delete, methods=["DELETE"]),
            Route("/userinfo", self.userinfo),
        ]
        self.app = Starlette(routes=routes, exception_handlers={404: self.not_found})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request: Host first, and the headers of every answer last."""
        request = Request(scope, receive)
        self.requests.append((request.method, str(request.url), dict(request.headers)))
        foreign = request.headers["host"] != urlsplit(self.base).netloc and self.flaw != "transport-host"

        async def finish(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                more = [(b"server", b"nginx/1.27.3" if self.flaw == "leaks-versions" else b"nginx")]
                if self.flaw != "transport-hsts":
                    more.append((b"strict-transport-security", b"max-age=31536000"))
                message["headers"] = [*message["headers"], *more]  # type: ignore[misc]
            await send(message)

        app = PlainTextResponse("misdirected", 421) if foreign else self.app
        await app(scope, receive, finish)  # type: ignore[arg-type]

    def transport(self) -> httpx2.ASGITransport:
        """Return the transport that leads to it."""
        return httpx2.ASGITransport(self, raise_app_exceptions=False)

    async def not_found(self, request: Request, error: Exception) -> Response:
        """Answer an unknown path."""
        if self.flaw == "transport-unknown-path":
            return HTMLResponse("<!doctype html><title>App</title>")
        return PlainTextResponse("not found", 404)

    async def well_known(self, request: Request) -> Response:
        """Answer with a document."""
        name = WELL_KNOWN[request.url.path]
        if name in ABSENT.get(self.flaw, set()):
            return PlainTextResponse("not found", 404)
        headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "max-age=300"}
        if self.flaw == "cors-discovery":
            del headers["Access-Control-Allow-Origin"]
        if self.flaw == "cors-no-credentials":
            headers["Access-Control-Allow-Credentials"] = "true"
        if self.flaw == "prm-cacheable":
            headers["Cache-Control"] = "no-store"
        if self.flaw == "prm-no-freshness":
            del headers["Cache-Control"]
        if self.flaw == "leaks-cookies":
            headers["Set-Cookie"] = "session=1"
        wrong = {"prm-media-type": "prm", "asm-media-type": "asm"}.get(self.flaw)
        media_type = "text/plain" if wrong and name.startswith(wrong) else "application/json"
        return Response(json.dumps(document(name, self.base, self.flaw)), 200, headers, media_type)

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

    async def mcp(self, request: Request) -> Response:
        """Guard the endpoint, and answer `{}` to whom it lets in."""
        origin = request.headers.get("origin")
        if origin not in {None, self.base} and self.flaw != "transport-origin":
            return PlainTextResponse("foreign origin", 403)
        if request.method == "OPTIONS" and self.flaw != "cors-preflight":
            return Response(status_code=204, headers={"Access-Control-Allow-Origin": self.base})
        if request.method == "GET" and self.flaw == "transport-get":
            return HTMLResponse("<!doctype html>")
        if self.flaw == "leaks-traces" and await request.body() == b'{"jsonrpc": ':
            return PlainTextResponse(TRACE, 500)
        response = self.guard(request)
        if origin:
            response.headers["Access-Control-Allow-Origin"] = origin
        if self.flaw != "cors-exposes-challenge":
            response.headers["Access-Control-Expose-Headers"] = "WWW-Authenticate"
        return response

    def guard(self, request: Request) -> Response:
        """Judge the credentials."""
        credentials = request.headers.get("authorization", "")
        if self.flaw == "open":
            return JSONResponse({})
        if self.flaw == "bearer-query" and (token := request.query_params.get("access_token")):
            return JSONResponse({}) if self.accepts(token) else self.challenge("invalid_token")
        if not credentials:
            status = 403 if self.flaw == "challenge-status" and request.method == "POST" else 401
            return self.challenge("invalid_token" if self.flaw == "challenge-no-error" else "", status)
        scheme, _, token = credentials.partition(" ")
        if scheme != "Bearer":
            return JSONResponse({}) if self.flaw == "bearer-other-scheme" else self.challenge()
        if " " in token:
            return (
                PlainTextResponse("oops", 500)
                if self.flaw == "bearer-malformed"
                else self.challenge("invalid_request", 400)
            )
        status = 403 if self.flaw == "bearer-garbage" and "." not in token else 401
        return JSONResponse({}) if self.accepts(token) else self.challenge("invalid_token", status)

    async def authorize(self, request: Request) -> Response:
        """Refuse every client."""
        client = request.query_params.get("client_id")
        if client and self.flaw == "authorize-unknown-client":
            return Response(status_code=302, headers={"Location": f"{request.query_params['redirect_uri']}?error=x"})
        if self.flaw == "login-first":
            return Response(status_code=302, headers={"Location": "/login"})
        shown = client if self.flaw == "authorize-escaped" else html.escape(client or "")
        status = 200 if self.flaw == ("authorize-unknown-status" if client else "authorize-missing-client") else 400
        headers = {} if self.flaw == "authorize-not-framed" else SAFE
        return HTMLResponse(f"<p>Unknown client {shown}</p>", status, headers)

    async def token(self, request: Request) -> Response:
        """Refuse every token request."""
        status, error = self.judge(request, await request.body())
        headers = {} if self.flaw == "token-no-store" else {"Cache-Control": "no-store"}
        if request.headers.get("authorization", "").startswith("Basic") and self.flaw != "token-basic-challenge":
            headers["WWW-Authenticate"] = 'Basic realm="token"'
        media_type = "text/html" if self.flaw == "token-error-json" else "application/json"
        body = "<p>Internal error</p>" if status == 500 else json.dumps({"error": error})
        return Response(body, status, headers, media_type)

    def judge(self, request: Request, body: bytes) -> tuple[int, str]:
        """Return the status and the error code of a token request."""
        pairs = parse_qsl(body.decode())
        names = [name for name, _ in pairs]
        form = dict(pairs)
        status, error = (401 if self.flaw == "token-bogus-code" else 400), "invalid_grant"
        if request.method == "GET":
            status, error = (400 if self.flaw == "token-get" else 405), "invalid_request"
        elif request.headers["content-type"] == "application/json":
            status, error = (500 if self.flaw == "token-json-body" else 400), "invalid_request"
        elif self.flaw == "client-first":
            status, error = 401, "invalid_client"
        elif len(names) != len(set(names)) and self.flaw != "token-duplicate":
            status, error = 400, "invalid_request"
        elif "grant_type" not in form:
            status, error = 400, "invalid_grant" if self.flaw == "token-missing-grant" else "invalid_request"
        elif form["grant_type"] != "authorization_code":
            unsupported = self.flaw != "token-unsupported-grant"
            status, error = 400, "unsupported_grant_type" if unsupported else "invalid_request"
        elif "authorization" in request.headers:
            status, error = (400 if self.flaw == "token-basic-status" else 401), "invalid_client"
        return status, error

    async def register(self, request: Request) -> Response:
        """Refuse every registration."""
        if self.flaw == "register-closed":
            return JSONResponse({"error": "invalid_token"}, 401)
        try:
            client = await request.json()
        except ValueError:
            status = 500 if self.flaw == "register-malformed" else 400
            return JSONResponse({} if status == 500 else {"error": "invalid_client_metadata"}, status)
        uri = client.get("redirect_uris", [""])[0]
        kind = "fragment" if "#" in uri else uri.partition(":")[0] or "no-redirect"
        if self.flaw == f"register-{kind}":
            place = {"registration_client_uri": f"{self.base}/register/1", "registration_access_token": "r" * 20}
            return JSONResponse({"client_id": "1", "client_secret": "hunter2hunter2", **place}, 201)
        return JSONResponse({"error": "invalid_redirect_uri"}, 400)

    async def delete(self, request: Request) -> Response:
        """Withdraw a registration."""
        assert request.headers["authorization"] == f"Bearer {'r' * 20}"
        self.deleted += 1
        return Response(status_code=204)

    async def userinfo(self, request: Request) -> Response:
        """Ask for a token."""
        return JSONResponse({"sub": "u"}) if self.flaw == "userinfo-token" else self.challenge()
