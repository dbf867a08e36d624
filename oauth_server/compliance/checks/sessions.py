"""The handshake and sessions of 2025-03-26 to 2025-11-25 (MCP Streamable HTTP)."""

from typing import Final

from oauth_server.compliance import talk
from oauth_server.compliance.checks.challenge import header
from oauth_server.compliance.model import Exchange, Missing, Source, Verdict, judge, rule
from oauth_server.compliance.sources import BEST_PRACTICES, legacy
from oauth_server.compliance.survey import UNAUTHORIZED, Survey

SESSIONS: Final[Source] = legacy("Session Management", "transports")
ACCEPTED: Final = 202
SHORTEST: Final = 16  # characters: what holds 128 bits is longer in any spelling
NEAR: Final = 1000  # ids that differ by less were counted


@rule(
    "initialize is answered",
    legacy("Initialization", "lifecycle"),
    fix="Answer initialize with protocolVersion, capabilities and serverInfo.",
)
async def initialize(survey: Survey) -> Verdict:
    """MCP: the server MUST respond with its own capabilities and information; it may offer another version."""
    exchange = await talk.first(survey)
    result = talk.result_of(exchange)
    problem = "" if result is not None else f"The answer is {exchange.answer.status} without a result"
    kinds = {"protocolVersion": str, "capabilities": dict, "serverInfo": dict}
    absent = [name for name, kind in kinds.items() if not isinstance((result or {}).get(name), kind)]
    if result is not None and absent:
        problem = f"Missing: {', '.join(absent)}"
    version = (result or {}).get("protocolVersion")
    return judge(problem, "It is answered", (exchange, f"protocolVersion: {version!r}"))


@rule(
    "A notification is answered 202 with no body",
    legacy("Sending Messages to the Server", "transports"),
    fix="Answer notifications with 202 Accepted and an empty body.",
)
async def notification(survey: Survey) -> Verdict:
    """MCP: if the server accepts it, it MUST return 202 Accepted with no body; else an error status."""
    exchange = await talk.initialized(survey, await talk.opened(survey, await talk.credentials(survey)))
    status, body = exchange.answer.status, exchange.answer.body
    if status not in range(200, 300):
        raise Missing(f"the notification is not accepted: {status}")
    problem = "" if status == ACCEPTED else f"The answer is {status}, not 202"
    if body.strip():
        problem = problem or "The answer has a body"
    return judge(problem, "It is answered 202", exchange)


async def _session(survey: Survey, *, again: bool = False) -> tuple[Exchange, str]:
    """Return the answer to `initialize`, and the session's id; Missing when there are no sessions."""
    fields = await talk.credentials(survey)
    if talk.result_of(await talk.first(survey)) is None:
        raise Missing("initialize has no result")
    exchange = await (survey.call_again if again else survey.call)(await survey.endpoint(), fields)
    value = exchange.answer.header(talk.SESSION)
    if not value:
        raise Missing("the server gives out no session ids")
    survey.hide(value)
    return exchange, value


@rule(
    "A session id is visible ASCII",
    SESSIONS,
    fix="Use letters and digits alone in session ids.",
)
async def visible(survey: Survey) -> Verdict:
    """MCP: the session ID MUST only contain visible ASCII characters."""
    exchange, value = await _session(survey)
    problem = "" if talk.VISIBLE.fullmatch(value) else "It has other characters"
    return judge(problem, "It is visible ASCII", (exchange, f"{talk.SESSION}: {len(value)} characters"))


@rule(
    "Session ids cannot be guessed",
    SESSIONS,
    BEST_PRACTICES,
    fix="Make session ids of 128 random bits or more, for example a random UUID.",
)
async def random(survey: Survey) -> Verdict:
    """MCP: cryptographically secure; servers MUST use secure, non-deterministic session IDs."""
    first, one = await _session(survey)
    second, other = await _session(survey, again=True)
    problem = f"It has {len(one)} characters" if len(one) < SHORTEST else ""
    if one == other:
        problem = "Two sessions have the same id"
    elif one.isdecimal() and other.isdecimal() and abs(int(one[-18:]) - int(other[-18:])) < NEAR:
        problem = "Session ids are counted"
    shown = [(item, f"{talk.SESSION}: {len(value)} characters") for item, value in ((first, one), (second, other))]
    return judge(problem, "They are long, and each is another", *shown)


@rule(
    "A session id is no credential",
    BEST_PRACTICES,
    legacy("Token Requirements", "authorization"),
    fix="Verify the token of every request, also within a session.",
)
async def no_credential(survey: Survey) -> Verdict:
    """MCP: servers MUST verify all inbound requests, and MUST NOT use sessions for authentication."""
    await survey.refusal()
    _, value = await _session(survey)
    if not talk.VISIBLE.fullmatch(value):
        raise Missing("the session id holds characters that cannot be sent back")
    exchange = await talk.say(survey, "ping", None, {}, {talk.SESSION: value}, open_first=False)
    status = exchange.answer.status
    problem = "" if status == UNAUTHORIZED else f"Without a token, the session alone is answered {status}, not 401"
    return judge(problem, "The token is asked for", header(exchange))
