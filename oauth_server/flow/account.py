"""The account page: connected applications, browser sessions, the password (RFC 9700 sections 4.7 and 4.16)."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.documents import ACCOUNT_PATH
from oauth_server.core.errors import BusyError, InvalidRequestError, TooManyAttemptsError
from oauth_server.core.passwords import PasswordError
from oauth_server.core.services import Services
from oauth_server.flow import pages
from oauth_server.flow.account_view import account_view
from oauth_server.flow.browser_sessions import ACCOUNT, BrowserSessions, Held
from oauth_server.flow.http import page_reply, read_form, redirect_reply
from oauth_server.flow.login import Login, too_many
from oauth_server.flow.own_form import check_own_form
from oauth_server.flow.places import Place, base_of, from_own_page
from oauth_server.store.records import Session

DONE: Final[Mapping[str, str]] = {
    "disconnect": "The application was disconnected. Its access ended at once.",
    "end_sessions": "You are signed out in every other browser.",
    "password": "Your password was changed, and you are signed out in every other browser.",
}
Step = Callable[[Request, Held, Session, Mapping[str, str]], Awaitable[Response]]
_SIGN_IN: Final = f"login {ACCOUNT_PATH}"


class Account:
    """The page's handlers. Each change is a form of its own; after it the browser is sent back to the page."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sessions = BrowserSessions(services)
        self._signing_in = Login(services)
        self._steps: Mapping[str, Step] = {
            "disconnect": self._disconnect,
            "end_sessions": self._end_sessions,
            "password": self._change_password,
        }

    async def get(self, request: Request) -> Response:
        """Show the account, or what comes before it: signing in, and choosing a password of one's own."""
        held = await self._sessions.find(request, ACCOUNT)
        if held is None or held.session is None:
            return self._login()
        return await self._account(request, held, held.session)

    async def post(self, request: Request) -> Response:
        """Take one of the page's forms."""
        form = (await read_form(request)).values
        # The page for a password of one's own has that form alone, so its button says nothing.
        action = form.get("action", "password" if "new_password" in form else "sign_in")
        if action == "sign_in":
            return await self._sign_in(request, form)
        held = await self._sessions.find(request, ACCOUNT)
        held, _ = check_own_form(request, self._services, form.get("csrf", ""), held, [ACCOUNT_PATH])
        if held.session is None:
            return self._login(error="Your session has ended; sign in again.")
        step = self._steps.get(action)
        if step is None:
            raise InvalidRequestError(f"The action must be one of {', '.join(self._steps)}.")
        if held.session.user.must_change_password and step != self._change_password:
            return redirect_reply(_url(request), after_post=True)
        return await step(request, held, held.session, form)

    async def _sign_in(self, request: Request, form: Mapping[str, str]) -> Response:
        cookie, _ = check_own_form(
            request, self._services, form.get("csrf", ""), self._sessions.form(request), [_SIGN_IN]
        )
        again = partial(self._login, form.get("username", ""), cookie)
        return await self._signing_in.sign_in(request, form, purpose=ACCOUNT, after=self._after, again=again)

    def _after(self, held: Held) -> tuple[Place, str]:
        place = Place(held.name)
        return place, ACCOUNT_PATH if self._services.deployment.secure else place.base + ACCOUNT_PATH

    def _login(self, username: str = "", cookie: Held | None = None, error: str | None = None) -> Response:
        held = cookie or self._sessions.new_form()
        action = Place(held.name).base + ACCOUNT_PATH
        csrf = self._services.sessions.csrf(held.form_key, _SIGN_IN)
        html = pages.login(action=action, csrf=csrf, client_name=None, username=username, error=error)
        reply = page_reply(html, 400 if error else 200)
        if cookie is None:
            self._sessions.set_form(reply, held)
        return reply

    async def _account(self, request: Request, held: Held, session: Session, error: str | None = None) -> Response:
        csrf = self._services.sessions.csrf(held.form_key, ACCOUNT_PATH)
        status = 400 if error else 200
        if session.user.must_change_password:
            username = session.user.username
            html = pages.change_password(action=_url(request), csrf=csrf, username=username, error=error)
            return page_reply(html, status)
        # Only our own redirect may say that something was done: a link from elsewhere could say it falsely.
        ours = error is None and from_own_page(request, self._services.deployment)
        done = DONE.get(request.query_params.get("done", "")) if ours else None
        view = await account_view(self._services, session, csrf, base_of(request))
        return page_reply(pages.account(view, done=done, error=error), status)

    async def _disconnect(self, request: Request, _held: Held, session: Session, form: Mapping[str, str]) -> Response:
        # Once more for an application that is gone already changes nothing.
        await self._services.applications.disconnect(session.user, form.get("client_id", ""))
        return _done(request, "disconnect")

    async def _end_sessions(
        self, request: Request, _held: Held, session: Session, _form: Mapping[str, str]
    ) -> Response:
        await self._services.sessions.end_others(session)
        return _done(request, "end_sessions")

    async def _change_password(
        self, request: Request, held: Held, session: Session, form: Mapping[str, str]
    ) -> Response:
        present, new, again = (form.get(n, "") for n in ("password", "new_password", "new_password_again"))
        users, own_choice = self._services.users, not session.user.must_change_password
        try:
            # At the first login the present password was given a moment ago.
            if own_choice and not await self._services.logins.confirms(session, present):
                return await self._account(request, held, session, "The present password is wrong.")
            verified = present if own_choice else None
            user = await users.change_password(session.user, new, again, session.session_hash, present=verified)
        except (TooManyAttemptsError, BusyError) as error:
            return too_many(request, error, await self._account(request, held, session, error.description))
        except PasswordError as error:
            return await self._account(request, held, session, str(error))
        return self._signing_in.remember(_done(request, "password"), user)


def _url(request: Request) -> str:
    """The page's URL in this session."""
    return base_of(request) + ACCOUNT_PATH


def _done(request: Request, step: str) -> Response:
    return redirect_reply(f"{_url(request)}?done={step}", after_post=True)
