"""MCP Docker Server with OAuth 2.1: `uv run server.py`, or `fastmcp run server.py`.

`mcp` is built when it is first asked for; importing this file opens and reads nothing.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oauth_server.app.mcp_server import McpServer
    from oauth_server.commands.local import Local


@cache
def _server() -> McpServer:
    from oauth_server.app.log import configure_logging  # noqa: PLC0415
    from oauth_server.app.mcp_server import McpServer  # noqa: PLC0415
    from oauth_server.app.mistakes import one_line_errors  # noqa: PLC0415
    from oauth_server.core.settings import load  # noqa: PLC0415

    with one_line_errors():
        settings = load()
    configure_logging(settings)
    return McpServer(settings)


def __getattr__(name: str) -> Any:
    if name == "mcp":
        return _server()
    raise AttributeError(name)


def _local() -> Local:
    from oauth_server.app import local  # noqa: PLC0415 - --help needs none of it

    return local


def main() -> None:
    """Run the command line."""
    from oauth_server.commands.cli import run  # noqa: PLC0415

    run(_local)


if __name__ == "__main__":
    main()
