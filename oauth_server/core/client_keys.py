"""Client keys: the JWK Set of a client that signs assertions, and the one key that may verify an assertion.

Sources: RFC 7517 sections 4 and 5, RFC 7518 sections 3.3, 3.4 and 6, RFC 7523 section 3, RFC 8725
sections 3.1 to 3.11.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import jwk

from oauth_server.core.jwt_parts import JwtError, decoded, parsed_object, shown_header, taken_apart

MAX_KEYS: Final = 20  # in a JWK Set
# RFC 7518 section 3.3 has the least. Beyond the others a verification takes milliseconds, and a stranger asks for it.
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 4096
MAX_RSA_EXPONENT: Final = 2**32
_PRIVATE: Final = frozenset(("k", "d", "p", "q", "dp", "dq", "qi", "oth"))  # RFC 7518 sections 6.2.2, 6.3.2 and 6.4
_TYPES: Final = frozenset(("jwt", "client-authentication+jwt"))
_RSA: Final = ("RS256", "RS384", "RS512")


@dataclass(frozen=True)
class _Curve:
    """A curve y² = x³ - 3x + b modulo a prime, and the algorithm that uses it (RFC 7518 section 3.4)."""

    alg: str
    curve: ec.EllipticCurve
    prime: int
    b: int

    def has(self, x: int, y: int) -> bool:
        """Whether the point is on the curve; without this a library would have to be asked for each key of a set."""
        return max(x, y) < self.prime and (y * y - x * x * x + 3 * x - self.b) % self.prime == 0


_CURVES: Final[Mapping[object, _Curve]] = {
    "P-256": _Curve(
        "ES256",
        ec.SECP256R1(),
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    ),
    "P-384": _Curve(
        "ES384",
        ec.SECP384R1(),
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    ),
    "P-521": _Curve(
        "ES512",
        ec.SECP521R1(),
        2**521 - 1,
        0x51953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
    ),
}


@dataclass(frozen=True)
class ClientKey:
    """A client's public key, of its JWK Set; `algorithms` are those it may be used with.

    `numbers` are sound: a point on the curve, or a modulus and an exponent within the bounds.
    """

    kid: str | None
    algorithms: tuple[str, ...]
    numbers: ec.EllipticCurvePublicNumbers | rsa.RSAPublicNumbers

    @cached_property
    def public(self) -> Any:
        """The key as the library takes it; made when it is first used, and kept."""
        return self.numbers.public_key()

    def verifies(self, alg: str, signed: bytes, signature: bytes) -> bool:
        """Whether this is the key's signature."""
        try:
            return jwk.construct(self.public, alg).verify(signed, signature) is True
        except Exception:  # noqa: BLE001 - hostile numbers and signatures make anything of the libraries below
            return False


def client_keys(jwks: object) -> tuple[ClientKey, ...]:
    """The keys of a client's JWK Set that can verify a signature (RFC 7517 section 5); raises JwtError.

    Keys for other purposes and of unknown types are left out. Symmetric and private keys are refused: a set that has
    one was never meant to be public.
    """
    members = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(members, list) or len(members) > MAX_KEYS or not all(isinstance(m, dict) for m in members):
        raise JwtError("key", f"not a JWK Set of at most {MAX_KEYS} keys")
    found = [key for member in members if (key := _client_key(member)) is not None]
    if not found:
        raise JwtError("key", "no key of the set is an EC or RSA public key for signatures")
    return tuple(found)


def _client_key(member: Mapping[str, Any]) -> ClientKey | None:
    if member.get("kty") == "oct" or not _PRIVATE.isdisjoint(member):
        raise JwtError("key", "the set has a symmetric or private key")
    algorithms = _algorithms(member)
    kid, operations = member.get("kid"), member.get("key_ops", ["verify"])
    if not algorithms or member.get("use", "sig") != "sig" or not (kid is None or isinstance(kid, str)):
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    return ClientKey(kid, algorithms, _rsa(member) if algorithms[0] in _RSA else _ec(member))


def _algorithms(member: Mapping[str, Any]) -> tuple[str, ...]:
    """The algorithms that a key's type and `alg` allow; none for a key of another kind."""
    kty, crv = member.get("kty"), member.get("crv")
    every: tuple[str, ...] = ()
    if kty == "RSA" and crv is None:
        every = _RSA
    elif kty == "EC" and isinstance(crv, str) and crv in _CURVES:
        every = (_CURVES[crv].alg,)
    return tuple(alg for alg in every if member.get("alg", alg) == alg)


def _rsa(member: Mapping[str, Any]) -> rsa.RSAPublicNumbers:
    modulus, exponent = _number(member, "n"), _number(member, "e")
    if not (MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS and 2 < exponent < MAX_RSA_EXPONENT):  # noqa: PLR2004
        sizes = f"{MIN_RSA_BITS} to {MAX_RSA_BITS} bits, with an exponent from 3 to 2^32"
        raise JwtError("key", f"an RSA key of the set does not have {sizes}")
    if not modulus & exponent & 1:
        raise JwtError("key", "an RSA key of the set has an even number")
    return rsa.RSAPublicNumbers(exponent, modulus)


def _ec(member: Mapping[str, Any]) -> ec.EllipticCurvePublicNumbers:
    x, y, curve = _number(member, "x"), _number(member, "y"), _CURVES[member["crv"]]
    if not curve.has(x, y):
        raise JwtError("key", "an EC key of the set is no point on its curve")
    return ec.EllipticCurvePublicNumbers(x, y, curve.curve)


def _number(member: Mapping[str, Any], name: str) -> int:
    """A number in base64url (RFC 7518 section 2); raises JwtError."""
    text = member.get(name)
    # Longer than any number within the bounds: nothing is decoded.
    if not isinstance(text, str) or not 0 < len(text) <= 2 * MAX_RSA_BITS // 8:
        raise JwtError("key", f"a key of the set has no {name} that can be read, or a longer one than is accepted")
    try:
        return int.from_bytes(decoded(text), "big")
    except JwtError:
        raise JwtError("key", f"{name} of a key of the set is not base64url") from None


def verify_assertion(
    token: str, keys: Collection[ClientKey], algorithms: Collection[str]
) -> tuple[dict[str, Any], ClientKey]:
    """The claims of a client assertion, and the client's key that signed it; raises JwtError (RFC 7523 section 3).

    `algorithms` are those the client may use; each key takes only those of its own type. One signature is verified at
    most, so `kid` is required where more than one key fits. Claims are not judged here.
    """
    header, payload, signature, signed = taken_apart(token)
    # "application/" may be left out of a typ (RFC 7515 section 4.1.9).
    if "typ" in header and str(header["typ"]).lower().removeprefix("application/") not in _TYPES:
        raise JwtError("type", f"typ is {shown_header(header['typ'])}, not JWT or client-authentication+jwt")
    if "crit" in header:
        raise JwtError("critical", "the header has critical extensions, of which none is understood")
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in algorithms:
        raise JwtError("algorithm", f"alg is {shown_header(alg)}, accepted are {', '.join(algorithms)}")
    fitting = [key for key in keys if alg in key.algorithms and kid in (None, key.kid)]
    if not fitting:
        raise JwtError("key", f"no key of the client has the kid of this assertion and takes {alg}")
    if len(fitting) > 1:
        which = "the header has no kid" if kid is None else "they have the same kid"
        raise JwtError("key", f"{len(fitting)} keys of the client take {alg}, and {which}: a kid must name one of them")
    if not fitting[0].verifies(alg, signed, signature):
        raise JwtError("signature", "the signature does not verify with the key of the client")
    return parsed_object(payload, "payload"), fitting[0]
