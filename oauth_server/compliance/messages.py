"""MCP messages as a client of each version sends them (Streamable HTTP transport)."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from oauth_server.compliance.model import VERSIONS, SpecVersion

CLIENT: Final = {"name": "mcp-oauth-audit", "version": "1"}
META: Final = "io.modelcontextprotocol/"
ID: Final = 1  # of every request
NAMES: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


def modern(version: SpecVersion) -> bool:
    """Say whether each request of this version stands alone (since 2026-07-28)."""
    return VERSIONS.index(version) >= VERSIONS.index("2026-07-28")


def first(version: SpecVersion) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the first request: `server/discover`, before 2026-07-28 `initialize`."""
    if modern(version):
        return request(version, "server/discover")
    return request(
        version, "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT}, named=False
    )


def request(
    version: SpecVersion, method: str, params: Mapping[str, Any] | None = None, *, named: bool = True
) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a request; `named`: with the version's header, which `initialize` goes without."""
    fields = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    if named:
        fields["MCP-Protocol-Version"] = version
    content: dict[str, Any] = dict(params or {})
    if modern(version):
        fields |= {"Mcp-Method": method, **_named(method, content)}
        meta = {"protocolVersion": version, "clientCapabilities": {}, "clientInfo": CLIENT}
        content["_meta"] = {META + name: value for name, value in meta.items()}
    return fields, json.dumps({"jsonrpc": "2.0", "id": ID, "method": method, "params": content}).encode()


def _named(method: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Return the header that repeats what a request is about (2026-07-28, Standard Request Headers)."""
    value = params.get(NAMES.get(method, ""))
    if not isinstance(value, str):
        return {}
    plain = value.isascii() and value.isprintable() and value == value.strip() and not value.startswith("=?base64?")
    return {"Mcp-Name": value if plain else f"=?base64?{base64.b64encode(value.encode()).decode()}?="}


def notification(version: SpecVersion, method: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a notification, which has no id."""
    fields, body = request(version, method)
    message = json.loads(body)
    del message["id"]
    return fields, json.dumps(message).encode()
