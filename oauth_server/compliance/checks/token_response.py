"""What a right token request is answered with (OAuth 2.1 section 3.2.3, RFC 6749 section 5.1)."""

from typing import Final

from oauth_server.compliance.checks.flows import claims, members, right_flow, scope_of, succeeded
from oauth_server.compliance.model import Exchange, Missing, Shown, Verdict, judge, rule
from oauth_server.compliance.parties import Asked, Tokens
from oauth_server.compliance.sources import oauth, rfc, security
from oauth_server.compliance.survey import Survey

LONGEST: Final = 24 * 3600  # seconds
SLACK: Final = 300  # seconds for clocks that differ
UNKNOWN_SCOPE: Final = "mcp-oauth-audit-unknown"


async def redeemed(survey: Survey) -> tuple[Asked, Exchange]:
    """Redeem a code rightly; returns the answer, whatever stands in it; Missing when it was refused."""
    walk = survey.walk

    async def make() -> tuple[Asked, Exchange]:
        asked = await walk.code()
        exchange = await walk.redeem(asked)
        if not succeeded(exchange):
            raise Missing(f"the token endpoint refused a right request: {exchange.answer.status}")
        return asked, exchange

    found: tuple[Asked, Exchange] = await walk.once("token response", make)
    return found


async def _tokens(survey: Survey) -> Exchange:
    """Return the answer to a right token request; Missing when there are no tokens in it."""
    asked, exchange = await redeemed(survey)
    if survey.walk.read(exchange, asked.client) is None:
        raise Missing("the answer is no token response")
    return exchange


def requested(asked: Asked | None) -> set[str]:
    """Return the scope of an authorization request."""
    return set(asked.requested("scope").split()) if asked else set()


def stated_scope(tokens: Tokens) -> Shown:
    """Show the scope of a token response as evidence."""
    return tokens.exchange, f"scope: {tokens.members.get('scope')!r}"


@rule(
    "A token response is a JSON object with an access token and its type",
    oauth("3.2.3"),
    rfc(6749, "5.1"),
    fix="Answer 200 with application/json and the members access_token and token_type: Bearer.",
)
async def response(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.3: access_token and token_type are REQUIRED; MCP clients use the type Bearer."""
    _, exchange = await redeemed(survey)
    found = members(exchange)
    media_type = (exchange.answer.header("Content-Type") or "").partition(";")[0].strip().lower()
    token, kind = found.get("access_token"), found.get("token_type")
    problem = ""
    if exchange.answer.status != 200:  # noqa: PLR2004 - OK
        problem = f"The status is {exchange.answer.status}, not 200"
    elif media_type != "application/json":
        problem = f"The answer is sent as {media_type or 'nothing in particular'}"
    elif not found:
        problem = "The answer is no JSON object"
    elif not isinstance(token, str) or not token:
        problem = "There is no access_token"
    elif not isinstance(kind, str) or kind.lower() != "bearer":
        problem = f"token_type is {kind!r}, not Bearer"
    shown = (exchange, f"Content-Type: {media_type}, token_type: {kind!r}")
    return judge(problem, "It has an access token of the type Bearer", shown)


@rule(
    "The lifetime of an access token is stated",
    oauth("3.2.3"),
    rfc(6749, "5.1"),
    fix="Add expires_in to the token response, in seconds, as a JSON number.",
)
async def expires_in(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.3: expires_in is RECOMMENDED, and a JSON number; a client refreshes by it."""
    exchange = await _tokens(survey)
    value = members(exchange).get("expires_in")
    right = isinstance(value, int) and not isinstance(value, bool) and value > 0
    problem = "" if right else f"expires_in is {value!r}, not a positive number of seconds"
    return judge(problem, "expires_in is stated", (exchange, f"expires_in: {value!r}"))


@rule(
    "Access tokens are short-lived",
    security("Token Theft"),
    oauth("7.1.3.5"),
    fix="Let access tokens expire within hours, a day at most, and issue refresh tokens to go on with.",
)
async def lifetime(survey: Survey) -> Verdict:
    """MCP: authorization servers SHOULD issue short-lived access tokens; more than a day is not short."""
    tokens = await right_flow(survey)
    held = claims(tokens.access_token)
    stated, expiry = tokens.members.get("expires_in"), held.get("exp")
    known = [stated] if isinstance(stated, int) else []
    known += [expiry - int(survey.now)] if isinstance(expiry, int) else []
    if not known:
        raise Missing("no lifetime is stated, and the token cannot be read")
    problem = f"An access token lives {max(known) // 3600} hours" if max(known) > LONGEST + SLACK else ""
    shown = (tokens.exchange, f"expires_in: {stated!r}, exp: {expiry!r}")
    return judge(problem, "Access tokens live a day at most", shown)


@rule(
    "A token response is not cached",
    oauth("3.2.3"),
    rfc(6749, "5.1"),
    fix="Send Cache-Control: no-store with every answer that holds tokens.",
)
async def no_store(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.3: MUST include Cache-Control: no-store in any response containing tokens."""
    exchange = await _tokens(survey)
    control = ", ".join(exchange.answer.headers_of("Cache-Control"))
    problem = "" if "no-store" in control.lower() else "Cache-Control does not say no-store"
    return judge(problem, "It says no-store", (exchange, f"Cache-Control: {control or '(absent)'}"))


@rule(
    "A scope that differs from the requested one is stated",
    oauth("1.4.1"),
    oauth("3.2.3"),
    fix="State the granted scope in every token response.",
)
async def scope_stated(survey: Survey) -> Verdict:
    """OAuth 2.1 section 1.4.1: judged by a request for one scope more, which nobody knows."""
    tokens = await right_flow(survey)
    wanted = await survey.wanted_scope()
    if not isinstance(tokens.members.get("scope"), str):
        tokens = await _asking_too_much(survey, wanted)
    if isinstance(tokens.members.get("scope"), str):
        return judge("", "The scope is stated", stated_scope(tokens))
    held = scope_of(tokens)
    if held is None:
        raise Missing("no scope is stated and the token is opaque, so it may be what was asked for")
    asked = requested(tokens.asked)
    problem = "" if held == asked else f"{' '.join(sorted(held))} was granted without a word"
    return judge(problem, "The scope is the requested one", stated_scope(tokens))


async def _asking_too_much(survey: Survey, wanted: str) -> Tokens:
    return await survey.walk.fresh(changes={"scope": f"{wanted} {UNKNOWN_SCOPE}".strip()})
