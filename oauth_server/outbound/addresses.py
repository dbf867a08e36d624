"""Address rules of outgoing requests: which addresses and host spellings one may go to.

Sources: RFC 6890, and the IANA registries of special-purpose IPv4 and IPv6 addresses. Each block in them is refused,
also those that are globally reachable: no ordinary server is in them.
"""

import ipaddress
import re
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

BLOCKED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # "this network", RFC 791
        "10.0.0.0/8",  # private use, RFC 1918
        "100.64.0.0/10",  # shared address space of carriers, RFC 6598
        "127.0.0.0/8",  # loopback, RFC 1122
        "169.254.0.0/16",  # link-local, and the metadata service of every cloud, RFC 3927
        "172.16.0.0/12",  # private use, RFC 1918
        "192.0.0.0/24",  # IETF protocol assignments, RFC 6890
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.31.196.0/24",  # AS112, RFC 7535
        "192.52.193.0/24",  # automatic multicast tunnelling, RFC 7450
        "192.88.99.0/24",  # 6to4 relay anycast, RFC 7526
        "192.168.0.0/16",  # private use, RFC 1918
        "192.175.48.0/24",  # AS112 by direct delegation, RFC 7534
        "198.18.0.0/15",  # benchmarking, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast, RFC 5771
        "240.0.0.0/4",  # reserved, and the limited broadcast, RFC 1112
        "::/96",  # unspecified, loopback and the v4-compatible addresses, RFC 4291
        "::ffff:0:0/96",  # v4-mapped, RFC 4291
        "64:ff9b::/96",  # NAT64, RFC 6052
        "64:ff9b:1::/48",  # NAT64 for local use, RFC 8215
        "100::/64",  # discard only, RFC 6666
        "2001::/23",  # IETF protocol assignments, among them Teredo and ORCHID, RFC 2928
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056
        "2620:4f:8000::/48",  # AS112 by direct delegation, RFC 7534
        "3fff::/20",  # documentation, RFC 9637
        "5f00::/16",  # segment routing, RFC 9602
        "fc00::/7",  # unique local, RFC 4193
        "fe80::/10",  # link-local, RFC 4291
        "fec0::/10",  # site-local, RFC 3879
        "ff00::/8",  # multicast, RFC 4291
    )
)
# What a cloud serves to the machines in it alone, by addresses that look global. Those of other clouds
# (169.254.169.254, 100.100.100.200, 192.0.0.192, fd00:ec2::254, fd20:ce::254) are in the blocks above.
PLATFORM_SERVICES: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure: resolver, guest agent, health probes
        "161.26.0.0/16",  # IBM Cloud: service endpoints
        "166.8.0.0/14",  # IBM Cloud: service endpoints
        "199.36.153.4/30",  # Google Cloud: restricted.googleapis.com
        "199.36.153.8/30",  # Google Cloud: private.googleapis.com
        "2600:2d00:2:1000::/64",  # Google Cloud: restricted.googleapis.com
        "2600:2d00:2:2000::/64",  # Google Cloud: private.googleapis.com
    )
)
_REFUSED: Final = {
    version: [net for net in (*BLOCKED, *PLATFORM_SERVICES) if net.version == version] for version in (4, 6)
}
GLOBAL_UNICAST_V6: Final = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out, RFC 4291 section 2.4
ISATAP_IDENTIFIERS: Final = (0x00005EFE, 0x02005EFE)  # an IPv4 address in the interface identifier, RFC 5214

_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)


def parse(address: str) -> Address:
    """Read one address as a resolver gives it, its IPv6 zone left out; ValueError if it is none."""
    return ipaddress.ip_address(address.partition("%")[0])


def is_public(address: str) -> bool:
    """Say whether an address is globally routable unicast, serves no platform, and hides no other address in it."""
    try:
        ip = parse(address)
    except ValueError:
        return False
    if any(ip in network for network in _REFUSED[ip.version]) or not ip.is_global:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        return ip in GLOBAL_UNICAST_V6 and int(ip) >> 32 & 0xFFFFFFFF not in ISATAP_IDENTIFIERS
    return True


def is_loopback(address: str) -> bool:
    """Say whether an address is 127.0.0.0/8 or ::1; nothing that merely maps to them counts."""
    try:
        return parse(address).is_loopback and "ffff:" not in address.lower()
    except ValueError:
        return False


def literal(host: str) -> str | None:
    """Return the address when the host of a URL is one, None when it is a name.

    ValueError: the host is a number in another spelling (`2130706433`, `0x7f.1`, `0177.0.0.1`, `127.1`), which systems
    read differently, or it has an IPv6 zone.
    """
    if ":" in host:
        return str(ipaddress.IPv6Address(host)) if "%" not in host else _refuse(host)
    last = host.removesuffix(".").rpartition(".")[2]
    if not _NUMBER.fullmatch(last):
        return None
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        return _refuse(host)


def _refuse(host: str) -> str:
    raise ValueError(f"{host!r} is an unusual spelling of an address")
