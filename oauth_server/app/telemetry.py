"""OpenTelemetry: what this server and FastMCP trace and count, sent where the standard OTEL_* variables say.

The code speaks to the API alone. The SDK and its OTLP exporter over HTTP are the optional extra `otel`.
"""

import logging
import os
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import fastmcp
from opentelemetry import trace

from oauth_server import metrics

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation

NAME = "mcp-docker-server"
_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
logger = logging.getLogger(__name__)


def set_up() -> bool:
    """Send traces and metrics to the endpoint of the environment; whether anybody takes the spans of this process."""
    taken = _set_up()
    if "FASTMCP_TELEMETRY_MODE" not in os.environ:
        # FastMCP gathers a span's attributes for every call, also where nobody takes the span.
        fastmcp.settings.telemetry_mode = "native" if taken else "propagation_only"
    return taken


def _set_up() -> bool:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return True  # set up before: by us, or by whoever started this program under an agent
    asked = next((name for name in _ENDPOINTS if os.environ.get(name, "").strip()), None)
    if asked is None:
        return False
    try:
        import opentelemetry.exporter.otlp.proto.http  # noqa: PLC0415
        import opentelemetry.sdk  # noqa: F401, PLC0415
    except ImportError:
        logger.warning(
            "%s is set, but the extra otel is not installed: nothing is traced (uv run --extra otel server.py)", asked
        )
        return False
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

    resource = Resource.create(_resource())
    if _wanted("OTEL_TRACES_EXPORTER"):
        _trace(resource)
    if _wanted("OTEL_METRICS_EXPORTER"):
        _count(resource)
    return True


def _wanted(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() != "none"


def _resource() -> dict[str, Any]:
    """What tells this process from others; what the environment names stays."""
    own = {"service.instance.id": str(uuid.uuid4())}
    if os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        return own
    return {**own, "service.name": NAME}


def _trace(resource: Any) -> None:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    from oauth_server.app.span_exporter import DiscreetExporter  # noqa: PLC0415

    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(DiscreetExporter()))
    trace.set_tracer_provider(provider)


def _count(resource: Any) -> None:
    """Let the exporter read the same values as Prometheus, those of this process."""
    from opentelemetry import metrics as otel_metrics  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    otel_metrics.set_meter_provider(MeterProvider([reader], resource=resource))
    meter = otel_metrics.get_meter(NAME)
    metrics.start()
    for metric in metrics.METRICS:
        if isinstance(metric, metrics.Gauge):
            meter.create_observable_gauge(metric.name, [_samples(metric, "")], description=metric.documentation)
            continue
        # A histogram's buckets cannot be handed over, its number and sum can.
        parts: Sequence[str] = ("_total",) if isinstance(metric, metrics.Counter) else ("_count", "_sum")
        for part in parts:
            name = metric.name + part.removesuffix("_total")
            meter.create_observable_counter(name, [_samples(metric, part)], description=metric.documentation)


def _samples(metric: metrics.Metric, part: str) -> "Callable[[CallbackOptions], Iterable[Observation]]":
    from opentelemetry.metrics import Observation  # noqa: PLC0415

    def read(_options: "CallbackOptions") -> Iterable[Observation]:
        return [Observation(value, labels) for name, labels, value in metric.samples() if name == metric.name + part]

    return read
