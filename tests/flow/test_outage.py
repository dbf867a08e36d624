"""What is answered while the store does not: 503 and when to come back, and tokens that still verify."""

from collections.abc import Callable
from typing import Any

import pytest

from oauth_server.store.errors import StoreUnavailableError
from tests.support.browser import Browser
from tests.support.databases import both_engines
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import Running

pytestmark = both_engines

CALLBACK_JSON = {"redirect_uris": ["http://localhost:3000/callback"]}
FORM = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x", "client_id": "mcp-docker-server-default"}


@pytest.fixture
def outage(server: Running, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Takes the store away from a running server."""

    async def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise StoreUnavailableError("the connection is gone")

    def begin() -> None:
        monkeypatch.setattr(server.services.store, "read", fail)
        monkeypatch.setattr(server.services.store, "write", fail)
        monkeypatch.setattr(server.services.store, "answers", False)  # as the look each half second finds out

    return begin


async def test_every_endpoint_answers_503_with_the_time_to_come_back(
    server: Running, browser: Browser, client: OAuthClient, outage: Callable[[], None]
) -> None:
    tokens = await client.tokens(browser, scope="openid mcp:read")
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    outage()
    http = client.http
    for reply in (
        await http.post("/oauth/token", data=FORM),
        await http.post("/oauth/revoke", data=FORM),
        await http.post("/oauth/introspect", data=FORM),
        await http.post("/oauth/register", json=CALLBACK_JSON),
        await http.get("/oauth/userinfo", headers=bearer),
    ):
        assert reply.status_code == 503, (reply.url, reply.text)
        assert reply.json()["error"] == "temporarily_unavailable"
        assert reply.headers["retry-after"] == "5"
        assert reply.headers["cache-control"] == "no-store"
    page = await http.get(client.url(Pkce.new()))
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    assert "temporarily_unavailable" in page.text
    assert "location" not in page.headers


async def test_a_token_verifies_without_the_store_until_it_is_suspected(
    server: Running, browser: Browser, client: OAuthClient, outage: Callable[[], None]
) -> None:
    kept, revoked = await client.tokens(browser), await client.tokens(browser)
    await client.http.post("/oauth/revoke", data={"token": revoked["access_token"], "client_id": client.client_id})
    outage()
    for token, status in ((kept, 200), (revoked, 503)):
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        assert (await client.http.get("/oauth/test", headers=bearer)).status_code == status
    bearer = {"Authorization": f"Bearer {revoked['access_token']}"}
    refused = await client.http.post("/mcp", headers=bearer, json={})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")


async def test_readiness_tells_and_liveness_does_not_lie(server: Running, outage: Callable[[], None]) -> None:
    async with server.client() as http:
        assert (await http.get("/readyz")).status_code == 200
        outage()
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["store"], ready.headers["retry-after"]) == (503, "unreachable", "5")
        assert [(await http.get(path)).status_code for path in ("/healthz", "/routez")] == [200, 200]


async def test_a_defect_is_a_server_error_that_tells_nothing(
    server: Running, client: OAuthClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_down(*_args: Any, **_kwargs: Any) -> Any:
        raise KeyError("inner detail")

    monkeypatch.setattr(server.services.store, "read", break_down)
    reply = await client.http.post("/oauth/token", data=FORM)
    assert (reply.status_code, reply.json()["error"]) == (500, "server_error")
    assert "inner detail" not in reply.text
    assert any("failed" in record.message and record.exc_info for record in caplog.records)
