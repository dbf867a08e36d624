"""The npm registry's oidc-provider is one of the servers."""

import pytest

from tests.support.npm import Npm, UnavailableError, install


@pytest.fixture(scope="session")
def npm() -> Npm:
    """The packages of the npm registry, or a skip that says why there are none."""
    try:
        return install()
    except UnavailableError as error:
        pytest.skip(str(error))
