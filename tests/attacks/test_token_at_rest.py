"""Of what opens something the database keeps SHA-256 alone, so that a stolen file opens nothing (RFC 6819 5.1.4.1)."""

import hashlib
from base64 import urlsafe_b64decode
from contextlib import AsyncExitStack

import pytest

from tests.support.browser import Browser
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import registered, rows, stored
from tests.support.server import PASSWORD, Running


def spellings(value: str) -> list[bytes]:
    """The value as text, and the bytes it stands for."""
    raw = urlsafe_b64decode(value + "=" * (-len(value) % 4))
    return [value.encode(), value.encode("utf-16-le"), value.encode().hex().encode(), raw, raw.hex().encode()]


@pytest.mark.requirement("attack-53", "RS-22", "AS-35")
async def test_no_code_token_secret_or_session_id_is_stored_in_the_clear(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await registered(closing, server, token_endpoint_auth_method="client_secret_post")
    pkce, unused = Pkce.new(), Pkce.new()
    code = await client.code(browser, pkce, scope="openid mcp:read")
    pending = await client.code(browser, unused)
    first = (await client.redeem(code, pkce)).json()
    second = (await client.refresh(first["refresh_token"])).json()
    again = (await client.refresh(first["refresh_token"])).json()  # hands out the sealed successor
    assert again["refresh_token"] == second["refresh_token"]
    await browser.sign_in(await browser.http.get("/account"))
    (cookie,) = [cookie for cookie in browser.http.cookies.jar if "mcp_session" in cookie.name]
    session = f"{cookie.name[-22:]} account\x00{cookie.value}"
    session_id = str(cookie.value).partition(".")[0]
    plain = [code, pending, client.secret, first["refresh_token"], second["refresh_token"]]
    data = stored(server)
    assert not [spelling for spelling in spellings(session_id) if spelling in data]
    assert hashlib.sha256(session.encode()).digest() in data
    for value in plain:
        assert value is not None
        assert not [spelling for spelling in spellings(value) if spelling in data]
        assert hashlib.sha256(value.encode()).digest() in data
    for value in (first["access_token"], second["access_token"], first["id_token"], pkce.verifier, PASSWORD):
        assert value.encode() not in data


@pytest.mark.requirement("attack-53", "AS-35")
async def test_codes_tokens_and_secrets_are_long_enough_for_a_plain_hash(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    refresh_token = (await client.redeem(code, pkce)).json()["refresh_token"]
    for value in (code, client.secret or "", refresh_token):
        assert len(urlsafe_b64decode(value + "=" * (-len(value) % 4))) >= 32
    assert all(len(row[0]) == 32 for table in ("codes", "refresh_tokens") for row in rows(server)[table])


@pytest.mark.requirement("attack-53")
async def test_a_client_secret_is_in_its_registration_reply_and_nowhere_else(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    secretive = await registered(closing, server, token_endpoint_auth_method="client_secret_post")
    tokens = await client.tokens(browser, scope="mcp:read mcp:admin")
    headers = {
        "Authorization": f"Bearer {tokens['access_token']}",
        "Accept": "application/json, text/event-stream",
    }
    for uri in ("oauth://clients", f"oauth://clients/{secretive.client_id}", "oauth://configuration", "oauth://audit"):
        call = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri}}
        reply = await client.http.post("/mcp", json=call, headers=headers)
        assert reply.status_code == 200, reply.text
        assert '"contents"' in reply.text
        assert secretive.secret is not None
        assert secretive.secret not in reply.text
        assert hashlib.sha256(secretive.secret.encode()).hexdigest() not in reply.text
