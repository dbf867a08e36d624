"""Guesses at the secret of a client are bounded, and do not keep the client itself out (RFC 6749 section 2.3.1)."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import httpx2
import pytest

from oauth_server.core.clients import secret_hash
from oauth_server.core.policies import CLIENT_ASSERTIONS, CLIENT_SECRETS
from oauth_server.core.refusals import FROM_SOURCE
from oauth_server.store.schema import clients
from tests.support.assertions import key_of, keyed, operators
from tests.support.oauth import OAuthClient
from tests.support.outside import logged
from tests.support.server import Running

GRANT = {"grant_type": "client_credentials"}
BY_ADDRESS, EVERYWHERE = CLIENT_SECRETS


def at(server: Running, closing: AsyncExitStack, address: str) -> httpx2.AsyncClient:
    """An HTTP client whose connections come from this loopback address."""
    http = httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}",
        headers={"Host": f"localhost:{server.port}"},
        transport=httpx2.AsyncHTTPTransport(local_address=address),
    )
    closing.push_async_callback(http.aclose)
    return http


async def guessed(
    http: httpx2.AsyncClient, client: OAuthClient, times: int, path: str = "/oauth/token"
) -> Counter[int]:
    """The statuses of wrong secrets, Basic and in the body in turns."""
    found: Counter[int] = Counter()
    for number in range(times):
        wrong = f"guess {number}"
        if client.method == "client_secret_basic":
            reply = await http.post(path, data={**GRANT, "token": "x"}, auth=(client.client_id, wrong))
        else:
            form = {**GRANT, "token": "x", "client_id": client.client_id, "client_secret": wrong}
            reply = await http.post(path, data=form)
        found[reply.status_code] += 1
    return found


async def own(http: httpx2.AsyncClient, client: OAuthClient) -> httpx2.Response:
    """The client's own request, with its right secret."""
    if client.method == "client_secret_basic":
        return await http.post("/oauth/token", data=GRANT, auth=(client.client_id, client.secret or ""))
    form = {**GRANT, "client_id": client.client_id, "client_secret": client.secret}
    return await http.post("/oauth/token", data=form)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect"])
async def test_guesses_at_one_client_are_bounded_by_address_at_every_endpoint(
    server: Running, closing: AsyncExitStack, method: str, path: str
) -> None:
    client, other = [await operators(closing, server, method=method) for _ in range(2)]
    guesser, home = at(server, closing, "127.0.0.7"), at(server, closing, "127.0.0.8")
    assert await guessed(guesser, client, BY_ADDRESS.quota, path) == {401: BY_ADDRESS.quota}
    assert await guessed(guesser, client, 5, path) == {429: 5}
    # The right secret is not looked at either, or its guesser would know it; at no endpoint.
    refused = await own(guesser, client)
    assert (refused.status_code, refused.json()["error"]) == (429, "temporarily_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["ratelimit-policy"].startswith('"client-secrets"')
    # Another client from there, and this one from elsewhere, are served.
    assert (await own(guesser, other)).status_code == 200
    assert (await own(home, client)).status_code == 200
    server.clock.advance(BY_ADDRESS.interval)
    assert (await own(guesser, client)).status_code == 200


async def test_guesses_at_once_are_bounded_too(server: Running, closing: AsyncExitStack) -> None:
    client = await operators(closing, server)
    guesser = at(server, closing, "127.0.0.7")
    await own(at(server, closing, "127.0.0.8"), client)  # it is in memory, and looked up for each wrong secret
    found = await asyncio.gather(*(guessed(guesser, client, 4) for _ in range(40)))
    assert sum(found, Counter()) == {401: BY_ADDRESS.quota, 429: 160 - BY_ADDRESS.quota}


async def test_guesses_from_many_addresses_are_bounded_and_keep_the_client_out_nowhere_it_is_known(
    server: Running, closing: AsyncExitStack
) -> None:
    client, other = [await operators(closing, server) for _ in range(2)]
    home = at(server, closing, "127.0.0.8")
    assert (await own(home, client)).status_code == 200
    each = BY_ADDRESS.quota // 2
    for number in range(EVERYWHERE.quota // each):
        assert await guessed(at(server, closing, f"127.0.1.{number + 1}"), client, each) == {401: each}
    fresh = at(server, closing, "127.0.2.1")
    refused = await fresh.post("/oauth/token", data=GRANT, auth=(client.client_id, "one more"))
    assert refused.status_code == 429
    assert refused.headers["ratelimit-policy"].startswith('"client-secrets-everywhere"')
    for _ in range(3):
        assert (await own(home, client)).status_code == 200
    assert (await own(fresh, other)).status_code == 200
    # Where the client is known it is held to the bound of its address, as everywhere.
    assert await guessed(home, client, BY_ADDRESS.quota) == {401: BY_ADDRESS.quota}
    assert (await own(home, client)).status_code == 429


async def test_a_guesser_that_changes_its_origin_is_bounded_by_its_address(
    server: Running, closing: AsyncExitStack
) -> None:
    client = await operators(closing, server)
    guesser, home = at(server, closing, "127.0.0.7"), at(server, closing, "127.0.0.8")
    found: Counter[int] = Counter()
    for number in range(12):
        guesser.headers["Origin"] = f"https://{number}.example"
        found += await guessed(guesser, client, BY_ADDRESS.quota)
    assert found == {401: BY_ADDRESS.quota, 429: 11 * BY_ADDRESS.quota}
    # A web page fills no bucket of its visitor's own programs, and one guesser keeps the client out nowhere else.
    del guesser.headers["Origin"]
    for http in (guesser, home):
        assert (await own(http, client)).status_code == 200


async def test_a_guesser_that_changes_its_origin_fills_no_more_of_the_audit_log(
    server: Running, closing: AsyncExitStack
) -> None:
    client = await operators(closing, server)
    guesser = at(server, closing, "127.0.0.7")
    for number in range(12):
        guesser.headers["Origin"] = f"https://{number}.example"
        await guessed(guesser, client, 4)
    assert len(logged(server, "client.authentication")) == FROM_SOURCE
    # So the guesses of another address are still recorded one by one.
    await guessed(at(server, closing, "127.0.0.8"), client, 1)
    assert len(logged(server, "client.authentication")) == FROM_SOURCE + 1


async def test_refused_guesses_are_recorded_within_the_bounds_of_refusals(
    server: Running, closing: AsyncExitStack
) -> None:
    client = await operators(closing, server)
    await guessed(client.http, client, BY_ADDRESS.quota + 10)
    events = logged(server, "client.authentication")
    assert [client_id for _, client_id, _, _ in events] == [client.client_id] * 10
    server.clock.advance(61)
    await guessed(client.http, client, 1)
    assert [d for *_, d in logged(server, "client.authentication")][10:] == [
        f"{BY_ADDRESS.quota} more within 61 s",
        "wrong client secret",
    ]


async def test_signatures_are_verified_within_a_bound_and_the_client_goes_on_elsewhere(
    server: Running, closing: AsyncExitStack
) -> None:
    client = await keyed(closing, server)
    stranger, most = key_of("stranger"), CLIENT_ASSERTIONS[0].quota
    forged = client.signed(client.assertion(sign=stranger.sign), **GRANT)
    guesser, home = at(server, closing, "127.0.0.7"), at(server, closing, "127.0.0.8")
    found = Counter([(await guesser.post("/oauth/token", data=forged)).status_code for _ in range(most + 5)])
    assert found == {401: most, 429: 5}
    assert (await home.post("/oauth/token", data=client.signed(**GRANT))).status_code == 200


async def test_a_secret_that_is_new_to_this_process_is_no_failure(server: Running, closing: AsyncExitStack) -> None:
    """Another process changed the registration a moment ago; the client comes with its new secret at once."""
    client = await operators(closing, server)
    for number in range(BY_ADDRESS.quota + 5):
        client.secret = f"secret number {number}"
        change = clients.update().values(secret_hash=secret_hash(client.secret))
        await server.services.store.write(lambda connection, change=change: connection.execute(change) and None)
        assert (await own(client.http, client)).status_code == 200
