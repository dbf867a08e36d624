"""An OpenTelemetry collector: takes OTLP over HTTP, and keeps what it was sent."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Collector:
    """What was sent to `url`: the bodies by path, as protocol buffers, in which text stands as it is."""

    url: str
    bodies: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def everything(self) -> bytes:
        return b"\n".join(body for _, body in self.bodies)

    @property
    def resources(self) -> list[dict[str, str]]:
        return [
            {a.key: a.value.string_value for a in group.resource.attributes}
            for path, body in self.bodies
            if path == "/v1/traces"
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
        ]

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for path, body in self.bodies
            if path == "/v1/traces"
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def values(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """The newest value of a metric by its labels."""
        found = {}
        for metric in self._metrics():
            if metric.name == name:
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    labels = frozenset((a.key, a.value.string_value) for a in point.attributes)
                    found[labels] = point.as_double or float(point.as_int)
        return found

    def _metrics(self) -> Iterator[Any]:
        for path, body in self.bodies:
            if path == "/v1/metrics":
                for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    for scope in group.scope_metrics:
                        yield from scope.metrics

    async def took(self, name: str, seconds: float = 30) -> Any:
        """Wait for a span of that name."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for span in self.spans:
                if span.name == name:
                    return span
            await asyncio.sleep(0.05)
        raise AssertionError(f"no span {name!r} among {sorted({span.name for span in self.spans})}")


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Run one on a free port."""
    found = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.headers.get("content-encoding") is None
            found.bodies.append((self.path, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
