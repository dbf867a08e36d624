"""The caller as the MCP SDK and FastMCP know one: their `get_access_token` and its kin read it from the ASGI scope."""

from functools import cached_property

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken as SdkAccessToken

from oauth_server.core.tokens import AccessToken


class Caller(AuthenticatedUser):
    """Makes the SDK's access token when somebody asks: hardly any call does, and the token is not to be kept."""

    def __init__(self, token: str, found: AccessToken, issuer: str) -> None:  # the base class would take the SDK's
        self.username = found.client_id
        self._token = token
        self._found = found
        self._issuer = issuer

    @cached_property
    def access_token(self) -> SdkAccessToken:  # type: ignore[override] # an attribute of the base class
        """The verified token."""
        found = self._found
        return SdkAccessToken(
            token=self._token,
            client_id=found.client_id,
            scopes=list(found.scope),
            expires_at=found.expires_at,
            resource=found.audience[0],
            subject=found.subject,
            claims={"iss": self._issuer, "sub": found.subject, "client_id": found.client_id},
        )

    @cached_property
    def scopes(self) -> list[str]:  # type: ignore[override] # likewise
        """What the token holds."""
        return list(self._found.scope)
