"""Authorization codes: redeemed once, by their own client (OAuth 2.1 sections 4.1.3, 7.5.3 and 10.2)."""

from dataclasses import dataclass
from typing import Final

import anyio

from oauth_server.compliance.checks.flows import (
    endpoint_with,
    judge_refusal,
    not_refused,
    opens,
    right_flow,
    succeeded,
)
from oauth_server.compliance.checks.token_response import redeemed
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Asked, Client, Tokens
from oauth_server.compliance.registrar import NAME
from oauth_server.compliance.sources import oauth, rfc
from oauth_server.compliance.survey import Survey

TWINS: Final = 6.0  # seconds after which a second redemption is no twin of the first, sent by a client in a race


async def _apart(survey: Survey, name: str) -> Client:
    """Return a client of its own: a server may end all that was granted to it when a code comes twice."""
    try:
        return await survey.walk.clients.registered(name, client_name=f"{NAME}: {name}")
    except Missing:
        return await survey.walk.clients.public()


@dataclass(frozen=True, slots=True)
class _Replayed:
    """A code that was redeemed, what it brought, and the answer to redeeming it again at once."""

    asked: Asked
    tokens: Tokens
    again: Exchange


async def _redeemed_apart(survey: Survey) -> tuple[Asked, Exchange]:
    asked = await survey.walk.code(await _apart(survey, "replayed code"))
    return asked, await survey.walk.redeem(asked)


async def _replayed(survey: Survey) -> _Replayed:
    walk = survey.walk

    async def make() -> _Replayed:
        asked, exchange = await _redeemed_apart(survey) if walk.watching else await redeemed(survey)
        tokens = walk.read(exchange, asked.client, asked)
        if tokens is None:
            raise Missing("the code brought no tokens")
        return _Replayed(asked, tokens, await walk.redeem(asked))

    found: _Replayed = await walk.once("replayed code", make)
    return found


@rule(
    "A code is redeemed once",
    oauth("4.1.3"),
    rfc(6749, "4.1.2"),
    fix="Mark a code as used in the same step that reads it, and answer its second redemption with invalid_grant.",
)
async def replay(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.3: the server MUST deny a second request with the same code."""
    return judge_refusal((await _replayed(survey)).again)


@rule(
    "A code that is redeemed twice ends what it brought",
    oauth("4.1.3"),
    rfc(6749, "4.1.2"),
    fix="Revoke the tokens of a code when a valid request redeems it again: one of the two is a thief.",
)
async def replay_revokes(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.3: SHOULD revoke; a replay some seconds later, since racing twins may be forgiven."""
    replayed = await _replayed(survey)
    if succeeded(replayed.again):
        raise Missing("the second redemption is not even refused")
    await survey.sleep(TWINS)
    late = await survey.walk.redeem(replayed.asked)
    if succeeded(late):
        raise Missing("the second redemption is not even refused")
    if replayed.tokens.text("refresh_token"):
        exchange = await survey.walk.refresh(replayed.tokens)
        problem = f"The refresh token is {'still good' if succeeded(exchange) else 'not refused'}"
        return judge(problem if not_refused(exchange) else "", "The refresh token was revoked", late, exchange)
    exchange = await endpoint_with(survey, replayed.tokens.access_token)
    problem = "The access token still opens the endpoint" if opens(exchange) else ""
    return judge(problem, "The access token was revoked", late, exchange)


async def _foreign(survey: Survey) -> tuple[Asked, Exchange]:
    """Redeem a code as another client; Missing when there is no other one."""

    async def make() -> tuple[Asked, Exchange]:
        await right_flow(survey)
        other = await survey.walk.clients.other()
        asked = await survey.walk.code()
        return asked, await survey.walk.redeem(asked, client=other)

    found: tuple[Asked, Exchange] = await survey.walk.once("foreign code", make)
    return found


@rule(
    "A code is good for its own client alone",
    oauth("4.1.3"),
    rfc(6749, "4.1.3"),
    fix="Bind every code to the client that asked for it, and answer others with invalid_grant.",
)
async def other_client(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.3: MUST ensure that the code was issued to the client in the request."""
    return judge_refusal((await _foreign(survey))[1])


@rule(
    "A code that another client tried is still good for its own",
    oauth("7.5.3"),
    fix="Judge the client before the code is used up, so that nobody can spoil the codes of others.",
)
async def kept(survey: Survey) -> Verdict:
    """OAuth 2.1 section 7.5.3 has the reason: an invalid request must not deny service to the valid one."""
    asked, foreign = await _foreign(survey)
    if succeeded(foreign):
        raise Missing("the other client could redeem it")
    exchange = await survey.walk.redeem(asked)
    problem = "" if succeeded(exchange) else f"Its own client is answered {exchange.answer.status}"
    return judge(problem, "Its own client could redeem it", foreign, exchange)


@rule(
    "Of two redemptions at once, one succeeds",
    oauth("4.1.3"),
    fix="Redeem a code in one atomic step: an UPDATE that finds it unused, or a lock on its row.",
)
async def parallel(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.3: MUST return an access token only once for a given code."""
    await right_flow(survey)
    asked = await survey.walk.code(await _apart(survey, "parallel codes"))
    answers: list[Exchange] = []

    async def redeem() -> None:
        answers.append(await survey.walk.redeem(asked))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(redeem)
        tasks.start_soon(redeem)
    good = [exchange for exchange in answers if succeeded(exchange)]
    if not good:
        raise Missing("neither request brought tokens")
    return judge("Both requests brought tokens" if len(good) > 1 else "", "One request brought tokens", *answers)


@rule(
    "A redirect URI that differs is invalid_grant",
    rfc(6749, "5.2"),
    oauth("10.2"),
    fix="Compare redirect_uri with that of the authorization request when it is sent: 400 invalid_grant if it differs.",
)
async def wrong_redirect(survey: Survey) -> Verdict:
    """OAuth 2.1 section 10.2: MUST enforce it as RFC 6749 does, where clients of that standard are supported.

    A server that only knows OAuth 2.1 ignores the parameter, and PKCE does what it was for.
    """
    await right_flow(survey)
    asked = await survey.walk.code()
    exchange = await survey.walk.redeem(asked, {"redirect_uri": f"{asked.client.redirect_uri}/other"})
    if not succeeded(exchange):
        return judge_refusal(exchange, ["invalid_grant"])
    without = await _without_redirect(survey)
    if succeeded(without):
        raise Missing("the server does not read redirect_uri here, as OAuth 2.1 has it")
    return judge("redirect_uri is demanded, but not compared", "", exchange, without)


async def _without_redirect(survey: Survey) -> Exchange:
    walk = survey.walk

    async def make() -> Exchange:
        await right_flow(survey)
        return await walk.redeem(await walk.code(), {"redirect_uri": None})

    exchange: Exchange = await walk.once("no redirect URI", make)
    return exchange


@rule(
    "A token request needs no redirect URI",
    oauth("10.2"),
    fix="Compare redirect_uri when it is sent, and do not ask for it: clients of OAuth 2.1 leave it out.",
)
async def omitted_redirect(survey: Survey) -> Verdict:
    """OAuth 2.1 section 10.2: a client that follows it alone is not compatible with a server that expects one."""
    exchange = await _without_redirect(survey)
    problem = "" if succeeded(exchange) else f"Without redirect_uri, the answer is {exchange.answer.status}"
    return judge(problem, "Tokens are issued without it", exchange)
