"""JSON Web Tokens: the only module that touches python-jose, whose defaults accept forgeries.

Sources: RFC 7515, RFC 7519, RFC 7638 (kid), RFC 8725 sections 3.1 to 3.11, RFC 9068 section 2.1 (typ).
"""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import jwk, jws

MAX_LENGTH = 8192
CLOCK_SKEW = 60  # seconds that iat and nbf may lie in the future
_LAST_DATE = 1e12  # seconds, some thirty thousand years from now
ACCESS_TOKEN_TYPES = frozenset(("at+jwt", "application/at+jwt"))
ID_TOKEN_TYPES = frozenset(("JWT",))


class JwtError(Exception):
    """A token that is not acceptable; `check` names the failed check, `reason` what was seen."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check = check
        self.reason = reason


@dataclass(frozen=True)
class Key:
    """A signing key, parsed once: parsing a PEM for every token costs fifty times the signature."""

    kid: str
    alg: str
    private: Any
    public: Any
    public_jwk: Mapping[str, str]


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unb64(part: str) -> bytes:
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise JwtError("format", "not base64url") from None
    # A decoder that ignores stray characters or unused bits would accept many spellings of one token.
    if _b64(data) != part:
        raise JwtError("format", "not canonical base64url")
    return data


def generate_pem(alg: str) -> str:
    """A new private key for ES256 (P-256) or RS256 (2048 bits), as PKCS #8 PEM."""
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if alg == "ES256"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def load_key(private_pem: str, alg: str) -> Key:
    """Parse a private key; its kid is the RFC 7638 thumbprint of the public half."""
    private = jwk.construct(private_pem, alg)
    public = private.public_key()
    raw: dict[str, Any] = public.to_dict()
    members = ("crv", "kty", "x", "y") if alg == "ES256" else ("e", "kty", "n")
    required = {name: v.decode() if isinstance(v := raw[name], bytes) else v for name in members}
    thumbprint = hashlib.sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest()
    kid = _b64(thumbprint)
    return Key(kid, alg, private, public, {**required, "kid": kid, "use": "sig", "alg": alg})


def sign(key: Key, claims: Mapping[str, Any], typ: str) -> str:
    """A compact JWS over the claims."""
    token: str = jws.sign(claims, key.private, headers={"kid": key.kid, "typ": typ}, algorithm=key.alg)
    return token


def _object(data: bytes, part: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise JwtError("format", f"the {part} is not JSON") from None
    if not isinstance(value, dict):
        raise JwtError("format", f"the {part} is not a JSON object")
    return value


def _header(token: str) -> dict[str, Any]:
    if len(token) > MAX_LENGTH or not token.isascii() or token.count(".") != 2:  # noqa: PLR2004 - header.payload.signature
        raise JwtError("format", "not a compact JWS")
    header, payload, signature = token.split(".")
    _unb64(payload)
    _unb64(signature)
    return _object(_unb64(header), "header")


def verify(token: str, keys: Mapping[str, Key], types: frozenset[str]) -> dict[str, Any]:
    """The claims of a token signed by one of our keys; raises JwtError otherwise.

    The key is chosen by `kid` and pins the algorithm; key material in the header (jwk, jku, x5u) is never looked
    at. Claims are not judged here.
    """
    header = _header(token)
    if str(header.get("typ", "")).lower() not in {t.lower() for t in types}:
        raise JwtError("type", f"typ is {header.get('typ')!r:.60}, not {' or '.join(sorted(types))}")
    if "crit" in header:
        raise JwtError("critical", "the header has critical extensions, of which none is understood")
    kid = header.get("kid")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise JwtError("key", "the kid names no signing key of this server")
    if header.get("alg") != key.alg:
        raise JwtError("algorithm", f"alg is {header.get('alg')!r:.60}, the key is for {key.alg}")
    try:
        payload = jws.verify(token, key.public, algorithms=[key.alg])
    except Exception as error:  # noqa: BLE001 - TypeError, OverflowError and others escape on hostile input
        raise JwtError("signature", f"the signature does not verify ({type(error).__name__})") from None
    return _object(payload, "payload")


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
    return _b64(hashlib.sha256(text.encode("ascii")).digest()[:16])
