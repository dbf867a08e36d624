"""The yardsticks: what runs beneath this server, and what others do the same work with."""

import asyncio
import json
import secrets
import sys
from collections.abc import Mapping

import httpx2

from bench.peers import Fleet, Paths, Peer, Slot, Starting, handshake, settings, sign_in
from bench.processes import YARDSTICKS, UnmeasurableError, free_port
from tests.support.npm import UnavailableError, install
from tests.support.oauth import CALLBACK

FASTMCP = Paths("/.well-known/oauth-authorization-server", "", "/authorize", "/token", "")
OIDC = Paths("/.well-known/openid-configuration", "/jwks", "/auth", "/token", "/token/introspection")
JIT = 6_000  # requests after which the cost of another one was seen to fall no more
BARE = Paths("", "", "", "", "", "/")


async def bare_asgi(fleet: Fleet) -> Peer:
    """An ASGI application on uvicorn."""
    port = free_port()
    command = (sys.executable, str(YARDSTICKS / "asgi.py"), str(port))
    return await fleet.run("bare ASGI", *command, paths=BARE, port=port, bare=True)


async def _fastmcp(fleet: Fleet, name: str, kind: str, env: Mapping[str, str] | None = None) -> Peer:
    port = free_port()
    command = (sys.executable, str(YARDSTICKS / "fastmcp_server.py"), kind, str(port))
    values = settings(fleet, kind, port, **(env or {}))
    return await fleet.run(name, *command, paths=FASTMCP, port=port, env=values)


async def bare_fastmcp(fleet: Fleet) -> Peer:
    """FastMCP with our tools and nothing in front of them."""
    peer = await _fastmcp(fleet, "bare FastMCP", "tools")
    await handshake(peer)
    return peer


async def plain_fastmcp(fleet: Fleet) -> Peer:
    """FastMCP with six tools of its own, and nothing of ours in its memory."""
    return await _fastmcp(fleet, "plain FastMCP", "plain")


async def jwt_fastmcp(fleet: Fleet) -> Peer:
    """The same behind FastMCP's JWT verifier, with tokens of ours."""
    from_us = await fleet.peer("ours")
    env = {"BENCH_JWKS": f"{from_us.url}{from_us.paths.jwks}", "BENCH_ISSUER": from_us.url}
    peer = await _fastmcp(fleet, "FastMCP's JWT verifier", "jwt", env)
    for slot, other in zip(peer.slots, from_us.slots, strict=True):
        slot.access_token = other.access_token
    await handshake(peer)
    return peer


async def in_memory(fleet: Fleet) -> Peer:
    """FastMCP's in-memory provider, with registered clients and tokens."""
    peer = await _fastmcp(fleet, "FastMCP's in-memory provider", "in-memory")
    peer.scope = "mcp"
    metadata = {
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "mcp",
    }
    async with httpx2.AsyncClient(base_url=peer.url) as http:
        for slot in peer.slots:
            found = (await http.post("/register", json=metadata)).raise_for_status().json()
            slot.client_id, slot.client_secret = found["client_id"], found["client_secret"]
            await sign_in(peer, slot, http)
    await handshake(peer)
    return peer


async def oidc_provider(fleet: Fleet, access_tokens: str = "jwt") -> Peer:
    """The npm package oidc-provider; `access_tokens` "opaque" where they are to be introspected (it refuses JWTs)."""
    try:
        npm = await asyncio.to_thread(install)
    except UnavailableError as error:
        raise UnmeasurableError(str(error)) from None
    port = free_port()
    script = npm.folder.parent / "bench_oidc_provider.mjs"  # beside node_modules, where it finds the package
    script.write_text((YARDSTICKS / "oidc_provider.mjs").read_text(encoding="utf-8"), encoding="utf-8")
    slots = [Slot(f"client-{number}", secrets.token_hex(32)) for number in range(fleet.slots)]
    for slot in slots:
        slot.machine = slot.auth
    metadata = {
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types": ["code"],
    }
    clients = json.dumps([{**one.auth, **metadata} for one in slots])
    node = str(npm.folder / npm.node / "bin" / "node")
    command = (node, str(script), str(port), access_tokens)
    env = {"NODE_ENV": "production", "BENCH_CLIENTS": clients}
    peer = await fleet.run("oidc-provider", *command, paths=OIDC, port=port, env=env)
    peer.slots, peer.signed, peer.warm = slots, access_tokens == "jwt", JIT
    for slot in slots:
        async with httpx2.AsyncClient(base_url=peer.url) as http:
            await sign_in(peer, slot, http)
    return peer


async def oidc_opaque(fleet: Fleet) -> Peer:
    """The same with opaque access tokens."""
    return await oidc_provider(fleet, "opaque")


STARTING: dict[str, Starting] = {
    "asgi": bare_asgi,
    "fastmcp": bare_fastmcp,
    "fastmcp-plain": plain_fastmcp,
    "fastmcp-oauth": in_memory,
    "fastmcp-jwt": jwt_fastmcp,
    "oidc": oidc_provider,
    "oidc-opaque": oidc_opaque,
}
