"""The cookies of a browser: its session, and that its person signed in before (RFC 6265bis section 4.1.3)."""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.deployment import Deployment
from oauth_server.core.documents import ACCOUNT_PATH, AUTHORIZE_PATH, LOGOUT_PATH
from oauth_server.core.form_secrets import KNOWN_FOR

# A localhost cookie is sent to every port, a client's callback included, so over http it is never set for "/".
LOGIN_PATHS: Final = (AUTHORIZE_PATH, ACCOUNT_PATH)
SESSION_PATHS: Final = (*LOGIN_PATHS, LOGOUT_PATH)


class Cookie:
    """One value that a browser keeps, out of reach of scripts and of other sites' forms."""

    def __init__(
        self, deployment: Deployment, name: str, http_paths: tuple[str, ...], max_age: int | None = None
    ) -> None:
        port = urlsplit(deployment.issuer).port or (443 if deployment.secure else 80)
        self._secure = deployment.secure
        self._name = f"__Host-{name}" if deployment.secure else f"{name}_{port}"
        self._paths = ("/",) if deployment.secure else http_paths
        self._max_age = max_age

    def read(self, request: Request) -> str | None:
        """The value the browser sent."""
        return request.cookies.get(self._name)

    def set(self, response: Response, value: str) -> None:
        """Send a value."""
        for path in self._paths:
            response.set_cookie(
                self._name,
                value,
                max_age=self._max_age,
                path=path,
                secure=self._secure,
                httponly=True,
                samesite="lax",
            )

    def clear(self, response: Response) -> None:
        """Make the browser forget the value."""
        for path in self._paths:
            response.delete_cookie(self._name, path=path, secure=self._secure, httponly=True, samesite="lax")


class SessionCookie(Cookie):
    """The session id, kept for as long as the browser stays open."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment, "mcp_session", SESSION_PATHS)


class KnownBrowserCookie(Cookie):
    """What `Logins.remembered` says, kept for a year; signing out does not end it."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment, "mcp_known_browser", LOGIN_PATHS, KNOWN_FOR)
