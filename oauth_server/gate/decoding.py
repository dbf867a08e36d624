"""The body of a POST to /mcp as JSON-RPC messages (JSON-RPC 2.0 section 5.1, MCP "Sending Messages")."""

from typing import Any

import pydantic_core
from mcp_types import INVALID_REQUEST, PARSE_ERROR
from mcp_types.jsonrpc import JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

from oauth_server.gate import batch


class UndecodableError(Exception):
    """A body that is not one JSON-RPC message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def _message(raw: object) -> object:
    """One message, as the SDK decodes it whichever protocol version the client named; raises ValidationError."""
    # Of 2026-07-28 the SDK takes all that fits a request for one, of the versions before what fits best of all kinds.
    # Both read the same where nothing is a request and an answer at once, which JSON-RPC does not know.
    if isinstance(raw, dict) and "method" in raw and ("result" in raw or "error" in raw):
        raise UndecodableError(INVALID_REQUEST, "A JSON-RPC 2.0 message is a request or an answer, not both")
    try:
        return JSONRPCRequest.model_validate(raw, by_name=False)
    except ValidationError:
        return jsonrpc_message_adapter.validate_python(raw, by_name=False)


def decode(body: bytes, *, batches: bool) -> tuple[Any, list[object]]:
    """The body as JSON, and its message or messages, decoded by the SDK's own models so that both read the same."""
    try:
        raw = pydantic_core.from_json(body)
    except ValueError as error:
        raise UndecodableError(PARSE_ERROR, f"Parse error: {error}") from None
    several = isinstance(raw, list) and batches
    if several and not 0 < len(raw) <= batch.MOST:
        raise UndecodableError(INVALID_REQUEST, f"A batch has between 1 and {batch.MOST} messages")
    try:
        messages: list[object] = [_message(item) for item in (raw if several else [raw])]
    except ValidationError:
        raise UndecodableError(INVALID_REQUEST, "The body must be one JSON-RPC 2.0 message") from None
    if several and any(isinstance(item, JSONRPCRequest) and item.method == "initialize" for item in messages):
        raise UndecodableError(INVALID_REQUEST, "initialize is sent by itself, not in a batch")
    return raw, messages
