"""The forms of the authorization endpoint: shown, and taken back only from the browser they were shown to.

Sources: RFC 9700 sections 4.7 and 4.16, MCP security best practices (consent).
"""

from typing import Final

from starlette.responses import Response

from oauth_server.core.clock import random_token
from oauth_server.core.errors import AccessDeniedError
from oauth_server.core.services import Services
from oauth_server.flow import pages
from oauth_server.flow.authorize_checks import AuthorizeRefused
from oauth_server.flow.consent_view import consent_view
from oauth_server.flow.cookies import SessionCookie
from oauth_server.flow.http import page_reply
from oauth_server.flow.own_form import check_own_form
from oauth_server.flow.turn import Turn
from oauth_server.store.records import Session

SIGN_IN_AGAIN: Final = "Sign in again: administration is granted only within five minutes of a sign-in."


class Forms:
    """Login, new password and consent."""

    def __init__(self, services: Services, cookie: SessionCookie) -> None:
        self._services = services
        self._cookie = cookie

    def login(self, turn: Turn, username: str = "", error: str | None = None) -> Response:
        """The login form; a browser without a session id gets one, to key the CSRF token."""
        cookie = turn.cookie or random_token()
        reply = page_reply(
            pages.login(
                action=turn.action,
                csrf=self._csrf(turn, cookie, "login"),
                client_name=turn.client_name,
                username=username or turn.asked.params.get("login_hint") or "",
                error=error,
            ),
            400 if error else 200,
        )
        if turn.cookie is None:
            self._cookie.set(reply, cookie)
        return reply

    def sign_in_again(self, turn: Turn) -> Response:
        """The login form for a person who signed in too long ago for what they would grant."""
        reply = self.login(turn, error=SIGN_IN_AGAIN)
        reply.status_code = 200
        return reply

    def password(self, turn: Turn, session: Session, error: str | None = None) -> Response:
        """The form for a new password."""
        html = pages.change_password(
            action=turn.action,
            csrf=self._csrf(turn, turn.cookie or "", "password"),
            username=session.user.username,
            error=error,
        )
        return page_reply(html, 400 if error else 200)

    def consent(self, turn: Turn, session: Session, offered: tuple[str, ...], error: str | None = None) -> Response:
        """The consent form, with the scopes that this person may be granted."""
        csrf = self._csrf(turn, turn.cookie or "", "consent")
        view = consent_view(turn.asked, session.user, offered, action=turn.action, csrf=csrf, ticked=error is None)
        reply = page_reply(pages.consent(view, error), 400 if error else 200)
        # The page that opened this window keeps no handle on it, and cannot send it elsewhere between two clicks.
        reply.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return reply

    def _csrf(self, turn: Turn, cookie: str, step: str) -> str:
        return self._services.sessions.csrf(cookie, f"{step} {turn.query}")

    def check(self, turn: Turn, step: str, csrf: str) -> None:
        """Accept a form only from our own page in the same browser; raises AuthorizeRefused, shown as a page."""
        try:
            check_own_form(turn.request, self._services, csrf, turn.cookie, f"{step} {turn.query}")
        except AccessDeniedError as error:
            raise AuthorizeRefused(error) from None
