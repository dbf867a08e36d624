"""OpenID Connect Discovery (OpenID Connect Discovery 1.0 section 4)."""

from starlette.routing import Route

from oauth_server.core.deployment import Deployment
from oauth_server.core.documents import OPENID_CONFIGURATION_PATH, openid_configuration
from well_known.prebuilt import Document, Prebuilt

MAX_AGE = 3600  # seconds


def routes(deployment: Deployment) -> list[Route]:
    """The route of the document."""
    document = Prebuilt(openid_configuration(deployment), MAX_AGE)
    return [Route(OPENID_CONFIGURATION_PATH, Document(lambda _host: document))]
