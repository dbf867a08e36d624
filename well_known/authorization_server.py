"""Authorization Server Metadata (RFC 8414 section 3)."""

from starlette.routing import Route

from oauth_server.core.deployment import Deployment
from oauth_server.core.documents import AUTHORIZATION_SERVER_PATH, authorization_server
from well_known.prebuilt import Document, Prebuilt

MAX_AGE = 3600  # seconds


def routes(deployment: Deployment) -> list[Route]:
    """The route of the document."""
    document = Prebuilt(authorization_server(deployment), MAX_AGE)
    return [Route(AUTHORIZATION_SERVER_PATH, Document(lambda _host: document))]
