"""No answer that hands out or withdraws a right leaves before its commit is on disk, seen from the kernel's side."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.support.browser import Browser
from tests.support.oauth import CALLBACK, OAuthClient
from tests.support.program import SERVER, environment, free_port, program
from tests.support.server import PASSWORD
from tests.support.strace import Trace, traced


class Outside:
    """A server of which the address alone is known."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, follow_redirects=False, timeout=60)


async def one_after_another(url: str) -> None:
    """Registration, login, consent, redemption, refresh, update, revocation, new password, deletion."""
    outside, browser = Outside(url), Browser(url)
    browser.http.timeout = 60
    registered = OAuthClient(outside)  # type: ignore[arg-type]
    metadata = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post"}
    own = (await registered.http.post("/oauth/register", json=metadata)).json()
    application = OAuthClient(outside, own["client_id"], CALLBACK, own["client_secret"], "client_secret_post")  # type: ignore[arg-type]
    tokens = await application.tokens(browser, scope="mcp:read")
    again = (await application.refresh(tokens["refresh_token"])).json()
    form = {"client_id": application.client_id, "client_secret": application.secret, "token": again["refresh_token"]}
    assert (await application.http.post("/oauth/revoke", data=form)).status_code == 200
    page = await browser.account()
    new = {"password": PASSWORD, "new_password": "another long password", "new_password_again": "another long password"}
    assert (await browser.submit(page, new, button=("action", "password"))).status_code == 303
    bearer = {"Authorization": f"Bearer {own['registration_access_token']}"}
    place = own["registration_client_uri"]
    changed = await application.http.put(
        place, json={**metadata, "client_id": own["client_id"], "client_name": "New"}, headers=bearer
    )
    assert changed.status_code == 200, changed.text
    bearer = {"Authorization": f"Bearer {changed.json()['registration_access_token']}"}
    assert (await application.http.delete(place, headers=bearer)).status_code == 204
    for closing in (application, registered, browser):
        await closing.close()


async def at_once(url: str, many: int) -> None:
    """Registrations at the same time, each with a name that its page on disk and its answer both hold."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        bodies = [{"client_name": f"canary-{n:03}.", "redirect_uris": [CALLBACK]} for n in range(many)]
        replies = await asyncio.gather(*(http.post("/oauth/register", json=body) for body in bodies))
    assert {reply.status_code for reply in replies} == {201}


def assert_each_waited(trace: Trace) -> int:
    """Of requests one after another: nothing that one wrote was unsynced when it was answered; how many wrote."""
    wrote = asked = 0
    for position, step in enumerate(trace.steps):
        if step.kind == "request":
            asked = position
        elif step.kind == "answer":
            writes = [n for n in range(asked, position) if trace.steps[n].kind == "write"]
            if writes:
                wrote += '"HTTP/1.1 ' in step.text
                assert writes[-1] < trace.synced_before(position), f"answered too early: {step.text[:80]}"
    return wrote


def assert_each_is_on_disk(trace: Trace, many: int) -> None:
    """Of requests at once: what one wrote was on disk when it was answered, however the commits were shared."""
    for number in range(many):
        name = f"canary-{number:03}."
        written, answered = (trace.first(kind, name) for kind in ("write", "answer"))
        assert written < trace.synced_before(answered), f"{name} was answered before it was on disk"


@pytest.mark.requirement("attack-74")
async def test_every_answer_leaves_after_the_fsync_of_what_it_says(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    env = environment(tmp_path, MCP_PORT=str(port), MCP_OAUTH_ADMIN_PASSWORD=PASSWORD)
    async with program(*SERVER, env=env) as server:
        await server.ready(url)
        async with traced(server.process.pid, tmp_path, "oauth.db-wal") as alone:
            await one_after_another(url)
        async with traced(server.process.pid, tmp_path, "oauth.db-wal") as together:
            await at_once(url, 24)
    # Registration, login (the attempt, its end, the session), consent, redemption, refresh, and what was taken back.
    assert assert_each_waited(alone) >= 9
    assert_each_is_on_disk(together, 24)
    commits = sum(step.kind == "synced" for step in together.steps)
    assert 1 <= commits < 24, "commits were shared, so that the test is about shared ones too"
