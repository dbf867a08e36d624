"""The single statement of what this server supports; documents, request checks and tools read it."""

from dataclasses import dataclass

from oauth_server.core.scopes import ADMIN, IDENTITY
from oauth_server.core.settings import Settings

RESPONSE_TYPES = ("code",)
RESPONSE_MODES = ("query",)
CODE_CHALLENGE_METHODS = ("S256",)
CLIENT_AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
CLIENT_ASSERTION_ALGORITHMS = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512")
# Confidential clients, or an access token: RFC 8414 section 2 takes the name of its type for a method here.
INTROSPECTION_AUTH_METHODS = (*CLIENT_AUTH_METHODS[1:], "Bearer")
DOCUMENT_AUTH_METHODS = ("none", "private_key_jwt")  # nobody could keep a secret that stands in a public document
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
REGISTRABLE_GRANT_TYPES = ("authorization_code", "refresh_token")  # client_credentials is the operator's to give
PROMPTS = ("none", "login", "consent", "select_account")
ID_TOKEN_ALGORITHMS = ("RS256",)
INTROSPECTION_ALGORITHMS = ("RS256",)  # the default of RFC 9701 section 6; signed with the key of the ID tokens
CLAIMS = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name", "preferred_username", "email")


@dataclass(frozen=True)
class Capabilities:
    """What is on, given the settings."""

    scopes: tuple[str, ...]
    resource_scopes: tuple[str, ...]
    basic_scopes: tuple[str, ...]
    registration: bool
    documents: bool
    signing_alg: str


def capabilities(settings: Settings) -> Capabilities:
    """The capabilities these settings leave switched on."""
    return Capabilities(
        scopes=(*settings.scope, *IDENTITY),
        resource_scopes=settings.scope,
        basic_scopes=tuple(scope for scope in settings.scope if scope != ADMIN) or settings.scope,
        registration=settings.dynamic_registration,
        documents=settings.cimd != "off",
        signing_alg=settings.signing_alg,
    )
