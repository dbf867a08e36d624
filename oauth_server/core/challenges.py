"""WWW-Authenticate challenges of the resource server (RFC 6750 section 3, RFC 9728 section 5.1)."""

from functools import lru_cache
from urllib.parse import urlsplit

from oauth_server.core.deployment import Deployment
from oauth_server.core.documents import PROTECTED_RESOURCE_PATH
from oauth_server.core.errors import InsufficientScopeError, InvalidClientError, InvalidTokenError, OAuthError
from oauth_server.core.resource_indicators import MCP_PATH
from oauth_server.core.scopes import ADMIN, READ, WRITE


@lru_cache(maxsize=64)
def metadata_url(resource: str) -> str:
    """Where a resource's metadata is served: path inserted after the well-known name (RFC 9728 section 3.1)."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{PROTECTED_RESOURCE_PATH}{parts.path}"


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(maxsize=64)  # whoever has no token yet, comes with the same question as everybody
def _bearer(fields: tuple[tuple[str, str], ...]) -> str:
    return "Bearer " + ", ".join(f"{name}={_quote(value)}" for name, value in fields)


def challenge(
    deployment: Deployment, path: str, host: str, error: OAuthError | None = None, needed: str | None = None
) -> str:
    """The challenge for a request to `path`, in the loopback spelling of its Host header.

    Without credentials it has no error code (RFC 6750 section 3.1). A scope error names what this operation
    needs and nothing else; otherwise `scope` is `needed`, or what a normal session at this resource needs.
    """
    at_mcp = path == MCP_PATH
    resource = deployment.resources.mcp if at_mcp else deployment.resources.root
    where = deployment.spelled(metadata_url(resource), host)
    scope = tuple(s for s in (READ, WRITE) if s in deployment.settings.scope) if at_mcp else (READ,)
    if needed is not None:
        scope = (needed,)
    if isinstance(error, InsufficientScopeError):
        scope = error.required
    fields = [("resource_metadata", where), ("scope", " ".join(scope))]
    if error is not None:
        fields = [*error.body().items(), *fields]
    if not at_mcp:
        # The user's document shows this parameter; RFC 9728 clients read resource_metadata.
        fields.append(("resource", where))
    return _bearer(tuple(fields))


def registration_challenge(error: OAuthError | None = None) -> str:
    """The challenge of the registration and client configuration endpoints (RFC 7591 section 3, RFC 7592 section 2)."""
    fields = [("realm", "client registration"), *(error.body().items() if error is not None else ())]
    return "Bearer " + ", ".join(f"{name}={_quote(value)}" for name, value in fields)


def userinfo_challenge(error: OAuthError | None = None) -> str:
    """The challenge of the UserInfo endpoint (OpenID Connect Core section 5.3.3)."""
    fields = [*(error.body().items() if error is not None else ()), ("scope", "openid")]
    return "Bearer " + ", ".join(f"{name}={_quote(value)}" for name, value in fields)


def introspection_challenges(error: OAuthError) -> tuple[str, ...]:
    """The challenges of the introspection endpoint: credentials of a client, or a token with mcp:admin.

    Whoever sent a token is told what is wrong with it (RFC 7662 section 2.3, RFC 6750 section 3).
    """
    by_token = isinstance(error, InvalidTokenError | InsufficientScopeError)
    fields = [*(error.body().items() if by_token else ()), ("scope", ADMIN)]
    bearer = "Bearer " + ", ".join(f"{name}={_quote(value)}" for name, value in fields)
    basic = 'Basic realm="introspection endpoint", charset="UTF-8"'
    return (basic, bearer) if isinstance(error, InvalidClientError) else (bearer,)
