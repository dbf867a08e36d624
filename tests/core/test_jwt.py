"""JSON Web Tokens: published vectors, every hostile token python-jose lets through, and arbitrary text."""

import json
from typing import Any

import hypothesis
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import strategies as st

from oauth_server.core import jwt, jwt_parts
from oauth_server.core.jwt import ACCESS_TOKEN_TYPES, ID_TOKEN_TYPES, Key, load_key, sign, verify
from oauth_server.core.jwt_parts import JwtError, check_times
from tests.support.forging import compact, es256, hs256, rs256, unsigned
from tests.support.oauth import b64

NOW = 1_800_000_000
CLAIMS: dict[str, Any] = {"iss": "https://a.example", "sub": "u", "exp": NOW + 60, "iat": NOW}
# RFC 7638 section 3.1
RFC_7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhM"
    "stn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5h"
    "ajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)
RFC_7638_KID = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
PEMS = {alg: jwt.generate_pem(alg) for alg in ("ES256", "RS256")}
EC_KEY, RSA_KEY = load_key(PEMS["ES256"], "ES256"), load_key(PEMS["RS256"], "RS256")
OTHER = load_key(jwt.generate_pem("ES256"), "ES256")
KEYS = {key.kid: key for key in (EC_KEY, RSA_KEY)}
PRIVATE: dict[str, Any] = {alg: load_pem_private_key(pem.encode(), None) for alg, pem in PEMS.items()}
GOOD = {"alg": "ES256", "typ": "at+jwt", "kid": EC_KEY.kid}


def forged(header: dict[str, Any] | None = None, claims: Any = None) -> str:
    """A token signed by our own key, with these members of the header (... leaves one out) and these claims."""
    made = {name: value for name, value in {**GOOD, **(header or {})}.items() if value is not ...}
    return compact(made, CLAIMS if claims is None else claims, es256(PRIVATE["ES256"]))


def failed(token: str, types: frozenset[str] = ACCESS_TOKEN_TYPES, keys: dict[str, Key] | None = None) -> str:
    """The check that refused a token."""
    with pytest.raises(JwtError) as caught:
        verify(token, KEYS if keys is None else keys, types)
    assert caught.value.reason
    return caught.value.check


def test_a_key_that_does_not_sign_is_found_when_it_is_loaded() -> None:
    whole = PRIVATE["RS256"].private_numbers()
    numbers = rsa.RSAPrivateNumbers(
        whole.p, whole.q, whole.d + 2, whole.dmp1 + 2, whole.dmq1, whole.iqmp, whole.public_numbers
    )
    damaged = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    pem = damaged.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(JwtError, match="the private key for RS256 does not sign"):
        load_key(pem, "RS256")


def test_a_key_of_another_kind_is_no_key_for_the_algorithm() -> None:
    for alg, other in (("ES256", "RS256"), ("RS256", "ES256")):
        with pytest.raises(JwtError, match=f"no private key for {alg}"):
            load_key(PEMS[other], alg)


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["ES256", "RS256"])
def test_what_is_signed_verifies_and_says_which_key(key: Key) -> None:
    token = sign(key, CLAIMS, "at+jwt")
    assert verify(token, KEYS, ACCESS_TOKEN_TYPES) == CLAIMS
    assert failed(token, keys={EC_KEY.kid: OTHER, RSA_KEY.kid: OTHER}) in {"signature", "algorithm"}
    header = json.loads(jwt_parts.decoded(token.split(".")[0]))
    assert header == {"alg": key.alg, "kid": key.kid, "typ": "at+jwt"}
    assert verify(forged(), KEYS, ACCESS_TOKEN_TYPES) == CLAIMS  # the forger below knows how


def test_the_kid_is_the_thumbprint_of_rfc_7638(monkeypatch: pytest.MonkeyPatch) -> None:
    class Public:
        def verify(self, message: bytes, signature: bytes) -> bool:
            return message == signature

        def to_dict(self) -> dict[str, str]:
            return {"kty": "RSA", "n": RFC_7638_N, "e": "AQAB", "alg": "RS256", "extra": "ignored"}

    class Private:
        def sign(self, message: bytes) -> bytes:
            return message

        def public_key(self) -> Public:
            return Public()

    monkeypatch.setattr(jwt.jwk, "construct", lambda *_: Private())
    assert load_key(PEMS["RS256"], "RS256").kid == RFC_7638_KID


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["ES256", "RS256"])
def test_the_published_key_has_no_private_member(key: Key) -> None:
    members = {"ES256": {"crv", "x", "y"}, "RS256": {"n", "e"}}[key.alg]
    assert set(key.public_jwk) == {"kty", "kid", "use", "alg", *members}
    assert key.public_jwk["kid"] == key.kid


def test_new_keys_are_p256_and_rsa_2048() -> None:
    assert isinstance(PRIVATE["ES256"].curve, ec.SECP256R1)
    assert isinstance(PRIVATE["RS256"], rsa.RSAPrivateKey)
    assert PRIVATE["RS256"].key_size == 2048


def _secrets() -> list[bytes]:
    """Every spelling of our public keys that could pass for a shared secret."""
    found = []
    for alg in ("ES256", "RS256"):
        public = PRIVATE[alg].public_key()
        found += [public.public_bytes(e, PublicFormat.SubjectPublicKeyInfo) for e in (Encoding.DER, Encoding.PEM)]
    found.append(PRIVATE["RS256"].public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1))
    found += [json.dumps(dict(key.public_jwk)).encode() for key in (EC_KEY, RSA_KEY)]
    return found


@pytest.mark.requirement("attack-62", "regression-5")
@pytest.mark.parametrize("kid", [EC_KEY.kid, RSA_KEY.kid], ids=["EC", "RSA"])
@pytest.mark.parametrize("secret", _secrets(), ids=range(7))
def test_a_public_key_is_no_shared_secret(secret: bytes, kid: str) -> None:
    assert failed(compact({"alg": "HS256", "typ": "at+jwt", "kid": kid}, CLAIMS, hs256(secret))) == "algorithm"


@pytest.mark.requirement("attack-62")
@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", None, 1, ["ES256"], "ES384", "es256", "HS256", ...]
)
def test_the_key_pins_the_algorithm(alg: object) -> None:
    assert failed(compact({n: v for n, v in {**GOOD, "alg": alg}.items() if v is not ...}, CLAIMS, unsigned)) == (
        "algorithm"
    )
    assert failed(forged({"alg": alg})) == "algorithm"


@pytest.mark.requirement("attack-62")
@pytest.mark.parametrize(
    ("header", "check"),
    [
        ({"crit": ["b64"], "b64": False}, "critical"),
        ({"crit": ["exp"]}, "critical"),
        ({"crit": []}, "critical"),
        ({"crit": None}, "critical"),
        ({"kid": OTHER.kid}, "key"),
        ({"kid": ...}, "key"),
        ({"kid": None}, "key"),
        ({"kid": ["x"]}, "key"),
        ({"kid": {"a": 1}}, "key"),
        ({"kid": "../../dev/null"}, "key"),
        ({"kid": "' OR '1'='1"}, "key"),
        ({"kid": ..., "jwk": dict(OTHER.public_jwk)}, "key"),
        ({"kid": OTHER.kid, "jku": "https://evil.example/jwks.json"}, "key"),
        ({"kid": RSA_KEY.kid}, "algorithm"),
        ({"typ": "JWT"}, "type"),
        ({"typ": ...}, "type"),
        ({"typ": None}, "type"),
        ({"typ": ["at+jwt"]}, "type"),
        ({"typ": "at+jwt;v=1"}, "type"),
        ({"typ": "logout+jwt"}, "type"),
    ],
)
def test_a_hostile_header_is_refused_although_the_signature_is_good(header: dict[str, Any], check: str) -> None:
    assert failed(forged(header)) == check


@pytest.mark.requirement("attack-62")
def test_key_material_in_the_header_is_never_used() -> None:
    mallory: Any = load_pem_private_key(jwt.generate_pem("ES256").encode(), None)
    header = {**GOOD, "jwk": dict(OTHER.public_jwk), "jku": "https://evil.example", "x5u": "https://evil.example"}
    assert failed(compact(header, CLAIMS, es256(mallory))) == "signature"
    assert verify(forged({"jku": "https://evil.example", "x5c": ["x"]}), KEYS, ACCESS_TOKEN_TYPES) == CLAIMS


@pytest.mark.requirement("attack-62")
def test_a_token_that_names_another_of_our_keys_is_refused() -> None:
    keys = {EC_KEY.kid: EC_KEY, OTHER.kid: OTHER}
    assert failed(forged({"kid": OTHER.kid}), keys=keys) == "signature"
    assert failed(compact({**GOOD, "alg": "RS256"}, CLAIMS, rs256(PRIVATE["RS256"]))) == "algorithm"


@pytest.mark.requirement("attack-47", "attack-63")
def test_types_are_not_mixed_up_and_their_case_does_not_matter() -> None:
    assert failed(sign(EC_KEY, CLAIMS, "JWT")) == "type"
    assert failed(sign(EC_KEY, CLAIMS, "at+jwt"), ID_TOKEN_TYPES) == "type"
    assert verify(sign(EC_KEY, CLAIMS, "application/AT+JWT"), KEYS, ACCESS_TOKEN_TYPES) == CLAIMS


@pytest.mark.requirement("attack-62")
@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("tail", ["=", "==", "\n", " ", "%3D", "+", "/", "!", "A"])
def test_a_token_has_one_spelling(part: int, tail: str) -> None:
    parts = sign(EC_KEY, CLAIMS, "at+jwt").split(".")
    parts[part] += tail
    assert failed(".".join(parts)) in {"format", "signature"}


@pytest.mark.requirement("attack-62")
def test_flipped_unused_bits_of_the_signature_are_refused() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = sign(EC_KEY, CLAIMS, "at+jwt")
    last = alphabet.index(token[-1])
    assert last % 16 == 0  # 64 bytes leave four bits unused
    for bits in range(1, 16):
        assert failed(token[:-1] + alphabet[last + bits]) == "format"


@pytest.mark.requirement("attack-62")
@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",  # a JWE
        "ä.b.c",
        "\ud800.b.c",
        "eyJhbGciOiJub25lIn0.e30.",
        f"{b64(b'[]')}.e30.AA",
        f"{b64(b'nonsense')}.e30.AA",
        f"{b64(b'{' * 2000)}.e30.AA",
        f"{b64(b'[' * 5000)}.e30.AA",
        f"{b64(bytes(range(256)))}.e30.AA",
        "A" * 1_000_000,
        f"{'A' * 5000}.{'A' * 5000}.AA",
    ],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert failed(token) in {"format", "type"}


@pytest.mark.requirement("attack-62")
def test_size_is_bounded_and_everything_up_to_it_is_served() -> None:
    def sized(length: int) -> str:
        return forged(claims={**CLAIMS, "pad": "x" * length})

    pad = next(n for n in range(5500, 6000) if len(sized(n)) > jwt_parts.MAX_LENGTH)
    assert verify(sized(pad - 1), KEYS, ACCESS_TOKEN_TYPES)["sub"] == "u"
    assert failed(sized(pad)) == "format"


@pytest.mark.requirement("attack-62")
@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"null", b"1", b'"a"', b"[" * 5000, b'{"a":' * 1000, b"\xff\xfe", b"{'a': 1}"]
)
def test_a_signed_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    assert failed(compact(GOOD, payload, es256(PRIVATE["ES256"]))) == "format"


@pytest.mark.requirement("attack-63")
@pytest.mark.parametrize("name", ["exp", "iat"])
@pytest.mark.parametrize(
    "value", [..., None, [NOW + 60], {}, "1800000060", True, float("inf"), float("nan"), -float("inf")]
)
def test_times_must_be_there_and_be_finite_numbers(name: str, value: object) -> None:
    claims = {n: v for n, v in {**CLAIMS, name: value}.items() if v is not ...}
    with pytest.raises(JwtError) as caught:
        check_times(claims, NOW)
    assert caught.value.check == "claims"


@pytest.mark.requirement("attack-63", "attack-75")
@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({}, None),
        ({"exp": NOW + 0.5}, None),
        ({"exp": NOW}, "expiry"),
        ({"exp": NOW - 1}, "expiry"),
        ({"exp": -1}, "expiry"),
        ({"iat": NOW + 60, "exp": NOW + 90}, None),
        ({"iat": NOW + 61, "exp": NOW + 90}, "not_before"),
        ({"nbf": NOW + 60}, None),
        ({"nbf": NOW + 61}, "not_before"),
        ({"nbf": "soon"}, "claims"),
        ({"nbf": None}, "claims"),
        ({"nbf": float("nan")}, "claims"),
        ({"exp": 10**400}, "claims"),
    ],
)
def test_expiry_has_no_leeway_and_the_future_a_minute(changed: dict[str, Any], check: str | None) -> None:
    if check is None:
        check_times({**CLAIMS, **changed}, NOW)
        return
    with pytest.raises(JwtError) as caught:
        check_times({**CLAIMS, **changed}, NOW)
    assert caught.value.check == check


FIXED = forged()
SEGMENT = st.one_of(
    st.text(max_size=80),
    st.binary(max_size=80).map(b64),
    st.dictionaries(
        st.sampled_from(["alg", "typ", "kid", "crit", "jwk", "b64", "x"]),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.text(max_size=9), st.sampled_from([*GOOD.values(), "none"])
        ),
        max_size=6,
    ).map(lambda header: b64(json.dumps(header).encode())),
)


@pytest.mark.requirement("attack-76")
@hypothesis.given(
    st.one_of(
        st.text(max_size=300),
        st.lists(SEGMENT, min_size=3, max_size=3).map(".".join),
        st.tuples(SEGMENT, SEGMENT).map(lambda parts: f"{b64(json.dumps(GOOD).encode())}.{parts[0]}.{parts[1]}"),
    )
)
def test_arbitrary_text_is_refused_and_raises_nothing_else(token: str) -> None:
    with pytest.raises(JwtError):
        verify(token, KEYS, ACCESS_TOKEN_TYPES)


@hypothesis.given(st.data())
def test_any_changed_character_is_refused(data: st.DataObject) -> None:
    token = FIXED
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(exclude_characters=token[at]))
    with pytest.raises(JwtError):
        verify(token[:at] + other + token[at + 1 :], KEYS, ACCESS_TOKEN_TYPES)


def test_at_hash_is_the_left_half_of_the_hash() -> None:
    # OpenID Connect Core 1.0, appendix A.3
    assert jwt_parts.left_half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y") == "77QmUPtjPfzWtF2AnpK9RQ"


def test_a_private_key_is_stored_as_pkcs8() -> None:
    for alg, pem in PEMS.items():
        again = PRIVATE[alg].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        assert pem == again
