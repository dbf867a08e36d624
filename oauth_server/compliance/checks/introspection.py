"""What the server tells of tokens, and to whom (RFC 7662)."""

from typing import Any, Final

from oauth_server.compliance import urls
from oauth_server.compliance.checks.client_attempts import confidential_client
from oauth_server.compliance.checks.flows import judge_refusal, members, right_flow, succeeded
from oauth_server.compliance.checks.revocation import GARBAGE, OK, SETTLING, access_token_revoked, revoke
from oauth_server.compliance.checks.token_endpoint import patient
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Client, Tokens
from oauth_server.compliance.sources import oauth, rfc
from oauth_server.compliance.survey import Survey

TEXTS: Final = ("scope", "client_id", "username", "token_type", "sub", "iss", "jti")
TIMES: Final = ("exp", "iat", "nbf")


async def _introspect(survey: Survey, client: Client | None, token: str) -> Exchange:
    url = await survey.stated("introspection_endpoint")
    return patient(await survey.walk.post(url, client, {"token": token}, {}))


def _active(exchange: Exchange) -> Any:
    return members(exchange).get("active")


def _judge_inactive(exchange: Exchange) -> Verdict:
    shown = (exchange, f"active: {_active(exchange)!r}")
    problem = "" if _active(exchange) is False else f"active is {_active(exchange)!r}, not false"
    if exchange.answer.status != OK:
        problem = f"The answer is {exchange.answer.status}, not 200"
    return judge(problem, "It is inactive", shown)


async def _asking(survey: Survey) -> Client:
    """Return a client that may introspect; Missing when there is none to have."""

    async def make() -> Client:
        await survey.stated("introspection_endpoint")
        client = await confidential_client(survey)
        exchange = await _introspect(survey, client, GARBAGE)
        if exchange.answer.status in {*range(300, 400), 401, 403}:
            status = exchange.answer.status
            raise Missing(f"the server lets a client that registered itself introspect nothing: {status}")
        return client

    found: Client = await survey.walk.once("introspecting client", make)
    return found


@rule(
    "Introspection asks who wants to know",
    rfc(7662, "2.1"),
    fix="Answer 401 unless the request is authenticated, by client credentials or a token of its own.",
)
async def unauthenticated(survey: Survey) -> Verdict:
    """RFC 7662 section 2.1: the endpoint MUST require some form of authorization, against token scanning."""
    await survey.stated("introspection_endpoint")
    try:
        token = (await right_flow(survey)).access_token
    except Missing:
        token = ""
    exchange = await _introspect(survey, None, token or GARBAGE)
    if not succeeded(exchange):
        return judge_refusal(exchange)
    problem = "It tells of a token to whoever asks" if _active(exchange) else ""
    if not problem and (not token or _active(exchange) is None):
        raise Missing("the answer tells nothing, which may have other reasons")
    return judge(problem, "It tells nothing", exchange)


async def _garbage(survey: Survey) -> Exchange:
    return await _introspect(survey, await _asking(survey), GARBAGE)


@rule(
    "A token that never was is inactive",
    rfc(7662, "2.2"),
    fix='Answer 200 with {"active": false} to any token that is not known.',
)
async def garbage(survey: Survey) -> Verdict:
    """RFC 7662 section 2.2: for a token that does not exist, MUST return active: false."""
    return _judge_inactive(await _garbage(survey))


@rule(
    "Nothing is told of an inactive token",
    rfc(7662, "2.2"),
    fix='Answer with {"active": false} alone, and keep the reason.',
)
async def bare(survey: Survey) -> Verdict:
    """RFC 7662 section 2.2: SHOULD NOT include any additional information about an inactive token."""
    exchange = await _garbage(survey)
    if _active(exchange) is not False:
        raise Missing("the token is not said to be inactive")
    more = sorted(name for name in members(exchange) if name != "active")
    return judge(f"It is told, too: {', '.join(more)}" if more else "", "Nothing more is told", exchange)


async def _own(survey: Survey) -> tuple[Tokens, Exchange]:
    """Ask about the asking client's own access token."""
    walk = survey.walk

    async def make() -> tuple[Tokens, Exchange]:
        walk.visitor  # noqa: B018 - Missing without one, before a client is registered
        client = await _asking(survey)
        tokens = await walk.tokens("introspected", client)
        return tokens, await _introspect(survey, client, tokens.access_token)

    found: tuple[Tokens, Exchange] = await walk.once("introspected", make)
    return found


@rule(
    "What is told of an active token has the right form",
    rfc(7662, "2.2"),
    fix="Answer with active as a JSON boolean, scope as one string, and exp, iat and nbf as numbers of seconds.",
)
async def active(survey: Survey) -> Verdict:
    """RFC 7662 section 2.2: active is a boolean; judged by a token of the client that asks."""
    tokens, exchange = await _own(survey)
    found = members(exchange)
    if _active(exchange) is None or _active(exchange) is False:
        raise Missing("the server tells this client nothing of its own token")
    wrong = [name for name in TEXTS if not isinstance(found.get(name, ""), str)]
    wrong += [name for name in TIMES if isinstance(found.get(name, 0), bool | str | list | dict)]
    problem = f"{', '.join(wrong)} has another type than prescribed" if wrong else ""
    if found.get("client_id", tokens.client.client_id) != tokens.client.client_id:
        problem = "client_id is not that of the client that the token was issued to"
    if _active(exchange) is not True:
        problem = f"active is {_active(exchange)!r}, no boolean"
    return judge(problem, "It has", (exchange, f"active: {_active(exchange)!r}"))


@rule(
    "A revoked token is inactive",
    rfc(7662, "4"),
    fix="Look at revocations before a token is called active.",
)
async def revoked(survey: Survey) -> Verdict:
    """RFC 7662 section 4: MUST determine whether the token was revoked, if it can be."""
    if not (await access_token_revoked(survey)).met:
        raise Missing("access tokens cannot be revoked here")
    client = await _asking(survey)
    tokens = await survey.walk.tokens("introspected, then revoked", client)
    before = await _introspect(survey, client, tokens.access_token)
    if _active(before) is not True:
        raise Missing("the server does not call the token active before")
    exchange = await revoke(survey, client, tokens.access_token, "access_token")
    if exchange.answer.status != OK:
        raise Missing(f"the token cannot be revoked: {exchange.answer.status}")
    await survey.sleep(SETTLING)
    return _judge_inactive(await _introspect(survey, client, tokens.access_token))


@rule(
    "A client is told nothing of the tokens of others",
    rfc(7662, "2.2"),
    rfc(7662, "5"),
    fix="Tell a client of its own tokens, and resource servers of those for their resource; call all others inactive.",
)
async def other_client(survey: Survey) -> Verdict:
    """RFC 7662 section 2.2: inactive to who may not introspect a token; who may is the server's to say: advice."""
    client = await _asking(survey)
    tokens = await right_flow(survey)
    if tokens.client.client_id == client.client_id:
        raise Missing("there is no token of another client")
    if _active((await _own(survey))[1]) is not True:
        raise Missing("the server tells this client nothing at all")
    exchange = await _introspect(survey, client, tokens.access_token)
    problem = "A client that registered itself is told of the tokens of another" if _active(exchange) else ""
    return judge(problem, "It is told nothing", (exchange, f"active: {_active(exchange)!r}"))


@rule(
    "What is told of a token is not cached",
    oauth("3.2.3"),
    fix="Send Cache-Control: no-store with every answer of the introspection endpoint.",
)
async def no_store(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2.3: no-store with sensitive information; RFC 7662 itself leaves caching to the asker."""
    _, exchange = await _own(survey)
    if _active(exchange) is None:
        raise Missing(f"the server tells nothing: {exchange.answer.status}")
    control = ", ".join(exchange.answer.headers_of("Cache-Control"))
    problem = "" if "no-store" in control.lower() else "Cache-Control does not say no-store"
    return judge(problem, "It says no-store", (exchange, f"Cache-Control: {control or '(absent)'}"))


@rule(
    "The introspection endpoint answers no GET",
    rfc(7662, "2.1"),
    rfc(7662, "4"),
    fix="Answer 405 to GET: a token in a query ends up in logs.",
)
async def get(survey: Survey) -> Verdict:
    """RFC 7662 section 2.1: the request is a POST; section 4 lets the server disallow GET."""
    url = urls.with_query(await survey.stated("introspection_endpoint"), ("token", GARBAGE))
    return judge_refusal(await survey.fetch("GET", url, {"Accept": "application/json"}))
