"""The clock and the randomness, passed in so that every expiry can be tested without sleeping."""

import hashlib
import secrets
from collections.abc import Callable

Clock = Callable[[], float]  # Unix seconds


def random_token() -> str:
    """256 random bits, base64url: codes, refresh tokens, session ids and client secrets."""
    return secrets.token_urlsafe(32)


def random_id() -> str:
    """128 random bits, base64url: identifiers that need no secrecy."""
    return secrets.token_urlsafe(16)


def token_hash(token: str) -> bytes:
    """What the store keeps of a code or token: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
