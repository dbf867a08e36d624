"""Scopes that are asked for and granted (OAuth 2.1 sections 1.4.1 and 7.2, RFC 6749 section 3.3)."""

from oauth_server.compliance.checks.flows import right_flow, scope_of
from oauth_server.compliance.checks.token_response import requested, stated_scope
from oauth_server.compliance.model import Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Asked
from oauth_server.compliance.sources import mcp, oauth, rfc
from oauth_server.compliance.survey import Survey


@rule(
    "No more is granted than was asked for",
    oauth("7.2"),
    rfc(6749, "3.3"),
    fix="Grant the requested scopes or fewer; what a client did not ask for, nobody consented to.",
)
async def subset(survey: Survey) -> Verdict:
    """OAuth 2.1 section 7.2: privileges SHOULD be restricted to the minimum that the application needs."""
    tokens = await right_flow(survey)
    asked, held = requested(tokens.asked), scope_of(tokens)
    if not asked:
        raise Missing("no scope is known that a client would ask for")
    if held is None:
        raise Missing("no scope is stated, and the token is opaque")
    more = sorted(held - asked)
    problem = f"{' '.join(more)} was granted, though nobody asked for it" if more else ""
    return judge(problem, "Nothing was granted beyond the request", stated_scope(tokens))


@rule(
    "A client that registered no scope may ask for the supported ones",
    rfc(7591, "2"),
    mcp("Scope Selection Strategy"),
    fix="Take a registered scope for a default at most: clients learn from a challenge what to ask for, later.",
)
async def unregistered(survey: Survey) -> Verdict:
    """RFC 7591 section 2: without scope, a server MAY register a default; clients ask by the challenge, later."""
    survey.walk.visitor  # noqa: B018 - Missing without one, before a client is registered
    wanted = await survey.wanted_scope()
    if not wanted:
        raise Missing("no scope is known that a client would ask for")
    client = await survey.walk.clients.registered("scopeless", scope=None, client_name="MCP OAuth audit: no scope")
    return _not_invalid(await survey.walk.ask(client))


@rule(
    "Asking for offline_access does no harm",
    mcp("Refresh Tokens"),
    fix="Grant or ignore offline_access; clients add it to be given a refresh token, whatever was registered.",
)
async def offline_access(survey: Survey) -> Verdict:
    """MCP: clients MAY add offline_access where the metadata lists it; RFC 6749 section 3.3: it may be ignored."""
    wanted = await survey.wanted_scope()
    fields = {"scope": f"{wanted} offline_access".strip()}
    return _not_invalid(await survey.walk.ask(changes=fields))


@rule(
    "An empty scope is no scope",
    oauth("3.1"),
    fix="Treat parameters without a value as omitted.",
)
async def empty(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.1: parameters sent without a value MUST be treated as if they were omitted."""
    empty = await survey.walk.ask(changes={"scope": ""})
    if not empty.first("code"):
        await survey.walk.code(changes={"scope": None})  # where it may not be left out, it may not be empty either
    said = f"It is refused: {empty.first('error') or 'no code came'}; a request without scope is not"
    return judge("" if empty.first("code") else said, "A code is issued", *empty.shown)


def _not_invalid(asked: Asked) -> Verdict:
    """Judge a request that must not be invalid_scope; Missing when it fails for something else."""
    error = asked.first("error")
    if not asked.first("code") and error != "invalid_scope":
        raise Missing(f"the authorization request brought no code: {error or 'it led nowhere'}")
    problem = f"It is refused: {error} {asked.first('error_description')}" if error else ""
    return judge(problem, "A code is issued", *asked.shown)
