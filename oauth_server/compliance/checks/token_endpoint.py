"""Token requests that must be refused (OAuth 2.1 section 3.2, RFC 6749 section 5.2)."""

import base64
from collections.abc import Collection
from typing import Final

from oauth_server.compliance.checks.protected_resource import strings
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Changes, pairs
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
NOT_FOUND: Final = 404
NOT_ALLOWED: Final = 405
UNSUPPORTED_TYPE: Final = 415
TOO_MANY: Final = 429


def error_of(exchange: Exchange) -> str:
    """Return the `error` member of an answer, empty when it is no OAuth error."""
    try:
        body = exchange.answer.json()
    except ValueError:
        return ""
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, str) else ""


def patient(exchange: Exchange) -> Exchange:
    """Return the exchange; Missing when the server would rather be asked later."""
    if exchange.answer.status == TOO_MANY:
        raise Missing("the server asks for patience")
    return exchange


def refused_with(exchange: Exchange, errors: Collection[str], statuses: Collection[int] = (BAD_REQUEST,)) -> Verdict:
    """Judge a refusal by status and error code; skip it when the server looked at the client first."""
    status, error = patient(exchange).answer.status, error_of(exchange)
    if error == "invalid_client" and error not in errors:
        raise Missing("the server judges the client first, and none that it knows could be had")
    right = status in statuses and error in errors
    problem = "" if right else f"The answer is {status} with the error {error!r}, not {' or '.join(errors)}"
    return judge(problem, f"It is refused: {status} {error}", exchange)


async def _asked(survey: Survey, fields: Changes) -> Exchange:
    """Send a request of an unknown client; of a registered one where the server judges the client before the rest."""
    url = await survey.stated("token_endpoint")
    exchange = await survey.form(url, *pairs({**fields, "client_id": CLIENT}))
    if error_of(exchange) != "invalid_client":
        return exchange
    try:
        client = await survey.walk.clients.public()
    except Missing:
        return exchange
    own = {name: value for name, value in fields.items() if name != "client_id"}
    return await survey.walk.post(url, client, {**own, "redirect_uri": client.redirect_uri}, {})


async def bogus_code(survey: Survey) -> Exchange:
    """Redeem a code that never was."""
    return patient(await survey.form(await survey.stated("token_endpoint"), GRANT, *CODE))


async def unknown_grant(survey: Survey) -> Exchange:
    """Ask for tokens by a grant that never was."""
    return await _asked(survey, {"grant_type": "urn:example:mcp-oauth-audit"})


@rule(
    "GET on the token endpoint is refused",
    oauth("3.2"),
    fix="Answer every method but POST with 405: what is in a query ends up in logs.",
)
async def get_refused(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2: the client MUST use POST; 404 refuses, too, where methods have routes of their own."""
    exchange = await survey.fetch("GET", await survey.stated("token_endpoint"), {"Accept": "application/json"})
    status = exchange.answer.status
    problem = "" if status in {NOT_FOUND, NOT_ALLOWED} else f"The answer is {status}, not 405"
    return judge(problem, f"The answer is {status}", exchange)


@rule(
    "An unknown grant type is unsupported_grant_type",
    rfc(6749, "5.2"),
    oauth("3.2.4"),
    fix="Answer 400 with the error unsupported_grant_type.",
)
async def unsupported_grant(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2."""
    return refused_with(await unknown_grant(survey), ["unsupported_grant_type"])


@rule(
    "A missing grant type is invalid_request",
    rfc(6749, "5.2"),
    oauth("3.2.4"),
    fix="Answer 400 with the error invalid_request.",
)
async def missing_grant(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2: a required parameter is missing."""
    return refused_with(await _asked(survey, dict(CODE)), ["invalid_request"])


@rule(
    "A parameter that comes twice is invalid_request",
    rfc(6749, "3.2"),
    oauth("3.2.4"),
    fix="Refuse requests in which a parameter occurs more than once.",
)
async def duplicate(survey: Survey) -> Verdict:
    """RFC 6749 section 3.2: the client MUST NOT send one twice; section 5.2 has an error for it, and no MUST."""
    exchange = await _asked(survey, {**dict(CODE), "grant_type": [GRANT[1], GRANT[1]]})
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
    exchange = patient(await survey.fetch("POST", url, {"Content-Type": "application/json"}, content))
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
    exchange = patient(await survey.form(url, GRANT, *CODE[:2], headers={"Authorization": f"Basic {credentials}"}))
    offered = ", ".join(exchange.answer.headers_of("WWW-Authenticate"))
    problem = "" if offered.lower().startswith("basic") else "The answer carries no Basic challenge"
    if exchange.answer.status != UNAUTHORIZED:
        problem = f"The answer is {exchange.answer.status}, not 401"
    return judge(problem, "It is 401 with a Basic challenge", (exchange, f"WWW-Authenticate: {offered or '(absent)'}"))
