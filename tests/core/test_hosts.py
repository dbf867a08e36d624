"""Hosts in URIs: one spelling alone is accepted, whatever is written."""

from urllib.parse import urlsplit

import hypothesis
import pytest
from hypothesis import strategies as st

from oauth_server.core.hosts import authority_problem, is_host

LABELS = st.sampled_from(
    ["a", "A", "example", "xn--bcher-kva", "xn--a", "127", "0x7f", "01", "%2E", "\u3002", "", "*", "é"]
)
HOSTS = st.lists(LABELS, min_size=1, max_size=5).map(".".join) | st.sampled_from(
    ["[::1]", "[::01]", "[::1.2.3.4]", "[]"]
)
PORTS = st.sampled_from(["", ":", ":0", ":80", ":080", ":443", ":65535", ":65536", ":x", ":1:2"])


@pytest.mark.requirement("attack-52", "attack-55")
@hypothesis.given(st.builds("{}{}".format, HOSTS, PORTS) | st.text(max_size=20))
def test_accepted_authority_is_read_back_as_it_is_written(authority: str) -> None:
    try:
        parts = urlsplit(f"https://{authority}/cb")
        problem = authority_problem(parts)
    except ValueError:
        return
    if problem is not None:
        return
    host = parts.hostname or ""
    assert is_host(host)
    shown = f"[{host}]" if ":" in host else host
    assert parts.netloc == shown + ("" if parts.port is None else f":{parts.port}")
    assert shown == shown.encode("ascii").decode().lower()
    assert not shown.endswith(".")


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("example", True),
        ("a-b.example", True),
        ("xn--bcher-kva.example", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("xn--a.example", False),  # it decodes to a control character
        ("xn--bcher-kva-.example", False),
        ("xn--zca.example", True),  # sharp s, which is a letter of its own (RFC 5892)
        ("xn--1ug.example", False),  # a joiner alone
        ("127.1", False),
        ("fe80::1%1", False),
        ("", False),
    ],
)
def test_host_names_and_addresses(name: str, accepted: bool) -> None:
    assert is_host(name) is accepted
