"""The tokens of the flawed server, and the switches that put a flaw into one of them."""

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flawed_documents import ID_SIGNER, SIGNER
from jose import jwk, jwt

from oauth_server.compliance.jws import encode, signing_input

_STRANGER = ec.generate_private_key(ec.SECP256R1())
STRANGER = jwk.construct(_STRANGER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "ES256")
RESOURCE = "https://mcp.example/mcp"

# Members that replace the right ones, None leaves out.
ACCESS_CLAIMS: Mapping[str, Mapping[str, Any]] = {
    "at-iss": {"iss": "https://mcp.example/"},
    "at-aud": {"aud": None},
    "at-aud-resource": {"aud": "https://api.example"},
    "at-aud-only": {"aud": [RESOURCE, "https://api.example"]},
    "at-exp": {"exp": None},
    "at-iat": {"iat": "now"},
    "at-iat-late": {"iat": 99999999999},
    "at-lifetime": {"exp": 9999999999},
    "at-sub": {"sub": None},
    "at-client-id": {"client_id": "another"},
    "at-jti": {"jti": 7},
    "at-scope": {"scope": "mcp:read mcp:write mcp:admin"},
    "at-no-secrets": {"email": "alice@example.com"},
}
ACCESS_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "at-typ": {"typ": "JWT"},
    "at-kid": {"kid": "rotated"},
    "at-no-kid": {"kid": None},
}
ID_CLAIMS: Mapping[str, Mapping[str, Any]] = {
    "id-token-claims": {"sub": None},
    "id-token-iss": {"iss": "https://mcp.example/"},
    "id-token-aud": {"aud": RESOURCE},
    "id-token-nonce": {"nonce": None},
}


def _without_none(right: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**right, **changes}.items() if value is not None}


def unsigned(claims: Mapping[str, Any]) -> str:
    """Return a token that nobody signed."""
    return signing_input({"alg": "none", "typ": "at+jwt"}, claims) + "."


def access_token(right: Mapping[str, Any], flaw: str) -> str:
    """Sign an access token (RFC 9068)."""
    claims = _without_none(right, ACCESS_CLAIMS.get(flaw, {}))
    headers = _without_none({"kid": "ec", "typ": "at+jwt"}, ACCESS_HEADERS.get(flaw, {}))
    if flaw == "at-opaque":
        return encode(str(claims["jti"]).encode())
    if flaw == "at-signed":
        return unsigned(claims)
    if flaw == "at-algorithm":
        return str(jwt.encode(claims, "a secret of the server's own", "HS256", {"typ": "at+jwt"}))
    return str(jwt.encode(claims, STRANGER if flaw == "at-signature" else SIGNER, "ES256", headers))


def id_token(right: Mapping[str, Any], flaw: str) -> str:
    """Sign an ID token (OpenID Connect Core section 2)."""
    claims = _without_none(right, ID_CLAIMS.get(flaw, {}))
    if flaw == "id-token-unsigned":
        return unsigned(claims)
    if flaw == "id-token-algorithm":
        return str(jwt.encode(claims, SIGNER, "ES256", {"kid": "ec", "typ": "JWT"}))
    headers = {"kid": "rsa", "typ": "JWT"}
    signed = str(jwt.encode(claims, ID_SIGNER, "RS256", headers))
    return f"{signed[:-8]}AAAAAAAA" if flaw == "id-token-signature" else signed
