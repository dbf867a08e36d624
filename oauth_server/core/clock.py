"""The clock and the randomness, passed in so that every expiry can be tested without sleeping."""

import hashlib
import os
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable

Clock = Callable[[], float]  # Unix seconds
SteadyClock = Callable[[], float]  # seconds since some moment


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


steady: SteadyClock = _boottime if sys.platform == "linux" else time.monotonic
"""Seconds on a clock that nobody sets, and that goes on while the computer sleeps."""


def random_token() -> str:
    """256 random bits, base64url: codes, refresh tokens, session ids and client secrets."""
    return _base64url(os.urandom(32))


def random_id() -> str:
    """128 random bits, base64url: identifiers that need no secrecy."""
    return _base64url(os.urandom(16))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def token_hash(token: str) -> bytes:
    """What the store keeps of a code or token: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
