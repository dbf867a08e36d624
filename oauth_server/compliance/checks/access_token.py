"""How access tokens are made that are JWTs (RFC 9068); one that is opaque to a client is as good, and not judged."""

from typing import Final

from oauth_server.compliance import jws
from oauth_server.compliance.jws import Jws
from oauth_server.compliance.model import Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Tokens
from oauth_server.compliance.sources import rfc
from oauth_server.compliance.survey import Survey

TYPES: Final = {"at+jwt", "application/at+jwt"}


async def issued(survey: Survey) -> tuple[Jws, Tokens]:
    """Return the access token of a flow, read as a JWT; Missing when it is none."""
    tokens = await survey.walk.tokens()
    token = jws.read(tokens.access_token)
    if token is None:
        raise Missing("the access token is opaque to a client")
    return token, tokens


async def profiled(survey: Survey) -> tuple[Jws, Tokens]:
    """Return an access token that says it follows RFC 9068; Missing when it does not say so."""
    token, tokens = await issued(survey)
    if typ(token) not in TYPES:
        raise Missing("the access token does not say that it follows RFC 9068")
    return token, tokens


def typ(token: Jws) -> str:
    """Return the type a token states, in lower case (RFC 7515 section 4.1.9)."""
    return str(token.header.get("typ", "")).lower()


@rule(
    "An access token is signed",
    rfc(8725, "3.2"),
    rfc(9068, "2.1"),
    fix="Sign access tokens, with ES256 or RS256, and never issue alg none.",
)
async def is_signed(survey: Survey) -> Verdict:
    """RFC 9068 section 2.1: MUST be signed, and MUST NOT use none; RFC 8725 section 3.2."""
    token, tokens = await issued(survey)
    bare = token.algorithm.lower() in {"", "none"} or not token.signature
    problem = f"alg is {token.header.get('alg')!r}, and whoever likes can write such a token" if bare else ""
    return judge(problem, "It is signed", (tokens.exchange, f"alg of the access token: {token.algorithm}"))


async def _verifiable(survey: Survey) -> tuple[Jws, Tokens]:
    token, tokens = await issued(survey)
    if token.algorithm.lower() in {"", "none"}:
        raise Missing("the access token is not signed")
    return token, tokens


@rule(
    "An access token is signed with an asymmetric algorithm",
    rfc(9068, "2.1"),
    fix="Sign access tokens with ES256 or RS256: whoever verifies an HMAC can also make one.",
)
async def algorithm(survey: Survey) -> Verdict:
    """RFC 9068 section 2.1: asymmetric cryptography is RECOMMENDED."""
    token, tokens = await _verifiable(survey)
    symmetric = token.algorithm.startswith("HS")
    problem = f"alg is {token.algorithm}" if symmetric else ""
    return judge(problem, f"alg is {token.algorithm}", (tokens.exchange, f"alg of the access token: {token.algorithm}"))


@rule(
    "An access token can be verified with a published key",
    rfc(9068, "4"),
    rfc(9068, "2.1"),
    fix="Publish the key that access tokens are signed with at jwks_uri, and keep it there until they have expired.",
)
async def signature(survey: Survey) -> Verdict:
    """RFC 9068 section 4: resource servers MUST verify with the keys the authorization server provides."""
    token, tokens = await profiled(survey)
    return await verified(survey, token, tokens, "access token")


async def verified(survey: Survey, token: Jws, tokens: Tokens, name: str) -> Verdict:
    """Judge whether a published key verifies a token; Missing when the algorithm is none that can be tried."""
    if token.algorithm not in jws.KNOWN:
        raise Missing(f"alg {token.algorithm!r} is not one that can be verified here")
    exchange, keys = await survey.keys()
    named = [key for key in keys if key.get("kid") == token.header.get("kid")] or keys
    right = any(jws.verifies(token, key) for key in named)
    shown = (tokens.exchange, f"alg and kid of the {name}: {token.algorithm}, {token.header.get('kid')!r}")
    return judge("" if right else "No published key verifies it", "A published key verifies it", shown, exchange)


@rule(
    "An access token names the key it is signed with",
    rfc(7515, "4.1.4"),
    fix="State in kid which of the published keys a token is signed with: verifiers need not try them all.",
)
async def kid(survey: Survey) -> Verdict:
    """RFC 7515 section 4.1.4; a kid that is not published makes verifiers fetch the keys again and again."""
    token, tokens = await _verifiable(survey)
    if token.algorithm not in jws.KNOWN:
        raise Missing("the token is not signed with a key that could be published")
    exchange, keys = await survey.keys()
    named = token.header.get("kid")
    problem = "" if any(key.get("kid") == named for key in keys) else f"kid {named!r} is not published"
    if named is None:
        problem = "kid is missing"
    return judge(problem, "kid is published", (tokens.exchange, f"kid of the access token: {named!r}"), exchange)


@rule(
    "An access token that is a JWT says that it is an access token",
    rfc(9068, "2.1"),
    rfc(8725, "3.11"),
    fix="State typ: at+jwt in the header, which sets access tokens apart from ID tokens.",
)
async def typed(survey: Survey) -> Verdict:
    """RFC 9068 section 2.1: typ is at+jwt; nothing in MCP asks for that RFC."""
    token, tokens = await issued(survey)
    shown = (tokens.exchange, f"typ of the access token: {token.header.get('typ')!r}")
    return judge("" if typ(token) in TYPES else f"typ is {token.header.get('typ')!r}", "typ is at+jwt", shown)
