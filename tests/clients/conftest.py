"""Every test with FastMCP's or the SDK's client runs with both, and in both protocol eras; npm's clients are fetched."""

from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.mcp_clients import ERAS, KINDS, Era, Kind, Person
from tests.support.npm import Npm, UnavailableError, install
from tests.support.program import environment


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Whose client it is."""
    found: Kind = request.param
    return found


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> Era:
    """`legacy` shakes hands (2025-11-25), `auto` finds the modern protocol (2026-07-28)."""
    found: Era = request.param
    return found


@pytest.fixture
def person(browser: Browser) -> Person:
    """The owner, who grants whatever a client asks for."""
    return Person(browser)


@pytest.fixture(scope="session")
def npm() -> Npm:
    """The programs of the npm registry, or a skip that says why there are none."""
    try:
        return install()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def node_env(tmp_path: Path) -> dict[str, str]:
    """The environment of an npm client: files of its own, and a system browser that does nothing (the test does it)."""
    home = tmp_path / "npm-client"
    return environment(
        home,
        MCP_REMOTE_CONFIG_DIR=str(home / "mcp-remote"),
        MCP_STORAGE_DIR=str(home / "inspector"),
        MCP_CATALOG_PATH=str(home / "inspector.json"),
        MCP_INSPECTOR_SECRET_STORE="file",
        MCP_AUTO_OPEN_ENABLED="true",
        BROWSER="true",
    )
