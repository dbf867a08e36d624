"""mcp_oauth_protected_resource_metadata: this server's protected resource metadata (RFC 9728)."""

from typing import Final

from fastmcp import FastMCP
from fastmcp.tools import ToolResult

from oauth_server.core.challenges import metadata_url
from oauth_server.core.documents import protected_resource
from oauth_server.core.services import Runtime
from oauth_tools.common import Answer, admit, pretty, read_only, reply, schema

NAME = "mcp_oauth_protected_resource_metadata"
_DESCRIPTION: Final = """\
Get this MCP server's protected resource metadata (RFC 9728).

Use it to learn which authorization server issues tokens for this server, which scopes exist and how a
token is presented. It is the document at /.well-known/oauth-protected-resource/mcp."""


class ProtectedResourceMetadata(Answer):
    """The members of RFC 9728 section 2 that this server publishes."""

    resource: str
    authorization_servers: list[str]
    scopes_supported: list[str]
    bearer_methods_supported: list[str]
    resource_name: str


def register(mcp: FastMCP, runtime: Runtime) -> None:
    """Add the tool."""

    @mcp.tool(
        name=NAME,
        title="Protected resource metadata",
        description=_DESCRIPTION,
        annotations=read_only("Protected resource metadata"),
        output_schema=schema(ProtectedResourceMetadata),
    )
    async def protected_resource_metadata() -> ToolResult:
        services, _ = admit(runtime, NAME, {})
        resource = services.deployment.resources.mcp
        document = protected_resource(services.deployment, resource)
        text = f"Tokens for {resource} come from {services.deployment.issuer}. Served at {metadata_url(resource)}:\n"
        return reply(document, text + pretty(document))
