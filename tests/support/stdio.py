"""The server as an MCP client starts it: a process of its own on stdin and stdout, sharing the HTTP server's store."""

import os
import tempfile
from pathlib import Path

from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from tests.support.server import Running

ROOT = Path(__file__).resolve().parents[2]


def stdio_client(server: Running, **env: str) -> Client[StdioTransport]:
    """A client of a stdio process with the running HTTP server's database."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "ENABLE_MCP_"))}
    values = inherited | {"MCP_OAUTH_DATABASE_URL": server.location} | env
    command = ["run", "--project", str(ROOT), str(ROOT / "server.py"), "--transport", "stdio"]
    log = Path(tempfile.mkdtemp(prefix="stdio")) / "stdio.log"
    transport = StdioTransport("uv", command, env=values, cwd="/", keep_alive=False, log_file=log)
    return Client(transport, init_timeout=60)
