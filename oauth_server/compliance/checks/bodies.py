"""Bodies and headers that no right client sends, with a right token (MCP Streamable HTTP, JSON-RPC 2.0)."""

import json
from collections.abc import Mapping
from typing import Final

from oauth_server.compliance import messages, talk
from oauth_server.compliance.checks.challenge import BROKEN
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import JSON_RPC, SENDING, legacy, mcp, rfc
from oauth_server.compliance.survey import Survey
from oauth_server.outbound import OutboundError

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
SERVER_ERROR: Final = 500
CLIENT_ERRORS: Final = range(400, 500)
SUCCESS: Final = range(200, 300)
LARGE: Final = 1 << 20  # bytes
DEEP: Final = 5000  # levels


async def _sent(survey: Survey, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Exchange:
    """Send a right request with another body or other headers; Missing when the right one is not answered."""
    await talk.spoken(survey)
    fields, right = messages.request(survey.version, talk.harmless(survey))
    fields |= await talk.opened(survey, await talk.credentials(survey))
    return await survey.fetch(
        "POST", await survey.endpoint(), {**fields, **(headers or {})}, right if body is None else body
    )


@rule(
    "A body that is no JSON is a parse error",
    JSON_RPC,
    fix="Answer 400 with the JSON-RPC error -32700.",
)
async def no_json(survey: Survey) -> Verdict:
    """JSON-RPC 2.0 section 5.1: -32700 for invalid JSON; MCP: messages MUST follow JSON-RPC."""
    exchange = await _sent(survey, BROKEN)
    status, code = exchange.answer.status, talk.code_of(exchange)
    right = status in CLIENT_ERRORS and code == PARSE_ERROR
    problem = "" if right else f"The answer is {status} with the error {code}"
    return judge(problem, f"It is refused: {status}, {code}", exchange)


async def _with_id(survey: Survey, *values: object) -> Verdict:
    """Judge a right request but for its id: it is a request all the same, and no notification."""
    _, right = messages.request(survey.version, talk.harmless(survey))
    message, shown, problem = json.loads(right), [], ""
    for value in values:
        exchange = await _sent(survey, json.dumps({**message, "id": value}).encode())
        status, code = exchange.answer.status, talk.code_of(exchange)
        if code != INVALID_REQUEST:
            problem = problem or f"The id {json.dumps(value)} is answered {status} with the error {code}"
        shown.append((exchange, f"id: {json.dumps(value)}, error: {code}"))
    return judge(problem, f"It is answered {INVALID_REQUEST}", *shown)


@rule(
    "A request with the id null is answered as invalid",
    JSON_RPC,
    mcp("Requests", "index"),
    fix="Answer -32600 to an id of null: only a message without an id is a notification, and a client waits for ever.",
)
async def null_id(survey: Survey) -> Verdict:
    """MCP: the id MUST NOT be null; JSON-RPC 2.0 section 5.1: -32600 for what is no valid request."""
    return await _with_id(survey, None)


@rule(
    "A request whose id is neither string nor number is answered as invalid",
    JSON_RPC,
    mcp("Requests", "index"),
    fix="Answer -32600 to an id that is true, false, an object or an array.",
)
async def mistyped_id(survey: Survey) -> Verdict:
    """MCP: requests MUST include a string or integer id; in many languages true counts as 1."""
    return await _with_id(survey, True, {})


def _batch(survey: Survey) -> bytes:
    _, body = messages.request(survey.version, talk.harmless(survey))
    message = json.loads(body)
    return json.dumps([message, {**message, "id": 2}]).encode()


@rule(
    "A batch is answered",
    legacy("Batching", "index"),
    fix="Answer an array of requests with the responses to all of them.",
)
async def batch(survey: Survey) -> Verdict:
    """MCP 2025-03-26: implementations MUST support receiving JSON-RPC batches; later versions have none."""
    exchange = await _sent(survey, _batch(survey))
    answered = {message.get("id") for message in talk.replies(exchange) if "result" in message}
    problem = "" if {1, 2} <= answered else f"The answer is {exchange.answer.status}, with {len(answered)} results of 2"
    return judge(problem, "Both requests are answered", exchange)


@rule(
    "A batch is refused",
    SENDING,
    fix="Answer 400 to an array: the body is a single message, and no header tells what else a batch holds.",
)
async def no_batch(survey: Survey) -> Verdict:
    """MCP since 2025-06-18: the body MUST be a single message."""
    exchange = await _sent(survey, _batch(survey))
    status = exchange.answer.status
    problem = "" if status in CLIENT_ERRORS else f"The answer is {status}"
    return judge(problem, f"It is refused: {status}", exchange)


@rule(
    "A client that accepts JSON alone is served, or told so",
    rfc(9110, "12.5.1"),
    SENDING,
    fix="Answer 406 where only an event stream could be sent, and JSON otherwise.",
)
async def accept(survey: Survey) -> Verdict:
    """MCP: clients MUST list both media types; a server answers in either."""
    exchange = await _sent(survey, headers={"Accept": "application/json"})
    status = exchange.answer.status
    problem = "" if status in {200, 400, 406} else f"The answer is {status}"
    if status == 200 and talk.media_type(exchange) == talk.STREAM:  # noqa: PLR2004 - OK
        problem = "An event stream is sent, which was not accepted"
    return judge(problem, f"The answer is {status}", (exchange, f"Content-Type: {talk.media_type(exchange)}"))


@rule(
    "A message that is not sent as JSON is refused",
    rfc(9110, "15.5.16"),
    fix="Answer 415 unless Content-Type is application/json: text/plain is what any page can make a browser send.",
)
async def content_type(survey: Survey) -> Verdict:
    """Fetch standard: text/plain needs no preflight, application/json does."""
    exchange = await _sent(survey, headers={"Content-Type": "text/plain"})
    status = exchange.answer.status
    problem = "" if status in CLIENT_ERRORS else f"The answer is {status}"
    return judge(problem, f"It is refused: {status}", exchange)


async def _survived(survey: Survey, body: bytes) -> Verdict:
    try:
        exchange = await _sent(survey, body)
    except OutboundError as error:
        raise Missing(f"the connection ended before an answer: {error.reason}") from None
    status = exchange.answer.status
    return judge(f"The answer is {status}" if status >= SERVER_ERROR else "", f"The answer is {status}", exchange)


@rule(
    "A large message does not break the server",
    rfc(9110, "15.5.14"),
    fix="Bound the size of a message, and answer 413 beyond.",
)
async def large(survey: Survey) -> Verdict:
    """RFC 9110 section 15.5.14; one of this size may as well be served."""
    _, right = messages.request(survey.version, talk.harmless(survey), {"padding": "x" * LARGE})
    return await _survived(survey, right)


@rule(
    "A message that nests deeply does not break the server",
    rfc(8259, "9"),
    fix="Bound the depth of a message, and answer 400 beyond.",
)
async def deep(survey: Survey) -> Verdict:
    """RFC 8259 section 9: an implementation may set limits on the depth of nesting."""
    _, right = messages.request(survey.version, talk.harmless(survey), {"nested": 0})
    return await _survived(survey, right.replace(b'"nested": 0', b'"nested": ' + b"[" * DEEP + b"]" * DEEP))
