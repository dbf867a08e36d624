"""Client ID metadata documents: who may be known by one, and what it must say.

Sources: draft-ietf-oauth-client-id-metadata-document-00 sections 3 to 6, MCP authorization (AS-07 to AS-15, AS-19).
"""

import hashlib
import json
from typing import Final

from oauth_server.core.capabilities import DOCUMENT_AUTH_METHODS, REGISTRABLE_GRANT_TYPES
from oauth_server.core.client_metadata import parse_client, present
from oauth_server.core.clock import Clock
from oauth_server.core.document_urls import host_of, problem_of
from oauth_server.core.errors import InvalidClientDocumentError, OAuthError, TemporarilyUnavailableError
from oauth_server.core.fetched import Connect, Fetched, FetchError
from oauth_server.core.rate_limits import RateLimits
from oauth_server.core.settings import Settings
from oauth_server.outbound import Limits
from oauth_server.store.records import Client

LIMITS: Final = Limits(body=5 * 1024, seconds=10, requests=1)
# Seconds: what a document says of a key is believed for so long at most, and for so long at least, since a hosted
# application may refresh its tokens many times a second.
CURRENT_MOST, CURRENT_LEAST = 300, 60
_SECRETS = ("client_secret", "client_secret_expires_at")


def document_digest(client: Client) -> bytes:
    """SHA-256 over what a person relied on when consenting: redirect URIs, client authentication, keys."""
    relied_on = (
        client.client_id,
        sorted(client.redirect_uris),
        client.auth_method,
        client.metadata.get("jwks"),
        client.metadata.get("jwks_uri"),
    )
    return hashlib.sha256(json.dumps(relied_on, sort_keys=True).encode()).digest()


class ClientDocuments:
    """Clients known by the documents they publish, as the operator's policy admits them."""

    def __init__(self, settings: Settings, connect: Connect, rate_limits: RateLimits, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._documents = Fetched(connect, LIMITS, self._parse, rate_limits, clock)

    def admit(self, client_id: str) -> None:
        """Refuse a URL that is no client identifier, or not one the operator admits; nothing is fetched.

        Raises InvalidClientDocumentError.
        """
        if self._settings.cimd == "off":
            raise InvalidClientDocumentError(
                "This server takes no URLs as client_id (MCP_OAUTH_CIMD=off); the application must be registered."
            )
        problem = problem_of(client_id, self._settings.cimd_hosts)
        if problem is not None:
            raise InvalidClientDocumentError(f"The client_id is a URL that {problem}.")
        if self._settings.cimd == "allowlist" and host_of(client_id) not in self._settings.cimd_hosts:
            raise InvalidClientDocumentError(
                f"Applications of {host_of(client_id)} are not admitted here; ask the operator of this server.",
                reason="the host is not in MCP_OAUTH_CIMD_HOSTS",
            )

    async def find(self, client_id: str) -> Client:
        """The client that a document describes now. Raises InvalidClientDocumentError."""
        self.admit(client_id)
        try:
            return await self._documents.get(client_id)
        except FetchError as error:
            raise InvalidClientDocumentError(
                f"The metadata document of the application, {client_id}, {error}.", reason=error.reason
            ) from None

    async def current(self, client_id: str) -> Client | None:
        """The client that a document describes, as of a few minutes ago at most; None where it describes none any more.

        Raises TemporarilyUnavailableError where its host cannot be reached.
        """
        oldest = self._clock() - CURRENT_MOST
        try:
            return await self._documents.get(client_id, not_older_than=oldest, good_for=CURRENT_LEAST)
        except FetchError as error:
            if not error.temporary:
                return None
            said = "The metadata document of the client cannot be fetched at the moment; try again in a minute."
            raise TemporarilyUnavailableError(said, reason=error.reason) from None

    def _parse(self, client_id: str, document: object) -> Client:
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004 - the words of Fetched
        document = present(document)
        # Simple string comparison (RFC 3986 section 6.2.1), so that no document can speak for another URL.
        if document.get("client_id") != client_id:
            raise ValueError("its client_id is not the URL it was fetched from")
        for name in _SECRETS:
            if name in document:
                raise ValueError(f"it has a {name}, and a public document can hold no secret")
        if "client_name" not in document:
            raise ValueError("its client_name is missing")
        try:
            return parse_client(
                self._settings,
                document,
                client_id=client_id,
                created_at=self._clock(),
                source="document",
                methods=DOCUMENT_AUTH_METHODS,
                grant_types=REGISTRABLE_GRANT_TYPES,
            )
        except OAuthError as error:
            raise ValueError(error.description.removesuffix(".")) from None
