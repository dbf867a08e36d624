"""Registrations that must be refused (RFC 7591); what is registered all the same is taken back with all else."""

import json
from typing import Any, Final

from oauth_server.compliance.checks.protected_resource import strings
from oauth_server.compliance.checks.token_endpoint import error_of
from oauth_server.compliance.jws import encode
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.registrar import REGISTERED
from oauth_server.compliance.sources import oauth, rfc, security
from oauth_server.compliance.survey import Survey
from oauth_server.outbound import OutboundError

NAME: Final = "MCP OAuth audit: refuse me"
LARGE: Final = 200 * 1024  # bytes
CLOSED: Final = {401: "an initial access token", 403: "permission", 429: "patience"}
BAD_REQUEST: Final = 400
ERRORS: Final = range(400, 500)
PLAIN: Final = "http://client.invalid/callback"
SCRIPT: Final = "javascript:alert(document.domain)"
CLAIMED: Final = "MCP OAuth audit: a name from an unsigned statement"
UNSIGNED: Final = ".".join(
    encode(json.dumps(part).encode())
    for part in ({"alg": "none"}, {"iss": "https://client.invalid", "client_name": CLAIMED})
)


async def asked(survey: Survey, **members: Any) -> Exchange:
    """Ask for a registration that is right but for `members`; Missing when right ones are refused, too."""
    clients = survey.walk.clients
    await clients.registered("public")
    exchange = await clients.register(await clients.metadata(client_name=NAME, **members))
    return opened(exchange)


def opened(exchange: Exchange) -> Exchange:
    """Return the answer to a registration; Missing when registration is not open to anybody."""
    if exchange.answer.status in CLOSED:
        raise Missing(f"registration asks for {CLOSED[exchange.answer.status]}")
    return exchange


def reply(exchange: Exchange) -> dict[str, Any]:
    """Return the members of a client information response, nothing for any other answer."""
    try:
        members = exchange.answer.json()
    except ValueError:
        return {}
    return members if isinstance(members, dict) and exchange.answer.status in REGISTERED else {}


def refused(exchange: Exchange, problem: str) -> Verdict:
    """Judge a registration: what a reply says is `problem`, anything but a reply and 4xx is one, too."""
    status = exchange.answer.status
    if status not in ERRORS and status not in REGISTERED:
        problem = f"The answer is {status}"
    good = f"It is refused: {status} {error_of(exchange)}" if status in ERRORS else "It is registered without"
    return judge("" if status in ERRORS else problem, good.rstrip(), exchange)


async def _redirect(survey: Survey, uri: str) -> Verdict:
    """Judge whether a client is registered with this redirect URI; a reply without it has replaced it."""
    exchange = await asked(survey, redirect_uris=[uri])
    stated = reply(exchange).get("redirect_uris")
    replaced = isinstance(stated, list) and uri not in stated
    return refused(exchange, "" if replaced else f"A client was registered with the redirect URI {uri}")


@rule(
    "A javascript: redirect URI is not registered",
    rfc(7591, "5"),
    security("Open Redirection"),
    fix="Refuse redirect URIs with the schemes javascript, data, file, vbscript and blob: 400 invalid_redirect_uri.",
)
async def javascript_redirect(survey: Survey) -> Verdict:
    """RFC 7591 section 5: redirect URIs MUST be https, http to localhost, or an application's own scheme."""
    return await _redirect(survey, SCRIPT)


@rule(
    "A data: redirect URI is not registered",
    rfc(7591, "5"),
    security("Communication Security"),
    fix="Refuse redirect URIs with the schemes javascript, data, file, vbscript and blob: 400 invalid_redirect_uri.",
)
async def data_redirect(survey: Survey) -> Verdict:
    """RFC 7591 section 5, as above; a data: URI is a page of the attacker's own."""
    return await _redirect(survey, "data:text/html,mcp-oauth-audit")


@rule(
    "A plain http redirect URI to another machine is not registered",
    security("Communication Security"),
    oauth("1.5"),
    rfc(7591, "5"),
    fix="Refuse http redirect URIs whose host is not a loopback name or address.",
)
async def http_redirect(survey: Survey) -> Verdict:
    """MCP: every redirect URI is localhost or https."""
    return await _redirect(survey, PLAIN)


@rule(
    "A redirect URI with a fragment is not registered",
    oauth("2.3"),
    rfc(6749, "3.1.2"),
    fix="Refuse redirect URIs with a fragment.",
)
async def fragment_redirect(survey: Survey) -> Verdict:
    """OAuth 2.1 section 2.3: the redirect URI MUST NOT include a fragment component."""
    return await _redirect(survey, "https://client.invalid/callback#fragment")


@rule(
    "A relative redirect URI is not registered",
    oauth("2.3"),
    rfc(6749, "3.1.2"),
    fix="Refuse redirect URIs without a scheme.",
)
async def relative_redirect(survey: Survey) -> Verdict:
    """OAuth 2.1 section 2.3: the redirect URI MUST be an absolute URI."""
    return await _redirect(survey, "/callback")


@rule(
    "A client without a redirect URI is not registered",
    rfc(7591, "2"),
    fix="Refuse registrations for the authorization code grant that name no redirect URI.",
)
async def no_redirect(survey: Survey) -> Verdict:
    """RFC 7591 section 2: clients using flows with redirection MUST register their redirection URIs."""
    return refused(await asked(survey, redirect_uris=None), "The client was registered")


@rule(
    "Redirect URIs that are no list are refused",
    rfc(7591, "2"),
    rfc(7591, "3.2.2"),
    fix="Check the type of each member, and answer 400 invalid_redirect_uri or invalid_client_metadata.",
)
async def wrong_type(survey: Survey) -> Verdict:
    """RFC 7591 section 2: redirect_uris is an array of strings."""
    exchange = await asked(survey, redirect_uris=survey.walk.clients.redirect_uri)
    return refused(exchange, "A client was registered whose redirect_uris was a string")


@rule(
    "No client is registered for the implicit grant",
    rfc(9700, "2.1.2"),
    oauth("10.1"),
    fix="Refuse or drop the grant type implicit and every response type that holds a token.",
)
async def implicit(survey: Survey) -> Verdict:
    """RFC 9700 section 2.1.2; OAuth 2.1 omits the grant."""
    grants = ["authorization_code", "implicit"]
    exchange = await asked(survey, grant_types=grants, response_types=["code", "token"])
    members = reply(exchange)
    kept = {"implicit"} & set(strings(members.get("grant_types")))
    kept |= {"token"} & set(strings(members.get("response_types")))
    return refused(exchange, f"Registered: {', '.join(sorted(kept))}" if kept else "")


@rule(
    "Pages of a client with a script for an address are not registered",
    rfc(7591, "2"),
    rfc(7591, "5"),
    fix="Take only http and https URLs for client_uri, logo_uri, tos_uri and policy_uri: consent pages link to them.",
)
async def script_uris(survey: Survey) -> Verdict:
    """RFC 7591 section 2: client_uri MUST point to a valid web page, logo_uri to a valid image file."""
    exchange = await asked(survey, client_uri=SCRIPT, logo_uri=SCRIPT)
    kept = [name for name in ("client_uri", "logo_uri") if reply(exchange).get(name) == SCRIPT]
    return refused(exchange, f"Registered as {' and '.join(kept)}: {SCRIPT}" if kept else "")


@rule(
    "An unsigned software statement counts for nothing",
    rfc(7591, "2.3"),
    fix="Verify the signature of a software statement against an issuer you trust; ignore or refuse any other.",
)
async def software_statement(survey: Survey) -> Verdict:
    """RFC 7591 section 2.3: a statement MUST be digitally signed or MACed."""
    exchange = await asked(survey, software_statement=UNSIGNED)
    honoured = reply(exchange).get("client_name") == CLAIMED
    return refused(exchange, "The client has the name that an unsigned statement gives it" if honoured else "")


@rule(
    "A registration of 200 KiB is refused",
    rfc(7591, "5"),
    fix="Bound the body of a registration, to 64 KiB for example, and answer 413 or 400 beyond.",
)
async def large(survey: Survey) -> Verdict:
    """What anybody may store should be bounded. More would not fit into a reply that is read, and so be taken back."""
    try:
        exchange = await asked(survey, software_id="x" * LARGE)
    except OutboundError as error:
        raise Missing(f"the answer did not come: {error.reason}") from None
    return refused(exchange, "It was registered" if "software_id" in reply(exchange) else "")


@rule(
    "A malformed registration is answered with an error object",
    rfc(7591, "3.2.2"),
    fix="Answer 400 with a JSON error when the body cannot be read.",
)
async def malformed(survey: Survey) -> Verdict:
    """RFC 7591 section 3.2.2: 400, application/json, the member error."""
    url = await survey.stated("registration_endpoint")
    exchange = opened(await survey.fetch("POST", url, {"Content-Type": "application/json"}, b'{"redirect_uris": ['))
    return _error(exchange)


@rule(
    "The refusal of a registration is an error object",
    rfc(7591, "3.2.2"),
    fix='Answer 400 with application/json and {"error": "invalid_redirect_uri"} or "invalid_client_metadata".',
)
async def error(survey: Survey) -> Verdict:
    """RFC 7591 section 3.2.2: judged by a registration that no server may grant."""
    exchange = await asked(survey, redirect_uris=[PLAIN])
    if exchange.answer.status in REGISTERED:
        raise Missing("the registration was granted")
    return _error(exchange)


def _error(exchange: Exchange) -> Verdict:
    media_type = (exchange.answer.header("Content-Type") or "").partition(";")[0].strip().lower()
    code = error_of(exchange)
    right = exchange.answer.status == BAD_REQUEST and code and media_type == "application/json"
    problem = "" if right else f"The answer is {exchange.answer.status} {media_type} with the error {code!r}"
    return judge(problem, "It is refused with an error object", (exchange, f"Content-Type: {media_type}"))


@rule(
    "GET on the registration endpoint is refused",
    rfc(7591, "3.1"),
    rfc(9110, "9.1"),
    fix="Answer every method but POST with 405.",
)
async def get(survey: Survey) -> Verdict:
    """RFC 7591 section 3.1: the client sends an HTTP POST; a GET that lists clients tells them to everyone."""
    url = await survey.stated("registration_endpoint")
    exchange = await survey.fetch("GET", url, {"Accept": "application/json"})
    status = exchange.answer.status
    return judge("" if status in ERRORS else f"The answer is {status}", f"It is refused: {status}", exchange)
