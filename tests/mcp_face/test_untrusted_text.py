"""Resources show what anonymous registrants wrote as one short line, marked: an administrator's assistant reads it."""

import json
from typing import Any

import httpx2
import pytest
from fastmcp import Client

from tests.support.mcp_http import MODES, mcp_client, token_for
from tests.support.server import Running
from tests.support.untrusted import ACTIVE, HOSTILE, ORDER, check, check_record, register

hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
modes = pytest.mark.parametrize("mode", MODES)


async def read(client: Client[Any], name: str) -> Any:
    (content,) = await client.read_resource(f"oauth://{name}")
    assert not ACTIVE.search(content.text.replace("\n", ""))
    return json.loads(content.text)


@hostile
@modes
@pytest.mark.requirement("attack-20")
async def test_resources_show_what_registrants_wrote_as_one_short_marked_line(
    server: Running, mode: str, text: str
) -> None:
    client_id = await register(server, text)
    async with mcp_client(server, await token_for(server, "mcp:admin"), mode) as client:
        listed = {entry["client_id"]: entry for entry in (await read(client, "clients"))["clients"]}
        check_record(listed[client_id], text)
        check_record(await read(client, f"clients/{client_id}"), text)
        events = [event for event in (await read(client, "audit"))["events"] if event["client_id"] == client_id]
        assert [event["event"] for event in events] == ["client.registered"]
        check(events[0]["detail"], text)
    default = next(entry for entry in listed.values() if entry["source"] == "configured")
    assert default["client_name"] == "MCP Docker Dev Server"  # the operator's own words
    assert "unverified" not in default


@hostile
@modes
@pytest.mark.requirement("attack-20")
async def test_events_of_clients_that_manage_themselves_are_marked(server: Running, mode: str, text: str) -> None:
    metadata = {"redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "client_secret_basic"}
    async with httpx2.AsyncClient(base_url=server.url) as http:
        made = (await http.post("/oauth/register", json={**metadata, "client_name": text})).json()
        place = made["registration_client_uri"]
        token = {"Authorization": f"Bearer {made['registration_access_token']}"}
        changed = {"client_id": made["client_id"], **metadata, "client_name": text}
        made = (await http.put(place, json=changed, headers=token)).json()
        token = {"Authorization": f"Bearer {made['registration_access_token']}"}
        assert (await http.delete(place, headers=token)).status_code == 204
    async with mcp_client(server, await token_for(server, "mcp:admin"), mode) as client:
        events = [e for e in (await read(client, "audit"))["events"] if e["client_id"] == made["client_id"]]
    assert {event["event"] for event in events} == {"client.registered", "client.updated", "client.deleted"}
    for event in events:
        check(event["detail"].removesuffix("; by the client"), text)


@modes
@pytest.mark.requirement("attack-20")
async def test_keys_are_shown_without_what_else_their_set_holds(server: Running, mode: str) -> None:
    key = {"kty": "EC", "crv": "P-256", "kid": HOSTILE["newlines"], "alg": "ES256", "note": ORDER}
    key |= {
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }
    metadata = {
        "redirect_uris": ["https://app.example/cb"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key], ORDER: ORDER},
    }
    async with httpx2.AsyncClient(base_url=server.url) as http:
        client_id = (await http.post("/oauth/register", json=metadata)).json()["client_id"]
    async with mcp_client(server, await token_for(server, "mcp:admin"), mode) as client:
        record = await read(client, f"clients/{client_id}")
    (shown,) = record["jwks"]["keys"]
    check(shown.pop("kid"), HOSTILE["newlines"])
    assert shown == {"kty": 'unverified "EC"', "crv": 'unverified "P-256"', "alg": 'unverified "ES256"'}
    assert ORDER not in json.dumps(record)
