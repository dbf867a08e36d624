"""Tokens that their client gives back (RFC 7009)."""

from dataclasses import dataclass, replace
from typing import Final

from oauth_server.compliance import urls
from oauth_server.compliance.checks.client_attempts import confidential_client
from oauth_server.compliance.checks.flows import (
    endpoint_with,
    judge_refusal,
    not_refused,
    opens,
    right_flow,
    succeeded,
)
from oauth_server.compliance.checks.refresh import refresh_works, with_refresh
from oauth_server.compliance.checks.token_endpoint import error_of, patient
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Client, Tokens
from oauth_server.compliance.sources import rfc
from oauth_server.compliance.survey import Survey

GARBAGE: Final = "mcp-oauth-audit-no-such-token"
SETTLING: Final = 2.0  # seconds in which a revocation reaches every instance
OK: Final = 200
NOT_AUTHENTICATED: Final = ("invalid_client", "unauthorized_client")


async def revoke(survey: Survey, client: Client, token: str, hint: str) -> Exchange:
    """Revoke a token as this client."""
    url = await survey.stated("revocation_endpoint")
    return patient(await survey.walk.post(url, client, {"token": token, "token_type_hint": hint}, {}))


async def _revoker(survey: Survey) -> tuple[Client, Exchange]:
    """Return a client that may revoke, and the answer to its revoking a token that never was."""

    async def make() -> tuple[Client, Exchange]:
        await survey.stated("revocation_endpoint")
        survey.walk.visitor  # noqa: B018 - Missing without one, before a client is registered
        client = await survey.walk.clients.public()
        exchange = await revoke(survey, client, GARBAGE, "refresh_token")
        if error_of(exchange) in NOT_AUTHENTICATED:
            client = await confidential_client(survey)
            exchange = await revoke(survey, client, GARBAGE, "refresh_token")
        if error_of(exchange) in NOT_AUTHENTICATED:
            raise Missing("the server lets none of the clients revoke that could be had")
        return client, exchange

    found: tuple[Client, Exchange] = await survey.walk.once("revoker", make)
    return found


async def _alive(survey: Survey, tokens: Tokens) -> Exchange:
    """Use tokens: refresh, or call the endpoint where there is no refresh token."""
    if tokens.text("refresh_token"):
        return await survey.walk.refresh(tokens)
    return await endpoint_with(survey, tokens.access_token)


@rule(
    "Tokens can be revoked",
    rfc(7009, "2"),
    rfc(8414, "2"),
    fix="Offer a revocation endpoint, and name it as revocation_endpoint in the metadata.",
)
async def advertised(survey: Survey) -> Verdict:
    """RFC 7009 is not asked for by MCP; without it, a client that is removed leaves its tokens behind."""
    document = await survey.metadata()
    value = document.members.get("revocation_endpoint")
    problem = "" if urls.read(value) else "The metadata names no revocation_endpoint"
    return judge(problem, "The metadata names the endpoint", (document.shown, f"revocation_endpoint: {value!r}"))


@rule(
    "Revoking a token that never was succeeds",
    rfc(7009, "2.2"),
    fix="Answer 200 whether or not the token is known: it is no use to anyone afterwards.",
)
async def unknown(survey: Survey) -> Verdict:
    """RFC 7009 section 2.2: 200 if the token was revoked, or if the client submitted an invalid token."""
    _, exchange = await _revoker(survey)
    status = exchange.answer.status
    if status != OK and await _refuses_all(survey):
        raise Missing("the client's own refresh token is not revoked either, so it is not about the token")
    return judge("" if status == OK else f"The answer is {status} {error_of(exchange)}", "The answer is 200", exchange)


@dataclass(frozen=True, slots=True)
class _Revoked:
    """The answers to revoking a refresh token, to using it, and to its access token, None where that proves nothing."""

    revoked: Exchange
    refresh: Exchange
    call: Exchange | None


async def _revoked(survey: Survey) -> _Revoked:
    """Revoke the refresh token of a flow of its own, and use what came with it."""

    async def make() -> _Revoked:
        client, _ = await _revoker(survey)
        await refresh_works(survey)
        name = "revoke refresh token"
        public = client.method == "none"
        tokens = await with_refresh(survey, name) if public else await survey.walk.tokens(name, client)
        try:
            opened = opens(await endpoint_with(survey, tokens.access_token))
        except Missing:
            opened = False
        exchange = await revoke(survey, tokens.client, tokens.refresh_token(), "refresh_token")
        refresh = await survey.walk.refresh(tokens)
        if not opened:
            return _Revoked(exchange, refresh, None)
        await survey.sleep(SETTLING)
        return _Revoked(exchange, refresh, await endpoint_with(survey, tokens.access_token))

    found: _Revoked = await survey.walk.once("revoke refresh token", make)
    return found


async def _refuses_all(survey: Survey) -> bool:
    """Say whether the revocation of a good refresh token is refused, too; not where there is none."""
    try:
        return (await _revoked(survey)).revoked.answer.status != OK
    except Missing:
        return False


@rule(
    "A revoked refresh token is refused",
    rfc(7009, "2"),
    fix="End the refresh token, or its whole grant, before the revocation is answered with 200.",
)
async def refresh_token(survey: Survey) -> Verdict:
    """RFC 7009 section 2: implementations MUST support the revocation of refresh tokens."""
    found = await _revoked(survey)
    if found.revoked.answer.status != OK:
        problem = f"The revocation is answered {found.revoked.answer.status} {error_of(found.revoked)}"
        return judge(problem, "", found.revoked)
    problem = "It is still good" if succeeded(found.refresh) else not_refused(found.refresh)
    return judge(problem, "It is refused afterwards", found.revoked, found.refresh)


@rule(
    "A revoked refresh token takes the access token with it",
    rfc(7009, "2.1"),
    fix="End the access tokens of the grant, too, when its refresh token is revoked.",
)
async def ends_grant(survey: Survey) -> Verdict:
    """RFC 7009 section 2.1: SHOULD invalidate the access tokens of the grant, where these can be revoked at all."""
    if not (await access_token_revoked(survey)).met:
        raise Missing("access tokens cannot be revoked here")
    found = await _revoked(survey)
    if found.call is None:
        raise Missing("the access token opened nothing before")
    if found.revoked.answer.status != OK or succeeded(found.refresh):
        raise Missing("the refresh token was not revoked")
    problem = "The access token still opens the endpoint" if opens(found.call) else ""
    return judge(problem, "The access token is refused, too", found.revoked, found.call)


async def access_token_revoked(survey: Survey) -> Verdict:
    """Revoke the access token of a flow of its own."""

    async def make() -> Verdict:
        client, _ = await _revoker(survey)
        tokens = await survey.walk.tokens("revoke access token", client)
        if not opens(await endpoint_with(survey, tokens.access_token)):
            raise Missing("the access token opens nothing, so its end cannot be seen")
        exchange = await revoke(survey, client, tokens.access_token, "access_token")
        if exchange.answer.status != OK:
            return judge(f"The revocation is answered {exchange.answer.status} {error_of(exchange)}", "", exchange)
        await survey.sleep(SETTLING)
        call = await endpoint_with(survey, tokens.access_token)
        problem = f"It still opens the endpoint after {SETTLING:.0f} seconds" if opens(call) else ""
        return judge(problem, "It is refused afterwards", exchange, call)

    found: Verdict = await survey.walk.once("revoke access token", make)
    return found


@rule(
    "A revoked access token is refused",
    rfc(7009, "2"),
    fix="Let the endpoint ask a list of revoked tokens, kept until they expire, before it accepts one.",
)
async def access_token(survey: Survey) -> Verdict:
    """RFC 7009 section 2: implementations SHOULD support the revocation of access tokens."""
    return await access_token_revoked(survey)


@rule(
    "A client cannot revoke the tokens of another",
    rfc(7009, "2.1"),
    fix="Compare the token's client with the one that asks, and leave the token alone if they differ.",
)
async def other_client(survey: Survey) -> Verdict:
    """RFC 7009 section 2.1: the server verifies whether the token was issued to the client that asks."""
    await survey.stated("revocation_endpoint")
    await right_flow(survey)
    other = await survey.walk.clients.other()
    tokens = await survey.walk.tokens("revoked by another")
    exchange = await revoke(survey, other, tokens.text("refresh_token") or tokens.access_token, "refresh_token")
    return await _judge_survival(survey, exchange, tokens)


async def _judge_survival(survey: Survey, exchange: Exchange, tokens: Tokens) -> Verdict:
    """Judge a revocation that must do nothing: the tokens are as good as before, and end by their own client's."""
    if exchange.answer.status >= 500:  # noqa: PLR2004 - any failure of the server
        return judge_refusal(exchange)
    if tokens.text("refresh_token"):
        await refresh_works(survey)  # else its refusal would be due to something else
    later = await _alive(survey, tokens)
    if not succeeded(later):
        return judge("The tokens are no longer good", "", exchange, later)
    newest = survey.walk.read(later, tokens.client, tokens.asked) or tokens
    held = newest if newest.text("refresh_token") else tokens
    await revoke(survey, tokens.client, held.text("refresh_token") or held.access_token, "refresh_token")
    if succeeded(await _alive(survey, held)):
        raise Missing("not even the client that the tokens were issued to can revoke them")
    return judge("", "The tokens are as good as before", exchange, later)


@rule(
    "The tokens of a confidential client are not revoked without its credentials",
    rfc(7009, "2.1"),
    fix="Authenticate confidential clients at the revocation endpoint as at the token endpoint.",
)
async def unauthenticated(survey: Survey) -> Verdict:
    """RFC 7009 section 2.1: the server first validates the credentials of a confidential client."""
    await survey.stated("revocation_endpoint")
    survey.walk.visitor  # noqa: B018 - Missing without one, before a client is registered
    client = await confidential_client(survey)
    tokens = await survey.walk.tokens("revoked without credentials", client)
    nobody = replace(client, method="none", secret="")
    exchange = await revoke(survey, nobody, tokens.text("refresh_token") or tokens.access_token, "refresh_token")
    return await _judge_survival(survey, exchange, tokens)


@rule(
    "The revocation endpoint answers no GET",
    rfc(7009, "2"),
    fix="Answer 405 to GET: a token in a query ends up in logs.",
)
async def get(survey: Survey) -> Verdict:
    """RFC 7009 section 2: the client sends a POST; section 2.3 lets GET pass for JSONP alone."""
    url = urls.with_query(await survey.stated("revocation_endpoint"), ("token", GARBAGE))
    exchange = await survey.fetch("GET", url, {"Accept": "application/json"})
    return judge_refusal(exchange)
