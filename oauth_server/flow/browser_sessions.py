"""The sessions of a browser: where its cookies are, which of them count, and when they end.

An https issuer has one session for "/", under the __Host- prefix. An http issuer has one for each session path: the
account has its own, and so has each authorization request. The names of all these cookies have random parts, so
another server of the same host cannot plant a second cookie of the same name (RFC 6265 section 8.6).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.clock import random_id, random_token
from oauth_server.core.form_secrets import FORM_LIFETIME
from oauth_server.core.services import Services
from oauth_server.core.sessions import AUTHORIZATION_LIFETIME, LIFETIME
from oauth_server.flow.cookies import Cookie, cookies_of
from oauth_server.flow.places import Place, place_of
from oauth_server.store.records import Session, User

ACCOUNT: Final = "account"  # the purpose of a session at the account page of an http issuer
_MOST: Final = 8  # session cookies of one browser that are looked up: one, unless others were planted


@dataclass(frozen=True, slots=True)
class Held:
    """A cookie that the browser holds: `name` is the random part of its name, `session` the live session it opens."""

    name: str
    value: str
    session: Session | None = None

    @property
    def form_key(self) -> str:
        """What the tokens of its forms are bound to."""
        return self.value.rpartition(".")[2]


class BrowserSessions:
    """Reads and sets the cookies of sign-in forms and of sessions."""

    def __init__(self, services: Services) -> None:
        self._sessions = services.sessions
        self._secure = services.deployment.secure
        self._port = urlsplit(services.deployment.issuer).port or 80

    # Before signing in

    def form(self, request: Request) -> Held | None:
        """The cookie of the sign-in form that this request sends."""
        place = place_of(request)
        value = None if place is None else cookies_of(request).get(self._form_cookie(place).name)
        return Held(place.key, value) if place is not None and value else None

    def new_form(self) -> Held:
        """A cookie for a sign-in form: each has a path of its own, so that forms in two tabs do not meet."""
        return Held(random_id(), random_token())

    def set_form(self, reply: Response, form: Held) -> None:
        """Send the cookie of a sign-in form."""
        self._form_cookie(Place(form.name)).set(reply, form.value)

    def _form_cookie(self, place: Place) -> Cookie:
        name = f"__Secure-mcp_form_{place.key}" if self._secure else f"mcp_form_{self._port}_{place.key}"
        # For longer than the form itself: a form that is too old is said to be so.
        return Cookie(name, place.base, self._secure, 2 * FORM_LIFETIME)

    # Signed in

    async def find(self, request: Request, purpose: str) -> Held | None:
        """The session of this browser, live or not; on an http issuer the one of this path and `purpose`.

        Of several live sessions, the one that the person signed in to last counts.
        """
        found = [
            Held(one.name, one.value, await self._sessions.find(one.value, self._bound(one.name, purpose)))
            for one in self._held(request)
        ]
        return max(found, key=lambda one: one.session.auth_time if one.session else -1.0, default=None)

    async def begin(self, user: User, purpose: str, replaced: Held | None) -> Held | None:
        """A session for a person who just signed in; None when the password is no longer theirs.

        Its id differs from whatever the browser had. Forms that the same person opened in this browser stay good.
        """
        before = replaced.session if replaced is not None else None
        kept = replaced.form_key if replaced and before and before.user.user_id == user.user_id else random_id()
        name = random_id()
        lifetime = LIFETIME if self._secure or purpose == ACCOUNT else AUTHORIZATION_LIFETIME
        value = await self._sessions.start(user, before, self._bound(name, purpose), kept, lifetime)
        return None if value is None else Held(name, value)

    def set(self, request: Request, reply: Response, held: Held, place: Place) -> None:
        """Send the cookie of a new session, and take back those that it replaces."""
        form = self.form(request)
        if form is not None:
            self._form_cookie(Place(form.name)).clear(reply)
        for before in self._held(request):
            self._session_cookie(before.name, "").clear(reply)
        self._session_cookie(held.name, place.base).set(reply, held.value)

    def clear(self, request: Request, reply: Response) -> None:
        """Make the browser forget its session here."""
        place = place_of(request)
        for held in self._held(request):
            self._session_cookie(held.name, place.base if place is not None else "").clear(reply)

    async def answered(self, request: Request, reply: Response, held: Held | None) -> None:
        """End the session of an authorization request once the client was answered; an https issuer keeps its own."""
        if not self._secure and held is not None and held.session is not None:
            await self._sessions.discard(held.session)
            self.clear(request, reply)

    def _held(self, request: Request) -> Sequence[Held]:
        if not self._secure:
            place = place_of(request)
            value = None if place is None else cookies_of(request).get(self._session_cookie(place.key, "").name)
            return [Held(place.key, value)] if place is not None and value else []
        start = self._session_cookie("", "").name
        found = [
            (name.removeprefix(start), value) for name, value in cookies_of(request).items() if name.startswith(start)
        ]
        return [Held(name, value) for name, value in found[-_MOST:]]

    def _session_cookie(self, name: str, base: str) -> Cookie:
        if self._secure:
            return Cookie(f"__Host-mcp_session_{name}", "/", secure=True)
        return Cookie(f"mcp_session_{self._port}_{name}", base, secure=False)

    def _bound(self, name: str, purpose: str) -> str:
        return name if self._secure else f"{name} {purpose}"
