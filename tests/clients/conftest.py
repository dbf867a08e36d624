"""Every client test runs with both clients, FastMCP's and the SDK's, and in both protocol eras."""

import pytest

from tests.support.browser import Browser
from tests.support.mcp_clients import ERAS, KINDS, Era, Kind, Person


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
