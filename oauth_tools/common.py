"""What the tools and resources share: the caller, typed results with readable text, errors a model can act on."""

import functools
import json
import logging
from collections.abc import Mapping
from typing import Any

from fastmcp.exceptions import ToolError
from fastmcp.server.dependencies import get_context, get_http_request
from fastmcp.tools import ToolResult
from mcp_types import TextContent, ToolAnnotations
from pydantic import BaseModel, ConfigDict

from oauth_server.core.access import NOBODY, OPERATOR, SCOPE_KEY, Principal, tool_scope
from oauth_server.core.errors import InsufficientScopeError, RateLimitedError
from oauth_server.core.policies import TOOL_CALLS
from oauth_server.core.services import Runtime, Services

OFF = "OAuth is switched off on this server. Set ENABLE_MCP_OAUTH=true in its environment and start it again."


class Answer(BaseModel):
    """A typed tool result; members beyond the declared ones are the standard's own."""

    model_config = ConfigDict(extra="allow", frozen=True)


def refusal(sentence: str) -> ToolError:
    """An expected refusal of a tool call: an answer for the model, not an error of this server's log."""
    return ToolError(sentence, log_level=logging.DEBUG)


def read_only(title: str, *, open_world: bool = False) -> ToolAnnotations:
    """Annotations of a tool that changes nothing."""
    return ToolAnnotations(
        title=title, read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=open_world
    )


def caller() -> Principal:
    """Who calls: what the gate found for this HTTP request, the operator on stdio, nobody when in doubt."""
    try:
        found = get_http_request().scope.get(SCOPE_KEY, NOBODY)
    except RuntimeError:
        # No HTTP request: a local pipe, or this very process. Never assume so while an HTTP transport serves.
        return OPERATOR if get_context().transport in (None, "stdio") else NOBODY
    return found if isinstance(found, Principal) else NOBODY


def admit(runtime: Runtime, tool: str, arguments: Mapping[str, Any]) -> tuple[Services, Principal]:
    """The services for a tool call that may go on; raises ToolError saying what is missing."""
    services = runtime.services
    if not services.deployment.settings.enabled:
        raise refusal(OFF)
    principal = caller()
    needed = tool_scope(services.deployment, tool, arguments)
    try:
        if needed is not None:
            principal.require(needed)
    except InsufficientScopeError as error:
        raise refusal(f"{error.description} Sign in again and grant it.") from None
    policy = TOOL_CALLS.get(tool)
    if policy is not None and not principal.local:
        try:
            services.rate_limits.take(policy, f"{principal.subject} {principal.client_id}")
        except RateLimitedError as error:
            raise refusal(error.description) from None
    return services, principal


def reply(answer: BaseModel | Mapping[str, Any], text: str) -> ToolResult:
    """A result with both faces: structured content for programs, text for people."""
    structured = answer.model_dump(mode="json", exclude_unset=True) if isinstance(answer, BaseModel) else dict(answer)
    return ToolResult(content=[TextContent(type="text", text=text)], structured_content=structured)


def pretty(value: Any) -> str:
    """Indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@functools.cache
def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The output schema of an answer, without references, which some clients do not follow; made once, read only."""
    # FastMCP would resolve them anew for each list, by a library that brings an HTTP client with it.
    found = model.model_json_schema(mode="serialization")
    inlined: dict[str, Any] = _inlined(found, found.get("$defs", {}))
    return inlined


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with each reference replaced by what it refers to; for models that do not hold themselves."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = definitions[node["$ref"].removeprefix("#/$defs/")] | {k: v for k, v in node.items() if k != "$ref"}
    return {name: _inlined(value, definitions) for name, value in node.items() if name != "$defs"}
