"""The FastMCP server with its own HTTP app, started by server.py or by `fastmcp run`."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any, Literal

from fastmcp import FastMCP
from fastmcp.server.context import reset_transport, set_transport
from fastmcp.server.http import HostOriginProtection, StarletteWithLifespan
from fastmcp.utilities.logging import temporary_log_level
from mcp.server.lowlevel import NotificationOptions
from mcp.server.streamable_http import EventStore
from starlette.middleware import Middleware

from oauth_server.app import serving, telemetry
from oauth_server.app.banner import banner
from oauth_server.app.compose import Opened, open_services
from oauth_server.app.face import http_face
from oauth_server.app.log import announce
from oauth_server.app.metrics_port import serving_metrics
from oauth_server.app.mistakes import one_line_errors
from oauth_server.app.no_state import NoState
from oauth_server.app.stdio import stdio_streams
from oauth_server.core.clock import Clock, SteadyClock, steady
from oauth_server.core.deployment import Deployment, deploy
from oauth_server.core.fetched import Connect
from oauth_server.core.resource_indicators import MCP_PATH
from oauth_server.core.services import Runtime
from oauth_server.core.settings import Settings, SettingsError
from oauth_tools.arguments import named_members
from oauth_tools.check_compliance import Inspection, Progress
from oauth_tools.register import register_all

NAME = "MCP Docker Server"
INSTRUCTIONS = """\
This server is an OAuth 2.1 authorization server and a protected MCP resource server. Its mcp_oauth_* tools show and
audit OAuth: read the metadata of this server, validate access tokens, see the configuration, register clients, and
check this server (or another MCP server) against the MCP authorization specification. The prompt debug_oauth guides
from a server's URL to a configuration that works. When a call is refused with 403 insufficient_scope, sign in again
and grant the scope that the challenge names."""

Transport = Literal["http", "streamable-http", "sse"]


class McpServer(FastMCP[None]):
    """The product. Creating it reads nothing but the settings it is given; the lifespan opens the store."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock = time.time,
        connect: Connect | None = None,
        steady_clock: SteadyClock = steady,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._steady_clock = steady_clock
        self._connect = connect
        self.runtime = Runtime()
        self._deployment: Deployment | None = None
        self._opened: Opened | None = None
        self._face: StarletteWithLifespan | None = None
        self._uvicorn: serving.Server | None = None
        super().__init__(
            NAME,
            instructions=INSTRUCTIONS,
            version="0.2.0",
            lifespan=self._run_services,
            dereference_schemas=False,  # there are no references in ours, and every list would look for them
            session_state_store=NoState(),
        )
        # What is offered never changes while a process runs, and nothing is logged to a client.
        self._mcp_server.notification_options = NotificationOptions()
        del self._mcp_server._request_handlers["logging/setLevel"]  # noqa: SLF001 - the SDK offers no other way
        register_all(self, self.runtime, self._inspect)
        self._mcp_server.middleware.insert(0, named_members)

    @asynccontextmanager
    async def _run_services(self, _server: FastMCP[None]) -> AsyncIterator[None]:
        def resolve(recorded: str | None) -> Deployment:
            if self._deployment is not None:
                return self._deployment
            return deploy(self.settings, self.settings.host, self.settings.port, recorded)

        async with open_services(
            self.settings,
            resolve,
            serves_http=self._deployment is not None,
            clock=self._clock,
            steady_clock=self._steady_clock,
            connect=self._connect,
        ) as opened:
            self._opened = opened
            self.runtime.start(opened.services)
            try:
                yield
            finally:
                self.runtime.start(None)
                self._opened = None

    async def _inspect(self, asked: Inspection, progress: Progress) -> tuple[dict[str, Any], str]:
        """Run a compliance check for the tool."""
        from oauth_server.app.inspection import inspect  # noqa: PLC0415 - the auditor, which few processes need

        return await inspect(asked, progress, self._probed_face, self.settings.check_hosts)

    @asynccontextmanager
    async def _probed_face(self) -> AsyncIterator[StarletteWithLifespan]:
        """The HTTP face for a check of this server in process; started for the occasion on stdio."""
        if self._face is not None:
            yield self._face
            return
        face = http_face(
            super().http_app(path=MCP_PATH, stateless_http=True), self.runtime.services.deployment, self.runtime
        )
        async with face.router.lifespan_context(face):
            yield face

    def http_app(
        self,
        path: str | None = None,
        middleware: list[Middleware] | None = None,
        json_response: bool | None = None,
        stateless_http: bool | None = None,  # noqa: ARG002 - every request stands alone, so any worker can serve it
        transport: Transport = "http",
        event_store: EventStore | None = None,
        retry_interval: int | None = None,
        host_origin_protection: HostOriginProtection | None = None,  # noqa: ARG002 - our guard stands in its place
        allowed_hosts: list[str] | None = None,  # noqa: ARG002
        allowed_origins: list[str] | None = None,  # noqa: ARG002
        session_idle_timeout: float | Literal["auto"] | None = None,
    ) -> StarletteWithLifespan:
        """The whole HTTP face as one ASGI app: MCP at /mcp, OAuth, discovery. Always stateless."""
        if transport == "sse":
            raise SettingsError("--transport", "the deprecated SSE transport is not offered", "http or stdio")
        if path not in (None, MCP_PATH):
            raise SettingsError("--path", f"the MCP endpoint cannot be moved to {path}", MCP_PATH)
        if self._deployment is None:
            self._deployment = deploy(self.settings, self.settings.host, self.settings.port)
        mcp_app = super().http_app(
            path=MCP_PATH,
            middleware=middleware,
            json_response=json_response,
            stateless_http=True,
            event_store=event_store,
            retry_interval=retry_interval,
            host_origin_protection=False,
            session_idle_timeout=session_idle_timeout,
        )
        self._face = http_face(mcp_app, self._deployment, self.runtime, traced=telemetry.set_up())
        return self._face

    async def run_http_async(  # type: ignore[override] # the parameters nobody passes are left to **unused
        self,
        show_banner: bool = True,
        transport: Transport = "http",
        host: str | None = None,
        port: int | None = None,
        log_level: str | None = None,
        path: str | None = None,
        uvicorn_config: dict[str, Any] | None = None,
        middleware: list[Middleware] | None = None,
        json_response: bool | None = None,
        sockets: list[serving.Socket] | None = None,
        started: Callable[[], None] | None = None,
        **unused: Any,
    ) -> None:
        """Serve HTTP until SIGTERM, SIGINT or `stop`; an operator's mistake ends it with one line and status 2.

        `started` is called, instead of showing the banner, once requests are answered.
        """
        del unused, show_banner  # the short banner is part of starting; FastMCP's own is not shown
        with one_line_errors(), ExitStack() as stack:
            host, port = host or self.settings.host, self.settings.port if port is None else port
            if sockets is None:  # a worker is given them, and its parent serves the metrics
                sockets = [stack.enter_context(serving.bind(host, port))]
                stack.enter_context(serving_metrics(self.settings))
            self._deployment = deploy(self.settings, host, sockets[0].getsockname()[1])
            app = self.http_app(path, middleware, json_response, transport=transport)
            config = serving.uvicorn_config(app, self.settings, log_level, uvicorn_config)
            async with self._lifespan_manager():
                notice = serving.NOTICE_SECONDS if self.settings.trusted_proxies else 0.0
                self._uvicorn = serving.Server(config, started or self._greet, self.runtime.drain, notice)
                await self._uvicorn.serve(sockets=sockets)

    def stop(self) -> None:
        """Let a running HTTP server drain and end."""
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True

    async def run_stdio_async(
        self, show_banner: bool = True, log_level: str | None = None, stateless: bool = False
    ) -> None:
        """Serve one client over stdin and stdout; the caller is the local operator."""
        del show_banner, stateless
        telemetry.set_up()
        token = set_transport("stdio")
        try:
            with one_line_errors(), temporary_log_level(log_level):
                async with self._lifespan_manager(), stdio_streams() as (read, write):
                    await self._mcp_server.run(read, write, self._mcp_server.create_initialization_options())
        finally:
            reset_transport(token)

    def _greet(self) -> None:
        if self._opened is not None:
            services = self._opened.services
            text = banner(services.deployment, services.store.location, self._opened.owner_password)
            announce(self.settings, text)
