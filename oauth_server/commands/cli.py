"""The command line (cyclopts). Its services are handed in, so that --help imports neither FastMCP nor SQLAlchemy."""

from typing import Annotated, Literal, Protocol

from cyclopts import App, Parameter


class Serve(Protocol):
    """Runs the server; None means: from the environment."""

    def __call__(self, *, transport: str | None, host: str | None, port: int | None, workers: int | None) -> None:
        """Serve until stopped."""


def command_line(serve: Serve) -> App:
    """The commands. Without one, the server is started."""
    app = App(
        name="server.py",
        help="MCP Docker Server with OAuth 2.1: authorization server, protected resource server and OAuth tools.",
        help_epilogue="Settings come from environment variables (MCP_OAUTH_…); the README lists them. "
        "Exit status: 0 after an orderly end, 2 for a mistake in options or settings.",
        version="0.1.0",
    )

    @app.default
    @app.command(name="serve")
    def start(
        *,
        transport: Annotated[Literal["http", "stdio"] | None, Parameter(help="How clients connect.")] = None,
        host: Annotated[str | None, Parameter(help="Address to listen on.")] = None,
        port: Annotated[int | None, Parameter(help="Port to listen on.")] = None,
        workers: Annotated[int | None, Parameter(help="Number of processes.")] = None,
    ) -> None:
        """Start the server: streamable HTTP on 127.0.0.1:8000, MCP endpoint /mcp."""
        serve(transport=transport, host=host, port=port, workers=workers)

    return app
