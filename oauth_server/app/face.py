"""The HTTP app: our routes and the gate around the MCP app that FastMCP builds."""

from collections.abc import Awaitable
from typing import Any

from fastmcp.server.http import StarletteWithLifespan
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from oauth_server.app.traced import Traced
from oauth_server.core.deployment import Deployment
from oauth_server.core.documents import TEST_PATH
from oauth_server.core.resource_indicators import MCP_PATH
from oauth_server.core.services import Runtime
from oauth_server.flow.front import Front
from oauth_server.flow.probes import probe_routes
from oauth_server.flow.routes import flow_routes, front_routes
from oauth_server.gate.gate import Gate
from oauth_server.gate.guard import Guard
from oauth_server.gate.observed import Observed
from oauth_server.gate.protected_test import ProtectedTest
from well_known.routes import discovery_routes


class Face(StarletteWithLifespan):
    """The app: a path without parameters is found by one look, Starlette's routing serves the others and the lifespan.

    Starlette's own middleware stays behind it: Observed answers whatever fails.
    """

    def __init__(
        self, routes: list[BaseRoute], deployment: Deployment, lifespan: Lifespan[Any], *, traced: bool
    ) -> None:
        super().__init__(routes=routes, lifespan=lifespan)
        found = (route for route in routes if isinstance(route, Route) and not route.param_convertors)
        self._routes = {route.path: route for route in found}
        guard = Guard(self._dispatch, deployment)
        served: ASGIApp = Observed(guard, guard.decorated)
        self._served = Traced(served) if traced else served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "http":
            await self._served(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        route = self._routes.get(scope["path"])
        if route is None:
            return super().__call__(scope, receive, send)
        scope["route"] = route
        return route.app(scope, receive, send)


def http_face(
    mcp_app: StarletteWithLifespan, deployment: Deployment, runtime: Runtime, *, traced: bool = False
) -> StarletteWithLifespan:
    """One app for everything. FastMCP's app stays inside, so its middleware costs only MCP requests anything.

    `traced`: whether somebody takes spans.
    With ENABLE_MCP_OAUTH=false there are no OAuth routes, and their paths answer 404.
    """
    front = Front(deployment)
    routes: list[BaseRoute] = [*front_routes(front)]
    if deployment.settings.enabled:
        routes += flow_routes(runtime)
        routes += discovery_routes(deployment, runtime)
        routes.append(Route(TEST_PATH, ProtectedTest(runtime)))
    routes += probe_routes(runtime)
    gate = Gate(mcp_app, runtime, front.at_mcp)
    routes += (Route(MCP_PATH, gate), Route(f"{MCP_PATH}/", gate))
    face = Face(routes, deployment, mcp_app.lifespan, traced=traced)
    # No Mount: a request may name no path at all (`OPTIONS *`, RFC 9112 section 3.2.4), which matches none.
    face.router.redirect_slashes, face.router.default = False, front.nowhere
    face.state = mcp_app.state
    return face
