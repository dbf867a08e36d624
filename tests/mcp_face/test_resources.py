"""The oauth:// resources: the documents, the caller, clients, grants and the audit log."""

import json
from typing import Any

import pytest
from fastmcp import Client

from tests.support.browser import Browser
from tests.support.mcp_http import MODES, add_user, mcp_client, token_for, user_id
from tests.support.oauth import DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.server import Running

DOCUMENTS = {
    "protected-resource": "oauth-protected-resource/mcp",
    "authorization-server": "oauth-authorization-server",
    "openid-configuration": "openid-configuration",
    "jwks": "jwks.json",
}


async def _read(client: Client[Any], name: str) -> dict[str, Any]:
    contents = await client.read_resource(f"oauth://{name}")
    assert len(contents) == 1
    assert contents[0].mime_type == "application/json"
    found: dict[str, Any] = json.loads(contents[0].text)
    return found


@pytest.mark.requirement("TR-16")
async def test_lists_name_every_resource_with_title_and_description(admin: Client[Any]) -> None:
    resources = {str(found.uri).removeprefix("oauth://"): found for found in await admin.list_resources()}
    assert resources.pop("ui://oauth/compliance.html").mime_type == "text/html;profile=mcp-app"
    assert set(resources) == {*DOCUMENTS, "me", "compliance", "configuration", "clients", "grants", "audit"}
    templates = await admin.list_resource_templates()
    assert [template.uri_template for template in templates] == ["oauth://clients/{client_id}"]
    for found in (*resources.values(), *templates):
        assert found.title
        assert found.description
        assert found.mime_type == "application/json"


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.requirement("AS-02", "RS-02")
async def test_the_documents_are_those_that_http_serves(shared: Running, admin: Client[Any], name: str) -> None:
    async with shared.client() as http:
        served = (await http.get(f"/.well-known/{DOCUMENTS[name]}")).json()
    assert await _read(admin, name) == served


@pytest.mark.requirement("RS-25")
async def test_me_is_who_the_token_says(shared: Running, admin: Client[Any]) -> None:
    me = await _read(admin, "me")
    if me["local_operator"]:
        assert me["scope"] == ["mcp:admin", "mcp:read", "mcp:write"]
        assert me["client_id"] is None
        return
    assert me == {
        "sub": await user_id(shared),
        "client_id": DEFAULT_CLIENT,
        "scope": ["mcp:admin", "mcp:read", "mcp:write"],
        "local_operator": False,
        "username": "admin",
        "name": "admin",
        "may_be_granted": ["mcp:admin", "mcp:read", "mcp:write"],
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.requirement("RS-25", "RS-31")
async def test_me_tells_what_could_be_granted_and_is_nobody_else(shared: Running, mode: str) -> None:
    subject = await add_user(shared, f"reader-{mode}", "mcp:read")
    async with mcp_client(shared, await token_for(shared, "openid", "mcp:read", subject=subject), mode) as client:
        me = await _read(client, "me")
    assert (me["sub"], me["username"], me["may_be_granted"]) == (subject, f"reader-{mode}", ["mcp:read"])
    assert me["scope"] == ["mcp:read", "openid"]


@pytest.mark.requirement("attack-73")
async def test_clients_are_listed_and_looked_up_without_their_secret(shared: Running, admin: Client[Any]) -> None:
    made = await OAuthClient.register(shared, token_endpoint_auth_method="client_secret_basic", client_name="Listed")
    listed = {entry["client_id"]: entry for entry in (await _read(admin, "clients"))["clients"]}
    assert {DEFAULT_CLIENT, made.client_id} <= set(listed)
    one = await _read(admin, f"clients/{made.client_id}")
    assert one == listed[made.client_id]
    assert (one["client_name"], one["source"], one["token_endpoint_auth_method"]) == (
        'unverified "Listed"',
        "registered",
        "client_secret_basic",
    )
    assert not [member for member in one if "secret" in member]
    assert made.secret not in json.dumps(listed)
    await made.close()


@pytest.mark.requirement("attack-66")
async def test_an_unknown_client_is_an_error_that_says_where_to_look(admin: Client[Any]) -> None:
    with pytest.raises(Exception, match="No client has this client_id; oauth://clients lists them"):
        await admin.read_resource("oauth://clients/unknown")


@pytest.mark.requirement("attack-44", "attack-73")
async def test_grants_and_audit_show_login_consent_code_and_revocation(shared: Running, admin: Client[Any]) -> None:
    browser = Browser(shared.url)
    # By a secret: an identical public client would be the one of an earlier test.
    client = await OAuthClient.register(shared, token_endpoint_auth_method="client_secret_post")
    pkce = Pkce.new()
    code = await client.code(browser, pkce, scope="mcp:read offline_access")
    tokens = (await client.redeem(code, pkce)).json()
    grants = [grant for grant in (await _read(admin, "grants"))["grants"] if grant["client_id"] == client.client_id]
    assert len(grants) == 1
    assert (grants[0]["username"], grants[0]["scope"]) == ("admin", ["mcp:read", "offline_access"])
    assert grants[0]["resources"] == [shared.url]
    form = {"token": tokens["refresh_token"], "client_id": client.client_id, "client_secret": client.secret}
    assert (await client.http.post("/oauth/revoke", data=form)).status_code == 200
    assert [grant for grant in (await _read(admin, "grants"))["grants"] if grant["client_id"] == client.client_id] == []
    events = (await _read(admin, "audit"))["events"]
    mine = [event for event in events if event["client_id"] == client.client_id]
    assert [event["event"] for event in mine[::-1]] == [
        "client.registered",
        "consent",
        "code.redeemed",
        "grant.revoked",
    ]
    assert {event["outcome"] for event in mine} == {"success"}
    assert [event["address"] for event in mine] == ["127.0.0.1"] * 4
    assert next(event["actor"] for event in events if event["event"] == "login") == "admin"
    assert code not in json.dumps(events)
    await browser.close()
    await client.close()
