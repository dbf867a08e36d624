"""Read and build the URLs of discovery (RFC 8414 section 3.1, RFC 9728 section 3.1)."""

import ipaddress
from typing import Any, Final
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

import httpx2

PRM: Final = "/.well-known/oauth-protected-resource"
AUTHORIZATION_SERVER: Final = "/.well-known/oauth-authorization-server"
OPENID: Final = "/.well-known/openid-configuration"


def read(value: Any) -> SplitResult | None:
    """Split an absolute http or https URL; None for anything else."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return None
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and parts.hostname and port != 0 else None


def is_loopback(value: Any) -> bool:
    """Say whether a URL's host is `localhost` or a loopback address."""
    parts = read(value)
    if parts is None or not parts.hostname:
        return False
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname == "localhost"


def is_secure(value: Any) -> bool:
    """Say whether a URL is https, or http to this machine (OAuth 2.1 section 1.5)."""
    parts = read(value)
    return parts is not None and (parts.scheme == "https" or is_loopback(value))


def origin(url: str) -> str:
    """Return scheme and authority."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def ascii_origin(url: str) -> str:
    """Return the origin as a person can compare it (RFC 6454 section 6.2); empty for what is no URL of a web server.

    The host is in A-labels and lower case, a default port is left out; a URL with credentials has none.
    """
    parts = read(url)
    if parts is None or "@" in parts.netloc or "\\" in url:
        return ""
    try:
        found = httpx2.URL(url)
        return f"{found.scheme}://{found.netloc.decode('ascii')}"
    except (httpx2.InvalidURL, ValueError):  # what a host cannot be encoded from
        return ""


def path(url: str) -> str:
    """Return the path without its last slash; empty for the root."""
    return urlsplit(url).path.rstrip("/")


def canonical(url: str) -> str:
    """Return a resource identifier as MCP compares it: scheme and host in lower case, the root without its slash."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{'' if parts.path == '/' else parts.path}{query}"


def inserted(url: str, well_known: str) -> str:
    """Insert a well-known path between the authority and the path of a URL."""
    return f"{origin(url)}{well_known}{path(url)}"


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Return where an issuer's metadata is looked for, in the order MCP prescribes."""
    first = (inserted(issuer, AUTHORIZATION_SERVER),)
    return first + openid_urls(issuer)


def appended(url: str, well_known: str) -> str:
    """Append a well-known path to a URL, where RFC 8414 and RFC 9728 insert it; empty where both are the same."""
    return f"{origin(url)}{path(url)}{well_known}" if path(url) else ""


def openid_urls(issuer: str) -> tuple[str, ...]:
    """Return where an issuer's OpenID configuration is looked for: inserted, then appended."""
    return tuple(dict.fromkeys((inserted(issuer, OPENID), f"{origin(issuer)}{path(issuer)}{OPENID}")))


def with_query(url: str, *pairs: tuple[str, str]) -> str:
    """Add parameters to a URL that may have a query already (RFC 6749 section 3.1)."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs, errors='replace')}"


def joined(base: str, reference: str) -> str:
    """Resolve a reference; the reference itself when it cannot be resolved to an http or https URL."""
    try:
        target = urljoin(base, reference.strip())
    except ValueError:
        return reference
    return target if read(target) else reference
