"""Bounds on floods: buckets in memory, which the processes add up each second (GCRA, a leaky bucket).

Quiet traffic writes nothing: a bucket reaches the store only once it is a quarter full.
"""

import hashlib
import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Final

import anyio

from oauth_server.core.audit import caller_address, foreign_origin
from oauth_server.core.clock import Clock
from oauth_server.core.errors import RateLimitedError
from oauth_server.core.limits import bucket_key, source_of
from oauth_server.core.policies import Policy
from oauth_server.core.told_once import ToldOnce
from oauth_server.store.ages import CLOCK_SKEW
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.store import Store
from oauth_server.store.verbs import limits

ROUND: Final = 1.0  # seconds
HOT: Final = 0.25  # of a bucket; the share of each process that the others do not learn of
MOST: Final = 20_000  # buckets, some 6 MiB; the one that was counted in longest ago makes room
ADDED_AT_ONCE: Final = 100  # buckets of a round, so that its transaction stays short
ORIGINS: Final = 4  # times the bound of one Origin: what all foreign Origins of one address may use together
_ORIGIN_DIGITS: Final = 16
_FORGOTTEN_AT_ONCE: Final = 1000
LONGEST: Final = 3600.0  # seconds until the fullest bucket is empty, of many processes together
logger = logging.getLogger(__name__)

_Key = tuple[Policy, str]


class _Bucket:
    """Empty at a Unix time; of what is in it, so many seconds' worth were not added to the others' yet."""

    __slots__ = ("empty_at", "own")

    def __init__(self, now: float) -> None:
        self.empty_at = now
        self.own = 0.0


def caller() -> str:
    """What a request is counted by before any authentication: its address or IPv6 network, and a foreign Origin.

    A web page makes its visitor's browser send requests, which name the page's Origin: they fill no bucket of the
    visitor's own programs. The Origin stands in it as a hash: a header may hold anything, and a key is logged.
    """
    origin = foreign_origin.get()
    address = source_of(caller_address.get())
    return f"{address} {_hashed(origin)}" if origin else address


def caller_or_pages() -> str:
    """Key of the caller's address, or of all foreign Origins there together: no program gains by changing its Origin.

    Web pages still fill no bucket of their visitor's own programs.
    """
    address = source_of(caller_address.get())
    return f"{address} pages" if foreign_origin.get() else address


def _hashed(origin: str) -> str:
    return hashlib.sha256(origin.encode("utf-8", "surrogateescape")).hexdigest()[:_ORIGIN_DIGITS]


def all_origins(policy: Policy) -> tuple[_Key, ...]:
    """The bucket of all foreign Origins of the caller's address together; none for a request without one.

    A program chooses its Origin freely, so it must not get a new bucket with each.
    """
    return ((_widened(policy), source_of(caller_address.get())),) if foreign_origin.get() else ()


@cache
def _widened(policy: Policy) -> Policy:
    return Policy(f"{policy.name}-of-origins", policy.quota * ORIGINS, policy.window)


class RateLimits:
    """Admits and counts. What is counted is requests, or refused ones alone: the caller decides."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._buckets: OrderedDict[_Key, _Bucket] = OrderedDict()
        self._hot: dict[_Key, None] = {}
        self._now = clock()

    def admit(self, policy: Policy, key: str) -> None:
        """Let a request pass, or raise RateLimitedError; counts nothing."""
        bucket = self._buckets.get((policy, key))
        if bucket is None:
            return
        room_at = bucket.empty_at + policy.interval - policy.window
        now = self._clock()
        if room_at > now:
            raise RateLimitedError(policy, reason=f"for {key[:100]}", retry_after=max(1, math.ceil(room_at - now)))

    def count(self, policy: Policy, key: str) -> None:
        """Count one; a full bucket gets no fuller, so that it has room again at the time that was told."""
        now, name = self._clock(), (policy, key)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(now)
            if len(self._buckets) > MOST:
                self._hot.pop(self._buckets.popitem(last=False)[0], None)
        else:
            self._buckets.move_to_end(name)
        level = max(bucket.empty_at, now) + policy.interval
        if level > now + policy.window:
            return
        bucket.empty_at = level
        bucket.own += policy.interval
        if level > now + HOT * policy.window:
            self._hot[name] = None

    def take(self, policy: Policy, key: str) -> None:
        """Count a request that is let pass; raises RateLimitedError, and counts nothing then."""
        self.admit(policy, key)
        self.count(policy, key)

    def admit_caller(self, policy: Policy) -> None:
        """Let a request of the caller pass, or raise RateLimitedError; counts nothing."""
        for name in ((policy, caller()), *all_origins(policy)):
            self.admit(*name)

    def count_caller(self, policy: Policy) -> None:
        """Count one of the caller's."""
        for name in ((policy, caller()), *all_origins(policy)):
            self.count(*name)

    def take_caller(self, policy: Policy) -> None:
        """Count a request of the caller that is let pass; raises RateLimitedError, and counts nothing then."""
        self.admit_caller(policy)
        self.count_caller(policy)

    def give_back(self, policy: Policy, key: str) -> None:
        """Take back what `take` counted, where nothing came of it."""
        bucket = self._buckets.get((policy, key))
        if bucket is not None:
            bucket.empty_at -= policy.interval
            bucket.own = max(0.0, bucket.own - policy.interval)  # what the others know of already stays counted there

    def fill(self, policy: Policy, key: str, until: float) -> None:
        """Admit nothing until a Unix time, which the store said."""
        self.count(policy, key)
        bucket = self._buckets[policy, key]
        bucket.empty_at, bucket.own = until + policy.window - policy.interval, 0.0
        self._hot.pop((policy, key), None)

    async def reconcile(self) -> None:
        """Add what was counted here to what the others counted, and go by the sum. Raises StoreUnavailableError."""
        now = self._clock()
        if now < self._now - CLOCK_SKEW:  # set back: the buckets would stay full until it is that late again
            self._buckets.clear()
            self._hot.clear()
        self._now = now
        added: dict[bytes, tuple[_Bucket, float]] = {}
        for name in list(self._hot):
            bucket = self._buckets[name]
            if bucket.empty_at <= now + HOT * name[0].window:
                del self._hot[name]
            elif bucket.own > 0 and len(added) < ADDED_AT_ONCE:
                # What has leaked since it was counted is in nobody's bucket any more.
                added[bucket_key(*_told(name))] = bucket, min(bucket.own, bucket.empty_at - now)
                bucket.own = 0.0
        self._forget(now)
        if not added:
            return
        try:
            levels = await self._store.write(limits.add_up, {key: own for key, (_, own) in added.items()}, now, LONGEST)
        except StoreUnavailableError:
            for bucket, own in added.values():
                bucket.own += own
            raise
        for key, (bucket, _) in added.items():
            bucket.empty_at = levels[key] + bucket.own  # with what was counted here in the meantime

    async def run(self, sleep: Callable[[float], Awaitable[None]] = anyio.sleep) -> None:
        """Reconcile each second, for ever; while the store does not answer, each process counts by itself."""
        told = ToldOnce(logger, "rate limits are counted by this process alone: %s")
        while True:
            await sleep(ROUND)
            with told.trial():
                await self.reconcile()

    def _forget(self, now: float) -> None:
        for _ in range(min(len(self._buckets), _FORGOTTEN_AT_ONCE)):
            name, bucket = next(iter(self._buckets.items()))
            if bucket.empty_at > now:
                return
            del self._buckets[name]
            self._hot.pop(name, None)


def _told(name: _Key) -> tuple[str, str]:
    policy, key = name
    return f"rate {policy.name}", key
