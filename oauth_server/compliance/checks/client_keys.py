"""The keys that clients register, and what each check of a signature by them costs (RFC 7591 section 2, RFC 7517)."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from oauth_server.compliance.checks.assertions import METHOD
from oauth_server.compliance.checks.flows import members
from oauth_server.compliance.checks.protected_resource import strings
from oauth_server.compliance.checks.registration import opened, refused
from oauth_server.compliance.checks.signer import Signer
from oauth_server.compliance.jws import encode
from oauth_server.compliance.model import Exchange, Missing, Verdict, rule
from oauth_server.compliance.registrar import REGISTERED
from oauth_server.compliance.sources import rfc
from oauth_server.compliance.survey import Survey

LARGE: Final = 8192  # bits
SEVERAL: Final = 11


@rule(
    "Keys that cost too much to use are not registered",
    rfc(7591, "5"),
    rfc(8725, "3.5"),
    fix="Refuse client keys beyond 4096 bits, and more than a few of them: anyone may have the server use them.",
)
async def large(survey: Survey) -> Verdict:
    """Each check of a signature by an RSA key of 8192 bits costs milliseconds, before the client is known."""
    offered = (await survey.metadata()).members
    if METHOD not in strings(offered.get("token_endpoint_auth_methods_supported")):
        raise Missing("private_key_jwt is not supported")
    if "RS256" not in strings(offered.get("token_endpoint_auth_signing_alg_values_supported")):
        raise Missing("RS256 is not supported, so no RSA key is used")
    key = Signer.of(["RS256"]).jwk
    right = await _registered(survey, "RSA key", key)
    if not _kept(right, key):
        raise Missing(f"a key of 2048 bits is not registered either: {right.answer.status}")
    modulus = encode((secrets.randbits(LARGE) | (1 << (LARGE - 1)) | 1).to_bytes(LARGE // 8, "big"))
    keys = [{"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": str(number)} for number in range(SEVERAL)]
    exchange = await _registered(survey, "large keys", *keys)
    kept = _kept(exchange, *keys)
    return refused(exchange, f"{kept} keys of {LARGE} bits are registered" if kept else "")


async def _registered(survey: Survey, name: str, *keys: Mapping[str, str]) -> Exchange:
    """Return how the registration of a client with these keys was answered; Missing for what says nothing of them."""
    exchange = await survey.walk.clients.answered(
        name,
        client_name=f"MCP OAuth audit: {name}",
        token_endpoint_auth_method=METHOD,
        application_type=None,
        jwks={"keys": list(keys)},
    )
    if exchange.answer.status in REGISTERED and not members(exchange).get("client_id"):
        raise Missing("the answer to a registration names no client")
    return opened(exchange)


def _kept(exchange: Exchange, *keys: Mapping[str, str]) -> int:
    """Return how many of the keys are registered, by their moduli: a server may replace what a client asks for.

    All are where the answer does not say: RFC 7591 section 3.2.1 has it repeat what is registered, and not all do.
    """
    stored = members(exchange)
    if exchange.answer.status not in REGISTERED or stored.get("token_endpoint_auth_method", METHOD) != METHOD:
        return 0
    found: Any = stored["jwks"].get("keys") if isinstance(stored.get("jwks"), dict) else None
    if not isinstance(found, list):
        return len(keys)
    moduli = {key["n"] for key in keys}
    return sum(isinstance(key, dict) and key.get("n") in moduli for key in found)
