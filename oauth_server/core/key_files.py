"""A private key that the operator manages: read from PEM, held against what its algorithm needs.

Sources: RFC 7468 (PEM), RFC 5958 (PKCS #8), RFC 7518 sections 3.3 and 3.4 (sizes, curve).
"""

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from oauth_server.core.settings_rules import RefusedError

MAX_FILE: Final = 65_536  # bytes
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 4096  # RFC 7518 section 3.3; what is longer makes each signature slow
_MIN_RSA_EXPONENT = 65_537  # FIPS 186-5 appendix A.1.1
_NEEDED: Final = {
    "ES256": "an EC private key on the curve P-256: openssl ecparam -name prime256v1 -genkey -noout",
    "RS256": f"an RSA private key of {_MIN_RSA_BITS} to {_MAX_RSA_BITS} bits: openssl genrsa 2048",
}


class EncryptedKeyError(RefusedError):
    """The key is encrypted, and no passphrase was given."""


def read_private_key(data: bytes, alg: str, passphrase: str | None = None) -> str:
    """The private key of a PEM file as PKCS #8 in the clear; raises RefusedError, which quotes nothing of it."""
    try:
        key = serialization.load_pem_private_key(data, None if passphrase is None else passphrase.encode())
    except TypeError:  # the library's word for a passphrase that is missing, or empty, or unneeded
        if passphrase is None:
            raise EncryptedKeyError("is encrypted", "its passphrase") from None
        raise RefusedError("does not open with this passphrase", "the one it was encrypted with") from None
    except (ValueError, UnsupportedAlgorithm):
        if passphrase is not None:
            raise RefusedError("does not open with this passphrase", "the one it was encrypted with") from None
        raise RefusedError(_without_a_key(data), f"a PEM file with {_NEEDED[alg]}") from None
    problem = _problem(key, alg)
    if problem is not None:
        raise RefusedError(problem, _NEEDED[alg])
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def _without_a_key(data: bytes) -> str:
    for label in ("PUBLIC KEY", "CERTIFICATE"):
        if f"-----BEGIN {label}-----".encode() in data:
            return f"holds a {label.lower()}, and no private key"
    return "holds no private key in PEM"


def _problem(key: object, alg: str) -> str | None:
    if alg == "ES256":
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            return f"is no EC key, and {alg} signs with one"
        return None if isinstance(key.curve, ec.SECP256R1) else f"is on the curve {key.curve.name}"
    if not isinstance(key, rsa.RSAPrivateKey):
        return f"is no RSA key, and {alg} signs with one"
    if not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
        return f"has {key.key_size} bits"
    small = key.private_numbers().public_numbers.e < _MIN_RSA_EXPONENT
    return f"has an exponent below {_MIN_RSA_EXPONENT}" if small else None
