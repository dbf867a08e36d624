"""The browser session's cookie (RFC 6265bis section 4.1.3)."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.deployment import Deployment
from oauth_server.core.documents import ACCOUNT_PATH, AUTHORIZE_PATH, LOGOUT_PATH

# A localhost cookie is sent to every port, a client's callback included, so over http it is never set for "/".
HTTP_PATHS = (AUTHORIZE_PATH, LOGOUT_PATH, ACCOUNT_PATH)


class SessionCookie:
    """Reads, sets and clears the session id in a browser."""

    def __init__(self, deployment: Deployment) -> None:
        port = urlsplit(deployment.issuer).port or (443 if deployment.secure else 80)
        self._secure = deployment.secure
        self._name = "__Host-mcp_session" if deployment.secure else f"mcp_session_{port}"
        self._paths = ("/",) if deployment.secure else HTTP_PATHS

    def read(self, request: Request) -> str | None:
        """The session id the browser sent."""
        return request.cookies.get(self._name)

    def set(self, response: Response, session_id: str) -> None:
        """Send a session id, for as long as the browser stays open."""
        for path in self._paths:
            response.set_cookie(self._name, session_id, path=path, secure=self._secure, httponly=True, samesite="lax")

    def clear(self, response: Response) -> None:
        """Make the browser forget its session id."""
        for path in self._paths:
            response.delete_cookie(self._name, path=path, secure=self._secure, httponly=True, samesite="lax")
