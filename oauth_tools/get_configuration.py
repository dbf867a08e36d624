"""mcp_oauth_get_configuration: what is in force, and where each value comes from; never a secret."""

from typing import Any, Final

from fastmcp import FastMCP
from fastmcp.tools import ToolResult

from oauth_server.core import documents as d
from oauth_server.core.capabilities import capabilities
from oauth_server.core.scopes import ADMIN, missing
from oauth_server.core.services import Runtime, Services
from oauth_tools.common import Answer, admit, read_only, reply, schema

NAME = "mcp_oauth_get_configuration"
_DESCRIPTION: Final = """\
Get this server's OAuth configuration: every setting with its value and where it comes from.

Use it to explain the server's behaviour (token lifetime, scopes, registration, allowed origins) or to find
which environment variable to change. Secrets are never shown. Fields about the machine need mcp:admin."""

# What tells about the machine and its people rather than about the protocol.
OPERATOR_ONLY = frozenset(
    (
        "MCP_HOST",
        "MCP_PORT",
        "MCP_WORKERS",
        "MCP_OAUTH_ADMIN_PASSWORD",
        "MCP_OAUTH_ADMIN_USERNAME",
        "MCP_OAUTH_AUTO_APPROVE",
        "MCP_OAUTH_CHECK_HOSTS",
        "MCP_OAUTH_CLIENT_SECRET",
        "MCP_OAUTH_DATABASE_URL",
        "MCP_OAUTH_INSECURE_BIND",
        "MCP_OAUTH_KEY_ENCRYPTION_KEY",
        "MCP_OAUTH_TRUSTED_PROXIES",
    )
)


class Setting(Answer):
    """One setting: its environment name, its value (a secret only as "set" or "not set") and its origin."""

    name: str
    value: str | int | bool | list[str] | None
    origin: str


class Configuration(Answer):
    """The configuration in force."""

    enabled: bool
    issuer: str
    mcp_endpoint: str
    resources: list[str]
    scopes: list[str]
    dynamic_registration: bool
    access_token_algorithm: str
    endpoints: dict[str, str]
    settings: list[Setting]
    withheld: list[str]
    warnings: list[str]


def configuration(services: Services, *, full: bool) -> Configuration:
    """The configuration; without `full` the operator's own fields are named, not shown."""
    deployment = services.deployment
    able = capabilities(deployment.settings)
    shown: dict[str, Any] = dict(deployment.settings.shown())
    origins = deployment.settings.origins
    withheld = [] if full else sorted(OPERATOR_ONLY & shown.keys())
    paths = {
        "authorization": d.AUTHORIZE_PATH,
        "token": d.TOKEN_PATH,
        "registration": d.REGISTER_PATH,
        "revocation": d.REVOKE_PATH,
        "introspection": d.INTROSPECT_PATH,
        "userinfo": d.USERINFO_PATH,
        "end_session": d.LOGOUT_PATH,
        "jwks": d.JWKS_PATH,
        "test": d.TEST_PATH,
    }
    if not able.registration:
        del paths["registration"]
    return Configuration(
        enabled=deployment.settings.enabled,
        issuer=deployment.issuer,
        mcp_endpoint=deployment.endpoint,
        resources=list(deployment.resources.names),
        scopes=list(able.scopes),
        dynamic_registration=able.registration,
        access_token_algorithm=able.signing_alg,
        endpoints={name: deployment.url(path) for name, path in paths.items()},
        settings=[
            Setting(name=name, value=value, origin=origins[name])
            for name, value in shown.items()
            if name not in withheld
        ],
        withheld=withheld,
        warnings=list(deployment.warnings) if full else [],
    )


def register(mcp: FastMCP, runtime: Runtime) -> None:
    """Add the tool."""

    @mcp.tool(
        name=NAME,
        title="OAuth configuration",
        description=_DESCRIPTION,
        annotations=read_only("OAuth configuration"),
        output_schema=schema(Configuration),
    )
    async def get_configuration() -> ToolResult:
        services, principal = admit(runtime, NAME, {})
        answer = configuration(services, full=not missing((ADMIN,), principal.scope))
        return reply(answer, _text(answer))


def _text(answer: Configuration) -> str:
    lines = [f"Issuer {answer.issuer}, MCP endpoint {answer.mcp_endpoint}."]
    lines += [f"{s.name} = {_value(s.value)} ({s.origin})" for s in answer.settings]
    if answer.withheld:
        lines.append(f"Shown only with the scope mcp:admin: {', '.join(answer.withheld)}.")
    return "\n".join([*lines, *(f"Warning: {warning}" for warning in answer.warnings)])


def _value(value: Any) -> str:
    if value is None or value == []:
        return "not set"
    return " ".join(value) if isinstance(value, list) else str(value)
