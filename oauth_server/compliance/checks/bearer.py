"""How the resource server reads credentials, and what it says of ones that are none (OAuth 2.1 section 5, RFC 6750)."""

from typing import Final

import httpx2

from oauth_server.compliance import messages, urls, www_authenticate
from oauth_server.compliance.checks.challenge import header
from oauth_server.compliance.jws import encode
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import mcp, oauth, rfc
from oauth_server.compliance.survey import FORM, UNAUTHORIZED, Survey
from oauth_server.outbound import OutboundError

GARBAGE: Final = "mcp-oauth-audit-not-a-token"
FORBIDDEN: Final = 403
SERVER_ERROR: Final = 500
HUGE: Final = 16 * 1024  # characters
REFUSALS: Final = {400, UNAUTHORIZED}
SUCCESS: Final = range(200, 300)


async def call_with(survey: Survey, authorization: str) -> Exchange:
    """Call the endpoint with credentials of our own; Missing when it asks for none anyway."""
    await survey.refusal()
    return await survey.call(await survey.endpoint(), {"Authorization": authorization})


async def opens(survey: Survey) -> str:
    """Return a token with which the first request gets past the gate, the control of every wrong one."""
    token = await survey.token()
    status = (await call_with(survey, f"Bearer {token}")).answer.status
    if status in {UNAUTHORIZED, FORBIDDEN} or status >= SERVER_ERROR:
        raise Missing(f"the right token is answered {status}, so the refusal of another says nothing")
    return token


def refused(exchange: Exchange) -> Verdict:
    """Judge the refusal of a token."""
    status = exchange.answer.status
    problem = "" if status == UNAUTHORIZED else f"The answer is {status}, not 401"
    return judge(problem, "The token is refused", header(exchange))


@rule(
    "A token that is none is refused with 401",
    mcp("Token Handling"),
    oauth("5.3"),
    fix="Validate every token before the request is processed, and answer 401.",
)
async def garbage(survey: Survey) -> Verdict:
    """MCP: invalid or expired tokens MUST receive 401."""
    return refused(await call_with(survey, f"Bearer {GARBAGE}"))


@rule(
    "The refusal of a token carries a Bearer challenge",
    rfc(6750, "3"),
    oauth("5.3"),
    fix="Send WWW-Authenticate: Bearer with every 401: without it a client does not learn that it has to sign in.",
)
async def challenged(survey: Survey) -> Verdict:
    """RFC 6750 section 3: MUST include WWW-Authenticate, also for an access token that does not enable access."""
    exchange = await call_with(survey, f"Bearer {GARBAGE}")
    if exchange.answer.status != UNAUTHORIZED:
        raise Missing(f"the token is answered {exchange.answer.status}, not 401")
    found = www_authenticate.read(exchange.answer.headers_of("WWW-Authenticate"))
    problem = "" if any(item.scheme == "bearer" for item in found) else "The answer carries no Bearer challenge"
    return judge(problem, "It does", header(exchange))


@rule(
    "The refusal of a token says invalid_token",
    rfc(6750, "3.1"),
    oauth("5.3"),
    fix='Add error="invalid_token" to the challenge when a token was sent: clients refresh only then.',
)
async def invalid_token(survey: Survey) -> Verdict:
    """RFC 6750 section 3.1."""
    exchange = await call_with(survey, f"Bearer {GARBAGE}")
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
    exchange = await call_with(survey, f"Bearer {GARBAGE}")
    found = www_authenticate.read(exchange.answer.headers_of("WWW-Authenticate"))
    named = any("resource_metadata" in challenge.parameters for challenge in found)
    return judge("" if named else "resource_metadata is missing", "The metadata is named", header(exchange))


async def _malformed(survey: Survey, authorization: str) -> Verdict:
    exchange = await call_with(survey, authorization)
    status = exchange.answer.status
    problem = "" if status in REFUSALS else f"The answer is {status}"
    return judge(problem, f"The answer is {status}", header(exchange))


@rule(
    "Malformed credentials are refused",
    rfc(6750, "3.1"),
    fix="Answer a malformed Authorization header with 400 or 401, never with 500.",
)
async def malformed(survey: Survey) -> Verdict:
    """RFC 6750 section 3.1: invalid_request is 400, and 401 serves as well."""
    return await _malformed(survey, "Bearer mcp oauth audit, three words")


@rule(
    "Bearer credentials without a token are refused",
    rfc(6750, "3.1"),
    fix="Answer an Authorization header that is nothing but the scheme with 400 or 401, never with 500.",
)
async def empty(survey: Survey) -> Verdict:
    """RFC 6750 section 2.1: credentials are the scheme and a token."""
    return await _malformed(survey, "Bearer")


@rule(
    "A very long token is refused",
    rfc(9110, "5.4"),
    fix="Bound the length of the token before it is decoded, and answer 400, 401 or 431.",
)
async def huge(survey: Survey) -> Verdict:
    """RFC 9110 section 5.4: a field larger than the server wishes to process is answered 4xx."""
    try:
        exchange = await call_with(survey, f"Bearer {'a' * HUGE}")
    except OutboundError as error:
        raise Missing(f"the connection ended before an answer: {error.reason}") from None
    status = exchange.answer.status
    problem = "" if status in range(400, 500) else f"The answer is {status}"
    return judge(problem, f"The answer is {status}", header(exchange))


@rule(
    "Another authentication scheme is refused",
    rfc(6750, "3"),
    fix="Answer requests with another scheme like requests without a token.",
)
async def other_scheme(survey: Survey) -> Verdict:
    """RFC 6750 section 3: no valid bearer token, so a challenge."""
    return refused(await call_with(survey, f"Basic {encode(b'mcp-oauth-audit:wrong')}"))


@rule(
    "A bearer token is good under the scheme Bearer alone",
    rfc(9449, "7.1"),
    oauth("5.1.1"),
    fix="Compare the scheme before the token is read; a token under DPoP needs a proof.",
)
async def wrong_scheme(survey: Survey) -> Verdict:
    """RFC 9449 section 7.1: under DPoP the proof is checked; a server without DPoP knows no such credentials."""
    return refused(await call_with(survey, f"DPoP {await opens(survey)}"))


@rule(
    "The scheme may be written in lower case",
    oauth("5.1.1"),
    rfc(9110, "11.1"),
    fix="Compare the scheme of the Authorization header without regard to case.",
)
async def lowercase_scheme(survey: Survey) -> Verdict:
    """OAuth 2.1 section 5.1.1: the string bearer is case-insensitive, and servers MUST support this method."""
    token = await opens(survey)
    right, exchange = await call_with(survey, f"Bearer {token}"), await call_with(survey, f"bearer {token}")
    same = exchange.answer.status == right.answer.status
    problem = "" if same else f"bearer is answered {exchange.answer.status}, Bearer {right.answer.status}"
    return judge(problem, "Both spellings are answered the same", right, header(exchange))


@rule(
    "A request with two Authorization headers is refused",
    rfc(9110, "5.3"),
    fix="Answer 400 when Authorization is there twice: a gateway may have judged the other one.",
)
async def duplicate_header(survey: Survey) -> Verdict:
    """RFC 9110 section 5.3: Authorization is no list, so it MUST NOT be sent twice."""
    token, endpoint = await opens(survey), await survey.endpoint()
    fields, body = messages.first(survey.version)
    problem, shown = "", []
    for order in ((GARBAGE, token), (token, GARBAGE)):
        twice = httpx2.Headers([*fields.items(), *(("Authorization", f"Bearer {value}") for value in order)])
        exchange = await survey.send("POST", endpoint, twice, body)
        shown.append(exchange)
        status = exchange.answer.status
        if status in SUCCESS or status >= SERVER_ERROR:
            which = "second" if order[1] == token else "first"
            problem = f"With the right token in the {which} header, the answer is {status}"
    return judge(problem, "It is refused in either order", *shown)


@rule(
    "A token in the query string is ignored",
    mcp("Token Requirements"),
    oauth("5.1"),
    fix="Read the token from the Authorization header alone.",
)
async def query(survey: Survey) -> Verdict:
    """OAuth 2.1 section 5.1: servers MUST ignore it; one that reads it says invalid_token, or lets it in."""
    without, challenge = await survey.challenge()
    exchange = await survey.call(urls.with_query(await survey.endpoint(), ("access_token", GARBAGE)))
    found = www_authenticate.read(exchange.answer.headers_of("WWW-Authenticate"))
    said = any(item.parameters.get("error") == "invalid_token" for item in found)
    problem = "The token in the query string was read" if said and "error" not in challenge.parameters else ""
    if exchange.answer.status != without.answer.status:
        problem = f"The answer is {exchange.answer.status}, without the parameter {without.answer.status}"
    return judge(problem, "It is ignored", header(without), header(exchange))


@rule(
    "A token in the body is ignored",
    oauth("5.1.2"),
    mcp("Token Requirements"),
    fix="Read the token from the Authorization header alone: a form is what any page can make a browser send.",
)
async def body(survey: Survey) -> Verdict:
    """OAuth 2.1 section 5.1.2: servers MAY support the form parameter, but MCP's clients MUST use the header."""
    await survey.refusal()
    token, endpoint = await opens(survey), await survey.endpoint()
    fields, content = messages.first(survey.version)
    added = content[:-1] + f', "access_token": "{token}"}}'.encode()
    form = f"access_token={token}".encode()
    pairs = [
        (await survey.fetch("POST", endpoint, FORM, b""), await survey.fetch("POST", endpoint, FORM, form)),
        (await survey.refusal(), await survey.fetch("POST", endpoint, fields, added)),
    ]
    read = [(a, b) for a, b in pairs if a.answer.status != b.answer.status]
    problem = f"With a token in the body the answer is {read[0][1].answer.status}" if read else ""
    return judge(problem, "It changes nothing", *((read or pairs)[0]))


@rule(
    "A right token opens the endpoint",
    mcp("Token Handling"),
    fix="Compare the token's iss, aud and exp with what the endpoint expects.",
)
async def accepted(survey: Survey) -> Verdict:
    """Judged with the token that was given, else with one that was asked for with the scopes the endpoint names."""
    exchange = await call_with(survey, f"Bearer {await survey.token()}")
    status = exchange.answer.status
    if status == FORBIDDEN and not survey.access_token:
        wanted, tokens = await survey.wanted_scope(), await survey.walk.tokens()
        if not set(wanted.split()) <= set(tokens.text("scope").split() or wanted.split()):
            raise Missing(f"the person may not be granted what is asked for: {wanted}")
    wrong = status in {UNAUTHORIZED, FORBIDDEN} or status >= SERVER_ERROR
    return judge(f"The answer is {status}" if wrong else "", "It does", header(exchange))
