"""Arguments that do not fit a tool's schema, told in a sentence a model can act on."""

from typing import Any

from fastmcp.exceptions import ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from pydantic import ValidationError as PydanticValidationError

from oauth_tools.common import refusal

MOST = 5  # problems told at once


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
            problems = [f"{_place(e['loc'])}: {e['msg']}" for e in cause.errors(include_url=False)[:MOST]]
            raise refusal(f"The arguments do not fit. {'; '.join(problems)}.") from None


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "arguments"
