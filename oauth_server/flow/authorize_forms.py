"""The forms of the authorization endpoint: shown, and taken back only from the browser they were shown to.

Sources: RFC 9700 sections 4.7 and 4.16, MCP security best practices (consent).
"""

from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.documents import AUTHORIZE_PATH
from oauth_server.core.errors import AccessDeniedError
from oauth_server.core.services import Services
from oauth_server.flow import pages
from oauth_server.flow.authorize_checks import AuthorizeRefused
from oauth_server.flow.browser_sessions import BrowserSessions, Held
from oauth_server.flow.consent_view import consent_view
from oauth_server.flow.http import page_reply
from oauth_server.flow.own_form import check_own_form
from oauth_server.flow.places import Place, place_of, site_of
from oauth_server.flow.turn import Turn
from oauth_server.store.records import Session

SIGN_IN_AGAIN: Final = "Sign in again: administration is granted only within five minutes of a sign-in."


class Forms:
    """Login, new password and consent."""

    def __init__(self, services: Services, sessions: BrowserSessions) -> None:
        self._services = services
        self._sessions = sessions

    def login(self, turn: Turn, username: str = "", error: str | None = None) -> Response:
        """The login form; each has a path and a cookie of its own, which key the CSRF token."""
        form = turn.form or self._sessions.new_form()
        reply = page_reply(
            pages.login(
                action=f"{Place(form.name).base}{AUTHORIZE_PATH}?{turn.query}",
                csrf=self._csrf(turn, form, "login"),
                client_name=turn.client_name,
                username=username or turn.asked.params.get("login_hint") or "",
                error=error,
            ),
            400 if error else 200,
        )
        if turn.form is None:
            self._sessions.set_form(reply, form)
        return reply

    def sign_in_again(self, turn: Turn) -> Response:
        """The login form for a person who signed in too long ago for what they would grant."""
        reply = self.login(turn, error=SIGN_IN_AGAIN)
        reply.status_code = 200
        return reply

    def password(self, turn: Turn, held: Held, session: Session, error: str | None = None) -> Response:
        """The form for a new password."""
        html = pages.change_password(
            action=turn.action,
            csrf=self._csrf(turn, held, "password"),
            username=session.user.username,
            error=error,
        )
        return page_reply(html, 400 if error else 200)

    def consent(
        self, turn: Turn, held: Held, session: Session, offered: tuple[str, ...], error: str | None = None
    ) -> Response:
        """The consent form, with the scopes that this person may be granted."""
        csrf = self._csrf(turn, held, "consent")
        view = consent_view(turn.asked, session.user, offered, action=turn.action, csrf=csrf, ticked=error is None)
        reply = page_reply(pages.consent(view, error), 400 if error else 200)
        # The page that opened this window keeps no handle on it, and cannot send it elsewhere between two clicks.
        reply.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return reply

    def _csrf(self, turn: Turn, held: Held, step: str) -> str:
        return self._services.sessions.csrf(held.form_key, _purpose(turn, step, own=turn.own))

    def check(self, turn: Turn, step: str, csrf: str) -> Turn:
        """Accept a form only from our own page in the same browser; raises AuthorizeRefused, shown as a page.

        The form says whether the person began the interaction; the request that brings it cannot.
        """
        form = self._sessions.form(turn.request) if step == "login" else None
        bound = form if step == "login" else turn.held
        own, foreign = (_purpose(turn, step, own=own) for own in (True, False))
        try:
            _, purpose = check_own_form(turn.request, self._services, csrf, bound, [own, foreign])
        except AccessDeniedError as error:
            raise AuthorizeRefused(error) from None
        return replace(turn, own=purpose == own, form=form)

    def ticket(self, held: Held, query: str) -> str:
        """The part of a session path that says that the person began this interaction."""
        return self._services.sessions.csrf(held.form_key, f"own {query}")

    def began(self, request: Request, held: Held | None) -> bool:
        """Whether the person began the interaction: at its first request the browser says so, later the path does."""
        place = place_of(request)
        if place is None:
            return site_of(request) in ("none", "same-origin")
        return held is not None and self._services.sessions.csrf_valid(
            place.ticket, held.form_key, f"own {request.url.query}"
        )


def _purpose(turn: Turn, step: str, *, own: bool) -> str:
    return f"{step} {'own' if own else 'foreign'} {turn.query}"
