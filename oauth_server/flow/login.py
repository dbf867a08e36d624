"""Taking the login form, which two pages show (NIST SP 800-63B section 3.2.2, RFC 6585 section 4)."""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.errors import BusyError, TemporarilyUnavailableError, TooManyAttemptsError
from oauth_server.core.services import Services
from oauth_server.flow.browser_sessions import BrowserSessions, Held
from oauth_server.flow.cookies import KnownBrowserCookie
from oauth_server.flow.http import log_refusal, redirect_reply
from oauth_server.flow.places import Place
from oauth_server.store.records import User

WRONG_CREDENTIALS = "The user name or the password is wrong."


class Login:
    """Signs a browser in, and remembers that it did."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sessions = BrowserSessions(services)
        self._known_browser = KnownBrowserCookie(services.deployment)

    async def sign_in(
        self,
        request: Request,
        form: Mapping[str, str],
        *,
        purpose: str,
        after: Callable[[Held], tuple[Place, str]],
        again: Callable[[str], Response],
    ) -> Response:
        """Go on `after` it, or show the form `again` with a sentence that says why not.

        `after` gives the place of the new session, and the URL there. The session is for `purpose`.
        """
        username, password = form.get("username", ""), form.get("password", "")
        try:
            user = await self._services.logins.sign_in(username, password, self._known_browser.read(request))
        except (TooManyAttemptsError, BusyError) as error:
            return too_many(request, error, again(error.description))
        if user is None:
            return again(WRONG_CREDENTIALS)
        held = await self._sessions.begin(user, purpose, await self._sessions.find(request, purpose))
        if held is None:
            return again(WRONG_CREDENTIALS)
        place, url = after(held)
        reply = redirect_reply(url, after_post=True)
        self._sessions.set(request, reply, held, place)
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
