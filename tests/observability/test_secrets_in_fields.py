"""A secret that stands in the wrong field is stored nowhere: each refusal is recorded here, as the first of its minute is."""

import logging
import re
from contextlib import AsyncExitStack

import httpx2
import pytest

from tests.support.browser import Browser
from tests.support.canaries import Canaries
from tests.support.canary_fields import messages, requests
from tests.support.mcp_http import mcp_client, token_for
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import registered, stored
from tests.support.publisher import documented
from tests.support.server import PASSWORD, Running

KINDS = ("password", "refresh token", "access token", "code", "client secret", "generated password")
MINUTE = 61  # seconds after which refusals are recorded one by one again


async def secret_of(kind: str, server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack) -> str:
    """A secret of this server, of that kind."""
    if kind == "password":
        return PASSWORD
    if kind == "generated password":
        return "Kq3_x-9dTz0aB4cD5eF6gH7i"
    if kind == "code":
        return await client.code(browser, Pkce.new())
    if kind == "client secret":
        made = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
        assert made.secret is not None
        return made.secret
    tokens = await client.tokens(browser)
    return str(tokens[kind.replace(" ", "_")])


@pytest.mark.requirement("attack-73")
@pytest.mark.parametrize("kind", KINDS)
async def test_no_secret_is_kept_from_any_field(
    server: Running,
    browser: Browser,
    client: OAuthClient,
    closing: AsyncExitStack,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    canaries = Canaries()
    secret = canaries.add(kind, await secret_of(kind, server, browser, client, closing))
    token = await token_for(server, "mcp:read mcp:write")
    before, found = stored(server), []
    assert canaries.found_in("the database before", before) == []
    for name in ("oauth_server", "oauth_tools", "well_known"):
        caplog.set_level(logging.DEBUG, logger=name)  # as MCP_LOG_LEVEL=debug does
    async with server.client() as http:

        def look(field: str) -> None:
            found.extend(canaries.found_in(f"the log, after {field}", caplog.text))
            caplog.clear()
            server.clock.advance(MINUTE)

        for field, method, path, options in requests(secret, token):
            try:
                await http.request(method, path, **options)
            except (httpx2.LocalProtocolError, httpx2.InvalidURL, UnicodeEncodeError):
                continue  # no client can send this secret there
            look(field)
        token = await token_for(server, "mcp:read mcp:write")
        async for member in messages(http, secret, token):
            look(member)
            token = await token_for(server, "mcp:read mcp:write")
    found += canaries.found_in("the database", stored(server))
    assert re.search("client.authentication", stored(server).decode(errors="replace"))
    assert not found, "\n".join(found)


@pytest.mark.requirement("attack-73")
async def test_a_url_that_cannot_be_fetched_is_logged_without_what_may_be_a_secret(
    server: Running, browser: Browser, closing: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    canaries = Canaries()
    secret = canaries.add("secret", "Kq3_x-9dTz0aB4cD5eF6gH7i")
    caplog.set_level(logging.WARNING, logger="httpx2")  # the test's own requests
    caplog.set_level(logging.INFO, logger="oauth_server")
    app = documented(closing, server, f"https://client.example/{secret}?key={secret}")
    await browser.sign_in(await browser.http.get(app.url(Pkce.new())))
    assert 'unverified "https: //client.example/…?…": ' in caplog.text
    assert canaries.found_in("the log", caplog.text) == []


@pytest.mark.requirement("attack-73")
async def test_a_checked_url_without_an_answer_is_logged_without_what_may_be_a_secret(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        raise OSError("Name or service not known")

    monkeypatch.setattr("oauth_server.outbound.client.resolve_by_system", resolve)
    canaries = Canaries()
    secret = canaries.add("secret", "Kq3_x-9dTz0aB4cD5eF6gH7i")
    caplog.set_level(logging.WARNING, logger="httpx2")  # the test's own requests
    caplog.set_level(logging.INFO, logger="oauth_server")
    async with mcp_client(server, await token_for(server, "mcp:write"), "auto") as client:
        url = f"https://absent.example/{secret}?key={secret}"
        await client.call_tool("mcp_oauth_check_compliance", {"server_url": url})
    assert "https://absent.example/…?…: " in caplog.text
    assert canaries.found_in("the log", caplog.text) == []
