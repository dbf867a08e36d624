"""Tokens that the resource server must refuse (OAuth 2.1 section 5, RFC 8725, RFC 9068)."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oauth_server.compliance import urls, www_authenticate
from oauth_server.compliance.checks.challenge import header
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import mcp, oauth, rfc, security
from oauth_server.compliance.survey import UNAUTHORIZED, Survey

GARBAGE: Final = "mcp-oauth-audit-not-a-token"
LIFETIME: Final = 300
LARGEST_MODULUS: Final = 16384
CURVES: Final[Mapping[str, Callable[[], ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
JWS_PARTS: Final = 3


def encode(octets: bytes) -> str:
    """Encode as base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Decode base64url without padding; ValueError when it is none."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def _call(survey: Survey, authorization: str) -> Exchange:
    """Call the endpoint with credentials of our own; Missing when it asks for none anyway."""
    await survey.refusal()
    return await survey.call(await survey.endpoint(), {"Authorization": authorization})


def _refused(exchange: Exchange) -> Verdict:
    status = exchange.answer.status
    problem = "" if status == UNAUTHORIZED else f"The answer is {status}, not 401"
    return judge(problem, "The token is refused", header(exchange))


async def _claims(survey: Survey) -> dict[str, Any]:
    """Return the claims of a token that would be right if only its signature were."""
    audience: Any = (await survey.protected_resource()).members.get("resource")
    claims: dict[str, Any] = {
        "iss": await survey.issuer(),
        "aud": audience,
        "sub": "mcp-oauth-audit",
        "client_id": "mcp-oauth-audit",
        "scope": " ".join((await survey.challenge())[1].parameters.get("scope", "").split()),
        "jti": "mcp-oauth-audit",
        "iat": int(survey.now),
        "exp": int(survey.now) + LIFETIME,
    }
    try:
        given = json.loads(decode(survey.access_token.split(".")[1]))
    except (ValueError, IndexError, RecursionError):
        return claims
    return {**claims, **given} if isinstance(given, dict) else claims


def _signing_input(jose: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    return ".".join(encode(json.dumps(part).encode()) for part in (jose, claims))


def public_pem(key: Mapping[str, Any]) -> bytes:
    """Return a published key as PEM, as careless servers hold it; ValueError for a key that is none."""
    try:
        if key.get("kty") == "RSA":
            modulus = int.from_bytes(decode(key["n"]), "big")
            if modulus.bit_length() > LARGEST_MODULUS:
                raise ValueError("the modulus is too long")
            public: Any = rsa.RSAPublicNumbers(int.from_bytes(decode(key["e"]), "big"), modulus).public_key()
        else:
            x, y = (int.from_bytes(decode(key[name]), "big") for name in ("x", "y"))
            public = ec.EllipticCurvePublicNumbers(x, y, CURVES[key["crv"]]()).public_key()
    except (KeyError, TypeError) as error:
        raise ValueError("the key cannot be read") from error
    pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


@rule(
    "A token that is none is refused with 401",
    mcp("Token Handling"),
    oauth("5.3"),
    fix="Validate every token before the request is processed, and answer 401.",
)
async def garbage(survey: Survey) -> Verdict:
    """MCP: invalid or expired tokens MUST receive 401."""
    return _refused(await _call(survey, f"Bearer {GARBAGE}"))


@rule(
    "The refusal of a token says invalid_token",
    rfc(6750, "3.1"),
    oauth("5.3"),
    fix='Add error="invalid_token" to the challenge when a token was sent: clients refresh only then.',
)
async def invalid_token(survey: Survey) -> Verdict:
    """RFC 6750 section 3.1."""
    exchange = await _call(survey, f"Bearer {GARBAGE}")
    found = www_authenticate.read(exchange.answer.headers_of("WWW-Authenticate"))
    errors = [challenge.parameters.get("error", "") for challenge in found if challenge.scheme == "bearer"]
    problem = "" if "invalid_token" in errors else f"The challenge says {', '.join(errors) or 'nothing'}"
    return judge(problem, "The challenge says invalid_token", header(exchange))


@rule(
    "The refusal of a token names the metadata, too",
    rfc(9728, "5.1"),
    fix="Send resource_metadata with every challenge: a client whose token died may have to start over.",
)
async def invalid_token_metadata(survey: Survey) -> Verdict:
    """RFC 9728 section 5.1; asked for when the challenge without a token has it."""
    if "resource_metadata" not in (await survey.challenge())[1].parameters:
        raise Missing("the challenge without a token does not name it either")
    exchange = await _call(survey, f"Bearer {GARBAGE}")
    found = www_authenticate.read(exchange.answer.headers_of("WWW-Authenticate"))
    named = any("resource_metadata" in challenge.parameters for challenge in found)
    return judge("" if named else "resource_metadata is missing", "The metadata is named", header(exchange))


@rule(
    "Malformed credentials are refused",
    rfc(6750, "3.1"),
    fix="Answer a malformed Authorization header with 400 or 401, never with 500.",
)
async def malformed(survey: Survey) -> Verdict:
    """RFC 6750 section 3.1: invalid_request is 400, and 401 serves as well."""
    exchange = await _call(survey, "Bearer mcp oauth audit, three words")
    status = exchange.answer.status
    problem = "" if status in {400, UNAUTHORIZED} else f"The answer is {status}"
    return judge(problem, "They are refused", header(exchange))


@rule(
    "Another authentication scheme is refused",
    rfc(6750, "3"),
    fix="Answer requests with another scheme like requests without a token.",
)
async def other_scheme(survey: Survey) -> Verdict:
    """RFC 6750 section 3: no valid bearer token, so a challenge."""
    return _refused(await _call(survey, f"Basic {encode(b'mcp-oauth-audit:wrong')}"))


@rule(
    "An unsigned token is refused",
    rfc(8725, "3.1"),
    rfc(9068, "4"),
    fix="Pin the algorithm to each key, and refuse alg none.",
)
async def unsigned(survey: Survey) -> Verdict:
    """RFC 9068 section 4: the resource server MUST reject any JWT whose alg is none."""
    token = f"{_signing_input({'alg': 'none', 'typ': 'at+jwt'}, await _claims(survey))}."
    return _refused(await _call(survey, f"Bearer {token}"))


@rule(
    "A token signed with the public key as a shared secret is refused",
    rfc(8725, "2.1"),
    rfc(8725, "3.1"),
    fix="Pin the algorithm to each key: a public key never verifies an HMAC.",
)
async def confused_algorithm(survey: Survey) -> Verdict:
    """RFC 8725 section 2.1: the RS256 key used as an HS256 secret."""
    exchange, keys = await survey.keys()
    for key in keys:
        try:
            pem = public_pem(key)
        except ValueError:
            continue
        content = _signing_input({"alg": "HS256", "typ": "at+jwt", "kid": key.get("kid")}, await _claims(survey))
        token = f"{content}.{encode(hmac.digest(pem, content.encode(), hashlib.sha256))}"
        return _refused(await _call(survey, f"Bearer {token}"))
    raise Missing(f"no key of {exchange.answer.url} can be used for it")


@rule(
    "A token in the query string is ignored",
    mcp("Token Requirements"),
    oauth("5.1"),
    fix="Read the token from the Authorization header alone.",
)
async def query(survey: Survey) -> Verdict:
    """MCP: tokens MUST NOT be in the query; a server that reads one there says invalid_token, or lets it in."""
    without, challenge = await survey.challenge()
    exchange = await survey.call(urls.with_query(await survey.endpoint(), ("access_token", GARBAGE)))
    found = www_authenticate.read(exchange.answer.headers_of("WWW-Authenticate"))
    said = any(item.parameters.get("error") == "invalid_token" for item in found)
    problem = "The token in the query string was read" if said and "error" not in challenge.parameters else ""
    if exchange.answer.status != without.answer.status:
        problem = f"The answer is {exchange.answer.status}, without the parameter {without.answer.status}"
    return judge(problem, "It is ignored", header(without), header(exchange))


@rule(
    "The given token opens the endpoint",
    mcp("Token Handling"),
    fix="Compare the token's iss, aud and exp with what the endpoint expects.",
)
async def accepted(survey: Survey) -> Verdict:
    """Judged with the token that the operator gave."""
    if not survey.access_token:
        raise Missing("no access token was given")
    exchange = await _call(survey, f"Bearer {survey.access_token}")
    status = exchange.answer.status
    return judge(f"The answer is {status}" if status in {401, 403} else "", "It does", header(exchange))


@rule(
    "The given token is refused when its signature is changed",
    security("Access Token Privilege Restriction"),
    rfc(9068, "4"),
    fix="Verify the signature of every token.",
)
async def tampered(survey: Survey) -> Verdict:
    """RFC 9068 section 4: the resource server MUST validate the signature."""
    parts = survey.access_token.split(".")
    if len(parts) != JWS_PARTS or not parts[2]:
        raise Missing("no access token was given that is a signed JWT")
    parts[2] = ("B" if parts[2].startswith("A") else "A") + parts[2][1:]
    return _refused(await _call(survey, f"Bearer {'.'.join(parts)}"))


@rule(
    "The userinfo endpoint asks for a token",
    rfc(6750, "3"),
    fix="Answer userinfo requests without a token with 401 and a Bearer challenge.",
)
async def userinfo(survey: Survey) -> Verdict:
    """OpenID Connect Core 1.0 section 5.3.3: errors as RFC 6750 section 3 has them."""
    for document in (await survey.metadata(), await survey.openid()):
        url = document.members.get("userinfo_endpoint")
        if isinstance(url, str) and urls.read(url):
            return _refused(await survey.fetch("GET", url, {"Accept": "application/json"}))
    raise Missing("no userinfo endpoint is advertised")
