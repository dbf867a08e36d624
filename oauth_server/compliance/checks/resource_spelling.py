"""The names under which a resource is asked for (MCP "Canonical Server URI", RFC 8707 section 2)."""

from oauth_server.compliance import urls
from oauth_server.compliance.checks.flows import endpoint_with, opens, right_flow
from oauth_server.compliance.checks.token_endpoint import error_of
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Tokens
from oauth_server.compliance.sources import mcp, rfc
from oauth_server.compliance.survey import Survey


async def _judge_spelling(survey: Survey, resource: str) -> Verdict:
    """Judge a resource that is the endpoint's in another spelling: a token for it opens the endpoint."""
    tokens = await right_flow(survey)
    right = await endpoint_with(survey, tokens.access_token)
    if not opens(right):
        raise Missing("not even a right token opens the endpoint")
    asked = await survey.walk.ask(changes={"resource": resource})
    if not asked.first("code"):
        if asked.first("error") != "invalid_target":
            raise Missing(f"the authorization request brought no code: {asked.first('error') or 'it led nowhere'}")
        return judge(f"{resource} is refused: invalid_target", "", *asked.shown)
    exchange = await survey.walk.redeem(asked)
    new = survey.walk.read(exchange, asked.client, asked)
    if new is None:
        return judge(f"{resource} is refused at the token endpoint: {error_of(exchange)}", "", exchange)
    call: Exchange = await endpoint_with(survey, new.access_token)
    problem = "" if opens(call, right) else f"A token for {resource} does not open the endpoint: {call.answer.status}"
    return judge(problem, "A token for it opens the endpoint", exchange, call)


async def _shared(survey: Survey) -> Tokens | None:
    try:
        return await right_flow(survey)
    except Missing:
        return None


@rule(
    "The resource that the metadata names can be asked for",
    mcp("Resource Parameter Implementation"),
    rfc(8707, "2"),
    fix="Accept the value of `resource` in the protected resource metadata as resource indicator, byte for byte.",
)
async def accepted(survey: Survey) -> Verdict:
    """MCP: clients MUST send the resource; what they know of its name is what the metadata says."""
    resource = (await survey.protected_resource()).members.get("resource")
    if not isinstance(resource, str) or urls.read(resource) is None:
        raise Missing("the protected resource metadata names no usable resource")
    tokens = await _shared(survey)
    if tokens is not None and tokens.asked is not None and tokens.asked.requested("resource") == resource:
        return judge("", f"{resource} is accepted", *tokens.asked.shown)
    asked = await survey.walk.ask(changes={"resource": resource})
    if not asked.first("code") and asked.first("error") != "invalid_target":
        raise Missing(f"the authorization request brought no code: {asked.first('error') or 'it led nowhere'}")
    problem = "" if asked.first("code") else f"{resource} is refused: invalid_target"
    return judge(problem, f"{resource} is accepted", *asked.shown)


@rule(
    "Scheme and host of a resource may be in upper case",
    mcp("Canonical Server URI"),
    fix="Compare scheme and host without regard to case.",
)
async def upper_case(survey: Survey) -> Verdict:
    """MCP: implementations SHOULD accept uppercase scheme and host components."""
    own = await survey.wanted_resource()
    start = urls.origin(own)
    return await _judge_spelling(survey, start.upper() + own[len(start) :])


@rule(
    "A resource may have a slash at its end",
    mcp("Canonical Server URI"),
    fix="Take the resource with and without a slash at its end for the same, unless they are different ones.",
)
async def trailing_slash(survey: Survey) -> Verdict:
    """MCP: clients SHOULD use the form without it; some libraries add it all the same."""
    resource = await survey.wanted_resource()
    return await _judge_spelling(survey, resource.removesuffix("/") if resource.endswith("/") else f"{resource}/")
