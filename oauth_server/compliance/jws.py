"""Signed tokens: read, verify with a published key, and make ones that no server may accept (RFC 7515, RFC 7518)."""

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LONGEST: Final = 32_768  # characters of a token that is read
LARGEST_MODULUS: Final = 16_384
PARTS: Final = 3
LATEST: Final = 1e12  # seconds since the epoch: a date that is none lies beyond
CURVES: Final[Mapping[str, Callable[[], ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
CURVE_OF: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
RSA: Final = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
KNOWN: Final = {*CURVE_OF, *RSA, "EdDSA", "Ed25519"}
_HASHES: Final[Mapping[str, Callable[[], hashes.HashAlgorithm]]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}


@dataclass(frozen=True, slots=True)
class Jws:
    """A JWT in compact form; `content` is what was signed."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    content: str
    signature: bytes

    @property
    def algorithm(self) -> str:
        """`alg`, empty when it is no string."""
        value = self.header.get("alg")
        return value if isinstance(value, str) else ""


def encode(octets: bytes) -> str:
    """Encode as base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Decode base64url without padding; ValueError when it is none."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def read(token: str) -> Jws | None:
    """Read a token as a JWT without believing it; None when it is none, an encrypted one among them."""
    parts = token.split(".") if len(token) <= LONGEST else []
    if len(parts) != PARTS:
        return None
    try:
        header, claims = (json.loads(decode(part)) for part in parts[:2])
        signature = decode(parts[2])
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    return Jws(header, claims, ".".join(parts[:2]), signature)


def audience_of(claims: Mapping[str, Any]) -> list[str]:
    """Return the audiences of a token (RFC 7519 section 4.1.3): one, or an array of them."""
    value = claims.get("aud")
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]


def numeric(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate (RFC 7519 section 2), None for anything else."""
    value = claims.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LATEST else None


def signing_input(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Return what is signed of a token (RFC 7515 section 5.1)."""
    return ".".join(encode(json.dumps(part).encode()) for part in (header, claims))


def public_key(key: Mapping[str, Any]) -> Any:
    """Read a published key (RFC 7518 section 6, RFC 8037); ValueError for one that cannot be read."""
    try:
        if key.get("kty") == "RSA":
            modulus = int.from_bytes(decode(key["n"]), "big")
            if modulus.bit_length() > LARGEST_MODULUS:
                raise ValueError("the modulus is too long")
            return rsa.RSAPublicNumbers(int.from_bytes(decode(key["e"]), "big"), modulus).public_key()
        if key.get("kty") == "OKP" and key.get("crv") == "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(decode(key["x"]))
        x, y = (int.from_bytes(decode(key[name]), "big") for name in ("x", "y"))
        return ec.EllipticCurvePublicNumbers(x, y, CURVES[key["crv"]]()).public_key()
    except (KeyError, TypeError) as error:
        raise ValueError("the key cannot be read") from error


def public_pem(key: Mapping[str, Any]) -> bytes:
    """Return a published key as PEM, as careless servers hold it; ValueError for a key that is none."""
    pem: bytes = public_key(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def fits(algorithm: str, key: Mapping[str, Any]) -> bool:
    """Say whether a published key is of the type, and for the algorithm, that this signature needs."""
    types = {"RSA": RSA, "EC": {alg for alg, crv in CURVE_OF.items() if crv == key.get("crv")}}
    of_type = types.get(str(key.get("kty")), {"EdDSA", "Ed25519"})
    stated = key.get("alg") or algorithm
    return algorithm in of_type and (stated == algorithm or {stated, algorithm} == {"EdDSA", "Ed25519"})


def verifies(token: Jws, key: Mapping[str, Any]) -> bool:
    """Say whether a published key verifies the token's signature; a key of another kind never does."""
    algorithm, content = token.algorithm, token.content.encode()
    if not fits(algorithm, key):
        return False
    try:
        public = public_key(key)
        if algorithm in RSA:
            digest = _HASHES[algorithm[2:]]()
            public.verify(token.signature, content, _padding(algorithm, digest), digest)
        elif algorithm in CURVE_OF:
            size = (public.key_size + 7) // 8
            if len(token.signature) != 2 * size:
                return False
            halves = (int.from_bytes(half, "big") for half in (token.signature[:size], token.signature[size:]))
            public.verify(encode_dss_signature(*halves), content, ec.ECDSA(_HASHES[algorithm[2:]]()))
        else:
            public.verify(token.signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _padding(algorithm: str, digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    return padding.PSS(padding.MGF1(digest), digest.digest_size) if algorithm.startswith("PS") else padding.PKCS1v15()


# Making tokens


@functools.cache
def own_key(algorithm: str) -> Any:
    """Return a private key of our own for an algorithm, which no server has any reason to trust."""
    if algorithm in RSA:
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(CURVES[CURVE_OF[algorithm]]())


def own_jwk(algorithm: str, kid: str) -> dict[str, Any]:
    """Return the public part of that key."""
    numbers = own_key(algorithm).public_key().public_numbers()
    common = {"kid": kid, "alg": algorithm, "use": "sig"}
    if algorithm in RSA:
        return {"kty": "RSA", **common, "n": _integer(numbers.n), "e": _integer(numbers.e)}
    size = (numbers.curve.key_size + 7) // 8
    x, y = (encode(value.to_bytes(size, "big")) for value in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": CURVE_OF[algorithm], **common, "x": x, "y": y}


def _integer(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def signed(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Return a token signed with our own key for the header's algorithm."""
    algorithm, content = str(header["alg"]), signing_input(header, claims)
    key, digest = own_key(algorithm), _HASHES[algorithm[2:]]()
    if algorithm in RSA:
        signature = key.sign(content.encode(), _padding(algorithm, digest), digest)
    else:
        size = (key.curve.key_size + 7) // 8
        halves = decode_dss_signature(key.sign(content.encode(), ec.ECDSA(digest)))
        signature = b"".join(half.to_bytes(size, "big") for half in halves)
    return f"{content}.{encode(signature)}"


def authenticated(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes) -> str:
    """Return a token authenticated by HS256 with a shared secret."""
    content = signing_input(header, claims)
    return f"{content}.{encode(hmac.digest(secret, content.encode(), hashlib.sha256))}"
