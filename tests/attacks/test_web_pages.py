"""Web pages that use up what their visitors may ask: what a page makes a browser send is refused, or counted by itself."""

from collections.abc import AsyncIterator
from contextvars import copy_context

import httpx2
import pytest

from oauth_server.core.audit import caller_address, foreign_origin
from oauth_server.core.policies import AUTHORIZATIONS, REFUSALS, Policy
from oauth_server.core.rate_limits import ORIGINS, caller
from oauth_server.core.registration import BY_ADDRESS
from tests.conftest import MakeServer
from tests.support.authorize import refused, shown
from tests.support.browser import Browser
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.server import Running

pytestmark = pytest.mark.requirement("attack-26")

VISITOR = "192.0.2.7"
EVIL = "https://evil.example"
# What a browser sends for what a page loads by itself: Sec-Fetch-Mode and Sec-Fetch-Dest, and what else there is.
LOADED: list[dict[str, str]] = [
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Origin": EVIL},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "object"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Purpose": "prefetch"},
]
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture
async def server(make_server: MakeServer) -> AsyncIterator[Running]:
    """A server behind a proxy that says where callers are."""
    async with make_server(MCP_OAUTH_TRUSTED_PROXIES="127.0.0.1") as found:
        yield found


def at(address: str, **fields: str) -> dict[str, str]:
    return {"X-Forwarded-For": address, **fields}


def fill(server: Running, policy: Policy, key: str, room: int = 0) -> None:
    for _ in range(policy.quota - room):
        server.services.rate_limits.count(policy, key)


def key_of(address: str, origin: str) -> str:
    """What requests of a page are counted by."""

    def key() -> str:
        caller_address.set(address)
        foreign_origin.set(origin)
        return caller()

    return copy_context().run(key)


def counted(server: Running) -> set[tuple[str, str]]:
    """The buckets with something in them: the names of their policies, and their keys."""
    return {(policy.name, key) for policy, key in server.services.rate_limits._buckets}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("fields", LOADED, ids=range(len(LOADED)))
async def test_what_a_page_loads_from_the_authorization_endpoint_is_refused_and_counts_for_nobody(
    server: Running, browser: Browser, client: OAuthClient, fields: dict[str, str], site: str
) -> None:
    url = client.url(Pkce.new())
    loaded = at(VISITOR, **{"Sec-Fetch-Site": site}, **fields)
    refused(await browser.http.get(url, headers=loaded), "access_denied", 403)
    refused(await browser.http.post(url, data={"client_id": "x"}, headers=loaded), "access_denied", 403)
    assert counted(server) == set()
    # A link on that page, and what the browser itself opens, lead to the sign-in form, and count.
    fill(server, AUTHORIZATIONS, VISITOR, room=2)
    for opened in ({"Sec-Fetch-Site": site, **NAVIGATION}, {"Sec-Fetch-Site": "none", **NAVIGATION}):
        assert "Sign in" in shown(await browser.http.get(url, headers=at(VISITOR, **opened)))
    shown(await browser.http.get(url, headers=at(VISITOR, **{"Sec-Fetch-Site": "none"}, **NAVIGATION)), 429)


async def ask(client: OAuthClient, path: str, headers: dict[str, str]) -> httpx2.Response:
    form = {"client_id": "unknown", "token": "t", "grant_type": "refresh_token", "refresh_token": "t"}
    return await client.http.post(path, data=form, headers=headers)


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect"])
async def test_refused_requests_of_a_page_count_for_its_origin_alone(
    server: Running, client: OAuthClient, path: str
) -> None:
    def headers(origin: str) -> dict[str, str]:
        return at(VISITOR, Origin=origin, **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"})

    fill(server, REFUSALS, key_of(VISITOR, EVIL), room=3)
    replies = [await ask(client, path, headers(EVIL)) for _ in range(5)]
    assert [reply.status_code for reply in replies] == [401] * 3 + [429] * 2
    assert all("access-control-allow-origin" not in reply.headers for reply in replies)
    assert replies[-1].headers["ratelimit-policy"] == '"refusals";q=600;w=60'
    assert EVIL not in str(counted(server))
    # The visitor's own programs, applications with an Origin of their own, and another visitor of the page go on.
    for others in (at(VISITOR), headers("app://desktop"), headers("null"), at("198.51.100.9", Origin=EVIL)):
        assert (await ask(client, path, others)).status_code == 401
    # The server's own pages are no foreign Origin.
    fill(server, REFUSALS, VISITOR)
    assert (await ask(client, path, at(VISITOR, Origin=server.url))).status_code == 429


async def test_a_request_with_a_foreign_origin_is_served(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    client.http.headers |= {"Origin": "app://desktop"}
    tokens = await client.tokens(browser)
    again = await client.refresh(tokens["refresh_token"])
    assert again.status_code == 200, again.text
    body = {"redirect_uris": [CALLBACK], "client_name": "native"}
    made = await client.http.post("/oauth/register", json=body)
    ended = await client.http.post("/oauth/revoke", data={"token": "t", "client_id": DEFAULT_CLIENT})
    assert (made.status_code, ended.status_code) == (201, 200)
    assert not any("access-control-allow-origin" in reply.headers for reply in (again, made, ended))


async def test_many_origins_of_one_address_have_a_bound_together(server: Running, client: OAuthClient) -> None:
    def headers(number: int) -> dict[str, str]:
        return at(VISITOR, Origin=f"https://{number}.example")

    # Each of so many Origins comes some way towards its own bound.
    for number in range(ORIGINS + 1):
        for _ in range(5):
            assert (await ask(client, "/oauth/token", headers(number))).status_code == 401
    (wide,) = [policy for policy, _ in server.services.rate_limits._buckets if policy.name == "refusals-of-origins"]
    assert (wide.quota, wide.window) == (REFUSALS.quota * ORIGINS, REFUSALS.window)
    fill(server, wide, VISITOR)
    reply = await ask(client, "/oauth/token", headers(99))
    assert (reply.status_code, reply.headers["ratelimit-policy"]) == (429, '"refusals-of-origins";q=2400;w=60')
    assert (await ask(client, "/oauth/token", at(VISITOR))).status_code == 401


async def test_registrations_count_for_their_origin(server: Running, client: OAuthClient) -> None:
    async def register(name: str, **fields: str) -> httpx2.Response:
        body = {"redirect_uris": [CALLBACK], "client_name": name}
        return await client.http.post("/oauth/register", json=body, headers=at(VISITOR, **fields))

    for number in range(BY_ADDRESS.quota):
        assert (await register(f"n{number}", Origin=EVIL)).status_code == 201
    reply = await register("more", Origin=EVIL)
    assert (reply.status_code, reply.headers["ratelimit-policy"]) == (429, '"registrations";q=100;w=3600')
    assert (await register("mine")).status_code == 201
    assert (await register("another", Origin="app://desktop")).status_code == 201
    (wide,) = [policy for policy, _ in server.services.rate_limits._buckets if policy.name.endswith("-of-origins")]
    fill(server, wide, VISITOR)
    assert (await register("late", Origin="app://other")).headers["ratelimit-policy"].startswith(f'"{wide.name}"')
    assert (await register("mine too")).status_code == 201
