"""Fixtures of the MCP face's tests: one server, and an administrator's client by each way that leads to it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastmcp import Client

from tests.support.databases import Template
from tests.support.mcp_http import MODES, mcp_client, token_for
from tests.support.server import Running, running
from tests.support.stdio import stdio_client


@pytest.fixture(scope="module")
async def shared(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A server with the default settings, for a whole module."""
    async with running(template, tmp_path_factory.mktemp("mcp_face")) as found:
        yield found


@pytest.fixture(scope="module", params=[*MODES, "stdio"])
async def admin(request: pytest.FixtureRequest, shared: Running) -> AsyncIterator[Client[Any]]:
    """A client that holds every scope: over HTTP in both eras by a token, over stdio as the local operator."""
    if request.param == "stdio":
        client: Client[Any] = stdio_client(shared)
    else:
        client = mcp_client(shared, await token_for(shared, "mcp:admin"), request.param)
    async with client:
        yield client
