"""Proof Key for Code Exchange, S256 only (RFC 7636 sections 4.1 to 4.6)."""

import hashlib
import re
from base64 import urlsafe_b64encode

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


def valid_challenge(challenge: str) -> bool:
    """Whether it has the form of a base64url-encoded SHA-256: 43 characters, no padding."""
    return _CHALLENGE.fullmatch(challenge) is not None


def valid_verifier(verifier: str) -> bool:
    """Whether it is 43 to 128 unreserved characters."""
    return _VERIFIER.fullmatch(verifier) is not None


def challenge_of(verifier: str) -> str:
    """BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")
