"""A registration is managed by its own registration access token alone (RFC 7592 section 2)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.browser import Browser
from tests.support.oauth import DEFAULT_CLIENT, OAuthClient
from tests.support.outside import bearer, rows
from tests.support.registration import as_sent, assert_challenged, initial_token, made, managed, operator
from tests.support.server import Running

SECRETIVE = {"token_endpoint_auth_method": "client_secret_basic"}
METHODS = ("GET", "PUT", "DELETE")


async def every_way(client: OAuthClient, place: str, token: str | None, body: Any = None) -> AsyncIterator[Any]:
    """The answers to a reading, an update and a deletion."""
    for method in METHODS:
        yield await client.http.request(method, place, headers={} if token is None else bearer(token), json=body or {})


@pytest.mark.requirement("attack-54")
async def test_another_clients_token_opens_nothing(server: Running, client: OAuthClient) -> None:
    mine, theirs = await made(client, **SECRETIVE), await made(client, await initial_token(server))
    before = rows(server)
    for one, other in ((mine, theirs), (theirs, mine)):
        token = other["registration_access_token"]
        async for reply in every_way(client, one["registration_client_uri"], token, as_sent(one)):
            assert_challenged(reply)
    assert rows(server) == before


@pytest.mark.requirement("attack-54")
async def test_no_other_credential_opens_a_configuration(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    mine = await made(client, **SECRETIVE)
    tokens = await client.tokens(browser, scope="mcp:read mcp:admin")
    before = rows(server)
    token = mine["registration_access_token"]
    wrong = [token[:-1], token + "x", token.swapcase(), mine["client_secret"], tokens["access_token"], "x" * 9000]
    for credential in wrong:
        async for reply in every_way(client, mine["registration_client_uri"], credential, as_sent(mine)):
            assert_challenged(reply)
    place = mine["registration_client_uri"]
    async for reply in every_way(client, place, None):
        assert_challenged(reply, error=False)
    for reply in (
        await client.http.get(place, params={"access_token": token}),
        await client.http.get(place, auth=(mine["client_id"], mine["client_secret"])),
    ):
        assert reply.status_code == 401
    assert rows(server) == before


@pytest.mark.requirement("attack-54")
async def test_an_update_ends_the_token_it_was_made_with(server: Running, client: OAuthClient) -> None:
    first = await made(client, **SECRETIVE)
    second = (await managed(client, first, "PUT", as_sent(first))).json()
    before = rows(server)
    for method in METHODS:
        assert_challenged(await managed(client, first, method, as_sent(first)))
    assert rows(server) == before
    third = (await managed(client, second, "PUT", as_sent(first))).json()
    assert (await managed(client, third)).status_code == 200
    assert len({found["registration_access_token"] for found in (first, second, third)}) == 3


@pytest.mark.requirement("attack-54")
async def test_nothing_opens_after_the_deletion_and_the_answer_does_not_tell(
    server: Running, client: OAuthClient
) -> None:
    mine, theirs = await made(client, **SECRETIVE), await made(client, **SECRETIVE)
    assert (await managed(client, mine, "DELETE")).status_code == 204
    answers = set()
    for method in METHODS:
        reply = await managed(client, mine, method, as_sent(mine))
        assert_challenged(reply)
        answers.add(reply.text)
        reply = await managed(client, theirs, method, as_sent(theirs), token=mine["registration_access_token"])
        assert_challenged(reply)
        answers.add(reply.text)
    assert len(answers) == 1  # whether a client of that id exists is not told
    assert (await managed(client, theirs)).status_code == 200


@pytest.mark.requirement("attack-54")
@pytest.mark.parametrize("name", [DEFAULT_CLIENT, "operators", "unknown", "%00", "%F0%9F%98%80", "x" * 3000])
async def test_clients_without_a_token_have_no_configuration(server: Running, client: OAuthClient, name: str) -> None:
    if name == "operators":
        metadata = {"redirect_uris": ["http://localhost/cb"], **SECRETIVE}
        name = (await operator(server).registration.add(metadata))["client_id"]
    before = rows(server)
    async for reply in every_way(client, f"/oauth/register/{name}", "x" * 43):
        assert_challenged(reply)
    assert rows(server) == before


@pytest.mark.requirement("attack-54", "attack-51")
async def test_a_client_that_ended_unused_has_no_configuration_any_more(server: Running, client: OAuthClient) -> None:
    mine = await made(client, **SECRETIVE)
    server.clock.advance(24 * 3600 - 1)
    assert (await managed(client, mine)).status_code == 200
    server.clock.advance(1)
    for method in METHODS:
        assert_challenged(await managed(client, mine, method, as_sent(mine)))
