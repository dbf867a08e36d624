"""Browser sessions and the CSRF tokens of forms.

What a browser keeps of a session is `id.key`: the key binds its forms. The store keeps the SHA-256 of both together
with what the session is bound to (RFC 9700 section 4.16 and the OWASP session rules).
"""

import hashlib
import hmac
from typing import Final

from oauth_server.core.audit import event
from oauth_server.core.clock import Clock, random_id, random_token
from oauth_server.core.form_secrets import FORM_LIFETIME, Secrets
from oauth_server.store.ages import within
from oauth_server.store.records import Session, User
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, users

LIFETIME: Final = 12 * 3600  # seconds
AUTHORIZATION_LIFETIME: Final = 2 * FORM_LIFETIME  # seconds, of a session that serves one authorization request
_MAX_VALUE: Final = 128


def session_hash(value: str, bound: str) -> bytes:
    """What the store keeps of a session; `bound` is what it is bound to, beside what the browser keeps."""
    return hashlib.sha256(f"{bound}\x00{value}".encode("utf-8", "surrogateescape")).digest()


class Sessions:
    """Begins, finds and ends browser sessions."""

    def __init__(self, store: Store, secrets: Secrets, clock: Clock) -> None:
        self._store = store
        self._secrets = secrets
        self._clock = clock

    async def find(self, value: str | None, bound: str = "") -> Session | None:
        """The live session of this value, where it is bound to this."""
        if not value or len(value) > _MAX_VALUE:
            return None
        return await self._store.read(users.session, session_hash(value, bound), self._clock())

    async def start(
        self,
        user: User,
        replaced: Session | None,
        bound: str = "",
        form_key: str | None = None,
        lifetime: int = LIFETIME,
    ) -> str | None:
        """Begin a session for a person who just signed in, and return what the browser keeps of it.

        `lifetime` in seconds; without a `form_key`, no form that was open before is good. None when the password that
        `user` was verified with is no longer the person's.
        """
        value, now = f"{random_token()}.{form_key or random_id()}", self._clock()
        happened = event(now, "login", "success", actor=user.username)
        started = await self._store.write(
            audit.recorded,
            lambda done: happened if done else None,
            users.start_session,
            session_hash(value, bound),
            user.user_id,
            user.password_hash,
            now,
            now + lifetime,
            replaced.session_hash if replaced is not None else None,
        )
        return value if started else None

    async def end(self, session: Session) -> None:
        """Sign the browser out."""
        happened = event(self._clock(), "logout", "success", actor=session.user.username)
        await self._store.write(audit.recorded, lambda _: happened, users.end_session, session.session_hash)

    async def discard(self, session: Session) -> None:
        """End a session that has served its one purpose; the person did not sign out."""
        await self._store.write(users.end_session, session.session_hash)

    async def others(self, session: Session) -> list[float]:
        """When the person signed in to each of their other live sessions (Unix seconds), the latest first."""
        return await self._store.read(users.other_sessions, session, self._clock())

    async def end_others(self, session: Session) -> int:
        """Sign the person out of every browser but this one; how many sessions ended."""
        now = self._clock()
        return await self._store.write(
            audit.recorded,
            lambda count: (
                event(now, "sessions.ended", "success", actor=session.user.username, detail=f"{count} other sessions")
                if count
                else None
            ),
            users.end_other_sessions,
            session,
        )

    def csrf(self, form_key: str, purpose: str) -> str:
        """A token for one form of one browser: it binds the browser, the purpose and the time it was rendered."""
        at = str(int(self._clock()))
        return f"{at}.{_mac(self._secrets.signing, form_key, purpose, at)}"

    def csrf_valid(self, token: str, form_key: str | None, purpose: str) -> bool:
        """Whether this very form was rendered for this browser within the last hour."""
        at, _, mac = token.partition(".")
        if not form_key or not at.isascii() or not at.isdigit() or len(at) > 12:  # noqa: PLR2004 - Unix seconds
            return False
        given = mac.encode("utf-8", "surrogateescape")
        # Another machine may have rendered it, by a clock that is ahead.
        return within(self._clock(), int(at), FORM_LIFETIME) and any(
            hmac.compare_digest(given, _mac(secret, form_key, purpose, at).encode())
            for secret in self._secrets.of_form(int(at))
        )


def _mac(secret: bytes, form_key: str, purpose: str, at: str) -> str:
    message = f"{form_key}\x00{purpose}\x00{at}".encode("utf-8", "surrogateescape")
    return hmac.new(secret, message, hashlib.sha256).hexdigest()
