"""A span for each HTTP request, around FastMCP's own for MCP messages (OpenTelemetry semantic conventions for HTTP)."""

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oauth_server.core.refusal_log import shown_method
from oauth_server.gate.observed import route_of

_SERVER_ERROR = 500
_CONTEXT = TraceContextTextMapPropagator()  # no baggage, which could be anything


class Traced:
    """Opens the span and names it after the route. It carries no path, query or header: they may hold secrets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tracer = trace.get_tracer("mcp-docker-server")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as part of the caller's trace where it sends a traceparent header."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = shown_method(scope["method"])
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
        with self._tracer.start_as_current_span(
            method, context=_CONTEXT.extract(carrier), kind=SpanKind.SERVER, attributes=attributes
        ) as span:

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= _SERVER_ERROR:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            try:
                await self._app(scope, receive, answer)
            finally:
                route = route_of(scope)
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
