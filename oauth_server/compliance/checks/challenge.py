"""The answer to a call without a token (RFC 6750 section 3, RFC 9728 section 5.1)."""

from oauth_server.compliance import urls, www_authenticate
from oauth_server.compliance.model import Exchange, Missing, Shown, Verdict, judge, rule
from oauth_server.compliance.sources import discovery, mcp, oauth, rfc, security
from oauth_server.compliance.survey import UNAUTHORIZED, Survey

BROKEN = b'{"jsonrpc": "2.0", "id": 1, "method": '


def header(exchange: Exchange) -> Shown:
    """Show the challenge of an answer as evidence."""
    return exchange, f"WWW-Authenticate: {', '.join(exchange.answer.headers_of('WWW-Authenticate')) or '(absent)'}"


@rule(
    "A call without a token is answered 401",
    mcp("Error Handling"),
    oauth("5.3"),
    fix="Answer 401 with a challenge before the body is read; 200, 400 and 403 keep clients from signing in.",
)
async def status(survey: Survey) -> Verdict:
    """MCP: authorization is required, or the token is invalid: 401."""
    exchange = await survey.refusal()
    got = exchange.answer.status
    return judge("" if got == UNAUTHORIZED else f"The answer is {got}", "The answer is 401", header(exchange))


@rule(
    "The challenge has the Bearer scheme",
    rfc(6750, "3"),
    fix="Send WWW-Authenticate: Bearer … with every 401.",
)
async def scheme(survey: Survey) -> Verdict:
    """RFC 6750 section 3: the answer MUST include the header, with the scheme Bearer."""
    exchange = await survey.refusal()
    schemes = [found.scheme for found in www_authenticate.read(exchange.answer.headers_of("WWW-Authenticate"))]
    problem = "" if "bearer" in schemes else f"The schemes offered are: {', '.join(schemes) or 'none'}"
    return judge(problem, "Bearer is offered", header(exchange))


@rule(
    "The challenge can be read",
    rfc(9110, "11.6.1"),
    fix='Write the parameters as name="value", separated by commas, each once, with quotes escaped by a backslash.',
)
async def syntax(survey: Survey) -> Verdict:
    """RFC 9110 section 11.6.1, and section 11.2: a parameter occurs once."""
    exchange = await survey.refusal()
    values = exchange.answer.headers_of("WWW-Authenticate")
    if not values:
        raise Missing("the answer carries no WWW-Authenticate header")
    problems = [f"The header is malformed: {found.problem}" for found in www_authenticate.read(values) if found.problem]
    return judge("; ".join(problems), "The header is well formed", header(exchange))


@rule(
    "The challenge names the metadata by an absolute URL",
    rfc(9728, "5.1"),
    discovery("Protected Resource Metadata Discovery Requirements"),
    fix='Add resource_metadata="https://…/.well-known/oauth-protected-resource/…" (not resource="…").',
)
async def resource_metadata(survey: Survey) -> Verdict:
    """RFC 9728 section 5.1: the URL of the protected resource metadata."""
    exchange, challenge = await survey.challenge()
    value = challenge.parameters.get("resource_metadata", "")
    problem = "" if urls.is_secure(value) else f"resource_metadata is {value!r}, not an absolute https URL"
    if not value:
        problem = "resource_metadata is missing"
    return judge(problem, "resource_metadata is an absolute URL", header(exchange))


@rule(
    "The named metadata is there and is this endpoint's",
    rfc(9728, "3.3"),
    discovery("Protected Resource Metadata Discovery Requirements"),
    fix="Let resource_metadata lead to a document, status 200, whose `resource` is the endpoint's URL.",
)
async def resolves(survey: Survey) -> Verdict:
    """RFC 9728 section 3.3: got by a challenge, `resource` MUST be the URL the client called."""
    exchange, _ = await survey.challenge()
    document = (await survey.protected_resources()).get("challenge")
    if document is None:
        raise Missing("the challenge names no metadata")
    endpoint = await survey.endpoint()
    value = document.members.get("resource")
    accepted = {urls.canonical(endpoint), urls.canonical(urls.origin(endpoint))}
    problem = ""
    if document.problem:
        problem = f"{document.url}: {document.problem}"
    elif not isinstance(value, str) or urls.read(value) is None or urls.canonical(value) not in accepted:
        problem = f"{document.url} is the metadata of {value!r}"
    shown = (document.exchange, f"resource: {value!r}") if document.exchange else header(exchange)
    return judge(problem, "resource_metadata leads to this endpoint's metadata", header(exchange), shown)


@rule(
    "The challenge names the scopes that are needed",
    mcp("Scope Selection Strategy"),
    rfc(6750, "3"),
    fix='Add scope="…" with the scopes that a first call needs: clients ask for exactly these.',
)
async def scope(survey: Survey) -> Verdict:
    """MCP: servers SHOULD include a scope parameter."""
    exchange, challenge = await survey.challenge()
    named = challenge.parameters.get("scope", "").split()
    return judge("" if named else "scope is missing", "The scopes are named", header(exchange))


@rule(
    "The challenge asks for no offline_access",
    mcp("Refresh Tokens"),
    fix="Take offline_access out of the challenge: a refresh token is not what the resource needs.",
)
async def no_offline_access(survey: Survey) -> Verdict:
    """MCP: the challenge SHOULD NOT name offline_access."""
    exchange, challenge = await survey.challenge()
    named = "offline_access" in challenge.parameters.get("scope", "").split()
    return judge("scope names offline_access" if named else "", "offline_access is not named", header(exchange))


@rule(
    "The challenge states no error when no token was sent",
    rfc(6750, "3.1"),
    fix="Leave error and error_description out of the challenge when the request carried no token.",
)
async def no_error(survey: Survey) -> Verdict:
    """RFC 6750 section 3.1: without authentication, the answer SHOULD NOT include an error code."""
    exchange, challenge = await survey.challenge()
    stated = challenge.parameters.get("error")
    return judge(f"It states error={stated!r}" if stated else "", "No error is stated", header(exchange))


@rule(
    "The refusal is not an HTML page",
    mcp("Error Handling"),
    fix="Answer API calls with JSON or an empty body; a login page belongs to the authorization endpoint.",
)
async def not_html(survey: Survey) -> Verdict:
    """A page is what a proxy or a web framework puts before the endpoint."""
    exchange = await survey.refusal()
    content_type = (exchange.answer.header("Content-Type") or "").lower()
    page = "html" in content_type or exchange.answer.body.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))
    return judge("The body is an HTML page" if page else "", "The body is no page", (exchange, content_type))


@rule(
    "A GET that is answered 401 is challenged, too",
    rfc(9110, "15.5.2"),
    fix="Send WWW-Authenticate with every 401, whatever the method.",
)
async def on_get(survey: Survey) -> Verdict:
    """RFC 9110 section 15.5.2: a server generating a 401 response MUST send WWW-Authenticate."""
    await survey.refusal()
    exchange = await survey.fetch("GET", await survey.endpoint(), {"Accept": "text/event-stream"})
    if exchange.answer.status != UNAUTHORIZED:
        raise Missing(f"GET is answered {exchange.answer.status}")
    present = exchange.answer.headers_of("WWW-Authenticate")
    return judge("" if present else "WWW-Authenticate is missing", "It is challenged", header(exchange))


@rule(
    "The token is asked for before the body is read",
    security("Access Token Privilege Restriction"),
    fix="Judge the Authorization header first, and answer 401 whatever the body is.",
)
async def before_body(survey: Survey) -> Verdict:
    """MCP: tokens are validated before the request is processed; what is judged first tells strangers something."""
    await survey.refusal()
    exchange = await survey.fetch("POST", await survey.endpoint(), {"Content-Type": "application/json"}, BROKEN)
    status = exchange.answer.status
    problem = "" if status == UNAUTHORIZED else f"A broken body without a token is answered {status}"
    return judge(problem, "It is answered 401", header(exchange))
