"""The JSON Web Key Set (RFC 7517 section 5), rebuilt when the keys are others."""

from starlette.routing import Route

from oauth_server.core.documents import JWKS_PATH, jwks
from oauth_server.core.keys import PUBLISHED_BEFORE, Keys
from oauth_server.core.services import Runtime
from well_known.prebuilt import Document, Prebuilt

MAX_AGE = PUBLISHED_BEFORE // 2  # seconds: whoever keeps the set has a new key before it signs


def routes(runtime: Runtime) -> list[Route]:
    """The route of the key set."""
    built: tuple[Keys, Prebuilt] | None = None

    def current(_host: str) -> Prebuilt:
        nonlocal built
        keys = runtime.services.tokens.keys
        if built is None or built[0] is not keys:
            built = keys, Prebuilt(jwks(keys.all), MAX_AGE)
        return built[1]

    return [Route(JWKS_PATH, Document(current))]
