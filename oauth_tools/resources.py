"""The oauth:// resources: the discovery documents, the caller, and what an administrator may look up."""

import logging
from typing import Any

from fastmcp import FastMCP
from fastmcp.exceptions import ResourceError

from oauth_server.core import documents as d
from oauth_server.core.access import Principal, resource_scope
from oauth_server.core.client_descriptions import described, name_of
from oauth_server.core.errors import InsufficientScopeError
from oauth_server.core.services import Runtime, Services
from oauth_server.store.verbs import audit
from oauth_tools.common import OFF, caller, pretty
from oauth_tools.get_configuration import configuration
from oauth_tools.newest_reports import NewestReports

JSON = "application/json"
NEWEST = 200  # how many rows the lists show


def _refusal(sentence: str) -> ResourceError:
    return ResourceError(sentence, log_level=logging.DEBUG)  # expected: not an error of this server's log


def admit_reader(runtime: Runtime, uri: str) -> tuple[Services, Principal]:
    """The services for a read that may go on; raises ResourceError saying what is missing."""
    services = runtime.services
    if not services.deployment.settings.enabled:
        raise _refusal(OFF)
    principal, needed = caller(), resource_scope(uri)
    try:
        principal.require(*([needed] if needed else ()))
    except InsufficientScopeError as error:
        raise _refusal(error.description) from None
    return services, principal


def register(mcp: FastMCP, runtime: Runtime, newest: NewestReports) -> None:
    """Add the resources."""
    _register_documents(mcp, runtime)
    _register_report(mcp, runtime, newest)
    _register_caller(mcp, runtime)
    _register_administration(mcp, runtime)


def _register_documents(mcp: FastMCP, runtime: Runtime) -> None:
    @mcp.resource("oauth://protected-resource", title="Protected resource metadata", mime_type=JSON)
    async def protected_resource() -> str:
        """This MCP server's protected resource metadata (RFC 9728)."""
        services, _ = admit_reader(runtime, "oauth://protected-resource")
        return pretty(d.protected_resource(services.deployment, services.deployment.resources.mcp))

    @mcp.resource("oauth://authorization-server", title="Authorization server metadata", mime_type=JSON)
    async def authorization_server() -> str:
        """This server's authorization server metadata (RFC 8414)."""
        services, _ = admit_reader(runtime, "oauth://authorization-server")
        return pretty(d.authorization_server(services.deployment))

    @mcp.resource("oauth://openid-configuration", title="OpenID provider metadata", mime_type=JSON)
    async def openid_configuration() -> str:
        """This server's OpenID provider metadata (OpenID Connect Discovery)."""
        services, _ = admit_reader(runtime, "oauth://openid-configuration")
        return pretty(d.openid_configuration(services.deployment))

    @mcp.resource("oauth://jwks", title="JSON Web Key Set", mime_type=JSON)
    async def jwks() -> str:
        """The public keys that verify this server's tokens (RFC 7517)."""
        services, _ = admit_reader(runtime, "oauth://jwks")
        return pretty(d.jwks(services.tokens.keys.all))


def _register_report(mcp: FastMCP, runtime: Runtime, newest: NewestReports) -> None:
    @mcp.resource("oauth://compliance", title="Your newest compliance report", mime_type=JSON)
    async def compliance() -> str:
        """The whole of the newest report that mcp_oauth_check_compliance made for the caller."""
        _, principal = admit_reader(runtime, "oauth://compliance")
        return newest.of(principal)


def _register_caller(mcp: FastMCP, runtime: Runtime) -> None:
    @mcp.resource("oauth://me", title="Who is calling", mime_type=JSON)
    async def me() -> str:
        """The caller: the person, or the client itself, behind the token; what it holds and what could be granted."""
        services, principal = admit_reader(runtime, "oauth://me")
        answer: dict[str, Any] = {
            "sub": principal.subject or None,
            "client_id": principal.client_id or None,
            "scope": sorted(principal.scope),
            "local_operator": principal.local,
        }
        ceiling = await services.ceiling(principal)
        if ceiling is None:
            return pretty(answer)
        if principal.of_client:
            client = await services.clients.find(principal.client_id)
            answer |= {"acts_for": "itself", "client_name": name_of(client) if client is not None else ""}
        elif user := await services.users.by_id(principal.subject):
            answer |= {"username": user.username, "name": user.display_name or user.username}
        answer["may_be_granted"] = sorted(ceiling & set(services.deployment.settings.scope))
        return pretty(answer)


def _register_administration(mcp: FastMCP, runtime: Runtime) -> None:
    @mcp.resource("oauth://configuration", title="The operator's configuration", mime_type=JSON)
    async def full_configuration() -> str:
        """Every setting in force with its origin; secrets only as set or not set."""
        services, _ = admit_reader(runtime, "oauth://configuration")
        return pretty(configuration(services, full=True).model_dump(mode="json"))

    @mcp.resource("oauth://clients", title="Registered clients", mime_type=JSON)
    async def clients() -> str:
        """The clients registered last, the newest first, without secrets; `unverified` names what registrants wrote."""
        services, _ = admit_reader(runtime, "oauth://clients")
        return pretty({"clients": [described(c) for c in await services.clients.newest(NEWEST)]})

    @mcp.resource("oauth://clients/{client_id}", title="One registered client", mime_type=JSON)
    async def client(client_id: str) -> str:
        """One client with its registered metadata, without its secret; `unverified` names what the registrant wrote."""
        services, _ = admit_reader(runtime, f"oauth://clients/{client_id}")
        found = await services.clients.find(client_id)
        if found is None:
            raise _refusal("No client has this client_id; oauth://clients lists them.")
        return pretty(described(found))

    @mcp.resource("oauth://grants", title="Live grants", mime_type=JSON)
    async def grants() -> str:
        """The grants that are neither revoked nor expired: who gave which client what, and until when."""
        services, _ = admit_reader(runtime, "oauth://grants")
        rows = [
            {
                "grant_id": grant.grant_id,
                "username": grant.username,
                "client_id": grant.client_id,
                "scope": list(grant.scope),
                "resources": list(grant.resources),
                "created_at": grant.created_at,
                "expires_at": grant.expires_at,
            }
            for grant in await services.grants.live(NEWEST)
        ]
        return pretty({"grants": rows})

    @mcp.resource("oauth://audit", title="Audit log", mime_type=JSON)
    async def audit_log() -> str:
        """The newest security events: logins, consents, tokens, revocations, registrations."""
        services, _ = admit_reader(runtime, "oauth://audit")
        rows = await services.store.read(audit.newest, NEWEST)
        names = ("at", "event", "outcome", "actor", "client_id", "address", "detail", "request_id")
        return pretty({"events": [{name: getattr(row, name) for name in names} for row in rows]})
