"""The parts of a JSON Web Token, read before anybody verified them, and its claims about time.

Sources: RFC 7515 sections 3.1 and 7.1, RFC 7519 sections 2 and 4.1, RFC 7591 section 2.3.
"""

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

from oauth_server.store.ages import CLOCK_SKEW

MAX_LENGTH = 8192
_HEADER = re.compile(r"none|(?:HS|RS|PS|ES)(?:256|384|512)|EdDSA|(?:application/)?(?:jwt|JWT|[a-z-]{1,24}\+jwt)")
_LAST_DATE = 1e12  # seconds, some thirty thousand years from now


class JwtError(Exception):
    """A token that is not acceptable; `check` names the failed check, `reason` what was seen."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check = check
        self.reason = reason


class UnknownKeyError(JwtError):
    """A token whose kid could be that of a signing key of ours, which is not known here (yet)."""

    def __init__(self) -> None:
        super().__init__("key", "the kid names no signing key of this server")


def encoded(data: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decoded(part: str) -> bytes:
    """The bytes of base64url in its one canonical spelling; raises JwtError."""
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise JwtError("format", "not base64url") from None
    # A decoder that ignores stray characters or unused bits would accept many spellings of one token.
    if encoded(data) != part:
        raise JwtError("format", "not canonical base64url")
    return data


def parsed_object(data: bytes, part: str) -> dict[str, Any]:
    """The JSON object in a part of a token, which the error names; raises JwtError."""
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise JwtError("format", f"the {part} is not JSON") from None
    if not isinstance(value, dict):
        raise JwtError("format", f"the {part} is not a JSON object")
    return value


class Jws(NamedTuple):
    """A compact JWS, taken apart; `signed` is what the signature is over (RFC 7515 section 5.1)."""

    header: dict[str, Any]
    payload: bytes
    signature: bytes
    signed: bytes


def taken_apart(token: str) -> Jws:
    """The parts of a compact JWS, each of which is well formed; the header alone is parsed. Raises JwtError."""
    if len(token) > MAX_LENGTH or not token.isascii() or token.count(".") != 2:  # noqa: PLR2004 - header.payload.signature
        raise JwtError("format", "not a compact JWS")
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    body, seal = decoded(payload), decoded(signature)
    return Jws(parsed_object(decoded(header), "header"), body, seal, signed.encode("ascii"))


def header_of(token: str) -> dict[str, Any]:
    """The header of a compact JWS, all three parts of which are well formed; raises JwtError."""
    return taken_apart(token).header


def assertion_kid(token: str) -> str | None:
    """The kid of an assertion's header, None without one; raises JwtError for what is no JWS."""
    kid = header_of(token).get("kid")
    return kid if isinstance(kid, str) else None


def unverified_subject(token: str) -> str:
    """The sub of a JWT that nobody verified yet, to find the keys by; raises JwtError."""
    header_of(token)
    subject = parsed_object(decoded(token.split(".")[1]), "payload").get("sub")
    if not isinstance(subject, str) or not encodable(subject):
        raise JwtError("claims", "sub is missing or not a string")
    return subject


def encodable(text: str) -> bool:
    """Whether UTF-8 has the text: JSON can spell half of a surrogate pair, which no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unverified_statement(token: object) -> dict[str, Any]:
    """The claims of a software statement that nobody verified, if it is signed and names its issuer; raises JwtError.

    Source: RFC 7591 section 2.3.
    """
    if not isinstance(token, str):
        raise JwtError("format", "not a string")
    if header_of(token).get("alg") in (None, "none") or token.endswith("."):
        raise JwtError("signature", "the statement is not signed")
    claims = parsed_object(decoded(token.split(".")[1]), "payload")
    if not isinstance(claims.get("iss"), str):
        raise JwtError("claims", "iss is missing or not a string")
    return claims


def shown_header(value: object) -> str:
    """The alg or typ of a token for a sentence about it: one that is known, else nothing of what stands there."""
    known = value is None or (isinstance(value, str) and _HEADER.fullmatch(value) is not None)
    return repr(value) if known else "something else"


def _is_number(value: object) -> bool:
    """Whether this is a NumericDate (RFC 7519 section 2); Python's JSON also reads NaN, Infinity and 1000 digits."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LAST_DATE


def check_times(claims: Mapping[str, Any], now: float) -> None:
    """Require exp and iat, and refuse what has expired or is not valid yet; raises JwtError."""
    for name in ("exp", "iat"):
        if name not in claims:
            raise JwtError("claims", f"{name} is missing")
    for name in ("exp", "iat", "nbf"):
        if name in claims and not _is_number(claims[name]):
            raise JwtError("claims", f"{name} is not a number")
    if claims["exp"] <= now:
        raise JwtError("expiry", f"expired {now - claims['exp']:.0f} s ago")
    if max(claims["iat"], claims.get("nbf", 0)) > now + CLOCK_SKEW:
        raise JwtError("not_before", "not valid yet")


def left_half_hash(text: str) -> str:
    """The at_hash of OpenID Connect Core section 3.1.3.6, for algorithms built on SHA-256."""
    return encoded(hashlib.sha256(text.encode("ascii")).digest()[:16])
