"""Messages are decoded as the MCP SDK decodes them, whichever way is the shorter one."""

import json
from typing import Any

import hypothesis
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
    try:
        _, [found] = decode(json.dumps(raw).encode(), batches=False)
    except UndecodableError:
        found = None
    assert (type(found), found) == (type(expected), expected)


def test_a_request_is_one() -> None:
    body = b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "n"}}'
    raw, messages = decode(body, batches=False)
    assert messages == [JSONRPCRequest(jsonrpc="2.0", id=7, method="tools/call", params={"name": "n"})]
    assert raw == json.loads(body)
