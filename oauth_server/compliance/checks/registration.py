"""Registrations that must be refused (RFC 7591); one that is not is withdrawn (RFC 7592)."""

import json
from typing import Any, Final

from oauth_server.compliance import urls
from oauth_server.compliance.checks.token_endpoint import error_of, refused_with
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import oauth, rfc, security
from oauth_server.compliance.survey import Survey

ERRORS: Final = ("invalid_redirect_uri", "invalid_client_metadata")
CLOSED: Final = {401: "an initial access token", 403: "permission", 429: "patience"}
ACCEPTED: Final = (200, 201)


async def _register(survey: Survey, content: bytes) -> Exchange:
    """Ask for a registration that no server should grant; Missing when registration is not open."""
    url = await survey.stated("registration_endpoint")
    exchange = await survey.fetch("POST", url, {"Content-Type": "application/json"}, content)
    if exchange.answer.status in CLOSED:
        raise Missing(f"registration asks for {CLOSED[exchange.answer.status]}")
    return exchange


async def _refused(survey: Survey, **members: Any) -> Verdict:
    client = {"client_name": "MCP OAuth audit: refuse me", "token_endpoint_auth_method": "none", **members}
    exchange = await _register(survey, json.dumps(client).encode())
    if exchange.answer.status in ACCEPTED:
        return judge(f"The client was registered{await _withdraw(survey, exchange)}", "", exchange)
    return refused_with(exchange, ERRORS)


async def _withdraw(survey: Survey, exchange: Exchange) -> str:
    """Delete what should never have been registered (RFC 7592 section 2.3); return what became of it."""
    try:
        client = exchange.answer.json()
        place, token = client["registration_client_uri"], client["registration_access_token"]
    except (ValueError, KeyError, TypeError):
        return ", and cannot be deleted"
    if not urls.read(place) or urls.origin(place) != urls.origin(exchange.answer.url):
        return ", and cannot be deleted"
    deleted = await survey.fetch("DELETE", place, {"Authorization": f"Bearer {token}"})
    return f"; deleting it was answered {deleted.answer.status}"


@rule(
    "A javascript: redirect URI is not registered",
    rfc(7591, "5"),
    security("Open Redirection"),
    fix="Refuse redirect URIs with the schemes javascript, data, file, vbscript and blob: 400 invalid_redirect_uri.",
)
async def javascript_redirect(survey: Survey) -> Verdict:
    """RFC 7591 section 5: redirect URIs MUST be https, http to localhost, or an application's own scheme."""
    return await _refused(survey, redirect_uris=["javascript:alert(document.domain)"])


@rule(
    "A plain http redirect URI to another machine is not registered",
    security("Communication Security"),
    oauth("1.5"),
    rfc(7591, "5"),
    fix="Refuse http redirect URIs whose host is not a loopback name or address.",
)
async def http_redirect(survey: Survey) -> Verdict:
    """MCP: every redirect URI is localhost or https."""
    return await _refused(survey, redirect_uris=["http://client.invalid/callback"])


@rule(
    "A redirect URI with a fragment is not registered",
    oauth("2.3"),
    rfc(6749, "3.1.2"),
    fix="Refuse redirect URIs with a fragment.",
)
async def fragment_redirect(survey: Survey) -> Verdict:
    """RFC 6749 section 3.1.2: the redirection URI MUST NOT include a fragment component."""
    return await _refused(survey, redirect_uris=["https://client.invalid/callback#fragment"])


@rule(
    "A client without a redirect URI is not registered",
    rfc(7591, "2"),
    fix="Refuse registrations for the authorization code grant that name no redirect URI.",
)
async def no_redirect(survey: Survey) -> Verdict:
    """RFC 7591 section 2: clients using flows with redirection MUST register their redirection URIs."""
    return await _refused(survey, grant_types=["authorization_code"])


@rule(
    "A malformed registration is answered with an error object",
    rfc(7591, "3.2.2"),
    fix="Answer 400 with a JSON error when the body cannot be read.",
)
async def malformed(survey: Survey) -> Verdict:
    """RFC 7591 section 3.2.2: 400, application/json, the member error."""
    exchange = await _register(survey, b'{"redirect_uris": [')
    right = exchange.answer.status == 400 and error_of(exchange)  # noqa: PLR2004 - Bad Request
    problem = "" if right else f"The answer is {exchange.answer.status} with the error {error_of(exchange)!r}"
    return judge(problem, "It is refused with an error object", exchange)
