"""The whole address table: what a request may go to, and every disguise of what it may not."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from oauth_server.outbound import Outbound, OutboundError
from oauth_server.outbound.addresses import is_loopback, is_public, literal

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255",
    "128.0.0.1", "169.253.255.255", "169.255.0.1", "172.15.255.255", "172.32.0.1", "192.0.1.1", "192.167.255.255",
    "192.169.0.1", "198.17.255.255", "198.20.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1",
    "2001:4860:4860::8888", "2001:200::1",
    # The neighbours of platforms' own services, and of blocks in the registries.
    "168.63.129.15", "168.63.129.17", "161.25.255.255", "161.27.0.1", "166.7.255.255", "166.12.0.1", "199.36.153.3",
    "199.36.153.12", "192.31.195.255", "192.31.197.1", "192.52.194.1", "192.175.49.1", "2620:4f:8001::1",
    "2600:2d00:2:3000::1",
]  # fmt: skip
PLATFORM_SERVICES = [
    "168.63.129.16",  # Azure: the platform's own resolver, health probe and guest agent
    "169.254.169.254", "169.254.170.2", "169.254.0.23", "169.254.42.42",  # AWS, GCP, Azure, Oracle; ECS; Tencent; Scaleway
    "100.100.100.200", "100.88.222.5",  # Alibaba; Tencent
    "192.0.0.192",  # Oracle
    "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42",  # AWS, GCP, Oracle, Scaleway
    "161.26.0.10", "161.26.255.255", "166.8.0.1", "166.11.255.255",  # IBM
    "199.36.153.4", "199.36.153.11", "2600:2d00:2:1000::1", "2600:2d00:2:2000::1",  # Google APIs within a VPC
]  # fmt: skip
REGISTRIES = ["192.31.196.1", "192.52.193.1", "192.175.48.42", "2620:4f:8000::42"]  # AS112 and AMT anycast
BLOCKED = [
    "0.0.0.0", "0.1.2.3",  # noqa: S104 - an address to refuse, not to bind
    "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.9",
    "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.8", "192.0.0.9",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.7",
    "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::808:808", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:10::1", "2001:db8::1", "2002:7f00:1::", "2002:0808:0808::1", "3fff::1", "4000::1", "5f00::1",
    "fc00::1", "fd00::1", "fdff:ffff::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1",
    "2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:127.0.0.1", "not an address", "",
]  # fmt: skip
SPELLINGS = [
    "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "127.0.0.1.", "017700000001",
    "0x", "1.2.3.4.5", "256.256.256.256", "00.0.0.0", "example.0x7f", "127.0.0.010", "fe80::1%25eth0", "::1%lo",
]  # fmt: skip


@pytest.mark.requirement("attack-56")
@pytest.mark.parametrize("address", BLOCKED)
def test_no_special_address_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.requirement("attack-56")
@pytest.mark.parametrize("address", [*PLATFORM_SERVICES, *REGISTRIES])
def test_no_service_of_the_platform_and_no_block_of_the_registries_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.requirement("attack-56")
@pytest.mark.parametrize("address", [address for address in PLATFORM_SERVICES if ":" not in address])
@pytest.mark.parametrize(
    "form", ["mapped", "compatible", "translated", "nat64", "local nat64", "6to4", "teredo", "isatap"]
)
def test_no_address_that_embeds_one_of_those_is_public(address: str, form: str) -> None:
    four = int(IPv4Address(address))
    embedded = {
        "mapped": 0xFFFF << 32 | four,
        "compatible": four,
        "translated": 0xFFFF << 48 | four,
        "nat64": 0x64FF9B << 96 | four,
        "local nat64": 0x64FF9B0001 << 80 | four,
        "6to4": 0x2002 << 112 | four << 80 | 1,
        "teredo": 0x2001 << 112 | 0x41000000 << 64 | four ^ 0xFFFFFFFF,
        "isatap": 0x26064700 << 96 | 0x5EFE << 32 | four,
    }[form]
    assert not is_public(str(IPv6Address(embedded)))


@pytest.mark.parametrize("address", PUBLIC)
def test_global_unicast_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.requirement("attack-56")
@pytest.mark.parametrize("host", SPELLINGS)
def test_a_number_in_another_spelling_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="spelling"):
        literal(host)


def test_a_literal_is_known_and_a_name_is_not() -> None:
    assert literal("127.0.0.1") == "127.0.0.1"
    assert literal("2606:4700:0::1111") == "2606:4700::1111"
    assert literal("mcp.example.com") is None
    assert literal("1.2.3.4.example") is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_loopback_alone(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


@pytest.mark.requirement("attack-56")
@pytest.mark.parametrize("address", [a for a in (*BLOCKED, *PLATFORM_SERVICES) if a and " " not in a])
async def test_a_name_with_such_an_address_is_never_connected(address: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    with pytest.raises(OutboundError, match="not globally routable"):
        await Outbound(resolve=resolve).request("GET", "https://redis/")


@pytest.mark.requirement("attack-56")
@pytest.mark.parametrize(
    "host",
    [*SPELLINGS[:12], "[::1]", "[::ffff:127.0.0.1]", "127.0.0.1", "169.254.169.254", "[fd00::1]", "127。0。0。1"],
)
async def test_such_a_host_is_never_connected(host: str) -> None:
    with pytest.raises(OutboundError):
        await Outbound().request("GET", f"https://{host}/")


@pytest.mark.requirement("attack-56")
async def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.1"]

    with pytest.raises(OutboundError, match="not globally routable"):
        await Outbound(resolve=resolve).request("GET", "https://mixed.example/")


@pytest.mark.requirement("attack-56")
async def test_localhost_by_the_systems_resolver_is_refused() -> None:
    with pytest.raises(OutboundError, match="not globally routable"):
        await Outbound().request("GET", "https://localhost/")
