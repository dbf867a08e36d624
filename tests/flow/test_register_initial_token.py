"""Initial access tokens: who holds one registers clients of their own, also where not everybody may (RFC 7591)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from oauth_server.core.settings_rules import RefusedError
from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.oauth import CALLBACK, OAuthClient
from tests.support.outside import audited, bearer, opens, rows
from tests.support.registration import (
    assert_challenged,
    client_of,
    initial_token,
    made,
    managed,
    operator,
    register,
)
from tests.support.server import Running

DAY = 24 * 3600


@pytest.fixture
async def closed(make_server: MakeServer) -> AsyncIterator[Running]:
    """A server at which not everybody may register."""
    async with make_server(MCP_OAUTH_DYNAMIC_REGISTRATION="false") as found:
        yield found


@pytest.fixture
async def app(closed: Running) -> AsyncIterator[OAuthClient]:
    """Somebody who wants to register there."""
    found = OAuthClient(closed)
    yield found
    await found.close()


@pytest.mark.requirement("AS-21", "AS-22")
async def test_a_token_registers_its_number_of_clients_where_registration_is_off(
    closed: Running, app: OAuthClient
) -> None:
    token = await initial_token(closed, 2)
    one, two = [await made(app, token) for _ in range(2)]
    assert one["client_id"] != two["client_id"]
    assert one["registration_access_token"] != two["registration_access_token"]
    before = rows(closed)
    assert_challenged(await register(app, token))
    assert rows(closed) == before
    browser, client = Browser(closed.url), client_of(closed, one)
    assert await opens(closed, (await client.tokens(browser))["access_token"]) == (200, 200)
    for registered in (one, two):
        assert (await managed(app, registered)).status_code == 200
    await browser.close()
    await client.close()


@pytest.mark.requirement("AS-21", "attack-53")
async def test_without_a_token_registration_is_refused_with_a_challenge_and_a_way_out(
    closed: Running, app: OAuthClient
) -> None:
    before = rows(closed)
    for metadata in ({}, {"redirect_uris": ["javascript:alert(1)"]}):
        reply = await register(app, **metadata)
        assert_challenged(reply, error=False)
        assert "ask the operator of this server for a client_id" in reply.json()["error_description"]
    assert rows(closed) == before


@pytest.mark.requirement("AS-21")
@pytest.mark.parametrize("token", ["x", "x" * 43, "a.b.c", "Bearer"])
async def test_a_wrong_token_is_refused_where_registration_is_off(
    closed: Running, app: OAuthClient, token: str
) -> None:
    await initial_token(closed)
    before = rows(closed)
    for metadata in ({}, {"redirect_uris": ["javascript:alert(1)"]}):
        assert_challenged(await register(app, token, **metadata))
    assert rows(closed) == before


@pytest.mark.requirement("AS-21")
@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "bearer",
        "Bearer x",
        "Bearer a b",
        "Bearer undefined",
        "Bearer null",
        f"Bearer {'x' * 43}",
        f"Bearer {'x' * 3000}",
        "Basic YTpi",
        "Basic",
        "DPoP x",
        "gibberish",
    ],
)
async def test_where_anybody_may_register_a_stale_header_changes_nothing(
    server: Running, client: OAuthClient, header: str
) -> None:
    await initial_token(server)
    headers = {"Authorization": header}

    async def answered(**metadata: Any) -> tuple[int, set[str]]:
        body = {"redirect_uris": [CALLBACK], **metadata}
        with_it = await client.http.post("/oauth/register", json=body, headers=headers)
        without = await client.http.post("/oauth/register", json=body)
        assert (with_it.status_code, set(with_it.json())) == (without.status_code, set(without.json()))
        assert with_it.json().get("error") == without.json().get("error")
        return with_it.status_code, set(with_it.json())

    for metadata in ({}, {"token_endpoint_auth_method": "client_secret_basic"}):
        assert (await answered(**metadata))[0] == 201
    assert (await answered(redirect_uris=["javascript:alert(1)"]))[0] == 400
    public = {"redirect_uris": [CALLBACK]}
    replies = [await client.http.post("/oauth/register", json=public, headers=h) for h in (headers, {})]
    assert len({reply.json()["client_id"] for reply in replies}) == 1  # shared, as without the header
    assert not [event for event in audited(server) if event[:2] == ("client.registered", "failure")]


@pytest.mark.requirement("AS-21")
async def test_tokens_that_were_issued_or_used_up_change_nothing_where_anybody_may_register(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    tokens = await client.tokens(browser, scope="mcp:read mcp:admin")
    registered = await made(client, token_endpoint_auth_method="client_secret_post")
    used_up = await initial_token(server)
    own = await made(client, used_up)
    assert "registration_access_token" in own
    stale = [tokens["access_token"], tokens["refresh_token"], registered["registration_access_token"], used_up]
    for token in (*stale, registered["client_secret"]):
        reply = await register(client, token)
        assert reply.status_code == 201, reply.text
        assert "registration_access_token" not in reply.json()
        assert reply.json()["client_id"] != own["client_id"]


@pytest.mark.requirement("AS-21")
async def test_of_many_at_once_with_the_last_use_all_register_where_anybody_may(
    server: Running, client: OAuthClient
) -> None:
    token = await initial_token(server)
    replies = await asyncio.gather(*(register(client, token) for _ in range(8)))
    assert {reply.status_code for reply in replies} == {201}
    assert sum("registration_access_token" in reply.json() for reply in replies) == 1


@pytest.mark.requirement("AS-21")
async def test_access_refresh_and_registration_tokens_are_no_initial_access_tokens(
    closed: Running, app: OAuthClient
) -> None:
    browser, known = Browser(closed.url), OAuthClient(closed)
    tokens = await known.tokens(browser, scope="mcp:read mcp:admin")
    registered = await made(app, await initial_token(closed), token_endpoint_auth_method="client_secret_post")
    before = rows(closed)
    wrong = [tokens["access_token"], tokens["refresh_token"], registered["registration_access_token"]]
    for token in (*wrong, registered["client_secret"]):
        assert_challenged(await register(app, token))
    assert rows(closed) == before
    initial = await initial_token(closed)
    assert await opens(closed, initial) == (401, 401)
    assert_challenged(await managed(app, registered, token=initial))
    await browser.close()
    await known.close()


@pytest.mark.requirement("AS-21")
async def test_a_token_ends_with_its_time(closed: Running, app: OAuthClient) -> None:
    token = await initial_token(closed, 5, 600)
    closed.clock.advance(599)
    await made(app, token)
    closed.clock.advance(1)
    assert_challenged(await register(app, token))


@pytest.mark.requirement("AS-21")
async def test_metadata_that_is_refused_uses_nothing_up(closed: Running, app: OAuthClient) -> None:
    token = await initial_token(closed)
    before = rows(closed)
    for metadata in ({"redirect_uris": []}, {"scope": 1}, {"software_statement": "x"}, {"grant_types": []}):
        assert (await register(app, token, **metadata)).status_code == 400
    assert rows(closed) == before
    await made(app, token)


@pytest.mark.requirement("attack-51")
async def test_of_many_at_once_the_last_use_registers_one(closed: Running, app: OAuthClient) -> None:
    token = await initial_token(closed)
    replies = await asyncio.gather(*(register(app, token) for _ in range(12)))
    assert sorted(reply.status_code for reply in replies) == [201] + [401] * 11
    assert len(rows(closed)["clients"]) == 2  # the pre-registered one, and this


@pytest.mark.requirement("attack-51")
async def test_a_client_of_a_token_counts_for_nobody_and_does_not_end_unused(
    server: Running, client: OAuthClient
) -> None:
    registered = await made(client, await initial_token(server))
    assert registered["client_id"] != (await made(client))["client_id"]  # nor is it shared
    server.clock.advance(400 * DAY)
    await made(client, client_name="later")
    assert (await managed(client, registered)).status_code == 200


async def test_another_scheme_is_no_initial_access_token(server: Running, client: OAuthClient) -> None:
    headers = {"Authorization": "Basic YTpi"}
    reply = await client.http.post("/oauth/register", json={"redirect_uris": [CALLBACK]}, headers=headers)
    assert reply.status_code == 201
    two = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    reply = await client.http.post("/oauth/register", json={"redirect_uris": [CALLBACK]}, headers=two)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


async def test_the_operator_makes_lists_and_deletes_tokens_and_each_is_recorded(
    closed: Running, app: OAuthClient
) -> None:
    tokens = operator(closed).initial_access_tokens
    text, made_token = await tokens.create(3, 3600)
    closed.clock.advance(1)
    other, _ = await tokens.create(1, 60)
    await made(app, text)
    listed = await tokens.listed()
    assert [(found.uses_left, found.expires_at - closed.clock()) for found in listed] == [(1, 60), (2, 3599)]
    assert listed[1].token_id == made_token.token_id
    assert await tokens.delete(made_token.token_id) is True
    assert await tokens.delete(made_token.token_id) is False
    assert_challenged(await register(app, text))
    await made(app, other)
    assert await tokens.listed() == []
    events = audited(closed)[-6:]
    assert [event[:2] for event in events] == [
        ("initial_access_token.created", "success"),
        ("initial_access_token.created", "success"),
        ("client.registered", "success"),
        ("initial_access_token.deleted", "success"),
        ("client.registered", "failure"),
        ("client.registered", "success"),
    ]
    assert made_token.token_id in events[2][3]
    assert not [event for event in events if text in event[3] or other in event[3]]


@pytest.mark.parametrize(("uses", "lifetime"), [(0, 3600), (-1, 3600), (10_001, 3600), (1, 59), (1, 31_536_001)])
async def test_numbers_out_of_range_are_refused(server: Running, uses: int, lifetime: int) -> None:
    before = rows(server)
    with pytest.raises(RefusedError):
        await operator(server).initial_access_tokens.create(uses, lifetime)
    assert rows(server) == before


@pytest.mark.requirement("attack-68", "AS-22")
async def test_a_closed_endpoint_is_not_advertised_and_still_answers_its_clients(
    closed: Running, app: OAuthClient
) -> None:
    registered = await made(app, await initial_token(closed))
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
        assert "registration_endpoint" not in (await app.http.get(path)).json()
    reply = await app.http.get(
        f"/oauth/register/{registered['client_id']}",
        headers={**bearer(registered["registration_access_token"]), "Origin": closed.url},
    )
    assert reply.status_code == 200
    assert "access-control-allow-origin" not in reply.headers  # pages in browsers have no business there
