"""Members of a request that do not fit: arguments of a tool, and parameters of MCP, each named in a sentence."""

from typing import Any

from fastmcp.exceptions import ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from mcp import MCPError
from mcp.server.context import CallNext as SdkCallNext
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp_types import INVALID_PARAMS
from mcp_types.methods import validate_client_request
from pydantic import ValidationError as PydanticValidationError

from oauth_tools.common import refusal

MOST = 5  # problems told at once
# Where the validator would name types of Python.
_JSON_TYPES = {
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a string",
}


class PlainArgumentErrors(Middleware):
    """Names each argument with what is wrong, instead of the validator's own words; the value is never repeated."""

    async def __call__(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        """Serve one request. There is no hook below: FastMCP's cost each request more than this does."""
        if context.method != "tools/call":
            return await call_next(context)
        try:
            return await call_next(context)
        except ValidationError as error:
            cause = error.__cause__
            if not isinstance(cause, PydanticValidationError):
                raise
            raise refusal(f"The arguments do not fit. {_problems(cause)}.") from None


async def named_members(ctx: ServerRequestContext[Any, Any], call_next: SdkCallNext) -> HandlerResult:
    """Middleware of the MCP SDK: the error for parameters that do not fit the schema of MCP names each of them.

    A value is never repeated. Raises MCPError with -32602.
    """
    try:
        return await call_next(ctx)
    except PydanticValidationError:
        try:
            validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
        except PydanticValidationError as error:
            raise MCPError(INVALID_PARAMS, f"The parameters do not fit. {_problems(error)}.") from None
        raise  # not about the parameters


def _problems(error: PydanticValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)[:MOST]
    return "; ".join(f"{_place(p['loc'])}: {_JSON_TYPES.get(p['type'], p['msg'])}" for p in problems)


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "arguments"
