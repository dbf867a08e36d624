"""This server, started as its operator does, and with clients that a person consented to."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import cast

import httpx2

from bench.peers import SCOPE, Fleet, Paths, Peer, Starting, settings
from bench.processes import ROOT, YARDSTICKS, environment, free_port
from tests.support.browser import Browser
from tests.support.oauth import OAuthClient
from tests.support.proxy import TlsProxy
from tests.support.server import Running

PUBLIC = "https://mcp.example.com"
PATHS = Paths(
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
    "/oauth/authorize",
    "/oauth/token",
    "/oauth/introspect",
)


async def _server(fleet: Fleet, name: str, **env: str) -> Peer:
    port = free_port()
    values = settings(fleet, name, port, **env)
    peer = await fleet.run(name, sys.executable, "server.py", paths=PATHS, port=port, env=values)
    peer.env = values
    return peer


async def ours(fleet: Fleet, **env: str) -> Peer:
    """This server, with clients that a person consented to."""
    peer = await _server(fleet, "this server", **env)
    peer.signed = True
    await _connected(peer, _Far(peer.url, peer.server.port))
    return peer


async def ours_https(fleet: Fleet) -> Peer:
    """This server with an https issuer, behind a proxy: only such an issuer keeps a session between requests."""
    env = {"MCP_OAUTH_ISSUER": PUBLIC, "MCP_OAUTH_TRUSTED_PROXIES": "127.0.0.0/8"}
    peer = await _server(fleet, "this server, https", **env)
    peer.signed = peer.proxied = True
    peer.issuer = PUBLIC
    await _connected(peer, _Far(PUBLIC, peer.server.port))
    return peer


async def _connected(peer: Peer, far: "_Far") -> None:
    """Register the clients of a server, and have a person consent to each."""
    browser = Browser(far.url, http=far.client())
    try:
        machine = await _machine(peer.env)
        for slot in peer.slots:
            slot.machine = machine
            client = await OAuthClient.register(
                cast("Running", far),
                token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
                scope=SCOPE,
            )
            slot.client_id, slot.client_secret = client.client_id, client.secret or ""
            found = await client.tokens(browser, scope=SCOPE)
            slot.access_token, slot.refresh_token = found["access_token"], found["refresh_token"]
            await client.close()
        for slot in peer.slots:
            slot.cookie = "; ".join(f"{one.name}={one.value}" for one in browser.http.cookies.jar)
    finally:
        await browser.close()


async def _machine(env: Mapping[str, str]) -> dict[str, str]:
    """A client that may act for itself, which only the operator can add; good for 6,000 tokens at once."""
    options = ("--auth-method", "client_secret_post", "--grant-type", "client_credentials", "--scope", "mcp:read")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "server.py", "clients", "add", "--name", "Machine", *options, "--json"),
        cwd=ROOT,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    found = json.loads(out)
    return {"client_id": found["client_id"], "client_secret": found["client_secret"]}


class _Far:
    """A server in a process of its own, as OAuthClient needs it."""

    def __init__(self, url: str, port: int) -> None:
        self.url = url
        self._port = port

    def client(self) -> httpx2.AsyncClient:
        """A client of it, through a proxy where it has a public address."""
        if self.url == PUBLIC:
            return TlsProxy(self._port).client(self.url)
        return httpx2.AsyncClient(base_url=self.url, follow_redirects=False)


async def ours_off(fleet: Fleet) -> Peer:
    """This server with OAuth switched off."""
    return await _server(fleet, "OAuth off", ENABLE_MCP_OAUTH="false")


async def ours_open(fleet: Fleet) -> Peer:
    """This server, which asks nobody for a token."""
    return await _server(fleet, "auth not required", MCP_OAUTH_REQUIRE_AUTH="false")


async def this_route(fleet: Fleet) -> Peer:
    """This server with one bare route more."""
    port = free_port()
    command = (sys.executable, str(YARDSTICKS / "this_app.py"), str(port))
    return await fleet.run("this app", *command, paths=PATHS, port=port, env=settings(fleet, "this-app", port))


STARTING: dict[str, Starting] = {
    "ours": ours,
    "ours-https": ours_https,
    "ours-off": ours_off,
    "ours-open": ours_open,
    "this-route": this_route,
}
