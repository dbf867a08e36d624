"""What each worker process imports: the app, built from the environment it inherited."""

from starlette.types import ASGIApp

from oauth_server.app import serving
from oauth_server.app.mcp_server import McpServer
from oauth_server.core.settings import load


def application() -> ASGIApp:
    """The HTTP face of one worker."""
    settings = load()
    serving.configure_logging(settings.log_level)
    server = McpServer(settings)
    server.announces_owner = True
    return server.http_app()
