"""What is committed is answered, also where the revocations cannot be read just then: nobody could ask again."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.verbs import revocations
from tests.support.browser import Browser
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import assert_error
from tests.support.registration import as_sent, made, managed
from tests.support.server import Running


@pytest.fixture(params=["fails", "hangs"])
def end_looks(server: Running, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Lets no look at the revocations succeed any more, while the database does everything else."""
    read = server.services.store.read

    async def watched(verb: Any, *args: Any, **kwargs: Any) -> Any:
        if verb is not revocations.since:
            return await read(verb, *args, **kwargs)
        if request.param == "hangs":
            await asyncio.sleep(30)
        raise StoreUnavailableError("no answer")

    return lambda: monkeypatch.setattr(server.services.store, "read", watched)


@pytest.mark.requirement("AS-21")
async def test_an_update_brings_its_token_and_its_secret_and_a_deletion_is_answered(
    client: OAuthClient, end_looks: Callable[[], None]
) -> None:
    app = await made(client, token_endpoint_auth_method="private_key_jwt", jwks_uri="https://app.example/jwks")
    end_looks()
    began = time.monotonic()
    sent = as_sent(app, token_endpoint_auth_method="client_secret_basic", jwks_uri=None)
    reply = await managed(client, app, "PUT", sent)
    assert reply.status_code == 200, reply.text
    changed = reply.json()
    assert changed["client_secret"]
    assert (await managed(client, changed)).status_code == 200
    assert (await managed(client, changed, "DELETE")).status_code == 204
    assert time.monotonic() - began < 5


@pytest.mark.requirement("attack-64")
async def test_what_is_revoked_is_answered_so(
    server: Running, browser: Browser, client: OAuthClient, end_looks: Callable[[], None]
) -> None:
    tokens = [await client.tokens(browser) for _ in range(2)]
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    assert (await client.redeem(code, pkce)).status_code == 200
    server.clock.advance(10)  # later on a second redemption is a theft
    end_looks()
    for token in (tokens[0]["refresh_token"], tokens[1]["access_token"]):
        reply = await client.http.post("/oauth/revoke", data={"token": token, "client_id": client.client_id})
        assert reply.status_code == 200, reply.text
    assert_error(await client.redeem(code, pkce), 400, "invalid_grant")


async def test_a_disconnected_application_is_shown_so(
    server: Running, browser: Browser, client: OAuthClient, end_looks: Callable[[], None]
) -> None:
    await client.tokens(browser)
    page = await browser.account()
    end_looks()
    reply = await browser.submit(page, {"client_id": client.client_id}, button=("action", "disconnect"))
    assert (reply.status_code, reply.headers["location"]) == (303, f"{page.url.path}?done=disconnect")
