"""Judging a password that somebody typed, within the limits on being wrong (NIST SP 800-63B section 3.2.2)."""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import anyio

from oauth_server.core.errors import BusyError
from oauth_server.core.known_browsers import KnownBrowsers
from oauth_server.core.limits import Attempt, Limits, of_caller, own
from oauth_server.core.passwords import MAX_USERNAME, normalise_username
from oauth_server.core.users import Users
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.records import Bucket, Session, User

# At some 30 ms each that is a second of waiting; whoever comes later is told at once instead of waiting for minutes.
MOST_WAITING: Final = 32
WITHDRAWN_WITHIN: Final = 1.0  # seconds that a request which is ended waits for its attempt to be taken back


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
        a name that nobody has as well; BusyError, and nothing is counted then, nor where the password could not be
        judged.
        """
        name = normalise_username(username[: MAX_USERNAME + 1])
        counted_by = await self._counted_by(name, browser)
        # Whoever signed in here before always gets a place: how often they may try is bounded by itself.
        known = counted_by[0].kind == "browser"
        if not known:
            self._ask_for_room()  # before anything is written
        async with self._judging(*counted_by) as attempt:
            if not known:
                self._ask_for_room()
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
        async with self._judging(own("session", session.session_hash)) as attempt:
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

    @asynccontextmanager
    async def _judging(self, *buckets: Bucket) -> AsyncIterator[Attempt]:
        """An attempt, which is taken back where nobody could judge it."""
        attempt = await self._limits.admit(*buckets)
        try:
            yield attempt
        except BaseException as error:
            # Whoever was cancelled is late already, and waits for little more.
            until = math.inf if isinstance(error, Exception) else anyio.current_time() + WITHDRAWN_WITHIN
            with anyio.CancelScope(deadline=until, shield=True), suppress(StoreUnavailableError):
                await self._limits.withdrawn(attempt)
            raise

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
