"""What a refresh token must not bring: to others, for more, for elsewhere (OAuth 2.1 section 4.3.1, RFC 8707)."""

from dataclasses import replace
from typing import Final

from oauth_server.compliance.checks.client_attempts import confidential_client
from oauth_server.compliance.checks.flows import (
    audiences,
    judge_refusal,
    not_refused,
    right_flow,
    scope_of,
    succeeded,
)
from oauth_server.compliance.checks.protected_resource import strings
from oauth_server.compliance.checks.refresh import refresh_works, with_refresh
from oauth_server.compliance.checks.token_endpoint import error_of
from oauth_server.compliance.checks.token_response import UNKNOWN_SCOPE, requested
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Tokens
from oauth_server.compliance.sources import oauth, rfc
from oauth_server.compliance.survey import Survey

FOREIGN: Final = "https://resource.invalid/mcp"
GARBAGE: Final = "mcp-oauth-audit-no-such-token"
GRANT_ERRORS: Final = ("invalid_grant", "invalid_request")
# Not scopes of the resource: what is granted with them has rules of its own.
IDENTITY: Final = {"openid", "profile", "email", "address", "phone", "offline_access"}


@rule(
    "A refresh token is good for its own client alone",
    oauth("4.3.1"),
    rfc(6749, "6"),
    fix="Bind every refresh token to its client, and answer others with invalid_grant.",
)
async def other_client(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.3.1: MUST ensure that the refresh token was issued to the client in the request."""
    await refresh_works(survey)
    other = await survey.walk.clients.other()
    tokens = await with_refresh(survey, "refresh by another")
    return judge_refusal(await survey.walk.refresh(tokens, client=other))


async def _supported(survey: Survey) -> list[str]:
    members = (await survey.metadata()).members
    return strings(members.get("scopes_supported"))


def _granted(tokens: Tokens) -> set[str]:
    """Return the scope of tokens: by the answer, by a JWT, or what was asked for."""
    held = scope_of(tokens)
    return requested(tokens.asked) if held is None else held


async def _widened(survey: Survey) -> tuple[Tokens, str, Exchange]:
    """Refresh for one scope more than was granted."""

    async def make() -> tuple[Tokens, str, Exchange]:
        await refresh_works(survey)
        tokens = await with_refresh(survey, "widening")
        granted = _granted(tokens)
        more = next((scope for scope in await _supported(survey) if scope not in granted), UNKNOWN_SCOPE)
        changes = {"scope": " ".join([*sorted(granted), more])}
        return tokens, more, await survey.walk.refresh(tokens, changes)

    found: tuple[Tokens, str, Exchange] = await survey.walk.once("widening", make)
    return found


@rule(
    "A refresh grants no scope that was not granted before",
    oauth("4.3.1"),
    rfc(6749, "6"),
    fix="Compare the requested scope with the grant's: 400 invalid_scope for what goes beyond it.",
)
async def widening(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.3.1: the scope MUST NOT include any that the resource owner did not grant."""
    tokens, more, exchange = await _widened(survey)
    new = survey.walk.read(exchange, tokens.client, tokens.asked)
    if new is None:
        return judge_refusal(exchange)
    held = scope_of(new)
    if held is None:
        raise Missing("the answer states no scope, and the token is opaque")
    problem = f"{more} came with a refresh" if more in held else ""
    return judge(problem, f"{more} is left out", (exchange, f"scope: {' '.join(sorted(held))}"))


@rule(
    "A refused refresh leaves the refresh token alone",
    rfc(6749, "5.2"),
    fix="Judge a refresh wholly before the token is replaced, so that a client's mistake does not sign people out.",
)
async def refusal_keeps(survey: Survey) -> Verdict:
    """No standard asks for it; a client that may not widen its scope goes on with what it has."""
    tokens, _, refused = await _widened(survey)
    if not_refused(refused):
        raise Missing("the refresh was not refused")
    exchange = await survey.walk.refresh(tokens)
    problem = "" if succeeded(exchange) else f"The next, right refresh is answered {exchange.answer.status}"
    return judge(problem, "The next, right refresh is answered", refused, exchange)


@rule(
    "A refresh token brings no token for another resource",
    oauth("3.2.3"),
    rfc(8707, "2.2"),
    fix="Compare resource with the grant's: 400 invalid_target for any other.",
)
async def foreign_resource(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.3: refresh tokens MUST be bound to the resource servers as consented."""
    await refresh_works(survey)
    tokens = await with_refresh(survey, "refresh for elsewhere")
    exchange = await survey.walk.refresh(tokens, {"resource": FOREIGN})
    new = survey.walk.read(exchange, tokens.client, tokens.asked)
    if new is None:
        return judge_refusal(exchange)
    found = audiences(new.access_token)
    if not found:
        raise Missing("the parameter is not refused, and no audience can be read in the token")
    problem = f"A token for {FOREIGN} was issued" if FOREIGN in found else ""
    return judge(problem, "The parameter is ignored", (exchange, f"aud: {', '.join(found)}"))


@rule(
    "A refresh token that never was is invalid_grant",
    rfc(6749, "5.2"),
    oauth("3.2.4"),
    fix="Answer 400 invalid_grant: it is what tells a client to start over.",
)
async def garbage(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2: invalid_grant is for a refresh token that is invalid, expired or revoked."""
    client = await survey.walk.clients.public()
    fields = {"grant_type": "refresh_token", "refresh_token": GARBAGE}
    exchange = await survey.walk.post(await survey.stated("token_endpoint"), client, fields, {})
    if error_of(exchange) == "invalid_client":
        raise Missing("the client is not known, so its token was not looked at")
    return judge_refusal(exchange, ["invalid_grant"])


@rule(
    "An access token is no refresh token",
    oauth("4.3.1"),
    rfc(6749, "1.5"),
    fix="Look refresh tokens up among refresh tokens alone.",
)
async def access_token(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.3.1: MUST validate the refresh token; an access token goes to resource servers."""
    tokens = await right_flow(survey)
    exchange = await survey.walk.refresh(tokens, {"refresh_token": tokens.access_token})
    return judge_refusal(exchange, GRANT_ERRORS)


async def _narrowed(survey: Survey) -> tuple[set[str], str, Exchange, Tokens]:
    """Refresh for one of several granted scopes; returns those, the one, the answer and the tokens."""
    walk = survey.walk

    async def make() -> tuple[set[str], str, Exchange, Tokens]:
        await refresh_works(survey)
        wanted = (await survey.wanted_scope()).split()
        own = [scope for scope in dict.fromkeys([*wanted, *await _supported(survey)]) if scope not in IDENTITY]
        tokens = await walk.fresh(changes={"scope": " ".join(own[:2])})
        tokens.refresh_token()
        granted = _granted(tokens)
        if len(granted & set(own[:2])) < 2:  # noqa: PLR2004 - one is to be left out
            raise Missing("two scopes are not granted together, so none can be left out")
        return granted, own[0], await walk.refresh(tokens, {"scope": own[0]}), tokens

    found: tuple[set[str], str, Exchange, Tokens] = await walk.once("narrowing", make)
    return found


@rule(
    "A refresh may ask for less",
    oauth("4.3.1"),
    rfc(6749, "6"),
    fix="Issue an access token with the scopes that a refresh asks for, when all of them were granted.",
)
async def narrowing(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.3.1: scope is an optional parameter; how far it is followed is the server's to say."""
    granted, kept, exchange, tokens = await _narrowed(survey)
    new = survey.walk.read(exchange, tokens.client, tokens.asked)
    if new is None:
        return judge(f"The answer is {exchange.answer.status} {error_of(exchange)}", "", exchange)
    held = scope_of(new)
    if held is None:
        raise Missing("the answer states no scope, and the token is opaque")
    problem = "" if held == {kept} else f"Asked for {kept}, it grants {' '.join(sorted(held))}"
    return judge(problem, f"Of {' '.join(sorted(granted))}, {kept} is left", exchange)


@rule(
    "A refresh token keeps its scope when a refresh asked for less",
    oauth("4.3.3"),
    oauth("4.3.1"),
    fix="Narrow the access token alone; the refresh token that is issued with it keeps the scope of the grant.",
)
async def scope_kept(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.3.3: the scope of a new refresh token MUST be identical to that of the one in the request."""
    granted, _, exchange, tokens = await _narrowed(survey)
    new = survey.walk.read(exchange, tokens.client, tokens.asked)
    if new is None:
        raise Missing("a refresh may not ask for less")
    holder = new if new.text("refresh_token") else tokens
    later = await survey.walk.refresh(holder)
    last = survey.walk.read(later, tokens.client, tokens.asked)
    if last is None:
        raise Missing(f"the refresh after it is answered {later.answer.status}")
    held = scope_of(last)
    if held is None:
        raise Missing("the answer states no scope, and the token is opaque")
    lost = sorted(granted - held)
    problem = f"{' '.join(lost)} is lost afterwards" if lost else ""
    return judge(problem, "The next refresh has them all", exchange, (later, f"scope: {' '.join(sorted(held))}"))


@rule(
    "The refresh token of a confidential client is worth nothing without its secret",
    oauth("4.3.1"),
    rfc(6749, "6"),
    fix="Authenticate confidential clients at every refresh, and answer invalid_client.",
)
async def needs_authentication(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.3.1: confidential clients MUST authenticate."""
    survey.walk.visitor  # noqa: B018 - Missing without one, before a client is registered
    client = await confidential_client(survey)
    tokens = await survey.walk.tokens("confidential refresh", client)
    tokens.refresh_token()
    exchange = await survey.walk.refresh(tokens, client=replace(client, method="none", secret=""))
    right = await survey.walk.refresh(tokens)
    if not_refused(exchange):
        return judge_refusal(exchange)
    if error_of(exchange) == "invalid_grant" and not succeeded(right):
        raise Missing("the refresh token is refused with the secret, too")
    return judge("", f"It is refused: {error_of(exchange)}", exchange, right)
