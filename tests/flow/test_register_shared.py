"""Public clients that register the same are one client, which nobody can change, and which ends when nobody uses it."""

from contextlib import AsyncExitStack

import pytest

from oauth_server.core.errors import OAuthError
from tests.support.authorize import refused
from tests.support.browser import Browser
from tests.support.databases import both_engines
from tests.support.mcp_http import client_ids
from tests.support.oauth import CALLBACK, OAuthClient, Pkce
from tests.support.outside import assert_error, audited, opens, rows
from tests.support.registration import assert_challenged, client_of, made, operator, public_jwk, register
from tests.support.server import Running

pytestmark = both_engines

OTHER = "https://app.example/cb"
DAY = 24 * 3600
EDITOR = {"client_name": "Editor", "redirect_uris": [CALLBACK, OTHER], "scope": "mcp:read openid"}


def connected(closing: AsyncExitStack, server: Running, reply: dict[str, object]) -> OAuthClient:
    client = client_of(server, reply)
    closing.push_async_callback(client.close)
    return client


@pytest.mark.requirement("attack-51", "AS-21")
async def test_identical_public_registrations_are_answered_alike_and_stored_once(
    server: Running, client: OAuthClient
) -> None:
    first = await made(client, **EDITOR)
    before = rows(server)
    server.clock.advance(60)
    again = await register(
        client,
        software_id=None,
        unheard_of=1,
        scope="openid mcp:read",
        redirect_uris=[OTHER, CALLBACK, OTHER],
        client_name="Editor",
        token_endpoint_auth_method="none",
    )
    assert again.status_code == 201
    assert again.headers["cache-control"] == "no-store"
    assert again.json() == first
    assert rows(server) == before


@pytest.mark.requirement("attack-51")
@pytest.mark.parametrize(
    "metadata",
    [
        {"client_name": "editor"},
        {"client_name": None},
        {"redirect_uris": [CALLBACK]},
        {"redirect_uris": [CALLBACK, OTHER, "https://app.example/cb2"]},
        {"scope": "mcp:read"},
        {"grant_types": ["authorization_code"]},
        {"logo_uri": "https://app.example/logo.png"},
        {"software_version": "2"},
    ],
    ids=str,
)
async def test_a_registration_that_says_anything_else_is_another_client(
    client: OAuthClient, metadata: dict[str, object]
) -> None:
    first = await made(client, **EDITOR)
    assert (await made(client, **{**EDITOR, **metadata}))["client_id"] != first["client_id"]
    assert (await made(client, **EDITOR))["client_id"] == first["client_id"]


@pytest.mark.requirement("attack-51", "attack-54")
async def test_a_shared_client_is_connected_twice_apart_and_nobody_can_manage_it(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    shared = await made(client)
    assert not {"registration_access_token", "registration_client_uri", "client_secret"} & set(shared)
    one, two = [connected(closing, server, await made(client)) for _ in range(2)]
    assert one.client_id == two.client_id
    tokens = [await app.tokens(browser) for app in (one, two)]
    await one.http.post("/oauth/revoke", data={"token": tokens[0]["refresh_token"], "client_id": one.client_id})
    assert await opens(server, tokens[0]["access_token"]) == (401, 401)
    assert await opens(server, tokens[1]["access_token"]) == (200, 200)
    before = rows(server)
    for method in ("GET", "PUT", "DELETE"):
        for token in (tokens[1]["access_token"], "x" * 43):
            reply = await client.http.request(
                method, f"/oauth/register/{shared['client_id']}", headers={"Authorization": f"Bearer {token}"}, json={}
            )
            assert_challenged(reply)
    assert rows(server) == before


@pytest.mark.requirement("attack-51")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_confidential_clients_are_never_shared(client: OAuthClient, method: str) -> None:
    one, two = [await made(client, token_endpoint_auth_method=method) for _ in range(2)]
    for name in ("client_id", "client_secret", "registration_access_token"):
        assert one[name] != two[name]


@pytest.mark.requirement("attack-51")
async def test_clients_with_the_same_keys_are_never_shared(client: OAuthClient) -> None:
    keys = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [public_jwk()]}}
    one, two = [await made(client, **keys) for _ in range(2)]
    for name in ("client_id", "registration_access_token"):
        assert one[name] != two[name]
    assert not {"client_secret", "client_secret_expires_at"} & set(one)


@pytest.mark.requirement("attack-51")
async def test_a_client_that_nobody_used_is_unknown_after_a_day(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    app = connected(closing, server, await made(client))
    pkce = Pkce.new()
    await browser.sign_in(await browser.http.get(app.url(pkce)))
    server.clock.advance(DAY - 1)
    assert (await browser.http.get(app.url(pkce, prompt="login"))).status_code == 200
    server.clock.advance(1)
    page = await client.http.get(app.url(pkce))
    assert "not registered with this server; remove the connection in the application and add it again" in refused(page)
    reply = await app.redeem("code", pkce)
    assert_error(reply, 401, "invalid_client")
    assert reply.json()["error_description"] == "The client is unknown; register it again."
    assert app.client_id not in await client_ids(server)
    # It comes back by registering again, as another client: an id that has ended stays unknown.
    again = connected(closing, server, await made(client))
    assert again.client_id != app.client_id
    await again.tokens(browser)
    assert_error(await app.redeem("code", pkce), 401, "invalid_client")


@pytest.mark.requirement("attack-51")
async def test_a_client_that_was_used_once_stays(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    public = connected(closing, server, await made(client))
    secretive = connected(closing, server, await made(client, token_endpoint_auth_method="client_secret_basic"))
    unused = await made(client, client_name="unused", token_endpoint_auth_method="client_secret_basic")
    for app in (public, secretive):
        await app.tokens(browser)
    server.clock.advance(40 * DAY)
    assert (await made(client))["client_id"] == public.client_id
    for number in range(3):  # registrations take the ended rows away, and no others
        await made(client, client_name=f"later {number}")
    known = {row[0] for row in rows(server)["clients"]}
    assert {public.client_id, secretive.client_id, client.client_id} <= known
    assert unused["client_id"] not in known
    for app in (public, secretive):
        await app.tokens(browser)


@pytest.mark.requirement("attack-51")
async def test_whoever_registers_a_shared_client_late_has_time_to_use_it(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    first = await made(client)
    server.clock.advance(DAY - 1)
    late = connected(closing, server, await made(client))
    assert late.client_id == first["client_id"]
    server.clock.advance(DAY - 3600)
    await late.tokens(browser)


@pytest.mark.requirement("attack-51")
async def test_deleting_a_shared_client_ends_it_and_touches_nothing_of_its_successor(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    old = connected(closing, server, await made(client))
    ended = await old.tokens(browser)
    admin = operator(server)
    found = await admin.clients.find(old.client_id)
    assert found is not None
    assert await admin.delete_client(found) == 1
    await server.services.revoked.refresh()
    new = connected(closing, server, await made(client))
    assert new.client_id != old.client_id
    tokens = await new.tokens(browser)  # in the very second of the revocation
    assert await opens(server, tokens["access_token"]) == (200, 200)
    assert await opens(server, ended["access_token"]) == (401, 401)
    assert_error(await old.refresh(ended["refresh_token"]), 401, "invalid_client")
    theirs = [event[:3] for event in audited(server) if event[2] in {old.client_id, new.client_id}]
    assert [event for event in theirs if event[0].startswith("client.")] == [
        ("client.registered", "success", old.client_id),
        ("client.deleted", "success", old.client_id),
        ("client.registered", "success", new.client_id),
        ("client.authentication", "failure", old.client_id),
    ]


async def test_clients_of_the_operator_are_neither_shared_nor_ended(server: Running, client: OAuthClient) -> None:
    admin = operator(server)
    metadata = {"redirect_uris": [CALLBACK]}
    one, two = [await admin.registration.register(metadata, by_administrator=True) for _ in range(2)]
    assert len({one["client_id"], two["client_id"], (await made(client))["client_id"]}) == 3
    assert not {"registration_access_token", "registration_client_uri"} & set(one)
    secretive = await admin.registration.add({**metadata, "token_endpoint_auth_method": "client_secret_post"})
    assert "client_secret" in secretive
    assert "registration_access_token" not in secretive
    server.clock.advance(400 * DAY)
    await made(client, client_name="later")
    for added in (one, two, secretive):
        assert await admin.clients.find(added["client_id"]) is not None


@pytest.mark.requirement("attack-43", "attack-53")
async def test_the_operator_alone_gives_client_credentials_and_resources(server: Running) -> None:
    add = operator(server).registration.add
    service = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"}
    allowed = ("authorization_code", "refresh_token", "client_credentials")
    made_ = await add(service, grant_types=allowed, resources=["HTTPS://Files.Example:443/", "https://files.example/a"])
    assert (made_["grant_types"], made_["response_types"], made_["redirect_uris"]) == (["client_credentials"], [], [])
    stored = await server.services.clients.find(made_["client_id"])
    assert stored is not None
    assert stored.resources == ("https://files.example", "https://files.example/a")
    before = rows(server)
    for metadata, given in (
        (service, {}),
        ({**service, "token_endpoint_auth_method": "none"}, {"grant_types": allowed}),
        (service, {"grant_types": allowed, "resources": ["files.example"]}),
    ):
        with pytest.raises(OAuthError):
            await add(metadata, **given)
    assert rows(server) == before
