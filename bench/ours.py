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
from tests.support.server import Running

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
    browser = Browser(peer.url)
    try:
        machine = await _machine(peer.env)
        for slot in peer.slots:
            slot.machine = machine
            client = await OAuthClient.register(
                cast("Running", _Far(peer.url)),
                token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
                scope=SCOPE,
            )
            slot.client_id, slot.client_secret = client.client_id, client.secret or ""
            found = await client.tokens(browser, scope=SCOPE)
            slot.access_token, slot.refresh_token = found["access_token"], found["refresh_token"]
            await client.close()
        jar = [one for one in browser.http.cookies.jar if one.path in ("/", "/oauth/authorize")]
        for slot in peer.slots:
            slot.cookie = "; ".join(f"{one.name}={one.value}" for one in jar)
    finally:
        await browser.close()
    return peer


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

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self) -> httpx2.AsyncClient:
        """A client of it."""
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
    "ours-off": ours_off,
    "ours-open": ours_open,
    "this-route": this_route,
}
