"""A compliance check tells how far it is, and stops asking at once when nobody waits for it any more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastmcp import Client

from tests.conftest import MakeServer
from tests.support.mcp_http import ERAS, Era, call, headers_for, message, read, result, token_for
from tests.support.program import SERVER, environment, greet, program
from tests.support.server import Running
from tests.support.slow_target import SlowTarget, slow_target

TOOL = "mcp_oauth_check_compliance"
eras = pytest.mark.parametrize("era", ERAS)


@pytest.fixture
async def target() -> AsyncIterator[SlowTarget]:
    async with slow_target() as found:
        yield found


@pytest.fixture
async def server(make_server: MakeServer, target: SlowTarget) -> AsyncIterator[Running]:
    """A server whose operator allows checks of the target, which is inside the network."""
    async with make_server(MCP_OAUTH_CHECK_HOSTS=target.host) as found:
        yield found


async def test_progress_rises_to_the_number_of_checks_and_names_each(admin: Client[Any]) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def listen(progress: float, total: float | None, title: str | None) -> None:
        told.append((progress, total, title))

    report = (await admin.call_tool(TOOL, {}, progress_handler=listen)).structured_content
    total = report["summary"]["total"]
    assert [progress for progress, _, _ in told] == [*range(total + 1)]
    assert {of for _, of, _ in told} == {total}
    assert {title for _, _, title in told[1:]} == {check["title"] for check in report["checks"]}


@eras
async def test_who_asks_for_no_progress_gets_the_answer_alone(shared: Running, era: Era) -> None:
    async with shared.client() as http:
        reply = await call(http, era, TOOL, await token_for(shared, "mcp:read"))
    assert "notifications/progress" not in reply.text
    assert not result(reply).get("isError")


def _asked(era: Era, target: SlowTarget) -> tuple[dict[str, Any], dict[str, Any]]:
    params = {"name": TOOL, "arguments": {"server_url": target.url}}
    body = message(era, "tools/call", params)
    body["params"].setdefault("_meta", {})["progressToken"] = "how-far"
    return params, body


async def _check(server: Running, http: httpx2.AsyncClient, era: Era, target: SlowTarget) -> str:
    params, body = _asked(era, target)
    headers = headers_for(era, "tools/call", params, await token_for(server, "mcp:write"))
    return (await http.post("/mcp", json=body, headers=headers)).text


async def _is_asked_no_more(target: SlowTarget) -> None:
    """What was under way is given up, not waited for; then the target is left alone."""
    async with asyncio.timeout(5):
        await target.given_up.wait()
    before = list(target.asked)
    await asyncio.sleep(5 * target.delay)
    assert target.asked == before


@eras
@pytest.mark.requirement("TR-12")
async def test_closing_the_stream_stops_the_check(server: Running, target: SlowTarget, era: Era) -> None:
    # Without sessions the older era behaves alike: what nobody can receive any more is not worked out.
    async with server.client(timeout=60) as http:
        whole = await _check(server, http, era, target)
        assert '"structuredContent"' in whole
        assert whole.index("notifications/progress") < whole.index('"structuredContent"')
        needed, kept = len(target.asked), await _newest(server, http, era)
        assert kept
        target.asked.clear()
        asking = asyncio.create_task(_check(server, http, era, target))
        await target.reached(2)
        asking.cancel()
        await _is_asked_no_more(target)
        assert len(target.asked) < needed
        assert await _newest(server, http, era) == kept


async def _newest(server: Running, http: httpx2.AsyncClient, era: Era) -> str:
    reply = await read(http, era, "oauth://compliance", await token_for(server, "mcp:write"))
    text: str = result(reply)["contents"][0]["text"]
    return text


@eras
@pytest.mark.requirement("TR-12", "attack-70")
async def test_over_http_nobody_cancels_a_call_by_naming_its_id(server: Running, target: SlowTarget, era: Era) -> None:
    named = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    async with server.client(timeout=60) as http:
        asking = asyncio.create_task(_check(server, http, era, target))
        await target.reached(2)
        headers = headers_for(era, "notifications/cancelled", {}, await token_for(server, "mcp:admin"))
        assert (await http.post("/mcp", json=named, headers=headers)).status_code == 202
        assert '"structuredContent"' in await asking


@eras
async def test_on_stdio_the_cancelled_notification_stops_the_check(
    tmp_path: Path, target: SlowTarget, era: Era
) -> None:
    async with program(*SERVER, "--transport", "stdio", env=environment(tmp_path)) as stdio:
        if era == "legacy":
            await greet(stdio)
        await stdio.send(_asked(era, target)[1] | {"id": 7})
        await target.reached(2)
        await stdio.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}})
        await _is_asked_no_more(target)
        await stdio.send(message(era, "tools/list") | {"id": 8})
        answers = [await stdio.answer()]
        while "id" not in answers[-1]:
            answers.append(await stdio.answer())
        # The cancelled request has no answer, and the next one does (MCP, cancellation).
        assert answers[-1]["id"] == 8
        assert {answer["params"]["progressToken"] for answer in answers[:-1]} == {"how-far"}
