"""The discovery documents' routes."""

from starlette.routing import Route

from oauth_server.core.deployment import Deployment
from oauth_server.core.services import Runtime
from well_known import authorization_server, jwks, openid_configuration, protected_resource


def discovery_routes(deployment: Deployment, runtime: Runtime) -> list[Route]:
    """All documents; other well-known paths are a plain 404."""
    return [
        *protected_resource.routes(deployment),
        *authorization_server.routes(deployment),
        *openid_configuration.routes(deployment),
        *jwks.routes(runtime),
    ]
