"""The log on stderr: what this program and its libraries say, in one format, with the id of the request it is about."""

import json
import logging
import sys
import textwrap
from datetime import UTC, datetime
from typing import Any

from opentelemetry import trace

from oauth_server.core.audit import request_id
from oauth_server.core.settings import Settings

_OURS = ("oauth_server", "oauth_tools", "well_known")
# Their debug and info lines may hold whole messages, and with them tokens.
_LIBRARIES = ("fastmcp", "mcp", "uvicorn", "uvicorn.error", "uvicorn.asgi", "uvicorn.access")


class TextFormatter(logging.Formatter):
    """One line for each record; the lines of a traceback are indented, so that nothing can pass for another record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        about = request_id.get()
        where = f"{record.name} [{about}]" if about else record.name
        moment = self.formatTime(record)
        text = f"{moment} {record.levelname} {where}: {_printable(record.getMessage())}"
        traceback = _traceback(self, record)
        return f"{text}\n{textwrap.indent(traceback, '  ')}" if traceback else text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339), level, logger, message, request_id, traceback, a request's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        about = request_id.get()
        if about:
            line["request_id"] = about
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = trace.format_trace_id(span.trace_id)
        line |= getattr(record, "fields", {})
        traceback = _traceback(self, record)
        if traceback:
            line["traceback"] = traceback
        return json.dumps(line, default=str)


def configure_logging(settings: Settings) -> None:
    """Send every logger's records to stderr; those of libraries from `warning` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(settings))
    level = settings.log_level.upper()
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    logging.captureWarnings(capture=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)


def announce(settings: Settings, text: str) -> None:
    """Say on stderr what is said at every level: the banner, and the owner's first password."""
    if settings.log_format == "json":
        formatter = _formatter(settings)
        lines = (" ".join(line.split()) for line in text.splitlines())
        records = (logging.LogRecord(__name__, logging.INFO, "", 0, line, None, None) for line in lines if line)
        text = "".join(f"{formatter.format(record)}\n" for record in records)
    sys.stderr.write(text)
    sys.stderr.flush()


def _formatter(settings: Settings) -> logging.Formatter:
    return JsonFormatter() if settings.log_format == "json" else TextFormatter()


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
