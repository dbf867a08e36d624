"""The services one process runs on, handed to every face."""

from dataclasses import dataclass

from oauth_server.core.access import Principal
from oauth_server.core.applications import Applications
from oauth_server.core.client_authentication import ClientAuthentication
from oauth_server.core.client_configuration import ClientConfiguration
from oauth_server.core.client_credentials import ClientCredentials, client_ceiling
from oauth_server.core.client_documents import ClientDocuments
from oauth_server.core.clients import Clients
from oauth_server.core.clock import Clock
from oauth_server.core.deployment import Deployment
from oauth_server.core.grants import Grants
from oauth_server.core.introspection import Introspection
from oauth_server.core.logins import Logins
from oauth_server.core.rate_limits import RateLimits
from oauth_server.core.registration import Registration
from oauth_server.core.revocation import RevocationFilter
from oauth_server.core.sessions import Sessions
from oauth_server.core.tokens import Tokens
from oauth_server.core.users import Users
from oauth_server.store.store import Store


@dataclass(frozen=True)
class Services:
    """Everything behind the faces, for one deployment and one store."""

    deployment: Deployment
    store: Store
    clock: Clock
    revoked: RevocationFilter
    rate_limits: RateLimits
    tokens: Tokens
    clients: Clients
    client_documents: ClientDocuments
    client_authentication: ClientAuthentication
    users: Users
    logins: Logins
    sessions: Sessions
    grants: Grants
    client_credentials: ClientCredentials
    introspection: Introspection
    registration: Registration
    client_configuration: ClientConfiguration
    applications: Applications

    @property
    def failure(self) -> str | None:
        """Why only a new start of this process can help; None while it works, or waits for its database."""
        return self.store.failure or self.revoked.failure

    async def ceiling(self, principal: Principal) -> frozenset[str] | None:
        """What this caller may be granted, the scope hierarchy applied; None for the operator and for nobody.

        A person has the ceiling that the operator set, a client that acts for itself its registered scope.
        """
        if principal.local or not principal.authenticated:
            return None
        if principal.of_client:
            return client_ceiling(await self.clients.recall(principal.client_id))
        return await self.users.ceiling(principal.subject)


class Runtime:
    """What the routes and tools hold before the server runs: the services, once the lifespan opened them."""

    def __init__(self) -> None:
        self._services: Services | None = None
        self.draining = False

    def drain(self) -> None:
        """From now on, say to whoever asks that the process is about to end."""
        self.draining = True

    def start(self, services: Services | None) -> None:
        """Set the services, or take them away at the end."""
        self._services = services

    @property
    def services(self) -> Services:
        """The open services; RuntimeError before the lifespan started."""
        if self._services is None:
            raise RuntimeError("the server's lifespan has not started")
        return self._services
