"""Token requests of other forms and grants than a right one (OAuth 2.1 section 3.2, RFC 6749 section 5.2)."""

from typing import Final
from urllib.parse import urlencode

from oauth_server.compliance import urls
from oauth_server.compliance.checks.client_attempts import known
from oauth_server.compliance.checks.flows import judge_refusal, members, public_client, right_flow
from oauth_server.compliance.checks.token_endpoint import (
    BAD_REQUEST,
    CLIENT,
    CODE,
    GRANT,
    UNAUTHORIZED,
    UNSUPPORTED_TYPE,
    bogus_code,
    error_of,
    patient,
    unknown_grant,
)
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import FETCH, oauth, rfc
from oauth_server.compliance.survey import FORM, Survey
from oauth_server.outbound import OutboundError

BOUNDARY: Final = "mcp-oauth-audit"
LARGE: Final = 1 << 20  # bytes
SERVER_ERROR: Final = 500
QUOTED: Final = 'urn:example:"mcp-oauth-audit"\r\n'
TEXTS: Final = ("error", "error_description", "error_uri")
REFUSED_ORIGIN: Final = (400, 403)
NOT_TRIED: Final = ("unsupported_grant_type", "unauthorized_client", "invalid_client")


async def _unread(survey: Survey, media_type: str, content: str) -> Verdict:
    """Judge a body of another type, which must not upset the server."""
    fields = {"Content-Type": media_type, "Accept": "application/json"}
    exchange = patient(await survey.fetch("POST", await survey.stated("token_endpoint"), fields, content.encode()))
    right = exchange.answer.status in {BAD_REQUEST, UNAUTHORIZED, UNSUPPORTED_TYPE} and error_of(exchange)
    problem = "" if right else f"The answer is {exchange.answer.status} with the error {error_of(exchange)!r}"
    return judge(problem, "It is refused with an error object", exchange)


@rule(
    "A multipart body is refused with an error object",
    oauth("3.2.2"),
    fix="Answer 400 or 415 with a JSON error; never 500, never a page.",
)
async def multipart(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.2: parameters are sent as application/x-www-form-urlencoded."""
    parts = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (GRANT, *CODE)
    )
    return await _unread(survey, f"multipart/form-data; boundary={BOUNDARY}", f"{parts}--{BOUNDARY}--\r\n")


@rule(
    "A body of plain text is refused with an error object",
    oauth("3.2.2"),
    fix="Answer 400 or 415 with a JSON error; never 500, never a page.",
)
async def plain_text(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.2: parameters are sent as application/x-www-form-urlencoded."""
    return await _unread(survey, "text/plain", urlencode((GRANT, *CODE)))


@rule(
    "A body of one MiB does no harm",
    rfc(9110, "15.5.14"),
    fix="Stop reading after some ten KiB, and answer 413 or 400.",
)
async def large_body(survey: Survey) -> Verdict:
    """RFC 9110 section 15.5.14: a server may refuse content that is larger than it is willing to process."""
    url = await survey.stated("token_endpoint")
    before = await bogus_code(survey)
    content = urlencode((GRANT, *CODE, ("padding", "x" * LARGE)))
    problem, exchange = "", before
    try:
        exchange = patient(await survey.send("POST", url, FORM, content.encode()))
    except OutboundError:
        pass  # the connection was closed before all was sent, which is a refusal too
    else:
        status = exchange.answer.status
        problem = "" if status in range(BAD_REQUEST, SERVER_ERROR) else f"The answer is {status}"
    after = await survey.send_form(url, (GRANT, *CODE))
    if patient(after).answer.status != before.answer.status:
        problem = f"A right request is answered {after.answer.status} afterwards, {before.answer.status} before"
    return judge(problem, "It is refused, and the server goes on", exchange, after)


@rule(
    "Parameters in the query are not read",
    oauth("3.2.2"),
    fix="Read the parameters of a token request from the body alone: what is in a query ends up in logs.",
)
async def query(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.2: the parameters are in the request content; judged by a code in the query."""
    await right_flow(survey)
    asked = await survey.walk.code()
    url = urls.with_query(await survey.stated("token_endpoint"), ("code", asked.first("code")))
    fields = {
        "grant_type": "authorization_code",
        "redirect_uri": asked.client.redirect_uri,
        "code_verifier": asked.verifier,
        "resource": asked.requested("resource") or None,
    }
    exchange = survey.walk.noted(await survey.walk.post(url, asked.client, fields, {}), asked.client, asked)
    return judge_refusal(exchange)


@rule(
    "Errors keep to the characters that are allowed in them",
    rfc(6749, "5.2"),
    oauth("3.2.4"),
    fix="Leave double quotes, backslashes, line ends, and everything that is not ASCII out of error texts.",
)
async def error_characters(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2: values MUST NOT include characters outside %x20-21 / %x23-5B / %x5D-7E."""
    url = await survey.stated("token_endpoint")
    exchanges = [
        await bogus_code(survey),
        await survey.form(url, *CODE),
        await survey.form(url, ("grant_type", QUOTED), *CODE),
    ]
    if not any(isinstance(members(exchange).get(name), str) for exchange in exchanges for name in TEXTS):
        raise Missing("no answer is an error object")
    wrong: list[tuple[Exchange, str]] = []
    for exchange in exchanges:
        texts = {name: members(exchange).get(name) for name in TEXTS}
        wrong += [(exchange, name) for name, text in texts.items() if isinstance(text, str) and not _allowed(text)]
    shown = [(exchange, f"{name}: {members(exchange).get(name)!r}") for exchange, name in wrong]
    problem = f"{wrong[0][1]} has characters that it must not have" if wrong else ""
    return judge(problem, "They do", *(shown or exchanges))


def _allowed(text: str) -> bool:
    return all(" " <= character <= "~" and character not in '"\\' for character in text)


@rule(
    "A code that never was is 400 invalid_grant, not 401",
    rfc(6749, "5.2"),
    oauth("3.2.4"),
    fix="Answer 400 with the error invalid_grant when the client is right and its code is not.",
)
async def grant_status(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2: 400 unless specified otherwise, and 401 is specified for invalid_client alone."""
    client = await survey.walk.clients.public()
    fields = {name: value for name, value in (GRANT, *CODE) if name != "client_id"}
    fields["redirect_uri"] = client.redirect_uri
    exchange = patient(await survey.walk.post(await survey.stated("token_endpoint"), client, fields, {}))
    error, status = error_of(exchange), exchange.answer.status
    if error == "invalid_client":
        raise Missing("the client is not known, so its code was not looked at")
    problem = "" if (error, status) == ("invalid_grant", BAD_REQUEST) else f"The answer is {status} {error}"
    return judge(problem, "It is 400 invalid_grant", exchange)


@rule(
    "A public client is given no token for itself, and told why",
    oauth("4.2"),
    rfc(6749, "5.2"),
    rfc(6749, "4.4"),
    fix="Refuse client_credentials to public clients: 400 unauthorized_client, or unsupported_grant_type.",
)
async def client_credentials(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.2: the client credentials grant MUST only be used by confidential clients."""
    client = await public_client(survey)
    url = await survey.stated("token_endpoint")
    exchange = await survey.walk.post(url, client, {"grant_type": "client_credentials"}, {})
    survey.walk.noted(exchange, client)
    if error_of(exchange) == "invalid_client":
        await known(survey, client)  # else it is refused for something else
    return judge_refusal(exchange, NOT_TRIED)


@rule(
    "The password grant is not offered",
    rfc(9700, "2.4"),
    oauth("10"),
    fix="Answer grant_type=password with 400 unsupported_grant_type, and never look at the password.",
)
async def password_grant(survey: Survey) -> Verdict:
    """RFC 9700 section 2.4: the resource owner password credentials grant MUST NOT be used. One request, of nobody."""
    client = await survey.walk.clients.public()
    fields = {"grant_type": "password", "username": CLIENT, "password": CLIENT}
    exchange = await survey.walk.post(await survey.stated("token_endpoint"), client, fields, {})
    survey.walk.noted(exchange, client)
    if error_of(exchange) == "invalid_client":
        await known(survey, client)  # else it is refused for something else
    if error_of(exchange) == "invalid_request" and error_of(await unknown_grant(survey)) == "invalid_request":
        return judge("", "It is answered like a grant that nobody knows", exchange)
    return judge_refusal(exchange, NOT_TRIED)


@rule(
    "A client in a browser may call the token endpoint",
    oauth("3.2"),
    FETCH,
    fix="Answer the preflight with Access-Control-Allow-Origin for the origins of such clients, without credentials.",
)
async def cors(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2: who supports such clients needs CORS here; judged with the endpoint's own origin."""
    url = await survey.stated("token_endpoint")
    fields = {
        "Origin": urls.origin(url),
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    exchange = await survey.fetch("OPTIONS", url, fields)
    status, allowed = exchange.answer.status, exchange.answer.header("Access-Control-Allow-Origin") or ""
    if status in REFUSED_ORIGIN:
        raise Missing("the token endpoint allows its own origin no cross-origin calls")
    right = status in range(200, 300) and allowed in {"*", urls.origin(url)}
    problem = (
        "" if right else f"The preflight is answered {status}, Access-Control-Allow-Origin: {allowed or '(absent)'}"
    )
    return judge(problem, "The preflight allows it", (exchange, f"Access-Control-Allow-Origin: {allowed}"))
