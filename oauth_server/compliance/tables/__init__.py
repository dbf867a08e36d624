"""All checks. A family's checks are read in the order in which a client meets what they judge."""

from typing import Final

from oauth_server.compliance.model import Check
from oauth_server.compliance.tables import authorization, discovery, grants, resource, tokens, transport

CHECKS: Final[tuple[Check, ...]] = (
    *discovery.ROWS,
    *authorization.ROWS,
    *tokens.ROWS,
    *grants.ROWS,
    *resource.ROWS,
    *transport.ROWS,
)
