"""The services one process runs on, handed to every face."""

from dataclasses import dataclass

from oauth_server.core.applications import Applications
from oauth_server.core.clients import Clients
from oauth_server.core.clock import Clock
from oauth_server.core.deployment import Deployment
from oauth_server.core.grants import Grants
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
    tokens: Tokens
    clients: Clients
    users: Users
    sessions: Sessions
    grants: Grants
    registration: Registration
    applications: Applications


class Runtime:
    """What the routes and tools hold before the server runs: the services, once the lifespan opened them."""

    def __init__(self) -> None:
        self._services: Services | None = None

    def start(self, services: Services | None) -> None:
        """Set the services, or take them away at the end."""
        self._services = services

    @property
    def services(self) -> Services:
        """The open services; RuntimeError before the lifespan started."""
        if self._services is None:
            raise RuntimeError("the server's lifespan has not started")
        return self._services
