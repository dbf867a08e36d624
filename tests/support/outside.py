"""A server seen from outside its code: the rows of its database, what a token opens, how an error must look."""

from contextlib import AsyncExitStack
from typing import Any

import httpx2

from oauth_server.core.limits import bucket_key
from tests.support.databases import every_row, sql
from tests.support.oauth import OAuthClient
from tests.support.server import Running

Rows = dict[str, list[tuple[Any, ...]]]
MCP_HEADERS = {"Accept": "application/json, text/event-stream"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
_ERROR_MEMBERS = {"error", "error_description", "error_uri"}


LOG = ("audit", "audit_heads", "audit_anchors")


def rows(server: Running) -> Rows:
    """Every row of every table but the audit log, which tells of refused requests too.

    Without what is written by itself: whose turn it is to keep house, once a minute, and how full the buckets of many
    requests are, each second.
    """
    found = every_row(server.location)
    found["meta"] = [row for row in found["meta"] if row[0] != "housekeeping"]
    buckets = {bucket_key(f"rate {policy.name}", key) for policy, key in server.services.rate_limits._buckets}
    found["failed_attempts"] = [row for row in found["failed_attempts"] if row[0] not in buckets]
    return {name: rows for name, rows in found.items() if name not in LOG}


def logged(server: Running, event: str) -> list[tuple[str, str, str, str]]:
    """The audit events of this name, oldest first: who, which client, from where, and the detail."""
    return [row[4:8] for row in sorted(every_row(server.location)["audit"]) if row[2] == event]


def audited(server: Running) -> list[tuple[str, str, str, str]]:
    """The audit log, oldest first: event, outcome, client_id, detail."""
    return sql(server.location, "SELECT event, outcome, client_id, detail FROM audit ORDER BY id")


def stored(server: Running) -> bytes:
    """Everything at rest: SQLite's file, its write-ahead log and the rest of its family; each value in PostgreSQL."""
    if server.location.startswith("sqlite"):
        files = sorted(server.database.parent.glob(f"{server.database.name}*"))
        assert any(file.name.endswith("-wal") for file in files), files
        return b"".join(file.read_bytes() for file in files)
    values = (value for found in every_row(server.location).values() for row in found for value in row)
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)


def bearer(token: str) -> dict[str, str]:
    """The Authorization header of an access token."""
    return {"Authorization": f"Bearer {token}"}


async def opens(server: Running, token: str) -> tuple[int, int]:
    """What this token gets as an access token: the statuses of /mcp and of /oauth/test."""
    async with server.client() as http:
        mcp = await http.post("/mcp", json=PING, headers={**MCP_HEADERS, **bearer(token)})
        test = await http.get("/oauth/test", headers=bearer(token))
    return mcp.status_code, test.status_code


async def registered(closing_stack: AsyncExitStack, server: Running, **metadata: Any) -> OAuthClient:
    """A dynamically registered client, closed at the end of the test."""
    client = await OAuthClient.register(server, **metadata)
    closing_stack.push_async_callback(client.close)
    return client


def assert_error(reply: httpx2.Response, status: int, error: str) -> None:
    """Require the error object of RFC 6749 section 5.2, its headers included."""
    assert reply.status_code == status, (reply.status_code, reply.text)
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert body["error"] == error, body
    assert set(body) <= _ERROR_MEMBERS, body
    assert_printable(body["error_description"])
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["pragma"] == "no-cache"
    assert "location" not in reply.headers
    if status == 401:  # whatever the client tried, or did not try (RFC 9110 section 15.5.2)
        assert reply.headers["www-authenticate"].startswith('Basic realm="')
    else:
        assert "www-authenticate" not in reply.headers


def assert_printable(description: str) -> None:
    """Require the characters of error_description (RFC 6749 appendix A.8)."""
    allowed = {0x20, 0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F)}
    assert description
    assert {ord(character) for character in description} <= allowed, description
