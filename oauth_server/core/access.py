"""Who is calling, and which scope each tool and resource asks for: the one table that gate and tools both read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oauth_server.core.deployment import Deployment
from oauth_server.core.errors import InsufficientScopeError
from oauth_server.core.scopes import ADMIN, READ, WRITE, implied, missing

TOOLS: Mapping[str, str] = {
    "mcp_oauth_protected_resource_metadata": READ,
    "mcp_oauth_authorization_server_metadata": READ,
    "mcp_oauth_validate_token": READ,
    "mcp_oauth_get_configuration": READ,
    "mcp_oauth_register_client": WRITE,  # ADMIN where open registration is off
    "mcp_oauth_check_compliance": READ,  # WRITE for another server than this one, ADMIN beyond depth passive
}

RESOURCES: Mapping[str, str] = {
    "oauth://protected-resource": READ,
    "oauth://authorization-server": READ,
    "oauth://openid-configuration": READ,
    "oauth://jwks": READ,
    "oauth://me": READ,
    "oauth://compliance": READ,  # the caller's own newest report
    "ui://oauth/compliance.html": READ,
    "oauth://configuration": ADMIN,
    "oauth://clients": ADMIN,
    "oauth://clients/{client_id}": ADMIN,
    "oauth://grants": ADMIN,
    "oauth://audit": ADMIN,
}


@dataclass(frozen=True)
class Principal:
    """The caller of a tool or resource; `scope` is what the token holds, `subject` its `sub`: a person, or a client."""

    subject: str = ""
    client_id: str = ""
    scope: frozenset[str] = frozenset()
    local: bool = False

    @property
    def authenticated(self) -> bool:
        """Whether a token or the operator's own process stands behind the call."""
        return self.local or bool(self.subject)

    @property
    def of_client(self) -> bool:
        """Whether a client calls for itself, and no person stands behind it."""
        return bool(self.subject) and self.subject == self.client_id

    def require(self, *scopes: str) -> None:
        """Raise InsufficientScopeError unless all these scopes are held."""
        if missing(scopes, self.scope):
            raise InsufficientScopeError(scopes)


SCOPE_KEY = "oauth.principal"  # under which the gate leaves the caller in the ASGI scope

# On stdio the caller is the local operator and holds every scope.
OPERATOR = Principal(subject="local-operator", scope=implied((ADMIN,)), local=True)
ANONYMOUS = Principal(scope=frozenset((READ,)))
NOBODY = Principal()


def tool_scope(deployment: Deployment, name: str, arguments: Mapping[str, Any]) -> str | None:
    """The scope a call of this tool needs, None for a tool of another name."""
    if name == "mcp_oauth_register_client" and not deployment.settings.dynamic_registration:
        return ADMIN
    if name == "mcp_oauth_check_compliance":
        server_url = arguments.get("server_url")
        if server_url and not (isinstance(server_url, str) and deployment.is_own(server_url)):
            return WRITE  # beyond depth passive no scope is enough: the tool lets the local operator alone
        if arguments.get("depth", "passive") != "passive":
            return ADMIN  # it registers clients, and sends what must be refused
    return TOOLS.get(name)


def resource_scope(uri: str) -> str | None:
    """The scope that reading this resource needs, None for a resource of another name."""
    for template, scope in RESOURCES.items():
        prefix, parameter, _ = template.partition("{")
        if uri == template or (parameter and uri.startswith(prefix)):
            return scope
    return None


def operation_scope(deployment: Deployment, method: str, params: Mapping[str, Any]) -> str | None:
    """The scope one MCP request needs beyond a valid token; None for lists, handshakes and unknown names."""
    if method == "tools/call":
        arguments = params.get("arguments")
        return tool_scope(deployment, str(params.get("name")), arguments if isinstance(arguments, Mapping) else {})
    if method in ("resources/read", "resources/subscribe"):
        return resource_scope(str(params.get("uri")))
    return None


def visible(scope: str | None, ceiling: frozenset[str] | None) -> bool:
    """Whether a component shows in lists: what the caller's ceiling allows; `ceiling` None shows everything.

    What the token holds plays no part: a hidden tool is never called, hence never stepped up to.
    """
    return scope is None or ceiling is None or not missing((scope,), ceiling)
