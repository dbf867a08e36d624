"""How often somebody may be wrong about a password: by account, by address, and by browser (OWASP device cookies).

Every bound is a bucket that holds so many failed attempts and empties at a steady pace, so that no attempt is ever more
than one interval away: nobody is locked out for good. What is counted is counted in the store, for all processes.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

from oauth_server.core.audit import EventName, caller_address, event
from oauth_server.core.clock import Clock
from oauth_server.core.errors import TooManyAttemptsError
from oauth_server.core.policies import Policy
from oauth_server.store.records import Bucket, Full
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, limits

# A person finds a mistyped or half-forgotten password within ten; a guesser gets 1,440 more a day, and a password that
# falls to those is in every list of common ones.
_OWN: Final = (10, 60.0)  # attempts, seconds until one more
# People of an office or a class share an address; a guesser who goes through many names gets 8,640 more a day.
_ADDRESS: Final = (50, 10.0)
_IPV6_CUSTOMER: Final = (56, 48)  # bits: what providers give to a household, and to an organisation
_IPV6_SITE: Final = 64  # bits: whoever has one address of such a network usually has them all
Kind = Literal["account", "browser", "session"]
Failed = Literal["login", "password.confirmed"]
_LIMITED: Final[Mapping[Failed, EventName]] = {
    "login": "login.limited",
    "password.confirmed": "password.confirmed.limited",
}


@dataclass(frozen=True)
class Attempt:
    """An attempt that is counted as failed until it succeeds: where, and which buckets have no room for another."""

    buckets: tuple[Bucket, ...]
    filled: tuple[Bucket, ...]


def own(kind: Kind, value: str | bytes) -> Bucket:
    """The attempts at one account, of one known browser, or in one session; a success forgets them."""
    return Bucket(kind, bucket_key(kind, value), *_OWN)


def of_caller() -> Bucket:
    """The attempts from the caller's address, which only time forgets: a guesser may have an account too."""
    return Bucket("address", bucket_key("address", source_of(caller_address.get())), *_ADDRESS, shared=True)


class Limits:
    """Admits attempts at a password, and learns how they ended."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def admit(self, *buckets: Bucket) -> Attempt:
        """Count an attempt before it is judged; raises TooManyAttemptsError, and nothing is written then."""
        now = self._clock()
        outcome: Full | tuple[Bucket, ...] | None = await self._store.read(limits.full, buckets, now)
        if outcome is None:
            outcome = await self._store.write(limits.take, buckets, now)
        if isinstance(outcome, Full):
            raise TooManyAttemptsError(
                Policy(f"attempts-by-{outcome.bucket.kind}", outcome.bucket.size, outcome.bucket.window),
                reason=f"the bound by {outcome.bucket.kind} is reached, for {caller_address.get()}",
                retry_after=max(1, math.ceil(outcome.until - now)),
            )
        return Attempt(buckets, outcome)

    async def failed(self, attempt: Attempt, name: Failed, actor: str) -> None:
        """Record the event `name` as a failure, and once for each time that a bucket gets full that it did."""
        now = self._clock()
        limited = (
            event(now, _LIMITED[name], "failure", actor=actor, detail=f"by {b.kind}: {b.size} failed attempts")
            for b in attempt.filled
        )
        await self._store.write(audit.append, event(now, name, "failure", actor=actor), *limited)

    async def withdrawn(self, attempt: Attempt) -> None:
        """Take back an attempt that was not judged."""
        await self._store.write(limits.lower, attempt.buckets, self._clock())

    async def succeeded(self, attempt: Attempt) -> None:
        """Take the attempt back, and with it the failures that came before it from whoever succeeded."""
        await self._store.write(limits.give_back, attempt.buckets, self._clock())


@lru_cache(4096)
def source_of(address: str) -> str:
    """What attempts and registrations are counted by: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((int(found), _IPV6_SITE), strict=False))


@lru_cache(4096)
def wider_sources(address: str) -> tuple[str, ...]:
    """The networks around an IPv6 address that one customer may hold, a /56 and a /48; none around an IPv4 address."""
    network = source_of(address)
    if "/" not in network:
        return ()
    return tuple(str(IPv6Network(network).supernet(new_prefix=bits)) for bits in _IPV6_CUSTOMER)


def bucket_key(kind: str, value: str | bytes) -> bytes:
    """How the store names a bucket: it needs to know nobody's name or address."""
    text = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    return hashlib.sha256(kind.encode() + b"\x00" + text).digest()
