"""Authorization requests that must not leave the server (OAuth 2.1 sections 4.1.2.1 and 7.12)."""

from typing import Final

from oauth_server.compliance import urls
from oauth_server.compliance.checks.attempts import is_page
from oauth_server.compliance.checks.pages import framing
from oauth_server.compliance.checks.token_endpoint import CLIENT, REDIRECT
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import mcp, oauth, rfc, security
from oauth_server.compliance.survey import Survey

CHALLENGE: Final = ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")  # RFC 7636 appendix B
MARKUP: Final = "audit'\"><i>"
CLIENT_ERRORS: Final = range(400, 500)
REDIRECTS: Final = range(300, 400)


async def _ask(survey: Survey, *client: tuple[str, str]) -> Exchange:
    """Send an authorization request in which nothing but the client is wrong."""
    pairs = (
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("state", "mcp-oauth-audit"),
        CHALLENGE,
        ("code_challenge_method", "S256"),
    )
    url = urls.with_query(await survey.stated("authorization_endpoint"), *client, *pairs)
    return await survey.fetch("GET", url, {"Accept": "text/html"})


def _leads_away(exchange: Exchange) -> bool:
    """Say whether the browser is sent to the unverified redirect URI; Missing when it is sent to sign in first."""
    location = exchange.answer.header("Location")
    if location is None or exchange.answer.status not in REDIRECTS:
        return False
    parts = urls.read(location)
    if parts is not None and parts.hostname == "client.invalid":
        return True
    raise Missing("the browser is sent elsewhere first, so the client is judged later")


@rule(
    "An unknown client is never redirected to",
    oauth("4.1.2.1"),
    security("Open Redirection"),
    fix="Check client_id and redirect_uri before anything else, and show errors on a page until both are verified.",
)
async def unknown_client(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: MUST NOT automatically redirect to the invalid redirect URI."""
    exchange = await _ask(survey, ("client_id", CLIENT))
    location = f"Location: {exchange.answer.header('Location') or '(absent)'}"
    problem = "The browser is sent to a redirect URI that nobody registered" if _leads_away(exchange) else ""
    return judge(problem, "The browser stays", (exchange, location))


@rule(
    "An authorization request with an unknown client is answered 4xx",
    mcp("Error Handling"),
    fix="Answer 400 with a page that names the problem.",
)
async def unknown_client_status(survey: Survey) -> Verdict:
    """MCP: 400 for a malformed authorization request."""
    exchange = await _ask(survey, ("client_id", CLIENT))
    if _leads_away(exchange):
        raise Missing("the browser was redirected")
    status = exchange.answer.status
    return judge("" if status in CLIENT_ERRORS else f"The answer is {status}", f"The answer is {status}", exchange)


@rule(
    "An authorization request without a client is answered 4xx",
    oauth("4.1.2.1"),
    mcp("Error Handling"),
    fix="Answer 400 with a page that names the missing client_id.",
)
async def missing_client(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: a missing client identifier is told to the user."""
    exchange = await _ask(survey)
    away, status = _leads_away(exchange), exchange.answer.status
    problem = "" if status in CLIENT_ERRORS else f"The answer is {status}"
    return judge("The browser is sent to an unverified redirect URI" if away else problem, "It is refused", exchange)


@rule(
    "What a request says is escaped on the error page",
    oauth("7.12.2"),
    fix="Let the template engine escape every value that came with the request.",
)
async def escaped(survey: Survey) -> Verdict:
    """A page that repeats markup from the URL can be made to say anything."""
    exchange = await _ask(survey, ("client_id", MARKUP))
    html = "html" in (exchange.answer.header("Content-Type") or "").lower()
    problem = "The page repeats markup from the request" if html and MARKUP.encode() in exchange.answer.body else ""
    return judge(problem, "No markup is repeated", exchange)


@rule(
    "Pages of the authorization endpoint cannot be framed",
    rfc(9700, "4.16"),
    fix="Send Content-Security-Policy: frame-ancestors 'none' and X-Frame-Options: DENY with every page.",
)
async def not_framed(survey: Survey) -> Verdict:
    """RFC 9700 section 4.16: clickjacking; judged by the page an unknown client gets."""
    exchange = await _ask(survey, ("client_id", CLIENT))
    if not is_page(exchange):
        raise Missing("no page is shown")
    return framing(exchange)
