"""What an access token says that is a JWT (RFC 9068 section 2.2, RFC 7519 section 4.1)."""

from collections.abc import Collection
from typing import Any, Final

from oauth_server.compliance import jws, urls
from oauth_server.compliance.checks.access_token import issued, profiled
from oauth_server.compliance.jws import Jws
from oauth_server.compliance.model import Missing, Shown, Verdict, judge, rule
from oauth_server.compliance.parties import Tokens
from oauth_server.compliance.sources import oauth, rfc, security
from oauth_server.compliance.survey import Survey

PERSONAL: Final = {"openid", "profile", "email", "phone", "address", "offline_access"}
DRIFT: Final = 60  # seconds between expires_in and what the token itself says
TELLING: Final = {
    "email",
    "phone_number",
    "address",
    "birthdate",
    "given_name",
    "family_name",
    "password",
    "secret",
    "client_secret",
    "refresh_token",
}


def claim(tokens: Tokens, token: Jws, name: str) -> Shown:
    """Show one claim as evidence."""
    return tokens.exchange, f"{name} of the access token: {token.claims.get(name)!r}"


async def _text(survey: Survey, name: str) -> Verdict:
    """Judge whether a claim that RFC 9068 section 2.2 requires is there; its value may be personal."""
    token, tokens = await profiled(survey)
    value = token.claims.get(name)
    problem = "" if isinstance(value, str) and value else f"{name} is missing"
    return judge(problem, f"{name} is stated", (tokens.exchange, f"{name} of the access token is {_kind(value)}"))


def _kind(value: Any) -> str:
    return "absent" if value is None else f"a {type(value).__name__}"


@rule(
    "`iss` is byte for byte the issuer of the metadata",
    rfc(9068, "4"),
    rfc(9068, "2.2"),
    fix="Spell the issuer in tokens exactly as in the metadata, the slash at its end included.",
)
async def issuer(survey: Survey) -> Verdict:
    """RFC 9068 section 4: the issuer MUST exactly match the value of iss."""
    token, tokens = await profiled(survey)
    stated = (await survey.metadata()).members.get("issuer")
    same = isinstance(stated, str) and token.claims.get("iss") == stated
    problem = "" if same else f"iss is {token.claims.get('iss')!r}, the issuer {stated!r}"
    return judge(problem, "iss is the issuer", claim(tokens, token, "iss"), (await survey.metadata()).shown)


async def _own(survey: Survey) -> set[str]:
    """Return the names of the resource: what its metadata says, its URL, and its origin."""
    endpoint = await survey.endpoint()
    return {urls.canonical(name) for name in (await survey.wanted_resource(), endpoint, urls.origin(endpoint))}


def _is_own(own: Collection[str], audience: str) -> bool:
    return urls.read(audience) is not None and urls.canonical(audience) in own


@rule(
    "`aud` names the resource",
    security("Access Token Privilege Restriction"),
    rfc(9068, "3"),
    fix="Put the resource that was asked for into aud: the endpoint must be able to see that a token is meant for it.",
)
async def audience(survey: Survey) -> Verdict:
    """RFC 9068 section 3: aud SHOULD have the value of the request's resource parameter; a server may map it."""
    token, tokens = await issued(survey)
    own, named = await _own(survey), jws.audience_of(token.claims)
    problem = "" if any(_is_own(own, item) for item in named) else f"aud is {token.claims.get('aud')!r}"
    return judge(problem, "aud names the resource", claim(tokens, token, "aud"))


@rule(
    "`aud` is stated",
    rfc(9068, "2.2"),
    fix="Put the resource that was asked for into aud.",
)
async def has_audience(survey: Survey) -> Verdict:
    """RFC 9068 section 2.2: REQUIRED."""
    token, tokens = await profiled(survey)
    problem = "" if any(jws.audience_of(token.claims)) else "aud is missing"
    return judge(problem, "aud is stated", claim(tokens, token, "aud"))


@rule(
    "A token is for this resource alone",
    oauth("7.1.4"),
    rfc(9700, "2.3"),
    fix="Issue a token for each resource: one that several accept can be replayed by any of them at the others.",
)
async def single_audience(survey: Survey) -> Verdict:
    """RFC 9700 section 2.3: restricted to certain resource servers, preferably to a single one."""
    token, tokens = await issued(survey)
    own, named = await _own(survey), jws.audience_of(token.claims)
    if not any(_is_own(own, item) for item in named):
        raise Missing("aud does not name the resource")
    foreign = [item for item in named if not _is_own(own, item)]
    problem = f"aud also names {', '.join(foreign[:3])}" if foreign else ""
    return judge(problem, "aud names no other", claim(tokens, token, "aud"))


@rule(
    "`exp` is stated",
    rfc(9068, "2.2"),
    fix="State exp, in seconds since the epoch.",
)
async def expiry(survey: Survey) -> Verdict:
    """RFC 9068 section 2.2: REQUIRED; RFC 7519 section 4.1.4: a number."""
    token, tokens = await profiled(survey)
    problem = "" if jws.numeric(token.claims, "exp") is not None else "exp is missing, or no date"
    return judge(problem, "exp is stated", claim(tokens, token, "exp"))


@rule(
    "`iat` is stated, and before `exp`",
    rfc(9068, "2.2"),
    fix="State iat, in seconds since the epoch.",
)
async def issued_at(survey: Survey) -> Verdict:
    """RFC 9068 section 2.2: REQUIRED."""
    token, tokens = await profiled(survey)
    stated, ending = jws.numeric(token.claims, "iat"), jws.numeric(token.claims, "exp")
    problem = "" if stated is not None else "iat is missing, or no date"
    if stated is not None and ending is not None and stated >= ending:
        problem = "iat is not before exp"
    return judge(problem, "iat is stated", claim(tokens, token, "iat"), claim(tokens, token, "exp"))


@rule(
    "`expires_in` is the lifetime of the token",
    rfc(6749, "5.1"),
    rfc(9068, "2.2"),
    fix="Compute expires_in and exp from one value: clients refresh by the first, the resource refuses by the second.",
)
async def lifetime(survey: Survey) -> Verdict:
    """RFC 6749 section 5.1: expires_in is the lifetime in seconds."""
    token, tokens = await issued(survey)
    stated, ending = jws.numeric(token.claims, "iat"), jws.numeric(token.claims, "exp")
    promised = jws.numeric(tokens.members, "expires_in")
    if stated is None or ending is None or promised is None:
        raise Missing("expires_in, iat and exp are not all stated")
    if stated >= ending:
        raise Missing("iat is not before exp")
    problem = "" if abs(ending - stated - promised) <= DRIFT else f"It lives {ending - stated:g} seconds"
    return judge(problem, f"It lives {promised:g} seconds", (tokens.exchange, f"expires_in: {promised:g}"))


@rule("`sub` is stated", rfc(9068, "2.2"), fix="State sub: the person, or for client credentials the client.")
async def subject(survey: Survey) -> Verdict:
    """RFC 9068 section 2.2: REQUIRED."""
    return await _text(survey, "sub")


@rule("`jti` is stated", rfc(9068, "2.2"), fix="Give every token a unique jti.")
async def identifier(survey: Survey) -> Verdict:
    """RFC 9068 section 2.2: REQUIRED."""
    return await _text(survey, "jti")


@rule(
    "`client_id` is the client that asked",
    rfc(9068, "2.2"),
    fix="State in client_id which client a token was issued to.",
)
async def client_id(survey: Survey) -> Verdict:
    """RFC 9068 section 2.2: REQUIRED, as RFC 8693 section 4.3 defines it."""
    token, tokens = await profiled(survey)
    same = token.claims.get("client_id") == tokens.client.client_id
    problem = "" if same else f"client_id is {token.claims.get('client_id')!r}"
    return judge(problem, "client_id is the client", claim(tokens, token, "client_id"))


@rule(
    "`scope` is what the token response says was granted",
    rfc(9068, "2.2.3"),
    rfc(6749, "5.1"),
    fix="Put the scopes that were granted into scope, separated by blanks.",
)
async def scope(survey: Survey) -> Verdict:
    """RFC 9068 section 2.2.3: SHOULD; each of them MUST mean something to the resource, so openid need not be there."""
    token, tokens = await profiled(survey)
    granted = set((tokens.text("scope") or await survey.wanted_scope()).split()) - PERSONAL
    if not granted:
        raise Missing("no scope of a resource was granted")
    stated = token.claims.get("scope")
    same = isinstance(stated, str) and set(stated.split()) - PERSONAL == granted
    problem = "" if same else f"scope is {stated!r}, granted was {' '.join(sorted(granted))!r}"
    return judge(problem, "scope is what was granted", claim(tokens, token, "scope"))


@rule(
    "An access token tells nothing about the person",
    rfc(9068, "6"),
    fix="Take names, addresses and secrets out of access tokens: everybody who holds one can read it.",
)
async def no_secrets(survey: Survey) -> Verdict:
    """RFC 9068 section 6: the content of a JWT is seen by the client and whoever gets hold of it."""
    token, tokens = await issued(survey)
    told = sorted(TELLING & set(token.claims))
    problem = f"The token holds: {', '.join(told)}" if told else ""
    return judge(problem, "It holds no such claim", (tokens.exchange, f"claims: {', '.join(sorted(token.claims))}"))
