"""A rolling upgrade: a replica of the release before and one of this release serve one PostgreSQL side by side."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.journey import person, refused
from tests.support.oauth import OAuthClient, Pkce
from tests.support.postgres import Postgres
from tests.support.program import ROOT, environment, free_port, program
from tests.support.replicas import Replicas
from tests.support.server import PASSWORD

BEFORE = "a6e819106c38cce6f8dd79536db9513e553f0b7d"  # the commit of the release before this one
URL = "https://replicas.example"
OLD, NEW = 0, 1


class _One:
    """One of the two as a place of its own, under the address that both have."""

    def __init__(self, both: Replicas, number: int) -> None:
        self.url = both.url
        self.client = lambda **_kwargs: both.at(number)


@pytest.fixture(scope="module")
def release_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the release before; the test is skipped where the clone has no history."""
    folder = tmp_path_factory.mktemp("release")
    packed = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode != 0:
        pytest.skip(f"this clone does not have the commit {BEFORE[:7]}")
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    return folder


@pytest.fixture(scope="module")
async def both(
    release_before: Path, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replicas]:
    """The release before on a database of its own making, and then this release, which migrates it."""
    with postgres.database() as database:
        env = environment(
            tmp_path_factory.mktemp("both"),
            MCP_OAUTH_ISSUER=URL,
            MCP_OAUTH_DATABASE_URL=database,
            MCP_OAUTH_ADMIN_PASSWORD=PASSWORD,
            MCP_OAUTH_TRUSTED_PROXIES="127.0.0.1",
        )
        async with AsyncExitStack() as stack:
            found = Replicas(URL, database, [free_port(), free_port()], env, stack)
            before = program(sys.executable, "server.py", "--port", str(found.ports[OLD]), env=env, cwd=release_before)
            found.programs[OLD] = await stack.enter_async_context(before)
            await found.programs[OLD].ready(f"http://127.0.0.1:{found.ports[OLD]}")
            await found.start(NEW)
            yield found


@pytest.mark.parametrize("first", [OLD, NEW])
async def test_what_one_release_gave_the_other_one_takes(both: Replicas, first: int) -> None:
    one, other = _One(both, first), _One(both, 1 - first)
    browser = person(one)
    client = OAuthClient(one)  # type: ignore[arg-type]
    elsewhere = OAuthClient(other)  # type: ignore[arg-type]
    pkce = Pkce.new()
    code = await client.code(browser, pkce, scope="mcp:read mcp:write")
    tokens = (await elsewhere.redeem(code, pkce)).json()
    for turn in (client, elsewhere, client):
        shown = {"Authorization": f"Bearer {tokens['access_token']}"}
        for each in (client, elsewhere):
            assert (await each.http.get("/oauth/test", headers=shown)).status_code == 200
        reply = await turn.refresh(tokens["refresh_token"])
        assert reply.status_code == 200, reply.text
        tokens = reply.json()
        assert tokens["scope"] == "mcp:read mcp:write"
    # An answer that was lost is asked for again at the release that did not give it.
    lost = (await client.refresh(tokens["refresh_token"])).json()
    again = (await elsewhere.refresh(tokens["refresh_token"])).json()
    assert again["refresh_token"] == lost["refresh_token"]
    revoked = await elsewhere.http.post(
        "/oauth/revoke", data={"token": lost["refresh_token"], "client_id": client.client_id}
    )
    assert revoked.status_code == 200
    for each in (client, elsewhere):
        await refused(each.http, lost["access_token"])
        assert (await each.refresh(lost["refresh_token"])).json()["error"] == "invalid_grant"
    for http in (browser.http, client.http, elsewhere.http):
        await http.aclose()


async def test_neither_release_failed(both: Replicas) -> None:
    for number in (OLD, NEW):
        assert "Traceback" not in both.programs[number].err, both.programs[number].err
