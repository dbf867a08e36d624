"""What is not one JSON-RPC message is refused with 400, and nothing hides a call from the gate."""

import json
from typing import Any

import httpx2
import pytest

from tests.support.mcp_http import ERAS, READ_TOOL, VERSIONS, Era, client_ids, headers_for, message, token_for
from tests.support.server import Running

eras = pytest.mark.parametrize("era", ERAS)
REGISTER = "mcp_oauth_register_client"
CALL = {"name": REGISTER, "arguments": {"redirect_uris": ["http://localhost/cb"]}}

UNPARSED: dict[str, bytes] = {
    "empty": b"",
    "blank": b"   ",
    "cut off": b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"',
    "a word": b"hello",
    "two values": b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}{"jsonrpc": "2.0", "id": 2, "method": "ping"}',
    "NUL": b"\x00",
    "not UTF-8": b'{"jsonrpc": "2.0", "id": 1, "method": "\xff\xfe"}',
    "UTF-16": json.dumps(message("legacy", "tools/list")).encode("utf-16"),
    "UTF-16 without a mark": json.dumps(message("legacy", "tools/list")).encode("utf-16-le"),
    "UTF-32": json.dumps(message("legacy", "tools/list")).encode("utf-32"),
    "a form": b"method=tools/list&id=1",
    "too deep": b"[" * 100_000,
}
UNMEANT: dict[str, Any] = {
    "null": None,
    "number": 1,
    "text": "tools/list",
    "empty object": {},
    "empty batch": [],
    "batch of one": [message("legacy", "tools/list")],
    "batch with a call": [message("legacy", "ping"), message("legacy", "tools/call", CALL)],
    "no version": {"id": 1, "method": "tools/list"},
    "another version": {"jsonrpc": "1.0", "id": 1, "method": "tools/list"},
    "method is no text": {"jsonrpc": "2.0", "id": 1, "method": ["tools/call"]},
    "params is a list": {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": [CALL]},
}


async def _post(http: httpx2.AsyncClient, server: Running, era: Era, body: bytes, *scope: str) -> httpx2.Response:
    sent = headers_for(era, "tools/list", None, await token_for(server, *(scope or ("mcp:admin",))))
    return await http.post("/mcp", content=body, headers=sent)


@eras
@pytest.mark.parametrize("body", UNPARSED.values(), ids=UNPARSED.keys())
@pytest.mark.requirement("RS-14", "AS-37", "attack-76")
async def test_a_body_that_is_no_json_is_a_parse_error(
    shared: Running, http: httpx2.AsyncClient, era: Era, body: bytes
) -> None:
    reply = await _post(http, shared, era, body)
    assert reply.status_code == 400
    assert (reply.json()["jsonrpc"], reply.json()["id"], reply.json()["error"]["code"]) == ("2.0", None, -32700)


@eras
@pytest.mark.parametrize("value", UNMEANT.values(), ids=UNMEANT.keys())
@pytest.mark.requirement("RS-14", "AS-37", "TR-01", "attack-76")
async def test_json_that_is_not_one_message_is_an_invalid_request(
    shared: Running, http: httpx2.AsyncClient, era: Era, value: Any
) -> None:
    before = await client_ids(shared)
    reply = await _post(http, shared, era, json.dumps(value).encode())
    assert reply.status_code == 400
    told = value["id"] if isinstance(value, dict) and "id" in value else None
    assert (reply.json()["jsonrpc"], reply.json()["id"], reply.json()["error"]["code"]) == ("2.0", told, -32600)
    assert await client_ids(shared) == before


@pytest.mark.parametrize("where", ["method", "name", "params"])
@pytest.mark.parametrize("order", [1, -1])
@eras
@pytest.mark.requirement("attack-66", "RS-12")
async def test_a_repeated_member_never_lets_a_call_pass_as_another(
    shared: Running, http: httpx2.AsyncClient, era: Era, where: str, order: int
) -> None:
    before = await client_ids(shared)
    meta = json.dumps(message(era, "x")["params"].get("_meta", {}))
    arguments = json.dumps(CALL["arguments"])

    def params(*names: str) -> str:
        return "{" + "".join(f'"name": "{name}", ' for name in names) + f'"arguments": {arguments}, "_meta": {meta}}}'

    tools, methods = (READ_TOOL, REGISTER)[::order], ("tools/list", "tools/call")[::order]
    forged = {
        "method": "".join(f'"method": "{method}", ' for method in methods) + f'"params": {params(REGISTER)}',
        "name": f'"method": "tools/call", "params": {params(*tools)}',
        "params": '"method": "tools/call", ' + ", ".join(f'"params": {params(tool)}' for tool in tools),
    }[where]
    token = await token_for(shared, "mcp:read")
    for named in (READ_TOOL, REGISTER):
        for method in ("tools/list", "tools/call"):
            sent = headers_for(era, method, {"name": named}, token)
            reply = await http.post("/mcp", content=f'{{"jsonrpc": "2.0", "id": 1, {forged}}}'.encode(), headers=sent)
            assert reply.status_code in (200, 400, 403), reply.text
    assert await client_ids(shared) == before


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", None, "2099-01-01"])
@pytest.mark.requirement("attack-66", "RS-12")
async def test_a_call_that_passes_for_an_answer_is_refused(
    shared: Running, http: httpx2.AsyncClient, version: str | None
) -> None:
    before = await client_ids(shared)
    token = await token_for(shared, "mcp:read")
    era: Era = "modern" if version == VERSIONS["modern"] else "legacy"
    refused = {"error": {"code": 1, "message": "x"}}, {"result": {}}, {"error": None}, {"result": 1, **CALL}
    for method, params in (("tools/call", CALL), ("resources/read", {"uri": "oauth://audit"})):
        sent = headers_for(era, method, params, token)
        sent.pop("MCP-Protocol-Version")
        sent |= {"MCP-Protocol-Version": version} if version else {}
        for more in refused:
            call = {**message(era, method, params), **more}
            for body in (call, [message("legacy", "ping"), call]):
                reply = await http.post("/mcp", json=body, headers=sent)
                assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32600), (more, reply.text)
        # Members that no message has make it no other message.
        reply = await http.post("/mcp", json={**message(era, method, params), "more": 1}, headers=sent)
        assert reply.status_code == (400 if version == "2099-01-01" else 403)
    assert await client_ids(shared) == before


@eras
@pytest.mark.requirement("attack-66", "RS-12")
async def test_headers_that_name_another_call_than_the_body_do_not_help(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    before = await client_ids(shared)
    sent = headers_for(era, "tools/call", {"name": READ_TOOL}, await token_for(shared, "mcp:read"))
    for headers in (sent, {**sent, "Mcp-Method": "tools/list"}):
        reply = await http.post("/mcp", json=message(era, "tools/call", CALL), headers=headers)
        assert reply.status_code == 403
    assert await client_ids(shared) == before


@pytest.mark.requirement("attack-66", "RS-12")
async def test_no_other_path_leads_to_mcp(shared: Running, http: httpx2.AsyncClient) -> None:
    sent = headers_for("legacy", "tools/list")
    for path in (
        "/mcp/",
        "//mcp",
        "/mcp//",
        "/MCP",
        "/%6dcp/",
        "/./mcp/",
        "/mcp/mcp",
        "/mcp;x",
        "/x/../mcp/",
        "/mcp%00",
    ):
        reply = await http.post(path, json=message("legacy", "tools/list"), headers=sent)
        assert reply.status_code in (307, 401, 404, 405), (path, reply.status_code)
        assert "mcp_oauth" not in reply.text
    encoded = await http.post("/%6dcp", json=message("legacy", "tools/list"), headers=sent)
    assert encoded.status_code == 401


@pytest.mark.requirement("attack-76")
async def test_a_body_larger_than_four_mebibytes_is_413(shared: Running, http: httpx2.AsyncClient) -> None:
    reply = await _post(http, shared, "legacy", b" " * (4 * 1024 * 1024 + 1))
    assert (reply.status_code, reply.json()["error"]) == (413, "invalid_request")
    assert "www-authenticate" not in reply.headers
    assert (await http.get("/healthz")).status_code == 200


def _batch(*messages: dict[str, Any], version: str | None = "2025-03-26") -> tuple[bytes, dict[str, str]]:
    sent = headers_for("legacy", "ping")
    del sent["MCP-Protocol-Version"]
    return json.dumps(messages).encode(), {**sent, **({"MCP-Protocol-Version": version} if version else {})}


def _events(reply: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(line[5:]) for line in reply.text.splitlines() if line.startswith("data:")]


@pytest.mark.parametrize("version", ["2025-03-26", None])
async def test_a_batch_of_the_version_that_has_them_is_answered_whole(
    shared: Running, http: httpx2.AsyncClient, version: str | None
) -> None:
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    asked = [{**message("legacy", method), "id": number} for number, method in enumerate(("ping", "tools/list", "no"))]
    body, headers = _batch(asked[0], told, *asked[1:], version=version)
    headers["Authorization"] = f"Bearer {await token_for(shared, 'mcp:read')}"
    reply = await http.post("/mcp", content=body, headers=headers)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream")
    found = {event["id"]: event for event in _events(reply)}
    assert (set(found), found[0]["result"], found[2]["error"]["code"]) == ({0, 1, 2}, {}, -32601)
    assert len(found[1]["result"]["tools"]) == 6
    body, headers_only = _batch(told, told, version=version)
    reply = await http.post("/mcp", content=body, headers={**headers, **headers_only})
    assert (reply.status_code, reply.content) == (202, b"")


@pytest.mark.requirement("attack-66", "RS-12")
async def test_no_call_hides_in_a_batch(shared: Running, http: httpx2.AsyncClient) -> None:
    before = await client_ids(shared)
    body, headers = _batch(message("legacy", "ping"), {**message("legacy", "tools/call", CALL), "id": 2})
    headers["Authorization"] = f"Bearer {await token_for(shared, 'mcp:read')}"
    reply = await http.post("/mcp", content=body, headers=headers)
    assert reply.status_code == 403
    assert 'scope="mcp:write"' in reply.headers["www-authenticate"]
    assert reply.json()["id"] == 2
    assert await client_ids(shared) == before


async def test_a_batch_is_bounded_and_holds_no_handshake(shared: Running, http: httpx2.AsyncClient) -> None:
    token = await token_for(shared, "mcp:read")
    for messages in ([], [message("legacy", "ping")] * 21, [message("legacy", "initialize")], [1], [[]]):
        body, headers = _batch(*messages)  # type: ignore[arg-type]
        reply = await http.post("/mcp", content=body, headers={**headers, "Authorization": f"Bearer {token}"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32600)


@pytest.mark.parametrize("version", ["2025-03-26", None])
async def test_a_batch_whose_headers_are_refused_is_answered_as_one_message_is(
    shared: Running, http: httpx2.AsyncClient, version: str | None
) -> None:
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    asked = message("legacy", "ping")
    token = await token_for(shared, "mcp:read")
    for more, status in (
        ({"Accept": "text/html"}, 406),
        ({"Content-Type": "text/plain"}, 400),
        ({"Content-Type": ""}, 400),
    ):
        _, headers = _batch(version=version)
        headers |= {"Authorization": f"Bearer {token}", **more}
        for one, several in ((asked, [asked, asked]), (asked, [told, asked]), (told, [told, told])):
            alone = await http.post("/mcp", content=json.dumps(one), headers=headers)
            reply = await http.post("/mcp", content=json.dumps(several), headers=headers)
            assert (alone.status_code, reply.status_code) == (status, status), reply.text
            assert reply.headers.get("content-type") == alone.headers.get("content-type")
            assert reply.text == alone.text
            assert int(reply.headers["content-length"]) == len(reply.content)
