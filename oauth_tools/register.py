"""Registering the six tools and the resources on a FastMCP server."""

from fastmcp import FastMCP

from oauth_server.core.services import Runtime
from oauth_tools import (
    authorization_server_metadata,
    check_compliance,
    get_configuration,
    protected_resource_metadata,
    register_client,
    resources,
    validate_token,
)
from oauth_tools.arguments import PlainArgumentErrors
from oauth_tools.lists import CeilingFilter


def register_all(mcp: FastMCP, runtime: Runtime, inspect: check_compliance.Inspect) -> None:
    """Add everything of the MCP face; `inspect` runs a compliance check."""
    protected_resource_metadata.register(mcp, runtime)
    authorization_server_metadata.register(mcp, runtime)
    validate_token.register(mcp, runtime)
    get_configuration.register(mcp, runtime)
    register_client.register(mcp, runtime)
    check_compliance.register(mcp, runtime, inspect)
    resources.register(mcp, runtime)
    mcp.add_middleware(CeilingFilter(runtime))
    mcp.add_middleware(PlainArgumentErrors())
