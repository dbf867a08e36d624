"""This server with one bare route more, the yardstick for its documents. Takes a port."""

import os
import sys
from typing import Any

sys.path.insert(0, os.getcwd())  # noqa: PTH109

from fastmcp.server.http import StarletteWithLifespan
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from oauth_server.app.mcp_server import McpServer
from oauth_server.app.serving import run
from oauth_server.core.settings import load


async def constant(request: Request) -> JSONResponse:
    """Answer a constant; a form is read first."""
    if request.method == "POST" and not (await request.form()).get("grant_type"):
        return JSONResponse({"status": "no form"}, status_code=400)
    return JSONResponse({"status": "ok"})


class WithRoute(McpServer):
    """The product, and a route."""

    def http_app(self, *args: Any, **kwargs: Any) -> StarletteWithLifespan:
        """The same app with the route in front of the others."""
        face = super().http_app(*args, **kwargs)
        face.router.routes.insert(0, Route("/constant", constant, methods=["GET", "POST"]))
        return face


if __name__ == "__main__":
    server = WithRoute(load())
    run(lambda: server.run_http_async(port=int(sys.argv[1])))
