"""Opening the services of one process: store, keys, owner, pre-registered client."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from oauth_server.core.applications import Applications
from oauth_server.core.client_assertions import ClientAssertions
from oauth_server.core.client_attempts import ClientAttempts
from oauth_server.core.client_authentication import ClientAuthentication
from oauth_server.core.client_configuration import ClientConfiguration
from oauth_server.core.client_credentials import ClientCredentials
from oauth_server.core.client_documents import ClientDocuments
from oauth_server.core.clients import Clients
from oauth_server.core.clock import Clock, SteadyClock, steady
from oauth_server.core.deployment import Deployment
from oauth_server.core.fetched import Connect
from oauth_server.core.form_secrets import FormSecrets
from oauth_server.core.grants import Grants
from oauth_server.core.housekeeping import Housekeeping
from oauth_server.core.introspection import Introspection
from oauth_server.core.key_ring import KeyRing
from oauth_server.core.known_browsers import KnownBrowsers
from oauth_server.core.limits import Limits
from oauth_server.core.logins import Logins
from oauth_server.core.rate_limits import RateLimits
from oauth_server.core.refusals import Refusals
from oauth_server.core.registration import Registration
from oauth_server.core.revocation import RevocationFilter
from oauth_server.core.services import Services
from oauth_server.core.sessions import Sessions
from oauth_server.core.settings import Settings, SettingsError
from oauth_server.core.store_clock import StoreClock
from oauth_server.core.successors import SealedSuccessors
from oauth_server.core.tokens import Tokens
from oauth_server.core.users import Users
from oauth_server.outbound import Outbound
from oauth_server.store.errors import StoreError
from oauth_server.store.store import Store
from oauth_server.store.verbs import meta

ISSUER = "issuer"  # where the HTTP server records its issuer, so that stdio and the commands use it
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """The running services, and the owner's password when it was generated just now."""

    services: Services
    owner_password: str | None


async def open_store(settings: Settings) -> Store:
    """Open the database; raises SettingsError when it cannot be used as configured."""
    try:
        return await anyio.to_thread.run_sync(Store, settings.database_url)
    except StoreError as error:
        accepted = "sqlite:///PATH in a folder that can be written, or postgresql://USER:PASSWORD@HOST/DATABASE"
        raise SettingsError("MCP_OAUTH_DATABASE_URL", str(error), accepted) from None


@asynccontextmanager
async def open_services(
    settings: Settings,
    resolve: Callable[[str | None], Deployment],
    *,
    serves_http: bool,
    clock: Clock = time.time,
    steady_clock: SteadyClock = steady,
    connect: Connect | None = None,
) -> AsyncIterator[Opened]:
    """Run the services. `resolve` makes the deployment from the issuer recorded in the store.

    `connect` makes the client for an outgoing request; by default the guarded one, to which only the hosts that the
    operator listed may be inside the network.

    Only a process that serves HTTP creates the owner, keeps the pre-registered client and records the issuer.
    """
    connect = connect or (lambda limits: Outbound(limits=limits, allow=settings.cimd_hosts))
    store = await open_store(settings)
    try:
        deployment = resolve(await store.read(meta.get, ISSUER))
        revoked = RevocationFilter(store, clock, steady_clock)
        await revoked.refresh()
        keys = KeyRing(store, settings, clock)
        revoked.on_key_change(keys.reload)
        await keys.open()
        tokens = Tokens(deployment, keys.current, keys.seek, revoked, clock)
        clients = Clients(store, clock, revoked)
        rate_limits = RateLimits(store, clock)
        client_documents = ClientDocuments(settings, connect, rate_limits, clock)
        assertions = ClientAssertions(deployment, store, connect, rate_limits, clock)
        users = Users(store, revoked, clock)
        refusals = Refusals(store, clock)
        store_clock = StoreClock(store, clock)
        await store_clock.compare()
        grants = Grants(deployment, store, tokens, revoked, refusals, clock, store_clock)
        form_secrets = FormSecrets(store, settings, clock)
        revoked.on_key_change(form_secrets.reload)
        await form_secrets.open()
        services = Services(
            deployment=deployment,
            store=store,
            clock=clock,
            revoked=revoked,
            rate_limits=rate_limits,
            tokens=tokens,
            clients=clients,
            client_documents=client_documents,
            client_authentication=ClientAuthentication(
                clients,
                tokens,
                client_documents,
                assertions,
                ClientAttempts(rate_limits, clock),
                rate_limits,
                refusals,
            ),
            users=users,
            logins=Logins(users, Limits(store, clock), KnownBrowsers(form_secrets)),
            sessions=Sessions(store, form_secrets, clock),
            grants=grants,
            client_credentials=ClientCredentials(deployment, store, tokens, clock),
            introspection=Introspection(deployment, store, tokens, users, grants.permitted, clock),
            registration=Registration(settings, deployment.issuer, store, rate_limits, refusals, clock),
            client_configuration=ClientConfiguration(
                settings, deployment.issuer, store, clients, revoked, refusals, clock
            ),
            applications=Applications(store, settings.token_expiry, revoked, clock),
        )
        password = None
        if serves_http and settings.enabled:
            await store.write(meta.remember, ISSUER, deployment.issuer)
            await clients.configure(settings)
            password = await users.create_owner(settings)
        jobs = [revoked.poll(), keys.tend(), form_secrets.tend(), rate_limits.run(), refusals.run(), store_clock.run()]
        if serves_http and settings.enabled:
            housekeeping = Housekeeping(store, clock, audit_days=settings.audit_retention_days, steady=steady_clock)
            jobs += [housekeeping.run(), SealedSuccessors(store, store_clock, settings.refresh_grace).run()]
        async with _in_background(jobs):
            yield Opened(services, password)
    finally:
        await anyio.to_thread.run_sync(store.close)


@asynccontextmanager
async def _in_background(jobs: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run what goes on for as long as the process serves."""
    # No task group: FastMCP leaves its lifespan inside a shielded cancel scope, where a group cannot end.
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.error("what goes on beside the requests had ended: %s", outcome, exc_info=outcome)
