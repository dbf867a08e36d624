"""What the token endpoint, revocation and introspection give, and to whom."""

from typing import Final

from oauth_server.compliance.checks import (
    token_endpoint,
)
from oauth_server.compliance.model import Check
from oauth_server.compliance.tables.row import AS, check

ENDPOINT = "token endpoint"

# Levels: one letter for each of 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 (see model.levels).
# fmt: off
ROWS: Final[tuple[Check, ...]] = (
    check("token-get",                   AS, ENDPOINT,     "SSSS", "active",  token_endpoint.get_refused),
    check("token-unsupported-grant",     AS, ENDPOINT,     "MMMM", "active",  token_endpoint.unsupported_grant),
    check("token-missing-grant",         AS, ENDPOINT,     "MMMM", "active",  token_endpoint.missing_grant),
    check("token-duplicate",             AS, ENDPOINT,     "MMMM", "active",  token_endpoint.duplicate),
    check("token-json-body",             AS, ENDPOINT,     "SSSS", "active",  token_endpoint.json_body),
    check("token-bogus-code",            AS, ENDPOINT,     "MMMM", "active",  token_endpoint.bogus),
    check("token-error-json",            AS, ENDPOINT,     "MMMM", "active",  token_endpoint.error_json),
    check("token-no-store",              AS, ENDPOINT,     "SSSS", "active",  token_endpoint.no_store),
    check("token-basic-challenge",       AS, ENDPOINT,     "MMMM", "active",  token_endpoint.basic_challenge),
)
# fmt: on
