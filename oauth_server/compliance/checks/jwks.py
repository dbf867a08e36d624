"""The keys that the authorization server publishes (RFC 7517, RFC 7518)."""

import base64
import binascii
from collections import Counter
from typing import Any, Final

from oauth_server.compliance.checks.protected_resource import member, strings
from oauth_server.compliance.model import Missing, Verdict, judge, rule
from oauth_server.compliance.sources import rfc
from oauth_server.compliance.survey import Survey

PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")
ALGORITHMS: Final = {
    "RSA": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "RSA-OAEP", "RSA-OAEP-256"},
    "EC": {"ES256", "ES384", "ES512", "ES256K", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"},
    "OKP": {"EdDSA", "Ed25519", "Ed448", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"},
    "AKP": {"ML-DSA-44", "ML-DSA-65", "ML-DSA-87"},
}
SMALLEST_RSA: Final = 2048


def _name(key: dict[str, Any]) -> str:
    return f"key {key.get('kid')!r}"


def modulus_bits(key: dict[str, Any]) -> int:
    """Return the length of an RSA key in bits, 0 when it cannot be read."""
    text = key.get("n")
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return 0
    return int.from_bytes(octets, "big").bit_length()


@rule(
    "The JWK Set can be fetched",
    rfc(8414, "2"),
    rfc(7517, "5"),
    fix='Answer jwks_uri with {"keys": […]}, status 200.',
)
async def readable(survey: Survey) -> Verdict:
    """RFC 7517 section 5: a JWK Set MUST have a `keys` member, an array."""
    document = await survey.document(await survey.stated("jwks_uri"))
    keys = document.members.get("keys")
    problem = f"{document.url}: {document.problem}" if document.problem else ""
    if not problem and (not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys)):
        problem = "`keys` is not an array of keys"
    elif not problem and not keys:
        problem = "`keys` is empty, so no signature can be verified"
    return judge(problem, "The keys can be read", document.shown)


@rule(
    "Only public keys are published",
    rfc(7517, "9.2"),
    fix="Take the private members out, and replace these keys at once: whoever read them can sign tokens.",
)
async def public_only(survey: Survey) -> Verdict:
    """RFC 7517 section 9.2: private and symmetric keys must be protected from disclosure."""
    exchange, keys = await survey.keys()
    leaking = [f"{_name(key)} has {', '.join(name for name in PRIVATE if name in key)}" for key in keys if _leaks(key)]
    return judge("; ".join(leaking[:3]), "All keys are public", (exchange, "; ".join(leaking[:3])))


def _leaks(key: dict[str, Any]) -> bool:
    return any(name in key for name in PRIVATE)


@rule(
    "No symmetric key is published",
    rfc(7517, "9.2"),
    fix="Sign with an asymmetric algorithm (ES256, RS256) and publish its public key.",
)
async def no_symmetric(survey: Survey) -> Verdict:
    """A key of type oct signs as well as it verifies."""
    exchange, keys = await survey.keys()
    symmetric = [_name(key) for key in keys if key.get("kty") == "oct" or str(key.get("alg", "")).startswith("HS")]
    problem = f"Symmetric: {', '.join(symmetric[:3])}" if symmetric else ""
    return judge(problem, "No key is symmetric", exchange)


@rule(
    "Every key has a `kid` of its own",
    rfc(7517, "4.5"),
    fix="Give every key a kid, for example its RFC 7638 thumbprint.",
)
async def kid_unique(survey: Survey) -> Verdict:
    """RFC 7517 section 4.5: different keys in a set SHOULD use distinct kid values."""
    exchange, keys = await survey.keys()
    counted = Counter(str(key.get("kid")) for key in keys)
    twice = [kid for kid, count in counted.items() if count > 1]
    problem = f"More than one key is {twice[0]!r}" if twice else ""
    if any(not isinstance(key.get("kid"), str) for key in keys):
        problem = "A key has no kid"
    return judge(problem, "Every kid is there once", exchange)


@rule(
    "`kty`, `alg` and `use` are stated and fit together",
    rfc(7517, "4"),
    fix="State kty, an alg of that type, and use: sig for each key.",
)
async def parameters(survey: Survey) -> Verdict:
    """RFC 7517 section 4: kty MUST be present; alg and use tell a client which key is for what."""
    exchange, keys = await survey.keys()
    wrong = []
    for key in keys:
        kty, alg, use = key.get("kty"), key.get("alg"), key.get("use")
        if not isinstance(kty, str):
            wrong.append(f"{_name(key)} has no kty")
        elif kty in ALGORITHMS and str(alg) not in ALGORITHMS[kty]:
            wrong.append(f"{_name(key)} has alg {alg!r}, which no {kty} key has")
        elif str(use) not in {"sig", "enc"} and "key_ops" not in key:
            wrong.append(f"{_name(key)} does not state its use")
    return judge("; ".join(wrong[:3]), "All are stated and fit", exchange)


@rule(
    "The keys are strong enough",
    rfc(7518, "3.3"),
    fix="Use RSA keys of 2048 bits or more, or P-256 or better.",
)
async def strength(survey: Survey) -> Verdict:
    """RFC 7518 section 3.3: a key of 2048 bits or larger MUST be used."""
    exchange, keys = await survey.keys()
    weak = [
        f"{_name(key)} has {modulus_bits(key)} bits"
        for key in keys
        if key.get("kty") == "RSA" and modulus_bits(key) < SMALLEST_RSA
    ]
    return judge("; ".join(weak[:3]), "No key is too short", exchange)


@rule(
    "ID tokens can be verified with the published keys",
    rfc(7517, "4.4"),
    fix="Publish a key for every algorithm in id_token_signing_alg_values_supported.",
)
async def covers_id_tokens(survey: Survey) -> Verdict:
    """A client looks for the key by the algorithm that was promised."""
    document = await survey.openid()
    promised = strings(document.members.get("id_token_signing_alg_values_supported"))
    if not promised:
        raise Missing("no algorithm is promised")
    exchange, keys = await survey.keys()
    types = {str(key.get("kty")) for key in keys}
    known = [alg for alg in promised if any(alg in algorithms for algorithms in ALGORITHMS.values())]
    without = [alg for alg in known if not any(alg in ALGORITHMS.get(kty, ()) for kty in types)]
    problem = f"No published key is of the type that {without[0]} needs" if without else ""
    shown = member(document, "id_token_signing_alg_values_supported")
    return judge(problem, "There is a key of each type", shown, exchange)
