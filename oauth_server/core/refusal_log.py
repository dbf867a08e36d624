"""What a refused request leaves behind: a line of the log at debug level, and one more in the metrics."""

import logging
import re
from urllib.parse import urlsplit

from oauth_server import metrics

# Words of a path, as endpoints have them. Anything else may be a secret that somebody put there by mistake.
_WORD = re.compile(r"[a-z._-]{1,40}|[a-z0-9]{1,4}|")
# Hosts in the spelling of browsers, and ports; anything else may be a secret, or a sentence for whoever reads the log.
_AUTHORITY = re.compile(r"(?:[a-z0-9.-]{0,253}|\[[0-9a-f:.]{0,45}\])(?::[0-9]{0,5})?")
# An id as this server makes them, which none of its secrets is as long as; or a word that is shorter than all of these.
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{22}|[A-Za-z0-9._-]{1,11}")
NO_ROUTE = "none"


def refused(logger: logging.Logger, method: str, path: str, error: str, reason: str, *, route: str = NO_ROUTE) -> None:
    """Note a refusal. `reason` names the check and what it found, and never holds a parameter's secret value."""
    metrics.REFUSALS.add(route, error)
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("refused %s %s: %s by check %s", shown_method(method), shown_path(path), error, reason)


def shown_path(path: str) -> str:
    """A path for the log: what is no plain word is left out."""
    return "/".join(part if _WORD.fullmatch(part) else "…" for part in path[:200].split("/"))


def shown_uri(uri: str) -> str:
    """A URI for the log: where it leads, and the plain words of its path."""
    try:
        parts = urlsplit(uri[:500])
        authority = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "…"
    scheme = shown_path(parts.scheme)
    origin = f"{scheme}://{shown_host(authority)}" if authority else shown_path(parts.scheme + ":" * bool(parts.scheme))
    return origin + shown_path(parts.path) + "?…" * bool(parts.query)


def shown_host(authority: str) -> str:
    """A host with its port for the log, where it is spelled as browsers spell one."""
    return authority if _AUTHORITY.fullmatch(authority) else "…"


def recordable(client_id: str) -> str:
    """An id of no known client, as it may be kept: as it was sent only where it looks like an id, else empty.

    People and programs send passwords and tokens in its place.
    """
    if _CLIENT_ID.fullmatch(client_id):
        return client_id
    return shown_uri(client_id) if client_id.startswith(("https://", "http://")) else ""


def shown_method(method: str) -> str:
    """A method for the log and the metrics: one of HTTP's, or OTHER."""
    return method if method in _METHODS else "OTHER"


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
