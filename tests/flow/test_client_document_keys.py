"""A client known by its metadata document signs with the keys that were consented to, whatever its document says now."""

import json
from contextlib import AsyncExitStack

import httpx2
import pytest

from tests.support.assertions import AssertionKey, KeyedClient, jwks, key_of
from tests.support.authorize import add_user, browser_of
from tests.support.browser import Browser
from tests.support.issuers import https_issuer
from tests.support.oauth import Pkce
from tests.support.outside import assert_error, opens
from tests.support.publisher import HOSTED, URL, Page, Publisher
from tests.support.server import Running

OLD, NEW = key_of("client"), key_of("thief")


def publish(publisher: Publisher, key: AssertionKey) -> None:
    """Publish the document with one key."""
    publisher.publish(token_endpoint_auth_method="private_key_jwt", jwks=jwks(key))


@pytest.fixture
def app(server: Running, publisher: Publisher, closing: AsyncExitStack) -> KeyedClient:
    """The client with its first key."""
    publish(publisher, OLD)
    client = KeyedClient(server, URL, OLD, HOSTED)
    closing.push_async_callback(client.close)
    return client


@pytest.fixture
def thief(server: Running, closing: AsyncExitStack) -> KeyedClient:
    """Whoever publishes the document now, with another key."""
    client = KeyedClient(server, URL, NEW, HOSTED)
    closing.push_async_callback(client.close)
    return client


@pytest.mark.requirement("AS-01", "AS-07", "AS-08", "attack-42")
async def test_document_with_keys_makes_a_client_that_authenticates(
    browser: Browser, app: KeyedClient, thief: KeyedClient, publisher: Publisher
) -> None:
    pkce = Pkce.new()
    code = await app.code(browser, pkce)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": HOSTED, "code_verifier": pkce.verifier}
    for unsigned in ({"client_id": URL}, {"client_id": URL, "client_secret": "x"}):
        assert_error(await app.http.post("/oauth/token", data=form | unsigned), 401, "invalid_client")
    assert_error(await thief.redeem(code, pkce), 401, "invalid_client")
    tokens = await app.redeem(code, pkce)
    assert tokens.status_code == 200, tokens.text
    refreshed = await app.refresh(tokens.json()["refresh_token"])
    assert refreshed.status_code == 200, refreshed.text
    # The token endpoint goes by what was consented to, and asks nobody.
    assert publisher.asked == {URL: 1}
    own = await app.own_token()
    assert_error(own, 400, "unauthorized_client")  # nobody consented to that, and the operator never granted it


@pytest.mark.requirement("attack-60", "attack-42")
async def test_changed_keys_open_new_grants_alone(
    server: Running,
    browser: Browser,
    app: KeyedClient,
    thief: KeyedClient,
    publisher: Publisher,
    closing: AsyncExitStack,
) -> None:
    tokens = await app.tokens(browser)
    publish(publisher, NEW)
    server.clock.advance(301)
    await add_user(server)
    theirs, pkce = browser_of(closing, server), Pkce.new()
    code = await thief.code(theirs, pkce)
    own = await thief.tokens(theirs)
    old = tokens["refresh_token"]
    # Neither their own code nor their own token beside it lets them sign for a grant of before.
    for extra in ({}, {"code": code}, {"token": own["refresh_token"]}):
        assert_error(await thief.refresh(old, **extra), 400, "invalid_grant")
    for endpoint in ("revoke", "introspect"):
        for extra in ({}, {"refresh_token": own["refresh_token"]}, {"code": code}):
            reply = await thief.http.post(f"/oauth/{endpoint}", data=thief.signed(token=old, **extra))
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client"), endpoint
    assert await opens(server, tokens["access_token"]) == (200, 200)
    assert_error(await app.refresh(own["refresh_token"]), 401, "invalid_client")
    assert_error(await app.redeem(code, pkce), 401, "invalid_client")
    # The key of before is withdrawn, so it opens nothing any more either.
    assert_error(await app.refresh(old), 400, "invalid_grant")
    assert (await thief.refresh(own["refresh_token"])).status_code == 200
    assert (await thief.redeem(code, pkce)).status_code == 200


@pytest.mark.requirement("attack-60", "attack-42")
async def test_an_access_token_too_is_judged_by_the_keys_of_its_grant(
    server: Running,
    browser: Browser,
    app: KeyedClient,
    thief: KeyedClient,
    publisher: Publisher,
    closing: AsyncExitStack,
) -> None:
    async def ask(client: KeyedClient, endpoint: str, token: str) -> httpx2.Response:
        return await client.http.post(f"/oauth/{endpoint}", data=client.signed(token=token))

    old = (await app.tokens(browser))["access_token"]
    publish(publisher, NEW)
    server.clock.advance(301)
    new = (await thief.tokens(browser))["access_token"]
    for endpoint in ("introspect", "revoke"):
        for client, token in ((thief, old), (app, new)):
            reply = await ask(client, endpoint, token)
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client"), endpoint
    assert [await opens(server, token) for token in (old, new)] == [(200, 200)] * 2
    # Another client's token says nothing about the one that asks: it signs with its own keys, and is told nothing.
    url = publisher.publish(
        "https://other.example/client.json", token_endpoint_auth_method="private_key_jwt", jwks=jwks(NEW)
    )
    other = KeyedClient(server, url, NEW, HOSTED)
    closing.push_async_callback(other.close)
    await other.tokens(browser)
    for held in (old, new):
        assert (await ask(other, "introspect", held)).json() == {"active": False}
    assert (await ask(app, "introspect", old)).status_code == 401  # the key was withdrawn
    publisher.publish(token_endpoint_auth_method="private_key_jwt", jwks=jwks(NEW, OLD))
    server.clock.advance(301)
    for client, token in ((app, old), (thief, new)):
        assert (await ask(client, "introspect", token)).json()["active"]
        assert (await ask(client, "revoke", token)).status_code == 200
        assert await opens(server, token) == (401, 401)
    # What is no live token of the client belongs to no grant: whoever the client is now may ask, and learns nothing.
    for dead in (old, "a.b.c", "unknown"):
        assert (await ask(thief, "introspect", dead)).json() == {"active": False}


@pytest.mark.requirement("attack-60", "attack-24")
@https_issuer
async def test_changed_keys_ask_the_person_again(
    server: Running, browser: Browser, app: KeyedClient, publisher: Publisher
) -> None:
    await app.tokens(browser)
    assert (await browser.http.get(app.url(Pkce.new()))).status_code == 302
    publish(publisher, NEW)
    server.clock.advance(301)
    page = await browser.http.get(app.url(Pkce.new()))
    assert page.status_code == 200
    assert "Allow access?" in page.text


@pytest.mark.requirement("attack-59", "attack-60")
async def test_keys_behind_a_published_address_rotate_and_the_address_does_not(
    server: Running, browser: Browser, app: KeyedClient, thief: KeyedClient, publisher: Publisher
) -> None:
    here, there = "https://editor.example/jwks.json", "https://thief.example/jwks.json"
    publisher.publish(token_endpoint_auth_method="private_key_jwt", jwks_uri=here)
    for url, key in ((here, OLD), (there, NEW)):
        publisher.pages[url] = Page(json.dumps(jwks(key)).encode())
    tokens = await app.tokens(browser)
    app.key = key_of("next")
    publisher.pages[here] = Page(json.dumps(jwks(app.key)).encode())
    server.clock.advance(61)
    reply = await app.refresh(tokens["refresh_token"])
    assert reply.status_code == 200, reply.text
    tokens = reply.json()
    publisher.publish(token_endpoint_auth_method="private_key_jwt", jwks_uri=there)
    server.clock.advance(301)
    await thief.tokens(browser)
    for client in (thief, app):  # one was never consented to, the other is withdrawn
        assert_error(await client.refresh(tokens["refresh_token"]), 400, "invalid_grant")


@pytest.mark.requirement("attack-42", "attack-60")
async def test_a_withdrawn_key_refreshes_no_grant_of_before(
    server: Running, browser: Browser, app: KeyedClient, publisher: Publisher
) -> None:
    tokens, pkce = await app.tokens(browser), Pkce.new()
    code = await app.code(browser, pkce)
    publish(publisher, NEW)
    server.clock.advance(301)
    for _ in range(2):
        assert_error(await app.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    assert_error(await app.redeem(code, pkce), 400, "invalid_grant")
    for endpoint in ("revoke", "introspect"):
        for held in (tokens["refresh_token"], tokens["access_token"]):
            reply = await app.http.post(f"/oauth/{endpoint}", data=app.signed(token=held))
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client"), endpoint
    # The key comes back, and nothing was used up.
    publish(publisher, OLD)
    server.clock.advance(301)
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.requirement("attack-42", "attack-60")
async def test_of_two_keys_the_one_that_stays_goes_on_and_an_added_one_does_not(
    server: Running, browser: Browser, app: KeyedClient, thief: KeyedClient, publisher: Publisher
) -> None:
    third = key_of("next")
    publisher.publish(token_endpoint_auth_method="private_key_jwt", jwks=jwks(OLD, third))
    tokens = await app.tokens(browser)
    publisher.publish(token_endpoint_auth_method="private_key_jwt", jwks=jwks(NEW, OLD))
    server.clock.advance(301)
    reply = await app.refresh(tokens["refresh_token"])
    assert reply.status_code == 200, reply.text
    token = reply.json()["refresh_token"]
    assert_error(await thief.refresh(token), 400, "invalid_grant")  # its own key, which nobody consented to
    app.key = third
    assert_error(await app.refresh(token), 400, "invalid_grant")
    app.key = key_of("a stranger")
    assert_error(await app.refresh(token), 401, "invalid_client")
    app.key = OLD
    assert (await app.refresh(token)).status_code == 200


@pytest.mark.requirement("attack-42", "attack-60")
async def test_a_document_that_is_gone_withdraws_its_keys_and_one_out_of_reach_is_waited_for(
    server: Running, browser: Browser, app: KeyedClient, publisher: Publisher
) -> None:
    token = (await app.tokens(browser))["refresh_token"]
    document = publisher.pages[URL]
    publisher.pages[URL] = Page(b"", status=404)
    server.clock.advance(301)
    assert_error(await app.refresh(token), 400, "invalid_grant")
    publisher.pages[URL] = Page(b"", status=503)
    server.clock.advance(301)
    assert_error(await app.refresh(token), 503, "temporarily_unavailable")
    publisher.pages[URL] = document
    server.clock.advance(301)
    assert (await app.refresh(token)).status_code == 200


@pytest.mark.requirement("attack-42", "attack-60", "attack-59")
async def test_a_key_behind_another_address_counts_only_where_it_is_in_both_sets(
    server: Running, browser: Browser, app: KeyedClient, thief: KeyedClient, publisher: Publisher
) -> None:
    here, there = "https://editor.example/jwks.json", "https://editor.example/keys.json"
    for url, keys in ((here, [OLD, key_of("next")]), (there, [OLD, NEW])):
        publisher.pages[url] = Page(json.dumps(jwks(*keys)).encode())
    publisher.publish(token_endpoint_auth_method="private_key_jwt", jwks_uri=here)
    token = (await app.tokens(browser))["refresh_token"]
    publisher.publish(token_endpoint_auth_method="private_key_jwt", jwks_uri=there)
    server.clock.advance(301)
    assert_error(await thief.refresh(token), 400, "invalid_grant")
    reply = await app.refresh(token)
    assert reply.status_code == 200, reply.text
    app.key = key_of("next")
    assert_error(await app.refresh(reply.json()["refresh_token"]), 400, "invalid_grant")
