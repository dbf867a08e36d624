"""The applications a person connected to their account, and disconnecting one."""

from oauth_server.core.audit import event
from oauth_server.core.clock import Clock
from oauth_server.core.revocation import ACCESS_TOKEN_MAX, RevocationFilter
from oauth_server.store.records import Application, User
from oauth_server.store.store import Store
from oauth_server.store.verbs import applications, audit


class Applications:
    """What a person sees of their grants, by client."""

    def __init__(self, store: Store, access_lifetime: int, revoked: RevocationFilter, clock: Clock) -> None:
        self._store = store
        self._access_lifetime = access_lifetime
        self._revoked = revoked
        self._clock = clock

    async def of(self, user: User) -> list[Application]:
        """The clients that can still act for this person, the one that was given a token last first."""
        return await self._store.read(applications.of_user, user.user_id, self._clock(), self._access_lifetime)

    async def disconnect(self, user: User, client_id: str) -> int:
        """Take a client's access away, consents included; its tokens end at once. Returns how many grants ended."""
        now = self._clock()
        ended: int = await self._store.write(
            audit.recorded,
            lambda count: (
                event(
                    now,
                    "application.disconnected",
                    "success",
                    actor=user.username,
                    client_id=client_id,
                    detail=f"{count} grants revoked",
                )
                if count
                else None
            ),
            applications.disconnect,
            user.user_id,
            client_id,
            now,
            now + ACCESS_TOKEN_MAX,
        )
        await self._revoked.catch_up()
        return ended
