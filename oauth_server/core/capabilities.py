"""The single statement of what this server supports; documents, request checks and tools read it."""

from dataclasses import dataclass

from oauth_server.core.scopes import IDENTITY
from oauth_server.core.settings import Settings

RESPONSE_TYPES = ("code",)
RESPONSE_MODES = ("query",)
CODE_CHALLENGE_METHODS = ("S256",)
CLIENT_AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post")
GRANT_TYPES = ("authorization_code", "refresh_token")
PROMPTS = ("none", "login", "consent", "select_account")
ID_TOKEN_ALGORITHMS = ("RS256",)
CLAIMS = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name", "preferred_username", "email")


@dataclass(frozen=True)
class Capabilities:
    """What is on, given the settings."""

    scopes: tuple[str, ...]
    resource_scopes: tuple[str, ...]
    registration: bool
    signing_alg: str


def capabilities(settings: Settings) -> Capabilities:
    """The capabilities these settings leave switched on."""
    return Capabilities(
        scopes=(*settings.scope, *IDENTITY),
        resource_scopes=settings.scope,
        registration=settings.dynamic_registration,
        signing_alg=settings.signing_alg,
    )
