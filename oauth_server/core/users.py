"""People: their passwords as Argon2id hashes, the owner of a new installation, ceilings (RFC 9106)."""

from typing import Final

from oauth_server.core import hashers
from oauth_server.core.audit import event
from oauth_server.core.clock import Clock, random_id, random_token
from oauth_server.core.passwords import (
    DIFFERENT,
    PasswordError,
    new_password,
    normal_form,
    normalise_username,
    valid_username,
)
from oauth_server.core.revocation import RevocationFilter
from oauth_server.core.scopes import closed, implied
from oauth_server.core.settings import Settings
from oauth_server.store.records import User
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, users

# The hash of a random password nobody knows, verified against for an unknown user, so that both answers take the
# same time; its parameters are those of `hasher.py`.
_NOBODY: Final = "$argon2id$v=19$m=19456,t=2,p=1$ojWwuRGm3S9Gnmi/ilMBIg$33FN6JEG0O7TRXlCh6C6d386mR+Qgl/9EwDjd8Od+94"


def generated_password() -> str:
    """A password for somebody who changes it at the first sign-in: 144 random bits."""
    return random_token()[:24]


class Users:
    """Knows people and their passwords, and keeps their ceilings at hand."""

    def __init__(self, store: Store, revoked: RevocationFilter, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ceilings: dict[str, frozenset[str]] = {}
        revoked.on_change(self._forget_ceilings)

    async def create_owner(self, settings: Settings) -> str | None:
        """Create the owner where there is no user yet; returns the password when it was generated here."""
        given = settings.admin_password.get_secret_value() if settings.admin_password else None
        if await self._store.read(users.by_username, normalise_username(settings.admin_username)):
            return None
        username = normalise_username(settings.admin_username)
        password = generated_password() if given is None else given
        owner = User(
            user_id=random_id(),
            username=username,
            password_hash=await self.hash_new(username, password),
            scope=closed(settings.scope),
            created_at=self._clock(),
            display_name=settings.admin_username,
            must_change_password=given is None,
        )
        happened = event(
            owner.created_at,
            "user.added",
            "success",
            actor=owner.username,
            detail=f"the owner: {' '.join(owner.scope)}",
        )
        created = await self._store.write(
            audit.recorded, lambda created: happened if created else None, users.add_owner_if_nobody, owner
        )
        return password if created and given is None else None

    async def proves(self, user: User | None, password: str) -> bool:
        """Whether the password is this person's, who is not disabled; one Argon2 verification, for nobody as well.

        How often somebody may be wrong is bounded in `logins.py`.
        """
        matches = await hashers.matches(_NOBODY if user is None else user.password_hash, password)
        return matches and user is not None and not user.disabled

    async def named(self, name: str) -> User | None:
        """The user of that normalised name, which may be anything that a stranger typed."""
        return await self._store.read(users.by_username, name) if valid_username(name) else None

    async def by_username(self, username: str) -> User | None:
        """The user of that name."""
        return await self._store.read(users.by_username, normalise_username(username))

    async def by_id(self, user_id: str) -> User | None:
        """The user with that `sub`."""
        return await self._store.read(users.by_id, user_id)

    async def has_password(self, user: User, password: str) -> bool:
        """Whether this is the person's present password."""
        return await hashers.matches(user.password_hash, password)

    async def change_password(
        self, user: User, password: str, again: str, session_hash: bytes | None, *, present: str | None = None
    ) -> User:
        """Set a new password and end the person's other sessions; returns the user as they are now.

        `present` is the present password where it was verified a moment ago. Raises PasswordError when the new one is
        not acceptable.
        """
        if password != again:
            raise PasswordError("The two passwords differ.")
        if present is not None and normal_form(present) == normal_form(password):
            raise PasswordError(DIFFERENT)
        stored = user.password_hash if present is None else None  # not hashed once more to be compared
        hashed = await self.hash_new(user.username, password, present=stored)
        happened = event(self._clock(), "password.changed", "success", actor=user.username)
        changed = await self._store.write(
            audit.recorded,
            lambda done: happened if done else None,
            users.change_password,
            user.user_id,
            user.password_hash,
            hashed,
            session_hash,
        )
        if not changed:
            raise PasswordError("The password was changed elsewhere meanwhile; sign in again.")
        return user._replace(password_hash=hashed, must_change_password=False)

    async def hash_new(self, username: str, password: str, *, present: str | None = None) -> str:
        """The hash of a new password; raises PasswordError when it is not acceptable. `present`: the hash so far."""
        normal = new_password(password, username)
        if present is not None and await hashers.matches(present, normal):
            raise PasswordError(DIFFERENT)
        return await hashers.hashed(normal)

    async def ceiling(self, user_id: str) -> frozenset[str]:
        """What this person may be granted, the scope hierarchy applied; nothing for an unknown or disabled one."""
        ceilings = self._ceilings
        found = ceilings.get(user_id)
        if found is None:
            user = await self.by_id(user_id)
            found = implied(user.scope) if user is not None and not user.disabled else frozenset()
            ceilings[user_id] = found
        return found

    def _forget_ceilings(self) -> None:
        # Another dict: what is being read at this moment may be of before, and must not be kept.
        self._ceilings = {}
