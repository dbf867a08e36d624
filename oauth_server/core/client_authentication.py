"""Client authentication at the token, revocation and introspection endpoints.

Sources: RFC 6749 sections 2.3 and 3.2.1, RFC 7521 section 4.2, OpenID Connect Core 1.0 section 9.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import unquote_plus

from oauth_server.core.client_assertions import ASSERTION_TYPE, ClientAssertions
from oauth_server.core.client_documents import ClientDocuments
from oauth_server.core.clients import Clients, proves
from oauth_server.core.errors import (
    InvalidClientDocumentError,
    InvalidClientError,
    InvalidRequestError,
    InvalidTokenError,
)
from oauth_server.core.jwt_parts import JwtError, unverified_subject
from oauth_server.core.policies import REFUSALS
from oauth_server.core.rate_limits import RateLimits
from oauth_server.core.refusals import Refusals
from oauth_server.core.tokens import Tokens
from oauth_server.store.records import Client

Holding = Literal["code", "refresh_token", "token"]


class Presented(NamedTuple):
    """What a request says about its client: an id, and one method with its credential."""

    client_id: str
    method: str
    credential: str | None


def presented(authorization: str | None, form: Mapping[str, str]) -> Presented:
    """Read the credentials of a request; raises InvalidClientError, or InvalidRequestError for two methods at once.

    `form` has the body's parameters without empty ones.
    """
    # "Basic" without anything is an attempt to authenticate too, and must fail as one.
    scheme, *credentials = (authorization or "").split(maxsplit=1) or [""]
    basic = scheme.lower() == "basic"
    client_id, secret, assertion = form.get("client_id"), form.get("client_secret"), form.get("client_assertion")
    asserts = assertion is not None or "client_assertion_type" in form
    # The client MUST NOT use more than one authentication method in each request (RFC 6749 section 2.3).
    if basic + (secret is not None) + asserts > 1:
        raise InvalidRequestError("Two client authentication methods were used at once.")
    if basic:
        named, secret = _basic("".join(credentials))
        if client_id not in (None, named):
            raise InvalidRequestError("client_id differs from the one in the Basic credentials.")
        if not secret:  # MAY be left out where it is empty (RFC 6749 section 2.3.1), so that says the same
            return Presented(named, "none", None)
        return Presented(named, "client_secret_basic", secret)
    if asserts:
        return _assertion(client_id, assertion, form.get("client_assertion_type"))
    if client_id is None:
        raise InvalidClientError("The request names no client.")
    return Presented(client_id, "none" if secret is None else "client_secret_post", secret)


def _assertion(client_id: str | None, assertion: str | None, assertion_type: str | None) -> Presented:
    if assertion is None or assertion_type != ASSERTION_TYPE:
        raise InvalidClientError(f"A client assertion needs client_assertion_type={ASSERTION_TYPE}.")
    try:
        subject = unverified_subject(assertion)
    except JwtError as error:
        raise InvalidClientError("The client assertion is not a JWT.", reason=error.reason) from None
    # client_id is unnecessary, but must agree where it is sent (RFC 7521 section 4.2).
    if client_id not in (None, subject):
        raise InvalidClientError("client_id differs from the one in the client assertion.")
    return Presented(subject, "private_key_jwt", assertion)


def _basic(credentials: str) -> tuple[str, str]:
    """(client_id, secret) of a Basic header, both form-decoded (RFC 6749 section 2.3.1)."""
    try:
        text = b64decode(credentials.strip(), validate=True).decode("utf-8")
    except ValueError:
        raise InvalidClientError("The Basic credentials cannot be decoded.") from None
    client_id, colon, secret = text.partition(":")
    if not colon:
        raise InvalidClientError("The Basic credentials have no colon.")
    return unquote_plus(client_id), unquote_plus(secret)


class ClientAuthentication:
    """Checks that a request comes from the client it names."""

    def __init__(
        self,
        clients: Clients,
        tokens: Tokens,
        documents: ClientDocuments,
        assertions: ClientAssertions,
        rate_limits: RateLimits,
        refusals: Refusals,
    ) -> None:
        self._clients = clients
        self._tokens = tokens
        self._documents = documents
        self._assertions = assertions
        self._rate_limits = rate_limits
        self._refusals = refusals

    async def authenticate(
        self, authorization: str | None, form: Mapping[str, str], holding: Holding | None = None
    ) -> Client:
        """The client that sent this request; raises InvalidClientError, or InvalidRequestError for two methods at once.

        `holding` names the parameter with the code or token that the request is about: a client known by its metadata
        document is taken as it was when that was consented to.

        Refusals are counted by address, and there by foreign Origin. Beyond the bound RateLimitedError is raised
        where nothing is presented but an id; whoever presents credentials is judged by them, so that no neighbour's
        flood keeps them out.
        """
        try:
            shown = presented(authorization, form)
        except InvalidClientError as error:
            await self._refuse("", error)
            raise
        if shown.method == "none":
            self._rate_limits.admit_caller(REFUSALS)
        try:
            try:
                return await self._judge(shown, form, holding)
            except InvalidClientError:
                if not self._clients.forget(shown.client_id):
                    raise
                return await self._judge(shown, form, holding)
        except InvalidClientError as error:
            await self._refuse(shown.client_id, error)
            raise

    async def _refuse(self, client_id: str, error: InvalidClientError) -> None:
        self.refused()
        await self._refusals.record("client.authentication", client_id=client_id, detail=error.reason)

    def refused(self) -> None:
        """Count a refusal by the caller's address: of credentials, or of what a public client presented."""
        self._rate_limits.count_caller(REFUSALS)

    async def _judge(self, shown: Presented, form: Mapping[str, str], holding: Holding | None) -> Client:
        client = await self._clients.recall(shown.client_id) if "\x00" not in shown.client_id else None
        if client is not None and client.source == "document":
            self._admit(client)
            held = form.get(holding) if holding is not None else None
            client = client if held is None else await self._as_consented(client, held, code=holding == "code")
        # Compared even for an unknown client, so that the answer takes the same time.
        secret = shown.credential if shown.method.startswith("client_secret") else None
        matches = proves(secret, None if client is None else client.secret_hash)
        if client is None:
            unknown = "The client is unknown; register it again."
            raise InvalidClientError(unknown, reason="unknown client")
        allowed = _methods(client)
        if shown.method not in allowed:
            raise InvalidClientError(
                reason=f"method {shown.method}, registered {client.auth_method}",
                description=f"This client must authenticate by {' or '.join(sorted(allowed))}.",
            )
        if shown.method == "private_key_jwt":
            await self._check_assertion(client, shown.credential or "")
        elif client.confidential and not matches:
            raise InvalidClientError(reason="wrong client secret")
        return client

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
            # For whoever writes the client (RFC 7523 section 3.2); a stranger learns nothing that is not public.
            said = f"The client assertion is not acceptable: {error.reason}."
            raise InvalidClientError(said, reason=f"assertion, {error.check}: {error.reason}") from None


def _methods(client: Client) -> frozenset[str]:
    if client.source == "configured" and client.confidential:
        # The operator registered no method, so either way of presenting the secret is as good.
        return frozenset(("client_secret_basic", "client_secret_post"))
    return frozenset((client.auth_method,))
