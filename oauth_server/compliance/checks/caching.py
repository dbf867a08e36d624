"""What clients and proxies may keep of the answers (MCP caching, server-sent events)."""

from typing import Any, Final

from oauth_server.compliance import talk
from oauth_server.compliance.checks.step_up import without_scopes
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import CACHING, mcp
from oauth_server.compliance.survey import Survey

SCOPES: Final = {"public", "private"}
LIST: Final = "tools/list"


async def _cacheable(survey: Survey) -> list[tuple[Exchange, dict[str, Any]]]:
    """Return the cacheable results to be had: of `server/discover`, and the list of tools if there is one."""
    gathered = [await talk.spoken(survey), await talk.say(survey, LIST)]
    return [(exchange, result) for exchange in gathered if (result := talk.result_of(exchange)) is not None]


@rule(
    "Results say how long and by whom they may be kept",
    CACHING,
    fix="Add ttlMs (0 or more) and cacheScope (public or private) to discover, list and read results.",
)
async def hints(survey: Survey) -> Verdict:
    """MCP: servers MUST include caching hints; ttlMs MUST be 0 or more."""
    problems, shown = [], []
    for exchange, result in await _cacheable(survey):
        ttl, scope = result.get("ttlMs"), result.get("cacheScope")
        shown.append((exchange, f"ttlMs: {ttl!r}, cacheScope: {scope!r}"))
        if not isinstance(ttl, int) or isinstance(ttl, bool) or ttl < 0:
            problems.append(f"ttlMs is {ttl!r}")
        if scope not in SCOPES:
            problems.append(f"cacheScope is {scope!r}")
    return judge("; ".join(problems), "Both are stated", *shown)


def _names(result: dict[str, Any]) -> list[str]:
    tools = result.get("tools")
    return sorted(str(tool.get("name")) for tool in tools if isinstance(tool, dict)) if isinstance(tools, list) else []


@rule(
    "A list that depends on the caller is private",
    CACHING,
    fix='Answer with cacheScope: "private" where the list depends on the token: public ones are shared by everybody.',
)
async def private(survey: Survey) -> Verdict:
    """MCP: public says that the response does not contain user-specific data."""
    mine = await talk.say(survey, LIST)
    tokens, _ = await without_scopes(survey)
    other = await talk.say(survey, LIST, None, {"Authorization": f"Bearer {tokens.access_token}"})
    result, others = talk.result_of(mine), talk.result_of(other)
    if result is None or others is None:
        raise Missing("two callers with different scopes do not both get a list")
    if _names(result) == _names(others):
        raise Missing("callers with different scopes get the same list")
    public = [(item, res) for item, res in ((mine, result), (other, others)) if res.get("cacheScope") == "public"]
    problem = "The lists differ, and are public" if public else ""
    return judge(problem, "The lists differ, and are private", *((item, "cacheScope") for item in (mine, other)))


@rule(
    "An event stream is not buffered on its way",
    mcp("Receiving Messages", "transports/streamable-http"),
    fix="Send X-Accel-Buffering: no with every text/event-stream answer.",
)
async def unbuffered(survey: Survey) -> Verdict:
    """MCP: servers SHOULD include the header X-Accel-Buffering: no."""
    gathered = [await talk.spoken(survey), await talk.say(survey, LIST)]
    streams = [exchange for exchange in gathered if talk.media_type(exchange) == talk.STREAM]
    if not streams:
        raise Missing("no answer was an event stream")
    value = streams[0].answer.header("X-Accel-Buffering") or ""
    problem = "" if value.lower() == "no" else "X-Accel-Buffering is not no"
    return judge(problem, "It is not", (streams[0], f"X-Accel-Buffering: {value or '(absent)'}"))
