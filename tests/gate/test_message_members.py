"""Members of a JSON-RPC message as clients of other languages write them (JSON-RPC 2.0 sections 4 and 5)."""

import json
from typing import Any

import httpx2
import pytest

from tests.support.mcp_http import (
    ERAS,
    READ_TOOL,
    Era,
    answer,
    client_ids,
    headers_for,
    message,
    result,
    token_for,
)
from tests.support.server import Running

eras = pytest.mark.parametrize("era", ERAS)
NO_IDS = [None, True, False, {}, {"a": 1}, [], [1], 1.5, 1e300, -0.1]
META = message("modern", "x")["params"]["_meta"]
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"


async def _send(
    http: httpx2.AsyncClient, server: Running, era: Era, sent: dict[str, Any], *scope: str, version: str | None = None
) -> httpx2.Response:
    named = sent["params"] if isinstance(sent.get("params"), dict) else {}
    headers = headers_for(era, str(sent.get("method", "")), named, await token_for(server, *(scope or ("mcp:read",))))
    if version is not None:
        headers["MCP-Protocol-Version"] = version
    return await http.post("/mcp", json=sent, headers=headers)


def _error(reply: httpx2.Response) -> tuple[int, Any, str]:
    found = reply.json() if reply.headers["content-type"] == "application/json" else answer(reply)
    return found["error"]["code"], found["id"], found["error"]["message"]


@eras
@pytest.mark.parametrize("method", ["ping", "tools/list", "no/such", "notifications/initialized"])
@pytest.mark.requirement("TR-01")
async def test_an_id_that_is_none_is_an_invalid_request_and_never_silence(
    shared: Running, http: httpx2.AsyncClient, era: Era, method: str
) -> None:
    for value in NO_IDS:
        reply = await _send(http, shared, era, {**message(era, method), "id": value})
        assert reply.status_code == 400, (value, reply.status_code, reply.text)
        code, about, sentence = _error(reply)
        assert (code, about) == (-32600, None)
        assert sentence == "id must be a string or an integer"


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18"])
async def test_a_call_with_such_an_id_is_not_made(shared: Running, http: httpx2.AsyncClient, version: str) -> None:
    before = await client_ids(shared)
    params = {"name": "mcp_oauth_register_client", "arguments": {"redirect_uris": ["http://localhost/made"]}}
    for value in NO_IDS:
        sent = {**message("legacy", "tools/call", params), "id": value}
        assert (await _send(http, shared, "legacy", sent, "mcp:write", version=version)).status_code == 400
    assert await client_ids(shared) == before


@eras
async def test_an_integer_may_be_written_with_a_fraction_of_zero(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    headers = headers_for(era, "tools/list", None, await token_for(shared, "mcp:read"))
    for written, meant in (
        ("1.0", 1),
        ("-3.0", -3),
        ("0.0", 0),
        ("-0.0", 0),
        ("1e2", 100),
        ("9007199254740991.0", 2**53 - 1),
    ):
        body = json.dumps({**message(era, "tools/list"), "id": "ID"}).replace('"ID"', written)
        found = answer(await http.post("/mcp", content=body, headers=headers))
        assert (repr(found["id"]), len(found["result"]["tools"])) == (repr(meant), 6)
    for same in ("1.0", "", "x", -7, 2**60):
        found = answer(await _send(http, shared, era, {**message(era, "tools/list"), "id": same}))
        assert found["id"] == same


async def test_the_id_of_a_refusal_is_that_integer_too(shared: Running, http: httpx2.AsyncClient) -> None:
    params = {"name": "mcp_oauth_register_client", "arguments": {}}
    for era in ERAS:
        reply = await _send(http, shared, era, {**message(era, "tools/call", params), "id": 4.0})
        assert (reply.status_code, repr(reply.json()["id"])) == (403, "4")
        reply = await _send(http, shared, era, {**message(era, "no/such"), "id": 5.0})
        assert _error(reply)[:2] == (-32601, 5)


async def test_a_batch_holds_to_the_same_rule(shared: Running, http: httpx2.AsyncClient) -> None:
    headers = headers_for("legacy", "ping", None, await token_for(shared, "mcp:read"))
    headers["MCP-Protocol-Version"] = "2025-03-26"
    asked = [
        {**message("legacy", "ping"), "id": 1.0},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": []},
    ]
    reply = await http.post("/mcp", json=asked, headers=headers)
    events = [json.loads(line[5:]) for line in reply.text.splitlines() if line.startswith("data:")]
    assert [repr(event["id"]) for event in events] == ["1", "2"]
    assert all("result" in event for event in events)
    for value in NO_IDS:
        reply = await http.post("/mcp", json=[asked[0], {**asked[1], "id": value}], headers=headers)
        assert (reply.status_code, _error(reply)[0]) == (400, -32600)


@eras
async def test_progress_is_told_by_the_token_that_was_meant(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    params = {"name": "mcp_oauth_check_compliance", "arguments": {}}
    sent = message(era, "tools/call", params)
    sent["params"]["_meta"] = {**sent["params"].get("_meta", {}), "progressToken": 9.0}
    reply = await _send(http, shared, era, sent)
    assert '"progressToken":9,' in reply.text.replace(" ", ""), reply.text[:300]


def _empty(era: Era) -> dict[str, tuple[str, Any]]:
    meta = {"_meta": META} if era == "modern" else {}
    found: dict[str, tuple[str, Any]] = {
        "arguments": ("tools/call", {"name": READ_TOOL, "arguments": [], **meta}),
        "arguments of a prompt": ("prompts/get", {"name": "debug_oauth", "arguments": [], **meta}),
        "inputResponses": ("tools/call", {"name": READ_TOOL, "arguments": {}, "inputResponses": [], **meta}),
    }
    if era == "modern":
        for name, value in {
            "capabilities": [],
            "a capability": {"elicitation": []},
            "a part of one": {"elicitation": {"form": []}, "sampling": {"tools": []}},
            "experimental": {"experimental": {"x": []}},
            "extensions": {"extensions": {"io.modelcontextprotocol/ui": []}},
        }.items():
            found[name] = ("tools/list", {"_meta": {**META, CAPABILITIES: value}})
        return found
    opening = {"protocolVersion": "2025-11-25", "clientInfo": {"name": "test", "version": "1"}}
    found |= {
        "params": ("tools/list", []),
        "params of a ping": ("ping", []),
        "_meta": ("tools/list", {"_meta": []}),
        "_meta of a call": ("tools/call", {"name": READ_TOOL, "arguments": [], "_meta": []}),
        "capabilities": ("initialize", {**opening, "capabilities": []}),
        "a capability": ("initialize", {**opening, "capabilities": {"roots": [], "sampling": []}}),
        "a part of one": ("initialize", {**opening, "capabilities": {"tasks": {"list": [], "requests": []}}}),
        "experimental": ("initialize", {**opening, "capabilities": {"experimental": []}}),
    }
    return found


@pytest.mark.parametrize(("era", "case"), [(era, case) for era in ERAS for case in _empty(era)])
async def test_an_empty_array_stands_for_an_empty_object(
    shared: Running, http: httpx2.AsyncClient, era: Era, case: str
) -> None:
    method, params = _empty(era)[case]
    reply = await _send(http, shared, era, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    found = result(reply)
    assert not found.get("isError"), found


async def test_a_notification_with_empty_params_is_taken(shared: Running, http: httpx2.AsyncClient) -> None:
    for era in ERAS:
        sent = {"jsonrpc": "2.0", "method": "notifications/initialized", "params": []}
        assert (await _send(http, shared, era, sent)).status_code == 202


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "params": ({"method": "tools/list", "params": [1]}, -32600, "params must be an object"),
    "params as text": ({"method": "tools/list", "params": "{}"}, -32600, "params must be an object"),
    "jsonrpc": ({"jsonrpc": "1.0", "method": "tools/list"}, -32600, 'jsonrpc must be "2.0"'),
    "method": ({"method": ["tools/list"]}, -32600, "method must be a string"),
    "neither": ({}, -32600, "has the member method, result or error"),
    "arguments": (
        {"method": "tools/call", "params": {"name": READ_TOOL, "arguments": [1]}},
        -32602,
        "params.arguments: must be an object",
    ),
    "arguments as text": (
        {"method": "tools/call", "params": {"name": READ_TOOL, "arguments": "{}"}},
        -32602,
        "params.arguments: must be an object",
    ),
    "name": ({"method": "tools/call", "params": {"arguments": {}}}, -32602, "params.name"),
    "name is null": ({"method": "tools/call", "params": {"name": None, "arguments": {}}}, -32602, "params.name"),
    "uri": ({"method": "resources/read", "params": {"uri": None}}, -32602, "params.uri"),
    "cursor": ({"method": "tools/list", "params": {"cursor": 1}}, -32602, "params.cursor"),
}


@eras
@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_member_is_named_in_the_answer_to_its_request(
    shared: Running, http: httpx2.AsyncClient, era: Era, case: str
) -> None:
    more, code, sentence = WRONG[case]
    sent: dict[str, Any] = {"jsonrpc": "2.0", "id": 6, **more}
    if era == "modern" and isinstance(sent.get("params", {}), dict):
        sent["params"] = {**sent.get("params", {}), "_meta": META}
    reply = await _send(http, shared, era, sent)
    assert _error(reply)[:2] == (code, 6), reply.text
    assert sentence in _error(reply)[2]


@pytest.mark.parametrize("member", ["clientInfo", "capabilities", "protocolVersion"])
async def test_a_wrong_member_of_the_handshake_is_named(shared: Running, http: httpx2.AsyncClient, member: str) -> None:
    opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    reply = await _send(http, shared, "legacy", message("legacy", "initialize", {**opening, member: [1]}))
    assert _error(reply)[:2] == (-32602, 1)
    kind = "string" if member == "protocolVersion" else "object"
    assert (
        _error(reply)[2] == f"The parameters do not fit. params.{member}: must be a{'n' * (kind == 'object')} {kind}."
    )


async def test_a_wrong_value_is_not_repeated(shared: Running, http: httpx2.AsyncClient) -> None:
    for era in ERAS:
        sent = message(era, "tools/call", {"name": READ_TOOL, "arguments": "my secret words"})
        reply = await _send(http, shared, era, sent)
        assert _error(reply)[0] == -32602
        assert "secret" not in reply.text
