"""Introspection tells those whom a token concerns what it is, and everybody else nothing (RFC 7662, RFC 9701)."""

from base64 import b64encode
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from oauth_server.store.verbs import clients
from tests.conftest import MakeServer
from tests.support.assertions import KeyedClient, operators, posted
from tests.support.browser import Browser
from tests.support.forging import compact, es256, good_claims, private_key
from tests.support.mcp_http import add_user, ask, challenge_of, token_for, user_id
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import assert_error, bearer, registered, rows
from tests.support.people import set_ceiling, set_disabled
from tests.support.server import OWNER, Running

PATH = "/oauth/introspect"
SIGNED = "application/token-introspection+jwt"
METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")
NOTHING = {"active": False}


@pytest.fixture
async def app(server: Running, closing: AsyncExitStack) -> OAuthClient:
    """A confidential client that people use."""
    return await registered(closing, server, token_endpoint_auth_method="client_secret_basic")


@pytest.fixture
async def api(server: Running, closing: AsyncExitStack) -> OAuthClient:
    """A resource server, to which the operator assigned the canonical resource."""
    return await operators(closing, server, resources=(server.url,))


async def introspect(client: OAuthClient, token: str, **form: Any) -> dict[str, Any]:
    """The answer to a client."""
    reply = await posted(client, PATH, token=token, **form)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert (reply.headers["cache-control"], reply.headers["pragma"]) == ("no-store", "no-cache")
    found: dict[str, Any] = reply.json()
    return found


async def administer(server: Running, token: str, by: str | None = None) -> dict[str, Any]:
    """The answer to somebody with mcp:admin."""
    async with server.client() as http:
        reply = await http.post(PATH, data={"token": token}, headers=bearer(by or await token_for(server, "mcp:admin")))
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


@pytest.mark.requirement("attack-72", "AS-01")
@pytest.mark.parametrize("method", METHODS)
async def test_a_client_is_told_all_about_its_own_access_token(
    server: Running, browser: Browser, closing: AsyncExitStack, method: str
) -> None:
    client = await operators(
        closing, server, method=method, grant_types=["authorization_code"], redirect_uris=["http://localhost/cb"]
    )
    tokens = await client.tokens(browser)
    before = rows(server)
    found = await introspect(client, tokens["access_token"])
    now = int(server.clock())
    assert found.pop("jti")
    assert found == {
        "active": True,
        "scope": "mcp:read mcp:write",
        "client_id": client.client_id,
        "token_type": "Bearer",
        "exp": now + 3600,
        "iat": now,
        "sub": await user_id(server),
        "aud": server.url,
        "iss": server.url,
    }
    assert {name for name, was in before.items() if rows(server)[name] != was} <= {"assertions"}


@pytest.mark.requirement("attack-72")
async def test_a_client_is_told_about_its_refresh_token_which_is_no_bearer_token(
    server: Running, browser: Browser, app: OAuthClient
) -> None:
    tokens = await app.tokens(browser, scope="mcp:read offline_access")
    now = int(server.clock())
    expected = {
        "active": True,
        "scope": "mcp:read offline_access",
        "client_id": app.client_id,
        "exp": now + 2_592_000,
        "iat": now,
        "sub": await user_id(server),
        "iss": server.url,
    }
    for hint in (
        {},
        {"token_type_hint": "refresh_token"},
        {"token_type_hint": "access_token"},
        {"token_type_hint": "x"},
    ):
        assert await introspect(app, tokens["refresh_token"], **hint) == expected, hint
        assert (await introspect(app, tokens["access_token"], **hint))["token_type"] == "Bearer", hint
    server.clock.advance(10)
    later = (await app.refresh(tokens["refresh_token"])).json()
    assert await introspect(app, tokens["refresh_token"]) == NOTHING
    assert await introspect(app, later["refresh_token"]) == expected | {"exp": now + 2_592_010, "iat": now + 10}


@pytest.mark.requirement("attack-72")
async def test_a_name_is_told_where_it_was_consented_to_or_to_an_administrator(
    server: Running, browser: Browser, app: OAuthClient, api: OAuthClient
) -> None:
    plain = await app.tokens(browser, scope="mcp:read")
    named = await app.tokens(browser, scope="mcp:read profile", prompt="consent")
    for tokens, told in ((plain, False), (named, True)):
        for kind in ("access_token", "refresh_token"):
            assert ((await introspect(app, tokens[kind])).get("username") == OWNER) is told
            assert (await administer(server, tokens[kind]))["username"] == OWNER
        # A resource server knows people by sub alone.
        seen = await introspect(api, tokens["access_token"])
        assert (seen["active"], seen["sub"]) == (True, await user_id(server))
        assert "username" not in seen


@pytest.mark.requirement("attack-72")
async def test_a_client_sees_its_own_tokens_and_those_for_its_resources_alone(
    make_server: MakeServer, closing: AsyncExitStack
) -> None:
    root, other = "https://mcp.example", "https://other.example/api"
    async with make_server(MCP_OAUTH_RESOURCE_URI=f"{root} {other}") as server:
        subject = await user_id(server)
        served = {
            names: await operators(closing, server, resources=names)
            for names in ((), (root,), (f"{root}/mcp",), (other,), ("HTTPS://MCP.example/", other))
        }
        for audience, seen_by in (
            ([root], [(root,), ("HTTPS://MCP.example/", other)]),
            ([f"{root}/mcp"], [(root,), (f"{root}/mcp",), ("HTTPS://MCP.example/", other)]),
            ([other], [(other,), ("HTTPS://MCP.example/", other)]),
        ):
            token = await token_for(server, "mcp:read", subject=subject, audience=audience)
            seen = [names for names, client in served.items() if (await introspect(client, token))["active"]]
            assert seen == seen_by, audience
            assert (await administer(server, token))["aud"] == audience[0]
        own = await token_for(server, "mcp:read", client_id=served[()].client_id, audience=[other])
        assert (await introspect(served[()], own))["active"] is True


@pytest.mark.requirement("attack-72")
async def test_an_assigned_resource_counts_under_every_name_it_has_and_only_while_it_is_served(
    server: Running, closing: AsyncExitStack
) -> None:
    token = await token_for(server, "mcp:read")
    for name, served in ((f"http://127.0.0.1:{server.port}", True), ("https://gone.example", False)):
        client = await operators(closing, server, resources=(name,))
        assert (await introspect(client, token))["active"] is served


@pytest.mark.requirement("attack-72")
async def test_another_clients_refresh_token_is_nobody_elses_business(
    server: Running, browser: Browser, app: OAuthClient, api: OAuthClient, closing: AsyncExitStack
) -> None:
    stranger = await registered(closing, server, token_endpoint_auth_method="client_secret_post")
    tokens = await app.tokens(browser)
    assert await introspect(stranger, tokens["access_token"]) == NOTHING
    assert (await introspect(api, tokens["access_token"]))["client_id"] == app.client_id
    for client in (stranger, api):
        for hint in ({}, {"token_type_hint": "refresh_token"}):
            assert await introspect(client, tokens["refresh_token"], **hint) == NOTHING
    assert (await administer(server, tokens["refresh_token"]))["active"] is True


@pytest.mark.requirement("attack-72", "attack-47", "attack-63")
async def test_what_is_no_live_token_is_inactive_and_not_a_word_more(
    server: Running, browser: Browser, app: OAuthClient
) -> None:
    pkce = Pkce.new()
    tokens = await app.tokens(browser, scope="mcp:read openid")
    code = await app.code(browser, pkce, scope="mcp:read openid")
    kid, key = await private_key(server, "access")
    header = {"alg": "ES256", "typ": "at+jwt", "kid": kid}
    subject = await user_id(server)

    def forged(**claims: Any) -> str:
        claims = {"client_id": app.client_id, **claims}
        return compact(header, good_claims(server, subject, **claims), es256(key))

    assert (await introspect(app, forged()))["active"] is True
    now = int(server.clock())
    garbage = [
        "x", "..", "a.b.c", "é" * 50, "\U0001f511", "x" * 20_000, "' OR 1=1 --", code, tokens["id_token"],
        tokens["access_token"][:-4] + "AAAA", tokens["refresh_token"] + "x", app.client_id, app.secret or "",
        forged(iss="https://evil.example"), forged(exp=now), forged(exp=...), forged(iat=now + 61),
        forged(client_id=...), compact({**header, "typ": "JWT"}, good_claims(server, subject), es256(key)),
    ]  # fmt: skip
    before = rows(server)
    for text in garbage:
        for hint in ({}, {"token_type_hint": "refresh_token"}, {"token_type_hint": "é"}):
            assert await introspect(app, text, **hint) == NOTHING, text
        assert await administer(server, text) == NOTHING, text
    assert rows(server) == before


@pytest.mark.requirement("attack-72", "attack-64")
@pytest.mark.parametrize("end", ["access token", "grant", "person", "ceiling", "client", "expiry", "family"])
async def test_a_token_that_ended_is_inactive_from_then_on(
    server: Running, browser: Browser, app: OAuthClient, end: str
) -> None:
    tokens = await app.tokens(browser)
    owner = await server.services.users.by_username(OWNER)
    known = await server.services.clients.find(app.client_id)
    assert owner is not None
    assert known is not None
    refresh_lives = False
    by = await token_for(server, "mcp:admin", subject=await add_user(server, "auditor", "mcp:admin"))
    if end == "access token":
        await posted(app, "/oauth/revoke", token=tokens["access_token"])
        refresh_lives = True
    elif end == "grant":
        await posted(app, "/oauth/revoke", token=tokens["refresh_token"])
    elif end == "person":
        await set_disabled(server, owner, True)
    elif end == "ceiling":
        await set_ceiling(server, owner)
    elif end == "client":
        assert await server.services.store.write(clients.remove, app.client_id, server.clock() + 9)
        await server.services.revoked.refresh()
    else:
        server.clock.advance(3600 if end == "expiry" else 2_592_000)
        by = await token_for(server, "mcp:admin")
        refresh_lives = end == "expiry"
    assert await administer(server, tokens["access_token"], by) == NOTHING
    assert (await administer(server, tokens["refresh_token"], by))["active"] is refresh_lives


@pytest.mark.requirement("attack-72")
async def test_a_lowered_ceiling_shows_in_the_scope_of_a_refresh_token(
    server: Running, browser: Browser, app: OAuthClient
) -> None:
    tokens = await app.tokens(browser, scope="mcp:read mcp:write")
    owner = await server.services.users.by_username(OWNER)
    assert owner is not None
    await set_ceiling(server, owner, "mcp:read")
    assert (await introspect(app, tokens["refresh_token"]))["scope"] == "mcp:read"


@pytest.mark.requirement("attack-72", "attack-38", "attack-61")
async def test_whoever_does_not_authenticate_gets_401_and_both_ways_to(
    server: Running, client: OAuthClient, app: OAuthClient
) -> None:
    token = await token_for(server, "mcp:read")
    before = rows(server)
    for form, headers in (
        ({}, {}),
        ({"client_id": client.client_id}, {}),  # a public client: anybody could say so
        ({"client_id": app.client_id}, {}),
        ({"client_id": app.client_id, "client_secret": app.secret}, {}),  # not its method
        ({"client_id": "unknown", "client_secret": "x"}, {}),
        ({}, {"Authorization": "Basic"}),
        ({}, {"Authorization": "Basic !!!"}),
        ({}, {"Authorization": "Basic " + b64encode(f"{app.client_id}:wrong".encode()).decode()}),
        ({}, {"Authorization": "Digest x"}),
        ({"client_assertion": "a.b.c", "client_assertion_type": "x"}, {}),
    ):
        reply = await client.http.post(PATH, data={"token": token, **form}, headers=headers)
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client"), (form, headers)
        assert reply.headers.get_list("www-authenticate") == [
            'Basic realm="introspection endpoint", charset="UTF-8"',
            'Bearer scope="mcp:admin"',
        ]
        assert reply.headers["cache-control"] == "no-store"
    assert rows(server) == before


@pytest.mark.requirement("attack-72", "attack-63", "RS-10", "RS-15")
async def test_a_bearer_token_must_be_good_for_this_server_and_hold_mcp_admin(
    make_server: MakeServer, closing: AsyncExitStack
) -> None:
    root, other = "https://mcp.example", "https://other.example/api"
    async with make_server(MCP_OAUTH_RESOURCE_URI=f"{root} {other}") as server, server.client() as http:
        token = await token_for(server, "mcp:read")

        async def asked(by: str) -> httpx2.Response:
            return await http.post(PATH, data={"token": token}, headers={"Authorization": f"Bearer {by}".strip()})

        for scope in (("mcp:read",), ("mcp:write", "mcp:read"), ("openid",)):
            reply = await asked(await token_for(server, *scope))
            found = challenge_of(reply)
            assert (reply.status_code, reply.json()["error"]) == (403, "insufficient_scope")
            assert (found["error"], found["scope"]) == ("insufficient_scope", "mcp:admin")
        stale = await token_for(server, "mcp:admin")
        server.clock.advance(3600)
        token = await token_for(server, "mcp:read")
        for wrong in (stale, await token_for(server, "mcp:admin", audience=[other]), "x", "", "a.b.c"):
            reply = await asked(wrong)
            found = challenge_of(reply)
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token"), wrong
            assert (found["error"], found["scope"]) == ("invalid_token", "mcp:admin")
        for audience in ([root], [f"{root}/mcp"]):
            assert (await asked(await token_for(server, "mcp:admin", audience=audience))).json()["active"] is True
        machine = await operators(closing, server, scope="mcp:admin")
        own = (await posted(machine, "/oauth/token", grant_type="client_credentials")).json()["access_token"]
        assert (await asked(own)).json()["active"] is True
        # A token's holder is asked for nothing else, and says nothing else.
        for extra in ({"client_secret": "x"}, {"client_assertion": "a.b.c"}, {"client_assertion_type": "x"}):
            form = {"token": token, **extra}
            reply = await http.post(PATH, data=form, headers={"Authorization": f"Bearer {own}"})
            assert_error(reply, 400, "invalid_request")


@pytest.mark.requirement("attack-6", "attack-40", "attack-41")
async def test_a_malformed_request_is_told_so(server: Running, app: OAuthClient) -> None:
    auth = (app.client_id, app.secret or "")
    for form in ({}, {"token": ""}, {"token": ["a", "b"]}, {"token": "a", "token_type_hint": ["x", "y"]}):
        assert_error(await app.http.post(PATH, data=form, auth=auth), 400, "invalid_request")
    reply = await app.http.post(PATH, json={"token": "x"}, auth=auth)
    assert_error(reply, 400, "invalid_request")
    assert_error(await app.http.post(PATH, params={"token": "x"}, auth=auth), 400, "invalid_request")
    both = {"client_id": app.client_id, "client_secret": app.secret}
    assert_error(await app.http.post(PATH, data=both | {"token": "x"}, auth=auth), 400, "invalid_request")
    for method in ("GET", "PUT", "DELETE"):
        reply = await app.http.request(method, PATH, params={"token": "x"}, auth=auth)
        assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


@pytest.mark.requirement("attack-68")
async def test_browsers_of_other_origins_are_not_invited(make_server: MakeServer) -> None:
    origin = "https://tool.example"
    async with make_server(MCP_OAUTH_ALLOW_ORIGINS=origin) as server, server.client() as http:
        for path, allowed in (("/oauth/revoke", origin), (PATH, None)):
            asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            reply = await http.options(path, headers=asking)
            assert reply.headers.get("access-control-allow-origin") == allowed
            reply = await http.post(path, data={"token": "x"}, headers={"Origin": origin})
            assert reply.headers.get("access-control-allow-origin") == allowed


@pytest.mark.requirement("attack-42", "attack-72")
async def test_the_callers_assertion_is_used_up_here_as_elsewhere(server: Running, closing: AsyncExitStack) -> None:
    machine = await operators(closing, server, method="private_key_jwt")
    assert isinstance(machine, KeyedClient)
    form = machine.signed(token="x")
    assert (await machine.http.post(PATH, data=form)).json() == NOTHING
    assert (await machine.http.post(PATH, data=form)).status_code == 401


async def signed(client: OAuthClient, token: str, accept: str = SIGNED) -> httpx2.Response:
    """Ask for the signed form."""
    return await client.http.post(
        PATH, data={"token": token}, auth=(client.client_id, client.secret or ""), headers={"Accept": accept}
    )


@pytest.mark.requirement("attack-72", "AS-02")
async def test_the_signed_answer_is_for_this_caller_and_verifies_with_the_published_keys(
    server: Running, app: OAuthClient, api: OAuthClient, browser: Browser
) -> None:
    metadata = (await app.http.get("/.well-known/oauth-authorization-server")).json()
    keys = KeySet.import_key_set((await app.http.get("/.well-known/jwks.json")).json())
    tokens = await app.tokens(browser)
    for client, token in ((app, tokens["access_token"]), (api, tokens["access_token"]), (api, "garbage")):
        plain = await introspect(client, token)
        reply = await signed(client, token)
        assert reply.status_code == 200
        assert reply.headers["content-type"] == SIGNED
        assert (reply.headers["cache-control"], reply.headers["pragma"]) == ("no-store", "no-cache")
        found = jwt.decode(reply.text, keys, algorithms=metadata["introspection_signing_alg_values_supported"])
        assert found.header["typ"] == "token-introspection+jwt"
        # Without sub and exp beside the answer it can pass for no other token (RFC 9701 sections 5 and 8.1).
        assert found.claims == {
            "iss": server.url,
            "aud": client.client_id,
            "iat": int(server.clock()),
            "token_introspection": plain,
        }
    administrator = await token_for(server, "mcp:admin")
    headers = {"Accept": SIGNED, **bearer(administrator)}
    reply = await app.http.post(PATH, data={"token": tokens["refresh_token"]}, headers=headers)
    found = jwt.decode(reply.text, keys, algorithms=["RS256"])
    assert found.claims["aud"] == "mcp-docker-server-default"
    assert found.claims["token_introspection"]["username"] == OWNER
    refused = await app.http.post(PATH, data={"token": "x"}, headers={"Accept": SIGNED})
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/json")


@pytest.mark.requirement("attack-72")
async def test_the_answer_is_signed_when_the_caller_prefers_it(server: Running, app: OAuthClient) -> None:
    for accept, is_signed in (
        (SIGNED, True),
        (SIGNED.upper(), True),
        (f"{SIGNED}, application/json", True),
        (f"application/json;q=0.5, {SIGNED};q=0.9", True),
        (f"{SIGNED};q=1.0;x=y", True),
        (f"application/json, {SIGNED};q=0.9", False),
        (f"{SIGNED};q=0", False),
        (f"{SIGNED};q=much", False),
        ("application/json", False),
        ("*/*", False),
        ("application/*", False),
        ("application/jwt", False),
        ("", False),
        (",;,;q=,", False),
    ):
        reply = await signed(app, "x", accept)
        assert reply.status_code == 200
        assert (reply.headers["content-type"] == SIGNED) is is_signed, accept
        assert is_signed or reply.json() == NOTHING


@pytest.mark.requirement("attack-47", "attack-62")
async def test_a_signed_answer_is_no_token_of_any_kind(server: Running, app: OAuthClient, browser: Browser) -> None:
    tokens = await app.tokens(browser, scope="mcp:read openid")
    answer = (await signed(app, tokens["access_token"])).text
    assert (await ask(app.http, "modern", "ping", token=answer)).status_code == 401
    for path in ("/oauth/test", "/oauth/userinfo"):
        assert (await app.http.get(path, headers=bearer(answer))).status_code == 401
    assert await introspect(app, answer) == NOTHING
    assert (await app.http.post(PATH, data={"token": "x"}, headers=bearer(answer))).status_code == 401
    assert_error(await app.refresh(answer), 400, "invalid_grant")
    assert await server.services.tokens.id_token_hint(answer) is None
    assert await server.services.tokens.id_token_hint(tokens["id_token"]) is not None
