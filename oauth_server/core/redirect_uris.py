"""Redirect URIs: which may be registered, and which of the registered a request may name.

Sources: RFC 6749 section 3.1.2, RFC 8252 sections 7.1 and 7.3, RFC 9700 section 4.1.
"""

import re
from collections.abc import Collection, Iterable
from urllib.parse import quote_plus, urlsplit

from oauth_server.core.errors import InvalidRedirectUriError
from oauth_server.core.hosts import authority_problem, is_loopback_host
from oauth_server.core.refusal_log import shown_uri

MAX_LENGTH = 2048

# Private-use-scheme callbacks of clients whose documentation or source has them; the operator may add more.
# Claude, goose, Zed and the MCP client of VS Code use https or loopback redirect URIs.
KNOWN_PRIVATE_USE = (
    "com.raycast:/oauth?package_name=Extension",  # developers.raycast.com/api-reference/oauth, RedirectMethod.AppURI
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "grokbot://mcp/oauth/callback",  # Cursor 3.20 registers it beside its own
    "raycast://oauth?package_name=Extension",  # the same page, RedirectMethod.App
    # microsoft/vscode, extensions/github-authentication
    "vscode://vscode.github-authentication/did-authenticate",
    "vscode-insiders://vscode.github-authentication/did-authenticate",
    "warp://mcp/oauth2callback",  # warpdotdev/warp, app/src/ai/mcp/templatable_manager/oauth.rs
    "warppreview://mcp/oauth2callback",  # the same, ChannelState::url_scheme
)
SETTING = "MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS"
# Schemes that a browser or the system acts on by itself can never be one application's own.
_PUBLIC_SCHEME = re.compile(
    r"about|blob|chrome|data|file|filesystem|ftps?|https?|intent|jar|javascript|resource|sms|tel|vbscript"
    r"|view-source|wss?"
)

# RFC 8252 section 7.3: the port of a loopback redirect is chosen when the client starts.
_PORT = r"[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5]"
_LOOPBACK = re.compile(rf"http://(localhost|127\.0\.0\.1|\[::1\])(?::(?:{_PORT}))?((?:[/?].*)?)", re.ASCII)
_PRINTABLE = re.compile(r"[\x21-\x7E]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")  # RFC 3986 section 3.1
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")  # RFC 3986 section 2.3
_DOT_SEGMENT = re.compile(r"(?:/|%2f)(?:\.|%2e){1,2}(?:/|%2f|$)", re.IGNORECASE)


def is_loopback(uri: str) -> bool:
    """Whether the URI leads to a program on the user's own computer, by a literal loopback name over http."""
    return _LOOPBACK.fullmatch(uri) is not None


def on_this_computer(uri: str) -> bool:
    """Whether the URI leads to a program on the user's own computer, where any program may pass for the client.

    That is loopback over http or https, and every private-use scheme (RFC 8252 sections 8.4 and 8.6).
    """
    parts = urlsplit(uri)
    host = parts.hostname or ""
    return parts.scheme not in ("http", "https") or is_loopback_host(host) or host.endswith(".localhost")


def host_of(uri: str) -> str:
    """What a person should see of a redirect URI: its host, or everything before the path for a private-use scheme."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        return parts.hostname or ""
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def _without_port(uri: str) -> tuple[str, str] | None:
    """(host, rest) of a loopback URI, None for any other; an empty path and "/" are the same place."""
    match = _LOOPBACK.fullmatch(uri)
    return None if match is None else (match[1], match[2] or "/")


def same_but_port(uri: str) -> str:
    """A form under which loopback URIs that differ only in their port are equal; other URIs are kept as they are."""
    loopback = _without_port(uri)
    return uri if loopback is None else f"http://{loopback[0]}{loopback[1]}"


def registered(uri: str, registered_uris: Iterable[str]) -> bool:
    """Whether the request's redirect URI is registered: equal byte for byte, for loopback but for the port."""
    wanted = same_but_port(uri)
    return any(uri == known or wanted == same_but_port(known) for known in registered_uris)


def check_registrable(uri: object, *, native: bool, private_use: Collection[str]) -> None:
    """Refuse a URI that no client may register; raises InvalidRedirectUriError saying which and why."""
    if not isinstance(uri, str) or not uri:
        raise InvalidRedirectUriError("Each redirect URI must be a non-empty string.")
    private = uri in KNOWN_PRIVATE_USE or uri in private_use
    problem = _malformed(uri)
    if problem is None and not private:
        problem = _unacceptable(uri)
    if problem is None and not native and (private or is_loopback(uri)):
        problem = 'leads to a program on the user\'s computer, which application_type "web" may not register'
    if problem is not None:
        told = f"The redirect URI {uri[:120]!a} {problem}."
        raise InvalidRedirectUriError(told, reason=f"the redirect URI {shown_uri(uri)} {problem}")


def _malformed(uri: str) -> str | None:
    if len(uri) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    # A browser and this server must read the URI alike: no blanks, controls, non-ASCII or backslashes.
    if _PRINTABLE.fullmatch(uri) is None or "\\" in uri:
        return "has a character that must be percent-encoded"
    if "#" in uri:
        return "has a fragment (RFC 6749 section 3.1.2)"
    return None


def is_public_scheme(scheme: str) -> bool:
    """Whether a lower-case scheme belongs to browsers or systems, so that no application has it for itself."""
    return _PUBLIC_SCHEME.fullmatch(scheme) is not None


def private_use_problem(uri: str) -> str | None:
    """What is wrong with a URI of an application's own scheme, in words that end a sentence; None if nothing.

    RFC 8252 section 7.1: scheme, colon, path. The slash tells com.example.app:/callback from localhost:3000/callback.
    """
    scheme, _, rest = uri.partition(":")
    if not _SCHEME.fullmatch(scheme) or not rest.startswith("/"):
        return "has no scheme that a slash follows"
    if is_public_scheme(scheme.lower()):
        return f"has the scheme {scheme}, which is not one application's own"
    if rest != "/" and not rest.strip("/"):
        return "names nothing after its scheme, so that no redirect URI is equal to it"
    return None


def unmatchable(uri: str) -> str | None:
    """Why no request could name a configured URI, in words that end a sentence; None if one could."""
    if "*" in uri:
        return "has a *, and URIs are compared as they are written"
    return _malformed(uri)


def path_problem(path: str) -> str | None:
    """What is wrong with the path of an http or https redirect URI, in words that end a sentence; None if nothing."""
    return "has dot segments in its path" if _DOT_SEGMENT.search(path) else None


def _unacceptable(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "is not a valid URI"
    if parts.scheme not in ("http", "https"):
        return _not_http(uri)
    if not uri.startswith(("http://", "https://")):
        return "has no literal host"
    problem = authority_problem(parts) or path_problem(parts.path)
    if problem is not None:
        return problem
    if parts.scheme == "http" and not is_loopback(uri):
        return "is plain http to another computer; use https, or http to localhost, 127.0.0.1 or [::1]"
    return None


def _not_http(uri: str) -> str:
    if private_use_problem(uri) is None:
        return f"has a private-use scheme that is not allowed here; the operator may list the whole URI in {SETTING}"
    return "has a scheme that is neither https nor an allowed private-use scheme"


def with_parameters(uri: str, parameters: Iterable[tuple[str, str]]) -> str:
    """The redirect URI with response parameters appended; its own query is kept (RFC 6749 section 4.1.2)."""
    separator = "&" if "?" in uri else "?"
    return uri + separator + "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in parameters])


def _quoted(text: str) -> str:
    # As urlencode, which takes its time for what it leaves as it is: names, codes and most of what clients send.
    return text if _UNRESERVED.fullmatch(text) else quote_plus(text)
