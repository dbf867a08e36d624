"""No redirect URI can be registered that leads to a script, a stranger or another computer in the clear (RFC 9700 4.1)."""

import json
from typing import Any

import pytest

from oauth_server.core.redirect_uris import KNOWN_PRIVATE_USE
from tests.conftest import MakeServer
from tests.support.browser import Browser, query_of
from tests.support.oauth import CALLBACK, OAuthClient, Pkce
from tests.support.outside import assert_error, rows
from tests.support.server import Running

CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"

SCRIPTS = [
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "javascript://localhost/%0aalert(1)",
    " javascript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "vbscript:msgbox(1)",
    "blob:https://app.example/1",
    "about:blank",
]
# A person reads one host, a browser goes to another, or the host has a spelling that no browser shows.
OTHER_SPELLINGS = [
    "app.example%2Eevil.example",
    "app%2eexample",
    "%61pp.example",
    "0x7f.1",
    "0x7f000001",
    "127.1",
    "2130706433",
    "0177.0.0.1",
    "app\u3002example",
    "app\uff0eexample",
    "\uff41pp.example",
    "App.example",
    "app.example.",
    "app.example:",
    "app.example:0443",
    "XN--bcher-kva.example",
    "xn--pp-8ka.xn--a.example",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF]",
    "app_ex!ample",
]
REFUSED = [
    *SCRIPTS,
    "http://evil.example/callback",
    "http://192.168.1.10/callback",
    "http://localhost.evil.example/callback",
    "http://127.0.0.1.nip.io/callback",
    "http://127.0.0.1@evil.example/callback",
    "http://localhost:3000@evil.example/callback",
    "http://localhost\\@evil.example/callback",
    "http://0.0.0.0/callback",
    "http://2130706433/callback",
    "http://[::ffff:127.0.0.1]/callback",
    "http://localhost./callback",
    "http://localhost:99999/callback",
    "https://app.example:99999/callback",
    "https://*.example/callback",
    "https://app.example/callback#fragment",
    "https://app.example/callback#",
    "http://localhost/callback#fragment",
    "https://user:password@app.example/callback",
    "https://app.example/../callback",
    "https://app.example/%2e%2E/callback",
    "https://app.example/a b",
    "https://app.example/\r\nSet-Cookie: a=b",
    "https://app.example/\x00",
    "https://app.example\\callback",
    "https://äpp.example/callback",
    "https://app.example/\u202ecallback",
    "https://[::1",
    "https://",
    "https:///callback",
    "https:/app.example/callback",
    "https:app.example",
    "//app.example/callback",
    "/callback",
    "callback",
    "localhost:3000/callback",
    "",
    " ",
    "*",
    "evil://x",
    "com.example.app:/callback",
    "cursor://evil/oauth/callback",
    f"{CURSOR}/more",
    "ftp://app.example/callback",
    "ws://localhost/callback",
    "https://app.example/" + "a" * 2048,
    *(f"https://{host}/callback" for host in OTHER_SPELLINGS),
]
ACCEPTED = [
    "https://app.example/callback",
    "https://app.example:8443/callback?fixed=1",
    "https://app.example",
    "http://localhost/callback",
    "http://localhost:3000/callback",
    "http://127.0.0.1:3000/callback",
    "http://[::1]:3000/callback",
    CURSOR,
]


async def register(client: OAuthClient, **metadata: Any) -> Any:
    return await client.http.post("/oauth/register", json={"redirect_uris": [CALLBACK], **metadata})


@pytest.mark.requirement("attack-52", "attack-4", "AS-30")
async def test_dangerous_redirect_uris_are_refused_alone_and_among_good_ones(
    server: Running, client: OAuthClient
) -> None:
    before = rows(server)
    for uri in REFUSED:
        for uris in ([uri], [CALLBACK, uri], [uri, "https://app.example/callback"]):
            assert_error(await register(client, redirect_uris=uris), 400, "invalid_redirect_uri")
        reply = await register(client, redirect_uris=[uri], application_type="native")
        assert_error(reply, 400, "invalid_redirect_uri")
    assert rows(server) == before


@pytest.mark.requirement("attack-52")
@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"redirect_uris": null}',
        '{"redirect_uris": []}',
        '{"redirect_uris": "http://localhost/callback"}',
        '{"redirect_uris": {"0": "http://localhost/callback"}}',
        '{"redirect_uris": [null]}',
        '{"redirect_uris": [1]}',
        '{"redirect_uris": [["http://localhost/callback"]]}',
        '{"redirect_uris": ["http://localhost/callback", {}]}',
        r'{"redirect_uris": ["http://localhost/\ud800"]}',
        r'{"redirect_uris": ["http://localhost/\u0000"]}',
        json.dumps({"redirect_uris": [f"https://app.example/{i}" for i in range(21)]}),
    ],
)
async def test_missing_misshapen_or_too_many_redirect_uris_are_refused(
    server: Running, client: OAuthClient, body: str
) -> None:
    before = rows(server)
    reply = await client.http.post("/oauth/register", content=body, headers={"Content-Type": "application/json"})
    assert_error(reply, 400, "invalid_redirect_uri")
    assert rows(server) == before


@pytest.mark.requirement("AS-21", "AS-30")
async def test_https_loopback_and_known_private_use_redirect_uris_are_accepted(client: OAuthClient) -> None:
    for uris in [[uri] for uri in ACCEPTED] + [ACCEPTED] + [[f"https://app.example/{i}" for i in range(20)]]:
        reply = await register(client, redirect_uris=uris)
        assert reply.status_code == 201, reply.text
        assert reply.json()["redirect_uris"] == uris


@pytest.mark.requirement("attack-4")
@pytest.mark.parametrize("member", ["client_uri", "logo_uri", "tos_uri", "policy_uri"])
async def test_no_page_of_a_client_is_a_script(server: Running, client: OAuthClient, member: str) -> None:
    before = rows(server)
    for uri in (*SCRIPTS, "evil://x", "//evil.example", "https://", "https://[", "https://a b", 1, ["https://a"], {}):
        assert_error(await register(client, **{member: uri}), 400, "invalid_client_metadata")
    assert rows(server) == before
    reply = await register(client, **{member: "https://app.example/page"})
    assert reply.status_code == 201
    assert reply.json()[member] == "https://app.example/page"


@pytest.mark.requirement("attack-52", "AS-17")
async def test_every_uri_of_a_client_names_its_host_in_one_spelling(server: Running, client: OAuthClient) -> None:
    before = rows(server)
    for host in OTHER_SPELLINGS:
        uri = f"https://{host}/callback"
        for member in ("client_uri", "logo_uri", "tos_uri", "policy_uri"):
            assert_error(await register(client, **{member: uri}), 400, "invalid_client_metadata")
        keys = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri}
        assert_error(await register(client, **keys), 400, "invalid_client_metadata")
        assert_error(await register(client, post_logout_redirect_uris=[uri]), 400, "invalid_redirect_uri")
    assert rows(server) == before
    reply = await register(client, redirect_uris=["https://xn--bcher-kva.example/cb"], client_uri="http://localhost:1")
    assert reply.status_code == 201, reply.text


@pytest.mark.requirement("attack-4")
async def test_no_address_to_return_to_after_logout_is_a_script(server: Running, client: OAuthClient) -> None:
    before = rows(server)
    for uri in (*SCRIPTS, "http://evil.example/", "evil://x", "", 1, None):
        reply = await register(client, post_logout_redirect_uris=["https://app.example/bye", uri])
        assert_error(reply, 400, "invalid_redirect_uri")
    assert rows(server) == before


@pytest.mark.requirement("attack-52", "AS-21")
@pytest.mark.parametrize(
    ("uris", "asked", "registered"),
    [
        (["https://app.example/cb"], None, "web"),
        (["https://app.example/cb"], "web", "web"),
        (["https://app.example/cb"], "native", "native"),
        ([CALLBACK], None, "native"),
        (["http://[::1]/callback"], None, "native"),
        ([CURSOR], None, "native"),
        (["https://app.example/cb", CALLBACK], None, "native"),
        (["https://app.example/cb", CURSOR], "native", "native"),
        ([CALLBACK], "web", None),
        ([CURSOR], "web", None),
        (["https://app.example/cb", CALLBACK], "web", None),
    ],
)
async def test_only_a_native_client_leads_to_the_persons_own_computer(
    server: Running, client: OAuthClient, uris: list[str], asked: str | None, registered: str | None
) -> None:
    before = rows(server)
    reply = await register(client, redirect_uris=uris, **({} if asked is None else {"application_type": asked}))
    if registered is None:
        assert_error(reply, 400, "invalid_redirect_uri")
        assert rows(server) == before
    else:
        assert reply.status_code == 201, reply.text
        assert reply.json()["application_type"] == registered


@pytest.mark.requirement("AS-21", "attack-52")
async def test_the_operator_may_allow_more_private_use_redirect_uris(make_server: MakeServer) -> None:
    own = "com.example.app:/callback"
    async with make_server(MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS=f"{own} other.app:/cb") as server:
        plain = OAuthClient(server)
        for uri in ("com.example.app:/callback2", "com.example.app:/", "COM.example.app:/callback", "evil://x"):
            assert_error(await register(plain, redirect_uris=[uri]), 400, "invalid_redirect_uri")
        reply = await register(plain, redirect_uris=[own], application_type="web")
        assert_error(reply, 400, "invalid_redirect_uri")
        await plain.close()
        browser = Browser(server.url)
        for uri in (own, *KNOWN_PRIVATE_USE):
            client = await OAuthClient.register(server, redirect_uris=[uri])
            pkce = Pkce.new()
            location = await browser.authorize(client.url(pkce))
            assert location.startswith(f"{uri}{'&' if '?' in uri else '?'}code=")
            assert (await client.redeem(query_of(location)["code"], pkce)).status_code == 200
            await client.close()
        await browser.close()


@pytest.mark.requirement("AS-21", "attack-52")
async def test_a_refused_private_use_uri_names_the_setting_that_would_allow_it(client: OAuthClient) -> None:
    setting = "MCP_OAUTH_PRIVATE_USE_REDIRECT_URIS"
    for uri in ("com.example.app:/callback", "windsurf://any/callback", "warp://mcp/other", "exp:///cb"):
        reply = await register(client, redirect_uris=[uri])
        assert_error(reply, 400, "invalid_redirect_uri")
        assert setting in reply.json()["error_description"]
    # What the operator could not list either.
    for uri in (
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "warp://",
        "mailto:a@b",
        "localhost:1/cb",
    ):
        reply = await register(client, redirect_uris=[uri])
        assert_error(reply, 400, "invalid_redirect_uri")
        assert setting not in reply.json()["error_description"]


def test_the_uris_of_known_clients_are_what_their_makers_say() -> None:
    assert set(KNOWN_PRIVATE_USE) == {
        "com.raycast:/oauth?package_name=Extension",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "grokbot://mcp/oauth/callback",
        "raycast://oauth?package_name=Extension",
        "vscode://vscode.github-authentication/did-authenticate",
        "vscode-insiders://vscode.github-authentication/did-authenticate",
        "warp://mcp/oauth2callback",
        "warppreview://mcp/oauth2callback",
    }
