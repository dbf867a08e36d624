"""UserInfo tells the person's claims that the token's scopes open, and to nobody else (OpenID Connect Core 5.3)."""

import pytest

from tests.support.browser import Browser
from tests.support.oauth import OAuthClient
from tests.support.outside import bearer
from tests.support.people import add_person, owner_of, set_disabled
from tests.support.server import Running


@pytest.mark.parametrize(
    ("scope", "claims"),
    [
        ("openid", {"sub"}),
        ("openid profile", {"sub", "name", "preferred_username"}),
        ("openid email", {"sub", "email"}),
        ("openid profile email mcp:read", {"sub", "name", "preferred_username", "email"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.requirement("regression-9", "RS-25")
async def test_each_person_sees_the_claims_that_were_consented_to(
    server: Running, client: OAuthClient, scope: str, claims: set[str], method: str
) -> None:
    ada = await add_person(server, "ada", email="ada@example.com")
    browser = Browser(server.url, "ada")
    tokens = await client.tokens(browser, scope=scope)
    await browser.close()
    reply = await client.http.request(method, "/oauth/userinfo", headers=bearer(tokens["access_token"]))
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    everything = {"sub": ada.user_id, "name": "Ada", "preferred_username": "ada", "email": "ada@example.com"}
    assert reply.json() == {name: everything[name] for name in claims}


@pytest.mark.requirement("regression-9", "RS-25")
async def test_two_people_are_two_subjects(server: Running, browser: Browser, client: OAuthClient) -> None:
    ada = await add_person(server, "ada")
    hers = Browser(server.url, "ada")
    seen = []
    for person in (browser, hers):
        tokens = await client.tokens(person, scope="openid")
        seen.append((await client.http.get("/oauth/userinfo", headers=bearer(tokens["access_token"]))).json()["sub"])
    await hers.close()
    assert seen == [(await owner_of(server)).user_id, ada.user_id]


@pytest.mark.requirement("attack-66", "RS-15")
async def test_a_token_without_openid_has_insufficient_scope(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    tokens = await client.tokens(browser, scope="mcp:read mcp:admin profile email")
    reply = await client.http.get("/oauth/userinfo", headers=bearer(tokens["access_token"]))
    assert reply.status_code == 403
    assert reply.json()["error"] == "insufficient_scope"
    challenge = reply.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="openid"' in challenge
    assert "admin" not in reply.text


@pytest.mark.requirement("attack-61", "RS-13")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Digest x"}])
async def test_without_a_token_the_challenge_has_no_error_code(client: OAuthClient, headers: dict[str, str]) -> None:
    reply = await client.http.get("/oauth/userinfo", headers=headers)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert "error=" not in reply.headers["www-authenticate"]
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.requirement("attack-65", "RS-13")
async def test_a_token_in_the_query_or_the_body_is_not_looked_at(browser: Browser, client: OAuthClient) -> None:
    tokens = await client.tokens(browser, scope="openid")
    sent = {"access_token": tokens["access_token"]}
    for reply in (
        await client.http.get("/oauth/userinfo", params=sent),
        await client.http.post("/oauth/userinfo", data=sent),
    ):
        assert reply.status_code == 401
        assert "sub" not in reply.json()


@pytest.mark.requirement("attack-64", "RS-13")
async def test_a_token_that_is_expired_revoked_forged_or_of_a_disabled_person_is_refused(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    async def refused(token: str) -> None:
        reply = await client.http.get("/oauth/userinfo", headers=bearer(token))
        assert reply.status_code == 401, reply.text
        assert reply.json()["error"] == "invalid_token"
        assert 'error="invalid_token"' in reply.headers["www-authenticate"]

    tokens = await client.tokens(browser, scope="openid")
    head, payload, _ = tokens["access_token"].split(".")
    await refused(f"{head}.{payload}.{'A' * 86}")
    await client.http.post("/oauth/revoke", data={"client_id": client.client_id, "token": tokens["access_token"]})
    await refused(tokens["access_token"])
    expired = (await client.refresh(tokens["refresh_token"])).json()
    server.clock.advance(3600)
    await refused(expired["access_token"])
    tokens = await client.tokens(browser, scope="openid")
    await set_disabled(server, await owner_of(server), disabled=True)
    await refused(tokens["access_token"])
