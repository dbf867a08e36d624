"""Fixtures of the gate's tests: one server for the tests of a module that only ask and change nothing."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.databases import Template
from tests.support.server import Running, running


@pytest.fixture(scope="module")
async def shared(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A server with the default settings, for a whole module."""
    async with running(template, tmp_path_factory.mktemp("shared")) as found:
        yield found


@pytest.fixture
async def http(shared: Running) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of the shared server."""
    async with shared.client() as found:
        yield found
