"""What the operator does to people and clients without a browser; every change is recorded in its own commit."""

from collections.abc import Iterable
from dataclasses import dataclass

from oauth_server.core.audit import event
from oauth_server.core.client_descriptions import name_of
from oauth_server.core.clients import Clients
from oauth_server.core.clock import Clock, random_id
from oauth_server.core.form_secrets import FormSecrets
from oauth_server.core.initial_access_tokens import InitialAccessTokens
from oauth_server.core.key_rotation import KeyRotation
from oauth_server.core.limits import own
from oauth_server.core.passwords import normalise_username
from oauth_server.core.rate_limits import RateLimits
from oauth_server.core.refusals import Refusals
from oauth_server.core.registration import Registration
from oauth_server.core.revocation import ACCESS_TOKEN_MAX, RevocationFilter
from oauth_server.core.scopes import ADMIN, READ, WRITE, closed
from oauth_server.core.settings import Settings
from oauth_server.core.settings_rules import RefusedError, quoted, username
from oauth_server.core.users import Users
from oauth_server.store.records import AuditEvent, Client, Held, User
from oauth_server.store.store import Store
from oauth_server.store.verbs import administration, audit, limits, users

_MAX_EMAIL = 254  # RFC 5321 section 4.5.3.1.3, less the brackets


@dataclass(frozen=True)
class Wanted:
    """What an audit query asks for; `since` in Unix seconds, None matches everything."""

    since: float = 0.0
    event: str | None = None
    client_id: str | None = None
    username: str | None = None
    limit: int = 100


class Administration:
    """The operator's side of one store. A server that runs beside it takes every change in within half a second."""

    def __init__(self, settings: Settings, issuer: str | None, store: Store, clock: Clock) -> None:
        self.settings = settings
        self.issuer = issuer  # the one a server recorded; None where none has served HTTP yet
        self.location = store.location
        self.users = Users(store, RevocationFilter(store, clock), clock)
        self.clients = Clients(store, clock)
        self.registration = Registration(
            settings, issuer, store, RateLimits(store, clock), Refusals(store, clock), clock
        )
        self.initial_access_tokens = InitialAccessTokens(store, clock)
        self.keys = KeyRotation(store, settings, clock)
        self.form_secrets = FormSecrets(store, settings, clock)
        self._store = store
        self._clock = clock

    async def everybody(self) -> list[User]:
        """All users, by name."""
        return await self._store.read(administration.everybody)

    async def held_by(self, user: User) -> Held:
        """What ends when this user is disabled."""
        return await self._store.read(administration.held_by, user.user_id, self._clock())

    async def add_user(
        self,
        username: str,
        password: str,
        scope: tuple[str, ...],
        *,
        display_name: str = "",
        email: str = "",
        must_change_password: bool = False,
    ) -> bool:
        """Create a user; False when the name is taken. Raises PasswordError."""
        now = self._clock()
        user = User(
            user_id=random_id(),
            username=username,
            password_hash=await self.users.hash_new(username, password),
            scope=scope,
            created_at=now,
            display_name=display_name,
            email=email,
            must_change_password=must_change_password,
        )
        happened = event(now, "user.added", "success", actor=username, detail=" ".join(scope))
        return await self._store.write(audit.recorded, lambda created: happened if created else None, users.add, user)

    async def set_password(self, user: User, password: str, *, must_change: bool) -> Held:
        """Set a password; returns what was held before: the sessions have ended. Raises PasswordError."""
        hashed = await self.users.hash_new(user.username, password, present=user.password_hash)
        now = self._clock()
        happened = event(now, "password.changed", "success", actor=user.username)
        return await self._store.write(
            audit.recorded, lambda _: happened, administration.set_password, user.user_id, hashed, must_change, now
        )

    async def set_scope(self, user: User, scope: tuple[str, ...]) -> list[str]:
        """Set the ceiling, a closed set; returns the clients whose access tokens exceeded it, and have ended."""
        now = self._clock()
        was, becomes = (" ".join(words) or "nothing" for words in (user.scope, scope))
        happened = event(now, "user.scope_set", "success", actor=user.username, detail=f"from {was} to {becomes}")
        return await self._store.write(
            audit.recorded, lambda _: happened, users.set_scope, user.user_id, scope, self._clock, ACCESS_TOKEN_MAX
        )

    async def disable(self, user: User) -> Held:
        """Lock a user out; returns what has ended: browser sessions, and grants with all their tokens."""
        now = self._clock()
        return await self._store.write(
            audit.recorded,
            lambda held: event(
                now,
                "user.disabled",
                "success",
                actor=user.username,
                detail=f"browser sessions ended: {held.sessions}, grants revoked: {held.grants}",
            ),
            administration.disable,
            user.user_id,
            now,
            now + ACCESS_TOKEN_MAX,
        )

    async def enable(self, user: User) -> None:
        """Let a disabled user sign in again; what ended stays ended."""
        now = self._clock()
        happened = event(now, "user.enabled", "success", actor=user.username)
        await self._store.write(
            audit.recorded, lambda _: happened, users.set_disabled, user.user_id, False, now, now + ACCESS_TOKEN_MAX
        )

    async def unlock(self, user: User) -> bool:
        """Forget the failed attempts to sign in as this user; False where none are counted."""
        happened = event(self._clock(), "user.unlocked", "success", actor=user.username)
        return await self._store.write(
            audit.recorded, lambda any_: happened if any_ else None, limits.empty, own("account", user.username)
        )

    async def grants_of_client(self, client: Client) -> int:
        """How many live grants end when this client is deleted."""
        return await self._store.read(administration.grants_of_client, client.client_id, self._clock())

    async def delete_client(self, client: Client) -> int | None:
        """Delete a client and all that was issued to it; how many grants ended, None when somebody was faster."""
        now = self._clock()
        return await self._store.write(
            audit.recorded,
            lambda ended: (
                None
                if ended is None
                else event(
                    now,
                    "client.deleted",
                    "success",
                    client_id=client.client_id,
                    detail=f"{name_of(client)}; grants revoked: {ended}",
                )
            ),
            administration.delete_client,
            client.client_id,
            now,
            now + ACCESS_TOKEN_MAX,
        )

    async def events(self, wanted: Wanted) -> list[AuditEvent]:
        """The newest audit events that match, oldest first."""
        actors: tuple[str, ...] = ()
        if wanted.username is not None:
            name = normalise_username(wanted.username)
            user = await self.users.by_username(name)
            # A failed login has the name in ASCII, with an earlier release in quotes; that had the `sub` for a token.
            actors = (name, ascii(name)[1:-1], ascii(name), *((user.user_id,) if user is not None else ()))
        return await self._store.read(audit.search, wanted.since, wanted.event, wanted.client_id, actors, wanted.limit)


def new_username(value: str) -> str:
    """The stored form of a new user's name; RefusedError when nobody could sign in with it."""
    return normalise_username(username(value))


def email(value: str) -> str:
    """An e-mail address as it is shown to clients; what it must look like is left to the mail system."""
    local, at, domain = value.rpartition("@")
    if not (local and at and domain) or not value.isprintable() or " " in value or len(value) > _MAX_EMAIL:
        raise RefusedError(f"{quoted(value)} is not an e-mail address", "one such as alice@example.com")
    return value


def ceiling(words: Iterable[str], configured: Iterable[str]) -> tuple[str, ...]:
    """What a person may be granted, with all that it includes; RefusedError for a scope this server does not know."""
    known = tuple(dict.fromkeys((READ, WRITE, ADMIN, *configured)))
    asked = tuple(dict.fromkeys(words))
    for word in asked:
        if word not in known:
            raise RefusedError(f"{quoted(word)} is not a scope that people are granted here", " ".join(known))
    return tuple(scope for scope in known if scope in closed(asked))
