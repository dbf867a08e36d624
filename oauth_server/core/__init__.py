"""The rules, free of HTTP and MCP."""
