"""The pages of the flawed server, and the session that begins on one of them."""

import html
import secrets
from urllib.parse import urlsplit

from flawed_state import PASSWORD, USER, Client, State
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

NO_STORE = {"Cache-Control": "no-store"}
PAGE = {
    **NO_STORE,
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
FRAMED = {"Content-Security-Policy": "frame-ancestors *", "X-Frame-Options": "DENY"}
LOGIN = '<label>User <input name="username"></label><input type="password" name="password">'
BUTTONS = '<button name="decision" value="deny">Deny</button><button name="decision" value="approve">Allow</button>'


class Pages:
    """Login and consent; `flaw` is the one thing that is wrong."""

    def __init__(self, state: State, flaw: str) -> None:
        self.flaw = flaw
        self.secure = state.base.startswith("https:")
        self.cookie = "__Host-session" if self.secure and flaw != "login-cookie-host-prefix" else "session"
        self.sessions: dict[str, str] = {}  # session id: csrf

    def csrf(self, request: Request) -> str | None:
        """Return the token of the browser's session, None when it has none."""
        return self.sessions.get(request.cookies.get(self.cookie, ""))

    def page(self, inside: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        """Return a page with a form that posts to where it came from."""
        form = f'<!doctype html><form method="post">{inside}<button>Go</button></form>'
        return HTMLResponse(form, status, {**PAGE, **(headers or {})})

    def login(self, request: Request) -> Response:
        """Ask who is there."""
        page = self.page(LOGIN, headers=FRAMED if self.flaw == "login-not-framed" else None)
        absent = {"login-no-store": "Cache-Control", "login-referrer": "Referrer-Policy"}
        if self.flaw in absent:
            del page.headers[absent[self.flaw]]
        if self.flaw == "login-renews-session" and self.cookie not in request.cookies:
            self.set(page, secrets.token_urlsafe(8))
        return page

    def sign_in(self, request: Request, form: dict[str, str]) -> Response:
        """Begin a session."""
        if (form.get("username"), form["password"]) != (USER, PASSWORD):
            return self.page(f"<p>Wrong</p>{LOGIN}", 400)
        reply = Response(status_code=303, headers={**NO_STORE, "Location": str(request.url)})
        known = request.cookies.get(self.cookie)
        if known:
            self.sessions[known] = secrets.token_urlsafe(8)
            return reply
        session = secrets.token_urlsafe(8)
        self.sessions[session] = secrets.token_urlsafe(8)
        self.set(reply, session)
        return reply

    def set(self, reply: Response, session: str) -> None:
        """Set the session cookie."""
        same_site = None if self.flaw == "consent-csrf" else "lax"
        readable = self.flaw == "login-cookie-flags"
        reply.set_cookie(self.cookie, session, path="/", secure=self.secure, httponly=not readable, samesite=same_site)

    def consent(self, client: Client, redirect_uri: str, csrf: str) -> Response:
        """Ask whether the client may."""
        name = client.metadata.get("client_name", "")
        name = name if self.flaw == "consent-escaped" else html.escape(name)
        name = "An application" if self.flaw == "consent-shows-client-name" else name
        host = "" if self.flaw == "consent-shows-host" else urlsplit(redirect_uri).hostname
        inside = f'<p>{name} at {host}</p><input type="hidden" name="csrf" value="{csrf}">{BUTTONS}'
        return self.page(inside, headers=FRAMED if self.flaw == "consent-not-framed" else None)
