"""FastMCP's `InMemoryOAuthProvider` in front of one tool, as its documentation shows it; takes a port."""

import sys

from fastmcp import FastMCP
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from mcp.server.auth.settings import ClientRegistrationOptions, RevocationOptions

PORT = int(sys.argv[1])
auth = InMemoryOAuthProvider(
    base_url=f"http://127.0.0.1:{PORT}",
    client_registration_options=ClientRegistrationOptions(enabled=True),
    revocation_options=RevocationOptions(enabled=True),
    required_scopes=["mcp"],
)
mcp = FastMCP("In-memory provider", auth=auth)


@mcp.tool
def greet() -> str:
    """Say hello."""
    return "hello"


if __name__ == "__main__":
    mcp.run(transport="http", host="127.0.0.1", port=PORT, show_banner=False)
