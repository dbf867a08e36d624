"""The discovery documents say exactly this, to every client alike, from bytes that were built once."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from authlib.oidc.discovery import OpenIDProviderMetadata

from tests.conftest import MakeServer
from tests.support.databases import Template
from tests.support.server import Running, running

WELL_KNOWN = "/.well-known/"
RESOURCE, MCP, SERVER, OPENID, KEYS = (
    WELL_KNOWN + name
    for name in ("oauth-protected-resource", "oauth-protected-resource/mcp", "oauth-authorization-server", "openid-configuration", "jwks.json")
)  # fmt: skip
ALL = (RESOURCE, MCP, SERVER, OPENID, KEYS)
every = pytest.mark.parametrize("path", ALL)


def protected_resource(issuer: str, resource: str) -> dict[str, Any]:
    return {
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": ["mcp:read", "mcp:write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "MCP Docker Server",
    }


def authorization_server(issuer: str) -> dict[str, Any]:
    methods = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
    algorithms = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "registration_endpoint": f"{issuer}/oauth/register",
        "scopes_supported": ["mcp:read", "mcp:write", "mcp:admin", "openid", "profile", "email", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": [*methods[1:], "Bearer"],
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_signing_alg_values_supported": ["RS256"],
        "client_id_metadata_document_supported": True,
        "authorization_response_iss_parameter_supported": True,
        "protected_resources": [issuer, f"{issuer}/mcp"],
    }


def openid(issuer: str) -> dict[str, Any]:
    claims = "sub iss aud exp iat auth_time nonce at_hash name preferred_username email"
    return authorization_server(issuer) | {
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "end_session_endpoint": f"{issuer}/oauth/logout",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": claims.split(),
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


@pytest.fixture(scope="module")
async def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running(template, tmp_path_factory.mktemp("documents")) as found:
        yield found


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as found:
        yield found


@pytest.mark.requirement("AS-02", "AS-05", "AS-06", "AS-24", "AS-25", "AS-28", "RS-02", "RS-03", "RS-20", "RS-31")
async def test_the_documents_have_these_members_and_no_others(server: Running, http: httpx2.AsyncClient) -> None:
    found = {path: (await http.get(path)).json() for path in ALL[:4]}
    assert found[RESOURCE] == protected_resource(server.url, server.url)
    assert found[MCP] == protected_resource(server.url, f"{server.url}/mcp")
    assert found[SERVER] == authorization_server(server.url)
    assert found[OPENID] == openid(server.url)
    assert server.url == f"http://localhost:{server.port}"


@pytest.mark.requirement("regression-5", "attack-73")
async def test_the_key_set_has_public_members_alone(http: httpx2.AsyncClient) -> None:
    keys = (await http.get(KEYS)).json()["keys"]
    assert [(key["kty"], key["alg"], key["use"]) for key in keys] == [("EC", "ES256", "sig"), ("RSA", "RS256", "sig")]
    assert [set(key) for key in keys] == [
        {"kty", "crv", "x", "y", "kid", "use", "alg"},
        {"kty", "n", "e", "kid", "use", "alg"},
    ]
    assert len({key["kid"] for key in keys}) == 2


@pytest.mark.requirement("AS-02", "AS-06")
async def test_the_validators_of_authlib_agree(server: Running, http: httpx2.AsyncClient) -> None:
    AuthorizationServerMetadata((await http.get(SERVER)).json()).validate()
    OpenIDProviderMetadata((await http.get(OPENID)).json()).validate()
    assert get_well_known_url(server.url, external=True) == server.url + SERVER


@every
@pytest.mark.requirement("AS-02", "RS-02")
async def test_a_document_comes_with_its_type_its_tag_and_a_time_to_keep_it(
    http: httpx2.AsyncClient, path: str
) -> None:
    first, second = await http.get(path), await http.get(path)
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]
    assert first.headers["content-type"] == "application/json"
    assert first.headers["cache-control"] == f"public, max-age={300 if path == KEYS else 3600}"
    assert int(first.headers["content-length"]) == len(first.content)
    assert first.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in first.headers


@every
@pytest.mark.requirement("AS-02", "RS-02")
async def test_who_has_the_document_gets_304(http: httpx2.AsyncClient, path: str) -> None:
    tag = (await http.get(path)).headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        reply = await http.get(path, headers={"If-None-Match": known})
        assert (reply.status_code, reply.content) == (304, b"")
        assert reply.headers["etag"] == tag
        assert reply.headers["cache-control"].startswith("public, max-age=")
        assert reply.headers["access-control-allow-origin"] == "*"
    for unknown in ('"other"', tag.strip('"'), ""):
        assert (await http.get(path, headers={"If-None-Match": unknown})).status_code == 200


@every
@pytest.mark.requirement("AS-02")
async def test_head_is_get_without_the_body(http: httpx2.AsyncClient, path: str) -> None:
    get, head = await http.get(path), await http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    its_own = {"date": "", "x-request-id": ""}  # of each answer
    assert head.headers.keys() == get.headers.keys()
    assert {**head.headers, **its_own} == {**get.headers, **its_own}


@every
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.requirement("AS-37")
async def test_a_document_can_only_be_read(http: httpx2.AsyncClient, path: str, method: str) -> None:
    reply = await http.request(method, path)
    assert reply.status_code == 405
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "name",
    ["", "none", "oauth-authorization-server/mcp", "oauth-authorization-server/", "openid-configuration/mcp", "jwks",
     "oauth-protected-resource/", "oauth-protected-resource/oauth/test", "oauth-protected-resource/mcp/"],
)  # fmt: skip
@pytest.mark.requirement("AS-02")
async def test_an_unknown_well_known_path_is_a_404_that_names_the_endpoint(http: httpx2.AsyncClient, name: str) -> None:
    reply = await http.get(WELL_KNOWN + name, headers={"Accept": "text/html,*/*"})
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["error"] == "not_found"
    assert reply.json()["error_description"].endswith("/mcp")


@pytest.mark.requirement("AS-02", "AS-04")
async def test_no_document_is_found_below_the_endpoint(http: httpx2.AsyncClient) -> None:
    for path in ("/mcp/.well-known/oauth-authorization-server", "/mcp/.well-known/oauth-protected-resource"):
        assert (await http.get(path)).status_code == 404


@pytest.mark.requirement("AS-02")
async def test_a_restart_serves_the_same_bytes(make_server: MakeServer) -> None:
    bodies = []
    for _ in range(2):
        env = {"MCP_OAUTH_ISSUER": "https://mcp.example.com"}
        async with make_server(**env) as server, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
            bodies.append([((reply := await http.get(path)).content, reply.headers["etag"]) for path in ALL])
    assert bodies[0] == bodies[1]


@pytest.mark.requirement("AS-02", "AS-06", "RS-02")
async def test_another_issuer_is_the_same_string_everywhere(make_server: MakeServer) -> None:
    issuer = "https://mcp.example.com"
    env = {"MCP_OAUTH_ISSUER": issuer}
    async with make_server(**env) as server, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        for host in ("mcp.example.com", f"localhost:{server.port}", f"127.0.0.1:{server.port}"):
            found = {path: (await http.get(path, headers={"Host": host})).json() for path in ALL[:4]}
            assert found[RESOURCE] == protected_resource(issuer, issuer)
            assert found[MCP] == protected_resource(issuer, f"{issuer}/mcp")
            assert found[SERVER] == authorization_server(issuer)
            assert found[OPENID] == openid(issuer)


@pytest.mark.requirement("AS-02", "regression-5")
async def test_settings_show_in_the_documents(make_server: MakeServer) -> None:
    env = {
        "MCP_OAUTH_DYNAMIC_REGISTRATION": "false",
        "MCP_OAUTH_SCOPE": "mcp:read",
        "MCP_OAUTH_SIGNING_ALG": "RS256",
    }
    async with make_server(**env) as server, server.client() as http:
        for path in (SERVER, OPENID):
            found = (await http.get(path)).json()
            assert "registration_endpoint" not in found
            assert found["scopes_supported"] == ["mcp:read", "openid", "profile", "email", "offline_access"]
        assert (await http.get(RESOURCE)).json()["scopes_supported"] == ["mcp:read"]
        refused = await http.post("/oauth/register", json={"redirect_uris": ["http://localhost/cb"]})
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
        algs = [key["alg"] for key in (await http.get(KEYS)).json()["keys"]]
        assert algs.count("RS256") == 2
