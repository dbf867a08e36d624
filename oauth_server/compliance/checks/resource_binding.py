"""Tokens are for the resource that was asked for (RFC 8707, MCP "Token Audience Binding and Validation")."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from oauth_server.compliance import urls
from oauth_server.compliance.checks.flows import (
    audiences,
    endpoint_with,
    judge_refusal,
    not_refused,
    opens,
    right_flow,
    succeeded,
)
from oauth_server.compliance.checks.refresh_limits import FOREIGN
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Asked
from oauth_server.compliance.sources import mcp, rfc, security
from oauth_server.compliance.survey import Survey

ERRORS: Final = ("invalid_target", "invalid_request")
_REFUSALS: Final = range(400, 500)


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """An authorization request for another resource, and whether the authorization server refused it."""

    resource: str
    asked: Asked
    refused: bool


async def _asked_for(survey: Survey, resource: str | list[str]) -> _Elsewhere:
    """Ask for a resource that is not the endpoint's; Missing when it cannot be seen what came of it."""
    asked = await survey.walk.refused({"resource": resource})
    shown = resource if isinstance(resource, str) else " and ".join(resource)
    if asked.first("code"):
        return _Elsewhere(shown, asked, refused=False)
    ended = asked.shown[0].answer.status if asked.shown else 0
    if asked.first("error") or ended in _REFUSALS:
        return _Elsewhere(shown, asked, refused=True)
    raise Missing(f"the authorization request led to a page ({ended}), and no further")


async def _foreign(survey: Survey) -> _Elsewhere:
    async def make() -> _Elsewhere:
        await right_flow(survey)
        return await _asked_for(survey, FOREIGN)

    found: _Elsewhere = await survey.walk.once("foreign resource", make)
    return found


def _judge_asked(elsewhere: _Elsewhere, errors: Collection[str] = ERRORS) -> Verdict:
    """Judge that the authorization server refused; `errors`: with one of these, where it told the client."""
    asked, error = elsewhere.asked, elsewhere.asked.first("error")
    problem = "" if elsewhere.refused else f"A code is issued for {elsewhere.resource}"
    if elsewhere.refused and error and error not in errors:
        problem = f"It is refused with {error}, not {' or '.join(errors)}"
    return judge(problem, f"It is refused: {error or 'on a page'}", *asked.shown)


async def _judge_opening(survey: Survey, elsewhere: _Elsewhere) -> Verdict | None:
    """Judge the endpoint by a token that was asked for elsewhere; None when it is right about it."""
    right = await endpoint_with(survey, (await right_flow(survey)).access_token)
    if not opens(right):
        raise Missing("not even a right token opens the endpoint")
    exchange = await survey.walk.redeem(elsewhere.asked)
    tokens = survey.walk.read(exchange, elsewhere.asked.client, elsewhere.asked)
    if tokens is None:
        return None if not not_refused(exchange) else judge_refusal(exchange)
    call = await endpoint_with(survey, tokens.access_token)
    if not opens(call, right):
        return None
    if await _names_endpoint(survey, tokens.access_token):
        raise Missing("the authorization server does not read the parameter, and its token names this endpoint")
    return judge(f"A token that was asked for {elsewhere.resource} opens the endpoint", "", exchange, call)


async def _names_endpoint(survey: Survey, token: str) -> bool:
    endpoint = await survey.endpoint()
    own = {urls.canonical(item) for item in (endpoint, urls.origin(endpoint), await survey.wanted_resource())}
    return bool(own & {urls.canonical(item) for item in audiences(token) if urls.read(item)})


@rule(
    "A token that was asked for another resource does not open the endpoint",
    security("Token Audience Binding and Validation"),
    mcp("Token Handling"),
    fix="Put the requested resource into aud, and accept at the endpoint only tokens whose aud names it.",
)
async def foreign_token(survey: Survey) -> Verdict:
    """MCP: servers MUST validate that tokens were issued specifically for them as the intended audience."""
    foreign = await _foreign(survey)
    verdict = None if foreign.refused else await _judge_opening(survey, foreign)
    return verdict or judge("", "No token for another resource opens it", *foreign.asked.shown)


@rule(
    "A resource whose name begins like the endpoint's is another one",
    security("Token Audience Binding and Validation"),
    rfc(8707, "2"),
    fix="Compare resource and aud as whole strings, never by their beginning.",
)
async def prefix(survey: Survey) -> Verdict:
    """MCP: the audience MUST be this server; /mcp-other, host.example.other and host@other merely look like it."""
    if not (await _foreign(survey)).refused:
        raise Missing("the authorization server does not look at the resource at all")
    own = await survey.wanted_resource()
    parts = urlsplit(own)
    shown: list[Exchange] = []
    path = parts.path.rstrip("/")
    for trick in (
        f"{own.rstrip('/')}-other",
        f"{parts.scheme}://{parts.netloc}.resource.invalid{path}",
        f"{parts.scheme}://{parts.netloc}@resource.invalid{path}",
    ):
        elsewhere = await _asked_for(survey, trick)
        shown += elsewhere.asked.shown
        verdict = None if elsewhere.refused else await _judge_opening(survey, elsewhere)
        if verdict is not None:
            return verdict
    return judge("", "No such name is taken for the endpoint's", *shown)


@rule(
    "A resource that is not served is invalid_target",
    rfc(8707, "2"),
    fix="Refuse authorization requests for a resource that is not yours with the error invalid_target.",
)
async def invalid_target(survey: Survey) -> Verdict:
    """RFC 8707 section 2: an unacceptable resource should be refused with invalid_target."""
    return _judge_asked(await _foreign(survey), ["invalid_target"])


async def _looking(survey: Survey) -> str:
    """Return the endpoint's resource; Missing when the authorization server does not look at the parameter."""
    if not (await _foreign(survey)).refused:
        raise Missing("the authorization server does not look at the resource at all")
    return await survey.wanted_resource()


@rule(
    "A resource with a fragment is refused",
    rfc(8707, "2"),
    fix="Refuse a resource with a fragment as invalid_target.",
)
async def fragment(survey: Survey) -> Verdict:
    """RFC 8707 section 2: the value MUST NOT include a fragment; a malformed one should be refused."""
    return _judge_asked(await _asked_for(survey, f"{await _looking(survey)}#fragment"))


@rule(
    "A resource that is no absolute URI is refused",
    rfc(8707, "2"),
    fix="Refuse a resource that is not an absolute URI as invalid_target.",
)
async def relative(survey: Survey) -> Verdict:
    """RFC 8707 section 2: the value MUST be an absolute URI; a malformed one should be refused."""
    return _judge_asked(await _asked_for(survey, urlsplit(await _looking(survey)).path or "/mcp"))


@rule(
    "Of two resources, none may be foreign",
    rfc(8707, "2"),
    fix="Judge every resource of a request, and refuse it when one is not yours.",
)
async def two(survey: Survey) -> Verdict:
    """RFC 8707 section 2: a token for both could be presented here by the other one."""
    return _judge_asked(await _asked_for(survey, [await _looking(survey), FOREIGN]))


@rule(
    "An access token is for one resource, also when two were asked for",
    rfc(9068, "3"),
    rfc(9700, "2.3"),
    security("Token Audience Binding and Validation"),
    fix="Issue each token for one resource: the first where a request names none; answer invalid_target to several.",
)
async def one_token(survey: Survey) -> Verdict:
    """RFC 9068 section 3: aud is the requested resource; whoever gets a token for two could use it at the other."""
    await right_flow(survey)
    own = await survey.wanted_resource()
    endpoint = await survey.endpoint()
    other = next(
        (item for item in (urls.origin(endpoint), endpoint) if urls.canonical(item) != urls.canonical(own)), ""
    )
    if not other:
        raise Missing("the resource has no second name that could be asked for with it")
    shown: list[Exchange] = []
    wanted: tuple[list[str] | None, ...] = (None, [own, other])
    for resource in wanted:
        elsewhere = await _asked_for(survey, [own, other])
        if elsewhere.refused:
            return judge("", "Two resources are not granted together", *elsewhere.asked.shown)
        exchange = await survey.walk.redeem(elsewhere.asked, {"resource": resource})
        tokens = survey.walk.read(exchange, elsewhere.asked.client, elsewhere.asked)
        named = audiences(tokens.access_token) if tokens else []
        if tokens and not named:
            raise Missing("the token does not say for which resources it is")
        shown.append(exchange)
        if {urls.canonical(own), urls.canonical(other)} <= {urls.canonical(item) for item in named if urls.read(item)}:
            return judge(f"One token is for {own} and {other}", "", exchange)
    return judge("", "No token is for two", *shown)


@rule(
    "A code is not redeemed for another resource",
    rfc(8707, "2.2"),
    fix="Compare the resource of a token request with that of the authorization: 400 invalid_target if it differs.",
)
async def foreign_at_token(survey: Survey) -> Verdict:
    """RFC 8707 section 2.2: this is a subset of what was granted; anything else should be invalid_target."""
    await right_flow(survey)
    exchange = await survey.walk.redeem(await survey.walk.code(), {"resource": FOREIGN})
    if succeeded(exchange):
        return judge(f"Tokens are issued for {FOREIGN}, or the parameter is ignored", "", exchange)
    return judge_refusal(exchange, ["invalid_target"])
