"""What a client that runs in a browser may read (the CORS protocol of the Fetch standard)."""

from contextlib import suppress
from typing import Final

from oauth_server.compliance import messages, urls
from oauth_server.compliance.checks.token_endpoint import CODE, GRANT
from oauth_server.compliance.model import Exchange, Missing, Shown, Verdict, judge, rule
from oauth_server.compliance.sources import FETCH, oauth, rfc
from oauth_server.compliance.survey import Survey

FOREIGN: Final = "https://client.invalid"
ALLOWED: Final = "Access-Control-Allow-Origin"
CREDENTIALS: Final = "Access-Control-Allow-Credentials"
HEADERS: Final = ("authorization", "content-type", "mcp-protocol-version")
MODERN_HEADERS: Final = ("mcp-method", "mcp-name")
REFUSED_ORIGIN: Final = {400, 403}


async def _discovery(survey: Survey) -> list[Exchange]:
    """Fetch the metadata documents as a page of another site would."""
    fields = {"Accept": "application/json", "Origin": FOREIGN}
    return [await survey.fetch("GET", document.url, fields) for document in await survey.public_documents()]


def _origin(exchange: Exchange) -> str:
    return exchange.answer.header(ALLOWED) or ""


@rule(
    "Every site may read the metadata",
    FETCH,
    fix="Send Access-Control-Allow-Origin: * with all discovery documents.",
)
async def discovery(survey: Survey) -> Verdict:
    """The documents are public; a client in a browser can read them only with this header."""
    exchanges = await _discovery(survey)
    closed = [exchange.answer.url for exchange in exchanges if _origin(exchange) not in {"*", FOREIGN}]
    problem = f"Not readable from another site: {', '.join(closed)}" if closed else ""
    return judge(problem, "Every site may read them", *((e, f"{ALLOWED}: {_origin(e)}") for e in exchanges))


@rule(
    "No site reads the metadata with credentials",
    FETCH,
    fix="Leave Access-Control-Allow-Credentials out of discovery documents.",
)
async def no_credentials(survey: Survey) -> Verdict:
    """Public documents need no cookies; a foreign origin with credentials is a hole elsewhere, too."""
    name = CREDENTIALS
    exchanges = await _discovery(survey)
    allowing = [e for e in exchanges if (e.answer.header(name) or "").lower() == "true"]
    problem = "Credentials are allowed to any site" if allowing else ""
    shown = [(e, f"{ALLOWED}: {_origin(e)}, {name}: {e.answer.header(name)}") for e in exchanges]
    return judge(problem, "Credentials are not allowed", *shown)


@rule(
    "A browser can read the challenge",
    FETCH,
    rfc(9728, "5.1"),
    fix="Send Access-Control-Expose-Headers: WWW-Authenticate with the endpoint's answers.",
)
async def exposes_challenge(survey: Survey) -> Verdict:
    """Judged with the endpoint's own origin, which any policy allows."""
    await survey.challenge()
    endpoint = await survey.endpoint()
    exchange = await survey.call(endpoint, {"Origin": urls.origin(endpoint)})
    if not _origin(exchange):
        raise Missing("the endpoint allows its own origin no cross-origin calls")
    exposed = (exchange.answer.header("Access-Control-Expose-Headers") or "").lower()
    right = exposed.strip() == "*" or "www-authenticate" in exposed
    shown = (exchange, f"Access-Control-Expose-Headers: {exposed}")
    return judge("" if right else "WWW-Authenticate is not exposed", "WWW-Authenticate is exposed", shown)


@rule(
    "A preflight needs no token",
    FETCH,
    fix="Answer OPTIONS on the endpoint before the token is asked for; browsers send preflights without one.",
)
async def preflight(survey: Survey) -> Verdict:
    """Judged with the endpoint's own origin, which any policy allows."""
    endpoint = await survey.endpoint()
    exchange = await _preflight(survey, endpoint)
    status = exchange.answer.status
    if status in REFUSED_ORIGIN:
        raise Missing("the endpoint allows its own origin no cross-origin calls")
    problem = "" if status in range(200, 300) else f"The preflight is answered {status}"
    return judge(problem, f"The preflight is answered {status}", exchange)


async def _preflight(survey: Survey, endpoint: str) -> Exchange:
    fields = {
        "Origin": urls.origin(endpoint),
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ",".join(_needed(survey)),
    }
    return await survey.fetch("OPTIONS", endpoint, fields)


def _needed(survey: Survey) -> tuple[str, ...]:
    """Return the headers that an MCP client in a browser has to send."""
    return HEADERS + (MODERN_HEADERS if messages.modern(survey.version) else ())


@rule(
    "A browser may send the headers that MCP needs",
    FETCH,
    fix="List Authorization, Content-Type and the MCP headers in Access-Control-Allow-Headers.",
)
async def preflight_headers(survey: Survey) -> Verdict:
    """Fetch standard: * does not cover Authorization; judged with the endpoint's own origin."""
    endpoint = await survey.endpoint()
    exchange = await _preflight(survey, endpoint)
    if not _origin(exchange) or exchange.answer.status not in range(200, 300):
        raise Missing("the endpoint allows its own origin no cross-origin calls")
    value = ",".join(exchange.answer.headers_of("Access-Control-Allow-Headers")).lower()
    allowed = {name.strip() for name in value.split(",")}
    absent = [name for name in _needed(survey) if name not in allowed and ("*" not in allowed or name == HEADERS[0])]
    problem = f"Not allowed: {', '.join(absent)}" if absent else ""
    return judge(problem, "All are allowed", (exchange, f"Access-Control-Allow-Headers: {value}"))


async def _from_elsewhere(survey: Survey) -> list[Exchange]:
    """Ask the endpoints as a page of another site would; those that are not there are left out."""
    gathered = []
    with suppress(Missing):
        gathered.append(await survey.call(await survey.endpoint(), {"Origin": FOREIGN}))
    with suppress(Missing):
        url = await survey.stated("token_endpoint")
        gathered.append(await survey.form(url, GRANT, *CODE, headers={"Origin": FOREIGN}))
    with suppress(Missing):
        gathered.append(await _authorization(survey))
    return gathered


async def _authorization(survey: Survey) -> Exchange:
    url = urls.with_query(await survey.stated("authorization_endpoint"), ("response_type", "code"), CODE[2])
    return await survey.fetch("GET", url, {"Accept": "text/html", "Origin": FOREIGN})


def _shown(exchange: Exchange) -> Shown:
    return exchange, f"{ALLOWED}: {_origin(exchange)}, {CREDENTIALS}: {exchange.answer.header(CREDENTIALS)}"


@rule(
    "No foreign site gets in with a browser's cookies",
    FETCH,
    fix="Compare Origin with a list before it is repeated, and leave Access-Control-Allow-Credentials out.",
)
async def reflected(survey: Survey) -> Verdict:
    """A policy that repeats any Origin, with credentials, has no same-origin policy left."""
    exchanges = await _from_elsewhere(survey)
    open_to_all = [
        exchange
        for exchange in exchanges
        if _origin(exchange) == FOREIGN and (exchange.answer.header(CREDENTIALS) or "").lower() == "true"
    ]
    problem = f"{open_to_all[0].answer.url.partition('?')[0]} lets {FOREIGN} in" if open_to_all else ""
    return judge(problem, "None is let in", *map(_shown, open_to_all or exchanges))


@rule(
    "The authorization endpoint has no CORS",
    oauth("3.1"),
    rfc(9700, "2.6"),
    fix="Take the authorization endpoint out of the CORS policy: browsers navigate to it, no script calls it.",
)
async def not_at_authorize(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.1: CORS MUST NOT be supported at the authorization endpoint."""
    exchange = await _authorization(survey)
    allowed = _origin(exchange)
    problem = f"It allows {allowed}" if allowed in {"*", FOREIGN} else ""
    return judge(problem, "It allows no other site", _shown(exchange))
