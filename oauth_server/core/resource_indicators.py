"""Resource indicators (RFC 8707): the names of this server's resources, and how a request's spelling is compared.

The first configured resource R and R/mcp are one resource with two names; a token carries the name it was asked for.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from oauth_server.core.errors import InvalidTargetError
from oauth_server.core.refusal_log import shown_uri

MCP_PATH = "/mcp"
_PRINTABLE = re.compile(r"[\x21-\x7E]+")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def normalise(uri: str) -> str | None:
    """The URI with scheme and host in lower case, without default port, an origin without its slash.

    These are the only differences RFC 3986 section 6.2 calls insignificant and clients produce; None when it
    is not an absolute http(s) URI or has a fragment or user information.
    """
    if _PRINTABLE.fullmatch(uri) is None or "#" in uri or "\\" in uri:
        return None
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname
    if parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc or "://" not in uri:
        return None
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{shown}:{port}"
    path = "" if parts.path == "/" and not parts.query else parts.path
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{authority}{path}{query}"


@lru_cache(maxsize=64)
def loopback_spellings(uri: str) -> tuple[str, ...]:
    """The URI under each loopback name (localhost, 127.0.0.1, [::1]), itself first; a URI of another host alone."""
    parts = urlsplit(uri)
    host = f"[{parts.hostname}]" if parts.netloc.startswith("[") else parts.hostname
    if host not in _LOOPBACK_NAMES:
        return (uri,)
    others = (parts._replace(netloc=parts.netloc.replace(host, name, 1)) for name in _LOOPBACK_NAMES)
    return tuple(dict.fromkeys((uri, *(other.geturl() for other in others))))


class Resources:
    """The resources tokens may be issued for."""

    def __init__(self, configured: Sequence[str]) -> None:
        self.root = configured[0]
        self.mcp = self.root if self.root.endswith(MCP_PATH) else self.root + MCP_PATH
        self.others = tuple(configured[1:])
        self._names: dict[str, str] = {}
        for name in (self.root, self.mcp, *self.others):
            for spelling in loopback_spellings(name):
                normal = normalise(spelling)
                if normal is not None:
                    self._names.setdefault(normal, name)

    @property
    def names(self) -> tuple[str, ...]:
        """Every canonical name, the default first."""
        return tuple(dict.fromkeys((self.root, self.mcp, *self.others)))

    def canonical(self, uri: str) -> str | None:
        """The canonical name of a resource, None when it is not one of ours. Compared whole, never by prefix."""
        normal = normalise(uri)
        return None if normal is None else self._names.get(normal)

    def requested(self, values: Iterable[str]) -> tuple[str, ...]:
        """The canonical names of all requested resources; raises InvalidTargetError when one is not ours."""
        names: dict[str, None] = {}
        for value in values:
            name = self.canonical(value)
            if name is None:
                told = f"The requested resource is not served here; ask for {' or '.join(self.names)}."
                raise InvalidTargetError(told, reason=f"resource {shown_uri(value)}")
            names[name] = None
        return tuple(names)

    def one(self, values: Iterable[str]) -> str | None:
        """The resource of a token request, None where it names none.

        Raises InvalidTargetError for one that is not ours, and for two: a token is for one (RFC 9068 section 3).
        """
        names = self.requested(values)
        if len(names) > 1:
            raise InvalidTargetError(
                "An access token is for one resource; ask once for each.", reason=f"{len(names)} resources"
            )
        return names[0] if names else None
