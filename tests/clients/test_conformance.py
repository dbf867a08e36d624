"""The specification's own conformance tool: all that it asks of authorization servers, and what it may ask of any MCP server."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.conftest import MakeServer
from tests.support.authorize import browser_of
from tests.support.npm import TEST_SECONDS, Npm
from tests.support.oauth import DEFAULT_CLIENT
from tests.support.program import Ended, environment, free_port, program, run
from tests.support.server import OWNER, PASSWORD, Running

pytestmark = pytest.mark.timeout(TEST_SECONDS)

AUTHORIZATION = ("authorization-server-metadata-endpoint", "authorization-code-grant")
ADVICE = {"authorization-server-metadata-cimd": "SUCCESS"}
# The other scenarios call fixtures such as test_image_content, which only the tool's own server has.
SCENARIOS = {
    "2025-11-25": (
        "server-initialize",
        "ping",
        "tools-list",
        "resources-list",
        "prompts-list",
        "dns-rebinding-protection",
    ),
    "2026-07-28": (
        "server-stateless",
        "tools-list",
        "resources-list",
        "prompts-list",
        "sep-2164-resource-not-found",
        "dns-rebinding-protection",
        "caching",
        "http-header-validation",
    ),
}
# Two checks of server-stateless call the fixture test_missing_capability too.
UNTESTABLE = {"sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400"}


def outcomes(folder: Path, *scenarios: str) -> dict[str, str]:
    """The worst status of each check of these scenarios; checks that were only skipped are left out."""
    rank = ("SKIPPED", "INFO", "SUCCESS", "WARNING", "FAILURE")
    found: dict[str, str] = {}
    for scenario in scenarios:
        (report,) = folder.glob(f"{scenario}-20*/checks.json")
        for check in json.loads(report.read_text(encoding="utf-8")):
            found[check["id"]] = max(found.get(check["id"], "SKIPPED"), check["status"], key=rank.index)
    return {name: status for name, status in found.items() if status not in ("SKIPPED", "INFO")}


async def judge_authorization(npm: Npm, server: Running, folder: Path) -> Ended:
    """Run the scenarios for authorization servers with the pre-registered client, and sign in where they ask for it."""
    asked = ("--url", server.url, "--client-id", DEFAULT_CLIENT, "--resource", f"{server.url}/mcp")
    port = ("--port", str(free_port()), "--output-dir", str(folder))
    command = npm.command("conformance", "authorization", *asked, *port)
    async with AsyncExitStack() as stack:
        browser = browser_of(stack, server, OWNER, PASSWORD)
        tool = await stack.enter_async_context(program(*command, env=environment(folder)))
        assert tool.process.stdout is not None
        async for line in tool.process.stdout:
            if b"/oauth/authorize?" in line:
                answer = await browser.authorize(line.decode().strip())
                assert (await browser.http.get(answer)).status_code == 200
        return await tool.end(None)


@pytest.mark.requirement("AS-01", "AS-02", "AS-06", "AS-22", "AS-23", "AS-36")
@pytest.mark.parametrize("registration", ["true", "false"])
async def test_every_authorization_server_scenario_passes(
    registration: str, npm: Npm, make_server: MakeServer, tmp_path: Path
) -> None:
    async with make_server(MCP_OAUTH_DYNAMIC_REGISTRATION=registration) as server:
        ended = await judge_authorization(npm, server, tmp_path)
    assert ended.status == 0, ended.err
    found = outcomes(tmp_path, *(f"authorization-server-{scenario}" for scenario in AUTHORIZATION))
    assert found == {"authorization-server-metadata": "SUCCESS", "authorization-code-grant": "SUCCESS", **ADVICE}


@pytest.mark.requirement("TR-02", "TR-03", "TR-04", "TR-05", "TR-06", "TR-10", "TR-13", "TR-16", "RS-30", "attack-67")
@pytest.mark.parametrize("revision", SCENARIOS)
async def test_every_scenario_for_mcp_servers_that_needs_no_fixture_passes(
    revision: str, npm: Npm, make_server: MakeServer, tmp_path: Path
) -> None:
    async with make_server(MCP_OAUTH_REQUIRE_AUTH="false") as server:
        at = ("--url", f"{server.url}/mcp", "--requirements", revision, "--output-dir", str(tmp_path))
        await run(*npm.command("conformance", "server", *at), env=environment(tmp_path))
    scenarios = SCENARIOS[revision]
    found = outcomes(tmp_path, *(f"server-{scenario}" for scenario in scenarios))
    assert {name for name, status in found.items() if status != "SUCCESS"} <= UNTESTABLE, found
    assert len(found) > len(scenarios), found
