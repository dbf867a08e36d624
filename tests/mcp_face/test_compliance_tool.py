"""mcp_oauth_check_compliance really asks this server: it passes whole, and fails when something is broken."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastmcp import Client
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from oauth_server.app.mcp_server import McpServer
from oauth_server.gate.gate import Gate
from tests.support.mcp_http import MODES, mcp_client, token_for
from tests.support.server import Running

TOOL = "mcp_oauth_check_compliance"
SERVER, RESOURCE = "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource/mcp"


async def _report(client: Client[Any], **arguments: str) -> tuple[dict[str, Any], str]:
    result = await client.call_tool(TOOL, arguments)
    return result.structured_content, result.content[0].text


@pytest.mark.parametrize("depth", ["passive", "active"])
@pytest.mark.requirement("regression-7", "AS-02", "RS-02", "RS-06", "RS-20")
async def test_this_server_passes_and_every_judged_check_shows_its_evidence(
    shared: Running, admin: Client[Any], depth: str
) -> None:
    report, text = await _report(admin, depth=depth, access_token=await token_for(shared, "mcp:read"))
    checks, summary = report["checks"], report["summary"]
    assert (
        len(checks) == len({check["id"] for check in checks}) == summary["total"] >= (60 if depth == "passive" else 90)
    )
    assert summary["fail"] == summary["error"] == 0, [c for c in checks if c["status"] in ("fail", "error")]
    assert summary["pass"] > 0.9 * (summary["total"] - summary["skip"])  # no flow is walked without a visitor
    for check in checks:
        assert check["sources"], check["id"]
        assert check["fix"], check["id"]
        # A leak that is nowhere to be seen has no exchange to show.
        if check["status"] == "pass" and check["family"] != "leaks":
            assert check["evidence"], check["id"]
    assert (report["target"], report["depth"], report["spec_version"]) == (f"{shared.url}/mcp", depth, "2026-07-28")
    assert f"{summary['pass']} pass" in text
    assert "eyJ" not in json.dumps(report["summary"]) + text


def _declared(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The members that an object's schema declares, each with its own schema; every one is required."""
    found = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    assert set(found["required"]) == set(found["properties"])
    members: dict[str, Any] = found["properties"]
    return members


@pytest.mark.requirement("regression-7")
async def test_the_output_schema_declares_every_member_of_the_report(admin: Client[Any]) -> None:
    report, _ = await _report(admin, depth="active")
    (schema,) = [tool.output_schema for tool in await admin.list_tools() if tool.name == TOOL]
    assert schema is not None
    members = _declared(schema, schema)
    assert set(members) == set(report)
    summary = _declared(schema, members["summary"])
    assert set(summary) == set(report["summary"])
    counts = _declared(schema, summary["levels"]["additionalProperties"])
    assert all(set(level) == set(counts) for level in report["summary"]["levels"].values())
    check = _declared(schema, members["checks"]["items"])
    parts = {name: _declared(schema, check[name]["items"]) for name in ("sources", "evidence")}
    for found in report["checks"]:
        assert set(found) == set(check)
        for name, declared in parts.items():
            assert all(set(part) == set(declared) for part in found[name]), found["id"]


@pytest.mark.requirement("regression-7")
async def test_an_active_check_leaves_no_grant_and_only_the_clients_that_it_names(
    shared: Running, admin: Client[Any]
) -> None:
    known = await _clients(admin)
    report, _ = await _report(admin, depth="active")
    found = await _clients(admin)
    # Public clients are shared, and nobody can delete them; the next run registers the same.
    assert all(client_id in str(report["left"]) for client_id in found - known)
    await _report(admin, depth="active")
    assert await _clients(admin) == found
    assert json.loads((await admin.read_resource("oauth://grants"))[0].text)["grants"] == []


async def _clients(admin: Client[Any]) -> set[str]:
    listed = json.loads((await admin.read_resource("oauth://clients"))[0].text)["clients"]
    return {client["client_id"] for client in listed}


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"])
@pytest.mark.requirement("regression-7")
async def test_each_version_of_the_specification_is_judged_by_its_own_levels(
    shared: Running, admin: Client[Any], version: str
) -> None:
    report, _ = await _report(admin, spec_version=version)
    assert (report["spec_version"], report["summary"]["fail"]) == (version, 0)
    assert report["summary"]["total"] >= 20


def _route(server: McpServer, path: str) -> Route:
    face = server._face
    assert face is not None
    (route,) = [route for route in face.router.routes if isinstance(route, Route) and route.path == path]
    return route


def _replaced(server: McpServer, path: str, endpoint: ASGIApp) -> None:
    _route(server, path).app = endpoint


def _without_pkce(server: McpServer) -> None:
    document = {"issuer": server.runtime.services.deployment.issuer, "response_types_supported": ["code"]}
    _replaced(server, SERVER, JSONResponse(document))


def _another_issuer(server: McpServer) -> None:
    _replaced(server, SERVER, JSONResponse({"issuer": "https://evil.example"}))


def _gone(server: McpServer) -> None:
    for path in (RESOURCE, "/.well-known/oauth-protected-resource"):
        _replaced(server, path, HTMLResponse("<html>", 404))


def _offline_access(server: McpServer) -> None:
    deployment = server.runtime.services.deployment
    document = {"resource": deployment.endpoint, "authorization_servers": [deployment.issuer]}
    _replaced(server, RESOURCE, JSONResponse(document | {"scopes_supported": ["mcp:read", "offline_access"]}))


def _bare_challenge(server: McpServer) -> None:
    inner = _route(server, "/mcp").app

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        if dict(scope["headers"]).get(b"authorization"):
            await inner(scope, receive, send)
            return
        await JSONResponse({}, 401, headers={"WWW-Authenticate": 'Bearer resource="x"'})(scope, receive, send)

    _replaced(server, "/mcp", bare)


BROKEN: dict[Callable[[McpServer], None], set[str]] = {
    _without_pkce: {"asm-endpoints-stated", "asm-pkce-s256"},
    _another_issuer: {"asm-issuer-exact"},
    _gone: {"prm-found"},
    _offline_access: {"prm-no-offline-access"},
    _bare_challenge: {"challenge-resource-metadata"},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spoil", BROKEN, ids=lambda spoil: spoil.__name__)
@pytest.mark.requirement("regression-7")
async def test_what_is_broken_is_found(server: Running, mode: str, spoil: Callable[[McpServer], None]) -> None:
    async with mcp_client(server, await token_for(server, "mcp:read"), mode) as client:
        sound, _ = await _report(client)
        assert sound["summary"]["fail"] == 0
        spoil(server.server)
        found, text = await _report(client)
    checks = {check["id"]: check for check in found["checks"]}
    for name in BROKEN[spoil]:
        # What a MUST demands fails, what is recommended warns.
        assert checks[name]["status"] == ("fail" if checks[name]["level"] == "MUST" else "warn"), name
        assert checks[name]["evidence"]
    assert "Fix: " in text


@pytest.mark.requirement("regression-7")
async def test_an_endpoint_without_its_gate_is_not_said_to_challenge(server: Running) -> None:
    # Without the gate no HTTP caller is known, so this process asks.
    async with Client(server.server) as client:
        before = await _statuses(client)
        route = _route(server.server, "/mcp")
        assert isinstance(route.app, Gate)
        route.app = route.app._app
        after = await _statuses(client)
    challenges = {name for name in before if name.startswith(("challenge-", "bearer-"))}
    assert {name for name in challenges if before[name] == "pass"} >= {"challenge-status", "bearer-garbage"}
    assert not {name for name in challenges if after[name] == "pass"} & {
        "challenge-status",
        "challenge-scope",
        "bearer-garbage",
    }


async def _statuses(client: Client[Any]) -> dict[str, str]:
    report, _ = await _report(client, depth="active")
    return {check["id"]: check["status"] for check in report["checks"]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.requirement("attack-77", "attack-69", "RS-11")
async def test_over_http_another_server_is_reached_only_passively_and_never_inside_the_network(
    shared: Running, mode: str
) -> None:
    async with mcp_client(shared, await token_for(shared, "mcp:admin"), mode) as client:
        refused = await client.call_tool(
            TOOL, {"server_url": "https://192.0.2.1", "depth": "active"}, raise_on_error=False
        )
        assert refused.is_error
        assert "Only the local operator" in refused.content[0].text
        for inside in (
            "http://127.0.0.1:1/mcp",
            "http://169.254.169.254/latest",
            "http://[::1]:1/",
            "http://10.0.0.1/",
        ):
            result = await client.call_tool(TOOL, {"server_url": inside}, raise_on_error=False)
            if not result.is_error:
                assert result.structured_content["summary"]["pass"] == 0, inside
