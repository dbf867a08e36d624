"""What a code is worth to anyone but the client that asked for it, and how the browser carries it."""

from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.authorize import answered, browser_of, count, redirected_error, registered, state_of
from tests.support.browser import Browser, query_of
from tests.support.oauth import CALLBACK, OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running


def refused_grant(reply: httpx2.Response, error: str = "invalid_grant", status: int = 400) -> None:
    assert (reply.status_code, reply.json()["error"]) == (status, error), reply.text
    assert "access_token" not in reply.json()


def files_with(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.requirement("attack-10", "AS-36")
@pytest.mark.parametrize(
    "verifier",
    ["v" * 42, "v" * 129, "v" * 42 + "+", "v" * 42 + "=", "v" * 42 + " ", "\u00e9" * 43, "v" * 42 + "\n"],
    ids=ascii,
)
async def test_malformed_verifier_is_refused(
    server: Running, browser: Browser, client: OAuthClient, verifier: str
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    before = await state_of(server)
    refused_grant(await client.redeem(code, pkce, code_verifier=verifier))
    assert await state_of(server) == before


@pytest.mark.requirement("attack-11", "AS-36")
async def test_challenge_cannot_be_left_out_and_a_code_cannot_be_had_without_its_verifier(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    reply = await browser.http.get(client.url(pkce, code_challenge=None, code_challenge_method=None))
    redirected_error(reply, client, "invalid_request")
    assert await count(server, "codes") == 0
    code = await client.code(browser, pkce)
    refused_grant(await client.redeem(code, pkce, code_verifier=None), "invalid_request")
    refused_grant(await client.redeem(code, pkce, code_verifier=""), "invalid_request")
    # As under the method "plain", which would take the challenge itself.
    refused_grant(await client.redeem(code, pkce, code_verifier=pkce.challenge))
    assert await count(server, "grants") == 0


@pytest.mark.requirement("attack-19")
async def test_form_is_followed_by_303_and_its_password_goes_nowhere_else(
    browser: Browser, client: OAuthClient
) -> None:
    page = await browser.http.get(client.url(Pkce.new()))
    credentials = {"username": OWNER, "password": PASSWORD}
    login = await browser.submit(page, credentials)
    page = await browser.http.get(login.headers["location"])
    approved = await browser.consent(page)
    page = await browser.http.get(client.url(Pkce.new()))
    page = await browser.sign_in(page)
    denied = await browser.submit(page, button=("decision", "deny"))
    posted = await browser.http.post("/oauth/authorize", data=dict(httpx2.URL(client.url(Pkce.new())).params))
    for reply in (login, approved, denied, posted):
        assert reply.status_code == 303
        assert reply.content == b""
        assert "password" not in reply.headers["location"]
        assert "csrf" not in reply.headers["location"]
        onward = reply.headers["location"].startswith("/")
        assert reply.headers["referrer-policy"] == ("same-origin" if onward else "no-referrer")
        assert reply.headers["cache-control"] == "no-store"


@pytest.mark.requirement("regression-3", "AS-31")
async def test_code_is_bound_to_its_client_and_its_redirect_uri(
    browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    other = await registered(closing, client.server)
    refused_grant(await other.redeem(code, pkce))
    refused_grant(await client.redeem(code, pkce, redirect_uri="http://localhost:3001/callback"))
    refused_grant(await client.redeem(code, pkce, redirect_uri=CALLBACK + "/"))
    assert await count(client.server, "grants") == 0
    assert (await client.redeem(code, pkce)).status_code == 200


@pytest.mark.requirement("regression-3")
async def test_confidential_client_must_authenticate_for_its_code(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    secret, client.secret = client.secret, "wrong"
    refused_grant(await client.redeem(code, pkce), "invalid_client", 401)
    client.method = "none"
    refused_grant(await client.redeem(code, pkce), "invalid_client", 401)
    assert await count(server, "grants") == 0
    client.secret, client.method = secret, "client_secret_basic"
    assert (await client.redeem(code, pkce)).status_code == 200


@pytest.mark.requirement("regression-3")
async def test_code_is_no_token_and_a_token_is_no_code(browser: Browser, client: OAuthClient) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    refused_grant(await client.refresh(code))
    reply = await client.http.get("/oauth/test", headers={"Authorization": f"Bearer {code}"})
    assert reply.status_code == 401
    tokens = (await client.redeem(code, pkce)).json()
    for token in (tokens["access_token"], tokens["refresh_token"]):
        refused_grant(await client.redeem(token, pkce))


@pytest.mark.requirement("regression-3", "AS-35")
async def test_code_outlives_a_restart_and_only_its_hash_is_stored(make_server: MakeServer, tmp_path: Path) -> None:
    pkce = Pkce.new()
    async with make_server() as server, AsyncExitStack() as closing:
        client = OAuthClient(server)
        closing.push_async_callback(client.close)
        code = await client.code(browser_of(closing, server, OWNER, PASSWORD), pkce)
        assert code not in repr(await state_of(server))
    assert not files_with(tmp_path, code)
    async with make_server() as server:
        client = OAuthClient(server)
        reply = await client.redeem(code, pkce)
        await client.close()
        assert reply.status_code == 200, reply.text


@pytest.mark.requirement("attack-14", "regression-3")
async def test_code_is_bound_to_its_resource(server: Running, browser: Browser, client: OAuthClient) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce, resource=f"{server.url}/mcp")
    for resource in ("https://evil.example", server.url, f"{server.url}/mcp-evil"):
        refused_grant(await client.redeem(code, pkce, resource=resource), "invalid_target")
    assert await count(server, "grants") == 0
    reply = await client.redeem(code, pkce, resource=f"{server.url}/mcp")
    assert reply.status_code == 200, reply.text


@pytest.mark.requirement("regression-3", "AS-35")
async def test_codes_are_long_random_and_never_the_same(browser: Browser, client: OAuthClient) -> None:
    codes = {await client.code(browser, Pkce.new()) for _ in range(5)}
    assert len(codes) == 5
    assert all(len(code) >= 43 for code in codes)


@pytest.mark.requirement("attack-12", "AS-23")
@pytest.mark.parametrize(
    "state",
    [
        "a\r\nSet-Cookie: stolen=1",
        "a\r\n\r\n<html>",
        "a\nb",
        "\u2028\u202e\U0001f600\u00e9",
        "a&code=evil&iss=https://evil.example&state=b",
        "#fragment",
        "%0d%0aX: 1",
        "+ +",
        "<script>alert(1)</script>",
        "s" * 4096,
        "\U0001f600" * 2048,  # 24 KiB in the address; beyond 32 KiB the whole head is refused
    ],
    ids=lambda state: ascii(state[:20]),
)
async def test_state_comes_back_once_as_it_was_sent(browser: Browser, client: OAuthClient, state: str) -> None:
    pkce = Pkce.new()
    denied = await browser.http.get(client.url(pkce, state=state, prompt="none"))
    redirected_error(denied, client, "login_required", state=state)
    assert "set-cookie" not in denied.headers
    assert "x" not in denied.headers
    answer = query_of(await browser.authorize(client.url(pkce, state=state)))
    assert answer.keys() == {"code", "state", "iss"}
    assert answer["state"] == state


@pytest.mark.requirement("attack-12")
@pytest.mark.parametrize("state", [None, ""])
async def test_state_that_was_not_sent_does_not_come_back(
    browser: Browser, client: OAuthClient, state: str | None
) -> None:
    reply = await browser.http.get(client.url(Pkce.new(), state=state, prompt="none"))
    assert "state" not in answered(reply, client)


@pytest.mark.requirement("AS-37")
@pytest.mark.parametrize(
    "name",
    ["client_id", "redirect_uri", "scope", "state", "response_type", "code_challenge", "resource", "nonce", "prompt"],
)
async def test_parameter_without_a_value_is_as_if_it_were_not_there(
    browser: Browser, client: OAuthClient, name: str
) -> None:
    pkce = Pkce.new()
    given = httpx2.URL(client.url(pkce, state="s")).params.get(name)
    for values in ([given or "", ""], ["", given or ""]):
        answer = query_of(await browser.authorize(client.url(pkce, **{"state": "s", name: values})))
        assert (answer.keys(), answer["state"]) == ({"code", "state", "iss"}, "s")
        reply = await client.redeem(answer["code"], pkce)
        assert (reply.status_code, reply.json()["scope"]) == (200, "mcp:read mcp:write")
