"""Refresh tokens of their own client: used, rotated, used again (OAuth 2.1 section 4.3, RFC 9700 section 4.14)."""

from dataclasses import dataclass
from typing import Final

import anyio

from oauth_server.compliance.checks.flows import judge_refusal, not_refused, public_client, right_flow, succeeded
from oauth_server.compliance.checks.protected_resource import strings
from oauth_server.compliance.checks.token_endpoint import patient
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Tokens
from oauth_server.compliance.registrar import NAME
from oauth_server.compliance.sources import mcp, oauth, rfc, security
from oauth_server.compliance.survey import Survey

OVERLAP: Final = (
    30.0  # seconds for which some servers let the replaced token live, so that no lost answer ends a session
)


@dataclass(frozen=True, slots=True)
class _Refreshed:
    """Tokens, the answer to their refresh, and what it brought; None when it was refused."""

    tokens: Tokens
    exchange: Exchange
    new: Tokens | None

    @property
    def rotated(self) -> bool:
        """Whether another refresh token came."""
        return bool(self.new and self.new.text("refresh_token") not in {"", self.tokens.text("refresh_token")})


async def with_refresh(survey: Survey, name: str) -> Tokens:
    """Return tokens of a flow of this name, with a refresh token; Missing when none is issued."""
    tokens = await _flow(survey, name)
    tokens.refresh_token()
    return tokens


async def _flow(survey: Survey, name: str) -> Tokens:
    """Return tokens of a flow of this name; where nothing else brings a refresh token, one for offline access.

    The client is one of its own then: a server may end all that was granted to it when a refresh token comes twice.
    """
    walk, right = survey.walk, await right_flow(survey)
    supported = strings((await survey.metadata()).members.get("scopes_supported"))
    if right.text("refresh_token") or "offline_access" not in supported or not walk.watching:
        return await walk.tokens(name)
    scope = f"{await survey.wanted_scope()} offline_access".strip()
    client = await walk.clients.registered(f"offline: {name}", client_name=f"{NAME}: {name}", scope=scope)
    return await walk.tokens(f"offline: {name}", client, {"scope": scope, "prompt": "consent"})


async def refreshed(survey: Survey) -> _Refreshed:
    """Refresh rightly, in a flow that no other check uses."""

    async def make() -> _Refreshed:
        tokens = await with_refresh(survey, "refresh")
        exchange = await survey.walk.refresh(tokens)
        return _Refreshed(tokens, exchange, survey.walk.read(exchange, tokens.client, tokens.asked))

    found: _Refreshed = await survey.walk.once("refresh", make)
    return found


async def refresh_works(survey: Survey) -> _Refreshed:
    """Return that refresh; Missing when it was refused."""
    found = await refreshed(survey)
    if found.new is None:
        raise Missing(f"a right refresh is refused: {found.exchange.answer.status}")
    return found


async def _rotating(survey: Survey) -> Tokens:
    """Return what a refresh brought; Missing unless refresh tokens of public clients are rotated."""
    found = await refresh_works(survey)
    await public_client(survey)
    if found.new is None or not found.rotated:
        raise Missing("refresh tokens are not rotated")
    return found.new


@rule(
    "A refresh token is issued",
    mcp("Refresh Tokens"),
    oauth("4.3"),
    fix="Issue refresh tokens to clients of the grant refresh_token: otherwise people sign in again with every expiry.",
)
async def issued(survey: Survey) -> Verdict:
    """MCP leaves it to the authorization server's discretion; without one, people sign in daily or hourly."""
    tokens = await _flow(survey, "shared")
    problem = "" if tokens.text("refresh_token") else "The token response has no refresh_token"
    return judge(problem, "It is", tokens.exchange)


@rule(
    "A refresh token brings new tokens",
    oauth("4.3.1"),
    rfc(6749, "6"),
    fix="Answer grant_type=refresh_token with a new access token as long as the grant lives.",
)
async def works(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.3: the refresh token is used to obtain fresh access tokens."""
    found = await refreshed(survey)
    problem = "" if found.new else f"A right refresh is answered {found.exchange.answer.status}"
    return judge(problem, "It does", found.exchange)


@rule(
    "Refresh tokens of public clients are rotated",
    security("Token Theft"),
    oauth("4.3.1"),
    fix="Issue another refresh token with every refresh of a public client, and end the one that was used.",
)
async def rotates(survey: Survey) -> Verdict:
    """MCP: for public clients, refresh tokens MUST be rotated as OAuth 2.1 section 4.3.1 says."""
    found = await refresh_works(survey)
    await public_client(survey)
    problem = "" if found.rotated else "The answer has no other refresh token"
    return judge(problem, "Another refresh token is issued", found.exchange)


@dataclass(frozen=True, slots=True)
class _Reused:
    """The newest tokens of a family, and the answer to its first refresh token, which was replaced long ago."""

    newest: Tokens
    exchange: Exchange
    waited: bool


async def _reused(survey: Survey) -> _Reused:
    """Use the first refresh token once more, when its successor has been used already."""
    walk = survey.walk

    async def make() -> _Reused:
        second = await _rotating(survey)
        third = walk.read(await walk.refresh(second), second.client, second.asked)
        if third is None:
            raise Missing("the second refresh is refused")
        first, waited = (await refreshed(survey)).tokens, False
        exchange = await walk.refresh(first)
        if succeeded(exchange):
            await survey.sleep(OVERLAP + 1)
            exchange, waited = await walk.refresh(first), True
        return _Reused(third, exchange, waited)

    found: _Reused = await walk.once("reused refresh token", make)
    return found


@rule(
    "A replaced refresh token is refused once its successor was used",
    oauth("4.3.1"),
    rfc(9700, "4.14.2"),
    fix="End a refresh token when it is replaced; at the latest when its successor is used, or after some seconds.",
)
async def old_ends(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.3.1: the previous refresh token is invalidated. An overlap of 30 seconds is let pass."""
    reused = await _reused(survey)
    verdict = judge_refusal(reused.exchange)
    if verdict.met and reused.waited:
        return judge("", f"It is refused after less than {OVERLAP:.0f} seconds", reused.exchange)
    return verdict


@rule(
    "A refresh token that is used again ends its family",
    oauth("4.3.1"),
    rfc(9700, "4.14.2"),
    fix="Keep the tie between a refresh token and its successors, and revoke the grant when a replaced one comes back.",
)
async def reuse_revokes(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.3.1: the server will revoke the active refresh token, as it cannot tell who is the thief."""
    reused = await _reused(survey)
    if not_refused(reused.exchange):
        raise Missing("the replaced token is not even refused")
    exchange = await survey.walk.refresh(reused.newest)
    problem = "The newest refresh token is still good" if succeeded(exchange) else not_refused(exchange)
    return judge(problem, "The newest refresh token was revoked", reused.exchange, exchange)


@dataclass(frozen=True, slots=True)
class _Repeated:
    """What a refresh brought whose answer got lost, and the answer to its repetition."""

    lost: Tokens
    again: Exchange


async def _repeated(survey: Survey) -> _Repeated:
    walk = survey.walk

    async def make() -> _Repeated:
        await refresh_works(survey)
        tokens = await with_refresh(survey, "lost answer")
        lost = walk.read(await walk.refresh(tokens), tokens.client, tokens.asked)
        if lost is None:
            raise Missing("a right refresh is refused")
        return _Repeated(lost, patient(await walk.refresh(tokens)))

    found: _Repeated = await walk.once("lost answer", make)
    return found


@rule(
    "A refresh whose answer was lost can be repeated",
    mcp("Refresh Tokens"),
    rfc(9700, "4.14.2"),
    fix="Answer a replaced token with the same successor for some seconds, as long as that one is unused.",
)
async def grace(survey: Survey) -> Verdict:
    """Networks lose answers, and the client has but the old token then; no standard asks for it: advice."""
    again = (await _repeated(survey)).again
    problem = "" if succeeded(again) else f"The repetition is answered {again.answer.status}, at once"
    return judge(problem, "The repetition is answered", again)


@rule(
    "A repeated refresh ends nobody's session",
    mcp("Refresh Tokens"),
    rfc(9700, "4.14.2"),
    fix="Take a replaced token for stolen only when its successor has been used, or after some seconds.",
)
async def race(survey: Survey) -> Verdict:
    """Processes share tokens and refresh at once; what replaced the token is to survive that: advice."""
    repeated = await _repeated(survey)
    if not repeated.lost.text("refresh_token"):
        raise Missing("refresh tokens are not rotated")
    later = await survey.walk.refresh(repeated.lost)
    problem = "" if succeeded(later) else "The repeated refresh ended the whole grant"
    return judge(problem, "The successor survives the repetition", repeated.again, later)


@rule(
    "Two refreshes at once leave one line of refresh tokens",
    oauth("4.3.1"),
    rfc(9700, "4.14.2"),
    fix="Rotate in one atomic step: whoever comes second gets the same successor, or nothing.",
)
async def parallel(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.3.1: with two living lines, a thief and the client never meet, and nobody notices."""
    await _rotating(survey)
    tokens = await with_refresh(survey, "parallel refresh")
    answers: list[Exchange] = []

    async def refresh() -> None:
        answers.append(await survey.walk.refresh(tokens))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refresh)
        tasks.start_soon(refresh)
    read = [survey.walk.read(exchange, tokens.client, tokens.asked) for exchange in answers]
    lines = {new.text("refresh_token"): new for new in read if new is not None}
    if not lines:
        raise Missing("neither refresh brought tokens")
    later = [await survey.walk.refresh(new) for new in lines.values()] if len(lines) > 1 else []
    living = [exchange for exchange in later if succeeded(exchange)]
    problem = "Both brought refresh tokens, and both of these are good" if len(living) > 1 else ""
    return judge(problem, "One line of refresh tokens is left", *answers, *later)
