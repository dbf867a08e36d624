"""The two kinds of issuer, whose browser sessions differ: marks for tests and for files."""

import pytest

HTTPS = "https://mcp.example.com"

both_issuers = pytest.mark.parametrize("issuer", ["", HTTPS], ids=["http", "https"], indirect=True)
https_issuer = pytest.mark.issuer(HTTPS)
