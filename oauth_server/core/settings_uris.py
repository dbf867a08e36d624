"""What a host, origin or URI in a setting must look like (RFC 3986, RFC 6454, RFC 8252 section 7, RFC 8707)."""

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

from oauth_server.core.hosts import authority_problem, is_host, is_loopback_host, without_brackets
from oauth_server.core.redirect_uris import is_public_scheme, path_problem, private_use_problem, unmatchable
from oauth_server.core.settings_rules import RefusedError, each_once, quoted, words

_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535
# URIs may have commas: one separates where a blank, a line end, another comma or another scheme follows.
_COMMA = re.compile(r",(?=[\s,]|\Z|[A-Za-z][A-Za-z0-9+.-]*:/)")
# The origin of an application: scheme, host as its author chose it, and perhaps a port.
_APPLICATION_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._~-]+)(?::([1-9][0-9]{0,4}))?/?")

_HOSTS = "host names such as client.example.com or localhost:8443, separated by blanks"
_HTTP_URI = "absolute http:// or https:// URIs without user information, query and fragment"
_ORIGIN = "an http:// or https:// origin such as https://auth.example.com, without path, query and fragment"
_ORIGINS = "origins such as https://app.example.com or app://obsidian.md, without path, each once"
_PRIVATE_USE = "redirect URIs with a private-use scheme such as com.example.app:/callback, without fragment"
_REDIRECT = "https:// URIs, http:// URIs on loopback, private-use schemes (com.example.app:/callback); no fragment"


def host(value: str) -> str:
    """Return an address or host name to listen on, lower-case, an IPv6 address without its brackets."""
    bare = without_brackets(value).lower()
    if not is_host(bare):
        raise RefusedError(f"{quoted(value)} is neither", "an IP address or a host name, without scheme and port")
    return bare


def hosts(value: str) -> tuple[str, ...]:
    """Return hosts, each with a port where it has one that is not 443."""
    return each_once(map(_authority, words(value)), f"{_HOSTS}, each once")


def hosts_and_ports(value: str) -> tuple[str, ...]:
    """Return hosts as `hosts` does, but that 443 stays where it is written: such an entry means that port alone."""
    found = (_authority(word) + ":443" * word.endswith(":443") for word in words(value))
    return each_once(found, f"{_HOSTS}, each once")


def _authority(value: str) -> str:
    if any(character in value for character in "/?#@*"):
        raise RefusedError(f"{quoted(value)} is not a host", _HOSTS)
    return _http_base(_split(f"https://{value}", _HOSTS), _HOSTS).removeprefix("https://")


def origin(value: str) -> str:
    """Return an http or https origin (RFC 6454 section 6.2): lower-case, without a default port or trailing slash."""
    parts = _split(value, _ORIGIN)
    base = _http_base(parts, _ORIGIN)
    if parts.path not in {"", "/"} or "?" in value:
        raise RefusedError("has a path or a query", _ORIGIN)
    return base


def origins(value: str) -> tuple[str, ...]:
    """Return origins of web sites, and of applications whose scheme is their own (app://obsidian.md), lower-case."""
    found = words(value)
    if "*" in found:
        raise RefusedError("* would let every web site act with its visitors' tokens", _ORIGINS)
    if "null" in found:
        raise RefusedError("null is the origin of every sandboxed page", _ORIGINS)
    return each_once(map(_origin_of_any_kind, found), _ORIGINS)


def _origin_of_any_kind(value: str) -> str:
    if value.lower().startswith(("http:", "https:")):
        return origin(value)
    found = _APPLICATION_ORIGIN.fullmatch(value.lower())
    if found is None or is_public_scheme(found[1]) or int(found[3] or 1) > _LAST_PORT:
        raise RefusedError(f"{quoted(value)} is not an origin", _ORIGINS)
    return value.lower().removesuffix("/")


def resource_uris(value: str) -> tuple[str, ...]:
    """Return resource identifiers (RFC 8707 section 2), scheme and host lower-case, an origin without its slash."""
    return each_once(map(_resource_uri, _uris(value)), f"{_HTTP_URI}, each once")


def _resource_uri(value: str) -> str:
    parts = _split(value, _HTTP_URI)
    base = _http_base(parts, _HTTP_URI)
    if "?" in value or not _PATH.fullmatch(parts.path):
        raise RefusedError("has a query or a character that a path cannot have", _HTTP_URI)
    return base + ("" if parts.path == "/" else parts.path)


def redirect_uris(value: str) -> tuple[str, ...]:
    """Return redirect URIs exactly as written, since they are compared as strings (RFC 9700 section 2.1)."""
    return each_once(map(_redirect_uri, _uris(value)), _REDIRECT)


def _redirect_uri(value: str) -> str:
    parts = _split(value, _REDIRECT)
    if parts.scheme not in _DEFAULT_PORTS:
        return _private_use(value, _REDIRECT)
    problem = unmatchable(value) or authority_problem(parts) or path_problem(parts.path)
    if problem is None and parts.scheme == "http" and not is_loopback_host(parts.hostname or ""):
        problem = "is neither https nor on loopback"
    if problem is not None:
        raise RefusedError(f"{quoted(value)} {problem}", _REDIRECT)
    return value


def private_use_uris(value: str) -> tuple[str, ...]:
    """Return redirect URIs with a private-use scheme (RFC 8252 section 7.1), exactly as written."""
    return each_once((_private_use(uri, _PRIVATE_USE) for uri in _uris(value)), _PRIVATE_USE)


def _private_use(value: str, accepted: str) -> str:
    _split(value, accepted)
    problem = unmatchable(value) or private_use_problem(value)
    if problem is not None:
        raise RefusedError(f"{quoted(value)} {problem}", accepted)
    return value


def _uris(value: str) -> list[str]:
    return _COMMA.sub(" ", value).split()


def _split(value: str, accepted: str) -> SplitResult:
    # urlsplit drops tabs, line ends and outer blanks without a word: what is checked would not be what is kept.
    if not value.isascii() or not value.isprintable() or " " in value:
        raise RefusedError("has characters that a URI cannot have", accepted)
    if "#" in value:
        raise RefusedError("has a fragment", accepted)
    try:
        return urlsplit(value)
    except ValueError:
        raise RefusedError("is not a URI", accepted) from None


def _http_base(parts: SplitResult, accepted: str) -> str:
    """Return `scheme://host[:port]` in normal form (RFC 3986 section 6.2.3)."""
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise RefusedError("is not an http:// or https:// URI", accepted)
    if "@" in parts.netloc:
        raise RefusedError("has user information", accepted)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or not is_host(parts.hostname) or parts.netloc.startswith("[") != (":" in parts.hostname):
        raise RefusedError("has no valid host or port", accepted)
    name = f"[{IPv6Address(parts.hostname)}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}" + ("" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}")
