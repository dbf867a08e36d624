"""Clients with a secret, and requests that do not prove it (OAuth 2.1 sections 2.4 and 3.2.2, RFC 6749 section 2.3)."""

import base64
import re
from dataclasses import replace
from typing import Final

from oauth_server.compliance.checks.client_attempts import (
    UNAUTHENTICATED,
    Attempt,
    confidential_client,
    judge_attempt,
    known,
    outcome,
    send,
)
from oauth_server.compliance.checks.flows import judge_refusal, succeeded
from oauth_server.compliance.checks.token_endpoint import BAD_REQUEST, CODE, GRANT, UNAUTHORIZED, error_of, patient
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Client
from oauth_server.compliance.sources import oauth, rfc
from oauth_server.compliance.survey import Survey

WRONG: Final = "mcp-oauth-audit-wrong-secret"
OTHER: Final = {"client_secret_basic": "client_secret_post", "client_secret_post": "client_secret_basic"}
BOTH: Final = ("invalid_request", "invalid_client")


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@rule(
    "A wrong client secret is refused",
    oauth("3.2.2"),
    rfc(6749, "3.2.1"),
    fix="Compare the secret in constant time before anything else, and answer invalid_client.",
)
async def wrong_secret(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.2: MUST authenticate the client if client authentication is included. One wrong secret."""
    client = await confidential_client(survey)
    return await judge_attempt(survey, client, Attempt(replace(client, secret=WRONG)), ["invalid_client"])


@rule(
    "A client that has a secret is refused without it",
    oauth("3.2.2"),
    rfc(6749, "3.2.1"),
    fix="Require authentication of every client that has credentials: client_id alone proves nothing.",
)
async def no_secret(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.2: MUST require client authentication for confidential clients."""
    return judge_refusal(await _without_secret(survey, await confidential_client(survey)), UNAUTHENTICATED)


async def _without_secret(survey: Survey, client: Client) -> Exchange:
    """Return the answer to the client's id alone."""

    async def make() -> Exchange:
        return await outcome(survey, client, Attempt(replace(client, method="none", secret="")))

    exchange: Exchange = await survey.walk.once("no secret", make)
    return exchange


@rule(
    "Two client authentication methods at once are refused",
    oauth("2.4"),
    oauth("3.2.4"),
    rfc(6749, "5.2"),
    fix="Answer 400 invalid_request when a request has Basic credentials and a client_secret in its body.",
)
async def two_methods(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2: a request with more than one mechanism is invalid_request."""
    client = await confidential_client(survey)
    body = {"client_id": client.client_id, "client_secret": client.secret}
    headers = replace(client, method="client_secret_basic").authenticated({})
    attempt = Attempt(replace(client, method="none"), body, headers)
    return await judge_attempt(survey, client, attempt, BOTH)


@rule(
    "A client secret in the query is not read",
    oauth("2.4.1"),
    rfc(6749, "2.3.1"),
    fix="Read client credentials from the header or the body alone: what is in a query ends up in logs.",
)
async def secret_in_query(survey: Survey) -> Verdict:
    """OAuth 2.1 section 2.4.1: the parameters MUST NOT be included in the request URI."""
    client = await confidential_client(survey)
    if succeeded(await _without_secret(survey, client)):
        raise Missing("the client needs no secret at all")
    survey.hide(client.secret)
    query = (("client_id", client.client_id), ("client_secret", client.secret))
    return await judge_attempt(survey, client, Attempt(replace(client, method="none"), query=query))


@rule(
    "A client keeps to the method that it registered",
    rfc(7591, "2"),
    rfc(9700, "2.5"),
    fix="Refuse a client that authenticates by another method than its token_endpoint_auth_method: 401 invalid_client.",
)
async def method_registered(survey: Survey) -> Verdict:
    """RFC 7591 section 2: token_endpoint_auth_method; that no other may be used is not written."""
    client = await confidential_client(survey)
    if client.exchange is None:
        raise Missing("the client was given, so what was registered for it is not known")
    attempt = Attempt(replace(client, method=OTHER[client.method]))
    exchange = await outcome(survey, client, attempt)
    accepted = exchange.answer.status < BAD_REQUEST
    problem = f"A client of {client.method} may use {OTHER[client.method]}" if accepted else ""
    if exchange.answer.status not in {BAD_REQUEST, UNAUTHORIZED} and not accepted:
        problem = f"The answer is {exchange.answer.status}"
    return judge(problem, "The other method is refused", exchange)


@rule(
    "Basic credentials name the client",
    rfc(6749, "2.3.1"),
    oauth("4.1.3"),
    fix="Take the client from the Basic credentials; client_id in the body is for clients that do not authenticate.",
)
async def basic_alone(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.3: client_id is REQUIRED if the client is not authenticating otherwise."""
    walk = survey.walk
    walk.visitor  # noqa: B018 - Missing without one, before a client is registered
    client = await survey.walk.clients.confidential("client_secret_basic")
    exchange = patient(await walk.redeem(await walk.code(client)))
    if walk.read(exchange, client) is None:
        named = await walk.redeem(await walk.code(client), {"client_id": client.client_id})
        if walk.read(named, client) is None:
            raise Missing(f"the client is refused with client_id in the body, too: {named.answer.status}")
        return judge(f"Without client_id in the body, the answer is {exchange.answer.status}", "", exchange, named)
    return judge("", "The credentials suffice", exchange)


@rule(
    "Malformed Basic credentials are refused",
    rfc(6749, "5.2"),
    oauth("3.2.4"),
    fix="Answer Basic credentials that cannot be decoded with 401 invalid_client, never with 500.",
)
async def malformed_basic(survey: Survey) -> Verdict:
    """RFC 6749 section 5.2: 401 for a failed Basic authentication, 400 for what is malformed otherwise."""
    url = await survey.stated("token_endpoint")
    wrong: list[Exchange] = []
    exchanges = []
    for credentials in ("Basic ?", "Basic", f"Basic {base64.b64encode(b'no colon').decode()}", "Basic /w=="):
        exchange = patient(await survey.form(url, GRANT, *CODE[:2], headers={"Authorization": credentials}))
        exchanges.append(exchange)
        if exchange.answer.status not in {BAD_REQUEST, UNAUTHORIZED} or not error_of(exchange):
            wrong.append(exchange)
    problem = f"The answer is {wrong[0].answer.status} with the error {error_of(wrong[0])!r}" if wrong else ""
    return judge(problem, "They are refused", *(wrong or exchanges))


@rule(
    "Basic credentials are form-decoded",
    oauth("2.4.1"),
    rfc(6749, "2.3.1"),
    fix="Decode client_id and secret as application/x-www-form-urlencoded after splitting the Basic credentials.",
)
async def form_encoded(survey: Survey) -> Verdict:
    """RFC 6749 section 2.3.1 and appendix B: the encoding of HTML 4.01, which escapes all but letters and digits."""
    client = await survey.walk.clients.confidential("client_secret_basic")
    user, password = (_escaped(value) for value in (client.client_id, client.secret))
    if (user, password) == (client.client_id, client.secret):
        user = f"%{ord(user[:1] or 'x'):02X}{user[1:]}"  # nothing has to be encoded, and everything may be
    await _authenticates_first(survey, client)
    exchange = await send(survey, Attempt(replace(client, method="none"), {"client_id": None}, _basic(user, password)))
    problem = "" if error_of(exchange) == "invalid_grant" else f"The answer is {exchange.answer.status}"
    return judge(problem, "They are", await known(survey, client), exchange)


async def _authenticates_first(survey: Survey, client: Client) -> None:
    """Raise Missing unless a wrong secret is found out before the code is looked at."""
    await known(survey, client)
    exchange = await send(survey, Attempt(replace(client, secret=WRONG)))
    if error_of(exchange) == "invalid_grant":
        raise Missing("the server judges the code first")


def _escaped(value: str) -> str:
    """Percent-encode all that is neither a letter nor a digit."""
    return re.sub(r"[^A-Za-z0-9]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), value)
