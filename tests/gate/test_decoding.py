"""Messages are decoded as the MCP SDK decodes what the server hands it, whichever way is the shorter one."""

import copy
import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from mcp_types.jsonrpc import JSONRPCNotification, JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

from oauth_server.gate.decoding import decode
from oauth_server.gate.message import UndecodableError, correct

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
GOOD: dict[str, Any] = {
    "jsonrpc": st.just("2.0"),
    "id": st.integers(0, 3) | st.text(max_size=2),
    "method": st.sampled_from(("tools/call", "initialize", "x")),
    "params": st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
    "result": st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
    "error": st.just({"code": -1, "message": "m"}),
    "more": VALUES,
}
MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": GOOD["jsonrpc"]}, optional={name: good | VALUES for name, good in GOOD.items() if name != "jsonrpc"}
) | st.fixed_dictionaries({}, optional={name: good | VALUES for name, good in GOOD.items()})


def _owed_an_error(raw: object) -> bool:
    """Whether the SDK would read what is a request and an answer at once, or take a request for a notification."""
    if not isinstance(raw, dict) or "method" not in raw:
        return False
    bad_id = "id" in raw and (isinstance(raw["id"], bool) or not isinstance(raw["id"], (str, int)))
    return bad_id or bool(raw.keys() & {"result", "error"})


@hypothesis.given(MESSAGES | VALUES)
@hypothesis.example({"jsonrpc": "2.0", "id": None, "method": "x"})
@hypothesis.example({"jsonrpc": "2.0", "id": 1.0, "method": "x", "params": {}})
@hypothesis.example({"jsonrpc": "2.0", "id": True, "method": "x"})
@hypothesis.example({"jsonrpc": "2.0", "id": 1, "method": "x", "params": []})
@hypothesis.example({"jsonrpc": "2.0", "id": 1, "method": "x", "result": {}})
@hypothesis.example({"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "x"}})
def test_a_message_is_what_the_sdk_takes_it_for(raw: object) -> None:
    meant = copy.deepcopy(raw)
    correct(meant)
    try:
        expected: object = jsonrpc_message_adapter.validate_python(meant, by_name=False)
    except ValidationError:
        expected = None
    if _owed_an_error(meant):
        expected = None
    try:
        decoded = decode(json.dumps(raw).encode(), batches=False)
        [found] = decoded.messages
        # What is handed on says the same.
        assert jsonrpc_message_adapter.validate_json(decoded.body, by_name=False) == found
    except UndecodableError:
        found = None
    assert (type(found), found) == (type(expected), expected)


@hypothesis.given(MESSAGES)
@hypothesis.example({"jsonrpc": "2.0", "id": {}, "method": "x"})
def test_only_a_message_without_an_id_is_a_notification(raw: dict[str, Any]) -> None:
    try:
        [found] = decode(json.dumps(raw).encode(), batches=False).messages
    except UndecodableError:
        return
    assert isinstance(found, JSONRPCNotification) == ("id" not in raw)


@hypothesis.given(st.lists(MESSAGES, min_size=1, max_size=3))
@hypothesis.example([{"jsonrpc": "2.0", "id": 1, "method": "x", "error": {"code": 1, "message": "x"}}])
@hypothesis.example([{"jsonrpc": "2.0", "id": 1, "method": "x", "params": {}, "result": {}, "more": 1}])
@pytest.mark.requirement("attack-66", "RS-12")
def test_what_the_sdk_can_take_for_a_request_is_judged_as_that_request_or_refused(several: list[object]) -> None:
    # The SDK reads a body of 2026-07-28 as a request whatever else it may be, and one of before as what fits best.
    for raw in (*several, several):
        try:
            found = decode(json.dumps(raw).encode(), batches=isinstance(raw, list)).messages
        except UndecodableError:
            continue
        for item, message in zip(raw if isinstance(raw, list) else [raw], found, strict=True):
            correct(item)
            try:
                assert message == JSONRPCRequest.model_validate(item)
            except ValidationError:
                assert not isinstance(message, JSONRPCRequest)


def test_a_request_is_one() -> None:
    body = b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "n"}}'
    found = decode(body, batches=False)
    assert found.messages == [JSONRPCRequest(jsonrpc="2.0", id=7, method="tools/call", params={"name": "n"})]
    assert (found.raw, found.body) == (json.loads(body), body)


def test_what_was_corrected_is_handed_on_corrected() -> None:
    found = decode(b'{"jsonrpc": "2.0", "id": 7.0, "method": "x", "params": []}', batches=False)
    assert found.messages == [JSONRPCRequest(jsonrpc="2.0", id=7, method="x", params={})]
    assert json.loads(found.body) == {"jsonrpc": "2.0", "id": 7, "method": "x", "params": {}}
    assert b"7.0" not in found.body


CLIENT = "io.modelcontextprotocol/clientCapabilities"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"result": []}, {"result": {}}),
        ({"params": {"requestId": 2.0}}, {"params": {"requestId": 2}}),
        (
            {"params": {"capabilities": {"tasks": {"requests": {"sampling": {"createMessage": []}}}}}},
            {"params": {"capabilities": {"tasks": {"requests": {"sampling": {"createMessage": {}}}}}}},
        ),
        ({"params": {"_meta": {CLIENT: {"extensions": []}}}}, {"params": {"_meta": {CLIENT: {"extensions": {}}}}}),
        # What an extension or a tool defines may be a list.
        (
            {"params": {"_meta": {CLIENT: {"extensions": {"x": []}}}}},
            {"params": {"_meta": {CLIENT: {"extensions": {"x": {}}}}}},
        ),
        ({"params": {"capabilities": {"extensions": {"x": {"types": []}}}}}, None),
        ({"params": {"capabilities": {"experimental": {"x": {"types": []}}}}}, None),
        ({"params": {"arguments": {"scopes": []}}}, None),
        ({"params": {"name": "x", "_meta": {"example.com/list": []}}}, None),
        ({"id": 1.5}, None),
        ({"id": 2.0**60}, None),
        ([], None),
    ],
)
def test_only_what_has_one_meaning_is_corrected(written: Any, meant: Any) -> None:
    found = copy.deepcopy(written)
    assert correct(found) == (meant is not None)
    assert found == (written if meant is None else meant)
