"""Signing keys: a successor is known before it signs, and a key that is retired or rotated out opens nothing any more."""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest

from oauth_server.core.key_ring import TEND_SECONDS
from oauth_server.core.key_rotation import KeyRotation
from oauth_server.core.keys import PUBLISHED_BEFORE, VERIFIES_AFTER
from oauth_server.core.settings import load
from oauth_server.store.store import Store
from oauth_server.store.verbs import keys as verbs
from tests.conftest import MakeServer
from tests.support.forging import compact, es256, good_claims, private_key
from tests.support.mcp_http import ERAS, ask, challenge_of, token_for, user_id
from tests.support.server import Running
from well_known import jwks

HOUR, DAY = 3600, 86_400


@pytest.fixture
async def elsewhere(server: Running) -> AsyncIterator[KeyRotation]:
    """The keys as another process changes them: what it does reaches the server by the epoch alone."""
    store = await anyio.to_thread.run_sync(Store, server.location)
    server.clock.advance(HOUR)  # past the second in which the first keys were made
    yield KeyRotation(store, load({}), server.clock)
    await anyio.to_thread.run_sync(store.close)


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as found:
        yield found


async def published(http: httpx2.AsyncClient) -> set[str]:
    """The kids of the key set."""
    return {key["kid"] for key in (await http.get("/.well-known/jwks.json")).json()["keys"]}


async def within_a_second(check: Any) -> None:
    """What another process did is seen: polled every 500 ms, the rest is for a busy machine."""
    began = time.monotonic()
    with anyio.fail_after(5):
        while not await check():  # noqa: ASYNC110 - polled from outside
            await anyio.sleep(0.02)
    assert time.monotonic() - began < 1.5


async def statuses(http: httpx2.AsyncClient, token: str) -> set[int]:
    """What every protected endpoint answers, introspection's own rules aside."""
    replies = [await ask(http, era, "tools/list", token=token) for era in ERAS]
    replies += [
        await http.get(path, headers={"Authorization": f"Bearer {token}"})
        for path in ("/oauth/test", "/oauth/userinfo")
    ]
    for reply in replies:
        assert reply.status_code == 200 or challenge_of(reply)["error"] == "invalid_token"
    return {reply.status_code for reply in replies}


def kid_of(token: str) -> str:
    header = token.split(".", maxsplit=1)[0]
    return str(json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])


@pytest.mark.requirement("attack-64", "RS-13")
async def test_what_a_retired_key_signed_is_refused_everywhere_within_a_second(
    server: Running, http: httpx2.AsyncClient, elsewhere: KeyRotation
) -> None:
    token = await token_for(server, "mcp:read", "openid")
    old, private = await private_key(server, "access")
    assert await statuses(http, token) == {200}
    await elsewhere.rotate("access", at_once=True)
    assert await elsewhere.retire(old) == "retired"

    async def refused() -> bool:
        return (await ask(http, "modern", "ping", token=token)).status_code == 401

    await within_a_second(refused)
    assert await statuses(http, token) == {401}
    claims = good_claims(server, await user_id(server), scope="mcp:read openid")
    forged = compact({"alg": "ES256", "typ": "at+jwt", "kid": old}, claims, es256(private))
    assert await statuses(http, forged) == {401}
    assert old not in await published(http)
    new = await token_for(server, "mcp:read", "openid")
    assert kid_of(new) in await published(http)
    assert await statuses(http, new) == {200}


@pytest.mark.requirement("attack-64", "RS-13")
async def test_a_key_that_is_rotated_out_verifies_until_its_last_token_has_expired_and_opens_nothing_after(
    server: Running, http: httpx2.AsyncClient, elsewhere: KeyRotation
) -> None:
    old, private = await private_key(server, "access")
    successor, made = await elsewhere.rotate("access")
    assert made

    async def known() -> bool:
        return successor.kid in await published(http)

    await within_a_second(known)
    server.clock.advance(PUBLISHED_BEFORE - 1)
    last = await token_for(server, "mcp:read", "openid")
    assert kid_of(last) == old
    server.clock.advance(1)
    assert kid_of(await token_for(server, "mcp:read")) == successor.kid
    server.clock.advance(3500)
    assert await statuses(http, last) == {200}
    server.clock.advance(VERIFIES_AFTER - 3500 - 1)
    assert old in await published(http)
    server.clock.advance(1)
    assert await published(http) == {successor.kid, *(key.kid for key in await elsewhere.listed() if key.use == "id")}
    claims = good_claims(server, await user_id(server), scope="mcp:read openid")
    assert await statuses(http, compact({"alg": "ES256", "typ": "at+jwt", "kid": old}, claims, es256(private))) == {401}

    async def gone() -> bool:
        return old not in {key.kid for key in await server.services.store.read(verbs.listed)}

    with anyio.fail_after(5):
        while not await gone():  # noqa: ASYNC110 - polled from outside
            await anyio.sleep(0.02)


@pytest.mark.requirement("attack-64")
async def test_a_verified_token_does_not_outlive_the_key_that_is_rotated_out(
    make_server: MakeServer,
) -> None:
    async with make_server(MCP_OAUTH_TOKEN_EXPIRY=str(DAY)) as server, server.client() as http:
        kid, private = await private_key(server, "access")
        claims = good_claims(server, await user_id(server), scope="mcp:read openid", exp=int(server.clock()) + 9 * DAY)
        forever = compact({"alg": "ES256", "typ": "at+jwt", "kid": kid}, claims, es256(private))
        assert await statuses(http, forever) == {200}
        server.clock.advance(HOUR)
        rotation = KeyRotation(server.services.store, load({}), server.clock)
        await rotation.rotate("access", at_once=True)
        await server.services.revoked.refresh()
        server.clock.advance(VERIFIES_AFTER)
        assert await statuses(http, forever) == {401}


async def test_whoever_keeps_the_key_set_as_long_as_it_says_knows_a_key_before_it_signs(
    server: Running, http: httpx2.AsyncClient
) -> None:
    reply = await http.get("/.well-known/jwks.json")
    assert reply.headers["cache-control"] == f"public, max-age={jwks.MAX_AGE}"
    assert jwks.MAX_AGE + 2 * TEND_SECONDS < PUBLISHED_BEFORE
    tag = reply.headers["etag"]
    assert (await http.get("/.well-known/jwks.json", headers={"If-None-Match": tag})).status_code == 304
    await KeyRotation(server.services.store, load({}), server.clock).rotate("id")
    await server.services.revoked.refresh()
    assert (await http.get("/.well-known/jwks.json", headers={"If-None-Match": tag})).status_code == 200


@pytest.mark.parametrize("days", ["90", "1", "0"])
async def test_keys_are_rotated_by_age_unless_that_is_switched_off(make_server: MakeServer, days: str) -> None:
    async with make_server(MCP_OAUTH_KEY_ROTATION_DAYS=days) as server, server.client() as http:
        before = await published(http)
        server.clock.advance(float(days or 1) * DAY - HOUR)  # the keys are a little older or younger than the clock
        await anyio.sleep(1.5 * TEND_SECONDS)
        assert await published(http) == before
        server.clock.advance(5 * 365 * DAY if days == "0" else 2 * HOUR)
        with anyio.move_on_after(2 * TEND_SECONDS if days == "0" else 10):
            while len(await published(http)) < 4:  # noqa: ASYNC110 - polled from outside
                await anyio.sleep(0.05)
        assert len(await published(http)) == (2 if days == "0" else 4)
        if days != "0":
            assert kid_of(await token_for(server, "mcp:read")) in before
            server.clock.advance(PUBLISHED_BEFORE)
            assert kid_of(await token_for(server, "mcp:read")) not in before
