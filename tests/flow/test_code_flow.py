"""The authorization code flow from the first page to the protected resource."""

import pytest

from tests.support.browser import Browser, query_of
from tests.support.databases import both_engines
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import Running

pytestmark = both_engines


@pytest.mark.requirement("AS-01", "AS-23", "AS-31", "AS-36")
async def test_sign_in_consent_and_tokens(server: Running, browser: Browser, client: OAuthClient) -> None:
    pkce = Pkce.new()
    answer = query_of(await browser.authorize(client.url(pkce)))
    assert answer["state"] == "state-of-the-test"
    assert answer["iss"] == server.url
    reply = await client.redeem(answer["code"], pkce)
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    tokens = reply.json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == "mcp:read mcp:write"
    assert tokens["expires_in"] == 3600
    test = await client.http.get("/oauth/test", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert test.status_code == 200, test.text
    assert test.json()["client_id"] == client.client_id
    assert test.json()["aud"] == server.url
    again = await client.refresh(tokens["refresh_token"])
    assert again.status_code == 200, again.text
    assert again.json()["refresh_token"] != tokens["refresh_token"]
