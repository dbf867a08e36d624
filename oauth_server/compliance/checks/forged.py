"""Tokens that nobody issued (RFC 8725, RFC 9068 section 4): each would be right if only its signature were."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from oauth_server.compliance import jws
from oauth_server.compliance.checks.bearer import call_with, refused
from oauth_server.compliance.checks.challenge import header
from oauth_server.compliance.jws import CURVE_OF, RSA, authenticated, own_jwk, public_pem, read, signed, signing_input
from oauth_server.compliance.model import Missing, Verdict, judge, rule
from oauth_server.compliance.sources import rfc, security
from oauth_server.compliance.survey import UNAUTHORIZED, Survey
from oauth_server.outbound import OutboundError

LIFETIME: Final = 300
OWN_KID: Final = "mcp-oauth-audit"
INJECTED: Final[Mapping[str, bytes]] = {
    # A kid that is a path, or a part of a query, and the secret that a careless look-up would find by it.
    "../../../../../../../../dev/null": b"",
    "mcp-oauth-audit' UNION SELECT 'mcp-oauth-audit' -- ": b"mcp-oauth-audit",
}


async def _token(survey: Survey) -> str:
    """Return the right token that forgeries are made after, empty when there is none to have."""
    try:
        return await survey.token()
    except (Missing, OutboundError):
        return ""


async def claims(survey: Survey) -> dict[str, Any]:
    """Return the claims of a token that would be right if only its signature were."""
    own: dict[str, Any] = {
        "iss": await survey.issuer(),
        "aud": await survey.wanted_resource(),
        "sub": OWN_KID,
        "client_id": OWN_KID,
        "scope": await survey.wanted_scope(),
        "jti": OWN_KID,
        "iat": int(survey.now),
        "exp": int(survey.now) + LIFETIME,
    }
    right = read(await _token(survey))
    return {**own, **right.claims} if right else own


async def _key(survey: Survey) -> tuple[str, str]:
    """Return the algorithm and the kid of right tokens: those of one that was issued, else of a published key."""
    right = read(await _token(survey))
    if right and right.algorithm in jws.KNOWN & {*RSA, *CURVE_OF}:
        return right.algorithm, str(right.header.get("kid", ""))
    exchange, keys = await survey.keys()
    for key in keys:
        for algorithm in (*CURVE_OF, "RS256", "PS256"):
            if jws.fits(algorithm, key):
                return algorithm, str(key.get("kid", ""))
    raise Missing(f"no key of {exchange.answer.url} can be imitated")


async def _header(survey: Survey, **members: Any) -> dict[str, Any]:
    algorithm, kid = await _key(survey)
    right = read(await _token(survey))
    typ = right.header.get("typ", "at+jwt") if right else "at+jwt"
    return {"typ": typ, "alg": algorithm, "kid": kid, **members}


async def _forged(survey: Survey, **members: Any) -> Verdict:
    """Send a token signed with our own key; `members` are the changes to its header."""
    return refused(await call_with(survey, f"Bearer {signed(await _header(survey, **members), await claims(survey))}"))


@rule(
    "An unsigned token is refused",
    rfc(8725, "3.1"),
    rfc(9068, "4"),
    fix="Pin the algorithm to each key, and refuse alg none.",
)
async def unsigned(survey: Survey) -> Verdict:
    """RFC 9068 section 4: the resource server MUST reject any JWT whose alg is none."""
    token = f"{signing_input({'alg': 'none', 'typ': 'at+jwt'}, await claims(survey))}."
    return refused(await call_with(survey, f"Bearer {token}"))


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
        jose = {"alg": "HS256", "typ": "at+jwt", "kid": key.get("kid")}
        return refused(await call_with(survey, f"Bearer {authenticated(jose, await claims(survey), pem)}"))
    raise Missing(f"no key of {exchange.answer.url} can be used for it")


@rule(
    "A right token is refused when its signature is changed",
    security("Access Token Privilege Restriction"),
    rfc(9068, "4"),
    fix="Verify the signature of every token.",
)
async def tampered(survey: Survey) -> Verdict:
    """RFC 9068 section 4: the resource server MUST validate the signature."""
    content, _, signature = (await survey.token()).rpartition(".")
    if read(f"{content}.{signature}") is None or not signature:
        raise Missing("the token is no signed JWT")
    changed = ("B" if signature.startswith("A") else "A") + signature[1:]
    return refused(await call_with(survey, f"Bearer {content}.{changed}"))


@rule(
    "A token signed with a key of somebody else is refused",
    rfc(9068, "4"),
    rfc(8725, "3.3"),
    fix="Verify the signature with the published key that kid names.",
)
async def self_signed(survey: Survey) -> Verdict:
    """RFC 9068 section 4: the signature MUST be validated with a key that the authorization server provides."""
    return await _forged(survey)


@rule(
    "A token with an unknown `kid` is refused",
    rfc(9068, "4"),
    rfc(8725, "3.10"),
    fix="Refuse a token whose kid names no key that the authorization server publishes.",
)
async def unknown_kid(survey: Survey) -> Verdict:
    """RFC 9068 section 4: a key that is not the authorization server's verifies nothing."""
    return await _forged(survey, kid=OWN_KID)


@rule(
    "A key that comes in the token's own header is not used",
    rfc(8725, "3.10"),
    rfc(9068, "4"),
    fix="Ignore the header's jwk: a token that brings its key along proves nothing.",
)
async def jwk_header(survey: Survey) -> Verdict:
    """RFC 7515 section 4.1.3 knows the member `jwk`; whoever signs chooses what it holds."""
    algorithm, kid = await _key(survey)
    return await _forged(survey, jwk=own_jwk(algorithm, kid))


@rule(
    "Keys at an address in the token's header are not used",
    rfc(8725, "3.10"),
    fix="Ignore jku and x5u, and fetch keys from the authorization server's jwks_uri alone.",
)
async def jku_header(survey: Survey) -> Verdict:
    """RFC 8725 section 3.10; the address is a data: URL, so that nobody else is asked for anything."""
    algorithm, kid = await _key(survey)
    keys = base64.b64encode(json.dumps({"keys": [own_jwk(algorithm, kid)]}).encode()).decode()
    return await _forged(survey, jku=f"data:application/json;base64,{keys}")


@rule(
    "`kid` names a key, and never a file or a part of a query",
    rfc(8725, "3.10"),
    fix="Look kid up among the published keys, in memory, and refuse what is not there.",
)
async def kid_injection(survey: Survey) -> Verdict:
    """RFC 8725 section 3.10: kid may be used for injection; the secrets are those such a look-up would return."""
    wrong, shown = [], []
    for kid, secret in INJECTED.items():
        jose = {"alg": "HS256", "typ": "at+jwt", "kid": kid}
        exchange = await call_with(survey, f"Bearer {authenticated(jose, await claims(survey), secret)}")
        shown.append(header(exchange))
        if exchange.answer.status != UNAUTHORIZED:
            wrong.append(f"The answer to a kid of {kid!r} is {exchange.answer.status}")
    return judge("; ".join(wrong), "The tokens are refused", *shown)
