"""A client that manages its own registration: read, replaced, deleted (RFC 7592)."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.authorize import refused
from tests.support.browser import Browser
from tests.support.issuers import https_issuer
from tests.support.oauth import CALLBACK, OAuthClient, Pkce
from tests.support.outside import assert_error, audited, opens, rows, stored
from tests.support.registration import as_sent, client_of, initial_token, made, managed, public_jwk
from tests.support.server import Running

HOSTED = "https://app.example/cb"
OWN = {"registration_client_uri", "registration_access_token"}


def connected(closing: AsyncExitStack, server: Running, reply: dict[str, Any]) -> OAuthClient:
    client = client_of(server, reply)
    closing.push_async_callback(client.close)
    return client


@pytest.mark.requirement("AS-21", "AS-35")
async def test_a_confidential_client_reads_what_it_registered_but_its_secret(
    server: Running, client: OAuthClient
) -> None:
    registered = await made(client, client_name="App", token_endpoint_auth_method="client_secret_basic")
    assert registered["registration_client_uri"] == f"{server.url}/oauth/register/{registered['client_id']}"
    assert registered["client_secret_expires_at"] == 0
    before = rows(server)
    reply = await managed(client, registered)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    # The secret is kept as a hash alone; the token is the one that was presented.
    assert reply.json() == {name: value for name, value in registered.items() if name != "client_secret"}
    assert rows(server) == before


@pytest.mark.requirement("AS-21")
async def test_a_public_client_has_a_configuration_only_with_an_initial_access_token(
    server: Running, client: OAuthClient
) -> None:
    assert not OWN & set(await made(client))
    token = await initial_token(server, 2)
    one, two = [await made(client, token) for _ in range(2)]
    assert one["client_id"] != two["client_id"]
    for registered in (one, two):
        assert (await managed(client, registered)).json() == registered


@pytest.mark.requirement("AS-21", "attack-54")
async def test_an_update_replaces_everything_and_the_token(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    registered = await made(
        client,
        client_name="App",
        token_endpoint_auth_method="client_secret_post",
        contacts=["ops@app.example"],
        client_uri="https://app.example",
        scope="mcp:read",
    )
    server.clock.advance(100)
    sent = as_sent(registered, client_name="App 2", contacts=None, client_uri=None, redirect_uris=[HOSTED], scope=None)
    reply = await managed(client, registered, "PUT", sent)
    assert reply.status_code == 200, reply.text
    updated = reply.json()
    assert updated.pop("registration_access_token") != registered["registration_access_token"]
    assert updated == {
        "client_id": registered["client_id"],
        "client_id_issued_at": registered["client_id_issued_at"],
        "client_secret_expires_at": 0,
        "registration_client_uri": registered["registration_client_uri"],
        "client_name": "App 2",
        "redirect_uris": [HOSTED],
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
    }
    assert audited(server)[-1][:3] == ("client.updated", "success", registered["client_id"])
    app = connected(closing, server, {**registered, **updated})  # the secret has not changed
    await app.tokens(browser)
    gone = connected(closing, server, registered)
    assert "redirect_uri" in refused(await browser.http.get(gone.url(Pkce.new())))


@pytest.mark.requirement("AS-21")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_that_takes_up_a_secret_gets_one_and_one_that_gives_it_up_loses_it(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack, method: str
) -> None:
    public = await made(client, await initial_token(server))
    reply = await managed(client, public, "PUT", as_sent(public, token_endpoint_auth_method=method))
    assert reply.status_code == 200, reply.text
    secretive = reply.json()
    assert len(secretive["client_secret"]) >= 43
    assert secretive["client_secret_expires_at"] == 0
    await connected(closing, server, secretive).tokens(browser)
    again = connected(closing, server, public)
    assert_error(await again.redeem("code", Pkce.new()), 401, "invalid_client")
    reply = await managed(client, secretive, "PUT", as_sent(secretive, token_endpoint_auth_method="none"))
    assert not {"client_secret", "client_secret_expires_at"} & set(reply.json())
    await again.tokens(browser)
    assert b"".join(row[2] or b"" for row in rows(server)["clients"]) == b""  # no secret's hash is left


@pytest.mark.requirement("AS-21")
async def test_a_client_that_changes_to_keys_of_its_own_has_no_secret_any_more(client: OAuthClient) -> None:
    registered = await made(client, token_endpoint_auth_method="client_secret_post")
    public = public_jwk()
    sent = as_sent(registered, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [public]})
    reply = await managed(client, registered, "PUT", sent)
    assert reply.status_code == 200, reply.text
    assert reply.json()["jwks"] == {"keys": [public]}
    assert not {"client_secret", "client_secret_expires_at"} & set(reply.json())
    assert reply.json().keys() >= OWN


@pytest.mark.requirement("AS-21", "attack-53")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": None}, "invalid_request"),
        ({"client_id": "mcp-docker-server-default"}, "invalid_request"),
        ({"client_id": 7}, "invalid_request"),
        ({"client_secret": "chosen-by-the-client"}, "invalid_request"),
        ({"client_secret": ["x"]}, "invalid_request"),
        ({"registration_access_token": "x"}, "invalid_request"),
        ({"registration_client_uri": "https://app.example"}, "invalid_request"),
        ({"client_secret_expires_at": 0}, "invalid_request"),
        ({"client_id_issued_at": 1}, "invalid_request"),
        ({"redirect_uris": None}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://app.example/cb"]}, "invalid_redirect_uri"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
        ({"scope": 1}, "invalid_client_metadata"),
        ({"software_statement": "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIn0.AAAA"}, "unapproved_software_statement"),
    ],
    ids=str,
)
async def test_an_update_that_cannot_be_honoured_changes_nothing(
    server: Running, client: OAuthClient, changes: dict[str, Any], error: str
) -> None:
    registered = await made(client, token_endpoint_auth_method="client_secret_basic")
    before = rows(server)
    assert_error(await managed(client, registered, "PUT", as_sent(registered, **changes)), 400, error)
    assert rows(server) == before
    assert (await managed(client, registered)).status_code == 200  # by the same token


@pytest.mark.requirement("attack-53")
async def test_an_update_gives_no_grant_that_a_registration_could_not(client: OAuthClient) -> None:
    registered = await made(client, token_endpoint_auth_method="client_secret_basic")
    sent = as_sent(registered, grant_types=["authorization_code", "client_credentials", "refresh_token"])
    reply = await managed(client, registered, "PUT", sent)
    assert reply.json()["grant_types"] == ["authorization_code", "refresh_token"]


@pytest.mark.requirement("attack-24", "AS-21")
@https_issuer
async def test_a_consent_is_asked_again_for_a_redirect_uri_that_was_away(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    registered = await made(client, token_endpoint_auth_method="client_secret_post", redirect_uris=[CALLBACK, HOSTED])
    app = connected(closing, server, registered)
    hosted = OAuthClient(server, app.client_id, HOSTED, app.secret, app.method)
    closing.push_async_callback(hosted.close)

    async def asks(one: OAuthClient) -> bool:
        return (await browser.http.get(one.url(Pkce.new()))).status_code == 200

    for one in (app, hosted):
        await one.tokens(browser)
        assert not await asks(one)
    for redirect_uris in ([HOSTED], [HOSTED, CALLBACK]):
        sent = as_sent(registered, redirect_uris=redirect_uris)
        registered |= (await managed(client, registered, "PUT", sent)).json()
    assert await asks(app)
    assert not await asks(hosted)


@pytest.mark.requirement("AS-21", "attack-54")
async def test_deleting_itself_ends_everything_of_a_client_at_once(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    registered = await made(client, token_endpoint_auth_method="client_secret_post")
    app = connected(closing, server, registered)
    tokens, pkce = await app.tokens(browser), Pkce.new()
    code = await app.code(browser, pkce)
    reply = await managed(client, registered, "DELETE")
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["cache-control"] == "no-store"
    assert await opens(server, tokens["access_token"]) == (401, 401)
    assert_error(await app.refresh(tokens["refresh_token"]), 401, "invalid_client")
    assert_error(await app.redeem(code, pkce), 401, "invalid_client")
    assert "not registered" in refused(await browser.http.get(app.url(pkce)))
    assert app.client_id not in {row[0] for row in rows(server)["clients"]}
    found = rows(server)
    assert found["grants"] == found["codes"] == found["consents"] == found["refresh_tokens"] == []
    assert [event[:2] for event in audited(server) if event[2] == app.client_id][-3:] == [
        ("client.deleted", "success"),
        ("client.authentication", "failure"),
        ("client.authentication", "failure"),
    ]


@pytest.mark.requirement("attack-51", "attack-40")
async def test_an_update_is_bounded_and_read_as_a_registration_is(server: Running, client: OAuthClient) -> None:
    registered = await made(client, token_endpoint_auth_method="client_secret_post")
    before = rows(server)
    big = as_sent(registered, unheard_of="x" * 16 * 1024)
    assert_error(await managed(client, registered, "PUT", big), 413, "invalid_request")
    assert_error(await managed(client, registered, "PUT", []), 400, "invalid_request")
    assert_error(await managed(client, registered, "POST", {}), 405, "invalid_request")
    assert rows(server) == before


@pytest.mark.requirement("attack-53", "AS-35")
async def test_a_registration_access_token_is_stored_as_a_hash_alone(server: Running, client: OAuthClient) -> None:
    registered = await made(client, token_endpoint_auth_method="client_secret_post")
    initial = await initial_token(server)
    kept = stored(server)
    for secret in (registered["registration_access_token"], registered["client_secret"], initial):
        assert len(secret) >= 43
        assert secret.encode() not in kept
