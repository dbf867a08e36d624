"""Grants: codes issued, redeemed once, refreshed with rotation, revoked.

Sources: OAuth 2.1 sections 4.1 and 4.3, RFC 6749 sections 4.1.2 and 6, RFC 7009, RFC 9700 section 4.14.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from oauth_server.core import pkce, scopes
from oauth_server.core.audit import EventName, event
from oauth_server.core.client_documents import document_digest
from oauth_server.core.clock import Clock, random_id, random_token, token_hash
from oauth_server.core.deployment import Deployment
from oauth_server.core.errors import (
    AccessDeniedError,
    InvalidGrantError,
    InvalidScopeError,
    InvalidTargetError,
    InvalidTokenError,
    OAuthError,
)
from oauth_server.core.refusals import Refusals
from oauth_server.core.revocation import ACCESS_TOKEN_MAX, RevocationFilter
from oauth_server.core.scopes import IDENTITY
from oauth_server.core.tokens import Tokens
from oauth_server.store.records import (
    AuditEvent,
    Client,
    Code,
    Grant,
    Issue,
    NewRefresh,
    Permitted,
    Refusal,
    Session,
)
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, grants, revocations, users

CODE_LIFETIME: Final = 60  # seconds
MOST_REPLAYS: Final = 64  # of one refresh token in its grace window: a client with many threads has no more
REPLAY_AFTER: Final = 5  # seconds; an earlier second redemption is a twin of the first, not a theft


@dataclass(frozen=True)
class Approval:
    """What a signed-in person approved: everything that a code is bound to."""

    client: Client
    session: Session
    redirect_uri: str
    challenge: str
    resources: tuple[str, ...]
    requested: tuple[str, ...]  # the scope that the client asked for
    scope: tuple[str, ...]
    nonce: str | None
    consent_key: str  # the redirect URI under which the consent is remembered
    asked: bool  # whether the person was asked, or an earlier consent stood


def _seal(presented: str) -> AESGCM:
    return AESGCM(
        hashlib.sha256(b"refresh token successor\x00" + presented.encode("utf-8", "surrogateescape")).digest()
    )


# Every key seals one successor once, so a constant nonce never repeats under a key.
_NONCE: Final = bytes(12)


class Grants:
    """The token endpoint's rules."""

    def __init__(
        self,
        deployment: Deployment,
        store: Store,
        tokens: Tokens,
        revoked: RevocationFilter,
        refusals: Refusals,
        clock: Clock,
        store_clock: Clock,
    ) -> None:
        self._settings = deployment.settings
        self._resources = deployment.resources
        self._store = store
        self._tokens = tokens
        self._revoked = revoked
        self._refusals = refusals
        self._clock = clock
        # What other processes wrote a few seconds ago is judged by it: their clocks may differ from this one.
        self._store_clock = store_clock
        self.permitted = Permitted(
            configured=frozenset(self._settings.scope),
            unlimited=frozenset(IDENTITY),
            includes=scopes.HIERARCHY,
            # /mcp accepts a token for the whole resource, so a grant for that may be used for a token for /mcp alone.
            narrower={self._resources.root: frozenset((self._resources.mcp,))},
        )

    async def consented(self, session: Session, client: Client, key: str, resources: tuple[str, ...]) -> frozenset[str]:
        """What this person consented to before for this client, redirect URI and resource."""
        document = _document(client)
        found = await self._store.read(
            users.consented, session.user.user_id, client.client_id, key, resources, document
        )
        return frozenset(found)

    async def issue_code(self, approval: Approval) -> str:
        """Store a code, and the consent when one was asked for, and return the code.

        Raises AccessDeniedError when the client or the person's account ended while this request was served.
        """
        code, now = random_token(), self._clock()
        user = approval.session.user
        stored = Code(
            code_hash=token_hash(code),
            grant_id=random_id(),
            client_id=approval.client.client_id,
            user_id=user.user_id,
            redirect_uri=approval.redirect_uri,
            challenge=approval.challenge,
            resources=approval.resources,
            scope=approval.scope,
            nonce=approval.nonce,
            auth_time=approval.session.auth_time,
            expires_at=self._store_clock() + CODE_LIFETIME,
            document=_document(approval.client),
            requested=approval.requested,
        )
        consent = (user.user_id, approval.client.client_id, approval.consent_key, approval.resources, approval.scope)
        happened = event(
            now,
            "consent" if approval.asked else "authorize",
            "success",
            actor=user.username,
            client_id=approval.client.client_id,
            detail=" ".join(approval.scope),
        )
        added = await self._store.write(
            audit.recorded,
            lambda done: happened if done else None,
            grants.add_code_and_consent,
            stored,
            consent if approval.asked else None,
            now,
            approval.client if stored.document is not None else None,
        )
        if not added:
            raise AccessDeniedError("The application, or the account, was removed a moment ago.")
        return code

    async def deny(self, session: Session, client: Client) -> None:
        """Record that the person refused."""
        happened = event(
            self._clock(),
            "consent",
            "failure",
            actor=session.user.username,
            client_id=client.client_id,
            detail="denied",
        )
        await self._store.write(audit.append, happened)

    async def redeem(self, client: Client, form: Mapping[str, str], resources: list[str]) -> dict[str, Any]:
        """The token response for a code; `form` has `code` and `code_verifier`.

        Raises InvalidGrantError, InvalidScopeError or InvalidTargetError.
        """
        now, at = self._clock(), self._store_clock()
        fresh = random_token() if "refresh_token" in client.grant_types else None
        outcome = await self._store.write(
            audit.recorded,
            lambda o: self._event("code.redeemed", client, o, now),
            grants.redeem_code,
            code_hash=token_hash(form["code"]),
            client_id=client.client_id,
            redirect_uri=form.get("redirect_uri"),
            challenge=pkce.challenge_of(form["code_verifier"]),
            resource=self._resources.one(resources),
            now=at,
            lifetime=CODE_LIFETIME,
            replay_after=REPLAY_AFTER,
            permitted=self.permitted,
            refresh=self._refresh(fresh, at),
            family_until=at + self._settings.refresh_token_max_age,
            tokens_until=at + ACCESS_TOKEN_MAX,
        )
        issue = await self._judge("code.redeemed", client, outcome)
        return self._reply(client, issue, fresh, now)

    async def refresh(self, client: Client, form: Mapping[str, str], resources: list[str]) -> dict[str, Any]:
        """The token response for a refresh token. Raises InvalidGrantError, InvalidScopeError or InvalidTargetError."""
        now, at, presented, fresh = self._clock(), self._store_clock(), form["refresh_token"], random_token()
        grace = self._settings.refresh_grace
        sealed = _seal(presented).encrypt(_NONCE, fresh.encode(), None) if grace else None
        successor = NewRefresh(token_hash(fresh), at + self._settings.refresh_token_expiry)
        outcome = await self._store.write(
            audit.recorded,
            lambda o: self._event("token.refreshed", client, o, now),
            grants.rotate_refresh,
            token_hash=token_hash(presented),
            client_id=client.client_id,
            scope=scopes.parse(form["scope"]) if "scope" in form else None,
            resource=self._resources.one(resources),
            now=at,
            grace=grace,
            replays=MOST_REPLAYS,
            permitted=self.permitted,
            successor=successor,
            sealed=sealed,
            tokens_until=at + ACCESS_TOKEN_MAX,
        )
        issue = await self._judge("token.refreshed", client, outcome)
        if issue.sealed_successor is not None:
            try:
                fresh = _seal(presented).decrypt(_NONCE, issue.sealed_successor, None).decode()
            except InvalidTag:
                raise InvalidGrantError(reason="the sealed successor cannot be opened") from None
        return self._reply(client, issue, fresh, now)

    async def revoke(self, client: Client, token: str) -> None:
        """End a token of this client (RFC 7009): an access token alone, with a refresh token its whole grant.

        A token that is unknown, or another client's, is left as it is, and the answer does not tell.
        """
        now = self._clock()
        if token.count(".") == 2:  # noqa: PLR2004 - only access tokens are JWTs
            try:
                found = await self._tokens.verify(token)
            except InvalidTokenError:
                return
            if found.client_id != client.client_id:
                return
            user = None if found.of_client else await self._store.read(users.by_id, found.subject)
            actor = user.username if user is not None else ""
            happened = event(now, "token.revoked", "success", actor=actor, client_id=client.client_id)
            until = float(found.expires_at)
            await self._store.write(audit.recorded, lambda _: happened, revocations.end, "token", [found.jti], until)
        else:
            await self._store.write(
                audit.recorded,
                lambda grant: _revoked(grant, client, now),
                grants.revoke_by_refresh,
                token_hash(token),
                client.client_id,
                now,
                now + ACCESS_TOKEN_MAX,
            )
        await self._revoked.catch_up()

    async def live(self, limit: int = 200) -> list[Grant]:
        """The grants neither revoked nor expired, the newest first."""
        return await self._store.read(grants.live, self._clock(), limit)

    def _refresh(self, token: str | None, now: float) -> NewRefresh | None:
        return None if token is None else NewRefresh(token_hash(token), now + self._settings.refresh_token_expiry)

    async def _judge(self, name: EventName, client: Client, outcome: Issue | Refusal) -> Issue:
        if isinstance(outcome, Issue):
            on = (("grant", outcome.grant_id), ("user", outcome.user.user_id), ("client", client.client_id))
            if not await self._revoked.lost(on, outcome.auth_time):
                return outcome
            outcome = Refusal("revoked", outcome.grant_id, username=outcome.user.username)
        if outcome.grant_revoked:
            await self._revoked.catch_up()
        elif not outcome.code_ended:
            detail = f"{outcome.reason}; grant {outcome.grant_id or 'unknown'}"
            name = "token.replayed" if outcome.reason == "repeated" else name
            await self._refusals.record(name, actor=outcome.username, client_id=client.client_id, detail=detail)
        raise _error(outcome)

    def _event(self, name: EventName, client: Client, outcome: Issue | Refusal, now: float) -> AuditEvent | None:
        result: Literal["success", "failure"] = "success"
        actor, detail = "", ""
        if isinstance(outcome, Issue):
            actor, detail = outcome.user.username, f"grant {outcome.grant_id}"
            name = name if outcome.sealed_successor is None else "token.replayed"
        elif outcome.grant_revoked or outcome.code_ended:
            ended = f"grant {outcome.grant_id} revoked" if outcome.grant_revoked else "the code has ended"
            result, actor, detail = "failure", outcome.username, f"{outcome.reason}; {ended}"
        else:
            return None  # a refusal that changed nothing is recorded within bounds, see `_judge`
        return event(now, name, result, actor=actor, client_id=client.client_id, detail=detail)

    def _reply(self, client: Client, issue: Issue, refresh_token: str | None, now: float) -> dict[str, Any]:
        reply = self._tokens.reply(
            subject=issue.user.user_id,
            client_id=client.client_id,
            scope=issue.scope,
            audience=issue.resource,
            grant_id=issue.grant_id,
            issued_at=now,
        )
        if refresh_token is not None:
            reply["refresh_token"] = refresh_token
        if "openid" in issue.scope:
            reply["id_token"] = self._tokens.issue_id(
                subject=issue.user.user_id,
                client_id=client.client_id,
                auth_time=issue.auth_time,
                nonce=issue.nonce,
                access_token=reply["access_token"],
            )
        return reply


def _revoked(grant: Grant | None, client: Client, now: float) -> AuditEvent | None:
    if grant is None:
        return None
    detail = f"grant {grant.grant_id}"
    return event(now, "grant.revoked", "success", actor=grant.username, client_id=client.client_id, detail=detail)


def _document(client: Client) -> bytes | None:
    return document_digest(client) if client.source == "document" else None


def _error(refusal: Refusal) -> OAuthError:
    if refusal.reason == "resource":
        return InvalidTargetError("The grant was not made for this resource.", reason="resource exceeds the grant")
    if refusal.reason == "scope":
        return InvalidScopeError("The scope exceeds what was granted, or nothing of it may be granted any more.")
    return InvalidGrantError(reason=f"{refusal.reason} (grant {refusal.grant_id or 'unknown'})")
