"""What a token response says, claim by claim, as a client's own JOSE library reads it (RFC 6749 5.1, RFC 9068)."""

import hashlib
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.databases import both_engines
from tests.support.issuers import https_issuer
from tests.support.oauth import DEFAULT_CLIENT, OAuthClient, Pkce, b64
from tests.support.outside import opens
from tests.support.people import add_person, owner_of
from tests.support.server import Running

pytestmark = both_engines

ACCESS_CLAIMS = {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "grant_id"}


async def verified(server: Running, token: str, alg: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, after the signature was verified against the published keys with this algorithm alone."""
    async with server.client() as http:
        metadata = (await http.get("/.well-known/oauth-authorization-server")).json()
        published = (await http.get(metadata["jwks_uri"])).json()
    found = jwt.decode(token, KeySet.import_key_set(published), algorithms=[alg])
    return dict(found.header), dict(found.claims)


@pytest.mark.requirement("AS-01", "AS-26")
async def test_a_token_response_has_the_members_of_the_standard_and_may_not_be_kept(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    first = await client.redeem(await client.code(browser, pkce), pkce)
    second = await client.refresh(first.json()["refresh_token"])
    for reply in (first, second):
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["pragma"] == "no-cache"
        assert "www-authenticate" not in reply.headers
        tokens = reply.json()
        assert set(tokens) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
        assert tokens["token_type"] == "Bearer"
        assert tokens["expires_in"] == 3600
        assert tokens["scope"] == "mcp:read mcp:write"


@pytest.mark.requirement("RS-09", "AS-38", "AS-35", "regression-5")
async def test_an_access_token_is_an_rfc_9068_jwt(server: Running, browser: Browser, client: OAuthClient) -> None:
    tokens = await client.tokens(browser)
    header, claims = await verified(server, tokens["access_token"], "ES256")
    assert set(header) == {"alg", "typ", "kid"}
    assert header["typ"] == "at+jwt"
    now = int(server.clock())
    assert set(claims) == ACCESS_CLAIMS
    assert claims["iss"] == server.url
    assert claims["aud"] == server.url
    assert (claims["iat"], claims["exp"]) == (now, now + 3600)
    assert claims["client_id"] == DEFAULT_CLIENT
    assert claims["scope"] == "mcp:read mcp:write"
    # RFC 9068 section 5: sub is no name that a client or another user could choose.
    assert len(claims["sub"]) >= 16
    assert "admin" not in claims["sub"]
    again = (await client.refresh(tokens["refresh_token"])).json()
    _, later = await verified(server, again["access_token"], "ES256")
    assert later["jti"] != claims["jti"]
    assert {**later, "jti": claims["jti"]} == claims


@pytest.mark.requirement("RS-09", "AS-35")
async def test_access_tokens_can_be_signed_with_rs256_by_a_key_of_their_own(make_server: MakeServer) -> None:
    async with make_server(MCP_OAUTH_SIGNING_ALG="RS256") as server:
        browser, client = Browser(server.url), OAuthClient(server)
        tokens = await client.tokens(browser, scope="openid mcp:read")
        access, _ = await verified(server, tokens["access_token"], "RS256")
        identity, _ = await verified(server, tokens["id_token"], "RS256")
        assert access["typ"] == "at+jwt"
        assert access["kid"] != identity["kid"]
        assert await opens(server, tokens["access_token"]) == (200, 200)
        await browser.close()
        await client.close()


@pytest.mark.requirement("AS-26")
async def test_an_access_token_lives_as_long_as_configured_and_no_longer(make_server: MakeServer) -> None:
    async with make_server(MCP_OAUTH_TOKEN_EXPIRY="60") as server:
        browser, client = Browser(server.url), OAuthClient(server)
        tokens = await client.tokens(browser)
        assert tokens["expires_in"] == 60
        server.clock.advance(59)
        assert await opens(server, tokens["access_token"]) == (200, 200)
        server.clock.advance(1)
        assert await opens(server, tokens["access_token"]) == (401, 401)
        await browser.close()
        await client.close()


@pytest.mark.requirement("AS-01")
@https_issuer
async def test_an_id_token_is_what_openid_connect_says(server: Running, browser: Browser, client: OAuthClient) -> None:
    start = int(server.clock())
    await client.tokens(browser)  # signs in
    server.clock.advance(100)
    tokens = await client.tokens(browser, scope="openid mcp:read", nonce="n-0S6_WzA2Mj&=é")
    header, claims = await verified(server, tokens["id_token"], "RS256")
    assert set(header) == {"alg", "typ", "kid"}
    assert header["typ"] == "JWT"
    assert set(claims) == {"iss", "sub", "aud", "exp", "iat", "auth_time", "at_hash", "nonce"}
    assert claims["iss"] == server.url
    assert claims["aud"] == client.client_id
    assert claims["nonce"] == "n-0S6_WzA2Mj&=é"
    assert claims["at_hash"] == b64(hashlib.sha256(tokens["access_token"].encode()).digest()[:16])
    assert claims["auth_time"] == start
    assert claims["iat"] == start + 100
    assert claims["exp"] > claims["iat"]
    _, access = await verified(server, tokens["access_token"], "ES256")
    assert claims["sub"] == access["sub"]
    # OpenID Connect Core section 12.2: a refreshed one keeps sub, aud and the original auth_time.
    server.clock.advance(100)
    refreshed = (await client.refresh(tokens["refresh_token"])).json()
    _, later = await verified(server, refreshed["id_token"], "RS256")
    for claim in ("iss", "sub", "aud", "auth_time"):
        assert later[claim] == claims[claim]
    assert later["iat"] == start + 200
    assert later.get("nonce", claims["nonce"]) == claims["nonce"]
    assert later["at_hash"] == b64(hashlib.sha256(refreshed["access_token"].encode()).digest()[:16])


@pytest.mark.requirement("AS-01")
async def test_an_id_token_has_no_nonce_that_was_not_sent_and_comes_with_openid_alone(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    tokens = await client.tokens(browser, scope="openid mcp:read")
    _, claims = await verified(server, tokens["id_token"], "RS256")
    assert "nonce" not in claims
    narrow = (await client.refresh(tokens["refresh_token"], scope="mcp:read")).json()
    assert "id_token" not in narrow
    assert "id_token" not in await client.tokens(browser, scope="mcp:read profile email")


@pytest.mark.parametrize(
    ("suffixes", "audience"),
    [
        ([], [""]),
        ([""], [""]),
        (["/"], [""]),
        (["/mcp"], ["/mcp"]),
        (["/mcp", "/mcp"], ["/mcp"]),
    ],
)
@pytest.mark.requirement("AS-38", "AS-40", "RS-21")
async def test_the_resource_chosen_at_authorization_is_the_audience(
    server: Running, browser: Browser, client: OAuthClient, suffixes: list[str], audience: list[str]
) -> None:
    asked = [server.url + suffix for suffix in suffixes]
    expected = [server.url + suffix for suffix in audience]
    pkce = Pkce.new()
    code = await client.code(browser, pkce, resource=asked)
    # The client repeats the resource in the token request (CL-16), and may leave it out at a refresh.
    reply = await client.token(
        grant_type="authorization_code",
        code=code,
        redirect_uri=client.redirect_uri,
        code_verifier=pkce.verifier,
        resource=asked,
    )
    assert reply.status_code == 200, reply.text
    for tokens in (reply.json(), (await client.refresh(reply.json()["refresh_token"])).json()):
        _, claims = await verified(server, tokens["access_token"], "ES256")
        assert [claims["aud"]] == expected


@pytest.mark.parametrize("spelling", ["HTTP://LOCALHOST:{port}/mcp", "http://127.0.0.1:{port}/mcp"])
@pytest.mark.requirement("AS-40", "RS-21")
async def test_another_spelling_of_the_resource_gives_the_canonical_audience(
    server: Running, browser: Browser, client: OAuthClient, spelling: str
) -> None:
    resource = spelling.format(port=server.port)
    pkce = Pkce.new()
    reply = await client.redeem(await client.code(browser, pkce, resource=resource), pkce, resource=resource)
    assert reply.status_code == 200, reply.text
    _, claims = await verified(server, reply.json()["access_token"], "ES256")
    assert claims["aud"] == f"{server.url}/mcp"


@pytest.mark.parametrize("given", [None, ""])
@pytest.mark.requirement("AS-01")
async def test_the_token_request_may_leave_out_the_redirect_uri(
    browser: Browser, client: OAuthClient, given: str | None
) -> None:
    pkce = Pkce.new()
    reply = await client.redeem(await client.code(browser, pkce), pkce, redirect_uri=given)
    assert reply.status_code == 200, reply.text


@pytest.mark.requirement("AS-01")
async def test_empty_parameters_count_as_omitted(server: Running, browser: Browser, client: OAuthClient) -> None:
    pkce = Pkce.new()
    empty = dict.fromkeys(("redirect_uri", "resource", "scope", "client_secret", "client_assertion"), "")
    reply = await client.redeem(await client.code(browser, pkce), pkce, **empty)
    assert reply.status_code == 200, reply.text
    again = await client.refresh(reply.json()["refresh_token"], scope="", resource="", client_secret="")
    assert again.status_code == 200, again.text
    assert again.json()["scope"] == reply.json()["scope"]


@pytest.mark.requirement("AS-39", "AS-01")
async def test_the_scope_is_the_one_consented_to_whatever_the_token_request_says(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce, scope="mcp:read mcp:admin openid", consent=["mcp:read"])
    tokens = (await client.redeem(code, pkce, scope="mcp:admin openid")).json()
    assert tokens["scope"] == "mcp:read"
    assert "id_token" not in tokens
    assert (await verified(server, tokens["access_token"], "ES256"))[1]["scope"] == "mcp:read"


@pytest.mark.requirement("AS-35", "RS-25")
async def test_a_code_belongs_to_the_person_who_consented(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    ada = await add_person(server, "ada", ("mcp:read",))
    hers = Browser(server.url, "ada")
    # Both walk the flow at the same time; neither gets what is the other's.
    keys = Pkce.new(), Pkce.new()
    codes = [
        await client.code(person, pkce, scope="mcp:read mcp:write")
        for person, pkce in zip((hers, browser), keys, strict=True)
    ]
    await hers.close()
    found = []
    for code, pkce in zip(codes, keys, strict=True):
        tokens = (await client.redeem(code, pkce)).json()
        _, claims = await verified(server, tokens["access_token"], "ES256")
        found.append((claims["sub"], claims["scope"]))
    owner = await owner_of(server)
    assert found == [(ada.user_id, "mcp:read"), (owner.user_id, "mcp:read mcp:write")]
