"""A small server that is right in everything an auditor can see, with one switch per flaw."""

import json
from urllib.parse import urlsplit

import httpx2
from flawed_authorization import Authorization
from flawed_documents import document
from flawed_registration import Registration
from flawed_resource import Resource
from flawed_revocation import Revocation
from flawed_state import State
from flawed_tokens import TokenEndpoints
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

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
    "asm-at-inserted-path": {"asm"},
    "only-openid": {"asm"},
    "no-openid": {"oidc"},
    "only-oauth": {"oidc"},
    "jwks-readable": {"jwks"},
}


class FlawedServer:
    """An ASGI application at `base` with at most one flaw; `deleted` counts withdrawn registrations."""

    def __init__(self, flaw: str = "", base: str = "https://mcp.example") -> None:
        self.flaw, self.base = flaw, base
        self.state = State(base, flaw)
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        authorization, tokens = Authorization(self.state, flaw), TokenEndpoints(self.state, flaw)
        self.resource = resource = Resource(self.state, flaw)
        registration, revocation = Registration(self.state, flaw), Revocation(self.state, flaw)
        routes = [Route(path, self.well_known) for path in WELL_KNOWN]
        routes += [
            Route("/mcp", resource.mcp, methods=["GET", "POST", "OPTIONS", "DELETE"]),
            Route("/userinfo", resource.userinfo),
            Route("/authorize", authorization.authorize, methods=["GET", "POST"]),
            Route("/logout", authorization.logout, methods=["GET", "POST"]),
            Route("/register", registration.register, methods=["GET", "POST"]),
            Route("/register/{client_id}", registration.manage, methods=["GET", "DELETE"]),
            Route("/token", tokens.token, methods=["GET", "POST", "OPTIONS"]),
            Route("/revoke", revocation.revoke, methods=["GET", "POST"]),
            Route("/introspect", revocation.introspect, methods=["GET", "POST"]),
        ]
        self.app = Starlette(routes=routes, exception_handlers={404: self.not_found})

    @property
    def deleted(self) -> int:
        """How many registrations were withdrawn."""
        return self.state.deleted

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
                more += self.cors(request)
                message["headers"] = [*message["headers"], *more]  # type: ignore[misc]
            await send(message)

        app = PlainTextResponse("misdirected", 421) if foreign else self.app
        if self.flaw == "transport-trailing-slash" and request.url.path == "/mcp/":
            app = RedirectResponse(f"{self.base.replace('https', 'http')}/mcp", 308)
        await app(scope, receive, finish)  # type: ignore[arg-type]

    def cors(self, request: Request) -> list[tuple[bytes, bytes]]:
        """Return the headers for browsers that are too generous."""
        origin = request.headers.get("origin", "").encode()
        if self.flaw == "cors-reflected" and request.url.path == "/token":
            return [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true")]
        if self.flaw == "cors-not-at-authorize" and request.url.path == "/authorize":
            return [(b"access-control-allow-origin", b"*")]
        return []

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
