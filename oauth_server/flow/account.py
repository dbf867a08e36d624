"""The account page: connected applications, browser sessions, the password (RFC 9700 sections 4.7 and 4.16)."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.clock import random_token
from oauth_server.core.documents import ACCOUNT_PATH
from oauth_server.core.errors import BusyError, InvalidRequestError, TooManyAttemptsError
from oauth_server.core.passwords import PasswordError
from oauth_server.core.services import Services
from oauth_server.flow import pages
from oauth_server.flow.account_view import account_view
from oauth_server.flow.cookies import SessionCookie
from oauth_server.flow.http import page_reply, read_form, redirect_reply
from oauth_server.flow.login import Login, too_many
from oauth_server.flow.own_form import check_own_form
from oauth_server.store.records import Session

DONE: Final[Mapping[str, str]] = {
    "disconnect": "The application was disconnected. Its access ended at once.",
    "end_sessions": "You are signed out in every other browser.",
    "password": "Your password was changed, and you are signed out in every other browser.",
}
Step = Callable[[Request, Session, Mapping[str, str]], Awaitable[Response]]


class Account:
    """The page's handlers. Each change is a form of its own; after it the browser is sent back to the page."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cookie = SessionCookie(services.deployment)
        self._signing_in = Login(services)
        self._steps: Mapping[str, Step] = {
            "disconnect": self._disconnect,
            "end_sessions": self._end_sessions,
            "password": self._change_password,
        }

    async def get(self, request: Request) -> Response:
        """Show the account, or what comes before it: signing in, and choosing a password of one's own."""
        session = await self._services.sessions.find(self._cookie.read(request))
        return self._login(request) if session is None else await self._account(request, session)

    async def post(self, request: Request) -> Response:
        """Take one of the page's forms."""
        form = (await read_form(request)).values
        cookie = self._cookie.read(request)
        check_own_form(request, self._services, form.get("csrf", ""), cookie, ACCOUNT_PATH)
        # The page for a password of one's own has that form alone, so its button says nothing.
        action = form.get("action", "password" if "new_password" in form else "sign_in")
        if action == "sign_in":
            username, password = form.get("username", ""), form.get("password", "")
            again = partial(self._login, request, username)
            return await self._signing_in.sign_in(request, username, password, after=ACCOUNT_PATH, again=again)
        session = await self._services.sessions.find(cookie)
        if session is None:
            return self._login(request, error="Your session has ended; sign in again.")
        step = self._steps.get(action)
        if step is None:
            raise InvalidRequestError(f"The action must be one of {', '.join(self._steps)}.")
        if session.user.must_change_password and step != self._change_password:
            return redirect_reply(ACCOUNT_PATH, after_post=True)
        return await step(request, session, form)

    def _login(self, request: Request, username: str = "", error: str | None = None) -> Response:
        known = self._cookie.read(request)
        cookie = known or random_token()  # keys the CSRF token until there is a session
        csrf = self._services.sessions.csrf(cookie, ACCOUNT_PATH)
        html = pages.login(action=ACCOUNT_PATH, csrf=csrf, client_name=None, username=username, error=error)
        reply = page_reply(html, 400 if error else 200)
        if known is None:
            self._cookie.set(reply, cookie)
        return reply

    async def _account(self, request: Request, session: Session, error: str | None = None) -> Response:
        csrf = self._services.sessions.csrf(self._cookie.read(request) or "", ACCOUNT_PATH)
        status = 400 if error else 200
        if session.user.must_change_password:
            username = session.user.username
            html = pages.change_password(action=ACCOUNT_PATH, csrf=csrf, username=username, error=error)
            return page_reply(html, status)
        # Only our own redirect may say that something was done: a link from elsewhere could say it falsely.
        ours = request.headers.get("sec-fetch-site") == "same-origin"
        done = DONE.get(request.query_params.get("done", "")) if ours and error is None else None
        view = await account_view(self._services, session, csrf)
        return page_reply(pages.account(view, done=done, error=error), status)

    async def _disconnect(self, _request: Request, session: Session, form: Mapping[str, str]) -> Response:
        # Once more for an application that is gone already changes nothing.
        await self._services.applications.disconnect(session.user, form.get("client_id", ""))
        return _done("disconnect")

    async def _end_sessions(self, _request: Request, session: Session, _form: Mapping[str, str]) -> Response:
        await self._services.sessions.end_others(session)
        return _done("end_sessions")

    async def _change_password(self, request: Request, session: Session, form: Mapping[str, str]) -> Response:
        present, new, again = (form.get(n, "") for n in ("password", "new_password", "new_password_again"))
        users, own_choice = self._services.users, not session.user.must_change_password
        try:
            # At the first login the present password was given a moment ago.
            if own_choice and not await self._services.logins.confirms(session, present):
                return await self._account(request, session, "The present password is wrong.")
            verified = present if own_choice else None
            user = await users.change_password(session.user, new, again, session.session_hash, present=verified)
        except (TooManyAttemptsError, BusyError) as error:
            return too_many(request, error, await self._account(request, session, error.description))
        except PasswordError as error:
            return await self._account(request, session, str(error))
        return self._signing_in.remember(_done("password"), user)


def _done(step: str) -> Response:
    return redirect_reply(f"{ACCOUNT_PATH}?done={step}", after_post=True)
