"""MCP messages as a client of each version sends them (Streamable HTTP transport)."""

import json
from collections.abc import Mapping
from typing import Any, Final

from oauth_server.compliance.model import VERSIONS, SpecVersion

CLIENT: Final = {"name": "mcp-oauth-audit", "version": "1"}
META: Final = "io.modelcontextprotocol/"


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
        fields["Mcp-Method"] = method
        meta = {"protocolVersion": version, "clientCapabilities": {}, "clientInfo": CLIENT}
        content["_meta"] = {META + name: value for name, value in meta.items()}
    return fields, json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": content}).encode()
