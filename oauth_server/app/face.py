"""The HTTP app: our routes and the gate around the MCP app that FastMCP builds."""

from fastmcp.server.http import StarletteWithLifespan
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from oauth_server.app.traced import Traced
from oauth_server.core.deployment import Deployment
from oauth_server.core.documents import TEST_PATH
from oauth_server.core.resource_indicators import MCP_PATH
from oauth_server.core.services import Runtime
from oauth_server.flow.front import Front
from oauth_server.flow.routes import flow_routes, front_routes, health_routes
from oauth_server.gate.gate import Gate
from oauth_server.gate.guard import Guard
from oauth_server.gate.observed import Observed
from oauth_server.gate.protected_test import ProtectedTest
from well_known.routes import discovery_routes


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
    routes += health_routes(runtime)
    gate = Gate(mcp_app, runtime, front.at_mcp)
    routes += (Route(MCP_PATH, gate), Route(f"{MCP_PATH}/", gate), Mount("/", app=front.nowhere))
    middleware = [Middleware(Observed), Middleware(Guard, deployment=deployment)]
    if traced:
        middleware.insert(0, Middleware(Traced))
    face = StarletteWithLifespan(routes=routes, middleware=middleware, lifespan=mcp_app.lifespan)
    face.state = mcp_app.state
    return face
