"""How often anybody may ask: the bounds on floods, as the RateLimit-Policy header states them.

Source: draft-ietf-httpapi-ratelimit-headers-10 sections 3 and 4.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """`quota` requests at once, and as many again in `window` seconds at a steady pace."""

    name: str
    quota: int
    window: float

    @property
    def interval(self) -> float:
        """Seconds until there is room for one more."""
        return self.window / self.quota

    def headers(self, retry_after: int) -> dict[str, str]:
        """The headers of a refusal: when to come back, and which bound was reached."""
        return {
            "Retry-After": str(retry_after),
            "RateLimit-Policy": f'"{self.name}";q={self.quota};w={self.window:.0f}',
            "RateLimit": f'"{self.name}";r=0;t={retry_after}',
        }


# By address (IPv6: one /64). An office or a class may be behind one; what a flood consists of is far beyond these.
AUTHORIZATIONS: Final = Policy("authorizations", 600, 60)  # requests to the authorization endpoint, its forms included
REFUSALS: Final = Policy("refusals", 600, 60)  # refused requests to the endpoints at which clients authenticate
FETCHES: Final = Policy("fetches", 30, 300)  # documents and key sets of clients that had to be fetched
# Wrong secrets of one client, by address and from everywhere together. The same for assertions: a signature cannot be
# guessed, so these bound the work of verifying it alone.
CLIENT_SECRETS: Final = Policy("client-secrets", 60, 60), Policy("client-secrets-everywhere", 600, 60)
CLIENT_ASSERTIONS: Final = Policy("client-assertions", 600, 60), Policy("client-assertions-everywhere", 6000, 60)
# For all together: so many new clients in five minutes. What is shared is not new, and 10,000 unused ones fill a day.
NEW_CLIENTS: Final = Policy("new-clients", 300, 300)
# By host: nobody's web server is to be flooded by way of this one.
HOST_FETCHES: Final = Policy("host-fetches", 60, 60)
# By client: the token requests of one that authenticates, from however many machines.
TOKEN_REQUESTS: Final = Policy("token-requests", 6000, 60)
# By caller (person and client), over HTTP.
TOOL_CALLS: Final = {
    "mcp_oauth_validate_token": Policy("validate-token", 120, 60),
    "mcp_oauth_register_client": Policy("register-client", 30, 300),
    "mcp_oauth_check_compliance": Policy("check-compliance", 40, 200),
}
