"""The names of the resource: loopback spellings, configured paths, several entries, and OAuth switched off."""

import json

import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.mcp_http import ERAS, Era, ask, challenge_of, token_for
from tests.support.server import Running

WELL_KNOWN = "/.well-known/oauth-protected-resource"
FIXED = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/jwks.json")
OAUTH_PATHS = (
    *FIXED, WELL_KNOWN, f"{WELL_KNOWN}/mcp", "/oauth/authorize", "/oauth/token", "/oauth/register", "/oauth/userinfo",
    "/oauth/test", "/oauth/revoke", "/oauth/introspect", "/oauth/logout",
    "/authorize", "/token", "/register",
)  # fmt: skip


def _at(server: Running) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}")


@pytest.mark.parametrize("issuer_host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.requirement("RS-02", "RS-05", "RS-21", "AS-06")
async def test_the_resource_follows_the_loopback_spelling_of_the_client_and_the_issuer_does_not(
    make_server: MakeServer, issuer_host: str
) -> None:
    env = {"MCP_OAUTH_ISSUER": f"http://{issuer_host}:8000"}
    async with make_server(**env) as server, _at(server) as http:
        tags = set()
        for host in ("localhost:8000", "127.0.0.1:8000", "LocalHost:8000", "[::1]:8000"):
            for path in ("", "/mcp"):
                reply = await http.get(WELL_KNOWN + path, headers={"Host": host})
                assert reply.json()["resource"] == f"http://{host.lower()}{path}"
                assert reply.json()["authorization_servers"] == [server.url]
                assert reply.headers["vary"].lower() == "host"
                tags.add(reply.headers["etag"])
                known = await http.get(
                    WELL_KNOWN + path, headers={"Host": host, "If-None-Match": reply.headers["etag"]}
                )
                assert (known.status_code, known.headers["vary"].lower()) == (304, "host")
        assert len(tags) == 6


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.requirement("RS-04", "RS-21")
async def test_the_challenge_follows_the_spelling_too(server: Running, era: Era) -> None:
    async with _at(server) as http:
        for host in (f"localhost:{server.port}", f"127.0.0.1:{server.port}", f"[::1]:{server.port}"):
            headers = {"Host": host}
            at_mcp = challenge_of(await ask(http, era, "tools/list", headers=headers))
            at_test = challenge_of(await http.get("/oauth/test", headers=headers))
            assert at_mcp["resource_metadata"] == f"http://{host}{WELL_KNOWN}/mcp"
            assert at_test["resource_metadata"] == at_test["resource"] == f"http://{host}{WELL_KNOWN}"


@pytest.mark.requirement("AS-06", "AS-25", "attack-67")
async def test_issuer_endpoints_and_keys_never_vary(server: Running) -> None:
    async with _at(server) as http:
        for path in FIXED:
            replies = [
                await http.get(path, headers={"Host": host})
                for host in (
                    f"localhost:{server.port}",
                    f"127.0.0.1:{server.port}",
                    f"[::1]:{server.port}",
                    "localhost:9",
                )
            ]
            assert len({(reply.content, reply.headers["etag"]) for reply in replies}) == 1
            assert "127.0.0.1" not in replies[1].text
            assert "vary" not in replies[1].headers


@pytest.mark.requirement("RS-02", "attack-67")
async def test_another_port_or_a_public_name_gets_the_canonical_spelling(server: Running) -> None:
    async with _at(server) as http:
        for host in ("localhost:9", "127.0.0.1", "[::1]:9"):
            reply = await http.get(WELL_KNOWN, headers={"Host": host})
            assert reply.json()["resource"] == server.url


PUBLIC = "https://mcp.example.com"
CONFIGURED = {
    # what is configured: the resource of each metadata path
    f"{PUBLIC}/mcp": {"": f"{PUBLIC}/mcp", "/mcp": f"{PUBLIC}/mcp"},
    f"{PUBLIC}/": {"": PUBLIC, "/mcp": f"{PUBLIC}/mcp"},
    "HTTPS://MCP.Example.COM:443": {"": PUBLIC, "/mcp": f"{PUBLIC}/mcp"},
    f"{PUBLIC}/team": {
        "": f"{PUBLIC}/team",
        "/mcp": f"{PUBLIC}/team/mcp",
        "/team": f"{PUBLIC}/team",
        "/team/mcp": f"{PUBLIC}/team/mcp",
    },
    f"{PUBLIC}/team/mcp": {
        "": f"{PUBLIC}/team/mcp",
        "/mcp": f"{PUBLIC}/team/mcp",
        "/team/mcp": f"{PUBLIC}/team/mcp",
    },
    f"{PUBLIC} https://other.example/api": {"": PUBLIC, "/mcp": f"{PUBLIC}/mcp"},
}


@pytest.mark.parametrize("configured", CONFIGURED, ids=str)
@pytest.mark.requirement("RS-02", "RS-05", "RS-21")
async def test_each_name_of_the_configured_resource_has_its_metadata_where_the_standard_says(
    make_server: MakeServer, configured: str
) -> None:
    env = {"MCP_OAUTH_ISSUER": PUBLIC, "MCP_OAUTH_RESOURCE_URI": configured}
    async with make_server(**env) as server, _at(server) as http:
        for path, resource in CONFIGURED[configured].items():
            reply = await http.get(WELL_KNOWN + path)
            assert (reply.status_code, reply.json()["resource"]) == (200, resource), path
            assert reply.json()["authorization_servers"] == [PUBLIC]
        names = (await http.get(FIXED[0])).json()["protected_resources"]
        assert names[0] == CONFIGURED[configured][""]
        assert (await http.get(f"{WELL_KNOWN}/elsewhere")).status_code == 404
        # RFC 9728 section 3.1: the challenge leads to a document that names the resource it is about.
        where = challenge_of(await http.post("/mcp"))["resource_metadata"]
        assert where.startswith(PUBLIC)
        document = (await http.get(where.removeprefix(PUBLIC))).json()
        assert where == PUBLIC + WELL_KNOWN + document["resource"].removeprefix(PUBLIC)


@pytest.mark.requirement("RS-09", "RS-10")
async def test_tokens_for_a_further_resource_do_not_open_this_one(make_server: MakeServer) -> None:
    other = "https://other.example/api"
    env = {"MCP_OAUTH_ISSUER": PUBLIC, "MCP_OAUTH_RESOURCE_URI": f"{PUBLIC} {other}"}
    async with make_server(**env) as server, _at(server) as http:
        assert (await http.get(FIXED[0])).json()["protected_resources"] == [PUBLIC, f"{PUBLIC}/mcp", other]
        for audience, status in (([other], 401), ([PUBLIC], 200), ([f"{PUBLIC}/mcp"], 200), ([other, PUBLIC], 401)):
            reply = await ask(
                http, "modern", "tools/list", token=await token_for(server, "mcp:read", audience=audience)
            )
            assert reply.status_code == status, audience


@pytest.mark.requirement("RS-01")
async def test_with_oauth_off_every_oauth_path_is_a_plain_404(make_server: MakeServer) -> None:
    async with make_server(ENABLE_MCP_OAUTH="false") as server, server.client() as http:
        for path in OAUTH_PATHS:
            for method in ("GET", "POST", "HEAD"):
                reply = await http.request(method, path)
                assert reply.status_code == 404, (method, path)
                assert "<" not in reply.text
                assert "www-authenticate" not in reply.headers
        assert (await http.get("/healthz")).status_code == 200


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.requirement("RS-01")
async def test_with_oauth_off_the_endpoint_is_open_and_ignores_tokens(make_server: MakeServer, era: Era) -> None:
    async with make_server(ENABLE_MCP_OAUTH="false") as server, server.client() as http:
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}):
            reply = await ask(http, era, "tools/list", headers=headers)
            assert reply.status_code == 200
            assert "www-authenticate" not in reply.headers
        assert "offline_access" not in json.dumps(dict(reply.headers))
