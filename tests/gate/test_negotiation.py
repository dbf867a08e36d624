"""Header fields as clients and proxies write them: which form an answer has, media types, the protocol version."""

import json
from typing import Any

import httpx2
import pytest

from tests.support.mcp_http import ERAS, READ_TOOL, VERSIONS, Era, answer, headers_for, message, result, token_for
from tests.support.oauth import OAuthClient
from tests.support.server import Running

eras = pytest.mark.parametrize("era", ERAS)
JSON, STREAM = "application/json", "text/event-stream"
CALL = ("tools/call", {"name": READ_TOOL, "arguments": {}})
PING = ("tools/list", None)
SUPPORTED = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]

# What allows JSON and does not name the stream.
ONLY_JSON: list[list[str]] = [
    [],
    [""],
    ["*/*"],
    [JSON],
    ["application/json; charset=utf-8"],
    ["application/json;q=0.5, */*;q=0.1"],
    ["APPLICATION/JSON"],
    ["application/*"],
    ["application/json, application/json"],
    [JSON, JSON],
    ["text/html, */*"],
    ["application/json, text/event-stream;q=0"],
    ["*/*, text/event-stream;q=0.0"],
]
ONLY_STREAM: list[list[str]] = [
    [STREAM],
    ["text/event-stream; charset=utf-8"],
    ["text/*"],
    ["Text/Event-Stream, text/event-stream"],
    [STREAM, STREAM],
    ["*/*, application/json;q=0, text/event-stream"],
    ["text/event-stream, application/json;q=0"],
]
BOTH: list[list[str]] = [
    [f"{JSON}, {STREAM}"],
    [f"{STREAM};q=0.9, {JSON};q=0.8, {STREAM}"],
    [JSON, STREAM],
    [f"{STREAM}, */*"],
]
NEITHER = [["text/html"], ["image/*"], ["*/*;q=0"], ["application/json;q=0"], ["application/jsonx"], ["json"]]


async def _post(
    http: httpx2.AsyncClient,
    server: Running,
    era: Era,
    body: Any,
    accept: list[str] | None = None,
    *more: tuple[str, str],
    without: tuple[str, ...] = (),
) -> httpx2.Response:
    one = body[0] if isinstance(body, list) else body
    sent = headers_for(era, one["method"], one.get("params"), await token_for(server, "mcp:read"))
    if accept is not None:
        without = (*without, "Accept")
    fields = [(name, value) for name, value in sent.items() if name not in without]
    fields += [("Accept", value) for value in accept or []]
    request = http.build_request("POST", "/mcp", content=json.dumps(body))
    request.headers = httpx2.Headers([("Host", request.headers["host"]), *fields, *more])
    request.headers["Content-Length"] = str(len(request.content))
    return await http.send(request)


@eras
@pytest.mark.parametrize("accept", ONLY_JSON, ids=str)
@pytest.mark.requirement("TR-03")
async def test_json_is_the_answer_where_a_stream_was_not_asked_for(
    shared: Running, http: httpx2.AsyncClient, era: Era, accept: list[str]
) -> None:
    for method, params in (PING, CALL):
        reply = await _post(http, shared, era, message(era, method, params), accept)
        assert (reply.status_code, reply.headers["content-type"]) == (200, JSON), reply.text
        assert int(reply.headers["content-length"]) == len(reply.content)
        assert reply.json()["id"] == 1
        assert "result" in reply.json()
    reply = await _post(http, shared, era, message(era, "no/such"), accept)
    assert reply.headers["content-type"] == JSON
    assert (reply.json()["id"], reply.json()["error"]["code"]) == (1, -32601)


@eras
@pytest.mark.parametrize("accept", ONLY_STREAM, ids=str)
@pytest.mark.requirement("TR-03")
async def test_a_stream_is_the_answer_where_nothing_else_was_asked_for(
    shared: Running, http: httpx2.AsyncClient, era: Era, accept: list[str]
) -> None:
    for method, params in (PING, CALL):
        reply = await _post(http, shared, era, message(era, method, params), accept)
        assert (reply.status_code, reply.headers["content-type"]) == (200, STREAM), reply.text
        assert reply.headers["x-accel-buffering"] == "no"
        assert "content-length" not in reply.headers
        assert reply.text.startswith("event: message\r\ndata: ")
        assert reply.text.endswith("\r\n\r\n")
        assert "result" in answer(reply)


@eras
@pytest.mark.parametrize("accept", BOTH, ids=str)
async def test_a_client_that_takes_both_is_answered_in_either(
    shared: Running, http: httpx2.AsyncClient, era: Era, accept: list[str]
) -> None:
    reply = await _post(http, shared, era, message(era, *CALL), accept)
    assert reply.headers["content-type"] == {"legacy": STREAM, "modern": JSON}[era]
    assert result(reply)["content"]


@eras
@pytest.mark.parametrize("accept", NEITHER, ids=str)
async def test_what_allows_neither_is_told_what_would_be_right(
    shared: Running, http: httpx2.AsyncClient, era: Era, accept: list[str]
) -> None:
    for body in (message(era, *PING), {"jsonrpc": "2.0", "method": "notifications/initialized"}):
        reply = await _post(http, shared, era, body, accept)
        assert (reply.status_code, reply.json()["error"]["code"]) == (406, -32600)
        assert reply.json()["error"]["message"] == "Accept must allow application/json or text/event-stream"


@eras
async def test_what_is_told_on_the_way_is_left_out_of_json(shared: Running, http: httpx2.AsyncClient, era: Era) -> None:
    sent = message(era, "tools/call", {"name": "mcp_oauth_check_compliance", "arguments": {}})
    sent["params"].setdefault("_meta", {})["progressToken"] = 1
    told = await _post(http, shared, era, sent, [f"{JSON}, {STREAM}"])
    assert told.text.count("notifications/progress") > 10
    reply = await _post(http, shared, era, sent, [JSON])
    assert (reply.status_code, reply.headers["content-type"]) == (200, JSON)
    assert "structuredContent" in reply.json()["result"]
    assert "notifications/progress" not in reply.text


async def test_a_batch_is_answered_as_an_array_where_json_was_asked_for(
    shared: Running, http: httpx2.AsyncClient
) -> None:
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    asked = [{**message("legacy", method), "id": number} for number, method in enumerate(("ping", "tools/list", "no"))]
    version = ("MCP-Protocol-Version", "2025-03-26")
    for accept in ONLY_JSON:
        reply = await _post(http, shared, "legacy", [*asked, told], accept, version, without=("MCP-Protocol-Version",))
        assert (reply.status_code, reply.headers["content-type"]) == (200, JSON), reply.text
        assert [item["id"] for item in reply.json()] == [0, 1, 2]
        assert ["result" in item for item in reply.json()] == [True, True, False]
        reply = await _post(http, shared, "legacy", [told], accept, version, without=("MCP-Protocol-Version",))
        assert (reply.status_code, reply.content) == (202, b"")
    reply = await _post(http, shared, "legacy", asked, [STREAM], version, without=("MCP-Protocol-Version",))
    assert (reply.headers["content-type"], reply.text.count("data: ")) == (STREAM, 3)


ONE_TYPE = [
    [JSON],
    ["application/json; charset=utf-8"],
    ["Application/JSON;charset=UTF-8"],
    ["application/json, application/json"],
    ["application/json; charset=utf-8, application/json"],
    [JSON, "application/json; charset=utf-8"],
    ['application/json; profile="a,b"'],
]
OTHER_TYPES = [
    [],
    [""],
    ["text/plain"],
    ["application/jsonx"],
    ["application/json-seq"],
    ["application/json, text/plain"],
    ["text/plain, application/json"],
    [JSON, "text/plain"],
    ["json"],
]


@eras
@pytest.mark.parametrize("types", ONE_TYPE, ids=str)
async def test_json_is_taken_with_parameters_and_named_twice(
    shared: Running, http: httpx2.AsyncClient, era: Era, types: list[str]
) -> None:
    more = [("Content-Type", value) for value in types]
    reply = await _post(http, shared, era, message(era, *CALL), None, *more, without=("Content-Type",))
    assert result(reply)["content"]


@eras
@pytest.mark.parametrize("types", OTHER_TYPES, ids=str)
async def test_another_media_type_is_told_which_would_be_right(
    shared: Running, http: httpx2.AsyncClient, era: Era, types: list[str]
) -> None:
    more = [("Content-Type", value) for value in types]
    reply = await _post(http, shared, era, message(era, *CALL), None, *more, without=("Content-Type",))
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32600)
    assert reply.json()["error"]["message"] == "Content-Type must be application/json"


async def test_the_endpoints_of_oauth_take_the_same(client: OAuthClient) -> None:
    form = "application/x-www-form-urlencoded"
    for types in ([form], [f"{form};charset=UTF-8"], [f"{form}, {form}"], [form, f"{form}; charset=utf-8"]):
        headers = [("Content-Type", value) for value in types]
        reply = await client.http.post("/oauth/token", content="grant_type=x", headers=headers)
        assert (reply.status_code, reply.json()["error"]) == (400, "unsupported_grant_type"), types
    for types in ONE_TYPE:
        headers = [("Content-Type", value) for value in types]
        body = json.dumps({"redirect_uris": ["http://localhost/twice"]})
        assert (await client.http.post("/oauth/register", content=body, headers=headers)).status_code == 201, types
    for types in ([f"{form}, text/plain"], [form, JSON], [JSON], []):
        headers = [("Content-Type", value) for value in types]
        reply = await client.http.post("/oauth/token", content="grant_type=x", headers=headers)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request"), types


UNKNOWN = ["", "2099-01-01", "2026-07-28, 2026-07-28", "draft", "1", "2026-07-28;x"]


@pytest.mark.parametrize("version", UNKNOWN)
@pytest.mark.parametrize("kind", ["with _meta", "without", "handshake", "notification"])
@pytest.mark.requirement("TR-06", "TR-16")
async def test_an_unknown_version_is_told_those_that_are_served(
    shared: Running, http: httpx2.AsyncClient, version: str, kind: str
) -> None:
    sent: dict[str, Any] = {
        "with _meta": message("modern", "tools/list"),
        "without": message("legacy", "tools/list"),
        "handshake": message("legacy", "initialize"),
        "notification": {"jsonrpc": "2.0", "method": "notifications/initialized"},
    }[kind]
    if kind == "with _meta":
        sent["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = version
    more = ("MCP-Protocol-Version", version)
    reply = await _post(http, shared, "modern", sent, None, more, without=("MCP-Protocol-Version",))
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (reply.json()["id"], error["code"]) == (sent.get("id"), -32022)
    # As server/discover names them, where the request is of the version that has it.
    supported = SUPPORTED[-1:] if kind == "with _meta" else SUPPORTED
    assert error["data"] == {"supported": supported, "requested": version}
    assert "MCP-Protocol-Version" in error["message"]


async def test_no_version_and_every_supported_one_are_served(shared: Running, http: httpx2.AsyncClient) -> None:
    for version in [None, *SUPPORTED]:
        era: Era = "modern" if version == VERSIONS["modern"] else "legacy"
        more = [] if version is None else [("MCP-Protocol-Version", version)]
        reply = await _post(
            http, shared, era, message(era, "tools/list"), None, *more, without=("MCP-Protocol-Version",)
        )
        assert len(result(reply)["tools"]) == 6
