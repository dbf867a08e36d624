"""A look at what a browser gets that holds no cookie: one request, nobody signs in."""

from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from oauth_server.compliance.visitor import Visit

if TYPE_CHECKING:
    from oauth_server.compliance.survey import Survey

PAGE: Final = {
    "Accept": "text/html",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
}
_REDIRECTS: Final = range(300, 400)


class Glance:
    """The visitor of those who name nobody: sees whether a request is refused before anybody signs in."""

    watches = True

    def __init__(self, survey: "Survey", redirect_uri: str) -> None:
        self._survey = survey
        self.redirect_uri = redirect_uri

    async def visit(self, url: str) -> Visit:
        """Open the URL, and follow nothing."""
        exchange = await self._survey.send("GET", url, PAGE)
        location = exchange.answer.header("Location") or ""
        if exchange.answer.status not in _REDIRECTS or not location:
            return Visit("", (exchange,))
        try:
            target = urljoin(url, location)
        except ValueError:
            target = ""
        return Visit(target if target.partition("?")[0] == self.redirect_uri else "", (exchange,))
