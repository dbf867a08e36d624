"""What each worker process imports: the app, built from the environment it inherited."""

from starlette.types import ASGIApp

from oauth_server.app.log import configure_logging
from oauth_server.app.mcp_server import McpServer
from oauth_server.app.metrics_port import start_in_worker
from oauth_server.core.settings import load


def application() -> ASGIApp:
    """The HTTP face of one worker."""
    settings = load()
    configure_logging(settings)
    start_in_worker(settings)
    server = McpServer(settings)
    server.announces_owner = True
    return server.http_app()
