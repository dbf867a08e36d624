"""The cookies of a browser: how the Cookie header is read, and what each cookie may do (RFC 6265 and RFC 6265bis)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.deployment import Deployment
from oauth_server.core.form_secrets import KNOWN_FOR

_BLANKS: Final = b" \t"


def cookies_of(request: Request) -> Mapping[str, str]:
    """The cookies of a request, by name; a cookie whose name occurs more than once is left out.

    A browser sends one cookie of a name, unless another server of the same host planted a second one, and nothing tells
    which is which. Only SP and HTAB are trimmed (RFC 6265 section 5.2): any other character belongs to the name, so a
    name that only looks like `__Host-…` is another name.
    """
    found: dict[str, str | None] = {}
    for field, line in request.scope["headers"]:
        if field != b"cookie":
            continue
        for piece in line.split(b";"):
            name, equals, value = piece.partition(b"=")
            if equals:
                key = name.strip(_BLANKS).decode("latin-1")
                found[key] = None if key in found else value.strip(_BLANKS).decode("latin-1")
    return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie, out of reach of scripts and of other sites; `max_age` in seconds, None: until the browser ends."""

    name: str
    path: str
    secure: bool
    max_age: int | None = None

    def set(self, response: Response, value: str) -> None:
        """Send a value."""
        response.set_cookie(
            self.name,
            value,
            max_age=self.max_age,
            path=self.path,
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )

    def clear(self, response: Response) -> None:
        """Make the browser forget the value."""
        response.delete_cookie(self.name, path=self.path, secure=self.secure, httponly=True, samesite="lax")


class KnownBrowserCookie:
    """What `Logins.remembered` says, kept for a year; signing out does not end it.

    Only for an https issuer: over http every port of the host would be sent it, or could plant it.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._cookie = Cookie("__Host-mcp_browser", "/", secure=True, max_age=KNOWN_FOR) if deployment.secure else None

    def read(self, request: Request) -> str | None:
        """The value the browser sent."""
        return cookies_of(request).get(self._cookie.name) if self._cookie else None

    def set(self, response: Response, value: str) -> None:
        """Send a value."""
        if self._cookie is not None:
            self._cookie.set(response, value)
