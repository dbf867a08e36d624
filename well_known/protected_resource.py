"""Protected Resource Metadata: at the root, at /mcp and at the path of each name (RFC 9728 section 3.1)."""

from urllib.parse import urlsplit

from starlette.routing import Route

from oauth_server.core.challenges import metadata_url
from oauth_server.core.deployment import Deployment
from oauth_server.core.documents import PROTECTED_RESOURCE_PATH, protected_resource
from oauth_server.core.resource_indicators import MCP_PATH, loopback_spellings
from well_known.prebuilt import Document, Prebuilt

MAX_AGE = 3600  # seconds


def _document(deployment: Deployment, resource: str) -> Document:
    spellings = loopback_spellings(resource)
    if len(spellings) == 1:
        only = Prebuilt(protected_resource(deployment, resource), MAX_AGE)
        return Document(lambda _host: only)
    # A client that calls 127.0.0.1 must find 127.0.0.1 as the resource, and so with each name (RFC 9728 section 3.3).
    by_netloc = {
        urlsplit(name).netloc: Prebuilt(protected_resource(deployment, name), MAX_AGE, vary="Host")
        for name in spellings
    }
    own = by_netloc[urlsplit(resource).netloc]
    return Document(lambda host: by_netloc.get(host.lower(), own))


def routes(deployment: Deployment) -> list[Route]:
    """The routes of the metadata documents."""
    resources = deployment.resources
    root, mcp = _document(deployment, resources.root), _document(deployment, resources.mcp)
    paths = {PROTECTED_RESOURCE_PATH: root, PROTECTED_RESOURCE_PATH + MCP_PATH: mcp}
    for name, document in ((resources.root, root), (resources.mcp, mcp)):
        paths.setdefault(urlsplit(metadata_url(name)).path, document)
    return [Route(path, document) for path, document in paths.items()]
