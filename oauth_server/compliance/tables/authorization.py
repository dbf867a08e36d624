"""How clients come to be known, and what they may ask a browser for."""

from typing import Final

from oauth_server.compliance.checks import (
    authorize,
    registration,
)
from oauth_server.compliance.model import Check
from oauth_server.compliance.tables.row import AS, check

REGISTER = "registration"
AUTHORIZE = "authorize"

# Levels: one letter for each of 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 (see model.levels).
# fmt: off
ROWS: Final[tuple[Check, ...]] = (
    check("register-javascript",         AS, REGISTER,  "MMMM", "adversarial", registration.javascript_redirect),
    check("register-http",               AS, REGISTER,  "MMMM", "adversarial", registration.http_redirect),
    check("register-fragment",           AS, REGISTER,  "MMMM", "adversarial", registration.fragment_redirect),
    check("register-no-redirect",        AS, REGISTER,  "MMMM", "adversarial", registration.no_redirect),
    check("register-malformed",          AS, REGISTER,  "MMMM", "active",  registration.malformed),
    check("authorize-unknown-client",    AS, AUTHORIZE, "MMMM", "active",  authorize.unknown_client),
    check("authorize-unknown-status",    AS, AUTHORIZE, "MMMM", "active",  authorize.unknown_client_status),
    check("authorize-missing-client",    AS, AUTHORIZE, "MMMM", "active",  authorize.missing_client),
    check("authorize-escaped",           AS, AUTHORIZE, "MMMM", "active",  authorize.escaped),
    check("authorize-not-framed",        AS, AUTHORIZE, "SSSS", "active",  authorize.not_framed),
)
# fmt: on
