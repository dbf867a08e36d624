"""Arguments that do not fit a tool's schema, told in a sentence a model can act on."""

from typing import Any

from fastmcp.exceptions import ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult
from pydantic import ValidationError as PydanticValidationError

from oauth_tools.common import refusal

MOST = 5  # problems told at once


class PlainArgumentErrors(Middleware):
    """Names each argument with what is wrong, instead of the validator's own words; the value is never repeated."""

    async def __call__(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        """Step aside for everything but calls: FastMCP's hooks cost each request something."""
        calling = context.method == "tools/call"
        return await (super().__call__(context, call_next) if calling else call_next(context))

    async def on_call_tool(self, context: MiddlewareContext[Any], call_next: CallNext[Any, ToolResult]) -> ToolResult:
        """Call the tool."""
        try:
            return await call_next(context)
        except ValidationError as error:
            cause = error.__cause__
            if not isinstance(cause, PydanticValidationError):
                raise
            problems = [f"{_place(e['loc'])}: {e['msg']}" for e in cause.errors(include_url=False)[:MOST]]
            raise refusal(f"The arguments do not fit. {'; '.join(problems)}.") from None


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "arguments"
