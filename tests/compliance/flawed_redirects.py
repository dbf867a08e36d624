"""Which redirect URIs the flawed server takes for registered, and which URLs for clients."""

from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

LOOPBACK = {"127.0.0.1", "localhost", "::1"}

# Each flaw takes what begins with, ends with or looks like a registered URI for the URI itself.
LAX: Mapping[str, Callable[[str, str], bool]] = {
    "redirect-unregistered": lambda uri, known: uri == "https://evil.invalid/callback",
    "redirect-path-suffix": lambda uri, known: uri.startswith(f"{known}/") and "%" not in uri,
    "redirect-query-added": lambda uri, known: uri.partition("?")[0] == known,
    "redirect-userinfo": lambda uri, known: uri.startswith(known.rpartition("/")[0] + "@"),
    "redirect-host-suffix": lambda uri, known: uri.startswith(f"https://{urlsplit(known).hostname}.evil"),
    "redirect-subdomain": lambda uri, known: uri.endswith("." + known.partition("//")[2]),
    "redirect-scheme": lambda uri, known: uri.partition("//")[2] == known.partition("//")[2],
    "redirect-fragment": lambda uri, known: uri.partition("#")[0] == known,
    "redirect-case": lambda uri, known: uri.lower() == known.lower(),
    "redirect-traversal": lambda uri, known: "/../" in unquote(uri),
    "redirect-backslash": lambda uri, known: uri.partition("\\@")[2] == known.partition("//")[2],
    "redirect-port": lambda uri, known: uri.replace(":8443", "") == known,
    "redirect-wildcard": lambda uri, known: (
        known.startswith("https://*.") and uri.endswith(known.removeprefix("https://*"))
    ),
}

# Each flaw takes one URL for a client without ever having seen its document.
VOUCHED: Mapping[str, str] = {
    "cimd-http": "http://client.invalid/client.json",
    "cimd-no-path": "https://client.invalid",
    "cimd-fragment": "https://client.invalid/client.json#fragment",
    "cimd-dot-segment": "https://client.invalid/a/../client.json",
    "cimd-userinfo": "https://user:word@client.invalid/client.json",
    "cimd-private": "https://localhost/client.json",
}


def registered(uri: str, known: list[str], flaw: str) -> bool:
    """Say whether a redirect URI is registered, but for the port of a loopback one."""

    def portless(value: str) -> str:
        parts = urlsplit(value)
        loopback = parts.scheme == "http" and parts.hostname in LOOPBACK and "@" not in parts.netloc
        if not loopback or flaw == "redirect-loopback-port":
            return value
        return parts._replace(netloc=f"[{parts.hostname}]").geturl()

    if flaw in LAX and any(LAX[flaw](uri, item) for item in known):
        return True
    return portless(uri) in {portless(item) for item in known}
