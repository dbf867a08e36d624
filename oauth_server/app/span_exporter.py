"""Spans leave without what a caller chose: FastMCP puts the text of errors, and with it arguments, into its own."""

import re
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import Status

# Names of methods, tools, prompts, resources and versions are made of such words; a secret is not.
_WORD = re.compile(r"[a-z_]{1,40}|[a-z]{1,16}[A-Z][a-z]{1,16}|[A-Z]{1,8}|[0-9]{1,6}|[A-Z][A-Za-z]{1,12}Error|")
_PARTS = re.compile(r"([/:.@ {}-]+)")
_OURS: Final = frozenset({"enduser.id", "enduser.scope", "mcp.session.id", "fastmcp.server.name"})  # no caller's choice


class DiscreetExporter(OTLPSpanExporter):
    """The OTLP exporter, which leaves out error texts and stack traces (they are in the log, under the trace's id)."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        return super().export([_discreet(span) for span in spans])


def _discreet(span: ReadableSpan) -> ReadableSpan:
    attributes = {name: _attribute(name, value) for name, value in (span.attributes or {}).items()}
    return ReadableSpan(
        name=plain_words(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _attribute(name: str, value: Any) -> Any:
    return plain_words(value) if isinstance(value, str) and name not in _OURS else value


def plain_words(text: str) -> str:
    """A text whose every part that is no plain word is left out."""
    parts = _PARTS.split(text[:200])
    return "".join(part if _PARTS.fullmatch(part) or _WORD.fullmatch(part) else "…" for part in parts)
