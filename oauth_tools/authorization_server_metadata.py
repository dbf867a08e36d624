"""mcp_oauth_authorization_server_metadata: this server's authorization server metadata (RFC 8414)."""

from typing import Final

from fastmcp import FastMCP
from fastmcp.tools import ToolResult

from oauth_server.core.documents import AUTHORIZATION_SERVER_PATH, authorization_server
from oauth_server.core.services import Runtime
from oauth_tools.common import Answer, admit, pretty, read_only, reply, schema

NAME = "mcp_oauth_authorization_server_metadata"
_DESCRIPTION: Final = """\
Get this server's OAuth 2.1 authorization server metadata (RFC 8414).

Use it to find the endpoints (authorize, token, register, revoke), the supported grant types, PKCE
methods and client authentication methods. It is the document at /.well-known/oauth-authorization-server."""


class AuthorizationServerMetadata(Answer):
    """The members of RFC 8414 section 2 that clients depend on."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    registration_endpoint: str | None = None
    revocation_endpoint: str
    introspection_endpoint: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    code_challenge_methods_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    authorization_response_iss_parameter_supported: bool


def register(mcp: FastMCP, runtime: Runtime) -> None:
    """Add the tool."""

    @mcp.tool(
        name=NAME,
        title="Authorization server metadata",
        description=_DESCRIPTION,
        annotations=read_only("Authorization server metadata"),
        output_schema=schema(AuthorizationServerMetadata),
    )
    async def authorization_server_metadata() -> ToolResult:
        services, _ = admit(runtime, NAME, {})
        document = authorization_server(services.deployment)
        where = services.deployment.url(AUTHORIZATION_SERVER_PATH)
        return reply(
            document, f"Authorization server {services.deployment.issuer}, served at {where}:\n{pretty(document)}"
        )
