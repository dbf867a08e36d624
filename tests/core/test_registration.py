"""Registrations: which of them are the same, and what counts as one source."""

import random
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from oauth_server.core.capabilities import CLIENT_AUTH_METHODS, REGISTRABLE_GRANT_TYPES
from oauth_server.core.client_metadata import fingerprint, parse_client, registered_metadata
from oauth_server.core.limits import source_of
from oauth_server.core.settings import load
from oauth_server.store.records import Client

SETTINGS = load({})
HTTPS = ("https://a.example/cb", "https://b.example/cb")
URIS = ("http://localhost:3000/cb", "http://localhost:3001/cb", "http://127.0.0.1/cb", *HTTPS)
SCOPES = ("mcp:read", "mcp:write", "openid", "offline_access")
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)

METADATA = st.fixed_dictionaries(
    {"redirect_uris": st.lists(st.sampled_from(URIS), min_size=1, max_size=4)},
    optional={
        "client_name": TEXT,
        "scope": st.lists(st.sampled_from(SCOPES), max_size=4).map(" ".join),
        "grant_types": st.permutations(REGISTRABLE_GRANT_TYPES),
        "contacts": st.lists(TEXT, max_size=3),
        "client_uri": st.sampled_from(("https://a.example", "https://a.example/")),
        "logo_uri": st.just("https://a.example/logo.png"),
        "software_id": TEXT,
        "software_version": TEXT,
        "application_type": st.just("native"),
        "post_logout_redirect_uris": st.lists(st.sampled_from(HTTPS), max_size=2),
    },
)


def parse(metadata: dict[str, Any], client_id: str = "c", created_at: float = 0.0) -> Client:
    return parse_client(
        SETTINGS,
        metadata,
        client_id=client_id,
        created_at=created_at,
        source="registered",
        methods=CLIENT_AUTH_METHODS,
        grant_types=REGISTRABLE_GRANT_TYPES,
    )


def said(metadata: dict[str, Any]) -> dict[str, Any]:
    """What a registration says, as sets where the order says nothing."""
    document = registered_metadata(parse(metadata))
    document["scope"] = document.get("scope", "").split()
    return {name: frozenset(value) if isinstance(value, list) else value for name, value in document.items()}


@pytest.mark.requirement("attack-51")
@hypothesis.given(METADATA, st.randoms(use_true_random=False))
def test_a_registration_is_the_same_in_whatever_order_it_is_written(
    metadata: dict[str, Any], order: random.Random
) -> None:
    names = [*metadata, "unheard_of", "tos_uri"]
    order.shuffle(names)
    written: dict[str, Any] = {"unheard_of": {"a": 1}, "tos_uri": None, **metadata}
    again = {name: written[name] for name in names}
    for name, value in again.items():
        if isinstance(value, list):
            again[name] = order.sample(value, len(value))
    again["redirect_uris"] += again["redirect_uris"][:1]
    if "scope" in again:
        words = again["scope"].split()
        order.shuffle(words)
        again["scope"] = "  ".join([*words, "unheard-of"])
    assert fingerprint(parse(again, "d", 9.0)) == fingerprint(parse(metadata))


@pytest.mark.requirement("attack-51")
@hypothesis.given(METADATA, METADATA, st.booleans())
def test_registrations_have_one_fingerprint_exactly_when_they_say_the_same(
    one: dict[str, Any], other: dict[str, Any], near: bool
) -> None:
    if near and other:
        other = {**one, **dict(list(other.items())[-1:])}
    assert (fingerprint(parse(one)) == fingerprint(parse(other))) == (said(one) == said(other))


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
    ],
)
@pytest.mark.requirement("attack-51")
def test_a_source_is_an_ipv4_address_or_an_ipv6_network(address: str, source: str) -> None:
    assert source_of(address) == source
