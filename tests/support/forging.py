"""Signed and forged JSON Web Signatures, made without the library that verifies them."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from oauth_server.store.verbs import keys
from tests.support.oauth import b64
from tests.support.server import Running

Signer = Callable[[bytes], bytes]


def es256(key: ec.EllipticCurvePrivateKey) -> Signer:
    """Sign as RFC 7518 section 3.4 says: r and s, 32 bytes each."""

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def rs256(key: rsa.RSAPrivateKey) -> Signer:
    """Sign as RFC 7518 section 3.3 says."""
    return lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def hs256(secret: bytes) -> Signer:
    """Authenticate with a shared secret (RFC 7518 section 3.2)."""
    return lambda data: hmac.digest(secret, data, hashlib.sha256)


def unsigned(_: bytes) -> bytes:
    """The signature of an unsecured JWS: none (RFC 7518 section 3.6)."""
    return b""


def compact(header: Mapping[str, Any], claims: Mapping[str, Any] | bytes, sign: Signer) -> str:
    """A compact JWS; claims given as bytes are taken as they are."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signing_input = f"{b64(json.dumps(header).encode())}.{b64(payload)}"
    return f"{signing_input}.{b64(sign(signing_input.encode()))}"


async def private_key(server: Running, use: str) -> tuple[str, Any]:
    """The kid and private key with which the server signs: `use` is "access" or "id"."""
    stored = [key for key in await server.services.store.read(keys.listed) if key.use == use]
    return stored[0].kid, load_pem_private_key(stored[0].private_pem.encode(), None)


def good_claims(server: Running, subject: str, **changed: Any) -> dict[str, Any]:
    """The claims of a token that this server would have issued now; a claim given as ... is left out."""
    now = int(server.clock())
    claims = {
        "iss": server.url,
        "sub": subject,
        "aud": server.url,
        "exp": now + 600,
        "iat": now,
        "jti": "jti-of-the-test",
        "client_id": "mcp-docker-server-default",
        "scope": "mcp:read mcp:admin",
        "grant_id": "grant-of-the-test",
    }
    return {name: value for name, value in (claims | changed).items() if value is not ...}
