"""What a client that runs in a browser may read (the CORS protocol of the Fetch standard)."""

from typing import Final

from oauth_server.compliance import urls
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import FETCH, rfc
from oauth_server.compliance.survey import Survey

FOREIGN: Final = "https://client.invalid"
ALLOWED: Final = "Access-Control-Allow-Origin"
REFUSED_ORIGIN: Final = {400, 403}


async def _discovery(survey: Survey) -> list[Exchange]:
    """Fetch the metadata documents as a page of another site would."""
    places = [(await survey.protected_resource()).url, (await survey.metadata()).url]
    return [await survey.fetch("GET", place, {"Accept": "application/json", "Origin": FOREIGN}) for place in places]


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
    name = "Access-Control-Allow-Credentials"
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
    fields = {
        "Origin": urls.origin(endpoint),
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version",
    }
    exchange = await survey.fetch("OPTIONS", endpoint, fields)
    status = exchange.answer.status
    if status in REFUSED_ORIGIN:
        raise Missing("the endpoint allows its own origin no cross-origin calls")
    problem = "" if status in range(200, 300) else f"The preflight is answered {status}"
    return judge(problem, f"The preflight is answered {status}", exchange)
