"""What a token that lacks scopes meets, and whether a client finds its way up (MCP, RFC 6750 section 3.1).

No tool of a stranger's server is called: lists are asked for, a resource that is listed is read, and a tool is named
that is none.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from oauth_server.compliance import talk, urls, www_authenticate
from oauth_server.compliance.checks.bearer import FORBIDDEN, opens
from oauth_server.compliance.checks.challenge import header
from oauth_server.compliance.checks.protected_resource import member, strings
from oauth_server.compliance.document import OK
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Tokens
from oauth_server.compliance.sources import mcp, rfc
from oauth_server.compliance.survey import UNAUTHORIZED, Survey

IDENTITY: Final = ("openid", "email", "profile", "phone", "address")  # scopes that concern the person, no resource
HIDDEN: Final = re.compile(
    r"insufficient[ _]scope|\bscopes?\b|not authori[sz]ed|unauthori[sz]ed|forbidden|permission", re.IGNORECASE
)
WILDCARD: Final = re.compile(r"(?:^|[.:/])\*$|^(?:all|full[-_]?access)$", re.IGNORECASE)
Request = tuple[str, Mapping[str, Any]]
HARMLESS: Final[tuple[Request, ...]] = (
    ("", {}),  # the first request of all
    ("tools/list", {}),
    ("resources/list", {}),
    ("tools/call", {"name": "mcp-oauth-audit-no-such-tool", "arguments": {}}),
)
RUNTIME: Final = mcp("Runtime Insufficient Scope Errors")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first request that a token does not get through which was `asked` for without the resource's scopes."""

    asked: str
    method: str
    params: Mapping[str, Any]
    exchange: Exchange

    @property
    def status(self) -> int:
        """Its status."""
        return self.exchange.answer.status


async def _insufficient(survey: Survey) -> str:
    """Return a scope that can be asked for, and is not enough; Missing where the resource names no scopes, or one."""
    challenged = (await survey.challenge())[1].parameters.get("scope", "").split()
    known = set(challenged)
    with suppress(Missing):  # then the challenge says it all
        known |= set(strings((await survey.protected_resource()).members.get("scopes_supported")))
    if not known:
        raise Missing("the resource names no scopes, so no token lacks any")
    offered = strings((await survey.metadata()).members.get("scopes_supported"))
    scope = next((name for name in IDENTITY if name in offered and name not in known), "")
    # Where there is none that only concerns the person: one of several that the challenge asks for together.
    scope = scope or (challenged[0] if len(challenged) > 1 else "")
    if not scope:
        raise Missing("the authorization server offers no scope that the resource does not name")
    return scope


async def without_scopes(survey: Survey) -> tuple[Tokens, str]:
    """Return tokens that lack scopes of the resource, and the scope that they were asked for with."""
    scope = await _insufficient(survey)
    tokens = await survey.walk.with_scope(scope)
    if (tokens.text("scope") or scope).split() != [scope]:
        raise Missing(f"{scope} was asked for, and granted was {tokens.text('scope')!r}")
    return tokens, scope


async def _sent(survey: Survey, method: str, params: Mapping[str, Any], token: str) -> Exchange:
    """Send a request of a client that holds this token; the first one of all when no method is named."""
    authorization = {"Authorization": f"Bearer {token}"}
    if not method:
        return await survey.call(await survey.endpoint(), authorization)
    return await talk.say(survey, method, params, authorization)


def _reading(listed: Exchange) -> list[Request]:
    """Return the request that reads the first of the resources that are listed."""
    resources = (talk.result_of(listed) or {}).get("resources")
    first = resources[0] if isinstance(resources, list) and resources else None
    uri = first.get("uri") if isinstance(first, dict) else None
    return [("resources/read", {"uri": uri})] if isinstance(uri, str) and uri.isprintable() else []


async def _refusal(survey: Survey) -> Refusal:
    """Return the first refusal that speaks of scopes, whatever its status; Missing when nothing is refused."""
    await opens(survey)
    tokens, asked = await without_scopes(survey)
    waiting: list[Request] = list(HARMLESS)
    while waiting:
        method, params = waiting.pop(0)
        exchange = await _sent(survey, method, params, tokens.access_token)
        if exchange.answer.status in {UNAUTHORIZED, FORBIDDEN} or _hides(exchange):
            return Refusal(asked, method, params, exchange)
        if method == "resources/list":
            waiting = _reading(exchange) + waiting
        if not method and talk.result_of(exchange) is None:
            raise Missing(f"the first request is answered {exchange.answer.status} with this token, without a result")
    raise Missing("a token without the resource's scopes opens all that can be asked for without calling a tool")


def _hides(exchange: Exchange) -> bool:
    """Say whether a refusal for want of scopes is in the body of an answer with status 200."""
    told = talk.error_of(exchange).get("message")
    result = talk.result_of(exchange) or {}
    if result.get("isError") is True:
        told = str(result.get("content"))
    return exchange.answer.status == OK and isinstance(told, str) and bool(HIDDEN.search(told))


async def _forbidden(survey: Survey) -> tuple[Refusal, dict[str, str]]:
    """Return the refusal and its challenge; Missing where the status already is another one."""
    refusal = await _refusal(survey)
    if refusal.status != FORBIDDEN:
        raise Missing(f"the refusal is answered {refusal.status}, not 403")
    found = www_authenticate.read(refusal.exchange.answer.headers_of("WWW-Authenticate"))
    bearer = [challenge.parameters for challenge in found if challenge.scheme == "bearer"]
    return refusal, dict(bearer[0]) if bearer else {}


@rule(
    "A token that lacks scopes is answered 403",
    mcp("Error Handling"),
    RUNTIME,
    rfc(6750, "3.1"),
    fix="Answer 403 insufficient_scope, not 401: clients take 401 for a dead token, and sign in again in vain.",
)
async def status(survey: Survey) -> Verdict:
    """MCP: 403 for invalid scopes or insufficient permissions; 401 is for tokens that are missing or invalid."""
    refusal = await _refusal(survey)
    if refusal.status == OK:
        raise Missing("the refusal is in the body of an answer with status 200")
    problem = "" if refusal.status == FORBIDDEN else f"The answer is {refusal.status}, not 403"
    return judge(problem, "The answer is 403", header(refusal.exchange))


@rule(
    "A refusal for want of scopes is an HTTP status, not a result",
    mcp("Error Handling"),
    RUNTIME,
    fix="Judge scopes before the message is handled: no client can step up by a text inside an HTTP 200.",
)
async def not_hidden(survey: Survey) -> Verdict:
    """MCP: servers MUST return appropriate HTTP status codes for authorization errors."""
    refusal = await _refusal(survey)
    problem = "It is a JSON-RPC message with status 200" if refusal.status == OK else ""
    return judge(problem, f"The status is {refusal.status}", refusal.exchange)


@rule(
    "The 403 says insufficient_scope",
    RUNTIME,
    rfc(6750, "3.1"),
    fix='Send WWW-Authenticate: Bearer error="insufficient_scope", scope="…", resource_metadata="…" with the 403.',
)
async def error(survey: Survey) -> Verdict:
    """RFC 6750 section 3.1."""
    refusal, parameters = await _forbidden(survey)
    stated = parameters.get("error")
    problem = "" if stated == "insufficient_scope" else f"The challenge says error={stated!r}"
    return judge(problem, "It says insufficient_scope", header(refusal.exchange))


@rule(
    "The 403 names the scopes that are needed",
    RUNTIME,
    rfc(6750, "3.1"),
    fix='Add scope="…" with all scopes that the request needs.',
)
async def scope(survey: Survey) -> Verdict:
    """MCP: servers SHOULD include the scopes needed to satisfy the current operation."""
    refusal, parameters = await _forbidden(survey)
    problem = "" if parameters.get("scope", "").split() else "scope is missing"
    return judge(problem, "The scopes are named", header(refusal.exchange))


@rule(
    "The 403 names the metadata",
    RUNTIME,
    fix="Add resource_metadata to the challenge of the 403, as in that of the 401.",
)
async def metadata(survey: Survey) -> Verdict:
    """MCP: resource_metadata, for consistency with 401 responses."""
    refusal, parameters = await _forbidden(survey)
    problem = "" if urls.read(parameters.get("resource_metadata")) else "resource_metadata is missing"
    return judge(problem, "The metadata is named", header(refusal.exchange))


@rule(
    "What the 403 says to people names all that is missing",
    RUNTIME,
    fix="Build error_description and scope from one list, so that nobody asks for half of it.",
)
async def description(survey: Survey) -> Verdict:
    """MCP: all scopes required in a single challenge; judged where the description names any of them at all."""
    refusal, parameters = await _forbidden(survey)
    told = {word.strip(".,;:'()") for word in parameters.get("error_description", "").split()}
    named = set(parameters.get("scope", "").split())
    if not named & told:
        raise Missing("the description names no scope")
    unsaid = sorted(named - told - {refusal.asked})
    problem = f"The description does not name {', '.join(unsaid)}" if unsaid else ""
    return judge(problem, "It names them all", header(refusal.exchange))


@rule(
    "With the scopes that the 403 named, the request gets through",
    RUNTIME,
    fix="Name all scopes of the operation in one challenge, so that a client has to step up once.",
)
async def succeeds(survey: Survey) -> Verdict:
    """MCP: servers SHOULD include all scopes required for the current operation in a single challenge."""
    refusal, parameters = await _forbidden(survey)
    named = parameters.get("scope", "").split()
    if not named:
        raise Missing("the challenge names no scopes")
    asked = " ".join(dict.fromkeys([refusal.asked, *named]))
    tokens = await survey.walk.with_scope(asked)
    if lacking := set(named) - set((tokens.text("scope") or asked).split()):
        raise Missing(f"the person may not be granted: {', '.join(sorted(lacking))}")
    again = await _sent(survey, refusal.method, refusal.params, tokens.access_token)
    got = again.answer.status
    problem = f"The answer is {got} again" if got in {UNAUTHORIZED, FORBIDDEN} or _hides(again) else ""
    return judge(problem, "It gets through", header(refusal.exchange), header(again))


@rule(
    "The scopes of the challenge can be had",
    mcp("Scope Selection Strategy"),
    fix="Let the authorization server know every scope that the challenge names: clients ask for exactly these.",
)
async def grantable(survey: Survey) -> Verdict:
    """MCP: clients MUST treat them as authoritative; not each of them need be listed in scopes_supported."""
    exchange, challenge = await survey.challenge()
    named = challenge.parameters.get("scope", "").split()
    if not named:
        raise Missing("the challenge names no scopes")
    document = await survey.metadata()
    listed = strings(document.members.get("scopes_supported"))
    unlisted = [name for name in named if name not in listed]
    shown = [header(exchange), member(document, "scopes_supported")]
    if unlisted:
        tokens = await survey.walk.tokens()
        granted = (tokens.text("scope") or " ".join(named)).split()
        shown.append((tokens.exchange, f"scope: {' '.join(granted)}"))
        unlisted = [name for name in unlisted if name not in granted]
    problem = f"Neither listed nor granted: {', '.join(unlisted)}" if unlisted else ""
    return judge(problem, "They are listed or granted", *shown)


@rule(
    "`scopes_supported` of the resource has no wildcard",
    mcp("Scope Selection Strategy"),
    rfc(9728, "2"),
    fix="List the few scopes that basic use needs: clients ask for all that is listed.",
)
async def minimal(survey: Survey) -> Verdict:
    """MCP: the minimal set for basic functionality; its security page names *, all and full-access as mistakes."""
    document = await survey.protected_resource()
    listed = strings(document.members.get("scopes_supported"))
    if not listed:
        raise Missing("no scopes are listed")
    wide = [name for name in listed if WILDCARD.search(name)]
    problem = f"It lists {', '.join(wide[:3])}" if wide else ""
    return judge(problem, "No scope is for everything", member(document, "scopes_supported"))
