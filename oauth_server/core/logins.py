"""Judging a password that somebody typed, within the limits on being wrong (NIST SP 800-63B section 3.2.2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from oauth_server.core.errors import BusyError
from oauth_server.core.known_browsers import KnownBrowsers
from oauth_server.core.limits import Limits, of_caller, own
from oauth_server.core.users import MAX_USERNAME, Users, normalise_username
from oauth_server.store.records import Bucket, Session, User

# At some 30 ms each that is a second of waiting; whoever comes later is told at once instead of waiting for minutes.
MOST_WAITING: Final = 32


class Logins:
    """Signs people in, and has them confirm who they are."""

    def __init__(self, users: Users, limits: Limits, browsers: KnownBrowsers) -> None:
        self._users = users
        self._limits = limits
        self._browsers = browsers
        self._waiting = 0

    async def sign_in(self, username: str, password: str, browser: str | None = None) -> User | None:
        """The enabled user these credentials belong to, None otherwise; both take one Argon2 verification.

        `browser` is what it keeps from an earlier sign-in. Raises TooManyAttemptsError before anything is verified, for
        a name that nobody has as well; BusyError, and nothing is counted then.
        """
        name = normalise_username(username[: MAX_USERNAME + 1])
        counted_by = await self._counted_by(name, browser)
        # Whoever signed in here before always gets a place: how often they may try is bounded by itself.
        known = counted_by[0].kind == "browser"
        if not known:
            self._ask_for_room()  # before anything is written
        attempt = await self._limits.admit(*counted_by)
        try:
            if not known:
                self._ask_for_room()
        except BusyError:
            await self._limits.withdrawn(attempt)
            raise
        with self._place():
            user = await self._users.named(name)
            proved = await self._users.proves(user, password)
        if not proved:
            # Recorded is a name that somebody has, and nothing else: people type passwords into the wrong field.
            await self._limits.failed(attempt, "login", "" if user is None else user.username)
            return None
        await self._limits.succeeded(attempt)
        return user

    async def confirms(self, session: Session, password: str) -> bool:
        """Whether this is the person's present password: asked before what a borrowed browser must not do.

        Counted by session, so that whoever borrowed one keeps its owner out of nothing else. Raises
        TooManyAttemptsError.
        """
        attempt = await self._limits.admit(own("session", session.session_hash))
        with self._place():
            confirmed = await self._users.has_password(session.user, password)
        if confirmed:
            await self._limits.succeeded(attempt)
        else:
            await self._limits.failed(attempt, "password.confirmed", session.user.username)
        return confirmed

    def remembered(self, user: User) -> str:
        """What a browser keeps in which this person just signed in, or chose a new password."""
        return self._browsers.issue(user)

    def _ask_for_room(self) -> None:
        if self._waiting >= MOST_WAITING:
            raise BusyError(reason=f"{self._waiting} logins wait", check="hashers")

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place among those who wait for a hasher."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _counted_by(self, name: str, browser: str | None) -> tuple[Bucket, ...]:
        claim = self._browsers.claim(browser, name)
        if claim is not None:
            user = await self._users.by_username(name)
            if user is not None and self._browsers.current(claim, user):
                # Instead of the others: neither strangers who try this name nor those at this address keep it out.
                return (own("browser", claim.browser_id),)
        return own("account", name), of_caller()
