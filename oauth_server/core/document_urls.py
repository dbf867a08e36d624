"""Client identifiers that are URLs (draft-ietf-oauth-client-id-metadata-document-00 section 3)."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from oauth_server.core.hosts import authority_problem

MAX_LENGTH = 2048
_CHARACTERS = re.compile(r"[\x21\x24-\x3B\x3D\x3F-\x5B\x5D\x5F\x61-\x7A\x7E]+")  # printable ASCII but "#<>\^`{|}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


def is_url(client_id: str) -> bool:
    """Whether a client_id is meant as the URL of a document; an opaque one is never of this shape."""
    return _SCHEME.match(client_id) is not None


def problem_of(client_id: str, named: Collection[str] = ()) -> str | None:  # noqa: PLR0911 - one line per rule
    """What keeps a URL from being a client identifier, in words that end a sentence; None for an acceptable one.

    Only one spelling of a URL is accepted, since identifiers are compared as strings. `named` are the hosts of the
    operator's list, which alone may be addresses or names without a dot.
    """
    if len(client_id) > MAX_LENGTH or not _CHARACTERS.fullmatch(client_id):
        return "has characters that must not stand in it, or is too long"
    if not client_id.startswith("https://"):
        return "does not begin with https://"
    try:
        parts = urlsplit(client_id)
    except ValueError:
        return "is not a URL"
    problem = authority_problem(parts)
    if problem is not None:
        return problem
    host = parts.hostname or ""
    if parts.port == 443:  # noqa: PLR2004
        return "names the port that https has anyway"
    if parts.netloc not in named and ("." not in host or host.rpartition(".")[2].isdigit()):
        return "has a host that is not a public name"
    if parts.path in ("", "/"):
        return "has no path"
    if _DOT_SEGMENT.search(parts.path):
        return "has dot segments in its path"
    return None


def host_of(client_id: str) -> str:
    """The host of an acceptable identifier, with its port when it has one."""
    return urlsplit(client_id).netloc
