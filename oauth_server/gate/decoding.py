"""The body of a POST to /mcp as JSON-RPC messages (MCP "Sending Messages to the Server")."""

from dataclasses import dataclass
from typing import Any

import pydantic_core
from mcp_types import INVALID_REQUEST, PARSE_ERROR
from mcp_types.jsonrpc import JSONRPCMessage, JSONRPCRequest

from oauth_server.gate import batch
from oauth_server.gate.message import UndecodableError, correct, decode_message


@dataclass(frozen=True, slots=True)
class Decoded:
    """A body: `raw` as JSON, its `messages`, and the `body` that says the same to the SDK."""

    raw: Any
    messages: list[JSONRPCMessage]
    body: bytes

    @property
    def request(self) -> JSONRPCRequest | None:
        """The one request, None for a notification, an answer or a batch."""
        one = self.messages[0]
        return one if not isinstance(self.raw, list) and isinstance(one, JSONRPCRequest) else None


def decode(body: bytes, *, batches: bool) -> Decoded:
    """Decode a body with one message, or with a batch where the protocol version has batches."""
    try:
        raw = pydantic_core.from_json(body)
    except ValueError as error:
        raise UndecodableError(PARSE_ERROR, f"Parse error: {error}") from None
    several = isinstance(raw, list) and batches
    if several and not 0 < len(raw) <= batch.MOST:
        raise UndecodableError(INVALID_REQUEST, f"A batch has between 1 and {batch.MOST} messages")
    items = raw if several else [raw]
    changes = [correct(item) for item in items]
    if any(changes):
        body = pydantic_core.to_json(raw)
    messages = [decode_message(item) for item in items]
    if several and any(isinstance(item, JSONRPCRequest) and item.method == "initialize" for item in messages):
        raise UndecodableError(INVALID_REQUEST, "initialize is sent by itself, not in a batch")
    return Decoded(raw, messages, body)
