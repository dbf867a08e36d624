"""The MCP face: one module per mcp_oauth_* tool, and the MCP resources."""
