"""The official TypeScript SDK, both generations of it: what its users meet that other clients do not."""

import json
from typing import Any

import pytest

from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.mcp_clients import Person
from tests.support.npm import TEST_SECONDS, Npm
from tests.support.oauth import DEFAULT_CLIENT
from tests.support.outside import audited
from tests.support.program import ROOT, free_port, program
from tests.support.server import Running

pytestmark = pytest.mark.timeout(TEST_SECONDS)
SCRIPT = str(ROOT / "tests" / "support" / "typescript_client.mjs")
generations = pytest.mark.parametrize("package", ["@modelcontextprotocol/sdk", "@modelcontextprotocol/client"])


async def tools(npm: Npm, env: dict[str, str], server: Running, person: Person, package: str, **own: Any) -> list[str]:
    """Sign the client in; the names of the tools that it is told."""
    asked = {"callback": f"http://localhost:{free_port()}/callback", "headers": {}, **own}
    command = (npm.runtime, SCRIPT, str(npm.folder), package, f"{server.url}/mcp", json.dumps(asked))
    async with program(*command, env=env) as running:
        link = await running.said(r"^open (http://\S+)$")
        await person.open(link[1])
        assert running.process.stdin is not None
        running.process.stdin.write(f"{person.answer}\n".encode())
        await running.process.stdin.drain()
        ended = await running.end(None)
    assert ended.status == 0, ended.err
    found: list[str] = json.loads(ended.out)
    return found


@pytest.mark.requirement("AS-21", "AS-23")
@generations
@pytest.mark.parametrize("header", ["Bearer a-token-of-last-year", "Bearer", ""])
async def test_a_stale_header_of_its_user_keeps_it_from_nothing(
    npm: Npm, node_env: dict[str, str], server: Running, person: Person, package: str, header: str
) -> None:
    found = await tools(npm, node_env, server, person, package, headers={"Authorization": header})
    assert len(found) == 6
    assert [event[1] for event in audited(server) if event[0] == "client.registered"] == ["success"]


@pytest.mark.requirement("AS-01")
@generations
@pytest.mark.parametrize("secret", ["plus+and%and%2Bmore+of%20them+and=/&", "c29tZSBiYXNlNjQrL3ZhbHVlIGhlcmU+Pz8/Pz8="])
async def test_a_configured_secret_that_it_does_not_encode_authenticates(
    npm: Npm, node_env: dict[str, str], make_server: MakeServer, package: str, secret: str
) -> None:
    async with make_server(MCP_OAUTH_CLIENT_SECRET=secret) as server:
        person = Person(Browser(server.url))
        known = {"client_id": DEFAULT_CLIENT, "client_secret": secret}
        assert len(await tools(npm, node_env, server, person, package, client=known)) == 6
        await person.browser.close()
