"""Signatures of every algorithm that servers use are verified, and nothing else is."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flawed_documents import EC_KEY, RSA_KEY
from jose import jwk, jwt

from oauth_server.compliance import jws

CLAIMS = {"sub": "user-1"}
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS512", "ES256", "ES384", "ES512"]


def parsed(token: str) -> jws.Jws:
    """Read a token that is one."""
    found = jws.read(token)
    assert found is not None
    return found


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_signed_is_verified_by_its_own_key_alone(algorithm: str) -> None:
    key = jws.own_jwk(algorithm, "own")
    token = parsed(jws.signed({"alg": algorithm, "kid": "own"}, CLAIMS))
    assert jws.verifies(token, key)
    assert not jws.verifies(parsed(f"{token.content}.{jws.encode(token.signature[:-1])}"), key)
    assert not jws.verifies(parsed(f"{token.content}.{jws.encode(bytes(len(token.signature)))}"), key)
    assert not any(jws.verifies(token, other) for other in (EC_KEY, RSA_KEY, {}, {**key, "alg": "HS256"}))
    if not algorithm.startswith("PS"):  # python-jose has none of these
        assert jwt.decode(f"{token.content}.{jws.encode(token.signature)}", jwk.construct(key, algorithm)) == CLAIMS


def test_edwards_curves_are_verified() -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key = {"kty": "OKP", "crv": "Ed25519", "x": jws.encode(public), "alg": "EdDSA"}
    for stated in ("EdDSA", "Ed25519"):
        content = jws.signing_input({"alg": stated}, CLAIMS)
        token = parsed(f"{content}.{jws.encode(private.sign(content.encode()))}")
        assert jws.verifies(token, key)
        assert not jws.verifies(token, {**key, "x": "AA"})


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"kty": 7},
        {"kty": "RSA", "n": [], "e": "AQAB"},
        {"kty": "RSA", "n": "AA", "e": "AA"},
        {"kty": "EC", "crv": "P-256", "x": None, "y": {}},
        {"kty": "EC", "crv": "P-256", "x": "é", "y": "AA"},
        {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": 7},
        {"kty": "oct", "k": "AA"},
    ],
)
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "HS256", "none", ""])
def test_a_key_of_any_shape_verifies_nothing(key: dict[str, Any], algorithm: str) -> None:
    token = parsed(f"{jws.signing_input({'alg': algorithm}, CLAIMS)}.AAAA")
    assert not jws.verifies(token, key)


@pytest.mark.parametrize(
    "text", ["", "a.b.c", "a.b", "a.b.c.d.e", "é.é.é", "." * 99, "e30.W10.", f"e30.{'A' * 40_000}."]
)
def test_what_is_no_jwt_is_none(text: str) -> None:
    assert jws.read(text) is None


def test_deep_and_odd_headers_are_read_or_refused() -> None:
    deep = jws.encode(b"[" * 5000)
    assert jws.read(f"{deep}.{deep}.") is None
    token = parsed(f"{jws.encode(json.dumps({'alg': ['none']}).encode())}.e30.")
    assert (token.algorithm, jws.audience_of({"aud": [1, "a", None]}), jws.audience_of({})) == ("", ["a"], [])
    assert jws.numeric({"exp": True}, "exp") is jws.numeric({"exp": 1e300}, "exp") is jws.numeric({}, "exp") is None
