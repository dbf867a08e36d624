"""MCP as a client with a token speaks it: one request of either era, and the JSON-RPC message that answers it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from oauth_server.compliance import messages
from oauth_server.compliance.document import OK
from oauth_server.compliance.model import Exchange, Missing

if TYPE_CHECKING:
    from oauth_server.compliance.survey import Survey

SESSION: Final = "Mcp-Session-Id"
STREAM: Final = "text/event-stream"
VISIBLE: Final = re.compile(r"[\x21-\x7e]+")  # what a session id is made of
MOST_EVENTS: Final = 100


def media_type(exchange: Exchange) -> str:
    """Return the media type of an answer, without parameters."""
    return (exchange.answer.header("Content-Type") or "").partition(";")[0].strip().lower()


def replies(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """Read the JSON-RPC messages of an answer: its JSON, the elements of a batch, or the data of its events."""
    for text in _texts(exchange):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        for message in value[:MOST_EVENTS] if isinstance(value, list) else [value]:
            if isinstance(message, dict):
                yield message


def _texts(exchange: Exchange) -> list[str]:
    body = exchange.answer.body.decode(errors="replace")
    if media_type(exchange) != STREAM:
        return [body]
    events = body.replace("\r\n", "\n").replace("\r", "\n").split("\n\n")[:MOST_EVENTS]
    return [
        "\n".join(line[5:].removeprefix(" ") for line in event.split("\n") if line[:5] == "data:") for event in events
    ]


def result_of(exchange: Exchange) -> dict[str, Any] | None:
    """Return the result that answers our request; None for an error, another status, or another request's result."""
    if exchange.answer.status != OK:
        return None
    for message in replies(exchange):
        result = message.get("result")
        if message.get("id") == messages.ID and isinstance(result, dict):
            return result
    return None


def error_of(exchange: Exchange) -> dict[str, Any]:
    """Return the JSON-RPC error object of an answer, empty when it is none."""
    errors = (message.get("error") for message in replies(exchange))
    return next((error for error in errors if isinstance(error, dict)), {})


def code_of(exchange: Exchange) -> int | None:
    """Return the code of a JSON-RPC error, None when there is none."""
    code = error_of(exchange).get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


async def credentials(survey: "Survey") -> dict[str, str]:
    """Return the header that opens the endpoint; none where it asks for none."""
    try:
        await survey.refusal()
    except Missing:
        return {}
    return {"Authorization": f"Bearer {await survey.token()}"}


async def first(survey: "Survey") -> Exchange:
    """Return the answer to the first request of a client; Missing when its token is refused."""
    exchange = await survey.call(await survey.endpoint(), await credentials(survey))
    if exchange.answer.status in {401, 403}:
        raise Missing(f"the token is answered {exchange.answer.status}")
    return exchange


async def opened(survey: "Survey", authorization: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of the requests after the first one: until 2025-11-25 the session's, if there is one."""
    if messages.modern(survey.version):
        return dict(authorization)
    exchange = await survey.call(await survey.endpoint(), authorization)
    result = result_of(exchange)
    if result is None:
        raise Missing(f"initialize is answered {exchange.answer.status}, without a result")
    if result.get("protocolVersion") != survey.version:
        raise Missing(f"the server speaks the version {result.get('protocolVersion')!r} instead")
    session = exchange.answer.header(SESSION)
    if session and not VISIBLE.fullmatch(session):
        raise Missing("the session id holds characters that cannot be sent back")
    fields = {**authorization, **({SESSION: session} if session else {})}
    survey.hide(session or "")
    await initialized(survey, fields)
    return fields


async def initialized(survey: "Survey", fields: Mapping[str, str]) -> Exchange:
    """Tell the server that the client is ready, as every client does after `initialize`."""
    own, body = messages.notification(survey.version, "notifications/initialized")
    return await survey.fetch("POST", await survey.endpoint(), {**own, **fields}, body)


async def say(
    survey: "Survey",
    method: str,
    params: Mapping[str, Any] | None = None,
    authorization: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    open_first: bool = True,
) -> Exchange:
    """Send one request with a token, the survey's own unless `authorization` is another; `headers` replace.

    `open_first`: after the handshake that the version prescribes.
    """
    own = await credentials(survey) if authorization is None else authorization
    own = await opened(survey, own) if open_first else own
    fields, body = messages.request(survey.version, method, params)
    return await survey.fetch("POST", await survey.endpoint(), {**fields, **own, **(headers or {})}, body)


def harmless(survey: "Survey") -> str:
    """Return a method that every server of the version has, and that does nothing."""
    return "server/discover" if messages.modern(survey.version) else "ping"


async def spoken(survey: "Survey") -> Exchange:
    """Return a right request's answer, the control of every wrong one; Missing when the version is not spoken here."""
    exchange = await say(survey, harmless(survey))
    if result_of(exchange) is None:
        raise Missing(f"a right request of {survey.version} is answered {exchange.answer.status}, without a result")
    return exchange
