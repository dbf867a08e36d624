"""Host names and addresses: what is one, which are this computer, and the one spelling in which a URI may name one.

Sources: RFC 3986 sections 3.2 and 6.2.2, RFC 5891 section 4.4, the URL standard's host parser.
"""

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMBER_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_A_LABEL: Final = "xn--"
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::(.*))?")
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_LAST_PORT: Final = 65535


def is_host(name: str) -> bool:
    """Tell whether a lower-case `name` is a host name or an IP address, IPv6 without brackets and zone."""
    # Browsers read 134744072 and 0x8.8 as IPv4 addresses: a last label that is a number must belong to a plain one.
    if ":" in name or _NUMBER_LABEL.fullmatch(name.rpartition(".")[2]):
        try:
            return "%" not in str(ip_address(name))
        except ValueError:
            return False
    return _HOST_NAME.fullmatch(name) is not None and all(map(_is_label, name.split(".")))


def _is_label(label: str) -> bool:
    """Whether a label is plain ASCII, or the one A-label of its text: other encodings of that text are refused."""
    if not label.startswith(_A_LABEL):
        return True
    try:
        text = label.removeprefix(_A_LABEL).encode().decode("punycode")
        again = text.encode("punycode").decode()
    except (UnicodeError, ValueError, OverflowError):
        return False
    settled = unicodedata.normalize("NFKC", text).lower()
    shown = text.isprintable() and not text.isascii() and unicodedata.category(text[0])[0] != "M"
    return shown and text == settled and _A_LABEL + again == label


def is_loopback_host(host: str) -> bool:
    """Tell whether a host is `localhost`, in 127.0.0.0/8 or ::1, brackets or not; names under localhost are not."""
    bare = without_brackets(host).lower()
    if bare == "localhost":
        return True
    try:
        address = ip_address(bare)
    except ValueError:
        return False
    return address.is_loopback if isinstance(address, IPv4Address) else address == IPv6Address("::1")


def is_loopback_origin(origin: str) -> bool:
    """Tell whether a serialized origin (RFC 6454 section 6.2) is that of an http or https page of this computer."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    normal = origin in {f"http://{parts.netloc}", f"https://{parts.netloc}"} and authority_problem(parts) is None
    return normal and is_loopback_host(parts.hostname or "")


def without_brackets(host: str) -> str:
    """Return an IPv6 address as `ip_address` takes it; other hosts are kept as they are."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def authority_problem(parts: SplitResult) -> str | None:
    """Return what is wrong with the authority of an http or https URI, in words that end a sentence; None if nothing.

    Browsers read several spellings of one host: `%2E`, `0x7f.1`, an ideographic full stop, upper case. Only the
    spelling that they show is accepted, so that every reader of the URI sees the host that it leads to.
    """
    if "@" in parts.netloc:
        return "has user information"
    found = _AUTHORITY.fullmatch(parts.netloc)
    if found is None or "*" in parts.netloc:
        return "has no literal host"
    host, port = found[1], found[2]
    if port is not None and not (_PORT.fullmatch(port) and int(port) <= _LAST_PORT):
        return "has a port that is not a plain number from 1 to 65535"
    if not _is_normal(host):
        return "has a host that is not in its normal spelling: lower-case ASCII without percent-encoding and final dot"
    return None


def _is_normal(host: str) -> bool:
    if not host.startswith("["):
        return is_host(host)
    try:
        address = IPv6Address(host[1:-1])
    except ValueError:
        return False
    # An address that embeds an IPv4 address has two usual spellings, so it is refused.
    return address.ipv4_mapped is None and "." not in host and f"[{address}]" == host and "%" not in host
