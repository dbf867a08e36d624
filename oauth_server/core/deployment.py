"""Where the server is: the settings together with the issuer, the resources and the names it answers to."""

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from oauth_server.core.hosts import is_loopback_host
from oauth_server.core.resource_indicators import Resources, loopback_spellings, normalise
from oauth_server.core.settings import Settings, check_deployment, resolve_issuer


@dataclass(frozen=True)
class Deployment:
    """The settings resolved for one address to bind to.

    `issuer` is one plain string everywhere: no path, no trailing slash, never taken from a Host header.
    """

    settings: Settings
    host: str
    port: int
    issuer: str
    resources: Resources
    warnings: tuple[str, ...] = ()

    @cached_property
    def secure(self) -> bool:
        """Whether browsers reach the issuer over https."""
        return self.issuer.startswith("https://")

    @property
    def loopback(self) -> bool:
        """Whether the issuer is a name of this computer."""
        return is_loopback_host(urlsplit(self.issuer).hostname or "")

    @property
    def endpoint(self) -> str:
        """The URL people give to an MCP client."""
        return self.resources.mcp

    def url(self, path: str) -> str:
        """An absolute URL at the issuer."""
        return self.issuer + path

    def spelled(self, uri: str, host: str) -> str:
        """`uri` under the loopback name the client used in its Host header; unchanged for every other name."""
        wanted = host.lower()
        return next((spelling for spelling in loopback_spellings(uri) if urlsplit(spelling).netloc == wanted), uri)

    def is_own(self, url: str) -> bool:
        """Whether a URL names this server: its issuer, or one of its resources, in any accepted spelling."""
        own = {normalise(spelling) for spelling in loopback_spellings(self.issuer)}
        return normalise(url) in own or self.resources.canonical(url) is not None

    @cached_property
    def own_origins(self) -> frozenset[str]:
        """The origins of this server's own pages, under each loopback name."""
        return frozenset(loopback_spellings(self.issuer))

    def is_own_page(self, url: str) -> bool:
        """Whether a URL leads to this server's own origin, however its scheme, host and port are spelled."""
        parts = urlsplit(url)
        return normalise(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}") in self.own_origins

    @cached_property
    def origins(self) -> frozenset[str]:
        """The browser origins that may call /mcp, sign in and consent: our own and those the operator named."""
        return frozenset((*self.own_origins, *self.settings.allow_origins))

    @cached_property
    def admits_loopback_origins(self) -> bool:
        """Whether pages of this computer may call without being named: its server, and none of it without a token."""
        return self.loopback and self.settings.enabled and self.settings.require_auth

    @cached_property
    def host_names(self) -> frozenset[str]:
        """The Host headers that this server answers to; further loopback names are none of them, and served too."""
        names = (self.issuer, *self.resources.names)
        return frozenset(urlsplit(u).netloc for name in names for u in loopback_spellings(name))


def deploy(settings: Settings, host: str, port: int, issuer: str | None = None) -> Deployment:
    """Resolve the settings for an address; raises SettingsError when they do not fit together.

    `issuer` overrides the derived default: the one a running HTTP server recorded in the store.
    """
    resolved = settings.issuer or issuer or resolve_issuer(settings, port)
    warnings = check_deployment(settings, resolved, host)
    resources = Resources([normalise(r) or r for r in (settings.resource_uri or (resolved,))])
    return Deployment(settings, host, port, resolved, resources, tuple(warnings))
