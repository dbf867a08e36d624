"""A key of the run, and what is signed with it (RFC 7515, RFC 7518 sections 3.3, 3.4 and 6)."""

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oauth_server.compliance.jws import encode
from oauth_server.compliance.model import Missing

KID: Final = "mcp-oauth-audit"
_P256: Final = 32  # octets of a coordinate


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key; `jwk` is its public half."""

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    algorithm: str
    jwk: Mapping[str, str]

    @staticmethod
    def of(algorithms: Collection[str], kid: str = KID) -> "Signer":
        """Make a key for the first of ES256 and RS256 that is among these; for ES256 where none is named."""
        members = {"use": "sig", "kid": kid}
        if "ES256" in algorithms or not algorithms:
            curve = ec.generate_private_key(ec.SECP256R1())
            numbers = curve.public_key().public_numbers()
            x, y = (encode(value.to_bytes(_P256, "big")) for value in (numbers.x, numbers.y))
            return Signer(curve, "ES256", {"kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES256", **members})
        if "RS256" in algorithms:
            private = rsa.generate_private_key(65537, 2048)
            modulus = encode(private.public_key().public_numbers().n.to_bytes(256, "big"))
            return Signer(private, "RS256", {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", **members})
        raise Missing(f"no assertion can be signed by {' or '.join(algorithms)} here")

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT."""
        return self._signed(self._content(claims, self.algorithm))

    def without_kid(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT that does not say which key signed it."""
        return self._signed(self._content(claims, self.algorithm, named=False))

    def _signed(self, content: str) -> str:
        if isinstance(self.key, rsa.RSAPrivateKey):
            signature = self.key.sign(content.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            pair = decode_dss_signature(self.key.sign(content.encode(), ec.ECDSA(hashes.SHA256())))
            signature = b"".join(number.to_bytes(_P256, "big") for number in pair)
        return f"{content}.{encode(signature)}"

    def unsigned(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT with the algorithm none."""
        return f"{self._content(claims, 'none')}."

    def confused(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT whose HMAC has the public key as its secret."""
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        content = self._content(claims, "HS256")
        return f"{content}.{encode(hmac.digest(public, content.encode(), hashlib.sha256))}"

    def _content(self, claims: Mapping[str, Any], algorithm: str, *, named: bool = True) -> str:
        header = {"alg": algorithm, "typ": "JWT", **({"kid": self.jwk["kid"]} if named else {})}
        return ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
