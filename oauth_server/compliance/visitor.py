"""Who signs in and consents while a flow is walked: a given user, a person, or nobody where no one is asked."""

from dataclasses import dataclass
from typing import Protocol

from oauth_server.compliance.model import Exchange


@dataclass(frozen=True, slots=True)
class Visit:
    """What became of an authorization request.

    `location`: the URL at which the browser was sent back to the redirect URI, empty when it never was. `trail`: the
    exchanges on the way, the last one being where the visit ended; empty when a person's own browser made them.
    """

    location: str
    trail: tuple[Exchange, ...] = ()


class Visitor(Protocol):
    """Opens authorization URLs, as a person with a browser does; one visit at a time."""

    redirect_uri: str
    """The loopback URI at which the visitor is sent back; clients are registered with it."""

    watches: bool
    """Whether the visitor sees pages that lead nowhere; else a refused request looks like a slow person."""

    async def visit(self, url: str) -> Visit:
        """Open the URL and do what is asked for; OutboundError when the server does not answer."""
