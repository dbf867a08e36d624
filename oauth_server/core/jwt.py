"""JSON Web Tokens: the only module that touches python-jose, whose defaults accept forgeries.

Sources: RFC 7515, RFC 7517, RFC 7638 (kid), RFC 7523, RFC 8725 sections 3.1 to 3.11, RFC 9068 section 2.1 (typ).
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import jwk, jws
from pydantic_core import to_json

from oauth_server.core.jwt_parts import JwtError, decoded, encoded, header_of, parsed_object, taken_apart
from oauth_server.core.untrusted import unverified

ACCESS_TOKEN_TYPES = frozenset(("at+jwt", "application/at+jwt"))
ID_TOKEN_TYPES = frozenset(("JWT",))
_ASSERTION_TYPES = frozenset(("jwt", "client-authentication+jwt"))
_PROOF = b"signed once when a key is loaded"
MAX_KEYS = 20  # in a client's JWK Set
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192  # RFC 7518 section 3.3; what is longer, only slows this server down
MAX_RSA_EXPONENT = 2**64
_PRIVATE = frozenset(("k", "d", "p", "q", "dp", "dq", "qi", "oth"))  # RFC 7518 sections 6.2.2, 6.3.2 and 6.4
_ALGORITHMS: Mapping[tuple[object, object], tuple[str, ...]] = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("RSA", None): ("RS256", "RS384", "RS512"),
}


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
    """The claims of a token signed by one of our keys; raises JwtError otherwise.

    The key is chosen by `kid` and pins the algorithm; key material in the header (jwk, jku, x5u) is never looked
    at. Claims are not judged here.
    """
    header, payload, signature, signed = taken_apart(token)
    if str(header.get("typ", "")).lower() not in {t.lower() for t in types}:
        raise JwtError("type", f"typ is {unverified(str(header.get('typ')))}, not {' or '.join(sorted(types))}")
    if "crit" in header:
        raise JwtError("critical", "the header has critical extensions, of which none is understood")
    kid = header.get("kid")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise JwtError("key", "the kid names no signing key of this server")
    if header.get("alg") != key.alg:
        raise JwtError("algorithm", f"alg is {unverified(str(header.get('alg')))}, the key is for {key.alg}")
    try:
        # The key itself: `jws.verify` would take the token apart once more, and find the same key by the same header.
        verifies = key.public.verify(signed, signature) is True
    except Exception as error:  # noqa: BLE001 - TypeError, OverflowError and others escape on hostile input
        raise JwtError("signature", f"the signature does not verify ({type(error).__name__})") from None
    if not verifies:
        raise JwtError("signature", "the signature does not verify")
    return parsed_object(payload, "payload")


@dataclass(frozen=True)
class AssertionKey:
    """A client's public key, of its JWK Set; `algorithms` are those it may be used with."""

    kid: str | None
    algorithms: tuple[str, ...]
    public_jwk: Mapping[str, Any]


def assertion_keys(jwks: object) -> tuple[AssertionKey, ...]:
    """The keys of a client's JWK Set that can verify a signature (RFC 7517 section 5); raises JwtError.

    Keys for other purposes and of unknown types are left out. Symmetric and private keys are refused: a set that has
    one was never meant to be public.
    """
    members = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(members, list) or len(members) > MAX_KEYS or not all(isinstance(m, dict) for m in members):
        raise JwtError("key", f"not a JWK Set of at most {MAX_KEYS} keys")
    found = [key for member in members if (key := _assertion_key(member)) is not None]
    if not found:
        raise JwtError("key", "no key of the set is an EC or RSA public key for signatures")
    return tuple(found)


def _assertion_key(member: Mapping[str, Any]) -> AssertionKey | None:
    if member.get("kty") == "oct" or not _PRIVATE.isdisjoint(member):
        raise JwtError("key", "the set has a symmetric or private key")
    kind = (member.get("kty"), member.get("crv"))
    algorithms = next((found for known, found in _ALGORITHMS.items() if known == kind), ())
    if "alg" in member:
        algorithms = tuple(alg for alg in algorithms if alg == member["alg"])
    kid, operations = member.get("kid"), member.get("key_ops", ["verify"])
    if not algorithms or member.get("use", "sig") != "sig" or not (kid is None or isinstance(kid, str)):
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        jwk.construct(dict(member), algorithms[0])
        sound = member["kty"] != "RSA" or _sound(*(int.from_bytes(decoded(member[name])) for name in ("n", "e")))
    except Exception as error:  # noqa: BLE001 - whatever hostile numbers make of the libraries below
        raise JwtError("key", f"a key of the set cannot be read ({type(error).__name__})") from None
    if not sound:
        sizes = f"{MIN_RSA_BITS} to {MAX_RSA_BITS} bits, with an exponent of at most 64"
        raise JwtError("key", f"an RSA key of the set does not have {sizes}")
    return AssertionKey(kid, algorithms, dict(member))


def _sound(modulus: int, exponent: int) -> bool:
    return MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS and exponent < MAX_RSA_EXPONENT


def verify_assertion(token: str, keys: Collection[AssertionKey], algorithms: Collection[str]) -> dict[str, Any]:
    """The claims of a client assertion signed by one of the client's keys; raises JwtError (RFC 7523 section 3).

    `algorithms` are those the client may use; each key takes only those of its own type. Claims are not judged here.
    """
    header = header_of(token)
    # "application/" may be left out of a typ (RFC 7515 section 4.1.9).
    if "typ" in header and str(header["typ"]).lower().removeprefix("application/") not in _ASSERTION_TYPES:
        raise JwtError("type", f"typ is {unverified(str(header['typ']))}")
    if "crit" in header:
        raise JwtError("critical", "the header has critical extensions, of which none is understood")
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in algorithms:
        raise JwtError("algorithm", f"alg is {unverified(str(alg))}, accepted are {', '.join(algorithms)}")
    candidates = [key for key in keys if alg in key.algorithms and kid in (None, key.kid)]
    for key in candidates:
        try:
            payload = jws.verify(token, jwk.construct(dict(key.public_jwk), alg), algorithms=[alg])
        except Exception:  # noqa: BLE001, S112 - another key may be the right one; hostile input raises anything
            continue
        return parsed_object(payload, "payload")
    if not candidates:
        raise JwtError("key", "no key of the client has this kid and takes this alg")
    raise JwtError("signature", "the signature does not verify with any key of the client")
