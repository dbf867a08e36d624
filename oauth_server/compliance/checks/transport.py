"""The transport beneath: TLS, Host and Origin (OAuth 2.1 section 1.5, MCP Streamable HTTP)."""

from typing import Final

from oauth_server.compliance import urls
from oauth_server.compliance.document import OK
from oauth_server.compliance.model import Missing, Verdict, judge, rule
from oauth_server.compliance.sources import TRANSPORT, mcp, oauth, rfc, security
from oauth_server.compliance.survey import UNAUTHORIZED, Survey

EVIL: Final = "evil.example"
FORBIDDEN: Final = 403
REDIRECTS: Final = range(300, 400)
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
    said = f"GET {urls.path(document.url)} with Host: {EVIL} is answered {status}"
    return judge("" if status in range(400, 500) else said, said, exchange)


@rule(
    "A foreign Origin is refused with 403",
    TRANSPORT,
    fix="Check Origin, best before the token: answer 403 to any that is neither the server's own nor allowed.",
)
async def origin(survey: Survey) -> Verdict:
    """MCP: servers MUST validate Origin; from 2025-11-25 on with 403."""
    return await _foreign(survey, f"https://{EVIL}")


async def _foreign(survey: Survey, value: str) -> Verdict:
    """Judge by a call with a good token where the token is asked for first: no text says which refusal comes first."""
    endpoint, said = await survey.endpoint(), f"Origin: {value}"
    exchange = await survey.call(endpoint, {"Origin": value})
    if exchange.answer.status == UNAUTHORIZED:
        try:
            bearer = {"Authorization": f"Bearer {await survey.token()}"}
        except Missing:
            raise Missing("the token is asked for first, so it cannot be seen whether Origin is checked") from None
        if (await survey.call(endpoint, bearer)).answer.status in {UNAUTHORIZED, FORBIDDEN}:
            raise Missing("not even a right token opens the endpoint")
        exchange, said = await survey.call(endpoint, {**bearer, "Origin": value}), f"With a good token, {said}"
    status = exchange.answer.status
    problem = "" if status == FORBIDDEN else f"{said} is answered {status}, not 403"
    return judge(problem, "It is answered 403", exchange)


@rule(
    "The Origin null is refused with 403",
    TRANSPORT,
    fix="Refuse Origin: null like any foreign one: files, sandboxed frames and redirects across sites send it.",
)
async def null_origin(survey: Survey) -> Verdict:
    """MCP: as any other; RFC 6454 section 7.1: null stands for whatever is not said."""
    return await _foreign(survey, "null")


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


@rule(
    "A slash more or less leads nowhere else",
    oauth("1.5"),
    rfc(9110, "15.4"),
    fix="Build the redirect from the path alone, or from the public base URL: behind a proxy, scheme and host differ.",
)
async def trailing_slash(survey: Survey) -> Verdict:
    """A redirect to http, or to another host, takes the token along in the clear."""
    endpoint = await survey.endpoint()
    if not urls.path(endpoint) or "?" in endpoint:
        raise Missing("the endpoint is the root, or has a query")
    other = endpoint[:-1] if endpoint.endswith("/") else f"{endpoint}/"
    exchange = await survey.call(other)
    location = exchange.answer.header("Location")
    if location is None or exchange.answer.status not in REDIRECTS:
        return judge("", f"{other} is answered {exchange.answer.status}", exchange)
    target = urls.joined(other, location)
    same = urls.read(target) is not None and urls.origin(target) == urls.origin(endpoint)
    problem = "" if same else f"{other} leads to {target!r}"
    return judge(problem, "It leads to the endpoint", (exchange, f"Location: {location}"))


@rule(
    "TLS 1.3 is spoken",
    rfc(9325, "3.1.1"),
    fix="Switch TLS 1.3 on, and 1.0 and 1.1 off.",
)
async def tls_version(survey: Survey) -> Verdict:
    """RFC 9325 section 3.1.1: SHOULD support TLS 1.3, and MUST prefer it then; our client refuses less than 1.2."""
    exchange = await survey.call(await survey.endpoint())
    spoken = exchange.answer.tls
    if not spoken:
        raise Missing("the endpoint was not asked over TLS")
    problem = "" if spoken == "TLSv1.3" else f"The connection is {spoken}"
    return judge(problem, f"The connection is {spoken}", (exchange, spoken))
