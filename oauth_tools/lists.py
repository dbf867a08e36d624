"""What lists show: everything the caller's scope ceiling allows, whatever the token holds."""

from collections.abc import Sequence
from typing import Any

from fastmcp.resources.base import Resource
from fastmcp.resources.template import ResourceTemplate
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import Tool

from oauth_server.core.access import RESOURCES, tool_scope, visible
from oauth_server.core.services import Runtime
from oauth_server.store.errors import StoreUnavailableError
from oauth_tools.common import caller

_LISTS = frozenset(("tools/list", "resources/list", "resources/templates/list"))


class CeilingFilter(Middleware):
    """Leaves out what the caller could never be granted; anonymous callers and the operator see everything."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def __call__(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        """Step aside for everything but lists: FastMCP's hooks cost each request something."""
        filtering = context.method in _LISTS
        return await (super().__call__(context, call_next) if filtering else call_next(context))

    async def _ceiling(self) -> frozenset[str] | None:
        try:
            return await self._runtime.services.ceiling(caller())
        except StoreUnavailableError:
            return None  # a client that connects meanwhile must not miss tools; calls are judged anyway

    async def on_list_tools(
        self, context: MiddlewareContext[Any], call_next: CallNext[Any, Sequence[Tool]]
    ) -> Sequence[Tool]:
        """Filter the tools."""
        ceiling, deployment = await self._ceiling(), self._runtime.services.deployment
        return [tool for tool in await call_next(context) if visible(tool_scope(deployment, tool.name, {}), ceiling)]

    async def on_list_resources(
        self, context: MiddlewareContext[Any], call_next: CallNext[Any, Sequence[Resource]]
    ) -> Sequence[Resource]:
        """Filter the resources."""
        ceiling = await self._ceiling()
        return [found for found in await call_next(context) if visible(RESOURCES.get(str(found.uri)), ceiling)]

    async def on_list_resource_templates(
        self, context: MiddlewareContext[Any], call_next: CallNext[Any, Sequence[ResourceTemplate]]
    ) -> Sequence[ResourceTemplate]:
        """Filter the resource templates."""
        ceiling = await self._ceiling()
        return [found for found in await call_next(context) if visible(RESOURCES.get(found.uri_template), ceiling)]
