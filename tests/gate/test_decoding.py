"""Messages are decoded as the MCP SDK decodes them, whichever way is the shorter one."""

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from mcp_types.jsonrpc import JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

from oauth_server.gate.decoding import UndecodableError, decode

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


def _is_both(raw: object) -> bool:
    return isinstance(raw, dict) and "method" in raw and bool(raw.keys() & {"result", "error"})


@hypothesis.given(MESSAGES | VALUES)
@hypothesis.example({"jsonrpc": "2.0", "id": None, "method": "x"})
@hypothesis.example({"jsonrpc": "2.0", "id": 1.0, "method": "x", "params": {}})
@hypothesis.example({"jsonrpc": "2.0", "id": True, "method": "x"})
@hypothesis.example({"jsonrpc": "2.0", "id": 1, "method": "x", "result": {}})
def test_a_message_is_what_the_sdk_takes_it_for(raw: object) -> None:
    try:
        expected: object = jsonrpc_message_adapter.validate_python(raw, by_name=False)
    except ValidationError:
        expected = None
    if _is_both(raw):
        expected = None  # a request or an answer, as the reader likes
    try:
        _, [found] = decode(json.dumps(raw).encode(), batches=False)
    except UndecodableError:
        found = None
    assert (type(found), found) == (type(expected), expected)


@hypothesis.given(st.lists(MESSAGES, min_size=1, max_size=3))
@hypothesis.example([{"jsonrpc": "2.0", "id": 1, "method": "x", "error": {"code": 1, "message": "x"}}])
@hypothesis.example([{"jsonrpc": "2.0", "id": 1, "method": "x", "params": {}, "result": {}, "more": 1}])
@pytest.mark.requirement("attack-66", "RS-12")
def test_what_the_sdk_can_take_for_a_request_is_judged_as_that_request_or_refused(several: list[object]) -> None:
    # The SDK reads a body of 2026-07-28 as a request whatever else it may be, and one of before as what fits best.
    for raw in (*several, several):
        try:
            found = decode(json.dumps(raw).encode(), batches=isinstance(raw, list))[1]
        except UndecodableError:
            continue
        for item, message in zip(raw if isinstance(raw, list) else [raw], found, strict=True):
            try:
                assert message == JSONRPCRequest.model_validate(item)
            except ValidationError:
                assert not isinstance(message, JSONRPCRequest)


def test_a_request_is_one() -> None:
    body = b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "n"}}'
    raw, messages = decode(body, batches=False)
    assert messages == [JSONRPCRequest(jsonrpc="2.0", id=7, method="tools/call", params={"name": "n"})]
    assert raw == json.loads(body)
