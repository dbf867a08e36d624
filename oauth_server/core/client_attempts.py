"""Client attempts: how often the credentials of a client may be wrong (RFC 6749 section 2.3.1, RFC 9700 section 2.5).

Failures are counted by client and address, and wider by client: a guesser who has many addresses fills the second. An
address from which the client has authenticated is held to the first alone, so that no guesser keeps the client out.
"""

from collections import OrderedDict
from typing import Final

from oauth_server.core.clock import Clock
from oauth_server.core.policies import CLIENT_ASSERTIONS, CLIENT_SECRETS, Policy
from oauth_server.core.rate_limits import RateLimits, caller_or_pages

KNOWN_FOR: Final = 24 * 3600  # seconds since a client authenticated from an address
MOST_KNOWN: Final = 20_000  # pairs of client and address, some 5 MiB


class ClientAttempts:
    """Admits attempts to authenticate as a client, and learns how they ended. The addresses are this process's own."""

    def __init__(self, rate_limits: RateLimits, clock: Clock) -> None:
        self._rate_limits = rate_limits
        self._clock = clock
        self._known: OrderedDict[str, float] = OrderedDict()

    def admit(self, client_id: str, method: str) -> None:
        """Let credentials be judged, or raise RateLimitedError; counts nothing."""
        by_address, everywhere = _policies(method)
        pair = _pair(client_id)
        self._rate_limits.admit(by_address, pair)
        if not self._clock() - self._known.get(pair, 0.0) < KNOWN_FOR:
            self._rate_limits.admit(everywhere, client_id)

    def failed(self, client_id: str, method: str) -> None:
        """Count wrong credentials."""
        by_address, everywhere = _policies(method)
        self._rate_limits.count(by_address, _pair(client_id))
        self._rate_limits.count(everywhere, client_id)

    def withdrawn(self, client_id: str, method: str) -> None:
        """Take back what `failed` counted for credentials that were judged by a registration that has changed."""
        by_address, everywhere = _policies(method)
        self._rate_limits.give_back(by_address, _pair(client_id))
        self._rate_limits.give_back(everywhere, client_id)

    def succeeded(self, client_id: str) -> None:
        """Remember the address of a client that authenticated."""
        pair = _pair(client_id)
        self._known[pair] = self._clock()
        self._known.move_to_end(pair)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def _pair(client_id: str) -> str:
    return f"{client_id} {caller_or_pages()}"


def _policies(method: str) -> tuple[Policy, Policy]:
    return CLIENT_ASSERTIONS if method == "private_key_jwt" else CLIENT_SECRETS
