"""Every flow of a running server, walked with known secrets: those that succeed, and those that fail."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any

import httpx2

from tests.support.assertions import KeyedClient, jwks, key_of, posted
from tests.support.browser import Browser, form_of, forms_of, query_of
from tests.support.canaries import Canaries, record
from tests.support.oauth import CALLBACK, OAuthClient, Pkce

SCOPE = "openid offline_access mcp:read mcp:write mcp:admin"
MCP = {"Accept": "application/json, text/event-stream"}


@dataclass
class Site:
    """A server in a process of its own, as the clients of the tests know one."""

    url: str
    canaries: Canaries
    clock = staticmethod(time.time)

    def client(self, **kwargs: Any) -> httpx2.AsyncClient:
        """An HTTP client whose every answer is kept."""
        return self.canaries.watch(httpx2.AsyncClient(base_url=self.url, timeout=30, **kwargs))

    @asynccontextmanager
    async def browser(self, password: str) -> AsyncIterator[Browser]:
        """A browser of the owner."""
        found = Browser(self.url, "admin", password)
        self.canaries.watch(found.http)
        try:
            yield found
        finally:
            self.keep_cookies(found)
            await found.close()

    def keep_cookies(self, browser: Browser) -> None:
        """Note what the browser holds."""
        for cookie in browser.http.cookies.jar:
            self.canaries.add(f"cookie {cookie.name} {cookie.value}", str(cookie.value), travels=True)

    def tokens(self, name: str, reply: httpx2.Response) -> dict[str, Any]:
        """Note the tokens of a token response."""
        assert reply.status_code == 200, reply.text
        found = record(reply)
        for kind in {"access_token", "refresh_token", "id_token"} & set(found):
            self.canaries.add(f"{name} {kind}", found[kind], reply)
            if "." in found[kind]:
                self.canaries.add(f"{name} {kind}, signature", found[kind].rpartition(".")[2], reply)
        return found


async def registered(site: Site, name: str, **metadata: Any) -> tuple[OAuthClient, str]:
    """A client, its secret and its registration access token noted; the client and that token."""
    async with site.client() as http:
        reply = await http.post("/oauth/register", json={"redirect_uris": [CALLBACK], **metadata})
    assert reply.status_code == 201, reply.text
    made = record(reply)
    token = site.canaries.add(f"{name} registration token", made["registration_access_token"], reply)
    if "client_secret" in made:
        site.canaries.add(f"{name} secret", made["client_secret"], reply)
    method = made["token_endpoint_auth_method"]
    if method == "private_key_jwt":
        return KeyedClient(site, made["client_id"], key_of("client")), token  # type: ignore[arg-type]
    return OAuthClient(site, made["client_id"], secret=made.get("client_secret"), method=method), token  # type: ignore[arg-type]


async def wrong_sign_ins(site: Site, browser: Browser, page: httpx2.Response) -> None:
    """A wrong password; the password typed where the name belongs."""
    canaries = site.canaries
    wrong = canaries.add("wrong password", token_urlsafe(16))
    assert (await browser.submit(page, {"username": "admin", "password": wrong})).status_code == 400
    misplaced = await browser.submit(page, {"username": browser.password, "password": wrong})
    assert misplaced.status_code == 400
    canaries.hands_out("password", misplaced)  # the field is filled with what was typed into it


async def code(site: Site, browser: Browser, client: OAuthClient, name: str, *, fail: bool = False) -> tuple[str, Pkce]:
    """Sign in where that is due, consent, and note the code."""
    canaries, pkce = site.canaries, Pkce.new()
    canaries.add(f"{name} verifier", pkce.verifier)
    canaries.add(f"{name} challenge", pkce.challenge, travels=True)
    state = canaries.add(f"{name} state", token_urlsafe(16), travels=True)
    start = client.url(
        pkce, scope=SCOPE, state=state, nonce=canaries.add(f"{name} nonce", token_urlsafe(16), travels=True)
    )
    if fail:
        page = await browser.http.get(start)
        canaries.add(f"{name} csrf", form_of(page.text).fields["csrf"], travels=True)
        await wrong_sign_ins(site, browser, page)
    found = query_of(await browser.authorize(start))["code"]
    site.keep_cookies(browser)
    canaries.add(f"{name} code", found, canaries.replies[-1][0])
    return found, pkce


async def code_and_refresh(site: Site, browser: Browser, client: OAuthClient, name: str) -> dict[str, Any]:
    """Redeem a code after every wrong way to; refresh, repeat it, use it again; the last tokens of a new grant."""
    canaries = site.canaries
    found, pkce = await code(site, browser, client, name, fail=name == "basic")
    secret, client.secret = client.secret, canaries.add(f"{name} wrong secret", token_urlsafe(24))
    if client.method.startswith("client_secret"):
        assert (await client.redeem(found, pkce)).status_code == 401
    client.secret = secret
    assert (await client.redeem(canaries.add(f"{name} wrong code", token_urlsafe(32)), pkce)).status_code == 400
    assert (await client.redeem(found, pkce, redirect_uri=f"{CALLBACK}/x")).status_code == 400
    short = canaries.add(f"{name} short verifier", "short-" + token_urlsafe(8))
    assert (await client.redeem(found, pkce, code_verifier=short)).status_code == 400
    first = site.tokens(f"{name} first", await client.redeem(found, pkce))
    assert (await client.redeem(found, pkce)).status_code == 400
    second = site.tokens(f"{name} second", await client.refresh(first["refresh_token"]))
    again = await client.refresh(first["refresh_token"])  # within the grace: the same successor
    site.tokens(f"{name} again", again)
    canaries.hands_out(f"{name} second refresh_token", again)
    canaries.handed[f"{name} again refresh_token"] = canaries.handed[f"{name} second refresh_token"]
    site.tokens(f"{name} third", await client.refresh(second["refresh_token"]))
    assert (await client.refresh(first["refresh_token"])).status_code == 400  # reuse: the family ends
    return site.tokens(f"{name} last", await client.redeem(*await code(site, browser, client, f"{name} last")))


async def tokens_everywhere(site: Site, client: OAuthClient, tokens: dict[str, Any]) -> None:
    """Show tokens to every endpoint that takes one, good and bad."""
    async with site.client() as http:
        for token in (
            tokens["access_token"],
            tokens["refresh_token"],
            tokens["id_token"],
            tokens["access_token"] + "A",
        ):
            bearer = {"Authorization": f"Bearer {token}"}
            for path in ("/oauth/test", "/oauth/userinfo"):
                assert (await http.get(path, headers=bearer)).status_code in (200, 401)
            assert (await posted(client, "/oauth/introspect", token=token)).status_code == 200
            assert (await http.post("/oauth/introspect", data={"token": token})).status_code == 401
            arguments = {"token": token, "required_scopes": "mcp:admin"}
            assert (await tool(http, tokens, "mcp_oauth_validate_token", **arguments)).status_code == 200
        check = {"server_url": "http://127.0.0.1:1/mcp", "access_token": tokens["access_token"]}
        assert (await tool(http, tokens, "mcp_oauth_check_compliance", **check)).status_code == 200
        made = await tool(
            http,
            tokens,
            "mcp_oauth_register_client",
            redirect_uris=[CALLBACK],
            token_endpoint_auth_method="client_secret_post",
        )
        content = _result(made)["structuredContent"]
        for name in ("client_secret", "registration_access_token"):
            if content.get(name):
                site.canaries.add(f"tool's {name}", content[name], made)
        assert "tool's client_secret" in site.canaries.secrets, content
        for uri in ("oauth://audit", "oauth://clients", "oauth://configuration", "oauth://grants", "oauth://me"):
            assert "contents" in _result(await rpc(http, tokens, "resources/read", uri=uri))
        assert "content" in _result(await tool(http, tokens, "mcp_oauth_get_configuration"))


async def rpc(http: httpx2.AsyncClient, tokens: dict[str, Any], method: str, **params: Any) -> httpx2.Response:
    """One MCP request with the access token."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return await http.post("/mcp", json=message, headers={**MCP, "Authorization": f"Bearer {tokens['access_token']}"})


async def tool(http: httpx2.AsyncClient, tokens: dict[str, Any], name: str, **arguments: Any) -> httpx2.Response:
    """One tool call."""
    return await rpc(http, tokens, "tools/call", name=name, arguments=arguments)


def _result(reply: httpx2.Response) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
    found: dict[str, Any] = json.loads(lines[-1] if lines else reply.text)["result"]
    return found


async def registrations(site: Site, client: OAuthClient, token: str, initial: str) -> None:
    """Read, change and delete a registration; register with the operator's token, and with wrong ones."""
    canaries, wrong = site.canaries, token_urlsafe(32)
    canaries.add("wrong registration token", wrong)
    path = f"/oauth/register/{client.client_id}"
    async with site.client() as http:
        for method in ("GET", "PUT", "DELETE"):
            answer = await http.request(method, path, headers={"Authorization": f"Bearer {wrong}"}, json={})
            assert answer.status_code == 401
        mine = {"Authorization": f"Bearer {token}"}
        read = await http.get(path, headers=mine)
        name = next(name for name, value in canaries.secrets.items() if value == token)
        canaries.hands_out(name, read)  # RFC 7592 section 3 repeats it to whoever shows it
        body = {"client_id": client.client_id, "redirect_uris": [CALLBACK], "client_secret": client.secret}
        changed = await http.put(path, headers=mine, json=body)
        assert changed.status_code == 200, changed.text
        successor = canaries.add("second registration token", record(changed)["registration_access_token"], changed)
        if "client_secret" in record(changed):
            canaries.add("second secret", record(changed)["client_secret"], changed)
        assert (await http.get(path, headers=mine)).status_code == 401
        gone = await http.delete(path, headers={"Authorization": f"Bearer {successor}"})
        assert gone.status_code == 204
        headers = {"Authorization": f"Bearer {initial}"}
        for own in (True, False):  # the token is used up then, and changes nothing
            reply = await http.post("/oauth/register", json={"redirect_uris": [CALLBACK]}, headers=headers)
            assert (reply.status_code, "registration_access_token" in record(reply)) == (201, own)
            if own:
                canaries.add("token's registration token", record(reply)["registration_access_token"], reply)


async def assertions(site: Site, browser: Browser, client: OAuthClient) -> None:
    """Authenticate by signed assertions: good, replayed, expired, broken."""
    assert isinstance(client, KeyedClient)
    found, pkce = await code(site, browser, client, "keyed")
    good = site.canaries.add("assertion", client.assertion())
    form = {"grant_type": "authorization_code", "code": found, "redirect_uri": CALLBACK, "code_verifier": pkce.verifier}
    tokens = site.tokens("keyed", await client.token(**client.signed(good, **form)))
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    late = site.canaries.add("expired assertion", client.assertion(exp=1))
    for bad in (good, late, site.canaries.add("broken assertion", f"{client.assertion()}A"), good.rpartition(".")[2]):
        assert (await client.token(**client.signed(bad, **refresh))).status_code in (400, 401)


async def account(site: Site, browser: Browser, tokens: dict[str, Any], new: str) -> None:
    """Change the password, sign out with the ID token as a hint."""
    canaries = site.canaries
    page = await browser.account()
    form = next(f for f in forms_of(page.text) if "new_password" in f.inputs)
    canaries.add("account csrf", form.fields["csrf"], travels=True)
    wrong = canaries.add("wrong present password", token_urlsafe(16))
    other = canaries.add("another new password", token_urlsafe(16))
    sent = {"Origin": browser.base_url, "Sec-Fetch-Site": "same-origin"}
    for present, first, second in ((wrong, new, new), (browser.password, new, other), (browser.password, new, new)):
        data = {
            **form.fields,
            "password": present,
            "new_password": first,
            "new_password_again": second,
            "action": "password",
        }
        reply = await browser.http.post(str(page.url), data=data, headers=sent)
    assert reply.status_code == 303, reply.text
    browser.password = new
    hint = {"id_token_hint": tokens["id_token"], "state": canaries.add("logout state", token_urlsafe(16), travels=True)}
    canaries.travelling.add("basic last id_token")  # the form that asks holds its own query
    canaries.travelling.add("basic last id_token, signature")
    asked = await browser.follow(page, "/oauth/logout", **hint)
    assert (await browser.submit(asked)).status_code in (200, 303)
    assert (await browser.http.get("/account")).status_code == 200


KEYED = {"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(key_of("client"))}
