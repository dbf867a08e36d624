"""Taking the login form, which two pages show (NIST SP 800-63B section 3.2.2, RFC 6585 section 4)."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.errors import BusyError, TemporarilyUnavailableError, TooManyAttemptsError
from oauth_server.core.services import Services
from oauth_server.flow.cookies import KnownBrowserCookie, SessionCookie
from oauth_server.flow.http import log_refusal, redirect_reply
from oauth_server.store.records import User

WRONG_CREDENTIALS = "The user name or the password is wrong."


class Login:
    """Signs a browser in, and remembers that it did."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._session = SessionCookie(services.deployment)
        self._known_browser = KnownBrowserCookie(services.deployment)

    async def sign_in(
        self, request: Request, username: str, password: str, *, after: str, again: Callable[[str], Response]
    ) -> Response:
        """Go on to `after`, or show the form `again` with a sentence that says why not."""
        try:
            user = await self._services.logins.sign_in(username, password, self._known_browser.read(request))
        except (TooManyAttemptsError, BusyError) as error:
            return too_many(request, error, again(error.description))
        if user is None:
            return again(WRONG_CREDENTIALS)
        session_id = await self._services.sessions.start(user, self._session.read(request))
        if session_id is None:
            return again(WRONG_CREDENTIALS)
        reply = redirect_reply(after, after_post=True)
        self._session.set(reply, session_id)
        return self.remember(reply, user)

    def remember(self, reply: Response, user: User) -> Response:
        """Let the browser know that this person proved who they are; a new password makes this necessary again."""
        self._known_browser.set(reply, self._services.logins.remembered(user))
        return reply


def too_many(request: Request, error: TemporarilyUnavailableError, page: Response) -> Response:
    """The page as an answer to somebody who was wrong too often, or came at a moment when too many do."""
    log_refusal(request, error)
    page.status_code = error.status
    page.headers.update(error.headers())
    return page
