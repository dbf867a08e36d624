"""A client with the operator's leave gets tokens for itself: within its own scope, and never as a person."""

import json
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from oauth_server.core.administration import Administration
from oauth_server.core.errors import InvalidClientError
from oauth_server.store.records import User
from oauth_server.store.schema import clients
from oauth_server.store.verbs import users
from tests.conftest import MakeServer
from tests.support.assertions import operators, posted
from tests.support.mcp_http import ERAS, add_user, ask, call, challenge_of, read, result, token_for
from tests.support.oauth import DEFAULT_CLIENT, OAuthClient
from tests.support.outside import assert_error, audited, bearer, logged, opens, registered, rows
from tests.support.people import set_disabled
from tests.support.server import Running
from tests.support.stored import rows as stored

METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
async def machine(server: Running, closing: AsyncExitStack) -> OAuthClient:
    """A client that may write."""
    return await operators(closing, server, scope="mcp:read mcp:write")


async def own_token(client: OAuthClient, **form: Any) -> str:
    """A token of the client's own."""
    reply = await posted(client, "/oauth/token", **GRANT, **form)
    assert reply.status_code == 200, reply.text
    token: str = reply.json()["access_token"]
    return token


async def claims_of(http: httpx2.AsyncClient, token: str) -> dict[str, Any]:
    """What a token says, its signature verified with the published keys."""
    keys = KeySet.import_key_set((await http.get("/.well-known/jwks.json")).json())
    return dict(jwt.decode(token, keys, algorithms=["ES256"]).claims)


@pytest.mark.requirement("attack-43", "AS-01", "AS-26")
@pytest.mark.parametrize("method", METHODS)
async def test_a_client_gets_a_token_for_itself_and_nothing_to_refresh_it_with(
    server: Running, closing: AsyncExitStack, method: str
) -> None:
    client = await operators(closing, server, method=method)
    before = rows(server)
    reply = await posted(client, "/oauth/token", **GRANT)
    assert reply.status_code == 200, reply.text
    assert (reply.headers["cache-control"], reply.headers["pragma"]) == ("no-store", "no-cache")
    answer = reply.json()
    assert answer | {"access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "mcp:read",
    }
    claims = await claims_of(client.http, answer["access_token"])
    assert claims["sub"] == claims["client_id"] == client.client_id
    assert (claims["aud"], claims["scope"], claims["iss"]) == (server.url, "mcp:read", server.url)
    assert await opens(server, answer["access_token"]) == (200, 200)
    changed = {name for name, found in rows(server).items() if found != before[name]}
    assert changed - {"assertions"} == {"clients"}
    event, outcome, client_id, detail = audited(server)[-1]
    assert (event, outcome, client_id) == ("token.issued", "success", client.client_id)
    assert detail == f"to the client itself: mcp:read; grant {claims['grant_id']}"
    (row,) = [row for row in await server.services.store.read(stored, clients) if row["client_id"] == client.client_id]
    assert row["last_used_at"] == server.clock()


@pytest.mark.requirement("attack-43", "AS-39")
async def test_scope_is_what_was_asked_for_within_what_the_client_registered(
    server: Running, closing: AsyncExitStack
) -> None:
    for registered_scope, asked, granted in (
        (None, None, "mcp:read"),
        (None, "mcp:read", "mcp:read"),
        (None, "mcp:write", None),
        (None, "mcp:read mcp:write mcp:admin", "mcp:read"),
        ("mcp:write", None, "mcp:write"),
        ("mcp:write", "mcp:read", "mcp:read"),
        ("mcp:write", "mcp:write mcp:read", "mcp:write mcp:read"),
        ("mcp:write", "mcp:admin", None),
        ("mcp:admin", "mcp:admin", "mcp:admin"),
        ("mcp:admin", "mcp:write", "mcp:write"),
        ("mcp:read openid offline_access", None, "mcp:read"),
        ("mcp:read openid profile email", "openid mcp:read offline_access profile email", "mcp:read"),
        ("mcp:read openid", "openid", None),
        ("openid offline_access", None, None),
        ("mcp:read", "unknown", None),
        ("mcp:read", "unknown mcp:read", "mcp:read"),
        ("mcp:read", " ", None),
        ("mcp:read", 'mcp:read"', None),
        ("mcp:read", "MCP:READ", None),
    ):
        client = await operators(closing, server, **({"scope": registered_scope} if registered_scope else {}))
        before = rows(server)
        reply = await posted(client, "/oauth/token", **GRANT, **({"scope": asked} if asked is not None else {}))
        if granted is None:
            assert_error(reply, 400, "invalid_scope")
            assert rows(server) == before
            continue
        assert (reply.status_code, reply.json().get("scope")) == (200, granted), (registered_scope, asked)
        assert (await claims_of(client.http, reply.json()["access_token"]))["scope"] == granted


@pytest.mark.requirement("attack-43")
async def test_scope_is_bounded_by_what_the_server_grants_at_all(
    make_server: MakeServer, closing: AsyncExitStack
) -> None:
    async with make_server() as server:
        client = await operators(closing, server, scope="mcp:read mcp:admin")
    async with make_server(MCP_OAUTH_SCOPE="mcp:read") as server:
        later = OAuthClient(server, client.client_id, secret=client.secret, method=client.method)
        closing.push_async_callback(later.close)
        reply = await posted(later, "/oauth/token", **GRANT)
        assert reply.json()["scope"] == "mcp:read"
        assert_error(await posted(later, "/oauth/token", **GRANT, scope="mcp:admin"), 400, "invalid_scope")


@pytest.mark.requirement("AS-40", "RS-09", "attack-14", "attack-15")
async def test_token_is_for_the_resources_it_was_asked_for(make_server: MakeServer, closing: AsyncExitStack) -> None:
    other = "https://other.example/api"
    async with make_server(MCP_OAUTH_RESOURCE_URI=f"https://mcp.example {other}") as server:
        client = await operators(closing, server)
        for resources, audience in (
            ([], "https://mcp.example"),
            (["https://mcp.example"], "https://mcp.example"),
            (["HTTPS://MCP.example/"], "https://mcp.example"),
            (["https://mcp.example/mcp"], "https://mcp.example/mcp"),
            ([other], other),
        ):
            reply = await posted(client, "/oauth/token", **GRANT, resource=resources)
            assert (await claims_of(client.http, reply.json()["access_token"]))["aud"] == audience
        before = rows(server)
        for wrong in (
            ["https://evil.example"],
            [other, "https://mcp.example/mcp"],
            [other, "https://evil.example"],
            [f"{other}#x"],
            ["mcp"],
        ):
            reply = await posted(client, "/oauth/token", **GRANT, resource=wrong)
            assert_error(reply, 400, "invalid_target")
        assert rows(server) == before


@pytest.mark.requirement("attack-43", "AS-01")
async def test_without_the_operators_leave_no_client_gets_a_token_of_its_own(
    server: Running, closing: AsyncExitStack, client: OAuthClient
) -> None:
    found = [client, *[await registered(closing, server, token_endpoint_auth_method=method) for method in METHODS[:2]]]
    # Whoever registers may ask for it; the reply states what was registered.
    asking = await registered(
        closing,
        server,
        token_endpoint_auth_method="client_secret_basic",
        grant_types=["authorization_code", "client_credentials"],
    )
    granted = await server.services.clients.find(asking.client_id)
    assert granted is not None
    assert granted.grant_types == ("authorization_code",)
    found += [
        asking,
        await operators(closing, server, grant_types=["authorization_code"], redirect_uris=["http://localhost/cb"]),
    ]
    before = rows(server)
    for one in found:
        assert_error(await posted(one, "/oauth/token", **GRANT), 400, "unauthorized_client")
    body = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"}
    assert_error(await client.http.post("/oauth/register", json=body), 400, "invalid_client_metadata")
    assert rows(server) == before


@pytest.mark.requirement("attack-43")
async def test_the_preregistered_client_gets_none_either(make_server: MakeServer, closing: AsyncExitStack) -> None:
    async with make_server(MCP_OAUTH_CLIENT_SECRET="a secret of the operator") as server:
        client = OAuthClient(server, secret="a secret of the operator", method="client_secret_post")
        closing.push_async_callback(client.close)
        assert_error(await posted(client, "/oauth/token", **GRANT), 400, "unauthorized_client")


@pytest.mark.requirement("attack-43", "AS-01")
async def test_a_public_client_gets_none_even_if_it_had_the_grant(
    server: Running, closing: AsyncExitStack, machine: OAuthClient
) -> None:
    public = {"auth_method": "none", "secret_hash": None}
    await server.services.store.write(
        lambda c: c.execute(clients.update().where(clients.c.client_id == machine.client_id).values(**public))
    )
    reply = await machine.http.post("/oauth/token", data={**GRANT, "client_id": machine.client_id})
    assert_error(reply, 400, "unauthorized_client")


@pytest.mark.requirement("attack-43", "attack-38")
async def test_wrong_credentials_get_nothing(server: Running, machine: OAuthClient) -> None:
    before = rows(server)
    for auth in ((machine.client_id, "wrong"), (machine.client_id, ""), (DEFAULT_CLIENT, machine.secret or "")):
        assert_error(await machine.http.post("/oauth/token", data=GRANT, auth=auth), 401, "invalid_client")
    for form in (
        {},
        {"client_id": machine.client_id},
        {"client_id": machine.client_id, "client_secret": machine.secret},
    ):
        assert_error(await machine.http.post("/oauth/token", data=GRANT | form), 401, "invalid_client")
    assert rows(server) == before


@pytest.mark.requirement("attack-43", "RS-25")
async def test_a_clients_token_is_never_a_person(server: Running, machine: OAuthClient) -> None:
    token = await own_token(machine)
    reply = await machine.http.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")
    for era in ERAS:
        me = json.loads(result(await read(machine.http, era, "oauth://me", token))["contents"][0]["text"])
        assert me == {
            "sub": machine.client_id,
            "client_id": machine.client_id,
            "scope": ["mcp:read", "mcp:write"],
            "local_operator": False,
            "acts_for": "itself",
            "client_name": "The machine",
            "may_be_granted": ["mcp:read", "mcp:write"],
        }
    assert await server.services.users.by_id(machine.client_id) is None


@pytest.mark.requirement("attack-43", "RS-25")
async def test_a_person_with_the_same_identifier_is_still_somebody_else(server: Running, machine: OAuthClient) -> None:
    twin = User(machine.client_id, "twin", "x", ("mcp:read", "mcp:write", "mcp:admin"), server.clock(), "The Twin")
    assert await server.services.store.write(users.add, twin)
    token = await own_token(machine)
    me = json.loads(result(await read(machine.http, "modern", "oauth://me", token))["contents"][0]["text"])
    assert me["may_be_granted"] == ["mcp:read", "mcp:write"]
    assert "Twin" not in json.dumps(me)
    for by in (
        {"auth": (machine.client_id, machine.secret or "")},
        {"headers": bearer(await token_for(server, "mcp:admin"))},
    ):
        seen = (await machine.http.post("/oauth/introspect", data={"token": token}, **by)).json()
        assert (seen["active"], seen["sub"]) == (True, machine.client_id)
        assert "username" not in seen
    reply = await machine.http.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert reply.status_code == 401
    refused = await read(machine.http, "modern", "oauth://audit", token)
    assert "which this client may not be granted" in challenge_of(refused)["error_description"]
    await set_disabled(server, twin, True)
    assert await opens(server, token) == (200, 200)


@pytest.mark.requirement("attack-43", "attack-66", "RS-15")
@pytest.mark.parametrize("era", ERAS)
async def test_what_the_client_registered_is_its_ceiling_at_the_gate_and_in_lists(
    server: Running, closing: AsyncExitStack, era: Any
) -> None:
    reader, writer, admin = [
        await operators(closing, server, scope=scope) for scope in ("mcp:read", "mcp:write", "mcp:admin")
    ]
    for client, tools, resources in ((reader, 5, 7), (writer, 6, 7), (admin, 6, 11)):
        token = await own_token(client, scope="mcp:read")
        listed = result(await ask(client.http, era, "tools/list", token=token))["tools"]
        assert len(listed) == tools, client.client_id
        assert len(result(await ask(client.http, era, "resources/list", token=token))["resources"]) == resources
        templates = result(await ask(client.http, era, "resources/templates/list", token=token))["resourceTemplates"]
        assert len(templates) == (1 if client is admin else 0)
    for client, may in ((reader, False), (writer, True)):
        token = await own_token(client, scope="mcp:read")
        reply = await call(client.http, era, "mcp_oauth_register_client", token, redirect_uris=["http://localhost/cb"])
        found = challenge_of(reply)
        assert (reply.status_code, found["error"], found["scope"]) == (403, "insufficient_scope", "mcp:write")
        assert ("this client may not be granted" in found["error_description"]) is not may
    # A person's ceiling is still theirs.
    person = await token_for(server, "mcp:read", subject=await add_user(server, "reader", "mcp:read"))
    reply = await call(reader.http, era, "mcp_oauth_register_client", person, redirect_uris=["http://localhost/cb"])
    assert "your account may not be granted" in challenge_of(reply)["error_description"]


@pytest.mark.requirement("attack-43", "attack-64")
async def test_deleting_the_client_ends_its_tokens_and_gives_no_more(server: Running, machine: OAuthClient) -> None:
    token = await own_token(machine)
    known = await server.services.clients.find(machine.client_id)
    assert known is not None
    admin = Administration(server.services.deployment.settings, server.url, server.services.store, server.clock)
    assert await admin.delete_client(known) == 0
    await server.services.revoked.refresh()
    assert await opens(server, token) == (401, 401)
    assert_error(await posted(machine, "/oauth/token", **GRANT), 401, "invalid_client")
    # A request that had authenticated just before gets nothing either, and no event tells of a token.
    before = rows(server)
    with pytest.raises(InvalidClientError):
        await server.services.client_credentials.issue(known, {}, [])
    assert rows(server) == before


@pytest.mark.requirement("attack-64")
async def test_a_client_takes_its_own_token_back(
    server: Running, machine: OAuthClient, closing: AsyncExitStack
) -> None:
    token, other = await own_token(machine), await own_token(machine)
    stranger = await operators(closing, server)
    assert (await posted(stranger, "/oauth/revoke", token=token)).status_code == 200
    assert await opens(server, token) == (200, 200)
    assert (await posted(machine, "/oauth/revoke", token=token)).status_code == 200
    assert await opens(server, token) == (401, 401)
    assert await opens(server, other) == (200, 200)
    ((actor, *_),) = logged(server, "token.revoked")
    assert actor == ""  # nobody's doing but the client's


@pytest.mark.requirement("attack-43", "attack-8")
async def test_a_client_without_redirect_uris_can_ask_nobody_for_a_code(server: Running, machine: OAuthClient) -> None:
    params = {"client_id": machine.client_id, "response_type": "code", "redirect_uri": "http://localhost/cb"}
    reply = await machine.http.get("/oauth/authorize", params=params)
    assert reply.status_code == 400
    assert "location" not in reply.headers
    for form in (
        {"grant_type": "refresh_token", "refresh_token": "x"},
        {"grant_type": "authorization_code", "code": "x"},
    ):
        assert_error(await posted(machine, "/oauth/token", **form), 400, "unauthorized_client")
