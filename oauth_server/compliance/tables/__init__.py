"""All checks. A family's checks are read in the order in which a client meets what they judge."""

from typing import Final

from oauth_server.compliance.model import Check
from oauth_server.compliance.tables import authorization, discovery, resource, tokens, transport

CHECKS: Final[tuple[Check, ...]] = (*discovery.ROWS, *authorization.ROWS, *tokens.ROWS, *resource.ROWS, *transport.ROWS)
