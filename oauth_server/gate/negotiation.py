"""Header fields of a POST to /mcp: media types, and the protocol version (MCP transports "Streamable HTTP")."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mcp_types import INVALID_REQUEST, PROTOCOL_VERSION_META_KEY, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.jsonrpc import JSONRPCRequest
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from oauth_server.core import media_types
from oauth_server.gate.answers import Form
from oauth_server.gate.fields import values
from oauth_server.gate.message import UndecodableError

VERSION = b"mcp-protocol-version"
_MEDIA_TYPES = {b"accept": b"application/json, text/event-stream", b"content-type": b"application/json"}
_NOT_ACCEPTABLE = 406


def answer_form(scope: Mapping[str, Any]) -> Form:
    """The form in which the client takes the answer; raises UndecodableError where no answer or body would fit."""
    return _answer_form(tuple(values(scope, b"accept")), tuple(values(scope, b"content-type")))


@lru_cache(maxsize=32)  # clients have a few spellings, and reading one takes 3 % of a request
def _answer_form(accept: tuple[str, ...], content_type: tuple[str, ...]) -> Form:
    ranges = media_types.weights(accept)
    json, stream = (media_types.weight(ranges, name) > 0 for name in ("application/json", "text/event-stream"))
    if not json and not stream:
        told = "Accept must allow application/json or text/event-stream"
        raise UndecodableError(INVALID_REQUEST, told, status=_NOT_ACCEPTABLE)
    if media_types.named(content_type) != "application/json":
        raise UndecodableError(INVALID_REQUEST, "Content-Type must be application/json")
    if not json:
        return "stream"
    # A stream is for who names it: `*/*` is what HTTP libraries send of themselves, and many of them read no stream.
    return "either" if stream and "text/event-stream" in ranges else "json"


def for_the_sdk(scope: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """The header fields with the media types as the MCP SDK reads them, which have been judged here."""
    kept = [(name, value) for name, value in scope["headers"] if name not in _MEDIA_TYPES]
    return [*kept, *_MEDIA_TYPES.items()]


def check_version(scope: Mapping[str, Any], request: JSONRPCRequest | None) -> None:
    """Raise UndecodableError for a version that is not served; without the header it is 2025-03-26 (TR-06).

    `request`: the one request of the body, None for anything else.
    """
    for version in values(scope, VERSION):
        if version not in KNOWN_PROTOCOL_VERSIONS:
            # A request that names its version itself, as 2026-07-28 has it, is told what server/discover tells.
            meta = ((request.params if request else None) or {}).get("_meta")
            modern = isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta
            supported = list(MODERN_PROTOCOL_VERSIONS if modern else KNOWN_PROTOCOL_VERSIONS)
            raise UndecodableError(
                UNSUPPORTED_PROTOCOL_VERSION,
                f"MCP-Protocol-Version must be one of {', '.join(KNOWN_PROTOCOL_VERSIONS)}",
                request.id if request else None,
                data={"supported": supported, "requested": version},
            )
