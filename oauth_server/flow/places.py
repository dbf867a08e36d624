"""Session paths, `/s/<place>/…`: where a form is posted, and where a signed-in browser goes on.

Over http a cookie is sent to every port of the host, so it is set only for a path that no other server can guess. Such
a path is served to a browser that comes from one of our own pages (Fetch Metadata, W3C).
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from oauth_server.core.deployment import Deployment
from oauth_server.core.errors import AccessDeniedError
from oauth_server.flow import pages
from oauth_server.flow.http import page_reply

PLACE: Final = "/s/{place}"
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{22}")  # 128 bits, base64url
Site = Literal["none", "same-origin", "same-site", "cross-site"]
_SITES: Final[tuple[Site, ...]] = ("none", "same-origin", "same-site", "cross-site")


@dataclass(frozen=True, slots=True)
class Place:
    """A session path: `key` is its random part, `ticket` the form token that says how the interaction began."""

    key: str
    ticket: str = ""

    @property
    def base(self) -> str:
        """What stands before the paths of pages."""
        return f"/s/{self.key}.{self.ticket}" if self.ticket else f"/s/{self.key}"


def place_of(request: Request) -> Place | None:
    """The place that a request names; None at the plain paths, and for what is no place."""
    key, _, ticket = request.path_params.get("place", "").partition(".")
    return Place(key, ticket) if _KEY.fullmatch(key) else None


def base_of(request: Request) -> str:
    """What stands before the page's path in this request."""
    place = place_of(request)
    return "" if place is None else place.base


def site_of(request: Request) -> Site | None:
    """What the browser says about who started this request; None where it says nothing.

    Whatever is not one of the four values, or comes twice, counts as `cross-site`.
    """
    values = request.headers.getlist("sec-fetch-site")
    if not values:
        return None
    return next((site for site in _SITES if values == [site]), "cross-site")


def from_own_page(request: Request, deployment: Deployment) -> bool:
    """Whether one of our own pages started this request.

    Browsers send no Sec-Fetch-Site to plain http on another name than a loopback one: there Origin says it, else
    Referer. Without any of them, nothing is known.
    """
    site = site_of(request)
    if site is not None:
        return site == "same-origin"
    for name in ("origin", "referer"):
        values = request.headers.getlist(name)
        if values:
            return len(values) == 1 and _origin(values[0]) in deployment.own_origins
    return False


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def guarded(
    deployment: Deployment, handler: Callable[[Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """A handler of a session path, which serves only what our own pages or the person started.

    Raises AccessDeniedError for anything else, whether there is such a session or not. A browser says `none` also where
    a typed address of another server redirected it here, so the person is asked before the page is shown.
    """

    async def handle(request: Request) -> Response:
        if from_own_page(request, deployment):
            return await handler(request)
        site = site_of(request)
        if site != "none":
            error = AccessDeniedError(
                "This page opens only from this server's own pages, and nothing was changed. "
                "Start again in the application, or at /account.",
                reason=f"Sec-Fetch-Site {site or 'missing'}",
            )
            error.check = "check_session_path"
            raise error
        if request.method != "GET":
            return await handler(request)
        query = request.url.query
        return page_reply(
            pages.message(
                title="Go on here?",
                text="This address was opened from outside this server. Go on only if you opened it yourself.",
                onward=f"{request.url.path}?{query}" if query else request.url.path,
                home=True,
            )
        )

    return handle
