"""The transport beneath: TLS, Host and Origin (OAuth 2.1 section 1.5, MCP Streamable HTTP)."""

from typing import Final

from oauth_server.compliance import urls
from oauth_server.compliance.document import OK
from oauth_server.compliance.model import Missing, Verdict, judge, rule
from oauth_server.compliance.sources import TRANSPORT, mcp, oauth, rfc, security
from oauth_server.compliance.survey import UNAUTHORIZED, Survey

EVIL: Final = "evil.example"
FORBIDDEN: Final = 403
NO_STREAM: Final = {401, 405, 406}


@rule(
    "The endpoint is https",
    security("Communication Security"),
    oauth("1.5"),
    fix="Put TLS in front of the endpoint; plain http is for loopback alone.",
)
async def https(survey: Survey) -> Verdict:
    """A bearer token sent in the clear belongs to everyone on the way."""
    endpoint = await survey.endpoint()
    problem = "" if urls.is_secure(endpoint) else "The endpoint is plain http on another machine"
    return judge(problem, "The endpoint is https or loopback", await survey.call(endpoint))


@rule(
    "Browsers are told to stay with https",
    rfc(6797, "7.1"),
    fix="Send Strict-Transport-Security: max-age=31536000 with every answer.",
)
async def strict_transport(survey: Survey) -> Verdict:
    """RFC 6797; loopback has no use for it."""
    endpoint = await survey.endpoint()
    if urls.is_loopback(endpoint) or not endpoint.startswith("https://"):
        raise Missing("the endpoint is on this machine or not https")
    exchange = await survey.call(endpoint)
    value = exchange.answer.header("Strict-Transport-Security") or ""
    problem = "" if "max-age" in value.lower() else "Strict-Transport-Security is missing"
    return judge(problem, "Strict-Transport-Security is sent", (exchange, f"Strict-Transport-Security: {value}"))


@rule(
    "A request for another host is refused",
    TRANSPORT,
    fix="Compare Host with the names of the server, and answer 421 or 403 to any other.",
)
async def host(survey: Survey) -> Verdict:
    """DNS rebinding: a page of evil.example reaches a local server under its own name."""
    endpoint = await survey.endpoint()
    if not urls.is_loopback(endpoint):
        raise Missing("behind a proxy or a CDN, Host is what requests are routed by")
    document = await survey.protected_resource()
    if urls.origin(document.url) != urls.origin(endpoint):
        raise Missing("the metadata is on another server")
    # The same request is answered 200 under the right name, so a refusal is due to Host alone.
    exchange = await survey.fetch("GET", document.url, {"Accept": "application/json", "Host": EVIL})
    status = exchange.answer.status
    problem = "" if status in range(400, 500) else f"Host: {EVIL} is answered {status}"
    return judge(problem, f"Host: {EVIL} is answered {status}", exchange)


@rule(
    "A foreign Origin is refused with 403",
    TRANSPORT,
    fix="Check Origin before the token: answer 403 to any that is neither the server's own nor allowed.",
)
async def origin(survey: Survey) -> Verdict:
    """MCP: servers MUST validate Origin; from 2025-11-25 on with 403."""
    exchange = await survey.call(await survey.endpoint(), {"Origin": f"https://{EVIL}"})
    status = exchange.answer.status
    if status == UNAUTHORIZED and not survey.since("2025-11-25"):
        raise Missing("the token is asked for first, so it cannot be seen whether Origin is checked")
    problem = "" if status == FORBIDDEN else f"Origin: https://{EVIL} is answered {status}, not 403"
    return judge(problem, "It is answered 403", exchange)


@rule(
    "GET on the endpoint asks for a token or is refused",
    TRANSPORT,
    mcp("Error Handling"),
    fix="Answer GET without a token with 401, or with 405 where there is no stream to open.",
)
async def get(survey: Survey) -> Verdict:
    """MCP: GET opened a stream until 2025-11-25, and is 405 since."""
    await survey.refusal()
    exchange = await survey.fetch("GET", await survey.endpoint(), {"Accept": "text/event-stream"})
    status = exchange.answer.status
    return judge("" if status in NO_STREAM else f"The answer is {status}", f"The answer is {status}", exchange)


@rule(
    "Unknown well-known addresses are not found",
    rfc(8615, "3"),
    fix="Answer 404 to unknown paths under /.well-known/; a page with 200 is taken for metadata.",
)
async def unknown_well_known(survey: Survey) -> Verdict:
    """A single-page application answers everything with its page, and clients try to read it as JSON."""
    place = urls.origin(await survey.endpoint()) + "/.well-known/mcp-oauth-audit-unknown"
    exchange = await survey.fetch("GET", place)
    status = exchange.answer.status
    return judge(f"It is answered {status}" if status == OK else "", f"It is answered {status}", exchange)
