"""What each request carries since 2026-07-28, and what is answered where it does not (MCP Streamable HTTP)."""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from oauth_server.compliance import messages, talk
from oauth_server.compliance.messages import META
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import mcp
from oauth_server.compliance.survey import Survey
from oauth_server.outbound import OutboundError

PAGE: Final = "transports/streamable-http"
HEADERS: Final = mcp("Server Validation", PAGE)
OLDER: Final = mcp("Earlier Streamable HTTP Revisions", PAGE)
VERSION: Final = mcp("Protocol Version Header", PAGE)
BAD_REQUEST, FORBIDDEN, NOT_FOUND, NOT_ALLOWED = 400, 403, 404, 405
METHOD_NOT_FOUND, INVALID_PARAMS, HEADER_MISMATCH, UNSUPPORTED_VERSION = -32601, -32602, -32020, -32022
NO_VERSION: Final = "1900-01-01"  # the specification's own example of one that nobody implements
UNKNOWN: Final = "mcp-oauth-audit/unknown"
NO_TOOL: Final = "mcp-oauth-audit-no-such-tool"

Change = Callable[[dict[str, str], dict[str, Any]], object]
"""Changes the headers of a request, and its `_meta`."""


def _shown(exchange: Exchange) -> tuple[Exchange, str]:
    return exchange, f"error: {json.dumps(talk.error_of(exchange))[:200]}"


def refused(exchange: Exchange, status: int, codes: Collection[int]) -> Verdict:
    """Judge a refusal by its status and its JSON-RPC error code."""
    got, code = exchange.answer.status, talk.code_of(exchange)
    right = got == status and code in codes
    wanted = " or ".join(str(item) for item in codes)
    problem = "" if right else f"The answer is {got} with the error {code}, not {status} with {wanted}"
    return judge(problem, f"It is refused: {got}, {code}", _shown(exchange))


async def _changed(
    survey: Survey, change: Change, method: str = "", params: Mapping[str, Any] | None = None
) -> Exchange:
    """Send a right request with one change; Missing when the right one is not answered."""
    await talk.spoken(survey)
    fields, body = messages.request(survey.version, method or talk.harmless(survey), params)
    fields |= await talk.opened(survey, await talk.credentials(survey))
    message = json.loads(body)
    change(fields, message["params"].get("_meta", {}))
    return await survey.fetch("POST", await survey.endpoint(), fields, json.dumps(message).encode())


@rule(
    "server/discover is answered",
    mcp("Protocol Version Negotiation", "versioning"),
    fix="Answer server/discover with supportedVersions, capabilities and resultType.",
)
async def discover(survey: Survey) -> Verdict:
    """MCP: servers MUST implement server/discover, and state the versions they support."""
    exchange = await talk.first(survey)
    result = talk.result_of(exchange)
    versions = (result or {}).get("supportedVersions")
    problem = ""
    if result is None:
        problem = f"The answer is {exchange.answer.status} without a result"
    elif not isinstance(versions, list) or survey.version not in versions:
        problem = f"supportedVersions is {versions!r}"
    elif not isinstance(result.get("capabilities"), dict):
        problem = "capabilities is missing"
    return judge(problem, "It is answered", (exchange, f"supportedVersions: {versions!r}"))


@rule(
    "Every result states its resultType",
    mcp("ResultType", "index"),
    fix='Add "resultType": "complete" to every result.',
)
async def result_type(survey: Survey) -> Verdict:
    """MCP: the result MUST include a resultType field."""
    exchange = await talk.spoken(survey)
    stated = (talk.result_of(exchange) or {}).get("resultType")
    problem = "" if isinstance(stated, str) and stated else "resultType is missing"
    return judge(problem, "It is stated", (exchange, f"resultType: {stated!r}"))


@rule(
    "A protocol version that is not supported is refused with 400",
    VERSION,
    fix="Answer 400 to a request of a version that is not implemented, whatever its method.",
)
async def version_refused(survey: Survey) -> Verdict:
    """MCP: the server MUST respond with 400 Bad Request."""
    exchange = await _of_no_version(survey)
    status = exchange.answer.status
    problem = "" if status == BAD_REQUEST else f"The version {NO_VERSION} is answered {status}, not 400"
    return judge(problem, "It is answered 400", _shown(exchange))


async def _of_no_version(survey: Survey) -> Exchange:
    def change(fields: dict[str, str], meta: dict[str, Any]) -> None:
        fields["MCP-Protocol-Version"] = NO_VERSION
        if meta:
            meta[f"{META}protocolVersion"] = NO_VERSION

    return await _changed(survey, change)


@rule(
    "The refusal of a version names those that are supported",
    mcp("Protocol Version Negotiation", "versioning"),
    VERSION,
    fix="Answer with the JSON-RPC error -32022 and data.supported, from which clients choose another version.",
)
async def version_error(survey: Survey) -> Verdict:
    """MCP: UnsupportedProtocolVersionError, listing the versions the server does support."""
    exchange = await _of_no_version(survey)
    data = talk.error_of(exchange).get("data")
    listed = data.get("supported") if isinstance(data, dict) else None
    right = isinstance(listed, list) and bool(listed) and all(isinstance(item, str) for item in listed)
    problem = "" if right else f"data.supported is {listed!r}"
    code = talk.code_of(exchange)
    if code != UNSUPPORTED_VERSION:
        problem = f"The error is {code}, not {UNSUPPORTED_VERSION}"
    return judge(problem, "They are named", _shown(exchange))


@rule(
    "A request without Mcp-Method is refused",
    HEADERS,
    fix="Answer 400 with the JSON-RPC error -32020 when a required header is missing.",
)
async def header_missing(survey: Survey) -> Verdict:
    """MCP: required headers that are missing are a HeaderMismatch: MUST be 400 with -32020."""
    exchange = await _changed(survey, lambda fields, _: fields.pop("Mcp-Method"))
    return refused(exchange, BAD_REQUEST, [HEADER_MISMATCH])


@rule(
    "An Mcp-Method that is not the body's is refused",
    HEADERS,
    fix="Compare Mcp-Method with the body, and answer 400 with the JSON-RPC error -32020.",
)
async def method_mismatch(survey: Survey) -> Verdict:
    """MCP: a gateway that judged by the header MUST NOT be deceived about the body."""
    exchange = await _changed(survey, lambda fields, _: fields.update({"Mcp-Method": "tools/list"}))
    return refused(exchange, BAD_REQUEST, [HEADER_MISMATCH])


@rule(
    "An Mcp-Name that is not the body's is refused",
    HEADERS,
    fix="Compare Mcp-Name with params.name or params.uri, and answer 400 with the JSON-RPC error -32020.",
)
async def name_mismatch(survey: Survey) -> Verdict:
    """MCP: as for the method; both names are those of tools that nobody has."""
    params = {"name": NO_TOOL, "arguments": {}}
    exchange = await _changed(
        survey, lambda fields, _: fields.update({"Mcp-Name": f"{NO_TOOL}-2"}), "tools/call", params
    )
    if exchange.answer.status == FORBIDDEN:
        raise Missing("the scopes of the token are judged first")
    return refused(exchange, BAD_REQUEST, [HEADER_MISMATCH])


@rule(
    "A version in the body that is not the header's is refused",
    VERSION,
    HEADERS,
    fix="Compare MCP-Protocol-Version with _meta, and answer 400 with the JSON-RPC error -32020.",
)
async def version_mismatch(survey: Survey) -> Verdict:
    """MCP: MUST reject with HeaderMismatch; a body of an older version may be judged for its version first."""
    exchange = await _changed(survey, lambda _, meta: meta.update({f"{META}protocolVersion": "2025-11-25"}))
    return refused(exchange, BAD_REQUEST, [HEADER_MISMATCH, UNSUPPORTED_VERSION])


@rule(
    "A request without the client's capabilities is refused",
    mcp("_meta", "index"),
    fix="Answer 400 with the JSON-RPC error -32602 when a required member of _meta is missing.",
)
async def meta_missing(survey: Survey) -> Verdict:
    """MCP: a request missing any required field is malformed; the server MUST reject it with -32602."""
    exchange = await _changed(survey, lambda _, meta: meta.pop(f"{META}clientCapabilities"))
    return refused(exchange, BAD_REQUEST, [INVALID_PARAMS])


@rule(
    "An unknown method is answered 404 with -32601",
    VERSION,
    fix="Answer 404 with the JSON-RPC error -32601: the body tells it from an endpoint that is not there.",
)
async def unknown_method(survey: Survey) -> Verdict:
    """MCP: if the server does not implement the method, it MUST respond with 404 and -32601."""
    return refused(await _changed(survey, lambda *_: None, UNKNOWN), NOT_FOUND, [METHOD_NOT_FOUND])


@rule(
    "A session id is ignored, and none is given out",
    OLDER,
    fix="Serve every request of 2026-07-28 by itself: ignore Mcp-Session-Id, and send none.",
)
async def no_session(survey: Survey) -> Verdict:
    """MCP: ignore it, and do not mint or echo session IDs."""
    exchange = await _changed(survey, lambda fields, _: fields.update({talk.SESSION: "mcp-oauth-audit"}))
    minted = exchange.answer.header(talk.SESSION)
    problem = "The answer carries an Mcp-Session-Id" if minted else ""
    if talk.result_of(exchange) is None:
        problem = f"With an Mcp-Session-Id the answer is {exchange.answer.status} without a result"
    return judge(problem, "It is ignored", (exchange, f"{talk.SESSION}: {minted or '(absent)'}"))


async def _not_allowed(survey: Survey, method: str) -> Verdict:
    """Judge a method that this revision no longer has; Missing where an older one that has it is served, too."""
    result = talk.result_of(await talk.spoken(survey)) or {}
    versions = result.get("supportedVersions")
    fields = {**await talk.credentials(survey), "MCP-Protocol-Version": survey.version, "Accept": talk.STREAM}
    try:
        exchange = await survey.fetch(method, await survey.endpoint(), fields)
    except OutboundError as error:
        raise Missing(f"no complete answer came, as from a stream that stays open: {error.reason}") from None
    status = exchange.answer.status
    if status != NOT_ALLOWED and isinstance(versions, list) and len(versions) > 1:
        raise Missing(f"the server also serves older versions, which have {method}")
    problem = "" if status == NOT_ALLOWED else f"{method} is answered {status}, not 405"
    return judge(problem, "It is answered 405", (exchange, f"Allow: {exchange.answer.header('Allow')}"))


@rule(
    "GET of the endpoint is answered 405",
    OLDER,
    fix="Answer GET with 405 and Allow: POST: there are no standalone streams any more.",
)
async def get(survey: Survey) -> Verdict:
    """MCP: a server of this revision SHOULD respond with 405."""
    return await _not_allowed(survey, "GET")


@rule(
    "DELETE of the endpoint is answered 405",
    OLDER,
    fix="Answer DELETE with 405 and Allow: POST: there are no sessions to end.",
)
async def delete(survey: Survey) -> Verdict:
    """MCP: a server of this revision SHOULD respond with 405."""
    return await _not_allowed(survey, "DELETE")
