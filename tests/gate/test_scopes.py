"""Each tool and resource asks for the scope of the table, and 403 says exactly which one is missing."""

from typing import Any

import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.mcp_http import (
    ERAS,
    READ_TOOL,
    Era,
    add_user,
    ask,
    call,
    challenge_of,
    client_ids,
    read,
    result,
    token_for,
)
from tests.support.server import Running

eras = pytest.mark.parametrize("era", ERAS)

Operation = tuple[str, dict[str, Any]]
CHECK, REGISTER = "mcp_oauth_check_compliance", "mcp_oauth_register_client"
ELSEWHERE = "https://192.0.2.1/mcp"  # RFC 5737: nobody's, so it is refused without asking a resolver


def _tool(name: str, **arguments: Any) -> Operation:
    return "tools/call", {"name": name, "arguments": arguments}


def _resource(uri: str) -> Operation:
    return "resources/read", {"uri": uri}


READS = [
    _tool("mcp_oauth_protected_resource_metadata"),
    _tool("mcp_oauth_authorization_server_metadata"),
    _tool("mcp_oauth_validate_token", token="x"),
    _tool(READ_TOOL),
    _tool(CHECK, server_url=""),
    *(
        _resource(f"oauth://{name}")
        for name in ("protected-resource", "authorization-server", "openid-configuration", "jwks", "me", "compliance")
    ),
    _resource("ui://oauth/compliance.html"),
]
WRITES = [_tool(REGISTER, redirect_uris=["http://localhost/cb"]), _tool(CHECK, server_url=ELSEWHERE)]
ADMINS = [
    _tool(CHECK, depth="active"),
    _tool(CHECK, depth="adversarial"),
    *(
        _resource(f"oauth://{name}")
        for name in ("configuration", "clients", "clients/mcp-docker-server-default", "grants", "audit")
    ),
]
TABLE = [
    *((operation, "mcp:read") for operation in READS),
    *((operation, "mcp:write") for operation in WRITES),
    *((operation, "mcp:admin") for operation in ADMINS),
]
BELOW = {"mcp:read": ("openid", "offline_access"), "mcp:write": ("mcp:read",), "mcp:admin": ("mcp:read", "mcp:write")}
ABOVE = {"mcp:read": ("mcp:write", "mcp:admin"), "mcp:write": ("mcp:admin",), "mcp:admin": ()}


def _label(value: object) -> str:
    return str(value[1].get("name") or value[1].get("uri")) if isinstance(value, tuple) else str(value)


table = pytest.mark.parametrize(("operation", "needed"), TABLE, ids=_label)


@eras
@table
@pytest.mark.requirement("attack-66", "regression-6", "RS-14", "RS-15", "RS-16", "RS-17", "RS-18", "attack-77")
async def test_a_missing_scope_is_403_with_exactly_the_scope_of_this_operation(
    shared: Running, http: httpx2.AsyncClient, era: Era, operation: Operation, needed: str
) -> None:
    before = await client_ids(shared)
    reply = await ask(http, era, *operation, await token_for(shared, *BELOW[needed]))
    assert reply.status_code == 403
    assert challenge_of(reply) == {
        "error": "insufficient_scope",
        "error_description": f"This operation needs the scope {needed}.",
        "resource_metadata": f"{shared.url}/.well-known/oauth-protected-resource/mcp",
        "scope": needed,
    }
    sentence = f"This operation needs the scope {needed}."
    assert reply.json()["jsonrpc"] == "2.0"
    assert reply.json()["id"] == 1
    assert reply.json()["error"] == {
        "code": -32600,
        "message": sentence,
        "data": {"error": "insufficient_scope", "error_description": sentence},
    }
    assert reply.headers["cache-control"] == "no-store"
    assert await client_ids(shared) == before


@eras
@table
@pytest.mark.requirement("attack-66", "RS-08", "RS-19")
async def test_the_scope_itself_and_every_scope_that_includes_it_is_enough(
    shared: Running, http: httpx2.AsyncClient, era: Era, operation: Operation, needed: str
) -> None:
    for held in (needed, *ABOVE[needed]):
        reply = await ask(http, era, *operation, await token_for(shared, held))
        assert reply.status_code == 200, (held, reply.text)
        found = result(reply)
        if operation[1].get("arguments", {}).get("server_url") != ELSEWHERE:
            assert not found.get("isError"), found


@eras
@pytest.mark.requirement("attack-77", "RS-17")
async def test_another_server_url_needs_write_whatever_its_disguise(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    token = await token_for(shared, "mcp:read")
    own = f"http://localhost:{shared.port}"
    foreign = [
        f"{own}.evil.example/mcp", f"{own}@evil.example/mcp", f"{own}/mcp-evil", f"{own}/mcp/../x", "http://127.0.0.1:1/mcp",
        "http://169.254.169.254/", "file:///etc/passwd", " ", ["https://evil.example"], {"a": 1}, 1, True,
    ]  # fmt: skip
    for server_url in foreign:
        reply = await call(http, era, CHECK, token, server_url=server_url)
        assert reply.status_code == 403, (server_url, reply.text)
        assert challenge_of(reply)["scope"] == "mcp:write"


@eras
@pytest.mark.requirement("attack-77", "RS-17")
async def test_every_depth_but_passive_needs_admin_whatever_its_disguise(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    token = await token_for(shared, "mcp:write")
    for depth in ("ACTIVE", " active", "Adversarial", "passive ", "", None, 0, ["passive"], {"passive": 1}, True):
        reply = await call(http, era, CHECK, token, depth=depth)
        assert reply.status_code == 403, (depth, reply.text)
        assert challenge_of(reply)["scope"] == "mcp:admin"


@eras
@pytest.mark.requirement("attack-77", "RS-21")
async def test_every_spelling_of_this_server_counts_as_its_own(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    token = await token_for(shared, "mcp:read")
    for host in ("localhost", "127.0.0.1", "LOCALHOST"):
        for path in ("", "/", "/mcp"):
            reply = await call(
                http, era, CHECK, token, server_url=f"HTTP://{host}:{shared.port}{path}", spec_version="x"
            )
            assert reply.status_code == 200, (host, path)


@eras
@pytest.mark.requirement("attack-66", "RS-15", "RS-31")
async def test_the_sentence_says_when_stepping_up_cannot_help(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    low = await add_user(shared, f"reader-{era}", "mcp:read")
    middle = await add_user(shared, f"writer-{era}", "mcp:read", "mcp:write")
    cannot = "This needs the scope {}, which your account may not be granted; ask the owner."
    expected = {
        (low, REGISTER): ("mcp:write", cannot),
        (middle, REGISTER): ("mcp:write", "This operation needs the scope {}."),
        (low, "oauth://audit"): ("mcp:admin", cannot),
        (middle, "oauth://audit"): ("mcp:admin", cannot),
    }
    for (subject, name), (needed, sentence) in expected.items():
        token = await token_for(shared, "mcp:read", subject=subject)
        reply = await (read(http, era, name, token) if "://" in name else call(http, era, name, token))
        found = challenge_of(reply)
        assert (reply.status_code, found["error"], found["scope"]) == (403, "insufficient_scope", needed)
        assert found["error_description"] == sentence.format(needed)


@eras
@pytest.mark.requirement("attack-66")
async def test_no_spelling_of_a_resource_goes_around_the_table(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    token = await token_for(shared, "mcp:read")
    spelled = [
        "OAUTH://audit", "oauth://AUDIT", "oauth://audit/", "oauth://audit?x", "oauth://audit#x", "oauth:///audit",
        "oauth://./audit", "oauth://%61udit", "oauth://me/../audit", "oauth://CLIENTS/mcp-docker-server-default",
        "oauth://clients/", "oauth://clients//mcp-docker-server-default", " oauth://audit", "oauth://audit ",
    ]  # fmt: skip
    for uri in spelled:
        sent = {"Mcp-Name": "=?base64?" if uri.strip() != uri else uri}
        reply = await ask(http, era, "resources/read", {"uri": uri}, token, headers=sent)
        assert reply.status_code in (200, 400, 403, 404), (uri, reply.text)
        assert '"contents"' not in reply.text, uri
        assert "redirect_uris" not in reply.text, uri


@pytest.mark.requirement("attack-66")
async def test_a_tool_called_by_notification_does_nothing(shared: Running, http: httpx2.AsyncClient) -> None:
    before = await client_ids(shared)
    body = {
        "jsonrpc": "2.0",
        "method": "tools/call",
        "params": {"name": REGISTER, "arguments": {"redirect_uris": ["http://localhost/cb"]}},
    }
    for scope in ("mcp:read", "mcp:admin"):
        sent = {
            "Authorization": f"Bearer {await token_for(shared, scope)}",
            "Accept": "application/json, text/event-stream",
        }
        reply = await http.post("/mcp", json=body, headers=sent)
        assert reply.status_code in (202, 400)
    assert await client_ids(shared) == before


@eras
@pytest.mark.requirement("attack-66", "attack-77")
async def test_registering_needs_admin_where_open_registration_is_off(make_server: MakeServer, era: Era) -> None:
    async with make_server(MCP_OAUTH_DYNAMIC_REGISTRATION="false") as server, server.client() as http:
        before = await client_ids(server)
        for held in ("mcp:read", "mcp:write"):
            reply = await call(
                http, era, REGISTER, await token_for(server, held), redirect_uris=["http://localhost/cb"]
            )
            assert (reply.status_code, challenge_of(reply)["scope"]) == (403, "mcp:admin")
        assert (await http.post("/oauth/register", json={"redirect_uris": ["http://localhost/cb"]})).status_code == 401
        assert await client_ids(server) == before
        token = await token_for(server, "mcp:admin")
        made = result(await call(http, era, REGISTER, token, redirect_uris=["http://localhost/cb"]))
        assert await client_ids(server) == before | {made["structuredContent"]["client_id"]}


@pytest.mark.requirement("attack-66", "RS-15", "RS-19")
async def test_the_test_endpoint_asks_for_read_and_says_so(shared: Running, http: httpx2.AsyncClient) -> None:
    for held, status in (("openid", 403), ("mcp:read", 200), ("mcp:admin", 200)):
        reply = await http.get("/oauth/test", headers={"Authorization": f"Bearer {await token_for(shared, held)}"})
        assert reply.status_code == status
        if status == 403:
            found = challenge_of(reply)
            assert (found["error"], found["scope"]) == ("insufficient_scope", "mcp:read")
            assert found["resource_metadata"] == f"{shared.url}/.well-known/oauth-protected-resource"
