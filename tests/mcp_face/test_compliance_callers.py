"""Who may have which server checked, and to whom a report is shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client

from oauth_server.app.inspection import UNREACHABLE
from oauth_server.core.access import OPERATOR, Principal
from oauth_tools.compliance_report import MOST_TEXT, bounded
from oauth_tools.newest_reports import CALLERS, NewestReports
from tests.conftest import MakeServer
from tests.support.mcp_http import MODES, mcp_client, token_for
from tests.support.program import SERVER, call_tool, environment, greet, program
from tests.support.server import Running
from tests.support.slow_target import slow_target

TOOL, REPORT = "mcp_oauth_check_compliance", "oauth://compliance"
modes = pytest.mark.parametrize("mode", MODES)


@modes
@pytest.mark.requirement("attack-77")
async def test_over_http_only_hosts_that_the_operator_names_may_be_inside_the_network(
    make_server: MakeServer, mode: str
) -> None:
    async with (
        slow_target(0) as named,
        slow_target(0) as other,
        make_server(MCP_OAUTH_CHECK_HOSTS=f"mcp.internal.example {named.host}") as server,
        mcp_client(server, await token_for(server, "mcp:write"), mode) as client,
    ):
        report = (await client.call_tool(TOOL, {"server_url": named.url})).structured_content
        assert (report["target"], report["summary"]["error"]) == (named.url, 0)
        assert "POST /mcp HTTP/1.1" in named.asked
        report = (await client.call_tool(TOOL, {"server_url": other.url})).structured_content
        assert report["summary"]["error"] > 0
        assert "is not https" in json.dumps(report)
    assert other.asked == []


@modes
@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.requirement("attack-77")
async def test_over_http_the_report_is_the_same_for_every_host_that_cannot_be_reached(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch, mode: str, scheme: str
) -> None:
    # A report that told them apart would tell strangers which names the resolver of this network knows.
    known = {"inside.example": "10.0.0.1", "hidden.example": "127.0.0.1", "closed.example": "127.0.0.1"}

    async def resolve(host: str, port: int) -> list[str]:
        if host == "absent.example":
            raise OSError("Name or service not known")
        return [known[host]] if host in known else []

    monkeypatch.setattr("oauth_server.outbound.client.resolve_by_system", resolve)
    told = set()
    async with (
        make_server(MCP_OAUTH_CHECK_HOSTS="closed.example" if scheme == "https" else "") as server,
        mcp_client(server, await token_for(server, "mcp:write"), mode) as client,
    ):
        for host in ("absent.example", "barren.example", *known):
            report = (await client.call_tool(TOOL, {"server_url": f"{scheme}://{host}/mcp"})).structured_content
            assert report["summary"]["error"] > 0
            report = json.loads(json.dumps(report).replace(host, "HOST")) | {"started_at": ""}
            told.add(json.dumps(report, sort_keys=True))
    assert len(told) == 1
    assert (UNREACHABLE if scheme == "https" else "is not https") in told.pop()


@modes
@pytest.mark.parametrize("depth", ["active", "adversarial"])
@pytest.mark.requirement("attack-77", "RS-15")
async def test_over_http_nobody_goes_deeper_than_passive_at_another_server(
    make_server: MakeServer, mode: str, depth: str
) -> None:
    async with (
        slow_target(0) as target,
        make_server(MCP_OAUTH_CHECK_HOSTS=target.host) as server,
        mcp_client(server, await token_for(server, "mcp:admin"), mode) as client,
    ):
        result = await client.call_tool(TOOL, {"server_url": target.url, "depth": depth}, raise_on_error=False)
        assert result.is_error
        assert f"Only the local operator (stdio) may check another server at depth {depth}" in result.content[0].text
        assert "There is no report yet" in (await client.read_resource(REPORT))[0].text
    assert target.asked == []


@pytest.mark.parametrize("depth", ["passive", "active", "adversarial"])
@pytest.mark.requirement("attack-77")
async def test_the_local_operator_may_check_any_server_at_any_depth(tmp_path: Path, depth: str) -> None:
    async with (
        slow_target(0) as target,
        program(*SERVER, "--transport", "stdio", env=environment(tmp_path)) as stdio,
    ):
        await greet(stdio)
        report = await call_tool(stdio, TOOL, server_url=target.url, depth=depth)
        assert (report["target"], report["depth"], report["summary"]["error"]) == (target.url, depth, 0)
    assert target.asked


@pytest.mark.parametrize("depth", ["active", "adversarial"])
@pytest.mark.requirement("attack-77", "regression-7")
async def test_this_server_is_checked_at_every_depth_for_who_administers_it(admin: Client[Any], depth: str) -> None:
    report = (await admin.call_tool(TOOL, {"depth": depth})).structured_content
    assert (report["depth"], report["summary"]["fail"], report["summary"]["error"]) == (depth, 0, 0)


async def _text(client: Client[Any]) -> str:
    (content,) = await client.read_resource(REPORT)
    assert content.mime_type == "application/json"
    text: str = content.text
    return text


@pytest.mark.requirement("attack-70")
async def test_the_newest_report_is_the_whole_result_of_the_last_call(admin: Client[Any]) -> None:
    for version in ("2025-06-18", "2026-07-28"):
        report = (await admin.call_tool(TOOL, {"spec_version": version})).structured_content
        assert json.loads(await _text(admin)) == report
    await admin.call_tool(TOOL, {"spec_version": "none"}, raise_on_error=False)
    assert json.loads(await _text(admin)) == report


@modes
@pytest.mark.requirement("attack-70", "attack-77")
async def test_a_report_is_shown_to_its_caller_alone(server: Running, mode: str) -> None:
    tokens = [
        await token_for(server, "mcp:admin"),
        await token_for(server, "mcp:admin", client_id="another-client"),
        await token_for(server, "mcp:admin", subject="somebody-else"),
    ]
    for at, token in enumerate(tokens):
        async with mcp_client(server, token, mode) as client:
            before = json.loads(await _text(client))
            assert set(before) == {"message"}
            assert TOOL in before["message"]
            await client.call_tool(TOOL, {"spec_version": ["2025-03-26", "2025-06-18", "2025-11-25"][at]})
    async with mcp_client(server, tokens[0], mode) as client:
        assert json.loads(await _text(client))["spec_version"] == "2025-03-26"


def test_reports_are_kept_of_so_many_callers_and_the_oldest_goes() -> None:
    newest = NewestReports()
    newest.keep(OPERATOR, {"n": -1})
    for n in range(CALLERS):
        newest.keep(Principal(f"s{n}", "c"), {"n": n})
        newest.keep(Principal("s0", "c"), {"n": n})
    assert "no report yet" in newest.of(OPERATOR)
    assert json.loads(newest.of(Principal("s0", "c"))) == {"n": CALLERS - 1}
    assert json.loads(newest.of(Principal("s1", "c"))) == {"n": 1}
    assert "no report yet" in newest.of(Principal("s1", "d"))
    newest.keep(OPERATOR, {"n": -1})
    assert "no report yet" in newest.of(Principal("s1", "c"))
    assert json.loads(newest.of(Principal("s0", "c"))) == {"n": CALLERS - 1}


def test_a_long_text_ends_with_the_names_of_what_it_does_not_show() -> None:
    lines = [f"FAIL  MUST   check-{n}: {'x' * 200}\n" for n in range(100)]
    checks = [{"id": f"check-{n}", "status": ["fail", "warn", "error"][n % 3]} for n in range(99)]
    checks += [{"id": "check-99", "status": "pass"}]
    text = bounded("".join(lines), {"checks": checks})
    assert len(text) < MOST_TEXT + 1500
    shown = text.count("FAIL")
    assert text.startswith("".join(lines[:shown]))
    assert f"Not shown, and not passed: {', '.join(f'check-{n}' for n in range(shown, 99))}. " in text
    assert "oauth://compliance hold every check" in text
    assert bounded("short\n", {"checks": checks}) == "short\n"
    assert len(bounded("x" * 100_000, {"checks": []})) < MOST_TEXT + 200
