"""Initial access tokens: who holds one may register clients where not everybody may (RFC 7591 sections 1.2 and 3)."""

from typing import Final

from oauth_server.core.audit import event
from oauth_server.core.clock import Clock, random_token, token_hash
from oauth_server.core.errors import RegistrationTokenError
from oauth_server.core.settings_rules import RefusedError
from oauth_server.store.records import InitialAccessToken
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit
from oauth_server.store.verbs import initial_access_tokens as verbs

MAX_USES: Final = 10_000
LIFETIMES: Final = (60, 365 * 24 * 3600)  # seconds, from and to


def refused() -> RegistrationTokenError:
    """The error for a token that registers nothing, whatever the reason: a stranger learns no more than that."""
    return RegistrationTokenError(
        "The initial access token is wrong, used up or expired; ask the operator of this server for another.",
        reason="no initial access token that can be used",
    )


class InitialAccessTokens:
    """The operator's side, and the check of one that is presented. Creation and deletion are recorded."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, uses: int, lifetime: int) -> tuple[str, InitialAccessToken]:
        """A token for that many registrations within `lifetime` seconds; its text is returned here and nowhere else.

        Raises RefusedError for numbers out of range.
        """
        if not 1 <= uses <= MAX_USES:
            raise RefusedError(f"{uses} uses cannot be given", f"1 to {MAX_USES}")
        if not LIFETIMES[0] <= lifetime <= LIFETIMES[1]:
            raise RefusedError(f"{lifetime} s is no lifetime here", f"{LIFETIMES[0]} to {LIFETIMES[1]} seconds")
        text, now = random_token(), self._clock()
        token = InitialAccessToken(token_hash(text), now, now + lifetime, uses)
        detail = f"{token.token_id}, for {uses} registrations in {lifetime} s"
        happened = event(now, "initial_access_token.created", "success", detail=detail)
        await self._store.write(audit.recorded, lambda _: happened, verbs.add, token)
        return text, token

    async def listed(self) -> list[InitialAccessToken]:
        """The tokens that can still be used, the newest first."""
        return await self._store.read(verbs.listed, self._clock())

    async def delete(self, token_id: str) -> bool:
        """Delete the token that the list shows under this id; False when there is none."""
        found = [token for token in await self.listed() if token.token_id == token_id]
        if not found:
            return False
        happened = event(self._clock(), "initial_access_token.deleted", "success", detail=token_id)
        return await self._store.write(
            audit.recorded, lambda gone: happened if gone else None, verbs.remove, found[0].token_hash
        )

    async def usable(self, token: str) -> bool:
        """Whether the token can register a client now."""
        return await self._store.read(verbs.usable, token_hash(token), self._clock())
