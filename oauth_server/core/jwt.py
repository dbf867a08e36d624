"""JSON Web Tokens of this server: signed, and verified by the server's own keys.

This module and `client_keys.py` alone touch python-jose, whose defaults accept forgeries.

Sources: RFC 7515, RFC 7517, RFC 7638 (kid), RFC 8725 sections 3.1 to 3.11, RFC 9068 section 2.1 (typ).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import jwk
from pydantic_core import to_json

from oauth_server.core.jwt_parts import JwtError, UnknownKeyError, encoded, parsed_object, shown_header, taken_apart

ACCESS_TOKEN_TYPES = frozenset(("at+jwt", "application/at+jwt"))
ID_TOKEN_TYPES = frozenset(("JWT",))
_PROOF = b"signed once when a key is loaded"
# A kid is the SHA-256 thumbprint of the key (RFC 7638), in base64url.
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Key:
    """A signing key, parsed once: parsing a PEM for every token costs fifty times the signature."""

    kid: str
    alg: str
    private: Any
    public: Any
    public_jwk: Mapping[str, str]


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
    """Parse a private key; its kid is the RFC 7638 thumbprint of the public half. Raises JwtError."""
    try:
        # Whether its numbers are primes, which takes 40 ms, was looked at when it came. A damaged one does not sign.
        found: Any = serialization.load_pem_private_key(private_pem.encode(), None, unsafe_skip_rsa_key_validation=True)
        private = jwk.construct(found, alg)
        public = private.public_key()
        signs = public.verify(_PROOF, private.sign(_PROOF))
    except Exception as error:  # noqa: BLE001 - whatever a damaged key makes of the libraries below
        raise JwtError("key", f"no private key for {alg} ({type(error).__name__})") from None
    if not signs:
        raise JwtError("key", f"the private key for {alg} does not sign")
    raw: dict[str, Any] = public.to_dict()
    members = ("crv", "kty", "x", "y") if alg == "ES256" else ("e", "kty", "n")
    required = {name: v.decode() if isinstance(v := raw[name], bytes) else v for name in members}
    thumbprint = hashlib.sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest()
    kid = encoded(thumbprint)
    return Key(kid, alg, private, public, {**required, "kid": kid, "use": "sig", "alg": alg})


def sign(key: Key, claims: Mapping[str, Any], typ: str) -> str:
    """A compact JWS over the claims (RFC 7515 section 3.1)."""
    signed = f"{_header(key.alg, key.kid, typ)}.{encoded(to_json(claims))}".encode("ascii")
    # The key itself, as in `verify`: `jws.sign` would write the same header anew for each token.
    return f"{signed.decode('ascii')}.{encoded(key.private.sign(signed))}"


@lru_cache(64)
def _header(alg: str, kid: str, typ: str) -> str:
    return encoded(to_json({"alg": alg, "kid": kid, "typ": typ}))


def verify(token: str, keys: Mapping[str, Key], types: frozenset[str]) -> dict[str, Any]:
    """The claims of a token signed by one of our keys; raises JwtError otherwise, UnknownKeyError among them.

    The key is chosen by `kid` and pins the algorithm; key material in the header (jwk, jku, x5u) is never looked
    at. Claims are not judged here.
    """
    header, payload, signature, signed = taken_apart(token)
    if str(header.get("typ", "")).lower() not in {t.lower() for t in types}:
        raise JwtError("type", f"typ is {shown_header(header.get('typ'))}, not {' or '.join(sorted(types))}")
    if "crit" in header:
        raise JwtError("critical", "the header has critical extensions, of which none is understood")
    kid = header.get("kid")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        if isinstance(kid, str) and _THUMBPRINT.fullmatch(kid):
            raise UnknownKeyError
        raise JwtError("key", "the kid names no signing key of this server")
    if header.get("alg") != key.alg:
        raise JwtError("algorithm", f"alg is {shown_header(header.get('alg'))}, the key is for {key.alg}")
    try:
        # The key itself: `jws.verify` would take the token apart once more, and find the same key by the same header.
        verifies = key.public.verify(signed, signature) is True
    except Exception as error:  # noqa: BLE001 - TypeError, OverflowError and others escape on hostile input
        raise JwtError("signature", f"the signature does not verify ({type(error).__name__})") from None
    if not verifies:
        raise JwtError("signature", "the signature does not verify")
    return parsed_object(payload, "payload")
