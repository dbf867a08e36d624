"""Registering the six tools, the resources and the prompt on a FastMCP server."""

from fastmcp import FastMCP

from oauth_server.core.services import Runtime
from oauth_tools import (
    authorization_server_metadata,
    check_compliance,
    get_configuration,
    prompts,
    protected_resource_metadata,
    register_client,
    resources,
    validate_token,
    view,
)
from oauth_tools.arguments import PlainArgumentErrors
from oauth_tools.lists import CeilingFilter
from oauth_tools.newest_reports import NewestReports


def register_all(mcp: FastMCP, runtime: Runtime, inspect: check_compliance.Inspect) -> None:
    """Add everything of the MCP face; `inspect` runs a compliance check."""
    newest = NewestReports()
    protected_resource_metadata.register(mcp, runtime)
    authorization_server_metadata.register(mcp, runtime)
    validate_token.register(mcp, runtime)
    get_configuration.register(mcp, runtime)
    register_client.register(mcp, runtime)
    check_compliance.register(mcp, runtime, inspect, newest)
    resources.register(mcp, runtime, newest)
    view.register(mcp, runtime)
    prompts.register(mcp, runtime)
    mcp.add_middleware(CeilingFilter(runtime))
    mcp.add_middleware(PlainArgumentErrors())
