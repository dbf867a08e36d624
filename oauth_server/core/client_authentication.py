"""Client authentication at the token, revocation and introspection endpoints.

Sources: RFC 6749 sections 2.3 and 3.2.1, RFC 7521 section 4.2, OpenID Connect Core 1.0 section 9.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from oauth_server.core.client_assertions import ClientAssertions
from oauth_server.core.client_attempts import ClientAttempts
from oauth_server.core.client_documents import ClientDocuments
from oauth_server.core.clients import Clients, proves
from oauth_server.core.errors import (
    InvalidClientDocumentError,
    InvalidClientError,
    InvalidGrantError,
    InvalidTokenError,
    RateLimitedError,
)
from oauth_server.core.jwt_parts import JwtError
from oauth_server.core.policies import REFUSALS
from oauth_server.core.presented_credentials import Presented, presented
from oauth_server.core.rate_limits import RateLimits
from oauth_server.core.refusal_log import recordable
from oauth_server.core.refusals import Refusals
from oauth_server.core.tokens import Tokens
from oauth_server.store.records import Client

Holding = Literal["code", "refresh_token", "token"]


class ClientAuthentication:
    """Checks that a request comes from the client it names."""

    def __init__(
        self,
        clients: Clients,
        tokens: Tokens,
        documents: ClientDocuments,
        assertions: ClientAssertions,
        attempts: ClientAttempts,
        rate_limits: RateLimits,
        refusals: Refusals,
    ) -> None:
        self._clients = clients
        self._tokens = tokens
        self._documents = documents
        self._assertions = assertions
        self._attempts = attempts
        self._rate_limits = rate_limits
        self._refusals = refusals

    async def authenticate(
        self, authorization: str | None, form: Mapping[str, str], holding: Holding | None = None
    ) -> Client:
        """The client that sent this request; raises InvalidClientError, or InvalidRequestError for two methods at once.

        `holding` names the parameter with the code or token that the request is about: a client known by its metadata
        document is taken as it was when that was consented to.

        Refusals are counted by address, and there by foreign Origin. Beyond the bound RateLimitedError is raised
        where nothing is presented but an id. Credentials are judged all the same, so that no neighbour's flood keeps
        their client out; wrong ones have bounds of their own (`client_attempts.py`), with RateLimitedError too.
        """
        try:
            shown = presented(authorization, form)
        except InvalidClientError as error:
            await self._refuse("", error.reason)
            raise
        if shown.method == "none":
            self._rate_limits.admit_caller(REFUSALS)
        client: Client | None = None
        try:
            client = await self._find(shown)
            return await self._authenticated(client, shown, form, holding)
        except (InvalidClientError, RateLimitedError) as error:
            await self._refuse(recordable(shown.client_id) if client is None else client.client_id, error.reason)
            raise

    async def _refuse(self, client_id: str, reason: str) -> None:
        self.refused()
        await self._refusals.record("client.authentication", client_id=client_id, detail=reason)

    def refused(self) -> None:
        """Count a refusal by the caller's address: of credentials, or of what a public client presented."""
        self._rate_limits.count_caller(REFUSALS)

    async def _find(self, shown: Presented) -> Client:
        for client_id in shown.client_ids:
            client = await self._clients.recall(client_id)
            if client is not None:
                return client
        for secret in shown.secrets:  # compared all the same, so that the answer takes the same time
            proves(secret, None)
        kept = recordable(shown.client_id)
        reason = "unknown client" if kept else "unknown client; what was sent in the place of its id is not kept"
        raise InvalidClientError("The client is unknown; register it again.", reason=reason)

    async def _authenticated(
        self, client: Client, shown: Presented, form: Mapping[str, str], holding: Holding | None
    ) -> Client:
        try:
            found = await self._judge(client, shown, form, holding)
        except InvalidClientError:
            if not self._clients.forget(client.client_id):
                raise
            # A refusal must not rest on what was kept in memory: another process may have changed it.
            fresh = await self._clients.recall(client.client_id)
            if fresh is None or replace(fresh, last_used_at=client.last_used_at) == client:
                raise
            found = await self._judge(fresh, shown, form, holding)
            self._attempts.withdrawn(client.client_id, shown.method)
        if found.confidential:
            self._attempts.succeeded(found.client_id)
        return found

    async def _judge(
        self, client: Client, shown: Presented, form: Mapping[str, str], holding: Holding | None
    ) -> Client:
        if shown.method != "none":
            self._attempts.admit(client.client_id, shown.method)  # before anything is verified
        now = client
        if client.source == "document":
            self._admit(client)
            held = form.get(holding) if holding is not None else None
            client = client if held is None else await self._as_consented(client, held, code=holding == "code")
        allowed = _methods(client)
        if shown.method not in allowed:
            raise InvalidClientError(
                reason=f"method {shown.method}, registered {client.auth_method}",
                description=f"This client must authenticate by {' or '.join(sorted(allowed))}.",
            )
        if shown.method == "private_key_jwt" and client is not now:
            await self._check_key_of_grant(client, shown.credential or "", holding)
        elif shown.method == "private_key_jwt":
            await self._check_assertion(client, shown.credential or "")
        elif client.confidential:
            self._check_secret(client, shown)
        return client

    def _check_secret(self, client: Client, shown: Presented) -> None:
        proved = [proves(secret, client.secret_hash) for secret in shown.secrets]
        if not any(proved):
            self._attempts.failed(client.client_id, shown.method)
            raise InvalidClientError(reason="wrong client secret")

    async def _as_consented(self, client: Client, held: str, *, code: bool) -> Client:
        if code:
            return await self._clients.of_code(client, held)
        try:
            grant_id = (await self._tokens.verify(held)).grant_id
        except InvalidTokenError:
            return await self._clients.of_refresh_token(client, held)
        return await self._clients.of_grant(client, grant_id)

    def _admit(self, client: Client) -> None:
        try:
            self._documents.admit(client.client_id)
        except InvalidClientDocumentError as error:
            raise InvalidClientError(error.description, reason=error.reason) from None

    async def _check_assertion(self, client: Client, assertion: str) -> None:
        try:
            await self._assertions.check(client, assertion)
        except JwtError as error:
            raise self._unacceptable(client, error) from None

    async def _check_key_of_grant(self, consented: Client, assertion: str, holding: Holding | None) -> None:
        """Check an assertion for a grant: by a key that is in the document of the consent, and in the present one.

        The first ends what somebody else who publishes the document later could do, the second what a withdrawn key
        could. Raises InvalidGrantError for a key that is in one of the two alone, where a grant is asked about.
        """
        try:
            key = await self._assertions.check(consented, assertion)
        except JwtError as error:
            current = await self._documents.current(consented.client_id)
            if error.check not in ("key", "signature") or current is None:
                raise self._unacceptable(consented, error) from None
            await self._check_assertion(current, assertion)
        else:
            current = await self._documents.current(consented.client_id)
            if current is not None and await self._assertions.has(current, key, assertion):
                return
        said = (
            "The key that signed the client assertion is not in both documents of the client, the one that was "
            "consented to and the present one; start a new authorization."
        )
        if holding == "token":  # no grant is asked for
            raise InvalidClientError(said)
        raise InvalidGrantError(said)

    def _unacceptable(self, client: Client, error: JwtError) -> InvalidClientError:
        """The refusal of an assertion, which is counted."""
        self._attempts.failed(client.client_id, "private_key_jwt")
        # For whoever writes the client (RFC 7523 section 3.2); a stranger learns nothing that is not public.
        said = f"The client assertion is not acceptable: {error.reason}."
        return InvalidClientError(said, reason=f"assertion, {error.check}: {error.reason}")


def _methods(client: Client) -> frozenset[str]:
    if client.source == "configured" and client.confidential:
        # The operator registered no method, so either way of presenting the secret is as good.
        return frozenset(("client_secret_basic", "client_secret_post"))
    return frozenset((client.auth_method,))
