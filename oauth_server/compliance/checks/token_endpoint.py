"""Token requests that must be refused (OAuth 2.1 section 3.2, RFC 6749 section 5.2)."""

import base64
from collections.abc import Collection
from typing import Final

from oauth_server.compliance.checks.protected_resource import strings
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import oauth, rfc
from oauth_server.compliance.survey import Survey

CLIENT: Final = "mcp-oauth-audit-unknown-client"
REDIRECT: Final = "https://client.invalid/callback"
GRANT: Final = ("grant_type", "authorization_code")
CODE: Final = (
    ("code", "mcp-oauth-audit-no-such-code"),
    ("redirect_uri", REDIRECT),
    ("client_id", CLIENT),
    ("code_verifier", "mcp-oauth-audit-verifier-mcp-oauth-audit-verifier"),
)
BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
NOT_ALLOWED: Final = 405
UNSUPPORTED_TYPE: Final = 415


def error_of(exchange: Exchange) -> str:
    """Return the `error` member of an answer, empty when it is no OAuth error."""
    try:
        body = exchange.answer.json()
    except ValueError:
        return ""
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, str) else ""


def refused_with(exchange: Exchange, errors: Collection[str], statuses: Collection[int] = (BAD_REQUEST,)) -> Verdict:
    """Judge a refusal by status and error code; skip it when the server looked at the client first."""
    status, error = exchange.answer.status, error_of(exchange)
    if error == "invalid_client" and error not in errors:
        raise Missing("the server judges the client first, and this one is unknown to it")
    right = status in statuses and error in errors
    problem = "" if right else f"The answer is {status} with the error {error!r}, not {' or '.join(errors)}"
    return judge(problem, f"It is refused: {status} {error}", exchange)


async def bogus_code(survey: Survey) -> Exchange:
    """Redeem a code that never was."""
    return await survey.form(await survey.stated("token_endpoint"), GRANT, *CODE)


@rule(
    "GET on the token endpoint is refused",
    oauth("3.2"),
    fix="Answer every method but POST with 405: what is in a query ends up in logs.",
)
async def get_refused(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2: the client MUST use POST."""
    exchange = await survey.fetch("GET", await survey.stated("token_endpoint"), {"Accept": "application/json"})
    status = exchange.answer.status
    return judge("" if status == NOT_ALLOWED else f"The answer is {status}, not 405", "The answer is 405", exchange)


@rule(
    "An unknown grant type is unsupported_grant_type",
    rfc(6749, "5.2"),
    oauth("3.2.4"),
    fix="Answer 400 with the error unsupported_grant_type.",
)
async def unsupported_grant(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2."""
    url = await survey.stated("token_endpoint")
    exchange = await survey.form(url, ("grant_type", "urn:example:mcp-oauth-audit"), ("client_id", CLIENT))
    return refused_with(exchange, ["unsupported_grant_type"])


@rule(
    "A missing grant type is invalid_request",
    rfc(6749, "5.2"),
    oauth("3.2.4"),
    fix="Answer 400 with the error invalid_request.",
)
async def missing_grant(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2: a required parameter is missing."""
    return refused_with(await survey.form(await survey.stated("token_endpoint"), *CODE), ["invalid_request"])


@rule(
    "A parameter that comes twice is invalid_request",
    rfc(6749, "3.2"),
    oauth("3.2.4"),
    fix="Refuse requests in which a parameter occurs more than once.",
)
async def duplicate(survey: Survey) -> Verdict:
    """RFC 6749 section 3.2: parameters MUST NOT be included more than once."""
    exchange = await survey.form(await survey.stated("token_endpoint"), GRANT, GRANT, *CODE)
    return refused_with(exchange, ["invalid_request"])


@rule(
    "A JSON body is refused with an error object",
    oauth("3.2.2"),
    fix="Answer 400 or 415 with a JSON error; never 500, never a page.",
)
async def json_body(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.2: parameters are sent as application/x-www-form-urlencoded."""
    url = await survey.stated("token_endpoint")
    content = b'{"grant_type": "authorization_code", "code": "mcp-oauth-audit-no-such-code"}'
    exchange = await survey.fetch("POST", url, {"Content-Type": "application/json"}, content)
    right = exchange.answer.status in {BAD_REQUEST, UNAUTHORIZED, UNSUPPORTED_TYPE} and error_of(exchange)
    problem = "" if right else f"The answer is {exchange.answer.status} with the error {error_of(exchange)!r}"
    return judge(problem, "It is refused with an error object", exchange)


@rule(
    "A code that never was is refused",
    rfc(6749, "5.2"),
    oauth("3.2.4"),
    fix="Answer an unknown code with 400 invalid_grant, an unknown client with 401 invalid_client.",
)
async def bogus(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2: invalid_grant is 400; invalid_client may be 401."""
    exchange = await bogus_code(survey)
    statuses = [BAD_REQUEST, UNAUTHORIZED] if error_of(exchange) == "invalid_client" else [BAD_REQUEST]
    return refused_with(exchange, ["invalid_grant", "invalid_client"], statuses)


@rule(
    "Errors are JSON objects",
    rfc(6749, "5.2"),
    fix="Send errors as application/json with the member error, and error_description for people.",
)
async def error_json(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2: the parameters are in the body, as application/json."""
    exchange = await bogus_code(survey)
    content_type = exchange.answer.header("Content-Type") or ""
    right = error_of(exchange) and content_type.partition(";")[0].strip().lower() == "application/json"
    problem = "" if right else f"The error is sent as {content_type or 'nothing in particular'}"
    return judge(problem, "The error is JSON", (exchange, f"Content-Type: {content_type}"))


@rule(
    "Answers are not cached",
    oauth("3.2.3"),
    rfc(6749, "5.1"),
    fix="Send Cache-Control: no-store with every answer of the token endpoint, errors too.",
)
async def no_store(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.3: Cache-Control: no-store, judged by an error since no token is asked for."""
    exchange = await bogus_code(survey)
    control = exchange.answer.header("Cache-Control") or ""
    problem = "" if "no-store" in control.lower() else "Cache-Control does not say no-store"
    return judge(problem, "It says no-store", (exchange, f"Cache-Control: {control}"))


@rule(
    "A wrong secret by Basic is 401 with a Basic challenge",
    rfc(6749, "5.2"),
    oauth("3.2.4"),
    fix='Answer 401 invalid_client with WWW-Authenticate: Basic realm="…" when Basic was used.',
)
async def basic_challenge(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2: MUST answer 401 and name the scheme that the client used."""
    methods = (await survey.metadata()).members.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if "client_secret_basic" not in strings(methods):
        raise Missing("client_secret_basic is not supported")
    credentials = base64.b64encode(f"{CLIENT}:wrong".encode()).decode()
    url = await survey.stated("token_endpoint")
    exchange = await survey.form(url, GRANT, *CODE[:2], headers={"Authorization": f"Basic {credentials}"})
    offered = ", ".join(exchange.answer.headers_of("WWW-Authenticate"))
    problem = "" if offered.lower().startswith("basic") else "The answer carries no Basic challenge"
    if exchange.answer.status != UNAUTHORIZED:
        problem = f"The answer is {exchange.answer.status}, not 401"
    return judge(problem, "It is 401 with a Basic challenge", (exchange, f"WWW-Authenticate: {offered or '(absent)'}"))
