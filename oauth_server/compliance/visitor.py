"""Who signs in and consents while a flow is walked: a given user, a person, or nobody where no one is asked."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from oauth_server.compliance.model import Exchange


@dataclass(frozen=True, slots=True)
class Visit:
    """What became of an authorization request.

    `location`: the URL at which the browser was sent back to the redirect URI, empty when it never was. `trail`: the
    exchanges on the way, the last one being where the visit ended; empty when a person's own browser made them.
    `signed_in`: the place in the trail of the exchange that gave the password, None when none did.
    """

    location: str
    trail: tuple[Exchange, ...] = ()
    signed_in: int | None = None


class Visitor(Protocol):
    """Opens authorization URLs, as a person with a browser does; one visit at a time."""

    redirect_uri: str
    """The loopback URI at which the visitor is sent back; clients are registered with it."""

    watches: bool
    """Whether the visitor sees pages that lead nowhere; else a refused request looks like a slow person."""

    async def visit(self, url: str) -> Visit:
        """Open the URL and do what is asked for; OutboundError when the server does not answer."""


@runtime_checkable
class Follower(Protocol):
    """A visitor that can also be sent somewhere without pressing anything there."""

    async def follow(self, url: str, *, foreign: bool) -> Visit:
        """Open the URL; `foreign`: by a link on another site, else as the address bar does."""


@runtime_checkable
class Forger(Protocol):
    """A visitor that can also consent as a page of another site would make its browser do."""

    async def forge(self, url: str) -> Visit | None:
        """Open the URL, but send the consent from a foreign origin, its hidden tokens changed; None without a form."""
