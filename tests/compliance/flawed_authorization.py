"""Registration and the authorization endpoint of the flawed server: login, consent, codes."""

import html
import secrets
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flawed_state import PASSWORD, USER, Client, Code, State
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

NO_STORE = {"Cache-Control": "no-store"}
PAGE = {
    **NO_STORE,
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SCOPES = {"mcp:read", "mcp:write", "openid", "offline_access"}
COOKIE = "__Host-session"


class Authorization:
    """The endpoints; `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.state, self.flaw, self.base = state, flaw, state.base
        self.sessions: dict[str, str] = {}  # session id: csrf

    # Registration

    async def register(self, request: Request) -> Response:
        """Register a client (RFC 7591)."""
        if self.flaw == "register-closed":
            return JSONResponse({"error": "invalid_token"}, 401)
        try:
            metadata = await request.json()
        except ValueError:
            status = 500 if self.flaw == "register-malformed" else 400
            return JSONResponse({} if status == 500 else {"error": "invalid_client_metadata"}, status)
        problem = self.wrong_metadata(metadata)
        if problem:
            return JSONResponse({"error": problem}, 400)
        return self.registered(metadata)

    def wrong_metadata(self, metadata: dict[str, Any]) -> str:
        """Return the error of a registration, empty when it is right."""
        uris = metadata.get("redirect_uris") or []
        if not uris:
            return "" if self.flaw == "register-no-redirect" else "invalid_redirect_uri"
        for uri in uris:
            kind = "fragment" if "#" in uri else uri.partition(":")[0]
            loopback = urlsplit(uri).hostname in LOOPBACK
            if (kind not in {"https", "http"} or (kind == "http" and not loopback)) and self.flaw != f"register-{kind}":
                return "invalid_redirect_uri"
        return ""

    def registered(self, metadata: dict[str, Any]) -> Response:
        """Store the client, and say what was registered."""
        right = {
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            **metadata,
        }
        client = Client(secrets.token_urlsafe(8), right)
        answer: dict[str, Any] = {"client_id": client.client_id, "client_id_issued_at": 1, **right}
        client.management = secrets.token_urlsafe(16)
        answer["registration_client_uri"] = f"{self.base}/register/{client.client_id}"
        answer["registration_access_token"] = client.management
        if client.method.startswith("client_secret"):
            client.secret = secrets.token_urlsafe(16)
            answer |= {"client_secret": client.secret, "client_secret_expires_at": 0}
        self.state.clients[client.client_id] = client
        return JSONResponse(answer, 201, NO_STORE)

    async def manage(self, request: Request) -> Response:
        """Delete a registration (RFC 7592)."""
        client = self.state.clients.get(request.path_params["client_id"])
        if client is None or request.headers.get("authorization") != f"Bearer {client.management}":
            return JSONResponse({"error": "invalid_token"}, 401)
        del self.state.clients[client.client_id]
        self.state.deleted += 1
        return Response(status_code=204)

    # Authorization requests

    async def authorize(self, request: Request) -> Response:
        """Judge a request, then sign in, then ask for consent."""
        if self.flaw == "login-first":
            return Response(status_code=302, headers={"Location": "/login"})
        fields = parse_qs(request.url.query, keep_blank_values=True)
        client = self.state.clients.get(fields.get("client_id", [""])[0])
        refusal = self.untrusted(fields, client)
        if refusal is not None or client is None:
            return refusal or PlainTextResponse("", 400)
        error = self.wrong_request(fields)
        if error:
            return self.back(fields, {"error": error})
        return await self.interact(request, fields, client)

    def untrusted(self, fields: dict[str, list[str]], client: Client | None) -> Response | None:
        """Refuse on a page what names no known client and redirect URI."""
        named = fields.get("client_id", [""])[0]
        uri = fields.get("redirect_uri", [""])[0]
        if client is not None and self.redirects(uri, client.metadata["redirect_uris"]):
            return None
        if client is None and named and self.flaw == "authorize-unknown-client":
            return Response(status_code=302, headers={"Location": f"{uri}?error=x"})
        shown = named if self.flaw == "authorize-escaped" else html.escape(named)
        status = 200 if self.flaw == ("authorize-unknown-status" if named else "authorize-missing-client") else 400
        headers = NO_STORE if self.flaw == "authorize-not-framed" else PAGE
        return HTMLResponse(f"<p>Unknown client {shown}</p>", status, headers)

    def redirects(self, uri: str, registered: list[str]) -> bool:
        """Say whether a redirect URI is registered, but for the port of a loopback one."""

        def portless(value: str) -> str:
            parts = urlsplit(value)
            if parts.scheme != "http" or parts.hostname not in LOOPBACK or "@" in parts.netloc:
                return value
            return parts._replace(netloc=f"[{parts.hostname}]").geturl()

        return portless(uri) in {portless(item) for item in registered}

    def wrong_request(self, fields: dict[str, list[str]]) -> str:
        """Return the error of a request, empty when it is right."""
        challenge = fields.get("code_challenge", [""])[0]
        resources = fields.get("resource", [f"{self.base}/mcp"])
        scope = fields.get("scope", ["mcp:read"])[0].split()
        if any(len(values) > 1 for name, values in fields.items() if name != "resource"):
            return "invalid_request"
        if "request" in fields or "request_uri" in fields:
            return "request_not_supported" if "request" in fields else "request_uri_not_supported"
        if fields.get("response_type") != ["code"]:
            return "unsupported_response_type" if "response_type" in fields else "invalid_request"
        if fields.get("code_challenge_method") != ["S256"] or len(challenge) != 43:
            return "invalid_request"
        if any(resource not in {self.base, f"{self.base}/mcp"} for resource in resources):
            return "invalid_target"
        return "" if set(scope) & SCOPES else "invalid_scope"

    def back(self, fields: dict[str, list[str]], answer: dict[str, str], status: int = 302) -> Response:
        """Send the browser back to the client."""
        state = fields.get("state", [""])[0]
        answer = {**answer, **({"state": state} if state else {}), "iss": self.base}
        uri = fields["redirect_uri"][0]
        location = f"{uri}{'&' if '?' in uri else '?'}{urlencode(answer)}"
        return Response(
            status_code=status, headers={**NO_STORE, "Location": location, "Referrer-Policy": "no-referrer"}
        )

    async def interact(self, request: Request, fields: dict[str, list[str]], client: Client) -> Response:
        """Show the page that is due, or take its form."""
        csrf = self.sessions.get(request.cookies.get(COOKIE, ""))
        form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
        if request.method == "POST" and "password" in form:
            return self.sign_in(form, str(request.url))
        if csrf is None:
            return self.page('<label>User <input name="username"></label><input type="password" name="password">')
        if request.method == "GET":
            return self.page(
                f"<p>{html.escape(client.metadata.get('client_name', ''))}</p>"
                f'<input type="hidden" name="csrf" value="{csrf}">'
                '<button name="decision" value="deny">Deny</button><button name="decision" value="approve">Allow</button>'
            )
        if form.get("csrf") != csrf:
            return HTMLResponse("<p>This form is not yours</p>", 403, PAGE)
        if form.get("decision") != "approve":
            return self.back(fields, {"error": "access_denied"}, 303)
        return self.approve(fields, client)

    def page(self, inside: str, status: int = 200) -> Response:
        """Return a page with a form that posts to where it came from."""
        return HTMLResponse(f'<!doctype html><form method="post">{inside}<button>Go</button></form>', status, PAGE)

    def sign_in(self, form: dict[str, str], url: str) -> Response:
        """Begin a session."""
        if (form.get("username"), form["password"]) != (USER, PASSWORD):
            return self.page('<p>Wrong</p><input name="username"><input type="password" name="password">', 400)
        session = secrets.token_urlsafe(8)
        self.sessions[session] = secrets.token_urlsafe(8)
        reply = Response(status_code=303, headers={**NO_STORE, "Location": url})
        secure = self.base.startswith("https")
        reply.set_cookie(COOKIE, session, path="/", secure=secure, httponly=True, samesite="lax")
        return reply

    def approve(self, fields: dict[str, list[str]], client: Client) -> Response:
        """Issue a code."""
        value = secrets.token_urlsafe(16)
        self.state.codes[value] = Code(
            client,
            fields["redirect_uri"][0],
            fields["code_challenge"][0],
            [scope for scope in fields.get("scope", ["mcp:read"])[0].split() if scope in SCOPES],
            fields.get("resource", [f"{self.base}/mcp"])[0],
            fields.get("nonce", [""])[0],
        )
        return self.back(fields, {"code": value}, 303)
