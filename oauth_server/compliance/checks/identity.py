"""ID tokens and the userinfo endpoint, for the servers that offer openid (OpenID Connect Core 1.0)."""

from contextlib import suppress
from typing import Final

from oauth_server.compliance import jws, urls
from oauth_server.compliance.checks.access_token import verified
from oauth_server.compliance.checks.bearer import refused
from oauth_server.compliance.checks.protected_resource import member, strings
from oauth_server.compliance.document import OK
from oauth_server.compliance.jws import Jws
from oauth_server.compliance.model import Exchange, Missing, Shown, Verdict, judge, rule
from oauth_server.compliance.parties import Tokens
from oauth_server.compliance.sources import openid, openid_core, rfc
from oauth_server.compliance.survey import Survey

NONCE: Final = "mcp-oauth-audit-nonce"
REQUIRED: Final = ("iss", "sub", "aud", "exp", "iat")
CHECKS: Final = openid_core("3.1.3.7", "IDTokenValidation")
TOKEN: Final = openid_core("2", "IDToken")


async def signed_in(survey: Survey) -> Tokens:
    """Return the tokens of a flow that asked for openid; Missing where it is not offered or not granted."""
    offered = strings((await survey.metadata()).members.get("scopes_supported"))
    with suppress(Missing):  # then the authorization server's metadata says it all
        offered += strings((await survey.openid()).members.get("scopes_supported"))
    if "openid" not in offered:
        raise Missing("openid is not among the scopes of the authorization server")
    asked = " ".join(dict.fromkeys([*(await survey.wanted_scope()).split(), "openid"]))
    tokens = await survey.walk.with_scope(asked, {"nonce": NONCE})
    if tokens.text("scope") and "openid" not in tokens.text("scope").split():
        raise Missing("openid was asked for, and not granted")
    return tokens


async def _id_token(survey: Survey) -> tuple[Jws, Tokens]:
    tokens = await signed_in(survey)
    if not tokens.text("id_token"):
        raise Missing("no ID token was issued")
    token = jws.read(tokens.text("id_token"))
    if token is None:
        raise Missing("the ID token is no signed JWT; it may be an encrypted one")
    return token, tokens


def _claim(tokens: Tokens, token: Jws, name: str) -> Shown:
    return tokens.exchange, f"{name} of the ID token: {token.claims.get(name)!r}"


@rule(
    "Who asks for openid gets an ID token",
    openid_core("3.1.3.3", "TokenResponse"),
    fix="Return id_token beside the access token when openid was granted.",
)
async def is_issued(survey: Survey) -> Verdict:
    """OpenID Connect Core section 3.1.3.3: id_token is REQUIRED in the token response."""
    tokens = await signed_in(survey)
    problem = "" if tokens.text("id_token") else "The token response has no id_token"
    return judge(problem, "An ID token was issued", (tokens.exchange, f"members: {', '.join(sorted(tokens.members))}"))


@rule(
    "The ID token holds what every ID token holds",
    TOKEN,
    fix="State iss, sub, aud, exp and iat in every ID token.",
)
async def claims(survey: Survey) -> Verdict:
    """OpenID Connect Core section 2: REQUIRED claims."""
    token, tokens = await _id_token(survey)
    absent = [name for name in REQUIRED if not token.claims.get(name)]
    absent += [f"{name} as a date" for name in ("exp", "iat") if jws.numeric(token.claims, name) is None]
    shown = (tokens.exchange, f"claims of the ID token: {', '.join(sorted(token.claims))}")
    return judge(f"Missing: {', '.join(absent)}" if absent else "", "All are there", shown)


@rule(
    "The issuer of the ID token is the issuer of the metadata",
    CHECKS,
    openid("3", "ProviderMetadata"),
    fix="Spell iss in ID tokens exactly as in the OpenID configuration.",
)
async def issuer(survey: Survey) -> Verdict:
    """OpenID Connect Core section 3.1.3.7: the issuer identifier MUST exactly match iss."""
    token, tokens = await _id_token(survey)
    document = await survey.metadata()
    stated = document.members.get("issuer")
    same = isinstance(stated, str) and token.claims.get("iss") == stated
    problem = "" if same else f"iss is {token.claims.get('iss')!r}, the issuer {stated!r}"
    return judge(problem, "iss is the issuer", _claim(tokens, token, "iss"), member(document, "issuer"))


@rule(
    "The audience of the ID token is the client",
    TOKEN,
    fix="Put the client_id into aud of the ID token, not the resource.",
)
async def audience(survey: Survey) -> Verdict:
    """OpenID Connect Core section 2: aud MUST contain the client_id of the relying party."""
    token, tokens = await _id_token(survey)
    right = tokens.client.client_id in jws.audience_of(token.claims)
    problem = "" if right else f"aud is {token.claims.get('aud')!r}, the client {tokens.client.client_id!r}"
    return judge(problem, "aud is the client", _claim(tokens, token, "aud"))


@rule(
    "The nonce comes back in the ID token",
    TOKEN,
    fix="Carry nonce from the authorization request into the ID token, unchanged.",
)
async def nonce(survey: Survey) -> Verdict:
    """OpenID Connect Core section 2: if present in the request, the claim MUST be there with the same value."""
    token, tokens = await _id_token(survey)
    stated = token.claims.get("nonce")
    problem = "" if stated == NONCE else f"nonce is {stated!r}, sent was {NONCE!r}"
    return judge(problem, "It is the one that was sent", _claim(tokens, token, "nonce"))


@rule(
    "The ID token can be verified with a published key",
    TOKEN,
    CHECKS,
    fix="Sign ID tokens with a key that is published at jwks_uri.",
)
async def signature(survey: Survey) -> Verdict:
    """OpenID Connect Core section 2: ID tokens MUST be signed; a public client has no secret to verify an HMAC by."""
    token, tokens = await _id_token(survey)
    if token.algorithm.lower() in {"", "none"} or (token.algorithm.startswith("HS") and not tokens.client.secret):
        return judge(f"alg is {token.header.get('alg')!r}", "", (tokens.exchange, f"alg: {token.header.get('alg')!r}"))
    return await verified(survey, token, tokens, "ID token")


@rule(
    "The ID token is signed with an algorithm that is advertised",
    openid("3", "ProviderMetadata"),
    fix="List the algorithm of ID tokens in id_token_signing_alg_values_supported.",
)
async def algorithm(survey: Survey) -> Verdict:
    """OpenID Connect Discovery section 3: the list of the algorithms supported for the ID token is REQUIRED."""
    token, tokens = await _id_token(survey)
    document = await survey.openid()
    name = "id_token_signing_alg_values_supported"
    right = token.algorithm in strings(document.members.get(name))
    problem = "" if right else f"alg is {token.algorithm!r}, which is not listed"
    return judge(problem, "It is listed", (tokens.exchange, f"alg: {token.algorithm}"), member(document, name))


async def _userinfo(survey: Survey) -> str:
    for document in (await survey.metadata(), await survey.openid()):
        url = document.members.get("userinfo_endpoint")
        if isinstance(url, str) and urls.read(url):
            return url
    raise Missing("no userinfo endpoint is advertised")


@rule(
    "The userinfo endpoint asks for a token",
    rfc(6750, "3"),
    fix="Answer userinfo requests without a token with 401 and a Bearer challenge.",
)
async def userinfo(survey: Survey) -> Verdict:
    """OpenID Connect Core 1.0 section 5.3.3: errors as RFC 6750 section 3 has them."""
    return refused(await survey.fetch("GET", await _userinfo(survey), {"Accept": "application/json"}))


@rule(
    "The userinfo endpoint and the ID token name the same person",
    openid_core("5.3.2", "UserInfoResponse"),
    fix="Return in userinfo the sub of the ID token, which clients MUST compare.",
)
async def userinfo_subject(survey: Survey) -> Verdict:
    """OpenID Connect Core section 5.3.2: sub MUST always be returned, and MUST exactly match the ID token's."""
    token, tokens = await _id_token(survey)
    if not token.claims.get("sub"):
        raise Missing("the ID token has no sub to compare")
    url = await _userinfo(survey)
    if urls.origin(url) != urls.origin(await survey.stated("token_endpoint")):
        raise Missing("userinfo is on another origin than the token endpoint, and the token is not sent there")
    exchange = await _asked(survey, url, tokens.access_token)
    try:
        members = exchange.answer.json()
    except ValueError:
        raise Missing("the answer is no JSON; it may be a signed one") from None
    found = members.get("sub") if isinstance(members, dict) else None
    problem = "" if found == token.claims["sub"] else "sub of userinfo is not that of the ID token"
    return judge(problem, "sub is the same", (exchange, f"sub of userinfo is {'there' if found else 'missing'}"))


async def _asked(survey: Survey, url: str, token: str) -> Exchange:
    fields = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
    exchange = await survey.fetch("GET", url, fields)
    if exchange.answer.status != OK:
        raise Missing(f"userinfo answers {exchange.answer.status}: the token may be for the MCP endpoint alone")
    return exchange
