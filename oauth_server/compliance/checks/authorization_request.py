"""Authorization requests with something in them that is to be refused, or ignored (OAuth 2.1 section 3.1)."""

import json
from typing import Final

from oauth_server.compliance.checks.attempts import answered, broke, is_page, issued, refused, shown
from oauth_server.compliance.checks.protected_resource import strings
from oauth_server.compliance.glance import PAGE, Glance
from oauth_server.compliance.jws import encode
from oauth_server.compliance.model import Missing, Source, Verdict, judge, rule
from oauth_server.compliance.parties import Asked, Changes
from oauth_server.compliance.registrar import NAME
from oauth_server.compliance.sources import mcp, oauth, rfc
from oauth_server.compliance.survey import FORM, Survey

CORE: Final = "https://openid.net/specs/openid-connect-core-1_0.html"
EVIL: Final = "https://evil.invalid/callback"
GARBAGE: Final = 'mcp"oauth\\audit'
UNKNOWN: Final = "mcp_oauth_audit_unknown_scope"
SILENT_ERRORS: Final = {
    "login_required",
    "interaction_required",
    "consent_required",
    "account_selection_required",
}


def core(section: str, anchor: str) -> Source:
    """Cite a section of OpenID Connect Core 1.0."""
    return Source("OpenID Connect Core 1.0", section, f"{CORE}#{anchor}")


async def unknown_method(survey: Survey) -> Asked:
    """Return what became of a request with a challenge method that nobody knows, the same for all who ask.

    It is the refusal that the rules about error responses are judged by: its answer belongs into the query.
    """
    changes: Changes = {"code_challenge_method": "S999"}
    asked: Asked = await survey.walk.once("unknown method", lambda: survey.walk.told(changes))
    return asked


async def told(survey: Survey) -> Asked:
    """Return a refusal that the client was told; Missing when it was told none."""
    asked = await unknown_method(survey)
    if "error" not in asked.answer:
        raise Missing("the client was told no error")
    return asked


@rule(
    "The response type token is refused",
    oauth("4.1.1"),
    oauth("10.1"),
    rfc(9700, "2.1.2"),
    fix="Support response_type=code alone, and answer any other with unsupported_response_type.",
)
async def response_type(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1: for a response type that is not understood MUST return an error response."""
    asked = await survey.walk.attempt({"response_type": "token"})
    token = "access_token" in asked.sent
    return refused(asked, "An access token was sent to the browser" if token else "A code was issued all the same")


@rule(
    "A request without a response type is refused",
    oauth("4.1.1"),
    fix="Answer invalid_request when response_type is missing.",
)
async def no_response_type(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1: if it is missing, MUST return an error response."""
    return refused(await survey.walk.attempt({"response_type": None}), "A code was issued all the same")


@rule(
    "A parameter that comes twice is refused",
    oauth("3.1"),
    oauth("4.1.2.1"),
    fix="Answer invalid_request when any parameter but resource occurs more than once.",
)
async def duplicate(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.1: MUST NOT be included more than once; section 4.1.2.1: that is an invalid request."""
    client = await survey.walk.clients.public()
    return refused(await survey.walk.attempt({"client_id": [client.client_id] * 2}), "A code was issued all the same")


@rule(
    "Parameters that the server does not know are ignored",
    oauth("3.1"),
    fix="Ignore parameters you do not know, in place of refusing the request.",
)
async def unknown_parameter(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.1: MUST ignore unrecognized request parameters."""
    return await _served(survey, {"mcp_oauth_audit": "1"}, "A request with a parameter of another name is refused")


@rule(
    "A parameter without a value counts as left out",
    oauth("3.1"),
    fix="Drop parameters with an empty value before anything looks at them.",
)
async def empty_parameter(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.1: parameters sent without a value MUST be treated as if they were omitted."""
    return await _served(survey, {"response_mode": ""}, "A request with an empty response_mode is refused")


async def _served(survey: Survey, changes: Changes, problem: str) -> Verdict:
    asked = await survey.walk.attempt(changes)
    return judge("" if issued(asked) else broke(asked) or problem, "A code is issued", *shown(asked))


@rule(
    "Without a scope, a default is granted or invalid_scope told",
    oauth("1.4.1"),
    rfc(6749, "3.3"),
    fix="Grant a documented default when scope is left out: clients do so when nothing names one.",
)
async def scope_omitted(survey: Survey) -> Verdict:
    """OAuth 2.1 section 1.4.1: MUST either use a default value or fail indicating an invalid scope."""
    return answered(await survey.walk.attempt({"scope": None}), ["invalid_scope"])


@rule(
    "A scope that nobody knows is ignored or refused",
    oauth("4.1.2.1"),
    mcp("Error Handling"),
    fix="Drop unknown scopes, or answer invalid_scope.",
)
async def unknown_scope(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: invalid_scope when the scope is unknown; section 1.4.1: it may be ignored."""
    return answered(await survey.walk.attempt({"scope": UNKNOWN}), ["invalid_scope"])


@rule(
    "A malformed scope is ignored or refused",
    oauth("4.1.2.1"),
    mcp("Error Handling"),
    fix="Answer invalid_scope for quotes, backslashes and control characters.",
)
async def malformed_scope(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: invalid_scope when it is malformed; MCP: 400 for a malformed request."""
    errors = ["invalid_scope", "invalid_request"]
    return answered(await survey.walk.attempt({"scope": GARBAGE}), errors)


@rule(
    "The redirect URI of an unsigned request object is never followed",
    oauth("2.3.1"),
    core("6.1", "RequestObject"),
    fix="Answer request_not_supported, or check the redirect URI of the object like any other.",
)
async def request_object(survey: Survey) -> Verdict:
    """OAuth 2.1 section 2.3.1: MUST reject what is not registered, by whichever way it is named."""
    client = await survey.walk.clients.public()
    claims = {"client_id": client.client_id, "response_type": "code", "redirect_uri": EVIL}
    unsigned = ".".join(encode(json.dumps(part).encode()) for part in ({"alg": "none"}, claims)) + "."
    return _unmoved(await survey.walk.attempt({"request": unsigned}))


@rule(
    "A request_uri that cannot be fetched is refused or ignored",
    mcp("Error Handling"),
    core("6.2", "RequestUriParameter"),
    fix="Answer request_uri_not_supported, and fetch no address that a stranger names.",
)
async def request_uri(survey: Survey) -> Verdict:
    """OpenID Connect Core section 6.2: request_uri_not_supported; whether it was fetched cannot be seen from here."""
    return _unmoved(await survey.walk.attempt({"request_uri": "https://client.invalid/request.jwt"}))


def _unmoved(asked: Asked) -> Verdict:
    away = asked.target.startswith(EVIL)
    return judge("The browser is sent to evil.invalid", "", *shown(asked)) if away else answered(asked)


@rule(
    "Without a session, prompt=none shows no page",
    core("3.1.2.1", "AuthRequest"),
    core("3.1.2.6", "AuthError"),
    fix="Send the browser back with login_required when prompt is none and nobody is signed in.",
)
async def prompt_none(survey: Survey) -> Verdict:
    """OpenID Connect Core section 3.1.2.1: MUST NOT display any authentication or consent user interface pages."""
    supported = strings((await survey.openid()).members.get("scopes_supported"))
    if "openid" not in supported:
        raise Missing("the scope openid is not supported")
    scope = " ".join(dict.fromkeys(["openid", *(await survey.wanted_scope()).split()]))
    try:
        client = await survey.walk.clients.registered("openid", client_name=f"{NAME}: OpenID", scope=scope)
    except Missing:
        client = await survey.walk.clients.public()
    changes: Changes = {"scope": scope, "prompt": "none"}
    url = await survey.walk.authorization_url(client, "mcp-oauth-audit" * 3, "mcp-oauth-audit", changes)
    visit = await Glance(survey, client.redirect_uri).visit(url)
    asked = Asked(client, "", "mcp-oauth-audit", url, visit, {})
    if asked.on_page:
        asked = await survey.walk.told(changes, client)
        if issued(asked):  # nothing was left to ask
            return judge("", "After a sign-in, none is shown", *shown(asked))
    error = asked.sent.get("error", [""])[0]
    if error in SILENT_ERRORS:
        return judge("", f"The client is told {error}", *shown(asked))
    if not error and asked.status in range(200, 300) and is_page(asked.shown[0]):
        return judge("A page is shown", "", *shown(asked))
    raise Missing(f"the answer was {error or asked.status}, before prompt was looked at")


@rule(
    "An authorization request by POST is served or refused",
    oauth("3.1"),
    core("3.1.2.1", "AuthRequest"),
    fix="Take authorization requests by POST as by GET, or answer 405.",
)
async def post(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.1: the server MAY support POST; OpenID Connect asks for it."""
    client = await survey.walk.clients.public()
    url = await survey.walk.authorization_url(client, "mcp-oauth-audit" * 3, "mcp-oauth-audit", {})
    place, _, query = url.partition("?")
    exchange = await survey.send("POST", place, {**FORM, **PAGE}, query.encode())
    status = exchange.answer.status
    return judge(f"The answer is {status}" if status in range(500, 600) else "", f"The answer is {status}", exchange)
