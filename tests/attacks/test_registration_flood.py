"""A flood of registrations is bounded, and punishes nobody who registers what is registered already (RFC 7591 section 5)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from ipaddress import IPv6Address
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, insert

from oauth_server.core.limits import wider_sources
from oauth_server.core.registration import BOUNDS, BY_NETWORK, UNUSED_LIFETIME
from oauth_server.store.schema import clients
from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.oauth import CALLBACK, OAuthClient
from tests.support.outside import assert_error, rows
from tests.support.registration import initial_token, register
from tests.support.server import Running
from tests.support.stored import client as stored_client


@pytest.fixture
async def proxied(make_server: MakeServer) -> AsyncIterator[Running]:
    """A server behind a proxy that says where callers are."""
    async with make_server(MCP_OAUTH_TRUSTED_PROXIES="127.0.0.1") as found:
        yield found


@pytest.fixture
async def app(proxied: Running) -> AsyncIterator[OAuthClient]:
    found = OAuthClient(proxied)
    yield found
    await found.close()


async def from_address(app: OAuthClient, address: str, name: str, **metadata: Any) -> httpx2.Response:
    """A registration as the proxy hands it on."""
    body = {"redirect_uris": [CALLBACK], "client_name": name, **metadata}
    return await app.http.post("/oauth/register", json=body, headers={"X-Forwarded-For": address})


async def fill(server: Running, number: int, **fields: Any) -> None:
    """Store clients that were registered by anybody just now, without asking for each."""
    now = server.clock()
    values = {"created_at": now, "unused_until": now + UNUSED_LIFETIME, **fields}

    def filled(connection: Connection) -> None:
        made = (stored_client(f"filled-{n}", **values) for n in range(number))
        connection.execute(insert(clients), [asdict(one) for one in made])

    await server.services.store.write(filled)


def assert_too_many(reply: httpx2.Response, retry_after: int) -> None:
    assert_error(reply, 429, "temporarily_unavailable")
    assert reply.headers["retry-after"] == str(retry_after)


@pytest.mark.requirement("attack-51")
async def test_one_address_registers_so_many_new_clients_in_an_hour_and_others_go_on(
    proxied: Running, app: OAuthClient
) -> None:
    flood = (from_address(app, "192.0.2.7", f"n{n}") for n in range(BOUNDS.from_source + 5))
    statuses = [(await reply).status_code for reply in flood]
    assert statuses == [201] * BOUNDS.from_source + [429] * 5
    before = rows(proxied)
    for method in ("none", "client_secret_basic"):
        reply = await from_address(app, "192.0.2.7", "one more", token_endpoint_auth_method=method)
        assert_too_many(reply, 36)
        assert reply.headers["ratelimit-policy"] == '"registrations";q=100;w=3600'
        assert reply.headers["ratelimit"] == '"registrations";r=0;t=36'
    assert rows(proxied) == before
    # What is registered already is answered whoever asks: a hosted connector asks for many people.
    assert (await from_address(app, "192.0.2.7", "n7")).status_code == 201
    assert (await from_address(app, "198.51.100.9", "n7")).json() == (await from_address(app, "192.0.2.7", "n7")).json()
    assert rows(proxied) == before
    assert (await from_address(app, "198.51.100.9", "one more")).status_code == 201
    assert (await from_address(app, "::ffff:192.0.2.7", "mapped")).status_code == 429
    proxied.clock.advance(35)
    assert_too_many(await from_address(app, "192.0.2.7", "still"), 1)
    proxied.clock.advance(1)
    assert (await from_address(app, "192.0.2.7", "again")).status_code == 201
    assert_too_many(await from_address(app, "192.0.2.7", "too soon"), 36)
    proxied.clock.advance(3600)
    statuses = [(await from_address(app, "192.0.2.7", f"h{n}")).status_code for n in range(BOUNDS.from_source + 1)]
    assert statuses == [201] * BOUNDS.from_source + [429]


@pytest.mark.requirement("attack-51")
async def test_an_ipv6_network_counts_as_one_address(proxied: Running, app: OAuthClient) -> None:
    for n in range(BOUNDS.from_source):
        assert (await from_address(app, f"2001:db8:1:2::{n:x}", f"n{n}")).status_code == 201
    assert_too_many(await from_address(app, "2001:db8:1:2::77", "n"), 36)
    assert_too_many(await from_address(app, "2001:db8:1:2:ffff:ffff:ffff:ffff", "n"), 36)
    assert (await from_address(app, "2001:db8:1:3::77", "n")).status_code == 201


@pytest.mark.requirement("attack-51")
async def test_unused_clients_have_a_ceiling_that_used_ones_and_the_operators_do_not_reach(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    used = await OAuthClient.register(server, client_name="used")
    await used.tokens(browser)
    server.clock.advance(600)
    await fill(server, BOUNDS.unused - 1)
    last = await register(client, client_name="last")
    assert last.status_code == 201
    before = rows(server)
    server.clock.advance(400)
    assert_too_many(await register(client, client_name="one more"), UNUSED_LIFETIME - 400)
    assert rows(server) == before
    assert (await register(client, client_name="last")).json()["client_id"] == last.json()["client_id"]
    assert (await register(client, client_name="used")).json()["client_id"] == used.client_id
    assert (await register(client, await initial_token(server), client_name="one more")).status_code == 201
    server.clock.advance(UNUSED_LIFETIME - 400)
    assert (await register(client, client_name="one more")).status_code == 201
    await used.close()


@pytest.mark.requirement("attack-51")
async def test_many_at_once_cannot_pass_the_bound_together(proxied: Running, app: OAuthClient) -> None:
    number = BOUNDS.from_source
    replies = await asyncio.gather(*(from_address(app, "192.0.2.7", f"n{n}") for n in range(number + 17)))
    assert sorted(reply.status_code for reply in replies) == [201] * number + [429] * 17


@pytest.mark.requirement("attack-26", "attack-51")
async def test_deleting_what_was_registered_gives_no_room_for_more(proxied: Running, app: OAuthClient) -> None:
    for n in range(BOUNDS.from_source):
        made = await from_address(app, "192.0.2.7", f"n{n}", token_endpoint_auth_method="client_secret_basic")
        headers = {"Authorization": f"Bearer {made.json()['registration_access_token']}"}
        assert (await app.http.delete(made.json()["registration_client_uri"], headers=headers)).status_code == 204
    reply = await from_address(app, "192.0.2.7", "more", token_endpoint_auth_method="client_secret_basic")
    assert_too_many(reply, 36)


@pytest.mark.requirement("attack-51", "attack-40")
async def test_a_registration_is_at_most_16_kib(server: Running, client: OAuthClient) -> None:
    before = rows(server)
    largest = b'{"redirect_uris": ["http://localhost/cb"], "unheard_of": "' + b"x" * (16 * 1024 - 60) + b'"}'
    headers = {"Content-Type": "application/json"}
    assert len(largest) == 16 * 1024
    for body in (largest + b" ", b"x" * 10_000_000):
        reply = await client.http.post("/oauth/register", content=body, headers=headers)
        assert_error(reply, 413, "invalid_request")
        assert "16 KiB" in reply.json()["error_description"]

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 1024

    assert (await client.http.post("/oauth/register", content=chunks(), headers=headers)).status_code == 413
    assert rows(server) == before
    assert (await client.http.post("/oauth/register", content=largest, headers=headers)).status_code == 201


@pytest.mark.requirement("attack-51")
@pytest.mark.parametrize(("policy", "step"), [(0, 1), (1, 256)], ids=["/56", "/48"])
async def test_a_network_of_many_addresses_registers_no_more_than_its_bound(
    proxied: Running, app: OAuthClient, policy: int, step: int
) -> None:
    """Each request from another /64: of one /56, or each of another /56 of one /48."""
    bound = BY_NETWORK[policy]

    def address(number: int) -> str:
        return str(IPv6Address((0x2001_0DB8_0007 << 80) + (number * step << 64) + 1))

    for number in range(bound.quota):
        reply = await from_address(app, address(number % 200), f"n{number}")
        assert reply.status_code == 201, (number, reply.text)
    before = len(rows(proxied)["clients"])
    for number in (0, 7, 199, 201):
        reply = await from_address(app, address(number), f"more {number}")
        assert reply.status_code == 429
        assert reply.headers["ratelimit-policy"] == f'"{bound.name}";q={bound.quota};w=3600'
    assert len(rows(proxied)["clients"]) == before
    for elsewhere in ("2001:db8:8::1", "198.51.100.9"):
        assert (await from_address(app, elsewhere, f"of {elsewhere}")).status_code == 201
    # What is registered already is answered to every address; there is room again as the bucket empties.
    assert (await from_address(app, address(201), "n7")).status_code == 201
    proxied.clock.advance(bound.interval)
    assert (await from_address(app, address(201), "later")).status_code == 201


def test_networks_are_those_around_an_ipv6_address() -> None:
    assert wider_sources("2001:db8:7:1ff::9") == ("2001:db8:7:100::/56", "2001:db8:7::/48")
    for address in ("192.0.2.7", "::ffff:192.0.2.7", "local", "unknown", ""):
        assert wider_sources(address) == ()
