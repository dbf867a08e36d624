"""Whatever is advertised works, and whatever works is advertised."""

from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.support.browser import Browser
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import Running

SERVER, OPENID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"


@pytest.fixture
async def http(server: Running) -> Any:
    async with server.client() as found:
        yield found


async def _metadata(http: httpx2.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(OPENID)).json()
    return found


@pytest.mark.requirement("AS-02", "AS-25")
async def test_every_advertised_endpoint_is_there_at_the_issuer(server: Running, http: httpx2.AsyncClient) -> None:
    metadata = await _metadata(http)
    endpoints = {name: url for name, url in metadata.items() if name.endswith(("_endpoint", "_uri"))}
    assert len(endpoints) == 8
    for name, url in endpoints.items():
        assert url.startswith(f"{server.url}/"), name
        statuses = {(await http.request(method, url)).status_code for method in ("GET", "POST")}
        assert not statuses & {404, 500, 501}, name
        assert statuses != {405}, name


@pytest.mark.requirement("AS-02", "regression-4")
async def test_exactly_the_advertised_grant_types_are_served(http: httpx2.AsyncClient) -> None:
    advertised = (await _metadata(http))["grant_types_supported"]
    form = {
        "client_id": "mcp-docker-server-default",
        "code": "x",
        "refresh_token": "x",
        "redirect_uri": "http://localhost:1/callback",
    }
    form["code_verifier"] = "v" * 43
    others = ["password", "urn:ietf:params:oauth:grant-type:device_code", "implicit", "nonsense"]
    for grant_type in (*advertised, *others):
        reply = await http.post("/oauth/token", data={**form, "grant_type": grant_type})
        expected = "invalid_grant" if grant_type in advertised else "unsupported_grant_type"
        if grant_type == "client_credentials":
            expected = "unauthorized_client"  # served, but not to a public client (RFC 6749 section 4.4)
        assert (reply.status_code, reply.json()["error"]) == (400, expected), grant_type


@pytest.mark.requirement("AS-01", "AS-02", "AS-21", "regression-4")
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
async def test_every_advertised_client_authentication_redeems_refreshes_and_revokes(
    server: Running, browser: Browser, http: httpx2.AsyncClient, method: str
) -> None:
    metadata = await _metadata(http)
    assert method in metadata["token_endpoint_auth_methods_supported"]
    assert method in metadata["revocation_endpoint_auth_methods_supported"]
    client = await OAuthClient.register(server, token_endpoint_auth_method=method)
    tokens = await client.tokens(browser)
    refreshed = await client.refresh(tokens["refresh_token"])
    assert refreshed.status_code == 200
    form, auth = {"token": refreshed.json()["access_token"]}, None
    if method == "client_secret_basic":
        auth = (client.client_id, client.secret or "")
    else:
        form |= {"client_id": client.client_id} | ({"client_secret": client.secret or ""} if client.secret else {})
    assert (await http.post("/oauth/revoke", data=form, auth=auth)).status_code == 200
    test = {"Authorization": f"Bearer {form['token']}"}
    assert (await http.get("/oauth/test", headers=test)).status_code == 401
    await client.close()


@pytest.mark.requirement("AS-02")
async def test_other_client_authentication_methods_cannot_be_registered(http: httpx2.AsyncClient) -> None:
    for method in ("private_key_jwt", "client_secret_jwt", "tls_client_auth", "nonsense"):
        body = {"redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": method}
        reply = await http.post("/oauth/register", json=body)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_client_metadata")


@pytest.mark.requirement("AS-02", "AS-28")
async def test_every_advertised_scope_is_granted(
    client: OAuthClient, browser: Browser, http: httpx2.AsyncClient
) -> None:
    scopes = (await _metadata(http))["scopes_supported"]
    tokens = await client.tokens(browser, scope=" ".join(scopes))
    assert sorted(tokens["scope"].split()) == sorted(scopes)


@pytest.mark.requirement("AS-02", "AS-24", "AS-25", "RS-21")
async def test_every_advertised_resource_is_granted_and_iss_is_the_issuer(
    server: Running, client: OAuthClient, browser: Browser, http: httpx2.AsyncClient
) -> None:
    metadata = await _metadata(http)
    assert metadata["authorization_response_iss_parameter_supported"] is True
    for resource in metadata["protected_resources"]:
        pkce = Pkce.new()
        location = urlsplit(await browser.authorize(client.url(pkce, resource=resource))).query
        assert f"iss={metadata['issuer']}".replace(":", "%3A").replace("/", "%2F") in location
        path = urlsplit(resource).path
        document = (await http.get(f"/.well-known/oauth-protected-resource{path}")).json()
        assert document["resource"] == resource
        assert document["authorization_servers"] == [metadata["issuer"]]


@pytest.mark.requirement("regression-5", "AS-02")
async def test_the_published_keys_verify_both_tokens_with_the_advertised_algorithms(
    server: Running, client: OAuthClient, browser: Browser, http: httpx2.AsyncClient
) -> None:
    metadata = await _metadata(http)
    keys = KeySet.import_key_set((await http.get(urlsplit(metadata["jwks_uri"]).path)).json())
    tokens = await client.tokens(browser, scope="mcp:read openid profile email", nonce="n-1")
    access = jwt.decode(tokens["access_token"], keys, algorithms=["ES256"])
    identity = jwt.decode(tokens["id_token"], keys, algorithms=metadata["id_token_signing_alg_values_supported"])
    assert access.header["typ"] == "at+jwt"
    assert access.header["kid"] != identity.header["kid"]
    assert access.claims["iss"] == identity.claims["iss"] == metadata["issuer"] == server.url
    userinfo = await http.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert set(identity.claims) | set(userinfo.json()) <= set(metadata["claims_supported"])


@pytest.mark.requirement("AS-05", "AS-36")
async def test_only_the_advertised_challenge_method_is_accepted(
    client: OAuthClient, browser: Browser, http: httpx2.AsyncClient
) -> None:
    assert (await _metadata(http))["code_challenge_methods_supported"] == ["S256"]
    pkce = Pkce.new()
    assert (await browser.http.get(client.url(pkce))).status_code == 200
    for method in ("plain", "s256", "S512"):
        reply = await browser.http.get(client.url(pkce, code_challenge_method=method))
        assert "error=invalid_request" in reply.headers["location"]
