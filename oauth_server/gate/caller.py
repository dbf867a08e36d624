"""The caller as the MCP SDK and FastMCP know one: their `get_access_token` and its kin read it from the ASGI scope."""

from functools import cached_property

from fastmcp.server.auth.auth import AccessToken as FastMcpAccessToken
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser

from oauth_server.core.tokens import AccessToken


class Caller(AuthenticatedUser):
    """Makes FastMCP's access token when FastMCP asks, once: the SDK's own would be turned into it each time.

    It belongs to the request and is not kept with what is known of a verified token, since it holds the token itself.
    """

    def __init__(self, token: str, found: AccessToken, issuer: str) -> None:  # the base class would take the SDK's
        self.username = found.client_id
        self._token = token
        self._found = found
        self._issuer = issuer

    @cached_property
    def access_token(self) -> FastMcpAccessToken:  # type: ignore[override] # an attribute of the base class
        """The verified token."""
        found = self._found
        return FastMcpAccessToken(
            token=self._token,
            client_id=found.client_id,
            scopes=list(found.scope),
            expires_at=found.expires_at,
            resource=found.audience,
            subject=found.subject,
            claims={"iss": self._issuer, "sub": found.subject, "client_id": found.client_id},
        )

    @cached_property
    def scopes(self) -> list[str]:  # type: ignore[override] # likewise
        """What the token holds."""
        return list(self._found.scope)
